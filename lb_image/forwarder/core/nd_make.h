// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "fwd_config.h"
#include "headers.h"
#include "packet.h"

// A neighbour solicitation over `port` (RFC 4861, section 7.2.2), to the target itself or to its multicast group; the destination's
// MAC is that of a group.
void nd_solicitation_make(
	const struct fwd_port *port,
	const struct ipv6_address *target,
	const struct ipv6_address *to,
	struct fwd_emit *out
);

// Has anybody this address? (RFC 4862, section 5.4.2)
void nd_probe_make(
	const struct fwd_port *port, const struct ipv6_address *target, struct fwd_emit *out
);

// An unsolicited advertisement of an address of ours to all nodes (RFC 4861, section 7.2.6).
void nd_announcement_make(
	const struct fwd_port *port, const struct ipv6_address *address, struct fwd_emit *out
);

// What an advertisement says, in a frame with room for it. `flags`: ND_FLAG_*.
struct nd_advertisement {
	struct ipv6_address target;
	struct ipv6_address to;
	const uint8_t *mac;    // of the target
	const uint8_t *to_mac; // NULL: where the multicast address `to` leads
	uint32_t flags;
};

// Length of the frame.
uint16_t nd_advertisement_write(uint8_t *frame, const struct nd_advertisement *says);
