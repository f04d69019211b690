// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "options.h"

// Runs the forwarder until SIGTERM or SIGINT: control socket first, the data plane as soon as there is a
// valid base.json. Returns the exit status.
int process_run(const struct options *options);
