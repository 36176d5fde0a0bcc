/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports on virtual devices of memory only (net_ring, net_null), with EAL on ordinary pages: what is
 * configured works, what cannot work is refused with one line that says what to do.
 */
#include <errno.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <string.h>
#include <unistd.h>

#include "mem/mem.h"
#include "port/eth.h"
#include "tap.h"

static char err[400];

static void strings(void)
{
	char out[16];
	struct wr_conf_port p = { .ndevices = 2 };

	OK(wr_eth_is_pci("0000:3b:00.0") && !wr_eth_is_pci("net_pcap0,iface=x"), "PCI or driver");
	OK(wr_eth_arg("net_x,iface=wire-c,start_queue=3", "iface", out, sizeof(out)) &&
	           strcmp(out, "wire-c") == 0,
	   "an argument");
	OK(wr_eth_arg("net_x,iface=wire-c,start_queue=3", "start_queue", out, sizeof(out)) &&
	           strcmp(out, "3") == 0,
	   "the last one");
	OK(!wr_eth_arg("net_x,xiface=1", "iface", out, sizeof(out)),
	   "not the end of another's name");
	OK(!wr_eth_arg("net_x,iface=", "iface", out, sizeof(out)), "an empty one is none");
	OK(!wr_eth_arg("net_x,iface=0123456789abcdef", "iface", out, sizeof(out)),
	   "nor a long one");
	OK(!wr_eth_arg("net_x", "iface", out, sizeof(out)), "nor where there are none");
	strcpy(p.device[0], "net_pcap0");
	strcpy(p.device[1], "net_af_xdp1,iface=x");
	OK(wr_eth_is_af_xdp(&p), "AF_XDP on any device of the port");
	p.ndevices = 1;
	OK(!wr_eth_is_af_xdp(&p), "and not beyond");
}

static void preflight(void)
{
	struct wr_conf_port p = { .ndevices = 1 };

	strcpy(p.device[0], "net_af_packet0,iface=nosuch0");
	OK(wr_eth_preflight(&p, "a.client", err, sizeof(err)) != 0 &&
	           strstr(err, "nosuch0") != NULL,
	   "no such interface: %s", err);
	strcpy(p.device[0], "net_af_packet0,iface=lo");
	OK(wr_eth_preflight(&p, "a.client", err, sizeof(err)) == -EMSGSIZE &&
	           strstr(err, "ip link set dev lo mtu 1500") != NULL,
	   "an MTU above the buffers (that of lo is 65536): %s", err);
	strcpy(p.device[0], "0000:3b:00.0");
	OK(wr_eth_preflight(&p, "a.client", err, sizeof(err)) == 0, "of a NIC EAL knows more");
}

static void refused(struct rte_mempool *mp)
{
	struct wr_conf_port p = { .ndevices = 1 };
	struct wr_eth_args a = { .port = &p, .name = "a.store", .queues = 1, .pool = { mp } };
	struct wr_eth *e = NULL;

	strcpy(p.device[0], "net_nosuch0");
	OK(wr_eth_new(&a, &e, err, sizeof(err)) != 0 && strstr(err, "net_nosuch0") != NULL,
	   "a driver that is not there: %s", err);
	strcpy(p.device[0], "0000:99:00.0");
	OK(wr_eth_new(&a, &e, err, sizeof(err)) == -ENODEV && strstr(err, "dpdk-devbind") != NULL,
	   "a NIC that is not there: %s", err);
	strcpy(p.device[0], "net_af_packet0,iface=nosuch0");
	OK(wr_eth_new(&a, &e, err, sizeof(err)) != 0 && strstr(err, "nosuch0") != NULL,
	   "an interface that is not there: %s", err);
	strcpy(p.device[0], "net_null0");
	a.queues = 16;
	for (int i = 0; i < 16; i++)
		a.pool[i] = mp;
	IS(rte_eth_dev_count_avail(), 0, "what failed left no device behind");
}

/* What is sent on a ring device comes back on it. */
static void bursts(struct rte_mempool *mp)
{
	struct wr_conf_port p = { .ndevices = 2 };
	struct wr_eth_args a = { .port = &p, .name = "a.client", .queues = 2, .pool = { mp, mp } };
	struct wr_stats_dev st = { 0 };
	struct wr_port port[2];
	struct rte_mbuf *m[4], *got[64];
	struct wr_eth *e = NULL;
	uint32_t free_before = rte_mempool_avail_count(mp);

	strcpy(p.device[0], "net_ring0");
	strcpy(p.device[1], "net_ring1");
	IS(wr_eth_new(&a, &e, err, sizeof(err)), 0, "a port of two devices %s", err);
	wr_eth_port(e, 0, &port[0]);
	wr_eth_port(e, 1, &port[1]);
	OK(rte_pktmbuf_alloc_bulk(mp, m, 4) == 0, "four frames");
	for (int i = 0; i < 4; i++)
		(void)rte_pktmbuf_append(m[i], 60);
	IS(port[0].rx(port[0].ctx, got, 64), 0, "nothing to receive");
	IS(port[0].tx(port[0].ctx, m, 3), 3, "three go out on queue 0");
	IS(port[1].tx(port[1].ctx, m + 3, 1), 1, "one on queue 1");
	IS(port[1].rx(port[1].ctx, got + 3, 1), 1, "and come back on their own device");
	IS(port[0].rx(port[0].ctx, got, 3), 3, "each");
	OK(got[0] == m[0] && got[2] == m[2] && got[3] == m[3], "the same buffers");
	wr_eth_stats(e, &st);
	IS(wr_counter_get(&st.tx_packets), 4, "counted over both devices");
	IS(wr_counter_get(&st.link_up), 1, "up");
	rte_pktmbuf_free_bulk(got, 4);
	wr_eth_free(e);
	IS(rte_eth_dev_count_avail(), 0, "all devices are gone");
	IS(rte_mempool_avail_count(mp), free_before, "and no buffer with them");
}

/* The objects that AF_XDP would lose never come out of the pool again. */
static void retire(void)
{
	struct rte_mempool *mp = wr_mem_mbufs_eal("retire", 5000, WR_ETH_DATA_ROOM, 0);
	uint32_t retired, n = 0, bad = 0, step;
	uintptr_t from = UINTPTR_MAX;
	struct rte_mbuf *m;

	OK(mp != NULL, "a pool on 4 KiB pages: objects leave gaps");
	step = mp->header_size + mp->elt_size + mp->trailer_size;
	from = (uintptr_t)STAILQ_FIRST(&mp->mem_list)->addr & ~4095ull;
	retired = wr_eth_retire(mp);
	OK(retired > 0 && retired < 5000, "%u of 5000 lie outside", retired);
	while ((m = rte_pktmbuf_alloc(mp)) != NULL) {
		uintptr_t at = (uintptr_t)m - mp->header_size;

		n++;
		bad += at < from || at + step > from + 5000ull * step;
	}
	IS(bad, 0, "every one that comes out lies inside");
	IS(n + retired, 5000, "and none is missing");
}

int main(void)
{
	char prefix[40];
	char *argv[] = { "test", "--no-huge",     "-m", "128", "--no-pci", "--no-telemetry",
		         prefix, "--log-level=1", "-l", "0",   NULL };
	struct rte_mempool *mp;

	snprintf(prefix, sizeof(prefix), "--file-prefix=weir-t%d", (int)getpid());
	strings();
	preflight();
	if (rte_eal_init(10, argv) < 0) {
		SKIP("EAL does not start here");
		return tap_done();
	}
	mp = wr_mem_mbufs_eal("test", 8192, WR_ETH_DATA_ROOM, 0);
	OK(mp != NULL, "a pool");
	refused(mp);
	bursts(mp);
	retire();
	rte_eal_cleanup();
	return tap_done();
}
