/* SPDX-License-Identifier: BSD-3-Clause */
#include "bundle/cases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/private.h"
#include "bundle/schema.h"
#include "bundle/ship.h"
#include "bundle/text.h"

#define AT(field) .at = offsetof(struct wr_case, field)

static const char *const verdicts[] = { "any", "clean", "match", "suspect", NULL };

static const struct wr_key expect_keys[] = {
	{ .name = "verdict",
	  .kind = WR_K_WORD,
	  .words = verdicts,
	  .dflt = "any",
	  AT(verdict),
	  .help = "what is found, whatever the mode of the items: `match` asks for a block, "
	          "`suspect` for a flag" },
	{ .name = "rules",
	  .kind = WR_K_STRS,
	  .max = WR_CASE_NAMES_MAX,
	  AT(rules),
	  .count_at = offsetof(struct wr_case, nrules),
	  .help = "rules that must hit" },
	{ .name = "not_rules",
	  .kind = WR_K_STRS,
	  .max = WR_CASE_NAMES_MAX,
	  AT(not_rules),
	  .count_at = offsetof(struct wr_case, nnot_rules),
	  .help = "rules that must not hit" },
	{ .name = "lists",
	  .kind = WR_K_STRS,
	  .max = WR_CASE_NAMES_MAX,
	  AT(lists),
	  .count_at = offsetof(struct wr_case, nlists),
	  .help = "lists that must hit" },
	{ .name = "not_lists",
	  .kind = WR_K_STRS,
	  .max = WR_CASE_NAMES_MAX,
	  AT(not_lists),
	  .count_at = offsetof(struct wr_case, nnot_lists),
	  .help = "lists that must not hit" },
};
static const struct wr_schema expect_schema = { "expect", "In a case.",
	                                        "What the case must and must not find.",
	                                        expect_keys, WR_COUNT_OF(expect_keys) };

static int read_expect(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	return wr_schema_read(r, &expect_schema, n, obj);
}

static int set_bytes(struct wr_reader *r, const struct wr_node *n, struct wr_case *c, uint8_t *p,
                     size_t len)
{
	if (p == NULL)
		return -ENOMEM;
	if (c->bytes != NULL || (c->path != NULL && c->path[0] != '\0'))
		wr_bundle_error_add(r->e, r->file, n->line,
		                    "a case has one of `file`, `hex`, `text`, not several");
	c->bytes = p;
	c->nbytes = len;
	return 0;
}

static int read_case_hex(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	uint8_t *p = wr_arena_alloc(r->a, n->len / 2 + 1);
	size_t len = 0;

	for (const char *s = n->text; p != NULL && *s != '\0';) {
		if (strchr(" \t\r\n", *s) != NULL) {
			s++;
			continue;
		}
		if (!wr_text_hex(s, p + len, 1)) {
			wr_bundle_error_add(r->e, r->file, n->line,
			                    "`hex` must be pairs of digits");
			break;
		}
		len++;
		s += 2;
	}
	return set_bytes(r, n, obj, p, len);
}

static int read_case_text(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	return set_bytes(r, n, obj, (uint8_t *)wr_arena_strndup(r->a, n->text, n->len), n->len);
}

static bool there(int dirfd, const char *path)
{
	int fd = wr_bundle_open(dirfd, path);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int read_case_file(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	struct wr_case *c = obj;
	char path[512];

	if (n->kind != WR_NODE_SCALAR || n->text[0] == '/' || strstr(n->text, "..") != NULL) {
		wr_bundle_error_add(r->e, r->file, n->line,
		                    "`file` must be a path inside the bundle");
		return 0;
	}
	if (c->bytes != NULL)
		wr_bundle_error_add(r->e, r->file, n->line,
		                    "a case has one of `file`, `hex`, `text`, not several");
	/* Beside the case, below tests/; or from the top of the bundle. */
	snprintf(path, sizeof(path), "tests/%.480s", n->text);
	if (!there(r->b->dirfd, path))
		snprintf(path, sizeof(path), "%.480s", n->text);
	if (!there(r->b->dirfd, path))
		wr_bundle_error_add(r->e, r->file, n->line,
		                    "`file: %.200s` is neither below tests/ nor in the bundle",
		                    n->text);
	c->path = wr_arena_strndup(r->a, path, strlen(path));
	return c->path == NULL ? -ENOMEM : 0;
}

static int read_cuts(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	struct wr_case *c = obj;

	c->cuts = wr_arena_array(r->a, WR_CASE_CUTS_MAX, sizeof(*c->cuts));
	if (c->cuts == NULL)
		return -ENOMEM;
	if (n->kind != WR_NODE_SEQ || n->n > WR_CASE_CUTS_MAX) {
		wr_bundle_error_add(r->e, r->file, n->line,
		                    "`cut` must be a list of at most %u sizes", WR_CASE_CUTS_MAX);
		return 0;
	}
	for (const struct wr_node *k = n->first; k != NULL; k = k->next)
		if (k->kind != WR_NODE_SCALAR || !wr_text_u64(k->text, &c->cuts[c->ncuts++]))
			wr_bundle_error_add(r->e, r->file, k->line, "`cut` holds whole numbers");
	return 0;
}

static const struct wr_key case_keys[] = {
	{ .name = "name",
	  .kind = WR_K_STR,
	  .required = 1,
	  .max = 128,
	  AT(name),
	  .help = "what the case shows" },
	{ .name = "file",
	  .kind = WR_K_CUSTOM,
	  .read = read_case_file,
	  .form = "path below tests/ or in the bundle",
	  .help = "the object" },
	{ .name = "hex",
	  .kind = WR_K_CUSTOM,
	  .read = read_case_hex,
	  .form = "hex digits",
	  .help = "or its bytes in hex" },
	{ .name = "text",
	  .kind = WR_K_CUSTOM,
	  .read = read_case_text,
	  .form = "text",
	  .help = "or as text" },
	{ .name = "type",
	  .kind = WR_K_STR,
	  .max = 63,
	  AT(type),
	  .help = "the media type to take instead of the sniffed one" },
	{ .name = "cut",
	  .kind = WR_K_CUSTOM,
	  .read = read_cuts,
	  .form = "list of sizes",
	  .help = "the object comes in pieces of each of these sizes, one run each; 0 = whole. "
	          "Absent: 0, 1, 1460" },
	{ .name = "expect",
	  .kind = WR_K_CUSTOM,
	  .required = 1,
	  .read = read_expect,
	  .form = "mapping, see expect",
	  .help = "what must be found" },
};
static const struct wr_schema case_schema = { "case", "An element of `cases` in tests/*.yaml.",
	                                      "One object and what must be found in it.", case_keys,
	                                      WR_COUNT_OF(case_keys) };

struct priv {
	struct wr_arena arena;
	struct wr_cases *out;
};

static int check_names(struct wr_reader *r, const struct wr_case *c)
{
	char *const *const rules[] = { c->rules, c->not_rules };
	const uint32_t nrules[] = { c->nrules, c->nnot_rules };
	char *const *const lists[] = { c->lists, c->not_lists };
	const uint32_t nlists[] = { c->nlists, c->nnot_lists };

	for (int k = 0; k < 2; k++) {
		for (uint32_t i = 0; i < nrules[k]; i++)
			if (wr_bundle_rule_get(r->b, rules[k][i]) == NULL)
				wr_bundle_error_add(r->e, r->file, c->line,
				                    "case `%s` names rule `%s`, and there is none",
				                    c->name, rules[k][i]);
		for (uint32_t i = 0; i < nlists[k]; i++)
			if (wr_bundle_list_get(r->b, lists[k][i]) == NULL)
				wr_bundle_error_add(r->e, r->file, c->line,
				                    "case `%s` names list `%s`, and there is none",
				                    c->name, lists[k][i]);
	}
	return 0;
}

static int finish_case(struct wr_reader *r, struct wr_case *c)
{
	static const uint64_t usual[] = { 0, 1, 1460 };

	if (c->path == NULL)
		c->path = (char *)(uintptr_t) "";
	if (c->path[0] == '\0' && c->bytes == NULL)
		wr_bundle_error_add(r->e, r->file, c->line,
		                    "a case needs one of `file`, `hex`, `text`");
	if (c->ncuts == 0) {
		c->cuts = wr_arena_array(r->a, WR_COUNT_OF(usual), sizeof(*c->cuts));
		if (c->cuts == NULL)
			return -ENOMEM;
		memcpy(c->cuts, usual, sizeof(usual));
		c->ncuts = WR_COUNT_OF(usual);
	}
	return check_names(r, c);
}

static int read_cases(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	struct wr_cases *out = obj;
	char *file = wr_arena_strndup(r->a, r->file, strlen(r->file));
	struct wr_case *all;

	if (n->kind != WR_NODE_SEQ || n->n > WR_CASES_MAX - out->n) {
		wr_bundle_error_add(r->e, r->file, n->line,
		                    "`cases` must be a sequence; a bundle has at most %u",
		                    WR_CASES_MAX);
		return 0;
	}
	all = wr_arena_array(r->a, (size_t)out->n + n->n + 1, sizeof(*all));
	if (all == NULL || file == NULL)
		return -ENOMEM;
	if (out->n != 0)
		memcpy(all, out->c, out->n * sizeof(*all));
	out->c = all;
	for (const struct wr_node *k = n->first; k != NULL; k = k->next) {
		struct wr_case *c = &all[out->n++];
		int rc = wr_schema_read(r, &case_schema, k, c);

		c->file = file;
		c->line = k->line;
		if (rc == 0)
			rc = finish_case(r, c);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static const struct wr_key cases_keys[] = {
	{ .name = "cases",
	  .kind = WR_K_CUSTOM,
	  .required = 1,
	  .read = read_cases,
	  .form = "sequence, see case",
	  .help = "the cases" },
};
const struct wr_schema wr_schema_cases = { "cases", "The files tests/*.yaml.",
	                                   "A sequence of cases.", cases_keys,
	                                   WR_COUNT_OF(cases_keys) };

static int read_case_yaml(struct wr_reader *r, const struct wr_bundle *b, const char *name,
                          struct wr_cases *out)
{
	char path[512];
	struct wr_node *root;
	uint8_t *p = NULL;
	size_t n = 0;
	int rc;

	snprintf(path, sizeof(path), "tests/%.480s", name);
	r->file = path;
	rc = wr_bundle_slurp(b->dirfd, path, WR_BUNDLE_YAML_MAX, &p, &n);
	if (rc != 0) {
		wr_bundle_error_add(r->e, path, 0, "cannot be read: %s", strerror(-rc));
		return rc == -ENOMEM ? rc : 0;
	}
	rc = wr_yaml_parse(r->a, path, p, n, &root, r->e);
	if (rc == 0)
		rc = wr_schema_read(r, &wr_schema_cases, root, out);
	free(p);
	return rc == -ENOMEM ? rc : 0;
}

int wr_cases_load(const struct wr_bundle *b, struct wr_cases *out, struct wr_bundle_errors *e)
{
	uint32_t before = e->nerrors;
	struct priv *p = calloc(1, sizeof(*p));
	/* The reader's bundle is only looked into here. */
	struct wr_reader r = { .e = e, .b = (struct wr_bundle *)(uintptr_t)b };
	char **name;
	uint32_t n;
	int rc;

	*out = (struct wr_cases){ 0 };
	if (p == NULL)
		return -ENOMEM;
	out->priv = p;
	r.a = &p->arena;
	rc = wr_bundle_dir(&r, b->dirfd, "tests", &name, &n);
	if (rc == -ENOENT)
		return 0;
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = read_case_yaml(&r, b, name[i], out);
	if (rc == 0 && e->nerrors != before)
		rc = -EBADMSG;
	if (rc != 0)
		wr_cases_free(out);
	return rc;
}

void wr_cases_free(struct wr_cases *c)
{
	struct priv *p = c->priv;

	if (p != NULL)
		wr_arena_free(&p->arena);
	free(p);
	*c = (struct wr_cases){ 0 };
}

void wr_bundle_docs(FILE *out)
{
	static const struct wr_schema *const all[] = {
		&wr_schema_manifest, &wr_schema_list, &wr_schema_budgets,      &wr_schema_rules,
		&wr_schema_rule,     &wr_schema_at,   &wr_schema_suppressions, &wr_schema_suppress,
		&wr_schema_cases,    &case_schema,    &expect_schema,
	};

	fputs("# Bundle reference\n\nGenerated from the tables that read a bundle (`weir bundle "
	      "docs`). "
	      "An unknown key is an error, with the nearest known key named.\n\n",
	      out);
	for (size_t i = 0; i < WR_COUNT_OF(all); i++)
		wr_schema_print(all[i], out);
	fputs("### refusals\n\nWhy a bundle is not accepted: the code in answers, records and the "
	      "metric "
	      "`weir_bundle_rejected_total{code}`.\n\n| code | meaning |\n|---|---|\n",
	      out);
	for (unsigned i = 1; i < WR_REFUSE_COUNT; i++)
		fprintf(out, "| `%s` | %s |\n", wr_refusal_name((enum wr_refusal_code)i),
		        wr_refusal_help((enum wr_refusal_code)i));
}
