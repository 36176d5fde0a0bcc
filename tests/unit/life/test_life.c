/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of bundles on one machine, with a loader that only remembers: what comes into force,
 * what is refused with which code, the two ways back, the overlay; and kill -9 at every point.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../bundle/folder.h"
#include "bundle/bundle.h"
#include "life/life.h"
#include "tap.h"

extern void (*wr_life_test_point)(const char *where);

static struct wr_ship_trust trust = { .bundle = "core", .nkeys = 1, .threshold = 1 };
static struct wr_ship_trust trust2 = { .bundle = "second", .nkeys = 1, .threshold = 1 };
static const char *const may[] = { "*" };
static struct wr_secret_key secret;
static char state[64], force_file[96];
static uint64_t clock_now = 1795460400;
static int next_status = 200;
static struct wr_life *life;

static const struct wr_ship_trust *find(void *ctx, const char *name)
{
	(void)ctx;
	if (name != NULL && strcmp(name, "core") == 0)
		return &trust;
	return name != NULL && strcmp(name, "second") == 0 ? &trust2 : NULL;
}

static const char *next_state; /* what the loader says of a 202 */
static int resume_status = 404, resumed;

/* The loader's part of a wait: what it was last given is in force now, or still is not. */
static int resume(void *ctx, json_t **reply)
{
	(void)ctx;
	resumed++;
	*reply = json_pack("{s:s,s:s,s:i}", "state", resume_status == 202 ? "staged" : "active",
	                   "error", "no", "generation", 9);
	return resume_status;
}

static uint64_t memory_free = 1ull << 40;

static uint64_t free_bytes(void)
{
	return memory_free;
}

static uint64_t now(void)
{
	return clock_now;
}

/* The loader: loads the folders and writes down, in one rename, what is in force. */
static int activate(void *ctx, const char *const *dir, unsigned n, json_t **reply)
{
	json_t *bundles = json_array();
	char tmp[128];

	(void)ctx;
	if (wr_life_test_point != NULL)
		wr_life_test_point("before activation");
	for (unsigned i = 0; i < n; i++) {
		struct wr_bundle_errors e = { 0 };
		struct wr_bundle *b;

		if (wr_bundle_load(dir[i], &b, &e) != 0) {
			wr_bundle_errors_print(&e, stdout);
			abort();
		}
		json_array_append_new(bundles,
		                      json_pack("{s:s,s:I,s:i,s:i,s:i}", "name", b->name, "version",
		                                (json_int_t)b->version, "mode",
		                                b->nrules != 0 ? (int)b->rules[0].mode : -1, "ppm",
		                                b->nrules != 0 ? (int)b->rules[0].canary_ppm : -1,
		                                "suppressed", (int)b->nsuppress));
		wr_bundle_errors_free(&e);
		wr_bundle_free(b);
	}
	if (next_status != 200 && next_status != 202) {
		json_decref(bundles);
		*reply = json_pack("{s:b,s:s,s:s}", "ok", 0, "code", "compile", "error", "no");
		return next_status;
	}
	*reply = json_pack("{s:b,s:o,s:i}", "ok", 1, "bundles", bundles, "generation", 1);
	if (next_state != NULL) {
		json_object_set_new(*reply, "state", json_string(next_state));
		return next_status;
	}
	snprintf(tmp, sizeof(tmp), "%s.tmp", force_file);
	if (json_dump_file(*reply, tmp, 0) != 0 || rename(tmp, force_file) != 0)
		abort();
	if (wr_life_test_point != NULL)
		wr_life_test_point("after activation");
	return next_status;
}

static void start(void)
{
	struct wr_life_conf c = { .dir = state,
		                  .find = find,
		                  .activate = activate,
		                  .resume = resume,
		                  .limits = WR_SHIP_LIMITS_DEFAULT,
		                  .now = now,
		                  .free_bytes = free_bytes };
	json_t *force = json_load_file(force_file, 0, NULL);
	char err[256] = "";

	wr_life_free(life);
	if (wr_life_new(&c, &life, err, sizeof(err)) != 0) {
		printf("Bail out! %s\n", err);
		exit(1);
	}
	wr_life_reconcile(life, force);
	json_decref(force);
}

static void fresh(void)
{
	char dir[64];

	unlink(force_file);
	strcpy(dir, folder);
	strcpy(folder, state);
	folder_remove();
	strcpy(folder, dir);
	/* In memory where it can be: hundreds of fsync would wait for everybody's disk. */
	strcpy(state,
	       access("/dev/shm", W_OK) == 0 ? "/dev/shm/wr-life-XXXXXX" : "/tmp/wr-life-XXXXXX");
	if (mkdtemp(state) == NULL)
		abort();
	snprintf(force_file, sizeof(force_file), "%s.force", state);
	next_status = 200;
	next_state = NULL;
	resume_status = 404;
	start();
}

/* A signed archive; text goes into the manifest, mode into the rule. */
static int archive(const char *name, unsigned version, const char *mode, const char *more)
{
	char text[1024], sums[4096];
	struct wr_refusal r;
	int fd = memfd_create("b", 0), dir;
	FILE *f;
	size_t n;

	folder_new();
	snprintf(text, sizeof(text),
	         "format: weir-bundle/1\nname: %s\nversion: %u\ncreated: 2026-01-01\n%s", name,
	         version, more);
	folder_put("manifest.yaml", text);
	snprintf(text, sizeof(text), "rules: [ { id: r, literal: x, action: block, mode: %s } ]\n",
	         mode);
	folder_put("rules/r.yaml", text);
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	if (fd < 0 || dir < 0 || wr_ship_sums_write(dir, &r) != 0)
		abort();
	f = fopen(folder_path("SHA256SUMS"), "rb");
	n = fread(sums, 1, sizeof(sums), f);
	fclose(f);
	snprintf(text, 200, "weir-bundle %s %u", name, version);
	if (wr_minisign_sign(&secret, (uint8_t *)sums, n, text, text + 256, 700) != 0)
		abort();
	folder_put("SHA256SUMS.k.minisig", text + 256);
	if (wr_ship_pack(dir, 1, fd, &r) != 0)
		abort();
	close(dir);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static int push(const char *name, unsigned version, const char *mode, const char *more, json_t **v)
{
	int fd = archive(name, version, mode, more), status = wr_life_push(life, fd, "tester", v);

	close(fd);
	return status;
}

static long long number(const char *name, const char *key)
{
	json_t *v = wr_life_status(life);
	long long n = json_integer_value(
	        json_object_get(json_object_get(json_object_get(v, "bundles"), name), key));

	json_decref(v);
	return n;
}

static bool state_is(const char *name, unsigned version, const char *want)
{
	json_t *v = wr_life_status(life), *e;
	json_t *all =
	        json_object_get(json_object_get(json_object_get(v, "bundles"), name), "versions");
	const char *have = "none";
	bool same;
	size_t i;

	json_array_foreach(all, i,
	                   e) if (json_integer_value(json_object_get(e, "version")) == version)
	        have = json_string_value(json_object_get(e, "state"));
	same = strcmp(have, want) == 0;
	if (!same)
		printf("# %s %u is %s\n", name, version, have);
	json_decref(v);
	return same;
}

/* What the loader was last given for a name. */
static long long forced(const char *name, const char *key)
{
	json_t *v = json_load_file(force_file, 0, NULL), *b;
	long long n = -2;
	size_t i;

	json_array_foreach(json_object_get(v, "bundles"), i,
	                   b) if (strcmp(json_string_value(json_object_get(b, "name")), name) == 0)
	        n = json_integer_value(json_object_get(b, key));
	json_decref(v);
	return n;
}

#define CODE(v) json_string_value(json_object_get(v, "code"))

static void expect(int status, const char *code, int got, json_t *v, const char *what)
{
	OK(status == got && (code == NULL || (CODE(v) != NULL && strcmp(CODE(v), code) == 0)), "%s",
	   what);
	if (status != got)
		printf("#   %d %s\n", got, json_dumps(v, 0));
	json_decref(v);
}

static void versions(void)
{
	json_t *v;
	int s;

	fresh();
	s = push("core", 5, "enforce", "", &v);
	expect(200, NULL, s, v, "the first version comes into force");
	OK(number("core", "floor") == 5 && number("core", "active") == 5 &&
	           forced("core", "version") == 5,
	   "floor, active and the loader agree");
	s = push("core", 5, "enforce", "", &v);
	expect(422, "not_newer", s, v, "the same version again: a replay");
	s = push("core", 4, "enforce", "", &v);
	expect(422, "not_newer", s, v, "an older one: a downgrade");
	s = push("core", 6, "enforce", "expires: 2026-01-02\n", &v);
	expect(422, "expired", s, v, "an expired one");
	s = push("other", 1, "enforce", "", &v);
	expect(422, "not_trusted", s, v, "a name that nobody trusts");
	memory_free = (64ull << 20) - 1;
	s = push("core", 6, "enforce", "", &v);
	expect(422, "memory", s, v, "one that does not fit beside the old rules");
	memory_free = 1ull << 40;
	OK(forced("core", "version") == 5 && number("core", "floor") == 5,
	   "nothing of that changed a thing");
	next_status = 422;
	s = push("core", 7, "enforce", "", &v);
	expect(422, "compile", s, v, "one that does not compile");
	OK(number("core", "floor") == 5 && state_is("core", 7, "rejected") &&
	           forced("core", "version") == 5,
	   "the old one stays, and the number is not burned");
	next_status = 200;
	s = push("core", 7, "enforce", "", &v);
	expect(200, NULL, s, v, "mended, under the same number");
	OK(state_is("core", 7, "active") && state_is("core", 5, "draining"), "the old one drains");
	wr_life_tick(life, 1);
	OK(state_is("core", 5, "draining"), "as long as its generation has uploads");
	wr_life_tick(life, 2);
	OK(state_is("core", 5, "retired"), "then it is retired");
	s = push("second", 1, "enforce", "", &v);
	expect(200, NULL, s, v, "another name");
	OK(forced("core", "version") == 7 && forced("second", "version") == 1, "both are in force");
	start();
	OK(number("core", "active") == 7 && number("core", "floor") == 7 &&
	           state_is("core", 7, "active"),
	   "a restart changes nothing");
}

static void ways_back(void)
{
	struct wr_life_order o = { .bundle = "core", .reason = "too many hits", .who = "op" };
	json_t *v;
	int s;

	fresh();
	for (unsigned i = 1; i <= 3; i++) {
		s = push("core", i, "enforce", "", &v);
		json_decref(v);
	}
	o.reason = "";
	s = wr_life_rollback(life, &o, &v);
	expect(400, "reason", s, v, "a rollback without a reason");
	o.reason = "too many hits";
	s = wr_life_rollback(life, &o, &v);
	expect(200, NULL, s, v, "rolled back");
	OK(forced("core", "version") == 2 && number("core", "active") == 2 &&
	           number("core", "floor") == 3,
	   "to the version before; the floor stays");
	start();
	OK(number("core", "active") == 2, "also after a restart");
	s = push("core", 3, "enforce", "", &v);
	expect(422, "not_newer", s, v, "the bad version cannot come back");
	s = push("core", 4, "enforce", "", &v);
	expect(200, NULL, s, v, "the next signed version ends the pin");
	o.version = 1;
	o.hold = true;
	s = wr_life_rollback(life, &o, &v);
	expect(200, NULL, s, v, "rolled back to a named version, and held");
	s = push("core", 5, "enforce", "", &v);
	expect(422, "held", s, v, "a push does not end a hold");
	OK(forced("core", "version") == 1, "the held version stays in force");
	o.version = 77;
	s = wr_life_rollback(life, &o, &v);
	expect(409, "not_kept", s, v, "a version that never was here");
	o.version = 4;
	o.hold = false;
	{
		char path[128];
		FILE *f;

		snprintf(path, sizeof(path), "%s/core/4/rules/r.yaml", state);
		f = fopen(path, "a");
		fputs("#\n", f);
		fclose(f);
	}
	s = wr_life_rollback(life, &o, &v);
	expect(409, "sum_mismatch", s, v, "a kept version that rotted on the disk");
	OK(forced("core", "version") == 1, "changes nothing");
}

static void stages(int how)
{
	next_status = how;
	next_state = how == 202 ? "staged" : NULL;
}

/* More generations in use than a dataplane holds: a push waits, and comes by itself. */
static void waits(void)
{
	struct wr_life_order o = { .bundle = "core", .reason = "r", .who = "op" };
	json_t *v;
	int s;

	fresh();
	s = push("core", 1, "enforce", "", &v);
	expect(200, NULL, s, v, "a first version");
	stages(202);
	s = push("core", 2, "enforce", "", &v);
	expect(202, NULL, s, v, "no place for the second");
	OK(state_is("core", 2, "staged") && state_is("core", 1, "active"), "it is staged");
	OK(number("core", "active") == 1 && number("core", "staged") == 2 &&
	           number("core", "floor") == 2,
	   "the first stays in force, the floor is the second's");
	s = push("core", 3, "enforce", "", &v);
	expect(202, NULL, s, v, "nor for the third");
	OK(state_is("core", 3, "staged") && state_is("core", 2, "retired"),
	   "it takes the place of the one that waited");
	IS(wr_life_waiting(life), 1, "one name waits");
	resume_status = 202;
	resumed = 0;
	wr_life_tick(life, 1);
	OK(resumed == 1 && state_is("core", 3, "staged"), "each tick tries, and changes nothing");
	start();
	OK(state_is("core", 3, "staged") && number("core", "active") == 1,
	   "a restart does not forget it");
	resume_status = 404;
	stages(200);
	wr_life_tick(life, 1);
	OK(state_is("core", 3, "active") && state_is("core", 1, "draining") &&
	           forced("core", "version") == 3 && number("core", "staged") == 0,
	   "it comes into force once there is a place");
	s = wr_life_rollback(life, &o, &v);
	expect(200, NULL, s, v, "rolled back");
	IS(forced("core", "version"), 1, "to what was in force, not to what only waited");

	stages(202);
	s = push("core", 4, "enforce", "", &v);
	expect(202, NULL, s, v, "another that waits");
	stages(200);
	s = push("second", 1, "enforce", "", &v);
	expect(200, NULL, s, v, "another name finds a place");
	OK(forced("core", "version") == 4 && state_is("core", 4, "active"),
	   "and takes along what waited");
	stages(202);
	s = push("core", 5, "enforce", "", &v);
	expect(202, NULL, s, v, "one that the dataplane refuses later");
	resume_status = 409;
	wr_life_tick(life, 1);
	OK(state_is("core", 5, "rejected") && number("core", "active") == 4 &&
	           wr_life_waiting(life) == 0,
	   "is rejected; what was in force stays");
	s = push("core", 6, "enforce", "", &v);
	expect(202, NULL, s, v, "one that waits");
	o.version = 3;
	s = wr_life_rollback(life, &o, &v);
	expect(202, NULL, s, v, "a rollback supersedes it");
	OK(state_is("core", 6, "retired") && state_is("core", 3, "staged"), "and waits itself");
	resume_status = 200;
	wr_life_tick(life, 1);
	OK(state_is("core", 3, "active") && number("core", "active") == 3,
	   "until the dataplane takes it");
	stages(200);
	wr_life_tick(life, 1);
	IS(wr_life_refresh(life), 200, "what is in force is compiled again when asked");
	OK(forced("core", "version") == 3 && state_is("core", 3, "active"), "and stays what it is");
}

static void overlays(void)
{
	struct wr_life_order o = {
		.bundle = "core", .item = "rule:r", .reason = "noisy", .who = "op"
	};
	json_t *v;
	int s;

	fresh();
	s = push("core", 1, "canary", "", &v);
	expect(422, "bad_bundle", s, v, "a canary without a percentage is refused");
	s = push("core", 2, "enforce", "", &v);
	json_decref(v);
	o.to = "shadow";
	s = wr_life_promote(life, &o, &v);
	expect(200, NULL, s, v, "enforce is lowered to shadow");
	IS(forced("core", "mode"), WR_ITEM_SHADOW, "and that is what is compiled");
	o.to = "canary";
	s = wr_life_promote(life, &o, &v);
	expect(400, "percent", s, v, "a canary needs a percentage");
	o.percent = 2.5;
	s = wr_life_promote(life, &o, &v);
	expect(200, NULL, s, v, "shadow is raised to canary, which is below enforce");
	OK(forced("core", "mode") == WR_ITEM_CANARY && forced("core", "ppm") == 25000,
	   "with 2.5 percent");
	s = push("core", 3, "shadow", "", &v);
	json_decref(v);
	IS(forced("core", "mode"), WR_ITEM_SHADOW, "a new version signed as shadow is not raised");
	s = push("core", 4, "enforce", "", &v);
	json_decref(v);
	IS(forced("core", "mode"), WR_ITEM_CANARY, "the overlay outlives versions");
	o.to = "enforce";
	s = wr_life_promote(life, &o, &v);
	expect(200, NULL, s, v, "lifted");
	IS(forced("core", "mode"), WR_ITEM_ENFORCE, "the signed mode is back");
	o.to = NULL;
	o.expires = clock_now + 10;
	s = wr_life_suppress(life, &o, &v);
	expect(200, NULL, s, v, "suppressed for ten seconds");
	/* The loader asks the real clock, which is behind this one or far ahead of it. */
	clock_now += 11;
	wr_life_tick(life, 0);
	IS(forced("core", "mode"), WR_ITEM_ENFORCE, "and back when the time is over");
	o.expires = 0;
	o.item = "list:x";
	o.digest = "md5:0123456789abcdef0123456789abcdef";
	s = wr_life_suppress(life, &o, &v);
	expect(200, NULL, s, v, "one entry of a list");
	IS(forced("core", "suppressed"), 1, "is handed to the compiler");
	next_status = 500;
	o.item = "rule:*";
	o.digest = NULL;
	s = wr_life_suppress(life, &o, &v);
	expect(500, NULL, s, v, "an overlay that cannot be put in force");
	next_status = 200;
	start();
	s = push("core", 5, "enforce", "", &v);
	json_decref(v);
	IS(forced("core", "mode"), WR_ITEM_ENFORCE, "is not remembered");
	o.item = "r";
	s = wr_life_suppress(life, &o, &v);
	expect(400, "item", s, v, "an item must say what it is");
}

/* --- kill -9 -------------------------------------------------------------------------------------
 */

static int points_left;

static void die_here(const char *where)
{
	(void)where;
	if (points_left-- == 0)
		raise(SIGKILL);
}

static void killed(bool back)
{
	struct wr_life_order o = { .bundle = "core", .reason = "r", .who = "op" };
	int at, bad = 0;

	for (at = 0; at < 100; at++) {
		int fd, status;
		long long active;
		json_t *v;
		pid_t pid;

		fresh();
		(void)push("core", 1, "enforce", "", &v);
		json_decref(v);
		(void)push("core", 2, "enforce", "", &v);
		json_decref(v);
		fd = archive("core", 3, "enforce", "");
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			points_left = at;
			wr_life_test_point = die_here;
			if (back)
				(void)wr_life_rollback(life, &o, &v);
			else
				(void)wr_life_push(life, fd, "tester", &v);
			_exit(0);
		}
		close(fd);
		waitpid(pid, &status, 0);
		start();
		active = number("core", "active");
		/* What is recorded is what is in force, and the floor is not below it. */
		bad += active != forced("core", "version") || number("core", "floor") < active;
		bad += !state_is("core", (unsigned)active, "active");
		/* Nothing is stuck: the next version goes through. */
		bad += push("core", 4, "enforce", "", &v) != 200;
		json_decref(v);
		bad += forced("core", "version") != 4;
		if (WIFEXITED(status))
			break;
	}
	OK(bad == 0 && at > 4 && at < 100, "%s: killed at %d points, consistent after each",
	   back ? "rollback" : "push", at);
}

static void damaged(void)
{
	struct wr_life_conf c = { .dir = state,
		                  .find = find,
		                  .activate = activate,
		                  .limits = WR_SHIP_LIMITS_DEFAULT,
		                  .now = now,
		                  .free_bytes = free_bytes };
	char path[128], err[256] = "";
	struct wr_life *l;
	FILE *f;

	fresh();
	snprintf(path, sizeof(path), "%s/life.json", state);
	f = fopen(path, "w");
	fputs("{\"bundles\":", f);
	fclose(f);
	OK(wr_life_new(&c, &l, err, sizeof(err)) == -EBADMSG && strstr(err, "life.json") != NULL,
	   "a damaged state file is refused: it holds the floors");
}

int main(void)
{
	char pub[256], sec[512];

	if (wr_minisign_keygen(NULL, pub, sizeof(pub), sec, sizeof(sec)) != 0 ||
	    wr_minisign_public(pub, strlen(pub), &trust.key[0].key) != 0 ||
	    wr_minisign_secret(sec, strlen(sec), NULL, &secret) != 0)
		return 1;
	trust.key[0].may = may;
	trust.key[0].nmay = 1;
	trust2.key[0] = trust.key[0];
	versions();
	ways_back();
	waits();
	overlays();
	killed(false);
	killed(true);
	damaged();
	wr_life_free(life);
	unlink(force_file);
	folder_remove();
	strcpy(folder, state);
	folder_remove();
	return tap_done();
}
