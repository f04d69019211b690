// SPDX-License-Identifier: Apache-2.0

// Pods of one LoadBalancer, whose datagrams are carried from one to the other in memory. Tests only.

#pragma once

#include "adopt.h"
#include "core_fixture.h"
#include "peers.h"

#define PODS_MAX 3
#define BACKEND 0x0af40005u
#define START_MS 1000000ull
#define SWEEP_MS 4400

struct pod {
	struct fwd_base base;
	struct neighbour_table *neighbours;
	struct fwd_worker *worker; // NULL: it is not there
};

struct rig {
	struct pod pods[PODS_MAX];
	struct fwd_config config;
	struct fwd_listener *listener;
	uint64_t now_ms;
	unsigned n_pods;
	unsigned lose; // one of so many datagrams; 0: none
	unsigned carried;
	bool refusals_are_fine;
	uint8_t frame[FWD_FRAME_ROOM];
	uint8_t last[FWD_FRAME_ROOM]; // the last datagram with records
	unsigned last_length;
	struct fwd_packet packet;
};

static inline uint32_t port_address(unsigned pod) {
	return 0x0a4d000bu + pod;
}

static inline uint32_t local_address(unsigned pod) {
	return FIXTURE_LOCAL + pod;
}

// The others by ordinal, as the operator writes them.
static inline void make_base(struct rig *rig, unsigned pod, uint32_t max_flows) {
	struct fwd_base *base = &rig->pods[pod].base;

	*base = fixture_base(max_flows, 1);
	base->ports[0].address = port_address(pod);
	base->ports[0].mac[4] = base->ports[1].mac[4] = (uint8_t)(pod + 1);
	base->local_addresses[0] = local_address(pod);
	base->sync.enabled = true;
	base->sync.ordinal = (uint8_t)pod;
	base->sync.udp_port = 5407;
	memset(base->sync.key, 7, sizeof(base->sync.key));
	for (unsigned i = 0; i < rig->n_pods; i++) {
		if (i == pod)
			continue;
		base->sync.peers[base->sync.n_peers] =
			(struct fwd_peer){(uint8_t)i, port_address(i)};
		base->local_addresses[++base->sync.n_peers] = local_address(i);
	}
}

// The next hops answer, as long as they are asked.
static inline void learn_next_hops(struct rig *rig, const struct pod *pod) {
	static const uint32_t gateways[] = FIXTURE_GATEWAYS;
	static const uint8_t mac[] = {2, 0xfe, 0, 0, 0, 1};
	uint32_t now_s = (uint32_t)(rig->now_ms / 1000);

	for (uint8_t port = 0; port < 2; port++)
		assert_true(neighbour_learn(pod->neighbours, port, gateways[port], mac, now_s));
	for (unsigned i = 0; i < pod->base.sync.n_peers; i++) {
		const struct fwd_peer *peer = &pod->base.sync.peers[i];
		uint8_t peer_mac[] = {2, 0, 0, 0, (uint8_t)(peer->ordinal + 1), 1};

		neighbour_get(pod->neighbours, 0, peer->address, now_s);
		neighbour_learn(pod->neighbours, 0, peer->address, peer_mac, now_s);
	}
}

static inline void start_pod(struct rig *rig, unsigned i) {
	struct pod *pod = &rig->pods[i];

	pod->base.sync.epoch_us = rig->now_ms * 1000;
	pod->neighbours = calloc(1, sizeof(*pod->neighbours));
	pod->worker = fixture_worker(&pod->base, pod->neighbours, 0);
	learn_next_hops(rig, pod);
}

static inline void kill_pod(struct rig *rig, unsigned i) {
	free(rig->pods[i].worker);
	free(rig->pods[i].neighbours);
	rig->pods[i].worker = NULL;
}

static inline void start(struct rig *rig, unsigned n_pods, uint32_t max_flows, uint8_t protocol) {
	memset(rig, 0, sizeof(*rig));
	rig->now_ms = START_MS;
	rig->n_pods = n_pods;
	rig->listener = fixture_listener(protocol, 2, (uint16_t[]){1, 1});
	rig->config.listeners[0] = rig->listener;
	fwd_config_index(&rig->config);
	for (unsigned i = 0; i < n_pods; i++) {
		make_base(rig, i, max_flows);
		start_pod(rig, i);
	}
}

static inline void stop(struct rig *rig) {
	for (unsigned i = 0; i < rig->n_pods; i++) {
		if (rig->pods[i].worker != NULL)
			kill_pod(rig, i);
	}
	free(rig->listener);
}

static inline enum drop_reason
deliver(struct rig *rig, unsigned to, const uint8_t *frame, unsigned length) {
	memcpy(rig->frame, frame, length);
	rig->packet = (struct fwd_packet){.data = rig->frame, .len = (uint16_t)length};
	worker_process(rig->pods[to].worker, &rig->config, &rig->packet, 1, rig->now_ms);
	return rig->packet.drop_reason;
}

static inline void carry(struct rig *rig, const uint8_t *frame, unsigned length) {
	const struct ipv4_header *ip = (const struct ipv4_header *)(frame + 14);
	unsigned to = ntohl(ip->dst) - port_address(0);

	rig->carried++;
	if (length > 14 + 20 + 8 + 48) {
		memcpy(rig->last, frame, length);
		rig->last_length = length;
	}
	if (rig->pods[to].worker == NULL || (rig->lose != 0 && rig->carried % rig->lose == 0))
		return;
	if (!rig->refusals_are_fine)
		assert_int_equal(deliver(rig, to, frame, length), DROP_NONE);
	else
		deliver(rig, to, frame, length);
}

static inline void run(struct rig *rig, unsigned ms) {
	struct fwd_emit emitted[32];
	uint8_t frame[SYNC_FRAME_MAX];
	unsigned length;

	for (unsigned n = 0; n < ms; n++, rig->now_ms++) {
		for (unsigned i = 0; i < rig->n_pods; i++) {
			struct fwd_worker *worker = rig->pods[i].worker;

			if (worker == NULL)
				continue;
			if (rig->now_ms % 1000 == 0)
				learn_next_hops(rig, &rig->pods[i]);
			worker_housekeeping(worker, &rig->config, rig->now_ms, emitted, 32);
			while ((length = worker_sync_frame(worker, frame)) > 0)
				carry(rig, frame, length);
		}
	}
}

static inline void
segment(struct rig *rig,
	unsigned pod,
	uint8_t port,
	uint32_t src,
	uint16_t src_port,
	uint32_t dst,
	uint16_t dst_port,
	uint8_t flags) {
	struct fixture f = {.base = rig->pods[pod].base, .listener = rig->listener};

	fixture_frame(&f, port, src, src_port, dst, dst_port, flags);
	memcpy(rig->frame, f.frame, sizeof(f.frame));
	rig->packet = (struct fwd_packet){.data = rig->frame, .len = 60, .port_in = port};
	worker_process(rig->pods[pod].worker, &rig->config, &rig->packet, 1, rig->now_ms);
}

static inline void from_client(struct rig *rig, unsigned pod, uint16_t port, uint8_t flags) {
	segment(rig, pod, 0, FIXTURE_CLIENT, port, FIXTURE_VIP, 80, flags);
}

// The ends of the packet that the last call sent on.
static inline struct flow_key sent(const struct rig *rig) {
	const struct ipv4_header *ip = (const struct ipv4_header *)(rig->frame + 14);
	const struct udp_header *ports = (const struct udp_header *)(ip + 1);

	assert_int_equal(rig->packet.verdict, FWD_TX);
	return (struct flow_key){ip->src, ip->dst, ports->src, ports->dst, ip->protocol};
}

// Makes an established connection at a pod; what its backend sees.
static inline struct flow_key connect_at(struct rig *rig, unsigned pod, uint16_t port) {
	struct flow_key seen;

	from_client(rig, pod, port, TCP_SYN);
	seen = sent(rig);
	segment(rig,
		pod,
		1,
		ntohl(seen.vip),
		8080,
		ntohl(seen.client_address),
		ntohs(seen.client_port),
		TCP_SYN | TCP_ACK);
	assert_int_equal(rig->packet.verdict, FWD_TX);
	from_client(rig, pod, port, TCP_ACK);
	return seen;
}

static inline void
reply(struct rig *rig, unsigned pod, const struct flow_key *seen, uint8_t flags) {
	segment(rig,
		pod,
		1,
		ntohl(seen->vip),
		ntohs(seen->vip_port),
		ntohl(seen->client_address),
		ntohs(seen->client_port),
		flags);
}

// A client's segment at this pod goes as at the pod where it began, and so does the reply.
static inline void
assert_forwarded(struct rig *rig, unsigned pod, uint16_t port, const struct flow_key *seen) {
	struct flow_key now;

	from_client(rig, pod, port, TCP_ACK);
	now = sent(rig);
	assert_memory_equal(&now, seen, offsetof(struct flow_key, protocol));
	reply(rig, pod, seen, TCP_ACK);
	now = sent(rig);
	assert_int_equal(ntohl(now.client_address), FIXTURE_VIP);
	assert_int_equal(ntohs(now.vip_port), port);
}

static inline const struct flow_table *flows_of(const struct rig *rig, unsigned pod) {
	return &rig->pods[pod].worker->flows;
}

static inline const struct sync *sync_of(const struct rig *rig, unsigned pod) {
	return rig->pods[pod].worker->sync;
}

static inline struct flow *only_flow(const struct rig *rig, unsigned pod) {
	const struct flow_table *table = flows_of(rig, pod);
	struct flow *found = NULL;

	for (uint32_t i = 0; i < table->n_flows; i++) {
		if (table->flows[i].state == FLOW_FREE)
			continue;
		assert_null(found);
		found = &table->flows[i];
	}
	return found;
}

// The next process at a copy of the flows of the one before.
static inline struct adoption restart_in_place(struct rig *rig, unsigned i) {
	struct pod *pod = &rig->pods[i];
	struct fwd_worker *before = pod->worker;
	struct adoption adoption = {0};
	struct backend_index backends;
	void *entries = fixture_memory(backend_index_size(&rig->config));
	size_t own = (worker_memory_size(&pod->base) + 63) & ~(size_t)63;
	size_t flows = own + ((worker_group_size(&pod->base) + 63) & ~(size_t)63);
	uint8_t *memory = fixture_memory(flows + worker_flows_size(&pod->base));

	memcpy(memory + flows, before->flows.flows, worker_flows_size(&pod->base));
	backend_index_init(&backends, entries, &rig->config);
	pod->base.sync.epoch_us = rig->now_ms * 1000;
	pod->worker = worker_init(
		memory,
		memory + flows,
		&pod->base,
		pod->neighbours,
		worker_group_init(memory + own, &pod->base, 7),
		0,
		7
	);
	worker_adopt(pod->worker, &backends, (uint32_t)(rig->now_ms / 1000), &adoption);
	free(entries);
	free(before);
	return adoption;
}
