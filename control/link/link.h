/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * link - weir-control's side of run_dir/dataplane.sock (abi/msg.h).
 *
 * takes    the run folder; compiled shards as files named by their SHA-256
 * gives    sessions (the dataplane's stats and rings, mapped and validated), status, pushed
 * rulesets owns     one thread that connects for ever, asks for status and pushes the active
 * ruleset again after the dataplane restarted lends    a session between wr_session_get() and
 * wr_session_put(): its memory stays mapped even when the dataplane is gone, so that the last
 * records of a dead dataplane are still read threads  every call from any thread; requests are
 * serialised, one at a time limits   WR_LINK_SHARDS_MAX shards a ruleset; a time limit for each
 * kind of request fails    -errno and one line in err. An answer that is late or does not fit
 * closes the connection: the dataplane is not believed, and out of step is worse than gone see
 * docs/concepts/two-processes.md, tests/unit/link
 */
#ifndef WR_LINK_LINK_H
#define WR_LINK_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/msg.h"
#include "abi/ring.h"
#include "abi/stats.h"
#include "base/base.h"

#define WR_LINK_SHARDS_MAX 1024u
#define WR_LINK_ERR        256u

/* --- sessions -----------------------------------------------------------------------------------
 */

struct wr_mapped_ring {
	struct wr_ring *ring; /* writable: the consumer owns `tail` */
	uint64_t size;        /* of data[], validated once; the copy inside is never read again */
	size_t mapped;
};

struct wr_session { /* one life of the dataplane */
	uint64_t boot_id;
	uint32_t workers, pid;
	const struct wr_stats_head *stats; /* read-only mapping; pages follow the head */
	size_t stats_bytes;
	struct wr_mapped_ring records[WR_WORKERS_MAX], events[WR_WORKERS_MAX];
	unsigned refs; /* under the link's lock */
};

static inline const struct wr_stats *wr_session_stats(const struct wr_session *s, uint32_t worker)
{
	return (const struct wr_stats *)(const void *)(s->stats + 1) + worker;
}

/* Validates what WELCOME brought and maps it. Takes no fd. For link and tests. */
WR_MUST_USE int wr_session_new(const struct wr_msg_welcome *w, const int *fds, unsigned nfds,
                               struct wr_session **out, char *err);
void wr_session_free(struct wr_session *s);

/* --- the link ------------------------------------------------------------------------------------
 */

struct wr_link;

struct wr_shard_ref {
	uint8_t sha256[32];
	uint64_t bytes;
};

struct wr_ruleset_files { /* what weir-compile left: dir/<hex>.shard, the meta shard among them */
	char dir[256];
	uint8_t meta[32];
	unsigned nshards;
	struct wr_shard_ref shard[WR_LINK_SHARDS_MAX];
};

struct wr_link_status {         /* a snapshot */
	bool connected, synced; /* synced: the dataplane uses the active ruleset */
	uint64_t since_ns;      /* CLOCK_REALTIME of the last connect or loss */
	uint64_t connects, push_failures;
	struct wr_msg_welcome welcome;
	struct wr_msg_status last; /* of the latest STATUS_REPLY */
	char error[WR_LINK_ERR];   /* why it is not connected or not synced; "" = no reason */
};

/* Makes the object; wr_link_start() starts its thread. */
WR_MUST_USE int wr_link_new(const char *run_dir, struct wr_link **out);
WR_MUST_USE int wr_link_start(struct wr_link *l);
void wr_link_free(struct wr_link *l); /* stops the thread; sessions that are lent stay valid */

void wr_link_status(struct wr_link *l, struct wr_link_status *out);

/* The current (or last) session, or NULL when there never was one. */
struct wr_session *wr_session_get(struct wr_link *l);
void wr_session_put(struct wr_link *l, struct wr_session *s);

/*
 * Pushes the shards, stages and commits. 0 = every worker uses it for new requests. The files must
 * stay in place while the ruleset is active (wr_link_set_active()). -EAGAIN: as many generations as
 * a dataplane holds are in use by uploads; come again when one has drained.
 */
WR_MUST_USE int wr_link_push(struct wr_link *l, const struct wr_ruleset_files *rs,
                             uint64_t *generation, char *err);
/* What a restarted dataplane gets; copied. NULL: nothing. */
void wr_link_set_active(struct wr_link *l, const struct wr_ruleset_files *rs);

/*
 * DRAIN, WIRE: `out` is the answer. *fd (may be NULL) takes the answer's memfd, or -1. A
 * negative result is the link's; the dataplane's own refusal stands in out->error.
 */
WR_MUST_USE int wr_link_ask(struct wr_link *l, enum wr_msg_type type, uint32_t what, uint64_t arg,
                            const char *name, struct wr_msg_result *out, int *fd, char *err);

/* QUERY and TRACE: q's seq is the link's business; else as wr_link_ask(). */
WR_MUST_USE int wr_link_look(struct wr_link *l, enum wr_msg_type type, struct wr_msg_look *q,
                             struct wr_msg_result *out, int *fd, char *err);

/* 64 hex digits and back. */
void wr_hex_put(const uint8_t *p, size_t n, char *out);
WR_MUST_USE int wr_hex_get(const char *hex, uint8_t *out, size_t n);

#endif
