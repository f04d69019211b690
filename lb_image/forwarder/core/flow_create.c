// SPDX-License-Identifier: Apache-2.0

// Everything that is decided once a connection: listener, backend, local port, next hops, checksum deltas.

#include "worker_internal.h"

#include "checksum.h"
#include "client_limits.h"
#include "policy.h"
#include "tcp_state.h"

#include <arpa/inet.h>
#include <netinet/in.h>

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

// The listener that a new flow belongs to, or NULL with the reason.
static const struct fwd_listener *find_listener(
	const struct fwd_worker *worker,
	const struct fwd_config *config,
	const struct packet_view *view,
	enum drop_reason *reason
) {
	const struct flow_key *key = &view->key;
	uint32_t vip = ntohl(key->vip);
	uint16_t slot = fwd_config_lookup(config, vip, ntohs(key->vip_port), key->protocol);
	uint8_t flags = view->tcp_flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST);

	if (slot == FWD_NO_SLOT) {
		bool ours = own_address_find(worker, key->vip) != NULL
			|| fwd_config_vip(config, vip) != NULL;

		*reason = ours ? DROP_NO_LISTENER : DROP_NOT_OURS;
		return NULL;
	}
	if (key->protocol == IPPROTO_TCP && flags != TCP_SYN) {
		*reason = DROP_NO_FLOW;
		return NULL;
	}
	return config->listeners[slot];
}

static void fill_addresses(
	const struct fwd_worker *worker,
	struct flow *flow,
	uint32_t index,
	const struct flow_key *key,
	const struct fwd_backend *backend
) {
	uint32_t local;
	uint16_t port, ports;

	flow_table_place(&worker->flows, index, &local, &port);
	flow->client_address = key->client_address;
	flow->client_port = key->client_port;
	flow->vip = key->vip;
	flow->vip_port = key->vip_port;
	flow->protocol = key->protocol;
	flow->local_address = htonl(worker->base->local_addresses[local]);
	flow->local_port = htons(port);
	flow->backend_address = htonl(backend->address);
	flow->backend_port = htons(backend->port);
	flow->backend_slot = backend->slot;
	flow->address_delta = checksum_add(
		checksum_delta32(flow->client_address, flow->local_address),
		checksum_delta32(flow->vip, flow->backend_address)
	);
	ports = checksum_add(
		checksum_delta16(flow->client_port, flow->local_port),
		checksum_delta16(flow->vip_port, flow->backend_port)
	);
	flow->l4_delta = checksum_add(flow->address_delta, ports);
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

	flow->client_port_index = 0; // the network of the VIPs
	flow->backend_port_index = fwd_base_port_of(worker->base, ntohl(flow->local_address));
	flow->client_neighbour = worker_next_hop(worker, flow->client_port_index, client, reason);
	if (flow->client_neighbour == NEIGHBOUR_NONE)
		return false;
	flow->backend_neighbour = worker_next_hop(
		worker, flow->backend_port_index, ntohl(flow->backend_address), reason
	);
	if (flow->backend_neighbour == NEIGHBOUR_NONE)
		return false;
	// A client on the link has just shown its MAC: no need to lose its first answer to an ARP request.
	if (packet->port_in == flow->client_port_index
	    && !neighbour_mac(worker->neighbours, flow->client_neighbour)
	    && fwd_port_on_link(&worker->base->ports[packet->port_in], client))
		neighbour_learn(worker->neighbours, packet->port_in, client, ether->src, now_s);
	return true;
}

static void fill_state(
	struct flow *flow,
	const struct fwd_listener *listener,
	const struct packet_view *view,
	uint32_t now_s
) {
	flow->state = view->key.protocol == IPPROTO_TCP ? FLOW_TCP_SYN : FLOW_UDP;
	flow->listener = listener->index;
	flow->hash = view->hash;
	flow->last_seen_s = now_s;
	flow->created_s = now_s;
	flow->is_counted = false;
	flow->idle_timeout_s = flow_idle_timeout_s(&listener->timeouts, flow->state);
}

static bool has_room(const struct fwd_worker *worker, bool half_open) {
	return worker->flows.active < worker->flows.max_flows
		&& (!half_open || worker->half_open.live < worker->half_open.max);
}

// Where flows, or half-open ones, are as many as they may, the oldest half-open one ends. False when there is none.
static bool make_room(struct fwd_worker *worker, bool half_open) {
	uint32_t oldest;

	if (has_room(worker, half_open))
		return true;
	oldest = half_open_take_oldest(&worker->half_open, &worker->flows);
	if (oldest == FLOW_NONE)
		return false;
	worker_count_end(worker, &worker->flows.flows[oldest]);
	flow_table_delete(&worker->flows, oldest);
	worker->counters.half_open_evicted++;
	return true;
}

// Index of the backend, or SCHEDULER_NONE with the reason.
static uint32_t pick_backend(
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

uint32_t flow_create(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	const struct fwd_packet *packet,
	const struct packet_view *view,
	uint32_t now_s,
	enum drop_reason *reason
) {
	const struct fwd_listener *listener = find_listener(worker, config, view, reason);
	struct flow_table *table = &worker->flows;
	struct listener_counters *counters;
	const struct fwd_backend *backend;
	uint32_t picked, index;

	if (listener == NULL)
		return FLOW_NONE;
	// What goes no further begins nothing: a traceroute is no connection.
	*reason = DROP_TTL_EXCEEDED;
	if (view->ip->ttl <= 1)
		return FLOW_NONE;
	if (listener->policy.restricts && !policy_admits(worker, listener, &view->key, reason))
		return FLOW_NONE;
	*reason = DROP_FLOW_TABLE_FULL;
	if (table->active >= table->max_flows && worker->half_open.live == 0)
		return FLOW_NONE;
	picked = pick_backend(worker, listener, &view->key, reason);
	if (picked == SCHEDULER_NONE)
		return FLOW_NONE;
	*reason = DROP_FLOW_TABLE_FULL;
	if (!make_room(worker, view->key.protocol == IPPROTO_TCP))
		return FLOW_NONE;
	backend = &listener->backends[picked];
	*reason = DROP_LOCAL_PORTS_EXHAUSTED;
	index = flow_table_take(table, htonl(backend->address), htons(backend->port));
	if (index == FLOW_NONE)
		return FLOW_NONE;
	fill_addresses(worker, &table->flows[index], index, &view->key, backend);
	fill_state(&table->flows[index], listener, view, now_s);
	if (!fill_next_hops(worker, &table->flows[index], packet, now_s, reason)) {
		flow_table_release(table, index);
		return FLOW_NONE;
	}
	if (!flow_table_insert(table, index)) {
		*reason = DROP_FLOW_TABLE_FULL;
		flow_table_release(table, index);
		return FLOW_NONE;
	}
	if (view->key.protocol == IPPROTO_TCP)
		half_open_add(&worker->half_open, table, index);
	if (listener->policy.client_max_connections != 0)
		client_limits_count(worker, &table->flows[index]);
	counters = &worker->counters.listeners[listener->index];
	counters->connections++;
	counters->active_flows++;
	worker->counters.backends[backend->slot].connections++;
	worker->counters.backends[backend->slot].active_flows++;
	return index;
}
