/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which format a list file has, from its name and its first bytes. What is ambiguous stays unknown:
 * a list read as the wrong thing matches nothing and nobody notices.
 */
#include <string.h>

#include "bundle/import.h"
#include "bundle/text.h"

#define LINES_MAX 64

static bool ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), t = strlen(tail);

	return n >= t && strcasecmp(s + n - t, tail) == 0;
}

static bool has(const uint8_t *p, size_t n, const char *word)
{
	return memmem(p, n, word, strlen(word)) != NULL;
}

static enum wr_list_format sniff_json(const uint8_t *p, size_t n)
{
	if (has(p, n, "ProjectVic/DataModels/") || has(p, n, "odata.metadata") ||
	    has(p, n, "odata.context"))
		return WR_LF_VICS;
	if (has(p, n, "\"hashRecords\""))
		return WR_LF_STOPNCII;
	if (has(p, n, "\"hash_digest\""))
		return WR_LF_TAT;
	if (has(p, n, "\"indicator\"") && has(p, n, "\"HASH_"))
		return WR_LF_THREATEXCHANGE;
	if (has(p, n, "\"bundle\"") && has(p, n, "\"objects\""))
		return WR_LF_STIX;
	return WR_LF_AUTO;
}

static enum wr_list_format sniff_header(const char *folded)
{
	if (strncmp(folded, "sha1md5crc32", 12) == 0)
		return WR_LF_NSRL;
	if (strncmp(folded, "uuideventidcategorytypevalue", 28) == 0)
		return WR_LF_MISP;
	if (strncmp(folded, "md5sha1photodna", 15) == 0)
		return WR_LF_ICSE;
	return WR_LF_CSV;
}

static bool digest_digits(size_t n)
{
	return n == 32 || n == 40 || n == 56 || n == 64 || n == 96 || n == 128;
}

/* What one line that is neither empty nor a comment looks like. */
static enum wr_list_format sniff_line(const char *path, const char *s)
{
	char folded[512];
	size_t skip = s[0] == '\\', digits = 0;
	const char *space = strpbrk(s, " \t"), *rest;

	while (wr_text_hexdigit(s[skip + digits]) >= 0)
		digits++;
	rest = s + skip + digits;
	if (strncmp(s, "%%%% HASHDEEP-", 14) == 0)
		return WR_LF_HASHDEEP;
	if (digest_digits(digits)) {
		if (*rest == ':')
			return strchr(rest + 1, ':') != NULL ? WR_LF_CLAMAV : WR_LF_AUTO;
		if (*rest == ',')
			return ends_with(path, ".te") ? WR_LF_TE
			       : rest[1 + strspn(rest + 1, "0123456789")] == '\0'
			               ? WR_LF_SURICATA_DATAREP
			               : WR_LF_AUTO;
		return *rest == '\0' || *rest == ' ' || *rest == '\t' ? WR_LF_PLAIN : WR_LF_AUTO;
	}
	if (strstr(s, ") = ") != NULL && strstr(s, " (") != NULL)
		return WR_LF_BSD;
	wr_import_fold(s, folded, sizeof(folded));
	if (space != NULL && strpbrk(s, ",;") == NULL) {
		size_t n = 0;
		const char *hex = space + strspn(space, " \t");

		while (wr_text_hexdigit(hex[n]) >= 0)
			n++;
		if (digest_digits(n) && hex[n] == '\0')
			return WR_LF_PDQ; /* "pdq <hex>", "video_md5 <hex>" */
	}
	if (strpbrk(s, ",;\t") != NULL &&
	    (strstr(folded, "md5") != NULL || strstr(folded, "sha1") != NULL ||
	     strstr(folded, "sha256") != NULL || strstr(folded, "pdq") != NULL ||
	     strstr(folded, "hash") != NULL || strstr(folded, "digest") != NULL ||
	     strstr(folded, "typevalue") != NULL))
		return sniff_header(folded);
	return WR_LF_AUTO;
}

enum wr_list_format wr_import_sniff(const char *path, const uint8_t *p, size_t n)
{
	const uint8_t *end;
	enum wr_list_format first = WR_LF_AUTO;
	int looked = 0;

	if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		p += 3;
		n -= 3;
	}
	end = p + n;
	while (p < end && strchr(" \t\r\n", *p) != NULL && *p != '\0')
		p++;
	if (p < end && (*p == '{' || *p == '['))
		return sniff_json(p, (size_t)(end - p));
	if (p < end && *p == '<')
		return has(p, (size_t)(end - p), "hashsharing") ||
		                       has(p, (size_t)(end - p), "<queryResult")
		               ? WR_LF_NCMEC
		               : WR_LF_AUTO;
	/* The first line may be a bad one: look until a line says something. */
	while (p < end && first == WR_LF_AUTO && looked < LINES_MAX) {
		const uint8_t *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl == NULL ? end : nl) - p);
		char text[1024];

		while (len != 0 && strchr(" \t\r", p[len - 1]) != NULL && p[len - 1] != '\0')
			len--;
		while (len != 0 && (*p == ' ' || *p == '\t')) {
			p++;
			len--;
		}
		len = len < sizeof(text) ? len : sizeof(text) - 1;
		memcpy(text, p, len);
		text[len] = '\0';
		if (len != 0 && text[0] != '#') {
			first = sniff_line(path, text);
			looked++;
		}
		p = nl == NULL ? end : nl + 1;
	}
	/* Nothing but comments and empty lines: a list without entries. */
	return looked == 0 && n < WR_IMPORT_SNIFF_BYTES ? WR_LF_PLAIN : first;
}
