/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-compile from outside: what it refuses and how it says so, what it compiles again and what
 * not, budgets, suppressions.
 */
#include "../scan/engine.h"

#define HEAD "rules:\n"

static void start(const char *manifest_more, const char *rules)
{
	char text[4096];

	engine_down();
	folder_new();
	snprintf(text, sizeof(text), MANIFEST "%s", manifest_more);
	folder_put("manifest.yaml", text);
	if (rules != NULL)
		folder_put("rules/r.yaml", rules);
}

static bool says(const char *what)
{
	return strstr(compile_line, what) != NULL;
}

static const struct {
	const char *rules, *says; /* what must stand in the one line of JSON */
} refused[] = {
	{ HEAD "  - { id: a, literal: ok, action: flag, mode: enforce }\n"
	       "  - id: bad\n    pattern: 'a(b'\n    action: block\n    mode: enforce\n",
	  "{\"file\":\"rules/r.yaml\",\"line\":3,\"message\":\"rule `bad`: Missing close "
	  "parenthesis" },
	{ HEAD "  - { id: a, pattern: 'x*', action: block, mode: enforce }\n",
	  "matches the empty string" },
	{ HEAD "  - { id: a, pattern: '(a)\\1', action: block, mode: enforce }\n", "rule `a`: " },
	{ HEAD "  - { id: a, pattern: 'a+b', at: { from: 5000, to: 6000 }, action: block, mode: "
	       "enforce }\n",
	  "a pattern of one width" },
	{ HEAD "  - { id: a, literal: 'abcdef', at: { from: 2, to: 7 }, action: block, mode: "
	       "enforce }\n",
	  "6 bytes do not fit" },
	{ HEAD "  - { id: a, hex: '?\? ?\?', action: block, mode: enforce }\n", "rule `a`: hex" },
	{ HEAD "  - { id: a, hex: '41 [9-2] 42', action: block, mode: enforce }\n",
	  "rule `a`: hex" },
};

static void refusals(void)
{
	for (size_t i = 0; i < WR_COUNT_OF(refused); i++) {
		start("", refused[i].rules);
		IS(engine_compile(""), 1, "refusal %zu: exit 1", i);
		OK(says("{\"ok\":false,\"errors\":[") && says(refused[i].says), "says: %s",
		   refused[i].says);
	}
	/* All mistakes in one report. */
	start("", HEAD "  - { id: a, pattern: '(', action: block, mode: enforce }\n"
	               "  - { id: b, pattern: ')', action: block, mode: enforce }\n");
	(void)engine_compile("");
	OK(says("rule `a`") && says("rule `b`"), "every bad rule is named");
	IS(engine_compile("--nonsense"), 2, "used wrongly: exit 2");
	folder_put("rules/r.yaml",
	           HEAD "  - { id: a, literal: a, action: block, mode: enforce }\n");
	IS(engine_compile(folder), 1, "the same bundle twice");
	OK(says("two bundles are called `core`"), "is named");
	IS(engine_compile("a b c d e f g h"), 1, "nine bundles");
	OK(says("9 bundles, the limit is 8"), "are more than a record can name");
}

/* The hash behind the nth of "shards". */
static void shard(int nth, char out[65])
{
	const char *s = strstr(compile_line, "\"shards\":[\"");

	out[0] = '\0';
	if (s != NULL && strspn(s + 11 + 67 * (size_t)nth, "0123456789abcdef") == 64)
		snprintf(out, 65, "%.64s", s + 11 + 67 * nth);
}

static void reuse(void)
{
	char meta[65], db[65], list[65], now[65];
	const char *lists =
	        "lists:\n  - { id: l, file: lists/l, format: auto, class: deny, owner: o, "
	        "action: block, mode: enforce, severity: low, basis: b }\n";

	start(lists, HEAD "  - { id: a, pattern: 'fo+', action: block, mode: enforce }\n");
	folder_put("lists/l", "00112233445566778899aabbccddeeff\n");
	IS(engine_compile(""), 0, "rules and a list");
	shard(0, meta);
	shard(1, db);
	shard(2, list);
	OK(says("\"reused\":false"), "the first time it compiles");
	IS(engine_compile(""), 0, "nothing changed");
	shard(0, now);
	OK(says("\"reused\":true") && strcmp(now, meta) == 0, "the same ruleset, bit for bit");
	folder_put("lists/l",
	           "00112233445566778899aabbccddeeff\n0123456789abcdef0123456789abcdef\n");
	IS(engine_compile(""), 0, "a changed list");
	shard(1, now);
	OK(says("\"reused\":true") && strcmp(now, db) == 0, "compiles no pattern again");
	shard(2, now);
	OK(now[0] != '\0' && strcmp(now, list) != 0 && says("\"entries\":2"), "but the list");
	folder_put("rules/r.yaml",
	           HEAD "  - { id: renamed, pattern: 'fo+', action: flag, mode: shadow }\n");
	IS(engine_compile(""), 0, "a renamed rule");
	OK(says("\"reused\":true"), "compiles no pattern again");
	folder_put("rules/r.yaml",
	           HEAD "  - { id: a, pattern: 'fo*', action: block, mode: enforce }\n");
	IS(engine_compile(""), 0, "a changed pattern");
	OK(says("\"reused\":false"), "does");
}

static void budgets(void)
{
	const char *rules =
	        HEAD "  - { id: a, pattern: 'foo[^x]{20,40}bar', action: block, mode: enforce }\n";

	start("", rules);
	IS(engine_compile("--stream-state-bytes 16"), 1, "more state than the node admits");
	OK(says("bytes of state, this node admits 16"), "is refused with both numbers");
	IS(engine_compile("--memory-bytes 1000"), 1, "more memory than the node admits");
	OK(says("bytes of memory, this node admits 1000"), "is refused with both numbers");
	start("budgets: { stream_state_bytes: 16 }\n", rules);
	IS(engine_compile(""), 1, "more state than the bundle's own budget");
	OK(says("its budget is 16"), "is refused");
	start("budgets: { cycles_per_byte: 0.0001 }\n", rules);
	IS(engine_compile(""), 0, "cycles are measured on request only");
	IS(engine_compile("--bench"), 1, "then their budget counts");
	OK(says("cycles per byte, the budget is"), "and is refused beyond");
}

static void bench(void)
{
	static char rules[16384] = HEAD;

	for (int i = 0; i < 40; i++)
		snprintf(rules + strlen(rules), sizeof(rules) - strlen(rules),
		         "  - { id: r%d, pattern: 'literal%d[0-9]+end', action: flag, mode: "
		         "enforce }\n",
		         i, i * 7919);
	strcat(rules, "  - { id: dear, pattern: '[0-9a-f]{64}', action: flag, mode: enforce }\n");
	start("", rules);
	IS(engine_compile("--bench"), 0, "a ruleset is measured");
	OK(says("\"dear\":[{\"bundle\":\"core\",\"rule\":\"dear\""),
	   "the rule without a literal is named");
	OK(!says("\"rule\":\"r1\""), "one with a literal is not");
}

static void suppressions(void)
{
	start("", HEAD "  - { id: a, literal: aaaa, action: block, mode: enforce }\n"
	               "  - { id: b, literal: bbbb, action: block, mode: enforce }\n");
	folder_put("suppress.yaml",
	           "suppress:\n"
	           "  - { item: 'rule:a', reason: r, ticket: t, expires: 2045-01-01T00:00:00Z }\n"
	           "  - { item: 'rule:b', reason: r, ticket: t, expires: 2020-01-01T00:00:00Z }\n");
	IS(engine_compile(""), 0, "suppressed rules");
	OK(says("\"patterns\":1,"), "the one in force is left out, the expired one is not");
	OK(says("\"recompile_at\":2366841600"), "and when it ends is said");
}

static void nothing(void)
{
	char err[128];

	start("", NULL);
	IS(engine_compile(""), 0, "a bundle without rules and lists");
	IS(engine_load("", err, sizeof(err)), 0, "is a ruleset");
	IS(wr_ruleset_ngroups(engine_rs), 0, "with nothing to scan for");
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	weir_compile_path = argv[1];
	refusals();
	reuse();
	budgets();
	bench();
	suppressions();
	nothing();
	engine_down();
	return tap_done();
}
