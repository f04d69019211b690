// SPDX-License-Identifier: Apache-2.0

#include "flow_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define START_TSC 5000u
#define LATER_TSC 9000u

static char path[] = "/tmp/skylane-flow-file-XXXXXX";
static struct fwd_base base;
static struct flow_file file;
static struct flow_clock clock_of_now;

static int set_up(void **state) {
	int fd;

	(void)state;
	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	fd = mkstemp(path);
	base = (struct fwd_base){
		.max_flows_per_worker = 100,
		.n_workers = 2,
		.n_local_addresses = 1,
		.n_local_addresses6 = 1,
		.local_addresses = {0x0a4d0065},
		.local_addresses6 = {ipv6_make(0x20010db800770000u, 0x65)},
	};
	return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state) {
	(void)state;
	flow_file_close(&file);
	return unlink(path);
}

static bool open_at(uint64_t tsc) {
	char error[256];

	clock_of_now = (struct flow_clock){tsc, 2000};
	return flow_file_open(&file, path, &base, &clock_of_now, error, sizeof(error));
}

// A process has been here.
static void leave(void) {
	assert_int_equal(truncate(path, 0), 0);
	assert_true(open_at(START_TSC));
	assert_string_equal(file.verdict, "none");
	memset(file.flows[1], 0x5a, 64);
	flow_file_settle(&file);
	flow_file_close(&file);
}

static void assert_refused(const char *why) {
	char verdict[256];

	snprintf(verdict, sizeof(verdict), "refused: %s", why);
	assert_true(open_at(LATER_TSC));
	assert_string_equal(file.verdict, verdict);
	assert_null(file.before);
	assert_int_equal(*(uint8_t *)file.flows[1], 0);
	assert_int_equal(clock_of_now.start_tsc, LATER_TSC);
}

static void the_next_process_finds_what_was_left(void **state) {
	(void)state;
	leave();
	assert_true(open_at(LATER_TSC));
	assert_string_equal(file.verdict, "adopted");
	assert_int_equal(*(uint8_t *)file.flows[1], 0x5a);
	assert_int_equal(clock_of_now.start_tsc, START_TSC);
}

static void next_hops_are_given_as_a_copy(void **state) {
	(void)state;
	assert_true(open_at(START_TSC));
	file.neighbours->entries[3].key = 77;
	flow_file_settle(&file);
	flow_file_close(&file);
	assert_true(open_at(LATER_TSC));
	assert_int_equal(file.before->entries[3].key, 77);
	assert_int_equal(file.neighbours->entries[3].key, 0);
}

static void another_base_is_refused(void **state) {
	(void)state;
	leave();
	base.max_flows_per_worker = 101;
	assert_refused("max_flows_per_worker was 100 and is 101 now");
	flow_file_close(&file);
	leave();
	base.n_workers = 3;
	assert_refused("workers was 2 and is 3 now");
	flow_file_close(&file);
	leave();
	base.n_local_addresses = 2;
	assert_refused("local_addresses of IPv4 was 1 and is 2 now");
	flow_file_close(&file);
	leave();
	base.local_addresses6[0].low = 0;
	base.n_local_addresses = 2;
	assert_refused("local_addresses[2] was 2001:db8:77::65 and is 2001:db8:77:: now");
}

static void patch(size_t at, uint32_t value) {
	FILE *stream = fopen(path, "r+b");

	assert_non_null(stream);
	assert_int_equal(fseek(stream, (long)at, SEEK_SET), 0);
	assert_int_equal(fwrite(&value, sizeof(value), 1, stream), 1);
	assert_int_equal(fclose(stream), 0);
}

static void another_layout_is_refused(void **state) {
	(void)state;
	leave();
	patch(offsetof(struct flow_header, layout), 4711);
	assert_refused("layout was 4711 and is 4 now");
}

static void a_damaged_header_is_refused(void **state) {
	(void)state;
	leave();
	patch(offsetof(struct flow_header, n_workers), 1);
	assert_true(open_at(LATER_TSC));
	assert_non_null(strstr(file.verdict, "refused: checksum is "));
}

static void a_file_of_others_is_refused(void **state) {
	(void)state;
	leave();
	patch(0, 1);
	assert_true(open_at(LATER_TSC));
	assert_non_null(strstr(file.verdict, "refused: magic is "));
}

static void a_file_that_is_cut_off_is_refused(void **state) {
	(void)state;
	patch(0, 1);
	assert_refused("size is 4: cut off");
}

// Adoption may be what ended it.
static void who_ended_while_it_took_flows_leaves_none(void **state) {
	(void)state;
	assert_true(open_at(START_TSC));
	flow_file_close(&file);
	assert_refused("in_hand is 1, not 0: a process ended while it took the flows");
}

static void a_clock_that_runs_backwards_is_another_kernel(void **state) {
	(void)state;
	leave();
	assert_true(open_at(START_TSC - 1));
	assert_non_null(strstr(file.verdict, "refused: boot_id was "));
}

static void a_file_has_one_process(void **state) {
	struct flow_file first;

	(void)state;
	assert_true(open_at(START_TSC));
	first = file;
	assert_false(open_at(START_TSC));
	file = first;
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_next_process_finds_what_was_left),
		TEST(next_hops_are_given_as_a_copy),
		TEST(another_base_is_refused),
		TEST(another_layout_is_refused),
		TEST(a_damaged_header_is_refused),
		TEST(a_file_of_others_is_refused),
		TEST(a_file_that_is_cut_off_is_refused),
		TEST(who_ended_while_it_took_flows_leaves_none),
		TEST(a_clock_that_runs_backwards_is_another_kernel),
		TEST(a_file_has_one_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
