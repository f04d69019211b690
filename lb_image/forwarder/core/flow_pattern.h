// SPDX-License-Identifier: Apache-2.0

// Which flows somebody wants to see: what is not given matches all.

#pragma once

#include "ipv6_address.h"

struct flow_pattern_end {
	struct ipv6_address prefix; // IPv4 mapped
	uint8_t length;             // of the prefix, bits of the mapped address; 0: any address
	uint16_t port;              // host byte order; 0: any port
};

struct flow_pattern {
	struct flow_pattern_end client, vip, backend;
	uint8_t protocol; // IPPROTO_*; 0: any
};

static inline bool flow_pattern_end_matches(
	const struct flow_pattern_end *end, const struct ipv6_address *address, uint16_t port
) {
	return ipv6_in_prefix(address, &end->prefix, end->length)
		&& (end->port == 0 || end->port == port);
}

static inline bool flow_pattern_takes(const struct flow_pattern *pattern, uint8_t protocol) {
	return pattern->protocol == 0 || pattern->protocol == protocol;
}
