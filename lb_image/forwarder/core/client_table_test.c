// SPDX-License-Identifier: Apache-2.0

#include "client_table.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ENTRIES 1024u
#define TIME_MASK 0xfffffu

static struct client_table table;

static int set_up(void **state) {
	size_t size = client_table_size(ENTRIES);

	*state = aligned_alloc(64, size);
	assert_non_null(*state);
	memset(*state, 0, size);
	client_table_init(&table, *state, ENTRIES);
	return 0;
}

static int tear_down(void **state) {
	free(*state);
	return 0;
}

static void put(uint64_t hash, uint64_t value, uint64_t now) {
	_Atomic uint64_t *entry = client_table_find(&table, hash);

	if (entry == NULL)
		entry = client_table_claim(&table, hash, now, TIME_MASK);
	*entry = client_word(hash, value);
}

static void what_was_put_is_found(void **state) {
	(void)state;
	assert_null(client_table_find(&table, client_hash(1, 0, htonl(7))));
	for (uint32_t n = 0; n < 100; n++)
		put(client_hash(1, 0, htonl(n)), n, 0);
	for (uint32_t n = 0; n < 100; n++) {
		const _Atomic uint64_t *entry =
			client_table_find(&table, client_hash(1, 0, htonl(n)));

		assert_non_null(entry);
		assert_int_equal(client_value(*entry), n);
	}
	assert_null(client_table_find(&table, client_hash(1, 1, htonl(7))));
	assert_null(client_table_find(&table, client_hash(2, 0, htonl(7))));
}

// The clients of a network differ in few bits, those of a flood in all: both must spread.
static void neighbours_spread_over_buckets_and_tags(void **state) {
	static uint64_t hashes[65536];
	uint32_t counts[256] = {0};

	(void)state;
	for (uint32_t n = 0; n < 65536; n++) {
		hashes[n] = client_hash(42, 3, htonl(0x0a000000 + n));
		counts[hashes[n] & 255]++;
	}
	for (unsigned i = 0; i < 256; i++)
		assert_in_range(counts[i], 256 - 80, 256 + 80);
	for (uint32_t n = 1; n < 65536; n++)
		assert_true(client_word(hashes[n], 0) != client_word(hashes[n - 1], 0));
}

// Ten times as many clients as entries: the newest stay.
static void full_bucket_gives_up_its_oldest(void **state) {
	unsigned found = 0;

	(void)state;
	for (uint32_t n = 0; n < 10 * ENTRIES; n++)
		put(client_hash(1, 0, htonl(n)),
		    (TIME_MASK - 100 + n) & TIME_MASK,
		    TIME_MASK - 100 + n);
	for (uint32_t n = 10 * ENTRIES - ENTRIES / 8; n < 10 * ENTRIES; n++)
		found += client_table_find(&table, client_hash(1, 0, htonl(n))) != NULL;
	assert_int_equal(found, ENTRIES / 8);
	for (uint32_t n = 0; n < ENTRIES; n++)
		assert_null(client_table_find(&table, client_hash(1, 0, htonl(n))));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_is_found),
		TEST(neighbours_spread_over_buckets_and_tags),
		TEST(full_bucket_gives_up_its_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
