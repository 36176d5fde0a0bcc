/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hunts - the retro-hunt: when a version comes into force, past verdict records are matched against
 * what is new in its lists, and the uploads that passed then and match now are listed.
 *
 * takes    versions as they come into force, and the one before
 * gives    a document for each hunt (`weir hunt`), weir_hunts_total, weir_hunt_uploads_total
 * owns     STATE/hunts, a thread, one child at a time: `weir hunt`, since lists are hostile input
 * and weir-control holds keys threads  any may add; one of its own waits for the child limits
 * WR_HUNT_*: what is beyond is said in the document or counted, never waited for fails    a hunt
 * that fails is a document that says so; nothing depends on it
 */
#ifndef WR_API_HUNTS_H
#define WR_API_HUNTS_H

#include "api/api.h"

#define WR_HUNT_QUEUE   8u           /* versions that wait; one more is counted as dropped */
#define WR_HUNT_KEEP    32u          /* documents kept */
#define WR_HUNT_RECORDS (8ull << 30) /* bytes of records looked through, the newest */
#define WR_HUNT_UPLOADS 10000u       /* uploads named; more are counted */
#define WR_HUNT_CPU_S   600u
#define WR_HUNT_OUT_MAX (16u << 20)

struct wr_hunts;

WR_MUST_USE int wr_hunts_new(struct wr_api *a, struct wr_hunts **out, char *err);
void wr_hunts_free(struct wr_hunts *h);
/* was: the version that it takes the place of, 0 = none. Never waits. */
void wr_hunts_add(struct wr_hunts *h, const char *bundle, uint64_t version, uint64_t was);
/* The documents, newest first; new reference. */
json_t *wr_hunts_list(struct wr_hunts *h);

#endif
