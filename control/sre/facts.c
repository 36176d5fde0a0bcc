/* SPDX-License-Identifier: BSD-3-Clause */
/* What the doctor knows from elsewhere: the wire's pages, the ruleset in force, the counters. */
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "abi/reason.h"
#include "abi/stats.h"
#include "sre/sre.h"
#include "xdp/xdp.h"

void wr_facts_wire(struct wr_facts *f, const struct wr_conf *conf)
{
	struct wr_xdp_conf x;
	char err[WR_XDP_ERR];
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	for (uint32_t i = 0; i < conf->nlinks; i++) {
		struct wr_wire_fact *w = &f->wire[f->nwires];
		struct wr_xdp *h;
		uint64_t word, age;

		if (wr_xdp_conf_of(&conf->link[i], &x, err) != 1)
			continue;
		memset(w, 0, sizeof(*w));
		memcpy(w->link, x.link, sizeof(w->link));
		f->nwires++;
		h = wr_xdp_open_ro(x.link, err);
		if (!h)
			continue;
		word = wr_wire_decision(wr_xdp_page(h));
		age = wr_xdp_oldest_beat_age(wr_xdp_page(h), (uint64_t)t.tv_sec * 1000000000u +
		                                                     (uint64_t)t.tv_nsec);
		w->installed = true;
		snprintf(w->state, sizeof(w->state), "%s",
		         wr_wire_state_name(wr_wire_state_of(word)));
		snprintf(w->cause, sizeof(w->cause), "%s",
		         wr_wire_cause_name(wr_wire_cause_of(word)));
		w->beat_age_ms = age == UINT64_MAX ? age : age / 1000000;
		wr_xdp_close(h);
	}
}

void wr_facts_bundles(struct wr_facts *f, const json_t *active)
{
	json_t *b;
	size_t i;

	f->control_known = true;
	json_array_foreach(json_object_get(active, "bundles"), i, b)
	{
		const char *name = json_string_value(json_object_get(b, "name"));
		struct wr_bundle_fact *to = &f->bundle[f->nbundles];

		if (f->nbundles == WR_COUNT_OF(f->bundle))
			break;
		snprintf(to->name, sizeof(to->name), "%s", name ? name : "?");
		to->version = (uint32_t)json_integer_value(json_object_get(b, "version"));
		to->created = json_integer_value(json_object_get(b, "created"));
		to->expires = json_integer_value(json_object_get(b, "expires"));
		f->nbundles++;
	}
}

void wr_facts_frames(struct wr_facts *f, const struct wr_stats *s)
{
	f->frames_received += wr_counter_get(&s->fate[WR_FATE_RECEIVED]);
	f->frames_foreign += wr_counter_get(&s->reason[WR_R_FOREIGN_FRAME]);
}
