/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections, held tails and packet traces: what the dataplane knows at this moment. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/look.h"
#include "api/api.h"
#include "config/log.h"

#define FRAMES_DEFAULT  1000u
#define SECONDS_DEFAULT 10u
#define ROWS_DEFAULT    100u

static const uint8_t v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

static json_t *address(const uint8_t a[16])
{
	bool four = memcmp(a, v4_prefix, 12) == 0;
	char text[INET6_ADDRSTRLEN] = "?";

	(void)inet_ntop(four ? AF_INET : AF_INET6, four ? a + 12 : a, text, sizeof(text));
	return json_string(text);
}

/* Bytes of the wire as text that every terminal and parser survives. */
static json_t *wire_text(const char *s, size_t room)
{
	size_t n = strnlen(s, room), k = 0;
	char out[4 * 96 + 1];

	for (size_t i = 0; i < n && k + 4 < sizeof(out); i++) {
		unsigned char b = (unsigned char)s[i];

		if (b >= 0x20 && b < 0x7f)
			out[k++] = (char)b;
		else
			k += (size_t)snprintf(out + k, 5, "\\x%02x", b);
	}
	return n != 0 ? json_stringn(out, k) : json_null();
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80"; NULL or "" = everybody. */
static int parse_client(const char *text, struct wr_look_filter *f)
{
	char ip[INET6_ADDRSTRLEN + 2] = "";
	const char *port = NULL;
	unsigned long n;
	size_t len;
	char *end;

	memset(f, 0, sizeof(*f));
	if (text == NULL || *text == '\0')
		return 0;
	if (*text == '[') {
		len = strcspn(++text, "]");
		port = text[len] == ']' && text[len + 1] == ':' ? text + len + 2 : NULL;
		if (text[len] != ']' || (text[len + 1] != '\0' && port == NULL))
			return -EINVAL;
	} else if (strchr(text, ':') != NULL && strchr(text, ':') == strrchr(text, ':')) {
		len = strcspn(text, ":");
		port = text + len + 1;
	} else {
		len = strlen(text);
	}
	if (len >= sizeof(ip))
		return -EINVAL;
	memcpy(ip, text, len);
	if (inet_pton(AF_INET, ip, f->client + 12) == 1)
		memcpy(f->client, v4_prefix, 12);
	else if (inet_pton(AF_INET6, ip, f->client) != 1)
		return -EINVAL;
	if (port == NULL)
		return 0;
	n = strtoul(port, &end, 10);
	if (end == port || *end != '\0' || n == 0 || n > 65535)
		return -EINVAL;
	f->port = (uint16_t)n;
	return 0;
}

static int bad_client(json_t **reply, const char *text)
{
	return wr_api_error(reply, 400,
	                    "client '%.60s' is not an address: 192.0.2.1, 192.0.2.1:51544 or "
	                    "[2001:db8::1]:51544",
	                    text);
}

/* --- flows, holds
 * --------------------------------------------------------------------------------- */

static const char *name_of(const char *const *name, unsigned n, uint8_t i)
{
	return i < n ? name[i] : "?";
}

static json_t *upload_json(const struct wr_look_row *r)
{
	char id[27];

	if (r->method[0] == '\0' && r->upload_bytes == 0)
		return json_null();
	wr_ulid_put(r->upload_id, id);
	return json_pack(
	        "{s:s?,s:o,s:o,s:o,s:I,s:o,s:s,s:b}", "id",
	        r->upload_id[0] | r->upload_id[5] ? id : NULL, "method",
	        wire_text(r->method, sizeof(r->method)), "host",
	        wire_text(r->host, sizeof(r->host)), "path",
	        wire_text(r->target, sizeof(r->target)), "bytes", (json_int_t)r->upload_bytes,
	        "length",
	        r->upload_length == UINT64_MAX ? json_null()
	                                       : json_integer((json_int_t)r->upload_length),
	        "framing", wr_framing_name((enum wr_framing)r->framing), "active", r->state);
}

static json_t *row_json(const struct wr_conf *c, const struct wr_look_row *r)
{
	static const char *const phase[] = {
#define X(e, s) s,
		WR_LOOK_PHASES(X)
#undef X
	};
	static const char *const wait[] = {
#define X(e, s) s,
		WR_LOOK_WAITS(X)
#undef X
	};

	return json_pack(
	        "{s:s,s:s,s:o,s:i,s:o,s:i,s:i,s:s,s:s,s:I,s:f,s:f,s:f,s:I,s:I,s:I,s:I,s:I,s:o}",
	        "worker", r->worker < c->nworkers ? c->worker[r->worker].name : "?", "service",
	        r->service < c->nservices ? c->service[r->service].name : "?", "client",
	        address(r->client), "client_port", r->client_port, "store", address(r->store),
	        "store_port", r->store_port, "vlan", r->vlan, "state",
	        name_of(phase, WR_COUNT_OF(phase), r->phase), "waits_for",
	        name_of(wait, WR_COUNT_OF(wait), r->wait), "requests", (json_int_t)r->requests,
	        "age_s", (double)r->age_ns / 1e9, "idle_s", (double)r->idle_ns / 1e9, "held_s",
	        (double)r->held_ns / 1e9, "c2s_bytes", (json_int_t)r->c2s_bytes, "s2c_bytes",
	        (json_int_t)r->s2c_bytes, "held_bytes", (json_int_t)r->held_bytes, "kept_segments",
	        (json_int_t)r->kept_segments, "early_segments", (json_int_t)r->early_segments,
	        "upload", upload_json(r));
}

static json_t *rows_json(const struct wr_conf *c, int fd, uint64_t n)
{
	json_t *list = json_array();
	struct wr_look_row r;
	struct stat st;

	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != n * sizeof(r)) {
		json_decref(list);
		return NULL;
	}
	for (uint64_t i = 0; i < n; i++) {
		if (pread(fd, &r, sizeof(r), (off_t)(i * sizeof(r))) != sizeof(r))
			break;
		json_array_append_new(list, row_json(c, &r));
	}
	return list;
}

static int look(struct wr_api *a, const struct wr_request *r, enum wr_look_what what,
                json_t **reply)
{
	const char *client = r->query(r, "client"), *limit = r->query(r, "limit");
	struct wr_msg_look q = { .what = what, .limit = ROWS_DEFAULT };
	struct wr_msg_result res = { 0 };
	char err[WR_LINK_ERR] = "";
	json_t *rows;
	int fd, rc;

	if (parse_client(client, &q.filter) != 0)
		return bad_client(reply, client);
	if (limit != NULL)
		q.limit = (uint32_t)strtoul(limit, NULL, 10);
	if (q.limit == 0 || q.limit > WR_LOOK_ROWS_MAX)
		return wr_api_error(reply, 400, "limit wants a number from 1 to %u",
		                    WR_LOOK_ROWS_MAX);
	rc = wr_link_look(a->link, WR_MSG_QUERY, &q, &res, &fd, err);
	if (rc != 0)
		return wr_api_error(reply, 503, "%s", err);
	if (res.error != 0 || fd < 0) {
		if (fd >= 0)
			close(fd);
		return wr_api_error(reply, 409, "the dataplane refuses: %s",
		                    res.text[0] != '\0' ? res.text : strerror(abs(res.error)));
	}
	rows = rows_json(wr_config_dataplane(a->cfg), fd, res.value);
	close(fd);
	if (rows == NULL)
		return wr_api_error(reply, 502, "the dataplane's answer does not fit");
	*reply = json_pack("{s:o,s:b,s:s?}", "rows", rows, "cut", res.value >= q.limit, "missing",
	                   res.text[0] != '\0' ? res.text : NULL);
	return 200;
}

static int get_flows(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	return look(a, r, WR_LOOK_FLOWS, reply);
}

static int get_holds(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	return look(a, r, WR_LOOK_HOLDS, reply);
}

/* --- trace
 * ---------------------------------------------------------------------------------------- */

static int trace_ask(struct wr_api *a, struct wr_msg_look *q, struct wr_msg_result *res, int *fd,
                     json_t **reply)
{
	char err[WR_LINK_ERR] = "";

	if (wr_link_look(a->link, WR_MSG_TRACE, q, res, fd, err) != 0)
		return wr_api_error(reply, 503, "%s", err);
	return 0;
}

static int refused(struct wr_msg_result *res, json_t **reply)
{
	return wr_api_error(reply, res->error == -ENOENT ? 404 : 409, "%s",
	                    res->text[0] != '\0' ? res->text : strerror(abs(res->error)));
}

static int post_trace(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	const char *client = json_string_value(json_object_get(r->body, "client"));
	const json_t *n = json_object_get(r->body, "packets"),
	             *s = json_object_get(r->body, "seconds");
	bool payload = json_is_true(json_object_get(r->body, "payload"));
	json_int_t packets = n != NULL ? json_integer_value(n) : FRAMES_DEFAULT;
	json_int_t seconds = s != NULL ? json_integer_value(s) : SECONDS_DEFAULT;
	struct wr_msg_look q = { .what = WR_TRACE_START, .payload = payload };
	struct wr_msg_result res = { 0 };
	int fd, status;

	if (client == NULL || *client == '\0' || parse_client(client, &q.filter) != 0)
		return bad_client(reply, client != NULL ? client : "");
	if (packets < 1 || packets > (json_int_t)WR_TRACE_PACKETS_MAX || seconds < 1 ||
	    seconds > (json_int_t)WR_TRACE_SECONDS_MAX)
		return wr_api_error(reply, 400, "packets wants 1 to %u, seconds 1 to %u",
		                    WR_TRACE_PACKETS_MAX, WR_TRACE_SECONDS_MAX);
	q.limit = (uint32_t)packets;
	q.seconds = (uint32_t)seconds;
	status = trace_ask(a, &q, &res, &fd, reply);
	if (fd >= 0)
		close(fd);
	if (status != 0)
		return status;
	if (res.error != 0)
		return refused(&res, reply);
	/* Who reads along is on record, and more so when it is content. */
	wr_log(payload ? WR_LOG_WARN : WR_LOG_INFO, "trace",
	       "client=%s packets=%u seconds=%u payload=%s uid=%d pid=%d", client, q.limit,
	       q.seconds, payload ? "yes" : "no", (int)r->uid, (int)r->pid);
	wr_metrics_add(a->metrics, "weir_traces_total",
	               payload ? "payload=\"yes\"" : "payload=\"no\"", 1);
	*reply = json_pack("{s:s,s:I,s:I,s:b}", "state", "running", "packets", packets, "seconds",
	                   seconds, "payload", payload);
	return 202;
}

static char *base64_of(int fd)
{
	struct stat st;
	void *p;
	char *text;
	size_t room;

	if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > 2 * (off_t)WR_TRACE_BYTES_MAX)
		return NULL;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	room = sodium_base64_ENCODED_LEN((size_t)st.st_size, sodium_base64_VARIANT_ORIGINAL);
	text = malloc(room);
	if (text != NULL)
		sodium_bin2base64(text, room, p, (size_t)st.st_size,
		                  sodium_base64_VARIANT_ORIGINAL);
	munmap(p, (size_t)st.st_size);
	return text;
}

/* The file is handed over once. */
static int get_trace(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	struct wr_msg_look q = { .what = WR_TRACE_STATE };
	struct wr_msg_result res = { 0 };
	int fd, status = trace_ask(a, &q, &res, &fd, reply);
	char *text;

	(void)r;
	if (status != 0)
		return status;
	if (res.error == -EAGAIN) {
		*reply =
		        json_pack("{s:s,s:I}", "state", "running", "frames", (json_int_t)res.value);
		return 200;
	}
	if (res.error != 0)
		return refused(&res, reply);
	text = fd >= 0 ? base64_of(fd) : NULL;
	if (fd >= 0)
		close(fd);
	if (text == NULL)
		return wr_api_error(reply, 502, "the dataplane's trace does not fit");
	*reply = json_pack("{s:s,s:I,s:s?,s:s}", "state", "done", "frames", (json_int_t)res.value,
	                   "missing", res.text[0] != '\0' ? res.text : NULL, "pcapng", text);
	free(text);
	return 200;
}

static int post_trace_stop(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	struct wr_msg_look q = { .what = WR_TRACE_STOP };
	struct wr_msg_result res = { 0 };
	int fd, status = trace_ask(a, &q, &res, &fd, reply);

	(void)r;
	if (fd >= 0)
		close(fd);
	if (status != 0)
		return status;
	*reply = json_pack("{s:s}", "state", "stopped");
	return 200;
}

const struct wr_route wr_routes_look[] = {
	{ "GET", "/v1/flows", get_flows, "?client=IP[:port]&limit=N: connections" },
	{ "GET", "/v1/holds", get_holds, "?client=IP[:port]&limit=N: of these, with held bytes" },
	{ "POST", "/v1/trace", post_trace,
	  "{client, packets, seconds, payload}: copy its frames; one trace at a time" },
	{ "GET", "/v1/trace", get_trace, "how far it is, then once the pcapng file (base64)" },
	{ "POST", "/v1/trace/stop", post_trace_stop, "end it now" },
	{ 0 },
};
