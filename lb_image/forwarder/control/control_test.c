// SPDX-License-Identifier: Apache-2.0

#include "control_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
	char directory[64];
	char path[96];
	struct control_server *server;
	size_t loaded; // names in the last load
	char name[64]; // the last of them
	size_t limit;
	bool large;
};

static json_t *test_status(void *context) {
	struct fixture *f = context;
	json_t *reply = json_pack("{s:b}", "ok", 1);

	if (f->large) {
		char *filler = calloc(1, 4 << 20);

		memset(filler, 'x', (4 << 20) - 1);
		json_object_set_new(reply, "filler", json_string(filler));
		free(filler);
	}
	return reply;
}

static json_t *test_load(void *context, const char *const *names, size_t count) {
	struct fixture *f = context;

	f->loaded = count;
	snprintf(f->name, sizeof(f->name), "%s", count > 0 ? names[count - 1] : "");
	return json_pack("{s:b}", "ok", 1);
}

static json_t *test_flows(void *context, size_t limit, const struct flow_filter *filter) {
	struct fixture *f = context;

	f->limit = limit;
	snprintf(f->name, sizeof(f->name), "%s", filter->listener ? filter->listener : "");
	return json_pack("{s:b}", "ok", 1);
}

static json_t *
test_trace_start(void *context, const struct flow_pattern *pattern, unsigned seconds) {
	(void)context;
	return json_pack("{s:i, s:i}", "port", pattern->client.port, "seconds", (int)seconds);
}

static json_t *test_trace_read(void *context) {
	(void)context;
	return json_pack("{s:[]}", "records");
}

static json_t *test_backends(void *context, const char *listener) {
	struct fixture *f = context;

	snprintf(f->name, sizeof(f->name), "%s", listener);
	return json_pack("{s:b}", "ok", 1);
}

static struct control_operations operations_of(struct fixture *f) {
	return (struct control_operations){
		.status = test_status,
		.load = test_load,
		.stats = test_status,
		.flows = test_flows,
		.backends = test_backends,
		.trace_start = test_trace_start,
		.trace_read = test_trace_read,
		.gateways = test_status,
		.vips = test_status,
		.leave = test_status,
		.context = f,
	};
}

static int set_up(void **state) {
	struct fixture *f = calloc(1, sizeof(*f));
	struct control_operations operations = operations_of(f);

	strcpy(f->directory, "/tmp/skylane-control-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->path, sizeof(f->path), "%s/sock", f->directory);
	f->server = control_server_open(f->path, &operations);
	assert_non_null(f->server);
	*state = f;
	return 0;
}

static int tear_down(void **state) {
	struct fixture *f = *state;

	control_server_close(f->server);
	rmdir(f->directory);
	free(f);
	return 0;
}

static int client_of(const struct fixture *f) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, f->path);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

// Bytes received after the server had `turns` turns; 0 also when the server hung up.
static size_t take(struct fixture *f, int fd, char *buffer, size_t size, int turns) {
	size_t used = 0;

	while (turns-- > 0) {
		ssize_t received;

		control_server_run(f->server, 1, NULL);
		received = recv(fd, buffer + used, size - 1 - used, 0);
		if (received > 0)
			used += (size_t)received;
	}
	buffer[used] = '\0';
	return used;
}

static bool hung_up(struct fixture *f, int fd) {
	char byte;

	for (int turn = 0; turn < 8; turn++) {
		control_server_run(f->server, 1, NULL);
		ssize_t received = recv(fd, &byte, 1, 0);
		if (received == 0 || (received < 0 && errno == ECONNRESET))
			return true;
	}
	return false;
}

static void say(int fd, const char *text) {
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void test_commands(void **state) {
	static const struct {
		const char *request, *reply;
	} cases[] = {
		{"{\"command\":\"status\"}\n", "{\"ok\":true}\n"},
		{"{\"command\":\"load\"}\n", "{\"ok\":true}\n"},
		{"{\"command\":\"stats\"}\n", "{\"ok\":true}\n"},
		{"{\"command\":\"flows\",\"limit\":7}\n", "{\"ok\":true}\n"},
		{"{\"command\":\"gateways\"}\n", "{\"ok\":true}\n"},
		{"{\"command\":\"fly\"}\n", "unknown command \\\"fly\\\""},
		{"{\"command\":\"status\",\"listner\":1}\n", "\"field\":\"listner\""},
		{"{\"command\":\"load\",\"listeners\":\"web\"}\n", "must be a list"},
		{"{\"command\":\"load\",\"listeners\":[1]}\n", "must be a list of names"},
		{"{\"command\":\"flows\",\"limit\":0}\n", "from 1 to 10000"},
		{"{\"command\":\"flows\",\"listener\":5}\n", "name of a listener"},
		{"{\"command\":\"flows\",\"vip\":\"any\"}\n", "\"field\":\"vip\""},
		{"{\"command\":\"backends\",\"listener\":\"web\"}\n", "{\"ok\":true}\n"},
		{"{\"command\":\"backends\"}\n", "name of a listener"},
		{"{\"command\":\"trace\",\"client_address\":\"192.0.2.1\",\"client_port\":9}\n",
		 "{\"port\":9,\"seconds\":60}\n"},
		{"{\"command\":\"trace\",\"client_address\":\"192.0.2.1\",\"seconds\":5}\n",
		 "{\"port\":0,\"seconds\":5}\n"},
		{"{\"command\":\"trace\"}\n", "{\"records\":[]}\n"},
		{"{\"command\":\"trace\",\"vip\":\"192.0.2.1\"}\n", "\"field\":\"client_address\""},
		{"{\"command\":\"trace\",\"client_address\":\"192.0.2.1\",\"seconds\":3601}\n",
		 "from 1 to 3600"},
		{"{\"command\":\"trace\",\"client_address\":\"192.0.2\"}\n",
		 "an address or a prefix"},
		{"{\"command\":\"trace\",\"state\":\"udp\"}\n", "\"field\":\"state\""},
		{"{\"command\":\"vips\"}\n", "{\"ok\":true}\n"},
		{"{\"command\":\"leave\"}\n", "{\"ok\":true}\n"},
		{"[]\n", "must name a command"},
		{"{\"command\":\n", "not JSON"},
		{"\n", "not JSON"},
	};
	struct fixture *f = *state;
	int fd = client_of(f);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char reply[1024];

		say(fd, cases[i].request);
		take(f, fd, reply, sizeof(reply), 3);
		assert_non_null(strstr(reply, cases[i].reply));
	}
	assert_int_equal(f->limit, 7);
	close(fd);
}

static void test_load_names(void **state) {
	struct fixture *f = *state;
	int fd = client_of(f);
	char reply[256];

	say(fd, "{\"command\":\"load\",\"listeners\":[\"web\",\"dns\"]}\n");
	take(f, fd, reply, sizeof(reply), 3);
	assert_int_equal(f->loaded, 2);
	assert_string_equal(f->name, "dns");
	close(fd);
}

// Requests that arrive in pieces, and several in one piece.
static void test_framing(void **state) {
	struct fixture *f = *state;
	int fd = client_of(f);
	char reply[256];

	say(fd, "{\"command\":");
	assert_int_equal(take(f, fd, reply, sizeof(reply), 3), 0);
	say(fd, "\"status\"}\n{\"command\":\"status\"}\n{\"command\":\"status\"}\n");
	take(f, fd, reply, sizeof(reply), 5);
	assert_string_equal(reply, "{\"ok\":true}\n{\"ok\":true}\n{\"ok\":true}\n");
	close(fd);
}

static void test_endless_line(void **state) {
	struct fixture *f = *state;
	int fd = client_of(f);
	char filler[4096];
	bool ended = false;

	memset(filler, ' ', sizeof(filler));
	for (size_t sent = 0; sent <= 2 * CONTROL_LINE_MAX && !ended; sent += sizeof(filler)) {
		ended = send(fd, filler, sizeof(filler), MSG_NOSIGNAL) < 0 && errno == EPIPE;
		control_server_run(f->server, 0, NULL);
	}
	assert_true(ended || hung_up(f, fd));
	close(fd);
}

static void test_too_many_clients(void **state) {
	struct fixture *f = *state;
	int fds[CONTROL_CLIENTS_MAX + 1];
	char reply[256];

	for (size_t i = 0; i <= CONTROL_CLIENTS_MAX; i++) {
		fds[i] = client_of(f);
		control_server_run(f->server, 1, NULL);
	}
	assert_true(hung_up(f, fds[CONTROL_CLIENTS_MAX]));
	say(fds[0], "{\"command\":\"status\"}\n");
	take(f, fds[0], reply, sizeof(reply), 3);
	assert_string_equal(reply, "{\"ok\":true}\n");
	for (size_t i = 0; i <= CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
}

// A client that never reads holds up nobody else.
static void test_slow_reader(void **state) {
	struct fixture *f = *state;
	int slow = client_of(f);
	int quick = client_of(f);
	char reply[256];

	f->large = true;
	say(slow, "{\"command\":\"status\"}\n{\"command\":\"status\"}\n");
	control_server_run(f->server, 1, NULL);
	control_server_run(f->server, 1, NULL);
	control_server_run(f->server, 1, NULL);
	f->large = false;
	say(quick, "{\"command\":\"status\"}\n");
	take(f, quick, reply, sizeof(reply), 4);
	assert_string_equal(reply, "{\"ok\":true}\n");
	close(slow);
	close(quick);
}

static void test_second_server(void **state) {
	struct fixture *f = *state;
	struct control_operations operations = operations_of(f);

	assert_null(control_server_open(f->path, &operations));
	assert_int_equal(errno, EADDRINUSE);
}

static void test_stale_socket(void **state) {
	struct fixture *f = *state;
	struct control_operations operations = operations_of(f);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct control_server *server;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/stale", f->directory);
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	close(fd);
	server = control_server_open(address.sun_path, &operations);
	assert_non_null(server);
	control_server_close(server);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commands, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_load_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_framing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_endless_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_clients, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_slow_reader, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_second_server, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stale_socket, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
