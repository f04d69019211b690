// SPDX-License-Identifier: Apache-2.0

// LVS's round robin (rr) and weighted round robin (wrr). State is per worker and listener.

#pragma once

#include "fwd_config.h"

#define SCHEDULER_NONE UINT32_MAX

struct scheduler_state {
	uint32_t next;  // backend to look at first
	int32_t weight; // wrr: weight that a backend needs in this round
};

// Index of the backend for a new flow, SCHEDULER_NONE when all weights are 0. Any state is good for any listener: a new
// generation goes on where the last one stood.
uint32_t scheduler_pick(const struct fwd_listener *listener, struct scheduler_state *state);
