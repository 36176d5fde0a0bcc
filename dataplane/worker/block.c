/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/conn.h"

static void arm(struct wr_worker *w, struct conn *c)
{
	uint64_t at = wr_block_next(&c->block);

	conn_arm(w, conn_index(w, c), wr_min_u64(at, w->lc.now + CLOSE_NS));
}

/* The part of a frame that belongs to the requests before the blocked one, as a frame of its own.
 */
static void send_prefix(struct wr_worker *w, struct conn *c, struct rte_mbuf *m, uint64_t upto)
{
	struct rte_mbuf *copy = wr_tcp_compact(&w->lc, m);
	struct wr_pkt p;

	rte_pktmbuf_free(m);
	wr_fate(&w->lc, WR_FATE_DROPPED, 1);
	if (copy == NULL)
		return; /* the client's repeat is cut the same way */
	wr_fate(&w->lc, WR_FATE_GENERATED, 1);
	if (wr_pkt_parse(&w->lc, WR_SIDE_CLIENT, copy, &p) != WR_R_NONE) {
		drop(w, copy);
		return;
	}
	wr_pkt_trim(&p, (uint16_t)(p.len - (upto - c->blocked_at)));
	send_to(w, WR_SIDE_STORE, p.m);
}

/*
 * Requests before the blocked one keep what they need: their last bytes, if those waited in one
 * frame with the blocked request, and the kept bytes for repeats. False: their bytes cannot be
 * separated, because later ones are already with the store behind a gap.
 */
static bool keep_earlier(struct wr_worker *w, struct conn *c)
{
	uint32_t before = wr_tcp_unsent(w->tcp, &c->c2s), sent = 0, covered;
	uint64_t upto;
	struct rte_mbuf *m;
	uint64_t g = wr_min_u64(c->c2s.dlv, wr_http_hold_from(&c->http));

	g = wr_min_u64(g, wr_min_u64(c->cap, c->unread));
	/* A form's file is complete at its delimiter, long before the request is. */
	if (c->body != NULL && wr_body_hold_from(c->body) != c->hold_passed)
		g = wr_min_u64(g, wr_body_hold_from(c->body));

	/* The store may have more of the blocked request, but never all: the gate that held it
	 * stays. */
	while ((m = wr_tcp_send_below(w->tcp, &c->c2s, c->blocked_at, g, &upto)) != NULL) {
		sent++;
		w->held--;
		if (upto <= c->blocked_at)
			send_to(w, WR_SIDE_STORE, m);
		else
			send_prefix(w, c, m, upto);
	}
	covered = w->tcp->covered;
	settle_covered(w);
	w->held -= before - sent - covered;
	wr_fate(&w->lc, WR_FATE_DROPPED, before - sent - covered);
	if (wr_tcp_lacks(w->tcp, &c->c2s, c->blocked_at)) {
		wr_tcp_clear(w->tcp, &c->c2s);
		return false;
	}
	wr_tcp_cut(w->tcp, &c->c2s, c->blocked_at);
	return true;
}

void block(struct wr_worker *w, struct conn *c, uint32_t oi, enum wr_reason why)
{
	const struct wr_http_head *h;

	if (c->phase == PH_BLOCKED)
		return;
	jobs_flush(w);
	/* From here on nothing more of this request reaches the store. */
	c->phase = PH_BLOCKED;
	count_held(w, c);
	c->pending = 0;
	c->blocked_obj = oi;
	c->blocked_req = oi != 0 ? wr_object_at(w->objects, oi)->req : c->req + !c->in_req;
	c->blocked_reason = (uint16_t)why;
	h = oi != 0 ? wr_object_at(w->objects, oi)->head : conn_head(c);
	c->blocked_at = h != NULL ? h->start : c->c2s.dlv;
	wr_block_start(&c->block, w->lc.now);
	if (!keep_earlier(w, c))
		c->s2c.lost = 1;
	block_step(w, c);
}

static void send_answer(struct wr_worker *w, struct conn *c)
{
	struct wr_object *o = c->blocked_obj != 0 ? wr_object_at(w->objects, c->blocked_obj) : NULL;
	const struct wr_http_head *head = o != NULL ? o->head : conn_head(c);
	char text[WR_HOLD_ANSWER_MAX];
	struct wr_pkt_seg seg = { 0 };
	uint8_t none[16] = { 0 };
	uint32_t n, mss = c->c2s.mss;

	/* The same text at each repeat: it is made from what does not change until the record is
	 * written. */
	n = wr_hold_answer(w->lc.conf, head, o != NULL ? o->decision_id : none, text, sizeof(text));
	c->block.answer_len = (uint16_t)n;
	c->block.answer_off = c->s2c.nxt;
	for (uint32_t at = 0; at < n; at += mss) {
		uint32_t part = wr_min_u32(n - at, mss);
		uint64_t room = c->s2c.edge > c->s2c.nxt + at ? c->s2c.edge - (c->s2c.nxt + at) : 0;

		if (room < part)
			break; /* the client's window: the rest goes with a repeat */
		seg = (struct wr_pkt_seg){
			.seq = wr_half_seq(&c->s2c, c->s2c.nxt + at),
			.ack = wr_half_seq(&c->c2s, c->c2s.nxt) + (c->client_fin ? 1u : 0u),
			.window = 0xffff,
			.flags = WR_TCP_ACK | (at + part == n ? WR_TCP_PSH | WR_TCP_FIN : 0),
			.opt = c->c2s.has_ts ? WR_PKT_TSTAMP : 0,
			.ts_val = c->ts_store,
			.ts_ecr = c->ts_client,
			.len = (uint16_t)part,
			.data = text + at,
		};
		emit(w, c, WR_SIDE_CLIENT, &seg);
	}
}

/* An ACK of what the client has sent, so that it does not repeat it and reads on. */
static void send_ack(struct wr_worker *w, struct conn *c)
{
	uint64_t off = c->s2c.nxt;
	struct wr_pkt_seg seg;

	if (c->block.phase == WR_BLOCK_ANSWER)
		off += c->block.answer_len + 1u;
	seg = (struct wr_pkt_seg){
		.seq = wr_half_seq(&c->s2c, off),
		.ack = wr_half_seq(&c->c2s, c->c2s.nxt) + (c->client_fin ? 1u : 0u),
		.window = 0xffff,
		.flags = WR_TCP_ACK,
		.opt = c->c2s.has_ts ? WR_PKT_TSTAMP : 0,
		.ts_val = c->ts_store,
		.ts_ecr = c->ts_client,
	};
	emit(w, c, WR_SIDE_CLIENT, &seg);
}

static void record_blocked(struct wr_worker *w, struct conn *c)
{
	struct wr_object *o;

	if (c->blocked_obj == 0)
		return;
	o = wr_object_at(w->objects, c->blocked_obj);
	o->answered = c->block.phase == WR_BLOCK_ANSWER || c->block.phase == WR_BLOCK_LINGER;
	if (c->block.phase == WR_BLOCK_RESET)
		o->answered = 0;
	c->blocked_obj = 0;
	upload_abort(w, c, WR_C_ABORTED, WR_COMMITTED_NO);
}

/* Whoever speaks something else would take an answer in HTTP for a server gone mad. */
static bool not_http(uint16_t why)
{
	return why == WR_R_NOT_HTTP || why == WR_R_TLS || why == WR_R_H2_PREFACE;
}

void block_step(struct wr_worker *w, struct conn *c)
{
	struct wr_hold_view v = {
		.now = w->lc.now,
		.earlier_done = c->resp + 1 >= c->blocked_req && c->s2c.ohead == 0,
		.client_acked = c->s2c.acked >= c->s2c.nxt,
		.begun = c->resp + 1 > c->blocked_req || c->store_fin || c->s2c.lost,
		.no_answer = not_http(c->blocked_reason) ||
		             (c->blocked_obj == 0 && conn_head(c) == NULL),
	};
	uint32_t todo;

	/* A response under way that is not an earlier request's is this one's. */
	v.begun |= c->resp + 1 == c->blocked_req && wr_http_resp_begun(&c->resps);
	if (c->blocked_obj != 0)
		v.begun |= wr_object_at(w->objects, c->blocked_obj)->early != 0;
	todo = wr_block_step(&c->block, &v, w->lc.conf);
	if (c->block.phase != WR_BLOCK_WAIT)
		wr_tcp_clear(w->tcp, &c->c2s); /* all sent: nothing is held any more */
	if (todo & WR_HOLD_RST_STORE)
		emit_rst(w, c, WR_SIDE_STORE, wr_half_seq(&c->c2s, c->c2s.sent));
	if (todo & WR_HOLD_SEND_ANSWER)
		send_answer(w, c);
	if (todo & WR_HOLD_RST_CLIENT)
		emit_rst(w, c, WR_SIDE_CLIENT,
		         wr_half_seq(&c->s2c, c->s2c.nxt + (c->block.phase == WR_BLOCK_LINGER
		                                                    ? c->block.answer_len + 1u
		                                                    : 0)));
	/* The record waits for the client to read, but not for long: readers of records do not
	 * wait. */
	if (c->block.answered || c->block.phase >= WR_BLOCK_RESET || c->block.answer_tries > 0)
		record_blocked(w, c);
	arm(w, c);
}

/*
 * While earlier requests wait for their answers: acknowledgements go on to the store, and repeats
 * of bytes below the blocked request. False: the segment is for nobody.
 */
static bool wait_client(struct wr_worker *w, struct wr_pkt *p, struct conn *c, int64_t s)
{
	int64_t ack = wr_half_off(&c->s2c, p->ack), end = (int64_t)c->blocked_at;
	bool news = ack > (int64_t)c->s2c.acked;

	if (wr_tcp_check(&c->c2s, p) == WR_R_TCP_OLD_TIMESTAMP)
		return false;
	if (ack >= 0)
		c->s2c.acked = wr_max_u64(c->s2c.acked, wr_min_u64((uint64_t)ack, c->s2c.nxt));
	if (p->len == 0 && !(p->tcp_flags & WR_TCP_FIN)) {
		send_to(w, WR_SIDE_STORE, p->m);
		return true;
	}
	if (s >= 0 && s < end && s + p->len <= (int64_t)c->c2s.nxt) {
		if (s + p->len > end)
			wr_pkt_trim(p, (uint16_t)(end - s));
		wr_pkt_set_flags(p, p->tcp_flags & (uint8_t) ~(WR_TCP_FIN | WR_TCP_URG));
		wr_tcp_fix(&w->lc, w->tcp, &c->c2s, p);
		send_to(w, WR_SIDE_STORE, p->m);
		return true;
	}
	if (news) {
		struct wr_pkt_seg seg = {
			.seq = wr_half_seq(&c->c2s, c->c2s.sent),
			.ack = p->ack,
			.window = p->window,
			.flags = WR_TCP_ACK,
			.opt = c->c2s.has_ts ? WR_PKT_TSTAMP : 0,
			.ts_val = p->ts_val,
			.ts_ecr = p->ts_ecr,
		};

		emit(w, c, WR_SIDE_STORE, &seg);
	}
	return false;
}

/* The client goes on sending, or acknowledges the answer. */
void block_client(struct wr_worker *w, struct wr_pkt *p, struct conn *c)
{
	int64_t s = wr_half_off(&c->c2s, p->seq), e = s + p->len;
	int64_t ack = wr_half_off(&c->s2c, p->ack);
	bool fin = (p->tcp_flags & WR_TCP_FIN) != 0;

	if (p->tcp_flags & WR_TCP_RST) {
		/* Only at the expected number does it say that the client is gone (RFC 5961 3);
		 * a closed client answers each repeat with such a one. */
		if (s == (int64_t)c->c2s.nxt + c->client_fin)
			c->block.client_fin = c->block.answered = 1;
		absorb(w, p->m);
		block_step(w, c);
		return;
	}
	if (c->block.phase == WR_BLOCK_WAIT) {
		/* Nothing is acknowledged yet: the store may still need repeats of earlier bytes.
		 */
		if (!wait_client(w, p, c, s)) {
			wr_count(&w->lc, WR_R_AFTER_BLOCK, 1);
			absorb(w, p->m);
		}
		block_step(w, c);
		return;
	}
	if ((p->tcp_flags & WR_TCP_ACK) && ack > (int64_t)c->s2c.nxt &&
	    c->block.phase == WR_BLOCK_ANSWER)
		wr_block_acked(&c->block, (uint64_t)ack, w->lc.now);
	if (p->tcp_flags & WR_TCP_ACK) {
		uint64_t edge = (uint64_t)wr_max_u64(0, (uint64_t)(ack < 0 ? 0 : ack)) +
		                ((uint64_t)p->window
		                 << (c->c2s.has_wscale && c->s2c.has_wscale ? c->c2s.wscale : 0));

		c->s2c.edge = wr_max_u64(c->s2c.edge, edge);
	}
	wr_count(&w->lc, WR_R_AFTER_BLOCK, 1);
	absorb(w, p->m);
	if (e > (int64_t)c->c2s.nxt && s <= (int64_t)c->c2s.nxt) {
		c->block.drained += (uint64_t)(e - (int64_t)c->c2s.nxt);
		c->c2s.nxt = (uint64_t)e;
	}
	if (fin && e == (int64_t)c->c2s.nxt) {
		c->client_fin = 1;
		c->block.client_fin = 1;
	}
	if ((e > s || fin) && c->block.phase != WR_BLOCK_RESET)
		send_ack(w, c);
	else if (c->block.phase == WR_BLOCK_RESET)
		emit_rst(w, c, WR_SIDE_CLIENT, p->ack);
	block_step(w, c);
}

/* The store is still talking: to earlier requests, or about the reset. */
void block_store(struct wr_worker *w, struct wr_pkt *p, struct conn *c)
{
	if (c->block.phase == WR_BLOCK_WAIT) {
		if (p->tcp_flags & WR_TCP_RST) {
			c->store_fin = 1;
			absorb(w, p->m);
		} else {
			store_bytes(w, p, c);
			if (p->tcp_flags & WR_TCP_FIN)
				store_fin(w, p, c);
			send_to(w, WR_SIDE_CLIENT, p->m);
		}
		block_step(w, c);
		return;
	}
	if (p->tcp_flags & WR_TCP_RST) {
		if (wr_half_off(&c->s2c, p->seq) == (int64_t)c->s2c.nxt + c->store_fin)
			c->block.store_dead = 1;
		absorb(w, p->m);
		return;
	}
	/* RFC 5961: the store's challenge ACK names the number that it takes an RST at. */
	wr_count(&w->lc, WR_R_STORE_AFTER_BLOCK, 1);
	emit_rst(w, c, WR_SIDE_STORE, p->ack);
	absorb(w, p->m);
}
