/* SPDX-License-Identifier: BSD-3-Clause */
#include "audit/audit.h"

#include "abi/event.h"
#include "abi/stats.h"
#include "config/log.h"
#include "link/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IDLE_NS     2000000ull   /* between two looks at quiet rings */
#define RETRY_NS    200000000ull /* after a failed write */
#define OLD_MAX     4u           /* dead dataplanes whose rings are still being read */
#define EVENTS_PASS 64u          /* per ring and pass: a flood of events must not delay records */

struct wr_audit {
	struct wr_link *link;
	const struct wr_conf *conf;
	struct wr_conf conf_copy;
	wr_audit_hook *hook;
	void *arg;
	struct wr_record_files *files;
	pthread_t thread;
	bool started;
	_Atomic bool stop;
	pthread_mutex_t lock; /* counts, tuning */
	struct wr_audit_counts n;
	struct wr_control_conf tuned;
	bool tune;
	uint64_t told[WR_WORKERS_MAX]; /* ring position up to which the hook has seen records */
	uint64_t told_boot;
	uint64_t broken[WR_WORKERS_MAX]; /* boot id of the session in which a ring went bad */
	char *batch;
	size_t batch_n, batch_records;
};

int wr_ring_look(const struct wr_ring *r, uint64_t size, uint64_t *at, const void **p, uint32_t *n,
                 uint32_t *tag)
{
	for (;;) {
		uint64_t head = atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&r->head,
		                                     memory_order_acquire);
		uint64_t off = *at & (size - 1), room = head - *at;
		struct wr_ring_slot s;

		if (room == 0)
			return 0;
		/* Slots start at multiples of 8, so a header never lies over the end. */
		if (room > size || off % 8 != 0 || room < sizeof(s))
			return -EPROTO;
		memcpy(&s, r->data + off, sizeof(s));
		if (s.len == WR_RING_SKIP) {
			if (off == 0 || room < size - off)
				return -EPROTO;
			*at += size - off;
			continue;
		}
		if (sizeof(s) + wr_ring_pad(s.len) > wr_min_u64(size - off, room))
			return -EPROTO;
		*p = r->data + off + sizeof(s);
		*n = s.len;
		*tag = s.tag;
		*at += sizeof(s) + wr_ring_pad(s.len);
		return 1;
	}
}

void wr_ring_take(struct wr_ring *r, uint64_t at)
{
	atomic_store_explicit(&r->tail, at, memory_order_release);
}

static uint64_t now_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static const char *worker_name(const struct wr_audit *a, uint32_t w)
{
	return w < a->conf->nworkers ? a->conf->worker[w].name : "?";
}

static void ring_broken(struct wr_audit *a, const struct wr_session *s, uint32_t w,
                        const char *what)
{
	if (a->broken[w] == s->boot_id)
		return;
	a->broken[w] = s->boot_id;
	wr_log(WR_LOG_ERROR, "ring.broken",
	       "worker=%s ring=%s hint=\"the dataplane wrote nonsense; restart weir-dataplane\"",
	       worker_name(a, w), what);
	pthread_mutex_lock(&a->lock);
	a->n.broken_rings++;
	pthread_mutex_unlock(&a->lock);
}

/* --- records -------------------------------------------------------------------------------------
 */

/* Everything in the batch goes to the file; -errno leaves the rings as they are. */
static int flush(struct wr_audit *a)
{
	int rc;

	if (a->batch_n == 0)
		return 0;
	rc = wr_record_files_put(a->files, a->batch, a->batch_n);
	pthread_mutex_lock(&a->lock);
	if (rc == 0) {
		if (a->n.stalled)
			wr_log(WR_LOG_INFO, "records.resumed", "records=%zu", a->batch_records);
		a->n.stalled = false;
		a->n.error[0] = '\0';
		a->n.written += a->batch_records;
		a->n.bytes += a->batch_n;
		a->n.last_write_ns = now_ns(CLOCK_REALTIME);
	} else {
		if (!a->n.stalled)
			wr_log(WR_LOG_ERROR, "records.stalled",
			       "error=\"%s\" hint=\"records wait in memory; free space in "
			       "records.path\"",
			       strerror(-rc));
		a->n.stalled = true;
		a->n.write_errors++;
		snprintf(a->n.error, sizeof(a->n.error), "records cannot be written: %s",
		         strerror(-rc));
	}
	pthread_mutex_unlock(&a->lock);
	a->batch_n = a->batch_records = 0;
	return rc;
}

static void invalid(struct wr_audit *a, uint32_t w, uint32_t n, uint32_t tag)
{
	wr_log(WR_LOG_ERROR, "record.invalid", "worker=%s bytes=%" PRIu32 " tag=%" PRIu32,
	       worker_name(a, w), n, tag);
	pthread_mutex_lock(&a->lock);
	a->n.invalid++;
	pthread_mutex_unlock(&a->lock);
}

/* The slot is copied first: what was checked must be what is used, and the writer may not keep
 * still. */
static int add_record(struct wr_audit *a, uint32_t w, const void *p, uint32_t n, uint32_t tag,
                      uint64_t at)
{
	_Alignas(8) unsigned char slot[WR_RECORD_MAX];
	struct wr_record_parts parts;
	size_t len = 0;
	char *line;

	if (tag != WR_RECORD_TAG || n > sizeof(slot)) {
		invalid(a, w, n, tag);
		return 0;
	}
	memcpy(slot, p, n);
	if (wr_record_split(slot, n, &parts) != 0) {
		invalid(a, w, n, tag);
		return 0;
	}
	line = wr_record_json(&parts, a->conf, &len);
	if (line == NULL || len > WR_AUDIT_BATCH) {
		free(line);
		return -ENOMEM;
	}
	memcpy(a->batch + a->batch_n, line, len);
	a->batch_n += len;
	a->batch_records++;
	free(line);
	/* A batch that could not be written comes again: the hook must not count it twice. */
	if (a->hook != NULL && at > a->told[w])
		a->hook(a->arg, &parts);
	a->told[w] = wr_max_u64(a->told[w], at);
	return 0;
}

/* One ring, one write: a batch never mixes rings, so a failed write gives back exactly one tail. */
static unsigned read_records(struct wr_audit *a, struct wr_session *s, uint32_t w)
{
	struct wr_mapped_ring *m = &s->records[w];
	uint64_t at = atomic_load_explicit(&m->ring->tail, memory_order_relaxed), end = at;
	unsigned records = 0;
	const void *p;
	uint32_t n, tag;
	int rc = 0;

	/* Longest line: every byte of a slot escaped as \uXXXX, and the frame of keys around it. */
	while (a->batch_n + 7 * WR_RECORD_MAX < WR_AUDIT_BATCH &&
	       (rc = wr_ring_look(m->ring, m->size, &at, &p, &n, &tag)) == 1) {
		if (add_record(a, w, p, n, tag, at) != 0)
			break;
		records++;
		end = at;
	}
	if (rc == -EPROTO)
		ring_broken(a, s, w, "records");
	if (rc == 0)
		end = at; /* skips at the end of the area */
	if (flush(a) != 0)
		return 0;
	wr_ring_take(m->ring, end);
	return records;
}

/* --- events --------------------------------------------------------------------------------------
 */

static void log_event(struct wr_audit *a, uint32_t w, const struct wr_event *e)
{
	static const uint8_t v4[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	bool four = memcmp(e->client, v4, 12) == 0;
	char ip[INET6_ADDRSTRLEN] = "-";

	if (inet_ntop(four ? AF_INET : AF_INET6, four ? e->client + 12 : e->client, ip,
	              sizeof(ip)) == NULL)
		return;
	wr_log(WR_LOG_INFO, "event",
	       "reason=%s worker=%s at_ns=%" PRIu64
	       " side=%s client=%s%s%s:%u store_port=%u a=%" PRIu64 " b=%" PRIu64,
	       wr_reason_info((enum wr_reason)e->reason)->name, worker_name(a, w), e->ts_ns,
	       e->side == 0 ? "client" : "store", four ? "" : "[", ip, four ? "" : "]",
	       e->client_port, e->store_port, e->a, e->b);
}

static unsigned read_events(struct wr_audit *a, struct wr_session *s, uint32_t w)
{
	struct wr_mapped_ring *m = &s->events[w];
	uint64_t at = atomic_load_explicit(&m->ring->tail, memory_order_relaxed);
	unsigned events = 0;
	struct wr_event e;
	const void *p;
	uint32_t n, tag;
	int rc = 0;

	while (events < EVENTS_PASS &&
	       (rc = wr_ring_look(m->ring, m->size, &at, &p, &n, &tag)) == 1) {
		events++;
		if (tag != WR_EVENT_TAG || n != sizeof(e))
			continue;
		memcpy(&e, p, sizeof(e));
		if (e.reason < WR_R_COUNT)
			log_event(a, w, &e);
	}
	if (rc == -EPROTO)
		ring_broken(a, s, w, "events");
	else
		wr_ring_take(m->ring, at);
	pthread_mutex_lock(&a->lock);
	a->n.events += events;
	pthread_mutex_unlock(&a->lock);
	return events;
}

unsigned wr_audit_pass(struct wr_audit *a, struct wr_session *s)
{
	unsigned records = 0;

	if (a->told_boot != s->boot_id) {
		memset(a->told, 0, sizeof(a->told));
		a->told_boot = s->boot_id;
	}
	for (uint32_t w = 0; w < s->workers; w++) {
		if (a->broken[w] == s->boot_id && s->boot_id != 0)
			continue;
		records += read_records(a, s, w);
		read_events(a, s, w);
	}
	return records;
}

/* --- the thread ----------------------------------------------------------------------------------
 */

static void apply_tuning(struct wr_audit *a)
{
	pthread_mutex_lock(&a->lock);
	if (a->tune)
		wr_record_files_tune(a->files, a->tuned.records_rotate_bytes, a->tuned.records_keep,
		                     a->tuned.records_fsync);
	a->tune = false;
	pthread_mutex_unlock(&a->lock);
}

static bool stalled(struct wr_audit *a)
{
	bool s;

	pthread_mutex_lock(&a->lock);
	s = a->n.stalled;
	pthread_mutex_unlock(&a->lock);
	return s;
}

/* A dataplane that died leaves records behind: they are read to the end before its rings go. */
static void read_old(struct wr_audit *a, struct wr_session **old)
{
	for (unsigned i = 0; i < OLD_MAX; i++) {
		if (old[i] == NULL || wr_audit_pass(a, old[i]) != 0 || stalled(a))
			continue;
		wr_session_put(a->link, old[i]);
		old[i] = NULL;
	}
}

static void retire(struct wr_audit *a, struct wr_session **old, struct wr_session *s)
{
	for (unsigned i = 0; i < OLD_MAX; i++) {
		if (old[i] == NULL) {
			old[i] = s;
			return;
		}
	}
	/* Four dead dataplanes and a disk that takes nothing: the newest dead one is given up. */
	wr_log(WR_LOG_ERROR, "records.given_up",
	       "hint=\"the records of a dead dataplane could not be written in time\"");
	wr_session_put(a->link, s);
}

static void *run(void *arg)
{
	struct wr_audit *a = arg;
	struct wr_session *cur = NULL, *old[OLD_MAX] = { NULL };
	bool last = false;

	while (!last) {
		struct wr_session *s = wr_session_get(a->link);
		struct timespec pause = { .tv_nsec = IDLE_NS };
		unsigned records = 0;

		last = atomic_load(&a->stop);
		if (s != cur) {
			if (cur != NULL)
				retire(a, old, cur);
			cur = s;
		} else {
			wr_session_put(a->link, s);
		}
		apply_tuning(a);
		read_old(a, old);
		if (cur != NULL)
			records = wr_audit_pass(a, cur);
		wr_record_files_tick(a->files, now_ns(CLOCK_MONOTONIC));
		if (stalled(a))
			pause.tv_nsec = RETRY_NS;
		if (records == 0 && !last)
			nanosleep(&pause, NULL);
	}
	for (unsigned i = 0; i < OLD_MAX; i++)
		wr_session_put(a->link, old[i]);
	wr_session_put(a->link, cur);
	return NULL;
}

int wr_audit_new(const struct wr_config *cfg, struct wr_link *link, wr_audit_hook *hook, void *arg,
                 struct wr_audit **out, char *err)
{
	const struct wr_control_conf *c = wr_config_control(cfg);
	struct wr_audit *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL || (a->batch = malloc(WR_AUDIT_BATCH)) == NULL) {
		free(a);
		return -ENOMEM;
	}
	a->link = link;
	a->conf_copy = *wr_config_dataplane(cfg);
	a->conf = &a->conf_copy;
	a->hook = hook;
	a->arg = arg;
	pthread_mutex_init(&a->lock, NULL);
	rc = wr_record_files_new(c->records_path, c->records_rotate_bytes, c->records_keep,
	                         c->records_fsync, &a->files, err);
	if (rc != 0) {
		wr_audit_free(a);
		return rc;
	}
	*out = a;
	return 0;
}

int wr_audit_start(struct wr_audit *a)
{
	int rc = pthread_create(&a->thread, NULL, run, a);

	a->started = rc == 0;
	return -rc;
}

void wr_audit_free(struct wr_audit *a)
{
	if (a == NULL)
		return;
	atomic_store(&a->stop, true);
	if (a->started)
		pthread_join(a->thread, NULL);
	wr_record_files_free(a->files);
	pthread_mutex_destroy(&a->lock);
	free(a->batch);
	free(a);
}

void wr_audit_counts(struct wr_audit *a, struct wr_audit_counts *out)
{
	pthread_mutex_lock(&a->lock);
	*out = a->n;
	pthread_mutex_unlock(&a->lock);
}

void wr_audit_tune(struct wr_audit *a, const struct wr_control_conf *c)
{
	pthread_mutex_lock(&a->lock);
	a->tuned = *c;
	a->tune = true;
	pthread_mutex_unlock(&a->lock);
}
