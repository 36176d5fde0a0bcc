/* SPDX-License-Identifier: BSD-3-Clause */
/* Part lists: one reading or none, however they are cut. */
#include <stdio.h>
#include <string.h>

#include "resume/resume.h"
#include "tap.h"

#define HEAD      "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define P(n, tag) "<Part><PartNumber>" n "</PartNumber><ETag>" tag "</ETag></Part>"
#define TAIL      "</CompleteMultipartUpload>"

static const struct {
	const char *in, *want; /* "number:tag ..." or NULL: refused */
} row[] = {
	/* clang-format off */
	{ HEAD P("1", "\"a\"") TAIL, "1:a " },
	{ "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" HEAD P("1", "a") " \r\n\t" P("10000", "b-2") TAIL "\n", "1:a 10000:b-2 " },
	{ "<CompleteMultipartUpload>" P("3", "&quot;a&#34;") TAIL, "3:a " },
	{ HEAD "<Part><ETag>x</ETag><ChecksumCRC32>AA==</ChecksumCRC32><PartNumber>2</PartNumber></Part>" TAIL, "2:x " },
	{ HEAD "<Part ><ETag >x</ETag ><PartNumber>2</PartNumber></Part>" TAIL, NULL },
	{ HEAD P("2", "a") P("1", "b") TAIL, NULL },   /* falling */
	{ HEAD P("1", "a") P("1", "b") TAIL, NULL },   /* twice */
	{ HEAD P("0", "a") TAIL, NULL },
	{ HEAD P("10001", "a") TAIL, NULL },
	{ HEAD P("1x", "a") TAIL, NULL },
	{ HEAD P("", "a") TAIL, NULL },
	{ HEAD "<Part><PartNumber>1</PartNumber></Part>" TAIL, NULL },
	{ HEAD "<Part><ETag>1</ETag></Part>" TAIL, NULL },
	{ HEAD "<Part><PartNumber>1</PartNumber><PartNumber>2</PartNumber><ETag>a</ETag></Part>" TAIL, NULL },
	{ HEAD "<!-- " P("1", "a") " -->" P("2", "b") TAIL, NULL },
	{ HEAD "<![CDATA[" P("1", "a") "]]>" TAIL, NULL },
	{ "<!DOCTYPE x [<!ENTITY a \"b\">]>" HEAD P("1", "&a;") TAIL, NULL },
	{ HEAD P("1", "&a;") TAIL, NULL },
	{ HEAD "<s:Part><PartNumber>1</PartNumber><ETag>a</ETag></s:Part>" TAIL, NULL },
	{ HEAD "<Part/>" TAIL, NULL },
	{ HEAD P("1", "a") TAIL HEAD P("2", "b") TAIL, NULL },
	{ HEAD P("1", "a") "text" TAIL, NULL },
	{ HEAD P("1", "<b>a</b>") TAIL, NULL },
	{ HEAD "<Other>1</Other>" TAIL, NULL },
	{ HEAD TAIL, NULL },
	{ HEAD P("1", "a"), NULL },
	{ "", NULL },
	{ "{\"parts\":[]}", NULL },
	/* clang-format on */
};

/* The list in pieces of `step` bytes; what it says, or "" when it is refused. */
static void run(const char *in, size_t step, char *out)
{
	struct wr_plist l = { 0 };
	size_t n = strlen(in), o = 0;

	out[0] = '\0';
	for (size_t at = 0; at < n; at += step) {
		const uint8_t *p = (const uint8_t *)in + at,
		              *end = p + (at + step < n ? step : n - at);
		enum wr_plist_ev ev;

		while ((ev = wr_plist_next(&l, &p, end)) == WR_PLIST_PART)
			o += (size_t)sprintf(out + o, "%u:%.*s ", l.number, (int)l.ntext, l.text);
		if (ev == WR_PLIST_BAD) {
			out[0] = '\0';
			return;
		}
	}
	if (!wr_plist_done(&l))
		out[0] = '\0';
}

static void size(void)
{
	static char part[] = "<Part><PartNumber>1</PartNumber><ETag>";
	struct wr_plist l = { 0 };
	const uint8_t *p = (const uint8_t *)HEAD;
	static uint8_t space[4096];
	uint64_t fed = sizeof(HEAD) - 1;

	(void)part;
	memset(space, ' ', sizeof(space));
	(void)wr_plist_next(&l, &p, p + sizeof(HEAD) - 1);
	for (;;) {
		p = space;
		if (wr_plist_next(&l, &p, space + sizeof(space)) == WR_PLIST_BAD)
			break;
		fed += sizeof(space);
	}
	OK(fed <= WR_RESUME_LIST_MAX && fed > WR_RESUME_LIST_MAX - 2 * sizeof(space),
	   "a list is read up to its limit");
}

int main(void)
{
	char got[256];

	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		bool good = true;

		for (size_t step = 1; step <= 64; step++) {
			run(row[i].in, step, got);
			good = good && strcmp(got, row[i].want != NULL ? row[i].want : "") == 0;
		}
		OK(good, "%s: %.60s", row[i].want != NULL ? "read" : "refused", row[i].in);
	}
	size();
	return tap_done();
}
