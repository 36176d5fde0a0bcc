/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir report: what observe mode found out. Sums verdict records: what was or would have been
 * blocked, by rule and list, and what was not fully seen, by cause.
 */
#include "cli/records.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct report {
	char since[40]; /* records carry the same format: text order is time order */
	json_t *verdicts, *actions, *would, *rules, *lists, *incomplete, *reasons, *services;
	long long uploads, bytes, blocked, would_block, bad_lines;
};

static void count(json_t *o, const char *key, long long n)
{
	json_t *v = json_object_get(o, key);

	json_object_set_new(o, key, json_integer(n + json_integer_value(v)));
}

/* {"item": {"uploads": n, "blocked": n, "would_block": n}} */
static void count_item(json_t *o, const char *key, bool blocked, bool would)
{
	json_t *e = json_object_get(o, key);

	if (e == NULL) {
		e = json_object();
		json_object_set_new(o, key, e);
	}
	count(e, "uploads", 1);
	count(e, "blocked", blocked);
	count(e, "would_block", would);
}

static void count_matches(struct report *r, const json_t *rec, bool blocked, bool would)
{
	json_t *seen = json_object(), *m;
	size_t i;

	json_array_foreach(json_object_get(rec, "matches"), i, m)
	{
		const char *rule = wr_cli_str(m, "rule"), *list = wr_cli_str(m, "list");
		bool stops = strcmp(wr_cli_str(m, "action"), "block") == 0;
		char key[160];

		snprintf(key, sizeof(key), "%s/%s", wr_cli_str(m, "bundle"),
		         rule[0] != '\0' ? rule : list);
		if (json_object_get(seen, key) != NULL)
			continue;
		json_object_set_new(seen, key, json_true());
		count_item(rule[0] != '\0' ? r->rules : r->lists, key, blocked && stops,
		           would && stops);
	}
	json_decref(seen);
}

static int add(void *arg, const char *line)
{
	struct report *r = arg;
	json_t *rec = json_loads(line, JSON_ALLOW_NUL, NULL);
	bool blocked, would;

	if (rec == NULL) {
		r->bad_lines++;
		return 0;
	}
	if (strcmp(wr_cli_str(rec, "ts"), r->since) < 0) {
		json_decref(rec);
		return 0;
	}
	blocked = strcmp(wr_cli_str(rec, "action"), "block") == 0;
	would = !blocked && strcmp(wr_cli_str(rec, "would"), "block") == 0;
	r->uploads++;
	r->bytes += wr_cli_int(json_object_get(rec, "upload"), "bytes");
	r->blocked += blocked;
	r->would_block += would;
	count(r->verdicts, wr_cli_str(rec, "verdict"), 1);
	count(r->actions, wr_cli_str(rec, "action"), 1);
	count(r->would, wr_cli_str(rec, "would"), 1);
	if (strcmp(wr_cli_str(rec, "verdict"), "incomplete") == 0)
		count_item(r->incomplete, wr_cli_str(rec, "cause"), blocked, would);
	if (wr_cli_str(rec, "reason")[0] != '\0')
		count_item(r->reasons, wr_cli_str(rec, "reason"), blocked, would);
	if (wr_cli_str(rec, "service")[0] != '\0')
		count_item(r->services, wr_cli_str(rec, "service"), blocked, would);
	count_matches(r, rec, blocked, would);
	json_decref(rec);
	return 0;
}

/* 24h, 7d, 90m, or a time as records have it. */
static int since(const char *text, char out[40])
{
	time_t t = time(NULL);
	struct tm tm;
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (strlen(text) >= 10 && text[4] == '-' && text[7] == '-') {
		snprintf(out, 40, "%.39s", text);
		return 0;
	}
	if (end == text || end[0] == '\0' || end[1] != '\0' || n > 1000000)
		return -1;
	switch (*end) {
	case 's': break;
	case 'm': n *= 60; break;
	case 'h': n *= 3600; break;
	case 'd': n *= 86400; break;
	default: return -1;
	}
	t -= (time_t)n;
	gmtime_r(&t, &tm);
	strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	return 0;
}

struct row {
	const char *name;
	long long n;
};

static int by_count(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->name, y->name);
}

static void put_items(const char *title, const json_t *o)
{
	struct row *rows = calloc(json_object_size(o) + 1, sizeof(*rows));
	const char *key;
	json_t *v;
	size_t n = 0;

	WR_ASSERT(rows != NULL);
	json_object_foreach((json_t *)(uintptr_t)o, key, v) rows[n++] =
	        (struct row){ key, wr_cli_int(v, "uploads") };
	qsort(rows, n, sizeof(*rows), by_count);
	if (n != 0)
		printf("\n%-40s %10s %10s %12s\n", title, "uploads", "blocked", "would block");
	for (size_t i = 0; i < n; i++) {
		v = json_object_get(o, rows[i].name);
		printf("%-40.120s %10lld %10lld %12lld\n", rows[i].name, rows[i].n,
		       wr_cli_int(v, "blocked"), wr_cli_int(v, "would_block"));
	}
	free(rows);
}

static void print(const struct report *r)
{
	const char *key;
	json_t *v;

	printf("since %s: %lld uploads, %lld bytes\n", r->since, r->uploads, r->bytes);
	printf("blocked %lld; would have been blocked %lld\n", r->blocked, r->would_block);
	printf("verdicts:");
	json_object_foreach(r->verdicts, key, v)
	        printf(" %s %lld", key, (long long)json_integer_value(v));
	putchar('\n');
	put_items("RULE", r->rules);
	put_items("LIST", r->lists);
	put_items("INCOMPLETE, BY CAUSE", r->incomplete);
	put_items("REASON", r->reasons);
	put_items("SERVICE", r->services);
	if (r->bad_lines != 0)
		printf("\n%lld line(s) were not JSON and are not in these numbers\n", r->bad_lines);
}

static int run_report(struct wr_cli *c, int argc, char **argv)
{
	const char *from = wr_cli_opt(c, &argc, argv, "--since"), *dir;
	struct report r = { 0 };
	char buf[512];
	json_t *out;

	if (since(from != NULL ? from : "24h", r.since) != 0)
		return wr_cli_fail(
		        c, "--since wants 90m, 24h, 7d or 2026-11-23T19:00:00Z, not '%s'", from);
	if (argc > 1)
		return wr_cli_usage_of(c, NULL, "report");
	dir = wr_records_dir(c, buf, sizeof(buf));
	if (dir == NULL)
		return WR_EXIT_FAIL;
	r.verdicts = json_object();
	r.actions = json_object();
	r.would = json_object();
	r.rules = json_object();
	r.lists = json_object();
	r.incomplete = json_object();
	r.reasons = json_object();
	r.services = json_object();
	if (wr_records_each(c, dir, add, &r) < 0)
		return WR_EXIT_FAIL;
	out = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "since",
	                r.since, "uploads", (json_int_t)r.uploads, "bytes", (json_int_t)r.bytes,
	                "blocked", (json_int_t)r.blocked, "would_block", (json_int_t)r.would_block,
	                "bad_lines", (json_int_t)r.bad_lines, "verdicts", r.verdicts, "actions",
	                r.actions, "would", r.would, "rules", r.rules, "lists", r.lists,
	                "incomplete", r.incomplete, "reasons", r.reasons, "services", r.services);
	if (c->json)
		wr_cli_print_json(out);
	else
		print(&r);
	json_decref(out);
	return WR_EXIT_OK;
}

const struct wr_cmd wr_cmds_report[] = {
	{ NULL, "report", "[--since 24h]",
	  "what was or would have been blocked, by rule and list; what was incomplete, by cause",
	  run_report },
	{ 0 },
};
