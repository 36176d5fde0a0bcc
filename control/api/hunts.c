/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/hunts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/child.h"
#include "config/log.h"

#define WALL_S 3600
#define NICE   19

struct job {
	char bundle[40];
	uint64_t version, was;
};

struct wr_hunts {
	struct wr_api *a;
	char dir[WR_CONFIG_PATH + 16], bundles[WR_CONFIG_PATH + 16];
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	struct job job[WR_HUNT_QUEUE];
	unsigned n;
	bool stop;
};

static void count(struct wr_hunts *h, const char *result)
{
	char labels[64] = "";

	wr_metrics_label(labels, sizeof(labels), "result", result);
	wr_metrics_add(h->a->metrics, "weir_hunts_total", labels, 1);
}

void wr_hunts_add(struct wr_hunts *h, const char *bundle, uint64_t version, uint64_t was)
{
	bool full;

	pthread_mutex_lock(&h->lock);
	full = h->n == WR_HUNT_QUEUE;
	if (!full) {
		struct job *j = &h->job[h->n++];

		snprintf(j->bundle, sizeof(j->bundle), "%s", bundle);
		j->version = version;
		j->was = was;
		pthread_cond_signal(&h->wake);
	}
	pthread_mutex_unlock(&h->lock);
	if (full)
		count(h, "dropped");
}

/* --- the child ----------------------------------------------------------------------- */

static void limit(int what, uint64_t most)
{
	struct rlimit r = { most, most };

	(void)setrlimit((__rlimit_resource_t)what, &r);
}

static pid_t spawn(char *const argv[], int out)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	/* Only async-signal-safe calls here: other threads held locks at the fork. */
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	limit(RLIMIT_CPU, WR_HUNT_CPU_S);
	limit(RLIMIT_FSIZE, WR_HUNT_OUT_MAX);
	limit(RLIMIT_CORE, 0);
	dup2(out, STDOUT_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

/* Until it ends, or we do, or its time is over. */
static int wait_child(struct wr_hunts *h, pid_t pid)
{
	int status = 0;

	for (unsigned i = 0;; i++) {
		struct timespec until;
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid || (got < 0 && errno != EINTR))
			return got == pid ? status : -1;
		pthread_mutex_lock(&h->lock);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 100000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		if (!h->stop)
			pthread_cond_timedwait(&h->wake, &h->lock, &until);
		if (h->stop || i == WALL_S * 10)
			kill(pid, SIGKILL);
		pthread_mutex_unlock(&h->lock);
	}
}

static int run_child(struct wr_hunts *h, const struct job *j, const char *to)
{
	static const char *const place[] = { "weir", "../cli/weir", "../bin/weir" };
	char path[PATH_MAX], now[PATH_MAX], before[PATH_MAX], bytes[24], uploads[24];
	char *argv[] = { path,
		         (char *)(uintptr_t) "hunt",
		         (char *)(uintptr_t) "--json",
		         (char *)(uintptr_t) "--bundle",
		         now,
		         (char *)(uintptr_t) "--records",
		         (char *)(uintptr_t)wr_config_control(h->a->cfg)->records_path,
		         (char *)(uintptr_t) "--most-bytes",
		         bytes,
		         (char *)(uintptr_t) "--most-uploads",
		         uploads,
		         (char *)(uintptr_t) "--but-not",
		         before,
		         NULL };
	int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), status = -1;
	pid_t pid;

	if (fd < 0)
		return -1;
	wr_child_path("WEIR_CLI", place, path, sizeof(path));
	snprintf(now, sizeof(now), "%s/%s/%llu", h->bundles, j->bundle,
	         (unsigned long long)j->version);
	snprintf(before, sizeof(before), "%s/%s/%llu", h->bundles, j->bundle,
	         (unsigned long long)j->was);
	snprintf(bytes, sizeof(bytes), "%llu", WR_HUNT_RECORDS);
	snprintf(uploads, sizeof(uploads), "%u", WR_HUNT_UPLOADS);
	if (j->was == 0)
		argv[11] = NULL;
	pid = spawn(argv, fd);
	close(fd);
	if (pid > 0)
		status = wait_child(h, pid);
	/* 0: nothing found; 1: something. */
	return status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) <= 1 ? 0 : -1;
}

/* --- documents ----------------------------------------------------------------------- */

static bool is_document(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && n > 5 && strcmp(name + n - 5, ".json") == 0;
}

struct file {
	char name[96];
	struct timespec at;
};

static int newest_first(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	if (x->at.tv_sec != y->at.tv_sec)
		return x->at.tv_sec < y->at.tv_sec ? 1 : -1;
	return x->at.tv_nsec == y->at.tv_nsec ? 0 : x->at.tv_nsec < y->at.tv_nsec ? 1 : -1;
}

/* At most WR_HUNT_KEEP + 1 names; a folder that holds more is somebody else's mess. */
static unsigned files(struct wr_hunts *h, struct file out[WR_HUNT_KEEP + 1])
{
	DIR *d = opendir(h->dir);
	struct stat st;
	unsigned n = 0;

	if (d == NULL)
		return 0;
	for (struct dirent *e; n <= WR_HUNT_KEEP && (e = readdir(d)) != NULL;) {
		if (!is_document(e->d_name) || strlen(e->d_name) >= sizeof(out[n].name) ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		strcpy(out[n].name, e->d_name);
		out[n++].at = st.st_mtim;
	}
	closedir(d);
	qsort(out, n, sizeof(*out), newest_first);
	return n;
}

static void save(struct wr_hunts *h, const struct job *j, json_t *doc)
{
	char path[PATH_MAX], tmp[PATH_MAX];
	struct file f[WR_HUNT_KEEP + 1];

	snprintf(tmp, sizeof(tmp), "%s/.new", h->dir);
	snprintf(path, sizeof(path), "%s/%s-%llu.json", h->dir, j->bundle,
	         (unsigned long long)j->version);
	if (json_dump_file(doc, tmp, JSON_INDENT(1)) != 0 || rename(tmp, path) != 0)
		wr_log(WR_LOG_ERROR, "hunt.write", "file=%s error=\"%s\"", path, strerror(errno));
	for (unsigned n = files(h, f); n > WR_HUNT_KEEP; n--) {
		snprintf(path, sizeof(path), "%s/%s", h->dir, f[n - 1].name);
		(void)unlink(path);
	}
}

static void hunt(struct wr_hunts *h, const struct job *j)
{
	char out[PATH_MAX], labels[96] = "";
	json_t *doc = NULL;
	json_int_t found;
	int rc;

	snprintf(out, sizeof(out), "%s/.out", h->dir);
	rc = run_child(h, j, out);
	if (rc == 0)
		doc = json_load_file(out, 0, NULL);
	(void)unlink(out);
	if (h->stop) { /* the next start hunts no more for what came before: it says so below */
		json_decref(doc);
		doc = NULL;
	}
	count(h, doc != NULL ? "done" : "failed");
	if (doc == NULL)
		doc = json_pack("{s:s}", "error",
		                "the hunt did not end; `weir hunt --bundle` repeats it");
	json_object_set_new(doc, "bundle", json_string(j->bundle));
	json_object_set_new(doc, "version", json_integer((json_int_t)j->version));
	json_object_set_new(doc, "against", json_integer((json_int_t)j->was));
	json_object_set_new(doc, "at", json_integer((json_int_t)time(NULL)));
	found = json_integer_value(json_object_get(doc, "matched")) -
	        json_integer_value(json_object_get(doc, "already_blocked"));
	wr_metrics_label(labels, sizeof(labels), "bundle", j->bundle);
	wr_metrics_add(h->a->metrics, "weir_hunt_uploads_total", labels, (double)found);
	save(h, j, doc);
	wr_log(found != 0 ? WR_LOG_WARN : WR_LOG_INFO, "hunt",
	       "bundle=%s version=%llu records=%lld found=%lld", j->bundle,
	       (unsigned long long)j->version,
	       (long long)json_integer_value(json_object_get(doc, "records")), (long long)found);
	json_decref(doc);
}

json_t *wr_hunts_list(struct wr_hunts *h)
{
	struct file f[WR_HUNT_KEEP + 1];
	unsigned n = files(h, f);
	json_t *all = json_array();

	for (unsigned i = 0; i < n; i++) {
		char path[PATH_MAX];
		json_t *doc;

		snprintf(path, sizeof(path), "%s/%s", h->dir, f[i].name);
		doc = json_load_file(path, 0, NULL);
		if (doc != NULL)
			json_array_append_new(all, doc);
	}
	return all;
}

static void *work(void *arg)
{
	struct wr_hunts *h = arg;

	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		struct job j;

		if (h->n == 0) {
			pthread_cond_wait(&h->wake, &h->lock);
			continue;
		}
		j = h->job[0];
		memmove(h->job, h->job + 1, --h->n * sizeof(*h->job));
		pthread_mutex_unlock(&h->lock);
		hunt(h, &j);
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

int wr_hunts_new(struct wr_api *a, struct wr_hunts **out, char *err)
{
	struct wr_hunts *h = calloc(1, sizeof(*h));
	int rc;

	*out = NULL;
	if (h == NULL)
		return -ENOMEM;
	h->a = a;
	snprintf(h->dir, sizeof(h->dir), "%s/hunts", wr_config_control(a->cfg)->state_dir);
	snprintf(h->bundles, sizeof(h->bundles), "%s/bundles",
	         wr_config_control(a->cfg)->state_dir);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->wake, NULL);
	rc = mkdir(h->dir, 0700) != 0 && errno != EEXIST ? -errno : 0;
	if (rc == 0)
		rc = -pthread_create(&h->thread, NULL, work, h);
	if (rc != 0) {
		snprintf(err, WR_API_ERR, "%.200s: %s", h->dir, strerror(-rc));
		free(h);
		return rc;
	}
	*out = h;
	return 0;
}

void wr_hunts_free(struct wr_hunts *h)
{
	if (h == NULL)
		return;
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_broadcast(&h->wake);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->wake);
	free(h);
}
