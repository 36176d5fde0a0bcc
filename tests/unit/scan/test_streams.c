/* SPDX-License-Identifier: BSD-3-Clause */
/* Conditions, media types, groups, and every limit of a stream. */
#include "engine.h"

#define FLAGS_N 40 /* more than a stream keeps */

static void write_bundle(void)
{
	static char yaml[65536];
	char *p = yaml;

	p += sprintf(p, "rules:\n");
	for (const char *c = "abcd"; *c != '\0'; c++)
		p += sprintf(p, "  - { id: %c, literal: '<%c>', action: none, mode: enforce }\n",
		             *c, *c);
	p += sprintf(
	        p, "%s",
	        "  - { id: both, condition: 'a & b', action: block, mode: enforce }\n"
	        "  - { id: not-d, condition: 'a & (b | c) & !d', action: flag, mode: enforce }\n"
	        "  - { id: only-not, condition: '!a', action: flag, mode: shadow }\n"
	        "  - { id: off-cond, condition: 'a', action: flag, mode: 'off' }\n"
	        "  - { id: jpeg, literal: 'JPG', types: [image/jpeg], action: block, mode: enforce "
	        "}\n"
	        "  - { id: jpeg-and-c, condition: 'jpeg & c', action: flag, mode: enforce }\n"
	        "  - { id: plain, literal: 'PLAIN', action: block, mode: enforce }\n"
	        "  - { id: off, literal: 'PLAIN', action: block, mode: 'off' }\n");
	for (int i = 0; i < FLAGS_N; i++)
		p += sprintf(
		        p,
		        "  - { id: html%d, literal: 'h%02d;', types: [text/html], action: flag, "
		        "mode: enforce }\n"
		        "  - { id: flag%d, literal: 'f%02d;', action: flag, mode: enforce }\n",
		        i, i, i, i);
	folder_new();
	folder_put("manifest.yaml", MANIFEST);
	folder_put("rules/all.yaml", yaml);
}

static uint32_t up(void)
{
	return wr_scan_open(&engine_lc, engine_scan, engine_rs);
}

static int feed(uint32_t s, const char *text)
{
	return engine_feed(s, text, strlen(text));
}

static int end(uint32_t s)
{
	return wr_scan_end(&engine_lc, engine_scan, s);
}

static void down(uint32_t s)
{
	wr_scan_close(&engine_lc, engine_scan, s);
}

static uint32_t count(uint32_t s, bool *more)
{
	const struct wr_hit *h;

	return wr_scan_hits(engine_scan, s, &h, more);
}

static void conditions(void)
{
	uint32_t s = up();
	bool more;

	IS(feed(s, "..<a>.."), 0, "a helper alone is no hit");
	IS(count(s, &more), 0, "nor is it kept");
	IS(feed(s, "..<b>.."), 1, "a & b: at once with the second");
	IS(engine_hit(s, "both"), 14, "at the end of the bytes that completed it");
	IS(engine_hit(s, "not-d"), -1, "a condition with ! waits");
	IS(feed(s, "<a><b><a>"), 0, "and hits once");
	IS(end(s), 1, "until the end");
	IS(engine_hit(s, "not-d"), 23, "then it holds");
	IS(engine_hit(s, "only-not"), -1, "!a does not: a was there");
	IS(engine_hit(s, "off-cond"), -1, "a condition that is off is silent");
	IS(end(s), 0, "the end comes once");
	down(s);
	s = up();
	feed(s, "<d><a><c>");
	end(s);
	IS(engine_hit(s, "not-d"), -1, "!d does not hold where d was");
	down(s);
	s = up();
	IS(end(s), 1, "an object without a byte has an end too");
	IS(engine_hit(s, "only-not"), 0, "where !a holds");
	down(s);
}

static void types(void)
{
	uint32_t s = up();

	IS(feed(s, "..JPG..<c>.."), 0, "a rule for a type waits for the type");
	IS(wr_scan_type(&engine_lc, engine_scan, s, "image/jpeg"), 1, "and comes out with it");
	IS(engine_hit(s, "jpeg"), 5, "with its own offset");
	IS(engine_hit(s, "jpeg-and-c"), 12, "and so does a condition that needs it");
	IS(wr_scan_type(&engine_lc, engine_scan, s, "text/html"), 0, "a type is told once");
	feed(s, "h00;");
	IS(engine_hit(s, "html0"), -1, "rules for other types stay out");
	down(s);
	s = up();
	feed(s, "JPG");
	IS(wr_scan_type(&engine_lc, engine_scan, s, "image/png"), 0, "another type: no hit");
	feed(s, "JPG<c>");
	IS(end(s), 1, "(!a holds at the end)");
	IS(engine_hit(s, "jpeg"), -1, "nor later");
	IS(engine_hit(s, "jpeg-and-c"), -1, "nor in a condition");
	down(s);
	s = up();
	feed(s, "JPG<c>");
	IS(engine_hit(s, "jpeg"), -1, "nobody told the type: it waits");
	end(s);
	IS(engine_hit(s, "jpeg"), 3, "until the end, then every rule counts");
	IS(engine_hit(s, "jpeg-and-c"), 6, "and every condition");
	down(s);
	s = up();
	feed(s, "JPG");
	IS(wr_scan_type(&engine_lc, engine_scan, s, NULL), 0, "told that it has none");
	end(s);
	IS(engine_hit(s, "jpeg"), -1, "no rule for a type counts");
	down(s);
}

static void groups(void)
{
	uint64_t jpeg = wr_ruleset_types(engine_rs, "image/jpeg");
	uint64_t html = wr_ruleset_types(engine_rs, "text/html");
	uint64_t other = wr_ruleset_types(engine_rs, "application/pdf");
	uint32_t gj = wr_ruleset_group_of(engine_rs, jpeg), n, all, s;
	uint64_t before;
	char name[64];

	OK(wr_ruleset_ngroups(engine_rs) > 1, "types that leave many rules out have groups");
	OK(jpeg != 0 && html != 0 && jpeg != html && other == 0, "types have their bits");
	OK(gj != 0, "a JPEG does not pay for rules on HTML");
	(void)wr_ruleset_patterns(engine_rs, 0, &all);
	(void)wr_ruleset_patterns(engine_rs, gj, &n);
	IS(all - n, FLAGS_N, "its group leaves them out");
	wr_ruleset_group_name(engine_rs, 0, name, sizeof(name));
	OK(strcmp(name, "any") == 0, "the union is called any");
	wr_ruleset_group_name(engine_rs, gj, name, sizeof(name));
	OK(strcmp(name, "image/jpeg") == 0, "a group is called by its types");
	s = up();
	wr_scan_type(&engine_lc, engine_scan, s, "image/jpeg");
	before = wr_counter_get(&engine_stats.scan_bytes[gj]);
	IS(feed(s, "h00;PLAIN JPG"), 1, "told before the first byte, the group scans");
	for (unsigned i = 0; i < 64; i++)
		feed(s, "1234567");
	/* One burst in 64 is timed; which one depends on what ran before. */
	n = (uint32_t)(wr_counter_get(&engine_stats.scan_bytes[gj]) - before);
	OK(n == 7 || n == 13 || n == 20, "one burst in 64 is timed under its group: %u bytes", n);
	IS(engine_hit(s, "plain"), 9, "rules for every object are in it");
	IS(engine_hit(s, "jpeg"), 13, "and those for its type");
	IS(engine_hit(s, "html0"), -1, "and no others");
	IS(engine_hit(s, "off"), -1, "a rule that is off is nowhere");
	down(s);
	s = up();
	feed(s, "h0");
	wr_scan_type(&engine_lc, engine_scan, s, "text/html");
	feed(s, "0;");
	IS(engine_hit(s, "html0"), 4, "told in the middle of a match, the match is whole");
	down(s);
}

static void many_hits(void)
{
	uint64_t counted = wr_counter_get(&engine_stats.reason[WR_R_HIT_LIMIT]);
	uint32_t s = up();
	char text[16];
	bool more;

	for (int i = 0; i < (int)WR_SCAN_HITS; i++) {
		sprintf(text, "f%02d;", i);
		feed(s, text);
	}
	IS(count(s, &more), WR_SCAN_HITS, "as many hits as are kept");
	OK(!more, "none was let go");
	IS(feed(s, "f39;"), 0, "one more that matters no more is let go");
	IS(count(s, &more), WR_SCAN_HITS, "the number stays");
	OK(more, "and it is said");
	IS(feed(s, "PLAIN"), 1, "a block behind a flood of flags");
	OK(engine_hit(s, "plain") > 0, "is kept");
	IS(wr_counter_get(&engine_stats.reason[WR_R_HIT_LIMIT]) - counted, 1, "counted once");
	down(s);
	/* The flood comes before the type, and hides nothing either. */
	s = up();
	for (int i = 0; i < FLAGS_N; i++) {
		sprintf(text, "h%02d;", i);
		feed(s, text);
	}
	feed(s, "PLAIN");
	OK(engine_hit(s, "plain") > 0, "hits that wait for a type make room");
	wr_scan_type(&engine_lc, engine_scan, s, "text/html");
	IS(count(s, &more), WR_SCAN_HITS, "then as many as fit come out");
	OK(more && engine_hit(s, "plain") > 0, "and the block stays");
	down(s);
}

static void slots(void)
{
	uint64_t before = wr_counter_get(&engine_stats.reason[WR_R_STREAM_STATE_LIMIT]);
	uint32_t a = up(), b = up(), c;
	struct wr_scan_job job[4] = {
		{ .stream = a, .piece = { .p = (const uint8_t *)"PLA", .len = 3 } },
		{ .stream = b, .piece = { .p = (const uint8_t *)"f07", .len = 3 } },
		{ .stream = a, .piece = { .p = (const uint8_t *)"IN", .len = 2 } },
		{ .stream = b, .piece = { .p = (const uint8_t *)";", .len = 1 } }
	};
	struct wr_scan *small;
	char err[128];

	OK(a != 0 && b != 0 && a != b, "two slots");
	IS(up(), 0, "no third");
	IS(wr_counter_get(&engine_stats.reason[WR_R_STREAM_STATE_LIMIT]) - before, 1, "counted");
	wr_scan_burst(&engine_lc, engine_scan, job, 4);
	OK(!job[0].hit && !job[1].hit && job[2].hit && job[3].hit,
	   "streams in one burst keep apart");
	IS(engine_hit(a, "plain"), 5, "one has its hit");
	IS(engine_hit(b, "flag7"), 4, "and the other its own");
	IS(wr_scan_bytes(engine_scan, a), 5, "bytes are counted");
	down(a);
	c = up();
	bool more;
	IS(count(c, &more), 0, "a slot that was used starts clean");
	feed(c, "IN");
	IS(engine_hit(c, "plain"), -1, "in the engine too");
	for (int i = 0; i < 100; i++)
		feed(c, "PLAIN");
	IS(count(c, &more), 1, "a rule counts once a stream");
	down(c);
	down(b);

	small = wr_scan_new(1, 64);
	IS(wr_scan_stage(small, engine_rs, err, sizeof(err)), -7,
	   "a ruleset beyond the slots: -E2BIG");
	before = wr_counter_get(&engine_stats.reason[WR_R_SCAN_ERROR]);
	IS(wr_scan_open(&engine_lc, small, engine_rs), 0, "and no stream opens with it");
	IS(wr_counter_get(&engine_stats.reason[WR_R_SCAN_ERROR]) - before, 1, "which is counted");
	wr_scan_free(small);
}

static void restage(void)
{
	uint32_t s = up();
	char err[128];
	int rc = 0;

	feed(s, "PL");
	/* Twice without the worker in between, and with it: nothing is lost, nothing freed in use.
	 */
	rc |= wr_scan_stage(engine_scan, engine_rs, err, sizeof(err));
	rc |= wr_scan_stage(engine_scan, engine_rs, err, sizeof(err));
	wr_scan_enter(engine_scan);
	rc |= wr_scan_stage(engine_scan, engine_rs, err, sizeof(err));
	feed(s, "AI");
	wr_scan_enter(engine_scan);
	feed(s, "N");
	IS(rc, 0, "staging again");
	IS(engine_hit(s, "plain"), 5, "does not disturb a stream");
	down(s);
}

/* weir_build_info shows it: a version, not the library's whole line. */
static void version(void)
{
	char v[32] = "", tiny[3];
	int major = 0, minor = 0, end = 0;

	wr_scan_engine(v, sizeof(v));
	OK(sscanf(v, "%d.%d.%*d%n", &major, &minor, &end) == 2 && v[end] == '\0' && major >= 5,
	   "the engine's version is %s", v);
	wr_scan_engine(tiny, sizeof(tiny));
	IS(strlen(tiny), 2, "it is cut to the room there is");
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	weir_compile_path = argv[1];
	version();
	write_bundle();
	engine_up(2);
	conditions();
	types();
	groups();
	many_hits();
	slots();
	restage();
	engine_down();
	return tap_done();
}
