/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * int - what the files of body/ share.
 *
 * A body is a stack of layers. Layer 0 is the source; layer i + 1 eats what layer i gives. A slice
 * that a layer gives belongs to an object (a DATA event), or is eaten by the next layer, or both.
 * The deepest layer that has input or owes an event runs first, so a slice is used up before the
 * next one is made.
 */
#ifndef WR_BODY_INT_H
#define WR_BODY_INT_H

#include "body/body.h"

#define NO_OBJ    WR_BODY_NO_OBJ
#define OUT_BYTES 16384u
#define CTE_OUT   4096u

enum layer_kind { L_SOURCE, L_AWS, L_CODING, L_MULTI, L_BASE64, L_QP };

enum run {            /* what a layer did */
	   RUN_IDLE,  /* input used up, nothing owed */
	   RUN_AGAIN, /* look at the stack again */
	   RUN_DATA,
	   RUN_BEGIN,
	   RUN_END,
	   RUN_NOTE,
	   RUN_BAD,
	   RUN_PAUSE,
	   RUN_DONE, /* finish: nothing more to say */
};

struct aws_state {
	uint64_t left, decoded, want, line_off;
	uint32_t bytes;
	uint8_t digits, kind, has_want, at;
};

struct layer {
	struct wr_span in; /* pending input */
	uint32_t obj;      /* of the slices it gives, or NO_OBJ */
	uint32_t slot;     /* of its decoder or multipart state, + 1 */
	uint8_t kind, state, view, coding;
	uint8_t derived; /* in.off is the offset of the encoded bytes, it does not move with in.p */
	uint8_t owed;    /* has something to say without input */
	uint8_t fin;     /* how far finish has come */
	uint8_t dead;    /* decodes no more */
	uint16_t doom;   /* reason: it will be dead once what it made has been given */
	uint32_t quad, nquad;     /* base64, quoted-printable: bits and how many characters */
	uint8_t nmagic, magic[4]; /* zstd: the frame's first bytes */
	struct aws_state aws;
};

struct wr_body {
	struct wr_body_pool *pool;
	const struct wr_http_head *head;
	const struct wr_policy *policy;
	uint64_t hold, sent, decoded;
	uint64_t since_ns, waited_ns;           /* of the present pause; of all before it */
	uint32_t next_obj, nparts, index, next; /* next: free list, slot + 1 */
	uint16_t framing, reason, note;
	uint8_t nlayers, begun, ended, bad, whole, depth, lost, nopen, pausing;
	uint32_t open[WR_BODY_LAYERS +
	              2];         /* objects that have begun and not ended, inner ones last */
	struct wr_body_meta meta; /* of the whole body */
	struct layer layer[WR_BODY_LAYERS];
};

struct multi { /* one multipart layer */
	uint32_t next;
	uint8_t delim[2 + 2 + WR_BODY_BOUNDARY_MAX]; /* CR LF - - boundary */
	uint8_t fail[2 + WR_BODY_BOUNDARY_MAX];      /* KMP over delim + 2 */
	uint8_t nfind;                               /* bytes of "--boundary" */
	uint8_t pre, m;        /* what is withheld: PRE_*, and matched bytes of "--boundary" */
	uint8_t carry;         /* withheld bytes that lie in earlier spans */
	uint8_t from;          /* where in delim they begin */
	uint8_t ncarry, cfrom; /* withheld bytes that turned out to be data: to be given now */
	uint8_t found, form, pad_bytes, closed;
	uint8_t has_disposition, has_type, has_cte, is_file, cte, bad_filename;
	const uint8_t *run; /* data of the present span to be given now */
	uint32_t nrun;
	uint64_t run_off, delim_off;
	uint32_t obj, around; /* open part, open preamble or epilogue; NO_OBJ */
	uint16_t nhead, line, nlines;
	struct wr_str type;
	struct wr_body_meta meta;
	char head[WR_BODY_PART_HEAD_MAX];
};

struct decoder;

struct wr_body_pool {
	struct wr_body_conf conf;
	int64_t budget;
	uint32_t free_body, free_multi, free_dec[3];
	struct wr_body *body;
	struct multi *multi;
	struct decoder *dec;
	uint32_t ndec;
	uint8_t cte_out[CTE_OUT];
};

static inline struct multi *multi_of(const struct wr_body *b, const struct layer *l)
{
	return &b->pool->multi[l->slot - 1];
}

static inline void layer_take(struct layer *l, uint64_t n)
{
	l->in.p += n;
	if (!l->derived)
		l->in.off += n;
}

/* A layer above l gave up: what l misses is not the client's doing, and was said. */
static inline bool layer_orphaned(const struct wr_body *b, const struct layer *l)
{
	for (const struct layer *up = b->layer; up < l; up++)
		if (up->dead)
			return true;
	return false;
}

/* Counts why; true when policy only observes it: then a NOTE is owed and the reading goes on. */
bool wr_body_tolerates(struct wr_lcore *lc, struct wr_body *b, enum wr_reason why);
enum run wr_body_refuse(struct wr_lcore *lc, struct wr_body_out *out, enum wr_reason why);
/* Layer l stops decoding; what hangs below it ends as lost. */
enum run wr_body_lose(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                      struct wr_body_out *out, enum wr_reason why);
/* Gives n bytes at p out of layer l: to its object, to the next layer, or both. */
enum run wr_body_give(struct wr_body *b, struct layer *l, struct wr_piece piece, uint64_t off,
                      bool derived, struct wr_body_out *out);
/* Pushes a layer; NULL: too deep. */
struct layer *wr_body_push(struct wr_body *b, enum layer_kind kind);
void wr_body_pop(struct wr_body *b);
enum run wr_body_finish(struct wr_lcore *lc, struct wr_body *b, uint32_t i,
                        struct wr_body_out *out);

/* Each layer kind: run on pending input; finish: the input has ended. */
enum run wr_aws_run(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                    struct wr_body_out *out);
enum run wr_aws_finish(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                       struct wr_body_out *out);
enum run wr_coding_run(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                       struct wr_body_out *out);
enum run wr_coding_finish(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                          struct wr_body_out *out);
enum run wr_multi_run(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                      struct wr_body_out *out);
enum run wr_multi_finish(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                         struct wr_body_out *out);
enum run wr_cte_run(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                    struct wr_body_out *out);
enum run wr_cte_finish(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                       struct wr_body_out *out);

/* Decoders. */
int wr_decoders_new(struct wr_body_pool *p);
void wr_decoders_free(struct wr_body_pool *p);
uint64_t wr_decoders_memory(const struct wr_body_conf *c);
/* slot + 1; 0: none free. */
uint32_t wr_decoder_get(struct wr_body_pool *p, enum wr_coding coding);
void wr_decoder_put(struct wr_body_pool *p, uint32_t slot);

/* Multipart. boundary must be checked. False: no slot. */
bool wr_multi_push(struct wr_body *b, struct wr_str boundary, bool form);
void wr_multi_put(struct wr_body_pool *p, uint32_t slot);
/* End of a part's header line [line, nhead) and of the whole block. NONE or a reason (not counted).
 */
enum wr_reason wr_part_line(struct wr_lcore *lc, struct wr_body *b, struct multi *u);
enum wr_reason wr_part_done(struct wr_lcore *lc, struct wr_body *b, struct multi *u);

/* Parameters of a header value. 1 and one parameter, 0 at the end, -1 malformed. */
struct wr_param {
	struct wr_str name, value;
	uint8_t quoted, escaped;
};
int wr_param_next(struct wr_str *rest, struct wr_param *out);
/* Cuts the value before the first ';' off *rest, trimmed. */
struct wr_str wr_param_head(struct wr_str *rest);
/* 1 and a valid boundary; 0: none; -1: two, malformed or not allowed. */
int wr_param_boundary(struct wr_str content_type, struct wr_str *boundary);

#endif
