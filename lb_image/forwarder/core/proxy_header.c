// SPDX-License-Identifier: Apache-2.0

#include "proxy_header.h"

#include "client_address.h"

#include <string.h>

#define VERSION_2_PROXY 0x21
#define TCP_OVER_IPV4 0x11
#define TCP_OVER_IPV6 0x21
#define SIGNATURE_SIZE 12

struct proxy_header {
	uint8_t signature[SIGNATURE_SIZE];
	uint8_t version_command;
	uint8_t family;
	uint16_t length; // of what follows
	union {
		struct {
			uint32_t source, destination;
			uint16_t source_port, destination_port;
		} __attribute__((packed)) ipv4;
		struct {
			struct ipv6_address source, destination;
			uint16_t source_port, destination_port;
		} __attribute__((packed)) ipv6;
	};
} __attribute__((packed));

#define FIXED_SIZE 16

unsigned proxy_header_size(const struct flow *flow) {
	const struct proxy_header *header = NULL;

	return FIXED_SIZE + (flow->ipv6 ? sizeof(header->ipv6) : sizeof(header->ipv4));
}

static struct proxy_header header_of(const struct flow *flow) {
	const struct flow6 *flow6 = (const struct flow6 *)flow;
	struct proxy_header header = {
		.signature = "\r\n\r\n\0\r\nQUIT\n",
		.version_command = VERSION_2_PROXY,
		.family = flow->ipv6 ? TCP_OVER_IPV6 : TCP_OVER_IPV4,
		.length = htons((uint16_t)(proxy_header_size(flow) - FIXED_SIZE)),
	};

	if (flow->ipv6) {
		header.ipv6.source = flow6->client_address;
		header.ipv6.destination = flow6->vip;
		header.ipv6.source_port = flow->client_port;
		header.ipv6.destination_port = flow->vip_port;
	} else {
		header.ipv4.source = flow->client_address;
		header.ipv4.destination = flow->vip;
		header.ipv4.source_port = flow->client_port;
		header.ipv4.destination_port = flow->vip_port;
	}
	return header;
}

// What is cut off is not lost: no acknowledgment covers it, so that the client sends it again.
static void keep_payload(struct segment *segment, unsigned kept) {
	struct tcp_header *tcp = segment->tcp;

	segment_cut(segment, kept);
	segment_set_header(segment, tcp->data_offset >> 4, tcp->flags & (uint8_t)~TCP_FIN);
}

// The pointer counts from the sequence number (RFC 9293, section 3.8.5).
static void move_urgent(struct tcp_header *tcp, unsigned by) {
	uint16_t urgent = htons((uint16_t)(ntohs(tcp->urgent) + by));

	if (!(tcp->flags & TCP_URG))
		return;
	tcp->checksum = checksum_adjust(tcp->checksum, checksum_delta16(tcp->urgent, urgent));
	tcp->urgent = urgent;
}

// A segment that begins with the client's first byte.
static void prepend(struct fwd_worker *worker, struct segment *segment, const struct flow *flow) {
	unsigned headers = segment_headers_size(segment), size = proxy_header_size(flow);
	unsigned mtu = worker->base->ports[flow->backend_port_index].mtu;
	unsigned frame = FWD_FRAME_ROOM - sizeof(struct ether_header);
	unsigned room = mtu < frame ? mtu : frame;
	bool alone = flow->untold == FWD_CLIENT_ADDRESS_PROXY_V2_ALONE;
	const struct proxy_header header = header_of(flow);
	struct tcp_header *tcp = segment->tcp;

	if (headers + size > room) {
		worker->counters.client_address_omitted++;
		keep_payload(segment, 0);
		return;
	}
	if (alone || segment->total_length + size > room)
		keep_payload(segment, alone ? 0 : room - headers - size);
	segment_insert(segment, (uint8_t *)tcp + segment_header_size(tcp), &header, size);
	segment_set(segment, &tcp->sequence, flow->client_isn + 1 - size);
	move_urgent(tcp, size);
}

void proxy_header_to_backend(
	struct fwd_worker *worker, struct segment *segment, const struct flow *flow
) {
	struct tcp_header *tcp = segment->tcp;
	uint32_t sequence = ntohl(tcp->sequence), first = flow->client_isn + 1;
	bool untold = flow->untold != FWD_CLIENT_ADDRESS_NONE;
	uint8_t flags = tcp->flags;

	if (flags & TCP_RST) {
		if (untold && sequence == first)
			segment_set(segment, &tcp->sequence, first - proxy_header_size(flow));
	} else if (flags & TCP_SYN) {
		segment_cut(segment, 0);
		if (untold && sequence == flow->client_isn)
			segment_set(segment, &tcp->sequence, sequence - proxy_header_size(flow));
		else
			// It must not begin a connection without a header. As an ACK it gets the answer that a SYN gets which fits
			// no connection (RFC 9293, section 3.10.7.4): one that ends the old connection.
			segment_set_header(segment, tcp->data_offset >> 4, TCP_ACK);
	} else if (sequence != first) {
		// In front of its first byte a client has nothing to say: the header stands there.
		if (untold && (int32_t)(sequence - first) < 0)
			keep_payload(segment, 0);
	} else if (untold && (flags & TCP_ACK)) {
		prepend(worker, segment, flow);
	}
}

void proxy_header_to_client(
	const struct fwd_worker *worker, struct segment *segment, struct flow *flow
) {
	struct tcp_header *tcp = segment->tcp;
	uint32_t first = flow->client_isn + 1, size = proxy_header_size(flow);
	uint32_t acknowledged = ntohl(tcp->acknowledgment);

	if (!(tcp->flags & TCP_ACK))
		return;
	if (acknowledged - (first - size) < size) {
		segment_set(segment, &tcp->acknowledgment, first);
	} else if ((int32_t)(acknowledged - first) >= 0 && !flow_is_half_open(flow)) {
		client_address_confirm(worker, flow);
	}
}

uint32_t proxy_header_had_sequence(const struct flow *flow, uint32_t sent) {
	uint32_t size = proxy_header_size(flow), least = flow->client_isn - size;

	if (sent == least)
		return flow->client_isn;
	return sent - least <= size ? flow->client_isn + 1 : sent;
}
