/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mbuf pools: EAL's own, and a hand-made one for processes without EAL.
 *
 * Why hand-made: rte_pktmbuf_pool_create needs memzones and those need EAL, which wants root-like
 * powers, seconds and files. A struct rte_mempool is only a header, a list of objects and four
 * function pointers; filling it ourselves lets a simulation run a whole worker in an ordinary
 * process.
 */
#include <errno.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/mem.h"

#define CACHE_MBUFS 256u /* per lcore: four bursts, so that most calls stay in it */

static void no_dump(struct rte_mempool *mp, void *opaque, struct rte_mempool_memhdr *mem,
                    unsigned int idx)
{
	size_t page = 0;
	uintptr_t from, to;

	(void)opaque;
	(void)idx;
	/* madvise works on whole pages, and of a hugepage mapping only on whole hugepages. */
	if (rte_mempool_get_page_size(mp, &page) != 0 || page == 0)
		page = (size_t)sysconf(_SC_PAGESIZE);
	from = (uintptr_t)mem->addr & ~(page - 1);
	to = ((uintptr_t)mem->addr + mem->len + page - 1) & ~(page - 1);
	(void)madvise((void *)from, to - from, MADV_DONTDUMP);
}

struct rte_mempool *wr_mem_mbufs_eal(const char *name, uint32_t n, uint32_t data_room, int socket)
{
	uint32_t cache = n >= 8 * CACHE_MBUFS ? CACHE_MBUFS : 0;
	struct rte_mempool *mp;

	if (data_room > UINT16_MAX - RTE_PKTMBUF_HEADROOM) {
		rte_errno = EINVAL;
		return NULL;
	}
	mp = rte_pktmbuf_pool_create(name, n, cache, 0,
	                             (uint16_t)(data_room + RTE_PKTMBUF_HEADROOM), socket);
	if (mp != NULL)
		rte_mempool_mem_iter(mp, no_dump, NULL);
	return mp;
}

/* --- without EAL
 * ----------------------------------------------------------------------------------- */

struct stack { /* the free mbufs, last in first out */
	uint32_t n, size;
	void *obj[];
};

static int sim_alloc(struct rte_mempool *mp)
{
	(void)mp;
	return 0;
}

static int sim_enqueue(struct rte_mempool *mp, void *const *obj, unsigned int n)
{
	struct stack *s = mp->pool_data;

	/* More than there are: an mbuf was freed twice. */
	WR_ASSERT(n <= s->size - s->n);
	memcpy(s->obj + s->n, obj, n * sizeof(obj[0]));
	s->n += n;
	return 0;
}

static int sim_dequeue(struct rte_mempool *mp, void **obj, unsigned int n)
{
	struct stack *s = mp->pool_data;

	if (s->n < n)
		return -ENOBUFS;
	for (unsigned int i = 0; i < n; i++)
		obj[i] = s->obj[--s->n];
	return 0;
}

static unsigned int sim_count(const struct rte_mempool *mp)
{
	return ((const struct stack *)mp->pool_data)->n;
}

static const struct rte_mempool_ops sim_ops = {
	.name = "wr_sim",
	.alloc = sim_alloc,
	.enqueue = sim_enqueue,
	.dequeue = sim_dequeue,
	.get_count = sim_count,
};

static int32_t sim_ops_index(void)
{
	static int32_t index = -1;

	if (index < 0)
		index = rte_mempool_register_ops(&sim_ops);
	return index;
}

static size_t line_up(size_t n)
{
	return (n + WR_CACHE_LINE - 1) & ~(size_t)(WR_CACHE_LINE - 1);
}

static void fill(struct rte_mempool *mp, uint8_t *obj, uint32_t n)
{
	uint32_t step = mp->header_size + mp->elt_size;

	for (uint32_t i = 0; i < n; i++, obj += step) {
		struct rte_mempool_objhdr *h =
		        (struct rte_mempool_objhdr *)(void *)(obj + mp->header_size - sizeof(*h));
		void *m = obj + mp->header_size;

		h->mp = mp;
		h->iova = (rte_iova_t)(uintptr_t)m;
		STAILQ_INSERT_TAIL(&mp->elt_list, h, next);
		mp->populated_size++;
		rte_pktmbuf_init(mp, NULL, m, i);
		sim_enqueue(mp, &m, 1);
	}
}

struct rte_mempool *wr_mem_mbufs_sim(const char *name, uint32_t n, uint32_t data_room)
{
	size_t head = line_up(sizeof(struct rte_mempool) + sizeof(struct rte_pktmbuf_pool_private));
	size_t links = line_up(sizeof(struct stack) + (size_t)n * sizeof(void *));
	size_t header = line_up(sizeof(struct rte_mempool_objhdr));
	size_t elt = line_up(sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM + data_room);
	struct rte_pktmbuf_pool_private *priv;
	struct rte_mempool *mp;
	struct stack *s;

	if (n == 0 || data_room > UINT16_MAX - RTE_PKTMBUF_HEADROOM || sim_ops_index() < 0)
		return NULL;
	mp = wr_mem_alloc(name, head + links + (size_t)n * (header + elt));
	if (mp == NULL)
		return NULL;
	snprintf(mp->name, sizeof(mp->name), "%s", name);
	s = (struct stack *)(void *)((uint8_t *)mp + head);
	s->size = n;
	mp->pool_data = s;
	mp->size = n;
	mp->elt_size = (uint32_t)elt;
	mp->header_size = (uint32_t)header;
	mp->private_data_size = sizeof(*priv);
	mp->ops_index = sim_ops_index();
	STAILQ_INIT(&mp->elt_list);
	STAILQ_INIT(&mp->mem_list);
	priv = rte_mempool_get_priv(mp);
	priv->mbuf_data_room_size = (uint16_t)(data_room + RTE_PKTMBUF_HEADROOM);
	fill(mp, (uint8_t *)mp + head + links, n);
	return mp;
}

void wr_mem_mbufs_sim_free(struct rte_mempool *mp)
{
	if (mp == NULL)
		return;
	WR_ASSERT(sim_count(mp) == mp->size);
	wr_mem_free(mp);
}
