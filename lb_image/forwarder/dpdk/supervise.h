// SPDX-License-Identifier: Apache-2.0

// The container's first process: starts the forwarder, and starts it again at once when it crashes. A spare process waits with EAL
// initialised, so that what takes longest of a start is done before it is needed.
//
// SIGTERM, SIGINT: the forwarder is told, and its status is ours. SIGHUP: another process, of what file the command is by then, takes its
// place. A forwarder that ends by itself cannot go on, and is not started again.

#pragma once

#include "options.h"

// While it is there, connections to the socket "<control socket>.supervisor" are taken: whoever sees a forwarder end can ask whether another
// one is on its way.

// `argv` is our own command; that of the processes has not --supervise. Returns the exit status.
int supervise_run(const struct options *options, char **argv);
