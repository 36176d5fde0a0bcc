/* SPDX-License-Identifier: BSD-3-Clause */
#include "bundle/import.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/private.h"
#include "bundle/text.h"

#define READ_BYTES 262144u
#define BAD_LINES_RUN                                                                              \
	100u /* bad lines beyond the limit that are still looked for, then it ends                 \
	      */

static const uint8_t digest_bytes[WR_ALGO_COUNT] = { 16, 20, 32, 32 };

/* Digests of zero bytes: every empty upload would match, so they are never believed. */
static const char *const empty_file[WR_ALGO_COUNT] = {
	"d41d8cd98f00b204e9800998ecf8427e",
	"da39a3ee5e6b4b0d3255bfef95601890afd80709",
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	NULL,
};

void wr_import_fold(const char *s, char *out, size_t size)
{
	size_t k = 0;

	for (; *s != '\0' && k + 1 < size; s++) {
		if ((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9'))
			out[k++] = *s;
		else if (*s >= 'A' && *s <= 'Z')
			out[k++] = (char)(*s + 32);
	}
	out[k] = '\0';
}

unsigned wr_import_algo(const char *name)
{
	static const struct {
		const char *name;
		unsigned algo;
	} known[] = {
		{ "md5", WR_ALGO_MD5 },
		{ "sha1", WR_ALGO_SHA1 },
		{ "sha256", WR_ALGO_SHA256 },
		{ "pdq", WR_ALGO_PDQ },
		{ "videomd5", WR_ALGO_MD5 },
		{ "videosha1", WR_ALGO_SHA1 },
		{ "videosha256", WR_ALGO_SHA256 },
		{ "imagepdq", WR_ALGO_PDQ },
	};
	char folded[32];
	const char *s = folded;

	wr_import_fold(name, folded, sizeof(folded));
	if (strncmp(s, "hash", 4) == 0)
		s += 4;
	for (size_t i = 0; i < WR_COUNT_OF(known); i++)
		if (strcmp(known[i].name, s) == 0)
			return known[i].algo;
	return WR_ALGO_UNSUPPORTED;
}

bool wr_import_wanted(const struct wr_import *im, const char *category)
{
	const struct wr_bundle_list *l = im->job.list;

	for (uint32_t i = 0; i < l->ncategories; i++)
		if (strcmp(l->categories[i], category) == 0)
			return true;
	return l->ncategories == 0;
}

int wr_import_fatal(struct wr_import *im, uint64_t line, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	wr_bundle_error_add(im->job.errors, im->job.list->path,
	                    (uint32_t)wr_min_u64(line, UINT32_MAX), "%s", text);
	if (im->rc == 0)
		im->rc = -EBADMSG;
	return im->rc;
}

void wr_import_bad(struct wr_import *im, const char *why, const char *text, size_t n)
{
	const struct wr_bundle_list *l = im->job.list;
	uint32_t line = (uint32_t)wr_min_u64(im->line, UINT32_MAX);
	char shown[WR_ESCAPE_MAX];

	/* A second mistake in the same record adds nothing. */
	if (im->reported == im->record)
		return;
	im->reported = im->record;
	wr_text_escape(shown, sizeof(shown), text, n);
	if (++im->job.stats->bad_lines <= l->max_bad_lines)
		wr_bundle_warning_add(im->job.errors, l->path, line, "%s: %s", why, shown);
	else
		wr_bundle_error_add(im->job.errors, l->path, line, "%s: %s", why, shown);
	if (im->job.stats->bad_lines - l->max_bad_lines > BAD_LINES_RUN &&
	    im->job.stats->bad_lines > l->max_bad_lines)
		(void)wr_import_fatal(im, 0, "gave up: this does not look like format %s",
		                      wr_list_format_name((enum wr_list_format)im->format));
}

static unsigned algo_of_digits(size_t n)
{
	switch (n) {
	case 32: return WR_ALGO_MD5;
	case 40: return WR_ALGO_SHA1;
	case 64: return WR_ALGO_SHA256;
	case 56:
	case 96:
	case 128: return WR_ALGO_UNSUPPORTED; /* SHA-224, SHA-384, SHA-512 */
	default: return WR_ALGO_ANY;
	}
}

static bool all_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (wr_text_hexdigit(s[i]) < 0)
			return false;
	return n != 0;
}

/* Counts and drops what must never match; true = the entry stays. */
static bool believable(struct wr_import *im, const struct wr_list_entry *e, const char *hex)
{
	static const uint8_t zero[32];
	const struct wr_bundle_list *l = im->job.list;

	if (e->algo != WR_ALGO_PDQ) {
		if (strncasecmp(hex, empty_file[e->algo], 2u * e->len) != 0)
			return true;
		im->job.stats->empty_file++;
		return false;
	}
	if (memcmp(e->digest, zero, sizeof(zero)) == 0) {
		im->job.stats->zero_pdq++;
		return false;
	}
	if (e->quality < l->min_quality) {
		im->job.stats->low_quality++;
		return false;
	}
	return true;
}

void wr_import_hex(struct wr_import *im, unsigned algo, const char *hex, size_t n,
                   const struct wr_found *f)
{
	struct wr_list_entry e = { 0 };
	int rc;

	if (algo == WR_ALGO_ANY)
		algo = all_hex(hex, n) ? algo_of_digits(n) : WR_ALGO_ANY;
	if (algo == WR_ALGO_UNSUPPORTED) {
		im->job.stats->unsupported++;
		return;
	}
	if (algo == WR_ALGO_ANY || n != 2u * digest_bytes[algo] ||
	    !wr_text_hex(hex, e.digest, digest_bytes[algo])) {
		wr_import_bad(im, "not a digest", hex, n);
		return;
	}
	e.algo = (uint8_t)algo;
	e.len = digest_bytes[algo];
	e.deleted = f->deleted;
	e.quality = (uint8_t)(f->quality > 100 ? 100 : f->quality);
	e.size = f->size;
	e.line = im->line;
	e.id = f->id;
	if (!believable(im, &e, hex))
		return;
	if (f->deleted)
		im->job.stats->deleted++;
	else
		im->job.stats->entries[algo]++;
	rc = im->job.entry(im->job.ctx, &e);
	if (rc != 0 && im->rc == 0)
		im->rc = rc;
}

int wr_import_new(const struct wr_import_job *job, struct wr_import **out)
{
	struct wr_import *im = calloc(1, sizeof(*im));

	*out = im;
	if (im == NULL)
		return -ENOMEM;
	im->job = *job;
	im->format = job->list->format;
	im->reported = UINT64_MAX;
	*job->stats = (struct wr_list_stats){ 0 };
	im->sniff = malloc(WR_IMPORT_SNIFF_BYTES);
	if (im->sniff == NULL) {
		free(im);
		*out = NULL;
		return -ENOMEM;
	}
	return 0;
}

static const struct wr_import_format *family(enum wr_list_format f)
{
	switch (f) {
	case WR_LF_VICS:
	case WR_LF_STIX:
	case WR_LF_THREATEXCHANGE:
	case WR_LF_STOPNCII:
	case WR_LF_TAT: return &wr_import_json;
	case WR_LF_NCMEC: return &wr_import_xml;
	default: return &wr_import_text;
	}
}

/* The format is decided by the first 64 KiB or the whole file, never by how much the first read
 * gave. */
static int decide(struct wr_import *im)
{
	const uint8_t *p = im->sniff;
	size_t n = im->nsniff;
	int rc;

	if (n >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff)))
		return wr_import_fatal(im, 1, "the file is UTF-16: convert it to UTF-8");
	if (im->format == WR_LF_AUTO)
		im->format = (uint8_t)wr_import_sniff(im->job.list->path, p, n);
	if (im->format == WR_LF_AUTO) {
		char shown[WR_ESCAPE_MAX];
		const uint8_t *nl = n == 0 ? NULL : memchr(p, '\n', n);

		/* A list without entries is a valid list. */
		if (n == 0)
			im->format = WR_LF_PLAIN;
		else
			return wr_import_fatal(im, 1,
			                       "no list format is recognised (state `format`): %s",
			                       wr_text_escape(shown, sizeof(shown), (const char *)p,
			                                      nl == NULL ? n : (size_t)(nl - p)));
	}
	im->ops = family((enum wr_list_format)im->format);
	im->job.stats->format = im->format;
	rc = im->ops->start(im);
	if (rc == 0)
		rc = im->ops->feed(im, im->sniff, im->nsniff);
	im->started = 1;
	return rc;
}

int wr_import_feed(struct wr_import *im, const uint8_t *p, size_t n)
{
	int rc = 0;

	if (im->rc != 0)
		return im->rc;
	if (!im->started) {
		size_t take = WR_IMPORT_SNIFF_BYTES - im->nsniff;

		take = take < n ? take : n;
		if (take != 0)
			memcpy(im->sniff + im->nsniff, p, take);
		im->nsniff += take;
		p += take;
		n -= take;
		if (im->nsniff == WR_IMPORT_SNIFF_BYTES)
			rc = decide(im);
	}
	if (rc == 0 && im->started && n != 0)
		rc = im->ops->feed(im, p, n);
	if (im->rc == 0)
		im->rc = rc;
	return im->rc;
}

int wr_import_end(struct wr_import *im)
{
	int rc = im->rc;

	if (rc == 0 && !im->started)
		rc = decide(im);
	if (rc == 0)
		rc = im->rc;
	if (rc == 0)
		rc = im->ops->end(im);
	if (rc >= 0 && im->rc != 0)
		rc = im->rc;
	if (rc < 0) {
		im->rc = rc;
		return rc;
	}
	if (rc == 1) { /* once more: the sniffed bytes come again */
		im->started = 0;
		im->nsniff = 0;
		im->pass++;
		return 1;
	}
	if (im->job.stats->bad_lines > im->job.list->max_bad_lines)
		return wr_import_fatal(im, 0, "%llu unreadable lines, and max_bad_lines is %llu",
		                       (unsigned long long)im->job.stats->bad_lines,
		                       (unsigned long long)im->job.list->max_bad_lines);
	return 0;
}

void wr_import_free(struct wr_import *im)
{
	if (im == NULL)
		return;
	if (im->ops != NULL)
		im->ops->free(im);
	free(im->sniff);
	free(im);
}

static int read_once(int fd, struct wr_import *im, uint8_t *buf)
{
	for (;;) {
		ssize_t n = read(fd, buf, READ_BYTES);
		int rc;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return wr_import_fatal(im, 0, "cannot be read: %s", strerror(errno));
		if (n == 0)
			return wr_import_end(im);
		rc = wr_import_feed(im, buf, (size_t)n);
		if (rc != 0)
			return rc;
	}
}

/* Six parameters, one too many: what a list means and where its entries go are asked for together.
 */
int wr_list_read(const struct wr_bundle *b, const struct wr_bundle_list *l,
                 int (*entry)(void *ctx, const struct wr_list_entry *e), void *ctx,
                 struct wr_list_stats *st, struct wr_bundle_errors *e)
{
	struct wr_import_job job = {
		.list = l, .now = b->created, .entry = entry, .ctx = ctx, .stats = st, .errors = e
	};
	struct wr_import *im = NULL;
	uint8_t *buf = malloc(READ_BYTES);
	int rc = buf == NULL ? -ENOMEM : wr_import_new(&job, &im);
	int fd = -1;

	if (rc != 0)
		goto out;
	fd = wr_bundle_open(b->dirfd, l->path);
	if (fd < 0) {
		rc = fd;
		wr_bundle_error_add(e, l->path, 0, "cannot be opened: %s", strerror(-rc));
		goto out;
	}
	while ((rc = read_once(fd, im, buf)) == 1)
		if (lseek(fd, 0, SEEK_SET) != 0) {
			rc = wr_import_fatal(im, 0, "cannot be read twice");
			break;
		}
out:
	if (fd >= 0)
		close(fd);
	wr_import_free(im);
	free(buf);
	return rc;
}
