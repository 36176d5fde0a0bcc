/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena - memory that lives as long as the bundle it belongs to; private to this room.
 *
 * owns     blocks, all freed at once. Why: a bundle is read once, is never changed and dies whole,
 * and an error path that frees one thing cannot leak or free twice. fails    NULL when memory is
 * out
 */
#ifndef WR_BUNDLE_ARENA_H
#define WR_BUNDLE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct wr_arena_block;
struct wr_arena {
	struct wr_arena_block *head;
};

/* Zeroed, aligned for any object. */
void *wr_arena_alloc(struct wr_arena *a, size_t n);
void *wr_arena_array(struct wr_arena *a, size_t n, size_t size);
char *wr_arena_strndup(struct wr_arena *a, const char *s, size_t n);
void wr_arena_free(struct wr_arena *a);

#endif
