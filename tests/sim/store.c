/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store - what a store makes of the segments it gets: three rules for overlaps, a lenient HTTP
 * reader, commits. A form's file is committed as soon as the delimiter behind it is there.
 */
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "sim/world.h"

enum step { AT_HEAD, AT_BODY, AT_SIZE, AT_CHUNK, AT_TRAILER };

void host_place(struct host *h, uint32_t off, const struct seg *g)
{
	bool replace = h->policy == LAST_WINS;
	uint32_t edge = h->read + h->rbuf + (h->probe_taken ? 1 : 0);

	if (h->policy == LINUX_LIKE) {
		/* A later segment that starts before a queued one replaces it. */
		uint32_t first = off;

		while (first < off + g->len && first < STREAM_MAX && !h->have[first])
			first++;
		replace = first > off;
	}
	for (uint32_t i = 0; i < g->len; i++) {
		uint32_t at = off + i;

		if (at < h->rcv || at >= STREAM_MAX || at >= edge || (h->have[at] && !replace))
			continue;
		if (sim.verbose && h->have[at] && h->in[at] != g->data[i])
			printf("  CONFLICT at the host: offset %u, seg %u+%u\n", at, off, g->len);
		h->in[at] = g->data[i];
		h->have[at] = 1;
		if (at >= h->in_top)
			h->in_top = at + 1;
	}
	if (h->rcv < h->in_top && h->have[h->rcv]) {
		const uint8_t *gap = memchr(h->have + h->rcv, 0, h->in_top - h->rcv);

		h->rcv = gap != NULL ? (uint32_t)(gap - h->have) : h->in_top;
	}
	if (sim.wire.now < h->pause_from || sim.wire.now >= h->pause_to)
		h->read = h->rcv;
}

/* --- bodies
 * ------------------------------------------------------------------------------------------- */

bool body_bad(const uint8_t *b, uint32_t n)
{
	return memmem(b, n, mark, MARK_LEN) != NULL ||
	       (n == LISTED_LEN && memcmp(b, listed_body, n) == 0);
}

/* What a store that serves it decoded would give out; 0 where it does not decode. */
static uint32_t decode(struct shop *w)
{
	z_stream z = { .next_in = w->body,
		       .avail_in = w->body_len,
		       .next_out = w->plain,
		       .avail_out = STREAM_MAX };

	if (inflateInit2(&z, 31) != Z_OK)
		return 0;
	(void)inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return (uint32_t)z.total_out;
}

/* Files that are complete by now: everything between a part's head and the delimiter behind it. */
static void parts(struct shop *w)
{
	static const char line[] = "\r\n" FORM_LINE;

	for (;;) {
		const uint8_t *from = w->body + w->scanned, *end = w->body + w->body_len;
		const uint8_t *head = memmem(from, (size_t)(end - from), "\r\n\r\n", 4), *stop;

		if (head == NULL)
			return;
		head += 4;
		stop = memmem(head, (size_t)(end - head), line, sizeof(line) - 1);
		if (stop == NULL)
			return;
		w->parts++;
		w->bad_commits += body_bad(head, (uint32_t)(stop - head));
		w->scanned = (uint32_t)(stop - w->body) + (uint32_t)sizeof(line) - 1;
	}
}

static void commit(struct shop *w)
{
	w->commits++;
	if (body_bad(w->body, w->body_len) || (w->gzip && body_bad(w->plain, decode(w))))
		w->bad_commits++;
	w->state = AT_HEAD;
}

/* --- HTTP
 * ------------------------------------------------------------------------------------------- */

static bool number(const uint8_t *b, uint32_t n, uint32_t base, uint32_t *v)
{
	uint32_t i;

	*v = 0;
	for (i = 0; i < n && i < 6; i++) {
		uint32_t d = 99;

		if (b[i] >= '0' && b[i] <= '9')
			d = (uint32_t)(b[i] - '0');
		else if (b[i] >= 'a' && b[i] <= 'f')
			d = (uint32_t)(b[i] - 'a') + 10;
		if (d >= base)
			break;
		*v = *v * base + d;
	}
	return i > 0;
}

static void say(struct host *h, const char *text)
{
	uint32_t n = (uint32_t)strlen(text);

	if (h->out_len + n < STREAM_MAX) {
		memcpy(h->out + h->out_len, text, n);
		h->out_len += n;
	}
}

static bool head(struct host *h, struct shop *w)
{
	const uint8_t *b = h->in + w->at, *end;
	const uint8_t *stop = memmem(b, h->read - w->at, "\r\n\r\n", 4), *f;

	if (stop == NULL)
		return false;
	end = stop + 4;
	w->gzip = memmem(b, (size_t)(end - b), "Content-Encoding: gzip", 22) != NULL;
	w->form = memmem(b, (size_t)(end - b), "multipart/form-data", 19) != NULL;
	w->chunked = memmem(b, (size_t)(end - b), "Transfer-Encoding: chunked", 26) != NULL;
	f = memmem(b, (size_t)(end - b), "Content-Length: ", 16);
	w->want = w->body_len = w->scanned = 0;
	if (f != NULL && !number(f + 16, (uint32_t)(end - f) - 16, 10, &w->want))
		w->broken = true;
	if (memmem(b, (size_t)(end - b), "100-continue", 12) != NULL)
		say(h, "HTTP/1.1 100 Continue\r\n\r\n");
	w->at += (uint32_t)(end - b);
	w->heads++;
	w->state = w->chunked ? AT_SIZE : AT_BODY;
	return true;
}

/* Takes what is there of a body's or a chunk's bytes. True: that was all. */
static bool take(const struct host *h, struct shop *w)
{
	uint32_t n = h->read - w->at < w->want ? h->read - w->at : w->want;

	if (w->body_len + n > STREAM_MAX) {
		w->broken = true;
		return false;
	}
	memcpy(w->body + w->body_len, h->in + w->at, n);
	w->body_len += n;
	w->at += n;
	w->want -= n;
	if (w->form && n != 0)
		parts(w);
	return w->want == 0;
}

static bool chunk_size(struct host *h, struct shop *w)
{
	const uint8_t *b = h->in + w->at;
	const uint8_t *line = memmem(b, h->read - w->at, "\r\n", 2);

	if (line == NULL)
		return false;
	if (!number(b, (uint32_t)(line - b), 16, &w->want)) {
		w->broken = true;
		return false;
	}
	w->at += (uint32_t)(line - b) + 2;
	w->state = w->want != 0 ? AT_CHUNK : AT_TRAILER;
	return true;
}

/* One step of the reader; false: more bytes are needed, or it gave up. */
static bool step(struct host *h, struct shop *w)
{
	switch (w->state) {
	case AT_HEAD: return head(h, w);
	case AT_BODY:
		if (!take(h, w))
			return false;
		commit(w);
		return true;
	case AT_SIZE: return chunk_size(h, w);
	case AT_CHUNK:
		if (w->want != 0 && !take(h, w))
			return false;
		if (h->read - w->at < 2)
			return false;
		w->broken = memcmp(h->in + w->at, "\r\n", 2) != 0;
		w->at += 2;
		w->state = AT_SIZE;
		return true;
	default:
		if (h->read - w->at < 2)
			return false;
		w->broken = memcmp(h->in + w->at, "\r\n", 2) != 0;
		w->at += 2;
		if (!w->broken)
			commit(w);
		return true;
	}
}

static void answer(struct host *h, struct shop *w)
{
	static const char plain[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	static const char chunks[] = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
	                             "3\r\nyes\r\n0\r\n\r\n";

	say(h, w->chunked_answers ? chunks : plain);
	w->responded++;
}

bool store_due(const struct pair *p, uint64_t now)
{
	return p->shop.answer_at != 0 && now >= p->shop.answer_at;
}

void store_app(struct pair *p)
{
	struct host *h = &p->store;
	struct shop *w = &p->shop;
	uint32_t due = w->early ? w->heads : w->commits;

	while (!w->broken && (w->at < h->read || w->state == AT_BODY) && step(h, w))
		;
	due = w->early ? w->heads : w->commits;
	if (due <= w->responded) {
		if (h->fin_got && h->read == h->rcv && due == w->commits)
			h->want_fin = true;
		return;
	}
	if (w->answer_at == 0)
		w->answer_at = sim.wire.now + w->slow_ms * MS;
	if (!store_due(p, sim.wire.now))
		return;
	if (w->heads > w->commits && w->early)
		sim.seen[SIT_EARLY_ANSWER] = 1;
	while (w->responded < due)
		answer(h, w);
	w->answer_at = 0;
}
