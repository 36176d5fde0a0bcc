/* SPDX-License-Identifier: BSD-3-Clause */
/* Every metric, once: name, type, labels, help, where it comes from. */
#include "metrics/private.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>

WR_PRINTF(3, 4) static void put(struct wr_page *p, double v, const char *labels, ...)
{
	char buf[256];
	va_list ap;

	va_start(ap, labels);
	vsnprintf(buf, sizeof(buf), labels, ap);
	va_end(ap);
	if (buf[0] != '\0')
		fprintf(p->f, "%s{%s} %.17g\n", p->name, buf, v);
	else
		fprintf(p->f, "%s %.17g\n", p->name, v);
}

static double get(const wr_counter *c)
{
	return (double)wr_counter_get(c);
}

static const char *worker(const struct wr_page *p, uint32_t w)
{
	return w < p->conf->nworkers ? p->conf->worker[w].name : "?";
}

#define EACH_WORKER(p, w, st)                                                                      \
	for (uint32_t w = 0; (p)->s != NULL && w < (p)->s->workers; w++)                           \
		for (const struct wr_stats *st = wr_session_stats((p)->s, w); st != NULL; st = NULL)

/* Sum of one counter over the workers; offset inside struct wr_stats. */
static double total(struct wr_page *p, size_t offset)
{
	double sum = 0;

	EACH_WORKER(p, w, st)
	sum += get((const wr_counter *)(const void *)((const char *)st + offset));
	return sum;
}

#define TOTAL(p, field) total((p), offsetof(struct wr_stats, field))

/* --- both processes ------------------------------------------------------------------------------
 */

static void build_info(struct wr_page *p)
{
	const struct wr_stats_head *h = p->s != NULL ? p->s->stats : NULL;

	put(p, 1, "version=\"%s\",dpdk=\"%.31s\",hyperscan=\"%.31s\",simd=\"%.31s\"", WR_VERSION,
	    h != NULL ? h->dpdk : "", h != NULL ? h->hyperscan : "", h != NULL ? h->simd : "");
}

static void up(struct wr_page *p)
{
	put(p, 1, "process=\"control\"");
	put(p, p->link.connected, "process=\"dataplane\"");
}

static void start_time(struct wr_page *p)
{
	if (p->s != NULL)
		put(p, (double)p->s->stats->start_ns / 1e9, "process=\"dataplane\"");
}

/* --- ports
 * ---------------------------------------------------------------------------------------- */

static void port(struct wr_page *p, size_t offset)
{
	for (uint32_t i = 0; p->s != NULL && i < p->conf->nlinks * 2; i++) {
		const char *dev = (const char *)&p->s->stats->dev[i / 2][i % 2];

		put(p, get((const wr_counter *)(const void *)(dev + offset)), "port=\"%s.%s\"",
		    p->conf->link[i / 2].name, i % 2 == 0 ? "client" : "store");
	}
}

#define PORT(fn, field)                                                                            \
	static void fn(struct wr_page *p)                                                          \
	{                                                                                          \
		port(p, offsetof(struct wr_stats_dev, field));                                     \
	}
PORT(port_rx_packets, rx_packets)
PORT(port_rx_bytes, rx_bytes)
PORT(port_rx_missed, rx_missed)
PORT(port_rx_nombuf, rx_nombuf)
PORT(port_rx_errors, rx_errors)
PORT(port_tx_packets, tx_packets)
PORT(port_tx_bytes, tx_bytes)
PORT(port_tx_errors, tx_errors)
PORT(port_link_up, link_up)

static void queue(struct wr_page *p, size_t offset)
{
	EACH_WORKER(p, w, st)
	{
		const struct wr_conf_worker *c = &p->conf->worker[w < p->conf->nworkers ? w : 0];

		for (unsigned side = 0; side < 2; side++) {
			const char *at = (const char *)&st->port[side];

			put(p, get((const wr_counter *)(const void *)(at + offset)),
			    "port=\"%s.%s\",queue=\"%u\",worker=\"%s\"",
			    p->conf->link[c->link].name, side == 0 ? "client" : "store", c->queue,
			    c->name);
		}
	}
}

#define QUEUE(fn, field)                                                                           \
	static void fn(struct wr_page *p)                                                          \
	{                                                                                          \
		queue(p, offsetof(struct wr_stats_port, field));                                   \
	}
QUEUE(queue_rx_packets, rx_packets)
QUEUE(queue_tx_packets, tx_packets)
QUEUE(queue_tx_dropped, tx_dropped)
QUEUE(queue_polls, polls)
QUEUE(queue_empty_polls, empty_polls)

/* --- workers
 * -------------------------------------------------------------------------------------- */

static void per_worker(struct wr_page *p, size_t offset, double scale)
{
	EACH_WORKER(p, w, st)
	put(p, get((const wr_counter *)(const void *)((const char *)st + offset)) * scale,
	    "worker=\"%s\"", worker(p, w));
}

#define PER_WORKER(fn, field, scale)                                                               \
	static void fn(struct wr_page *p)                                                          \
	{                                                                                          \
		per_worker(p, offsetof(struct wr_stats, field), scale);                            \
	}
PER_WORKER(worker_cycles, cycles, 1)
PER_WORKER(worker_tsc, tsc_hz, 1)
PER_WORKER(worker_longest, longest_turn_ns, 1e-9)
PER_WORKER(frames_held, frames_held, 1)
PER_WORKER(connections, connections, 1)
PER_WORKER(uploads_active, uploads_active, 1)
PER_WORKER(generation, ruleset_generation, 1)
PER_WORKER(records_waiting, records_waiting, 1)

static void of_main(struct wr_page *p, size_t offset)
{
	for (uint32_t w = 0; p->s != NULL && w < p->s->workers && w < WR_WORKERS_MAX; w++)
		put(p,
		    get((const wr_counter *)(const void *)((const char *)p->s->stats + offset) + w),
		    "worker=\"%s\"", worker(p, w));
}

static void worker_stalled(struct wr_page *p)
{
	of_main(p, offsetof(struct wr_stats_head, stalled));
}

static void worker_stalls(struct wr_page *p)
{
	of_main(p, offsetof(struct wr_stats_head, stalls));
}

static void worker_busy(struct wr_page *p)
{
	EACH_WORKER(p, w, st)
	for (unsigned i = 0; i < WR_STAGE_COUNT; i++)
		put(p, get(&st->stage_cycles[i]), "worker=\"%s\",stage=\"%s\"", worker(p, w),
		    wr_stage_name((enum wr_stage)i));
}

static void frames(struct wr_page *p)
{
	static const char *const fate[] = { "received", "generated", "sent", "dropped",
		                            "absorbed" };

	EACH_WORKER(p, w, st)
	for (unsigned i = 0; i < WR_FATE_COUNT; i++)
		put(p, get(&st->fate[i]), "worker=\"%s\",fate=\"%s\"", worker(p, w), fate[i]);
}

static void reasons(struct wr_page *p)
{
	for (unsigned r = 1; r < WR_R_COUNT; r++)
		put(p, total(p, offsetof(struct wr_stats, reason) + r * sizeof(wr_counter)),
		    "reason=\"%s\"", wr_reason_info((enum wr_reason)r)->name);
}

/* --- uploads and verdicts
 * --------------------------------------------------------------------------- */

static void by_framing(struct wr_page *p, size_t offset)
{
	for (unsigned i = 0; i < WR_FRAMING_COUNT; i++)
		put(p, total(p, offset + i * sizeof(wr_counter)), "framing=\"%s\"",
		    wr_framing_name((enum wr_framing)i));
}

static void uploads(struct wr_page *p)
{
	by_framing(p, offsetof(struct wr_stats, uploads));
}

static void upload_bytes(struct wr_page *p)
{
	by_framing(p, offsetof(struct wr_stats, upload_bytes));
}

/* The verdict that a cause belongs to, by the policy key that decides it. */
static enum wr_verdict verdict_of(enum wr_cause c)
{
	switch (wr_cause_policy(c)[0]) {
	case 's': return WR_V_SUSPECT;
	case 'e': return WR_V_ERROR;
	case 'm': return c == WR_C_OBJECT_BAD ? WR_V_MATCH : WR_V_INCOMPLETE; /* match, midstream */
	default: return WR_V_INCOMPLETE;
	}
}

/*
 * The pages count verdicts and causes apart. A cause belongs to one verdict, so its rows come first
 * and what is left of the verdict has no cause. The two are read at different moments: never below
 * 0.
 */
static void verdicts(struct wr_page *p)
{
	for (unsigned v = 0; v < WR_V_COUNT; v++) {
		for (unsigned a = 0; a < WR_A_COUNT; a++) {
			double all = total(p, offsetof(struct wr_stats, verdict) +
			                              (v * WR_A_COUNT + a) * sizeof(wr_counter));
			double with = 0;

			for (unsigned c = 1; c < WR_C_COUNT; c++) {
				double n;

				if (verdict_of((enum wr_cause)c) != v)
					continue;
				n = total(p, offsetof(struct wr_stats, cause) +
				                     (c * WR_A_COUNT + a) * sizeof(wr_counter));
				with += n;
				if (n > 0)
					put(p, n, "verdict=\"%s\",cause=\"%s\",action=\"%s\"",
					    wr_verdict_name((enum wr_verdict)v),
					    wr_cause_name((enum wr_cause)c),
					    wr_action_name((enum wr_action)a));
			}
			put(p, all > with ? all - with : 0,
			    "verdict=\"%s\",cause=\"\",action=\"%s\"",
			    wr_verdict_name((enum wr_verdict)v), wr_action_name((enum wr_action)a));
		}
	}
}

static void would_block(struct wr_page *p)
{
	for (uint32_t i = 0; i < p->conf->nservices; i++)
		put(p, total(p, offsetof(struct wr_stats, would_block) + i * sizeof(wr_counter)),
		    "service=\"%s\"", p->conf->service[i].name);
}

static void verdict_delay(struct wr_page *p)
{
	double sum = 0;

	for (unsigned i = 0; i < WR_HIST_BUCKETS; i++) {
		sum += total(p, offsetof(struct wr_stats, delay_us) + i * sizeof(wr_counter));
		if (i + 1 < WR_HIST_BUCKETS)
			fprintf(p->f, "%s_bucket{le=\"%.6f\"} %.17g\n", p->name,
			        (double)(1u << i) / 1e6, sum);
	}
	fprintf(p->f, "%s_bucket{le=\"+Inf\"} %.17g\n", p->name, sum);
	fprintf(p->f, "%s_sum %.17g\n", p->name, TOTAL(p, delay_sum_ns) / 1e9);
	fprintf(p->f, "%s_count %.17g\n", p->name, sum);
}

static void lanes_filled(struct wr_page *p)
{
	double n = 0, sum = 0;

	for (unsigned i = 0; i <= WR_LANES_MAX; i++) {
		double k = total(p, offsetof(struct wr_stats, lanes) + i * sizeof(wr_counter));

		n += k;
		sum += k * i;
		fprintf(p->f, "%s_bucket{le=\"%u\"} %.17g\n", p->name, i, n);
	}
	fprintf(p->f, "%s_bucket{le=\"+Inf\"} %.17g\n", p->name, n);
	fprintf(p->f, "%s_sum %.17g\n%s_count %.17g\n", p->name, sum, p->name, n);
}

/* The dataplane writes it while we read: only what media types are made of becomes a label. */
static bool group_name(const struct wr_page *p, unsigned g, char out[64])
{
	const char *name = p->s->stats->scan_group[g];
	size_t n = 0;

	for (; n < 63 && (isalnum((unsigned char)name[n]) ||
	                  (name[n] != '\0' && strchr("/*+.-_", name[n]) != NULL));
	     n++)
		out[n] = name[n];
	out[n] = '\0';
	return n != 0;
}

static void scan_groups(struct wr_page *p, size_t offset)
{
	char name[64];

	EACH_WORKER(p, w, st)
	{
		const wr_counter *c = (const wr_counter *)(const void *)((const char *)st + offset);

		for (unsigned g = 0; g < WR_SCAN_GROUPS; g++)
			if (group_name(p, g, name))
				put(p, get(&c[g]), "worker=\"%s\",group=\"%s\"", worker(p, w),
				    name);
	}
}

static void scan_cycles(struct wr_page *p)
{
	scan_groups(p, offsetof(struct wr_stats, scan_cycles));
}

static void scan_bytes(struct wr_page *p)
{
	scan_groups(p, offsetof(struct wr_stats, scan_bytes));
}

static void hold_bytes(struct wr_page *p)
{
	put(p, TOTAL(p, held_bytes), "%s", "");
}

static void kept_bytes(struct wr_page *p)
{
	put(p, TOTAL(p, kept_bytes), "%s", "");
}

static void hold_budget(struct wr_page *p)
{
	put(p, TOTAL(p, hold_budget_bytes), "%s", "");
}

static void coverage_bytes(struct wr_page *p)
{
	static const char *const kind[] = { "received", "hashed", "pattern", "decoded" };

	for (unsigned i = 0; i < WR_COV_COUNT; i++)
		put(p, total(p, offsetof(struct wr_stats, coverage_bytes) + i * sizeof(wr_counter)),
		    "kind=\"%s\"", kind[i]);
}

static void unscanned_bytes(struct wr_page *p)
{
	for (unsigned c = 1; c < WR_C_COUNT; c++)
		put(p,
		    total(p, offsetof(struct wr_stats, unscanned_bytes) + c * sizeof(wr_counter)),
		    "cause=\"%s\"", wr_cause_name((enum wr_cause)c));
}

/* --- wire, decoders, ruleset, records
 * ---------------------------------------------------------------- */

static void decoder_restarts(struct wr_page *p)
{
	put(p, p->s != NULL ? get(&p->s->stats->decoder_restarts) : 0, "%s", "");
}

static void decoder_queue(struct wr_page *p)
{
	put(p, p->s != NULL ? get(&p->s->stats->decoder_queue) : 0, "%s", "");
}

static void draining(struct wr_page *p)
{
	put(p, p->s != NULL ? get(&p->s->stats->draining_uploads) : 0, "%s", "");
}

static void records_written(struct wr_page *p)
{
	put(p, (double)p->audit.written, "%s", "");
}

static void records_lost(struct wr_page *p)
{
	put(p,
	    total(p, offsetof(struct wr_stats, reason) + WR_R_RECORD_LOST * sizeof(wr_counter)) +
	            (double)p->audit.invalid,
	    "%s", "");
}

static void records_invalid(struct wr_page *p)
{
	put(p, (double)p->audit.invalid, "%s", "");
}

static void records_stalled(struct wr_page *p)
{
	put(p, p->audit.stalled, "%s", "");
}

static void records_last(struct wr_page *p)
{
	put(p, (double)p->audit.last_write_ns / 1e9, "%s", "");
}

static void events(struct wr_page *p)
{
	put(p, (double)p->audit.events, "%s", "");
}

static void mempool_free(struct wr_page *p)
{
	static const char *const pool[] = { "rx", "small", "large", "generated" };

	/* Pools belong to a link: the first worker of each speaks for it. */
	for (uint32_t l = 0; p->s != NULL && l < p->conf->nlinks; l++) {
		uint32_t w = 0;

		while (w < p->conf->nworkers && p->conf->worker[w].link != l)
			w++;
		if (w >= p->s->workers)
			continue;
		for (unsigned i = 0; i < 4; i++)
			put(p, get(&wr_session_stats(p->s, w)->mempool_free[i]), "pool=\"%s.%s\"",
			    p->conf->link[l].name, pool[i]);
	}
}

static void reconnects(struct wr_page *p)
{
	put(p, (double)p->link.connects, "%s", "");
}

static void push_failures(struct wr_page *p)
{
	put(p, (double)p->link.push_failures, "%s", "");
}

static void unsigned_allowed(struct wr_page *p)
{
	put(p, p->ctl->allow_unsigned, "%s", "");
}

/* clang-format off */
#define C "counter"
#define G "gauge"
#define H "histogram"
const struct wr_family wr_families[] = {
	{ "weir_build_info", G, "version,dpdk,hyperscan,simd", "1; what runs", build_info },
	{ "weir_up", G, "process", "1 while the process runs and, for the dataplane, is connected", up },
	{ "weir_start_timestamp_seconds", G, "process", "when the process started", start_time },
	{ "weir_dataplane_connects_total", C, "", "times that weir-control connected to a dataplane", reconnects },

	{ "weir_port_rx_packets_total", C, "port", "frames received by the port", port_rx_packets },
	{ "weir_port_rx_bytes_total", C, "port", "bytes received by the port", port_rx_bytes },
	{ "weir_port_rx_missed_total", C, "port", "frames lost because no worker fetched them in time", port_rx_missed },
	{ "weir_port_rx_nombuf_total", C, "port", "frames lost because no receive buffer was free", port_rx_nombuf },
	{ "weir_port_rx_errors_total", C, "port", "frames that the port itself refused", port_rx_errors },
	{ "weir_port_tx_packets_total", C, "port", "frames sent by the port", port_tx_packets },
	{ "weir_port_tx_bytes_total", C, "port", "bytes sent by the port", port_tx_bytes },
	{ "weir_port_tx_errors_total", C, "port", "frames that the port could not send", port_tx_errors },
	{ "weir_port_link_up", G, "port", "1 while the link is up", port_link_up },
	{ "weir_queue_rx_packets_total", C, "port,queue,worker", "frames a worker fetched from its queue", queue_rx_packets },
	{ "weir_queue_tx_packets_total", C, "port,queue,worker", "frames a worker gave to its queue", queue_tx_packets },
	{ "weir_queue_tx_dropped_total", C, "port,queue,worker", "frames that the queue had no room for", queue_tx_dropped },
	{ "weir_queue_polls_total", C, "port,queue,worker", "times a worker asked its queue", queue_polls },
	{ "weir_queue_empty_polls_total", C, "port,queue,worker", "of these, without a frame", queue_empty_polls },

	{ "weir_worker_cycles_total", C, "worker", "TSC cycles of the worker", worker_cycles },
	{ "weir_worker_busy_cycles_total", C, "worker,stage", "cycles of turns that had frames, by stage", worker_busy },
	{ "weir_worker_tsc_hertz", G, "worker", "TSC cycles in a second", worker_tsc },
	{ "weir_worker_longest_turn_seconds", G, "worker", "longest turn of the loop since start", worker_longest },
	{ "weir_worker_stalled", G, "worker", "1 while the worker does not turn for longer than stall_limit", worker_stalled },
	{ "weir_worker_stalls_total", C, "worker", "times that this began, as the main thread saw it", worker_stalls },
	{ "weir_frames_total", C, "worker,fate", "frames by what became of them; received + generated = sent + dropped + absorbed + held", frames },
	{ "weir_frames_held", G, "worker", "frames that are in the worker and nowhere else", frames_held },
	{ "weir_reasons_total", C, "reason", "why something did not go the ordinary way (docs/operate/reasons.md)", reasons },

	{ "weir_connections", G, "worker", "connections followed", connections },
	{ "weir_uploads_active", G, "worker", "uploads between first byte and verdict record", uploads_active },
	{ "weir_uploads_total", C, "framing", "uploads by framing", uploads },
	{ "weir_upload_bytes_total", C, "framing", "body bytes by framing", upload_bytes },
	{ "weir_verdicts_total", C, "verdict,cause,action", "verdicts; every upload has one", verdicts },
	{ "weir_would_block_total", C, "service", "uploads that enforce had blocked", would_block },
	{ "weir_list_hits_total", C, "bundle,list,mode", "uploads that hit a list, from the verdict records", NULL },
	{ "weir_rule_hits_total", C, "bundle,rule,mode", "uploads that hit a rule, from the verdict records", NULL },
	{ "weir_verdict_delay_seconds", H, "", "last byte in to tail out", verdict_delay },
	{ "weir_hold_bytes", G, "", "bytes that have come in order and wait for a verdict, or for what stands before them", hold_bytes },
	{ "weir_kept_bytes", G, "", "buffer bytes kept until the store acknowledges them", kept_bytes },
	{ "weir_hold_budget_bytes", G, "", "limit of held and kept bytes together", hold_budget },
	{ "weir_lanes_filled", H, "", "uploads digested together in one call", lanes_filled },
	{ "weir_scan_sampled_cycles_total", C, "worker,group", "time stamp counter of pattern scans of one burst in 64, by the media types of the group; by bytes: what a group costs", scan_cycles },
	{ "weir_scan_sampled_bytes_total", C, "worker,group", "bytes of the same scans", scan_bytes },
	{ "weir_coverage_bytes_total", C, "kind", "what was done with the bytes of bodies", coverage_bytes },
	{ "weir_unscanned_bytes_total", C, "cause", "bytes that passed without a full scan", unscanned_bytes },

	{ "weir_wire_state", G, "link,state", "1 for the state the link is in", NULL },
	{ "weir_wire_epoch", G, "link", "rises each time the wire opens or closes", NULL },
	{ "weir_wire_frames_total", C, "port,fate", "frames by what the kernel did with them: given to the dataplane, passed open, dropped", NULL },
	{ "weir_wire_bytes_total", C, "port,fate", "the same in bytes; fate open is what passed unscanned in the kernel", NULL },
	{ "weir_decoder_restarts_total", C, "", "image decoders that had to be started again", decoder_restarts },
	{ "weir_decoder_queue", G, "", "images that wait for a decoder", decoder_queue },

	{ "weir_bundle_info", G, "bundle,version", "1 for each active bundle", NULL },
	{ "weir_bundle_activated_timestamp_seconds", G, "bundle", "when it became active", NULL },
	{ "weir_bundle_expires_timestamp_seconds", G, "bundle", "when it expires", NULL },
	{ "weir_bundle_rejected_total", C, "code", "bundles that were refused", NULL },
	{ "weir_list_entries", G, "list,algo", "entries of the active lists", NULL },
	{ "weir_list_bad_lines", G, "list", "lines that the import skipped", NULL },
	{ "weir_ruleset_generation", G, "worker", "ruleset that new requests get", generation },
	{ "weir_ruleset_push_failures_total", C, "", "times the active ruleset could not be handed to a dataplane: torn on disk, or refused", push_failures },
	{ "weir_ruleset_draining_uploads", G, "", "uploads still judged by older rulesets", draining },
	{ "weir_bundle_staged", G, "", "bundles with a version that is compiled and waits for a drain", NULL },
	{ "weir_hunts_total", C, "result", "retro-hunts at activation: done, failed, dropped", NULL },
	{ "weir_hunt_uploads_total", C, "bundle", "past uploads that passed and match entries that came later (`weir hunt`)", NULL },
	{ "weir_breaker_open", G, "bundle,item", "1 for a rule or list that the flood breaker turned to shadow", NULL },
	{ "weir_trust_unsigned_allowed", G, "", "1: bundles nobody signed are loaded (labs only)", unsigned_allowed },

	{ "weir_records_written_total", C, "", "verdict records written to records.path", records_written },
	{ "weir_records_lost_total", C, "", "verdict records that could not be written or read", records_lost },
	{ "weir_records_invalid_total", C, "", "of these, slots that were not a record", records_invalid },
	{ "weir_records_waiting", G, "worker", "uploads whose record waits for room in the ring", records_waiting },
	{ "weir_records_stalled", G, "", "1 while records cannot be written", records_stalled },
	{ "weir_records_last_write_timestamp_seconds", G, "", "when the last record was written", records_last },
	{ "weir_events_total", C, "", "events read from the workers", events },
	{ "weir_mempool_free", G, "pool", "free buffers", mempool_free },

	{ "weir_doctor_check_ok", G, "check", "1 for a check of `weir doctor` that passes", NULL },
	{ "weir_selftest_ok", G, "", "1 when the last `weir selftest` found the store protected", NULL },
	{ "weir_traces_total", C, "payload", "packet traces that somebody took; payload yes: of content", NULL },
	{ "weir_selftest_timestamp_seconds", G, "", "when it ran", NULL },
};
/* clang-format on */
const unsigned wr_nfamilies = WR_COUNT_OF(wr_families);
