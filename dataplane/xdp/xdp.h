/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xdp - fail to wire: pins one XDP program per port of a link and keeps their shared decision.
 *
 * takes    interface names and the link's declared policy
 * gives    the mmaped page of abi/wire.h, counters, and xdp_prog= device arguments for DPDK's
 * AF_XDP port owns     <root>/<link>/{wire,count} and <root>/<link>/{client,store}/{link,xsks_map}
 * in bpffs threads  any; install and remove take a lock on <root>, the decision is changed by
 * compare and swap limits   WR_WIRE_WORKERS, WR_WIRE_QUEUES fails    0 or -errno with one line in
 * err; nothing here runs on the packet path see      docs/operate/fail-to-wire.md,
 * docs/adr/0020-pinned-xdp-links.md, tests/bpf, tests/fault
 *
 * Why pinned links and not what the port driver does by itself: it attaches by netlink and detaches
 * on a clean exit, so a restart would cut the wire and a leftover program would stop the next
 * start. Here the attachment belongs to nobody's life: programs are swapped inside the link, never
 * taken off.
 */
#ifndef WR_XDP_XDP_H
#define WR_XDP_XDP_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/conf.h"
#include "abi/wire.h"
#include "base/base.h"

#define WR_XDP_ROOT     "/sys/fs/bpf/weir" /* WEIR_BPFFS in the environment names another (labs) */
#define WR_XDP_ERR      256u
#define WR_XDP_REARM_NS 1000000000ull /* after a stall the beats must be good for so long */

enum wr_xdp_side { WR_XDP_CLIENT, WR_XDP_STORE };

struct wr_xdp_conf {
	char link[WR_NAME_MAX];
	char ifname[2][IF_NAMESIZE];
	uint8_t on_process_death, on_worker_stall; /* WR_WIRE_CLOSED or WR_WIRE_OPEN */
	uint64_t stall_limit_ns;
};

struct wr_xdp_port_info {
	uint32_t ifindex;         /* 0: the interface is gone, or not in this network namespace */
	char ifname[IF_NAMESIZE]; /* as installed */
	uint32_t prog_id;
	bool generic; /* the driver has no native XDP: slower, works */
	struct wr_wire_count count;
};

/* 1 when both ports of the link are AF_XDP devices (out is filled), 0 when they are something else.
 */
WR_MUST_USE int wr_xdp_conf_of(const struct wr_conf_link *l, struct wr_xdp_conf *out, char *err);

/* Pins programs and page, or brings what is pinned up to date without a frame lost. */
WR_MUST_USE int wr_xdp_install(const struct wr_xdp_conf *c, char *err);
/* Takes the programs off. Refuses (-EBUSY) while a dataplane inspects, unless forced. */
WR_MUST_USE int wr_xdp_remove(const char *link, bool force, char *err);
/* Names of installed links, sorted; returns how many there are (at most max are written). */
int wr_xdp_list(char name[][WR_NAME_MAX], int max);

struct wr_xdp;

/* Opens an installed link. NULL: err says why. */
struct wr_xdp *wr_xdp_open(const char *link, char *err);
/* The same for who may only look: the page is a copy of this moment. */
struct wr_xdp *wr_xdp_open_ro(const char *link, char *err);
void wr_xdp_close(struct wr_xdp *x);
struct wr_wire_shared *wr_xdp_page(struct wr_xdp *x);
WR_MUST_USE int wr_xdp_port(struct wr_xdp *x, enum wr_xdp_side side, struct wr_xdp_port_info *out);
/* Age of the oldest beat that any queue waits for; UINT64_MAX when no queue is served. */
uint64_t wr_xdp_oldest_beat_age(const struct wr_wire_shared *w, uint64_t now_ns);

/* A person's word: OPEN or CLOSED at once, until wr_xdp_admin_free() lets the dataplane take over.
 */
void wr_xdp_admin(struct wr_wire_shared *w, enum wr_wire_state s);
void wr_xdp_admin_free(struct wr_wire_shared *w);

/*
 * The dataplane's part. Before the ports start: wr_xdp_install, wr_xdp_open, wr_xdp_serve, and
 * wr_xdp_devarg() for every device. In the main loop: wr_xdp_tick() every few milliseconds. At the
 * end, before the ports are closed: wr_xdp_leave().
 */
/* Queue q of both ports feeds these workers (slots of wr_wire_beat). */
void wr_xdp_serve(struct wr_wire_shared *w, uint32_t queue, const uint8_t *slots, uint32_t n);
void wr_xdp_serve_none(struct wr_wire_shared *w);
/* Writes "dev,xdp_prog=..." for a device of this side; -EINVAL when dev has an xdp_prog of its own.
 */
WR_MUST_USE int wr_xdp_devarg(const char *link, enum wr_xdp_side side, const char *dev, char *out,
                              size_t n);
/* 0 when the port driver's program of both sides was swapped into the pinned links. */
WR_MUST_USE int wr_xdp_attached(const char *link, char *err);
/* -ENOSPC when a port has receive queues that no socket serves: their frames would be dropped. */
WR_MUST_USE int wr_xdp_check_queues(const struct wr_xdp *x, char *err);
/*
 * Takes the link back to INSPECT when that is allowed: `ready` (ruleset mapped, ports up, not
 * draining), no person's word against it, every beat fresh, every worker has acted on the epoch.
 * Returns the word.
 */
uint64_t wr_xdp_tick(struct wr_wire_shared *w, uint64_t now_ns, bool ready);
/* Hands the link to the policy for process death, before the sockets go. */
void wr_xdp_leave(struct wr_wire_shared *w);

const char *wr_wire_state_name(enum wr_wire_state s);
const char *wr_wire_cause_name(enum wr_wire_cause c);

#endif
