/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * coding - gzip, deflate, br, zstd, on memory that was set aside at boot.
 *
 * One step turns what is offered into at most OUT_BYTES of output, so a bomb costs one step of the
 * turn's budget at a time and the frame that carries it waits.
 */
#include <zstd_errors.h>

#include "body/coding.h"
#include "body/int.h"

enum { C_HEADER, C_STREAM, C_ENDED }; /* layer state */
enum step { STEP_OK, STEP_END, STEP_BAD, STEP_MEMORY };

uint32_t wr_decoder_get(struct wr_body_pool *p, enum wr_coding coding)
{
	enum lib lib = coding == WR_CODING_BR     ? LIB_BROTLI
	               : coding == WR_CODING_ZSTD ? LIB_ZSTD
	                                          : LIB_ZLIB;
	uint32_t slot = p->free_dec[lib];

	if (slot != 0) {
		p->free_dec[lib] = p->dec[slot - 1].next;
		p->dec[slot - 1].open = 0;
		p->dec[slot - 1].coding = (uint8_t)coding;
	}
	return slot;
}

void wr_decoder_put(struct wr_body_pool *p, uint32_t slot)
{
	struct decoder *d = &p->dec[slot - 1];

	/* Nothing to tell the library: the next user starts on a fresh heap. */
	d->next = p->free_dec[d->lib];
	p->free_dec[d->lib] = slot;
}

static void *z_get(void *heap, unsigned n, unsigned size)
{
	return wr_heap_get(heap, (size_t)n * size);
}

/* window: as inflateInit2 wants it. */
static bool open_zlib(struct decoder *d, int window)
{
	memset(&d->u.z, 0, sizeof(d->u.z));
	wr_heap_reset(&d->heap);
	d->u.z.zalloc = z_get;
	d->u.z.zfree = wr_heap_put;
	d->u.z.opaque = &d->heap;
	return inflateInit2(&d->u.z, window) == Z_OK;
}

static bool open_decoder(struct decoder *d)
{
	d->open = 1;
	switch (d->lib) {
	case LIB_BROTLI:
		wr_heap_reset(&d->heap);
		d->u.br = BrotliDecoderCreateInstance(wr_heap_get, wr_heap_put, &d->heap);
		return d->u.br != NULL;
	case LIB_ZSTD:
		ZSTD_DCtx_reset(d->u.zs, ZSTD_reset_session_and_parameters);
		return !ZSTD_isError(
		        ZSTD_DCtx_setParameter(d->u.zs, ZSTD_d_windowLogMax, WR_BODY_WINDOW_LOG));
	default: return open_zlib(d, d->coding == WR_CODING_GZIP ? 15 + 16 : 15);
	}
}

/* --------------------------------------------------------------------------------------- steps ---
 */

static enum step step_zlib(struct decoder *d, struct layer *l, uint32_t *made)
{
	z_stream *z = &d->u.z;
	int r;

	z->next_in = (Bytef *)(uintptr_t)l->in.p;
	z->avail_in = (uInt)(l->in.end - l->in.p);
	z->next_out = d->out;
	z->avail_out = OUT_BYTES;
	r = inflate(z, Z_NO_FLUSH);
	*made = OUT_BYTES - z->avail_out;
	layer_take(l, (uint64_t)(z->next_in - l->in.p));
	return r == Z_STREAM_END               ? STEP_END
	       : r == Z_OK || r == Z_BUF_ERROR ? STEP_OK
	       : r == Z_MEM_ERROR              ? STEP_MEMORY
	                                       : STEP_BAD;
}

static enum step step_brotli(struct decoder *d, struct layer *l, uint32_t *made)
{
	size_t in = (size_t)(l->in.end - l->in.p), room = OUT_BYTES;
	const uint8_t *p = l->in.p;
	uint8_t *out = d->out;
	BrotliDecoderResult r = BrotliDecoderDecompressStream(d->u.br, &in, &p, &room, &out, NULL);
	BrotliDecoderErrorCode e;

	*made = (uint32_t)(OUT_BYTES - room);
	layer_take(l, (uint64_t)(p - l->in.p));
	if (r == BROTLI_DECODER_RESULT_SUCCESS)
		return STEP_END;
	if (r != BROTLI_DECODER_RESULT_ERROR)
		return STEP_OK;
	e = BrotliDecoderGetErrorCode(d->u.br);
	/* A large-window stream fails in its window bits: it is refused, not broken. */
	return e == BROTLI_DECODER_ERROR_FORMAT_WINDOW_BITS ||
	                       (e <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
	                        e >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES)
	               ? STEP_MEMORY
	               : STEP_BAD;
}

static enum step step_zstd(struct decoder *d, struct layer *l, uint32_t *made)
{
	ZSTD_inBuffer in = { l->in.p, (size_t)(l->in.end - l->in.p), 0 };
	ZSTD_outBuffer out = { d->out, OUT_BYTES, 0 };
	size_t r = ZSTD_decompressStream(d->u.zs, &out, &in);

	*made = (uint32_t)out.pos;
	if (ZSTD_isError(r)) {
		ZSTD_ErrorCode e = ZSTD_getErrorCode(r);

		return e == ZSTD_error_frameParameter_windowTooLarge ||
		                       e == ZSTD_error_memory_allocation
		               ? STEP_MEMORY
		               : STEP_BAD;
	}
	layer_take(l, in.pos);
	return r == 0 ? STEP_END : STEP_OK;
}

static enum wr_reason failure(const struct layer *l, enum step s, uint32_t made)
{
	if (s == STEP_MEMORY)
		return WR_R_DECODER_BUDGET;
	/* What follows a complete stream and does not even begin another one. */
	if (l->nquad == 1 && l->state == C_HEADER && made == 0 && l->coding != WR_CODING_DEFLATE)
		return WR_R_CODING_TRAILING;
	return WR_R_CODING_BAD;
}

/*
 * Frames of RFC 8878 only. The library would also read its formats before 1.0, which no browser
 * sends and which it decodes on memory of its own. RUN_IDLE: the frame's magic number has been fed.
 */
static enum run zstd_magic(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                           struct decoder *d, struct wr_body_out *out)
{
	static const uint8_t frame[4] = { 0x28, 0xb5, 0x2f, 0xfd };
	static const uint8_t skip[4] = { 0x50, 0x2a, 0x4d, 0x18 };
	ZSTD_inBuffer in = { l->magic, 4, 0 };
	ZSTD_outBuffer none = { d->out, 0, 0 };

	while (l->nmagic < 4) {
		const uint8_t *want =
		        (l->nmagic > 0 ? l->magic[0] : *l->in.p) == frame[0] ? frame : skip;
		uint8_t c = *l->in.p;

		if (c != want[l->nmagic] &&
		    !(want == skip && l->nmagic == 0 && (c & 0xf0) == skip[0]))
			return wr_body_lose(lc, b, l, out, failure(l, STEP_BAD, 0));
		l->magic[l->nmagic++] = c;
		layer_take(l, 1);
		if (l->nmagic < 4 && l->in.p == l->in.end)
			return RUN_AGAIN;
	}
	l->nmagic = 5;
	ZSTD_decompressStream(d->u.zs, &none, &in);
	return l->in.p < l->in.end ? RUN_IDLE : RUN_AGAIN;
}

/* RFC 1950 2.2: which of the two things named "deflate" this is shows in its first two bytes. */
static bool choose_deflate(struct decoder *d, struct layer *l)
{
	uint8_t first = (uint8_t)l->quad;
	bool zlib = (first & 15) == 8 && first >> 4 <= 7 && (first << 8 | l->in.p[0]) % 31 == 0;

	if (!open_zlib(d, zlib ? 15 : -15))
		return false;
	d->open = 1;
	d->u.z.next_in = &first;
	d->u.z.avail_in = 1;
	d->u.z.next_out = d->out;
	d->u.z.avail_out = OUT_BYTES;
	return inflate(&d->u.z, Z_NO_FLUSH) == Z_OK;
}

/* Behind the end of a stream: another member or frame may follow, anything else is trailing. */
static enum run again(struct wr_lcore *lc, struct wr_body *b, struct layer *l, struct decoder *d,
                      struct wr_body_out *out)
{
	bool more =
	        (l->coding == WR_CODING_GZIP && l->in.p[0] == 0x1f) || l->coding == WR_CODING_ZSTD;

	if (!more || (d->lib == LIB_ZLIB && inflateReset(&d->u.z) != Z_OK))
		return wr_body_lose(lc, b, l, out, WR_R_CODING_TRAILING);
	l->state = C_HEADER;
	l->nquad = 1; /* not the first */
	l->nmagic = 0;
	return RUN_AGAIN;
}

static enum run ready(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                      struct wr_body_out *out)
{
	struct decoder *d;

	if (l->slot == 0) {
		l->slot = wr_decoder_get(b->pool, (enum wr_coding)l->coding);
		if (l->slot == 0)
			return wr_body_lose(lc, b, l, out, WR_R_DECODER_BUDGET);
	}
	d = &b->pool->dec[l->slot - 1];
	if (d->open)
		return RUN_IDLE;
	if (l->coding != WR_CODING_DEFLATE)
		return open_decoder(d) ? RUN_IDLE
		                       : wr_body_lose(lc, b, l, out, WR_R_DECODER_BUDGET);
	if (l->nquad == 0) { /* the first byte alone says nothing: keep it */
		l->quad = *l->in.p;
		l->nquad = 1;
		layer_take(l, 1);
		return RUN_AGAIN;
	}
	return choose_deflate(d, l) ? RUN_IDLE : wr_body_lose(lc, b, l, out, WR_R_CODING_BAD);
}

static bool over_budget(const struct wr_body *b)
{
	const struct wr_body_conf *c = &b->pool->conf;

	if (c->expansion_bytes != 0 && b->decoded > c->expansion_bytes)
		return true;
	return b->decoded > WR_BODY_FREE_BYTES && b->decoded / c->expansion_ratio > b->sent;
}

/* The turn's budget is used up: the time until the next one counts, whoever used it. */
static enum run wait_turn(const struct wr_lcore *lc, struct wr_body *b)
{
	if (!b->pausing)
		b->since_ns = lc->now;
	b->pausing = 1;
	return RUN_PAUSE;
}

/* The client's own slowness does not count: only what our decoding has kept it waiting. */
static bool over_time(const struct wr_lcore *lc, struct wr_body *b)
{
	if (b->pausing)
		b->waited_ns += lc->now - b->since_ns;
	b->pausing = 0;
	return b->waited_ns > b->pool->conf.expansion_ns;
}

enum run wr_coding_run(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                       struct wr_body_out *out)
{
	struct decoder *d;
	uint64_t off = l->in.off;
	uint32_t made = 0;
	enum step s;
	enum run r;

	if (l->dead) {
		layer_take(l, (uint64_t)(l->in.end - l->in.p));
		return RUN_IDLE;
	}
	if (l->doom != 0)
		return wr_body_lose(lc, b, l, out, (enum wr_reason)l->doom);
	if (b->pool->budget <= 0)
		return wait_turn(lc, b);
	if (over_time(lc, b))
		return wr_body_lose(lc, b, l, out, WR_R_EXPANSION_TIME);
	if (over_budget(b))
		return wr_body_lose(lc, b, l, out, WR_R_EXPANSION_LIMIT);
	r = ready(lc, b, l, out);
	if (r != RUN_IDLE)
		return r;
	d = &b->pool->dec[l->slot - 1];
	if (l->state == C_ENDED)
		return again(lc, b, l, d, out);
	if (d->lib == LIB_ZSTD && l->nmagic < 5) {
		r = zstd_magic(lc, b, l, d, out);
		if (r != RUN_IDLE)
			return r;
	}
	s = d->lib == LIB_ZLIB     ? step_zlib(d, l, &made)
	    : d->lib == LIB_BROTLI ? step_brotli(d, l, &made)
	                           : step_zstd(d, l, &made);
	if (s == STEP_BAD || s == STEP_MEMORY) {
		l->doom = (uint16_t)failure(l, s, made);
		if (made == 0)
			return wr_body_lose(lc, b, l, out, (enum wr_reason)l->doom);
	}
	/* A full buffer may hide more output that needs no more input. */
	l->owed = l->doom != 0 || (made == OUT_BYTES && s == STEP_OK);
	if (made > 0 || s == STEP_END)
		l->state = s == STEP_END ? C_ENDED : C_STREAM;
	b->decoded += made;
	b->pool->budget -= made;
	if (made == 0)
		return l->in.p < l->in.end || l->owed ? RUN_AGAIN : RUN_IDLE;
	return wr_body_give(b, l, (struct wr_piece){ d->out, made, NULL }, off, true, out);
}

enum run wr_coding_finish(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                          struct wr_body_out *out)
{
	if (l->dead || l->state == C_ENDED || layer_orphaned(b, l))
		return RUN_DONE;
	return wr_body_lose(lc, b, l, out, WR_R_CODING_BAD);
}
