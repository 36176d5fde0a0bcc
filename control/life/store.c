/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "life/private.h"

#define STATE_FILE "life.json"

void (*wr_life_test_point)(const char *where);

static void point(const char *where)
{
	if (wr_life_test_point != NULL)
		wr_life_test_point(where);
}

#define BEGIN_WAIT_NS 500000000

bool wr_life_begin(struct wr_life *l)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += BEGIN_WAIT_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return pthread_mutex_timedlock(&l->busy, &until) == 0;
}

uint64_t wr_life_now(const struct wr_life *l)
{
	return l->conf.now != NULL ? l->conf.now() : (uint64_t)time(NULL);
}

/* Aside, synced, renamed, the folder synced: after a crash the file is the old one or the new one.
 */
static int put_file(int dirfd, const char *name, const char *text, size_t n)
{
	char tmp[64];
	int fd, rc = 0;

	snprintf(tmp, sizeof(tmp), ".%.50s.tmp", name);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (n != 0 && rc == 0) {
		ssize_t k = write(fd, text, n);

		if (k < 0 && errno != EINTR)
			rc = -errno;
		if (k > 0) {
			text += k;
			n -= (size_t)k;
		}
	}
	point("state half written");
	if (rc == 0 && fsync(fd) != 0)
		rc = -errno;
	if (close(fd) != 0 && rc == 0)
		rc = -errno;
	point("state not renamed");
	if (rc == 0 && renameat(dirfd, tmp, dirfd, name) != 0)
		rc = -errno;
	if (rc == 0 && fsync(dirfd) != 0)
		rc = -errno;
	if (rc != 0)
		(void)unlinkat(dirfd, tmp, 0);
	point("state renamed");
	return rc;
}

int wr_life_save(struct wr_life *l)
{
	char *text = json_dumps(l->root, JSON_INDENT(1) | JSON_SORT_KEYS);
	int rc = text == NULL ? -ENOMEM : put_file(l->dirfd, STATE_FILE, text, strlen(text));

	free(text);
	return rc;
}

int wr_life_load(struct wr_life *l, char *err, size_t n)
{
	int fd = openat(l->dirfd, STATE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	json_error_t e;

	if (fd < 0 && errno == ENOENT) {
		l->root = json_pack("{s:{},s:[]}", "bundles", "rejected");
		return l->root == NULL ? -ENOMEM : 0;
	}
	if (fd < 0)
		return -errno;
	l->root = json_loadfd(fd, JSON_REJECT_DUPLICATES, &e);
	close(fd);
	if (json_is_object(json_object_get(l->root, "bundles")) &&
	    json_is_array(json_object_get(l->root, "rejected")))
		return 0;
	/* It holds the version floors: guessing would let an old bundle in. */
	snprintf(err, n, "%s/" STATE_FILE " is damaged (line %d); restore it from a backup",
	         l->conf.dir, l->root == NULL ? e.line : 0);
	return -EBADMSG;
}

static int remove_one(const char *p, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(p);
}

void wr_life_remove(struct wr_life *l, const char *path)
{
	char full[PATH_MAX];

	if (snprintf(full, sizeof(full), "%s/%s", l->conf.dir, path) < (int)sizeof(full))
		(void)nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int wr_life_incoming(struct wr_life *l)
{
	int fd;

	wr_life_remove(l, "incoming");
	if (mkdirat(l->dirfd, "incoming", 0700) != 0)
		return -errno;
	fd = openat(l->dirfd, "incoming", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* Files first, then the folders that name them. Not syncfs(): that waits for everybody's writes. */
static int sync_tree(int dirfd)
{
	struct wr_ship_files f;
	struct wr_refusal r;
	int rc = wr_ship_walk(dirfd, false, &f, &r);

	for (int folders = 0; folders < 2; folders++) {
		char last[WR_SHIP_PATH_MAX + 1] = "";

		for (uint32_t i = 0; rc == 0 && i < f.n; i++) {
			char path[WR_SHIP_PATH_MAX + 1];
			char *slash;
			int fd;

			snprintf(path, sizeof(path), "%s", f.file[i].path);
			slash = strrchr(path, '/');
			if (folders) {
				snprintf(path, slash == NULL ? 2 : (size_t)(slash - path) + 1, "%s",
				         slash == NULL ? "." : f.file[i].path);
				if (strcmp(path, last) == 0)
					continue;
				snprintf(last, sizeof(last), "%s", path);
			}
			fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
			if (fd < 0 || fsync(fd) != 0)
				rc = -errno;
			if (fd >= 0)
				close(fd);
		}
	}
	if (rc == 0 && fsync(dirfd) != 0)
		rc = -errno;
	wr_ship_files_free(&f);
	return rc;
}

static int sync_incoming(struct wr_life *l)
{
	int fd = openat(l->dirfd, "incoming", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int rc = fd < 0 ? -errno : sync_tree(fd);

	if (fd >= 0)
		close(fd);
	return rc;
}

int wr_life_keep(struct wr_life *l, const char *name, uint64_t version)
{
	char path[WR_BUNDLE_NAME_MAX + 32];
	int fd, rc = 0;

	if (mkdirat(l->dirfd, name, 0700) != 0 && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%s/%llu", name, (unsigned long long)version);
	/* Left there by a push that was refused or cut off: nothing refers to it. */
	wr_life_remove(l, path);
	fd = openat(l->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	/* The files of the bundle reach the disk before anything says that it is there. */
	rc = sync_incoming(l);
	point("folder not renamed");
	if (rc == 0 && renameat(l->dirfd, "incoming", l->dirfd, path) != 0)
		rc = -errno;
	if (rc == 0 && (fsync(fd) != 0 || fsync(l->dirfd) != 0))
		rc = -errno;
	close(fd);
	point("folder renamed");
	return rc;
}

void wr_life_path(const struct wr_life *l, const char *name, uint64_t version, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s/%llu", l->conf.dir, name, (unsigned long long)version);
}

int wr_life_write_overlay(struct wr_life *l, const char *name, uint64_t version)
{
	const json_t *overlay = json_object_get(wr_life_name(l, name, false), "overlay");
	char path[PATH_MAX], *text = NULL;
	json_t *doc;
	int fd, rc;

	wr_life_path(l, name, version, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (json_array_size(overlay) == 0) {
		rc = unlinkat(fd, ".overlay.yaml", 0) != 0 && errno != ENOENT ? -errno : 0;
		close(fd);
		return rc;
	}
	/* JSON is YAML; the bundle's loader reads it with the tables that read everything else. */
	doc = json_pack("{s:O}", "overlay", overlay);
	text = json_dumps(doc, JSON_INDENT(1) | JSON_ENSURE_ASCII);
	rc = text == NULL ? -ENOMEM : put_file(fd, ".overlay.yaml", text, strlen(text));
	free(text);
	json_decref(doc);
	close(fd);
	return rc;
}

json_t *wr_life_name(struct wr_life *l, const char *name, bool make)
{
	json_t *all = json_object_get(l->root, "bundles"), *o = json_object_get(all, name);

	if (o == NULL && make) {
		o = json_pack("{s:i,s:i,s:n,s:[],s:[]}", "floor", 0, "active", 0, "pinned",
		              "versions", "overlay");
		json_object_set_new(all, name, o);
	}
	return o;
}

json_t *wr_life_version(json_t *name, uint64_t version)
{
	json_t *all = json_object_get(name, "versions");

	for (size_t i = json_array_size(all); i-- > 0;)
		if (wr_life_u64(json_array_get(all, i), "version") == version)
			return json_array_get(all, i);
	return NULL;
}

uint64_t wr_life_u64(const json_t *o, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v < 0 ? 0 : (uint64_t)v;
}

uint64_t wr_life_target(const json_t *name)
{
	uint64_t staged = wr_life_u64(name, "staged");

	return staged != 0 ? staged : wr_life_u64(name, "active");
}

void wr_life_set_u64(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

enum wr_life_state wr_life_state_of(const json_t *entry)
{
	const char *s = json_string_value(json_object_get(entry, "state"));

	for (unsigned i = 0; s != NULL && i < WR_LIFE_STATE_COUNT; i++)
		if (strcmp(s, wr_life_state_name((enum wr_life_state)i)) == 0)
			return (enum wr_life_state)i;
	return WR_LIFE_REJECTED;
}

void wr_life_step(json_t *entry, enum wr_life_event e)
{
	int next = wr_life_next(wr_life_state_of(entry), e);

	WR_ASSERT(next >= 0);
	json_object_set_new(entry, "state",
	                    json_string(wr_life_state_name((enum wr_life_state)next)));
}
