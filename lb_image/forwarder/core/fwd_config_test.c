// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

static struct fwd_config config;
static struct fwd_listener listeners[FWD_MAX_LISTENERS];

static int set_up(void **state) {
	(void)state;
	memset(&config, 0, sizeof(config));
	memset(listeners, 0, sizeof(listeners));
	return 0;
}

static void place(uint16_t slot, uint32_t vip, uint16_t port, uint8_t protocol, bool arp) {
	listeners[slot] = (struct fwd_listener
	){.vip = vip, .port = port, .protocol = protocol, .arp = arp, .index = slot};
	config.listeners[slot] = &listeners[slot];
}

static void every_listener_is_found_when_all_slots_are_taken(void **state) {
	(void)state;
	for (uint16_t slot = 0; slot < FWD_MAX_LISTENERS; slot++)
		place(slot,
		      FIXTURE_VIP + slot % 7,
		      slot,
		      slot % 2 ? IPPROTO_TCP : IPPROTO_UDP,
		      false);
	fwd_config_index(&config);
	for (uint16_t slot = 0; slot < FWD_MAX_LISTENERS; slot++) {
		const struct fwd_listener *l = &listeners[slot];

		assert_int_equal(fwd_config_lookup(&config, l->vip, l->port, l->protocol), slot);
	}
}

static void address_port_and_protocol_all_count(void **state) {
	(void)state;
	place(3, FIXTURE_VIP, 80, IPPROTO_TCP, false);
	fwd_config_index(&config);
	assert_int_equal(fwd_config_lookup(&config, FIXTURE_VIP, 80, IPPROTO_TCP), 3);
	assert_int_equal(fwd_config_lookup(&config, FIXTURE_VIP, 80, IPPROTO_UDP), FWD_NO_SLOT);
	assert_int_equal(fwd_config_lookup(&config, FIXTURE_VIP, 81, IPPROTO_TCP), FWD_NO_SLOT);
	assert_int_equal(fwd_config_lookup(&config, FIXTURE_VIP + 1, 80, IPPROTO_TCP), FWD_NO_SLOT);
}

static void vip_answers_arp_if_any_of_its_listeners_does(void **state) {
	(void)state;
	place(0, FIXTURE_VIP, 80, IPPROTO_TCP, false);
	place(1, FIXTURE_VIP, 81, IPPROTO_TCP, true);
	place(2, FIXTURE_VIP, 82, IPPROTO_TCP, false);
	fwd_config_index(&config);
	assert_non_null(fwd_config_vip(&config, FIXTURE_VIP));
	assert_true(fwd_config_vip(&config, FIXTURE_VIP)->arp);
	assert_null(fwd_config_vip(&config, FIXTURE_VIP + 1));
}

static void removed_listener_is_gone_after_indexing_again(void **state) {
	(void)state;
	place(0, FIXTURE_VIP, 80, IPPROTO_TCP, false);
	fwd_config_index(&config);
	config.listeners[0] = NULL;
	fwd_config_index(&config);
	assert_int_equal(fwd_config_lookup(&config, FIXTURE_VIP, 80, IPPROTO_TCP), FWD_NO_SLOT);
	assert_null(fwd_config_vip(&config, FIXTURE_VIP));
}

static void every_vip_has_a_grant_of_its_own_that_goes_on(void **state) {
	static struct fwd_config next;
	uint32_t before;

	(void)state;
	for (unsigned i = 0; i < FWD_MAX_LISTENERS; i++)
		place(i, FIXTURE_VIP + i / 2, (uint16_t)(80 + i % 2), IPPROTO_TCP, i != 5);
	fwd_config_index(&config);
	fwd_config_grant(&config, NULL);
	assert_int_equal(config.grants[0], config.grants[1]);
	assert_int_equal(config.grants[5], FWD_NO_GRANT);
	assert_int_equal(config.last_grant, FWD_MAX_LISTENERS / 2);
	before = config.grants[2];
	for (unsigned turn = 0; turn < 5; turn++) {
		next = config;
		next.listeners[0] = next.listeners[1] = NULL;
		next.listeners[2 + turn % 2] = NULL; // the VIP goes on by its other listener
		next.listeners[3 - turn % 2] = config.listeners[3 - turn % 2];
		fwd_config_index(&next);
		fwd_config_grant(&next, &config);
		assert_int_equal(next.grants[3 - turn % 2], before);
		assert_int_equal(next.grants[2 + turn % 2], FWD_NO_GRANT);
		next.listeners[0] = &listeners[0];
		fwd_config_index(&next);
		fwd_config_grant(&next, &config);
		assert_int_equal(next.grants[0], config.grants[0]);
	}
}

static void local_address_belongs_to_the_port_of_its_subnet(void **state) {
	struct fwd_base base = fixture_base(1024, 1);

	(void)state;
	assert_int_equal(fwd_base_port_of(&base, 0x0a4d0065), 0);
	assert_int_equal(fwd_base_port_of(&base, FIXTURE_LOCAL), 1);
	assert_int_equal(fwd_base_port_of(&base, 0x01020304), 0); // in no subnet: the first
}

static void prefix_of_length_zero_contains_everything(void **state) {
	const struct fwd_port port = {.address = 0x0a4d000b, .prefix_length = 0};

	(void)state;
	assert_true(fwd_port_on_link(&port, 0xffffffff));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(every_listener_is_found_when_all_slots_are_taken),
		TEST(address_port_and_protocol_all_count),
		TEST(vip_answers_arp_if_any_of_its_listeners_does),
		TEST(every_vip_has_a_grant_of_its_own_that_goes_on),
		TEST(removed_listener_is_gone_after_indexing_again),
		TEST(local_address_belongs_to_the_port_of_its_subnet),
		TEST(prefix_of_length_zero_contains_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
