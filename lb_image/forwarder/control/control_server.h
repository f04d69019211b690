// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "control_protocol.h"

#include <signal.h>
#include <stdbool.h>

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_LINE_MAX (128u << 10)
// A client that does not take its reply for this long is disconnected.
#define CONTROL_SEND_TIMEOUT_MS 5000

struct control_server;

// Listens on the unix stream socket `path`, replacing a stale one. -1 with errno set; EADDRINUSE
// when another process answers there.
int control_server_listen(const char *path);

// NULL with errno set, as control_server_listen().
struct control_server *
control_server_open(const char *path, const struct control_operations *operations);

// Serves whatever is ready, waiting for at most `timeout_ms`. `mask` is the signal mask during the
// wait, so that a signal blocked elsewhere ends the wait and cannot be missed before it.
void control_server_run(struct control_server *server, int timeout_ms, const sigset_t *mask);

void control_server_close(struct control_server *server);
