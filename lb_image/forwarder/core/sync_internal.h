// SPDX-License-Identifier: Apache-2.0

// Shared by the files that make up the session sync.

#pragma once

#include "sync.h"
#include "worker_internal.h"

// How long a pod that starts listens before it decides which peers there are, and how long at most it joins.
#define SYNC_LISTEN_MS 300
#define SYNC_ALONE_MS 2000
#define SYNC_JOIN_MAX_MS 30000
#define SYNC_ROUNDS_MAX 3

// Puts a datagram without records into the queue: flags that go to the peers of `to`. NULL when the queue is full.
void sync_send_heartbeat(struct sync *sync, uint64_t now_ms);

// Sends what the open datagram has, if it is old enough or must make room.
void sync_flush(struct sync *sync);

// The next part of the bulk for those who ask.
void sync_send_bulk(struct fwd_worker *worker, uint64_t now_ms);

// Whether this pod tells of the flows of the places that the pod with this ordinal has: nobody else does.
static inline bool sync_speaks_for(const struct fwd_worker *worker, unsigned ordinal) {
	return local_owner_holds(worker->group->locals, worker->base, ordinal);
}

static inline struct flow_table *sync_table(struct fwd_worker *worker, bool ipv6) {
	return ipv6 ? &worker->flows6 : &worker->flows;
}

// Ordinal of the pod that a place is of.
static inline unsigned
sync_ordinal_of(const struct sync *sync, const struct flow_table *table, uint32_t index) {
	return flow_table_is_own(table, index)
		? sync->base->sync.ordinal
		: sync->base->sync.peers[index / table->n_own - 1].ordinal;
}
