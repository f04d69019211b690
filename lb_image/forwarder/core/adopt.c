// SPDX-License-Identifier: Apache-2.0

// The process before may have been killed in the middle of a write. A flow is written before its state says that it is one, and every
// field that changes later is one word: so there is nothing half written. What is read here is checked nevertheless, because memory
// that outlives a process also outlives its faults.

#include "adopt.h"

#include "client_limits.h"
#include "tcp_state.h"
#include "worker_internal.h"

struct adopter {
	struct fwd_worker *worker;
	const struct backend_index *backends;
	struct adoption *adoption;
	struct flow_table *table;
	uint32_t now_s;
};

static bool is_at_its_place(const struct flow_table *table, uint32_t index) {
	const struct flow *flow = flow_table_at(table, index);
	uint32_t local;
	uint16_t port;

	flow_table_place(table, index, &local, &port);
	if (flow->local_port != htons(port))
		return false;
	if (table->ipv6)
		return ipv6_equal(
			&table->flows6[index].local_address, &table->base->local_addresses6[local]
		);
	return flow->local_address == htonl(table->base->local_addresses[local]);
}

// Whether the replies come to this worker and find the flow.
static bool is_reached(const struct flow_table *table, uint32_t index) {
	const struct flow *flow = flow_table_at(table, index);
	const struct flow6 *flow6 = (const struct flow6 *)flow;
	const void *backend = &flow->backend_address, *local = &flow->local_address;
	uint32_t number = flow->backend_address;

	if (table->ipv6) {
		backend = &flow6->backend_address;
		local = &flow6->local_address;
		number = flow_bank_number(table, &flow6->backend_address);
	}
	if (index % table->n_banks != flow_bank(table, number, flow->backend_port))
		return false;
	if (table->n_classes == 1)
		return true;
	return steering_worker(
		       table->steering,
		       steering_source(table->steering, backend, flow->backend_port)
			       ^ steering_destination(table->steering, local, flow->local_port)
	       ) == table->worker;
}

// Of a flow whose backend has to be told the beginning is not known.
static bool tells_soundly(const struct flow *flow) {
	if (flow->protocol == IPPROTO_UDP && flow->tells != FWD_CLIENT_ADDRESS_NONE)
		return false;
	switch (flow->untold) {
	case FWD_CLIENT_ADDRESS_NONE:
		return flow->created_s <= flow->last_seen_s;
	case FWD_CLIENT_ADDRESS_TOA:
	case FWD_CLIENT_ADDRESS_TOA_OMITTED:
		return flow->tells == FWD_CLIENT_ADDRESS_TOA;
	case FWD_CLIENT_ADDRESS_PROXY_V2:
	case FWD_CLIENT_ADDRESS_PROXY_V2_ALONE:
		return flow->tells == FWD_CLIENT_ADDRESS_PROXY_V2;
	default:
		return false;
	}
}

// Peers tell of what is established.
static bool is_foreign_soundly(const struct flow_table *table, uint32_t index) {
	const struct flow *flow = flow_table_at(table, index);

	return flow_table_is_own(table, index)
		|| (!flow_is_half_open(flow) && flow->untold == FWD_CLIENT_ADDRESS_NONE);
}

static bool is_sound(const struct adopter *adopter, uint32_t index) {
	const struct flow *flow = flow_table_at(adopter->table, index);
	bool udp = flow->protocol == IPPROTO_UDP;

	return flow->state < FLOW_STATE_COUNT && (udp || flow->protocol == IPPROTO_TCP)
		&& udp == (flow->state == FLOW_UDP) && tells_soundly(flow)
		&& flow->ipv6 == adopter->table->ipv6 && flow->last_seen_s <= adopter->now_s
		&& is_foreign_soundly(adopter->table, index)
		&& is_at_its_place(adopter->table, index) && is_reached(adopter->table, index);
}

// False when there is a flow of this key already.
static bool is_single(const struct adopter *adopter, struct flow *flow) {
	const struct flow_table *table = adopter->table;
	struct flow6 *flow6 = (struct flow6 *)flow;

	if (table->ipv6) {
		const struct flow_key6 key6 = flow6_key(flow6);

		flow->client_address = scheduler_key6(&key6).client_address;
		return flow_table_find6(table, &key6, flow->hash) == FLOW_NONE;
	}
	const struct flow_key key = flow_key(flow);

	return flow_table_find(table, &key, flow->hash) == FLOW_NONE;
}

static const struct fwd_listener *
listener_of(const struct fwd_config *config, const struct flow *flow) {
	const struct flow6 *flow6 = (const struct flow6 *)flow;
	uint16_t port = ntohs(flow->vip_port);
	uint16_t slot;

	if (flow->ipv6)
		slot = fwd_config_lookup6(config, &flow6->vip, port, flow->protocol);
	else
		slot = fwd_config_lookup(config, ntohl(flow->vip), port, flow->protocol);
	return slot == FWD_NO_SLOT ? NULL : config->listeners[slot];
}

static const struct fwd_backend *backend_of(
	const struct backend_index *backends,
	const struct fwd_listener *listener,
	const struct flow *flow
) {
	struct ipv6_address address = flow->ipv6 ? ((const struct flow6 *)flow)->backend_address
						 : ipv6_mapped(ntohl(flow->backend_address));

	return backend_index_find(backends, listener, &address, ntohs(flow->backend_port));
}

// Finds the listener and the backend anew, by what the packets know of them. As in a reload: without its listener a flow goes on, without its
// backend it does if the listener says so. False when it ends.
static bool belongs(const struct adopter *adopter, struct flow *flow) {
	const struct fwd_listener *listener = listener_of(adopter->backends->config, flow);
	const struct fwd_backend *backend;

	flow->listener = FWD_GONE_LISTENER;
	flow->backend_slot = FWD_GONE_BACKEND;
	if (listener != NULL) {
		flow->listener = listener->index;
		flow->idle_timeout_s = flow_idle_timeout_s(&listener->timeouts, flow->state)
			+ (flow->is_foreign ? SYNC_GRACE_S : 0);
		backend = backend_of(adopter->backends, listener, flow);
		if (backend != NULL)
			flow->backend_slot = backend->slot;
		else if (listener->reset_removed)
			return false;
	}
	return adopter->now_s - flow->last_seen_s < flow->idle_timeout_s;
}

void worker_count_again(
	struct fwd_worker *worker, const struct fwd_config *config, struct flow *flow
) {
	const struct fwd_listener *listener = config->listeners[flow->listener];

	worker->counters.listeners[flow->listener].active_flows++;
	worker->counters.backends[flow->backend_slot].active_flows++;
	if (flow->state == FLOW_TCP_CLOSED)
		worker_count_close(worker, flow);
	else if (listener != NULL && listener->policy.client_max_connections != 0)
		client_limits_count(worker, flow);
}

static void count(const struct adopter *adopter, uint32_t index) {
	struct flow *flow = flow_table_at(adopter->table, index);
	struct fwd_worker *worker = adopter->worker;

	adopter->adoption->adopted++;
	flow->is_counted = false;
	if (flow->is_foreign)
		return;
	worker_count_again(worker, adopter->backends->config, flow);
	if (flow_is_half_open(flow))
		half_open_add(&worker->half_open[flow->ipv6], adopter->table, index);
}

static bool takes(void *context, uint32_t index) {
	const struct adopter *adopter = context;
	struct flow *flow = flow_table_at(adopter->table, index);
	enum drop_reason reason;

	if (!is_sound(adopter, index) || !is_single(adopter, flow)) {
		adopter->adoption->damaged++;
		return false;
	}
	flow->is_foreign = !flow_table_is_own(adopter->table, index);
	if (!belongs(adopter, flow) || !flow_find_next_hops(adopter->worker, flow, &reason)) {
		adopter->adoption->ended++;
		return false;
	}
	flow_fill_deltas(flow);
	count(adopter, index);
	return true;
}

void worker_adopt(
	struct fwd_worker *worker,
	const struct backend_index *backends,
	uint32_t now_s,
	struct adoption *adoption
) {
	struct adopter adopter = {worker, backends, adoption, &worker->flows, now_s};

	worker->now_s = now_s;
	flow_table_adopt(&worker->flows, takes, &adopter);
	adopter.table = &worker->flows6;
	flow_table_adopt(&worker->flows6, takes, &adopter);
	flow_table_offer(&worker->flows);
	flow_table_offer(&worker->flows6);
	if (worker->sync != NULL)
		sync_adopted(worker->sync);
}
