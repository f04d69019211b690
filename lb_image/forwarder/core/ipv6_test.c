// SPDX-License-Identifier: Apache-2.0

// Addresses as values, and what finds listeners and backends by them.

#include "core_fixture.h"

static struct ipv6_address address_of(const char *text) {
	struct ipv6_address address;

	assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	return address;
}

static void prefixes_end_at_any_bit(void **state) {
	const struct ipv6_address base = address_of("2001:db8:77::b");

	(void)state;
	for (unsigned bit = 0; bit < 128; bit++) {
		struct ipv6_address other = base;

		((uint8_t *)&other)[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
		assert_true(ipv6_in_prefix(&other, &base, bit));
		assert_false(ipv6_in_prefix(&other, &base, bit + 1));
	}
	assert_true(ipv6_in_prefix(&base, &base, 128));
}

static void kinds_of_addresses_are_told_apart(void **state) {
	struct ipv6_address a;

	(void)state;
	a = address_of("fe80::1"), assert_true(ipv6_is_link_local(&a));
	a = address_of("febf:ffff::1"), assert_true(ipv6_is_link_local(&a));
	a = address_of("fec0::1"), assert_false(ipv6_is_link_local(&a));
	a = address_of("ff02::1"), assert_true(ipv6_is_multicast(&a));
	a = address_of("feff::1"), assert_false(ipv6_is_multicast(&a));
	a = address_of("::1"), assert_true(ipv6_is_loopback(&a));
	a = address_of("::"), assert_true(ipv6_is_unspecified(&a));
	a = address_of("::ffff:10.0.0.1"), assert_true(ipv6_is_mapped(&a));
	assert_int_equal(ipv6_to_ipv4(&a), 0x0a000001);
	a = address_of("::fffe:10.0.0.1"), assert_false(ipv6_is_mapped(&a));
}

static void groups_and_texts(void **state) {
	const struct ipv6_address host =
		address_of("4037::1:800:200e:8c6c"); // RFC 4291, section 2.7.1
	struct ipv6_address group = ipv6_solicited_node(&host), all = ipv6_all_nodes();
	struct ipv6_address mapped = ipv6_mapped(0x0a4d000b);
	char text[INET6_ADDRSTRLEN];

	(void)state;
	assert_string_equal(ipv6_text(&group, text), "ff02::1:ff0e:8c6c");
	assert_string_equal(ipv6_text(&all, text), "ff02::1");
	assert_string_equal(ipv6_text(&mapped, text), "10.77.0.11");
}

static void delta_of_addresses_is_that_of_their_words(void **state) {
	const struct ipv6_address a = address_of("2001:db8:ffff::1234:5678"),
				  b = address_of("fd44::5");
	uint16_t delta = 0, words_a[8], words_b[8];

	(void)state;
	memcpy(words_a, &a, sizeof(a));
	memcpy(words_b, &b, sizeof(b));
	for (unsigned i = 0; i < 8; i++)
		delta = checksum_add(delta, checksum_delta16(words_a[i], words_b[i]));
	assert_int_equal(checksum_delta6(&a, &b) % 0xffff, delta % 0xffff);
}

// An IPv6 address may begin with the bytes of an IPv4 one.
static void listeners_of_one_family_are_not_found_by_the_other(void **state) {
	static struct fwd_config config;
	const struct ipv6_address vip = address_of("a0a:33c6::10"),
				  other = address_of("a0a:33c6::11");
	struct fwd_listener six = {.vip6 = vip, .ipv6 = true, .port = 80, .protocol = IPPROTO_TCP};
	struct fwd_listener four = {.port = 80, .protocol = IPPROTO_TCP, .index = 1, .arp = true};

	(void)state;
	four.vip = six.vip;
	config.listeners[0] = &six;
	config.listeners[1] = &four;
	fwd_config_index(&config);
	assert_int_equal(fwd_config_lookup6(&config, &vip, 80, IPPROTO_TCP), 0);
	assert_int_equal(fwd_config_lookup(&config, four.vip, 80, IPPROTO_TCP), 1);
	assert_ptr_equal(fwd_config_vip6(&config, &vip), &six);
	assert_ptr_equal(fwd_config_vip(&config, four.vip), &four);
	assert_int_equal(fwd_config_lookup6(&config, &other, 80, IPPROTO_TCP), FWD_NO_SLOT);
	assert_int_equal(fwd_config_lookup6(&config, &vip, 81, IPPROTO_TCP), FWD_NO_SLOT);
	assert_int_equal(fwd_config_lookup6(&config, &vip, 80, IPPROTO_UDP), FWD_NO_SLOT);
	config.listeners[0] = NULL;
	fwd_config_index(&config);
	assert_int_equal(fwd_config_lookup6(&config, &vip, 80, IPPROTO_TCP), FWD_NO_SLOT);
	assert_null(fwd_config_vip6(&config, &vip));
}

// sh: backends of one /64 get even shares of clients of one /64, and a client stays where it is.
static void hashing_spreads_clients_of_one_network(void **state) {
	struct fwd_listener *listener = fixture_listener(IPPROTO_TCP, 4, (uint16_t[]){1, 1, 1, 1});
	const struct ipv6_address vip = address_of("2001:db8::10");
	unsigned shares[4] = {0};

	(void)state;
	listener->ipv6 = true;
	listener->scheduler = FWD_SCHEDULER_SH;
	for (unsigned i = 0; i < 4; i++)
		listener->backends[i].address6 = ipv6_make(0xfd44000000000000u, 5 + i);
	for (uint64_t n = 0; n < 20000; n++) {
		const struct ipv6_address client = ipv6_make(0x20010db8000c0000u, n);
		const struct flow_key6 key = {.client_address = &client, .vip = &vip};
		const struct flow_key hashed = scheduler_key6(&key);
		uint32_t picked = scheduler_pick_hashed(listener, &hashed);

		shares[picked]++;
		assert_int_equal(scheduler_pick_hashed(listener, &hashed), picked);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(shares[i], 4500, 5500);
	free(listener);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes_end_at_any_bit),
		cmocka_unit_test(kinds_of_addresses_are_told_apart),
		cmocka_unit_test(groups_and_texts),
		cmocka_unit_test(delta_of_addresses_is_that_of_their_words),
		cmocka_unit_test(listeners_of_one_family_are_not_found_by_the_other),
		cmocka_unit_test(hashing_spreads_clients_of_one_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
