/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * room - what the files of this room share: slots, waiting pieces, lists. Private.
 */
#ifndef WR_DIGEST_ROOM_H
#define WR_DIGEST_ROOM_H

#include "digest/digest.h"
#include "digest/kernel.h"

/* Pieces that wait in one worker. Lanes fill within a turn or two of 32 KiB, so a few dozen wait.
 */
#define WR_DIGEST_NODES 4096u

enum slot_phase { SLOT_FREE, SLOT_OPEN, SLOT_ENDED, SLOT_DONE };

struct slot {
	uint32_t h[WR_DIGEST_H_WORDS];
	uint64_t bytes;    /* taken into h or buf */
	uint64_t since_ns; /* when it joined its list: the oldest piece is not older */
	uint32_t head, tail;
	uint32_t prev, next; /* neighbours in the list it is in */
	uint32_t queued; /* bytes of the pieces that wait; not empty: fill + queued >= a block */
	uint8_t npieces, fill, algos, phase;
	uint8_t listed, pad[7];
	uint8_t buf[WR_DIGEST_BLOCK];
};
static_assert(sizeof(struct slot) == 192, "three lines: values, queue, partial block");

struct node {
	struct wr_piece piece;
	uint32_t next;
};

struct list { /* of slots, oldest first */
	uint32_t head, tail, n;
};

struct wr_digest {
	struct slot *slot; /* [0] is never given out */
	struct node *node;
	uint32_t nslots, free_slot, free_node, nwaiting;
	struct wr_digest_plan plan;
	wr_digest_kernel *kernel[WR_DK_COUNT];
	struct list open[WR_DIGEST_MASKS], ended[WR_DIGEST_MASKS], done;
	struct wr_digest_batch batch;
	/* Seam blocks of one batch; slot.buf serves the first seam of each lane. */
	uint8_t seam[WR_DIGEST_LANES][8][WR_DIGEST_BLOCK];
	struct rte_mbuf *drop[WR_DIGEST_LANES * WR_DIGEST_QUEUE];
	uint32_t lane_slot[WR_DIGEST_LANES];
	const uint8_t *tail[WR_DIGEST_LANES]; /* where each lane's last partial block lies */
	uint32_t ndrop;
	uint32_t idle_h[WR_DIGEST_H_WORDS]; /* what columns without an upload work on */
};

/* choose_boot.c */
void wr_digest_plan_of(enum wr_digest_engine e, struct wr_digest_plan *plan);
void wr_digest_kernels(wr_digest_kernel *out[WR_DK_COUNT]);
/* The engine that e means on this CPU. */
enum wr_digest_engine wr_digest_usable(enum wr_digest_engine e);

#endif
