// SPDX-License-Identifier: Apache-2.0

// What the peers tell. A datagram is believed when its tag fits, and is younger than all that were heard of its sender before.

#include "sync_internal.h"

#include "siphash.h"
#include "tcp_state.h"

#include <endian.h>
#include <string.h>

struct receiver {
	struct fwd_worker *worker;
	const struct fwd_config *config;
	struct flow_table *table;
	struct flow6 record; // as a flow; of IPv4 the first line
	uint32_t index;      // its place
};

// Each side may have seen one direction of the connection.
static enum flow_state merge(enum flow_state a, enum flow_state b) {
	if ((a == FLOW_TCP_FIN_CLIENT && b == FLOW_TCP_FIN_BACKEND)
	    || (a == FLOW_TCP_FIN_BACKEND && b == FLOW_TCP_FIN_CLIENT))
		return FLOW_TCP_CLOSED;
	return a > b ? a : b;
}

static bool has_key_of(const struct receiver *r, const struct flow *flow) {
	const struct flow6 *flow6 = (const struct flow6 *)flow;
	const struct flow_key6 key6 = flow6_key(&r->record);
	const struct flow_key key = flow_key(&r->record.flow);

	if (flow->backend_port != r->record.flow.backend_port)
		return false;
	if (r->table->ipv6)
		return flow6_matches(flow6, &key6)
			&& ipv6_equal(&flow6->backend_address, &r->record.backend_address);
	return flow_matches(flow, &key) && flow->backend_address == r->record.flow.backend_address;
}

static uint32_t place_with_key(const struct receiver *r) {
	const struct flow_key6 key6 = flow6_key(&r->record);
	const struct flow_key key = flow_key(&r->record.flow);

	return r->table->ipv6 ? flow_table_find6(r->table, &key6, r->record.flow.hash)
			      : flow_table_find(r->table, &key, r->record.flow.hash);
}

// False when no local address of ours or of a peer has such a place.
static bool find_place(struct receiver *r) {
	const struct flow *flow = &r->record.flow;
	const struct own_address *own = r->table->ipv6
		? own_address6_find(r->worker, &r->record.local_address)
		: own_address_find(r->worker, flow->local_address);
	uint32_t backend = flow->backend_address;

	if (own == NULL || own->local_index == FWD_NO_SLOT)
		return false;
	if (r->table->ipv6)
		backend = flow_bank_number(r->table, &r->record.backend_address);
	r->index = flow_table_reply_index(
		r->table, own->local_index, flow->local_port, backend, flow->backend_port
	);
	return r->index != FLOW_NONE;
}

static void set_timeout(const struct receiver *r, struct flow *flow) {
	const struct fwd_listener *listener = r->config->listeners[flow->listener];

	if (listener != NULL)
		flow->idle_timeout_s = flow_idle_timeout_s(&listener->timeouts, flow->state)
			+ (flow->is_foreign ? SYNC_GRACE_S : 0);
}

// News of a flow that is known.
static void update(const struct receiver *r, struct flow *flow) {
	const struct flow *record = &r->record.flow;
	enum flow_state merged = merge(flow->state, record->state);

	flow->synced_state = record->state & 7;
	// Who has seen it later has yet to tell.
	if (record->last_seen_s >= flow->last_seen_s) {
		flow->last_seen_s = record->last_seen_s;
		flow->synced_s = r->worker->now_s;
	}
	if (flow_is_half_open(flow) || merged == flow->state)
		return;
	flow->state = (uint8_t)merged;
	if (merged == FLOW_TCP_CLOSED)
		worker_count_close(r->worker, flow);
	set_timeout(r, flow);
}

// A client may use its port again and get the same place: then both have one key, but not one life.
static bool is_before(const struct flow *flow, const struct flow *other) {
	return other->untold == FWD_CLIENT_ADDRESS_NONE && flow->last_seen_s < other->created_s;
}

static uint32_t hint_of(const struct receiver *r, const struct fwd_listener *listener) {
	uint32_t address = r->table->ipv6 ? ipv6_fold(&r->record.backend_address)
					  : r->record.flow.backend_address;

	return (uint32_t)flow_mix(
		       address ^ (uint64_t)listener->index << 32,
		       0x9e3779b97f4a7c15u ^ r->record.flow.backend_port
	       ) % SYNC_HINTS;
}

static bool is_backend(const struct receiver *r, const struct fwd_backend *backend) {
	return htons(backend->port) == r->record.flow.backend_port
		&& (r->table->ipv6 ? ipv6_equal(&backend->address6, &r->record.backend_address)
				   : htonl(backend->address) == r->record.flow.backend_address);
}

// Most records are of few backends: where one was, it is looked for first.
static const struct fwd_backend *
find_backend(const struct receiver *r, const struct fwd_listener *listener) {
	uint16_t *hint = &r->worker->sync->hints[hint_of(r, listener)];

	if (*hint < listener->n_backends && is_backend(r, &listener->backends[*hint]))
		return &listener->backends[*hint];
	for (uint32_t i = 0; i < listener->n_backends; i++) {
		if (!is_backend(r, &listener->backends[i]))
			continue;
		*hint = (uint16_t)i;
		return &listener->backends[i];
	}
	return NULL;
}

static const struct fwd_listener *find_listener(const struct receiver *r) {
	const struct flow *flow = &r->record.flow;
	uint16_t port = ntohs(flow->vip_port), slot;

	slot = r->table->ipv6
		? fwd_config_lookup6(r->config, &r->record.vip, port, flow->protocol)
		: fwd_config_lookup(r->config, ntohl(flow->vip), port, flow->protocol);
	return slot == FWD_NO_SLOT ? NULL : r->config->listeners[slot];
}

// What this process knows of the flow's listener, backend and ways.
static bool fill(struct receiver *r, enum sync_refusal *why) {
	const struct fwd_listener *listener = find_listener(r);
	struct flow *flow = &r->record.flow;
	const struct fwd_backend *backend;
	enum drop_reason reason;

	*why = SYNC_REFUSAL_NO_LISTENER;
	if (listener == NULL)
		return false;
	backend = find_backend(r, listener);
	if (backend == NULL && listener->reset_removed)
		return false;
	flow->listener = listener->index;
	flow->backend_slot = backend != NULL ? backend->slot : FWD_GONE_BACKEND;
	flow->is_foreign = !flow_table_is_own(r->table, r->index);
	set_timeout(r, flow);
	*why = SYNC_REFUSAL_IDLE;
	if (r->worker->now_s - flow->last_seen_s >= flow->idle_timeout_s)
		return false;
	*why = SYNC_REFUSAL_NO_ROOM;
	if (!flow_table_has_room(r->table, r->index)
	    || !flow_find_next_hops(r->worker, flow, &reason))
		return false;
	flow_fill_deltas(flow);
	return true;
}

static void end(const struct receiver *r, uint32_t index) {
	worker_count_end(r->worker, flow_table_at(r->table, index));
	flow_table_delete(r->table, index);
}

static bool insert(struct receiver *r, enum sync_refusal *why) {
	struct flow *flow = flow_table_at(r->table, r->index);
	uint8_t state = r->record.flow.state;
	size_t size = r->table->ipv6 ? sizeof(struct flow6) : sizeof(struct flow);

	if (!fill(r, why))
		return false;
	// As where flows begin: the state comes last, for a process after this one.
	r->record.flow.state = FLOW_FREE;
	memcpy(flow, &r->record, size);
	atomic_signal_fence(memory_order_release);
	flow->state = state;
	if (!flow_table_insert(r->table, r->index)) {
		*why = SYNC_REFUSAL_NO_ROOM;
		flow_table_release(r->table, r->index);
		return false;
	}
	if (!flow->is_foreign)
		worker_count_again(r->worker, r->config, flow);
	return true;
}

// A flow that lies at the place, or has the key at another place. False when it is one of ours that lives.
static bool make_way(const struct receiver *r, uint32_t index) {
	const struct flow *there = flow_table_at(r->table, index);

	if (!there->is_foreign && there->state != FLOW_TCP_CLOSED
	    && sync_is_complete(r->worker->sync))
		return false;
	end(r, index);
	return true;
}

static bool apply(struct receiver *r, enum sync_refusal *why) {
	struct flow *there;
	uint32_t other;

	*why = SYNC_REFUSAL_UNKNOWN;
	if (!find_place(r))
		return false;
	there = flow_table_at(r->table, r->index);
	*why = SYNC_REFUSAL_OWN;
	if (there->state != FLOW_FREE && has_key_of(r, there)) {
		if (is_before(&r->record.flow, there))
			return false;
		if (!there->is_foreign || !is_before(there, &r->record.flow)) {
			update(r, there);
			return true;
		}
	}
	// A free place of ours is in a free list, if they are made already.
	if (flow_table_is_own(r->table, r->index) && sync_is_complete(r->worker->sync))
		return false;
	if (there->state != FLOW_FREE)
		end(r, r->index);
	if (r->table->ipv6) {
		const struct flow_key6 key6 = flow6_key(&r->record);

		r->record.flow.client_address = scheduler_key6(&key6).client_address;
	}
	flow_table_hash(r->table, &r->record.flow);
	other = place_with_key(r);
	return (other == FLOW_NONE || make_way(r, other)) && insert(r, why);
}

static void take_records(
	struct fwd_worker *worker, const struct fwd_config *config, const struct sync_header *header
) {
	struct sync_counters *counters = &worker->sync->counters;
	bool ipv6 = header->family == 6;
	const uint8_t *at = (const uint8_t *)(header + 1);

	for (unsigned i = 0; i < ntohs(header->count); i++, at += sync_record_size(ipv6)) {
		struct receiver r = {
			worker, config, sync_table(worker, ipv6), {.flow.state = 0}, 0};
		enum sync_refusal why = SYNC_REFUSAL_MALFORMED;

		if (sync_record_read(at, ipv6, worker->now_s, &r.record) && apply(&r, &why))
			counters->records_received++;
		else
			counters->records_refused[why]++;
	}
}

// Its wishes, and what it says of ours.
static void
take_flags(struct sync *sync, struct sync_peer *peer, const struct sync_header *header) {
	uint64_t epoch_us = be64toh(header->epoch_us);
	bool for_us = be64toh(header->bulk_epoch_us) == sync->epoch_us && sync->round != 0
		&& ntohs(header->bulk_round) == sync->round;
	bool of_bulk = header->flags & (SYNC_BULK | SYNC_BULK_END);
	uint16_t round = ntohs(header->bulk_round);

	peer->bulk_requested = header->flags & SYNC_BULK_REQUEST;
	if (peer->bulk_requested && !of_bulk
	    && (peer->bulk_epoch_us != epoch_us || peer->bulk_round != round)) {
		peer->bulk_epoch_us = epoch_us;
		peer->bulk_round = round;
		peer->bulk_cursor = peer->bulk_records = 0;
	}
	if (!for_us || !of_bulk)
		return;
	if (header->flags & SYNC_BULK)
		peer->received += ntohs(header->count);
	if (!(header->flags & SYNC_BULK_END) || peer->told_round != 0)
		return;
	if (peer->received >= ntohl(header->bulk_records) || sync->round >= SYNC_ROUNDS_MAX) {
		peer->told_round = sync->round;
		return;
	}
	// Some were lost: once more, from all that have not told all.
	sync->round++;
	for (unsigned i = 0; i < sync->base->sync.n_peers; i++)
		sync->peer[i].received = 0;
}

// Index of the peer that a datagram says it is of, or FWD_MAX_PEERS.
static unsigned
find_sender(const struct fwd_base *base, const struct packet_view *view, uint8_t ordinal) {
	for (unsigned i = 0; i < base->sync.n_peers; i++) {
		if (base->sync.peers[i].ordinal == ordinal)
			return htonl(base->sync.peers[i].address) == view->ip->src ? i
										   : FWD_MAX_PEERS;
	}
	return FWD_MAX_PEERS;
}

static bool is_well_formed(const struct sync_header *header, size_t length) {
	size_t records;

	if (length < sizeof(*header) + SYNC_TAG_SIZE || header->magic != htonl(SYNC_MAGIC)
	    || header->version != SYNC_VERSION)
		return false;
	if (header->family == 0)
		records = 0;
	else if (header->family == 4 || header->family == 6)
		records = ntohs(header->count) * sync_record_size(header->family == 6);
	else
		return false;
	return (header->family != 0 || header->count == 0)
		&& length == sizeof(*header) + records + SYNC_TAG_SIZE;
}

static bool is_authentic(const struct sync *sync, const struct sync_header *header, size_t length) {
	const uint8_t *bytes = (const uint8_t *)header;
	uint64_t tag;

	memcpy(&tag, bytes + length - sizeof(tag), sizeof(tag));
	return le64toh(tag) == siphash(sync->base->sync.key, bytes, length - sizeof(tag));
}

static enum drop_reason
check(const struct fwd_worker *worker, const struct packet_view *view, unsigned *sender) {
	const struct udp_header *udp = view->l4;
	const struct sync_header *header = (const struct sync_header *)(udp + 1);
	size_t length = ntohs(udp->length) - sizeof(*udp);
	struct sync *sync = worker->sync;
	uint64_t epoch_us, known_us;

	if (!is_well_formed(header, length))
		return DROP_SYNC_MALFORMED;
	*sender = find_sender(sync->base, view, header->sender);
	if (*sender == FWD_MAX_PEERS || view->ip->ttl != SYNC_TTL)
		return DROP_SYNC_UNKNOWN_PEER;
	if (!is_authentic(sync, header, length))
		return DROP_SYNC_BAD_TAG;
	epoch_us = be64toh(header->epoch_us);
	known_us = peers_epoch(sync->peers, header->sender);
	if (!peers_take_epoch(sync->peers, header->sender, epoch_us, worker->now_ms)
	    || (epoch_us == known_us && be64toh(header->sequence) <= sync->peer[*sender].sequence))
		return DROP_SYNC_REPLAYED;
	return DROP_NONE;
}

bool sync_handle(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view
) {
	const struct udp_header *udp = view->l4;
	const struct sync_header *header = (const struct sync_header *)(udp + 1);
	struct sync *sync = worker->sync;
	enum drop_reason reason;
	struct sync_peer *peer;
	unsigned sender;

	if (sync == NULL || view->ip->protocol != IPPROTO_UDP
	    || udp->dst != htons(sync->base->sync.udp_port)
	    || view->ip->dst != htonl(sync->base->ports[0].address))
		return false;
	reason = check(worker, view, &sender);
	if (reason != DROP_NONE) {
		packet_drop(packet, reason);
		return true;
	}
	packet_consume(packet);
	peer = &sync->peer[sender];
	if (be64toh(header->epoch_us) != peers_epoch(sync->peers, header->sender))
		peer->received = peer->told_round = 0;
	peers_hear(
		sync->peers,
		header->sender,
		be64toh(header->epoch_us),
		header->flags,
		worker->now_ms
	);
	peer->sequence = be64toh(header->sequence);
	sync->counters.datagrams_received++;
	take_flags(sync, peer, header);
	take_records(worker, config, header);
	return true;
}
