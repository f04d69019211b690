// SPDX-License-Identifier: Apache-2.0

// The first look at an IPv6 packet: header, extension headers, then is it ours, a client's or a backend's?

#include "worker_internal.h"

#include <string.h>

// What a whole packet without extension headers passes through.
#define FAST_PATH static inline __attribute__((always_inline))

// What is looked at before a packet is given up: more is hardly ever sent, and often dropped on its way (RFC 9098).
#define EXTENSIONS_MAX 8
#define EXTENSIONS_SIZE_MAX 256 // bytes

static bool is_l4(uint8_t protocol) {
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMPV6;
}

static bool is_extension(uint8_t protocol) {
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_DSTOPTS
		|| protocol == IPPROTO_ROUTING || protocol == IPPROTO_FRAGMENT;
}

// RFC 5095: type 0 is refused even when it has come to its end. What has segments left is not at its destination.
static bool routing_is_over(const struct ipv6_extension *routing) {
	return routing->type != 0 && routing->segments_left == 0;
}

static bool is_later_fragment(const struct packet_view *view) {
	return view->fragment6 != NULL
		&& (view->fragment6->offset & htons(IPV6_FRAGMENT_OFFSET_MASK)) != 0;
}

static __attribute__((noinline)) enum drop_reason
skip_extensions(struct packet_view *view, unsigned room) {
	uint8_t *at = (uint8_t *)(view->ip6 + 1), *first = at, *end = (uint8_t *)view->ip6 + room;

	for (unsigned n = 0; n < EXTENSIONS_MAX && is_extension(view->protocol); n++) {
		const struct ipv6_extension *header = (const struct ipv6_extension *)at;
		unsigned size = sizeof(*header);

		if (end - at < (ptrdiff_t)sizeof(*header))
			return DROP_TRUNCATED;
		if (view->protocol == IPPROTO_ROUTING && !routing_is_over(header))
			return DROP_ROUTING_HEADER;
		if (view->protocol != IPPROTO_FRAGMENT)
			size += header->length * 8u;
		else if (view->fragment6 != NULL)
			return DROP_EXTENSION_HEADERS;
		else
			view->fragment6 = (struct ipv6_fragment *)at;
		view->protocol = header->next_header;
		if (size > (size_t)(end - at))
			return DROP_TRUNCATED;
		at += size;
		// What follows is not the beginning of a header.
		if (is_later_fragment(view))
			break;
	}
	if ((is_extension(view->protocol) && !is_later_fragment(view))
	    || at - first > EXTENSIONS_SIZE_MAX)
		return DROP_EXTENSION_HEADERS;
	view->l4 = at;
	// RFC 6946: a datagram in one piece is whole, whatever its fragment header says.
	if (view->fragment6 != NULL && !(view->fragment6->offset & htons(IPV6_FRAGMENT_MASK)))
		view->fragment6 = NULL;
	return DROP_NONE;
}

FAST_PATH enum drop_reason find_l4(struct packet_view *view, unsigned room) {
	view->protocol = view->ip6->next_header;
	view->fragment6 = NULL;
	view->l4 = view->ip6 + 1;
	if (__builtin_expect(is_l4(view->protocol), 1))
		return DROP_NONE;
	return skip_extensions(view, room);
}

enum drop_reason ipv6_find_l4(struct packet_view *view, unsigned room) {
	return find_l4(view, room);
}

FAST_PATH enum drop_reason check_ipv6(const struct fwd_packet *packet, struct packet_view *view) {
	struct ipv6_header *ip = (struct ipv6_header *)(packet->data + sizeof(struct ether_header));
	unsigned room = packet->len - sizeof(struct ether_header), length;

	if (room < sizeof(*ip))
		return DROP_TRUNCATED;
	length = sizeof(*ip) + ntohs(ip->payload_length);
	if ((ip->version_class_label & htonl(0xfu << 28)) != htonl(6u << 28))
		return DROP_BAD_IP_HEADER;
	if (length > room)
		return DROP_TRUNCATED;
	view->ip6 = ip;
	view->total_length = (uint16_t)length;
	return find_l4(view, length);
}

// RFC 8200, section 8.1: UDP must have a checksum.
FAST_PATH enum drop_reason check_transport(struct packet_view *view) {
	bool whole = view->fragment6 == NULL;
	enum drop_reason reason;

	if (view->protocol != IPPROTO_TCP && view->protocol != IPPROTO_UDP)
		return DROP_UNKNOWN_PROTOCOL;
	reason = check_l4(view, view->protocol, whole);
	if (reason == DROP_NONE && view->protocol == IPPROTO_UDP
	    && ((const struct udp_header *)view->l4)->checksum == 0)
		return DROP_NO_UDP_CHECKSUM;
	return reason;
}

FAST_PATH void aim_client(const struct fwd_worker *worker, struct packet_view *view) {
	const struct udp_header *ports = view->l4;

	view->key6 = (struct flow_key6){
		.client_address = &view->ip6->src,
		.vip = &view->ip6->dst,
		.client_port = ports->src,
		.vip_port = ports->dst,
		.protocol = view->protocol,
	};
	view->hash = flow_hash6(&worker->flows6, &view->key6);
	__builtin_prefetch(flow_table_bucket(&worker->flows6, view->hash));
	view->kind = VIEW_CLIENT6;
}

FAST_PATH void
aim_reply(const struct fwd_worker *worker, struct packet_view *view, uint32_t local_index) {
	const struct udp_header *ports = view->l4;

	view->flow = flow_table_reply_index(
		&worker->flows6,
		local_index,
		ports->dst,
		flow_bank_number(&worker->flows6, &view->ip6->src),
		ports->src
	);
	if (view->flow != FLOW_NONE)
		flow6_prefetch(&worker->flows6, view->flow);
	view->kind = VIEW_REPLY6;
}

FAST_PATH void aim(const struct fwd_worker *worker, struct packet_view *view) {
	const struct own_address *own = own_address6_find(worker, &view->ip6->dst);

	if (own != NULL && own->local_index != FWD_NO_SLOT)
		aim_reply(worker, view, own->local_index);
	else
		aim_client(worker, view);
}

// RFC 8200, section 4.5.
static __attribute__((noinline)) void classify_fragment(
	const struct fwd_worker *worker, struct fwd_packet *packet, struct packet_view *view
) {
	enum drop_reason reason = DROP_FRAGMENT;

	if (is_later_fragment(view)) {
		view->kind = VIEW_LATER_FRAGMENT;
		return;
	}
	if (view->protocol != IPPROTO_ICMPV6)
		reason = check_transport(view);
	if (reason != DROP_NONE) {
		packet_drop(packet, reason);
		return;
	}
	aim(worker, view);
	if (view->kind == VIEW_REPLY6) {
		view->kind = VIEW_FIRST_OF_REPLY;
		return;
	}
	view->kind = VIEW_FIRST_OF_CLIENT;
	view->flow = FLOW_NONE;
}

static bool is_nd(const struct packet_view *view) {
	const struct icmp_header *icmp = view->l4;

	return view_l4_length(view) >= sizeof(*icmp)
		&& (icmp->type == ND_SOLICITATION || icmp->type == ND_ADVERTISEMENT);
}

static void classify_icmp(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
) {
	if (is_nd(view))
		nd_handle(worker, config, packet, view, now_s);
	else
		icmp6_handle(worker, config, packet, view);
}

// To ourselves, or to a group of IPv6 hosts (RFC 2464, section 7), for neighbour discovery.
static bool
is_for_us(const struct fwd_worker *worker, const struct fwd_packet *packet, bool *to_group) {
	const struct ether_header *ether = (const struct ether_header *)packet->data;

	*to_group = ether->dst[0] == 0x33 && ether->dst[1] == 0x33;
	return *to_group
		|| memcmp(ether->dst, worker->base->ports[packet->port_in].mac, ETHER_ADDR_SIZE)
		== 0;
}

void packet_classify6(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
) {
	enum drop_reason reason;
	bool to_group;

	if (!is_for_us(worker, packet, &to_group)) {
		packet_drop(packet, DROP_NOT_OUR_MAC);
		return;
	}
	view->ipv6 = true;
	reason = check_ipv6(packet, view);
	if (reason == DROP_NONE && to_group
	    && (view->protocol != IPPROTO_ICMPV6 || view->fragment6 != NULL || !is_nd(view)))
		reason = DROP_NOT_OURS;
	if (reason == DROP_NONE && view->fragment6 != NULL) {
		classify_fragment(worker, packet, view);
		return;
	}
	if (reason == DROP_NONE && view->protocol == IPPROTO_ICMPV6) {
		classify_icmp(worker, config, packet, view, now_s);
		return;
	}
	if (reason == DROP_NONE)
		reason = check_transport(view);
	if (reason != DROP_NONE) {
		packet_drop(packet, reason);
		return;
	}
	aim(worker, view);
}
