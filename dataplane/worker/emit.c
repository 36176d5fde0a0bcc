/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/conn.h"

/* --- events: whom a reason befell, so that an operator need not guess it from counters
 * ------------
 */

static void tell_event(struct wr_worker *w, const struct wr_flow_key *key, enum wr_reason why,
                       struct wr_event *e)
{
	memcpy(e->client, key->client, sizeof(e->client));
	e->client_port = key->client_port;
	e->store_port = key->store_port;
	wr_event_emit(&w->lc, why, e);
}

/* a = sequence number, b = bytes of payload. */
void tell_pkt(struct wr_worker *w, const struct wr_pkt *p, enum wr_reason why)
{
	struct wr_event e = { .a = p->seq, .b = p->len, .side = p->side };

	if (wr_event_wanted(why))
		tell_event(w, &p->key, why, &e);
}

/* a = bytes of the client's stream read so far, b = requests begun. */
void tell(struct wr_worker *w, const struct conn *c, enum wr_reason why)
{
	struct wr_event e = { .a = c->c2s.dlv, .b = c->req };

	if (wr_event_wanted(why))
		tell_event(w, &wr_flow_at(w->flows, conn_index(w, c))->key, why, &e);
}

/* Of a connection that may be gone. */
void tell_key(struct wr_worker *w, const struct wr_flow_key *key, enum wr_reason why)
{
	struct wr_event e = { 0 };

	if (wr_event_wanted(why))
		tell_event(w, key, why, &e);
}

/* --- frames
 * -------------------------------------------------------------------------------------------- */

void tx_flush(struct wr_worker *w, enum wr_side side)
{
	struct wr_stats_port *sp = &w->lc.stats->port[side];
	uint16_t n = w->ntx[side], sent;
	uint64_t bytes = 0;

	if (n == 0)
		return;
	for (uint16_t i = 0; i < n; i++)
		bytes += w->tx[side][i]->pkt_len;
	if (wr_unlikely(w->trace_on != 0))
		trace_frames(w, side, true, w->tx[side], n);
	sent = w->port[side].tx(w->port[side].ctx, w->tx[side], n);
	for (uint16_t i = sent; i < n; i++) {
		bytes -= w->tx[side][i]->pkt_len;
		rte_pktmbuf_free(w->tx[side][i]); /* TCP repeats it; the rewrite knows the bytes */
	}
	wr_fate(&w->lc, WR_FATE_SENT, sent);
	wr_fate(&w->lc, WR_FATE_DROPPED, (uint64_t)(n - sent));
	wr_counter_add(&sp->tx_packets, sent);
	wr_counter_add(&sp->tx_bytes, bytes);
	wr_counter_add(&sp->tx_dropped, (uint64_t)(n - sent));
	w->ntx[side] = 0;
}

void send_to(struct wr_worker *w, enum wr_side side, struct rte_mbuf *m)
{
	if (w->ntx[side] == TX_BURST)
		tx_flush(w, side);
	w->tx[side][w->ntx[side]++] = m;
}

void drop(struct wr_worker *w, struct rte_mbuf *m)
{
	rte_pktmbuf_free(m);
	wr_fate(&w->lc, WR_FATE_DROPPED, 1);
}

void absorb(struct wr_worker *w, struct rte_mbuf *m)
{
	rte_pktmbuf_free(m);
	wr_fate(&w->lc, WR_FATE_ABSORBED, 1);
}

/* After anything that came, went or was judged. */
void count_held(struct wr_worker *w, struct conn *c)
{
	uint64_t now =
	        c->phase == PH_OPEN && c->c2s.nxt > c->c2s.sent ? c->c2s.nxt - c->c2s.sent : 0;

	w->held_bytes += now - c->held;
	c->held = now;
}

/* Frames whose bytes went out in another frame are done with. */
void settle_covered(struct wr_worker *w)
{
	w->held -= w->tcp->covered;
	wr_fate(&w->lc, WR_FATE_ABSORBED, w->tcp->covered);
	w->tcp->covered = 0;
}

void emit(struct wr_worker *w, struct conn *c, enum wr_side to, const struct wr_pkt_seg *seg)
{
	const struct wr_pkt_template *t = to == WR_SIDE_CLIENT ? &c->to_client : &c->to_store;
	const struct wr_flow *f = wr_flow_at(w->flows, conn_index(w, c));
	struct wr_pkt_template back;
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->lc.pools.gen);

	if (m == NULL) {
		wr_count(&w->lc, WR_R_POOL_LOW, 1);
		return; /* the back-off tries again */
	}
	if (t->l2_len == 0) {
		wr_pkt_template_reverse(&back, to == WR_SIDE_CLIENT ? &c->to_store : &c->to_client);
		t = &back;
	}
	if (!wr_pkt_build(m, t, &f->key, other(to), seg)) {
		rte_pktmbuf_free(m);
		return;
	}
	wr_fate(&w->lc, WR_FATE_GENERATED, 1);
	send_to(w, to, m);
}

void emit_rst(struct wr_worker *w, struct conn *c, enum wr_side to, uint32_t seq)
{
	const struct wr_half *h = to == WR_SIDE_STORE ? &c->s2c : &c->c2s;
	struct wr_pkt_seg seg = {
		.seq = seq,
		.ack = h->has_isn ? wr_half_seq(h, h->nxt) : 0,
		.flags = h->has_isn ? WR_TCP_RST | WR_TCP_ACK : WR_TCP_RST,
	};

	emit(w, c, to, &seg);
}
