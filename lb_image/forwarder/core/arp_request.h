// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "fwd_config.h"
#include "packet.h"

// A broadcast ARP request over `port` (RFC 826): `sender` asks for `target`, both in host byte order. With both the same it
// is an announcement (RFC 5227, section 3).
void arp_request_make(
	const struct fwd_port *port, uint32_t sender, uint32_t target, struct fwd_emit *out
);
