/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that control maps: sealed memfds, so that nobody can cut a file that another process
 * reads. None of it goes into a core dump: records name clients and objects.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "main/main.h"

static void *area(const char *name, uint64_t bytes, int *fd)
{
	void *p;

	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0 || ftruncate(*fd, (off_t)bytes) != 0 ||
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return NULL;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, *fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, bytes, MADV_DONTDUMP);
	return p;
}

static struct wr_ring *ring(const char *name, uint64_t size, int *fd)
{
	struct wr_ring *r = area(name, wr_ring_bytes(size), fd);

	if (r != NULL)
		wr_ring_init(r, size);
	return r;
}

static void head_init(const struct wr_conf *c, struct wr_stats_head *h)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	h->abi = WR_ABI_VERSION;
	h->workers = c->nworkers;
	h->stats_size = sizeof(struct wr_stats);
	h->pid = (uint32_t)getpid();
	h->start_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	if (getrandom(&h->boot_id, sizeof(h->boot_id), 0) != sizeof(h->boot_id))
		h->boot_id = h->start_ns;
	for (uint32_t i = 0; i < WR_LINKS_MAX; i++)
		wr_counter_set(&h->wire_state[i], WR_WIRE_INSPECT);
	h->magic = WR_STATS_MAGIC;
}

int wr_share_new(const struct wr_conf *c, struct wr_share *s, char *err)
{
	memset(s, 0, sizeof(*s));
	s->stats_bytes = sizeof(struct wr_stats_head) + c->nworkers * sizeof(struct wr_stats);
	s->record_bytes = wr_ring_bytes(c->record_ring_bytes);
	s->event_bytes = wr_ring_bytes(c->event_ring_bytes);
	s->head = area("weir-stats", s->stats_bytes, &s->stats_fd);
	if (s->head == NULL)
		goto fail;
	head_init(c, s->head);
	s->stats = (struct wr_stats *)(void *)(s->head + 1);
	for (uint32_t i = 0; i < c->nworkers; i++) {
		struct wr_stats *st = &s->stats[i];
		const struct wr_conf_worker *w = &c->worker[i];

		st->abi = WR_ABI_VERSION;
		st->size = sizeof(*st);
		memcpy(st->name, w->name, sizeof(st->name));
		st->worker = i;
		st->link = w->link;
		st->queue = w->queue;
		st->core = w->core;
		s->records[i] = ring("weir-records", c->record_ring_bytes, &s->record_fd[i]);
		s->events[i] = ring("weir-events", c->event_ring_bytes, &s->event_fd[i]);
		if (s->records[i] == NULL || s->events[i] == NULL)
			goto fail;
	}
	return 0;
fail:
	snprintf(err, WR_ERR, "no memory to share with weir-control: %s", strerror(errno));
	return -ENOMEM;
}
