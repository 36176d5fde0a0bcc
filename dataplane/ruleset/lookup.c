/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exact lookups. Slots are not proved at staging (that would read gigabytes), so an entry number is
 * compared with the table's count before it is used.
 */
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "ruleset/private.h"

#define AT_ONCE                                                                                    \
	16u /* lists whose lines are fetched together: as many misses as a core has in flight */

/* Which of a line's slots carry this tag: bit i for slot i. */
static uint32_t same_tag(const struct wr_bucket *b, uint32_t tag)
{
#ifdef __SSE2__
	/*
	 * Few instructions matter more than their latency: a miss waits for memory, and the next
	 * lookups start only as far as the core can look ahead.
	 */
	const __m128 *q = (const __m128 *)(const void *)b->slot;
	__m128i want = _mm_set1_epi32((int)tag);
	__m128i low = _mm_castps_si128(_mm_shuffle_ps(q[0], q[1], 0xdd)); /* the upper halves */
	__m128i high = _mm_castps_si128(_mm_shuffle_ps(q[2], q[3], 0xdd));
	__m128i eq = _mm_packs_epi32(_mm_cmpeq_epi32(low, want), _mm_cmpeq_epi32(high, want));

	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(eq, _mm_setzero_si128()));
#else
	uint32_t found = 0;

	for (uint32_t i = 0; i < WR_BUCKET_SLOTS; i++)
		found |= (uint32_t)((uint32_t)(b->slot[i] >> 32) == tag) << i;
	return found;
#endif
}

uint64_t wr_table_find(const struct wr_table *t, const uint8_t *digest, uint64_t hash)
{
	const struct wr_bucket *bucket = AT(t, t->buckets);
	const uint8_t *digests = AT(t, t->digests);
	uint64_t at = wr_table_bucket(hash, t->buckets.count);

	for (uint32_t probe = 0; probe < t->probes; probe++) {
		const uint64_t *slot = bucket[at].slot;
		uint32_t found = same_tag(&bucket[at], (uint32_t)hash);

		for (; wr_unlikely(found != 0); found &= found - 1) {
			uint64_t entry = slot[__builtin_ctz(found)] & WR_SLOT_ENTRY;

			if (entry == 0 || entry > t->digests.count)
				continue;
			if (memcmp(digests + (entry - 1) * t->digest_bytes, digest,
			           t->digest_bytes) == 0)
				return entry - 1;
		}
		if (wr_likely((slot[0] & WR_BUCKET_OVER) == 0))
			break;
		if (++at == t->buckets.count)
			at = 0;
	}
	return WR_NO_ENTRY;
}

static bool suppressed(const struct wr_meta *m, uint32_t list, const uint8_t *digest, uint32_t n)
{
	const struct wr_meta_suppressed *s = AT(m, m->suppressed);
	uint64_t lo = 0, hi = m->suppressed.count;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		int c = s[mid].list < list   ? -1
		        : s[mid].list > list ? 1
		                             : memcmp(s[mid].digest, digest, n);

		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

struct look { /* one digest in one list */
	const struct table_ref *ref;
	const uint8_t *digest;
	uint64_t hash;
	uint8_t algo;
};

/* The line is asked for; what follows until it is read is the hashing of the next ones. */
static void look_begin(struct look *l, const struct table_ref *ref, uint8_t algo,
                       const uint8_t *digest)
{
	const struct wr_bucket *b = AT(ref->table, ref->table->buckets);

	*l = (struct look){ .ref = ref, .digest = digest, .algo = algo };
	l->hash = wr_table_hash(&ref->table->key, digest, wr_algo_bytes(algo));
	wr_prefetch(&b[wr_table_bucket(l->hash, ref->table->buckets.count)]);
}

static uint32_t look_end(const struct wr_ruleset *rs, const struct look *l, uint32_t n,
                         struct wr_match *out, uint32_t max)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < n && found < max; i++) {
		uint64_t entry = wr_table_find(l[i].ref->table, l[i].digest, l[i].hash);

		if (wr_likely(entry == WR_NO_ENTRY) ||
		    suppressed(rs->meta, l[i].ref->list, l[i].digest, wr_algo_bytes(l[i].algo)))
			continue;
		out[found++] = (struct wr_match){ .item = l[i].ref->list,
			                          .entry = (uint32_t)entry,
			                          .kind = WR_MATCH_EXACT,
			                          .algo = l[i].algo };
	}
	return found;
}

uint32_t wr_ruleset_lookup(const struct wr_ruleset *rs, const struct wr_digests *d,
                           struct wr_match *out, uint32_t max)
{
	const struct {
		uint32_t has;
		uint8_t algo;
		const uint8_t *digest;
	} kind[] = {
		{ WR_HAS_SHA256, WR_ALGO_SHA256, d->sha256 },
		{ WR_HAS_SHA1, WR_ALGO_SHA1, d->sha1 },
		{ WR_HAS_MD5, WR_ALGO_MD5, d->md5 },
	};
	struct look l[AT_ONCE];
	uint32_t n = 0, found = 0;

	for (size_t k = 0; k < WR_COUNT_OF(kind); k++) {
		if ((d->has & kind[k].has) == 0)
			continue;
		for (uint32_t i = 0; i < rs->ntables[kind[k].algo]; i++) {
			look_begin(&l[n++], &rs->table[kind[k].algo][i], kind[k].algo,
			           kind[k].digest);
			if (n < AT_ONCE)
				continue;
			found += look_end(rs, l, n, out + found, max - found);
			n = 0;
		}
	}
	return found + look_end(rs, l, n, out + found, max - found);
}

void wr_table_name(const struct wr_table *t, uint64_t entry, char *out, uint32_t size)
{
	const uint64_t *block = AT(t, t->blocks);
	const uint8_t *names = AT(t, t->names);
	uint64_t at;
	uint32_t n;

	if (size == 0)
		return;
	out[0] = '\0';
	if (t->blocks.count == 0 || entry >= t->digests.count)
		return;
	at = block[entry / WR_NAMES_BLOCK];
	for (uint32_t skip = entry % WR_NAMES_BLOCK; skip != 0; skip--) {
		if (at >= t->names.count)
			return;
		at += 1u + names[at];
	}
	if (at >= t->names.count || names[at] > t->names.count - at - 1)
		return;
	n = wr_min_u32(names[at], size - 1);
	memcpy(out, names + at + 1, n);
	out[n] = '\0';
}

void wr_ruleset_entry_name(const struct wr_ruleset *rs, uint32_t list, uint32_t entry, char *out,
                           uint32_t size)
{
	if (size != 0)
		out[0] = '\0';
	if (list < rs->nlists && rs->list_table[list] != NULL)
		wr_table_name(rs->list_table[list], entry, out, size);
}
