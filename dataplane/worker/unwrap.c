/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events of the request parser and of the body's layers -> objects and bytes for their scanners.
 */
#include "worker/conn.h"

static bool word(const struct wr_str *s, const char *w)
{
	return s->p != NULL && s->len == strlen(w) && memcmp(s->p, w, s->len) == 0;
}

/* --- objects of a request
 * ------------------------------------------------------------------------- */

void open_push(struct conn *c, uint32_t oi, uint32_t id)
{
	WR_ASSERT(c->nopen < OPEN_MAX);
	c->open_id[c->nopen] = id;
	c->open[c->nopen++] = oi;
	c->obj = oi;
}

void open_pop(struct conn *c)
{
	if (c->nopen > 0)
		c->nopen--;
	c->obj = c->nopen > 0 ? c->open[c->nopen - 1] : 0;
}

/* Whatever order the wire brings about: the one whose verdict is wanted is the innermost. */
static void open_top(struct conn *c, uint32_t oi)
{
	uint32_t i = 0, id;

	while (i < c->nopen && c->open[i] != oi)
		i++;
	if (i >= c->nopen)
		return;
	id = c->open_id[i];
	for (; i + 1 < c->nopen; i++) {
		c->open[i] = c->open[i + 1];
		c->open_id[i] = c->open_id[i + 1];
	}
	c->open[i] = c->obj = oi;
	c->open_id[i] = id;
}

static uint32_t open_find(const struct conn *c, uint32_t id)
{
	for (uint32_t i = 0; i < c->nopen; i++)
		if (c->open_id[i] == id)
			return c->open[i];
	return 0;
}

uint32_t object_begin(struct wr_worker *w, struct conn *c)
{
	uint32_t oi = wr_object_get(w->objects, &w->lc, conn_index(w, c));
	struct wr_object *o;

	if (oi == 0) {
		wr_count(&w->lc, WR_R_OBJECT_LIMIT, 1);
		tell(w, c, WR_R_OBJECT_LIMIT);
		return 0;
	}
	w->uploads_active++;
	o = wr_object_at(w->objects, oi);
	o->service = c->service;
	o->observe = conn_service(w, c)->mode == WR_MODE_OBSERVE;
	o->req = c->in_req || c->ending ? c->req : c->req + 1;
	if (c->head == NULL && conn_head(c) != NULL) {
		c->head = wr_http_head_take(&c->http);
		c->head->users = 1;
		c->head_taken = 1;
	}
	o->head = c->head;
	if (o->head != NULL) {
		o->head->users++;
		o->framing_bits = (uint16_t)(1u << o->head->framing);
	}
	if (c->body != NULL)
		o->framing_bits = wr_body_framing(c->body);
	/* One ruleset from the first byte of a request to its last. */
	o->rs = c->rs != NULL ? c->rs : w->rs;
	if (o->rs != NULL)
		wr_ruleset_open(o->rs, w->lc.id);
	if (c->gap)
		wr_object_cause(o, WR_C_GAP);
	objs_push(w, c, oi);
	return oi;
}

/* No entry left for an upload. */
static bool no_object(struct wr_worker *w, struct conn *c)
{
	if (conn_policy(w, c)->on_overload == WR_DEATH_OPEN)
		return true;
	block(w, c, 0, WR_R_OBJECT_LIMIT);
	return false;
}

/* --- a request begins
 * ------------------------------------------------------------------------------ */

/* Does this request store something? A body always counts, whatever the method. */
static bool is_upload(const struct wr_http_head *h)
{
	if (h->has_body)
		return true;
	return (word(&h->method, "PUT") || word(&h->method, "POST") || word(&h->method, "PATCH")) &&
	       (h->has_length || h->chunked);
}

/* What cannot be inspected, for a reason of the framing: policy says whether it is refused or goes
 * on unseen. False, as nothing more is parsed. */
bool upload_bad(struct wr_worker *w, struct conn *c, enum wr_reason why)
{
	enum wr_on on = (enum wr_on)conn_policy(w, c)->on_reason[why];

	tell(w, c, why); /* counted where it was found */
	if (on == WR_ON_PASS || on == WR_ON_INSPECT ||
	    conn_service(w, c)->mode == WR_MODE_OBSERVE) {
		refuse(w, c, why);
		conn_pass(w, c, why);
	} else {
		upload_refuse(w, c, why);
	}
	return false;
}

static bool request_start(struct wr_worker *w, struct conn *c)
{
	const struct wr_http_head *h = wr_http_req_head(&c->http);
	enum wr_reason why;
	uint32_t oi;

	if (w->rs == NULL && is_upload(h)) {
		/* Nothing to judge it by: it waits, and asks again each turn. */
		c->fifo_wait = 1;
		c->cap = h->start;
		backlog_add(w, conn_index(w, c));
		return false;
	}
	switch (session_request(w, c, h, is_upload(h))) {
	case BEGIN_GO: break;
	case BEGIN_REFUSED: return false;
	case BEGIN_WAIT:
		c->fifo_wait = 1;
		c->cap = h->start;
		return false;
	}
	/*
	 * More requests under way than responses can be paired with. It cannot wait for one: bytes
	 * of it may already be with the store behind a gap, and what fills the gap waits for them.
	 */
	if (!c->s2c.lost && !wr_http_resp_push(&w->lc, &c->resps, h))
		responses_lost(w, c);
	if (!is_upload(h))
		return true;
	c->up = 1;
	c->records = 0;
	c->hold_passed = WR_BODY_HOLD_NONE;
	c->rs = w->rs;
	wr_ruleset_open(c->rs, w->lc.id);
	c->head = wr_http_head_take(&c->http);
	c->head->users = 1;
	c->head_taken = 1;
	why = wr_body_open(&w->lc, w->bodies, c->head, conn_policy(w, c), &c->body);
	wr_counter_add(&w->lc.stats->uploads[why == WR_R_NONE ? framing_of(wr_body_framing(c->body))
	                                                      : c->head->framing],
	               1);
	if (why == WR_R_NONE)
		return true;
	c->body = NULL;
	if (why != WR_R_OVERLOAD)
		return upload_bad(w, c, why);
	/* No slot to unwrap it: its bytes are seen as they stand, and the verdict says so. */
	oi = object_begin(w, c);
	if (oi == 0)
		return no_object(w, c);
	wr_object_cause(wr_object_at(w->objects, oi), WR_C_DECODER_BUDGET);
	session_attach(w, c, oi, false);
	view_open(w, wr_object_at(w->objects, oi), oi, WR_VIEW_RAW);
	open_push(c, oi, UINT32_MAX);
	return true;
}

/* The request that found no ruleset asks again. */
bool upload_resume_fifo(struct wr_worker *w, struct conn *c)
{
	c->fifo_wait = 0;
	c->cap = WR_TCP_NONE;
	return request_start(w, c);
}

/* --- bytes
 * -------------------------------------------------------------------------------------------- */

static void object_bytes(struct wr_worker *w, uint32_t oi, enum wr_view view,
                         const struct wr_piece *piece)
{
	struct wr_object *o;

	if (oi == 0) {
		wr_counter_add(&w->lc.stats->unscanned_bytes[WR_C_BUDGET], piece->len);
		return;
	}
	o = wr_object_at(w->objects, oi);
	if (view == WR_VIEW_RAW)
		o->bytes += piece->len;
	o->last_ns = w->lc.now;
	view_bytes(w, o, oi, view, piece);
	if (o->piece != 0 && view == WR_VIEW_RAW)
		session_bytes(w, oi, piece);
	if (piece->owner == NULL)
		jobs_flush(w); /* lent for the call only */
}

static void keep_text(char *to, uint32_t size, const struct wr_str *s)
{
	uint32_t n = s->p != NULL ? wr_min_u32(s->len, size - 1) : 0;

	if (n != 0)
		memcpy(to, s->p, n);
	to[n] = '\0';
}

static bool body_begin(struct wr_worker *w, struct conn *c, const struct wr_body_out *out)
{
	const struct wr_body_meta *m = out->meta;
	uint32_t oi = c->nopen < OPEN_MAX ? object_begin(w, c) : 0;
	struct wr_object *o;

	if (oi == 0)
		return no_object(w, c);
	o = wr_object_at(w->objects, oi);
	view_open(w, o, oi, WR_VIEW_RAW);
	if (m->coding != WR_CODING_NONE) {
		view_open(w, o, oi, WR_VIEW_DECODED);
		o->view[WR_VIEW_DECODED].coding = m->coding;
	}
	o->part = m->part != 0;
	o->kind = m->part != 0 ? WR_REC_PART : WR_REC_REQUEST;
	o->norecord = m->kind == WR_BODY_FIELD || m->kind == WR_BODY_AROUND;
	session_attach(w, c, oi, m->kind == WR_BODY_WHOLE);
	keep_text(o->declared, sizeof(o->declared), &m->type);
	keep_text(o->filename, sizeof(o->filename), &m->filename);
	open_push(c, oi, out->obj);
	return true;
}

static void body_note(struct wr_worker *w, struct conn *c, const struct wr_body_out *out)
{
	uint32_t oi = open_find(c, out->obj);
	struct wr_object *o;

	if (oi == 0)
		return;
	o = wr_object_at(w->objects, oi);
	o->reason = (uint16_t)out->reason;
	if (!out->lost)
		return;
	tell(w, c, out->reason);
	switch (out->reason) {
	case WR_R_EXPANSION_TIME:
	case WR_R_EXPANSION_LIMIT: wr_object_cause(o, WR_C_EXPANSION); break;
	case WR_R_DECODER_BUDGET: wr_object_cause(o, WR_C_DECODER_BUDGET); break;
	case WR_R_CODING_UNKNOWN:
	case WR_R_CODING_BAD:
	case WR_R_CODING_TRAILING: wr_object_cause(o, WR_C_UNDECODABLE); break;
	default: wr_object_cause(o, WR_C_FRAMING); break;
	}
}

/* The object's verdict is wanted: nothing of the connection is parsed until it stands. */
static bool object_ends(struct wr_worker *w, struct conn *c, const struct wr_body_out *out)
{
	uint32_t oi = open_find(c, out->obj);

	if (oi == 0)
		return true; /* judged already: only trailers followed */
	/* What is inside ends first; were it not so, the rest would end with the request. */
	open_top(c, oi);
	if (out->lost)
		wr_object_cause(wr_object_at(w->objects, oi), WR_C_FRAMING);
	wr_object_at(w->objects, oi)->last_ns = w->lc.now;
	c->pending = 1;
	return false;
}

/* One event of the body's layers. False: stop for now. */
static bool body_event(struct wr_worker *w, struct conn *c, enum wr_body_ev ev,
                       struct wr_body_out *out)
{
	switch (ev) {
	case WR_BODY_OBJ_BEGIN: return body_begin(w, c, out);
	case WR_BODY_DATA:
		object_bytes(w, open_find(c, out->obj), (enum wr_view)out->view, &out->piece);
		return true;
	case WR_BODY_OBJ_END: return object_ends(w, c, out);
	case WR_BODY_NOTE: body_note(w, c, out); return true;
	case WR_BODY_BAD: return upload_bad(w, c, out->reason);
	case WR_BODY_PAUSE: backlog_add(w, conn_index(w, c)); return false;
	default: return false;
	}
}

/* The body has ended and every object of it has its verdict. */
static bool request_done(struct wr_worker *w, struct conn *c)
{
	uint32_t oi;

	if (c->nopen != 0) {
		/* Begun and never ended: its verdict says that it was not seen to its end. */
		wr_object_cause(wr_object_at(w->objects, c->obj), WR_C_FRAMING);
		wr_object_at(w->objects, c->obj)->last_ns = w->lc.now;
		c->pending = 1;
		return false;
	}
	if (c->records == 0 && c->up && c->rs != NULL) {
		/* A form without files: its fields were scanned; one record speaks for the request.
		 */
		oi = object_begin(w, c);
		if (oi != 0) {
			session_attach(w, c, oi, true);
			open_push(c, oi, UINT32_MAX);
			upload_head_drop(w, c);
			c->pending = 1;
			return false;
		}
	}
	upload_head_drop(w, c);
	c->up = 0;
	return true;
}

/* Goes on with bytes that the layers have already been given. True: they are used up. */
bool upload_more(struct wr_worker *w, struct conn *c)
{
	struct wr_span none = { NULL, NULL, 0, NULL };
	struct wr_body_out out;

	while (c->body != NULL) {
		enum wr_body_ev ev = c->ending ? wr_body_end(&w->lc, c->body, &out)
		                               : wr_body_next(&w->lc, c->body, &none, &out);

		if (ev == WR_BODY_MORE || ev == WR_BODY_DONE)
			c->unread = WR_TCP_NONE;
		if (ev == WR_BODY_MORE)
			return true;
		if (ev == WR_BODY_DONE)
			return request_done(w, c);
		if (!body_event(w, c, ev, &out))
			return false;
	}
	return true;
}

static bool body_bytes(struct wr_worker *w, struct conn *c, const struct wr_http_out *http)
{
	struct wr_span span = { http->body.p, http->body.p + http->body.len, http->off,
		                http->body.owner };
	struct wr_body_out out;

	if (c->body == NULL) {
		object_bytes(w, c->obj, WR_VIEW_RAW, &http->body);
		return true;
	}
	for (;;) {
		enum wr_body_ev ev = wr_body_next(&w->lc, c->body, &span, &out);

		if (ev == WR_BODY_MORE)
			return true;
		if (!body_event(w, c, ev, &out)) {
			c->unread = http->off; /* nothing of it leaves before all of it was seen */
			return false;
		}
	}
}

static bool request_end(struct wr_worker *w, struct conn *c)
{
	c->in_req = 0;
	c->head_taken = 0;
	/* Uploads have taken the head; an idle connection has no use for one, and there are not
	 * enough for all. */
	wr_http_req_done(&c->http);
	if (c->body != NULL) {
		c->ending = 1;
		return upload_more(w, c) && !c->pending;
	}
	upload_head_drop(w, c);
	if (c->nopen == 0) {
		c->up = 0;
		return true;
	}
	wr_object_at(w->objects, c->obj)->last_ns = w->lc.now;
	c->pending = 1;
	return false;
}

/* Every slot for a head is taken: the request waits a little, then policy decides. */
static bool no_head(struct wr_worker *w, struct conn *c)
{
	if (c->busy_ns == 0)
		c->busy_ns = w->lc.now;
	if (w->lc.now - c->busy_ns < BUSY_NS) {
		backlog_add(w, conn_index(w, c));
		return false;
	}
	if (conn_policy(w, c)->on_overload == WR_DEATH_OPEN)
		conn_pass(w, c, WR_R_OVERLOAD);
	else
		block(w, c, 0, WR_R_OVERLOAD);
	return false;
}

/* False: stop parsing this connection for now. */
bool upload_event(struct wr_worker *w, struct conn *c, enum wr_http_ev ev, struct wr_http_out *out)
{
	if (ev != WR_HTTP_BUSY)
		c->busy_ns = 0;
	switch (ev) {
	case WR_HTTP_HEAD:
		c->in_req = 1;
		c->req++;
		return request_start(w, c);
	case WR_HTTP_BODY: return body_bytes(w, c, out);
	case WR_HTTP_END: return request_end(w, c);
	case WR_HTTP_BAD: return upload_bad(w, c, out->reason); /* counted by http */
	case WR_HTTP_PROXY: c->proxy = out->proxy; return true;
	case WR_HTTP_BUSY: return no_head(w, c);
	default: return false;
	}
}
