/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heap - a small first-fit allocator inside one decoder's slot, for libraries that ask for memory.
 *
 * owns     nothing: the region belongs to the slot; reset forgets everything in it
 * fails    NULL when no gap is large enough; the library then reports it and the view is given up
 */
#ifndef WR_BODY_HEAP_H
#define WR_BODY_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap {
	uint8_t *base;
	size_t size;
};

void wr_heap_reset(struct heap *h);
void *wr_heap_get(void *heap, size_t n);
void wr_heap_put(void *heap, void *p);

#endif
