/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * body - unwraps one request's body into objects: aws-chunked, content codings, multipart, part
 * encodings.
 *
 * takes    transfer-decoded body bytes as spans (http/'s BODY events), the request's head: it must
 * live until wr_body_close() gives    one event per call: objects begin, their bytes in the raw and
 * the decoded view, objects end owns     struct wr_body slots, multipart slots, decoders with their
 * memory, all made at boot lends    DATA pieces. With an owner: bytes of the caller's span.
 * Without: valid until the next call. threads  lcore-local limits   struct wr_body_conf and
 * WR_BODY_* below; each with a reason fails    WR_BODY_BAD and a reason: two parsers could read it
 * differently. WR_BODY_NOTE: a view could not be decoded (to its end): `lost` is set, the raw view
 * goes on; or a fault that policy observes. see      docs/concepts/framing.md, tests/unit/body,
 * tests/fuzz/body
 *
 * How to drive it:  open; for each BODY event of http/: next() until MORE (or PAUSE or BAD);
 *                   at http/'s END: end() until DONE (or PAUSE or BAD); close.
 * After PAUSE the turn's budget of decoded bytes is used up: the span's memory must stay as it is,
 * and the caller calls again in a later turn with the same (by then empty) span, or end().
 */
#ifndef WR_BODY_BODY_H
#define WR_BODY_BODY_H

#include "abi/conf.h"
#include "abi/record.h"
#include "handoff/head.h"
#include "handoff/piece.h"
#include "lcore/lcore.h"

#define WR_BODY_LAYERS        10u    /* nested layers in all */
#define WR_BODY_BOUNDARY_MAX  70u    /* RFC 2046 5.1.1 */
#define WR_BODY_PARTS_MAX     16384u /* parts of one body, nested ones included */
#define WR_BODY_PART_HEAD_MAX 4096u  /* bytes of one part's header block */
#define WR_BODY_PART_LINES    32u
#define WR_BODY_PADDING_MAX   64u /* white space behind a delimiter */
#define WR_BODY_FREE_BYTES                                                                         \
	1048576u                 /* decoded bytes that are always allowed, whatever the ratio      \
	                          */
#define WR_BODY_WINDOW_LOG  23u  /* zstd: 8 MiB */
#define WR_BODY_AWS_SIG_MAX 144u /* hex digits and padding of a chunk signature */
#define WR_BODY_AWS_TRAILER 4096u
#define WR_BODY_NO_OBJ      UINT32_MAX
#define WR_BODY_HOLD_NONE   UINT64_MAX

struct wr_body_pool; /* one per worker */
struct wr_body;      /* one request's body */

struct wr_body_conf {
	uint32_t bodies;                /* at once */
	uint32_t multiparts;            /* multipart layers at once */
	uint32_t inflate, brotli, zstd; /* decoders at once; about 64 KiB, 28 MiB and 9 MiB each */
	uint32_t expansion_ratio;       /* decoded : sent; 0 = 200 */
	uint32_t depth;                 /* codings and nested multiparts; 0 = 4 */
	uint64_t expansion_bytes;       /* decoded bytes of one body; 0 = no limit but the ratio */
	uint64_t expansion_ns;          /* one body's pauses in all; 0 = 10 s */
};

/* Boot only. NULL: no memory. */
WR_MUST_USE struct wr_body_pool *wr_body_pool_new(const struct wr_body_conf *c);
void wr_body_pool_free(struct wr_body_pool *p);
uint64_t wr_body_memory(const struct wr_body_conf *c);
/* At the start of a turn: decoded bytes that may be produced in it. */
void wr_body_turn(struct wr_body_pool *p, uint64_t bytes);

/*
 * Begins a body. NONE and *out, or the reason of a refusal (counted), *out = NULL. The policy must
 * outlive the body. OVERLOAD: no slot.
 */
enum wr_reason wr_body_open(struct wr_lcore *lc, struct wr_body_pool *p,
                            const struct wr_http_head *head, const struct wr_policy *policy,
                            struct wr_body **out);
void wr_body_close(struct wr_body *b);
/* 1 << enum wr_framing for every layer that frames this body, HTTP's own included. */
uint16_t wr_body_framing(const struct wr_body *b);

enum wr_body_ev {
	WR_BODY_MORE,      /* the span is used up */
	WR_BODY_OBJ_BEGIN, /* out->obj, out->meta */
	WR_BODY_DATA,      /* out->obj, out->view, out->piece */
	WR_BODY_OBJ_END,   /* out->obj, out->hold; out->lost: its end was not seen */
	WR_BODY_NOTE,      /* out->reason (counted), out->lost; out->obj: open, or NO_OBJ */
	WR_BODY_BAD,       /* out->reason (counted); every later call says the same */
	WR_BODY_PAUSE,     /* the turn's budget is used up */
	WR_BODY_DONE,      /* end(): all is said */
};

/*
 * Objects may be open at the same time, and end inner ones first: the whole body around its parts
 * (when it is encoded), a part that is itself multipart around its own parts. Every object has a
 * raw view; `coding` says whether a decoded one comes beside it.
 */
enum wr_body_kind {
	WR_BODY_WHOLE,  /* the request's body */
	WR_BODY_FILE,   /* a file part: its own record, its own held delimiter */
	WR_BODY_FIELD,  /* a form field */
	WR_BODY_AROUND, /* preamble or epilogue of a multipart, when not empty */
};

struct wr_body_meta {        /* the strings live until the object's end */
	uint8_t kind, depth; /* enum wr_body_kind; 0 = the body, 1 = its parts, ... */
	uint8_t coding;      /* enum wr_coding of the decoded view; NONE = there is none */
	uint8_t container;   /* 1: a multipart inside: its parts follow as objects */
	uint32_t part;       /* 1, 2, ... in order of appearance; 0 = no part */
	struct wr_str name, filename, filename_ext; /* ext: filename*, as it stands */
	struct wr_str type;                         /* declared */
};

struct wr_body_out {
	enum wr_reason reason;
	uint32_t obj; /* 0, 1, ...; unique in this body */
	uint8_t view; /* enum wr_view: RAW or DECODED */
	uint8_t lost;
	struct wr_piece piece;
	uint64_t hold; /* OBJ_END of a part: first byte of the delimiter that ended it, else
	                  HOLD_NONE */
	const struct wr_body_meta *meta;
};

enum wr_body_ev wr_body_next(struct wr_lcore *lc, struct wr_body *b, struct wr_span *in,
                             struct wr_body_out *out);
enum wr_body_ev wr_body_end(struct wr_lcore *lc, struct wr_body *b, struct wr_body_out *out);

/*
 * Stream offset from which frames must be held, or HOLD_NONE: multipart: the delimiter that ended
 * the latest file part (it waits for that part's verdict); aws-chunked: the zero chunk's size line,
 * also while a size line so far is only zeros. A delimiter may have begun in a frame that is gone:
 * what counts is that its last byte is held, so an offset before the present span means: this
 * frame.
 */
uint64_t wr_body_hold_from(const struct wr_body *b);
/* Asks for the lines that a span of one layer touches. */
void wr_body_warm(const struct wr_body *b);
/*
 * False while hold_from is a guess (an aws-chunked size line that so far is only zeros). True with
 * an aws-chunked body: every byte of the object is known, only trailers may follow.
 */
bool wr_body_hold_firm(const struct wr_body *b);
/* The object's bytes are all known although the body has not ended (aws-chunked, in its trailers).
 */
bool wr_body_tail_known(const struct wr_body *b);

#endif
