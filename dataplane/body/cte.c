/* SPDX-License-Identifier: BSD-3-Clause */
/* cte - base64 and quoted-printable parts. RFC 7578 deprecates them; some servers still decode
 * them. */
#include "body/int.h"

static int digit64(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int digit16(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#define PADDED 0x80u /* in nquad: '=' came */

/* Bytes decoded from c: 0..1; -1: not decodable, -2: data behind the padding. */
static int base64_byte(struct layer *l, uint8_t c, uint8_t *out)
{
	int d = digit64(c);

	if (c == '\r' || c == '\n' || c == ' ' || c == '\t')
		return 0;
	if (c == '=') {
		/* Two digits need two, three need one. */
		if (!(l->nquad & PADDED) && (l->nquad & 3u) < 2)
			return -1;
		l->nquad |= PADDED;
		if (++l->nquad > (PADDED | 4u))
			return -2;
		return 0;
	}
	if (d < 0)
		return -1;
	if (l->nquad & PADDED)
		return -2;
	l->quad = l->quad << 6 | (uint32_t)d;
	l->nquad = (l->nquad + 1) & 3u;
	if (l->nquad == 1)
		return 0;
	/* Bits available beyond the byte: 4, 2, 0 after the second, third and fourth digit. */
	*out = (uint8_t)(l->quad >> (l->nquad == 2 ? 4 : l->nquad == 3 ? 2 : 0));
	return 1;
}

enum { Q_PLAIN, Q_EQ, Q_HEX, Q_SOFT };

static int qp_byte(struct layer *l, uint8_t c, uint8_t *out)
{
	int d = digit16(c);

	switch (l->nquad) {
	case Q_PLAIN:
		if (c == '=') {
			l->nquad = Q_EQ;
			return 0;
		}
		*out = c;
		return 1;
	case Q_EQ:
		if (c == '\r') {
			l->nquad = Q_SOFT;
			return 0;
		}
		if (d < 0)
			return -1;
		l->quad = (uint32_t)d;
		l->nquad = Q_HEX;
		return 0;
	case Q_HEX:
		if (d < 0)
			return -1;
		*out = (uint8_t)(l->quad << 4 | (uint32_t)d);
		l->nquad = Q_PLAIN;
		return 1;
	default:
		if (c != '\n')
			return -1;
		l->nquad = Q_PLAIN;
		return 0;
	}
}

enum run wr_cte_run(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                    struct wr_body_out *out)
{
	uint64_t off = l->in.off;
	uint32_t n = 0;

	if (l->dead) {
		layer_take(l, (uint64_t)(l->in.end - l->in.p));
		return RUN_IDLE;
	}
	while (l->in.p < l->in.end && n < CTE_OUT) {
		uint8_t *to = &b->pool->cte_out[n];
		int r = l->kind == L_BASE64 ? base64_byte(l, *l->in.p, to)
		                            : qp_byte(l, *l->in.p, to);

		if (r < 0) {
			/* What was decoded before it is given first: the byte is looked at again.
			 */
			if (n > 0)
				break;
			return wr_body_lose(lc, b, l, out,
			                    r == -2 ? WR_R_CODING_TRAILING : WR_R_CODING_BAD);
		}
		n += (uint32_t)r;
		layer_take(l, 1);
	}
	if (n == 0)
		return RUN_IDLE;
	return wr_body_give(b, l, (struct wr_piece){ b->pool->cte_out, n, NULL }, off, true, out);
}

enum run wr_cte_finish(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                       struct wr_body_out *out)
{
	bool whole;

	if (l->dead || layer_orphaned(b, l))
		return RUN_DONE;
	whole = l->kind == L_BASE64 ? l->nquad == 0 || l->nquad == (PADDED | 4u)
	                            : l->nquad == Q_PLAIN;
	return whole ? RUN_DONE : wr_body_lose(lc, b, l, out, WR_R_CODING_BAD);
}
