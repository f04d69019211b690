// SPDX-License-Identifier: Apache-2.0

#include "fragment.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fragment_table table;

static const struct fragment_key some = {.src = {0, 1}, .dst = {0, 2}, .id = 3, .protocol = 17};

static int set_up(void **state) {
	(void)state;
	memset(&table, 0, sizeof(table));
	table.next_id = 0xffff;
	return 0;
}

static void every_datagram_gets_its_own_number(void **state) {
	struct fragment_key other = some;

	(void)state;
	other.id = 4;
	assert_int_equal(fragment_remember(&table, &some, 10, 0, 100), 0xffff);
	assert_int_equal(fragment_remember(&table, &other, 11, 0, 100), 0x10000);
	assert_int_equal(fragment_find(&table, &some, 100)->flow, 10);
	assert_int_equal(fragment_find(&table, &other, 100)->flow, 11);
	other.protocol = 6;
	assert_null(fragment_find(&table, &other, 100));
}

static void a_number_used_again_is_another_datagram(void **state) {
	(void)state;
	fragment_remember(&table, &some, 10, 0, 100);
	fragment_remember(&table, &some, 20, 0, 105);
	assert_int_equal(fragment_find(&table, &some, 105)->flow, 20);
	assert_int_equal(fragment_find(&table, &some, 105 + FRAGMENT_FORGET_S - 1)->flow, 20);
	assert_null(fragment_find(&table, &some, 105 + FRAGMENT_FORGET_S));
}

// A flood of first fragments displaces what is oldest, and never more than the table holds.
static void the_oldest_gives_way(void **state) {
	struct fragment_key key = some;
	unsigned found = 0;

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		key.src.low = n;
		fragment_remember(&table, &key, n, 0, 100 + n / 2000);
		assert_int_equal(fragment_find(&table, &key, 110)->flow, n);
	}
	for (unsigned n = 0; n < 20000; n++) {
		key.src.low = n;
		found += fragment_find(&table, &key, 110) != NULL;
	}
	assert_in_range(found, FRAGMENT_SETS, FRAGMENT_SETS * FRAGMENT_WAYS);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_datagram_gets_its_own_number, set_up),
		cmocka_unit_test_setup(a_number_used_again_is_another_datagram, set_up),
		cmocka_unit_test_setup(the_oldest_gives_way, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
