// SPDX-License-Identifier: Apache-2.0

// ICMP (RFC 792): echo requests are answered; an error about a packet that we rewrote goes on to the side that sent the
// packet, with the datagram that it quotes rewritten back (RFC 5508, section 4). So path MTU discovery works through FULLNAT.

#include "worker_internal.h"

#include "client_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#define ECHO_REPLY_TTL 64
// Ports and the rest of what every error must quote of the datagram behind its header.
#define QUOTED_L4_SIZE 8

// The datagram that an error is about, as far as it is quoted.
struct quoted {
	struct ipv4_header *ip;
	struct udp_header *ports; // of TCP too
	unsigned l4_length;       // bytes from `ports` on
};

// What to write into an error and into the datagram that it quotes.
struct translation {
	uint32_t src, dst;               // of the error
	uint32_t quoted_src, quoted_dst; // of the quoted datagram
	uint16_t quoted_src_port, quoted_dst_port;
	uint16_t address_delta, l4_delta;
	uint16_t neighbour;
	uint8_t port;
	struct flow *of_client; // the flow, where the error is for its client
};

// The answer goes back the way the request came: same port, to the MAC that sent it.
static void answer_echo(
	const struct fwd_worker *worker, struct fwd_packet *packet, const struct packet_view *view
) {
	struct ether_header *ether = (struct ether_header *)packet->data;
	struct icmp_header *icmp = view->l4;
	struct ipv4_header *ip = view->ip;
	uint16_t old_word, new_word;
	uint32_t asked = ip->dst;

	icmp->type = ICMP_ECHO_REPLY;
	icmp->checksum = checksum_adjust(
		icmp->checksum,
		checksum_delta16(htons(ICMP_ECHO_REQUEST << 8), htons(ICMP_ECHO_REPLY << 8))
	);
	ip->dst = ip->src;
	ip->src = asked;
	// Swapping the addresses leaves the sum as it is.
	memcpy(&old_word, &ip->ttl, sizeof(old_word));
	ip->ttl = ECHO_REPLY_TTL;
	memcpy(&new_word, &ip->ttl, sizeof(new_word));
	ip->checksum = checksum_adjust(ip->checksum, checksum_delta16(old_word, new_word));
	memcpy(ether->dst, ether->src, ETHER_ADDR_SIZE);
	memcpy(ether->src, worker->base->ports[packet->port_in].mac, ETHER_ADDR_SIZE);
	packet_send(packet, packet->port_in);
}

// False where too little is quoted to tell the flow.
static bool
find_quoted(const struct packet_view *view, unsigned icmp_length, struct quoted *quoted) {
	struct ipv4_header *ip = (struct ipv4_header *)((struct icmp_header *)view->l4 + 1);
	unsigned length = icmp_length - sizeof(struct icmp_header);
	unsigned header_length;

	if (length < sizeof(*ip))
		return false;
	header_length = (ip->version_ihl & 0xf) * 4u;
	if (ip->version_ihl >> 4 != 4 || header_length < sizeof(*ip)
	    || length < header_length + QUOTED_L4_SIZE || (ip->fragment & htons(IPV4_OFFSET_MASK))
	    || (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP))
		return false;
	quoted->ip = ip;
	quoted->ports = (struct udp_header *)((uint8_t *)ip + header_length);
	quoted->l4_length = length - header_length;
	return true;
}

// The error is about a packet that we sent to a backend: the client gets it, from the VIP.
static bool translate_to_client(
	const struct fwd_worker *worker,
	const struct quoted *quoted,
	uint32_t local_index,
	struct translation *to
) {
	uint32_t index = flow_table_reply_index(
		&worker->flows, local_index, quoted->ports->src, quoted->ip->dst, quoted->ports->dst
	);
	struct flow *flow = &worker->flows.flows[index];

	if (index == FLOW_NONE
	    || !flow_is_replied(flow, quoted->ip->protocol, quoted->ip->dst, quoted->ports->dst))
		return false;
	*to = (struct translation){
		.src = flow->vip,
		.dst = flow->client_address,
		.quoted_src = flow->client_address,
		.quoted_dst = flow->vip,
		.quoted_src_port = flow->client_port,
		.quoted_dst_port = flow->vip_port,
		.address_delta = (uint16_t)~flow->address_delta,
		.l4_delta = (uint16_t)~flow->l4_delta,
		.neighbour = flow->client_neighbour,
		.port = flow->client_port_index,
		.of_client = flow,
	};
	return true;
}

// The error is about a packet that we sent to a client: the backend gets it, from the local address.
static bool translate_to_backend(
	const struct fwd_worker *worker, const struct quoted *quoted, struct translation *to
) {
	const struct flow_key key = {
		.client_address = quoted->ip->dst,
		.vip = quoted->ip->src,
		.client_port = quoted->ports->dst,
		.vip_port = quoted->ports->src,
		.protocol = quoted->ip->protocol,
	};
	uint32_t index = flow_table_find(&worker->flows, &key, flow_hash(&worker->flows, &key));
	const struct flow *flow = &worker->flows.flows[index];

	if (index == FLOW_NONE)
		return false;
	*to = (struct translation){
		.src = flow->local_address,
		.dst = flow->backend_address,
		.quoted_src = flow->backend_address,
		.quoted_dst = flow->local_address,
		.quoted_src_port = flow->backend_port,
		.quoted_dst_port = flow->local_port,
		.address_delta = flow->address_delta,
		.l4_delta = flow->l4_delta,
		.neighbour = flow->backend_neighbour,
		.port = flow->backend_port_index,
	};
	return true;
}

// What is quoted may be cut off before its checksum.
static void rewrite_quoted(struct quoted *quoted, const struct translation *to) {
	struct tcp_header *tcp = (struct tcp_header *)quoted->ports;

	quoted->ip->src = to->quoted_src;
	quoted->ip->dst = to->quoted_dst;
	quoted->ip->checksum = checksum_adjust(quoted->ip->checksum, to->address_delta);
	quoted->ports->src = to->quoted_src_port;
	quoted->ports->dst = to->quoted_dst_port;
	if (quoted->ip->protocol == IPPROTO_UDP)
		rewrite_udp_checksum(quoted->ports, to->l4_delta);
	else if (quoted->l4_length >= offsetof(struct tcp_header, checksum) + sizeof(tcp->checksum))
		tcp->checksum = checksum_adjust(tcp->checksum, to->l4_delta);
}

// RFC 1191: the MTU of the next hop is in the last 16 bits of the header.
static void
correct_mtu(struct fwd_worker *worker, struct icmp_header *icmp, const struct translation *to) {
	uint32_t rest = ntohl(icmp->rest);

	if (to->of_client == NULL || icmp->type != ICMP_UNREACHABLE
	    || icmp->code != ICMP_CODE_FRAGMENTATION)
		return;
	rest = (rest & ~0xffffu) | client_address_path_mtu(worker, to->of_client, rest & 0xffffu);
	icmp->rest = htonl(rest);
}

static void translate(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	unsigned length,
	enum drop_reason without_flow
) {
	const struct own_address *own = own_address_find(worker, view->ip->dst);
	struct icmp_header *icmp = view->l4;
	struct translation to;
	struct quoted quoted;
	uint16_t delta, owner;
	bool found;

	if (!find_quoted(view, length, &quoted) || quoted.ip->src != view->ip->dst) {
		packet_drop(packet, DROP_BAD_L4_HEADER);
		return;
	}
	if (own == NULL)
		found = translate_to_backend(worker, &quoted, &to);
	else
		found = own->local_index != FWD_NO_SLOT
			&& translate_to_client(worker, &quoted, own->local_index, &to);
	if (!found) {
		owner = worker_owner(
			worker,
			false,
			&quoted.ip->dst,
			quoted.ports->dst,
			&quoted.ip->src,
			quoted.ports->src
		);
		if (!packet_pass_error(worker, packet, owner, own == NULL, false))
			packet_drop(packet, without_flow);
		return;
	}
	if (!packet_forward(worker, packet, view, to.port, to.neighbour, false))
		return;
	delta = checksum_add(
		checksum_delta32(view->ip->src, to.src), checksum_delta32(view->ip->dst, to.dst)
	);
	rewrite_ipv4(view->ip, to.src, to.dst, delta);
	rewrite_quoted(&quoted, &to);
	if (to.of_client != NULL)
		client_address_restore_quoted(
			to.of_client, (struct tcp_header *)quoted.ports, quoted.l4_length
		);
	correct_mtu(worker, icmp, &to);
	icmp->checksum = 0;
	icmp->checksum = (uint16_t)~checksum_bytes(icmp, length);
}

static bool is_error(const struct icmp_header *icmp) {
	return icmp->type == ICMP_UNREACHABLE || icmp->type == ICMP_TIME_EXCEEDED
		|| icmp->type == ICMP_PARAMETER_PROBLEM;
}

void icmp_handle(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	const struct packet_view *view
) {
	unsigned length =
		view->total_length - (unsigned)((uint8_t *)view->l4 - (uint8_t *)view->ip);
	const struct icmp_header *icmp = view->l4;
	bool ours = own_address_find(worker, view->ip->dst) != NULL
		|| fwd_config_vip(config, ntohl(view->ip->dst)) != NULL;
	bool whole = length >= sizeof(*icmp);

	// Flows outlive their listener, and with them the errors about their replies.
	if (!ours && !(whole && is_error(icmp)))
		packet_drop(packet, DROP_NOT_OURS);
	else if (!whole)
		packet_drop(packet, DROP_BAD_L4_HEADER);
	else if (icmp->type == ICMP_ECHO_REQUEST && icmp->code == 0)
		answer_echo(worker, packet, view);
	else if (!is_error(icmp))
		packet_drop(packet, DROP_ICMP_OTHER);
	else if (checksum_bytes(icmp, length) != 0xffff)
		packet_drop(packet, DROP_BAD_ICMP_CHECKSUM);
	else
		translate(worker, packet, view, length, ours ? DROP_NO_FLOW : DROP_NOT_OURS);
}
