// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

#define BACKEND 0x0af40005u

static struct fwd_base base;
static struct flow_table table;
static void *memory;

static void make_table(uint32_t max_flows) {
	base = fixture_base(max_flows, 1);
	free(memory);
	memory = fixture_table(&table, &base, false, 0);
}

static int tear_down(void **state) {
	(void)state;
	free(memory);
	memory = NULL;
	return 0;
}

static struct flow_key key_of(uint32_t n) {
	return (struct flow_key){
		.client_address = htonl(FIXTURE_CLIENT + n / 64),
		.client_port = htons((uint16_t)(20000 + n % 64 * 7)),
		.vip = htonl(FIXTURE_VIP),
		.vip_port = htons(80),
		.protocol = IPPROTO_UDP,
	};
}

// Makes flow `n` with a chosen hash; returns its place.
static uint32_t add_hashed(uint32_t n, uint32_t hash) {
	struct flow_key key = key_of(n);
	uint32_t index = flow_table_take(&table, BACKEND, 80);

	if (index == FLOW_NONE)
		return index;
	table.flows[index].client_address = key.client_address;
	table.flows[index].client_port = key.client_port;
	table.flows[index].vip = key.vip;
	table.flows[index].vip_port = key.vip_port;
	table.flows[index].protocol = key.protocol;
	table.flows[index].state = FLOW_UDP;
	table.flows[index].idle_timeout_s = 10;
	table.flows[index].hash = hash;
	assert_true(flow_table_insert(&table, index));
	return index;
}

static uint32_t add(uint32_t n) {
	struct flow_key key = key_of(n);

	return add_hashed(n, flow_hash(&table, &key));
}

static uint32_t find(uint32_t n) {
	struct flow_key key = key_of(n);

	return flow_table_find(&table, &key, flow_hash(&table, &key));
}

static void found_until_deleted(void **state) {
	uint32_t places[1000];

	(void)state;
	make_table(1000);
	for (uint32_t n = 0; n < 1000; n++)
		places[n] = add(n);
	assert_int_equal(table.active, 1000);
	for (uint32_t n = 0; n < 1000; n++)
		assert_int_equal(find(n), places[n]);
	for (uint32_t n = 0; n < 1000; n += 2)
		flow_table_delete(&table, places[n]);
	for (uint32_t n = 0; n < 1000; n++)
		assert_int_equal(find(n), n % 2 ? places[n] : FLOW_NONE);
	assert_int_equal(table.active, 500);
}

// The bucket is chosen by the hash's low bits: they must see every part of the key, the high byte of a client's port too.
static void nearly_all_flows_lie_in_their_home_bucket(void **state) {
	unsigned at_home = 0;

	(void)state;
	make_table(1100);
	for (uint32_t n = 0; n < 1024; n++)
		add(n);
	for (uint32_t n = 0; n < 1024; n++) {
		struct flow_key key = key_of(n);

		at_home += flow_table_candidate(&table, flow_hash(&table, &key)) == find(n);
	}
	assert_true(at_home > 1024 * 95 / 100);
}

// Flows that collide in hash and tag are told apart by every part of the key.
static void every_part_of_the_key_counts(void **state) {
	const struct flow_key key = key_of(0);
	struct flow_key other[] = {key, key, key, key, key};

	(void)state;
	make_table(1024);
	add_hashed(0, 5);
	other[0].client_address ^= 1;
	other[1].client_port ^= 1;
	other[2].vip ^= 1;
	other[3].vip_port ^= 1;
	other[4].protocol = IPPROTO_TCP;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(flow_table_find(&table, &other[i], 5), FLOW_NONE);
	assert_int_not_equal(flow_table_find(&table, &key, 5), FLOW_NONE);
}

static void full_bucket_overflows_and_heals(void **state) {
	uint32_t places[20], again;
	struct flow_key key;

	(void)state;
	make_table(1024);
	for (uint32_t n = 0; n < 20; n++)
		places[n] = add_hashed(n, 5);
	for (uint32_t n = 0; n < 20; n++) {
		key = key_of(n);
		assert_int_equal(flow_table_find(&table, &key, 5), places[n]);
	}
	for (uint32_t n = 0; n < 19; n++)
		flow_table_delete(&table, places[n]);
	key = key_of(19);
	assert_int_equal(flow_table_find(&table, &key, 5), places[19]);
	flow_table_delete(&table, places[19]);
	for (uint32_t b = 0; b <= table.bucket_mask; b++)
		assert_int_equal(table.buckets[b].passed, 0);
	again = add_hashed(0, 5);
	key = key_of(0);
	assert_int_equal(flow_table_candidate(&table, 5), again);
}

static void local_port_rests_as_long_as_possible(void **state) {
	uint32_t first, second;

	(void)state;
	make_table(1024);
	first = add(0);
	flow_table_delete(&table, first);
	second = add(1);
	assert_int_not_equal(second, first);
	for (uint32_t taken = 2; taken < table.n_flows; taken++)
		assert_int_not_equal(flow_table_take(&table, BACKEND, 80), first);
	assert_int_equal(flow_table_take(&table, BACKEND, 80), first);
	assert_int_equal(flow_table_take(&table, BACKEND, 80), FLOW_NONE);
	flow_table_release(&table, first);
	assert_int_equal(flow_table_take(&table, BACKEND, 80), first);
}

static void reply_index_undoes_place(void **state) {
	uint32_t index, local;
	uint16_t port;

	(void)state;
	make_table(200000); // more than one address has ports: banks
	assert_true(table.n_banks > 1);
	index = add(0);
	flow_table_place(&table, index, &local, &port);
	assert_int_equal(local, 0);
	assert_true(port >= FWD_LOCAL_PORT_MIN);
	assert_int_equal(flow_table_reply_index(&table, local, htons(port), BACKEND, 80), index);
	assert_int_equal(
		flow_table_reply_index(&table, 0, htons(FWD_LOCAL_PORT_MIN - 1), BACKEND, 80),
		FLOW_NONE
	);
}

static bool is_last_seen_at(void *context, struct flow *flow) {
	assert_int_equal(flow->state, FLOW_UDP);
	return flow->last_seen_s == *(const uint32_t *)context;
}

static void sweep_ends_those_that_it_is_told_to(void **state) {
	uint32_t idle, busy, when = 99;

	(void)state;
	make_table(1024);
	idle = add(0);
	busy = add(1);
	table.flows[idle].last_seen_s = 100;
	table.flows[busy].last_seen_s = 105;
	flow_table_sweep(&table, table.n_flows, is_last_seen_at, &when);
	assert_int_equal(table.active, 2);
	when = 100;
	flow_table_sweep(&table, table.n_flows, is_last_seen_at, &when);
	assert_int_equal(table.active, 1);
	assert_int_equal(find(0), FLOW_NONE);
	assert_int_equal(find(1), busy);
}

static size_t whole_size(const struct fwd_base *of) {
	return flow_table_size(of, false) + flow_table_flows_size(of, false);
}

// Both directions and the buckets together, for one local address and for many.
static void memory_of_a_flow_is_bounded(void **state) {
	static const uint32_t limits[] = {100000, 262144, 1000000, 10000000};

	(void)state;
	for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct fwd_base wide = fixture_base(limits[i], 1);

		assert_true(whole_size(&wide) <= limits[i] * 128ull);
		wide.n_local_addresses = (uint16_t)(limits[i] / 64512 + 1);
		assert_true(whole_size(&wide) <= limits[i] * 128ull);
	}
}

static void backends_spread_over_all_banks(void **state) {
	unsigned used[16] = {0};

	(void)state;
	make_table(262144);
	assert_in_range(table.n_banks, 2, 16);
	for (uint32_t n = 0; n < 1600; n++)
		used[flow_bank(&table, htonl(0x0af40005 + n), htons(8080))]++;
	for (uint32_t bank = 0; bank < table.n_banks; bank++)
		assert_in_range(used[bank], 1600 / table.n_banks / 2, 1600 / table.n_banks * 2);
}

static void sync_base(uint32_t max_flows) {
	base = fixture_base(max_flows, 1);
	base.sync = (struct fwd_sync){.enabled = true, .n_peers = 2};
	for (uint32_t i = 1; i < 3; i++)
		base.local_addresses[i] = FIXTURE_LOCAL + i;
	free(memory);
	memory = fixture_table(&table, &base, false, 0);
}

static uint32_t add_foreign(uint32_t n, uint32_t place) {
	struct flow *flow = &table.flows[table.n_own + place];
	struct flow_key key = key_of(n);

	flow->client_address = key.client_address;
	flow->client_port = key.client_port;
	flow->vip = key.vip;
	flow->vip_port = key.vip_port;
	flow->protocol = key.protocol;
	flow->state = FLOW_UDP;
	flow_table_hash(&table, flow);
	assert_true(flow_table_insert(&table, table.n_own + place));
	return table.n_own + place;
}

// Places of the peers are of no use for flows of our own, neither at first nor after a flow was there.
static void foreign_places_are_never_taken(void **state) {
	uint32_t place;

	(void)state;
	sync_base(1024);
	assert_int_equal(table.n_flows, 3 * table.n_own);
	flow_table_offer(&table);
	place = add_foreign(1, 7);
	assert_int_equal(find(1), place);
	assert_int_equal(table.foreign, 1);
	assert_int_equal(table.active, 0);
	flow_table_delete(&table, place);
	assert_int_equal(find(1), FLOW_NONE);
	assert_int_equal(table.foreign, 0);
	for (uint32_t n = 0; n < table.n_own; n++)
		assert_true(flow_table_take(&table, BACKEND, 80) < table.n_own);
	assert_int_equal(flow_table_take(&table, BACKEND, 80), FLOW_NONE);
}

// A pod that joins does not know yet which of its places have flows.
static void own_places_are_offered_once_and_without_those_of_flows(void **state) {
	uint32_t taken;

	(void)state;
	sync_base(1024);
	assert_int_equal(flow_table_take(&table, BACKEND, 80), FLOW_NONE);
	table.flows[3].state = table.flows[5].state = FLOW_UDP;
	flow_table_release(&table, 5);
	flow_table_offer(&table);
	flow_table_offer(&table);
	for (uint32_t n = 0; n < table.n_own - 1; n++) {
		taken = flow_table_take(&table, BACKEND, 80);
		assert_true(taken < table.n_own && taken != 3);
		table.flows[taken].state = FLOW_UDP;
	}
	assert_int_equal(flow_table_take(&table, BACKEND, 80), FLOW_NONE);
}

static void flows_of_the_peers_take_no_room_of_our_own(void **state) {
	(void)state;
	sync_base(1024);
	flow_table_offer(&table);
	for (uint32_t n = 0; n < 2048; n++)
		add_foreign(n, n);
	assert_false(flow_table_has_room(&table, table.n_own));
	assert_true(flow_table_has_room(&table, 0));
	for (uint32_t n = 0; n < 1024; n++)
		add(4096 + n);
	assert_false(flow_table_has_room(&table, 0));
	flow_table_delete(&table, table.n_own);
	assert_true(flow_table_has_room(&table, table.n_own));
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(found_until_deleted),
		TEST(nearly_all_flows_lie_in_their_home_bucket),
		TEST(every_part_of_the_key_counts),
		TEST(full_bucket_overflows_and_heals),
		TEST(local_port_rests_as_long_as_possible),
		TEST(reply_index_undoes_place),
		TEST(sweep_ends_those_that_it_is_told_to),
		TEST(memory_of_a_flow_is_bounded),
		TEST(backends_spread_over_all_banks),
		TEST(foreign_places_are_never_taken),
		TEST(own_places_are_offered_once_and_without_those_of_flows),
		TEST(flows_of_the_peers_take_no_room_of_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
