// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1 // open_memstream
#include "check.h"
#include "config_error.h"
#include "config_faults.h"
#include "sync_base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const good_files[] = {BASE, WEB, DNS};
static const char *testdata; // the good configuration

struct fixture {
	char directory[64];
};

static char *read_all(const char *directory, const char *file) {
	char *text = calloc(1, 1 << 16);
	char path[4096];
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	stream = fopen(path, "r");
	assert_non_null(stream);
	assert_true(fread(text, 1, (1 << 16) - 1, stream) > 0);
	fclose(stream);
	return text;
}

static void write_all(const struct fixture *f, const char *file, const char *text) {
	char path[4096];
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s", f->directory, file);
	stream = fopen(path, "w");
	assert_non_null(stream);
	assert_return_code(fputs(text, stream), 0);
	fclose(stream);
}

static void remove_file(const struct fixture *f, const char *file) {
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", f->directory, file);
	remove(path);
}

static int set_up(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	char path[128];

	strcpy(f->directory, "/tmp/skylane-config-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(path, sizeof(path), "%s/listeners", f->directory);
	assert_return_code(mkdir(path, 0755), 0);
	for (size_t i = 0; i < sizeof(good_files) / sizeof(good_files[0]); i++) {
		char *text = read_all(testdata, good_files[i]);

		write_all(f, good_files[i], text);
		free(text);
	}
	*state = f;
	return 0;
}

static int tear_down(void **state) {
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(good_files) / sizeof(good_files[0]); i++)
		remove_file(f, good_files[i]);
	remove_file(f, "key");
	remove_file(f, "listeners/Web_2.json");
	remove_file(f, "listeners/web.json.tmp");
	remove_file(f, "listeners");
	rmdir(f->directory);
	free(f);
	return 0;
}

// What --check prints, without the directory in front of each line.
static char *faults_of(const struct fixture *f) {
	size_t prefix = strlen(f->directory) + 1;
	char *printed = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&printed, &size);
	bool ok = check_directory(f->directory, false, stream);
	char *out;

	fclose(stream);
	assert_int_equal(ok, size == 0);
	out = printed;
	for (char *line = printed; *line != '\0';) {
		char *end = strchr(line, '\n') + 1;
		size_t length = (size_t)(end - line) - prefix;

		memmove(out, line + prefix, length);
		out += length;
		line = end;
	}
	*out = '\0';
	return printed;
}

static void replace(const struct fixture *f, const char *file, const char *old, const char *new) {
	char *text = read_all(testdata, file);
	char *at = strstr(text, old);
	char *changed = NULL;

	assert_non_null(at);
	assert_true(
		asprintf(&changed, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old)) > 0
	);
	write_all(f, file, changed);
	free(changed);
	free(text);
}

static void test_good(void **state) {
	char *faults = faults_of(*state);

	assert_string_equal(faults, "");
	free(faults);
}

static void test_faults(void **state) {
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *expected = NULL;
		char *original = read_all(testdata, cases[i].file);
		char *faults;

		assert_true(asprintf(&expected, "%s\n", cases[i].fault) > 0);
		replace(f, cases[i].file, cases[i].old, cases[i].new);
		faults = faults_of(f);
		assert_string_equal(faults, expected);
		write_all(f, cases[i].file, original);
		free(faults);
		free(original);
		free(expected);
	}
}

// Local addresses of the peers come behind those of this pod, in the order of the peers.
static void test_sync(void **state) {
	struct config_errors errors = {0};
	struct fixture *f = *state;
	struct base_config config;

	replace(f,
		BASE,
		LOCAL_END,
		SYNC("\"ordinal\": 1, \"peers\": [" PEER(
			"2", "10.77.0.13", "\"10.77.0.105\", \"10.77.0.106\""
		) ", " PEER("0", "10.77.0.12", LOCALS) "]"));
	assert_true(base_read(f->directory, false, &config, &errors));
	assert_true(config.base.sync.enabled);
	assert_int_equal(config.base.sync.ordinal, 1);
	assert_int_equal(config.base.sync.udp_port, 5407);
	assert_int_equal(config.base.sync.n_peers, 2);
	assert_int_equal(config.base.sync.peers[0].ordinal, 2);
	assert_int_equal(config.base.sync.peers[1].address, 0x0a4d000c);
	assert_int_equal(config.base.n_local_addresses, 2);
	assert_int_equal(fwd_all_local_addresses(&config.base, false), 6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(
			config.base.local_addresses[i],
			0x0a4d0065
				+ (i < 2           ? i
					   : i < 4 ? i + 2
						   : i - 2)
		);
	assert_int_equal(fwd_all_local_addresses(&config.base, true), 0);
}

// As many addresses as there may be: 15 peers, 16 local addresses of each pod, two ports of both families.
static void test_sync_of_most(void **state) {
	struct config_errors errors = {0};
	struct fixture *f = *state;
	struct base_config config;
	char path[128];
	FILE *stream;

	snprintf(path, sizeof(path), "%s/" BASE, f->directory);
	stream = fopen(path, "w");
	assert_non_null(stream);
	fprintf(stream, "{\"version\": 1, \"generation\": \"0123456789abcdef\", \"ports\": [");
	for (unsigned i = 0; i < 2; i++)
		fprintf(stream,
			"%s{\"name\": \"p%u\", \"driver\": \"vfio\", \"resource\": \"nic\", "
			"\"address\": \"10.%u.0.11/16\", \"address6\": \"fd%u::b/64\"}",
			i > 0 ? ", " : "",
			i,
			77 + i,
			77 + i);
	for (unsigned pod = 0; pod < FWD_MAX_ORDINALS; pod++) {
		if (pod == 1)
			fprintf(stream,
				"], \"sync\": {\"ordinal\": 0, \"key_file\": \"/k\", \"peers\": [");
		if (pod > 0)
			fprintf(stream,
				"%s{\"ordinal\": %u, \"address\": \"10.77.1.%u\"",
				pod > 1 ? "]}, " : "",
				pod,
				pod);
		fprintf(stream, "%s, \"local_addresses\": [", pod > 0 ? "" : "]");
		for (unsigned i = 0; i < 8; i++)
			fprintf(stream,
				"%s\"10.77.2.%u\", \"fd77::2:%x\"",
				i > 0 ? ", " : "",
				pod * 8 + i,
				pod * 8 + i);
	}
	fprintf(stream, "]}]}}\n");
	fclose(stream);
	assert_true(base_read(f->directory, false, &config, &errors));
	assert_int_equal(config.base.sync.n_peers, FWD_MAX_PEERS);
	assert_int_equal(fwd_all_local_addresses(&config.base, false), 128);
	assert_int_equal(config.base.local_addresses[127], 0x0a4d027f);
}

static void test_no_sync(void **state) {
	struct config_errors errors = {0};
	struct fixture *f = *state;
	struct base_config config;

	assert_true(base_read(f->directory, false, &config, &errors));
	assert_false(config.base.sync.enabled);
	assert_true(sync_key_read(&config, &errors));
	assert_int_equal(fwd_all_local_addresses(&config.base, false), 2);
}

static void test_sync_key(void **state) {
	struct base_config config = {.base.sync.enabled = true};
	struct fixture *f = *state;

	snprintf(config.sync_key_file, sizeof(config.sync_key_file), "%s/key", f->directory);
	for (size_t i = 0; i < sizeof(key_cases) / sizeof(key_cases[0]); i++) {
		struct config_errors errors = {0};
		char expected[512];

		remove_file(f, "key");
		if (key_cases[i].text != NULL)
			write_all(f, "key", key_cases[i].text);
		assert_int_equal(sync_key_read(&config, &errors), key_cases[i].fault == NULL);
		assert_int_equal(errors.count, key_cases[i].fault != NULL);
		for (uint8_t j = 0; errors.count == 0 && j < FWD_SYNC_KEY_SIZE; j++)
			assert_int_equal(config.base.sync.key[j], j);
		if (errors.count > 0) {
			snprintf(
				expected,
				sizeof(expected),
				"%.48s: %s; mount its Secret there",
				config.sync_key_file,
				key_cases[i].fault
			);
			assert_string_equal(errors.items[0].message, expected);
			assert_string_equal(errors.items[0].field, "sync.key_file");
		}
		config_errors_free(&errors);
	}
}

// Beside the good base a dual-stack one: what a listener may be is known only with both.
static const struct {
	const char *vip, *backend, *fault;
} ipv6_cases[] = {
	{"2001:db8::10", "fd44::5", ""},
	{"2001:db8::10\", \"allowed_source_ranges\": [\"::/0\"], \"hash_on\": \"source",
	 "fd44::5",
	 ""},
	{"2001:db8::10\", \"denied_source_ranges\": [\"10.0.0.0/8\", \"1:3::/31\", "
	 "\"::/0\"], \"hash_on\": \"source",
	 "fd44::5",
	 "listeners/dns.json:3: denied_source_ranges[0]: must be an IPv6 network, as "
	 "2001:db8::/32\n"
	 "listeners/dns.json:3: denied_source_ranges[1]: has bits beyond its length; it would be "
	 "1:2::/31\n"},
	{"2001:db8::10",
	 "10.244.0.6",
	 "listeners/dns.json:4: backends[0].address: is IPv4, the vip is IPv6: a listener has "
	 "backends of its own family\n"},
	{"198.51.100.10",
	 "fd44::5",
	 "listeners/dns.json:4: backends[0].address: is IPv6, the vip is IPv4: a listener has "
	 "backends of its own family\n"},
	{"fd77::b", "fd44::5", "listeners/dns.json:3: vip: is the address of port \"external\"\n"},
	{"fd77::1", "fd44::5", "listeners/dns.json:3: vip: is the gateway of port \"external\"\n"},
	{"fd77::65",
	 "fd44::5",
	 "listeners/dns.json:3: vip: is one of the base's local addresses\n"},
	{"2001:db8::10",
	 "fd77::65",
	 "listeners/dns.json:4: backends[0].address: is one of the base's local addresses\n"},
	{"2001:db8::10",
	 "fe80::5",
	 "listeners/dns.json:4: backends[0].address: must not be link-local: no router forwards to "
	 "it\n"},
};

static void test_ipv6(void **state) {
	struct fixture *f = *state;

	replace(f,
		BASE,
		"\"mtu\": 1500\n    },",
		"\"address6\": \"fd77::b/64\", \"gateway6\": \"fd77::1\" }, ");
	for (size_t i = 0; i < sizeof(ipv6_cases) / sizeof(ipv6_cases[0]); i++) {
		char *text = NULL, *base = read_all(f->directory, BASE), *faults;
		char *end = strstr(base, "\"10.77.0.102\"");

		if (end != NULL) {
			memcpy(end, "\"fd77::65\"   ", strlen("\"10.77.0.102\""));
			write_all(f, BASE, base);
		}
		assert_true(
			asprintf(
				&text,
				"{\"version\": 1, \"name\": \"dns\",\n\"generation\": "
				"\"00000000000000b1\",\n\"vip\": \"%s\", \"port\": 53, "
				"\"protocol\": \"udp\",\n\"backends\": [{\"address\": "
				"\"%s\", \"port\": 53}]}\n",
				ipv6_cases[i].vip,
				ipv6_cases[i].backend
			)
			> 0
		);
		write_all(f, DNS, text);
		faults = faults_of(f);
		assert_string_equal(faults, ipv6_cases[i].fault);
		free(faults);
		free(text);
		free(base);
	}
}

// Every fault of a file is told at once, not only the first.
static void test_all_faults(void **state) {
	struct fixture *f = *state;
	char *faults;

	write_all(
		f,
		DNS,
		"{\"version\": 1, \"name\": \"dns\",\n\"generation\": \"00000000000000b1\",\n"
		"\"vip\": \"x\",\n\"port\": 0,\n\"protocol\": \"udp\",\n"
		"\"backends\": [{\"address\": \"10.0.0.1\"},\n 7]}\n"
	);
	faults = faults_of(f);
	assert_string_equal(
		faults,
		DNS ":3: vip: must be a unicast IPv4 or IPv6 address\n" DNS
		    ":4: port: must be an integer from 1 to 65535\n" DNS
		    ":6: backends[0].port: is required\n" DNS ":7: backends[1]: must be an object\n"
	);
	free(faults);
}

// Cut anywhere, a file gives an error that names the file and a line in it, never a configuration.
static void test_truncated(void **state) {
	struct fixture *f = *state;
	char *original = read_all(testdata, WEB);
	size_t length = strlen(original) - 2; // without the last brace and newline

	for (size_t cut = 0; cut <= length; cut++) {
		char *text = strndup(original, cut);
		char *faults;

		write_all(f, WEB, text);
		faults = faults_of(f);
		assert_int_equal(strncmp(faults, WEB ":", strlen(WEB ":")), 0);
		assert_in_range(atoi(faults + strlen(WEB ":")), 1, 21);
		free(faults);
		free(text);
	}
	free(original);
}

static void test_cut_off_says_so(void **state) {
	struct fixture *f = *state;
	char *faults;

	write_all(f, WEB, "{\n  \"version\": 1,\n  \"na");
	faults = faults_of(f);
	assert_non_null(strstr(faults, WEB ":3: the file is cut off: "));
	free(faults);
}

static void test_file_names(void **state) {
	struct fixture *f = *state;
	char *faults;

	write_all(f, "listeners/web.json.tmp", "{");
	write_all(f, "listeners/Web_2.json", "{}");
	faults = faults_of(f);
	assert_string_equal(
		faults,
		"listeners:0: \"Web_2.json\" is not named after a listener (a DNS label and "
		".json)\n"
	);
	free(faults);
}

static void test_no_base(void **state) {
	struct fixture *f = *state;
	char *faults;

	remove_file(f, BASE);
	faults = faults_of(f);
	assert_string_equal(faults, "base.json:0: cannot be read: No such file or directory\n");
	free(faults);
}

int main(int argc, char **argv) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sync, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sync_of_most, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_sync, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sync_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ipv6, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_all_faults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_truncated, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut_off_says_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_base, set_up, tear_down),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s TESTDATA\n", argv[0]);
		return 2;
	}
	testdata = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
