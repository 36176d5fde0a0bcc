/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plan - which rules are on, what they are called, which objects they look at; conditions as
 * programs.
 */
#include <errno.h>
#include <stdlib.h>

#include "compile/compile.h"

#define GROUP_SAVES_MIN                                                                            \
	8u /* patterns that a group must leave out to be worth a database of its own */

static bool suppressed(const struct wr_compile *c, const struct wr_bundle *b, const char *kind,
                       const char *id, uint64_t *until)
{
	for (uint32_t i = 0; i < b->nsuppress; i++) {
		const struct wr_bundle_suppress *s = &b->suppress[i];
		size_t n = strlen(kind);

		if (s->has_digest || (s->expires != 0 && s->expires <= c->opts->now))
			continue;
		if (strncmp(s->item, kind, n) == 0 && strcmp(s->item + n, id) == 0) {
			*until = s->expires;
			return true;
		}
	}
	return false;
}

static void recompile_by(struct wr_compile *c, uint64_t when)
{
	if (when != 0 && (c->recompile_at == 0 || when < c->recompile_at))
		c->recompile_at = when;
}

static int type_bit(struct wr_compile *c, const char *type)
{
	for (uint32_t i = 0; i < c->ntypes; i++)
		if (strcmp(c->type[i], type) == 0)
			return (int)i;
	if (c->ntypes == WR_META_TYPES_MAX)
		return -E2BIG;
	c->type[c->ntypes] = strdup(type);
	return c->type[c->ntypes] == NULL ? -ENOMEM : (int)c->ntypes++;
}

static int plan_rule(struct wr_compile *c, uint32_t bundle, uint32_t i, struct wr_bundle_errors *e)
{
	const struct wr_bundle *b = c->bundle[bundle];
	const struct wr_bundle_rule *r = &b->rules[i];
	struct wr_plan_rule *p = &c->rule[c->nrules];
	uint64_t until = 0;

	*p = (struct wr_plan_rule){ .r = r, .bundle = bundle, .mode = r->mode };
	c->rule_index[bundle][i] = c->nrules++;
	if (suppressed(c, b, "rule:", r->id, &until)) {
		p->mode = WR_ITEM_OFF;
		recompile_by(c, until);
	}
	for (uint32_t t = 0; t < r->ntypes; t++) {
		int bit = type_bit(c, r->types[t]);

		if (bit == -E2BIG)
			wr_bundle_error_add(e, r->file, r->line,
			                    "rule `%s`: more than %u media types in all rules",
			                    r->id, WR_META_TYPES_MAX);
		if (bit < 0)
			return bit == -ENOMEM ? bit : -EBADMSG;
		p->types |= 1ull << bit;
	}
	if (r->kind == WR_RULE_CONDITION || p->mode == WR_ITEM_OFF)
		return 0;
	return wr_expr_make(r, &p->expr, e);
}

/* --- conditions ----------------------------------------------------------------------------------
 */

/* Depth of the stack that the program needs; it is well formed (the bundle room made it). */
static uint32_t depth_of(const struct wr_condition_op *op, uint32_t n)
{
	uint32_t depth = 0, most = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (op[i].kind == WR_COND_RULE)
			depth++;
		else if (op[i].kind != WR_COND_NOT)
			depth--;
		most = depth > most ? depth : most;
	}
	return most;
}

static int condition(struct wr_compile *c, struct wr_plan_rule *p, uint32_t room,
                     struct wr_bundle_errors *e)
{
	static const uint32_t word[] = { [WR_COND_RULE] = WR_OP_RULE,
		                         [WR_COND_NOT] = WR_OP_NOT,
		                         [WR_COND_AND] = WR_OP_AND,
		                         [WR_COND_OR] = WR_OP_OR };
	const struct wr_bundle *b = c->bundle[p->bundle];
	struct wr_condition_op *op;
	uint32_t n;
	int rc = wr_condition_parse(b, p->r, &op, &n, e);

	if (rc != 0)
		return rc;
	if (depth_of(op, n) > WR_META_STACK_MAX || c->nops + n > room) {
		wr_bundle_error_add(e, p->r->file, p->r->line,
		                    "rule `%s`: condition: nested deeper than %u, or more than %u "
		                    "words in all conditions",
		                    p->r->id, WR_META_STACK_MAX, WR_META_OPS_MAX);
		free(op);
		return -EBADMSG;
	}
	p->op = c->nops;
	p->nops = n;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t rule =
		        op[i].kind == WR_COND_RULE ? c->rule_index[p->bundle][op[i].rule] : 0;

		c->op[c->nops++] = word[op[i].kind] | rule;
		p->at_end |= op[i].kind == WR_COND_NOT;
		if (op[i].kind == WR_COND_RULE && c->rule[rule].mode == WR_ITEM_OFF)
			wr_bundle_warning_add(e, p->r->file, p->r->line,
			                      "rule `%s`: `%s` is off: it counts as not hit",
			                      p->r->id, c->rule[rule].r->id);
	}
	free(op);
	return 0;
}

/* By rule: the conditions to ask again when it hits. Those that wait for the end are asked then. */
static int watches(struct wr_compile *c)
{
	uint32_t *last = calloc(c->nrules + 1u, sizeof(*last));

	c->watch = calloc(c->nops + 1u, sizeof(*c->watch));
	if (last == NULL || c->watch == NULL) {
		free(last);
		return -ENOMEM;
	}
	for (int fill = 0; fill < 2; fill++) {
		memset(last, 0, (c->nrules + 1u) * sizeof(*last));
		for (uint32_t i = 0; i < c->nrules; i++) {
			const struct wr_plan_rule *p = &c->rule[i];

			if (p->nops == 0 || p->at_end || p->mode == WR_ITEM_OFF)
				continue;
			for (uint32_t k = p->op; k < p->op + p->nops; k++) {
				uint32_t named = c->op[k] & WR_OP_INDEX;

				if ((c->op[k] & WR_OP_KIND) != WR_OP_RULE || last[named] == i + 1)
					continue; /* named twice: once is enough */
				last[named] = i + 1;
				if (fill)
					c->watch[c->rule[named].watch + c->rule[named].nwatch] = i;
				c->rule[named].nwatch++;
			}
		}
		if (fill)
			break;
		for (uint32_t i = 0; i < c->nrules; i++) {
			c->rule[i].watch = c->nwatch;
			c->nwatch += c->rule[i].nwatch;
			c->rule[i].nwatch = 0;
		}
	}
	free(last);
	return 0;
}

int wr_plan_rules(struct wr_compile *c, struct wr_bundle_errors *e)
{
	uint32_t total = 0, bad = 0;
	int rc;

	for (uint32_t b = 0; b < c->nbundles; b++)
		total += c->bundle[b]->nrules;
	if (total > WR_META_RULES_MAX) {
		wr_bundle_error_add(e, "", 0, "%u rules in all bundles, the limit is %u", total,
		                    WR_META_RULES_MAX);
		return -E2BIG;
	}
	c->rule = calloc(total + 1u, sizeof(*c->rule));
	c->rule_index = calloc(c->nbundles + 1u, sizeof(*c->rule_index));
	c->op = calloc(WR_META_OPS_MAX, sizeof(*c->op));
	if (c->rule == NULL || c->rule_index == NULL || c->op == NULL)
		return -ENOMEM;
	for (uint32_t b = 0; b < c->nbundles; b++) {
		c->rule_index[b] = calloc(c->bundle[b]->nrules + 1u, sizeof(**c->rule_index));
		if (c->rule_index[b] == NULL)
			return -ENOMEM;
	}
	/* Patterns first: a condition must stand behind what it names. */
	for (int conditions = 0; conditions < 2; conditions++)
		for (uint32_t b = 0; b < c->nbundles; b++)
			for (uint32_t i = 0; i < c->bundle[b]->nrules; i++) {
				bool is = c->bundle[b]->rules[i].kind == WR_RULE_CONDITION;

				if (is != (conditions == 1))
					continue;
				rc = plan_rule(c, b, i, e);
				if (rc == -ENOMEM)
					return rc;
				bad += rc != 0; /* go on: all mistakes in one report */
			}
	for (uint32_t i = 0; i < c->nrules; i++)
		if (c->rule[i].r->kind == WR_RULE_CONDITION) {
			rc = condition(c, &c->rule[i], WR_META_OPS_MAX, e);
			if (rc == -ENOMEM)
				return rc;
			bad += rc != 0;
		}
	return bad != 0 ? -EBADMSG : watches(c);
}

/* --- groups --------------------------------------------------------------------------------------
 */

static bool covers(const char *pattern, const char *type)
{
	size_t n = strlen(pattern);

	if (n >= 2 && pattern[n - 1] == '*' && pattern[n - 2] == '/')
		return strncmp(pattern, type, n - 1) == 0;
	return strcmp(pattern, type) == 0;
}

static bool on(const struct wr_plan_rule *p)
{
	return p->mode != WR_ITEM_OFF && p->nops == 0 && p->expr.text != NULL;
}

static int group_add(struct wr_compile *c, uint64_t types, bool all)
{
	struct wr_plan_group *g = &c->group[c->ngroups];

	*g = (struct wr_plan_group){ .types = types };
	g->pattern = calloc(c->nrules + 1u, sizeof(*g->pattern));
	if (g->pattern == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->nrules; i++) {
		const struct wr_plan_rule *p = &c->rule[i];

		if (on(p) && (all || p->types == 0 || (p->types & types) != 0))
			g->pattern[g->npatterns++] = i;
	}
	c->ngroups++;
	return 0;
}

static uint32_t count_for(const struct wr_compile *c, uint64_t types)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->nrules; i++) {
		const struct wr_plan_rule *p = &c->rule[i];

		n += on(p) && (p->types == 0 || (p->types & types) != 0);
	}
	return n;
}

int wr_plan_groups(struct wr_compile *c, struct wr_bundle_errors *e)
{
	uint64_t set[WR_META_TYPES_MAX + 1];
	uint32_t nsets = 0;
	int rc;

	(void)e;
	rc = group_add(c, 0, true);
	if (rc != 0 || c->group[0].npatterns == 0) {
		c->ngroups = rc == 0 ? 0 : c->ngroups;
		return rc;
	}
	if (c->ntypes == 0)
		return 0;
	set[nsets++] = 0; /* objects of types that no rule names */
	for (uint32_t i = 0; i < c->ntypes; i++) {
		uint64_t types = 0;
		bool known = false;

		for (uint32_t k = 0; k < c->ntypes; k++)
			if (covers(c->type[k], c->type[i]))
				types |= 1ull << k;
		for (uint32_t k = 0; k < nsets; k++)
			known |= set[k] == types;
		if (!known)
			set[nsets++] = types;
	}
	/* The sets that leave out most come first: what finds no room is scanned by the union. */
	while (c->ngroups < WR_META_GROUPS_MAX) {
		uint32_t best = nsets, fewest = UINT32_MAX;

		for (uint32_t i = 0; i < nsets; i++) {
			uint32_t n = set[i] == UINT64_MAX ? UINT32_MAX : count_for(c, set[i]);

			if (n < fewest) {
				fewest = n;
				best = i;
			}
		}
		if (best == nsets || c->group[0].npatterns - fewest < GROUP_SAVES_MIN)
			break;
		rc = group_add(c, set[best], false);
		if (rc != 0)
			return rc;
		set[best] = UINT64_MAX;
	}
	return 0;
}
