/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /metrics against a stats page whose every counter holds a number of its own: each must come out
 * under its own name and labels, and nowhere else.
 */
#include "../audit/slot.h"
#include "link/private.h"
#include "metrics/metrics.h"
#include "tap.h"

#include <stdlib.h>

static const char yaml[] =
        "node: n\nlinks: [ { name: a, client: { device: net_a }, store: { device: net_b }, "
        "on_process_death: open, on_worker_stall: closed } ]\n"
        "cores: { main: 0, workers: [ { name: w0, core: 1, link: a, queue: 0 }, "
        "{ name: w1, core: 2, link: a, queue: 1 } ] }\n"
        "services: [ { name: s1 }, { name: s2 } ]\npolicy: { match: block, suspect: flag, "
        "incomplete: block, error: block, skipped: flag, framing: block, overlap_conflict: block, "
        "midstream: block, one_way: block, not_http: block, bundle_expired: flag, "
        "on_overload: closed, on_records_lost: closed }\n";

static struct wr_config *cfg;
static struct wr_link *l;
static struct wr_metrics *m;
static char *page;

static void scrape(void)
{
	size_t n = 0;
	FILE *f;

	free(page);
	page = NULL;
	f = open_memstream(&page, &n);
	wr_metrics_write(m, f);
	fclose(f);
}

/* The value of a sample, given as it stands in the page; -1 when it is not there, -2 twice. */
static double value(const char *sample)
{
	double v = -1;
	size_t n = strlen(sample);

	for (const char *at = page; (at = strstr(at, sample)) != NULL; at += n) {
		if ((at != page && at[-1] != '\n') || at[n] != ' ')
			continue;
		if (v != -1)
			return -2;
		v = strtod(at + n + 1, NULL);
	}
	return v;
}

static void is(const char *sample, double want)
{
	double got = value(sample);

	if (!tap_ok(got - want < 1e-9 && want - got < 1e-9, "%s", sample))
		printf("#   is %.17g, wanted %.17g\n", got, want);
}

static void set(wr_counter *c, uint64_t v)
{
	wr_counter_set(c, v);
}

static struct wr_stats *st[2];
static struct wr_stats_head *head;

static void fill(void)
{
	struct wr_session *s = calloc(1, sizeof(*s));
	size_t n = sizeof(*head) + 2 * sizeof(struct wr_stats);

	head = aligned_alloc(64, n);
	memset(head, 0, n);
	st[0] = (struct wr_stats *)(void *)(head + 1);
	st[1] = st[0] + 1;
	s->stats = head;
	s->workers = 2;
	s->refs = 1;
	l->session = s;
	l->status.connected = true;
}

/* --- one row for each sample: where the number is put, where it must come out
 * ---------------------- */

static void test_dev(void)
{
	static const char *const name[] = { "rx_packets_total", "rx_bytes_total",
		                            "rx_missed_total",  "rx_nombuf_total",
		                            "rx_errors_total",  "tx_packets_total",
		                            "tx_bytes_total",   "tx_errors_total",
		                            "link_up" };
	char sample[128];

	for (unsigned side = 0; side < 2; side++)
		for (unsigned i = 0; i < WR_COUNT_OF(name); i++)
			set((wr_counter *)&head->dev[0][side] + i, 100 + side * 50 + i);
	scrape();
	for (unsigned side = 0; side < 2; side++) {
		for (unsigned i = 0; i < WR_COUNT_OF(name); i++) {
			snprintf(sample, sizeof(sample), "weir_port_%s{port=\"a.%s\"}", name[i],
			         side == 0 ? "client" : "store");
			is(sample, 100 + side * 50 + i);
		}
	}
}

static void test_build(void)
{
	snprintf(head->dpdk, sizeof(head->dpdk), "22.11.7");
	snprintf(head->hyperscan, sizeof(head->hyperscan), "5.4.0");
	snprintf(head->simd, sizeof(head->simd), "avx2");
	scrape();
	is("weir_build_info{version=\"" WR_VERSION
	   "\",dpdk=\"22.11.7\",hyperscan=\"5.4.0\",simd=\"avx2\"}",
	   1);
}

static void test_worker(void)
{
	struct wr_stats *a = st[0], *b = st[1];

	set(&a->cycles, 11);
	set(&a->longest_turn_ns, 2500000);
	set(&a->tsc_hz, 3600);
	set(&a->stage_cycles[WR_STAGE_SCAN], 13);
	set(&b->stage_cycles[WR_STAGE_TX], 14);
	set(&b->fate[WR_FATE_ABSORBED], 15);
	set(&a->fate[WR_FATE_RECEIVED], 16);
	set(&a->fate[WR_FATE_GENERATED], 161);
	set(&a->fate[WR_FATE_SENT], 162);
	set(&a->fate[WR_FATE_DROPPED], 163);
	set(&b->frames_held, 17);
	set(&a->connections, 18);
	set(&b->uploads_active, 19);
	set(&a->ruleset_generation, 20);
	set(&b->records_waiting, 21);
	set(&a->port[0].rx_packets, 22);
	set(&b->port[1].tx_dropped, 23);
	set(&b->port[1].polls, 24);
	set(&a->port[0].empty_polls, 25);
	set(&a->port[1].tx_packets, 26);
	set(&a->mempool_free[0], 27);
	set(&a->mempool_free[3], 28);
	scrape();
	is("weir_worker_cycles_total{worker=\"w0\"}", 11);
	is("weir_worker_cycles_total{worker=\"w1\"}", 0);
	is("weir_worker_longest_turn_seconds{worker=\"w0\"}", 0.0025);
	is("weir_worker_tsc_hertz{worker=\"w0\"}", 3600);
	is("weir_worker_busy_cycles_total{worker=\"w0\",stage=\"scan\"}", 13);
	is("weir_worker_busy_cycles_total{worker=\"w1\",stage=\"tx\"}", 14);
	is("weir_frames_total{worker=\"w1\",fate=\"absorbed\"}", 15);
	is("weir_frames_total{worker=\"w0\",fate=\"received\"}", 16);
	is("weir_frames_total{worker=\"w0\",fate=\"generated\"}", 161);
	is("weir_frames_total{worker=\"w0\",fate=\"sent\"}", 162);
	is("weir_frames_total{worker=\"w0\",fate=\"dropped\"}", 163);
	is("weir_frames_held{worker=\"w1\"}", 17);
	is("weir_connections{worker=\"w0\"}", 18);
	is("weir_uploads_active{worker=\"w1\"}", 19);
	is("weir_ruleset_generation{worker=\"w0\"}", 20);
	is("weir_records_waiting{worker=\"w1\"}", 21);
	is("weir_queue_rx_packets_total{port=\"a.client\",queue=\"0\",worker=\"w0\"}", 22);
	is("weir_queue_tx_dropped_total{port=\"a.store\",queue=\"1\",worker=\"w1\"}", 23);
	is("weir_queue_polls_total{port=\"a.store\",queue=\"1\",worker=\"w1\"}", 24);
	is("weir_queue_empty_polls_total{port=\"a.client\",queue=\"0\",worker=\"w0\"}", 25);
	is("weir_queue_tx_packets_total{port=\"a.store\",queue=\"0\",worker=\"w0\"}", 26);
	is("weir_mempool_free{pool=\"a.rx\"}", 27);
	is("weir_mempool_free{pool=\"a.generated\"}", 28);
}

static void test_sums(void)
{
	for (unsigned i = 0; i < 2; i++) {
		set(&st[i]->reason[WR_R_CL_TE], 3 + i);
		set(&st[i]->uploads[WR_FRAMING_AWS_SIGV4A], 5 + i);
		set(&st[i]->upload_bytes[WR_FRAMING_CHUNKED], 7 + i);
		set(&st[i]->would_block[1], 9 + i);
		set(&st[i]->held_bytes, 11 + i);
		set(&st[i]->kept_bytes, 13 + i);
		set(&st[i]->hold_budget_bytes, 15 + i);
		set(&st[i]->coverage_bytes[WR_COV_HASHED], 17 + i);
		set(&st[i]->unscanned_bytes[WR_C_MIDSTREAM], 19 + i);
		set(&st[i]->reason[WR_R_RECORD_LOST], 23 + i);
	}
	set(&head->draining_uploads, 43);
	set(&head->decoder_restarts, 31);
	set(&head->decoder_queue, 32);
	scrape();
	is("weir_reasons_total{reason=\"cl_te\"}", 7);
	is("weir_reasons_total{reason=\"cl_twice\"}", 0);
	is("weir_uploads_total{framing=\"aws-sigv4a\"}", 11);
	is("weir_upload_bytes_total{framing=\"chunked\"}", 15);
	is("weir_would_block_total{service=\"s2\"}", 19);
	is("weir_would_block_total{service=\"s1\"}", 0);
	is("weir_hold_bytes", 23);
	is("weir_kept_bytes", 27);
	is("weir_hold_budget_bytes", 31);
	is("weir_coverage_bytes_total{kind=\"hashed\"}", 35);
	is("weir_unscanned_bytes_total{cause=\"midstream\"}", 39);
	is("weir_ruleset_draining_uploads", 43);
	is("weir_records_lost_total", 47);
	is("weir_decoder_restarts_total", 31);
	is("weir_decoder_queue", 32);
}

static void test_verdicts(void)
{
	set(&st[0]->verdict[WR_V_CLEAN][WR_A_PASS], 100);
	set(&st[1]->verdict[WR_V_INCOMPLETE][WR_A_BLOCK], 9);
	set(&st[0]->verdict[WR_V_INCOMPLETE][WR_A_FLAG], 4);
	set(&st[0]->verdict[WR_V_SUSPECT][WR_A_FLAG], 6);
	set(&st[1]->cause[WR_C_GAP][WR_A_BLOCK], 5);
	set(&st[1]->cause[WR_C_FRAMING][WR_A_BLOCK], 3);
	set(&st[0]->cause[WR_C_MIDSTREAM][WR_A_FLAG], 4);
	set(&st[0]->cause[WR_C_POLYGLOT][WR_A_FLAG], 2);
	scrape();
	is("weir_verdicts_total{verdict=\"clean\",cause=\"\",action=\"pass\"}", 100);
	is("weir_verdicts_total{verdict=\"incomplete\",cause=\"gap\",action=\"block\"}", 5);
	is("weir_verdicts_total{verdict=\"incomplete\",cause=\"framing\",action=\"block\"}", 3);
	is("weir_verdicts_total{verdict=\"incomplete\",cause=\"\",action=\"block\"}", 1);
	is("weir_verdicts_total{verdict=\"incomplete\",cause=\"midstream\",action=\"flag\"}", 4);
	is("weir_verdicts_total{verdict=\"incomplete\",cause=\"\",action=\"flag\"}", 0);
	is("weir_verdicts_total{verdict=\"suspect\",cause=\"polyglot\",action=\"flag\"}", 2);
	is("weir_verdicts_total{verdict=\"suspect\",cause=\"\",action=\"flag\"}", 4);
}

static void test_histograms(void)
{
	set(&st[0]->delay_us[0], 1);
	set(&st[1]->delay_us[3], 2);
	set(&st[0]->delay_us[WR_HIST_BUCKETS - 1], 4);
	set(&st[0]->delay_sum_ns, 1500000000);
	snprintf(head->scan_group[0], sizeof(head->scan_group[0]), "any");
	snprintf(head->scan_group[2], sizeof(head->scan_group[2]), "image/*+text/html");
	set(&st[0]->scan_cycles[0], 640);
	set(&st[1]->scan_cycles[2], 7);
	set(&st[1]->scan_bytes[2], 9);
	set(&st[0]->lanes[0], 1);
	set(&st[1]->lanes[16], 2);
	scrape();
	is("weir_verdict_delay_seconds_bucket{le=\"0.000001\"}", 1);
	is("weir_verdict_delay_seconds_bucket{le=\"0.000004\"}", 1);
	is("weir_verdict_delay_seconds_bucket{le=\"0.000008\"}", 3);
	is("weir_verdict_delay_seconds_bucket{le=\"4.194304\"}", 3);
	is("weir_verdict_delay_seconds_bucket{le=\"+Inf\"}", 7);
	is("weir_verdict_delay_seconds_count", 7);
	is("weir_verdict_delay_seconds_sum", 1.5);
	is("weir_scan_sampled_cycles_total{worker=\"w0\",group=\"any\"}", 640);
	is("weir_scan_sampled_cycles_total{worker=\"w1\",group=\"image/*+text/html\"}", 7);
	is("weir_scan_sampled_bytes_total{worker=\"w1\",group=\"image/*+text/html\"}", 9);
	is("weir_lanes_filled_bucket{le=\"0\"}", 1);
	is("weir_lanes_filled_bucket{le=\"15\"}", 1);
	is("weir_lanes_filled_bucket{le=\"16\"}", 3);
	is("weir_lanes_filled_count", 3);
	is("weir_lanes_filled_sum", 32);
}

/* What the kernel does with a link is asked elsewhere and set here (control/main/watch.c). */
static void test_wire(void)
{
	is("weir_up{process=\"dataplane\"}", 1);
	wr_metrics_set(m, "weir_wire_state", "link=\"a\",state=\"open\"", 1);
	l->status.connected = false;
	scrape();
	is("weir_wire_state{link=\"a\",state=\"open\"}", 1);
	is("weir_up{process=\"dataplane\"}", 0);
	is("weir_up{process=\"control\"}", 1);
	l->status.connected = true;
}

static void hit(const char *item, uint8_t kind, uint8_t mode, unsigned times)
{
	struct wr_record_match rm = { .bundle = "core", .kind = kind, .mode = mode };
	struct wr_record_parts p;
	struct wr_record *r;
	struct slot s;

	snprintf(rm.item, sizeof(rm.item), "%s", item);
	r = slot_begin(&s);
	r->nmatches = (uint16_t)times;
	for (unsigned i = 0; i < times; i++)
		slot_put(&s, &rm, sizeof(rm));
	slot_end(&s);
	if (wr_record_split(s.p, s.n, &p) == 0)
		wr_metrics_record(m, &p);
}

static void test_hits(void)
{
	char name[32];

	hit("eicar", WR_MATCH_PATTERN, WR_ITEM_ENFORCE, 1);
	hit("eicar", WR_MATCH_PATTERN, WR_ITEM_ENFORCE, 3);
	hit("eicar", WR_MATCH_PATTERN, WR_ITEM_SHADOW, 1);
	hit("eicar", WR_MATCH_EXACT, WR_ITEM_ENFORCE, 1);
	hit("a\"b\\c\n\xff", WR_MATCH_PDQ, WR_ITEM_CANARY, 1);
	scrape();
	is("weir_rule_hits_total{bundle=\"core\",rule=\"eicar\",mode=\"enforce\"}", 2);
	is("weir_rule_hits_total{bundle=\"core\",rule=\"eicar\",mode=\"shadow\"}", 1);
	is("weir_list_hits_total{bundle=\"core\",list=\"eicar\",mode=\"enforce\"}", 1);
	is("weir_list_hits_total{bundle=\"core\",list=\"a\\\"b\\\\c??\",mode=\"canary\"}", 1);
	for (unsigned i = 0; i < WR_METRICS_HITS; i++) {
		snprintf(name, sizeof(name), "r%u", i);
		hit(name, WR_MATCH_PATTERN, WR_ITEM_ENFORCE, 1);
	}
	scrape();
	OK(value("weir_rule_hits_total{bundle=\"other\",rule=\"other\",mode=\"enforce\"}") > 1000,
	   "rules beyond the limit are counted together");
}

static void test_own(void)
{
	char label[64] = "";

	wr_metrics_label(label, sizeof(label), "check", "cpu.isolated");
	wr_metrics_set(m, "weir_doctor_check_ok", label, 1);
	wr_metrics_add(m, "weir_bundle_rejected_total", "code=\"x\"", 2);
	wr_metrics_add(m, "weir_bundle_rejected_total", "code=\"x\"", 3);
	wr_metrics_set(m, "weir_selftest_ok", "", 1);
	scrape();
	is("weir_doctor_check_ok{check=\"cpu.isolated\"}", 1);
	is("weir_bundle_rejected_total{code=\"x\"}", 5);
	is("weir_selftest_ok", 1);
	wr_metrics_clear(m, "weir_doctor_check_ok");
	scrape();
	is("weir_doctor_check_ok{check=\"cpu.isolated\"}", -1);
	is("weir_selftest_ok", 1);
}

/* The page and the reference page name the same families, each once, each with type and help. */
static void test_complete(void)
{
	char *doc = NULL, line[256], want[128];
	size_t n = 0, have = 0;
	FILE *f = open_memstream(&doc, &n), *onfile;
	unsigned families = 0;

	wr_metrics_docs(f);
	fclose(f);
	for (const char *name; (name = wr_metrics_name(families)) != NULL; families++) {
		snprintf(want, sizeof(want), "\n# TYPE %s ", name);
		if (strstr(page, want) == NULL)
			OK(0, "%s is not in the page", name);
		snprintf(want, sizeof(want), "\n| `%s` |", name);
		if (strstr(doc, want) == NULL)
			OK(0, "%s is not in the reference", name);
	}
	for (const char *at = page; (at = strstr(at, "# TYPE ")) != NULL; at++)
		have++;
	IS(have, families, "%u families, each with a type", families);
	onfile = fopen(DOC, "r");
	have = onfile != NULL ? fread(line, 1, 1, onfile) : 0;
	if (onfile != NULL)
		rewind(onfile);
	f = onfile;
	n = strlen(doc);
	for (size_t i = 0; f != NULL && i < n; i++)
		if (fgetc(f) != (unsigned char)doc[i]) {
			have = 0;
			break;
		}
	OK(have == 1 && fgetc(f) == EOF,
	   "docs/operate/metrics.md is what `weir docs metrics` prints");
	if (onfile != NULL)
		fclose(onfile);
	free(doc);
}

/* Every sample belongs to the family above it, and no sample is there twice. */
static void test_syntax(void)
{
	char family[128] = "", *copy = strdup(page), *save = NULL;
	unsigned bad = 0, samples = 0;

	for (char *s = strtok_r(copy, "\n", &save); s != NULL; s = strtok_r(NULL, "\n", &save)) {
		char *space = strrchr(s, ' '), *end;

		if (strncmp(s, "# TYPE ", 7) == 0)
			sscanf(s + 7, "%127s", family);
		if (*s == '#')
			continue;
		samples++;
		strtod(space + 1, &end);
		if (strncmp(s, family, strlen(family)) != 0 || *end != '\0') {
			printf("# %s under %s\n", s, family);
			bad++;
		}
		*space = '\0';
		if (samples < 1200 && value(s) < -1) {
			printf("# twice: %s\n", s);
			bad++;
		}
	}
	OK(bad == 0 && samples > 200, "%u samples, each under its family, each once", samples);
	free(copy);
}

int main(void)
{
	struct wr_config_report rep = { 0 };

	if (wr_config_load_text("t", yaml, sizeof(yaml) - 1, &cfg, &rep) != 0) {
		wr_config_report_print(&rep, stdout);
		return 2;
	}
	if (wr_link_new("/tmp", &l) != 0 || wr_metrics_new(cfg, l, &m) != 0)
		return 2;
	scrape();
	is("weir_up{process=\"dataplane\"}", 0);
	fill();
	test_build();
	test_dev();
	test_worker();
	test_sums();
	test_verdicts();
	test_histograms();
	test_wire();
	test_own();
	scrape();
	test_complete();
	test_syntax();
	test_hits();
	wr_metrics_free(m);
	free(l->session);
	l->session = NULL; /* its pages are not mapped but allocated */
	wr_link_free(l);
	wr_config_free(cfg);
	free(head);
	free(page);
	return tap_done();
}
