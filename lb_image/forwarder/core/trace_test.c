// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

#define CLIENT_PORT 20000

static struct fixture f;
static struct trace *trace;

static int tear_down(void **state) {
	(void)state;
	free(trace);
	trace = NULL;
	fixture_stop(&f);
	memset(&f, 0, sizeof(f));
	return 0;
}

static void start(uint16_t client_port) {
	fixture_start(&f, 1024, IPPROTO_TCP);
	trace = calloc(1, sizeof(*trace));
	assert_non_null(trace);
	trace->until_ms = (FIXTURE_NOW_S + 60) * 1000ull;
	trace->pattern = (struct flow_pattern){
		.client = {ipv6_mapped(FIXTURE_CLIENT), 128, client_port},
		.vip = {ipv6_mapped(FIXTURE_VIP), 128, 80},
		.protocol = IPPROTO_TCP,
	};
	worker_set_trace(f.worker, trace);
}

// What was recorded, which must be of this number.
static const struct trace_record *records(size_t count) {
	static struct trace_record read[TRACE_RECORDS];
	uint64_t lost;

	assert_int_equal(trace_read(trace, read, &lost), count);
	assert_int_equal(lost, 0);
	return read;
}

// The backend's answer to the packet that is in the fixture's frame.
static void reply(uint8_t flags) {
	const struct ipv4_header *ip =
		(const struct ipv4_header *)(f.frame + sizeof(struct ether_header));
	const struct tcp_header *tcp = (const struct tcp_header *)(ip + 1);

	fixture_frame(
		&f, 1, ntohl(ip->dst), ntohs(tcp->dst), ntohl(ip->src), ntohs(tcp->src), flags
	);
	fixture_process(&f, FIXTURE_NOW_S);
}

static void both_directions_are_shown_as_they_came_and_left(void **state) {
	const struct trace_record *record;

	(void)state;
	start(CLIENT_PORT);
	fixture_client(&f, CLIENT_PORT, TCP_SYN, FIXTURE_NOW_S);
	reply(TCP_SYN | TCP_ACK);
	record = records(2);
	assert_false(record[0].is_of_backend);
	assert_int_equal(record[0].verdict, FWD_TX);
	assert_int_equal(record[0].port_in, 0);
	assert_int_equal(record[0].port_out, 1);
	assert_int_equal(record[0].time_ms, FIXTURE_NOW_S * 1000);
	assert_int_equal(record[0].in.tcp_flags, TCP_SYN);
	assert_int_equal(record[0].in.src_port, CLIENT_PORT);
	assert_int_equal(record[0].in.length, 40);
	assert_int_equal(ipv6_to_ipv4(&record[0].in.dst), FIXTURE_VIP);
	assert_int_equal(ipv6_to_ipv4(&record[0].out.src), FIXTURE_LOCAL);
	assert_int_equal(record[0].out.dst_port, 8080);
	assert_true(record[1].is_of_backend);
	assert_int_equal(record[1].in.dst_port, record[0].out.src_port);
	assert_int_equal(ipv6_to_ipv4(&record[1].out.dst), FIXTURE_CLIENT);
	assert_int_equal(record[1].out.dst_port, CLIENT_PORT);
}

static void a_frame_of_another_vlan_is_shown(void **state) {
	const struct vlan_tag tag = {htons(ETHER_TYPE_VLAN), htons(7)};
	const struct trace_record *record;

	(void)state;
	start(CLIENT_PORT);
	fixture_frame(&f, 0, FIXTURE_CLIENT, CLIENT_PORT, FIXTURE_VIP, 80, TCP_SYN);
	memmove(f.frame + 16, f.frame + 12, f.packet.len - 12u);
	memcpy(f.frame + 12, &tag, sizeof(tag));
	f.packet.len += FWD_TAG_SIZE;
	fixture_process(&f, FIXTURE_NOW_S);
	record = records(1);
	assert_int_equal(record[0].verdict, FWD_DROP);
	assert_int_equal(record[0].drop_reason, DROP_OTHER_VLAN);
	assert_int_equal(record[0].in.src_port, CLIENT_PORT);
}

static void others_are_not_shown(void **state) {
	(void)state;
	start(CLIENT_PORT);
	fixture_client(&f, CLIENT_PORT + 1, TCP_SYN, FIXTURE_NOW_S);
	reply(TCP_SYN | TCP_ACK);
	assert_int_equal(f.packet.verdict, FWD_TX);
	fixture_frame(&f, 0, FIXTURE_CLIENT + 1, CLIENT_PORT, FIXTURE_VIP, 80, TCP_SYN);
	fixture_process(&f, FIXTURE_NOW_S);
	fixture_frame(&f, 0, FIXTURE_CLIENT, CLIENT_PORT, FIXTURE_VIP, 81, TCP_SYN);
	fixture_process(&f, FIXTURE_NOW_S);
	records(0);
}

static void any_port_of_the_client_will_do(void **state) {
	(void)state;
	start(0);
	fixture_client(&f, CLIENT_PORT, TCP_SYN, FIXTURE_NOW_S);
	reply(TCP_SYN | TCP_ACK);
	fixture_client(&f, CLIENT_PORT + 1, TCP_SYN, FIXTURE_NOW_S);
	records(3);
}

// Dropped before anybody looked for its flow.
static void a_drop_has_its_reason(void **state) {
	struct ipv4_header *ip = (struct ipv4_header *)(f.frame + sizeof(struct ether_header));
	const struct trace_record *record;

	(void)state;
	start(CLIENT_PORT);
	fixture_frame(&f, 0, FIXTURE_CLIENT, CLIENT_PORT, FIXTURE_VIP, 80, TCP_SYN);
	ip->checksum ^= 1;
	fixture_process(&f, FIXTURE_NOW_S);
	record = records(1);
	assert_int_equal(record->verdict, FWD_DROP);
	assert_int_equal(record->drop_reason, DROP_BAD_IP_CHECKSUM);
	assert_int_equal(record->out.length, 0);
}

static void an_answer_of_ours_is_shown(void **state) {
	struct tcp_header *tcp = (struct tcp_header *)(f.frame + 34);
	struct {
		uint32_t src, dst;
		uint16_t protocol, length;
		struct tcp_header tcp;
	} pseudo = {
		htonl(FIXTURE_CLIENT),
		htonl(FIXTURE_VIP),
		htons(IPPROTO_TCP),
		htons(sizeof(*tcp)),
		{.src = htons(CLIENT_PORT),
		 .dst = htons(80),
		 .data_offset = 0x50,
		 .flags = TCP_ACK},
	};
	const struct trace_record *record;

	(void)state;
	start(CLIENT_PORT);
	f.base.reset_unknown_tcp = true;
	fixture_frame(&f, 0, FIXTURE_CLIENT, CLIENT_PORT, FIXTURE_VIP, 80, TCP_ACK);
	tcp->checksum = (uint16_t)~checksum_words(&pseudo, 16);
	fixture_process(&f, FIXTURE_NOW_S);
	record = records(1);
	assert_int_equal(record->verdict, FWD_TX);
	assert_int_equal(record->drop_reason, DROP_NO_FLOW);
	assert_int_equal(record->out.tcp_flags & TCP_RST, TCP_RST);
	assert_int_equal(record->out.dst_port, CLIENT_PORT);
}

static void it_ends_by_itself(void **state) {
	(void)state;
	start(CLIENT_PORT);
	fixture_client(&f, CLIENT_PORT, TCP_SYN, FIXTURE_NOW_S + 59);
	fixture_client(&f, CLIENT_PORT, TCP_SYN, FIXTURE_NOW_S + 60);
	records(1);
}

static void the_newest_are_kept(void **state) {
	static struct trace_record read[TRACE_RECORDS];
	uint64_t lost;
	size_t count;

	(void)state;
	start(CLIENT_PORT);
	for (unsigned n = 0; n < TRACE_RECORDS + 10; n++) {
		fixture_frame(&f, 0, FIXTURE_CLIENT, CLIENT_PORT, FIXTURE_VIP, 80, TCP_SYN);
		((struct tcp_header *)(f.frame + 34))->sequence = htonl(n);
		fixture_process(&f, FIXTURE_NOW_S);
	}
	count = trace_read(trace, read, &lost);
	assert_int_equal(count + lost, TRACE_RECORDS + 10);
	assert_in_range(count, TRACE_RECORDS - 1, TRACE_RECORDS);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(read[i].in.seq, lost + i);
}

#define TEST(function) cmocka_unit_test_teardown(function, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(both_directions_are_shown_as_they_came_and_left),
		TEST(a_frame_of_another_vlan_is_shown),
		TEST(others_are_not_shown),
		TEST(any_port_of_the_client_will_do),
		TEST(a_drop_has_its_reason),
		TEST(an_answer_of_ours_is_shown),
		TEST(it_ends_by_itself),
		TEST(the_newest_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
