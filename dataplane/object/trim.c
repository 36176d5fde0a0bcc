/* SPDX-License-Identifier: BSD-3-Clause */
#include "object/trim.h"

#include <string.h>

#include "base/base.h"
#include "base/bytes.h"

enum format { F_JPEG = 1, F_PNG, F_GIF, F_WEBP };

/* Each step collects `want` bytes into head, behind `skip` bytes that nobody looks at, then
 * decides. */
enum {
	J_SOI,
	J_MARK,    /* FF, marker */
	J_LENGTH,  /* of a segment; head[0] holds the marker */
	J_ENTROPY, /* scan data: up to a marker that is none of the escapes */
	J_ESCAPE,  /* FF was seen in scan data */
	P_MAGIC,
	P_CHUNK, /* length, type */
	G_HEAD,
	G_BLOCK,
	G_LABEL,
	G_IMAGE,
	G_CODE, /* LZW code size */
	G_SUB,  /* sub-block length */
	W_HEAD,
};

static void next(struct wr_trim *t, uint8_t step, uint8_t want, uint64_t skip)
{
	t->step = step;
	t->want = want;
	t->have = 0;
	t->skip = skip;
}

void wr_trim_begin(struct wr_trim *t, const struct wr_type *type)
{
	static const struct {
		const char *media;
		uint8_t format, step, want;
	} known[] = { { "image/jpeg", F_JPEG, J_SOI, 2 },
		      { "image/png", F_PNG, P_MAGIC, 8 },
		      { "image/gif", F_GIF, G_HEAD, 13 },
		      { "image/webp", F_WEBP, W_HEAD, 12 } };

	memset(t, 0, sizeof(*t));
	for (uint32_t i = 0; i < WR_COUNT_OF(known); i++)
		if (strcmp(type->media, known[i].media) == 0) {
			t->state = WR_TRIM_INSIDE;
			t->format = known[i].format;
			next(t, known[i].step, known[i].want, 0);
		}
}

/* The format ends `more` bytes from here. */
static void end_in(struct wr_trim *t, uint64_t more)
{
	t->end = t->pos + more;
	t->state = WR_TRIM_ENDED;
}

static void jpeg_marker(struct wr_trim *t, uint8_t m)
{
	if (m == 0xff) /* fill byte */
		next(t, J_ESCAPE, 1, 0);
	else if (m == 0xd9)
		end_in(t, 0);
	else if (m == 0x01 || (m >= 0xd0 && m <= 0xd7))
		next(t, J_MARK, 2, 0);
	else if (m < 0xc0 || m == 0xd8)
		t->state = WR_TRIM_BROKEN;
	else {
		next(t, J_LENGTH, 3, 0);
		t->head[0] = m;
		t->have = 1;
	}
}

static void jpeg(struct wr_trim *t)
{
	const uint8_t *h = t->head;
	uint32_t len;

	switch (t->step) {
	case J_SOI: next(t, J_MARK, 2, 0); break;
	case J_MARK:
		if (h[0] != 0xff)
			t->state = WR_TRIM_BROKEN;
		else
			jpeg_marker(t, h[1]);
		break;
	case J_LENGTH:
		len = wr_get_be16(h + 1);
		if (len < 2)
			t->state = WR_TRIM_BROKEN;
		else if (h[0] == 0xda)
			next(t, J_ENTROPY, 0, len - 2);
		else
			next(t, J_MARK, 2, len - 2);
		break;
	default: /* J_ESCAPE */
		/* In scan data FF 00 is a byte and restart markers are passed over. */
		if (h[0] == 0 || (h[0] >= 0xd0 && h[0] <= 0xd7))
			next(t, J_ENTROPY, 0, 0);
		else
			jpeg_marker(t, h[0]);
	}
}

static void png(struct wr_trim *t)
{
	uint32_t len;

	if (t->step == P_MAGIC) {
		next(t, P_CHUNK, 8, 0);
		return;
	}
	len = wr_get_be32(t->head);
	for (int i = 4; i < 8; i++)
		if ((t->head[i] | 0x20) < 'a' || (t->head[i] | 0x20) > 'z')
			t->state = WR_TRIM_BROKEN;
	if (len > INT32_MAX)
		t->state = WR_TRIM_BROKEN;
	if (t->state == WR_TRIM_BROKEN)
		return;
	if (memcmp(t->head + 4, "IEND", 4) == 0)
		end_in(t, len + 4ull);
	else
		next(t, P_CHUNK, 8, len + 4ull);
}

/* A colour table's bytes, as the packed field says. */
static uint32_t table(uint8_t packed)
{
	return packed & 0x80 ? 3u << ((packed & 7) + 1) : 0;
}

static void gif(struct wr_trim *t)
{
	switch (t->step) {
	case G_HEAD: next(t, G_BLOCK, 1, table(t->head[10])); break;
	case G_BLOCK:
		if (t->head[0] == 0x3b)
			end_in(t, 0);
		else if (t->head[0] == 0x21)
			next(t, G_LABEL, 1, 0);
		else if (t->head[0] == 0x2c)
			next(t, G_IMAGE, 9, 0);
		else
			t->state = WR_TRIM_BROKEN;
		break;
	case G_LABEL:
	case G_CODE: next(t, G_SUB, 1, 0); break;
	case G_IMAGE: next(t, G_CODE, 1, table(t->head[8])); break;
	default: /* G_SUB */
		if (t->head[0] == 0)
			next(t, G_BLOCK, 1, 0);
		else
			next(t, G_SUB, 1, t->head[0]);
	}
}

static void decide(struct wr_trim *t)
{
	uint64_t size;

	switch (t->format) {
	case F_JPEG: jpeg(t); break;
	case F_PNG: png(t); break;
	case F_GIF: gif(t); break;
	default: /* RIFF: the size counts what follows it, odd sizes are padded */
		size = wr_get_le32(t->head + 4);
		if (size < 4)
			t->state = WR_TRIM_BROKEN;
		else
			end_in(t, size - 4 + (size & 1));
	}
}

/* Bytes behind the end: the first ones that are neither zero nor white space begin the tail. */
static void keep_tail(struct wr_trim *t, const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n && t->ntail < WR_TRIM_TAIL; i++) {
		if (!t->tail_started &&
		    (p[i] == 0 || p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r')))
			continue;
		t->tail_started = 1;
		t->tail[t->ntail++] = p[i];
	}
}

uint32_t wr_trim_feed(struct wr_trim *t, const uint8_t *p, uint32_t n)
{
	const uint8_t *q = p, *end = p + n;

	while (q < end && t->state == WR_TRIM_INSIDE) {
		uint32_t k = (uint32_t)(end - q);

		if (t->skip > 0) {
			k = (uint32_t)wr_min_u64(k, t->skip);
			t->skip -= k;
		} else if (t->want == 0) { /* scan data */
			const uint8_t *ff = memchr(q, 0xff, k);

			if (ff != NULL) {
				k = (uint32_t)(ff - q) + 1;
				next(t, J_ESCAPE, 1, 0);
			}
		} else {
			k = wr_min_u32(k, (uint32_t)(t->want - t->have));
			memcpy(t->head + t->have, q, k);
			t->have = (uint8_t)(t->have + k);
		}
		q += k;
		t->pos += k;
		if (t->want > 0 && t->have == t->want && t->skip == 0)
			decide(t);
	}
	t->pos += (uint64_t)(end - q);
	if (t->state != WR_TRIM_ENDED)
		return n;
	if (t->pos <= t->end)
		return n;
	n = (uint32_t)wr_min_u64(n, t->pos - t->end); /* behind the end */
	keep_tail(t, end - n, n);
	return (uint32_t)(end - p) - n;
}

enum wr_trim_finding wr_trim_finding(const struct wr_trim *t)
{
	const struct wr_type *type;

	if (t->state == WR_TRIM_NONE)
		return WR_TRIM_CLEAN;
	if (t->state != WR_TRIM_ENDED || t->pos < t->end)
		return WR_TRIM_TRUNCATED;
	if (t->ntail == 0)
		return WR_TRIM_CLEAN;
	type = wr_sniff(t->tail, t->ntail, true);
	return type->cls >= WR_TYPE_DOCUMENT ? WR_TRIM_POLYGLOT : WR_TRIM_TRAILING;
}
