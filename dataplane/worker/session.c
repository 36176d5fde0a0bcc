/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/session.h"

#include "worker/conn.h"

#define RULESETS_KEPT 4u /* half of WR_RULESETS_MAX */

static struct piece *piece_at(struct wr_worker *w, uint32_t i)
{
	return wr_pool_at(w->pieces, i);
}

static bool by_offset(const struct wr_session *s)
{
	return s->proto != WR_UP_S3;
}

/* --- sessions
 * -------------------------------------------------------------------------------------- */

/* Nothing of it is wanted any more; entries that still name it see that it is gone. */
void session_drop(struct wr_worker *w, uint32_t si)
{
	whole_forget(w, wr_session_at(w->resume, si));
	wr_session_put(w->resume, si);
}

/* A request has let go of its session. */
void session_gone(struct wr_worker *w, uint32_t si)
{
	struct wr_session *s = wr_session_at(w->resume, si);

	s->requests--;
	if (s->requests == 0 && (s->bad || !s->keyed))
		session_drop(w, si);
}

static uint32_t session_new(struct wr_worker *w, uint8_t service, bool observe,
                            const struct wr_up *up)
{
	uint32_t si = wr_session_get(w->resume, &w->lc), old;
	struct wr_session *s;

	if (si == 0 && (old = wr_session_victim(w->resume)) != 0) {
		wr_count(&w->lc, WR_R_SESSION_EVICTED, 1);
		session_drop(w, old);
		si = wr_session_get(w->resume, &w->lc);
	}
	if (si == 0) {
		wr_count(&w->lc, WR_R_SESSION_LIMIT, 1);
		return 0;
	}
	s = wr_session_at(w->resume, si);
	s->proto = up->proto;
	s->epoch = w->epoch;
	s->service = service;
	s->observe = observe;
	if (up->keyed)
		wr_session_name(w->resume, si, up->key);
	return si;
}

/*
 * Eight rulesets can be mapped at once; uploads that rest for an hour must not keep old ones until
 * there is no room for a new one.
 */
static void outlived(struct wr_worker *w, uint32_t si)
{
	struct wr_session *s = wr_session_at(w->resume, si);

	if (s->rs == NULL || w->rs == NULL || s->causes != 0 ||
	    wr_ruleset_generation(w->rs) - wr_ruleset_generation(s->rs) < RULESETS_KEPT)
		return;
	wr_count(&w->lc, WR_R_SESSION_OUTLIVED, 1);
	s->causes |= 1u << WR_C_LIMIT;
	if (s->completing == 0)
		whole_forget(w, s);
}

void session_age(struct wr_worker *w)
{
	uint32_t si = wr_session_old(w->resume, w->lc.now);

	if (si != 0) {
		wr_count(&w->lc, WR_R_SESSION_AGED, 1);
		session_drop(w, si);
	}
	si = wr_session_walk(w->resume, &w->session_at);
	if (si != 0)
		outlived(w, si);
}

void session_mark_bad(struct wr_worker *w, uint32_t si)
{
	struct wr_session *s = wr_session_at(w->resume, si);

	s->bad = 1;
	if (s->keyed)
		wr_bad_add(w->resume, &w->lc, s->key);
}

void session_found_bad(struct wr_worker *w, const struct wr_object *o)
{
	const struct piece *p = o->piece != 0 ? piece_at(w, o->piece) : NULL;

	if (p == NULL || o->decision.verdict != WR_V_MATCH || o->decision.action != WR_A_BLOCK)
		return;
	if (p->far == 1)
		far_todo(w, o->piece, FAR_BAD);
	else if (p->session != 0)
		session_mark_bad(w, p->session);
	else if (p->up.keyed)
		wr_bad_add(w->resume, &w->lc, p->up.key);
}

/* --- a request begins
 * ------------------------------------------------------------------------------ */

static bool known_bad(struct wr_worker *w, const struct wr_http_head *h, const struct wr_up *up)
{
	uint64_t key[2];

	if (up->op == WR_UP_ABORT) /* it takes away what should not be there */
		return false;
	if (up->keyed)
		return wr_bad_has(w->resume, up->key);
	for (uint32_t i = 0; up->op == WR_UP_FINAL && wr_up_concat(h, i, &w->lc.key, key); i++)
		if (wr_bad_has(w->resume, key))
			return true;
	return false;
}

/* False: refused. True: policy only notes it. */
static bool refuse_bad(struct wr_worker *w, struct conn *c)
{
	struct wr_object *o;
	uint32_t oi;

	wr_count(&w->lc, WR_R_SESSION_BAD, 1);
	if (conn_policy(w, c)->ceiling != WR_A_BLOCK ||
	    conn_service(w, c)->mode == WR_MODE_OBSERVE || w->rs == NULL)
		return true;
	oi = object_begin(w, c);
	if (oi == 0) {
		block(w, c, 0, WR_R_OBJECT_LIMIT);
		return false;
	}
	o = wr_object_at(w->objects, oi);
	wr_object_cause(o, WR_C_OBJECT_BAD);
	o->reason = WR_R_SESSION_BAD;
	open_push(c, oi, UINT32_MAX);
	upload_block_now(w, c, oi);
	return false;
}

/* Where this piece stands against what the session has. */
static void place_by_offset(struct wr_worker *w, struct wr_session *s, struct piece *p, bool fresh)
{
	uint64_t off = p->up.offset;

	(void)w;
	p->from = p->at = off;
	p->mode = PC_ASTRAY;
	if (fresh && off != 0)
		s->causes |= 1u << WR_C_ELSEWHERE;
	if (fresh)
		s->pos = s->base = off;
	if (off < s->base || off > s->pos)
		return; /* the store will not take it; if it does, the answer tells */
	/* A client that goes on behind what the store refused goes on behind bytes that came
	 * another way. */
	if (off > s->doubt)
		s->causes |= 1u << WR_C_ELSEWHERE;
	p->edge = wr_min_u64(s->pos, s->doubt);
	p->mode = PC_ORDER;
}

static void place_by_number(struct wr_worker *w, uint32_t pi, struct wr_session *s, struct piece *p)
{
	p->mode = PC_EARLY;
	if (p->up.part <= s->nfed) {
		p->mode = PC_LOST; /* a repeat: compared by its digests */
	} else if (p->up.part == s->nfed + 1 && s->feeding == 0 && s->completing == 0 &&
	           wr_part_find(w->resume, p->session, p->up.part) == 0) {
		p->mode = PC_ORDER;
		s->feeding = pi;
		whole_save(w, s);
	}
}

static void list_begin(struct wr_worker *w, struct wr_session *s)
{
	for (uint32_t i = s->parts; i != 0; i = wr_part_at(w->resume, i)->next)
		wr_part_at(w->resume, i)->listed = 0;
}

/* Finds or makes the session. Returns the causes that the piece's own objects must say. */
uint32_t session_join(struct wr_worker *w, uint32_t pi)
{
	struct piece *p = piece_at(w, pi);
	const struct wr_up *up = &p->up;
	bool fresh = false;
	struct wr_session *s;

	if (up->keyed)
		p->session = wr_session_find(w->resume, up->key);
	/* Ranges have no name but their place: one that begins at zero begins anew. */
	if (p->session != 0 && up->proto == WR_UP_RANGE && up->offset == 0) {
		s = wr_session_at(w->resume, p->session);
		if (s->requests == 0 && s->pos != 0) {
			session_drop(w, p->session);
			p->session = 0;
		}
	}
	if (p->session == 0 && (up->op == WR_UP_PART || up->op == WR_UP_COPY ||
	                        (up->op == WR_UP_CREATE && p->has_body))) {
		p->session = session_new(w, p->service, p->observe, up);
		fresh = true;
		if (p->session == 0)
			return 1u << WR_C_LIMIT;
	}
	if (p->session == 0)
		return 0;
	s = wr_session_at(w->resume, p->session);
	memcpy(p->id, s->id, 16);
	s->requests++;
	wr_session_used(w->resume, &w->lc, p->session);
	if (up->has_total && s->has_total && s->total != up->total)
		s->causes |= 1u << WR_C_ELSEWHERE;
	if (up->has_total) {
		s->has_total = 1;
		s->total = up->total;
	}
	if (up->coded)
		s->causes |= 1u << WR_C_UNDECODABLE;
	if (up->op == WR_UP_COMPLETE)
		list_begin(w, s);
	else if (up->op == WR_UP_PART && up->proto == WR_UP_S3)
		place_by_number(w, pi, s, p);
	else if (up->op == WR_UP_PART || up->op == WR_UP_CREATE)
		place_by_offset(w, s, p, fresh);
	return 0;
}

static bool quiet(const struct wr_up *up, bool upload)
{
	return !upload || up->proto == WR_UP_OTHER || up->op == WR_UP_QUERY ||
	       up->op == WR_UP_ABORT;
}

/* The piece's session is known, here or at its owner. */
static enum begin joined(struct wr_worker *w, struct conn *c, const struct wr_http_head *h,
                         bool upload)
{
	struct piece *p = piece_at(w, c->piece);
	bool bad = (p->said & 1u << WR_C_OBJECT_BAD) != 0, whole = !quiet(&p->up, upload);
	enum wr_up_op op = p->up.op;

	c->piece_causes |= p->said;
	if (bad || !whole) /* asked for its fame only */
		session_close(w, &c->piece);
	if (bad && !refuse_bad(w, c))
		return BEGIN_REFUSED;
	/* A head alone completes the object: its last byte is what is held. */
	if (whole && !h->has_body && op != WR_UP_CREATE)
		c->cap = h->body - 1;
	return BEGIN_GO;
}

/* Again with the same request: did the owner answer? */
static enum begin asked(struct wr_worker *w, struct conn *c, const struct wr_http_head *h,
                        bool upload)
{
	if (!piece_at(w, c->piece)->begun)
		return BEGIN_WAIT;
	return joined(w, c, h, upload);
}

enum begin session_request(struct wr_worker *w, struct conn *c, const struct wr_http_head *h,
                           bool upload)
{
	struct wr_up up;
	struct piece *p;

	if (c->piece != 0)
		return asked(w, c, h, upload);
	c->piece_causes = 0;
	wr_up_classify(h, &w->lc.key, &up);
	if (up.proto == WR_UP_NONE)
		return BEGIN_GO;
	if (up.proto == WR_UP_OTHER || (up.proto == WR_UP_TUS && up.op == WR_UP_FINAL))
		c->piece_causes |= 1u << WR_C_PROTOCOL;
	if (up.op == WR_UP_COPY)
		c->piece_causes |= 1u << WR_C_PROTOCOL;
	if (up.op == WR_UP_CREATE && up.coded) /* what its pieces hold will not be decoded */
		c->piece_causes |= 1u << WR_C_UNDECODABLE;
	if (up.proto == WR_UP_OTHER || up.op == WR_UP_ABORT)
		return BEGIN_GO;
	c->piece = wr_pool_get(w->pieces);
	if (c->piece == 0) {
		wr_count(&w->lc, WR_R_SESSION_LIMIT, 1);
		c->piece_causes |= 1u << WR_C_LIMIT;
		return BEGIN_GO;
	}
	p = piece_at(w, c->piece);
	memset(p, 0, sizeof(*p));
	p->up = up;
	p->service = c->service;
	p->observe = conn_service(w, c)->mode == WR_MODE_OBSERVE;
	p->has_body = h->has_body;
	p->conn = conn_index(w, c);
	if (up.keyed && far_owned(w, up.key, &p->peer)) {
		far_begin(w, c->piece);
		return BEGIN_WAIT;
	}
	if (known_bad(w, h, &up))
		p->said |= 1u << WR_C_OBJECT_BAD;
	else if (!quiet(&up, upload))
		p->said |= session_join(w, c->piece);
	return joined(w, c, h, upload);
}

/* The first object of the request: its body as one, or what stands for an empty one. */
void session_attach(struct wr_worker *w, struct conn *c, uint32_t oi, bool whole_body)
{
	struct wr_object *o = wr_object_at(w->objects, oi);
	struct piece *p;

	o->causes |= c->piece_causes;
	if (c->piece_causes & (1u << WR_C_PROTOCOL | 1u << WR_C_LIMIT))
		o->partial = 1;
	if (c->piece == 0)
		return;
	p = piece_at(w, c->piece);
	if (!whole_body) { /* a piece that reads as a form: not as one run of bytes */
		wr_object_cause(o, WR_C_PROTOCOL);
		o->partial = 1;
		if (p->far == 1)
			p->lost = 1;
		else if (p->session != 0)
			wr_session_at(w->resume, p->session)->causes |= 1u << WR_C_PROTOCOL;
		return;
	}
	o->piece = c->piece;
	p->obj = oi;
	c->piece = 0;
	if (p->up.op == WR_UP_PART || p->up.op == WR_UP_COPY ||
	    (p->up.op == WR_UP_CREATE && p->session != 0))
		o->partial = 1;
	memcpy(o->object_id, p->id, 16);
	/* A part list is no object: the whole's record speaks for it. */
	if (p->up.op == WR_UP_COMPLETE || p->up.op == WR_UP_FINAL)
		o->norecord = 1;
}

/* --- bytes
 * ---------------------------------------------------------------------------------------- */

static void list_part(struct wr_worker *w, struct piece *p, uint32_t pi)
{
	struct wr_session *s = wr_session_at(w->resume, p->session);
	uint32_t i = wr_part_find(w->resume, p->session, p->list.number);
	struct wr_part *part = i != 0 ? wr_part_at(w->resume, i) : NULL;
	uint64_t etag = wr_up_etag((struct wr_str){ p->list.text, p->list.ntext }, &w->lc.key);

	if (part == NULL || part->state == WR_PART_NONE || part->state == WR_PART_UNSEEN ||
	    (part->has_etag && part->etag != etag)) {
		p->causes |= 1u << WR_C_ELSEWHERE;
		return;
	}
	part->listed = pi;
	if (part->state == WR_PART_LOST)
		p->causes |= 1u << WR_C_PART_ORDER;
	if (part->state == WR_PART_FED)
		p->nfed++;
	else if (p->nfed != s->nfed) /* a part in between is left out: the state holds it */
		p->causes |= 1u << WR_C_PART_ORDER;
}

static void list_bytes(struct wr_worker *w, struct piece *p, uint32_t pi, const struct wr_piece *b)
{
	const uint8_t *at = b->p, *end = b->p + b->len;

	for (;;) {
		switch (wr_plist_next(&p->list, &at, end)) {
		case WR_PLIST_MORE: return;
		case WR_PLIST_BAD: p->list_bad = 1; return;
		case WR_PLIST_PART:
			if (p->session != 0)
				list_part(w, p, pi);
		}
	}
}

/* Bytes by offset: those that the session has must be the same, the rest is new. */
static void offset_bytes(struct wr_worker *w, struct piece *p, const struct wr_piece *b)
{
	struct wr_session *s = wr_session_at(w->resume, p->session);
	uint32_t known = (uint32_t)wr_min_u64(b->len, s->pos > p->at ? s->pos - p->at : 0);
	uint64_t kept = s->pos - s->window.bytes;

	if (known != 0 && s->causes == 0 &&
	    (p->at < kept || !wr_chain_same(w->resume, &s->window, p->at - kept, b->p, known)))
		s->causes |= 1u << WR_C_PART_ORDER;
	p->at += b->len;
	/* Sent again from before it: these bytes may be stored after all. */
	if (p->from <= s->doubt && p->at > s->doubt)
		s->doubt = p->at;
	if (known < b->len) {
		struct wr_piece fresh = { b->p + known, b->len - known, b->owner };

		whole_feed(w, p->session, &fresh);
	}
}

static void early_bytes(struct wr_worker *w, struct piece *p, const struct wr_piece *b)
{
	struct wr_session *s = wr_session_at(w->resume, p->session);

	p->at += b->len;
	if (s->kept + b->len <= WR_RESUME_EARLY_MAX &&
	    wr_chain_add(w->resume, &p->early, b->p, b->len)) {
		s->kept += b->len;
		return;
	}
	wr_count(&w->lc, WR_R_SESSION_SPOOL_LIMIT, 1);
	s->kept -= p->early.bytes;
	wr_chain_free(w->resume, &p->early);
	p->mode = PC_LOST;
}

void session_feed(struct wr_worker *w, uint32_t pi, const struct wr_piece *b)
{
	struct piece *p = piece_at(w, pi);
	struct wr_session *s;

	if (p->up.op == WR_UP_COMPLETE)
		list_bytes(w, p, pi, b);
	if (p->session == 0 || p->up.op == WR_UP_COMPLETE)
		return;
	s = wr_session_at(w->resume, p->session);
	switch (p->mode) {
	case PC_ORDER:
		if (by_offset(s)) {
			offset_bytes(w, p, b);
		} else {
			p->at += b->len;
			if (s->feeding == pi)
				whole_feed(w, p->session, b);
			else
				p->mode = PC_LOST;
		}
		break;
	case PC_EARLY: early_bytes(w, p, b); break;
	default: p->at += b->len;
	}
}

void session_bytes(struct wr_worker *w, uint32_t oi, const struct wr_piece *b)
{
	struct wr_object *o = wr_object_at(w->objects, oi);
	struct piece *p = piece_at(w, o->piece);

	if (p->far == 1) {
		far_bytes(w, o->piece, b);
		return;
	}
	session_feed(w, o->piece, b);
	if (p->session != 0 && wr_session_at(w->resume, p->session)->bad) {
		wr_object_cause(o, WR_C_OBJECT_BAD);
		o->has_hits = 1;
	}
}

/* --- the store's answer
 * ------------------------------------------------------------------------------ */

/* The running state was carried on by a part that is not stored: back to where it began. */
static void part_undone(struct wr_worker *w, struct wr_session *s, const struct piece *p)
{
	if (s->feeding == 0 || piece_at(w, s->feeding) != p)
		return;
	s->feeding = 0;
	whole_restore(w, s);
	whole_queue(w, p->session);
}

static void part_replaced(struct wr_worker *w, struct wr_session *s, struct wr_part *part,
                          const struct piece *p)
{
	if (part->state == WR_PART_FED) {
		/* The same bytes again change nothing; others are not in the running state. */
		if (memcmp(part->sha256, p->digests.sha256, 32) != 0 || part->size != p->at)
			s->causes |= 1u << WR_C_PART_ORDER;
		return;
	}
	s->kept -= part->bytes.bytes;
	wr_chain_free(w->resume, &part->bytes);
	part->state = WR_PART_NONE;
}

static void part_stored(struct wr_worker *w, uint32_t si, struct piece *p, const struct answer *a)
{
	struct wr_session *s = wr_session_at(w->resume, si);
	uint32_t i = wr_part_get(w->resume, &w->lc, si, p->up.part);
	bool fed = s->feeding != 0 && piece_at(w, s->feeding) == p;
	struct wr_part *part;

	if (i == 0) {
		s->causes |= 1u << WR_C_LIMIT;
		return;
	}
	part = wr_part_at(w->resume, i);
	part_replaced(w, s, part, p);
	part->etag = a->etag;
	part->has_etag = a->etag != 0;
	if (part->state == WR_PART_FED)
		return;
	part->size = p->at;
	memcpy(part->md5, p->digests.md5, 16);
	memcpy(part->sha256, p->digests.sha256, 32);
	if (p->up.op == WR_UP_COPY) {
		part->state = WR_PART_UNSEEN;
	} else if (fed && p->up.part == s->nfed + 1) {
		part->state = WR_PART_FED;
		s->feeding = 0;
		s->nfed++;
		whole_queue(w, si);
	} else if (p->mode == PC_EARLY) {
		part->state = WR_PART_KEPT;
		part->bytes = p->early;
		memset(&p->early, 0, sizeof(p->early));
		whole_queue(w, si);
	} else {
		part->state = WR_PART_LOST;
	}
	wr_session_confirm(w->resume, &w->lc, si);
}

/* By offset: how far the store has it. */
static void offset_stored(struct wr_worker *w, uint32_t si, struct piece *p, const struct answer *a)
{
	struct wr_session *s = wr_session_at(w->resume, si);
	uint64_t upto = a->said ? a->upto : a->status == 308 ? s->base : p->at;

	if (p->mode == PC_ASTRAY ? upto > s->base : upto > s->pos)
		s->causes |= 1u << WR_C_ELSEWHERE;
	if (upto > s->base && upto <= s->pos)
		s->base = upto;
	if (s->base >= s->doubt)
		s->doubt = UINT64_MAX;
	if (s->window.bytes > s->pos - s->base)
		wr_chain_cut(w->resume, &s->window, s->window.bytes - (s->pos - s->base));
	wr_session_confirm(w->resume, &w->lc, si);
}

/* An upload that was created: a session without bytes; 0 = there is none. */
uint32_t session_create(struct wr_worker *w, const uint64_t key[2], uint8_t proto, bool has_total,
                        uint64_t total, uint32_t causes, uint8_t service, bool observe)
{
	struct wr_up up = { .proto = proto, .keyed = 1, .key = { key[0], key[1] } };
	uint32_t si = wr_session_find(w->resume, key);
	struct wr_session *s;

	if (si != 0 && wr_session_at(w->resume, si)->requests == 0) {
		session_drop(w, si); /* the store gives the name anew */
		si = 0;
	}
	if (si != 0) {
		wr_session_at(w->resume, si)->causes |= 1u << WR_C_ELSEWHERE;
		return 0;
	}
	si = session_new(w, service, observe, &up);
	if (si == 0)
		return 0;
	s = wr_session_at(w->resume, si);
	s->has_total = has_total;
	s->total = total;
	s->causes |= causes;
	wr_session_confirm(w->resume, &w->lc, si);
	return si;
}

/* The upload has its name: what was begun without one goes on under it. */
static void created(struct wr_worker *w, const struct wr_object *o, uint32_t pi,
                    const struct wr_http_rhead *h, const struct answer *a)
{
	struct piece *p = piece_at(w, pi);
	struct wr_str where = h->location.p != NULL ? h->location : h->session;
	struct wr_session *s;
	uint64_t key[2];
	uint32_t owner;

	if (p->up.proto != WR_UP_TUS || h->cut || o->head == NULL ||
	    !wr_up_location(o->head, p->up.proto, where, &w->lc.key, key))
		return;
	if (far_owned(w, key, &owner)) {
		far_named(w, p, key, owner, a);
		return;
	}
	if (p->session == 0) {
		session_create(w, key, p->up.proto, p->up.has_total, p->up.total, 0, p->service,
		               p->observe);
		return;
	}
	if (wr_session_find(w->resume, key) != 0)
		return; /* a name that is in use: what came with the creation is not joined */
	s = wr_session_at(w->resume, p->session);
	wr_session_name(w->resume, p->session, key);
	if (s->bad)
		wr_bad_add(w->resume, &w->lc, key);
	if (p->ended && p->at != 0)
		offset_stored(w, p->session, p, a);
	wr_session_confirm(w->resume, &w->lc, p->session);
}

void session_apply(struct wr_worker *w, uint32_t pi, const struct answer *a)
{
	struct piece *p = piece_at(w, pi);
	struct wr_session *s = p->session != 0 ? wr_session_at(w->resume, p->session) : NULL;

	if (p->answered)
		return;
	p->answered = 1;
	if (s == NULL || p->up.op == WR_UP_CREATE)
		return;
	if (!a->ok || !p->ended) {
		part_undone(w, s, p);
		if (by_offset(s) && p->mode == PC_ORDER && s->pos > p->edge && a->status >= 400 &&
		    a->status < 500)
			s->doubt = wr_min_u64(s->doubt, p->edge);
		return;
	}
	if (p->up.op == WR_UP_COPY || (p->up.op == WR_UP_PART && !by_offset(s)))
		part_stored(w, p->session, p, a);
	else if (p->up.op == WR_UP_PART)
		offset_stored(w, p->session, p, a);
	if (p->whole != 0 && a->status != 308)
		s->done = 1;
}

void session_answer(struct wr_worker *w, struct wr_object *o, const struct wr_http_rhead *h)
{
	struct piece *p = piece_at(w, o->piece);
	struct answer a = { .status = h->status };

	a.ok = (h->status >= 200 && h->status < 300) ||
	       (h->status == 308 && p->up.proto == WR_UP_GCS);
	if (h->status == 308)
		a.said = wr_up_range(h->range, &a.upto);
	else if (p->up.proto == WR_UP_TUS)
		a.said = wr_up_number(h->upload_offset, &a.upto);
	a.etag = h->cut ? 0 : wr_up_etag(h->etag, &w->lc.key);
	if (a.ok && p->up.op == WR_UP_CREATE && !p->answered)
		created(w, o, o->piece, h, &a);
	if (p->far == 1) {
		p->answer = a;
		far_todo(w, o->piece, FAR_ANSWER);
	} else {
		session_apply(w, o->piece, &a);
	}
}

/* The request is over, answered or not. */
void session_close(struct wr_worker *w, uint32_t *pi)
{
	struct piece *p = piece_at(w, *pi);
	struct wr_session *s;
	uint32_t si = p->session;

	if (p->far == 1) { /* gone when the owner has let go of it too */
		p->obj = p->conn = 0;
		far_todo(w, *pi, FAR_CLOSE);
		*pi = 0;
		return;
	}
	if (si != 0) {
		s = wr_session_at(w->resume, si);
		if (!p->answered)
			part_undone(w, s, p);
		s->kept -= p->early.bytes;
		if (s->completing == *pi)
			s->completing = 0;
	}
	wr_chain_free(w->resume, &p->early);
	wr_pool_put(w->pieces, *pi);
	*pi = 0;
	if (si != 0)
		session_gone(w, si);
}
