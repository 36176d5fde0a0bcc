/* SPDX-License-Identifier: BSD-3-Clause */
/* A ruleset goes over shard by shard: those that the dataplane has already stay where they are. */
#include "link/private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SHARD_MS  60000 /* the dataplane hashes it */
#define STAGE_MS  120000
#define COMMIT_MS 60000
#define TRIES     10 /* x 100 ms, for what is over in a moment; an upload's end is not */

void wr_hex_put(const uint8_t *p, size_t n, char *out)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digit[p[i] >> 4];
		*out++ = digit[p[i] & 15];
	}
	*out = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int wr_hex_get(const char *hex, uint8_t *out, size_t n)
{
	if (strlen(hex) != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int hi = nibble(hex[2 * i]), lo = nibble(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

/* Copies the whole file into the memfd, and the hash is of what is in the memfd. */
static int copy_hashed(int from, int to, uint64_t bytes, uint8_t sha256[32])
{
	uint8_t out[EVP_MAX_MD_SIZE];
	uint64_t left = bytes;
	void *map;
	int rc = 0;

	while (left > 0) {
		ssize_t k = sendfile(to, from, NULL, left);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : -EIO;
		left -= (uint64_t)k;
	}
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, to, 0);
	if (map == MAP_FAILED)
		return -errno;
	/* OpenSSL's uses the CPU's SHA instructions: a table is hundreds of megabytes. */
	if (EVP_Digest(map, bytes, out, NULL, EVP_sha256(), NULL) != 1)
		rc = -EIO;
	munmap(map, bytes);
	if (rc == 0)
		memcpy(sha256, out, 32);
	return rc;
}

/* The file's bytes in a memfd that nobody can change any more. */
static int sealed(const char *path, const struct wr_shard_ref *ref, char *err)
{
	int from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), to = -1, rc = 0;
	uint8_t sha256[32];
	struct stat st;

	if (from < 0 || fstat(from, &st) != 0)
		rc = -errno;
	else if ((uint64_t)st.st_size != ref->bytes)
		rc = -EIO;
	if (rc == 0 && (to = memfd_create("weir-shard", MFD_CLOEXEC | MFD_ALLOW_SEALING)) < 0)
		rc = -errno;
	if (rc == 0)
		rc = copy_hashed(from, to, ref->bytes, sha256);
	if (rc == 0 && memcmp(sha256, ref->sha256, 32) != 0)
		rc = -EIO;
	if (rc == 0 &&
	    fcntl(to, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
		rc = -errno;
	if (from >= 0)
		close(from);
	if (rc == 0)
		return to;
	if (to >= 0)
		close(to);
	snprintf(err, WR_LINK_ERR, "%.180s: %s", path,
	         rc == -EIO ? "is not the file that was compiled; load the bundle again"
	                    : strerror(-rc));
	return rc;
}

/* 0, the dataplane's own -errno with its text, or the link's. */
static int ask(struct wr_link *l, enum wr_msg_type type, const struct wr_shard_ref *ref,
               uint64_t generation, int fd, int timeout_ms, char *err)
{
	struct wr_msg_shard q = { .seq = ++l->seq, .bytes = ref->bytes, .generation = generation };
	struct wr_msg_result r;
	struct wr_msg m, a;
	int rc;

	memcpy(q.sha256, ref->sha256, 32);
	wr_msg_put(&m, type, &q, sizeof(q));
	rc = wr_link_request(l, &m, fd, &a, NULL, NULL, timeout_ms, err);
	if (rc != 0)
		return rc;
	if (wr_msg_get(&a, WR_MSG_RESULT, &r, sizeof(r)) != 0) {
		snprintf(err, WR_LINK_ERR, "weir-dataplane gives an answer that does not fit");
		wr_link_drop(l, err);
		return -EPROTO;
	}
	if (r.error == 0)
		return 0;
	r.text[sizeof(r.text) - 1] = '\0';
	rc = r.error < 0 ? r.error : -r.error;
	snprintf(err, WR_LINK_ERR, "weir-dataplane: %s",
	         r.text[0] != '\0' ? r.text : strerror(-rc));
	return rc;
}

static int push_shard(struct wr_link *l, const struct wr_ruleset_files *rs,
                      const struct wr_shard_ref *ref, uint64_t generation, char *err)
{
	char path[sizeof(rs->dir) + 80], hex[65];
	int rc = ask(l, WR_MSG_HAVE, ref, generation, -1, SHARD_MS, err), fd;

	if (rc != -ENOENT)
		return rc;
	wr_hex_put(ref->sha256, 32, hex);
	snprintf(path, sizeof(path), "%s/%s.shard", rs->dir, hex);
	fd = sealed(path, ref, err);
	if (fd < 0)
		return fd;
	rc = ask(l, WR_MSG_SHARD, ref, generation, fd, SHARD_MS, err);
	close(fd);
	return rc;
}

/* A generation that was just superseded is let go within a turn or two of the main lcore. */
static int patient(struct wr_link *l, enum wr_msg_type type, const struct wr_shard_ref *meta,
                   uint64_t generation, int timeout_ms, char *err)
{
	struct timespec pause = { .tv_nsec = 100000000 };
	int rc = -EBUSY;

	for (unsigned i = 0; i < TRIES; i++) {
		rc = ask(l, type, meta, generation, -1, timeout_ms, err);
		if (rc != -EBUSY && rc != -EAGAIN)
			return rc;
		nanosleep(&pause, NULL);
	}
	return rc;
}

int wr_link_push_locked(struct wr_link *l, const struct wr_ruleset_files *rs, uint64_t *generation,
                        char *err)
{
	struct wr_shard_ref meta = { 0 };
	char drop_err[WR_LINK_ERR];
	int rc = 0;

	pthread_mutex_lock(&l->lock);
	*generation = ++l->generation;
	pthread_mutex_unlock(&l->lock);
	memcpy(meta.sha256, rs->meta, 32);
	for (unsigned i = 0; rc == 0 && i < rs->nshards; i++) {
		rc = push_shard(l, rs, &rs->shard[i], *generation, err);
		if (memcmp(rs->shard[i].sha256, rs->meta, 32) == 0)
			meta.bytes = rs->shard[i].bytes;
	}
	if (rc == 0)
		rc = patient(l, WR_MSG_STAGE, &meta, *generation, STAGE_MS, err);
	if (rc == 0)
		rc = patient(l, WR_MSG_COMMIT, &meta, *generation, COMMIT_MS, err);
	/* Who waits for a drain comes again, and its shards are there already. */
	if (rc != 0 && rc != -EAGAIN && l->fd >= 0) {
		/* Its answer changes nothing: the first error is the one to tell. */
		int ignored = ask(l, WR_MSG_DROP, &meta, *generation, -1, SHARD_MS, drop_err);

		(void)ignored;
	}
	return rc;
}

int wr_link_push(struct wr_link *l, const struct wr_ruleset_files *rs, uint64_t *generation,
                 char *err)
{
	int rc;

	pthread_mutex_lock(&l->io);
	rc = wr_link_push_locked(l, rs, generation, err);
	if (rc == 0) {
		pthread_mutex_lock(&l->lock);
		memcpy(l->status.last.meta_sha256, rs->meta, 32);
		l->status.last.generation = *generation;
		pthread_mutex_unlock(&l->lock);
	}
	pthread_mutex_unlock(&l->io);
	return rc;
}
