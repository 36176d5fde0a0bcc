/* SPDX-License-Identifier: BSD-3-Clause */
/* weir flows, weir holds, weir drops: what is on the wire at this moment, and what did not pass. */
#include "cli/cli.h"

#include "abi/reason.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- flows, holds
 * --------------------------------------------------------------------------------- */

static void put_end(char *out, size_t n, const json_t *r, const char *ip, const char *port)
{
	const char *a = wr_cli_str(r, ip);
	bool six = strchr(a, ':') != NULL;

	snprintf(out, n, "%s%s%s:%lld", six ? "[" : "", a, six ? "]" : "", wr_cli_int(r, port));
}

static double real(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static void put_upload(const json_t *u)
{
	if (!json_is_object(u)) {
		puts("-");
		return;
	}
	/* Escaped by weir-control already. */
	printf("%s %s%s", wr_cli_str(u, "method"), wr_cli_str(u, "host"), wr_cli_str(u, "path"));
	if (json_is_integer(json_object_get(u, "length")))
		printf(" %lld of %lld bytes\n", wr_cli_int(u, "bytes"), wr_cli_int(u, "length"));
	else
		printf(" %lld bytes\n", wr_cli_int(u, "bytes"));
}

static void put_flow(const json_t *r)
{
	char client[64], store[64];

	put_end(client, sizeof(client), r, "client", "client_port");
	put_end(store, sizeof(store), r, "store", "store_port");
	printf("%-6s %-22s %-22s %-10s %-8s %8.1f %6.1f %11lld %8lld  ", wr_cli_str(r, "worker"),
	       client, store, wr_cli_str(r, "state"), wr_cli_str(r, "waits_for"), real(r, "age_s"),
	       real(r, "idle_s"), wr_cli_int(r, "c2s_bytes"), wr_cli_int(r, "held_bytes"));
	put_upload(json_object_get(r, "upload"));
}

static void put_hold(const json_t *r)
{
	char client[64];

	put_end(client, sizeof(client), r, "client", "client_port");
	printf("%-6s %-22s %-8s %8lld %9.3f %6lld %6lld  ", wr_cli_str(r, "worker"), client,
	       wr_cli_str(r, "waits_for"), wr_cli_int(r, "held_bytes"), real(r, "held_s"),
	       wr_cli_int(r, "kept_segments"), wr_cli_int(r, "early_segments"));
	put_upload(json_object_get(r, "upload"));
}

static bool plain(const char *s)
{
	return s[strspn(s, "0123456789abcdefABCDEF.:[]")] == '\0';
}

static int show(struct wr_cli *c, int argc, char **argv, bool holds)
{
	const char *client = wr_cli_opt(c, &argc, argv, "--client");
	const char *limit = wr_cli_opt(c, &argc, argv, "--limit");
	char path[160];
	json_t *reply, *r;
	size_t i;

	if (argc > 1)
		return wr_cli_usage_of(c, NULL, holds ? "holds" : "flows");
	if ((client != NULL && (!plain(client) || strlen(client) > 60)) ||
	    (limit != NULL && (limit[strspn(limit, "0123456789")] != '\0' || strlen(limit) > 9)))
		return wr_cli_fail(c, "--client wants IP or IP:PORT, --limit a number");
	snprintf(path, sizeof(path), "/v1/%s?client=%s&limit=%s", holds ? "holds" : "flows",
	         client != NULL ? client : "", limit != NULL ? limit : "100");
	reply = wr_cli_ask(c, "GET", path, NULL);
	if (reply == NULL)
		return WR_EXIT_FAIL;
	if (c->json) {
		wr_cli_print_json(reply);
		json_decref(reply);
		return WR_EXIT_OK;
	}
	if (holds)
		printf("%-6s %-22s %-8s %8s %9s %6s %6s  %s\n", "WORKER", "CLIENT", "WAITS", "HELD",
		       "SECONDS", "KEPT", "EARLY", "UPLOAD");
	else
		printf("%-6s %-22s %-22s %-10s %-8s %8s %6s %11s %8s  %s\n", "WORKER", "CLIENT",
		       "STORE", "STATE", "WAITS", "AGE S", "IDLE S", "BYTES", "HELD", "UPLOAD");
	json_array_foreach(json_object_get(reply, "rows"), i, r)
	{
		if (holds)
			put_hold(r);
		else
			put_flow(r);
	}
	if (i == 0)
		puts(holds ? "nothing is held" : "no connection is followed");
	if (json_is_true(json_object_get(reply, "cut")))
		printf("(the first %zu; --limit N shows more, --client IP one client's)\n", i);
	if (wr_cli_str(reply, "missing")[0] != '\0')
		printf("(not all: %s)\n", wr_cli_str(reply, "missing"));
	json_decref(reply);
	return WR_EXIT_OK;
}

static int run_flows(struct wr_cli *c, int argc, char **argv)
{
	return show(c, argc, argv, false);
}

static int run_holds(struct wr_cli *c, int argc, char **argv)
{
	return show(c, argc, argv, true);
}

/* --- drops
 * ---------------------------------------------------------------------------------------- */

struct drops {
	const json_t *a, *b;
	double seconds;
	bool all;
	json_t *out;
};

static void add(struct drops *d, const char *where, const char *what, const char *action,
                const char *help, long long was, long long is)
{
	if (is == 0 && !d->all)
		return;
	json_array_append_new(d->out,
	                      json_pack("{s:s,s:s,s:s,s:s,s:I,s:f}", "where", where, "what", what,
	                                "action", action, "help", help, "count", (json_int_t)is,
	                                "per_second", (double)(is - was) / d->seconds));
}

static bool ends(const char *action)
{
	return strcmp(action, "drop") == 0 || strcmp(action, "block") == 0;
}

static void add_reasons(struct drops *d, const json_t *policy)
{
	for (unsigned i = 1; i < WR_R_COUNT; i++) {
		const struct wr_reason_info *r = wr_reason_info((enum wr_reason)i);
		const char *on = wr_cli_str(policy, r->name);
		const char *action = r->def == WR_RD_POLICY && on[0] != '\0' ? on
		                     : r->def == WR_RD_DROP                  ? "drop"
		                                                             : "";

		if (ends(action))
			add(d, "reason", r->name, action, r->help,
			    wr_cli_int(json_object_get(d->a, "reasons"), r->name),
			    wr_cli_int(json_object_get(d->b, "reasons"), r->name));
	}
}

static void add_ports(struct drops *d)
{
	static const struct {
		const char *key, *help;
	} row[] = {
		{ "rx_missed", "no worker fetched the frame in time" },
		{ "rx_nombuf", "no receive buffer was free" },
		{ "rx_errors", "the port itself refused the frame" },
		{ "tx_errors", "the port could not send the frame" },
		{ "wire_closed", "the kernel dropped it: the wire is closed" },
		{ "wire_unserved", "the kernel dropped it: nobody serves this receive queue" },
	};
	const char *port;
	json_t *o;

	json_object_foreach((json_t *)(uintptr_t)json_object_get(d->b, "ports"), port, o)
	{
		const json_t *was = json_object_get(json_object_get(d->a, "ports"), port);

		for (size_t i = 0; i < WR_COUNT_OF(row); i++)
			if (json_object_get(o, row[i].key) != NULL)
				add(d, port, row[i].key, "drop", row[i].help,
				    wr_cli_int(was, row[i].key), wr_cli_int(o, row[i].key));
	}
}

/* What workers dropped in all: the sum that the reasons above explain. */
static void add_workers(struct drops *d)
{
	const json_t *wa = json_object_get(d->a, "workers");
	json_t *w;
	size_t i;

	json_array_foreach(json_object_get(d->b, "workers"), i, w)
	{
		const json_t *was = json_array_get(wa, i);

		add(d, wr_cli_str(w, "name"), "frames dropped", "drop",
		    "all frames that ended in this worker, for whatever reason",
		    (long long)json_integer_value(json_array_get(json_object_get(was, "fate"), 3)),
		    (long long)json_integer_value(json_array_get(json_object_get(w, "fate"), 3)));
		add(d, wr_cli_str(w, "name"), "queue full", "drop",
		    "the port's queue took no more; TCP repeats it", wr_cli_int(was, "tx_dropped"),
		    wr_cli_int(w, "tx_dropped"));
	}
}

static void print(const json_t *out)
{
	json_t *o;
	size_t i;

	printf("%-12s %-22s %-6s %12s %10s  %s\n", "WHERE", "WHAT", "ACTION", "COUNT", "PER S",
	       "MEANING");
	json_array_foreach(out, i, o)
	        printf("%-12s %-22s %-6s %12lld %10.1f  %s\n", wr_cli_str(o, "where"),
	               wr_cli_str(o, "what"), wr_cli_str(o, "action"), wr_cli_int(o, "count"),
	               real(o, "per_second"), wr_cli_str(o, "help"));
	if (i == 0)
		puts("nothing was dropped");
}

static int run_drops(struct wr_cli *c, int argc, char **argv)
{
	const char *every = wr_cli_opt(c, &argc, argv, "--every");
	struct drops d = { .all = wr_cli_flag(&argc, argv, "--all") };
	double s = every != NULL ? strtod(every, NULL) : 1;
	json_t *a, *b = NULL, *reasons = NULL;

	if (argc > 1)
		return wr_cli_usage_of(c, NULL, "drops");
	if (s < 0.1 || s > 3600)
		return wr_cli_fail(c, "--every wants seconds from 0.1 to 3600, not '%s'", every);
	a = wr_cli_ask(c, "GET", "/v1/stats", NULL);
	if (a != NULL) {
		struct timespec pause = { .tv_sec = (time_t)s };

		pause.tv_nsec = (long)((s - (double)pause.tv_sec) * 1e9);
		nanosleep(&pause, NULL);
		b = wr_cli_ask(c, "GET", "/v1/stats", NULL);
	}
	if (b != NULL)
		reasons = wr_cli_ask(c, "GET", "/v1/reasons", NULL);
	if (reasons != NULL) {
		d.a = a;
		d.b = b;
		d.seconds = (double)(wr_cli_int(b, "at_ns") - wr_cli_int(a, "at_ns")) / 1e9;
		d.out = json_array();
		add_workers(&d);
		add_reasons(&d, json_object_get(reasons, "policy"));
		add_ports(&d);
		if (c->json)
			wr_cli_print_json(d.out);
		else
			print(d.out);
		json_decref(d.out);
	}
	json_decref(a);
	json_decref(b);
	json_decref(reasons);
	return reasons != NULL ? WR_EXIT_OK : WR_EXIT_FAIL;
}

const struct wr_cmd wr_cmds_flows[] = {
	{ NULL, "flows", "[--client IP[:PORT]] [--limit N]",
	  "connections that are followed, with what each waits for", run_flows },
	{ NULL, "holds", "[--client IP[:PORT]] [--limit N]",
	  "of these, where bytes are held, and since when", run_holds },
	{ NULL, "drops", "[--every S] [--all]", "what did not pass, by reason and port, with rates",
	  run_drops },
	{ 0 },
};
