/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * base - the words every file speaks: attributes, asserts, small arithmetic.
 *
 * takes    nothing; includes neither DPDK nor another room
 * threads  everything here is pure or inline
 * fails    WR_ASSERT aborts in every build, WR_DCHECK in debug, fuzz and simulation builds.
 *          Neither ever tests bytes from the wire: those get a reason (abi/reason.def).
 */
#ifndef WR_BASE_BASE_H
#define WR_BASE_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WR_CACHE_LINE 64

#define WR_MUST_USE     __attribute__((warn_unused_result))
#define WR_UNUSED       __attribute__((unused))
#define WR_ALIGNED(n)   __attribute__((aligned(n)))
#define WR_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define WR_NORETURN     __attribute__((noreturn))
#define wr_likely(x)    __builtin_expect(!!(x), 1)
#define wr_unlikely(x)  __builtin_expect(!!(x), 0)

#define WR_COUNT_OF(a)                   (sizeof(a) / sizeof((a)[0]))
#define WR_CONTAINER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

/* base/assert.c: one line to stderr by write(2), then abort(). */
WR_NORETURN void wr_assert_fail(const char *what, const char *file, int line);

#define WR_ASSERT(cond)                                                                            \
	do {                                                                                       \
		if (wr_unlikely(!(cond)))                                                          \
			wr_assert_fail(#cond, __FILE__, __LINE__);                                 \
	} while (0)

#ifdef WR_DEBUG
#define WR_DCHECK(cond) WR_ASSERT(cond)
#else
#define WR_DCHECK(cond) ((void)sizeof(!(cond)))
#endif

/*
 * Asks for the line of p. Not __builtin_prefetch: GCC takes a function that does nothing else for
 * one without effect and drops its calls, silently.
 */
static inline void wr_prefetch(const void *p)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetcht0 %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p);
	__asm__ volatile("");
#endif
}

static inline uint64_t wr_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t wr_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint32_t wr_min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t wr_max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Sequence arithmetic, RFC 9293 section 3.4: valid while the two are less than 2^31 apart. */
static inline int32_t wr_seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

#endif
