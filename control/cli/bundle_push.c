/* SPDX-License-Identifier: BSD-3-Clause */
/* weir bundle push, status, promote, rollback, suppress: a bundle in force, by way of weir-control.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"

static void say_done(const json_t *reply, int status, const char *verb)
{
	if (status == 200)
		puts(verb);
	else if (strcmp(wr_cli_str(reply, "state"), "staged") == 0)
		printf("is staged: %s; it comes into force by itself\n",
		       wr_cli_str(reply, "waiting"));
	else
		puts("is compiled and kept; no dataplane is connected, it gets it as soon as it "
		     "is there");
}

/* Asks, and says how it went. verb: "is active". */
static int change(struct wr_cli *c, const char *path, json_t *body, const char *verb)
{
	json_t *reply = NULL;
	int status, rc;

	if (body == NULL)
		return wr_cli_fail(c, "a text is not UTF-8");
	status = wr_cli_call(c, "POST", path, body, &reply);
	json_decref(body);
	if (status < 0)
		return WR_EXIT_FAIL;
	rc = status == 200 || status == 202 ? WR_EXIT_OK : status < 500 ? WR_EXIT_NO : WR_EXIT_FAIL;
	if (c->json) {
		wr_cli_print_json(reply);
	} else if (rc == WR_EXIT_OK) {
		if (wr_cli_str(reply, "name")[0] != '\0')
			printf("%s %lld ", wr_cli_str(reply, "name"), wr_cli_int(reply, "version"));
		say_done(reply, status, verb);
	} else {
		json_t *e;
		size_t i;

		json_array_foreach(json_object_get(reply, "errors"), i, e)
		{
			wr_cli_put_safe(stderr, wr_cli_str(e, "file"));
			fprintf(stderr, ":%lld: ", wr_cli_int(e, "line"));
			wr_cli_put_safe(stderr, wr_cli_str(e, "message"));
			fputc('\n', stderr);
		}
		fprintf(stderr, "%s: refused", c->name);
		if (wr_cli_str(reply, "code")[0] != '\0')
			fprintf(stderr, " (%s)", wr_cli_str(reply, "code"));
		fputs(": ", stderr);
		wr_cli_put_safe(stderr, wr_cli_str(reply, "error"));
		fputs("; what was in force stays\n", stderr);
	}
	json_decref(reply);
	return rc;
}

static int run_push(struct wr_cli *c, int argc, char **argv)
{
	char path[PATH_MAX];

	if (argc != 2)
		return wr_cli_usage_of(c, "bundle", "push");
	if (realpath(argv[1], path) == NULL)
		return wr_cli_fail(c, "%s: %s", argv[1], strerror(errno));
	return change(c, "/v1/bundles/push", json_pack("{s:s}", "file", path), "is active");
}

static void set(json_t *o, const char *key, const char *v)
{
	if (v != NULL)
		json_object_set_new(o, key, json_string(v));
}

static int run_rollback(struct wr_cli *c, int argc, char **argv)
{
	const char *reason = wr_cli_opt(c, &argc, argv, "--reason");
	const char *to = wr_cli_opt(c, &argc, argv, "--to");
	bool hold = wr_cli_flag(&argc, argv, "--hold");
	json_t *o;

	if (argc != 2 || reason == NULL)
		return wr_cli_usage_of(c, "bundle", "rollback");
	o = json_pack("{s:s,s:s,s:b}", "bundle", argv[1], "reason", reason, "hold", hold);
	if (o != NULL && to != NULL)
		json_object_set_new(o, "version", json_integer(strtoll(to, NULL, 10)));
	return change(c, "/v1/bundles/rollback", o, "rolled back");
}

static int run_promote(struct wr_cli *c, int argc, char **argv)
{
	const char *item = wr_cli_opt(c, &argc, argv, "--item");
	const char *to = wr_cli_opt(c, &argc, argv, "--to");
	const char *percent = wr_cli_opt(c, &argc, argv, "--percent");
	const char *reason = wr_cli_opt(c, &argc, argv, "--reason");
	const char *expires = wr_cli_opt(c, &argc, argv, "--expires");
	json_t *o;

	if (argc != 2 || item == NULL || to == NULL)
		return wr_cli_usage_of(c, "bundle", "promote");
	o = json_pack("{s:s,s:s,s:s}", "bundle", argv[1], "item", item, "to", to);
	if (o != NULL && percent != NULL)
		json_object_set_new(o, "percent", json_real(strtod(percent, NULL)));
	if (o != NULL) {
		set(o, "reason", reason);
		set(o, "expires", expires);
	}
	return change(c, "/v1/bundles/promote", o, "done");
}

static int run_suppress(struct wr_cli *c, int argc, char **argv)
{
	const char *item = wr_cli_opt(c, &argc, argv, "--item");
	const char *digest = wr_cli_opt(c, &argc, argv, "--digest");
	const char *reason = wr_cli_opt(c, &argc, argv, "--reason");
	const char *ticket = wr_cli_opt(c, &argc, argv, "--ticket");
	const char *expires = wr_cli_opt(c, &argc, argv, "--expires");
	json_t *o;

	if (argc != 2 || item == NULL || reason == NULL)
		return wr_cli_usage_of(c, "bundle", "suppress");
	o = json_pack("{s:s,s:s,s:s}", "bundle", argv[1], "item", item, "reason", reason);
	if (o != NULL) {
		set(o, "digest", digest);
		set(o, "ticket", ticket);
		set(o, "expires", expires);
	}
	return change(c, "/v1/bundles/suppress", o, "done");
}

/* --- status --------------------------------------------------------------------------------------
 */

static void put_time(long long t)
{
	time_t s = (time_t)t;
	struct tm tm;
	char text[32] = "";

	if (t > 0 && gmtime_r(&s, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &tm);
	printf("%-20s", text);
}

static void print_versions(const json_t *nm)
{
	const json_t *all = json_object_get(nm, "versions");
	size_t n = json_array_size(all);

	for (size_t i = n > 10 ? n - 10 : 0; i < n; i++) {
		const json_t *e = json_array_get(all, i);

		printf("  %8lld  %-10s ", wr_cli_int(e, "version"), wr_cli_str(e, "state"));
		put_time(wr_cli_int(e, "received"));
		fputs("  ", stdout);
		wr_cli_put_safe(stdout, wr_cli_str(e, "who"));
		if (wr_cli_str(e, "code")[0] != '\0') {
			printf("  %s: ", wr_cli_str(e, "code"));
			wr_cli_put_safe(stdout, wr_cli_str(e, "error"));
		}
		putchar('\n');
	}
}

static void print_overlay(const json_t *nm)
{
	json_t *o;
	size_t i;

	json_array_foreach(json_object_get(nm, "overlay"), i, o)
	{
		printf("  lowered: %s", wr_cli_str(o, "item"));
		if (wr_cli_str(o, "digest")[0] != '\0')
			printf(" entry %.16s...", wr_cli_str(o, "digest"));
		printf(" to %s", wr_cli_str(o, "mode"));
		if (wr_cli_str(o, "canary_percent")[0] != '\0')
			printf(" %s%%", wr_cli_str(o, "canary_percent"));
		fputs(" by ", stdout);
		wr_cli_put_safe(stdout, wr_cli_str(o, "who"));
		if (wr_cli_str(o, "expires")[0] != '\0')
			printf(" until %s", wr_cli_str(o, "expires"));
		fputs(": ", stdout);
		wr_cli_put_safe(stdout, wr_cli_str(o, "reason"));
		putchar('\n');
	}
}

static void print_name(const char *name, const json_t *nm)
{
	const json_t *pin = json_object_get(nm, "pinned");

	printf("%s: version %lld is in force, versions above %lld are accepted\n", name,
	       wr_cli_int(nm, "active"), wr_cli_int(nm, "floor"));
	if (wr_cli_int(nm, "staged") != 0)
		printf("  version %lld is staged: %s\n", wr_cli_int(nm, "staged"),
		       wr_cli_str(nm, "waiting"));
	if (json_is_object(pin)) {
		printf("  pinned by operator to %lld%s (", wr_cli_int(pin, "version"),
		       json_is_true(json_object_get(pin, "hold")) ? ", held" : "");
		wr_cli_put_safe(stdout, wr_cli_str(pin, "who"));
		fputs("): ", stdout);
		wr_cli_put_safe(stdout, wr_cli_str(pin, "reason"));
		putchar('\n');
	}
	print_overlay(nm);
	print_versions(nm);
}

static int run_status(struct wr_cli *c, int argc, char **argv)
{
	json_t *v, *nm, *e;
	const char *name;
	size_t i, n;

	if (argc > 2)
		return wr_cli_usage_of(c, "bundle", "status");
	v = wr_cli_ask(c, "GET", "/v1/bundles", NULL);
	if (v == NULL)
		return WR_EXIT_FAIL;
	if (c->json) {
		wr_cli_print_json(
		        argc == 2 ? json_object_get(json_object_get(v, "bundles"), argv[1]) : v);
		json_decref(v);
		return WR_EXIT_OK;
	}
	if (json_object_size(json_object_get(v, "bundles")) == 0)
		puts("no bundle has been pushed");
	json_object_foreach(json_object_get(v, "bundles"), name,
	                    nm) if (argc == 1 || strcmp(name, argv[1]) == 0) print_name(name, nm);
	n = json_array_size(json_object_get(v, "rejected"));
	if (n != 0 && argc == 1)
		puts("refused lately:");
	for (i = n > 5 ? n - 5 : 0; argc == 1 && i < n; i++) {
		e = json_array_get(json_object_get(v, "rejected"), i);
		fputs("  ", stdout);
		put_time(wr_cli_int(e, "at"));
		printf("  %s: ", wr_cli_str(e, "code"));
		wr_cli_put_safe(stdout, wr_cli_str(e, "error"));
		putchar('\n');
	}
	json_decref(v);
	return WR_EXIT_OK;
}

const struct wr_cmd wr_cmds_bundle_push[] = {
	{ "bundle", "push", "FILE", "verify, compile and put in force; waits for it", run_push },
	{ "bundle", "status", "[NAME]", "versions, pins, what is lowered, what was refused",
	  run_status },
	{ "bundle", "promote",
	  "NAME --item ITEM --to off|shadow|canary|enforce [--percent N] [--reason TEXT] "
	  "[--expires T]",
	  "lower a rule or list below its signed mode, or lift that", run_promote },
	{ "bundle", "rollback", "NAME --reason TEXT [--to VERSION] [--hold]",
	  "back to a version that was in force, without a key", run_rollback },
	{ "bundle", "suppress",
	  "NAME --item ITEM --reason TEXT [--digest ALGO:HEX] [--ticket T] [--expires T]",
	  "switch off a rule, a list, or one entry of a list", run_suppress },
	{ 0 },
};
