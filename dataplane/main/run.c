/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <rte_pause.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "main/main.h"

#define IDLE_TURNS    32u    /* empty turns in a row before a worker that may sleep does */
#define IDLE_SLEEP_NS 50000u /* a frame waits for a sleeper at most so long: labs only */
#define POLL_MS       20
#define STATS_NS      100000000ull
#define LEAVE_NS      20000000 /* for the frames in the receive rings when the wire is handed over */

struct job {
	struct wr_worker *worker;
	const char *name;
	bool yield;
};

static atomic_int stop_signal, stop_workers;

static void on_signal(int sig)
{
	atomic_store(&stop_signal, sig);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	/* The vDSO answers: no system call. */
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- a worker's thread
 * --------------------------------------------------------------------------------------- */

static int run_worker(void *arg)
{
	const struct job *j = arg;
	const struct timespec nap = { 0, IDLE_SLEEP_NS };
	uint32_t empty = 0;
	char name[16]; /* what a kernel keeps of it */

	/* Whoever looks at threads (top -H, perf, a debugger) reads the configuration's name. */
	snprintf(name, sizeof(name), "weir-%.10s", j->name);
	(void)pthread_setname_np(pthread_self(), name);
	while (atomic_load_explicit(&stop_workers, memory_order_relaxed) == 0) {
		uint32_t n = wr_worker_turn(j->worker, clock_ns(CLOCK_MONOTONIC),
		                            clock_ns(CLOCK_REALTIME));

		empty = n != 0 ? 0 : empty + 1;
		if (!j->yield)
			continue;
		/* Two workers and main on one core: who finds nothing steps aside. */
		if (empty >= IDLE_TURNS)
			(void)nanosleep(&nap, NULL);
	}
	return 0;
}

/* --- the main lcore
 * ------------------------------------------------------------------------------------------ */

void wr_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t n = path != NULL ? strlen(path) : 0;
	int fd;

	if (n == 0 || n >= sizeof(sa.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, n);
	if (path[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&sa,
	             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
}

static void port_stats(const struct wr_boot *b)
{
	for (uint32_t i = 0; i < b->conf->nlinks; i++)
		for (uint32_t side = 0; side < 2; side++)
			wr_eth_stats(b->eth[i][side], &b->share.head->dev[i][side]);
}

/* Gauges that a worker would have to walk every lcore's cache for. */
static void pool_stats(const struct wr_boot *b)
{
	for (uint32_t i = 0; i < b->conf->nworkers; i++) {
		const struct wr_pools *p = &b->pools[i];
		const struct rte_mempool *mp[4] = { p->rx, p->small, p->large, p->gen };

		for (uint32_t k = 0; k < 4; k++)
			wr_counter_set(&b->share.stats[i].mempool_free[k],
			               rte_mempool_avail_count(mp[k]));
	}
}

static void serve(struct wr_boot *b, struct wr_ctl *ctl)
{
	uint64_t next = 0;
	bool stuck;

	while (atomic_load(&stop_signal) == 0) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);

		wr_counter_set(&b->share.head->main_beat_ns, now);
		stuck = wr_main_stall(b, now);
		if (now >= next) {
			port_stats(b);
			pool_stats(b);
			if (!stuck)
				wr_notify("WATCHDOG=1");
			next = now + STATS_NS;
		}
		wr_ctl_poll(ctl, POLL_MS);
		wr_main_wire_tick(b, clock_ns(CLOCK_MONOTONIC),
		                  wr_ctl_generation(ctl) != 0 && !wr_ctl_draining(ctl));
		wr_counter_set(&b->share.head->ready, wr_ctl_generation(ctl) != 0);
	}
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

int wr_run(struct wr_boot *b, struct wr_ctl *ctl, char *err)
{
	static struct job job[WR_WORKERS_MAX];
	int rc = 0;

	catch_signals();
	for (uint32_t i = 0; i < b->conf->nworkers && rc == 0; i++) {
		job[i] = (struct job){ b->worker[i], b->conf->worker[i].name,
			               b->conf->idle_yield != 0 };
		rc = rte_eal_remote_launch(run_worker, &job[i], WR_LCORE_OF(i));
	}
	if (rc != 0) {
		snprintf(err, WR_ERR, "cannot start a worker: %s", strerror(-rc));
		atomic_store(&stop_signal, SIGTERM);
	} else {
		fprintf(stderr, "weir-dataplane: %u workers run; waiting for a ruleset on %s\n",
		        b->conf->nworkers, b->conf->run_dir);
		wr_notify("READY=1");
		serve(b, ctl);
		wr_notify("STOPPING=1");
		/* From here on the kernel follows the policy; what already came to us goes out. */
		wr_main_wire_leave(b);
		(void)nanosleep(&(struct timespec){ 0, LEAVE_NS }, NULL);
	}
	atomic_store(&stop_workers, 1);
	rte_eal_mp_wait_lcore();
	return rc;
}
