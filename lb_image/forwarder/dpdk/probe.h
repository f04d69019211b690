// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <steering.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Asks a started port how it spreads packets of a family over its queues. False with the reason in `why` where that cannot be
// foreseen.
bool probe_steering(
	uint16_t port_id,
	unsigned n_workers,
	bool ipv6,
	struct steering *steering,
	char *why,
	size_t why_size
);
