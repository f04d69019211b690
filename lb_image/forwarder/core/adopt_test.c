// SPDX-License-Identifier: Apache-2.0

#include "core_fixture.h"

#include "adopt.h"

#define LATER_S (FIXTURE_NOW_S + 5)
#define BACKEND 0x0af40005u
#define PORT 40000

// A worker with one TCP flow, and the one that takes over.
struct restart {
	struct fixture f;
	struct fwd_worker *before;
	struct neighbour_table *known;
	struct adoption adoption;
};

static const uint8_t client_mac[] = {2, 0xfe, 0, 0, 0, 1};

static struct flow *only_flow(const struct restart *r) {
	struct flow_table *table = &r->before->flows;

	for (uint32_t i = 0; i < table->n_flows; i++) {
		if (table->flows[i].state != FLOW_FREE)
			return &table->flows[i];
	}
	fail();
	return NULL;
}

static int set_up(void **state) {
	struct restart *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	fixture_start(&r->f, 64, IPPROTO_TCP);
	fixture_client(&r->f, PORT, TCP_SYN, FIXTURE_NOW_S);
	assert_int_equal(r->f.packet.verdict, FWD_TX);
	r->before = r->f.worker;
	r->known = r->f.neighbours;
	only_flow(r)->state = FLOW_TCP_ESTABLISHED;
	*state = r;
	return 0;
}

static int tear_down(void **state) {
	struct restart *r = *state;

	if (r->before != r->f.worker) {
		free(r->before);
		free(r->known);
	}
	fixture_stop(&r->f);
	free(r);
	return 0;
}

// The next process: another seed, and nothing but the flows and the neighbours of the one before.
static void take_over(struct restart *r, uint32_t now_s) {
	const struct fwd_base *base = &r->f.base;
	struct backend_index backends;
	void *entries;
	uint8_t *memory;
	size_t own = (worker_memory_size(base) + 63) & ~(size_t)63;

	fwd_config_index(&r->f.config);
	entries = fixture_memory(backend_index_size(&r->f.config));
	backend_index_init(&backends, entries, &r->f.config);
	r->f.neighbours = fixture_memory(sizeof(*r->f.neighbours));
	neighbour_adopt(r->f.neighbours, r->known, base->n_ports, now_s);
	memory = fixture_memory(own + worker_group_size(base));
	r->f.worker = worker_init(
		memory,
		r->before->flows.flows,
		base,
		r->f.neighbours,
		worker_group_init(memory + own, base, 7),
		r->before->index,
		7
	);
	worker_adopt(r->f.worker, &backends, now_s, &r->adoption);
	free(entries);
}

static void
assert_adoption(const struct restart *r, unsigned adopted, unsigned ended, unsigned damaged) {
	assert_int_equal(r->adoption.adopted, adopted);
	assert_int_equal(r->adoption.ended, ended);
	assert_int_equal(r->adoption.damaged, damaged);
	assert_int_equal(r->f.worker->flows.active, adopted);
}

static void both_directions_go_on(void **state) {
	struct restart *r = *state;
	const struct ipv4_header *ip = (struct ipv4_header *)(r->f.frame + 14);
	const struct tcp_header *tcp = (struct tcp_header *)(ip + 1);
	uint16_t local_port = ntohs(only_flow(r)->local_port);

	take_over(r, LATER_S);
	assert_adoption(r, 1, 0, 0);
	fixture_client(&r->f, PORT, TCP_ACK, LATER_S);
	assert_int_equal(r->f.packet.verdict, FWD_TX);
	assert_int_equal(tcp->src, htons(local_port));
	assert_int_equal(ip->dst, htonl(BACKEND));
	assert_int_equal(checksum_words(ip, 10), 0xffff);
	fixture_frame(&r->f, 1, BACKEND, 8080, FIXTURE_LOCAL, local_port, TCP_ACK);
	fixture_process(&r->f, LATER_S);
	assert_int_equal(r->f.packet.verdict, FWD_TX);
	assert_int_equal(tcp->src, htons(80));
	assert_int_equal(ip->dst, htonl(FIXTURE_CLIENT));
	assert_int_equal(checksum_words(ip, 10), 0xffff);
}

static void derived_fields_are_not_believed(void **state) {
	struct restart *r = *state;
	struct flow *flow = only_flow(r), right = *flow;

	flow->hash ^= 1;
	flow->address_delta ^= 1;
	flow->l4_delta ^= 1;
	flow->backend_neighbour = flow->client_neighbour = UINT16_MAX;
	flow->backend_port_index = flow->client_port_index = 77;
	flow->listener = FWD_NO_SLOT;
	flow->backend_slot = UINT32_MAX;
	flow->is_counted = true;
	flow->idle_timeout_s = 0;
	take_over(r, LATER_S);
	assert_adoption(r, 1, 0, 0);
	assert_int_equal(flow->address_delta, right.address_delta);
	assert_int_equal(flow->l4_delta, right.l4_delta);
	assert_int_equal(flow->backend_port_index, right.backend_port_index);
	assert_int_equal(flow->client_port_index, right.client_port_index);
	assert_int_equal(flow->idle_timeout_s, 900);
	assert_false(flow->is_counted);
	assert_int_equal(flow->last_seen_s, FIXTURE_NOW_S);
}

static void slots_are_those_of_the_new_configuration(void **state) {
	struct restart *r = *state;

	r->f.config.listeners[0] = NULL;
	r->f.config.listeners[5] = r->f.listener;
	r->f.listener->index = 5;
	r->f.listener->backends[0].slot = 9;
	take_over(r, LATER_S);
	assert_adoption(r, 1, 0, 0);
	assert_int_equal(r->f.worker->counters.listeners[5].active_flows, 1);
	assert_int_equal(r->f.worker->counters.backends[9].active_flows, 1);
	assert_int_equal(r->f.worker->counters.listeners[5].connections, 0);
}

static void without_its_listener_a_flow_goes_on(void **state) {
	struct restart *r = *state;

	r->f.config.listeners[0] = NULL;
	take_over(r, LATER_S);
	assert_adoption(r, 1, 0, 0);
	fixture_client(&r->f, PORT, TCP_FIN | TCP_ACK, LATER_S);
	assert_int_equal(r->f.packet.verdict, FWD_TX);
	assert_int_equal(only_flow(r)->state, FLOW_TCP_FIN_CLIENT);
	assert_int_equal(r->f.worker->counters.listeners[FWD_GONE_LISTENER].packets_in, 1);
}

static void without_its_backend_a_flow_goes_on_or_ends_as_the_listener_says(void **state) {
	struct restart *r = *state;

	r->f.listener->backends[0].address++;
	take_over(r, LATER_S);
	assert_adoption(r, 1, 0, 0);
	assert_int_equal(r->f.worker->counters.backends[FWD_GONE_BACKEND].active_flows, 1);
	free(r->f.worker);
	free(r->f.neighbours);
	r->adoption = (struct adoption){0};
	r->f.listener->reset_removed = true;
	take_over(r, LATER_S);
	assert_adoption(r, 0, 1, 0);
}

static void an_idle_time_goes_on(void **state) {
	struct restart *r = *state;

	take_over(r, FIXTURE_NOW_S + 900);
	assert_adoption(r, 0, 1, 0);
}

static void damage(struct flow *flow, unsigned kind) {
	switch (kind) {
	case 0:
		flow->state = FLOW_STATE_COUNT;
		break;
	case 1:
		flow->state = FLOW_UDP;
		break;
	case 2:
		flow->protocol = 0;
		break;
	case 3:
		flow->local_port ^= 1;
		break;
	case 4:
		flow->local_address ^= 1;
		break;
	case 5:
		flow->ipv6 = true;
		break;
	case 6:
		flow->last_seen_s = LATER_S + 1;
		break;
	case 7:
		flow->created_s = flow->last_seen_s + 1;
		break;
	case 8:
		flow->untold = FWD_CLIENT_ADDRESS_TOA_OMITTED + 1;
		break;
	case 9:
		flow->untold = FWD_CLIENT_ADDRESS_TOA;
		break;
	case 10:
		flow->tells = FWD_CLIENT_ADDRESS_TOA;
		flow->untold = FWD_CLIENT_ADDRESS_PROXY_V2;
		break;
	default:
		memset(flow, 0xff, sizeof(*flow));
	}
}

// The frames of the fixture have the sequence number 0.
static void a_header_that_is_not_confirmed_goes_on(void **state) {
	struct restart *r = *state;
	struct flow *flow = only_flow(r);
	uint16_t len;

	fixture_client(&r->f, PORT, TCP_ACK, FIXTURE_NOW_S);
	len = r->f.packet.len;
	flow->tells = flow->untold = FWD_CLIENT_ADDRESS_PROXY_V2;
	flow->client_isn = UINT32_MAX;
	take_over(r, LATER_S);
	assert_adoption(r, 1, 0, 0);
	fixture_client(&r->f, PORT, TCP_ACK, LATER_S);
	assert_int_equal(r->f.packet.verdict, FWD_TX);
	assert_true(r->f.packet.len > len);
	assert_memory_equal(r->f.frame + 54, "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16);
}

static void a_damaged_flow_is_a_free_place(void **state) {
	struct restart *r = *state;
	struct flow *flow = only_flow(r), right = *flow;

	for (unsigned kind = 0; kind < 12; kind++) {
		*flow = right;
		damage(flow, kind);
		r->adoption = (struct adoption){0};
		take_over(r, LATER_S);
		assert_adoption(r, 0, 0, 1);
		for (uint32_t i = 0; i < r->f.worker->flows.n_flows; i++)
			assert_int_not_equal(
				flow_table_take(&r->f.worker->flows, htonl(BACKEND), htons(8080)),
				FLOW_NONE
			);
		free(r->f.worker);
		free(r->f.neighbours);
	}
	take_over(r, LATER_S);
}

static void of_two_flows_of_one_key_one_is_taken(void **state) {
	struct restart *r = *state;
	struct flow *flow = only_flow(r);
	uint16_t port = (uint16_t)(ntohs(flow->local_port) + 1);

	flow[1] = *flow;
	flow[1].local_port = htons(port);
	take_over(r, LATER_S);
	assert_adoption(r, 1, 0, 1);
}

static void ports_of_another_worker_are_not_taken(void **state) {
	struct restart *r = *state;

	r->before->index = 1;
	r->f.base.n_workers = 2;
	take_over(r, LATER_S);
	assert_adoption(r, 0, 0, 1);
	r->before->index = 0;
}

static void no_more_flows_than_may_be(void **state) {
	struct restart *r = *state;

	for (uint16_t n = 0; n < 9; n++)
		fixture_client(&r->f, (uint16_t)(PORT + 1 + n), TCP_SYN, FIXTURE_NOW_S);
	r->f.base.max_flows_per_worker = 4;
	take_over(r, LATER_S);
	assert_int_equal(r->f.worker->flows.active, 4);
}

static void half_open_and_closed_ones_are_counted(void **state) {
	struct restart *r = *state;

	fixture_client(&r->f, PORT + 1, TCP_SYN, FIXTURE_NOW_S);
	only_flow(r)->state = FLOW_TCP_CLOSED;
	take_over(r, LATER_S);
	assert_adoption(r, 2, 0, 0);
	assert_int_equal(r->f.worker->half_open[0].live, 1);
	assert_int_equal(r->f.worker->counters.listeners[0].closed_flows, 1);
	assert_int_equal(r->f.worker->counters.backends[0].closed_flows, 1);
}

static void connections_of_a_client_are_counted(void **state) {
	struct restart *r = *state;

	r->f.listener->policy.client_max_connections = 1;
	fwd_listener_measure(r->f.listener);
	take_over(r, LATER_S);
	fixture_client(&r->f, PORT + 1, TCP_SYN, LATER_S);
	assert_int_equal(r->f.packet.verdict, FWD_DROP);
	assert_int_equal(r->f.packet.drop_reason, DROP_CLIENT_LIMIT);
}

static void ipv6_flows_are_taken(void **state) {
	struct restart *r = *state;
	struct fwd_listener *listener = fixture_listener(IPPROTO_UDP, 1, (uint16_t[]){1});
	struct ipv6_address backend = ipv6_make(0xfd44000000000000u, 5);
	struct fwd_worker *unused = r->f.worker;
	struct flow6 *flow;
	uint32_t index;

	r->f.base.n_local_addresses6 = 1;
	r->f.base.local_addresses6[0] = ipv6_make(0x20010db800770000u, 0x65);
	r->f.base.ports[0].gateway6 = ipv6_make(0x20010db800770000u, 1);
	listener->ipv6 = true;
	listener->index = 1;
	listener->vip6 = ipv6_make(0x20010db800010000u, 0x10);
	listener->backends[0].address6 = backend;
	r->f.config.listeners[1] = listener;
	r->before = fixture_worker(&r->f.base, r->f.neighbours, 0);
	free(unused);
	index = flow_table_take6(&r->before->flows6, &backend, htons(8080));
	flow = &r->before->flows6.flows6[index];
	*flow = (struct flow6){
		.flow =
			{.client_port = htons(PORT),
			 .vip_port = htons(80),
			 .local_port = htons((uint16_t)(FWD_LOCAL_PORT_MIN + index)),
			 .backend_port = htons(8080),
			 .protocol = IPPROTO_UDP,
			 .state = FLOW_UDP,
			 .ipv6 = true,
			 .last_seen_s = FIXTURE_NOW_S,
			 .created_s = FIXTURE_NOW_S},
		.client_address = ipv6_make(0x20010db8000c0000u, 2),
		.vip = listener->vip6,
		.local_address = r->f.base.local_addresses6[0],
		.backend_address = backend,
	};
	take_over(r, LATER_S);
	assert_int_equal(r->adoption.adopted, 1);
	assert_int_equal(r->f.worker->flows6.active, 1);
	assert_int_equal(r->f.worker->counters.listeners[1].active_flows, 1);
	assert_int_equal(flow->flow.idle_timeout_s, 180);
	free(listener);
}

static void known_macs_are_used_at_once_and_asked_for_again(void **state) {
	struct restart *r = *state;
	struct fwd_emit out[8];
	uint16_t cursor = 0, index;

	take_over(r, LATER_S);
	index = neighbour_get(r->f.neighbours, 0, r->f.base.ports[0].gateway, LATER_S);
	assert_memory_equal(
		&(uint64_t){neighbour_mac(r->f.neighbours, index)}, client_mac, sizeof(client_mac)
	);
	assert_int_equal(
		neighbour_refresh(
			r->f.neighbours, &r->f.base, LATER_S, &cursor, NEIGHBOUR_MAX, out, 8
		),
		2
	);
}

static void old_macs_are_not_taken(void **state) {
	struct restart *r = *state;
	uint16_t index;

	take_over(r, FIXTURE_NOW_S + NEIGHBOUR_FORGET_S);
	index = neighbour_get(r->f.neighbours, 0, r->f.base.ports[0].gateway, LATER_S);
	assert_int_equal(neighbour_mac(r->f.neighbours, index), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(both_directions_go_on),
		TEST(derived_fields_are_not_believed),
		TEST(slots_are_those_of_the_new_configuration),
		TEST(without_its_listener_a_flow_goes_on),
		TEST(without_its_backend_a_flow_goes_on_or_ends_as_the_listener_says),
		TEST(an_idle_time_goes_on),
		TEST(a_header_that_is_not_confirmed_goes_on),
		TEST(a_damaged_flow_is_a_free_place),
		TEST(of_two_flows_of_one_key_one_is_taken),
		TEST(ports_of_another_worker_are_not_taken),
		TEST(no_more_flows_than_may_be),
		TEST(half_open_and_closed_ones_are_counted),
		TEST(connections_of_a_client_are_counted),
		TEST(ipv6_flows_are_taken),
		TEST(known_macs_are_used_at_once_and_asked_for_again),
		TEST(old_macs_are_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
