/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet path of the room: slots wait in lists until enough lanes are filled, a table of blocks
 * is built from what waits, an engine works through it, and the references go back.
 */
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <string.h>

#include "base/bytes.h"
#include "digest/digest.h"
#include "digest/kernel.h"
#include "digest/room.h"

#define SEAMS WR_COUNT_OF(((struct wr_digest *)0)->seam[0])
/* Padding takes one row, or two when fewer than 9 bytes of the last block are free. */
#define PAD_ROWS(fill) ((fill) > WR_DIGEST_BLOCK - 9 ? 2u : 1u)

static const WR_ALIGNED(64) uint8_t zero_block[WR_DIGEST_BLOCK];

/* --- lists ---------------------------------------------------------------------------------------
 */

static void list_push(struct wr_digest *d, struct list *l, uint32_t i)
{
	struct slot *s = &d->slot[i];

	s->prev = l->tail;
	s->next = 0;
	if (l->tail != 0)
		d->slot[l->tail].next = i;
	else
		l->head = i;
	l->tail = i;
	l->n++;
	s->listed = 1;
}

static void list_push_front(struct wr_digest *d, struct list *l, uint32_t i)
{
	struct slot *s = &d->slot[i];

	s->prev = 0;
	s->next = l->head;
	if (l->head != 0)
		d->slot[l->head].prev = i;
	else
		l->tail = i;
	l->head = i;
	l->n++;
	s->listed = 1;
}

static void list_cut(struct wr_digest *d, struct list *l, uint32_t i)
{
	struct slot *s = &d->slot[i];

	if (s->prev != 0)
		d->slot[s->prev].next = s->next;
	else
		l->head = s->next;
	if (s->next != 0)
		d->slot[s->next].prev = s->prev;
	else
		l->tail = s->prev;
	l->n--;
	s->listed = 0;
}

static struct list *list_of(struct wr_digest *d, const struct slot *s)
{
	switch (s->phase) {
	case SLOT_DONE: return &d->done;
	case SLOT_ENDED: return &d->ended[s->algos];
	default: return &d->open[s->algos];
	}
}

/* --- what waits
 * ------------------------------------------------------------------------------------ */

static void let_go(struct wr_digest *d, struct rte_mbuf *m)
{
	if (m != NULL)
		d->drop[d->ndrop++] = m;
}

static void drop_all(struct wr_digest *d)
{
	for (uint32_t i = 0; i < d->ndrop; i++)
		rte_pktmbuf_free(d->drop[i]);
	d->ndrop = 0;
}

static void piece_push(struct wr_digest *d, struct slot *s, const struct wr_piece *piece)
{
	uint32_t i = d->free_node;
	struct node *n = &d->node[i];

	d->free_node = n->next;
	n->piece = *piece;
	n->next = 0;
	if (s->npieces++ == 0)
		s->head = i;
	else
		d->node[s->tail].next = i;
	s->tail = i;
	s->queued += piece->len;
	d->nwaiting++;
}

static void piece_pop(struct wr_digest *d, struct slot *s)
{
	uint32_t i = s->head;
	struct node *n = &d->node[i];

	let_go(d, n->piece.owner);
	s->head = n->next;
	s->npieces--;
	d->nwaiting--;
	n->next = d->free_node;
	d->free_node = i;
}

/* --- one batch
 * --------------------------------------------------------------------------------------- */

/* Where the next partial block of a lane is gathered: the slot's own buffer, then seams. */
struct seamer {
	uint8_t *cur;
	uint32_t used, lane, row;
};

static void emit(struct wr_digest_batch *b, struct seamer *k, const uint8_t *p)
{
	b->blk[k->row++][k->lane] = p;
}

/* The callers have made sure that one is left. */
static void next_seam(struct wr_digest *d, struct seamer *k)
{
	WR_DCHECK(k->used < SEAMS);
	k->cur = d->seam[k->lane][k->used++];
}

/* Emits what fits below `limit` rows; false when the piece is not used up. */
static bool take_piece(struct wr_digest *d, struct slot *s, struct seamer *k, uint32_t limit,
                       struct wr_piece *piece)
{
	uint32_t n;

	if (s->fill != 0) {
		n = wr_min_u32(WR_DIGEST_BLOCK - s->fill, piece->len);
		if (s->fill + n == WR_DIGEST_BLOCK && (k->row == limit || k->used == SEAMS))
			return false;
		memcpy(k->cur + s->fill, piece->p, n);
		s->fill = (uint8_t)(s->fill + n);
		piece->p += n;
		piece->len -= n;
		s->queued -= n;
		s->bytes += n;
		if (s->fill == WR_DIGEST_BLOCK) {
			emit(&d->batch, k, k->cur);
			s->fill = 0;
			next_seam(d, k);
		}
	}
	n = wr_min_u32(piece->len / WR_DIGEST_BLOCK, limit - k->row);
	for (uint32_t i = 0; i < n; i++)
		emit(&d->batch, k, piece->p + i * WR_DIGEST_BLOCK);
	piece->p += n * WR_DIGEST_BLOCK;
	piece->len -= n * WR_DIGEST_BLOCK;
	s->queued -= n * WR_DIGEST_BLOCK;
	s->bytes += n * WR_DIGEST_BLOCK;
	if (piece->len >= WR_DIGEST_BLOCK)
		return false;
	if (piece->len != 0) {
		memcpy(k->cur, piece->p, piece->len);
		s->fill = (uint8_t)piece->len;
		s->bytes += piece->len;
		s->queued -= piece->len;
		piece->len = 0;
	}
	return true;
}

/* FIPS 180-4 section 5.1.1; MD5 differs in the order of the length bytes only (kernel.h). */
static void pad(struct wr_digest *d, struct slot *s, struct seamer *k)
{
	uint8_t *p = k->cur;

	p[s->fill] = 0x80;
	memset(p + s->fill + 1, 0, WR_DIGEST_BLOCK - 1u - s->fill);
	if (PAD_ROWS(s->fill) == 2) {
		emit(&d->batch, k, p);
		next_seam(d, k);
		p = k->cur;
		memset(p, 0, WR_DIGEST_BLOCK);
	}
	wr_put_be64(p + WR_DIGEST_BLOCK - 8, s->bytes << 3);
	d->batch.last[k->row] |= (uint16_t)(1u << k->lane);
	emit(&d->batch, k, p);
	s->phase = SLOT_DONE;
}

static uint32_t rows_waiting(const struct slot *s)
{
	uint32_t bytes = s->fill + s->queued;

	return bytes / WR_DIGEST_BLOCK +
	       (s->phase == SLOT_ENDED ? PAD_ROWS(bytes % WR_DIGEST_BLOCK) : 0);
}

/* Fills one column of the table from slot i; a slot that ended is padded when its pieces are used
 * up. */
static void build_lane(struct wr_digest *d, uint32_t i, uint32_t lane, uint32_t limit)
{
	struct slot *s = &d->slot[i];
	struct seamer k = { .cur = s->buf, .lane = lane };
	bool dry = true;

	while (s->npieces != 0 && dry) {
		dry = take_piece(d, s, &k, limit, &d->node[s->head].piece);
		if (dry)
			piece_pop(d, s);
	}
	if (dry && s->phase == SLOT_ENDED && k.row + PAD_ROWS(s->fill) <= limit &&
	    k.used + PAD_ROWS(s->fill) <= SEAMS + 1)
		pad(d, s, &k);
	d->tail[lane] = k.cur;
	d->batch.h[lane] = s->h;
	d->batch.count[lane] = k.row;
	d->batch.rows = wr_max_u32(d->batch.rows, k.row);
}

/*
 * How many rows this batch shall have. A few long lanes would leave the others idle, so the quarter
 * of the lanes that have most waits for another round, a row of slack aside (1,460 bytes are 22 or
 * 23).
 */
static uint32_t row_limit(const struct wr_digest *d, uint32_t n)
{
	uint32_t sorted[WR_DIGEST_LANES] = { 0 }, j;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t v = rows_waiting(&d->slot[d->lane_slot[i]]);

		for (j = i; j > 0 && sorted[j - 1] > v; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = v;
	}
	/* Two at least, or padding that takes two rows would wait for ever. */
	j = wr_max_u32(sorted[(n * 3 - 1) / 4] + 1, 2);
	return wr_min_u32(j, WR_DIGEST_ROWS);
}

/*
 * A SIMD group reads all of its columns: those without an upload, and rows below a lane's last,
 * need pointers that can be read. The other kernels go lane by lane and need nothing.
 */
static void fill_void(struct wr_digest *d, uint32_t n, const struct wr_digest_step *step)
{
	struct wr_digest_batch *b = &d->batch;
	uint32_t width = 0;

	for (uint32_t i = 0; i < step->n; i++)
		width = wr_max_u32(width, step->kernel[i] == WR_DK_AVX512 ? 16
		                          : step->kernel[i] == WR_DK_AVX2 ? (n + 7) / 8 * 8
		                                                          : 0);
	for (uint32_t l = 0; l < width; l++) {
		if (l >= n) {
			b->h[l] = d->idle_h;
			b->count[l] = 0;
		}
		for (uint32_t r = b->count[l]; r < b->rows; r++)
			b->blk[r][l] = zero_block;
	}
}

static void run_kernels(struct wr_digest *d, uint32_t n, uint32_t algos)
{
	const struct wr_digest_step *step = &d->plan.step[algos][n];

	fill_void(d, n, step);
	for (uint32_t i = 0; i < step->n && d->batch.rows != 0; i++) {
		d->batch.algos = step->algos[i];
		d->kernel[step->kernel[i]](&d->batch);
	}
}

/* Runs the slots in lane_slot[0..n); all have the same algorithms and are in no list. */
static void run_lanes(struct wr_lcore *lc, struct wr_digest *d, uint32_t n, uint32_t algos)
{
	struct wr_digest_batch *b = &d->batch;
	uint32_t limit = row_limit(d, n);

	memset(b->last, 0, limit * sizeof(b->last[0]));
	b->rows = 0;
	b->lanes = n;
	for (uint32_t l = 0; l < n; l++)
		build_lane(d, d->lane_slot[l], l, limit);
	run_kernels(d, n, algos);
	wr_counter_add(&lc->stats->lanes[n], 1);

	for (uint32_t l = 0; l < n; l++) {
		struct slot *s = &d->slot[d->lane_slot[l]];

		if (d->tail[l] != s->buf)
			memcpy(s->buf, d->tail[l], s->fill);
		if (s->phase == SLOT_DONE)
			list_push(d, &d->done, d->lane_slot[l]);
		else if (s->phase == SLOT_ENDED || s->npieces != 0)
			list_push_front(d, list_of(d, s), d->lane_slot[l]);
	}
	drop_all(d);
}

/* Takes up to `room` slots off the list. */
static uint32_t take_lanes(struct wr_digest *d, struct list *l, uint32_t n, uint32_t room)
{
	while (n < room && l->head != 0) {
		uint32_t i = l->head;

		list_cut(d, l, i);
		d->lane_slot[n++] = i;
	}
	return n;
}

/* One batch of these algorithms: ended slots first, the rest of the lanes ride along. */
static void run_batch(struct wr_lcore *lc, struct wr_digest *d, uint32_t algos)
{
	uint32_t n = take_lanes(d, &d->ended[algos], 0, WR_DIGEST_LANES);

	n = take_lanes(d, &d->open[algos], n, WR_DIGEST_LANES);
	run_lanes(lc, d, n, algos);
}

/* Until nothing of this slot waits; others of its kind fill the lanes beside it. */
static void run_slot(struct wr_lcore *lc, struct wr_digest *d, uint32_t i)
{
	struct slot *s = &d->slot[i];

	while (s->npieces != 0) {
		list_cut(d, list_of(d, s), i);
		d->lane_slot[0] = i;
		run_lanes(lc, d, take_lanes(d, &d->open[s->algos], 1, WR_DIGEST_LANES), s->algos);
	}
}

/* Every node is taken by other slots: whatever waits is digested until one is free. */
static void run_any(struct wr_lcore *lc, struct wr_digest *d)
{
	for (uint32_t algos = 1; algos < WR_DIGEST_MASKS && d->free_node == 0; algos++)
		while (d->open[algos].n + d->ended[algos].n != 0 && d->free_node == 0)
			run_batch(lc, d, algos);
}

static struct slot *slot_at(const struct wr_digest *d, uint32_t slot)
{
	WR_ASSERT(slot != 0 && slot < d->nslots && d->slot[slot].phase != SLOT_FREE);
	return &d->slot[slot];
}

/* --- the contract
 * -------------------------------------------------------------------------------------- */

/* RFC 1321 section 3.3, FIPS 180-4 section 5.3. */
static const uint32_t initial[WR_DIGEST_H_WORDS] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
	0x1f83d9ab, 0x5be0cd19, 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
	0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0,
};

uint32_t wr_digest_open(struct wr_lcore *lc, struct wr_digest *d, uint32_t algos)
{
	uint32_t i = d->free_slot;
	struct slot *s = &d->slot[i];

	WR_ASSERT(algos < WR_DIGEST_MASKS);
	if (i == 0) {
		wr_count(lc, WR_R_DIGEST_LIMIT, 1);
		return 0;
	}
	d->free_slot = s->next;
	memcpy(s->h, initial, sizeof(s->h));
	s->bytes = 0;
	s->queued = s->prev = s->next = 0;
	s->npieces = s->fill = s->listed = 0;
	s->algos = (uint8_t)algos;
	s->phase = SLOT_OPEN;
	return i;
}

void wr_digest_feed(struct wr_lcore *lc, struct wr_digest *d, uint32_t slot,
                    const struct wr_piece *piece)
{
	struct slot *s = slot_at(d, slot);

	WR_ASSERT(s->phase == SLOT_OPEN);
	if (s->algos == 0)
		return;
	/* Too little for a block: the bytes are taken now, and no buffer is kept for them. */
	if (s->npieces == 0 && piece->len < WR_DIGEST_BLOCK - s->fill) {
		memcpy(s->buf + s->fill, piece->p, piece->len);
		s->fill = (uint8_t)(s->fill + piece->len);
		s->bytes += piece->len;
		return;
	}
	if (piece->len == 0)
		return;
	if (s->npieces == WR_DIGEST_QUEUE || d->free_node == 0)
		run_slot(lc, d, slot);
	if (d->free_node == 0)
		run_any(lc, d);
	if (piece->owner != NULL)
		rte_mbuf_refcnt_update(piece->owner, 1);
	rte_prefetch0(piece->p);
	rte_prefetch0(piece->p + 64);
	piece_push(d, s, piece);
	if (!s->listed) {
		s->since_ns = lc->now;
		list_push(d, &d->open[s->algos], slot);
	}
	if (piece->owner == NULL)
		run_slot(lc, d, slot);
}

void wr_digest_warm(const struct wr_digest *d, uint32_t slot)
{
	const char *s = (const char *)&d->slot[slot];

	for (uint32_t at = 0; at < sizeof(struct slot); at += WR_CACHE_LINE)
		rte_prefetch0(s + at);
}

void wr_digest_end(struct wr_lcore *lc, struct wr_digest *d, uint32_t slot)
{
	struct slot *s = slot_at(d, slot);

	(void)lc;
	WR_ASSERT(s->phase == SLOT_OPEN);
	if (s->listed)
		list_cut(d, &d->open[s->algos], slot);
	s->phase = s->algos == 0 ? SLOT_DONE : SLOT_ENDED;
	list_push(d, list_of(d, s), slot);
}

static bool worth_running(const struct wr_lcore *lc, const struct wr_digest *d, uint32_t algos)
{
	const struct list *open = &d->open[algos], *ended = &d->ended[algos];

	if (ended->n != 0 || open->n >= d->plan.width[algos])
		return true;
	return open->n != 0 && d->slot[open->head].since_ns + WR_DIGEST_DEADLINE_NS <= lc->now;
}

void wr_digest_run(struct wr_lcore *lc, struct wr_digest *d)
{
	for (uint32_t algos = 1; algos < WR_DIGEST_MASKS; algos++)
		while (worth_running(lc, d, algos))
			run_batch(lc, d, algos);
}

bool wr_digest_pending(const struct wr_digest *d)
{
	for (uint32_t algos = 1; algos < WR_DIGEST_MASKS; algos++)
		if (d->open[algos].n + d->ended[algos].n != 0)
			return true;
	return d->done.n != 0;
}

uint32_t wr_digest_done(struct wr_digest *d, uint32_t *slot, uint32_t max)
{
	uint32_t n = 0;

	while (n < max && d->done.head != 0) {
		slot[n] = d->done.head;
		list_cut(d, &d->done, slot[n++]);
	}
	return n;
}

void wr_digest_result(const struct wr_digest *d, uint32_t slot, struct wr_digests *out)
{
	const struct slot *s = slot_at(d, slot);

	WR_ASSERT(s->phase == SLOT_DONE);
	memset(out, 0, sizeof(*out));
	out->has = s->algos;
	for (uint32_t i = 0; i < 4 && (s->algos & WR_HAS_MD5) != 0; i++)
		wr_put_le32(out->md5 + 4 * i, s->h[WR_DIGEST_H_MD5 + i]);
	for (uint32_t i = 0; i < 5 && (s->algos & WR_HAS_SHA1) != 0; i++)
		wr_put_be32(out->sha1 + 4 * i, s->h[WR_DIGEST_H_SHA1 + i]);
	for (uint32_t i = 0; i < 8 && (s->algos & WR_HAS_SHA256) != 0; i++)
		wr_put_be32(out->sha256 + 4 * i, s->h[WR_DIGEST_H_SHA256 + i]);
}

uint64_t wr_digest_bytes(const struct wr_digest *d, uint32_t slot)
{
	return slot_at(d, slot)->bytes;
}

void wr_digest_close(struct wr_digest *d, uint32_t slot)
{
	struct slot *s = slot_at(d, slot);

	if (s->listed)
		list_cut(d, list_of(d, s), slot);
	while (s->npieces != 0)
		piece_pop(d, s);
	drop_all(d);
	s->phase = SLOT_FREE;
	s->next = d->free_slot;
	d->free_slot = slot;
}

/* --- midstate
 * ------------------------------------------------------------------------------------------ */

#define STATE_MAGIC 0x31474457u

struct saved {
	uint32_t magic, algos, h[WR_DIGEST_H_WORDS];
	uint64_t bytes;
	uint8_t buf[WR_DIGEST_BLOCK];
};
static_assert(sizeof(struct saved) <= sizeof(struct wr_digest_state), "midstate fits");

void wr_digest_save(struct wr_lcore *lc, struct wr_digest *d, uint32_t slot,
                    struct wr_digest_state *out)
{
	struct slot *s = slot_at(d, slot);
	struct saved v = { .magic = STATE_MAGIC, .algos = s->algos };

	WR_ASSERT(s->phase == SLOT_OPEN);
	run_slot(lc, d, slot);
	memcpy(v.h, s->h, sizeof(v.h));
	memcpy(v.buf, s->buf, s->fill);
	v.bytes = s->bytes;
	memset(out, 0, sizeof(*out));
	memcpy(out->bytes, &v, sizeof(v));
}

uint32_t wr_digest_fork(struct wr_lcore *lc, struct wr_digest *d, uint32_t slot)
{
	struct slot *s = slot_at(d, slot), *t;
	uint32_t i = wr_digest_open(lc, d, s->algos);

	WR_ASSERT(s->phase == SLOT_OPEN);
	if (i == 0)
		return 0;
	run_slot(lc, d, slot);
	t = &d->slot[i];
	memcpy(t->h, s->h, sizeof(t->h));
	memcpy(t->buf, s->buf, s->fill);
	t->bytes = s->bytes;
	t->fill = s->fill;
	return i;
}

uint32_t wr_digest_resume(struct wr_lcore *lc, struct wr_digest *d,
                          const struct wr_digest_state *in)
{
	struct saved v;
	uint32_t i;

	memcpy(&v, in->bytes, sizeof(v));
	WR_ASSERT(v.magic == STATE_MAGIC && v.algos < WR_DIGEST_MASKS);
	i = wr_digest_open(lc, d, v.algos);
	if (i == 0)
		return 0;
	memcpy(d->slot[i].h, v.h, sizeof(v.h));
	memcpy(d->slot[i].buf, v.buf, sizeof(v.buf));
	d->slot[i].bytes = v.bytes;
	d->slot[i].fill = (uint8_t)(v.algos == 0 ? 0 : v.bytes % WR_DIGEST_BLOCK);
	return i;
}
