/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/look.h"

#include <rte_cycles.h>

#include "worker/conn.h"

static bool everybody(const struct wr_look_filter *f)
{
	static const uint8_t none[16];

	return memcmp(f->client, none, 16) == 0;
}

static bool fits(const struct wr_look_filter *f, const uint8_t client[16], uint16_t port)
{
	return (everybody(f) || memcmp(f->client, client, 16) == 0) &&
	       (f->port == 0 || f->port == port);
}

/* --- flows and holds
 * ------------------------------------------------------------------------------ */

static uint8_t phase_of(const struct conn *c)
{
	switch (c->phase) {
	case PH_NEW: return WR_LOOK_OPENING;
	case PH_OPEN: return WR_LOOK_INSPECTED;
	case PH_PASS: return WR_LOOK_PASSED;
	case PH_BLOCKED: return WR_LOOK_BLOCKED;
	default: return WR_LOOK_ENDED;
	}
}

static uint8_t wait_of(const struct conn *c, const struct wr_object *o, uint64_t held)
{
	if (o != NULL && o->state == WR_OBJ_FINISHING)
		return WR_LOOK_WAIT_VERDICT;
	if (o != NULL && o->state == WR_OBJ_RECORDS)
		return WR_LOOK_WAIT_RECORD;
	if (held != 0)
		return WR_LOOK_WAIT_TAIL;
	if (c->c2s.nooo != 0)
		return WR_LOOK_WAIT_GAP;
	if (o != NULL && o->state == WR_OBJ_ANSWER)
		return WR_LOOK_WAIT_ANSWER;
	return WR_LOOK_WAIT_NOTHING;
}

static void put_text(char *out, uint32_t room, struct wr_str s)
{
	uint32_t n = wr_min_u32(s.len, room - 1);

	if (s.p != NULL)
		memcpy(out, s.p, n);
}

static void put_upload(const struct wr_worker *w, struct wr_look_row *r, const struct conn *c,
                       const struct wr_object *o)
{
	const struct wr_http_head *h = o != NULL && o->head != NULL ? o->head : conn_head(c);

	if (h != NULL) {
		put_text(r->method, sizeof(r->method), h->method);
		put_text(r->host, sizeof(r->host), h->host);
		put_text(r->target, sizeof(r->target), h->target);
		if (h->has_length)
			r->upload_length = h->content_length;
		r->framing = h->framing;
	}
	if (o == NULL)
		return;
	memcpy(r->upload_id, o->id, 16);
	r->upload_bytes = o->bytes;
	r->state = o->state == WR_OBJ_RECEIVING || o->state == WR_OBJ_FINISHING ||
	           o->state == WR_OBJ_RECORDS;
	if (o->done_ns != 0 && w->lc.now > o->done_ns && r->state)
		r->held_ns = w->lc.now - o->done_ns;
}

/* The upload that people mean: the one being received, else the oldest without a record. */
static const struct wr_object *upload_now(const struct wr_worker *w, const struct conn *c)
{
	uint32_t oi = c->obj != 0 ? c->obj : c->objs;

	return oi != 0 && wr_pool_is_out(w->objects, oi) ? wr_object_at(w->objects, oi) : NULL;
}

static void look_at(struct wr_worker *w, struct look *k, uint32_t ci)
{
	const struct wr_flow *f = wr_flow_at(w->flows, ci);
	const struct conn *c = &w->conn[ci];
	const struct wr_object *o = upload_now(w, c);
	uint64_t held = c->c2s.nxt > c->c2s.sent ? c->c2s.nxt - c->c2s.sent : 0;
	struct wr_look_row *r = &k->row[k->nrows];
	uint8_t wait;

	if (c->phase != PH_OPEN)
		held = 0;
	wait = wait_of(c, o, held);
	if (!fits(&k->filter, f->key.client, f->key.client_port))
		return;
	if (k->what == WR_LOOK_HOLDS &&
	    (held == 0 && wait != WR_LOOK_WAIT_VERDICT && wait != WR_LOOK_WAIT_RECORD))
		return;
	memset(r, 0, sizeof(*r));
	memcpy(r->client, f->key.client, 16);
	memcpy(r->store, f->key.store, 16);
	r->client_port = f->key.client_port;
	r->store_port = f->key.store_port;
	r->vlan = f->key.vlan & 0xfff;
	r->phase = phase_of(c);
	r->wait = wait;
	r->service = c->service;
	r->worker = (uint8_t)w->lc.id;
	r->requests = c->req;
	r->age_ns = w->lc.now > c->since_ns ? w->lc.now - c->since_ns : 0;
	r->idle_ns = w->lc.now > c->last_ns ? w->lc.now - c->last_ns : 0;
	r->c2s_bytes = c->c2s.nxt;
	r->s2c_bytes = c->s2c.nxt;
	r->held_bytes = held;
	r->kept_segments = c->c2s.nsegs;
	r->early_segments = c->c2s.nooo;
	r->upload_length = UINT64_MAX;
	put_upload(w, r, c, o);
	k->nrows++;
}

void look_turn(struct wr_worker *w)
{
	struct look *k = w->look;
	uint32_t end = wr_flow_capacity(w->flows);

	if (atomic_load_explicit(&w->trace.seen, memory_order_relaxed) !=
	    atomic_load_explicit(&w->trace.on, memory_order_relaxed))
		atomic_store_explicit(&w->trace.seen, w->trace_on, memory_order_release);
	if (wr_likely(atomic_load_explicit(&k->state, memory_order_acquire) != LOOK_ASKED))
		return;
	for (uint32_t i = 0; i < LOOK_SLICE && k->nrows < LOOK_ROWS && k->cursor != 0; i++) {
		if (wr_flow_used(w->flows, k->cursor))
			look_at(w, k, k->cursor);
		k->cursor = k->cursor < end ? k->cursor + 1 : 0;
	}
	if (k->cursor == 0 || k->nrows == LOOK_ROWS)
		atomic_store_explicit(&k->state, LOOK_READY, memory_order_release);
}

/* Main: the next rows of the same question, or the first of a new one. */
static void ask(struct look *k)
{
	k->nrows = 0;
	atomic_store_explicit(&k->state, LOOK_ASKED, memory_order_release);
}

bool wr_worker_look(struct wr_worker *w, uint32_t what, const struct wr_look_filter *f)
{
	struct look *k = w->look;

	if (atomic_load_explicit(&k->state, memory_order_acquire) == LOOK_ASKED)
		return false;
	k->what = what;
	k->filter = *f;
	k->cursor = 1;
	ask(k);
	return true;
}

const struct wr_look_row *wr_worker_look_rows(struct wr_worker *w, uint32_t *n, bool *more)
{
	struct look *k = w->look;

	if (atomic_load_explicit(&k->state, memory_order_acquire) != LOOK_READY)
		return NULL;
	*n = k->nrows;
	*more = k->cursor != 0;
	return k->row;
}

void wr_worker_look_on(struct wr_worker *w)
{
	if (atomic_load_explicit(&w->look->state, memory_order_acquire) == LOOK_READY)
		ask(w->look);
}

/* --- trace
 * ---------------------------------------------------------------------------------------- */

struct ends { /* of one frame, as far as they can be read without believing it */
	uint8_t src[16], dst[16];
	uint16_t sport, dport;
	uint32_t header; /* bytes up to the payload of TCP, or of IP where it is not TCP */
};

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void tcp_ends(const uint8_t *p, uint32_t at, uint32_t n, struct ends *e)
{
	if (n - at < 20)
		return;
	e->sport = be16(p + at);
	e->dport = be16(p + at + 2);
	e->header = wr_min_u32(at + (uint32_t)(p[at + 12] >> 4) * 4, n);
}

static bool ip4_ends(const uint8_t *p, uint32_t at, uint32_t n, struct ends *e)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint32_t ihl;

	if (n - at < 20)
		return false;
	ihl = (uint32_t)(p[at] & 15) * 4;
	memcpy(e->src, mapped, 12);
	memcpy(e->src + 12, p + at + 12, 4);
	memcpy(e->dst, mapped, 12);
	memcpy(e->dst + 12, p + at + 16, 4);
	e->header = wr_min_u32(at + wr_max_u32(ihl, 20), n);
	/* Only a datagram's first piece has the ports. */
	if (p[at + 9] == 6 && (be16(p + at + 6) & 0x1fff) == 0)
		tcp_ends(p, e->header, n, e);
	return true;
}

#define EXTENSIONS 4u

static bool ip6_ends(const uint8_t *p, uint32_t at, uint32_t n, struct ends *e)
{
	uint8_t next;

	if (n - at < 40)
		return false;
	memcpy(e->src, p + at + 8, 16);
	memcpy(e->dst, p + at + 24, 16);
	next = p[at + 6];
	at += 40;
	e->header = at;
	for (uint32_t i = 0; i < EXTENSIONS && (next == 0 || next == 43 || next == 60); i++) {
		if (n - at < 8)
			return true;
		next = p[at];
		at = wr_min_u32(at + ((uint32_t)p[at + 1] + 1) * 8, n);
		e->header = at;
	}
	if (next == 6)
		tcp_ends(p, at, n, e);
	return true;
}

static bool ends_of(const uint8_t *p, uint32_t n, struct ends *e)
{
	uint32_t at = 12;

	e->sport = e->dport = 0;
	for (int tags = 0; tags < 2 && n >= at + 2; tags++, at += 4)
		if (be16(p + at) != 0x8100 && be16(p + at) != 0x88a8)
			break;
	if (n < at + 2)
		return false;
	if (be16(p + at) == 0x0800)
		return ip4_ends(p, at + 2, n, e);
	return be16(p + at) == 0x86dd && ip6_ends(p, at + 2, n, e);
}

static void trace_one(struct wr_worker *w, const struct rte_mbuf *m, enum wr_side side, bool out)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t n = m->data_len, cap;
	bool from_client = (side == WR_SIDE_CLIENT) != out;
	struct wr_trace_frame *f;
	struct ends e;

	if (!ends_of(p, n, &e) ||
	    !fits(&w->trace.filter, from_client ? e.src : e.dst, from_client ? e.sport : e.dport))
		return;
	cap = wr_min_u32(w->trace_on == 2 ? n : e.header, WR_TRACE_SNAP);
	f = wr_ring_reserve(w->trace.ring, (uint32_t)sizeof(*f) + cap);
	if (f == NULL) {
		wr_count(&w->lc, WR_R_TRACE_RING_FULL, 1);
		return;
	}
	*f = (struct wr_trace_frame){
		.tsc = rte_rdtsc(), .len = m->pkt_len, .cap = cap, .side = (uint8_t)side, .out = out
	};
	memcpy(f + 1, p, cap);
	wr_ring_commit(w->trace.ring, f, (uint32_t)sizeof(*f) + cap, 0);
}

void trace_frames(struct wr_worker *w, enum wr_side side, bool out, struct rte_mbuf *const *m,
                  uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		trace_one(w, m[i], side, out);
}

bool wr_worker_trace(struct wr_worker *w, const struct wr_look_filter *f, bool payload)
{
	struct trace *t = &w->trace;
	const void *p;
	uint32_t n, tag;

	if (f == NULL) {
		atomic_store_explicit(&t->on, 0, memory_order_release);
		return true;
	}
	/* The worker may still be looking at the last filter. */
	if (atomic_load_explicit(&t->on, memory_order_relaxed) != 0 ||
	    atomic_load_explicit(&t->seen, memory_order_acquire) != 0)
		return false;
	while (wr_ring_peek(t->ring, TRACE_RING, &p, &n, &tag) > 0)
		wr_ring_pop(t->ring, n);
	t->filter = *f;
	atomic_store_explicit(&t->on, payload ? 2 : 1, memory_order_release);
	return true;
}

const struct wr_trace_frame *wr_worker_traced(struct wr_worker *w)
{
	const void *p;
	uint32_t n, tag;

	return wr_ring_peek(w->trace.ring, TRACE_RING, &p, &n, &tag) > 0 ? p : NULL;
}

void wr_worker_trace_pop(struct wr_worker *w, const struct wr_trace_frame *f)
{
	wr_ring_pop(w->trace.ring, (uint32_t)sizeof(*f) + f->cap);
}
