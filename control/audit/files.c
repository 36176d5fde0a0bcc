/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The folder of records. A file's name is the time of its first record plus a number that only
 * grows, so that name order stays time order when the clock jumps back.
 */
#include "audit/audit.h"

#include "config/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull
#define NAME_FMT  "%015" PRIu64 "-%s.jsonl" /* number first: it is the order */
#define PAGE      4096u                     /* of the page cache; larger ones are multiples */

struct wr_record_files {
	char dir[WR_CONFIG_PATH];
	uint64_t rotate, seq, bytes, last_sync_ns;
	uint32_t keep;
	enum wr_fsync fsync;
	int fd, dirfd;
	bool dirty;
};

static bool ours(const char *name, uint64_t *seq)
{
	size_t n = strlen(name);

	if (n < 22 || strspn(name, "0123456789") != 15 || name[15] != '-' ||
	    strcmp(name + n - 6, ".jsonl") != 0)
		return false;
	*seq = strtoull(name, NULL, 10);
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list(struct wr_record_files *f, char ***out)
{
	DIR *d = opendir(f->dir);
	char **names = NULL;
	size_t n = 0;

	*out = NULL;
	if (d == NULL)
		return 0;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		uint64_t seq;
		char **more;

		if (!ours(e->d_name, &seq))
			continue;
		more = realloc(names, (n + 1) * sizeof(*names));
		if (more == NULL)
			break;
		names = more;
		names[n] = strdup(e->d_name);
		if (names[n] == NULL)
			break;
		n++;
	}
	closedir(d);
	if (n > 1)
		qsort(names, n, sizeof(*names), by_name);
	*out = names;
	return n;
}

static void list_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static void prune(struct wr_record_files *f)
{
	char **names;
	size_t n = list(f, &names);

	/* The open file is the last and never among those removed: keep counts closed ones. */
	for (size_t i = 0; i + 1 + f->keep < n; i++)
		if (unlinkat(f->dirfd, names[i], 0) != 0)
			wr_log(WR_LOG_WARN, "records.prune", "file=%s error=\"%s\"", names[i],
			       strerror(errno));
	list_free(names, n);
}

static int open_next(struct wr_record_files *f)
{
	char name[64], stamp[32];
	struct timespec ts;
	struct tm tm;
	int fd;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(name, sizeof(name), NAME_FMT, f->seq + 1, stamp);
	fd = openat(f->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0640) != 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	if (f->fd >= 0) {
		if (f->fsync != WR_FSYNC_NEVER && f->dirty)
			fdatasync(f->fd);
		close(f->fd);
	}
	if (f->fsync != WR_FSYNC_NEVER)
		fsync(f->dirfd);
	f->fd = fd;
	f->seq++;
	f->bytes = 0;
	f->dirty = false;
	prune(f);
	return 0;
}

/* After a power cut the last line may be torn: readers are promised whole lines. */
static void repair(struct wr_record_files *f, const char *name)
{
	int fd = openat(f->dirfd, name, O_RDWR | O_CLOEXEC);
	char buf[4096];
	off_t end, keep;

	if (fd < 0)
		return;
	end = keep = lseek(fd, 0, SEEK_END);
	while (keep > 0) {
		off_t from = keep > (off_t)sizeof(buf) ? keep - (off_t)sizeof(buf) : 0;
		ssize_t n = pread(fd, buf, (size_t)(keep - from), from);

		if (n != keep - from)
			break;
		while (n > 0 && buf[n - 1] != '\n')
			n--;
		keep = from + n;
		if (n > 0)
			break;
	}
	if (keep != end) {
		wr_log(WR_LOG_WARN, "records.torn", "file=%s bytes_cut=%lld", name,
		       (long long)(end - keep));
		if (ftruncate(fd, keep) != 0)
			wr_log(WR_LOG_ERROR, "records.torn", "file=%s error=\"%s\"", name,
			       strerror(errno));
	}
	close(fd);
}

static int make_dir(const char *dir)
{
	char path[WR_CONFIG_PATH];

	snprintf(path, sizeof(path), "%s", dir);
	for (char *p = path + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(path, 0750) == 0 || errno == EEXIST ? 0 : -errno;
}

int wr_record_files_new(const char *dir, uint64_t rotate, uint32_t keep, enum wr_fsync fsync,
                        struct wr_record_files **out, char *err)
{
	struct wr_record_files *f = calloc(1, sizeof(*f));
	char **names;
	size_t n;
	int rc;

	if (f == NULL)
		return -ENOMEM;
	snprintf(f->dir, sizeof(f->dir), "%s", dir);
	f->fd = f->dirfd = -1;
	wr_record_files_tune(f, rotate, keep, fsync);
	rc = make_dir(dir);
	if (rc == 0 && (f->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		rc = -errno;
	if (rc == 0) {
		n = list(f, &names);
		if (n > 0) {
			ours(names[n - 1], &f->seq);
			repair(f, names[n - 1]);
		}
		list_free(names, n);
		rc = open_next(
		        f); /* a new file for each start: the proof that the folder is writable */
	}
	if (rc != 0) {
		snprintf(err, WR_AUDIT_ERR, "records folder %.120s is not writable: %s", dir,
		         strerror(-rc));
		wr_record_files_free(f);
		return rc;
	}
	*out = f;
	return 0;
}

void wr_record_files_tune(struct wr_record_files *f, uint64_t rotate, uint32_t keep,
                          enum wr_fsync fsync)
{
	f->rotate = rotate;
	f->keep = keep;
	f->fsync = fsync;
}

void wr_record_files_free(struct wr_record_files *f)
{
	if (f == NULL)
		return;
	if (f->fd >= 0) {
		if (f->fsync != WR_FSYNC_NEVER)
			fdatasync(f->fd);
		close(f->fd);
	}
	if (f->dirfd >= 0)
		close(f->dirfd);
	free(f);
}

static int write_at(int fd, const char *p, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t k = pwrite(fd, p, n, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : -EIO;
		p += k;
		n -= (size_t)k;
		at += (uint64_t)k;
	}
	return 0;
}

/* Whole lines among p[0..n) that end within room. */
static size_t lines_within(const char *p, size_t n, size_t room)
{
	size_t k = n < room ? n : room;

	while (k > 0 && p[k - 1] != '\n')
		k--;
	return k;
}

static size_t line_length(const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);

	return end != NULL ? (size_t)(end - p) + 1 : n;
}

/* The last line grows by blanks to the end of its page. */
static int pad(struct wr_record_files *f, uint64_t *end)
{
	char blanks[PAGE + 1];
	size_t n = PAGE - (size_t)(*end % PAGE) + 1;

	memset(blanks, ' ', n - 1);
	blanks[n - 1] = '\n';
	*end += n - 1;
	return write_at(f->fd, blanks, n, *end - n);
}

/*
 * The kernel makes a write visible page by page: who reads at the same time would see the head of a
 * line that crosses into the next page. So no line does, but one that is longer than a page.
 */
static int put_lines(struct wr_record_files *f, const char *p, size_t n, uint64_t *end)
{
	int rc = 0;

	while (rc == 0 && n > 0) {
		size_t k = lines_within(p, n, PAGE - (size_t)(*end % PAGE));

		if (k == 0 && *end % PAGE != 0) {
			rc = pad(f, end);
			continue;
		}
		if (k == 0)
			k = line_length(p, n);
		rc = write_at(f->fd, p, k, *end);
		p += k;
		n -= k;
		*end += k;
	}
	return rc;
}

/* Half a batch is taken back: it will come again as a whole. */
static void take_back(struct wr_record_files *f)
{
	if (ftruncate(f->fd, (off_t)f->bytes) != 0 ||
	    (f->bytes > 0 && write_at(f->fd, "\n", 1, f->bytes - 1) != 0))
		wr_log(WR_LOG_ERROR, "records.truncate", "error=\"%s\"", strerror(errno));
}

int wr_record_files_put(struct wr_record_files *f, const char *lines, size_t n)
{
	uint64_t end;
	int rc;

	if (f->bytes >= f->rotate) {
		rc = open_next(f);
		if (rc != 0)
			return rc;
	}
	end = f->bytes;
	rc = put_lines(f, lines, n, &end);
	if (rc == 0 && f->fsync == WR_FSYNC_RECORD && fdatasync(f->fd) != 0)
		rc = -errno;
	if (rc != 0) {
		take_back(f);
		return rc;
	}
	f->bytes = end;
	f->dirty = true;
	return 0;
}

void wr_record_files_tick(struct wr_record_files *f, uint64_t now_ns)
{
	if (f->fsync != WR_FSYNC_SECOND || !f->dirty || now_ns - f->last_sync_ns < SECOND_NS)
		return;
	f->last_sync_ns = now_ns;
	f->dirty = false;
	if (fdatasync(f->fd) != 0)
		wr_log(WR_LOG_ERROR, "records.fsync", "error=\"%s\"", strerror(errno));
}
