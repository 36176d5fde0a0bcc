/* SPDX-License-Identifier: BSD-3-Clause */
/* What a request is to an object in several, row by row. */
#include <string.h>

#include "resume/resume.h"
#include "tap.h"

static const struct wr_mix_key K = { { 11, 22, 33, 44 } };

struct head {
	const char *method, *target, *tus, *offset, *length, *override, *range, *concat, *complete;
	const char *copy, *command, *goffset, *coding;
	uint64_t cl;
};

static struct wr_str str(const char *s)
{
	return (struct wr_str){ s, s != NULL ? (uint32_t)strlen(s) : 0 };
}

static void make(const struct head *in, struct wr_http_head *h)
{
	memset(h, 0, sizeof(*h));
	h->method = str(in->method);
	h->target = str(in->target);
	h->tus_resumable = str(in->tus);
	h->upload_offset = str(in->offset);
	h->upload_length = str(in->length);
	h->method_override = str(in->override);
	h->content_range = str(in->range);
	h->upload_concat = str(in->concat);
	h->upload_complete = str(in->complete);
	h->amz_copy_source = str(in->copy);
	h->goog_command = str(in->command);
	h->goog_offset = str(in->goffset);
	h->content_encoding = str(in->coding);
	h->content_length = in->cl;
	h->has_length = 1;
	h->has_body = in->cl != 0;
}

#define NO 99

static const struct {
	struct head h;
	uint8_t proto, op; /* op NO: not looked at */
	uint16_t part;
	uint64_t offset, total;
	const char *what;
} row[] = {
	/* clang-format off */
	{ { .method = "PUT", .target = "/b/k", .cl = 5 }, WR_UP_NONE, NO, 0, 0, 0, "a PUT" },
	{ { .method = "PUT", .target = "/b/k?partNumber=3&uploadId=x", .cl = 5 }, WR_UP_S3, WR_UP_PART, 3, 0, 0, "a part" },
	{ { .method = "PUT", .target = "/b/k?uploadId=x&partNumber=10000", .cl = 5 }, WR_UP_S3, WR_UP_PART, 10000, 0, 0, "the last part there can be" },
	{ { .method = "PUT", .target = "/b/k?uploadId=x&partNumber=10001", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "one more" },
	{ { .method = "PUT", .target = "/b/k?uploadId=x&partNumber=0", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "part 0" },
	{ { .method = "PUT", .target = "/b/k?uploadId=x&partNumber=1&partNumber=2", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "two numbers" },
	{ { .method = "PUT", .target = "/b/k?uploadId=x&partNumber=1&uploadId=y", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "two ids" },
	{ { .method = "PUT", .target = "/b/k?uploadId=x&partNumber=2", .copy = "/b/o" }, WR_UP_S3, WR_UP_COPY, 2, 0, 0, "a copied part" },
	{ { .method = "POST", .target = "/b/k?uploadId=x", .cl = 5 }, WR_UP_S3, WR_UP_COMPLETE, 0, 0, 0, "a completion" },
	{ { .method = "DELETE", .target = "/b/k?uploadId=x" }, WR_UP_S3, WR_UP_ABORT, 0, 0, 0, "an abort" },
	{ { .method = "GET", .target = "/b/k?uploadId=x" }, WR_UP_S3, WR_UP_QUERY, 0, 0, 0, "a list of parts" },
	{ { .method = "POST", .target = "/b/k?uploads" }, WR_UP_S3, WR_UP_CREATE, 0, 0, 0, "a creation" },
	{ { .method = "POST", .target = "/f", .tus = "1.0.0", .length = "10" }, WR_UP_TUS, WR_UP_CREATE, 0, 0, 10, "tus creation" },
	{ { .method = "POST", .target = "/f", .tus = "1.0.0", .length = "-1" }, WR_UP_OTHER, NO, 0, 0, 0, "tus, a length that is none" },
	{ { .method = "PATCH", .target = "/f/1", .tus = "1.0.0", .offset = "7", .cl = 3 }, WR_UP_TUS, WR_UP_PART, 0, 7, 0, "tus PATCH" },
	{ { .method = "PATCH", .target = "/f/1", .tus = "1.0.0", .cl = 3 }, WR_UP_OTHER, NO, 0, 0, 0, "tus PATCH without offset" },
	{ { .method = "POST", .target = "/f/1", .tus = "1.0.0", .override = "PATCH", .offset = "7", .cl = 3 }, WR_UP_TUS, WR_UP_PART, 0, 7, 0, "tus, the method in a header" },
	{ { .method = "PUT", .target = "/f/1", .tus = "1.0.0", .offset = "7", .cl = 3 }, WR_UP_OTHER, NO, 0, 0, 0, "tus with PUT" },
	{ { .method = "HEAD", .target = "/f/1", .tus = "1.0.0" }, WR_UP_TUS, WR_UP_QUERY, 0, 0, 0, "tus HEAD" },
	{ { .method = "DELETE", .target = "/f/1", .tus = "1.0.0" }, WR_UP_TUS, WR_UP_ABORT, 0, 0, 0, "tus DELETE" },
	{ { .method = "OPTIONS", .target = "/f", .tus = "1.0.0" }, WR_UP_NONE, NO, 0, 0, 0, "OPTIONS" },
	{ { .method = "POST", .target = "/f", .tus = "1.0.0", .concat = "final;/f/1 /f/2" }, WR_UP_TUS, WR_UP_FINAL, 0, 0, 0, "tus concatenation" },
	{ { .method = "POST", .target = "/f", .tus = "1.0.0", .concat = "partial", .length = "5" }, WR_UP_TUS, WR_UP_CREATE, 0, 0, 5, "a partial upload of one" },
	{ { .method = "PATCH", .target = "/f/1", .offset = "7", .cl = 3 }, WR_UP_OTHER, NO, 0, 0, 0, "an offset without a protocol" },
	{ { .method = "PUT", .target = "/o?upload_id=s", .range = "bytes 0-4/10", .cl = 5 }, WR_UP_GCS, WR_UP_PART, 0, 0, 10, "GCS chunk" },
	{ { .method = "PUT", .target = "/o?upload_id=s", .range = "bytes 5-9/*", .cl = 5 }, WR_UP_GCS, WR_UP_PART, 0, 5, 0, "GCS chunk of unknown total" },
	{ { .method = "PUT", .target = "/o?upload_id=s", .range = "bytes 5-9/10", .cl = 4 }, WR_UP_OTHER, NO, 0, 0, 0, "range and length disagree" },
	{ { .method = "PUT", .target = "/o?upload_id=s", .range = "bytes 5-10/10", .cl = 6 }, WR_UP_OTHER, NO, 0, 0, 0, "range beyond the total" },
	{ { .method = "PUT", .target = "/o?upload_id=s", .range = "bytes */10" }, WR_UP_GCS, WR_UP_FINAL, 0, 0, 10, "GCS: is it all there?" },
	{ { .method = "PUT", .target = "/o?upload_id=s", .range = "bytes */*" }, WR_UP_GCS, WR_UP_QUERY, 0, 0, 0, "GCS: how much is there?" },
	{ { .method = "PUT", .target = "/o?upload_id=s", .cl = 5 }, WR_UP_GCS, WR_UP_PART, 0, 0, 0, "GCS: all in one" },
	{ { .method = "POST", .target = "/o?upload_id=s", .command = "upload, finalize", .goffset = "5", .cl = 5 }, WR_UP_GCS, WR_UP_PART, 0, 5, 0, "X-Goog: the last bytes" },
	{ { .method = "POST", .target = "/o?upload_id=s", .command = "finalize" }, WR_UP_GCS, WR_UP_FINAL, 0, 0, 0, "X-Goog: the end" },
	{ { .method = "POST", .target = "/o?upload_id=s", .command = "start, upload", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "X-Goog: two in one" },
	{ { .method = "POST", .target = "/o", .command = "upload", .goffset = "0", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "X-Goog without a session" },
	{ { .method = "PUT", .target = "/o?upload_id=s&upload_id=t", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "two sessions" },
	{ { .method = "PUT", .target = "/r", .range = "bytes 5-9/10", .cl = 5 }, WR_UP_RANGE, WR_UP_PART, 0, 5, 10, "a range" },
	{ { .method = "PUT", .target = "/r", .range = "bytes 5-9/*", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "a range of nobody knows what" },
	{ { .method = "PUT", .target = "/r", .range = "5-9", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "a range that is none" },
	{ { .method = "PUT", .target = "/a", .complete = "?1", .cl = 5 }, WR_UP_NONE, NO, 0, 0, 0, "an ordinary upload of URLSession" },
	{ { .method = "POST", .target = "/a", .complete = "?0", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "IETF creation" },
	{ { .method = "PATCH", .target = "/a", .complete = "?1", .offset = "5", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "IETF append" },
	{ { .method = "PUT", .target = "/c/b?comp=block&blockid=AA", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "Azure block" },
	{ { .method = "PUT", .target = "/c/b?comp=blocklist", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "Azure block list" },
	{ { .method = "PUT", .target = "/b/k", .copy = "/b/o" }, WR_UP_OTHER, NO, 0, 0, 0, "a copy" },
	{ { .method = "PUT", .target = "/remote.php/dav/uploads/u/1/2", .cl = 5 }, WR_UP_OTHER, NO, 0, 0, 0, "a chunk in a folder" },
	/* clang-format on */
};

static void rows(void)
{
	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		struct wr_http_head h;
		struct wr_up u;

		make(&row[i].h, &h);
		wr_up_classify(&h, &K, &u);
		OK(u.proto == row[i].proto && (row[i].op == NO || u.op == row[i].op) &&
		           u.part == row[i].part && u.offset == row[i].offset &&
		           (row[i].total == 0 ? !u.has_total || u.total == 0
		                              : u.has_total && u.total == row[i].total),
		   "%s", row[i].what);
	}
}

static void key(const char *target, bool s3, uint64_t k[2])
{
	struct head in = {
		.method = s3 ? "PUT" : "PATCH", .target = target, .offset = "0", .cl = 1
	};
	struct wr_http_head h;
	struct wr_up u;

	in.tus = s3 ? NULL : "1.0.0";
	if (s3)
		in.offset = NULL;
	make(&in, &h);
	wr_up_classify(&h, &K, &u);
	WR_ASSERT(u.keyed);
	memcpy(k, u.key, 16);
}

static bool same(const char *a, const char *b, bool s3)
{
	uint64_t x[2], y[2];

	key(a, s3, x);
	key(b, s3, y);
	return wr_session_key_is(x, y);
}

static void keys(void)
{
	struct head in = { .method = "POST", .target = "/up/files?x=1", .tus = "1.0.0" };
	struct wr_http_head h;
	uint64_t a[2], b[2];

	OK(same("/f/abc", "/f/%61bc", false), "percent encoding");
	OK(same("/f/abc", "//f/./abc/", false), "empty and dot segments, a slash at the end");
	OK(same("/f/abc", "/f/x/../abc?y=1", false), "dot-dot, a query");
	OK(same("/f/abc", "http://host/f/abc", false), "absolute form");
	OK(!same("/f/abc", "/f/abd", false), "another upload");
	OK(same("/b/k?uploadId=A%2Db&partNumber=1", "/k?partNumber=2&uploadId=A-b", true),
	   "one id, wherever the bucket stands");
	OK(!same("/b/k?uploadId=A&partNumber=1", "/b/k?uploadId=a&partNumber=1", true),
	   "ids differ in case");
	make(&in, &h);
	key("/up/abc", false, a);
	OK(wr_up_location(&h, WR_UP_TUS, str("abc"), &K, b) && wr_session_key_is(a, b),
	   "a relative Location");
	OK(wr_up_location(&h, WR_UP_TUS, str("https://x/up/abc"), &K, b) && wr_session_key_is(a, b),
	   "an absolute one");
	OK(!wr_up_location(&h, WR_UP_TUS, str(""), &K, b), "an empty one");
	in.concat = "final;/up/abc  /up/d";
	make(&in, &h);
	OK(wr_up_concat(&h, 0, &K, b) && wr_session_key_is(a, b), "the first of a concatenation");
	OK(wr_up_concat(&h, 1, &K, b) && !wr_up_concat(&h, 2, &K, b), "and there are two");
	OK(wr_up_etag(str("\"abc\""), &K) == wr_up_etag(str("abc"), &K) &&
	           wr_up_etag(str("abc"), &K) != wr_up_etag(str("abd"), &K) &&
	           wr_up_etag(str(""), &K) == 0,
	   "entity tags");
	a[0] = 0;
	OK(wr_up_range(str("bytes=0-41"), a) && a[0] == 42, "Range of a 308");
	OK(!wr_up_range(str("bytes=1-41"), a) && !wr_up_range(str("bytes=0-x"), a) &&
	           !wr_up_range(str(NULL), a),
	   "and what is none");
}

int main(void)
{
	rows();
	keys();
	return tap_done();
}
