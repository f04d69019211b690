// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <fwd_config.h>
#include <worker.h>

#include <rte_common.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LCORE_BURST FWD_BURST_MAX
#define LCORE_FIRST_MS 1000000u

// Frames that wait for one transmit burst on one port. Private to the worker.
struct lcore_tx {
	uint16_t port_id;
	uint16_t count;
	struct rte_mbuf *packets[LCORE_BURST];
};

// Counters of a worker beside those of the core. Written by its thread alone with plain stores, read by
// the control thread: a reader may see a value that is a burst old.
struct lcore_counters {
	uint64_t busy_cycles; // of iterations that received
	uint64_t idle_cycles; // of those that did not, naps left out
	uint64_t naps;
	uint64_t handed_over; // to the worker that owns the flow
	uint64_t no_buffer;   // frames of our own for which there was no mbuf
};

// Written by the control thread only, `config` and `stop` at any time, the rest before the workers start;
// read by all workers.
struct lcore_shared {
	_Atomic(const struct fwd_config *) config;
	atomic_bool stop;
	const struct fwd_base *base;
	uint64_t start_tsc;
	uint64_t tsc_per_ms;
	struct rte_rcu_qsbr *qsbr;
	// Packets for the owner of their flow, by worker; mbuf->port is the port's index in `base`, mbuf->hash.usr how often the packet
	// was handed over.
	// All NULL with one worker.
	struct rte_ring *inboxes[FWD_MAX_WORKERS];
};

// One worker thread. Set up by the control thread before launch; after that only the worker touches
// it, but for `counters` and what `core` allows, which the control thread may read.
struct lcore_worker {
	struct lcore_shared *shared;
	struct rte_mempool *pool;
	struct fwd_worker *core;
	unsigned index; // also the queue number and the QSBR thread id
	uint16_t n_ports;
	bool adaptive;
	bool has_vlan; // some port has
	struct lcore_tx tx[FWD_MAX_PORTS];
	struct lcore_counters counters __rte_cache_aligned;
} __rte_cache_aligned;

// Milliseconds by the clock of all workers. It does not begin at 0, which means "never" in the core.
static inline uint64_t lcore_now_ms(const struct lcore_shared *shared, uint64_t tsc) {
	return LCORE_FIRST_MS + (tsc - shared->start_tsc) / shared->tsc_per_ms;
}

// Runs until `shared->stop`; an lcore_function_t for rte_eal_remote_launch().
int lcore_run(void *worker);
