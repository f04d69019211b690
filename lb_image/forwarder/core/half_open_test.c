// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

#define FLOWS 1024u
#define SHARE (FLOWS / 2)

static struct fixture f;

static int tear_down(void **state) {
	(void)state;
	fixture_stop(&f);
	memset(&f, 0, sizeof(f));
	return 0;
}

static void start(uint8_t percent) {
	fixture_start(&f, FLOWS, IPPROTO_TCP);
	free(f.worker);
	f.base.half_open_percent = percent;
	f.worker = fixture_worker(&f.base, f.neighbours, 0);
}

static bool sends(uint32_t client, uint8_t flags) {
	fixture_frame(
		&f,
		0,
		FIXTURE_CLIENT + client / 1000,
		(uint16_t)(1000 + client % 1000),
		FIXTURE_VIP,
		80,
		flags
	);
	fixture_process(&f, FIXTURE_NOW_S);
	return f.packet.verdict == FWD_TX;
}

static void establish(uint32_t client) {
	const struct ipv4_header *ip =
		(const struct ipv4_header *)(f.frame + sizeof(struct ether_header));
	const struct tcp_header *tcp = (const struct tcp_header *)(ip + 1);

	assert_true(sends(client, TCP_SYN));
	fixture_frame(
		&f,
		1,
		ntohl(ip->dst),
		ntohs(tcp->dst),
		ntohl(ip->src),
		ntohs(tcp->src),
		TCP_SYN | TCP_ACK
	);
	fixture_process(&f, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_TX);
	assert_true(sends(client, TCP_ACK));
}

static void flood_takes_its_share_and_no_more(void **state) {
	(void)state;
	start(50);
	for (uint32_t client = 0; client < 100; client++)
		establish(client);
	assert_int_equal(f.worker->half_open[false].live, 0);
	for (uint32_t n = 0; n < 20000; n++)
		assert_true(sends(1000 + n, TCP_SYN));
	assert_int_equal(f.worker->half_open[false].live, SHARE);
	assert_int_equal(f.worker->counters.half_open_evicted, 20000 - SHARE);
	assert_int_equal(f.worker->flows.active, 100 + SHARE);
	for (uint32_t client = 0; client < 100; client++)
		assert_true(sends(client, TCP_ACK));
	// The oldest have gone, the youngest are there.
	assert_true(sends(1000 + 19999, TCP_SYN));
	assert_true(sends(1000 + 20000 - SHARE, TCP_SYN));
	assert_int_equal(f.worker->counters.half_open_evicted, 20000 - SHARE);
}

// Clients who answer within the time that the flood needs for its share get through.
static void new_connections_get_through_a_flood(void **state) {
	(void)state;
	start(50);
	for (uint32_t n = 0; n < 4000; n++) {
		assert_true(sends(10000 + n, TCP_SYN));
		if (n % 20 == 0)
			establish(n / 20);
	}
	for (uint32_t client = 0; client < 200; client++)
		assert_true(sends(client, TCP_ACK));
}

// What is half open makes room for any flow when there is no other.
static void full_table_gives_up_what_is_half_open(void **state) {
	(void)state;
	start(100);
	for (uint32_t client = 0; client < 600; client++)
		establish(client);
	for (uint32_t n = 0; n < 1000; n++)
		assert_true(sends(1000 + n, TCP_SYN));
	assert_int_equal(f.worker->flows.active, FLOWS);
	assert_int_equal(f.worker->half_open[false].live, FLOWS - 600);
	for (uint32_t client = 600; client < FLOWS; client++)
		establish(client);
	assert_int_equal(f.worker->half_open[false].live, 0);
	assert_false(sends(5000, TCP_SYN));
	assert_int_equal(f.worker->counters.drops[DROP_FLOW_TABLE_FULL], 1);
	for (uint32_t client = 0; client < FLOWS; client++)
		assert_true(sends(client, TCP_ACK));
}

// However many connections come and go meanwhile: those that stay half open are not lost sight of.
static void old_ones_are_found_behind_many_that_were_opened(void **state) {
	(void)state;
	start(50);
	for (uint32_t n = 0; n < SHARE - 1; n++) {
		assert_true(sends(100000 + n, TCP_SYN));
		for (uint32_t client = 0; client < 10; client++) {
			establish(client);
			assert_true(sends(client, TCP_RST));
		}
	}
	assert_int_equal(f.worker->half_open[false].live, SHARE - 1);
	for (uint32_t n = 0; n < SHARE; n++)
		assert_true(sends(200000 + n, TCP_SYN));
	assert_int_equal(f.worker->counters.half_open_evicted, SHARE - 1);
	for (uint32_t n = 0; n < SHARE; n++)
		assert_true(sends(200000 + n, TCP_SYN));
	assert_int_equal(f.worker->counters.half_open_evicted, SHARE - 1);
}

static void those_that_end_by_themselves_are_counted_out(void **state) {
	struct fwd_emit out[32];

	(void)state;
	start(50);
	for (uint32_t n = 0; n < 30; n++)
		assert_true(sends(n, TCP_SYN));
	for (uint32_t n = 0; n < 10; n++)
		assert_true(sends(n, TCP_RST));
	for (uint32_t n = 10; n < 20; n++)
		assert_true(sends(n, TCP_FIN | TCP_ACK));
	assert_int_equal(f.worker->half_open[false].live, 10);
	for (unsigned call = 0; call < 5000; call++)
		worker_housekeeping(f.worker, &f.config, (FIXTURE_NOW_S + 60) * 1000ull, out, 32);
	assert_int_equal(f.worker->half_open[false].live, 0);
	assert_int_equal(f.worker->flows.active, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(flood_takes_its_share_and_no_more),
		TEST(new_connections_get_through_a_flood),
		TEST(full_table_gives_up_what_is_half_open),
		TEST(old_ones_are_found_behind_many_that_were_opened),
		TEST(those_that_end_by_themselves_are_counted_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
