/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/conn.h"

static void responses(struct wr_worker *w, struct conn *c, struct wr_span *span)
{
	struct wr_http_resp_out out;

	for (;;) {
		switch (wr_http_resp_next(&w->lc, &c->resps, span, &out)) {
		case WR_HTTP_RESP_HEAD:
			if (!out.interim)
				upload_response(w, c, wr_http_resp_head(&c->resps));
			break;
		case WR_HTTP_RESP_END: c->resp++; break;
		case WR_HTTP_RESP_BAD:
			wr_count(&w->lc, out.reason, 1);
			responses_lost(w, c);
			return;
		case WR_HTTP_RESP_RAW:
			/* The store agreed to leave HTTP/1.1: policy of the reason that led here.
			 */
			wr_count(&w->lc, WR_R_UPGRADE, 1);
			if (c->phase == PH_OPEN)
				(void)upload_bad(w, c, WR_R_UPGRADE);
			return;
		default: return;
		}
		if (c->phase != PH_OPEN && c->phase != PH_BLOCKED)
			return;
	}
}

void store_bytes(struct wr_worker *w, struct wr_pkt *p, struct conn *c)
{
	struct wr_span span;

	if (p->len != 0 && c->c2s.nxt == 0 && c->req == 0 && c->phase == PH_OPEN) {
		/* RFC 9112 servers wait for a request; whoever greets first speaks something else.
		 */
		wr_count(&w->lc, WR_R_NOT_HTTP, 1);
		(void)upload_bad(w, c, WR_R_NOT_HTTP);
		if (c->phase != PH_OPEN)
			return;
	}
	if (!wr_tcp_watch(&w->lc, w->tcp, &c->s2c, p, &span))
		return;
	do {
		if (!c->s2c.lost && (c->phase == PH_OPEN || c->phase == PH_BLOCKED))
			responses(w, c, &span);
	} while (wr_tcp_watch_more(w->tcp, &c->s2c, &span));
}

/* What the store's segment says about the client's bytes. False: it acknowledges what never left.
 */
static bool store_ack(struct wr_worker *w, const struct wr_pkt *p, struct conn *c)
{
	struct wr_half *h = &c->c2s;
	int64_t off = wr_half_off(h, p->ack);
	uint64_t sent = h->sent + (h->fin != WR_TCP_NONE && h->sent == h->fin);
	uint64_t edge;

	if (!(p->tcp_flags & WR_TCP_ACK) || !h->has_isn)
		return true;
	if (off > (int64_t)sent)
		return false;
	if (off < 0)
		return true;
	if (h->fin != WR_TCP_NONE && (uint64_t)off > h->fin) {
		h->fin_acked = 1;
		conn_ended(w, c);
	}
	wr_tcp_ack(w->tcp, h, wr_min_u64((uint64_t)off, h->nxt));
	edge = (uint64_t)off + ((uint64_t)p->window << (h->has_wscale && c->s2c.has_wscale &&
	                                                                !(p->tcp_flags & WR_TCP_SYN)
	                                                        ? c->s2c.wscale
	                                                        : 0));
	h->edge = wr_max_u64(h->edge, edge);
	return true;
}

void store_fin(struct wr_worker *w, struct wr_pkt *p, struct conn *c)
{
	struct wr_http_resp_out out;
	int64_t end = wr_half_off(&c->s2c, p->seq) + p->len;

	if (c->store_fin || end != (int64_t)c->s2c.nxt)
		return; /* behind a gap: the repeat will bring it again */
	c->store_fin = 1;
	c->s2c.fin = c->s2c.nxt;
	if (wr_http_resp_fin(&w->lc, &c->resps, &out) == WR_HTTP_RESP_END)
		c->resp++;
	if (c->client_fin)
		conn_arm(w, conn_index(w, c), w->lc.now + CLOSE_NS);
}

void store_segment(struct wr_worker *w, struct wr_pkt *p, uint32_t ci)
{
	struct conn *c = &w->conn[ci];
	enum wr_reason why;

	c->last_ns = w->lc.now;
	if (!(c->templates & (1u << WR_SIDE_CLIENT)))
		template_take(c, p);
	if ((p->opt & WR_PKT_TSTAMP) && wr_seq_diff(p->ts_val, c->ts_store) > 0)
		c->ts_store =
		        p->ts_val; /* a late frame must not turn the clock of our answer back */
	if (c->phase == PH_DEAD && c->reset_pass) {
		rst_reply(w, p);
		drop(w, p->m);
		return;
	}
	if (c->phase == PH_PASS) {
		pass_follow(c, p);
		wr_counter_add(&w->lc.stats->unscanned_bytes[WR_C_MIDSTREAM], p->len);
		send_to(w, WR_SIDE_CLIENT, p->m);
		return;
	}
	if (c->phase == PH_BLOCKED) {
		block_store(w, p, c);
		return;
	}
	if (p->tcp_flags & WR_TCP_RST) {
		track_rst(w, p, c);
		return;
	}
	if (c->phase == PH_DEAD) {
		send_to(w, WR_SIDE_CLIENT, p->m);
		return;
	}
	if (!store_ack(w, p, c)) {
		count_pkt(w, p, WR_R_TCP_ACK_UNSENT);
		c->gap = 1;
		drop(w, p->m);
		return;
	}
	why = wr_tcp_check(&c->s2c, p);
	if (why == WR_R_TCP_OLD_TIMESTAMP) {
		count_pkt(w, p, why);
		drop(w, p->m);
		return;
	}
	if ((p->opt & WR_PKT_TSTAMP) && wr_half_off(&c->s2c, p->seq) <= (int64_t)c->s2c.nxt &&
	    wr_seq_diff(p->ts_val, c->s2c.ts_recent) > 0)
		c->s2c.ts_recent = p->ts_val;
	store_bytes(w, p, c);
	if (p->tcp_flags & WR_TCP_FIN)
		store_fin(w, p, c);
	if (c->phase == PH_BLOCKED) { /* these bytes were what blocked it */
		block_store(w, p, c);
		return;
	}
	send_to(w, WR_SIDE_CLIENT, p->m);
}
