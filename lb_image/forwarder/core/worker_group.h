// SPDX-License-Identifier: Apache-2.0

// What the workers of one process share, beside the neighbour table: sight of each other. A limit holds for all of them, but
// each counts its own flows: whoever makes a new flow adds up what the others say. No lock and no atomic read-modify-write:
// workers that make flows in the same instant may miss each other's, and so pass a limit by one each.

#pragma once

#include "fwd_config.h"

#include <stddef.h>

struct fwd_worker;

struct worker_group {
	// By index, written by worker_init() before any of them runs; NULL where there is none (yet).
	const struct fwd_worker *workers[FWD_MAX_WORKERS];
	uint16_t n_workers;
};

// Bytes for the group of `base`.
size_t worker_group_size(const struct fwd_base *base);

// Makes a group in zeroed, 64-byte aligned memory of worker_group_size().
struct worker_group *worker_group_init(void *memory, const struct fwd_base *base);
