// SPDX-License-Identifier: Apache-2.0

#include "report.h"

#include <counters.h>

bool report_print(struct fwd_worker *worker, const struct fwd_config *config, FILE *out) {
	json_t *report = json_pack(
		"{s:I,s:I,s:o,s:o,s:o,s:o,s:o}",
		"rx_packets",
		(json_int_t)worker->counters.rx_packets,
		"tx_packets",
		(json_int_t)worker->counters.tx_packets,
		"drops",
		counters_drops(&worker, 1),
		"answers",
		counters_answers(&worker, 1),
		"half_open",
		counters_half_open(&worker, 1),
		"client_address",
		counters_client_address(&worker, 1),
		"listeners",
		counters_listeners(&worker, 1, config)
	);
	bool ok = report != NULL && json_dumpf(report, out, JSON_SORT_KEYS) == 0
		&& fputc('\n', out) != EOF;

	json_decref(report);
	return ok;
}
