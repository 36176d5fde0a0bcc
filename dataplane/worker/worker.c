/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The run loop. Read wr_worker_turn() from top to bottom: it is the order of the stages.
 */
#include "worker/worker.h"

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "pkt/frag.h"
#include "worker/conn.h"

void wr_worker_publish(struct wr_worker *w, struct wr_ruleset *rs)
{
	atomic_store_explicit(&w->next_rs, rs, memory_order_release);
}

uint64_t wr_worker_seen(const struct wr_worker *w)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&w->seen, memory_order_acquire);
}

void wr_worker_drain(struct wr_worker *w, bool on)
{
	atomic_store(&w->draining, on);
}

void wr_worker_epoch(struct wr_worker *w, uint64_t epoch)
{
	atomic_store_explicit(&w->next_epoch, epoch, memory_order_release);
}

struct wr_scan *wr_worker_scan(struct wr_worker *w)
{
	return w->scan;
}

bool wr_worker_idle(const struct wr_worker *w)
{
	return wr_counter_get(&w->lc.stats->uploads_active) == 0 &&
	       wr_counter_get(&w->lc.stats->frames_held) == 0;
}

/* --- connections
 * -------------------------------------------------------------------------------------- */

void conn_arm(struct wr_worker *w, uint32_t ci, uint64_t at)
{
	wr_flow_arm(w->flows, ci, w->lc.now, at);
}

static void ended_push(struct wr_worker *w, struct conn *c)
{
	uint32_t n = wr_flow_capacity(w->flows);

	if (w->ended_tail - w->ended_head == n)
		w->ended_head++; /* long gone: each connection ends once */
	w->ended[w->ended_tail % n] = conn_index(w, c);
	c->ended = ++w->ended_tail;
	if (c->ended == 0) /* 0 means: not in it. The ring begins anew, timers do the rest */
		w->ended_head = w->ended_tail = 1;
}

void conn_ended(struct wr_worker *w, struct conn *c)
{
	if (c->ended == 0 &&
	    (c->phase == PH_DEAD || (c->phase == PH_OPEN && c->c2s.fin_acked && c->s2c.fin_acked)))
		ended_push(w, c);
}

/*
 * The table is full: the connection that ended first gives its entry. Both ends have acknowledged
 * each other's FIN, so nothing that comes late can be delivered; after an RST, which may have been
 * lost on its way, late data is recognised for a second at least. False: none, or all too young.
 */
static bool reclaim(struct wr_worker *w)
{
	uint32_t n = wr_flow_capacity(w->flows);

	for (uint32_t k = 0; k < RECLAIM_TRIES && w->ended_head != w->ended_tail; k++) {
		uint32_t ci = w->ended[w->ended_head++ % n];
		struct conn *c = &w->conn[ci];

		if (!wr_flow_used(w->flows, ci) || c->ended != w->ended_head)
			continue;
		if (c->phase == PH_DEAD && w->lc.now - c->last_ns < RECLAIM_NS) {
			ended_push(w, c);
			continue;
		}
		wr_count(&w->lc, WR_R_FLOW_RECLAIMED, 1);
		conn_free(w, ci);
		return true;
	}
	return false;
}

uint32_t conn_new(struct wr_worker *w, const struct wr_pkt *p)
{
	uint32_t ci = 0;
	struct conn *c;

	if (!atomic_load_explicit(&w->draining, memory_order_relaxed))
		ci = wr_flow_insert(w->flows, &p->key, p->hash);
	if (ci == 0 && wr_flow_count(w->flows) == wr_flow_capacity(w->flows) &&
	    !atomic_load_explicit(&w->draining, memory_order_relaxed) && reclaim(w))
		ci = wr_flow_insert(w->flows, &p->key, p->hash);
	if (ci == 0) {
		count_pkt(w, p, WR_R_FLOW_TABLE_FULL);
		return 0;
	}
	c = &w->conn[ci];
	memset(c, 0, sizeof(*c));
	c->phase = PH_NEW;
	c->service = p->service;
	c->cap = c->unread = WR_TCP_NONE;
	c->since_ns = c->last_ns = w->lc.now;
	c->epoch = w->epoch;
	wr_half_init(&c->c2s, 0);
	wr_half_init(&c->s2c, 0);
	c->c2s.has_isn = c->s2c.has_isn = 0;
	wr_http_req_init(&c->http, w->http, conn_policy(w, c), conn_service(w, c)->proxy);
	wr_http_resp_init(&c->resps, w->http);
	conn_arm(w, ci, w->lc.now + w->lc.conf->half_open_timeout_ns);
	return ci;
}

void conn_free(struct wr_worker *w, uint32_t ci)
{
	struct conn *c = &w->conn[ci];
	uint32_t held;

	jobs_flush(w); /* they read from what is let go here */
	held = wr_tcp_clear(w->tcp, &c->c2s);

	w->held -= held;
	wr_fate(&w->lc, WR_FATE_DROPPED, held);
	wr_tcp_clear(w->tcp, &c->s2c);
	upload_abort(w, c, WR_C_ABORTED, WR_COMMITTED_UNKNOWN);
	wr_http_req_close(&c->http);
	wr_http_resp_close(&c->resps);
	c->phase = PH_DEAD;
	count_held(w, c);
	wr_flow_remove(w->flows, ci);
}

void touch(struct wr_worker *w, uint32_t ci)
{
	if (w->conn[ci].touched)
		return;
	if (w->ntouched == TOUCHED) {
		backlog_add(w, ci); /* next turn */
		return;
	}
	w->conn[ci].touched = 1;
	w->touched[w->ntouched++] = ci;
}

void backlog_add(struct wr_worker *w, uint32_t ci)
{
	if (w->conn[ci].queued || w->nbacklog == BACKLOG)
		return; /* full: the connection's timer or next segment brings it back */
	w->conn[ci].queued = 1;
	w->backlog[(w->backlog_head + w->nbacklog++) % BACKLOG] = ci;
}

/* --- one turn
 * ----------------------------------------------------------------------------------------- */

static void stage(struct wr_worker *w, enum wr_stage s)
{
	uint64_t t = rte_rdtsc();

	w->stage_cycles[s] += t - w->stage_at;
	w->stage_at = t;
}

/*
 * No ruleset, or the wire is open or closed and these frames were on their way to us: they share
 * the fate of those that the kernel handles. To judge them as midstream would end connections that
 * the policy wants to live.
 */
static bool wire_decides(struct wr_worker *w, enum wr_side side)
{
	struct wr_lanes *l = &w->lanes[side];
	enum wr_wire_state s =
	        w->wire != NULL ? wr_wire_state_of(wr_wire_decision(w->wire)) : WR_WIRE_INSPECT;
	bool open = s == WR_WIRE_INSPECT
	                    ? w->lc.conf->link[w->lc.link].on_process_death == WR_DEATH_OPEN
	                    : s == WR_WIRE_OPEN;
	enum wr_reason why = w->rs == NULL ? WR_R_NO_RULESET : WR_R_WIRE_LEFT;

	if (w->rs != NULL && s == WR_WIRE_INSPECT)
		return false;
	for (; w->cursor[side] < l->ninspect; w->cursor[side]++) {
		struct wr_pkt *p = &l->inspect[w->cursor[side]];

		w->held--;
		wr_count(&w->lc, why, 1);
		if (open) {
			wr_counter_add(&w->lc.stats->unscanned_bytes[WR_C_MIDSTREAM], p->len);
			send_to(w, other(side), p->m);
		} else {
			drop(w, p->m);
		}
	}
	return true;
}

/* Receives and sorts one burst of a side, unless an earlier one is not used up yet. */
static uint32_t receive(struct wr_worker *w, enum wr_side side)
{
	struct wr_lanes *l = &w->lanes[side];
	struct wr_stats_port *sp = &w->lc.stats->port[side];
	struct rte_mbuf *m[WR_BURST];
	uint64_t bytes = 0;
	uint16_t n, foreign, handled;

	if (w->cursor[side] < l->ninspect)
		return 0;
	l->ninspect = l->npass = l->ndrop = 0;
	w->cursor[side] = 0;
	/* Half a burst at most from the others, so that neither way in can starve the other. */
	foreign = exchange_receive(&w->exchange, side, m, WR_BURST / 2);
	if (w->lc.frag != NULL)
		foreign = (uint16_t)(foreign +
		                     wr_frag_fetch(w->lc.frag, side, m + foreign, WR_BURST / 4));
	n = w->port[side].rx(w->port[side].ctx, m + foreign, (uint16_t)(WR_BURST - foreign));
	wr_counter_add(&sp->polls, 1);
	if (n == 0)
		wr_counter_add(&sp->empty_polls, 1);
	if (n + foreign == 0)
		return 0;
	for (uint16_t i = foreign; i < foreign + n; i++)
		bytes += m[i]->pkt_len;
	if (wr_unlikely(w->trace_on != 0))
		trace_frames(w, side, false, m + foreign, n);
	wr_counter_add(&sp->rx_packets, n);
	wr_counter_add(&sp->rx_bytes, bytes);
	handled = n = (uint16_t)(n + foreign);
	stage(w, WR_STAGE_RX);
	wr_pkt_sort_burst(&w->lc, side, m, n, l);
	WR_DCHECK(l->ninspect + l->npass + l->ndrop == n);
	/* A frame counts as received where it ends: what is handed over, at its owner. */
	n = (uint16_t)(n - exchange_send(&w->lc, &w->exchange, side, l));
	wr_fate(&w->lc, WR_FATE_RECEIVED, n);
	w->held += n;
	for (uint16_t i = 0; i < l->npass; i++)
		send_to(w, other(side), l->pass[i]);
	for (uint16_t i = 0; i < l->ndrop; i++)
		drop(w, l->drop[i]);
	w->held -= (uint64_t)l->npass + l->ndrop;
	stage(w, WR_STAGE_PKT);
	wr_flow_find_burst(w->flows, l->inspect, l->ninspect, w->flow_of[side], w->conn,
	                   sizeof(struct conn));
	stage(w, WR_STAGE_FLOW);
	return handled;
}

static void segment(struct wr_worker *w, enum wr_side side, struct wr_pkt *p, uint32_t ci)
{
	/* An earlier frame of the burst may have opened or closed the connection. */
	if (!wr_flow_is(w->flows, ci, &p->key))
		ci = wr_flow_find(w->flows, &p->key, p->hash);
	if (ci != 0 && w->conn[ci].epoch != w->epoch) {
		conn_free(w, ci);
		ci = 0;
		count_pkt(w, p, WR_R_EPOCH_CHANGED);
	}
	if (handshake(w, p, &ci))
		return;
	if (ci == 0)
		midstream(w, p, WR_R_MIDSTREAM);
	else if (side == WR_SIDE_CLIENT)
		client_segment(w, p, ci);
	else
		store_segment(w, p, ci);
}

#define NEAR_AHEAD 6u  /* frames; with many uploads every line of them is in a far cache */
#define FAR_AHEAD  3u  /* what is found only by way of the near ones */
#define CONN_AHEAD 12u /* frames; bench_conns, Zen 4. More displace each other */

/* The lines of its connection that the frame is going to touch: from the second cache level. */
static void warm_conn(struct wr_worker *w, enum wr_side side, uint16_t i)
{
	const struct conn *c;

	if (i >= w->lanes[side].ninspect)
		return;
	c = &w->conn[w->flow_of[side][i]];
	rte_prefetch0(c);
	rte_prefetch0(&c->c2s);
	rte_prefetch0(&c->s2c);
	rte_prefetch0(&c->resps);
	if (side == WR_SIDE_STORE || w->lanes[side].inspect[i].len == 0)
		return;
	rte_prefetch0(&c->c2s.dlv);
	rte_prefetch0(&c->http);
	rte_prefetch0(&c->body);
}

/* The connection of a frame of this burst that is still to come, NULL = not known yet. */
static struct conn *coming(struct wr_worker *w, enum wr_side side, uint32_t i)
{
	uint32_t ci = i < w->lanes[side].ninspect ? w->flow_of[side][i] : 0;

	return ci != 0 && w->conn[ci].phase == PH_OPEN ? &w->conn[ci] : NULL;
}

/* Data brings its upload and the state that unwraps it, then the upload's digests. */
static void warm_client(struct wr_worker *w, uint32_t i)
{
	struct conn *c = coming(w, WR_SIDE_CLIENT, i + NEAR_AHEAD);

	if (c != NULL && c->obj != 0) {
		wr_object_warm(w->objects, c->obj);
		wr_tcp_warm(w->tcp, c->c2s.tail);
		if (c->body != NULL)
			wr_body_warm(c->body);
	}
	c = coming(w, WR_SIDE_CLIENT, i + FAR_AHEAD);
	if (c != NULL && c->obj != 0) {
		uint32_t slot = wr_object_at(w->objects, c->obj)->view[WR_VIEW_RAW].digest;

		if (slot != 0)
			wr_digest_warm(w->digest, slot);
	}
}

/* An acknowledgement lets go of kept segments, then of their frames. */
static void warm_store(struct wr_worker *w, uint32_t i)
{
	struct conn *c = coming(w, WR_SIDE_STORE, i + NEAR_AHEAD);

	if (c != NULL)
		wr_tcp_warm(w->tcp, c->c2s.head);
	c = coming(w, WR_SIDE_STORE, i + FAR_AHEAD);
	if (c != NULL)
		wr_tcp_warm_frame(w->tcp, c->c2s.head);
}

static void segments(struct wr_worker *w, enum wr_side side)
{
	struct wr_lanes *l = &w->lanes[side];

	if (wire_decides(w, side))
		return;
	for (uint16_t i = 0; i < CONN_AHEAD; i++)
		warm_conn(w, side, (uint16_t)(w->cursor[side] + i));
	while (w->cursor[side] < l->ninspect && (w->bytes_left > 0 || side == WR_SIDE_STORE)) {
		uint16_t i = w->cursor[side]++;

		warm_conn(w, side, (uint16_t)(i + CONN_AHEAD));
		if (side == WR_SIDE_CLIENT)
			warm_client(w, i);
		else
			warm_store(w, i);
		w->held--;
		segment(w, side, &l->inspect[i], w->flow_of[side][i]);
	}
}

static void backlog_run(struct wr_worker *w)
{
	uint32_t n = w->nbacklog;

	while (n-- > 0 && w->bytes_left > 0) {
		uint32_t ci = w->backlog[w->backlog_head % BACKLOG];
		struct conn *c = &w->conn[ci];

		w->backlog_head = (w->backlog_head + 1) % BACKLOG;
		w->nbacklog--;
		c->queued = 0;
		if (!wr_flow_used(w->flows, ci) || c->phase != PH_OPEN)
			continue;
		if (c->obj != 0 && wr_object_at(w->objects, c->obj)->state == WR_OBJ_RECORDS) {
			struct wr_object *o = wr_object_at(w->objects, c->obj);

			if (record_room(w)) {
				upload_release(w, c->obj);
			} else if (w->lc.now - o->verdict_ns < RECORD_WAIT_NS) {
				backlog_add(w, ci);
				continue;
			} else if (conn_policy(w, c)->on_records_lost == WR_DEATH_OPEN) {
				upload_release(w, c->obj);
			} else {
				uint32_t oi = c->obj;

				o->decision.action = WR_A_BLOCK;
				upload_block(w, c, oi);
				continue;
			}
		}
		if (c->fifo_wait && !upload_resume_fifo(w, c))
			continue;
		client_deliver(w, c);
		touch(w, ci);
	}
}

/* Scans what was gathered; a hit that blocks by itself does so before its frame can leave. */
void jobs_flush(struct wr_worker *w)
{
	if (w->njobs == 0)
		return;
	wr_scan_burst(&w->lc, w->scan, w->job, w->njobs);
	for (uint32_t i = 0; i < w->njobs; i++) {
		uint32_t oi = w->job_obj[i] / WR_VIEW_COUNT;
		struct wr_object *o;

		if (!w->job[i].failed && !w->job[i].hit)
			continue;
		o = wr_object_at(w->objects, oi);
		if (w->job[i].failed) /* counted by scan/ */
			wr_object_cause(o, WR_C_ENGINE);
		if (w->job[i].hit)
			o->has_hits = 1;
	}
	w->njobs = 0;
}

static bool must_block(struct wr_worker *w, struct wr_object *o)
{
	const struct wr_evidence ev = {
		.rs = o->rs,
		.policy = &w->lc.conf->service[o->service].policy,
		.canary = wr_object_canary(o),
		.now_s = (w->lc.now + w->lc.real) / 1000000000ull,
		.observe = o->observe,
	};
	const struct wr_hit *hit;
	bool more;

	/* What it carries on is bad, whatever it holds itself. */
	if (o->causes & 1u << WR_C_OBJECT_BAD && !o->observe && ev.policy->ceiling == WR_A_BLOCK)
		return true;
	for (unsigned v = 0; v < WR_VIEW_COUNT; v++) {
		uint32_t n = o->view[v].stream != 0
		                     ? wr_scan_hits(w->scan, o->view[v].stream, &hit, &more)
		                     : 0;

		for (uint32_t i = 0; i < n; i++)
			if (wr_verdict_blocks_now(&ev, hit[i].rule))
				return true;
	}
	return false;
}

static void block_on_hits(struct wr_worker *w)
{
	for (uint32_t i = 0; i < w->ntouched; i++) {
		struct conn *c = &w->conn[w->touched[i]];

		for (uint32_t k = 0; k < c->nopen && c->phase == PH_OPEN; k++) {
			struct wr_object *o = wr_object_at(w->objects, c->open[k]);

			if (!o->has_hits || o->state != WR_OBJ_RECEIVING)
				continue;
			o->has_hits = 0;
			if (must_block(w, o))
				upload_block_now(w, c, c->open[k]);
		}
	}
}

static void timers(struct wr_worker *w)
{
	const struct wr_conf *conf = w->lc.conf;
	uint32_t due[TIMERS_A_TURN];
	uint32_t n = wr_flow_due(w->flows, w->lc.now, due, TIMERS_A_TURN);

	for (uint32_t i = 0; i < n; i++) {
		struct conn *c = &w->conn[due[i]];
		uint64_t idle = w->lc.now - c->last_ns, limit = conf->idle_timeout_ns;

		if (c->phase == PH_BLOCKED) {
			block_step(w, c);
			if (c->block.phase < WR_BLOCK_RESET || idle < conf->linger_ns)
				continue;
		}
		if (c->phase == PH_NEW)
			limit = conf->half_open_timeout_ns;
		else if (c->phase == PH_DEAD || c->phase == PH_BLOCKED ||
		         (c->client_fin && c->store_fin))
			limit = conf->linger_ns;
		else if (c->phase == PH_PASS && c->reset_pass)
			limit = PASS_IDLE_NS;
		if (idle < limit && !(c->phase == PH_PASS && c->reset_pass &&
		                      w->lc.now - c->since_ns >= PASS_LIMIT_NS)) {
			conn_arm(w, due[i], c->last_ns + limit);
			continue;
		}
		if (c->phase == PH_PASS && c->reset_pass) {
			pass_reset(w, c);
			continue;
		}
		wr_count(&w->lc, c->phase == PH_NEW ? WR_R_FLOW_HALF_OPEN : WR_R_FLOW_IDLE, 1);
		conn_free(w, due[i]);
	}
}

/* What the turn cost. Turns without frames are the price of polling: no stage gets them. */
static void spent(struct wr_worker *w, uint64_t cycles, uint32_t frames)
{
	struct wr_stats *s = w->lc.stats;
	uint64_t hz = wr_counter_get(&s->tsc_hz);

	wr_counter_add(&s->cycles, cycles);
	if (frames != 0)
		wr_counter_add(&s->busy_cycles, cycles);
	for (unsigned i = 0; i < WR_STAGE_COUNT; i++) {
		if (frames != 0 && w->stage_cycles[i] != 0)
			wr_counter_add(&s->stage_cycles[i], w->stage_cycles[i]);
		w->stage_cycles[i] = 0;
	}
	if (cycles <= w->longest || hz < 1000000)
		return;
	w->longest = cycles;
	wr_counter_set(&s->longest_turn_ns, cycles / (hz / 1000000) * 1000);
}

static void gauges(struct wr_worker *w, uint64_t t0, uint32_t frames)
{
	struct wr_stats *s = w->lc.stats;

	wr_counter_set(&s->frames_held, w->held);
	wr_counter_set(&s->connections, wr_flow_count(w->flows));
	wr_counter_set(&s->uploads_active, w->uploads_active);
	wr_counter_set(&s->kept_bytes, w->tcp->kept_bytes);
	wr_counter_set(&s->held_bytes, w->held_bytes);
	wr_counter_set(&s->ruleset_generation, w->rs != NULL ? wr_ruleset_generation(w->rs) : 0);
	wr_counter_set(&s->beat_ns, w->lc.now);
	spent(w, rte_rdtsc() - t0, frames);
}

/*
 * A new epoch: frames went past us, so what is held or kept from before is not what the store has.
 * A connection that speaks again meets its old epoch in segment(); the silent ones are swept here,
 * a few each turn.
 */
static void wire_epoch(struct wr_worker *w)
{
	uint64_t epoch = w->wire != NULL
	                         ? wr_wire_epoch_of(wr_wire_decision(w->wire))
	                         : atomic_load_explicit(&w->next_epoch, memory_order_acquire);
	uint32_t n = wr_flow_capacity(w->flows);

	if (epoch != w->epoch)
		w->sweep = 1;
	w->epoch = epoch;
	for (uint32_t i = 0; i < SWEEP && w->sweep != 0; i++) {
		uint32_t ci = w->sweep++;

		if (ci > n)
			w->sweep = 0;
		else if (wr_flow_used(w->flows, ci) && w->conn[ci].epoch != epoch) {
			conn_free(w, ci);
			wr_count(&w->lc, WR_R_EPOCH_CHANGED, 1);
		}
	}
}

uint32_t wr_worker_turn(struct wr_worker *w, uint64_t now_ns, uint64_t real_ns)
{
	uint64_t t0 = rte_rdtsc();
	uint32_t frames = 0;

	w->lc.now = now_ns;
	w->lc.real = real_ns - now_ns;
	/* The other side of what main and the kernel saw: how often, by the one it happened to. */
	if (wr_unlikely(w->last_turn_ns != 0 &&
	                now_ns - w->last_turn_ns > w->lc.conf->link[w->lc.link].stall_limit_ns))
		wr_count(&w->lc, WR_R_WORKER_STALL, 1);
	w->last_turn_ns = now_ns;
	w->trace_on = atomic_load_explicit(&w->trace.on, memory_order_acquire);
	w->rs = atomic_load_explicit(&w->next_rs, memory_order_acquire);
	wire_epoch(w);
	w->stage_at = t0;
	w->bytes_left = w->lc.conf->turn_bytes;
	w->lc.pools.rx_free = rte_mempool_avail_count(w->lc.pools.rx);
	wr_scan_enter(w->scan);
	wr_body_turn(w->bodies, w->lc.conf->turn_bytes);

	far_run(w);
	backlog_run(w);
	for (int side = 0; side < 2; side++) {
		frames += receive(w, (enum wr_side)side);
		segments(w, (enum wr_side)side);
		stage(w, WR_STAGE_TCP);
	}
	jobs_flush(w);
	stage(w, WR_STAGE_SCAN);
	block_on_hits(w);
	whole_work(w);
	session_age(w);
	upload_verdicts(w);
	stage(w, WR_STAGE_DIGEST);
	for (uint32_t i = 0; i < w->ntouched; i++) {
		w->conn[w->touched[i]].touched = 0;
		client_advance(w, &w->conn[w->touched[i]]);
	}
	w->ntouched = 0;
	far_send(w);
	records_write(w);
	timers(w);
	stage(w, WR_STAGE_HOLD);
	tx_flush(w, WR_SIDE_CLIENT);
	tx_flush(w, WR_SIDE_STORE);
	stage(w, WR_STAGE_TX);
	look_turn(w);
	gauges(w, t0, frames);
	/* Only a worker that has let go of everything from before may bring inspection back. */
	if (w->wire != NULL)
		wr_wire_beat(w->wire, w->slot, now_ns, w->sweep == 0 ? w->epoch : w->epoch - 1);
	/* Not before the end: until here this turn may have looked at the ruleset it began with. */
	atomic_store_explicit(&w->seen, w->rs != NULL ? wr_ruleset_generation(w->rs) : 0,
	                      memory_order_release);
	return frames;
}
