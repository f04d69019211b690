// SPDX-License-Identifier: Apache-2.0

#include "scheduler.h"

#include <stddef.h>

// Every backend with a weight takes its turn.
static uint32_t pick_rr(const struct fwd_listener *listener, struct scheduler_state *state) {
	uint32_t i = state->next;

	while (true) {
		if (i >= listener->n_backends)
			i = 0;
		if (listener->backends[i].weight != 0)
			break;
		i++;
	}
	state->next = i + 1;
	return i;
}

// LVS's algorithm: rounds whose threshold falls from the largest weight by the common divisor; in each a backend takes part
// whose weight reaches the threshold.
static uint32_t pick_wrr(const struct fwd_listener *listener, struct scheduler_state *state) {
	uint32_t i = state->next;

	if (state->weight <= 0 || state->weight > listener->weight_max)
		state->weight = listener->weight_max;
	while (true) {
		if (i >= listener->n_backends) {
			i = 0;
			state->weight -= listener->weight_gcd;
			if (state->weight <= 0)
				state->weight = listener->weight_max;
		}
		if (listener->backends[i].weight >= state->weight)
			break;
		i++;
	}
	state->next = i + 1;
	return i;
}

// True when `a` has fewer live flows than `b` for its weight.
static bool is_less_loaded(
	const struct fwd_backend *a,
	const struct fwd_backend *b,
	const struct backend_counters *counters,
	bool weighted
) {
	uint64_t flows_a = counters[a->slot].active_flows, flows_b = counters[b->slot].active_flows;

	if (weighted)
		return flows_a * b->weight < flows_b * a->weight;
	return flows_a < flows_b;
}

// Of equals the one that comes first behind the last choice: idle backends take turns. `takes` may be NULL.
static inline __attribute__((always_inline)) uint32_t pick_least(
	const struct fwd_listener *listener,
	struct scheduler_state *state,
	const struct backend_counters *counters,
	bool weighted,
	scheduler_filter takes,
	const void *context
) {
	const struct fwd_backend *best = NULL;
	uint32_t i = state->next;

	for (uint32_t n = 0; n < listener->n_backends; n++, i++) {
		const struct fwd_backend *backend;

		if (i >= listener->n_backends)
			i = 0;
		backend = &listener->backends[i];
		if (backend->weight != 0
		    && (best == NULL || is_less_loaded(backend, best, counters, weighted))
		    && (takes == NULL || takes(context, backend)))
			best = backend;
	}
	if (best == NULL)
		return SCHEDULER_NONE;
	state->next = (uint32_t)(best - listener->backends) + 1;
	return state->next - 1;
}

uint32_t scheduler_pick(
	const struct fwd_listener *listener,
	struct scheduler_state *state,
	const struct backend_counters *counters,
	const struct flow_key *key
) {
	if (listener->weight_max == 0)
		return SCHEDULER_NONE;
	switch (listener->scheduler) {
	case FWD_SCHEDULER_RR:
		return pick_rr(listener, state);
	case FWD_SCHEDULER_WRR:
		return pick_wrr(listener, state);
	case FWD_SCHEDULER_LC:
		return pick_least(listener, state, counters, false, NULL, NULL);
	case FWD_SCHEDULER_WLC:
		return pick_least(listener, state, counters, true, NULL, NULL);
	case FWD_SCHEDULER_SH:
	case FWD_SCHEDULER_MH:
		return scheduler_pick_hashed(listener, key);
	}
	return SCHEDULER_NONE;
}

uint32_t scheduler_pick_among(
	const struct fwd_listener *listener,
	struct scheduler_state *state,
	const struct backend_counters *counters,
	const struct flow_key *key,
	scheduler_filter takes,
	const void *context
) {
	switch (listener->scheduler) {
	case FWD_SCHEDULER_SH:
	case FWD_SCHEDULER_MH:
		return scheduler_pick_hashed_among(listener, key, takes, context);
	case FWD_SCHEDULER_RR:
	case FWD_SCHEDULER_LC:
		return pick_least(listener, state, counters, false, takes, context);
	default:
		return pick_least(listener, state, counters, true, takes, context);
	}
}
