// SPDX-License-Identifier: Apache-2.0

#include "siphash.h"

#include <string.h>

static uint64_t rotate(uint64_t value, unsigned by) {
	return value << by | value >> (64 - by);
}

static void sip_round(uint64_t v[4]) {
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static void absorb(uint64_t v[4], uint64_t word) {
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

// Little-endian, as the paper has it; at most 8 bytes.
static uint64_t word_at(const uint8_t *at, size_t bytes) {
	uint64_t word = 0;

	for (size_t i = 0; i < bytes; i++)
		word |= (uint64_t)at[i] << 8 * i;
	return word;
}

uint64_t siphash(const uint8_t key[SIPHASH_KEY_SIZE], const void *data, size_t length) {
	const uint8_t *at = data, *end = at + length / 8 * 8;
	uint64_t k0 = word_at(key, 8), k1 = word_at(key + 8, 8);
	uint64_t v[4] = {
		k0 ^ 0x736f6d6570736575u,
		k1 ^ 0x646f72616e646f6du,
		k0 ^ 0x6c7967656e657261u,
		k1 ^ 0x7465646279746573u,
	};

	for (; at < end; at += 8)
		absorb(v, word_at(at, 8));
	absorb(v, (uint64_t)(length & 0xff) << 56 | word_at(at, length % 8));
	v[2] ^= 0xff;
	for (unsigned i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
