// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

#include <pthread.h>

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
	neighbour_get(table, 1, 0x0a4e0099, 1);
	assert_int_equal(requests_at(50, out, 4), 1);
	assert_int_equal(out[0].port_out, 1);
	assert_int_equal(out[0].len, ETHER_FRAME_MIN);
	assert_int_equal(ntohs(arp->operation), ARP_REQUEST);
	assert_int_equal(ntohl(arp->target_ip), 0x0a4e0099);
	assert_int_equal(ntohl(arp->sender_ip), 0x0a4e000b);
	assert_int_equal(requests_at(50, out, 4), 0);
	assert_int_equal(requests_at(51, out, 4), 1);
}

static void known_is_confirmed_then_forgotten(void **state) {
	struct fwd_emit out[4];
	uint16_t i = neighbour_get(table, 0, 7, 1);

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
	uint16_t i = neighbour_get(table, 0, 7, 1);

	(void)state;
	assert_true(neighbour_learn(table, 0, 7, mac_a, 1));
	assert_true(neighbour_learn(table, 0, 7, mac_b, 2));
	assert_true(neighbour_read(table, i, &view));
	assert_memory_equal(view.mac, mac_b, 6);
	assert_true(view.resolved);
	assert_int_equal(ipv6_to_ipv4(&view.address), 7);
	assert_int_equal(neighbour_get(table, 0, 7, 1), i);
}

static void strangers_are_not_learned(void **state) {
	(void)state;
	assert_false(neighbour_learn(table, 0, 8, mac_a, 1));
	neighbour_get(table, 0, 8, 1);
	assert_false(neighbour_learn(table, 1, 8, mac_a, 1)); // another port
	assert_true(neighbour_learn(table, 0, 8, mac_a, 1));
}

static void full_table_says_so_and_keeps_what_it_has(void **state) {
	uint16_t first = neighbour_get(table, 0, 1, 1);

	(void)state;
	for (uint32_t address = 2; address <= NEIGHBOUR_MAX; address++)
		assert_int_not_equal(neighbour_get(table, 0, address, 1), NEIGHBOUR_NONE);
	assert_int_equal(neighbour_get(table, 0, NEIGHBOUR_MAX + 1, 1), NEIGHBOUR_NONE);
	assert_false(neighbour_learn(table, 0, NEIGHBOUR_MAX + 1, mac_a, 1));
	assert_int_equal(neighbour_get(table, 0, 1, 1), first);
	assert_true(neighbour_learn(table, 0, NEIGHBOUR_MAX, mac_a, 1));
}

static void hold(unsigned worker, uint16_t index, uint32_t began_s) {
	uint64_t bits[NEIGHBOUR_MAX / 64] = {0};

	if (index != NEIGHBOUR_NONE)
		bits[index / 64] = 1ull << index % 64;
	neighbour_hold(table, worker, bits, began_s);
}

static bool is_there(uint32_t address) {
	struct neighbour_view view;

	for (uint16_t i = 0; i < NEIGHBOUR_MAX; i++) {
		if (neighbour_read(table, i, &view) && ipv6_to_ipv4(&view.address) == address)
			return true;
	}
	return false;
}

static void what_nobody_needs_is_freed(void **state) {
	const uint32_t old_s = 1 + NEIGHBOUR_KEEP_S;
	uint16_t needed = neighbour_get(table, 0, 7, 1);

	(void)state;
	neighbour_get(table, 0, 8, 1);
	neighbour_get(table, 0, 9, 2);
	hold(0, needed, old_s);
	hold(1, NEIGHBOUR_NONE, old_s);
	neighbour_collect(table, 2, old_s);
	assert_true(is_there(7));
	assert_false(is_there(8));
	assert_true(is_there(9)); // looked up a second later
	assert_int_equal(neighbour_get(table, 0, 7, old_s), needed);
}

// A worker that has not looked at all its flows since the entry was used may have a flow that needs it.
static void a_worker_that_has_not_looked_keeps_all(void **state) {
	(void)state;
	neighbour_get(table, 0, 7, 100);
	hold(0, NEIGHBOUR_NONE, 500);
	neighbour_collect(table, 2, 500);
	assert_true(is_there(7));
	hold(1, NEIGHBOUR_NONE, 100);
	neighbour_collect(table, 2, 500);
	assert_true(is_there(7));
	hold(1, NEIGHBOUR_NONE, 101);
	neighbour_collect(table, 2, 500);
	assert_false(is_there(7));
}

// A flood of addresses goes away again, and what lies behind freed entries is still found.
static void a_full_table_empties(void **state) {
	uint16_t last = NEIGHBOUR_NONE;

	(void)state;
	for (uint32_t address = 1; address <= NEIGHBOUR_MAX; address++)
		last = neighbour_get(table, 0, address, 1);
	assert_int_equal(neighbour_get(table, 0, 99999, 1), NEIGHBOUR_NONE);
	hold(0, last, 500);
	neighbour_collect(table, 1, 500);
	assert_true(is_there(NEIGHBOUR_MAX));
	assert_int_equal(neighbour_get(table, 0, NEIGHBOUR_MAX, 500), last);
	for (uint32_t address = 10000; address < 10000 + NEIGHBOUR_MAX - 1; address++)
		assert_int_not_equal(neighbour_get(table, 0, address, 500), NEIGHBOUR_NONE);
	assert_int_equal(neighbour_get(table, 0, 99999, 500), NEIGHBOUR_NONE);
}

// An address that two workers added at once, one of them into an entry that was just freed, has two entries: flows use both.
static void both_entries_of_an_address_learn(void **state) {
	uint16_t first = neighbour_get(table, 0, 7, 1), second = (first + 1) % NEIGHBOUR_MAX;

	(void)state;
	atomic_store(&table->entries[second].key, atomic_load(&table->entries[first].key));
	assert_true(neighbour_learn(table, 0, 7, mac_a, 1));
	assert_int_not_equal(neighbour_mac(table, first), 0);
	assert_int_equal(neighbour_mac(table, second), neighbour_mac(table, first));
}

#define RACE_ROUNDS 30000u

// All of one home on port 0: what one gives up is the next one's.
static const uint32_t race_addresses[] = {2, 2586, 6767, 13532, 17713, 20297, 24478, 28659};

// Written by the collecting thread, before it collects at that second.
static _Atomic uint32_t race_now_s;
static atomic_bool race_over;

static uint64_t race_mac(uint32_t address) {
	return 1ull << 63 | address;
}

// Everything has been unused for too long whenever the clock moves on, and no worker holds anything.
static void *collect_again_and_again(void *argument) {
	(void)argument;
	for (uint32_t n = 1; n <= RACE_ROUNDS; n++) {
		uint32_t now_s = 1 + n * (NEIGHBOUR_KEEP_S + 1);

		hold(0, NEIGHBOUR_NONE, now_s);
		atomic_store(&race_now_s, now_s);
		neighbour_collect(table, 1, now_s);
	}
	atomic_store(&race_over, true);
	return NULL;
}

// What a worker looked up is that address, with that address's MAC or none, for as long as the clock stands.
static void what_is_looked_up_while_others_are_freed(void **state) {
	unsigned wrong_address = 0, wrong_mac = 0;
	pthread_t collector;

	(void)state;
	atomic_store(&race_now_s, 1);
	atomic_store(&race_over, false);
	assert_int_equal(pthread_create(&collector, NULL, collect_again_and_again, NULL), 0);
	for (uint32_t n = 0; !atomic_load(&race_over); n++) {
		uint32_t address = race_addresses[n % 8], now_s = atomic_load(&race_now_s);
		uint16_t i = neighbour_get(table, 0, address, now_s);
		uint64_t key = atomic_load(&table->entries[i].key), mac = neighbour_mac(table, i);

		if (atomic_load(&race_now_s) != now_s)
			continue;
		wrong_address += (uint32_t)key != address;
		wrong_mac += mac != 0 && mac != race_mac(address);
		neighbour_learn(
			table, 0, address, (const uint8_t *)&(uint64_t){race_mac(address)}, now_s
		);
	}
	assert_int_equal(pthread_join(collector, NULL), 0);
	assert_int_equal(wrong_address, 0);
	assert_int_equal(wrong_mac, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(unknown_is_asked_for_once_a_second),
		TEST(what_nobody_needs_is_freed),
		TEST(a_worker_that_has_not_looked_keeps_all),
		TEST(a_full_table_empties),
		TEST(both_entries_of_an_address_learn),
		TEST(what_is_looked_up_while_others_are_freed),
		TEST(known_is_confirmed_then_forgotten),
		TEST(changed_mac_is_followed),
		TEST(strangers_are_not_learned),
		TEST(full_table_says_so_and_keeps_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
