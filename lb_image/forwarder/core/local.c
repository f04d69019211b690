// SPDX-License-Identifier: Apache-2.0

// What the forwarder answers itself: ARP (RFC 826) and ICMP echo (RFC 792).

#include "worker_internal.h"

#include "checksum.h"

#include <arpa/inet.h>
#include <string.h>

#define ECHO_REPLY_TTL 64

// `address` in network byte order.
static bool answers_arp(
	const struct fwd_worker *worker,
	const struct fwd_config *config,
	uint8_t port,
	uint32_t address
) {
	const struct own_address *own = own_address_find(worker, address);
	const struct fwd_listener *listener;

	if (own != NULL)
		return own->port == port;
	// VIPs live on the first network.
	listener = port == 0 ? fwd_config_vip(config, ntohl(address)) : NULL;
	return listener != NULL && listener->arp;
}

static void
make_arp_reply(const struct fwd_worker *worker, struct fwd_packet *packet, struct arp_header *arp) {
	struct ether_header *ether = (struct ether_header *)packet->data;
	const uint8_t *mac = worker->base->ports[packet->port_in].mac;
	uint32_t asked = arp->target_ip;

	arp->operation = htons(ARP_REPLY);
	memcpy(arp->target_mac, arp->sender_mac, ETHER_ADDR_SIZE);
	arp->target_ip = arp->sender_ip;
	memcpy(arp->sender_mac, mac, ETHER_ADDR_SIZE);
	arp->sender_ip = asked;
	memcpy(ether->dst, arp->target_mac, ETHER_ADDR_SIZE);
	memcpy(ether->src, mac, ETHER_ADDR_SIZE);
	packet_send(packet, packet->port_in);
}

void local_arp(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	uint32_t now_s
) {
	struct arp_header *arp = (struct arp_header *)(packet->data + sizeof(struct ether_header));
	uint32_t sender;

	if (packet->len < sizeof(struct ether_header) + sizeof(*arp)) {
		packet_drop(packet, DROP_TRUNCATED);
		return;
	}
	if (arp->hardware_type != htons(ARP_HARDWARE_ETHERNET)
	    || arp->protocol_type != htons(ETHER_TYPE_IPV4) || arp->hardware_size != ETHER_ADDR_SIZE
	    || arp->protocol_size != sizeof(uint32_t) || (arp->sender_mac[0] & 1)) {
		packet_drop(packet, DROP_BAD_ARP);
		return;
	}
	sender = ntohl(arp->sender_ip);
	if (neighbour_learn(worker->neighbours, packet->port_in, sender, arp->sender_mac, now_s))
		packet_consume(packet);
	else
		packet_drop(packet, DROP_BAD_ARP);
	if (arp->operation == htons(ARP_REQUEST)
	    && answers_arp(worker, config, packet->port_in, arp->target_ip))
		make_arp_reply(worker, packet, arp);
}

static enum drop_reason check_echo(
	const struct fwd_worker *worker,
	const struct fwd_config *config,
	const struct packet_view *view
) {
	unsigned length =
		view->total_length - (unsigned)((uint8_t *)view->l4 - (uint8_t *)view->ip);
	const struct icmp_header *icmp = view->l4;

	if (own_address_find(worker, view->ip->dst) == NULL
	    && fwd_config_vip(config, ntohl(view->ip->dst)) == NULL)
		return DROP_NOT_OURS;
	if (length < sizeof(*icmp))
		return DROP_BAD_L4_HEADER;
	if (icmp->type != ICMP_ECHO_REQUEST || icmp->code != 0)
		return DROP_ICMP_ERROR;
	return DROP_NONE;
}

// The answer goes back the way the request came: same port, to the MAC that sent it.
void local_icmp(
	const struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	const struct packet_view *view
) {
	struct ether_header *ether = (struct ether_header *)packet->data;
	enum drop_reason reason = check_echo(worker, config, view);
	struct icmp_header *icmp = view->l4;
	struct ipv4_header *ip = view->ip;
	uint16_t old_word, new_word;
	uint32_t asked;

	if (reason != DROP_NONE) {
		packet_drop(packet, reason);
		return;
	}
	icmp->type = ICMP_ECHO_REPLY;
	icmp->checksum = checksum_adjust(
		icmp->checksum,
		checksum_delta16(htons(ICMP_ECHO_REQUEST << 8), htons(ICMP_ECHO_REPLY << 8))
	);
	asked = ip->dst;
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
