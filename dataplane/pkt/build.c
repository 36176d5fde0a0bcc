/* SPDX-License-Identifier: BSD-3-Clause */
#include "pkt/build.h"

#include "base/bytes.h"
#include "pkt/csum.h"
#include "pkt/ip.h"

#define TTL_DEFAULT  64u
#define IP4_BYTES    20u
#define IP6_BYTES    40u
#define TCP_BYTES    20u
#define TSTAMP_BYTES 12u /* NOP, NOP, option */

static uint8_t *frame(const struct wr_pkt *p)
{
	return rte_pktmbuf_mtod(p->m, uint8_t *);
}

static uint8_t *tcp_of(const struct wr_pkt *p)
{
	return frame(p) + p->l4;
}

/* --- templates
 * -------------------------------------------------------------------------------------- */

void wr_pkt_template_take(struct wr_pkt_template *t, const struct wr_pkt *p)
{
	const uint8_t *b = frame(p), *h = b + p->l3;

	WR_ASSERT(p->l3 >= 14 && p->l3 <= sizeof(t->l2));
	memset(t, 0, sizeof(*t));
	memcpy(t->l2, b, p->l3);
	t->l2_len = (uint8_t)p->l3;
	t->v6 = (p->opt & WR_PKT_V6) != 0;
	t->tos = t->v6 ? (uint8_t)(wr_get_be16(h) >> 4) : h[1];
	t->tos &= 0xfc; /* DSCP without ECN: Weir answers no congestion mark */
	t->ttl = p->ttl;
}

void wr_pkt_template_reverse(struct wr_pkt_template *out, const struct wr_pkt_template *t)
{
	struct wr_pkt_template r = *t;

	memcpy(r.l2, t->l2 + 6, 6);
	memcpy(r.l2 + 6, t->l2, 6);
	/* The TTL left over from the other direction says nothing about this one. */
	r.ttl = TTL_DEFAULT;
	*out = r;
}

/* --- whole frames
 * ------------------------------------------------------------------------------------ */

static void put_ip4(uint8_t *h, const struct wr_pkt_template *t, const uint8_t *src,
                    const uint8_t *dst, uint32_t n)
{
	uint16_t sum;

	memset(h, 0, IP4_BYTES);
	h[0] = 0x45;
	h[1] = t->tos;
	wr_put_be16(h + 2, (uint16_t)(IP4_BYTES + n));
	wr_put_be16(h + 6, 0x4000); /* DF: with it, an ID of 0 is legal (RFC 6864) */
	h[8] = t->ttl != 0 ? t->ttl : TTL_DEFAULT;
	h[9] = WR_IP_TCP;
	memcpy(h + 12, src + 12, 4);
	memcpy(h + 16, dst + 12, 4);
	sum = (uint16_t)~wr_csum_fold(wr_csum_head(h, IP4_BYTES));
	memcpy(h + 10, &sum, 2);
}

static void put_ip6(uint8_t *h, const struct wr_pkt_template *t, const uint8_t *src,
                    const uint8_t *dst, uint32_t n)
{
	wr_put_be32(h, 0x60000000u | (uint32_t)t->tos << 20);
	wr_put_be16(h + 4, (uint16_t)n);
	h[6] = WR_IP_TCP;
	h[7] = t->ttl != 0 ? t->ttl : TTL_DEFAULT;
	memcpy(h + 8, src, 16);
	memcpy(h + 24, dst, 16);
}

static void put_tcp(uint8_t *h, uint16_t sport, uint16_t dport, const struct wr_pkt_seg *seg)
{
	bool ts = (seg->opt & WR_PKT_TSTAMP) != 0;

	wr_put_be16(h, sport);
	wr_put_be16(h + 2, dport);
	wr_put_be32(h + 4, seg->seq);
	wr_put_be32(h + 8, seg->ack);
	h[12] = (uint8_t)((TCP_BYTES + (ts ? TSTAMP_BYTES : 0)) / 4 << 4);
	h[13] = seg->flags;
	wr_put_be16(h + 14, seg->window);
	wr_put_be32(h + 16, 0);
	if (ts) {
		wr_put_be32(h + 20, 0x0101080au);
		wr_put_be32(h + 24, seg->ts_val);
		wr_put_be32(h + 28, seg->ts_ecr);
	}
}

bool wr_pkt_build(struct rte_mbuf *m, const struct wr_pkt_template *t,
                  const struct wr_flow_key *key, enum wr_side from, const struct wr_pkt_seg *seg)
{
	const uint8_t *src = from == WR_SIDE_CLIENT ? key->client : key->store;
	const uint8_t *dst = from == WR_SIDE_CLIENT ? key->store : key->client;
	uint16_t sport = from == WR_SIDE_CLIENT ? key->client_port : key->store_port;
	uint16_t dport = from == WR_SIDE_CLIENT ? key->store_port : key->client_port;
	uint32_t head = TCP_BYTES + ((seg->opt & WR_PKT_TSTAMP) != 0 ? TSTAMP_BYTES : 0);
	uint32_t ip_bytes = t->v6 ? IP6_BYTES : IP4_BYTES, n = head + seg->len;
	struct wr_ip ip = { .l3 = t->l2_len, .v6 = t->v6 != 0 };
	uint8_t *b, *tcp;
	uint16_t sum;

	WR_ASSERT(t->l2_len != 0 && m->nb_segs == 1 && m->data_len == 0);
	if (t->l2_len + ip_bytes + n > rte_pktmbuf_tailroom(m) || ip_bytes + n > UINT16_MAX)
		return false;
	b = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(t->l2_len + ip_bytes + n));
	memcpy(b, t->l2, t->l2_len);
	if (t->v6)
		put_ip6(b + t->l2_len, t, src, dst, n);
	else
		put_ip4(b + t->l2_len, t, src, dst, n);
	tcp = b + t->l2_len + ip_bytes;
	put_tcp(tcp, sport, dport, seg);
	if (seg->len != 0)
		memcpy(tcp + head, seg->data, seg->len);
	sum = (uint16_t)~wr_csum_fold(wr_ip_pseudo(b, &ip, n) + wr_csum_bytes(tcp, n));
	memcpy(tcp + 16, &sum, 2);
	return true;
}

/* --- changes
 * ------------------------------------------------------------------------------------------- */

/* Overwrites n bytes (even, at an even offset of the TCP header) and keeps the checksum right. */
static void patch(struct wr_pkt *p, uint32_t off, const void *new, uint32_t n)
{
	uint8_t *t = tcp_of(p), *at = t + off;
	uint64_t old = wr_csum_bytes(at, n);

	memcpy(at, new, n);
	wr_csum_update(t + 16, old, wr_csum_bytes(at, n));
}

void wr_pkt_set_seq(struct wr_pkt *p, uint32_t seq)
{
	uint32_t v = htobe32(seq);

	patch(p, 4, &v, 4);
	p->seq = seq;
}

void wr_pkt_set_ack(struct wr_pkt *p, uint32_t ack)
{
	uint32_t v = htobe32(ack);

	patch(p, 8, &v, 4);
	p->ack = ack;
}

void wr_pkt_set_window(struct wr_pkt *p, uint16_t window)
{
	uint16_t v = htobe16(window);

	patch(p, 14, &v, 2);
	p->window = window;
}

void wr_pkt_set_flags(struct wr_pkt *p, uint8_t flags)
{
	uint8_t word[2] = { tcp_of(p)[12], flags };
	uint16_t none = 0;

	if ((p->tcp_flags & WR_TCP_URG) != 0 && (flags & WR_TCP_URG) == 0)
		patch(p, 18, &none, 2);
	patch(p, 12, word, 2);
	p->tcp_flags = flags;
}

/* Calls fn for each option; fn gets the offset from the TCP header and kind, len (1 for NOP). */
static uint32_t next_option(const uint8_t *t, uint32_t head, uint32_t *at, uint32_t *kind)
{
	while (*at < head) {
		*kind = t[*at];
		if (*kind == 0)
			return 0;
		if (*kind == 1) {
			(*at)++;
			continue;
		}
		/* pkt/ has proved the lengths; a caller that did not go through it stops here. */
		if (head - *at < 2 || t[*at + 1] < 2 || t[*at + 1] > head - *at)
			return 0;
		return t[*at + 1];
	}
	return 0;
}

/* As patch, for bytes at any offset: the words around them are summed before and after. */
static void patch_any(struct wr_pkt *p, uint32_t off, const void *new, uint32_t n)
{
	uint32_t seg = (uint32_t)p->payload - p->l4 + p->len;
	uint32_t from = off & ~1u, to = wr_min_u32((off + n + 1) & ~1u, seg);
	uint8_t *t = tcp_of(p);
	uint64_t old = wr_csum_bytes(t + from, to - from);

	memcpy(t + off, new, n);
	wr_csum_update(t + 16, old, wr_csum_bytes(t + from, to - from));
}

void wr_pkt_set_timestamps(struct wr_pkt *p, uint32_t ts_val, uint32_t ts_ecr)
{
	uint32_t head = (uint32_t)p->payload - p->l4, at = TCP_BYTES, kind, len;
	uint8_t word[8];

	wr_put_be32(word, ts_val);
	wr_put_be32(word + 4, ts_ecr);
	while ((len = next_option(tcp_of(p), head, &at, &kind)) != 0) {
		if (kind == 8 && len == 10) {
			patch_any(p, at + 2, word, 8);
			p->ts_val = ts_val;
			p->ts_ecr = ts_ecr;
		}
		at += len;
	}
}

unsigned wr_pkt_blank_options(struct wr_pkt *p)
{
	uint32_t head = (uint32_t)p->payload - p->l4, at = TCP_BYTES, kind, len;
	unsigned blanked = 0;
	uint8_t nop[40];

	memset(nop, 1, sizeof(nop));
	while ((len = next_option(tcp_of(p), head, &at, &kind)) != 0) {
		if (kind > 8 || kind == 6 || kind == 7) {
			patch_any(p, at, nop, len);
			blanked++;
		}
		at += len;
	}
	p->opt &= (uint8_t)~WR_PKT_ODDOPT;
	return blanked;
}

void wr_pkt_set_payload(struct wr_pkt *p, uint16_t at, const void *src, uint16_t n)
{
	WR_ASSERT((uint32_t)at + n <= p->len);
	if (n != 0)
		patch_any(p, (uint32_t)p->payload - p->l4 + at, src, n);
}

/* Lengths in the IP header and the frame after the datagram became `less` bytes shorter. */
static void shorten(struct wr_pkt *p, uint32_t less)
{
	uint8_t *h = frame(p) + p->l3;
	uint32_t n = (uint32_t)p->payload - p->l3 + p->len;
	uint16_t old, new;

	if ((p->opt & WR_PKT_V6) != 0) {
		wr_put_be16(h + 4, (uint16_t)(n - IP6_BYTES));
	} else {
		old = wr_csum_load16(h + 2);
		wr_put_be16(h + 2, (uint16_t)n);
		new = wr_csum_load16(h + 2);
		wr_csum_update(h + 10, old, new);
	}
	/* The TCP length is part of the pseudo header. */
	wr_csum_update(tcp_of(p) + 16, htobe16((uint16_t)(n - (uint32_t)(p->l4 - p->l3) + less)),
	               htobe16((uint16_t)(n - (uint32_t)(p->l4 - p->l3))));
	p->m->data_len = (uint16_t)(p->l3 + n);
	p->m->pkt_len = p->l3 + n;
}

void wr_pkt_trim(struct wr_pkt *p, uint16_t n)
{
	uint32_t head = (uint32_t)p->payload - p->l4, less;
	uint8_t *cut, zero = 0;
	uint64_t old;

	WR_ASSERT(n <= p->len);
	less = (uint32_t)p->len - n;
	/* An odd first byte shares its word with the last kept one: blank it before the words go.
	 */
	if (less != 0 && ((head + n) & 1) != 0) {
		patch_any(p, head + n, &zero, 1);
		cut = tcp_of(p) + head + n + 1;
		old = wr_csum_bytes(cut, less - 1);
	} else {
		cut = tcp_of(p) + head + n;
		old = wr_csum_bytes(cut, less);
	}
	wr_csum_update(tcp_of(p) + 16, old, 0);
	p->len = n;
	shorten(p, less);
}

void wr_pkt_trim_front(struct wr_pkt *p, uint16_t n)
{
	uint8_t *b = frame(p);
	struct wr_ip ip = { .l3 = p->l3, .v6 = (p->opt & WR_PKT_V6) != 0 };
	uint32_t seg;
	uint16_t sum = 0;

	WR_ASSERT(n <= p->len);
	memmove(b + n, b, p->payload);
	(void)rte_pktmbuf_adj(p->m, n);
	p->len = (uint16_t)(p->len - n);
	p->seq += n;
	wr_put_be32(tcp_of(p) + 4, p->seq);
	shorten(p, n);
	/* Bytes moved from odd to even places may have changed every word: sum anew. */
	seg = (uint32_t)p->payload - p->l4 + p->len;
	memcpy(tcp_of(p) + 16, &sum, 2);
	sum = (uint16_t)~wr_csum_fold(wr_ip_pseudo(frame(p), &ip, seg) +
	                              wr_csum_bytes(tcp_of(p), seg));
	memcpy(tcp_of(p) + 16, &sum, 2);
}

bool wr_pkt_checksums_ok(const struct wr_pkt *p)
{
	struct wr_ip ip = { .l3 = p->l3, .v6 = (p->opt & WR_PKT_V6) != 0 };
	uint32_t seg = (uint32_t)p->payload - p->l4 + p->len;

	if (!ip.v6 &&
	    wr_csum_fold(wr_csum_head(frame(p) + p->l3, (uint32_t)p->l4 - p->l3)) != 0xffff)
		return false;
	return wr_csum_fold(wr_ip_pseudo(frame(p), &ip, seg) + wr_csum_bytes(tcp_of(p), seg)) ==
	       0xffff;
}
