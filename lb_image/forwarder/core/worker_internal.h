// SPDX-License-Identifier: Apache-2.0

// Shared by the files that make up the worker; not for the shells.

#pragma once

#include "checksum.h"
#include "headers.h"
#include "worker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum view_kind {
	VIEW_DONE,    // the verdict is set
	VIEW_CLIENT,  // TCP or UDP that may be for a VIP
	VIEW_REPLY,   // TCP or UDP to a local address
	VIEW_CLIENT6, // the same of IPv6
	VIEW_REPLY6,
	VIEW_FIRST_OF_CLIENT, // first fragment of what would be VIEW_CLIENT
	VIEW_FIRST_OF_REPLY,
	VIEW_LATER_FRAGMENT, // without ports
};

// What the first look at a packet found; lives for one burst.
struct packet_view {
	union {
		struct ipv4_header *ip;
		struct ipv6_header *ip6;
	};
	void *l4;
	union { // of a client's packet
		struct flow_key key;
		struct flow_key6 key6;
	};
	uint32_t hash;         // of the key
	uint32_t flow;         // place in the table that may be this packet's flow, or FLOW_NONE
	uint16_t total_length; // of the datagram, bytes
	uint8_t kind;          // enum view_kind
	uint8_t tcp_flags;     // 0 for UDP
	// Known for IPv6, and for fragments and what is dropped of both.
	bool ipv6;
	uint8_t protocol;                // of IPv6: behind the extension headers
	struct ipv6_fragment *fragment6; // of IPv6, NULL: whole
};

// Bytes from the L4 header to the end of the datagram.
static inline unsigned view_l4_length(const struct packet_view *view) {
	return view->total_length - (unsigned)((uint8_t *)view->l4 - (uint8_t *)view->ip);
}

// `ipv6` is a constant where it matters: one text, code of its own for each family.
static inline uint8_t view_protocol(const struct packet_view *view, bool ipv6) {
	return ipv6 ? view->protocol : view->ip->protocol;
}

static inline void packet_drop(struct fwd_packet *packet, enum drop_reason reason) {
	packet->verdict = FWD_DROP;
	packet->drop_reason = (uint8_t)reason;
}

// Handled, nothing to send, and no drop either.
static inline void packet_consume(struct fwd_packet *packet) {
	packet_drop(packet, DROP_NONE);
}

// IEEE 802.3: not every driver lengthens short frames.
static inline void packet_pad(struct fwd_packet *packet) {
	if (packet->len >= ETHER_FRAME_MIN)
		return;
	memset(packet->data + packet->len, 0, ETHER_FRAME_MIN - packet->len);
	packet->len = ETHER_FRAME_MIN;
}

static inline void packet_send(struct fwd_packet *packet, uint8_t port) {
	packet->verdict = FWD_TX;
	packet->drop_reason = DROP_NONE;
	packet->port_out = port;
}

// Entry of an own address or of a peer's local one (network byte order), or NULL.
static inline const struct own_address *
own_address_find(const struct fwd_worker *worker, uint32_t address) {
	uint32_t i = (address * 0x9e3779b1u) >> 22;

	for (; worker->own[i].used; i = (i + 1) % ADDRESS_TABLE_SIZE) {
		if (worker->own[i].address == address)
			return &worker->own[i];
	}
	return NULL;
}

static inline const struct own_address *
own_address6_find(const struct fwd_worker *worker, const struct ipv6_address *address) {
	uint32_t i = ipv6_fold(address) % ADDRESS_TABLE_SIZE;

	for (; worker->own6[i].own.used; i = (i + 1) % ADDRESS_TABLE_SIZE) {
		if (ipv6_equal(&worker->own6[i].address, address))
			return &worker->own6[i].own;
	}
	return NULL;
}

// Whether to answer ARP and neighbour solicitations for it; with session sync a local address may have another owner.
static inline bool
own_address_is_ours(const struct fwd_worker *worker, const struct own_address *own, bool ipv6) {
	const struct local_owner *locals = worker->group->locals;

	return locals == NULL || own->local_index == FWD_NO_SLOT
		|| local_owner_is_ours(
			locals, worker->base, ipv6, own->local_index, worker->now_ms
		);
}

// Somebody with this MAC speaks of it, in a frame that came on `port`; `probes`: as of one that he would like to have. True when that is
// news for whoever decides.
static inline bool own_address_hear(
	const struct fwd_worker *worker,
	const struct own_address *own,
	bool ipv6,
	uint8_t port,
	const uint8_t mac[ETHER_ADDR_SIZE],
	bool probes
) {
	struct local_owner *locals = worker->group->locals;

	return locals != NULL && own->local_index != FWD_NO_SLOT && own->port == port
		&& local_owner_hear(locals, worker->base, ipv6, own->local_index, mac, probes);
}

// `whole`: not the first fragment of a datagram, whose length goes beyond what is here.
static inline __attribute__((always_inline)) enum drop_reason
check_l4(struct packet_view *view, uint8_t protocol, bool whole) {
	unsigned length = view_l4_length(view);
	const struct tcp_header *tcp = view->l4;
	const struct udp_header *udp = view->l4;

	if (protocol == IPPROTO_TCP) {
		if (length < sizeof(*tcp) || (tcp->data_offset >> 4) * 4u < sizeof(*tcp)
		    || (tcp->data_offset >> 4) * 4u > length)
			return DROP_BAD_L4_HEADER;
		view->tcp_flags = tcp->flags;
		return DROP_NONE;
	}
	if (length < sizeof(*udp) || ntohs(udp->length) < sizeof(*udp)
	    || (whole && ntohs(udp->length) > length))
		return DROP_BAD_L4_HEADER;
	view->tcp_flags = 0;
	return DROP_NONE;
}

// worker_process() of frames whose tags are off.
void worker_process_untagged(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packets,
	unsigned count,
	uint64_t now_ms
);

// Checks the headers and tells what the packet is. VIEW_DONE when it is dropped or was handled on the spot.
void packet_classify(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
);

// The same for a frame that says it is IPv6.
void packet_classify6(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
);

// Follows the extension headers from the IPv6 header at `view->ip6` to the L4 header; `room` is what lies from there on, bytes.
// Fills protocol, l4 and fragment6.
enum drop_reason ipv6_find_l4(struct packet_view *view, unsigned room);

// Neighbour discovery: answers for our addresses, learns from the sender.
void nd_handle(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	const struct packet_view *view,
	uint32_t now_s
);

// ARP: answers for our addresses, learns from the sender.
void arp_handle(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	uint32_t now_s
);

// ICMP: answers an echo request to one of our addresses, sends an error about a flow to its other side.
void icmp_handle(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	const struct packet_view *view
);

// The same for ICMPv6 but for neighbour discovery.
void icmp6_handle(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	const struct packet_view *view
);

// Answer to a TCP segment that was dropped because it belongs to no flow: RST, where the base wants that.
void reject_unknown_tcp(
	struct fwd_worker *worker, struct fwd_packet *packet, const struct packet_view *view
);

// Answer to a datagram that was dropped because its TTL would reach zero, or that is longer than `mtu` and must not be
// fragmented. Limited in number.
void reject_ttl(
	struct fwd_worker *worker, struct fwd_packet *packet, const struct packet_view *view
);
void reject_mtu(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	uint16_t mtu
);

// Hands a datagram to the port that it shall leave on: checks TTL, MTU and next hop and writes the Ethernet header. False
// when it is dropped, untouched.
static inline __attribute__((always_inline)) bool packet_forward(
	const struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	uint8_t port_out,
	uint16_t neighbour,
	bool ipv6
) {
	const struct fwd_port *port = &worker->base->ports[port_out];
	uint8_t ttl = ipv6 ? view->ip6->hop_limit : view->ip->ttl;
	uint64_t mac = neighbour_mac(worker->neighbours, neighbour);
	struct ether_header *ether = (struct ether_header *)packet->data;

	if (__builtin_expect(ttl <= 1, 0)) {
		packet_drop(packet, DROP_TTL_EXCEEDED);
		return false;
	}
	if (__builtin_expect(view->total_length > port->mtu, 0)) {
		packet_drop(packet, DROP_MTU_EXCEEDED);
		return false;
	}
	if (__builtin_expect(mac == 0, 0)) {
		packet_drop(packet, DROP_NEIGHBOUR_UNRESOLVED);
		return false;
	}
	__builtin_memcpy(ether->dst, &mac, ETHER_ADDR_SIZE);
	__builtin_memcpy(ether->src, port->mac, ETHER_ADDR_SIZE);
	packet_send(packet, port_out);
	return true;
}

// `delta` is that of both addresses.
static inline void
rewrite_ipv4(struct ipv4_header *ip, uint32_t src, uint32_t dst, uint16_t delta) {
	// TTL - 1 takes 0x0100 from its word. A load of that word after the store of one byte would wait for the store.
	uint16_t with_ttl = checksum_add(delta, __builtin_bswap16((uint16_t)~0x0100));

	ip->ttl--;
	ip->checksum = checksum_adjust(ip->checksum, with_ttl);
	ip->src = src;
	ip->dst = dst;
}

static inline void rewrite_ipv6(
	struct ipv6_header *ip, const struct ipv6_address *src, const struct ipv6_address *dst
) {
	ip->hop_limit--;
	ip->src = *src;
	ip->dst = *dst;
}

// RFC 768: 0 says that there is no checksum, so that it stays; a sum of 0 is sent as its other form.
static inline void rewrite_udp_checksum(struct udp_header *udp, uint16_t delta) {
	uint16_t checksum;

	if (udp->checksum == 0)
		return;
	checksum = checksum_adjust(udp->checksum, delta);
	udp->checksum = checksum ? checksum : 0xffff;
}

// Takes a flow that is counted from the connections of its client.
void worker_uncount_client(struct fwd_worker *worker, const struct flow *flow);

// Counts a connection that has ended; its flow stays for the last packets.
static inline void worker_count_close(struct fwd_worker *worker, struct flow *flow) {
	if (flow->is_foreign)
		return;
	if (flow->is_counted)
		worker_uncount_client(worker, flow);
	flow->is_counted = false;
	worker->counters.listeners[flow->listener].closed_flows++;
	worker->counters.backends[flow->backend_slot].closed_flows++;
}

// Counts a flow that is about to be deleted.
static inline void worker_count_end(struct fwd_worker *worker, const struct flow *flow) {
	struct listener_counters *listener = &worker->counters.listeners[flow->listener];
	struct backend_counters *backend = &worker->counters.backends[flow->backend_slot];

	if (flow->is_foreign)
		return;
	if (flow->state == FLOW_TCP_CLOSED) {
		listener->closed_flows--;
		backend->closed_flows--;
	}
	if (flow->is_counted)
		worker_uncount_client(worker, flow);
	worker->half_open[flow->ipv6].live -= flow_is_half_open(flow);
	listener->active_flows--;
	backend->active_flows--;
}

// Counts a flow that was there before: of a process before this one, or told by a peer.
void worker_count_again(
	struct fwd_worker *worker, const struct fwd_config *config, struct flow *flow
);

// Whether this pod waits for the flows that its peers know: what fits no flow may yet do so.
static inline bool worker_joins(const struct fwd_worker *worker) {
	return worker->sync != NULL && !sync_is_complete(worker->sync);
}

// The worker that has the flow of a packet with these addresses and ports (as they lie in the packet), if it has one at all; the
// worker itself where that cannot be told.
uint16_t worker_owner(
	const struct fwd_worker *worker,
	bool ipv6,
	const void *src,
	uint16_t src_port,
	const void *dst,
	uint16_t dst_port
);

// Whether worker_owner() can tell that of a client's packet.
bool worker_owner_of_client_is_known(const struct fwd_worker *worker, bool ipv6);

// True when an ICMP error about a packet that fits no flow here goes on to another worker; `owner` is the one that worker_owner()
// names for the quoted packet turned round.
bool packet_pass_error(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	uint16_t owner,
	bool about_reply,
	bool ipv6
);

static inline void packet_give(struct fwd_packet *packet, uint16_t owner) {
	packet->verdict = FWD_HAND_OVER;
	packet->drop_reason = DROP_NONE;
	packet->owner = (uint8_t)owner;
}

// True when the packet goes on to another worker. At most once: `owner` may be wrong.
static inline bool
packet_hand_over(const struct fwd_worker *worker, struct fwd_packet *packet, uint16_t owner) {
	if (packet->hand_overs > 0 || owner == worker->index)
		return false;
	packet_give(packet, owner);
	return true;
}

// True when there is one left of the `per_s` that this second has.
static inline bool budget_take(struct second_budget *budget, uint32_t now_s, uint32_t per_s) {
	if (budget->second != now_s)
		*budget = (struct second_budget){now_s, per_s};
	if (budget->left == 0)
		return false;
	budget->left--;
	return true;
}

// Makes the flow of a client's first packet. FLOW_NONE with a drop reason when there can be none.
uint32_t flow_create(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	const struct fwd_packet *packet,
	const struct packet_view *view,
	uint32_t now_s,
	enum drop_reason *reason
);
uint32_t flow_create6(
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
uint16_t worker_next_hop6(
	struct fwd_worker *worker,
	uint8_t port,
	const struct ipv6_address *address,
	enum drop_reason *reason
);

// What is derived from a flow's addresses and ports: its checksum deltas; its ports and next hops, false with a drop reason where there
// is none.
void flow_fill_deltas(struct flow *flow);
bool flow_find_next_hops(struct fwd_worker *worker, struct flow *flow, enum drop_reason *reason);
