/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem/mem.h"
#include "tap.h"

/* Does fn abort? In a child, so that the test lives on. */
static int aborts(void (*fn)(void))
{
	pid_t pid = fork();
	int st = 0;

	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		fn();
		_exit(0);
	}
	waitpid(pid, &st, 0);
	return WIFSIGNALED(st);
}

static void put_twice(void)
{
	struct wr_pool *p = wr_pool_new("t", 4, 16);
	uint32_t i = wr_pool_get(p);

	wr_pool_put(p, i);
	wr_pool_put(p, i);
}

static void put_never_out(void)
{
	wr_pool_put(wr_pool_new("t", 4, 16), 3);
}

static void put_none(void)
{
	wr_pool_put(wr_pool_new("t", 4, 16), 0);
}

static void put_beyond(void)
{
	wr_pool_put(wr_pool_new("t", 4, 16), 5);
}

static void alloc_sealed(void)
{
	wr_mem_seal();
	wr_mem_free(wr_mem_alloc("late", 64));
}

static void pool_sealed(void)
{
	wr_mem_seal();
	wr_pool_free(wr_pool_new("late", 4, 64));
}

static void every_slot_once(void)
{
	enum { N = 1000 };
	static uint8_t seen[N + 1];
	struct wr_pool *p = wr_pool_new("slots", N, 72);
	uint32_t got = 0, twice = 0, i;

	OK(p != NULL, "a pool of %d slots", N);
	IS(p->stride, 128, "a slot above a cache line takes whole lines");
	IS(wr_pool_free_count(p), N, "all free");
	while ((i = wr_pool_get(p)) != 0) {
		twice += seen[i]++;
		memset(wr_pool_at(p, i), (int)(i & 255), 72);
		got++;
	}
	IS(got, N, "every slot was given");
	IS(twice, 0, "none twice");
	IS(wr_pool_get(p), 0, "an empty pool gives 0");
	for (i = 1; i <= N; i++) {
		const uint8_t *b = wr_pool_at(p, i);

		twice += b[0] != (i & 255) || b[71] != (i & 255) || wr_pool_index(p, b) != i;
	}
	IS(twice, 0, "slots do not overlap; an address leads back to its index");
	for (i = 1; i <= N; i += 2)
		wr_pool_put(p, i);
	IS(wr_pool_free_count(p), N / 2, "half put back");
	IS(p->low, 0, "the low mark stays");
	OK(!wr_pool_is_out(p, 1) && wr_pool_is_out(p, 2) && !wr_pool_is_out(p, N + 1), "is_out");
	i = wr_pool_get(p);
	OK(i % 2 == 1, "what comes out again was put back");
	wr_pool_free(p);
}

int main(void)
{
	uint64_t before;
	void *a, *b;

	every_slot_once();
	OK(wr_pool_new("none", 0, 8) == NULL, "a pool of no slots is refused");
	OK(wr_pool_new("none", 8, 0) == NULL, "slots of no bytes are refused");
	OK(aborts(put_twice), "putting a slot back twice aborts");
	OK(aborts(put_never_out), "putting back what is not out aborts");
	OK(aborts(put_none), "putting back 0 aborts");
	OK(aborts(put_beyond), "putting back an index beyond the pool aborts");
	OK(aborts(alloc_sealed), "an allocation after the seal aborts");
	OK(aborts(pool_sealed), "a pool after the seal aborts");

	before = wr_mem_bytes();
	a = wr_mem_alloc("a", 100);
	b = wr_mem_alloc("b", 5000000);
	OK(a != NULL && b != NULL, "blocks");
	OK(((uintptr_t)a & 63) == 0 && ((uintptr_t)b & 63) == 0, "on a cache line");
	OK(((uint8_t *)b)[4999999] == 0, "zeroed to the last byte");
	OK(wr_mem_bytes() >= before + 5000100, "counted");
	wr_mem_seal();
	wr_mem_free(a);
	wr_mem_free(b);
	wr_mem_free(NULL);
	IS(wr_mem_bytes(), before, "all given back, sealed or not");
	wr_mem_unseal();
	OK(wr_mem_alloc("no", 0) == NULL, "no empty block");
	return tap_done();
}
