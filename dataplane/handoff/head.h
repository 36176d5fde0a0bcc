/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * head - what later stages need of one request's or response's head. Filled by http/, read by
 * body/, object/ and worker/. The strings lie in the same slot and live as long as it does.
 *
 * Where a header may come once and came twice, http/ has refused the request; lists
 * (Content-Encoding, X-Forwarded-For, ...) are joined with commas. `cut`: a string longer than is
 * kept was shortened; those that decide how a body is read are never cut: the request is refused
 * instead (HEADER_LIMIT).
 */
#ifndef WR_HANDOFF_HEAD_H
#define WR_HANDOFF_HEAD_H

#include "abi/stats.h"
#include "handoff/str.h"

/*
 * X(field, header name, longest kept, flags).
 * KEY: never cut, a longer one is refused. ONCE: refused when it comes twice. LIST: joined with
 * commas.
 */
#define WR_HF_ONCE      0x01u
#define WR_HF_LIST      0x02u
#define WR_HF_KEY       0x04u
#define WR_HF_HOST      0x08u
#define WR_HF_CL        0x10u
#define WR_HF_TAIL      0x20u /* where it is too long, its end is kept */
#define WR_HEAD_XFF_MAX 255u
/* What of X-Forwarded-For is missing: the client's words, or, without a buffer for a long head, the
 * nearest proxy's. */
#define WR_XFF_FRONT_CUT 1u
#define WR_XFF_END_CUT   2u
#define WR_HEAD_FIELDS(X)                                                                          \
	X(host, "host", 255, WR_HF_HOST | WR_HF_KEY)                                               \
	X(content_length_text, "content-length", 64, WR_HF_CL | WR_HF_KEY)                         \
	X(transfer_encoding, "transfer-encoding", 64, WR_HF_LIST | WR_HF_KEY)                      \
	X(connection, "connection", 255, WR_HF_LIST | WR_HF_KEY)                                   \
	X(upgrade, "upgrade", 64, WR_HF_LIST)                                                      \
	X(expect, "expect", 64, WR_HF_LIST)                                                        \
	X(content_type, "content-type", 512, WR_HF_ONCE | WR_HF_KEY)                               \
	X(content_encoding, "content-encoding", 128, WR_HF_LIST | WR_HF_KEY)                       \
	X(content_disposition, "content-disposition", 512, WR_HF_ONCE)                             \
	X(content_range, "content-range", 96, WR_HF_ONCE | WR_HF_KEY)                              \
	X(content_transfer_encoding, "content-transfer-encoding", 64, WR_HF_ONCE | WR_HF_KEY)      \
	X(accept, "accept", 255, WR_HF_LIST)                                                       \
	X(origin, "origin", 255, WR_HF_LIST)                                                       \
	X(xff, "x-forwarded-for", WR_HEAD_XFF_MAX, WR_HF_LIST | WR_HF_TAIL)                        \
	X(amz_content_sha256, "x-amz-content-sha256", 96, WR_HF_ONCE | WR_HF_KEY)                  \
	X(amz_decoded_length, "x-amz-decoded-content-length", 32, WR_HF_ONCE | WR_HF_KEY)          \
	X(amz_trailer, "x-amz-trailer", 128, WR_HF_LIST)                                           \
	X(amz_copy_source, "x-amz-copy-source", 255, WR_HF_LIST)                                   \
	X(tus_resumable, "tus-resumable", 32, WR_HF_ONCE | WR_HF_KEY)                              \
	X(upload_offset, "upload-offset", 32, WR_HF_ONCE | WR_HF_KEY)                              \
	X(upload_length, "upload-length", 32, WR_HF_ONCE | WR_HF_KEY)                              \
	X(upload_complete, "upload-complete", 16, WR_HF_ONCE | WR_HF_KEY)                          \
	X(upload_incomplete, "upload-incomplete", 16, WR_HF_ONCE | WR_HF_KEY)                      \
	X(upload_concat, "upload-concat", 1024, WR_HF_ONCE | WR_HF_KEY)                            \
	X(upload_metadata, "upload-metadata", 512, WR_HF_ONCE)                                     \
	X(upload_draft, "upload-draft-interop-version", 16, WR_HF_ONCE)                            \
	X(method_override, "x-http-method-override", 32, WR_HF_ONCE | WR_HF_KEY)                   \
	X(goog_resumable, "x-goog-resumable", 32, WR_HF_ONCE | WR_HF_KEY)                          \
	X(goog_command, "x-goog-upload-command", 64, WR_HF_ONCE | WR_HF_KEY)                       \
	X(goog_offset, "x-goog-upload-offset", 32, WR_HF_ONCE | WR_HF_KEY)                         \
	X(ms_blob_type, "x-ms-blob-type", 32, WR_HF_ONCE | WR_HF_KEY)                              \
	X(update_range, "x-update-range", 64, WR_HF_ONCE | WR_HF_KEY)

struct wr_http_head {
	struct wr_str method, target;
#define X(field, name, max, flags) struct wr_str field;
	WR_HEAD_FIELDS(X)
#undef X
	struct wr_str upload_id; /* uploadId or upload_id of the target's query */
	uint32_t users;          /* of the one who took the slot: what still refers to it */
	uint64_t content_length; /* valid with has_length */
	uint64_t start,
	        body; /* stream offsets of the first byte and of the first byte of the body */
	uint64_t head_bytes;
	uint8_t has_length, chunked, version_minor, keep_alive, expects_continue, is_head,
	        is_connect;
	uint8_t has_upgrade;
	uint8_t has_body;     /* the body has, or may have (chunked), at least one byte */
	uint8_t cut, xff_cut; /* xff_cut: WR_XFF_* */
	uint8_t framing;   /* enum wr_framing: NONE, LENGTH or CHUNKED; body/ knows the inner one */
	uint16_t observed; /* enum wr_reason of the first fault that policy let pass, 0 = none */
};

struct wr_http_rhead { /* a response's head */
	uint16_t status;
	uint8_t interim; /* 1xx other than 101: the final response is still to come */
	uint8_t cut;
	uint8_t keep_alive;
	struct wr_str location, range, upload_offset, upload_length, etag, upload_complete, session;
};

#endif
