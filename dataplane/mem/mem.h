/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mem - everything the packet path will ever use, allocated at boot, then sealed.
 *
 * takes    sizes; wr_mem_setup() once, before the first allocation (a test may leave it out)
 * gives    arenas (zeroed blocks), pools of fixed slots with an index, pools of mbufs
 * owns     its mappings: anonymous memory, never in a core dump (MADV_DONTDUMP), on hugepages where
 *          asked for and there, touched at boot where asked for
 * threads  allocate and free: boot and shutdown, one thread. Pool _get/_put: one worker per pool.
 *          mbuf pools made with EAL: any thread; those of wr_mem_mbufs_sim: one thread.
 * limits   a pool has at most 2^31 slots; its index 0 is never given: it means "none"
 * fails    _new, _alloc: NULL. After wr_mem_seal() an allocation aborts in every build: nothing
 * grows while frames flow. see      docs/concepts/one-burst.md, tests/unit/mem
 *
 * Why indices and not pointers: half the size, bounds-checkable, and a slot put back twice is found
 * at once, because the link that would chain it says that it is already free.
 */
#ifndef WR_MEM_MEM_H
#define WR_MEM_MEM_H

#include <stdint.h>

#include "base/base.h"

struct rte_mempool;

struct wr_mem_opts {
	bool hugepages; /* try 2 MiB pages for blocks of 1 MiB and more; else ordinary pages */
	bool prefault;  /* touch every page now, not under the first frame */
};

void wr_mem_setup(const struct wr_mem_opts *opts);
/* From now on an allocation aborts. Freeing stays allowed. unseal is for tests and shutdown. */
void wr_mem_seal(void);
void wr_mem_unseal(void);
/* Bytes mapped at the moment, mbuf pools made with EAL not counted. */
uint64_t wr_mem_bytes(void);

/* A zeroed block, cache-line aligned; NULL when the system has none. name is for people. */
WR_MUST_USE void *wr_mem_alloc(const char *name, uint64_t bytes);
void wr_mem_free(void *p); /* NULL is allowed */

/* --- pools of fixed slots ------------------------------------------------------------------------
 */

#define WR_POOL_TAKEN 0xffffffffu /* link of a slot that is out */

struct wr_pool {          /* fields are private to the inline functions below */
	uint8_t *slots;   /* slot i at slots + i * stride; slot 0 is there and never given */
	uint32_t *link;   /* next free index, 0 = last, WR_POOL_TAKEN = out */
	uint32_t head, n; /* indices 1..n */
	uint32_t free, stride;
	uint32_t low; /* fewest free since boot */
	uint32_t size;
	char name[32];
};

/* n slots of `size` bytes; strides of at least a cache line are multiples of it. All zeroed at
 * first. */
WR_MUST_USE struct wr_pool *wr_pool_new(const char *name, uint32_t n, uint32_t size);
/* As wr_pool_new, but a page is touched when a slot in it is first given: for large budgets of
 * which little is used at most times. Slots are given lowest index first, so a small load stays
 * small. */
WR_MUST_USE struct wr_pool *wr_pool_new_lazy(const char *name, uint32_t n, uint32_t size);
void wr_pool_free(struct wr_pool *p); /* the pool itself; NULL is allowed */
WR_NORETURN void wr_pool_broken(const struct wr_pool *p, uint32_t idx);

/* An index, or 0 when empty. The slot's content is what its last owner left. */
WR_MUST_USE static inline uint32_t wr_pool_get(struct wr_pool *p)
{
	uint32_t i = p->head;

	if (wr_unlikely(i == 0))
		return 0;
	p->head = p->link[i];
	p->link[i] = WR_POOL_TAKEN;
	if (--p->free < p->low)
		p->low = p->free;
	return i;
}

/* Aborts on an index that is not out: a second put would give one slot to two owners. */
static inline void wr_pool_put(struct wr_pool *p, uint32_t i)
{
	if (wr_unlikely(i == 0 || i > p->n || p->link[i] != WR_POOL_TAKEN))
		wr_pool_broken(p, i);
	p->link[i] = p->head;
	p->head = i;
	p->free++;
}

static inline void *wr_pool_at(const struct wr_pool *p, uint32_t i)
{
	WR_DCHECK(i != 0 && i <= p->n && p->link[i] == WR_POOL_TAKEN);
	return p->slots + (uint64_t)i * p->stride;
}

/* The index of a slot (or of a pointer into one). */
static inline uint32_t wr_pool_index(const struct wr_pool *p, const void *slot)
{
	return (uint32_t)((uint64_t)((const uint8_t *)slot - p->slots) / p->stride);
}

static inline bool wr_pool_is_out(const struct wr_pool *p, uint32_t i)
{
	return i != 0 && i <= p->n && p->link[i] == WR_POOL_TAKEN;
}

static inline uint32_t wr_pool_free_count(const struct wr_pool *p)
{
	return p->free;
}

static inline uint32_t wr_pool_used_count(const struct wr_pool *p)
{
	return p->n - p->free;
}

/* --- pools of mbufs (single segment; data_room without headroom)
 * ----------------------------------- */

/* With EAL: hugepage memory of EAL, per-lcore cache, kept out of core dumps. NULL: rte_errno says
 * why. */
WR_MUST_USE struct rte_mempool *wr_mem_mbufs_eal(const char *name, uint32_t n, uint32_t data_room,
                                                 int socket);
/*
 * Without EAL (simulation, unit tests, fuzzing): the same struct rte_mempool over a mapping of
 * ours, so that rte_pktmbuf_alloc, _free, _refcnt_update, rte_mempool_avail_count and their kind
 * work as they do in production. No cache, one thread.
 */
WR_MUST_USE struct rte_mempool *wr_mem_mbufs_sim(const char *name, uint32_t n, uint32_t data_room);
void wr_mem_mbufs_sim_free(struct rte_mempool *mp); /* aborts when an mbuf is still out */

#endif
