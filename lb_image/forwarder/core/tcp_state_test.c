// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

#include "tcp_state.h"

struct step {
	uint8_t flags;
	bool from_backend;
	enum flow_state expected;
};

static void walk(enum flow_state from, const struct step *steps, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		from = tcp_state_next(from, steps[i].flags, steps[i].from_backend);
		assert_int_equal(from, steps[i].expected);
	}
}

#define WALK(from, ...) \
	walk(from, \
	     (const struct step[]){__VA_ARGS__}, \
	     sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

static void opened_and_closed_by_the_client(void **state) {
	(void)state;
	WALK(FLOW_TCP_SYN,
	     {TCP_SYN, false, FLOW_TCP_SYN}, // sent again
	     {TCP_SYN | TCP_ACK, true, FLOW_TCP_SYN_ACK},
	     {TCP_ACK, false, FLOW_TCP_ESTABLISHED},
	     {TCP_ACK, true, FLOW_TCP_ESTABLISHED},
	     {TCP_FIN | TCP_ACK, false, FLOW_TCP_FIN_CLIENT},
	     {TCP_ACK, true, FLOW_TCP_FIN_CLIENT}, // half closed: data may still come
	     {TCP_FIN | TCP_ACK, true, FLOW_TCP_CLOSED},
	     {TCP_ACK, false, FLOW_TCP_CLOSED});
}

static void closed_by_the_backend(void **state) {
	(void)state;
	WALK(FLOW_TCP_ESTABLISHED,
	     {TCP_FIN | TCP_ACK, true, FLOW_TCP_FIN_BACKEND},
	     {TCP_FIN | TCP_ACK, true, FLOW_TCP_FIN_BACKEND}, // sent again
	     {TCP_FIN | TCP_ACK, false, FLOW_TCP_CLOSED});
}

static void reset_closes_every_state(void **state) {
	(void)state;
	for (unsigned from = FLOW_TCP_SYN; from < FLOW_STATE_COUNT; from++) {
		assert_int_equal(tcp_state_next(from, TCP_RST, false), FLOW_TCP_CLOSED);
		assert_int_equal(tcp_state_next(from, TCP_RST | TCP_ACK, true), FLOW_TCP_CLOSED);
	}
}

static void handshake_cannot_be_skipped(void **state) {
	(void)state;
	WALK(FLOW_TCP_SYN,
	     {TCP_ACK, false, FLOW_TCP_SYN}, // no SYN+ACK seen yet
	     {TCP_ACK, true, FLOW_TCP_SYN},
	     {TCP_SYN | TCP_ACK, false, FLOW_TCP_SYN} // from the wrong side
	);
	WALK(FLOW_TCP_SYN_ACK,
	     {TCP_ACK, true, FLOW_TCP_SYN_ACK}, // only the client can complete it
	     {TCP_SYN | TCP_ACK, false, FLOW_TCP_SYN_ACK},
	     {TCP_ACK, false, FLOW_TCP_ESTABLISHED});
}

static void timeouts_by_state(void **state) {
	const struct fwd_timeouts timeouts = {
		.established_s = 4, .syn_s = 3, .fin_s = 2, .udp_s = 1};

	(void)state;
	assert_int_equal(flow_idle_timeout_s(&timeouts, FLOW_UDP), 1);
	assert_int_equal(flow_idle_timeout_s(&timeouts, FLOW_TCP_SYN), 3);
	assert_int_equal(flow_idle_timeout_s(&timeouts, FLOW_TCP_SYN_ACK), 3);
	assert_int_equal(flow_idle_timeout_s(&timeouts, FLOW_TCP_ESTABLISHED), 4);
	assert_int_equal(flow_idle_timeout_s(&timeouts, FLOW_TCP_FIN_CLIENT), 2);
	assert_int_equal(flow_idle_timeout_s(&timeouts, FLOW_TCP_FIN_BACKEND), 2);
	assert_int_equal(flow_idle_timeout_s(&timeouts, FLOW_TCP_CLOSED), 2);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opened_and_closed_by_the_client),
		cmocka_unit_test(closed_by_the_backend),
		cmocka_unit_test(reset_closes_every_state),
		cmocka_unit_test(handshake_cannot_be_skipped),
		cmocka_unit_test(timeouts_by_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
