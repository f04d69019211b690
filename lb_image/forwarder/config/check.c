// SPDX-License-Identifier: Apache-2.0

#include "check.h"

#include "base.h"
#include "generation.h"

bool check_directory(const char *directory, bool allow_vdev, FILE *out) {
	struct config_errors errors = {0};
	struct fwd_config *config;
	struct base_config base;
	bool ok;

	// Listeners are checked beside a bad base too, as far as it could be read.
	base_read(directory, allow_vdev, &base, &errors);
	config = generation_build(
		&(struct generation_source){.directory = directory, .base = &base.base},
		NULL,
		0,
		&errors
	);
	ok = config != NULL && errors.count == 0;
	config_errors_print(&errors, directory, out);
	config_errors_free(&errors);
	if (config != NULL)
		generation_free(config, NULL);
	return ok;
}
