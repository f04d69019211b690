// SPDX-License-Identifier: Apache-2.0

#include "packet_oracle.h"

#include <drop_reason.h>

#include <stdbool.h>
#include <string.h>

#define ETHER 14
#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

// One datagram inside a frame, offsets in bytes from the start of the frame.
struct shape {
	unsigned l4, end;
	uint8_t protocol;
	bool is_fragment, is_later; // a later one has no L4 header
};

static void write16(uint8_t *at, uint32_t value) {
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

uint32_t oracle_residue(const uint8_t *data, unsigned length) {
	uint64_t sum = 0;

	for (unsigned i = 0; i + 1 < length; i += 2)
		sum += oracle_read16(data + i);
	if (length % 2)
		sum += (uint32_t)data[length - 1] << 8;
	return (uint32_t)(sum % 65535);
}

// False where the frame holds no whole IPv4 datagram or fragment.
static bool shape_of(const uint8_t *frame, unsigned len, struct shape *shape) {
	unsigned header, total;

	if (len < ETHER + 20 || oracle_read16(frame + 12) != 0x0800 || frame[ETHER] >> 4 != 4)
		return false;
	header = (frame[ETHER] & 15) * 4u;
	total = oracle_read16(frame + ETHER + 2);
	if (header < 20 || total < header || total > len - ETHER)
		return false;
	shape->is_fragment = oracle_read16(frame + ETHER + 6) & 0x3fff;
	shape->is_later = oracle_read16(frame + ETHER + 6) & 0x1fff;
	shape->l4 = ETHER + header;
	shape->end = ETHER + total;
	shape->protocol = frame[ETHER + 9];
	return true;
}

static bool is_ipv6(const uint8_t *frame, unsigned len) {
	return len >= ETHER && oracle_read16(frame + 12) == 0x86dd;
}

// Offset of the L4 checksum, 0 where there is none.
static unsigned checksum_at(const struct shape *shape) {
	unsigned offset = shape->protocol == PROTOCOL_TCP ? 16
		: shape->protocol == PROTOCOL_UDP         ? 6
		: shape->protocol == PROTOCOL_ICMP        ? 2
							  : 0;

	return !shape->is_later && offset != 0 && shape->l4 + offset + 2 <= shape->end
		? shape->l4 + offset
		: 0;
}

// Of all that the L4 checksum covers, but for the protocol, which never changes. ICMP has no pseudo header.
static uint32_t l4_residue(const uint8_t *frame, const struct shape *shape) {
	unsigned length = shape->end - shape->l4;
	uint32_t pseudo = shape->protocol == PROTOCOL_ICMP
		? 0
		: oracle_residue(frame + ETHER + 12, 8) + length;

	return (pseudo + oracle_residue(frame + shape->l4, length)) % 65535;
}

void oracle_fix_ip(uint8_t *frame, unsigned len) {
	unsigned header = len < ETHER + 20 ? 0 : (frame[ETHER] & 15) * 4u;

	if (header < 20 || len < ETHER + header)
		return;
	write16(frame + ETHER + 10, 0);
	write16(frame + ETHER + 10, 65535 - oracle_residue(frame + ETHER, header));
}

void oracle_fix_l4(uint8_t *frame, unsigned len) {
	struct shape shape;
	unsigned at;
	uint32_t pseudo;

	if (is_ipv6(frame, len)) {
		oracle_fix_l4_ipv6(frame, len);
		return;
	}
	if (!shape_of(frame, len, &shape) || (at = checksum_at(&shape)) == 0)
		return;
	pseudo = shape.protocol == PROTOCOL_ICMP ? 0 : shape.protocol;
	write16(frame + at, 0);
	write16(frame + at, 65535 - (l4_residue(frame, &shape) + pseudo) % 65535);
}

// RFC 826: an answer for one of our addresses, to whoever asked.
static void check_arp(const struct frame_copy *before, const struct fwd_packet *after) {
	const uint8_t *was = before->data + ETHER, *is = after->data + ETHER;

	MUST(after->len >= ETHER + 28);
	MUST(oracle_read16(was + 6) == 1 && oracle_read16(is + 6) == 2);
	MUST(memcmp(was, is, 6) == 0);
	MUST(memcmp(is + 14, was + 24, 4) == 0);
	MUST(memcmp(is + 24, was + 14, 4) == 0);
	MUST(memcmp(is + 18, was + 8, 6) == 0);
	MUST(memcmp(after->data, was + 8, 6) == 0);
}

// RFC 792: addresses swapped, type 0, all else as it came.
static void check_echo(
	const struct frame_copy *before, const struct fwd_packet *after, const struct shape *shape
) {
	const uint8_t *was = before->data, *is = after->data;

	MUST(was[shape->l4] == 8 && is[shape->l4] == 0 && is[shape->l4 + 1] == 0);
	MUST(memcmp(was + ETHER + 12, is + ETHER + 16, 4) == 0);
	MUST(memcmp(was + ETHER + 16, is + ETHER + 12, 4) == 0);
	MUST(memcmp(was + shape->l4 + 4, is + shape->l4 + 4, after->len - shape->l4 - 4) == 0);
	MUST(memcmp(was + ETHER + 20, is + ETHER + 20, shape->l4 - ETHER - 20) == 0);
}

// RFC 792: an error about one of our packets, passed on. What it quotes may be cut off before its L4 checksum.
static void check_error(
	const struct frame_copy *before, const struct fwd_packet *after, const struct shape *shape
) {
	const uint8_t *was = before->data + shape->l4, *is = after->data + shape->l4;
	unsigned length = shape->end - shape->l4, inner = 8 + (was[8] & 15) * 4u;

	MUST(was[0] == 3 || was[0] == 11 || was[0] == 12);
	MUST(oracle_residue(was, length) == 0 && oracle_residue(is, length) == 0);
	MUST(memcmp(was, is, 2) == 0);
	MUST(oracle_mtu_allowed(was + 4, is + 4, was[0] == 3 && was[1] == 4 ? 28 : 0));
	MUST(after->data[ETHER + 8] == before->data[ETHER + 8] - 1);
	MUST(length >= inner + 8);
	MUST(memcmp(was + 8, is + 8, 10) == 0);
	MUST(memcmp(was + 28, is + 28, inner - 28) == 0);
	MUST(oracle_residue(was + 8, inner - 8) == oracle_residue(is + 8, inner - 8));
	// The error is for whoever sent what it quotes.
	MUST(memcmp(is + 8 + 12, after->data + ETHER + 16, 4) == 0);
}

// What the forwarder made of a packet that it dropped: RFC 9293 (RST) or RFC 792 (an error that quotes it).
static void
check_answer(const struct frame_copy *before, const struct fwd_packet *after, uint8_t port_in) {
	const uint8_t *was = before->data, *is = after->data;
	struct shape shape;

	MUST(shape_of(is, after->len, &shape) && shape.l4 == ETHER + 20);
	MUST(after->port_out == port_in);
	MUST(after->len == (shape.end < 60 ? 60 : shape.end));
	MUST(oracle_residue(is + ETHER, 20) == 0);
	MUST(memcmp(was + ETHER + 12, is + ETHER + 16, 4) == 0);
	MUST(memcmp(was + ETHER + 16, is + ETHER + 12, 4) == 0);
	MUST(memcmp(was + 6, is, 6) == 0);
	if (shape.protocol == PROTOCOL_TCP) {
		MUST(after->drop_reason == DROP_NO_FLOW);
		MUST(shape.end - shape.l4 == 20 && (is[shape.l4 + 13] & 4));
		MUST(was[ETHER + 9] == PROTOCOL_TCP);
		MUST((l4_residue(is, &shape) + PROTOCOL_TCP) % 65535 == 0);
		return;
	}
	MUST(shape.protocol == PROTOCOL_ICMP && was[ETHER + 9] != PROTOCOL_ICMP);
	MUST(is[shape.l4] == (after->drop_reason == DROP_TTL_EXCEEDED ? 11 : 3));
	MUST(shape.end - ETHER <= 576);
	MUST(l4_residue(is, &shape) == 0);
	MUST(memcmp(was + ETHER, is + shape.l4 + 8, shape.end - shape.l4 - 8) == 0);
}

// A fragment leaves under another identification; a later one has no ports and no checksum to change.
static void check_later_fragment(
	const struct frame_copy *before, const struct fwd_packet *after, const struct shape *shape
) {
	const uint8_t *was = before->data, *is = after->data;

	MUST(is[ETHER + 8] == was[ETHER + 8] - 1 && is[ETHER + 8] > 0);
	MUST(memcmp(was + ETHER, is + ETHER, 4) == 0
	     && memcmp(was + ETHER + 6, is + ETHER + 6, 2) == 0);
	MUST(was[ETHER + 9] == is[ETHER + 9]);
	MUST(memcmp(was + ETHER + 20, is + ETHER + 20, after->len - ETHER - 20) == 0);
	MUST(shape->protocol == PROTOCOL_TCP || shape->protocol == PROTOCOL_UDP);
}

// FULLNAT: addresses, ports, TTL and checksums change, and nothing else.
static void check_forwarded(
	const struct frame_copy *before,
	const struct fwd_packet *after,
	const struct shape *shape,
	uint16_t mtu
) {
	const uint8_t *was = before->data, *is = after->data;
	unsigned checksum = checksum_at(shape), end = shape->end;

	MUST(checksum != 0 && shape->protocol != PROTOCOL_ICMP);
	MUST(is[ETHER + 8] == was[ETHER + 8] - 1 && is[ETHER + 8] > 0);
	MUST(end - ETHER <= mtu);
	MUST(memcmp(was + ETHER, is + ETHER, 4) == 0
	     && memcmp(was + ETHER + 6, is + ETHER + 6, 2) == 0);
	MUST(shape->is_fragment || memcmp(was + ETHER + 4, is + ETHER + 4, 2) == 0);
	MUST(was[ETHER + 9] == is[ETHER + 9]);
	MUST(memcmp(was + ETHER + 20, is + ETHER + 20, shape->l4 - ETHER - 20) == 0);
	MUST(memcmp(was + shape->l4 + 4, is + shape->l4 + 4, checksum - shape->l4 - 4) == 0);
	MUST(memcmp(was + checksum + 2, is + checksum + 2, after->len - checksum - 2) == 0);
	if (shape->protocol == PROTOCOL_UDP && oracle_read16(was + checksum) == 0)
		MUST(oracle_read16(is + checksum) == 0);
	else
		MUST(shape->protocol == PROTOCOL_TCP || oracle_read16(is + checksum) != 0);
}

// True where the datagram carries an L4 checksum to be kept as right, or as wrong, as it came.
static bool has_checksum(const uint8_t *frame, const struct shape *shape) {
	return shape->protocol != PROTOCOL_UDP || oracle_read16(frame + checksum_at(shape)) != 0;
}

// A datagram that went on, or an echo request that was answered.
static void
check_ipv4(const struct frame_copy *before, const struct fwd_packet *after, uint16_t mtu) {
	struct frame_copy is = {.len = after->len};
	struct fwd_packet bare = *after;
	struct shape shape, longer;

	MUST(shape_of(before->data, before->len, &shape));
	MUST(shape_of(after->data, after->len, &longer) && longer.l4 == shape.l4);
	MUST(oracle_residue(before->data + ETHER, shape.l4 - ETHER) == 0);
	MUST(oracle_residue(after->data + ETHER, shape.l4 - ETHER) == 0);
	if (!shape.is_later && has_checksum(before->data, &shape))
		MUST(l4_residue(before->data, &shape) == l4_residue(after->data, &longer));
	memcpy(is.data, after->data, after->len);
	if (!shape.is_later && shape.protocol == PROTOCOL_TCP)
		oracle_take_back(before, &is, shape.l4, false, mtu);
	bare.data = is.data;
	bare.len = is.len;
	MUST(bare.len == before->len);
	if (shape.is_later)
		check_later_fragment(before, &bare, &shape);
	else if (shape.protocol == PROTOCOL_ICMP && before->data[shape.l4] == 8)
		check_echo(before, &bare, &shape);
	else if (shape.protocol == PROTOCOL_ICMP)
		check_error(before, &bare, &shape);
	else
		check_forwarded(before, &bare, &shape, mtu);
}

void oracle_check(
	const struct frame_copy *before,
	const struct fwd_packet *after,
	uint16_t mtu,
	const uint8_t mac[6]
) {
	MUST(after->verdict == FWD_TX || after->verdict == FWD_DROP
	     || after->verdict == FWD_HAND_OVER);
	MUST(after->drop_reason < DROP_REASON_COUNT);
	if (after->verdict != FWD_TX) {
		MUST(after->verdict == FWD_DROP || (after->owner != 0 && after->hand_overs == 0));
		MUST(after->len == before->len);
		MUST(memcmp(before->data, after->data, before->len) == 0);
		return;
	}
	MUST(memcmp(after->data + 6, mac, 6) == 0);
	MUST(memcmp(before->data + 12, after->data + 12, 2) == 0);
	if (is_ipv6(after->data, after->len)) {
		oracle_check_ipv6(before, after, mtu);
		return;
	}
	if (after->drop_reason != DROP_NONE) {
		check_answer(before, after, after->port_in);
		return;
	}
	if (oracle_read16(after->data + 12) == 0x0806) {
		MUST(after->len == before->len);
		check_arp(before, after);
		return;
	}
	check_ipv4(before, after, mtu);
}
