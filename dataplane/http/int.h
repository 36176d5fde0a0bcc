/* SPDX-License-Identifier: BSD-3-Clause */
/* int - what the files of http/ share. */
#ifndef WR_HTTP_INT_H
#define WR_HTTP_INT_H

#include "http/http.h"

#define NAME_KEEP  64u   /* longer than any name we know */
#define HEAD_SMALL 704u  /* strings of an ordinary head; a longer one moves to a large buffer */
#define HEAD_LARGE 4424u /* all that is kept of a head */
#define RHEAD_KEEP 768u

struct head_slot {
	struct wr_http_head head; /* first: a head is its slot */
	uint32_t next;            /* free list, slot + 1 */
	uint32_t serial;          /* changes whenever the slot changes hands */
	uint32_t large;           /* its large buffer + 1, 0 = the small one */
	uint16_t used, from;      /* bytes of buf taken; first byte of the current value */
	uint16_t nname, taken;
	char *buf; /* small, or the large one */
	char name[NAME_KEEP];
	char small[HEAD_SMALL];
};
static_assert(HEAD_SMALL >= WR_HTTP_PROXY_V2_MAX, "a PROXY header is gathered there");

struct large_buf {
	uint32_t next; /* free list, + 1 */
	char b[HEAD_LARGE];
};

struct rhead_slot {
	struct wr_http_rhead head;
	uint32_t next;
	uint16_t used, from, nname;
	char name[NAME_KEEP];
	char buf[RHEAD_KEEP];
};

struct wr_http {
	struct wr_http_conf conf;
	uint32_t free, rfree, lfree, nfree;
	struct head_slot *slot;
	struct large_buf *large;
	struct rhead_slot *rslot;
};

enum state {
	S_PROXY,   /* before the first request: a PROXY header must come */
	S_IDLE,    /* between requests */
	S_IDLE_CR, /* CR of an empty line before a request line */
	S_METHOD,
	S_TARGET,
	S_VERSION,
	S_LINE_CR, /* CR behind the request line */
	S_HDR,     /* first byte of a header line */
	S_NAME,
	S_NAME_WS,  /* white space before the colon; observed only */
	S_VALUE_WS, /* white space before the value */
	S_VALUE,
	S_VALUE_CR,
	S_HEAD_CR, /* CR of the empty line that ends the head */
	S_HEAD_DONE,
	S_BODY, /* Content-Length */
	S_SIZE, /* chunk size line */
	S_EXT,
	S_SIZE_CR,
	S_DATA,
	S_DATA_END, /* CR expected behind chunk data */
	S_DATA_CR,
	S_TRAILER, /* first byte of a trailer line */
	S_TRAILER_NAME,
	S_TRAILER_VALUE,
	S_TRAILER_CR,
	S_LAST_CR, /* CR of the empty line that ends the trailers */
	S_END,     /* END is to be said */
	S_BAD,
};

#define F_LATER  0x01u /* not the first request of the connection */
#define F_EMPTY  0x06u /* CRLFs skipped so far, times 2 */
#define F_EMPTY1 0x02u
#define F_DUP    0x10u /* the value is a second Content-Length */
#define F_CUT    0x20u /* the value is longer than is kept */
#define F_OVER   0x40u /* beyond header_bytes, observed */

#define C_TOKEN 1u /* tchar, RFC 9110 5.6.2 */
#define C_VALUE 2u /* may stand in a field value: HTAB, SP, VCHAR, obs-text */
#define C_URI                                                                                      \
	4u /* may stand in a request target: VCHAR but none of "<>\^`{|}, and bytes >= 0x80        \
	    */

extern const uint8_t wr_http_class[256];

static inline bool is_token(uint8_t c)
{
	return (wr_http_class[c] & C_TOKEN) != 0;
}

static inline bool is_value(uint8_t c)
{
	return (wr_http_class[c] & C_VALUE) != 0;
}

static inline uint32_t head_room(const struct head_slot *s)
{
	return s->large != 0 ? HEAD_LARGE : HEAD_SMALL;
}

static inline struct head_slot *slot_of(const struct wr_http_req *h)
{
	struct head_slot *s = h->head == 0 ? NULL : &h->t->slot[h->head - 1];

	/* A head that was taken and given back may be another connection's by now. */
	return s != NULL && s->serial == h->serial ? s : NULL;
}

/* Counts why; true when policy only observes it: then the caller goes on in the defined reading. */
bool wr_http_tolerates(struct wr_lcore *lc, struct wr_http_req *h, enum wr_reason why);

/* Each eats from in->p and moves the state on, or returns the reason of a refusal, already counted.
 */
enum wr_reason wr_http_head_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct wr_span *in);
enum wr_reason wr_http_head_finish(struct wr_lcore *lc, struct wr_http_req *h, uint64_t body_off);
void wr_http_chunk_begin(struct wr_http_req *h, uint64_t off);
enum wr_reason wr_http_chunk_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct wr_span *in);
/* 1 done, 0 more, -1 bad. */
int wr_http_proxy_bytes(struct wr_http_req *h, struct wr_span *in, struct wr_http_proxy *out);

#endif
