// SPDX-License-Identifier: Apache-2.0

// What the unit tests of the core share: a small configuration, a worker on it, and frames. Tests only.

#pragma once

#include "checksum.h"
#include "headers.h"
#include "worker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIXTURE_CLIENT 0x64400001u
#define FIXTURE_VIP 0xc633640au
#define FIXTURE_LOCAL 0x0a4e0101u
#define FIXTURE_GATEWAYS \
	{ 0x0a4d0001u, 0x0a4e0001u }
#define FIXTURE_NOW_S 1000u

struct fixture {
	struct fwd_base base;
	struct fwd_config config;
	struct fwd_listener *listener;
	struct neighbour_table *neighbours;
	struct fwd_worker *worker;
	uint8_t before[FWD_TAG_SIZE];
	uint8_t frame[FWD_FRAME_ROOM + FWD_TAG_SIZE];
	struct fwd_packet packet;
};

static inline struct fwd_base fixture_base(uint32_t max_flows, uint16_t n_workers) {
	return (struct fwd_base){
		.max_flows_per_worker = max_flows,
		.half_open_percent = 50,
		.n_workers = n_workers,
		.n_ports = 2,
		.n_local_addresses = 1,
		.local_addresses = {FIXTURE_LOCAL},
		.ports =
			{
				{.name = "external",
				 .address = 0x0a4d000b,
				 .gateway = 0x0a4d0001,
				 .mtu = 1500,
				 .prefix_length = 24,
				 .mac = {2, 0, 0, 0, 0, 1}},
				{.name = "internal",
				 .address = 0x0a4e000b,
				 .gateway = 0x0a4e0001,
				 .mtu = 1500,
				 .prefix_length = 16,
				 .mac = {2, 0, 0, 0, 0, 2}},
			},
	};
}

static inline struct fwd_listener *
fixture_listener(uint8_t protocol, unsigned n, const uint16_t *weights) {
	struct fwd_listener *listener =
		calloc(1,
		       sizeof(*listener) + n * sizeof(struct fwd_backend)
			       + FWD_HASH_PLACES * sizeof(uint16_t));

	assert_non_null(listener);
	listener->hash_places = (_Atomic uint16_t *)&listener->backends[n];
	listener->vip = FIXTURE_VIP;
	listener->port = 80;
	listener->protocol = protocol;
	listener->scheduler = FWD_SCHEDULER_WRR;
	listener->timeouts = (struct fwd_timeouts){900, 60, 50, 180};
	listener->n_backends = n;
	for (unsigned i = 0; i < n; i++)
		listener->backends[i] =
			(struct fwd_backend){{0x0af40005 + i}, 8080, weights[i], i, 0};
	fwd_listener_measure(listener);
	return listener;
}

// Zeroed, whole cache lines.
static inline void *fixture_memory(size_t size) {
	size_t whole = (size + 63) & ~(size_t)63;
	void *memory = aligned_alloc(64, whole);

	assert_non_null(memory);
	memset(memory, 0, whole);
	return memory;
}

// A table alone; returns its memory.
static inline void *
fixture_table(struct flow_table *table, const struct fwd_base *base, bool ipv6, unsigned worker) {
	size_t flows = flow_table_flows_size(base, ipv6);
	uint8_t *memory = fixture_memory(flows + flow_table_size(base, ipv6));

	memset(table, 0, sizeof(*table));
	flow_table_init(table, memory + flows, memory, base, ipv6, worker, 42);
	return memory;
}

// `group`: NULL makes one.
static inline struct fwd_worker *fixture_worker_of(
	const struct fwd_base *base,
	struct neighbour_table *neighbours,
	struct worker_group *group,
	unsigned index
) {
	size_t own = (worker_memory_size(base) + 63) & ~(size_t)63;
	size_t flows = own + ((worker_group_size(base) + 63) & ~(size_t)63);
	uint8_t *memory = fixture_memory(flows + worker_flows_size(base));

	if (group == NULL)
		group = worker_group_init(memory + own, base, 42);
	return worker_init(memory, memory + flows, base, neighbours, group, index, 42);
}

// A worker that is alone.
static inline struct fwd_worker *
fixture_worker(const struct fwd_base *base, struct neighbour_table *neighbours, unsigned index) {
	return fixture_worker_of(base, neighbours, NULL, index);
}

static inline void fixture_start(struct fixture *f, uint32_t max_flows, uint8_t protocol) {
	static const uint32_t gateways[] = FIXTURE_GATEWAYS;
	static const uint8_t mac[] = {2, 0xfe, 0, 0, 0, 1};

	memset(f, 0, sizeof(*f));
	f->base = fixture_base(max_flows, 1);
	f->listener = fixture_listener(protocol, 1, (uint16_t[]){1});
	f->config.listeners[0] = f->listener;
	fwd_config_index(&f->config);
	fwd_config_grant(&f->config, NULL);
	f->neighbours = calloc(1, sizeof(*f->neighbours));
	assert_non_null(f->neighbours);
	f->worker = fixture_worker(&f->base, f->neighbours, 0);
	for (uint8_t port = 0; port < 2; port++)
		assert_true(neighbour_learn(f->neighbours, port, gateways[port], mac, FIXTURE_NOW_S)
		);
}

static inline void fixture_stop(struct fixture *f) {
	free(f->worker);
	free(f->neighbours);
	free(f->listener);
}

// A frame with a right IPv4 checksum and an L4 checksum of any value but 0. `flags`: TCP only.
static inline void fixture_frame(
	struct fixture *f,
	uint8_t port,
	uint32_t src,
	uint16_t src_port,
	uint32_t dst,
	uint16_t dst_port,
	uint8_t flags
) {
	struct ether_header *ether = (struct ether_header *)f->frame;
	struct ipv4_header *ip = (struct ipv4_header *)(ether + 1);
	struct tcp_header *tcp = (struct tcp_header *)(ip + 1);
	struct udp_header *udp = (struct udp_header *)(ip + 1);
	bool is_tcp = f->listener->protocol == IPPROTO_TCP;

	memset(f->frame, 0, sizeof(f->frame));
	memcpy(ether->dst, f->base.ports[port].mac, ETHER_ADDR_SIZE);
	ether->type = htons(ETHER_TYPE_IPV4);
	*ip = (struct ipv4_header){
		.version_ihl = 0x45,
		.total_length = htons(40),
		.ttl = 64,
		.protocol = f->listener->protocol,
		.src = htonl(src),
		.dst = htonl(dst),
	};
	ip->checksum = (uint16_t)~checksum_words(ip, 10);
	udp->src = htons(src_port);
	udp->dst = htons(dst_port);
	if (is_tcp) {
		tcp->data_offset = 0x50;
		tcp->flags = flags;
	} else {
		udp->length = htons(20);
		udp->checksum = htons(0x1234);
	}
	f->packet = (struct fwd_packet){.data = f->frame, .len = 60, .port_in = port};
}

static inline void fixture_process(struct fixture *f, uint32_t now_s) {
	worker_process(f->worker, &f->config, &f->packet, 1, now_s * 1000ull);
}

// A client's packet on the external port.
static inline void
fixture_client(struct fixture *f, uint16_t src_port, uint8_t flags, uint32_t now_s) {
	fixture_frame(f, 0, FIXTURE_CLIENT, src_port, FIXTURE_VIP, 80, flags);
	fixture_process(f, now_s);
}

// Two workers of one group in place of the fixture's one.
static inline void fixture_pair(struct fixture *f, struct fwd_worker *workers[2]) {
	void *group;

	f->base.n_workers = 2;
	group = fixture_memory(worker_group_size(&f->base));
	worker_group_init(group, &f->base, 42);
	free(f->worker);
	for (unsigned i = 0; i < 2; i++)
		workers[i] = fixture_worker_of(&f->base, f->neighbours, group, i);
	f->worker = workers[0];
}

// The second one is left to fixture_stop().
static inline void fixture_pair_stop(struct fixture *f, struct fwd_worker *workers[2]) {
	free(workers[0]->group);
	free(workers[0]);
	f->worker = workers[1];
}
