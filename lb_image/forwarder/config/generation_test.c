// SPDX-License-Identifier: Apache-2.0

#include "generation.h"

#include <source_ranges.h>

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

struct fixture {
	char directory[64];
	struct fwd_base base;
	struct fwd_config *running;
	struct generation_source source;
	struct config_errors errors;
};

static int set_up(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	char path[128];

	strcpy(f->directory, "/tmp/skylane-generation-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(path, sizeof(path), "%s/listeners", f->directory);
	assert_return_code(mkdir(path, 0755), 0);
	f->source = (struct generation_source){.directory = f->directory, .base = &f->base};
	*state = f;
	return 0;
}

static void path_of(const struct fixture *f, const char *name, char *path, size_t size) {
	snprintf(path, size, "%s/listeners/%s.json", f->directory, name);
}

static int tear_down(void **state) {
	struct fixture *f = *state;
	char path[160];

	for (const char *name = "abc"; *name != '\0'; name++) {
		path_of(f, (char[]){*name, '\0'}, path, sizeof(path));
		remove(path);
	}
	snprintf(path, sizeof(path), "%s/listeners", f->directory);
	rmdir(path);
	rmdir(f->directory);
	if (f->running != NULL)
		generation_free(f->running, NULL);
	config_errors_free(&f->errors);
	free(f);
	return 0;
}

// The generation follows from what it tells, as it does in an operator's files.
static void write_with_backends(
	const struct fixture *f, const char *name, unsigned last_octet, const char *backends
) {
	char path[160];
	FILE *stream;

	path_of(f, name, path, sizeof(path));
	stream = fopen(path, "w");
	assert_non_null(stream);
	fprintf(stream,
		"{\"version\":1,\"name\":\"%s\",\"generation\":\"%016x\",\n"
		"\"vip\":\"192.0.2.%u\",\"port\":80,\"protocol\":\"tcp\",\"backends\":[%s]}\n",
		name,
		last_octet + 1000 * (unsigned)strlen(backends),
		last_octet,
		backends);
	fclose(stream);
}

static void write_listener(const struct fixture *f, const char *name, unsigned last_octet) {
	write_with_backends(f, name, last_octet, "");
}

static void break_listener(const struct fixture *f, const char *name) {
	char path[160];

	path_of(f, name, path, sizeof(path));
	assert_return_code(truncate(path, 20), 0);
}

static void remove_listener(const struct fixture *f, const char *name) {
	char path[160];

	path_of(f, name, path, sizeof(path));
	assert_return_code(remove(path), 0);
}

static void load(struct fixture *f, const char *const *names, size_t count) {
	struct fwd_config *next;

	config_errors_free(&f->errors);
	f->source.running = f->running;
	next = generation_build(&f->source, names, count, &f->errors);
	assert_non_null(next);
	if (f->running != NULL)
		generation_free(f->running, next);
	f->running = next;
}

static const struct fwd_listener *listener_of(const struct fixture *f, const char *name) {
	for (size_t slot = 0; slot < FWD_MAX_LISTENERS; slot++) {
		const struct fwd_listener *listener = f->running->listeners[slot];

		if (listener != NULL && strcmp(listener->name, name) == 0) {
			assert_int_equal(listener->index, slot);
			return listener;
		}
	}
	return NULL;
}

static void assert_vip(const struct fixture *f, const char *name, unsigned last_octet) {
	const struct fwd_listener *listener = listener_of(f, name);

	assert_non_null(listener);
	assert_int_equal(listener->vip, 0xc0000200 + last_octet);
}

static void test_only_the_named(void **state) {
	struct fixture *f = *state;

	write_listener(f, "a", 1);
	write_listener(f, "b", 2);
	load(f, NULL, 0);
	write_listener(f, "a", 3);
	write_listener(f, "b", 4);
	load(f, (const char *[]){"a"}, 1);
	assert_vip(f, "a", 3);
	assert_vip(f, "b", 2);
	assert_int_equal(f->errors.count, 0);
}

static void test_unchanged_is_shared(void **state) {
	struct fixture *f = *state;
	const struct fwd_listener *before;

	write_listener(f, "a", 1);
	load(f, NULL, 0);
	before = listener_of(f, "a");
	load(f, NULL, 0);
	assert_ptr_equal(listener_of(f, "a"), before);
}

// An agent that changes weights leaves the generation and changes its suffix.
static void test_another_suffix_is_another_generation(void **state) {
	static const char *const suffixes[] = {"", "-0000000000000001", "-0000000000000002"};
	struct fixture *f = *state;

	for (unsigned weight = 0; weight < 3; weight++) {
		char path[160];
		FILE *stream;

		path_of(f, "a", path, sizeof(path));
		stream = fopen(path, "w");
		assert_non_null(stream);
		fprintf(stream,
			"{\"version\":1,\"name\":\"a\",\"generation\":\"00000000000000a1%s\","
			"\"vip\":\"192.0.2.1\",\"port\":80,\"protocol\":\"tcp\",\"backends\":"
			"[{\"address\":\"10.0.0.1\",\"port\":80,\"weight\":%u}]}\n",
			suffixes[weight],
			weight);
		fclose(stream);
		load(f, NULL, 0);
		assert_int_equal(f->errors.count, 0);
		assert_int_equal(listener_of(f, "a")->backends[0].weight, weight);
		assert_string_equal(listener_of(f, "a")->generation + 16, suffixes[weight]);
	}
}

static void test_slots_stay(void **state) {
	struct fixture *f = *state;
	uint16_t slot_a, slot_b;

	write_listener(f, "a", 1);
	write_listener(f, "b", 2);
	load(f, NULL, 0);
	slot_a = listener_of(f, "a")->index;
	slot_b = listener_of(f, "b")->index;
	remove_listener(f, "a");
	write_listener(f, "b", 3);
	write_listener(f, "c", 1);
	load(f, NULL, 0);
	assert_null(listener_of(f, "a"));
	assert_int_equal(listener_of(f, "b")->index, slot_b);
	assert_int_not_equal(listener_of(f, "c")->index, slot_a);
}

static void test_bad_file_keeps_running(void **state) {
	struct fixture *f = *state;

	write_listener(f, "a", 1);
	write_listener(f, "b", 2);
	load(f, NULL, 0);
	break_listener(f, "a");
	write_listener(f, "b", 3);
	load(f, NULL, 0);
	assert_vip(f, "a", 1);
	assert_vip(f, "b", 3);
	assert_int_equal(f->errors.count, 1);
	assert_string_equal(f->errors.items[0].file, "listeners/a.json");
}

static void test_swap_of_addresses(void **state) {
	struct fixture *f = *state;

	write_listener(f, "a", 1);
	write_listener(f, "b", 2);
	load(f, NULL, 0);
	write_listener(f, "a", 2);
	write_listener(f, "b", 1);
	load(f, NULL, 0);
	assert_int_equal(f->errors.count, 0);
	assert_vip(f, "a", 2);
	assert_vip(f, "b", 1);
}

// "a" wants what "b" runs, so it keeps its own, which "c" wants: "c" has to yield as well.
static void test_conflict_chain(void **state) {
	struct fixture *f = *state;

	write_listener(f, "a", 1);
	write_listener(f, "b", 2);
	load(f, NULL, 0);
	write_listener(f, "a", 2);
	write_listener(f, "c", 1);
	load(f, NULL, 0);
	assert_vip(f, "a", 1);
	assert_vip(f, "b", 2);
	assert_null(listener_of(f, "c"));
	assert_int_equal(f->errors.count, 2);
	assert_string_equal(f->errors.items[0].file, "listeners/a.json");
	assert_int_equal(f->errors.items[0].line, 2);
	assert_string_equal(f->errors.items[1].file, "listeners/c.json");
	assert_string_equal(
		f->errors.items[1].message,
		"192.0.2.1 port 80 (tcp) is already taken by listener \"a\""
	);
}

static void test_bad_name(void **state) {
	struct fixture *f = *state;

	load(f, (const char *[]){"../base"}, 1);
	assert_int_equal(f->errors.count, 1);
}

#define ONE "{\"address\":\"10.244.0.1\",\"port\":80}"
#define TWO "{\"address\":\"10.244.0.2\",\"port\":80}"
#define THREE "{\"address\":\"10.244.0.3\",\"port\":80}"

static uint32_t slot_of(const struct fwd_listener *listener, uint32_t last_octet) {
	for (uint32_t i = 0; i < listener->n_backends; i++) {
		if ((listener->backends[i].address & 0xff) == last_octet)
			return listener->backends[i].slot;
	}
	fail_msg("no backend .%u", last_octet);
	return 0;
}

static unsigned live_backends(const struct fwd_config *config) {
	unsigned count = 0;

	for (uint32_t slot = 0; slot < FWD_MAX_BACKEND_SLOTS; slot++)
		count += fwd_config_has_backend(config, slot);
	return count;
}

// Flows are counted by slot: a backend keeps its own, and what is freed is not given to the next at once.
static void test_backend_slots(void **state) {
	struct fixture *f = *state;
	uint32_t one, two, three;

	write_with_backends(f, "a", 1, ONE "," TWO);
	write_with_backends(f, "b", 2, ONE);
	load(f, NULL, 0);
	assert_int_equal(f->errors.count, 0);
	one = slot_of(listener_of(f, "a"), 1);
	two = slot_of(listener_of(f, "a"), 2);
	assert_int_not_equal(one, two);
	assert_int_not_equal(one, slot_of(listener_of(f, "b"), 1));
	assert_int_equal(live_backends(f->running), 3);
	write_with_backends(f, "a", 1, THREE "," THREE "," TWO);
	load(f, (const char *[]){"a"}, 1);
	three = slot_of(listener_of(f, "a"), 3);
	assert_int_equal(slot_of(listener_of(f, "a"), 2), two);
	assert_int_not_equal(three, one);
	assert_false(fwd_config_has_backend(f->running, one));
	assert_true(fwd_config_has_backend(f->running, three));
	assert_int_equal(live_backends(f->running), 3);
	remove_listener(f, "a");
	load(f, NULL, 0);
	assert_int_equal(live_backends(f->running), 1);
}

// The backends' list ends where the lists of prefixes begin.
#define PREFIXES \
	"],\"allowed_source_ranges\":[\"10.0.0.0/8\"],\"denied_source_ranges\":[\"10.1.0.0/16\""
#define OTHER_PREFIXES \
	"],\"allowed_source_ranges\":[\"10.0.0.0/8\"],\"denied_source_ranges\":[\"10.128.0.0/16\""

// Prefixes are many: a change of a backend takes over those that run, and they live until the last that has them goes.
static void test_equal_source_ranges_are_shared(void **state) {
	struct fixture *f = *state;
	const struct source_ranges *first, *second;

	write_with_backends(f, "a", 1, ONE PREFIXES);
	load(f, NULL, 0);
	first = listener_of(f, "a")->policy.sources;
	assert_non_null(first);
	write_with_backends(f, "a", 1, ONE "," TWO PREFIXES);
	load(f, (const char *[]){"a"}, 1);
	assert_int_equal(listener_of(f, "a")->n_backends, 2);
	assert_ptr_equal(listener_of(f, "a")->policy.sources, first);
	assert_int_equal(first->references, 1);
	write_with_backends(f, "a", 1, ONE OTHER_PREFIXES);
	load(f, NULL, 0);
	second = listener_of(f, "a")->policy.sources;
	assert_true(source_ranges_take(second, 0x0a010000));
	assert_false(source_ranges_take(second, 0x0a800000));
	write_with_backends(f, "a", 1, ONE "," TWO);
	load(f, NULL, 0);
	assert_null(listener_of(f, "a")->policy.sources);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_the_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unchanged_is_shared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_another_suffix_is_another_generation, set_up, tear_down
		),
		cmocka_unit_test_setup_teardown(test_slots_stay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_file_keeps_running, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_swap_of_addresses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_conflict_chain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backend_slots, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_equal_source_ranges_are_shared, set_up, tear_down
		),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
