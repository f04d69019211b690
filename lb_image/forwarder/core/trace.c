// SPDX-License-Identifier: Apache-2.0

#include "trace.h"

#include "worker_internal.h"

#include <string.h>

static void read_ports(struct trace_ends *ends, const void *l4, size_t room) {
	const struct tcp_header *tcp = l4;
	const struct udp_header *udp = l4;

	if (room < sizeof(*udp) || (ends->protocol != IPPROTO_TCP && ends->protocol != IPPROTO_UDP))
		return;
	ends->src_port = ntohs(udp->src);
	ends->dst_port = ntohs(udp->dst);
	if (ends->protocol != IPPROTO_TCP || room < sizeof(*tcp))
		return;
	ends->seq = ntohl(tcp->sequence);
	ends->ack = ntohl(tcp->acknowledgment);
	ends->tcp_flags = tcp->flags;
}

static bool read_ipv4(struct trace_ends *ends, const struct ipv4_header *ip, size_t room) {
	size_t header_length;

	if (room < sizeof(*ip))
		return false;
	header_length = (ip->version_ihl & 0xf) * 4u;
	ends->src = ipv6_mapped(ntohl(ip->src));
	ends->dst = ipv6_mapped(ntohl(ip->dst));
	ends->protocol = ip->protocol;
	ends->length = ntohs(ip->total_length);
	ends->is_later_fragment = (ntohs(ip->fragment) & IPV4_OFFSET_MASK) != 0;
	if (!ends->is_later_fragment && header_length <= room)
		read_ports(ends, (const uint8_t *)ip + header_length, room - header_length);
	return true;
}

static bool read_ipv6(struct trace_ends *ends, struct ipv6_header *ip6, size_t room) {
	struct packet_view view = {.ip6 = ip6};

	if (room < sizeof(*ip6))
		return false;
	ends->src = ip6->src;
	ends->dst = ip6->dst;
	ends->length = (uint16_t)(sizeof(*ip6) + ntohs(ip6->payload_length));
	if (ipv6_find_l4(&view, (unsigned)room) != DROP_NONE)
		return true;
	ends->protocol = view.protocol;
	ends->is_later_fragment = view.fragment6 != NULL
		&& (ntohs(view.fragment6->offset) & IPV6_FRAGMENT_OFFSET_MASK) != 0;
	if (!ends->is_later_fragment)
		read_ports(ends, view.l4, room - (size_t)((uint8_t *)view.l4 - (uint8_t *)ip6));
	return true;
}

// False for what is neither IPv4 nor IPv6. Nothing is checked: a bad header is shown as it is.
static bool read_ends(struct trace_ends *ends, const struct fwd_packet *packet) {
	const struct ether_header *ether = (const struct ether_header *)packet->data;
	size_t size = sizeof(*ether);
	uint16_t type;

	*ends = (struct trace_ends){0};
	if (packet->len < size)
		return false;
	if (ether->type == htons(ETHER_TYPE_VLAN))
		size += FWD_TAG_SIZE;
	if (packet->len < size)
		return false;
	memcpy(&type, packet->data + size - sizeof(type), sizeof(type));
	if (type == htons(ETHER_TYPE_IPV4))
		return read_ipv4(
			ends, (struct ipv4_header *)(packet->data + size), packet->len - size
		);
	return type == htons(ETHER_TYPE_IPV6)
		&& read_ipv6(ends, (struct ipv6_header *)(packet->data + size), packet->len - size);
}

static bool is_of_client(const struct flow_pattern *pattern, const struct trace_ends *ends) {
	uint16_t client_port = ends->is_later_fragment ? pattern->client.port : ends->src_port;
	uint16_t vip_port = ends->is_later_fragment ? pattern->vip.port : ends->dst_port;

	return flow_pattern_takes(pattern, ends->protocol)
		&& flow_pattern_end_matches(&pattern->client, &ends->src, client_port)
		&& flow_pattern_end_matches(&pattern->vip, &ends->dst, vip_port);
}

// The flow that a packet is a reply of, or NULL.
static const struct flow *
flow_of_reply(const struct fwd_worker *worker, const struct trace_ends *ends) {
	bool ipv6 = !ipv6_is_mapped(&ends->dst);
	const struct flow_table *table = ipv6 ? &worker->flows6 : &worker->flows;
	uint32_t src = htonl(ipv6_to_ipv4(&ends->src));
	const struct own_address *own = ipv6
		? own_address6_find(worker, &ends->dst)
		: own_address_find(worker, htonl(ipv6_to_ipv4(&ends->dst)));
	uint16_t port = htons(ends->src_port);
	const struct flow *flow;
	uint32_t index;

	if (own == NULL || own->local_index == FWD_NO_SLOT || ends->is_later_fragment)
		return NULL;
	index = flow_table_reply_index(
		table,
		own->local_index,
		htons(ends->dst_port),
		ipv6 ? flow_bank_number(table, &ends->src) : src,
		port
	);
	if (index == FLOW_NONE)
		return NULL;
	flow = flow_table_at(table, index);
	if (ipv6 ? flow6_is_replied(&table->flows6[index], ends->protocol, &ends->src, port)
		 : flow_is_replied(flow, ends->protocol, src, port))
		return flow;
	return NULL;
}

static bool is_of_backend(
	const struct fwd_worker *worker,
	const struct flow_pattern *pattern,
	const struct trace_ends *ends
) {
	const struct flow *flow = flow_of_reply(worker, ends);
	const struct flow6 *flow6 = (const struct flow6 *)flow;
	struct trace_ends client = {.protocol = ends->protocol};

	if (flow == NULL)
		return false;
	client.src = flow->ipv6 ? flow6->client_address : ipv6_mapped(ntohl(flow->client_address));
	client.dst = flow->ipv6 ? flow6->vip : ipv6_mapped(ntohl(flow->vip));
	client.src_port = ntohs(flow->client_port);
	client.dst_port = ntohs(flow->vip_port);
	return is_of_client(pattern, &client);
}

void trace_before(
	const struct fwd_worker *worker,
	struct trace *trace,
	const struct fwd_packet *packets,
	unsigned count,
	uint64_t now_ms
) {
	for (unsigned i = 0; i < count; i++) {
		struct trace_record *record = &trace->burst[i];

		record->time_ms = now_ms;
		record->port_in = packets[i].port_in;
		trace->is_wanted[i] =
			now_ms < trace->until_ms && read_ends(&record->in, &packets[i]);
		if (!trace->is_wanted[i])
			continue;
		record->is_of_backend = is_of_backend(worker, &trace->pattern, &record->in);
		trace->is_wanted[i] =
			record->is_of_backend || is_of_client(&trace->pattern, &record->in);
	}
}

void trace_after(struct trace *trace, const struct fwd_packet *packets, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		struct trace_record *record = &trace->burst[i];

		if (!trace->is_wanted[i])
			continue;
		record->verdict = packets[i].verdict;
		record->drop_reason = packets[i].drop_reason;
		record->port_out = packets[i].port_out;
		record->owner = packets[i].owner;
		record->out = (struct trace_ends){0};
		if (record->verdict == FWD_TX)
			read_ends(&record->out, &packets[i]);
		trace->records[trace->written % TRACE_RECORDS] = *record;
		__atomic_store_n(&trace->written, trace->written + 1, __ATOMIC_RELEASE);
	}
}

size_t trace_read(const struct trace *trace, struct trace_record *out, uint64_t *lost) {
	uint64_t end = __atomic_load_n(&trace->written, __ATOMIC_ACQUIRE);
	uint64_t begin = end > TRACE_RECORDS ? end - TRACE_RECORDS : 0;
	uint64_t first;
	size_t count = (size_t)(end - begin);

	for (uint64_t n = begin; n < end; n++)
		out[n - begin] = trace->records[n % TRACE_RECORDS];
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	// The worker may be writing the next one over the oldest.
	end = __atomic_load_n(&trace->written, __ATOMIC_RELAXED) + 1;
	first = end > TRACE_RECORDS ? end - TRACE_RECORDS : 0;
	*lost = first > begin ? first : begin;
	if (first <= begin)
		return count;
	if (first - begin >= count)
		return 0;
	count -= (size_t)(first - begin);
	memmove(out, out + (first - begin), count * sizeof(*out));
	return count;
}
