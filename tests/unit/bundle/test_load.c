/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bundle's YAML: what is read, and that every mistake is refused with file, line and a useful
 * word.
 */
#include "bundle/bundle.h"

#include "folder.h"
#include "tap.h"

#define HEAD "format: weir-bundle/1\nname: core\nversion: 4\ncreated: 2026-11-23T19:00:00Z\n"
#define RULE                                                                                       \
	"rules:\n- { id: a, literal: x, action: block }\n- { id: b, literal: y, action: none }\n"

static struct wr_bundle_errors errs;

static struct wr_bundle *load(const char *manifest, const char *rules, const char *suppress)
{
	struct wr_bundle *b;
	int rc;

	wr_bundle_errors_free(&errs);
	folder_new();
	if (manifest != NULL)
		folder_put("manifest.yaml", manifest);
	if (rules != NULL)
		folder_put("rules/r.yaml", rules);
	if (suppress != NULL)
		folder_put("suppress.yaml", suppress);
	rc = wr_bundle_load(folder, &b, &errs);
	/* Either a bundle and no error, or no bundle and an error: never neither. */
	if ((rc == 0) != (b != NULL) || (rc == 0) != (errs.nerrors == 0))
		abort();
	return b;
}

static void full(void)
{
	struct wr_bundle *b = load(
	        HEAD "expires: 2026-12-23\nmin_engine: \"0.1\"\nrolls_back_to: 3\n"
	             "budgets: { stream_state_bytes: 4096, memory_bytes: 2000000000, "
	             "cycles_per_byte: 8.5 }\n"
	             "meta: { category: c1, anything: [1, {x: y}] }\n"
	             "lists:\n"
	             "- id: l1\n  file: lists/a.txt\n  class: allow\n  owner: ts\n  action: flag\n"
	             "  mode: canary\n  canary_percent: 2.5\n  severity: high\n  basis: law\n"
	             "  valid_until: 2027-01-01T01:00:00+01:00\n  regions: [EU, US]\n  "
	             "max_bad_lines: 7\n"
	             "  max_distance: 20\n  min_quality: 60\n  dihedral: false\n  format: vics\n"
	             "- { id: l2, file: lists/b.txt }\n",
	        "rules:\n- id: one\n  pattern: 'a\\x00b'\n  flags: [caseless, multiline]\n"
	        "  at: { from: 1, to: 9 }\n  types: [image/jpeg, image/png]\n  action: block\n"
	        "  mode: shadow\n  severity: critical\n  description: d\n  references: [r]\n"
	        "  added_in: 2\n"
	        "- { id: two, literal: 'l', at: end, action: flag }\n"
	        "- { id: three, hex: 'ff d8 ?? [2-4] 00', action: none }\n"
	        "- { id: four, condition: 'one & (two | three) & !three', action: flag }\n",
	        "suppress:\n- { item: 'rule:one', reason: noisy, ticket: T-1, expires: "
	        "2026-12-01T00:00:00Z }\n"
	        "- { item: 'list:l1', digest: 'md5:0123456789ABCDEF0123456789abcdef', reason: "
	        "wrong }\n");
	const struct wr_bundle_rule *r;
	const struct wr_bundle_list *l;

	OK(b != NULL, "a bundle that uses every key loads");
	if (b == NULL) {
		wr_bundle_errors_print(&errs, stdout);
		return;
	}
	OK(strcmp(b->name, "core") == 0 && b->version == 4 && b->rolls_back_to == 3, "identity");
	IS(b->created, 1795460400, "created");
	IS(b->expires, 1797984000, "a date alone is its midnight");
	OK(b->budgets.cycles_per_byte > 8.49 && b->budgets.cycles_per_byte < 8.51 &&
	           b->budgets.stream_state_bytes == 4096 && b->budgets.memory_bytes == 2000000000,
	   "budgets");
	OK(strcmp(b->category, "c1") == 0, "meta.category");
	IS(b->nlists, 2, "two lists");
	l = &b->lists[0];
	OK(l->allow == 1 && l->action == WR_A_FLAG && l->mode == WR_ITEM_CANARY &&
	           l->severity == WR_SEVERITY_HIGH && l->format == WR_LF_VICS,
	   "words become enums");
	IS(l->canary_ppm, 25000, "2.5 percent are 25,000 of a million");
	IS(l->valid_until, 1798761600, "an offset is honoured");
	OK(l->nregions == 2 && strcmp(l->regions[1], "US") == 0, "regions");
	OK(l->max_bad_lines == 7 && l->max_distance == 20 && l->min_quality == 60 &&
	           l->dihedral == 0,
	   "numbers of a list");
	l = &b->lists[1];
	OK(l->allow == 0 && l->action == WR_A_BLOCK && l->mode == WR_ITEM_ENFORCE &&
	           l->max_distance == 31 && l->min_quality == 50 && l->dihedral == 1 &&
	           l->format == WR_LF_AUTO && l->nregions == 0 && l->owner[0] == '\0',
	   "defaults of a list");
	IS(b->nrules, 4, "four rules");
	r = wr_bundle_rule_get(b, "one");
	OK(r == &b->rules[0] && r->kind == WR_RULE_PATTERN && r->mode == WR_ITEM_SHADOW &&
	           r->flags == (WR_RULE_CASELESS | WR_RULE_MULTILINE) && r->at == WR_AT_RANGE &&
	           r->at_from == 1 && r->at_to == 9 && r->ntypes == 2 && r->added_in == 2,
	   "a rule with everything");
	IS(r->line, 2, "line of a rule");
	OK(b->rules[1].at == WR_AT_END && b->rules[1].kind == WR_RULE_LITERAL, "at: end");
	OK(b->nsuppress == 2 && b->suppress[1].has_digest && b->suppress[1].algo == WR_ALGO_MD5 &&
	           b->suppress[1].digest[7] == 0xef && b->suppress[0].expires == 1796083200,
	   "suppressions");
	wr_bundle_free(b);
}

static void condition(void)
{
	struct wr_bundle *b =
	        load(HEAD, RULE "- { id: c, condition: 'a&!b|b', action: flag }\n", NULL);
	struct wr_condition_op *op = NULL;
	char got[64] = "";
	uint32_t n = 0;
	int rc;

	if (b == NULL) {
		OK(0, "a bundle with a condition loads");
		return;
	}
	rc = wr_condition_parse(b, &b->rules[2], &op, &n, &errs);
	IS(rc, 0, "the condition parses");
	for (uint32_t i = 0; i < n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%c",
		         op[i].kind == WR_COND_RULE ? (char)('a' + (char)op[i].rule)
		                                    : "?!&|"[op[i].kind]);
	OK(strcmp(got, "ab!&b|") == 0, "`!` binds closest, then `&`: %s", got);
	free(op);
	wr_bundle_free(b);
}

static const struct {
	const char *manifest, *rules, *suppress, *file;
	unsigned line;
	const char *says;
} bad[] = {
	/* clang-format off */
	{ NULL, NULL, NULL, "manifest.yaml", 0, "not a bundle" },
	{ "", NULL, NULL, "manifest.yaml", 0, "empty" },
	{ "x: [", NULL, NULL, "manifest.yaml", 2, "not valid YAML" },
	{ "a: &x [1]\nb: *x\n", NULL, NULL, "manifest.yaml", 1, "anchors" },
	{ "a: !!str 1\n", NULL, NULL, "manifest.yaml", 1, "tags" },
	{ HEAD "---\na: b\n", NULL, NULL, "manifest.yaml", 5, "second document" },
	{ HEAD "meta: [[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]\n", NULL, NULL, "manifest.yaml", 5, "deeper" },
	{ HEAD "name: again\n", NULL, NULL, "manifest.yaml", 5, "stands twice" },
	{ HEAD "verison: 5\n", NULL, NULL, "manifest.yaml", 5, "did you mean `version`" },
	{ "format: weir-bundle/2\nname: c\nversion: 1\ncreated: 2026-01-01\n", NULL, NULL, "manifest.yaml", 1, "weir-bundle/1" },
	{ "format: weir-bundle/1\nname: c\ncreated: 2026-01-01\n", NULL, NULL, "manifest.yaml", 1, "lacks `version`" },
	{ "format: weir-bundle/1\nname: Core\nversion: 1\ncreated: 2026-01-01\n", NULL, NULL, "manifest.yaml", 2, "`name`" },
	{ "format: weir-bundle/1\nname: c\nversion: 0\ncreated: 2026-01-01\n", NULL, NULL, "manifest.yaml", 3, "whole number from 1" },
	{ "format: weir-bundle/1\nname: c\nversion: -1\ncreated: 2026-01-01\n", NULL, NULL, "manifest.yaml", 3, "whole number" },
	{ "format: weir-bundle/1\nname: c\nversion: 99999999999999999999\ncreated: 2026-01-01\n", NULL, NULL, "manifest.yaml", 3, "whole number" },
	{ "format: weir-bundle/1\nname: c\nversion: 1\ncreated: 2026-02-30\n", NULL, NULL, "manifest.yaml", 4, "a time like" },
	{ HEAD "expires: 2026-01-01\n", NULL, NULL, "manifest.yaml", 0, "not after" },
	{ HEAD "rolls_back_to: 4\n", NULL, NULL, "manifest.yaml", 0, "earlier" },
	{ HEAD "min_engine: \"999.0\"\n", NULL, NULL, "manifest.yaml", 0, "needs Weir 999.0" },
	{ HEAD "lists:\n- { id: a, file: lists/../../etc/passwd }\n", NULL, NULL, "manifest.yaml", 6, "below lists/" },
	{ HEAD "lists:\n- { id: a, file: /etc/passwd }\n", NULL, NULL, "manifest.yaml", 6, "below lists/" },
	{ HEAD "lists:\n- { id: a, file: lists/a }\n- { id: a, file: lists/b }\n", NULL, NULL, "manifest.yaml", 7, "exists already" },
	{ HEAD "lists:\n- { id: a, file: lists/a, mode: canary }\n", NULL, NULL, "manifest.yaml", 6, "canary_percent" },
	{ HEAD "lists:\n- { id: a, file: lists/a, mode: canary, canary_percent: 101 }\n", NULL, NULL, "manifest.yaml", 6, "percentage" },
	{ HEAD "lists:\n- { id: a, file: lists/a, class: allow }\n", NULL, NULL, "manifest.yaml", 6, "needs `owner`" },
	{ HEAD "lists:\n- { id: a, file: lists/a.sfp }\n", NULL, NULL, "manifest.yaml", 6, "ClamAV" },
	{ HEAD "lists:\n- { id: a, file: lists/a, action: none }\n", NULL, NULL, "manifest.yaml", 6, "one of flag, block" },
	{ HEAD "lists:\n- { id: a, file: lists/a, max_distance: 32 }\n", NULL, NULL, "manifest.yaml", 6, "0 to 31" },
	{ HEAD "lists:\n- { id: a, file: lists/a, regions: EU }\n", NULL, NULL, "manifest.yaml", 6, "list of texts" },
	{ HEAD, "rules:\n- { id: a, action: block }\n", NULL, "rules/r.yaml", 2, "needs one of" },
	{ HEAD, "rules:\n- { id: a, pattern: x, hex: '00', action: block }\n", NULL, "rules/r.yaml", 2, "not several" },
	{ HEAD, RULE "- { id: a, literal: z, action: block }\n", NULL, "rules/r.yaml", 4, "exists already" },
	{ HEAD, "rules:\n- { id: a, patern: x, action: block }\n", NULL, "rules/r.yaml", 2, "did you mean `pattern`" },
	{ HEAD, "rules:\n- { id: 'a b', pattern: x, action: block }\n", NULL, "rules/r.yaml", 2, "a-z 0-9" },
	{ HEAD, "rules:\n- { id: a, pattern: x }\n", NULL, "rules/r.yaml", 2, "lacks `action`" },
	{ HEAD, "rules:\n- { id: a, pattern: x, action: drop }\n", NULL, "rules/r.yaml", 2, "one of none, flag, block" },
	{ HEAD, "rules:\n- { id: a, pattern: x, action: block, flags: [utf8] }\n", NULL, "rules/r.yaml", 2, "one of caseless" },
	{ HEAD, "rules:\n- { id: a, pattern: x, action: block, at: start }\n", NULL, "rules/r.yaml", 2, "`at` must be" },
	{ HEAD, "rules:\n- { id: a, pattern: x, action: block, at: { from: 5, to: 5 } }\n", NULL, "rules/r.yaml", 2, "below `at.to`" },
	{ HEAD, "rules:\n- { id: a, pattern: x, action: block, types: [jpeg] }\n", NULL, "rules/r.yaml", 2, "media type" },
	{ HEAD, "rules:\n- { id: a, hex: 'fff', action: block }\n", NULL, "rules/r.yaml", 2, "column 3" },
	{ HEAD, "rules:\n- { id: a, hex: '\?\? \?\?', action: block }\n", NULL, "rules/r.yaml", 2, "fixed byte" },
	{ HEAD, "rules:\n- { id: a, hex: 'ff [4-2] 00', action: block }\n", NULL, "rules/r.yaml", 2, "gap" },
	{ HEAD, "rules:\n- { id: a, hex: 'ff [1-40000] 00', action: block }\n", NULL, "rules/r.yaml", 2, "gap" },
	{ HEAD, "rules:\n- { id: a, hex: 'ff [1-4]', action: block }\n", NULL, "rules/r.yaml", 2, "end in a gap" },
	{ HEAD, RULE "- { id: c, condition: 'a & x', action: flag }\n", NULL, "rules/r.yaml", 4, "no rule of this id (at `x`)" },
	{ HEAD, RULE "- { id: c, condition: 'a & (b', action: flag }\n", NULL, "rules/r.yaml", 4, "`(` without" },
	{ HEAD, RULE "- { id: c, condition: 'a b', action: flag }\n", NULL, "rules/r.yaml", 4, "operator is missing" },
	{ HEAD, RULE "- { id: c, condition: 'a &', action: flag }\n", NULL, "rules/r.yaml", 4, "missing at the end" },
	{ HEAD, RULE "- { id: c, condition: 'a) ', action: flag }\n", NULL, "rules/r.yaml", 4, "without `(`" },
	{ HEAD, RULE "- { id: c, condition: c, action: flag }\n", NULL, "rules/r.yaml", 4, "another condition" },
	{ HEAD, RULE "- { id: c, condition: a, at: end, action: flag }\n", NULL, "rules/r.yaml", 4, "belong to the rules" },
	{ HEAD, "rules:\n- [1]\n", NULL, "rules/r.yaml", 2, "must be a mapping" },
	{ HEAD, RULE, "suppress:\n- { item: 'a', reason: r }\n", "suppress.yaml", 2, "rule:ID or list:ID" },
	{ HEAD, RULE, "suppress:\n- { item: 'rule:a' }\n", "suppress.yaml", 2, "lacks `reason`" },
	{ HEAD, RULE, "suppress:\n- { item: 'list:a', digest: 'md5:00', reason: r }\n", "suppress.yaml", 2, "`digest` must be" },
	/* clang-format on */
};

static void refusals(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct wr_bundle *b = load(bad[i].manifest, bad[i].rules, bad[i].suppress);
		bool found = false;

		for (uint32_t k = 0; k < errs.n; k++)
			found |= strcmp(errs.e[k].file, bad[i].file) == 0 &&
			         errs.e[k].line == bad[i].line &&
			         strstr(errs.e[k].message, bad[i].says) != NULL;
		OK(b == NULL && found, "%s:%u: %s", bad[i].file, bad[i].line, bad[i].says);
		if (!found)
			wr_bundle_errors_print(&errs, stdout);
		wr_bundle_free(b);
	}
}

static void symlinks(void)
{
	struct wr_bundle *b;

	folder_new();
	folder_put("outside", HEAD);
	if (symlink("outside", folder_path("manifest.yaml")) != 0)
		abort();
	wr_bundle_errors_free(&errs);
	IS(wr_bundle_load(folder, &b, &errs), -ELOOP, "a symlink in the place of the manifest");
	OK(b == NULL && errs.nerrors == 1, "and it says so");

	folder_new();
	folder_put("manifest.yaml", HEAD);
	folder_put("elsewhere/r.yaml", RULE);
	if (symlink("elsewhere", folder_path("rules")) != 0)
		abort();
	wr_bundle_errors_free(&errs);
	OK(wr_bundle_load(folder, &b, &errs) != 0, "a symlink in the place of rules/");

	folder_new();
	if (mkfifo(folder_path("manifest.yaml"), 0600) != 0)
		abort();
	wr_bundle_errors_free(&errs);
	IS(wr_bundle_load(folder, &b, &errs), -EINVAL, "a FIFO in the place of the manifest");
}

static void flood(void)
{
	char *text = malloc(1 << 20);
	size_t n = (size_t)sprintf(text, "rules:\n");
	struct wr_bundle *b;

	for (int i = 0; i < 1000; i++)
		n += (size_t)sprintf(text + n, "- { id: r%d, action: block }\n", i);
	b = load(HEAD, text, NULL);
	OK(b == NULL && errs.n == WR_BUNDLE_ERRORS_MAX && errs.nerrors == 1000,
	   "a thousand mistakes: 200 are kept, all are counted");
	free(text);
}

int main(void)
{
	full();
	condition();
	refusals();
	symlinks();
	flood();
	wr_bundle_errors_free(&errs);
	folder_remove();
	return tap_done();
}
