// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1 // getopt_long
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPTION_CONFIG_DIR = 256,
	OPTION_CONTROL,
	OPTION_FLOW_FILE,
	OPTION_SUPERVISE,
	OPTION_CHANNEL,
	OPTION_SPARE,
	OPTION_RESTARTS,
	OPTION_NO_HUGE,
	OPTION_ALLOW_VDEV,
	OPTION_LCORES,
	OPTION_MBUFS,
	OPTION_SEED,
	OPTION_CHECK_DIR,
	OPTION_QUERY_SOCKET,
	OPTION_SHOW_VERSION,
	OPTION_SHOW_HELP,
};

static const struct option long_options[] = {
	{"config-dir", required_argument, NULL, OPTION_CONFIG_DIR},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"flow-file", required_argument, NULL, OPTION_FLOW_FILE},
	{"supervise", no_argument, NULL, OPTION_SUPERVISE},
	{"channel", required_argument, NULL, OPTION_CHANNEL},
	{"spare", no_argument, NULL, OPTION_SPARE},
	{"restarts", required_argument, NULL, OPTION_RESTARTS},
	{"no-huge", no_argument, NULL, OPTION_NO_HUGE},
	{"allow-vdev", no_argument, NULL, OPTION_ALLOW_VDEV},
	{"lcores", required_argument, NULL, OPTION_LCORES},
	{"mbufs", required_argument, NULL, OPTION_MBUFS},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"check", required_argument, NULL, OPTION_CHECK_DIR},
	{"query", required_argument, NULL, OPTION_QUERY_SOCKET},
	{"version", no_argument, NULL, OPTION_SHOW_VERSION},
	{"help", no_argument, NULL, OPTION_SHOW_HELP},
	{NULL, 0, NULL, 0},
};

void options_usage(void) {
	puts("usage: skylane-fwd [--config-dir DIR] [--control SOCKET] [--flow-file FILE]\n"
	     "                   [--supervise] [--no-huge] [--allow-vdev] [--lcores LIST] [--mbufs "
	     "N] [--seed "
	     "N]\n"
	     "                   [-- EAL ARGUMENTS]\n"
	     "       skylane-fwd --check DIR [--allow-vdev]\n"
	     "       skylane-fwd --query SOCKET JSON\n"
	     "       skylane-fwd --version");
}

// What the supervisor tells the processes that it starts.
static bool take_from_supervisor(struct options *options, int option) {
	switch (option) {
	case OPTION_CHANNEL:
		options->channel = atoi(optarg);
		return true;
	case OPTION_SPARE:
		options->spare = true;
		return true;
	case OPTION_RESTARTS:
		options->restarts = (uint32_t)strtoul(optarg, NULL, 10);
		return true;
	default:
		return false;
	}
}

static void take(struct options *options, int option) {
	if (take_from_supervisor(options, option))
		return;
	switch (option) {
	case OPTION_CONFIG_DIR:
		options->config_directory = optarg;
		break;
	case OPTION_CONTROL:
		options->control_path = optarg;
		break;
	case OPTION_FLOW_FILE:
		options->flow_file = optarg;
		break;
	case OPTION_SUPERVISE:
		options->supervise = true;
		break;
	case OPTION_NO_HUGE:
		options->no_huge = true;
		break;
	case OPTION_ALLOW_VDEV:
		options->allow_vdev = true;
		break;
	case OPTION_LCORES:
		options->lcores = optarg;
		break;
	case OPTION_MBUFS:
		options->mbufs = (unsigned)strtoul(optarg, NULL, 10);
		if (options->mbufs == 0)
			options->mode = OPTION_WRONG;
		break;
	case OPTION_SEED:
		options->seed = strtoull(optarg, NULL, 10);
		options->has_seed = true;
		break;
	case OPTION_CHECK_DIR:
		options->mode = OPTION_CHECK;
		options->config_directory = optarg;
		break;
	case OPTION_QUERY_SOCKET:
		options->mode = OPTION_QUERY;
		options->control_path = optarg;
		break;
	case OPTION_SHOW_VERSION:
		options->mode = OPTION_VERSION;
		break;
	case OPTION_SHOW_HELP:
		options->mode = OPTION_HELP;
		break;
	default:
		options->mode = OPTION_WRONG;
	}
}

// What follows the options: EAL arguments after "--", or the request of --query.
static void take_rest(struct options *options, int argc, char **argv) {
	bool after_dashes = optind > 0 && strcmp(argv[optind - 1], "--") == 0;

	if (options->mode == OPTION_QUERY && argc - optind == 1) {
		options->request = argv[optind];
	} else if (options->mode == OPTION_RUN && after_dashes) {
		options->eal = argv + optind;
		options->n_eal = argc - optind;
	} else if (options->mode == OPTION_QUERY || argc > optind) {
		fprintf(stderr, "skylane-fwd: wrong arguments; see --help\n");
		options->mode = OPTION_WRONG;
	}
}

void options_parse(int argc, char **argv, struct options *options) {
	int option;

	*options = (struct options){
		.mode = OPTION_RUN,
		.config_directory = "/run/skylane/config",
		.control_path = "/run/skylane/control.sock",
		.channel = CHANNEL_NONE,
	};
	while (options->mode != OPTION_WRONG
	       && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		take(options, option);
	if (options->mode != OPTION_WRONG)
		take_rest(options, argc, argv);
}
