/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/private.h"
#include "bundle/ship.h"
#include "bundle/ship_private.h"
#include "bundle/text.h"

static const struct {
	const char *name, *help;
} refusals[] = {
#define X(e, s, h) { s, h },
	WR_REFUSALS(X)
#undef X
};

const char *wr_refusal_name(enum wr_refusal_code c)
{
	return (unsigned)c < WR_REFUSE_COUNT ? refusals[c].name : "?";
}

const char *wr_refusal_help(enum wr_refusal_code c)
{
	return (unsigned)c < WR_REFUSE_COUNT ? refusals[c].help : "?";
}

int wr_refuse(struct wr_refusal *r, enum wr_refusal_code c, const char *fmt, ...)
{
	va_list ap;

	r->code = c;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	switch (c) {
	case WR_REFUSE_NOT_TRUSTED:
	case WR_REFUSE_UNSIGNED:
	case WR_REFUSE_BAD_SIGNATURE:
	case WR_REFUSE_UNDER_SIGNED:
	case WR_REFUSE_EXPIRED:
	case WR_REFUSE_HELD:
	case WR_REFUSE_NOT_NEWER: return -EPERM;
	case WR_REFUSE_IO: return -EIO;
	case WR_REFUSE_NO_SPACE: return -ENOSPC;
	default: return -EBADMSG;
	}
}

/* A name that any file system, shell and `sha256sum -c` reads the same way. */
bool wr_ship_path_ok(const char *path, bool hidden_ok)
{
	uint32_t depth = 1;

	if (strlen(path) > WR_SHIP_PATH_MAX || path[0] == '\0')
		return false;
	for (const char *p = path; *p != '\0'; p++) {
		bool start = p == path || p[-1] == '/';

		if (start && (*p == '/' || *p == '-' || (*p == '.' && !hidden_ok)))
			return false;
		depth += *p == '/';
		if (*p == '/' && p[1] == '\0')
			return false;
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/+=@",
		           *p) == NULL)
			return false;
	}
	return depth <= WR_SHIP_DEPTH_MAX && strstr(path, "..") == NULL;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct wr_ship_file *)a)->path,
	              ((const struct wr_ship_file *)b)->path);
}

static int add_file(struct wr_ship_files *f, const char *path, uint64_t bytes, struct wr_refusal *r)
{
	if (f->n == WR_BUNDLE_FILES_MAX)
		return wr_refuse(r, WR_REFUSE_TOO_MANY_FILES, "more than %u files",
		                 WR_BUNDLE_FILES_MAX);
	if (f->n == f->room) {
		uint32_t room = f->room == 0 ? 32 : f->room * 2;
		struct wr_ship_file *p = realloc(f->file, room * sizeof(*p));

		if (p == NULL)
			return -ENOMEM;
		f->file = p;
		f->room = room;
	}
	f->file[f->n].path = strdup(path);
	f->file[f->n].bytes = bytes;
	return f->file[f->n].path == NULL ? -ENOMEM : (f->n++, 0);
}

static int walk(int fd, const char *prefix, bool skip_hidden, struct wr_ship_files *out,
                struct wr_refusal *r);

static int walk_entry(int fd, const char *path, const char *name, bool skip_hidden,
                      struct wr_ship_files *out, struct wr_refusal *r)
{
	struct stat st;
	char shown[WR_ESCAPE_MAX];

	wr_text_escape(shown, sizeof(shown), path, strlen(path));
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return wr_refuse(r, WR_REFUSE_IO, "%s: %s", shown, strerror(errno));
	if (!wr_ship_path_ok(path, false))
		return wr_refuse(r, WR_REFUSE_BAD_PATH, "%s: a name that a bundle may not hold",
		                 shown);
	if (S_ISDIR(st.st_mode)) {
		int sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (sub < 0)
			return wr_refuse(r, WR_REFUSE_IO, "%s: %s", shown, strerror(errno));
		return walk(sub, path, skip_hidden, out, r);
	}
	if (!S_ISREG(st.st_mode))
		return wr_refuse(r, WR_REFUSE_BAD_TYPE, "%s: neither a file nor a folder", shown);
	return add_file(out, path, (uint64_t)st.st_size, r);
}

/* Takes fd. */
static int walk(int fd, const char *prefix, bool skip_hidden, struct wr_ship_files *out,
                struct wr_refusal *r)
{
	DIR *d = fdopendir(fd);
	int rc = 0;

	if (d == NULL) {
		close(fd);
		return wr_refuse(r, WR_REFUSE_IO, "%s: %s", prefix, strerror(errno));
	}
	for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
		char path[WR_SHIP_PATH_MAX + 300];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		/* Editors and version control leave such files; they are not the author's intent.
		 */
		if (skip_hidden && (e->d_name[0] == '.' || e->d_name[strlen(e->d_name) - 1] == '~'))
			continue;
		snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] == '\0' ? "" : "/",
		         e->d_name);
		rc = walk_entry(fd, path, e->d_name, skip_hidden, out, r);
	}
	closedir(d);
	return rc;
}

int wr_ship_walk(int dirfd, bool skip_hidden, struct wr_ship_files *out, struct wr_refusal *r)
{
	/* Opened anew: a dup would share, and leave behind, the position in the folder. */
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	*out = (struct wr_ship_files){ 0 };
	if (fd < 0)
		return wr_refuse(r, WR_REFUSE_IO, "the folder: %s", strerror(errno));
	rc = walk(fd, "", skip_hidden, out, r);
	if (rc != 0)
		wr_ship_files_free(out);
	else if (out->n > 1)
		qsort(out->file, out->n, sizeof(*out->file), by_path);
	return rc;
}

void wr_ship_files_free(struct wr_ship_files *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		free(f->file[i].path);
	free(f->file);
	*f = (struct wr_ship_files){ 0 };
}

int wr_ship_sha256(int dirfd, const char *path, uint8_t out[32])
{
	/* OpenSSL's uses the CPU's SHA instructions: lists are hundreds of megabytes. */
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t *buf = malloc(1 << 18);
	int fd = wr_bundle_open(dirfd, path);
	int rc = fd < 0 ? fd : buf == NULL || md == NULL ? -ENOMEM : 0;

	if (rc == 0 && EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		rc = -EIO;
	while (rc == 0) {
		ssize_t n = read(fd, buf, 1 << 18);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = -errno;
		if (n <= 0)
			break;
		if (EVP_DigestUpdate(md, buf, (size_t)n) != 1)
			rc = -EIO;
	}
	if (rc == 0 && EVP_DigestFinal_ex(md, out, NULL) != 1)
		rc = -EIO;
	EVP_MD_CTX_free(md);
	if (fd >= 0)
		close(fd);
	free(buf);
	return rc;
}

/* SHA256SUMS and the signatures over it are not in the sums. */
bool wr_ship_beside_sums(const char *path)
{
	size_t n = strlen(path), head = strlen(WR_SHIP_SUMS), tail = strlen(".minisig");

	if (strncmp(path, WR_SHIP_SUMS, head) != 0)
		return false;
	return n == head || (path[head] == '.' && n > head + tail &&
	                     strcmp(path + n - tail, ".minisig") == 0 && strchr(path, '/') == NULL);
}

int wr_ship_write_file(int dirfd, const char *name, const void *p, size_t n, struct wr_refusal *r)
{
	char tmp[WR_SHIP_PATH_MAX + 8];
	int fd, rc = 0;

	/* Written aside and renamed: a reader never sees half a file. */
	snprintf(tmp, sizeof(tmp), ".%.240s.tmp", name);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return wr_refuse(r, WR_REFUSE_IO, "%s: %s", name, strerror(errno));
	while (n != 0 && rc == 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0)
			rc = errno == ENOSPC || errno == EDQUOT
			             ? wr_refuse(r, WR_REFUSE_NO_SPACE, "%s: the disk is full",
			                         name)
			             : wr_refuse(r, WR_REFUSE_IO, "%s: %s", name, strerror(errno));
		else {
			p = (const char *)p + k;
			n -= (size_t)k;
		}
	}
	if (rc == 0 && fsync(fd) != 0)
		rc = wr_refuse(r, WR_REFUSE_IO, "%s: %s", name, strerror(errno));
	close(fd);
	if (rc == 0 && renameat(dirfd, tmp, dirfd, name) != 0)
		rc = wr_refuse(r, WR_REFUSE_IO, "%s: %s", name, strerror(errno));
	if (rc != 0)
		(void)unlinkat(dirfd, tmp, 0);
	return rc;
}

int wr_ship_sums_write(int dirfd, struct wr_refusal *r)
{
	struct wr_ship_files f;
	char *text = NULL;
	size_t size = 0;
	FILE *out;
	int rc = wr_ship_walk(dirfd, true, &f, r);

	if (rc != 0)
		return rc;
	out = open_memstream(&text, &size);
	if (out == NULL)
		rc = -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < f.n; i++) {
		uint8_t sum[32];
		char hex[65];

		if (wr_ship_beside_sums(f.file[i].path))
			continue;
		rc = wr_ship_sha256(dirfd, f.file[i].path, sum);
		if (rc != 0) {
			rc = wr_refuse(r, WR_REFUSE_IO, "%s: %s", f.file[i].path, strerror(-rc));
			break;
		}
		wr_text_hex_print(sum, 32, hex);
		fprintf(out, "%s  %s\n", hex, f.file[i].path);
	}
	if (out != NULL && fclose(out) != 0)
		rc = -ENOMEM;
	if (rc == 0)
		rc = wr_ship_write_file(dirfd, WR_SHIP_SUMS, text, size, r);
	free(text);
	wr_ship_files_free(&f);
	return rc;
}

/* --- check -------------------------------------------------------------------------------------
 */

/* One line "hex  path" -> the next file of the walk must be exactly it: both are sorted bytewise.
 */
static int check_line(int dirfd, char *line, const struct wr_ship_files *f, uint32_t *at,
                      struct wr_refusal *r)
{
	uint8_t want[32], have[32];
	const char *path = line + 66;
	int d, rc;

	if (strlen(line) < 67 || !wr_text_hex(line, want, 32) || line[64] != ' ' ||
	    (line[65] != ' ' && line[65] != '*') || !wr_ship_path_ok(path, false) ||
	    wr_ship_beside_sums(path))
		return wr_refuse(r, WR_REFUSE_BAD_SUMS, "a line of SHA256SUMS is malformed");
	while (*at < f->n && wr_ship_beside_sums(f->file[*at].path))
		(*at)++;
	d = *at == f->n ? -1 : strcmp(path, f->file[*at].path);
	if (d < 0)
		return wr_refuse(
		        r, WR_REFUSE_MISSING_FILE,
		        "%s is named by SHA256SUMS and is not there (or stands out of order)",
		        path);
	if (d > 0)
		return wr_refuse(r, WR_REFUSE_EXTRA_FILE, "%s is not named by SHA256SUMS",
		                 f->file[*at].path);
	rc = wr_ship_sha256(dirfd, path, have);
	if (rc != 0)
		return wr_refuse(r, WR_REFUSE_IO, "%s: %s", path, strerror(-rc));
	if (memcmp(want, have, 32) != 0)
		return wr_refuse(r, WR_REFUSE_SUM_MISMATCH, "%s differs from its sum", path);
	(*at)++;
	return 0;
}

int wr_ship_sums_check(int dirfd, struct wr_refusal *r)
{
	struct wr_ship_files f;
	uint8_t *p = NULL;
	size_t n = 0;
	uint32_t at = 0;
	char *line, *save = NULL;
	int rc = wr_bundle_slurp(dirfd, WR_SHIP_SUMS, 4u << 20, &p, &n);

	if (rc != 0)
		return wr_refuse(r, rc == -ENOENT ? WR_REFUSE_NO_SUMS : WR_REFUSE_BAD_SUMS,
		                 "SHA256SUMS: %s", strerror(-rc));
	rc = wr_ship_walk(dirfd, false, &f, r);
	if (rc != 0)
		goto out;
	if (n == 0 || p[n - 1] != '\n' || memchr(p, '\0', n) != NULL) {
		rc = wr_refuse(r, WR_REFUSE_BAD_SUMS, "SHA256SUMS is cut short or holds a NUL");
		goto out;
	}
	p[n - 1] = '\0';
	for (line = strtok_r((char *)p, "\n", &save); line != NULL && rc == 0;
	     line = strtok_r(NULL, "\n", &save))
		rc = check_line(dirfd, line, &f, &at, r);
	while (rc == 0 && at < f.n && wr_ship_beside_sums(f.file[at].path))
		at++;
	if (rc == 0 && at < f.n)
		rc = wr_refuse(r, WR_REFUSE_EXTRA_FILE, "%s is not named by SHA256SUMS",
		               f.file[at].path);
out:
	wr_ship_files_free(&f);
	free(p);
	return rc;
}
