/* SPDX-License-Identifier: BSD-3-Clause */
/* weir status: who runs, with what, and is it ready. */
#include "cli/cli.h"

#include <string.h>
#include <time.h>

static void put_time(const char *what, long long t)
{
	char text[40] = "-";
	time_t s = (time_t)t;
	struct tm tm;

	if (t > 0 && gmtime_r(&s, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	printf("%s%s", what, text);
}

static void put_bundles(const json_t *active)
{
	const json_t *list = json_object_get(active, "bundles");
	json_t *b;
	size_t i;

	if (json_array_size(list) == 0) {
		puts("bundle     none: nothing is inspected; weir bundle load DIR");
		return;
	}
	json_array_foreach(list, i, b)
	{
		printf("bundle     ");
		wr_cli_put_safe(stdout, wr_cli_str(b, "name"));
		printf(" version %lld, %lld rules, %zu lists", wr_cli_int(b, "version"),
		       wr_cli_int(active, "rules"),
		       json_array_size(json_object_get(active, "lists")));
		put_time(", active since ", wr_cli_int(active, "activated"));
		putchar('\n');
	}
}

static void print(const json_t *s)
{
	const json_t *health = json_object_get(s, "health"), *dp = json_object_get(s, "dataplane");
	const json_t *rec = json_object_get(s, "records");
	json_t *v;
	size_t i;

	printf("weir %s on %s: %s\n", wr_cli_str(s, "version"), wr_cli_str(s, "node"),
	       json_is_true(json_object_get(health, "ready")) ? "ready" : "NOT READY");
	printf("control    pid %lld", wr_cli_int(s, "pid"));
	put_time(", since ", wr_cli_int(s, "started"));
	if (json_is_true(json_object_get(dp, "connected")))
		printf("\ndataplane  pid %lld, %lld worker(s), ruleset generation %lld, %lld "
		       "upload(s) on "
		       "older ones, digests by %s\n",
		       wr_cli_int(dp, "pid"), wr_cli_int(dp, "workers"),
		       wr_cli_int(dp, "generation"), wr_cli_int(dp, "draining_uploads"),
		       wr_cli_str(dp, "digest_engine"));
	else
		printf("\ndataplane  not connected: %s\n", wr_cli_str(dp, "error"));
	put_bundles(json_object_get(s, "bundle"));
	printf("records    %lld written to %s%s%s\n", wr_cli_int(rec, "written"),
	       wr_cli_str(rec, "path"),
	       json_is_true(json_object_get(rec, "stalled")) ? "; STALLED: " : "",
	       wr_cli_str(rec, "error"));
	json_array_foreach(json_object_get(s, "services"), i, v)
	        printf("service    %s: %s\n", wr_cli_str(v, "name"), wr_cli_str(v, "mode"));
	json_array_foreach(json_object_get(s, "links"), i, v) printf(
	        "link       %s: on process death %s, on worker stall %s\n", wr_cli_str(v, "name"),
	        wr_cli_str(v, "on_process_death"), wr_cli_str(v, "on_worker_stall"));
	if (json_is_true(json_object_get(s, "allow_unsigned")))
		puts("warning    trust.allow_unsigned: bundles that nobody signed are loaded");
	json_array_foreach(json_object_get(health, "checks"), i,
	                   v) if (!json_is_true(json_object_get(v, "ok")))
	        printf("FAIL       %s: %s\n", wr_cli_str(v, "check"), wr_cli_str(v, "text"));
}

static int run_status(struct wr_cli *c, int argc, char **argv)
{
	json_t *s;
	bool ready;

	(void)argv;
	if (argc > 1)
		return wr_cli_usage_of(c, NULL, "status");
	s = wr_cli_ask(c, "GET", "/v1/status", NULL);
	if (s == NULL)
		return WR_EXIT_FAIL;
	if (c->json)
		wr_cli_print_json(s);
	else
		print(s);
	ready = json_is_true(json_object_get(json_object_get(s, "health"), "ready"));
	json_decref(s);
	return ready ? WR_EXIT_OK : WR_EXIT_NO;
}

const struct wr_cmd wr_cmds_status[] = {
	{ NULL, "status", "", "who runs, with what, and is it ready; 1 when it is not",
	  run_status },
	{ 0 },
};
