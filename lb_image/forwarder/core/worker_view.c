// SPDX-License-Identifier: Apache-2.0

// What the control thread may ask of a running worker; nothing here writes.

#include "worker.h"

#include <arpa/inet.h>
#include <stddef.h>

bool worker_flow_read(
	const struct fwd_worker *worker,
	uint32_t *cursor,
	uint64_t now_ms,
	struct fwd_flow_view *out
) {
	uint32_t now_s = (uint32_t)(now_ms / 1000);

	for (; *cursor < worker->flows.n_flows; (*cursor)++) {
		const struct flow *flow = &worker->flows.flows[*cursor];

		if (flow->state == FLOW_FREE)
			continue;
		*out = (struct fwd_flow_view){
			.client_address = ntohl(flow->client_address),
			.vip = ntohl(flow->vip),
			.local_address = ntohl(flow->local_address),
			.backend_address = ntohl(flow->backend_address),
			.client_port = ntohs(flow->client_port),
			.vip_port = ntohs(flow->vip_port),
			.local_port = ntohs(flow->local_port),
			.backend_port = ntohs(flow->backend_port),
			.listener = flow->listener,
			.protocol = flow->protocol,
			.state = flow->state,
			.idle_s = now_s - flow->last_seen_s,
			.age_s = now_s - flow->created_s,
		};
		(*cursor)++;
		return true;
	}
	return false;
}

const char *flow_state_name(unsigned state) {
	static const char *const names[FLOW_STATE_COUNT] = {
		[FLOW_FREE] = "free",
		[FLOW_UDP] = "udp",
		[FLOW_TCP_SYN] = "syn",
		[FLOW_TCP_SYN_ACK] = "syn_ack",
		[FLOW_TCP_ESTABLISHED] = "established",
		[FLOW_TCP_FIN_CLIENT] = "fin_client",
		[FLOW_TCP_FIN_BACKEND] = "fin_backend",
		[FLOW_TCP_CLOSED] = "closed",
	};

	return state < FLOW_STATE_COUNT ? names[state] : NULL;
}
