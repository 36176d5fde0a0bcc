/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading below one directory fd. Nothing here leaves that directory: not by `..`, not by an
 * absolute path, not by a symlink; so a hostile bundle cannot make control read /etc/shadow into an
 * error line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/private.h"

#define COMPONENT_MAX 128u

/* Takes the next component off *path; 0, or -EINVAL for one that no bundle may hold. */
static int component(const char **path, char out[COMPONENT_MAX], bool *last)
{
	const char *slash = strchr(*path, '/');
	size_t n = slash == NULL ? strlen(*path) : (size_t)(slash - *path);

	if (n == 0 || n >= COMPONENT_MAX)
		return -EINVAL;
	memcpy(out, *path, n);
	out[n] = '\0';
	if (strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
		return -EINVAL;
	*last = slash == NULL;
	*path += n + (slash != NULL);
	return 0;
}

static int walk(int dirfd, const char *path, int flags)
{
	int at = dirfd, rc = 0;
	bool last = false;

	while (!last) {
		char name[COMPONENT_MAX];
		int fd;

		rc = component(&path, name, &last);
		if (rc != 0)
			break;
		/* O_NONBLOCK: opening a FIFO in the place of a file must not hang. */
		fd = openat(at, name,
		            O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK |
		                    (last ? flags : O_DIRECTORY));
		rc = fd < 0 ? -errno : fd;
		if (at != dirfd)
			close(at);
		if (rc < 0)
			return rc;
		at = fd;
	}
	if (rc < 0 && at != dirfd)
		close(at);
	return rc < 0 ? rc : at;
}

int wr_bundle_open(int dirfd, const char *path)
{
	struct stat st;
	int fd = walk(dirfd, path, 0);
	int rc = fd;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) != 0)
		rc = -errno;
	else if (!S_ISREG(st.st_mode))
		rc = -EINVAL;
	if (rc < 0)
		close(fd);
	return rc;
}

int wr_bundle_slurp(int dirfd, const char *path, size_t max, uint8_t **p, size_t *n)
{
	size_t room = 65536, len = 0;
	uint8_t *buf = malloc(room);
	int fd = wr_bundle_open(dirfd, path);
	int rc = fd < 0 ? fd : 0;

	if (buf == NULL && rc == 0)
		rc = -ENOMEM;
	while (rc == 0) {
		ssize_t got = read(fd, buf + len, room - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			rc = -errno;
		if (got <= 0)
			break;
		len += (size_t)got;
		if (len > max)
			rc = -EFBIG;
		if (len == room) {
			uint8_t *bigger = realloc(buf, room * 2);

			if (bigger == NULL)
				rc = -ENOMEM;
			else
				buf = bigger;
			room *= 2;
		}
	}
	if (fd >= 0)
		close(fd);
	if (rc != 0) {
		free(buf);
		return rc;
	}
	*p = buf;
	*n = len;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int collect(struct wr_reader *r, DIR *d, const char *path, char ***name, uint32_t *n)
{
	uint32_t room = 0;

	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		size_t len = strlen(e->d_name);
		char shown[512];

		if (e->d_name[0] == '.')
			continue;
		if (len < 6 || strcmp(e->d_name + len - 5, ".yaml") != 0) {
			if (len > 4 && strcmp(e->d_name + len - 4, ".yml") == 0) {
				snprintf(shown, sizeof(shown), "%s/%s", path, e->d_name);
				wr_bundle_error_add(r->e, shown, 0,
				                    "is not read: the name must end in .yaml");
			}
			continue;
		}
		if (*n == WR_BUNDLE_FILES_MAX)
			return -EMFILE;
		if (*n == room) {
			char **bigger;

			room = room == 0 ? 16 : room * 2;
			bigger = wr_arena_array(r->a, room, sizeof(*bigger));
			if (bigger == NULL)
				return -ENOMEM;
			if (*n != 0)
				memcpy(bigger, *name, *n * sizeof(*bigger));
			*name = bigger;
		}
		(*name)[*n] = wr_arena_strndup(r->a, e->d_name, len);
		if ((*name)[(*n)++] == NULL)
			return -ENOMEM;
	}
	return 0;
}

int wr_bundle_dir(struct wr_reader *r, int dirfd, const char *path, char ***name, uint32_t *n)
{
	int fd = walk(dirfd, path, O_DIRECTORY);
	DIR *d;
	int rc;

	*n = 0;
	*name = NULL;
	if (fd < 0)
		return fd;
	d = fdopendir(fd);
	if (d == NULL) {
		rc = -errno;
		close(fd);
		return rc;
	}
	rc = collect(r, d, path, name, n);
	closedir(d);
	if (rc == 0 && *n > 1)
		qsort(*name, *n, sizeof(**name), by_name);
	return rc;
}
