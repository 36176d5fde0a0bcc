/* SPDX-License-Identifier: BSD-3-Clause */
#include "fakes.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fake_rulesets, fake_shards, fake_new_error, fake_stage_error;
struct wr_ruleset *fake_last;

#define FAKE_RULESETS 16
static struct wr_ruleset *alive[FAKE_RULESETS];

void wr_scan_engine(char *out, size_t n)
{
	snprintf(out, n, "none");
}

/* --- workers */

struct wr_worker *wr_worker_new(const struct wr_worker_args *a, char *err, size_t n)
{
	struct wr_worker *w = calloc(1, sizeof(*w));

	(void)err;
	(void)n;
	w->a = *a;
	w->seen = UINT64_MAX;
	return w;
}

int wr_worker_join(struct wr_worker *const *w, uint32_t n)
{
	(void)w;
	(void)n;
	return 0;
}

void wr_worker_free(struct wr_worker *w)
{
	free(w);
}

static uint32_t forward(struct wr_worker *w, const struct wr_port *from, const struct wr_port *to,
                        unsigned side)
{
	struct rte_mbuf *m[64];
	uint16_t n = from->rx(from->ctx, m, 64), sent = 0;

	if (n != 0)
		sent = to->tx(to->ctx, m, n);
	wr_counter_add(&w->a.stats->port[side].rx_packets, n);
	wr_counter_add(&w->a.stats->port[!side].tx_packets, sent);
	for (uint16_t i = sent; i < n; i++)
		rte_pktmbuf_free(m[i]);
	return n;
}

uint32_t wr_worker_turn(struct wr_worker *w, uint64_t now_ns, uint64_t real_ns)
{
	struct wr_ruleset *rs = w->published;

	(void)real_ns;
	wr_counter_set(&w->a.stats->beat_ns, now_ns);
	if (!w->stuck)
		w->seen = rs != NULL ? rs->generation : UINT64_MAX;
	if (w->a.client.rx == NULL)
		return 0;
	return forward(w, &w->a.client, &w->a.store, 0) + forward(w, &w->a.store, &w->a.client, 1);
}

void wr_worker_publish(struct wr_worker *w, struct wr_ruleset *rs)
{
	w->published = rs;
}

uint64_t wr_worker_seen(const struct wr_worker *w)
{
	return w->seen;
}

void wr_worker_drain(struct wr_worker *w, bool on)
{
	w->drained = on;
}

/* A table of fake_rows connections, eight of which fit one answer. */
bool wr_worker_look(struct wr_worker *w, uint32_t what, const struct wr_look_filter *f)
{
	(void)f;
	if (w->asked && !w->answered)
		return false;
	w->what = what;
	w->cursor = 0;
	w->asked = true;
	w->answered = !w->stuck;
	return true;
}

const struct wr_look_row *wr_worker_look_rows(struct wr_worker *w, uint32_t *n, bool *more)
{
	if (!w->answered)
		return NULL;
	*n = wr_min_u32(WR_COUNT_OF(w->row), w->rows - w->cursor);
	for (uint32_t i = 0; i < *n; i++)
		w->row[i].requests = w->cursor + i;
	*more = w->cursor + *n < w->rows;
	return w->row;
}

void wr_worker_look_on(struct wr_worker *w)
{
	w->cursor += WR_COUNT_OF(w->row);
}

bool wr_worker_trace(struct wr_worker *w, const struct wr_look_filter *f, bool payload)
{
	if (f != NULL && w->stuck)
		return false;
	w->tracing = f != NULL;
	w->whole = payload;
	return true;
}

const struct wr_trace_frame *wr_worker_traced(struct wr_worker *w)
{
	return w->frames != 0 ? &w->frame : NULL;
}

void wr_worker_trace_pop(struct wr_worker *w, const struct wr_trace_frame *f)
{
	(void)f;
	w->frames--;
}

void wr_worker_epoch(struct wr_worker *w, uint64_t epoch)
{
	(void)w;
	(void)epoch;
}

bool wr_worker_idle(const struct wr_worker *w)
{
	(void)w;
	return true;
}

struct wr_scan *wr_worker_scan(struct wr_worker *w)
{
	return (struct wr_scan *)(void *)w;
}

int wr_scan_stage(struct wr_scan *s, const struct wr_ruleset *rs, char *err, size_t n)
{
	(void)rs;
	((struct wr_worker *)(void *)s)->staged++;
	if (fake_stage_error != 0)
		snprintf(err, n, "no scratch");
	return fake_stage_error;
}

/* --- rulesets: a shard is believed when its first bytes repeat its hash */

struct wr_shard_store {
	uint8_t sha[64][32];
	uint32_t n;
};

struct wr_shard_store *wr_shard_store_new(void)
{
	return calloc(1, sizeof(struct wr_shard_store));
}

void wr_shard_store_free(struct wr_shard_store *s)
{
	free(s);
}

bool wr_shard_have(const struct wr_shard_store *s, const uint8_t sha256[32])
{
	for (uint32_t i = 0; i < s->n; i++)
		if (memcmp(s->sha[i], sha256, 32) == 0)
			return true;
	return false;
}

int wr_shard_add(struct wr_shard_store *s, int fd, uint64_t bytes, const uint8_t sha256[32],
                 char *err, size_t n)
{
	uint8_t head[32];

	if (pread(fd, head, 32, 0) != 32 || bytes < 32 || memcmp(head, sha256, 32) != 0 ||
	    s->n == 64) {
		snprintf(err, n, "the shard is not what its name says");
		return -EBADMSG;
	}
	memcpy(s->sha[s->n++], sha256, 32);
	fake_shards++;
	return 0;
}

/* As the real one: what no ruleset uses goes. */
void wr_shard_sweep(struct wr_shard_store *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		bool used = false;

		for (uint32_t k = 0; k < FAKE_RULESETS; k++)
			used |= alive[k] != NULL && memcmp(alive[k]->meta, s->sha[i], 32) == 0;
		if (used)
			memmove(s->sha[n++], s->sha[i], 32);
	}
	s->n = n;
}

int wr_ruleset_new(struct wr_shard_store *s, const uint8_t meta_sha256[32], uint64_t generation,
                   const char *region, struct wr_ruleset **out, char *err, size_t n)
{
	struct wr_ruleset *rs;

	(void)region;
	if (fake_new_error != 0 || !wr_shard_have(s, meta_sha256)) {
		snprintf(err, n, "no such meta shard");
		return fake_new_error != 0 ? fake_new_error : -ENOENT;
	}
	rs = calloc(1, sizeof(*rs));
	rs->generation = generation;
	memcpy(rs->meta, meta_sha256, 32);
	for (uint32_t k = 0; k < FAKE_RULESETS; k++) {
		if (alive[k] == NULL) {
			alive[k] = rs;
			break;
		}
	}
	fake_rulesets++;
	*out = fake_last = rs;
	return 0;
}

void wr_ruleset_free(struct wr_ruleset *rs)
{
	if (rs->open != 0)
		abort();
	fake_rulesets--;
	for (uint32_t k = 0; k < FAKE_RULESETS; k++)
		if (alive[k] == rs)
			alive[k] = NULL;
	if (fake_last == rs)
		fake_last = NULL;
	free(rs);
}

uint64_t wr_ruleset_generation(const struct wr_ruleset *rs)
{
	return rs->generation;
}

uint32_t wr_ruleset_ngroups(const struct wr_ruleset *rs)
{
	(void)rs;
	return 2;
}

void wr_ruleset_group_name(const struct wr_ruleset *rs, uint32_t group, char *out, uint32_t size)
{
	(void)rs;
	snprintf(out, size, "group%u", group);
}

const uint8_t *wr_ruleset_meta_sha256(const struct wr_ruleset *rs)
{
	return rs->meta;
}

uint64_t wr_ruleset_open_count(const struct wr_ruleset *rs)
{
	return rs->open;
}

void fake_end_uploads(void)
{
	for (uint32_t k = 0; k < FAKE_RULESETS; k++)
		if (alive[k] != NULL)
			alive[k]->open = 0;
}
