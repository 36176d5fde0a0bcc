/* SPDX-License-Identifier: BSD-3-Clause */
/* What a reader sees of a file that is being written: whole lines, at every moment. */
#include "audit/audit.h"
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define BATCHES 3000u

static char dir[64];
static _Atomic int writing;

static void clean(void)
{
	struct dirent **names;
	char path[400];
	int n = scandir(dir, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			unlink(path);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static struct wr_record_files *fresh(uint64_t rotate, int *fd)
{
	struct wr_record_files *f = NULL;
	struct dirent **names;
	char err[WR_AUDIT_ERR], path[400] = "";
	int n;

	clean();
	WR_ASSERT(wr_record_files_new(dir, rotate, 4, WR_FSYNC_NEVER, &f, err) == 0);
	n = scandir(dir, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.')
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	*fd = open(path, O_RDONLY);
	WR_ASSERT(*fd >= 0);
	return f;
}

/* A line of n bytes, newline included: {xxx}. */
static size_t line(char *p, size_t n)
{
	memset(p, 'x', n);
	p[0] = '{';
	p[n - 2] = '}';
	p[n - 1] = '\n';
	return n;
}

/* Lines of p[0..n) that are not {x*} and blanks; what follows the last newline is a line too. */
static unsigned bad_lines(const char *p, size_t n, unsigned *good)
{
	unsigned bad = 0;

	for (size_t at = 0; at < n;) {
		const char *nl = memchr(p + at, '\n', n - at);
		size_t end = nl != NULL ? (size_t)(nl - p) : n, k = end;

		while (k > at && p[k - 1] == ' ')
			k--;
		if (k - at >= 2 && p[at] == '{' && p[k - 1] == '}' &&
		    memchr(p + at + 1, '{', k - at - 1) == NULL)
			(*good)++;
		else
			bad++;
		at = end + 1;
	}
	return bad;
}

static void *reader(void *arg)
{
	int fd = *(int *)arg;
	size_t size = 8u << 20;
	char *p = malloc(size);
	unsigned long bad = 0;

	for (uint64_t from = 0; atomic_load(&writing);) {
		ssize_t n = pread(fd, p, size, (off_t)from);
		unsigned good = 0;

		if (n <= 0)
			continue;
		if (n == (ssize_t)size) /* the buffer's end, not the file's */
			n = (char *)memrchr(p, '\n', size) + 1 - p;
		bad += bad_lines(p, (size_t)n, &good);
		/* On from the last line but one: where lines appear is what matters. */
		for (unsigned skip = 0; n > 0 && skip < 2; skip += p[n] == '\n')
			n--;
		from += n > 0 ? (uint64_t)n + 1 : 0;
	}
	free(p);
	return (void *)bad;
}

static void test_while_written(void)
{
	char *batch = malloc(64u << 10);
	struct wr_record_files *f;
	pthread_t t;
	void *bad;
	unsigned seed = 7;
	int fd;

	f = fresh(1u << 30, &fd);
	atomic_store(&writing, 1);
	WR_ASSERT(pthread_create(&t, NULL, reader, &fd) == 0);
	for (unsigned i = 0; i < BATCHES; i++) {
		size_t n = 0;

		for (unsigned k = 0; k < 1 + i % 9; k++)
			n += line(batch + n, 300 + (size_t)rand_r(&seed) % 2500);
		WR_ASSERT(wr_record_files_put(f, batch, n) == 0);
	}
	atomic_store(&writing, 0);
	pthread_join(t, &bad);
	IS((long)(intptr_t)bad, 0, "a reader beside the writer never sees half a line");
	close(fd);
	wr_record_files_free(f);
	free(batch);
}

static void test_pages(void)
{
	static const size_t sizes[] = { 4096, 100,  3996, 2,    4094, 4095, 2,
		                        3000, 3000, 1,    9000, 5,    4096 };
	char *batch = malloc(64u << 10), *back = malloc(256u << 10);
	unsigned good = 0, crossing = 0, lines = 0;
	size_t n = 0;
	ssize_t got;
	struct wr_record_files *f;
	int fd;

	f = fresh(1u << 30, &fd);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i] < 4 ? 4 : sizes[i];

		n += line(batch + n, size);
		lines++;
	}
	OK(wr_record_files_put(f, batch, n) == 0, "lines of every length are taken");
	got = pread(fd, back, 256u << 10, 0);
	IS(bad_lines(back, (size_t)got, &good), 0, "they are whole");
	IS(good, lines, "none is lost");
	for (ssize_t at = 0; at < got;) {
		ssize_t end = (char *)memchr(back + at, '\n', (size_t)(got - at)) - back;

		crossing += at / 4096 != end / 4096;
		at = end + 1;
	}
	IS(crossing, 1, "only the line that is longer than a page ends in another one");
	close(fd);
	wr_record_files_free(f);
	free(batch);
	free(back);
}

static void test_taken_back(void)
{
	char *batch = malloc(64u << 10), *back = malloc(64u << 10);
	struct rlimit was, now;
	unsigned good = 0;
	size_t n;
	struct wr_record_files *f;
	int fd;

	f = fresh(1u << 30, &fd);
	n = line(batch, 3000);
	WR_ASSERT(wr_record_files_put(f, batch, n) == 0);
	getrlimit(RLIMIT_FSIZE, &was);
	now = was;
	now.rlim_cur = 6000; /* the second line is padded for, then finds no room */
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &now);
	OK(wr_record_files_put(f, batch, n) < 0, "a full disk refuses the second line");
	setrlimit(RLIMIT_FSIZE, &was);
	IS(pread(fd, back, 64u << 10, 0), 3000, "the file is as long as before");
	IS(bad_lines(back, 3000, &good), 0, "its line is whole");
	OK(back[2999] == '\n', "and ends with its newline");
	OK(wr_record_files_put(f, batch, n) == 0, "later there is room");
	good = 0;
	n = (size_t)pread(fd, back, 64u << 10, 0);
	IS(bad_lines(back, n, &good), 0, "whole lines");
	IS(good, 2, "both are there");
	close(fd);
	wr_record_files_free(f);
	free(batch);
	free(back);
}

int main(void)
{
	snprintf(dir, sizeof(dir), "/tmp/weir-files-XXXXXX");
	WR_ASSERT(mkdtemp(dir) != NULL);
	test_while_written();
	test_pages();
	test_taken_back();
	clean();
	rmdir(dir);
	return tap_done();
}
