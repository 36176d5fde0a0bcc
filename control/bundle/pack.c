/* SPDX-License-Identifier: BSD-3-Clause */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/private.h"
#include "bundle/ship.h"
#include "bundle/ship_private.h"
#include "bundle/text.h"

#define BLOCK_BYTES 262144u

static int pack_bytes(struct archive *a, int fd, uint64_t bytes, const char *path,
                      struct wr_refusal *r)
{
	char *buf = malloc(BLOCK_BYTES);
	int rc = buf == NULL ? -ENOMEM : 0;

	while (rc == 0 && bytes != 0) {
		ssize_t n = read(fd, buf, wr_min_u64(bytes, BLOCK_BYTES));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			rc = wr_refuse(r, WR_REFUSE_IO, "%s changed while it was packed", path);
		else if (archive_write_data(a, buf, (size_t)n) != n)
			rc = wr_refuse(r, WR_REFUSE_IO, "%s: %s", path, archive_error_string(a));
		else
			bytes -= (uint64_t)n;
	}
	free(buf);
	return rc;
}

static int pack_file(struct archive *a, int dirfd, const struct wr_ship_file *f, uint64_t mtime,
                     struct wr_refusal *r)
{
	struct archive_entry *e = archive_entry_new();
	struct stat st;
	int fd = wr_bundle_open(dirfd, f->path);
	int rc = 0;

	if (fd < 0 || fstat(fd, &st) != 0) {
		rc = wr_refuse(r, WR_REFUSE_IO, "%s: %s", f->path, strerror(fd < 0 ? -fd : errno));
	} else {
		/* Everything that could differ between two machines is fixed. */
		archive_entry_set_pathname(e, f->path);
		archive_entry_set_filetype(e, AE_IFREG);
		archive_entry_set_perm(e, 0644);
		archive_entry_set_mtime(e, (time_t)mtime, 0);
		archive_entry_set_size(e, st.st_size);
		if (archive_write_header(a, e) != ARCHIVE_OK)
			rc = wr_refuse(r, WR_REFUSE_IO, "%s: %s", f->path, archive_error_string(a));
		else
			rc = pack_bytes(a, fd, (uint64_t)st.st_size, f->path, r);
	}
	if (fd >= 0)
		close(fd);
	archive_entry_free(e);
	return rc;
}

int wr_ship_pack(int dirfd, uint64_t mtime, int out_fd, struct wr_refusal *r)
{
	struct wr_ship_files f;
	struct archive *a;
	int rc = wr_ship_walk(dirfd, true, &f, r);

	if (rc != 0)
		return rc;
	a = archive_write_new();
	/* Level 9: lists are the bulk, and digests hardly compress at any level. */
	if (a == NULL || archive_write_set_format_pax_restricted(a) != ARCHIVE_OK ||
	    archive_write_add_filter_zstd(a) != ARCHIVE_OK ||
	    archive_write_set_filter_option(a, "zstd", "compression-level", "9") != ARCHIVE_OK ||
	    archive_write_open_fd(a, out_fd) != ARCHIVE_OK)
		rc = wr_refuse(r, WR_REFUSE_IO, "cannot write tar with zstd: %s",
		               a == NULL ? "no memory" : archive_error_string(a));
	for (uint32_t i = 0; rc == 0 && i < f.n; i++)
		rc = pack_file(a, dirfd, &f.file[i], mtime, r);
	if (rc == 0 && archive_write_close(a) != ARCHIVE_OK)
		rc = wr_refuse(r, WR_REFUSE_IO, "the archive: %s", archive_error_string(a));
	if (a != NULL)
		archive_write_free(a);
	wr_ship_files_free(&f);
	return rc;
}

/* --- unpack ------------------------------------------------------------------------------------
 */

struct unpack {
	struct archive *a;
	int dirfd;
	const struct wr_ship_limits *l;
	struct wr_refusal *r;
	uint64_t bytes;
	uint32_t files;
};

/* Makes the folders of path below dirfd; gives an fd of the last one and the file's own name. */
static int open_parent(int dirfd, const char *path, const char **name)
{
	int at = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);

	while (at >= 0) {
		const char *slash = strchr(path, '/');
		char part[WR_SHIP_PATH_MAX + 1];
		int fd;

		if (slash == NULL)
			break;
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdirat(at, part, 0700) != 0 && errno != EEXIST) {
			int rc = -errno;

			close(at);
			return rc;
		}
		fd = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) {
			int rc = -errno;

			close(at);
			return rc;
		}
		close(at);
		at = fd;
		path = slash + 1;
	}
	*name = path;
	return at < 0 ? -errno : at;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n != 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static int io_refusal(struct wr_refusal *r, const char *path, int rc)
{
	if (rc == -ENOSPC || rc == -EDQUOT)
		return wr_refuse(r, WR_REFUSE_NO_SPACE, "%s: the disk is full", path);
	return wr_refuse(r, WR_REFUSE_IO, "%s: %s", path, strerror(-rc));
}

static int unpack_bytes(struct unpack *u, int fd, const char *path)
{
	char *buf = malloc(BLOCK_BYTES);
	int rc = buf == NULL ? -ENOMEM : 0;

	while (rc == 0) {
		la_ssize_t n = archive_read_data(u->a, buf, BLOCK_BYTES);

		if (n == 0)
			break;
		if (n < 0) {
			rc = wr_refuse(u->r, WR_REFUSE_BAD_ARCHIVE, "%s: %s", path,
			               archive_error_string(u->a) == NULL
			                       ? "damaged"
			                       : archive_error_string(u->a));
			break;
		}
		/* Counted as the bytes come, not as the header promises: that is what a bomb lies
		 * about. */
		u->bytes += (uint64_t)n;
		if (u->bytes > u->l->unpacked_bytes) {
			rc = wr_refuse(u->r, WR_REFUSE_TOO_LARGE,
			               "%s: more than %llu bytes unpacked", path,
			               (unsigned long long)u->l->unpacked_bytes);
			break;
		}
		rc = write_all(fd, buf, (size_t)n);
		if (rc != 0)
			rc = io_refusal(u->r, path, rc);
	}
	free(buf);
	return rc;
}

static int unpack_file(struct unpack *u, const char *path)
{
	const char *name = path;
	int dir = open_parent(u->dirfd, path, &name);
	int fd, rc;

	if (dir == -ENOTDIR || dir == -ELOOP)
		return wr_refuse(u->r, WR_REFUSE_DUPLICATE,
		                 "%s: a file stands where a folder must be", path);
	if (dir < 0)
		return io_refusal(u->r, path, dir);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	rc = fd < 0 ? -errno : 0;
	close(dir);
	if (rc == -EEXIST)
		return wr_refuse(u->r, WR_REFUSE_DUPLICATE, "%s stands twice in the archive", path);
	if (rc != 0)
		return io_refusal(u->r, path, rc);
	rc = unpack_bytes(u, fd, path);
	if (close(fd) != 0 && rc == 0)
		rc = io_refusal(u->r, path, -errno);
	return rc;
}

static int unpack_entry(struct unpack *u, struct archive_entry *e)
{
	const char *path = archive_entry_pathname(e);
	char shown[WR_ESCAPE_MAX];

	if (path == NULL)
		return wr_refuse(u->r, WR_REFUSE_BAD_PATH, "an entry without a readable name");
	wr_text_escape(shown, sizeof(shown), path, strlen(path));
	if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e) != NULL ||
	    archive_entry_symlink(e) != NULL)
		return wr_refuse(u->r, WR_REFUSE_BAD_TYPE,
		                 "%s: an archive of a bundle holds files and nothing else", shown);
	if (!wr_ship_path_ok(path, false))
		return wr_refuse(u->r, WR_REFUSE_BAD_PATH, "%s: a name that a bundle may not hold",
		                 shown);
	if (++u->files > u->l->files)
		return wr_refuse(u->r, WR_REFUSE_TOO_MANY_FILES, "more than %u files", u->l->files);
	if (archive_entry_size(e) > 0 &&
	    (uint64_t)archive_entry_size(e) > u->l->unpacked_bytes - u->bytes)
		return wr_refuse(u->r, WR_REFUSE_TOO_LARGE, "%s: more than %llu bytes unpacked",
		                 shown, (unsigned long long)u->l->unpacked_bytes);
	return unpack_file(u, path);
}

static int unpack_all(struct unpack *u)
{
	struct archive_entry *e;
	int rc, got;

	for (;;) {
		got = archive_read_next_header(u->a, &e);
		if (got == ARCHIVE_EOF)
			break;
		/* A warning means that libarchive guessed; a bundle leaves nothing to guess. */
		if (got != ARCHIVE_OK)
			return wr_refuse(u->r, WR_REFUSE_BAD_ARCHIVE, "%s",
			                 archive_error_string(u->a) == NULL
			                         ? "damaged"
			                         : archive_error_string(u->a));
		rc = unpack_entry(u, e);
		if (rc != 0)
			return rc;
	}
	if (u->files == 0)
		return wr_refuse(u->r, WR_REFUSE_BAD_ARCHIVE, "the archive is empty");
	return 0;
}

int wr_ship_unpack(int in_fd, int dirfd, const struct wr_ship_limits *l, struct wr_refusal *r)
{
	struct unpack u = { .dirfd = dirfd, .l = l, .r = r };
	struct stat st;
	int rc;

	if (fstat(in_fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size > l->packed_bytes)
		return wr_refuse(r, WR_REFUSE_TOO_LARGE, "the archive has more than %llu bytes",
		                 (unsigned long long)l->packed_bytes);
	u.a = archive_read_new();
	if (u.a == NULL)
		return -ENOMEM;
	/* These two and no other: each format more is a parser more for hostile bytes. */
	if (archive_read_support_filter_zstd(u.a) != ARCHIVE_OK ||
	    archive_read_support_format_tar(u.a) != ARCHIVE_OK ||
	    archive_read_open_fd(u.a, in_fd, BLOCK_BYTES) != ARCHIVE_OK)
		rc = wr_refuse(r, WR_REFUSE_BAD_ARCHIVE, "not tar with zstd: %s",
		               archive_error_string(u.a) == NULL ? "unreadable"
		                                                 : archive_error_string(u.a));
	else if (archive_filter_code(u.a, 0) != ARCHIVE_FILTER_ZSTD)
		rc = wr_refuse(r, WR_REFUSE_BAD_ARCHIVE, "not compressed with zstd");
	else
		rc = unpack_all(&u);
	archive_read_free(u.a);
	return rc;
}
