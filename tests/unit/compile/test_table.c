/* SPDX-License-Identifier: BSD-3-Clause */
/* Digest tables: what was put in is found, nothing else is, whatever the order, the size, the
 * spite. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compile/table.h"
#include "ruleset/private.h"
#include "tap.h"

#define MILLION 1000000u

struct built {
	const struct wr_table *t;
	uint64_t bytes, entries;
};

/* A made-up digest: number i, spread over all bytes. */
static void digest_of(uint64_t i, uint8_t out[32])
{
	uint64_t x = i * 0x9e3779b97f4a7c15ull + 1;

	for (int k = 0; k < 4; k++) {
		x ^= x >> 29;
		x *= 0xbf58476d1ce4e5b9ull;
		x ^= x >> 32;
		memcpy(out + 8 * k, &x, 8);
	}
}

static struct built finish(struct wr_table_build *b)
{
	static const uint8_t source[32] = { 1, 2, 3 };
	struct built r = { 0 };
	int fd = memfd_create("table", 0);
	void *p;

	r.entries = wr_table_build_sort(b);
	if (wr_table_build_write(b, source, fd, &r.bytes) == 0) {
		p = mmap(NULL, r.bytes, PROT_READ, MAP_SHARED, fd, 0);
		if (p != MAP_FAILED && wr_check_shard(p, r.bytes) == NULL)
			r.t = p;
	}
	close(fd);
	wr_table_build_free(b);
	return r;
}

static uint64_t find(const struct built *b, const uint8_t *digest)
{
	return wr_table_find(b->t, digest, wr_table_hash(&b->t->key, digest, b->t->digest_bytes));
}

static void drop(struct built *b)
{
	if (b->t != NULL)
		munmap((void *)(uintptr_t)b->t, b->bytes);
}

static void size_of(uint32_t algo, uint64_t n, uint64_t asked)
{
	struct wr_table_build *b = wr_table_build_new(algo);
	uint64_t hits = 0, named = 0, misses = 0;
	uint8_t d[32];
	char name[16], got[16];
	struct built r;

	for (uint64_t i = 0; i < n; i++) {
		digest_of(i, d);
		snprintf(name, sizeof(name), "%llu", (unsigned long long)i);
		if (wr_table_build_add(b, d, i % 2 == 0 ? name : NULL, false) != 0)
			abort();
	}
	r = finish(b);
	OK(r.t != NULL && r.entries == n, "algo %u: a table of %llu is built and holds together",
	   algo, (unsigned long long)n);
	if (r.t == NULL)
		return;
	for (uint64_t k = 0; k < asked; k++) {
		uint64_t i = n == 0 ? k : k * (n / (asked < n ? asked : n)) % n, at;

		if (n != 0) {
			digest_of(i, d);
			at = find(&r, d);
			hits += at != WR_NO_ENTRY;
			snprintf(name, sizeof(name), "%llu", (unsigned long long)i);
			wr_table_name(r.t, at, got, sizeof(got));
			named += strcmp(got, i % 2 == 0 ? name : "") == 0;
			d[wr_algo_bytes(algo) - 1] ^=
			        1; /* same bucket or not: never the same digest */
			misses += find(&r, d) == WR_NO_ENTRY;
		}
		digest_of(n + k, d);
		misses += find(&r, d) == WR_NO_ENTRY;
	}
	IS(hits, n == 0 ? 0 : asked, "algo %u, %llu: every digest is found", algo,
	   (unsigned long long)n);
	IS(named, n == 0 ? 0 : asked, "algo %u, %llu: with its own name", algo,
	   (unsigned long long)n);
	IS(misses, n == 0 ? asked : 2 * asked, "algo %u, %llu: and no other", algo,
	   (unsigned long long)n);
	if (n == MILLION && algo == WR_ALGO_SHA256)
		OK((double)r.bytes / (double)n <= 56,
		   "%.2f bytes per SHA-256 entry, names included", (double)r.bytes / (double)n);
	drop(&r);
}

static void repeats(void)
{
	struct wr_table_build *b = wr_table_build_new(WR_ALGO_MD5);
	uint8_t d[3][32];
	char got[300], longest[256];
	struct built r;
	int rc = 0;

	for (uint64_t i = 0; i < 3; i++)
		digest_of(i, d[i]);
	memset(longest, 'n', 255);
	longest[255] = '\0';
	rc |= wr_table_build_add(b, d[0], NULL, false);
	rc |= wr_table_build_add(b, d[1], NULL, true); /* withdrawn before it is listed */
	rc |= wr_table_build_add(b, d[0], "first", false);
	rc |= wr_table_build_add(b, d[1], "gone", false);
	rc |= wr_table_build_add(b, d[0], "second", false);
	rc |= wr_table_build_add(b, d[2], longest, false);
	r = finish(b);
	IS(rc, 0, "repeats and withdrawals are taken");
	IS(r.entries, 2, "each digest once, none that was withdrawn");
	IS(find(&r, d[1]), WR_NO_ENTRY, "the withdrawn one is not found");
	wr_table_name(r.t, find(&r, d[0]), got, sizeof(got));
	OK(strcmp(got, "first") == 0, "of several names the first counts");
	wr_table_name(r.t, find(&r, d[2]), got, sizeof(got));
	OK(strcmp(got, longest) == 0, "a name of 255 bytes is whole");
	/* Tags of 32 bits can agree; here the whole hash does, and the digest still decides. */
	uint64_t hash = wr_table_hash(&r.t->key, d[0], r.t->digest_bytes);
	IS(wr_table_find(r.t, d[0], hash), find(&r, d[0]), "its own hash finds it");
	IS(wr_table_find(r.t, d[1], hash), WR_NO_ENTRY,
	   "another digest does not, under the same hash");
	wr_table_name(r.t, find(&r, d[2]), got, 8);
	OK(strcmp(got, "nnnnnnn") == 0, "a short buffer cuts it");
	drop(&r);
}

/* Digests that agree but for their last bytes: no pass may turn quadratic, no bucket overflow. */
static void spite(void)
{
	struct wr_table_build *b = wr_table_build_new(WR_ALGO_SHA256);
	uint8_t d[32];
	uint64_t hits = 0;
	struct built r;

	memset(d, 0xaa, sizeof(d));
	for (uint32_t i = 0; i < 200000; i++) {
		memcpy(d + 28, &i, 4);
		if (wr_table_build_add(b, d, NULL, false) != 0)
			abort();
	}
	r = finish(b);
	OK(r.t != NULL && r.t->probes <= 16, "look-alikes spread: %u lines at most",
	   r.t != NULL ? r.t->probes : 0);
	for (uint32_t i = 0; i < 200000 && r.t != NULL; i++) {
		memcpy(d + 28, &i, 4);
		hits += find(&r, d) != WR_NO_ENTRY;
	}
	IS(hits, 200000, "all of them are found");
	drop(&r);
}

int main(void)
{
	for (uint32_t algo = WR_ALGO_MD5; algo <= WR_ALGO_SHA256; algo++) {
		size_of(algo, 0, 100);
		size_of(algo, 1, 1);
		size_of(algo, 9, 9);
		size_of(algo, 17, 17);
		size_of(algo, 20000, 20000);
	}
	size_of(WR_ALGO_SHA256, MILLION, 100000);
	repeats();
	spite();
	return tap_done();
}
