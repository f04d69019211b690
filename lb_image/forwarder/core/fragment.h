// SPDX-License-Identifier: Apache-2.0

// Fragments of datagrams (RFC 791; RFC 8200, section 4.5): only the first carries the ports, so its flow is remembered for the rest. A later
// fragment that comes before the first is dropped: to hold it would let anybody fill our memory.

#pragma once

#include "fwd_config.h"

#define FRAGMENT_SETS 2048
#define FRAGMENT_WAYS 2
#define FRAGMENT_FORGET_S 30 // as long as most hosts wait for the rest of a datagram

// A datagram, as it came, network byte order. IPv4 addresses are mapped; of IPv6 the protocol does not count.
struct fragment_key {
	struct ipv6_address src;
	struct ipv6_address dst;
	uint32_t id;
	uint8_t protocol;
};

struct fragment_entry {
	struct fragment_key key;
	uint32_t flow; // place in the flow table, FLOW_NONE where another worker has it
	uint32_t seen_s;
	uint32_t id_out; // identification that its fragments leave with, host byte order
	uint8_t owner;   // worker
	bool used;
};

// Of one worker. When a set is full the older entry gives way.
struct fragment_table {
	struct fragment_entry entries[FRAGMENT_SETS][FRAGMENT_WAYS];
	uint32_t next_id;
};

// Remembers the first fragment of a datagram of `flow`; returns the identification that all its fragments shall leave with:
// many clients share a local address, and two that chose the same number at one time must not be put together. Host byte order; of
// IPv4 the low 16 bits count.
uint32_t fragment_remember(
	struct fragment_table *table,
	const struct fragment_key *key,
	uint32_t flow,
	uint16_t owner,
	uint32_t now_s
);

// What was remembered of the datagram, or NULL.
const struct fragment_entry *
fragment_find(const struct fragment_table *table, const struct fragment_key *key, uint32_t now_s);
