// SPDX-License-Identifier: Apache-2.0

#include "scheduler.h"

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

uint32_t scheduler_pick(const struct fwd_listener *listener, struct scheduler_state *state) {
	if (listener->weight_gcd == 0)
		return SCHEDULER_NONE;
	if (listener->scheduler == FWD_SCHEDULER_RR)
		return pick_rr(listener, state);
	return pick_wrr(listener, state);
}
