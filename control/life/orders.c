/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an operator may do without a key: go back to a version that was verified here, and lower
 * items below what their signed mode allows. Nothing here can raise anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/text.h"
#include "life/private.h"

static int unknown(json_t **reply, const char *name)
{
	return wr_life_answer(reply, 404, "unknown", "no bundle %.40s is known here", name);
}

/* The version before the one in force: the newest that was in force earlier and is still on the
 * disk. */
static uint64_t previous(json_t *nm)
{
	json_t *all = json_object_get(nm, "versions");
	uint64_t active = wr_life_u64(nm, "active");

	for (size_t i = json_array_size(all); i-- > 0;) {
		const json_t *e = json_array_get(all, i);
		enum wr_life_state s = wr_life_state_of(e);

		if (wr_life_u64(e, "version") != active &&
		    (s == WR_LIFE_DRAINING || s == WR_LIFE_RETIRED) &&
		    wr_life_u64(e, "activated") != 0 &&
		    !json_is_true(json_object_get(e, "removed")))
			return wr_life_u64(e, "version");
	}
	return 0;
}

/* A disk may have rotted since it was verified: the sums are checked again. */
static int still_good(struct wr_life *l, const char *name, uint64_t version, struct wr_refusal *r)
{
	char path[PATH_MAX];
	int fd, rc;

	wr_life_path(l, name, version, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return wr_refuse(r, WR_REFUSE_IO, "%s: %s", path, strerror(errno));
	(void)unlinkat(fd, ".overlay.yaml", 0); /* it comes back before the bundle is compiled */
	rc = wr_ship_sums_check(fd, r);
	close(fd);
	return rc;
}

static int go_back(struct wr_life *l, const struct wr_life_order *o, json_t *nm, json_t *entry,
                   json_t **reply)
{
	uint64_t version = wr_life_u64(entry, "version");
	enum wr_life_state was = wr_life_state_of(entry);
	int status;

	pthread_mutex_lock(&l->lock);
	wr_life_step(entry, WR_LIFE_ON_REVIVED);
	pthread_mutex_unlock(&l->lock);
	status = wr_life_activate(l, o->bundle, version, reply);
	pthread_mutex_lock(&l->lock);
	if (status == 200 || status == 202)
		json_object_set_new(nm, "pinned",
		                    json_pack("{s:I,s:s,s:s?,s:I,s:b}", "version",
		                              (json_int_t)version, "reason", o->reason, "who",
		                              o->who, "at", (json_int_t)wr_life_now(l), "hold",
		                              o->hold));
	else /* as before: it stays a version to go back to */
		json_object_set_new(entry, "state", json_string(wr_life_state_name(was)));
	pthread_mutex_unlock(&l->lock);
	if (wr_life_save(l) != 0)
		json_object_set_new(*reply, "warning",
		                    json_string("the state file was not written"));
	return status;
}

static int rollback(struct wr_life *l, const struct wr_life_order *o, json_t **reply)
{
	json_t *nm = wr_life_name(l, o->bundle, false), *entry;
	uint64_t version = o->version != 0 ? o->version : previous(nm);
	struct wr_refusal r = { 0 };
	enum wr_life_state s;

	if (nm == NULL)
		return unknown(reply, o->bundle);
	if (o->reason == NULL || o->reason[0] == '\0')
		return wr_life_answer(reply, 400, "reason", "a rollback needs a reason");
	entry = version == 0 ? NULL : wr_life_version(nm, version);
	s = entry == NULL ? WR_LIFE_REJECTED : wr_life_state_of(entry);
	if ((s != WR_LIFE_DRAINING && s != WR_LIFE_RETIRED) ||
	    json_is_true(json_object_get(entry, "removed")))
		return wr_life_answer(
		        reply, 409, "not_kept",
		        "version %llu of %s is not kept here (see `weir bundle status`)",
		        (unsigned long long)version, o->bundle);
	if (still_good(l, o->bundle, version, &r) != 0)
		return wr_life_answer(reply, 409, wr_refusal_name(r.code), "%s", r.text);
	return go_back(l, o, nm, entry, reply);
}

/* --- overlay ------------------------------------------------------------------------- */

static bool same_line(const json_t *line, const struct wr_life_order *o, const char *digest)
{
	const char *item = json_string_value(json_object_get(line, "item"));
	const char *d = json_string_value(json_object_get(line, "digest"));

	return item != NULL && strcmp(item, o->item) == 0 &&
	       (d == NULL ? digest == NULL : digest != NULL && strcmp(d, digest) == 0);
}

static json_t *make_line(struct wr_life *l, const struct wr_life_order *o, const char *mode)
{
	json_t *v = json_pack("{s:s,s:s,s:s,s:s?,s:I}", "item", o->item, "mode", mode, "reason",
	                      o->reason, "who", o->who, "at", (json_int_t)wr_life_now(l));
	char text[32];

	if (v == NULL)
		return NULL;
	if (o->ticket != NULL)
		json_object_set_new(v, "ticket", json_string(o->ticket));
	if (o->digest != NULL)
		json_object_set_new(v, "digest", json_string(o->digest));
	if (strcmp(mode, "canary") == 0) {
		snprintf(text, sizeof(text), "%.4f", o->percent);
		json_object_set_new(v, "canary_percent", json_string(text));
	}
	if (o->expires != 0) {
		wr_text_time_print(o->expires, text);
		json_object_set_new(v, "expires", json_string(text));
		wr_life_set_u64(v, "expires_at", o->expires);
	}
	return v;
}

/* Replaces the line of this item; mode NULL = lifts it. */
static int lower(struct wr_life *l, const struct wr_life_order *o, const char *mode, json_t **reply)
{
	json_t *nm = wr_life_name(l, o->bundle, false), *before, *all, *line = NULL;
	uint64_t active = wr_life_target(nm);
	int status;

	if (nm == NULL || active == 0)
		return unknown(reply, o->bundle);
	if (mode != NULL && (o->reason == NULL || o->reason[0] == '\0'))
		return wr_life_answer(reply, 400, "reason", "lowering something needs a reason");
	if (mode != NULL && (line = make_line(l, o, mode)) == NULL)
		return wr_life_answer(reply, 400, "text", "a text is not UTF-8");
	pthread_mutex_lock(&l->lock);
	before = json_deep_copy(json_object_get(nm, "overlay"));
	all = json_object_get(nm, "overlay");
	for (size_t i = json_array_size(all); i-- > 0;)
		if (same_line(json_array_get(all, i), o, o->digest))
			json_array_remove(all, i);
	if (line != NULL)
		json_array_append_new(all, line);
	pthread_mutex_unlock(&l->lock);
	if (json_array_size(all) > WR_LIFE_OVERLAY_MAX)
		status = wr_life_answer(reply, 409, "overlay", "more than %u lines in the overlay",
		                        WR_LIFE_OVERLAY_MAX);
	else
		status = wr_life_activate(l, o->bundle, active, reply);
	if (status == 200 || status == 202) {
		json_decref(before);
	} else {
		pthread_mutex_lock(&l->lock);
		json_object_set_new(nm, "overlay", before);
		pthread_mutex_unlock(&l->lock);
		(void)wr_life_write_overlay(l, o->bundle, active); /* again, as it was */
	}
	if (wr_life_save(l) != 0 && *reply != NULL)
		json_object_set_new(*reply, "warning",
		                    json_string("the state file was not written"));
	return status;
}

static bool item_ok(const char *item)
{
	return item != NULL && strlen(item) < WR_BUNDLE_ID_MAX + 8 &&
	       (strncmp(item, "rule:", 5) == 0 || strncmp(item, "list:", 5) == 0) &&
	       item[5] != '\0' &&
	       strspn(item + 5, "abcdefghijklmnopqrstuvwxyz0123456789._-*?") == strlen(item + 5);
}

static int promote(struct wr_life *l, const struct wr_life_order *o, json_t **reply)
{
	static const char *const mode[] = { "off", "shadow", "canary", "enforce" };
	size_t i = 0;

	while (i < WR_COUNT_OF(mode) && (o->to == NULL || strcmp(o->to, mode[i]) != 0))
		i++;
	if (!item_ok(o->item))
		return wr_life_answer(reply, 400, "item", "the item must be rule:ID or list:ID");
	if (i == WR_COUNT_OF(mode))
		return wr_life_answer(reply, 400, "to",
		                      "the stage must be off, shadow, canary or enforce");
	if (i == WR_ITEM_CANARY && !(o->percent >= 0.0001 && o->percent <= 100))
		return wr_life_answer(reply, 400, "percent",
		                      "a canary needs a percentage up to 100");
	return lower(l, o, i == WR_ITEM_ENFORCE ? NULL : mode[i], reply);
}

static int suppress(struct wr_life *l, const struct wr_life_order *o, json_t **reply)
{
	if (!item_ok(o->item))
		return wr_life_answer(reply, 400, "item", "the item must be rule:ID or list:ID");
	if (o->digest != NULL && strncmp(o->item, "list:", 5) != 0)
		return wr_life_answer(reply, 400, "digest", "a digest goes with a list");
	return lower(l, o, "off", reply);
}

static int locked(struct wr_life *l, const struct wr_life_order *o, json_t **reply,
                  int (*run)(struct wr_life *, const struct wr_life_order *, json_t **))
{
	int status;

	*reply = NULL;
	if (!wr_life_begin(l))
		return wr_life_answer(reply, 409, "busy",
		                      "another change is under way; try again when it is done");
	status = run(l, o, reply);
	pthread_mutex_unlock(&l->busy);
	return status;
}

int wr_life_rollback(struct wr_life *l, const struct wr_life_order *o, json_t **reply)
{
	return locked(l, o, reply, rollback);
}

int wr_life_promote(struct wr_life *l, const struct wr_life_order *o, json_t **reply)
{
	return locked(l, o, reply, promote);
}

int wr_life_suppress(struct wr_life *l, const struct wr_life_order *o, json_t **reply)
{
	return locked(l, o, reply, suppress);
}
