/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * build - frames that Weir writes itself, and changes to frames that it forwards, checksums right.
 *
 * takes    a template (what a connection's frames look like below TCP) and an empty mbuf, or a
 * frame that pkt/ has validated and that nobody else holds (refcnt 1) gives    the frame, ready for
 * the port threads  pure: touches its arguments only limits   one segment: WR_PKT_BUILD_HEAD bytes
 * of headers at most and the data must fit the mbuf fails    _build: false when it does not fit;
 * the mbuf is then still empty see      docs/concepts/hold.md, tests/unit/pkt/test_build.c
 */
#ifndef WR_PKT_BUILD_H
#define WR_PKT_BUILD_H

#include "handoff/pkt.h"

#define WR_PKT_BUILD_HEAD                                                                          \
	(22u + 40u + 32u) /* Ethernet with two tags, IPv6, TCP with timestamps                     \
	                   */

/* One per direction: the store side's frames may come from another router than the client's. */
struct wr_pkt_template {
	uint8_t l2[22];     /* Ethernet and tags, up to and with the last ethertype */
	uint8_t l2_len, v6; /* l2_len 0: nothing is known */
	uint8_t tos, ttl;
};

/* From a validated frame: what frames of its direction look like. */
void wr_pkt_template_take(struct wr_pkt_template *t, const struct wr_pkt *p);
/* The opposite direction, for when no frame of it has been seen: swaps the MAC addresses. */
void wr_pkt_template_reverse(struct wr_pkt_template *out, const struct wr_pkt_template *t);

struct wr_pkt_seg {
	uint32_t seq, ack;
	uint32_t ts_val, ts_ecr;
	uint16_t window; /* as it goes on the wire, unscaled */
	uint16_t len;    /* bytes at data */
	uint8_t flags;   /* WR_TCP_* */
	uint8_t opt;     /* WR_PKT_TSTAMP: with timestamps */
	const void *data;
};

/* Writes one segment as if the end on side `from` had sent it. m must be empty and of one segment.
 */
bool wr_pkt_build(struct rte_mbuf *m, const struct wr_pkt_template *t,
                  const struct wr_flow_key *key, enum wr_side from, const struct wr_pkt_seg *seg);

/* --- changes to a frame; p and the frame stay consistent
 * --------------------------------------------- */

void wr_pkt_set_seq(struct wr_pkt *p, uint32_t seq);
void wr_pkt_set_ack(struct wr_pkt *p, uint32_t ack);
void wr_pkt_set_window(struct wr_pkt *p, uint16_t window);
/* Flags; clearing URG also zeroes the urgent pointer. */
void wr_pkt_set_flags(struct wr_pkt *p, uint8_t flags);
void wr_pkt_set_timestamps(struct wr_pkt *p, uint32_t ts_val,
                           uint32_t ts_ecr); /* only where it has them */
/* Overwrites payload bytes [at, at + n) with src. */
void wr_pkt_set_payload(struct wr_pkt *p, uint16_t at, const void *src, uint16_t n);
/* Cuts the payload to its first n bytes; padding behind it goes too. */
void wr_pkt_trim(struct wr_pkt *p, uint16_t n);
/* Removes the first n payload bytes and advances seq; headers move up, so the frame gets shorter.
 */
void wr_pkt_trim_front(struct wr_pkt *p, uint16_t n);
/* Overwrites every option that Weir does not follow (WR_PKT_ODDOPT) with NOPs; returns how many. */
unsigned wr_pkt_blank_options(struct wr_pkt *p);
/* True when IP and TCP checksums are right: for assertions and tests. */
bool wr_pkt_checksums_ok(const struct wr_pkt *p);

#endif
