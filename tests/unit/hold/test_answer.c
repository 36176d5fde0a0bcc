/* SPDX-License-Identifier: BSD-3-Clause */
/* What a blocked client reads: a whole response in the form of its request, and never too much. */
#include <string.h>

#include "hold/hold.h"
#include "tap.h"

static struct wr_conf conf = { .answer_status = 403 };
static const uint8_t id[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
static const char ulid[] = "01081G81860W40J2GB1G6GW3RG"; /* of these 16 bytes, by hand */
static char buf[WR_HOLD_ANSWER_MAX + 1];

static void answer(const struct wr_http_head *h)
{
	memset(buf, 0, sizeof(buf));
	buf[wr_hold_answer(&conf, h, id, buf, WR_HOLD_ANSWER_MAX)] = '\0';
}

static bool in(const char *text)
{
	return strstr(buf, text) != NULL;
}

/* Is Content-Length what follows the head? */
static bool whole(void)
{
	const char *body = strstr(buf, "\r\n\r\n"), *cl = strstr(buf, "\r\nContent-Length: ");

	return body != NULL && cl != NULL && cl < body &&
	       strtoul(cl + 18, NULL, 10) == strlen(body + 4);
}

static void status(void)
{
	static const struct {
		uint32_t status;
		const char *line;
	} row[] = { { 403, "HTTP/1.1 403 Forbidden\r\n" },
		    { 422, "HTTP/1.1 422 Unprocessable Content\r\n" },
		    { 451, "HTTP/1.1 451 Unavailable For Legal Reasons\r\n" } };

	for (unsigned i = 0; i < WR_COUNT_OF(row); i++) {
		conf.answer_status = row[i].status;
		answer(NULL);
		OK(strncmp(buf, row[i].line, strlen(row[i].line)) == 0 && whole(), "status %u",
		   row[i].status);
	}
	conf.answer_status = 403;
}

static void forms(void)
{
	struct wr_http_head h = { .method = WR_STR("PUT"), .target = WR_STR("/o") };
	char line[128];

	answer(&h);
	snprintf(line, sizeof(line), "\r\nWeir-Decision-Id: %s\r\n", ulid);
	OK(in(line) && in("\r\nConnection: close\r\n") && in("\r\nCache-Control: no-store\r\n"),
	   "the decision is named, the connection ends, nobody caches it");
	OK(in("\r\nContent-Type: text/plain\r\n") && whole() && strstr(buf, ulid) != NULL,
	   "by default a text");

	h.accept = WR_STR("text/html, application/json;q=0.9");
	answer(&h);
	snprintf(line, sizeof(line), "{\"error\":\"content_rejected\",\"decision_id\":\"%s\"}",
	         ulid);
	OK(in("\r\nContent-Type: application/json\r\n") && in(line) && whole(),
	   "JSON if asked for");

	h.amz_content_sha256 = WR_STR("UNSIGNED-PAYLOAD");
	answer(&h);
	OK(in("\r\nContent-Type: application/xml\r\n") && whole() &&
	           in("<Error><Code>ContentRejected</Code>") && in("</RequestId></Error>"),
	   "an S3 client reads S3's XML");
	h.amz_content_sha256.p = NULL;
	h.target = WR_STR("/o?partNumber=1&uploadId=x");
	answer(&h);
	OK(in("<Error>"), "also by its target");

	h = (struct wr_http_head){ .target = WR_STR("/o"), .is_head = 1 };
	answer(&h);
	OK(strcmp(strstr(buf, "\r\n\r\n"), "\r\n\r\n") == 0 && !in("Content-Length: 0\r\n"),
	   "the answer to HEAD has no body, its length stays true");

	h = (struct wr_http_head){ .target = WR_STR("/o") };
	answer(&h);
	OK(!in("Tus-Resumable"), "no tus unless spoken to in it");
	h.tus_resumable = WR_STR("1.0.0");
	answer(&h);
	OK(in("\r\nTus-Resumable: 1.0.0\r\n"), "tus is answered in tus");
}

static void origins(void)
{
	static const struct {
		const char *listed, *origin;
		bool cut, want, named;
		const char *what;
	} row[] = {
		/* clang-format off */
		{ NULL, "https://a.example", false, false, false, "none listed" },
		{ "https://a.example", "https://a.example", false, true, true, "listed" },
		{ "https://a.example", "https://a.example.evil", false, false, false, "listed, but longer" },
		{ "https://a.example", "https://a.exampl", false, false, false, "listed, but shorter" },
		{ "https://a.example", "", false, false, false, "empty" },
		{ "https://a.example", NULL, false, false, false, "absent" },
		{ "*", "https://b.example", false, true, false, "all listed" },
		{ "*", "https://b.example", true, false, false, "the head was cut" },
		{ "*", "https://b\r\nSet-Cookie: a", false, false, false, "a line end in it" },
		{ "*", "https://b.example\x7f", false, false, false, "a control byte in it" },
		{ "*", "https://b.example/\xc3\xa4", false, false, false, "a byte above ASCII in it" },
		/* clang-format on */
	};

	for (unsigned i = 0; i < WR_COUNT_OF(row); i++) {
		struct wr_http_head h = { .target = WR_STR("/o"), .cut = row[i].cut };

		conf.norigins = row[i].listed != NULL;
		if (row[i].listed != NULL)
			snprintf(conf.cors_origin[0], sizeof(conf.cors_origin[0]), "%s",
			         row[i].listed);
		if (row[i].origin != NULL)
			h.origin =
			        (struct wr_str){ row[i].origin, (uint32_t)strlen(row[i].origin) };
		answer(&h);
		OK(in("Access-Control-Allow-Origin: ") == row[i].want &&
		           in("Vary: Origin\r\n") == row[i].want && !in("Set-Cookie") && whole(),
		   "origin: %s", row[i].what);
		OK(in("Access-Control-Allow-Credentials: true\r\n") == row[i].named,
		   "credentials: %s", row[i].what);
	}
	conf.norigins = 0;
}

static void room(void)
{
	static char origin[255];
	struct wr_http_head h = { .target = WR_STR("/o"),
		                  .amz_content_sha256 = WR_STR("x"),
		                  .tus_resumable = WR_STR("1.0.0") };
	uint32_t n;

	memset(origin, 'o', sizeof(origin));
	h.origin = (struct wr_str){ origin, sizeof(origin) };
	conf.norigins = 1;
	conf.answer_status = 451;
	strcpy(conf.cors_origin[0], "*");
	answer(&h);
	OK(strlen(buf) < WR_HOLD_ANSWER_MAX && whole(), "the longest of all fits: %zu of %u bytes",
	   strlen(buf), WR_HOLD_ANSWER_MAX);
	for (n = 0; n < 400; n++) {
		memset(buf, 'z', sizeof(buf));
		if (wr_hold_answer(&conf, &h, id, buf, n) > n || buf[n] != 'z')
			break;
	}
	IS(n, 400, "a small buffer is never overrun");
}

int main(void)
{
	status();
	forms();
	origins();
	room();
	return tap_done();
}
