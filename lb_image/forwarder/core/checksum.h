// SPDX-License-Identifier: Apache-2.0

// Internet checksum arithmetic (RFC 1071, RFC 1624). Values are 16-bit words as they lie in memory: a one's complement
// sum does not depend on the byte order.

#pragma once

#include "headers.h"

#include <arpa/inet.h>
#include <stdint.h>

static inline uint16_t checksum_fold(uint32_t sum) {
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static inline uint16_t checksum_add(uint16_t a, uint16_t b) {
	uint32_t sum = (uint32_t)a + b;

	return (uint16_t)(sum + (sum >> 16));
}

// What replacing `from` by `to` adds to the sum of the covered words: ~m + m' of RFC 1624 (eqn. 3).
static inline uint16_t checksum_delta16(uint16_t from, uint16_t to) {
	return checksum_add((uint16_t)~from, to);
}

static inline uint16_t checksum_delta32(uint32_t from, uint32_t to) {
	return checksum_fold(
		(uint32_t)(uint16_t)~from + (uint16_t)(~from >> 16) + (to & 0xffff) + (to >> 16)
	);
}

// HC' = ~(~HC + delta), RFC 1624 (eqn. 3). A wrong checksum stays wrong by the same difference.
static inline uint16_t checksum_adjust(uint16_t checksum, uint16_t delta) {
	return (uint16_t)~checksum_add((uint16_t)~checksum, delta);
}

// Sum of `words` 16-bit words at `data`, folded; 0xffff over a header whose checksum is right.
static inline uint16_t checksum_words(const void *data, unsigned words) {
	const uint8_t *p = data;
	uint64_t sum = 0;
	uint32_t v;
	uint16_t w;

	for (; words >= 2; words -= 2, p += 4) {
		__builtin_memcpy(&v, p, sizeof(v));
		sum += v;
	}
	if (words) {
		__builtin_memcpy(&w, p, sizeof(w));
		sum += w;
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	return checksum_fold((uint32_t)sum);
}

// The same over bytes: an odd last one is padded with 0.
static inline uint16_t checksum_bytes(const void *data, unsigned length) {
	uint16_t sum = checksum_words(data, length / 2), last = 0;

	if (length % 2 == 0)
		return sum;
	__builtin_memcpy(&last, (const uint8_t *)data + length - 1, 1);
	return checksum_add(sum, last);
}

// True when the checksum of an IPv4 header without options is right.
static inline int checksum_ipv4_good(const void *header) {
	const uint8_t *p = header;
	uint64_t a, b, sum;
	uint32_t c;

	__builtin_memcpy(&a, p, sizeof(a));
	__builtin_memcpy(&b, p + 8, sizeof(b));
	__builtin_memcpy(&c, p + 16, sizeof(c));
	sum = (a & 0xffffffff) + (a >> 32) + (b & 0xffffffff) + (b >> 32) + c;
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	return checksum_fold((uint32_t)sum) == 0xffff;
}

// Sum of the pseudo headers, unfolded; `length` is that of what follows the IP header and its extensions.
static inline uint32_t
checksum_pseudo(const struct ipv4_header *ip, uint8_t protocol, unsigned length) {
	return (uint32_t)checksum_words(&ip->src, 4) + htons(protocol) + htons((uint16_t)length);
}

// RFC 8200, section 8.1.
static inline uint32_t
checksum_pseudo6(const struct ipv6_header *ip, uint8_t protocol, unsigned length) {
	return (uint32_t)checksum_words(&ip->src, 16) + htons(protocol) + htons((uint16_t)length);
}

// What replacing one address by another adds to the sum.
static inline uint16_t
checksum_delta6(const struct ipv6_address *from, const struct ipv6_address *to) {
	return checksum_add((uint16_t)~checksum_words(from, 8), checksum_words(to, 8));
}
