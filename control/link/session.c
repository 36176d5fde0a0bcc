/* SPDX-License-Identifier: BSD-3-Clause */
/* What the dataplane hands over is mapped only if it cannot change its size under us. */
#include "link/private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define AREA_MAX (1ull << 30) /* of one ring or the stats: more is a lie */

static int map_area(int fd, int prot, void **p, uint64_t *n, const char *what, char *err)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	/* A file that shrinks under a mapping kills its reader with SIGBUS. */
	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
		snprintf(err, WR_LINK_ERR,
		         "the dataplane's %s area is not sealed against shrinking", what);
		return -EPROTO;
	}
	if (fstat(fd, &st) != 0 || st.st_size <= 0 || (uint64_t)st.st_size > AREA_MAX) {
		snprintf(err, WR_LINK_ERR, "the dataplane's %s area has no sensible size", what);
		return -EPROTO;
	}
	*n = (uint64_t)st.st_size;
	*p = mmap(NULL, *n, prot, MAP_SHARED, fd, 0);
	if (*p == MAP_FAILED) {
		int rc = -errno;

		*p = NULL;
		snprintf(err, WR_LINK_ERR, "cannot map the dataplane's %s area: %s", what,
		         strerror(-rc));
		return rc;
	}
	return 0;
}

static int map_stats(struct wr_session *s, const struct wr_msg_welcome *w, int fd, char *err)
{
	uint64_t n = 0, want = sizeof(struct wr_stats_head) + w->workers * sizeof(struct wr_stats);
	void *p = NULL;
	int rc = map_area(fd, PROT_READ, &p, &n, "stats", err);

	if (rc != 0)
		return rc;
	s->stats = p;
	s->stats_bytes = n;
	if (n < want || s->stats->magic != WR_STATS_MAGIC || s->stats->abi != WR_ABI_VERSION ||
	    s->stats->workers != w->workers || s->stats->stats_size != sizeof(struct wr_stats)) {
		snprintf(err, WR_LINK_ERR,
		         "the dataplane's stats area is of another build; install one version of "
		         "both");
		return -EPROTO;
	}
	return 0;
}

static int map_ring(struct wr_mapped_ring *r, int fd, const char *what, char *err)
{
	uint64_t n = 0, size;
	void *p = NULL;
	int rc = map_area(fd, PROT_READ | PROT_WRITE, &p, &n, what, err);

	if (rc != 0)
		return rc;
	r->ring = p;
	r->mapped = n;
	size = n > sizeof(struct wr_ring) ? r->ring->size : 0;
	if (size < 4096 || (size & (size - 1)) != 0 || size > n || wr_ring_bytes(size) > n ||
	    r->ring->magic != WR_RING_MAGIC) {
		snprintf(err, WR_LINK_ERR, "the dataplane's %s area is not a ring", what);
		return -EPROTO;
	}
	r->size = size;
	return 0;
}

void wr_session_free(struct wr_session *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < WR_WORKERS_MAX; i++) {
		if (s->records[i].ring != NULL)
			munmap(s->records[i].ring, s->records[i].mapped);
		if (s->events[i].ring != NULL)
			munmap(s->events[i].ring, s->events[i].mapped);
	}
	if (s->stats != NULL)
		munmap((void *)(uintptr_t)s->stats, s->stats_bytes);
	free(s);
}

int wr_session_new(const struct wr_msg_welcome *w, const int *fds, unsigned nfds,
                   struct wr_session **out, char *err)
{
	struct wr_session *s;
	int rc;

	if (w->abi != WR_ABI_VERSION) {
		snprintf(err, WR_LINK_ERR,
		         "weir-dataplane speaks ABI %" PRIu32
		         ", weir-control %u; install one version of both",
		         w->abi, WR_ABI_VERSION);
		return -EPROTO;
	}
	if (w->workers == 0 || w->workers > WR_WORKERS_MAX || nfds != 1 + 2 * w->workers) {
		snprintf(err, WR_LINK_ERR, "WELCOME names %" PRIu32 " workers and brings %u areas",
		         w->workers, nfds);
		return -EPROTO;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->boot_id = w->boot_id;
	s->workers = w->workers;
	s->pid = w->pid;
	rc = map_stats(s, w, fds[0], err);
	for (uint32_t i = 0; rc == 0 && i < s->workers; i++) {
		rc = map_ring(&s->records[i], fds[1 + 2 * i], "records", err);
		if (rc == 0)
			rc = map_ring(&s->events[i], fds[2 + 2 * i], "events", err);
	}
	if (rc != 0) {
		wr_session_free(s);
		return rc;
	}
	*out = s;
	return 0;
}
