// SPDX-License-Identifier: Apache-2.0

#include "sync_fixture.h"

#include "siphash.h"

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

// It has its own flows, and serves; those of the others it has too, and asks what is new.
static void a_restart_in_place_serves_and_asks(void **state) {
	struct flow_key at_0, at_1;
	struct adoption adoption;
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	run(&rig, 500);
	at_0 = connect_at(&rig, 0, 30000);
	at_1 = connect_at(&rig, 1, 30001);
	run(&rig, SWEEP_MS);
	adoption = restart_in_place(&rig, 1);
	assert_int_equal(adoption.adopted, 2);
	assert_true(sync_is_complete(sync_of(&rig, 1)));
	assert_int_equal(sync_of(&rig, 1)->round, 1);
	assert_int_equal(flows_of(&rig, 1)->active, 1);
	assert_int_equal(flows_of(&rig, 1)->foreign, 1);
	assert_int_equal(rig.pods[1].worker->counters.listeners[0].active_flows, 1);
	assert_forwarded(&rig, 1, 30000, &at_0);
	assert_forwarded(&rig, 1, 30001, &at_1);
	run(&rig, 500);
	assert_int_equal(sync_of(&rig, 1)->round, 0);
	stop(&rig);
}

// No peer tells of such a one: it was never counted among the half-open, and must not be when it gets on.
static void a_foreign_flow_that_is_half_open_is_damaged(void **state) {
	struct adoption adoption;
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	run(&rig, 500);
	connect_at(&rig, 0, 30000);
	run(&rig, SWEEP_MS);
	only_flow(&rig, 1)->state = FLOW_TCP_SYN_ACK;
	adoption = restart_in_place(&rig, 1);
	assert_int_equal(adoption.damaged, 1);
	assert_int_equal(flows_of(&rig, 1)->foreign, 0);
	from_client(&rig, 1, 30000, TCP_ACK);
	assert_int_equal(rig.pods[1].worker->half_open[0].live, 0);
	stop(&rig);
}

// The clock of its node was set back while it was gone.
static void a_peer_of_an_older_epoch_is_heard_after_a_while(void **state) {
	struct rig rig;

	(void)state;
	start(&rig, 2, 1024, IPPROTO_TCP);
	run(&rig, 500);
	kill_pod(&rig, 0);
	start_pod(&rig, 0);
	((struct sync *)sync_of(&rig, 0))->epoch_us = 1;
	rig.refusals_are_fine = true;
	run(&rig, 9000);
	assert_false(peers_alive(&rig.pods[1].worker->group->peers, 0, rig.now_ms));
	run(&rig, 1100);
	assert_true(peers_alive(&rig.pods[1].worker->group->peers, 0, rig.now_ms));
	assert_int_equal(peers_epoch(&rig.pods[1].worker->group->peers, 0), 1);
	stop(&rig);
}

static struct ipv6_address address6(uint64_t low) {
	return ipv6_make(0x20010db800770000u, low);
}

// Pods of both families, all on the link, and a listener of IPv6.
static struct fwd_listener *start_dual(struct rig *rig) {
	struct fwd_listener *listener6 = fixture_listener(IPPROTO_TCP, 1, (uint16_t[]){1});

	start(rig, 2, 1024, IPPROTO_TCP);
	listener6->ipv6 = true;
	listener6->vip6 = address6(0x10);
	listener6->index = 1;
	listener6->backends[0].address6 = address6(0x55);
	rig->config.listeners[1] = listener6;
	fwd_config_index(&rig->config);
	for (unsigned i = 0; i < 2; i++) {
		struct fwd_base *base = &rig->pods[i].base;

		base->n_local_addresses6 = 1;
		base->local_addresses6[0] = address6(0x100 + i);
		base->local_addresses6[1] = address6(0x100 + 1 - i);
		base->ports[0].address6 = address6(0xb + i);
		base->ports[0].prefix_length6 = 64;
		kill_pod(rig, i);
		start_pod(rig, i);
	}
	return listener6;
}

static const struct flow6 *make_flow6(struct rig *rig, unsigned pod) {
	struct flow_table *table = &rig->pods[pod].worker->flows6;
	struct ipv6_address backend = address6(0x55);
	uint32_t index = flow_table_take6(table, &backend, htons(8080)), local;
	struct flow6 *flow = &table->flows6[index];
	uint16_t port;

	flow_table_place(table, index, &local, &port);
	*flow = (struct flow6){
		.flow =
			{.client_port = htons(30000),
			 .vip_port = htons(80),
			 .local_port = htons(port),
			 .backend_port = htons(8080),
			 .protocol = IPPROTO_TCP,
			 .state = FLOW_TCP_ESTABLISHED,
			 .ipv6 = true,
			 .listener = 1,
			 .last_seen_s = (uint32_t)(rig->now_ms / 1000),
			 .created_s = (uint32_t)(rig->now_ms / 1000) - 7,
			 .idle_timeout_s = 900},
		.client_address = address6(0xc),
		.vip = address6(0x10),
		.local_address = address6(0x100 + pod),
		.backend_address = backend,
	};
	flow_table_hash(table, &flow->flow);
	assert_true(flow_table_insert(table, index));
	return flow;
}

static void flows_of_ipv6_are_told_of_too(void **state) {
	const struct flow6 *made, *told;
	struct flow_table *table;
	struct fwd_listener *listener6;
	struct flow6 before;
	struct rig rig;

	(void)state;
	listener6 = start_dual(&rig);
	run(&rig, 500);
	made = make_flow6(&rig, 0);
	before = *made;
	run(&rig, 2 * SWEEP_MS);
	table = &rig.pods[1].worker->flows6;
	assert_int_equal(table->foreign, 1);
	for (told = table->flows6; told->flow.state == FLOW_FREE;)
		told++;
	assert_memory_equal(
		&told->client_address,
		&before.client_address,
		sizeof(before) - offsetof(struct flow6, client_address)
	);
	assert_int_equal(told->flow.local_port, before.flow.local_port);
	assert_int_equal(told->flow.backend_port, before.flow.backend_port);
	assert_int_equal(told->flow.created_s, before.flow.created_s);
	kill_pod(&rig, 0);
	start_pod(&rig, 0);
	run(&rig, 400);
	assert_int_equal(rig.pods[0].worker->flows6.active, 1);
	assert_int_equal(rig.pods[0].worker->counters.listeners[1].active_flows, 1);
	stop(&rig);
	free(listener6);
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
		cmocka_unit_test(flows_of_ipv6_are_told_of_too),
		cmocka_unit_test(a_restart_in_place_serves_and_asks),
		cmocka_unit_test(a_foreign_flow_that_is_half_open_is_damaged),
		cmocka_unit_test(a_peer_of_an_older_epoch_is_heard_after_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
