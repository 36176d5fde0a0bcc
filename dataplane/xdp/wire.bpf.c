/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * wire - the XDP program of one port of a link: the dataplane's socket while it lives, else policy.
 *
 * takes    every frame that the port receives
 * gives    it to the AF_XDP socket of its queue, to the other port, or to nobody
 * limits   WR_WIRE_QUEUES queues, WR_WIRE_WORKERS workers behind one queue
 * see      abi/wire.h, docs/operate/fail-to-wire.md, tests/bpf
 *
 * It touches no byte of the frame and no kernel structure, so it needs neither packet bounds nor
 * relocations against vmlinux: one object runs on every kernel that has AF_XDP and BPF atomics
 * (5.12).
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "abi/wire.h"

/* Set by the loader before the program is loaded. */
const volatile struct wr_wire_port port;

/* The driver of the DPDK port looks for this very name. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, WR_WIRE_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wr_wire_shared);
} wire SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct wr_wire_count);
} count SEC(".maps");

static __always_inline int beat_is_fresh(struct wr_wire_shared *w, struct wr_wire_queue *q)
{
	__u64 now = bpf_ktime_get_ns(), limit = w->stall_limit_ns;
	__u32 n = q->nworkers;

	for (__u32 i = 0; i < WR_WIRE_WORKERS; i++) {
		if (i >= n)
			break;
		/* Two-sided: a beat from another CPU may lie just ahead, one far ahead is no beat.
		 */
		if (now - w->beat[q->worker[i] % WR_WIRE_WORKERS].beat_ns + limit > 2 * limit)
			return 0;
	}
	return 1;
}

/* Leaves INSPECT unless another CPU or a person was faster; the word that stands is returned. */
static __always_inline __u64 leave(struct wr_wire_shared *w, __u64 word, __u8 state,
                                   enum wr_wire_cause cause)
{
	__u64 next =
	        wr_wire_left(word, state == WR_WIRE_OPEN ? WR_WIRE_OPEN : WR_WIRE_CLOSED, cause);
	__u64 was = __sync_val_compare_and_swap(&w->decision, word, next);

	if (was != word)
		return was;
	w->changed_ns = bpf_ktime_get_ns();
	if (state == WR_WIRE_OPEN)
		__sync_fetch_and_add(&w->opened, 1);
	else
		__sync_fetch_and_add(&w->closed, 1);
	return next;
}

static __always_inline int by_policy(struct wr_wire_count *c, __u64 word, __u64 bytes)
{
	if (wr_wire_state_of(word) == WR_WIRE_OPEN) {
		c->open_frames++;
		c->open_bytes += bytes;
		return (int)bpf_redirect(port.peer, 0);
	}
	/* Also when another CPU brought INSPECT back between two loads: the sender repeats the
	 * frame. */
	c->closed_frames++;
	c->closed_bytes += bytes;
	return XDP_DROP;
}

SEC("xdp")
int weir_wire(struct xdp_md *ctx)
{
	__u32 zero = 0, side = port.side, n = ctx->rx_queue_index;
	__u64 bytes = ctx->data_end - ctx->data;
	struct wr_wire_shared *w = bpf_map_lookup_elem(&wire, &zero);
	struct wr_wire_count *c = bpf_map_lookup_elem(&count, &side);

	if (!w || !c)
		return XDP_DROP; /* array maps always have their entries; the verifier wants to hear
		                    it */

	__u64 word = *(volatile __u64 *)&w->decision;

	if (wr_wire_state_of(word) != WR_WIRE_INSPECT)
		return by_policy(c, word, bytes);

	/* Death before stall: a dead process has no beat either, and its policy is its own. */
	if (n < WR_WIRE_QUEUES && w->queue[n].nworkers) {
		if (bpf_redirect_map(&xsks_map, n, XDP_PASS) != XDP_REDIRECT)
			return by_policy(c, leave(w, word, w->on_process_death, WR_WIRE_DEATH),
			                 bytes);
		if (!beat_is_fresh(w, &w->queue[n]))
			return by_policy(c, leave(w, word, w->on_worker_stall, WR_WIRE_STALL),
			                 bytes);
		c->socket_frames++;
		c->socket_bytes += bytes;
		return XDP_REDIRECT;
	}

	/* A queue outside the configuration: to pass it on would be a way around the inspection. */
	c->unserved_frames++;
	c->unserved_bytes += bytes;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
