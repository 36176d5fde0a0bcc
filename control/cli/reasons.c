/* SPDX-License-Identifier: BSD-3-Clause */
/* weir reasons: every reason with its meaning, its policy and how often it happened. */
#include "abi/reason.h"
#include "cli/cli.h"

#include <string.h>

static const char *default_name(enum wr_reason_default d)
{
	switch (d) {
	case WR_RD_INSPECT: return "inspect";
	case WR_RD_WIRE: return "wire";
	case WR_RD_DROP: return "drop";
	case WR_RD_POLICY: return "policy";
	}
	return "?";
}

/* Counts come from control when it runs; without it the list is still the list. */
static json_t *counts(struct wr_cli *c, bool offline)
{
	json_t *reply;

	if (offline)
		return NULL;
	reply = wr_cli_ask(c, "GET", "/v1/reasons", NULL);
	return reply;
}

static int run_reasons(struct wr_cli *c, int argc, char **argv)
{
	bool offline = wr_cli_flag(&argc, argv, "--list");
	bool all = !wr_cli_flag(&argc, argv, "--seen");
	json_t *live, *out;

	if (argc > 2)
		return wr_cli_usage_of(c, NULL, "reasons");
	live = counts(c, offline);
	if (live == NULL && !offline)
		return WR_EXIT_FAIL;
	out = json_array();
	for (unsigned r = 1; r < WR_R_COUNT; r++) {
		const struct wr_reason_info *i = wr_reason_info((enum wr_reason)r);
		long long n = wr_cli_int(json_object_get(live, "counts"), i->name);
		const char *on = wr_cli_str(json_object_get(live, "policy"), i->name);

		if ((!all && n == 0) || (argc == 2 && strcmp(argv[1], i->name) != 0))
			continue;
		json_array_append_new(out, json_pack("{s:s,s:s,s:s,s:s,s:s,s:I}", "reason", i->name,
		                                     "default", default_name(i->def), "policy",
		                                     i->policy, "action", on, "help", i->help,
		                                     "count", (json_int_t)n));
	}
	if (json_array_size(out) == 0 && argc == 2) {
		json_decref(out);
		json_decref(live);
		return wr_cli_fail(c, "no reason '%s'; `weir reasons --list` lists them", argv[1]);
	}
	if (c->json) {
		wr_cli_print_json(out);
	} else {
		size_t i;
		json_t *o;

		printf("%-22s %-10s %-18s %12s  %s\n", "REASON", "ACTION", "POLICY KEY", "COUNT",
		       "MEANING");
		json_array_foreach(out, i, o) printf(
		        "%-22s %-10s %-18s %12lld  %s\n", wr_cli_str(o, "reason"),
		        wr_cli_str(o, "action")[0] != '\0' ? wr_cli_str(o, "action")
		                                           : wr_cli_str(o, "default"),
		        wr_cli_str(o, "policy"), wr_cli_int(o, "count"), wr_cli_str(o, "help"));
	}
	json_decref(out);
	json_decref(live);
	return WR_EXIT_OK;
}

const struct wr_cmd wr_cmds_reasons[] = {
	{ NULL, "reasons", "[NAME] [--seen] [--list]",
	  "every reason: meaning, policy, count (--list: without weir-control)", run_reasons },
	{ 0 },
};
