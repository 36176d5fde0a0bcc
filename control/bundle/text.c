/* SPDX-License-Identifier: BSD-3-Clause */
#include "bundle/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base.h"

const char *wr_text_escape(char *out, size_t size, const char *in, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	size_t k = 0, i = 0;

	WR_ASSERT(size >= 8);
	for (; i < n; i++) {
		unsigned char c = (unsigned char)in[i];
		bool plain = c >= 0x20 && c < 0x7f;

		if (k + (plain ? 1 : 4) > size - 4)
			break;
		if (plain) {
			out[k++] = (char)c;
		} else {
			out[k++] = '\\';
			out[k++] = 'x';
			out[k++] = hex[c >> 4];
			out[k++] = hex[c & 15];
		}
	}
	if (i < n) {
		memcpy(out + k, "...", 3);
		k += 3;
	}
	out[k] = '\0';
	return out;
}

bool wr_text_u64(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

bool wr_text_decimal4(const char *s, uint64_t *out)
{
	const char *dot = strchr(s, '.');
	uint64_t whole, part = 0;
	char head[20];
	size_t n = dot == NULL ? strlen(s) : (size_t)(dot - s);

	if (n == 0 || n > 14)
		return false;
	memcpy(head, s, n);
	head[n] = '\0';
	if (!wr_text_u64(head, &whole))
		return false;
	if (dot != NULL) {
		size_t digits = strlen(dot + 1);

		if (digits == 0 || digits > 4 || !wr_text_u64(dot + 1, &part))
			return false;
		for (; digits < 4; digits++)
			part *= 10;
	}
	*out = whole * 10000 + part;
	return true;
}

static bool digits(const char **s, int n, int *out)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (**s - '0');
	}
	*out = v;
	return true;
}

static bool eat(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

/* "Z" or "+hh:mm" or "+hhmm" up to the end of the text -> seconds east of UTC. */
static bool zone(const char *s, int *east)
{
	int h, m, sign = *s == '-' ? -1 : 1;

	*east = 0;
	if (strcmp(s, "Z") == 0 || strcmp(s, "z") == 0)
		return true;
	if ((*s != '+' && *s != '-'))
		return false;
	s++;
	if (!digits(&s, 2, &h))
		return false;
	(void)eat(&s, ':');
	if (!digits(&s, 2, &m) || *s != '\0' || h > 14 || m > 59)
		return false;
	*east = sign * (h * 3600 + m * 60);
	return true;
}

bool wr_text_time(const char *s, uint64_t *out)
{
	struct tm tm = { 0 };
	time_t t, back;
	int y, mo, d, h = 0, mi = 0, sec = 0, east = 0;

	if (!digits(&s, 4, &y) || !eat(&s, '-') || !digits(&s, 2, &mo) || !eat(&s, '-') ||
	    !digits(&s, 2, &d))
		return false;
	if (*s != '\0') {
		if (*s != 'T' && *s != 't' && *s != ' ')
			return false;
		s++;
		if (!digits(&s, 2, &h) || !eat(&s, ':') || !digits(&s, 2, &mi) || !eat(&s, ':') ||
		    !digits(&s, 2, &sec))
			return false;
		if (*s == '.')
			for (s++; *s >= '0' && *s <= '9'; s++)
				;
		if (!zone(s, &east))
			return false;
	}
	if (y < 1970 || y > 9999 || mo < 1 || mo > 12 || d < 1 || h > 23 || mi > 59 || sec > 60)
		return false;
	tm = (struct tm){ .tm_year = y - 1900,
		          .tm_mon = mo - 1,
		          .tm_mday = d,
		          .tm_hour = h,
		          .tm_min = mi,
		          .tm_sec = sec };
	t = timegm(&tm);
	/* timegm turns 31 February into 3 March: such a date is an error, not another day. */
	if (tm.tm_mday != d && sec != 60)
		return false;
	back = t - east;
	if (t < 0 || back < 0)
		return false;
	*out = (uint64_t)back;
	return true;
}

void wr_text_time_print(uint64_t t, char out[24])
{
	time_t s = (time_t)t;
	struct tm tm;

	if (gmtime_r(&s, &tm) == NULL || strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		out[0] = '\0';
}

/* A table, because a list of ten million digests asks this a billion times; 0 = no digit. */
const uint8_t wr_text_hex_plus1[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
	['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

bool wr_text_hex(const char *s, uint8_t *out, size_t n)
{
	int bad = 0;

	/* A bad digit is -1, so its sign stays in the sum of bits. */
	for (size_t i = 0; i < n; i++) {
		int hi = wr_text_hexdigit(s[2 * i]), lo = wr_text_hexdigit(s[2 * i + 1]);

		bad |= hi | lo;
		out[i] = (uint8_t)((unsigned)hi << 4 | (unsigned)lo);
	}
	return bad >= 0;
}

void wr_text_hex_print(const uint8_t *p, size_t n, char *out)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = hex[p[i] >> 4];
		out[2 * i + 1] = hex[p[i] & 15];
	}
	out[2 * n] = '\0';
}

bool wr_text_id(const char *s, size_t max)
{
	size_t n = strlen(s);

	return n >= 1 && n <= max && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

#define WORD_MAX 32u

/* Levenshtein distance of two short words; longer ones are never near. */
static unsigned distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	unsigned row[WORD_MAX + 1];

	if (na > WORD_MAX || nb > WORD_MAX)
		return 1000;
	for (unsigned j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 0; i < na; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < nb; j++) {
			unsigned swap = diagonal + (a[i] != b[j]);
			unsigned best = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;

			diagonal = row[j + 1];
			row[j + 1] = swap < best ? swap : best;
		}
	}
	return row[nb];
}

const char *wr_text_nearest(const char *s, const char *const *words)
{
	const char *best = NULL;
	/* Half the letters wrong is a different word, and a wrong hint is worse than none. */
	unsigned limit = 1 + (unsigned)strlen(s) / 3;

	for (; *words != NULL; words++) {
		unsigned d = distance(s, *words);

		if (d <= limit) {
			best = *words;
			limit = d == 0 ? 0 : d - 1;
			if (d == 0)
				break;
		}
	}
	return best;
}

bool wr_text_glob(const char *glob, const char *s)
{
	const char *star = NULL, *retry = NULL;

	while (*s != '\0') {
		if (*glob == '*') {
			star = glob++;
			retry = s;
		} else if (*glob == '?' || *glob == *s) {
			glob++;
			s++;
		} else if (star != NULL) {
			glob = star + 1;
			s = ++retry;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return *glob == '\0';
}
