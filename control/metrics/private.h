/* SPDX-License-Identifier: BSD-3-Clause */
/* private to metrics/ */
#ifndef WR_METRICS_PRIVATE_H
#define WR_METRICS_PRIVATE_H

#include "metrics/metrics.h"

struct wr_page { /* what one scrape looks at */
	FILE *f;
	const char *name;
	const struct wr_conf *conf;
	const struct wr_control_conf *ctl;
	const struct wr_session *s; /* NULL: there never was a dataplane */
	struct wr_link_status link;
	struct wr_audit_counts audit;
};

struct wr_family {
	const char *name, *type, *labels, *help;
	void (*emit)(struct wr_page *p); /* NULL: control's own samples */
};

extern const struct wr_family wr_families[];
extern const unsigned wr_nfamilies;

#endif
