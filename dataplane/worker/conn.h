/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * conn - what a worker knows of one connection, and of itself. Private to worker/.
 *
 * worker.c  the loop: bursts in, stages in order, bursts out
 * client.c  segments from the client's side: placed, delivered, released
 * store.c   segments from the store's side: acknowledgements, responses, forwarded
 * unwrap.c  events of the parsers -> objects and bytes
 * view.c    bytes of one view -> its scanners; types and what is odd about them
 * upload.c  the end of an upload: verdict, release, record
 * session.c, whole.c  objects that come in several requests (session.h)
 * block.c   what follows a block: reset the store, answer the client
 * record.c  verdict records
 * emit.c    frames that go out, and frames that Weir makes itself
 * look.c    what connections do, for people; copies of frames for a trace
 */
#ifndef WR_WORKER_CONN_H
#define WR_WORKER_CONN_H

#include "body/body.h"
#include "digest/digest.h"
#include "flow/flow.h"
#include "hold/hold.h"
#include "http/http.h"
#include "object/object.h"
#include "pkt/build.h"
#include "pkt/pkt.h"
#include "scan/scan.h"
#include "tcp/tcp.h"
#include "verdict/verdict.h"
#include "worker/exchange.h"
#include "worker/look.h"
#include "worker/session.h"
#include "worker/worker.h"

#define JOBS          256u /* pattern jobs gathered before a scan: a burst and its backlog */
#define TOUCHED       256u
#define TX_BURST      64u
#define BACKLOG       1024u
#define SWEEP         512u /* entries looked at per turn after a new epoch: a few microseconds */
#define TIMERS_A_TURN 64u
#define RECORD_WAIT_NS                                                                             \
	5000000000ull       /* a record that finds no room for so long is lost, and counted */
#define RECORD_ROOM   1536u /* what a released upload's record usually needs */
#define PASS_LIMIT_NS 60000000000ull /* a connection that passes unscanned is reset after this */
#define PASS_IDLE_NS  5000000000ull  /* ... or at its first idle moment */
#define CLOSE_NS      10000000000ull /* both sides closed: how long late segments are recognised */
#define RECLAIM_NS    1000000000ull  /* ... at least, after an RST, when the table is full */
#define RECLAIM_TRIES 8u             /* entries looked at for one new connection */
#define BUSY_NS       2000000000ull /* a request that finds no head slot for so long: on_overload */

#define OPEN_MAX 8u /* objects open at once in one body: the whole, and parts within parts */

enum phase {
	PH_NEW,     /* SYN seen, not both */
	PH_OPEN,    /* inspected */
	PH_PASS,    /* let through unscanned, counted */
	PH_BLOCKED, /* see struct wr_block */
	PH_DEAD,    /* reset; late data goes nowhere */
};

/*
 * Cold twin of the flow entry. What segments in order touch, and what acknowledges them, lies in
 * the first seven lines: wr_flow_find_burst asks for them (WR_FLOW_TWIN_LINES). What comes after is
 * for forms, openings, ends and blocks.
 */
struct conn {
	/* every frame */
	WR_ALIGNED(64) uint8_t phase;
	uint8_t service, touched, queued; /* queued: in the backlog */
	uint8_t pending; /* an upload is complete and waits for its verdict: nothing is parsed */
	uint8_t fifo_wait, client_fin, store_fin, one_way_seen, reset_pass, gap, syn_from_store,
	        in_req;               /* between HEAD and END */
	uint8_t stopped;              /* the parser has more to tell of what it has read */
	uint8_t nopen, up;            /* up: from HEAD to the last verdict */
	uint8_t ending, head_taken;   /* ending: END was seen */
	uint8_t templates;            /* 1 << side: the frame that goes there is known */
	uint32_t obj;                 /* the upload being received, 0 = none */
	uint32_t req, resp;           /* requests begun; responses completed */
	uint32_t ts_client, ts_store; /* latest TSval of each end */
	uint64_t last_ns, epoch;
	uint32_t objs, objs_tail; /* uploads without a record yet, oldest first */
	/* every frame: the first line of each; the second where bytes are kept */
	struct wr_half s2c;
	struct wr_body *body;      /* NULL: not an upload, or no unwrapping slot was free */
	struct wr_http_head *head; /* of the upload being received: our reference */
	struct wr_ruleset *rs;     /* the one that judges this request */
	struct wr_half c2s;
	uint64_t since_ns;
	uint64_t blocked_at; /* stream offset where the blocked request begins */
	uint32_t records;    /* of this request's objects, so far */
	uint32_t blocked_req;
	struct wr_http_req http;
	struct wr_http_resp resps;
	uint64_t cap;         /* nothing at or above this offset leaves (WR_TCP_NONE = no cap) */
	uint64_t unread;      /* body bytes from here on are not unwrapped yet; NONE = all are */
	uint64_t hold_passed; /* the part's delimiter whose verdict has let it go */
	uint64_t held;        /* bytes of it in w->held_bytes */
	/* uploads, blocks */
	uint32_t open_id[OPEN_MAX],
	        open[OPEN_MAX]; /* body/'s number and our object, innermost last */
	struct wr_block block;
	uint32_t blocked_obj;
	uint32_t ended; /* place in the worker's list of ended connections, 0 = not in it */
	uint64_t
	        busy_ns; /* since when no head slot is free for its request, 0 = it does not wait */
	uint16_t blocked_reason;
	uint32_t piece, piece_causes; /* what the request is to an object in several, until its
	                                 object takes it; what its objects must say */
	struct wr_pkt_template to_store, to_client; /* frames as they go to each side */
	struct wr_http_proxy proxy;
};
static_assert(offsetof(struct conn, s2c) == WR_CACHE_LINE, "one line");
static_assert(offsetof(struct conn, c2s) % WR_CACHE_LINE == 0, "one line");
static_assert(offsetof(struct conn, http) % WR_CACHE_LINE == 0, "one line");
static_assert(offsetof(struct conn, resps) % WR_CACHE_LINE == 0, "one line");
static_assert(offsetof(struct conn, open) <= WR_CACHE_LINE * (WR_FLOW_TWIN_LINES + 1ull),
              "asked for");
static_assert(sizeof(struct conn) == 704, "the price of an open connection");

struct wr_worker {
	struct wr_lcore lc;
	struct wr_port port[2]; /* by side */
	struct wr_flow_table *flows;
	struct conn *conn; /* twin of the flow entries */
	struct wr_tcp *tcp;
	struct wr_http *http;
	struct wr_pool *objects;
	struct wr_body_pool *bodies;
	struct wr_resume *resume; /* objects in several requests */
	struct wr_pool *pieces;   /* their requests */
	struct whole_look *looks; /* by session */
	struct far far;           /* the link's other workers */
	uint32_t session_at;      /* which is looked at next */
	uint32_t work, work_tail; /* sessions with kept bytes whose turn has come */
	struct wr_scan *scan;
	struct wr_digest *digest;
	uint32_t *digest_owner; /* digest slot -> object * 4 + view */
	uint32_t ndigests;
	struct wr_ruleset *_Atomic next_rs;
	struct wr_ruleset *rs;
	_Atomic uint64_t seen, next_epoch;
	_Atomic uint32_t draining;
	uint64_t epoch;
	struct wr_wire_shared *wire;
	uint32_t slot,
	        sweep; /* beat in wire; next connection to look at after a new epoch, 0 = done */
	struct wr_scan_job job[JOBS];
	uint32_t job_obj[JOBS];
	uint32_t njobs;
	uint32_t touched[TOUCHED], ntouched;
	uint32_t backlog[BACKLOG], backlog_head, nbacklog;
	/* Ended connections, oldest first: a ring as long as the table. What was forgotten or began
	 * anew since does not stand there any more (conn.ended says where it stands). */
	uint32_t *ended, ended_head, ended_tail;
	struct rte_mbuf *tx[2][TX_BURST];
	uint16_t ntx[2];
	struct wr_lanes lanes[2];
	uint32_t flow_of[2][WR_BURST];
	uint16_t cursor[2];       /* next of lanes[].inspect; the rest waits for the next turn */
	struct exchange exchange; /* frames for and from the link's other workers */
	uint64_t bytes_left;      /* of this turn */
	uint32_t recs, recs_tail; /* objects whose record waits for room */
	uint64_t promised;        /* records of released uploads, not yet written */
	uint64_t held;            /* frames in the worker and nowhere else */
	uint64_t held_bytes;      /* of all connections: in order, not sent on */
	uint64_t stage_at;
	uint32_t uploads_active;
	uint64_t last_turn_ns, longest;        /* longest: cycles of the longest turn */
	uint64_t stage_cycles[WR_STAGE_COUNT]; /* of this turn */
	struct look *look;
	struct trace trace;
	uint32_t trace_on; /* trace.on as this turn began */
};

/* worker.c */
void touch(struct wr_worker *w, uint32_t ci);
void backlog_add(struct wr_worker *w, uint32_t ci);
void conn_free(struct wr_worker *w, uint32_t ci);
/* Both ends know that c is over: when the table is full its entry may be used again. */
void conn_ended(struct wr_worker *w, struct conn *c);
void conn_arm(struct wr_worker *w, uint32_t ci, uint64_t at);
uint32_t conn_new(struct wr_worker *w, const struct wr_pkt *p);
void jobs_flush(struct wr_worker *w);

static inline uint32_t conn_index(const struct wr_worker *w, const struct conn *c)
{
	return (uint32_t)(c - w->conn);
}

static inline const struct wr_conf_service *conn_service(const struct wr_worker *w,
                                                         const struct conn *c)
{
	return &w->lc.conf->service[c->service];
}

static inline const struct wr_policy *conn_policy(const struct wr_worker *w, const struct conn *c)
{
	return &conn_service(w, c)->policy;
}

/* The head of the request that is being read, if it can still be looked at. */
static inline const struct wr_http_head *conn_head(const struct conn *c)
{
	if (c->head != NULL)
		return c->head;
	return c->head_taken || wr_http_req_idle(&c->http) ? NULL : wr_http_req_head(&c->http);
}

/* client.c */
void client_segment(struct wr_worker *w, struct wr_pkt *p, uint32_t ci);
void client_deliver(struct wr_worker *w, struct conn *c);
void client_advance(struct wr_worker *w, struct conn *c);
void conn_pass(struct wr_worker *w, struct conn *c, enum wr_reason why);
void midstream(struct wr_worker *w, struct wr_pkt *p, enum wr_reason why);
void pass_follow(struct conn *c, const struct wr_pkt *p);
void pass_reset(struct wr_worker *w, struct conn *c);
void rst_reply(struct wr_worker *w, struct wr_pkt *p);
void template_take(struct conn *c, const struct wr_pkt *p);
bool handshake(struct wr_worker *w, struct wr_pkt *p, uint32_t *ci);
void track_rst(struct wr_worker *w, struct wr_pkt *p, struct conn *c);
/* store.c */
void store_segment(struct wr_worker *w, struct wr_pkt *p, uint32_t ci);
void store_bytes(struct wr_worker *w, struct wr_pkt *p, struct conn *c);
void store_fin(struct wr_worker *w, struct wr_pkt *p, struct conn *c);
/* The framing that counters name: of several layers the innermost, aws-chunked in chunked. */
static inline unsigned framing_of(uint16_t bits)
{
	return bits != 0 ? 31u - (unsigned)__builtin_clz(bits) : (unsigned)WR_FRAMING_NONE;
}

/* unwrap.c */
uint32_t object_begin(struct wr_worker *w, struct conn *c);
void open_push(struct conn *c, uint32_t oi, uint32_t id);
void open_pop(struct conn *c);
/* view.c */
void view_open(struct wr_worker *w, struct wr_object *o, uint32_t oi, enum wr_view which);
void view_bytes(struct wr_worker *w, struct wr_object *o, uint32_t oi, enum wr_view which,
                const struct wr_piece *piece);
/* No more bytes will come for any view of o: types, findings, digests, matches at the end. */
void views_end(struct wr_worker *w, struct wr_object *o);
/* A digest of o stands. */
void view_digested(struct wr_worker *w, struct wr_object *o, unsigned which);
/* upload.c */
void objs_push(struct wr_worker *w, struct conn *c, uint32_t oi);
void head_drop(struct wr_worker *w, struct wr_http_head *h);
void refuse(struct wr_worker *w, struct conn *c, enum wr_reason why);
void upload_block_now(struct wr_worker *w, struct conn *c, uint32_t oi);
void upload_block(struct wr_worker *w, struct conn *c, uint32_t oi);
void upload_head_drop(struct wr_worker *w, struct conn *c);
bool upload_more(struct wr_worker *w, struct conn *c);
bool upload_event(struct wr_worker *w, struct conn *c, enum wr_http_ev ev, struct wr_http_out *out);
void upload_refuse(struct wr_worker *w, struct conn *c, enum wr_reason why);
bool upload_bad(struct wr_worker *w, struct conn *c, enum wr_reason why);
void upload_finish(struct wr_worker *w, struct conn *c);
void upload_verdicts(struct wr_worker *w);
bool views_stand(const struct wr_object *o);
void upload_decided(struct wr_worker *w, uint32_t oi, bool again);
void upload_abort(struct wr_worker *w, struct conn *c, enum wr_cause why, uint8_t committed);
void upload_release(struct wr_worker *w, uint32_t oi);
void object_free(struct wr_worker *w, uint32_t oi);
bool upload_resume_fifo(struct wr_worker *w, struct conn *c);
void responses_lost(struct wr_worker *w, struct conn *c);
void upload_response(struct wr_worker *w, struct conn *c, const struct wr_http_rhead *h);
/* block.c */
void block(struct wr_worker *w, struct conn *c, uint32_t oi, enum wr_reason why);
void block_step(struct wr_worker *w, struct conn *c);
void block_client(struct wr_worker *w, struct wr_pkt *p, struct conn *c);
void block_store(struct wr_worker *w, struct wr_pkt *p, struct conn *c);
/* record.c */
void record_queue(struct wr_worker *w, uint32_t oi);
void records_write(struct wr_worker *w);
bool record_room(const struct wr_worker *w);
/* emit.c */
void tell(struct wr_worker *w, const struct conn *c, enum wr_reason why);
void tell_pkt(struct wr_worker *w, const struct wr_pkt *p, enum wr_reason why);
void tell_key(struct wr_worker *w, const struct wr_flow_key *key, enum wr_reason why);
static inline void count_pkt(struct wr_worker *w, const struct wr_pkt *p, enum wr_reason why)
{
	wr_count(&w->lc, why, 1);
	tell_pkt(w, p, why);
}
void send_to(struct wr_worker *w, enum wr_side side, struct rte_mbuf *m);
void drop(struct wr_worker *w, struct rte_mbuf *m);
void settle_covered(struct wr_worker *w);
void absorb(struct wr_worker *w, struct rte_mbuf *m);
void count_held(struct wr_worker *w, struct conn *c);
void tx_flush(struct wr_worker *w, enum wr_side side);
void emit(struct wr_worker *w, struct conn *c, enum wr_side to, const struct wr_pkt_seg *seg);
void emit_rst(struct wr_worker *w, struct conn *c, enum wr_side to, uint32_t seq);

static inline enum wr_side other(enum wr_side s)
{
	return s == WR_SIDE_CLIENT ? WR_SIDE_STORE : WR_SIDE_CLIENT;
}

#endif
