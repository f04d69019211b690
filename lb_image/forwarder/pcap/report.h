// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <worker.h>

#include <stdbool.h>
#include <stdio.h>

// The counters of a run as one JSON object, with the names of the control socket's stats. False without memory.
bool report_print(struct fwd_worker *worker, const struct fwd_config *config, FILE *out);
