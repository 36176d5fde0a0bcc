/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/conn.h"

#define MATCHES_MAX 64u

void objs_push(struct wr_worker *w, struct conn *c, uint32_t oi)
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

void head_drop(struct wr_worker *w, struct wr_http_head *h)
{
	if (h != NULL && --h->users == 0)
		wr_http_head_put(w->http, h);
}

/* The request is parsed to its end (or given up): what its uploads still need of it, they hold. */
void upload_head_drop(struct wr_worker *w, struct conn *c)
{
	head_drop(w, c->head);
	c->head = NULL;
	if (c->body != NULL)
		wr_body_close(c->body);
	c->body = NULL;
	if (c->piece != 0) /* no object took it */
		session_close(w, &c->piece);
	if (c->rs != NULL)
		wr_ruleset_close(c->rs, w->lc.id);
	c->rs = NULL;
	c->ending = 0;
	c->unread = WR_TCP_NONE;
}

void object_free(struct wr_worker *w, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);

	scanners_close(w, o);
	if (o->piece != 0)
		session_close(w, &o->piece);
	head_drop(w, o->head);
	if (o->scan_rs != NULL)
		wr_ruleset_close(o->scan_rs, w->lc.id);
	if (o->rs != NULL)
		wr_ruleset_close(o->rs, w->lc.id);
	wr_pool_put(w->objects, oi);
	w->uploads_active--;
}

/* Ends the connection's inspection for a reason of its own; the upload, if any, gets its record. */
void refuse(struct wr_worker *w, struct conn *c, enum wr_reason why)
{
	uint32_t oi = c->obj;
	struct wr_object *o;

	if (oi == 0 && w->rs != NULL) {
		oi = object_begin(w, c);
		if (oi != 0)
			open_push(c, oi, UINT32_MAX);
	}
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

/* --- the end of an upload
 * --------------------------------------------------------------------------- */

/*
 * The rule of o's ruleset that a hit names. A whole is judged by what is in force at its end; its
 * stream may have begun under an older ruleset. NRULES: the rule is no longer there.
 */
static uint32_t rule_now(const struct wr_object *o, uint32_t rule)
{
	const struct wr_item *was, *is;
	uint32_t n = wr_ruleset_nrules(o->rs);

	if (o->scan_rs == NULL)
		return rule;
	was = wr_ruleset_rule(o->scan_rs, rule);
	for (uint32_t i = 0; i < n; i++) {
		is = wr_ruleset_rule(o->rs, i);
		if (strcmp(is->id, was->id) == 0 && strcmp(is->bundle, was->bundle) == 0)
			return i;
	}
	return n;
}

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
		if (i == WR_VIEW_RAW && o->nfar_hits != 0) {
			hit = o->far_hits;
			nh = o->nfar_hits;
		}
		*more |= cut;
		for (k = 0; k < nh && n < MATCHES_MAX; k++) {
			uint32_t rule = rule_now(o, hit[k].rule);

			if (rule < wr_ruleset_nrules(o->rs))
				m[n++] = (struct wr_match){ .item = rule,
					                    .offset = hit[k].offset,
					                    .kind = WR_MATCH_PATTERN,
					                    .view = (uint8_t)i };
		}
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

/* Everything that is open on c ends now, whole or not: decide on what is there, innermost first. */
void upload_finish(struct wr_worker *w, struct conn *c)
{
	jobs_flush(w);
	while (c->nopen > 0) {
		struct wr_object *o = wr_object_at(w->objects, c->obj);

		if (wr_object_undecided(o))
			decide(w, o);
		o->state = WR_OBJ_ANSWER;
		scanners_close(w, o);
		open_pop(c);
	}
	c->up = 0;
}

/* The verdict of oi stands, and that of the whole it is a piece of: block it, or let it go. */
static void upload_settle(struct wr_worker *w, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);
	struct conn *c = &w->conn[o->conn];

	if (o->decision.action == WR_A_BLOCK) {
		upload_block(w, c, oi);
		return;
	}
	if (!record_room(w) && !o->observe) {
		o->state = WR_OBJ_RECORDS;
		wr_count(&w->lc, WR_R_RECORD_RING_FULL, 1);
		tell(w, c, WR_R_RECORD_RING_FULL);
		backlog_add(w, o->conn);
		return;
	}
	upload_release(w, oi);
}

/* What another worker had to say is in: the verdict again, with it. */
void upload_decided(struct wr_worker *w, uint32_t oi, bool again)
{
	struct wr_object *o = wr_object_at(w->objects, oi);

	if (again)
		decide(w, o);
	o->nfar_hits = 0; /* lent by the other worker, for this */
	upload_settle(w, oi);
}

static void verdict_stands(struct wr_worker *w, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);
	struct conn *c = &w->conn[o->conn];

	if (o->conn == 0) {
		far_whole_stands(w, oi);
		return;
	}
	decide(w, o);
	scanners_close(w, o);
	if (o->decision.action != WR_A_BLOCK && o->piece != 0 && o->kind != WR_REC_OBJECT) {
		switch (whole_begin(w, c, oi)) {
		case WHOLE_BEGUN: return;
		case WHOLE_FAILED:
			wr_object_cause(o, WR_C_LIMIT);
			decide(w, o);
			break;
		case WHOLE_NONE: break;
		}
	}
	upload_settle(w, oi);
}

/* A hit that blocks by itself: the rest of the upload is not waited for. */
void upload_block_now(struct wr_worker *w, struct conn *c, uint32_t oi)
{
	decide(w, wr_object_at(w->objects, oi));
	upload_block(w, c, oi);
}

/* A piece that is fine by itself, of a whole that is not. */
static void piece_blocked(struct wr_object *piece, const struct wr_object *whole)
{
	bool bad = whole->decision.verdict == WR_V_MATCH;

	piece->decision.verdict = bad ? WR_V_MATCH : whole->decision.verdict;
	piece->decision.cause = bad ? WR_C_OBJECT_BAD : whole->decision.cause;
	piece->decision.action = piece->decision.would = WR_A_BLOCK;
}

/* oi is decided and blocked: so is what is open around it. */
void upload_block(struct wr_worker *w, struct conn *c, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);

	session_found_bad(w, o);
	for (uint32_t i = 0; i < c->nopen; i++) {
		struct wr_object *around = wr_object_at(w->objects, c->open[i]);

		if (around->state == WR_OBJ_WHOLE)
			piece_blocked(around, o);
		else if (around != o)
			wr_object_cause(around, WR_C_ABORTED);
	}
	o->state = WR_OBJ_ANSWER;
	upload_finish(w, c);
	block(w, c, oi, WR_R_NONE);
}

static void count_delay(struct wr_worker *w, const struct wr_object *o)
{
	uint64_t us = (w->lc.now - o->last_ns) / 1000, b = 0;

	while (b < WR_HIST_BUCKETS - 1 && us >= 1ull << b)
		b++;
	wr_counter_add(&w->lc.stats->delay_us[b], 1);
	wr_counter_add(&w->lc.stats->delay_sum_ns, w->lc.now - o->last_ns);
	wr_counter_add(&w->lc.stats->delay_count, 1);
}

/* The tail may go: what waits behind it is parsed next. */
void upload_release(struct wr_worker *w, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);
	struct conn *c = &w->conn[o->conn];

	count_delay(w, o);
	o->state = WR_OBJ_ANSWER;
	o->release_ns = w->lc.now;
	o->committed = WR_COMMITTED_UNKNOWN;
	c->pending = 0;
	c->cap = WR_TCP_NONE;
	if (c->body != NULL)
		c->hold_passed = wr_body_hold_from(c->body);
	open_pop(c);
	/* An object whose trailers are still to come was judged before its end: nothing is left to
	 * hold. */
	if (c->nopen == 0 && (!c->in_req || wr_http_req_in_trailer(&c->http) ||
	                      (c->body != NULL && wr_body_tail_known(c->body))))
		c->up = 0;
	touch(w, o->conn);
	backlog_add(w, o->conn);
	if (o->norecord && o->decision.verdict == WR_V_CLEAN) {
		objs_remove(w, c, oi);
		object_free(w, oi);
	} else {
		w->promised++;
		c->records++;
		if (o->early || c->s2c.lost) { /* its answer was there, or will not be known */
			if (o->early)
				o->committed = o->early == 2 ? WR_COMMITTED_YES : WR_COMMITTED_NO;
			w->promised--;
			record_queue(w, oi);
		}
	}
	if (c->obj != 0 && wr_object_at(w->objects, c->obj)->state == WR_OBJ_WHOLE)
		upload_release(w, c->obj); /* the piece that completed it */
}

bool views_stand(const struct wr_object *o)
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

			o->state = WR_OBJ_FINISHING;
			views_end(w, o);
			if (views_stand(o))
				verdict_stands(w, c->obj);
		}
	}
	wr_digest_run(&w->lc, w->digest);
	while ((n = wr_digest_done(w->digest, slot, 64)) != 0) {
		for (uint32_t i = 0; i < n; i++) {
			uint32_t oi = w->digest_owner[slot[i]] / WR_VIEW_COUNT;
			struct wr_object *o = wr_object_at(w->objects, oi);

			view_digested(w, o, w->digest_owner[slot[i]] % WR_VIEW_COUNT);
			if (o->state == WR_OBJ_FINISHING && views_stand(o))
				verdict_stands(w, oi);
		}
	}
}

/* The store's final response to the oldest request without one. */
void upload_response(struct wr_worker *w, struct conn *c, const struct wr_http_rhead *h)
{
	uint16_t status = h->status;
	uint32_t req = c->resp + 1, next;
	bool ok = status >= 200 && status < 300;

	for (uint32_t oi = c->objs; oi != 0; oi = next) {
		struct wr_object *o = wr_object_at(w->objects, oi);

		next = o->next;
		if (o->req != req)
			continue;
		if (o->piece != 0)
			session_answer(w, o, h);
		if (o->state != WR_OBJ_ANSWER || o->release_ns == 0) {
			o->early = ok ? 2 : 1;
			wr_count(&w->lc, ok ? WR_R_EARLY_SUCCESS : WR_R_EARLY_RESPONSE, 1);
			tell(w, c, ok ? WR_R_EARLY_SUCCESS : WR_R_EARLY_RESPONSE);
			continue;
		}
		o->committed = ok ? WR_COMMITTED_YES : WR_COMMITTED_NO;
		w->promised--;
		record_queue(w, oi);
	}
}

/* From here on no response can be paired with its request: nobody waits for one. */
void responses_lost(struct wr_worker *w, struct conn *c)
{
	uint32_t next;

	c->s2c.lost = 1;
	for (uint32_t oi = c->objs; oi != 0; oi = next) {
		const struct wr_object *o = wr_object_at(w->objects, oi);

		next = o->next;
		if (o->state != WR_OBJ_ANSWER || o->release_ns == 0)
			continue;
		w->promised--;
		record_queue(w, oi); /* committed: unknown */
	}
}

/* The connection ends (or leaves inspection): every upload on it gets its record now. */
void upload_abort(struct wr_worker *w, struct conn *c, enum wr_cause why, uint8_t committed)
{
	for (uint32_t i = 0; i < c->nopen; i++) {
		struct wr_object *o = wr_object_at(w->objects, c->open[i]);

		if (wr_object_undecided(o))
			wr_object_cause(o, o->early ? WR_C_EARLY_RESPONSE : why);
	}
	upload_finish(w, c);
	upload_head_drop(w, c);
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
	if (o->piece != 0)
		session_close(w, &o->piece);
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
