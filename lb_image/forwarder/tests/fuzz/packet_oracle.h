// SPDX-License-Identifier: Apache-2.0

// What must hold of every frame, whatever it holds. Shares no code with the core; aborts where it does not hold.

#pragma once

#include "must.h"

#include <packet.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// A frame as it was before the core had it.
struct frame_copy {
	uint8_t data[2048];
	uint16_t len;
};

// Sum of the 16-bit words at `data`, modulo 65535; 0 over what carries a right checksum (RFC 1071).
uint32_t oracle_residue(const uint8_t *data, unsigned length);

static inline unsigned oracle_read16(const uint8_t *at) {
	return (unsigned)at[0] << 8 | at[1];
}

// Makes the IPv4 header checksum of a frame right, where there is a whole header.
void oracle_fix_ip(uint8_t *frame, unsigned len);

// Makes the TCP, UDP or ICMP checksum right, where there is a whole datagram. Needs a right IPv4 header.
void oracle_fix_l4(uint8_t *frame, unsigned len);

// Both of these where asked for, behind a tag too.
void oracle_fix(uint8_t *frame, unsigned len, bool ip, bool l4);

// Checks the tags of a frame as it came in by a port with `vlan_in` and as it leaves by one with `vlan_out`, 0 for none, and
// the verdict of those that are not in the VLAN; then takes the tags off both.
void oracle_check_tags(
	struct frame_copy *before, struct fwd_packet *after, uint16_t vlan_in, uint16_t vlan_out
);

// Checks the size and the tag of a frame that the core made.
void oracle_check_emitted(const struct fwd_emit *frame, uint16_t vlan);

// Checks the verdict on one packet against what was sent. `mtu` is that of the port it leaves on, `mac` that port's MAC.
void oracle_check(
	const struct frame_copy *before,
	const struct fwd_packet *after,
	uint16_t mtu,
	const uint8_t mac[6]
);

// Makes of a TCP segment as it was sent what it would be had its listener not to tell the client's address; `l4` is the offset of
// both TCP headers. Aborts where it was told wrong.
void oracle_take_back(
	const struct frame_copy *before,
	struct frame_copy *after,
	unsigned l4,
	bool ipv6,
	uint16_t mtu
);

// Whether an ICMP error may tell `is` where it came with `was`: the same, or, of a packet that was too big, less the client's address.
// `size`: of a PROXY header; an option takes less.
static inline bool oracle_mtu_allowed(const uint8_t *was, const uint8_t *is, unsigned size) {
	unsigned less = oracle_read16(was + 2) - oracle_read16(is + 2);

	return memcmp(was, is, 4) == 0
		|| (memcmp(was, is, 2) == 0 && size != 0
		    && (less == size || less == (size == 52 ? 20 : 8)));
}

// The parts of the above for IPv6 frames.
void oracle_fix_l4_ipv6(uint8_t *frame, unsigned len);
void oracle_check_ipv6(
	const struct frame_copy *before, const struct fwd_packet *after, uint16_t mtu
);
