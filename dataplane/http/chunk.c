/* SPDX-License-Identifier: BSD-3-Clause */
/* chunk - chunked transfer coding: size lines, extensions, trailers (RFC 9112 section 7). */
#include "http/int.h"

#define DIGITS_MAX 15u /* 60 bits: the shift below cannot overflow, so it needs no check */

#define FAULT(why)                                                                                 \
	do {                                                                                       \
		if (!wr_http_tolerates(lc, h, why))                                                \
			return why;                                                                \
	} while (0)
#define REFUSE(why) return (wr_count(lc, why, 1), why)

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void wr_http_chunk_begin(struct wr_http_req *h, uint64_t off)
{
	h->state = S_SIZE;
	h->line_off = off;
	h->left = 0;
	h->digits = 0;
	h->line = 0;
	h->hold = WR_HTTP_HOLD_NONE;
}

/* Behind the size line's end. */
static void size_done(struct wr_http_req *h)
{
	h->line = 0;
	h->bytes = 0;
	h->state = h->left == 0 ? S_TRAILER : S_DATA;
}

static enum wr_reason size_bytes(struct wr_lcore *lc, struct wr_http_req *h, uint8_t c)
{
	int d = hex(c);

	if (d >= 0) {
		if (h->digits >= DIGITS_MAX)
			REFUSE(WR_R_CHUNK_BAD_SIZE);
		h->digits++;
		h->left = h->left << 4 | (uint64_t)d;
		/* While it is only zeros it may be the last chunk: hold from its first byte. */
		h->hold = h->left == 0 ? h->line_off : WR_HTTP_HOLD_NONE;
		return WR_R_NONE;
	}
	if (h->digits == 0)
		REFUSE(WR_R_CHUNK_BAD_SIZE);
	switch (c) {
	case '\r': h->state = S_SIZE_CR; return WR_R_NONE;
	case ';': h->state = S_EXT; return WR_R_NONE;
	case '\n':
		FAULT(WR_R_CHUNK_BAD_SIZE);
		size_done(h);
		return WR_R_NONE;
	default: REFUSE(WR_R_CHUNK_BAD_SIZE);
	}
}

static enum wr_reason ext_bytes(struct wr_lcore *lc, struct wr_http_req *h, uint8_t c)
{
	if (c == '\r') {
		h->state = S_SIZE_CR;
		return WR_R_NONE;
	}
	/* A bare LF ends the line for some servers, not for others: smuggling. */
	if (!is_value(c))
		REFUSE(WR_R_CHUNK_BAD_SIZE);
	if (h->line == WR_HTTP_EXT_MAX)
		FAULT(WR_R_CHUNK_EXT_LIMIT);
	if (h->line < UINT16_MAX)
		h->line++;
	return WR_R_NONE;
}

static enum wr_reason data_end(struct wr_lcore *lc, struct wr_http_req *h, uint8_t c, uint64_t next)
{
	if (h->state == S_DATA_END && c == '\r') {
		h->state = S_DATA_CR;
		return WR_R_NONE;
	}
	if (c != '\n')
		REFUSE(WR_R_CHUNK_BAD_END);
	if (h->state == S_DATA_END)
		FAULT(WR_R_CHUNK_BAD_END);
	wr_http_chunk_begin(h, next);
	return WR_R_NONE;
}

/* ----------------------------------------------------------------------------------- trailers ---
 */

/* What may never come in a trailer: it would change what was already decided (RFC 9110 6.5.1). */
static const struct wr_str forbidden[] = {
	{ "content-length", 14 },   { "transfer-encoding", 17 }, { "host", 4 },
	{ "content-encoding", 16 }, { "content-type", 12 },      { "content-range", 13 },
	{ "trailer", 7 },           { "connection", 10 },
};
static_assert(WR_COUNT_OF(forbidden) == 8, "one bit each in h->field");

/* The name is matched as it passes: h->field has a bit for each name that still fits, h->line its
 * length. */
static void trailer_name(struct wr_http_req *h, uint8_t c)
{
	for (uint32_t i = 0; i < WR_COUNT_OF(forbidden); i++)
		if (h->line >= forbidden[i].len || wr_lower((char)c) != forbidden[i].p[h->line])
			h->field &= (uint8_t) ~(1u << i);
	if (h->line < UINT16_MAX)
		h->line++;
}

static bool trailer_forbidden(const struct wr_http_req *h)
{
	for (uint32_t i = 0; i < WR_COUNT_OF(forbidden); i++)
		if (h->field & 1u << i && h->line == forbidden[i].len)
			return true;
	return false;
}

static enum wr_reason trailer_begin(struct wr_lcore *lc, struct wr_http_req *h, uint8_t c)
{
	if (c == '\r') {
		h->state = S_LAST_CR;
		return WR_R_NONE;
	}
	if (!is_token(c))
		REFUSE(WR_R_TRAILER_BAD);
	h->field = 0xff;
	h->line = 0;
	h->state = S_TRAILER_NAME;
	trailer_name(h, c);
	return WR_R_NONE;
}

static enum wr_reason trailer_bytes(struct wr_lcore *lc, struct wr_http_req *h, uint8_t c)
{
	if (h->bytes == WR_HTTP_TRAILER_MAX)
		FAULT(WR_R_TRAILER_LIMIT);
	if (h->bytes < UINT32_MAX)
		h->bytes++;
	switch (h->state) {
	case S_TRAILER: return trailer_begin(lc, h, c);
	case S_TRAILER_NAME:
		if (is_token(c)) {
			trailer_name(h, c);
			return WR_R_NONE;
		}
		if (c != ':')
			REFUSE(WR_R_TRAILER_BAD);
		if (trailer_forbidden(h))
			FAULT(WR_R_TRAILER_BAD); /* observed: ignored */
		h->state = S_TRAILER_VALUE;
		return WR_R_NONE;
	case S_TRAILER_VALUE:
		if (c == '\r')
			h->state = S_TRAILER_CR;
		else if (!is_value(c))
			REFUSE(WR_R_TRAILER_BAD);
		return WR_R_NONE;
	default: /* S_TRAILER_CR, S_LAST_CR */
		if (c != '\n')
			REFUSE(WR_R_TRAILER_BAD);
		h->state = h->state == S_LAST_CR ? S_END : S_TRAILER;
		return WR_R_NONE;
	}
}

enum wr_reason wr_http_chunk_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct wr_span *in)
{
	enum wr_reason why = WR_R_NONE;

	while (why == WR_R_NONE && in->p < in->end && h->state != S_DATA && h->state != S_END) {
		uint8_t c = *in->p++;

		in->off++;
		switch (h->state) {
		case S_SIZE: why = size_bytes(lc, h, c); break;
		case S_EXT: why = ext_bytes(lc, h, c); break;
		case S_SIZE_CR:
			if (c != '\n')
				REFUSE(WR_R_CHUNK_BAD_SIZE);
			size_done(h);
			break;
		case S_DATA_END:
		case S_DATA_CR: why = data_end(lc, h, c, in->off); break;
		default: why = trailer_bytes(lc, h, c); break;
		}
	}
	return why;
}

bool wr_http_hold_firm(const struct wr_http_req *h)
{
	return h->state != S_SIZE && h->state != S_EXT && h->state != S_SIZE_CR;
}

bool wr_http_req_in_trailer(const struct wr_http_req *h)
{
	return h->state == S_TRAILER || h->state == S_TRAILER_NAME || h->state == S_TRAILER_VALUE ||
	       h->state == S_TRAILER_CR || h->state == S_LAST_CR;
}
