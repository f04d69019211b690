// SPDX-License-Identifier: Apache-2.0

// The edges of the header checks: the last value that is refused beside the first that is not.

#include "core_fixture.h"

static struct fixture f;
static struct ipv4_header *ip;

static void start(uint8_t protocol) {
	fixture_start(&f, 1024, protocol);
	fixture_frame(&f, 0, FIXTURE_CLIENT, 20000, FIXTURE_VIP, 80, TCP_SYN);
	ip = (struct ipv4_header *)(f.frame + sizeof(struct ether_header));
}

static int tear_down(void **state) {
	(void)state;
	fixture_stop(&f);
	memset(&f, 0, sizeof(f));
	return 0;
}

// Processes the frame as it stands, its IPv4 checksum made right. Returns the drop reason, DROP_NONE when it was sent.
static unsigned outcome(void) {
	unsigned header_words = (ip->version_ihl & 0xf) * 2u;

	ip->checksum = 0;
	ip->checksum = (uint16_t)~checksum_words(ip, header_words);
	fixture_process(&f, FIXTURE_NOW_S);
	return f.packet.verdict == FWD_TX ? DROP_NONE : f.packet.drop_reason;
}

static void header_must_lie_within_the_datagram(void **state) {
	(void)state;
	start(IPPROTO_TCP);
	ip->total_length = htons(19);
	assert_int_equal(outcome(), DROP_BAD_IP_HEADER);
	ip->total_length = htons(20); // all header: no room for TCP
	assert_int_equal(outcome(), DROP_BAD_L4_HEADER);
	ip->total_length = htons(39);
	assert_int_equal(outcome(), DROP_BAD_L4_HEADER);
	ip->total_length = htons(40);
	assert_int_equal(outcome(), DROP_NONE);
}

static void datagram_must_lie_within_the_frame(void **state) {
	(void)state;
	start(IPPROTO_UDP);
	ip->total_length = htons(47);
	f.packet.len = 60;
	assert_int_equal(outcome(), DROP_TRUNCATED);
	ip->total_length = htons(46);
	assert_int_equal(outcome(), DROP_NONE);
}

static void udp_length_must_lie_within_the_datagram(void **state) {
	struct udp_header *udp;

	(void)state;
	start(IPPROTO_UDP);
	udp = (struct udp_header *)(ip + 1);
	udp->length = htons(21);
	assert_int_equal(outcome(), DROP_BAD_L4_HEADER);
	udp->length = htons(7);
	assert_int_equal(outcome(), DROP_BAD_L4_HEADER);
	udp->length = htons(8); // what follows is padding inside the datagram
	assert_int_equal(outcome(), DROP_NONE);
}

static void tcp_options_must_lie_within_the_datagram(void **state) {
	struct tcp_header *tcp;

	(void)state;
	start(IPPROTO_TCP);
	tcp = (struct tcp_header *)(ip + 1);
	tcp->data_offset = 0x60;
	assert_int_equal(outcome(), DROP_BAD_L4_HEADER);
	tcp->data_offset = 0x40;
	assert_int_equal(outcome(), DROP_BAD_L4_HEADER);
	tcp->data_offset = 0x50;
	assert_int_equal(outcome(), DROP_NONE);
}

static void only_version_4_and_whole_headers_pass(void **state) {
	(void)state;
	start(IPPROTO_UDP);
	ip->version_ihl = 0x65;
	assert_int_equal(outcome(), DROP_BAD_IP_HEADER);
	ip->version_ihl = 0x44;
	assert_int_equal(outcome(), DROP_BAD_IP_HEADER);
}

// RFC 792: an echo request has code 0.
static void echo_request_of_another_code_is_no_echo(void **state) {
	struct icmp_header *icmp;

	(void)state;
	start(IPPROTO_UDP);
	ip->protocol = IPPROTO_ICMP;
	icmp = (struct icmp_header *)(ip + 1);
	icmp->type = ICMP_ECHO_REQUEST;
	icmp->code = 1;
	assert_int_equal(outcome(), DROP_ICMP_OTHER);
	icmp->code = 0;
	assert_int_equal(outcome(), DROP_NONE);
	assert_int_equal(icmp->type, ICMP_ECHO_REPLY);
}

// RFC 791: DF alone is no fragment; an offset is one, and a later one without its first goes nowhere.
static void fragments_are_told_from_dont_fragment(void **state) {
	(void)state;
	start(IPPROTO_UDP);
	ip->fragment = htons(1);
	assert_int_equal(outcome(), DROP_FRAGMENT);
	ip->fragment = htons(IPV4_FLAG_DF);
	assert_int_equal(outcome(), DROP_NONE);
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(header_must_lie_within_the_datagram),
		TEST(datagram_must_lie_within_the_frame),
		TEST(udp_length_must_lie_within_the_datagram),
		TEST(tcp_options_must_lie_within_the_datagram),
		TEST(only_version_4_and_whole_headers_pass),
		TEST(echo_request_of_another_code_is_no_echo),
		TEST(fragments_are_told_from_dont_fragment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
