// SPDX-License-Identifier: Apache-2.0

#include "options.h"
#include "process.h"
#include "supervise.h"

#include <check.h>
#include <control_client.h>

#include <stdio.h>

int main(int argc, char **argv) {
	struct options options;

	options_parse(argc, argv, &options);
	switch (options.mode) {
	case OPTION_RUN:
		return options.supervise ? supervise_run(&options, argv) : process_run(&options);
	case OPTION_CHECK:
		return check_directory(options.config_directory, options.allow_vdev, stderr) ? 0
											     : 1;
	case OPTION_QUERY:
		return control_query(options.control_path, options.request);
	case OPTION_VERSION:
		puts("skylane-fwd " SKYLANE_VERSION);
		return 0;
	case OPTION_HELP:
		options_usage();
		return 0;
	case OPTION_WRONG:
		break;
	}
	return 2;
}
