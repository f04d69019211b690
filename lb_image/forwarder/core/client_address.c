// SPDX-License-Identifier: Apache-2.0

#include "client_address.h"

#include "proxy_header.h"
#include "segment.h"

#include <stddef.h>
#include <string.h>

// RFC 791: every host takes this much.
#define IPV4_MTU_MIN 68

static unsigned option_size(const struct flow *flow) {
	return flow->ipv6 ? TCP_OPTION_ADDRESS6_SIZE : TCP_OPTION_ADDRESS_SIZE;
}

// Bytes that are added to a segment of the client.
static unsigned added_size(const struct flow *flow) {
	return flow->tells == FWD_CLIENT_ADDRESS_TOA ? option_size(flow) : proxy_header_size(flow);
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

// Behind the fixed header, where the modules that read it look first. A fragment stays: those behind it have their places.
static bool has_room(
	const struct fwd_worker *worker,
	const struct packet_view *view,
	const struct flow *flow,
	unsigned size
) {
	unsigned longer = view->total_length + size;

	return view->kind != VIEW_FIRST_OF_CLIENT
		&& segment_header_size(view->l4) + size <= TCP_HEADER_MAX
		&& longer <= worker->base->ports[flow->backend_port_index].mtu
		&& longer + sizeof(struct ether_header) <= FWD_FRAME_ROOM;
}

// Where ours has no room, none of the client's own may be taken for it.
static void blank_options(struct tcp_header *tcp) {
	uint8_t *options = (uint8_t *)(tcp + 1), *option;
	unsigned words = (segment_header_size(tcp) - (unsigned)sizeof(*tcp)) / 2;
	uint16_t was;

	if (segment_find_option(tcp, TCP_OPTION_ADDRESS, 0) == NULL)
		return;
	was = checksum_words(options, words);
	while ((option = segment_find_option(tcp, TCP_OPTION_ADDRESS, 0)) != NULL)
		memset(option, TCP_OPTION_NOP, option[1]);
	tcp->checksum = checksum_adjust(
		tcp->checksum, checksum_add((uint16_t)~was, checksum_words(options, words))
	);
}

static void insert_option(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	const struct flow *flow
) {
	unsigned size = option_size(flow);
	uint8_t option[TCP_OPTION_ADDRESS6_SIZE];
	struct segment segment = segment_of(packet, view, flow->ipv6);
	struct tcp_header *tcp = segment.tcp;

	if (!has_room(worker, view, flow, size)) {
		worker->counters.client_address_omitted++;
		blank_options(tcp);
		return;
	}
	write_option(option, flow);
	segment_insert(&segment, (uint8_t *)(tcp + 1), option, size);
	segment_set_header(&segment, (tcp->data_offset >> 4) + size / 4, tcp->flags);
}

// What a SYN+ACK says of the largest segment is for those of the client, which become longer on their way.
static void lower_mss(
	const struct fwd_worker *worker, const struct packet_view *view, const struct flow *flow
) {
	unsigned headers = sizeof(struct tcp_header)
		+ (flow->ipv6 ? sizeof(struct ipv6_header) : sizeof(struct ipv4_header));
	unsigned mtu = worker->base->ports[flow->backend_port_index].mtu;
	struct tcp_header *tcp = view->l4;
	uint8_t *option = view->kind == VIEW_FIRST_OF_REPLY
		? NULL
		: segment_find_option(tcp, TCP_OPTION_MSS, TCP_OPTION_MSS_SIZE);
	unsigned said, mss;
	uint16_t delta;

	if (option == NULL)
		return;
	said = (unsigned)option[2] << 8 | option[3];
	mss = said < mtu - headers ? said : mtu - headers;
	if (mss <= added_size(flow))
		return;
	mss -= added_size(flow);
	option[2] = (uint8_t)(mss >> 8);
	option[3] = (uint8_t)mss;
	delta = checksum_delta16(htons((uint16_t)said), htons((uint16_t)mss));
	// A field at an odd place adds to the sum with its bytes swapped.
	if ((option - (uint8_t *)tcp) % 2 != 0)
		delta = __builtin_bswap16(delta);
	tcp->checksum = checksum_adjust(tcp->checksum, delta);
}

// Whether only a backend that has made the connection says so. Before that Linux answers a segment out of window by a bare ACK of
// the SYN, and with SYN cookies by RST: neither has read the option of anything.
static bool confirms(const struct packet_view *view, const struct flow *flow) {
	const struct tcp_header *tcp = view->l4;
	uint32_t acknowledged = ntohl(tcp->acknowledgment);

	if (tcp->flags & TCP_RST)
		return false;
	return view_l4_length(view) > segment_header_size(tcp) || (tcp->flags & TCP_FIN)
		|| ((tcp->flags & TCP_ACK) && (int32_t)(acknowledged - (flow->client_isn + 1)) > 0);
}

// A SYN begins a connection anew, which has to be told anew. Ours is not in it; where a server reads the option of SYNs (TCP fast open)
// it shall not find the client's.
static void toa_syn_to_backend(const struct packet_view *view, struct flow *flow) {
	struct tcp_header *tcp = view->l4;

	// A second SYN may be a forgery: what counts is which one the backend answers.
	if (flow->untold == FWD_CLIENT_ADDRESS_NONE)
		flow->client_isn = ntohl(tcp->sequence);
	flow->untold = FWD_CLIENT_ADDRESS_TOA;
	blank_options(tcp);
}

static void toa_syn_to_client(
	const struct fwd_worker *worker, const struct packet_view *view, struct flow *flow
) {
	const struct tcp_header *tcp = view->l4;

	if (tcp->flags & TCP_ACK) {
		flow->client_isn = ntohl(tcp->acknowledgment) - 1;
		if (flow->untold == FWD_CLIENT_ADDRESS_NONE)
			flow->untold = FWD_CLIENT_ADDRESS_TOA;
	}
	lower_mss(worker, view, flow);
}

static void handle_toa(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	struct flow *flow,
	bool from_backend
) {
	if (view->tcp_flags & TCP_SYN) {
		if (from_backend)
			toa_syn_to_client(worker, view, flow);
		else
			toa_syn_to_backend(view, flow);
	} else if (from_backend) {
		if (flow->untold != FWD_CLIENT_ADDRESS_NONE && confirms(view, flow))
			client_address_confirm(worker, flow);
	} else if (flow->untold == FWD_CLIENT_ADDRESS_TOA_OMITTED) {
		blank_options(view->l4);
	} else if (flow->untold != FWD_CLIENT_ADDRESS_NONE && !(view->tcp_flags & TCP_RST)) {
		insert_option(worker, packet, view, flow);
	}
}

void client_address_handle(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	struct flow *flow,
	bool from_backend
) {
	struct segment segment = segment_of(packet, view, flow->ipv6);

	if (flow->tells == FWD_CLIENT_ADDRESS_TOA) {
		handle_toa(worker, packet, view, flow, from_backend);
	} else if (!from_backend) {
		proxy_header_to_backend(worker, &segment, flow);
	} else if (flow->untold != FWD_CLIENT_ADDRESS_NONE) {
		proxy_header_to_client(worker, &segment, flow);
		if (view->tcp_flags & TCP_SYN)
			lower_mss(worker, view, flow);
	}
}

uint32_t client_address_path_mtu(struct fwd_worker *worker, struct flow *flow, uint32_t mtu_bytes) {
	unsigned least = flow->ipv6 ? IPV6_MTU_MIN : IPV4_MTU_MIN;

	// 0: of a router that does not say (RFC 1191, section 5).
	if (flow->untold == FWD_CLIENT_ADDRESS_NONE
	    || flow->untold == FWD_CLIENT_ADDRESS_PROXY_V2_ALONE
	    || flow->untold == FWD_CLIENT_ADDRESS_TOA_OMITTED || mtu_bytes == 0)
		return mtu_bytes;
	if (mtu_bytes >= least + added_size(flow))
		return mtu_bytes - added_size(flow);
	if (flow->tells == FWD_CLIENT_ADDRESS_PROXY_V2) {
		flow->untold = FWD_CLIENT_ADDRESS_PROXY_V2_ALONE;
		return mtu_bytes;
	}
	flow->untold = FWD_CLIENT_ADDRESS_TOA_OMITTED;
	worker->counters.client_address_omitted++;
	return mtu_bytes;
}

void client_address_restore_quoted(
	const struct flow *flow, struct tcp_header *quoted, unsigned length
) {
	uint32_t sent = ntohl(quoted->sequence), had;

	if (flow->tells != FWD_CLIENT_ADDRESS_PROXY_V2 || flow->untold == FWD_CLIENT_ADDRESS_NONE)
		return;
	had = htonl(proxy_header_had_sequence(flow, sent));
	if (length >= offsetof(struct tcp_header, checksum) + sizeof(quoted->checksum))
		quoted->checksum =
			checksum_adjust(quoted->checksum, checksum_delta32(quoted->sequence, had));
	quoted->sequence = had;
}
