// SPDX-License-Identifier: Apache-2.0

#include "flow_table.h"

#include <arpa/inet.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define LINE 64

static size_t round_line(size_t size) {
	return (size + LINE - 1) & ~(size_t)(LINE - 1);
}

static uint32_t power_of_two_at_least(uint32_t n) {
	uint32_t power = 1;

	while (power < n)
		power <<= 1;
	return power;
}

// Of this pod.
static uint32_t places_per_bank(const struct fwd_base *base, bool ipv6) {
	return fwd_own_local_addresses(base, ipv6) * fwd_ports_per_worker(base, ipv6);
}

static uint32_t max_flows_of(const struct fwd_base *base) {
	return base->max_flows_per_worker * (1u + base->sync.n_peers);
}

// One where that is enough, else a quarter more than would be enough: backends do not share the banks evenly.
static uint32_t banks_of(const struct fwd_base *base, bool ipv6) {
	uint64_t places = places_per_bank(base, ipv6), wanted = base->max_flows_per_worker;

	if (wanted <= places || places == 0)
		return 1;
	wanted += wanted / 4;
	return (uint32_t)((wanted + places - 1) / places);
}

// At most half full at the limit. A family without a local address has no flows.
static uint32_t buckets_of(const struct fwd_base *base, bool ipv6) {
	const uint32_t half = FLOW_BUCKET_WAYS / 2;

	if (places_per_bank(base, ipv6) == 0)
		return 1;
	return power_of_two_at_least((max_flows_of(base) + half - 1) / half);
}

static uint32_t classes_of(const struct fwd_base *base, bool ipv6) {
	const struct steering *steering = fwd_steering(base, ipv6);

	return steering != NULL ? steering->reta_size : 1;
}

static size_t lists_size(const struct fwd_base *base, bool ipv6) {
	return round_line((size_t)banks_of(base, ipv6) * classes_of(base, ipv6) * sizeof(uint32_t));
}

size_t flow_table_flows_size(const struct fwd_base *base, bool ipv6) {
	size_t size = ipv6 ? sizeof(struct flow6) : sizeof(struct flow);

	return (size_t)places_per_bank(base, ipv6) * (1u + base->sync.n_peers)
		* banks_of(base, ipv6) * size;
}

_Static_assert(sizeof(struct flow) == 1 << 6 && sizeof(struct flow6) == 1 << 7, "flow_shift");

size_t flow_table_size(const struct fwd_base *base, bool ipv6) {
	return buckets_of(base, ipv6) * sizeof(struct flow_bucket) + 2 * lists_size(base, ipv6);
}

static uint32_t class_of(const struct flow_table *table, uint32_t index) {
	const struct fwd_base *base = table->base;
	const void *address;
	uint32_t local, wire;
	uint16_t port;

	if (table->n_classes == 1)
		return 0;
	flow_table_place(table, index, &local, &port);
	wire = htonl(base->local_addresses[local]);
	address = table->ipv6 ? (const void *)&base->local_addresses6[local] : &wire;
	return steering_destination(table->steering, address, htons(port)) & (table->n_classes - 1);
}

// List of free places that a place belongs to.
static uint32_t list_of(const struct flow_table *table, uint32_t index) {
	return index % table->n_banks * table->n_classes + class_of(table, index);
}

static void append(struct flow_table *table, uint32_t list, uint32_t index) {
	flow_table_at(table, index)->next_free = FLOW_NONE;
	if (table->free_tail[list] == FLOW_NONE)
		table->free_head[list] = index;
	else
		flow_table_at(table, table->free_tail[list])->next_free = index;
	table->free_tail[list] = index;
}

static inline __attribute__((always_inline)) uint32_t
take_first(struct flow_table *table, uint32_t list, bool ipv6) {
	uint32_t index = table->free_head[list];

	if (index == FLOW_NONE)
		return FLOW_NONE;
	table->free_head[list] = flow_at(table, index, ipv6)->next_free;
	if (table->free_head[list] == FLOW_NONE)
		table->free_tail[list] = FLOW_NONE;
	return index;
}

void flow_table_init(
	struct flow_table *table,
	void *memory,
	void *flows,
	const struct fwd_base *base,
	bool ipv6,
	unsigned worker_index,
	uint64_t seed
) {
	uint8_t *at = memory;

	table->seed = seed;
	table->base = base;
	table->worker = (uint16_t)worker_index;
	table->ipv6 = ipv6;
	table->flow_shift = ipv6 ? 7 : 6;
	table->steering = fwd_steering(base, ipv6);
	table->n_classes = classes_of(base, ipv6);
	table->n_banks = banks_of(base, ipv6);
	table->n_ports = fwd_ports_per_worker(base, ipv6);
	table->port_min = FWD_LOCAL_PORT_MIN;
	if (table->steering == NULL)
		table->port_min += worker_index * table->n_ports;
	table->n_own = places_per_bank(base, ipv6) * table->n_banks;
	table->n_flows = table->n_own * (1u + base->sync.n_peers);
	table->max_flows = base->max_flows_per_worker;
	table->max_foreign = max_flows_of(base) - table->max_flows;
	table->bucket_mask = buckets_of(base, ipv6) - 1;
	table->flows = flows;
	table->buckets = (struct flow_bucket *)at;
	at += ((size_t)table->bucket_mask + 1) * sizeof(struct flow_bucket);
	table->free_head = (uint32_t *)at;
	at += lists_size(base, ipv6);
	table->free_tail = (uint32_t *)at;
	for (uint32_t list = 0; list < table->n_banks * table->n_classes; list++)
		table->free_head[list] = table->free_tail[list] = FLOW_NONE;
	if (!base->sync.enabled)
		flow_table_offer(table);
}

void flow_table_offer(struct flow_table *table) {
	if (table->n_offered != 0)
		return;
	table->n_offered = table->n_own;
	for (uint32_t i = 0; i < table->n_own; i++) {
		if (flow_table_at(table, i)->state == FLOW_FREE)
			append(table, list_of(table, i), i);
	}
	if (table->rotation != 0)
		flow_table_rotate(table, table->rotation);
}

void flow_table_hash(const struct flow_table *table, struct flow *flow) {
	struct flow6 *flow6 = (struct flow6 *)flow;

	if (table->ipv6) {
		const struct flow_key6 key6 = flow6_key(flow6);

		flow->hash = flow_hash6(table, &key6);
	} else {
		const struct flow_key key = flow_key(flow);

		flow->hash = flow_hash(table, &key);
	}
}

// The buckets of a million flows are in no cache: they are asked for this many places ahead.
#define ADOPT_AHEAD 16

void flow_table_adopt(
	struct flow_table *table, bool (*takes)(void *context, uint32_t index), void *context
) {
	for (uint32_t ahead = 0; ahead < table->n_flows + ADOPT_AHEAD; ahead++) {
		uint32_t i = ahead - ADOPT_AHEAD;

		if (ahead < table->n_flows && flow_table_at(table, ahead)->state != FLOW_FREE) {
			flow_table_hash(table, flow_table_at(table, ahead));
			__builtin_prefetch(
				flow_table_bucket(table, flow_table_at(table, ahead)->hash)
			);
		}
		if (ahead < ADOPT_AHEAD || flow_table_at(table, i)->state == FLOW_FREE)
			continue;
		if (!flow_table_has_room(table, i) || !takes(context, i)
		    || !flow_table_insert(table, i))
			flow_table_release(table, i);
	}
}

void flow_table_rotate(struct flow_table *table, uint64_t seed) {
	uint32_t lists = table->n_banks * table->n_classes;
	uint32_t count = (uint32_t)(seed % (table->n_own / lists + 1));

	table->rotation = seed;
	for (uint32_t list = 0; list < lists; list++) {
		for (uint32_t i = 0; i < count && table->free_head[list] != FLOW_NONE; i++)
			append(table, list, take_first(table, list, table->ipv6));
	}
}

// Bit i is set when tag i of the bucket equals `tag`.
static unsigned match_tags(const struct flow_bucket *bucket, uint16_t tag) {
#ifdef __SSE2__
	__m128i tags = _mm_load_si128((const __m128i *)bucket->tags);
	__m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));

	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
#else
	unsigned matches = 0;

	for (unsigned i = 0; i < FLOW_BUCKET_WAYS; i++)
		matches |= (unsigned)(bucket->tags[i] == tag) << i;
	return matches;
#endif
}

uint32_t flow_table_candidate(const struct flow_table *table, uint32_t hash) {
	const struct flow_bucket *bucket = flow_table_bucket(table, hash);
	unsigned matches = match_tags(bucket, flow_tag(hash));

	return matches ? bucket->flows[__builtin_ctz(matches)] : FLOW_NONE;
}

// `key`: of the table's family.
static inline __attribute__((always_inline)) uint32_t
find(const struct flow_table *table, const void *key, uint32_t hash, bool ipv6) {
	uint32_t at = hash & table->bucket_mask;
	uint16_t tag = flow_tag(hash);

	for (uint32_t n = 0; n <= table->bucket_mask; n++, at = (at + 1) & table->bucket_mask) {
		const struct flow_bucket *bucket = &table->buckets[at];

		for (unsigned m = match_tags(bucket, tag); m != 0; m &= m - 1) {
			uint32_t index = bucket->flows[__builtin_ctz(m)];

			if (ipv6 ? flow6_matches(&table->flows6[index], key)
				 : flow_matches(&table->flows[index], key))
				return index;
		}
		if (bucket->passed == 0)
			break;
	}
	return FLOW_NONE;
}

uint32_t
flow_table_find(const struct flow_table *table, const struct flow_key *key, uint32_t hash) {
	return find(table, key, hash, false);
}

uint32_t
flow_table_find6(const struct flow_table *table, const struct flow_key6 *key, uint32_t hash) {
	return find(table, key, hash, true);
}

// `source`: part of the backend in the hash of a reply.
static __attribute__((noinline)) uint32_t
take_steered(struct flow_table *table, uint32_t bank, uint32_t source) {
	uint32_t mask = table->n_classes - 1;

	for (uint32_t n = 0; n < table->n_classes; n++) {
		uint32_t class = table->class_cursor++ & mask, index;

		if (steering_worker(table->steering, source ^ class) != table->worker)
			continue;
		index = take_first(table, bank * table->n_classes + class, table->ipv6);
		if (index != FLOW_NONE)
			return index;
	}
	return FLOW_NONE;
}

uint32_t
flow_table_take(struct flow_table *table, uint32_t backend_address, uint16_t backend_port) {
	uint32_t bank = flow_bank(table, backend_address, backend_port);

	if (table->n_classes == 1)
		return take_first(table, bank, false);
	return take_steered(
		table, bank, steering_source(table->steering, &backend_address, backend_port)
	);
}

uint32_t flow_table_take6(
	struct flow_table *table, const struct ipv6_address *backend_address, uint16_t backend_port
) {
	uint32_t bank = flow_bank(table, flow_bank_number(table, backend_address), backend_port);

	if (table->n_classes == 1)
		return take_first(table, bank, true);
	return take_steered(
		table, bank, steering_source(table->steering, backend_address, backend_port)
	);
}

void flow_table_release(struct flow_table *table, uint32_t index) {
	flow_table_at(table, index)->state = FLOW_FREE;
	if (index < table->n_offered)
		append(table, list_of(table, index), index);
}

void flow_table_place(
	const struct flow_table *table, uint32_t index, uint32_t *local, uint16_t *port
) {
	uint32_t place = index / table->n_banks;

	*local = place / table->n_ports;
	*port = (uint16_t)(table->port_min + place % table->n_ports);
}

// Free way of a bucket, or -1.
static int free_way(const struct flow_bucket *bucket) {
	unsigned empty = match_tags(bucket, 0);

	return empty ? __builtin_ctz(empty) : -1;
}

// A flow that finds its home full goes to the next bucket with room, and every bucket that it passed counts it: a search
// stops at the first bucket that nobody passed.
bool flow_table_insert(struct flow_table *table, uint32_t index) {
	uint32_t hash = flow_table_at(table, index)->hash;
	uint32_t at = hash & table->bucket_mask, n = 0;
	int way;

	while ((way = free_way(&table->buckets[at])) < 0) {
		if (n++ == table->bucket_mask)
			return false;
		at = (at + 1) & table->bucket_mask;
	}
	for (uint32_t b = hash & table->bucket_mask; b != at; b = (b + 1) & table->bucket_mask)
		table->buckets[b].passed++;
	table->buckets[at].flows[way] = index;
	table->buckets[at].tags[way] = flow_tag(hash);
	if (flow_table_is_own(table, index))
		table->active++;
	else
		table->foreign++;
	return true;
}

static bool remove_from(struct flow_bucket *bucket, uint32_t index, uint16_t tag) {
	for (unsigned m = match_tags(bucket, tag); m != 0; m &= m - 1) {
		unsigned way = __builtin_ctz(m);

		if (bucket->flows[way] == index) {
			bucket->tags[way] = 0;
			return true;
		}
	}
	return false;
}

void flow_table_delete(struct flow_table *table, uint32_t index) {
	uint32_t hash = flow_table_at(table, index)->hash;
	uint32_t at = hash & table->bucket_mask;

	while (!remove_from(&table->buckets[at], index, flow_tag(hash))) {
		table->buckets[at].passed--;
		at = (at + 1) & table->bucket_mask;
	}
	if (flow_table_is_own(table, index))
		table->active--;
	else
		table->foreign--;
	flow_table_release(table, index);
}

bool flow_table_sweep(
	struct flow_table *table,
	uint32_t count,
	bool (*ends)(void *context, struct flow *flow),
	void *context
) {
	for (; count > 0 && table->sweep_cursor < table->n_flows; count--, table->sweep_cursor++) {
		struct flow *flow = flow_table_at(table, table->sweep_cursor);

		if (flow->state != FLOW_FREE && ends(context, flow))
			flow_table_delete(table, table->sweep_cursor);
	}
	if (table->sweep_cursor < table->n_flows)
		return false;
	table->sweep_cursor = 0;
	return true;
}
