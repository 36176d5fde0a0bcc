/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/bundles.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/hunts.h"
#include "config/log.h"
#include "life/breaker.h"

#define TRIPPED_MAX 64u
#define KEY_BYTES   4096u

struct tripped {
	char bundle[WR_BUNDLE_NAME_MAX + 1], item[WR_BUNDLE_ID_MAX + 8];
};

struct wr_bundles {
	struct wr_life *life;
	struct wr_ship_trust trust[WR_TRUST_BUNDLES_MAX];
	const char *may[WR_TRUST_BUNDLES_MAX][WR_TRUST_KEYS_MAX][WR_TRUST_MAY_MAX];
	unsigned ntrust;
	struct wr_ship_trust lab; /* what applies to bundles nobody signed */
	struct wr_breaker *breaker;
	struct wr_push_server *push;
	struct wr_hunts *hunts;
	json_int_t recompiled_at; /* the thread's own */
	pthread_mutex_t lock;     /* of what follows */
	pthread_cond_t wake;
	struct tripped tripped[TRIPPED_MAX];
	unsigned ntripped;
	bool stop, running;
	pthread_t thread;
};

static const char *const may_all[] = { "*" };

struct wr_life *wr_bundles_life(struct wr_api *a)
{
	struct wr_bundles *b = a->bundle;

	return b == NULL ? NULL : b->life;
}

/* --- trust --------------------------------------------------------------------------- */

static const struct wr_ship_trust *find(void *ctx, const char *name)
{
	struct wr_bundles *b = ctx;

	if (name == NULL)
		return b->lab.allow_unsigned ? &b->lab : NULL;
	for (unsigned i = 0; i < b->ntrust; i++)
		if (strcmp(b->trust[i].bundle, name) == 0)
			return &b->trust[i];
	return NULL;
}

static int read_key(const char *path, struct wr_ship_key *k, char *err)
{
	char text[KEY_BYTES];
	FILE *f = fopen(path, "rbe");
	size_t n;

	if (f == NULL) {
		snprintf(err, WR_API_ERR, "trust: key %.200s: %s", path, strerror(errno));
		return -errno;
	}
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	if (wr_minisign_public(text, n, &k->key) != 0) {
		snprintf(err, WR_API_ERR, "trust: %.200s is not a minisign public key", path);
		return -EINVAL;
	}
	snprintf(k->name, sizeof(k->name), "%.63s",
	         strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path);
	return 0;
}

static int read_trust(struct wr_bundles *b, const struct wr_control_conf *c, char *err)
{
	int rc = 0;

	b->lab.allow_unsigned = c->allow_unsigned;
	for (unsigned i = 0; rc == 0 && i < c->nbundles; i++) {
		struct wr_ship_trust *t = &b->trust[b->ntrust++];

		snprintf(t->bundle, sizeof(t->bundle), "%.39s", c->bundle[i].name);
		t->threshold = c->bundle[i].threshold;
		t->allow_unsigned = c->allow_unsigned;
		t->nkeys = c->bundle[i].nkeys;
		for (unsigned k = 0; rc == 0 && k < t->nkeys; k++) {
			const struct wr_trust_key *key = &c->bundle[i].key[k];

			rc = read_key(key->file, &t->key[k], err);
			/* The configuration lives as long as we do: its texts are lent. */
			for (unsigned m = 0; m < key->nmay; m++)
				b->may[i][k][m] = key->may[m];
			t->key[k].may = key->nmay == 0 ? may_all : b->may[i][k];
			t->key[k].nmay = key->nmay == 0 ? 1 : key->nmay;
		}
	}
	return rc;
}

/* --- life ---------------------------------------------------------------------------- */

static int activate(void *ctx, const char *const *dir, unsigned n, json_t **reply)
{
	struct wr_api *a = ctx;

	return wr_loader_load(a->loader, dir, n, reply);
}

static struct wr_breaker_budget budget_of(const struct wr_control_conf *c)
{
	return (struct wr_breaker_budget){ .most = c->breaker.blocks,
		                           .factor = c->breaker.factor,
		                           .floor = c->breaker.floor,
		                           .learn = c->breaker.learn_minutes };
}

static void activated(void *ctx, const char *name, uint64_t version, uint64_t was)
{
	struct wr_api *a = ctx;
	struct wr_bundles *b = a->bundle;

	if (b->hunts != NULL)
		wr_hunts_add(b->hunts, name, version, was);
}

json_t *wr_bundles_hunts(struct wr_api *a)
{
	struct wr_bundles *b = a->bundle;

	return b == NULL || b->hunts == NULL ? json_array() : wr_hunts_list(b->hunts);
}

static int resume(void *ctx, json_t **reply)
{
	struct wr_api *a = ctx;

	return wr_loader_resume(a->loader, reply);
}

int wr_bundles_new(struct wr_api *a, char *err)
{
	const struct wr_control_conf *c = wr_config_control(a->cfg);
	struct wr_bundles *b = calloc(1, sizeof(*b));
	char dir[WR_CONFIG_PATH + 16];
	struct wr_life_conf conf = { .dir = dir,
		                     .find = find,
		                     .find_ctx = b,
		                     .activate = activate,
		                     .resume = resume,
		                     .activated = activated,
		                     .activate_ctx = a,
		                     .limits = WR_SHIP_LIMITS_DEFAULT };
	struct wr_breaker_budget budget;
	int rc;

	snprintf(err, WR_API_ERR, "out of memory");
	if (b == NULL)
		return -ENOMEM;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->wake, NULL);
	a->bundle = b;
	budget = budget_of(c);
	b->breaker = wr_breaker_new(&budget);
	snprintf(dir, sizeof(dir), "%s/bundles", c->state_dir);
	rc = b->breaker == NULL ? -ENOMEM : read_trust(b, c, err);
	if (rc == 0)
		rc = wr_life_new(&conf, &b->life, err, WR_API_ERR);
	if (rc == 0)
		rc = wr_hunts_new(a, &b->hunts, err);
	if (rc != 0)
		wr_bundles_free(a);
	return rc;
}

void wr_bundles_free(struct wr_api *a)
{
	struct wr_bundles *b = a->bundle;

	if (b == NULL)
		return;
	wr_push_stop(b->push);
	if (b->running) {
		pthread_mutex_lock(&b->lock);
		b->stop = true;
		pthread_cond_signal(&b->wake);
		pthread_mutex_unlock(&b->lock);
		pthread_join(b->thread, NULL);
	}
	wr_hunts_free(b->hunts);
	wr_life_free(b->life);
	wr_breaker_free(b->breaker);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->wake);
	free(b);
	a->bundle = NULL;
}

void wr_bundles_tune(struct wr_api *a, const struct wr_control_conf *c)
{
	struct wr_bundles *b = a->bundle;
	struct wr_breaker_budget budget = budget_of(c);

	if (b == NULL)
		return;
	pthread_mutex_lock(&b->lock);
	wr_breaker_tune(b->breaker, &budget);
	pthread_mutex_unlock(&b->lock);
}

/* --- the breaker --------------------------------------------------------------------- */

void wr_bundles_record(void *arg, const struct wr_record_parts *p)
{
	struct wr_api *a = arg;
	struct wr_bundles *b = a->bundle;

	wr_metrics_record(a->metrics, p);
	for (unsigned i = 0; b != NULL && i < p->rec->nmatches; i++) {
		const struct wr_record_match *m = &p->match[i];
		struct tripped t;

		if (!m->applied || m->action != WR_A_BLOCK)
			continue;
		snprintf(t.bundle, sizeof(t.bundle), "%.39s", m->bundle);
		snprintf(t.item, sizeof(t.item), "%s%.64s",
		         m->kind == WR_MATCH_PATTERN ? "rule:" : "list:", m->item);
		pthread_mutex_lock(&b->lock);
		if (wr_breaker_hit(b->breaker, t.bundle, t.item, p->rec->ts_ns / 1000000000ull) &&
		    b->ntripped < TRIPPED_MAX) {
			b->tripped[b->ntripped++] = t;
			pthread_cond_signal(&b->wake);
		}
		pthread_mutex_unlock(&b->lock);
	}
}

static void lower(struct wr_api *a, const struct tripped *t)
{
	struct wr_bundles *b = a->bundle;
	struct wr_life_order o = { .bundle = t->bundle,
		                   .item = t->item,
		                   .to = "shadow",
		                   .reason = "flood breaker: it blocked more than its budget",
		                   .who = "breaker" };
	char labels[192] = "";
	json_t *reply = NULL;
	int status = 409;

	for (int i = 0; i < 50 && status == 409; i++) { /* a push may be under way */
		json_decref(reply);
		status = wr_life_promote(b->life, &o, &reply);
		if (status == 409)
			nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	}
	json_decref(reply);
	wr_metrics_label(labels, sizeof(labels), "bundle", t->bundle);
	wr_metrics_label(labels, sizeof(labels), "item", t->item);
	wr_metrics_set(a->metrics, "weir_breaker_open", labels, 1);
	wr_log(status == 200 || status == 202 ? WR_LOG_WARN : WR_LOG_ERROR, "breaker.open",
	       "bundle=%s item=%s status=%d hint=\"lowered to shadow; see weir bundle status\"",
	       t->bundle, t->item, status);
}

void wr_bundles_lifted(struct wr_api *a, const char *bundle, const char *item)
{
	struct wr_bundles *b = a->bundle;
	char labels[192] = "";

	pthread_mutex_lock(&b->lock);
	wr_breaker_close(b->breaker, bundle, item);
	pthread_mutex_unlock(&b->lock);
	wr_metrics_label(labels, sizeof(labels), "bundle", bundle);
	wr_metrics_label(labels, sizeof(labels), "item", item);
	wr_metrics_set(a->metrics, "weir_breaker_open", labels, 0);
}

/* A suppression that ends brings its item back: the compiler said when. */
static void suppressions_end(struct wr_api *a)
{
	struct wr_bundles *b = a->bundle;
	json_t *active = wr_loader_active(a->loader), *source, *reply = NULL;
	json_int_t at = json_integer_value(json_object_get(active, "recompile_at"));
	const char *dir[WR_LIFE_BUNDLES_MAX];
	unsigned n = 0;
	int status = 404;
	size_t i;

	/* One attempt for each moment: what does not compile is not tried every second. */
	if (at != 0 && at != b->recompiled_at && (json_int_t)time(NULL) >= at) {
		b->recompiled_at = at;
		status = wr_life_refresh(b->life);
		/* Nobody pushed it: a folder that was loaded in a lab. */
		json_array_foreach(json_object_get(active, "source"), i,
		                   source) if (status == 404 && n < WR_LIFE_BUNDLES_MAX) dir[n++] =
		        json_string_value(source);
		if (n != 0)
			status = wr_loader_load(a->loader, dir, n, &reply);
		if (status == 409)
			b->recompiled_at = 0; /* something else was under way */
		wr_log(status < 300 || status == 409 ? WR_LOG_INFO : WR_LOG_ERROR, "bundle.refresh",
		       "why=\"a suppression has ended\" status=%d", status);
	}
	json_decref(reply);
	json_decref(active);
}

static void *work(void *arg)
{
	struct wr_api *a = arg;
	struct wr_bundles *b = a->bundle;

	pthread_mutex_lock(&b->lock);
	while (!b->stop) {
		struct wr_link_status st;
		struct timespec until;

		while (b->ntripped != 0 && !b->stop) {
			struct tripped t = b->tripped[--b->ntripped];

			pthread_mutex_unlock(&b->lock);
			lower(a, &t);
			pthread_mutex_lock(&b->lock);
		}
		pthread_mutex_unlock(&b->lock);
		wr_link_status(a->link, &st);
		wr_life_tick(b->life, st.connected ? st.last.oldest_generation : 0);
		wr_metrics_set(a->metrics, "weir_bundle_staged", "", wr_life_waiting(b->life));
		suppressions_end(a);
		pthread_mutex_lock(&b->lock);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 1;
		if (!b->stop && b->ntripped == 0)
			pthread_cond_timedwait(&b->wake, &b->lock, &until);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

int wr_bundles_start(struct wr_api *a, bool restored, char *err)
{
	struct wr_bundles *b = a->bundle;
	json_t *active, *reply = NULL;
	int status, rc;

	/* No compiled ruleset, or one that is not believed: the verified sources are enough to
	 * boot. */
	if (!restored) {
		status = wr_life_restore(b->life, &reply);
		if (status != 404)
			wr_log(status < 300 ? WR_LOG_INFO : WR_LOG_ERROR, "bundle.recompiled",
			       "status=%d", status);
		json_decref(reply);
	}
	active = wr_loader_active(a->loader);
	wr_life_reconcile(b->life, active);
	json_decref(active);
	rc = wr_push_start(a, &b->push, err);
	if (rc != 0)
		return rc;
	rc = pthread_create(&b->thread, NULL, work, a);
	b->running = rc == 0;
	return -rc;
}
