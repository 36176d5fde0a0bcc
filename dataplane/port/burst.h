/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * burst - the packet-path half of eth: ctx is one struct wr_eth_queue. Private to port/.
 */
#ifndef WR_PORT_BURST_H
#define WR_PORT_BURST_H

#include <stdint.h>

struct rte_mbuf;

struct wr_eth_queue {
	uint16_t port, queue;
};

uint16_t wr_eth_rx(void *ctx, struct rte_mbuf **m, uint16_t n);
uint16_t wr_eth_tx(void *ctx, struct rte_mbuf **m, uint16_t n);

#endif
