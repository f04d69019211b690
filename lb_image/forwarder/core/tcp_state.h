// SPDX-License-Identifier: Apache-2.0

// What a forwarder in the middle can know of a TCP connection (RFC 9293, section 3.3.2, seen from outside).

#pragma once

#include "flow_table.h"

// State after a segment with these flags, from the backend or from the client.
enum flow_state tcp_state_next(enum flow_state state, uint8_t flags, bool from_backend);

// Idle seconds after which a flow in this state is forgotten.
uint32_t flow_idle_timeout_s(const struct fwd_timeouts *timeouts, enum flow_state state);
