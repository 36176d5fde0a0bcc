/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/burst.h"

#include <rte_ethdev.h>

uint16_t wr_eth_rx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	const struct wr_eth_queue *q = ctx;

	return rte_eth_rx_burst(q->port, q->queue, m, n);
}

uint16_t wr_eth_tx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	const struct wr_eth_queue *q = ctx;

	return rte_eth_tx_burst(q->port, q->queue, m, n);
}
