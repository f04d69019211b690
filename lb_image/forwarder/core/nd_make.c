// SPDX-License-Identifier: Apache-2.0

#include "nd_make.h"

#include "checksum.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct nd_frame {
	struct ether_header ether;
	struct ipv6_header ip;
	struct nd_header nd;
	struct nd_link_address option;
} __attribute__((packed));
_Static_assert(
	sizeof(struct nd_frame) + FWD_TAG_SIZE == FWD_EMIT_SIZE, "it fits into what the shells emit"
);

#define ND_SIZE (sizeof(struct nd_header) + sizeof(struct nd_link_address))

// RFC 2464, section 7.
static void multicast_mac(const struct ipv6_address *address, uint8_t mac[ETHER_ADDR_SIZE]) {
	mac[0] = mac[1] = 0x33;
	memcpy(mac + 2, (const uint8_t *)address + 12, 4);
}

// All but `nd`'s flags and the option's type; call finish() when they are written.
static void
begin(struct nd_frame *frame,
      const struct ipv6_address *src,
      const struct ipv6_address *dst,
      const uint8_t *mac,
      uint8_t type) {
	memset(frame, 0, sizeof(*frame));
	multicast_mac(dst, frame->ether.dst);
	memcpy(frame->ether.src, mac, ETHER_ADDR_SIZE);
	frame->ether.type = htons(ETHER_TYPE_IPV6);
	frame->ip.version_class_label = htonl(6u << 28);
	frame->ip.payload_length = htons(ND_SIZE);
	frame->ip.next_header = IPPROTO_ICMPV6;
	frame->ip.hop_limit = ND_HOP_LIMIT;
	frame->ip.src = *src;
	frame->ip.dst = *dst;
	frame->nd.icmp.type = type;
	frame->option.length = sizeof(frame->option) / 8;
	memcpy(frame->option.mac, mac, ETHER_ADDR_SIZE);
}

static void finish(struct nd_frame *frame) {
	unsigned length = ntohs(frame->ip.payload_length);
	uint32_t sum = checksum_pseudo6(&frame->ip, IPPROTO_ICMPV6, length);

	frame->nd.icmp.checksum =
		(uint16_t)~checksum_fold(sum + checksum_words(&frame->nd, length / 2));
}

void nd_probe_make(
	const struct fwd_port *port, const struct ipv6_address *target, struct fwd_emit *out
) {
	struct nd_frame *frame = (struct nd_frame *)out->data;
	struct ipv6_address group = ipv6_solicited_node(target), nobody = {0, 0};

	begin(frame, &nobody, &group, port->mac, ND_SOLICITATION);
	// Who has no address yet does not say who he is.
	frame->ip.payload_length = htons(sizeof(struct nd_header));
	frame->nd.target = *target;
	finish(frame);
	out->len = sizeof(*frame) - sizeof(frame->option);
}

void nd_solicitation_make(
	const struct fwd_port *port,
	const struct ipv6_address *target,
	const struct ipv6_address *to,
	struct fwd_emit *out
) {
	struct nd_frame *frame = (struct nd_frame *)out->data;

	begin(frame, &port->address6, to, port->mac, ND_SOLICITATION);
	frame->nd.target = *target;
	frame->option.type = ND_OPTION_SOURCE_LINK_ADDRESS;
	finish(frame);
	out->len = sizeof(*frame);
}

uint16_t nd_advertisement_write(uint8_t *data, const struct nd_advertisement *says) {
	struct nd_frame *frame = (struct nd_frame *)data;

	begin(frame, &says->target, &says->to, says->mac, ND_ADVERTISEMENT);
	if (says->to_mac != NULL)
		memcpy(frame->ether.dst, says->to_mac, ETHER_ADDR_SIZE);
	frame->nd.target = says->target;
	frame->nd.icmp.rest = htonl(says->flags);
	frame->option.type = ND_OPTION_TARGET_LINK_ADDRESS;
	finish(frame);
	return sizeof(*frame);
}

void nd_announcement_make(
	const struct fwd_port *port, const struct ipv6_address *address, struct fwd_emit *out
) {
	const struct nd_advertisement says = {
		.target = *address,
		.to = ipv6_all_nodes(),
		.mac = port->mac,
		.flags = ND_FLAG_OVERRIDE,
	};

	out->len = nd_advertisement_write(out->data, &says);
}
