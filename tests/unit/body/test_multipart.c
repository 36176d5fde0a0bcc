/* SPDX-License-Identifier: BSD-3-Clause */
/* Multipart bodies: which objects come out, what is refused, what is held; every row cut
 * everywhere. */
#include "body_run.h"
#include "tap.h"

#define FORM  "multipart/form-data; boundary=bb"
#define CD    "Content-Disposition: form-data; name=\"a\""
#define FILE1 CD "; filename=\"x\"\r\n\r\n"

static char req[1 << 21];

static size_t post(const char *type, const char *body, size_t n)
{
	size_t at = (size_t)snprintf(
	        req, sizeof(req),
	        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
	        type, n);

	memcpy(req + at, body, n);
	return at + n;
}

/* "file a x=DATA|field b =DATA(DECODED)|around =..." */
static void describe(const struct body_run *r, char *to, size_t size)
{
	static const char *const kind[] = { "whole", "file", "field", "around" };
	size_t n = 0;

	to[0] = '\0';
	for (uint32_t i = 0; i < r->nobjects; i++) {
		const struct run_object *o = &r->object[i];

		n += (size_t)snprintf(to + n, size - n, "%s%s%s %s %s=%.*s", i > 0 ? "|" : "",
		                      kind[o->kind], o->lost ? "!" : "", o->name, o->filename,
		                      (int)o->view[0].n,
		                      o->view[0].p != NULL ? (char *)o->view[0].p : "");
		if (o->view[1].n > 0)
			n += (size_t)snprintf(to + n, size - n, "(%.*s)", (int)o->view[1].n,
			                      (char *)o->view[1].p);
	}
}

static const struct {
	const char *name, *type, *body, *objects;
	enum wr_reason why;
} row[] = {
	/* clang-format off */
	{ "a field and a file", FORM, "--bb\r\n" CD "\r\n\r\nhi\r\n--bb\r\n" FILE1 "data\r\n--bb--\r\n", "field a =hi|file a x=data", 0 },
	{ "no CRLF behind the close", FORM, "--bb\r\n" FILE1 "data\r\n--bb--", "file a x=data", 0 },
	{ "padding", FORM, "--bb \t\r\n" FILE1 "data\r\n--bb-- \r\n", "file a x=data", 0 },
	{ "empty part", FORM, "--bb\r\n" FILE1 "\r\n--bb--\r\n", "file a x=", 0 },
	{ "empty part without its own CRLF", FORM, "--bb\r\n" FILE1 "--bb--\r\n", "file a x=", 0 },
	{ "empty filename", FORM, "--bb\r\n" CD "; filename=\"\"\r\n\r\nx\r\n--bb--\r\n", "file a =x", 0 },
	{ "type without filename", FORM, "--bb\r\n" CD "\r\nContent-Type: image/png\r\n\r\nx\r\n--bb--\r\n", "file a =x", 0 },
	{ "filename*", FORM, "--bb\r\n" CD "; filename*=utf-8''x\r\n\r\nx\r\n--bb--\r\n", "file a utf-8''x=x", 0 },
	{ "both filenames", FORM, "--bb\r\n" CD "; filename=\"y\"; filename*=utf-8''x\r\n\r\nx\r\n--bb--\r\n", "file a y=x", 0 },
	{ "back slashes of a browser", FORM, "--bb\r\n" CD "; filename=\"C:\\d\\x\"\r\n\r\nx\r\n--bb--\r\n", "file a C:\\d\\x=x", 0 },
	{ "nearly delimiters", FORM, "--bb\r\n" FILE1 "\r\n--b\r\n-\r\n\r\r\n--xb\r\n\r\n--bb--\r\n", "file a x=\r\n--b\r\n-\r\n\r\r\n--xb\r\n", 0 },
	{ "preamble and epilogue", FORM, "pre\r\n--bb\r\n" FILE1 "d\r\n--bb--\r\npost", "around  =pre|file a x=d|around  =post", 0 },
	{ "CRLF before the first delimiter", FORM, "\r\n--bb\r\n" FILE1 "d\r\n--bb--\r\n", "file a x=d", 0 },
	{ "dashes in the boundary", "multipart/form-data; boundary=--a--a-b", "----a--a-b\r\n" FILE1 "\r\n----a--a--a-c\r\n----a--a-b--\r\n", "file a x=\r\n----a--a--a-c", 0 },
	{ "quoted boundary", "multipart/form-data; boundary=\"b b\"", "--b b\r\n" FILE1 "d\r\n--b b--\r\n", "file a x=d", 0 },
	{ "related: every part is a file", "multipart/related; boundary=bb", "--bb\r\nContent-Type: application/json\r\n\r\n{}\r\n--bb\r\nContent-Type: image/png\r\n\r\nd\r\n--bb--", "file  ={}|file  =d", 0 },
	{ "base64", FORM, "--bb\r\nContent-Transfer-Encoding: base64\r\n" FILE1 "aGVs\r\nbG8=\r\n--bb--", "file a x=aGVs\r\nbG8=(hello)", 0 },
	{ "quoted-printable", FORM, "--bb\r\nContent-Transfer-Encoding: quoted-printable\r\n" FILE1 "h=65l=\r\nlo\r\n--bb--", "file a x=h=65l=\r\nlo(hello)", 0 },
	{ "8bit", FORM, "--bb\r\nContent-Transfer-Encoding: 8bit\r\n" FILE1 "x\r\n--bb--", "file a x=x", 0 },
	{ "nested", FORM, "--bb\r\n" CD "\r\nContent-Type: multipart/mixed; boundary=cc\r\n\r\n--cc\r\nContent-Disposition: file; filename=\"y\"\r\n\r\ninner\r\n--cc--\r\n--bb--\r\n",
	  "file a =--cc\r\nContent-Disposition: file; filename=\"y\"\r\n\r\ninner\r\n--cc--|file  y=inner", 0 },
	{ "an mhtml file is a file", FORM, "--bb\r\nContent-Type: multipart/related\r\n" FILE1 "d\r\n--bb--", "file a x=d", 0 },

	{ "two boundaries", "multipart/form-data; boundary=bb; boundary=cc", "", "", WR_R_MULTIPART_BAD },
	{ "no boundary", "multipart/form-data", "x", "", WR_R_MULTIPART_BAD },
	{ "boundary in pieces", "multipart/form-data; boundary*0=b; boundary*1=b", "x", "", WR_R_MULTIPART_BAD },
	{ "boundary with a comma", "multipart/form-data; boundary=b,b", "x", "", WR_R_MULTIPART_BAD },
	{ "boundary of 71", "multipart/form-data; boundary=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "x", "", WR_R_MULTIPART_BAD },
	{ "boundary ends in a space", "multipart/form-data; boundary=\"b \"", "x", "", WR_R_MULTIPART_BAD },
	{ "open quote", "multipart/form-data; boundary=\"bb", "x", "", WR_R_MULTIPART_BAD },
	{ "LF before the delimiter", FORM, "--bb\r\n" FILE1 "d\n--bb--\r\n", NULL, WR_R_MULTIPART_BAD },
	{ "CR before the delimiter", FORM, "--bb\r\n" FILE1 "d\r--bb--\r\n", NULL, WR_R_MULTIPART_BAD },
	{ "delimiter in the middle of a line", FORM, "--bb\r\n" FILE1 "d--bb\r\n--bb--\r\n", NULL, WR_R_MULTIPART_BAD },
	{ "LF behind the delimiter", FORM, "--bb\n" FILE1 "d\r\n--bb--\r\n", NULL, WR_R_MULTIPART_BAD },
	{ "text behind the delimiter", FORM, "--bb\r\n" FILE1 "d\r\n--bbX\r\n--bb--\r\n", NULL, WR_R_MULTIPART_BAD },
	{ "one dash", FORM, "--bb\r\n" FILE1 "d\r\n--bb-\r\n", NULL, WR_R_MULTIPART_BAD },
	{ "text behind the close", FORM, "--bb\r\n" FILE1 "d\r\n--bb--x\r\n", NULL, WR_R_MULTIPART_BAD },
	{ "a part behind the close", FORM, "--bb\r\n" FILE1 "d\r\n--bb--\r\n--bb\r\n" FILE1 "e\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "no close", FORM, "--bb\r\n" FILE1 "d\r\n", NULL, WR_R_MULTIPART_BAD },
	{ "no delimiter at all", FORM, "data", NULL, WR_R_MULTIPART_BAD },
	{ "ends in the headers", FORM, "--bb\r\nContent-", NULL, WR_R_MULTIPART_BAD },
	{ "filename twice", FORM, "--bb\r\n" CD "; filename=\"a\"; filename=\"b\"\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "name twice", FORM, "--bb\r\n" CD "; name=b\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "filename in pieces", FORM, "--bb\r\n" CD "; filename*0=\"a\"\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "escaped quote", FORM, "--bb\r\n" CD "; filename=\"a\\\"; b=\"\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "unquoted words", FORM, "--bb\r\n" CD "; filename=a b\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "disposition twice", FORM, "--bb\r\n" CD "\r\n" CD "\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "no disposition", FORM, "--bb\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "no name", FORM, "--bb\r\nContent-Disposition: form-data; filename=x\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "attachment", FORM, "--bb\r\nContent-Disposition: attachment; name=x\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "folded header", FORM, "--bb\r\n" CD "\r\n ; filename=x\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "space before the colon", FORM, "--bb\r\nContent-Type : x\r\n" FILE1 "d\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "LF in the headers", FORM, "--bb\r\nContent-Type: x\n" FILE1 "d\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "unknown part encoding", FORM, "--bb\r\nContent-Transfer-Encoding: x-uu\r\n" FILE1 "d\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "nested with the same boundary", FORM, "--bb\r\n" CD "\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	{ "nested without a close", FORM, "--bb\r\n" CD "\r\nContent-Type: multipart/mixed; boundary=cc\r\n\r\n--cc\r\n\r\nd\r\n--bb--", NULL, WR_R_MULTIPART_BAD },
	/* clang-format on */
};

static void rows(struct body_run *r)
{
	static char got[4096];

	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		size_t n = post(row[i].type, row[i].body, strlen(row[i].body)), at;
		uint64_t whole;

		/* Without a body nothing is opened: give the header rows one byte. */
		if (row[i].body[0] == '\0')
			n = post(row[i].type, "x", 1);
		body_run(r, req, n, 0, 0);
		describe(r, got, sizeof(got));
		whole = body_run_signature(r);
		OK(r->reason == row[i].why && (row[i].why != 0 || r->ends == r->objects_seen) &&
		           (row[i].why != 0 || strcmp(got, row[i].objects) == 0),
		   "%s", row[i].name);
		if (r->reason != row[i].why ||
		    (row[i].why == 0 && strcmp(got, row[i].objects) != 0))
			printf("#   %s: %s\n", wr_reason_info(r->reason)->name, got);
		for (at = 1; at < n; at++) {
			body_run(r, req, n, 0, at);
			if (body_run_signature(r) != whole)
				break;
		}
		IS(at, n, "... wherever it is cut");
		body_run(r, req, n, 1, 0);
		OK(body_run_signature(r) == whole, "... and in single bytes");
	}
}

static void hold(struct body_run *r)
{
	static const char two[] = "--bb\r\n" CD "\r\n\r\nhi\r\n--bb\r\n" FILE1
	                          "data\r\n--bb\r\n" FILE1 "more\r\n--bb--\r\n";
	size_t n = post(FORM, two, sizeof(two) - 1);
	const char *d1 = strstr(req, "data\r\n") + 4, *d2 = strstr(req, "more\r\n") + 4;

	for (size_t cut = 0; cut < 3; cut++) {
		body_run(r, req, n, cut, 0);
		IS(r->object[1].hold, d1 - req, "the first file part is held by its delimiter");
		IS(r->object[2].hold, d2 - req, "the second one by its own");
		IS(r->hold, d2 - req, "the latest one stands");
	}
	body_run(r, req, (size_t)(d1 - req) + 5, 1, 0);
	OK(r->hold == WR_BODY_HOLD_NONE,
	   "a field's delimiter, a delimiter that is not complete: no hold");
	body_run(r, req, (size_t)(d1 - req) + 6, 1, 0);
	IS(r->hold, d1 - req, "with its last byte it is held, before anything behind it is seen");
}

static void observe(struct body_run *r)
{
	static const struct {
		const char *body, *objects;
	} o[] = {
		{ "--bb\r\n" CD "; filename=\"a\"; filename=\"b\"\r\n\r\nd\r\n--bb--",
		  "file a a=d" },
		{ "--bb\r\n" FILE1 "d\n--bb--x\r\n--bb--", "file a x=d\n--bb--x" },
		{ "--bb\r\n" FILE1 "d\r\n", "file! a x=d\r\n" },
		{ "--bb\r\n" FILE1 "d\r\n--bb--\r\nx\r\n--bb\r\ny",
		  "file a x=d|around  =x\r\n--bb\r\ny" },
		{ "--bb\r\n\r\nd\r\n--bb--", "field  =d" },
	};
	char got[512];

	memset(r->policy.on_reason, WR_ON_INSPECT, sizeof(r->policy.on_reason));
	for (size_t i = 0; i < WR_COUNT_OF(o); i++) {
		size_t n = post(FORM, o[i].body, strlen(o[i].body));

		for (size_t cut = 0; cut < 4; cut++) {
			body_run(r, req, n, cut, 0);
			describe(r, got, sizeof(got));
			OK(r->reason == 0 && r->note == WR_R_MULTIPART_BAD &&
			           strcmp(got, o[i].objects) == 0 &&
			           wr_counter_get(&r->stats.reason[WR_R_MULTIPART_BAD]) == 1,
			   "observed reading %zu, cut %zu", i, cut);
		}
	}
	memset(r->policy.on_reason, WR_ON_BLOCK, sizeof(r->policy.on_reason));
}

static void limits(struct body_run *r)
{
	static char body[1 << 20];
	size_t n;

	for (uint32_t over = 0; over < 2; over++) {
		n = 0;
		for (uint32_t i = 0; i < WR_BODY_PARTS_MAX + over; i++)
			n += (size_t)snprintf(body + n, sizeof(body) - n, "--bb\r\n%s\r\n\r\nx\r\n",
			                      CD);
		n += (size_t)snprintf(body + n, sizeof(body) - n, "--bb--");
		n = post(FORM, body, n);
		body_run(r, req, n, 0, 0);
		IS(r->reason, over ? WR_R_MULTIPART_LIMIT : 0, "%u parts",
		   WR_BODY_PARTS_MAX + over);
		OK(over || r->ends == WR_BODY_PARTS_MAX, "all of them end");
		n = (size_t)snprintf(body, sizeof(body), "--bb\r\n" CD "\r\n");
		for (uint32_t i = 0; i < WR_BODY_PART_LINES - 1 + over; i++)
			n += (size_t)snprintf(body + n, sizeof(body) - n, "X: y\r\n");
		n += (size_t)snprintf(body + n, sizeof(body) - n, "\r\nd\r\n--bb--");
		n = post(FORM, body, n);
		body_run(r, req, n, 0, 0);
		IS(r->reason, over ? WR_R_MULTIPART_LIMIT : 0, "%u header lines",
		   WR_BODY_PART_LINES + over);
		n = (size_t)snprintf(body, sizeof(body),
		                     "--bb\r\n" CD "\r\nX:%*s\r\n\r\nd\r\n--bb--",
		                     (int)(WR_BODY_PART_HEAD_MAX - strlen(CD) - 2 + over), "y");
		n = post(FORM, body, n);
		body_run(r, req, n, 0, 0);
		IS(r->reason, over ? WR_R_MULTIPART_LIMIT : 0, "%u header bytes",
		   WR_BODY_PART_HEAD_MAX + over);
		n = (size_t)snprintf(body, sizeof(body), "--bb%*s\r\n" CD "\r\n\r\nd\r\n--bb--",
		                     (int)(WR_BODY_PADDING_MAX + over), " ");
		n = post(FORM, body, n);
		body_run(r, req, n, 0, 0);
		IS(r->reason, over ? WR_R_MULTIPART_LIMIT : 0, "%u bytes of padding",
		   WR_BODY_PADDING_MAX + over);
	}
	/* Nesting: depth 4 has three multiparts inside the first. */
	for (int levels = 3; levels < 5; levels++) {
		n = (size_t)snprintf(body, sizeof(body), "--bb\r\n" CD "\r\n");
		for (int i = 0; i < levels; i++)
			n += (size_t)snprintf(
			        body + n, sizeof(body) - n,
			        "Content-Type: multipart/mixed; boundary=c%d\r\n\r\n--c%d\r\n", i,
			        i);
		n += (size_t)snprintf(body + n, sizeof(body) - n, "\r\ninner");
		for (int i = levels; i-- > 0;)
			n += (size_t)snprintf(body + n, sizeof(body) - n, "\r\n--c%d--", i);
		n += (size_t)snprintf(body + n, sizeof(body) - n, "\r\n--bb--");
		n = post(FORM, body, n);
		body_run(r, req, n, 1, 0);
		IS(r->reason, levels > 3 ? WR_R_MULTIPART_LIMIT : 0, "%d levels inside", levels);
		if (levels == 3)
			OK(r->nobjects == 4 && r->object[3].view[0].n == 5 &&
			           r->object[3].depth == 4,
			   "the innermost is found");
	}
}

static void slots(void)
{
	struct wr_body_conf c = { .bodies = 1, .multiparts = 1 };
	struct body_run *r = body_run_new(&c);
	static const char nested[] =
	        "--bb\r\n" CD "\r\nContent-Type: multipart/mixed; boundary=cc\r\n\r\n"
	        "--cc\r\n\r\nd\r\n--cc--\r\n--bb--";
	size_t n = post(FORM, nested, sizeof(nested) - 1);

	body_run(r, req, n, 0, 0);
	OK(r->reason == 0 && r->note == WR_R_DECODER_BUDGET && r->note_lost && r->nobjects == 1,
	   "no slot for a nested multipart: said, and the part goes on as a whole");
	OK(r->note_obj == r->object[0].obj, "... about that part");
	n = post(FORM, "--bb\r\n" FILE1 "d\r\n--bb--", strlen("--bb\r\n" FILE1 "d\r\n--bb--"));
	for (int i = 0; i < 3; i++) {
		body_run(r, req, n, 0, 0);
		OK(r->reason == 0 && r->nobjects == 1, "slots come back");
	}
	body_run_free(r);
}

int main(void)
{
	struct body_run *r = body_run_new(NULL);

	rows(r);
	hold(r);
	observe(r);
	limits(r);
	body_run_free(r);
	slots();
	return tap_done();
}
