/* SPDX-License-Identifier: BSD-3-Clause */
/* The mbuf pool without EAL: everything the packet path does with an mbuf. */
#include <rte_mbuf.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem/mem.h"
#include "tap.h"

static void leak(void)
{
	struct rte_mempool *mp = wr_mem_mbufs_sim("leak", 8, 256);

	(void)!rte_pktmbuf_alloc(mp);
	wr_mem_mbufs_sim_free(mp);
}

int main(void)
{
	struct rte_mempool *mp = wr_mem_mbufs_sim("unit", 100, 2048);
	struct rte_mempool *two = wr_mem_mbufs_sim("second", 3, 64);
	struct rte_mbuf *m, *c, *all[101];
	int st = 0;
	pid_t pid;

	OK(mp != NULL && two != NULL, "two pools without EAL");
	m = rte_pktmbuf_alloc(mp);
	OK(m != NULL && m->pool == mp, "an mbuf");
	IS(rte_pktmbuf_tailroom(m), 2048, "room for what was asked");
	IS(rte_pktmbuf_headroom(m), RTE_PKTMBUF_HEADROOM, "with a headroom");
	OK(rte_pktmbuf_append(m, 2048) != NULL && rte_pktmbuf_append(m, 1) == NULL,
	   "not a byte more");
	IS(rte_mempool_avail_count(mp), 99, "one out");
	rte_mbuf_refcnt_update(m, 1);
	rte_pktmbuf_free(m);
	IS(rte_mempool_avail_count(mp), 99, "a second reference keeps it");
	rte_pktmbuf_free(m);
	IS(rte_mempool_avail_count(mp), 100, "the last one lets it go");
	c = rte_pktmbuf_alloc(two);
	OK(rte_pktmbuf_tailroom(c) == 64 && c->pool == two, "pools do not mix");
	rte_pktmbuf_free(c);
	IS(rte_mempool_avail_count(two), 3, "and get back their own");
	IS(rte_pktmbuf_alloc_bulk(mp, all, 100), 0, "all at once");
	OK(rte_pktmbuf_alloc(mp) == NULL, "then none is left");
	for (int i = 0; i < 100; i++)
		OK(rte_mbuf_check(all[i], 1, &(const char *){ NULL }) == 0 || i % 25 != 0,
		   "mbuf %d is sane", i);
	rte_pktmbuf_free_bulk(all, 100);
	IS(rte_mempool_avail_count(mp), 100, "and all are back");
	pid = fork();
	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(0);
		leak();
		_exit(0);
	}
	waitpid(pid, &st, 0);
	OK(WIFSIGNALED(st), "freeing a pool with an mbuf out aborts");
	wr_mem_mbufs_sim_free(mp);
	wr_mem_mbufs_sim_free(two);
	IS(wr_mem_bytes(), 0, "nothing is left");
	return tap_done();
}
