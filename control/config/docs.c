/* SPDX-License-Identifier: BSD-3-Clause */
/* What people read: a first weir.yaml, the reference page, the difference of two configurations. */
#include "config/schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Only what has no default; the rest comes from the table. Closed everywhere. */
static const char first[] = "node: weir-1\n"
                            "links:\n"
                            "  - name: a\n"
                            "    client: { device: \"0000:3b:00.0\" }\n"
                            "    store: { device: \"0000:3b:00.1\" }\n"
                            "    on_process_death: closed\n"
                            "    on_worker_stall: closed\n"
                            "cores:\n"
                            "  main: 1\n"
                            "  control: \"0\"\n"
                            "  workers:\n"
                            "    - { name: w0, core: 2, link: a, queue: 0 }\n"
                            "services:\n"
                            "  - { name: objects, address: any, port: [80] }\n"
                            "policy:\n"
                            "  match: block\n"
                            "  suspect: flag\n"
                            "  incomplete: { default: block, decoder_late: flag }\n"
                            "  error: block\n"
                            "  skipped: flag\n"
                            "  framing: block\n"
                            "  overlap_conflict: block\n"
                            "  midstream: block\n"
                            "  one_way: block\n"
                            "  not_http: block\n"
                            "  bundle_expired: flag\n"
                            "  on_overload: closed\n"
                            "  on_records_lost: closed\n";

static void range(const struct wr_row *row, char *buf, size_t n)
{
	switch (row->type) {
	case WR_T_BOOL: snprintf(buf, n, "true, false"); break;
	case WR_T_ENUM:
	case WR_T_POLICY: {
		size_t k = 0;

		for (const char *w = row->words; *w != '\0' && k + 3 < n; w++) {
			if (*w == '|')
				buf[k++] = ',', buf[k++] = ' ';
			else
				buf[k++] = *w;
		}
		buf[k] = '\0';
		break;
	}
	case WR_T_INT: snprintf(buf, n, "%" PRIu64 " to %" PRIu64, row->min, row->max); break;
	case WR_T_SIZE:
		if (row->max >= 1ull << 30)
			snprintf(buf, n, "%" PRIu64 " KiB to %" PRIu64 " GiB", row->min >> 10,
			         row->max >> 30);
		else
			snprintf(buf, n, "%" PRIu64 " B to %" PRIu64 " KiB", row->min,
			         row->max >> 10);
		break;
	case WR_T_TIME:
		snprintf(buf, n, "%" PRIu64 "ms to %" PRIu64 "s", row->min / 1000000,
		         row->max / 1000000000);
		break;
	case WR_T_LIST:
		snprintf(buf, n, "%" PRIu64 " to %" PRIu64 " entries", row->min, row->max);
		break;
	case WR_T_NETS:
		snprintf(buf, n, "%sup to %" PRIu64 " prefixes", row->min != 0 ? "any, " : "",
		         row->max);
		break;
	case WR_T_PORTS: snprintf(buf, n, "any, up to %" PRIu64 " ports", row->max); break;
	case WR_T_DEVICE: snprintf(buf, n, "PCI address, net_*"); break;
	case WR_T_CPUS: snprintf(buf, n, "cores, 0-3,8"); break;
	case WR_T_NAME: snprintf(buf, n, "name, up to %" PRIu64 " bytes", row->max); break;
	case WR_T_ADDR: snprintf(buf, n, "host:port"); break;
	case WR_T_PATH: snprintf(buf, n, "path, up to %" PRIu64 " bytes", row->max); break;
	case WR_T_STR: snprintf(buf, n, "up to %" PRIu64 " bytes", row->max); break;
	default: snprintf(buf, n, "map");
	}
}

static void note(FILE *f, const char *path, int indent)
{
	const struct wr_row *row = wr_row_find(path);
	char text[160];

	if (row == NULL || row->help[0] == '\0')
		return;
	range(row, text, sizeof(text));
	if (row->type == WR_T_MAP || row->type == WR_T_ANYMAP || row->type == WR_T_LIST)
		fprintf(f, "%s%*s# %s\n", indent == 0 ? "\n" : "", indent, "", row->help);
	else
		fprintf(f, "%*s# %s (%s)\n", indent, "", row->help, text);
}

int wr_config_init(FILE *f)
{
	struct wr_config_report rep = { 0 };
	struct wr_tree *t = NULL;
	int rc = wr_tree_parse("init", first, sizeof(first) - 1, &t, &rep);

	if (rc == 0)
		wr_schema_check(t->root, &rep);
	if (rc == 0 && rep.n == 0) {
		fputs("# weir.yaml: the configuration of weir-control and weir-dataplane.\n"
		      "# Change devices and cores, then: weir config check FILE\n",
		      f);
		wr_node_dump(t->root, f, note);
	} else {
		rc = -EINVAL;
	}
	wr_tree_free(t);
	return rc;
}

void wr_config_docs(FILE *f)
{
	fputs("# weir.yaml\n\n"
	      "Generated from `control/config/schema.c` by `weir docs config`. One file serves "
	      "both\n"
	      "processes. `weir config init` writes a first one with every key; `weir config check "
	      "FILE`\n"
	      "says file, line and column of what is wrong; `weir config show --effective` prints "
	      "every\n"
	      "key with its value. A key without a default must be written. Unknown keys are "
	      "refused.\n\n"
	      "`change` says what makes a new value take effect: *reload* (`weir reload`), a "
	      "restart of\n"
	      "weir-control (traffic does not notice) or of weir-dataplane.\n\n"
	      "Services may override `policy` keys under `services[].policy`; a key there replaces "
	      "the\n"
	      "global one as a whole.\n\n"
	      "| key | values | default | change | meaning |\n|---|---|---|---|---|\n",
	      f);
	for (unsigned i = 1; i < wr_nrows; i++) {
		const struct wr_row *r = &wr_rows[i];
		char text[160];

		if (r->help[0] == '\0')
			continue;
		range(r, text, sizeof(text));
		fprintf(f, "| `%s` | %s | %s%s%s | %s | %s |\n", r->path, text,
		        r->def != NULL ? "`" : "",
		        r->def == NULL      ? (r->required ? "required" : "-")
		        : r->def[0] == '\0' ? "\"\""
		                            : r->def,
		        r->def != NULL ? "`" : "", wr_config_scope_name(r->scope), r->help);
	}
}

/* --- diff ---------------------------------------------------------------------------------------
 */

struct flat {
	char *path, *value;
	enum wr_config_scope scope;
};

struct flats {
	struct flat *f;
	size_t n, room;
};

static void flat_add(struct flats *fs, const char *path, const char *schema, const char *value)
{
	const struct wr_row *row = wr_row_find(schema);

	if (fs->n == fs->room) {
		fs->room = fs->room != 0 ? fs->room * 2 : 256;
		fs->f = realloc(fs->f, fs->room * sizeof(*fs->f));
		WR_ASSERT(fs->f != NULL);
	}
	fs->f[fs->n++] = (struct flat){ strdup(path), strdup(value),
		                        row != NULL ? row->scope : WR_SCOPE_DATAPLANE };
}

/* Named list elements are compared by name: workers[w0].core, not workers[0].core. */
static void flatten(const struct wr_node *n, const char *path, const char *schema, struct flats *fs)
{
	unsigned i = 0;

	if (n->kind == WR_NODE_SCALAR) {
		flat_add(fs, path, schema, n->value);
		return;
	}
	if (n->child == NULL && n->kind == WR_NODE_LIST)
		flat_add(fs, path, schema, "[]");
	for (const struct wr_node *c = n->child; c != NULL; c = c->next, i++) {
		const struct wr_node *name = wr_node_get(c, "name");
		char sub[700], sub_schema[700];

		if (n->kind == WR_NODE_LIST && name != NULL && name->kind == WR_NODE_SCALAR)
			snprintf(sub, sizeof(sub), "%.600s[%.60s]", path, name->value);
		else if (n->kind == WR_NODE_LIST)
			snprintf(sub, sizeof(sub), "%.600s[%u]", path, i);
		else
			snprintf(sub, sizeof(sub), "%.500s%s%.100s", path,
			         path[0] != '\0' ? "." : "", c->key);
		if (n->kind == WR_NODE_LIST)
			snprintf(sub_schema, sizeof(sub_schema), "%.600s[]", schema);
		else
			snprintf(sub_schema, sizeof(sub_schema), "%.500s%s%.100s", schema,
			         schema[0] != '\0' ? "." : "", c->key);
		/* Below a policy key stand names of reasons: they share the key's row. */
		flatten(c, sub, wr_row_find(sub_schema) != NULL ? sub_schema : schema, fs);
	}
}

static void flats_free(struct flats *fs)
{
	for (size_t i = 0; i < fs->n; i++) {
		free(fs->f[i].path);
		free(fs->f[i].value);
	}
	free(fs->f);
}

static const struct flat *flat_find(const struct flats *fs, const char *path)
{
	for (size_t i = 0; i < fs->n; i++)
		if (strcmp(fs->f[i].path, path) == 0)
			return &fs->f[i];
	return NULL;
}

/* config.c keeps the tree private; show and load give the same, so the text is the way in. */
static struct wr_tree *tree_of(const struct wr_config *c)
{
	struct wr_config_report rep = { 0 };
	struct wr_tree *t = NULL;
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	int rc;

	WR_ASSERT(f != NULL);
	wr_config_show(c, f);
	fclose(f);
	rc = wr_tree_parse("effective", text, n, &t, &rep);
	WR_ASSERT(rc == 0);
	free(text);
	return t;
}

void wr_config_diff(const struct wr_config *a, const struct wr_config *b, wr_config_diff_fn *fn,
                    void *arg)
{
	struct wr_tree *ta = tree_of(a), *tb = tree_of(b);
	struct flats fa = { 0 }, fb = { 0 };

	flatten(ta->root, "", "", &fa);
	flatten(tb->root, "", "", &fb);
	for (size_t i = 0; i < fa.n; i++) {
		const struct flat *o = flat_find(&fb, fa.f[i].path);

		if (o == NULL || strcmp(o->value, fa.f[i].value) != 0)
			fn(arg, fa.f[i].path, fa.f[i].value, o != NULL ? o->value : NULL,
			   fa.f[i].scope);
	}
	for (size_t i = 0; i < fb.n; i++)
		if (flat_find(&fa, fb.f[i].path) == NULL)
			fn(arg, fb.f[i].path, NULL, fb.f[i].value, fb.f[i].scope);
	flats_free(&fa);
	flats_free(&fb);
	wr_tree_free(ta);
	wr_tree_free(tb);
}
