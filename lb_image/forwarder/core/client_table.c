// SPDX-License-Identifier: Apache-2.0

#include "client_table.h"

#define LINE 64

static uint32_t buckets_of(uint32_t entries) {
	return entries > CLIENT_WAYS ? entries / CLIENT_WAYS : 1;
}

size_t client_table_size(uint32_t entries) {
	return (size_t)buckets_of(entries) * LINE;
}

void client_table_init(struct client_table *table, void *memory, uint32_t entries) {
	table->words = memory;
	table->bucket_mask = buckets_of(entries) - 1;
}

static _Atomic uint64_t *bucket_of(const struct client_table *table, uint64_t hash) {
	return &table->words[(size_t)(hash & table->bucket_mask) * CLIENT_WAYS];
}

_Atomic uint64_t *client_table_find(const struct client_table *table, uint64_t hash) {
	_Atomic uint64_t *bucket = bucket_of(table, hash);
	uint64_t tag = client_word(hash, 0) >> CLIENT_VALUE_BITS;

	for (unsigned i = 0; i < CLIENT_WAYS; i++) {
		uint64_t word = atomic_load_explicit(&bucket[i], memory_order_relaxed);

		if (word >> CLIENT_VALUE_BITS == tag)
			return &bucket[i];
	}
	return NULL;
}

_Atomic uint64_t *client_table_claim(
	const struct client_table *table, uint64_t hash, uint64_t now, uint64_t time_mask
) {
	_Atomic uint64_t *bucket = bucket_of(table, hash);
	uint64_t longest = 0;
	unsigned oldest = 0;

	for (unsigned i = 0; i < CLIENT_WAYS; i++) {
		uint64_t word = atomic_load_explicit(&bucket[i], memory_order_relaxed);
		uint64_t age = (now - word) & time_mask;

		if (word == 0)
			return &bucket[i];
		if (age > longest) {
			longest = age;
			oldest = i;
		}
	}
	return &bucket[oldest];
}
