/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "main/main.h"

static bool stands(const struct wr_boot *b, uint32_t i, uint64_t now_ns)
{
	uint64_t beat = wr_counter_get(&b->share.stats[i].beat_ns);

	/* Before its first turn a worker has no beat: it is starting. */
	return beat != 0 && now_ns > beat &&
	       now_ns - beat > b->conf->link[b->conf->worker[i].link].stall_limit_ns;
}

bool wr_main_stall(struct wr_boot *b, uint64_t now_ns)
{
	bool stuck = false;

	for (uint32_t i = 0; i < b->conf->nworkers; i++) {
		const struct wr_conf_worker *w = &b->conf->worker[i];
		uint64_t *since = &b->stall.since_ns[i];

		if (!stands(b, i, now_ns)) {
			if (*since != 0)
				fprintf(stderr, "weir-dataplane: worker %s turns again\n", w->name);
			*since = 0;
			wr_counter_set(&b->share.head->stalled[i], 0);
			continue;
		}
		if (*since == 0) {
			*since = wr_counter_get(&b->share.stats[i].beat_ns);
			wr_counter_add(&b->share.head->stalls[i], 1);
			wr_counter_set(&b->share.head->stalled[i], 1);
			fprintf(stderr,
			        "weir-dataplane: worker %s on core %u does not turn; link %s "
			        "follows on_worker_stall (%s)\n",
			        w->name, w->core, b->conf->link[w->link].name,
			        b->conf->link[w->link].on_worker_stall == WR_DEATH_OPEN ? "open"
			                                                                : "closed");
		}
		stuck |= now_ns - *since > WR_STUCK_NS;
	}
	return stuck;
}
