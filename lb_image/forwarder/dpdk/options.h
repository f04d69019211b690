// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "channel.h"

#include <stdbool.h>
#include <stdint.h>

enum option_mode {
	OPTION_RUN,
	OPTION_CHECK,
	OPTION_QUERY,
	OPTION_VERSION,
	OPTION_HELP,
	OPTION_WRONG, // told on standard error
};

// The command line. Strings and `eal` point into argv.
struct options {
	enum option_mode mode;
	const char *config_directory;
	const char *control_path;
	const char *request;   // --query
	const char *flow_file; // in which flows outlive the process; NULL: they do not
	const char *lcores;    // NULL: from the affinity mask
	unsigned mbufs;        // packet buffers; 0: as many as the queues need
	// Of the flow hash and of the first local port, for runs that must repeat; without one: random.
	uint64_t seed;
	bool has_seed;
	bool no_huge;
	bool supervise;    // start processes that forward, and start them again
	bool spare;        // do what can be done before `channel` says that this process is needed
	int channel;       // to the supervisor, or CHANNEL_NONE
	uint32_t restarts; // by the supervisor, before this process
	bool allow_vdev;
	char **eal; // what follows "--"
	int n_eal;
};

void options_parse(int argc, char **argv, struct options *options);
void options_usage(void);
