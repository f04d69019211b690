// SPDX-License-Identifier: Apache-2.0

#include "policy.h"

#include "source_ranges.h"

#include <arpa/inet.h>

// Another worker's counter, as it was a moment ago.
static uint64_t glance(const uint64_t *counter) {
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

// Connections that are open: those that have ended are kept for the last packets, but are no burden.
static uint64_t open_connections(const struct worker_group *group, uint16_t listener) {
	uint64_t sum = 0;

	for (unsigned i = 0; i < group->n_workers; i++) {
		const struct listener_counters *counters;

		if (group->workers[i] == NULL)
			continue;
		counters = &group->workers[i]->counters.listeners[listener];
		sum += glance(&counters->active_flows) - glance(&counters->closed_flows);
	}
	return sum;
}

static bool has_room(const void *context, const struct fwd_backend *backend) {
	const struct worker_group *group = context;
	uint64_t sum = 0;

	if (backend->max_connections == 0)
		return true;
	for (unsigned i = 0; i < group->n_workers; i++) {
		const struct backend_counters *counters;

		if (group->workers[i] == NULL)
			continue;
		counters = &group->workers[i]->counters.backends[backend->slot];
		sum += glance(&counters->active_flows) - glance(&counters->closed_flows);
	}
	return sum < backend->max_connections;
}

bool policy_admits(
	const struct fwd_worker *worker,
	const struct fwd_listener *listener,
	const struct flow_key *key,
	enum drop_reason *reason
) {
	const struct fwd_policy *policy = &listener->policy;

	*reason = DROP_SOURCE_DENIED;
	if (policy->sources != NULL
	    && !source_ranges_take(policy->sources, ntohl(key->client_address)))
		return false;
	*reason = DROP_CONNECTION_LIMIT;
	return policy->max_connections == 0
		|| open_connections(worker->group, listener->index) < policy->max_connections;
}

uint32_t policy_pick(
	struct fwd_worker *worker,
	const struct fwd_listener *listener,
	const struct flow_key *key,
	enum drop_reason *reason
) {
	struct scheduler_state *state = &worker->counters.listeners[listener->index].scheduler;
	const struct backend_counters *counters = worker->counters.backends;
	uint32_t picked = scheduler_pick(listener, state, counters, key);

	*reason = DROP_NO_BACKENDS;
	if (picked == SCHEDULER_NONE || has_room(worker->group, &listener->backends[picked]))
		return picked;
	*reason = DROP_BACKEND_LIMIT;
	return scheduler_pick_among(listener, state, counters, key, has_room, worker->group);
}
