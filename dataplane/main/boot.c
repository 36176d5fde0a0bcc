/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_version.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "main/main.h"
#include "mem/mem.h"
#include "scan/scan.h"

#define EXCHANGE_FRAMES                                                                            \
	1024u /* between two workers: sixteen bursts, so that a late one loses none */

/* --- pools
 * ------------------------------------------------------------------------------------------------
 */

static struct rte_mempool *pool(uint32_t worker, const char *what, uint32_t n, uint32_t room)
{
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "%s_%u", what, worker);
	return wr_mem_mbufs_eal(name, n, room, (int)rte_lcore_to_socket_id(WR_LCORE_OF(worker)));
}

/*
 * One pool of receive buffers for all workers of a link: a frame that one received and another
 * keeps then counts where it is missing, and AF_XDP can send it without a copy on any queue.
 */
static int rx_pool_of(struct wr_boot *b, uint32_t link, char *err)
{
	const struct wr_conf *c = b->conf;
	const struct wr_conf_link *l = &c->link[link];
	uint32_t n = c->mbufs, retired = 0, first = 0;
	struct rte_mempool *rx;

	while (c->worker[first].link != link)
		first++;
	rx = pool(first, "rx", n, WR_ETH_DATA_ROOM);
	if (rx == NULL) {
		snprintf(err, WR_ERR,
		         "no memory for the receive buffers of link %s: %s (more hugepages, or "
		         "smaller "
		         "memory.mbufs)",
		         l->name, rte_strerror(rte_errno));
		return -ENOMEM;
	}
	if (wr_eth_is_af_xdp(&l->client) || wr_eth_is_af_xdp(&l->store))
		retired = wr_eth_retire(rx);
	if (retired > n / 8) {
		snprintf(err, WR_ERR,
		         "%u of %u buffers of link %s lie outside the area that AF_XDP registers: "
		         "its "
		         "memory is in pieces; free hugepages and start again",
		         retired, n, l->name);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < c->nworkers; i++) {
		if (c->worker[i].link != link)
			continue;
		b->pools[i].rx = rx;
		b->pools[i].rx_reserve = n / 8;
		b->pools[i].rx_low_water = n / 4;
	}
	return 0;
}

static int pools_of(struct wr_boot *b, uint32_t i, char *err)
{
	const struct wr_conf *c = b->conf;
	struct wr_main_sizes s = wr_main_sizes(c, c->worker[i].link);
	struct wr_pools *p = &b->pools[i];

	p->small = pool(i, "small", s.small, WR_SMALL_ROOM);
	p->large = pool(i, "large", s.large, WR_LARGE_ROOM);
	p->gen = pool(i, "gen", s.gen, WR_LARGE_ROOM);
	if (p->small == NULL || p->large == NULL || p->gen == NULL) {
		snprintf(err, WR_ERR,
		         "no memory for the buffers of worker %s: %s (more hugepages, or smaller "
		         "memory.mbufs)",
		         c->worker[i].name, rte_strerror(rte_errno));
		return -ENOMEM;
	}
	return 0;
}

/* --- ports and rings
 * ----------------------------------------------------------------------------------------- */

static int link_ports(struct wr_boot *b, uint32_t link, char *err)
{
	const struct wr_conf *c = b->conf;
	const struct wr_conf_link *l = &c->link[link];

	for (uint32_t side = 0; side < 2; side++) {
		char name[WR_NAME_MAX + 16];
		struct wr_eth_args a = { .port = b->wire[link] != NULL ? &b->wired[link][side]
			                         : side == 0           ? &l->client
			                                               : &l->store,
			                 .name = name };
		int rc;

		snprintf(name, sizeof(name), "%s.%s", l->name, side == 0 ? "client" : "store");
		a.queues = wr_main_peers(c, link);
		for (uint32_t i = 0; i < c->nworkers; i++)
			if (c->worker[i].link == link)
				a.pool[c->worker[i].queue] = b->pools[i].rx;
		rc = wr_eth_new(&a, &b->eth[link][side], err, WR_ERR);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int exchange_rings(struct wr_boot *b, char *err)
{
	const struct wr_conf *c = b->conf;

	for (uint32_t i = 0; i < c->nworkers; i++)
		for (uint32_t k = 0; k < c->nworkers; k++) {
			char name[RTE_RING_NAMESIZE];

			if (i == k || c->worker[i].link != c->worker[k].link)
				continue;
			snprintf(name, sizeof(name), "x_%u_%u", i, k);
			b->ring[i][k] = rte_ring_create(name, EXCHANGE_FRAMES,
			                                (int)rte_lcore_to_socket_id(WR_LCORE_OF(k)),
			                                RING_F_SP_ENQ | RING_F_SC_DEQ);
			if (b->ring[i][k] == NULL) {
				snprintf(err, WR_ERR, "no memory for the rings between workers: %s",
				         rte_strerror(rte_errno));
				return -ENOMEM;
			}
		}
	return 0;
}

/* --- workers
 * -------------------------------------------------------------------------------------------------
 */

static int worker_of(struct wr_boot *b, uint32_t i, const struct wr_mix_key *key,
                     enum wr_digest_engine digest, char *err)
{
	const struct wr_conf *c = b->conf;
	const struct wr_conf_worker *w = &c->worker[i];
	struct wr_worker_args a = { .conf = c,
		                    .id = i,
		                    .pools = b->pools[i],
		                    .stats = &b->share.stats[i],
		                    .records = b->share.records[i],
		                    .events = b->share.events[i],
		                    .key = *key,
		                    .digest = digest,
		                    .index = w->queue,
		                    .peers = wr_main_peers(c, w->link),
		                    .wire = b->wire[w->link] };
	char why[256] = "";

	wr_eth_port(b->eth[w->link][0], w->queue, &a.client);
	wr_eth_port(b->eth[w->link][1], w->queue, &a.store);
	if (getrandom(&a.seed, sizeof(a.seed), 0) != sizeof(a.seed))
		return -EIO;
	for (uint32_t k = 0; k < c->nworkers; k++) {
		if (c->worker[k].link != w->link)
			continue;
		a.to[c->worker[k].queue] = b->ring[i][k];
		a.from[c->worker[k].queue] = b->ring[k][i];
	}
	wr_counter_set(&a.stats->tsc_hz, rte_get_tsc_hz());
	b->worker[i] = wr_worker_new(&a, why, sizeof(why));
	if (b->worker[i] == NULL) {
		snprintf(err, WR_ERR, "worker %s: %s", w->name, why);
		return -ENOMEM;
	}
	return 0;
}

/* What control shows as weir_build_info: of the libraries that run, as Debian may replace them. */
static void versions(struct wr_stats_head *h, enum wr_digest_engine digest)
{
	const char *dpdk = rte_version(), *number = strchr(dpdk, ' '); /* "DPDK 22.11.7" */

	snprintf(h->dpdk, sizeof(h->dpdk), "%s", number != NULL ? number + 1 : dpdk);
	wr_scan_engine(h->hyperscan, sizeof(h->hyperscan));
	snprintf(h->simd, sizeof(h->simd), "%s", wr_digest_engine_name(digest));
}

static int workers(struct wr_boot *b, char *err)
{
	enum wr_digest_engine digest = wr_digest_choose(WR_DIGEST_AUTO);
	struct wr_mix_key key[WR_LINKS_MAX];
	int rc = 0;

	/* One key per link: both ends of a hand-over must agree about a connection's owner. */
	if (getrandom(key, sizeof(key), 0) != sizeof(key)) {
		snprintf(err, WR_ERR, "no random numbers: %s", strerror(errno));
		return -EIO;
	}
	wr_counter_set(&b->share.head->digest_engine, digest);
	versions(b->share.head, digest);
	for (uint32_t i = 0; i < b->conf->nworkers && rc == 0; i++)
		rc = worker_of(b, i, &key[b->conf->worker[i].link], digest, err);
	return rc;
}

static int links_join(struct wr_boot *b, char *err)
{
	const struct wr_conf *c = b->conf;

	for (uint32_t l = 0; l < c->nlinks; l++) {
		struct wr_worker *w[WR_WORKERS_MAX];
		uint32_t n = 0;

		for (uint32_t i = 0; i < c->nworkers; i++)
			if (c->worker[i].link == l)
				w[n++] = b->worker[i];
		if (wr_worker_join(w, n) != 0) {
			snprintf(err, WR_ERR,
			         "no memory for the rings between the workers of link %s",
			         c->link[l].name);
			return -ENOMEM;
		}
	}
	return 0;
}

int wr_boot_new(struct wr_boot *b, char *err)
{
	/* Hugepages go to the buffers first; tables take what is left, or ordinary pages. */
	const struct wr_mem_opts opts = { .hugepages = !b->conf->no_huge && !b->conf->lab,
		                          .prefault = !b->conf->lab };
	int rc = 0;

	wr_mem_setup(&opts);
	for (uint32_t i = 0; i < b->conf->nlinks && rc == 0; i++)
		rc = rx_pool_of(b, i, err);
	for (uint32_t i = 0; i < b->conf->nworkers && rc == 0; i++)
		rc = pools_of(b, i, err);
	if (rc == 0)
		rc = wr_main_wire(b, err);
	for (uint32_t i = 0; i < b->conf->nlinks && rc == 0; i++)
		rc = link_ports(b, i, err);
	if (rc == 0)
		rc = wr_main_wire_check(b, err);
	if (rc == 0)
		rc = exchange_rings(b, err);
	if (rc == 0)
		rc = wr_main_trace_pool(b, err);
	if (rc == 0)
		rc = workers(b, err);
	if (rc == 0)
		rc = links_join(b, err);
	return rc;
}

void wr_boot_free(struct wr_boot *b)
{
	for (uint32_t i = 0; i < b->conf->nworkers; i++)
		if (b->worker[i] != NULL)
			wr_worker_free(b->worker[i]);
	for (uint32_t i = 0; i < b->conf->nlinks; i++)
		for (uint32_t side = 0; side < 2; side++)
			wr_eth_free(b->eth[i][side]);
	wr_main_wire_close(b);
}
