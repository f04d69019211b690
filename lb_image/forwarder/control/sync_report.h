// SPDX-License-Identifier: Apache-2.0

// What is known of the session sync, as a part of the `stats` reply. Reads what worker 0 writes.

#pragma once

#include <jansson.h>
#include <worker.h>

// {"state": "joining", "peers": [{"ordinal": 1, "address": "10.0.0.12", "state": "silent", "heard_ms": null, "local_addresses":
// "standby"}, ...], "local_addresses": "owner", "sent_records": n,
// "received_records": n, "refused_records": n, "refused": {"<why>": n, ...}, "sent_datagrams": n, "received_datagrams": n,
// "unresolved_datagrams": n, "foreign_flows": n}; `heard_ms` is the time since the peer's last datagram, null: none ever came. `local_addresses`: how far
// those of the peer, and of this pod, are ours, in the words of the VIPs (claim.h). Of a worker
// that syncs.
json_t *sync_report(const struct fwd_worker *worker, uint64_t now_ms);
