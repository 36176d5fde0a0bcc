/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * health - is Weir inspecting uploads? Each condition has a name, a state and a sentence.
 *
 * takes    the link's status, the stats pages, audit's counts
 * gives    a list of checks; ready when all hold
 * threads  any
 * see      docs/operate/runbook.md
 */
#ifndef WR_HEALTH_HEALTH_H
#define WR_HEALTH_HEALTH_H

#include <stdbool.h>

#include "audit/audit.h"
#include "base/base.h"
#include "config/config.h"
#include "link/link.h"

#define WR_HEALTH_CHECKS 8u

struct wr_health {
	unsigned n;
	bool ready;
	struct {
		const char *name;
		bool ok;
		char text[WR_LINK_ERR];
	} check[WR_HEALTH_CHECKS];
};

/* audit may be NULL. */
void wr_health_check(const struct wr_conf *conf, struct wr_link *link, struct wr_audit *audit,
                     struct wr_health *out);

#endif
