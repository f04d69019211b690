// SPDX-License-Identifier: Apache-2.0

// Memory of next hops and flows, from a file or, without one, from EAL; and taking over what is in the file.

#pragma once

#include "flow_file.h"
#include "lcore.h"

#include <adopt.h>

struct flow_memory {
	struct flow_file file;
	struct neighbour_table *neighbours;
	void *flows[FWD_MAX_WORKERS];
	// Written by the workers' lcores while they adopt, read after that.
	struct adoption adoptions[FWD_MAX_WORKERS];
	uint64_t adoption_us;
	char verdict[256]; // of the file, or why there is none
};

// `path`: NULL: no file. `sockets`: of the workers. Where the file cannot be had, EAL's memory will do. False without memory.
bool flow_memory_open(
	struct flow_memory *memory,
	const char *path,
	const struct fwd_base *base,
	struct flow_clock *clock,
	const int *sockets
);

// Lets all workers, each on its lcore, take over the flows. Before they are launched.
bool flow_memory_adopt(
	struct flow_memory *memory,
	struct lcore_worker *const *workers,
	const struct fwd_config *config,
	uint32_t now_s
);

void flow_memory_close(struct flow_memory *memory);
