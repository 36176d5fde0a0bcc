/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * http - finds requests and their bodies in the client's stream, responses in the store's (RFC
 * 9112).
 *
 * takes    in-order spans; keeps none of them
 * gives    one event per call; body bytes are lent from the span, nothing is copied but the header
 *          fields that later stages need (struct wr_http_head of handoff/head.h, in a slot)
 * owns     struct wr_http: the head slots of one worker, made at boot. struct wr_http_req and
 *          struct wr_http_resp are small and lie in the caller's connection entry: an idle
 * keep-alive connection costs these two and no slot. threads  lcore-local limits   header_bytes and
 * headers of struct wr_http_conf; WR_HTTP_*_MAX below; each with a reason fails    WR_HTTP_BAD and
 * a reason: whatever two servers could read differently is refused. Where the policy of that reason
 * is INSPECT (observe) and one reading is defined in framing.md, the parser counts it, notes it in
 * head->observed and goes on. see      docs/concepts/framing.md, tests/unit/http, tests/fuzz/http
 */
#ifndef WR_HTTP_HTTP_H
#define WR_HTTP_HTTP_H

#include "abi/conf.h"
#include "abi/record.h"
#include "handoff/head.h"
#include "handoff/piece.h"
#include "lcore/lcore.h"

#define WR_HTTP_LINE_MAX     8192u /* request line */
#define WR_HTTP_TARGET_KEEP  3072u /* of the target that is kept; a longer one sets head->cut */
#define WR_HTTP_NAME_MAX     256u  /* header name */
#define WR_HTTP_EXT_MAX      256u  /* chunk extension bytes per chunk */
#define WR_HTTP_TRAILER_MAX  8192u /* trailer bytes */
#define WR_HTTP_EMPTY_MAX    2u    /* CRLFs skipped before a request line (RFC 9112 2.2) */
#define WR_HTTP_PROXY_V2_MAX 536u  /* bytes of a PROXY v2 header with its TLVs */
#define WR_HTTP_FIFO_MAX     16u   /* requests without a final response, per connection */
#define WR_HTTP_INTERIM_MAX  32u   /* 1xx responses to one request */
#define WR_HTTP_HOLD_NONE    UINT64_MAX

struct wr_http; /* one per worker */

struct wr_http_conf {
	uint32_t heads;        /* requests that have begun and whose head is not yet given back */
	uint32_t header_bytes; /* request line and headers together; 0 = 65536 */
	uint32_t headers;      /* header lines; 0 = 100 */
};

/* Boot only. NULL: no memory. */
WR_MUST_USE struct wr_http *wr_http_new(const struct wr_http_conf *c);
void wr_http_free(struct wr_http *t);
uint32_t wr_http_heads_free(const struct wr_http *t);
/* Bytes that a worker with so many heads costs, for the capacity page and the boot log. */
uint64_t wr_http_memory(const struct wr_http_conf *c);

/* ------------------------------------------------------------------------- the client's stream ---
 */

enum wr_http_ev {
	WR_HTTP_MORE, /* the span is used up */
	WR_HTTP_HEAD, /* a request head is complete: wr_http_req_head() */
	WR_HTTP_BODY, /* out->body, out->off: transfer-decoded bytes, lent from the span, len > 0 */
	WR_HTTP_END,  /* the request is complete (also without a body) */
	WR_HTTP_BAD,  /* out->reason (counted); nothing more is read: later calls say the same */
	WR_HTTP_PROXY, /* out->proxy: the PROXY header that stands before the first request */
	WR_HTTP_BUSY,  /* no head slot free; nothing was consumed; counted as OVERLOAD. Call again
	                  later. */
};

struct wr_http_proxy {
	uint8_t src[16], dst[16]; /* IPv4 mapped */
	uint16_t sport, dport;
	uint8_t source; /* enum wr_addr_source: PROXY_V1 or PROXY_V2 */
	uint8_t known;  /* 0: UNKNOWN or LOCAL: the TCP addresses stand */
};

/*
 * Who is behind trusted proxies: X-Forwarded-For is read from its end, since each proxy adds the
 * address it saw; it is believed as far as the one who says so is trusted. addr (of the peer, or of
 * what a PROXY header named) and port are replaced by the last address believed; port 0: not told.
 * A set: FOUND, addr came from the list; BAD, something in it is no address, or lies where the list
 * was cut (head->xff_cut): what was believed before stands.
 */
enum wr_xff { WR_XFF_NONE = 0, WR_XFF_FOUND = 1, WR_XFF_BAD = 2 };
uint32_t wr_http_xff(struct wr_str list, uint8_t cut, const struct wr_conf_service *s,
                     uint8_t addr[16], uint16_t *port);

struct wr_http_out {
	enum wr_reason reason;
	struct wr_piece body;
	uint64_t off; /* stream offset of body.p */
	struct wr_http_proxy proxy;
};

/* Client's half of a connection: private, here only so that it can be embedded. */
struct wr_http_req {
	struct wr_http *t;
	const struct wr_policy *policy;
	uint64_t left; /* body or chunk bytes to come */
	uint64_t hold;
	uint64_t line_off; /* stream offset of the current line's first byte */
	uint32_t head;     /* slot + 1, 0 = none */
	uint32_t bytes;    /* of the head or of the trailers so far */
	uint16_t line;     /* bytes of the current line or extension, saturating */
	uint16_t nheaders;
	uint16_t reason; /* in state BAD */
	uint8_t state, sub, field, flags, digits, proxy;
	uint32_t serial; /* of the slot, as it was when it became ours */
};
static_assert(sizeof(struct wr_http_req) <= WR_CACHE_LINE, "the price of an idle connection");

/*
 * Starts a connection. The policy must outlive it (it lies in conf). proxy: enum wr_proxy_proto of
 * the service. wr_http_req_close gives back the slot if one is attached.
 */
void wr_http_req_init(struct wr_http_req *h, struct wr_http *t, const struct wr_policy *policy,
                      uint8_t proxy);
void wr_http_req_close(struct wr_http_req *h);

/* Next event. in->p and in->off move behind what was consumed; call until MORE, BAD or BUSY. */
enum wr_http_ev wr_http_req_next(struct wr_lcore *lc, struct wr_http_req *h, struct wr_span *in,
                                 struct wr_http_out *out);

/*
 * Head slots. From HEAD on wr_http_req_head() lends the current request's head (after BAD: as far
 * as it was read; NULL when nothing was). It lives until the next request's first byte is parsed,
 * unless the caller takes it: wr_http_head_take() makes it the caller's, wr_http_head_put() gives
 * it back, not before END, BAD or wr_http_req_close() (the parser still notes faults in it).
 * wr_http_req_done() is the shorthand for a caller that does not keep it.
 */
const struct wr_http_head *wr_http_req_head(const struct wr_http_req *h);
WR_MUST_USE struct wr_http_head *wr_http_head_take(struct wr_http_req *h);
void wr_http_head_put(struct wr_http *t, struct wr_http_head *head);
void wr_http_req_done(struct wr_http_req *h);

/*
 * The stream offset from which frames must be held, or WR_HTTP_HOLD_NONE. Content-Length: the last
 * body byte, known from HEAD on (no body: none). Chunked: the first byte of the size line of the
 * zero chunk, also while a size line so far is only zeros, trailers included. Valid after each
 * event, for the request that the event was about; after END until the next call.
 */
static inline uint64_t wr_http_hold_from(const struct wr_http_req *h)
{
	return h->hold;
}

/* False while hold_from is a guess: a chunk-size line so far is only zeros and has not ended. */
bool wr_http_hold_firm(const struct wr_http_req *h);
/* The line of the last chunk has been read, the end of the trailers has not. */
bool wr_http_req_in_trailer(const struct wr_http_req *h);

/* True between requests: no byte of a request has been read that is not complete. */
bool wr_http_req_idle(const struct wr_http_req *h);

/* --------------------------------------------------------------------------- the store's stream
 * --- */

enum wr_http_rev {
	WR_HTTP_RESP_MORE,
	WR_HTTP_RESP_HEAD, /* out->status, out->interim; wr_http_resp_head() until the next call */
	WR_HTTP_RESP_END, /* the response to the oldest request is complete (not after interim ones)
	                   */
	WR_HTTP_RESP_BAD, /* out->reason RESPONSE_BAD: what follows cannot be paired */
	WR_HTTP_RESP_RAW, /* 101, or 2xx to CONNECT: the connection is no longer HTTP */
};

struct wr_http_resp_out {
	enum wr_reason reason;
	uint16_t status;
	uint8_t interim;
};

struct wr_http_resp {
	struct wr_http *t;
	uint64_t left;
	uint32_t fifo; /* 2 bits a request, oldest in the low ones */
	uint32_t slot; /* slot + 1 */
	uint32_t bytes;
	uint16_t status, line;
	uint8_t nfifo, state, sub, field, flags, digits, interim, spare;
};
static_assert(sizeof(struct wr_http_resp) <= 48, "the price of an idle connection");

void wr_http_resp_init(struct wr_http_resp *r, struct wr_http *t);
void wr_http_resp_close(struct wr_http_resp *r);
/* Tells the parser that a request was forwarded (at its HEAD event). False: the fifo is full
 * (PIPELINE_LIMIT is counted): the request must wait and be pushed later. */
WR_MUST_USE bool wr_http_resp_push(struct wr_lcore *lc, struct wr_http_resp *r,
                                   const struct wr_http_head *head);
static inline uint32_t wr_http_resp_pending(const struct wr_http_resp *r)
{
	return r->nfifo;
}

/* Body bytes are skipped, never copied. */
enum wr_http_rev wr_http_resp_next(struct wr_lcore *lc, struct wr_http_resp *r, struct wr_span *in,
                                   struct wr_http_resp_out *out);
/* The store's FIN: RESP_END where the body ended with the connection, RESP_BAD where it is cut off,
 * RESP_MORE where nothing was open. */
enum wr_http_rev wr_http_resp_fin(struct wr_lcore *lc, struct wr_http_resp *r,
                                  struct wr_http_resp_out *out);
/* Bytes of a response that is not complete have passed: nothing may be injected before its end. */
bool wr_http_resp_begun(const struct wr_http_resp *r);
/* Valid after RESP_HEAD until the next call. Never NULL there. */
const struct wr_http_rhead *wr_http_resp_head(const struct wr_http_resp *r);

#endif
