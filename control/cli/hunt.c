/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir bundle replay, weir hunt: digests of past verdict records against a candidate. How many
 * uploads of yesterday would be blocked now, by which list; and which of those passed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/text.h"
#include "cli/bundle_run.h"

#define ALGOS          3u /* md5, sha1, sha256: what a record can be matched by without the object */
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
	struct table t[ALGOS];
	uint64_t *hits; /* by list: uploads */
	uint32_t reading;
	uint64_t records, bad, matched, blocked, known;
	bool verbose;
	json_t *found;
	int rc;
};

static const uint8_t digest_len[ALGOS] = { 16, 20, 32 };

static int on_entry(void *ctx, const struct wr_list_entry *e)
{
	struct hunt *h = ctx;
	struct table *t;

	if (e->algo >= ALGOS || e->deleted)
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

static int read_lists(struct hunt *h)
{
	struct wr_bundle_errors e = { 0 };
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < h->b->nlists; i++) {
		struct wr_list_stats st;

		h->reading = i;
		wr_cli_progress(h->b->lists[i].id, i, h->b->nlists);
		if (h->b->lists[i].mode != WR_ITEM_OFF)
			rc = wr_list_read(h->b, &h->b->lists[i], on_entry, h, &st, &e);
	}
	wr_cli_progress("", 1, 1);
	if (rc != 0)
		wr_bundle_errors_print(&e, stderr);
	wr_bundle_errors_free(&e);
	for (unsigned a = 0; a < ALGOS; a++)
		if (h->t[a].n > 1)
			qsort(h->t[a].d, h->t[a].n, sizeof(struct digest), by_digest);
	return rc == 0 ? 0 : WR_EXIT_FAIL;
}

/* First entry of this digest, or NULL. */
static const struct digest *lookup(const struct table *t, const uint8_t key[32])
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

struct hit {
	uint64_t lists[WR_BUNDLE_LISTS_MAX / 64];
	bool any;
};

static void match_digests(struct hunt *h, const json_t *digests, struct hit *hit)
{
	for (unsigned a = 0; a < ALGOS; a++) {
		const char *hex = wr_cli_str(digests, wr_algo_name((enum wr_algo)a));
		uint8_t key[32] = { 0 };
		const struct digest *d;

		if (strlen(hex) != 2u * digest_len[a] || !wr_text_hex(hex, key, digest_len[a]))
			continue;
		for (d = lookup(&h->t[a], key);
		     d != NULL && d < h->t[a].d + h->t[a].n && memcmp(d->bytes, key, 32) == 0;
		     d++) {
			hit->lists[d->list / 64] |= 1ull << d->list % 64;
			hit->any = true;
		}
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

	if (h->found != NULL)
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

static int read_records(struct hunt *h, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;

	if (f == NULL)
		return wr_cli_fail(h->c, "%s: %s", path, strerror(errno));
	for (ssize_t n; (n = getline(&line, &room, f)) > 0;) {
		json_t *rec =
		        n < (ssize_t)LINE_MAX_BYTES ? json_loadb(line, (size_t)n, 0, NULL) : NULL;

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
	for (size_t i = 0; i < n; i++) {
		char file[PATH_MAX];

		wr_cli_progress(name[i], i, n);
		snprintf(file, sizeof(file), "%s/%s", path, name[i]);
		if (rc == 0)
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

static int run(struct wr_cli *c, const char *bundle, const char *records, bool verbose)
{
	struct hunt h = { .c = c, .verbose = verbose };
	struct wr_bundle *b;
	struct wr_opened o;
	int rc = wr_opened_open(c, bundle, &o);

	if (rc != 0)
		return rc;
	rc = wr_cli_bundle_load(c, &o, &b);
	if (rc == 0) {
		h.b = b;
		h.hits = calloc(b->nlists + 1, sizeof(*h.hits));
		h.found = c->json ? json_array() : NULL;
		rc = h.hits == NULL ? WR_EXIT_FAIL : read_lists(&h);
		if (rc == 0)
			rc = read_all(&h, records);
		if (rc == 0 && c->json) {
			json_t *v =
			        json_pack("{s:I,s:I,s:I,s:I,s:O}", "records", (json_int_t)h.records,
			                  "matched", (json_int_t)h.matched, "already_blocked",
			                  (json_int_t)h.known, "would_block", (json_int_t)h.blocked,
			                  "uploads", h.found);
			json_t *lists = json_object();

			for (uint32_t i = 0; i < b->nlists; i++)
				json_object_set_new(lists, b->lists[i].id,
				                    json_integer((json_int_t)h.hits[i]));
			json_object_set_new(v, "lists", lists);
			wr_cli_print_json(v);
			json_decref(v);
		} else if (rc == 0) {
			print_sums(&h);
		}
		wr_bundle_free(b);
	}
	for (unsigned a = 0; a < ALGOS; a++)
		free(h.t[a].d);
	free(h.hits);
	json_decref(h.found);
	wr_opened_close(&o);
	return rc == 0 && h.matched > h.known ? WR_EXIT_NO : rc;
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
		rc = run(c, argv[1], records, false);
	json_decref(owner);
	return rc;
}

static int run_hunt(struct wr_cli *c, int argc, char **argv)
{
	const char *bundle = wr_cli_opt(c, &argc, argv, "--bundle");
	json_t *owner = NULL, *active = NULL;
	const char *records;
	int rc = WR_EXIT_FAIL;

	if (argc != 1)
		return wr_cli_usage_of(c, NULL, "hunt");
	if (bundle == NULL) {
		active = wr_cli_ask(c, "GET", "/v1/bundle/active", NULL);
		bundle = json_string_value(json_array_get(json_object_get(active, "source"), 0));
		if (active != NULL && bundle == NULL)
			wr_cli_fail(c, "no bundle is active; name one: --bundle DIR|FILE");
	}
	records = bundle == NULL ? NULL : records_path(c, &owner);
	if (records != NULL)
		rc = run(c, bundle, records, true);
	json_decref(owner);
	json_decref(active);
	return rc;
}

const struct wr_cmd wr_cmds_hunt[] = {
	{ "bundle", "replay", "DIR|FILE [--records PATH]",
	  "how many past uploads would its lists match", run_replay },
	{ NULL, "hunt", "[--bundle DIR|FILE] [--records PATH]",
	  "name past uploads that passed and match today", run_hunt },
	{ 0 },
};
