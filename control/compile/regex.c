/* SPDX-License-Identifier: BSD-3-Clause */
#include "compile/regex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct text {
	char *p;
	size_t n, room;
	bool failed;
};

static void put(struct text *t, const char *s, size_t n)
{
	if (t->failed)
		return;
	if (t->n + n + 1 > t->room) {
		size_t room = (t->n + n + 1) * 2;
		char *p = realloc(t->p, room);

		if (p == NULL) {
			t->failed = true;
			return;
		}
		t->p = p;
		t->room = room;
	}
	memcpy(t->p + t->n, s, n);
	t->n += n;
	t->p[t->n] = '\0';
}

static void puts_(struct text *t, const char *s)
{
	put(t, s, strlen(s));
}

static void put_byte(struct text *t, uint8_t b)
{
	char s[8];

	put(t, s, (size_t)snprintf(s, sizeof(s), "\\x%02x", b));
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 32);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put_half(struct text *t, char hi, char lo)
{
	char s[16];

	if (hi == '?' && lo == '?') {
		put(t, ".", 1);
		return;
	}
	if (lo == '?') {
		put(t, s,
		    (size_t)snprintf(s, sizeof(s), "[\\x%x0-\\x%xf]", nibble(hi), nibble(hi)));
		return;
	}
	put(t, "[", 1);
	for (int h = 0; h < 16; h++)
		put_byte(t, (uint8_t)(h << 4 | nibble(lo)));
	put(t, "]", 1);
}

/* "[n-m]" or "[n]" at s; returns behind it, or NULL. */
static const char *gap(struct text *t, const char *s)
{
	unsigned long n, m;
	char *end, out[40];

	if (s[1] < '0' || s[1] > '9')
		return NULL;
	n = m = strtoul(s + 1, &end, 10);
	if (*end == '-') {
		if (end[1] < '0' || end[1] > '9')
			return NULL;
		m = strtoul(end + 1, &end, 10);
	}
	if (*end != ']' || m < n || m > WR_HEX_GAP_MAX)
		return NULL;
	if (m != 0)
		put(t, out, (size_t)snprintf(out, sizeof(out), ".{%lu,%lu}", n, m));
	return end + 1;
}

static int hex(struct text *t, const struct wr_bundle_rule *r, struct wr_bundle_errors *e)
{
	const char *s = r->text;
	uint32_t fixed = 0;

	while (*s != '\0') {
		if (strchr(" \t\r\n", *s) != NULL) {
			s++;
		} else if (*s == '[') {
			s = gap(t, s);
			if (s == NULL) {
				wr_bundle_error_add(
				        e, r->file, r->line,
				        "rule `%s`: hex: a gap is written [n] or [n-m], "
				        "n <= m <= %u",
				        r->id, WR_HEX_GAP_MAX);
				return -EBADMSG;
			}
		} else if ((nibble(s[0]) >= 0 || s[0] == '?') &&
		           (nibble(s[1]) >= 0 || s[1] == '?')) {
			if (s[0] != '?' && s[1] != '?') {
				put_byte(t, (uint8_t)(nibble(s[0]) << 4 | nibble(s[1])));
				fixed++;
			} else {
				put_half(t, s[0], s[1]);
			}
			s += 2;
		} else {
			wr_bundle_error_add(
			        e, r->file, r->line,
			        "rule `%s`: hex: neither a byte (two hex digits or `?`) "
			        "nor a gap at `%.8s`",
			        r->id, s);
			return -EBADMSG;
		}
	}
	if (fixed != 0)
		return 0;
	wr_bundle_error_add(e, r->file, r->line, "rule `%s`: hex: no byte is certain", r->id);
	return -EBADMSG;
}

static int core(struct text *t, const struct wr_bundle_rule *r, struct wr_bundle_errors *e)
{
	switch (r->kind) {
	case WR_RULE_LITERAL:
		for (uint32_t i = 0; i < r->text_len; i++)
			put_byte(t, (uint8_t)r->text[i]);
		return 0;
	case WR_RULE_HEX: return hex(t, r, e);
	default: break;
	}
	if (strlen(r->text) != r->text_len) {
		wr_bundle_error_add(e, r->file, r->line,
		                    "rule `%s`: a NUL byte in the pattern: write \\x00", r->id);
		return -EBADMSG;
	}
	put(t, r->text, r->text_len);
	return 0;
}

/* Width in bytes and, with it, whether Hyperscan takes the expression as it stands. */
static int measure(const struct wr_bundle_rule *r, const char *text, uint32_t flags,
                   unsigned *min_width, unsigned *max_width, struct wr_bundle_errors *e)
{
	hs_expr_info_t *info = NULL;
	hs_compile_error_t *err = NULL;

	if (hs_expression_info(text, flags, &info, &err) != HS_SUCCESS) {
		wr_bundle_error_add(e, r->file, r->line, "rule `%s`: %s", r->id,
		                    err != NULL && err->message != NULL ? err->message
		                                                        : "Hyperscan refuses it");
		hs_free_compile_error(err);
		return -EBADMSG;
	}
	*min_width = info->min_width;
	*max_width = info->max_width;
	free(info);
	if (*min_width != 0)
		return 0;
	wr_bundle_error_add(e, r->file, r->line,
	                    "rule `%s`: it matches the empty string, so it would hit every object",
	                    r->id);
	return -EBADMSG;
}

static int place(const struct wr_bundle_rule *r, struct wr_expr *x, struct text *t,
                 struct wr_bundle_errors *e)
{
	unsigned min_width, max_width;
	struct text wrapped = { 0 };
	char prefix[40];
	int rc = measure(r, t->p, x->flags, &min_width, &max_width, e);

	if (rc != 0 || r->at == WR_AT_ANY)
		return rc;
	if (r->at == WR_AT_END) {
		puts_(&wrapped, "(?:");
		puts_(&wrapped, t->p);
		puts_(&wrapped, ")\\z");
		goto swap;
	}
	if (r->at_to != UINT64_MAX) {
		if (r->at_to < r->at_from || r->at_to - r->at_from < min_width) {
			wr_bundle_error_add(
			        e, r->file, r->line,
			        "rule `%s`: at: %u bytes do not fit between from and to", r->id,
			        min_width);
			return -EBADMSG;
		}
		x->ext.flags |= HS_EXT_FLAG_MAX_OFFSET;
		x->ext.max_offset = r->at_to;
	}
	if (r->at_from == 0)
		return 0;
	if (min_width == max_width) {
		x->ext.flags |= HS_EXT_FLAG_MIN_OFFSET;
		x->ext.min_offset = r->at_from + min_width;
		return 0;
	}
	if (r->at_from > WR_AT_PREFIX_MAX) {
		wr_bundle_error_add(
		        e, r->file, r->line,
		        "rule `%s`: at: from beyond %u needs a pattern of one width; this "
		        "one has several",
		        r->id, WR_AT_PREFIX_MAX);
		return -EBADMSG;
	}
	snprintf(prefix, sizeof(prefix), "\\A(?s:.{%u,})(?:", (unsigned)r->at_from);
	puts_(&wrapped, prefix);
	puts_(&wrapped, t->p);
	puts_(&wrapped, ")");
swap:
	free(t->p);
	*t = wrapped;
	return wrapped.failed ? -ENOMEM : measure(r, t->p, x->flags, &min_width, &max_width, e);
}

int wr_expr_make(const struct wr_bundle_rule *r, struct wr_expr *out, struct wr_bundle_errors *e)
{
	struct text t = { 0 };
	int rc;

	*out = (struct wr_expr){ .flags = HS_FLAG_SINGLEMATCH };
	if ((r->flags & WR_RULE_CASELESS) != 0)
		out->flags |= HS_FLAG_CASELESS;
	if ((r->flags & WR_RULE_DOTALL) != 0 || r->kind == WR_RULE_HEX)
		out->flags |= HS_FLAG_DOTALL;
	if ((r->flags & WR_RULE_MULTILINE) != 0)
		out->flags |= HS_FLAG_MULTILINE;
	rc = core(&t, r, e);
	if (rc == 0 && t.failed)
		rc = -ENOMEM;
	if (rc == 0 && t.n == 0) {
		wr_bundle_error_add(e, r->file, r->line, "rule `%s`: it is empty", r->id);
		rc = -EBADMSG;
	}
	if (rc == 0)
		rc = place(r, out, &t, e);
	if (rc != 0) {
		free(t.p);
		return rc;
	}
	out->text = t.p;
	return 0;
}

void wr_expr_free(struct wr_expr *x)
{
	free(x->text);
	x->text = NULL;
}
