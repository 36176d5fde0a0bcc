/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lists - every list that is on becomes one table per algorithm in it.
 *
 * The source key is the SHA-256 of the list's file and of what the manifest says about reading it,
 * so a list that did not change is neither parsed nor built again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compile/compile.h"
#include "compile/table.h"

struct reading {
	struct wr_table_build *b[WR_ALGO_COUNT];
	uint8_t min_quality;
};

static int take(void *ctx, const struct wr_list_entry *e)
{
	struct reading *r = ctx;

	if (e->algo >= WR_ALGO_COUNT || e->len != wr_algo_bytes(e->algo))
		return -EPROTO;
	if (e->algo == WR_ALGO_PDQ && !e->deleted && e->quality < r->min_quality)
		return 0;
	if (r->b[e->algo] == NULL) {
		r->b[e->algo] = wr_table_build_new(e->algo);
		if (r->b[e->algo] == NULL)
			return -ENOMEM;
	}
	return wr_table_build_add(r->b[e->algo], e->digest, e->id, e->deleted != 0);
}

static int feed_file(EVP_MD_CTX *md, int dirfd, const char *path)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	char buf[65536];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (EVP_DigestUpdate(md, buf, (size_t)n) != 1)
			break;
	close(fd);
	return n == 0 ? 0 : -EIO;
}

static int source_key(const struct wr_bundle *b, const struct wr_bundle_list *l, uint8_t key[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t out[EVP_MAX_MD_SIZE];
	char how[128];
	int rc = -ENOMEM;

	snprintf(how, sizeof(how), "weir list %u %u %u %llu", WR_ARTIFACT_VERSION, l->format,
	         l->min_quality, (unsigned long long)l->max_bad_lines);
	if (md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(md, how, strlen(how) + 1) == 1)
		rc = 0;
	/* ClamAV's and other formats are told from the name too. */
	if (rc == 0 && EVP_DigestUpdate(md, l->path, strlen(l->path) + 1) != 1)
		rc = -EIO;
	for (uint32_t i = 0; i < l->ncategories && rc == 0; i++)
		if (EVP_DigestUpdate(md, l->categories[i], strlen(l->categories[i]) + 1) != 1)
			rc = -EIO;
	if (rc == 0)
		rc = feed_file(md, b->dirfd, l->path);
	if (rc == 0 && EVP_DigestFinal_ex(md, out, NULL) != 1)
		rc = -EIO;
	EVP_MD_CTX_free(md);
	if (rc == 0)
		memcpy(key, out, 32);
	return rc;
}

static void add(struct wr_compile *c, const struct wr_plan_list *like, uint32_t algo,
                const uint8_t shard[32], uint64_t entries, uint64_t bad)
{
	struct wr_plan_list *l = &c->list[c->nlists++];

	*l = *like;
	l->algo = algo;
	l->entries = entries;
	l->bad_lines = bad;
	if (shard != NULL)
		memcpy(l->shard, shard, 32);
}

/* Lines "ALGO SHARDHEX ENTRIES BAD"; an empty file: a list without entries. */
static bool reuse(struct wr_compile *c, const struct wr_plan_list *like, const uint8_t key[32])
{
	char text[1024], *line, *rest = NULL;
	struct {
		unsigned algo;
		unsigned long long entries, bad;
		uint8_t shard[32];
	} found[WR_ALGO_COUNT];
	uint32_t n = 0;

	if (wr_out_key_get(c->out, key, text, sizeof(text)) != 0)
		return false;
	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		char hex[65];

		if (n == WR_ALGO_COUNT ||
		    sscanf(line, "%u %64s %llu %llu", &found[n].algo, hex, &found[n].entries,
		           &found[n].bad) != 4 ||
		    found[n].algo >= WR_ALGO_COUNT || strlen(hex) != 64 ||
		    !wr_out_unhex(hex, found[n].shard, 32) ||
		    wr_out_have(c->out, found[n].shard) == 0)
			return false;
		n++;
	}
	for (uint32_t i = 0; i < n; i++)
		add(c, like, found[i].algo, found[i].shard, found[i].entries, found[i].bad);
	return true;
}

static int build(struct wr_compile *c, const struct wr_plan_list *like, struct wr_table_build *b,
                 uint32_t algo, const uint8_t key[32], uint64_t bad, char *text, size_t size)
{
	uint64_t entries = wr_table_build_sort(b), bytes;
	uint8_t shard[32];
	char hex[65];
	size_t at;
	int rc, fd;

	if (entries == 0)
		return 0;
	fd = wr_out_begin(c->out);
	if (fd < 0)
		return fd;
	rc = wr_table_build_write(b, key, fd, &bytes);
	if (rc != 0) {
		wr_out_abort(c->out, fd);
		return rc;
	}
	rc = wr_out_commit(c->out, fd, shard);
	if (rc != 0)
		return rc;
	wr_out_hex(shard, 32, hex);
	at = strlen(text);
	snprintf(text + at, size - at, "%u %s %llu %llu\n", algo, hex, (unsigned long long)entries,
	         (unsigned long long)bad);
	add(c, like, algo, shard, entries, bad);
	return 0;
}

static int one(struct wr_compile *c, const struct wr_plan_list *like, struct wr_bundle_errors *e)
{
	const struct wr_bundle *b = c->bundle[like->bundle];
	const struct wr_bundle_list *l = like->l;
	struct reading r = { .min_quality = l->min_quality };
	struct wr_list_stats st = { 0 };
	uint32_t first = c->nlists;
	char text[1024] = "";
	uint8_t key[32];
	int rc = source_key(b, l, key);

	if (rc == 0 && reuse(c, like, key))
		return 0;
	/* A file that cannot be opened is the bundle room's to explain, with line and limit. */
	rc = wr_list_read(b, l, take, &r, &st, e);
	for (uint32_t a = 0; a < WR_ALGO_COUNT; a++) {
		if (r.b[a] != NULL && rc == 0)
			rc = build(c, like, r.b[a], a, key, st.bad_lines, text, sizeof(text));
		wr_table_build_free(r.b[a]);
	}
	if (rc == 0)
		rc = wr_out_key_put(c->out, key, text);
	if (rc == -ENOMEM || rc == -E2BIG || rc == -ENOSPC || rc == -EIO)
		wr_bundle_error_add(e, l->path, 0, "list `%s`: %s", l->id,
		                    rc == -E2BIG
		                            ? "more entries, names or equal hashes than a table "
		                              "holds"
		                            : strerror(-rc));
	if (rc == 0 && c->nlists == first)
		wr_bundle_warning_add(e, l->path, 0, "list `%s` has no entries", l->id);
	return rc;
}

static bool here(const struct wr_compile *c, const struct wr_bundle_list *l)
{
	if (c->opts->region == NULL || l->nregions == 0)
		return true;
	for (uint32_t i = 0; i < l->nregions; i++)
		if (strcmp(l->regions[i], c->opts->region) == 0)
			return true;
	return false;
}

/* Mode after suppressions; single digests go to c->suppressed once the list has its numbers. */
static uint8_t mode_of(struct wr_compile *c, const struct wr_bundle *b,
                       const struct wr_bundle_list *l)
{
	for (uint32_t i = 0; i < b->nsuppress; i++) {
		const struct wr_bundle_suppress *s = &b->suppress[i];

		if (strncmp(s->item, "list:", 5) != 0 || strcmp(s->item + 5, l->id) != 0 ||
		    (s->expires != 0 && s->expires <= c->opts->now))
			continue;
		if (s->expires != 0 && (c->recompile_at == 0 || s->expires < c->recompile_at))
			c->recompile_at = s->expires;
		if (!s->has_digest)
			return WR_ITEM_OFF;
	}
	return l->mode;
}

static int by_list(const void *a, const void *b)
{
	const struct wr_meta_suppressed *x = a, *y = b;

	return x->list != y->list ? (x->list < y->list ? -1 : 1) : memcmp(x->digest, y->digest, 32);
}

static int suppressions(struct wr_compile *c)
{
	uint64_t room = 1;

	for (uint32_t i = 0; i < c->nlists; i++)
		room += c->bundle[c->list[i].bundle]->nsuppress;
	c->suppressed = calloc(room, sizeof(*c->suppressed));
	if (c->suppressed == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->nlists; i++) {
		const struct wr_plan_list *l = &c->list[i];
		const struct wr_bundle *b = c->bundle[l->bundle];

		for (uint32_t k = 0; k < b->nsuppress; k++) {
			const struct wr_bundle_suppress *s = &b->suppress[k];

			if (!s->has_digest || s->algo != l->algo ||
			    strncmp(s->item, "list:", 5) != 0 ||
			    strcmp(s->item + 5, l->l->id) != 0 ||
			    (s->expires != 0 && s->expires <= c->opts->now))
				continue;
			c->suppressed[c->nsuppressed].list = i;
			memcpy(c->suppressed[c->nsuppressed++].digest, s->digest,
			       wr_algo_bytes(s->algo));
		}
	}
	qsort(c->suppressed, c->nsuppressed, sizeof(*c->suppressed), by_list);
	return 0;
}

static uint32_t owner_of(const struct wr_bundle *b, uint32_t bundle, uint32_t i)
{
	uint32_t k = 0;

	while (strcmp(b->lists[k].owner, b->lists[i].owner) != 0)
		k++;
	/* The first list of the same owner stands for it; bundles never share one. */
	return bundle * WR_META_LISTS_MAX + k;
}

int wr_compile_lists(struct wr_compile *c, struct wr_bundle_errors *e)
{
	uint32_t total = 0, bad = 0;

	for (uint32_t b = 0; b < c->nbundles; b++)
		total += c->bundle[b]->nlists;
	if (total > WR_META_LISTS_MAX) {
		wr_bundle_error_add(e, "", 0, "%u lists in all bundles, the limit is %u", total,
		                    WR_META_LISTS_MAX);
		return -E2BIG;
	}
	c->list = calloc((uint64_t)total * WR_ALGO_COUNT + 1, sizeof(*c->list));
	if (c->list == NULL)
		return -ENOMEM;
	for (uint32_t b = 0; b < c->nbundles; b++)
		for (uint32_t i = 0; i < c->bundle[b]->nlists; i++) {
			const struct wr_bundle_list *l = &c->bundle[b]->lists[i];
			struct wr_plan_list like = { .l = l,
				                     .bundle = b,
				                     .source = i,
				                     .algo = WR_ALGO_SHA256,
				                     .owner = owner_of(c->bundle[b], b, i),
				                     .mode = mode_of(c, c->bundle[b], l) };
			int rc;

			if (like.mode == WR_ITEM_OFF || !here(c, l)) {
				add(c, &like, WR_ALGO_SHA256, NULL, 0, 0);
				continue;
			}
			rc = one(c, &like, e);
			if (rc == -ENOMEM)
				return rc;
			bad += rc != 0;
		}
	return bad != 0 ? -EBADMSG : suppressions(c);
}
