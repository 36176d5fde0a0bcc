/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * yaml - one YAML document as a tree that remembers its lines. Private to this room.
 *
 * takes    bytes of a hostile file
 * gives    nodes in the caller's arena
 * limits   WR_YAML_DEPTH, WR_YAML_NODES; anchors, aliases, tags, merge keys and second documents
 * are refused: a bundle needs none of them, and aliases make ten lines into gigabytes fails
 * -EBADMSG or -ENOMEM and a line in the errors
 */
#ifndef WR_BUNDLE_YAML_H
#define WR_BUNDLE_YAML_H

#include "bundle/arena.h"
#include "bundle/bundle.h"

#define WR_YAML_DEPTH 16u
#define WR_YAML_NODES 8000000u

enum wr_node_kind { WR_NODE_SCALAR, WR_NODE_SEQ, WR_NODE_MAP };

struct wr_node {
	uint8_t kind, quoted, pad[2];
	uint32_t line;
	uint32_t n; /* children; a map has key, value, key, value ... */
	uint32_t len;
	const char *text; /* scalar; NUL-terminated, and without NUL inside */
	struct wr_node *first, *next;
};

WR_MUST_USE int wr_yaml_parse(struct wr_arena *a, const char *file, const uint8_t *p, size_t n,
                              struct wr_node **root, struct wr_bundle_errors *e);
/* Value of a key of a map, or NULL. */
const struct wr_node *wr_yaml_get(const struct wr_node *map, const char *key);
/* Absent, ~, null or an empty plain scalar. */
bool wr_yaml_null(const struct wr_node *n);

#endif
