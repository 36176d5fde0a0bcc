/* SPDX-License-Identifier: BSD-3-Clause */
/* frame - Ethernet, IPv4 or IPv6, TCP: written and read by hand, for the hosts of the tests. */
#include <string.h>

#include "sim/rig.h"

#define ETH       14u
#define OPT_MAX   40u
#define NEXT_TCP  6u
#define NEXT_FRAG 44u

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

static bool is_v6(const uint8_t *b)
{
	return b[12] == 0x86;
}

static uint32_t ip_head(const uint8_t *b)
{
	return is_v6(b) ? 40u : (b[ETH] & 15u) * 4;
}

uint32_t frame_ip_payload(const uint8_t *b, uint32_t len)
{
	return len - ETH - ip_head(b);
}

static uint16_t tcp_sum(const uint8_t *b, uint32_t n)
{
	const uint8_t *ip = b + ETH;
	uint32_t s = is_v6(b) ? sum16(ip + 8, 32, NEXT_TCP + n) : sum16(ip + 12, 8, NEXT_TCP + n);

	return fold(sum16(ip + ip_head(b), n, s));
}

static uint8_t *options(uint8_t *o, const struct seg *s)
{
	if (s->flags & F_SYN) {
		memcpy(o, "\x02\x04\x05\xb4", 4);
		o += 4;
		if (s->has_wscale) {
			memcpy(o, "\x01\x03\x03", 3);
			o[3] = s->wscale;
			o += 4;
		}
		if (s->sack_ok) {
			memcpy(o, "\x01\x01\x04\x02", 4);
			o += 4;
		}
	}
	if (s->has_ts) {
		memcpy(o, "\x01\x01\x08\x0a", 4);
		put32(o + 4, s->ts);
		put32(o + 8, s->ecr);
		o += 12;
	}
	if (s->nsack != 0) {
		o[0] = o[1] = 1;
		o[2] = 5;
		o[3] = (uint8_t)(2 + 8 * s->nsack);
		o += 4;
		for (uint32_t i = 0; i < s->nsack; i++, o += 8) {
			put32(o, s->sack[i][0]);
			put32(o + 4, s->sack[i][1]);
		}
	}
	return o;
}

static uint8_t *ip_make(uint8_t *b, const struct addr *from, const struct addr *to)
{
	uint8_t *ip = b + ETH;

	memcpy(b, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0", ETH);
	if (from->v6) {
		put16(b + 12, 0x86dd);
		ip[0] = 0x60;
		ip[6] = NEXT_TCP;
		ip[7] = 64;
		memcpy(ip + 8, from->ip, 16);
		memcpy(ip + 24, to->ip, 16);
		return ip + 40;
	}
	ip[0] = 0x45;
	ip[8] = 64;
	ip[9] = NEXT_TCP;
	memcpy(ip + 12, from->ip, 4);
	memcpy(ip + 16, to->ip, 4);
	return ip + 20;
}

/* IP length and IPv4 header checksum, from the frame's length. */
static void ip_close(uint8_t *b, uint32_t len)
{
	uint8_t *ip = b + ETH;

	if (is_v6(b)) {
		put16(ip + 4, len - ETH - 40);
		return;
	}
	put16(ip + 2, len - ETH);
	put16(ip + 10, 0);
	put16(ip + 10, fold(sum16(ip, 20, 0)));
}

uint32_t frame_make(uint8_t *b, const struct addr *from, const struct addr *to, const struct seg *s)
{
	uint8_t *t, *o;
	uint32_t len;

	memset(b, 0, ETH + 40 + 20 + OPT_MAX);
	t = ip_make(b, from, to);
	o = options(t + 20, s);
	put16(t, from->port);
	put16(t + 2, to->port);
	put32(t + 4, s->seq);
	put32(t + 8, s->ack);
	t[12] = (uint8_t)((o - t) / 4 << 4);
	t[13] = s->flags;
	put16(t + 14, s->window);
	if (s->len != 0)
		memcpy(o, s->data, s->len);
	len = (uint32_t)(o - b) + s->len;
	ip_close(b, len);
	put16(t + 16, tcp_sum(b, len - (uint32_t)(t - b)));
	return len;
}

void frame_spoil(uint8_t *b)
{
	b[ETH + ip_head(b) + 16] ^= 0x55;
}

uint32_t frame_cut(uint8_t *out, const uint8_t *whole, uint32_t from, uint32_t to, bool more,
                   uint32_t id)
{
	uint32_t head = ETH + ip_head(whole), at = head;

	memcpy(out, whole, head);
	if (is_v6(whole)) {
		uint8_t *f = out + at;

		out[ETH + 6] = NEXT_FRAG;
		f[0] = NEXT_TCP;
		f[1] = 0;
		put16(f + 2, from | (more ? 1u : 0u));
		put32(f + 4, id);
		at += 8;
	} else {
		put16(out + ETH + 4, id & 0xffff);
		put16(out + ETH + 6, from / 8 | (more ? 0x2000u : 0u));
	}
	memcpy(out + at, whole + head + from, to - from);
	ip_close(out, at + to - from);
	return at + to - from;
}

static void read_options(const uint8_t *o, const uint8_t *end, struct seg *s)
{
	while (o < end && o[0] != 0) {
		if (o[0] == 1) {
			o++;
			continue;
		}
		if (o + 1 >= end || o[1] < 2 || o + o[1] > end)
			return;
		if (o[0] == 3) {
			s->has_wscale = true;
			s->wscale = o[2];
		} else if (o[0] == 4) {
			s->sack_ok = true;
		} else if (o[0] == 5) {
			for (uint32_t i = 2; i + 8 <= o[1] && s->nsack < SACK_BLOCKS; i += 8) {
				s->sack[s->nsack][0] = get32(o + i);
				s->sack[s->nsack++][1] = get32(o + i + 4);
			}
		} else if (o[0] == 8) {
			s->has_ts = true;
			s->ts = get32(o + 2);
			s->ecr = get32(o + 6);
		}
		o += o[1];
	}
}

bool frame_read(const uint8_t *b, uint32_t len, struct seg *s)
{
	const uint8_t *ip = b + ETH, *t;
	uint32_t ihl, total;

	memset(s, 0, sizeof(*s));
	if (len < ETH + 40)
		return false;
	s->v6 = is_v6(b);
	ihl = ip_head(b);
	total = s->v6 ? get16(ip + 4) + 40 : get16(ip + 2);
	if ((s->v6 ? ip[6] : ip[9]) != NEXT_TCP || total + ETH > len || total < ihl + 20)
		return false;
	if (!s->v6 && (ihl != 20 || (get16(ip + 6) & 0x3fff) != 0))
		return false;
	t = ip + ihl;
	s->csum_ok = tcp_sum(b, total - ihl) == 0 && (s->v6 || fold(sum16(ip, 20, 0)) == 0);
	s->sport = (uint16_t)get16(t);
	s->dport = (uint16_t)get16(t + 2);
	s->seq = get32(t + 4);
	s->ack = get32(t + 8);
	s->flags = t[13];
	s->window = (uint16_t)get16(t + 14);
	s->data = t + (t[12] >> 4) * 4;
	s->len = (uint32_t)(ip + total - s->data);
	read_options(t + 20, s->data, s);
	return true;
}

bool frame_is_piece(const uint8_t *b)
{
	return is_v6(b) ? b[ETH + 6] == NEXT_FRAG
	                : b[12] == 8 && b[13] == 0 && (get16(b + ETH + 6) & 0x3fff) != 0;
}
