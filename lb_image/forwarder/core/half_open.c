// SPDX-License-Identifier: Apache-2.0

#include "half_open.h"

#define RING_MIN 1024
// Entries that are looked at for one flow, some 50 us at the worst. On the average it is one or two: each flow adds one entry, and one
// that is of no use is looked at once.
#define LOOKS_MAX 1024

static uint32_t max_of(const struct fwd_base *base) {
	uint64_t max = (uint64_t)base->max_flows_per_worker * base->half_open_percent / 100;

	return max > 0 ? (uint32_t)max : 1;
}

// At least half of a full ring is of no use, so that there is always something to give up. A family without a local address has no
// flows.
static uint32_t ring_of(const struct fwd_base *base, bool ipv6) {
	uint32_t n_local = ipv6 ? base->n_local_addresses6 : base->n_local_addresses;
	uint32_t size = RING_MIN;

	if (n_local == 0)
		return size;
	while (size < 2 * max_of(base))
		size <<= 1;
	return size;
}

size_t half_open_size(const struct fwd_base *base, bool ipv6) {
	return ring_of(base, ipv6) * sizeof(uint32_t);
}

void half_open_init(
	struct half_open *half_open, void *memory, const struct fwd_base *base, bool ipv6
) {
	half_open->ring = memory;
	half_open->mask = ring_of(base, ipv6) - 1;
	half_open->max = max_of(base);
}

// A place may have been taken anew by a younger flow, which then is here twice; places rest for as long as there are others.
static bool is_half_open(const struct flow_table *table, uint32_t index) {
	return flow_is_half_open(flow_table_at(table, index));
}

// Makes room for an entry. Those that are still half open go to the end: none is lost but for a long run of them.
static void make_room(struct half_open *half_open, const struct flow_table *table) {
	for (unsigned n = 0; n < LOOKS_MAX; n++) {
		uint32_t index = half_open->ring[half_open->head++ & half_open->mask];

		if (!is_half_open(table, index) || n == LOOKS_MAX - 1)
			return;
		half_open->ring[half_open->tail++ & half_open->mask] = index;
	}
}

void half_open_add(struct half_open *half_open, const struct flow_table *table, uint32_t index) {
	if (half_open->tail - half_open->head > half_open->mask)
		make_room(half_open, table);
	half_open->ring[half_open->tail++ & half_open->mask] = index;
	half_open->live++;
}

uint32_t half_open_take_oldest(struct half_open *half_open, const struct flow_table *table) {
	for (unsigned n = 0; n < LOOKS_MAX && half_open->head != half_open->tail; n++) {
		uint32_t index = half_open->ring[half_open->head++ & half_open->mask];

		if (is_half_open(table, index))
			return index;
	}
	return FLOW_NONE;
}
