/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "life/private.h"

#define REJECTED_MAX 32u

/* A line of hex is longer than its entry; sorting takes a second copy, mapping a third. */
#define MEMORY_FACTOR 3u
#define MEMORY_MORE   (64ull << 20)

int wr_life_new(const struct wr_life_conf *c, struct wr_life **out, char *err, size_t n)
{
	struct wr_life *l = calloc(1, sizeof(*l));
	int rc;

	*out = NULL;
	if (l == NULL)
		return -ENOMEM;
	l->conf = *c;
	l->conf.dir = strdup(c->dir);
	pthread_mutex_init(&l->busy, NULL);
	pthread_mutex_init(&l->lock, NULL);
	l->dirfd = -1;
	if (l->conf.dir == NULL || (mkdir(c->dir, 0700) != 0 && errno != EEXIST))
		rc = -errno;
	else
		rc = (l->dirfd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ? -errno : 0;
	if (rc != 0)
		snprintf(err, n, "%s: %s", c->dir, strerror(-rc));
	if (rc == 0)
		rc = wr_life_load(l, err, n);
	if (rc != 0) {
		wr_life_free(l);
		return rc;
	}
	wr_life_remove(l, "incoming");
	*out = l;
	return 0;
}

void wr_life_free(struct wr_life *l)
{
	if (l == NULL)
		return;
	json_decref(l->root);
	if (l->dirfd >= 0)
		close(l->dirfd);
	pthread_mutex_destroy(&l->busy);
	pthread_mutex_destroy(&l->lock);
	free((char *)(uintptr_t)l->conf.dir);
	free(l);
}

/* --- after a restart -----------------------------------------------------------------------------
 */

static uint64_t loaded_version(const json_t *active, const char *name)
{
	json_t *b;
	size_t i;

	json_array_foreach(json_object_get(active, "bundles"), i, b)
	{
		const char *n = json_string_value(json_object_get(b, "name"));

		if (n != NULL && strcmp(n, name) == 0)
			return wr_life_u64(b, "version");
	}
	return 0;
}

/* What the loader has in force is the truth; entries that were on their way did not arrive. */
static void settle(json_t *entry, bool in_force, uint64_t staged)
{
	enum wr_life_state s = wr_life_state_of(entry);

	/* It was promised: the first tick takes it up again. */
	if (!in_force && s == WR_LIFE_STAGED && wr_life_u64(entry, "version") == staged)
		return;
	if (in_force) {
		if (s != WR_LIFE_REJECTED)
			json_object_set_new(entry, "state",
			                    json_string(wr_life_state_name(WR_LIFE_ACTIVE)));
		return;
	}
	if (s == WR_LIFE_ACTIVE || s == WR_LIFE_DRAINING) {
		json_object_set_new(entry, "state",
		                    json_string(wr_life_state_name(WR_LIFE_RETIRED)));
	} else if (s != WR_LIFE_RETIRED && s != WR_LIFE_REJECTED) {
		wr_life_step(entry, WR_LIFE_ON_FAIL);
		json_object_set_new(entry, "code", json_string("interrupted"));
	}
}

void wr_life_reconcile(struct wr_life *l, const json_t *active)
{
	json_t *nm, *e;
	const char *name;
	size_t i;

	pthread_mutex_lock(&l->busy);
	pthread_mutex_lock(&l->lock);
	json_object_foreach(json_object_get(l->root, "bundles"), name, nm)
	{
		uint64_t v = loaded_version(active, name);
		json_t *newest = wr_life_version(nm, v);
		uint64_t pinned = wr_life_u64(json_object_get(nm, "pinned"), "version");
		uint64_t staged = wr_life_u64(nm, "staged");

		wr_life_set_u64(nm, "active", newest == NULL ? 0 : v);
		json_array_foreach(json_object_get(nm, "versions"), i, e)
		        settle(e, e == newest, staged);
		/* A pin on a version that did not come into force was never given. */
		if (pinned != 0 && pinned != v && pinned != staged)
			json_object_set_new(nm, "pinned", json_null());
	}
	pthread_mutex_unlock(&l->lock);
	(void)wr_life_save(l); /* it would say the same after the next restart */
	pthread_mutex_unlock(&l->busy);
}

static int restore(struct wr_life *l, json_t **reply)
{
	const char *name, *first = NULL;
	uint64_t version = 0;
	json_t *nm;

	*reply = NULL;
	json_object_foreach(json_object_get(l->root, "bundles"), name, nm)
	{
		if (wr_life_u64(nm, "active") != 0) {
			first = name;
			version = wr_life_target(nm);
		}
	}
	if (first == NULL)
		return wr_life_answer(reply, 404, "none", "no bundle was in force");
	return wr_life_activate(l, first, version, reply);
}

int wr_life_restore(struct wr_life *l, json_t **reply)
{
	int status;

	pthread_mutex_lock(&l->busy);
	status = restore(l, reply);
	pthread_mutex_unlock(&l->busy);
	return status;
}

/* --- push ---------------------------------------------------------------------------- */

struct push {
	struct wr_life *l;
	const char *who;
	json_t **reply;
	struct wr_verified v;
	struct wr_bundle *b;
	struct wr_refusal r;
	uint64_t old_floor;
};

static void remember_rejection(struct push *p, const char *code, const char *text)
{
	json_t *all = json_object_get(p->l->root, "rejected");
	json_t *e = json_pack("{s:I,s:s,s:s,s:s?}", "at", (json_int_t)wr_life_now(p->l), "code",
	                      code, "error", text, "who", p->who);

	if (e == NULL)
		return;
	if (p->v.name[0] != '\0') {
		json_object_set_new(e, "name", json_string(p->v.name));
		wr_life_set_u64(e, "version", p->v.version);
	}
	pthread_mutex_lock(&p->l->lock);
	json_array_append_new(all, e);
	while (json_array_size(all) > REJECTED_MAX)
		json_array_remove(all, 0);
	pthread_mutex_unlock(&p->l->lock);
	(void)wr_life_save(p->l); /* for people to read; nothing depends on it */
}

static int refuse_push(struct push *p)
{
	const char *code = wr_refusal_name(p->r.code);

	remember_rejection(p, code, p->r.text);
	return wr_life_answer(p->reply,
	                      p->r.code == WR_REFUSE_IO         ? 500
	                      : p->r.code == WR_REFUSE_NO_SPACE ? 507
	                                                        : 422,
	                      code, "%s", p->r.text);
}

static uint64_t available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return kib == 0 ? UINT64_MAX : (uint64_t)kib * 1024;
}

/* The old ruleset stays mapped while the new one is sorted and mapped beside it: both must fit. */
static int fits(struct push *p, int dir)
{
	uint64_t need = MEMORY_MORE;
	uint64_t have = p->l->conf.free_bytes != NULL ? p->l->conf.free_bytes() : available();

	for (uint32_t i = 0; i < p->b->nlists; i++) {
		struct stat st;

		if (fstatat(dir, p->b->lists[i].path, &st, AT_SYMLINK_NOFOLLOW) == 0)
			need += MEMORY_FACTOR * (uint64_t)st.st_size;
	}
	if (need <= have)
		return 0;
	return wr_refuse(&p->r, WR_REFUSE_MEMORY,
	                 "compiling and mapping it beside the old rules may take %llu MiB, and "
	                 "%llu are free",
	                 (unsigned long long)(need >> 20), (unsigned long long)(have >> 20));
}

/* Policy that only this machine can know. */
static int admit(struct push *p)
{
	json_t *nm = wr_life_name(p->l, p->v.name, false);
	const json_t *pinned = json_object_get(nm, "pinned");
	uint64_t floor = wr_life_u64(nm, "floor"), now = wr_life_now(p->l);

	if (p->b->expires != 0 && p->b->expires <= now)
		return wr_refuse(&p->r, WR_REFUSE_EXPIRED, "%s %llu expired before it was pushed",
		                 p->v.name, (unsigned long long)p->v.version);
	if (p->v.version <= floor)
		return wr_refuse(&p->r, WR_REFUSE_NOT_NEWER,
		                 "%s %llu: version %llu has been accepted before, and only higher "
		                 "ones follow",
		                 p->v.name, (unsigned long long)p->v.version,
		                 (unsigned long long)floor);
	if (json_is_true(json_object_get(pinned, "hold")))
		return wr_refuse(&p->r, WR_REFUSE_HELD,
		                 "%s is held at version %llu by an operator: %s", p->v.name,
		                 (unsigned long long)wr_life_u64(pinned, "version"),
		                 json_string_value(json_object_get(pinned, "reason")));
	if (nm == NULL &&
	    json_object_size(json_object_get(p->l->root, "bundles")) >= WR_LIFE_BUNDLES_MAX)
		return wr_refuse(&p->r, WR_REFUSE_TOO_MANY_FILES, "more than %u bundles",
		                 WR_LIFE_BUNDLES_MAX);
	return 0;
}

static int io(struct push *p, int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT
	               ? wr_refuse(&p->r, WR_REFUSE_NO_SPACE, "the disk is full")
	               : wr_refuse(&p->r, WR_REFUSE_IO, "the state folder: %s", strerror(-rc));
}

/* Unpack, verify, admit, keep: until here nothing of what is in force has been touched. */
static int receive(struct push *p, int fd)
{
	struct wr_bundle_errors e = { 0 };
	int dir = wr_life_incoming(p->l), rc;

	if (dir < 0)
		return io(p, dir);
	rc = wr_ship_unpack(fd, dir, &p->l->conf.limits, &p->r);
	if (rc == 0)
		rc = wr_ship_verify(dir, p->l->conf.find, p->l->conf.find_ctx, &p->v, &p->b, &e,
		                    &p->r);
	wr_bundle_errors_free(&e);
	if (rc != 0 && p->r.code == WR_REFUSE_NONE)
		rc = io(p, rc);
	if (rc == 0)
		rc = admit(p);
	if (rc == 0)
		rc = fits(p, dir);
	close(dir);
	if (rc == 0) {
		rc = wr_life_keep(p->l, p->v.name, p->v.version);
		if (rc != 0)
			rc = io(p, rc);
	}
	if (rc != 0)
		wr_life_remove(p->l, "incoming");
	return rc;
}

/* The floor is on the disk before the version can be in force. */
static int record(struct push *p)
{
	struct wr_life *l = p->l;
	json_t *nm, *e;
	char hex[65];
	int rc;

	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", p->v.sums_sha256[i]);
	pthread_mutex_lock(&l->lock);
	nm = wr_life_name(l, p->v.name, true);
	p->old_floor = wr_life_u64(nm, "floor");
	e = json_pack("{s:I,s:s,s:s,s:I,s:s?,s:i,s:I}", "version", (json_int_t)p->v.version,
	              "state", wr_life_state_name(WR_LIFE_RECEIVED), "sha256", hex, "received",
	              (json_int_t)wr_life_now(l), "who", p->who, "signers",
	              __builtin_popcount(p->v.signers), "expires", (json_int_t)p->b->expires);
	if (e != NULL) {
		wr_life_step(e, WR_LIFE_ON_SIG_OK);
		json_array_append_new(json_object_get(nm, "versions"), e);
		wr_life_set_u64(nm, "floor", p->v.version);
	}
	pthread_mutex_unlock(&l->lock);
	rc = e == NULL ? -ENOMEM : wr_life_save(l);
	return rc == 0 ? 0 : io(p, rc);
}

/* It did not come into force: the floor goes back, so that the team need not burn a number. */
static void undo(struct push *p, const char *code, const char *text)
{
	struct wr_life *l = p->l;
	char path[WR_BUNDLE_NAME_MAX + 32];
	json_t *nm, *e;

	pthread_mutex_lock(&l->lock);
	nm = wr_life_name(l, p->v.name, true);
	e = wr_life_version(nm, p->v.version);
	if (e != NULL) {
		wr_life_step(e, WR_LIFE_ON_FAIL);
		json_object_set_new(e, "code", json_string(code));
		json_object_set_new(e, "error", json_string(text));
	}
	wr_life_set_u64(nm, "floor", p->old_floor);
	pthread_mutex_unlock(&l->lock);
	snprintf(path, sizeof(path), "%s/%llu", p->v.name, (unsigned long long)p->v.version);
	wr_life_remove(l, path);
}

static const char *text_of(const json_t *reply, const char *key, const char *other)
{
	const char *s = json_string_value(json_object_get(reply, key));

	return s == NULL ? other : s;
}

static int not_in_force(struct push *p, int status, json_t *reply)
{
	const json_t *first = json_array_get(json_object_get(reply, "errors"), 0);
	const char *text =
	        text_of(reply, "error", text_of(first, "message", "it was not activated"));

	undo(p, text_of(reply, "code", wr_refusal_name(WR_REFUSE_COMPILE)), text);
	remember_rejection(p, text_of(reply, "code", wr_refusal_name(WR_REFUSE_COMPILE)), text);
	*p->reply = reply;
	return status;
}

static int put_in_force(struct push *p)
{
	struct wr_life *l = p->l;
	json_t *reply = NULL, *nm;
	int status = wr_life_activate(l, p->v.name, p->v.version, &reply);

	if (status != 200 && status != 202)
		return not_in_force(p, status, reply);
	pthread_mutex_lock(&l->lock);
	nm = wr_life_name(l, p->v.name, true);
	json_object_set_new(nm, "pinned", json_null());
	pthread_mutex_unlock(&l->lock);
	wr_life_prune(l, p->v.name);
	/* In force it is; a state file that cannot be written is reconciled at the next start. */
	if (wr_life_save(l) != 0)
		json_object_set_new(reply, "warning",
		                    json_string("the state file was not written"));
	json_object_set_new(reply, "name", json_string(p->v.name));
	wr_life_set_u64(reply, "version", p->v.version);
	*p->reply = reply;
	return status;
}

int wr_life_push(struct wr_life *l, int fd, const char *who, json_t **reply)
{
	struct push p = { .l = l, .who = who, .reply = reply };
	int status;

	*reply = NULL;
	if (!wr_life_begin(l))
		return wr_life_answer(reply, 409, "busy",
		                      "another change is under way; try again when it is done");
	if (receive(&p, fd) != 0 || record(&p) != 0)
		status = refuse_push(&p);
	else
		status = put_in_force(&p);
	wr_bundle_free(p.b);
	pthread_mutex_unlock(&l->busy);
	return status;
}

/* --- status, time -------------------------------------------------------------------- */

json_t *wr_life_status(struct wr_life *l)
{
	json_t *v;

	pthread_mutex_lock(&l->lock);
	v = json_deep_copy(l->root);
	pthread_mutex_unlock(&l->lock);
	return v;
}

static bool drain(json_t *nm, uint64_t oldest)
{
	bool changed = false;
	json_t *e;
	size_t i;

	json_array_foreach(json_object_get(nm, "versions"), i,
	                   e) if (wr_life_state_of(e) == WR_LIFE_DRAINING &&
	                          wr_life_u64(e, "generation") < oldest)
	{
		wr_life_step(e, WR_LIFE_ON_DRAINED);
		changed = true;
	}
	return changed;
}

static bool lift_expired(json_t *nm, uint64_t now)
{
	json_t *all = json_object_get(nm, "overlay");
	bool changed = false;

	for (size_t i = json_array_size(all); i-- > 0;) {
		uint64_t t = wr_life_u64(json_array_get(all, i), "expires_at");

		if (t != 0 && t <= now) {
			json_array_remove(all, i);
			changed = true;
		}
	}
	return changed;
}

unsigned wr_life_waiting(struct wr_life *l)
{
	const char *name;
	unsigned n = 0;
	json_t *nm;

	pthread_mutex_lock(&l->lock);
	json_object_foreach(json_object_get(l->root, "bundles"), name, nm) n +=
	        wr_life_u64(nm, "staged") != 0;
	pthread_mutex_unlock(&l->lock);
	return n;
}

int wr_life_refresh(struct wr_life *l)
{
	json_t *reply = NULL;
	int status;

	if (pthread_mutex_trylock(&l->busy) != 0)
		return 409; /* what is under way compiles everything anew anyhow */
	status = restore(l, &reply);
	json_decref(reply);
	(void)wr_life_save(l);
	pthread_mutex_unlock(&l->busy);
	return status;
}

void wr_life_tick(struct wr_life *l, uint64_t oldest_generation)
{
	bool changed = false, again = false;
	unsigned waits;
	const char *name, *first = NULL;
	uint64_t version = 0;
	json_t *nm, *reply = NULL;

	if (pthread_mutex_trylock(&l->busy) != 0)
		return;
	pthread_mutex_lock(&l->lock);
	json_object_foreach(json_object_get(l->root, "bundles"), name, nm)
	{
		changed |= drain(nm, oldest_generation);
		if (lift_expired(nm, wr_life_now(l)) && wr_life_u64(nm, "active") != 0) {
			again = true;
			first = name;
			version = wr_life_target(nm);
		}
	}
	pthread_mutex_unlock(&l->lock);
	if (again) {
		(void)wr_life_activate(l, first, version, &reply); /* all names go along */
		json_decref(reply);
	}
	waits = wr_life_waiting(l);
	(void)wr_life_resume(l);
	if (changed || again || waits != wr_life_waiting(l))
		(void)wr_life_save(l);
	pthread_mutex_unlock(&l->busy);
}
