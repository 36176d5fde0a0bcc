/* SPDX-License-Identifier: BSD-3-Clause */
#include "source.h"

#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_ring.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem/mem.h"
#include "port/burst.h"

#define GENERATOR  1u /* lcore ids; 0 is the worker */
#define BACK_RING  (4 * SOURCE_RING)
#define BURST      64u
#define LOOK_EVERY 1024u /* is everything over? Asked so seldom, it costs nothing */

enum { CLIENT, STORE };

static struct rte_ring *to_worker[2], *back[2];
static struct wr_eth_queue queue[2];
static struct rte_mempool *rx_pool; /* an ethdev wants one; net_ring takes nothing from it */
static bool up;

static struct peer *peer;
static _Atomic uint64_t bytes, pushes, blocked;
static _Atomic uint32_t finish, quiet, end;

/* --- the generator's lcore
 * ------------------------------------------------------------------------------------ */

struct out { /* made, but not in the ring yet */
	struct rte_mbuf *m[BURST];
	uint32_t n, at;
};

static void push(int side, struct out *o, uint16_t (*make)(void *, struct rte_mbuf **, uint16_t))
{
	uint32_t took;

	if (o->at == o->n) {
		o->n = make(peer, o->m, BURST);
		o->at = 0;
		if (o->n == 0)
			return;
	}
	took = rte_ring_sp_enqueue_burst(to_worker[side], (void **)&o->m[o->at], o->n - o->at,
	                                 NULL);
	o->at += took;
	if (side == CLIENT) {
		atomic_fetch_add_explicit(&pushes, 1, memory_order_relaxed);
		if (o->at != o->n)
			atomic_fetch_add_explicit(&blocked, 1, memory_order_relaxed);
	}
}

static uint32_t pull(int side, uint16_t (*take)(void *, struct rte_mbuf **, uint16_t))
{
	struct rte_mbuf *m[BURST];
	uint32_t n = rte_ring_sc_dequeue_burst(back[side], (void **)m, BURST, NULL);

	if (n != 0)
		take(peer, m, (uint16_t)n);
	return n;
}

static int generate(void *arg)
{
	struct wr_port c = peer_client_port(peer), s = peer_store_port(peer);
	struct out out[2] = { 0 };
	uint64_t turns = 0;

	(void)arg;
	while (!atomic_load_explicit(&end, memory_order_relaxed)) {
		push(CLIENT, &out[CLIENT], c.rx);
		push(STORE, &out[STORE], s.rx);
		while (pull(STORE, s.tx) + pull(CLIENT, c.tx) == 2 * BURST)
			;
		atomic_store_explicit(&bytes, peer->body_bytes, memory_order_relaxed);
		if (atomic_load_explicit(&finish, memory_order_relaxed)) {
			peer->stop = true;
			if (++turns % LOOK_EVERY == 0 && out[CLIENT].at == out[CLIENT].n &&
			    out[STORE].at == out[STORE].n && peer_quiet(peer))
				atomic_store_explicit(&quiet, 1, memory_order_release);
		}
	}
	return 0;
}

/* --- boot
 * ------------------------------------------------------------------------------------------------
 */

static int cores(int *worker, int *generator)
{
	cpu_set_t set;

	*worker = *generator = -1;
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return -errno;
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET((unsigned int)i, &set))
			continue;
		if (*generator < 0)
			*generator =
			        i; /* the first core has the kernel's own work: not the worker's */
		else if (*worker < 0)
			*worker = i;
	}
	return CPU_COUNT(&set);
}

static int device(int side)
{
	static const char *const name[2] = { "bench_client", "bench_store" };
	struct rte_eth_conf conf = { 0 };
	char ring[32];
	int port;

	snprintf(ring, sizeof(ring), "%s_in", name[side]);
	to_worker[side] = rte_ring_create(ring, SOURCE_RING, -1, RING_F_SP_ENQ | RING_F_SC_DEQ);
	snprintf(ring, sizeof(ring), "%s_out", name[side]);
	back[side] = rte_ring_create(ring, BACK_RING, -1, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (to_worker[side] == NULL || back[side] == NULL)
		return -ENOMEM;
	port = rte_eth_from_rings(name[side], &to_worker[side], 1, &back[side], 1, 0);
	if (port < 0)
		return -rte_errno;
	if (rte_eth_dev_configure((uint16_t)port, 1, 1, &conf) != 0 ||
	    rte_eth_rx_queue_setup((uint16_t)port, 0, SOURCE_RING, 0, NULL, rx_pool) != 0 ||
	    rte_eth_tx_queue_setup((uint16_t)port, 0, SOURCE_RING, 0, NULL) != 0 ||
	    rte_eth_dev_start((uint16_t)port) != 0)
		return -EIO;
	queue[side] = (struct wr_eth_queue){ .port = (uint16_t)port };
	return 0;
}

int source_boot(char *err, size_t n)
{
	char lcores[64], prefix[32];
	char *argv[] = { "bench",    "--no-shconf",       "--no-huge", "-m",   "512",
		         "--no-pci", "--no-telemetry",    "--lcores",  lcores, "--file-prefix",
		         prefix,     "--log-level=error", NULL };
	int worker, generator, have = cores(&worker, &generator);

	if (up)
		return 0;
	if (have < 2) {
		snprintf(err, n,
		         "needs two cores, one for the worker and one for the generator; this "
		         "process may use %d",
		         have);
		return -ENOTSUP;
	}
	snprintf(prefix, sizeof(prefix), "weir-bench-%d", (int)getpid());
	snprintf(lcores, sizeof(lcores), "0@%d,%u@%d", worker, GENERATOR, generator);
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) < 0) {
		snprintf(err, n, "EAL does not start: %s", rte_strerror(rte_errno));
		return -EIO;
	}
	rx_pool = wr_mem_mbufs_eal("bench_rx", 1023, 2048, -1);
	if (rx_pool == NULL || device(CLIENT) != 0 || device(STORE) != 0) {
		snprintf(err, n, "net_ring does not start: %s", rte_strerror(rte_errno));
		return -EIO;
	}
	up = true;
	return 0;
}

struct wr_port source_port(bool store)
{
	return (struct wr_port){ .rx = wr_eth_rx, .tx = wr_eth_tx, .ctx = &queue[store] };
}

void source_start(struct peer *p)
{
	peer = p;
	atomic_store(&bytes, p->body_bytes);
	atomic_store(&pushes, 0);
	atomic_store(&blocked, 0);
	atomic_store(&finish, 0);
	atomic_store(&quiet, 0);
	atomic_store(&end, 0);
	if (rte_eal_remote_launch(generate, NULL, GENERATOR) != 0) {
		fprintf(stderr, "bench: the generator's lcore does not start\n");
		exit(1);
	}
}

uint64_t source_bytes(void)
{
	return atomic_load_explicit(&bytes, memory_order_relaxed);
}

struct source_pushes source_pushes(void)
{
	return (struct source_pushes){ atomic_load_explicit(&pushes, memory_order_relaxed),
		                       atomic_load_explicit(&blocked, memory_order_relaxed) };
}

void source_finish(void)
{
	atomic_store(&finish, 1);
}

bool source_quiet(void)
{
	return atomic_load_explicit(&quiet, memory_order_acquire) != 0;
}

void source_stop(void)
{
	atomic_store(&end, 1);
	rte_eal_wait_lcore(GENERATOR);
}
