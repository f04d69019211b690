// SPDX-License-Identifier: Apache-2.0

// A TCP segment that is on its way already, and what can still be changed of it. Lengths and checksums follow by what the change adds
// to their sums (RFC 1624), so that a segment damaged before stays damaged.

#pragma once

#include "worker_internal.h"

struct segment {
	struct fwd_packet *packet;
	const struct packet_view *view;
	struct tcp_header *tcp;
	unsigned total_length; // of the datagram as it is now, bytes
	bool ipv6;
};

static inline struct segment
segment_of(struct fwd_packet *packet, const struct packet_view *view, bool ipv6) {
	return (struct segment){packet, view, view->l4, view->total_length, ipv6};
}

static inline unsigned segment_header_size(const struct tcp_header *tcp) {
	return (tcp->data_offset >> 4) * 4u;
}

// Bytes of the datagram in front of the payload.
static inline unsigned segment_headers_size(const struct segment *segment) {
	return (unsigned)((uint8_t *)segment->tcp - (uint8_t *)segment->view->ip)
		+ segment_header_size(segment->tcp);
}

// Puts `size` bytes (even) into the segment at `at`, an even number of bytes behind the beginning of its header.
void segment_insert(struct segment *segment, uint8_t *at, const void *bytes, unsigned size);

// Keeps the first bytes of the payload only.
void segment_cut(struct segment *segment, unsigned kept);

// `field` is one of the header's; `value` in host byte order.
void segment_set(struct segment *segment, void *field, uint32_t value);

// The length of the header in words, and the flags.
void segment_set_header(struct segment *segment, unsigned words, uint8_t flags);

// Option of this kind in the header, and of this size where `size` is not 0; NULL without one.
uint8_t *segment_find_option(struct tcp_header *tcp, uint8_t kind, uint8_t size);
