/* SPDX-License-Identifier: BSD-3-Clause */
/* libmicrohttpd around the table of routes. */
#include "api/api.h"

#include "config/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define X(name) extern const struct wr_route wr_routes_##name[];
WR_API_ROUTES
#undef X

static const struct wr_route *const tables[] = {
#define X(name) wr_routes_##name,
	WR_API_ROUTES
#undef X
};

struct wr_api_server {
	struct wr_api *api;
	struct MHD_Daemon *control, *metrics;
	char path[108];
	int lock, control_fd, metrics_fd;
};

struct body { /* of one request, grown as it comes in */
	char *p;
	size_t n;
	bool too_long;
};

int wr_api_error(json_t **reply, int status, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	*reply = json_pack("{s:s}", "error", text);
	if (*reply == NULL) /* not UTF-8 */
		*reply = json_pack("{s:s}", "error", "refused");
	return status;
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type,
                              void *text, size_t n)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result rc;

	if (r == NULL) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(r, "Content-Type", type);
	rc = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return rc;
}

static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned status, const char *text)
{
	char *copy = strdup(text);

	return copy == NULL ? MHD_NO
	                    : answer(c, status, "text/plain; charset=utf-8", copy, strlen(copy));
}

/* --- metrics, healthz, readyz: plain text on TCP and on the socket
 * ---------------------------------- */

static enum MHD_Result get_metrics(struct wr_api *a, struct MHD_Connection *c)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (f == NULL)
		return MHD_NO;
	wr_metrics_write(a->metrics, f);
	if (fclose(f) != 0) {
		free(text);
		return MHD_NO;
	}
	return answer(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, n);
}

static enum MHD_Result get_ready(struct wr_api *a, struct MHD_Connection *c)
{
	char text[WR_HEALTH_CHECKS * (WR_LINK_ERR + 40)];
	struct wr_health h;
	size_t n = 0;

	wr_health_check(wr_config_dataplane(a->cfg), a->link, a->audit, &h);
	text[0] = '\0';
	for (unsigned i = 0; i < h.n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %s: %s\n",
		                      h.check[i].ok ? "ok" : "FAIL", h.check[i].name,
		                      h.check[i].text);
	return answer_text(c, h.ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, text);
}

static bool get_plain(struct wr_api *a, struct MHD_Connection *c, const char *path,
                      enum MHD_Result *rc)
{
	if (strcmp(path, "/metrics") == 0)
		*rc = get_metrics(a, c);
	else if (strcmp(path, "/healthz") == 0)
		*rc = answer_text(c, MHD_HTTP_OK, "ok\n");
	else if (strcmp(path, "/readyz") == 0)
		*rc = get_ready(a, c);
	else
		return false;
	return true;
}

/* --- routes
 * ------------------------------------------------------------------------------------------ */

static const char *query(const struct wr_request *r, const char *key)
{
	return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, key);
}

static bool path_matches(const struct wr_route *r, const char *path)
{
	size_t n = strlen(r->path);

	if (r->path[n - 1] == '/')
		return strncmp(r->path, path, n) == 0;
	return strcmp(r->path, path) == 0;
}

static const struct wr_route *find(const char *method, const char *path, bool *known)
{
	*known = false;
	for (size_t t = 0; t < WR_COUNT_OF(tables); t++) {
		for (const struct wr_route *r = tables[t]; r->path != NULL; r++) {
			if (!path_matches(r, path))
				continue;
			*known = true;
			if (strcmp(r->method, method) == 0)
				return r;
		}
	}
	return NULL;
}

static void peer(struct MHD_Connection *c, struct wr_request *r)
{
	const union MHD_ConnectionInfo *i =
	        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred u;
	socklen_t n = sizeof(u);

	r->uid = (uid_t)-1;
	r->gid = (gid_t)-1;
	if (i != NULL && getsockopt(i->connect_fd, SOL_SOCKET, SO_PEERCRED, &u, &n) == 0) {
		r->uid = u.uid;
		r->gid = u.gid;
		r->pid = u.pid;
	}
}

static enum MHD_Result run(struct wr_api *a, struct MHD_Connection *c, const char *method,
                           const char *path, const struct body *b)
{
	struct wr_request r = { .method = method, .path = path, .query = query, .connection = c };
	const struct wr_route *route;
	json_t *reply = NULL, *parsed = NULL;
	bool known;
	int status;
	char *text;

	peer(c, &r);
	route = find(method, path, &known);
	r.raw = b->p;
	r.raw_len = b->n;
	if (b->n != 0)
		parsed = json_loadb(b->p, b->n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	r.body = parsed;
	if (b->too_long)
		status = wr_api_error(&reply, 413, "the body is larger than %u bytes",
		                      WR_API_BODY_MAX);
	else if (route == NULL)
		status = wr_api_error(&reply, known ? 405 : 404,
		                      known ? "wrong method for %.200s"
		                            : "no %.200s here; GET /v1/ lists "
		                              "what there is",
		                      path);
	else
		status = route->run(a, &r, &reply);
	json_decref(parsed);
	/* Changes are on record: who asked for what, and how it went. */
	if (strcmp(method, "GET") != 0)
		wr_log(WR_LOG_INFO, "api", "method=%s path=%s uid=%d pid=%d status=%d", method,
		       route != NULL ? route->path : "?", (int)r.uid, (int)r.pid, status);
	text = json_dumps(reply, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(reply);
	if (text == NULL)
		return MHD_NO;
	return answer(c, (unsigned)status, "application/json", text, strlen(text));
}

static enum MHD_Result on_control(void *arg, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **state)
{
	struct wr_api *a = arg;
	struct body *b = *state;
	enum MHD_Result rc;

	(void)version;
	if (b == NULL) {
		*state = calloc(1, sizeof(*b));
		return *state != NULL ? MHD_YES : MHD_NO;
	}
	if (*n != 0) {
		char *more = NULL;

		if (b->n + *n <= WR_API_BODY_MAX && !b->too_long)
			more = realloc(b->p, b->n + *n);
		b->too_long |= more == NULL;
		if (more != NULL) {
			memcpy(more + b->n, data, *n);
			b->p = more;
			b->n += *n;
		}
		*n = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") == 0 && get_plain(a, c, path, &rc))
		return rc;
	return run(a, c, method, path, b);
}

static void done(void *arg, struct MHD_Connection *c, void **state,
                 enum MHD_RequestTerminationCode why)
{
	struct body *b = *state;

	(void)arg;
	(void)c;
	(void)why;
	if (b != NULL)
		free(b->p);
	free(b);
	*state = NULL;
}

static enum MHD_Result on_metrics(void *arg, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **state)
{
	static int seen;
	enum MHD_Result rc;

	(void)version;
	(void)data;
	if (*state == NULL) {
		*state = &seen; /* the first call only shows the headers */
		return MHD_YES;
	}
	*n = 0;
	if (strcmp(method, "GET") != 0)
		return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
	if (get_plain(arg, c, path, &rc))
		return rc;
	return answer_text(c, MHD_HTTP_NOT_FOUND, "/metrics, /healthz and /readyz are here\n");
}

/* --- listeners
 * --------------------------------------------------------------------------------------- */

/* The lock tells a live owner from a socket file that a crash left behind. */
static int lock_socket(struct wr_api_server *s, char *err)
{
	char path[128];

	snprintf(path, sizeof(path), "%s.lock", s->path);
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0) {
		int rc = -errno;

		snprintf(err, WR_API_ERR, "control socket %s: cannot make its lock: %s", s->path,
		         strerror(-rc));
		return rc;
	}
	if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
		snprintf(err, WR_API_ERR,
		         "control socket %s is in use by another weir-control; stop it, or give "
		         "this one "
		         "its own api.socket",
		         s->path);
		return -EADDRINUSE;
	}
	return 0;
}

static int listen_unix(struct wr_api_server *s, const struct wr_control_conf *c, char *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct group *g = NULL;
	int fd, rc;

	snprintf(s->path, sizeof(s->path), "%s", c->api_socket);
	memcpy(sa.sun_path, s->path, strlen(s->path) + 1);
	rc = lock_socket(s, err);
	if (rc != 0)
		return rc;
	if (c->api_group[0] != '\0' && (g = getgrnam(c->api_group)) == NULL) {
		snprintf(err, WR_API_ERR, "api.group: there is no group '%s'", c->api_group);
		return -ENOENT;
	}
	unlink(s->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
	    chmod(s->path, 0660) == 0 && (g == NULL || chown(s->path, (uid_t)-1, g->gr_gid) == 0) &&
	    listen(fd, 64) == 0)
		return fd;
	rc = -errno;
	snprintf(err, WR_API_ERR, "control socket %s: %s", s->path, strerror(-rc));
	if (fd >= 0)
		close(fd);
	return rc;
}

static int listen_tcp(const char *addr, char *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE },
	                *list = NULL;
	char host[96];
	const char *port = strrchr(addr, ':') + 1;
	size_t n = (size_t)(port - 1 - addr);
	int fd = -1, rc = -EADDRNOTAVAIL, one = 1;

	snprintf(host, sizeof(host), "%.*s", (int)n, addr);
	if (host[0] == '[') {
		host[n - 1] = '\0';
		memmove(host, host + 1, n - 1);
	}
	if (getaddrinfo(host, port, &hints, &list) == 0) {
		fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
		    bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, 64) != 0) {
			rc = -errno;
			if (fd >= 0)
				close(fd);
			fd = -1;
		}
		freeaddrinfo(list);
	}
	if (fd < 0)
		snprintf(err, WR_API_ERR, "api.metrics %s: %s", addr, strerror(-rc));
	return fd >= 0 ? fd : rc;
}

int wr_api_open(struct wr_api *a, struct wr_api_server **out, char *err)
{
	const struct wr_control_conf *c = wr_config_control(a->cfg);
	struct wr_api_server *s = calloc(1, sizeof(*s));
	int rc = 0;

	if (s == NULL)
		return -ENOMEM;
	s->api = a;
	s->lock = s->control_fd = s->metrics_fd = -1;
	rc = listen_unix(s, c, err);
	if (rc >= 0) {
		s->control_fd = rc;
		rc = c->api_metrics[0] != '\0' ? listen_tcp(c->api_metrics, err) : 0;
	}
	if (rc < 0) {
		wr_api_stop(s);
		return rc;
	}
	if (c->api_metrics[0] != '\0')
		s->metrics_fd = rc;
	*out = s;
	return 0;
}

int wr_api_start(struct wr_api_server *s, char *err)
{
	/* A listening descriptor given to a daemon is closed by it. */
	s->control = MHD_start_daemon(
	        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0,
	        NULL, NULL, on_control, s->api, MHD_OPTION_LISTEN_SOCKET, s->control_fd,
	        MHD_OPTION_CONNECTION_LIMIT, WR_API_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, 60u,
	        MHD_OPTION_NOTIFY_COMPLETED, done, NULL, MHD_OPTION_END);
	if (s->control != NULL)
		s->control_fd = -1;
	if (s->control != NULL && s->metrics_fd >= 0) {
		s->metrics = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0,
		                              NULL, NULL, on_metrics, s->api,
		                              MHD_OPTION_LISTEN_SOCKET, s->metrics_fd,
		                              MHD_OPTION_CONNECTION_LIMIT, WR_API_CONNECTIONS,
		                              MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
		if (s->metrics != NULL)
			s->metrics_fd = -1;
	}
	if (s->control == NULL || s->metrics_fd >= 0) {
		snprintf(err, WR_API_ERR, "cannot start the threads of the control API");
		return -EIO;
	}
	return 0;
}

void wr_api_stop(struct wr_api_server *s)
{
	if (s == NULL)
		return;
	if (s->metrics != NULL)
		MHD_stop_daemon(s->metrics);
	if (s->control != NULL)
		MHD_stop_daemon(s->control);
	if (s->metrics_fd >= 0)
		close(s->metrics_fd);
	if (s->control_fd >= 0)
		close(s->control_fd);
	if (s->control != NULL || s->control_fd >= 0)
		unlink(s->path);
	if (s->lock >= 0)
		close(s->lock);
	free(s);
}
