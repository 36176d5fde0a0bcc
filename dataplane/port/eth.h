/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eth - the ports of a link as DPDK ethdevs: found, checked, configured at boot.
 *
 * takes    device strings of the configuration: a PCI address, or a virtual device "net_xxx0,args";
 * one per port, or one per queue; a pool of receive buffers per queue gives    struct wr_port per
 * queue; device counters owns     the devices it started threads  _new, _free, _stats: main lcore.
 * The wr_port of a queue: its worker. limits   WR_QUEUES_MAX queues; frames of one buffer: an MTU
 * above it is refused here fails    -errno and one line in err that says what to do see
 * docs/concepts/where-it-sits.md, tests/unit/port
 *
 * No offload is asked for: checksums are Weir's to prove, a segmented frame cannot be sent by every
 * driver, and MBUF_FAST_FREE would free frames that someone still holds.
 */
#ifndef WR_PORT_ETH_H
#define WR_PORT_ETH_H

#include "abi/conf.h"
#include "abi/stats.h"
#include "base/base.h"
#include "port/port.h"

#define WR_ETH_DATA_ROOM 2048u /* bytes of frame in a receive buffer */
/* Ethernet, two tags, and four bytes that some drivers leave room for. */
#define WR_ETH_MTU_MAX (WR_ETH_DATA_ROOM - 14u - 8u - 4u)

struct wr_eth;
struct rte_mempool;

bool wr_eth_is_pci(const char *device);
/* The driver wants its buffers in one registered area (AF_XDP). */
bool wr_eth_is_af_xdp(const struct wr_conf_port *p);
/* Copies the value of key=value of a virtual device; false when there is none or no room. */
bool wr_eth_arg(const char *device, const char *key, char *out, size_t n);

/* Before EAL: does the interface of each virtual device exist, does its MTU fit? 0, or -errno and
 * err. */
WR_MUST_USE int wr_eth_preflight(const struct wr_conf_port *p, const char *name, char *err,
                                 size_t n);

/*
 * AF_XDP registers populated_size times the object size from the pool's first byte on, but objects
 * never cross a page, so the last ones lie beyond and their frames would be lost without a word.
 * Takes those out of the pool for good; returns how many. Before anything is received.
 */
uint32_t wr_eth_retire(struct rte_mempool *mp);

struct wr_eth_args {
	const struct wr_conf_port *port;
	const char *name; /* for messages: "a.client" */
	uint32_t queues;
	struct rte_mempool *pool[WR_QUEUES_MAX];
};
WR_MUST_USE int wr_eth_new(const struct wr_eth_args *a, struct wr_eth **out, char *err, size_t n);
void wr_eth_free(struct wr_eth *e); /* NULL is allowed */

void wr_eth_port(struct wr_eth *e, uint32_t queue, struct wr_port *out);
/* The ethdev that carries the queue. */
uint16_t wr_eth_id(const struct wr_eth *e, uint32_t queue);
void wr_eth_stats(const struct wr_eth *e, struct wr_stats_dev *out);

#endif
