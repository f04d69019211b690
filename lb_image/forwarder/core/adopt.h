// SPDX-License-Identifier: Apache-2.0

// Taking over what a process before this one left: its flows.

#pragma once

#include "backend_index.h"
#include "worker.h"

struct adoption {
	uint32_t adopted;
	uint32_t
		ended; // idle for too long, or of a backend that is gone and whose flows are to end
	uint32_t damaged; // not what a worker of this base writes
};

// Takes the flows that `worker` was made with; all that can be derived is derived anew. In the order in which flows lie, not in which they
// were made. To be called by the thread of the worker, before it does anything else; other workers may be doing the same.
void worker_adopt(
	struct fwd_worker *worker,
	const struct backend_index *backends,
	uint32_t now_s,
	struct adoption *adoption
);
