/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Remote push: HTTPS with mutual TLS, nothing else. A client without a certificate of the
 * configured CA does not get past the handshake's check; a body goes to disk as it comes, up to the
 * limit.
 *
 *      PUT /v1/bundles         a .weir as the body
 *      GET /v1/bundles         status
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/bundles.h"
#include "config/log.h"

#define PEM_MAX     65536u
#define CONNECTIONS 16u
#define TIMEOUT_S   60u

struct wr_push_server {
	struct wr_api *api;
	struct MHD_Daemon *daemon;
	char *cert, *key, *ca;
	char dir[WR_CONFIG_PATH];
};

struct upload {
	int fd;
	uint64_t bytes;
	bool too_long, disk_full;
	char who[WR_LIFE_WHO_MAX];
};

static char *slurp(const char *path, char *err)
{
	char *text = calloc(1, PEM_MAX);
	FILE *f = fopen(path, "rbe");
	size_t n = f == NULL || text == NULL ? 0 : fread(text, 1, PEM_MAX - 1, f);

	if (n == 0) {
		snprintf(err, WR_API_ERR, "api.push: %.200s: %s", path, strerror(errno));
		free(text);
		text = NULL;
	}
	if (f != NULL)
		fclose(f);
	return text;
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT);
	struct MHD_Response *r;
	enum MHD_Result rc;

	json_decref(v);
	if (text == NULL)
		return MHD_NO;
	r = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (r == NULL)
		return MHD_NO;
	MHD_add_response_header(r, "Content-Type", "application/json");
	rc = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return rc;
}

/* Verified against our CA, and who it says it is. MHD asks for a certificate, it does not insist.
 */
static bool peer(struct MHD_Connection *c, char who[WR_LIFE_WHO_MAX])
{
	const union MHD_ConnectionInfo *i =
	        MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	gnutls_session_t s = i == NULL ? NULL : (gnutls_session_t)i->tls_session;
	const gnutls_datum_t *chain;
	unsigned status = ~0u, n = 0;
	gnutls_x509_crt_t crt;
	size_t size = WR_LIFE_WHO_MAX - 5;

	if (s == NULL || gnutls_certificate_verify_peers2(s, &status) != 0 || status != 0)
		return false;
	chain = gnutls_certificate_get_peers(s, &n);
	if (chain == NULL || n == 0 || gnutls_x509_crt_init(&crt) != 0)
		return false;
	strcpy(who, "cert:");
	if (gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER) != 0 ||
	    gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, who + 5, &size) !=
	            0)
		strcpy(who + 5, "unnamed");
	gnutls_x509_crt_deinit(crt);
	for (char *p = who; *p != '\0'; p++) /* it goes into JSON and logs */
		if (*p < 0x21 || *p > 0x7e || *p == '"' || *p == '\\')
			*p = '_';
	return true;
}

static void take(struct upload *u, const char *p, size_t n)
{
	u->bytes += n;
	if (u->bytes > WR_SHIP_LIMITS_DEFAULT.packed_bytes)
		u->too_long = true;
	while (n != 0 && !u->too_long && !u->disk_full) {
		ssize_t k = write(u->fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			u->disk_full = true;
			break;
		}
		p += k;
		n -= (size_t)k;
	}
}

static enum MHD_Result finish(struct wr_push_server *s, struct MHD_Connection *c, struct upload *u)
{
	char labels[96] = "";
	const char *code;
	json_t *reply = NULL;
	int status;

	if (u->too_long || u->disk_full) {
		status = u->too_long ? 413 : 507;
		reply = json_pack(
		        "{s:b,s:s,s:s}", "ok", 0, "code",
		        wr_refusal_name(u->too_long ? WR_REFUSE_TOO_LARGE : WR_REFUSE_NO_SPACE),
		        "error", u->too_long ? "the body is too large" : "the disk is full");
	} else {
		lseek(u->fd, 0, SEEK_SET);
		status = wr_life_push(wr_bundles_life(s->api), u->fd, u->who, &reply);
	}
	code = json_string_value(json_object_get(reply, "code"));
	wr_log(WR_LOG_INFO, "push", "who=%s bytes=%llu status=%d code=%s", u->who,
	       (unsigned long long)u->bytes, status, code == NULL ? "" : code);
	if (status >= 300 && code != NULL && json_object_get(reply, "state") == NULL) {
		wr_metrics_label(labels, sizeof(labels), "code", code);
		wr_metrics_add(s->api->metrics, "weir_bundle_rejected_total", labels, 1);
	}
	return answer(c, (unsigned)status, reply);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **state)
{
	struct wr_push_server *s = arg;
	struct upload *u = *state;
	json_t *reply = NULL;

	(void)version;
	if (u == NULL) {
		u = *state = calloc(1, sizeof(*u));
		if (u == NULL)
			return MHD_NO;
		u->fd = -1;
		if (!peer(c, u->who))
			return answer(
			        c, 403,
			        json_pack("{s:s}", "error",
			                  "a client certificate of the configured CA is needed"));
		return MHD_YES;
	}
	if (strcmp(path, "/v1/bundles") != 0) {
		*n = 0;
		wr_api_error(&reply, 404, "only /v1/bundles is here");
		return answer(c, 404, reply);
	}
	if (strcmp(method, "GET") == 0)
		return answer(c, 200, wr_life_status(wr_bundles_life(s->api)));
	if (strcmp(method, "PUT") != 0) {
		*n = 0;
		wr_api_error(&reply, 405, "GET or PUT");
		return answer(c, 405, reply);
	}
	if (u->fd < 0) {
		/* Without a name: whatever happens, nothing stays behind. */
		u->fd = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		u->disk_full |= u->fd < 0;
	}
	if (*n != 0) {
		take(u, data, *n);
		*n = 0;
		return MHD_YES;
	}
	return finish(s, c, u);
}

static void done(void *arg, struct MHD_Connection *c, void **state,
                 enum MHD_RequestTerminationCode why)
{
	struct upload *u = *state;

	(void)arg;
	(void)c;
	(void)why;
	if (u != NULL && u->fd >= 0)
		close(u->fd);
	free(u);
	*state = NULL;
}

/* "127.0.0.1:9478" or "[::1]:9478" */
static int listen_on(const char *where, char *err)
{
	char host[96];
	char *port;
	struct addrinfo hint = { .ai_socktype = SOCK_STREAM,
		                 .ai_flags = AI_NUMERICHOST | AI_PASSIVE };
	struct addrinfo *a = NULL;
	int fd = -1, on = 1;

	snprintf(host, sizeof(host), "%s", where[0] == '[' ? where + 1 : where);
	port = strrchr(host, ':');
	if (port != NULL) {
		*port++ = '\0';
		if (where[0] == '[' && strchr(host, ']') != NULL)
			*strchr(host, ']') = '\0';
	}
	if (port == NULL || getaddrinfo(host, port, &hint, &a) != 0) {
		snprintf(err, WR_API_ERR, "api.push.listen: %.90s is not ADDRESS:PORT", where);
		return -EINVAL;
	}
	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, 16) != 0) {
		int rc = -errno;

		snprintf(err, WR_API_ERR, "api.push.listen: %.90s: %s", where, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = rc;
	}
	freeaddrinfo(a);
	return fd;
}

int wr_push_start(struct wr_api *a, struct wr_push_server **out, char *err)
{
	const struct wr_control_conf *c = wr_config_control(a->cfg);
	struct wr_push_server *s;
	int fd;

	*out = NULL;
	if (c->push_listen[0] == '\0')
		return 0;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->api = a;
	snprintf(s->dir, sizeof(s->dir), "%.255s", c->state_dir);
	s->cert = slurp(c->push_cert, err);
	s->key = s->cert == NULL ? NULL : slurp(c->push_key, err);
	s->ca = s->key == NULL ? NULL : slurp(c->push_client_ca, err);
	fd = s->ca == NULL ? -EINVAL : listen_on(c->push_listen, err);
	if (fd >= 0) {
		s->daemon = MHD_start_daemon(
		        MHD_USE_TLS | MHD_USE_THREAD_PER_CONNECTION |
		                MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL,
		        0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
		        MHD_OPTION_HTTPS_MEM_KEY, s->key, MHD_OPTION_HTTPS_MEM_CERT, s->cert,
		        MHD_OPTION_HTTPS_MEM_TRUST, s->ca, MHD_OPTION_HTTPS_PRIORITIES,
		        "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2",
		        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
		        TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED, done, NULL, MHD_OPTION_END);
		if (s->daemon == NULL) {
			snprintf(err, WR_API_ERR, "api.push: cannot start TLS with %.150s",
			         c->push_cert);
			close(fd);
			fd = -EINVAL;
		}
	}
	if (fd < 0) {
		wr_push_stop(s);
		return fd;
	}
	wr_log(WR_LOG_INFO, "push.listen", "address=%s", c->push_listen);
	*out = s;
	return 0;
}

void wr_push_stop(struct wr_push_server *s)
{
	if (s == NULL)
		return;
	if (s->daemon != NULL)
		MHD_stop_daemon(s->daemon);
	free(s->cert);
	if (s->key != NULL)
		explicit_bzero(s->key, strlen(s->key));
	free(s->key);
	free(s->ca);
	free(s);
}
