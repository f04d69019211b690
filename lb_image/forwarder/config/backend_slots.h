// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <fwd_config.h>

// Gives every backend of `fresh` the slot that it has in `running` (NULL: a new listener), or one that neither `now` (NULL at
// start) nor `next` uses; `*cursor` is where to look first, and slots go round, so that one which was freed stays unused for as
// long as possible. False, with nothing taken, when there are too few or there is no memory.
bool backend_slots_assign(
	struct fwd_listener *fresh,
	const struct fwd_listener *running,
	const struct fwd_config *now,
	const struct fwd_config *next,
	uint32_t *cursor
);
