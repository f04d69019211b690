// SPDX-License-Identifier: Apache-2.0

// Shared by the files that make up the worker; not for the shells.

#pragma once

#include "headers.h"
#include "worker.h"

enum view_kind {
	VIEW_DONE,   // the verdict is set
	VIEW_CLIENT, // TCP or UDP that may be for a VIP
	VIEW_REPLY,  // TCP or UDP to a local address
};

// What the first look at a packet found; lives for one burst.
struct packet_view {
	struct ipv4_header *ip;
	void *l4;
	struct flow_key key;   // VIEW_CLIENT
	uint32_t hash;         // VIEW_CLIENT
	uint32_t flow;         // place in the table that may be this packet's flow, or FLOW_NONE
	uint16_t total_length; // of the datagram, bytes
	uint8_t kind;          // enum view_kind
	uint8_t tcp_flags;     // 0 for UDP
};

static inline void packet_drop(struct fwd_packet *packet, enum drop_reason reason) {
	packet->verdict = FWD_DROP;
	packet->drop_reason = (uint8_t)reason;
}

// Handled, nothing to send, and no drop either.
static inline void packet_consume(struct fwd_packet *packet) {
	packet_drop(packet, DROP_NONE);
}

static inline void packet_send(struct fwd_packet *packet, uint8_t port) {
	packet->verdict = FWD_TX;
	packet->port_out = port;
}

// Entry of an own address (network byte order), or NULL.
static inline const struct own_address *
own_address_find(const struct fwd_worker *worker, uint32_t address) {
	uint32_t i = (address * 0x9e3779b1u) >> 22;

	for (; worker->own[i].used; i = (i + 1) % ADDRESS_TABLE_SIZE) {
		if (worker->own[i].address == address)
			return &worker->own[i];
	}
	return NULL;
}

// Checks the headers and tells what the packet is. VIEW_DONE when it is dropped or was handled on the spot.
void packet_classify(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
);

// ARP: answers for our addresses, learns from the sender.
void local_arp(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	uint32_t now_s
);

// ICMP: answers an echo request to one of our addresses.
void local_icmp(
	const struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	const struct packet_view *view
);

// Makes the flow of a client's first packet. FLOW_NONE with a drop reason when there can be none.
uint32_t flow_create(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	const struct fwd_packet *packet,
	const struct packet_view *view,
	uint32_t now_s,
	enum drop_reason *reason
);

// Neighbour index of the next hop to `address` (host byte order) over `port`, NEIGHBOUR_NONE with a drop reason.
uint16_t worker_next_hop(
	struct fwd_worker *worker, uint8_t port, uint32_t address, enum drop_reason *reason
);
