/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scanning and looking up by themselves: cycles per byte of 100, 1,000 and 10,000 rules by content
 * and by uploads in turn, beside Hyperscan's own loop; nanoseconds per digest looked up in lists of
 * 100,000 and of 10 million entries, what an entry takes, and what building the lists took.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle.h"
#include "floors/floors.h"
#include "mem/mem.h"
#include "peer.h"
#include "perf.h"
#include "scan/scan.h"

#define PIECES 6144u
#define BURST  32u

static const char *weir_compile;
static struct wr_stats stats;
static struct wr_lcore lc = { .now = 1000000000u, .stats = &stats };

static double children_cpu_s(void)
{
	struct rusage r;

	getrusage(RUSAGE_CHILDREN, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* --- patterns
 * --------------------------------------------------------------------------------------- */

struct scan_case {
	uint32_t rules, streams;
	enum peer_content content;
	bool always; /* with --quick too */
};

static const char *content_name(enum peer_content c)
{
	return c == PEER_JPEG ? "jpeg" : c == PEER_TEXT ? "text" : "random";
}

struct scan_rig {
	struct peer *peer; /* only its payloads are used */
	struct wr_scan *scan;
	uint32_t *stream, n;
	const uint8_t **piece;
};

/* One pass over all pieces: piece k belongs to upload k % n, as frames come from a wire. */
static double scan_pass(struct scan_rig *r)
{
	static struct wr_scan_job job[BURST];
	double t = perf_cpu_ns();

	for (uint32_t k = 0; k < PIECES; k += BURST) {
		for (uint32_t i = 0; i < BURST; i++) {
			job[i] = (struct wr_scan_job){ .stream = r->stream[(k + i) % r->n] };
			job[i].piece.p = r->piece[k + i];
			job[i].piece.len = PEER_MSS;
		}
		wr_scan_burst(&lc, r->scan, job, BURST);
	}
	return perf_cpu_ns() - t;
}

/* Hyperscan's stream allocator is process-wide: the floor runs in a process of its own. */
static double scan_floor(const struct scan_rig *r, const struct wr_ruleset *rs)
{
	double x = 0;
	int fd[2];
	pid_t pid = -1;

	if (pipe(fd) != 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0) {
		struct floor_set s = { r->piece, PIECES, PEER_MSS, r->n };

		x = floor_scan(&s, wr_ruleset_group_db(rs, 0));
		_exit(write(fd[1], &x, sizeof(x)) == sizeof(x) ? 0 : 1);
	}
	close(fd[1]);
	if (read(fd[0], &x, sizeof(x)) != sizeof(x))
		abort();
	close(fd[0]);
	waitpid(pid, NULL, 0);
	return x;
}

static void scan_rig_new(struct scan_rig *r, const struct scan_case *s, const struct wr_ruleset *rs)
{
	struct peer_opts o = { .conns = 1,
		               .body_bytes = 1000000,
		               .frames = PIECES,
		               .window = 32,
		               .burst = 1,
		               .requests = 2,
		               .plant_frames = 2,
		               .content = s->content };
	char err[256] = "";

	r->peer = peer_new(&o, 42);
	r->n = s->streams;
	r->stream = calloc(s->streams, sizeof(uint32_t));
	r->scan = wr_scan_new(s->streams + 1, wr_ruleset_state_bytes(rs));
	r->piece = calloc(PIECES, sizeof(*r->piece));
	if (r->peer == NULL || r->stream == NULL || r->scan == NULL || r->piece == NULL ||
	    wr_scan_stage(r->scan, rs, err, sizeof(err)) != 0) {
		fprintf(stderr, "bench: %s\n", err[0] != '\0' ? err : "not enough memory");
		exit(1);
	}
	for (uint32_t i = 0; i < PIECES; i++)
		r->piece[i] = rte_pktmbuf_mtod_offset(r->peer->frame[i], const uint8_t *, 54);
	wr_scan_enter(r->scan);
	for (uint32_t i = 0; i < s->streams; i++) {
		r->stream[i] = wr_scan_open(&lc, r->scan, rs);
		if (r->stream[i] == 0)
			abort();
	}
}

static void scan_rig_free(struct scan_rig *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		wr_scan_close(&lc, r->scan, r->stream[i]);
	wr_scan_free(r->scan);
	peer_free(r->peer);
	free(r->stream);
	free(r->piece);
}

static void scan_run(const struct scan_case *s, const struct bench_bundle *b, double compile_s,
                     struct perf_case *c, const struct perf_opts *o)
{
	double cpb[PERF_REPEATS_MAX], floors[PERF_REPEATS_MAX], gbit[PERF_REPEATS_MAX];
	double ghz = perf_ghz();
	struct scan_rig r;

	scan_rig_new(&r, s, b->rs);
	scan_pass(&r);
	for (uint32_t i = 0; i < o->repeats; i++) {
		double ns = scan_pass(&r) / ((double)PIECES * PEER_MSS);

		cpb[i] = ns * ghz;
		gbit[i] = 8 / ns;
		floors[i] = scan_floor(&r, b->rs) * ghz;
	}
	c->gbit = perf_stats(gbit, o->repeats);
	c->total_cpb = perf_stats(cpb, o->repeats).median;
	c->floor_cpb = perf_stats(floors, o->repeats).median;
	c->ratio = c->total_cpb / c->floor_cpb;
	perf_case_extra(c, "stream_state_bytes", wr_ruleset_state_bytes(b->rs));
	perf_case_extra(c, "compile_s", compile_s);
	scan_rig_free(&r);
	printf("%-28s %6.2f Gbit/s  %6.2f c/B, floor %6.2f, ratio %.2f  state %u bytes, compiled "
	       "in %.1f "
	       "s\n",
	       c->name, c->gbit.median, c->total_cpb, c->floor_cpb, c->ratio,
	       wr_ruleset_state_bytes(b->rs), compile_s);
	fflush(stdout);
}

static size_t scans(struct perf_case *cases, size_t n, const struct perf_opts *o)
{
	static const struct scan_case list[] = {
		{ 100, 1000, PEER_JPEG, false },    { 100, 1000, PEER_TEXT, false },
		{ 1000, 1, PEER_JPEG, true },       { 1000, 1000, PEER_JPEG, true },
		{ 1000, 100000, PEER_JPEG, false }, { 1000, 1000, PEER_TEXT, true },
		{ 1000, 1000, PEER_RANDOM, false }, { 10000, 1000, PEER_JPEG, false },
		{ 10000, 1000, PEER_TEXT, false },
	};
	static const uint8_t body[1460];
	struct bench_bundle b = { 0 };
	uint32_t compiled = 0;
	double took = 0;

	for (size_t i = 0; i < WR_COUNT_OF(list); i++) {
		char name[64];

		snprintf(name, sizeof(name), "patterns/%u/%s/%u", list[i].rules,
		         content_name(list[i].content), list[i].streams);
		if (!perf_wants(o, name) || (o->quick && !list[i].always))
			continue;
		if (compiled != list[i].rules) {
			double t = children_cpu_s();

			if (compiled != 0)
				bench_bundle_free(&b);
			bench_bundle_new(&b, weir_compile, list[i].rules, 10, body, sizeof(body));
			took = children_cpu_s() - t;
			compiled = list[i].rules;
		}
		perf_case_init(&cases[n], name);
		scan_run(&list[i], &b, took, &cases[n++], o);
	}
	if (compiled != 0)
		bench_bundle_free(&b);
	return n;
}

/* --- lists
 * ------------------------------------------------------------------------------------------ */

static double shard_bytes(const struct bench_bundle *b)
{
	char path[128];
	double sum = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/out", b->dir);
	d = opendir(path);
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		struct stat st;

		if (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
			sum += (double)st.st_size;
	}
	if (d != NULL)
		closedir(d);
	return sum;
}

/* Digests that no list has, made on the way so that every one meets cold lines. */
static double lookups(const struct wr_ruleset *rs, uint32_t has, uint32_t n, uint32_t *hits)
{
	uint64_t seed = 99;
	struct wr_match m[8];
	double t = perf_cpu_ns();

	for (uint32_t i = 0; i < n; i++) {
		struct wr_digests d = { .has = (uint8_t)has };
		uint64_t x = perf_rand(&seed);

		memcpy(d.md5, &x, 8);
		memcpy(d.sha1, &x, 8);
		memcpy(d.sha256, &x, 8);
		if (rs != NULL)
			*hits += wr_ruleset_lookup(rs, &d, m, WR_COUNT_OF(m));
		else
			__asm__ volatile("" : : "r"(&d) : "memory");
	}
	return (perf_cpu_ns() - t) / n;
}

static void list_run(uint32_t entries, struct perf_case *c, const struct perf_opts *o)
{
	static const char *const name[4] = { "md5_ns", "sha1_ns", "sha256_ns", "all_three_ns" };
	static const uint32_t bit[4] = { WR_HAS_MD5, WR_HAS_SHA1, WR_HAS_SHA256,
		                         WR_HAS_MD5 | WR_HAS_SHA1 | WR_HAS_SHA256 };
	static const uint8_t body[1460];
	uint32_t n = o->quick ? 200000 : 2000000, hits = 0;
	double x[PERF_REPEATS_MAX], t = children_cpu_s(), floor;
	struct bench_bundle b;

	bench_bundle_new(&b, weir_compile, 10, entries, body, sizeof(body));
	t = children_cpu_s() - t;
	printf("%-28s", c->name);
	for (int k = 0; k < 4; k++) {
		struct perf_stat s;

		for (uint32_t i = 0; i < o->repeats; i++)
			x[i] = lookups(b.rs, bit[k], n, &hits) - lookups(NULL, bit[k], n, &hits);
		s = perf_stats(x, o->repeats);
		perf_case_extra(c, name[k], s.median);
		printf(" %s %.1f (%.1f to %.1f)", name[k], s.median, s.min, s.max);
	}
	if (hits != 0) {
		fprintf(stderr, "bench: a digest was found that is on no list\n");
		exit(1);
	}
	floor = floor_lookup(entries);
	perf_case_extra(c, "floor_ns", floor);
	perf_case_extra(c, "bytes_per_entry", shard_bytes(&b) / entries / 3);
	perf_case_extra(c, "compile_s", t);
	printf(" floor %.1f, %.1f bytes an entry, three lists compiled in %.1f s\n", floor,
	       shard_bytes(&b) / entries / 3, t);
	fflush(stdout);
	bench_bundle_free(&b);
}

static size_t lists(struct perf_case *cases, size_t n, const struct perf_opts *o)
{
	static const uint32_t sizes[] = { 100000, 1000000, 10000000 };

	for (size_t i = 0; i < WR_COUNT_OF(sizes); i++) {
		char name[64];

		snprintf(name, sizeof(name), "lists/%u", sizes[i]);
		if (!perf_wants(o, name) || (o->quick && sizes[i] > 100000))
			continue;
		perf_case_init(&cases[n], name);
		list_run(sizes[i], &cases[n++], o);
	}
	return n;
}

int main(int argc, char **argv)
{
	static struct perf_case cases[32];
	struct perf_opts o;
	size_t n;

	if (argc < 2) {
		fprintf(stderr, "usage: %s WEIR_COMPILE [options]\n", argv[0]);
		return 2;
	}
	weir_compile = argv[1];
	perf_args(argc - 1, argv + 1, &o);
	n = scans(cases, 0, &o);
	n = lists(cases, n, &o);
	return perf_write(&o, cases, n) == 0 ? 0 : 1;
}
