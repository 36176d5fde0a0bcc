/* SPDX-License-Identifier: BSD-3-Clause */
/* tree - YAML as nodes that know their place; private to config/. */
#ifndef WR_CONFIG_TREE_H
#define WR_CONFIG_TREE_H

#include "config/config.h"

#define WR_TREE_DEPTH  16u
#define WR_TREE_NODES  20000u
#define WR_TREE_SCALAR 4096u

enum wr_node_kind { WR_NODE_SCALAR, WR_NODE_MAP, WR_NODE_LIST };

struct wr_node {
	enum wr_node_kind kind;
	bool defaulted; /* not written by anybody: from the schema */
	const char *file;
	unsigned line, col, order;
	char *key;   /* in a map */
	char *value; /* scalars */
	struct wr_node *child, *next;
};

struct wr_tree {
	struct wr_node *root;
	char *file; /* its nodes point here */
	unsigned nodes;
	struct wr_tree *next; /* trees merged into this one: their file names live on */
};

WR_PRINTF(3, 4)
void wr_config_say(struct wr_config_report *rep, const struct wr_node *at, const char *fmt, ...);

WR_MUST_USE int wr_tree_parse(const char *name, const char *text, size_t n, struct wr_tree **out,
                              struct wr_config_report *rep);
void wr_tree_free(struct wr_tree *t);
/* Merges over into t and takes it. */
void wr_tree_merge(struct wr_tree *t, struct wr_tree *over);

struct wr_node *wr_node_new(enum wr_node_kind kind, const struct wr_node *place);
struct wr_node *wr_node_get(const struct wr_node *map, const char *key);
void wr_node_add(struct wr_node *parent, struct wr_node *child);
void wr_node_free(struct wr_node *n);
unsigned wr_node_count(const struct wr_node *n);

/* Calls note (may be NULL) before each key to print comments above it. */
typedef void wr_node_note_fn(FILE *f, const char *path, int indent);
void wr_node_dump(const struct wr_node *root, FILE *f, wr_node_note_fn *note);

#endif
