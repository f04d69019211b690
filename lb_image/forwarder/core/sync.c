// SPDX-License-Identifier: Apache-2.0

// Joining: when a pod knows all flows that it has to know.

#include "sync_internal.h"

static const char *const refusal_names[SYNC_REFUSAL_COUNT] = {
	[SYNC_REFUSAL_MALFORMED] = "malformed",
	[SYNC_REFUSAL_UNKNOWN] = "unknown_local_address",
	[SYNC_REFUSAL_OWN] = "own_flow",
	[SYNC_REFUSAL_NO_LISTENER] = "no_listener",
	[SYNC_REFUSAL_IDLE] = "idle",
	[SYNC_REFUSAL_NO_ROOM] = "no_room",
};

const char *sync_refusal_name(unsigned refusal) {
	return refusal < SYNC_REFUSAL_COUNT ? refusal_names[refusal] : NULL;
}

struct sync *sync_init(void *memory, const struct fwd_base *base, struct peer_table *peers) {
	unsigned overhead = sizeof(struct ipv4_header) + sizeof(struct udp_header);
	unsigned room = base->ports[0].mtu - overhead;
	struct sync *sync = memory;

	sync->base = base;
	sync->peers = peers;
	sync->epoch_us = base->sync.epoch_us;
	sync->round = 1;
	sync->room = room < SYNC_DATAGRAM_MAX ? (uint16_t)room : SYNC_DATAGRAM_MAX;
	for (unsigned i = 0; i < base->sync.n_peers; i++)
		sync->peer[i].neighbour = NEIGHBOUR_NONE;
	return sync;
}

bool sync_is_complete(const struct sync *sync) {
	return atomic_load_explicit(&sync->peers->complete, memory_order_relaxed);
}

static void complete(struct fwd_worker *worker) {
	flow_table_offer(&worker->flows);
	flow_table_offer(&worker->flows6);
	atomic_store_explicit(&worker->sync->peers->complete, true, memory_order_relaxed);
}

void sync_adopted(struct sync *sync) {
	atomic_store_explicit(&sync->peers->complete, true, memory_order_relaxed);
}

// Whether every peer that is there has told all. A peer that falls silent meanwhile is waited for no longer.
static bool all_have_told(const struct sync *sync, uint64_t now_ms, bool *alone) {
	bool told = true;

	*alone = true;
	for (unsigned i = 0; i < sync->base->sync.n_peers; i++) {
		if (!peers_alive(sync->peers, sync->base->sync.peers[i].ordinal, now_ms))
			continue;
		*alone = false;
		told &= sync->peer[i].told_round != 0;
	}
	return told;
}

static void join(struct fwd_worker *worker, uint64_t now_ms) {
	struct sync *sync = worker->sync;
	uint64_t waited_ms = now_ms - sync->started_ms;
	bool alone, told;

	if (sync->round == 0 || waited_ms < SYNC_LISTEN_MS)
		return;
	told = all_have_told(sync, now_ms, &alone);
	if ((!told || (alone && waited_ms < SYNC_ALONE_MS)) && waited_ms < SYNC_JOIN_MAX_MS)
		return;
	sync->round = 0;
	complete(worker);
}

// Peers are next hops for as long as the process lives.
static void keep_neighbours(struct fwd_worker *worker, uint32_t now_s) {
	struct sync *sync = worker->sync;

	for (unsigned i = 0; i < sync->base->sync.n_peers; i++)
		sync->peer[i].neighbour = neighbour_get(
			worker->neighbours, 0, sync->base->sync.peers[i].address, now_s
		);
}

void sync_run(struct fwd_worker *worker, uint64_t now_ms) {
	struct sync *sync = worker->sync;

	if (sync->started_ms == 0)
		sync->started_ms = now_ms;
	keep_neighbours(worker, (uint32_t)(now_ms / 1000));
	if (sync->open.length > 0 && now_ms - sync->opened_ms >= SYNC_HEARTBEAT_MS / 2)
		sync_flush(sync);
	sync_send_bulk(worker, now_ms);
	if (now_ms - sync->sent_ms >= SYNC_HEARTBEAT_MS)
		sync_send_heartbeat(sync, now_ms);
	join(worker, now_ms);
}
