/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests whose upload key another worker owns. The connection stays where it is: the piece is
 * scanned and held here; its bytes are copied to the owner, whose session they belong to, and the
 * owner's word is waited for before the request begins and before its tail goes.
 */
#include "worker/conn.h"
#include "worker/session.h"

#define OUT_MAX  16u /* blocks on their way for one piece: a quarter of a MiB */
#define ROOM_MIN 4u  /* answers that one question may cost, with a reserve */

enum note_type {
	ASK_BEGIN,
	ASK_DATA,
	ASK_END,
	ASK_BAD,
	ASK_ANSWER,
	ASK_CLOSE,
	ASK_NAME,
	TELL_BEGUN,
	TELL_TAKEN,
	TELL_HIT,
	TELL_ENDED,
	TELL_CLOSED,
	TELL_MOVED,
};

static struct piece *piece_at(struct wr_worker *w, uint32_t i)
{
	return wr_pool_at(w->pieces, i);
}

/* --- rings
 * ---------------------------------------------------------------------------------------- */

static uint32_t room(const struct note_ring *r)
{
	return NOTES - (atomic_load_explicit(&r->head, memory_order_relaxed) -
	                atomic_load_explicit(&r->tail, memory_order_acquire));
}

/* The caller has seen that there is room. */
static void put(struct note_ring *r, const struct note *n)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	r->note[head % NOTES] = *n;
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

static const struct note *peek(struct note_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (atomic_load_explicit(&r->head, memory_order_acquire) == tail)
		return NULL;
	return &r->note[tail % NOTES];
}

static void drop_note(struct note_ring *r)
{
	atomic_store_explicit(&r->tail, atomic_load_explicit(&r->tail, memory_order_relaxed) + 1,
	                      memory_order_release);
}

/* --- the side of the connection
 * ------------------------------------------------------------------- */

bool far_owned(const struct wr_worker *w, const uint64_t key[2], uint32_t *owner)
{
	*owner = (uint32_t)((key[0] >> 32) * w->exchange.peers >> 32);
	return w->exchange.peers > 1 && *owner != w->exchange.slot && w->far.ask_to[*owner] != NULL;
}

static struct far_block *block_at(struct wr_worker *w, uint32_t i)
{
	return wr_pool_at(w->far.blocks, i);
}

static void line_add(struct wr_worker *w, uint32_t pi)
{
	struct piece *p = piece_at(w, pi);

	if (p->listed)
		return;
	p->listed = 1;
	p->todo_next = 0;
	if (w->far.todo_tail != 0)
		piece_at(w, w->far.todo_tail)->todo_next = pi;
	else
		w->far.todo = pi;
	w->far.todo_tail = pi;
}

/* An entry that is given back while it still had something to say. */
static void line_cut(struct wr_worker *w, uint32_t pi)
{
	uint32_t prev = 0;

	if (!piece_at(w, pi)->listed)
		return;
	for (uint32_t i = w->far.todo; i != pi; i = piece_at(w, i)->todo_next)
		prev = i;
	if (prev != 0)
		piece_at(w, prev)->todo_next = piece_at(w, pi)->todo_next;
	else
		w->far.todo = piece_at(w, pi)->todo_next;
	if (w->far.todo_tail == pi)
		w->far.todo_tail = prev;
	piece_at(w, pi)->listed = 0;
}

static void piece_free(struct wr_worker *w, uint32_t pi)
{
	struct piece *p = piece_at(w, pi);

	line_cut(w, pi);
	while (p->head != 0) {
		uint32_t b = p->head;

		p->head = block_at(w, b)->next;
		wr_pool_put(w->far.blocks, b);
	}
	wr_pool_put(w->pieces, pi);
}

/* The last block goes only when it is full, or nothing more is to come. */
static bool send_data(struct wr_worker *w, struct piece *p, uint32_t pi, bool all)
{
	struct note_ring *r = w->far.ask_to[p->peer];

	while (p->head != 0) {
		struct far_block *b = block_at(w, p->head);
		struct note n = { .type = ASK_DATA, .to = p->twin, .from = pi, .block = p->head };

		if (!all && b->next == 0 && b->used < sizeof(b->b))
			return true;
		if (room(r) == 0)
			return false;
		n.len = b->used;
		n.u.data = b->b;
		p->head = b->next;
		if (p->head == 0)
			p->tail = 0;
		p->out++;
		put(r, &n);
	}
	return true;
}

/* False: the ring is full; again in the next turn. */
static bool send_word(struct wr_worker *w, struct piece *p, uint32_t pi, uint8_t what)
{
	struct note_ring *r = w->far.ask_to[p->peer];
	struct note n = { .to = p->twin,
		          .from = pi,
		          .service = p->service,
		          .observe = p->observe,
		          .has_body = p->has_body };

	if (room(r) == 0)
		return false;
	switch (what) {
	case FAR_BEGIN:
		n.type = ASK_BEGIN;
		n.u.up = p->up;
		break;
	case FAR_END:
		n.type = ASK_END;
		n.u.digests = p->digests;
		n.causes = p->lost ? 1u << WR_C_BUDGET : 0;
		break;
	case FAR_BAD: n.type = ASK_BAD; break;
	case FAR_ANSWER:
		n.type = ASK_ANSWER;
		n.u.answer = p->answer;
		break;
	default: n.type = ASK_CLOSE;
	}
	put(r, &n);
	p->todo &= (uint8_t)~what;
	return true;
}

static void reply(struct wr_worker *w, const struct piece *p, const struct note *n)
{
	put(w->far.tell_to[p->peer], n);
}

static void near_ended(struct wr_worker *w, struct piece *p, uint32_t causes, uint32_t whole)
{
	struct note back = { .type = TELL_ENDED, .to = p->twin, .causes = causes };

	back.u.whole = whole;
	reply(w, p, &back);
}

/* The owner's side: a whole that stands. */
static bool near_flush(struct wr_worker *w, struct piece *p)
{
	if (!(p->todo & FAR_ENDED))
		return true;
	if (room(w->far.tell_to[p->peer]) < ROOM_MIN)
		return false;
	p->todo &= (uint8_t)~FAR_ENDED;
	near_ended(w, p, 0, p->whole);
	return true;
}

/* True: nothing is left to send, or nothing can be said before the owner has answered. */
static bool send_piece(struct wr_worker *w, uint32_t pi)
{
	static const uint8_t order[] = { FAR_END, FAR_BAD, FAR_ANSWER, FAR_CLOSE };
	struct piece *p = piece_at(w, pi);

	if (p->far == 2)
		return near_flush(w, p);
	if (p->todo & FAR_BEGIN) {
		if (p->todo & FAR_CLOSE) { /* never asked: nobody knows it */
			piece_free(w, pi);
			return true;
		}
		return send_word(w, p, pi, FAR_BEGIN);
	}
	if (!p->begun)
		return true; /* what is to be said waits for the owner's number of it */
	if (p->twin == 0) {  /* the owner has no entry for it */
		if (p->todo & FAR_CLOSE)
			piece_free(w, pi);
		else
			p->todo = 0;
		return true;
	}
	if (!send_data(w, p, pi, (p->todo & (FAR_END | FAR_CLOSE)) != 0))
		return false;
	for (uint32_t i = 0; i < WR_COUNT_OF(order); i++)
		if (p->todo & order[i] && !send_word(w, p, pi, order[i]))
			return false;
	return true;
}

void far_todo(struct wr_worker *w, uint32_t pi, uint8_t what)
{
	struct piece *p = piece_at(w, pi);

	p->todo |= what;
	line_add(w, pi); /* sent at the end of the turn, in order */
}

void far_send(struct wr_worker *w)
{
	uint32_t first = w->far.todo;

	w->far.todo = w->far.todo_tail = 0;
	while (first != 0) {
		uint32_t pi = first;
		struct piece *p = piece_at(w, pi);

		first = p->todo_next;
		p->listed = 0;
		if (!send_piece(w, pi))
			line_add(w, pi);
	}
}

void far_begin(struct wr_worker *w, uint32_t pi)
{
	wr_count(&w->lc, WR_R_SESSION_FAR, 1);
	piece_at(w, pi)->far = 1;
	far_todo(w, pi, FAR_BEGIN);
}

void far_bytes(struct wr_worker *w, uint32_t pi, const struct wr_piece *piece)
{
	struct piece *p = piece_at(w, pi);
	const uint8_t *at = piece->p;
	uint32_t left = piece->len;

	while (left > 0 && !p->lost && p->twin != 0) {
		struct far_block *b = p->tail != 0 ? block_at(w, p->tail) : NULL;
		uint32_t k;

		if (b == NULL || b->used == sizeof(b->b)) {
			uint32_t i = wr_pool_get(w->far.blocks);

			if (i == 0) { /* the owner will not call the whole clean */
				wr_count(&w->lc, WR_R_SESSION_SPOOL_LIMIT, 1);
				p->lost = 1;
				return;
			}
			if (b != NULL)
				b->next = i;
			else
				p->head = i;
			p->tail = i;
			b = block_at(w, i);
			b->next = b->used = 0;
		}
		k = wr_min_u32(left, (uint32_t)sizeof(b->b) - b->used);
		memcpy(b->b + b->used, at, k);
		b->used += k;
		at += k;
		left -= k;
		if (b->used == sizeof(b->b))
			line_add(w, pi);
	}
}

bool far_full(const struct wr_worker *w, const struct conn *c)
{
	const struct wr_object *o = c->obj != 0 ? wr_object_at(w->objects, c->obj) : NULL;
	const struct piece *p;

	if (o == NULL || o->piece == 0 || o->kind == WR_REC_OBJECT)
		return false;
	p = wr_pool_at(w->pieces, o->piece);
	/* Two blocks not yet sent: the ring is full, or the owner is behind. */
	return p->far == 1 && (p->out >= OUT_MAX || (p->head != p->tail && p->head != 0));
}

/*
 * An upload was created here, and its name is another worker's. What came with the creation goes
 * with it: the session stands still until the owner has copied it.
 */
void far_named(struct wr_worker *w, const struct piece *p, const uint64_t key[2], uint32_t owner,
               const struct answer *a)
{
	struct note_ring *r = w->far.ask_to[owner];
	struct note n = { .type = ASK_NAME, .service = p->service, .observe = p->observe };
	struct wr_session *s;

	n.u.name.key[0] = key[0];
	n.u.name.key[1] = key[1];
	n.u.name.total = p->up.total;
	n.u.name.proto = p->up.proto;
	n.u.name.has_total = p->up.has_total;
	if (room(r) == 0)
		return; /* an upload that nobody saw begin */
	if (p->session != 0 && p->at != 0) {
		s = wr_session_at(w->resume, p->session);
		if (p->ended && s->causes == 0 && s->digest != 0) {
			wr_digest_save(&w->lc, w->digest, s->digest, &w->looks[p->session].moving);
			s->requests++;
			n.u.name.session = p->session;
			n.u.name.upto = a->said ? a->upto : p->at;
		} else {
			n.causes = 1u << WR_C_ELSEWHERE;
		}
	}
	put(r, &n);
}

/* --- what the owner tells
 * ------------------------------------------------------------------------- */

static void on_begun(struct wr_worker *w, const struct note *n)
{
	struct piece *p = piece_at(w, n->to);

	p->begun = 1;
	p->twin = n->from;
	p->said |= n->causes;
	memcpy(p->id, n->u.id, 16);
	if (p->todo != 0) /* its connection has ended meanwhile */
		line_add(w, n->to);
	if (p->conn != 0)
		backlog_add(w, p->conn);
}

static void on_hit(struct wr_worker *w, struct piece *p)
{
	struct wr_object *o;

	if (p->obj == 0)
		return;
	o = wr_object_at(w->objects, p->obj);
	wr_object_cause(o, WR_C_OBJECT_BAD);
	o->has_hits = 1;
	touch(w, o->conn);
}

/* The owner's result as this connection's whole. Its entry stays as it is until the piece is
 * closed. */
static bool take_whole(struct wr_worker *w, struct conn *c, uint32_t pi, uint32_t theirs)
{
	struct piece *p = piece_at(w, pi);
	struct wr_object *piece = wr_object_at(w->objects, p->obj), *o;
	struct wr_worker *owner = w->far.peer[p->peer];
	const struct wr_object *from = wr_object_at(owner->objects, theirs);
	uint32_t wi = c->nopen < OPEN_MAX ? whole_object(w, c, piece) : 0;
	struct wr_ruleset *rs = from->scan_rs != NULL ? from->scan_rs : from->rs;
	bool more;

	if (wi == 0) {
		wr_count(&w->lc, WR_R_OBJECT_LIMIT, 1);
		return false;
	}
	o = wr_object_at(w->objects, wi);
	o->piece = pi;
	piece->piece = 0;
	p->obj = p->whole = wi;
	o->causes = from->causes;
	o->reason = from->reason;
	o->bytes = from->bytes;
	o->first_ns = from->first_ns;
	memcpy(o->object_id, from->object_id, 16);
	memcpy(o->type, from->type, sizeof(o->type));
	memcpy(o->view, from->view, sizeof(o->view));
	for (unsigned i = 0; i < WR_VIEW_COUNT; i++)
		o->view[i].stream = o->view[i].digest = 0;
	if (from->view[WR_VIEW_RAW].stream != 0)
		o->nfar_hits = wr_scan_hits(owner->scan, from->view[WR_VIEW_RAW].stream,
		                            &o->far_hits, &more);
	if (rs != NULL && rs != o->rs) {
		o->scan_rs = rs;
		wr_ruleset_open(rs, w->lc.id);
	}
	upload_decided(w, wi, true);
	return true;
}

static void on_ended(struct wr_worker *w, uint32_t pi, const struct note *n)
{
	struct piece *p = piece_at(w, pi);
	uint32_t oi = p->obj;
	struct wr_object *o;

	if (oi == 0)
		return;
	o = wr_object_at(w->objects, oi);
	if (o->state != WR_OBJ_WHOLE)
		return;
	if (n->u.whole != 0 && take_whole(w, &w->conn[o->conn], pi, n->u.whole))
		return;
	if (n->u.whole != 0)
		wr_object_cause(o, WR_C_LIMIT);
	o->causes |= n->causes;
	upload_decided(w, oi, n->causes != 0 || n->u.whole != 0);
}

static void told(struct wr_worker *w, const struct note *n)
{
	switch (n->type) {
	case TELL_BEGUN: on_begun(w, n); break;
	case TELL_TAKEN:
		piece_at(w, n->to)->out--;
		wr_pool_put(w->far.blocks, n->block);
		break;
	case TELL_HIT: on_hit(w, piece_at(w, n->to)); break;
	case TELL_ENDED: on_ended(w, n->to, n); break;
	case TELL_MOVED: session_gone(w, n->to); break;
	default: piece_free(w, n->to);
	}
}

/* --- the owner's side
 * ----------------------------------------------------------------------------- */

static void near_begin(struct wr_worker *w, uint32_t peer, const struct note *n)
{
	struct note back = { .type = TELL_BEGUN, .to = n->from };
	uint32_t pi = wr_pool_get(w->pieces);
	struct piece *p;

	if (pi == 0) {
		wr_count(&w->lc, WR_R_SESSION_LIMIT, 1);
		back.causes = 1u << WR_C_LIMIT;
		put(w->far.tell_to[peer], &back);
		return;
	}
	p = piece_at(w, pi);
	memset(p, 0, sizeof(*p));
	p->up = n->u.up;
	p->far = 2;
	p->peer = peer;
	p->twin = n->from;
	p->service = n->service;
	p->observe = n->observe;
	p->has_body = n->has_body;
	back.from = pi;
	if (wr_bad_has(w->resume, p->up.key))
		back.causes = 1u << WR_C_OBJECT_BAD;
	else if (p->up.op != WR_UP_QUERY)
		back.causes = session_join(w, pi);
	memcpy(back.u.id, p->id, 16);
	reply(w, p, &back);
}

static void near_data(struct wr_worker *w, struct piece *p, const struct note *n)
{
	struct note back = { .type = TELL_TAKEN, .to = p->twin, .block = n->block };
	struct wr_piece b = { n->u.data, n->len, NULL };

	session_feed(w, n->to, &b);
	reply(w, p, &back);
	if (p->session == 0 || !wr_session_at(w->resume, p->session)->bad || p->todo & FAR_HIT)
		return;
	p->todo |= FAR_HIT;
	back = (struct note){ .type = TELL_HIT, .to = p->twin };
	reply(w, p, &back);
}

static void near_end(struct wr_worker *w, struct piece *p, const struct note *n)
{
	struct wr_object *o;
	uint32_t oi;

	p->ended = 1;
	p->digests = n->u.digests;
	if (n->causes != 0 && p->session != 0)
		wr_session_at(w->resume, p->session)->causes |= n->causes;
	if (p->session != 0 && wr_session_at(w->resume, p->session)->bad) {
		near_ended(w, p, 1u << WR_C_OBJECT_BAD, 0);
		return;
	}
	if (!whole_wanted(w, n->to) || p->whole != 0) {
		near_ended(w, p, 0, 0);
		return;
	}
	oi = wr_object_get(w->objects, &w->lc, 0);
	if (oi == 0) {
		wr_count(&w->lc, WR_R_OBJECT_LIMIT, 1);
		near_ended(w, p, 1u << WR_C_LIMIT, 0);
		return;
	}
	w->uploads_active++;
	o = wr_object_at(w->objects, oi);
	o->service = p->service;
	o->kind = WR_REC_OBJECT;
	o->rs = w->rs;
	if (o->rs != NULL)
		wr_ruleset_open(o->rs, w->lc.id);
	o->view[WR_VIEW_RAW].used = 1;
	o->piece = n->to;
	whole_make(w, n->to, oi);
}

void far_whole_stands(struct wr_worker *w, uint32_t oi)
{
	struct wr_object *o = wr_object_at(w->objects, oi);

	o->state = WR_OBJ_DONE;
	far_todo(w, o->piece, FAR_ENDED); /* told when there is room */
}

static void near_close(struct wr_worker *w, uint32_t pi)
{
	struct piece *p = piece_at(w, pi);
	struct note back = { .type = TELL_CLOSED, .to = p->twin };
	uint32_t oi = p->whole;

	reply(w, p, &back);
	if (oi != 0) {
		wr_object_at(w->objects, oi)->piece = 0;
		object_free(w, oi);
	}
	line_cut(w, pi);
	p->far = 0;
	session_close(w, &pi);
}

static void adopt(struct wr_worker *w, uint32_t si, struct wr_worker *from, const struct note *n)
{
	struct wr_session *s = wr_session_at(w->resume, si);
	const struct wr_session *o = wr_session_at(from->resume, n->u.name.session);
	const struct whole_look *k = &from->looks[n->u.name.session];

	memcpy(s->id, o->id, sizeof(s->id));
	s->pos = o->pos;
	s->base = wr_min_u64(n->u.name.upto, o->pos);
	s->rs = o->rs;
	wr_ruleset_open(s->rs, w->lc.id);
	w->looks[si] = *k;
	w->looks[si].trimmed = 0;
	w->looks[si].trim_lost = k->trim_lost || k->trimmed != 0;
	s->digest = wr_digest_resume(&w->lc, w->digest, &k->moving);
	if (o->stream != 0)
		s->stream = wr_scan_fork(&w->lc, w->scan, from->scan, o->stream);
	if (s->digest == 0 || (o->stream != 0 && s->stream == 0))
		s->causes |= 1u << WR_C_BUDGET;
}

static void near_name(struct wr_worker *w, uint32_t peer, const struct note *n)
{
	struct note back = { .type = TELL_MOVED, .to = n->u.name.session };
	uint32_t si = session_create(w, n->u.name.key, n->u.name.proto, n->u.name.has_total,
	                             n->u.name.total, n->causes, n->service, n->observe);

	if (n->u.name.session == 0)
		return;
	if (si != 0)
		adopt(w, si, w->far.peer[peer], n);
	put(w->far.tell_to[peer], &back);
}

static void asked(struct wr_worker *w, uint32_t peer, const struct note *n)
{
	struct piece *p = n->to != 0 ? piece_at(w, n->to) : NULL;

	switch (n->type) {
	case ASK_BEGIN: near_begin(w, peer, n); break;
	case ASK_NAME: near_name(w, peer, n); break;
	case ASK_DATA: near_data(w, p, n); break;
	case ASK_END: near_end(w, p, n); break;
	case ASK_BAD:
		if (p->session != 0)
			session_mark_bad(w, p->session);
		else
			wr_bad_add(w->resume, &w->lc, p->up.key);
		break;
	case ASK_ANSWER: session_apply(w, n->to, &n->u.answer); break;
	default: near_close(w, n->to);
	}
}

/* --- once a turn
 * ---------------------------------------------------------------------------------- */

void far_run(struct wr_worker *w)
{
	uint64_t budget = w->lc.conf->turn_bytes;
	const struct note *n;

	if (w->exchange.peers <= 1)
		return;
	for (uint32_t i = 0; i < w->exchange.peers; i++) {
		if (w->far.tell_from[i] == NULL)
			continue;
		while ((n = peek(w->far.tell_from[i])) != NULL) {
			told(w, n);
			drop_note(w->far.tell_from[i]);
		}
		while (budget != 0 && room(w->far.tell_to[i]) >= ROOM_MIN &&
		       (n = peek(w->far.ask_from[i])) != NULL) {
			budget -= wr_min_u64(budget, 64u + n->len);
			asked(w, i, n);
			drop_note(w->far.ask_from[i]);
		}
	}
}
