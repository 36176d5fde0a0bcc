/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pkt - one validated frame, and the lanes that a burst is sorted into.
 *
 * Filled by pkt/, read by flow/, tcp/, hold/ and worker/. Offsets are into the mbuf's data; pkt/
 * has proved that all of them lie inside it. Address and port are from the client's view: `client`
 * is the end on the client-side port, whatever the direction of this frame.
 */
#ifndef WR_HANDOFF_PKT_H
#define WR_HANDOFF_PKT_H

#include <rte_mbuf.h>
#include <stdint.h>

#include "abi/reason.h"
#include "base/base.h"

#define WR_BURST 64u

enum wr_side { WR_SIDE_CLIENT, WR_SIDE_STORE }; /* where the frame came in */

#define WR_TCP_FIN 0x01u
#define WR_TCP_SYN 0x02u
#define WR_TCP_RST 0x04u
#define WR_TCP_PSH 0x08u
#define WR_TCP_ACK 0x10u
#define WR_TCP_URG 0x20u

/* The key is hashed as bytes, so no padding may be random. IPv4 is mapped: one key, one code path.
 */
struct wr_flow_key {
	uint8_t client[16], store[16];
	uint16_t client_port, store_port; /* in host order */
	uint16_t vlan; /* bits 0-11: outer VID, 0 = none; bits 12-15: high bits of the inner VID
	                  (QinQ) */
	uint8_t proto, inner_vlan; /* inner_vlan: low bits of the inner VID, 0 = none */
};
static_assert(sizeof(struct wr_flow_key) == 40, "hashed as five words");

#define WR_PKT_TSTAMP 0x01u /* ts_val, ts_ecr are valid */
#define WR_PKT_V6     0x02u
#define WR_PKT_MSS    0x04u
#define WR_PKT_WSCALE 0x08u
#define WR_PKT_SACKOK 0x10u
#define WR_PKT_ODDOPT                                                                              \
	0x20u /* a SYN carries an option that must be blanked (MPTCP, TFO, MD5, unknown) */

struct wr_pkt {
	struct rte_mbuf *m;
	struct wr_flow_key key;
	uint64_t hash; /* keyed hash of key */
	uint32_t seq, ack;
	uint32_t ts_val, ts_ecr;
	uint16_t l3, l4, payload; /* offsets into the frame */
	uint16_t len;             /* payload bytes, Ethernet padding excluded */
	uint16_t window;          /* unscaled */
	uint16_t mss;
	uint8_t tcp_flags, opt; /* WR_TCP_*, WR_PKT_* */
	uint8_t wscale, side;   /* enum wr_side */
	uint8_t service;        /* index into conf->service */
	uint8_t ttl, reason;    /* enum wr_reason for the pass and drop lanes */
	uint8_t pad;
};

/* Three lanes; a frame is in exactly one. The caller owns the arrays. */
struct wr_lanes {
	uint16_t ninspect, npass, ndrop;
	struct wr_pkt inspect[WR_BURST];
	struct rte_mbuf *pass[WR_BURST];
	struct rte_mbuf *drop[WR_BURST];
};

static inline uint8_t *wr_pkt_payload(const struct wr_pkt *p)
{
	return rte_pktmbuf_mtod_offset(p->m, uint8_t *, p->payload);
}

#endif
