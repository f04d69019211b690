// SPDX-License-Identifier: Apache-2.0

#include "counters.h"

static uint64_t read_counter(const uint64_t *counter) {
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

json_t *counters_drops(struct fwd_worker *const *workers, unsigned count) {
	json_t *drops = json_object();

	for (unsigned reason = DROP_NONE + 1; reason < DROP_REASON_COUNT; reason++) {
		uint64_t sum = 0;

		for (unsigned w = 0; w < count; w++)
			sum += read_counter(&workers[w]->counters.drops[reason]);
		json_object_set_new(drops, drop_reason_name(reason), json_integer((json_int_t)sum));
	}
	return drops;
}

json_t *counters_answers(struct fwd_worker *const *workers, unsigned count) {
	uint64_t resets = 0, icmp_errors = 0;

	for (unsigned w = 0; w < count; w++) {
		resets += read_counter(&workers[w]->counters.resets_sent);
		icmp_errors += read_counter(&workers[w]->counters.icmp_errors_sent);
	}
	return json_pack(
		"{s:I, s:I}", "resets", (json_int_t)resets, "icmp_errors", (json_int_t)icmp_errors
	);
}

json_t *counters_client_address(struct fwd_worker *const *workers, unsigned count) {
	uint64_t omitted = 0;

	for (unsigned w = 0; w < count; w++)
		omitted += read_counter(&workers[w]->counters.client_address_omitted);
	return json_pack("{s:I}", "omitted", (json_int_t)omitted);
}

json_t *counters_half_open(struct fwd_worker *const *workers, unsigned count) {
	uint64_t live = 0, evicted = 0;

	for (unsigned w = 0; w < count; w++) {
		for (unsigned ipv6 = 0; ipv6 < 2; ipv6++)
			live += __atomic_load_n(
				&workers[w]->half_open[ipv6].live, __ATOMIC_RELAXED
			);
		evicted += read_counter(&workers[w]->counters.half_open_evicted);
	}
	return json_pack("{s:I, s:I}", "live", (json_int_t)live, "evicted", (json_int_t)evicted);
}

static json_t *listener_json(struct fwd_worker *const *workers, unsigned count, unsigned slot) {
	uint64_t sums[6] = {0};

	for (unsigned w = 0; w < count; w++) {
		const struct listener_counters *from = &workers[w]->counters.listeners[slot];

		sums[0] += read_counter(&from->packets_in);
		sums[1] += read_counter(&from->bytes_in);
		sums[2] += read_counter(&from->packets_out);
		sums[3] += read_counter(&from->bytes_out);
		sums[4] += read_counter(&from->connections);
		sums[5] += read_counter(&from->active_flows);
	}
	return json_pack(
		"{s:I,s:I,s:I,s:I,s:I,s:I}",
		"packets_in",
		(json_int_t)sums[0],
		"bytes_in",
		(json_int_t)sums[1],
		"packets_out",
		(json_int_t)sums[2],
		"bytes_out",
		(json_int_t)sums[3],
		"connections",
		(json_int_t)sums[4],
		"active_flows",
		(json_int_t)sums[5]
	);
}

json_t *counters_listeners(
	struct fwd_worker *const *workers, unsigned count, const struct fwd_config *config
) {
	json_t *listeners = json_object();

	for (unsigned slot = 0; slot < FWD_MAX_LISTENERS; slot++) {
		const struct fwd_listener *listener = config->listeners[slot];

		if (listener != NULL)
			json_object_set_new(
				listeners, listener->name, listener_json(workers, count, slot)
			);
	}
	return listeners;
}

static json_t *backend_json(
	struct fwd_worker *const *workers,
	unsigned count,
	const struct fwd_listener *listener,
	const struct fwd_backend *backend
) {
	struct ipv6_address address = fwd_backend_address(listener, backend);
	uint64_t connections = 0, active = 0;
	char text[INET6_ADDRSTRLEN];

	for (unsigned w = 0; w < count; w++) {
		const struct backend_counters *from = &workers[w]->counters.backends[backend->slot];

		connections += read_counter(&from->connections);
		active += read_counter(&from->active_flows);
	}
	return json_pack(
		"{s:s, s:i, s:i, s:I, s:I}",
		"address",
		ipv6_text(&address, text),
		"port",
		backend->port,
		"weight",
		backend->weight,
		"connections",
		(json_int_t)connections,
		"active_flows",
		(json_int_t)active
	);
}

json_t *counters_backends(
	struct fwd_worker *const *workers, unsigned count, const struct fwd_listener *listener
) {
	json_t *array = json_array();

	for (uint32_t i = 0; i < listener->n_backends; i++)
		json_array_append_new(
			array, backend_json(workers, count, listener, &listener->backends[i])
		);
	return array;
}
