/* SPDX-License-Identifier: BSD-3-Clause */
/* What weir-compile cannot do any more once it is in its sandbox. Each try is a child of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compile/compile.h"
#include "tap.h"

static char in[] = "/tmp/wr-box-in-XXXXXX", out[] = "/tmp/wr-box-out-XXXXXX";
static int infd, outfd;
static bool no_landlock;

enum { DONE = 0, REFUSED = 1, BROKEN = 2 };

static int result(long rc)
{
	return rc >= 0 ? DONE : errno == EACCES ? REFUSED : BROKEN;
}

static int read_bundle(void)
{
	return result(openat(infd, "file", O_RDONLY));
}

static int write_bundle(void)
{
	return result(openat(infd, "new", O_WRONLY | O_CREAT, 0600));
}

static int write_out(void)
{
	return result(openat(outfd, "new", O_WRONLY | O_CREAT, 0600));
}

static int read_else(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}

static int read_proc(void)
{
	return result(open("/proc/self/environ", O_RDONLY));
}

static int net(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int unix_net(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int run(void)
{
	char *argv[] = { (char[]){ "/bin/true" }, NULL };

	return result(execv(argv[0], argv));
}

static int child(void)
{
	return result(fork());
}

static int more_memory(void)
{
	return mmap(NULL, 1ull << 34, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
	               ? REFUSED
	               : DONE;
}

static int more_time(void)
{
	for (volatile uint64_t i = 0; i < UINT64_MAX; i++)
		;
	return DONE;
}

static const struct {
	const char *what;
	int (*try)(void);
	int want, sig; /* sig: ends so, and not otherwise */
	bool needs_landlock;
} row[] = {
	{ "reads a file of the bundle", read_bundle, DONE, 0, false },
	{ "writes a file in the output folder", write_out, DONE, 0, false },
	{ "writes nothing beside the bundle", write_bundle, REFUSED, 0, true },
	{ "reads no file of the system", read_else, REFUSED, 0, true },
	{ "nor of a process", read_proc, REFUSED, 0, true },
	{ "opens no socket", net, 0, SIGSYS, false },
	{ "not even a local one", unix_net, 0, SIGSYS, false },
	{ "starts no program", run, 0, SIGSYS, false },
	{ "has no children", child, 0, SIGSYS, false },
	{ "maps no more memory than it was told", more_memory, REFUSED, 0, false },
	{ "runs no longer than it was told", more_time, 0, SIGXCPU, false },
};

static int try_in_box(int (*try)(void))
{
	struct wr_sandbox box = { .read_fd = &infd,
		                  .nread = 1,
		                  .write_fd = outfd,
		                  .memory_bytes = 1ull << 33,
		                  .seconds = 1 };
	char warning[160];
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (wr_sandbox_enter(&box, warning, sizeof(warning)) != 0)
			_exit(99);
		_exit(try());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	return status;
}

int main(void)
{
	char path[64], warning[160] = "";
	FILE *f;

#ifdef __SANITIZE_ADDRESS__
	printf("1..0 # SKIP a sanitizer's runtime makes system calls of its own\n");
	return 0;
#endif
	if (mkdtemp(in) == NULL || mkdtemp(out) == NULL)
		return 2;
	snprintf(path, sizeof(path), "%s/file", in);
	f = fopen(path, "w");
	if (f == NULL || fclose(f) != 0)
		return 2;
	infd = open(in, O_RDONLY | O_DIRECTORY);
	outfd = open(out, O_RDONLY | O_DIRECTORY);
	fflush(stdout);
	/* Without Landlock the kernel keeps fewer promises; weir-compile then says so. */
	if (fork() == 0) {
		struct wr_sandbox box = { .read_fd = &infd, .nread = 1, .write_fd = outfd };

		_exit(wr_sandbox_enter(&box, warning, sizeof(warning)) == 0 ? warning[0] != '\0'
		                                                            : 99);
	} else {
		int status = 0;

		(void)wait(&status);
		IS(WIFEXITED(status) && WEXITSTATUS(status) <= 1, 1, "enters its sandbox");
		no_landlock = WEXITSTATUS(status) == 1;
	}
	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		int status;

		if (row[i].needs_landlock && no_landlock) {
			SKIP("this kernel has no Landlock");
			continue;
		}
		status = try_in_box(row[i].try);
		if (row[i].sig != 0)
			OK(WIFSIGNALED(status) && WTERMSIG(status) == row[i].sig, "%s",
			   row[i].what);
		else
			OK(WIFEXITED(status) && WEXITSTATUS(status) == row[i].want, "%s (%x)",
			   row[i].what, status);
	}
	snprintf(path, sizeof(path), "rm -rf %s %s", in, out);
	return system(path) != 0 ? 2 : tap_done();
}
