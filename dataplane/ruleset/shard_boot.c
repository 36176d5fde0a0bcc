/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ruleset/private.h"
#include "ruleset/say.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct wr_shard_store {
	struct shard_entry **e; /* pointers: rulesets keep them while the array moves */
	uint32_t n, room;
};

int wr_say(char *err, size_t size, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (size != 0)
		vsnprintf(err, size, fmt, ap);
	va_end(ap);
	return code;
}

struct wr_shard_store *wr_shard_store_new(void)
{
	return calloc(1, sizeof(struct wr_shard_store));
}

static void entry_free(struct shard_entry *e)
{
	hs_free_database(e->db);
	munmap(e->map, e->map_bytes);
	free(e);
}

void wr_shard_store_free(struct wr_shard_store *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->n; i++) {
		WR_ASSERT(s->e[i]->refs == 0);
		entry_free(s->e[i]);
	}
	free(s->e);
	free(s);
}

static struct shard_entry *find(const struct wr_shard_store *s, const uint8_t sha256[32])
{
	for (uint32_t i = 0; i < s->n; i++)
		if (memcmp(s->e[i]->sha256, sha256, 32) == 0)
			return s->e[i];
	return NULL;
}

bool wr_shard_have(const struct wr_shard_store *s, const uint8_t sha256[32])
{
	return find(s, sha256) != NULL;
}

struct shard_entry *wr_shard_get(struct wr_shard_store *s, const uint8_t sha256[32])
{
	struct shard_entry *e = find(s, sha256);

	if (e != NULL)
		e->refs++;
	return e;
}

void wr_shard_put(struct shard_entry *e)
{
	WR_ASSERT(e->refs != 0);
	e->refs--;
}

void wr_shard_sweep(struct wr_shard_store *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		if (s->e[i]->refs == 0)
			entry_free(s->e[i]);
		else
			s->e[kept++] = s->e[i];
	}
	s->n = kept;
}

/* Bytes of a shard in this process's address space. */
struct view {
	void *map;
	uint64_t map_bytes;
	uint8_t *p; /* in map */
};

#define HUGE_BYTES (2ull << 20)

/*
 * A table of many megabytes is read at random places, one line each: on 4 KiB pages the walk
 * through the page tables costs more than the line. Memory files rarely get huge pages, anonymous
 * memory does, so a large shard is copied, and the file goes when its sender closes it.
 */
static bool copy_huge(struct view *v, uint64_t bytes)
{
	uint64_t room = bytes + HUGE_BYTES;
	void *map;
	uint8_t *p;

	if (bytes < HUGE_BYTES)
		return false;
	map = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return false;
	p = (uint8_t *)(((uintptr_t)map + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES);
	(void)madvise(map, room, MADV_HUGEPAGE);
	memcpy(p, v->p, bytes);
	(void)mprotect(map, room, PROT_READ);
	munmap(v->map, v->map_bytes);
	*v = (struct view){ .map = map, .map_bytes = room, .p = p };
	return true;
}

static int add_view(struct wr_shard_store *s, const struct view *v, uint64_t bytes,
                    const uint8_t sha256[32], char *err, size_t err_size)
{
	const char *bad = wr_check_shard(v->p, bytes);
	struct shard_entry *e;

	if (bad != NULL)
		return wr_say(err, err_size, -EPROTO, "%s", bad);
	if (s->n == s->room) {
		uint32_t room = s->room == 0 ? 64 : 2 * s->room;
		void *grown = realloc(s->e, room * sizeof(*s->e));

		if (grown == NULL)
			return wr_say(err, err_size, -ENOMEM, "shard: no memory");
		s->e = grown;
		s->room = room;
	}
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return wr_say(err, err_size, -ENOMEM, "shard: no memory");
	memcpy(e->sha256, sha256, 32);
	e->p = v->p;
	e->bytes = bytes;
	e->map = v->map;
	e->map_bytes = v->map_bytes;
	e->kind = ((const struct wr_shard *)(const void *)v->p)->kind;
	s->e[s->n++] = e;
	return 0;
}

int wr_shard_add(struct wr_shard_store *s, int fd, uint64_t bytes, const uint8_t sha256[32],
                 char *err, size_t err_size)
{
	int seals = fcntl(fd, F_GET_SEALS), rc;
	uint8_t got[EVP_MAX_MD_SIZE];
	struct view v = { .map_bytes = bytes };
	struct stat st;

	if (find(s, sha256) != NULL)
		return 0;
	/* Without the seals the sender could change what was checked. */
	if (seals < 0 || (seals & SEALS) != SEALS)
		return wr_say(err, err_size, -EPERM, "shard: the memfd is not sealed");
	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != bytes || bytes == 0 ||
	    bytes > WR_SHARD_BYTES_MAX)
		return wr_say(err, err_size, -EPROTO, "shard: its length is not the one announced");
	v.map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (v.map == MAP_FAILED)
		return wr_say(err, err_size, -errno, "shard: cannot map %llu bytes",
		              (unsigned long long)bytes);
	v.p = v.map;
	(void)copy_huge(&v, bytes);
	(void)madvise(v.map, v.map_bytes, MADV_DONTDUMP); /* lists are not for core dumps */
	if (EVP_Digest(v.p, bytes, got, NULL, EVP_sha256(), NULL) != 1 ||
	    memcmp(got, sha256, 32) != 0)
		rc = wr_say(err, err_size, -EBADMSG, "shard: SHA-256 differs from its name");
	else
		rc = add_view(s, &v, bytes, sha256, err, err_size);
	if (rc != 0)
		munmap(v.map, v.map_bytes);
	return rc;
}

static int copy_sealed(int in, uint64_t bytes)
{
	int out = memfd_create("weir-shard", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char buf[65536];
	ssize_t n;

	if (out < 0)
		return -errno;
	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0, w; done < n; done += w) {
			w = write(out, buf + done, (size_t)(n - done));
			if (w <= 0)
				goto fail;
		}
	if (n < 0 || lseek(out, 0, SEEK_CUR) != (off_t)bytes ||
	    fcntl(out, F_ADD_SEALS, SEALS | F_SEAL_SEAL) != 0)
		goto fail;
	return out;
fail:
	close(out);
	return -EIO;
}

int wr_shard_add_file(struct wr_shard_store *s, int dirfd, const uint8_t sha256[32], char *err,
                      size_t err_size)
{
	char name[80];
	struct stat st;
	int in, fd, rc;

	if (find(s, sha256) != NULL)
		return 0;
	for (int i = 0; i < 32; i++)
		snprintf(name + 2 * i, 3, "%02x", sha256[i]);
	strcpy(name + 64, ".shard");
	in = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return wr_say(err, err_size, -errno, "%s: %m", name);
	if (fstat(in, &st) != 0)
		st.st_size = 0;
	fd = copy_sealed(in, (uint64_t)st.st_size);
	close(in);
	if (fd < 0)
		return wr_say(err, err_size, fd, "%s: cannot copy it to memory", name);
	rc = wr_shard_add(s, fd, (uint64_t)st.st_size, sha256, err, err_size);
	close(fd);
	return rc;
}

hs_database_t *wr_shard_db(struct shard_entry *e, char *err, size_t err_size)
{
	const struct wr_hsdb *h = (const void *)e->p;
	size_t stream = 0;
	hs_error_t rc;

	if (e->db != NULL)
		return e->db;
	/*
	 * Hyperscan believes most of what a serialized database says, so only one that this host's
	 * weir-compile made (its hash is named by the meta shard) gets here; version and features
	 * keep a database of another build out.
	 */
	if (strcmp(h->hs_version, hs_version()) != 0) {
		wr_say(err, err_size, 0, "hsdb: made by Hyperscan %s, this is %s", h->hs_version,
		       hs_version());
		return NULL;
	}
	rc = hs_deserialize_database(AT(h, h->db), h->db.count, &e->db);
	if (rc != HS_SUCCESS) {
		e->db = NULL;
		wr_say(err, err_size, 0, "hsdb: Hyperscan refuses the database (%d)", rc);
		return NULL;
	}
	if (hs_stream_size(e->db, &stream) != HS_SUCCESS || stream != h->stream_bytes) {
		hs_free_database(e->db);
		e->db = NULL;
		wr_say(err, err_size, 0, "hsdb: the stream size is not the one stated");
	}
	return e->db;
}
