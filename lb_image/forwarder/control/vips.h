// SPDX-License-Identifier: Apache-2.0

// What is known of the VIPs, as parts of the `vips` reply. Reads what worker 0 writes.

#pragma once

#include <jansson.h>
#include <worker.h>

// VIPs of each state that are named, those of the lowest listener slots; all are counted.
#define VIPS_NAMED 16

// Adds {"standby": n, "probing": n, "owner": n, "conflict": n, "vips": [{"address": "198.51.100.10", "state": "conflict", "mac":
// "02:…"}, ...]}; `mac` is that of who has the VIP, and only there in a conflict.
void vips_report(const struct vip_table *table, const struct fwd_config *config, json_t *reply);

// {"standby": n, "probing": n, "owner": n, "conflict": n}
json_t *vips_counts(const struct vip_table *table, const struct fwd_config *config);
