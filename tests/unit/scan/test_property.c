/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random rules, random objects, random cuts, beside a matcher so simple that it must be right: what
 * a rule says is exactly what hits, with the end of its first match. Conditions beside a truth
 * table. Seeded: a failure names its round and repeats.
 */
#include "engine.h"

#define PATTERNS   26u
#define CONDITIONS 6u /* with the patterns no more than a stream keeps */
#define ROUNDS     4u
#define OBJECTS    400u
#define OBJECT_MAX 20u
#define TOKENS_MAX 5u

enum token_kind { BYTE, ANY, GAP };

struct token {
	enum token_kind kind;
	uint8_t byte;
	uint32_t n, m; /* GAP */
};

static struct model_rule {
	struct token t[TOKENS_MAX];
	uint32_t ntokens, from, to; /* to 0 = anywhere */
	bool end;
} rule[PATTERNS];

static struct { /* (a [!]op b) op c, by index of pattern */
	uint32_t a, b, c;
	bool or1, or2, not_b, not_c;
} cond[CONDITIONS];

static uint64_t x = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 33) % n;
}

/* --- the bundle ----------------------------------------------------------------------------------
 */

static void make_rule(struct model_rule *r)
{
	memset(r, 0, sizeof(*r));
	r->ntokens = 1 + rnd(TOKENS_MAX);
	for (uint32_t i = 0; i < r->ntokens; i++) {
		struct token *t = &r->t[i];
		bool inside = i != 0 && i + 1 != r->ntokens;

		t->kind = inside && rnd(4) == 0 ? GAP : inside && rnd(4) == 0 ? ANY : BYTE;
		t->byte = (uint8_t) "ab\n"[rnd(rnd(3) == 0 ? 3 : 2)];
		t->n = rnd(3);
		t->m = t->n + rnd(3);
	}
	if (rnd(5) == 0) {
		r->end = true;
	} else if (rnd(2) == 0) {
		r->from = rnd(6);
		r->to = r->from + 10 +
		        rnd(8); /* ten bytes hold any of them: five tokens, gaps of four */
		r->to += 4;
	}
}

static int put_rule(char *p, uint32_t i, const struct model_rule *r)
{
	int n = sprintf(p, "  - { id: r%u, action: block, mode: enforce, hex: '", i);

	for (uint32_t k = 0; k < r->ntokens; k++) {
		const struct token *t = &r->t[k];

		if (t->kind == GAP)
			n += sprintf(p + n, "[%u-%u] ", t->n, t->m);
		else if (t->kind == ANY)
			n += sprintf(p + n, "%s ",
			             "?"
			             "?");
		else
			n += sprintf(p + n, "%02x ", t->byte);
	}
	n += sprintf(p + n, "'");
	if (r->end)
		n += sprintf(p + n, ", at: end");
	else if (r->to != 0)
		n += sprintf(p + n, ", at: { from: %u, to: %u }", r->from, r->to);
	return n + sprintf(p + n, " }\n");
}

static void make_bundle(void)
{
	static char yaml[16384];
	char *p = yaml;

	p += sprintf(p, "rules:\n");
	for (uint32_t i = 0; i < PATTERNS; i++) {
		make_rule(&rule[i]);
		p += put_rule(p, i, &rule[i]);
	}
	for (uint32_t i = 0; i < CONDITIONS; i++) {
		cond[i].a = rnd(PATTERNS);
		cond[i].b = rnd(PATTERNS);
		cond[i].c = rnd(PATTERNS);
		cond[i].or1 = rnd(2);
		cond[i].or2 = rnd(2);
		cond[i].not_b = i % 2 == 1 && rnd(2);
		cond[i].not_c = i % 2 == 1;
		p += sprintf(p,
		             "  - { id: c%u, action: flag, mode: enforce, condition: '(r%u %c "
		             "%sr%u) %c %sr%u' }\n",
		             i, cond[i].a, cond[i].or1 ? '|' : '&', cond[i].not_b ? "!" : "",
		             cond[i].b, cond[i].or2 ? '|' : '&', cond[i].not_c ? "!" : "",
		             cond[i].c);
	}
	folder_new();
	folder_put("manifest.yaml", MANIFEST);
	folder_put("rules/all.yaml", yaml);
}

/* --- the model -----------------------------------------------------------------------------------
 */

/* Every end of a match of tokens k.. at position `at`, as bits. */
static uint32_t ends(const struct model_rule *r, uint32_t k, const uint8_t *d, uint32_t n,
                     uint32_t at)
{
	const struct token *t = &r->t[k];
	uint32_t found = 0;

	if (k == r->ntokens)
		return 1u << at;
	if (t->kind == GAP) {
		for (uint32_t g = t->n; g <= t->m && at + g <= n; g++)
			found |= ends(r, k + 1, d, n, at + g);
		return found;
	}
	if (at == n || (t->kind == BYTE && d[at] != t->byte))
		return 0;
	return ends(r, k + 1, d, n, at + 1);
}

/* End of the match that ends first, or -1. */
static long long model(const struct model_rule *r, const uint8_t *d, uint32_t n)
{
	uint32_t all = 0;

	for (uint32_t at = r->from; at <= n; at++)
		all |= ends(r, 0, d, n, at);
	if (r->end)
		all &= 1u << n;
	if (r->to != 0 && r->to < 31)
		all &= (2u << r->to) - 1;
	return all == 0 ? -1 : __builtin_ctz(all);
}

static uint32_t compare(uint32_t s, const uint8_t *d, uint32_t n)
{
	bool hit[PATTERNS];
	uint32_t wrong = 0;
	char id[8];

	for (uint32_t i = 0; i < PATTERNS; i++) {
		long long want = model(&rule[i], d, n);

		sprintf(id, "r%u", i);
		hit[i] = want >= 0;
		wrong += engine_hit(s, id) != want;
	}
	for (uint32_t i = 0; i < CONDITIONS; i++) {
		bool a = hit[cond[i].a], b = hit[cond[i].b] != cond[i].not_b;
		bool c = hit[cond[i].c] != cond[i].not_c, ab = cond[i].or1 ? a || b : a && b;

		sprintf(id, "c%u", i);
		wrong += (engine_hit(s, id) >= 0) != (cond[i].or2 ? ab || c : ab && c);
	}
	return wrong;
}

static void one_round(uint32_t round)
{
	uint32_t wrong = 0, hits = 0;

	make_bundle();
	engine_up(1);
	for (uint32_t o = 0; o < OBJECTS; o++) {
		uint32_t n = rnd(OBJECT_MAX + 1),
		         s = wr_scan_open(&engine_lc, engine_scan, engine_rs);
		const struct wr_hit *h;
		uint8_t d[OBJECT_MAX];
		bool more;

		for (uint32_t i = 0; i < n; i++)
			d[i] = (uint8_t) "ab\n"[rnd(rnd(4) == 0 ? 3 : 2)];
		for (uint32_t at = 0, len; at < n; at += len) {
			len = 1 + rnd(n - at);
			(void)engine_feed(s, d + at, len);
		}
		(void)wr_scan_end(&engine_lc, engine_scan, s);
		wrong += compare(s, d, n);
		hits += wr_scan_hits(engine_scan, s, &h, &more);
		wr_scan_close(&engine_lc, engine_scan, s);
	}
	IS(wrong, 0, "round %u: %u objects, %u hits, as the model says", round, OBJECTS, hits);
	OK(hits > OBJECTS, "round %u: and it had something to say", round);
	engine_down();
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	weir_compile_path = argv[1];
	for (uint32_t i = 0; i < ROUNDS; i++)
		one_round(i);
	return tap_done();
}
