// SPDX-License-Identifier: Apache-2.0

// The data plane: what a worker thread does. Nothing here allocates, logs, locks or waits for the
// control thread.

#include "lcore.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_prefetch.h>

#include <string.h>
#include <sys/prctl.h>
#include <time.h>

// Adaptive polling: after this many polls without a packet the worker sleeps, each time longer.
#define EMPTY_POLLS_BEFORE_NAP 64
#define NAP_FIRST_US 16
#define NAP_LONGEST_US 512

// A turn of the loop takes much less than a millisecond.
#define STANDSTILL_MS 10

struct idler {
	unsigned empty_polls;
	unsigned nap_us;
};

static void flush(struct lcore_worker *worker, struct lcore_tx *tx) {
	struct worker_counters *counters = &worker->core->counters;
	uint16_t sent;

	if (tx->count == 0)
		return;
	sent = rte_eth_tx_burst(tx->port_id, (uint16_t)worker->index, tx->packets, tx->count);
	counters->tx_packets += sent;
	if (unlikely(sent < tx->count)) {
		counters->drops[DROP_TX_FULL] += tx->count - sent;
		rte_pktmbuf_free_bulk(tx->packets + sent, tx->count - sent);
	}
	tx->count = 0;
}

static void flush_all(struct lcore_worker *worker) {
	for (uint16_t port = 0; port < worker->n_ports; port++)
		flush(worker, &worker->tx[port]);
}

// Gives a packet to the worker that has its flow.
static void
hand_over(struct lcore_worker *worker, struct rte_mbuf *mbuf, const struct fwd_packet *packet) {
	mbuf->port = packet->port_in;
	mbuf->hash.usr = packet->hand_overs + 1u;
	worker->counters.handed_over++;
	if (rte_ring_enqueue(worker->shared->inboxes[packet->owner], mbuf) == 0)
		return;
	worker->core->counters.drops[DROP_HANDOVER_FULL]++;
	rte_pktmbuf_free(mbuf);
}

// Where frames begin: a tag that comes or goes moves that.
static void follow_tags(struct rte_mbuf **mbufs, const struct fwd_packet *packets, unsigned count) {
	for (unsigned i = 0; i < count; i++)
		mbufs[i]->data_off =
			(uint16_t)(packets[i].data - (const uint8_t *)mbufs[i]->buf_addr);
}

// Verdicts into transmit queues; all that is dropped goes back in one call.
static void dispatch(
	struct lcore_worker *worker,
	struct rte_mbuf **mbufs,
	const struct fwd_packet *packets,
	unsigned count
) {
	struct rte_mbuf *drops[LCORE_BURST];
	unsigned n_drops = 0;

	if (unlikely(worker->has_vlan))
		follow_tags(mbufs, packets, count);
	for (unsigned i = 0; i < count; i++) {
		struct lcore_tx *tx;

		if (unlikely(packets[i].verdict != FWD_TX)) {
			if (packets[i].verdict == FWD_HAND_OVER)
				hand_over(worker, mbufs[i], &packets[i]);
			else
				drops[n_drops++] = mbufs[i];
			continue;
		}
		tx = &worker->tx[packets[i].port_out];
		mbufs[i]->data_len = packets[i].len;
		mbufs[i]->pkt_len = packets[i].len;
		tx->packets[tx->count++] = mbufs[i];
	}
	if (n_drops > 0)
		rte_pktmbuf_free_bulk(drops, n_drops);
	flush_all(worker);
}

static void
view(struct fwd_packet *packet, struct rte_mbuf *mbuf, uint16_t port, unsigned hand_overs) {
	packet->data = rte_pktmbuf_mtod(mbuf, uint8_t *);
	packet->len = mbuf->data_len;
	packet->port_in = (uint8_t)port;
	packet->hand_overs = (uint8_t)hand_overs;
	rte_prefetch0(packet->data);
}

// What was received after the thread stood still is not of the time before: it must not be answered as if it were. Costs a look
// at the clock for each burst.
static uint64_t time_of_burst(const struct lcore_shared *shared, uint64_t now_ms) {
	uint64_t expected_tsc = shared->start_tsc + (now_ms - LCORE_FIRST_MS) * shared->tsc_per_ms;
	uint64_t tsc = rte_rdtsc();

	if (likely(tsc - expected_tsc < STANDSTILL_MS * shared->tsc_per_ms))
		return now_ms;
	return lcore_now_ms(shared, tsc);
}

static unsigned
receive(struct lcore_worker *worker, uint16_t port, const struct fwd_config *config, uint64_t now_ms
) {
	struct fwd_packet packets[LCORE_BURST];
	struct rte_mbuf *mbufs[LCORE_BURST];
	uint16_t count = rte_eth_rx_burst(
		worker->tx[port].port_id, (uint16_t)worker->index, mbufs, LCORE_BURST
	);

	if (count == 0)
		return 0;
	worker->core->counters.rx_packets += count;
	for (uint16_t i = 0; i < count; i++)
		view(&packets[i], mbufs[i], port, 0);
	now_ms = time_of_burst(worker->shared, now_ms);
	worker_process(worker->core, config, packets, count, now_ms);
	dispatch(worker, mbufs, packets, count);
	return count;
}

// What other workers received and this one owns.
static unsigned
take_inbox(struct lcore_worker *worker, const struct fwd_config *config, uint64_t now_ms) {
	struct rte_ring *inbox = worker->shared->inboxes[worker->index];
	struct fwd_packet packets[LCORE_BURST];
	struct rte_mbuf *mbufs[LCORE_BURST];
	unsigned count;

	if (inbox == NULL)
		return 0;
	count = rte_ring_dequeue_burst(inbox, (void **)mbufs, LCORE_BURST, NULL);
	if (count == 0)
		return 0;
	for (unsigned i = 0; i < count; i++)
		view(&packets[i], mbufs[i], mbufs[i]->port, mbufs[i]->hash.usr);
	worker_process(worker->core, config, packets, count, now_ms);
	dispatch(worker, mbufs, packets, count);
	return count;
}

// Frames of our own: ARP requests and the like.
static void emit(struct lcore_worker *worker, const struct fwd_emit *frames, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		struct lcore_tx *tx = &worker->tx[frames[i].port_out];
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(worker->pool);

		if (mbuf == NULL) {
			worker->counters.no_buffer++;
			continue;
		}
		memcpy(rte_pktmbuf_append(mbuf, frames[i].len), frames[i].data, frames[i].len);
		tx->packets[tx->count++] = mbuf;
	}
	flush_all(worker);
}

// Datagrams to the peers.
static void sync_peers(struct lcore_worker *worker) {
	struct lcore_tx *tx = &worker->tx[0];

	while (worker->core->sync->n_queued > 0) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(worker->pool);
		unsigned length;

		if (mbuf == NULL) {
			worker->counters.no_buffer++;
			return;
		}
		length = worker_sync_frame(worker->core, rte_pktmbuf_mtod(mbuf, uint8_t *));
		if (length == 0) {
			rte_pktmbuf_free(mbuf);
			break;
		}
		rte_pktmbuf_append(mbuf, (uint16_t)length);
		tx->packets[tx->count++] = mbuf;
		if (tx->count == LCORE_BURST)
			flush(worker, tx);
	}
	flush(worker, tx);
}

static void
housekeeping(struct lcore_worker *worker, const struct fwd_config *config, uint64_t now_ms) {
	struct fwd_emit frames[LCORE_BURST];

	emit(worker, frames, worker_housekeeping(worker->core, config, now_ms, frames, LCORE_BURST)
	);
	if (unlikely(worker->core->sync != NULL))
		sync_peers(worker);
}

// A nap is short enough for a QSBR grace period to wait for it, so the thread stays online.
static void idle(struct lcore_worker *worker, struct idler *idler, bool received) {
	struct timespec nap;

	if (received) {
		*idler = (struct idler){.nap_us = NAP_FIRST_US};
		return;
	}
	if (++idler->empty_polls < EMPTY_POLLS_BEFORE_NAP)
		return;
	nap = (struct timespec){.tv_nsec = idler->nap_us * 1000L};
	clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
	worker->counters.naps++;
	if (idler->nap_us < NAP_LONGEST_US)
		idler->nap_us *= 2;
	idler->empty_polls = EMPTY_POLLS_BEFORE_NAP - 1;
}

static void loop(struct lcore_worker *worker) {
	struct lcore_shared *shared = worker->shared;
	struct lcore_counters *counters = &worker->counters;
	struct idler idler = {.nap_us = NAP_FIRST_US};
	uint64_t now_ms = 0;
	uint64_t next_tick_tsc = 0;

	while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
		const struct fwd_config *config =
			atomic_load_explicit(&shared->config, memory_order_acquire);
		uint64_t begin_tsc = rte_rdtsc();
		unsigned received;

		if (begin_tsc >= next_tick_tsc) {
			next_tick_tsc = begin_tsc + shared->tsc_per_ms;
			now_ms = lcore_now_ms(shared, begin_tsc);
			housekeeping(worker, config, now_ms);
		}
		received = take_inbox(worker, config, now_ms);
		for (uint16_t port = 0; port < worker->n_ports; port++)
			received += receive(worker, port, config, now_ms);
		rte_rcu_qsbr_quiescent(shared->qsbr, worker->index);
		if (received > 0)
			counters->busy_cycles += rte_rdtsc() - begin_tsc;
		else
			counters->idle_cycles += rte_rdtsc() - begin_tsc;
		if (worker->adaptive)
			idle(worker, &idler, received > 0);
	}
}

int lcore_run(void *argument) {
	struct lcore_worker *worker = argument;

	// The kernel may otherwise add 50 us to every nap.
	prctl(PR_SET_TIMERSLACK, 1000L);
	rte_rcu_qsbr_thread_online(worker->shared->qsbr, worker->index);
	loop(worker);
	rte_rcu_qsbr_thread_offline(worker->shared->qsbr, worker->index);
	return 0;
}
