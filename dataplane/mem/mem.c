/* SPDX-License-Identifier: BSD-3-Clause */
#include "mem/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_BYTES (2ull << 20)
#define HUGE_FROM  (1ull << 20) /* below, rounding up to a hugepage wastes more than it saves */
#define PAGE_BYTES 4096ull
#define MAGIC      0x6d656d2d72696577ull

/* In front of each block; one cache line, so that the block keeps the alignment of the page. */
struct block {
	WR_ALIGNED(WR_CACHE_LINE) uint64_t magic;
	uint64_t mapped;
};

static struct wr_mem_opts options;
static bool sealed, lazy;
static uint64_t bytes_mapped;

void wr_mem_setup(const struct wr_mem_opts *opts)
{
	WR_ASSERT(bytes_mapped == 0);
	options = *opts;
}

void wr_mem_seal(void)
{
	sealed = true;
}

void wr_mem_unseal(void)
{
	sealed = false;
}

uint64_t wr_mem_bytes(void)
{
	return bytes_mapped;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

static void *map(uint64_t *size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS |
	            (lazy               ? MAP_NORESERVE
	             : options.prefault ? MAP_POPULATE
	                                : 0);
	uint64_t want = *size;
	void *p = MAP_FAILED;

	if (options.hugepages && !lazy && want >= HUGE_FROM) {
		*size = round_up(want, HUGE_BYTES);
		p = mmap(NULL, *size, PROT_READ | PROT_WRITE, flags | MAP_HUGETLB, -1, 0);
	}
	if (p == MAP_FAILED) {
		*size = round_up(want, PAGE_BYTES);
		p = mmap(NULL, *size, PROT_READ | PROT_WRITE, flags, -1, 0);
		/* Transparent hugepages where the kernel has them; a refusal costs nothing. */
		if (p != MAP_FAILED && want >= HUGE_FROM)
			(void)madvise(p, *size, MADV_HUGEPAGE);
	}
	return p == MAP_FAILED ? NULL : p;
}

void *wr_mem_alloc(const char *name, uint64_t bytes)
{
	uint64_t size = bytes + sizeof(struct block);
	struct block *b;

	if (wr_unlikely(sealed))
		wr_assert_fail(name, "wr_mem_alloc after wr_mem_seal", __LINE__);
	if (bytes == 0 || bytes > (1ull << 46))
		return NULL;
	b = map(&size);
	if (b == NULL)
		return NULL;
	/* Client content and its traces stay out of core files. */
	(void)madvise(b, size, MADV_DONTDUMP);
	b->magic = MAGIC;
	b->mapped = size;
	bytes_mapped += size;
	return b + 1;
}

void wr_mem_free(void *p)
{
	struct block *b = p;
	uint64_t size;

	if (p == NULL)
		return;
	b--;
	WR_ASSERT(b->magic == MAGIC);
	size = b->mapped;
	bytes_mapped -= size;
	WR_ASSERT(munmap(b, size) == 0);
}

struct wr_pool *wr_pool_new(const char *name, uint32_t n, uint32_t size)
{
	uint32_t to = size >= WR_CACHE_LINE ? WR_CACHE_LINE : 8;
	uint64_t head = round_up(sizeof(struct wr_pool), WR_CACHE_LINE), links, stride;
	struct wr_pool *p;

	if (n == 0 || n >= (1u << 31) || size == 0 || size > (1u << 30))
		return NULL;
	links = round_up(((uint64_t)n + 1) * sizeof(uint32_t), WR_CACHE_LINE);
	stride = round_up(size, to);
	p = wr_mem_alloc(name, head + links + ((uint64_t)n + 1) * stride);
	if (p == NULL)
		return NULL;
	p->link = (uint32_t *)(void *)((uint8_t *)p + head);
	p->slots = (uint8_t *)p + head + links;
	p->n = p->free = p->low = n;
	p->stride = (uint32_t)stride;
	p->size = size;
	snprintf(p->name, sizeof(p->name), "%s", name);
	/* Lowest index first: a small load stays in few pages. */
	for (uint32_t i = 1; i < n; i++)
		p->link[i] = i + 1;
	p->link[0] = 0;
	p->head = 1;
	return p;
}

struct wr_pool *wr_pool_new_lazy(const char *name, uint32_t n, uint32_t size)
{
	struct wr_pool *p;

	lazy = true;
	p = wr_pool_new(name, n, size);
	lazy = false;
	return p;
}

void wr_pool_free(struct wr_pool *p)
{
	wr_mem_free(p);
}

void wr_pool_broken(const struct wr_pool *p, uint32_t idx)
{
	char text[96];

	snprintf(text, sizeof(text), "pool %s: slot %u of %u put back though it is not out",
	         p->name, idx, p->n);
	wr_assert_fail(text, __FILE__, __LINE__);
}
