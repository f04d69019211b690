// SPDX-License-Identifier: Apache-2.0

#include "flow_filter.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct fwd_flow_view flow4(void) {
	return (struct fwd_flow_view){
		.client_address = ipv6_mapped(0xcb007109),  // 203.0.113.9
		.vip = ipv6_mapped(0xc633640a),             // 198.51.100.10
		.backend_address = ipv6_mapped(0x0af40005), // 10.244.0.5
		.client_port = 40000,
		.vip_port = 80,
		.backend_port = 8080,
		.protocol = IPPROTO_TCP,
		.state = FLOW_TCP_ESTABLISHED,
		.idle_s = 30,
	};
}

static struct fwd_flow_view flow6(void) {
	struct fwd_flow_view flow = flow4();

	flow.client_address = ipv6_make(0x20010db800000001, 9);
	flow.vip = ipv6_make(0x20010db800000002, 10);
	flow.backend_address = ipv6_make(0x20010db800000003, 5);
	return flow;
}

static bool matches(const char *text, const struct fwd_flow_view *flow) {
	json_t *object = json_loads(text, 0, NULL);
	struct flow_filter filter;
	bool result;

	assert_non_null(object);
	assert_null(flow_filter_read(object, &filter));
	result = flow_filter_matches(&filter, flow, "web");
	json_decref(object);
	return result;
}

static void each_member_decides(void **state) {
	static const struct {
		const char *yes, *no;
	} cases[] = {
		{"{\"listener\":\"web\"}", "{\"listener\":\"we\"}"},
		{"{\"protocol\":\"tcp\"}", "{\"protocol\":\"udp\"}"},
		{"{\"state\":\"established\"}", "{\"state\":\"closed\"}"},
		{"{\"client_address\":\"203.0.113.9\"}", "{\"client_address\":\"203.0.113.8\"}"},
		{"{\"client_address\":\"203.0.113.0/24\"}",
		 "{\"client_address\":\"203.0.112.0/24\"}"},
		{"{\"client_address\":\"0.0.0.0/0\"}", "{\"client_address\":\"2001:db8::/32\"}"},
		{"{\"client_port\":40000}", "{\"client_port\":40001}"},
		{"{\"vip\":\"198.51.100.10\"}", "{\"vip\":\"198.51.100.11\"}"},
		{"{\"vip_port\":80}", "{\"vip_port\":8080}"},
		{"{\"backend_address\":\"10.244.0.0/16\"}",
		 "{\"backend_address\":\"10.245.0.0/16\"}"},
		{"{\"backend_port\":8080}", "{\"backend_port\":80}"},
		{"{\"idle_s_min\":30}", "{\"idle_s_min\":31}"},
		{"{}", "{\"vip_port\":80,\"client_port\":1}"},
	};
	struct fwd_flow_view flow = flow4();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(matches(cases[i].yes, &flow));
		assert_false(matches(cases[i].no, &flow));
	}
}

static void ipv6_has_prefixes_too(void **state) {
	struct fwd_flow_view flow = flow6();

	(void)state;
	assert_true(matches("{\"client_address\":\"2001:db8:0:1::/64\"}", &flow));
	assert_false(matches("{\"client_address\":\"2001:db8:0:2::/64\"}", &flow));
	assert_true(matches("{\"vip\":\"2001:db8:0:2::a\"}", &flow));
	assert_true(matches("{\"vip\":\"::/0\"}", &flow));
	assert_false(matches("{\"vip\":\"0.0.0.0/0\"}", &flow));
}

static void bad_members_are_named(void **state) {
	static const struct {
		const char *text, *field;
	} cases[] = {
		{"{\"listener\":1}", "listener"},
		{"{\"protocol\":\"icmp\"}", "protocol"},
		{"{\"protocol\":6}", "protocol"},
		{"{\"state\":\"free\"}", "state"},
		{"{\"state\":null}", "state"},
		{"{\"client_address\":\"203.0.113.9/24\"}", "client_address"},
		{"{\"client_address\":\"203.0.113.0/33\"}", "client_address"},
		{"{\"client_address\":\"203.0.113.0/\"}", "client_address"},
		{"{\"client_address\":\"203.0.113.0/+8\"}", "client_address"},
		{"{\"client_address\":\"\"}", "client_address"},
		{"{\"client_address\":[]}", "client_address"},
		{"{\"client_port\":0}", "client_port"},
		{"{\"client_port\":65536}", "client_port"},
		{"{\"vip\":\"2001:db8::/129\"}", "vip"},
		{"{\"vip\":\"2001:db8:0000:0000:0000:0000:0000:0000:0000:0000:0001\"}", "vip"},
		{"{\"vip_port\":\"80\"}", "vip_port"},
		{"{\"backend_address\":\"here\"}", "backend_address"},
		{"{\"backend_port\":-1}", "backend_port"},
		{"{\"idle_s_min\":0}", "idle_s_min"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *object = json_loads(cases[i].text, 0, NULL), *error;
		struct flow_filter filter;
		json_t *refusal = flow_filter_read(object, &filter);

		assert_non_null(refusal);
		error = json_array_get(json_object_get(refusal, "errors"), 0);
		assert_string_equal(
			json_string_value(json_object_get(error, "field")), cases[i].field
		);
		json_decref(refusal);
		json_decref(object);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_member_decides),
		cmocka_unit_test(ipv6_has_prefixes_too),
		cmocka_unit_test(bad_members_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
