/* SPDX-License-Identifier: BSD-3-Clause */
/* peer - a dataplane's ctl in this process, and control's end of the socket, for tests and fuzzing.
 */
#ifndef WR_TESTS_CTL_PEER_H
#define WR_TESTS_CTL_PEER_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/msg.h"
#include "abi/record.h"
#include "conf_sample.h"
#include "ctl/ctl.h"
#include "fakes.h"

struct peer {
	struct wr_conf conf;
	struct wr_stats_head head;
	struct wr_worker *worker[2];
	struct wr_stats stats[2];
	struct wr_ctl_args a;
	struct wr_ctl *ctl;
	int fd;
	uint32_t seq;
};

/* The writer of traces, where a test has one. */
static void peer_tracer(struct wr_ctl_args *a);

static inline int peer_memfd(void)
{
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd >= 0 && ftruncate(fd, 4096) == 0 ? fd : -1;
}

static inline void peer_stop(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	wr_ctl_free(p->ctl);
	close(p->a.stats_fd);
	for (unsigned i = 0; i < 2; i++) {
		close(p->a.record_fd[i]);
		close(p->a.event_fd[i]);
		wr_worker_free(p->worker[i]);
	}
}

static inline struct wr_ctl *peer_start(struct peer *p, const char *dir, char *err, size_t n)
{
	memset(p, 0, sizeof(*p));
	sample_conf(&p->conf);
	snprintf(p->conf.run_dir, sizeof(p->conf.run_dir), "%s", dir);
	p->a.conf = &p->conf;
	p->a.worker = p->worker;
	p->a.stats = &p->head;
	p->head.boot_id = 77;
	peer_tracer(&p->a);
	p->a.stats_fd = peer_memfd();
	p->a.stats_bytes = 4096;
	for (unsigned i = 0; i < 2; i++) {
		struct wr_worker_args w = { .conf = &p->conf, .id = i, .stats = &p->stats[i] };

		p->worker[i] = wr_worker_new(&w, err, n);
		p->a.record_fd[i] = peer_memfd();
		p->a.event_fd[i] = peer_memfd();
	}
	p->fd = -1;
	p->ctl = wr_ctl_new(&p->a, err, n);
	if (p->ctl == NULL)
		peer_stop(p);
	return p->ctl;
}

static inline int peer_connect(const struct peer *p)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.80s/dataplane.sock", p->conf.run_dir);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline void peer_turn(struct peer *p)
{
	for (unsigned i = 0; i < 2; i++)
		(void)wr_worker_turn(p->worker[i], 1, 1);
}

static inline ssize_t peer_send(int fd, const void *p, size_t n, int pass)
{
	char space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)p, n };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (pass >= 0) {
		struct cmsghdr *k;

		h.msg_control = space;
		h.msg_controllen = sizeof(space);
		k = CMSG_FIRSTHDR(&h);
		k->cmsg_level = SOL_SOCKET;
		k->cmsg_type = SCM_RIGHTS;
		k->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(k), &pass, sizeof(pass));
	}
	return sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Bytes received: 256, 0 = hung up, -1 = nothing there. Descriptors are counted and closed. */
static inline ssize_t peer_recv(int fd, struct wr_msg *m, int *nfds)
{
	char space[CMSG_SPACE(sizeof(int) * 64)];
	struct iovec iov = { m, sizeof(*m) };
	struct msghdr h = { .msg_iov = &iov,
		            .msg_iovlen = 1,
		            .msg_control = space,
		            .msg_controllen = sizeof(space) };
	ssize_t n = recvmsg(fd, &h, MSG_DONTWAIT);
	int fds = 0;

	if (n >= 0) {
		for (struct cmsghdr *k = CMSG_FIRSTHDR(&h); k != NULL; k = CMSG_NXTHDR(&h, k)) {
			size_t c = (k->cmsg_len - CMSG_LEN(0)) / sizeof(int);

			for (size_t i = 0; i < c; i++) {
				int one;

				memcpy(&one, CMSG_DATA(k) + i * sizeof(int), sizeof(one));
				close(one);
				fds++;
			}
		}
	}
	if (nfds != NULL)
		*nfds = fds;
	return n;
}

static inline void peer_hello_msg(struct wr_msg *m, uint32_t seq)
{
	struct wr_msg_hello h = { .seq = seq,
		                  .abi = WR_ABI_VERSION,
		                  .nreasons = WR_R_COUNT,
		                  .ncauses = WR_C_COUNT,
		                  .stats_size = sizeof(struct wr_stats),
		                  .record_size = sizeof(struct wr_record) };

	wr_msg_put(m, WR_MSG_HELLO, &h, sizeof(h));
}

/* Connects and says hello; false when it is not welcomed with five descriptors. */
static inline bool peer_hello(struct peer *p, struct wr_msg_welcome *w)
{
	struct wr_msg m;
	int nfds;

	if (p->fd >= 0)
		close(p->fd);
	wr_ctl_poll(p->ctl, 0);
	p->fd = peer_connect(p);
	wr_ctl_poll(p->ctl, 0);
	peer_hello_msg(&m, ++p->seq);
	if (peer_send(p->fd, &m, sizeof(m), -1) != sizeof(m))
		return false;
	wr_ctl_poll(p->ctl, 0);
	return peer_recv(p->fd, &m, &nfds) == sizeof(m) && nfds == 5 &&
	       wr_msg_get(&m, WR_MSG_WELCOME, w, sizeof(*w)) == 0 && w->seq == p->seq;
}

#define PEER_NOTHING 9999 /* no answer came */

/* One ruleset message; the answer's error, with its text in text (200 bytes). */
static inline int peer_ask(struct peer *p, uint32_t type, uint8_t name, uint64_t generation, int fd,
                           char *text)
{
	struct wr_msg_shard s = { .seq = ++p->seq, .bytes = 64, .generation = generation };
	struct wr_msg_result r;
	struct wr_msg m;

	memset(s.sha256, name, 32);
	wr_msg_put(&m, type, &s, sizeof(s));
	if (peer_send(p->fd, &m, sizeof(m), fd) != sizeof(m))
		return -EPIPE;
	wr_ctl_poll(p->ctl, 0);
	if (peer_recv(p->fd, &m, NULL) != sizeof(m))
		return PEER_NOTHING;
	if (wr_msg_get(&m, WR_MSG_RESULT, &r, sizeof(r)) != 0 || r.seq != p->seq)
		return -EPROTO;
	if (text != NULL)
		memcpy(text, r.text, sizeof(r.text));
	return r.error;
}

/* A shard whose first bytes are its name, as the fakes want it. */
static inline int peer_shard(uint8_t name)
{
	int fd = memfd_create("shard", MFD_CLOEXEC);
	uint8_t b[64];

	memset(b, name, sizeof(b));
	return write(fd, b, sizeof(b)) == sizeof(b) ? fd : -1;
}

#endif
