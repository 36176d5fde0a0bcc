/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every construct of a rule: what it hits, what it just misses, and that no cut of the bytes
 * changes the answer.
 */
#include "engine.h"

#define MISS (-1)

static const struct {
	const char *rule; /* the body of rule rN; N = position of the first row with this text */
	const char *data;
	size_t n;
	long long end; /* offset behind the first match */
} row[] = {
/* clang-format off */
#define R(rule, data, end) { rule, data, sizeof(data) - 1, end }
	/* pattern: Hyperscan's PCRE subset */
	R("pattern: 'ab+c'", "xxabbbcxx", 7),
	R("pattern: 'ab+c'", "xxacxx", MISS),
	R("pattern: 'foo|barbaz'", "..barbaz", 8),
	R("pattern: '\\bword\\b'", "a word.", 6),
	R("pattern: '\\bword\\b'", "swordfish", MISS),
	R("pattern: '^head'", "head and tail", 4),
	R("pattern: '^head'", "\nhead", MISS),
	R("pattern: 'a.c'", "a\nc", MISS),
	R("pattern: 'X5O!P%@AP\\[4'", "..X5O!P%@AP[4..", 13),
	/* flags */
	R("pattern: 'AbC'\n    flags: [caseless]", "xaBcx", 4),
	R("pattern: 'AbC'", "xaBcx", MISS),
	R("pattern: 'b.d'\n    flags: [dotall]", "b\nd", 3),
	R("pattern: '^line'\n    flags: [multiline]", "one\nline", 8),
	R("pattern: 'tail$'\n    flags: [multiline]", "tail\nmore", 4),
	/* literal: the bytes as they stand */
	R("literal: 'a.c'", "a.c", 3),
	R("literal: 'a.c'", "abc", MISS),
	R("literal: '(*[\\x41'", "..(*[\\x41", 9),
	R("literal: 'Zz'\n    flags: [caseless]", "zZ", 2),
	/* hex, wildcards, gaps */
	R("hex: 'de ad BE EF'", "..\xde\xad\xbe\xef..", 6),
	R("hex: 'ff d8 ?? 00'", "\xff\xd8\x0a\x00", 4),
	R("hex: 'ff d8 ?? 00'", "\xff\xd8\x00", MISS),
	R("hex: '41 [2-3] 42'", "A12B", 4),
	R("hex: '41 [2-3] 42'", "A\n\n\nB", 5),
	R("hex: '41 [2-3] 42'", "A1B", MISS),
	R("hex: '41 [2-3] 42'", "A1234B", MISS),
	/* positions: the whole match lies in [from, to) */
	R("pattern: 'abc'\n    at: { from: 2, to: 5 }", "..abc", 5),
	R("pattern: 'abc'\n    at: { from: 2, to: 5 }", ".abc.", MISS),
	R("pattern: 'abc'\n    at: { from: 2, to: 5 }", "...abc", MISS),
	R("pattern: 'abc'\n    at: { from: 2, to: 5 }", "abcabc", MISS),
	R("literal: 'q'\n    at: { from: 0, to: 1 }", "q", 1),
	R("literal: 'q'\n    at: { from: 0, to: 1 }", "xq", MISS),
	R("literal: 'r'\n    at: { from: 5, to: 6 }", "rrrrr", MISS),
	R("literal: 'r'\n    at: { from: 5, to: 6 }", "rrrrrr", 6),
	R("pattern: 'a+b'\n    at: { from: 0, to: 4 }", "xaab", 4),
	R("pattern: 'a+b'\n    at: { from: 0, to: 4 }", "xxaab", MISS),
	R("pattern: 'c+d'\n    at: { from: 3, to: 9 }", "...ccd", 6),
	R("pattern: 'c+d'\n    at: { from: 3, to: 9 }", "..ccd", 5), /* the last c alone lies inside */
	R("pattern: 'c+d'\n    at: { from: 3, to: 9 }", ".cd.....", MISS),
	R("pattern: 'c+d'\n    at: { from: 3, to: 9 }", "\n\n\ncd", 5),
	R("pattern: 'c+d'\n    at: { from: 3, to: 9 }", "........cd", MISS),
	/* the end of the object */
	R("literal: 'END'\n    at: end", "the END", 7),
	R("literal: 'END'\n    at: end", "the END.", MISS),
	R("literal: 'END'\n    at: end", "END END", 7),
	R("literal: 'END'\n    at: end", "the END\n", MISS),
	R("pattern: 'x|yz'\n    at: end", "x.yz", 4),
	R("hex: '00 ?? 00'\n    at: end", "..\x00\x01\x00", 5),
#undef R
	/* clang-format on */
};

static uint32_t id_of(size_t i)
{
	uint32_t k = 0;

	while (strcmp(row[k].rule, row[i].rule) != 0)
		k++;
	return k;
}

static void write_bundle(void)
{
	static char yaml[65536] = "rules:\n";

	for (size_t i = 0; i < WR_COUNT_OF(row); i++)
		if (id_of(i) == i)
			snprintf(yaml + strlen(yaml), sizeof(yaml) - strlen(yaml),
			         "  - id: r%zu\n    %s\n    action: block\n    mode: enforce\n", i,
			         row[i].rule);
	folder_new();
	folder_put("manifest.yaml", MANIFEST);
	folder_put("rules/all.yaml", yaml);
}

/* Scans the row's bytes in two pieces; the end offset of its rule. */
static long long scan_cut(size_t i, size_t cut)
{
	uint32_t s = wr_scan_open(&engine_lc, engine_scan, engine_rs);
	char id[16];
	long long end;

	snprintf(id, sizeof(id), "r%u", id_of(i));
	if (cut != 0)
		(void)engine_feed(s, row[i].data, cut);
	(void)engine_feed(s, row[i].data + cut, row[i].n - cut);
	(void)wr_scan_end(&engine_lc, engine_scan, s);
	end = engine_hit(s, id);
	wr_scan_close(&engine_lc, engine_scan, s);
	return end;
}

static long long scan_bytewise(size_t i)
{
	uint32_t s = wr_scan_open(&engine_lc, engine_scan, engine_rs);
	char id[16];
	long long end;

	snprintf(id, sizeof(id), "r%u", id_of(i));
	for (size_t k = 0; k < row[i].n; k++)
		(void)engine_feed(s, row[i].data + k, 1);
	(void)wr_scan_end(&engine_lc, engine_scan, s);
	end = engine_hit(s, id);
	wr_scan_close(&engine_lc, engine_scan, s);
	return end;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	weir_compile_path = argv[1];
	write_bundle();
	engine_up(4);
	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		int same = 1;

		IS(scan_cut(i, 0), row[i].end, "row %zu ends as it should", i);
		for (size_t cut = 1; cut < row[i].n; cut++)
			same &= scan_cut(i, cut) == row[i].end;
		same &= scan_bytewise(i) == row[i].end;
		OK(same, "row %zu: the same however it is cut", i);
	}
	engine_down();
	return tap_done();
}
