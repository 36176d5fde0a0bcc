/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig - the wire, frames and chance: what the simulation, the scripts and the fuzz targets share.
 *
 * takes    nothing of the product: frames are made and read here by hand (RFC 791, 8200, 9293)
 * gives    frames, each copied as it crosses the wire, so that no host ever holds an mbuf of Weir's
 * owns     frames in flight and a list of free ones
 * limits   FRAME_MAX bytes a frame
 *
 * Loss, delay, reordering and duplication come from one seed; a failing one is played again with
 * `sim --seed N --schedules 1 -v`.
 */
#ifndef WR_SIM_RIG_H
#define WR_SIM_RIG_H

#include <stdbool.h>
#include <stdint.h>

#define FRAME_MAX   1600u
#define QUEUES      2u /* workers that a wire may end at */
#define SACK_BLOCKS 3u

struct rng {
	uint64_t s;
};

uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* 0..n-1 */
bool rng_chance(struct rng *r, uint32_t percent);

/* What the sender knows of a frame; no host that gets it looks at this, only the statistics. */
struct meta {
	uint32_t off, len; /* payload, as stream offsets of its sender */
	uint8_t tags, pair, queue;
	bool is_store;
};
#define TAG_RTO     1u   /* sent because a timer fired */
#define TAG_PROBE   2u   /* one byte beyond the window, or a one-byte repeat */
#define TAG_DECOY   4u   /* marked bytes replaced by others */
#define TAG_BROKEN  8u   /* goes nowhere: bad checksum, old timestamp */
#define TAG_PIECE   16u  /* a fragment */
#define TAG_ANSWER  32u  /* Weir's answer to a blocked client */
#define TAG_OVERLAP 64u  /* from the evil client's own hand */
#define TAG_SPOIL   128u /* its TCP checksum is made wrong */

struct frame {
	uint64_t at;
	uint32_t len;
	struct meta meta;
	struct frame *next;
	uint8_t b[FRAME_MAX];
};

enum hop { CLIENT_TO_WEIR, WEIR_TO_STORE, STORE_TO_WEIR, WEIR_TO_CLIENT, HOPS };

struct wire {
	struct frame *q[HOPS][QUEUES]; /* sorted by arrival */
	struct frame *free;
	uint64_t now;
	uint32_t loss[HOPS], dup, reorder; /* percent, per hop */
	uint64_t delay_ns;
};

/* False: lost. */
bool wire_put(struct wire *w, struct rng *r, enum hop h, const struct frame *f);
struct frame *wire_get(struct wire *w, enum hop h, uint32_t queue); /* arrived, or NULL */
void wire_done(struct wire *w, struct frame *f);                    /* gives back what _get gave */
uint64_t wire_next(const struct wire *w); /* arrival of the next frame, UINT64_MAX = none */
bool wire_empty(const struct wire *w, enum hop h);
void wire_clear(struct wire *w);

/* What a frame says, for the hosts. */
struct seg {
	uint32_t seq, ack;
	uint16_t sport, dport, window;
	uint8_t flags, wscale;
	bool has_ts, has_wscale, csum_ok, sack_ok, v6;
	uint8_t nsack;
	uint32_t ts, ecr, sack[SACK_BLOCKS][2]; /* sequence numbers */
	const uint8_t *data;
	uint32_t len;
};
#define F_FIN 1u
#define F_SYN 2u
#define F_RST 4u
#define F_PSH 8u
#define F_ACK 16u
#define F_URG 32u

struct addr {
	uint8_t ip[16]; /* IPv4: the first four */
	uint16_t port;
	bool v6;
};
uint32_t frame_make(uint8_t *b, const struct addr *from, const struct addr *to,
                    const struct seg *s);
bool frame_read(const uint8_t *b, uint32_t len, struct seg *s);
/* Spoils the TCP checksum. */
void frame_spoil(uint8_t *b);
/*
 * The IP payload bytes [from, to) of a whole frame as a fragment; more: others follow. from is a
 * multiple of 8, and so is the length where more is true. Returns the fragment's length.
 */
uint32_t frame_cut(uint8_t *out, const uint8_t *whole, uint32_t from, uint32_t to, bool more,
                   uint32_t id);
bool frame_is_piece(const uint8_t *b);
uint32_t frame_ip_payload(const uint8_t *b, uint32_t len);

#endif
