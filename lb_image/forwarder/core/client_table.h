// SPDX-License-Identifier: Apache-2.0

// What is remembered of clients, by listener: a table of fixed size, one word an entry. A word is read and written whole, with
// plain loads and stores, so that several workers may share a table: who writes last is right, and what is lost is forgotten.
//
// A word holds the end of the client's hash and a value; the bucket is the beginning of the hash. Two clients are taken for one
// when 27 bits and the bucket agree: what is kept here must bear that.

#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_WAYS 8 // of a bucket: one cache line
#define CLIENT_VALUE_BITS 37
#define CLIENT_VALUE_MASK ((1ull << CLIENT_VALUE_BITS) - 1)

struct client_table {
	_Atomic uint64_t *words; // 0: empty
	uint32_t bucket_mask;
};

// Bytes for at least `entries`, which is a power of two.
size_t client_table_size(uint32_t entries);

// `memory` is zeroed and 64-byte aligned.
void client_table_init(struct client_table *table, void *memory, uint32_t entries);

// Of a client's address (network byte order) at a listener (its slot). The finaliser of splitmix64 (Steele, Lea, Flood 2014).
static inline uint64_t client_hash(uint64_t seed, uint16_t listener, uint32_t address) {
	uint64_t x = ((uint64_t)address << 16 | listener) + seed * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline uint64_t client_value(uint64_t word) {
	return word & CLIENT_VALUE_MASK;
}

// The client's entry, or NULL.
_Atomic uint64_t *client_table_find(const struct client_table *table, uint64_t hash);

// An entry for a client that has none: an empty one, else the oldest of its bucket, the one whose value is the longest way
// before `now`, counted round in the bits of `time_mask`.
_Atomic uint64_t *client_table_claim(
	const struct client_table *table, uint64_t hash, uint64_t now, uint64_t time_mask
);

static inline uint64_t client_word(uint64_t hash, uint64_t value) {
	uint64_t tag = hash >> CLIENT_VALUE_BITS;

	return (tag ? tag : 1) << CLIENT_VALUE_BITS | value;
}
