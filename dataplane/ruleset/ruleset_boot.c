/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ruleset/private.h"
#include "ruleset/say.h"

static struct shard_entry *take(struct wr_ruleset *rs, struct wr_shard_store *s,
                                const uint8_t sha256[32])
{
	struct shard_entry *e = wr_shard_get(s, sha256);

	if (e != NULL)
		rs->shards[rs->nshards++] = e;
	return e;
}

static int build_rules(struct wr_ruleset *rs)
{
	const struct wr_meta *m = rs->meta;
	const struct wr_meta_rule *r = AT(m, m->rules);
	const struct wr_meta_bundle *b = AT(m, m->bundles);
	const char *str = AT(m, m->strings);

	rs->nrules = (uint32_t)m->rules.count;
	rs->rule = calloc(rs->nrules + 1u, sizeof(*rs->rule));
	rs->ending = calloc(rs->nrules + 1u, sizeof(*rs->ending));
	if (rs->rule == NULL || rs->ending == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < rs->nrules; i++)
		if (r[i].nops != 0 && r[i].at_end && r[i].mode != WR_ITEM_OFF)
			rs->ending[rs->nendings++] = i;
	for (uint32_t i = 0; i < rs->nrules; i++)
		rs->rule[i] = (struct wr_item){
			.id = str + r[i].id,
			.category = str + r[i].category,
			.basis = "",
			.bundle = str + b[r[i].bundle].name,
			.bundle_version = b[r[i].bundle].version,
			.bundle_expires = b[r[i].bundle].expires,
			.mode = r[i].mode,
			.action = r[i].action,
			.severity = r[i].severity,
			.kind = WR_MATCH_PATTERN,
			.helper = r[i].helper,
			.canary_ppm = r[i].canary_ppm,
		};
	return 0;
}

static bool in_region(const struct wr_meta *m, const struct wr_meta_list *l, const char *region)
{
	const uint32_t *regions = AT(m, m->regions);
	const char *str = AT(m, m->strings);

	for (uint32_t i = 0; i < l->nregions; i++)
		if (strcmp(str + regions[l->region + i], region) == 0)
			return true;
	return l->nregions == 0;
}

static int table_of(struct wr_ruleset *rs, struct wr_shard_store *s, uint32_t i,
                    const struct wr_meta_list *l, char *err, size_t err_size)
{
	static const uint8_t none[32];
	const struct wr_table *t;
	struct shard_entry *e;

	if (l->mode == WR_ITEM_OFF || memcmp(l->shard, none, 32) == 0)
		return 0;
	e = take(rs, s, l->shard);
	if (e == NULL)
		return wr_say(err, err_size, -ENOENT, "meta: a list's table is not there");
	t = (const void *)e->p;
	if (e->kind != (l->algo == WR_ALGO_PDQ ? WR_SHARD_PDQ : WR_SHARD_DIGEST) ||
	    t->algo != l->algo)
		return wr_say(err, err_size, -EPROTO, "meta: a list names a shard of another kind");
	rs->list_table[i] = t;
	rs->table[l->algo][rs->ntables[l->algo]++] = (struct table_ref){ t, i, 0 };
	rs->algos |= 1u << l->algo;
	return 0;
}

static int build_lists(struct wr_ruleset *rs, struct wr_shard_store *s, const char *region,
                       char *err, size_t err_size)
{
	const struct wr_meta *m = rs->meta;
	const struct wr_meta_list *l = AT(m, m->lists);
	const struct wr_meta_bundle *b = AT(m, m->bundles);
	const char *str = AT(m, m->strings);

	rs->nlists = (uint32_t)m->lists.count;
	rs->list = calloc(rs->nlists + 1u, sizeof(*rs->list));
	rs->list_table = calloc(rs->nlists + 1u, sizeof(*rs->list_table));
	if (rs->list == NULL || rs->list_table == NULL)
		return -ENOMEM;
	for (uint32_t a = 0; a < WR_ALGO_COUNT; a++) {
		rs->table[a] = calloc(rs->nlists + 1u, sizeof(*rs->table[a]));
		if (rs->table[a] == NULL)
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < rs->nlists; i++) {
		bool here = in_region(m, &l[i], region);
		int rc = here ? table_of(rs, s, i, &l[i], err, err_size) : 0;

		if (rc != 0)
			return rc;
		rs->list[i] = (struct wr_item){
			.id = str + l[i].id,
			.category = str + l[i].category,
			.basis = str + l[i].basis,
			.bundle = str + b[l[i].bundle].name,
			.bundle_version = b[l[i].bundle].version,
			.bundle_expires = b[l[i].bundle].expires,
			.mode = here ? l[i].mode : WR_ITEM_OFF,
			.action = l[i].action,
			.severity = l[i].severity,
			.allow = l[i].allow,
			.algo = l[i].algo,
			.kind = l[i].algo == WR_ALGO_PDQ ? WR_MATCH_PDQ : WR_MATCH_EXACT,
			.canary_ppm = l[i].canary_ppm,
			.owner = l[i].owner,
			.valid_until = l[i].valid_until,
		};
	}
	return 0;
}

static int build_groups(struct wr_ruleset *rs, struct wr_shard_store *s, char *err, size_t err_size)
{
	const struct wr_meta *m = rs->meta;
	const struct wr_meta_group *g = AT(m, m->groups);
	uint64_t bitmap = (rs->nrules + 63u) / 64u * 8u, most = 0;

	for (uint32_t i = 0; i < m->groups.count; i++) {
		struct shard_entry *e;
		const struct wr_hsdb *h;

		rs->ngroups++;
		if (g[i].npatterns == 0)
			continue; /* nothing to look for in objects of this type */
		e = take(rs, s, g[i].shard);
		if (e == NULL)
			return wr_say(err, err_size, -ENOENT,
			              "meta: a group's database is not there");
		h = (const void *)e->p;
		if (e->kind != WR_SHARD_HSDB || h->npatterns != g[i].npatterns)
			return wr_say(err, err_size, -EPROTO,
			              "meta: a group names a shard of another kind");
		rs->db[i] = wr_shard_db(e, err, err_size);
		if (rs->db[i] == NULL)
			return -EPROTO;
		most = wr_max_u64(most, h->stream_bytes);
	}
	most = (most + 63) / 64 * 64 + bitmap;
	if (most > UINT32_MAX)
		return wr_say(err, err_size, -E2BIG, "meta: a stream does not fit any slot");
	rs->state_bytes = (uint32_t)most;
	return 0;
}

int wr_ruleset_new(struct wr_shard_store *s, const uint8_t meta_sha256[32], uint64_t generation,
                   const char *region, struct wr_ruleset **out, char *err, size_t err_size)
{
	struct wr_ruleset *rs = NULL;
	struct shard_entry *e = wr_shard_get(s, meta_sha256);
	const struct wr_meta *m;
	int rc;

	*out = NULL;
	if (e == NULL)
		return wr_say(err, err_size, -ENOENT, "ruleset: its meta shard is not there");
	m = (const void *)e->p;
	if (e->kind != WR_SHARD_META) {
		wr_shard_put(e);
		return wr_say(err, err_size, -EPROTO, "ruleset: this shard is no meta shard");
	}
	if (posix_memalign((void **)&rs, WR_CACHE_LINE, sizeof(*rs)) != 0) {
		wr_shard_put(e);
		return -ENOMEM;
	}
	memset(rs, 0, sizeof(*rs));
	rs->meta = m;
	rs->generation = generation;
	memcpy(rs->meta_sha256, meta_sha256, 32);
	rs->shards = calloc(1 + m->lists.count + m->groups.count, sizeof(*rs->shards));
	if (rs->shards == NULL) {
		wr_shard_put(e);
		free(rs);
		return -ENOMEM;
	}
	rs->shards[rs->nshards++] = e;
	if (m->region[0] != '\0' && strcmp(m->region, region) != 0) {
		rc = wr_say(err, err_size, -EINVAL, "ruleset: compiled for region %s, not for %s",
		            m->region, region[0] != '\0' ? region : "none");
	} else if ((rc = build_rules(rs)) == 0 &&
	           (rc = build_lists(rs, s, region, err, err_size)) == 0) {
		rc = build_groups(rs, s, err, err_size);
	}
	if (rc != 0) {
		if (rc == -ENOMEM)
			wr_say(err, err_size, rc, "ruleset: no memory");
		wr_ruleset_free(rs);
		return rc;
	}
	*out = rs;
	return 0;
}

void wr_ruleset_free(struct wr_ruleset *rs)
{
	if (rs == NULL)
		return;
	WR_ASSERT(wr_ruleset_open_count(rs) == 0);
	for (uint32_t i = 0; i < rs->nshards; i++)
		wr_shard_put(rs->shards[i]);
	for (uint32_t a = 0; a < WR_ALGO_COUNT; a++)
		free(rs->table[a]);
	free(rs->shards);
	free(rs->rule);
	free(rs->ending);
	free(rs->list);
	free(rs->list_table);
	free(rs);
}

int wr_ruleset_load(struct wr_shard_store *s, const char *dir, const uint8_t meta_sha256[32],
                    uint64_t generation, const char *region, struct wr_ruleset **out, char *err,
                    size_t err_size)
{
	static const uint8_t none[32];
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
	const struct wr_meta *m;
	struct shard_entry *e;

	*out = NULL;
	if (dirfd < 0)
		return wr_say(err, err_size, -errno, "%s: %m", dir);
	rc = wr_shard_add_file(s, dirfd, meta_sha256, err, err_size);
	e = rc == 0 ? wr_shard_get(s, meta_sha256) : NULL;
	if (e != NULL && e->kind == WR_SHARD_META) {
		m = (const void *)e->p;
		const struct wr_meta_group *g = AT(m, m->groups);
		const struct wr_meta_list *l = AT(m, m->lists);

		for (uint64_t i = 0; i < m->groups.count && rc == 0; i++)
			if (g[i].npatterns != 0)
				rc = wr_shard_add_file(s, dirfd, g[i].shard, err, err_size);
		for (uint64_t i = 0; i < m->lists.count && rc == 0; i++)
			if (memcmp(l[i].shard, none, 32) != 0)
				rc = wr_shard_add_file(s, dirfd, l[i].shard, err, err_size);
	}
	if (e != NULL)
		wr_shard_put(e);
	close(dirfd);
	return rc != 0 ? rc
	               : wr_ruleset_new(s, meta_sha256, generation, region, out, err, err_size);
}

void wr_ruleset_group_name(const struct wr_ruleset *rs, uint32_t group, char *out, uint32_t size)
{
	const struct wr_meta *m = rs->meta;
	const struct wr_meta_group *g = AT(m, m->groups);
	const uint32_t *type = AT(m, m->types);
	const char *str = AT(m, m->strings);
	uint32_t n = 0;

	snprintf(out, size, "%s", group == 0 && rs->ngroups != 0 ? "any" : "");
	for (uint64_t i = 0; group != 0 && group < rs->ngroups && i < m->types.count; i++)
		if ((g[group].types >> i & 1) != 0 && n < size)
			n += (uint32_t)snprintf(out + n, size - n, "%s%s", n != 0 ? "+" : "",
			                        str + type[i]);
}
