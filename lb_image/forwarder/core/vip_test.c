// SPDX-License-Identifier: Apache-2.0

// What packet cases cannot show: standing still, links that go, several workers, the grants of generations.

#include "core_fixture.h"

#define START_MS (FIXTURE_NOW_S * 1000ull)
#define ASKER 0x0a4d0001u

static struct fixture f;

static int set_up(void **state) {
	(void)state;
	fixture_start(&f, 1024, IPPROTO_TCP);
	f.listener->arp = true;
	fwd_config_index(&f.config);
	fwd_config_grant(&f.config, NULL);
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	fixture_stop(&f);
	return 0;
}

static enum claim_state state_now(void) {
	return vip_read(f.worker->group->vips, &f.config, f.listener).state;
}

// Frames about the VIP that are sent while the clock of worker 0 runs on to `until_ms`.
static unsigned run(uint64_t *now_ms, uint64_t until_ms) {
	struct fwd_emit out[8];
	unsigned made = 0;

	for (; *now_ms <= until_ms; (*now_ms)++)
		made += worker_vip_housekeeping(f.worker, &f.config, *now_ms, out, 8);
	return made;
}

static uint64_t owned(void) {
	uint64_t now_ms = START_MS;

	assert_int_equal(
		run(&now_ms, START_MS + CLAIM_PROBES * CLAIM_PROBE_INTERVAL_MS - 1), CLAIM_PROBES
	);
	assert_int_equal(state_now(), CLAIM_PROBING);
	assert_int_equal(run(&now_ms, now_ms), 1);
	assert_int_equal(state_now(), CLAIM_OWNER);
	return now_ms;
}

static bool answers(struct fwd_worker *worker, uint64_t now_ms) {
	struct ether_header *ether = (struct ether_header *)f.frame;
	struct arp_header *arp = (struct arp_header *)(ether + 1);

	memset(f.frame, 0, sizeof(f.frame));
	ether->type = htons(ETHER_TYPE_ARP);
	*arp = (struct arp_header){
		.hardware_type = htons(ARP_HARDWARE_ETHERNET),
		.protocol_type = htons(ETHER_TYPE_IPV4),
		.hardware_size = ETHER_ADDR_SIZE,
		.protocol_size = 4,
		.operation = htons(ARP_REQUEST),
		.sender_mac = {2, 0xfe, 0, 0, 0, 1},
		.sender_ip = htonl(ASKER),
		.target_ip = htonl(FIXTURE_VIP),
	};
	f.packet = (struct fwd_packet){.data = f.frame, .len = 60, .port_in = 0};
	worker_process(worker, &f.config, &f.packet, 1, now_ms);
	return f.packet.verdict == FWD_TX;
}

static void a_queue_that_filled_while_we_stood_still_is_not_answered(void **state) {
	uint64_t now_ms = owned(), again_ms = now_ms + 5000;
	struct fwd_emit out[8];

	(void)state;
	assert_true(answers(f.worker, now_ms));
	// The burst comes before the housekeeping has seen the gap, and after.
	assert_false(answers(f.worker, again_ms));
	assert_int_equal(worker_vip_housekeeping(f.worker, &f.config, again_ms, out, 8), 1);
	assert_int_equal(
		((struct arp_header *)(out[0].data + sizeof(struct ether_header)))->sender_ip, 0
	);
	assert_int_equal(state_now(), CLAIM_PROBING);
	assert_false(answers(f.worker, again_ms));
	now_ms = again_ms + 1;
	run(&now_ms, again_ms + CLAIM_PROBES * CLAIM_PROBE_INTERVAL_MS);
	assert_true(answers(f.worker, now_ms));
}

static void a_short_pause_is_no_standstill(void **state) {
	uint64_t now_ms = owned() + CLAIM_STANDSTILL_MS - 1;

	(void)state;
	assert_true(answers(f.worker, now_ms));
	run(&now_ms, now_ms);
	assert_int_equal(state_now(), CLAIM_OWNER);
}

static void without_a_link_nothing_is_owned_and_then_probed_for(void **state) {
	uint64_t now_ms = owned();

	(void)state;
	f.worker->group->vips->cut_off = true;
	assert_int_equal(run(&now_ms, now_ms + 1000), 0);
	assert_false(answers(f.worker, now_ms));
	f.worker->group->vips->cut_off = false;
	assert_int_equal(run(&now_ms, now_ms), 1);
	assert_int_equal(state_now(), CLAIM_PROBING);
}

static void other_workers_answer_for_what_worker_0_owns(void **state) {
	struct fwd_worker *workers[2];
	uint64_t now_ms;

	(void)state;
	fixture_pair(&f, workers);
	now_ms = owned();
	assert_true(answers(workers[1], now_ms));
	assert_true(answers(workers[1], now_ms - 2));                    // its clock is behind
	assert_false(answers(workers[1], now_ms + CLAIM_STANDSTILL_MS)); // worker 0 stands still
	fixture_pair_stop(&f, workers);
}

static void an_echo_of_our_own_announcement_is_no_claim(void **state) {
	uint64_t now_ms = owned();
	struct vip_table *vips = f.worker->group->vips;
	static const uint8_t other[] = {2, 0xbb, 0, 0, 0, 7};

	(void)state;
	assert_false(vip_hear(vips, &f.base, &f.config, f.listener, f.base.ports[0].mac, false));
	assert_false(vip_hear(vips, &f.base, &f.config, f.listener, other, true));
	assert_true(vip_hear(vips, &f.base, &f.config, f.listener, other, false));
	run(&now_ms, now_ms);
	assert_true(vip_hear(vips, &f.base, &f.config, f.listener, other, false));
	run(&now_ms, now_ms);
	assert_int_equal(state_now(), CLAIM_CONFLICT);
	assert_memory_equal(vip_read(vips, &f.config, f.listener).other, other, 6);
}

// What belonged to an earlier grant in the same place does not count.
static void a_new_grant_begins_with_probing(void **state) {
	static struct fwd_config next;
	uint64_t now_ms = owned();
	uint32_t grant = f.config.grants[0];

	(void)state;
	f.listener->arp = false;
	next = f.config;
	fwd_config_index(&next);
	fwd_config_grant(&next, &f.config);
	assert_int_equal(next.grants[0], FWD_NO_GRANT);
	f.config = next;
	assert_int_equal(state_now(), CLAIM_STANDBY);
	assert_false(answers(f.worker, now_ms));
	f.listener->arp = true;
	fwd_config_index(&next);
	fwd_config_grant(&next, &f.config);
	f.config = next;
	assert_int_not_equal(f.config.grants[0], grant);
	assert_int_equal(state_now(), CLAIM_PROBING);
	assert_false(answers(f.worker, now_ms));
	f.config.grants[0] = grant + FWD_MAX_GRANTS;
	assert_int_equal(state_now(), CLAIM_PROBING);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_queue_that_filled_while_we_stood_still_is_not_answered),
		TEST(a_short_pause_is_no_standstill),
		TEST(without_a_link_nothing_is_owned_and_then_probed_for),
		TEST(other_workers_answer_for_what_worker_0_owns),
		TEST(an_echo_of_our_own_announcement_is_no_claim),
		TEST(a_new_grant_begins_with_probing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
