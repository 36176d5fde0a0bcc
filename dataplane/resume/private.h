/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside resume/ only: the tables of one worker. */
#ifndef WR_RESUME_PRIVATE_H
#define WR_RESUME_PRIVATE_H

#include "resume/resume.h"

#define BAD_WAYS 8u

struct spool_block {
	uint32_t next, used;
	uint64_t pad;
	uint8_t b[WR_RESUME_BLOCK];
};
static_assert(sizeof(struct spool_block) == 16384, "blocks fill pages");

struct bad_key {
	uint64_t key[2];
	uint64_t at_ns; /* 0 = free */
};

struct list { /* of sessions, the longest unused first */
	uint32_t head, tail;
};

struct wr_resume {
	struct wr_pool *sessions, *parts, *blocks; /* blocks: NULL without a spool */
	uint32_t *by_key, *by_part;                /* hash heads */
	uint32_t key_mask, part_mask;
	struct bad_key *bad;
	uint32_t bad_sets;
	struct list lru[2]; /* unconfirmed, confirmed */
};

#endif
