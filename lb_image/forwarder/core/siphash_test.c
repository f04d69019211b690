// SPDX-License-Identifier: Apache-2.0

#include "siphash.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// The paper's appendix A, and the reference implementation's vectors for the lengths about a word: key 00 01 .. 0f, data 00 01 ...
static const struct {
	size_t length;
	uint64_t hash;
} vectors[] = {
	{0, 0x726fdb47dd0e0e31u},
	{1, 0x74f839c593dc67fdu},
	{7, 0xab0200f58b01d137u},
	{8, 0x93f5f5799a932462u},
	{15, 0xa129ca6149be45e5u},
};

static void agrees_with_the_paper(void **state) {
	uint8_t bytes[16];

	(void)state;
	for (uint8_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_true(siphash(bytes, bytes, vectors[i].length) == vectors[i].hash);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_the_paper)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
