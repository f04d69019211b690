// SPDX-License-Identifier: Apache-2.0

// NICs simulated: every reply of every worker must come to that worker's queue.

#include "core_fixture.h"
#include "steering.h"

#include <stdio.h>

#define N_WORKERS 16
#define FLOWS_EACH 400

// Microsoft's published key, which ixgbe(vf) and virtio begin with; zeros beyond its 40 bytes.
static const uint8_t key_microsoft[52] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};
// The key that mlx5 begins with.
static const uint8_t key_mlx5[40] = {
	0x2c, 0xc6, 0x81, 0xd1, 0x5b, 0xdb, 0xf4, 0xf7, 0xfc, 0xa2, 0x83, 0x19, 0xdb, 0x1a,
	0x3e, 0x94, 0x6b, 0x9e, 0x38, 0xd9, 0x2c, 0x9c, 0x03, 0xd1, 0xad, 0x99, 0x44, 0xa7,
	0xd9, 0x56, 0x3d, 0x59, 0x06, 0x3c, 0x25, 0xf3, 0xfc, 0x1f, 0xdc, 0x2a,
};
// The same 16 bits again and again: a symmetric hash (Woo and Park 2012).
static const uint8_t key_symmetric[40] = {
	0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
	0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
	0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
};

// As Microsoft's "Verifying the RSS hash calculation" writes it, bit by bit; shares nothing with the code under test.
static uint32_t toeplitz(const uint8_t *key, const uint8_t *input, unsigned size) {
	uint32_t result = 0;

	for (unsigned bit = 0; bit < size * 8; bit++) {
		if (!(input[bit / 8] >> (7 - bit % 8) & 1))
			continue;
		for (unsigned i = 0; i < 32; i++) {
			unsigned at = bit + i;

			result ^= (uint32_t)(key[at / 8] >> (7 - at % 8) & 1) << (31 - i);
		}
	}
	return result;
}

static uint32_t
hash_of(const uint8_t *key, uint32_t src, uint32_t dst, uint16_t src_port, uint16_t dst_port) {
	uint8_t input[12];

	memcpy(input, &src, 4);
	memcpy(input + 4, &dst, 4);
	memcpy(input + 8, &src_port, 2);
	memcpy(input + 10, &dst_port, 2);
	return toeplitz(key, input, sizeof(input));
}

static void fill_reta(uint16_t *reta, size_t size) {
	for (size_t i = 0; i < size; i++)
		reta[i] = (uint16_t)(i % N_WORKERS);
}

// 161.142.100.80:1766 to 66.9.149.187:2794 hashes to 0x51ccc178: the first line of Microsoft's table.
static void the_published_vector(void **state) {
	static struct steering steering;
	uint16_t reta[1] = {0};
	uint32_t hash;

	(void)state;
	assert_true(
		steering_init(&steering, key_microsoft, sizeof(key_microsoft), reta, 1, 1, false)
	);
	hash = steering_source(&steering, &(uint32_t){htonl(0x420995bb)}, htons(2794))
		^ steering_destination(&steering, &(uint32_t){htonl(0xa18e6450)}, htons(1766));
	assert_int_equal(hash, 0x51ccc178);
	assert_int_equal(
		hash_of(key_microsoft,
			htonl(0x420995bb),
			htonl(0xa18e6450),
			htons(2794),
			htons(1766)),
		0x51ccc178
	);
}

// 3ffe:2501:200:3::1:1766 to 3ffe:2501:200:1fff::7:2794 hashes to 0x40207d3d: the same table, for IPv6.
static void the_published_vector_of_ipv6(void **state) {
	static struct steering steering;
	const struct ipv6_address src = ipv6_make(0x3ffe250102001fffu, 7);
	const struct ipv6_address dst = ipv6_make(0x3ffe250102000003u, 1);
	uint16_t reta[1] = {0};

	(void)state;
	assert_true(steering_init(&steering, key_microsoft, 40, reta, 1, 1, true));
	assert_int_equal(
		steering_source(&steering, &src, htons(2794))
			^ steering_destination(&steering, &dst, htons(1766)),
		0x40207d3d
	);
}

// Replies of IPv6 come to the queue of the worker that made the flow.
static void no_reply_of_ipv6_strays(void **state) {
	static struct steering steering;
	struct fwd_base base = fixture_base(1024, 4);
	uint16_t reta[128];
	unsigned wrong = 0;

	(void)state;
	for (unsigned i = 0; i < 128; i++)
		reta[i] = i % 4;
	assert_true(steering_init(&steering, key_mlx5, 40, reta, 128, 4, true));
	base.steering6 = &steering;
	base.n_local_addresses6 = 1;
	base.local_addresses6[0] = ipv6_make(0x20010db800770000u, 0x65);
	for (uint16_t worker = 0; worker < 4; worker++) {
		struct flow_table table;
		void *memory = fixture_table(&table, &base, true, worker);

		for (unsigned n = 0; n < FLOWS_EACH; n++) {
			struct ipv6_address backend = ipv6_make(0xfd44000000000000u, n % 37);
			uint32_t local, index = flow_table_take6(&table, &backend, htons(8080));
			uint8_t input[36];
			uint16_t port;

			assert_int_not_equal(index, FLOW_NONE);
			flow_table_place(&table, index, &local, &port);
			memcpy(input, &backend, 16);
			memcpy(input + 16, &base.local_addresses6[local], 16);
			memcpy(input + 32, (uint16_t[]){htons(8080), htons(port)}, 4);
			wrong += reta[toeplitz(key_mlx5, input, 36) & 127] != worker;
		}
		free(memory);
	}
	assert_int_equal(wrong, 0);
}

// One worker makes flows to many backends; returns those whose reply would come to another queue.
static unsigned
strays(const struct fwd_base *base, const uint8_t *key, const uint16_t *reta, unsigned worker) {
	struct flow_table table;
	void *memory = fixture_table(&table, base, false, worker);
	unsigned wrong = 0;

	for (unsigned n = 0; n < FLOWS_EACH; n++) {
		uint32_t backend = htonl(0x0af40005 + n % 37), local;
		uint16_t backend_port = htons((uint16_t)(8080 + n % 3)), port;
		uint32_t index = flow_table_take(&table, backend, backend_port), hash;

		assert_int_not_equal(index, FLOW_NONE);
		flow_table_place(&table, index, &local, &port);
		assert_int_equal(
			flow_table_reply_index(&table, local, htons(port), backend, backend_port),
			index
		);
		hash = hash_of(
			key, backend, htonl(base->local_addresses[local]), backend_port, htons(port)
		);
		wrong += reta[hash & (base->steering->reta_size - 1u)] != worker;
		flow_table_release(&table, index);
	}
	free(memory);
	return wrong;
}

// Every worker's flows, with one key and RETA of a NIC.
static void check_nic(const char *driver, const uint8_t *key, size_t key_size, size_t reta_size) {
	static struct steering steering;
	uint16_t reta[STEERING_RETA_MAX];
	struct fwd_base base = fixture_base(65536, N_WORKERS);

	base.n_local_addresses = 2;
	base.local_addresses[1] = FIXTURE_LOCAL + 7;
	fill_reta(reta, reta_size);
	assert_true(steering_init(&steering, key, key_size, reta, reta_size, N_WORKERS, false));
	base.steering = &steering;
	for (unsigned worker = 0; worker < N_WORKERS; worker++) {
		unsigned wrong = strays(&base, key, reta, worker);

		if (wrong > 0)
			fail_msg("%s: worker %u: %u strays", driver, worker, wrong);
	}
}

// Keys and sizes are those that DPDK's drivers begin with. mlx5 has a RETA of one entry a queue, up to what its firmware takes.
static void every_reply_comes_to_its_owner(void **state) {
	(void)state;
	check_nic("ixgbevf", key_microsoft, 40, 64);
	check_nic("ixgbe, virtio", key_microsoft, 40, 128);
	check_nic("mlx5, one entry a queue", key_mlx5, 40, 16);
	check_nic("mlx5", key_mlx5, 40, 512);
	check_nic("ice", key_microsoft, 52, 2048);
	check_nic("symmetric", key_symmetric, 40, 128);
}

// iavf and ena draw a key at every start: many of them.
static void every_reply_comes_to_its_owner_by_drawn_keys(void **state) {
	uint64_t random = 1;
	uint8_t key[52];

	(void)state;
	for (unsigned draw = 0; draw < 8; draw++) {
		for (unsigned i = 0; i < sizeof(key); i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			key[i] = (uint8_t)(random >> 56);
		}
		check_nic("iavf", key, 52, 64);
		check_nic("ena", key, 40, 128);
	}
}

// It would get no replies, but clients that come in on another port: it could serve none of them.
static void a_worker_without_entries_is_refused(void **state) {
	static struct steering steering;
	uint16_t reta[64] = {0};

	(void)state;
	assert_false(steering_init(&steering, key_mlx5, sizeof(key_mlx5), reta, 64, 2, false));
	assert_false(steering_init(&steering, key_mlx5, sizeof(key_mlx5), reta, 1, 2, false));
	assert_true(steering_init(&steering, key_mlx5, sizeof(key_mlx5), reta, 1, 1, false));
	reta[63] = 1;
	assert_true(steering_init(&steering, key_mlx5, sizeof(key_mlx5), reta, 64, 2, false));
	assert_false(steering_init(&steering, key_mlx5, sizeof(key_mlx5), reta, 64, 3, false));
}

// A driver that says yes and tells no key, or a key that leaves the port out: a worker could choose among ports that all bring
// the reply to one queue.
static void a_key_that_ports_do_not_change_is_refused(void **state) {
	static struct steering steering;
	uint8_t key[40] = {0};
	uint16_t reta[64];

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		reta[i] = i % 2;
	assert_false(steering_init(&steering, key, sizeof(key), reta, 64, 2, false));
	memcpy(key, key_mlx5, 10);
	assert_false(steering_init(&steering, key, sizeof(key), reta, 64, 2, false));
	memcpy(key, key_mlx5, STEERING_KEY_MIN);
	assert_true(steering_init(&steering, key, sizeof(key), reta, 64, 2, false));
}

static void what_cannot_be_foreseen_is_refused(void **state) {
	static struct steering steering;
	uint16_t reta[100];

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		reta[i] = i % 2;
	assert_true(steering_init(&steering, key_mlx5, STEERING_KEY_MIN, reta, 64, 2, false));
	assert_false(steering_init(&steering, key_mlx5, STEERING_KEY_MIN - 1, reta, 64, 2, false));
	assert_false(steering_init(&steering, key_mlx5, 39, reta, 64, 2, true)); // 36 and a word
	assert_true(steering_init(&steering, key_mlx5, 40, reta, 64, 2, true));
	assert_false(steering_init(&steering, key_mlx5, 40, reta, 100, 2, false));
	assert_false(steering_init(&steering, key_mlx5, 40, reta, 0, 2, false));
	reta[63] = 2;
	assert_false(steering_init(&steering, key_mlx5, 40, reta, 64, 2, false));
}

// A reply that the NIC put elsewhere all the same finds the way: the hash says who has the flow.
static void a_stray_reply_is_handed_to_its_owner(void **state) {
	static struct steering steering;
	uint16_t reta[64];
	struct fixture f;
	const struct ipv4_header *ip;
	const struct udp_header *udp;

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		reta[i] = i % 2;
	assert_true(steering_init(&steering, key_mlx5, sizeof(key_mlx5), reta, 64, 2, false));
	fixture_start(&f, 1024, IPPROTO_UDP);
	f.base.n_workers = 2;
	f.base.steering = &steering;
	ip = (const struct ipv4_header *)(f.frame + sizeof(struct ether_header));
	udp = (const struct udp_header *)(ip + 1);
	for (unsigned owner = 0; owner < 2; owner++) {
		free(f.worker);
		f.worker = fixture_worker(&f.base, f.neighbours, owner);
		fixture_client(&f, 20000, 0, FIXTURE_NOW_S);
		assert_int_equal(f.packet.verdict, FWD_TX);
		fixture_frame(
			&f, 1, ntohl(ip->dst), ntohs(udp->dst), ntohl(ip->src), ntohs(udp->src), 0
		);
		free(f.worker);
		f.worker = fixture_worker(&f.base, f.neighbours, !owner);
		fixture_process(&f, FIXTURE_NOW_S);
		assert_int_equal(f.packet.verdict, FWD_HAND_OVER);
		assert_int_equal(f.packet.owner, owner);
	}
	fixture_stop(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_vector),
		cmocka_unit_test(the_published_vector_of_ipv6),
		cmocka_unit_test(no_reply_of_ipv6_strays),
		cmocka_unit_test(every_reply_comes_to_its_owner),
		cmocka_unit_test(every_reply_comes_to_its_owner_by_drawn_keys),
		cmocka_unit_test(a_worker_without_entries_is_refused),
		cmocka_unit_test(a_key_that_ports_do_not_change_is_refused),
		cmocka_unit_test(what_cannot_be_foreseen_is_refused),
		cmocka_unit_test(a_stray_reply_is_handed_to_its_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
