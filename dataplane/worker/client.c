/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/conn.h"

/* --- opening and closing
 * -------------------------------------------------------------------------- */

static void syn_half(struct wr_half *h, const struct wr_pkt *p)
{
	wr_half_init(h, p->seq);
	h->has_ts = (p->opt & WR_PKT_TSTAMP) != 0;
	h->ts_recent = p->ts_val;
	h->has_wscale = (p->opt & WR_PKT_WSCALE) != 0;
	h->wscale = (uint8_t)wr_min_u32(p->wscale, 14); /* RFC 7323 2.3 */
	h->mss = (p->opt & WR_PKT_MSS) && p->mss >= 64 ? p->mss : 536;
	h->last_window = p->window;
}

void template_take(struct conn *c, const struct wr_pkt *p)
{
	enum wr_side to = other((enum wr_side)p->side);

	wr_pkt_template_take(to == WR_SIDE_STORE ? &c->to_store : &c->to_client, p);
	c->templates |= (uint8_t)(1u << to);
}

static void syn_clock(struct conn *c, const struct wr_pkt *p)
{
	if (!(p->opt & WR_PKT_TSTAMP))
		return;
	if (p->side == WR_SIDE_CLIENT)
		c->ts_client = p->ts_val;
	else
		c->ts_store = p->ts_val;
}

/* What a SYN may not carry on: data, options that Weir does not follow. */
static void syn_clean(struct wr_worker *w, struct wr_pkt *p)
{
	if (p->len != 0) {
		wr_count(&w->lc, WR_R_SYN_DATA, 1);
		wr_pkt_trim(p, 0);
	}
	if (p->opt & WR_PKT_ODDOPT)
		wr_count(&w->lc, WR_R_TCP_OPTION_STRIPPED, wr_pkt_blank_options(p));
}

static void syn_first(struct wr_worker *w, struct wr_pkt *p, struct conn *c)
{
	bool from_client = p->side == WR_SIDE_CLIENT;
	struct wr_half *mine = from_client ? &c->c2s : &c->s2c;

	syn_half(mine, p);
	syn_clock(c, p);
	template_take(c, p);
	c->syn_from_store = !from_client;
	syn_clean(w, p);
	send_to(w, other((enum wr_side)p->side), p->m);
}

static void syn_again(struct wr_worker *w, struct wr_pkt *p, struct conn *c)
{
	bool from_client = p->side == WR_SIDE_CLIENT;
	struct wr_half *mine = from_client ? &c->c2s : &c->s2c;
	struct wr_half *peer = from_client ? &c->s2c : &c->c2s;

	if (mine->has_isn && mine->isn != p->seq && c->phase != PH_NEW) {
		/* RFC 5961 4: the peer would answer with a challenge ACK; nothing is gained by
		 * passing it. */
		count_pkt(w, p, WR_R_TCP_SYN_IN_STREAM);
		drop(w, p->m);
		return;
	}
	if ((p->tcp_flags & WR_TCP_ACK) && peer->has_isn && p->ack != peer->isn + 1 &&
	    c->phase == PH_NEW) {
		count_pkt(w, p, WR_R_TCP_ACK_UNSENT);
		drop(w, p->m);
		return;
	}
	if (c->phase != PH_NEW && (p->opt & WR_PKT_TSTAMP)) { /* a repeat has a newer clock */
		uint32_t *clock = from_client ? &c->ts_client : &c->ts_store;

		if (wr_seq_diff(p->ts_val, *clock) > 0)
			*clock = p->ts_val;
	}
	if (c->phase == PH_NEW) {
		syn_half(mine, p);
		syn_clock(c, p);
		template_take(c, p);
		if (peer->has_isn) {
			c->phase = PH_OPEN;
			c->c2s.has_ts &= c->s2c.has_ts;
			c->s2c.has_ts = c->c2s.has_ts;
			mine->edge = peer->edge = 0;
			/* A SYN's window is never scaled, RFC 7323 2.2. */
			peer->edge = p->window;
			mine->edge = peer->last_window;
		}
	}
	syn_clean(w, p);
	send_to(w, other((enum wr_side)p->side), p->m);
}

static bool closed(const struct conn *c)
{
	return c->phase == PH_DEAD || (c->client_fin && c->store_fin) ||
	       (c->phase == PH_BLOCKED && c->block.phase >= WR_BLOCK_RESET);
}

bool handshake(struct wr_worker *w, struct wr_pkt *p, uint32_t *ci)
{
	if ((p->tcp_flags & (WR_TCP_FIN | WR_TCP_RST)) && (p->tcp_flags & WR_TCP_SYN)) {
		count_pkt(w, p, WR_R_TCP_BAD_FLAGS);
		drop(w, p->m);
		return true;
	}
	if (!(p->tcp_flags & WR_TCP_SYN))
		return false;
	if (*ci != 0 && closed(&w->conn[*ci]) && !(p->tcp_flags & WR_TCP_ACK)) {
		/* The same addresses and ports again: a new connection. */
		conn_free(w, *ci);
		*ci = 0;
	}
	if (*ci == 0) {
		if (p->tcp_flags & WR_TCP_ACK) {
			midstream(w, p, WR_R_ONE_WAY);
			return true;
		}
		*ci = conn_new(w, p);
		if (*ci == 0) {
			bool open =
			        w->lc.conf->service[p->service].policy.on_overload == WR_DEATH_OPEN;

			if (open) {
				wr_counter_add(&w->lc.stats->unscanned_bytes[WR_C_BUDGET], p->len);
				send_to(w, other((enum wr_side)p->side), p->m);
			} else {
				drop(w, p->m);
			}
			return true;
		}
		syn_first(w, p, &w->conn[*ci]);
		return true;
	}
	syn_again(w, p, &w->conn[*ci]);
	return true;
}

void track_rst(struct wr_worker *w, struct wr_pkt *p, struct conn *c)
{
	struct wr_half *h = p->side == WR_SIDE_CLIENT ? &c->c2s : &c->s2c;
	int64_t off = h->has_isn ? wr_half_off(h, p->seq) : 0;
	bool exact = !h->has_isn || off == (int64_t)h->nxt || off == (int64_t)h->sent ||
	             (h->fin != WR_TCP_NONE && off == (int64_t)h->fin + 1);

	if (c->phase == PH_NEW && p->side == WR_SIDE_STORE)
		exact = (p->tcp_flags & WR_TCP_ACK) && p->ack == c->c2s.isn + 1;
	if (!exact) {
		/* The receiver ignores it or challenges it (RFC 5961 3); so its state is not
		 * touched here. */
		count_pkt(w, p, WR_R_TCP_RST_INEXACT);
		if (off > (int64_t)h->edge + 1 || off < (int64_t)h->acked) {
			drop(w, p->m);
			return;
		}
	} else if (c->phase != PH_DEAD) {
		uint32_t held;

		jobs_flush(w);
		held = wr_tcp_clear(w->tcp, &c->c2s);

		w->held -= held;
		wr_fate(&w->lc, WR_FATE_DROPPED, held);
		wr_tcp_clear(w->tcp, &c->s2c);
		upload_abort(w, c, WR_C_ABORTED, WR_COMMITTED_UNKNOWN);
		c->phase = PH_DEAD;
		count_held(w, c);
		conn_arm(w, conn_index(w, c), w->lc.now + CLOSE_NS);
		conn_ended(w, c);
	}
	send_to(w, other((enum wr_side)p->side), p->m);
}

/* Where both ends stand, as far as this frame says: what a reset of them needs. */
void pass_follow(struct conn *c, const struct wr_pkt *p)
{
	bool from_client = p->side == WR_SIDE_CLIENT;
	struct wr_half *mine = from_client ? &c->c2s : &c->s2c;
	struct wr_half *peer = from_client ? &c->s2c : &c->c2s;
	uint32_t next = p->seq + p->len + ((p->tcp_flags & (WR_TCP_SYN | WR_TCP_FIN)) != 0);

	if (!c->reset_pass)
		return;
	template_take(c, p);
	if (!mine->has_isn || wr_seq_diff(next, wr_half_seq(mine, 0)) > 0)
		mine->isn = next - 1;
	if ((p->tcp_flags & WR_TCP_ACK) &&
	    (!peer->has_isn || wr_seq_diff(p->ack, wr_half_seq(peer, 0)) > 0)) {
		peer->isn = p->ack - 1;
		peer->has_isn = 1;
	}
	mine->has_isn = 1;
	mine->nxt = peer->nxt = 0;
}

/* The time of a connection that passes unscanned is over: both ends are reset, and again when they
 * speak. */
void pass_reset(struct wr_worker *w, struct conn *c)
{
	c->phase = PH_DEAD;
	if (c->c2s.has_isn)
		emit_rst(w, c, WR_SIDE_STORE, wr_half_seq(&c->c2s, 0));
	if (c->s2c.has_isn)
		emit_rst(w, c, WR_SIDE_CLIENT, wr_half_seq(&c->s2c, 0));
	wr_count(&w->lc, WR_R_PASS_RESET, 1);
	conn_arm(w, conn_index(w, c), w->lc.now + CLOSE_NS);
}

void rst_reply(struct wr_worker *w, struct wr_pkt *p)
{
	/* One RST to each end, as if the other had sent it; only where the frame tells the numbers.
	 */
	struct wr_pkt_template t, back;
	struct wr_pkt_seg to_peer = { .seq = p->seq,
		                      .ack = p->ack,
		                      .flags = WR_TCP_RST | WR_TCP_ACK };
	struct wr_pkt_seg to_sender = { .seq = p->ack, .flags = WR_TCP_RST };
	struct rte_mbuf *m;

	if (!(p->tcp_flags & WR_TCP_ACK) || (p->tcp_flags & WR_TCP_RST))
		return;
	wr_pkt_template_take(&t, p);
	wr_pkt_template_reverse(&back, &t);
	for (int i = 0; i < 2; i++) {
		enum wr_side to = i == 0 ? other((enum wr_side)p->side) : (enum wr_side)p->side;

		m = rte_pktmbuf_alloc(w->lc.pools.gen);
		if (m == NULL)
			return;
		if (!wr_pkt_build(m, i == 0 ? &t : &back, &p->key, other(to),
		                  i == 0 ? &to_peer : &to_sender)) {
			rte_pktmbuf_free(m);
			return;
		}
		wr_fate(&w->lc, WR_FATE_GENERATED, 1);
		send_to(w, to, m);
	}
}

/* A segment of a connection that Weir did not see begin. */
void midstream(struct wr_worker *w, struct wr_pkt *p, enum wr_reason why)
{
	const struct wr_policy *pol = &w->lc.conf->service[p->service].policy;
	uint32_t ci;

	if (p->tcp_flags & WR_TCP_RST) { /* it ends something: nothing to inspect */
		count_pkt(w, p, why);
		send_to(w, other((enum wr_side)p->side), p->m);
		return;
	}
	count_pkt(w, p, why);
	if (pol->on_reason[why] != WR_ON_PASS) {
		rst_reply(w, p);
		drop(w, p->m);
		return;
	}
	/* A half-open connection of which only this direction comes is known already. */
	ci = wr_flow_find(w->flows, &p->key, p->hash);
	if (ci == 0)
		ci = conn_new(w, p);
	if (ci == 0) {
		drop(w, p->m);
		return;
	}
	w->conn[ci].phase = PH_PASS;
	w->conn[ci].reset_pass = 1;
	w->conn[ci].since_ns = w->conn[ci].last_ns = w->lc.now;
	pass_follow(&w->conn[ci], p);
	conn_arm(w, ci, w->lc.now + PASS_IDLE_NS);
	wr_counter_add(&w->lc.stats->unscanned_bytes[WR_C_MIDSTREAM], p->len);
	send_to(w, other((enum wr_side)p->side), p->m);
}

void conn_pass(struct wr_worker *w, struct conn *c, enum wr_reason why)
{
	struct rte_mbuf *m;
	uint32_t held;

	(void)why;
	upload_abort(w, c, WR_C_FRAMING, WR_COMMITTED_UNKNOWN);
	c->phase = PH_PASS;
	count_held(w, c);
	while ((m = wr_tcp_send_next(w->tcp, &c->c2s, WR_TCP_NONE)) != NULL) {
		w->held--;
		wr_counter_add(&w->lc.stats->unscanned_bytes[WR_C_FRAMING], m->pkt_len);
		send_to(w, WR_SIDE_STORE, m);
	}
	settle_covered(w);
	held = wr_tcp_clear(w->tcp, &c->c2s); /* early ones: the client repeats them */
	w->held -= held;
	wr_fate(&w->lc, WR_FATE_DROPPED, held);
	wr_tcp_clear(w->tcp, &c->s2c);
}

/* --- data
 * ------------------------------------------------------------------------------------------ */

/* Nothing at or above this stream offset may leave now. */
static uint64_t gate(const struct wr_worker *w, const struct conn *c)
{
	uint64_t g = wr_min_u64(wr_min_u64(c->c2s.dlv, c->cap), c->unread), b;

	if (conn_service(w, c)->mode == WR_MODE_OBSERVE || !c->up)
		return g;
	/*
	 * A size line that so far is only zeros may become the last chunk's, but nothing ends
	 * before the line does. It is not held for that: if what follows were lost, the client
	 * would repeat the held byte for ever and never send the next.
	 */
	if (c->pending || wr_http_hold_firm(&c->http))
		g = wr_min_u64(g, wr_http_hold_from(&c->http));
	if (c->body != NULL) {
		b = wr_body_hold_from(c->body);
		if (b != c->hold_passed && (c->pending || wr_body_hold_firm(c->body)))
			g = wr_min_u64(g, b);
	}
	return g;
}

/*
 * Must a segment that reaches to `end` wait although it could go on early? While something is held,
 * and where it would bring bytes of the next request behind a gap in this one: were that one bad,
 * the segment that fills the gap could not be released to the good one before it.
 */
static bool holding(const struct wr_worker *w, const struct conn *c, int64_t end)
{
	uint64_t hold = wr_http_hold_from(&c->http);

	if (c->c2s.unsent != 0 || gate(w, c) < c->c2s.nxt)
		return true;
	return c->in_req && hold != WR_HTTP_HOLD_NONE && end > (int64_t)hold + 1 &&
	       conn_head(c) != NULL && !conn_head(c)->chunked;
}

void client_advance(struct wr_worker *w, struct conn *c)
{
	struct rte_mbuf *m;
	uint64_t g;

	if (c->phase != PH_OPEN)
		return;
	g = gate(w, c);
	while ((m = wr_tcp_send_next(w->tcp, &c->c2s, g)) != NULL) {
		w->held--;
		send_to(w, WR_SIDE_STORE, m);
	}
	settle_covered(w);
	count_held(w, c);
	if (c->c2s.dlv < c->c2s.nxt && !c->pending)
		backlog_add(w, conn_index(w, c));
}

/*
 * The last chunk's line is there, its trailers are not: every byte of the body is known, so the
 * verdict can stand before they come. Waiting for them could be for ever: behind a gap the client
 * repeats only what lies before it.
 */
static void body_known(struct wr_worker *w, struct conn *c)
{
	bool http = wr_http_hold_from(&c->http) != WR_HTTP_HOLD_NONE &&
	            wr_http_req_in_trailer(&c->http);

	if (c->obj == 0 || c->pending || c->nopen != 1 ||
	    !(http || (c->body != NULL && wr_body_tail_known(c->body))))
		return;
	wr_object_at(w->objects, c->obj)->last_ns = w->lc.now;
	c->pending = 1;
}

/* Events of one span until the parser wants more or the connection must wait; c->stopped says
 * which. */
static void parse(struct wr_worker *w, struct conn *c, struct wr_span *span)
{
	struct wr_http_out out;
	bool go = true;

	c->stopped = 0;
	while (go) {
		enum wr_http_ev ev = wr_http_req_next(&w->lc, &c->http, span, &out);

		if (ev == WR_HTTP_MORE)
			return;
		go = upload_event(w, c, ev, &out);
	}
	c->stopped = 1;
}

void client_deliver(struct wr_worker *w, struct conn *c)
{
	struct wr_span span;

	if (c->phase != PH_OPEN || c->pending || c->fifo_wait)
		return; /* fifo_wait: the request's scanners are not there yet */
	/* What the body's layers were given in an earlier turn comes first. */
	if (!upload_more(w, c) || c->phase != PH_OPEN || c->pending)
		return;
	if (c->stopped) {
		/* The last byte may be read and its event, the request's end, not yet be told. */
		span = (struct wr_span){ NULL, NULL, c->c2s.dlv, NULL };
		parse(w, c, &span);
		if (c->stopped)
			return;
	}
	while (c->phase == PH_OPEN && !c->pending && w->bytes_left > 0 && !far_full(w, c) &&
	       wr_tcp_peek(w->tcp, &c->c2s, &span)) {
		uint64_t from = span.off;

		parse(w, c, &span);
		if (c->phase != PH_OPEN)
			return;
		w->bytes_left -= wr_min_u64(w->bytes_left, span.off - from);
		wr_tcp_delivered(w->tcp, &c->c2s, span.off);
		body_known(w, c);
		if (c->stopped)
			return; /* a verdict, a head slot or a response is waited for */
	}
}

static void client_fin(struct wr_worker *w, struct conn *c)
{
	if (c->client_fin || c->c2s.fin == WR_TCP_NONE || c->c2s.nxt != c->c2s.fin)
		return;
	c->client_fin = 1;
	if (c->store_fin)
		conn_arm(w, conn_index(w, c), w->lc.now + CLOSE_NS);
}

/* The client gave up in the middle of a request: nothing more can come, so its record is due now.
 */
static void client_gave_up(struct wr_worker *w, struct conn *c)
{
	if (!c->client_fin || c->pending || c->phase != PH_OPEN || c->c2s.dlv != c->c2s.fin ||
	    !c->in_req || !c->up)
		return;
	/* What was read may still have to be unwrapped in the next turn: the end is not known yet.
	 */
	if (c->stopped || c->unread != WR_TCP_NONE)
		return;
	upload_abort(w, c, WR_C_ABORTED, WR_COMMITTED_NO);
	/* What lies in front of the FIN was scanned and cannot complete anything. */
	touch(w, conn_index(w, c));
}

static void client_payload(struct wr_worker *w, struct wr_pkt *p, struct conn *c)
{
	enum wr_reason why;

	if (p->tcp_flags & WR_TCP_URG) {
		/* The urgent byte is not in every server's stream; as plain data it is in all. */
		wr_count(&w->lc, WR_R_TCP_URGENT, 1);
		wr_pkt_set_flags(p, p->tcp_flags & (uint8_t)~WR_TCP_URG);
	}
	switch (wr_tcp_place(&w->lc, w->tcp, &c->c2s, p,
	                     holding(w, c, wr_half_off(&c->c2s, p->seq) + p->len), &why)) {
	case WR_PLACE_NEW:
		w->held++;
		client_fin(w, c);
		client_deliver(w, c);
		touch(w, conn_index(w, c));
		client_gave_up(w, c);
		break;
	case WR_PLACE_QUEUED: w->held++; break;
	case WR_PLACE_SEND: send_to(w, WR_SIDE_STORE, p->m); break;
	case WR_PLACE_ABSORB:
		absorb(w, p->m);
		/* It may wait for a turn that the full backlog has denied it. */
		backlog_add(w, conn_index(w, c));
		break;
	case WR_PLACE_DROP: drop(w, p->m); break;
	}
	if (why != WR_R_NONE) {
		count_pkt(w, p, why);
		if (why == WR_R_OVERLAP_CONFLICT &&
		    conn_policy(w, c)->on_reason[why] == WR_ON_BLOCK && c->phase == PH_OPEN)
			upload_refuse(w, c, why);
	}
}

static void client_ack(struct wr_worker *w, const struct wr_pkt *p, struct conn *c)
{
	struct wr_half *h = &c->s2c;
	int64_t off = wr_half_off(h, p->ack);
	uint64_t edge;

	if (!(p->tcp_flags & WR_TCP_ACK) || !h->has_isn || off < 0)
		return;
	h->acked = wr_max_u64(h->acked, wr_min_u64((uint64_t)off, h->nxt));
	if (h->fin != WR_TCP_NONE && (uint64_t)off > h->fin) {
		h->fin_acked = 1;
		conn_ended(w, c);
	}
	edge = (uint64_t)off +
	       ((uint64_t)p->window << (h->has_wscale && c->c2s.has_wscale ? c->c2s.wscale : 0));
	h->edge = wr_max_u64(h->edge, edge);
}

void client_segment(struct wr_worker *w, struct wr_pkt *p, uint32_t ci)
{
	struct conn *c = &w->conn[ci];
	enum wr_reason why;

	c->last_ns = w->lc.now;
	if (!(c->templates & (1u << WR_SIDE_STORE)))
		template_take(c, p);
	if ((p->opt & WR_PKT_TSTAMP) && wr_seq_diff(p->ts_val, c->ts_client) > 0)
		c->ts_client = p->ts_val;
	if (c->phase == PH_PASS) {
		pass_follow(c, p);
		wr_counter_add(&w->lc.stats->unscanned_bytes[WR_C_MIDSTREAM], p->len);
		send_to(w, WR_SIDE_STORE, p->m);
		return;
	}
	if (c->phase == PH_DEAD && c->reset_pass) {
		rst_reply(w, p);
		drop(w, p->m);
		return;
	}
	if (c->phase == PH_BLOCKED) {
		block_client(w, p, c);
		return;
	}
	if (p->tcp_flags & WR_TCP_RST) {
		track_rst(w, p, c);
		return;
	}
	if (c->phase == PH_DEAD || c->phase == PH_NEW) {
		bool data = p->len != 0 || (p->tcp_flags & WR_TCP_FIN);

		if (c->phase == PH_NEW && (p->tcp_flags & WR_TCP_ACK) && c->c2s.has_isn) {
			midstream(w, p, WR_R_ONE_WAY);
			return;
		}
		if (data)
			drop(w, p->m);
		else
			send_to(w, WR_SIDE_STORE, p->m);
		return;
	}
	why = wr_tcp_check(&c->c2s, p);
	if (why != WR_R_NONE) {
		count_pkt(w, p, why);
		drop(w, p->m);
		return;
	}
	client_ack(w, p, c);
	if ((p->opt & WR_PKT_TSTAMP) && wr_half_off(&c->c2s, p->seq) <= (int64_t)c->c2s.nxt &&
	    wr_seq_diff(p->ts_val, c->c2s.ts_recent) > 0)
		c->c2s.ts_recent = p->ts_val;
	if (p->len == 0 && !(p->tcp_flags & WR_TCP_FIN)) {
		send_to(w, WR_SIDE_STORE, p->m);
		return;
	}
	client_payload(w, p, c);
}
