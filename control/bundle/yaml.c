/* SPDX-License-Identifier: BSD-3-Clause */
#include "bundle/yaml.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

struct open { /* a collection that is still being filled */
	struct wr_node *node, *last;
};

struct build {
	struct wr_arena *a;
	const char *file;
	struct wr_bundle_errors *e;
	struct wr_node *root;
	struct open stack[WR_YAML_DEPTH];
	uint32_t depth, nodes;
	bool done;
};

static int refuse(struct build *b, const yaml_event_t *ev, const char *what)
{
	wr_bundle_error_add(b->e, b->file, (uint32_t)ev->start_mark.line + 1, "%s", what);
	return -EBADMSG;
}

/* In a map every even child is a key: it must be a scalar and new. */
static int check_key(struct build *b, const yaml_event_t *ev, const struct wr_node *key)
{
	const struct open *o = &b->stack[b->depth - 1];
	const struct wr_node *k = o->node->first;

	if (o->node->kind != WR_NODE_MAP || o->node->n % 2 != 0)
		return 0;
	if (key->kind != WR_NODE_SCALAR)
		return refuse(b, ev, "a key must be a plain word");
	if (o->node->n > 2 * 256)
		return refuse(b, ev, "more than 256 keys in one mapping");
	for (; k != NULL; k = k->next == NULL ? NULL : k->next->next)
		if (strcmp(k->text, key->text) == 0) {
			wr_bundle_error_add(b->e, b->file, key->line,
			                    "key `%.64s` stands twice (first in line %u)",
			                    key->text, k->line);
			return -EBADMSG;
		}
	return 0;
}

static int attach(struct build *b, const yaml_event_t *ev, struct wr_node *n)
{
	struct open *o;
	int rc;

	if (b->depth == 0) {
		b->root = n;
		return 0;
	}
	rc = check_key(b, ev, n);
	if (rc != 0)
		return rc;
	o = &b->stack[b->depth - 1];
	if (o->last == NULL)
		o->node->first = n;
	else
		o->last->next = n;
	o->last = n;
	o->node->n++;
	return 0;
}

static struct wr_node *node(struct build *b, const yaml_event_t *ev, uint8_t kind)
{
	struct wr_node *n = wr_arena_alloc(b->a, sizeof(*n));

	if (n != NULL) {
		n->kind = kind;
		n->line = (uint32_t)ev->start_mark.line + 1;
		n->text = "";
	}
	return n;
}

static int scalar(struct build *b, const yaml_event_t *ev)
{
	const char *v = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	struct wr_node *n = node(b, ev, WR_NODE_SCALAR);

	if (n == NULL)
		return -ENOMEM;
	if (ev->data.scalar.anchor != NULL || ev->data.scalar.tag != NULL)
		return refuse(b, ev, "anchors and tags are not used in bundles");
	if (memchr(v, '\0', len) != NULL)
		return refuse(b, ev, "a NUL character in a text: write such bytes with `hex`");
	n->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	n->len = (uint32_t)len;
	n->text = wr_arena_strndup(b->a, v, len);
	return n->text == NULL ? -ENOMEM : attach(b, ev, n);
}

static int open_collection(struct build *b, const yaml_event_t *ev, uint8_t kind)
{
	const yaml_char_t *anchor = kind == WR_NODE_SEQ ? ev->data.sequence_start.anchor
	                                                : ev->data.mapping_start.anchor;
	const yaml_char_t *tag =
	        kind == WR_NODE_SEQ ? ev->data.sequence_start.tag : ev->data.mapping_start.tag;
	struct wr_node *n = node(b, ev, kind);
	int rc;

	if (n == NULL)
		return -ENOMEM;
	if (anchor != NULL || tag != NULL)
		return refuse(b, ev, "anchors and tags are not used in bundles");
	if (b->depth == WR_YAML_DEPTH)
		return refuse(b, ev, "nested deeper than 16 levels");
	rc = attach(b, ev, n);
	if (rc == 0)
		b->stack[b->depth++] = (struct open){ .node = n };
	return rc;
}

static int event(struct build *b, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (++b->nodes > WR_YAML_NODES)
			return refuse(b, ev, "more than 8,000,000 nodes in one file");
		if (ev->type == YAML_SCALAR_EVENT)
			return scalar(b, ev);
		return open_collection(
		        b, ev, ev->type == YAML_SEQUENCE_START_EVENT ? WR_NODE_SEQ : WR_NODE_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: b->depth--; return 0;
	case YAML_ALIAS_EVENT: return refuse(b, ev, "aliases are not used in bundles");
	case YAML_DOCUMENT_START_EVENT:
		return b->root == NULL ? 0 : refuse(b, ev, "a second document in one file");
	case YAML_STREAM_END_EVENT: b->done = true; return 0;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_END_EVENT: return 0;
	}
	return 0;
}

/* libyaml gives its reader's errors (a control character, bad UTF-8) a byte offset and no line. */
static uint32_t problem_line(const yaml_parser_t *y, const uint8_t *p, size_t n)
{
	uint32_t line = 1;

	if (y->error != YAML_READER_ERROR)
		return (uint32_t)y->problem_mark.line + 1;
	for (size_t i = 0; i < n && i < y->problem_offset; i++)
		line += p[i] == '\n';
	return line;
}

int wr_yaml_parse(struct wr_arena *a, const char *file, const uint8_t *p, size_t n,
                  struct wr_node **root, struct wr_bundle_errors *e)
{
	struct build b = { .a = a, .file = file, .e = e };
	yaml_parser_t y;
	int rc = 0;

	if (yaml_parser_initialize(&y) == 0)
		return -ENOMEM;
	yaml_parser_set_input_string(&y, p, n);
	while (rc == 0 && !b.done) {
		yaml_event_t ev;

		if (yaml_parser_parse(&y, &ev) == 0) {
			wr_bundle_error_add(e, file, problem_line(&y, p, n), "not valid YAML: %s",
			                    y.problem == NULL ? "unreadable" : y.problem);
			rc = y.error == YAML_MEMORY_ERROR ? -ENOMEM : -EBADMSG;
			break;
		}
		rc = event(&b, &ev);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&y);
	if (rc == 0 && b.root == NULL) {
		wr_bundle_error_add(e, file, 0, "the file is empty");
		rc = -EBADMSG;
	}
	*root = rc == 0 ? b.root : NULL;
	return rc;
}

const struct wr_node *wr_yaml_get(const struct wr_node *map, const char *key)
{
	if (map->kind != WR_NODE_MAP)
		return NULL;
	for (const struct wr_node *k = map->first; k != NULL; k = k->next->next)
		if (strcmp(k->text, key) == 0)
			return k->next;
	return NULL;
}

bool wr_yaml_null(const struct wr_node *n)
{
	return n == NULL ||
	       (n->kind == WR_NODE_SCALAR && !n->quoted &&
	        (n->len == 0 || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0));
}
