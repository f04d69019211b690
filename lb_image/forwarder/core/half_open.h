// SPDX-License-Identifier: Apache-2.0

// TCP connections that are being opened: whoever sends a SYN may be nobody. They have a share of a worker's flows of one family; over it, and
// where the table is full, the oldest of them gives way to a new flow.

#pragma once

#include "flow_table.h"

struct half_open {
	uint32_t *
		ring; // places of flows in the order in which they were made; some are half open no longer
	uint32_t mask;
	uint32_t head, tail; // entries made and given up; they run on
	uint32_t live;
	uint32_t max;
};

static inline bool flow_is_half_open(const struct flow *flow) {
	return flow->state == FLOW_TCP_SYN || flow->state == FLOW_TCP_SYN_ACK;
}

// Bytes that half_open_init() needs for a worker of `base`.
size_t half_open_size(const struct fwd_base *base, bool ipv6);

// `memory` is zeroed and 64-byte aligned.
void half_open_init(
	struct half_open *half_open, void *memory, const struct fwd_base *base, bool ipv6
);

// Notes a new half-open flow.
void half_open_add(struct half_open *half_open, const struct flow_table *table, uint32_t index);

// Place of the oldest half-open flow, FLOW_NONE where none is found. It is noted no longer.
uint32_t half_open_take_oldest(struct half_open *half_open, const struct flow_table *table);
