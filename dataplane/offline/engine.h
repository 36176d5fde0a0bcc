/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * engine - the dataplane's scanners over a file: pattern scan, digests, lookup, verdict; no ports.
 *
 * takes    a folder of compiled shards and the meta shard's hash; files, and how to cut them
 * gives    one result per file and cut: what a worker would have found and decided
 * owns     the ruleset, one stream, one digest slot
 * threads  one
 * limits   WR_OFFLINE_MATCHES matches of one file are named
 * fails    new: -errno and a line in err; scan: the result says error
 *
 * Why it calls the same rooms as a worker and has no scanner of its own: a test of a rule that
 * passes here and fails on the wire would be worse than no test.
 */
#ifndef WR_OFFLINE_ENGINE_H
#define WR_OFFLINE_ENGINE_H

#include "abi/conf.h"
#include "handoff/decision.h"
#include "ruleset/ruleset.h"

#define WR_OFFLINE_MATCHES 256u

struct wr_offline;

struct wr_offline_conf {
	const char *dir, *region;
	uint8_t meta[32];
	uint32_t canary; /* 0..999999: the arm of every file */
};

struct wr_offline_result {
	uint64_t bytes, scanned;
	char type[64]; /* sniffed, or what the job said; "" = unknown */
	struct wr_digests digests;
	struct wr_match match[WR_OFFLINE_MATCHES];
	uint32_t nmatches;
	struct wr_decision decision;
	uint8_t found;    /* enum wr_verdict if every shadow and canary item were enforced */
	uint8_t more;     /* more matches than are named */
	uint8_t failed;   /* an engine failed */
	int32_t io_error; /* -errno of reading the file, 0 = none */
};

WR_MUST_USE int wr_offline_new(const struct wr_offline_conf *c, struct wr_offline **out, char *err,
                               size_t size);
void wr_offline_free(struct wr_offline *o);
const struct wr_ruleset *wr_offline_ruleset(const struct wr_offline *o);

/* Reads fd to its end in pieces of `cut` bytes (0 = as large as the reader's buffer). type NULL:
 * sniffed. */
void wr_offline_scan(struct wr_offline *o, int fd, uint64_t cut, const char *type,
                     struct wr_offline_result *out);

#endif
