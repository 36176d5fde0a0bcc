/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * http - finds requests and their bodies in the client's stream, responses in the store's (RFC
 * 9112).
 *
 * takes    in-order spans
 * gives    one event per call; body bytes are lent from the span, nothing is copied but the header
 *          fields that later stages need (struct wr_http_head, in a pool slot)
 * owns     parser states; head slots
 * threads  lcore-local
 * limits   conf: header_bytes, headers; WR_HTTP_* below; each with a reason
 * fails    WR_HTTP_BAD and a reason; strict: whatever two servers could read differently is refused
 * see      docs/concepts/framing.md, tests/unit/http, tests/fuzz/fuzz_http_req.c
 */
#ifndef WR_HTTP_HTTP_H
#define WR_HTTP_HTTP_H

#include "abi/stats.h"
#include "handoff/piece.h"
#include "lcore/lcore.h"

#define WR_HTTP_LINE_MAX    8192u /* request line */
#define WR_HTTP_EXT_MAX     256u  /* chunk extension bytes per chunk */
#define WR_HTTP_TRAILER_MAX 8192u /* trailer bytes */

enum wr_http_ev {
	WR_HTTP_MORE, /* the span is used up */
	WR_HTTP_HEAD, /* a request head is complete: *head is filled; the body begins at in->p */
	WR_HTTP_BODY, /* out->body: transfer-decoded bytes, lent from the span */
	WR_HTTP_END,  /* the request is complete (also for bodies of length 0) */
	WR_HTTP_BAD,  /* out->reason; the state is broken */
	WR_HTTP_RAW,  /* not HTTP any more (CONNECT, 101, not_http): out->reason */
};

struct wr_str { /* bytes inside the head slot; p NULL = header absent, len 0 = present and empty */
	const char *p;
	uint32_t len;
};

struct wr_http_head { /* one request; the strings live in the same slot, cut ones say so */
	struct wr_str method, target, host, content_type, content_disposition, content_encoding;
	struct wr_str content_range, accept, origin, expect, xff, content_length_text;
	struct wr_str amz_content_sha256, amz_decoded_length, amz_copy_source, upload_id;
	struct wr_str tus_resumable, upload_offset, upload_length, upload_complete, upload_concat,
	        upload_metadata, method_override, goog_resumable, ms_blob_type;
	uint64_t content_length; /* valid with has_length */
	uint64_t head_bytes;
	uint8_t has_length, chunked, version_minor, keep_alive, expects_continue, is_head,
	        is_connect;
	uint8_t cut; /* some string was longer than is kept */
	enum wr_framing framing;
};

struct wr_http_out {
	enum wr_reason reason;
	struct wr_piece body;
};

struct wr_http_req;  /* client's half of a connection: a small pool slot */
struct wr_http_resp; /* store's half */

/*
 * Where the frame's bytes must be held from, as a stream offset, or UINT64_MAX: Content-Length: the
 * last body byte; chunked: the first byte of the size line of the zero chunk (also while a size
 * line so far is only zeros). Valid after each event; after END of the request it stays until the
 * next call.
 */
uint64_t wr_http_hold_from(const struct wr_http_req *h);

enum wr_http_ev wr_http_req_next(struct wr_lcore *lc, struct wr_http_req *h, struct wr_span *in,
                                 struct wr_http_out *out);
const struct wr_http_head *wr_http_req_head(const struct wr_http_req *h);

#endif
