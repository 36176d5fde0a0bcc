/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What weir-compile gives up before it reads a bundle: every way to the network, to other programs,
 * to other files than the bundles' and the output folder's, and to more memory and time than it was
 * told.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compile/compile.h"

#define FILES_MAX 64u

static int limit(int what, uint64_t soft, uint64_t hard)
{
	struct rlimit old, r = { .rlim_cur = soft, .rlim_max = hard };

	if (getrlimit((__rlimit_resource_t)what, &old) != 0)
		return -errno;
	/* Whoever started us may have set less. */
	r.rlim_max = wr_min_u64(r.rlim_max, old.rlim_max);
	r.rlim_cur = wr_min_u64(r.rlim_cur, r.rlim_max);
	return setrlimit((__rlimit_resource_t)what, &r) == 0 ? 0 : -errno;
}

static int limits(const struct wr_sandbox *s)
{
	int rc = limit(RLIMIT_CORE, 0, 0);

	if (rc == 0)
		rc = limit(RLIMIT_NOFILE, FILES_MAX, FILES_MAX);
#ifndef __SANITIZE_ADDRESS__ /* whose shadow alone is larger than any limit */
	if (rc == 0 && s->memory_bytes != 0)
		rc = limit(RLIMIT_AS, s->memory_bytes, s->memory_bytes);
#endif
	/* SIGXCPU comes first and lets us say why; SIGKILL ends a process that does not listen. */
	if (rc == 0 && s->seconds != 0)
		rc = limit(RLIMIT_CPU, s->seconds, s->seconds + 2);
	return rc;
}

static int allow_beneath(int ruleset, int fd, uint64_t access)
{
	struct landlock_path_beneath_attr path = { .allowed_access = access, .parent_fd = fd };

	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &path, 0) == 0
	               ? 0
	               : -errno;
}

/* -ENOSYS or -EOPNOTSUPP where the kernel has no Landlock. */
static int landlock(const struct wr_sandbox *s)
{
	const uint64_t read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	const uint64_t write = read | LANDLOCK_ACCESS_FS_WRITE_FILE |
	                       LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG;
	/* Everything of Landlock's first version is handled, so what is not allowed is refused. */
	struct landlock_ruleset_attr all = { .handled_access_fs =
		                                     LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1 };
	int fd = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0), rc = 0;

	if (fd < 0)
		return -errno;
	for (uint32_t i = 0; i < s->nread && rc == 0; i++)
		rc = allow_beneath(fd, s->read_fd[i], read);
	if (rc == 0)
		rc = allow_beneath(fd, s->write_fd, write);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, fd, 0) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int seccomp(void)
{
	static const int allowed[] = {
		/* memory */
		SCMP_SYS(brk),
		SCMP_SYS(mmap),
		SCMP_SYS(munmap),
		SCMP_SYS(mremap),
		SCMP_SYS(mprotect),
		SCMP_SYS(madvise),
		/* files, below the folders that Landlock left */
		SCMP_SYS(openat),
		SCMP_SYS(openat2),
		SCMP_SYS(close),
		SCMP_SYS(read),
		SCMP_SYS(pread64),
		SCMP_SYS(readv),
		SCMP_SYS(write),
		SCMP_SYS(writev),
		SCMP_SYS(pwrite64),
		SCMP_SYS(lseek),
		SCMP_SYS(fstat),
		SCMP_SYS(newfstatat),
		SCMP_SYS(statx),
		SCMP_SYS(getdents64),
		SCMP_SYS(ftruncate),
		SCMP_SYS(fsync),
		SCMP_SYS(renameat),
		SCMP_SYS(renameat2),
		SCMP_SYS(unlinkat),
		SCMP_SYS(dup),
		SCMP_SYS(fcntl),
		SCMP_SYS(fadvise64),
		/* itself */
		SCMP_SYS(exit),
		SCMP_SYS(exit_group),
		SCMP_SYS(rt_sigreturn),
		SCMP_SYS(rt_sigaction),
		SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(getpid),
		SCMP_SYS(gettid),
		SCMP_SYS(tgkill),
		SCMP_SYS(futex),
		SCMP_SYS(getrandom),
		SCMP_SYS(clock_gettime),
		SCMP_SYS(sysinfo),
		SCMP_SYS(getrusage),
		SCMP_SYS(restart_syscall),
		SCMP_SYS(time),
		SCMP_SYS(gettimeofday),
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc = ctx == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < WR_COUNT_OF(allowed) && rc == 0; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	/* stdio asks whether stdout is a terminal; nothing else of ioctl. */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
		                      SCMP_A1(SCMP_CMP_EQ, TCGETS, 0));
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc;
}

int wr_sandbox_enter(const struct wr_sandbox *s, char *warning, size_t size)
{
	int rc = limits(s);

	warning[0] = '\0';
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		rc = -errno;
	if (rc != 0)
		return rc;
	rc = landlock(s);
	if (rc == -ENOSYS || rc == -EOPNOTSUPP) {
		snprintf(warning, size,
		         "this kernel has no Landlock: the compiler could open other files of its "
		         "user");
		rc = 0;
	}
#ifdef __SANITIZE_ADDRESS__
	/* The sanitizer's runtime makes system calls of its own. Never so in a build that is
	 * shipped. */
	if (rc == 0)
		snprintf(warning, size, "a sanitizer build: system calls are not filtered");
	(void)seccomp;
	return rc;
#else
	return rc != 0 ? rc : seccomp();
#endif
}
