/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NCMEC hash sharing v2. A deletion names an entry (member and id), not a digest, and the pages of
 * the exchange are not in the order of time: so the file is read twice, first for the deletions,
 * then for what they leave.
 */
#include <errno.h>
#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/import.h"
#include "bundle/text.h"

#define DEPTH_MAX   32u
#define HASHES_MAX  16u
#define NAME_MAX_   32u
#define MEMBER_MAX_ 64u

struct hash {
	unsigned algo;
	uint32_t len;
	char hex[WR_IMPORT_FIELD_MAX];
};

struct deletion {
	char *key; /* "member\nid" */
	uint64_t time;
};

struct xml_state {
	XML_Parser parser;
	bool collecting; /* the first pass */
	uint32_t depth;
	char name[DEPTH_MAX][NAME_MAX_];
	uint32_t record; /* depth of the record at hand, 0 = none */
	bool deleted;    /* it is a deletedImage or deletedVideo */
	char member[MEMBER_MAX_], id[WR_IMPORT_FIELD_MAX], time[40], class[32];
	char text[WR_IMPORT_FIELD_MAX * 2];
	size_t ntext;
	struct hash hash[HASHES_MAX];
	uint32_t nhashes;
	struct deletion *deletions;
	size_t ndeletions, room;
	const char *why;
};

static int by_key(const void *a, const void *b)
{
	const struct deletion *x = a, *y = b;
	int d = strcmp(x->key, y->key);

	/* The newest first: then a search that goes to the first one finds it. */
	return d != 0 ? d : (x->time < y->time) - (x->time > y->time);
}

static void record_key(const struct xml_state *s, char *out, size_t size)
{
	snprintf(out, size, "%s\n%s", s->member, s->id);
}

static uint64_t record_time(const struct xml_state *s)
{
	uint64_t t = 0;

	(void)wr_text_time(s->time, &t);
	return t;
}

/* A deletion counts unless the entry is newer. Without times the deletion wins. */
static bool is_deleted(const struct xml_state *s)
{
	char key[MEMBER_MAX_ + WR_IMPORT_FIELD_MAX + 2];
	size_t lo = 0, hi = s->ndeletions;
	uint64_t time = record_time(s);

	record_key(s, key, sizeof(key));
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(s->deletions[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == s->ndeletions || strcmp(s->deletions[lo].key, key) != 0)
		return false;
	return s->deletions[lo].time == 0 || s->deletions[lo].time >= time;
}

static void stop(struct wr_import *im, int rc, const char *why)
{
	struct xml_state *s = im->state;

	if (why != NULL && im->rc == 0)
		(void)wr_import_fatal(im, XML_GetCurrentLineNumber(s->parser), "%s", why);
	if (im->rc == 0)
		im->rc = rc;
	XML_StopParser(s->parser, XML_FALSE);
}

static void remember(struct wr_import *im)
{
	struct xml_state *s = im->state;
	char key[MEMBER_MAX_ + WR_IMPORT_FIELD_MAX + 2];

	if (s->ndeletions == WR_IMPORT_DELETIONS_MAX) {
		stop(im, -EBADMSG, "more than 4,000,000 deletions in one file");
		return;
	}
	if (s->ndeletions == s->room) {
		size_t room = s->room == 0 ? 64 : s->room * 2;
		struct deletion *p = realloc(s->deletions, room * sizeof(*p));

		if (p == NULL) {
			stop(im, -ENOMEM, NULL);
			return;
		}
		s->deletions = p;
		s->room = room;
	}
	record_key(s, key, sizeof(key));
	s->deletions[s->ndeletions] = (struct deletion){ strdup(key), record_time(s) };
	if (s->deletions[s->ndeletions].key == NULL)
		stop(im, -ENOMEM, NULL);
	else
		s->ndeletions++;
}

static void record_end(struct wr_import *im)
{
	struct xml_state *s = im->state;
	struct wr_found f = WR_FOUND_NONE;

	if (s->collecting) {
		if (s->deleted)
			remember(im);
		return;
	}
	im->line = XML_GetCurrentLineNumber(s->parser);
	im->record++;
	im->job.stats->lines++;
	if (s->deleted)
		return;
	if (!wr_import_wanted(im, s->class))
		return;
	f.id = s->id;
	f.deleted = is_deleted(s);
	if (s->nhashes == 0)
		im->job.stats->unsupported++;
	for (uint32_t i = 0; i < s->nhashes; i++) {
		const struct hash *h = &s->hash[i];

		/* Withdrawn by entry: another entry of the same digest stays, so it is not handed
		 * on. */
		if (f.deleted)
			im->job.stats->deleted++;
		else
			wr_import_hex(im, h->algo, h->hex, h->len, &f);
	}
}

/* "uri|local" -> local */
static const char *local(const XML_Char *name)
{
	const char *bar = strrchr(name, '|');

	return bar == NULL ? name : bar + 1;
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attr)
{
	struct wr_import *im = ctx;
	struct xml_state *s = im->state;
	const char *n = local(name);

	if (s->depth == DEPTH_MAX) {
		stop(im, -EBADMSG, "nested deeper than 32 levels");
		return;
	}
	snprintf(s->name[s->depth++], NAME_MAX_, "%.31s", n);
	s->ntext = 0;
	if (s->record == 0 && (strcmp(n, "image") == 0 || strcmp(n, "video") == 0 ||
	                       strcmp(n, "deletedImage") == 0 || strcmp(n, "deletedVideo") == 0)) {
		s->record = s->depth;
		s->deleted = n[0] == 'd';
		s->member[0] = s->id[0] = s->time[0] = s->class[0] = '\0';
		s->nhashes = 0;
	}
	if (s->record != 0 && s->depth == s->record + 1 && strcmp(n, "member") == 0)
		for (size_t i = 0; attr[i] != NULL; i += 2)
			if (strcmp(local(attr[i]), "id") == 0)
				snprintf(s->member, sizeof(s->member), "%.63s", attr[i + 1]);
}

static void XMLCALL on_text(void *ctx, const XML_Char *p, int n)
{
	struct wr_import *im = ctx;
	struct xml_state *s = im->state;
	size_t take = sizeof(s->text) - 1 - s->ntext;

	/* What is longer than any digest stays longer than any digest, and is refused as such. */
	take = (size_t)n < take ? (size_t)n : take;
	memcpy(s->text + s->ntext, p, take);
	s->ntext += take;
}

static void fingerprint(struct xml_state *s, const char *n, const char *text, size_t len)
{
	struct hash *h = &s->hash[s->nhashes];

	/* Large fingerprints are links, others are proprietary: not ours, and not an error. */
	if (s->nhashes == HASHES_MAX || len == 0)
		return;
	h->algo = wr_import_algo(n);
	if (h->algo == WR_ALGO_UNSUPPORTED)
		return;
	h->len = (uint32_t)wr_min_u64(len, sizeof(h->hex) - 1);
	memcpy(h->hex, text, h->len);
	h->hex[h->len] = '\0';
	s->nhashes++;
}

static void element_end(struct xml_state *s, const char *n)
{
	char *t = s->text;

	while (s->ntext != 0 && strchr(" \t\r\n", t[s->ntext - 1]) != NULL)
		s->ntext--;
	t[s->ntext] = '\0';
	t += strspn(t, " \t\r\n");
	if (s->depth == s->record + 1) {
		if (strcmp(n, "id") == 0)
			snprintf(s->id, sizeof(s->id), "%.*s", (int)sizeof(s->id) - 1, t);
		else if (strcmp(n, "timestamp") == 0)
			snprintf(s->time, sizeof(s->time), "%.39s", t);
		else if (strcmp(n, "classification") == 0)
			snprintf(s->class, sizeof(s->class), "%.31s", t);
	} else if (s->depth == s->record + 2 && strcmp(s->name[s->record], "fingerprints") == 0) {
		fingerprint(s, n, t, strlen(t));
	}
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
	struct wr_import *im = ctx;
	struct xml_state *s = im->state;

	if (s->record != 0 && s->depth == s->record) {
		record_end(im);
		s->record = 0;
		if (im->rc != 0)
			XML_StopParser(s->parser, XML_FALSE);
	} else if (s->record != 0) {
		element_end(s, local(name));
	}
	s->ntext = 0;
	s->depth--;
}

/* A list needs no DTD; with one, entities could make a small file large or name other files. */
static void XMLCALL on_doctype(void *ctx, const XML_Char *n, const XML_Char *sys,
                               const XML_Char *pub, int internal)
{
	(void)n;
	(void)sys;
	(void)pub;
	(void)internal;
	stop(ctx, -EBADMSG, "a document type declaration is not allowed");
}

static int xml_start(struct wr_import *im)
{
	struct xml_state *s = im->state;

	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		im->state = s;
		if (s == NULL)
			return -ENOMEM;
		s->collecting = true;
	} else {
		XML_ParserFree(s->parser);
		s->depth = s->record = 0;
		s->ntext = 0;
	}
	s->parser = XML_ParserCreateNS(NULL, '|');
	if (s->parser == NULL)
		return -ENOMEM;
	XML_SetUserData(s->parser, im);
	XML_SetElementHandler(s->parser, on_start, on_end);
	XML_SetCharacterDataHandler(s->parser, on_text);
	XML_SetStartDoctypeDeclHandler(s->parser, on_doctype);
	return 0;
}

static int parse(struct wr_import *im, const uint8_t *p, size_t n, int last)
{
	struct xml_state *s = im->state;

	if (XML_Parse(s->parser, (const char *)p, (int)n, last) == XML_STATUS_OK)
		return im->rc;
	if (im->rc != 0)
		return im->rc;
	if (XML_GetErrorCode(s->parser) == XML_ERROR_NO_MEMORY)
		return -ENOMEM;
	return wr_import_fatal(im, XML_GetCurrentLineNumber(s->parser), "not valid XML: %s",
	                       XML_ErrorString(XML_GetErrorCode(s->parser)));
}

static int xml_feed(struct wr_import *im, const uint8_t *p, size_t n)
{
	const size_t most = 1u << 30; /* expat counts in int */
	int rc = 0;

	while (rc == 0 && n != 0) {
		size_t take = n < most ? n : most;

		rc = parse(im, p, take, 0);
		p += take;
		n -= take;
	}
	return rc;
}

static int xml_end(struct wr_import *im)
{
	struct xml_state *s = im->state;
	int rc = parse(im, (const uint8_t *)"", 0, 1);

	if (rc != 0 || !s->collecting)
		return rc;
	s->collecting = false;
	if (s->ndeletions > 1)
		qsort(s->deletions, s->ndeletions, sizeof(*s->deletions), by_key);
	return 1;
}

static void xml_free(struct wr_import *im)
{
	struct xml_state *s = im->state;

	if (s == NULL)
		return;
	if (s->parser != NULL)
		XML_ParserFree(s->parser);
	for (size_t i = 0; i < s->ndeletions; i++)
		free(s->deletions[i].key);
	free(s->deletions);
	free(s);
	im->state = NULL;
}

const struct wr_import_format wr_import_xml = { xml_start, xml_feed, xml_end, xml_free };
