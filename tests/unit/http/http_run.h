/* SPDX-License-Identifier: BSD-3-Clause */
/* http_run - feeds bytes to the request parser in cuts of a given size and keeps what it said. */
#ifndef WR_TESTS_HTTP_RUN_H
#define WR_TESTS_HTTP_RUN_H

#include <stdlib.h>
#include <string.h>

#include "http/http.h"

struct http_run {
	struct wr_stats stats;
	struct wr_lcore lc;
	struct wr_policy policy;
	struct wr_http *t;
	char log[8192]; /* H, B, E, P, X<reason> */
	uint8_t body[1 << 18];
	uint32_t nlog, nbody, requests;
	enum wr_reason reason;
	uint64_t hold;            /* after the last event */
	uint64_t hold_head;       /* after the first HEAD */
	uint64_t hold_max;        /* the last one that was not NONE */
	struct wr_http_head head; /* of the first request; strings point into the slot */
	struct wr_http_proxy proxy;
};

static struct http_run *http_run_new(uint32_t heads)
{
	struct http_run *r = calloc(1, sizeof(*r));
	struct wr_http_conf c = { .heads = heads };

	r->lc.stats = &r->stats;
	memset(r->policy.on_reason, WR_ON_BLOCK, sizeof(r->policy.on_reason));
	r->t = wr_http_new(&c);
	return r;
}

__attribute__((unused)) static void http_run_free(struct http_run *r)
{
	wr_http_free(r->t);
	free(r);
}

static void http_say(struct http_run *r, char c)
{
	/* Runs of body events count as one: how many there are depends on the cut. */
	if (c == 'B' && r->nlog > 0 && r->log[r->nlog - 1] == 'B')
		return;
	if (r->nlog + 1 < sizeof(r->log))
		r->log[r->nlog++] = c;
	r->log[r->nlog] = '\0';
}

/* True while the parser goes on. */
static int http_event(struct http_run *r, struct wr_http_req *h, enum wr_http_ev ev,
                      const struct wr_http_out *out)
{
	if (wr_http_hold_from(h) != WR_HTTP_HOLD_NONE)
		r->hold_max = wr_http_hold_from(h);
	r->hold = wr_http_hold_from(h);
	switch (ev) {
	case WR_HTTP_HEAD:
		http_say(r, 'H');
		if (r->requests++ == 0) {
			r->head = *wr_http_req_head(h);
			r->hold_head = r->hold;
		}
		return 1;
	case WR_HTTP_BODY:
		http_say(r, 'B');
		if (r->nbody + out->body.len <= sizeof(r->body)) {
			memcpy(r->body + r->nbody, out->body.p, out->body.len);
			r->nbody += out->body.len;
		}
		return 1;
	case WR_HTTP_END: http_say(r, 'E'); return 1;
	case WR_HTTP_PROXY:
		http_say(r, 'P');
		r->proxy = out->proxy;
		return 1;
	case WR_HTTP_BAD:
		http_say(r, 'X');
		r->reason = out->reason;
		return 0;
	case WR_HTTP_BUSY: http_say(r, 'Y'); return 0;
	default: return 1;
	}
}

/* cut 0: all at once; otherwise pieces of `cut` bytes; at: a cut there. Each in its own allocation.
 */
__attribute__((unused)) static void http_feed_at(struct http_run *r, const void *data, size_t n,
                                                 size_t cut, size_t at, uint8_t proxy)
{
	const uint8_t *p = data;
	struct wr_http_req h;
	struct wr_http_out out;
	int on = 1;

	r->nlog = r->nbody = r->requests = 0;
	r->log[0] = '\0';
	r->reason = WR_R_NONE;
	r->hold_max = r->hold_head = WR_HTTP_HOLD_NONE;
	memset(&r->head, 0, sizeof(r->head));
	memset(&r->stats, 0, sizeof(r->stats));
	wr_http_req_init(&h, r->t, &r->policy, proxy);
	for (size_t i = 0; on && i < n;) {
		size_t len = cut == 0 || cut > n - i ? n - i : cut;
		enum wr_http_ev ev;
		struct wr_span in;
		uint8_t *copy;

		if (i < at && at - i < len)
			len = at - i;
		copy = malloc(len);
		memcpy(copy, p + i, len);
		in = (struct wr_span){ copy, copy + len, i, NULL };
		do {
			ev = wr_http_req_next(&r->lc, &h, &in, &out);
			on = http_event(r, &h, ev, &out);
		} while (on && ev != WR_HTTP_MORE);
		free(copy);
		i += len;
	}
	wr_http_req_close(&h);
}

__attribute__((unused)) static void http_feed(struct http_run *r, const void *data, size_t n,
                                              size_t cut, uint8_t proxy)
{
	http_feed_at(r, data, n, cut, 0, proxy);
}

#endif
