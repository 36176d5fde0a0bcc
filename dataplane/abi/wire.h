/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * wire - what the XDP programs of one link, the dataplane and control share: one mmaped map value.
 *
 * The decision is ONE word for both ports. It leaves INSPECT when a program finds no socket or an
 * old heartbeat (compare and swap, so that one frame of one CPU decides for all), or when a person
 * says so; each time the epoch rises. Only the dataplane brings it back to INSPECT (wr_xdp_tick),
 * and the epoch stays: what a worker must notice is that frames went past it.
 *
 *   bits  0..7   enum wr_wire_state
 *   bits  8..15  enum wr_wire_cause
 *   bits 16..63  epoch
 *
 * units    nanoseconds of CLOCK_MONOTONIC, which is what bpf_ktime_get_ns() reads
 * threads  decision: compare and swap by anyone. beat[i]: worker i alone, plain stores. The rest:
 * the dataplane's main thread or `weir wire`. Compiled for BPF too, so: kernel types, no other
 * header.
 */
#ifndef WR_ABI_WIRE_H
#define WR_ABI_WIRE_H

#include <linux/types.h>

#define WR_WIRE_ABI         1u
#define WR_WIRE_WORKERS     64u /* = WR_WORKERS_MAX, asserted in xdp/xdp.c */
#define WR_WIRE_QUEUES      64u /* receive queues of one port; a NIC may have more than Weir uses */
#define WR_WIRE_EPOCH_SHIFT 16

/* 0 is what an array map holds before anybody wrote to it, so 0 must be the safe one. */
enum wr_wire_state { WR_WIRE_CLOSED, WR_WIRE_OPEN, WR_WIRE_INSPECT, WR_WIRE_STATES };

enum wr_wire_cause {
	WR_WIRE_BOOT,  /* installed, no dataplane has taken the link yet */
	WR_WIRE_DEATH, /* no socket in the slot: the process is gone */
	WR_WIRE_STALL, /* a socket, but a heartbeat older than the limit */
	WR_WIRE_ADMIN, /* `weir wire open|closed`: stays until `weir wire inspect` */
	WR_WIRE_LEFT,  /* the dataplane ended cleanly and handed the link over */
	WR_WIRE_FREED, /* `weir wire inspect`: the dataplane may take the link */
	WR_WIRE_CAUSES
};

struct wr_wire_beat {  /* one cache line per worker: no false sharing between lcores */
	__u64 beat_ns; /* start of the worker's last turn */
	__u64 epoch;   /* the newest epoch that the worker has acted upon */
	__u64 pad[6];
};

struct wr_wire_queue { /* which workers a queue feeds: its poller and all that it hands frames to */
	__u32 nworkers; /* 0: nobody serves this queue */
	__u8 worker[WR_WIRE_WORKERS];
};

struct wr_wire_shared {
	__u64 decision;
	__u64 changed_ns; /* when the decision last left or re-entered INSPECT */
	__u64 stall_limit_ns;
	__u32 abi, size;
	__u8 on_process_death, on_worker_stall; /* WR_WIRE_CLOSED or WR_WIRE_OPEN */
	__u8 pad0[2];
	__u32 pid;            /* of the dataplane that holds the link, for people */
	__u64 opened, closed; /* times that a program or a person left INSPECT for this state */
	__u64 good_since_ns;  /* since when every beat has been fresh; 0 = it is not (main thread's
	                         note) */
	char ifname[2][16]; /* as installed; the index means nothing in another network namespace */
	struct wr_wire_beat beat[WR_WIRE_WORKERS] __attribute__((aligned(64)));
	struct wr_wire_queue queue[WR_WIRE_QUEUES];
};

/* Per port (0 client, 1 store) and per CPU. A frame is in exactly one of the four. */
struct wr_wire_count {
	__u64 socket_frames, socket_bytes; /* given to the dataplane */
	__u64 open_frames, open_bytes;     /* sent to the other port unscanned */
	__u64 closed_frames, closed_bytes; /* dropped by policy */
	__u64 unserved_frames,
	        unserved_bytes; /* dropped: inspecting, but nobody serves this queue */
};

/* Constants of one program, set before it is loaded. */
struct wr_wire_port {
	__u32 side; /* 0 client, 1 store */
	__u32 peer; /* interface that an open wire sends to */
};

static inline __u64 wr_wire_word(enum wr_wire_state s, enum wr_wire_cause c, __u64 epoch)
{
	return (__u64)s | (__u64)c << 8 | epoch << WR_WIRE_EPOCH_SHIFT;
}

static inline enum wr_wire_state wr_wire_state_of(__u64 word)
{
	return (enum wr_wire_state)(word & 0xff);
}

static inline enum wr_wire_cause wr_wire_cause_of(__u64 word)
{
	return (enum wr_wire_cause)(word >> 8 & 0xff);
}

static inline __u64 wr_wire_epoch_of(__u64 word)
{
	return word >> WR_WIRE_EPOCH_SHIFT;
}

/* What a program that left INSPECT puts in its place: the epoch rises by one. */
static inline __u64 wr_wire_left(__u64 word, enum wr_wire_state s, enum wr_wire_cause c)
{
	return wr_wire_word(s, c, wr_wire_epoch_of(word) + 1);
}

#ifndef __bpf__
static inline __u64 wr_wire_decision(const struct wr_wire_shared *w)
{
	return __atomic_load_n(&w->decision, __ATOMIC_ACQUIRE);
}

/* The worker itself, once per turn and after it acted on `epoch`; a side thread would make a hung
 * worker look alive. Two plain stores to its own cache line. */
static inline void wr_wire_beat(struct wr_wire_shared *w, __u32 slot, __u64 now_ns, __u64 epoch)
{
	__atomic_store_n(&w->beat[slot].epoch, epoch, __ATOMIC_RELAXED);
	__atomic_store_n(&w->beat[slot].beat_ns, now_ns, __ATOMIC_RELEASE);
}
#endif

#endif
