/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir wire: what the kernel does with a link's frames when no dataplane does.
 *
 * Works without weir-control and without a dataplane: it is for the hour when neither runs.
 */
#include "xdp/xdp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/wire.h"
#include "config/config.h"

#define TAKE_WAIT_MS 3000 /* longer than the second of good beats that follows a stall */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static json_t *port_json(const struct wr_xdp_port_info *p)
{
	const struct wr_wire_count *c = &p->count;

	return json_pack("{s:s, s:i, s:i, s:s, s:{s:I,s:I}, s:{s:I,s:I}, s:{s:I,s:I}, s:{s:I,s:I}}",
	                 "interface", p->ifname, "ifindex", (int)p->ifindex, "program",
	                 (int)p->prog_id, "mode",
	                 !p->ifindex  ? "not here"
	                 : p->generic ? "generic"
	                              : "native",
	                 "socket", "frames", (json_int_t)c->socket_frames, "bytes",
	                 (json_int_t)c->socket_bytes, "open", "frames", (json_int_t)c->open_frames,
	                 "bytes", (json_int_t)c->open_bytes, "closed", "frames",
	                 (json_int_t)c->closed_frames, "bytes", (json_int_t)c->closed_bytes,
	                 "unserved", "frames", (json_int_t)c->unserved_frames, "bytes",
	                 (json_int_t)c->unserved_bytes);
}

static const char *policy_name(uint8_t p)
{
	return wr_wire_state_name(p == WR_WIRE_OPEN ? WR_WIRE_OPEN : WR_WIRE_CLOSED);
}

json_t *wr_wire_json(const char *link, char *err)
{
	struct wr_xdp *x = wr_xdp_open(link, err);
	struct wr_xdp_port_info port[2];
	const struct wr_wire_shared *w;
	uint64_t word, now = now_ns(), age;
	json_t *o;

	if (!x)
		return NULL;
	w = wr_xdp_page(x);
	word = wr_wire_decision(w);
	age = wr_xdp_oldest_beat_age(w, now);
	if (wr_xdp_port(x, WR_XDP_CLIENT, &port[0]) || wr_xdp_port(x, WR_XDP_STORE, &port[1])) {
		snprintf(err, WR_XDP_ERR, "the counters of link %s cannot be read", link);
		wr_xdp_close(x);
		return NULL;
	}
	o = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:s, s:s, s:I, s:I, s:I, s:i, s:o, s:o}",
	              "link", link, "state", wr_wire_state_name(wr_wire_state_of(word)), "cause",
	              wr_wire_cause_name(wr_wire_cause_of(word)), "epoch",
	              (json_int_t)wr_wire_epoch_of(word), "since_ms",
	              w->changed_ns ? json_integer((json_int_t)((now - w->changed_ns) / 1000000))
	                            : json_null(),
	              "beat_age_us",
	              age == UINT64_MAX ? json_null() : json_integer((json_int_t)(age / 1000)),
	              "on_process_death", policy_name(w->on_process_death), "on_worker_stall",
	              policy_name(w->on_worker_stall), "stall_limit_ms",
	              (json_int_t)(w->stall_limit_ns / 1000000), "opened", (json_int_t)w->opened,
	              "closed", (json_int_t)w->closed, "pid", (int)w->pid, "client",
	              port_json(&port[0]), "store", port_json(&port[1]));
	wr_xdp_close(x);
	return o;
}

static void print_port(const json_t *link, const char *side)
{
	static const char *const kind[] = { "socket", "open", "closed", "unserved" };
	const json_t *p = json_object_get(link, side);
	const char *name = wr_cli_str(p, "interface");

	printf("  %-7s%-16s%-8s", side, name, wr_cli_str(p, "mode"));
	for (size_t i = 0; i < WR_COUNT_OF(kind); i++) {
		const json_t *k = json_object_get(p, kind[i]);

		printf("  %s %lld (%lld B)", i == 1 ? "unscanned" : kind[i],
		       wr_cli_int(k, "frames"), wr_cli_int(k, "bytes"));
	}
	putchar('\n');
}

static void print_link(const json_t *o)
{
	const json_t *since = json_object_get(o, "since_ms"),
	             *beat = json_object_get(o, "beat_age_us");

	printf("link %s: %s (%s, epoch %lld", wr_cli_str(o, "link"), wr_cli_str(o, "state"),
	       wr_cli_str(o, "cause"), wr_cli_int(o, "epoch"));
	if (json_is_integer(since))
		printf(", for %.1f s", (double)json_integer_value(since) / 1000.0);
	printf(")\n  policy on death %s, on stall %s after %lld ms; opened %lld, closed %lld "
	       "times\n",
	       wr_cli_str(o, "on_process_death"), wr_cli_str(o, "on_worker_stall"),
	       wr_cli_int(o, "stall_limit_ms"), wr_cli_int(o, "opened"), wr_cli_int(o, "closed"));
	if (json_is_integer(beat))
		printf("  oldest heartbeat %.1f ms ago, dataplane pid %lld\n",
		       (double)json_integer_value(beat) / 1000.0, wr_cli_int(o, "pid"));
	else
		printf("  no dataplane serves it\n");
	print_port(o, "client");
	print_port(o, "store");
}

/* The links named on the command line, or all installed ones. Names are lent. */
static int pick(struct wr_cli *c, int argc, char **argv, bool all, char name[][WR_NAME_MAX])
{
	int n = 0;

	if (argc > 1) {
		for (int i = 1; i < argc && n < (int)WR_LINKS_MAX; i++, n++)
			snprintf(name[n], WR_NAME_MAX, "%s", argv[i]);
		return n;
	}
	if (!all) {
		wr_cli_fail(c, "name the link, or say --all");
		return 0;
	}
	n = wr_xdp_list(name, WR_LINKS_MAX);
	if (n == 0)
		wr_cli_fail(c, "no link is installed (weir wire install)");
	return n > (int)WR_LINKS_MAX ? (int)WR_LINKS_MAX : n;
}

static int run_status(struct wr_cli *c, int argc, char **argv)
{
	char name[WR_LINKS_MAX][WR_NAME_MAX], err[WR_XDP_ERR];
	int n = pick(c, argc, argv, true, name), rc = WR_EXIT_OK;
	json_t *all;

	if (n == 0)
		return WR_EXIT_FAIL;
	all = json_array();
	for (int i = 0; i < n; i++) {
		json_t *o = wr_wire_json(name[i], err);

		if (!o) {
			rc = wr_cli_fail(c, "%s", err);
			continue;
		}
		if (rc == WR_EXIT_OK && strcmp(wr_cli_str(o, "state"), "inspect") != 0)
			rc = WR_EXIT_NO;
		if (!c->json)
			print_link(o);
		json_array_append_new(all, o);
	}
	if (c->json)
		wr_cli_print_json(all);
	json_decref(all);
	return rc;
}

static int run_set(struct wr_cli *c, int argc, char **argv)
{
	char name[WR_LINKS_MAX][WR_NAME_MAX], err[WR_XDP_ERR];
	bool all = wr_cli_flag(&argc, argv, "--all");
	enum wr_wire_state s = strcmp(argv[0], "open") == 0 ? WR_WIRE_OPEN : WR_WIRE_CLOSED;
	int n = pick(c, argc, argv, all, name), rc = n ? WR_EXIT_OK : WR_EXIT_FAIL;

	for (int i = 0; i < n; i++) {
		struct wr_xdp *x = wr_xdp_open(name[i], err);

		if (!x) {
			rc = wr_cli_fail(c, "%s", err);
			continue;
		}
		wr_xdp_admin(wr_xdp_page(x), s);
		printf("link %s: %s until `weir wire inspect %s`\n", name[i], wr_wire_state_name(s),
		       name[i]);
		wr_xdp_close(x);
	}
	return rc;
}

static bool wait_inspect(const struct wr_wire_shared *w)
{
	for (int ms = 0; ms < TAKE_WAIT_MS; ms += 10) {
		if (wr_wire_state_of(wr_wire_decision(w)) == WR_WIRE_INSPECT)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return false;
}

static int run_inspect(struct wr_cli *c, int argc, char **argv)
{
	char name[WR_LINKS_MAX][WR_NAME_MAX], err[WR_XDP_ERR];
	bool all = wr_cli_flag(&argc, argv, "--all");
	int n = pick(c, argc, argv, all, name), rc = n ? WR_EXIT_OK : WR_EXIT_FAIL;

	for (int i = 0; i < n; i++) {
		struct wr_xdp *x = wr_xdp_open(name[i], err);
		struct wr_wire_shared *w;

		if (!x) {
			rc = wr_cli_fail(c, "%s", err);
			continue;
		}
		w = wr_xdp_page(x);
		wr_xdp_admin_free(w);
		if (wait_inspect(w)) {
			printf("link %s: the dataplane inspects\n", name[i]);
		} else {
			printf("link %s: freed, but no dataplane has taken it; policy on death "
			       "holds: %s\n",
			       name[i], policy_name(w->on_process_death));
			rc = rc == WR_EXIT_OK ? WR_EXIT_NO : rc;
		}
		wr_xdp_close(x);
	}
	return rc;
}

static int run_remove(struct wr_cli *c, int argc, char **argv)
{
	char name[WR_LINKS_MAX][WR_NAME_MAX], err[WR_XDP_ERR];
	bool all = wr_cli_flag(&argc, argv, "--all"), force = wr_cli_flag(&argc, argv, "--force");
	int n = pick(c, argc, argv, all, name), rc = n ? WR_EXIT_OK : WR_EXIT_FAIL;

	for (int i = 0; i < n; i++) {
		int e = wr_xdp_remove(name[i], force, err);

		if (e == 0)
			printf("link %s: removed; its interfaces carry nothing between them now\n",
			       name[i]);
		else if (e == -EBUSY && rc == WR_EXIT_OK)
			wr_cli_fail(c, "%s", err), rc = WR_EXIT_NO;
		else
			rc = wr_cli_fail(c, "%s", err);
	}
	return rc;
}

static int policy_of(const char *word)
{
	return !word                       ? -1
	       : strcmp(word, "open") == 0 ? WR_WIRE_OPEN
	       : strcmp(word, "closed")    ? -1
	                                   : WR_WIRE_CLOSED;
}

/* "100ms", "2s", or a plain number of milliseconds; 0 for anything else. */
static uint64_t duration_ns(const char *s)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	if (end == s || v > 3600000)
		return 0;
	if (strcmp(end, "s") == 0)
		return v * 1000000000u;
	return *end == '\0' || strcmp(end, "ms") == 0 ? v * 1000000u : 0;
}

static int install_one(struct wr_cli *c, const struct wr_xdp_conf *conf)
{
	char err[WR_XDP_ERR];
	int e = wr_xdp_install(conf, err);

	if (e)
		return wr_cli_fail(c, "%s", err);
	printf("link %s: installed on %s and %s, on death %s, on stall %s after %llu ms\n",
	       conf->link, conf->ifname[0], conf->ifname[1], policy_name(conf->on_process_death),
	       policy_name(conf->on_worker_stall),
	       (unsigned long long)(conf->stall_limit_ns / 1000000));
	return WR_EXIT_OK;
}

static bool named(int argc, char **argv, const char *link)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], link) == 0)
			return true;
	return argc == 1;
}

/* The AF_XDP links of weir.yaml: those named, or all. */
static int install_configured(struct wr_cli *c, int argc, char **argv)
{
	const char *file = c->config ? c->config : "/etc/weir/weir.yaml";
	struct wr_config_report rep = { 0 };
	struct wr_config *cfg = NULL;
	const struct wr_conf *conf;
	int rc = WR_EXIT_OK, n = 0;

	if (wr_config_load(&file, 1, &cfg, &rep)) {
		wr_config_report_print(&rep, stderr);
		wr_config_free(cfg);
		return wr_cli_fail(c, "%s is not valid: links stay as they are", file);
	}
	conf = wr_config_dataplane(cfg);
	for (uint32_t i = 0; i < conf->nlinks; i++) {
		char err[WR_XDP_ERR];
		struct wr_xdp_conf x;
		int is = named(argc, argv, conf->link[i].name)
		                 ? wr_xdp_conf_of(&conf->link[i], &x, err)
		                 : -ENOENT;

		if (is == -ENOENT)
			continue;
		n++;
		if (is < 0)
			rc = wr_cli_fail(c, "%s", err);
		else if (is == 0)
			printf("link %s: its ports belong to DPDK alone, the kernel has no part in "
			       "it "
			       "(docs/operate/fail-to-wire.md says what to do instead)\n",
			       conf->link[i].name);
		else if (install_one(c, &x))
			rc = WR_EXIT_FAIL;
	}
	wr_config_free(cfg);
	return n ? rc : wr_cli_fail(c, "%s has no such link", file);
}

static int run_install(struct wr_cli *c, int argc, char **argv)
{
	const char *client = wr_cli_opt(c, &argc, argv, "--client");
	const char *store = wr_cli_opt(c, &argc, argv, "--store");
	const char *death = wr_cli_opt(c, &argc, argv, "--on-process-death");
	const char *stall = wr_cli_opt(c, &argc, argv, "--on-worker-stall");
	const char *limit = wr_cli_opt(c, &argc, argv, "--stall-limit");
	struct wr_xdp_conf conf = { 0 };

	if (!client && !store && !death && !stall && !limit)
		return install_configured(c, argc, argv);
	if (!client || !store || argc != 2 || policy_of(death) < 0 || policy_of(stall) < 0 ||
	    strlen(client) >= IF_NAMESIZE || strlen(store) >= IF_NAMESIZE ||
	    strlen(argv[1]) >= WR_NAME_MAX)
		return wr_cli_usage_of(c, "wire", "install");
	snprintf(conf.link, sizeof(conf.link), "%s", argv[1]);
	snprintf(conf.ifname[0], IF_NAMESIZE, "%s", client);
	snprintf(conf.ifname[1], IF_NAMESIZE, "%s", store);
	conf.on_process_death = (uint8_t)policy_of(death);
	conf.on_worker_stall = (uint8_t)policy_of(stall);
	conf.stall_limit_ns = duration_ns(limit ? limit : "100ms");
	return install_one(c, &conf);
}

const struct wr_cmd wr_cmds_wire[] = {
	{ "wire", "status", "[LINK...]",
	  "what the kernel does with each link's frames (0: all inspect)", run_status },
	{ "wire", "install",
	  "[LINK...] | LINK --client IF --store IF --on-process-death open|closed "
	  "--on-worker-stall "
	  "open|closed [--stall-limit 100ms]",
	  "pin the fail-to-wire programs of weir.yaml's links, or of a pair of interfaces",
	  run_install },
	{ "wire", "open", "LINK... | --all", "planned work: frames pass unscanned", run_set },
	{ "wire", "closed", "LINK... | --all", "planned work: no frame passes", run_set },
	{ "wire", "inspect", "LINK... | --all",
	  "end of planned work: the dataplane may take the link", run_inspect },
	{ "wire", "remove", "LINK... | --all [--force]", "take the programs off the interfaces",
	  run_remove },
	{ 0 },
};
