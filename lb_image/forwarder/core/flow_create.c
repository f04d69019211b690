// SPDX-License-Identifier: Apache-2.0

// Everything that is decided once a connection: listener, backend, local port, next hops, checksum deltas.

#include "worker_internal.h"

#include "checksum.h"
#include "client_limits.h"
#include "policy.h"
#include "tcp_state.h"

#include <arpa/inet.h>
#include <netinet/in.h>

// `ipv6` is a constant in every caller: one text for both families.
#define FOR_FAMILY static inline __attribute__((always_inline))

uint16_t worker_next_hop(
	struct fwd_worker *worker, uint8_t port, uint32_t address, enum drop_reason *reason
) {
	const struct fwd_port *p = &worker->base->ports[port];
	uint16_t index;

	if (!fwd_port_on_link(p, address)) {
		*reason = DROP_NO_ROUTE;
		return worker->gateways[port];
	}
	index = neighbour_get(worker->neighbours, port, address, worker->now_s);
	*reason = DROP_NEIGHBOUR_TABLE_FULL;
	return index;
}

uint16_t worker_next_hop6(
	struct fwd_worker *worker,
	uint8_t port,
	const struct ipv6_address *address,
	enum drop_reason *reason
) {
	if (!fwd_port_on_link6(&worker->base->ports[port], address)) {
		*reason = DROP_NO_ROUTE;
		return worker->gateways6[port];
	}
	*reason = DROP_NEIGHBOUR_TABLE_FULL;
	return neighbour_get6(worker->neighbours, port, address, worker->now_s);
}

FOR_FAMILY uint16_t
slot_of(const struct fwd_config *config, const struct packet_view *view, bool ipv6) {
	const struct flow_key6 *key6 = &view->key6;
	const struct flow_key *key = &view->key;

	if (ipv6)
		return fwd_config_lookup6(config, key6->vip, ntohs(key6->vip_port), key6->protocol);
	return fwd_config_lookup(config, ntohl(key->vip), ntohs(key->vip_port), key->protocol);
}

FOR_FAMILY bool
is_ours(const struct fwd_worker *worker,
	const struct fwd_config *config,
	const struct packet_view *view,
	bool ipv6) {
	if (ipv6)
		return own_address6_find(worker, view->key6.vip) != NULL
			|| fwd_config_vip6(config, view->key6.vip) != NULL;
	return own_address_find(worker, view->key.vip) != NULL
		|| fwd_config_vip(config, ntohl(view->key.vip)) != NULL;
}

// The listener that a new flow belongs to, or NULL with the reason.
FOR_FAMILY const struct fwd_listener *find_listener(
	const struct fwd_worker *worker,
	const struct fwd_config *config,
	const struct packet_view *view,
	enum drop_reason *reason,
	bool ipv6
) {
	uint16_t slot = slot_of(config, view, ipv6);
	uint8_t flags = view->tcp_flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST);

	if (slot == FWD_NO_SLOT) {
		*reason = is_ours(worker, config, view, ipv6) ? DROP_NO_LISTENER : DROP_NOT_OURS;
		return NULL;
	}
	if (view_protocol(view, ipv6) == IPPROTO_TCP && flags != TCP_SYN) {
		*reason = worker_joins(worker) ? DROP_SYNC_JOINING : DROP_NO_FLOW;
		return NULL;
	}
	// What a SYN brings must be cut off where a header is to stand.
	if (view->kind == VIEW_FIRST_OF_CLIENT
	    && config->listeners[slot]->client_address == FWD_CLIENT_ADDRESS_PROXY_V2) {
		*reason = DROP_FRAGMENT_UNTOLD;
		return NULL;
	}
	return config->listeners[slot];
}

static void fill_addresses(
	const struct fwd_worker *worker,
	struct flow *flow,
	uint32_t local,
	const struct flow_key *key,
	const struct fwd_backend *backend
) {
	flow->client_address = key->client_address;
	flow->client_port = key->client_port;
	flow->vip = key->vip;
	flow->vip_port = key->vip_port;
	flow->protocol = key->protocol;
	flow->local_address = htonl(worker->base->local_addresses[local]);
	flow->backend_address = htonl(backend->address);
}

static void fill_addresses6(
	const struct fwd_worker *worker,
	struct flow6 *flow,
	uint32_t local,
	const struct flow_key6 *key,
	const struct fwd_backend *backend
) {
	flow->client_address = *key->client_address;
	flow->flow.ipv6 = true;
	flow->flow.client_port = key->client_port;
	flow->vip = *key->vip;
	flow->flow.vip_port = key->vip_port;
	flow->flow.protocol = key->protocol;
	flow->local_address = worker->base->local_addresses6[local];
	flow->backend_address = backend->address6;
}

FOR_FAMILY void fill_deltas(struct flow *flow, bool ipv6) {
	const struct flow6 *flow6 = (const struct flow6 *)flow;
	uint16_t ports = checksum_add(
		checksum_delta16(flow->client_port, flow->local_port),
		checksum_delta16(flow->vip_port, flow->backend_port)
	);

	if (ipv6)
		flow->address_delta = checksum_add(
			checksum_delta6(&flow6->client_address, &flow6->local_address),
			checksum_delta6(&flow6->vip, &flow6->backend_address)
		);
	else
		flow->address_delta = checksum_add(
			checksum_delta32(flow->client_address, flow->local_address),
			checksum_delta32(flow->vip, flow->backend_address)
		);
	flow->l4_delta = checksum_add(flow->address_delta, ports);
}

void flow_fill_deltas(struct flow *flow) {
	fill_deltas(flow, flow->ipv6);
}

// What the packets of the flow turn into.
FOR_FAMILY void fill_rewrite(
	const struct fwd_worker *worker,
	struct flow *flow,
	uint32_t index,
	const struct packet_view *view,
	const struct fwd_backend *backend,
	bool ipv6
) {
	uint32_t local;
	uint16_t port;

	flow_table_place(ipv6 ? &worker->flows6 : &worker->flows, index, &local, &port);
	if (ipv6)
		fill_addresses6(worker, (struct flow6 *)flow, local, &view->key6, backend);
	else
		fill_addresses(worker, flow, local, &view->key, backend);
	flow->local_port = htons(port);
	flow->backend_port = htons(backend->port);
	flow->backend_slot = backend->slot;
	fill_deltas(flow, ipv6);
}

FOR_FAMILY bool
find_next_hops(struct fwd_worker *worker, struct flow *flow, enum drop_reason *reason) {
	flow->client_port_index = 0; // the network of the VIPs
	flow->backend_port_index = fwd_base_port_of(worker->base, ntohl(flow->local_address));
	flow->client_neighbour = worker_next_hop(
		worker, flow->client_port_index, ntohl(flow->client_address), reason
	);
	if (flow->client_neighbour == NEIGHBOUR_NONE)
		return false;
	flow->backend_neighbour = worker_next_hop(
		worker, flow->backend_port_index, ntohl(flow->backend_address), reason
	);
	return flow->backend_neighbour != NEIGHBOUR_NONE;
}

FOR_FAMILY bool
find_next_hops6(struct fwd_worker *worker, struct flow6 *flow, enum drop_reason *reason) {
	struct flow *f = &flow->flow;

	f->client_port_index = 0; // the network of the VIPs
	f->backend_port_index = fwd_base_port_of6(worker->base, &flow->local_address);
	f->client_neighbour =
		worker_next_hop6(worker, f->client_port_index, &flow->client_address, reason);
	if (f->client_neighbour == NEIGHBOUR_NONE)
		return false;
	f->backend_neighbour =
		worker_next_hop6(worker, f->backend_port_index, &flow->backend_address, reason);
	return f->backend_neighbour != NEIGHBOUR_NONE;
}

bool flow_find_next_hops(struct fwd_worker *worker, struct flow *flow, enum drop_reason *reason) {
	return flow->ipv6 ? find_next_hops6(worker, (struct flow6 *)flow, reason)
			  : find_next_hops(worker, flow, reason);
}

static bool fill_next_hops(
	struct fwd_worker *worker,
	struct flow *flow,
	const struct fwd_packet *packet,
	uint32_t now_s,
	enum drop_reason *reason
) {
	const struct ether_header *ether = (const struct ether_header *)packet->data;
	uint32_t client = ntohl(flow->client_address);

	if (!find_next_hops(worker, flow, reason))
		return false;
	// A client on the link has just shown its MAC: no need to lose its first answer to an ARP request.
	if (packet->port_in == flow->client_port_index
	    && !neighbour_mac(worker->neighbours, flow->client_neighbour)
	    && fwd_port_on_link(&worker->base->ports[packet->port_in], client))
		neighbour_learn(worker->neighbours, packet->port_in, client, ether->src, now_s);
	return true;
}

static bool fill_next_hops6(
	struct fwd_worker *worker,
	struct flow6 *flow,
	const struct fwd_packet *packet,
	uint32_t now_s,
	enum drop_reason *reason
) {
	const struct ether_header *ether = (const struct ether_header *)packet->data;
	const struct ipv6_address *client = &flow->client_address;
	struct flow *f = &flow->flow;

	if (!find_next_hops6(worker, flow, reason))
		return false;
	// As for IPv4.
	if (packet->port_in == f->client_port_index
	    && !neighbour_mac(worker->neighbours, f->client_neighbour)
	    && fwd_port_on_link6(&worker->base->ports[packet->port_in], client))
		neighbour_learn6(
			worker->neighbours,
			packet->port_in,
			client,
			ether->src,
			(struct neighbour_news){true, true},
			now_s
		);
	return true;
}

FOR_FAMILY void fill_state(
	struct flow *flow,
	const struct fwd_listener *listener,
	const struct packet_view *view,
	uint32_t now_s
) {
	enum flow_state state = flow->protocol == IPPROTO_TCP ? FLOW_TCP_SYN : FLOW_UDP;

	flow->listener = listener->index;
	flow->hash = view->hash;
	flow->last_seen_s = now_s;
	flow->created_s = now_s;
	flow->is_counted = false;
	flow->is_foreign = false;
	flow->synced_state = FLOW_FREE;
	flow->untold = listener->client_address;
	flow->tells = listener->client_address & 3;
	if (listener->client_address != FWD_CLIENT_ADDRESS_NONE)
		flow->client_isn = ntohl(((const struct tcp_header *)view->l4)->sequence);
	flow->idle_timeout_s = flow_idle_timeout_s(&listener->timeouts, state);
	// Last of what adopt.c relies on: the process may be killed at any instruction. For the compiler alone, it costs nothing.
	atomic_signal_fence(memory_order_release);
	flow->state = (uint8_t)state;
}

FOR_FAMILY bool has_room(const struct fwd_worker *worker, bool half_open, bool ipv6) {
	const struct half_open *opening = &worker->half_open[ipv6];
	const struct flow_table *table = ipv6 ? &worker->flows6 : &worker->flows;

	return table->active < table->max_flows && (!half_open || opening->live < opening->max);
}

// Where flows, or half-open ones, are as many as they may, the oldest half-open one ends. False when there is none.
FOR_FAMILY bool make_room(struct fwd_worker *worker, bool half_open, bool ipv6) {
	struct flow_table *table = ipv6 ? &worker->flows6 : &worker->flows;
	uint32_t oldest;

	if (has_room(worker, half_open, ipv6))
		return true;
	oldest = half_open_take_oldest(&worker->half_open[ipv6], table);
	if (oldest == FLOW_NONE)
		return false;
	worker_count_end(worker, flow_table_at(table, oldest));
	flow_table_delete(table, oldest);
	worker->counters.half_open_evicted++;
	return true;
}

// Index of the backend, or SCHEDULER_NONE with the reason.
FOR_FAMILY uint32_t pick_backend(
	struct fwd_worker *worker,
	const struct fwd_listener *listener,
	const struct flow_key *key,
	enum drop_reason *reason
) {
	if (listener->policy.limits_backends || listener->policy.affinity_s != 0)
		return policy_pick(worker, listener, key, reason);
	*reason = DROP_NO_BACKENDS;
	return scheduler_pick(
		listener,
		&worker->counters.listeners[listener->index].scheduler,
		worker->counters.backends,
		key
	);
}

// A place for a flow to the backend, or FLOW_NONE.
FOR_FAMILY uint32_t take(struct fwd_worker *worker, const struct fwd_backend *backend, bool ipv6) {
	if (ipv6)
		return flow_table_take6(&worker->flows6, &backend->address6, htons(backend->port));
	return flow_table_take(&worker->flows, htonl(backend->address), htons(backend->port));
}

// Makes the flow findable. False, with the place given back, when that or the way to its ends fails.
FOR_FAMILY bool
insert(struct fwd_worker *worker,
       const struct fwd_packet *packet,
       uint32_t index,
       uint32_t now_s,
       enum drop_reason *reason,
       bool ipv6) {
	struct flow_table *table = ipv6 ? &worker->flows6 : &worker->flows;

	if (ipv6 ? fill_next_hops6(worker, &table->flows6[index], packet, now_s, reason)
		 : fill_next_hops(worker, &table->flows[index], packet, now_s, reason)) {
		if (flow_table_insert(table, index))
			return true;
		*reason = DROP_FLOW_TABLE_FULL;
	}
	flow_table_release(table, index);
	return false;
}

FOR_FAMILY void count_flow(
	struct fwd_worker *worker,
	const struct fwd_listener *listener,
	const struct fwd_backend *backend,
	struct flow *flow
) {
	struct listener_counters *counters = &worker->counters.listeners[listener->index];

	if (listener->policy.client_max_connections != 0)
		client_limits_count(worker, flow);
	counters->connections++;
	counters->active_flows++;
	worker->counters.backends[backend->slot].connections++;
	worker->counters.backends[backend->slot].active_flows++;
}

FOR_FAMILY uint32_t
create(struct fwd_worker *worker,
       const struct fwd_config *config,
       const struct fwd_packet *packet,
       const struct packet_view *view,
       uint32_t now_s,
       enum drop_reason *reason,
       bool ipv6) {
	const struct fwd_listener *listener = find_listener(worker, config, view, reason, ipv6);
	struct flow_table *table = ipv6 ? &worker->flows6 : &worker->flows;
	const struct flow_key *key = &view->key;
	const struct fwd_backend *backend;
	struct flow_key key6;
	uint32_t picked, index;
	struct flow *flow;

	if (listener == NULL)
		return FLOW_NONE;
	// What goes no further begins nothing: a traceroute is no connection.
	*reason = DROP_TTL_EXCEEDED;
	if ((ipv6 ? view->ip6->hop_limit : view->ip->ttl) <= 1)
		return FLOW_NONE;
	if (ipv6) {
		key6 = scheduler_key6(&view->key6);
		key = &key6;
	}
	if (listener->policy.restricts
	    && !policy_admits(
		    worker, listener, key, ipv6 ? view->key6.client_address : NULL, reason
	    ))
		return FLOW_NONE;
	*reason = DROP_FLOW_TABLE_FULL;
	if (table->active >= table->max_flows && worker->half_open[ipv6].live == 0)
		return FLOW_NONE;
	picked = pick_backend(worker, listener, key, reason);
	if (picked == SCHEDULER_NONE)
		return FLOW_NONE;
	*reason = DROP_FLOW_TABLE_FULL;
	if (!make_room(worker, key->protocol == IPPROTO_TCP, ipv6))
		return FLOW_NONE;
	backend = &listener->backends[picked];
	*reason = worker_joins(worker) ? DROP_SYNC_JOINING : DROP_LOCAL_PORTS_EXHAUSTED;
	index = take(worker, backend, ipv6);
	if (index == FLOW_NONE)
		return FLOW_NONE;
	flow = flow_at(table, index, ipv6);
	fill_rewrite(worker, flow, index, view, backend, ipv6);
	if (ipv6)
		flow->client_address = key->client_address;
	fill_state(flow, listener, view, now_s);
	if (!insert(worker, packet, index, now_s, reason, ipv6))
		return FLOW_NONE;
	if (key->protocol == IPPROTO_TCP)
		half_open_add(&worker->half_open[ipv6], table, index);
	count_flow(worker, listener, backend, flow);
	return index;
}

uint32_t flow_create(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	const struct fwd_packet *packet,
	const struct packet_view *view,
	uint32_t now_s,
	enum drop_reason *reason
) {
	return create(worker, config, packet, view, now_s, reason, false);
}

uint32_t flow_create6(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	const struct fwd_packet *packet,
	const struct packet_view *view,
	uint32_t now_s,
	enum drop_reason *reason
) {
	return create(worker, config, packet, view, now_s, reason, true);
}
