/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * life - the bundles of this machine: received, verified, in force, rolled back, lowered.
 *
 * takes    archives that anybody may have pushed; the trust of the local configuration; orders of
 *          operators, with who they are
 * gives    folders of verified bundles to `activate`, which compiles them and puts them in force
 * owns     a 0700 folder: per bundle name the versions, the version floor, the overlay, the history
 * threads  any; one change at a time, the second is told -EBUSY
 * limits   WR_LIFE_*
 * fails    -errno and struct wr_refusal. What fails leaves the last good bundle in force
 * see      docs/rules/staging.md, tests/unit/life
 *
 * Everything is written aside, synced and renamed; whoever is killed at any point leaves a folder
 * from which wr_life_new() finds the same bundle in force as the dataplane has. The version floor
 * is on the disk before a version can be in force: after a crash it may be too high, never too low.
 */
#ifndef WR_LIFE_LIFE_H
#define WR_LIFE_LIFE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "bundle/ship.h"

#define WR_LIFE_BUNDLES_MAX 8u  /* names in force at once */
#define WR_LIFE_KEEP        8u  /* versions kept for a rollback, per name */
#define WR_LIFE_HISTORY     64u /* entries of history kept, per name */
#define WR_LIFE_OVERLAY_MAX 1000u
#define WR_LIFE_WHO_MAX     64u

/* --- the machine ---------------------------------------------------------------------------------
 */

#define WR_LIFE_STATES(X)                                                                          \
	X(RECEIVED, "received")                                                                    \
	X(VERIFIED, "verified")                                                                    \
	X(COMPILED, "compiled")                                                                    \
	X(STAGED, "staged")                                                                        \
	X(ACTIVE, "active")                                                                        \
	X(DRAINING, "draining")                                                                    \
	X(RETIRED, "retired")                                                                      \
	X(REJECTED, "rejected")

#define WR_LIFE_EVENTS(X)                                                                          \
	X(SIG_OK, "signatures, sums and version are good")                                         \
	X(COMPILE_OK, "weir-compile made shards of it")                                            \
	X(STAGE_ACK, "the dataplane has its shards")                                               \
	X(COMMIT_ACK, "every worker uses it for new uploads")                                      \
	X(SUPERSEDED, "another version is in force")                                               \
	X(DRAINED, "no upload is judged by it any more")                                           \
	X(REVIVED, "an operator rolled back to it")                                                \
	X(FAIL, "a step failed")

enum wr_life_state {
#define X(e, s) WR_LIFE_##e,
	WR_LIFE_STATES(X)
#undef X
	        WR_LIFE_STATE_COUNT
};

enum wr_life_event {
#define X(e, s) WR_LIFE_ON_##e,
	WR_LIFE_EVENTS(X)
#undef X
	        WR_LIFE_EVENT_COUNT
};

/* The next state, or -EPROTO: the step is not legal. */
WR_MUST_USE int wr_life_next(enum wr_life_state s, enum wr_life_event e);
const char *wr_life_state_name(enum wr_life_state s);

/* --- the life ------------------------------------------------------------------------------------
 */

struct wr_life;

struct wr_life_conf {
	const char *dir;
	const struct wr_ship_trust *(*find)(void *ctx, const char *name);
	void *find_ctx;
	/*
	 * Compiles the folders as one ruleset and puts it in force; waits for it. 200: every worker
	 * uses it; 202: kept, the dataplane gets it when it is there; 202 with "state": "staged":
	 * kept until a generation has drained, and what was in force stays; else refused, and what
	 * was in force stays. *reply is what there is to say.
	 */
	int (*activate)(void *ctx, const char *const *dir, unsigned n, json_t **reply);
	/* Tries again what is staged; 404: nothing is. NULL: nothing ever is. */
	int (*resume)(void *ctx, json_t **reply);
	void *activate_ctx;
	/* A version came into force in the place of another (0 = none); must not wait. NULL: nobody
	 * asks. */
	void (*activated)(void *ctx, const char *name, uint64_t version, uint64_t was);
	struct wr_ship_limits limits;
	uint64_t (*now)(void);        /* unix seconds; NULL: the clock. A test jumps with it */
	uint64_t (*free_bytes)(void); /* memory that can be had; NULL: MemAvailable */
};

WR_MUST_USE int wr_life_new(const struct wr_life_conf *c, struct wr_life **out, char *err,
                            size_t n);
void wr_life_free(struct wr_life *l);
/* What is in force according to the loader ({"bundles": [{name, version}]}): settles what a crash
 * left. */
void wr_life_reconcile(struct wr_life *l, const json_t *active);

/* Compiles and activates again what the document says is in force; 404: nothing is. At boot only.
 */
int wr_life_restore(struct wr_life *l, json_t **reply);

/* A .weir by fd. *reply: {"ok", "name", "version", "state", "code"?, "error"?}; gives an HTTP
 * status. */
int wr_life_push(struct wr_life *l, int fd, const char *who, json_t **reply);

struct wr_life_order {             /* what an operator asks for */
	const char *bundle, *item; /* item: "rule:ID", "list:ID" or a glob of them */
	const char *reason, *ticket, *who;
	const char *to;     /* promote: off | shadow | canary | enforce */
	const char *digest; /* suppress: one entry, "md5:HEX" */
	uint64_t version;   /* rollback: 0 = the one before */
	uint64_t expires;   /* unix seconds, 0 = until lifted */
	double percent;     /* canary */
	bool hold;          /* rollback: pushes do not end it */
};
int wr_life_rollback(struct wr_life *l, const struct wr_life_order *o, json_t **reply);
/* Lowers an item below its signed mode, or lifts that; never above it. */
int wr_life_promote(struct wr_life *l, const struct wr_life_order *o, json_t **reply);
int wr_life_suppress(struct wr_life *l, const struct wr_life_order *o, json_t **reply);

/* Everything there is to know; new reference. */
json_t *wr_life_status(struct wr_life *l);
/* Now and then: ends overlays that expired, retires what has drained (all generations below
 * oldest), puts in force what waited for that. */
void wr_life_tick(struct wr_life *l, uint64_t oldest_generation);
/* How many names have a version that waits for a drain. */
unsigned wr_life_waiting(struct wr_life *l);
/* Compiles and activates again what is in force: a suppression in it has ended. A status; 404: no
 * bundle was pushed. */
WR_MUST_USE int wr_life_refresh(struct wr_life *l);

#endif
