/* SPDX-License-Identifier: BSD-3-Clause */
/* Bundles on the control socket: push a file, status, the two ways back, the overlay. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/bundles.h"
#include "bundle/text.h"
#include "config/log.h"

static void who(const struct wr_request *r, char out[WR_LIFE_WHO_MAX])
{
	snprintf(out, WR_LIFE_WHO_MAX, "uid:%d", (int)r->uid);
}

/* False: this server has no life of bundles (a test's, or one that is still starting). */
static bool ready(struct wr_api *a, json_t **reply)
{
	if (wr_bundles_life(a) != NULL)
		return true;
	wr_api_error(reply, 503, "bundles are not ready yet; try again");
	return false;
}

static const char *str(const struct wr_request *r, const char *key)
{
	return json_string_value(json_object_get(r->body, key));
}

static void count_rejection(struct wr_api *a, int status, const json_t *reply)
{
	const char *code = json_string_value(json_object_get(reply, "code"));
	char labels[96] = "";

	/* The loader counts what it refuses itself; these never reached it. */
	if (status == 200 || status == 202 || code == NULL ||
	    json_object_get(reply, "state") != NULL)
		return;
	wr_metrics_label(labels, sizeof(labels), "code", code);
	wr_metrics_add(a->metrics, "weir_bundle_rejected_total", labels, 1);
	wr_log(WR_LOG_WARN, "bundle.rejected", "code=%s", code);
}

/* {"file": "/path/core-412.weir"}: this machine's own disk; remote pushes come by HTTPS. */
static int post_push(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	const char *path = str(r, "file");
	char me[WR_LIFE_WHO_MAX];
	struct stat st;
	int fd, status;

	if (!ready(a, reply))
		return 503;
	if (path == NULL || path[0] != '/')
		return wr_api_error(reply, 400,
		                    "name the archive: {\"file\": \"/path/NAME-VERSION.weir\"}");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		status = wr_api_error(reply, 400, "weir-control cannot read %.200s: %s", path,
		                      fd < 0 ? strerror(errno) : "it is not a file");
	} else {
		who(r, me);
		status = wr_life_push(wr_bundles_life(a), fd, me, reply);
		count_rejection(a, status, *reply);
	}
	if (fd >= 0)
		close(fd);
	return status;
}

static int get_status(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	(void)r;
	if (!ready(a, reply))
		return 503;
	*reply = wr_life_status(wr_bundles_life(a));
	return 200;
}

static int get_hunts(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	(void)r;
	*reply = json_pack("{s:o}", "hunts", wr_bundles_hunts(a));
	return 200;
}

static int order(const struct wr_request *r, struct wr_life_order *o, char me[WR_LIFE_WHO_MAX],
                 json_t **reply)
{
	const char *expires = str(r, "expires");

	who(r, me);
	*o = (struct wr_life_order){ .bundle = str(r, "bundle"),
		                     .item = str(r, "item"),
		                     .reason = str(r, "reason"),
		                     .ticket = str(r, "ticket"),
		                     .who = me,
		                     .to = str(r, "to"),
		                     .digest = str(r, "digest"),
		                     .percent =
		                             json_number_value(json_object_get(r->body, "percent")),
		                     .hold = json_is_true(json_object_get(r->body, "hold")) };
	if (json_integer_value(json_object_get(r->body, "version")) > 0)
		o->version = (uint64_t)json_integer_value(json_object_get(r->body, "version"));
	if (o->bundle == NULL)
		return wr_api_error(reply, 400, "name the bundle: {\"bundle\": \"core\"}");
	if (expires != NULL && !wr_text_time(expires, &o->expires))
		return wr_api_error(reply, 400,
		                    "`expires` must be a time like 2026-12-01T00:00:00Z");
	return 0;
}

static int with_order(struct wr_api *a, const struct wr_request *r, json_t **reply,
                      int (*run)(struct wr_life *, const struct wr_life_order *, json_t **))
{
	char me[WR_LIFE_WHO_MAX];
	struct wr_life_order o;
	int status = ready(a, reply) ? order(r, &o, me, reply) : 503;

	return status != 0 ? status : run(wr_bundles_life(a), &o, reply);
}

static int post_rollback(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	return with_order(a, r, reply, wr_life_rollback);
}

static int post_promote(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	int status = with_order(a, r, reply, wr_life_promote);
	const char *to = str(r, "to");

	if ((status == 200 || status == 202) && strcmp(to, "enforce") == 0)
		wr_bundles_lifted(a, str(r, "bundle"), str(r, "item"));
	return status;
}

static int post_suppress(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	return with_order(a, r, reply, wr_life_suppress);
}

const struct wr_route wr_routes_bundle[] = {
	{ "GET", "/v1/bundles", get_status, "versions, floors, pins, overlays, refusals" },
	{ "GET", "/v1/hunts", get_hunts,
	  "past uploads that passed and match what came into force" },
	{ "POST", "/v1/bundles/push", post_push, "{file}: verify, compile, put in force" },
	{ "POST", "/v1/bundles/rollback", post_rollback,
	  "{bundle, reason, version?, hold?}: back to a kept version" },
	{ "POST", "/v1/bundles/promote", post_promote,
	  "{bundle, item, to, percent?, reason, expires?}: lower an item, or lift that" },
	{ "POST", "/v1/bundles/suppress", post_suppress,
	  "{bundle, item, digest?, reason, ticket?, expires?}: switch an item or entry off" },
	{ 0 },
};
