// SPDX-License-Identifier: Apache-2.0

// The flow table with IPv6 records. What does not depend on the family is tested in flow_table_test.c.

#include "core_fixture.h"

#define N_FLOWS 20000u

static struct fwd_base base;
static struct flow_table table;
static void *memory;
static struct ipv6_address client, vip, backend;

static void make_table(uint32_t max_flows) {
	base = fixture_base(max_flows, 1);
	base.n_local_addresses6 = 1;
	base.local_addresses6[0] = ipv6_make(0x20010db800770000u, 0x65);
	memory = fixture_table(&table, &base, true, 0);
	vip = ipv6_make(0x20010db800010000u, 0x10);
	backend = ipv6_make(0xfd44000000000000u, 5);
}

static int tear_down(void **state) {
	(void)state;
	free(memory);
	return 0;
}

static struct flow_key6 key_of(uint32_t n) {
	client = ipv6_make(0x20010db8000c0000u + n % 7, n / 64);
	return (struct flow_key6){
		.client_address = &client,
		.client_port = htons((uint16_t)(20000 + n % 64 * 7)),
		.vip = &vip,
		.vip_port = htons(80),
		.protocol = IPPROTO_UDP,
	};
}

static uint32_t add(uint32_t n) {
	struct flow_key6 key = key_of(n);
	uint32_t index = flow_table_take6(&table, &backend, htons(8080));
	struct flow6 *flow = &table.flows6[index];

	assert_int_not_equal(index, FLOW_NONE);
	flow->client_address = client;
	flow->vip = vip;
	flow->backend_address = backend;
	flow->flow.client_port = key.client_port;
	flow->flow.vip_port = key.vip_port;
	flow->flow.backend_port = htons(8080);
	flow->flow.protocol = key.protocol;
	flow->flow.state = FLOW_UDP;
	flow->flow.hash = flow_hash6(&table, &key);
	assert_true(flow_table_insert(&table, index));
	return index;
}

static uint32_t find(uint32_t n) {
	struct flow_key6 key = key_of(n);

	return flow_table_find6(&table, &key, flow_hash6(&table, &key));
}

static void found_until_deleted(void **state) {
	static uint32_t places[N_FLOWS];

	(void)state;
	make_table(65536);
	for (uint32_t n = 0; n < N_FLOWS; n++)
		places[n] = add(n);
	for (uint32_t n = 0; n < N_FLOWS; n++)
		assert_int_equal(find(n), places[n]);
	for (uint32_t n = 0; n < N_FLOWS; n += 2)
		flow_table_delete(&table, places[n]);
	for (uint32_t n = 0; n < N_FLOWS; n++)
		assert_int_equal(find(n), n % 2 ? places[n] : FLOW_NONE);
	assert_int_equal(table.active, N_FLOWS / 2);
}

// Every bit of both addresses, the ports and the protocol.
static void every_part_of_the_key_counts(void **state) {
	struct flow_key6 key;
	uint32_t hash;

	(void)state;
	make_table(1024);
	add(0);
	key = key_of(0);
	hash = flow_hash6(&table, &key);
	assert_int_not_equal(flow_table_find6(&table, &key, hash), FLOW_NONE);
	for (unsigned bit = 0; bit < 256; bit++) {
		struct ipv6_address addresses[2] = {client, vip};
		struct flow_key6 other = key;

		((uint8_t *)addresses)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		other.client_address = &addresses[0];
		other.vip = &addresses[1];
		assert_int_equal(flow_table_find6(&table, &other, hash), FLOW_NONE);
		assert_int_not_equal(flow_hash6(&table, &other), hash);
	}
	key.client_port ^= 1;
	assert_int_equal(flow_table_find6(&table, &key, hash), FLOW_NONE);
	key.client_port ^= 1;
	key.vip_port ^= 1;
	assert_int_equal(flow_table_find6(&table, &key, hash), FLOW_NONE);
	key.vip_port ^= 1;
	key.protocol = IPPROTO_TCP;
	assert_int_equal(flow_table_find6(&table, &key, hash), FLOW_NONE);
}

static void nearly_all_flows_lie_in_their_home_bucket(void **state) {
	unsigned away = 0;

	(void)state;
	make_table(N_FLOWS);
	for (uint32_t n = 0; n < N_FLOWS; n++)
		add(n);
	for (uint32_t i = 0; i <= table.bucket_mask; i++)
		away += table.buckets[i].passed;
	assert_true(away < N_FLOWS / 20);
}

static void reply_index_undoes_place(void **state) {
	(void)state;
	make_table(262144); // several banks
	assert_true(table.n_banks > 1);
	for (uint32_t n = 0; n < 1000; n++) {
		uint32_t index, local;
		uint16_t port;

		backend = ipv6_make(0xfd44000000000000u + n % 3, n);
		index = add(n);
		flow_table_place(&table, index, &local, &port);
		assert_int_equal(
			flow_table_reply_index(
				&table,
				local,
				htons(port),
				flow_bank_number(&table, &backend),
				htons(8080)
			),
			index
		);
		assert_true(
			flow6_is_replied(&table.flows6[index], IPPROTO_UDP, &backend, htons(8080))
		);
		assert_false(flow6_is_replied(&table.flows6[index], IPPROTO_UDP, &vip, htons(8080))
		);
	}
}

// Backends and clients of one network spread, whatever half of the address tells them apart.
static void addresses_spread_when_folded(void **state) {
	unsigned used[2][16] = {0};

	(void)state;
	for (uint64_t n = 0; n < 1600; n++) {
		struct ipv6_address low = ipv6_make(0xfd44000000000000u, n);
		struct ipv6_address high = ipv6_make(0xfd44000000000000u + (n << 8), 1);

		used[0][ipv6_fold(&low) % 16]++;
		used[1][ipv6_fold(&high) % 16]++;
	}
	for (unsigned i = 0; i < 16; i++) {
		assert_in_range(used[0][i], 50, 200);
		assert_in_range(used[1][i], 50, 200);
	}
}

static size_t whole_size(const struct fwd_base *of) {
	return flow_table_size(of, true) + flow_table_flows_size(of, true);
}

static void memory_is_bounded_and_none_without_the_family(void **state) {
	static const uint32_t limits[] = {100000, 262144, 1000000, 10000000};
	struct fwd_base ipv4_only = fixture_base(10000000, 1);

	(void)state;
	assert_true(whole_size(&ipv4_only) <= 256);
	for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct fwd_base wide = fixture_base(limits[i], 1);

		wide.n_local_addresses6 = (uint16_t)(limits[i] / 64512 + 1);
		assert_true(whole_size(&wide) <= limits[i] * 192ull);
	}
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(found_until_deleted),
		TEST(every_part_of_the_key_counts),
		TEST(nearly_all_flows_lie_in_their_home_bucket),
		TEST(reply_index_undoes_place),
		cmocka_unit_test(addresses_spread_when_folded),
		cmocka_unit_test(memory_is_bounded_and_none_without_the_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
