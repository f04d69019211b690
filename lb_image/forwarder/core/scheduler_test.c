// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

#define BACKENDS_MAX 8

static const struct backend_counters no_flows[BACKENDS_MAX];
static const struct flow_key some_client = {.client_address = 1};

static void count_picks(const struct fwd_listener *listener, unsigned picks, unsigned *counts) {
	struct scheduler_state state = {0};

	memset(counts, 0, BACKENDS_MAX * sizeof(*counts));
	for (unsigned i = 0; i < picks; i++) {
		uint32_t picked = scheduler_pick(listener, &state, no_flows, &some_client);

		assert_true(picked < listener->n_backends);
		counts[picked]++;
	}
}

static void rr_gives_each_its_turn_but_those_that_drain(void **state) {
	struct fwd_listener *listener = fixture_listener(IPPROTO_UDP, 4, (uint16_t[]){1, 0, 9, 1});
	unsigned counts[BACKENDS_MAX];

	(void)state;
	listener->scheduler = FWD_SCHEDULER_RR;
	count_picks(listener, 300, counts);
	assert_int_equal(counts[0], 100);
	assert_int_equal(counts[1], 0);
	assert_int_equal(counts[2], 100);
	assert_int_equal(counts[3], 100);
	free(listener);
}

static void wrr_keeps_the_weights_exactly(void **state) {
	struct fwd_listener *listener = fixture_listener(IPPROTO_UDP, 4, (uint16_t[]){4, 0, 2, 6});
	unsigned counts[BACKENDS_MAX];

	(void)state;
	count_picks(listener, 60, counts); // ten times (2 + 1 + 3)
	assert_int_equal(counts[0], 20);
	assert_int_equal(counts[1], 0);
	assert_int_equal(counts[2], 10);
	assert_int_equal(counts[3], 30);
	free(listener);
}

static void wrr_with_the_largest_weight_ends(void **state) {
	struct fwd_listener *listener = fixture_listener(IPPROTO_UDP, 2, (uint16_t[]){65535, 1});
	unsigned counts[BACKENDS_MAX];

	(void)state;
	count_picks(listener, 65536, counts);
	assert_int_equal(counts[0], 65535);
	assert_int_equal(counts[1], 1);
	free(listener);
}

static void nothing_to_pick(void **state) {
	struct fwd_listener *drained = fixture_listener(IPPROTO_UDP, 2, (uint16_t[]){0, 0});
	struct fwd_listener *empty = fixture_listener(IPPROTO_UDP, 0, NULL);
	struct scheduler_state picks = {0};

	(void)state;
	assert_int_equal(scheduler_pick(drained, &picks, no_flows, &some_client), SCHEDULER_NONE);
	assert_int_equal(scheduler_pick(empty, &picks, no_flows, &some_client), SCHEDULER_NONE);
	free(drained);
	free(empty);
}

// A new generation has fewer backends and smaller weights than the state stands at.
static void state_of_another_generation_is_good(void **state) {
	struct fwd_listener *listener = fixture_listener(IPPROTO_UDP, 2, (uint16_t[]){1, 1});
	struct scheduler_state picks = {.next = 700, .weight = 30000};

	(void)state;
	assert_true(scheduler_pick(listener, &picks, no_flows, &some_client) < 2);
	listener->scheduler = FWD_SCHEDULER_RR;
	picks = (struct scheduler_state){.next = 700, .weight = 30000};
	assert_int_equal(scheduler_pick(listener, &picks, no_flows, &some_client), 0);
	free(listener);
}

static void lc_takes_the_one_with_fewest_flows(void **state) {
	struct fwd_listener *listener = fixture_listener(IPPROTO_UDP, 4, (uint16_t[]){1, 0, 9, 1});
	struct backend_counters counters[BACKENDS_MAX] = {
		{.active_flows = 5}, {0}, {.active_flows = 4}, {.active_flows = 4}};
	struct scheduler_state picks = {0};

	(void)state;
	listener->scheduler = FWD_SCHEDULER_LC;
	assert_int_equal(scheduler_pick(listener, &picks, counters, &some_client), 2);
	// As many again: the next in turn.
	assert_int_equal(scheduler_pick(listener, &picks, counters, &some_client), 3);
	counters[0].active_flows = 3;
	assert_int_equal(scheduler_pick(listener, &picks, counters, &some_client), 0);
	free(listener);
}

static void wlc_divides_by_the_weight(void **state) {
	struct fwd_listener *listener = fixture_listener(IPPROTO_UDP, 3, (uint16_t[]){1, 3, 6});
	struct backend_counters counters[BACKENDS_MAX] = {0};
	struct scheduler_state picks = {0};

	(void)state;
	listener->scheduler = FWD_SCHEDULER_WLC;
	for (unsigned n = 0; n < 1000; n++)
		counters[scheduler_pick(listener, &picks, counters, &some_client)].active_flows++;
	assert_int_equal(counters[0].active_flows, 100);
	assert_int_equal(counters[1].active_flows, 300);
	assert_int_equal(counters[2].active_flows, 600);
	free(listener);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lc_takes_the_one_with_fewest_flows),
		cmocka_unit_test(wlc_divides_by_the_weight),
		cmocka_unit_test(rr_gives_each_its_turn_but_those_that_drain),
		cmocka_unit_test(wrr_keeps_the_weights_exactly),
		cmocka_unit_test(wrr_with_the_largest_weight_ends),
		cmocka_unit_test(nothing_to_pick),
		cmocka_unit_test(state_of_another_generation_is_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
