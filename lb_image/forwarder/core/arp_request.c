// SPDX-License-Identifier: Apache-2.0

#include "arp_request.h"

#include "headers.h"

#include <arpa/inet.h>
#include <string.h>

void arp_request_make(
	const struct fwd_port *port, uint32_t sender, uint32_t target, struct fwd_emit *out
) {
	struct ether_header *ether = (struct ether_header *)out->data;
	struct arp_header *arp = (struct arp_header *)(ether + 1);

	memset(out->data, 0, sizeof(out->data));
	memset(ether->dst, 0xff, ETHER_ADDR_SIZE);
	memcpy(ether->src, port->mac, ETHER_ADDR_SIZE);
	ether->type = htons(ETHER_TYPE_ARP);
	arp->hardware_type = htons(ARP_HARDWARE_ETHERNET);
	arp->protocol_type = htons(ETHER_TYPE_IPV4);
	arp->hardware_size = ETHER_ADDR_SIZE;
	arp->protocol_size = sizeof(uint32_t);
	arp->operation = htons(ARP_REQUEST);
	memcpy(arp->sender_mac, port->mac, ETHER_ADDR_SIZE);
	arp->sender_ip = htonl(sender);
	arp->target_ip = htonl(target);
	out->len = ETHER_FRAME_MIN;
}
