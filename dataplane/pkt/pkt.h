/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pkt - validates frames and sorts a burst into the lanes inspect, pass and drop.
 *
 * takes    mbufs of one segment, as the port gave them
 * gives    struct wr_pkt (handoff/pkt.h) for TCP to or from a configured service, headers and
 * checksums proved; everything else passes as it came or is dropped with a reason owns     nothing:
 * each mbuf is in exactly one lane and belongs to the caller, who also counts fates threads
 * lcore-local; writes only the counters of lc and the mbufs' lanes limits   WR_BURST frames a call,
 * WR_PKT_TAGS VLAN tags, WR_PKT_EXTENSIONS IPv6 extension headers fails    never: a refusal is a
 * reason, counted here see      docs/concepts/one-burst.md, tests/unit/pkt, tests/fuzz/pkt
 *
 * What may not be classified may not pass: a frame whose IP header lies is dropped whether or not
 * it is for a service, because the store might read it more leniently than we do.
 */
#ifndef WR_PKT_PKT_H
#define WR_PKT_PKT_H

#include "handoff/pkt.h"
#include "lcore/lcore.h"

#define WR_PKT_TAGS       2u
#define WR_PKT_EXTENSIONS 8u

void wr_pkt_sort_burst(struct wr_lcore *lc, enum wr_side side, struct rte_mbuf **m, uint16_t n,
                       struct wr_lanes *out);

/*
 * One frame. WR_R_NONE: *p is filled and to be inspected. Any other reason: wr_reason_info()'s
 * default says whether it passes (WIRE) or ends (DROP). Counts nothing.
 */
enum wr_reason wr_pkt_parse(const struct wr_lcore *lc, enum wr_side side, struct rte_mbuf *m,
                            struct wr_pkt *p);

/*
 * The index of the first service that has this store address (IPv4 mapped) and port, or -1.
 * WR_PKT_ANY_PORT: of the first with this address that inspects every port.
 */
bool wr_pkt_service_has(const struct wr_conf_service *s, const uint8_t addr[16]);
#define WR_PKT_ANY_PORT 0x10000u
int wr_pkt_service(const struct wr_conf *c, const uint8_t addr[16], uint32_t port);

#endif
