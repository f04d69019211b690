// SPDX-License-Identifier: Apache-2.0

// What a segment may have gained where its listener tells the backend the client's address: docs/design/client_address.md.

#include "packet_oracle.h"

#include <stdbool.h>
#include <string.h>

#define ETHER 14
#define FIN 1
#define SYN 2
#define RST 4
#define ACK 16
#define URG 32
#define SIGNATURE_SIZE 12
#define OPTION 254
#define NOP 1

// The option of a segment of the client, taken out again.
static void take_out_option(
	const struct frame_copy *before,
	struct frame_copy *after,
	unsigned l4,
	bool ipv6,
	uint16_t mtu
) {
	unsigned size = ipv6 ? 20 : 8, end = after->len;
	const uint8_t *was = before->data;
	uint8_t *is = after->data, *option = is + l4 + 20;

	MUST((is[l4 + 12] >> 4) - (was[l4 + 12] >> 4) == (int)size / 4);
	MUST(!(was[l4 + 13] & (SYN | RST)) && end - ETHER <= mtu);
	MUST(option[0] == 254 && option[1] == size && memcmp(option + 2, was + l4, 2) == 0);
	MUST(memcmp(option + 4, was + ETHER + (ipv6 ? 8 : 12), size - 4) == 0);
	MUST(oracle_read16(is + ETHER + (ipv6 ? 4 : 2))
	     == oracle_read16(was + ETHER + (ipv6 ? 4 : 2)) + size);
	memcpy(is + ETHER + (ipv6 ? 4 : 2), was + ETHER + (ipv6 ? 4 : 2), 2);
	is[l4 + 12] = was[l4 + 12];
	memmove(option, option + size, end - size - (l4 + 20));
	// What padded the frame is gone.
	end -= size;
	MUST(before->len >= end);
	memcpy(is + end, was + end, before->len - end);
	after->len = before->len;
}

// The MSS of a SYN+ACK, put back: nothing else of its options may differ, and it may only be lower.
static void put_back_mss(const struct frame_copy *before, struct frame_copy *after, unsigned l4) {
	unsigned header = (before->data[l4 + 12] >> 4) * 4u, at = l4 + 20;
	const uint8_t *was = before->data;
	uint8_t *is = after->data;

	if (!(was[l4 + 13] & SYN))
		return;
	while (at < l4 + header && was[at] == is[at])
		at++;
	if (at == l4 + header)
		return;
	if (at >= l4 + 23 && was[at - 2] != 2)
		at--;
	MUST(at >= l4 + 22 && was[at - 2] == 2 && was[at - 1] == 4);
	MUST(oracle_read16(is + at) < oracle_read16(was + at));
	memcpy(is + at, was + at, 2);
}

// Where an option of ours had no room, those of the client that would be taken for it are gone.
static void
put_back_options(const struct frame_copy *before, struct frame_copy *after, unsigned l4) {
	unsigned at = l4 + 20, end = l4 + (before->data[l4 + 12] >> 4) * 4u;
	const uint8_t *was = before->data;
	uint8_t *is = after->data;

	while (at + 2 <= end && was[at] != 0) {
		unsigned size = was[at] == NOP ? 1 : was[at + 1];

		if (was[at] != NOP && (size < 2 || at + size > end))
			return;
		if (was[at] == OPTION && is[at] == NOP) {
			for (unsigned i = 0; i < size; i++)
				MUST(is[at + i] == NOP);
			memcpy(is + at, was + at, size);
		}
		at += size;
	}
}

static uint32_t read32(const uint8_t *at) {
	return oracle_read16(at) << 16 | oracle_read16(at + 2);
}

// The PROXY header of a segment of the client, taken out again. `end`: of the datagram in the frame, as it becomes.
static void take_out_header(
	const struct frame_copy *before,
	struct frame_copy *after,
	unsigned l4,
	bool ipv6,
	unsigned *end
) {
	static const uint8_t signature[SIGNATURE_SIZE] = "\r\n\r\n\0\r\nQUIT\n";
	unsigned address = ipv6 ? 16 : 4, size = ipv6 ? 52 : 28;
	unsigned payload = l4 + (before->data[l4 + 12] >> 4) * 4u;
	const uint8_t *was = before->data;
	uint8_t *is = after->data, *header = is + payload;

	if (read32(is + l4 + 4) != read32(was + l4 + 4) - size || *end < payload + size
	    || memcmp(header, signature, SIGNATURE_SIZE) != 0)
		return;
	MUST((was[l4 + 13] & (SYN | RST | ACK)) == ACK);
	MUST(header[12] == 0x21 && header[13] == (ipv6 ? 0x21 : 0x11));
	MUST(oracle_read16(header + 14) == size - 16);
	MUST(memcmp(header + 16, was + ETHER + (ipv6 ? 8 : 12), 2 * address) == 0);
	MUST(memcmp(header + 16 + 2 * address, was + l4, 4) == 0);
	if (was[l4 + 13] & URG)
		MUST(oracle_read16(is + l4 + 18) == ((oracle_read16(was + l4 + 18) + size) & 0xffff)
		);
	memcpy(is + l4 + 18, was + l4 + 18, 2);
	memcpy(is + l4 + 4, was + l4 + 4, 4);
	memmove(header, header + size, *end - payload - size);
	*end -= size;
}

// What else may become of a segment on the way to a backend that gets a header.
static void put_back_numbers(
	const struct frame_copy *before, struct frame_copy *after, unsigned l4, bool ipv6
) {
	const uint8_t *was = before->data + l4;
	uint8_t *is = after->data + l4, flags = was[13];
	uint32_t size = ipv6 ? 52 : 28;

	if (memcmp(is + 4, was + 4, 4) != 0) {
		MUST((flags & (SYN | RST)) && read32(is + 4) == read32(was + 4) - size);
		MUST(is[13] == flags);
		memcpy(is + 4, was + 4, 4);
	}
	// Of a backend: the header is nothing that the client sent.
	if (memcmp(is + 8, was + 8, 4) != 0) {
		MUST((flags & ACK) && read32(is + 8) - read32(was + 8) - 1 < size);
		memcpy(is + 8, was + 8, 4);
	}
	if ((flags & SYN) && !(flags & RST) && is[13] != flags)
		MUST(is[13] == ACK);
	else
		MUST(is[13] == flags || is[13] == (flags & ~FIN));
	is[13] = flags;
}

// What was cut off is put back; nothing of what is left may differ.
static void take_back_header(
	const struct frame_copy *before, struct frame_copy *after, unsigned l4, bool ipv6
) {
	unsigned length_at = ETHER + (ipv6 ? 4 : 2), fixed = ETHER + (ipv6 ? 40 : 0);
	unsigned had = fixed + oracle_read16(before->data + length_at);
	unsigned end = fixed + oracle_read16(after->data + length_at), sent = end;
	unsigned payload = l4 + (before->data[l4 + 12] >> 4) * 4u;

	take_out_header(before, after, l4, ipv6, &end);
	put_back_numbers(before, after, l4, ipv6);
	MUST(end <= had && (end == had || sent > end || end == payload));
	memcpy(after->data + length_at, before->data + length_at, 2);
	memcpy(after->data + end, before->data + end, before->len - end);
	after->len = before->len;
}

void oracle_take_back(
	const struct frame_copy *before,
	struct frame_copy *after,
	unsigned l4,
	bool ipv6,
	uint16_t mtu
) {
	MUST(after->len - ETHER <= mtu || after->len == before->len);
	if (before->data[l4 + 12] >> 4 != after->data[l4 + 12] >> 4) {
		take_out_option(before, after, l4, ipv6, mtu);
		return;
	}
	put_back_options(before, after, l4);
	put_back_mss(before, after, l4);
	// A first fragment is never changed that much, and says no length of the whole.
	take_back_header(before, after, l4, ipv6);
}
