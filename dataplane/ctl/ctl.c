/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "abi/msg.h"
#include "abi/record.h"
#include "ctl/gens.h"
#include "ctl/looks.h"

#define FDS_MAX         (1 + 2 * WR_WORKERS_MAX) /* below SCM_MAX_FD (253) */
#define MESSAGES_A_POLL 64 /* then the caller's other duties have their turn */

static_assert(FDS_MAX <= 253, "one message must carry every descriptor");

struct wr_ctl {
	struct wr_ctl_args a;
	struct wr_gens gens;
	struct wr_looks looks;
	struct wr_traces traces;
	int lock, listener, conn;
	bool hello, drain;
	uint64_t named; /* generation whose pattern groups the shared names describe */
	/* A COMMIT that waits for the workers. */
	bool committing;
	uint32_t commit_seq;
	uint64_t commit_deadline_ns;
	char path[WR_PATH_LEN + 32], lock_path[WR_PATH_LEN + 32];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- the socket
 * ---------------------------------------------------------------------------------------- */

static int address(const struct wr_ctl *c, struct sockaddr_un *sa)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (strlen(c->path) >= sizeof(sa->sun_path))
		return -ENAMETOOLONG;
	memcpy(sa->sun_path, c->path, strlen(c->path) + 1);
	return 0;
}

/* Is somebody listening there? A socket left over by a process that died refuses. */
static bool answers(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc, e;

	if (fd < 0)
		return false;
	rc = connect(fd, (const struct sockaddr *)sa, sizeof(*sa));
	e = errno;
	close(fd);
	return rc == 0 || e == EAGAIN;
}

static int take_lock(struct wr_ctl *c, char *err, size_t n)
{
	c->lock = open(c->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->lock < 0) {
		snprintf(err, n, "cannot create %s: %s", c->lock_path, strerror(errno));
		return -1;
	}
	if (flock(c->lock, LOCK_EX | LOCK_NB) != 0) {
		snprintf(err, n, "%s is in use: another weir-dataplane runs with this run_dir",
		         c->path);
		return -1;
	}
	return 0;
}

/* The user that packages make for weir-control; nobody else may hand rulesets to a root process. */
static uid_t control_uid(void)
{
	const struct passwd *p = getpwnam("weir");

	return p != NULL ? p->pw_uid : 0;
}

static int open_socket(struct wr_ctl *c, char *err, size_t n)
{
	struct sockaddr_un sa;
	mode_t old;
	int rc;

	if (mkdir(c->a.conf->run_dir, 0750) != 0 && errno != EEXIST) {
		snprintf(err, n, "cannot create %s: %s", c->a.conf->run_dir, strerror(errno));
		return -1;
	}
	if (take_lock(c, err, n) != 0)
		return -1;
	if (address(c, &sa) != 0) {
		snprintf(err, n, "%s is too long for a socket", c->path);
		return -1;
	}
	if (answers(&sa)) {
		snprintf(err, n, "%s is in use: another process listens there", c->path);
		return -1;
	}
	(void)unlink(c->path);
	c->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	old = umask(0177);
	rc = c->listener < 0 ? -1 : bind(c->listener, (const struct sockaddr *)&sa, sizeof(sa));
	umask(old);
	if (rc != 0 || listen(c->listener, 4) != 0) {
		snprintf(err, n, "cannot listen on %s: %s", c->path, strerror(errno));
		return -1;
	}
	if (geteuid() == 0 && control_uid() != 0 && chown(c->path, control_uid(), (gid_t)-1) != 0) {
		snprintf(err, n, "cannot give %s to user weir: %s", c->path, strerror(errno));
		return -1;
	}
	return 0;
}

struct wr_ctl *wr_ctl_new(const struct wr_ctl_args *a, char *err, size_t n)
{
	struct wr_ctl *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		snprintf(err, n, "no memory");
		return NULL;
	}
	c->a = *a;
	c->lock = c->listener = c->conn = -1;
	c->looks = (struct wr_looks){ .a = &c->a, .fd = -1 };
	c->traces = (struct wr_traces){ .a = &c->a, .fd = -1 };
	snprintf(c->path, sizeof(c->path), "%s/dataplane.sock", a->conf->run_dir);
	snprintf(c->lock_path, sizeof(c->lock_path), "%s/dataplane.lock", a->conf->run_dir);
	if (open_socket(c, err, n) != 0)
		goto fail;
	if (wr_gens_init(&c->gens, a->worker, a->conf->nworkers) != 0) {
		snprintf(err, n, "no memory for rulesets");
		goto fail;
	}
	return c;
fail:
	wr_ctl_free(c);
	return NULL;
}

static void hang_up(struct wr_ctl *c)
{
	if (c->conn >= 0)
		close(c->conn);
	c->conn = -1;
	c->hello = false;
	/* What control staged and did not commit is nobody's: its successor starts anew. */
	if (c->gens.store != NULL)
		wr_gens_drop(&c->gens);
	c->committing = false;
	wr_looks_end(&c->looks);
}

void wr_ctl_free(struct wr_ctl *c)
{
	if (c == NULL)
		return;
	hang_up(c);
	wr_traces_free(&c->traces);
	if (c->gens.store != NULL)
		wr_gens_fini(&c->gens);
	if (c->listener >= 0) {
		close(c->listener);
		(void)unlink(c->path);
	}
	/* The lock file stays: whoever removes one may remove another's. */
	if (c->lock >= 0)
		close(c->lock);
	free(c);
}

/* --- messages out
 * --------------------------------------------------------------------------------------- */

static void send_msg(int fd, const struct wr_msg *m, const int *fds, uint32_t nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} u;
	struct iovec iov = { (void *)(uintptr_t)m, sizeof(*m) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds != 0) {
		struct cmsghdr *k;

		memset(&u, 0, sizeof(u));
		h.msg_control = u.space;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		k = CMSG_FIRSTHDR(&h);
		k->cmsg_level = SOL_SOCKET;
		k->cmsg_type = SCM_RIGHTS;
		k->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(k), fds, sizeof(int) * nfds);
	}
	/* A reader that does not read loses its answer, and with it patience: it connects again. */
	(void)sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_result(int fd, uint32_t seq, int error, uint64_t value, const char *text)
{
	struct wr_msg_result r = { .seq = seq, .error = error, .value = value };
	struct wr_msg m;

	if (error != 0)
		snprintf(r.text, sizeof(r.text), "%s", text);
	wr_msg_put(&m, WR_MSG_RESULT, &r, sizeof(r));
	send_msg(fd, &m, NULL, 0);
}

static void answer(struct wr_ctl *c, uint32_t seq, int error, const char *text)
{
	send_result(c->conn, seq, error, 0, text);
}

/* --- messages in
 * ------------------------------------------------------------------------------------------ */

static int do_hello(struct wr_ctl *c, const struct wr_msg *m)
{
	const struct wr_conf *conf = c->a.conf;
	int fds[FDS_MAX];
	uint32_t n = 0;
	struct wr_msg_hello h;
	struct wr_msg_welcome w = { 0 };
	struct wr_msg out;

	if (wr_msg_get(m, WR_MSG_HELLO, &h, sizeof(h)) != 0)
		return -EPROTO;
	if (h.abi != WR_ABI_VERSION || h.nreasons != WR_R_COUNT || h.ncauses != WR_C_COUNT ||
	    h.stats_size != sizeof(struct wr_stats) || h.record_size != sizeof(struct wr_record)) {
		answer(c, h.seq, -EPROTONOSUPPORT,
		       "weir-control and weir-dataplane are of different versions");
		return -EPROTO;
	}
	w.seq = h.seq;
	w.abi = WR_ABI_VERSION;
	w.workers = conf->nworkers;
	w.pid = (uint32_t)getpid();
	w.stats_bytes = c->a.stats_bytes;
	w.record_ring_bytes = c->a.record_bytes;
	w.event_ring_bytes = c->a.event_bytes;
	w.boot_id = c->a.stats->boot_id;
	if (c->gens.live != NULL) {
		w.ruleset_generation = wr_ruleset_generation(c->gens.live);
		memcpy(w.meta_sha256, wr_ruleset_meta_sha256(c->gens.live), 32);
	}
	fds[n++] = c->a.stats_fd;
	for (uint32_t i = 0; i < conf->nworkers; i++) {
		fds[n++] = c->a.record_fd[i];
		fds[n++] = c->a.event_fd[i];
	}
	wr_msg_put(&out, WR_MSG_WELCOME, &w, sizeof(w));
	send_msg(c->conn, &out, fds, n);
	c->hello = true;
	return 0;
}

static void do_shard(struct wr_ctl *c, const struct wr_msg_shard *s, int fd)
{
	char err[200] = "no descriptor came with the shard";
	int rc = -EBADF;

	wr_gens_pushing(&c->gens);
	if (fd >= 0)
		rc = wr_shard_add(c->gens.store, fd, s->bytes, s->sha256, err, sizeof(err));
	answer(c, s->seq, rc, err);
}

static void do_commit(struct wr_ctl *c, const struct wr_msg_shard *s)
{
	int rc;

	if (c->committing) {
		answer(c, s->seq, -EBUSY, "another commit waits for the workers");
		return;
	}
	rc = wr_gens_commit(&c->gens, s->generation);
	if (rc != 0) {
		answer(c, s->seq, rc, "this generation is not staged");
		return;
	}
	c->committing = true;
	c->commit_seq = s->seq;
	c->commit_deadline_ns = now_ns() + WR_CTL_COMMIT_NS;
}

static int do_ruleset(struct wr_ctl *c, const struct wr_msg *m, int fd)
{
	struct wr_msg_shard s;
	char err[200] = "";
	int rc;

	if (wr_msg_get(m, m->type, &s, sizeof(s)) != 0)
		return -EPROTO;
	switch (m->type) {
	case WR_MSG_HAVE:
		wr_gens_pushing(&c->gens);
		answer(c, s.seq, wr_shard_have(c->gens.store, s.sha256) ? 0 : -ENOENT,
		       "not mapped");
		break;
	case WR_MSG_SHARD: do_shard(c, &s, fd); break;
	case WR_MSG_STAGE:
		rc = wr_gens_stage(&c->gens, s.sha256, s.generation, c->a.conf->region, err,
		                   sizeof(err));
		answer(c, s.seq, rc, err);
		break;
	case WR_MSG_COMMIT: do_commit(c, &s); break;
	default:
		wr_gens_drop(&c->gens);
		answer(c, s.seq, 0, "");
		break;
	}
	return 0;
}

static void send_status(struct wr_ctl *c, uint32_t seq)
{
	struct wr_msg_status s = { .seq = seq, .draining = c->drain };
	struct wr_msg out;
	uint32_t behind = wr_gens_behind(&c->gens);

	s.generations = wr_gens_mapped(&c->gens);
	s.oldest_generation = wr_gens_oldest(&c->gens);
	s.draining_uploads = wr_gens_draining_uploads(&c->gens);
	if (c->gens.live != NULL) {
		s.generation = wr_ruleset_generation(c->gens.live);
		memcpy(s.meta_sha256, wr_ruleset_meta_sha256(c->gens.live), 32);
	}
	s.ready = s.generation != 0 && behind == c->gens.nworkers;
	for (uint32_t i = 0; i < c->a.conf->nlinks; i++)
		for (uint32_t side = 0; side < 2; side++)
			s.rx_ok += wr_counter_get(&c->a.stats->dev[i][side].link_up);
	snprintf(s.digest_engine, sizeof(s.digest_engine), "%s",
	         wr_digest_engine_name(
	                 (enum wr_digest_engine)wr_counter_get(&c->a.stats->digest_engine)));
	if (s.generation == 0)
		snprintf(s.text, sizeof(s.text), "no ruleset yet");
	else if (behind < c->gens.nworkers)
		snprintf(s.text, sizeof(s.text), "worker %s has not taken the ruleset yet",
		         c->a.conf->worker[behind].name);
	wr_msg_put(&out, WR_MSG_STATUS_REPLY, &s, sizeof(s));
	send_msg(c->conn, &out, NULL, 0);
}

static int do_simple(struct wr_ctl *c, const struct wr_msg *m)
{
	struct wr_msg_simple s;

	if (wr_msg_get(m, m->type, &s, sizeof(s)) != 0)
		return -EPROTO;
	if (m->type == WR_MSG_STATUS) {
		send_status(c, s.seq);
	} else if (m->type == WR_MSG_DRAIN) {
		for (uint32_t i = 0; i < c->gens.nworkers; i++)
			wr_worker_drain(c->gens.worker[i], s.what != 0);
		c->drain = s.what != 0;
		answer(c, s.seq, 0, "");
	} else {
		answer(c, s.seq, -EOPNOTSUPP, "this dataplane cannot do that");
	}
	return 0;
}

/* --- questions about connections, traces
 * ---------------------------------------------------------------- */

static void send_file(struct wr_ctl *c, const struct wr_msg_result *r, int fd)
{
	struct wr_msg m;

	wr_msg_put(&m, WR_MSG_RESULT, r, sizeof(*r));
	send_msg(c->conn, &m, &fd, 1);
}

static void finish_look(struct wr_ctl *c)
{
	struct wr_msg_result r = { .seq = c->looks.q.seq };

	if (wr_looks_poll(&c->looks, now_ns()) == 0)
		return;
	r.value = c->looks.rows;
	snprintf(r.text, sizeof(r.text), "%s", c->looks.missing);
	send_file(c, &r, c->looks.fd);
	wr_looks_end(&c->looks);
}

static void trace_state(struct wr_ctl *c, uint32_t seq)
{
	struct wr_traces *t = &c->traces;
	struct wr_msg_result r = { .seq = seq, .value = t->frames };

	if (t->finished) {
		snprintf(r.text, sizeof(r.text), "%s", t->missing);
		send_file(c, &r, t->fd);
		wr_traces_free(t);
		return;
	}
	send_result(c->conn, seq, t->running ? -EAGAIN : -ENOENT, t->frames,
	            t->running ? "the trace is running" : "no trace was started");
}

static int do_look(struct wr_ctl *c, const struct wr_msg *m)
{
	struct wr_msg_look q;
	int rc = 0;

	if (wr_msg_get(m, m->type, &q, sizeof(q)) != 0)
		return -EPROTO;
	if (m->type == WR_MSG_QUERY) {
		rc = wr_looks_begin(&c->looks, &q, now_ns());
		if (rc != 0)
			answer(c, q.seq, rc,
			       rc == -EBUSY ? "another question is being answered" : strerror(-rc));
		return 0;
	}
	switch (q.what) {
	case WR_TRACE_START: rc = wr_traces_start(&c->traces, &q, now_ns()); break;
	case WR_TRACE_STATE: trace_state(c, q.seq); return 0;
	case WR_TRACE_STOP: wr_traces_stop(&c->traces); break;
	default: return -EPROTO;
	}
	answer(c, q.seq, rc,
	       rc == -EBUSY        ? "a trace is running already"
	       : rc == -EOPNOTSUPP ? "this dataplane cannot trace"
	       : rc != 0           ? strerror(-rc)
	                           : "");
	return 0;
}

static int dispatch(struct wr_ctl *c, const struct wr_msg *m, int fd)
{
	if (m->len > sizeof(m->body))
		return -EPROTO;
	if (m->type == WR_MSG_HELLO)
		return do_hello(c, m);
	/* Before the versions have been compared no other word means anything. */
	if (!c->hello)
		return -EPROTO;
	switch (m->type) {
	case WR_MSG_HAVE:
	case WR_MSG_SHARD:
	case WR_MSG_STAGE:
	case WR_MSG_COMMIT:
	case WR_MSG_DROP: return do_ruleset(c, m, fd);
	case WR_MSG_STATUS:
	case WR_MSG_DRAIN:
	case WR_MSG_WIRE: return do_simple(c, m);
	case WR_MSG_QUERY:
	case WR_MSG_TRACE: return do_look(c, m);
	default: return -EPROTO;
	}
}

/* Takes the descriptors out of h: the first stays open in *fd, any other is closed. */
static void take_fds(struct msghdr *h, int *fd)
{
	*fd = -1;
	for (struct cmsghdr *k = CMSG_FIRSTHDR(h); k != NULL; k = CMSG_NXTHDR(h, k)) {
		size_t n;

		if (k->cmsg_level != SOL_SOCKET || k->cmsg_type != SCM_RIGHTS)
			continue;
		n = (k->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int one;

			memcpy(&one, CMSG_DATA(k) + i * sizeof(int), sizeof(one));
			if (*fd < 0)
				*fd = one;
			else
				close(one);
		}
	}
}

/* 1: a message was handled; 0: none is there; negative: the connection is over. */
static int receive(struct wr_ctl *c)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 4)];
	} u;
	struct wr_msg m;
	struct iovec iov = { &m, sizeof(m) };
	struct msghdr h = { .msg_iov = &iov,
		            .msg_iovlen = 1,
		            .msg_control = u.space,
		            .msg_controllen = sizeof(u.space) };
	ssize_t n = recvmsg(c->conn, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd, rc;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EIO;
	take_fds(&h, &fd);
	if (n != sizeof(m) || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
		rc = n == 0 ? -EPIPE : -EPROTO;
	else
		rc = dispatch(c, &m, fd);
	if (fd >= 0)
		close(fd);
	return rc < 0 ? rc : 1;
}

static bool trusted(int fd)
{
	struct ucred u;
	socklen_t n = sizeof(u);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n) == 0 &&
	       (u.uid == 0 || u.uid == geteuid() || u.uid == control_uid());
}

static void welcome(struct wr_ctl *c)
{
	int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (c->conn < 0 && trusted(fd)) {
		c->conn = fd;
		return;
	}
	if (c->conn >= 0)
		send_result(fd, 0, -EBUSY, 0, "another weir-control is connected");
	else
		send_result(fd, 0, -EACCES, 0,
		            "only root and the dataplane's own user may connect");
	close(fd);
}

static void finish_commit(struct wr_ctl *c)
{
	char text[200];
	uint32_t behind;

	if (!c->committing)
		return;
	behind = wr_gens_behind(&c->gens);
	if (behind == c->gens.nworkers) {
		send_result(c->conn, c->commit_seq, 0, wr_ruleset_generation(c->gens.live), "");
	} else if (now_ns() >= c->commit_deadline_ns) {
		snprintf(text, sizeof(text), "worker %s has not taken the ruleset: does it turn?",
		         c->a.conf->worker[behind].name);
		answer(c, c->commit_seq, -ETIMEDOUT, text);
	} else {
		return;
	}
	c->committing = false;
}

/* For the metrics: which media types the groups of the live ruleset stand for. */
static void name_groups(struct wr_ctl *c)
{
	struct wr_stats_head *h = c->a.stats;
	uint64_t live = wr_ctl_generation(c);

	if (live == 0 || live == c->named)
		return;
	c->named = live;
	for (uint32_t g = 0; g < WR_SCAN_GROUPS; g++) {
		h->scan_group[g][0] = '\0';
		if (g < wr_ruleset_ngroups(c->gens.live))
			wr_ruleset_group_name(c->gens.live, g, h->scan_group[g],
			                      sizeof(h->scan_group[g]));
	}
}

void wr_ctl_poll(struct wr_ctl *c, int timeout_ms)
{
	struct pollfd p[2] = { { .fd = c->conn, .events = POLLIN },
		               { .fd = c->listener, .events = POLLIN } };
	int rc = 1;

	/* Workers do not wake us: while one is waited for, look often. */
	if (c->committing || c->looks.asking || c->traces.running)
		timeout_ms = timeout_ms < 1 ? timeout_ms : 1;
	(void)poll(p, 2, timeout_ms);
	for (int i = 0; i < MESSAGES_A_POLL && rc > 0 && c->conn >= 0; i++)
		rc = receive(c);
	if (rc < 0)
		hang_up(c);
	if ((p[1].revents & POLLIN) != 0)
		welcome(c);
	finish_commit(c);
	finish_look(c);
	wr_traces_poll(&c->traces, now_ns());
	wr_gens_sweep(&c->gens);
	wr_counter_set(&c->a.stats->ruleset_mapped, wr_gens_mapped(&c->gens));
	name_groups(c);
	wr_counter_set(&c->a.stats->draining_uploads, wr_gens_draining_uploads(&c->gens));
}

bool wr_ctl_draining(const struct wr_ctl *c)
{
	return c->drain;
}

uint64_t wr_ctl_generation(const struct wr_ctl *c)
{
	return c->gens.live != NULL ? wr_ruleset_generation(c->gens.live) : 0;
}
