// SPDX-License-Identifier: Apache-2.0

// IPv6 addresses as values (RFC 4291). One holds an IPv4 address too, mapped, where code is for both families.

#pragma once

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>

// Network byte order, both halves as they lie in memory. Packed: inside packets it is not aligned.
struct ipv6_address {
	uint64_t high;
	uint64_t low;
} __attribute__((packed));
_Static_assert(sizeof(struct ipv6_address) == 16, "RFC 4291");

static inline uint64_t ipv6_half(uint64_t host) {
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(host) : host;
}

static inline struct ipv6_address ipv6_make(uint64_t high, uint64_t low) {
	return (struct ipv6_address){ipv6_half(high), ipv6_half(low)};
}

static inline bool ipv6_equal(const struct ipv6_address *a, const struct ipv6_address *b) {
	return ((a->high ^ b->high) | (a->low ^ b->low)) == 0;
}

static inline bool ipv6_is_unspecified(const struct ipv6_address *address) {
	return (address->high | address->low) == 0;
}

static inline bool ipv6_is_loopback(const struct ipv6_address *address) {
	return address->high == 0 && address->low == ipv6_half(1);
}

static inline bool ipv6_is_multicast(const struct ipv6_address *address) {
	return ipv6_half(address->high) >> 56 == 0xff;
}

static inline bool ipv6_is_link_local(const struct ipv6_address *address) {
	return ipv6_half(address->high) >> 54 == 0xfe80 >> 6;
}

// ::ffff:0:0/96 (RFC 4291, section 2.5.5.2). `address` in host byte order.
static inline struct ipv6_address ipv6_mapped(uint32_t address) {
	return ipv6_make(0, 0xffff00000000u | address);
}

static inline bool ipv6_is_mapped(const struct ipv6_address *address) {
	return address->high == 0 && ipv6_half(address->low) >> 32 == 0xffff;
}

// The IPv4 address in a mapped one, host byte order.
static inline uint32_t ipv6_to_ipv4(const struct ipv6_address *address) {
	return (uint32_t)ipv6_half(address->low);
}

static inline bool ipv6_in_prefix(
	const struct ipv6_address *address, const struct ipv6_address *prefix, unsigned length
) {
	uint64_t high = ipv6_half(address->high ^ prefix->high);
	uint64_t low = ipv6_half(address->low ^ prefix->low);

	if (length <= 64)
		return length == 0 || high >> (64 - length) == 0;
	return high == 0 && low >> (128 - length) == 0;
}

// The first `length` bits.
static inline struct ipv6_address
ipv6_network(const struct ipv6_address *address, unsigned length) {
	unsigned high = length < 64 ? length : 64, low = length - high;

	return (struct ipv6_address){
		high == 0 ? 0 : address->high & ipv6_half(UINT64_MAX << (64 - high)),
		low == 0 ? 0 : address->low & ipv6_half(UINT64_MAX << (64 - low)),
	};
}

// ff02::1:ffXX:XXXX (RFC 4291, section 2.7.1).
static inline struct ipv6_address ipv6_solicited_node(const struct ipv6_address *address) {
	return ipv6_make(0xff02000000000000u, 0x1ff000000u | (ipv6_half(address->low) & 0xffffff));
}

// ff02::1
static inline struct ipv6_address ipv6_all_nodes(void) {
	return ipv6_make(0xff02000000000000u, 1);
}

// 32 bits for tables that spread addresses. Hosts of a network differ in what are the highest bits of a half as it lies in memory:
// both halves of the product are folded, so that these reach the lowest too. Good against the patterns of real networks, not
// against somebody who chooses addresses.
static inline uint32_t ipv6_fold(const struct ipv6_address *address) {
	uint64_t x = (address->high * 0x9e3779b97f4a7c15u) ^ address->low;
	unsigned __int128 product = (unsigned __int128)x * 0xbf58476d1ce4e5b9u;
	uint64_t folded = (uint64_t)product ^ (uint64_t)(product >> 64);

	return (uint32_t)(folded >> 32) ^ (uint32_t)folded;
}

// As people write it; a mapped one as dotted quad.
const char *ipv6_text(const struct ipv6_address *address, char text[INET6_ADDRSTRLEN]);
