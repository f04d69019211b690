// SPDX-License-Identifier: Apache-2.0

// ARP (RFC 826): answers for our addresses, learns who others are.

#include "worker_internal.h"

#include <arpa/inet.h>
#include <string.h>

// `address` and `sender`, who asks, in network byte order.
static bool answers_arp(
	const struct fwd_worker *worker,
	const struct fwd_config *config,
	uint8_t port,
	uint32_t address,
	uint32_t sender
) {
	const struct own_address *own = own_address_find(worker, address);
	const struct fwd_listener *listener;

	if (own != NULL && worker->group->locals == NULL)
		return own->port == port;
	// Who speaks of himself does not ask.
	if (address == sender)
		return false;
	if (own != NULL)
		return own->port == port && own_address_is_ours(worker, own, false);
	// VIPs live on the first network.
	listener = port == 0 ? fwd_config_vip(config, ntohl(address)) : NULL;
	return listener != NULL
		&& vip_is_ours(worker->group->vips, config, listener, worker->now_ms);
}

// Whoever sends from an address says that he has it, whoever asks from nowhere that he would like to (RFC 5227).
static bool hear_claim(
	const struct fwd_worker *worker,
	const struct fwd_config *config,
	uint8_t port,
	const struct arp_header *arp
) {
	bool probes = arp->sender_ip == 0;
	uint32_t claimed = probes ? arp->target_ip : arp->sender_ip;
	const struct own_address *own = own_address_find(worker, claimed);
	const struct fwd_listener *listener;

	if (own != NULL)
		return own_address_hear(worker, own, false, port, arp->sender_mac, probes);
	listener = port == 0 ? fwd_config_vip(config, ntohl(claimed)) : NULL;
	return listener != NULL
		&& vip_hear(
			worker->group->vips, worker->base, config, listener, arp->sender_mac, probes
		);
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

// A reply to ourselves: what we sent has arrived.
static void
hear_gateway(const struct fwd_worker *worker, uint8_t port, const struct arp_header *arp) {
	struct ipv6_address sender = ipv6_mapped(ntohl(arp->sender_ip));

	if (memcmp(arp->target_mac, worker->base->ports[port].mac, ETHER_ADDR_SIZE) == 0)
		gateway_probe_hear(
			&worker->group->gateways, worker->base, port, &sender, worker->now_ms
		);
}

void arp_handle(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	uint32_t now_s
) {
	struct arp_header *arp = (struct arp_header *)(packet->data + sizeof(struct ether_header));
	uint32_t sender;
	bool claims;

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
	claims = hear_claim(worker, config, packet->port_in, arp);
	if (neighbour_learn(worker->neighbours, packet->port_in, sender, arp->sender_mac, now_s)
	    || claims)
		packet_consume(packet);
	else
		packet_drop(packet, DROP_BAD_ARP);
	if (arp->operation == htons(ARP_REPLY))
		hear_gateway(worker, packet->port_in, arp);
	if (arp->operation == htons(ARP_REQUEST)
	    && answers_arp(worker, config, packet->port_in, arp->target_ip, arp->sender_ip))
		make_arp_reply(worker, packet, arp);
}
