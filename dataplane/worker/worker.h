/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker - the run loop of one lcore; the one file that knows the order of the stages.
 *
 * takes    ports, pools, stats page and rings made at boot; rulesets published by the main lcore
 * gives    frames to the other side; verdict records and events to its rings
 * owns     every table of its lcore: connections, segments kept, uploads, scanners
 * threads  _new/_free: boot. _turn: the worker's thread. _publish, _seen, _drain: main lcore
 * (atomics). limits   one turn handles at most one burst from each side and conf->turn_bytes of
 * payload fails    _new: NULL and one line in err see      docs/concepts/one-burst.md
 */
#ifndef WR_WORKER_WORKER_H
#define WR_WORKER_WORKER_H

#include "abi/look.h"
#include "abi/wire.h"
#include "digest/digest.h"
#include "lcore/lcore.h"
#include "port/port.h"
#include "ruleset/ruleset.h"
#include "scan/scan.h"

struct wr_worker;

struct wr_worker_args {
	const struct wr_conf *conf;
	uint32_t id; /* index into conf->worker */
	struct wr_port client, store;
	struct wr_pools pools;
	struct wr_stats *stats;
	struct wr_ring *records, *events; /* NULL: records count as lost, events are not written */
	struct wr_mix_key key;            /* same for all workers of a link */
	uint64_t seed;                    /* for ids */
	enum wr_digest_engine digest;
	/* Other workers of the link, by index among them; exchange rings come with several workers.
	 */
	uint32_t index, peers;
	struct rte_ring *to[WR_WORKERS_MAX], *from[WR_WORKERS_MAX]; /* NULL where there is none */
	/* The link's XDP page (abi/wire.h), or NULL. Each turn begins by reading its epoch (a new
	 * one is a wr_worker_epoch()) and ends with wr_wire_beat(wire, index, now, epoch). */
	struct wr_wire_shared *wire;
};

WR_MUST_USE struct wr_worker *wr_worker_new(const struct wr_worker_args *a, char *err, size_t n);
void wr_worker_free(struct wr_worker *w);
/* Boot, all workers of one link: each upload key that comes in several requests gets one owner. */
WR_MUST_USE int wr_worker_join(struct wr_worker *const *w, uint32_t n);

/* One turn of the loop. now_ns: monotonic; real_ns: CLOCK_REALTIME. Returns frames handled. */
uint32_t wr_worker_turn(struct wr_worker *w, uint64_t now_ns, uint64_t real_ns);

/* Main lcore: requests that begin from now on are judged by rs (NULL: none). */
void wr_worker_publish(struct wr_worker *w, struct wr_ruleset *rs);
/* Main lcore: the generation that the worker's last turn used; UINT64_MAX = none yet. A ruleset may
 * be freed when every worker has seen a newer one and its open count is 0. */
uint64_t wr_worker_seen(const struct wr_worker *w);
/* Main lcore: on: no new connections are taken for inspection from now on (policy on_overload
 * decides); off: as before. */
void wr_worker_drain(struct wr_worker *w, bool on);
/* Main lcore: the wire opened or closed; open connections become midstream, held frames are
 * dropped. */
void wr_worker_epoch(struct wr_worker *w, uint64_t epoch);
struct wr_scan *wr_worker_scan(struct wr_worker *w);
/* True when no connection holds a frame and no upload is active (drain is over). */
bool wr_worker_idle(const struct wr_worker *w);

/*
 * Main lcore: a question about the connections that fit the filter (enum wr_look_what). False: the
 * worker has not answered the last one yet; it does not turn. Then ask for rows until they are
 * there: NULL is not yet. They are lent until wr_worker_look_on(), which asks for the next ones
 * where there are more.
 */
WR_MUST_USE bool wr_worker_look(struct wr_worker *w, uint32_t what, const struct wr_look_filter *f);
const struct wr_look_row *wr_worker_look_rows(struct wr_worker *w, uint32_t *n, bool *more);
void wr_worker_look_on(struct wr_worker *w);

/*
 * Main lcore: copy the frames of this client from now on, headers or all of them; NULL ends it.
 * False: the worker has not yet seen the end of the last trace. Frames are taken one by one; when
 * nobody does, later ones are counted (TRACE_RING_FULL), not kept.
 */
bool wr_worker_trace(struct wr_worker *w, const struct wr_look_filter *f, bool payload);
const struct wr_trace_frame *wr_worker_traced(struct wr_worker *w); /* NULL: none */
void wr_worker_trace_pop(struct wr_worker *w, const struct wr_trace_frame *f);

#endif
