// SPDX-License-Identifier: Apache-2.0

// ICMPv6 (RFC 4443): echo requests are answered; an error about a packet that we rewrote goes on to the side that sent the
// packet, with what it quotes rewritten back, as icmp.c does it for IPv4.

#include "worker_internal.h"

#include "client_address.h"

#include <stddef.h>
#include <string.h>

#define ECHO_REPLY_HOP_LIMIT 64
// The ports; the sequence number of TCP, or length and checksum of UDP.
#define QUOTED_L4_SIZE 8

// What to write into an error and into the packet that it quotes.
struct translation {
	struct ipv6_address src, dst;               // of the error
	struct ipv6_address quoted_src, quoted_dst; // of the quoted packet
	uint16_t quoted_src_port, quoted_dst_port;
	uint16_t l4_delta;
	uint16_t neighbour;
	uint8_t port;
	struct flow *of_client; // the flow, where the error is for its client
};

// The answer goes back the way the request came: same port, to the MAC that sent it.
static void answer_echo(
	const struct fwd_worker *worker, struct fwd_packet *packet, const struct packet_view *view
) {
	struct ether_header *ether = (struct ether_header *)packet->data;
	const struct ipv6_address asked = view->ip6->dst;
	struct icmp_header *icmp = view->l4;

	icmp->type = ICMPV6_ECHO_REPLY;
	icmp->checksum = checksum_adjust(
		icmp->checksum,
		checksum_delta16(htons(ICMPV6_ECHO_REQUEST << 8), htons(ICMPV6_ECHO_REPLY << 8))
	);
	// Swapping the addresses leaves the sum as it is.
	view->ip6->dst = view->ip6->src;
	view->ip6->src = asked;
	view->ip6->hop_limit = ECHO_REPLY_HOP_LIMIT;
	memcpy(ether->dst, ether->src, ETHER_ADDR_SIZE);
	memcpy(ether->src, worker->base->ports[packet->port_in].mac, ETHER_ADDR_SIZE);
	packet_send(packet, packet->port_in);
}

// What an error is about, as far as it is quoted. False where too little is quoted to tell the flow.
static bool find_quoted(const struct packet_view *view, struct packet_view *quoted) {
	struct icmp_header *icmp = view->l4;
	unsigned length = view_l4_length(view) - sizeof(*icmp);

	quoted->ip6 = (struct ipv6_header *)(icmp + 1);
	quoted->total_length = (uint16_t)length;
	if (length < sizeof(*quoted->ip6)
	    || (quoted->ip6->version_class_label & htonl(0xfu << 28)) != htonl(6u << 28)
	    || ipv6_find_l4(quoted, length) != DROP_NONE)
		return false;
	if (quoted->fragment6 != NULL
	    && (quoted->fragment6->offset & htons(IPV6_FRAGMENT_OFFSET_MASK)))
		return false;
	return (quoted->protocol == IPPROTO_TCP || quoted->protocol == IPPROTO_UDP)
		&& view_l4_length(quoted) >= QUOTED_L4_SIZE;
}

// The error is about a packet that we sent to a backend: the client gets it, from the VIP.
static bool translate_to_client(
	const struct fwd_worker *worker,
	const struct packet_view *quoted,
	uint32_t local_index,
	struct translation *to
) {
	const struct flow_table *table = &worker->flows6;
	const struct udp_header *ports = quoted->l4;
	uint32_t index = flow_table_reply_index(
		table,
		local_index,
		ports->src,
		flow_bank_number(table, &quoted->ip6->dst),
		ports->dst
	);
	struct flow6 *flow = &table->flows6[index];

	if (index == FLOW_NONE
	    || !flow6_is_replied(flow, quoted->protocol, &quoted->ip6->dst, ports->dst))
		return false;
	*to = (struct translation){
		.src = flow->vip,
		.dst = flow->client_address,
		.quoted_src = flow->client_address,
		.quoted_dst = flow->vip,
		.quoted_src_port = flow->flow.client_port,
		.quoted_dst_port = flow->flow.vip_port,
		.l4_delta = (uint16_t)~flow->flow.l4_delta,
		.neighbour = flow->flow.client_neighbour,
		.port = flow->flow.client_port_index,
		.of_client = &flow->flow,
	};
	return true;
}

// The error is about a packet that we sent to a client: the backend gets it, from the local address.
static bool translate_to_backend(
	const struct fwd_worker *worker, const struct packet_view *quoted, struct translation *to
) {
	const struct flow_table *table = &worker->flows6;
	const struct udp_header *ports = quoted->l4;
	const struct flow_key6 key = {
		.client_address = &quoted->ip6->dst,
		.vip = &quoted->ip6->src,
		.client_port = ports->dst,
		.vip_port = ports->src,
		.protocol = quoted->protocol,
	};
	uint32_t index = flow_table_find6(table, &key, flow_hash6(table, &key));
	const struct flow6 *flow = &table->flows6[index];

	if (index == FLOW_NONE)
		return false;
	*to = (struct translation){
		.src = flow->local_address,
		.dst = flow->backend_address,
		.quoted_src = flow->backend_address,
		.quoted_dst = flow->local_address,
		.quoted_src_port = flow->flow.backend_port,
		.quoted_dst_port = flow->flow.local_port,
		.l4_delta = flow->flow.l4_delta,
		.neighbour = flow->flow.backend_neighbour,
		.port = flow->flow.backend_port_index,
	};
	return true;
}

// What is quoted may be cut off before its checksum.
static void rewrite_quoted(const struct packet_view *quoted, const struct translation *to) {
	struct tcp_header *tcp = quoted->l4;
	struct udp_header *udp = quoted->l4;

	quoted->ip6->src = to->quoted_src;
	quoted->ip6->dst = to->quoted_dst;
	udp->src = to->quoted_src_port;
	udp->dst = to->quoted_dst_port;
	if (quoted->protocol == IPPROTO_UDP)
		rewrite_udp_checksum(udp, to->l4_delta);
	else if (view_l4_length(quoted) >= offsetof(struct tcp_header, checksum) + sizeof(tcp->checksum))
		tcp->checksum = checksum_adjust(tcp->checksum, to->l4_delta);
}

static bool find_flow(
	const struct fwd_worker *worker,
	const struct packet_view *view,
	const struct packet_view *quoted,
	struct translation *to
) {
	const struct own_address *own = own_address6_find(worker, &view->ip6->dst);

	if (own == NULL)
		return translate_to_backend(worker, quoted, to);
	return own->local_index != FWD_NO_SLOT
		&& translate_to_client(worker, quoted, own->local_index, to);
}

static void translate(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	enum drop_reason without_flow
) {
	unsigned length = view_l4_length(view);
	struct icmp_header *icmp = view->l4;
	const struct udp_header *ports;
	struct packet_view quoted;
	struct translation to;
	uint16_t owner;

	if (!find_quoted(view, &quoted) || !ipv6_equal(&quoted.ip6->src, &view->ip6->dst)) {
		packet_drop(packet, DROP_BAD_L4_HEADER);
		return;
	}
	if (!find_flow(worker, view, &quoted, &to)) {
		bool about_reply = own_address6_find(worker, &view->ip6->dst) == NULL;

		ports = quoted.l4;
		owner = worker_owner(
			worker, true, &quoted.ip6->dst, ports->dst, &quoted.ip6->src, ports->src
		);
		if (!packet_pass_error(worker, packet, owner, about_reply, true))
			packet_drop(packet, without_flow);
		return;
	}
	if (!packet_forward(worker, packet, view, to.port, to.neighbour, true))
		return;
	rewrite_ipv6(view->ip6, &to.src, &to.dst);
	rewrite_quoted(&quoted, &to);
	if (to.of_client != NULL)
		client_address_restore_quoted(to.of_client, quoted.l4, view_l4_length(&quoted));
	if (to.of_client != NULL && icmp->type == ICMPV6_TOO_BIG)
		icmp->rest =
			htonl(client_address_path_mtu(worker, to.of_client, ntohl(icmp->rest)));
	icmp->checksum = 0;
	icmp->checksum = (uint16_t)~checksum_fold(
		checksum_pseudo6(view->ip6, IPPROTO_ICMPV6, length) + checksum_bytes(icmp, length)
	);
}

static bool is_error(const struct icmp_header *icmp) {
	return icmp->type >= ICMPV6_UNREACHABLE && icmp->type <= ICMPV6_PARAMETER_PROBLEM;
}

static bool checksum_is_good(const struct packet_view *view) {
	unsigned length = view_l4_length(view);

	return checksum_fold(
		       checksum_pseudo6(view->ip6, IPPROTO_ICMPV6, length)
		       + checksum_bytes(view->l4, length)
	       ) == 0xffff;
}

void icmp6_handle(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	const struct packet_view *view
) {
	const struct icmp_header *icmp = view->l4;
	bool ours = own_address6_find(worker, &view->ip6->dst) != NULL
		|| fwd_config_vip6(config, &view->ip6->dst) != NULL;
	bool whole = view_l4_length(view) >= sizeof(*icmp);

	// Flows outlive their listener, and with them the errors about their replies.
	if (!ours && !(whole && is_error(icmp)))
		packet_drop(packet, DROP_NOT_OURS);
	else if (!whole)
		packet_drop(packet, DROP_BAD_L4_HEADER);
	else if (icmp->type == ICMPV6_ECHO_REQUEST && icmp->code == 0)
		answer_echo(worker, packet, view);
	else if (!is_error(icmp))
		packet_drop(packet, DROP_ICMP_OTHER);
	else if (!checksum_is_good(view))
		packet_drop(packet, DROP_BAD_ICMP_CHECKSUM);
	else
		translate(worker, packet, view, ours ? DROP_NO_FLOW : DROP_NOT_OURS);
}
