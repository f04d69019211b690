// SPDX-License-Identifier: Apache-2.0

#include "sync_wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

void sync_record_write(const struct flow *flow, uint32_t now_s, void *record) {
	const struct flow6 *flow6 = (const struct flow6 *)flow;
	struct sync_record4 *record4 = record;
	struct sync_record6 *record6 = record;

	*(struct sync_record *)record = (struct sync_record){
		.client_port = flow->client_port,
		.vip_port = flow->vip_port,
		.local_port = flow->local_port,
		.backend_port = flow->backend_port,
		.protocol = flow->protocol,
		.state = flow->state,
		.tells = flow->tells,
		.idle_s = htonl(now_s - flow->last_seen_s),
		.age_s = htonl(now_s - flow->created_s),
	};
	if (flow->ipv6) {
		record6->client_address = flow6->client_address;
		record6->vip = flow6->vip;
		record6->local_address = flow6->local_address;
		record6->backend_address = flow6->backend_address;
	} else {
		record4->client_address = flow->client_address;
		record4->vip = flow->vip;
		record4->local_address = flow->local_address;
		record4->backend_address = flow->backend_address;
	}
}

static bool is_sound(const struct sync_record *record, uint32_t now_s) {
	if (ntohl(record->idle_s) > ntohl(record->age_s) || ntohl(record->idle_s) > now_s)
		return false;
	if (record->protocol == IPPROTO_UDP)
		return record->state == FLOW_UDP && record->tells == FWD_CLIENT_ADDRESS_NONE;
	return record->protocol == IPPROTO_TCP && record->state >= FLOW_TCP_ESTABLISHED
		&& record->state <= FLOW_TCP_CLOSED && record->tells <= FWD_CLIENT_ADDRESS_PROXY_V2;
}

bool sync_record_read(const void *record, bool ipv6, uint32_t now_s, struct flow6 *out) {
	const struct sync_record4 *record4 = record;
	const struct sync_record6 *record6 = record;
	const struct sync_record *common = record;
	uint32_t age_s = ntohl(common->age_s);

	memset(out, 0, sizeof(*out));
	if (!is_sound(common, now_s))
		return false;
	out->flow = (struct flow){
		.client_port = common->client_port,
		.vip_port = common->vip_port,
		.local_port = common->local_port,
		.backend_port = common->backend_port,
		.protocol = common->protocol,
		.state = common->state,
		.tells = common->tells & 3,
		.ipv6 = ipv6,
		.last_seen_s = now_s - ntohl(common->idle_s),
		.created_s = age_s < now_s ? now_s - age_s : 0,
		.synced_state = common->state & 7,
		.synced_s = now_s,
	};
	if (ipv6) {
		out->client_address = record6->client_address;
		out->vip = record6->vip;
		out->local_address = record6->local_address;
		out->backend_address = record6->backend_address;
	} else {
		out->flow.client_address = record4->client_address;
		out->flow.vip = record4->vip;
		out->flow.local_address = record4->local_address;
		out->flow.backend_address = record4->backend_address;
	}
	return true;
}
