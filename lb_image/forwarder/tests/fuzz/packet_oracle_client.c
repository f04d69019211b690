// SPDX-License-Identifier: Apache-2.0

// What a segment may have gained where its listener tells the backend the client's address: docs/design/client_address.md.

#include "packet_oracle.h"

#include <stdbool.h>
#include <string.h>

#define ETHER 14
#define SYN 2
#define RST 4

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

void oracle_take_back(
	const struct frame_copy *before,
	struct frame_copy *after,
	unsigned l4,
	bool ipv6,
	uint16_t mtu
) {
	if (before->data[l4 + 12] >> 4 != after->data[l4 + 12] >> 4)
		take_out_option(before, after, l4, ipv6, mtu);
	else
		put_back_mss(before, after, l4);
}
