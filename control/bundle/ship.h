/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ship - a bundle on its way: files and their sums, archive, signatures, and who may ship what.
 *
 * takes    folders and archives that anybody may have made; keys and trust from local configuration
 * gives    a .weir archive that is the same bytes for the same folder; a folder unpacked from one,
 * with nothing in it that the sums do not name; the keys that really signed it owns     nothing
 * between calls threads  any limits   struct wr_ship_limits, WR_SHIP_* fails    -errno, and struct
 * wr_refusal says which rule was broken: its code is a metric label see docs/rules/shipping.md,
 * tests/unit/bundle/test_ship.c
 *
 * The order matters and is kept by wr_ship_verify(): nothing of a bundle is parsed before its
 * signature stands, except the tar headers and the sums themselves.
 */
#ifndef WR_BUNDLE_SHIP_H
#define WR_BUNDLE_SHIP_H

#include "bundle/bundle.h"

#define WR_SHIP_PATH_MAX       255u
#define WR_SHIP_DEPTH_MAX      6u
#define WR_SHIP_SIGNATURES_MAX 16u
#define WR_SHIP_SUMS           "SHA256SUMS"
#define WR_SHIP_KEYS_MAX       32u /* keys that one bundle name may trust */

/* X(enum, label, help) */
#define WR_REFUSALS(X)                                                                             \
	X(NONE, "none", "")                                                                        \
	X(IO, "io", "a file could not be read or written here; says nothing about the bundle")     \
	X(NO_SPACE, "no_space", "the disk is full")                                                \
	X(BAD_ARCHIVE, "bad_archive", "not tar with zstd, truncated or damaged")                   \
	X(TOO_LARGE, "too_large", "more bytes, packed or unpacked, than the limit")                \
	X(TOO_MANY_FILES, "too_many_files", "more files than the limit")                           \
	X(BAD_PATH, "bad_path", "a file name that is absolute, climbs, or has odd characters")     \
	X(BAD_TYPE, "bad_type", "a link, device or other thing that is not a file")                \
	X(DUPLICATE, "duplicate", "two entries of one name")                                       \
	X(NO_SUMS, "no_sums", "SHA256SUMS is missing")                                             \
	X(BAD_SUMS, "bad_sums", "a line of SHA256SUMS is malformed or stands twice")               \
	X(EXTRA_FILE, "extra_file", "a file that SHA256SUMS does not name")                        \
	X(MISSING_FILE, "missing_file", "SHA256SUMS names a file that is not there")               \
	X(SUM_MISMATCH, "sum_mismatch", "a file differs from its sum")                             \
	X(NOT_TRUSTED, "not_trusted", "weir.yaml trusts no key for a bundle of this name")         \
	X(UNSIGNED, "unsigned", "no signature of a trusted key")                                   \
	X(BAD_SIGNATURE, "bad_signature", "a signature of a trusted key that does not verify")     \
	X(WRONG_NAME, "wrong_name", "signature and manifest name different bundles or versions")   \
	X(UNDER_SIGNED, "under_signed", "fewer keys than the threshold may ship a rule or list")   \
	X(BAD_BUNDLE, "bad_bundle", "the bundle does not load; see the errors")                    \
	X(EXPIRED, "expired", "the bundle had expired when it was pushed")                         \
	X(NOT_NEWER, "not_newer", "its version is not above the highest ever accepted")            \
	X(HELD, "held", "an operator holds an earlier version in force")                           \
	X(BUDGET, "budget", "it exceeds the budgets of its manifest")                              \
	X(MEMORY, "memory", "not enough memory is free to hold it beside the old one")             \
	X(COMPILE, "compile", "weir-compile refused it")                                           \
	X(COMPILER, "compiler", "weir-compile crashed or took too long")                           \
	X(DATAPLANE, "dataplane", "the dataplane refused or did not answer")

enum wr_refusal_code {
#define X(e, s, h) WR_REFUSE_##e,
	WR_REFUSALS(X)
#undef X
	        WR_REFUSE_COUNT
};

struct wr_refusal {
	enum wr_refusal_code code;
	char text[320]; /* one line for people */
};

const char *wr_refusal_name(enum wr_refusal_code c);
const char *wr_refusal_help(enum wr_refusal_code c);
/* Sets code and text; gives -EPERM for the policy codes, -EBADMSG for the rest. */
int wr_refuse(struct wr_refusal *r, enum wr_refusal_code c, const char *fmt, ...) WR_PRINTF(3, 4);

/* --- files and sums --------------------------------------------------------------------------- */

struct wr_ship_limits {
	uint64_t packed_bytes, unpacked_bytes;
	uint32_t files;
};
#define WR_SHIP_LIMITS_DEFAULT                                                                     \
	((struct wr_ship_limits){                                                                  \
	        .packed_bytes = 8ull << 30, .unpacked_bytes = 32ull << 30, .files = 8192 })

struct wr_ship_file {
	char *path;
	uint64_t bytes;
};
struct wr_ship_files {
	struct wr_ship_file *file; /* sorted by path, bytewise */
	uint32_t n, room;
};

/* All regular files below dirfd; hidden names are left out with skip_hidden, else refused. */
WR_MUST_USE int wr_ship_walk(int dirfd, bool skip_hidden, struct wr_ship_files *out,
                             struct wr_refusal *r);
void wr_ship_files_free(struct wr_ship_files *f);
/* Writes SHA256SUMS over every file but itself and the signatures. */
WR_MUST_USE int wr_ship_sums_write(int dirfd, struct wr_refusal *r);
/* Exactly the set that SHA256SUMS names, with exactly these contents. */
WR_MUST_USE int wr_ship_sums_check(int dirfd, struct wr_refusal *r);
WR_MUST_USE int wr_ship_sha256(int dirfd, const char *path, uint8_t out[32]);

/* --- archive -----------------------------------------------------------------------------------
 */

/* The folder (with SHA256SUMS) as tar + zstd to out_fd; every entry gets mtime. Hidden files stay
 * out. */
WR_MUST_USE int wr_ship_pack(int dirfd, uint64_t mtime, int out_fd, struct wr_refusal *r);
/* Unpacks into the empty folder dirfd. */
WR_MUST_USE int wr_ship_unpack(int in_fd, int dirfd, const struct wr_ship_limits *l,
                               struct wr_refusal *r);

/* --- minisign ------------------------------------------------------------------------------------
 */

struct wr_public_key {
	uint8_t id[8], key[32];
};
struct wr_secret_key {
	uint8_t id[8], key[64];
};
struct wr_signature {
	uint8_t id[8], sig[64], global[64];
	bool prehashed;
	char comment[256]; /* the trusted one */
};

/* Text of a .pub file, or the bare base64 line. */
WR_MUST_USE int wr_minisign_public(const char *text, size_t n, struct wr_public_key *out);
WR_MUST_USE int wr_minisign_secret(const char *text, size_t n, const char *password,
                                   struct wr_secret_key *out);
WR_MUST_USE int wr_minisign_signature(const char *text, size_t n, struct wr_signature *out);
/* 0 when sig over msg and its trusted comment verify. */
WR_MUST_USE int wr_minisign_verify(const struct wr_public_key *k, const struct wr_signature *s,
                                   const uint8_t *msg, size_t n);
/* Writes the text of a .minisig file; comment is one line. */
WR_MUST_USE int wr_minisign_sign(const struct wr_secret_key *k, const uint8_t *msg, size_t n,
                                 const char *comment, char *out, size_t size);
/* Texts of a new pair; password NULL = the secret key is not encrypted. */
WR_MUST_USE int wr_minisign_keygen(const char *password, char *pub, size_t pub_size, char *sec,
                                   size_t sec_size);
void wr_minisign_id(const uint8_t id[8], char out[17]);

/* --- trust ---------------------------------------------------------------------------------------
 */

struct wr_ship_key {
	struct wr_public_key key;
	char name[64];          /* for messages: the file's name */
	const char *const *may; /* globs over "rule:ID", "list:ID"; lent */
	uint32_t nmay;
};

struct wr_ship_trust { /* what local configuration says about bundles of one name */
	char bundle[WR_BUNDLE_NAME_MAX + 1];
	struct wr_ship_key key[WR_SHIP_KEYS_MAX];
	uint32_t nkeys, threshold;
	bool allow_unsigned; /* a lab */
};

struct wr_verified {
	uint32_t signers;                  /* bit i: key i of the trust signed */
	char name[WR_BUNDLE_NAME_MAX + 1]; /* from the signatures' trusted comment */
	uint64_t version;
	uint8_t sums_sha256[32]; /* SHA-256 of SHA256SUMS: the identity of the bundle */
};

/*
 * Sums, signatures, then the manifest, then each item's threshold. `find` gives the trust of a
 * name, or NULL. On success *out is the loaded bundle. Nothing inside the bundle decides whom to
 * trust.
 */
WR_MUST_USE int wr_ship_verify(int dirfd,
                               const struct wr_ship_trust *(*find)(void *ctx, const char *name),
                               void *ctx, struct wr_verified *v, struct wr_bundle **out,
                               struct wr_bundle_errors *e, struct wr_refusal *r);

#endif
