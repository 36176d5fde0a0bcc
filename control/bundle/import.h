/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * import - from the bytes of a list file to entries. Private to this room.
 *
 * takes    the bytes in order, in pieces of any size: where the pieces are cut changes nothing
 * gives    entries to the callback of the job, counts to its stats, bad lines to its errors
 * owns     buffers of bounded size; for formats whose withdrawals name an entry and not a digest
 *          (NCMEC) the keys of the withdrawn entries, WR_IMPORT_DELETIONS_MAX of them
 * fails    -errno; the errors say what stands where
 *
 *      wr_import_new -> { feed ... end } -> 1: the same bytes once more, from the start -> ... -> 0
 */
#ifndef WR_BUNDLE_IMPORT_H
#define WR_BUNDLE_IMPORT_H

#include "bundle/bundle.h"

#define WR_IMPORT_DELETIONS_MAX 4000000u
#define WR_IMPORT_SNIFF_BYTES   65536u
#define WR_IMPORT_FIELD_MAX     192u /* holds every digest in hex; longer fields cannot be one */

struct wr_import_job {
	const struct wr_bundle_list *list;
	uint64_t
	        now; /* unix seconds; entries that the source lets expire before it are withdrawn */
	int (*entry)(void *ctx, const struct wr_list_entry *e);
	void *ctx;
	struct wr_list_stats *stats;
	struct wr_bundle_errors *errors;
};

struct wr_import;

WR_MUST_USE int wr_import_new(const struct wr_import_job *job, struct wr_import **out);
WR_MUST_USE int wr_import_feed(struct wr_import *im, const uint8_t *p, size_t n);
WR_MUST_USE int wr_import_end(struct wr_import *im);
void wr_import_free(struct wr_import *im);

/* --- for the formats ------------------------------------------------------------------------- */

struct wr_found { /* what a record says about its digest, beside the digest */
	const char *id;
	uint64_t size;
	uint32_t quality;
	bool deleted;
};
#define WR_FOUND_NONE ((struct wr_found){ .id = "", .size = UINT64_MAX, .quality = 100 })

struct wr_import_format { /* one family of formats; state is made on the first feed */
	int (*start)(struct wr_import *im);
	int (*feed)(struct wr_import *im, const uint8_t *p, size_t n);
	int (*end)(struct wr_import *im);
	void (*free)(struct wr_import *im);
};

struct wr_import {
	struct wr_import_job job;
	const struct wr_import_format *ops;
	void *state;
	uint64_t line;             /* of the record at hand */
	uint64_t record, reported; /* number of the record at hand, of the last bad one */
	int rc;                    /* first fatal error; sticky */
	uint8_t format, pass, started;
	uint8_t *sniff;
	size_t nsniff;
};

#define WR_ALGO_UNSUPPORTED WR_ALGO_COUNT        /* a kind of hash that Weir does not match */
#define WR_ALGO_ANY         (WR_ALGO_COUNT + 1u) /* by the number of digits */

/* One digest in hex. Something that is no digest makes the line bad (once a line). */
void wr_import_hex(struct wr_import *im, unsigned algo, const char *hex, size_t n,
                   const struct wr_found *f);
void wr_import_bad(struct wr_import *im, const char *why, const char *text, size_t n);
/* The file as a whole cannot be read on. */
int wr_import_fatal(struct wr_import *im, uint64_t line, const char *fmt, ...) WR_PRINTF(3, 4);
/* Name as lists write it ("SHA-256", "HASH_VIDEO_MD5", "pdq") -> enum wr_algo or UNSUPPORTED. */
unsigned wr_import_algo(const char *name);
bool wr_import_wanted(const struct wr_import *im, const char *category);
/* Letters and digits of s in lower case: names of columns and algorithms are written in many ways.
 */
void wr_import_fold(const char *s, char *out, size_t size);

extern const struct wr_import_format wr_import_text, wr_import_json, wr_import_xml;

/* AUTO when the bytes say nothing. */
enum wr_list_format wr_import_sniff(const char *path, const uint8_t *p, size_t n);

#endif
