/* SPDX-License-Identifier: BSD-3-Clause */
#include "bundle/arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 65536u
#define ALIGN       16u

struct wr_arena_block {
	struct wr_arena_block *next;
	size_t used, room;
	_Alignas(ALIGN) unsigned char bytes[];
};

void *wr_arena_alloc(struct wr_arena *a, size_t n)
{
	struct wr_arena_block *b = a->head;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + ALIGN - 1) / ALIGN * ALIGN;
	if (b == NULL || b->room - b->used < n) {
		size_t room = n > BLOCK_BYTES / 4 ? n : BLOCK_BYTES;

		b = calloc(1, sizeof(*b) + room);
		if (b == NULL)
			return NULL;
		b->room = room;
		/* A block of its own for something large goes behind the one still being filled. */
		if (room == n && a->head != NULL) {
			b->next = a->head->next;
			a->head->next = b;
		} else {
			b->next = a->head;
			a->head = b;
		}
	}
	p = b->bytes + b->used;
	b->used += n;
	return p;
}

void *wr_arena_array(struct wr_arena *a, size_t n, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : wr_arena_alloc(a, bytes);
}

char *wr_arena_strndup(struct wr_arena *a, const char *s, size_t n)
{
	char *p = wr_arena_alloc(a, n + 1);

	if (p != NULL)
		memcpy(p, s, n);
	return p;
}

void wr_arena_free(struct wr_arena *a)
{
	struct wr_arena_block *b = a->head;

	while (b != NULL) {
		struct wr_arena_block *next = b->next;

		free(b);
		b = next;
	}
	a->head = NULL;
}
