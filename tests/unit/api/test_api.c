/* SPDX-License-Identifier: BSD-3-Clause */
/* The API over its real socket, with a dataplane and a compiler that do as they are told. */
#include "../link/fake.h"
#include "api/api.h"
#include "tap.h"

#include <time.h>

static struct fake fake;
static char dir[64], file[128];
static struct wr_api api;
static struct wr_api_server *server;

static const char yaml[] =
        "node: n\ntrust: { bundles: {}, allow_unsigned: true }\nlinks: [ { name: a, client: { "
        "device: net_a }, store: { device: net_b }, "
        "on_process_death: open, on_worker_stall: closed } ]\n"
        "cores: { main: 0, workers: [ { name: w0, core: 1, link: a, queue: 0 } ] }\n"
        "services: [ { name: s1 } ]\npolicy: { match: block, suspect: flag, "
        "incomplete: block, error: block, skipped: flag, framing: block, overlap_conflict: block, "
        "midstream: block, one_way: block, not_http: block, bundle_expired: flag, "
        "on_overload: closed, on_records_lost: closed }\n";

/* What weir-compile promises: shards under --out, one line of JSON. $1 is always --out. */
static const char compiler[] =
        "#!/bin/sh\n"
        "out=$2; for b in \"$@\"; do :; done\n"
        "case $b in\n"
        "*/good*) printf %s \"$b\" >$out/t; h=$(sha256sum <$out/t | cut -c1-64); mv $out/t "
        "$out/$h.shard\n"
        "  echo "
        "'{\"ok\":true,\"meta\":\"'$h'\",\"shards\":[\"'$h'\"],\"bundles\":[{\"name\":\"core\","
        "\"version\":7,\"sha256\":\"00\"}],\"lists\":[{\"bundle\":\"core\",\"id\":\"l\",\"algo\":"
        "\"md5\","
        "\"entries\":3,\"bad_lines\":1}],\"rules\":2}';;\n"
        "*/bad*) echo "
        "'{\"ok\":false,\"errors\":[{\"file\":\"rules/a.yaml\",\"line\":3,\"message\":\"no\"}]}'; "
        "exit 1;;\n"
        "*/crash*) kill -SEGV $$;;\n"
        "*/noise*) echo hello;;\n"
        "*/lie*) echo '{\"ok\":true,\"meta\":\"../../etc\",\"shards\":[]}';;\n"
        "esac\n";

static void write_file(const char *name, const char *text, mode_t mode)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

static void write_config(const char *more)
{
	char text[4096];

	snprintf(text, sizeof(text),
	         "%sapi: { socket: %s/c.sock, metrics: \"\" }\nrun: { dir: %s, state: %s/state }\n"
	         "records: { path: %s/records%s }\n",
	         yaml, dir, dir, dir, dir, more);
	write_file("w.yaml", text, 0644);
}

static json_t *call(const char *method, const char *path, const char *body, int *status)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char req[2048], *buf = calloc(1, 1 << 20), *at;
	size_t n = 0;
	ssize_t k;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	json_t *o;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/c.sock", dir);
	*status = 0;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		free(buf);
		close(fd);
		return NULL;
	}
	snprintf(req, sizeof(req),
	         "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
	         method, path, strlen(body), body);
	if (send(fd, req, strlen(req), MSG_NOSIGNAL) < 0)
		printf("# send: %s\n", strerror(errno));
	while ((k = read(fd, buf + n, (1 << 20) - 1 - n)) > 0)
		n += (size_t)k;
	close(fd);
	sscanf(buf, "HTTP/1.1 %d", status);
	at = strstr(buf, "\r\n\r\n");
	o = at != NULL ? json_loads(at + 4, JSON_DECODE_ANY, NULL) : NULL;
	if (o == NULL && at != NULL)
		o = json_string(at + 4);
	free(buf);
	return o;
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

/* One request; status, and a word in the answer (as text). */
static void expect(const char *method, const char *path, const char *body, int want,
                   const char *word)
{
	int status;
	json_t *o = call(method, path, body, &status);
	char *t = o != NULL ? json_dumps(o, JSON_ENCODE_ANY) : NULL;

	OK(status == want && t != NULL && strstr(t, word) != NULL, "%s %s %.40s: %d, %s", method,
	   path, body, want, word);
	if (status != want || t == NULL || strstr(t, word) == NULL)
		printf("# %d %s\n", status, t);
	free(t);
	json_decref(o);
}

static void load(const char *name, int want, const char *word)
{
	char body[256];

	snprintf(body, sizeof(body), "{\"dir\":\"%s/%s\"}", dir, name);
	expect("POST", "/v1/bundle/load", body, want, word);
}

static void up(void)
{
	static const char *files[1]; /* the API keeps it */
	struct wr_config_report rep = { 0 };
	char err[WR_API_ERR] = "";

	files[0] = file;
	if (wr_config_load(files, 1, &api.cfg, &rep) != 0) {
		wr_config_report_print(&rep, stdout);
		exit(2);
	}
	api.files = files;
	api.nfiles = 1;
	WR_ASSERT(wr_link_new(dir, &api.link) == 0);
	WR_ASSERT(wr_metrics_new(api.cfg, api.link, &api.metrics) == 0);
	WR_ASSERT(wr_loader_new(api.cfg, api.link, api.metrics, &api.loader, err) == 0);
	IS(wr_api_open(&api, &server, err), 0, "the socket opens %s", err);
	WR_ASSERT(wr_audit_new(api.cfg, api.link, NULL, NULL, &api.audit, err) == 0);
	WR_ASSERT(wr_api_start(server, err) == 0 && wr_link_start(api.link) == 0);
}

static void down(void)
{
	wr_api_stop(server);
	wr_audit_free(api.audit);
	wr_loader_free(api.loader);
	wr_metrics_free(api.metrics);
	wr_link_free(api.link);
	wr_config_free(api.cfg);
	server = NULL;
	memset(&api, 0, sizeof(api));
}

static bool wait_link(bool up_)
{
	struct timespec pause = { .tv_nsec = 2000000 };
	struct wr_link_status st;

	for (int i = 0; i < 2500; i++) {
		wr_link_status(api.link, &st);
		if (st.connected == up_)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static void test_routes(void)
{
	expect("GET", "/v1/status", "", 200, "\"ready\": false");
	expect("GET", "/v1/nothing", "", 404, "no /v1/nothing here");
	expect("POST", "/v1/status", "", 405, "wrong method");
	expect("GET", "/v1/reasons", "", 200, "\"cl_te\": \"block\"");
	expect("GET", "/v1/reasons?service=zz", "", 404, "no service 'zz'");
	expect("GET", "/healthz", "", 200, "ok");
	expect("GET", "/metrics", "", 200, "weir_up{process=");
	expect("GET", "/readyz", "", 503, "FAIL dataplane: no weir-dataplane at");
	expect("POST", "/v1/bundle/load", "{", 400, "name the bundle's folder");
	expect("POST", "/v1/bundle/load", "{\"dir\":\"x\"}", 400, "absolute path");
	expect("POST", "/v1/drain", "", 503, "nothing has changed");
}

static void test_socket(void)
{
	struct wr_api_server *other = NULL;
	char err[WR_API_ERR] = "";
	int status;
	json_t *o;

	OK(wr_api_open(&api, &other, err) == -EADDRINUSE && strstr(err, "in use") != NULL,
	   "a second owner is refused: %s", err);
	o = call("GET", "/healthz", "", &status);
	IS(status, 200, "and the first one's socket still answers");
	json_decref(o);
}

static void test_load(void)
{
	char path[200];
	json_t *o;
	int status;

	load("good1", 202, "\"state\": \"waiting\"");
	fake_start(&fake, 1, FAULT_NONE);
	OK(wait_link(true), "a dataplane comes");
	load("bad", 422, "rules/a.yaml");
	load("crash", 500, "signal 11");
	load("noise", 500, "no answer");
	load("lie", 500, "names no meta shard");
	load("good2", 200, "\"state\": \"active\"");
	OK(fake.commits >= 1, "and the dataplane has it");
	atomic_store(&fake.fault, FAULT_STAGE);
	load("good3", 409, "not to our taste");
	atomic_store(&fake.fault, FAULT_NONE);
	o = call("GET", "/v1/bundle/active", "", &status);
	OK(strstr(json_string_value(json_array_get(json_object_get(o, "source"), 0)), "good2") !=
	           NULL,
	   "the old bundle stays the active one");
	json_decref(o);
	expect("GET", "/metrics", "", 200,
	       "weir_bundle_info{bundle=\\\"core\\\",version=\\\"7\\\"} 1");
	expect("GET", "/metrics", "", 200, "weir_list_entries{list=\\\"l\\\",algo=\\\"md5\\\"} 3");
	expect("GET", "/metrics", "", 200, "weir_bundle_rejected_total{code=\\\"bundle\\\"} 1");
	expect("GET", "/metrics", "", 200, "weir_bundle_rejected_total{code=\\\"push\\\"} 1");
	snprintf(path, sizeof(path), "%s/no-such-compiler", dir);
	setenv("WEIR_COMPILE", path, 1);
	load("good4", 500, "is it installed?");
	snprintf(path, sizeof(path), "%s/compile", dir);
	setenv("WEIR_COMPILE", path, 1);
}

/* Ready means: connected, the active ruleset in use, workers that poll, ports, records. */
static void test_ready(void)
{
	struct wr_stats *st = (struct wr_stats *)(void *)(fake.stats + 1);
	struct timespec ts, pause = { .tv_nsec = 5000000 };
	int status = 0;

	expect("GET", "/readyz", "", 503, "worker w0 does not poll");
	clock_gettime(CLOCK_MONOTONIC, &ts);
	wr_counter_set(&st->beat_ns, (uint64_t)ts.tv_sec * 1000000000ull + 60000000000ull);
	wr_counter_set(&st->port[0].polls, 1);
	wr_counter_set(&st->port[1].polls, 1);
	for (int i = 0; i < 1000 && status != 200; i++) {
		json_decref(call("GET", "/readyz", "", &status));
		nanosleep(&pause, NULL);
	}
	IS(status, 200, "ready when all of it holds");
	wr_counter_set(&st->beat_ns, 1);
	expect("GET", "/readyz", "", 503, "worker w0 does not poll");
}

static void test_restart(void)
{
	unsigned before = fake.commits;
	json_t *o;
	int status;

	down();
	fake_stop(&fake);
	up();
	IS(wr_loader_restore(api.loader), 0, "a restart begins with the last active bundle");
	fake_start(&fake, 2, FAULT_NONE);
	for (int i = 0; i < 1000 && fake.commits == before; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	OK(memcmp(fake.meta, (uint8_t[32]){ 0 }, 32) != 0, "and a new dataplane gets it");
	o = call("GET", "/v1/bundle/active", "", &status);
	OK(o != NULL && strcmp(text(json_array_get(json_object_get(o, "bundles"), 0), "name"),
	                       "core") == 0,
	   "it is the same");
	json_decref(o);
}

static void test_reload(void)
{
	expect("POST", "/v1/reload", "", 200, "\"applied\": []");
	write_config(", keep: 3");
	expect("POST", "/v1/reload", "", 200, "records.keep");
	write_config(", keep: 3 }\nhttp: { depth: 5");
	expect("POST", "/v1/reload", "", 409, "restart weir-dataplane");
	write_config(", kep: 3");
	expect("POST", "/v1/reload", "", 422, "did you mean 'keep'");
	expect("POST", "/v1/drain", "", 200, "draining");
	expect("GET", "/readyz", "", 503, "FAIL draining: draining: new connections go elsewhere");
	expect("POST", "/v1/undrain", "", 200, "\"draining\": false");
	/* The fake has no workers that poll: only this check is asked about. */
	expect("GET", "/readyz", "", 503, "ok draining: no");
}

static void test_look(void)
{
	json_t *o, *r;
	int status;

	expect("GET", "/v1/flows?client=nobody", "", 400, "is not an address");
	expect("GET", "/v1/flows?client=192.0.2.1:0", "", 400, "is not an address");
	expect("GET", "/v1/flows?client=%5B::1%5D80", "", 400, "is not an address");
	expect("GET", "/v1/flows?client=192.0.2.1:70000", "", 400, "is not an address");
	expect("GET", "/v1/flows?limit=0", "", 400, "limit wants");
	expect("GET", "/v1/holds?client=%5B2001:db8::1%5D:80", "", 200, "rows");
	o = call("GET", "/v1/flows?client=192.0.2.1:51544", "", &status);
	r = json_array_get(json_object_get(o, "rows"), 0);
	OK(status == 200 && json_array_size(json_object_get(o, "rows")) == 2, "two connections");
	OK(strcmp(text(r, "client"), "192.0.2.1") == 0 &&
	           strcmp(text(r, "state"), "inspected") == 0 &&
	           strcmp(text(r, "waits_for"), "tail") == 0,
	   "in words");
	OK(strncmp(text(json_object_get(r, "upload"), "path"), "\\\\x0a\\xff\\", 10) == 0,
	   "bytes of the wire are escaped: %.12s", text(json_object_get(r, "upload"), "path"));
	r = json_array_get(json_object_get(o, "rows"), 1);
	OK(strcmp(text(r, "state"), "?") == 0 && json_is_null(json_object_get(r, "upload")),
	   "what makes no sense is not believed");
	json_decref(o);
	atomic_store(&fake.fault, FAULT_FDS);
	expect("GET", "/v1/flows", "", 502, "does not fit");
	atomic_store(&fake.fault, FAULT_NONE);
	expect("POST", "/v1/trace", "{}", 400, "is not an address");
	expect("POST", "/v1/trace", "{\"client\":\"192.0.2.1\",\"packets\":1000000}", 400,
	       "packets");
	expect("POST", "/v1/trace", "{\"client\":\"192.0.2.1\",\"seconds\":0}", 400, "seconds");
	expect("POST", "/v1/trace", "{\"client\":\"192.0.2.1\",\"payload\":true}", 202, "running");
	expect("GET", "/v1/trace", "", 200, "\"pcapng\": \"Cg0NCg==\"");
	expect("POST", "/v1/trace/stop", "", 200, "stopped");
}

int main(void)
{
	char path[160];

	WR_ASSERT(sodium_init() >= 0);
	if (freopen("/dev/null", "w", stderr) == NULL) /* the log of weir-control */
		return 2;
	snprintf(dir, sizeof(dir), "/tmp/weir-api-%d", (int)getpid());
	snprintf(file, sizeof(file), "%s/w.yaml", dir);
	snprintf(fake.dir, sizeof(fake.dir), "%s", dir);
	mkdir(dir, 0700);
	write_config("");
	write_file("compile", compiler, 0755);
	write_file("c.sock", "stale", 0644);
	snprintf(path, sizeof(path), "%s/compile", dir);
	setenv("WEIR_COMPILE", path, 1);
	up();
	test_routes();
	test_socket();
	test_load();
	test_ready();
	test_restart();
	test_reload();
	test_look();
	down();
	fake_stop(&fake);
	snprintf(path, sizeof(path), "rm -rf %s", dir);
	if (system(path) != 0)
		printf("# cannot remove %s\n", dir);
	return tap_done();
}
