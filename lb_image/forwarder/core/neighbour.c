// SPDX-License-Identifier: Apache-2.0

#include "neighbour.h"

#include "arp_request.h"
#include "headers.h"

#include <string.h>

#define USABLE (1ull << 63)

static uint64_t key_of(uint8_t port, uint32_t address) {
	return USABLE | (uint64_t)port << 32 | address;
}

static uint16_t home_of(uint64_t key) {
	return (uint16_t)((key * 0x9e3779b97f4a7c15u) >> 52) % NEIGHBOUR_MAX;
}

// Index of the key, or of the empty entry where it belongs; NEIGHBOUR_NONE when the table is full without it.
static uint16_t probe(struct neighbour_table *table, uint64_t key, uint64_t *found) {
	uint16_t i = home_of(key);

	for (unsigned n = 0; n < NEIGHBOUR_MAX; n++, i = (i + 1) % NEIGHBOUR_MAX) {
		*found = atomic_load_explicit(&table->entries[i].key, memory_order_relaxed);
		if (*found == key || *found == 0)
			return i;
	}
	return NEIGHBOUR_NONE;
}

uint16_t neighbour_get(struct neighbour_table *table, uint8_t port, uint32_t address) {
	uint64_t key = key_of(port, address), found;
	uint16_t i;

	while ((i = probe(table, key, &found)) != NEIGHBOUR_NONE && found != key) {
		uint64_t empty = 0;

		if (atomic_compare_exchange_strong(&table->entries[i].key, &empty, key))
			break;
	}
	return i;
}

bool neighbour_learn(
	struct neighbour_table *table,
	uint8_t port,
	uint32_t address,
	const uint8_t mac[6],
	uint32_t now_s
) {
	uint64_t key = key_of(port, address), found, value = 0;
	uint16_t i = probe(table, key, &found);

	if (i == NEIGHBOUR_NONE || found != key)
		return false;
	memcpy(&value, mac, ETHER_ADDR_SIZE);
	atomic_store_explicit(&table->entries[i].confirmed_s, now_s, memory_order_relaxed);
	atomic_store_explicit(&table->entries[i].mac, value | USABLE, memory_order_relaxed);
	return true;
}

static bool is_due(struct neighbour *entry, uint32_t now_s) {
	bool known = atomic_load_explicit(&entry->mac, memory_order_relaxed) != 0;
	uint32_t asked_s = atomic_load_explicit(&entry->asked_s, memory_order_relaxed);
	uint32_t age_s = now_s - atomic_load_explicit(&entry->confirmed_s, memory_order_relaxed);

	// Another worker's clock may be a moment ahead: then the age wraps, and the entry is fresh.
	if (known && (int32_t)age_s >= NEIGHBOUR_FORGET_S) {
		atomic_store_explicit(&entry->mac, 0, memory_order_relaxed);
		known = false;
	}
	if (known && (int32_t)age_s < NEIGHBOUR_CONFIRM_S)
		return false;
	// 0: never asked. The clock of a shell may start at 0, so asked_s is kept one ahead.
	if (asked_s != 0 && now_s + 1 - asked_s < NEIGHBOUR_RETRY_S)
		return false;
	atomic_store_explicit(&entry->asked_s, now_s + 1, memory_order_relaxed);
	return true;
}

unsigned neighbour_refresh(
	struct neighbour_table *table,
	const struct fwd_base *base,
	uint32_t now_s,
	uint16_t *cursor,
	unsigned count,
	struct fwd_emit *out,
	unsigned max
) {
	unsigned made = 0;

	for (; count > 0 && made < max; count--, *cursor = (*cursor + 1) % NEIGHBOUR_MAX) {
		struct neighbour *entry = &table->entries[*cursor];
		uint64_t key = atomic_load_explicit(&entry->key, memory_order_relaxed);
		uint8_t port = (uint8_t)((key & ~USABLE) >> 32);

		if (key == 0 || !is_due(entry, now_s))
			continue;
		arp_request_make(
			&base->ports[port], base->ports[port].address, (uint32_t)key, &out[made]
		);
		out[made++].port_out = port;
	}
	return made;
}

bool neighbour_read(
	const struct neighbour_table *table, uint16_t index, struct neighbour_view *out
) {
	const struct neighbour *entry = &table->entries[index];
	uint64_t key = atomic_load_explicit(&entry->key, memory_order_relaxed);
	uint64_t mac = atomic_load_explicit(&entry->mac, memory_order_relaxed);

	if (key == 0)
		return false;
	out->address = (uint32_t)key;
	out->port = (uint8_t)((key & ~USABLE) >> 32);
	out->resolved = mac != 0;
	memcpy(out->mac, &mac, sizeof(out->mac));
	return true;
}
