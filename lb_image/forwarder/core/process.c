// SPDX-License-Identifier: Apache-2.0

// The fast path: a burst goes through in stages, so that the cache misses of its packets overlap.

#include "worker_internal.h"

#include "checksum.h"
#include "client_address.h"
#include "tcp_state.h"
#include "vlan.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

// What a whole packet passes through: a fragment, which is rare, gets a copy of its own.
#define FAST_PATH static inline __attribute__((always_inline))

// What a direction of a flow writes into its packets.
struct rewrite {
	union {
		struct {
			uint32_t src, dst;
		};
		struct {
			const struct ipv6_address *src6, *dst6;
		};
	};
	uint16_t src_port, dst_port;
	uint16_t address_delta, l4_delta;
	uint16_t neighbour;
	uint8_t port;
};

// `ipv6` is a constant in every caller of what follows: one text for both families, and no question of it per packet.

FAST_PATH struct flow *flow_of(const struct fwd_worker *worker, uint32_t index, bool ipv6) {
	return flow_at(ipv6 ? &worker->flows6 : &worker->flows, index, ipv6);
}

FAST_PATH void rewrite_l4(struct packet_view *view, const struct rewrite *to, bool ipv6) {
	struct udp_header *ports = view->l4;

	ports->src = to->src_port;
	ports->dst = to->dst_port;
	if (view_protocol(view, ipv6) == IPPROTO_TCP) {
		struct tcp_header *tcp = view->l4;

		tcp->checksum = checksum_adjust(tcp->checksum, to->l4_delta);
	} else {
		rewrite_udp_checksum(ports, to->l4_delta);
	}
}

FAST_PATH void rewrite_ip(struct packet_view *view, const struct rewrite *to, bool ipv6) {
	if (ipv6)
		rewrite_ipv6(view->ip6, to->src6, to->dst6);
	else
		rewrite_ipv4(view->ip, to->src, to->dst, to->address_delta);
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
	const struct rewrite *to,
	bool ipv6
) {
	if (!packet_forward(worker, packet, view, to->port, to->neighbour, ipv6)) {
		view->ipv6 = ipv6;
		explain(worker, packet, view, to->port);
		return false;
	}
	rewrite_ip(view, to, ipv6);
	rewrite_l4(view, to, ipv6);
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
	worker->half_open[flow->ipv6].live -= flow_is_half_open(flow);
	flow->state = (uint8_t)next;
	worker->half_open[flow->ipv6].live += flow_is_half_open(flow);
	if (next == FLOW_TCP_CLOSED)
		worker_count_close(worker, flow);
	// Where the listener is gone, the timeout of the last state stays.
	if (listener != NULL)
		flow->idle_timeout_s = flow_idle_timeout_s(&listener->timeouts, next);
}

// The packet is rewritten already.
FAST_PATH void
touch(struct fwd_worker *worker,
      const struct fwd_config *config,
      struct fwd_packet *packet,
      struct flow *flow,
      const struct packet_view *view,
      bool from_backend,
      uint32_t now_s) {
	uint8_t flags = view->tcp_flags;

	if (flow->last_seen_s != now_s)
		flow->last_seen_s = now_s;
	if (flow->protocol == IPPROTO_TCP
	    && (!flow_is_plain(flow) || (flags & (TCP_SYN | TCP_FIN | TCP_RST)))) {
		if (client_address_concerns(flow, flags))
			client_address_handle(worker, packet, view, flow, from_backend);
		change_state(worker, config, flow, flags, from_backend);
	}
}

// The candidate if it is the packet's flow, else whatever a search finds.
FAST_PATH uint32_t
find(const struct fwd_worker *worker, const struct packet_view *view, bool ipv6) {
	const struct flow_table *table = ipv6 ? &worker->flows6 : &worker->flows;
	uint32_t index = view->flow;

	if (ipv6)
		return index != FLOW_NONE && flow6_matches(&table->flows6[index], &view->key6)
			? index
			: flow_table_find6(table, &view->key6, view->hash);
	return index != FLOW_NONE && flow_matches(&table->flows[index], &view->key)
		? index
		: flow_table_find(table, &view->key, view->hash);
}

FAST_PATH uint32_t find_or_create(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s,
	bool ipv6
) {
	uint32_t index = find(worker, view, ipv6);
	enum drop_reason reason;

	// A client that uses its port again starts a new connection; the backend may still hold the old one.
	if (index != FLOW_NONE && flow_of(worker, index, ipv6)->state == FLOW_TCP_CLOSED
	    && (view->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		worker_count_end(worker, flow_of(worker, index, ipv6));
		flow_table_delete(ipv6 ? &worker->flows6 : &worker->flows, index);
		index = FLOW_NONE;
	}
	if (index == FLOW_NONE) {
		view->ipv6 = ipv6;
		index = ipv6 ? flow_create6(worker, config, packet, view, now_s, &reason)
			     : flow_create(worker, config, packet, view, now_s, &reason);
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

FAST_PATH struct rewrite to_backend(const struct flow *flow, bool ipv6) {
	const struct flow6 *flow6 = (const struct flow6 *)flow;
	struct rewrite to = {
		.src_port = flow->local_port,
		.dst_port = flow->backend_port,
		.address_delta = flow->address_delta,
		.l4_delta = flow->l4_delta,
		.neighbour = flow->backend_neighbour,
		.port = flow->backend_port_index,
	};

	if (ipv6)
		to.src6 = &flow6->local_address, to.dst6 = &flow6->backend_address;
	else
		to.src = flow->local_address, to.dst = flow->backend_address;
	return to;
}

// The way back is the same change undone: the complement of the sums.
FAST_PATH struct rewrite to_client(const struct flow *flow, bool ipv6) {
	const struct flow6 *flow6 = (const struct flow6 *)flow;
	struct rewrite to = {
		.src_port = flow->vip_port,
		.dst_port = flow->client_port,
		.address_delta = (uint16_t)~flow->address_delta,
		.l4_delta = (uint16_t)~flow->l4_delta,
		.neighbour = flow->client_neighbour,
		.port = flow->client_port_index,
	};

	if (ipv6)
		to.src6 = &flow6->vip, to.dst6 = &flow6->client_address;
	else
		to.src = flow->vip, to.dst = flow->client_address;
	return to;
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
	uint32_t now_s,
	bool ipv6
) {
	uint32_t index = find_or_create(worker, config, packet, view, now_s, ipv6);
	struct rewrite to;
	struct flow *flow;

	if (index == FLOW_NONE)
		return FLOW_NONE;
	flow = flow_of(worker, index, ipv6);
	to = to_backend(flow, ipv6);
	if (!send_rewritten(worker, packet, view, &to, ipv6))
		return FLOW_NONE;
	touch(worker, config, packet, flow, view, false, now_s);
	count_in(worker, flow, view->total_length);
	return index;
}

FAST_PATH bool
is_reply_of_flow(const struct fwd_worker *worker, const struct packet_view *view, bool ipv6) {
	const struct udp_header *ports = view->l4;

	if (view->flow == FLOW_NONE)
		return false;
	if (ipv6)
		return flow6_is_replied(
			&worker->flows6.flows6[view->flow],
			view->protocol,
			&view->ip6->src,
			ports->src
		);
	return flow_is_replied(
		&worker->flows.flows[view->flow], view->ip->protocol, view->ip->src, ports->src
	);
}

// The worker that has the flow of a packet with ports.
static uint16_t owner_of(const struct fwd_worker *worker, const struct packet_view *view) {
	const struct udp_header *ports = view->l4;
	const void *src = view->ipv6 ? (const void *)&view->ip6->src : &view->ip->src;
	const void *dst = view->ipv6 ? (const void *)&view->ip6->dst : &view->ip->dst;

	return worker_owner(worker, view->ipv6, src, ports->src, dst, ports->dst);
}

// Where another pod has the address, it has the flow, too: a reset from here would end what goes on there.
static bool answers_strays(const struct fwd_worker *worker, const struct packet_view *view) {
	const struct own_address *own = view->ipv6 ? own_address6_find(worker, &view->ip6->dst)
						   : own_address_find(worker, view->ip->dst);

	return own != NULL && own_address_is_ours(worker, own, view->ipv6);
}

static __attribute__((noinline)) void
stray_reply(struct fwd_worker *worker, struct fwd_packet *packet, const struct packet_view *view) {
	if (packet_hand_over(worker, packet, owner_of(worker, view)))
		return;
	packet_drop(packet, worker_joins(worker) ? DROP_SYNC_JOINING : DROP_NO_FLOW);
	if (packet->drop_reason == DROP_NO_FLOW && answers_strays(worker, view))
		reject_unknown_tcp(worker, packet, view);
}

FAST_PATH uint32_t process_reply(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s,
	bool ipv6
) {
	struct rewrite to;
	struct flow *flow;

	if (!is_reply_of_flow(worker, view, ipv6)) {
		view->ipv6 = ipv6;
		stray_reply(worker, packet, view);
		return FLOW_NONE;
	}
	flow = flow_of(worker, view->flow, ipv6);
	to = to_client(flow, ipv6);
	if (!send_rewritten(worker, packet, view, &to, ipv6))
		return FLOW_NONE;
	touch(worker, config, packet, flow, view, true, now_s);
	count_out(worker, flow, view->total_length);
	return view->flow;
}

static __attribute__((noinline)) uint32_t process_client6(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
) {
	return process_client(worker, config, packet, view, now_s, true);
}

static __attribute__((noinline)) uint32_t process_reply6(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view,
	uint32_t now_s
) {
	return process_reply(worker, config, packet, view, now_s, true);
}

static void rewrite_id(struct packet_view *view, uint32_t id) {
	uint16_t id4 = htons((uint16_t)id);

	if (view->ipv6) {
		view->fragment6->id = htonl(id);
		return;
	}
	view->ip->checksum =
		checksum_adjust(view->ip->checksum, checksum_delta16(view->ip->id, id4));
	view->ip->id = id4;
}

static struct fragment_key fragment_key_of(const struct packet_view *view) {
	if (view->ipv6)
		return (struct fragment_key
		){.src = view->ip6->src, .dst = view->ip6->dst, .id = view->fragment6->id};
	return (struct fragment_key){
		.src = ipv6_mapped(ntohl(view->ip->src)),
		.dst = ipv6_mapped(ntohl(view->ip->dst)),
		.id = view->ip->id,
		.protocol = view->ip->protocol,
	};
}

// The direction of the flow that a fragment between these addresses goes; false when it is none of its.
static bool direction_of(
	const struct flow *flow, const struct packet_view *view, struct rewrite *to, bool *of_client
) {
	const struct flow6 *flow6 = (const struct flow6 *)flow;
	bool of_reply;

	if (view->ipv6) {
		const struct ipv6_address src = view->ip6->src, dst = view->ip6->dst;

		*of_client =
			ipv6_equal(&flow6->client_address, &src) && ipv6_equal(&flow6->vip, &dst);
		of_reply = ipv6_equal(&flow6->backend_address, &src)
			&& ipv6_equal(&flow6->local_address, &dst);
	} else {
		*of_client = flow->client_address == view->ip->src && flow->vip == view->ip->dst;
		of_reply = flow->backend_address == view->ip->src
			&& flow->local_address == view->ip->dst;
	}
	*to = *of_client ? to_backend(flow, view->ipv6) : to_client(flow, view->ipv6);
	return *of_client || of_reply;
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
	struct rewrite to;
	struct flow *flow;
	bool of_client;

	if (entry != NULL && packet_hand_over(worker, packet, entry->owner))
		return;
	packet_drop(packet, DROP_FRAGMENT);
	if (entry == NULL || entry->flow == FLOW_NONE)
		return;
	flow = flow_of(worker, entry->flow, view->ipv6);
	if (flow->state == FLOW_FREE || (!view->ipv6 && flow->protocol != key->protocol)
	    || !direction_of(flow, view, &to, &of_client)
	    || !packet_forward(worker, packet, view, to.port, to.neighbour, view->ipv6))
		return;
	rewrite_ip(view, &to, view->ipv6);
	rewrite_id(view, entry->id_out);
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
	const struct fragment_key key = fragment_key_of(view);
	uint16_t owner;
	uint32_t flow;

	if (view->kind == VIEW_LATER_FRAGMENT) {
		process_later_fragment(worker, packet, view, &key, now_s);
		return;
	}
	// The NIC saw no ports in the later fragments, so that it sent all of them here.
	owner = owner_of(worker, view);
	if (packet_hand_over(worker, packet, owner)) {
		fragment_remember(&worker->fragments, &key, FLOW_NONE, owner, now_s);
		return;
	}
	flow = view->kind == VIEW_FIRST_OF_CLIENT ? find(worker, view, view->ipv6) : FLOW_NONE;
	if (flow != FLOW_NONE
	    && client_address_refuses_fragment(
		    flow_of(worker, flow, view->ipv6), view->tcp_flags
	    )) {
		packet_drop(packet, DROP_FRAGMENT_UNTOLD);
		return;
	}
	if (view->kind == VIEW_FIRST_OF_CLIENT)
		flow = view->ipv6 ? process_client6(worker, config, packet, view, now_s)
				  : process_client(worker, config, packet, view, now_s, false);
	else
		flow = view->ipv6 ? process_reply6(worker, config, packet, view, now_s)
				  : process_reply(worker, config, packet, view, now_s, false);
	if (flow != FLOW_NONE)
		rewrite_id(
			view,
			fragment_remember(&worker->fragments, &key, flow, worker->index, now_s)
		);
}

static void look_up(const struct fwd_worker *worker, struct packet_view *view) {
	if (view->kind == VIEW_CLIENT) {
		view->flow = flow_table_candidate(&worker->flows, view->hash);
		if (view->flow != FLOW_NONE)
			__builtin_prefetch(&worker->flows.flows[view->flow]);
	} else if (view->kind == VIEW_CLIENT6) {
		view->flow = flow_table_candidate(&worker->flows6, view->hash);
		if (view->flow != FLOW_NONE)
			flow6_prefetch(&worker->flows6, view->flow);
	}
}

static __attribute__((noinline)) void process_burst(
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
			process_client(worker, config, &packets[i], &views[i], now_s, false);
		else if (views[i].kind == VIEW_REPLY)
			process_reply(worker, config, &packets[i], &views[i], now_s, false);
		else if (views[i].kind == VIEW_CLIENT6)
			process_client6(worker, config, &packets[i], &views[i], now_s);
		else if (views[i].kind == VIEW_REPLY6)
			process_reply6(worker, config, &packets[i], &views[i], now_s);
		else if (views[i].kind != VIEW_DONE)
			process_fragment(worker, config, &packets[i], &views[i], now_s);
		if (packets[i].drop_reason != DROP_NONE)
			worker->counters.drops[packets[i].drop_reason]++;
	}
}

static __attribute__((noinline)) void process_traced(
	struct fwd_worker *worker,
	struct trace *trace,
	const struct fwd_config *config,
	struct fwd_packet *packets,
	unsigned count,
	uint64_t now_ms
) {
	trace_before(worker, trace, packets, count, now_ms);
	process_burst(worker, config, packets, count, now_ms);
	trace_after(trace, packets, count);
}

// A function of its own, so that the compiler keeps nothing for the trace while packets are processed.
void worker_process_untagged(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packets,
	unsigned count,
	uint64_t now_ms
) {
	struct trace *trace = __atomic_load_n(&worker->trace, __ATOMIC_ACQUIRE);

	if (__builtin_expect(trace != NULL, 0))
		process_traced(worker, trace, config, packets, count, now_ms);
	else
		process_burst(worker, config, packets, count, now_ms);
}

void worker_process(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packets,
	unsigned count,
	uint64_t now_ms
) {
	if (__builtin_expect(fwd_base_has_vlan(worker->base), 0))
		vlan_process(worker, config, packets, count, now_ms);
	else
		worker_process_untagged(worker, config, packets, count, now_ms);
}
