// SPDX-License-Identifier: Apache-2.0

// The first look at a packet: header checks, then is it ours, a client's or a backend's?

#include "worker_internal.h"

#include "checksum.h"
#include "vlan.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

// Headers with options, which are rare, take the long way.
static bool checksum_good(const struct ipv4_header *ip, unsigned header_length) {
	if (__builtin_expect(header_length == sizeof(*ip), 1))
		return checksum_ipv4_good(ip);
	return checksum_words(ip, header_length / 2) == 0xffff;
}

static enum drop_reason check_ipv4(const struct fwd_packet *packet, struct packet_view *view) {
	struct ipv4_header *ip = (struct ipv4_header *)(packet->data + sizeof(struct ether_header));
	unsigned room = packet->len - sizeof(struct ether_header);
	unsigned header_length;

	if (room < sizeof(*ip))
		return DROP_TRUNCATED;
	header_length = (ip->version_ihl & 0xf) * 4u;
	view->total_length = ntohs(ip->total_length);
	if (ip->version_ihl >> 4 != 4 || header_length < sizeof(*ip)
	    || view->total_length < header_length)
		return DROP_BAD_IP_HEADER;
	if (view->total_length > room)
		return DROP_TRUNCATED;
	if (!checksum_good(ip, header_length))
		return DROP_BAD_IP_CHECKSUM;
	view->ip = ip;
	view->l4 = (uint8_t *)ip + header_length;
	return DROP_NONE;
}

// TCP and UDP have their ports in the same place.
static inline __attribute__((always_inline)) void
aim_client(const struct fwd_worker *worker, struct packet_view *view) {
	const struct udp_header *ports = view->l4;

	view->key.client_address = view->ip->src;
	view->key.vip = view->ip->dst;
	view->key.client_port = ports->src;
	view->key.vip_port = ports->dst;
	view->key.protocol = view->ip->protocol;
	view->hash = flow_hash(&worker->flows, &view->key);
	__builtin_prefetch(flow_table_bucket(&worker->flows, view->hash));
	view->kind = VIEW_CLIENT;
}

static inline __attribute__((always_inline)) void
aim_reply(const struct fwd_worker *worker, struct packet_view *view, uint32_t local_index) {
	const struct udp_header *ports = view->l4;

	view->flow = flow_table_reply_index(
		&worker->flows, local_index, ports->dst, view->ip->src, ports->src
	);
	if (view->flow != FLOW_NONE)
		__builtin_prefetch(&worker->flows.flows[view->flow]);
	view->kind = VIEW_REPLY;
}

static bool is_l4(const struct packet_view *view) {
	return view->ip->protocol == IPPROTO_TCP || view->ip->protocol == IPPROTO_UDP;
}

// What comes to a port's own address is no flow's.
static __attribute__((noinline)) void aim_port(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view
) {
	if (!sync_handle(worker, config, packet, view))
		aim_client(worker, view);
}

static inline __attribute__((always_inline)) void
aim(const struct fwd_worker *worker, struct packet_view *view, const struct own_address *own) {
	if (own != NULL && own->local_index != FWD_NO_SLOT)
		aim_reply(worker, view, own->local_index);
	else
		aim_client(worker, view);
}

static __attribute__((noinline)) void classify_fragment(
	const struct fwd_worker *worker, struct fwd_packet *packet, struct packet_view *view
) {
	enum drop_reason reason;

	view->ipv6 = false;
	if (!is_l4(view)) {
		packet_drop(
			packet,
			view->ip->protocol == IPPROTO_ICMP ? DROP_FRAGMENT : DROP_UNKNOWN_PROTOCOL
		);
		return;
	}
	if (view->ip->fragment & htons(IPV4_OFFSET_MASK)) {
		view->kind = VIEW_LATER_FRAGMENT;
		return;
	}
	reason = check_l4(view, view->ip->protocol, false);
	if (reason != DROP_NONE) {
		packet_drop(packet, reason);
		return;
	}
	aim(worker, view, own_address_find(worker, view->ip->dst));
	if (view->kind == VIEW_REPLY) {
		view->kind = VIEW_FIRST_OF_REPLY;
		return;
	}
	view->kind = VIEW_FIRST_OF_CLIENT;
	view->flow = FLOW_NONE;
}

static void classify_ipv4(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view
) {
	enum drop_reason reason = check_ipv4(packet, view);
	const struct own_address *own;

	if (__builtin_expect(
		    reason == DROP_NONE && (view->ip->fragment & htons(IPV4_FRAGMENT_MASK)), 0
	    )) {
		classify_fragment(worker, packet, view);
		return;
	}
	if (reason == DROP_NONE && view->ip->protocol == IPPROTO_ICMP) {
		icmp_handle(worker, config, packet, view);
		return;
	}
	if (reason == DROP_NONE && !is_l4(view))
		reason = DROP_UNKNOWN_PROTOCOL;
	if (reason == DROP_NONE)
		reason = check_l4(view, view->ip->protocol, true);
	if (reason != DROP_NONE) {
		packet_drop(packet, reason);
		return;
	}
	own = own_address_find(worker, view->ip->dst);
	if (own != NULL && own->local_index == FWD_NO_SLOT)
		aim_port(worker, config, packet, view);
	else
		aim(worker, view, own);
}

static inline __attribute__((always_inline)) void classify_unicast(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view
) {
	const struct ether_header *ether = (const struct ether_header *)packet->data;

	if (memcmp(ether->dst, worker->base->ports[packet->port_in].mac, ETHER_ADDR_SIZE) != 0)
		packet_drop(packet, DROP_NOT_OUR_MAC);
	else
		classify_ipv4(worker, config, packet, view);
}

// A tag that gives a priority only is as good as none (IEEE 802.1Q, section 6.9).
static __attribute__((noinline)) void classify_tagged(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
) {
	enum drop_reason reason = vlan_drop_priority(packet);

	if (reason == DROP_NONE)
		packet_classify(worker, config, packet, view, now_s);
	else
		packet_drop(packet, reason);
}

void packet_classify(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
) {
	const struct ether_header *ether = (const struct ether_header *)packet->data;

	view->kind = VIEW_DONE;
	if (packet->len < sizeof(*ether))
		packet_drop(packet, DROP_TRUNCATED);
	else if (ether->type == htons(ETHER_TYPE_IPV4))
		classify_unicast(worker, config, packet, view);
	else if (ether->type == htons(ETHER_TYPE_IPV6))
		packet_classify6(worker, config, packet, view, now_s);
	else if (ether->type == htons(ETHER_TYPE_ARP))
		arp_handle(worker, config, packet, now_s);
	else if (ether->type == htons(ETHER_TYPE_VLAN) || ether->type == htons(ETHER_TYPE_SERVICE_VLAN))
		classify_tagged(worker, config, packet, view, now_s);
	else
		packet_drop(packet, DROP_UNKNOWN_ETHERTYPE);
}
