/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main - the parts of weir-dataplane: configuration, EAL, memory shared with control, workers.
 *
 * threads  everything here runs on the main lcore, except wr_run_worker()
 * fails    0 or -errno and one line in err (WR_ERR bytes) that says what to do
 */
#ifndef WR_MAIN_MAIN_H
#define WR_MAIN_MAIN_H

#include "abi/conf.h"
#include "abi/stats.h"
#include "ctl/ctl.h"
#include "port/eth.h"
#include "worker/worker.h"
#include "xdp/xdp.h"

#define WR_ERR 400u

/* --- conf.c: the file, and what can be known before EAL */

/* Maps and checks FILE. The structure stays mapped, read-only, for the life of the process. */
WR_MUST_USE int wr_main_conf(const char *file, const struct wr_conf **out, char *err);
/* Cores online, interfaces there, hugepages enough. */
WR_MUST_USE int wr_main_preflight(const struct wr_conf *c, char *err);
/* Bytes of mbuf pools that EAL will be asked for. */
uint64_t wr_main_pool_bytes(const struct wr_conf *c);
/* Workers of a link, and this one's index among them (its queue). */
uint32_t wr_main_peers(const struct wr_conf *c, uint32_t link);

struct wr_main_sizes { /* of one worker's pools, in mbufs */
	uint32_t rx, small, large, gen;
};
struct wr_main_sizes wr_main_sizes(const struct wr_conf *c, uint32_t link);

/* --- eal.c */

#define WR_EAL_ARGS 64u
struct wr_eal_args {
	int argc;
	char *argv[WR_EAL_ARGS];
	char text[WR_EAL_ARGS][640];
};
void wr_eal_build(const struct wr_conf *c, struct wr_eal_args *a);
WR_MUST_USE int wr_eal_start(const struct wr_conf *c, char *err);
/* The EAL lcore of worker i: main is 0. */
#define WR_LCORE_OF(i) ((i) + 1u)

/* --- share.c: memfds that control maps */

struct wr_share {
	struct wr_stats_head *head;
	struct wr_stats *stats; /* one per worker */
	int stats_fd;
	uint64_t stats_bytes, record_bytes, event_bytes;
	struct wr_ring *records[WR_WORKERS_MAX], *events[WR_WORKERS_MAX];
	int record_fd[WR_WORKERS_MAX], event_fd[WR_WORKERS_MAX];
};
WR_MUST_USE int wr_share_new(const struct wr_conf *c, struct wr_share *s, char *err);

/* --- boot.c: pools, ports, workers */

struct wr_stall {                          /* what main knows of workers that do not turn */
	uint64_t since_ns[WR_WORKERS_MAX]; /* 0 = it turns */
};

struct wr_boot {
	const struct wr_conf *conf;
	struct wr_share share;
	struct wr_pools pools[WR_WORKERS_MAX];
	struct wr_eth *eth[WR_LINKS_MAX][2];
	struct rte_ring *ring[WR_WORKERS_MAX][WR_WORKERS_MAX]; /* from, to; workers of one link */
	struct wr_worker *worker[WR_WORKERS_MAX];
	struct wr_wire_shared *wire[WR_LINKS_MAX]; /* NULL: the kernel has no part in this link */
	struct wr_xdp *xdp[WR_LINKS_MAX];
	struct wr_conf_port wired[WR_LINKS_MAX]
	                         [2]; /* the link's ports, led to the pinned programs */
	struct rte_mempool *trace_frames, *trace_blocks;
	struct wr_stall stall;
};
WR_MUST_USE int wr_boot_new(struct wr_boot *b, char *err);
void wr_boot_free(struct wr_boot *b);

/* --- wire.c: links of AF_XDP ports and what the kernel does when we do not */

/* Before the ports: installs and opens the wire of every AF_XDP link. */
WR_MUST_USE int wr_main_wire(struct wr_boot *b, char *err);
/* After the ports: they came by the pinned links, and no receive queue is left over. */
WR_MUST_USE int wr_main_wire_check(struct wr_boot *b, char *err);
/* Now and then: takes back what may be taken back, notes the state for control. */
void wr_main_wire_tick(struct wr_boot *b, uint64_t now_ns, bool ready);
/* At the end, while the workers still run: the declared policy takes over. */
void wr_main_wire_leave(struct wr_boot *b);
void wr_main_wire_close(struct wr_boot *b);

/* --- trace.c: what ctl/ writes a packet trace with (ctx is the struct wr_boot) */

WR_MUST_USE int wr_main_trace_pool(struct wr_boot *b, char *err);
int wr_main_trace_open(void *ctx, int fd, struct wr_trace_file **out);
int wr_main_trace_frame(void *ctx, struct wr_trace_file *f, uint32_t worker,
                        const struct wr_trace_frame *t);
void wr_main_trace_close(void *ctx, struct wr_trace_file *f);

/* --- stall.c: workers that do not turn */

#define WR_STUCK_NS 5000000000ull /* so long, and systemd is to start us anew */

/*
 * Looks at every worker's beat: notes in the shared head who stands still for longer than the
 * link's stall_limit and counts how often, one line in the log each time. What happens to the
 * frames meanwhile is the kernel's doing (xdp/). True: a worker has stood still for WR_STUCK_NS and
 * will hardly come back; the watchdog should not be told that all is well.
 */
bool wr_main_stall(struct wr_boot *b, uint64_t now_ns);

/* --- run.c */

/* Starts every worker on its lcore, serves control until SIGTERM or SIGINT, stops the workers. */
WR_MUST_USE int wr_run(struct wr_boot *b, struct wr_ctl *ctl, char *err);
/* One datagram to $NOTIFY_SOCKET, if systemd gave one. */
void wr_notify(const char *text);

#endif
