/* SPDX-License-Identifier: BSD-3-Clause */
/* Status, reasons, drain, reload, loading a bundle. */
#include "api/api.h"

#include "api/bundles.h"
#include "config/log.h"
#include "xdp/xdp.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static json_t *health_json(struct wr_api *a)
{
	json_t *o = json_object(), *checks = json_array();
	struct wr_health h;

	wr_health_check(wr_config_dataplane(a->cfg), a->link, a->audit, &h);
	for (unsigned i = 0; i < h.n; i++)
		json_array_append_new(checks,
		                      json_pack("{s:s,s:b,s:s}", "check", h.check[i].name, "ok",
		                                h.check[i].ok, "text", h.check[i].text));
	json_object_set_new(o, "ready", json_boolean(h.ready));
	json_object_set_new(o, "checks", checks);
	return o;
}

static json_t *dataplane_json(struct wr_api *a)
{
	struct wr_link_status st;
	char meta[65];

	wr_link_status(a->link, &st);
	wr_hex_put(st.last.meta_sha256, 32, meta);
	return json_pack("{s:b,s:b,s:s,s:i,s:i,s:I,s:I,s:I,s:I,s:s,s:s,s:s}", "connected",
	                 st.connected, "synced", st.synced, "error", st.error, "pid",
	                 st.connected ? (int)st.welcome.pid : 0, "workers", (int)st.welcome.workers,
	                 "generation", (json_int_t)st.last.generation, "draining_uploads",
	                 (json_int_t)st.last.draining_uploads, "generations",
	                 (json_int_t)st.last.generations, "connects", (json_int_t)st.connects,
	                 "digest_engine", st.last.digest_engine, "text", st.last.text, "ruleset",
	                 meta);
}

static json_t *records_json(struct wr_api *a)
{
	struct wr_audit_counts n;

	wr_audit_counts(a->audit, &n);
	return json_pack("{s:s,s:I,s:I,s:I,s:b,s:s}", "path",
	                 wr_config_control(a->cfg)->records_path, "written", (json_int_t)n.written,
	                 "bytes", (json_int_t)n.bytes, "invalid", (json_int_t)n.invalid, "stalled",
	                 n.stalled, "error", n.error);
}

static int get_status(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	const struct wr_conf *c = wr_config_dataplane(a->cfg);
	json_t *services = json_array(), *links = json_array();

	(void)r;
	for (uint32_t i = 0; i < c->nservices; i++)
		json_array_append_new(
		        services,
		        json_pack("{s:s,s:s}", "name", c->service[i].name, "mode",
		                  c->service[i].mode == WR_MODE_OBSERVE ? "observe" : "enforce"));
	for (uint32_t i = 0; i < c->nlinks; i++)
		json_array_append_new(links,
		                      json_pack("{s:s,s:s,s:s}", "name", c->link[i].name,
		                                "on_process_death",
		                                c->link[i].on_process_death ? "open" : "closed",
		                                "on_worker_stall",
		                                c->link[i].on_worker_stall ? "open" : "closed"));
	*reply = json_pack("{s:s,s:s,s:i,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:b,s:b}", "version",
	                   WR_VERSION, "node", c->node, "pid", (int)getpid(), "started",
	                   (json_int_t)(a->started_ns / 1000000000ull), "health", health_json(a),
	                   "dataplane", dataplane_json(a), "records", records_json(a), "bundle",
	                   wr_loader_active(a->loader), "services", services, "links", links,
	                   "allow_unsigned", wr_config_control(a->cfg)->allow_unsigned, "lab",
	                   (int)c->lab);
	return 200;
}

/* Counts over all workers, and what the policy of the first service (or one by ?service=) says. */
static int get_reasons(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	const struct wr_conf *c = wr_config_dataplane(a->cfg);
	const char *service = r->query(r, "service");
	struct wr_session *s = wr_session_get(a->link);
	json_t *counts = json_object(), *policy = json_object();
	uint32_t svc = 0;

	while (service != NULL && svc < c->nservices && strcmp(c->service[svc].name, service) != 0)
		svc++;
	for (unsigned i = 1; i < WR_R_COUNT; i++) {
		const char *name = wr_reason_info((enum wr_reason)i)->name;
		uint64_t n = 0;

		for (uint32_t w = 0; s != NULL && w < s->workers; w++)
			n += wr_counter_get(&wr_session_stats(s, w)->reason[i]);
		json_object_set_new(counts, name, json_integer((json_int_t)n));
		if (svc < c->nservices)
			json_object_set_new(policy, name,
			                    json_string(wr_config_on_name(
			                            c->service[svc].policy.on_reason[i])));
	}
	wr_session_put(a->link, s);
	if (service != NULL && svc == c->nservices) {
		json_decref(counts);
		json_decref(policy);
		return wr_api_error(reply, 404, "no service '%.40s' in weir.yaml", service);
	}
	*reply = json_pack("{s:o,s:o}", "counts", counts, "policy", policy);
	return 200;
}

static json_t *counters(const wr_counter *c, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_integer((json_int_t)wr_counter_get(&c[i])));
	return list;
}

static json_t *worker_json(const struct wr_conf *c, const struct wr_session *s, uint32_t w)
{
	const struct wr_stats *st = wr_session_stats(s, w);
	json_t *stages = json_object(), *o;

	for (unsigned i = 0; i < WR_STAGE_COUNT; i++)
		json_object_set_new(stages, wr_stage_name((enum wr_stage)i),
		                    json_integer((json_int_t)wr_counter_get(&st->stage_cycles[i])));
#define N(f) #f, (json_int_t)wr_counter_get(&st->f)
	o = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "name",
	              w < c->nworkers ? c->worker[w].name : "?", N(cycles), N(busy_cycles),
	              N(tsc_hz), N(longest_turn_ns), N(frames_held), N(connections),
	              N(uploads_active), N(held_bytes), N(kept_bytes), N(hold_budget_bytes),
	              N(ruleset_generation), N(records_waiting));
#undef N
	json_object_set_new(o, "stages", stages);
	json_object_set_new(o, "fate", counters(st->fate, WR_FATE_COUNT));
	json_object_set_new(o, "delay_us", counters(st->delay_us, WR_HIST_BUCKETS));
	json_object_set_new(o, "rx_bytes",
	                    json_integer((json_int_t)(wr_counter_get(&st->port[0].rx_bytes) +
	                                              wr_counter_get(&st->port[1].rx_bytes))));
	json_object_set_new(o, "tx_dropped",
	                    json_integer((json_int_t)(wr_counter_get(&st->port[0].tx_dropped) +
	                                              wr_counter_get(&st->port[1].tx_dropped))));
	return o;
}

static void wire_ports(const struct wr_conf_link *l, json_t *ports)
{
	struct wr_xdp_port_info info;
	struct wr_xdp_conf xc;
	char err[WR_XDP_ERR];
	struct wr_xdp *x = NULL;

	if (wr_xdp_conf_of(l, &xc, err) == 1)
		x = wr_xdp_open_ro(l->name, err);
	for (unsigned side = 0; x != NULL && side < 2; side++) {
		char name[WR_NAME_MAX + 8];
		json_t *o;

		snprintf(name, sizeof(name), "%s.%s", l->name, side == 0 ? "client" : "store");
		o = json_object_get(ports, name);
		if (o == NULL || wr_xdp_port(x, (enum wr_xdp_side)side, &info) != 0)
			continue;
		json_object_set_new(o, "wire_open",
		                    json_integer((json_int_t)info.count.open_frames));
		json_object_set_new(o, "wire_closed",
		                    json_integer((json_int_t)info.count.closed_frames));
		json_object_set_new(o, "wire_unserved",
		                    json_integer((json_int_t)info.count.unserved_frames));
	}
	wr_xdp_close(x);
}

static json_t *ports_json(const struct wr_conf *c, const struct wr_session *s)
{
	json_t *ports = json_object();

	for (uint32_t i = 0; s != NULL && i < c->nlinks * 2; i++) {
		const struct wr_stats_dev *d = &s->stats->dev[i / 2][i % 2];
		char name[WR_NAME_MAX + 8];

		snprintf(name, sizeof(name), "%s.%s", c->link[i / 2].name,
		         i % 2 == 0 ? "client" : "store");
#define N(f) #f, (json_int_t)wr_counter_get(&d->f)
		json_object_set_new(ports, name,
		                    json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
		                              N(rx_packets), N(rx_bytes), N(rx_missed),
		                              N(rx_nombuf), N(rx_errors), N(tx_packets),
		                              N(tx_bytes), N(tx_errors), N(link_up)));
#undef N
	}
	for (uint32_t i = 0; i < c->nlinks; i++)
		wire_ports(&c->link[i], ports);
	return ports;
}

/* Everything that `weir top` shows, as raw counters: rates are the asker's business. */
static int get_stats(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	const struct wr_conf *c = wr_config_dataplane(a->cfg);
	struct wr_session *s = wr_session_get(a->link);
	json_t *workers = json_array(), *reasons = json_object(), *verdicts = json_object();
	struct timespec ts;

	(void)r;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	for (uint32_t w = 0; s != NULL && w < s->workers; w++)
		json_array_append_new(workers, worker_json(c, s, w));
	for (unsigned i = 1; i < WR_R_COUNT; i++) {
		uint64_t n = 0;

		for (uint32_t w = 0; s != NULL && w < s->workers; w++)
			n += wr_counter_get(&wr_session_stats(s, w)->reason[i]);
		if (n != 0)
			json_object_set_new(reasons, wr_reason_info((enum wr_reason)i)->name,
			                    json_integer((json_int_t)n));
	}
	for (unsigned v = 0; v < WR_V_COUNT; v++) {
		uint64_t n[WR_A_COUNT] = { 0 };

		for (unsigned i = 0; i < WR_A_COUNT; i++)
			for (uint32_t w = 0; s != NULL && w < s->workers; w++)
				n[i] += wr_counter_get(&wr_session_stats(s, w)->verdict[v][i]);
		json_object_set_new(verdicts, wr_verdict_name((enum wr_verdict)v),
		                    json_pack("{s:I,s:I,s:I}", "pass", (json_int_t)n[WR_A_PASS],
		                              "flag", (json_int_t)n[WR_A_FLAG], "block",
		                              (json_int_t)n[WR_A_BLOCK]));
	}
	*reply = json_pack("{s:I,s:o,s:o,s:o,s:o,s:o}", "at_ns",
	                   (json_int_t)ts.tv_sec * 1000000000 + ts.tv_nsec, "workers", workers,
	                   "reasons", reasons, "verdicts", verdicts, "ports", ports_json(c, s),
	                   "dataplane", dataplane_json(a));
	wr_session_put(a->link, s);
	return 200;
}

static int post_load(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	const char *dirs[16];
	const json_t *list = json_object_get(r->body, "dirs"),
	             *one = json_object_get(r->body, "dir");
	unsigned n = 0;

	if (json_is_string(one))
		dirs[n++] = json_string_value(one);
	for (size_t i = 0; i < json_array_size(list) && n < WR_COUNT_OF(dirs); i++)
		if (json_is_string(json_array_get(list, i)))
			dirs[n++] = json_string_value(json_array_get(list, i));
	if (!wr_config_control(a->cfg)->allow_unsigned)
		return wr_api_error(reply, 403,
		                    "folders carry no signature: push a signed bundle (weir bundle "
		                    "push), or set trust.allow_unsigned in a lab");
	if (n == 0)
		return wr_api_error(reply, 400, "name the bundle's folder: {\"dir\": \"/path\"}");
	for (unsigned i = 0; i < n; i++)
		if (dirs[i][0] != '/')
			return wr_api_error(reply, 400, "'%.200s' must be an absolute path",
			                    dirs[i]);
	return wr_loader_load(a->loader, dirs, n, reply);
}

static int get_active(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	(void)r;
	*reply = wr_loader_active(a->loader);
	return 200;
}

static int drain(struct wr_api *a, bool on, json_t **reply)
{
	struct wr_msg_result res = { 0 };
	char err[WR_LINK_ERR] = "";
	int rc;

	rc = wr_link_ask(a->link, WR_MSG_DRAIN, on, 0, NULL, &res, NULL, err);
	if (rc != 0)
		return wr_api_error(reply, 503, "nothing has changed: %s", err);
	if (res.error != 0)
		return wr_api_error(reply, 409, "the dataplane refuses: %s",
		                    res.text[0] != '\0' ? res.text : strerror(abs(res.error)));
	*reply = json_pack("{s:b}", "draining", on);
	return 200;
}

/* Readiness goes with this answer, new connections go by policy at once. */
static int post_drain(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	(void)r;
	return drain(a, true, reply);
}

static int post_undrain(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	(void)r;
	return drain(a, false, reply);
}

struct reload {
	json_t *live, *refused;
};

static void sort_change(void *arg, const char *path, const char *was, const char *is,
                        enum wr_config_scope scope)
{
	struct reload *d = arg;
	json_t *o = json_pack("{s:s,s:s?,s:s?,s:s}", "key", path, "was", was, "is", is, "change",
	                      wr_config_scope_name(scope));

	json_array_append_new(scope == WR_SCOPE_LIVE ? d->live : d->refused, o);
}

/* All or nothing: a file of which half takes effect is a file that nobody can read. */
static int post_reload(struct wr_api *a, const struct wr_request *r, json_t **reply)
{
	struct wr_config_report *rep = calloc(1, sizeof(*rep));
	struct reload d = { json_array(), json_array() };
	struct wr_config *next = NULL;
	int status = 200;

	(void)r;
	if (rep == NULL || wr_config_load(a->files, a->nfiles, &next, rep) != 0) {
		const struct wr_config_diag *e = rep != NULL && rep->n != 0 ? &rep->d[0] : NULL;

		status = wr_api_error(reply, 422, "%s:%u:%u: %s; nothing was changed",
		                      e ? e->file : "", e ? e->line : 0, e ? e->col : 0,
		                      e ? e->text : "no memory");
		json_decref(d.live);
		json_decref(d.refused);
	} else {
		wr_config_diff(a->cfg, next, sort_change, &d);
		if (json_array_size(d.refused) != 0)
			status = 409;
		if (status == 200) {
			wr_audit_tune(a->audit, wr_config_control(next));
			wr_bundles_tune(a, wr_config_control(next));
		}
		*reply = json_pack("{s:b,s:o,s:o}", "ok", status == 200, "applied", d.live,
		                   "refused", d.refused);
		if (status == 409) {
			json_object_set_new(*reply, "applied", json_array());
			json_object_set_new(
			        *reply, "error",
			        json_string("some changes need a restart; nothing was changed"));
		}
	}
	wr_config_free(next);
	free(rep);
	return status;
}

const struct wr_route wr_routes_core[] = {
	{ "GET", "/v1/status", get_status, "who runs, with what, and is it ready" },
	{ "GET", "/v1/reasons", get_reasons, "counts of reasons and what policy does with them" },
	{ "GET", "/v1/stats", get_stats, "raw counters by worker" },
	{ "GET", "/v1/bundle/active", get_active, "what was compiled and is in force" },
	{ "POST", "/v1/bundle/load", post_load,
	  "{dir}: compile, push, wait until every worker uses it" },
	{ "POST", "/v1/drain", post_drain,
	  "take this machine out; undrain or a restart of the dataplane ends it" },
	{ "POST", "/v1/undrain", post_undrain, "take it back in" },
	{ "POST", "/v1/reload", post_reload, "read weir.yaml again; apply what can be" },
	{ 0 },
};
