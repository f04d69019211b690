// SPDX-License-Identifier: Apache-2.0

// Which clients' addresses a listener takes: any number of prefixes, allowed and denied, as the borders between runs of
// addresses that are taken and such that are not. At most two borders a prefix, of 4 bytes for IPv4 and 16 for IPv6, and a search
// that halves: 18 looks for 100,000 prefixes.

#pragma once

#include "ipv6_address.h"

#include <stdbool.h>
#include <stdint.h>

// Prefixes of one listener, allowed and denied ones together.
#define SOURCE_RANGES_MAX 100000

// Host byte order.
struct source_border6 {
	uint64_t high;
	uint64_t low;
};

// Of the family of its listener. Never changed once it is published, but for `references`.
struct source_ranges {
	uint32_t references; // generations of listeners that have it; the configuring thread's
	uint32_t n_borders;
	// Ascending; they lie behind. An address is taken when the borders up to it, itself included, are odd in number.
	union {
		const uint32_t *borders; // host byte order
		const struct source_border6 *borders6;
	};
};

// `address` in host byte order.
static inline bool source_ranges_take(const struct source_ranges *ranges, uint32_t address) {
	const uint32_t *from = ranges->borders;
	uint32_t left = ranges->n_borders;

	while (left > 0) {
		uint32_t half = left / 2;
		bool beyond = from[half] <= address;

		from = beyond ? from + half + 1 : from;
		left = beyond ? left - half - 1 : half;
	}
	return (from - ranges->borders) & 1;
}

static inline bool
source_ranges_take6(const struct source_ranges *ranges, const struct ipv6_address *address) {
	const struct source_border6 *from = ranges->borders6;
	uint64_t high = ipv6_half(address->high), low = ipv6_half(address->low);
	uint32_t left = ranges->n_borders;

	while (left > 0) {
		uint32_t half = left / 2;
		bool beyond = from[half].high < high
			|| (from[half].high == high && from[half].low <= low);

		from = beyond ? from + half + 1 : from;
		left = beyond ? left - half - 1 : half;
	}
	return (from - ranges->borders6) & 1;
}
