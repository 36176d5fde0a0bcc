/* SPDX-License-Identifier: BSD-3-Clause */
/* proxy - the PROXY protocol header, text (v1) and binary (v2), gathered in the head slot. */
#include <arpa/inet.h>

#include "base/bytes.h"
#include "http/int.h"

#define V1_MAX  107u /* the specification's longest line */
#define V2_HEAD 16u

static const uint8_t v2_sig[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
	                            0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

static void map4(uint8_t out[16], const void *a)
{
	memset(out, 0, 10);
	out[10] = out[11] = 0xff;
	memcpy(out + 12, a, 4);
}

/* Cuts the next word off; words are parted by exactly one space. */
static bool word(struct wr_str *s, char *out, uint32_t size)
{
	uint32_t n = 0;

	while (n < s->len && s->p[n] != ' ')
		n++;
	if (n == 0 || n >= size)
		return false;
	memcpy(out, s->p, n);
	out[n] = '\0';
	s->p += n;
	s->len -= n;
	if (s->len > 0)
		s->p++, s->len--;
	return true;
}

static bool port(struct wr_str *s, uint16_t *out)
{
	char t[8];
	uint32_t v = 0;

	if (!word(s, t, 6))
		return false;
	for (const char *c = t; *c != '\0'; c++) {
		if (*c < '0' || *c > '9')
			return false;
		v = v * 10 + (uint32_t)(*c - '0');
	}
	*out = (uint16_t)v;
	return v <= UINT16_MAX && (t[0] != '0' || t[1] == '\0');
}

static bool address(struct wr_str *s, int af, uint8_t out[16])
{
	char t[48];
	uint8_t a[16];

	/* inet_pton is a pure function: no lookup, no allocation. */
	if (!word(s, t, sizeof(t)) || inet_pton(af, t, a) != 1)
		return false;
	if (af == AF_INET)
		map4(out, a);
	else
		memcpy(out, a, 16);
	return true;
}

static int parse_v1(struct wr_str s, struct wr_http_proxy *o)
{
	char t[8];
	int af;

	o->source = WR_SRC_PROXY_V1;
	if (!word(&s, t, 6) || strcmp(t, "PROXY") != 0)
		return -1;
	if (s.len >= 7 && memcmp(s.p, "UNKNOWN", 7) == 0)
		return 1;
	if (!word(&s, t, 5))
		return -1;
	af = strcmp(t, "TCP4") == 0 ? AF_INET : strcmp(t, "TCP6") == 0 ? AF_INET6 : -1;
	if (af < 0 || !address(&s, af, o->src) || !address(&s, af, o->dst) ||
	    !port(&s, &o->sport) || !port(&s, &o->dport) || s.len != 0)
		return -1;
	o->known = 1;
	return 1;
}

static int parse_v2(const uint8_t *b, uint32_t len, struct wr_http_proxy *o)
{
	uint32_t cmd = b[12] & 15u, family = b[13];

	o->source = WR_SRC_PROXY_V2;
	if (b[12] >> 4 != 2 || cmd > 1)
		return -1;
	if (cmd == 0) /* LOCAL: the proxy itself speaks */
		return 1;
	b += V2_HEAD;
	if (family == 0x11) {
		if (len < 12)
			return -1;
		map4(o->src, b);
		map4(o->dst, b + 4);
		b += 8;
	} else if (family == 0x21) {
		if (len < 36)
			return -1;
		memcpy(o->src, b, 16);
		memcpy(o->dst, b + 16, 16);
		b += 32;
	} else {
		return family == 0 ? 1 : -1;
	}
	o->sport = wr_get_be16(b);
	o->dport = wr_get_be16(b + 2);
	o->known = 1;
	return 1;
}

/* Judges what has been gathered so far; bytes arrive one at a time, so no cut can change the
 * answer. */
static int gathered(struct wr_http_req *h, struct head_slot *s, struct wr_http_proxy *o)
{
	const uint8_t *b = (const uint8_t *)s->buf;

	if (b[0] == 'P') {
		if (h->proxy == WR_PROXY_V2 || memcmp(b, "PROXY ", wr_min_u32(s->used, 6)) != 0)
			return -1;
		if (b[s->used - 1] != '\n')
			return s->used >= V1_MAX ? -1 : 0;
		if (s->used < 2 || b[s->used - 2] != '\r' || memchr(b, '\r', s->used - 2u) != NULL)
			return -1;
		return parse_v1((struct wr_str){ s->buf, s->used - 2u }, o);
	}
	if (h->proxy == WR_PROXY_V1 || memcmp(b, v2_sig, wr_min_u32(s->used, 12)) != 0)
		return -1;
	if (s->used < V2_HEAD)
		return 0;
	if (V2_HEAD + wr_get_be16(b + 14) > WR_HTTP_PROXY_V2_MAX)
		return -1;
	return s->used < V2_HEAD + wr_get_be16(b + 14) ? 0 : parse_v2(b, wr_get_be16(b + 14), o);
}

int wr_http_proxy_bytes(struct wr_http_req *h, struct wr_span *in, struct wr_http_proxy *out)
{
	struct head_slot *s = slot_of(h);
	int r = 0;

	memset(out, 0, sizeof(*out));
	while (r == 0 && in->p < in->end) {
		s->buf[s->used++] = (char)*in->p++;
		in->off++;
		r = gathered(h, s, out);
	}
	return r;
}
