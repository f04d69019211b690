// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1 // ppoll, accept4
#include "control_server.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Either a request is being collected (reply is NULL) or its reply is being sent: a client that asks
// faster than it reads cannot make the server hold more than one reply.
struct client {
	int socket; // -1 when the place is free
	char *line;
	size_t line_length;
	char *reply;
	size_t reply_length;
	size_t reply_sent;
	int64_t reply_deadline_ms;
};

struct control_server {
	int socket;
	struct control_operations operations;
	struct client clients[CONTROL_CLIENTS_MAX];
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static int64_t now_ms(void) {
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void client_close(struct client *client) {
	close(client->socket);
	free(client->line);
	free(client->reply);
	*client = (struct client){.socket = -1};
}

static bool address_of(const char *path, struct sockaddr_un *address) {
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	strcpy(address->sun_path, path);
	return true;
}

// A socket file that nobody listens on is left over from a process that was killed.
static bool remove_stale(const struct sockaddr_un *address) {
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result;

	if (probe < 0)
		return false;
	result = connect(probe, (const struct sockaddr *)address, sizeof(*address));
	close(probe);
	if (result == 0) {
		errno = EADDRINUSE;
		return false;
	}
	return unlink(address->sun_path) == 0 || errno == ENOENT;
}

static int listen_on(const struct sockaddr_un *address) {
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0117);
	int result = -1;

	if (listener >= 0)
		result = bind(listener, (const struct sockaddr *)address, sizeof(*address));
	umask(mask);
	if (result == 0 && listen(listener, CONTROL_CLIENTS_MAX) == 0)
		return listener;
	if (listener >= 0)
		close(listener);
	return -1;
}

int control_server_listen(const char *path) {
	struct sockaddr_un address;

	if (!address_of(path, &address) || !remove_stale(&address))
		return -1;
	return listen_on(&address);
}

struct control_server *
control_server_open(const char *path, const struct control_operations *operations) {
	struct control_server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		return NULL;
	server->socket = control_server_listen(path);
	if (server->socket < 0) {
		free(server);
		return NULL;
	}
	server->operations = *operations;
	strcpy(server->path, path);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		server->clients[i].socket = -1;
	return server;
}

void control_server_close(struct control_server *server) {
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (server->clients[i].socket >= 0)
			client_close(&server->clients[i]);
	}
	close(server->socket);
	unlink(server->path);
	free(server);
}

static void client_send(struct client *client) {
	ssize_t sent =
		send(client->socket,
		     client->reply + client->reply_sent,
		     client->reply_length - client->reply_sent,
		     MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (sent < 0) {
		client_close(client);
		return;
	}
	client->reply_sent += (size_t)sent;
	if (client->reply_sent < client->reply_length)
		return;
	free(client->reply);
	client->reply = NULL;
}

// Answers the first whole line, if there is one; the rest stays for the next turn.
static void client_answer(struct client *client, const struct control_operations *operations) {
	char *end = memchr(client->line, '\n', client->line_length);
	size_t used;

	if (end == NULL) {
		if (client->line_length == CONTROL_LINE_MAX)
			client_close(client);
		return;
	}
	client->reply = control_reply(operations, client->line, (size_t)(end - client->line));
	if (client->reply == NULL) {
		client_close(client);
		return;
	}
	client->reply_length = strlen(client->reply);
	client->reply_sent = 0;
	client->reply_deadline_ms = now_ms() + CONTROL_SEND_TIMEOUT_MS;
	used = (size_t)(end - client->line) + 1;
	client->line_length -= used;
	memmove(client->line, end + 1, client->line_length);
	client_send(client);
}

static void client_receive(struct client *client, const struct control_operations *operations) {
	ssize_t received =
		recv(client->socket,
		     client->line + client->line_length,
		     CONTROL_LINE_MAX - client->line_length,
		     MSG_DONTWAIT);

	if (received < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (received <= 0) {
		client_close(client);
		return;
	}
	client->line_length += (size_t)received;
	client_answer(client, operations);
}

static void server_accept(struct control_server *server) {
	int accepted = accept4(server->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (accepted < 0)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &server->clients[i];

		if (client->socket >= 0)
			continue;
		client->line = malloc(CONTROL_LINE_MAX);
		if (client->line == NULL)
			break;
		client->socket = accepted;
		return;
	}
	close(accepted);
}

static void
client_serve(struct client *client, short events, const struct control_operations *operations) {
	if (client->reply != NULL) {
		if (events != 0)
			client_send(client);
		else if (now_ms() > client->reply_deadline_ms)
			client_close(client);
	} else if (events != 0) {
		client_receive(client, operations);
	}
	// Lines that arrived together with the one just answered.
	while (client->socket >= 0 && client->reply == NULL && client->line_length > 0) {
		size_t before = client->line_length;

		client_answer(client, operations);
		if (client->line_length == before)
			break;
	}
}

void control_server_run(struct control_server *server, int timeout_ms, const sigset_t *mask) {
	struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
	struct pollfd polled[CONTROL_CLIENTS_MAX + 1];

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &server->clients[i];

		polled[i] = (struct pollfd){
			.fd = client->socket,
			.events = client->reply != NULL ? POLLOUT : POLLIN,
		};
	}
	polled[CONTROL_CLIENTS_MAX] = (struct pollfd){.fd = server->socket, .events = POLLIN};
	if (ppoll(polled, CONTROL_CLIENTS_MAX + 1, &timeout, mask) < 0)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (polled[i].fd >= 0)
			client_serve(&server->clients[i], polled[i].revents, &server->operations);
	}
	if (polled[CONTROL_CLIENTS_MAX].revents != 0)
		server_accept(server);
}
