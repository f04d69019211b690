// SPDX-License-Identifier: Apache-2.0

// What the control thread may ask of a running worker.

#include "worker.h"

#include <arpa/inet.h>
#include <stddef.h>

static struct ipv6_address mapped(uint32_t wire) {
	return ipv6_mapped(ntohl(wire));
}

static void view_addresses(const struct flow *flow, struct fwd_flow_view *out) {
	out->client_address = mapped(flow->client_address);
	out->vip = mapped(flow->vip);
	out->local_address = mapped(flow->local_address);
	out->backend_address = mapped(flow->backend_address);
}

static void view_addresses6(const struct flow6 *flow, struct fwd_flow_view *out) {
	out->client_address = flow->client_address;
	out->vip = flow->vip;
	out->local_address = flow->local_address;
	out->backend_address = flow->backend_address;
}

// Of a flow whose backend has to be told it is not known: it began at the latest with its last packet.
static uint32_t began_s(const struct flow *flow) {
	return flow->untold == FWD_CLIENT_ADDRESS_NONE ? flow->created_s : flow->last_seen_s;
}

// Places of both tables are numbered in one row.
bool worker_flow_read(
	const struct fwd_worker *worker,
	uint32_t *cursor,
	uint64_t now_ms,
	struct fwd_flow_view *out
) {
	uint32_t n_flows = worker->flows.n_flows, n_all = n_flows + worker->flows6.n_flows;
	uint32_t now_s = (uint32_t)(now_ms / 1000);

	for (; *cursor < n_all; (*cursor)++) {
		bool ipv6 = *cursor >= n_flows;
		const struct flow_table *table = ipv6 ? &worker->flows6 : &worker->flows;
		uint32_t index = ipv6 ? *cursor - n_flows : *cursor;
		const struct flow *flow = flow_table_at(table, index);

		if (flow->state == FLOW_FREE)
			continue;
		*out = (struct fwd_flow_view){
			.client_port = ntohs(flow->client_port),
			.vip_port = ntohs(flow->vip_port),
			.local_port = ntohs(flow->local_port),
			.backend_port = ntohs(flow->backend_port),
			.listener = flow->listener,
			.protocol = flow->protocol,
			.state = flow->state,
			.idle_s = now_s - flow->last_seen_s,
			.age_s = now_s - began_s(flow),
		};
		if (ipv6)
			view_addresses6(&table->flows6[index], out);
		else
			view_addresses(flow, out);
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

void worker_set_trace(struct fwd_worker *worker, struct trace *trace) {
	__atomic_store_n(&worker->trace, trace, __ATOMIC_RELEASE);
}
