/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port - rx and tx bursts of one side of a link, whatever is behind it.
 *
 * takes    mbufs to send: on success they belong to the port, the rest stays the caller's
 * gives    mbufs received: they belong to the caller
 * threads  one wr_port per worker and side; nothing shared
 * limits   WR_BURST frames a call; frames of one segment only (af_xdp sends only the first)
 * see      docs/concepts/where-it-sits.md
 *
 * Why two function pointers and not rte_eth_* in the loop: the simulation and the bench put an
 * in-memory wire here and run the same worker. One indirect call per burst of up to 64 frames.
 */
#ifndef WR_PORT_PORT_H
#define WR_PORT_PORT_H

#include <stdint.h>

struct rte_mbuf;

struct wr_port {
	uint16_t (*rx)(void *ctx, struct rte_mbuf **m, uint16_t n);
	uint16_t (*tx)(void *ctx, struct rte_mbuf **m, uint16_t n);
	void *ctx;
};

#endif
