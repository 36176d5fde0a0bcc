/* SPDX-License-Identifier: BSD-3-Clause */
#include "compile/out.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void wr_out_hex(const uint8_t *p, size_t n, char *out)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digit[p[i] >> 4];
		out[2 * i + 1] = digit[p[i] & 15];
	}
	out[2 * n] = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool wr_out_unhex(const char *s, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int hi = nibble(s[2 * i]), lo = hi < 0 ? -1 : nibble(s[2 * i + 1]);

		if (lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static void name_of(const uint8_t sha256[32], const char *ext, char out[80])
{
	wr_out_hex(sha256, 32, out);
	strcpy(out + 64, ext);
}

int wr_out_begin(struct wr_out *o)
{
	int fd;

	snprintf(o->tmp, sizeof(o->tmp), ".tmp-%d-%u", (int)getpid(), o->serial++);
	fd = openat(o->dirfd, o->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	return fd < 0 ? -errno : fd;
}

void wr_out_abort(struct wr_out *o, int fd)
{
	close(fd);
	unlinkat(o->dirfd, o->tmp, 0);
}

static int finish(struct wr_out *o, int fd, const char *name)
{
	int rc = fsync(fd) == 0 && renameat(o->dirfd, o->tmp, o->dirfd, name) == 0 ? 0 : -errno;

	if (rc != 0)
		unlinkat(o->dirfd, o->tmp, 0);
	close(fd);
	return rc;
}

int wr_out_commit(struct wr_out *o, int fd, uint8_t sha256[32])
{
	uint8_t md[EVP_MAX_MD_SIZE];
	char name[80];
	struct stat st;
	void *p;
	int ok;

	if (fstat(fd, &st) != 0 || st.st_size <= 0) {
		wr_out_abort(o, fd);
		return -EIO;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		wr_out_abort(o, fd);
		return -ENOMEM;
	}
	ok = EVP_Digest(p, (size_t)st.st_size, md, NULL, EVP_sha256(), NULL);
	munmap(p, (size_t)st.st_size);
	if (ok != 1) {
		wr_out_abort(o, fd);
		return -EIO;
	}
	memcpy(sha256, md, 32);
	name_of(sha256, ".shard", name);
	return finish(o, fd, name);
}

static int write_all(int fd, const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n != 0) {
		ssize_t w = write(fd, b, n);

		if (w < 0)
			return -errno;
		b += w;
		n -= (size_t)w;
	}
	return 0;
}

int wr_out_write(struct wr_out *o, const void *p, size_t n, uint8_t sha256[32])
{
	int fd = wr_out_begin(o), rc;

	if (fd < 0)
		return fd;
	rc = write_all(fd, p, n);
	if (rc != 0) {
		wr_out_abort(o, fd);
		return rc;
	}
	return wr_out_commit(o, fd, sha256);
}

uint64_t wr_out_have(const struct wr_out *o, const uint8_t sha256[32])
{
	char name[80];
	struct stat st;

	name_of(sha256, ".shard", name);
	if (fstatat(o->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return 0;
	return (uint64_t)st.st_size;
}

int wr_out_key_get(const struct wr_out *o, const uint8_t key[32], char *text, size_t size)
{
	char name[80];
	ssize_t n;
	int fd;

	name_of(key, ".key", name);
	fd = openat(o->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -ENOENT;
	n = read(fd, text, size - 1);
	close(fd);
	if (n < 0)
		return -ENOENT;
	text[n] = '\0';
	return 0;
}

int wr_out_key_put(struct wr_out *o, const uint8_t key[32], const char *text)
{
	char name[80];
	int fd = wr_out_begin(o), rc;

	if (fd < 0)
		return fd;
	name_of(key, ".key", name);
	rc = write_all(fd, text, strlen(text));
	if (rc != 0) {
		wr_out_abort(o, fd);
		return rc;
	}
	return finish(o, fd, name);
}
