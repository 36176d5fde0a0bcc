/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * api - HTTP for people and machines: the control socket (UNIX) and the metrics address (TCP).
 *
 * takes    requests; answers JSON, errors as {"error": "one line that says what to do"}
 * gives    a table of routes; rooms add their own: routes_NAME.c with wr_routes_NAME[]
 * owns     two listeners and their threads
 * lends    the request, for the call of its handler
 * threads  a handler runs in a thread of its own connection; handlers run side by side
 * limits   WR_API_BODY_MAX bytes of a body, WR_API_CONNECTIONS connections
 * fails    the socket in use or the address taken: -errno and one line
 */
#ifndef WR_API_API_H
#define WR_API_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "audit/audit.h"
#include "base/base.h"
#include "config/config.h"
#include "health/health.h"
#include "link/link.h"
#include "metrics/metrics.h"

#define WR_API_BODY_MAX    (64u << 20)
#define WR_API_CONNECTIONS 64u
#define WR_API_ERR         400u

struct wr_loader;

struct wr_api { /* what handlers work on; filled by main */
	struct wr_config *cfg;
	const char *const *files; /* the configuration's files, for reload */
	unsigned nfiles;
	struct wr_link *link;
	struct wr_audit *audit;
	struct wr_metrics *metrics;
	struct wr_loader *loader;
	uint64_t started_ns; /* CLOCK_REALTIME */
	void *bundle;        /* the life cycle of bundles, if that room is there */
};

struct wr_request {
	const char *method, *path;
	const char *(*query)(const struct wr_request *r, const char *key); /* NULL: absent */
	const json_t *body; /* NULL: none, or not JSON */
	const void *raw;    /* the body's bytes */
	size_t raw_len;
	uid_t uid; /* of the peer; (uid_t)-1 on TCP */
	gid_t gid;
	pid_t pid;
	void *connection;
};

/* Gives the HTTP status; *reply (never NULL after) is taken by the caller. */
typedef int wr_route_fn(struct wr_api *a, const struct wr_request *r, json_t **reply);

struct wr_route {
	const char *method,
	        *path; /* exact; a path that ends in slash matches what begins with it */
	wr_route_fn *run;
	const char *help;
};

/* An error answer: {"error": ...}; gives status, for `return wr_api_error(...)`. */
WR_PRINTF(3, 4) int wr_api_error(json_t **reply, int status, const char *fmt, ...);

struct wr_api_server;
/* Claims and opens both addresses; nobody is answered yet. err: WR_API_ERR bytes. */
WR_MUST_USE int wr_api_open(struct wr_api *a, struct wr_api_server **out, char *err);
/* Answers from now on: everything in struct wr_api must be there. */
WR_MUST_USE int wr_api_start(struct wr_api_server *s, char *err);
void wr_api_stop(struct wr_api_server *s);

/* --- loading a bundle (load.c)
 * --------------------------------------------------------------------- */

/* The folder of compiled shards and of the active bundle; 0700. */
WR_MUST_USE int wr_loader_new(const struct wr_config *cfg, struct wr_link *link,
                              struct wr_metrics *metrics, struct wr_loader **out, char *err);
void wr_loader_free(struct wr_loader *l);
/* What was active before: the link pushes it as soon as there is a dataplane. -ENOENT: nothing. */
WR_MUST_USE int wr_loader_restore(struct wr_loader *l);
/*
 * Compiles the bundles by weir-compile, pushes the result, makes it the active one. Gives an HTTP
 * status; *reply is what weir-compile said, with "state": active | waiting (no dataplane: it gets
 * it as soon as it is there) | staged (too many generations drain: wr_loader_resume) | rejected.
 */
int wr_loader_load(struct wr_loader *l, const char *const *dirs, unsigned ndirs, json_t **reply);
/*
 * What waits for a drain (the state of wr_loader_load's answer was `staged`): one more attempt.
 * 404: nothing waits; 202 with state `staged`: it still does; else as wr_loader_load.
 */
int wr_loader_resume(struct wr_loader *l, json_t **reply);
/* What is active: compile's answer, "activated", "source"; null when nothing is. New reference. */
json_t *wr_loader_active(struct wr_loader *l);

#endif
