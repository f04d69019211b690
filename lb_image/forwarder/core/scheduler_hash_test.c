// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

#define CLIENTS 40000u
#define BACKENDS 10

static struct fwd_listener *hashing(const uint16_t *weights) {
	struct fwd_listener *listener = fixture_listener(IPPROTO_TCP, BACKENDS, weights);

	listener->scheduler = FWD_SCHEDULER_MH;
	return listener;
}

static uint32_t address_for(const struct fwd_listener *listener, uint32_t client) {
	const struct flow_key key = {.client_address = htonl(client), .vip = htonl(FIXTURE_VIP)};

	return listener->backends[scheduler_pick_hashed(listener, &key)].address;
}

// Clients whose backend is another with `b` than with `a`.
static unsigned moved(const struct fwd_listener *a, const struct fwd_listener *b) {
	unsigned count = 0;

	for (uint32_t client = 0; client < CLIENTS; client++)
		count += address_for(a, client) != address_for(b, client);
	return count;
}

static unsigned share_of(const struct fwd_listener *listener, uint32_t address) {
	unsigned count = 0;

	for (uint32_t client = 0; client < CLIENTS; client++)
		count += address_for(listener, client) == address;
	return count;
}

// What moves is what the backend had: the least that is possible. Clients of the others stay.
static void a_removed_backend_moves_only_its_own_clients(void **state) {
	struct fwd_listener *all = hashing((uint16_t[BACKENDS]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
	struct fwd_listener *without = hashing((uint16_t[BACKENDS]){1, 1, 1, 0, 1, 1, 1, 1, 1, 1});

	(void)state;
	assert_int_equal(moved(all, without), share_of(all, all->backends[3].address));
	assert_int_equal(share_of(without, all->backends[3].address), 0);
	free(all);
	free(without);
}

static void a_raised_backend_takes_only_its_share(void **state) {
	struct fwd_listener *before = hashing((uint16_t[BACKENDS]){2, 2, 2, 2, 2, 2, 2, 2, 2, 4});
	struct fwd_listener *after = hashing((uint16_t[BACKENDS]){2, 2, 2, 8, 2, 2, 2, 2, 2, 4});
	uint32_t raised = before->backends[3].address;

	(void)state;
	assert_int_equal(moved(before, after), share_of(after, raised) - share_of(before, raised));
	free(before);
	free(after);
}

// 65,536 places: a share of a tenth has a standard deviation of 0.12 % of all.
static void shares_follow_the_weights(void **state) {
	static const uint16_t weights[BACKENDS] = {1, 2, 3, 4, 0, 10, 20, 30, 15, 15};
	struct fwd_listener *listener = hashing(weights);

	(void)state;
	for (unsigned i = 0; i < BACKENDS; i++) {
		double share = share_of(listener, listener->backends[i].address);

		assert_float_equal(share / CLIENTS, weights[i] / 100.0, 0.01);
	}
	free(listener);
}

// Every node chooses alike: neither the order of the backends nor what was chosen before matters.
static void order_does_not_matter(void **state) {
	struct fwd_listener *one = hashing((uint16_t[BACKENDS]){1, 2, 3, 1, 1, 1, 1, 1, 1, 1});
	struct fwd_listener *two = hashing((uint16_t[BACKENDS]){1, 2, 3, 1, 1, 1, 1, 1, 1, 1});

	(void)state;
	for (unsigned i = 0; i < BACKENDS; i++)
		two->backends[i] = one->backends[BACKENDS - 1 - i];
	assert_int_equal(moved(one, two), 0);
	free(one);
	free(two);
}

static void a_client_stays_together_or_its_connections_spread(void **state) {
	struct fwd_listener *listener = hashing((uint16_t[BACKENDS]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
	struct flow_key key = {.client_address = htonl(FIXTURE_CLIENT), .vip = htonl(FIXTURE_VIP)};
	uint32_t first = scheduler_pick_hashed(listener, &key);
	unsigned elsewhere = 0;

	(void)state;
	for (key.client_port = 1; key.client_port < 100; key.client_port++)
		assert_int_equal(scheduler_pick_hashed(listener, &key), first);
	listener->hash_connection = true;
	for (key.client_port = 1; key.client_port < 100; key.client_port++)
		elsewhere += scheduler_pick_hashed(listener, &key) != first;
	assert_true(elsewhere > 70);
	free(listener);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_removed_backend_moves_only_its_own_clients),
		cmocka_unit_test(a_raised_backend_takes_only_its_share),
		cmocka_unit_test(shares_follow_the_weights),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(a_client_stays_together_or_its_connections_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
