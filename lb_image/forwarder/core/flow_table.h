// SPDX-License-Identifier: Apache-2.0

// Flows of one worker and one family. A flow's index is its local (SNAT) address, port and bank, so that a reply finds its flow without
// hashing; a packet of a client finds it through buckets of tags. Only the owning worker writes; the control thread may
// read entries for display.
//
// Banks let one local port serve several backends at once: the backend's hash chooses it. There are as many as it takes
// to offer max_flows places.
//
// With session sync there are places for the local addresses of the peers too, behind those of this pod: foreign ones. Their flows come from
// sync records only, and are found and forwarded like all others.
//
// With steering, places are sorted into classes by what their local address and port add to the RSS hash of a reply, one for
// each entry of the RETA: for every backend it is then known which classes bring its replies to this worker's queue.

#pragma once

#include "fwd_config.h"
#include "steering.h"

#include <stddef.h>

enum flow_state {
	FLOW_FREE,
	FLOW_UDP,
	FLOW_TCP_SYN,     // SYN from the client seen
	FLOW_TCP_SYN_ACK, // SYN+ACK from the backend seen
	FLOW_TCP_ESTABLISHED,
	FLOW_TCP_FIN_CLIENT,  // FIN from the client only
	FLOW_TCP_FIN_BACKEND, // FIN from the backend only
	FLOW_TCP_CLOSED,      // FIN from both, or RST
	FLOW_STATE_COUNT
};

#define FLOW_NONE UINT32_MAX

// What lies in memory that outlives the process: to be raised whenever a flow, a neighbour, or what places mean, changes.
#define FLOW_LAYOUT 4

// Addresses and ports in network byte order.
struct flow_key {
	uint32_t client_address;
	uint32_t vip;
	uint16_t client_port;
	uint16_t vip_port;
	uint8_t protocol;
};

// One cache line. Written by the owning worker only.
struct flow {
	uint32_t client_address;
	uint32_t vip;
	uint16_t client_port;
	uint16_t vip_port;
	uint32_t local_address;
	uint32_t backend_address;
	uint16_t local_port;
	uint16_t backend_port;
	uint8_t state; // enum flow_state
	// enum fwd_client_address, while the backend has to be told. Beside `state`: flow_is_plain() looks at both at once.
	uint8_t untold;
	uint16_t listener; // slot in fwd_config
	uint32_t last_seen_s;
	uint32_t idle_timeout_s; // of the present state
	uint16_t
		address_delta; // checksum delta of the address rewrite towards the backend (RFC 1624)
	uint16_t l4_delta;     // the same with the ports
	uint16_t backend_neighbour;
	uint16_t client_neighbour;
	uint8_t backend_port_index; // forwarder port towards the backend
	uint8_t client_port_index;
	uint8_t protocol;
	bool is_counted : 1; // among the connections of its client
	bool ipv6 : 1;       // it is the beginning of a struct flow6
	uint8_t tells : 2;   // enum fwd_client_address of its listener when it began
	// Of session sync: the state that the peers know, FLOW_FREE: they know nothing of it.
	uint8_t synced_state : 3;
	bool is_foreign : 1; // at a place of a peer: established, not counted among the connections of anything
	uint32_t hash; // of the key
	union {
		uint32_t next_free;    // index, in state FLOW_FREE
		uint32_t backend_slot; // of the backend's counters, else
	};
	union {
		uint32_t client_isn; // host byte order, while `untold` is not NONE
		uint32_t created_s;  // when the flow began or its backend had been told, else
	};
	uint32_t
		synced_s; // when the peers were told last, or told us; of a flow with a `synced_state`
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct flow) == 64, "one cache line");

// Established, and nothing is added to its segments: what nearly every packet of TCP finds, in one comparison.
static inline bool flow_is_plain(const struct flow *flow) {
	static const uint8_t plain[2] = {FLOW_TCP_ESTABLISHED, FWD_CLIENT_ADDRESS_NONE};

	return __builtin_memcmp(&flow->state, plain, sizeof(plain)) == 0;
}
_Static_assert(offsetof(struct flow, untold) == offsetof(struct flow, state) + 1, "side by side");

// A flow of IPv6: what both families have in one line, the addresses in the next. Of those in the first line only client_address
// is used: the number of scheduler_key6() that stands for the client where its connections are counted.
struct flow6 {
	struct flow flow;
	struct ipv6_address client_address;
	struct ipv6_address vip;
	struct ipv6_address local_address;
	struct ipv6_address backend_address;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct flow6) == 128, "two cache lines");

// Who changes one of these raises FLOW_LAYOUT.
_Static_assert(
	FLOW_LAYOUT == 4 && FLOW_STATE_COUNT == 8 && offsetof(struct flow, local_address) == 12
		&& offsetof(struct flow, local_port) == 20 && offsetof(struct flow, state) == 24
		&& offsetof(struct flow, untold) == 25 && offsetof(struct flow, last_seen_s) == 28
		&& offsetof(struct flow, idle_timeout_s) == 32
		&& offsetof(struct flow, protocol) == 46 && offsetof(struct flow, hash) == 48
		&& offsetof(struct flow, created_s) == 56 && offsetof(struct flow, synced_s) == 60
		&& offsetof(struct flow6, backend_address) == 112,
	"layout 4"
);

// The key of an IPv6 flow; the addresses are where the packet has them.
struct flow_key6 {
	const struct ipv6_address *client_address;
	const struct ipv6_address *vip;
	uint16_t client_port;
	uint16_t vip_port;
	uint8_t protocol;
};

#define FLOW_BUCKET_WAYS 8

struct flow_bucket {
	uint16_t tags[FLOW_BUCKET_WAYS]; // 0: empty
	uint32_t flows[FLOW_BUCKET_WAYS];
	uint16_t passed; // flows whose home is here or before, that are kept in a later bucket
	uint16_t reserved[7];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct flow_bucket) == 64, "one cache line");

struct flow_table {
	union { // n_flows entries
		struct flow *flows;
		struct flow6 *flows6; // where `ipv6` is set
	};
	struct flow_bucket *buckets; // bucket_mask + 1 entries
	uint64_t seed;
	uint32_t bucket_mask;
	uint32_t n_flows; // places: local addresses x ports x banks
	uint32_t n_own;   // of them, those of this pod's own local addresses: the first ones
	uint32_t
		n_offered; // of them, those that are in a free list while they are free: all or none
	uint32_t max_flows; // limit of live flows at own places
	uint32_t active;    // those
	uint32_t foreign;   // live flows at foreign places, at most max_flows for each peer
	uint32_t max_foreign;
	uint64_t rotation; // for when the places are offered
	uint32_t n_ports;  // local ports of this worker
	uint32_t port_min; // first of them
	uint32_t n_banks;
	const struct fwd_base *base;
	uint32_t n_classes;    // power of two, 1 without steering
	uint32_t class_cursor; // class to look at first
	const struct steering *steering;
	uint16_t worker;
	bool ipv6;
	uint8_t flow_shift; // of a place's index, to the offset of its flow
	// By bank and class, FIFO: a port rests as long as possible before it is used again.
	uint32_t *free_head;
	uint32_t *free_tail;
	uint32_t sweep_cursor;
};

// Bytes that flow_table_init() needs for a worker of `base`: what finds the flows, and the flows themselves.
size_t flow_table_size(const struct fwd_base *base, bool ipv6);
size_t flow_table_flows_size(const struct fwd_base *base, bool ipv6);

// `memory` is zeroed, `flows` is zeroed or what a table of an equal base left; both are 64-byte aligned. Flows that are there already
// are in nobody's hand until flow_table_adopt().
void flow_table_init(
	struct flow_table *table,
	void *memory,
	void *flows,
	const struct fwd_base *base,
	bool ipv6,
	unsigned worker_index,
	uint64_t seed
);

// What both families have of the flow at a place. Where the family is a constant, flow_at() asks nothing.
static inline struct flow *flow_at(const struct flow_table *table, uint32_t index, bool ipv6) {
	return ipv6 ? &table->flows6[index].flow : &table->flows[index];
}

static inline struct flow *flow_table_at(const struct flow_table *table, uint32_t index) {
	return (struct flow *)((uint8_t *)table->flows + ((size_t)index << table->flow_shift));
}

// One 64 x 64 -> 128 bit multiplication, both halves folded: every bit of a factor reaches the low bits, which choose the
// bucket (a product's own low bits would see only the low bits of the factors).
static inline uint64_t flow_mix(uint64_t a, uint64_t b) {
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint32_t flow_hash(const struct flow_table *table, const struct flow_key *key) {
	uint64_t a = (uint64_t)key->client_address << 32 | key->vip;
	uint64_t b =
		(uint64_t)key->client_port << 32 | (uint32_t)key->vip_port << 8 | key->protocol;
	uint64_t h = flow_mix(a ^ table->seed, b ^ table->seed ^ 0x9e3779b97f4a7c15u);

	return (uint32_t)(h >> 32) ^ (uint32_t)h;
}

static inline uint32_t flow_hash6(const struct flow_table *table, const struct flow_key6 *key) {
	uint64_t client = flow_mix(
		key->client_address->high ^ table->seed,
		key->client_address->low ^ table->seed ^ 0x9e3779b97f4a7c15u
	);
	uint64_t vip = flow_mix(
		key->vip->high ^ table->seed ^ 0xbf58476d1ce4e5b9u,
		key->vip->low ^ table->seed ^ 0x94d049bb133111ebu
	);
	uint64_t b =
		(uint64_t)key->client_port << 32 | (uint32_t)key->vip_port << 8 | key->protocol;
	uint64_t h = flow_mix(client ^ vip, b ^ table->seed ^ 0x9e3779b97f4a7c15u);

	return (uint32_t)(h >> 32) ^ (uint32_t)h;
}

static inline struct flow_key flow_key(const struct flow *flow) {
	return (struct flow_key){
		.client_address = flow->client_address,
		.vip = flow->vip,
		.client_port = flow->client_port,
		.vip_port = flow->vip_port,
		.protocol = flow->protocol,
	};
}

// Of a flow that stays where it is for as long as the key is used.
static inline struct flow_key6 flow6_key(const struct flow6 *flow) {
	return (struct flow_key6){
		.client_address = &flow->client_address,
		.vip = &flow->vip,
		.client_port = flow->flow.client_port,
		.vip_port = flow->flow.vip_port,
		.protocol = flow->flow.protocol,
	};
}

static inline uint16_t flow_tag(uint32_t hash) {
	uint16_t tag = (uint16_t)(hash >> 16);

	return tag ? tag : 1;
}

static inline const struct flow_bucket *
flow_table_bucket(const struct flow_table *table, uint32_t hash) {
	return &table->buckets[hash & table->bucket_mask];
}

// The number that stands for an IPv6 backend where banks are chosen; of one bank any number chooses it.
static inline uint32_t
flow_bank_number(const struct flow_table *table, const struct ipv6_address *backend_address) {
	return table->n_banks == 1 ? 0 : ipv6_fold(backend_address);
}

// `backend_address`: of IPv6 flow_bank_number().
static inline uint32_t
flow_bank(const struct flow_table *table, uint32_t backend_address, uint16_t backend_port) {
	uint32_t h = (backend_address ^ (uint32_t)backend_port << 16) * 0x9e3779b1u;

	return (uint32_t)((uint64_t)h * table->n_banks >> 32);
}

// Place of the flow that a packet from a backend to a local address belongs to, if there is one; FLOW_NONE when the port
// is not this worker's. `local_index` counts the local addresses; ports in network byte order.
static inline uint32_t flow_table_reply_index(
	const struct flow_table *table,
	uint32_t local_index,
	uint16_t local_port,
	uint32_t backend_address,
	uint16_t backend_port
) {
	uint32_t port = (uint32_t)__builtin_bswap16(local_port) - table->port_min;

	if (port >= table->n_ports)
		return FLOW_NONE;
	return (local_index * table->n_ports + port) * table->n_banks
		+ flow_bank(table, backend_address, backend_port);
}

static inline void flow6_prefetch(const struct flow_table *table, uint32_t index) {
	__builtin_prefetch(&table->flows6[index]);
	__builtin_prefetch(&table->flows6[index].client_address);
}

static inline bool flow_matches(const struct flow *flow, const struct flow_key *key) {
	return flow->client_address == key->client_address && flow->client_port == key->client_port
		&& flow->vip == key->vip && flow->vip_port == key->vip_port
		&& flow->protocol == key->protocol && flow->state != FLOW_FREE;
}

static inline bool flow6_matches(const struct flow6 *flow, const struct flow_key6 *key) {
	return ipv6_equal(&flow->client_address, key->client_address)
		&& ipv6_equal(&flow->vip, key->vip) && flow->flow.client_port == key->client_port
		&& flow->flow.vip_port == key->vip_port && flow->flow.protocol == key->protocol
		&& flow->flow.state != FLOW_FREE;
}

// Whether a packet from this backend is a reply of the flow.
static inline bool flow_is_replied(
	const struct flow *flow, uint8_t protocol, uint32_t backend_address, uint16_t backend_port
) {
	return flow->state != FLOW_FREE && flow->protocol == protocol
		&& flow->backend_address == backend_address && flow->backend_port == backend_port;
}

static inline bool flow6_is_replied(
	const struct flow6 *flow,
	uint8_t protocol,
	const struct ipv6_address *backend_address,
	uint16_t backend_port
) {
	return flow->flow.state != FLOW_FREE && flow->flow.protocol == protocol
		&& ipv6_equal(&flow->backend_address, backend_address)
		&& flow->flow.backend_port == backend_port;
}

// First place in the home bucket whose tag matches, FLOW_NONE without one. To be prefetched; it may be another flow.
uint32_t flow_table_candidate(const struct flow_table *table, uint32_t hash);

// The flow of `key`, or FLOW_NONE.
uint32_t flow_table_find(const struct flow_table *table, const struct flow_key *key, uint32_t hash);
uint32_t
flow_table_find6(const struct flow_table *table, const struct flow_key6 *key, uint32_t hash);

// A free place for a flow to this backend whose replies come to this worker, or FLOW_NONE. Network byte order. It is the
// caller's until flow_table_insert() or flow_table_release().
uint32_t flow_table_take(struct flow_table *table, uint32_t backend_address, uint16_t backend_port);
uint32_t flow_table_take6(
	struct flow_table *table, const struct ipv6_address *backend_address, uint16_t backend_port
);

// Puts the free ones of the own places into the free lists. With session sync: once, when the flows of this pod are there again: those of the
// process before, which are all there are, else those that peers know; until then flow_table_take() finds nothing. Without, flow_table_init() does it.
void flow_table_offer(struct flow_table *table);

// Whether a flow at a place is one of this pod, not of a peer.
static inline bool flow_table_is_own(const struct flow_table *table, uint32_t index) {
	return index < table->n_own;
}

// Whether one more flow may be at this place.
static inline bool flow_table_has_room(const struct flow_table *table, uint32_t index) {
	return flow_table_is_own(table, index) ? table->active < table->max_flows
					       : table->foreign < table->max_foreign;
}

// Moves `seed` places from the head of every list to its end: a forwarder that comes back must not begin with the local ports
// of the one before, for which backends still hold connections.
void flow_table_rotate(struct flow_table *table, uint64_t seed);

// Local address index and port (host byte order) of a place.
void flow_table_place(
	const struct flow_table *table, uint32_t index, uint32_t *local, uint16_t *port
);

// Makes the filled flow findable. False when no bucket has room; the place is still the caller's.
bool flow_table_insert(struct flow_table *table, uint32_t index);

// Gives back a place that was never inserted.
void flow_table_release(struct flow_table *table, uint32_t index);

// Ends a flow.
void flow_table_delete(struct flow_table *table, uint32_t index);

// Hash of the flow's key, into the flow.
void flow_table_hash(const struct flow_table *table, struct flow *flow);

// Makes those flows findable that flow_table_init() found and `takes` says true of, after it has filled what it must but for the hash; all others end. Once,
// before anything else is done with the table.
void flow_table_adopt(
	struct flow_table *table, bool (*takes)(void *context, uint32_t index), void *context
);

// Looks at `count` places from where the last call stopped, but not beyond the last one, and deletes each flow that `ends` says
// true of. True at the end of the table: the next call begins anew.
bool flow_table_sweep(
	struct flow_table *table,
	uint32_t count,
	bool (*ends)(void *context, struct flow *flow),
	void *context
);
