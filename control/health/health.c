/* SPDX-License-Identifier: BSD-3-Clause */
#include "health/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define BEAT_MIN_NS 2000000000ull /* labs share cores: a worker may lose its core for a while */

WR_PRINTF(4, 5)
static void say(struct wr_health *h, const char *name, bool ok, const char *fmt, ...)
{
	va_list ap;

	WR_ASSERT(h->n < WR_HEALTH_CHECKS);
	h->check[h->n].name = name;
	h->check[h->n].ok = ok;
	va_start(ap, fmt);
	vsnprintf(h->check[h->n].text, sizeof(h->check[0].text), fmt, ap);
	va_end(ap);
	h->ready &= ok;
	h->n++;
}

/* Each worker has turned lately, and polls: a port that nobody polls is a wire that is cut. */
static void workers(const struct wr_conf *conf, const struct wr_session *s, bool connected,
                    struct wr_health *h)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
	for (uint32_t w = 0; connected && s != NULL && w < s->workers; w++) {
		const struct wr_stats *st = wr_session_stats(s, w);
		uint32_t l = w < conf->nworkers ? conf->worker[w].link : 0;
		uint64_t limit = wr_max_u64(conf->link[l].stall_limit_ns, BEAT_MIN_NS);
		uint64_t beat = wr_counter_get(&st->beat_ns);

		if (beat + limit < now || wr_counter_get(&st->port[0].polls) == 0 ||
		    wr_counter_get(&st->port[1].polls) == 0) {
			say(h, "workers", false, "worker %s does not poll its ports",
			    w < conf->nworkers ? conf->worker[w].name : "?");
			return;
		}
	}
	say(h, "workers", connected && s != NULL, "%s",
	    connected && s != NULL ? "every worker polls its ports" : "no dataplane");
}

void wr_health_check(const struct wr_conf *conf, struct wr_link *link, struct wr_audit *audit,
                     struct wr_health *out)
{
	struct wr_session *s = wr_session_get(link);
	struct wr_audit_counts a = { 0 };
	struct wr_link_status st;
	bool now;

	wr_link_status(link, &st);
	*out = (struct wr_health){ .ready = true };
	now = st.connected && s != NULL;
	say(out, "dataplane", st.connected, "%s",
	    st.connected          ? "connected"
	    : st.error[0] != '\0' ? st.error
	                          : "not connected");
	say(out, "ruleset", now && st.synced && st.last.generation != 0, "%s",
	    !now                      ? "no dataplane"
	    : st.synced               ? "the active ruleset is in use"
	    : st.error[0] != '\0'     ? st.error
	    : st.last.generation == 0 ? "no ruleset is mapped; load a bundle (weir bundle load DIR)"
	                              : "the dataplane does not use the active ruleset yet");
	workers(conf, s, st.connected, out);
	say(out, "ports", now && st.last.ready != 0, "%s",
	    now && st.last.ready != 0 ? "inspecting"
	    : st.last.text[0] != '\0' ? st.last.text
	                              : "the dataplane is not ready");
	say(out, "draining", st.last.draining == 0, "%s",
	    st.last.draining != 0 ? "draining: new connections go elsewhere" : "no");
	if (audit != NULL)
		wr_audit_counts(audit, &a);
	say(out, "records", !a.stalled && a.broken_rings == 0, "%s",
	    a.stalled             ? a.error
	    : a.broken_rings != 0 ? "a ring of the dataplane is broken; restart weir-dataplane"
	                          : "written");
	wr_session_put(link, s);
}
