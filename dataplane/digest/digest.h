/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * digest - MD5, SHA-1 and SHA-256 of many uploads at once, one upload per SIMD lane.
 *
 * takes    pieces; with an owner it keeps a reference until the bytes are digested, without one it
 *          consumes them before it returns
 * gives    finished digests, polled
 * owns     digest state in fixed slots; references on mbufs it still has to read
 * threads  one struct wr_digest per worker
 * limits   slots; WR_DIGEST_QUEUE pieces waiting per slot (then it runs at once); a piece waits at
 * most WR_DIGEST_DEADLINE_NS for lanes to fill; a slot that was ended is never delayed longer fails
 * open: 0 and WR_R_DIGEST_LIMIT see      docs/concepts/digest.md, tests/unit/digest,
 * tests/fuzz/fuzz_digest.c
 */
#ifndef WR_DIGEST_DIGEST_H
#define WR_DIGEST_DIGEST_H

#include "abi/record.h"
#include "handoff/piece.h"
#include "lcore/lcore.h"

#define WR_DIGEST_QUEUE       64u
#define WR_DIGEST_DEADLINE_NS 50000ull

struct wr_digest;

enum wr_digest_engine {
	WR_DIGEST_AUTO,
	WR_DIGEST_PORTABLE,
	WR_DIGEST_SHANI,
	WR_DIGEST_AVX2,
	WR_DIGEST_AVX512
};

/* Process-wide, at boot: measures for a few ms which engine wins per number of lanes filled. */
enum wr_digest_engine wr_digest_choose(enum wr_digest_engine want);
const char *wr_digest_engine_name(enum wr_digest_engine e);

WR_MUST_USE struct wr_digest *wr_digest_new(uint32_t slots, enum wr_digest_engine e);
void wr_digest_free(struct wr_digest *d);

/* algos: WR_HAS_MD5 | WR_HAS_SHA1 | WR_HAS_SHA256; 0 returned when no slot is left. */
uint32_t wr_digest_open(struct wr_lcore *lc, struct wr_digest *d, uint32_t algos);
void wr_digest_feed(struct wr_lcore *lc, struct wr_digest *d, uint32_t slot,
                    const struct wr_piece *piece);
/* Fetches what the next feed of this slot touches, a few frames ahead. */
void wr_digest_warm(const struct wr_digest *d, uint32_t slot);
/* No more bytes; the slot turns up in wr_digest_done() when its digests stand. */
void wr_digest_end(struct wr_lcore *lc, struct wr_digest *d, uint32_t slot);
/* Digests what is worth digesting now: full lanes, pieces past the deadline, ended slots. */
void wr_digest_run(struct wr_lcore *lc, struct wr_digest *d);
/* True when something still waits (a worker that goes idle runs it dry). */
bool wr_digest_pending(const struct wr_digest *d);
/* Slots that ended and are ready, each once. */
uint32_t wr_digest_done(struct wr_digest *d, uint32_t *slot, uint32_t max);
void wr_digest_result(const struct wr_digest *d, uint32_t slot, struct wr_digests *out);
/* Bytes digested so far; those that wait in pieces are not, and without algorithms it stays 0. */
uint64_t wr_digest_bytes(const struct wr_digest *d, uint32_t slot);
/* Gives the slot back; queued pieces are let go unread. */
void wr_digest_close(struct wr_digest *d, uint32_t slot);

/*
 * A second slot that stands where this one stands: its digests end here, the first one goes on.
 * What waits in the first is digested now. 0: no slot is left (counted).
 */
WR_MUST_USE uint32_t wr_digest_fork(struct wr_lcore *lc, struct wr_digest *d, uint32_t slot);

/* Midstate: carry a digest from one request to the next (objects in several requests). */
struct wr_digest_state {
	uint8_t bytes[512];
};
void wr_digest_save(struct wr_lcore *lc, struct wr_digest *d, uint32_t slot,
                    struct wr_digest_state *out);
uint32_t wr_digest_resume(struct wr_lcore *lc, struct wr_digest *d,
                          const struct wr_digest_state *in);

#endif
