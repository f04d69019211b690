// SPDX-License-Identifier: Apache-2.0

#include "packet_oracle.h"

#include <drop_reason.h>

#include <stdbool.h>
#include <string.h>

#define ETHER 14
#define IPV6 40
#define SRC (ETHER + 8) // offsets of the addresses in a frame
#define DST (ETHER + 24)
#define HOP_LIMIT (ETHER + 7)
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_FRAGMENT 44
#define PROTOCOL_ICMP6 58

// One packet inside a frame, offsets in bytes from the start of the frame.
struct shape {
	unsigned l4, end, fragment; // fragment: 0 where there is none
	uint8_t protocol;
	bool is_later;
};

// From the IPv6 header at `at`, as far as `end`. False where the headers do not end there.
static bool shape_of(const uint8_t *frame, unsigned at, unsigned end, struct shape *shape) {
	*shape = (struct shape){.l4 = at + IPV6, .end = end, .protocol = frame[at + 6]};
	while (shape->protocol == 0 || shape->protocol == 43 || shape->protocol == 60
	       || shape->protocol == PROTOCOL_FRAGMENT) {
		unsigned size;

		if (shape->l4 + 8 > end)
			return false;
		size = shape->protocol == PROTOCOL_FRAGMENT ? 8 : 8 + frame[shape->l4 + 1] * 8u;
		if (shape->protocol == PROTOCOL_FRAGMENT
		    && (oracle_read16(frame + shape->l4 + 2) & 0xfff9))
			shape->fragment = shape->l4;
		shape->protocol = frame[shape->l4];
		shape->l4 += size;
		if (shape->l4 > end)
			return false;
		if (shape->fragment && (oracle_read16(frame + shape->fragment + 2) & 0xfff8)) {
			shape->is_later = true;
			return true;
		}
	}
	return true;
}

static bool packet_of(const uint8_t *frame, unsigned len, struct shape *shape) {
	unsigned end;

	if (len < ETHER + IPV6 || frame[ETHER] >> 4 != 6)
		return false;
	end = ETHER + IPV6 + oracle_read16(frame + ETHER + 4);
	return end <= len && shape_of(frame, ETHER, end, shape);
}

static unsigned checksum_at(const struct shape *shape) {
	unsigned offset = shape->protocol == PROTOCOL_TCP ? 16
		: shape->protocol == PROTOCOL_UDP         ? 6
		: shape->protocol == PROTOCOL_ICMP6       ? 2
							  : 0;

	return !shape->is_later && offset != 0 && shape->l4 + offset + 2 <= shape->end
		? shape->l4 + offset
		: 0;
}

// RFC 8200, section 8.1: 0 where the checksum is right.
static uint32_t l4_residue(const uint8_t *frame, const struct shape *shape) {
	unsigned length = shape->end - shape->l4;

	return (oracle_residue(frame + SRC, 32) + shape->protocol + length
		+ oracle_residue(frame + shape->l4, length))
		% 65535;
}

void oracle_fix_l4_ipv6(uint8_t *frame, unsigned len) {
	struct shape shape;
	uint32_t value;
	unsigned at;

	if (!packet_of(frame, len, &shape) || (at = checksum_at(&shape)) == 0)
		return;
	frame[at] = frame[at + 1] = 0;
	value = 65535 - l4_residue(frame, &shape);
	frame[at] = (uint8_t)(value >> 8);
	frame[at + 1] = (uint8_t)value;
}

// RFC 4861: an advertisement of what was asked for, from there, to whoever asked or to all.
static void check_advertisement(const struct frame_copy *before, const struct fwd_packet *after) {
	const uint8_t *was = before->data, *is = after->data, *asked = was + ETHER + IPV6;
	static const uint8_t nobody[16];
	struct shape shape;

	MUST(after->len == 86 && packet_of(is, after->len, &shape) && shape.l4 == ETHER + IPV6);
	MUST(asked[0] == 135 && is[shape.l4] == 136 && was[HOP_LIMIT] == 255);
	MUST(is[HOP_LIMIT] == 255 && l4_residue(is, &shape) == 0);
	MUST(memcmp(asked + 8, is + shape.l4 + 8, 16) == 0);
	MUST(memcmp(asked + 8, is + SRC, 16) == 0);
	MUST(memcmp(is + shape.l4 + 26, is + 6, 6) == 0);
	if (memcmp(was + SRC, nobody, 16) != 0)
		MUST(memcmp(was + SRC, is + DST, 16) == 0 && (is[shape.l4 + 4] & 0x40));
	else
		MUST(is[DST] == 0xff && is[0] == 0x33 && !(is[shape.l4 + 4] & 0x40));
}

static void check_echo(
	const struct frame_copy *before, const struct fwd_packet *after, const struct shape *shape
) {
	const uint8_t *was = before->data, *is = after->data;

	MUST(is[shape->l4] == 129 && is[shape->l4 + 1] == 0);
	MUST(memcmp(was + SRC, is + DST, 16) == 0 && memcmp(was + DST, is + SRC, 16) == 0);
	MUST(memcmp(was + shape->l4 + 4, is + shape->l4 + 4, after->len - shape->l4 - 4) == 0);
	MUST(memcmp(was + ETHER, is + ETHER, 7) == 0);
	MUST(memcmp(was + ETHER + IPV6, is + ETHER + IPV6, shape->l4 - ETHER - IPV6) == 0);
}

// An error about one of our packets, passed on to whoever sent what it quotes.
static void check_error(
	const struct frame_copy *before, const struct fwd_packet *after, const struct shape *shape
) {
	const uint8_t *was = before->data, *is = after->data;
	unsigned quoted = shape->l4 + 8;
	struct shape inner;

	MUST(was[shape->l4] >= 1 && was[shape->l4] <= 4);
	MUST(l4_residue(was, shape) == 0 && l4_residue(is, shape) == 0);
	MUST(memcmp(was + shape->l4, is + shape->l4, 2) == 0);
	MUST(oracle_mtu_allowed(
		was + shape->l4 + 4, is + shape->l4 + 4, was[shape->l4] == 2 ? 52 : 0
	));
	MUST(is[HOP_LIMIT] == was[HOP_LIMIT] - 1);
	MUST(shape_of(was, quoted, shape->end, &inner) && !inner.is_later);
	MUST(inner.l4 + 8 <= shape->end);
	MUST(memcmp(was + quoted, is + quoted, 8) == 0);
	MUST(memcmp(was + quoted + IPV6, is + quoted + IPV6, inner.l4 - quoted - IPV6) == 0);
	MUST(memcmp(is + quoted + 8, is + DST, 16) == 0);
}

// What the forwarder made of a packet that it dropped: RST, or an error that quotes it (RFC 4443).
static void check_answer(const struct frame_copy *before, const struct fwd_packet *after) {
	const uint8_t *was = before->data, *is = after->data;
	struct shape shape, had;

	MUST(packet_of(is, after->len, &shape) && shape.l4 == ETHER + IPV6);
	MUST(packet_of(was, before->len, &had));
	MUST(after->port_out == after->port_in && after->len == shape.end);
	MUST(memcmp(was + SRC, is + DST, 16) == 0 && memcmp(was + DST, is + SRC, 16) == 0);
	MUST(memcmp(was + 6, is, 6) == 0);
	MUST(l4_residue(is, &shape) == 0);
	if (shape.protocol == PROTOCOL_TCP) {
		MUST(after->drop_reason == DROP_NO_FLOW && had.protocol == PROTOCOL_TCP);
		MUST(shape.end - shape.l4 == 20 && (is[shape.l4 + 13] & 4));
		return;
	}
	MUST(shape.protocol == PROTOCOL_ICMP6 && had.protocol != PROTOCOL_ICMP6);
	MUST(is[shape.l4] == (after->drop_reason == DROP_TTL_EXCEEDED ? 3 : 2));
	MUST(shape.end - ETHER <= 1280);
	MUST(shape.end - ETHER == 1280 || shape.end - shape.l4 - 8 == had.end - ETHER);
	MUST(memcmp(was + ETHER, is + shape.l4 + 8, shape.end - shape.l4 - 8) == 0);
}

// FULLNAT: addresses, ports, hop limit and checksum change, of fragments the identification, and nothing else.
static void check_forwarded(
	const struct frame_copy *before,
	const struct fwd_packet *after,
	const struct shape *shape,
	uint16_t mtu
) {
	const uint8_t *was = before->data, *is = after->data;
	unsigned checksum = checksum_at(shape), rest = ETHER + IPV6;

	MUST(is[HOP_LIMIT] == was[HOP_LIMIT] - 1 && is[HOP_LIMIT] > 0);
	MUST(shape->end - ETHER <= mtu);
	MUST(memcmp(was + ETHER, is + ETHER, 7) == 0);
	if (shape->fragment) {
		MUST(memcmp(was + rest, is + rest, shape->fragment + 4 - rest) == 0);
		rest = shape->fragment + 8;
	}
	if (shape->is_later) {
		MUST(memcmp(was + rest, is + rest, after->len - rest) == 0);
		return;
	}
	MUST(memcmp(was + rest, is + rest, shape->l4 - rest) == 0);
	MUST(shape->protocol == PROTOCOL_TCP || shape->protocol == PROTOCOL_UDP);
	MUST(memcmp(was + shape->l4 + 4, is + shape->l4 + 4, checksum - shape->l4 - 4) == 0);
	MUST(memcmp(was + checksum + 2, is + checksum + 2, after->len - checksum - 2) == 0);
	MUST(shape->protocol == PROTOCOL_TCP
	     || (oracle_read16(was + checksum) != 0 && oracle_read16(is + checksum) != 0));
}

void oracle_check_ipv6(
	const struct frame_copy *before, const struct fwd_packet *after, uint16_t mtu
) {
	struct frame_copy is = {.len = after->len};
	struct fwd_packet bare = *after;
	struct shape shape, longer;

	if (after->drop_reason != DROP_NONE) {
		check_answer(before, after);
		return;
	}
	MUST(packet_of(before->data, before->len, &shape));
	if (!shape.fragment && shape.protocol == PROTOCOL_ICMP6 && before->data[shape.l4] == 135) {
		check_advertisement(before, after);
		return;
	}
	MUST(packet_of(after->data, after->len, &longer) && longer.l4 == shape.l4);
	if (!shape.is_later && shape.protocol != PROTOCOL_ICMP6)
		MUST(l4_residue(before->data, &shape) == l4_residue(after->data, &longer));
	memcpy(is.data, after->data, after->len);
	if (!shape.is_later && shape.protocol == PROTOCOL_TCP)
		oracle_take_back(before, &is, shape.l4, true, mtu);
	bare.data = is.data;
	bare.len = is.len;
	MUST(bare.len == before->len);
	if (shape.is_later || shape.protocol != PROTOCOL_ICMP6)
		check_forwarded(before, &bare, &shape, mtu);
	else if (before->data[shape.l4] == 128)
		check_echo(before, &bare, &shape);
	else
		check_error(before, &bare, &shape);
}
