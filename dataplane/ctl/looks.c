/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/looks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEALS          (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define FRAMES_A_POLL  1024u /* then the main lcore's other duties have their turn */
#define TRACE_OVERHEAD 64u   /* what pcapng adds to a frame, generously */

static int memory_file(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static void name_missing(const struct wr_ctl_args *a, uint32_t worker, char out[64])
{
	if (out[0] == '\0')
		snprintf(out, 64, "worker %.31s does not turn", a->conf->worker[worker].name);
}

/* --- QUERY
 * -------------------------------------------------------------------------------------- */

int wr_looks_begin(struct wr_looks *k, const struct wr_msg_look *q, uint64_t now_ns)
{
	if (q->what >= WR_LOOK_WHATS)
		return -EINVAL;
	if (k->asking)
		return -EBUSY;
	k->fd = memory_file("weir-look");
	if (k->fd < 0)
		return -errno;
	k->q = *q;
	if (q->limit == 0 || q->limit > WR_LOOK_ROWS_MAX)
		k->q.limit = WR_LOOK_ROWS_MAX;
	k->worker = k->rows = 0;
	k->missing[0] = '\0';
	k->asked = false;
	k->asking = true;
	k->deadline_ns = now_ns + WR_CTL_LOOK_NS;
	return 0;
}

void wr_looks_end(struct wr_looks *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
	k->asking = false;
}

static void next_worker(struct wr_looks *k, uint64_t now_ns)
{
	k->worker++;
	k->asked = false;
	k->deadline_ns = now_ns + WR_CTL_LOOK_NS;
}

/* Takes what the worker has answered; true when there is nothing more to ask it. */
static bool take(struct wr_looks *k, struct wr_worker *w)
{
	uint32_t n, room = k->q.limit - k->rows;
	const struct wr_look_row *row;
	bool more;

	row = wr_worker_look_rows(w, &n, &more);
	if (row == NULL)
		return false;
	n = wr_min_u32(n, room);
	if (n != 0 && write(k->fd, row, n * sizeof(*row)) != (ssize_t)(n * sizeof(*row)))
		return true;
	k->rows += n;
	if (!more || k->rows == k->q.limit)
		return true;
	wr_worker_look_on(w);
	return false;
}

int wr_looks_poll(struct wr_looks *k, uint64_t now_ns)
{
	if (!k->asking)
		return 0;
	while (k->worker < k->a->conf->nworkers && k->rows < k->q.limit) {
		struct wr_worker *w = k->a->worker[k->worker];

		if (!k->asked)
			k->asked = wr_worker_look(w, k->q.what, &k->q.filter);
		if (k->asked && take(k, w)) {
			next_worker(k, now_ns);
			continue;
		}
		if (now_ns < k->deadline_ns)
			return 0;
		name_missing(k->a, k->worker, k->missing);
		next_worker(k, now_ns);
	}
	(void)fcntl(k->fd, F_ADD_SEALS, SEALS);
	return 1;
}

/* --- TRACE
 * -------------------------------------------------------------------------------------- */

int wr_traces_start(struct wr_traces *t, const struct wr_msg_look *q, uint64_t now_ns)
{
	int rc, dup_fd;

	if (t->running)
		return -EBUSY;
	if (t->a->trace_open == NULL)
		return -EOPNOTSUPP;
	if (q->limit == 0 || q->limit > WR_TRACE_PACKETS_MAX || q->seconds == 0 ||
	    q->seconds > WR_TRACE_SECONDS_MAX)
		return -EINVAL;
	wr_traces_free(t);
	t->fd = memory_file("weir-trace");
	if (t->fd < 0)
		return -errno;
	/* The writer closes its own end of the file. */
	dup_fd = fcntl(t->fd, F_DUPFD_CLOEXEC, 0);
	rc = dup_fd < 0 ? -errno : t->a->trace_open(t->a->trace_ctx, dup_fd, &t->file);
	if (rc != 0) {
		wr_traces_free(t);
		return rc;
	}
	t->running = true;
	t->frames = 0;
	t->bytes = 0;
	t->limit = q->limit;
	t->deadline_ns = now_ns + q->seconds * 1000000000ull;
	t->missing[0] = '\0';
	for (uint32_t i = 0; i < t->a->conf->nworkers; i++)
		if (!wr_worker_trace(t->a->worker[i], &q->filter, q->payload != 0))
			name_missing(t->a, i, t->missing);
	return 0;
}

static void finish(struct wr_traces *t)
{
	for (uint32_t i = 0; i < t->a->conf->nworkers; i++)
		(void)wr_worker_trace(t->a->worker[i], NULL, false);
	t->a->trace_close(t->a->trace_ctx, t->file);
	t->file = NULL;
	t->running = false;
	t->finished = true;
	(void)fcntl(t->fd, F_ADD_SEALS, SEALS);
}

static bool full(const struct wr_traces *t)
{
	return t->frames == t->limit || t->bytes > WR_TRACE_BYTES_MAX;
}

static void drain(struct wr_traces *t, uint32_t worker)
{
	struct wr_worker *w = t->a->worker[worker];
	const struct wr_trace_frame *f;

	for (uint32_t i = 0; i < FRAMES_A_POLL && !full(t); i++) {
		f = wr_worker_traced(w);
		if (f == NULL)
			return;
		if (t->a->trace_frame(t->a->trace_ctx, t->file, worker, f) != 0) {
			t->limit = t->frames; /* the file cannot grow: this is all of it */
			return;
		}
		t->frames++;
		t->bytes += f->cap + TRACE_OVERHEAD;
		wr_worker_trace_pop(w, f);
	}
}

void wr_traces_poll(struct wr_traces *t, uint64_t now_ns)
{
	if (!t->running)
		return;
	for (uint32_t i = 0; i < t->a->conf->nworkers; i++)
		drain(t, i);
	if (full(t) || now_ns >= t->deadline_ns)
		finish(t);
}

void wr_traces_stop(struct wr_traces *t)
{
	if (!t->running)
		return;
	for (uint32_t i = 0; i < t->a->conf->nworkers; i++)
		drain(t, i);
	finish(t);
}

void wr_traces_free(struct wr_traces *t)
{
	if (t->running)
		finish(t);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->finished = false;
}
