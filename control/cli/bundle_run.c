/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/bundle_run.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void wr_temp_dir(char out[PATH_MAX])
{
	const char *base = getenv("TMPDIR");

	snprintf(out, PATH_MAX, "%s/weir-XXXXXX", base != NULL && base[0] == '/' ? base : "/tmp");
	if (mkdtemp(out) == NULL)
		out[0] = '\0';
}

static int remove_one(const char *p, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(p);
}

void wr_temp_remove(const char *dir)
{
	if (dir[0] != '\0')
		(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int unpack(struct wr_cli *c, const char *arg, int in, struct wr_opened *o)
{
	struct wr_ship_limits l = WR_SHIP_LIMITS_DEFAULT;
	struct wr_refusal r = { 0 };
	int rc;

	wr_temp_dir(o->dir);
	if (o->dir[0] == '\0')
		return wr_cli_fail(c, "cannot make a temporary folder: %s", strerror(errno));
	o->temporary = true;
	o->fd = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->fd < 0)
		return wr_cli_fail(c, "%s: %s", o->dir, strerror(errno));
	rc = wr_ship_unpack(in, o->fd, &l, &r);
	if (rc == 0)
		return 0;
	if (r.code == WR_REFUSE_NONE)
		return wr_cli_fail(c, "%s: %s", arg, strerror(-rc));
	return wr_cli_refused(c, &r);
}

int wr_opened_open(struct wr_cli *c, const char *arg, struct wr_opened *o)
{
	struct stat st;
	int fd, rc = 0;

	*o = (struct wr_opened){ .fd = -1 };
	fd = open(arg, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		rc = wr_cli_fail(c, "%s: %s", arg, strerror(errno));
	else if (S_ISDIR(st.st_mode)) {
		if (realpath(arg, o->dir) == NULL)
			rc = wr_cli_fail(c, "%s: %s", arg, strerror(errno));
		o->fd = fd;
		fd = -1;
	} else {
		rc = unpack(c, arg, fd, o);
	}
	if (fd >= 0)
		close(fd);
	if (rc != 0)
		wr_opened_close(o);
	return rc;
}

void wr_opened_close(struct wr_opened *o)
{
	if (o->fd >= 0)
		close(o->fd);
	if (o->temporary)
		wr_temp_remove(o->dir);
	*o = (struct wr_opened){ .fd = -1 };
}

void wr_cli_bundle_errors(struct wr_cli *c, const struct wr_bundle_errors *e, json_t *answer)
{
	json_t *errors = json_array(), *warnings = json_array();

	for (uint32_t i = 0; i < e->n; i++)
		json_array_append_new(e->e[i].warning ? warnings : errors,
		                      json_pack("{s:s,s:i,s:s}", "file", e->e[i].file, "line",
		                                (int)e->e[i].line, "message", e->e[i].message));
	if (!c->json)
		wr_bundle_errors_print(e, stderr);
	if (answer != NULL) {
		json_object_set(answer, "errors", errors);
		json_object_set(answer, "warnings", warnings);
	}
	json_decref(errors);
	json_decref(warnings);
}

int wr_cli_refused(struct wr_cli *c, const struct wr_refusal *r)
{
	if (c->json) {
		json_t *v = json_pack("{s:b,s:s,s:s}", "ok", 0, "code", wr_refusal_name(r->code),
		                      "error", r->text);

		wr_cli_print_json(v);
		json_decref(v);
	} else {
		fprintf(stderr, "%s: refused (%s): %s\n", c->name, wr_refusal_name(r->code),
		        r->text);
	}
	return r->code == WR_REFUSE_IO || r->code == WR_REFUSE_NO_SPACE ? WR_EXIT_FAIL : WR_EXIT_NO;
}

int wr_cli_bundle_load(struct wr_cli *c, const struct wr_opened *o, struct wr_bundle **out)
{
	struct wr_bundle_errors e = { 0 };
	int rc = wr_bundle_load_at(o->fd, out, &e);
	int code = rc == 0 ? WR_EXIT_OK : WR_EXIT_NO;

	if (c->json && rc != 0) {
		json_t *v = json_pack("{s:b}", "ok", 0);

		wr_cli_bundle_errors(c, &e, v);
		wr_cli_print_json(v);
		json_decref(v);
	} else {
		wr_cli_bundle_errors(c, &e, NULL);
	}
	if (rc != 0 && e.nerrors == 0)
		code = wr_cli_fail(c, "%s", strerror(-rc));
	wr_bundle_errors_free(&e);
	return code;
}

/* --- children ----------------------------------------------------------------------------------
 */

/* $WEIR_COMPILE or $WEIR_SCAN, beside this program, in the build tree, in libexec, in $PATH. */
static void tool_path(const char *name, const char *env, const char *build, char out[PATH_MAX])
{
	const char *const place[] = { "", build, "../libexec/weir/" };
	char self[PATH_MAX - 128] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (getenv(env) != NULL) {
		snprintf(out, PATH_MAX, "%s", getenv(env));
		return;
	}
	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash != NULL)
		slash[1] = '\0';
	for (size_t i = 0; i < WR_COUNT_OF(place); i++) {
		snprintf(out, PATH_MAX, "%s%s%s", self, place[i], name);
		if (access(out, X_OK) == 0)
			return;
	}
	snprintf(out, PATH_MAX, "%s", name);
}

/* in and out: ends of the child's stdin and stdout, -1 = leave it. */
static pid_t spawn(char *const argv[], int *in, int *out)
{
	int a[2] = { -1, -1 }, b[2] = { -1, -1 };
	pid_t pid = -1;

	if ((in != NULL && pipe2(a, O_CLOEXEC) != 0) || pipe2(b, O_CLOEXEC) != 0)
		goto out;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (in != NULL)
			dup2(a[0], STDIN_FILENO);
		dup2(b[1], STDOUT_FILENO);
		execvp(argv[0], argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
out:
	if (pid < 0) {
		for (int i = 0; i < 2; i++) {
			if (a[i] >= 0)
				close(a[i]);
			if (b[i] >= 0)
				close(b[i]);
		}
		return -1;
	}
	if (in != NULL) {
		close(a[0]);
		*in = a[1];
	}
	close(b[1]);
	*out = b[0];
	return pid;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

static void show_lines(const json_t *list, const char *kind)
{
	json_t *e;
	size_t i;

	json_array_foreach(list, i, e)
	{
		wr_cli_put_safe(stderr, wr_cli_str(e, "file"));
		if (wr_cli_int(e, "line") > 0)
			fprintf(stderr, ":%lld", wr_cli_int(e, "line"));
		fprintf(stderr, ": %s: ", kind);
		wr_cli_put_safe(stderr, wr_cli_str(e, "message"));
		fputc('\n', stderr);
	}
}

json_t *wr_cli_compile(struct wr_cli *c, const char *const *dir, unsigned n, const char *out_dir,
                       bool bench)
{
	char path[PATH_MAX];
	char *argv[32];
	unsigned k = 0;
	json_t *v = NULL;
	FILE *f;
	int fd = -1, status;
	pid_t pid;

	WR_ASSERT(n < 24);
	tool_path("weir-compile", "WEIR_COMPILE", "../compile/", path);
	argv[k++] = path;
	argv[k++] = (char *)(uintptr_t) "--out";
	argv[k++] = (char *)(uintptr_t)out_dir;
	if (bench)
		argv[k++] = (char *)(uintptr_t) "--bench";
	for (unsigned i = 0; i < n; i++)
		argv[k++] = (char *)(uintptr_t)dir[i];
	argv[k] = NULL;
	pid = spawn(argv, NULL, &fd);
	f = pid < 0 ? NULL : fdopen(fd, "r");
	if (f == NULL) {
		wr_cli_fail(c, "cannot start weir-compile: %s", strerror(errno));
		return NULL;
	}
	v = json_loadf(f, 0, NULL);
	fclose(f);
	status = wait_for(pid);
	if (v == NULL) {
		wr_cli_fail(c, "weir-compile (%s) gave no answer%s", path,
		            WIFSIGNALED(status) ? ": it was killed by a signal" : "");
		return NULL;
	}
	if (json_is_true(json_object_get(v, "ok"))) {
		if (!c->json)
			show_lines(json_object_get(v, "warnings"), "warning");
		return v;
	}
	if (c->json)
		wr_cli_print_json(v);
	else
		show_lines(json_object_get(v, "errors"), "error");
	json_decref(v);
	return NULL;
}

int wr_scanner_start(struct wr_cli *c, const char *artifact, const char *meta_hex,
                     const char *region, struct wr_scanner *s)
{
	char path[PATH_MAX];
	char *argv[] = { path,
		         (char *)(uintptr_t) "--artifact",
		         (char *)(uintptr_t)artifact,
		         (char *)(uintptr_t) "--meta",
		         (char *)(uintptr_t)meta_hex,
		         (char *)(uintptr_t) "--region",
		         (char *)(uintptr_t)region,
		         NULL };
	int in = -1, out = -1;

	tool_path("weir-scan", "WEIR_SCAN", "../../dataplane/offline/", path);
	s->pid = spawn(argv, &in, &out);
	s->to = in < 0 ? NULL : fdopen(in, "w");
	s->from = out < 0 ? NULL : fdopen(out, "r");
	if (s->pid < 0 || s->to == NULL || s->from == NULL)
		return wr_cli_fail(c, "cannot start weir-scan: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

json_t *wr_scanner_scan(struct wr_cli *c, struct wr_scanner *s, uint64_t cut, const char *type,
                        const char *path)
{
	json_t *v = NULL;

	if (strpbrk(path, "\n") == NULL) {
		fprintf(s->to, "%llu\t%s\t%s\n", (unsigned long long)cut,
		        type == NULL || type[0] == '\0' ? "-" : type, path);
		if (fflush(s->to) == 0)
			v = json_loadf(s->from, JSON_DISABLE_EOF_CHECK, NULL);
	}
	if (v == NULL)
		wr_cli_fail(c, "weir-scan did not answer for %s", path);
	return v;
}

void wr_scanner_stop(struct wr_scanner *s)
{
	if (s->to != NULL)
		fclose(s->to);
	if (s->from != NULL)
		fclose(s->from);
	if (s->pid > 0)
		(void)wait_for(s->pid);
	*s = (struct wr_scanner){ 0 };
}

void wr_cli_progress(const char *what, size_t done, size_t all)
{
	static int terminal = -1;

	if (terminal < 0)
		terminal = isatty(STDERR_FILENO);
	if (!terminal)
		return;
	if (done == all)
		fprintf(stderr, "\r\033[K");
	else
		fprintf(stderr, "\r%zu/%zu %s", done, all, what);
	fflush(stderr);
}
