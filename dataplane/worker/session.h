/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session - objects that come in several requests: from a request's head to the store's answer.
 * Private to worker/.
 *
 * session.c  a request and its session: begin, bytes, the store's answer
 * whole.c    the object as one: bytes in order to its scanners, its verdict at the completing
 * request
 *
 * Order of calls for one request:  session_request (its head) - session_attach (its object) -
 * session_bytes - session_end (its own verdict lets it pass) - session_answer - session_close.
 */
#ifndef WR_WORKER_SESSION_H
#define WR_WORKER_SESSION_H

#include "handoff/piece.h"
#include "object/object.h"
#include "resume/resume.h"

struct conn;
struct wr_worker;
struct wr_object;

enum piece_mode {
	PC_ASTRAY, /* not where the session goes on: scanned by itself only */
	PC_ORDER,  /* its bytes go on where the session stands, or repeat what it has */
	PC_EARLY,  /* its bytes are kept until their turn comes */
	PC_LOST,   /* as early, but they were not kept */
};

struct piece { /* one request to an object in several */
	struct wr_up up;
	uint32_t session; /* 0 = none */
	uint32_t whole;   /* the object's verdict, as an upload entry; 0 = none */
	uint8_t mode, ended, answered, list_bad;
	uint32_t causes;   /* of the whole, by this request alone */
	uint64_t edge;     /* by offset: where the session stood when it began */
	uint64_t from, at; /* by offset: where it begins; the next byte. By number: bytes so far */
	struct wr_chain early;
	struct wr_digests digests; /* of the piece itself, once it has ended */
	/* a part list */
	struct wr_plist list;
	uint32_t nfed; /* listed parts that the running state holds */
	/* the whole: listed parts still to be scanned */
	uint32_t drain_part, drain_block;
};

struct whole_look { /* beside each session: what its bytes say of themselves */
	struct wr_look look, ck;
	uint32_t trimmed; /* digest slot: up to the format's end, 0 = none */
	uint8_t trim_lost;
	uint8_t prefix[WR_SNIFF_BYTES];
};

/* session.c */
/* False: the request is refused, nothing more of it is read. */
bool session_request(struct wr_worker *w, struct conn *c, const struct wr_http_head *h,
                     bool upload);
void session_attach(struct wr_worker *w, struct conn *c, uint32_t oi, bool whole_body);
void session_bytes(struct wr_worker *w, uint32_t oi, const struct wr_piece *p);
void session_answer(struct wr_worker *w, struct wr_object *o, const struct wr_http_rhead *h);
void session_close(struct wr_worker *w, uint32_t *piece);
/* The upload's verdict is a match: nothing of its object is taken any more. */
void session_found_bad(struct wr_worker *w, const struct wr_object *o);
void session_mark_bad(struct wr_worker *w, uint32_t si);
void session_drop(struct wr_worker *w, uint32_t si);
void session_gone(struct wr_worker *w, uint32_t si);
/* Once a turn: what was idle for too long. */
void session_age(struct wr_worker *w);
/* whole.c */
void whole_feed(struct wr_worker *w, uint32_t si, const struct wr_piece *p);
void whole_save(struct wr_worker *w, struct wr_session *s);
void whole_restore(struct wr_worker *w, struct wr_session *s);
void whole_forget(struct wr_worker *w, struct wr_session *s);
void whole_queue(struct wr_worker *w, uint32_t si);
/* Once a turn, before the verdicts: kept bytes whose turn has come, within the turn's bytes. */
void whole_work(struct wr_worker *w);
/* Shutdown: every session goes. */
void whole_clear(struct wr_worker *w);
enum whole {
	WHOLE_NONE,   /* the request completes nothing */
	WHOLE_BEGUN,  /* the whole's verdict is wanted too and has begun */
	WHOLE_FAILED, /* it is wanted, and there is no entry for it */
};
/* The piece's own verdict lets it pass. */
enum whole whole_begin(struct wr_worker *w, struct conn *c, uint32_t oi);

#endif
