// SPDX-License-Identifier: Apache-2.0

// How a backend is told the address of its client behind FULLNAT. See docs/design/client_address.md.
//
// TOA: every segment of the client from the one that ends the handshake on carries the option, until the backend has said what only
// who has the connection says: then it has the address too, whatever was lost or came late.
//
// PROXY v2: a header in front of the client's first byte. The client's SYN goes on with a sequence number that is lower by the header's
// length, so that on both sides all later bytes have the same numbers; see proxy_header.h.

#pragma once

#include "worker_internal.h"

// Of a flow whose backend has to be told, and of every SYN of a flow whose backend was: changes what is to be changed of a segment that is
// rewritten and about to be sent.
void client_address_handle(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	struct flow *flow,
	bool from_backend
);

// The backend has the connection, and with it the address. The flow's beginning, whose place the client's ISN had, counts from here.
static inline void client_address_confirm(const struct fwd_worker *worker, struct flow *flow) {
	flow->untold = FWD_CLIENT_ADDRESS_NONE;
	flow->created_s = worker->now_s;
}

static inline bool client_address_concerns(const struct flow *flow, uint8_t tcp_flags) {
	return flow->untold != FWD_CLIENT_ADDRESS_NONE
		|| (flow->tells != FWD_CLIENT_ADDRESS_NONE && (tcp_flags & TCP_SYN));
}

// Whether a fragment of the client, the first of its datagram, may not pass: nothing can be put in front of what it brings.
static inline bool client_address_refuses_fragment(const struct flow *flow, uint8_t tcp_flags) {
	return flow->tells == FWD_CLIENT_ADDRESS_PROXY_V2
		&& client_address_concerns(flow, tcp_flags);
}

// The MTU to tell the client of a flow where a router said `mtu_bytes` about what we sent: less what we add. Where that is too
// little for any path, the option is added no more, and the header goes without anything behind it.
uint32_t client_address_path_mtu(struct fwd_worker *worker, struct flow *flow, uint32_t mtu_bytes);

// What an error for the client quotes of its segment gets the sequence number that the client gave it: it would take no
// other (RFC 5927, section 4.1). `length`: bytes of the segment that are quoted, at least 8.
void client_address_restore_quoted(
	const struct flow *flow, struct tcp_header *quoted, unsigned length
);
