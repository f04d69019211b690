// SPDX-License-Identifier: Apache-2.0

#include "fragment.h"

#include <stddef.h>

static uint32_t set_of(const struct fragment_key *key) {
	uint64_t a = (uint64_t)ipv6_fold(&key->src) << 32 | ipv6_fold(&key->dst);
	uint64_t b = (uint64_t)key->id << 8 | key->protocol;

	return (uint32_t)(((a ^ b * 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u) >> 32)
		% FRAGMENT_SETS;
}

static bool is_live(const struct fragment_entry *entry, uint32_t now_s) {
	return entry->used && now_s - entry->seen_s < FRAGMENT_FORGET_S;
}

static bool is_of(const struct fragment_entry *entry, const struct fragment_key *key) {
	return ipv6_equal(&entry->key.src, &key->src) && ipv6_equal(&entry->key.dst, &key->dst)
		&& entry->key.id == key->id && entry->key.protocol == key->protocol;
}

const struct fragment_entry *
fragment_find(const struct fragment_table *table, const struct fragment_key *key, uint32_t now_s) {
	const struct fragment_entry *entries = table->entries[set_of(key)];

	for (unsigned way = 0; way < FRAGMENT_WAYS; way++) {
		if (is_live(&entries[way], now_s) && is_of(&entries[way], key))
			return &entries[way];
	}
	return NULL;
}

uint32_t fragment_remember(
	struct fragment_table *table,
	const struct fragment_key *key,
	uint32_t flow,
	uint16_t owner,
	uint32_t now_s
) {
	struct fragment_entry *entries = table->entries[set_of(key)], *chosen = NULL;
	uint32_t chosen_age_s = 0;

	for (unsigned way = 0; way < FRAGMENT_WAYS; way++) {
		struct fragment_entry *entry = &entries[way];
		bool live = is_live(entry, now_s);
		uint32_t age_s = live ? now_s - entry->seen_s : UINT32_MAX;

		if (live && is_of(entry, key)) {
			chosen = entry;
			break;
		}
		if (chosen == NULL || age_s > chosen_age_s) {
			chosen = entry;
			chosen_age_s = age_s;
		}
	}
	*chosen = (struct fragment_entry){
		.key = *key,
		.flow = flow,
		.seen_s = now_s,
		.id_out = table->next_id++,
		.owner = (uint8_t)owner,
		.used = true,
	};
	return chosen->id_out;
}
