// SPDX-License-Identifier: Apache-2.0

#include "policy.h"

#include "client_limits.h"
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
	const struct ipv6_address *client6,
	enum drop_reason *reason
) {
	const struct fwd_policy *policy = &listener->policy;

	*reason = DROP_SOURCE_DENIED;
	if (policy->sources != NULL
	    && !(client6 != NULL ? source_ranges_take6(policy->sources, client6)
				 : source_ranges_take(policy->sources, ntohl(key->client_address))))
		return false;
	*reason = DROP_CONNECTION_LIMIT;
	if (policy->max_connections != 0
	    && open_connections(worker->group, listener->index) >= policy->max_connections)
		return false;
	return !policy->limits_clients
		|| client_limits_admit(worker, listener, key->client_address, reason);
}

// Entry of the table of affinity: slot of the backend, then the second in which its last flow was made, as far as it goes.
#define AFFINITY_TIME_BITS 20
#define AFFINITY_TIME_MASK ((1ull << AFFINITY_TIME_BITS) - 1)
_Static_assert(
	(FWD_MAX_BACKEND_SLOTS - 1ull) >> (CLIENT_VALUE_BITS - AFFINITY_TIME_BITS) == 0,
	"a slot and a time fit into a value"
);

static uint32_t find_backend(const struct fwd_listener *listener, uint64_t slot) {
	for (uint32_t i = 0; i < listener->n_backends; i++) {
		if (listener->backends[i].slot == slot)
			return i;
	}
	return SCHEDULER_NONE;
}

// Index of the backend that an entry names, SCHEDULER_NONE when the entry is too old, or the backend gone or draining.
// `likely`: looked at first.
static uint32_t
remembered(const struct fwd_listener *listener, uint64_t value, uint32_t likely, uint32_t now_s) {
	uint64_t slot = value >> AFFINITY_TIME_BITS;
	uint32_t found = likely;

	if (((now_s - value) & AFFINITY_TIME_MASK) >= listener->policy.affinity_s)
		return SCHEDULER_NONE;
	if (listener->backends[likely].slot != slot)
		found = find_backend(listener, slot);
	if (found == SCHEDULER_NONE || listener->backends[found].weight == 0)
		return SCHEDULER_NONE;
	return found;
}

// Whoever is not known goes where a hash of his address says, so that workers, and pods, that see him at once agree.
static uint32_t pick_sticky(
	struct fwd_worker *worker,
	const struct fwd_listener *listener,
	const struct flow_key *key,
	enum drop_reason *reason
) {
	const struct worker_group *group = worker->group;
	uint64_t hash = client_hash(group->seed, listener->index, key->client_address);
	_Atomic uint64_t *entry = client_table_find(&group->affinity, hash);
	uint32_t hashed, known = SCHEDULER_NONE, picked;
	uint64_t value;

	*reason = DROP_NO_BACKENDS;
	if (listener->weight_max == 0)
		return SCHEDULER_NONE;
	hashed = scheduler_pick_hashed(listener, key);
	if (entry != NULL)
		known = remembered(
			listener,
			client_value(atomic_load_explicit(entry, memory_order_relaxed)),
			hashed,
			worker->now_s
		);
	picked = known != SCHEDULER_NONE ? known : hashed;
	*reason = DROP_BACKEND_LIMIT;
	if (!has_room(group, &listener->backends[picked]))
		picked = scheduler_pick_hashed_among(listener, key, has_room, group);
	// He who only makes way for a while is expected back.
	if (picked == SCHEDULER_NONE || (known != SCHEDULER_NONE && picked != known))
		return picked;
	if (entry == NULL)
		entry = client_table_claim(
			&group->affinity, hash, worker->now_s, AFFINITY_TIME_MASK
		);
	value = (uint64_t)listener->backends[picked].slot << AFFINITY_TIME_BITS
		| (worker->now_s & AFFINITY_TIME_MASK);
	if (atomic_load_explicit(entry, memory_order_relaxed) != client_word(hash, value))
		atomic_store_explicit(entry, client_word(hash, value), memory_order_relaxed);
	return picked;
}

static uint32_t pick_with_room(
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

uint32_t policy_pick(
	struct fwd_worker *worker,
	const struct fwd_listener *listener,
	const struct flow_key *key,
	enum drop_reason *reason
) {
	if (listener->policy.affinity_s != 0)
		return pick_sticky(worker, listener, key, reason);
	return pick_with_room(worker, listener, key, reason);
}
