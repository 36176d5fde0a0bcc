/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats - one page per worker, in memory that the dataplane shares read-only with control.
 *
 * Each counter has one writer (the worker) and only grows; gauges are stored whole. Control turns
 * them into the metrics of docs/operate/metrics.md. Layout is ABI: append before `pad_end` only.
 * units    in the names; histograms hold counts per bucket (not cumulative)
 */
#ifndef WR_ABI_STATS_H
#define WR_ABI_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "abi/conf.h"
#include "abi/reason.h"
#include "abi/verdict.h"
#include "abi/wire.h"
#include "base/base.h"

typedef _Atomic uint64_t wr_counter;

enum wr_stage {
	WR_STAGE_RX,
	WR_STAGE_PKT,
	WR_STAGE_FLOW,
	WR_STAGE_TCP,
	WR_STAGE_HTTP,
	WR_STAGE_BODY,
	WR_STAGE_SCAN,
	WR_STAGE_DIGEST,
	WR_STAGE_VERDICT,
	WR_STAGE_HOLD,
	WR_STAGE_TX,
	WR_STAGE_COUNT
};

enum wr_fate {
	WR_FATE_RECEIVED,
	WR_FATE_GENERATED,
	WR_FATE_SENT,
	WR_FATE_DROPPED,
	WR_FATE_ABSORBED,
	WR_FATE_COUNT
};

enum wr_framing {
	WR_FRAMING_NONE,
	WR_FRAMING_LENGTH,
	WR_FRAMING_CHUNKED,
	WR_FRAMING_AWS_SIGNED,
	WR_FRAMING_AWS_SIGNED_TRAILER,
	WR_FRAMING_AWS_UNSIGNED_TRAILER,
	WR_FRAMING_AWS_SIGV4A,
	WR_FRAMING_MULTIPART,
	WR_FRAMING_RELATED,
	WR_FRAMING_COUNT
};

enum wr_coverage { WR_COV_RECEIVED, WR_COV_HASHED, WR_COV_PATTERN, WR_COV_DECODED, WR_COV_COUNT };

/* Labels as in records and metrics. */
const char *wr_framing_name(enum wr_framing f);
const char *wr_stage_name(enum wr_stage s);

#define WR_HIST_BUCKETS 24u /* delay: 2^i microseconds, i = 0..22, then +Inf */
#define WR_LANES_MAX    16u
#define WR_SCAN_GROUPS  16u /* WR_META_GROUPS_MAX */

struct wr_stats_port { /* per port of the worker's link: 0 client, 1 store */
	wr_counter rx_packets, rx_bytes, tx_packets, tx_bytes, tx_dropped, polls, empty_polls, pad;
};

struct wr_stats { /* one per worker */
	WR_ALIGNED(64) uint64_t abi, size;
	char name[WR_NAME_MAX];
	uint32_t worker, link, queue, core;

	WR_ALIGNED(64) wr_counter beat_ns; /* CLOCK_MONOTONIC of the worker's last turn */
	wr_counter cycles, busy_cycles, tsc_hz, longest_turn_ns;
	wr_counter stage_cycles[WR_STAGE_COUNT];
	wr_counter fate[WR_FATE_COUNT];
	wr_counter frames_held; /* gauge: frames that are in the worker and nowhere else */
	struct wr_stats_port port[2];

	WR_ALIGNED(64) wr_counter reason[WR_R_COUNT];

	WR_ALIGNED(64)
	wr_counter connections, uploads_active, kept_bytes, hold_budget_bytes;
	wr_counter held_bytes; /* have come in order and wait: for a verdict, or for what stands
	                          first */
	wr_counter uploads[WR_FRAMING_COUNT], upload_bytes[WR_FRAMING_COUNT];
	wr_counter coverage_bytes[WR_COV_COUNT];
	wr_counter unscanned_bytes[WR_C_COUNT];
	wr_counter verdict[WR_V_COUNT][WR_A_COUNT];
	wr_counter cause[WR_C_COUNT][WR_A_COUNT];
	wr_counter would_block[WR_SERVICES_MAX];
	wr_counter delay_us[WR_HIST_BUCKETS], delay_sum_ns, delay_count;
	wr_counter lanes[WR_LANES_MAX + 1]; /* digest calls by lanes filled */
	/* Sampled: cycles and bytes of pattern scans, by group of the ruleset. */
	wr_counter scan_cycles[WR_SCAN_GROUPS], scan_bytes[WR_SCAN_GROUPS];
	wr_counter records_written, records_waiting, events_written;
	wr_counter ruleset_generation; /* the one new requests get; 0 = none */
	wr_counter mempool_free[4];    /* rx, compact small, compact large, generated */
	WR_ALIGNED(64) uint64_t pad_end[8];
};
static_assert(sizeof(struct wr_stats) % WR_CACHE_LINE == 0, "no false sharing between workers");

/* What the main lcore asks of a port (rte_eth_stats_get) about ten times a second. */
struct wr_stats_dev {
	wr_counter rx_packets, rx_bytes, rx_missed, rx_nombuf, rx_errors;
	wr_counter tx_packets, tx_bytes, tx_errors;
	wr_counter link_up; /* gauge */
	wr_counter spare[7];
};

/* The shared area: a head, then `workers` pages. */
#define WR_STATS_MAGIC 0x31535441545357ull

struct wr_stats_head {
	uint64_t magic;
	uint32_t abi, workers, stats_size, pid;
	uint64_t start_ns, boot_id;
	WR_ALIGNED(64) wr_counter main_beat_ns;
	wr_counter ruleset_mapped, ready; /* gauges of the main lcore */
	wr_counter draining_uploads;      /* uploads on older generations */
	wr_counter digest_engine;         /* what the digest room chose: enum in digest/digest.h */
	wr_counter decoder_restarts, decoder_queue;
	char simd[32], dpdk[32], hyperscan[32];
	char scan_group[WR_SCAN_GROUPS][64]; /* media types of each group in force, "" = none */
	WR_ALIGNED(64) struct wr_stats_dev dev[WR_LINKS_MAX][2]; /* by link: 0 client, 1 store */
	wr_counter wire_state[WR_LINKS_MAX]; /* enum wr_wire_state as the dataplane sees it */
	/* By worker: 1 while it does not turn for longer than stall_limit; how often that began. */
	wr_counter stalled[WR_WORKERS_MAX], stalls[WR_WORKERS_MAX];
};

/* Single writer, so load + store: fetch_add would pay a locked instruction for nobody. */
static inline void wr_counter_add(wr_counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
	                      memory_order_relaxed);
}

static inline void wr_counter_set(wr_counter *c, uint64_t v)
{
	atomic_store_explicit(c, v, memory_order_relaxed);
}

static inline uint64_t wr_counter_get(const wr_counter *c)
{
	return atomic_load_explicit((wr_counter *)(uintptr_t)c, memory_order_relaxed);
}

#endif
