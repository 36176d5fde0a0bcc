/* SPDX-License-Identifier: BSD-3-Clause */
/* weir top: two looks at the counters, and what happened between them. */
#include "cli/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double between(const json_t *a, const json_t *b, const char *key)
{
	return (double)(wr_cli_int(b, key) - wr_cli_int(a, key));
}

static double share(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

/* Bucket of 2^i microseconds that holds the 99th percentile of the interval; -1 = no uploads. */
static int p99(const json_t *a, const json_t *b)
{
	const json_t *x = json_object_get(a, "delay_us"), *y = json_object_get(b, "delay_us");
	size_t n = json_array_size(y);
	double sum = 0, at = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)(json_integer_value(json_array_get(y, i)) -
		                json_integer_value(json_array_get(x, i)));
	for (size_t i = 0; i < n && sum > 0; i++) {
		at += (double)(json_integer_value(json_array_get(y, i)) -
		               json_integer_value(json_array_get(x, i)));
		if (at >= 0.99 * sum)
			return (int)i;
	}
	return -1;
}

static void put_worker(const json_t *a, const json_t *b, double seconds)
{
	const json_t *sa = json_object_get(a, "stages"), *sb = json_object_get(b, "stages");
	double busy = between(a, b, "busy_cycles"), cycles = between(a, b, "cycles");
	const char *stage;
	int bucket = p99(a, b);
	json_t *v;

	printf("%-10s %5.1f%% %8.3f %8lld %8lld %10lld ", wr_cli_str(b, "name"),
	       share(busy, cycles), between(a, b, "rx_bytes") * 8 / seconds / 1e9,
	       wr_cli_int(b, "connections"), wr_cli_int(b, "uploads_active"),
	       wr_cli_int(b, "held_bytes"));
	if (bucket >= 0)
		printf("%8lldus ", 1ll << bucket);
	else
		printf("%10s ", "-");
	printf("%7lld  ", wr_cli_int(b, "ruleset_generation"));
	json_object_foreach((json_t *)(uintptr_t)sb, stage, v)
	{
		double k = between(sa, sb, stage);

		if (busy > 0 && k / busy >= 0.01)
			printf("%s %.0f%% ", stage, share(k, busy));
	}
	putchar('\n');
}

static void put_rates(const char *title, const json_t *a, const json_t *b, double seconds)
{
	const char *name;
	json_t *v;
	bool any = false;

	json_object_foreach((json_t *)(uintptr_t)b, name, v)
	{
		double d = between(a, b, name);

		if (d == 0)
			continue;
		printf("%s%s %.1f/s", any ? ", " : title, name, d / seconds);
		any = true;
	}
	if (any)
		putchar('\n');
}

static void put_verdicts(const json_t *a, const json_t *b, double seconds)
{
	const char *name;
	json_t *v;
	bool any = false;

	json_object_foreach((json_t *)(uintptr_t)json_object_get(b, "verdicts"), name, v)
	{
		const json_t *was = json_object_get(json_object_get(a, "verdicts"), name);
		double pass = between(was, v, "pass"), flag = between(was, v, "flag");
		double block = between(was, v, "block");

		if (pass + flag + block == 0)
			continue;
		printf("%s%s %.1f/s (pass %.1f, flag %.1f, block %.1f)", any ? ", " : "verdicts  ",
		       name, (pass + flag + block) / seconds, pass / seconds, flag / seconds,
		       block / seconds);
		any = true;
	}
	puts(any ? "" : "verdicts  none in this interval");
}

static void show(const json_t *a, const json_t *b)
{
	double seconds = between(a, b, "at_ns") / 1e9;
	const json_t *wa = json_object_get(a, "workers"), *wb = json_object_get(b, "workers");
	const json_t *dp = json_object_get(b, "dataplane");
	json_t *w;
	size_t i;

	if (!json_is_true(json_object_get(dp, "connected")))
		printf("dataplane not connected: %s\n", wr_cli_str(dp, "error"));
	printf("%-10s %6s %8s %8s %8s %10s %10s %7s  %s\n", "WORKER", "BUSY", "GBIT/S", "CONNS",
	       "UPLOADS", "HELD", "DELAY P99", "RULESET", "STAGES");
	json_array_foreach(wb, i, w) if (i < json_array_size(wa))
	        put_worker(json_array_get(wa, i), w, seconds);
	put_verdicts(a, b, seconds);
	put_rates("reasons   ", json_object_get(a, "reasons"), json_object_get(b, "reasons"),
	          seconds);
	if (wr_cli_int(dp, "draining_uploads") != 0)
		printf("draining  %lld upload(s) on older rulesets\n",
		       wr_cli_int(dp, "draining_uploads"));
}

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static int run_top(struct wr_cli *c, int argc, char **argv)
{
	bool once = wr_cli_flag(&argc, argv, "--once");
	const char *every = wr_cli_opt(c, &argc, argv, "--every");
	double s = every != NULL ? strtod(every, NULL) : 1;
	struct timespec pause;
	json_t *a, *b;

	if (argc > 1)
		return wr_cli_usage_of(c, NULL, "top");
	if (s < 0.1 || s > 3600)
		return wr_cli_fail(c, "--every wants seconds from 0.1 to 3600, not '%s'", every);
	pause.tv_sec = (time_t)s;
	pause.tv_nsec = (long)((s - (double)pause.tv_sec) * 1e9);
	signal(SIGINT, on_signal);
	a = wr_cli_ask(c, "GET", "/v1/stats", NULL);
	while (a != NULL && !stop) {
		nanosleep(&pause, NULL);
		b = wr_cli_ask(c, "GET", "/v1/stats", NULL);
		if (b == NULL)
			break;
		if (c->json) {
			json_t *o = json_pack("{s:O,s:O}", "before", a, "after", b);

			wr_cli_print_json(o);
			json_decref(o);
		} else {
			if (!once)
				fputs("\033[H\033[2J", stdout);
			show(a, b);
		}
		fflush(stdout);
		json_decref(a);
		a = b;
		if (once) {
			json_decref(a);
			return WR_EXIT_OK;
		}
	}
	if (a == NULL || !stop) {
		json_decref(a);
		return WR_EXIT_FAIL;
	}
	json_decref(a);
	return WR_EXIT_OK;
}

const struct wr_cmd wr_cmds_top[] = {
	{ NULL, "top", "[--once] [--every S]",
	  "live: workers, stages, verdicts, reasons (--once: plain text)", run_top },
	{ 0 },
};
