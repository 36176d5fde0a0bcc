/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "life/private.h"

int wr_life_answer(json_t **reply, int status, const char *code, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	*reply = json_pack("{s:b,s:s,s:s}", "ok", 0, "code", code, "error", text);
	if (*reply == NULL) /* text that is not UTF-8 */
		*reply = json_pack("{s:b,s:s,s:s}", "ok", 0, "code", code, "error", "refused");
	return status;
}

struct set {
	char path[WR_LIFE_BUNDLES_MAX][PATH_MAX];
	const char *dir[WR_LIFE_BUNDLES_MAX];
	unsigned n;
};

static int add(struct wr_life *l, struct set *s, const char *name, uint64_t version)
{
	int rc;

	if (s->n == WR_LIFE_BUNDLES_MAX)
		return -E2BIG;
	rc = wr_life_write_overlay(l, name, version);
	if (rc != 0)
		return rc;
	wr_life_path(l, name, version, s->path[s->n]);
	s->dir[s->n] = s->path[s->n];
	s->n++;
	return 0;
}

/* The entry that was in force gives way. */
static void supersede(json_t *name, uint64_t version)
{
	json_t *old = wr_life_version(name, version);
	enum wr_life_state s = old == NULL ? WR_LIFE_REJECTED : wr_life_state_of(old);

	if (s == WR_LIFE_ACTIVE || s == WR_LIFE_COMPILED)
		wr_life_step(old, WR_LIFE_ON_SUPERSEDED);
}

static void in_force(struct wr_life *l, const char *name, uint64_t version, const json_t *reply,
                     int status)
{
	json_t *nm = wr_life_name(l, name, true), *entry = wr_life_version(nm, version);
	uint64_t was = wr_life_u64(nm, "active");

	if (was != version)
		supersede(nm, was);
	if (entry != NULL && wr_life_state_of(entry) == WR_LIFE_VERIFIED)
		wr_life_step(entry, WR_LIFE_ON_COMPILE_OK);
	/* 202: no dataplane is there; it gets the ruleset when it is, and reconcile() sees that. */
	if (entry != NULL && status == 200 && wr_life_state_of(entry) == WR_LIFE_COMPILED) {
		wr_life_step(entry, WR_LIFE_ON_STAGE_ACK);
		wr_life_step(entry, WR_LIFE_ON_COMMIT_ACK);
	}
	if (entry != NULL) {
		wr_life_set_u64(entry, "activated", wr_life_now(l));
		wr_life_set_u64(entry, "generation", wr_life_u64(reply, "generation"));
	}
	wr_life_set_u64(nm, "active", version);
}

int wr_life_activate(struct wr_life *l, const char *name, uint64_t version, json_t **reply)
{
	json_t *all = json_object_get(l->root, "bundles"), *nm;
	struct set *s = calloc(1, sizeof(*s));
	const char *n;
	bool seen = false;
	int rc = s == NULL ? -ENOMEM : 0, status;

	*reply = NULL;
	json_object_foreach(all, n, nm)
	{
		uint64_t v = strcmp(n, name) == 0 ? version : wr_life_u64(nm, "active");

		seen |= strcmp(n, name) == 0;
		if (rc == 0 && v != 0)
			rc = add(l, s, n, v);
	}
	if (rc == 0 && !seen)
		rc = add(l, s, name, version);
	if (rc != 0) {
		free(s);
		return wr_life_answer(reply, 500, wr_refusal_name(WR_REFUSE_IO),
		                      "cannot prepare the bundles' folders: %s", strerror(-rc));
	}
	status = l->conf.activate(l->conf.activate_ctx, s->dir, s->n, reply);
	free(s);
	if (status == 200 || status == 202) {
		pthread_mutex_lock(&l->lock);
		in_force(l, name, version, *reply, status);
		pthread_mutex_unlock(&l->lock);
	}
	return status;
}

void wr_life_prune(struct wr_life *l, const char *name)
{
	json_t *nm = wr_life_name(l, name, false), *all = json_object_get(nm, "versions");
	uint64_t active = wr_life_u64(nm, "active");
	unsigned kept = 0;

	for (size_t i = json_array_size(all); i-- > 0;) {
		json_t *e = json_array_get(all, i);
		enum wr_life_state s = wr_life_state_of(e);
		uint64_t v = wr_life_u64(e, "version");
		char path[WR_BUNDLE_NAME_MAX + 32];

		if (s != WR_LIFE_RETIRED || v == active || ++kept <= WR_LIFE_KEEP)
			continue;
		snprintf(path, sizeof(path), "%s/%llu", name, (unsigned long long)v);
		wr_life_remove(l, path);
		json_object_set_new(e, "removed", json_true());
	}
	while (json_array_size(all) > WR_LIFE_HISTORY)
		json_array_remove(all, 0);
}
