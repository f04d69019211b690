// SPDX-License-Identifier: Apache-2.0

// "sync" of base.json: the peers that this pod syncs sessions with, and the key that they share.

#pragma once

#include "base.h"
#include "json_node.h"

// Reads and checks it, when all else of the base has been read; without it there is no sync. The local addresses of the peers come behind those
// of this pod.
bool sync_read(const struct json_node *root, struct base_config *config);

// Reads the key from its file: 32 hexadecimal digits. Nothing to do for a base without sync. False with an error added.
bool sync_key_read(struct base_config *config, struct config_errors *errors);

// False, with an error, when a local address is a gateway or of a family that no port has.
bool base_local_address_is_free(
	const struct json_node *node,
	const struct fwd_base *base,
	const struct ipv6_address *address
);
