/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/conn.h"

#define MATCHES_MAX 64u

static bool word(const struct wr_str *s, const char *w)
{
	return s->p != NULL && s->len == strlen(w) && memcmp(s->p, w, s->len) == 0;
}

static void objs_push(struct wr_worker *w, struct conn *c, uint32_t oi)
{
	if (c->objs_tail != 0)
		wr_object_at(w->objects, c->objs_tail)->next = oi;
	else
		c->objs = oi;
	c->objs_tail = oi;
}

static void objs_remove(struct wr_worker *w, struct conn *c, uint32_t oi)
{
	uint32_t prev = 0;

	for (uint32_t i = c->objs; i != 0; prev = i, i = wr_object_at(w->objects, i)->next) {
		uint32_t next = wr_object_at(w->objects, i)->next;

		if (i != oi)
			continue;
		if (prev != 0)
			wr_object_at(w->objects, prev)->next = next;
		else
			c->objs = next;
		if (c->objs_tail == oi)
			c->objs_tail = prev;
		return;
	}
}

static void scanners_close(struct wr_worker *w, struct wr_object *o)
{
	for (unsigned i = 0; i < WR_VIEW_COUNT; i++) {
		if (o->view[i].stream != 0)
			wr_scan_close(&w->lc, w->scan, o->view[i].stream);
		if (o->view[i].digest != 0)
			wr_digest_close(w->digest, o->view[i].digest);
		o->view[i].stream = o->view[i].digest = 0;
	}
}

void object_free(struct wr_worker *w, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);

	scanners_close(w, o);
	if (o->head_owner && o->head != NULL)
		wr_http_head_put(w->http, o->head);
	if (o->rs != NULL)
		wr_ruleset_close(o->rs, w->lc.id);
	wr_pool_put(w->objects, oi);
	w->uploads_active--;
}

/* --- a request begins ----------------------------------------------------------------------------
 */

static void view_open(struct wr_worker *w, struct wr_object *o, uint32_t oi, enum wr_view which)
{
	struct wr_view_state *v = &o->view[which];

	v->used = 1;
	v->stream = wr_scan_open(&w->lc, w->scan, o->rs);
	v->digest = wr_digest_open(&w->lc, w->digest, WR_HAS_MD5 | WR_HAS_SHA1 | WR_HAS_SHA256);
	if (v->digest != 0)
		w->digest_owner[v->digest] = oi * WR_VIEW_COUNT + which;
	if (v->stream == 0 && wr_ruleset_ngroups(o->rs) != 0)
		wr_object_cause(o, WR_C_BUDGET);
	if (v->digest == 0)
		wr_object_cause(o, WR_C_BUDGET);
}

static uint32_t object_begin(struct wr_worker *w, struct conn *c)
{
	const struct wr_http_head *h = wr_http_req_head(&c->http);
	uint32_t oi = wr_object_get(w->objects, &w->lc, conn_index(w, c));
	struct wr_object *o;

	if (oi == 0) {
		wr_count(&w->lc, WR_R_OBJECT_LIMIT, 1);
		return 0;
	}
	w->uploads_active++;
	o = wr_object_at(w->objects, oi);
	o->service = c->service;
	o->observe = conn_service(w, c)->mode == WR_MODE_OBSERVE;
	o->req = c->in_req ? c->req : c->req + 1;
	if (c->in_req)
		o->head = wr_http_head_take(&c->http);
	o->head_owner = o->head != NULL;
	o->rs = w->rs;
	if (o->rs != NULL)
		wr_ruleset_open(o->rs, w->lc.id);
	if (h != NULL)
		o->framing_bits = (uint16_t)(1u << h->framing);
	if (c->gap)
		wr_object_cause(o, WR_C_GAP);
	objs_push(w, c, oi);
	return oi;
}

/* Does this request store something? A body always counts, whatever the method. */
static bool is_upload(const struct wr_http_head *h)
{
	if (h->has_body)
		return true;
	return (word(&h->method, "PUT") || word(&h->method, "POST") || word(&h->method, "PATCH")) &&
	       (h->has_length || h->chunked);
}

static bool request_start(struct wr_worker *w, struct conn *c)
{
	const struct wr_http_head *h = wr_http_req_head(&c->http);
	uint32_t oi;

	if (!wr_http_resp_push(&w->lc, &c->resps, h)) {
		/* More requests under way than responses can be paired with: this one waits. */
		c->fifo_wait = 1;
		c->cap = h->start;
		return false;
	}
	if (!is_upload(h))
		return true;
	oi = object_begin(w, c);
	if (oi == 0) {
		if (conn_policy(w, c)->on_overload == WR_DEATH_OPEN)
			return true;
		block(w, c, 0, WR_R_OBJECT_LIMIT);
		return false;
	}
	c->obj = oi;
	wr_counter_add(&w->lc.stats->uploads[h->framing], 1);
	view_open(w, wr_object_at(w->objects, oi), oi, WR_VIEW_RAW);
	return true;
}

/* A response ended: the request that found no room among the unanswered ones goes on. */
bool upload_resume_fifo(struct wr_worker *w, struct conn *c)
{
	c->fifo_wait = 0;
	c->cap = WR_TCP_NONE;
	return request_start(w, c);
}

static bool request_head(struct wr_worker *w, struct conn *c)
{
	c->in_req = 1;
	c->req++;
	return request_start(w, c);
}

/* --- bytes
 * ------------------------------------------------------------------------------------------ */

static void view_bytes(struct wr_worker *w, struct wr_object *o, uint32_t oi, enum wr_view which,
                       const struct wr_piece *piece)
{
	struct wr_view_state *v = &o->view[which];

	v->bytes += piece->len;
	if (v->digest != 0) {
		wr_digest_feed(&w->lc, w->digest, v->digest, piece);
		v->hashed += piece->len;
	}
	if (wr_ruleset_ngroups(o->rs) == 0) {
		v->scanned += piece->len; /* no rule is on: every rule has seen it */
		return;
	}
	if (v->stream == 0)
		return;
	if (w->njobs == JOBS)
		jobs_flush(w);
	w->job[w->njobs] = (struct wr_scan_job){ .stream = v->stream, .piece = *piece };
	w->job_obj[w->njobs++] = oi * WR_VIEW_COUNT + which;
	v->scanned += piece->len;
}

static void body_bytes(struct wr_worker *w, struct conn *c, const struct wr_piece *piece)
{
	struct wr_object *o;

	if (c->obj == 0) {
		wr_counter_add(&w->lc.stats->unscanned_bytes[WR_C_BUDGET], piece->len);
		return;
	}
	o = wr_object_at(w->objects, c->obj);
	o->bytes += piece->len;
	o->last_ns = w->lc.now;
	view_bytes(w, o, c->obj, WR_VIEW_RAW, piece);
	if (piece->owner == NULL)
		jobs_flush(w); /* lent for the call only */
}

/* --- events of the request parser ---------------------------------------------------------------
 */

/* Ends the connection's inspection for a reason of its own; the upload, if any, gets its record. */
static void refuse(struct wr_worker *w, struct conn *c, enum wr_reason why)
{
	uint32_t oi = c->obj;
	struct wr_object *o;

	if (oi == 0 && w->rs != NULL)
		oi = object_begin(w, c);
	c->obj = oi;
	if (oi == 0)
		return;
	o = wr_object_at(w->objects, oi);
	o->reason = (uint16_t)why;
	wr_object_cause(o, WR_C_FRAMING);
}

void upload_refuse(struct wr_worker *w, struct conn *c, enum wr_reason why)
{
	uint32_t oi;

	refuse(w, c, why);
	oi = c->obj;
	upload_finish(w, c);
	if (oi != 0)
		wr_object_at(w->objects, oi)->decision.action = WR_A_BLOCK;
	block(w, c, oi, why);
}

static bool request_bad(struct wr_worker *w, struct conn *c, enum wr_reason why)
{
	enum wr_on on = (enum wr_on)conn_policy(w, c)->on_reason[why];

	wr_count(&w->lc, why, 1);
	if (on == WR_ON_PASS || on == WR_ON_INSPECT ||
	    conn_service(w, c)->mode == WR_MODE_OBSERVE) {
		refuse(w, c, why);
		conn_pass(w, c, why);
	} else {
		upload_refuse(w, c, why);
	}
	return false;
}

/* False: stop parsing this connection for now. */
bool upload_event(struct wr_worker *w, struct conn *c, enum wr_http_ev ev, struct wr_http_out *out)
{
	switch (ev) {
	case WR_HTTP_HEAD: return request_head(w, c);
	case WR_HTTP_BODY: body_bytes(w, c, &out->body); return true;
	case WR_HTTP_END:
		c->in_req = 0;
		if (c->obj == 0)
			return true;
		wr_object_at(w->objects, c->obj)->last_ns = w->lc.now;
		c->pending = 1; /* what follows waits for the verdict */
		return false;
	case WR_HTTP_BAD: return request_bad(w, c, out->reason);
	case WR_HTTP_PROXY: c->proxy = out->proxy; return true;
	case WR_HTTP_BUSY: backlog_add(w, conn_index(w, c)); return false;
	default: return false;
	}
}

/* --- the end of an upload
 * --------------------------------------------------------------------------- */

static uint32_t gather(struct wr_worker *w, const struct wr_object *o, struct wr_match *m,
                       bool *more)
{
	uint32_t n = 0;

	*more = false;
	for (unsigned i = 0; i < WR_VIEW_COUNT; i++) {
		const struct wr_view_state *v = &o->view[i];
		const struct wr_hit *hit;
		bool cut = false;
		uint32_t k, nh;

		if (!v->used)
			continue;
		nh = v->stream != 0 ? wr_scan_hits(w->scan, v->stream, &hit, &cut) : 0;
		*more |= cut;
		for (k = 0; k < nh && n < MATCHES_MAX; k++)
			m[n++] = (struct wr_match){ .item = hit[k].rule,
				                    .offset = hit[k].offset,
				                    .kind = WR_MATCH_PATTERN,
				                    .view = (uint8_t)i };
		if (v->digested) {
			k = wr_ruleset_lookup(o->rs, &v->digests, m + n, MATCHES_MAX - n);
			for (uint32_t j = 0; j < k; j++)
				m[n + j].view = (uint8_t)i;
			n += k;
		}
		*more |= n == MATCHES_MAX;
	}
	return n;
}

static void decide(struct wr_worker *w, struct wr_object *o)
{
	struct wr_match m[MATCHES_MAX];
	bool more = false;
	uint32_t n = o->rs != NULL ? gather(w, o, m, &more) : 0;
	struct wr_evidence ev = {
		.rs = o->rs,
		.policy = &w->lc.conf->service[o->service].policy,
		.match = m,
		.nmatches = n,
		.causes = o->causes,
		.canary = wr_object_canary(o),
		.now_s = (w->lc.now + w->lc.real) / 1000000000ull,
		.complete = wr_object_complete(o),
		.observe = o->observe,
		.matches_cut = more,
		.reason = (uint8_t)o->reason,
	};

	wr_verdict_decide(&ev, &o->decision);
	o->verdict_ns = w->lc.now;
	wr_counter_add(&w->lc.stats->verdict[o->decision.verdict][o->decision.action], 1);
	wr_counter_add(&w->lc.stats->cause[o->decision.cause][o->decision.action], 1);
	if (o->observe && o->decision.would == WR_A_BLOCK)
		wr_counter_add(&w->lc.stats->would_block[o->service], 1);
}

/* The upload of c ends now, whole or not: decide on what is there. */
void upload_finish(struct wr_worker *w, struct conn *c)
{
	struct wr_object *o;

	if (c->obj == 0)
		return;
	jobs_flush(w);
	o = wr_object_at(w->objects, c->obj);
	if (o->state == WR_OBJ_RECEIVING || o->state == WR_OBJ_FINISHING)
		decide(w, o);
	o->state = WR_OBJ_ANSWER;
	c->obj = 0;
	scanners_close(w, o);
}

static void verdict_stands(struct wr_worker *w, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);
	struct conn *c = &w->conn[o->conn];

	decide(w, o);
	scanners_close(w, o);
	if (o->decision.action == WR_A_BLOCK) {
		o->state = WR_OBJ_ANSWER;
		c->obj = 0;
		block(w, c, oi, WR_R_NONE);
		return;
	}
	if (!record_room(w) && !o->observe) {
		o->state = WR_OBJ_RECORDS;
		wr_count(&w->lc, WR_R_RECORD_RING_FULL, 1);
		backlog_add(w, o->conn);
		return;
	}
	upload_release(w, oi);
}

/* The tail may go: what waits behind it is parsed next. */
void upload_release(struct wr_worker *w, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);
	struct conn *c = &w->conn[o->conn];
	uint64_t us = (w->lc.now - o->last_ns) / 1000, b = 0;

	while (b < WR_HIST_BUCKETS - 1 && us >= 1ull << b)
		b++;
	wr_counter_add(&w->lc.stats->delay_us[b], 1);
	wr_counter_add(&w->lc.stats->delay_sum_ns, w->lc.now - o->last_ns);
	wr_counter_add(&w->lc.stats->delay_count, 1);
	o->state = WR_OBJ_ANSWER;
	o->release_ns = w->lc.now;
	o->committed = WR_COMMITTED_UNKNOWN;
	w->promised++;
	c->obj = 0;
	c->pending = 0;
	touch(w, o->conn);
	if (o->early) { /* its answer was there before */
		o->committed = o->early == 2 ? WR_COMMITTED_YES : WR_COMMITTED_NO;
		w->promised--;
		record_queue(w, oi);
	}
}

/* After the scan of a burst: objects whose last byte was in it go to their end. */
static void end_views(struct wr_worker *w, struct wr_object *o)
{
	o->state = WR_OBJ_FINISHING;
	for (unsigned i = 0; i < WR_VIEW_COUNT; i++) {
		struct wr_view_state *v = &o->view[i];

		if (v->stream != 0)
			wr_scan_end(&w->lc, w->scan, v->stream);
		if (v->digest != 0)
			wr_digest_end(&w->lc, w->digest, v->digest);
	}
}

static bool digests_stand(const struct wr_object *o)
{
	for (unsigned i = 0; i < WR_VIEW_COUNT; i++)
		if (o->view[i].used && o->view[i].digest != 0 && !o->view[i].digested)
			return false;
	return true;
}

void upload_verdicts(struct wr_worker *w)
{
	uint32_t slot[64], n;

	for (uint32_t i = 0; i < w->ntouched; i++) {
		struct conn *c = &w->conn[w->touched[i]];

		if (c->phase == PH_OPEN && c->pending && c->obj != 0 &&
		    wr_object_at(w->objects, c->obj)->state == WR_OBJ_RECEIVING) {
			struct wr_object *o = wr_object_at(w->objects, c->obj);

			end_views(w, o);
			if (digests_stand(o))
				verdict_stands(w, c->obj);
		}
	}
	wr_digest_run(&w->lc, w->digest);
	while ((n = wr_digest_done(w->digest, slot, 64)) != 0) {
		for (uint32_t i = 0; i < n; i++) {
			uint32_t oi = w->digest_owner[slot[i]] / WR_VIEW_COUNT;
			struct wr_object *o = wr_object_at(w->objects, oi);
			struct wr_view_state *v =
			        &o->view[w->digest_owner[slot[i]] % WR_VIEW_COUNT];

			wr_digest_result(w->digest, slot[i], &v->digests);
			v->digested = 1;
			if (o->state == WR_OBJ_FINISHING && digests_stand(o))
				verdict_stands(w, oi);
		}
	}
}

/* The store's final response to the oldest request without one. */
void upload_response(struct wr_worker *w, struct conn *c, uint16_t status)
{
	uint32_t req = c->resp + 1, next;
	bool ok = status >= 200 && status < 300;

	for (uint32_t oi = c->objs; oi != 0; oi = next) {
		struct wr_object *o = wr_object_at(w->objects, oi);

		next = o->next;
		if (o->req != req)
			continue;
		if (o->state != WR_OBJ_ANSWER || o->release_ns == 0) {
			o->early = ok ? 2 : 1;
			wr_count(&w->lc, ok ? WR_R_EARLY_SUCCESS : WR_R_EARLY_RESPONSE, 1);
			continue;
		}
		o->committed = ok ? WR_COMMITTED_YES : WR_COMMITTED_NO;
		w->promised--;
		record_queue(w, oi);
	}
}

/* The connection ends (or leaves inspection): every upload on it gets its record now. */
void upload_abort(struct wr_worker *w, struct conn *c, enum wr_cause why, uint8_t committed)
{
	if (c->obj != 0) {
		struct wr_object *o = wr_object_at(w->objects, c->obj);

		if (o->state == WR_OBJ_RECEIVING || o->state == WR_OBJ_FINISHING)
			wr_object_cause(o, o->early ? WR_C_EARLY_RESPONSE : why);
		upload_finish(w, c);
	}
	c->pending = 0;
	while (c->objs != 0) {
		uint32_t oi = c->objs;
		struct wr_object *o = wr_object_at(w->objects, oi);

		if (o->release_ns != 0)
			w->promised--;
		else
			o->committed = why == WR_C_FRAMING ? committed : WR_COMMITTED_NO;
		record_queue(w, oi);
		WR_ASSERT(c->objs != oi);
	}
}

/* Takes the object off its connection and puts it in line for its record. */
void record_queue(struct wr_worker *w, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);
	struct conn *c = &w->conn[o->conn];
	const struct wr_flow *f = wr_flow_at(w->flows, o->conn);

	objs_remove(w, c, oi);
	if (c->blocked_obj == oi)
		c->blocked_obj = 0;
	/* What the record needs of the connection, since that may be gone when there is room for
	 * it. */
	o->key = f->key;
	o->proxy_source = c->proxy.known ? c->proxy.source : WR_SRC_TCP;
	memcpy(o->proxy_src, c->proxy.src, 16);
	o->proxy_port = c->proxy.sport;
	if (o->release_ns != 0)
		o->forwarded = o->bytes;
	else if (o->head != NULL && c->c2s.sent > o->head->body)
		o->forwarded = wr_min_u64(c->c2s.sent - o->head->body, o->bytes);
	o->state = WR_OBJ_DONE;
	o->next = 0;
	o->done_ns = w->lc.now;
	scanners_close(w, o);
	if (w->recs_tail != 0)
		wr_object_at(w->objects, w->recs_tail)->next = oi;
	else
		w->recs = oi;
	w->recs_tail = oi;
}
