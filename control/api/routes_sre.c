/* SPDX-License-Identifier: BSD-3-Clause */
/* What the operators' tools report. */
#include <time.h>

#include "api/api.h"

static int post_selftest(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	const json_t *good = json_object_get(r->body, "ok");

	if (!json_is_boolean(good)) {
		*reply = json_pack("{s:s}", "error", "the body must be {\"ok\": true|false}");
		return 400;
	}
	wr_metrics_set(a->metrics, "weir_selftest_ok", "", json_is_true(good));
	wr_metrics_set(a->metrics, "weir_selftest_timestamp_seconds", "", (double)time(NULL));
	*reply = json_pack("{s:b}", "ok", 1);
	return 200;
}

const struct wr_route wr_routes_sre[] = {
	{ "POST", "/v1/selftest", post_selftest, "{ok}: the result of a self-test, for metrics" },
	{ 0 },
};
