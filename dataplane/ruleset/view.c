/* SPDX-License-Identifier: BSD-3-Clause */
#include "ruleset/private.h"

uint64_t wr_ruleset_generation(const struct wr_ruleset *rs)
{
	return rs->generation;
}

const uint8_t *wr_ruleset_meta_sha256(const struct wr_ruleset *rs)
{
	return rs->meta_sha256;
}

static void open_add(struct wr_ruleset *rs, uint32_t worker, uint64_t n)
{
	_Atomic uint64_t *c = &rs->open[worker].n;

	WR_ASSERT(worker < WR_WORKERS_MAX);
	/* One writer per line; release, so that who reads 0 also sees the worker's last use. */
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
	                      memory_order_release);
}

void wr_ruleset_open(struct wr_ruleset *rs, uint32_t worker)
{
	open_add(rs, worker, 1);
}

void wr_ruleset_close(struct wr_ruleset *rs, uint32_t worker)
{
	open_add(rs, worker, UINT64_MAX);
}

uint64_t wr_ruleset_open_count(const struct wr_ruleset *rs)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < WR_WORKERS_MAX; i++)
		n += atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&rs->open[i].n,
		                          memory_order_acquire);
	return n;
}

uint32_t wr_ruleset_algos(const struct wr_ruleset *rs)
{
	return rs->algos;
}

uint32_t wr_ruleset_nrules(const struct wr_ruleset *rs)
{
	return rs->nrules;
}

uint32_t wr_ruleset_nlists(const struct wr_ruleset *rs)
{
	return rs->nlists;
}

const struct wr_item *wr_ruleset_rule(const struct wr_ruleset *rs, uint32_t i)
{
	WR_ASSERT(i < rs->nrules);
	return &rs->rule[i];
}

const struct wr_item *wr_ruleset_list(const struct wr_ruleset *rs, uint32_t i)
{
	WR_ASSERT(i < rs->nlists);
	return &rs->list[i];
}

uint32_t wr_ruleset_bundles(const struct wr_ruleset *rs, struct wr_record_bundle *out, uint32_t max)
{
	const struct wr_meta *m = rs->meta;
	const struct wr_meta_bundle *b = AT(m, m->bundles);
	const char *str = AT(m, m->strings);
	uint32_t n = wr_min_u32((uint32_t)m->bundles.count, max);

	for (uint32_t i = 0; i < n; i++) {
		memset(&out[i], 0, sizeof(out[i]));
		strncpy(out[i].name, str + b[i].name, sizeof(out[i].name) - 1);
		out[i].version = b[i].version;
		out[i].expires = b[i].expires;
		memcpy(out[i].sha256, b[i].sha256, 32);
	}
	return n;
}

const uint8_t *wr_ruleset_pdq(const struct wr_ruleset *rs, uint32_t list, uint64_t *n,
                              const struct wr_meta_list **how)
{
	const struct wr_meta *m = rs->meta;
	const struct wr_table *t = list < rs->nlists ? rs->list_table[list] : NULL;

	*n = 0;
	if (t == NULL || t->algo != WR_ALGO_PDQ)
		return NULL;
	*n = t->digests.count;
	*how = (const struct wr_meta_list *)AT(m, m->lists) + list;
	return AT(t, t->digests);
}

uint32_t wr_ruleset_state_bytes(const struct wr_ruleset *rs)
{
	return rs->state_bytes;
}

/* "image/" + "*" covers every image; anything else is compared as a whole. */
static bool covers(const char *pattern, const char *type)
{
	size_t n = strlen(pattern);

	if (n >= 2 && pattern[n - 1] == '*' && pattern[n - 2] == '/')
		return strncmp(pattern, type, n - 1) == 0;
	return strcmp(pattern, type) == 0;
}

uint64_t wr_ruleset_types(const struct wr_ruleset *rs, const char *media_type)
{
	const struct wr_meta *m = rs->meta;
	const uint32_t *type = AT(m, m->types);
	const char *str = AT(m, m->strings);
	uint64_t set = 0;

	if (media_type == NULL)
		return 0;
	for (uint64_t i = 0; i < m->types.count; i++)
		if (covers(str + type[i], media_type))
			set |= 1ull << i;
	return set;
}

uint32_t wr_ruleset_group_of(const struct wr_ruleset *rs, uint64_t types)
{
	const struct wr_meta_group *g = AT(rs->meta, rs->meta->groups);

	for (uint32_t i = 1; i < rs->ngroups; i++)
		if (g[i].types == types)
			return i;
	return 0;
}

const struct wr_meta_rule *wr_ruleset_rules(const struct wr_ruleset *rs)
{
	return AT(rs->meta, rs->meta->rules);
}

const uint32_t *wr_ruleset_ops(const struct wr_ruleset *rs)
{
	return AT(rs->meta, rs->meta->ops);
}

const uint32_t *wr_ruleset_watch(const struct wr_ruleset *rs)
{
	return AT(rs->meta, rs->meta->watch);
}

const uint32_t *wr_ruleset_endings(const struct wr_ruleset *rs, uint32_t *n)
{
	*n = rs->nendings;
	return rs->ending;
}

const uint32_t *wr_ruleset_patterns(const struct wr_ruleset *rs, uint32_t group, uint32_t *n)
{
	const struct wr_meta_group *g = AT(rs->meta, rs->meta->groups);
	const uint32_t *pattern = AT(rs->meta, rs->meta->patterns);

	WR_ASSERT(group < rs->ngroups);
	*n = g[group].npatterns;
	return pattern + g[group].pattern;
}

uint32_t wr_ruleset_ngroups(const struct wr_ruleset *rs)
{
	return rs->ngroups;
}

const struct hs_database *wr_ruleset_group_db(const struct wr_ruleset *rs, uint32_t group)
{
	WR_ASSERT(group < rs->ngroups);
	return rs->db[group];
}
