// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"
#include "gateway_probe.h"

#define NOW_MS (FIXTURE_NOW_S * 1000ull)

static struct fixture f;
static const uint8_t gateway_mac[] = {2, 0xfe, 0, 0, 0, 1};

static int set_up(void **state) {
	struct fwd_emit out[32];

	(void)state;
	fixture_start(&f, 64, IPPROTO_UDP);
	// What a new worker announces is out of the way.
	for (unsigned second = 0; second < 10; second++) {
		for (unsigned n = 0; n < 1000; n++)
			worker_housekeeping(
				f.worker, &f.config, NOW_MS - 10000 + second * 1000, out, 32
			);
	}
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	fixture_stop(&f);
	return 0;
}

static unsigned requests(uint64_t now_ms, struct fwd_emit out[32]) {
	return worker_housekeeping(f.worker, &f.config, now_ms, out, 32);
}

static uint64_t silence(uint8_t port, uint64_t now_ms) {
	return gateway_probe_silence(&f.worker->group->gateways, false, port, now_ms);
}

static void want(uint64_t now_ms) {
	gateway_probe_want(&f.worker->group->gateways, now_ms);
}

// An ARP reply from a gateway, or from somebody else, to this MAC.
static void answer(uint8_t port, uint32_t from, const uint8_t *to_mac, uint64_t now_ms) {
	struct ether_header *ether = (struct ether_header *)f.frame;
	struct arp_header *arp = (struct arp_header *)(ether + 1);

	memset(f.frame, 0, sizeof(f.frame));
	memcpy(ether->dst, f.base.ports[port].mac, ETHER_ADDR_SIZE);
	ether->type = htons(ETHER_TYPE_ARP);
	arp->hardware_type = htons(ARP_HARDWARE_ETHERNET);
	arp->protocol_type = htons(ETHER_TYPE_IPV4);
	arp->hardware_size = ETHER_ADDR_SIZE;
	arp->protocol_size = 4;
	arp->operation = htons(ARP_REPLY);
	memcpy(arp->sender_mac, gateway_mac, ETHER_ADDR_SIZE);
	arp->sender_ip = htonl(from);
	memcpy(arp->target_mac, to_mac, ETHER_ADDR_SIZE);
	arp->target_ip = htonl(f.base.ports[port].address);
	f.packet = (struct fwd_packet){.data = f.frame, .len = 60, .port_in = port};
	worker_process(f.worker, &f.config, &f.packet, 1, now_ms);
}

static void nobody_is_asked_unless_somebody_wants_to_know(void **state) {
	struct fwd_emit out[32];

	(void)state;
	assert_int_equal(requests(NOW_MS, out), 0);
	want(NOW_MS);
	assert_int_equal(requests(NOW_MS, out), 2);
	assert_int_equal(requests(NOW_MS + GATEWAY_PROBE_WANTED_MS, out), 0);
}

static void each_gateway_is_asked_by_unicast_again_and_again(void **state) {
	const uint32_t gateways[] = FIXTURE_GATEWAYS;
	struct fwd_emit out[32];

	(void)state;
	want(NOW_MS);
	assert_int_equal(requests(NOW_MS, out), 2);
	for (unsigned i = 0; i < 2; i++) {
		const struct ether_header *ether = (const struct ether_header *)out[i].data;
		const struct arp_header *arp = (const struct arp_header *)(ether + 1);

		assert_memory_equal(ether->dst, gateway_mac, ETHER_ADDR_SIZE);
		assert_int_equal(out[i].port_out, i);
		assert_int_equal(arp->operation, htons(ARP_REQUEST));
		assert_int_equal(ntohl(arp->target_ip), gateways[i]);
		assert_int_equal(ntohl(arp->sender_ip), f.base.ports[i].address);
	}
	assert_int_equal(requests(NOW_MS + GATEWAY_PROBE_MS - 1, out), 0);
	assert_int_equal(requests(NOW_MS + GATEWAY_PROBE_MS, out), 2);
}

static void silence_is_counted_from_the_last_answer(void **state) {
	const uint32_t gateways[] = FIXTURE_GATEWAYS;

	(void)state;
	assert_true(silence(1, NOW_MS) == GATEWAY_NEVER);
	answer(1, gateways[1], f.base.ports[1].mac, NOW_MS);
	assert_int_equal(silence(1, NOW_MS + 7), 7);
	assert_true(silence(0, NOW_MS) == GATEWAY_NEVER);
	answer(1, gateways[1], f.base.ports[1].mac, NOW_MS + 100);
	assert_int_equal(silence(1, NOW_MS + 100), 0);
}

static void others_do_not_speak_for_it(void **state) {
	static const uint8_t other_mac[] = {2, 0, 0, 0, 9, 9};
	const uint32_t gateways[] = FIXTURE_GATEWAYS;

	(void)state;
	answer(0, gateways[0] + 1, f.base.ports[0].mac, NOW_MS);
	answer(0, gateways[1], f.base.ports[0].mac, NOW_MS);
	answer(0, gateways[0], other_mac, NOW_MS);
	assert_true(silence(0, NOW_MS) == GATEWAY_NEVER);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(nobody_is_asked_unless_somebody_wants_to_know),
		TEST(each_gateway_is_asked_by_unicast_again_and_again),
		TEST(silence_is_counted_from_the_last_answer),
		TEST(others_do_not_speak_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
