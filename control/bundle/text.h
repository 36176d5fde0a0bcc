/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * text - small words that every reader of this room needs: numbers, times, hex, nearest key.
 * Private.
 */
#ifndef WR_BUNDLE_TEXT_H
#define WR_BUNDLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WR_ESCAPE_MAX 160u /* what an error message quotes of a hostile line */

/* Copies at most size - 1 characters; what does not print becomes \xNN; cut text ends in "...". */
const char *wr_text_escape(char *out, size_t size, const char *in, size_t n);

/* Whole text, decimal digits only, or false. */
bool wr_text_u64(const char *s, uint64_t *out);
/* "1.5" with up to four decimals, scaled by 10000. */
bool wr_text_decimal4(const char *s, uint64_t *out);
/* RFC 3339 date, or date and time with Z or an offset -> unix seconds. Not before 1970. */
bool wr_text_time(const char *s, uint64_t *out);
void wr_text_time_print(uint64_t t, char out[24]);

/* -1 when it is no hex digit. */
extern const uint8_t wr_text_hex_plus1[256];
static inline int wr_text_hexdigit(char c)
{
	return wr_text_hex_plus1[(unsigned char)c] - 1;
}
/* Exactly 2n digits of either case. */
bool wr_text_hex(const char *s, uint8_t *out, size_t n);
void wr_text_hex_print(const uint8_t *p, size_t n, char *out); /* out: 2n + 1 */
bool wr_text_id(const char *s, size_t max);                    /* [a-z0-9._-]{1,max} */

/* The word of the list (ended by NULL) that is nearest to s, or NULL when none is near. */
const char *wr_text_nearest(const char *s, const char *const *words);

/* `*` and `?` over the whole of s. */
bool wr_text_glob(const char *glob, const char *s);

#endif
