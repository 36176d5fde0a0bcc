/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "sim/rig.h"

uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return n == 0 ? 0 : (uint32_t)(rng_next(r) % n);
}

bool rng_chance(struct rng *r, uint32_t percent)
{
	return rng_below(r, 100) < percent;
}

static void insert(struct wire *w, enum hop h, const uint8_t *b, uint32_t len, uint64_t at)
{
	struct frame *f = malloc(sizeof(*f)), **p = &w->q[h];

	if (f == NULL)
		abort();
	f->at = at;
	f->len = len;
	memcpy(f->b, b, len);
	while (*p != NULL && (*p)->at <= at)
		p = &(*p)->next;
	f->next = *p;
	*p = f;
}

void wire_put(struct wire *w, struct rng *r, enum hop h, const uint8_t *b, uint32_t len)
{
	uint64_t at = w->now + w->delay_ns;

	if (len > FRAME_MAX)
		abort();
	if (rng_chance(r, w->loss)) {
		w->lost[h]++;
		return;
	}
	if (rng_chance(r, w->reorder))
		at += rng_below(r, 8) * w->delay_ns;
	insert(w, h, b, len, at);
	w->carried[h]++;
	if (rng_chance(r, w->dup))
		insert(w, h, b, len, at + rng_below(r, 4) * w->delay_ns);
}

struct frame *wire_get(struct wire *w, enum hop h)
{
	struct frame *f = w->q[h];

	if (f == NULL || f->at > w->now)
		return NULL;
	w->q[h] = f->next;
	return f;
}

uint64_t wire_next(const struct wire *w)
{
	uint64_t at = UINT64_MAX;

	for (int h = 0; h < HOPS; h++)
		if (w->q[h] != NULL && w->q[h]->at < at)
			at = w->q[h]->at;
	return at;
}

void wire_clear(struct wire *w)
{
	for (int h = 0; h < HOPS; h++) {
		while (w->q[h] != NULL) {
			struct frame *f = w->q[h];

			w->q[h] = f->next;
			free(f);
		}
	}
}

/* --- frames
 * ------------------------------------------------------------------------------------------ */

static uint32_t sum16(const uint8_t *b, uint32_t n, uint32_t s)
{
	for (uint32_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)(b[i] << 8 | b[i + 1]);
	if (n & 1)
		s += (uint32_t)(b[n - 1] << 8);
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static uint16_t tcp_sum(const uint8_t *ip, uint32_t tcp_len)
{
	uint32_t s = sum16(ip + 12, 8, 6 + tcp_len);

	return fold(sum16(ip + 20, tcp_len, s));
}

uint32_t frame_make(uint8_t *b, const struct addr *from, const struct addr *to, const struct seg *s)
{
	uint8_t *ip = b + 14, *t = ip + 20, *o = t + 20;

	memset(b, 0, 14 + 20 + 20 + 40);
	memcpy(b, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0", 14);
	if (s->flags & F_SYN) {
		memcpy(o, "\x02\x04\x05\xb4", 4);
		o += 4;
		if (s->has_wscale) {
			memcpy(o, "\x01\x03\x03", 3);
			o[3] = s->wscale;
			o += 4;
		}
	}
	if (s->has_ts) {
		memcpy(o, "\x01\x01\x08\x0a", 4);
		put32(o + 4, s->ts);
		put32(o + 8, s->ecr);
		o += 12;
	}
	put16(t, from->port);
	put16(t + 2, to->port);
	put32(t + 4, s->seq);
	put32(t + 8, s->ack);
	t[12] = (uint8_t)((o - t) / 4 << 4);
	t[13] = s->flags;
	put16(t + 14, s->window);
	if (s->len != 0)
		memcpy(o, s->data, s->len);
	ip[0] = 0x45;
	put16(ip + 2, (uint32_t)(o - ip) + s->len);
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, from->ip, 4);
	memcpy(ip + 16, to->ip, 4);
	put16(ip + 10, fold(sum16(ip, 20, 0)));
	put16(t + 16, tcp_sum(ip, (uint32_t)(o - t) + s->len));
	return (uint32_t)(o - b) + s->len;
}

bool frame_read(const uint8_t *b, uint32_t len, struct seg *s)
{
	const uint8_t *ip = b + 14, *t, *o;
	uint32_t ihl, total;

	memset(s, 0, sizeof(*s));
	if (len < 54 || ip[0] >> 4 != 4 || ip[9] != 6)
		return false;
	ihl = (ip[0] & 15u) * 4;
	total = get16(ip + 2);
	t = ip + ihl;
	if (ihl != 20 || total + 14 > len)
		return false;
	s->csum_ok = tcp_sum(ip, total - ihl) == 0 && fold(sum16(ip, 20, 0)) == 0;
	s->sport = (uint16_t)get16(t);
	s->dport = (uint16_t)get16(t + 2);
	s->seq = get32(t + 4);
	s->ack = get32(t + 8);
	s->flags = t[13];
	s->window = (uint16_t)get16(t + 14);
	s->data = t + (t[12] >> 4) * 4;
	s->len = (uint32_t)(ip + total - s->data);
	for (o = t + 20; o < s->data && o[0] != 0;) {
		if (o[0] == 1) {
			o++;
			continue;
		}
		if (o[0] == 3) {
			s->has_wscale = true;
			s->wscale = o[2];
		} else if (o[0] == 8) {
			s->has_ts = true;
			s->ts = get32(o + 2);
			s->ecr = get32(o + 6);
		}
		if (o[1] < 2)
			break;
		o += o[1];
	}
	return true;
}
