// SPDX-License-Identifier: Apache-2.0

#include "source_ranges_build.h"

#include <stdlib.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LOOKUPS 1000000

static uint64_t random_state;

// xorshift64* (Marsaglia 2003, Vigna 2016): the same numbers on every machine.
static uint32_t next_random(void) {
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)(random_state * 0x2545f4914f6cdd1du >> 32);
}

static uint32_t mask_of(uint8_t length) {
	return length ? UINT32_MAX << (32 - length) : 0;
}

// The rule itself, prefix by prefix.
static bool takes(const struct source_prefix *prefixes, size_t count, uint32_t address) {
	bool allowed = false, any = false;

	for (size_t i = 0; i < count; i++) {
		bool within = ((address ^ prefixes[i].address) & mask_of(prefixes[i].length)) == 0;

		if (prefixes[i].denied && within)
			return false;
		any |= !prefixes[i].denied;
		allowed |= !prefixes[i].denied && within;
	}
	return allowed || !any;
}

static const uint32_t addresses[] = {
	0,
	1,
	0x09ffffff,
	0x0a000000,
	0x0a0100ff,
	0x0a010100,
	0x0affffff,
	0x0b000000,
	0xc0000207,
	0xc0000208,
	0xfffffffe,
	0xffffffff,
};

static void check(const struct source_prefix *prefixes, size_t count, uint32_t n_borders) {
	struct source_ranges *ranges = source_ranges_build(prefixes, count);

	assert_non_null(ranges);
	assert_int_equal(ranges->n_borders, n_borders);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		assert_int_equal(
			source_ranges_take(ranges, addresses[i]),
			takes(prefixes, count, addresses[i])
		);
	source_ranges_free(ranges);
}

static void known_cases(void **state) {
	const struct source_prefix ten = {0x0a000000, 8, false}, not_part = {0x0a010000, 16, true};
	const struct source_prefix part = {0x0a010100, 24, false}, host = {0xc0000207, 32, false};
	const struct source_prefix all = {0, 0, false}, none = {0, 0, true};
	const struct source_prefix last = {0xffffffff, 32, true};

	(void)state;
	check((struct source_prefix[]){ten}, 1, 2);
	check((struct source_prefix[]){ten, host}, 2, 4);
	check((struct source_prefix[]){ten, part}, 2, 2);
	check((struct source_prefix[]){not_part}, 1, 3);
	check((struct source_prefix[]){ten, not_part}, 2, 4);
	// What is denied stays denied, however much longer the prefix that allows it.
	check((struct source_prefix[]){ten, not_part, part}, 3, 4);
	check((struct source_prefix[]){all}, 1, 1);
	check((struct source_prefix[]){all, none}, 2, 0);
	check((struct source_prefix[]){last}, 1, 2);
	check((struct source_prefix[]){{0x0a000000, 9, false}, {0x0a800000, 9, false}}, 2, 2);
	check((struct source_prefix[]){ten, ten, not_part, not_part}, 4, 4);
}

// Addresses on both sides of every border, of small sets that overlap a lot.
static void random_sets_follow_the_rule(void **state) {
	struct source_prefix prefixes[12];

	(void)state;
	random_state = 1;
	for (unsigned round = 0; round < 2000; round++) {
		size_t count = 1 + next_random() % 12;
		struct source_ranges *ranges;

		for (size_t i = 0; i < count; i++) {
			uint8_t length = (uint8_t)(24 + next_random() % 9);
			uint32_t address = 0x0a000000 + next_random() % 512;

			prefixes[i] = (struct source_prefix
			){address & mask_of(length), length, next_random() % 3 == 0};
		}
		ranges = source_ranges_build(prefixes, count);
		assert_non_null(ranges);
		for (uint32_t address = 0x0a000000 - 2; address < 0x0a000000 + 514; address++)
			assert_int_equal(
				source_ranges_take(ranges, address), takes(prefixes, count, address)
			);
		source_ranges_free(ranges);
	}
}

static double seconds_since(const struct timespec *begin) {
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) * 1e-9;
}

#define MANY_SPAN (66667u << 9)

// Every second /24 from 16.0.0.0 on is allowed, and one host of each of the first half is denied.
static struct source_prefix *many(void) {
	struct source_prefix *prefixes = calloc(SOURCE_RANGES_MAX, sizeof(*prefixes));
	size_t at = 0;

	assert_non_null(prefixes);
	for (uint32_t i = 0; at < SOURCE_RANGES_MAX; i++) {
		prefixes[at++] = (struct source_prefix){0x10000000 + (i << 9), 24, false};
		if (i < SOURCE_RANGES_MAX / 3)
			prefixes[at++] =
				(struct source_prefix){0x10000000 + (i << 9) + 7, 32, true};
	}
	return prefixes;
}

// The time is shown, and not held to a bound: machines differ. The size of the result and of the search is what bounds it.
static void a_hundred_thousand_prefixes(void **state) {
	struct source_prefix *prefixes = many();
	struct timespec begin;
	struct source_ranges *ranges;
	unsigned taken = 0;
	double build_s, lookups_s;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	ranges = source_ranges_build(prefixes, SOURCE_RANGES_MAX);
	build_s = seconds_since(&begin);
	assert_non_null(ranges);
	assert_int_equal(ranges->n_borders, 2 * SOURCE_RANGES_MAX);
	for (uint32_t i = 0; i < SOURCE_RANGES_MAX / 3; i++) {
		uint32_t base = 0x10000000 + (i << 9);

		assert_true(source_ranges_take(ranges, base));
		assert_true(source_ranges_take(ranges, base + 6));
		assert_false(source_ranges_take(ranges, base + 7));
		assert_true(source_ranges_take(ranges, base + 8));
		assert_true(source_ranges_take(ranges, base + 255));
		assert_false(source_ranges_take(ranges, base + 256));
	}
	random_state = 1;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned i = 0; i < LOOKUPS; i++)
		taken += source_ranges_take(ranges, 0x10000000 + next_random() % MANY_SPAN);
	lookups_s = seconds_since(&begin);
	assert_in_range(taken, LOOKUPS / 100 * 48, LOOKUPS / 100 * 52);
	print_message(
		"%d prefixes: built in %.1f ms, %u KiB; %.0f ns a lookup\n",
		SOURCE_RANGES_MAX,
		build_s * 1e3,
		(unsigned)(ranges->n_borders * sizeof(ranges->borders[0]) >> 10),
		lookups_s / LOOKUPS * 1e9
	);
	source_ranges_free(ranges);
	free(prefixes);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_cases),
		cmocka_unit_test(random_sets_follow_the_rule),
		cmocka_unit_test(a_hundred_thousand_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
