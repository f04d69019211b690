// SPDX-License-Identifier: Apache-2.0

#include "client_limits.h"

// No entry of a rate lies further ahead than its burst and one more connection.
#define RATE_AHEAD_MAX (2 * FWD_RATE_UNITS_PER_S)

static uint64_t hash_of(const struct fwd_worker *worker, uint16_t listener, uint32_t address) {
	return client_hash(worker->group->seed, listener, address);
}

// Open connections of a client with all workers.
static uint64_t connections_of(const struct worker_group *group, uint64_t hash) {
	uint64_t sum = 0;

	for (unsigned i = 0; i < group->n_workers; i++) {
		const _Atomic uint64_t *entry;

		if (group->workers[i] == NULL)
			continue;
		entry = client_table_find(&group->workers[i]->clients, hash);
		if (entry != NULL)
			sum += client_value(atomic_load_explicit(entry, memory_order_relaxed));
	}
	return sum;
}

// A token bucket that holds a second's connections, as the virtual scheduling algorithm of ITU-T I.371 (GCRA): all that there is
// to remember is when the bucket will be full.
static bool
take_token(const struct fwd_worker *worker, const struct fwd_policy *policy, uint64_t hash) {
	const struct client_table *rates = &worker->group->rates;
	uint64_t now = worker->now_ms * (FWD_RATE_UNITS_PER_S / 1000) & CLIENT_VALUE_MASK;
	uint64_t burst = (uint64_t)(policy->client_rate - 1) * policy->client_interval;
	_Atomic uint64_t *entry = client_table_find(rates, hash);
	uint64_t ahead = 0;

	if (entry != NULL)
		ahead = (atomic_load_explicit(entry, memory_order_relaxed) - now)
			& CLIENT_VALUE_MASK;
	if (ahead > RATE_AHEAD_MAX)
		ahead = 0; // full long ago
	if (ahead > burst)
		return false;
	// The reference lies behind every entry: the oldest is the one that is, or was, full first.
	if (entry == NULL)
		entry = client_table_claim(rates, hash, now + RATE_AHEAD_MAX, CLIENT_VALUE_MASK);
	atomic_store_explicit(
		entry,
		client_word(hash, (now + ahead + policy->client_interval) & CLIENT_VALUE_MASK),
		memory_order_relaxed
	);
	return true;
}

bool client_limits_admit(
	const struct fwd_worker *worker,
	const struct fwd_listener *listener,
	uint32_t client_address,
	enum drop_reason *reason
) {
	const struct fwd_policy *policy = &listener->policy;
	uint64_t hash = hash_of(worker, listener->index, client_address);

	*reason = DROP_CLIENT_LIMIT;
	if (policy->client_max_connections != 0
	    && connections_of(worker->group, hash) >= policy->client_max_connections)
		return false;
	*reason = DROP_CLIENT_RATE;
	return policy->client_rate == 0 || take_token(worker, policy, hash);
}

void client_limits_count(struct fwd_worker *worker, struct flow *flow) {
	uint64_t hash = hash_of(worker, flow->listener, flow->client_address);
	_Atomic uint64_t *entry = client_table_find(&worker->clients, hash);
	uint64_t word;

	if (entry == NULL)
		entry = client_table_claim(&worker->clients, hash, 0, 0);
	word = atomic_load_explicit(entry, memory_order_relaxed);
	// Not the client's, and not empty: a count that is in use is never given up.
	if (word != 0 && client_word(hash, client_value(word)) != word)
		return;
	atomic_store_explicit(
		entry, client_word(hash, client_value(word) + 1), memory_order_relaxed
	);
	flow->is_counted = true;
}

void worker_uncount_client(struct fwd_worker *worker, const struct flow *flow) {
	uint64_t hash = hash_of(worker, flow->listener, flow->client_address);
	_Atomic uint64_t *entry = client_table_find(&worker->clients, hash);
	uint64_t count;

	if (entry == NULL)
		return;
	count = client_value(atomic_load_explicit(entry, memory_order_relaxed)) - 1;
	atomic_store_explicit(entry, count ? client_word(hash, count) : 0, memory_order_relaxed);
}
