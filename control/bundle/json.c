/* SPDX-License-Identifier: BSD-3-Clause */
#include "bundle/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/text.h"

enum state {
	WANT_VALUE,
	WANT_VALUE_OR_END,
	WANT_KEY,
	WANT_KEY_OR_END,
	WANT_COLON,
	WANT_COMMA,
	IN_STRING,
	IN_ESCAPE,
	IN_UNICODE,
	IN_NUMBER,
	IN_WORD,
	FINISHED,
	BROKEN
};

static const char *const words[] = { "true", "false", "null" };

void wr_json_init(struct wr_json *j, int (*event)(void *, enum wr_json_event, const char *, size_t),
                  void *ctx)
{
	*j = (struct wr_json){ .event = event, .ctx = ctx, .line = 1, .state = WANT_VALUE };
}

void wr_json_free(struct wr_json *j)
{
	free(j->buf);
	j->buf = NULL;
}

static int broken(struct wr_json *j, const char *why)
{
	j->state = BROKEN;
	if (j->why == NULL)
		j->why = why;
	return -EBADMSG;
}

static int append(struct wr_json *j, const char *s, size_t n)
{
	if (n > WR_JSON_STRING_MAX - j->len) {
		n = WR_JSON_STRING_MAX - j->len;
		j->cut = 1;
	}
	if (j->len + n + 1 > j->room) {
		size_t room = j->room == 0 ? 256 : j->room;
		char *p;

		while (room < j->len + n + 1)
			room *= 2;
		p = realloc(j->buf, room);
		if (p == NULL)
			return -ENOMEM;
		j->buf = p;
		j->room = room;
	}
	memcpy(j->buf + j->len, s, n);
	j->len += n;
	j->buf[j->len] = '\0';
	return 0;
}

/* Behind a value: what may follow depends on where the value stands. */
static void after_value(struct wr_json *j)
{
	j->state = j->depth == 0 ? FINISHED : WANT_COMMA;
}

static int give(struct wr_json *j, enum wr_json_event ev)
{
	int rc = append(j, "", 0); /* so that buf is never NULL */

	if (rc == 0)
		rc = j->event(j->ctx, ev, j->buf, j->len);
	j->len = 0;
	j->cut = 0;
	return rc;
}

static int open_level(struct wr_json *j, bool array)
{
	if (j->depth == WR_JSON_DEPTH)
		return broken(j, "nested deeper than 64 levels");
	j->array[j->depth++] = array;
	j->state = array ? WANT_VALUE_OR_END : WANT_KEY_OR_END;
	return give(j, array ? WR_JSON_ARRAY : WR_JSON_OBJECT);
}

static int close_level(struct wr_json *j, bool array)
{
	if (j->depth == 0 || j->array[j->depth - 1] != array)
		return broken(j, "a bracket that closes nothing");
	j->depth--;
	after_value(j);
	return give(j, array ? WR_JSON_ARRAY_END : WR_JSON_OBJECT_END);
}

static int start_value(struct wr_json *j, char c)
{
	j->len = 0;
	switch (c) {
	case '{': return open_level(j, false);
	case '[': return open_level(j, true);
	case '"':
		j->state = IN_STRING;
		j->key = 0;
		return 0;
	case 't':
	case 'f':
	case 'n':
		j->word = c == 't' ? 0 : c == 'f' ? 1 : 2;
		j->digits = 1;
		j->state = IN_WORD;
		return 0;
	default:
		if (c != '-' && (c < '0' || c > '9'))
			return broken(j, "a value was expected");
		j->state = IN_NUMBER;
		return append(j, &c, 1);
	}
}

/* One character outside of strings, numbers and words. */
static int structure(struct wr_json *j, char c)
{
	if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
		return 0;
	switch ((enum state)j->state) {
	case WANT_VALUE_OR_END:
		if (c == ']')
			return close_level(j, true);
		__attribute__((fallthrough));
	case WANT_VALUE: return start_value(j, c);
	case WANT_KEY_OR_END:
		if (c == '}')
			return close_level(j, false);
		__attribute__((fallthrough));
	case WANT_KEY:
		if (c != '"')
			return broken(j, "a key in quotes was expected");
		j->state = IN_STRING;
		j->key = 1;
		j->len = 0;
		return 0;
	case WANT_COLON:
		if (c != ':')
			return broken(j, "`:` was expected");
		j->state = WANT_VALUE;
		return 0;
	case WANT_COMMA:
		if (c == ']' || c == '}')
			return close_level(j, c == ']');
		if (c != ',')
			return broken(j, "`,` was expected");
		j->state = j->array[j->depth - 1] ? WANT_VALUE : WANT_KEY;
		return 0;
	case FINISHED: return broken(j, "text behind the end of the document");
	case BROKEN: return -EBADMSG;
	case IN_STRING:
	case IN_ESCAPE:
	case IN_UNICODE:
	case IN_NUMBER:
	case IN_WORD: break;
	}
	WR_ASSERT(false && "structure() only sees its own states");
}

static int put_utf8(struct wr_json *j, uint32_t c)
{
	char u[4];
	size_t n = 0;

	if (c < 0x80) {
		u[n++] = (char)c;
	} else if (c < 0x800) {
		u[n++] = (char)(0xc0 | c >> 6);
		u[n++] = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		u[n++] = (char)(0xe0 | c >> 12);
		u[n++] = (char)(0x80 | (c >> 6 & 63));
		u[n++] = (char)(0x80 | (c & 63));
	} else {
		u[n++] = (char)(0xf0 | c >> 18);
		u[n++] = (char)(0x80 | (c >> 12 & 63));
		u[n++] = (char)(0x80 | (c >> 6 & 63));
		u[n++] = (char)(0x80 | (c & 63));
	}
	return append(j, u, n);
}

static int unicode(struct wr_json *j, char c)
{
	int d = wr_text_hexdigit(c);
	uint32_t high = j->surrogate;

	if (d < 0)
		return broken(j, "four hex digits were expected behind \\u");
	j->code = j->code << 4 | (uint32_t)d;
	if (++j->digits < 4)
		return 0;
	j->state = IN_STRING;
	j->surrogate = 0;
	if (j->code >= 0xd800 && j->code < 0xdc00) {
		j->surrogate = j->code;
		return 0;
	}
	if (j->code >= 0xdc00 && j->code < 0xe000) {
		if (high == 0)
			return put_utf8(j, 0xfffd);
		return put_utf8(j, 0x10000 + ((high - 0xd800) << 10) + (j->code - 0xdc00));
	}
	return put_utf8(j, j->code);
}

static int escape(struct wr_json *j, char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *p = c == '\0' ? NULL : strchr(from, c);

	if (c == 'u') {
		j->state = IN_UNICODE;
		j->digits = 0;
		j->code = 0;
		return 0;
	}
	if (p == NULL)
		return broken(j, "an escape that JSON does not have");
	j->surrogate = 0;
	j->state = IN_STRING;
	return append(j, &to[p - from], 1);
}

/* Takes as much of a string as [p, end) holds; most of a list is such bytes, so they go in runs. */
static int string(struct wr_json *j, const uint8_t **p, const uint8_t *end)
{
	const uint8_t *q = *p;
	int rc;

	while (q < end && *q != '"' && *q != '\\' && *q >= 0x20)
		q++;
	rc = append(j, (const char *)*p, (size_t)(q - *p));
	if (q != *p)
		j->surrogate = 0;
	*p = q;
	if (rc != 0 || q == end)
		return rc;
	(*p)++;
	if (*q == '\\') {
		j->state = IN_ESCAPE;
		return 0;
	}
	if (*q != '"')
		return broken(j, "a control character in a text");
	j->surrogate = 0;
	if (j->key) {
		j->state = WANT_COLON;
		return give(j, WR_JSON_KEY);
	}
	after_value(j);
	return give(j, WR_JSON_STRING);
}

/* Numbers are ended by what follows; 1 = the character belongs to what follows. */
static int number(struct wr_json *j, char c)
{
	if ((c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-') {
		if (j->len >= 64)
			return broken(j, "a number with more than 64 characters");
		return append(j, &c, 1);
	}
	after_value(j);
	return give(j, WR_JSON_NUMBER);
}

static int word(struct wr_json *j, char c)
{
	const char *w = words[j->word];

	if (c != w[j->digits])
		return broken(j, "a value was expected");
	if (w[++j->digits] != '\0')
		return 0;
	after_value(j);
	return give(j, j->word == 0 ? WR_JSON_TRUE : j->word == 1 ? WR_JSON_FALSE : WR_JSON_NULL);
}

/* The byte order mark that some exporters write: three bytes, which may come in three pieces. */
static bool skip_bom(struct wr_json *j, const uint8_t **p)
{
	static const uint8_t mark[] = { 0xef, 0xbb, 0xbf };

	if (j->bom < 3 && **p == mark[j->bom]) {
		j->bom++;
		(*p)++;
		return true;
	}
	return false;
}

int wr_json_feed(struct wr_json *j, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	int rc = 0;

	while (p < end && rc == 0) {
		char c = (char)*p;

		if (j->bom < 3) {
			if (skip_bom(j, &p))
				continue;
			if (j->bom != 0)
				return broken(j, "a broken byte order mark");
			j->bom = 3;
		}
		switch ((enum state)j->state) {
		case IN_STRING: rc = string(j, &p, end); break;
		case IN_ESCAPE: rc = escape(j, c), p++; break;
		case IN_UNICODE: rc = unicode(j, c), p++; break;
		case IN_WORD: rc = word(j, c), p++; break;
		case IN_NUMBER:
			rc = number(j, c);
			if (j->state == IN_NUMBER)
				p++;
			break;
		default:
			j->line += c == '\n';
			rc = structure(j, c);
			p++;
			break;
		}
	}
	return rc;
}

int wr_json_end(struct wr_json *j)
{
	if (j->state == IN_NUMBER && j->depth == 0) {
		int rc;

		after_value(j);
		rc = give(j, WR_JSON_NUMBER);
		if (rc != 0)
			return rc;
	}
	if (j->state != FINISHED)
		return broken(j, "the file ends inside the document");
	return 0;
}
