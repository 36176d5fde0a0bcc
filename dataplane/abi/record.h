/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * record - one verdict record as a worker writes it; control makes weir.verdict/1 JSON of it.
 *
 * A slot is struct wr_record, then nviews x wr_record_view, then nmatches x wr_record_match, then
 * nbundles x wr_record_bundle, then fields: {u16 kind, u16 len, bytes, padded to 4}. At most
 * WR_RECORD_MAX bytes; what does not fit is cut and its bit set in `truncated`, digests never.
 * Names (bundle, list, rule, entry) are inside, so that a record can be read without the ruleset.
 */
#ifndef WR_ABI_RECORD_H
#define WR_ABI_RECORD_H

#include <stdint.h>

#include "base/base.h"

#define WR_RECORD_TAG     2u
#define WR_RECORD_MAX     8192u
#define WR_RECORD_MATCHES 16u
#define WR_RECORD_VIEWS   4u
#define WR_RECORD_BUNDLES 8u

enum wr_record_kind { WR_REC_REQUEST, WR_REC_PART, WR_REC_OBJECT };
enum wr_committed { WR_COMMITTED_NO, WR_COMMITTED_YES, WR_COMMITTED_UNKNOWN };
enum wr_view {
	WR_VIEW_RAW,
	WR_VIEW_DECODED,
	WR_VIEW_TRIMMED,         /* of raw, up to the format's end */
	WR_VIEW_DECODED_TRIMMED, /* of decoded; called `trimmed` too, and it has a coding */
	WR_VIEW_COUNT
};
enum wr_coding {
	WR_CODING_NONE,
	WR_CODING_GZIP,
	WR_CODING_DEFLATE,
	WR_CODING_BR,
	WR_CODING_ZSTD,
	WR_CODING_BASE64,
	WR_CODING_QP,
	WR_CODING_SEVERAL
};
enum wr_match_kind { WR_MATCH_PATTERN, WR_MATCH_EXACT, WR_MATCH_PDQ };
enum wr_item_mode { WR_ITEM_OFF, WR_ITEM_SHADOW, WR_ITEM_CANARY, WR_ITEM_ENFORCE };
enum wr_algo { WR_ALGO_MD5, WR_ALGO_SHA1, WR_ALGO_SHA256, WR_ALGO_PDQ, WR_ALGO_COUNT };
enum wr_addr_source { WR_SRC_TCP, WR_SRC_PROXY_V1, WR_SRC_PROXY_V2, WR_SRC_XFF };

/* clang-format off */
#define WR_FIELDS(X)                                                                               \
	X(METHOD, 32) X(HOST, 255) X(PATH, 1024) X(FILENAME, 255) X(DECLARED_TYPE, 127)            \
	X(TYPE, 63) X(OBJECT, 255) X(TRANSFORMS, 127) X(PROTO, 31) X(SERVICE, 31)
/* clang-format on */

enum wr_field_kind {
#define X(name, max) WR_F_##name,
	WR_FIELDS(X)
#undef X
	        WR_F_COUNT
};

#define WR_CUT_CATEGORY (1u << WR_F_COUNT) /* of some match */
#define WR_CUT_BASIS    (2u << WR_F_COUNT)
static_assert(WR_F_COUNT <= 14, "truncated has a bit for each");

#define WR_HAS_MD5    1u
#define WR_HAS_SHA1   2u
#define WR_HAS_SHA256 4u
#define WR_HAS_PDQ    8u

struct wr_digests {
	uint8_t md5[16], sha1[20], sha256[32], pdq[32];
	uint8_t has, pdq_quality; /* WR_HAS_* */
	uint8_t pad[2];
};

struct wr_record_view {
	uint64_t bytes, coverage[4]; /* received, hashed, pattern, decoded */
	struct wr_digests digests;
	uint8_t view, coding, pad[6];
};

struct wr_record_match {
	char bundle[40], item[68], entry[72]; /* list or rule id; entry may be empty */
	/* The item's own words: meta.category (or its bundle's) and a list's lawful basis. */
	char category[32], basis[64];
	uint64_t bundle_version, offset;
	uint8_t kind, algo, view, mode, action, applied, distance, transform;
};

struct wr_record_bundle {
	char name[40];
	uint64_t version, expires; /* unix seconds, 0 = never */
	uint8_t sha256[32];
};

struct wr_record {
	uint32_t size; /* of the whole slot payload */
	uint16_t abi, nviews, nmatches, nbundles, nfields;
	uint16_t truncated; /* 1 << enum wr_field_kind, and WR_CUT_* */
	uint8_t decision_id[16], upload_id[16], object_id[16];   /* ULID bytes; zero = null */
	uint64_t ts_ns, first_byte_ns, last_byte_ns, verdict_ns; /* CLOCK_REALTIME */
	uint64_t hold_ns;
	uint64_t bytes, last_byte_forwarded, ruleset_generation;
	uint8_t client_ip[16], store_ip[16],
	        peer_ip[16]; /* peer: the TCP peer when source != tcp */
	uint16_t client_port, store_port;
	uint32_t worker, reason; /* enum wr_reason that decided, or 0 */
	uint16_t framing_bits;   /* 1 << enum wr_framing */
	uint8_t kind, verdict, cause, action, would, committed;
	uint8_t addr_source, answered, partial_stored,
	        observe; /* answered: 0 no, 1 yes, 2 not needed */
	uint8_t matches_cut, pad[7];
};

static_assert(sizeof(struct wr_record) % 8 == 0, "arrays follow aligned");
static_assert(sizeof(struct wr_record_view) % 8 == 0, "arrays follow aligned");
static_assert(sizeof(struct wr_record_match) % 8 == 0, "arrays follow aligned");
static_assert(sizeof(struct wr_record_bundle) % 8 == 0, "arrays follow aligned");
/* What is never cut leaves room for a path of its full length. */
static_assert(sizeof(struct wr_record) + WR_RECORD_VIEWS * sizeof(struct wr_record_view) +
                              WR_RECORD_MATCHES * sizeof(struct wr_record_match) +
                              WR_RECORD_BUNDLES * sizeof(struct wr_record_bundle) + 1024 + 256 <=
                      WR_RECORD_MAX,
              "a slot holds the arrays and the path");

#endif
