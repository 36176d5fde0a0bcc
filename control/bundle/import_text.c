/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of lines: plain digests, *sum and BSD sums, hashdeep, ClamAV, Suricata, .te, PDQ lines, and
 * CSV with a header (also ICSE, MISP and NSRL, which are CSV with known columns).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/import.h"
#include "bundle/text.h"

#define CELLS_MAX 64u

enum column { /* what a column of a CSV file holds */
	      COL_IGNORE,
	      COL_MD5,
	      COL_SHA1,
	      COL_SHA256,
	      COL_PDQ,
	      COL_ANY,
	      COL_TYPE,
	      COL_ID,
	      COL_QUALITY,
	      COL_SIZE,
	      COL_CATEGORY,
	      COL_TO_IDS,
	      COL_DELETED,
	      COL_UNSUPPORTED
};

struct text_state {
	char *line; /* of WR_LIST_LINE_MAX + 1 */
	size_t len;
	uint64_t number;
	bool too_long, have_header, misp;
	char delimiter;
	uint8_t column[CELLS_MAX];
	uint32_t ncolumns;
	unsigned te_algo; /* from the name of a .te file */
	void (*each)(struct wr_import *im, char *s, size_t n);
};

static size_t hex_run(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && wr_text_hexdigit(s[i]) >= 0)
		i++;
	return i;
}

/* How many digits a digest has that someone may list: MD5 to SHA-512. */
static bool digest_digits(size_t n)
{
	return n == 32 || n == 40 || n == 56 || n == 64 || n == 96 || n == 128;
}

/* --- plain, *sum, Suricata lists ------------------------------------------------------------- */

static void plain_line(struct wr_import *im, char *s, size_t n)
{
	struct wr_found f = WR_FOUND_NONE;
	unsigned algo = WR_ALGO_ANY;
	size_t skip = s[0] == '\\' ? 1 : 0; /* sha256sum: the name has escapes */
	size_t digits = hex_run(s + skip, n - skip);
	char *rest = s + skip + digits;

	if (*rest != '\0' && *rest != ' ' && *rest != '\t') {
		wr_import_bad(im, "not a digest", s, n);
		return;
	}
	while (*rest == ' ' || *rest == '\t')
		rest++;
	if (*rest == '*')
		rest++;
	f.id = rest;
	if (im->format == WR_LF_PDQ && digits == 64)
		algo = WR_ALGO_PDQ;
	wr_import_hex(im, algo, s + skip, digits, &f);
}

/* "SHA256 (name) = hex"; a name may itself hold ") = ". */
static void bsd_line(struct wr_import *im, char *s, size_t n)
{
	struct wr_found f = WR_FOUND_NONE;
	char *open = strstr(s, " ("), *close = NULL;

	for (char *p = open; p != NULL && (p = strstr(p, ") = ")) != NULL; p++)
		close = p;
	if (open == NULL || close == NULL) {
		wr_import_bad(im, "not a line of BSD sums", s, n);
		return;
	}
	*open = '\0';
	*close = '\0';
	f.id = open + 2;
	wr_import_hex(im, wr_import_algo(s), close + 4, strlen(close + 4), &f);
}

/* --- ClamAV .hdb .hsb .fp .sfp --------------------------------------------------------------- */

static void clamav_line(struct wr_import *im, char *s, size_t n)
{
	struct wr_found f = WR_FOUND_NONE;
	size_t digits = hex_run(s, n);
	char *size = s + digits, *name, *end;

	if (!digest_digits(digits) || *size != ':' || (name = strchr(size + 1, ':')) == NULL) {
		wr_import_bad(im, "not Hash:Size:Name", s, n);
		return;
	}
	*name++ = '\0';
	size++;
	if (strcmp(size, "*") != 0 && !wr_text_u64(size, &f.size)) {
		wr_import_bad(im, "the size is neither a number nor *", size, strlen(size));
		return;
	}
	end = strchr(name, ':'); /* minimum and maximum engine levels follow */
	if (end != NULL)
		*end = '\0';
	f.id = name;
	wr_import_hex(im, WR_ALGO_ANY, s, digits, &f);
}

/* --- Suricata datarep ------------------------------------------------------------------------- */

static void datarep_line(struct wr_import *im, char *s, size_t n)
{
	struct wr_found f = WR_FOUND_NONE;
	size_t digits = hex_run(s, n);
	uint64_t value;

	if (s[digits] != ',' || !wr_text_u64(s + digits + 1, &value) || value > 65535) {
		wr_import_bad(im, "not digest,reputation", s, n);
		return;
	}
	wr_import_hex(im, WR_ALGO_ANY, s, digits, &f);
}

/* --- "pdq <hex>", .te ---------------------------------------------------------------------------
 */

static void pdq_line(struct wr_import *im, char *s, size_t n)
{
	struct wr_found f = WR_FOUND_NONE;
	char *space = strpbrk(s, " \t");
	char *hex;

	if (space == NULL) {
		plain_line(im, s, n);
		return;
	}
	*space = '\0';
	hex = space + 1 + strspn(space + 1, " \t");
	if (hex_run(s, (size_t)(space - s)) == (size_t)(space - s)) {
		*space = ' ';
		plain_line(im, s, n);
		return;
	}
	wr_import_hex(im, wr_import_algo(s), hex, hex_run(hex, strlen(hex)), &f);
}

static void te_line(struct wr_import *im, char *s, size_t n)
{
	struct text_state *t = im->state;
	struct wr_found f = WR_FOUND_NONE;
	char *comma = memchr(s, ',', n), *end;

	if (comma == NULL) {
		wr_import_bad(im, "not hash,id,time,tags", s, n);
		return;
	}
	end = strchr(comma + 1, ',');
	if (end != NULL)
		*end = '\0';
	f.id = comma + 1;
	wr_import_hex(im, t->te_algo, s, (size_t)(comma - s), &f);
}

static int te_start(struct wr_import *im)
{
	struct text_state *t = im->state;
	char name[256];
	char *type, *dot;

	snprintf(name, sizeof(name), "%s", im->job.list->path);
	type = strstr(name, "HASH_");
	dot = type == NULL ? NULL : strchr(type, '.');
	if (dot != NULL)
		*dot = '\0';
	if (type == NULL)
		return wr_import_fatal(
		        im, 0, "a .te file says in its name what it holds, as simple.HASH_PDQ.te");
	t->te_algo = wr_import_algo(type);
	return 0;
}

/* --- CSV ----------------------------------------------------------------------------- */

/*
 * Splits a line in place. A quote ends a cell only before a delimiter or the end: NSRL names hold
 * bare quotes. False when a quoted cell does not end.
 */
static bool split(char *s, char delimiter, char **cell, uint32_t *n)
{
	*n = 0;
	for (;;) {
		char *w = s, *out = s;
		bool quoted = *s == '"', more;

		if (quoted)
			s++;
		while (quoted ? *s != '\0' : *s != '\0' && *s != delimiter) {
			if (quoted && *s == '"' && (s[1] == delimiter || s[1] == '\0'))
				break;
			if (quoted && *s == '"' && s[1] == '"')
				s++;
			*w++ = *s++;
		}
		if (quoted && *s != '"')
			return false;
		if (quoted)
			s++;
		more = *s == delimiter;
		*w = '\0';
		if (*n < CELLS_MAX)
			cell[(*n)++] = out;
		if (!more)
			return true;
		s++;
	}
}

static uint8_t column_of(const char *name)
{
	static const struct {
		const char *name;
		uint8_t column;
	} known[] = {
		{ "md5", COL_MD5 },
		{ "hashmd5", COL_MD5 },
		{ "md5hash", COL_MD5 },
		{ "filemd5", COL_MD5 },
		{ "md5sum", COL_MD5 },
		{ "sha1", COL_SHA1 },
		{ "hashsha1", COL_SHA1 },
		{ "sha1hash", COL_SHA1 },
		{ "filesha1", COL_SHA1 },
		{ "sha256", COL_SHA256 },
		{ "hashsha256", COL_SHA256 },
		{ "sha256hash", COL_SHA256 },
		{ "filesha256", COL_SHA256 },
		{ "pdq", COL_PDQ },
		{ "hashpdq", COL_PDQ },
		{ "pdqhash", COL_PDQ },
		{ "imagepdq", COL_PDQ },
		{ "hash", COL_ANY },
		{ "digest", COL_ANY },
		{ "hashvalue", COL_ANY },
		{ "hashdigest", COL_ANY },
		{ "indicator", COL_ANY },
		{ "value", COL_ANY },
		{ "type", COL_TYPE },
		{ "algorithm", COL_TYPE },
		{ "algo", COL_TYPE },
		{ "hashtype", COL_TYPE },
		{ "signaltype", COL_TYPE },
		{ "id", COL_ID },
		{ "uuid", COL_ID },
		{ "imageid", COL_ID },
		{ "mediaid", COL_ID },
		{ "entryid", COL_ID },
		{ "filename", COL_ID },
		{ "quality", COL_QUALITY },
		{ "pdqquality", COL_QUALITY },
		{ "filesize", COL_SIZE },
		{ "size", COL_SIZE },
		{ "mediasize", COL_SIZE },
		{ "category", COL_CATEGORY },
		{ "classification", COL_CATEGORY },
		{ "baseline", COL_CATEGORY },
		{ "toids", COL_TO_IDS },
		{ "deleted", COL_DELETED },
		{ "shoulddelete", COL_DELETED },
		{ "withdrawn", COL_DELETED },
		{ "sha512", COL_UNSUPPORTED },
		{ "photodna", COL_UNSUPPORTED },
		{ "hashpdna", COL_UNSUPPORTED },
		{ "pdna", COL_UNSUPPORTED },
	};
	char folded[32];

	wr_import_fold(name, folded, sizeof(folded));
	for (size_t i = 0; i < WR_COUNT_OF(known); i++)
		if (strcmp(known[i].name, folded) == 0)
			return known[i].column;
	return COL_IGNORE;
}

static uint32_t count(const struct text_state *t, uint8_t column)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->ncolumns; i++)
		n += t->column[i] == column;
	return n;
}

/* Which columns a header names; false when none of them is a digest: then it is no header. */
static bool header(struct text_state *t, char *s)
{
	char *cell[CELLS_MAX];
	size_t comma = 0, semicolon = 0, tab = 0;

	for (const char *p = s; *p != '\0'; p++) {
		comma += *p == ',';
		semicolon += *p == ';';
		tab += *p == '\t';
	}
	t->delimiter = tab > comma && tab > semicolon ? '\t' : semicolon > comma ? ';' : ',';
	if (!split(s, t->delimiter, cell, &t->ncolumns))
		return false;
	for (uint32_t i = 0; i < t->ncolumns; i++)
		t->column[i] = column_of(cell[i]);
	t->misp = count(t, COL_ANY) == 1 && count(t, COL_TO_IDS) == 1 && count(t, COL_TYPE) == 1;
	/* MISP's `category` is "Payload delivery"; what people filter by is not in it. */
	for (uint32_t i = 0; t->misp && i < t->ncolumns; i++)
		if (t->column[i] == COL_CATEGORY)
			t->column[i] = COL_IGNORE;
	/* `hash` beside `quality` is a PDQ hash: nothing else has a quality. */
	for (uint32_t i = 0; count(t, COL_QUALITY) != 0 && i < t->ncolumns; i++)
		if (t->column[i] == COL_ANY && count(t, COL_TYPE) == 0)
			t->column[i] = COL_PDQ;
	return count(t, COL_MD5) + count(t, COL_SHA1) + count(t, COL_SHA256) + count(t, COL_PDQ) +
	               count(t, COL_ANY) !=
	       0;
}

struct row {
	struct wr_found found;
	const char *type, *category, *to_ids;
};

static void take_meta(struct row *r, uint8_t column, const char *cell)
{
	uint64_t v;

	switch ((enum column)column) {
	case COL_TYPE: r->type = cell; break;
	case COL_ID:
		if (r->found.id[0] == '\0') /* NSRL has a name and no id, ICSE the reverse */
			r->found.id = cell;
		break;
	case COL_QUALITY:
		if (wr_text_u64(cell, &v))
			r->found.quality = (uint32_t)(v > 100 ? 100 : v);
		break;
	case COL_SIZE:
		if (wr_text_u64(cell, &v))
			r->found.size = v;
		break;
	case COL_CATEGORY: r->category = cell; break;
	case COL_TO_IDS: r->to_ids = cell; break;
	case COL_DELETED:
		r->found.deleted = cell[0] != '\0' && strcmp(cell, "0") != 0 &&
		                   strcasecmp(cell, "false") != 0 && strcasecmp(cell, "no") != 0;
		break;
	default: break;
	}
}

/* MISP: `md5`, or composites like `filename|sha256`, whose value is "name|digest". */
static unsigned misp_algo(const char *type, const char **value)
{
	const char *bar = strchr(type, '|'), *in_value = strrchr(*value, '|');
	bool sample = strcmp(type, "malware-sample") == 0;

	if ((bar != NULL || sample) && in_value != NULL)
		*value = in_value + 1;
	return sample ? WR_ALGO_MD5 : wr_import_algo(bar == NULL ? type : bar + 1);
}

static uint32_t csv_cell(struct wr_import *im, const struct row *r, uint8_t column,
                         const char *value)
{
	struct text_state *t = im->state;
	unsigned algo = WR_ALGO_ANY;

	switch ((enum column)column) {
	case COL_MD5: algo = WR_ALGO_MD5; break;
	case COL_SHA1: algo = WR_ALGO_SHA1; break;
	case COL_SHA256: algo = WR_ALGO_SHA256; break;
	case COL_PDQ: algo = WR_ALGO_PDQ; break;
	case COL_ANY:
		if (t->misp)
			algo = misp_algo(r->type, &value);
		else if (r->type[0] != '\0')
			algo = wr_import_algo(r->type);
		else if (im->format == WR_LF_PDQ)
			algo = WR_ALGO_PDQ;
		break;
	default: return 0;
	}
	if (value[0] == '\0')
		return 0;
	wr_import_hex(im, algo, value, strlen(value), &r->found);
	return 1;
}

static void csv_line(struct wr_import *im, char *s, size_t n)
{
	struct text_state *t = im->state;
	struct row r = { .found = WR_FOUND_NONE, .type = "", .category = "", .to_ids = "1" };
	char *cell[CELLS_MAX];
	uint32_t cells, digests = 0;

	if (!t->have_header) {
		t->have_header = true;
		if (!header(t, s))
			(void)wr_import_fatal(
			        im, im->line,
			        "CSV needs a header line that names a column md5, sha1, "
			        "sha256, pdq or hash");
		return;
	}
	if (!split(s, t->delimiter, cell, &cells)) {
		wr_import_bad(im, "a quoted cell does not end", s, n);
		return;
	}
	for (uint32_t i = 0; i < cells && i < t->ncolumns; i++)
		take_meta(&r, t->column[i], cell[i]);
	if (!wr_import_wanted(im, r.category) || (t->misp && strcmp(r.to_ids, "1") != 0))
		return;
	for (uint32_t i = 0; i < cells && i < t->ncolumns; i++)
		digests += csv_cell(im, &r, t->column[i], cell[i]);
	/* A row of a known length without a digest names something else; a shorter one is broken.
	 */
	if (digests == 0 && cells > 1)
		im->job.stats->unsupported++;
	else if (digests == 0)
		wr_import_bad(im, "a row without a digest", s, n);
}

/* --- hashdeep ------------------------------------------------------------------------ */

static void hashdeep_header(struct wr_import *im, char *s)
{
	struct text_state *t = im->state;
	char *cell[CELLS_MAX];

	if (strncmp(s, "%%%% HASHDEEP-", 14) == 0)
		return;
	t->have_header = split(s + 5, ',', cell, &t->ncolumns);
	for (uint32_t i = 0; t->have_header && i < t->ncolumns; i++)
		t->column[i] = column_of(cell[i]);
}

static void hashdeep_line(struct wr_import *im, char *s, size_t n)
{
	struct text_state *t = im->state;
	struct row r = { .found = WR_FOUND_NONE, .type = "", .category = "" };
	char *rest = s, *field[CELLS_MAX];

	if (strncmp(s, "%%%% ", 5) == 0) {
		hashdeep_header(im, s);
		return;
	}
	if (!t->have_header || t->ncolumns == 0) {
		(void)wr_import_fatal(im, im->line, "the line that names the columns is missing");
		return;
	}
	/* The name is the last column and may hold commas. */
	for (uint32_t i = 0; i < t->ncolumns; i++) {
		char *comma = i + 1 < t->ncolumns ? strchr(rest, ',') : NULL;

		field[i] = rest;
		if (comma == NULL && i + 1 < t->ncolumns) {
			wr_import_bad(im, "fewer columns than the header names", s, n);
			return;
		}
		if (comma != NULL) {
			*comma = '\0';
			rest = comma + 1;
		}
		take_meta(&r, t->column[i], field[i]);
	}
	for (uint32_t i = 0; i < t->ncolumns; i++)
		(void)csv_cell(im, &r, t->column[i], field[i]);
}

/* --- lines --------------------------------------------------------------------------- */

static void line(struct wr_import *im)
{
	struct text_state *t = im->state;
	char *s = t->line;
	size_t n = t->len;

	im->line = ++t->number;
	im->record = t->number;
	im->job.stats->lines++;
	if (t->too_long) {
		wr_import_bad(im, "longer than 64 KiB", s, n);
		return;
	}
	if (t->number == 1 && n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) {
		s += 3;
		n -= 3;
	}
	while (n != 0 && (s[n - 1] == '\r' || s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	while (n != 0 && (*s == ' ' || *s == '\t')) {
		s++;
		n--;
	}
	s[n] = '\0';
	if (n == 0 || s[0] == '#')
		return;
	if (memchr(s, '\0', n) != NULL) {
		wr_import_bad(im, "a NUL byte", s, n);
		return;
	}
	t->each(im, s, n);
}

static int text_feed(struct wr_import *im, const uint8_t *p, size_t n)
{
	struct text_state *t = im->state;
	const uint8_t *end = p + n;

	while (p < end && im->rc == 0) {
		const uint8_t *nl = memchr(p, '\n', (size_t)(end - p));
		size_t take = (size_t)((nl == NULL ? end : nl) - p);
		size_t room = WR_LIST_LINE_MAX - t->len;

		if (take > room) {
			t->too_long = true;
			take = room;
		}
		memcpy(t->line + t->len, p, take);
		t->len += take;
		if (nl == NULL)
			break;
		line(im);
		t->len = 0;
		t->too_long = false;
		p = nl + 1;
	}
	return im->rc;
}

static int text_end(struct wr_import *im)
{
	struct text_state *t = im->state;

	if (t->len != 0)
		line(im);
	return im->rc;
}

static int text_start(struct wr_import *im)
{
	struct text_state *t = calloc(1, sizeof(*t));

	im->state = t;
	if (t == NULL)
		return -ENOMEM;
	t->line = malloc(WR_LIST_LINE_MAX + 1);
	if (t->line == NULL)
		return -ENOMEM;
	switch ((enum wr_list_format)im->format) {
	case WR_LF_BSD: t->each = bsd_line; break;
	case WR_LF_CSV:
	case WR_LF_ICSE:
	case WR_LF_MISP:
	case WR_LF_NSRL: t->each = csv_line; break;
	case WR_LF_HASHDEEP: t->each = hashdeep_line; break;
	case WR_LF_CLAMAV: t->each = clamav_line; break;
	case WR_LF_SURICATA_DATAREP: t->each = datarep_line; break;
	case WR_LF_PDQ: t->each = pdq_line; break;
	case WR_LF_TE: t->each = te_line; return te_start(im);
	default: t->each = plain_line; break;
	}
	return 0;
}

static void text_free(struct wr_import *im)
{
	struct text_state *t = im->state;

	if (t != NULL)
		free(t->line);
	free(t);
	im->state = NULL;
}

const struct wr_import_format wr_import_text = { text_start, text_feed, text_end, text_free };
