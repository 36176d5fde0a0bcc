/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a bundle folder to a ruleset in force: weir-compile as a child, shards into the state
 * folder, the link pushes them. The old ruleset stays until the new one is committed.
 */
#include "api/api.h"

#include "abi/artifact.h"
#include "api/child.h"
#include "config/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMPILE_MS  600000
#define ANSWER_MAX  (16u << 20)
#define BUNDLES_MAX 64u

struct wr_loader {
	char dir[WR_CONFIG_PATH + 16]; /* state folder; shards in dir/shards */
	char shards[WR_CONFIG_PATH + 32];
	char region[16], stream_state[24];
	bool allow_unsigned;
	struct wr_link *link;
	struct wr_metrics *metrics;
	pthread_mutex_t busy; /* one load at a time */
	/* Under busy: compiled, and the dataplane has no place for one more generation. */
	json_t *staged;
	struct wr_ruleset_files *staged_rs;
	pthread_mutex_t lock; /* active */
	json_t *active;
};

static int private_dir(const char *path, char *err)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			break;
		*p = '/';
	}
	if ((mkdir(part, 0700) != 0 && errno != EEXIST) || chmod(part, 0700) != 0 ||
	    access(part, W_OK) != 0) {
		int rc = -errno;

		snprintf(err, WR_API_ERR, "state folder %.200s is not writable: %s", part,
		         strerror(-rc));
		return rc;
	}
	return 0;
}

int wr_loader_new(const struct wr_config *cfg, struct wr_link *link, struct wr_metrics *metrics,
                  struct wr_loader **out, char *err)
{
	const struct wr_conf *dp = wr_config_dataplane(cfg);
	struct wr_loader *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	snprintf(l->dir, sizeof(l->dir), "%s", wr_config_control(cfg)->state_dir);
	snprintf(l->shards, sizeof(l->shards), "%s/shards", l->dir);
	snprintf(l->region, sizeof(l->region), "%s", dp->region);
	snprintf(l->stream_state, sizeof(l->stream_state), "%u", dp->stream_state_bytes);
	l->allow_unsigned = wr_config_control(cfg)->allow_unsigned;
	l->link = link;
	l->metrics = metrics;
	pthread_mutex_init(&l->busy, NULL);
	pthread_mutex_init(&l->lock, NULL);
	rc = private_dir(l->dir, err);
	if (rc == 0)
		rc = private_dir(l->shards, err);
	if (rc != 0) {
		wr_loader_free(l);
		return rc;
	}
	*out = l;
	return 0;
}

void wr_loader_free(struct wr_loader *l)
{
	if (l == NULL)
		return;
	json_decref(l->active);
	json_decref(l->staged);
	free(l->staged_rs);
	pthread_mutex_destroy(&l->busy);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* --- the child
 * ------------------------------------------------------------------------------------- */

static void compiler_path(char *out, size_t size)
{
	static const char *const place[] = { "weir-compile", "../compile/weir-compile",
		                             "../libexec/weir/weir-compile" };

	wr_child_path("WEIR_COMPILE", place, out, size);
}

static pid_t spawn(char *const argv[], int *from)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		/* Only async-signal-safe calls here: other threads held locks at the fork. */
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(p[1], STDOUT_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(p[1]);
	if (pid < 0)
		close(p[0]);
	else
		*from = p[0];
	return pid;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int read_child(int fd, char **out, size_t *out_n)
{
	uint64_t until = now_ms() + COMPILE_MS;
	char *buf = malloc(ANSWER_MAX);
	size_t n = 0;

	while (buf != NULL) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = now_ms();
		ssize_t k;

		if (now >= until || n == ANSWER_MAX || poll(&p, 1, (int)(until - now)) < 0) {
			if (now < until && n < ANSWER_MAX && errno == EINTR)
				continue;
			break;
		}
		if (p.revents == 0)
			continue;
		k = read(fd, buf + n, ANSWER_MAX - n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			break;
		if (k == 0) {
			*out = buf;
			*out_n = n;
			return 0;
		}
		n += (size_t)k;
	}
	free(buf);
	return -ETIMEDOUT;
}

/* weir-compile's one line; NULL and a sentence in err when it gave none. */
static json_t *compile(struct wr_loader *l, const char *const *dirs, unsigned ndirs, char *err)
{
	char path[PATH_MAX], *argv[BUNDLES_MAX + 16], *text = NULL;
	unsigned n = 0;
	size_t len = 0;
	json_t *v = NULL;
	int fd = -1, status = 0, rc;
	pid_t pid;

	compiler_path(path, sizeof(path));
	argv[n++] = path;
	argv[n++] = (char *)(uintptr_t) "--out";
	argv[n++] = l->shards;
	if (l->region[0] != '\0') {
		argv[n++] = (char *)(uintptr_t) "--region";
		argv[n++] = l->region;
	}
	argv[n++] = (char *)(uintptr_t) "--stream-state-bytes";
	argv[n++] = l->stream_state;
	for (unsigned i = 0; i < ndirs && i < BUNDLES_MAX; i++)
		argv[n++] = (char *)(uintptr_t)dirs[i];
	argv[n] = NULL;
	pid = spawn(argv, &fd);
	if (pid < 0) {
		snprintf(err, WR_API_ERR, "cannot start weir-compile: %s", strerror(errno));
		return NULL;
	}
	rc = read_child(fd, &text, &len);
	close(fd);
	if (rc != 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc == 0)
		v = json_loadb(text, len, 0, NULL);
	free(text);
	if (v != NULL && json_is_object(v))
		return v;
	json_decref(v);
	if (rc != 0)
		snprintf(err, WR_API_ERR, "weir-compile did not end within %d s and was stopped",
		         COMPILE_MS / 1000);
	else if (WIFSIGNALED(status))
		snprintf(err, WR_API_ERR,
		         "weir-compile died of signal %d (%s); the old ruleset stays",
		         WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(err, WR_API_ERR,
		         "weir-compile (%.150s) ended with code %d and no answer%s", path,
		         WEXITSTATUS(status),
		         WEXITSTATUS(status) == 127 ? ": is it installed?" : "");
	return NULL;
}

/* --- from the answer to the link
 * ---------------------------------------------------------------------- */

static int add_shard(struct wr_loader *l, struct wr_ruleset_files *rs, const json_t *v, char *err)
{
	/* A name, or an object with sha256: either way the file decides its size. */
	const char *hex = json_is_object(v) ? json_string_value(json_object_get(v, "sha256"))
	                                    : json_string_value(v);
	char path[sizeof(l->shards) + 80];
	struct wr_shard_ref *ref;
	struct stat st;

	if (rs->nshards == WR_LINK_SHARDS_MAX) {
		snprintf(err, WR_API_ERR, "the ruleset has more than %u shards",
		         WR_LINK_SHARDS_MAX);
		return -E2BIG;
	}
	ref = &rs->shard[rs->nshards];
	if (hex == NULL || wr_hex_get(hex, ref->sha256, 32) != 0) {
		snprintf(err, WR_API_ERR, "weir-compile names a shard that is no SHA-256");
		return -EPROTO;
	}
	snprintf(path, sizeof(path), "%s/%s.shard", l->shards, hex);
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
		snprintf(err, WR_API_ERR, "%.200s: %s", path, strerror(errno));
		return -ENOENT;
	}
	ref->bytes = (uint64_t)st.st_size;
	rs->nshards++;
	return 0;
}

static int ruleset_of(struct wr_loader *l, const json_t *answer, struct wr_ruleset_files *rs,
                      char *err)
{
	const char *meta = json_string_value(json_object_get(answer, "meta"));
	const json_t *shards = json_object_get(answer, "shards");
	bool seen = false;
	size_t i;
	json_t *v;
	int rc = 0;

	memset(rs, 0, sizeof(*rs));
	if (meta == NULL || wr_hex_get(meta, rs->meta, 32) != 0 || !json_is_array(shards)) {
		snprintf(err, WR_API_ERR, "weir-compile's answer names no meta shard");
		return -EPROTO;
	}
	snprintf(rs->dir, sizeof(rs->dir), "%.255s", l->shards);
	json_array_foreach(shards, i, v) if (rc == 0) rc = add_shard(l, rs, v, err);
	for (unsigned k = 0; k < rs->nshards; k++)
		seen |= memcmp(rs->shard[k].sha256, rs->meta, 32) == 0;
	if (rc == 0 && !seen) {
		json_t *m = json_string(meta);

		rc = add_shard(l, rs, m, err);
		json_decref(m);
	}
	return rc;
}

static void show_metrics(struct wr_loader *l, const json_t *answer, double now)
{
	json_t *v;
	size_t i;

	wr_metrics_clear(l->metrics, "weir_bundle_info");
	wr_metrics_clear(l->metrics, "weir_bundle_activated_timestamp_seconds");
	wr_metrics_clear(l->metrics, "weir_bundle_expires_timestamp_seconds");
	wr_metrics_clear(l->metrics, "weir_list_entries");
	wr_metrics_clear(l->metrics, "weir_list_bad_lines");
	json_array_foreach(json_object_get(answer, "bundles"), i, v)
	{
		const char *name = json_string_value(json_object_get(v, "name"));
		json_int_t expires = json_integer_value(json_object_get(v, "expires"));
		char labels[192] = "", version[24];

		if (name == NULL)
			continue;
		wr_metrics_label(labels, sizeof(labels), "bundle", name);
		wr_metrics_set(l->metrics, "weir_bundle_activated_timestamp_seconds", labels, now);
		if (expires > 0)
			wr_metrics_set(l->metrics, "weir_bundle_expires_timestamp_seconds", labels,
			               (double)expires);
		snprintf(version, sizeof(version), "%" JSON_INTEGER_FORMAT,
		         json_integer_value(json_object_get(v, "version")));
		wr_metrics_label(labels, sizeof(labels), "version", version);
		wr_metrics_set(l->metrics, "weir_bundle_info", labels, 1);
	}
	json_array_foreach(json_object_get(answer, "lists"), i, v)
	{
		const char *id = json_string_value(json_object_get(v, "id"));
		const char *algo = json_string_value(json_object_get(v, "algo"));
		char labels[192] = "";

		if (id == NULL)
			continue;
		wr_metrics_label(labels, sizeof(labels), "list", id);
		wr_metrics_set(l->metrics, "weir_list_bad_lines", labels,
		               (double)json_integer_value(json_object_get(v, "bad_lines")));
		wr_metrics_label(labels, sizeof(labels), "algo", algo != NULL ? algo : "?");
		wr_metrics_set(l->metrics, "weir_list_entries", labels,
		               (double)json_integer_value(json_object_get(v, "entries")));
	}
}

static bool in_use(const json_t *answer, const char *file)
{
	const json_t *shards = json_object_get(answer, "shards");
	json_t *v;
	size_t i;

	if (strncmp(json_string_value(json_object_get(answer, "meta")), file, 64) == 0)
		return true;
	json_array_foreach(shards, i, v)
	{
		const char *hex = json_is_object(v)
		                          ? json_string_value(json_object_get(v, "sha256"))
		                          : json_string_value(v);

		if (hex != NULL && strncmp(hex, file, 64) == 0)
			return true;
	}
	return false;
}

/* Shards of rulesets that are not the active one any more. */
static void sweep(struct wr_loader *l, const json_t *answer)
{
	DIR *d = opendir(l->shards);

	if (d == NULL)
		return;
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (strlen(e->d_name) == 70 && strcmp(e->d_name + 64, ".shard") == 0 &&
		    !in_use(answer, e->d_name))
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
}

static void set_active(struct wr_loader *l, json_t *answer, const struct wr_ruleset_files *rs)
{
	wr_link_set_active(l->link, rs);
	pthread_mutex_lock(&l->lock);
	json_decref(l->active);
	l->active = json_incref(answer);
	pthread_mutex_unlock(&l->lock);
	show_metrics(l, answer, (double)json_integer_value(json_object_get(answer, "activated")));
}

/* The file names the ruleset that a restart begins with: written whole, then renamed. */
static void remember(struct wr_loader *l, const json_t *answer)
{
	char path[sizeof(l->dir) + 32], tmp[sizeof(path) + 8];

	snprintf(path, sizeof(path), "%s/active.json", l->dir);
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	if (json_dump_file(answer, tmp, JSON_INDENT(1)) != 0 || rename(tmp, path) != 0)
		wr_log(WR_LOG_ERROR, "state.write", "file=%s error=\"%s\"", path, strerror(errno));
}

int wr_loader_restore(struct wr_loader *l)
{
	char path[sizeof(l->dir) + 32], err[WR_API_ERR] = "";
	struct wr_ruleset_files *rs;
	json_t *answer;
	int rc;

	snprintf(path, sizeof(path), "%s/active.json", l->dir);
	answer = json_load_file(path, 0, NULL);
	if (answer == NULL)
		return -ENOENT;
	rs = malloc(sizeof(*rs));
	rc = rs == NULL ? -ENOMEM : ruleset_of(l, answer, rs, err);
	if (rc == 0)
		set_active(l, answer, rs);
	else
		wr_log(WR_LOG_ERROR, "state.read",
		       "file=%s error=\"%s\" hint=\"load the bundle again\"", path, err);
	free(rs);
	json_decref(answer);
	return rc;
}

json_t *wr_loader_active(struct wr_loader *l)
{
	json_t *v;

	pthread_mutex_lock(&l->lock);
	v = l->active != NULL ? json_deep_copy(l->active) : json_null();
	pthread_mutex_unlock(&l->lock);
	return v;
}

static int rejected(struct wr_loader *l, json_t *answer, const char *code, const char *why,
                    int status, json_t **reply)
{
	char labels[64] = "";

	wr_metrics_label(labels, sizeof(labels), "code", code);
	wr_metrics_add(l->metrics, "weir_bundle_rejected_total", labels, 1);
	if (answer == NULL)
		answer = json_object();
	json_object_set_new(answer, "ok", json_false());
	json_object_set_new(answer, "state", json_string("rejected"));
	json_object_set_new(answer, "code", json_string(code));
	if (why != NULL)
		json_object_set_new(answer, "error", json_string(why));
	wr_log(WR_LOG_WARN, "bundle.rejected", "code=%s", code);
	*reply = answer;
	return status;
}

static void unstage(struct wr_loader *l)
{
	json_decref(l->staged);
	l->staged = NULL;
	free(l->staged_rs);
	l->staged_rs = NULL;
}

/* Takes answer; what waited before is superseded. */
static int wait_for_drain(struct wr_loader *l, json_t *answer, const struct wr_ruleset_files *rs,
                          const char *why, json_t **reply)
{
	struct wr_ruleset_files *copy = malloc(sizeof(*copy));
	const char *drain = strstr(why, "waiting for drain"); /* behind who says it */

	if (copy == NULL)
		return rejected(l, answer, "push", "out of memory", 500, reply);
	*copy = *rs;
	if (l->staged != answer)
		wr_log(WR_LOG_WARN, "bundle.staged", "why=\"%s\"", why);
	unstage(l);
	l->staged = answer;
	l->staged_rs = copy;
	*reply = json_deep_copy(answer);
	json_object_set_new(*reply, "state", json_string("staged"));
	json_object_set_new(*reply, "waiting", json_string(drain == NULL ? why : drain));
	return 202;
}

/* Takes answer. */
static int push(struct wr_loader *l, json_t *answer, struct wr_ruleset_files *rs, json_t **reply)
{
	struct wr_link_status st;
	uint64_t generation = 0;
	char err[WR_LINK_ERR] = "";
	bool pushed = false;
	int rc;

	wr_link_status(l->link, &st);
	if (st.connected) {
		rc = wr_link_push(l->link, rs, &generation, err);
		if (rc == -EAGAIN)
			return wait_for_drain(l, answer, rs, err, reply);
		if (rc != 0 && rc != -ENOTCONN)
			return rejected(l, answer, "push", err, 409, reply);
		pushed = rc == 0;
	}
	json_object_set_new(answer, "activated", json_integer((json_int_t)time(NULL)));
	json_object_set_new(answer, "generation", json_integer((json_int_t)generation));
	remember(l, answer);
	set_active(l, answer, rs);
	unstage(l);
	sweep(l, answer);
	*reply = json_deep_copy(answer);
	json_object_set_new(*reply, "state", json_string(pushed ? "active" : "waiting"));
	wr_log(WR_LOG_INFO, "bundle.active", "generation=%" PRIu64 " pushed=%d", generation,
	       pushed);
	json_decref(answer);
	return pushed ? 200 : 202;
}

int wr_loader_resume(struct wr_loader *l, json_t **reply)
{
	struct wr_link_status st;
	struct wr_ruleset_files rs;
	int status = 404;

	*reply = NULL;
	if (pthread_mutex_trylock(&l->busy) != 0)
		return 404; /* a load is under way, and it supersedes what waits */
	wr_link_status(l->link, &st);
	if (l->staged != NULL && st.connected && st.last.generations >= WR_GENERATIONS_MAX) {
		*reply = json_pack("{s:s}", "state", "staged");
		status = 202;
	} else if (l->staged != NULL) {
		json_t *answer = json_incref(l->staged);

		rs = *l->staged_rs;
		status = push(l, answer, &rs, reply);
		if (status != 200 && status != 202)
			unstage(l);
	}
	pthread_mutex_unlock(&l->busy);
	return status;
}

int wr_loader_load(struct wr_loader *l, const char *const *dirs, unsigned ndirs, json_t **reply)
{
	struct wr_ruleset_files *rs;
	char err[WR_API_ERR] = "";
	json_t *answer, *source = json_array();
	int status;

	if (pthread_mutex_trylock(&l->busy) != 0) {
		json_decref(source);
		return wr_api_error(reply, 409,
		                    "another bundle is being loaded; try again when it is done");
	}
	for (unsigned i = 0; i < ndirs; i++)
		json_array_append_new(source, json_string(dirs[i]));
	rs = malloc(sizeof(*rs));
	answer = rs != NULL ? compile(l, dirs, ndirs, err) : NULL;
	if (answer != NULL)
		json_object_set(answer, "source", source);
	if (answer == NULL)
		status = rejected(l, NULL, "compile", err, 500, reply);
	else if (!json_is_true(json_object_get(answer, "ok")))
		status = rejected(l, answer, "bundle", NULL, 422, reply);
	else if (ruleset_of(l, answer, rs, err) != 0)
		status = rejected(l, answer, "artifact", err, 500, reply);
	else
		status = push(l, answer, rs, reply);
	free(rs);
	json_decref(source);
	pthread_mutex_unlock(&l->busy);
	return status;
}
