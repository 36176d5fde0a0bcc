/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clock - preloaded into a process under test: its wall clock jumps by as many seconds as the file
 * $WEIR_TEST_CLOCK says (a signed 64-bit number). The monotonic clock stays what it is.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

__attribute__((constructor)) static void map_offset(void)
{
	const char *path = getenv("WEIR_TEST_CLOCK");
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (p != MAP_FAILED)
		offset = p;
	if (fd >= 0)
		close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	int rc;

	if (real == NULL)
		*(void **)(void *)&real = dlsym(RTLD_NEXT, "clock_gettime");
	rc = real(id, t);
	if (rc == 0 && id == CLOCK_REALTIME && offset != NULL)
		t->tv_sec += (time_t)*offset;
	return rc;
}

time_t time(time_t *out)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &t);
	if (out != NULL)
		*out = t.tv_sec;
	return t.tv_sec;
}
