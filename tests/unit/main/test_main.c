/* SPDX-License-Identifier: BSD-3-Clause */
/* What weir-dataplane decides before EAL: the file, EAL's arguments, sizes, preflight. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "conf_sample.h"
#include "main/main.h"
#include "tap.h"

static char err[WR_ERR], path[64];

static int load(const void *p, size_t n, const struct wr_conf **out)
{
	FILE *f = fopen(path, "wb");

	if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
		return -1;
	return wr_main_conf(path, out, err);
}

static void files(void)
{
	static uint8_t b[sizeof(struct wr_conf) + 8];
	struct wr_conf *c = (struct wr_conf *)(void *)b;
	const struct wr_conf *got = NULL;

	sample_conf(c);
	snprintf(path, sizeof(path), "/tmp/weir-main-%d", (int)getpid());
	OK(wr_main_conf("/nonexistent/x", &got, err) != 0 && strstr(err, "cannot read") != NULL,
	   "no file: %s", err);
	IS(load(b, sizeof(*c), &got), 0, "a configuration %s", err);
	OK(got != NULL && memcmp(got, b, sizeof(*c)) == 0, "is read as it stands");
	OK(load(b, sizeof(*c) - 1, &got) != 0, "a byte short: %s", err);
	OK(load(b, sizeof(*c) + 1, &got) != 0, "a byte long: %s", err);
	OK(load("", 0, &got) != 0 && strstr(err, path) != NULL, "empty: %s", err);
	OK(load("links:\n", 7, &got) != 0 && strstr(err, "config compile") != NULL, "YAML: %s",
	   err);
	OK(wr_main_conf("/tmp", &got, err) != 0, "a folder: %s", err);
	unlink(path);
}

static bool has(const struct wr_eal_args *a, const char *what)
{
	for (int i = 0; i < a->argc; i++)
		if (strcmp(a->argv[i], what) == 0)
			return true;
	return false;
}

static void eal(void)
{
	static struct wr_eal_args a;
	static struct wr_conf c;

	sample_conf(&c);
	wr_eal_build(&c, &a);
	OK(a.argv[a.argc] == NULL && strcmp(a.argv[0], "weir-dataplane") == 0, "a list");
	OK(has(&a, "--lcores=0@0,1@1,2@2") && has(&a, "--main-lcore=0"),
	   "an lcore for each worker");
	OK(has(&a, "--in-memory") && has(&a, "--no-pci") && has(&a, "--file-prefix=weir-test"),
	   "no file, no bus that is not used");
	c.worker[0].core = c.worker[1].core = 0;
	c.no_huge = 1;
	wr_eal_build(&c, &a);
	OK(has(&a, "--lcores=0@0,1@0,2@0"), "all on one core");
	OK(has(&a, "--no-huge") && !has(&a, "--in-memory") && has(&a, "-m"),
	   "ordinary pages exclude --in-memory");
	strcpy(c.link[0].store.device[1], "0000:3b:00.1");
	wr_eal_build(&c, &a);
	OK(!has(&a, "--no-pci") && has(&a, "-a") && has(&a, "0000:3b:00.1"),
	   "of the NICs only those of the links");
	c.nworkers = WR_WORKERS_MAX;
	for (uint32_t i = 0; i < WR_WORKERS_MAX; i++)
		c.worker[i].core = 1000 + i % 24;
	wr_eal_build(&c, &a);
	OK(strstr(a.text[1], ",64@1015") != NULL, "the longest list fits");
}

static void preflight(void)
{
	static struct wr_conf c;
	struct wr_main_sizes s;

	sample_conf(&c);
	s = wr_main_sizes(&c, 0);
	OK(wr_main_peers(&c, 0) == 2 && s.rx == 16384 && s.small == s.rx && s.large == s.rx / 2,
	   "a link's buffers are divided among its workers");
	OK(wr_main_pool_bytes(&c) > 2ull * 16384 * 2048, "and counted");
	c.worker[1].core = 1023;
	OK(wr_main_preflight(&c, err) != 0 && strstr(err, "too few cores: worker w1") != NULL,
	   "a core that is not there: %s", err);
	sample_conf(&c);
	c.worker[0].core = c.worker[1].core = c.main_core = (uint32_t)sched_getcpu();
	OK(wr_main_preflight(&c, err) != 0 && strstr(err, "port a.client: no interface wc") != NULL,
	   "an interface that is not there: %s", err);
	for (int i = 0; i < 2; i++) {
		snprintf(c.link[0].client.device[i], WR_DEVICE_MAX, "net_ring%d", i);
		snprintf(c.link[0].store.device[i], WR_DEVICE_MAX, "net_ring%d", i + 2);
	}
	c.no_huge = 1;
	IS(wr_main_preflight(&c, err), 0, "no hugepages wanted, none missed");
	c.no_huge = 0;
	c.mbufs = 1u << 26;
	OK(wr_main_preflight(&c, err) == -ENOMEM && strstr(err, "vm.nr_hugepages=") != NULL,
	   "too few hugepages: %s", err);
}

static void notify(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	char b[32] = "";

	snprintf(sa.sun_path, sizeof(sa.sun_path), "/tmp/weir-notify-%d", (int)getpid());
	OK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "a supervisor's socket");
	unsetenv("NOTIFY_SOCKET");
	wr_notify("READY=1");
	setenv("NOTIFY_SOCKET", "relative", 1);
	wr_notify("READY=1");
	OK(recv(fd, b, sizeof(b), 0) < 0, "without one nothing is sent");
	setenv("NOTIFY_SOCKET", sa.sun_path, 1);
	wr_notify("READY=1");
	OK(recv(fd, b, sizeof(b), 0) == 7 && memcmp(b, "READY=1", 7) == 0, "with one it is told");
	close(fd);
	unlink(sa.sun_path);
}

static void shared(void)
{
	static struct wr_share s;
	static struct wr_conf c;

	sample_conf(&c);
	IS(wr_share_new(&c, &s, err), 0, "areas to share %s", err);
	OK(ftruncate(s.stats_fd, 0) != 0 && ftruncate(s.record_fd[1], 1 << 26) != 0,
	   "nobody can cut or grow them");
	OK(s.head->magic == WR_STATS_MAGIC && s.head->workers == 2 && s.head->boot_id != 0,
	   "a head");
	OK(s.stats[1].worker == 1 && strcmp(s.stats[1].name, "w1") == 0 && s.stats[1].queue == 1,
	   "a page per worker");
	OK(s.records[1]->size == 1 << 20 && s.record_bytes == wr_ring_bytes(1 << 20) &&
	           s.events[0]->magic == WR_RING_MAGIC,
	   "rings");
}

int main(void)
{
	files();
	eal();
	preflight();
	notify();
	shared();
	return tap_done();
}
