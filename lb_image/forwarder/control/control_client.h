// SPDX-License-Identifier: Apache-2.0

#pragma once

#define CONTROL_QUERY_TIMEOUT_S 30

// Sends `request` as one line to the socket at `path` and prints the reply line to standard output.
// 0 when the reply says "ok": true, 1 when it does not, 2 when there is no reply (reason on stderr).
int control_query(const char *path, const char *request);
