// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

static const uint8_t mac_a[6] = {2, 1, 1, 1, 1, 1};
static const uint8_t mac_b[6] = {2, 2, 2, 2, 2, 2};

static struct neighbour_table *table;

static int set_up(void **state) {
	(void)state;
	table = calloc(1, sizeof(*table));
	return table == NULL;
}

static int tear_down(void **state) {
	(void)state;
	free(table);
	return 0;
}

// ARP requests that are due at this second, over the whole table.
static unsigned requests_at(uint32_t now_s, struct fwd_emit *out, unsigned max) {
	struct fwd_base base = fixture_base(1024, 1);
	uint16_t cursor = 0;

	return neighbour_refresh(table, &base, now_s, &cursor, NEIGHBOUR_MAX, out, max);
}

static void unknown_is_asked_for_once_a_second(void **state) {
	struct fwd_emit out[4];
	const struct arp_header *arp = (const struct arp_header *)(out[0].data + 14);

	(void)state;
	neighbour_get(table, 1, 0x0a4e0099);
	assert_int_equal(requests_at(50, out, 4), 1);
	assert_int_equal(out[0].port_out, 1);
	assert_int_equal(out[0].len, FWD_EMIT_SIZE);
	assert_int_equal(ntohs(arp->operation), ARP_REQUEST);
	assert_int_equal(ntohl(arp->target_ip), 0x0a4e0099);
	assert_int_equal(ntohl(arp->sender_ip), 0x0a4e000b);
	assert_int_equal(requests_at(50, out, 4), 0);
	assert_int_equal(requests_at(51, out, 4), 1);
}

static void known_is_confirmed_then_forgotten(void **state) {
	struct fwd_emit out[4];
	uint16_t i = neighbour_get(table, 0, 7);

	(void)state;
	assert_true(neighbour_learn(table, 0, 7, mac_a, 100));
	assert_int_equal(requests_at(100 + NEIGHBOUR_CONFIRM_S - 1, out, 4), 0);
	assert_int_equal(requests_at(100 + NEIGHBOUR_CONFIRM_S, out, 4), 1);
	assert_int_not_equal(neighbour_mac(table, i), 0);
	requests_at(100 + NEIGHBOUR_FORGET_S, out, 4);
	assert_int_equal(neighbour_mac(table, i), 0);
	assert_true(neighbour_learn(table, 0, 7, mac_a, 140));
	assert_int_not_equal(neighbour_mac(table, i), 0);
}

static void changed_mac_is_followed(void **state) {
	struct neighbour_view view;
	uint16_t i = neighbour_get(table, 0, 7);

	(void)state;
	assert_true(neighbour_learn(table, 0, 7, mac_a, 1));
	assert_true(neighbour_learn(table, 0, 7, mac_b, 2));
	assert_true(neighbour_read(table, i, &view));
	assert_memory_equal(view.mac, mac_b, 6);
	assert_true(view.resolved);
	assert_int_equal(view.address, 7);
	assert_int_equal(neighbour_get(table, 0, 7), i);
}

static void strangers_are_not_learned(void **state) {
	(void)state;
	assert_false(neighbour_learn(table, 0, 8, mac_a, 1));
	neighbour_get(table, 0, 8);
	assert_false(neighbour_learn(table, 1, 8, mac_a, 1)); // another port
	assert_true(neighbour_learn(table, 0, 8, mac_a, 1));
}

static void full_table_says_so_and_keeps_what_it_has(void **state) {
	uint16_t first = neighbour_get(table, 0, 1);

	(void)state;
	for (uint32_t address = 2; address <= NEIGHBOUR_MAX; address++)
		assert_int_not_equal(neighbour_get(table, 0, address), NEIGHBOUR_NONE);
	assert_int_equal(neighbour_get(table, 0, NEIGHBOUR_MAX + 1), NEIGHBOUR_NONE);
	assert_false(neighbour_learn(table, 0, NEIGHBOUR_MAX + 1, mac_a, 1));
	assert_int_equal(neighbour_get(table, 0, 1), first);
	assert_true(neighbour_learn(table, 0, NEIGHBOUR_MAX, mac_a, 1));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(unknown_is_asked_for_once_a_second),
		TEST(known_is_confirmed_then_forgotten),
		TEST(changed_mac_is_followed),
		TEST(strangers_are_not_learned),
		TEST(full_table_says_so_and_keeps_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
