// SPDX-License-Identifier: Apache-2.0

#include "peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS 1000000ull
#define EPOCH 1764000000000000ull
#define BULK_REQUEST 0x80u // of the wire, nothing to do with whether a peer is there

static struct peer_table table;

static int set_up(void **state) {
	(void)state;
	memset(&table, 0, sizeof(table));
	return 0;
}

static void who_was_never_heard_is_not_there(void **state) {
	(void)state;
	assert_false(peers_alive(&table, 1, 0));
	assert_false(peers_alive(&table, 1, PEER_SILENT_MS / 2));
	assert_false(peers_alive(&table, 1, NOW_MS));
	assert_int_equal(peers_epoch(&table, 1), 0);
}

static void a_peer_is_alive_until_it_has_been_silent_for_a_while(void **state) {
	(void)state;
	assert_true(peers_hear(&table, 3, EPOCH, PEER_COMPLETE, NOW_MS));
	assert_true(peers_alive(&table, 3, NOW_MS));
	assert_true(peers_alive(&table, 3, NOW_MS - 1)); // the caller's clock is behind
	assert_true(peers_alive(&table, 3, NOW_MS + PEER_SILENT_MS - 1));
	assert_false(peers_alive(&table, 3, NOW_MS + PEER_SILENT_MS));
	assert_false(peers_alive(&table, 2, NOW_MS));
	assert_true(peers_hear(&table, 3, EPOCH, PEER_COMPLETE, NOW_MS + 5000));
	assert_true(peers_alive(&table, 3, NOW_MS + 5000));
}

static void a_process_of_the_past_is_refused(void **state) {
	(void)state;
	assert_true(peers_hear(&table, 1, EPOCH, PEER_COMPLETE, NOW_MS));
	assert_true(peers_hear(&table, 1, EPOCH + 1, PEER_JOINING, NOW_MS + 1));
	assert_false(peers_hear(&table, 1, EPOCH, PEER_COMPLETE, NOW_MS + 200));
	assert_int_equal(peers_epoch(&table, 1), EPOCH + 1);
	assert_false(peers_serves(&table, 1, NOW_MS + 200));
	assert_false(peers_alive(&table, 1, NOW_MS + 1 + PEER_SILENT_MS)); // it kept nobody alive
	assert_false(peers_hear(&table, 2, 0, PEER_COMPLETE, NOW_MS));
	assert_false(peers_alive(&table, 2, NOW_MS));
	assert_true(peers_hear(&table, 2, 1, PEER_COMPLETE, NOW_MS)); // epochs are of one peer each
}

static void only_who_is_complete_and_stays_serves(void **state) {
	static const struct {
		unsigned flags;
		bool serves;
	} cases[] = {
		{0, false},
		{PEER_JOINING, false},
		{PEER_JOINING | BULK_REQUEST, false},
		{PEER_COMPLETE, true},
		{PEER_COMPLETE | BULK_REQUEST, true},
		{PEER_COMPLETE | PEER_LEAVING, false},
		{PEER_JOINING | PEER_LEAVING, false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(peers_hear(&table, 15, EPOCH, cases[i].flags, NOW_MS));
		assert_int_equal(peers_serves(&table, 15, NOW_MS), cases[i].serves);
		assert_true(peers_alive(&table, 15, NOW_MS));
		assert_int_equal(
			peers_serves(&table, 15, NOW_MS + PEER_SUSPECT_MS - 1), cases[i].serves
		);
		assert_false(peers_serves(&table, 15, NOW_MS + PEER_SUSPECT_MS));
		assert_true(peers_alive(&table, 15, NOW_MS + PEER_SUSPECT_MS));
	}
}

static void we_say_of_ourselves_what_we_are(void **state) {
	(void)state;
	assert_int_equal(peers_own_flags(&table), PEER_JOINING);
	assert_false(peers_we_serve(&table));
	table.complete = true;
	assert_int_equal(peers_own_flags(&table), PEER_COMPLETE);
	assert_true(peers_we_serve(&table));
	table.leaving = true;
	assert_int_equal(peers_own_flags(&table), PEER_COMPLETE | PEER_LEAVING);
	assert_false(peers_we_serve(&table));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(who_was_never_heard_is_not_there),
		TEST(a_peer_is_alive_until_it_has_been_silent_for_a_while),
		TEST(a_process_of_the_past_is_refused),
		TEST(only_who_is_complete_and_stays_serves),
		TEST(we_say_of_ourselves_what_we_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
