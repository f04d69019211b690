// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

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

static void flow_limit_refuses_new_flows_and_keeps_old_ones(void **state) {
	(void)state;
	fixture_start(&f, 8, IPPROTO_UDP);
	for (uint16_t port = 0; port < 8; port++) {
		fixture_client(&f, 20000 + port, 0, FIXTURE_NOW_S);
		assert_int_equal(f.packet.verdict, FWD_TX);
	}
	fixture_client(&f, 30000, 0, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_DROP);
	assert_int_equal(drops(DROP_FLOW_TABLE_FULL), 1);
	fixture_client(&f, 20000, 0, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_TX);
}

// One local address has 64,512 ports; flows to one backend all need ports of its bank.
static void local_ports_run_out(void **state) {
	const uint32_t ports = UINT16_MAX + 1 - FWD_LOCAL_PORT_MIN;

	(void)state;
	fixture_start(&f, 2 * ports, IPPROTO_UDP);
	for (uint32_t n = 0; n < ports; n++) {
		fixture_frame(
			&f, 0, FIXTURE_CLIENT + n / 1000, 1000 + n % 1000, FIXTURE_VIP, 80, 0
		);
		fixture_process(&f, FIXTURE_NOW_S);
		assert_int_equal(f.packet.verdict, FWD_TX);
	}
	fixture_client(&f, 60000, 0, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_DROP);
	assert_int_equal(drops(DROP_LOCAL_PORTS_EXHAUSTED), 1);
}

static void reply_finds_its_way_back(void **state) {
	const struct ipv4_header *ip =
		(const struct ipv4_header *)(f.frame + sizeof(struct ether_header));
	const struct udp_header *udp = (const struct udp_header *)(ip + 1);

	(void)state;
	fixture_start(&f, 1024, IPPROTO_UDP);
	fixture_client(&f, 20000, 0, FIXTURE_NOW_S);
	assert_int_equal(f.packet.port_out, 1);
	fixture_frame(&f, 1, ntohl(ip->dst), ntohs(udp->dst), ntohl(ip->src), ntohs(udp->src), 0);
	fixture_process(&f, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_TX);
	assert_int_equal(f.packet.port_out, 0);
	assert_int_equal(ntohl(ip->src), FIXTURE_VIP);
	assert_int_equal(ntohl(ip->dst), FIXTURE_CLIENT);
	assert_int_equal(ntohs(udp->dst), 20000);
	assert_int_equal(ip->ttl, 63);
	assert_int_equal(checksum_words(ip, 10), 0xffff);
}

// Whoever guesses a local port is no backend: address, port and protocol must all be the flow's.
static void reply_of_another_sender_is_dropped(void **state) {
	struct ipv4_header *ip = (struct ipv4_header *)(f.frame + sizeof(struct ether_header));
	struct fwd_flow_view view;
	uint32_t cursor = 0;

	(void)state;
	fixture_start(&f, 1024, IPPROTO_UDP);
	fixture_client(&f, 20000, 0, FIXTURE_NOW_S);
	worker_flow_read(f.worker, &cursor, FIXTURE_NOW_S * 1000ull, &view);
	fixture_frame(
		&f, 1, ipv6_to_ipv4(&view.backend_address), 8081, FIXTURE_LOCAL, view.local_port, 0
	);
	fixture_process(&f, FIXTURE_NOW_S);
	fixture_frame(
		&f,
		1,
		ipv6_to_ipv4(&view.backend_address) + 1,
		8080,
		FIXTURE_LOCAL,
		view.local_port,
		0
	);
	fixture_process(&f, FIXTURE_NOW_S);
	f.listener->protocol = IPPROTO_TCP;
	fixture_frame(
		&f,
		1,
		ipv6_to_ipv4(&view.backend_address),
		8080,
		FIXTURE_LOCAL,
		view.local_port,
		TCP_ACK
	);
	fixture_process(&f, FIXTURE_NOW_S);
	assert_int_equal(drops(DROP_NO_FLOW), 3);
	assert_int_equal(ntohl(ip->dst), FIXTURE_LOCAL);
}

static void idle_flow_ends_after_its_timeout(void **state) {
	struct fwd_emit out[32];
	const struct listener_counters *counters;

	(void)state;
	fixture_start(&f, 1024, IPPROTO_UDP);
	counters = &f.worker->counters.listeners[0];
	fixture_client(&f, 20000, 0, FIXTURE_NOW_S);
	for (unsigned call = 0; call < 5000; call++)
		worker_housekeeping(f.worker, &f.config, (FIXTURE_NOW_S + 179) * 1000ull, out, 32);
	assert_int_equal(counters->active_flows, 1);
	for (unsigned call = 0; call < 5000; call++)
		worker_housekeeping(f.worker, &f.config, (FIXTURE_NOW_S + 180) * 1000ull, out, 32);
	assert_int_equal(counters->active_flows, 0);
	assert_int_equal(counters->connections, 1);
}

static void closed_connection_gives_way_to_a_new_syn(void **state) {
	const struct listener_counters *counters;

	(void)state;
	fixture_start(&f, 1024, IPPROTO_TCP);
	counters = &f.worker->counters.listeners[0];
	fixture_client(&f, 20000, TCP_SYN, FIXTURE_NOW_S);
	fixture_client(&f, 20000, TCP_RST, FIXTURE_NOW_S);
	fixture_client(&f, 20000, TCP_SYN, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_TX);
	assert_int_equal(counters->connections, 2);
	assert_int_equal(counters->active_flows, 1);
}

static void flow_outlives_its_listener(void **state) {
	(void)state;
	fixture_start(&f, 1024, IPPROTO_TCP);
	fixture_client(&f, 20000, TCP_SYN, FIXTURE_NOW_S);
	f.config.listeners[0] = NULL;
	fwd_config_index(&f.config);
	fixture_client(&f, 20000, TCP_RST, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_TX);
	fixture_client(&f, 20001, TCP_SYN, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_DROP);
}

static void frames_without_a_route_are_counted(void **state) {
	(void)state;
	fixture_start(&f, 1024, IPPROTO_UDP);
	free(f.worker);
	f.base.ports[1].gateway = 0;
	f.worker = fixture_worker(&f.base, f.neighbours, 0);
	fixture_client(&f, 20000, 0, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_DROP);
	assert_int_equal(drops(DROP_NO_ROUTE), 1);
	assert_int_equal(f.worker->flows.active, 0);
}

static void full_neighbour_table_refuses_new_next_hops(void **state) {
	(void)state;
	fixture_start(&f, 1024, IPPROTO_UDP);
	for (uint32_t host = 0; host < NEIGHBOUR_MAX; host++)
		neighbour_get(f.neighbours, 1, 0x0a4e1000 + host, FIXTURE_NOW_S);
	f.listener->backends[0].address = 0x0a4e3001; // on the link
	fixture_client(&f, 20000, 0, FIXTURE_NOW_S);
	assert_int_equal(drops(DROP_NEIGHBOUR_TABLE_FULL), 1);
	assert_int_equal(f.worker->flows.active, 0);
}

// Every local port belongs to exactly one worker, and a flow's reply to the worker that made it.
static void replies_go_to_the_worker_that_owns_the_port(void **state) {
	const struct ipv4_header *ip =
		(const struct ipv4_header *)(f.frame + sizeof(struct ether_header));
	const struct udp_header *udp = (const struct udp_header *)(ip + 1);

	(void)state;
	fixture_start(&f, 1024, IPPROTO_UDP);
	f.base.n_workers = 3;
	for (unsigned owner = 0; owner < 3; owner++) {
		free(f.worker);
		f.worker = fixture_worker(&f.base, f.neighbours, owner);
		fixture_client(&f, 20000, 0, FIXTURE_NOW_S);
		assert_int_equal(f.packet.verdict, FWD_TX);
		fixture_frame(
			&f, 1, ntohl(ip->dst), ntohs(udp->dst), ntohl(ip->src), ntohs(udp->src), 0
		);
		free(f.worker);
		f.worker = fixture_worker(&f.base, f.neighbours, (owner + 1) % 3);
		fixture_process(&f, FIXTURE_NOW_S);
		assert_int_equal(f.packet.verdict, FWD_HAND_OVER);
		assert_int_equal(f.packet.owner, owner);
		// Once only, whatever the others think.
		f.packet.hand_overs = 1;
		fixture_process(&f, FIXTURE_NOW_S);
		assert_int_equal(f.packet.verdict, FWD_DROP);
	}
	fixture_frame(&f, 1, 0x0af40005, 8080, FIXTURE_LOCAL, FWD_LOCAL_PORT_MIN - 1, 0);
	fixture_process(&f, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_DROP);
}

static void flows_are_read_for_display(void **state) {
	struct fwd_flow_view view;
	uint32_t cursor = 0;

	(void)state;
	fixture_start(&f, 1024, IPPROTO_UDP);
	fixture_client(&f, 20000, 0, FIXTURE_NOW_S);
	assert_true(worker_flow_read(f.worker, &cursor, (FIXTURE_NOW_S + 5) * 1000ull, &view));
	assert_int_equal(ipv6_to_ipv4(&view.client_address), FIXTURE_CLIENT);
	assert_int_equal(view.client_port, 20000);
	assert_int_equal(ipv6_to_ipv4(&view.vip), FIXTURE_VIP);
	assert_int_equal(ipv6_to_ipv4(&view.local_address), FIXTURE_LOCAL);
	assert_int_equal(view.backend_port, 8080);
	assert_int_equal(view.idle_s, 5);
	assert_int_equal(view.age_s, 5);
	assert_string_equal(flow_state_name(view.state), "udp");
	assert_false(worker_flow_read(f.worker, &cursor, FIXTURE_NOW_S * 1000ull, &view));
	fixture_client(&f, 20000, 0, FIXTURE_NOW_S + 3);
	cursor = 0;
	assert_true(worker_flow_read(f.worker, &cursor, (FIXTURE_NOW_S + 5) * 1000ull, &view));
	assert_int_equal(view.idle_s, 2);
	assert_int_equal(view.age_s, 5);
}

// Bytes are those of the datagrams: 40 in frames of 60.
static void traffic_is_counted_by_listener_and_direction(void **state) {
	const struct listener_counters *counters;
	struct fwd_flow_view view;
	uint32_t cursor = 0;

	(void)state;
	fixture_start(&f, 1024, IPPROTO_UDP);
	fixture_client(&f, 20000, 0, FIXTURE_NOW_S);
	fixture_client(&f, 20000, 0, FIXTURE_NOW_S);
	fixture_client(&f, 20001, 0, FIXTURE_NOW_S);
	worker_flow_read(f.worker, &cursor, FIXTURE_NOW_S * 1000ull, &view);
	fixture_frame(
		&f, 1, ipv6_to_ipv4(&view.backend_address), 8080, FIXTURE_LOCAL, view.local_port, 0
	);
	fixture_process(&f, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_TX);
	assert_memory_equal(f.frame + ETHER_ADDR_SIZE, f.base.ports[0].mac, ETHER_ADDR_SIZE);
	counters = &f.worker->counters.listeners[0];
	assert_int_equal(counters->packets_in, 3);
	assert_int_equal(counters->bytes_in, 120);
	assert_int_equal(counters->packets_out, 1);
	assert_int_equal(counters->bytes_out, 40);
	assert_int_equal(counters->connections, 2);
	assert_int_equal(counters->active_flows, 2);
}

static unsigned known_neighbours(void) {
	struct neighbour_view view;
	unsigned count = 0;

	for (uint16_t i = 0; i < NEIGHBOUR_MAX; i++)
		count += neighbour_read(f.neighbours, i, &view);
	return count;
}

// Packets wait while a worker keeps house: a large listener is looked at in parts.
static void backends_on_the_link_are_resolved_a_few_at_a_time(void **state) {
	const unsigned n = 1000, gateways = 2;
	struct fwd_emit out[FWD_BURST_MAX];
	static uint16_t weights[1000];
	unsigned before, known;

	(void)state;
	fixture_start(&f, 1024, IPPROTO_UDP);
	free(f.listener);
	f.config.listeners[0] = f.listener = fixture_listener(IPPROTO_UDP, n, weights);
	for (unsigned i = 0; i < n; i++)
		f.listener->backends[i].address = 0x0a4e0200 + i;
	known = known_neighbours();
	assert_int_equal(known, gateways);
	for (unsigned call = 0; call < 2000 && known < n + gateways; call++) {
		before = known;
		worker_housekeeping(
			f.worker, &f.config, FIXTURE_NOW_S * 1000ull, out, FWD_BURST_MAX
		);
		known = known_neighbours();
		assert_in_range(known - before, 0, 32);
	}
	assert_int_equal(known, n + gateways);
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(flow_limit_refuses_new_flows_and_keeps_old_ones),
		TEST(local_ports_run_out),
		TEST(reply_finds_its_way_back),
		TEST(reply_of_another_sender_is_dropped),
		TEST(idle_flow_ends_after_its_timeout),
		TEST(closed_connection_gives_way_to_a_new_syn),
		TEST(flow_outlives_its_listener),
		TEST(frames_without_a_route_are_counted),
		TEST(full_neighbour_table_refuses_new_next_hops),
		TEST(replies_go_to_the_worker_that_owns_the_port),
		TEST(flows_are_read_for_display),
		TEST(backends_on_the_link_are_resolved_a_few_at_a_time),
		TEST(traffic_is_counted_by_listener_and_direction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
