// SPDX-License-Identifier: Apache-2.0

#include "peers.h"

bool peers_take_epoch(
	const struct peer_table *table, unsigned ordinal, uint64_t epoch, uint64_t now_ms
) {
	const struct peer *peer = &table->peers[ordinal];
	uint64_t heard_ms = atomic_load_explicit(&peer->heard_ms, memory_order_relaxed);

	return epoch != 0
		&& (epoch >= atomic_load_explicit(&peer->epoch, memory_order_relaxed)
		    || (int64_t)(now_ms - heard_ms) >= PEER_FORGOTTEN_MS);
}

bool peers_hear(
	struct peer_table *table, unsigned ordinal, uint64_t epoch, unsigned flags, uint64_t now_ms
) {
	struct peer *peer = &table->peers[ordinal];

	if (!peers_take_epoch(table, ordinal, epoch, now_ms))
		return false;
	atomic_store_explicit(&peer->epoch, epoch, memory_order_relaxed);
	atomic_store_explicit(&peer->flags, flags, memory_order_relaxed);
	atomic_store_explicit(&peer->heard_ms, now_ms, memory_order_relaxed);
	return true;
}

uint64_t peers_epoch(const struct peer_table *table, unsigned ordinal) {
	return atomic_load_explicit(&table->peers[ordinal].epoch, memory_order_relaxed);
}

// A datagram may be of a burst that began after the caller looked at the clock.
static bool was_heard_within(
	const struct peer_table *table, unsigned ordinal, uint64_t now_ms, int64_t within_ms
) {
	uint64_t heard_ms =
		atomic_load_explicit(&table->peers[ordinal].heard_ms, memory_order_relaxed);

	return peers_epoch(table, ordinal) != 0 && (int64_t)(now_ms - heard_ms) < within_ms;
}

bool peers_alive(const struct peer_table *table, unsigned ordinal, uint64_t now_ms) {
	return was_heard_within(table, ordinal, now_ms, PEER_SILENT_MS);
}

static bool may_serve(unsigned flags) {
	return (flags & PEER_COMPLETE) && !(flags & PEER_LEAVING);
}

bool peers_serves(const struct peer_table *table, unsigned ordinal, uint64_t now_ms) {
	return was_heard_within(table, ordinal, now_ms, PEER_SUSPECT_MS)
		&& may_serve(
			atomic_load_explicit(&table->peers[ordinal].flags, memory_order_relaxed)
		);
}

bool peers_we_serve(const struct peer_table *table) {
	return may_serve(peers_own_flags(table));
}

unsigned peers_own_flags(const struct peer_table *table) {
	bool complete = atomic_load_explicit(&table->complete, memory_order_relaxed);
	bool leaving = atomic_load_explicit(&table->leaving, memory_order_relaxed);

	return (complete ? PEER_COMPLETE : PEER_JOINING) | (leaving ? PEER_LEAVING : 0);
}
