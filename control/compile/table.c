/* SPDX-License-Identifier: BSD-3-Clause */
#include "compile/table.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOAD_NUM   3u /* filled slots: 3 of 5, where 2 % of entries overflow their first line */
#define LOAD_DEN   5u
#define SMALL      24u /* below it insertion beats another radix pass */
#define KEYS_TRIED 8u
#define PROBES_AIM 16u /* a table that needs longer chains gets another key */
#define DELETED    0x80000000u
#define NAME_UNIT  4u
#define NAMES_MAX  ((uint64_t)(DELETED - 1) * NAME_UNIT)
#define RECORD_MAX 36u
#define AHEAD      8u

/* A growing anonymous mapping: mremap moves pages, not bytes, and what is freed is really freed. */
struct area {
	uint8_t *p;
	uint64_t n, room;
};

struct wr_table_build {
	uint32_t algo, bytes, stride; /* record: digest, then u32: DELETED | name / NAME_UNIT */
	struct area records, names;   /* names: {u8 length, bytes} padded to NAME_UNIT; 0 = none */
	uint64_t n, name_bytes;       /* name_bytes: of entries that remain, with length bytes */
	bool named;
};

static int area_grow(struct area *a, uint64_t more)
{
	uint64_t room = a->room == 0 ? 1u << 20 : a->room;
	void *p;

	if (a->n + more <= a->room)
		return 0;
	while (a->n + more > room)
		room += room / 2;
	room = (room + 4095) / 4096 * 4096;
	if (a->p == NULL)
		p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	else
		p = mremap(a->p, a->room, room, MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		return -ENOMEM;
	a->p = p;
	a->room = room;
	return 0;
}

static void area_free(struct area *a)
{
	if (a->p != NULL)
		munmap(a->p, a->room);
	*a = (struct area){ 0 };
}

struct wr_table_build *wr_table_build_new(uint32_t algo)
{
	struct wr_table_build *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->algo = algo;
	b->bytes = wr_algo_bytes(algo);
	b->stride = b->bytes + 4;
	b->names.n = 0;
	return b;
}

void wr_table_build_free(struct wr_table_build *b)
{
	if (b == NULL)
		return;
	area_free(&b->records);
	area_free(&b->names);
	free(b);
}

static int name_add(struct wr_table_build *b, const char *name, uint32_t *ref)
{
	size_t len = strnlen(name, 255);
	uint64_t need = (1 + len + NAME_UNIT - 1) / NAME_UNIT * NAME_UNIT;
	int rc;

	if (b->names.n == 0) { /* offset 0 means none */
		rc = area_grow(&b->names, NAME_UNIT);
		if (rc != 0)
			return rc;
		b->names.n = NAME_UNIT;
	}
	if (b->names.n + need > NAMES_MAX)
		return -E2BIG;
	rc = area_grow(&b->names, need);
	if (rc != 0)
		return rc;
	b->names.p[b->names.n] = (uint8_t)len;
	memcpy(b->names.p + b->names.n + 1, name, len);
	*ref = (uint32_t)(b->names.n / NAME_UNIT);
	b->names.n += need;
	return 0;
}

int wr_table_build_add(struct wr_table_build *b, const uint8_t *digest, const char *name,
                       bool deleted)
{
	uint32_t ref = 0;
	int rc = area_grow(&b->records, b->stride);

	if (rc != 0)
		return rc;
	if (b->n >= WR_TABLE_ENTRIES_MAX)
		return -E2BIG;
	if (name != NULL && name[0] != '\0' && !deleted) {
		rc = name_add(b, name, &ref);
		if (rc != 0)
			return rc;
	}
	if (deleted)
		ref |= DELETED;
	memcpy(b->records.p + b->records.n, digest, b->bytes);
	memcpy(b->records.p + b->records.n + b->bytes, &ref, 4);
	b->records.n += b->stride;
	b->n++;
	return 0;
}

/* --- order ---------------------------------------------------------------------------------------
 */

static void swap(uint8_t *a, uint8_t *b, uint32_t n)
{
	uint8_t t[RECORD_MAX];

	memcpy(t, a, n);
	memcpy(a, b, n);
	memcpy(b, t, n);
}

static void insertion(uint8_t *p, uint64_t n, uint32_t stride, uint32_t digest)
{
	uint8_t t[RECORD_MAX];

	for (uint64_t i = 1; i < n; i++) {
		uint64_t k = i;

		memcpy(t, p + i * stride, stride);
		for (; k != 0 && memcmp(p + (k - 1) * stride, t, digest) > 0; k--)
			memcpy(p + k * stride, p + (k - 1) * stride, stride);
		memcpy(p + k * stride, t, stride);
	}
}

/* American flag sort by one byte, then each of its buckets by the next: at most `digest` levels
 * deep. */
static void radix(uint8_t *p, uint64_t n, uint32_t stride, uint32_t digest, uint32_t byte)
{
	uint64_t next[256] = { 0 }, end[256], at = 0;

	if (n < SMALL) {
		insertion(p, n, stride, digest);
		return;
	}
	if (byte == digest)
		return;
	for (uint64_t i = 0; i < n; i++)
		next[p[i * stride + byte]]++;
	for (uint32_t i = 0; i < 256; i++) {
		uint64_t count = next[i];

		next[i] = at;
		at += count;
		end[i] = at;
	}
	for (uint32_t i = 0; i < 256; i++)
		while (next[i] < end[i]) {
			uint8_t *here = p + next[i] * stride;
			uint32_t home = here[byte];

			if (home == i)
				next[i]++;
			else
				swap(here, p + next[home]++ * stride, stride);
		}
	at = 0;
	for (uint32_t i = 0; i < 256; i++) {
		radix(p + at * stride, end[i] - at, stride, digest, byte + 1);
		at = end[i];
	}
}

static uint32_t ref_of(const struct wr_table_build *b, const uint8_t *record)
{
	uint32_t ref;

	memcpy(&ref, record + b->bytes, 4);
	return ref;
}

uint64_t wr_table_build_sort(struct wr_table_build *b)
{
	uint8_t *p = b->records.p;
	uint64_t kept = 0;

	radix(p, b->n, b->stride, b->bytes, 0);
	b->name_bytes = 0;
	for (uint64_t i = 0, k; i < b->n; i = k) {
		const uint8_t *first = p + i * b->stride;
		uint32_t ref = 0;
		bool deleted = false;

		for (k = i; k < b->n && memcmp(first, p + k * b->stride, b->bytes) == 0; k++) {
			uint32_t r = ref_of(b, p + k * b->stride);

			deleted |= (r & DELETED) != 0;
			/* Of several names the first that was added: the smallest. */
			if (r != 0 && (ref == 0 || r < ref))
				ref = r;
		}
		if (deleted)
			continue;
		b->name_bytes += 1u + (ref != 0 ? b->names.p[(uint64_t)ref * NAME_UNIT] : 0u);
		b->named |= ref != 0;
		memmove(p + kept * b->stride, first, b->bytes);
		memcpy(p + kept * b->stride + b->bytes, &ref, 4);
		kept++;
	}
	b->n = kept;
	b->records.n = kept * b->stride;
	return kept;
}

/* --- the shard -----------------------------------------------------------------------------------
 */

/* Lays a section at the end; at most 63 bytes of padding between two. */
static struct wr_range section(uint64_t *end, uint64_t count, uint64_t size, uint64_t align)
{
	struct wr_range r = { .off = (*end + align - 1) / align * align, .count = count };

	if (count == 0)
		return (struct wr_range){ 0 };
	*end = r.off + count * size;
	return r;
}

static void key_of(const uint8_t source[32], uint32_t algo, uint32_t attempt,
                   struct wr_mix_key *key)
{
	uint8_t in[40], out[EVP_MAX_MD_SIZE];

	memcpy(in, source, 32);
	memcpy(in + 32, &algo, 4);
	memcpy(in + 36, &attempt, 4);
	WR_ASSERT(EVP_Digest(in, sizeof(in), out, NULL, EVP_sha256(), NULL) == 1);
	memcpy(key, out, sizeof(*key));
}

/* The longest search in lines; more than PROBES_AIM means: another key. */
static uint32_t fill(struct wr_table *t)
{
	struct wr_bucket *bucket = (void *)((uint8_t *)t + t->buckets.off);
	const uint8_t *digest = (const uint8_t *)t + t->digests.off;
	uint64_t n = t->digests.count, hash[AHEAD];
	uint32_t most = 1;

	memset(bucket, 0, t->buckets.count * sizeof(*bucket));
	for (uint64_t i = 0; i < n + AHEAD; i++) {
		uint64_t now = hash[i % AHEAD], at;
		uint32_t probe = 1, s;

		if (i < n) { /* the line is cold: ask for it AHEAD entries before it is needed */
			uint64_t h = wr_table_hash(&t->key, digest + i * t->digest_bytes,
			                           t->digest_bytes);

			hash[i % AHEAD] = h;
			__builtin_prefetch(&bucket[wr_table_bucket(h, t->buckets.count)], 1);
		}
		if (i < AHEAD)
			continue;
		at = wr_table_bucket(now, t->buckets.count);
		for (;;) {
			for (s = 0; s < WR_BUCKET_SLOTS; s++)
				if ((bucket[at].slot[s] & WR_SLOT_ENTRY) == 0)
					break;
			if (s != WR_BUCKET_SLOTS)
				break;
			bucket[at].slot[0] |= WR_BUCKET_OVER;
			if (++probe > PROBES_AIM)
				return probe;
			if (++at == t->buckets.count)
				at = 0;
		}
		bucket[at].slot[s] = wr_table_slot(now, i - AHEAD);
		most = probe > most ? probe : most;
	}
	return most;
}

static void copy_entries(const struct wr_table_build *b, struct wr_table *t)
{
	uint8_t *digest = (uint8_t *)t + t->digests.off;
	uint64_t *block = (void *)((uint8_t *)t + t->blocks.off);
	uint8_t *name = (uint8_t *)t + t->names.off;
	uint64_t at = 0;

	for (uint64_t i = 0; i < b->n; i++) {
		const uint8_t *r = b->records.p + i * b->stride;
		uint32_t ref = ref_of(b, r);
		const uint8_t *from = ref != 0 ? b->names.p + (uint64_t)ref * NAME_UNIT : NULL;

		memcpy(digest + i * b->bytes, r, b->bytes);
		if (!b->named)
			continue;
		if (i % WR_NAMES_BLOCK == 0)
			block[i / WR_NAMES_BLOCK] = at;
		name[at] = from != NULL ? from[0] : 0;
		if (from != NULL)
			memcpy(name + at + 1, from + 1, from[0]);
		at += 1u + name[at];
	}
}

int wr_table_build_write(struct wr_table_build *b, const uint8_t source[32], int fd,
                         uint64_t *bytes)
{
	bool pdq = b->algo == WR_ALGO_PDQ;
	uint64_t nbuckets = b->n * LOAD_DEN / (LOAD_NUM * WR_BUCKET_SLOTS) + 1;
	uint64_t nblocks = b->named ? (b->n + WR_NAMES_BLOCK - 1) / WR_NAMES_BLOCK : 0;
	struct wr_table head = { .algo = b->algo, .digest_bytes = b->bytes };
	uint64_t end = sizeof(head);
	struct wr_table *t;
	int rc = 0;

	head.buckets = section(&end, pdq ? 0 : nbuckets, sizeof(struct wr_bucket), 64);
	head.digests = section(&end, b->n, b->bytes, 8);
	head.blocks = section(&end, nblocks, 8, 8);
	head.names = section(&end, b->named ? b->name_bytes : 0, 1, 8);
	head.shard = (struct wr_shard){ .magic = WR_SHARD_MAGIC,
		                        .version = WR_ARTIFACT_VERSION,
		                        .kind = pdq ? WR_SHARD_PDQ : WR_SHARD_DIGEST,
		                        .bytes = end };
	memcpy(head.shard.source, source, 32);
	if (ftruncate(fd, (off_t)end) != 0)
		return -errno;
	t = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (t == MAP_FAILED)
		return -errno;
	*t = head;
	copy_entries(b, t);
	for (uint32_t attempt = 0; !pdq; attempt++) {
		key_of(source, b->algo, attempt, &t->key);
		t->probes = fill(t);
		if (t->probes <= PROBES_AIM)
			break;
		if (attempt + 1 == KEYS_TRIED) {
			rc = -E2BIG;
			break;
		}
	}
	munmap(t, end);
	*bytes = end;
	return rc;
}
