/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "resume/resume.h"

/*
 * <CompleteMultipartUpload xmlns="..."><Part><PartNumber>1</PartNumber><ETag>"..."</ETag></Part>...
 *
 * Not an XML parser: it knows this document and refuses whatever else two XML parsers might make
 * something of.
 */
enum state {
	L_TEXT,  /* between tags, or in a leaf */
	L_OPEN,  /* behind '<' */
	L_NAME,  /* of an opening tag */
	L_ATTR,  /* behind the name, up to '>' */
	L_CLOSE, /* behind '</' */
	L_CLOSE_WS,
	L_DECL,   /* <?xml ... ?> */
	L_DECL_Q, /* behind a '?' in it */
	L_ENTITY,
	L_BAD,
};

enum leaf { LEAF_NONE, LEAF_NUMBER, LEAF_ETAG, LEAF_OTHER };

#define DEPTH_DONE 9u

static bool space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool name_char(uint8_t c)
{
	uint8_t x = c | 0x20;

	return (x >= 'a' && x <= 'z') || (c >= '0' && c <= '9');
}

static bool named(const struct wr_plist *l, const char *w)
{
	return l->nname == strlen(w) && memcmp(l->name, w, l->nname) == 0;
}

static bool opened(struct wr_plist *l)
{
	switch (l->depth) {
	case 0: l->depth = 1; return named(l, "CompleteMultipartUpload");
	case 1:
		l->depth = 2;
		l->has_number = l->has_etag = 0;
		return named(l, "Part");
	case 2:
		l->depth = 3;
		l->leaf = named(l, "PartNumber") ? LEAF_NUMBER
		          : named(l, "ETag")     ? LEAF_ETAG
		                                 : LEAF_OTHER;
		if (l->leaf == LEAF_NUMBER) {
			l->nnumber = 0;
			return !l->has_number;
		}
		if (l->leaf == LEAF_ETAG) {
			l->ntext = 0;
			return !l->has_etag;
		}
		return l->nname > 8 && memcmp(l->name, "Checksum", 8) == 0;
	default: return false;
	}
}

/* The closing tag of what is open at this depth. */
static bool close_fits(const struct wr_plist *l)
{
	switch (l->depth) {
	case 1: return named(l, "CompleteMultipartUpload");
	case 2: return named(l, "Part");
	case 3:
		return l->leaf == LEAF_NUMBER ? named(l, "PartNumber")
		       : l->leaf == LEAF_ETAG ? named(l, "ETag")
		                              : l->nname > 8 && memcmp(l->name, "Checksum", 8) == 0;
	default: return false;
	}
}

static bool number_done(struct wr_plist *l)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->nnumber; i++)
		n = n * 10 + (uint32_t)(l->number_text[i] - '0');
	l->number = n;
	l->has_number = 1;
	return l->nnumber != 0 && n != 0 && n <= WR_RESUME_PARTS_MAX;
}

static bool closed(struct wr_plist *l)
{
	if (!close_fits(l))
		return false;
	switch (l->depth--) {
	case 1: l->depth = DEPTH_DONE; return true;
	case 2:
		/* S3 refuses a list that does not rise; a store that sorts it reads another. */
		if (!l->has_number || !l->has_etag || l->number <= l->last)
			return false;
		l->last = l->number;
		l->nparts++;
		l->was_part = 1;
		return true;
	default: break;
	}
	if (l->leaf == LEAF_NUMBER)
		return number_done(l);
	if (l->leaf == LEAF_ETAG)
		l->has_etag = 1;
	l->leaf = LEAF_NONE;
	return true;
}

/* A character of a leaf. */
static bool text(struct wr_plist *l, uint8_t c)
{
	switch (l->depth == 3 ? l->leaf : LEAF_NONE) {
	case LEAF_NUMBER:
		if (space(c))
			return true;
		if (c < '0' || c > '9' || l->nnumber == 5)
			return false;
		l->number_text[l->nnumber++] = (char)c;
		return true;
	case LEAF_ETAG:
		if (space(c) || c == '"')
			return true;
		if (c < 0x20 || l->ntext == sizeof(l->text))
			return false;
		l->text[l->ntext++] = (char)c;
		return true;
	case LEAF_OTHER: return true;
	default: return space(c);
	}
}

static bool entity(struct wr_plist *l, uint8_t c)
{
	static const struct {
		char name[6];
		uint8_t is;
	} known[] = { { "quot", '"' }, { "#34", '"' }, { "#x22", '"' },
		      { "amp", '&' },  { "#38", '&' }, { "apos", '\'' } };

	if (c != ';') {
		if (l->nent == sizeof(l->ent))
			return false;
		l->ent[l->nent++] = (char)c;
		return true;
	}
	l->state = L_TEXT;
	for (uint32_t i = 0; i < WR_COUNT_OF(known); i++)
		if (strlen(known[i].name) == l->nent && memcmp(known[i].name, l->ent, l->nent) == 0)
			return text(l, known[i].is);
	return false;
}

static bool open_byte(struct wr_plist *l, uint8_t c)
{
	l->nname = 0;
	if (c == '/') {
		l->state = L_CLOSE;
		return true;
	}
	if (c == '?') {
		l->state = L_DECL;
		return l->depth == 0 && l->bytes == 2;
	}
	if (!name_char(c) || l->depth >= 3)
		return false;
	l->state = L_NAME;
	l->name[l->nname++] = (char)c;
	return true;
}

static bool name_byte(struct wr_plist *l, uint8_t c)
{
	if (name_char(c)) {
		if (l->nname == sizeof(l->name))
			return false;
		l->name[l->nname++] = (char)c;
		return true;
	}
	return false;
}

static bool tag_byte(struct wr_plist *l, uint8_t c)
{
	switch (l->state) {
	case L_NAME:
		if (c == '>') {
			l->state = L_TEXT;
			return opened(l);
		}
		if (space(c)) {
			/* Attributes: the namespace of the root, nothing elsewhere. */
			l->state = L_ATTR;
			l->quote = 0;
			return l->depth == 0;
		}
		return name_byte(l, c);
	case L_ATTR:
		if (l->quote != 0) {
			if (c == l->quote)
				l->quote = 0;
			return c != '<';
		}
		if (c == '"' || c == '\'')
			l->quote = c;
		if (c == '>') {
			l->state = L_TEXT;
			return opened(l);
		}
		return c != '<' && c != '/';
	default: /* L_CLOSE, L_CLOSE_WS */
		if (c == '>') {
			l->state = L_TEXT;
			return closed(l);
		}
		if (space(c) && l->nname != 0) {
			l->state = L_CLOSE_WS;
			return true;
		}
		return l->state == L_CLOSE && name_char(c) && name_byte(l, c);
	}
}

static bool byte(struct wr_plist *l, uint8_t c)
{
	l->bytes++;
	switch (l->state) {
	case L_TEXT:
		if (c == '<') {
			l->state = L_OPEN;
			return true;
		}
		if (c == '&') {
			l->state = L_ENTITY;
			l->nent = 0;
			return l->depth == 3;
		}
		return text(l, c);
	case L_OPEN: return open_byte(l, c);
	case L_DECL:
		if (c == '?')
			l->state = L_DECL_Q;
		return c != '<' && c != '>' && l->bytes < 128;
	case L_DECL_Q: l->state = L_TEXT; return c == '>';
	case L_ENTITY: return entity(l, c);
	case L_BAD: return false;
	default: return tag_byte(l, c);
	}
}

enum wr_plist_ev wr_plist_next(struct wr_plist *l, const uint8_t **p, const uint8_t *end)
{
	l->was_part = 0;
	while (*p < end) {
		if (l->bytes >= WR_RESUME_LIST_MAX || l->state == L_BAD || !byte(l, *(*p)++)) {
			l->state = L_BAD;
			return WR_PLIST_BAD;
		}
		if (l->was_part)
			return WR_PLIST_PART;
	}
	return WR_PLIST_MORE;
}

bool wr_plist_done(const struct wr_plist *l)
{
	return l->state == L_TEXT && l->depth == DEPTH_DONE && l->nparts != 0;
}
