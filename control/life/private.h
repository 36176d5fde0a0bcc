/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * private - shared by the files of life/.
 *
 * The state is one JSON document, life.json:
 *   { "bundles": { NAME: { "floor", "active", "staged"?, "waiting"?, "pinned": null | {...},
 *                          "versions": [...], "overlay": [...] } }, "rejected": [...] }
 * staged: a version that goes in force as soon as a generation has drained; waiting: in words.
 */
#ifndef WR_LIFE_PRIVATE_H
#define WR_LIFE_PRIVATE_H

#include <limits.h>
#include <pthread.h>

#include "life/life.h"

struct wr_life {
	struct wr_life_conf conf;
	pthread_mutex_t busy; /* one change at a time */
	pthread_mutex_t lock; /* the document: readers and the moment of a change */
	json_t *root;
	int dirfd;
};

/* For tests: called at each point where being killed must be survived. */
extern void (*wr_life_test_point)(const char *where);

/* Takes `busy`; waits a little for what is short (the tick), not for another push. */
bool wr_life_begin(struct wr_life *l);

uint64_t wr_life_now(const struct wr_life *l);

/* --- store.c: folders and the document ----------------------------------------------------------
 */

int wr_life_save(struct wr_life *l);
WR_MUST_USE int wr_life_load(struct wr_life *l, char *err, size_t n);
/* Removes a folder below the life's own; a missing one is fine. */
void wr_life_remove(struct wr_life *l, const char *path);
/* An empty folder `incoming`; its fd or -errno. */
WR_MUST_USE int wr_life_incoming(struct wr_life *l);
/* incoming -> NAME/VERSION, synced. */
WR_MUST_USE int wr_life_keep(struct wr_life *l, const char *name, uint64_t version);
void wr_life_path(const struct wr_life *l, const char *name, uint64_t version, char out[PATH_MAX]);
/* Writes the overlay of a name into the version's folder, or removes it when there is none. */
int wr_life_write_overlay(struct wr_life *l, const char *name, uint64_t version);

/* The object of a name; made when `make`. Borrowed. */
json_t *wr_life_name(struct wr_life *l, const char *name, bool make);
/* The newest entry of a version, or NULL. Borrowed. */
json_t *wr_life_version(json_t *name, uint64_t version);
uint64_t wr_life_u64(const json_t *o, const char *key);
void wr_life_set_u64(json_t *o, const char *key, uint64_t v);
enum wr_life_state wr_life_state_of(const json_t *entry);
/* What the name's version is, or will be once a generation has drained; 0 = none. */
uint64_t wr_life_target(const json_t *name);
/* Makes the step of the table; an illegal one is a bug of the caller. */
void wr_life_step(json_t *entry, enum wr_life_event e);

/* --- activate.c ---------------------------------------------------------------------------------
 */

/*
 * Puts in force: every name's target, but `version` for `name`. The status of conf.activate; *reply
 * is its answer. On success the document says so (not saved yet).
 */
int wr_life_activate(struct wr_life *l, const char *name, uint64_t version, json_t **reply);
/* Tries again what is staged: the loader's, or all of it anew after a restart. 404: nothing is. */
int wr_life_resume(struct wr_life *l);
/* Versions beyond WR_LIFE_KEEP go, history beyond WR_LIFE_HISTORY too. */
void wr_life_prune(struct wr_life *l, const char *name);

/* Takes r. An answer {"ok": false, "code", "error"}; status for return. */
int wr_life_answer(json_t **reply, int status, const char *code, const char *fmt, ...)
        WR_PRINTF(4, 5);

#endif
