/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * metrics - the numbers of both processes as Prometheus text.
 *
 * takes    the stats pages of the current session, audit's counts, what other rooms set and add
 * here gives    /metrics; docs/operate/metrics.md from the same table owns     values set by
 * control's rooms (bounded), hit counters of rules and lists threads  any; one lock, never held
 * over output limits   WR_METRICS_OWN samples of control's own, WR_METRICS_HITS rules and lists:
 * beyond it hits are counted under item="other" fails    _set/_add on a name that is not in the
 * table: an assertion (a typo in the caller)
 */
#ifndef WR_METRICS_METRICS_H
#define WR_METRICS_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "audit/audit.h"
#include "base/base.h"
#include "config/config.h"
#include "link/link.h"

#define WR_METRICS_OWN  4096u
#define WR_METRICS_HITS 16384u

struct wr_metrics;

WR_MUST_USE int wr_metrics_new(const struct wr_config *cfg, struct wr_link *link,
                               struct wr_metrics **out);
void wr_metrics_free(struct wr_metrics *m);
/* Whose counts are shown; may be NULL. */
void wr_metrics_watch(struct wr_metrics *m, struct wr_audit *a);

/*
 * Control's own samples. labels: finished text as between the braces ("bundle=\"core\"" ; "" =
 * none); use wr_metrics_label() for values from outside.
 */
void wr_metrics_set(struct wr_metrics *m, const char *name, const char *labels, double value);
void wr_metrics_add(struct wr_metrics *m, const char *name, const char *labels, double more);
/* Forgets every sample of a family: before a new bundle's are set. */
void wr_metrics_clear(struct wr_metrics *m, const char *name);
/* name="value" with the value escaped, appended to buf (with a comma before, if it is not empty).
 */
void wr_metrics_label(char *buf, size_t size, const char *name, const char *value);

/* wr_audit_hook: counts the record's matches. */
void wr_metrics_record(void *m, const struct wr_record_parts *p);

/* The whole page. */
void wr_metrics_write(struct wr_metrics *m, FILE *f);
/* Markdown: every family with type, labels and help. */
void wr_metrics_docs(FILE *f);
/* The names of the families, for tests; NULL at the end. */
const char *wr_metrics_name(unsigned i);

#endif
