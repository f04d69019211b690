// SPDX-License-Identifier: Apache-2.0

#include "client_address.h"

#include <string.h>

// RFC 791: every host takes this much.
#define IPV4_MTU_MIN 68

static unsigned option_size(const struct flow *flow) {
	return flow->ipv6 ? TCP_OPTION_ADDRESS6_SIZE : TCP_OPTION_ADDRESS_SIZE;
}

static void write_option(uint8_t *option, const struct flow *flow) {
	option[0] = TCP_OPTION_ADDRESS;
	option[1] = (uint8_t)option_size(flow);
	memcpy(option + 2, &flow->client_port, sizeof(flow->client_port));
	if (flow->ipv6)
		memcpy(option + 4,
		       &((const struct flow6 *)flow)->client_address,
		       sizeof(struct ipv6_address));
	else
		memcpy(option + 4, &flow->client_address, sizeof(flow->client_address));
}

// Of the datagram, in its header and where a pseudo header has it.
static void
lengthen_ip(const struct packet_view *view, struct tcp_header *tcp, bool ipv6, unsigned by) {
	unsigned l4_length = view_l4_length(view);
	uint16_t length = ipv6 ? view->ip6->payload_length : view->ip->total_length;
	uint16_t longer = htons((uint16_t)(ntohs(length) + by));

	if (ipv6) {
		view->ip6->payload_length = longer;
	} else {
		view->ip->checksum =
			checksum_adjust(view->ip->checksum, checksum_delta16(length, longer));
		view->ip->total_length = longer;
	}
	tcp->checksum = checksum_adjust(
		tcp->checksum,
		checksum_delta16(htons((uint16_t)l4_length), htons((uint16_t)(l4_length + by)))
	);
}

// Behind the fixed header, where the modules that read it look first. A fragment stays: those behind it have their places.
static bool has_room(
	const struct fwd_worker *worker,
	const struct packet_view *view,
	const struct flow *flow,
	unsigned size
) {
	const struct tcp_header *tcp = view->l4;
	unsigned longer = view->total_length + size;

	return view->kind != VIEW_FIRST_OF_CLIENT
		&& (tcp->data_offset >> 4) * 4u + size <= TCP_HEADER_MAX
		&& longer <= worker->base->ports[flow->backend_port_index].mtu
		&& longer + sizeof(struct ether_header) <= FWD_FRAME_ROOM;
}

static void insert_option(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	const struct flow *flow
) {
	unsigned size = option_size(flow);
	struct tcp_header *tcp = view->l4;
	uint8_t *option = (uint8_t *)(tcp + 1);
	uint8_t *end = packet->data + sizeof(struct ether_header) + view->total_length;
	uint16_t offset_word, longer_word;

	if (!has_room(worker, view, flow, size)) {
		worker->counters.client_address_omitted++;
		return;
	}
	memmove(option + size, option, (size_t)(end - option));
	write_option(option, flow);
	memcpy(&offset_word, &tcp->data_offset, sizeof(offset_word));
	tcp->data_offset = (uint8_t)(tcp->data_offset + (size / 4 << 4));
	memcpy(&longer_word, &tcp->data_offset, sizeof(longer_word));
	tcp->checksum = checksum_adjust(
		tcp->checksum,
		checksum_add(
			checksum_delta16(offset_word, longer_word), checksum_words(option, size / 2)
		)
	);
	lengthen_ip(view, tcp, flow->ipv6, size);
	// What padded the frame is of no use any more.
	packet->len = (uint16_t)(sizeof(struct ether_header) + view->total_length + size);
}

// The MSS option, or NULL.
static uint8_t *find_mss(struct tcp_header *tcp) {
	uint8_t *at = (uint8_t *)(tcp + 1);
	const uint8_t *end = (const uint8_t *)tcp + (tcp->data_offset >> 4) * 4u;

	while (end - at >= TCP_OPTION_MSS_SIZE && *at != TCP_OPTION_END) {
		if (*at == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (at[0] == TCP_OPTION_MSS && at[1] == TCP_OPTION_MSS_SIZE)
			return at;
		if (at[1] < 2 || at[1] > end - at)
			return NULL;
		at += at[1];
	}
	return NULL;
}

// What a SYN+ACK says of the largest segment is for those of the client, which become longer on their way.
static void lower_mss(
	const struct fwd_worker *worker, const struct packet_view *view, const struct flow *flow
) {
	unsigned headers = sizeof(struct tcp_header)
		+ (flow->ipv6 ? sizeof(struct ipv6_header) : sizeof(struct ipv4_header));
	unsigned mtu = worker->base->ports[flow->backend_port_index].mtu;
	struct tcp_header *tcp = view->l4;
	uint8_t *option = view->kind == VIEW_FIRST_OF_REPLY ? NULL : find_mss(tcp);
	unsigned said, mss;
	uint16_t delta;

	if (option == NULL)
		return;
	said = (unsigned)option[2] << 8 | option[3];
	mss = said < mtu - headers ? said : mtu - headers;
	if (mss <= option_size(flow))
		return;
	mss -= option_size(flow);
	option[2] = (uint8_t)(mss >> 8);
	option[3] = (uint8_t)mss;
	delta = checksum_delta16(htons((uint16_t)said), htons((uint16_t)mss));
	// A field at an odd place adds to the sum with its bytes swapped.
	if ((option - (uint8_t *)tcp) % 2 != 0)
		delta = __builtin_bswap16(delta);
	tcp->checksum = checksum_adjust(tcp->checksum, delta);
}

void client_address_handle(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	struct flow *flow,
	bool from_backend
) {
	bool opens = view->tcp_flags & TCP_SYN;

	if (!from_backend && !opens && !(view->tcp_flags & TCP_RST))
		insert_option(worker, packet, view, flow);
	else if (from_backend && opens)
		lower_mss(worker, view, flow);
	else if (from_backend)
		flow->untold = FWD_CLIENT_ADDRESS_NONE;
}

uint32_t client_address_path_mtu(struct fwd_worker *worker, struct flow *flow, uint32_t mtu_bytes) {
	unsigned least = flow->ipv6 ? IPV6_MTU_MIN : IPV4_MTU_MIN;

	// 0: of a router that does not say (RFC 1191, section 5).
	if (flow->untold == FWD_CLIENT_ADDRESS_NONE || mtu_bytes == 0)
		return mtu_bytes;
	if (mtu_bytes >= least + option_size(flow))
		return mtu_bytes - option_size(flow);
	flow->untold = FWD_CLIENT_ADDRESS_NONE;
	worker->counters.client_address_omitted++;
	return mtu_bytes;
}
