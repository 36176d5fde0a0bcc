/* SPDX-License-Identifier: BSD-3-Clause */
#include "object/look.h"

#include <string.h>

#include "abi/verdict.h"
#include "base/base.h"

/* A type that is followed to its end is told by its first dozen bytes, which hold no end yet. */
static void tell(struct wr_look *k, const struct wr_type *t, const uint8_t *before, uint32_t n)
{
	k->type = t;
	k->told = 1;
	wr_trim_begin(&k->trim, t);
	if (n != 0)
		(void)wr_trim_feed(&k->trim, before, n);
}

static void second_format(struct wr_look *k, const uint8_t *p, uint32_t n)
{
	k->looked = 1;
	k->polyglot = k->type != NULL && wr_sniff_polyglot(k->type, p, n);
}

static void first_bytes(struct wr_look *k, uint8_t *prefix, const uint8_t *p, uint32_t n)
{
	const struct wr_type *t;
	uint32_t before = k->nprefix, take;

	if (!k->begun && n >= WR_SNIFF_BYTES) { /* the usual case: nothing is kept */
		k->begun = 1;
		tell(k, wr_sniff(p, n, false), NULL, 0);
		second_format(k, p, n);
		return;
	}
	k->begun = 1;
	take = wr_min_u32(WR_SNIFF_BYTES - before, n);
	memcpy(prefix + before, p, take);
	k->nprefix = (uint16_t)(before + take);
	if (!k->told) {
		t = wr_sniff(prefix, k->nprefix, false);
		if (t != NULL)
			tell(k, t, prefix, before);
	}
	if (k->nprefix == WR_SNIFF_BYTES)
		second_format(k, prefix, WR_SNIFF_BYTES);
}

uint32_t wr_look_feed(struct wr_look *k, uint8_t *prefix, const uint8_t *p, uint32_t n)
{
	if (n == 0)
		return 0;
	if (!k->looked)
		first_bytes(k, prefix, p, n);
	return k->trim.state == WR_TRIM_NONE ? n : wr_trim_feed(&k->trim, p, n);
}

void wr_look_end(struct wr_look *k, const uint8_t *prefix)
{
	if (!k->told && k->nprefix != 0)
		tell(k, wr_sniff(prefix, k->nprefix, true), prefix, k->nprefix);
	k->told = 1;
	if (!k->looked && k->nprefix != 0)
		second_format(k, prefix, k->nprefix);
}

uint32_t wr_look_findings(const struct wr_look *k, bool whole)
{
	uint32_t causes = k->polyglot ? 1u << WR_C_POLYGLOT : 0;

	switch (wr_trim_finding(&k->trim)) {
	case WR_TRIM_POLYGLOT: return causes | 1u << WR_C_POLYGLOT;
	case WR_TRIM_TRAILING: return causes | 1u << WR_C_TRAILING_DATA;
	case WR_TRIM_TRUNCATED: return causes | (whole ? 1u << WR_C_MALFORMED : 0);
	default: return causes;
	}
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = wr_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct wr_str wr_look_name(struct wr_str target, char *to, uint32_t size)
{
	const char *q = target.p != NULL ? memchr(target.p, '?', target.len) : NULL;
	uint32_t end = q != NULL ? (uint32_t)(q - target.p) : target.len, from = end, n = 0;

	if (target.p == NULL)
		return (struct wr_str){ NULL, 0 };
	while (from > 0 && target.p[from - 1] != '/')
		from--;
	/* What counts is the extension: of a long name the last bytes, even if that cuts an escape.
	 */
	if (end - from > size)
		from = end - size;
	for (uint32_t i = from; i < end; i++) {
		const char *s = target.p + i;

		if (*s == '%' && end - i > 2 && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
			to[n++] = (char)(hex(s[1]) << 4 | hex(s[2]));
			i += 2;
		} else {
			to[n++] = *s;
		}
	}
	return (struct wr_str){ to, n };
}
