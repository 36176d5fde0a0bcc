/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/main.h"

int wr_main_conf(const char *file, const struct wr_conf **out, char *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), rc;
	struct wr_conf *c;
	struct stat st;
	char why[200];
	ssize_t n;

	if (fd < 0) {
		snprintf(err, WR_ERR, "cannot read %s: %s", file, strerror(errno));
		return -EIO;
	}
	/* A copy, not a mapping of the file: what was checked must be what is used. */
	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c == MAP_FAILED || fstat(fd, &st) != 0) {
		close(fd);
		snprintf(err, WR_ERR, "cannot read %s: %s", file, strerror(errno));
		return -EIO;
	}
	n = read(fd, c, sizeof(*c));
	close(fd);
	rc = wr_conf_check(c, n < 0 || st.st_size != n ? (uint64_t)st.st_size : (uint64_t)n, why,
	                   sizeof(why));
	if (rc != 0) {
		snprintf(err, WR_ERR, "%s: %s", file, why);
		munmap(c, sizeof(*c));
		return rc;
	}
	(void)mprotect(c, sizeof(*c), PROT_READ);
	*out = c;
	return 0;
}

uint32_t wr_main_peers(const struct wr_conf *c, uint32_t link)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->nworkers; i++)
		n += c->worker[i].link == link;
	return n;
}

/*
 * Receive buffers are what memory.mbufs says. Copies cost less than what they replace: as many
 * small ones as receive buffers, half as many large ones, so that a low receive pool can always be
 * emptied.
 */
struct wr_main_sizes wr_main_sizes(const struct wr_conf *c, uint32_t link)
{
	struct wr_main_sizes s;

	s.rx = c->mbufs / wr_main_peers(c, link);
	s.small = s.rx;
	s.large = s.rx / 2;
	s.gen = wr_max_u32(1024, s.rx / 16);
	return s;
}

/* Bytes that n mbufs take: no object of a pool crosses a page, so on small pages much is left over.
 */
static uint64_t pool_bytes(uint64_t n, uint32_t data_room, uint64_t page)
{
	/* Header of the pool's object, mbuf, headroom, data; padded to a cache line and a channel.
	 */
	uint64_t one = 64 + sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM + data_room + 128;
	uint64_t in_a_page = page / one;

	return (n + in_a_page - 1) / in_a_page * page;
}

uint64_t wr_main_pool_bytes(const struct wr_conf *c)
{
	uint64_t page = c->no_huge ? 4096 : 2 << 20, sum = 0;

	for (uint32_t i = 0; i < c->nworkers; i++) {
		struct wr_main_sizes s = wr_main_sizes(c, c->worker[i].link);

		sum += pool_bytes(s.rx, WR_ETH_DATA_ROOM, page);
		sum += pool_bytes(s.small, WR_SMALL_ROOM, page);
		sum += pool_bytes(s.large, WR_LARGE_ROOM, page);
		sum += pool_bytes(s.gen, WR_LARGE_ROOM, page);
	}
	return sum;
}

/* --- what can be known before EAL
 * ------------------------------------------------------------------------ */

static int cores_ok(const struct wr_conf *c, char *err)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 0;
	if (c->main_core >= CPU_SETSIZE || !CPU_ISSET(c->main_core, &set)) {
		snprintf(err, WR_ERR, "cores.main: there is no core %u here (%ld online)",
		         c->main_core, online);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < c->nworkers; i++) {
		const struct wr_conf_worker *w = &c->worker[i];

		if (w->core < CPU_SETSIZE && CPU_ISSET(w->core, &set))
			continue;
		snprintf(err, WR_ERR,
		         "too few cores: worker %s wants core %u, this process may use %d of %ld "
		         "(fewer workers, or shared_cores: true in a lab)",
		         w->name, w->core, CPU_COUNT(&set), online);
		return -EINVAL;
	}
	return 0;
}

static uint64_t read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned long long v = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu", &v) != 1)
		v = 0;
	fclose(f);
	return v;
}

/* Free hugepage memory of every size, in bytes. */
static uint64_t free_hugepages(void)
{
	DIR *d = opendir("/sys/kernel/mm/hugepages");
	uint64_t sum = 0;

	if (d == NULL)
		return 0;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		unsigned long long kb;
		char path[400];

		if (sscanf(e->d_name, "hugepages-%llukB", &kb) != 1)
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages",
		         e->d_name);
		sum += read_number(path) * kb * 1024;
	}
	closedir(d);
	return sum;
}

static int hugepages_ok(const struct wr_conf *c, char *err)
{
	uint64_t want = wr_main_pool_bytes(c), have;

	if (c->no_huge)
		return 0;
	have = free_hugepages();
	if (have >= want)
		return 0;
	snprintf(err, WR_ERR,
	         "%s: %llu MiB of hugepages are free, the buffers take %llu (sysctl -w "
	         "vm.nr_hugepages=%llu, "
	         "smaller memory.mbufs, or memory.no_huge with af_packet)",
	         have == 0 ? "no hugepages" : "too few hugepages", (unsigned long long)(have >> 20),
	         (unsigned long long)((want >> 20) + 1),
	         (unsigned long long)(want / (2 << 20) + 8));
	return -ENOMEM;
}

int wr_main_preflight(const struct wr_conf *c, char *err)
{
	int rc = cores_ok(c, err);

	for (uint32_t i = 0; i < c->nlinks && rc == 0; i++) {
		char name[WR_NAME_MAX + 16];

		snprintf(name, sizeof(name), "%s.client", c->link[i].name);
		rc = wr_eth_preflight(&c->link[i].client, name, err, WR_ERR);
		if (rc != 0)
			break;
		snprintf(name, sizeof(name), "%s.store", c->link[i].name);
		rc = wr_eth_preflight(&c->link[i].store, name, err, WR_ERR);
	}
	return rc != 0 ? rc : hugepages_ok(c, err);
}
