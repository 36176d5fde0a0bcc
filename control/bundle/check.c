/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a table of keys cannot say: ids that must be unique or exist, keys that need each other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/private.h"
#include "bundle/text.h"

static int rule_order(const void *a, const void *b)
{
	const struct wr_bundle_rule *x = *(const struct wr_bundle_rule *const *)a;
	const struct wr_bundle_rule *y = *(const struct wr_bundle_rule *const *)b;
	int d = strcmp(x->id, y->id);

	return d != 0 ? d : (x > y) - (x < y);
}

static int list_order(const void *a, const void *b)
{
	const struct wr_bundle_list *x = *(const struct wr_bundle_list *const *)a;
	const struct wr_bundle_list *y = *(const struct wr_bundle_list *const *)b;
	int d = strcmp(x->id, y->id);

	return d != 0 ? d : (x > y) - (x < y);
}

int wr_bundle_index(struct wr_reader *r)
{
	struct wr_bundle *b = r->b;
	struct wr_bundle_private *p = b->priv;

	p->rule_by_id = wr_arena_array(r->a, (size_t)b->nrules + 1, sizeof(*p->rule_by_id));
	p->list_by_id = wr_arena_array(r->a, (size_t)b->nlists + 1, sizeof(*p->list_by_id));
	if (p->rule_by_id == NULL || p->list_by_id == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->nrules; i++)
		p->rule_by_id[i] = &b->rules[i];
	for (uint32_t i = 0; i < b->nlists; i++)
		p->list_by_id[i] = &b->lists[i];
	qsort(p->rule_by_id, b->nrules, sizeof(*p->rule_by_id), rule_order);
	qsort(p->list_by_id, b->nlists, sizeof(*p->list_by_id), list_order);
	for (uint32_t i = 1; i < b->nrules; i++) {
		const struct wr_bundle_rule *x = p->rule_by_id[i - 1], *y = p->rule_by_id[i];

		if (y->id[0] != '\0' && strcmp(x->id, y->id) == 0)
			wr_bundle_error_add(r->e, y->file, y->line,
			                    "rule `%s` exists already (%s, line %u)", y->id,
			                    x->file, x->line);
	}
	for (uint32_t i = 1; i < b->nlists; i++) {
		const struct wr_bundle_list *x = p->list_by_id[i - 1], *y = p->list_by_id[i];

		if (y->id[0] != '\0' && strcmp(x->id, y->id) == 0)
			wr_bundle_error_add(r->e, "manifest.yaml", y->line,
			                    "list `%s` exists already (line %u)", y->id, x->line);
	}
	return 0;
}

const struct wr_bundle_rule *wr_bundle_rule_get(const struct wr_bundle *b, const char *id)
{
	uint32_t lo = 0, hi = b->nrules;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int d = strcmp(id, b->priv->rule_by_id[mid]->id);

		if (d == 0)
			return b->priv->rule_by_id[mid];
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const struct wr_bundle_list *wr_bundle_list_get(const struct wr_bundle *b, const char *id)
{
	for (uint32_t i = 0; i < b->nlists; i++)
		if (strcmp(b->lists[i].id, id) == 0)
			return &b->lists[i];
	return NULL;
}

#define GAP_MAX 32767u /* Hyperscan's own limit of a bounded repeat */

/* "[n-m]" at s; returns its length, or 0. */
static size_t gap(const char *s)
{
	uint64_t v[2] = { 0, 0 };
	size_t i = 1;

	for (int k = 0; k < 2; k++) {
		size_t from = i;

		for (; s[i] >= '0' && s[i] <= '9' && i - from < 6; i++)
			v[k] = v[k] * 10 + (uint64_t)(s[i] - '0');
		if (i == from || s[i] != (k == 0 ? '-' : ']'))
			return 0;
		i++;
	}
	return v[0] <= v[1] && v[1] <= GAP_MAX ? i : 0;
}

static void check_hex(struct wr_reader *r, const struct wr_bundle_rule *rule)
{
	const char *s = rule->text;
	bool fixed = false, last_gap = true;

	while (*s != '\0') {
		size_t n;

		if (strchr(" \t\r\n", *s) != NULL) {
			s++;
			continue;
		}
		if (s[0] == '?' && s[1] == '?') {
			s += 2;
			last_gap = false;
			continue;
		}
		if (*s == '[' && (n = gap(s)) != 0) {
			/* A gap at an end says nothing about the object; it is a slip. */
			if (!fixed)
				break;
			s += n;
			last_gap = true;
			continue;
		}
		if (wr_text_hexdigit(s[0]) < 0 || wr_text_hexdigit(s[1]) < 0)
			break;
		s += 2;
		fixed = true;
		last_gap = false;
	}
	if (*s != '\0')
		wr_bundle_error_add(
		        r->e, rule->file, rule->line,
		        "rule `%s`: hex at column %zu must be two digits, `??` or, between "
		        "bytes, a gap `[n-m]` with n <= m <= %u",
		        rule->id, (size_t)(s - rule->text) + 1, GAP_MAX);
	else if (!fixed || last_gap)
		wr_bundle_error_add(r->e, rule->file, rule->line,
		                    "rule `%s`: hex needs a fixed byte and must not end in a gap",
		                    rule->id);
}

static int check_condition(struct wr_reader *r, const struct wr_bundle_rule *rule)
{
	struct wr_condition_op *op;
	uint32_t n;
	int rc;

	if (rule->flags != 0 || rule->at != WR_AT_ANY)
		wr_bundle_error_add(
		        r->e, rule->file, rule->line,
		        "rule `%s`: `flags` and `at` belong to the rules of a condition, "
		        "not to the condition",
		        rule->id);
	rc = wr_condition_parse(r->b, rule, &op, &n, r->e);
	if (rc == 0)
		free(op);
	return rc == -ENOMEM ? rc : 0;
}

static int check_rules(struct wr_reader *r)
{
	for (uint32_t i = 0; i < r->b->nrules; i++) {
		const struct wr_bundle_rule *rule = &r->b->rules[i];
		int rc = 0;

		if (rule->kind == WR_RULE_HEX && rule->text_len != 0)
			check_hex(r, rule);
		if (rule->kind == WR_RULE_CONDITION)
			rc = check_condition(r, rule);
		if (rc != 0)
			return rc;
		if (rule->mode == WR_ITEM_CANARY && rule->canary_ppm == 0)
			wr_bundle_error_add(r->e, rule->file, rule->line,
			                    "rule `%s`: `mode: canary` needs `canary_percent`",
			                    rule->id);
		for (uint32_t k = 0; k < rule->ntypes; k++) {
			const char *slash = strchr(rule->types[k], '/');

			if (slash == NULL || slash == rule->types[k] || slash[1] == '\0')
				wr_bundle_error_add(
				        r->e, rule->file, rule->line,
				        "rule `%s`: `%.64s` is not a media type like image/jpeg",
				        rule->id, rule->types[k]);
		}
	}
	return 0;
}

static bool ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), t = strlen(tail);

	return n >= t && strcmp(s + n - t, tail) == 0;
}

static void check_list(struct wr_reader *r, const struct wr_bundle_list *l)
{
	if (strncmp(l->path, "lists/", 6) != 0 || strstr(l->path, "..") != NULL)
		wr_bundle_error_add(r->e, "manifest.yaml", l->line,
		                    "list `%s`: `file` must lie below lists/", l->id);
	if (l->allow && l->owner[0] == '\0')
		wr_bundle_error_add(
		        r->e, "manifest.yaml", l->line,
		        "list `%s`: an allow list needs `owner`: it exempts only from that "
		        "owner's deny lists",
		        l->id);
	if (l->mode == WR_ITEM_CANARY && l->canary_ppm == 0)
		wr_bundle_error_add(r->e, "manifest.yaml", l->line,
		                    "list `%s`: `mode: canary` needs `canary_percent`", l->id);
	if (!l->allow && (ends_with(l->path, ".fp") || ends_with(l->path, ".sfp")))
		wr_bundle_error_add(r->e, "manifest.yaml", l->line,
		                    "list `%s`: a ClamAV .fp or .sfp file lists what is allowed; "
		                    "denying it must be a mistake (class: allow)",
		                    l->id);
}

static void check_suppress(struct wr_reader *r, const struct wr_bundle_suppress *s)
{
	bool rule = strncmp(s->item, "rule:", 5) == 0, list = strncmp(s->item, "list:", 5) == 0;

	if (!rule && !list) {
		wr_bundle_error_add(r->e, "suppress.yaml", s->line,
		                    "`item` must be rule:ID or list:ID");
		return;
	}
	/* A rule may be gone while its suppression is kept as the record of what was done. */
	if (rule ? wr_bundle_rule_get(r->b, s->item + 5) == NULL
	         : wr_bundle_list_get(r->b, s->item + 5) == NULL)
		wr_bundle_warning_add(r->e, "suppress.yaml", s->line,
		                      "the bundle has no %s: the line has no effect", s->item);
	if (rule && s->has_digest)
		wr_bundle_error_add(r->e, "suppress.yaml", s->line,
		                    "`digest` goes with a list, not with a rule");
}

/* "1.2.3" or "1.2" -> comparable number; false when it is neither. */
static bool engine_version(const char *s, uint64_t *out)
{
	uint64_t v = 0;
	int parts = 0;

	for (; parts < 3; parts++) {
		char part[8];
		size_t n = strspn(s, "0123456789");
		uint64_t x;

		if (n == 0 || n > 5)
			return false;
		memcpy(part, s, n);
		part[n] = '\0';
		if (!wr_text_u64(part, &x))
			return false;
		v |= x << (40 - 20 * parts);
		s += n;
		if (*s == '\0')
			break;
		if (*s++ != '.')
			return false;
	}
	*out = v;
	return parts < 3;
}

static void check_manifest(struct wr_reader *r)
{
	const struct wr_bundle *b = r->b;
	const char *file = "manifest.yaml";
	uint64_t have, need;

	if (b->expires != 0 && b->expires <= b->created)
		wr_bundle_error_add(r->e, file, 0, "`expires` is not after `created`");
	if (b->rolls_back_to != 0 && b->rolls_back_to >= b->version)
		wr_bundle_error_add(r->e, file, 0, "`rolls_back_to` must be an earlier version");
	if (b->min_engine[0] != '\0') {
		if (!engine_version(b->min_engine, &need))
			wr_bundle_error_add(
			        r->e, file, 0,
			        "`min_engine` must be a version like \"0.1\" (in quotes)");
		else if (engine_version(WR_VERSION, &have) && have < need)
			wr_bundle_error_add(r->e, file, 0,
			                    "the bundle needs Weir %s or newer; this is %s",
			                    b->min_engine, WR_VERSION);
	}
	if (b->nlists == 0 && b->nrules == 0)
		wr_bundle_warning_add(r->e, file, 0, "the bundle has neither rules nor lists");
}

int wr_bundle_check(struct wr_reader *r)
{
	check_manifest(r);
	for (uint32_t i = 0; i < r->b->nlists; i++)
		check_list(r, &r->b->lists[i]);
	for (uint32_t i = 0; i < r->b->nsuppress; i++)
		check_suppress(r, &r->b->suppress[i]);
	return check_rules(r);
}
