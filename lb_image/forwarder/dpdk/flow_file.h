// SPDX-License-Identifier: Apache-2.0

// The file in which next hops and flows outlive the process, mapped: on hugetlbfs, or tmpfs.

#pragma once

#include "flow_header.h"

#include <neighbour.h>

struct flow_file {
	int fd; // locked for as long as the process lives
	size_t size;
	struct flow_header *header; // NULL: there is no file
	struct neighbour_table *neighbours;
	struct neighbour_table *before; // a copy of those found, NULL: nothing is to be adopted
	void *flows[FWD_MAX_WORKERS];
	char verdict[256]; // "adopted", "none" or why what was found is refused
};

// Maps `path`. With a file that fits `base`, `clock` becomes the one of its flows; every other one is emptied. False with the reason in `error`.
bool flow_file_open(
	struct flow_file *file,
	const char *path,
	const struct fwd_base *base,
	struct flow_clock *clock,
	char *error,
	size_t error_size
);

// From here on the next process may adopt the flows.
void flow_file_settle(struct flow_file *file);

// Nothing is kept open.
void flow_file_close(struct flow_file *file);
