// SPDX-License-Identifier: Apache-2.0

#include "dataplane.h"

#include "eal.h"
#include "packet_pool.h"
#include "port.h"
#include "probe.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_random.h>

#include <stdio.h>
#include <stdlib.h>

#define INBOX_SIZE 1024

struct failure {
	char *text;
	size_t size;
};

// Buffers that can be held at once: by all queues, by the caches and bursts of the workers.
static unsigned buffers_needed(const struct fwd_base *base) {
	unsigned queues = (unsigned)base->n_ports * base->n_workers;
	unsigned private = base->n_workers * (2 * PACKET_POOL_CACHE + 4 * LCORE_BURST);
	unsigned inboxes = base->n_workers > 1 ? base->n_workers * INBOX_SIZE : 0;

	return queues * 2 * PORT_DESCRIPTORS + private + inboxes;
}

// net_af_xdp gives the kernel as many bytes as the pool's buffers have. With gaps between them at the borders of pages (each holds one
// buffer where pages have 4 KiB) the last buffers lie beyond, and the kernel drops in silence what is sent from them.
static bool needs_packed_pool(const struct base_config *config) {
	for (unsigned i = 0; i < config->base.n_ports; i++) {
		if (config->devices[i].driver == BASE_DRIVER_AF_XDP)
			return true;
	}
	return false;
}

// One pool for all workers: packets that were handed over end in another worker's transmit queue, and
// drivers with fast free want every packet of a queue to be from one pool.
static bool make_pool(
	struct dataplane *dataplane,
	const struct base_config *config,
	unsigned wanted,
	const struct failure *failure
) {
	unsigned count = wanted > 0 ? wanted : buffers_needed(&dataplane->base);
	int socket = rte_eth_dev_socket_id(0);

	dataplane->pool = packet_pool_make(count, socket, needs_packed_pool(config));
	if (dataplane->pool != NULL)
		return true;
	snprintf(
		failure->text,
		failure->size,
		"no memory for %u packet buffers (%u MiB; are there enough hugepages?): %s",
		count,
		(count * (RTE_MBUF_DEFAULT_BUF_SIZE + 256)) >> 20,
		rte_strerror(rte_errno)
	);
	return false;
}

static bool open_ports(
	struct dataplane *dataplane, const struct devargs *devargs, const struct failure *failure
) {
	for (uint16_t i = 0; i < dataplane->base.n_ports; i++) {
		struct fwd_port *port = &dataplane->base.ports[i];
		char label[FWD_NAME_SIZE + 16];
		struct port_request request = {
			.label = label,
			.device = devargs[i].name,
			.n_queues = dataplane->base.n_workers,
			.mtu = port->mtu,
			.vlan = port->vlan,
			.multicast = fwd_port_has_ipv6(port),
			.pool = dataplane->pool,
		};

		snprintf(label, sizeof(label), "ports[%u] \"%s\"", i, port->name);
		if (!port_open(
			    &request,
			    &dataplane->port_ids[i],
			    port->mac,
			    failure->text,
			    failure->size
		    ))
			return false;
		dataplane->n_open_ports++;
	}
	return true;
}

// One table serves all local addresses of a family, so that replies to all of them must come in on one port.
static bool local_addresses_share_a_port(const struct fwd_base *base, bool ipv6) {
	uint16_t count = ipv6 ? base->n_local_addresses6 : base->n_local_addresses;

	for (uint16_t i = 1; i < count; i++) {
		if (fwd_base_local_port(base, ipv6, i) != fwd_base_local_port(base, ipv6, 0))
			return false;
	}
	return true;
}

// NULL, with the reason in `why`, where local ports cannot be chosen so that RSS brings the replies to their worker.
static const struct steering *steering_of(
	struct dataplane *dataplane,
	enum base_steering wanted,
	bool ipv6,
	struct steering_choice *choice
) {
	const struct fwd_base *base = &dataplane->base;
	uint8_t port = fwd_base_local_port(base, ipv6, 0);
	char *why = choice->reason;

	if (base->n_workers == 1)
		snprintf(why, sizeof(choice->reason), "there is one worker");
	else if (wanted == BASE_STEERING_RING)
		snprintf(why, sizeof(choice->reason), "the base asks for the ring");
	else if (!local_addresses_share_a_port(base, ipv6))
		snprintf(why, sizeof(choice->reason), "the local addresses are on different ports");
	else if (probe_steering(
			 dataplane->port_ids[port],
			 base->n_workers,
			 ipv6,
			 &choice->steering,
			 why,
			 sizeof(choice->reason)
		 )) {
		snprintf(
			why,
			sizeof(choice->reason),
			"port \"%s\" has a RETA of %u entries",
			base->ports[port].name,
			choice->steering.reta_size
		);
		return &choice->steering;
	}
	return NULL;
}

// False only when RSS was asked for and cannot be had for a family that has local addresses.
static bool choose_steering(
	struct dataplane *dataplane, enum base_steering wanted, const struct failure *failure
) {
	struct fwd_base *base = &dataplane->base;

	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		struct steering_choice *choice = &dataplane->steering[ipv6];
		const struct steering *steering = steering_of(dataplane, wanted, ipv6, choice);
		uint16_t n_local = ipv6 ? base->n_local_addresses6 : base->n_local_addresses;

		if (ipv6)
			base->steering6 = steering;
		else
			base->steering = steering;
		if (wanted != BASE_STEERING_RSS || steering != NULL || base->n_workers == 1
		    || n_local == 0)
			continue;
		snprintf(
			failure->text,
			failure->size,
			"steering: \"rss\" cannot be had%s on port \"%s\": %s; \"auto\" would use "
			"the ring",
			ipv6 ? " for IPv6" : "",
			base->ports[fwd_base_local_port(base, ipv6, 0)].name,
			choice->reason
		);
		return false;
	}
	return true;
}

static bool make_inboxes(struct dataplane *dataplane, const struct failure *failure) {
	for (unsigned i = 0; dataplane->base.n_workers > 1 && i < dataplane->base.n_workers; i++) {
		char name[32];

		snprintf(name, sizeof(name), "inbox%u", i);
		dataplane->shared.inboxes[i] =
			rte_ring_create(name, INBOX_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
		if (dataplane->shared.inboxes[i] == NULL) {
			snprintf(failure->text, failure->size, "no memory for a ring");
			return false;
		}
	}
	return true;
}

static uint64_t seed_of(const struct options *options) {
	return options->has_seed ? options->seed : rte_rand();
}

static bool make_shared(
	struct dataplane *dataplane,
	const struct options *options,
	const struct fwd_config *first,
	const struct failure *failure
) {
	struct lcore_shared *shared = &dataplane->shared;
	unsigned n_workers = dataplane->base.n_workers;
	void *group;

	shared->qsbr =
		rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(n_workers), RTE_CACHE_LINE_SIZE);
	group = rte_zmalloc("group", worker_group_size(&dataplane->base), RTE_CACHE_LINE_SIZE);
	if (shared->qsbr == NULL || group == NULL) {
		snprintf(failure->text, failure->size, "no memory for what the workers share");
		return false;
	}
	dataplane->group = worker_group_init(group, &dataplane->base, seed_of(options));
	rte_rcu_qsbr_init(shared->qsbr, n_workers);
	for (unsigned i = 0; i < n_workers; i++)
		rte_rcu_qsbr_thread_register(shared->qsbr, i);
	atomic_store(&shared->config, first);
	shared->base = &dataplane->base;
	return make_inboxes(dataplane, failure);
}

static bool no_memory(
	const struct dataplane *dataplane,
	unsigned worker,
	size_t size,
	const struct failure *failure
) {
	snprintf(
		failure->text,
		failure->size,
		"no memory for worker %u: %zu MiB for %u flows (are there enough hugepages?)",
		worker,
		size >> 20,
		dataplane->base.max_flows_per_worker
	);
	return false;
}

// Memory of each worker but for its flows; `sockets` is filled.
static bool allocate_workers(
	struct dataplane *dataplane, void **cores, int *sockets, const struct failure *failure
) {
	size_t size = worker_memory_size(&dataplane->base);
	unsigned made = 0, lcore;

	RTE_LCORE_FOREACH_WORKER(lcore) {
		struct lcore_worker *worker;

		if (made == dataplane->base.n_workers)
			break;
		sockets[made] = (int)rte_lcore_to_socket_id(lcore);
		worker = rte_zmalloc_socket(
			"lcore", sizeof(*worker), RTE_CACHE_LINE_SIZE, sockets[made]
		);
		cores[made] =
			rte_zmalloc_socket("worker", size, RTE_CACHE_LINE_SIZE, sockets[made]);
		dataplane->workers[made] = worker;
		if (worker == NULL || cores[made] == NULL)
			return no_memory(dataplane, made, size, failure);
		made++;
	}
	if (made == dataplane->base.n_workers)
		return true;
	snprintf(
		failure->text,
		failure->size,
		"%u workers need as many lcores and one for control, EAL has %u",
		dataplane->base.n_workers,
		rte_lcore_count()
	);
	return false;
}

static void
init_worker(struct dataplane *dataplane, unsigned index, void *core, bool adaptive, uint64_t seed) {
	struct lcore_worker *worker = dataplane->workers[index];

	worker->shared = &dataplane->shared;
	worker->pool = dataplane->pool;
	worker->core = worker_init(
		core,
		dataplane->memory.flows[index],
		&dataplane->base,
		dataplane->memory.neighbours,
		dataplane->group,
		index,
		seed
	);
	flow_table_rotate(&worker->core->flows, seed);
	if (dataplane->base.n_local_addresses6 > 0)
		flow_table_rotate(&worker->core->flows6, seed);
	worker->index = index;
	worker->n_ports = dataplane->base.n_ports;
	worker->adaptive = adaptive;
	worker->has_vlan = fwd_base_has_vlan(&dataplane->base);
	for (uint16_t port = 0; port < worker->n_ports; port++)
		worker->tx[port].port_id = dataplane->port_ids[port];
}

// The clock of the flows: with those of a process before it goes on.
static bool
open_flows(struct dataplane *dataplane, const char *path, const int *sockets, uint32_t *now_s) {
	struct lcore_shared *shared = &dataplane->shared;
	struct flow_memory *memory = &dataplane->memory;
	struct flow_clock clock = {rte_rdtsc(), rte_get_tsc_hz() / 1000};

	if (!flow_memory_open(memory, path, &dataplane->base, &clock, sockets))
		return false;
	shared->start_tsc = clock.start_tsc;
	shared->tsc_per_ms = clock.tsc_per_ms;
	*now_s = (uint32_t)(lcore_now_ms(shared, rte_rdtsc()) / 1000);
	if (memory->file.before != NULL)
		neighbour_adopt(
			memory->neighbours, memory->file.before, dataplane->base.n_ports, *now_s
		);
	return true;
}

static bool make_workers(
	struct dataplane *dataplane,
	const struct options *options,
	const struct fwd_config *first,
	bool adaptive,
	const struct failure *failure
) {
	size_t size = worker_flows_size(&dataplane->base);
	void *cores[FWD_MAX_WORKERS] = {NULL};
	int sockets[FWD_MAX_WORKERS];
	uint32_t now_s;

	if (!allocate_workers(dataplane, cores, sockets, failure)
	    || !(open_flows(dataplane, options->flow_file, sockets, &now_s)
		 || no_memory(dataplane, 0, size, failure))) {
		for (unsigned i = 0; i < FWD_MAX_WORKERS; i++)
			rte_free(cores[i]);
		return false;
	}
	for (unsigned i = 0; i < dataplane->base.n_workers; i++)
		init_worker(dataplane, i, cores[i], adaptive, seed_of(options));
	return flow_memory_adopt(&dataplane->memory, dataplane->workers, first, now_s)
		|| no_memory(dataplane, 0, size, failure);
}

static void free_workers(struct dataplane *dataplane) {
	for (unsigned i = 0; i < FWD_MAX_WORKERS && dataplane->workers[i] != NULL; i++) {
		rte_free(dataplane->workers[i]->core);
		rte_free(dataplane->workers[i]);
		dataplane->workers[i] = NULL;
	}
	flow_memory_close(&dataplane->memory);
}

// With RSS each worker has a place for every local port, with the ring for its share: where nobody insists on RSS, memory for
// the ring is enough.
static bool make_steered_workers(
	struct dataplane *dataplane,
	const struct options *options,
	const struct base_config *config,
	const struct fwd_config *first,
	const struct failure *failure
) {
	bool adaptive = config->poll_mode == BASE_POLL_ADAPTIVE;

	if (make_workers(dataplane, options, first, adaptive, failure))
		return true;
	if ((dataplane->base.steering == NULL && dataplane->base.steering6 == NULL)
	    || config->steering == BASE_STEERING_RSS)
		return false;
	free_workers(dataplane);
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		struct steering_choice *choice = &dataplane->steering[ipv6];

		if (fwd_steering(&dataplane->base, ipv6) != NULL)
			snprintf(
				choice->reason,
				sizeof(choice->reason),
				"no memory for %zu MiB a worker, which rss needs",
				(worker_memory_size(&dataplane->base)
				 + worker_flows_size(&dataplane->base))
					>> 20
			);
	}
	dataplane->base.steering = dataplane->base.steering6 = NULL;
	failure->text[0] = '\0';
	return make_workers(dataplane, options, first, adaptive, failure);
}

static void launch(struct dataplane *dataplane) {
	unsigned launched = 0;
	unsigned lcore;

	RTE_LCORE_FOREACH_WORKER(lcore) {
		if (launched < dataplane->base.n_workers)
			rte_eal_remote_launch(lcore_run, dataplane->workers[launched++], lcore);
	}
}

struct dataplane *dataplane_open(
	const struct options *options,
	const struct base_config *config,
	const struct fwd_config *first,
	char *error,
	size_t error_size
) {
	struct dataplane *dataplane = calloc(1, sizeof(*dataplane));
	struct failure failure = {error, error_size};
	struct devargs devargs[FWD_MAX_PORTS];

	if (dataplane == NULL) {
		snprintf(error, error_size, "no memory");
		return NULL;
	}
	dataplane->base = config->base;
	dataplane->memory.file.fd = -1;
	for (unsigned i = 0; i < config->base.n_ports; i++) {
		if (!devargs_build(config, i, &devargs[i], error, error_size)) {
			free(dataplane);
			return NULL;
		}
	}
	if (eal_start(options, config, devargs, error, error_size)
	    && make_pool(dataplane, config, options->mbufs, &failure)
	    && open_ports(dataplane, devargs, &failure)
	    && choose_steering(dataplane, config->steering, &failure)
	    && make_shared(dataplane, options, first, &failure)
	    && make_steered_workers(dataplane, options, config, first, &failure)) {
		dataplane_watch_link(dataplane);
		launch(dataplane);
		return dataplane;
	}
	dataplane_close(dataplane);
	return NULL;
}

void dataplane_publish(struct dataplane *dataplane, const struct fwd_config *next) {
	atomic_store_explicit(&dataplane->shared.config, next, memory_order_release);
	rte_rcu_qsbr_synchronize(dataplane->shared.qsbr, RTE_QSBR_THRID_INVALID);
}

void dataplane_watch_link(struct dataplane *dataplane) {
	struct rte_eth_link link = {0};
	bool known = rte_eth_link_get_nowait(dataplane->port_ids[0], &link) == 0;

	atomic_store(
		&dataplane->group->vips->cut_off, known && link.link_status == RTE_ETH_LINK_DOWN
	);
}

// EAL takes back its memory when the process ends; the ports must be closed before.
void dataplane_close(struct dataplane *dataplane) {
	atomic_store(&dataplane->shared.stop, true);
	if (dataplane->workers[0] != NULL)
		rte_eal_mp_wait_lcore();
	for (uint16_t i = 0; i < dataplane->n_open_ports; i++)
		port_close(dataplane->port_ids[i]);
	flow_file_close(&dataplane->memory.file);
	rte_eal_cleanup();
	free(dataplane);
}
