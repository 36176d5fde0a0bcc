/* SPDX-License-Identifier: BSD-3-Clause */
/* weir explain: an upload's story from its verdict record. */
#include "cli/records.h"

#include "abi/reason.h"
#include "abi/verdict.h"

#include <string.h>

struct search {
	const char *id;
	json_t *found;
};

static int look(void *arg, const char *line)
{
	struct search *s = arg;
	json_t *r;

	if (strstr(line, s->id) == NULL)
		return 0;
	r = json_loads(line, JSON_ALLOW_NUL, NULL);
	if (r != NULL && (strcmp(wr_cli_str(r, "decision_id"), s->id) == 0 ||
	                  strcmp(wr_cli_str(json_object_get(r, "upload"), "id"), s->id) == 0)) {
		s->found = r;
		return 1;
	}
	json_decref(r);
	return 0;
}

static void put(const char *label, const char *value)
{
	if (value[0] == '\0')
		return;
	printf("  %-18s ", label);
	wr_cli_put_safe(stdout, value);
	putchar('\n');
}

static void put_upload(const json_t *r)
{
	const json_t *u = json_object_get(r, "upload"), *c = json_object_get(r, "client");
	json_t *f;
	size_t i;

	puts("the upload");
	printf("  %-18s ", "request");
	wr_cli_put_safe(stdout, wr_cli_str(u, "method"));
	putchar(' ');
	wr_cli_put_safe(stdout, wr_cli_str(u, "host"));
	wr_cli_put_safe(stdout, wr_cli_str(u, "path"));
	printf("\n  %-18s %s port %lld (%s), on worker %s of %s\n", "client", wr_cli_str(c, "ip"),
	       wr_cli_int(c, "port"), wr_cli_str(c, "source"), wr_cli_str(r, "worker"),
	       wr_cli_str(r, "node"));
	printf("  %-18s %lld bytes, framed by", "body", wr_cli_int(u, "bytes"));
	json_array_foreach(json_object_get(u, "framing"), i, f) printf(" %s", json_string_value(f));
	putchar('\n');
	put("record of a", wr_cli_str(u, "record"));
	put("object", wr_cli_str(u, "object"));
	put("filename", wr_cli_str(u, "filename"));
	put("declared type", wr_cli_str(u, "declared_type"));
	put("sniffed type", wr_cli_str(u, "type"));
}

static void put_coverage(const json_t *r)
{
	const json_t *c = json_object_get(r, "coverage");
	long long n = wr_cli_int(c, "received");

	puts("what was looked at");
	printf("  %-18s %lld bytes received, %lld hashed, %lld pattern-scanned, %lld decoded%s\n",
	       "coverage", n, wr_cli_int(c, "hashed"), wr_cli_int(c, "pattern"),
	       wr_cli_int(c, "decoded"),
	       wr_cli_int(c, "hashed") == n && wr_cli_int(c, "pattern") == n
	               ? ""
	               : "  <- not all of it");
}

static void put_matches(const json_t *r)
{
	json_t *m;
	size_t i;

	json_array_foreach(json_object_get(r, "matches"), i, m)
	{
		bool rule = wr_cli_str(m, "rule")[0] != '\0';

		printf("  %-18s %s ", "match", rule ? "rule" : "list");
		wr_cli_put_safe(stdout, rule ? wr_cli_str(m, "rule") : wr_cli_str(m, "list"));
		printf(" of bundle %s %lld, mode %s, action %s, %s", wr_cli_str(m, "bundle"),
		       wr_cli_int(m, "bundle_version"), wr_cli_str(m, "mode"),
		       wr_cli_str(m, "action"),
		       json_is_true(json_object_get(m, "applied")) ? "applied" : "not applied");
		if (rule)
			printf(", match ends at byte %lld", wr_cli_int(m, "offset"));
		else
			printf(", by %s", wr_cli_str(m, "algo"));
		printf(" (view %s)\n", wr_cli_str(m, "view"));
	}
}

static const char *cause_help(const char *cause)
{
	for (unsigned c = 1; c < WR_C_COUNT; c++)
		if (strcmp(wr_cause_name((enum wr_cause)c), cause) == 0)
			return wr_cause_help((enum wr_cause)c);
	return "";
}

static void put_verdict(const json_t *r)
{
	const char *cause = wr_cli_str(r, "cause"), *reason = wr_cli_str(r, "reason");

	puts("the verdict");
	printf("  %-18s %s\n", "verdict", wr_cli_str(r, "verdict"));
	if (cause[0] != '\0')
		printf("  %-18s %s: %s\n", "cause", cause, cause_help(cause));
	for (unsigned i = 1; i < WR_R_COUNT && reason[0] != '\0'; i++)
		if (strcmp(wr_reason_info((enum wr_reason)i)->name, reason) == 0)
			printf("  %-18s %s: %s (policy key %s)\n", "reason", reason,
			       wr_reason_info((enum wr_reason)i)->help,
			       wr_reason_info((enum wr_reason)i)->policy);
	put_matches(r);
	printf("  %-18s %s", "action", wr_cli_str(r, "action"));
	if (strcmp(wr_cli_str(r, "would"), wr_cli_str(r, "action")) != 0)
		printf("; would have been %s (%s)", wr_cli_str(r, "would"),
		       strcmp(wr_cli_str(r, "mode"), "observe") == 0
		               ? "the service is in observe mode"
		               : "shadow matches enforced");
	putchar('\n');
}

static void put_store(const json_t *r)
{
	const json_t *t = json_object_get(r, "timing"), *done = json_object_get(r, "committed");

	puts("what the store has");
	printf("  %-18s %s\n", "committed",
	       json_is_true(done)    ? "yes: the store answered 2xx"
	       : json_is_false(done) ? "no: the store never had the whole body"
	                             : "unknown: no answer of the store was seen");
	printf("  %-18s %lld of %lld body bytes%s\n", "forwarded",
	       wr_cli_int(r, "last_byte_forwarded"),
	       wr_cli_int(json_object_get(r, "upload"), "bytes"),
	       json_is_true(json_object_get(r, "partial_stored")) ? "; pieces may lie at the store"
	                                                          : "");
	puts("when");
	put("first byte", wr_cli_str(t, "first_byte"));
	put("last byte", wr_cli_str(t, "last_byte"));
	put("verdict", wr_cli_str(t, "verdict"));
	printf("  %-18s %lld us\n", "tail held", wr_cli_int(t, "hold_us"));
}

static int run_explain(struct wr_cli *c, int argc, char **argv)
{
	struct search s = { 0 };
	char buf[512];
	const char *dir;

	if (argc != 2 || strlen(argv[1]) != 26)
		return argc != 2
		               ? wr_cli_usage_of(c, NULL, "explain")
		               : wr_cli_fail(
		                         c,
		                         "'%s' is no decision id: it has 26 letters and digits, as "
		                         "in Weir-Decision-Id",
		                         argv[1]);
	s.id = argv[1];
	dir = wr_records_dir(c, buf, sizeof(buf));
	if (dir == NULL || wr_records_each(c, dir, look, &s) < 0)
		return WR_EXIT_FAIL;
	if (s.found == NULL) {
		wr_cli_fail(
		        c,
		        "no record of %s in %s; it may be older than records.keep allows, or of "
		        "another machine",
		        s.id, dir);
		return WR_EXIT_NO;
	}
	if (c->json) {
		wr_cli_print_json(s.found);
	} else {
		printf("decision %s at %s\n", wr_cli_str(s.found, "decision_id"),
		       wr_cli_str(s.found, "ts"));
		put_upload(s.found);
		put_coverage(s.found);
		put_verdict(s.found);
		put_store(s.found);
	}
	json_decref(s.found);
	return WR_EXIT_OK;
}

const struct wr_cmd wr_cmds_explain[] = {
	{ NULL, "explain", "DECISION_ID",
	  "an upload's story: what came, what was seen, what was done", run_explain },
	{ 0 },
};
