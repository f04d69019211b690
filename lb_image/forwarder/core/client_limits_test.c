// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

static struct fixture f;

static int tear_down(void **state) {
	(void)state;
	fixture_stop(&f);
	memset(&f, 0, sizeof(f));
	return 0;
}

static void start(uint8_t protocol, uint32_t max_connections, uint32_t rate) {
	fixture_start(&f, 4096, protocol);
	f.listener->policy.client_max_connections = max_connections;
	f.listener->policy.client_rate = rate;
	fwd_listener_measure(f.listener);
}

static enum drop_reason
send_as(struct fwd_worker *worker, uint32_t client, uint16_t port, uint8_t flags, uint64_t now_ms) {
	fixture_frame(&f, 0, FIXTURE_CLIENT + client, port, FIXTURE_VIP, 80, flags);
	worker_process(worker, &f.config, &f.packet, 1, now_ms);
	return f.packet.drop_reason;
}

static uint64_t drops(enum drop_reason reason) {
	return f.worker->counters.drops[reason];
}

static uint64_t counted(void) {
	const struct client_table *table = &f.worker->clients;
	uint64_t sum = 0;

	for (size_t i = 0; i < ((size_t)table->bucket_mask + 1) * CLIENT_WAYS; i++)
		sum += client_value(table->words[i]);
	return sum;
}

static void each_client_has_its_own_limit(void **state) {
	const uint64_t now_ms = FIXTURE_NOW_S * 1000ull;

	(void)state;
	start(IPPROTO_TCP, 2, 0);
	for (uint32_t client = 0; client < 3; client++) {
		assert_int_equal(send_as(f.worker, client, 1, TCP_SYN, now_ms), DROP_NONE);
		assert_int_equal(send_as(f.worker, client, 2, TCP_SYN, now_ms), DROP_NONE);
		assert_int_equal(send_as(f.worker, client, 3, TCP_SYN, now_ms), DROP_CLIENT_LIMIT);
		assert_int_equal(send_as(f.worker, client, 1, TCP_ACK, now_ms), DROP_NONE);
	}
	// One that was reset counts no longer, and not twice less when its flow is deleted.
	assert_int_equal(send_as(f.worker, 0, 1, TCP_RST, now_ms), DROP_NONE);
	assert_int_equal(send_as(f.worker, 0, 3, TCP_SYN, now_ms), DROP_NONE);
	assert_int_equal(send_as(f.worker, 0, 1, TCP_SYN, now_ms), DROP_CLIENT_LIMIT);
	assert_int_equal(send_as(f.worker, 0, 4, TCP_SYN, now_ms), DROP_CLIENT_LIMIT);
	assert_int_equal(counted(), 6);
}

static void idle_flow_counts_no_longer(void **state) {
	struct fwd_emit out[32];

	(void)state;
	start(IPPROTO_UDP, 1, 0);
	assert_int_equal(send_as(f.worker, 0, 1, 0, FIXTURE_NOW_S * 1000ull), DROP_NONE);
	for (unsigned call = 0; call < 5000; call++)
		worker_housekeeping(f.worker, &f.config, (FIXTURE_NOW_S + 180) * 1000ull, out, 32);
	assert_int_equal(counted(), 0);
	for (uint32_t word = 0; word < CLIENT_WAYS * (f.worker->clients.bucket_mask + 1); word++)
		assert_int_equal(f.worker->clients.words[word], 0);
	// The gateway's MAC is forgotten by now, which stops the packet, but not the flow.
	send_as(f.worker, 0, 2, 0, (FIXTURE_NOW_S + 180) * 1000ull);
	assert_int_equal(drops(DROP_CLIENT_LIMIT), 0);
	assert_int_equal(counted(), 1);
}

// Flows from before a limit are not counted, those from under one stay counted when it is gone.
static void limit_that_comes_and_goes(void **state) {
	const uint64_t now_ms = FIXTURE_NOW_S * 1000ull;

	(void)state;
	start(IPPROTO_TCP, 0, 0);
	assert_int_equal(send_as(f.worker, 0, 1, TCP_SYN, now_ms), DROP_NONE);
	f.listener->policy.client_max_connections = 1;
	fwd_listener_measure(f.listener);
	assert_int_equal(send_as(f.worker, 0, 2, TCP_SYN, now_ms), DROP_NONE);
	assert_int_equal(send_as(f.worker, 0, 3, TCP_SYN, now_ms), DROP_CLIENT_LIMIT);
	f.listener->policy.client_max_connections = 0;
	fwd_listener_measure(f.listener);
	assert_int_equal(send_as(f.worker, 0, 1, TCP_RST, now_ms), DROP_NONE);
	assert_int_equal(counted(), 1);
	assert_int_equal(send_as(f.worker, 0, 2, TCP_RST, now_ms), DROP_NONE);
	assert_int_equal(counted(), 0);
}

static void limits_hold_over_all_workers(void **state) {
	struct fwd_worker *workers[2];
	uint64_t now_ms = FIXTURE_NOW_S * 1000ull;

	(void)state;
	start(IPPROTO_UDP, 3, 0);
	fixture_pair(&f, workers);
	for (uint16_t n = 0; n < 5; n++)
		assert_int_equal(
			send_as(workers[n % 2], 0, n, 0, now_ms),
			n < 3 ? DROP_NONE : DROP_CLIENT_LIMIT
		);
	f.listener->policy.client_max_connections = 0;
	f.listener->policy.client_rate = 10;
	fwd_listener_measure(f.listener);
	for (uint16_t n = 0; n < 12; n++)
		assert_int_equal(
			send_as(workers[n % 2], 0, 100 + n, 0, now_ms),
			n < 10 ? DROP_NONE : DROP_CLIENT_RATE
		);
	fixture_pair_stop(&f, workers);
}

// As many as a second may bring at once, then one for each part of a second.
static void rate_is_a_bucket_of_tokens(void **state) {
	uint64_t now_ms = FIXTURE_NOW_S * 1000ull;
	unsigned made = 0;

	(void)state;
	start(IPPROTO_UDP, 0, 4);
	for (uint16_t n = 0; n < 10; n++)
		made += send_as(f.worker, 0, 1000 + n, 0, now_ms) == DROP_NONE;
	assert_int_equal(made, 4);
	assert_int_equal(send_as(f.worker, 1, 1000, 0, now_ms), DROP_NONE);
	assert_int_equal(send_as(f.worker, 0, 1003, 0, now_ms), DROP_NONE); // is there
	assert_int_equal(send_as(f.worker, 0, 1020, 0, now_ms + 249), DROP_CLIENT_RATE);
	assert_int_equal(send_as(f.worker, 0, 1020, 0, now_ms + 250), DROP_NONE);
	assert_int_equal(send_as(f.worker, 0, 1021, 0, now_ms + 499), DROP_CLIENT_RATE);
	made = 0;
	for (uint16_t n = 0; n < 1000; n++) // ten seconds of a hundred a second
		made += send_as(f.worker, 0, 2000 + n, 0, now_ms + 10000 + n * 10ull) == DROP_NONE;
	assert_int_equal(made, 4 + 39);
}

// The clock of an entry goes round after 37 hours.
static void rate_forgets_what_is_long_ago(void **state) {
	const uint64_t day_ms = 86400000;
	uint64_t now_ms = FIXTURE_NOW_S * 1000ull;

	(void)state;
	start(IPPROTO_UDP, 0, 1);
	for (unsigned n = 0; n < 20; n++, now_ms += day_ms / 8)
		assert_int_equal(
			send_as(f.worker, n % 2, (uint16_t)(1000 + n), 0, now_ms), DROP_NONE
		);
	assert_int_equal(send_as(f.worker, 1, 3000, 0, now_ms - day_ms / 8), DROP_CLIENT_RATE);
}

// Whoever cannot be remembered is not limited: a flood of clients must not shut out the others.
static void full_table_lets_clients_pass(void **state) {
	(void)state;
	start(IPPROTO_UDP, 1, 1);
	for (uint32_t client = 0; client < 4000; client++)
		assert_int_equal(
			send_as(f.worker, client, 1, 0, FIXTURE_NOW_S * 1000ull), DROP_NONE
		);
	assert_in_range(counted(), 3000, 4000);
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(each_client_has_its_own_limit),
		TEST(idle_flow_counts_no_longer),
		TEST(limit_that_comes_and_goes),
		TEST(limits_hold_over_all_workers),
		TEST(rate_is_a_bucket_of_tokens),
		TEST(rate_forgets_what_is_long_ago),
		TEST(full_table_lets_clients_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
