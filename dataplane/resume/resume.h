/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resume - objects that come in several requests: who belongs to what, and what was seen of it.
 *
 * takes    request heads (classify), the part list of a completing request, bytes to be kept
 * gives    sessions by upload key, their parts, kept bytes in chains of blocks, the keys found bad
 * owns     every table, all made at boot; the scanners' slots that a session names are the caller's
 * threads  lcore-local: each upload key has one owner worker, and that worker's tables know it
 * limits   struct wr_resume_conf and WR_RESUME_* below, each with a reason
 * fails    never by return code on the packet path: no slot is index 0, no block is false
 * see      docs/concepts/object.md, tests/unit/resume, tests/fuzz/resume
 *
 * Why bytes are compared and never rolled back: a client that lost its connection sends again what
 * the store may or may not have. What it repeats must be what was scanned before; then nothing is
 * to be undone, and where it differs nobody on the wire can know which copy the store keeps.
 */
#ifndef WR_RESUME_RESUME_H
#define WR_RESUME_RESUME_H

#include "abi/record.h"
#include "handoff/head.h"
#include "lcore/lcore.h"
#include "mem/mem.h"

#define WR_RESUME_PARTS_MAX 10000u         /* S3's own limit */
#define WR_RESUME_LIST_MAX  (4u << 20)     /* bytes of a part list: 10,000 parts of 400 bytes */
#define WR_RESUME_WINDOW    (8u << 20)     /* latest bytes of an upload by offset kept to compare */
#define WR_RESUME_EARLY_MAX (256ull << 20) /* early bytes of one upload: 16 parts of 16 MiB */
#define WR_RESUME_IDLE_NS                                                                          \
	3600000000000ull       /* an upload without a request for so long is forgotten */
#define WR_RESUME_BLOCK 16368u /* bytes of one block, with its head 16 KiB */

/* ------------------------------------------------------------------------ what a request is of ---
 */

enum wr_up_proto {
	WR_UP_NONE,  /* the request's body is a whole object, or none */
	WR_UP_OTHER, /* a piece of something that is recognised and not followed */
	WR_UP_S3,
	WR_UP_TUS,
	WR_UP_GCS,
	WR_UP_RANGE,
};

enum wr_up_op {
	WR_UP_PART,     /* the body is a piece */
	WR_UP_COPY,     /* the store makes a part of what it has: bytes that do not pass */
	WR_UP_COMPLETE, /* the body lists the parts: the object is complete with it */
	WR_UP_FINAL,    /* no bytes of its own: the object is complete with what came before */
	WR_UP_CREATE,   /* its answer names the upload; with a body that is the first piece */
	WR_UP_QUERY,
	WR_UP_ABORT, /* takes the upload away: always let through */
};

struct wr_up {
	uint8_t proto, op;
	uint8_t has_total; /* total is known from this request */
	uint8_t last;      /* the object is complete with this body, whatever its length */
	uint8_t keyed;     /* key is valid */
	uint8_t coded; /* what the pieces hold is declared as encoded: the whole is not decoded */
	uint16_t part; /* S3: 1..10000 */
	uint64_t offset, total;
	uint64_t key[2];
};

/* Never fails: what cannot be understood is OTHER. */
void wr_up_classify(const struct wr_http_head *h, const struct wr_mix_key *k, struct wr_up *out);
/* The key that an answer's Location (or session URL) names, for a request to `target`. */
bool wr_up_location(const struct wr_http_head *h, uint8_t proto, struct wr_str location,
                    const struct wr_mix_key *k, uint64_t key[2]);
/* A decimal number that is nothing else, below 2^62. */
bool wr_up_number(struct wr_str s, uint64_t *out);
/* The n-th upload (from 0) that a tus concatenation names. False: there is none. */
bool wr_up_concat(const struct wr_http_head *h, uint32_t n, const struct wr_mix_key *k,
                  uint64_t key[2]);
/* GCS: "bytes=0-N" of an answer -> N + 1. */
bool wr_up_range(struct wr_str range, uint64_t *next);
/* Compares entity tags: the text without quotes. */
uint64_t wr_up_etag(struct wr_str etag, const struct wr_mix_key *k);

/* ------------------------------------------------------------------------------- the part list ---
 */

enum wr_plist_ev { WR_PLIST_MORE, WR_PLIST_PART, WR_PLIST_BAD };

struct wr_plist { /* zeroed: at the beginning */
	uint8_t state, depth, quote, leaf, nname, ntext, nent, nnumber;
	uint8_t has_number, has_etag, was_part, pad;
	uint32_t bytes, nparts, last;
	uint32_t number; /* of the part that was told */
	char name[26], ent[6];
	char text[128]; /* its entity tag, without quotes, ntext bytes */
	char number_text[8];
};

/*
 * Reads <CompleteMultipartUpload>. Strict: elements in one reading only, no comments, no CDATA, no
 * DOCTYPE, no prefixes, part numbers rising. PART: number and text are valid until the next call.
 */
enum wr_plist_ev wr_plist_next(struct wr_plist *l, const uint8_t **p, const uint8_t *end);
bool wr_plist_done(const struct wr_plist *l);

/* ------------------------------------------------------------------------------------- tables ---
 */

struct wr_chain { /* bytes in blocks, first to last; `off` of the first block's bytes are gone */
	uint32_t head, tail, nblocks, off;
	uint64_t bytes;
};

enum wr_part_state {
	WR_PART_NONE,
	WR_PART_KEPT,   /* stored, its bytes are in `bytes` */
	WR_PART_FED,    /* stored, and part of the session's running state */
	WR_PART_LOST,   /* stored and scanned by itself; its bytes were not kept */
	WR_PART_UNSEEN, /* stored, and its bytes never passed */
};

struct wr_part { /* what the store has acknowledged under a part number */
	uint32_t session, number;
	uint32_t next, prev, hash_next;
	uint8_t state, has_etag, pad[2];
	uint64_t size, etag;
	uint32_t listed, pad2; /* the completing piece that lists it, 0 = none */
	uint8_t md5[16], sha256[32];
	struct wr_chain bytes;
};

struct wr_session {
	uint64_t key[2];
	uint32_t hash_next, lru_prev, lru_next;
	uint8_t keyed, proto, confirmed, bad; /* confirmed: the store has acknowledged something */
	uint8_t has_total, queued, has_ck, typed; /* typed: `type` is known, or never will be */
	uint8_t service, observe, coded, done;
	uint32_t requests; /* under way */
	uint32_t causes;   /* 1 << enum wr_cause: the whole can no longer be known */
	uint64_t pos;      /* bytes in the running state */
	uint64_t base;     /* of them the store has acknowledged (by offset) */
	uint64_t doubt; /* by offset: bytes from here on came in a request that the store refused */
	uint64_t total;
	uint64_t first_ns, used_ns, epoch;
	uint8_t id[16];
	/* the running state: slots of the caller's scanners */
	uint32_t digest, stream;
	void *rs;
	/* by offset: the latest bytes of the running state, the last of them at pos - 1 */
	struct wr_chain window;
	/* by number */
	uint32_t parts, parts_tail; /* ascending */
	uint32_t nparts, nfed;      /* parts 1..nfed are in the running state */
	uint32_t partly;     /* the kept part that is in the running state in part, 0 = none */
	uint32_t feeding;    /* the caller's piece that is part nfed + 1, 0 = none */
	uint64_t kept;       /* early bytes in blocks */
	uint32_t completing; /* the piece whose whole is being made, 0 = none */
	uint32_t work_next;
	/* before part nfed + 1 */
	uint32_t ck_stream;
	uint64_t ck_pos;
	uint8_t ck_digest[512];
};

struct wr_resume_conf {
	uint32_t sessions, parts, bad;
	uint64_t spool_bytes;
};

struct wr_resume;

/* Boot only. NULL: no memory. */
WR_MUST_USE struct wr_resume *wr_resume_new(const struct wr_resume_conf *c);
void wr_resume_free(struct wr_resume *r);
uint64_t wr_resume_memory(const struct wr_resume_conf *c);

static inline bool wr_session_key_is(const uint64_t a[2], const uint64_t b[2])
{
	return a[0] == b[0] && a[1] == b[1];
}

uint32_t wr_session_find(const struct wr_resume *r, const uint64_t key[2]);
uint32_t wr_session_index(const struct wr_resume *r, const struct wr_session *s);
struct wr_session *wr_session_at(const struct wr_resume *r, uint32_t s);
/* An empty session without a key; 0: none is free, see wr_session_victim(). */
uint32_t wr_session_get(struct wr_resume *r, struct wr_lcore *lc);
void wr_session_name(struct wr_resume *r, uint32_t s, const uint64_t key[2]);
/* Now the latest used. */
void wr_session_used(struct wr_resume *r, struct wr_lcore *lc, uint32_t s);
/* The store has acknowledged something: it is no longer the first to go. */
void wr_session_confirm(struct wr_resume *r, struct wr_lcore *lc, uint32_t s);
/* Which to give up for a new one: unconfirmed before confirmed, the longest unused first, none with
 * requests under way. 0: none. */
uint32_t wr_session_victim(const struct wr_resume *r);
/* One that was idle for WR_RESUME_IDLE_NS, or 0. */
uint32_t wr_session_old(const struct wr_resume *r, uint64_t now);
/* The entry behind `at` that is in use, in a walk over all; 0: the walk is over. At most 64 are
 * looked at: *at says where it stopped. */
uint32_t wr_session_walk(const struct wr_resume *r, uint32_t *at);
/* Gives back the session, its parts and blocks. The caller has closed its slots. */
void wr_session_put(struct wr_resume *r, uint32_t s);
uint32_t wr_session_count(const struct wr_resume *r);

/* Keys whose upload was found bad, remembered longer than the session. */
void wr_bad_add(struct wr_resume *r, struct wr_lcore *lc, const uint64_t key[2]);
bool wr_bad_has(const struct wr_resume *r, const uint64_t key[2]);

struct wr_part *wr_part_at(const struct wr_resume *r, uint32_t i);
uint32_t wr_part_find(const struct wr_resume *r, uint32_t session, uint32_t number);
/* The part of this number, made when it is not there. 0: no entry is left. */
uint32_t wr_part_get(struct wr_resume *r, struct wr_lcore *lc, uint32_t session, uint32_t number);

/* False: no block is left; nothing was taken. */
bool wr_chain_add(struct wr_resume *r, struct wr_chain *c, const uint8_t *p, uint32_t n);
void wr_chain_free(struct wr_resume *r, struct wr_chain *c);
/* Lets go of the first n bytes, as far as whole blocks allow. */
void wr_chain_cut(struct wr_resume *r, struct wr_chain *c, uint64_t n);
/* The first bytes, in one piece: how many; 0 = the chain is empty. */
uint32_t wr_chain_front(const struct wr_resume *r, const struct wr_chain *c, const uint8_t **p);
/* Takes n of the first bytes off; n is at most what _front said. */
void wr_chain_drop(struct wr_resume *r, struct wr_chain *c, uint32_t n);
/* Are the n bytes behind `at` of the chain these? at + n is at most its bytes. */
bool wr_chain_same(const struct wr_resume *r, const struct wr_chain *c, uint64_t at,
                   const uint8_t *p, uint32_t n);
/* A walk over a chain that leaves it as it is: *block 0 = at the beginning. */
uint32_t wr_chain_walk(const struct wr_resume *r, const struct wr_chain *c, uint32_t *block,
                       const uint8_t **p);

#endif
