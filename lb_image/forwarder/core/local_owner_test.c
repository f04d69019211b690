// SPDX-License-Identifier: Apache-2.0

// Pods on one segment, with a clock that they share. Their local addresses are on one port for IPv4 and on the other for IPv6.

#include "core_fixture.h"

#include <endian.h>

#define PODS 3
#define HEARTBEAT_MS 50
#define TAKE_MS (CLAIM_PROBES * CLAIM_PROBE_INTERVAL_MS)
#define START_MS 1000000ull
#define LOCAL(ordinal) (0x0a4e0110u + (ordinal))

struct pod {
	struct fwd_base base;
	struct neighbour_table *neighbours;
	struct fwd_worker *worker;
	uint64_t epoch;
	bool runs;
};

static struct pod pods[PODS];
static const struct fwd_config config;
static bool deaf[PODS][PODS]; // the first does not hear the second's datagrams of the sync
static bool apart[PODS];      // on the other side of a split
static uint64_t now_ms;
static uint64_t starts;          // of all pods
static unsigned announced[PODS]; // frames in which a pod speaks of the addresses of pod 0

static struct ipv6_address local6(unsigned ordinal) {
	return (struct ipv6_address
	){.high = htobe64(0xfd4d000000000000), .low = htobe64(0x10 + ordinal)};
}

static void start_pod(unsigned ordinal) {
	struct pod *pod = &pods[ordinal];

	pod->base = fixture_base(1024, 1);
	pod->base.n_local_addresses6 = 1;
	pod->base.ports[0].address6 = local6(0xc0 + ordinal);
	pod->base.ports[0].prefix_length6 = 64;
	pod->base.sync.enabled = true;
	pod->base.sync.ordinal = (uint8_t)ordinal;
	for (unsigned port = 0; port < 2; port++) {
		pod->base.ports[port].mac[4] = (uint8_t)(ordinal + 1);
		pod->base.ports[port].address += ordinal;
	}
	pod->base.local_addresses[0] = LOCAL(ordinal);
	pod->base.local_addresses6[0] = local6(ordinal);
	for (unsigned other = 0; other < PODS; other++) {
		if (other == ordinal)
			continue;
		pod->base.sync.peers[pod->base.sync.n_peers++].ordinal = (uint8_t)other;
		pod->base.local_addresses[pod->base.sync.n_peers] = LOCAL(other);
		pod->base.local_addresses6[pod->base.sync.n_peers] = local6(other);
	}
	pod->neighbours = calloc(1, sizeof(*pod->neighbours));
	assert_non_null(pod->neighbours);
	pod->worker = fixture_worker(&pod->base, pod->neighbours, 0);
	pod->epoch = ++starts;
	pod->runs = true;
}

static void stop_pod(unsigned ordinal) {
	free(pods[ordinal].worker);
	free(pods[ordinal].neighbours);
	memset(&pods[ordinal], 0, sizeof(pods[ordinal]));
}

static struct local_owner *owner_of(unsigned ordinal) {
	return pods[ordinal].worker->group->locals;
}

static struct peer_table *peers_of(unsigned ordinal) {
	return &pods[ordinal].worker->group->peers;
}

static int set_up(void **state) {
	(void)state;
	memset(deaf, 0, sizeof(deaf));
	memset(apart, 0, sizeof(apart));
	memset(announced, 0, sizeof(announced));
	now_ms = START_MS;
	for (unsigned i = 0; i < PODS; i++)
		start_pod(i);
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	for (unsigned i = 0; i < PODS; i++)
		stop_pod(i);
	return 0;
}

static bool is_for(const struct pod *pod, uint8_t port, const uint8_t *frame) {
	return (frame[0] & 1) || memcmp(frame, pod->base.ports[port].mac, ETHER_ADDR_SIZE) == 0;
}

// Answers go the same way.
static void carry(unsigned from, uint8_t port, const uint8_t *frame, uint16_t length) {
	for (unsigned to = 0; to < PODS; to++) {
		uint8_t room[FWD_FRAME_ROOM] = {0};
		struct fwd_packet packet = {.data = room, .len = length, .port_in = port};

		if (to == from || !pods[to].runs || apart[to] != apart[from]
		    || !is_for(&pods[to], port, frame))
			continue;
		memcpy(room, frame, length);
		worker_process(pods[to].worker, &config, &packet, 1, now_ms);
		if (packet.verdict == FWD_TX)
			carry(to, packet.port_out, room, packet.len);
	}
}

static bool is_announcement(const struct fwd_emit *emit) {
	const struct ether_header *ether = (const struct ether_header *)emit->data;
	const struct arp_header *arp = (const struct arp_header *)(ether + 1);

	return ether->type == htons(ETHER_TYPE_ARP) && arp->sender_ip == htonl(LOCAL(0));
}

static void run_pod(unsigned ordinal) {
	struct fwd_emit out[16];
	unsigned made = worker_vip_housekeeping(pods[ordinal].worker, &config, now_ms, out, 16);

	for (unsigned i = 0; i < made; i++) {
		announced[ordinal] += is_announcement(&out[i]);
		carry(ordinal, out[i].port_out, out[i].data, out[i].len);
	}
}

static void say(unsigned from) {
	unsigned flags = peers_own_flags(peers_of(from));

	for (unsigned to = 0; to < PODS; to++) {
		if (to == from || !pods[to].runs || apart[to] != apart[from] || deaf[to][from])
			continue;
		peers_hear(peers_of(to), from, pods[from].epoch, flags, now_ms);
	}
}

// Index of the local address of the pod with this ordinal, as another pod has it.
static uint16_t index_at(unsigned pod, unsigned ordinal) {
	uint16_t index = 0;

	while (pods[pod].base.local_addresses[index] != LOCAL(ordinal))
		index++;
	return index;
}

static bool has(unsigned pod, unsigned ordinal, bool ipv6) {
	return pods[pod].runs
		&& local_owner_is_ours(
			owner_of(pod), &pods[pod].base, ipv6, index_at(pod, ordinal), now_ms
		);
}

// Pods that hear each other's frames never own one address together.
static void check_owners(void) {
	for (unsigned at = 0; at < PODS * PODS * PODS * 2; at++) {
		unsigned a = at % PODS, b = at / PODS % PODS, ordinal = at / PODS / PODS % PODS;
		bool ipv6 = at >= PODS * PODS * PODS;

		if (a < b && apart[a] == apart[b] && has(a, ordinal, ipv6) && has(b, ordinal, ipv6))
			fail_msg("pods %u and %u both have the address of %u", a, b, ordinal);
	}
}

static void tick(bool checks) {
	now_ms++;
	for (unsigned i = 0; i < PODS; i++) {
		if (!pods[i].runs)
			continue;
		if (now_ms % HEARTBEAT_MS == i * 7)
			say(i);
		run_pod(i);
	}
	if (checks)
		check_owners();
}

static void run(uint64_t ms) {
	while (ms-- > 0)
		tick(true);
}

// The one that answers for the addresses of this pod, of both families; PODS: nobody.
static unsigned holder(unsigned ordinal) {
	unsigned found = PODS;

	for (unsigned pod = 0; pod < PODS; pod++) {
		if (has(pod, ordinal, false) && has(pod, ordinal, true))
			found = pod;
	}
	return found;
}

static enum claim_state state_at(unsigned pod, unsigned ordinal) {
	return local_owner_state(owner_of(pod), &pods[pod].base, ordinal);
}

static bool holds(unsigned pod, unsigned ordinal) {
	return local_owner_holds(owner_of(pod), &pods[pod].base, ordinal);
}

static void all_serve(void) {
	for (unsigned i = 0; i < PODS; i++)
		peers_of(i)->complete = true;
	run(LOCAL_OWNER_SETTLE_MS + TAKE_MS + 2 * HEARTBEAT_MS);
	for (unsigned i = 0; i < PODS; i++)
		assert_int_equal(holder(i), i);
}

// It is gone at once, and says nothing.
static void kill_pod(unsigned ordinal) {
	pods[ordinal].runs = false;
}

// A new process.
static void return_pod(unsigned ordinal) {
	stop_pod(ordinal);
	start_pod(ordinal);
}

static void a_pod_that_joins_has_no_addresses(void **state) {
	(void)state;
	run(1000);
	for (unsigned i = 0; i < PODS; i++) {
		assert_int_equal(holder(i), PODS);
		assert_int_equal(state_at(i, i), CLAIM_STANDBY);
		assert_true(holds(i, i)); // its flows are its own all the same
	}
	all_serve();
	assert_int_equal(state_at(0, 0), CLAIM_OWNER);
	assert_int_equal(state_at(0, 1), CLAIM_STANDBY);
	assert_false(holds(0, 1));
}

static void the_next_one_takes_over_what_a_dead_pod_had(void **state) {
	uint64_t died_ms;

	(void)state;
	all_serve();
	kill_pod(0);
	died_ms = now_ms;
	run(PEER_SUSPECT_MS - HEARTBEAT_MS - 1);
	assert_int_equal(state_at(1, 0), CLAIM_STANDBY);
	while (holder(0) == PODS && now_ms < died_ms + 2000)
		tick(true);
	assert_int_equal(holder(0), 1);
	assert_in_range(now_ms - died_ms, TAKE_MS, PEER_SUSPECT_MS + TAKE_MS + 10);
	assert_true(holds(1, 0));
	assert_false(holds(2, 0));
	assert_int_equal(announced[1], 1);
	assert_int_equal(holder(1), 1);
	assert_int_equal(holder(2), 2);
}

static void the_lowest_comes_after_the_highest(void **state) {
	(void)state;
	all_serve();
	kill_pod(2);
	run(PEER_SUSPECT_MS + TAKE_MS + 10);
	assert_int_equal(holder(2), 0);
	kill_pod(0);
	run(PEER_SUSPECT_MS + TAKE_MS + 10);
	for (unsigned i = 0; i < PODS; i++)
		assert_int_equal(holder(i), 1);
}

static void a_pod_that_comes_back_gets_its_addresses_when_it_is_complete(void **state) {
	(void)state;
	all_serve();
	kill_pod(0);
	run(1000);
	return_pod(0);
	run(1000);
	assert_int_equal(holder(0), 1); // it is alive, but has not all flows yet
	assert_false(state_at(0, 0) == CLAIM_OWNER);
	peers_of(0)->complete = true;
	for (unsigned ms = 0; ms < LOCAL_OWNER_SETTLE_MS + TAKE_MS + 2; ms++) {
		tick(true);
		assert_int_not_equal(state_at(0, 0), CLAIM_CONFLICT);
	}
	assert_int_equal(holder(0), 0);
	assert_false(holds(1, 0));
	assert_int_equal(announced[0], 2); // at the start, and now
}

// Nobody waits until it is missed.
static void a_pod_that_leaves_hands_over(void **state) {
	(void)state;
	all_serve();
	peers_of(0)->leaving = true;
	assert_false(has(0, 0, false));
	assert_false(has(0, 0, true));
	run(HEARTBEAT_MS + TAKE_MS + 2);
	assert_int_equal(holder(0), 1);
	assert_int_equal(state_at(0, 0), CLAIM_STANDBY);
	assert_true(peers_alive(peers_of(1), 0, now_ms));
}

// The segment is split between 0 and the others, and grows together again.
static void both_sides_of_a_split_have_all_addresses_and_one_afterwards(void **state) {
	unsigned before;

	(void)state;
	all_serve();
	apart[0] = true;
	run(PEER_SUSPECT_MS + TAKE_MS + 10);
	assert_true(has(0, 0, false) && has(0, 1, false) && has(0, 2, false));
	assert_true(has(1, 0, true) && has(1, 1, true) && has(2, 2, true));
	run(20000); // the rounds of announcements are over
	apart[0] = false;
	before = announced[0];
	for (unsigned ms = 0; ms < 2 * HEARTBEAT_MS; ms++)
		tick(false); // until they have heard each other
	for (unsigned i = 0; i < PODS; i++)
		assert_int_equal(holder(i), i);
	run(5000);
	for (unsigned i = 0; i < PODS; i++)
		assert_int_equal(holder(i), i);
	assert_in_range(announced[0] - before, CLAIM_ANNOUNCE_ROUNDS, CLAIM_ANNOUNCE_ROUNDS + 2);
}

static void who_stood_still_does_not_answer_and_gets_its_addresses_back(void **state) {
	uint64_t again_ms;

	(void)state;
	all_serve();
	kill_pod(0);
	run(3000);
	assert_int_equal(holder(0), 1);
	pods[0].runs = true;
	again_ms = now_ms;
	assert_false(has(0, 0, false)); // what waits in its queue
	while (holder(0) != 0 && now_ms < again_ms + 5000) {
		tick(true);
		assert_int_not_equal(state_at(0, 0), CLAIM_CONFLICT);
		assert_int_equal(state_at(0, 1), CLAIM_STANDBY); // it did not take them for dead
	}
	assert_in_range(now_ms - again_ms, TAKE_MS, LOCAL_OWNER_SETTLE_MS + HEARTBEAT_MS + TAKE_MS);
}

static void of_two_that_probe_at_one_time_one_goes_on(void **state) {
	(void)state;
	all_serve();
	kill_pod(0);
	deaf[1][2] = deaf[2][1] = true; // each takes itself for the only one that is left
	run(PEER_SUSPECT_MS + TAKE_MS + 10);
	assert_int_equal(holder(0), 1); // its MAC is the lower one
	assert_int_equal(state_at(2, 0), CLAIM_CONFLICT);
	run(5000);
	assert_int_equal(holder(0), 1);
	assert_int_equal(holder(1), 1);
	assert_int_equal(holder(2), 2);
	deaf[1][2] = deaf[2][1] = false;
	run(HEARTBEAT_MS + 1);
	assert_int_equal(state_at(2, 0), CLAIM_STANDBY);
}

// Its datagrams are lost, but it is there.
static void a_peer_that_is_not_heard_keeps_its_addresses(void **state) {
	(void)state;
	all_serve();
	deaf[1][0] = true;
	run(10000);
	assert_int_equal(holder(0), 0);
	assert_int_equal(state_at(1, 0), CLAIM_CONFLICT);
	assert_true(holds(1, 0)
	); // if the others do not hear it either, nobody else tells them of its flows
	deaf[1][0] = false;
	run(HEARTBEAT_MS + 1);
	assert_int_equal(state_at(1, 0), CLAIM_STANDBY);
}

static void without_a_link_nothing_is_answered(void **state) {
	(void)state;
	all_serve();
	pods[0].worker->group->vips->cut_off = true;
	apart[0] = true;
	run(CLAIM_STANDSTILL_MS + 1);
	assert_false(has(0, 0, false));
	run(1000);
	assert_int_equal(holder(0), 1);
	pods[0].worker->group->vips->cut_off = false;
	apart[0] = false;
	run(LOCAL_OWNER_SETTLE_MS + HEARTBEAT_MS + TAKE_MS);
	assert_int_equal(holder(0), 0);
}

static bool resets(unsigned pod, unsigned ordinal) {
	struct fwd_listener tcp = {.protocol = IPPROTO_TCP};
	struct fixture f = {.base = pods[pod].base, .listener = &tcp};
	struct ipv4_header *ip = (struct ipv4_header *)(f.frame + sizeof(struct ether_header));
	struct tcp_header *segment = (struct tcp_header *)(ip + 1);

	fixture_frame(&f, 1, 0x0af40005, 8080, LOCAL(ordinal), 40000, TCP_ACK);
	segment->checksum = (uint16_t)~checksum_fold(
		checksum_pseudo(ip, IPPROTO_TCP, sizeof(*segment))
		+ checksum_bytes(segment, sizeof(*segment))
	);
	worker_process(pods[pod].worker, &config, &f.packet, 1, now_ms);
	assert_true(
		f.packet.drop_reason == DROP_NO_FLOW || f.packet.drop_reason == DROP_SYNC_JOINING
	);
	return f.packet.verdict == FWD_TX;
}

// The flow may be one that only its owner knows.
static void a_segment_without_a_flow_is_reset_by_the_owner_only(void **state) {
	(void)state;
	pods[0].base.reset_unknown_tcp = pods[1].base.reset_unknown_tcp = true;
	assert_false(resets(0, 0)); // joining: it has not all flows yet
	all_serve();
	assert_true(resets(0, 0));
	assert_false(resets(1, 0));
	kill_pod(0);
	run(1000);
	assert_true(resets(1, 0));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_pod_that_joins_has_no_addresses),
		TEST(the_next_one_takes_over_what_a_dead_pod_had),
		TEST(the_lowest_comes_after_the_highest),
		TEST(a_pod_that_comes_back_gets_its_addresses_when_it_is_complete),
		TEST(a_pod_that_leaves_hands_over),
		TEST(both_sides_of_a_split_have_all_addresses_and_one_afterwards),
		TEST(who_stood_still_does_not_answer_and_gets_its_addresses_back),
		TEST(of_two_that_probe_at_one_time_one_goes_on),
		TEST(a_peer_that_is_not_heard_keeps_its_addresses),
		TEST(a_segment_without_a_flow_is_reset_by_the_owner_only),
		TEST(without_a_link_nothing_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
