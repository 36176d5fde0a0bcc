/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes and ends a worker: the only file of the room that allocates, formats and may fail.
 */
#include <errno.h>
#include <stdio.h>

#include "pkt/frag.h"
#include "worker/conn.h"
#include "worker/worker.h"

#define DIGESTS_PER_UPLOAD 2u

static bool pools_new(struct wr_worker *w, const struct wr_conf *conf)
{
	uint32_t share = conf->nworkers != 0 ? conf->nworkers : 1;
	uint32_t conns = wr_max_u32(conf->connections / share, 64);
	uint32_t uploads = wr_max_u32(conf->uploads / share, 16);
	/* A finished upload keeps its entry until its record is written: room for those too. */
	uint32_t objects = uploads + uploads / 8 + 64;
	uint32_t segs = wr_max_u32(wr_min_u32(conf->mbufs * 2, 1u << 22), 4096);
	struct wr_http_conf hc = { .heads = objects + 64,
		                   .header_bytes = conf->header_bytes,
		                   .headers = conf->headers };

	/* Decoders are dear (brotli 28 MiB): few for many uploads; one without is `decoder_budget`.
	 */
	struct wr_body_conf bc = { .bodies = objects,
		                   .multiparts = wr_min_u32(uploads, 4096),
		                   .inflate = wr_min_u32(wr_max_u32(uploads / 16, 16), 1024),
		                   .brotli = wr_min_u32(wr_max_u32(uploads / 4096, 2), 3),
		                   .zstd = wr_min_u32(wr_max_u32(uploads / 1024, 4), 12),
		                   .expansion_ratio = conf->expansion_ratio,
		                   .expansion_ns = conf->expansion_time_ns,
		                   .depth = conf->depth };

	uint32_t sessions = wr_max_u32(uploads / 8, 16);
	struct wr_resume_conf rc = { .sessions = sessions,
		                     .parts = wr_max_u32(uploads, WR_RESUME_PARTS_MAX + 64),
		                     .bad = wr_max_u32(sessions * 4, 4096),
		                     .spool_bytes = conf->spool_bytes / share };

	w->bodies = wr_body_pool_new(&bc);
	w->flows = wr_flow_new(conns);
	w->conn = wr_mem_alloc("connections", (conns + 1ull) * sizeof(struct conn));
	w->ended = wr_mem_alloc("ended connections", (uint64_t)conns * sizeof(uint32_t));
	w->tcp = wr_tcp_new(segs, conf->hold_budget_bytes / share);
	w->http = wr_http_new(&hc);
	w->objects = wr_pool_new("uploads", objects, sizeof(struct wr_object));
	w->resume = wr_resume_new(&rc);
	w->pieces = wr_pool_new("pieces", wr_max_u32(uploads / 4, 64), sizeof(struct piece));
	w->looks = wr_mem_alloc("session looks", (sessions + 1ull) * sizeof(struct whole_look));
	/* An object in several requests keeps a digest, a stream and the one it may go back to. */
	w->ndigests = objects * DIGESTS_PER_UPLOAD + 2 * rc.sessions;
	w->digest_owner = wr_mem_alloc("digest owners", (w->ndigests + 1ull) * sizeof(uint32_t));
	w->scan = wr_scan_new(objects * DIGESTS_PER_UPLOAD + 2 * rc.sessions,
	                      conf->stream_state_bytes);
	return w->resume && w->pieces && w->looks && w->bodies && w->flows && w->conn && w->ended &&
	       w->tcp && w->http && w->objects && w->digest_owner && w->scan;
}

struct wr_worker *wr_worker_new(const struct wr_worker_args *a, char *err, size_t n)
{
	struct wr_worker *w = wr_mem_alloc("worker", sizeof(*w));

	if (w == NULL)
		goto fail;
	w->lc.id = a->id;
	w->lc.link = a->conf->worker[a->id].link;
	w->lc.stats = a->stats;
	w->lc.records = a->records;
	w->lc.events = a->events;
	w->lc.conf = a->conf;
	w->lc.pools = a->pools;
	w->lc.key = a->key;
	w->lc.rng = a->seed | 1;
	w->port[WR_SIDE_CLIENT] = a->client;
	w->port[WR_SIDE_STORE] = a->store;
	w->wire = a->wire;
	w->exchange.slot = a->index;
	w->exchange.peers = a->peers;
	memcpy(w->exchange.to, a->to, sizeof(w->exchange.to));
	memcpy(w->exchange.from, a->from, sizeof(w->exchange.from));
	w->slot = a->index;
	atomic_store(&w->seen, UINT64_MAX);
	if (!pools_new(w, a->conf))
		goto fail;
	if (wr_frag_wanted(a->conf) && (w->lc.frag = wr_frag_new()) == NULL)
		goto fail;
	w->digest = wr_digest_new(w->ndigests, a->digest);
	if (w->digest == NULL)
		goto fail;
	if (!look_new(w))
		goto fail;
	wr_counter_set(&w->lc.stats->hold_budget_bytes, w->tcp->kept_max);
	return w;
fail:
	snprintf(err, n,
	         "worker %u: not enough memory: lower memory.connections, memory.uploads or "
	         "memory.spool in weir.yaml",
	         a->id);
	wr_worker_free(w);
	return NULL;
}

bool look_new(struct wr_worker *w)
{
	w->look = wr_mem_alloc("look", sizeof(*w->look));
	w->trace.ring = wr_mem_alloc("trace", wr_ring_bytes(TRACE_RING));
	if (w->look == NULL || w->trace.ring == NULL)
		return false;
	wr_ring_init(w->trace.ring, TRACE_RING);
	return true;
}

void look_free(struct wr_worker *w)
{
	wr_mem_free(w->look);
	wr_mem_free(w->trace.ring);
}

static bool pair(struct wr_worker *a, struct wr_worker *b)
{
	struct note_ring *ask = wr_mem_alloc("asked of a worker", sizeof(*ask));
	struct note_ring *tell = wr_mem_alloc("told to a worker", sizeof(*tell));

	a->far.peer[b->exchange.slot] = b;
	a->far.ask_to[b->exchange.slot] = b->far.ask_from[a->exchange.slot] = ask;
	a->far.tell_to[b->exchange.slot] = b->far.tell_from[a->exchange.slot] = tell;
	return ask != NULL && tell != NULL;
}

int wr_worker_join(struct wr_worker *const *w, uint32_t n)
{
	for (uint32_t i = 0; i < n && n > 1; i++) {
		w[i]->far.blocks = wr_pool_new_lazy("far blocks", w[i]->pieces->n + 256,
		                                    sizeof(struct far_block));
		if (w[i]->far.blocks == NULL)
			return -ENOMEM;
		for (uint32_t k = 0; k < n; k++)
			if (i != k && !pair(w[i], w[k]))
				return -ENOMEM;
	}
	return 0;
}

void wr_worker_free(struct wr_worker *w)
{
	if (w == NULL)
		return;
	for (uint32_t i = 1; w->flows != NULL && w->conn != NULL && i <= wr_flow_capacity(w->flows);
	     i++)
		if (wr_flow_used(w->flows, i))
			conn_free(w, i);
	exchange_drain(&w->exchange);
	wr_frag_free(w->lc.frag);
	w->lc.records = NULL;
	if (w->objects != NULL)
		records_write(w);
	if (w->resume != NULL)
		whole_clear(w);
	wr_digest_free(w->digest);
	wr_scan_free(w->scan);
	wr_mem_free(w->digest_owner);
	look_free(w);
	wr_pool_free(w->objects);
	wr_resume_free(w->resume);
	wr_pool_free(w->pieces);
	wr_mem_free(w->looks);
	wr_pool_free(w->far.blocks);
	for (uint32_t i = 0; i < WR_WORKERS_MAX; i++) {
		wr_mem_free(w->far.ask_to[i]);
		wr_mem_free(w->far.tell_to[i]);
	}
	wr_body_pool_free(w->bodies);
	wr_http_free(w->http);
	wr_tcp_free(w->tcp);
	wr_mem_free(w->ended);
	wr_mem_free(w->conn);
	wr_flow_free(w->flows);
	wr_mem_free(w);
}
