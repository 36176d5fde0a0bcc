/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Law: whatever the archive says, what lies on the disk afterwards is below the folder, regular,
 * within the limits and well named; and what was accepted packs and unpacks to the same files. The
 * input is a tar; it is compressed here, or the fuzzer would only ever meet zstd's checks.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "bundle/ship.h"
#include "bundle/ship_private.h"

#define FILES 8u
#define BYTES 65536u

static int remove_one(const char *p, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(p);
}

static int folder(char path[64])
{
	int fd;

	strcpy(path,
	       access("/dev/shm", W_OK) == 0 ? "/dev/shm/wr-fuzz-XXXXXX" : "/tmp/wr-fuzz-XXXXXX");
	WR_ASSERT(mkdtemp(path) != NULL);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	WR_ASSERT(fd >= 0);
	return fd;
}

static void check(int dir, struct wr_ship_files *f)
{
	struct wr_refusal r;
	uint64_t bytes = 0;

	WR_ASSERT(wr_ship_walk(dir, false, f, &r) == 0);
	WR_ASSERT(f->n != 0 && f->n <= FILES);
	for (uint32_t i = 0; i < f->n; i++) {
		WR_ASSERT(wr_ship_path_ok(f->file[i].path, false));
		bytes += f->file[i].bytes;
	}
	WR_ASSERT(bytes <= BYTES);
}

static void again(int dir, const struct wr_ship_files *f)
{
	struct wr_ship_limits l = { .packed_bytes = 1 << 20,
		                    .unpacked_bytes = BYTES,
		                    .files = FILES };
	struct wr_ship_files g;
	struct wr_refusal r;
	char path[64];
	int fd = memfd_create("b", MFD_CLOEXEC), copy = folder(path);

	WR_ASSERT(fd >= 0 && wr_ship_pack(dir, 1, fd, &r) == 0);
	lseek(fd, 0, SEEK_SET);
	WR_ASSERT(wr_ship_unpack(fd, copy, &l, &r) == 0);
	check(copy, &g);
	WR_ASSERT(f->n == g.n);
	for (uint32_t i = 0; i < g.n; i++) {
		uint8_t a[32], b[32];

		WR_ASSERT(strcmp(f->file[i].path, g.file[i].path) == 0);
		WR_ASSERT(wr_ship_sha256(dir, f->file[i].path, a) == 0);
		WR_ASSERT(wr_ship_sha256(copy, g.file[i].path, b) == 0);
		WR_ASSERT(memcmp(a, b, 32) == 0);
	}
	wr_ship_files_free(&g);
	close(fd);
	close(copy);
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct wr_ship_limits l = { .packed_bytes = 1 << 20,
		                    .unpacked_bytes = BYTES,
		                    .files = FILES };
	size_t room = ZSTD_compressBound(n), packed;
	struct wr_refusal r = { 0 };
	struct wr_ship_files f;
	uint8_t *p = malloc(room);
	char path[64];
	int fd = memfd_create("a", MFD_CLOEXEC), dir, rc;

	WR_ASSERT(p != NULL && fd >= 0);
	packed = ZSTD_compress(p, room, data, n, 1);
	WR_ASSERT(ZSTD_isError(packed) == 0 && write(fd, p, packed) == (ssize_t)packed);
	lseek(fd, 0, SEEK_SET);
	dir = folder(path);
	rc = wr_ship_unpack(fd, dir, &l, &r);
	WR_ASSERT(rc == 0 ? r.code == WR_REFUSE_NONE : r.code != WR_REFUSE_NONE || rc == -12);
	/* Names that begin with a dot are refused, so pack leaves nothing of an accepted one out.
	 */
	if (rc == 0) {
		check(dir, &f);
		again(dir, &f);
		wr_ship_files_free(&f);
	}
	close(fd);
	close(dir);
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}
