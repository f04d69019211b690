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
	struct fwd_worker *workers[2];

	(void)state;
	start(IPPROTO_UDP);
	f.listener->backends[0].max_connections = 3;
	f.listener->policy.max_connections = 4;
	fwd_listener_measure(f.listener);
	fixture_pair(&f, workers);
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
	fixture_pair_stop(&f, workers);
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

#define STICKY_S 100u
#define CLIENTS 64u

// Index of the backend that gets a client's new flow.
static unsigned
backend_of(struct fwd_worker *worker, uint32_t client, uint16_t port, uint32_t now_s) {
	const struct ipv4_header *ip =
		(const struct ipv4_header *)(f.frame + sizeof(struct ether_header));

	fixture_frame(&f, 0, FIXTURE_CLIENT + client, port, FIXTURE_VIP, 80, 0);
	worker_process(worker, &f.config, &f.packet, 1, now_s * 1000ull);
	assert_int_equal(f.packet.verdict, FWD_TX);
	return ntohl(ip->dst) - 0x0af40005;
}

// As a new generation would have it; the slots stay.
static void use_sticky(unsigned n, unsigned draining) {
	uint16_t weights[8] = {1, 1, 1, 1, 1, 1, 1, 1};

	if (draining < n)
		weights[draining] = 0;
	free(f.listener);
	f.listener = fixture_listener(IPPROTO_UDP, n, weights);
	f.listener->scheduler = FWD_SCHEDULER_RR;
	f.listener->policy.affinity_s = STICKY_S;
	f.config.listeners[0] = f.listener;
}

static void client_stays_when_backends_come(void **state) {
	unsigned first[CLIENTS], moved = 0;

	(void)state;
	start(IPPROTO_UDP);
	use_sticky(3, 8);
	for (uint32_t c = 0; c < CLIENTS; c++)
		first[c] = backend_of(f.worker, c, 1000, FIXTURE_NOW_S);
	use_sticky(6, 8);
	for (uint32_t c = 0; c < CLIENTS; c++)
		assert_int_equal(backend_of(f.worker, c, 1001, FIXTURE_NOW_S + 99), first[c]);
	// Each new flow counts from anew.
	for (uint32_t c = 0; c < CLIENTS; c++)
		assert_int_equal(backend_of(f.worker, c, 1002, FIXTURE_NOW_S + 198), first[c]);
	for (uint32_t c = 0; c < CLIENTS; c++)
		moved += backend_of(f.worker, c, 1003, FIXTURE_NOW_S + 298) != first[c];
	assert_in_range(moved, CLIENTS / 4, CLIENTS * 3 / 4);
}

static void client_of_a_backend_that_drains_or_goes_moves_for_good(void **state) {
	unsigned first[CLIENTS], second[CLIENTS], moved = 0;

	(void)state;
	start(IPPROTO_UDP);
	use_sticky(4, 8);
	for (uint32_t c = 0; c < CLIENTS; c++)
		first[c] = backend_of(f.worker, c, 1000, FIXTURE_NOW_S);
	use_sticky(4, 1);
	for (uint32_t c = 0; c < CLIENTS; c++) {
		second[c] = backend_of(f.worker, c, 1001, FIXTURE_NOW_S + 1);
		assert_int_not_equal(second[c], 1);
		if (first[c] != 1)
			assert_int_equal(second[c], first[c]);
	}
	use_sticky(4, 8);
	for (uint32_t c = 0; c < CLIENTS; c++)
		assert_int_equal(backend_of(f.worker, c, 1002, FIXTURE_NOW_S + 2), second[c]);
	use_sticky(3, 8); // the last one goes
	for (uint32_t c = 0; c < CLIENTS; c++)
		moved += backend_of(f.worker, c, 1003, FIXTURE_NOW_S + 3) != second[c];
	assert_in_range(moved, 1, CLIENTS / 2);
}

// RSS brings the flows of one client to any worker: whatever came between, they must say the same.
static void workers_agree_about_a_client(void **state) {
	struct fwd_worker *workers[2];
	unsigned seen[CLIENTS];

	(void)state;
	start(IPPROTO_UDP);
	fixture_pair(&f, workers);
	use_sticky(3, 8);
	for (uint32_t c = 0; c < CLIENTS; c++)
		seen[c] = backend_of(workers[c % 2], c, 1000, FIXTURE_NOW_S);
	use_sticky(6, 8); // the other worker sees him for the first time after a change
	for (uint32_t c = 0; c < CLIENTS; c++)
		assert_int_equal(
			backend_of(workers[!(c % 2)], c, 1001, FIXTURE_NOW_S + 1), seen[c]
		);
	use_sticky(6, 0); // one worker moves him, to and fro goes the weight, the other follows
	for (uint32_t c = 0; c < CLIENTS; c++)
		seen[c] = backend_of(workers[c % 2], c, 1002, FIXTURE_NOW_S + 2);
	use_sticky(6, 8);
	for (uint32_t c = 0; c < CLIENTS; c++)
		assert_int_equal(
			backend_of(workers[!(c % 2)], c, 1003, FIXTURE_NOW_S + 3), seen[c]
		);
	fixture_pair_stop(&f, workers);
}

// Where both agree at once: nobody has seen the client before.
static void strangers_go_where_the_hash_says(void **state) {
	struct fwd_worker *workers[2];

	(void)state;
	start(IPPROTO_UDP);
	fixture_pair(&f, workers);
	use_sticky(5, 8);
	for (uint32_t c = 0; c < CLIENTS; c++) {
		const struct flow_key key = {.client_address = htonl(FIXTURE_CLIENT + c)};

		assert_int_equal(
			backend_of(workers[c % 2], c, 1000, FIXTURE_NOW_S),
			scheduler_pick_hashed(f.listener, &key)
		);
	}
	fixture_pair_stop(&f, workers);
}

// He is expected back: the place that he had is his as soon as there is room.
static void full_backend_lends_its_client(void **state) {
	unsigned first;

	(void)state;
	start(IPPROTO_UDP);
	use_sticky(3, 8);
	first = backend_of(f.worker, 1, 1000, FIXTURE_NOW_S);
	f.listener->backends[first].max_connections = 1;
	fwd_listener_measure(f.listener);
	assert_int_not_equal(backend_of(f.worker, 1, 1001, FIXTURE_NOW_S), first);
	f.listener->backends[first].max_connections = 0;
	fwd_listener_measure(f.listener);
	assert_int_equal(backend_of(f.worker, 1, 1002, FIXTURE_NOW_S), first);
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
		TEST(client_stays_when_backends_come),
		TEST(client_of_a_backend_that_drains_or_goes_moves_for_good),
		TEST(workers_agree_about_a_client),
		TEST(strangers_go_where_the_hash_says),
		TEST(full_backend_lends_its_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
