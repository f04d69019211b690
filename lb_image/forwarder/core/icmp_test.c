// SPDX-License-Identifier: Apache-2.0

// ICMP errors where there are several workers; what one worker makes of them is in the packet cases.

#include "core_fixture.h"

#define N_WORKERS 3
#define CLIENT_PORT 20000
#define ROUTER 0xcb007101u

static struct fixture f;
static struct fwd_worker *workers[N_WORKERS];

// The ring: which worker has a client's flow cannot be told from the packet.
static int set_up(void **state) {
	(void)state;
	fixture_start(&f, 1024, IPPROTO_UDP);
	f.base.n_workers = N_WORKERS;
	free(f.worker);
	for (unsigned i = 0; i < N_WORKERS; i++)
		workers[i] = fixture_worker(&f.base, f.neighbours, i);
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	for (unsigned i = 0; i < N_WORKERS; i++)
		free(workers[i]);
	f.worker = NULL;
	fixture_stop(&f);
	return 0;
}

// A router wants replies to the client to be shorter.
static void make_error(void) {
	struct ipv4_header *ip = (struct ipv4_header *)(f.frame + sizeof(struct ether_header));
	struct icmp_header *icmp = (struct icmp_header *)(ip + 1);
	struct ipv4_header *quoted = (struct ipv4_header *)(icmp + 1);
	struct udp_header *udp = (struct udp_header *)(quoted + 1);
	unsigned length = sizeof(*icmp) + sizeof(*quoted) + sizeof(*udp);

	fixture_frame(&f, 0, ROUTER, 0, FIXTURE_VIP, 0, 0);
	ip->protocol = IPPROTO_ICMP;
	ip->total_length = htons((uint16_t)(sizeof(*ip) + length));
	ip->checksum = 0;
	ip->checksum = (uint16_t)~checksum_words(ip, 10);
	*quoted = (struct ipv4_header){
		.version_ihl = 0x45,
		.total_length = htons(1500),
		.ttl = 9,
		.protocol = IPPROTO_UDP,
		.src = htonl(FIXTURE_VIP),
		.dst = htonl(FIXTURE_CLIENT),
	};
	*udp = (struct udp_header){.src = htons(80), .dst = htons(CLIENT_PORT)};
	*icmp = (struct icmp_header){.type = ICMP_UNREACHABLE, .code = 4, .rest = htonl(1400)};
	icmp->checksum = (uint16_t)~checksum_bytes(icmp, length);
	f.packet.len = (uint16_t)(sizeof(struct ether_header) + sizeof(*ip) + length);
}

// What `first` and those that it is handed on to make of the error; the last of them in `*last`.
static enum fwd_verdict verdict_after_all(unsigned first, unsigned *last) {
	make_error();
	for (unsigned at = first;; at = f.packet.owner) {
		worker_process(workers[at], &f.config, &f.packet, 1, FIXTURE_NOW_S * 1000ull);
		*last = at;
		if (f.packet.verdict != FWD_HAND_OVER)
			return f.packet.verdict;
		assert_in_range(f.packet.hand_overs++, 0, N_WORKERS - 2);
	}
}

static void an_error_about_a_reply_finds_its_flow(void **state) {
	unsigned last;

	(void)state;
	f.worker = workers[2];
	fixture_client(&f, CLIENT_PORT, 0, FIXTURE_NOW_S);
	assert_int_equal(f.packet.verdict, FWD_TX);
	for (unsigned first = 0; first < N_WORKERS; first++) {
		assert_int_equal(verdict_after_all(first, &last), FWD_TX);
		assert_int_equal(last, 2);
		assert_int_equal(f.packet.port_out, 1);
	}
}

static void an_error_about_nothing_goes_round_once(void **state) {
	unsigned last;

	(void)state;
	assert_int_equal(verdict_after_all(1, &last), FWD_DROP);
	assert_int_equal(last, 0);
	assert_int_equal(workers[0]->counters.drops[DROP_NO_FLOW], 1);
	assert_int_equal(workers[1]->counters.drops[DROP_NO_FLOW], 0);
}

// A flood of forged errors must not fill the rings of all workers.
static void errors_that_go_round_are_limited(void **state) {
	unsigned last = 0, passed = 0;

	(void)state;
	for (unsigned n = 0; n < 1500; n++) {
		verdict_after_all(0, &last);
		passed += last != 0;
	}
	assert_int_equal(passed, 1000);
	assert_int_equal(workers[0]->counters.drops[DROP_NO_FLOW], 500);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(an_error_about_a_reply_finds_its_flow),
		TEST(an_error_about_nothing_goes_round_once),
		TEST(errors_that_go_round_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
