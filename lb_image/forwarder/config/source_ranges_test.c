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

static unsigned __int128 mask_of(uint8_t length) {
	return length ? ~(unsigned __int128)0 << (128 - length) : 0;
}

static unsigned __int128 address_of(const struct source_prefix *prefix) {
	return (unsigned __int128)prefix->high << 64 | prefix->low;
}

static struct source_prefix prefix128(unsigned __int128 address, uint8_t length, bool denied) {
	address &= mask_of(length);
	return (struct source_prefix){(uint64_t)(address >> 64), (uint64_t)address, length, denied};
}

static struct source_prefix prefix4(uint32_t address, uint8_t length, bool denied) {
	return prefix128((unsigned __int128)address << 96, length, denied);
}

// The rule itself, prefix by prefix.
static bool takes(const struct source_prefix *prefixes, size_t count, unsigned __int128 address) {
	bool allowed = false, any = false;

	for (size_t i = 0; i < count; i++) {
		bool within =
			((address ^ address_of(&prefixes[i])) & mask_of(prefixes[i].length)) == 0;

		if (prefixes[i].denied && within)
			return false;
		any |= !prefixes[i].denied;
		allowed |= !prefixes[i].denied && within;
	}
	return allowed || !any;
}

static bool take6(const struct source_ranges *ranges, unsigned __int128 address) {
	struct ipv6_address given = ipv6_make((uint64_t)(address >> 64), (uint64_t)address);

	return source_ranges_take6(ranges, &given);
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
	struct source_ranges *ranges = source_ranges_build(prefixes, count, false);

	assert_non_null(ranges);
	assert_int_equal(ranges->n_borders, n_borders);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		assert_int_equal(
			source_ranges_take(ranges, addresses[i]),
			takes(prefixes, count, (unsigned __int128)addresses[i] << 96)
		);
	source_ranges_free(ranges);
}

static void known_cases(void **state) {
	const struct source_prefix ten = prefix4(0x0a000000, 8, false);
	const struct source_prefix not_part = prefix4(0x0a010000, 16, true);
	const struct source_prefix part = prefix4(0x0a010100, 24, false);
	const struct source_prefix host = prefix4(0xc0000207, 32, false);
	const struct source_prefix last = prefix4(0xffffffff, 32, true);
	const struct source_prefix all = prefix4(0, 0, false), none = prefix4(0, 0, true);
	const struct source_prefix halves[] = {
		prefix4(0x0a000000, 9, false),
		prefix4(0x0a800000, 9, false),
	};

	(void)state;
	check((struct source_prefix[]){ten}, 1, 2);
	check((struct source_prefix[]){ten, host}, 2, 4);
	check((struct source_prefix[]){ten, part}, 2, 2);
	check((struct source_prefix[]){not_part}, 1, 3);
	check((struct source_prefix[]){ten, not_part}, 2, 4);
	// What is denied stays denied, however much longer the prefix that allows it.
	check((struct source_prefix[]){ten, not_part, part}, 3, 4);
	check((struct source_prefix[]){all}, 1, 1);
	check((struct source_prefix[]){none}, 1, 0);
	check((struct source_prefix[]){all, none}, 2, 0);
	check((struct source_prefix[]){last}, 1, 2);
	check(halves, 2, 2);
	check((struct source_prefix[]){ten, ten, not_part, not_part}, 4, 4);
}

static void check6(const struct source_prefix *prefixes, size_t count, uint32_t n_borders) {
	struct source_ranges *ranges = source_ranges_build(prefixes, count, true);
	unsigned __int128 around[] = {0, ~(unsigned __int128)0};

	assert_non_null(ranges);
	assert_int_equal(ranges->n_borders, n_borders);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(take6(ranges, around[i]), takes(prefixes, count, around[i]));
	for (size_t i = 0; i < count; i++) {
		unsigned __int128 first = address_of(&prefixes[i]);
		unsigned __int128 last = first | ~mask_of(prefixes[i].length);
		unsigned __int128 near[] = {first - 1, first, first + 1, last - 1, last, last + 1};

		for (size_t n = 0; n < 6; n++)
			assert_int_equal(take6(ranges, near[n]), takes(prefixes, count, near[n]));
	}
	source_ranges_free(ranges);
}

// Borders within either half of an address, and at the seam.
static void known_cases6(void **state) {
	const unsigned __int128 site = (unsigned __int128)0x20010db800000000 << 64;
	const struct source_prefix doc = prefix128(site, 32, false);
	const struct source_prefix lan = prefix128(site, 64, true);
	const struct source_prefix host = prefix128(site + 7, 128, false);
	const struct source_prefix last = prefix128(~(unsigned __int128)0, 128, true);
	const struct source_prefix all = prefix128(0, 0, false);
	const struct source_prefix upper = prefix128((unsigned __int128)1 << 127, 1, false);

	(void)state;
	check6(&doc, 1, 2);
	check6((struct source_prefix[]){doc, lan}, 2, 2);
	check6((struct source_prefix[]){doc, lan, host}, 3, 2);
	check6((struct source_prefix[]){host}, 1, 2);
	check6((struct source_prefix[]){lan}, 1, 3);
	check6((struct source_prefix[]){all}, 1, 1);
	check6((struct source_prefix[]){all, last}, 2, 2);
	check6((struct source_prefix[]){upper}, 1, 1);
	check6((struct source_prefix[]){upper, prefix128(0, 1, false)}, 2, 1);
	check6((struct source_prefix[]){prefix128(site, 127, false), host}, 2, 4);
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

			prefixes[i] = prefix4(address, length, next_random() % 3 == 0);
		}
		ranges = source_ranges_build(prefixes, count, false);
		assert_non_null(ranges);
		for (uint32_t address = 0x0a000000 - 2; address < 0x0a000000 + 514; address++)
			assert_int_equal(
				source_ranges_take(ranges, address),
				takes(prefixes, count, (unsigned __int128)address << 96)
			);
		source_ranges_free(ranges);
	}
}

// The same over the seam between the halves of an address.
static void random_sets_follow_the_rule6(void **state) {
	const unsigned __int128 middle = ((unsigned __int128)0x20010db800000001 << 64) - 256;
	struct source_prefix prefixes[12];

	(void)state;
	random_state = 1;
	for (unsigned round = 0; round < 2000; round++) {
		size_t count = 1 + next_random() % 12;
		struct source_ranges *ranges;

		for (size_t i = 0; i < count; i++)
			prefixes[i] = prefix128(
				middle + next_random() % 512,
				(uint8_t)(120 + next_random() % 9),
				next_random() % 3 == 0
			);
		ranges = source_ranges_build(prefixes, count, true);
		assert_non_null(ranges);
		for (unsigned __int128 address = middle - 258; address < middle + 514; address++)
			assert_int_equal(take6(ranges, address), takes(prefixes, count, address));
		source_ranges_free(ranges);
	}
}

static double seconds_since(const struct timespec *begin) {
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) * 1e-9;
}

#define MANY_SPAN (66667u << 9)
#define MANY_FIRST 0x10000000u

// Every second /24 from 16.0.0.0 on is allowed, and one host of each of the first half is denied.
static struct source_prefix *many(void) {
	struct source_prefix *prefixes = calloc(SOURCE_RANGES_MAX, sizeof(*prefixes));
	size_t at = 0;

	assert_non_null(prefixes);
	for (uint32_t i = 0; at < SOURCE_RANGES_MAX; i++) {
		prefixes[at++] = prefix4(MANY_FIRST + (i << 9), 24, false);
		if (i < SOURCE_RANGES_MAX / 3)
			prefixes[at++] = prefix4(MANY_FIRST + (i << 9) + 7, 32, true);
	}
	return prefixes;
}

// The same networks within 2001:db8::/32 and the 32 bits behind it: /88, and /96 for a host.
static struct source_prefix *many6(void) {
	struct source_prefix *prefixes = many();

	for (size_t i = 0; i < SOURCE_RANGES_MAX; i++)
		prefixes[i] = prefix128(
			(unsigned __int128)0x20010db8 << 96 | address_of(&prefixes[i]) >> 64,
			(uint8_t)(prefixes[i].length + 64),
			prefixes[i].denied
		);
	return prefixes;
}

// `address` of many(), in the family's own form.
static bool take_of_many(const struct source_ranges *ranges, uint32_t address, bool ipv6) {
	if (!ipv6)
		return source_ranges_take(ranges, address);
	return take6(
		ranges, (unsigned __int128)0x20010db8 << 96 | (unsigned __int128)address << 32
	);
}

// The time is shown, and not held to a bound: machines differ. The size of the result and of the search is what bounds it.
static void check_many(struct source_prefix *prefixes, bool ipv6) {
	size_t border_size = ipv6 ? sizeof(struct source_border6) : sizeof(uint32_t);
	struct timespec begin;
	struct source_ranges *ranges;
	unsigned taken = 0;
	double build_s, lookups_s;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	ranges = source_ranges_build(prefixes, SOURCE_RANGES_MAX, ipv6);
	build_s = seconds_since(&begin);
	assert_non_null(ranges);
	assert_int_equal(ranges->n_borders, 2 * SOURCE_RANGES_MAX);
	for (uint32_t i = 0; i < SOURCE_RANGES_MAX / 3; i++) {
		uint32_t base = MANY_FIRST + (i << 9);

		assert_true(take_of_many(ranges, base, ipv6));
		assert_true(take_of_many(ranges, base + 6, ipv6));
		assert_false(take_of_many(ranges, base + 7, ipv6));
		assert_true(take_of_many(ranges, base + 8, ipv6));
		assert_true(take_of_many(ranges, base + 255, ipv6));
		assert_false(take_of_many(ranges, base + 256, ipv6));
	}
	random_state = 1;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned i = 0; i < LOOKUPS; i++)
		taken += take_of_many(ranges, MANY_FIRST + next_random() % MANY_SPAN, ipv6);
	lookups_s = seconds_since(&begin);
	assert_in_range(taken, LOOKUPS / 100 * 48, LOOKUPS / 100 * 52);
	print_message(
		"%d prefixes of IPv%c: built in %.1f ms, %zu KiB; %.0f ns a lookup\n",
		SOURCE_RANGES_MAX,
		ipv6 ? '6' : '4',
		build_s * 1e3,
		ranges->n_borders * border_size >> 10,
		lookups_s / LOOKUPS * 1e9
	);
	source_ranges_free(ranges);
	free(prefixes);
}

static void a_hundred_thousand_prefixes(void **state) {
	(void)state;
	check_many(many(), false);
}

static void a_hundred_thousand_prefixes6(void **state) {
	(void)state;
	check_many(many6(), true);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_cases),
		cmocka_unit_test(random_sets_follow_the_rule),
		cmocka_unit_test(a_hundred_thousand_prefixes),
		cmocka_unit_test(known_cases6),
		cmocka_unit_test(random_sets_follow_the_rule6),
		cmocka_unit_test(a_hundred_thousand_prefixes6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
