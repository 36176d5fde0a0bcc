/* SPDX-License-Identifier: BSD-3-Clause */
/* meta - the shard that names all the others. */
#include <errno.h>
#include <stdlib.h>

#include "compile/compile.h"

struct image { /* the shard as it grows; strings apart, because they come last */
	uint8_t *p;
	uint64_t n, room;
	char *str;
	uint64_t nstr, str_room;
	bool failed;
};

static bool grow(void **p, uint64_t *room, uint64_t need)
{
	uint64_t more = *room == 0 ? 4096 : *room;
	void *q;

	while (more < need)
		more *= 2;
	if (more == *room)
		return true;
	q = realloc(*p, more);
	if (q == NULL)
		return false;
	memset((uint8_t *)q + *room, 0, more - *room);
	*p = q;
	*room = more;
	return true;
}

/* A zeroed section at the end of the image; its address is good until the next one. */
static void *section(struct image *m, struct wr_range *r, uint64_t count, uint64_t size)
{
	uint64_t off = (m->n + 7) / 8 * 8;

	r->off = off;
	r->count = count;
	if (m->failed || !grow((void **)&m->p, &m->room, off + count * size + 8)) {
		m->failed = true;
		return NULL;
	}
	m->n = off + count * size;
	return m->p + off;
}

static uint32_t string(struct image *m, const char *s)
{
	uint64_t n = strlen(s) + 1, at = m->nstr;

	if (n == 1 && at != 0)
		return 0;
	if (m->failed || !grow((void **)&m->str, &m->str_room, at + n) || at + n > UINT32_MAX) {
		m->failed = true;
		return 0;
	}
	memcpy(m->str + at, s, n);
	m->nstr += n;
	return (uint32_t)at;
}

/* Words for the record, which cuts them shorter still and says so. */
static uint32_t words(struct image *m, const char *own, const char *other)
{
	char text[WR_META_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%s", own[0] != '\0' ? own : other);
	return string(m, text);
}

/* What is kept when an object hits more rules than are recorded: what would act, before what would
 * not. */
static uint8_t rank_of(uint8_t mode, uint8_t action)
{
	return (uint8_t)(mode * WR_A_COUNT + action);
}

static void put_bundles(const struct wr_compile *c, struct image *m, struct wr_range *r)
{
	struct wr_meta_bundle *out = section(m, r, c->nbundles, sizeof(*out));

	for (uint32_t i = 0; out != NULL && i < c->nbundles; i++) {
		out[i].version = c->bundle[i]->version;
		out[i].expires = c->bundle[i]->expires;
		memcpy(out[i].sha256, c->bundle_sha256[i], 32);
		out[i].name = string(m, c->bundle[i]->name);
	}
}

static void put_rules(const struct wr_compile *c, struct image *m, struct wr_range *r)
{
	struct wr_meta_rule *out = section(m, r, c->nrules, sizeof(*out));

	for (uint32_t i = 0; out != NULL && i < c->nrules; i++) {
		const struct wr_plan_rule *p = &c->rule[i];

		out[i] = (struct wr_meta_rule){
			.types = p->types,
			.id = string(m, p->r->id),
			.bundle = p->bundle,
			.canary_ppm = p->mode == WR_ITEM_CANARY ? p->r->canary_ppm : 0,
			.op = p->op,
			.nops = p->nops,
			.watch = p->watch,
			.nwatch = p->nwatch,
			.mode = p->mode,
			.action = p->r->action,
			.severity = p->r->severity,
			.helper = p->r->action == WR_A_PASS,
			.at_end = p->at_end,
			.rank = rank_of(p->mode, p->r->action),
			.category = words(m, p->r->category, c->bundle[p->bundle]->category),
		};
	}
}

static void put_lists(const struct wr_compile *c, struct image *m, struct wr_meta *meta)
{
	uint64_t nregions = 0, at = 0;
	struct wr_meta_list *out;
	uint32_t *region;

	for (uint32_t i = 0; i < c->nlists; i++)
		nregions += c->list[i].l->nregions;
	region = section(m, &meta->regions, nregions, sizeof(*region));
	for (uint32_t i = 0; region != NULL && i < c->nlists; i++)
		for (uint32_t k = 0; k < c->list[i].l->nregions; k++)
			region[at++] = string(m, c->list[i].l->regions[k]);
	out = section(m, &meta->lists, c->nlists, sizeof(*out));
	at = 0;
	for (uint32_t i = 0; out != NULL && i < c->nlists; i++) {
		const struct wr_plan_list *p = &c->list[i];

		out[i] = (struct wr_meta_list){
			.valid_until = p->l->valid_until,
			.entries = p->entries,
			.id = string(m, p->l->id),
			.bundle = p->bundle,
			.owner = p->owner,
			.canary_ppm = p->mode == WR_ITEM_CANARY ? p->l->canary_ppm : 0,
			.region = (uint32_t)at,
			.nregions = p->l->nregions,
			.source = p->source,
			.mode = p->mode,
			.action = p->l->action,
			.severity = p->l->severity,
			.allow = p->l->allow,
			.algo = (uint8_t)p->algo,
			.max_distance = p->l->max_distance,
			.min_quality = p->l->min_quality,
			.dihedral = p->l->dihedral,
			.category = words(m, p->l->category, c->bundle[p->bundle]->category),
			.basis = words(m, p->l->basis, ""),
		};
		memcpy(out[i].shard, p->shard, 32);
		at += p->l->nregions;
	}
}

static void put_groups(const struct wr_compile *c, struct image *m, struct wr_meta *meta)
{
	struct wr_meta_group *out = section(m, &meta->groups, c->ngroups, sizeof(*out));
	uint32_t total = 0, *pattern;

	for (uint32_t i = 0; out != NULL && i < c->ngroups; i++) {
		out[i] = (struct wr_meta_group){ .types = c->group[i].types,
			                         .pattern = total,
			                         .npatterns = c->group[i].npatterns };
		memcpy(out[i].shard, c->group[i].shard, 32);
		total += c->group[i].npatterns;
	}
	pattern = section(m, &meta->patterns, total, sizeof(*pattern));
	for (uint32_t i = 0; pattern != NULL && i < c->ngroups; i++) {
		memcpy(pattern, c->group[i].pattern, c->group[i].npatterns * sizeof(*pattern));
		pattern += c->group[i].npatterns;
	}
}

static void put_words(struct image *m, struct wr_range *r, const uint32_t *w, uint32_t n)
{
	uint32_t *out = section(m, r, n, sizeof(*out));

	if (out != NULL && n != 0)
		memcpy(out, w, n * sizeof(*out));
}

int wr_compile_meta(struct wr_compile *c, struct wr_bundle_errors *e)
{
	struct wr_meta meta = { .memory_bytes = c->memory_bytes,
		                .recompile_at = c->recompile_at,
		                .stream_state_bytes = c->stream_state_bytes,
		                .npatterns = c->ngroups != 0 ? c->group[0].npatterns : 0 };
	struct image m = { .n = sizeof(meta) };
	struct wr_meta_suppressed *sup;
	uint32_t *type;
	void *strings;
	int rc = -ENOMEM;

	if (c->opts->region != NULL)
		strncpy(meta.region, c->opts->region, sizeof(meta.region) - 1);
	(void)string(&m, "");
	put_bundles(c, &m, &meta.bundles);
	put_rules(c, &m, &meta.rules);
	put_lists(c, &m, &meta);
	put_groups(c, &m, &meta);
	put_words(&m, &meta.ops, c->op, c->nops);
	put_words(&m, &meta.watch, c->watch, c->nwatch);
	type = section(&m, &meta.types, c->ntypes, sizeof(*type));
	for (uint32_t i = 0; type != NULL && i < c->ntypes; i++)
		type[i] = string(&m, c->type[i]);
	sup = section(&m, &meta.suppressed, c->nsuppressed, sizeof(*sup));
	if (sup != NULL && c->nsuppressed != 0)
		memcpy(sup, c->suppressed, c->nsuppressed * sizeof(*sup));
	strings = section(&m, &meta.strings, m.nstr, 1);
	if (strings != NULL && !m.failed) {
		memcpy(strings, m.str, m.nstr);
		meta.shard = (struct wr_shard){ .magic = WR_SHARD_MAGIC,
			                        .version = WR_ARTIFACT_VERSION,
			                        .kind = WR_SHARD_META,
			                        .bytes = m.n };
		memcpy(m.p, &meta, sizeof(meta));
		rc = wr_out_write(c->out, m.p, m.n, c->meta);
	}
	free(m.p);
	free(m.str);
	if (rc != 0)
		wr_bundle_error_add(e, "", 0, "cannot write the meta shard: %s", strerror(-rc));
	return rc;
}
