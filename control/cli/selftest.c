/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir selftest URL: sends a clean and a marked upload in every framing to a canary path behind the
 * wire, then asks the store what it has. The marker is the EICAR test string, which the bundle in
 * force must know (the example bundle does).
 */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "cli/cli.h"

#define BODY      4096u
#define REPLY     65536u
#define TIMEOUT_S 10

struct target {
	char host[256], port[8], path[512];
};

/*
 * Every framing that Weir unwraps. The signatures of the signed kinds are made up: a store that
 * checks them refuses the clean upload too, and the line says "not tested".
 */
enum framing {
	F_LENGTH,
	F_CHUNKED,
	F_MULTIPART,
	F_RELATED,
	F_GZIP,
	F_AWS_UNSIGNED_TRAILER,
	F_AWS_SIGNED,
	F_AWS_SIGNED_TRAILER,
	F_AWS_SIGV4A,
	F_COUNT
};
static const char *const framing_name[F_COUNT] = {
	"content-length",       "chunked",    "multipart",          "multipart-related", "gzip",
	"aws-unsigned-trailer", "aws-signed", "aws-signed-trailer", "aws-sigv4a"
};

static int parse_url(const char *url, struct target *t)
{
	const char *host, *slash, *colon;
	size_t n;

	if (strncmp(url, "http://", 7) != 0)
		return -EINVAL;
	host = url + 7;
	slash = strchr(host, '/');
	n = slash ? (size_t)(slash - host) : strlen(host);
	if (*host == '[') { /* an IPv6 address */
		const char *end = memchr(host, ']', n);

		if (end == NULL || (end + 1 < host + n && end[1] != ':'))
			return -EINVAL;
		colon = end + 1 < host + n ? end + 1 : NULL;
	} else {
		colon = memchr(host, ':', n);
	}
	if (n == 0 || n >= sizeof(t->host) || (slash && strlen(slash) >= sizeof(t->path) - 96))
		return -EINVAL;
	snprintf(t->host, sizeof(t->host), "%.*s", (int)(colon ? (size_t)(colon - host) : n), host);
	snprintf(t->port, sizeof(t->port), "%.*s",
	         colon ? (int)wr_min_u64(n - (size_t)(colon + 1 - host), 7) : 2,
	         colon ? colon + 1 : "80");
	snprintf(t->path, sizeof(t->path), "%s", slash ? slash : "/");
	if (t->path[strlen(t->path) - 1] == '/')
		t->path[strlen(t->path) - 1] = '\0';
	return 0;
}

static int dial(const struct target *t)
{
	struct addrinfo hint = { .ai_socktype = SOCK_STREAM }, *a = NULL;
	struct timeval limit = { .tv_sec = TIMEOUT_S };
	char host[sizeof(t->host)];
	int fd = -1;

	/* The brackets of an IPv6 address are the URL's, not the address's. */
	snprintf(host, sizeof(host), "%.*s", (int)(strlen(t->host) - (*t->host == '[' ? 2u : 0u)),
	         t->host + (*t->host == '['));
	if (getaddrinfo(host, t->port, &hint, &a) != 0)
		return -1;
	for (struct addrinfo *i = a; i && fd < 0; i = i->ai_next) {
		fd = socket(i->ai_family, i->ai_socktype | SOCK_CLOEXEC, 0);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		if (connect(fd, i->ai_addr, i->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(a);
	return fd;
}

/* One request, one answer. Gives the status, 0 when the connection ended without one, -1 without
 * any. */
static int request(const struct target *t, const char *msg, size_t n, char *reply)
{
	int fd = dial(t), status = 0;
	size_t got = 0;

	reply[0] = '\0';
	if (fd < 0)
		return -1;
	/* A blocked upload may be answered before it is sent in full: read on all the same. */
	while (n > 0) {
		ssize_t k = send(fd, msg, n, MSG_NOSIGNAL);

		if (k <= 0)
			break;
		msg += k;
		n -= (size_t)k;
	}
	while (got < REPLY - 1) {
		ssize_t k = recv(fd, reply + got, REPLY - 1 - got, 0);

		if (k <= 0)
			break;
		got += (size_t)k;
	}
	reply[got] = '\0';
	close(fd);
	return sscanf(reply, "HTTP/1.%*d %d", &status) == 1 ? status : 0;
}

/* The marker is put together here, so that no scanner takes the program itself for a sample. */
static void fill(char *body, bool marked)
{
	static const char *const part[] = { "X5O!P%@AP[4\\PZX54(P^)7CC)7}", "$EICAR-STANDARD-",
		                            "ANTIVIRUS-TEST-FILE!$H+H*" };
	size_t at = BODY / 2;

	memset(body, 'w', BODY);
	for (size_t i = 0; marked && i < WR_COUNT_OF(part); i++) {
		memcpy(body + at, part[i], strlen(part[i]));
		at += strlen(part[i]);
	}
}

/* In several chunks; the marker lies across a border. ext: behind each size; end: trailers. */
static size_t chunks(char *to, const char *body, const char *ext, const char *end)
{
	size_t n = 0, cut = BODY / 2 + 20;

	n += (size_t)sprintf(to + n, "%zx%s\r\n%.*s\r\n", cut, ext, (int)cut, body);
	n += (size_t)sprintf(to + n, "%zx%s\r\n%.*s\r\n", BODY - cut, ext, (int)(BODY - cut),
	                     body + cut);
	return n + (size_t)sprintf(to + n, "0%s\r\n%s\r\n", ext, end);
}

#define SIGNATURE                                                                                  \
	";chunk-signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TRAILER "x-amz-checksum-crc32: AAAAAA==\r\n"

static size_t aws(enum framing f, const char *body, char *in, char *head, size_t room)
{
	static const char *const kind[F_COUNT] = {
		[F_AWS_UNSIGNED_TRAILER] = "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
		[F_AWS_SIGNED] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
		[F_AWS_SIGNED_TRAILER] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
		[F_AWS_SIGV4A] = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
	};
	bool trailer = f == F_AWS_UNSIGNED_TRAILER || f == F_AWS_SIGNED_TRAILER;

	snprintf(head, room,
	         "Content-Encoding: aws-chunked\r\nx-amz-content-sha256: %s\r\n"
	         "x-amz-decoded-content-length: %u\r\n%s",
	         kind[f], BODY, trailer ? "x-amz-trailer: x-amz-checksum-crc32\r\n" : "");
	return chunks(in, body, f == F_AWS_UNSIGNED_TRAILER ? "" : SIGNATURE,
	              f == F_AWS_SIGNED_TRAILER ? TRAILER "x-amz-trailer-signature:" /* no space */
	                                                  "0123456789abcdef0123456789abcdef"
	                                                  "0123456789abcdef0123456789abcdef\r\n"
	              : trailer ? TRAILER
	                        : "");
}

static size_t gzip(const char *body, char *in, size_t room)
{
	z_stream z = { 0 };
	size_t n = 0;

	if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		return 0;
	z.next_in = (Bytef *)(uintptr_t)body;
	z.avail_in = BODY;
	z.next_out = (Bytef *)in;
	z.avail_out = (uInt)room;
	if (deflate(&z, Z_FINISH) == Z_STREAM_END)
		n = room - z.avail_out;
	deflateEnd(&z);
	return n;
}

static size_t build(const struct target *t, const char *name, enum framing f, bool marked,
                    char *out)
{
	char body[BODY + 1] = "", in[2 * BODY] = "", head[512] = "";
	size_t n = 0, at;

	fill(body, marked);
	switch (f) {
	case F_LENGTH: n = (size_t)sprintf(in, "%s", body); break;
	case F_CHUNKED:
		n = chunks(in, body, "", "");
		snprintf(head, sizeof(head), "Transfer-Encoding: chunked\r\n");
		break;
	case F_MULTIPART:
		n = (size_t)sprintf(
		        in,
		        "--weir-border\r\nContent-Disposition: form-data; name=\"file\"; "
		        "filename=\"canary.bin\"\r\nContent-Type: "
		        "application/octet-stream\r\n\r\n%s\r\n"
		        "--weir-border--\r\n",
		        body);
		snprintf(head, sizeof(head),
		         "Content-Type: multipart/form-data; boundary=weir-border\r\n");
		break;
	case F_RELATED:
		n = (size_t)sprintf(
		        in,
		        "--weir-border\r\nContent-Type: application/json\r\n\r\n{}\r\n"
		        "--weir-border\r\nContent-Type: application/octet-stream\r\n\r\n%s\r\n"
		        "--weir-border--\r\n",
		        body);
		snprintf(head, sizeof(head),
		         "Content-Type: multipart/related; boundary=weir-border\r\n");
		break;
	case F_GZIP:
		n = gzip(body, in, sizeof(in));
		snprintf(head, sizeof(head), "Content-Encoding: gzip\r\n");
		break;
	default: n = aws(f, body, in, head, sizeof(head)); break;
	}
	if (f != F_CHUNKED)
		sprintf(head + strlen(head), "Content-Length: %zu\r\n", n);
	at = (size_t)sprintf(out,
	                     "PUT %s/%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: "
	                     "weir-selftest\r\n%sConnection: close\r\n\r\n",
	                     t->path, name, t->host, head);
	memcpy(out + at, in, n);
	return at + n;
}

static int simple(const struct target *t, const char *method, const char *name, char *reply)
{
	char msg[1024];
	int n = snprintf(msg, sizeof(msg),
	                 "%s %s/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method,
	                 t->path, name, t->host);

	return request(t, msg, (size_t)n, reply);
}

enum outcome { PROTECTED, LEAKED, UNTESTED, FALSE_ALARM };

static enum outcome try(const struct target *t, enum framing f, const char *stamp, char *text,
                        size_t n)
{
	static char msg[4 * BODY], reply[REPLY];
	char clean[64], marked[64];
	int c, m, has;

	snprintf(clean, sizeof(clean), "weir-selftest-%s-%d-clean", stamp, f);
	snprintf(marked, sizeof(marked), "weir-selftest-%s-%d-marked", stamp, f);
	c = request(t, msg, build(t, clean, f, false, msg), reply);
	if (c < 0) {
		snprintf(text, n, "no connection");
		return UNTESTED;
	}
	if (c == 0) {
		snprintf(text, n, "clean upload got no answer in %d s", TIMEOUT_S);
		return FALSE_ALARM;
	}
	if (c / 100 != 2) {
		bool weir = strcasestr(reply, "Weir-Decision-Id") != NULL;

		snprintf(text, n,
		         weir ? "clean upload blocked (%d)" : "the store refuses this framing (%d)",
		         c);
		return weir ? FALSE_ALARM : UNTESTED;
	}
	m = request(t, msg, build(t, marked, f, true, msg), reply);
	/* The store's own word, not the answer's, says whether it is protected. */
	has = simple(t, "GET", marked, reply);
	simple(t, "DELETE", clean, reply);
	if (has / 100 == 2 || m / 100 == 2) {
		simple(t, "DELETE", marked, reply);
		snprintf(text, n, "marked upload answered %d, the store answers %d for it", m, has);
		return LEAKED;
	}
	snprintf(text, n, "clean passed (%d), marked refused (%d), store has nothing (%d)", c, m,
	         has);
	return has > 0 ? PROTECTED : UNTESTED;
}

/* For weir_selftest_ok; a host without control has no metrics either. */
static void report(struct wr_cli *c, bool good)
{
	json_t *body, *reply = NULL;

	if (access(wr_cli_socket(c), W_OK) != 0)
		return;
	body = json_pack("{s:b}", "ok", good);
	(void)!wr_cli_call(c, "POST", "/v1/selftest", body, &reply);
	json_decref(body);
	json_decref(reply);
}

/* Why a store may be open although all is as configured. */
static void say_observe(struct wr_cli *c, json_t *list)
{
	json_t *status = NULL, *v;
	size_t i;

	if (access(wr_cli_socket(c), W_OK) != 0 ||
	    wr_cli_call(c, "GET", "/v1/status", NULL, &status) != 200) {
		json_decref(status);
		return;
	}
	json_array_foreach(json_object_get(status, "services"), i, v)
	{
		if (strcmp(wr_cli_str(v, "mode"), "observe") != 0)
			continue;
		if (c->json)
			json_array_append_new(list,
			                      json_pack("{s:s,s:s,s:s}", "service",
			                                wr_cli_str(v, "name"), "result", "observe",
			                                "text", "this service blocks nothing"));
		else
			printf("service %s is in observe mode: it blocks nothing\n",
			       wr_cli_str(v, "name"));
	}
	json_decref(status);
}

static int run_selftest(struct wr_cli *c, int argc, char **argv)
{
	static const char *const word[] = { "protected", "NOT PROTECTED", "not tested",
		                            "FALSE ALARM" };
	json_t *list = json_array();
	struct target t;
	char stamp[32], text[200];
	unsigned n[4] = { 0 };
	int rc;

	if (argc != 2 || parse_url(argv[1], &t) != 0) {
		json_decref(list);
		return wr_cli_usage_of(c, NULL, "selftest");
	}
	snprintf(stamp, sizeof(stamp), "%lld-%d", (long long)time(NULL), (int)getpid());
	for (int f = 0; f < F_COUNT; f++) {
		enum outcome o = try(&t, (enum framing)f, stamp, text, sizeof(text));

		n[o]++;
		json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "framing", framing_name[f],
		                                      "result", word[o], "text", text));
		if (!c->json)
			printf("%-14s  %-21s %s\n", word[o], framing_name[f], text);
	}
	if (n[LEAKED])
		say_observe(c, list);
	rc = n[LEAKED] || n[FALSE_ALARM] ? WR_EXIT_NO : n[PROTECTED] ? WR_EXIT_OK : WR_EXIT_FAIL;
	if (c->json)
		wr_cli_print_json(list);
	json_decref(list);
	report(c, rc == WR_EXIT_OK);
	return rc;
}

const struct wr_cmd wr_cmds_selftest[] = {
	{ NULL, "selftest", "http://HOST[:PORT]/CANARY/PATH",
	  "send clean and marked uploads through the wire; 0 when the store was protected",
	  run_selftest },
	{ 0 },
};
