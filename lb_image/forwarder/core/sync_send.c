// SPDX-License-Identifier: Apache-2.0

// What the peers are told. A datagram waits in the queue until the shell has sent it to each of its peers; the queue bounds what a
// millisecond of sync may cost, and a flow that finds it full is told of by the next sweep.

#include "sync_internal.h"

#include "siphash.h"
#include "vlan.h"

#include <endian.h>
#include <string.h>

static uint16_t all_peers(const struct sync *sync) {
	return (uint16_t)((1u << sync->base->sync.n_peers) - 1);
}

static struct sync_header *header_of(struct sync_datagram *datagram) {
	return (struct sync_header *)datagram->bytes;
}

static void begin(struct sync *sync, struct sync_datagram *datagram, unsigned flags) {
	datagram->length = sizeof(struct sync_header);
	datagram->to = all_peers(sync);
	*header_of(datagram) = (struct sync_header){
		.magic = htonl(SYNC_MAGIC),
		.version = SYNC_VERSION,
		.sender = sync->base->sync.ordinal,
		.flags = (uint8_t)flags,
		.epoch_us = htobe64(sync->epoch_us),
	};
}

// The state of this pod, as it is when the datagram goes; then nothing of it may change.
static void finish(struct sync *sync, struct sync_datagram *datagram) {
	struct sync_header *header = header_of(datagram);
	uint64_t tag;

	header->flags |= (uint8_t)peers_own_flags(sync->peers);
	if (sync->round != 0) {
		header->flags |= SYNC_BULK_REQUEST;
		// Of bulk that we send it tells the round of who asked.
		if (!(header->flags & (SYNC_BULK | SYNC_BULK_END)))
			header->bulk_round = htons(sync->round);
	}
	header->sequence = htobe64(++sync->sequence);
	tag = htole64(siphash(sync->base->sync.key, datagram->bytes, datagram->length));
	memcpy(datagram->bytes + datagram->length, &tag, sizeof(tag));
	datagram->length += sizeof(tag);
}

// A place in the queue, or NULL. `limit`: of its places.
static struct sync_datagram *enqueue(struct sync *sync, unsigned limit) {
	return sync->n_queued < limit ? &sync->queue[sync->n_queued] : NULL;
}

void sync_flush(struct sync *sync) {
	struct sync_datagram *slot = enqueue(sync, SYNC_CALL_CHANGES);

	if (slot == NULL)
		return;
	finish(sync, &sync->open);
	memcpy(slot, &sync->open, offsetof(struct sync_datagram, bytes) + sync->open.length);
	sync->n_queued++;
	sync->open.length = 0;
	sync->sent_ms = sync->opened_ms;
}

void sync_send_heartbeat(struct sync *sync, uint64_t now_ms) {
	struct sync_datagram *slot = enqueue(sync, SYNC_CALL_MAX + 2);

	if (slot == NULL)
		return;
	begin(sync, slot, 0);
	finish(sync, slot);
	sync->n_queued++;
	sync->sent_ms = now_ms;
}

static bool
has_room(const struct sync *sync, struct sync_datagram *datagram, const struct flow *flow) {
	uint8_t family = header_of(datagram)->family;

	return (family == 0 || family == (flow->ipv6 ? 6 : 4))
		&& datagram->length + sync_record_size(flow->ipv6) + SYNC_TAG_SIZE <= sync->room;
}

static void
add(struct sync *sync, struct sync_datagram *datagram, const struct flow *flow, uint32_t now_s) {
	struct sync_header *header = header_of(datagram);

	header->family = flow->ipv6 ? 6 : 4;
	header->count = htons((uint16_t)(ntohs(header->count) + 1));
	sync_record_write(flow, now_s, datagram->bytes + datagram->length);
	datagram->length += (uint16_t)sync_record_size(flow->ipv6);
	sync->counters.records_sent++;
}

// Streams, and datagrams that are more than one question and its answer: what ends within a second is not worth a record.
static bool is_told_of(const struct flow *flow) {
	if (flow->untold != FWD_CLIENT_ADDRESS_NONE || flow_is_half_open(flow))
		return false;
	if (flow->synced_state != FLOW_FREE)
		return true;
	if (flow->state == FLOW_UDP)
		return flow->last_seen_s > flow->created_s;
	return flow->state != FLOW_TCP_CLOSED;
}

static bool is_due(struct fwd_worker *worker, const struct flow *flow) {
	const struct flow_table *table = sync_table(worker, flow->ipv6);
	const struct sync *sync = worker->sync;
	uint32_t index;

	if (!is_told_of(flow))
		return false;
	if (flow->synced_state != flow->state)
		return true;
	if (flow->state == FLOW_TCP_CLOSED || worker->now_s - flow->synced_s < SYNC_REFRESH_S)
		return false;
	if (!flow->is_foreign || flow->last_seen_s > flow->synced_s)
		return true;
	index = (uint32_t
	)(((const uint8_t *)flow - (const uint8_t *)table->flows) >> table->flow_shift);
	return sync_speaks_for(worker, sync_ordinal_of(sync, table, index));
}

void sync_note(struct fwd_worker *worker, struct flow *flow) {
	struct sync *sync = worker->sync;

	if (sync->base->sync.n_peers == 0 || !is_due(worker, flow))
		return;
	if (sync->open.length > 0 && !has_room(sync, &sync->open, flow))
		sync_flush(sync);
	if (sync->open.length > 0 && !has_room(sync, &sync->open, flow))
		return;
	if (sync->open.length == 0) {
		begin(sync, &sync->open, 0);
		sync->opened_ms = worker->now_ms;
	}
	add(sync, &sync->open, flow, worker->now_s);
	flow->synced_state = flow->state & 7;
	flow->synced_s = worker->now_s;
}

// Places that one call looks at for all bulk.
#define BULK_STEP 4096

// A pod that joins has to know the flows of its own places; of others', those that nobody else tells it.
static bool is_of_bulk(
	struct fwd_worker *worker, const struct flow_table *table, uint32_t index, unsigned asks
) {
	const struct flow *flow = flow_table_at(table, index);
	unsigned ordinal = sync_ordinal_of(worker->sync, table, index);

	return flow->state != FLOW_FREE && is_told_of(flow) && flow->state != FLOW_TCP_CLOSED
		&& (!flow->is_foreign || ordinal == worker->sync->base->sync.peers[asks].ordinal
		    || sync_speaks_for(worker, ordinal));
}

static void
begin_bulk(struct sync *sync, struct sync_datagram *datagram, unsigned i, unsigned flags) {
	const struct sync_peer *peer = &sync->peer[i];
	struct sync_header *header = header_of(datagram);

	begin(sync, datagram, flags);
	datagram->to = (uint16_t)(1u << i);
	header->bulk_epoch_us = htobe64(peer->bulk_epoch_us);
	header->bulk_round = htons(peer->bulk_round);
	header->bulk_records = htonl(peer->bulk_records);
}

// Fills one datagram, as far as `left` places go. False at the end of the tables.
static bool
fill_bulk(struct fwd_worker *worker, struct sync_datagram *datagram, unsigned i, uint32_t *left) {
	uint32_t n_flows = worker->flows.n_flows, n_all = n_flows + worker->flows6.n_flows;
	struct sync_peer *peer = &worker->sync->peer[i];

	for (; *left > 0 && peer->bulk_cursor < n_all; (*left)--, peer->bulk_cursor++) {
		bool ipv6 = peer->bulk_cursor >= n_flows;
		const struct flow_table *table = sync_table(worker, ipv6);
		uint32_t index = ipv6 ? peer->bulk_cursor - n_flows : peer->bulk_cursor;

		if (!is_of_bulk(worker, table, index, i))
			continue;
		if (!has_room(worker->sync, datagram, flow_table_at(table, index)))
			return true;
		add(worker->sync, datagram, flow_table_at(table, index), worker->now_s);
		peer->bulk_records++;
	}
	return peer->bulk_cursor < n_all;
}

static void send_bulk_to(struct fwd_worker *worker, unsigned i, uint32_t *left) {
	struct sync *sync = worker->sync;
	struct sync_datagram *slot;
	bool more = true;

	while (more && *left > 0 && (slot = enqueue(sync, SYNC_CALL_MAX)) != NULL) {
		begin_bulk(sync, slot, i, SYNC_BULK);
		more = fill_bulk(worker, slot, i, left);
		if (slot->length == sizeof(struct sync_header))
			continue;
		finish(sync, slot);
		sync->n_queued++;
	}
}

// The end is told as long as it is asked for.
void sync_send_bulk(struct fwd_worker *worker, uint64_t now_ms) {
	uint32_t n_all = worker->flows.n_flows + worker->flows6.n_flows;
	struct sync *sync = worker->sync;
	uint32_t left = BULK_STEP;

	for (unsigned i = 0; i < sync->base->sync.n_peers; i++) {
		struct sync_peer *peer = &sync->peer[i];
		struct sync_datagram *slot;

		if (!peer->bulk_requested)
			continue;
		if (peer->bulk_cursor < n_all) {
			send_bulk_to(worker, i, &left);
			peer->ended_ms = 0;
			continue;
		}
		slot = enqueue(sync, SYNC_CALL_MAX + 1);
		if (slot == NULL || now_ms - peer->ended_ms < SYNC_HEARTBEAT_MS)
			continue;
		peer->ended_ms = now_ms;
		begin_bulk(sync, slot, i, SYNC_BULK_END);
		finish(sync, slot);
		sync->n_queued++;
	}
}

static void make_headers(
	const struct fwd_worker *worker, unsigned i, uint64_t mac, uint16_t length, uint8_t *frame
) {
	const struct fwd_port *port = &worker->base->ports[0];
	struct ether_header *ether = (struct ether_header *)frame;
	struct ipv4_header *ip = (struct ipv4_header *)(ether + 1);
	struct udp_header *udp = (struct udp_header *)(ip + 1);

	memcpy(ether->dst, &mac, ETHER_ADDR_SIZE);
	memcpy(ether->src, port->mac, ETHER_ADDR_SIZE);
	ether->type = htons(ETHER_TYPE_IPV4);
	*ip = (struct ipv4_header){
		.version_ihl = 0x45,
		.total_length = htons((uint16_t)(sizeof(*ip) + sizeof(*udp) + length)),
		.fragment = htons(IPV4_FLAG_DF),
		.ttl = SYNC_TTL,
		.protocol = IPPROTO_UDP,
		.src = htonl(port->address),
		.dst = htonl(worker->base->sync.peers[i].address),
	};
	ip->checksum = (uint16_t)~checksum_words(ip, sizeof(*ip) / 2);
	// Without a checksum (RFC 768): the tag says more.
	*udp = (struct udp_header){
		.src = htons(worker->base->sync.udp_port),
		.dst = htons(worker->base->sync.udp_port),
		.length = htons((uint16_t)(sizeof(*udp) + length)),
	};
}

unsigned worker_sync_frame(struct fwd_worker *worker, uint8_t *frame) {
	const size_t headers = sizeof(struct ether_header) + sizeof(struct ipv4_header)
		+ sizeof(struct udp_header);
	struct sync *sync = worker->sync;

	while (sync != NULL && sync->taken < sync->n_queued) {
		struct sync_datagram *datagram = &sync->queue[sync->taken];
		uint64_t mac = 0;
		unsigned i;

		if (datagram->to == 0) {
			sync->taken++;
			continue;
		}
		i = (unsigned)__builtin_ctz(datagram->to);
		datagram->to &= (uint16_t)(datagram->to - 1);
		if (sync->peer[i].neighbour != NEIGHBOUR_NONE)
			mac = neighbour_mac(worker->neighbours, sync->peer[i].neighbour);
		if (mac == 0) {
			sync->counters.unresolved++;
			continue;
		}
		make_headers(worker, i, mac, datagram->length, frame);
		memcpy(frame + headers, datagram->bytes, datagram->length);
		sync->counters.datagrams_sent++;
		return vlan_tag(worker->base, 0, frame, (uint16_t)(headers + datagram->length));
	}
	if (sync != NULL)
		sync->n_queued = sync->taken = 0;
	return 0;
}
