// SPDX-License-Identifier: Apache-2.0

#include "packet_trace.h"

#include <rte_cycles.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct shown_record {
	struct trace_record record;
	unsigned worker;
	size_t order; // in which it was collected
};

// Gives each worker its entry of `traces` and frees what it had, when it is through with that.
static void exchange(struct dataplane *dataplane, struct trace *const *traces) {
	struct trace *before[FWD_MAX_WORKERS];

	for (unsigned i = 0; i < dataplane->base.n_workers; i++) {
		before[i] = dataplane->workers[i]->core->trace;
		worker_set_trace(dataplane->workers[i]->core, traces[i]);
	}
	rte_rcu_qsbr_synchronize(dataplane->shared.qsbr, RTE_QSBR_THRID_INVALID);
	for (unsigned i = 0; i < dataplane->base.n_workers; i++)
		free(before[i]);
}

bool packet_trace_start(
	struct dataplane *dataplane, const struct flow_pattern *pattern, unsigned seconds
) {
	uint64_t now_ms = lcore_now_ms(&dataplane->shared, rte_rdtsc());
	struct trace *traces[FWD_MAX_WORKERS] = {0};

	for (unsigned i = 0; i < dataplane->base.n_workers; i++) {
		traces[i] = calloc(1, sizeof(*traces[i]));
		if (traces[i] == NULL) {
			while (i-- > 0)
				free(traces[i]);
			return false;
		}
		traces[i]->pattern = *pattern;
		traces[i]->until_ms = now_ms + seconds * 1000ull;
	}
	exchange(dataplane, traces);
	return true;
}

void packet_trace_stop(struct dataplane *dataplane) {
	struct trace *const none[FWD_MAX_WORKERS] = {0};

	exchange(dataplane, none);
}

static json_t *end_json(struct ipv6_address address, uint16_t port) {
	char text[INET6_ADDRSTRLEN];

	return json_pack("{s:s, s:i}", "address", ipv6_text(&address, text), "port", port);
}

static void flags_text(uint8_t flags, char text[9]) {
	static const char names[] = "FSRPAUEC"; // from bit 0 on (RFC 9293, section 3.1)

	for (unsigned bit = 0; bit < 8; bit++) {
		if (flags & 1u << bit)
			*text++ = names[bit];
	}
	*text = '\0';
}

static json_t *ends_json(const struct trace_ends *ends, const char *port) {
	json_t *object = json_pack(
		"{s:s, s:o, s:o, s:i}",
		"port",
		port,
		"source",
		end_json(ends->src, ends->src_port),
		"destination",
		end_json(ends->dst, ends->dst_port),
		"length",
		ends->length
	);

	if (ends->protocol == IPPROTO_TCP && !ends->is_later_fragment) {
		char flags[9];

		flags_text(ends->tcp_flags, flags);
		json_object_set_new(object, "tcp_flags", json_string(flags));
		json_object_set_new(object, "sequence", json_integer(ends->seq));
		json_object_set_new(object, "acknowledgment", json_integer(ends->ack));
	}
	return object;
}

static const char *verdict_of(const struct trace_record *record) {
	if (record->verdict == FWD_HAND_OVER)
		return "handed_over";
	if (record->verdict == FWD_DROP)
		return record->drop_reason == DROP_NONE ? "handled" : "dropped";
	return record->drop_reason == DROP_NONE ? "sent" : "answered";
}

static json_t *
record_json(const struct dataplane *dataplane, const struct shown_record *shown, uint64_t now_ms) {
	const struct fwd_port *ports = dataplane->base.ports;
	const struct trace_record *record = &shown->record;
	json_t *object = json_pack(
		"{s:I, s:i, s:s, s:o, s:s}",
		"age_ms",
		(json_int_t)(now_ms > record->time_ms ? now_ms - record->time_ms : 0),
		"worker",
		(int)shown->worker,
		"from",
		record->is_of_backend ? "backend" : "client",
		"in",
		ends_json(&record->in, ports[record->port_in].name),
		"verdict",
		verdict_of(record)
	);

	if (record->drop_reason != DROP_NONE)
		json_object_set_new(
			object, "drop_reason", json_string(drop_reason_name(record->drop_reason))
		);
	if (record->verdict == FWD_HAND_OVER)
		json_object_set_new(object, "to_worker", json_integer(record->owner));
	if (record->verdict == FWD_TX)
		json_object_set_new(
			object, "out", ends_json(&record->out, ports[record->port_out].name)
		);
	return object;
}

static int by_time(const void *a, const void *b) {
	const struct shown_record *first = a, *second = b;

	if (first->record.time_ms != second->record.time_ms)
		return first->record.time_ms < second->record.time_ms ? -1 : 1;
	return first->order < second->order ? -1 : first->order > second->order;
}

static size_t
collect(const struct dataplane *dataplane,
	struct trace_record *records,
	struct shown_record *out,
	uint64_t *lost) {
	size_t count = 0;

	*lost = 0;
	for (unsigned i = 0; i < dataplane->base.n_workers; i++) {
		uint64_t lost_here;
		size_t read = trace_read(dataplane->workers[i]->core->trace, records, &lost_here);

		for (size_t n = 0; n < read; n++, count++)
			out[count] = (struct shown_record){records[n], i, count};
		*lost += lost_here;
	}
	return count;
}

bool packet_trace_read(const struct dataplane *dataplane, json_t *reply) {
	uint64_t now_ms = lcore_now_ms(&dataplane->shared, rte_rdtsc());
	size_t room = dataplane->base.n_workers * (size_t)TRACE_RECORDS;
	struct trace_record *records = calloc(TRACE_RECORDS, sizeof(*records));
	struct shown_record *shown = calloc(room, sizeof(*shown));
	bool can = records != NULL && shown != NULL && dataplane->workers[0]->core->trace != NULL;

	if (can) {
		json_t *array = json_array();
		uint64_t lost;
		size_t count = collect(dataplane, records, shown, &lost);

		qsort(shown, count, sizeof(*shown), by_time);
		for (size_t i = 0; i < count; i++)
			json_array_append_new(array, record_json(dataplane, &shown[i], now_ms));
		json_object_set_new(reply, "records", array);
		json_object_set_new(reply, "lost", json_integer((json_int_t)lost));
	}
	free(shown);
	free(records);
	return can;
}
