// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"
#include "sync_wire.h"
#include "vlan.h"

#define VLAN 100
#define BACKEND 0x0af40005u

// Where the frame of the fixture gets a tag of `type`: on the wire it is 4 bytes longer.
static void tag(struct fixture *f, uint16_t type, uint16_t control) {
	const struct vlan_tag tag = {htons(type), htons(control)};

	memmove(f->packet.data + 16, f->packet.data + 12, f->packet.len - 12u);
	memcpy(f->packet.data + 12, &tag, sizeof(tag));
	f->packet.len += FWD_TAG_SIZE;
}

static void start(struct fixture *f, uint16_t external, uint16_t internal) {
	fixture_start(f, 1024, IPPROTO_UDP);
	f->base.ports[0].vlan = external;
	f->base.ports[1].vlan = internal;
}

static void client(struct fixture *f) {
	fixture_frame(f, 0, FIXTURE_CLIENT, 4000, FIXTURE_VIP, 80, 0);
}

static void process(struct fixture *f) {
	fixture_process(f, FIXTURE_NOW_S);
}

static void assert_sent(const struct fixture *f, uint16_t vlan, uint16_t len) {
	const struct vlan_tag want = {htons(ETHER_TYPE_VLAN), htons(vlan)};
	const uint8_t *data = f->packet.data;
	uint16_t type = htons(ETHER_TYPE_IPV4);

	assert_int_equal(f->packet.verdict, FWD_TX);
	assert_int_equal(f->packet.len, len);
	assert_memory_equal(data + 6, f->base.ports[f->packet.port_out].mac, 6);
	if (vlan != 0)
		assert_memory_equal(data + 12, &want, sizeof(want));
	assert_memory_equal(data + (vlan != 0 ? 16 : 12), &type, sizeof(type));
}

static void assert_dropped(const struct fixture *f, enum drop_reason reason) {
	assert_int_equal(f->packet.verdict, FWD_DROP);
	assert_int_equal(f->packet.drop_reason, reason);
	assert_int_equal(f->worker->counters.drops[reason], 1);
}

static void the_tag_follows_the_port_that_a_packet_leaves_by(void **state) {
	struct fixture f;

	(void)state;
	for (unsigned tags = 1; tags < 4; tags++) {
		uint16_t external = tags & 1 ? VLAN : 0, internal = tags & 2 ? VLAN + 1 : 0;

		start(&f, external, internal);
		client(&f);
		if (external != 0)
			tag(&f, ETHER_TYPE_VLAN, external | 5u << 13);
		process(&f);
		assert_sent(&f, internal, internal != 0 ? 64 : 60);
		fixture_frame(&f, 1, BACKEND, 8080, FIXTURE_LOCAL, 1024, 0);
		if (internal != 0)
			tag(&f, ETHER_TYPE_VLAN, internal);
		process(&f);
		assert_sent(&f, external, external != 0 ? 64 : 60);
		fixture_stop(&f);
	}
}

static void a_frame_is_not_too_short_without_its_tag(void **state) {
	struct fixture f;

	(void)state;
	start(&f, VLAN, 0);
	client(&f);
	f.packet.len = 56;
	tag(&f, ETHER_TYPE_VLAN, VLAN);
	memset(f.packet.data + 60, 0xee, 8);
	process(&f);
	assert_sent(&f, 0, 60);
	assert_memory_equal(f.packet.data + 56, ((uint8_t[4]){0}), 4);
	fixture_stop(&f);
}

static void other_tags_are_dropped(void **state) {
	static const struct {
		uint16_t inner, type, control;
		enum drop_reason reason;
	} cases[] = {
		{0, 0, 0, DROP_NO_VLAN_TAG},
		{0, ETHER_TYPE_VLAN, 0, DROP_NO_VLAN_TAG},
		{0, ETHER_TYPE_VLAN, 6u << 13, DROP_NO_VLAN_TAG},
		{0, ETHER_TYPE_VLAN, VLAN + 1, DROP_OTHER_VLAN},
		{0, ETHER_TYPE_VLAN, 4095, DROP_OTHER_VLAN},
		{0, ETHER_TYPE_SERVICE_VLAN, VLAN, DROP_OTHER_VLAN},
		{VLAN, ETHER_TYPE_VLAN, VLAN, DROP_DOUBLE_VLAN_TAG},
		{VLAN, ETHER_TYPE_VLAN, VLAN + 1, DROP_OTHER_VLAN},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;

		start(&f, VLAN, 0);
		client(&f);
		if (cases[i].inner != 0)
			tag(&f, ETHER_TYPE_VLAN, cases[i].inner);
		if (cases[i].type != 0)
			tag(&f, cases[i].type, cases[i].control);
		process(&f);
		assert_dropped(&f, cases[i].reason);
		fixture_stop(&f);
	}
}

static void a_port_without_a_vlan_takes_a_priority_and_no_tag(void **state) {
	struct fixture f;

	(void)state;
	start(&f, 0, 0);
	client(&f);
	tag(&f, ETHER_TYPE_VLAN, 6u << 13);
	process(&f);
	assert_sent(&f, 0, 60);
	client(&f);
	tag(&f, ETHER_TYPE_VLAN, VLAN);
	process(&f);
	assert_dropped(&f, DROP_OTHER_VLAN);
	client(&f);
	tag(&f, ETHER_TYPE_VLAN, 0);
	tag(&f, ETHER_TYPE_VLAN, 0);
	process(&f);
	assert_dropped(&f, DROP_DOUBLE_VLAN_TAG);
	fixture_stop(&f);
}

static void a_tag_that_is_cut_off_is_truncated(void **state) {
	struct fixture f;

	(void)state;
	for (uint16_t vlan = 0; vlan <= VLAN; vlan += VLAN) {
		start(&f, vlan, 0);
		client(&f);
		tag(&f, ETHER_TYPE_VLAN, vlan);
		f.packet.len = 17;
		process(&f);
		f.packet.len = 13;
		process(&f);
		assert_int_equal(f.worker->counters.drops[DROP_TRUNCATED], 2);
		fixture_stop(&f);
	}
}

// Between packets that stay in their VLAN, others do not; each verdict is at its packet's place.
static void a_burst_is_sorted_in_place(void **state) {
	static const uint16_t vlans[] = {VLAN, 7, 8, VLAN, VLAN, 9};
	static uint8_t frames[6][FWD_FRAME_ROOM + FWD_TAG_SIZE];
	struct fwd_packet packets[6];
	struct fixture f;

	(void)state;
	start(&f, VLAN, 0);
	for (unsigned i = 0; i < 6; i++) {
		client(&f);
		tag(&f, ETHER_TYPE_VLAN, vlans[i]);
		memcpy(frames[i], f.packet.data, f.packet.len);
		packets[i] = f.packet;
		packets[i].data = frames[i];
	}
	worker_process(f.worker, &f.config, packets, 6, FIXTURE_NOW_S * 1000ull);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(packets[i].verdict, vlans[i] == VLAN ? FWD_TX : FWD_DROP);
	assert_int_equal(f.worker->counters.drops[DROP_OTHER_VLAN], 3);
	fixture_stop(&f);
}

static void what_another_worker_gets_has_its_tag(void **state) {
	struct fwd_worker *workers[2];
	uint8_t before[64];
	struct fixture f;

	(void)state;
	start(&f, 0, VLAN);
	fixture_pair(&f, workers);
	fixture_frame(&f, 1, BACKEND, 8080, FIXTURE_LOCAL, 60000, 0);
	tag(&f, ETHER_TYPE_VLAN, VLAN);
	memcpy(before, f.packet.data, sizeof(before));
	process(&f);
	assert_int_equal(f.packet.verdict, FWD_HAND_OVER);
	assert_int_equal(f.packet.len, sizeof(before));
	assert_ptr_equal(f.packet.data, f.frame);
	assert_memory_equal(f.packet.data, before, sizeof(before));
	fixture_pair_stop(&f, workers);
	fixture_stop(&f);
}

static void what_the_core_makes_is_tagged(void **state) {
	const uint16_t vlan_type = htons(ETHER_TYPE_VLAN), arp_type = htons(ETHER_TYPE_ARP);
	const uint16_t id = htons(VLAN);
	struct fwd_emit out[32];
	struct fixture f;
	unsigned made, tagged = 0;

	(void)state;
	start(&f, VLAN, 0);
	made = worker_housekeeping(f.worker, &f.config, FIXTURE_NOW_S * 1000ull, out, 32);
	for (unsigned i = 0; i < made; i++) {
		bool has_vlan = out[i].port_out == 0;

		assert_int_equal(out[i].len, has_vlan ? 64 : 60);
		assert_memory_equal(out[i].data + 6, f.base.ports[out[i].port_out].mac, 6);
		assert_memory_equal(out[i].data + (has_vlan ? 16 : 12), &arp_type, 2);
		if (!has_vlan)
			continue;
		assert_memory_equal(out[i].data + 12, &vlan_type, 2);
		assert_memory_equal(out[i].data + 14, &id, 2);
		tagged++;
	}
	assert_true(tagged > 0 && tagged < made);
	fixture_stop(&f);
}

#define PEER 0x0a4d000cu

static void what_goes_to_a_peer_is_tagged(void **state) {
	static const uint8_t mac[] = {2, 0xfe, 0, 0, 0, 2};
	const struct vlan_tag want = {htons(ETHER_TYPE_VLAN), htons(VLAN)};
	struct neighbour_table *neighbours = calloc(1, sizeof(*neighbours));
	struct fwd_base base = fixture_base(64, 1);
	struct fwd_config config = {0};
	uint64_t now_ms = FIXTURE_NOW_S * 1000ull;
	uint8_t frame[SYNC_FRAME_MAX];
	struct fwd_worker *worker;
	struct fwd_emit out[32];
	unsigned length = 0;

	(void)state;
	base.ports[0].vlan = VLAN;
	base.sync.enabled = true;
	base.sync.udp_port = 5407;
	base.sync.epoch_us = now_ms * 1000;
	base.sync.peers[base.sync.n_peers++] = (struct fwd_peer){1, PEER};
	base.local_addresses[1] = FIXTURE_LOCAL + 1;
	worker = fixture_worker(&base, neighbours, 0);
	neighbour_get(neighbours, 0, PEER, FIXTURE_NOW_S);
	assert_true(neighbour_learn(neighbours, 0, PEER, mac, FIXTURE_NOW_S));
	for (unsigned n = 0; n < 1000 && length == 0; n++) {
		worker_housekeeping(worker, &config, now_ms + n, out, 32);
		length = worker_sync_frame(worker, frame);
	}
	assert_true(length > 60);
	assert_memory_equal(frame, mac, sizeof(mac));
	assert_memory_equal(frame + 12, &want, sizeof(want));
	assert_int_equal(frame[18] >> 4, 4);
	assert_int_equal(length, 18 + (frame[20] << 8 | frame[21]));
	free(worker);
	free(neighbours);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tag_follows_the_port_that_a_packet_leaves_by),
		cmocka_unit_test(a_frame_is_not_too_short_without_its_tag),
		cmocka_unit_test(other_tags_are_dropped),
		cmocka_unit_test(a_port_without_a_vlan_takes_a_priority_and_no_tag),
		cmocka_unit_test(a_tag_that_is_cut_off_is_truncated),
		cmocka_unit_test(a_burst_is_sorted_in_place),
		cmocka_unit_test(what_another_worker_gets_has_its_tag),
		cmocka_unit_test(what_the_core_makes_is_tagged),
		cmocka_unit_test(what_goes_to_a_peer_is_tagged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
