/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings, honest and hostile, and the files behind them. */
#include "audit/audit.h"
#include "link/link.h"
#include "slot.h"
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING 65536u

static char dir[64];
static struct wr_session ses = { .boot_id = 1, .workers = 1 };
static unsigned hooked;

static struct wr_ring *ring_new(uint64_t size)
{
	struct wr_ring *r = aligned_alloc(64, (wr_ring_bytes(size) + 63) & ~63ull);

	memset(r, 0, wr_ring_bytes(size));
	wr_ring_init(r, size);
	return r;
}

static void hook(void *arg, const struct wr_record_parts *p)
{
	(void)arg;
	hooked += p->rec->abi == WR_ABI_VERSION;
}

static void put_record(struct wr_ring *r, uint64_t bytes, size_t path)
{
	char text[1024];
	struct slot s;
	void *p;

	memset(text, 'p', sizeof(text));
	slot_begin(&s)->bytes = bytes;
	slot_field(&s, WR_F_PATH, text, path);
	slot_end(&s);
	p = wr_ring_reserve(r, s.n);
	WR_ASSERT(p != NULL);
	memcpy(p, s.p, s.n);
	wr_ring_commit(r, p, s.n, WR_RECORD_TAG);
}

static struct wr_audit *audit_new(const char *more)
{
	static const char yaml[] =
	        "node: n\nlinks: [ { name: a, client: { device: net_a }, store: { device: net_b }, "
	        "on_process_death: closed, on_worker_stall: closed } ]\n"
	        "cores: { main: 0, workers: [ { name: w0, core: 1, link: a, queue: 0 } ] }\n"
	        "services: []\npolicy: { match: block, suspect: flag, incomplete: block, error: "
	        "block, "
	        "skipped: flag, framing: block, overlap_conflict: block, midstream: block, "
	        "one_way: block, "
	        "not_http: block, bundle_expired: flag, on_overload: closed, on_records_lost: "
	        "closed }\n";
	struct wr_config_report rep = { 0 };
	struct wr_config *cfg = NULL;
	struct wr_audit *a = NULL;
	char text[4096], err[WR_AUDIT_ERR] = "";
	int n = snprintf(text, sizeof(text), "%srecords: { path: \"%s\"%s }\n", yaml, dir, more);

	if (wr_config_load_text("t", text, (size_t)n, &cfg, &rep) != 0) {
		wr_config_report_print(&rep, stdout);
		exit(2);
	}
	if (wr_audit_new(cfg, NULL, hook, NULL, &a, err) != 0)
		printf("# %s\n", err);
	wr_config_free(cfg);
	return a;
}

/* Names in order, and the lines of all files; -1 when some line is not whole. */
static long lines(unsigned *files, long long *sum)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);
	long count = 0;

	*files = 0;
	*sum = 0;
	for (int i = 0; i < n; i++) {
		char path[600], *line = NULL, *at;
		size_t room = 0;
		ssize_t k;
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		free(names[i]);
		f = strstr(path, ".jsonl") != NULL ? fopen(path, "r") : NULL;
		if (f == NULL)
			continue;
		++*files;
		while ((k = getline(&line, &room, f)) > 0) {
			count = line[k - 1] == '\n' ? count + 1 : -100000;
			at = strstr(line, "\"bytes\":");
			*sum += at != NULL ? atoll(at + 8) : 0;
		}
		free(line);
		fclose(f);
	}
	free(names);
	return count;
}

static void clean(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# cannot remove %s\n", dir);
}

static void test_order(void)
{
	struct wr_audit *a = audit_new("");
	struct wr_ring *r = ses.records[0].ring;
	struct wr_audit_counts n;
	unsigned files;
	long long sum, want = 0;

	/* Several times round the ring, so that skips at its end are met. */
	for (unsigned i = 1; i <= 2000; i++) {
		put_record(r, i, i % 1000);
		want += i;
		if (i % 37 == 0)
			wr_audit_pass(a, &ses);
	}
	wr_audit_pass(a, &ses);
	wr_audit_counts(a, &n);
	IS(n.written, 2000, "every record is written");
	IS(hooked, 2000, "and counted once");
	IS(lines(&files, &sum), 2000, "as a whole line");
	IS(sum, want, "each of them once");
	IS(atomic_load(&r->tail), atomic_load(&r->head), "the ring is empty");
	wr_audit_free(a);
}

static void test_mode(void)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);
	char path[600];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, names[n - 1]->d_name);
	OK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640,
	   "records are 0640 whatever the umask");
	OK(stat(dir, &st) == 0 && (st.st_mode & 027) == 0, "their folder is no wider than 0750");
	while (n > 0)
		free(names[--n]);
	free(names);
}

/* RLIMIT_FSIZE is a disk that is full at a known byte. */
static void test_full_disk(void)
{
	struct wr_audit *a;
	struct wr_ring *r = ses.records[0].ring;
	struct wr_audit_counts n;
	struct rlimit lim = { 6000, RLIM_INFINITY }, all = { RLIM_INFINITY, RLIM_INFINITY };
	unsigned files, before;
	long long sum;
	uint64_t tail;

	clean();
	hooked = 0;
	a = audit_new("");
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &lim);
	put_record(r, 1, 10);
	wr_audit_pass(a, &ses);
	for (unsigned i = 2; i <= 20; i++)
		put_record(r, i, 100);
	before = hooked;
	tail = atomic_load(&r->tail);
	IS(wr_audit_pass(a, &ses), 0, "a full disk: nothing is written");
	IS(atomic_load(&r->tail), tail, "and nothing leaves the ring");
	wr_audit_counts(a, &n);
	OK(n.stalled && n.error[0] != '\0' && n.write_errors == 1, "it is said: %s", n.error);
	IS(lines(&files, &sum), 1, "half a batch is taken back: whole lines only");
	setrlimit(RLIMIT_FSIZE, &all);
	IS(wr_audit_pass(a, &ses), 19, "with room again everything is written");
	wr_audit_counts(a, &n);
	OK(!n.stalled && n.written == 20, "and it is well again");
	IS(hooked - before, 19, "and counted once, not once a try");
	IS(lines(&files, &sum), 20, "no line is lost");
	IS(sum, 210, "none is there twice");
	wr_audit_free(a);
}

static void test_rotation(void)
{
	struct wr_audit *a;
	unsigned files;
	long long sum;
	int fd;
	char path[600];
	struct dirent **names;
	int n;

	clean();
	a = audit_new(", rotate: 64KiB, keep: 2");
	for (unsigned i = 0; i < 400; i++) {
		put_record(ses.records[0].ring, 1, 1000);
		wr_audit_pass(a, &ses);
	}
	OK(lines(&files, &sum) > 0, "lines are whole over rotations");
	IS(files, 3, "keep: 2 closed files and the open one");
	wr_audit_free(a);

	/* What a power cut leaves: half a line at the end of the last file. */
	n = scandir(dir, &names, NULL, alphasort);
	snprintf(path, sizeof(path), "%s/%s", dir, names[n - 1]->d_name);
	fd = open(path, O_WRONLY | O_APPEND);
	OK(fd >= 0 && write(fd, "{\"torn", 6) == 6, "tear the last line");
	close(fd);
	OK(lines(&files, &sum) < 0, "it is torn");
	a = audit_new(", rotate: 64KiB, keep: 2");
	OK(lines(&files, &sum) > 0, "a start cuts the torn line off");
	while (n > 0)
		free(names[--n]);
	free(names);
	wr_audit_free(a);
}

static void test_folder(void)
{
	char keep[64];

	memcpy(keep, dir, sizeof(dir));
	snprintf(dir, sizeof(dir), "/proc/weir-no");
	OK(audit_new("") == NULL, "a folder that cannot be written is refused at start");
	memcpy(dir, keep, sizeof(dir));
}

static void test_not_records(void)
{
	struct wr_audit *a;
	struct wr_ring *r = ses.records[0].ring;
	struct wr_audit_counts n;
	void *p;

	clean();
	a = audit_new("");
	p = wr_ring_reserve(r, 64);
	memset(p, 0xff, 64);
	wr_ring_commit(r, p, 64, WR_RECORD_TAG);
	put_record(r, 5, 5);
	p = wr_ring_reserve(r, WR_RECORD_MAX + 8);
	memset(p, 0, WR_RECORD_MAX + 8);
	wr_ring_commit(r, p, WR_RECORD_MAX + 8, WR_RECORD_TAG);
	put_record(r, 6, 5);
	p = wr_ring_reserve(r, 8);
	wr_ring_commit(r, p, 8, 77);
	wr_audit_pass(a, &ses);
	wr_audit_counts(a, &n);
	IS(n.invalid, 3, "slots that are no records are counted");
	IS(n.written, 2, "the records between them are written");
	IS(n.broken_rings, 0, "the ring itself is sound");
	wr_audit_free(a);
}

/* Anything may stand in the ring: the reader stays inside it, and gives up instead of looping. */
static void test_hostile(void)
{
	enum { SIZE = 4096 };
	unsigned good = 0, bad = 0;
	uint64_t x = 88172645463325252ull;
	struct wr_ring *r = ring_new(SIZE);

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t at, steps = 0;
		const void *p;
		uint32_t n, tag;
		int rc;

		for (unsigned k = 0; k < 6; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			memcpy(r->data + x % (SIZE / 8) * 8,
			       &(uint32_t){ (uint32_t)(x >> 20) % 5 == 0
			                            ? WR_RING_SKIP
			                            : (uint32_t)(x >> 40) % 300 },
			       4);
		}
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		atomic_store(&r->tail, x % 16 == 0 ? x : (x >> 7) % SIZE * 8);
		atomic_store(&r->head, atomic_load(&r->tail) + (x >> 30) % (SIZE / 8 + 8) * 8);
		at = atomic_load(&r->tail);
		while ((rc = wr_ring_look(r, SIZE, &at, &p, &n, &tag)) == 1 && steps < SIZE) {
			const unsigned char *q = p;

			if (q < r->data || n > SIZE || q + n > r->data + SIZE)
				OK(0, "a slot outside the ring: %u bytes at %td", n, q - r->data);
			steps++;
		}
		if (steps >= SIZE)
			OK(0, "a ring without end");
		good += rc == 0;
		bad += rc == -EPROTO;
	}
	OK(good > 100 && bad > 100, "%u hostile rings read to the end, %u refused", good, bad);
	free(r);
}

static void test_broken(void)
{
	struct wr_session s = { .boot_id = 9, .workers = 1 };
	struct wr_audit_counts n;
	struct wr_audit *a;

	clean();
	a = audit_new("");
	s.records[0] = (struct wr_mapped_ring){ ring_new(4096), 4096, 0 };
	s.events[0] = (struct wr_mapped_ring){ ring_new(4096), 4096, 0 };
	put_record(s.records[0].ring, 7, 4);
	atomic_store(&s.records[0].ring->head, 1ull << 40);
	wr_audit_pass(a, &s);
	wr_audit_pass(a, &s);
	wr_audit_counts(a, &n);
	IS(n.broken_rings, 1, "a ring that lies about its head is given up, and said once");
	wr_audit_free(a);
	free(s.records[0].ring);
	free(s.events[0].ring);
}

int main(void)
{
	snprintf(dir, sizeof(dir), "/tmp/weir-audit-%d", (int)getpid());
	umask(077);
	ses.records[0] = (struct wr_mapped_ring){ ring_new(RING), RING, 0 };
	ses.events[0] = (struct wr_mapped_ring){ ring_new(4096), 4096, 0 };
	test_order();
	test_mode();
	test_full_disk();
	test_rotation();
	test_folder();
	test_not_records();
	test_hostile();
	test_broken();
	clean();
	free(ses.records[0].ring);
	free(ses.events[0].ring);
	return tap_done();
}
