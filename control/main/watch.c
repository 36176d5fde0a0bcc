/* SPDX-License-Identifier: BSD-3-Clause */
#include "main/watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sre/sre.h"
#include "xdp/xdp.h"

#define WIRE_S   1
#define DOCTOR_S 60

struct wr_watch {
	struct wr_api *api;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
};

static void set_state(struct wr_metrics *m, const char *link, const char *is)
{
	static const char *const state[] = { "inspect", "open", "closed" };

	for (size_t i = 0; i < WR_COUNT_OF(state); i++) {
		char labels[128] = "";

		wr_metrics_label(labels, sizeof(labels), "link", link);
		wr_metrics_label(labels, sizeof(labels), "state", state[i]);
		wr_metrics_set(m, "weir_wire_state", labels, strcmp(is, state[i]) == 0);
	}
}

static void set_counts(struct wr_metrics *m, const char *link, const char *side,
                       const struct wr_wire_count *n)
{
	const struct {
		const char *fate;
		uint64_t frames, bytes;
	} row[] = { { "socket", n->socket_frames, n->socket_bytes },
		    { "open", n->open_frames, n->open_bytes },
		    { "closed", n->closed_frames, n->closed_bytes },
		    { "unserved", n->unserved_frames, n->unserved_bytes } };
	char port[64];

	snprintf(port, sizeof(port), "%s.%s", link, side);
	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		char labels[128] = "";

		wr_metrics_label(labels, sizeof(labels), "port", port);
		wr_metrics_label(labels, sizeof(labels), "fate", row[i].fate);
		wr_metrics_set(m, "weir_wire_frames_total", labels, (double)row[i].frames);
		wr_metrics_set(m, "weir_wire_bytes_total", labels, (double)row[i].bytes);
	}
}

/* A link that the kernel has no part in, or whose pins cannot be read: what is known of the
 * process. */
static const char *state_by_process(struct wr_api *a, uint32_t link)
{
	const struct wr_conf *c = wr_config_dataplane(a->cfg);
	struct wr_session *s = wr_session_get(a->link);
	struct wr_link_status st;
	enum wr_wire_state is =
	        c->link[link].on_process_death == WR_DEATH_OPEN ? WR_WIRE_OPEN : WR_WIRE_CLOSED;

	wr_link_status(a->link, &st);
	if (s != NULL && st.connected && st.last.generation != 0)
		is = (enum wr_wire_state)wr_counter_get(&s->stats->wire_state[link]);
	wr_session_put(a->link, s);
	return wr_wire_state_name(is);
}

static void watch_wire(struct wr_api *a)
{
	const struct wr_conf *c = wr_config_dataplane(a->cfg);

	for (uint32_t i = 0; i < c->nlinks; i++) {
		char err[WR_XDP_ERR], labels[64] = "";
		struct wr_xdp_port_info port;
		struct wr_xdp_conf xc;
		struct wr_xdp *x = NULL;
		uint64_t word;

		if (wr_xdp_conf_of(&c->link[i], &xc, err) == 1)
			x = wr_xdp_open_ro(c->link[i].name, err);
		if (x == NULL) {
			set_state(a->metrics, c->link[i].name, state_by_process(a, i));
			continue;
		}
		word = wr_wire_decision(wr_xdp_page(x));
		set_state(a->metrics, c->link[i].name, wr_wire_state_name(wr_wire_state_of(word)));
		wr_metrics_label(labels, sizeof(labels), "link", c->link[i].name);
		wr_metrics_set(a->metrics, "weir_wire_epoch", labels,
		               (double)wr_wire_epoch_of(word));
		for (int s = 0; s < 2; s++)
			if (wr_xdp_port(x, (enum wr_xdp_side)s, &port) == 0)
				set_counts(a->metrics, c->link[i].name, s ? "store" : "client",
				           &port.count);
		wr_xdp_close(x);
	}
}

static void watch_doctor(struct wr_api *a)
{
	struct wr_machine *m = calloc(1, sizeof(*m));
	struct wr_facts *f = calloc(1, sizeof(*f));
	struct wr_doctor_in in = { .m = m, .conf = wr_config_dataplane(a->cfg), .facts = f };
	struct wr_session *s = wr_session_get(a->link);
	struct wr_result r[WR_CHECKS_MAX];
	json_t *active = wr_loader_active(a->loader);
	uint32_t n;

	if (m != NULL && f != NULL) {
		wr_machine_read(m, "");
		wr_facts_time(f);
		wr_facts_wire(f, in.conf);
		wr_facts_bundles(f, active);
		f->allow_unsigned = wr_config_control(a->cfg)->allow_unsigned;
		for (uint32_t w = 0; s != NULL && w < s->workers; w++)
			wr_facts_frames(f, wr_session_stats(s, w));
		n = wr_doctor_run(&in, r);
		for (uint32_t i = 0; i < n; i++) {
			char labels[64] = "";

			wr_metrics_label(labels, sizeof(labels), "check", r[i].id);
			wr_metrics_set(a->metrics, "weir_doctor_check_ok", labels,
			               r[i].level == WR_OK || r[i].level == WR_NA);
		}
	}
	json_decref(active);
	wr_session_put(a->link, s);
	free(m);
	free(f);
}

static void *run(void *arg)
{
	struct wr_watch *w = arg;
	uint64_t turn = 0;

	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		struct timespec until;

		pthread_mutex_unlock(&w->lock);
		watch_wire(w->api);
		/* A few seconds after start: the first bundle is then in force. */
		if (turn % DOCTOR_S == 5)
			watch_doctor(w->api);
		turn += WIRE_S;
		pthread_mutex_lock(&w->lock);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += WIRE_S;
		if (!w->stop)
			pthread_cond_timedwait(&w->wake, &w->lock, &until);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

struct wr_watch *wr_watch_new(struct wr_api *api)
{
	struct wr_watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->api = api;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	if (pthread_create(&w->thread, NULL, run, w) != 0) {
		free(w);
		return NULL;
	}
	return w;
}

void wr_watch_free(struct wr_watch *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	free(w);
}
