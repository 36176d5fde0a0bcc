/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir bundle replay, weir hunt: digests of past verdict records against a candidate. How many
 * uploads of yesterday would be blocked now, by which list; and which of those passed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bundle/text.h"
#include "cli/bundle_run.h"

#define EXACT          3u /* md5, sha1, sha256 */
#define DROPPED        UINT32_MAX
#define LINE_MAX_BYTES (64u << 10)

struct digest {
	uint8_t bytes[32];
	uint32_t list;
};

struct table { /* all digests of one algorithm, sorted */
	struct digest *d;
	size_t n, room;
};

struct hunt {
	struct wr_cli *c;
	const struct wr_bundle *b;
	const struct wr_bundle *old; /* whose entries do not count, or NULL */
	struct table t[WR_ALGO_COUNT];
	uint64_t *hits; /* by list: uploads */
	uint32_t reading;
	uint64_t records, bad, matched, blocked, known;
	uint64_t most_bytes, most_uploads,
	        skipped; /* 0 = no limit; skipped: files too old for it */
	bool verbose;
	json_t *found;
	int rc;
};

static const uint8_t digest_len[EXACT] = { 16, 20, 32 };

/* One entry switched off, by the bundle or by an operator. */
static bool suppressed(const struct hunt *h, const struct wr_list_entry *e)
{
	for (uint32_t i = 0; i < h->b->nsuppress; i++) {
		const struct wr_bundle_suppress *s = &h->b->suppress[i];

		if (s->has_digest && s->algo == e->algo && strncmp(s->item, "list:", 5) == 0 &&
		    strcmp(s->item + 5, h->b->lists[h->reading].id) == 0 &&
		    memcmp(s->digest, e->digest, e->len) == 0)
			return true;
	}
	return false;
}

static int on_entry(void *ctx, const struct wr_list_entry *e)
{
	struct hunt *h = ctx;
	struct table *t;

	if (e->algo >= WR_ALGO_COUNT || e->deleted || suppressed(h, e))
		return 0;
	t = &h->t[e->algo];
	if (t->n == t->room) {
		size_t room = t->room == 0 ? 1024 : t->room * 2;
		struct digest *d = realloc(t->d, room * sizeof(*d));

		if (d == NULL)
			return -ENOMEM;
		t->d = d;
		t->room = room;
	}
	memset(&t->d[t->n], 0, sizeof(t->d[0]));
	memcpy(t->d[t->n].bytes, e->digest, e->len);
	t->d[t->n++].list = h->reading;
	return 0;
}

static int by_digest(const void *a, const void *b)
{
	return memcmp(((const struct digest *)a)->bytes, ((const struct digest *)b)->bytes, 32);
}

/* First entry of this digest, or NULL. */
static struct digest *lookup(const struct table *t, const uint8_t key[32])
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (memcmp(t->d[mid].bytes, key, 32) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->n && memcmp(t->d[lo].bytes, key, 32) == 0 ? &t->d[lo] : NULL;
}

/* An entry that the version before had: it is not new. */
static int on_old(void *ctx, const struct wr_list_entry *e)
{
	struct hunt *h = ctx;
	struct digest *d, *end;
	uint8_t key[32] = { 0 };

	if (e->algo >= WR_ALGO_COUNT || e->deleted)
		return 0;
	memcpy(key, e->digest, e->len);
	end = h->t[e->algo].d + h->t[e->algo].n;
	for (d = lookup(&h->t[e->algo], key);
	     d != NULL && d < end && memcmp(d->bytes, key, 32) == 0; d++)
		if (d->list == h->reading)
			d->list = DROPPED;
	return 0;
}

static bool same_file(int a, int b, const char *path)
{
	int fa = openat(a, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int fb = openat(b, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	static char x[65536], y[65536];
	FILE *p = fa < 0 ? NULL : fdopen(fa, "rb"), *q = fb < 0 ? NULL : fdopen(fb, "rb");
	bool same = p != NULL && q != NULL;

	while (same) {
		size_t n = fread(x, 1, sizeof(x), p);

		same = fread(y, 1, sizeof(y), q) == n && memcmp(x, y, n) == 0 && !ferror(p);
		if (n == 0)
			break;
	}
	if (p != NULL)
		fclose(p);
	if (q != NULL)
		fclose(q);
	return same;
}

/* The list of the version before that was in force under this name, or NULL. */
static const struct wr_bundle_list *before(const struct hunt *h, const struct wr_bundle_list *l)
{
	const struct wr_bundle_list *o = h->old == NULL ? NULL : wr_bundle_list_get(h->old, l->id);

	return o == NULL || o->mode == WR_ITEM_OFF || o->allow != l->allow ? NULL : o;
}

static bool unchanged(const struct hunt *h, const struct wr_bundle_list *l)
{
	const struct wr_bundle_list *o = before(h, l);

	return o != NULL && o->format == l->format && strcmp(o->path, l->path) == 0 &&
	       o->max_distance == l->max_distance && o->min_quality == l->min_quality &&
	       o->ncategories == l->ncategories && same_file(h->b->dirfd, h->old->dirfd, l->path);
}

static int read_old(struct hunt *h, struct wr_bundle_errors *e)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < h->b->nlists; i++) {
		const struct wr_bundle_list *o = before(h, &h->b->lists[i]);
		struct wr_list_stats st;

		h->reading = i;
		/* Allow lists stay whole: they exempt, whenever they came. */
		if (o != NULL && !o->allow)
			rc = wr_list_read(h->old, o, on_old, h, &st, e);
	}
	return rc;
}

static int read_lists(struct hunt *h)
{
	struct wr_bundle_errors e = { 0 };
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < h->b->nlists; i++) {
		struct wr_list_stats st;

		h->reading = i;
		wr_cli_progress(h->b->lists[i].id, i, h->b->nlists);
		if (h->b->lists[i].mode != WR_ITEM_OFF &&
		    (h->b->lists[i].allow || !unchanged(h, &h->b->lists[i])))
			rc = wr_list_read(h->b, &h->b->lists[i], on_entry, h, &st, &e);
	}
	wr_cli_progress("", 1, 1);
	for (unsigned a = 0; a < WR_ALGO_COUNT; a++)
		if (h->t[a].n > 1)
			qsort(h->t[a].d, h->t[a].n, sizeof(struct digest), by_digest);
	if (rc == 0 && h->old != NULL)
		rc = read_old(h, &e);
	if (rc != 0)
		wr_bundle_errors_print(&e, stderr);
	wr_bundle_errors_free(&e);
	return rc == 0 ? 0 : WR_EXIT_FAIL;
}

struct hit {
	uint64_t lists[WR_BUNDLE_LISTS_MAX / 64];
	bool any;
};

static void mark(struct hit *hit, uint32_t list)
{
	if (list == DROPPED)
		return;
	hit->lists[list / 64] |= 1ull << list % 64;
	hit->any = true;
}

/* As the upload was seen: turned and mirrored copies are the dataplane's to find. */
static void match_pdq(struct hunt *h, const json_t *digests, struct hit *hit)
{
	const char *hex = wr_cli_str(digests, "pdq");
	long long quality = wr_cli_int(digests, "pdq_quality");
	uint64_t key[4], w[4];

	if (strlen(hex) != 64 || !wr_text_hex(hex, (uint8_t *)key, 32))
		return;
	for (size_t i = 0; i < h->t[WR_ALGO_PDQ].n; i++) {
		const struct digest *d = &h->t[WR_ALGO_PDQ].d[i];
		int distance = 0;

		if (d->list == DROPPED || quality < h->b->lists[d->list].min_quality)
			continue;
		memcpy(w, d->bytes, sizeof(w));
		for (int k = 0; k < 4; k++)
			distance += __builtin_popcountll(w[k] ^ key[k]);
		if (distance <= h->b->lists[d->list].max_distance)
			mark(hit, d->list);
	}
}

static void match_digests(struct hunt *h, const json_t *digests, struct hit *hit)
{
	match_pdq(h, digests, hit);
	for (unsigned a = 0; a < EXACT; a++) {
		const char *hex = wr_cli_str(digests, wr_algo_name((enum wr_algo)a));
		uint8_t key[32] = { 0 };
		const struct digest *d;

		if (strlen(hex) != 2u * digest_len[a] || !wr_text_hex(hex, key, digest_len[a]))
			continue;
		for (d = lookup(&h->t[a], key);
		     d != NULL && d < h->t[a].d + h->t[a].n && memcmp(d->bytes, key, 32) == 0; d++)
			mark(hit, d->list);
	}
}

/* Deny lists that hit and that no allow list of their owner exempts. */
static bool denied(const struct hunt *h, const struct hit *hit, uint32_t i)
{
	const struct wr_bundle_list *l = &h->b->lists[i];

	if ((hit->lists[i / 64] >> i % 64 & 1) == 0 || l->allow)
		return false;
	for (uint32_t k = 0; k < h->b->nlists; k++)
		if ((hit->lists[k / 64] >> k % 64 & 1) != 0 && h->b->lists[k].allow &&
		    strcmp(h->b->lists[k].owner, l->owner) == 0)
			return false;
	return true;
}

static void report(struct hunt *h, const json_t *rec, const char *lists, bool block)
{
	const json_t *up = json_object_get(rec, "upload");

	if (h->found != NULL &&
	    (h->most_uploads == 0 || json_array_size(h->found) < h->most_uploads))
		json_array_append_new(
		        h->found,
		        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "decision_id",
		                  wr_cli_str(rec, "decision_id"), "ts", wr_cli_str(rec, "ts"),
		                  "host", wr_cli_str(up, "host"), "path", wr_cli_str(up, "path"),
		                  "action", wr_cli_str(rec, "action"), "lists", lists, "block",
		                  block));
	if (h->c->json || !h->verbose)
		return;
	printf("%s %s %s ", wr_cli_str(rec, "ts"), wr_cli_str(rec, "decision_id"),
	       wr_cli_str(rec, "action"));
	wr_cli_put_safe(stdout, wr_cli_str(up, "host"));
	wr_cli_put_safe(stdout, wr_cli_str(up, "path"));
	printf(" %s\n", lists);
}

static void judge(struct hunt *h, const json_t *rec)
{
	const json_t *views = json_object_get(rec, "views");
	struct hit hit = { 0 };
	char lists[512] = "";
	bool block = false, was = strcmp(wr_cli_str(rec, "action"), "block") == 0, any = false;
	json_t *v;
	size_t i;

	match_digests(h, json_object_get(rec, "digests"), &hit);
	json_array_foreach(views, i, v) match_digests(h, json_object_get(v, "digests"), &hit);
	if (!hit.any)
		return;
	for (uint32_t k = 0; k < h->b->nlists; k++) {
		if (!denied(h, &hit, k))
			continue;
		any = true;
		h->hits[k]++;
		block |= h->b->lists[k].action == WR_A_BLOCK;
		if (strlen(lists) + strlen(h->b->lists[k].id) + 2 < sizeof(lists))
			snprintf(lists + strlen(lists), sizeof(lists) - strlen(lists), "%s%s",
			         lists[0] == '\0' ? "" : ",", h->b->lists[k].id);
	}
	h->matched += any;
	h->known += any && was;
	h->blocked += block && !was;
	if (any && !was)
		report(h, rec, lists, block);
}

/*
 * Most records match nothing, and parsing one costs more than all its lookups. A quote inside a
 * JSON string is escaped, so these words are keys wherever they stand.
 */
static bool may_match(const struct hunt *h, const char *line)
{
	static const char *const word[] = { "\"md5\":\"", "\"sha1\":\"", "\"sha256\":\"" };

	if (strncmp(line, "{\"schema\":\"weir.verdict/", 25) != 0)
		return true; /* whatever it is, the parser says */
	if (h->t[WR_ALGO_PDQ].n != 0 && strstr(line, "\"pdq\":\"") != NULL)
		return true;
	for (unsigned a = 0; a < EXACT; a++) {
		const char *p = line;
		uint8_t key[32] = { 0 };
		char hex[65];

		while (h->t[a].n != 0 && (p = strstr(p, word[a])) != NULL) {
			p += strlen(word[a]);
			snprintf(hex, sizeof(hex), "%.*s", 2 * digest_len[a], p);
			if (strlen(hex) == 2u * digest_len[a] &&
			    wr_text_hex(hex, key, digest_len[a]) && lookup(&h->t[a], key) != NULL)
				return true;
		}
	}
	return false;
}

static int read_records(struct hunt *h, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;

	if (f == NULL)
		return wr_cli_fail(h->c, "%s: %s", path, strerror(errno));
	for (ssize_t n; (n = getline(&line, &room, f)) > 0;) {
		json_t *rec = NULL;

		if (n < (ssize_t)LINE_MAX_BYTES && line[n - 1] == '\n' && !may_match(h, line)) {
			h->records++;
			continue;
		}
		if (n < (ssize_t)LINE_MAX_BYTES)
			rec = json_loadb(line, (size_t)n, 0, NULL);
		if (json_is_object(rec)) {
			h->records++;
			judge(h, rec);
		} else {
			h->bad++; /* a torn last line after a crash, or not a record */
		}
		json_decref(rec);
	}
	free(line);
	fclose(f);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* How many of the oldest files are beyond the limit of bytes. */
static size_t too_old(const struct hunt *h, const char *path, char *const *name, size_t n)
{
	uint64_t bytes = 0;

	while (h->most_bytes != 0 && n > 0) {
		char file[PATH_MAX];
		struct stat st;

		snprintf(file, sizeof(file), "%s/%s", path, name[n - 1]);
		if (stat(file, &st) == 0)
			bytes += (uint64_t)st.st_size;
		if (bytes > h->most_bytes)
			return n;
		n--;
	}
	return 0;
}

/* A file, or the .jsonl files of a folder, oldest first. */
static int read_all(struct hunt *h, const char *path)
{
	DIR *d = opendir(path);
	char **name = NULL;
	size_t n = 0;
	int rc = 0;

	if (d == NULL)
		return read_records(h, path);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		size_t len = strlen(e->d_name);
		char **more;

		if (len < 6 || strcmp(e->d_name + len - 6, ".jsonl") != 0)
			continue;
		more = realloc(name, (n + 1) * sizeof(*name));
		if (more == NULL)
			break;
		name = more;
		name[n++] = strdup(e->d_name);
	}
	closedir(d);
	if (n > 1)
		qsort(name, n, sizeof(*name), by_name);
	h->skipped = too_old(h, path, name, n);
	for (size_t i = 0; i < n; i++) {
		char file[PATH_MAX];

		wr_cli_progress(name[i], i, n);
		snprintf(file, sizeof(file), "%s/%s", path, name[i]);
		if (rc == 0 && i >= h->skipped)
			rc = read_records(h, file);
		free(name[i]);
	}
	wr_cli_progress("", 1, 1);
	free(name);
	return rc;
}

static void print_sums(struct hunt *h)
{
	printf("%llu records: %llu match, %llu of them were blocked already, %llu would be blocked "
	       "now\n",
	       (unsigned long long)h->records, (unsigned long long)h->matched,
	       (unsigned long long)h->known, (unsigned long long)h->blocked);
	for (uint32_t i = 0; i < h->b->nlists; i++)
		if (h->hits[i] != 0)
			printf("  list %s: %llu uploads (%s, %s)\n", h->b->lists[i].id,
			       (unsigned long long)h->hits[i],
			       wr_item_mode_name((enum wr_item_mode)h->b->lists[i].mode),
			       wr_action_name((enum wr_action)h->b->lists[i].action));
	if (h->b->nrules != 0)
		printf("  %u rules were not tried: records hold digests, not content\n",
		       h->b->nrules);
	if (h->bad != 0)
		printf("  %llu lines were not records\n", (unsigned long long)h->bad);
}

static void print_all_json(const struct hunt *h)
{
	json_t *lists = json_object();
	json_t *v = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:O}", "records", (json_int_t)h->records,
	                      "matched", (json_int_t)h->matched, "already_blocked",
	                      (json_int_t)h->known, "would_block", (json_int_t)h->blocked,
	                      "bad_lines", (json_int_t)h->bad, "files_skipped",
	                      (json_int_t)h->skipped, "uploads", h->found);

	for (uint32_t i = 0; i < h->b->nlists; i++)
		json_object_set_new(lists, h->b->lists[i].id, json_integer((json_int_t)h->hits[i]));
	json_object_set_new(v, "lists", lists);
	wr_cli_print_json(v);
	json_decref(v);
}

static int search(struct hunt *h, const char *records)
{
	int rc;

	h->hits = calloc(h->b->nlists + 1, sizeof(*h->hits));
	h->found = h->c->json ? json_array() : NULL;
	rc = h->hits == NULL ? WR_EXIT_FAIL : read_lists(h);
	if (rc == 0)
		rc = read_all(h, records);
	if (rc == 0 && h->c->json)
		print_all_json(h);
	else if (rc == 0)
		print_sums(h);
	for (unsigned a = 0; a < WR_ALGO_COUNT; a++)
		free(h->t[a].d);
	free(h->hits);
	json_decref(h->found);
	return rc == 0 && h->matched > h->known ? WR_EXIT_NO : rc;
}

/* h: what to look for and how; old may be NULL. */
static int run(struct hunt *h, const char *bundle, const char *old, const char *records)
{
	struct wr_bundle *b = NULL, *ob = NULL;
	struct wr_opened o, oo = { .fd = -1 };
	int rc = wr_opened_open(h->c, bundle, &o);

	if (rc != 0)
		return rc;
	rc = wr_cli_bundle_load(h->c, &o, &b);
	if (rc == 0 && old != NULL)
		rc = wr_opened_open(h->c, old, &oo);
	if (rc == 0 && old != NULL)
		rc = wr_cli_bundle_load(h->c, &oo, &ob);
	if (rc == 0) {
		h->b = b;
		h->old = ob;
		rc = search(h, records);
	}
	wr_bundle_free(b);
	wr_bundle_free(ob);
	wr_opened_close(&o);
	wr_opened_close(&oo);
	return rc;
}

static const char *records_path(struct wr_cli *c, json_t **owner)
{
	const char *p;

	if (c->records != NULL)
		return c->records;
	*owner = wr_cli_ask(c, "GET", "/v1/status", NULL);
	p = json_string_value(json_object_get(json_object_get(*owner, "records"), "path"));
	if (*owner != NULL && p == NULL)
		wr_cli_fail(c, "name the records: --records PATH");
	return p;
}

static int run_replay(struct wr_cli *c, int argc, char **argv)
{
	json_t *owner = NULL;
	const char *records;
	int rc = WR_EXIT_FAIL;

	if (argc != 2)
		return wr_cli_usage_of(c, "bundle", "replay");
	records = records_path(c, &owner);
	if (records != NULL)
		rc = run(&(struct hunt){ .c = c }, argv[1], NULL, records);
	json_decref(owner);
	return rc;
}

static void print_upload(const json_t *u)
{
	printf("  %s %s %s ", wr_cli_str(u, "ts"), wr_cli_str(u, "decision_id"),
	       wr_cli_str(u, "action"));
	wr_cli_put_safe(stdout, wr_cli_str(u, "host"));
	wr_cli_put_safe(stdout, wr_cli_str(u, "path"));
	printf(" %s\n", wr_cli_str(u, "lists"));
}

/* What the hunts at activation found. */
static int show(struct wr_cli *c)
{
	json_t *v = wr_cli_ask(c, "GET", "/v1/hunts", NULL), *doc, *u;
	long long found = 0, failed = 0;
	size_t i, k;

	if (v == NULL)
		return WR_EXIT_FAIL;
	json_array_foreach(json_object_get(v, "hunts"), i, doc)
	{
		long long n = wr_cli_int(doc, "matched") - wr_cli_int(doc, "already_blocked");

		found += n;
		failed += wr_cli_str(doc, "error")[0] != '\0';
		if (c->json)
			continue;
		printf("%s %lld, what is new since %lld: ", wr_cli_str(doc, "bundle"),
		       wr_cli_int(doc, "version"), wr_cli_int(doc, "against"));
		if (wr_cli_str(doc, "error")[0] != '\0')
			puts(wr_cli_str(doc, "error"));
		else
			printf("%lld of %lld past uploads passed and match\n", n,
			       wr_cli_int(doc, "records"));
		json_array_foreach(json_object_get(doc, "uploads"), k, u) print_upload(u);
		if (n > (long long)json_array_size(json_object_get(doc, "uploads")))
			puts("  and more, which are only counted");
	}
	if (c->json)
		wr_cli_print_json(v);
	else if (i == 0)
		puts("no bundle has come into force since hunts are kept");
	json_decref(v);
	return found != 0 ? WR_EXIT_NO : failed != 0 ? WR_EXIT_FAIL : WR_EXIT_OK;
}

static int run_hunt(struct wr_cli *c, int argc, char **argv)
{
	const char *bundle = wr_cli_opt(c, &argc, argv, "--bundle");
	const char *old = wr_cli_opt(c, &argc, argv, "--but-not");
	const char *bytes = wr_cli_opt(c, &argc, argv, "--most-bytes");
	const char *uploads = wr_cli_opt(c, &argc, argv, "--most-uploads");
	bool active = wr_cli_flag(&argc, argv, "--active");
	struct hunt h = { .c = c, .verbose = true };
	json_t *owner = NULL, *now = NULL;
	const char *records;
	int rc = WR_EXIT_FAIL;

	if (argc != 1 || (old != NULL && bundle == NULL))
		return wr_cli_usage_of(c, NULL, "hunt");
	if (bundle == NULL && !active)
		return show(c);
	h.most_bytes = bytes == NULL ? 0 : strtoull(bytes, NULL, 10);
	h.most_uploads = uploads == NULL ? 0 : strtoull(uploads, NULL, 10);
	if (bundle == NULL) {
		now = wr_cli_ask(c, "GET", "/v1/bundle/active", NULL);
		bundle = json_string_value(json_array_get(json_object_get(now, "source"), 0));
		if (now != NULL && bundle == NULL)
			wr_cli_fail(c, "no bundle is active; name one: --bundle DIR|FILE");
	}
	records = bundle == NULL ? NULL : records_path(c, &owner);
	if (records != NULL)
		rc = run(&h, bundle, old, records);
	json_decref(owner);
	json_decref(now);
	return rc;
}

const struct wr_cmd wr_cmds_hunt[] = {
	{ "bundle", "replay", "DIR|FILE [--records PATH]",
	  "how many past uploads would its lists match", run_replay },
	{ NULL, "hunt",
	  "[--active | --bundle DIR|FILE [--but-not DIR|FILE]] [--records PATH] [--most-bytes N] "
	  "[--most-uploads N]",
	  "name past uploads that passed and match today; alone: what each activation found",
	  run_hunt },
	{ 0 },
};
