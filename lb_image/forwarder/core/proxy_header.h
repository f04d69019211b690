// SPDX-License-Identifier: Apache-2.0

// PROXY protocol, version 2, in front of what a client sends: as haproxy.org's proxy-protocol.txt has it, section 2.2.
//
// A client that begins at sequence number X meets a backend that begins at X - n, n being the header's length: the header is
// bytes X-n+1 .. X of the stream, and the client's first byte X+1 on both sides. Until the backend has acknowledged X+1, every
// segment of the client at X+1 brings the header, so that the client's own retransmissions repair its loss.

#pragma once

#include "segment.h"

unsigned proxy_header_size(const struct flow *flow);

// A segment of the client: while the header is not confirmed, and every SYN.
void proxy_header_to_backend(
	struct fwd_worker *worker, struct segment *segment, const struct flow *flow
);

// A segment of the backend, while the header is not confirmed: it may confirm it.
void proxy_header_to_client(
	const struct fwd_worker *worker, struct segment *segment, struct flow *flow
);

// The sequence number that the client gave a segment which went to the backend with this one.
uint32_t proxy_header_had_sequence(const struct flow *flow, uint32_t sent);
