// SPDX-License-Identifier: Apache-2.0

// LVS's schedulers. State and counters are per worker: each worker spreads its own flows.
//
// rr, wrr: turns. lc, wlc: fewest live flows, by weight. sh, mh: by a hash of the client, without state, so that every node
// chooses alike; see docs/design/hashing.md.

#pragma once

#include "flow_table.h"
#include "fwd_config.h"

#define SCHEDULER_NONE UINT32_MAX

struct scheduler_state {
	uint32_t next;  // backend to look at first
	int32_t weight; // wrr: weight that a backend needs in this round
};

// Of one backend of one listener. Written by the worker only.
struct backend_counters {
	uint64_t connections;
	uint64_t active_flows;
	uint64_t closed_flows; // of the active ones, those in state FLOW_TCP_CLOSED
};

// Index of the backend for a new flow, SCHEDULER_NONE when all weights are 0. Any state is good for any listener: a new
// generation goes on where the last one stood. `counters` by slot of the backend.
uint32_t scheduler_pick(
	const struct fwd_listener *listener,
	struct scheduler_state *state,
	const struct backend_counters *counters,
	const struct flow_key *key
);

// The key of an IPv6 client, with a hash of each address in place of the address.
struct flow_key scheduler_key6(const struct flow_key6 *key);

// The same as sh and mh, for a listener that has hash_places.
uint32_t scheduler_pick_hashed(const struct fwd_listener *listener, const struct flow_key *key);

typedef bool (*scheduler_filter)(const void *context, const struct fwd_backend *backend);

// For when the backend of scheduler_pick() is full: the best of those that `takes` says true of, SCHEDULER_NONE without one.
// sh and mh: the next draw. The others: fewest live flows, by weight for wrr and wlc.
uint32_t scheduler_pick_among(
	const struct fwd_listener *listener,
	struct scheduler_state *state,
	const struct backend_counters *counters,
	const struct flow_key *key,
	scheduler_filter takes,
	const void *context
);

// The same as sh and mh.
uint32_t scheduler_pick_hashed_among(
	const struct fwd_listener *listener,
	const struct flow_key *key,
	scheduler_filter takes,
	const void *context
);
