/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/ of a bundle: what is read, and the overlay that control writes beside a bundle.
 */
#include "bundle/cases.h"

#include "folder.h"
#include "tap.h"

#define HEAD "format: weir-bundle/1\nname: core\nversion: 4\ncreated: 2026-11-23T19:00:00Z\n"

static struct wr_bundle_errors errs;

static struct wr_bundle *bundle(void)
{
	struct wr_bundle *b;

	folder_new();
	folder_put("manifest.yaml", HEAD
	           "lists: [ { id: l, file: lists/a.txt, mode: canary, canary_percent: 5 } ]\n");
	folder_put("lists/a.txt", "");
	folder_put("rules/r.yaml", "rules:\n- { id: a, literal: x, action: block }\n"
	                           "- { id: b, literal: y, action: block, mode: shadow }\n");
	wr_bundle_errors_free(&errs);
	return wr_bundle_load(folder, &b, &errs) == 0 ? b : NULL;
}

static int cases(const char *yaml, struct wr_cases *c)
{
	struct wr_bundle *b = bundle();
	int rc;

	folder_put("tests/t.yaml", yaml);
	folder_put("tests/samples/in.bin", "1");
	folder_put("samples/top.bin", "2");
	rc = wr_cases_load(b, c, &errs);
	wr_bundle_free(b);
	return rc;
}

static void read_them(void)
{
	struct wr_cases c;
	int rc = cases("cases:\n"
	               "- { name: n, file: samples/in.bin, expect: { verdict: match, rules: [a], "
	               "lists: [l] } }\n"
	               "- { name: n, file: samples/top.bin, cut: [7], type: image/png, expect: { "
	               "not_rules: [b] } }\n"
	               "- { name: n, hex: '00 ff 0a', expect: { verdict: clean } }\n"
	               "- { name: n, text: 'abc', expect: { verdict: suspect } }\n",
	               &c);

	IS(rc, 0, "cases load");
	IS(c.n, 4, "all four");
	if (rc != 0 || c.n != 4) {
		wr_bundle_errors_print(&errs, stdout);
		return;
	}
	OK(strcmp(c.c[0].path, "tests/samples/in.bin") == 0, "a file below tests/");
	OK(strcmp(c.c[1].path, "samples/top.bin") == 0, "a file at the top of the bundle");
	OK(c.c[0].ncuts == 3 && c.c[0].cuts[2] == 1460 && c.c[1].ncuts == 1 && c.c[1].cuts[0] == 7,
	   "cuts, stated and usual");
	OK(c.c[0].verdict == WR_CASE_MATCH && c.c[0].nrules == 1 && c.c[0].nlists == 1 &&
	           c.c[1].verdict == WR_CASE_ANY && c.c[1].nnot_rules == 1 &&
	           strcmp(c.c[1].type, "image/png") == 0,
	   "what is expected");
	OK(c.c[2].nbytes == 3 && c.c[2].bytes[1] == 0xff, "hex");
	OK(c.c[3].nbytes == 3 && memcmp(c.c[3].bytes, "abc", 3) == 0, "text");
	wr_cases_free(&c);
}

static const struct {
	const char *yaml, *says;
} bad[] = {
	{ "cases:\n- { name: n, expect: {} }\n", "needs one of" },
	{ "cases:\n- { name: n, text: a, hex: '00', expect: {} }\n", "not several" },
	{ "cases:\n- { name: n, hex: '0', expect: {} }\n", "pairs of digits" },
	{ "cases:\n- { name: n, file: samples/no.bin, expect: {} }\n", "neither below tests/" },
	{ "cases:\n- { name: n, file: ../../etc/passwd, expect: {} }\n", "inside the bundle" },
	{ "cases:\n- { name: n, text: a, expect: { rules: [z] } }\n", "there is none" },
	{ "cases:\n- { name: n, text: a, expect: { not_lists: [z] } }\n", "there is none" },
	{ "cases:\n- { name: n, text: a, expect: { verdict: bad } }\n", "one of any, clean" },
	{ "cases:\n- { name: n, text: a, expekt: {} }\n", "did you mean `expect`" },
	{ "cases:\n- { name: n, text: a, cut: [x], expect: {} }\n", "whole numbers" },
};

static void refuse_them(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct wr_cases c;
		int rc = cases(bad[i].yaml, &c);
		bool found = false;

		for (uint32_t k = 0; k < errs.n; k++)
			found |= strstr(errs.e[k].message, bad[i].says) != NULL;
		OK(rc != 0 && found && c.n == 0, "%s", bad[i].says);
	}
}

/* The overlay lowers, and never raises. */
static void overlay(void)
{
	static const struct {
		const char *line;
		int a, b, l, ppm, suppressed;
	} row[] = {
		{ "{ item: 'rule:a', mode: shadow, reason: r }", WR_ITEM_SHADOW, WR_ITEM_SHADOW,
		  WR_ITEM_CANARY, 50000, 0 },
		{ "{ item: 'rule:b', mode: enforce, reason: r }", WR_ITEM_ENFORCE, WR_ITEM_SHADOW,
		  WR_ITEM_CANARY, 50000, 0 },
		{ "{ item: 'rule:*', mode: off, reason: r }", WR_ITEM_OFF, WR_ITEM_OFF,
		  WR_ITEM_CANARY, 50000, 0 },
		{ "{ item: 'list:l', mode: canary, canary_percent: 1, reason: r }", WR_ITEM_ENFORCE,
		  WR_ITEM_SHADOW, WR_ITEM_CANARY, 10000, 0 },
		{ "{ item: 'list:l', mode: canary, canary_percent: 50, reason: r }",
		  WR_ITEM_ENFORCE, WR_ITEM_SHADOW, WR_ITEM_CANARY, 50000, 0 },
		{ "{ item: 'rule:a', mode: 'off', reason: r, expires: 2001-01-01 }",
		  WR_ITEM_ENFORCE, WR_ITEM_SHADOW, WR_ITEM_CANARY, 50000, 0 },
		{ "{ item: 'list:l', mode: 'off', reason: r, digest: "
		  "'sha1:3395856ce81f2b7382dee72602f798b642f14140' }",
		  WR_ITEM_ENFORCE, WR_ITEM_SHADOW, WR_ITEM_CANARY, 50000, 1 },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct wr_bundle *b = bundle();
		char text[512];
		int rc;

		wr_bundle_free(b);
		snprintf(text, sizeof(text), "overlay:\n- %s\n", row[i].line);
		folder_put(".overlay.yaml", text);
		rc = wr_bundle_load(folder, &b, &errs);
		OK(rc == 0 && b->rules[0].mode == row[i].a && b->rules[1].mode == row[i].b &&
		           b->lists[0].mode == row[i].l &&
		           (int)b->lists[0].canary_ppm == row[i].ppm &&
		           (int)b->nsuppress == row[i].suppressed,
		   "overlay %s", row[i].line);
		wr_bundle_free(b);
	}
}

int main(void)
{
	read_them();
	refuse_them();
	overlay();
	wr_bundle_errors_free(&errs);
	folder_remove();
	return tap_done();
}
