/* SPDX-License-Identifier: BSD-3-Clause */
#include "bundle/schema.h"

#include <errno.h>
#include <string.h>

#include "bundle/text.h"

#define KEYS_MAX 40u

static void bad(struct wr_reader *r, const struct wr_node *n, const struct wr_key *k,
                const char *want)
{
	char shown[WR_ESCAPE_MAX];

	wr_text_escape(shown, sizeof(shown), n->text, n->len);
	if (n->kind != WR_NODE_SCALAR)
		wr_bundle_error_add(r->e, r->file, n->line, "`%s` must be %s", k->name, want);
	else
		wr_bundle_error_add(r->e, r->file, n->line, "`%s: %s` must be %s", k->name, shown,
		                    want);
}

static void one_of(struct wr_reader *r, const struct wr_node *n, const struct wr_key *k)
{
	char want[256] = "one of";
	size_t len = strlen(want);

	for (const char *const *w = k->words; *w != NULL && len < sizeof(want) - 40; w++)
		len += (size_t)snprintf(want + len, sizeof(want) - len, " %s%s", *w,
		                        w[1] == NULL ? "" : ",");
	bad(r, n, k, want);
}

static int word(const struct wr_key *k, const struct wr_node *n)
{
	for (int i = 0; n->kind == WR_NODE_SCALAR && k->words[i] != NULL; i++)
		if (strcmp(k->words[i], n->text) == 0)
			return i;
	return -1;
}

static int read_str(struct wr_reader *r, const struct wr_node *n, const struct wr_key *k,
                    char **out)
{
	if (n->kind != WR_NODE_SCALAR) {
		bad(r, n, k, "a text");
		return 0;
	}
	if (k->kind == WR_K_ID && !wr_text_id(n->text, k->max))
		bad(r, n, k, "1 to 64 characters of a-z 0-9 . _ -");
	else if (k->max != 0 && n->len > k->max)
		bad(r, n, k, "shorter");
	*out = wr_arena_strndup(r->a, n->text, n->len);
	return *out == NULL ? -ENOMEM : 0;
}

static int read_strs(struct wr_reader *r, const struct wr_node *n, const struct wr_key *k,
                     unsigned char *obj)
{
	char **list;
	uint32_t i = 0;

	if (n->kind != WR_NODE_SEQ || n->n > k->max) {
		bad(r, n, k, "a list of texts, and not too long");
		return 0;
	}
	list = wr_arena_array(r->a, n->n + 1, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	for (const struct wr_node *c = n->first; c != NULL; c = c->next) {
		if (c->kind != WR_NODE_SCALAR || c->len == 0) {
			bad(r, c, k, "a list of texts");
			continue;
		}
		list[i] = wr_arena_strndup(r->a, c->text, c->len);
		if (list[i++] == NULL)
			return -ENOMEM;
	}
	memcpy(obj + k->at, &list, sizeof(list));
	memcpy(obj + k->count_at, &i, sizeof(i));
	return 0;
}

static void read_words(struct wr_reader *r, const struct wr_node *n, const struct wr_key *k,
                       uint8_t *out)
{
	uint8_t set = 0;

	if (n->kind != WR_NODE_SEQ) {
		bad(r, n, k, "a list of words");
		return;
	}
	for (const struct wr_node *c = n->first; c != NULL; c = c->next) {
		int w = word(k, c);

		if (w < 0)
			one_of(r, c, k);
		else
			set |= (uint8_t)(1u << w);
	}
	*out = set;
}

static void read_number(struct wr_reader *r, const struct wr_node *n, const struct wr_key *k,
                        unsigned char *p)
{
	char want[96];
	uint64_t v = 0;
	bool scaled = k->kind == WR_K_F64 || k->kind == WR_K_PPM;

	if (n->kind != WR_NODE_SCALAR ||
	    !(scaled ? wr_text_decimal4(n->text, &v) : wr_text_u64(n->text, &v)) || v < k->min ||
	    (k->max != 0 && v > k->max)) {
		if (k->kind == WR_K_PPM)
			snprintf(want, sizeof(want), "a percentage from 0.0001 to 100");
		else if (k->kind == WR_K_F64)
			snprintf(want, sizeof(want), "a number with at most four decimals");
		else
			snprintf(want, sizeof(want), "a whole number from %llu to %llu",
			         (unsigned long long)k->min,
			         (unsigned long long)(k->max == 0 ? UINT64_MAX : k->max));
		bad(r, n, k, want);
		return;
	}
	if (k->kind == WR_K_U8) {
		*p = (uint8_t)v;
	} else if (k->kind == WR_K_PPM) {
		memcpy(p, &(uint32_t){ (uint32_t)v }, sizeof(uint32_t));
	} else if (k->kind == WR_K_F64) {
		memcpy(p, &(double){ (double)v / 10000.0 }, sizeof(double));
	} else {
		memcpy(p, &v, sizeof(v));
	}
}

static int read_meta(struct wr_reader *r, const struct wr_node *n, const struct wr_key *k,
                     char **out)
{
	const struct wr_node *c = wr_yaml_get(n, "category");

	if (n->kind != WR_NODE_MAP) {
		bad(r, n, k, "a mapping");
		return 0;
	}
	return wr_yaml_null(c) ? 0 : read_str(r, c, k, out);
}

static int read_key(struct wr_reader *r, const struct wr_node *n, const struct wr_key *k, void *obj)
{
	unsigned char *p = (unsigned char *)obj + k->at;
	uint64_t t = 0;
	int w;

	switch ((enum wr_key_kind)k->kind) {
	case WR_K_STR:
	case WR_K_ID: return read_str(r, n, k, (char **)(void *)p);
	case WR_K_META: return read_meta(r, n, k, (char **)(void *)p);
	case WR_K_STRS: return read_strs(r, n, k, obj);
	case WR_K_WORDS: read_words(r, n, k, p); return 0;
	case WR_K_U64:
	case WR_K_U8:
	case WR_K_F64:
	case WR_K_PPM: read_number(r, n, k, p); return 0;
	case WR_K_BOOL:
	case WR_K_WORD:
		w = word(k, n);
		if (w < 0)
			one_of(r, n, k);
		else
			*p = (uint8_t)(w + (int)k->min);
		return 0;
	case WR_K_TIME:
		if (n->kind != WR_NODE_SCALAR || !wr_text_time(n->text, &t))
			bad(r, n, k, "a time like 2026-11-23T19:00:00Z");
		else
			memcpy(p, &t, sizeof(t));
		return 0;
	case WR_K_CUSTOM: return k->read(r, n, obj);
	}
	return 0;
}

static void unknown_key(struct wr_reader *r, const struct wr_schema *s, const struct wr_node *k)
{
	const char *names[KEYS_MAX + 1], *near;
	char shown[WR_ESCAPE_MAX];

	WR_ASSERT(s->nkeys <= KEYS_MAX);
	for (uint32_t i = 0; i < s->nkeys; i++)
		names[i] = s->key[i].name;
	names[s->nkeys] = NULL;
	near = wr_text_nearest(k->text, names);
	wr_text_escape(shown, sizeof(shown), k->text, k->len);
	if (near != NULL)
		wr_bundle_error_add(r->e, r->file, k->line,
		                    "unknown key `%s` in %s; did you mean `%s`?", shown, s->name,
		                    near);
	else
		wr_bundle_error_add(r->e, r->file, k->line, "unknown key `%s` in %s", shown,
		                    s->name);
}

static int defaults(struct wr_reader *r, const struct wr_schema *s, void *obj)
{
	for (uint32_t i = 0; i < s->nkeys; i++) {
		const struct wr_key *k = &s->key[i];
		struct wr_node n = { .kind = WR_NODE_SCALAR, .text = k->dflt };
		int rc;

		if (k->kind == WR_K_STR || k->kind == WR_K_ID || k->kind == WR_K_META) {
			char **p = (char **)(void *)((unsigned char *)obj + k->at);

			/* Several keys may fill one field (pattern, literal, hex): the first wins.
			 */
			*p = wr_arena_strndup(r->a, k->dflt == NULL ? "" : k->dflt,
			                      k->dflt == NULL ? 0 : strlen(k->dflt));
			if (*p == NULL)
				return -ENOMEM;
			continue;
		}
		if (k->dflt == NULL)
			continue;
		n.len = (uint32_t)strlen(k->dflt);
		rc = read_key(r, &n, k, obj);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int wr_schema_read(struct wr_reader *r, const struct wr_schema *s, const struct wr_node *map,
                   void *obj)
{
	uint64_t seen = 0;
	int rc = defaults(r, s, obj);

	if (rc != 0)
		return rc;
	if (map->kind != WR_NODE_MAP) {
		wr_bundle_error_add(r->e, r->file, map->line, "%s must be a mapping", s->name);
		return 0;
	}
	for (const struct wr_node *k = map->first; k != NULL; k = k->next->next) {
		uint32_t i = 0;

		while (i < s->nkeys && strcmp(s->key[i].name, k->text) != 0)
			i++;
		if (i == s->nkeys) {
			unknown_key(r, s, k);
			continue;
		}
		if (wr_yaml_null(k->next))
			continue; /* `key:` alone is the same as no key */
		seen |= 1ull << i;
		rc = read_key(r, k->next, &s->key[i], obj);
		if (rc != 0)
			return rc;
	}
	for (uint32_t i = 0; i < s->nkeys; i++)
		if (s->key[i].required && (seen >> i & 1) == 0)
			wr_bundle_error_add(r->e, r->file, map->line, "%s lacks `%s`", s->name,
			                    s->key[i].name);
	return 0;
}

static void print_form(const struct wr_key *k, FILE *out)
{
	switch ((enum wr_key_kind)k->kind) {
	case WR_K_STR: fputs("text", out); break;
	case WR_K_ID: fputs("id", out); break;
	case WR_K_U64:
	case WR_K_U8:
		fputs("whole number", out);
		if (k->max != 0)
			fprintf(out, ", %llu to %llu", (unsigned long long)k->min,
			        (unsigned long long)k->max);
		break;
	case WR_K_F64: fputs("number", out); break;
	case WR_K_PPM: fputs("percent, 0.0001 to 100", out); break;
	case WR_K_TIME: fputs("time (RFC 3339)", out); break;
	case WR_K_STRS: fputs("list of texts", out); break;
	case WR_K_META: fputs("mapping", out); break;
	case WR_K_CUSTOM: fputs(k->form, out); break;
	case WR_K_WORDS: fputs("list of ", out); __attribute__((fallthrough));
	case WR_K_BOOL:
	case WR_K_WORD:
		for (const char *const *w = k->words; *w != NULL; w++)
			fprintf(out, "%s`%s`", w == k->words ? "" : ", ", *w);
		break;
	}
}

void wr_schema_print(const struct wr_schema *s, FILE *out)
{
	fprintf(out, "### %s\n\n%s\n\n%s\n\n", s->name, s->where, s->help);
	fputs("| key | value | default | meaning |\n|---|---|---|---|\n", out);
	for (uint32_t i = 0; i < s->nkeys; i++) {
		const struct wr_key *k = &s->key[i];

		fprintf(out, "| `%s` | ", k->name);
		print_form(k, out);
		fputs(" | ", out);
		if (k->required)
			fputs("required", out);
		else if (k->dflt != NULL && k->dflt[0] != '\0')
			fprintf(out, "`%s`", k->dflt);
		fprintf(out, " | %s |\n", k->help);
	}
	fputs("\n", out);
}
