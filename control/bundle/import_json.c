/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists in JSON: VICS, ThreatExchange, StopNCII, Tech Against Terrorism, STIX 2.1. A record is an
 * object in the array that the format names; its fields are gathered and judged when it ends,
 * because their order is not fixed. Nothing but the record at hand is kept, whatever the size of
 * the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/import.h"
#include "bundle/json.h"
#include "bundle/text.h"

#define ALTERNATIVES_MAX 8u

enum field {
	F_MD5,
	F_SHA1,
	F_SHA256,
	F_PDQ,
	F_HASH,
	F_TYPE,
	F_ID,
	F_CATEGORY,
	F_SIZE,
	F_STATUS,
	F_DELETED,
	F_EXPIRED,
	F_UNTIL,
	F_PATTERN,
	F_PATTERN_TYPE,
	F_COUNT
};

struct kind { /* one format: where its records are and what its fields are called */
	enum wr_list_format format;
	const char *array;
	const char *field[F_COUNT];
};

static const struct kind kinds[] = {
	{ WR_LF_VICS,
	  "value",
	  { [F_MD5] = "MD5",
	    [F_SHA1] = "SHA1",
	    [F_SHA256] = "SHA256",
	    [F_ID] = "MediaID",
	    [F_CATEGORY] = "Category",
	    [F_SIZE] = "MediaSize" } },
	{ WR_LF_THREATEXCHANGE,
	  "data",
	  { [F_HASH] = "indicator",
	    [F_TYPE] = "type",
	    [F_ID] = "id",
	    [F_DELETED] = "should_delete",
	    [F_EXPIRED] = "is_expired" } },
	{ WR_LF_STOPNCII,
	  "hashRecords",
	  { [F_HASH] = "hashValue", [F_TYPE] = "signalType", [F_STATUS] = "hashStatus" } },
	{ WR_LF_TAT,
	  "results",
	  { [F_HASH] = "hash_digest",
	    [F_TYPE] = "algorithm",
	    [F_ID] = "id",
	    [F_DELETED] = "deleted",
	    [F_CATEGORY] = "ideology" } },
	{ WR_LF_STIX,
	  "objects",
	  { [F_TYPE] = "type",
	    [F_ID] = "id",
	    [F_DELETED] = "revoked",
	    [F_UNTIL] = "valid_until",
	    [F_PATTERN] = "pattern",
	    [F_PATTERN_TYPE] = "pattern_type" } },
};

struct pair {
	char name[32], value[WR_IMPORT_FIELD_MAX];
	uint32_t len;
};

struct json_state {
	struct wr_json json;
	const struct kind *kind;
	char key[WR_JSON_DEPTH + 1][32]; /* the key whose value stands at this depth */
	uint32_t record;                 /* depth of the record at hand, 0 = outside of any */
	char value[F_COUNT][WR_IMPORT_FIELD_MAX];
	uint32_t len[F_COUNT]; /* 0 = absent; a value too long for a digest keeps its length */
	char *pattern;
	struct pair alternative[ALTERNATIVES_MAX];
	uint32_t nalternatives;
	uint32_t opinions,
	        harmless; /* ThreatExchange: descriptors, and those that say NON_MALICIOUS */
	bool found_array, pattern_cut;
};

static void record_start(struct json_state *s)
{
	memset(s->len, 0, sizeof(s->len));
	memset(s->value, 0, sizeof(s->value));
	free(s->pattern);
	s->pattern = NULL;
	s->pattern_cut = false;
	s->nalternatives = 0;
	s->opinions = s->harmless = 0;
	s->record = s->json.depth;
}

/* Is the object that opens now a record? VICS also nests them: value[].Media[] in case exports. */
static bool opens_record(const struct json_state *s)
{
	const struct wr_json *j = &s->json;

	if (s->kind == NULL || !j->array[j->depth - 2])
		return false;
	return j->depth == 3 || (s->kind->format == WR_LF_VICS && j->depth == 5 &&
	                         strcasecmp(s->key[3], "Media") == 0);
}

static const struct kind *kind_of_array(const char *key)
{
	for (size_t i = 0; i < WR_COUNT_OF(kinds); i++)
		if (strcmp(kinds[i].array, key) == 0)
			return &kinds[i];
	return NULL;
}

static void keep_pattern(struct json_state *s, const char *v, size_t n)
{
	free(s->pattern);
	s->pattern = strndup(v, n);
	s->pattern_cut = s->json.cut;
}

static void field(struct json_state *s, const char *v, size_t n)
{
	const char *key = s->key[s->record];

	for (unsigned f = 0; f < F_COUNT; f++) {
		if (s->kind->field[f] == NULL || strcasecmp(s->kind->field[f], key) != 0)
			continue;
		if (f == F_PATTERN) {
			keep_pattern(s, v, n);
			return;
		}
		s->len[f] = (uint32_t)n;
		snprintf(s->value[f], sizeof(s->value[f]), "%.*s",
		         (int)wr_min_u64(n, sizeof(s->value[f]) - 1), v);
		return;
	}
}

/* Values below the record: VICS alternative hashes, the opinions of ThreatExchange members. */
static void inner(struct json_state *s, const char *v, size_t n)
{
	uint32_t depth = s->json.depth, r = s->record;
	const char *key = s->key[depth];
	struct pair *p =
	        &s->alternative[s->nalternatives < ALTERNATIVES_MAX ? s->nalternatives : 0];

	if (s->kind->format == WR_LF_THREATEXCHANGE && depth == r + 3 &&
	    strcmp(s->key[r], "descriptors") == 0 && strcmp(key, "status") == 0) {
		s->opinions++;
		s->harmless += strcmp(v, "NON_MALICIOUS") == 0;
	}
	if (s->kind->format != WR_LF_VICS || depth != r + 2 ||
	    strcasecmp(s->key[r], "AlternativeHashes") != 0 || s->nalternatives == ALTERNATIVES_MAX)
		return;
	if (strcasecmp(key, "HashName") == 0)
		snprintf(p->name, sizeof(p->name), "%.31s", v);
	if (strcasecmp(key, "HashValue") == 0) {
		snprintf(p->value, sizeof(p->value), "%.*s", (int)sizeof(p->value) - 1, v);
		p->len = (uint32_t)n;
	}
}

/* --- what a record means ------------------------------------------------------------- */

static void emit(struct wr_import *im, unsigned f, unsigned algo, const struct wr_found *found)
{
	struct json_state *s = im->state;

	if (s->len[f] != 0)
		wr_import_hex(im, algo, s->value[f],
		              s->len[f] < WR_IMPORT_FIELD_MAX ? s->len[f] : WR_IMPORT_FIELD_MAX - 1,
		              found);
}

static void vics(struct wr_import *im, struct wr_found *f)
{
	struct json_state *s = im->state;

	if (s->len[F_MD5] + s->len[F_SHA1] + s->len[F_SHA256] + s->nalternatives == 0) {
		im->job.stats->unsupported++;
		return;
	}
	emit(im, F_MD5, WR_ALGO_MD5, f);
	emit(im, F_SHA1, WR_ALGO_SHA1, f);
	emit(im, F_SHA256, WR_ALGO_SHA256, f);
	for (uint32_t i = 0; i < s->nalternatives; i++) {
		const struct pair *p = &s->alternative[i];

		wr_import_hex(im, wr_import_algo(p->name), p->value,
		              p->len < sizeof(p->value) ? p->len : sizeof(p->value) - 1, f);
	}
}

static void typed(struct wr_import *im, struct wr_found *f)
{
	struct json_state *s = im->state;

	if (s->len[F_HASH] == 0)
		wr_import_bad(im, "a record without a hash", s->value[F_ID], s->len[F_ID]);
	else
		emit(im, F_HASH, wr_import_algo(s->value[F_TYPE]), f);
}

/* Does the pattern say more than "one of these hashes"? Words inside quotes do not count. */
static bool more_than_or(const char *p)
{
	static const char *const word[] = { "AND", "NOT", "FOLLOWEDBY", "REPEATS", "WITHIN" };

	while (*p != '\0') {
		if (*p == '\'') {
			for (p++; *p != '\0' && *p != '\''; p++)
				p += p[0] == '\\' && p[1] != '\0';
			p += *p == '\'';
			continue;
		}
		if (*p == '!')
			return true;
		if (*p >= 'A' && *p <= 'Z') {
			size_t n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

			for (size_t i = 0; i < WR_COUNT_OF(word); i++)
				if (strlen(word[i]) == n && memcmp(word[i], p, n) == 0)
					return true;
			p += n;
			continue;
		}
		p++;
	}
	return false;
}

/* file:hashes.MD5 = '...', file:hashes.'SHA-256' = '...' */
static uint32_t stix_hashes(struct wr_import *im, const char *p, const struct wr_found *f)
{
	static const char head[] = "file:hashes.";
	uint32_t n = 0;

	while ((p = strstr(p, head)) != NULL) {
		char name[32];
		size_t len, digits = 0;
		char quote;

		p += sizeof(head) - 1;
		quote = *p == '\'' || *p == '"' ? *p++ : '\0';
		len = strcspn(p, quote == '\'' ? "'" : quote == '"' ? "\"" : " =\t'");
		snprintf(name, sizeof(name), "%.*s", (int)wr_min_u64(len, 31), p);
		p += len + (quote != '\0' && p[len] != '\0');
		p += strspn(p, " \t\n");
		if (*p != '=')
			continue;
		p++;
		p += strspn(p, " \t\n");
		if (*p != '\'')
			continue;
		p++;
		digits = strcspn(p, "'");
		wr_import_hex(im, wr_import_algo(name), p, digits, f);
		n++;
	}
	return n;
}

static void stix(struct wr_import *im, struct wr_found *f)
{
	struct json_state *s = im->state;
	uint64_t until;

	if (strcmp(s->value[F_TYPE], "indicator") != 0)
		return;
	if (s->pattern == NULL || s->pattern_cut ||
	    (s->len[F_PATTERN_TYPE] != 0 && strcmp(s->value[F_PATTERN_TYPE], "stix") != 0)) {
		im->job.stats->unsupported++;
		return;
	}
	if (s->len[F_UNTIL] != 0 && wr_text_time(s->value[F_UNTIL], &until) && until <= im->job.now)
		f->deleted = true;
	if (more_than_or(s->pattern) || stix_hashes(im, s->pattern, f) == 0)
		im->job.stats->unsupported++;
}

static void record_end(struct wr_import *im)
{
	struct json_state *s = im->state;
	struct wr_found f = WR_FOUND_NONE;

	im->line = s->json.line;
	im->record++;
	im->job.stats->lines++;
	f.id = s->value[F_ID];
	(void)wr_text_u64(s->value[F_SIZE], &f.size);
	f.deleted = strcmp(s->value[F_DELETED], "true") == 0 ||
	            strcmp(s->value[F_EXPIRED], "true") == 0 ||
	            (s->len[F_STATUS] != 0 && strcasecmp(s->value[F_STATUS], "Active") != 0);
	/* Members who looked all say that it is harmless: the exchange keeps it, we do not block on
	 * it. */
	if (s->opinions != 0 && s->opinions == s->harmless)
		f.deleted = true;
	if (!wr_import_wanted(im, s->value[F_CATEGORY]))
		return;
	switch (s->kind->format) {
	case WR_LF_VICS: vics(im, &f); break;
	case WR_LF_STIX: stix(im, &f); break;
	default: typed(im, &f); break;
	}
}

/* --- events -------------------------------------------------------------------------- */

static int open_array(struct wr_import *im)
{
	struct json_state *s = im->state;

	if (s->json.depth != 2)
		return 0;
	s->kind = kind_of_array(s->key[1]);
	if (s->kind == NULL)
		return 0;
	if (s->kind->format != im->format)
		s->kind = NULL; /* not the array of this format: skipped */
	else
		s->found_array = true;
	return 0;
}

static void close_object(struct wr_import *im)
{
	struct json_state *s = im->state;
	uint32_t was = s->json.depth + 1; /* the tokenizer has left the level already */

	if (s->record == was) {
		record_end(im);
		s->record = 0;
	} else if (s->record != 0 && s->kind->format == WR_LF_VICS && was == s->record + 2 &&
	           strcasecmp(s->key[s->record], "AlternativeHashes") == 0 &&
	           s->nalternatives < ALTERNATIVES_MAX) {
		const struct pair *p = &s->alternative[s->nalternatives];

		s->nalternatives += p->name[0] != '\0' && p->len != 0;
	}
}

static int on_event(void *ctx, enum wr_json_event ev, const char *v, size_t n)
{
	struct wr_import *im = ctx;
	struct json_state *s = im->state;
	uint32_t depth = s->json.depth;

	switch (ev) {
	case WR_JSON_OBJECT:
		s->key[depth][0] = '\0';
		/* A case export's own record gives way to the media inside it. */
		if (depth >= 2 && opens_record(s))
			record_start(s);
		else if (s->record != 0 && s->nalternatives < ALTERNATIVES_MAX)
			s->alternative[s->nalternatives] = (struct pair){ 0 };
		return 0;
	case WR_JSON_ARRAY: return open_array(im);
	case WR_JSON_OBJECT_END: close_object(im); return im->rc;
	case WR_JSON_ARRAY_END:
		if (depth == 1)
			s->kind = NULL;
		return 0;
	case WR_JSON_KEY: snprintf(s->key[depth], sizeof(s->key[depth]), "%.31s", v); return 0;
	case WR_JSON_STRING:
	case WR_JSON_NUMBER: break;
	case WR_JSON_TRUE:
		v = "true";
		n = 4;
		break;
	case WR_JSON_FALSE:
	case WR_JSON_NULL: return 0;
	}
	/* Inside an array there is no key: such values belong to nothing we read. */
	if (s->record == 0 || s->json.array[depth - 1])
		return 0;
	if (depth == s->record)
		field(s, v, n);
	else
		inner(s, v, n);
	return 0;
}

static int json_start(struct wr_import *im)
{
	struct json_state *s = calloc(1, sizeof(*s));

	im->state = s;
	if (s == NULL)
		return -ENOMEM;
	wr_json_init(&s->json, on_event, im);
	return 0;
}

static int json_feed(struct wr_import *im, const uint8_t *p, size_t n)
{
	struct json_state *s = im->state;
	int rc = wr_json_feed(&s->json, p, n);

	if (rc == -EBADMSG && im->rc == 0)
		return wr_import_fatal(im, s->json.line, "not valid JSON: %s", s->json.why);
	return im->rc != 0 ? im->rc : rc;
}

static int json_end(struct wr_import *im)
{
	struct json_state *s = im->state;
	int rc = wr_json_end(&s->json);

	if (rc == -EBADMSG)
		return wr_import_fatal(im, s->json.line, "not valid JSON: %s", s->json.why);
	if (rc == 0 && !s->found_array)
		for (size_t i = 0; i < WR_COUNT_OF(kinds); i++)
			if (kinds[i].format == im->format)
				return wr_import_fatal(im, 0, "format %s needs an array `%s`",
				                       wr_list_format_name(kinds[i].format),
				                       kinds[i].array);
	return rc;
}

static void json_free(struct wr_import *im)
{
	struct json_state *s = im->state;

	if (s != NULL) {
		wr_json_free(&s->json);
		free(s->pattern);
	}
	free(s);
	im->state = NULL;
}

const struct wr_import_format wr_import_json = { json_start, json_feed, json_end, json_free };
