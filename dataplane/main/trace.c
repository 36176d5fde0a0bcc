/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file of a packet trace, written by the main lcore: pcapng, one interface per port.
 */
#include <errno.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_pcapng.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "main/main.h"
#include "mem/mem.h"

#define TRACE_MBUFS 63u
/* Block header and options in front of the frame, padding and the trailing length behind it. */
#define TRACE_ROOM (WR_TRACE_SNAP + 512u)

struct wr_trace_file {
	rte_pcapng_t *out;
};

int wr_main_trace_pool(struct wr_boot *b, char *err)
{
	b->trace_frames = wr_mem_mbufs_eal("trace", TRACE_MBUFS, TRACE_ROOM, SOCKET_ID_ANY);
	b->trace_blocks = wr_mem_mbufs_eal("trace_out", TRACE_MBUFS,
	                                   rte_pcapng_mbuf_size(TRACE_ROOM), SOCKET_ID_ANY);
	if (b->trace_frames != NULL && b->trace_blocks != NULL)
		return 0;
	snprintf(err, WR_ERR, "no memory for packet traces: %s (more hugepages)",
	         rte_strerror(rte_errno));
	return -ENOMEM;
}

int wr_main_trace_open(void *ctx, int fd, struct wr_trace_file **out)
{
	struct wr_trace_file *f = calloc(1, sizeof(*f));

	(void)ctx;
	if (f == NULL) {
		close(fd);
		return -ENOMEM;
	}
	f->out = rte_pcapng_fdopen(fd, NULL, NULL, "weir-dataplane " WR_VERSION, NULL);
	if (f->out == NULL) {
		close(fd);
		free(f);
		return -EIO;
	}
	*out = f;
	return 0;
}

#define EPB_TIME 12u /* in an enhanced packet block: its time, two words, high one first */

/*
 * The library turns cycles since its start into nanoseconds by a product of 64 bits, which wraps
 * after a few seconds. So the block gets the time from here: what the clock says now, less the
 * cycles since the frame was copied, and those are few.
 */
static void put_time(struct rte_mbuf *block, uint64_t tsc)
{
	uint64_t hz = rte_get_tsc_hz(), ago = rte_rdtsc() - tsc, ns;
	uint32_t word[2];
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	ago = ago / (hz / 1000000) * 1000;
	ns = ago < ns ? ns - ago : 0;
	word[0] = (uint32_t)(ns >> 32);
	word[1] = (uint32_t)ns;
	memcpy(rte_pktmbuf_mtod_offset(block, char *, EPB_TIME), word, sizeof(word));
}

int wr_main_trace_frame(void *ctx, struct wr_trace_file *f, uint32_t worker,
                        const struct wr_trace_frame *t)
{
	struct wr_boot *b = ctx;
	const struct wr_conf_worker *w = &b->conf->worker[worker];
	struct rte_mbuf *m = rte_pktmbuf_alloc(b->trace_frames), *block = NULL;
	char *p = m != NULL ? rte_pktmbuf_append(m, (uint16_t)t->cap) : NULL;
	ssize_t n = -1;

	if (p != NULL) {
		memcpy(p, t + 1, t->cap);
		/* The length on the wire; a copy may hold less of it. */
		m->pkt_len = t->len;
		block = rte_pcapng_copy(wr_eth_id(b->eth[w->link][t->side & 1], w->queue), w->queue,
		                        m, b->trace_blocks, t->cap, t->tsc,
		                        t->out ? RTE_PCAPNG_DIRECTION_OUT
		                               : RTE_PCAPNG_DIRECTION_IN);
		m->pkt_len = t->cap;
	}
	if (block != NULL) {
		put_time(block, t->tsc);
		n = rte_pcapng_write_packets(f->out, &block, 1);
	}
	rte_pktmbuf_free(block);
	rte_pktmbuf_free(m);
	return n > 0 ? 0 : -ENOSPC;
}

void wr_main_trace_close(void *ctx, struct wr_trace_file *f)
{
	(void)ctx;
	rte_pcapng_close(f->out);
	free(f);
}
