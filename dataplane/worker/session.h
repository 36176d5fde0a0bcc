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

#include "digest/digest.h"
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

struct answer {                        /* what the store said to a piece */
	uint8_t ok, gone, said, named; /* gone: nothing more of the object is to come (stored
	                                  whole); said: upto is what the store has */
	uint16_t status;
	uint64_t upto, etag; /* etag: hashed, 0 = none */
};

struct far_block { /* bytes on their way to the owner */
	uint32_t next, used;
	uint8_t b[16376];
};

#define FAR_BEGIN  0x01u /* what is still to be sent, in this order */
#define FAR_END    0x02u
#define FAR_BAD    0x04u
#define FAR_ANSWER 0x08u
#define FAR_CLOSE  0x10u
#define FAR_BEGUN  0x20u /* by the owner */
#define FAR_HIT    0x40u
#define FAR_ENDED  0x80u

struct piece { /* one request to an object in several */
	struct wr_up up;
	uint8_t service, observe, has_body;
	uint8_t far;   /* 1: another worker owns the key. 2: this is that owner's side of it */
	uint8_t begun; /* far: the owner has answered */
	uint8_t todo, listed, lost; /* FAR_*; in the line of those with something to send */
	uint32_t peer, twin;        /* the other worker, its piece (0 = it has none) */
	uint32_t obj;               /* far: the upload entry, 0 = gone */
	uint32_t conn;              /* far: until there is an entry */
	uint32_t said;              /* causes that the piece's own objects must say */
	uint32_t todo_next;
	uint32_t out, head, tail; /* far: blocks sent and not back; blocks to be sent */
	uint8_t id[16];           /* of the object */
	struct answer answer;
	uint32_t session; /* 0 = none */
	uint32_t whole;   /* the object's verdict, as an upload entry; 0 = none */
	uint8_t mode, ended, answered, list_bad;
	uint32_t causes;   /* of the whole, by this request alone */
	uint64_t edge;     /* by offset: what stood beyond doubt when it began */
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
	struct wr_digest_state moving; /* on the way to another worker */
};

struct note { /* between two workers of a link */
	uint8_t type, service, observe, has_body;
	uint32_t to, from; /* the receiver's piece, the sender's */
	uint32_t causes, block, len;
	union {
		struct wr_up up;
		struct answer answer;
		struct wr_digests digests;
		uint8_t id[16];
		const uint8_t *data;
		uint32_t
		        whole; /* the owner's upload entry that holds the result, 0 = none wanted */
		struct {
			uint64_t key[2], total, upto;
			uint32_t session; /* the sender's, 0 = none */
			uint8_t proto, has_total;
		} name;
	} u;
};

#define NOTES 512u /* a power of two; two rings a pair of workers, 100 KiB each */

struct note_ring { /* one producer, one consumer */
	_Alignas(WR_CACHE_LINE) _Atomic uint32_t head;
	_Alignas(WR_CACHE_LINE) _Atomic uint32_t tail;
	struct note note[NOTES];
};

struct far { /* what a worker knows of the others */
	struct wr_worker *peer[WR_WORKERS_MAX];
	/* ask: to the owner; tell: back from it. Apart, so that a full ring of questions never
	 * stands in the way of the answers that would empty it. */
	struct note_ring *ask_to[WR_WORKERS_MAX], *ask_from[WR_WORKERS_MAX];
	struct note_ring *tell_to[WR_WORKERS_MAX], *tell_from[WR_WORKERS_MAX];
	struct wr_pool *blocks;
	uint32_t todo, todo_tail; /* pieces with something to send */
};

/* session.c */
enum begin {
	BEGIN_GO,
	BEGIN_REFUSED, /* nothing more of it is read */
	BEGIN_WAIT,    /* the key's owner was asked: again when it has answered */
};
enum begin session_request(struct wr_worker *w, struct conn *c, const struct wr_http_head *h,
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
uint32_t session_join(struct wr_worker *w, uint32_t pi);
void session_feed(struct wr_worker *w, uint32_t pi, const struct wr_piece *b);
void session_apply(struct wr_worker *w, uint32_t pi, const struct answer *a);
uint32_t session_create(struct wr_worker *w, const uint64_t key[2], uint8_t proto, bool has_total,
                        uint64_t total, uint32_t causes, uint8_t service, bool observe);
/* whole.c */
bool whole_wanted(struct wr_worker *w, uint32_t pi);
void whole_make(struct wr_worker *w, uint32_t pi, uint32_t oi);
uint32_t whole_object(struct wr_worker *w, struct conn *c, const struct wr_object *piece);
/* Its bytes are all with its scanners. */
void whole_ready(struct wr_worker *w, uint32_t oi);
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

/* far.c */
bool far_owned(const struct wr_worker *w, const uint64_t key[2], uint32_t *owner);
void far_begin(struct wr_worker *w, uint32_t pi);
void far_bytes(struct wr_worker *w, uint32_t pi, const struct wr_piece *b);
/* As much is on its way as may be: the connection reads on when some of it was taken. */
bool far_full(const struct wr_worker *w, const struct conn *c);
void far_todo(struct wr_worker *w, uint32_t pi, uint8_t what);
void far_named(struct wr_worker *w, const struct piece *p, const uint64_t key[2], uint32_t owner,
               const struct answer *a);
/* The owner's side of a whole has its digests. */
void far_whole_stands(struct wr_worker *w, uint32_t oi);
/* Once a turn: what others ask and tell; at its end, what is to be said to them. */
void far_run(struct wr_worker *w);
void far_send(struct wr_worker *w);

#endif
