/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

void wr_config_say(struct wr_config_report *rep, const struct wr_node *at, const char *fmt, ...)
{
	struct wr_config_diag *d;
	va_list ap;

	if (rep->n == WR_CONFIG_DIAGS) {
		rep->lost++;
		return;
	}
	d = &rep->d[rep->n++];
	d->file = at != NULL && at->file != NULL ? at->file : "";
	d->line = at != NULL ? at->line : 0;
	d->col = at != NULL ? at->col : 0;
	va_start(ap, fmt);
	vsnprintf(d->text, sizeof(d->text), fmt, ap);
	va_end(ap);
	/* A message quotes the file: it must move no terminal and may have cut a letter in two. */
	for (char *c = d->text; *c != '\0'; c++)
		if (*c < 0x20 || *c >= 0x7f)
			*c = '?';
}

void wr_config_report_print(const struct wr_config_report *rep, FILE *f)
{
	for (unsigned i = 0; i < rep->n; i++) {
		const struct wr_config_diag *d = &rep->d[i];

		if (d->line != 0)
			fprintf(f, "%s:%u:%u: %s\n", d->file, d->line, d->col, d->text);
		else if (d->file[0] != '\0')
			fprintf(f, "%s: %s\n", d->file, d->text);
		else
			fprintf(f, "%s\n", d->text);
	}
	if (rep->lost != 0)
		fprintf(f, "%u more\n", rep->lost);
}

struct wr_node *wr_node_new(enum wr_node_kind kind, const struct wr_node *place)
{
	struct wr_node *n = calloc(1, sizeof(*n));

	/* Control at start, or the tool: without memory for a few nodes there is nothing to do. */
	WR_ASSERT(n != NULL);
	n->kind = kind;
	if (place != NULL) {
		n->file = place->file;
		n->line = place->line;
		n->col = place->col;
	}
	return n;
}

struct wr_node *wr_node_get(const struct wr_node *map, const char *key)
{
	if (map == NULL || map->kind != WR_NODE_MAP)
		return NULL;
	for (struct wr_node *n = map->child; n != NULL; n = n->next)
		if (strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

void wr_node_add(struct wr_node *parent, struct wr_node *child)
{
	struct wr_node **at = &parent->child;

	while (*at != NULL)
		at = &(*at)->next;
	*at = child;
}

void wr_node_free(struct wr_node *n)
{
	while (n != NULL) {
		struct wr_node *next = n->next;

		wr_node_free(n->child);
		free(n->key);
		free(n->value);
		free(n);
		n = next;
	}
}

unsigned wr_node_count(const struct wr_node *n)
{
	unsigned k = 0;

	for (const struct wr_node *c = n != NULL ? n->child : NULL; c != NULL; c = c->next)
		k++;
	return k;
}

/* --- reading ------------------------------------------------------------------------------------
 */

struct reader {
	yaml_parser_t p;
	struct wr_tree *t;
	struct wr_config_report *rep;
};

static struct wr_node at_mark(struct reader *r, yaml_mark_t m)
{
	return (struct wr_node){ .file = r->t->file,
		                 .line = (unsigned)m.line + 1,
		                 .col = (unsigned)m.column + 1 };
}

static int next_event(struct reader *r, yaml_event_t *e)
{
	struct wr_node at;

	if (yaml_parser_parse(&r->p, e))
		return 0;
	at = at_mark(r, r->p.problem_mark);
	wr_config_say(r->rep, &at, "not YAML: %s%s%s",
	              r->p.problem != NULL ? r->p.problem : "unreadable",
	              r->p.context != NULL ? " " : "", r->p.context != NULL ? r->p.context : "");
	return -EINVAL;
}

static int refuse(struct reader *r, const yaml_event_t *e, const char *why)
{
	struct wr_node at = at_mark(r, e->start_mark);

	wr_config_say(r->rep, &at, "%s", why);
	return -EINVAL;
}

static int scalar_text(struct reader *r, const yaml_event_t *e, char **out)
{
	const char *v = (const char *)e->data.scalar.value;
	size_t n = e->data.scalar.length;

	if (n > WR_TREE_SCALAR)
		return refuse(r, e, "a value longer than 4096 bytes");
	if (memchr(v, '\0', n) != NULL)
		return refuse(r, e, "a NUL byte in a value");
	if (e->data.scalar.anchor != NULL)
		return refuse(r, e, "anchors are not supported; write the value out");
	*out = strdup(v);
	WR_ASSERT(*out != NULL);
	return 0;
}

static int read_node(struct reader *r, const yaml_event_t *e, unsigned depth, struct wr_node **out);

static int read_map(struct reader *r, struct wr_node *map, unsigned depth)
{
	struct wr_node **end = &map->child;

	for (;;) {
		struct wr_node *child = NULL, at;
		yaml_event_t k, v;
		char *key;
		int rc;

		if ((rc = next_event(r, &k)) != 0)
			return rc;
		if (k.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&k);
			return 0;
		}
		at = at_mark(r, k.start_mark);
		rc = k.type == YAML_SCALAR_EVENT ? scalar_text(r, &k, &key)
		                                 : refuse(r, &k, "a key must be a plain word");
		yaml_event_delete(&k);
		if (rc != 0)
			return rc;
		if (wr_node_get(map, key) != NULL) {
			wr_config_say(r->rep, &at, "key '%.60s' stands twice; keep one", key);
			free(key);
			return -EINVAL;
		}
		if ((rc = next_event(r, &v)) == 0) {
			rc = read_node(r, &v, depth + 1, &child);
			yaml_event_delete(&v);
		}
		if (rc != 0) {
			free(key);
			return rc;
		}
		/* The key's place, not the value's: that is where a reader looks. */
		child->line = at.line;
		child->col = at.col;
		child->key = key;
		*end = child;
		end = &child->next;
	}
}

static int read_list(struct reader *r, struct wr_node *list, unsigned depth)
{
	struct wr_node **end = &list->child;

	for (;;) {
		struct wr_node *child = NULL;
		yaml_event_t v;
		int rc;

		if ((rc = next_event(r, &v)) != 0)
			return rc;
		if (v.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&v);
			return 0;
		}
		rc = read_node(r, &v, depth + 1, &child);
		yaml_event_delete(&v);
		if (rc != 0)
			return rc;
		*end = child;
		end = &child->next;
	}
}

static int read_node(struct reader *r, const yaml_event_t *e, unsigned depth, struct wr_node **out)
{
	struct wr_node at = at_mark(r, e->start_mark), *n;
	int rc = 0;

	if (depth > WR_TREE_DEPTH)
		return refuse(r, e, "more than 16 levels");
	if (++r->t->nodes > WR_TREE_NODES)
		return refuse(r, e, "more than 20000 values");
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		n = wr_node_new(WR_NODE_SCALAR, &at);
		rc = scalar_text(r, e, &n->value);
		break;
	case YAML_MAPPING_START_EVENT:
		if (e->data.mapping_start.anchor != NULL)
			return refuse(r, e, "anchors are not supported; write the value out");
		n = wr_node_new(WR_NODE_MAP, &at);
		rc = read_map(r, n, depth);
		break;
	case YAML_SEQUENCE_START_EVENT:
		if (e->data.sequence_start.anchor != NULL)
			return refuse(r, e, "anchors are not supported; write the value out");
		n = wr_node_new(WR_NODE_LIST, &at);
		rc = read_list(r, n, depth);
		break;
	default: return refuse(r, e, "aliases are not supported; write the value out");
	}
	if (rc != 0) {
		wr_node_free(n);
		return rc;
	}
	*out = n;
	return 0;
}

static int read_document(struct reader *r)
{
	for (;;) {
		yaml_event_t e;
		bool end;
		int rc;

		if ((rc = next_event(r, &e)) != 0)
			return rc;
		end = e.type == YAML_STREAM_END_EVENT;
		if (!end && e.type != YAML_STREAM_START_EVENT &&
		    e.type != YAML_DOCUMENT_START_EVENT && e.type != YAML_DOCUMENT_END_EVENT)
			rc = r->t->root == NULL ? read_node(r, &e, 0, &r->t->root)
			                        : refuse(r, &e, "a second document in the file");
		yaml_event_delete(&e);
		if (rc != 0 || end)
			return rc;
	}
}

int wr_tree_parse(const char *name, const char *text, size_t n, struct wr_tree **out,
                  struct wr_config_report *rep)
{
	struct reader r = { .rep = rep };
	int rc;

	r.t = calloc(1, sizeof(*r.t));
	WR_ASSERT(r.t != NULL);
	r.t->file = strdup(name);
	WR_ASSERT(r.t->file != NULL);
	*out = r.t; /* also on failure: messages point at its file name */
	if (!yaml_parser_initialize(&r.p))
		return -ENOMEM;
	yaml_parser_set_input_string(&r.p, (const unsigned char *)text, n);
	rc = read_document(&r);
	yaml_parser_delete(&r.p);
	if (rc != 0)
		return rc;
	if (r.t->root == NULL) {
		struct wr_node at = { .file = r.t->file, .line = 1, .col = 1 };

		r.t->root = wr_node_new(WR_NODE_MAP, &at);
	}
	return 0;
}

void wr_tree_free(struct wr_tree *t)
{
	while (t != NULL) {
		struct wr_tree *next = t->next;

		wr_node_free(t->root);
		free(t->file);
		free(t);
		t = next;
	}
}

static void merge_map(struct wr_node *base, struct wr_node *over)
{
	while (over->child != NULL) {
		struct wr_node *n = over->child, *was = wr_node_get(base, n->key);

		over->child = n->next;
		n->next = NULL;
		if (was != NULL && was->kind == WR_NODE_MAP && n->kind == WR_NODE_MAP) {
			merge_map(was, n);
			wr_node_free(n);
			continue;
		}
		if (was != NULL) {
			struct wr_node **at = &base->child;

			while (*at != was)
				at = &(*at)->next;
			n->next = was->next;
			*at = n;
			was->next = NULL;
			wr_node_free(was);
			continue;
		}
		wr_node_add(base, n);
	}
}

void wr_tree_merge(struct wr_tree *t, struct wr_tree *over)
{
	struct wr_tree **at = &t->next;

	if (t->root->kind == WR_NODE_MAP && over->root->kind == WR_NODE_MAP) {
		merge_map(t->root, over->root);
	} else {
		/* Not a map at the top: the check says so at the right place. */
		wr_node_free(t->root);
		t->root = over->root;
		over->root = NULL;
	}
	while (*at != NULL)
		at = &(*at)->next;
	*at = over;
}

/* --- writing ------------------------------------------------------------------------------------
 */

static bool plain(const char *s)
{
	if (*s == '\0' || *s == '-' || *s == '.')
		return false;
	for (; *s != '\0'; s++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-",
		           *s) == NULL)
			return false;
	return true;
}

/* Everything but printable ASCII as \u escapes: some line breaks of Unicode would be folded. */
static void put_scalar(FILE *f, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	if (plain(s)) {
		fputs(s, f);
		return;
	}
	fputc('"', f);
	while (*p != '\0') {
		unsigned cp = *p++, more = cp >= 0xf0 ? 3 : cp >= 0xe0 ? 2 : cp >= 0xc0 ? 1 : 0;

		if (more != 0)
			cp &= 0x3fu >> more;
		for (; more > 0 && (*p & 0xc0) == 0x80; more--)
			cp = cp << 6 | (*p++ & 0x3f);
		if (cp == '"' || cp == '\\')
			fprintf(f, "\\%c", (int)cp);
		else if (cp >= 0x20 && cp < 0x7f)
			fputc((int)cp, f);
		else
			fprintf(f, cp > 0xffff ? "\\U%08x" : "\\u%04x", cp);
	}
	fputc('"', f);
}

static bool flow_style(const struct wr_node *n)
{
	for (const struct wr_node *c = n->child; c != NULL; c = c->next)
		if (c->kind != WR_NODE_SCALAR)
			return false;
	return n->kind == WR_NODE_LIST || n->child == NULL;
}

static void dump(const struct wr_node *n, FILE *f, int indent, const char *path,
                 wr_node_note_fn *note);

static void dump_value(const struct wr_node *n, FILE *f, int indent, const char *path,
                       wr_node_note_fn *note)
{
	if (n->kind == WR_NODE_SCALAR) {
		fputc(' ', f);
		put_scalar(f, n->value);
		fputc('\n', f);
	} else if (flow_style(n)) {
		fputs(n->kind == WR_NODE_LIST ? " [" : " {", f);
		for (const struct wr_node *c = n->child; c != NULL; c = c->next) {
			put_scalar(f, c->value);
			fputs(c->next != NULL ? ", " : "", f);
		}
		fputs(n->kind == WR_NODE_LIST ? "]\n" : "}\n", f);
	} else {
		fputc('\n', f);
		dump(n, f, indent, path, note);
	}
}

static void dump(const struct wr_node *n, FILE *f, int indent, const char *path,
                 wr_node_note_fn *note)
{
	bool first = true;

	for (const struct wr_node *c = n->child; c != NULL; c = c->next, first = false) {
		char sub[512];

		if (n->kind == WR_NODE_MAP) {
			snprintf(sub, sizeof(sub), "%s%s%s", path, path[0] != '\0' ? "." : "",
			         c->key);
			if (note != NULL)
				note(f, sub, indent);
			fprintf(f, "%*s", indent, "");
			put_scalar(f, c->key);
			fputc(':', f);
			dump_value(c, f, indent + 2, sub, note);
		} else {
			/* A second element repeats no comments. */
			snprintf(sub, sizeof(sub), "%s[]", path);
			fprintf(f, "%*s-", indent, "");
			if (c->kind != WR_NODE_SCALAR && !flow_style(c))
				fputc('\n', f), dump(c, f, indent + 2, sub, first ? note : NULL);
			else
				dump_value(c, f, indent + 2, sub, NULL);
		}
	}
}

void wr_node_dump(const struct wr_node *root, FILE *f, wr_node_note_fn *note)
{
	dump(root, f, 0, "", note);
}
