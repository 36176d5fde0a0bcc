/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frames - raw frames for tests, written byte by byte with a checksum of their own: nothing here
 * comes from pkt/, so a fault there cannot cancel itself out.
 */
#ifndef WR_TESTS_PKT_FRAMES_H
#define WR_TESTS_PKT_FRAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct raw {
	uint8_t b[4096];
	unsigned n, l3, l4, ip_end;
	bool v6;
};

static inline void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline uint32_t naive_sum(const uint8_t *p, unsigned n, uint32_t s)
{
	for (unsigned i = 0; i < n; i++)
		s += (i & 1) ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static inline void fix_ip4(struct raw *r)
{
	uint8_t *h = r->b + r->l3;

	put16(h + 10, 0);
	put16(h + 10, ~naive_sum(h, (h[0] & 15u) * 4, 0) & 0xffff);
}

static inline unsigned tcp_sum(const struct raw *r)
{
	const uint8_t *h = r->b + r->l3;
	unsigned n = r->ip_end - r->l4;
	uint32_t s = 6 + n;

	s = r->v6 ? naive_sum(h + 8, 32, s) : naive_sum(h + 12, 8, s);
	return naive_sum(r->b + r->l4, n, s);
}

static inline void fix_tcp(struct raw *r)
{
	put16(r->b + r->l4 + 16, 0);
	put16(r->b + r->l4 + 16, ~tcp_sum(r) & 0xffff);
}

/* Ethernet with the tags given (each a VID, at most two; QinQ types). */
static inline void raw_ether(struct raw *r, unsigned type, unsigned tags, const unsigned *vid)
{
	memset(r, 0, sizeof(*r));
	memcpy(r->b, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02", 12);
	r->n = 12;
	for (unsigned i = 0; i < tags; i++) {
		put16(r->b + r->n, i + 1 < tags ? 0x88a8 : 0x8100);
		put16(r->b + r->n + 2, 0x2000 | vid[i]);
		r->n += 4;
	}
	put16(r->b + r->n, type);
	r->n += 2;
	r->l3 = r->n;
}

struct raw_tcp {
	unsigned sport, dport, flags, window;
	uint32_t seq, ack;
	const uint8_t *opt;
	unsigned nopt;
	const void *data;
	unsigned ndata;
};

static inline void raw_tcp(struct raw *r, const struct raw_tcp *t)
{
	uint8_t *h = r->b + r->n;

	r->l4 = r->n;
	put16(h, t->sport);
	put16(h + 2, t->dport);
	put32(h + 4, t->seq);
	put32(h + 8, t->ack);
	h[12] = (uint8_t)((20 + t->nopt) / 4 << 4);
	h[13] = (uint8_t)t->flags;
	put16(h + 14, t->window);
	if (t->nopt)
		memcpy(h + 20, t->opt, t->nopt);
	if (t->ndata)
		memcpy(h + 20 + t->nopt, t->data, t->ndata);
	r->n += 20 + t->nopt + t->ndata;
	r->ip_end = r->n;
}

/* 192.0.2.1 -> 10.0.0.5; ip_opt: multiple of 4 bytes. */
static inline void raw_ip4(struct raw *r, const uint8_t *ip_opt, unsigned nopt,
                           const struct raw_tcp *t)
{
	uint8_t *h = r->b + r->n;

	h[0] = (uint8_t)(0x45 + nopt / 4);
	h[8] = 61;
	h[9] = 6;
	memcpy(h + 12, "\xc0\0\x02\x01\x0a\0\0\x05", 8);
	if (nopt)
		memcpy(h + 20, ip_opt, nopt);
	r->n += 20 + nopt;
	raw_tcp(r, t);
	put16(h + 2, r->ip_end - r->l3);
	fix_ip4(r);
	fix_tcp(r);
}

/* 2001:db8::1 -> fd00::5; ext: a chain of extension headers whose last one names TCP. */
static inline void raw_ip6(struct raw *r, unsigned first, const uint8_t *ext, unsigned next,
                           const struct raw_tcp *t)
{
	uint8_t *h = r->b + r->n;

	r->v6 = true;
	h[0] = 0x60;
	h[6] = (uint8_t)first;
	h[7] = 61;
	memcpy(h + 8, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	memcpy(h + 24, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05", 16);
	if (next)
		memcpy(h + 40, ext, next);
	r->n += 40 + next;
	raw_tcp(r, t);
	put16(h + 4, r->ip_end - r->l3 - 40);
	fix_tcp(r);
}

static inline void raw_pad(struct raw *r, unsigned n)
{
	memset(r->b + r->n, 0xee, n);
	r->n += n;
}

#endif
