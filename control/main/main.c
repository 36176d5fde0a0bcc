/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-control: bundles in, metrics, API and verdict records out.
 *
 * Starts without a dataplane and says so; takes the last active bundle from its state folder; stops
 * on SIGTERM after a last look at the rings.
 */
#include "api/api.h"
#include "api/bundles.h"
#include "config/log.h"
#include "main/watch.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX   8u
#define BUNDLES_MAX 8u

struct args {
	const char *files[FILES_MAX], *bundles[BUNDLES_MAX];
	unsigned nfiles, nbundles;
};

static int usage(const char *why)
{
	fprintf(stderr,
	        "weir-control: %s\n"
	        "usage: weir-control --config FILE [--merge FILE]... [--bundle DIR|FILE]...\n",
	        why);
	return 2;
}

static int parse(int argc, char **argv, struct args *a)
{
	for (int i = 1; i < argc; i++) {
		const char *o = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(o, "--version") == 0) {
			printf("weir-control %s\n", WR_VERSION);
			exit(0);
		}
		if (strcmp(o, "--debug") == 0) {
			wr_log_set_level(WR_LOG_DEBUG);
			continue;
		}
		if (v == NULL)
			return usage("an option lacks its value, or is unknown");
		i++;
		if ((strcmp(o, "--config") == 0 || strcmp(o, "--merge") == 0) &&
		    a->nfiles < FILES_MAX)
			a->files[a->nfiles++] = v;
		else if (strcmp(o, "--bundle") == 0 && a->nbundles < BUNDLES_MAX)
			a->bundles[a->nbundles++] = v;
		else
			return usage("an option is unknown");
	}
	return a->nfiles == 0 ? usage("--config is missing") : 0;
}

/* systemd's protocol is one datagram; no library for that. */
static void notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t n;
	int fd;

	if (path == NULL || strlen(path) >= sizeof(sa.sun_path))
		return;
	memcpy(sa.sun_path, path, strlen(path));
	n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (sa.sun_path[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&sa, n) < 0)
		wr_log(WR_LOG_WARN, "notify", "error=\"%s\"", strerror(errno));
	close(fd);
}

static uint64_t watchdog_ms(void)
{
	const char *us = getenv("WATCHDOG_USEC");

	return us != NULL ? strtoull(us, NULL, 10) / 2000 : 0;
}

/* Control keeps off the workers' cores; its children inherit that. */
static void pin(const char *cpus)
{
	cpu_set_t set;
	const char *p = cpus;

	CPU_ZERO(&set);
	while (*p != '\0') {
		char *end;
		unsigned long a = strtoul(p, &end, 10), b = a;

		if (*end == '-')
			b = strtoul(end + 1, &end, 10);
		for (; a <= b && a < CPU_SETSIZE; a++)
			CPU_SET(a, &set);
		p = *end == ',' ? end + 1 : end;
		if (p == end && *end != '\0')
			break;
	}
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		wr_log(WR_LOG_WARN, "cores.control",
		       "cores=%s error=\"%s\" hint=\"runs on any core\"", cpus, strerror(errno));
}

static int fail(const char *why)
{
	fprintf(stderr, "weir-control: %s\n", why);
	return 2;
}

/* Names the first thing that is wrong, with its place in the bundle. */
static int bundle_failed(const json_t *reply)
{
	const json_t *first = json_array_get(json_object_get(reply, "errors"), 0);
	const char *message = json_string_value(json_object_get(first, "message"));
	const char *file = json_string_value(json_object_get(first, "file"));
	const char *error = json_string_value(json_object_get(reply, "error"));
	char text[600];

	if (message != NULL)
		snprintf(text, sizeof(text), "bundle refused: %s:%d: %s", file != NULL ? file : "",
		         (int)json_integer_value(json_object_get(first, "line")), message);
	else
		snprintf(text, sizeof(text), "bundle refused: %s",
		         error != NULL ? error : "no reason given");
	return fail(text);
}

static int load_bundles(struct wr_api *a, const struct args *args)
{
	bool had = wr_loader_restore(a->loader) == 0;
	json_t *reply = NULL;
	int status, rc = 0;

	if (args->nbundles == 0) {
		if (!had)
			wr_log(WR_LOG_WARN, "bundle.none",
			       "hint=\"nothing is inspected until a bundle is "
			       "loaded: weir bundle load DIR\"");
		return 0;
	}
	status = wr_loader_load(a->loader, args->bundles, args->nbundles, &reply);
	if (status >= 300)
		rc = bundle_failed(reply);
	json_decref(reply);
	if (rc != 0 && had) {
		wr_log(WR_LOG_ERROR, "bundle.rejected",
		       "hint=\"the last active bundle stays in force\"");
		rc = 0;
	}
	return rc;
}

static bool has_ruleset(struct wr_api *a)
{
	json_t *v = wr_loader_active(a->loader);
	bool has = json_is_object(v);

	json_decref(v);
	return has;
}

static void wait_for_end(const sigset_t *set)
{
	uint64_t beat = watchdog_ms();
	struct timespec ts = { .tv_sec = beat != 0 ? (time_t)(beat / 1000) : 3600,
		               .tv_nsec = (long)(beat % 1000) * 1000000 };
	siginfo_t info;

	notify("READY=1");
	for (;;) {
		int sig = sigtimedwait(set, &info, &ts);

		if (sig == SIGTERM || sig == SIGINT) {
			wr_log(WR_LOG_INFO, "stop", "signal=%d", sig);
			notify("STOPPING=1");
			return;
		}
		if (sig < 0 && beat != 0)
			notify("WATCHDOG=1");
	}
}

static int start(struct wr_api *a, const struct args *args, const sigset_t *set)
{
	struct wr_api_server *server = NULL;
	struct wr_watch *watch = NULL;
	char err[WR_API_ERR] = "out of memory";
	int rc = 2;

	if (wr_link_new(wr_config_dataplane(a->cfg)->run_dir, &a->link) != 0 ||
	    wr_metrics_new(a->cfg, a->link, &a->metrics) != 0 ||
	    wr_loader_new(a->cfg, a->link, a->metrics, &a->loader, err) != 0 ||
	    wr_bundles_new(a, err) != 0) {
		rc = fail(err);
		goto out;
	}
	/* The socket first: a second weir-control must not touch the first one's records. */
	if (wr_api_open(a, &server, err) != 0 ||
	    wr_audit_new(a->cfg, a->link, wr_bundles_record, a, &a->audit, err) != 0) {
		rc = fail(err);
		goto out;
	}
	wr_metrics_watch(a->metrics, a->audit);
	if (wr_api_start(server, err) != 0) {
		rc = fail(err);
		goto out;
	}
	if (load_bundles(a, args) != 0)
		goto out;
	if (wr_bundles_start(a, has_ruleset(a), err) != 0) {
		rc = fail(err);
		goto out;
	}
	if (wr_audit_start(a->audit) != 0 || wr_link_start(a->link) != 0) {
		rc = fail("cannot start threads");
		goto out;
	}
	wr_log(WR_LOG_INFO, "start", "version=%s node=%s pid=%d", WR_VERSION,
	       wr_config_dataplane(a->cfg)->node, (int)getpid());
	watch = wr_watch_new(a);
	wait_for_end(set);
	rc = 0;
out:
	wr_watch_free(watch);
	wr_api_stop(server);
	wr_audit_free(a->audit);
	wr_bundles_free(a);
	wr_loader_free(a->loader);
	wr_metrics_free(a->metrics);
	wr_link_free(a->link);
	return rc;
}

int main(int argc, char **argv)
{
	struct wr_config_report rep = { 0 };
	struct args args = { 0 };
	static struct wr_api api;
	struct timespec ts;
	sigset_t set;
	int rc = parse(argc, argv, &args);

	if (rc != 0)
		return rc;
	umask(027);
	/* Records and keys pass through this memory: no core file, no ptrace by others. */
	prctl(PR_SET_DUMPABLE, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* before the first thread */
	signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0)
		return fail("libsodium does not start");
	if (wr_config_load(args.files, args.nfiles, &api.cfg, &rep) != 0) {
		wr_config_report_print(&rep, stderr);
		wr_config_free(api.cfg);
		return 2;
	}
	pin(wr_config_control(api.cfg)->control_cpus);
	clock_gettime(CLOCK_REALTIME, &ts);
	api.started_ns = (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
	api.files = args.files;
	api.nfiles = args.nfiles;
	rc = start(&api, &args, &set);
	wr_config_free(api.cfg);
	return rc;
}
