// SPDX-License-Identifier: Apache-2.0

// Gratuitous ARP (RFC 5227, section 3) and unsolicited neighbour advertisements (RFC 4861, section 7.2.6): a pod that takes over addresses has another MAC, and routers would go on with the
// old one until their entry ages. Our own addresses are announced at the start; VIPs: vip.h.

#pragma once

#include "fwd_config.h"
#include "packet.h"

#define ANNOUNCE_ROUNDS 3 // a second apart: broadcasts may be lost
#define ANNOUNCE_ENTRIES (2 * (FWD_MAX_LOCAL_ADDRESSES + FWD_MAX_PORTS))

// Written by worker 0 only.
struct announce_entry {
	struct ipv6_address address; // IPv4 mapped
	uint32_t last_s;
	uint8_t port;
	uint8_t rounds; // still to come
};

struct announce {
	struct announce_entry entries[ANNOUNCE_ENTRIES];
	uint16_t count;
	uint16_t cursor;
};

// Notes the addresses of `base`.
void announce_init(struct announce *announce, const struct fwd_base *base);

// Looks at the next `count` entries and writes the announcements that are due. Returns how many.
unsigned announce_run(
	struct announce *announce,
	const struct fwd_base *base,
	uint32_t now_s,
	unsigned count,
	struct fwd_emit *out,
	unsigned max
);
