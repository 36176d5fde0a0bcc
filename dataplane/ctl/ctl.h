/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ctl - the dataplane's end of the control socket, and the life of rulesets.
 *
 * takes    the workers, the areas to share (stats, rings) as sealed memfds, the configuration
 * gives    rulesets to the workers; answers to control (abi/msg.h)
 * owns     run_dir/dataplane.sock and its lock; mapped shards; every ruleset until no upload needs
 * it threads  main lcore only; speaks to workers through their atomics limits   one connection;
 * WR_RULESETS_MAX generations mapped, a stage beyond gets EAGAIN; WR_CTL_COMMIT_NS for all workers
 * to take a ruleset, then the answer is ETIMEDOUT (and it stays in force) fails    _new: NULL and
 * one line in err. A message that is not exactly one of ours ends the connection, never the
 * process; without control the dataplane goes on as it was. see      tests/unit/ctl, tests/fuzz/ctl
 */
#ifndef WR_CTL_CTL_H
#define WR_CTL_CTL_H

#include "abi/conf.h"
#include "abi/stats.h"
#include "worker/worker.h"

#define WR_CTL_COMMIT_NS 5000000000ull
#define WR_CTL_LOOK_NS   1000000000ull /* for one worker to answer a QUERY */

struct wr_ctl;
struct wr_trace_file;

struct wr_ctl_args {
	const struct wr_conf *conf;
	struct wr_worker *const *worker; /* conf->nworkers; filled before the first poll */
	struct wr_stats_head *stats;
	int stats_fd;
	int record_fd[WR_WORKERS_MAX], event_fd[WR_WORKERS_MAX];
	uint64_t stats_bytes, record_bytes, event_bytes; /* sizes of the memfds */
	/* The writer of a trace's file; NULL: this dataplane cannot trace. _open takes fd, also
	 * when it fails; 0 or -errno. _frame: not 0 = no room, the trace ends. */
	void *trace_ctx;
	int (*trace_open)(void *ctx, int fd, struct wr_trace_file **out);
	int (*trace_frame)(void *ctx, struct wr_trace_file *f, uint32_t worker,
	                   const struct wr_trace_frame *frame);
	void (*trace_close)(void *ctx, struct wr_trace_file *f);
};

/* Takes the socket: fails at once when a live process has it. a->worker etc. are read later. */
WR_MUST_USE struct wr_ctl *wr_ctl_new(const struct wr_ctl_args *a, char *err, size_t n);
void wr_ctl_free(struct wr_ctl *c); /* the workers must have stopped; frees every ruleset */

/* Waits at most timeout_ms for control, does what it asks, lets go of rulesets that are drained. */
void wr_ctl_poll(struct wr_ctl *c, int timeout_ms);
bool wr_ctl_draining(const struct wr_ctl *c);       /* control asked for a drain */
uint64_t wr_ctl_generation(const struct wr_ctl *c); /* in force; 0 = none */

#endif
