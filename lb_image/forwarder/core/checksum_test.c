// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

// The definition, word by word (RFC 1071).
static uint16_t sum_of(const uint16_t *words, unsigned count) {
	uint32_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += words[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void words_agree_with_the_definition(void **state) {
	uint16_t words[30];

	(void)state;
	srandom(1);
	for (unsigned round = 0; round < 10000; round++) {
		unsigned count = 1 + (unsigned)random() % 30;

		for (unsigned i = 0; i < count; i++)
			words[i] = random() % 4 ? (uint16_t)random() : 0xffff;
		assert_int_equal(checksum_words(words, count), sum_of(words, count));
	}
}

static void header_without_options_agrees_with_the_general_sum(void **state) {
	uint16_t header[10];

	(void)state;
	srandom(2);
	for (unsigned round = 0; round < 10000; round++) {
		for (unsigned i = 0; i < 10; i++)
			header[i] = random() % 4 ? (uint16_t)random() : 0xffff;
		header[5] = 0;
		header[5] = (uint16_t)~sum_of(header, 10);
		assert_true(checksum_ipv4_good(header));
		header[random() % 10] ^= (uint16_t)(1 << random() % 16);
		assert_int_equal(checksum_ipv4_good(header), checksum_words(header, 10) == 0xffff);
		assert_false(checksum_ipv4_good(header));
	}
}

static void adjusted_equals_recomputed(void **state) {
	uint16_t words[4];

	(void)state;
	srandom(3);
	for (unsigned round = 0; round < 10000; round++) {
		uint16_t from, to = (uint16_t)random(), before, after;

		for (unsigned i = 0; i < 4; i++)
			words[i] = (uint16_t)(random() | 1);
		before = (uint16_t)~sum_of(words, 4);
		from = words[2];
		words[2] = to;
		after = checksum_adjust(before, checksum_delta16(from, to));
		// Both forms of zero are the same sum.
		assert_int_equal(after % 0xffff, (uint16_t)~sum_of(words, 4) % 0xffff);
	}
}

// RFC 1624, section 4: the example that RFC 1141 gets wrong.
static void example_of_the_rfc(void **state) {
	(void)state;
	assert_int_equal(checksum_adjust(0xdd2f, checksum_delta16(0x5555, 0x3285)), 0x0000);
}

static void wide_delta_is_the_sum_of_two(void **state) {
	(void)state;
	assert_int_equal(
		checksum_delta32(0x12345678, 0x9abcdef0) % 0xffff,
		checksum_add(checksum_delta16(0x1234, 0x9abc), checksum_delta16(0x5678, 0xdef0))
			% 0xffff
	);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_agree_with_the_definition),
		cmocka_unit_test(header_without_options_agrees_with_the_general_sum),
		cmocka_unit_test(adjusted_equals_recomputed),
		cmocka_unit_test(example_of_the_rfc),
		cmocka_unit_test(wide_delta_is_the_sum_of_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
