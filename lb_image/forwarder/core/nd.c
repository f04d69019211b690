// SPDX-License-Identifier: Apache-2.0

// Neighbour discovery (RFC 4861): answers for our addresses, learns who others are. A gateway is configured, so that the router
// flag of an advertisement changes nothing, and router advertisements and redirects are not listened to.

#include "worker_internal.h"

#include "nd_make.h"

#include <string.h>

// A message that passed the checks of RFC 4861, sections 7.1.1 and 7.1.2.
struct nd_message {
	const struct nd_header *nd;
	const uint8_t *mac; // in the option that goes with the type; NULL: none
};

// False where an option is malformed.
static bool find_link_address(const struct packet_view *view, uint8_t type, const uint8_t **mac) {
	const uint8_t *at = (const uint8_t *)view->l4 + sizeof(struct nd_header);
	const uint8_t *end = (const uint8_t *)view->l4 + view_l4_length(view);

	*mac = NULL;
	while (at < end) {
		const struct nd_link_address *option = (const struct nd_link_address *)at;

		if (end - at < 2 || option->length == 0 || option->length * 8 > end - at)
			return false;
		if (option->type == type && option->length * 8 == sizeof(*option))
			*mac = option->mac;
		at += option->length * 8;
	}
	return *mac == NULL || !((*mac)[0] & 1);
}

static bool is_solicited_node(const struct ipv6_address *address) {
	struct ipv6_address group = ipv6_solicited_node(address);

	return ipv6_equal(&group, address);
}

// A hop limit of 255 shows that no router sent it on: it comes from the link. No extension header: RFC 6980 refuses fragments,
// and nobody needs the others.
static bool is_valid(const struct packet_view *view, struct nd_message *message) {
	const struct ipv6_header *ip = view->ip6;
	const struct nd_header *nd = view->l4;
	bool solicits = nd->icmp.type == ND_SOLICITATION;
	uint8_t option = solicits ? ND_OPTION_SOURCE_LINK_ADDRESS : ND_OPTION_TARGET_LINK_ADDRESS;

	message->nd = nd;
	if (ip->hop_limit != ND_HOP_LIMIT || ip->next_header != IPPROTO_ICMPV6 || nd->icmp.code != 0
	    || view_l4_length(view) < sizeof(*nd) || ipv6_is_multicast(&nd->target)
	    || ipv6_is_multicast(&ip->src) || !find_link_address(view, option, &message->mac))
		return false;
	if (!solicits)
		return !ipv6_is_multicast(&ip->dst) || !(nd->icmp.rest & htonl(ND_FLAG_SOLICITED));
	return !ipv6_is_unspecified(&ip->src)
		|| (message->mac == NULL && is_solicited_node(&ip->dst));
}

static bool answers_nd(
	const struct fwd_worker *worker,
	const struct fwd_config *config,
	uint8_t port,
	const struct ipv6_address *address
) {
	const struct own_address *own = own_address6_find(worker, address);
	const struct fwd_listener *listener;

	if (own != NULL)
		return own->port == port && own_address_is_ours(worker, own, true);
	// VIPs live on the first network.
	listener = port == 0 ? fwd_config_vip6(config, address) : NULL;
	return listener != NULL
		&& vip_is_ours(worker->group->vips, config, listener, worker->now_ms);
}

// Whoever advertises an address, or solicits from it, says that he has it; whoever asks from nowhere would like to (RFC 4862).
static bool hear_claim(
	const struct fwd_worker *worker,
	const struct fwd_config *config,
	const struct fwd_packet *packet,
	const struct packet_view *view,
	const struct nd_message *message
) {
	const struct ether_header *ether = (const struct ether_header *)packet->data;
	bool solicits = message->nd->icmp.type == ND_SOLICITATION;
	bool probes = solicits && ipv6_is_unspecified(&view->ip6->src);
	struct ipv6_address claimed = solicits && !probes ? view->ip6->src : message->nd->target;
	const uint8_t *mac = message->mac != NULL ? message->mac : ether->src;
	const struct own_address *own = own_address6_find(worker, &claimed);
	const struct fwd_listener *listener;

	if (own != NULL)
		return own_address_hear(worker, own, true, packet->port_in, mac, probes);
	listener = packet->port_in == 0 ? fwd_config_vip6(config, &claimed) : NULL;
	return listener != NULL
		&& vip_hear(worker->group->vips, worker->base, config, listener, mac, probes);
}

// Whoever has no address yet asks whether anybody has the one it wants (RFC 4862): the answer goes to all nodes.
static void
answer(const struct fwd_worker *worker,
       struct fwd_packet *packet,
       const struct packet_view *view,
       const struct nd_message *message) {
	const struct ether_header *ether = (const struct ether_header *)packet->data;
	bool probes = ipv6_is_unspecified(&view->ip6->src);
	uint8_t to_mac[ETHER_ADDR_SIZE];
	const struct nd_advertisement says = {
		.target = message->nd->target,
		.to = probes ? ipv6_all_nodes() : view->ip6->src,
		.mac = worker->base->ports[packet->port_in].mac,
		.to_mac = probes ? NULL : to_mac,
		.flags = probes ? ND_FLAG_OVERRIDE : ND_FLAG_OVERRIDE | ND_FLAG_SOLICITED,
	};

	memcpy(to_mac, message->mac != NULL ? message->mac : ether->src, sizeof(to_mac));
	packet->len = nd_advertisement_write(packet->data, &says);
	packet_send(packet, packet->port_in);
}

// RFC 4861, section 7.2.3. True when the sender is a neighbour that we know.
static bool learn_from_solicitation(
	struct fwd_worker *worker,
	const struct fwd_packet *packet,
	const struct packet_view *view,
	const struct nd_message *message,
	uint32_t now_s
) {
	return message->mac != NULL
		&& neighbour_learn6(
			worker->neighbours,
			packet->port_in,
			&view->ip6->src,
			message->mac,
			(struct neighbour_news){.solicited = false, .override = true},
			now_s
		);
}

static bool learn_from_advertisement(
	struct fwd_worker *worker,
	const struct fwd_packet *packet,
	const struct nd_message *message,
	uint32_t now_s
) {
	uint32_t flags = ntohl(message->nd->icmp.rest);
	const struct neighbour_news news = {
		.solicited = flags & ND_FLAG_SOLICITED,
		.override = flags & ND_FLAG_OVERRIDE,
	};

	if (news.solicited)
		gateway_probe_hear(
			&worker->group->gateways,
			worker->base,
			packet->port_in,
			&message->nd->target,
			worker->now_ms
		);
	return message->mac != NULL
		&& neighbour_learn6(
			worker->neighbours,
			packet->port_in,
			&message->nd->target,
			message->mac,
			news,
			now_s
		);
}

void nd_handle(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	const struct packet_view *view,
	uint32_t now_s
) {
	uint32_t sum = checksum_pseudo6(view->ip6, IPPROTO_ICMPV6, view_l4_length(view))
		+ checksum_bytes(view->l4, view_l4_length(view));
	struct nd_message message;
	bool known;

	if (checksum_fold(sum) != 0xffff) {
		packet_drop(packet, DROP_BAD_ICMP_CHECKSUM);
		return;
	}
	if (!is_valid(view, &message)) {
		packet_drop(packet, DROP_BAD_ND);
		return;
	}
	if (message.nd->icmp.type == ND_ADVERTISEMENT)
		known = learn_from_advertisement(worker, packet, &message, now_s);
	else
		known = learn_from_solicitation(worker, packet, view, &message, now_s);
	known |= hear_claim(worker, config, packet, view, &message);
	if (message.nd->icmp.type == ND_SOLICITATION
	    && answers_nd(worker, config, packet->port_in, &message.nd->target))
		answer(worker, packet, view, &message);
	else if (known)
		packet_consume(packet);
	else
		packet_drop(packet, DROP_BAD_ND);
}
