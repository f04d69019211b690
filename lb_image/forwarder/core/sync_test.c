// SPDX-License-Identifier: Apache-2.0

// Pods of one LoadBalancer, whose datagrams are carried from one to the other in memory.

#include "core_fixture.h"

#include "peers.h"
#include "siphash.h"

#define PODS_MAX 3
#define BACKEND 0x0af40005u
#define START_MS 1000000ull
#define SWEEP_MS 4400

struct pod {
	struct fwd_base base;
	struct neighbour_table *neighbours;
	struct fwd_worker *worker; // NULL: it is not there
};

struct rig {
	struct pod pods[PODS_MAX];
	struct fwd_config config;
	struct fwd_listener *listener;
	uint64_t now_ms;
	unsigned n_pods;
	unsigned lose; // one of so many datagrams; 0: none
	unsigned carried;
	unsigned bytes;
	uint8_t frame[FWD_FRAME_ROOM];
	uint8_t last[FWD_FRAME_ROOM]; // the last datagram with records
	unsigned last_length;
	struct fwd_packet packet;
};

static uint32_t port_address(unsigned pod) {
	return 0x0a4d000bu + pod;
}

static uint32_t local_address(unsigned pod) {
	return FIXTURE_LOCAL + pod;
}

// The others by ordinal, as the operator writes them.
static void make_base(struct rig *rig, unsigned pod, uint32_t max_flows) {
	struct fwd_base *base = &rig->pods[pod].base;

	*base = fixture_base(max_flows, 1);
	base->ports[0].address = port_address(pod);
	base->ports[0].mac[4] = base->ports[1].mac[4] = (uint8_t)(pod + 1);
	base->local_addresses[0] = local_address(pod);
	base->sync.enabled = true;
	base->sync.ordinal = (uint8_t)pod;
	base->sync.udp_port = 5407;
	memset(base->sync.key, 7, sizeof(base->sync.key));
	for (unsigned i = 0; i < rig->n_pods; i++) {
		if (i == pod)
			continue;
		base->sync.peers[base->sync.n_peers] =
			(struct fwd_peer){(uint8_t)i, port_address(i)};
		base->local_addresses[++base->sync.n_peers] = local_address(i);
	}
}

// The next hops answer, as long as they are asked.
static void learn_next_hops(struct rig *rig, const struct pod *pod) {
	static const uint32_t gateways[] = FIXTURE_GATEWAYS;
	static const uint8_t mac[] = {2, 0xfe, 0, 0, 0, 1};
	uint32_t now_s = (uint32_t)(rig->now_ms / 1000);

	for (uint8_t port = 0; port < 2; port++)
		assert_true(neighbour_learn(pod->neighbours, port, gateways[port], mac, now_s));
	for (unsigned i = 0; i < pod->base.sync.n_peers; i++) {
		const struct fwd_peer *peer = &pod->base.sync.peers[i];
		uint8_t peer_mac[] = {2, 0, 0, 0, (uint8_t)(peer->ordinal + 1), 1};

		neighbour_get(pod->neighbours, 0, peer->address, now_s);
		neighbour_learn(pod->neighbours, 0, peer->address, peer_mac, now_s);
	}
}

static void start_pod(struct rig *rig, unsigned i) {
	struct pod *pod = &rig->pods[i];

	pod->base.sync.epoch_us = rig->now_ms * 1000;
	pod->neighbours = calloc(1, sizeof(*pod->neighbours));
	pod->worker = fixture_worker(&pod->base, pod->neighbours, 0);
	learn_next_hops(rig, pod);
}

static void kill_pod(struct rig *rig, unsigned i) {
	free(rig->pods[i].worker);
	free(rig->pods[i].neighbours);
	rig->pods[i].worker = NULL;
}

static void start(struct rig *rig, unsigned n_pods, uint32_t max_flows, uint8_t protocol) {
	memset(rig, 0, sizeof(*rig));
	rig->now_ms = START_MS;
	rig->n_pods = n_pods;
	rig->listener = fixture_listener(protocol, 2, (uint16_t[]){1, 1});
	rig->config.listeners[0] = rig->listener;
	fwd_config_index(&rig->config);
	for (unsigned i = 0; i < n_pods; i++) {
		make_base(rig, i, max_flows);
		start_pod(rig, i);
	}
}

static void stop(struct rig *rig) {
	for (unsigned i = 0; i < rig->n_pods; i++) {
		if (rig->pods[i].worker != NULL)
			kill_pod(rig, i);
	}
	free(rig->listener);
}

static enum drop_reason
deliver(struct rig *rig, unsigned to, const uint8_t *frame, unsigned length) {
	memcpy(rig->frame, frame, length);
	rig->packet = (struct fwd_packet){.data = rig->frame, .len = (uint16_t)length};
	worker_process(rig->pods[to].worker, &rig->config, &rig->packet, 1, rig->now_ms);
	return rig->packet.drop_reason;
}

static void carry(struct rig *rig, const uint8_t *frame, unsigned length) {
	const struct ipv4_header *ip = (const struct ipv4_header *)(frame + 14);
	unsigned to = ntohl(ip->dst) - port_address(0);

	rig->carried++;
	rig->bytes += length;
	if (length > 14 + 20 + 8 + 48) {
		memcpy(rig->last, frame, length);
		rig->last_length = length;
	}
	if (rig->pods[to].worker == NULL || (rig->lose != 0 && rig->carried % rig->lose == 0))
		return;
	assert_int_equal(deliver(rig, to, frame, length), DROP_NONE);
}

static void run(struct rig *rig, unsigned ms) {
	struct fwd_emit emitted[32];
	uint8_t frame[SYNC_FRAME_MAX];
	unsigned length;

	for (unsigned n = 0; n < ms; n++, rig->now_ms++) {
		for (unsigned i = 0; i < rig->n_pods; i++) {
			struct fwd_worker *worker = rig->pods[i].worker;

			if (worker == NULL)
				continue;
			if (rig->now_ms % 1000 == 0)
				learn_next_hops(rig, &rig->pods[i]);
			worker_housekeeping(worker, &rig->config, rig->now_ms, emitted, 32);
			while ((length = worker_sync_frame(worker, frame)) > 0)
				carry(rig, frame, length);
		}
	}
}

static void
segment(struct rig *rig,
	unsigned pod,
	uint8_t port,
	uint32_t src,
	uint16_t src_port,
	uint32_t dst,
	uint16_t dst_port,
	uint8_t flags) {
	struct fixture f = {.base = rig->pods[pod].base, .listener = rig->listener};

	fixture_frame(&f, port, src, src_port, dst, dst_port, flags);
	memcpy(rig->frame, f.frame, sizeof(f.frame));
	rig->packet = (struct fwd_packet){.data = rig->frame, .len = 60, .port_in = port};
	worker_process(rig->pods[pod].worker, &rig->config, &rig->packet, 1, rig->now_ms);
}

static void from_client(struct rig *rig, unsigned pod, uint16_t port, uint8_t flags) {
	segment(rig, pod, 0, FIXTURE_CLIENT, port, FIXTURE_VIP, 80, flags);
}

// The ends of the packet that the last call sent on.
static struct flow_key sent(const struct rig *rig) {
	const struct ipv4_header *ip = (const struct ipv4_header *)(rig->frame + 14);
	const struct udp_header *ports = (const struct udp_header *)(ip + 1);

	assert_int_equal(rig->packet.verdict, FWD_TX);
	return (struct flow_key){ip->src, ip->dst, ports->src, ports->dst, ip->protocol};
}

// Makes an established connection at a pod; what its backend sees.
static struct flow_key connect_at(struct rig *rig, unsigned pod, uint16_t port) {
	struct flow_key seen;

	from_client(rig, pod, port, TCP_SYN);
	seen = sent(rig);
	segment(rig,
		pod,
		1,
		ntohl(seen.vip),
		8080,
		ntohl(seen.client_address),
		ntohs(seen.client_port),
		TCP_SYN | TCP_ACK);
	assert_int_equal(rig->packet.verdict, FWD_TX);
	from_client(rig, pod, port, TCP_ACK);
	return seen;
}

static void reply(struct rig *rig, unsigned pod, const struct flow_key *seen, uint8_t flags) {
	segment(rig,
		pod,
		1,
		ntohl(seen->vip),
		ntohs(seen->vip_port),
		ntohl(seen->client_address),
		ntohs(seen->client_port),
		flags);
}

// A client's segment at this pod goes as at the pod where it began, and so does the reply.
static void
assert_forwarded(struct rig *rig, unsigned pod, uint16_t port, const struct flow_key *seen) {
	struct flow_key now;

	from_client(rig, pod, port, TCP_ACK);
	now = sent(rig);
	assert_memory_equal(&now, seen, offsetof(struct flow_key, protocol));
	reply(rig, pod, seen, TCP_ACK);
	now = sent(rig);
	assert_int_equal(ntohl(now.client_address), FIXTURE_VIP);
	assert_int_equal(ntohs(now.vip_port), port);
}

static const struct flow_table *flows_of(const struct rig *rig, unsigned pod) {
	return &rig->pods[pod].worker->flows;
}

static const struct sync *sync_of(const struct rig *rig, unsigned pod) {
	return rig->pods[pod].worker->sync;
}

static struct flow *only_flow(const struct rig *rig, unsigned pod) {
	const struct flow_table *table = flows_of(rig, pod);
	struct flow *found = NULL;

	for (uint32_t i = 0; i < table->n_flows; i++) {
		if (table->flows[i].state == FLOW_FREE)
			continue;
		assert_null(found);
		found = &table->flows[i];
	}
	return found;
}

// Two that start side by side have nothing to tell each other, and are complete when they have said so.
static void two_pods_join(void **state) {
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	from_client(&rig, 0, 30000, TCP_SYN);
	assert_int_equal(rig.packet.drop_reason, DROP_SYNC_JOINING);
	from_client(&rig, 0, 30000, TCP_ACK);
	assert_int_equal(rig.packet.drop_reason, DROP_SYNC_JOINING);
	assert_int_equal(rig.packet.verdict, FWD_DROP);
	run(&rig, 500);
	for (unsigned i = 0; i < 2; i++)
		assert_true(sync_is_complete(sync_of(&rig, i)));
	connect_at(&rig, 0, 30000);
	stop(&rig);
}

static void a_pod_alone_is_complete_after_a_while(void **state) {
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	kill_pod(&rig, 1);
	run(&rig, 1900);
	assert_false(sync_is_complete(sync_of(&rig, 0)));
	run(&rig, 200);
	assert_true(sync_is_complete(sync_of(&rig, 0)));
	stop(&rig);
}

static void any_pod_forwards_both_directions(void **state) {
	struct flow_key seen;
	struct rig rig;

	(void)state;
	start(&rig, 3, 1024, IPPROTO_TCP);
	run(&rig, 500);
	seen = connect_at(&rig, 0, 30000);
	assert_int_equal(ntohl(seen.client_address), local_address(0));
	run(&rig, SWEEP_MS);
	assert_forwarded(&rig, 1, 30000, &seen);
	assert_forwarded(&rig, 2, 30000, &seen);
	assert_forwarded(&rig, 0, 30000, &seen);
	assert_int_equal(flows_of(&rig, 1)->active, 0);
	assert_int_equal(flows_of(&rig, 1)->foreign, 1);
	assert_int_equal(rig.pods[1].worker->counters.listeners[0].active_flows, 0);
	assert_int_equal(rig.pods[1].worker->counters.listeners[0].packets_in, 1);
	stop(&rig);
}

// Each end's FIN may pass another pod.
static void an_end_that_two_pods_saw_half_of_is_one(void **state) {
	struct flow_key seen;
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	run(&rig, 500);
	seen = connect_at(&rig, 0, 30000);
	run(&rig, SWEEP_MS);
	from_client(&rig, 1, 30000, TCP_FIN | TCP_ACK);
	reply(&rig, 0, &seen, TCP_FIN | TCP_ACK);
	run(&rig, 2 * SWEEP_MS);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(only_flow(&rig, i)->state, FLOW_TCP_CLOSED);
	assert_int_equal(rig.pods[0].worker->counters.listeners[0].closed_flows, 1);
	run(&rig, (50 + SYNC_GRACE_S + 10) * 1000);
	for (unsigned i = 0; i < 2; i++)
		assert_null(only_flow(&rig, i));
	assert_int_equal(rig.pods[0].worker->counters.listeners[0].active_flows, 0);
	assert_int_equal(rig.pods[0].worker->counters.listeners[0].closed_flows, 0);
	stop(&rig);
}

// Where the owner sees one direction only, the other pod's news keep its flow.
static void use_at_a_peer_keeps_the_flow(void **state) {
	struct flow_key seen;
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	rig.listener->timeouts.established_s = 60;
	run(&rig, 500);
	seen = connect_at(&rig, 0, 30000);
	run(&rig, SWEEP_MS);
	for (unsigned n = 0; n < 10; n++) {
		from_client(&rig, 1, 30000, TCP_ACK);
		assert_int_equal(rig.packet.verdict, FWD_TX);
		run(&rig, 10000);
	}
	assert_forwarded(&rig, 0, 30000, &seen);
	stop(&rig);
}

// A process that comes back without its flows gets them from the peers, before it gives out a place that is taken.
static void a_newcomer_gets_its_own_flows_and_those_of_others(void **state) {
	struct flow_key own[200], other;
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	run(&rig, 500);
	for (uint16_t n = 0; n < 200; n++)
		own[n] = connect_at(&rig, 0, (uint16_t)(30000 + n));
	other = connect_at(&rig, 1, 20000);
	run(&rig, 2 * SWEEP_MS);
	kill_pod(&rig, 0);
	run(&rig, 1000);
	start_pod(&rig, 0);
	run(&rig, 310);
	assert_true(sync_is_complete(sync_of(&rig, 0)));
	assert_int_equal(flows_of(&rig, 0)->active, 200);
	assert_int_equal(flows_of(&rig, 0)->foreign, 1);
	assert_int_equal(rig.pods[0].worker->counters.listeners[0].active_flows, 200);
	for (uint16_t n = 0; n < 200; n++)
		assert_forwarded(&rig, 0, (uint16_t)(30000 + n), &own[n]);
	assert_forwarded(&rig, 0, 20000, &other);
	for (uint16_t n = 0; n < 300; n++) {
		struct flow_key fresh = connect_at(&rig, 0, (uint16_t)(31000 + n));

		for (uint16_t i = 0; i < 200; i++)
			assert_false(
				fresh.vip == own[i].vip && fresh.client_port == own[i].client_port
			);
	}
	stop(&rig);
}

// What is lost of the bulk is asked for again, what is lost of the rest is told again.
static void lost_datagrams_are_made_good(void **state) {
	struct flow_key own[200];
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	run(&rig, 500);
	for (uint16_t n = 0; n < 200; n++)
		own[n] = connect_at(&rig, 0, (uint16_t)(30000 + n));
	rig.lose = 3;
	run(&rig, 60000);
	assert_int_equal(flows_of(&rig, 1)->foreign, 200);
	kill_pod(&rig, 0);
	rig.lose = 4;
	start_pod(&rig, 0);
	run(&rig, 1500);
	assert_true(sync_is_complete(sync_of(&rig, 0)));
	assert_int_equal(flows_of(&rig, 0)->active, 200);
	assert_forwarded(&rig, 0, 30199, &own[199]);
	stop(&rig);
}

// The peer's flow that lay there has ended unheard.
static void another_flow_at_the_place_replaces_the_one_before(void **state) {
	struct flow_key first, second;
	struct rig rig;
	struct flow *flow;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	run(&rig, 500);
	first = connect_at(&rig, 0, 30000);
	run(&rig, SWEEP_MS);
	flow = only_flow(&rig, 0);
	worker_housekeeping(rig.pods[0].worker, &rig.config, rig.now_ms, NULL, 0);
	flow->client_port = htons(30001);
	flow->synced_state = FLOW_FREE;
	flow_table_hash(flows_of(&rig, 0), flow);
	run(&rig, SWEEP_MS);
	assert_int_equal(flows_of(&rig, 1)->foreign, 1);
	from_client(&rig, 1, 30000, TCP_ACK);
	assert_int_equal(rig.packet.drop_reason, DROP_NO_FLOW);
	from_client(&rig, 1, 30001, TCP_ACK);
	second = sent(&rig);
	assert_int_equal(first.client_port, second.client_port);
	stop(&rig);
}

// The client's SYN came to another pod before that knew of the connection: each keeps its own.
static void a_flow_of_our_own_stays(void **state) {
	struct flow_key at_0, at_1;
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	run(&rig, 500);
	at_0 = connect_at(&rig, 0, 30000);
	at_1 = connect_at(&rig, 1, 30000);
	run(&rig, SWEEP_MS);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(flows_of(&rig, i)->foreign, 0);
		assert_true(sync_of(&rig, i)->counters.records_refused[SYNC_REFUSAL_OWN] > 0);
	}
	assert_forwarded(&rig, 0, 30000, &at_0);
	assert_forwarded(&rig, 1, 30000, &at_1);
	stop(&rig);
}

static uint8_t *payload_of(uint8_t *frame) {
	return frame + 14 + 20 + 8;
}

static void tag_again(const struct rig *rig, uint8_t *frame, unsigned length) {
	unsigned signed_length = length - 14 - 20 - 8 - 8;
	uint64_t tag = siphash(rig->pods[0].base.sync.key, payload_of(frame), signed_length);

	memcpy(payload_of(frame) + signed_length, &tag, sizeof(tag));
}

static void forged_and_replayed_datagrams_are_refused(void **state) {
	struct sync_header *header;
	uint8_t forged[FWD_FRAME_ROOM];
	struct ipv4_header *ip = (struct ipv4_header *)(forged + 14);
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	run(&rig, 500);
	connect_at(&rig, 0, 30000);
	run(&rig, SWEEP_MS);
	assert_int_equal(flows_of(&rig, 1)->foreign, 1);
	header = (struct sync_header *)payload_of(forged);
	assert_int_equal(deliver(&rig, 1, rig.last, rig.last_length), DROP_SYNC_REPLAYED);
	memcpy(forged, rig.last, sizeof(forged));
	header->sequence = UINT64_MAX;
	assert_int_equal(deliver(&rig, 1, forged, rig.last_length), DROP_SYNC_BAD_TAG);
	header->epoch_us = 0;
	tag_again(&rig, forged, rig.last_length);
	assert_int_equal(deliver(&rig, 1, forged, rig.last_length), DROP_SYNC_REPLAYED);
	header->sender = 5;
	assert_int_equal(deliver(&rig, 1, forged, rig.last_length), DROP_SYNC_UNKNOWN_PEER);
	header->sender = 0;
	ip->ttl--;
	ip->checksum = 0;
	ip->checksum = (uint16_t)~checksum_words(ip, 10);
	assert_int_equal(deliver(&rig, 1, forged, rig.last_length), DROP_SYNC_UNKNOWN_PEER);
	header->count = htons(2);
	assert_int_equal(deliver(&rig, 1, forged, rig.last_length), DROP_SYNC_MALFORMED);
	header->version++;
	assert_int_equal(deliver(&rig, 1, forged, rig.last_length), DROP_SYNC_MALFORMED);
	stop(&rig);
}

// Authentic, and yet nothing that a forwarder writes.
static void unsound_records_are_refused(void **state) {
	struct sync_header *header;
	struct sync_record4 *record;
	uint8_t frame[FWD_FRAME_ROOM];
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	run(&rig, 500);
	connect_at(&rig, 0, 30000);
	run(&rig, SWEEP_MS);
	memcpy(frame, rig.last, sizeof(frame));
	header = (struct sync_header *)payload_of(frame);
	record = (struct sync_record4 *)(header + 1);
	for (unsigned n = 0; n < 5; n++) {
		static const enum sync_refusal whys[] = {
			SYNC_REFUSAL_UNKNOWN,
			SYNC_REFUSAL_OWN,
			SYNC_REFUSAL_NO_LISTENER,
			SYNC_REFUSAL_IDLE,
			SYNC_REFUSAL_MALFORMED,
		};
		uint64_t before = sync_of(&rig, 1)->counters.records_refused[whys[n]];

		record->local_address = htonl(local_address(n == 0 ? 7 : n == 1 ? 1 : 0));
		record->vip = htonl(n == 2 ? 1 : FIXTURE_VIP);
		record->common.client_port = htons((uint16_t)(40000 + n));
		record->common.age_s = record->common.idle_s = htonl(n == 3 ? 999 : 0);
		record->common.state = n == 4 ? FLOW_TCP_SYN : FLOW_TCP_ESTABLISHED;
		header->sequence = ~(uint64_t)0 - htobe64(100 - n);
		tag_again(&rig, frame, rig.last_length);
		assert_int_equal(deliver(&rig, 1, frame, rig.last_length), DROP_NONE);
		assert_int_equal(sync_of(&rig, 1)->counters.records_refused[whys[n]], before + 1);
	}
	stop(&rig);
}

// What ends at once is told to nobody.
static void datagrams_of_one_moment_are_not_told_of(void **state) {
	struct flow_key seen;
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_UDP);
	run(&rig, 500);
	from_client(&rig, 0, 30000, 0);
	seen = sent(&rig);
	run(&rig, SWEEP_MS);
	assert_int_equal(flows_of(&rig, 1)->foreign, 0);
	reply(&rig, 0, &seen, 0);
	run(&rig, SWEEP_MS);
	assert_int_equal(flows_of(&rig, 1)->foreign, 1);
	stop(&rig);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_pods_join),
		cmocka_unit_test(a_pod_alone_is_complete_after_a_while),
		cmocka_unit_test(any_pod_forwards_both_directions),
		cmocka_unit_test(an_end_that_two_pods_saw_half_of_is_one),
		cmocka_unit_test(use_at_a_peer_keeps_the_flow),
		cmocka_unit_test(a_newcomer_gets_its_own_flows_and_those_of_others),
		cmocka_unit_test(lost_datagrams_are_made_good),
		cmocka_unit_test(another_flow_at_the_place_replaces_the_one_before),
		cmocka_unit_test(a_flow_of_our_own_stays),
		cmocka_unit_test(forged_and_replayed_datagrams_are_refused),
		cmocka_unit_test(unsound_records_are_refused),
		cmocka_unit_test(datagrams_of_one_moment_are_not_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
