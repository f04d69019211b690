// SPDX-License-Identifier: Apache-2.0

#include "sync_report.h"

#include <arpa/inet.h>

// How far the local addresses of the pod with this ordinal are ours.
static const char *locals_state(const struct fwd_worker *worker, unsigned ordinal) {
	return claim_state_name(local_owner_state(worker->group->locals, worker->base, ordinal));
}

static json_t *
peer_json(const struct fwd_worker *worker, const struct fwd_peer *peer, uint64_t now_ms) {
	const struct peer_table *peers = &worker->group->peers;
	int64_t heard_ms = (int64_t)(now_ms - atomic_load(&peers->peers[peer->ordinal].heard_ms));
	struct ipv6_address address = ipv6_mapped(peer->address);
	char text[INET6_ADDRSTRLEN];

	return json_pack(
		"{s:i, s:s, s:s, s:o, s:s}",
		"ordinal",
		(int)peer->ordinal,
		"address",
		ipv6_text(&address, text),
		"state",
		peers_alive(peers, peer->ordinal, now_ms) ? "alive" : "silent",
		"heard_ms",
		peers_epoch(peers, peer->ordinal) == 0 ? json_null()
						       : json_integer(heard_ms > 0 ? heard_ms : 0),
		"local_addresses",
		locals_state(worker, peer->ordinal)
	);
}

static json_t *peers_json(const struct fwd_worker *worker, uint64_t now_ms) {
	const struct fwd_sync *sync = &worker->base->sync;
	json_t *array = json_array();

	for (unsigned i = 0; i < sync->n_peers; i++)
		json_array_append_new(array, peer_json(worker, &sync->peers[i], now_ms));
	return array;
}

static json_t *refused_json(const struct sync_counters *counters, json_int_t *all) {
	json_t *object = json_object();

	for (unsigned i = 0; i < SYNC_REFUSAL_COUNT; i++) {
		*all += (json_int_t)counters->records_refused[i];
		json_object_set_new(
			object,
			sync_refusal_name(i),
			json_integer((json_int_t)counters->records_refused[i])
		);
	}
	return object;
}

json_t *sync_report(const struct fwd_worker *worker, uint64_t now_ms) {
	const struct sync_counters *counters = &worker->sync->counters;
	json_int_t refused = 0;
	json_t *reasons = refused_json(counters, &refused);

	return json_pack(
		"{s:s, s:s, s:o, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I}",
		"state",
		sync_is_complete(worker->sync) ? "complete" : "joining",
		"local_addresses",
		locals_state(worker, worker->base->sync.ordinal),
		"peers",
		peers_json(worker, now_ms),
		"sent_records",
		(json_int_t)counters->records_sent,
		"received_records",
		(json_int_t)counters->records_received,
		"refused_records",
		refused,
		"refused",
		reasons,
		"sent_datagrams",
		(json_int_t)counters->datagrams_sent,
		"received_datagrams",
		(json_int_t)counters->datagrams_received,
		"unresolved_datagrams",
		(json_int_t)counters->unresolved,
		"foreign_flows",
		(json_int_t)worker->flows.foreign + worker->flows6.foreign
	);
}
