/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conditions: rule ids joined by & | ! and parentheses, turned into postfix with a stack of
 * operators (so that nesting costs array slots, not C stack).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/bundle.h"
#include "bundle/text.h"

struct parse {
	struct wr_condition_op *out;
	uint32_t nout, nstack;
	char stack[WR_CONDITION_OPS_MAX];
	bool want_operand; /* an id, `!` or `(` must come next */
};

static int rank(char c)
{
	return c == '!' ? 3 : c == '&' ? 2 : c == '|' ? 1 : 0;
}

static bool emit(struct parse *p, enum wr_condition_kind kind, uint32_t rule)
{
	if (p->nout == WR_CONDITION_OPS_MAX)
		return false;
	p->out[p->nout++] = (struct wr_condition_op){ .kind = kind, .rule = rule };
	return true;
}

static bool pop(struct parse *p)
{
	char c = p->stack[--p->nstack];

	return emit(p, c == '!' ? WR_COND_NOT : c == '&' ? WR_COND_AND : WR_COND_OR, 0);
}

static bool push(struct parse *p, char c)
{
	if (p->nstack == WR_CONDITION_OPS_MAX)
		return false;
	p->stack[p->nstack++] = c;
	return true;
}

static const char *operator_(struct parse *p, char c)
{
	static const char too_long[] = "the condition is too long";

	if (c == '!' || c == '(') {
		if (!p->want_operand)
			return "an operator is missing";
		return push(p, c) ? NULL : too_long;
	}
	if (p->want_operand)
		return "a rule id is missing";
	if (c == ')') {
		while (p->nstack != 0 && p->stack[p->nstack - 1] != '(')
			if (!pop(p))
				return too_long;
		if (p->nstack == 0)
			return "`)` without `(`";
		p->nstack--;
		return NULL;
	}
	while (p->nstack != 0 && rank(p->stack[p->nstack - 1]) >= rank(c))
		if (!pop(p))
			return too_long;
	p->want_operand = true;
	return push(p, c) ? NULL : too_long;
}

static const char *operand(struct parse *p, const struct wr_bundle *b, const char *s, size_t n,
                           char shown[WR_BUNDLE_ID_MAX + 1])
{
	const struct wr_bundle_rule *r;

	if (!p->want_operand)
		return "an operator is missing";
	if (n > WR_BUNDLE_ID_MAX)
		return "an id longer than 64 characters";
	memcpy(shown, s, n);
	shown[n] = '\0';
	r = wr_bundle_rule_get(b, shown);
	if (r == NULL)
		return "there is no rule of this id";
	/* Combinations of combinations would need an order of evaluation; write them out instead.
	 */
	if (r->kind == WR_RULE_CONDITION)
		return "a condition may not use another condition";
	p->want_operand = false;
	return emit(p, WR_COND_RULE, (uint32_t)(r - b->rules)) ? NULL : "the condition is too long";
}

static const char *parse(struct parse *p, const struct wr_bundle *b, const char *s,
                         char shown[WR_BUNDLE_ID_MAX + 1])
{
	const char *why = NULL;

	while (*s != '\0' && why == NULL) {
		size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-");

		shown[0] = *s;
		shown[1] = '\0';
		if (n != 0) {
			why = operand(p, b, s, n, shown);
			s += n;
		} else if (strchr(" \t\r\n", *s) != NULL) {
			s++;
		} else if (strchr("!&|()", *s) != NULL) {
			why = operator_(p, *s++);
		} else {
			why = "this character has no meaning here";
		}
	}
	if (why != NULL)
		return why;
	shown[0] = '\0';
	if (p->want_operand)
		return "a rule id is missing at the end";
	while (p->nstack != 0) {
		if (p->stack[p->nstack - 1] == '(')
			return "`(` without `)`";
		if (!pop(p))
			return "the condition is too long";
	}
	return NULL;
}

int wr_condition_parse(const struct wr_bundle *b, const struct wr_bundle_rule *r,
                       struct wr_condition_op **op, uint32_t *n, struct wr_bundle_errors *e)
{
	char shown[WR_BUNDLE_ID_MAX + 1] = "", near[WR_ESCAPE_MAX];
	struct parse p = { .want_operand = true };
	const char *why;

	*op = NULL;
	p.out = calloc(WR_CONDITION_OPS_MAX, sizeof(*p.out));
	if (p.out == NULL)
		return -ENOMEM;
	why = parse(&p, b, r->text, shown);
	if (why != NULL) {
		free(p.out);
		wr_text_escape(near, sizeof(near), shown, strlen(shown));
		wr_bundle_error_add(e, r->file, r->line, "rule `%s`: condition: %s%s%s%s", r->id,
		                    why, near[0] != '\0' ? " (at `" : "", near,
		                    near[0] != '\0' ? "`)" : "");
		return -EBADMSG;
	}
	*op = p.out;
	*n = p.nout;
	return 0;
}
