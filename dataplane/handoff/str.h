/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * str - text that lies in somebody's buffer, and the few questions that header values are asked.
 *
 * p NULL means absent, len 0 with p set means present and empty. Nothing here allocates or copies.
 */
#ifndef WR_HANDOFF_STR_H
#define WR_HANDOFF_STR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct wr_str {
	const char *p;
	uint32_t len;
};

#define WR_STR(lit) ((struct wr_str){ (lit), (uint32_t)sizeof(lit) - 1 })

static inline char wr_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool wr_str_set(const struct wr_str *s)
{
	return s->p != NULL;
}

/* ASCII case is ignored. */
static inline bool wr_str_is(struct wr_str s, struct wr_str want)
{
	if (s.p == NULL || s.len != want.len)
		return false;
	for (uint32_t i = 0; i < s.len; i++)
		if (wr_lower(s.p[i]) != wr_lower(want.p[i]))
			return false;
	return true;
}

static inline bool wr_str_starts(struct wr_str s, struct wr_str want)
{
	return s.p != NULL && s.len >= want.len &&
	       wr_str_is((struct wr_str){ s.p, want.len }, want);
}

static inline struct wr_str wr_str_trim(struct wr_str s)
{
	while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s.p++, s.len--;
	while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* Cuts the next element of a comma list off *list, trimmed. False at the end. Empty ones are given
 * too. */
static inline bool wr_str_next(struct wr_str *list, struct wr_str *out)
{
	uint32_t n = 0;

	if (list->p == NULL)
		return false;
	while (n < list->len && list->p[n] != ',')
		n++;
	*out = wr_str_trim((struct wr_str){ list->p, n });
	*list = n < list->len ? (struct wr_str){ list->p + n + 1, list->len - n - 1 }
	                      : (struct wr_str){ NULL, 0 };
	return true;
}

/*
 * Value of `key` in the query of a request target, as it stands (percent-encoded), first one wins.
 * A key without '=' is present and empty. Returns how many times the key occurs.
 */
static inline uint32_t wr_str_query(struct wr_str target, struct wr_str key, struct wr_str *out)
{
	uint32_t i = 0, found = 0;

	*out = (struct wr_str){ NULL, 0 };
	while (i < target.len && target.p[i] != '?')
		i++;
	while (i < target.len) {
		uint32_t from = ++i, eq;

		while (i < target.len && target.p[i] != '&')
			i++;
		for (eq = from; eq < i && target.p[eq] != '=';)
			eq++;
		if (eq - from != key.len || memcmp(target.p + from, key.p, key.len) != 0)
			continue;
		if (found++ == 0)
			*out = eq < i ? (struct wr_str){ target.p + eq + 1, i - eq - 1 }
			              : (struct wr_str){ target.p + eq, 0 };
	}
	return found;
}

#endif
