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

/* The entry that was in force, or was to be, gives way. */
static void supersede(json_t *name, uint64_t version)
{
	json_t *old = wr_life_version(name, version);
	enum wr_life_state s = old == NULL ? WR_LIFE_REJECTED : wr_life_state_of(old);

	if (s == WR_LIFE_ACTIVE || s == WR_LIFE_COMPILED || s == WR_LIFE_STAGED)
		wr_life_step(old, WR_LIFE_ON_SUPERSEDED);
}

static void nothing_staged(json_t *nm)
{
	json_object_del(nm, "staged");
	json_object_del(nm, "waiting");
}

/* A state of the way there that the entry has passed already is passed over. */
static void advance(json_t *entry, enum wr_life_state from, enum wr_life_event e)
{
	if (entry != NULL && wr_life_state_of(entry) == from)
		wr_life_step(entry, e);
}

static void in_force(struct wr_life *l, const char *name, uint64_t version, const json_t *reply,
                     int status)
{
	json_t *nm = wr_life_name(l, name, true), *entry = wr_life_version(nm, version);
	uint64_t was = wr_life_u64(nm, "active"), staged = wr_life_u64(nm, "staged");

	if (was != version)
		supersede(nm, was);
	if (staged != 0 && staged != version)
		supersede(nm, staged);
	nothing_staged(nm);
	advance(entry, WR_LIFE_VERIFIED, WR_LIFE_ON_COMPILE_OK);
	/* 202: no dataplane is there; it gets the ruleset when it is, and reconcile() sees that. */
	if (status == 200) {
		advance(entry, WR_LIFE_COMPILED, WR_LIFE_ON_STAGE_ACK);
		advance(entry, WR_LIFE_STAGED, WR_LIFE_ON_COMMIT_ACK);
	}
	if (entry != NULL) {
		wr_life_set_u64(entry, "activated", wr_life_now(l));
		wr_life_set_u64(entry, "generation", wr_life_u64(reply, "generation"));
	}
	wr_life_set_u64(nm, "active", version);
	if (was != version && l->conf.activated != NULL)
		l->conf.activated(l->conf.activate_ctx, name, version, was);
}

/* The dataplane has no place for one more generation: what is in force stays until it has. */
static void stage(struct wr_life *l, const char *name, uint64_t version, const json_t *reply)
{
	json_t *nm = wr_life_name(l, name, true), *entry = wr_life_version(nm, version);
	const char *why = json_string_value(json_object_get(reply, "waiting"));
	uint64_t staged = wr_life_u64(nm, "staged");

	if (staged != 0 && staged != version)
		supersede(nm, staged);
	advance(entry, WR_LIFE_VERIFIED, WR_LIFE_ON_COMPILE_OK);
	advance(entry, WR_LIFE_COMPILED, WR_LIFE_ON_STAGE_ACK);
	wr_life_set_u64(nm, "staged", version);
	json_object_set_new(nm, "waiting", json_string(why == NULL ? "waiting for drain" : why));
}

/* What the answer means for each name of the set: `version` for `name`, the target of the others.
 */
static void conclude(struct wr_life *l, const char *name, uint64_t version, const json_t *reply,
                     int status)
{
	const char *state = json_string_value(json_object_get(reply, "state"));
	bool staged = state != NULL && strcmp(state, "staged") == 0;
	const char *n;
	json_t *nm;

	(void)wr_life_name(l, name, true);
	json_object_foreach(json_object_get(l->root, "bundles"), n, nm)
	{
		uint64_t v = strcmp(n, name) == 0 ? version : wr_life_target(nm);

		if (staged && v != 0 && (strcmp(n, name) == 0 || v != wr_life_u64(nm, "active")))
			stage(l, n, v, reply);
		/* A name that stays as it is has nothing to say but that its rules were renewed. */
		else if (!staged && v != 0 &&
		         (strcmp(n, name) == 0 || wr_life_u64(nm, "staged") != 0))
			in_force(l, n, v, reply, status);
	}
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
		uint64_t v = strcmp(n, name) == 0 ? version : wr_life_target(nm);

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
		conclude(l, name, version, *reply, status);
		pthread_mutex_unlock(&l->lock);
	}
	return status;
}

static void not_resumed(struct wr_life *l, const json_t *reply)
{
	const char *why = json_string_value(json_object_get(reply, "error")), *n;
	json_t *nm;

	json_object_foreach(json_object_get(l->root, "bundles"), n, nm)
	{
		json_t *entry = wr_life_version(nm, wr_life_u64(nm, "staged"));

		if (entry != NULL && wr_life_state_of(entry) == WR_LIFE_STAGED) {
			wr_life_step(entry, WR_LIFE_ON_FAIL);
			json_object_set_new(entry, "code", json_string("dataplane"));
			json_object_set_new(entry, "error", json_string(why == NULL ? "" : why));
		}
		if (wr_life_u64(json_object_get(nm, "pinned"), "version") ==
		    wr_life_u64(nm, "staged"))
			json_object_set_new(nm, "pinned", json_null());
		nothing_staged(nm);
	}
}

int wr_life_resume(struct wr_life *l)
{
	const char *name, *first = NULL;
	json_t *nm, *reply = NULL;
	int status;

	json_object_foreach(json_object_get(l->root, "bundles"), name,
	                    nm) if (wr_life_u64(nm, "staged") != 0) first = name;
	status = l->conf.resume != NULL ? l->conf.resume(l->conf.activate_ctx, &reply) : 404;
	if (first == NULL) {
		json_decref(reply);
		return status; /* what the loader had was not ours */
	}
	nm = wr_life_name(l, first, false);
	if (status == 404) { /* a restart came between: the sources are here, verified */
		status = wr_life_activate(l, first, wr_life_target(nm), &reply);
	} else if (status == 200 || status == 202) {
		pthread_mutex_lock(&l->lock);
		conclude(l, first, wr_life_target(nm), reply, status);
		pthread_mutex_unlock(&l->lock);
	}
	if (status != 200 && status != 202) {
		pthread_mutex_lock(&l->lock);
		not_resumed(l, reply);
		pthread_mutex_unlock(&l->lock);
	}
	json_decref(reply);
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
