// SPDX-License-Identifier: Apache-2.0

// Neighbours of IPv6: what RFC 4861, section 7.2.5 makes of news, and entries whose hash is the same.

#include "core_fixture.h"

#define NOW_S 1000u

static const uint8_t mac_a[6] = {2, 1, 1, 1, 1, 1};
static const uint8_t mac_b[6] = {2, 2, 2, 2, 2, 2};
static const struct neighbour_news sure = {true, true};

static struct neighbour_table *table;
static struct ipv6_address address;
static uint16_t entry;

static int set_up(void **state) {
	(void)state;
	table = calloc(1, sizeof(*table));
	address = ipv6_make(0x20010db800770000u, 0x50);
	if (table != NULL)
		entry = neighbour_get6(table, 0, &address, NOW_S);
	return table == NULL;
}

static int tear_down(void **state) {
	(void)state;
	free(table);
	return 0;
}

static void hear(const uint8_t *mac, bool solicited, bool override, uint32_t now_s) {
	assert_true(neighbour_learn6(
		table, 0, &address, mac, (struct neighbour_news){solicited, override}, now_s
	));
}

static bool has_mac(const uint8_t *mac) {
	struct neighbour_view view;

	assert_true(neighbour_read(table, entry, &view));
	assert_true(ipv6_equal(&view.address, &address));
	return view.resolved && memcmp(view.mac, mac, sizeof(view.mac)) == 0;
}

static unsigned asked_at(uint32_t now_s, struct fwd_emit *out) {
	struct fwd_base base = fixture_base(1024, 1);
	uint16_t cursor = 0;

	base.ports[0].address6 = ipv6_make(0x20010db800770000u, 0xb);
	return neighbour_refresh(table, &base, now_s, &cursor, NEIGHBOUR_MAX, out, 4);
}

static void unknown_is_asked_for_by_its_group(void **state) {
	struct fwd_emit out[4];
	const struct ipv6_header *ip = (const struct ipv6_header *)(out[0].data + 14);
	const struct nd_header *nd = (const struct nd_header *)(ip + 1);
	const struct ipv6_address group = ipv6_solicited_node(&address);

	(void)state;
	assert_int_equal(asked_at(NOW_S, out), 1);
	assert_int_equal(out[0].len, FWD_EMIT_SIZE - FWD_TAG_SIZE);
	assert_int_equal(nd->icmp.type, ND_SOLICITATION);
	assert_int_equal(ip->hop_limit, 255);
	assert_true(ipv6_equal(&nd->target, &address));
	assert_true(ipv6_equal(&ip->dst, &group));
	assert_memory_equal(out[0].data, ((uint8_t[]){0x33, 0x33, 0xff, 0, 0, 0x50}), 6);
	assert_int_equal(asked_at(NOW_S, out), 0);
	assert_int_equal(asked_at(NOW_S + 1, out), 1);
}

static void what_was_asked_for_confirms(void **state) {
	struct fwd_emit out[4];

	(void)state;
	hear(mac_a, true, false, NOW_S);
	assert_true(has_mac(mac_a));
	assert_int_equal(asked_at(NOW_S + NEIGHBOUR_CONFIRM_S - 1, out), 0);
	assert_int_equal(asked_at(NOW_S + NEIGHBOUR_CONFIRM_S, out), 1);
	asked_at(NOW_S + NEIGHBOUR_FORGET_S, out);
	assert_int_equal(neighbour_mac(table, entry), 0);
}

static void what_was_not_asked_for_is_used_and_verified(void **state) {
	struct fwd_emit out[4];

	(void)state;
	hear(mac_a, false, false, NOW_S);
	assert_true(has_mac(mac_a));
	assert_int_equal(asked_at(NOW_S, out), 1);
	hear(mac_a, true, true, NOW_S);
	hear(mac_b, false, true, NOW_S + 1);
	assert_true(has_mac(mac_b));
	assert_int_equal(asked_at(NOW_S + 1, out), 1);
	// The same again is nothing new: it neither confirms nor forgets.
	hear(mac_b, false, true, NOW_S + 5);
	asked_at(NOW_S + 1 + NEIGHBOUR_FORGET_S - NEIGHBOUR_CONFIRM_S, out);
	assert_int_equal(neighbour_mac(table, entry), 0);
}

static void another_without_override_makes_us_ask_but_not_for_ever(void **state) {
	struct fwd_emit out[4];

	(void)state;
	hear(mac_a, true, true, NOW_S);
	for (uint32_t s = 1; s < 6; s++) {
		hear(mac_b, s % 2, false, NOW_S + s);
		assert_true(has_mac(mac_a));
		assert_int_equal(asked_at(NOW_S + s, out), 1);
	}
	asked_at(NOW_S + 7, out);
	assert_int_equal(neighbour_mac(table, entry), 0);
}

static void strangers_are_not_learned(void **state) {
	struct ipv6_address other = ipv6_make(0x20010db800770000u, 0x51);

	(void)state;
	assert_false(neighbour_learn6(table, 0, &other, mac_a, sure, NOW_S));
	assert_false(neighbour_learn6(table, 1, &address, mac_a, sure, NOW_S)); // another port
	assert_int_equal(neighbour_mac(table, entry), 0);
}

// The key of an entry holds 32 bits of the address; the address decides.
static void addresses_with_one_hash_have_entries_of_their_own(void **state) {
	struct ipv6_address twin;
	uint16_t second;

	(void)state;
	// The fold multiplies the high half and adds the low one: any high half has a twin for every address.
	twin.high = ~address.high;
	twin.low =
		address.low ^ address.high * 0x9e3779b97f4a7c15u ^ twin.high * 0x9e3779b97f4a7c15u;
	assert_int_equal(ipv6_fold(&twin), ipv6_fold(&address));
	second = neighbour_get6(table, 0, &twin, NOW_S);
	assert_int_not_equal(second, entry);
	assert_int_equal(neighbour_get6(table, 0, &twin, NOW_S), second);
	assert_int_equal(neighbour_get6(table, 0, &address, NOW_S), entry);
	hear(mac_a, true, true, NOW_S);
	assert_int_equal(neighbour_mac(table, second), 0);
}

static void families_share_the_table_and_nothing_else(void **state) {
	uint16_t four = neighbour_get(table, 0, ipv6_fold(&address), NOW_S);

	(void)state;
	assert_int_not_equal(four, entry);
	assert_true(neighbour_learn(table, 0, ipv6_fold(&address), mac_b, NOW_S));
	assert_int_equal(neighbour_mac(table, entry), 0);
	hear(mac_a, true, true, NOW_S);
	assert_true(has_mac(mac_a));
}

static void freed_place_is_taken_again(void **state) {
	const uint32_t later_s = NOW_S + NEIGHBOUR_KEEP_S;
	uint64_t none[NEIGHBOUR_MAX / 64] = {0};
	struct neighbour_view view;

	(void)state;
	hear(mac_a, true, true, NOW_S);
	neighbour_hold(table, 0, none, later_s);
	neighbour_collect(table, 1, later_s);
	assert_false(neighbour_read(table, entry, &view));
	assert_false(neighbour_learn6(table, 0, &address, mac_a, sure, later_s));
	assert_int_equal(neighbour_get6(table, 0, &address, later_s), entry);
	assert_int_equal(neighbour_mac(table, entry), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(unknown_is_asked_for_by_its_group),
		TEST(what_was_asked_for_confirms),
		TEST(what_was_not_asked_for_is_used_and_verified),
		TEST(another_without_override_makes_us_ask_but_not_for_ever),
		TEST(strangers_are_not_learned),
		TEST(addresses_with_one_hash_have_entries_of_their_own),
		TEST(families_share_the_table_and_nothing_else),
		TEST(freed_place_is_taken_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
