// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "json_node.h"

#include <source_ranges.h>

// Of either family: an IPv4 address has the highest 32 bits, so that lengths mean the same.
struct source_prefix {
	uint64_t high, low; // host byte order, no bits beyond the length
	uint8_t length;
	bool denied;
};

// Kubernetes' rule: no allowed prefix means all, and what is denied stays denied. All prefixes are of the family that `ipv6` tells. To
// be given back with source_ranges_free(); NULL without memory.
struct source_ranges *
source_ranges_build(const struct source_prefix *prefixes, size_t count, bool ipv6);

// Reads "allowed_source_ranges" and "denied_source_ranges", of the family that `ipv6` tells: others are refused. `*ranges` is NULL
// where both are empty or missing, `running` (of the same family, may be NULL) with one reference more where it says the same.
// False with errors added.
bool source_ranges_read(
	const struct json_node *root,
	bool ipv6,
	struct source_ranges *running,
	struct source_ranges **ranges
);

// Gives back one reference; NULL is allowed.
void source_ranges_free(struct source_ranges *ranges);
