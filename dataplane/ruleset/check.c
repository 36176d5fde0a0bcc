/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves what a shard claims before anyone follows an offset of it. A shard arrives over a socket
 * from another process: the hash says that it is the one meant, not that it is well formed.
 */
#include "ruleset/private.h"

/* r: count elements of `size` bytes, aligned, behind a head of `head` bytes. Empty needs no place
 * of its own.
 */
static bool range_ok(const struct wr_shard *s, const struct wr_range *r, uint64_t head,
                     uint64_t size, uint64_t align)
{
	if (r->count == 0)
		return r->off <= s->bytes; /* even the address of nothing is taken */
	return r->off >= head && r->off <= s->bytes && r->off % align == 0 &&
	       r->count <= (s->bytes - r->off) / size;
}

/* [first, first + n) lies inside count. */
static bool part_ok(uint32_t first, uint32_t n, uint64_t count)
{
	return first <= count && n <= count - first;
}

static bool string_ok(const struct wr_meta *m, uint32_t off, size_t max)
{
	const char *strings = AT(m, m->strings);

	if (off >= m->strings.count)
		return false;
	/* The last byte of the section is NUL, so this ends inside it. */
	return strnlen(strings + off, max + 1) <= max;
}

static const char *sections(const struct wr_meta *m)
{
	const struct wr_shard *s = &m->shard;
	const struct {
		const struct wr_range *r;
		uint64_t size, max;
	} row[] = {
		{ &m->bundles, sizeof(struct wr_meta_bundle), WR_META_BUNDLES_MAX },
		{ &m->rules, sizeof(struct wr_meta_rule), WR_META_RULES_MAX },
		{ &m->lists, sizeof(struct wr_meta_list), WR_META_LISTS_MAX * WR_ALGO_COUNT },
		{ &m->groups, sizeof(struct wr_meta_group), WR_META_GROUPS_MAX },
		{ &m->patterns, 4, (uint64_t)WR_META_RULES_MAX * WR_META_GROUPS_MAX },
		{ &m->ops, 4, WR_META_OPS_MAX },
		{ &m->watch, 4, WR_META_OPS_MAX },
		{ &m->types, 4, WR_META_TYPES_MAX },
		{ &m->regions, 4, 1u << 20 },
		{ &m->suppressed, sizeof(struct wr_meta_suppressed), 1u << 24 },
		{ &m->strings, 1, UINT32_MAX },
	};

	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		if (row[i].r->count > row[i].max)
			return "meta: a section has more elements than the limit";
		if (!range_ok(s, row[i].r, sizeof(*m), row[i].size, 8))
			return "meta: a section lies outside the shard";
	}
	if (m->strings.count == 0 ||
	    ((const char *)AT(m, m->strings))[m->strings.count - 1] != '\0')
		return "meta: the strings do not end";
	if (memchr(m->region, 0, sizeof(m->region)) == NULL)
		return "meta: the region does not end";
	return NULL;
}

static const char *program(const struct wr_meta *m, uint32_t rule, const struct wr_meta_rule *r)
{
	const uint32_t *op = AT(m, m->ops);
	uint32_t depth = 0;

	if (!part_ok(r->op, r->nops, m->ops.count))
		return "meta: a condition lies outside the programs";
	for (uint32_t i = r->op; i < r->op + r->nops; i++) {
		switch (op[i] & WR_OP_KIND) {
		case WR_OP_RULE:
			/* Only backwards: so no condition can depend on itself. */
			if ((op[i] & WR_OP_INDEX) >= rule)
				return "meta: a condition names a rule behind itself";
			if (++depth > WR_META_STACK_MAX)
				return "meta: a condition is too deep";
			break;
		case WR_OP_NOT:
			if (depth < 1)
				return "meta: a condition is malformed";
			break;
		default:
			if (depth < 2)
				return "meta: a condition is malformed";
			depth--;
		}
	}
	return depth == 1 ? NULL : "meta: a condition is malformed";
}

static const char *rules(const struct wr_meta *m)
{
	const struct wr_meta_rule *r = AT(m, m->rules);
	const uint32_t *watch = AT(m, m->watch);

	for (uint32_t i = 0; i < m->rules.count; i++, r++) {
		const char *bad = r->nops != 0 ? program(m, i, r) : NULL;

		if (bad != NULL)
			return bad;
		if (!string_ok(m, r->id, 67) || !string_ok(m, r->category, WR_META_TEXT_MAX) ||
		    r->bundle >= m->bundles.count)
			return "meta: a rule's name or bundle is out of range";
		if (r->mode > WR_ITEM_ENFORCE || r->action >= WR_A_COUNT || r->canary_ppm > 1000000)
			return "meta: a rule's mode or action is out of range";
		if (!part_ok(r->watch, r->nwatch, m->watch.count))
			return "meta: a rule's conditions are out of range";
		for (uint32_t k = r->watch; k < r->watch + r->nwatch; k++)
			if (watch[k] <= i || watch[k] >= m->rules.count)
				return "meta: a rule's conditions are out of range";
	}
	return NULL;
}

static const char *lists(const struct wr_meta *m)
{
	const struct wr_meta_list *l = AT(m, m->lists);
	const struct wr_meta_suppressed *sup = AT(m, m->suppressed);
	const uint32_t *region = AT(m, m->regions);

	for (uint32_t i = 0; i < m->lists.count; i++, l++) {
		if (!string_ok(m, l->id, 67) || !string_ok(m, l->category, WR_META_TEXT_MAX) ||
		    !string_ok(m, l->basis, WR_META_TEXT_MAX) || l->bundle >= m->bundles.count)
			return "meta: a list's name or bundle is out of range";
		if (l->mode > WR_ITEM_ENFORCE || l->action >= WR_A_COUNT ||
		    l->algo >= WR_ALGO_COUNT || l->canary_ppm > 1000000)
			return "meta: a list's mode, action or algorithm is out of range";
		if (!part_ok(l->region, l->nregions, m->regions.count))
			return "meta: a list's regions are out of range";
	}
	for (uint32_t i = 0; i < m->regions.count; i++)
		if (!string_ok(m, region[i], 255))
			return "meta: a region is out of range";
	for (uint64_t i = 0; i < m->suppressed.count; i++)
		if (sup[i].list >= m->lists.count)
			return "meta: a suppression names no list";
	return NULL;
}

static const char *groups(const struct wr_meta *m)
{
	const struct wr_meta_group *g = AT(m, m->groups);
	const struct wr_meta_rule *r = AT(m, m->rules);
	const uint32_t *pattern = AT(m, m->patterns);
	const uint32_t *type = AT(m, m->types);

	for (uint32_t i = 0; i < m->groups.count; i++)
		if (!part_ok(g[i].pattern, g[i].npatterns, m->patterns.count))
			return "meta: a group's patterns are out of range";
	for (uint64_t i = 0; i < m->patterns.count; i++)
		if (pattern[i] >= m->rules.count || r[pattern[i]].nops != 0)
			return "meta: a pattern belongs to no rule";
	for (uint64_t i = 0; i < m->types.count; i++)
		if (!string_ok(m, type[i], 255))
			return "meta: a type is out of range";
	return NULL;
}

const char *wr_check_meta(const struct wr_meta *m)
{
	const char *bad = sections(m);
	const struct wr_meta_bundle *b;

	if (bad != NULL)
		return bad;
	b = AT(m, m->bundles);
	for (uint64_t i = 0; i < m->bundles.count; i++)
		if (!string_ok(m, b[i].name, 39))
			return "meta: a bundle's name is out of range";
	if ((bad = rules(m)) != NULL || (bad = lists(m)) != NULL)
		return bad;
	return groups(m);
}

const char *wr_check_hsdb(const struct wr_hsdb *h)
{
	if (!range_ok(&h->shard, &h->db, sizeof(*h), 1, 8) || h->db.count == 0)
		return "hsdb: the database lies outside the shard";
	if (memchr(h->hs_version, 0, sizeof(h->hs_version)) == NULL)
		return "hsdb: the version does not end";
	return NULL;
}

const char *wr_check_table(const struct wr_table *t)
{
	const struct wr_shard *s = &t->shard;

	if (t->algo >= WR_ALGO_COUNT || t->digest_bytes != wr_algo_bytes(t->algo))
		return "table: the algorithm and the digests' length disagree";
	if ((s->kind == WR_SHARD_PDQ) != (t->algo == WR_ALGO_PDQ))
		return "table: the algorithm and the shard's kind disagree";
	if (t->digests.count > WR_TABLE_ENTRIES_MAX ||
	    !range_ok(s, &t->digests, sizeof(*t), t->digest_bytes, 8))
		return "table: the digests lie outside the shard";
	if (!range_ok(s, &t->buckets, sizeof(*t), sizeof(struct wr_bucket), 64))
		return "table: the buckets lie outside the shard";
	if (s->kind == WR_SHARD_DIGEST && (t->buckets.count == 0 || t->buckets.count > UINT32_MAX))
		return "table: no buckets, or too many";
	if (t->probes > WR_TABLE_PROBES_MAX)
		return "table: more probes than the limit";
	if (!range_ok(s, &t->names, sizeof(*t), 1, 8) || !range_ok(s, &t->blocks, sizeof(*t), 8, 8))
		return "table: the names lie outside the shard";
	if (t->blocks.count != 0 &&
	    t->blocks.count != (t->digests.count + WR_NAMES_BLOCK - 1) / WR_NAMES_BLOCK)
		return "table: names and entries disagree";
	return NULL;
}

const char *wr_check_shard(const uint8_t *p, uint64_t bytes)
{
	static const uint64_t head[] = {
		[WR_SHARD_META] = sizeof(struct wr_meta),
		[WR_SHARD_HSDB] = sizeof(struct wr_hsdb),
		[WR_SHARD_DIGEST] = sizeof(struct wr_table),
		[WR_SHARD_PDQ] = sizeof(struct wr_table),
	};
	const struct wr_shard *s = (const void *)p;

	if (bytes < sizeof(*s) || bytes > WR_SHARD_BYTES_MAX)
		return "shard: too short or too long";
	if (s->magic != WR_SHARD_MAGIC)
		return "shard: not a shard";
	if (s->version != WR_ARTIFACT_VERSION)
		return "shard: made by another version of weir-compile";
	if (s->bytes != bytes)
		return "shard: its length is not the length it states";
	if (s->kind == 0 || s->kind >= WR_COUNT_OF(head) || bytes < head[s->kind])
		return "shard: unknown kind, or shorter than its head";
	switch (s->kind) {
	case WR_SHARD_META: return wr_check_meta((const void *)p);
	case WR_SHARD_HSDB: return wr_check_hsdb((const void *)p);
	default: return wr_check_table((const void *)p);
	}
}
