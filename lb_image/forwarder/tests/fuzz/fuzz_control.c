// SPDX-License-Identifier: Apache-2.0

// libFuzzer target: any bytes, in pieces, into the control socket. Every whole line has one reply: a JSON object with "ok".

#include "must.h"

#include <control_server.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE 48

static char directory[] = "/tmp/skylane-fuzz-control-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static struct control_server *server;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *reply_ok(void *context) {
	(void)context;
	return json_pack("{s:b}", "ok", 1);
}

static json_t *reply_load(void *context, const char *const *names, size_t count) {
	size_t length = 0;

	(void)context;
	MUST(count <= CONTROL_LOAD_MAX);
	for (size_t i = 0; i < count; i++)
		length += strlen(names[i]);
	return json_pack("{s:b, s:I}", "ok", 1, "length", (json_int_t)length);
}

static json_t *reply_flows(void *context, size_t limit, const struct flow_filter *filter) {
	struct fwd_flow_view flow = {0};

	(void)context;
	MUST(limit >= 1 && limit <= CONTROL_FLOWS_MAX);
	MUST(filter->pattern.client.length <= 128 && filter->state < FLOW_STATE_COUNT);
	return json_pack("{s:b, s:b}", "ok", 1, "matches", flow_filter_matches(filter, &flow, ""));
}

static json_t *
reply_trace_start(void *context, const struct flow_pattern *pattern, unsigned seconds) {
	(void)context;
	MUST(pattern->client.length <= 128 && pattern->vip.length <= 128);
	MUST(seconds >= 1 && seconds <= CONTROL_TRACE_SECONDS_MAX);
	return json_pack("{s:b}", "ok", 1);
}

static json_t *reply_backends(void *context, const char *listener) {
	(void)context;
	MUST(listener != NULL);
	return json_pack("{s:b}", "ok", 1);
}

static void close_server(void) {
	control_server_close(server);
	rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
	static const struct control_operations operations = {
		.status = reply_ok,
		.load = reply_load,
		.stats = reply_ok,
		.flows = reply_flows,
		.backends = reply_backends,
		.trace_start = reply_trace_start,
		.trace_read = reply_ok,
		.gateways = reply_ok,
		.vips = reply_ok,
		.leave = reply_ok,
	};

	(void)argc;
	(void)argv;
	MUST(mkdtemp(directory) != NULL);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
	server = control_server_open(address.sun_path, &operations);
	MUST(server != NULL);
	atexit(close_server);
	return 0;
}

static int connect_client(void) {
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	MUST(client >= 0);
	MUST(connect(client, (const struct sockaddr *)&address, sizeof(address)) == 0);
	control_server_run(server, 0, NULL);
	return client;
}

static void check_reply(const char *line, size_t length) {
	json_t *reply = json_loadb(line, length, 0, NULL);

	MUST(json_is_boolean(json_object_get(reply, "ok")));
	json_decref(reply);
}

// Takes what the server has sent; returns how many whole replies there were, -1 at the end of the stream.
static int take_replies(int client, char *buffer, size_t size, size_t *held) {
	ssize_t got = recv(client, buffer + *held, size - *held, 0);
	char *end;
	int count = 0;

	MUST(got >= 0 || errno == EAGAIN || errno == ECONNRESET);
	if (got == 0 || (got < 0 && errno == ECONNRESET))
		return -1;
	*held += got < 0 ? 0 : (size_t)got;
	while ((end = memchr(buffer, '\n', *held)) != NULL) {
		size_t used = (size_t)(end - buffer) + 1;

		check_reply(buffer, used);
		*held -= used;
		memmove(buffer, buffer + used, *held);
		count++;
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static char buffer[1 << 16];
	size_t held = 0, sent = 0;
	int wanted = 0, got = 0, client = connect_client();

	while (sent < size) {
		size_t piece = size - sent < PIECE ? size - sent : PIECE;

		MUST(send(client, data + sent, piece, MSG_NOSIGNAL) == (ssize_t)piece);
		for (size_t i = 0; i < piece; i++)
			wanted += data[sent + i] == '\n';
		sent += piece;
		control_server_run(server, 0, NULL);
		got += take_replies(client, buffer, sizeof(buffer), &held);
	}
	MUST(got == wanted && held == 0);
	close(client);
	control_server_run(server, 0, NULL);
	return 0;
}
