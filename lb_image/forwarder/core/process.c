// SPDX-License-Identifier: Apache-2.0

// The fast path: a burst goes through in stages, so that the cache misses of its packets overlap.

#include "worker_internal.h"

#include "checksum.h"
#include "tcp_state.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

// What a whole packet passes through: a fragment, which is rare, gets a copy of its own.
#define FAST_PATH static inline __attribute__((always_inline))

// What a direction of a flow writes into its packets.
struct rewrite {
	uint32_t src, dst;
	uint16_t src_port, dst_port;
	uint16_t address_delta, l4_delta;
	uint16_t neighbour;
	uint8_t port;
};

FAST_PATH void rewrite_l4(struct packet_view *view, const struct rewrite *to) {
	struct udp_header *ports = view->l4;

	ports->src = to->src_port;
	ports->dst = to->dst_port;
	if (view->ip->protocol == IPPROTO_TCP) {
		struct tcp_header *tcp = view->l4;

		tcp->checksum = checksum_adjust(tcp->checksum, to->l4_delta);
	} else {
		rewrite_udp_checksum(ports, to->l4_delta);
	}
}

// Tells the sender why its packet went nowhere, where a router would.
static __attribute__((noinline)) void
explain(struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	uint8_t port_out) {
	if (packet->drop_reason == DROP_TTL_EXCEEDED)
		reject_ttl(worker, packet, view);
	else if (packet->drop_reason == DROP_MTU_EXCEEDED)
		reject_mtu(worker, packet, view, worker->base->ports[port_out].mtu);
}

// True when the packet is on its way.
FAST_PATH bool send_rewritten(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	struct packet_view *view,
	const struct rewrite *to
) {
	if (!packet_forward(worker, packet, view, to->port, to->neighbour)) {
		explain(worker, packet, view, to->port);
		return false;
	}
	rewrite_ipv4(view->ip, to->src, to->dst, to->address_delta);
	rewrite_l4(view, to);
	return true;
}

static void change_state(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct flow *flow,
	uint8_t flags,
	bool from_backend
) {
	const struct fwd_listener *listener = config->listeners[flow->listener];
	enum flow_state next = tcp_state_next(flow->state, flags, from_backend);

	if (next == flow->state)
		return;
	worker->half_open.live -= flow_is_half_open(flow);
	flow->state = (uint8_t)next;
	worker->half_open.live += flow_is_half_open(flow);
	if (next == FLOW_TCP_CLOSED)
		worker_count_close(worker, flow);
	// Where the listener is gone, the timeout of the last state stays.
	if (listener != NULL)
		flow->idle_timeout_s = flow_idle_timeout_s(&listener->timeouts, next);
}

FAST_PATH void
touch(struct fwd_worker *worker,
      const struct fwd_config *config,
      struct flow *flow,
      const struct packet_view *view,
      bool from_backend,
      uint32_t now_s) {
	uint8_t flags = view->tcp_flags;

	if (flow->last_seen_s != now_s)
		flow->last_seen_s = now_s;
	if (flow->protocol == IPPROTO_TCP
	    && (flow->state != FLOW_TCP_ESTABLISHED || (flags & (TCP_FIN | TCP_RST))))
		change_state(worker, config, flow, flags, from_backend);
}

FAST_PATH uint32_t find_or_create(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
) {
	struct flow_table *table = &worker->flows;
	enum drop_reason reason;
	uint32_t index = view->flow;

	if (index == FLOW_NONE || !flow_matches(&table->flows[index], &view->key))
		index = flow_table_find(table, &view->key, view->hash);
	// A client that uses its port again starts a new connection; the backend may still hold the old one.
	if (index != FLOW_NONE && table->flows[index].state == FLOW_TCP_CLOSED
	    && (view->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		worker_count_end(worker, &table->flows[index]);
		flow_table_delete(table, index);
		index = FLOW_NONE;
	}
	if (index == FLOW_NONE) {
		index = flow_create(worker, config, packet, view, now_s, &reason);
		if (index == FLOW_NONE) {
			packet_drop(packet, reason);
			if (reason == DROP_NO_FLOW)
				reject_unknown_tcp(worker, packet, view);
			else if (reason == DROP_TTL_EXCEEDED)
				reject_ttl(worker, packet, view);
		}
	}
	return index;
}

FAST_PATH struct rewrite to_backend(const struct flow *flow) {
	return (struct rewrite){
		.src = flow->local_address,
		.dst = flow->backend_address,
		.src_port = flow->local_port,
		.dst_port = flow->backend_port,
		.address_delta = flow->address_delta,
		.l4_delta = flow->l4_delta,
		.neighbour = flow->backend_neighbour,
		.port = flow->backend_port_index,
	};
}

// The way back is the same change undone: the complement of the sums.
FAST_PATH struct rewrite to_client(const struct flow *flow) {
	return (struct rewrite){
		.src = flow->vip,
		.dst = flow->client_address,
		.src_port = flow->vip_port,
		.dst_port = flow->client_port,
		.address_delta = (uint16_t)~flow->address_delta,
		.l4_delta = (uint16_t)~flow->l4_delta,
		.neighbour = flow->client_neighbour,
		.port = flow->client_port_index,
	};
}

FAST_PATH void count_in(struct fwd_worker *worker, const struct flow *flow, unsigned length) {
	struct listener_counters *counters = &worker->counters.listeners[flow->listener];

	counters->packets_in++;
	counters->bytes_in += length;
}

FAST_PATH void count_out(struct fwd_worker *worker, const struct flow *flow, unsigned length) {
	struct listener_counters *counters = &worker->counters.listeners[flow->listener];

	counters->packets_out++;
	counters->bytes_out += length;
}

// The flow that the packet was sent on with, or FLOW_NONE.
FAST_PATH uint32_t process_client(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
) {
	uint32_t index = find_or_create(worker, config, packet, view, now_s);
	struct rewrite to;
	struct flow *flow;

	if (index == FLOW_NONE)
		return FLOW_NONE;
	flow = &worker->flows.flows[index];
	to = to_backend(flow);
	if (!send_rewritten(worker, packet, view, &to))
		return FLOW_NONE;
	touch(worker, config, flow, view, false, now_s);
	count_in(worker, flow, view->total_length);
	return index;
}

FAST_PATH bool is_reply_of_flow(const struct fwd_worker *worker, const struct packet_view *view) {
	const struct udp_header *ports = view->l4;

	return view->flow != FLOW_NONE
		&& flow_is_replied(
			&worker->flows.flows[view->flow],
			view->ip->protocol,
			view->ip->src,
			ports->src
		);
}

static __attribute__((noinline)) void
stray_reply(struct fwd_worker *worker, struct fwd_packet *packet, const struct packet_view *view) {
	const struct udp_header *ports = view->l4;

	if (packet_hand_over(
		    worker,
		    packet,
		    worker_owner(worker, view->ip->src, ports->src, view->ip->dst, ports->dst)
	    ))
		return;
	packet_drop(packet, DROP_NO_FLOW);
	reject_unknown_tcp(worker, packet, view);
}

FAST_PATH uint32_t process_reply(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
) {
	struct rewrite to;
	struct flow *flow;

	if (!is_reply_of_flow(worker, view)) {
		stray_reply(worker, packet, view);
		return FLOW_NONE;
	}
	flow = &worker->flows.flows[view->flow];
	to = to_client(flow);
	if (!send_rewritten(worker, packet, view, &to))
		return FLOW_NONE;
	touch(worker, config, flow, view, true, now_s);
	count_out(worker, flow, view->total_length);
	return view->flow;
}

static void rewrite_id(struct ipv4_header *ip, uint16_t id) {
	ip->checksum = checksum_adjust(ip->checksum, checksum_delta16(ip->id, id));
	ip->id = id;
}

// RFC 1122, section 3.2.2: no error is sent about these.
static void process_later_fragment(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	struct packet_view *view,
	const struct fragment_key *key,
	uint32_t now_s
) {
	const struct fragment_entry *entry = fragment_find(&worker->fragments, key, now_s);
	bool known = entry != NULL && entry->flow != FLOW_NONE;
	struct flow *flow = &worker->flows.flows[known ? entry->flow : 0];
	bool of_client = flow->client_address == key->src && flow->vip == key->dst;
	bool of_reply = flow->backend_address == key->src && flow->local_address == key->dst;
	struct rewrite to = of_client ? to_backend(flow) : to_client(flow);

	if (entry != NULL && packet_hand_over(worker, packet, entry->owner))
		return;
	if (!known || flow->state == FLOW_FREE || flow->protocol != key->protocol
	    || (!of_client && !of_reply)) {
		packet_drop(packet, DROP_FRAGMENT);
		return;
	}
	if (!packet_forward(worker, packet, view, to.port, to.neighbour))
		return;
	rewrite_ipv4(view->ip, to.src, to.dst, to.address_delta);
	rewrite_id(view->ip, entry->id_out);
	flow->last_seen_s = now_s;
	if (of_client)
		count_in(worker, flow, view->total_length);
	else
		count_out(worker, flow, view->total_length);
}

// A first fragment goes like a whole datagram; then its flow is remembered for the rest.
static __attribute__((noinline)) void process_fragment(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
) {
	struct ipv4_header *ip = view->ip;
	const struct fragment_key key = {ip->src, ip->dst, ip->id, ip->protocol};
	const struct udp_header *ports = view->l4;
	uint16_t owner;
	uint32_t flow;

	if (view->kind == VIEW_LATER_FRAGMENT) {
		process_later_fragment(worker, packet, view, &key, now_s);
		return;
	}
	// The NIC saw no ports in the later fragments, so that it sent all of them here.
	owner = worker_owner(worker, ip->src, ports->src, ip->dst, ports->dst);
	if (packet_hand_over(worker, packet, owner)) {
		fragment_remember(&worker->fragments, &key, FLOW_NONE, owner, now_s);
		return;
	}
	if (view->kind == VIEW_FIRST_OF_CLIENT)
		flow = process_client(worker, config, packet, view, now_s);
	else
		flow = process_reply(worker, config, packet, view, now_s);
	if (flow != FLOW_NONE)
		rewrite_id(
			ip, fragment_remember(&worker->fragments, &key, flow, worker->index, now_s)
		);
}

static void look_up(const struct fwd_worker *worker, struct packet_view *view) {
	if (view->kind != VIEW_CLIENT)
		return;
	view->flow = flow_table_candidate(&worker->flows, view->hash);
	if (view->flow != FLOW_NONE)
		__builtin_prefetch(&worker->flows.flows[view->flow]);
}

void worker_process(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packets,
	unsigned count,
	uint64_t now_ms
) {
	struct packet_view views[FWD_BURST_MAX];
	uint32_t now_s = (uint32_t)(now_ms / 1000);

	worker->now_s = now_s;
	worker->now_ms = now_ms;
	for (unsigned i = 0; i < count; i++)
		packet_classify(worker, config, &packets[i], &views[i], now_s);
	for (unsigned i = 0; i < count; i++)
		look_up(worker, &views[i]);
	for (unsigned i = 0; i < count; i++) {
		if (views[i].kind == VIEW_CLIENT)
			process_client(worker, config, &packets[i], &views[i], now_s);
		else if (views[i].kind == VIEW_REPLY)
			process_reply(worker, config, &packets[i], &views[i], now_s);
		else if (views[i].kind != VIEW_DONE)
			process_fragment(worker, config, &packets[i], &views[i], now_s);
		if (packets[i].drop_reason != DROP_NONE)
			worker->counters.drops[packets[i].drop_reason]++;
	}
}
