// SPDX-License-Identifier: Apache-2.0

#include "segment.h"

#include <string.h>

static uint8_t *datagram_end(const struct segment *segment) {
	return (uint8_t *)segment->view->ip + segment->total_length;
}

// In the IP header, where a pseudo header has it, and of the frame: what padded that is of no use any more.
static void set_length(struct segment *segment, unsigned total_length) {
	unsigned frame = sizeof(struct ether_header) + total_length;
	uint16_t gain = (uint16_t)(total_length - segment->total_length);
	unsigned l4_length = segment->total_length
		- (unsigned)((uint8_t *)segment->tcp - (uint8_t *)segment->view->ip);
	struct ipv6_header *ip6 = segment->view->ip6;
	struct ipv4_header *ip = segment->view->ip;
	uint16_t was = segment->ipv6 ? ip6->payload_length : ip->total_length;
	uint16_t is = htons((uint16_t)(ntohs(was) + gain));

	if (segment->ipv6) {
		ip6->payload_length = is;
	} else {
		ip->total_length = is;
		ip->checksum = checksum_adjust(ip->checksum, checksum_delta16(was, is));
	}
	segment->tcp->checksum = checksum_adjust(
		segment->tcp->checksum,
		checksum_delta16(htons((uint16_t)l4_length), htons((uint16_t)(l4_length + gain)))
	);
	if (frame < ETHER_FRAME_MIN)
		memset(segment->packet->data + frame, 0, ETHER_FRAME_MIN - frame);
	segment->packet->len = (uint16_t)(frame < ETHER_FRAME_MIN ? ETHER_FRAME_MIN : frame);
	segment->total_length = total_length;
}

void segment_insert(struct segment *segment, uint8_t *at, const void *bytes, unsigned size) {
	memmove(at + size, at, (size_t)(datagram_end(segment) - at));
	memcpy(at, bytes, size);
	segment->tcp->checksum =
		checksum_adjust(segment->tcp->checksum, checksum_words(bytes, size / 2));
	set_length(segment, segment->total_length + size);
}

void segment_cut(struct segment *segment, unsigned kept) {
	unsigned whole = segment_headers_size(segment) + kept;
	uint16_t sum;

	if (segment->total_length <= whole)
		return;
	sum = checksum_bytes((uint8_t *)segment->view->ip + whole, segment->total_length - whole);
	// What lies at an odd place adds to the sum with its bytes swapped.
	if (kept % 2 != 0)
		sum = __builtin_bswap16(sum);
	segment->tcp->checksum = checksum_adjust(segment->tcp->checksum, (uint16_t)~sum);
	set_length(segment, whole);
}

void segment_set(struct segment *segment, void *field, uint32_t value) {
	uint32_t was, is = htonl(value);

	memcpy(&was, field, sizeof(was));
	memcpy(field, &is, sizeof(is));
	segment->tcp->checksum = checksum_adjust(segment->tcp->checksum, checksum_delta32(was, is));
}

void segment_set_header(struct segment *segment, unsigned words, uint8_t flags) {
	struct tcp_header *tcp = segment->tcp;
	uint16_t was, is;

	memcpy(&was, &tcp->data_offset, sizeof(was));
	tcp->data_offset = (uint8_t)((tcp->data_offset & 0xf) | words << 4);
	tcp->flags = flags;
	memcpy(&is, &tcp->data_offset, sizeof(is));
	tcp->checksum = checksum_adjust(tcp->checksum, checksum_delta16(was, is));
}

uint8_t *segment_find_option(struct tcp_header *tcp, uint8_t kind, uint8_t size) {
	uint8_t *at = (uint8_t *)(tcp + 1);
	const uint8_t *end = (const uint8_t *)tcp + segment_header_size(tcp);

	while (end - at >= 2 && *at != TCP_OPTION_END) {
		if (*at == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (at[1] < 2 || at[1] > end - at)
			return NULL;
		if (at[0] == kind && (size == 0 || at[1] == size))
			return at;
		at += at[1];
	}
	return NULL;
}
