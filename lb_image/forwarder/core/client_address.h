// SPDX-License-Identifier: Apache-2.0

// How a backend is told the address of its client behind FULLNAT. See docs/design/client_address.md.
//
// TOA: every segment of the client from the one that ends the handshake on carries the option, until the backend has answered
// with more than its SYN+ACK: then it has the connection, and with it the address, whatever was lost or came late.

#pragma once

#include "worker_internal.h"

// Adds what is to be added to a segment of a flow that has `untold` set, which is rewritten and about to be sent.
void client_address_handle(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	struct flow *flow,
	bool from_backend
);

// The MTU to tell the client of a flow where a router said `mtu_bytes` about what we sent: less what we add. Where that is too
// little for any path, nothing is added any more, since no segment with it would arrive.
uint32_t client_address_path_mtu(struct fwd_worker *worker, struct flow *flow, uint32_t mtu_bytes);
