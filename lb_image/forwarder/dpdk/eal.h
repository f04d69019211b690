// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "devargs.h"
#include "options.h"

// All of eal_start() but for the devices, which are then taken by it. Not for PCI devices. False with the reason in `error`.
bool eal_prepare(
	const struct options *options,
	const struct base_config *config,
	char *error,
	size_t error_size
);

// Starts EAL for the ports and workers of `config` on the calling thread, which becomes the main lcore.
// Can be done once in a process. False with the reason in `error`.
bool eal_start(
	const struct options *options,
	const struct base_config *config,
	const struct devargs *devargs,
	char *error,
	size_t error_size
);
