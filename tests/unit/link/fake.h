/* SPDX-License-Identifier: BSD-3-Clause */
/* fake - a dataplane's end of the control socket, in a thread, with faults to order. */
#ifndef WR_TESTS_FAKE_H
#define WR_TESTS_FAKE_H

#include "abi/record.h"
#include "link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum fault {
	FAULT_NONE,
	FAULT_ABI,    /* WELCOME of another build */
	FAULT_SEALS,  /* areas that could shrink */
	FAULT_FDS,    /* one area too few */
	FAULT_RING,   /* a ring that is none */
	FAULT_STATS,  /* stats of another build */
	FAULT_BUSY,   /* another control is connected */
	FAULT_SEQ,    /* answers to something else */
	FAULT_SHORT,  /* a datagram that is too short */
	FAULT_STAGE,  /* refuses the ruleset */
	FAULT_EAGAIN, /* as many generations as fit, for a while */
};

struct fake {
	char dir[80];
	int listener, conn;
	pthread_t thread;
	_Atomic bool stop;
	_Atomic enum fault fault;
	uint64_t boot_id;
	uint32_t workers;
	int stats_fd, ring_fd[2];
	struct wr_stats_head *stats;
	struct wr_ring *ring[2];
	uint8_t meta[32], have[4][32];
	unsigned nhave;
	_Atomic bool draining;
	_Atomic unsigned hellos, shards, stages, commits, drops, unsealed, wrong_hash, again;
};

static int area(size_t size, bool seal, void **p)
{
	int fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	WR_ASSERT(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	*p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	WR_ASSERT(*p != MAP_FAILED);
	if (seal)
		WR_ASSERT(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return fd;
}

static void fake_areas(struct fake *f)
{
	enum fault x = atomic_load(&f->fault);
	size_t n = sizeof(struct wr_stats_head) + f->workers * sizeof(struct wr_stats);
	void *p;

	f->stats_fd = area(n, x != FAULT_SEALS, &p);
	f->stats = p;
	f->stats->magic = WR_STATS_MAGIC;
	f->stats->abi = WR_ABI_VERSION;
	f->stats->workers = f->workers;
	f->stats->stats_size = sizeof(struct wr_stats) + (x == FAULT_STATS ? 64 : 0);
	f->stats->boot_id = f->boot_id;
	for (int i = 0; i < 2; i++) {
		f->ring_fd[i] = area(wr_ring_bytes(8192), true, &p);
		f->ring[i] = p;
		wr_ring_init(f->ring[i], 8192);
		if (x == FAULT_RING)
			f->ring[i]->size = 1ull << 40;
	}
}

static void reply(struct fake *f, uint32_t type, const void *body, size_t n, const int *fds,
                  unsigned nfds)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int) * 8)];
	} c = { 0 };
	struct wr_msg m;
	struct iovec iov = { &m, sizeof(m) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	wr_msg_put(&m, type, body, n);
	if (atomic_load(&f->fault) == FAULT_SHORT)
		iov.iov_len = 100;
	if (nfds != 0) {
		mh.msg_control = c.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		CMSG_FIRSTHDR(&mh)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&mh)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&mh)->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), fds, sizeof(int) * nfds);
	}
	if (sendmsg(f->conn, &mh, MSG_NOSIGNAL) < 0)
		return;
}

static void result(struct fake *f, uint32_t seq, int error, const char *text)
{
	struct wr_msg_result r = { .seq = seq, .error = error };

	snprintf(r.text, sizeof(r.text), "%s", text);
	reply(f, WR_MSG_RESULT, &r, sizeof(r), NULL, 0);
}

static void welcome(struct fake *f, uint32_t seq)
{
	enum fault x = atomic_load(&f->fault);
	struct wr_msg_welcome w = { .seq = seq,
		                    .abi = WR_ABI_VERSION + (x == FAULT_ABI),
		                    .workers = f->workers,
		                    .pid = (uint32_t)getpid(),
		                    .boot_id = f->boot_id };
	int fds[3] = { f->stats_fd, f->ring_fd[0], f->ring_fd[1] };

	atomic_fetch_add(&f->hellos, 1);
	if (x == FAULT_BUSY)
		result(f, 0, -EBUSY, "another weir-control is connected");
	else
		reply(f, WR_MSG_WELCOME, &w, sizeof(w), fds, x == FAULT_FDS ? 2 : 3);
}

/* What a real dataplane checks: seals, and the hash of the bytes. */
static int take_shard(struct fake *f, const struct wr_msg_shard *s, int fd)
{
	const int want = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	uint8_t sha256[32];
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) != 0 || (uint64_t)st.st_size != s->bytes)
		return -EINVAL;
	if ((fcntl(fd, F_GET_SEALS) & want) != want)
		atomic_fetch_add(&f->unsealed, 1);
	p = mmap(NULL, s->bytes, PROT_READ, MAP_SHARED, fd, 0);
	crypto_hash_sha256(sha256, p, s->bytes);
	munmap(p, s->bytes);
	if (memcmp(sha256, s->sha256, 32) != 0)
		atomic_fetch_add(&f->wrong_hash, 1);
	memcpy(f->have[f->nhave++ % 4], s->sha256, 32);
	atomic_fetch_add(&f->shards, 1);
	return 0;
}

static void on_shard_msg(struct fake *f, uint32_t type, const struct wr_msg_shard *s, int fd)
{
	enum fault x = atomic_load(&f->fault);
	int rc = 0;

	switch (type) {
	case WR_MSG_HAVE:
		rc = -ENOENT;
		for (unsigned i = 0; i < 4; i++)
			if (memcmp(f->have[i], s->sha256, 32) == 0)
				rc = 0;
		break;
	case WR_MSG_SHARD: rc = take_shard(f, s, fd); break;
	case WR_MSG_STAGE:
		atomic_fetch_add(&f->stages, 1);
		if (x == FAULT_EAGAIN && atomic_fetch_add(&f->again, 1) < 2)
			rc = -EAGAIN;
		if (x == FAULT_STAGE)
			rc = -EINVAL;
		break;
	case WR_MSG_COMMIT:
		atomic_fetch_add(&f->commits, 1);
		memcpy(f->meta, s->sha256, 32);
		break;
	case WR_MSG_DROP: atomic_fetch_add(&f->drops, 1); break;
	default: break;
	}
	result(f, s->seq, rc, rc == -EINVAL ? "the ruleset is not to our taste" : "");
}

/* Two connections whose names came from the wire; a trace that is over at once. */
static void look(struct fake *f, uint32_t type, const struct wr_msg_look *q)
{
	static const char pcapng[] = "\x0a\x0d\x0d\x0a";
	struct wr_msg_result r = { .seq = q->seq, .value = 2 };
	struct wr_look_row row[2] = { 0 };
	int fd = memfd_create("look", MFD_CLOEXEC);
	ssize_t n;

	if (type == WR_MSG_QUERY) {
		memcpy(row[0].client, (uint8_t[16]){ [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 }, 16);
		row[0].client_port = 51544;
		row[0].phase = WR_LOOK_INSPECTED;
		row[0].wait = WR_LOOK_WAIT_TAIL;
		memcpy(row[0].method, "PUT", 3);
		memset(row[0].target, '\\', sizeof(row[0].target)); /* no end, and no kindness */
		row[0].target[1] = '\n';
		row[0].target[2] = (char)0xff;
		row[1].phase = row[1].wait = 200;
		n = write(fd, row, atomic_load(&f->fault) == FAULT_FDS ? 7 : sizeof(row));
	} else {
		n = write(fd, pcapng, sizeof(pcapng) - 1);
	}
	if (type == WR_MSG_TRACE && q->what != WR_TRACE_STATE)
		reply(f, WR_MSG_RESULT, &r, sizeof(r), NULL, 0);
	else if (n > 0)
		reply(f, WR_MSG_RESULT, &r, sizeof(r), &fd, 1);
	close(fd);
}

static void serve(struct fake *f, const struct wr_msg *m, int fd)
{
	struct wr_msg_simple q;
	struct wr_msg_look k;
	struct wr_msg_status st = { 0 };
	struct wr_msg_shard s;
	uint32_t seq;

	memcpy(&seq, m->body, sizeof(seq));
	if (atomic_load(&f->fault) == FAULT_SEQ && m->type != WR_MSG_HELLO)
		seq += 7;
	if (m->type == WR_MSG_HELLO) {
		welcome(f, seq);
	} else if (m->type == WR_MSG_STATUS) {
		st.seq = seq;
		st.ready = 1;
		st.draining = atomic_load(&f->draining);
		st.generation = atomic_load(&f->commits);
		memcpy(st.meta_sha256, f->meta, 32);
		reply(f, WR_MSG_STATUS_REPLY, &st, sizeof(st), NULL, 0);
	} else if (wr_msg_get(m, m->type, &s, sizeof(s)) == 0) {
		on_shard_msg(f, m->type, &s, fd);
	} else if (wr_msg_get(m, m->type, &k, sizeof(k)) == 0) {
		look(f, m->type, &k);
	} else if (wr_msg_get(m, m->type, &q, sizeof(q)) == 0) {
		atomic_store(&f->draining, m->type == WR_MSG_DRAIN && q.what != 0);
		result(f, seq, 0, "");
	}
}

static void *fake_run(void *arg)
{
	struct fake *f = arg;

	while (!atomic_load(&f->stop)) {
		f->conn = accept(f->listener, NULL, NULL);
		while (f->conn >= 0) {
			struct wr_msg m;
			struct iovec iov = { &m, sizeof(m) };
			char buf[CMSG_SPACE(sizeof(int))];
			struct msghdr mh = { .msg_iov = &iov,
				             .msg_iovlen = 1,
				             .msg_control = buf,
				             .msg_controllen = sizeof(buf) };
			int fd = -1;

			if (recvmsg(f->conn, &mh, 0) <= 0 || atomic_load(&f->stop))
				break;
			if (CMSG_FIRSTHDR(&mh) != NULL)
				memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(fd));
			serve(f, &m, fd);
			if (fd >= 0)
				close(fd);
		}
		if (f->conn >= 0)
			close(f->conn);
		f->conn = -1;
	}
	return NULL;
}

static void fake_start(struct fake *f, uint64_t boot_id, enum fault fault)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	f->boot_id = boot_id;
	f->workers = 1;
	f->conn = -1;
	atomic_store(&f->stop, false);
	atomic_store(&f->fault, fault);
	memset(f->meta, 0, sizeof(f->meta));
	memset(f->have, 0, sizeof(f->have));
	fake_areas(f);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/dataplane.sock", f->dir);
	unlink(sa.sun_path);
	f->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	WR_ASSERT(bind(f->listener, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	WR_ASSERT(listen(f->listener, 4) == 0);
	WR_ASSERT(pthread_create(&f->thread, NULL, fake_run, f) == 0);
}

static void fake_stop(struct fake *f)
{
	atomic_store(&f->stop, true);
	shutdown(f->listener, SHUT_RDWR);
	if (f->conn >= 0)
		shutdown(f->conn, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->listener);
	close(f->stats_fd);
	close(f->ring_fd[0]);
	close(f->ring_fd[1]);
}

#endif
