/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The object as one. Its scanners run on from request to request; a completing request is judged by
 * a fork of them, so that a store that refuses it, or a client that asks again, finds them as they
 * were.
 */
#include "worker/conn.h"
#include "worker/session.h"

static struct piece *piece_at(struct wr_worker *w, uint32_t i)
{
	return wr_pool_at(w->pieces, i);
}

static bool blocks(struct wr_worker *w, const struct wr_session *s)
{
	struct wr_object id;
	struct wr_evidence ev = {
		.rs = s->rs,
		.policy = &w->lc.conf->service[s->service].policy,
		.now_s = (w->lc.now + w->lc.real) / 1000000000ull,
		.observe = s->observe,
	};
	const struct wr_hit *hit;
	bool more;
	uint32_t n = wr_scan_hits(w->scan, s->stream, &hit, &more);

	memcpy(id.id, s->id, sizeof(id.id));
	ev.canary = wr_object_canary(&id);
	for (uint32_t i = 0; i < n; i++)
		if (wr_verdict_blocks_now(&ev, hit[i].rule))
			return true;
	return false;
}

/* --- the running state
 * ------------------------------------------------------------------------------- */

static struct whole_look *look_of(struct wr_worker *w, const struct wr_session *s)
{
	return &w->looks[wr_session_index(w->resume, s)];
}

static bool slots_open(struct wr_worker *w, struct wr_session *s)
{
	if (s->rs != NULL)
		return true;
	if (w->rs == NULL)
		return false;
	s->digest = wr_digest_open(&w->lc, w->digest, WR_HAS_MD5 | WR_HAS_SHA1 | WR_HAS_SHA256);
	s->stream = wr_scan_open(&w->lc, w->scan, w->rs);
	if (s->digest == 0 || (s->stream == 0 && wr_ruleset_ngroups(w->rs) != 0)) {
		if (s->digest != 0)
			wr_digest_close(w->digest, s->digest);
		if (s->stream != 0)
			wr_scan_close(&w->lc, w->scan, s->stream);
		s->digest = s->stream = 0;
		return false;
	}
	s->rs = w->rs;
	wr_ruleset_open(s->rs, w->lc.id);
	memset(look_of(w, s), 0, sizeof(struct whole_look));
	return true;
}

static void slots_close(struct wr_worker *w, struct wr_session *s)
{
	struct whole_look *k = look_of(w, s);

	if (k->trimmed != 0)
		wr_digest_close(w->digest, k->trimmed);
	k->trimmed = 0;
	if (s->digest != 0)
		wr_digest_close(w->digest, s->digest);
	if (s->stream != 0)
		wr_scan_close(&w->lc, w->scan, s->stream);
	s->digest = s->stream = 0;
}

static void ck_close(struct wr_worker *w, struct wr_session *s)
{
	if (s->ck_stream != 0)
		wr_scan_close(&w->lc, w->scan, s->ck_stream);
	s->ck_stream = 0;
	s->has_ck = 0;
}

void whole_forget(struct wr_worker *w, struct wr_session *s)
{
	slots_close(w, s);
	ck_close(w, s);
	if (s->rs != NULL)
		wr_ruleset_close(s->rs, w->lc.id);
	s->rs = NULL;
}

/* Before a part that may not be stored. Without slots the beginning is the checkpoint. */
void whole_save(struct wr_worker *w, struct wr_session *s)
{
	struct wr_digest_state st;

	ck_close(w, s);
	if (s->causes != 0)
		return;
	s->ck_pos = s->pos;
	look_of(w, s)->ck = look_of(w, s)->look;
	if (s->digest != 0) {
		wr_digest_save(&w->lc, w->digest, s->digest, &st);
		memcpy(s->ck_digest, st.bytes, sizeof(s->ck_digest));
		if (s->stream != 0) {
			s->ck_stream = wr_scan_fork(&w->lc, w->scan, w->scan, s->stream);
			if (s->ck_stream == 0)
				return;
		}
	}
	s->has_ck = 1;
}

void whole_restore(struct wr_worker *w, struct wr_session *s)
{
	struct whole_look *k = look_of(w, s);
	struct wr_digest_state st;
	uint32_t trimmed = 0;

	if (s->causes != 0)
		return;
	if (!s->has_ck) {
		s->causes |= 1u << WR_C_PART_ORDER;
		return;
	}
	s->pos = s->ck_pos;
	if (s->pos == 0) { /* from the beginning, by whatever rules are in force then */
		whole_forget(w, s);
		return;
	}
	if (k->trimmed != 0 && k->ck.trim.state != WR_TRIM_NONE &&
	    k->ck.trim.pos > k->ck.trim.end && k->ck.trim.state == WR_TRIM_ENDED) {
		trimmed = k->trimmed; /* the format had ended before: that stands */
		k->trimmed = 0;
	}
	slots_close(w, s);
	k->trimmed = trimmed;
	k->look = k->ck;
	memcpy(st.bytes, s->ck_digest, sizeof(st.bytes));
	s->digest = wr_digest_resume(&w->lc, w->digest, &st);
	s->stream = s->ck_stream;
	s->ck_stream = 0;
	s->has_ck = 0;
	if (s->digest == 0)
		s->causes |= 1u << WR_C_BUDGET;
}

/* --- bytes in order
 * ---------------------------------------------------------------------------------- */

/* Digests and patterns of one piece, at once: what it completes must not leave. */
static uint32_t scan(struct wr_worker *w, struct wr_session *s, struct whole_look *k,
                     const struct wr_piece *p)
{
	struct wr_scan_job job = { .stream = s->stream, .piece = *p };
	struct wr_piece part = *p;
	bool told = k->look.told;

	part.len = wr_look_feed(&k->look, k->prefix, p->p, p->len);
	if (!told && k->look.told && s->stream != 0)
		(void)wr_scan_type(&w->lc, w->scan, s->stream,
		                   k->look.type != NULL ? k->look.type->media : NULL);
	wr_digest_feed(&w->lc, w->digest, s->digest, &part);
	if (part.len < p->len) { /* the format has ended: the digests up to there stand apart */
		if (k->trimmed == 0 && !k->trim_lost)
			k->trimmed = wr_digest_fork(&w->lc, w->digest, s->digest);
		k->trim_lost = k->trimmed == 0;
		part.p += part.len;
		part.len = p->len - part.len;
		wr_digest_feed(&w->lc, w->digest, s->digest, &part);
	}
	if (s->stream == 0)
		return 0;
	wr_scan_burst(&w->lc, w->scan, &job, 1);
	return job.failed ? 1u << WR_C_ENGINE : 0;
}

void whole_feed(struct wr_worker *w, uint32_t si, const struct wr_piece *p)
{
	struct wr_session *s = wr_session_at(w->resume, si);
	const struct wr_hit *hit;
	bool more;

	if (s->causes == 0 && !slots_open(w, s))
		s->causes |= 1u << WR_C_BUDGET;
	s->pos += p->len;
	if (s->causes != 0)
		return;
	s->causes |= scan(w, s, &w->looks[si], p);
	if (s->stream != 0 && !s->bad && wr_scan_hits(w->scan, s->stream, &hit, &more) != 0 &&
	    blocks(w, s))
		session_mark_bad(w, si);
	if (s->proto == WR_UP_S3)
		return;
	/* What may be sent again must be known again. */
	if (!wr_chain_add(w->resume, &s->window, p->p, p->len)) {
		wr_count(&w->lc, WR_R_SESSION_SPOOL_LIMIT, 1);
		wr_chain_free(w->resume, &s->window);
	} else if (s->window.bytes > WR_RESUME_WINDOW) {
		wr_chain_cut(w->resume, &s->window, s->window.bytes - WR_RESUME_WINDOW);
	}
}

/* --- kept bytes whose turn has come
 * ------------------------------------------------------------------ */

void whole_queue(struct wr_worker *w, uint32_t si)
{
	struct wr_session *s = wr_session_at(w->resume, si);

	if (s->queued)
		return;
	s->queued = 1;
	s->work_next = 0;
	s->requests++; /* it stays as long as it is in the line */
	if (w->work_tail != 0)
		wr_session_at(w->resume, w->work_tail)->work_next = si;
	else
		w->work = si;
	w->work_tail = si;
}

static uint32_t next_part(struct wr_worker *w, uint32_t si, const struct wr_session *s)
{
	uint32_t i = s->feeding == 0 ? wr_part_find(w->resume, si, s->nfed + 1) : 0;

	return i != 0 && wr_part_at(w->resume, i)->state == WR_PART_KEPT ? i : 0;
}

/* Parts that wait for nothing but time. False: the budget is used up. */
static bool drain_running(struct wr_worker *w, uint32_t si, uint64_t *budget)
{
	struct wr_session *s = wr_session_at(w->resume, si);
	uint32_t i;

	while (s->completing == 0 && s->causes == 0 && (i = next_part(w, si, s)) != 0) {
		struct wr_part *part = wr_part_at(w->resume, i);
		struct wr_piece p = { NULL, 0, NULL };

		s->partly = i;
		while ((p.len = wr_chain_front(w->resume, &part->bytes, &p.p)) != 0) {
			if (*budget == 0)
				return false;
			p.len = (uint32_t)wr_min_u64(p.len, *budget);
			whole_feed(w, si, &p);
			wr_chain_drop(w->resume, &part->bytes, p.len);
			s->kept -= p.len;
			*budget -= p.len;
		}
		wr_chain_free(w->resume, &part->bytes);
		part->state = WR_PART_FED;
		s->partly = 0;
		s->nfed++;
	}
	return true;
}

/* Takes the bytes of one listed part to the whole's own scanners; they stay kept. */
static bool drain_part(struct wr_worker *w, uint32_t oi, struct piece *p, uint64_t *budget)
{
	const struct wr_part *part = wr_part_at(w->resume, p->drain_part);
	struct wr_piece b = { NULL, 0, NULL };

	while (*budget != 0) {
		b.len = wr_chain_walk(w->resume, &part->bytes, &p->drain_block, &b.p);
		if (b.len == 0)
			return true;
		view_bytes(w, wr_object_at(w->objects, oi), oi, WR_VIEW_RAW, &b);
		jobs_flush(w);
		*budget -= wr_min_u64(*budget, b.len);
	}
	return false;
}

static uint32_t next_listed(struct wr_worker *w, uint32_t pi, uint32_t i)
{
	while (i != 0 && (wr_part_at(w->resume, i)->listed != pi ||
	                  wr_part_at(w->resume, i)->state != WR_PART_KEPT))
		i = wr_part_at(w->resume, i)->next;
	return i;
}

static bool drain_whole(struct wr_worker *w, const struct wr_session *s, uint64_t *budget)
{
	struct piece *p = piece_at(w, s->completing);
	struct wr_object *o = wr_object_at(w->objects, p->whole);

	while (p->drain_part != 0) {
		if (!drain_part(w, p->whole, p, budget))
			return false;
		p->drain_block = 0;
		p->drain_part =
		        next_listed(w, s->completing, wr_part_at(w->resume, p->drain_part)->next);
	}
	o->bytes = o->view[WR_VIEW_RAW].bytes;
	whole_ready(w, p->whole);
	return true;
}

static bool work_on(struct wr_worker *w, uint32_t si, uint64_t *budget)
{
	struct wr_session *s = wr_session_at(w->resume, si);

	if (s->completing == 0)
		return drain_running(w, si, budget);
	if (wr_object_at(w->objects, piece_at(w, s->completing)->whole)->state != WR_OBJ_DRAINING)
		return true;
	return drain_whole(w, s, budget);
}

void whole_work(struct wr_worker *w)
{
	uint64_t budget = w->lc.conf->turn_bytes;

	while (w->work != 0 && budget != 0) {
		uint32_t si = w->work;
		struct wr_session *s = wr_session_at(w->resume, si);
		bool done = work_on(w, si, &budget);

		w->work = s->work_next;
		if (w->work == 0)
			w->work_tail = 0;
		s->queued = 0;
		if (!done) /* to the end of the line: each in turn */
			whole_queue(w, si);
		session_gone(w, si);
	}
}

void whole_clear(struct wr_worker *w)
{
	uint32_t si;

	while ((si = w->work) != 0) {
		w->work = wr_session_at(w->resume, si)->work_next;
		session_gone(w, si);
	}
	while ((si = wr_session_victim(w->resume)) != 0)
		session_drop(w, si);
}

/* --- the verdict
 * ------------------------------------------------------------------------------------- */

/* Is the object complete at the store with this request? */
bool whole_wanted(struct wr_worker *w, uint32_t pi)
{
	const struct piece *p = piece_at(w, pi);
	const struct wr_session *s = p->session != 0 ? wr_session_at(w->resume, p->session) : NULL;

	switch (p->up.op) {
	case WR_UP_COMPLETE: return true;
	case WR_UP_FINAL:
		/* A question, as long as bytes are missing. */
		return s == NULL || !p->up.has_total || s->pos >= p->up.total;
	case WR_UP_PART:
		if (s == NULL || p->up.proto == WR_UP_S3)
			return false;
		/* Nobody said how long it will be: any piece may be the last. */
		return p->up.last || (s->has_total ? p->at >= s->total : p->up.proto == WR_UP_TUS);
	case WR_UP_CREATE: return s != NULL && s->has_total && p->at >= s->total;
	default: return false;
	}
}

static uint32_t causes_of(struct wr_worker *w, uint32_t pi, const struct wr_session *s)
{
	const struct piece *p = piece_at(w, pi);
	uint32_t causes = p->causes;

	if (s == NULL)
		return causes | 1u << WR_C_ELSEWHERE;
	causes |= s->causes;
	if (s->completing != 0)
		causes |= 1u << WR_C_LIMIT; /* two completing requests at once */
	if (s->proto == WR_UP_S3) {
		if (p->list_bad || !wr_plist_done(&p->list))
			causes |= 1u << WR_C_FRAMING;
		if (p->nfed != s->nfed ||
		    (s->partly != 0 && next_listed(w, pi, s->parts) != s->partly))
			causes |= 1u << WR_C_PART_ORDER;
		return causes;
	}
	/* Others have tags or offsets that tell; a range that passed an open wire leaves no trace.
	 */
	if (s->proto == WR_UP_RANGE && s->epoch != w->epoch)
		causes |= 1u << WR_C_GAP;
	if (p->up.op != WR_UP_FINAL && (p->mode != PC_ORDER || p->at != s->pos))
		causes |= 1u << WR_C_ELSEWHERE;
	if (s->has_total && s->pos != s->total)
		causes |= 1u << WR_C_ELSEWHERE;
	return causes;
}

static uint32_t fork_digest(struct wr_worker *w, uint32_t slot, uint32_t oi, unsigned which)
{
	uint32_t d = wr_digest_fork(&w->lc, w->digest, slot);

	if (d != 0)
		w->digest_owner[d] = oi * WR_VIEW_COUNT + which;
	return d;
}

/* Forks the running state for the whole's verdict. */
static void whole_slots(struct wr_worker *w, struct wr_session *s, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);
	struct wr_view_state *v = &o->view[WR_VIEW_RAW];
	const struct whole_look *k = look_of(w, s);

	if (!slots_open(w, s)) {
		wr_object_cause(o, WR_C_BUDGET);
		return;
	}
	o->look[WR_VIEW_RAW] = k->look;
	memcpy(o->prefix[WR_VIEW_RAW], k->prefix, sizeof(k->prefix));
	v->digest = fork_digest(w, s->digest, oi, WR_VIEW_RAW);
	if (s->stream != 0)
		v->stream = wr_scan_fork(&w->lc, w->scan, w->scan, s->stream);
	if (v->digest == 0 || (s->stream != 0 && v->stream == 0))
		wr_object_cause(o, WR_C_BUDGET);
	if (o->rs != s->rs) {
		o->scan_rs = s->rs;
		wr_ruleset_open(o->scan_rs, w->lc.id);
	}
	if (k->look.told && k->look.type != NULL)
		strncpy(o->type, k->look.type->media, sizeof(o->type) - 1);
	v->bytes = v->scanned = v->hashed = s->pos;
	if (k->trim_lost)
		wr_object_cause(o, WR_C_BUDGET);
	if (k->trimmed == 0)
		return;
	v = &o->view[WR_VIEW_TRIMMED];
	v->used = 1;
	v->bytes = v->hashed = k->look.trim.end;
	v->digest = fork_digest(w, k->trimmed, oi, WR_VIEW_TRIMMED);
	if (v->digest != 0)
		wr_digest_end(&w->lc, w->digest, v->digest);
	else
		wr_object_cause(o, WR_C_BUDGET);
}

uint32_t whole_object(struct wr_worker *w, struct conn *c, const struct wr_object *piece)
{
	uint32_t oi = wr_object_get(w->objects, &w->lc, conn_index(w, c));
	struct wr_object *o;

	if (oi == 0)
		return 0;
	w->uploads_active++;
	o = wr_object_at(w->objects, oi);
	o->service = piece->service;
	o->observe = piece->observe;
	o->req = piece->req;
	o->early = piece->early;
	o->kind = WR_REC_OBJECT;
	o->partial = piece->partial;
	o->head = piece->head;
	if (o->head != NULL)
		o->head->users++;
	o->framing_bits = piece->framing_bits;
	o->rs = w->rs != NULL ? w->rs : piece->rs;
	if (o->rs != NULL)
		wr_ruleset_open(o->rs, w->lc.id);
	o->last_ns = piece->last_ns;
	memcpy(o->object_id, piece->object_id, 16);
	memcpy(o->filename, piece->filename, sizeof(o->filename));
	o->view[WR_VIEW_RAW].used = 1;
	objs_push(w, c, oi);
	open_push(c, oi, UINT32_MAX);
	return oi;
}

void whole_ready(struct wr_worker *w, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);

	o->state = WR_OBJ_RECEIVING;
	if (o->conn != 0) {
		touch(w, o->conn);
		backlog_add(w, o->conn);
		return;
	}
	views_end(w, o); /* for another worker: no connection here waits for it */
	o->state = WR_OBJ_FINISHING;
	if (views_stand(o))
		far_whole_stands(w, oi);
}

/* Fills the whole's entry from the session and starts its scanners' end. */
void whole_make(struct wr_worker *w, uint32_t pi, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);
	struct piece *p = piece_at(w, pi);
	struct wr_session *s = p->session != 0 ? wr_session_at(w->resume, p->session) : NULL;

	p->whole = oi;
	o->causes = causes_of(w, pi, s);
	if (s != NULL && s->bad)
		wr_object_cause(o, WR_C_OBJECT_BAD);
	if (o->causes & 1u << WR_C_FRAMING) {
		o->reason = WR_R_SESSION_LIST_BAD;
		wr_count(&w->lc, WR_R_SESSION_LIST_BAD, 1);
	}
	if (s != NULL) {
		memcpy(o->object_id, s->id, 16);
		o->first_ns = s->first_ns;
	}
	o->bytes = o->view[WR_VIEW_RAW].bytes = s != NULL ? s->pos : 0;
	if (o->causes == 0)
		whole_slots(w, s, oi);
	if (o->causes == 0 && s->proto == WR_UP_S3) {
		p->drain_part = next_listed(w, pi, s->parts);
		if (p->drain_part != 0) {
			s->completing = pi;
			o->state = WR_OBJ_DRAINING;
			whole_queue(w, p->session);
			return;
		}
	}
	whole_ready(w, oi);
}

enum whole whole_begin(struct wr_worker *w, struct conn *c, uint32_t oi)
{
	struct wr_object *piece = wr_object_at(w->objects, oi);
	uint32_t pi = piece->piece, wi;
	struct piece *p = piece_at(w, pi);

	p->ended = 1;
	p->digests = piece->view[WR_VIEW_RAW].digests;
	if (p->far == 1) {
		piece->state = WR_OBJ_WHOLE;
		c->pending = 1;
		far_todo(w, pi, FAR_END);
		return WHOLE_BEGUN;
	}
	if (!whole_wanted(w, pi) || p->whole != 0)
		return WHOLE_NONE;
	wi = c->nopen < OPEN_MAX ? whole_object(w, c, piece) : 0;
	if (wi == 0) {
		wr_count(&w->lc, WR_R_OBJECT_LIMIT, 1);
		return WHOLE_FAILED;
	}
	wr_object_at(w->objects, wi)->piece = pi;
	piece->piece = 0;
	piece->state = WR_OBJ_WHOLE;
	c->pending = 1;
	whole_make(w, pi, wi);
	return WHOLE_BEGUN;
}
