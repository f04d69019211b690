// SPDX-License-Identifier: Apache-2.0

// Setting up a worker, its slow duties, and what others may ask of it.

#include "worker_internal.h"

#include "vlan.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

// A sweep over the whole table takes about this many calls of worker_housekeeping().
#define SWEEP_CALLS 4096
#define SWEEP_MIN 64
// Entries of the neighbour table that worker 0 looks at per call.
#define NEIGHBOUR_STEP 128
// Local addresses that worker 0 looks at per call, to have them.
#define LOCAL_STEP 32
// Addresses that worker 0 looks at per call, to announce them.
#define ANNOUNCE_STEP 4
// Listeners and on-link backends that worker 0 looks at per call: where the neighbour table is full, each backend costs a search
// of all of it.
#define PREFETCH_STEP 2
#define PREFETCH_BACKENDS 16

static size_t round_line(size_t size) {
	return (size + 63) & ~(size_t)63;
}

static size_t worker_struct_size(void) {
	return round_line(sizeof(struct fwd_worker));
}

size_t worker_flows_size(const struct fwd_base *base) {
	return round_line(flow_table_flows_size(base, false)) + flow_table_flows_size(base, true);
}

size_t worker_memory_size(const struct fwd_base *base) {
	return worker_struct_size() + flow_table_size(base, false) + flow_table_size(base, true)
		+ client_table_size(worker_group_clients(base->max_flows_per_worker))
		+ half_open_size(base, false) + half_open_size(base, true)
		+ (base->sync.enabled ? round_line(sizeof(struct sync)) : 0);
}

static void
add_own_address(struct fwd_worker *worker, uint32_t address, uint16_t local_index, uint8_t port) {
	uint32_t wire = htonl(address);
	uint32_t i = (wire * 0x9e3779b1u) >> 22;

	while (worker->own[i].used)
		i = (i + 1) % ADDRESS_TABLE_SIZE;
	worker->own[i] = (struct own_address){wire, local_index, port, true};
}

static void add_own_address6(
	struct fwd_worker *worker,
	const struct ipv6_address *address,
	uint16_t local_index,
	uint8_t port
) {
	uint32_t i = ipv6_fold(address) % ADDRESS_TABLE_SIZE;

	while (worker->own6[i].own.used)
		i = (i + 1) % ADDRESS_TABLE_SIZE;
	worker->own6[i] = (struct own_address6){*address, {0, local_index, port, true}};
}

// A local address comes before a port's own, which may be the same; those of the peers are found too, as what their flows are sent from.
static void init_addresses(struct fwd_worker *worker, const struct fwd_base *base) {
	for (uint16_t i = 0; i < fwd_all_local_addresses(base, false); i++) {
		uint32_t local = base->local_addresses[i];

		add_own_address(worker, local, i, fwd_base_port_of(base, local));
	}
	for (uint16_t i = 0; i < fwd_all_local_addresses(base, true); i++) {
		const struct ipv6_address *local = &base->local_addresses6[i];

		add_own_address6(worker, local, i, fwd_base_port_of6(base, local));
	}
	for (uint8_t i = 0; i < base->n_ports; i++) {
		if (base->ports[i].address != 0)
			add_own_address(worker, base->ports[i].address, FWD_NO_SLOT, i);
		if (fwd_port_has_ipv6(&base->ports[i]))
			add_own_address6(worker, &base->ports[i].address6, FWD_NO_SLOT, i);
	}
}

// They are needed for as long as the process lives.
static void keep_gateways(struct fwd_worker *worker, uint32_t now_s) {
	for (uint8_t i = 0; i < worker->base->n_ports; i++) {
		const struct fwd_port *port = &worker->base->ports[i];

		worker->gateways[i] = port->gateway != 0
			? neighbour_get(worker->neighbours, i, port->gateway, now_s)
			: NEIGHBOUR_NONE;
		worker->gateways6[i] = !ipv6_is_unspecified(&port->gateway6)
			? neighbour_get6(worker->neighbours, i, &port->gateway6, now_s)
			: NEIGHBOUR_NONE;
	}
}

struct fwd_worker *worker_init(
	void *memory,
	void *flows,
	const struct fwd_base *base,
	struct neighbour_table *neighbours,
	struct worker_group *group,
	unsigned index,
	uint64_t seed
) {
	uint8_t *at = (uint8_t *)memory + worker_struct_size();
	struct fwd_worker *worker = memory;

	worker->base = base;
	worker->neighbours = neighbours;
	worker->group = group;
	group->workers[index] = worker;
	worker->index = (uint16_t)index;
	flow_table_init(&worker->flows, at, flows, base, false, index, seed);
	at += flow_table_size(base, false);
	flows = (uint8_t *)flows + round_line(flow_table_flows_size(base, false));
	flow_table_init(&worker->flows6, at, flows, base, true, index, seed);
	at += flow_table_size(base, true);
	client_table_init(&worker->clients, at, worker_group_clients(base->max_flows_per_worker));
	at += client_table_size(worker_group_clients(base->max_flows_per_worker));
	half_open_init(&worker->half_open[false], at, base, false);
	at += half_open_size(base, false);
	half_open_init(&worker->half_open[true], at, base, true);
	at += half_open_size(base, true);
	if (base->sync.enabled && index == 0)
		worker->sync = sync_init(at, base, &group->peers);
	worker->sweep_step =
		(worker->flows.n_flows + worker->flows6.n_flows) / SWEEP_CALLS + SWEEP_MIN;
	init_addresses(worker, base);
	keep_gateways(worker, UINT32_MAX);
	announce_init(&worker->announce, base);
	worker->fragments.next_id = (uint32_t)seed;
	return worker;
}

uint32_t worker_sweep_calls(const struct fwd_worker *worker) {
	return worker->flows.n_flows / worker->sweep_step
		+ worker->flows6.n_flows / worker->sweep_step + 2;
}

struct sweep {
	struct fwd_worker *worker;
	const struct fwd_config *config;
	uint32_t now_s;
};

// Whether the listener wants to be rid of the flow, because its backend is there no longer.
static bool is_orphan(const struct fwd_config *config, const struct flow *flow) {
	const struct fwd_listener *listener = config->listeners[flow->listener];

	return listener != NULL && listener->reset_removed
		&& !fwd_config_has_backend(config, flow->backend_slot);
}

static void need_neighbour(struct fwd_worker *worker, uint16_t index) {
	worker->needed[index / 64] |= 1ull << index % 64;
}

static bool flow_ends(void *context, struct flow *flow) {
	const struct sweep *sweep = context;
	bool idle = sweep->now_s - flow->last_seen_s >= flow->idle_timeout_s;

	if (idle || is_orphan(sweep->config, flow)) {
		worker_count_end(sweep->worker, flow);
		return true;
	}
	if (sweep->worker->sync != NULL)
		sync_note(sweep->worker, flow);
	need_neighbour(sweep->worker, flow->client_neighbour);
	need_neighbour(sweep->worker, flow->backend_neighbour);
	return false;
}

// A part of the look at all flows, those of IPv4 first; at its end what they need is told.
static void
sweep_flows(struct fwd_worker *worker, const struct fwd_config *config, uint32_t now_s) {
	struct flow_table *table = worker->sweeps_flows6 ? &worker->flows6 : &worker->flows;
	struct sweep sweep = {worker, config, now_s};

	if (!worker->sweeps_flows6 && table->sweep_cursor == 0)
		worker->sweep_began_s = now_s;
	if (!flow_table_sweep(table, worker->sweep_step, flow_ends, &sweep))
		return;
	worker->sweeps_flows6 = !worker->sweeps_flows6;
	if (worker->sweeps_flows6)
		return;
	neighbour_hold(worker->neighbours, worker->index, worker->needed, worker->sweep_began_s);
	memset(worker->needed, 0, sizeof(worker->needed));
	if (worker->index == 0)
		neighbour_collect(worker->neighbours, worker->base->n_workers, now_s);
}

static void resolve_backend(
	struct fwd_worker *worker,
	const struct fwd_listener *listener,
	const struct fwd_backend *backend,
	uint32_t now_s
) {
	for (uint8_t i = 0; i < worker->base->n_ports; i++) {
		const struct fwd_port *port = &worker->base->ports[i];

		if (listener->ipv6) {
			if (fwd_port_on_link6(port, &backend->address6))
				neighbour_get6(worker->neighbours, i, &backend->address6, now_s);
		} else if (fwd_port_on_link(port, backend->address)) {
			neighbour_get(worker->neighbours, i, backend->address, now_s);
		}
	}
}

// Asks for the MACs of on-link backends before the first packet needs them.
static void
resolve_backends(struct fwd_worker *worker, const struct fwd_config *config, uint32_t now_s) {
	unsigned left = PREFETCH_BACKENDS;

	for (unsigned n = 0; n < PREFETCH_STEP; n++) {
		if (worker->prefetch_slot >= config->slots_end)
			worker->prefetch_slot = worker->prefetch_backend = 0;
		const struct fwd_listener *listener = config->listeners[worker->prefetch_slot];
		uint32_t count = listener == NULL ? 0 : listener->n_backends;

		for (; worker->prefetch_backend < count; worker->prefetch_backend++) {
			if (left-- == 0)
				return;
			resolve_backend(
				worker,
				listener,
				&listener->backends[worker->prefetch_backend],
				now_s
			);
		}
		worker->prefetch_backend = 0;
		worker->prefetch_slot++;
	}
}

static unsigned
probe_gateways(struct fwd_worker *worker, uint64_t now_ms, struct fwd_emit *out, unsigned max) {
	const uint16_t *const gateways[] = {worker->gateways, worker->gateways6};

	return gateway_probe_run(
		&worker->group->gateways,
		worker->base,
		worker->neighbours,
		gateways,
		now_ms,
		out,
		max
	);
}

static unsigned keep_vips(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	uint64_t now_ms,
	struct fwd_emit *out,
	unsigned max
) {
	struct local_owner *locals = worker->group->locals;
	unsigned made =
		vip_run(worker->group->vips, worker->base, config, now_ms, WORKER_VIP_STEP, out, max
		);

	if (locals != NULL)
		made += local_owner_run(
			locals, worker->base, now_ms, LOCAL_STEP, out + made, max - made
		);
	return made;
}

unsigned worker_vip_housekeeping(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	uint64_t now_ms,
	struct fwd_emit *out,
	unsigned max
) {
	return vlan_tag_emitted(worker->base, out, keep_vips(worker, config, now_ms, out, max));
}

static unsigned keep_house(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	uint64_t now_ms,
	struct fwd_emit *out,
	unsigned max
) {
	uint32_t now_s = (uint32_t)(now_ms / 1000);
	unsigned made;

	worker->now_s = now_s;
	worker->now_ms = now_ms;
	sweep_flows(worker, config, now_s);
	if (worker->index != 0)
		return 0;
	if (worker->sync != NULL)
		sync_run(worker, now_ms);
	keep_gateways(worker, now_s);
	resolve_backends(worker, config, now_s);
	made = probe_gateways(worker, now_ms, out, max);
	made += keep_vips(worker, config, now_ms, out + made, max - made);
	made += announce_run(
		&worker->announce, worker->base, now_s, ANNOUNCE_STEP, out + made, max - made
	);
	return made
		+ neighbour_refresh(
			worker->neighbours,
			worker->base,
			now_s,
			&worker->neighbour_cursor,
			NEIGHBOUR_STEP,
			out + made,
			max - made
		);
}

unsigned worker_housekeeping(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	uint64_t now_ms,
	struct fwd_emit *out,
	unsigned max
) {
	return vlan_tag_emitted(worker->base, out, keep_house(worker, config, now_ms, out, max));
}
