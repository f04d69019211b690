// SPDX-License-Identifier: Apache-2.0

// Which clients' addresses a listener takes: any number of prefixes, allowed and denied, as the borders between runs of
// addresses that are taken and such that are not. Four bytes a border, at most two borders a prefix, and a search that halves:
// 18 looks for 100,000 prefixes. (Addresses of 128 bits would be another array of the same form.)

#pragma once

#include <stdbool.h>
#include <stdint.h>

// Prefixes of one listener, allowed and denied ones together.
#define SOURCE_RANGES_MAX 100000

// Never changed once it is published, but for `references`.
struct source_ranges {
	uint32_t references; // generations of listeners that have it; the configuring thread's
	uint32_t n_borders;
	// Ascending, host byte order. An address is taken when the borders up to it, itself included, are odd in number.
	uint32_t borders[];
};

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
