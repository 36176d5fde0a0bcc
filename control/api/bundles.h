/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bundles - the life of bundles inside weir-control: trust from weir.yaml, compile and push through
 * the loader, the flood breaker on the records, remote push by HTTPS.
 *
 * threads  one of its own for what must happen in time: ends of overlays, drains, tripped breakers
 * fails    _new: -errno and a line in err (WR_API_ERR bytes)
 */
#ifndef WR_API_BUNDLES_H
#define WR_API_BUNDLES_H

#include "api/api.h"
#include "life/life.h"

struct wr_bundles;

/* Reads keys; the loader must be there. Fills a->bundle. */
WR_MUST_USE int wr_bundles_new(struct wr_api *a, char *err);
/* After the loader's restore: settles the state, compiles again when it must, starts the thread. */
WR_MUST_USE int wr_bundles_start(struct wr_api *a, bool restored, char *err);
void wr_bundles_free(struct wr_api *a);
/* wr_audit_hook with a struct wr_api: metrics, then the breaker. */
void wr_bundles_record(void *a, const struct wr_record_parts *p);

/* An operator has lifted what lowered an item: the breaker watches it anew. */
void wr_bundles_lifted(struct wr_api *a, const char *bundle, const char *item);

/* After a reload: the breaker's budgets. */
void wr_bundles_tune(struct wr_api *a, const struct wr_control_conf *c);

/* What the hunts at activation found; new reference. */
json_t *wr_bundles_hunts(struct wr_api *a);

struct wr_life *wr_bundles_life(struct wr_api *a);

/* push.c: the HTTPS listener; none configured is no failure. */
struct wr_push_server;
WR_MUST_USE int wr_push_start(struct wr_api *a, struct wr_push_server **out, char *err);
void wr_push_stop(struct wr_push_server *s);

#endif
