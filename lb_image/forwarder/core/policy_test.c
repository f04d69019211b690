// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"
#include "source_ranges.h"

static struct fixture f;

static int tear_down(void **state) {
	(void)state;
	fixture_stop(&f);
	memset(&f, 0, sizeof(f));
	return 0;
}

static uint64_t drops(enum drop_reason reason) {
	return f.worker->counters.drops[reason];
}

static void start(uint8_t protocol) {
	fixture_start(&f, 1024, protocol);
}

// Another set of backends, with one limit each.
static void use_backends(unsigned n, const uint32_t *limits) {
	static const uint16_t weights[8] = {1, 1, 1, 1, 1, 1, 1, 1};

	free(f.listener);
	f.listener = fixture_listener(IPPROTO_UDP, n, weights);
	for (unsigned i = 0; i < n; i++)
		f.listener->backends[i].max_connections = limits[i];
	fwd_listener_measure(f.listener);
	f.config.listeners[0] = f.listener;
}

static void assert_client(uint16_t port, uint8_t flags, enum drop_reason reason) {
	fixture_client(&f, port, flags, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, reason == DROP_NONE ? FWD_TX : FWD_DROP);
	assert_int_equal(f.packet.drop_reason, reason);
}

static void full_listener_refuses_new_flows_and_keeps_old_ones(void **state) {
	(void)state;
	start(IPPROTO_UDP);
	f.listener->policy.max_connections = 2;
	fwd_listener_measure(f.listener);
	assert_client(20000, 0, DROP_NONE);
	assert_client(20001, 0, DROP_NONE);
	assert_client(20002, 0, DROP_CONNECTION_LIMIT);
	assert_client(20000, 0, DROP_NONE);
	assert_int_equal(drops(DROP_CONNECTION_LIMIT), 1);
	assert_int_equal(f.worker->flows.active, 2);
}

// Its flow stays for a while, but is no burden to anyone.
static void closed_connection_makes_room(void **state) {
	(void)state;
	start(IPPROTO_TCP);
	f.listener->policy.max_connections = 1;
	f.listener->backends[0].max_connections = 1;
	fwd_listener_measure(f.listener);
	assert_client(20000, TCP_SYN, DROP_NONE);
	assert_client(20001, TCP_SYN, DROP_CONNECTION_LIMIT);
	assert_client(20000, TCP_RST, DROP_NONE);
	assert_client(20001, TCP_SYN, DROP_NONE);
	assert_client(20000, TCP_SYN, DROP_CONNECTION_LIMIT);
	assert_int_equal(f.worker->counters.listeners[0].closed_flows, 0);
	assert_int_equal(f.worker->counters.backends[0].closed_flows, 0);
}

static void limits_hold_over_all_workers(void **state) {
	struct worker_group *group = aligned_alloc(64, (sizeof(*group) + 63) & ~(size_t)63);
	struct fwd_worker *workers[2];

	(void)state;
	start(IPPROTO_UDP);
	f.base.n_workers = 2;
	memset(group, 0, sizeof(*group));
	worker_group_init(group, &f.base);
	f.listener->backends[0].max_connections = 3;
	f.listener->policy.max_connections = 4;
	fwd_listener_measure(f.listener);
	free(f.worker);
	for (unsigned i = 0; i < 2; i++)
		workers[i] = fixture_worker_of(&f.base, f.neighbours, group, i);
	for (uint16_t n = 0; n < 5; n++) {
		f.worker = workers[n % 2];
		assert_client(20000 + n, 0, n < 3 ? DROP_NONE : DROP_BACKEND_LIMIT);
	}
	f.listener->policy.max_connections = 3;
	fwd_listener_measure(f.listener);
	for (uint16_t n = 0; n < 2; n++) {
		f.worker = workers[n];
		assert_client(21000 + n, 0, DROP_CONNECTION_LIMIT);
	}
	free(workers[0]);
	free(group);
}

static void full_backend_is_passed_over_by_every_scheduler(void **state) {
	(void)state;
	for (unsigned scheduler = FWD_SCHEDULER_RR; scheduler <= FWD_SCHEDULER_MH; scheduler++) {
		const struct backend_counters *counters;

		start(IPPROTO_UDP);
		use_backends(3, (uint32_t[]){2, 3, 4});
		f.listener->scheduler = (enum fwd_scheduler)scheduler;
		for (uint16_t n = 0; n < 9; n++)
			assert_client(20000 + n, 0, DROP_NONE);
		counters = f.worker->counters.backends;
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(counters[i].active_flows, 2 + i);
		assert_client(20009, 0, DROP_BACKEND_LIMIT);
		assert_client(20003, 0, DROP_NONE);
		tear_down(NULL);
	}
	start(IPPROTO_UDP);
}

// One that drains is no way out.
static void weight_zero_takes_nothing_of_a_full_one(void **state) {
	(void)state;
	start(IPPROTO_UDP);
	use_backends(2, (uint32_t[]){1, 0});
	f.listener->backends[1].weight = 0;
	fwd_listener_measure(f.listener);
	assert_client(20000, 0, DROP_NONE);
	assert_client(20001, 0, DROP_BACKEND_LIMIT);
	f.listener->backends[0].weight = 0;
	fwd_listener_measure(f.listener);
	assert_client(20001, 0, DROP_NO_BACKENDS);
}

// Whose flow is there goes on, whatever a new generation says of its address.
static void denied_source_makes_no_flow(void **state) {
	struct source_ranges *none = calloc(1, sizeof(*none));

	(void)state;
	start(IPPROTO_UDP);
	assert_client(20000, 0, DROP_NONE);
	f.listener->policy.sources = none;
	fwd_listener_measure(f.listener);
	assert_client(20001, 0, DROP_SOURCE_DENIED);
	assert_client(20000, 0, DROP_NONE);
	free(none);
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(full_listener_refuses_new_flows_and_keeps_old_ones),
		TEST(closed_connection_makes_room),
		TEST(limits_hold_over_all_workers),
		TEST(full_backend_is_passed_over_by_every_scheduler),
		TEST(weight_zero_takes_nothing_of_a_full_one),
		TEST(denied_source_makes_no_flow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
