// SPDX-License-Identifier: Apache-2.0

#include "report.h"

#include <counters.h>
#include <sync_report.h>
#include <vips.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

// A counter that its worker may be writing.
static uint64_t value_of(const uint64_t *counter) {
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void set(json_t *object, const char *key, uint64_t value) {
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *address_json(struct ipv6_address address) {
	char text[INET6_ADDRSTRLEN];

	return json_string(ipv6_text(&address, text));
}

static json_t *worker_json(const struct lcore_worker *worker) {
	const struct worker_counters *core = &worker->core->counters;
	const struct lcore_counters *lcore = &worker->counters;
	json_t *object = json_object();

	set(object, "rx_packets", value_of(&core->rx_packets));
	set(object, "tx_packets", value_of(&core->tx_packets));
	set(object, "busy_cycles", value_of(&lcore->busy_cycles));
	set(object, "idle_cycles", value_of(&lcore->idle_cycles));
	set(object, "naps", value_of(&lcore->naps));
	set(object, "handed_over", value_of(&lcore->handed_over));
	set(object, "no_buffer", value_of(&lcore->no_buffer));
	return object;
}

static json_t *workers_json(const struct dataplane *dataplane) {
	json_t *array = json_array();

	for (unsigned i = 0; i < dataplane->base.n_workers; i++)
		json_array_append_new(array, worker_json(dataplane->workers[i]));
	return array;
}

// What the driver lost before or after the workers saw it.
static json_t *ports_json(const struct dataplane *dataplane) {
	json_t *array = json_array();

	for (uint16_t i = 0; i < dataplane->n_open_ports; i++) {
		struct rte_eth_stats stats = {0};
		json_t *object = json_object();

		rte_eth_stats_get(dataplane->port_ids[i], &stats);
		json_object_set_new(object, "name", json_string(dataplane->base.ports[i].name));
		set(object, "rx_missed", stats.imissed);
		set(object, "rx_errors", stats.ierrors);
		set(object, "rx_no_buffer", stats.rx_nombuf);
		set(object, "tx_errors", stats.oerrors);
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *steering_json(const struct dataplane *dataplane, bool ipv6) {
	const char *mode = fwd_steering(&dataplane->base, ipv6) != NULL ? "rss"
		: dataplane->base.n_workers == 1                        ? "single"
									: "ring";

	return json_pack("{s:s, s:s}", "mode", mode, "reason", dataplane->steering[ipv6].reason);
}

static json_t *neighbours_json(const struct dataplane *dataplane) {
	json_t *array = json_array();
	struct neighbour_view view;

	for (uint16_t i = 0; i < NEIGHBOUR_MAX; i++) {
		char mac[18] = "";

		if (!neighbour_read(dataplane->memory.neighbours, i, &view))
			continue;
		if (view.resolved)
			snprintf(
				mac,
				sizeof(mac),
				"%02x:%02x:%02x:%02x:%02x:%02x",
				view.mac[0],
				view.mac[1],
				view.mac[2],
				view.mac[3],
				view.mac[4],
				view.mac[5]
			);
		json_array_append_new(
			array,
			json_pack(
				"{s:o, s:s, s:s, s:s}",
				"address",
				address_json(view.address),
				"port",
				dataplane->base.ports[view.port].name,
				"mac",
				mac,
				"state",
				view.resolved ? "resolved" : "unresolved"
			)
		);
	}
	return array;
}

// What this process took over from the one before it.
static json_t *adoption_json(const struct dataplane *dataplane) {
	const struct flow_memory *memory = &dataplane->memory;
	json_t *object = json_object();
	struct adoption all = {0};

	for (unsigned i = 0; i < dataplane->base.n_workers; i++) {
		all.adopted += memory->adoptions[i].adopted;
		all.ended += memory->adoptions[i].ended;
		all.damaged += memory->adoptions[i].damaged;
	}
	json_object_set_new(object, "verdict", json_string(memory->verdict));
	set(object, "adopted_flows", all.adopted);
	set(object, "ended_flows", all.ended);
	set(object, "damaged_flows", all.damaged);
	set(object, "us", memory->adoption_us);
	return object;
}

void report_stats(
	const struct dataplane *dataplane, const struct fwd_config *config, json_t *reply
) {
	struct fwd_worker *cores[FWD_MAX_WORKERS];
	unsigned count = dataplane->base.n_workers;

	for (unsigned i = 0; i < count; i++)
		cores[i] = dataplane->workers[i]->core;
	json_object_set_new(reply, "workers", workers_json(dataplane));
	json_object_set_new(reply, "drops", counters_drops(cores, count));
	json_object_set_new(reply, "answers", counters_answers(cores, count));
	json_object_set_new(reply, "half_open", counters_half_open(cores, count));
	json_object_set_new(reply, "client_address", counters_client_address(cores, count));
	json_object_set_new(reply, "listeners", counters_listeners(cores, count, config));
	json_object_set_new(reply, "vips", vips_counts(dataplane->group->vips, config));
	json_object_set_new(reply, "ports", ports_json(dataplane));
	json_object_set_new(reply, "neighbours", neighbours_json(dataplane));
	json_object_set_new(reply, "adoption", adoption_json(dataplane));
	json_object_set_new(reply, "steering", steering_json(dataplane, false));
	if (dataplane->base.n_local_addresses6 > 0)
		json_object_set_new(reply, "steering6", steering_json(dataplane, true));
	if (cores[0]->sync != NULL)
		json_object_set_new(
			reply,
			"sync",
			sync_report(cores[0], lcore_now_ms(&dataplane->shared, rte_rdtsc()))
		);
}

json_t *report_backends(
	const struct dataplane *dataplane, const struct fwd_config *config, const char *listener
) {
	struct fwd_worker *cores[FWD_MAX_WORKERS];

	for (unsigned i = 0; i < dataplane->base.n_workers; i++)
		cores[i] = dataplane->workers[i]->core;
	for (unsigned slot = 0; slot < FWD_MAX_LISTENERS; slot++) {
		const struct fwd_listener *found = config->listeners[slot];

		if (found != NULL && strcmp(found->name, listener) == 0)
			return counters_backends(cores, dataplane->base.n_workers, found);
	}
	return NULL;
}

static const char *listener_of(const struct fwd_flow_view *flow, const struct fwd_config *config) {
	const struct fwd_listener *listener =
		flow->listener < FWD_MAX_LISTENERS ? config->listeners[flow->listener] : NULL;

	return listener == NULL ? "" : listener->name;
}

static json_t *flow_json(const struct fwd_flow_view *flow, const char *listener, unsigned worker) {
	json_t *object = json_object();

	json_object_set_new(object, "listener", json_string(listener));
	json_object_set_new(
		object, "protocol", json_string(flow->protocol == IPPROTO_TCP ? "tcp" : "udp")
	);
	json_object_set_new(object, "state", json_string(flow_state_name(flow->state)));
	json_object_set_new(object, "client_address", address_json(flow->client_address));
	set(object, "client_port", flow->client_port);
	json_object_set_new(object, "vip", address_json(flow->vip));
	set(object, "vip_port", flow->vip_port);
	json_object_set_new(object, "local_address", address_json(flow->local_address));
	set(object, "local_port", flow->local_port);
	json_object_set_new(object, "backend_address", address_json(flow->backend_address));
	set(object, "backend_port", flow->backend_port);
	set(object, "idle_s", flow->idle_s);
	set(object, "age_s", flow->age_s);
	set(object, "worker", worker);
	return object;
}

json_t *report_flows(
	const struct dataplane *dataplane,
	const struct fwd_config *config,
	size_t limit,
	const struct flow_filter *filter
) {
	uint64_t now_ms = lcore_now_ms(&dataplane->shared, rte_rdtsc());
	json_t *array = json_array();

	for (unsigned i = 0; i < dataplane->base.n_workers; i++) {
		struct fwd_flow_view flow;
		uint32_t cursor = 0;

		while (json_array_size(array) < limit
		       && worker_flow_read(dataplane->workers[i]->core, &cursor, now_ms, &flow)) {
			const char *listener = listener_of(&flow, config);

			if (flow_filter_matches(filter, &flow, listener))
				json_array_append_new(array, flow_json(&flow, listener, i));
		}
	}
	return array;
}

static void add_gateway(
	json_t *array,
	const struct dataplane *dataplane,
	bool ipv6,
	uint8_t port,
	struct ipv6_address address,
	uint64_t now_ms
) {
	uint64_t silence_ms =
		gateway_probe_silence(&dataplane->group->gateways, ipv6, port, now_ms);

	json_array_append_new(
		array,
		json_pack(
			"{s:s, s:i, s:o, s:o}",
			"port",
			dataplane->base.ports[port].name,
			"network",
			port,
			"address",
			address_json(address),
			"silent_ms",
			silence_ms == GATEWAY_NEVER ? json_null()
						    : json_integer((json_int_t)silence_ms)
		)
	);
}

json_t *report_gateways(struct dataplane *dataplane) {
	uint64_t now_ms = lcore_now_ms(&dataplane->shared, rte_rdtsc());
	json_t *array = json_array();

	gateway_probe_want(&dataplane->group->gateways, now_ms);
	for (uint8_t i = 0; i < dataplane->base.n_ports; i++) {
		const struct fwd_port *port = &dataplane->base.ports[i];

		if (port->gateway != 0)
			add_gateway(array, dataplane, false, i, ipv6_mapped(port->gateway), now_ms);
		if (!ipv6_is_unspecified(&port->gateway6))
			add_gateway(array, dataplane, true, i, port->gateway6, now_ms);
	}
	return array;
}
