/* SPDX-License-Identifier: BSD-3-Clause */
/* The connection: one thread that makes it again for ever, and requests in step. */
#include "link/private.h"

#include "abi/record.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS  200
#define STATUS_MS 250
#define HELLO_MS  5000 /* the main lcore may be busy starting ports */
#define ANSWER_MS 5000

static uint64_t real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void set_state(struct wr_link *l, bool connected, const char *why)
{
	pthread_mutex_lock(&l->lock);
	if (l->status.connected != connected)
		l->status.since_ns = real_ns();
	l->status.connected = connected;
	if (!connected) {
		l->status.synced = false;
		memset(&l->status.last, 0, sizeof(l->status.last));
	}
	snprintf(l->status.error, sizeof(l->status.error), "%s", why);
	pthread_mutex_unlock(&l->lock);
}

void wr_link_drop(struct wr_link *l, const char *why)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	set_state(l, false, why);
}

static int send_msg(int fd, const struct wr_msg *m, int pass)
{
	struct iovec iov = { (void *)(uintptr_t)m, sizeof(*m) };
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} c = { 0 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (pass >= 0) {
		struct cmsghdr *h;

		mh.msg_control = c.buf;
		mh.msg_controllen = sizeof(c.buf);
		h = CMSG_FIRSTHDR(&mh);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &pass, sizeof(int));
	}
	do {
		n = sendmsg(fd, &mh, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(*m) ? 0 : -EPROTO;
}

/* Receives one datagram and its descriptors; what does not fit is closed and refused. */
static int recv_msg(int fd, struct wr_msg *m, int *fds, unsigned *nfds)
{
	struct iovec iov = { m, sizeof(*m) };
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int) * WR_LINK_FDS)];
	} c;
	struct msghdr mh = { .msg_iov = &iov,
		             .msg_iovlen = 1,
		             .msg_control = c.buf,
		             .msg_controllen = sizeof(c.buf) };
	ssize_t n;

	*nfds = 0;
	do {
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -EPIPE;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&mh); h != NULL; h = CMSG_NXTHDR(&mh, h)) {
		size_t k = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < k; i++) {
			int got;

			memcpy(&got, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (*nfds < WR_LINK_FDS)
				fds[(*nfds)++] = got;
			else
				close(got);
		}
	}
	return n == (ssize_t)sizeof(*m) && (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 ? 0
	                                                                                  : -EPROTO;
}

static void close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

int wr_link_request(struct wr_link *l, const struct wr_msg *m, int fd, struct wr_msg *answer,
                    int *fds, unsigned *nfds, int timeout_ms, char *err)
{
	int got[WR_LINK_FDS], rc;
	unsigned n = 0;
	uint32_t want_seq, seq;
	struct pollfd p;

	if (nfds != NULL)
		*nfds = 0;
	if (l->fd < 0) {
		snprintf(err, WR_LINK_ERR, "weir-dataplane is not connected (%.150s)",
		         l->status.error);
		return -ENOTCONN;
	}
	rc = send_msg(l->fd, m, fd);
	p = (struct pollfd){ .fd = l->fd, .events = POLLIN };
	if (rc == 0) {
		int k = poll(&p, 1, timeout_ms);

		rc = k > 0 ? recv_msg(l->fd, answer, got, &n) : k == 0 ? -ETIMEDOUT : -errno;
	}
	/* Every body begins with its seq. */
	memcpy(&want_seq, m->body, sizeof(want_seq));
	memcpy(&seq, answer->body, sizeof(seq));
	/* 0: a refusal before the request was read, such as `another weir-control is connected`. */
	if (rc == 0 && seq != want_seq && (seq != 0 || answer->type != WR_MSG_RESULT))
		rc = -EPROTO;
	if (rc != 0) {
		close_all(got, n);
		snprintf(err, WR_LINK_ERR, "weir-dataplane: %s",
		         rc == -ETIMEDOUT ? "no answer in time"
		         : rc == -EPROTO  ? "an answer that does not fit"
		                          : strerror(-rc));
		wr_link_drop(l, err);
		return rc;
	}
	if (fds != NULL) {
		memcpy(fds, got, n * sizeof(int));
		*nfds = n;
	} else {
		close_all(got, n);
	}
	return 0;
}

static void adopt(struct wr_link *l, struct wr_session *s, const struct wr_msg_welcome *w)
{
	struct wr_session *old = NULL;

	pthread_mutex_lock(&l->lock);
	if (l->session != NULL && l->session->boot_id == s->boot_id) {
		/* The same life: the same memory is mapped already, and readers are on it. */
		old = s;
	} else {
		if (l->session != NULL && --l->session->refs == 0)
			old = l->session;
		s->refs = 1;
		l->session = s;
	}
	l->status.connects++;
	l->status.welcome = *w;
	if (w->ruleset_generation > l->generation)
		l->generation = w->ruleset_generation;
	pthread_mutex_unlock(&l->lock);
	wr_session_free(old);
}

static int hello(struct wr_link *l, char *err)
{
	struct wr_msg_hello h = { .seq = ++l->seq,
		                  .abi = WR_ABI_VERSION,
		                  .nreasons = WR_R_COUNT,
		                  .ncauses = WR_C_COUNT,
		                  .stats_size = sizeof(struct wr_stats),
		                  .record_size = sizeof(struct wr_record) };
	struct wr_msg_welcome w;
	struct wr_msg_result r;
	struct wr_session *s = NULL;
	struct wr_msg m, a;
	int fds[WR_LINK_FDS], rc;
	unsigned n;

	wr_msg_put(&m, WR_MSG_HELLO, &h, sizeof(h));
	rc = wr_link_request(l, &m, -1, &a, fds, &n, HELLO_MS, err);
	if (rc != 0)
		return rc;
	if (wr_msg_get(&a, WR_MSG_WELCOME, &w, sizeof(w)) == 0) {
		rc = wr_session_new(&w, fds, n, &s, err);
	} else if (wr_msg_get(&a, WR_MSG_RESULT, &r, sizeof(r)) == 0 && r.error != 0) {
		rc = r.error < 0 ? r.error : -r.error;
		r.text[sizeof(r.text) - 1] = '\0';
		snprintf(err, WR_LINK_ERR, "weir-dataplane refuses: %s",
		         r.text[0] != '\0' ? r.text : strerror(-rc));
	} else {
		rc = -EPROTO;
		snprintf(err, WR_LINK_ERR, "weir-dataplane answers HELLO with nonsense");
	}
	close_all(fds, n);
	if (rc == 0)
		adopt(l, s, &w);
	return rc;
}

static int dial(struct wr_link *l, char *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int rc;

	if (snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/dataplane.sock", l->run_dir) >=
	    (int)sizeof(sa.sun_path)) {
		snprintf(err, WR_LINK_ERR, "run.dir is too long for a socket: %s", l->run_dir);
		return -ENAMETOOLONG;
	}
	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return -errno;
	if (connect(l->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return 0;
	rc = -errno;
	snprintf(err, WR_LINK_ERR, "no weir-dataplane at %.120s (%s)", sa.sun_path, strerror(-rc));
	return rc;
}

static void ask_status(struct wr_link *l)
{
	struct wr_msg_simple q = { .seq = ++l->seq };
	struct wr_msg_status st;
	char err[WR_LINK_ERR];
	struct wr_msg m, a;

	wr_msg_put(&m, WR_MSG_STATUS, &q, sizeof(q));
	if (wr_link_request(l, &m, -1, &a, NULL, NULL, ANSWER_MS, err) != 0)
		return;
	if (wr_msg_get(&a, WR_MSG_STATUS_REPLY, &st, sizeof(st)) != 0) {
		wr_link_drop(l, "weir-dataplane answers STATUS with nonsense");
		return;
	}
	st.digest_engine[sizeof(st.digest_engine) - 1] = '\0';
	st.text[sizeof(st.text) - 1] = '\0';
	pthread_mutex_lock(&l->lock);
	l->status.last = st;
	l->status.synced =
	        l->active == NULL ? false : memcmp(l->active->meta, st.meta_sha256, 32) == 0;
	pthread_mutex_unlock(&l->lock);
}

/* A restarted dataplane has no ruleset, or an older one: it gets the active one at once. */
static void resync(struct wr_link *l)
{
	struct wr_ruleset_files *rs = NULL;
	char err[WR_LINK_ERR] = "";
	uint64_t generation;

	pthread_mutex_lock(&l->lock);
	if (l->active != NULL && !l->status.synced && (rs = malloc(sizeof(*rs))) != NULL)
		*rs = *l->active;
	pthread_mutex_unlock(&l->lock);
	if (rs == NULL)
		return;
	if (wr_link_push_locked(l, rs, &generation, err) == 0) {
		ask_status(l);
	} else {
		pthread_mutex_lock(&l->lock);
		l->status.push_failures++;
		pthread_mutex_unlock(&l->lock);
	}
	if (l->fd >= 0)
		set_state(l, true, err);
	free(rs);
}

static void turn(struct wr_link *l)
{
	char err[WR_LINK_ERR] = "";

	pthread_mutex_lock(&l->io);
	if (l->fd < 0) {
		if (dial(l, err) != 0 || hello(l, err) != 0)
			wr_link_drop(l, err);
		else
			set_state(l, true, "");
	}
	if (l->fd >= 0)
		ask_status(l);
	if (l->fd >= 0)
		resync(l);
	pthread_mutex_unlock(&l->io);
}

static void *run(void *arg)
{
	struct wr_link *l = arg;

	for (;;) {
		struct pollfd p[2] = { { .fd = l->wake[0], .events = POLLIN },
			               { .fd = -1, .events = 0 } };
		bool up;

		turn(l);
		pthread_mutex_lock(&l->io);
		p[1].fd = l->fd; /* POLLHUP tells at once that the dataplane went */
		up = l->fd >= 0;
		pthread_mutex_unlock(&l->io);
		if (poll(p, 2, up ? STATUS_MS : RETRY_MS) > 0 && p[0].revents != 0)
			return NULL;
		if (p[1].revents != 0) {
			pthread_mutex_lock(&l->io);
			if (l->fd == p[1].fd)
				wr_link_drop(l, "weir-dataplane closed the connection");
			pthread_mutex_unlock(&l->io);
		}
	}
}

/* One request whose answer is a RESULT. Under io; m's body begins with its seq. */
static int ask(struct wr_link *l, const struct wr_msg *m, struct wr_msg_result *out, int *fd,
               char *err)
{
	int fds[WR_LINK_FDS], rc;
	unsigned n = 0;
	struct wr_msg a;

	rc = wr_link_request(l, m, -1, &a, fds, &n, ANSWER_MS, err);
	if (rc == 0 && wr_msg_get(&a, WR_MSG_RESULT, out, sizeof(*out)) != 0) {
		rc = -EPROTO;
		snprintf(err, WR_LINK_ERR, "weir-dataplane gives an answer that does not fit");
		wr_link_drop(l, err);
	}
	if (rc == 0)
		out->text[sizeof(out->text) - 1] = '\0';
	if (rc == 0 && fd != NULL && n == 1) {
		*fd = fds[0];
		n = 0;
	}
	close_all(fds, n);
	return rc;
}

int wr_link_ask(struct wr_link *l, enum wr_msg_type type, uint32_t what, uint64_t arg,
                const char *name, struct wr_msg_result *out, int *fd, char *err)
{
	struct wr_msg_simple q = { .what = what, .arg = arg };
	struct wr_msg m;
	int rc;

	if (fd != NULL)
		*fd = -1;
	snprintf(q.name, sizeof(q.name), "%s", name != NULL ? name : "");
	pthread_mutex_lock(&l->io);
	q.seq = ++l->seq;
	wr_msg_put(&m, type, &q, sizeof(q));
	rc = ask(l, &m, out, fd, err);
	pthread_mutex_unlock(&l->io);
	if (rc == 0 && type == WR_MSG_DRAIN && out->error == 0) {
		/* Readiness changes with this answer, not with the next status. */
		pthread_mutex_lock(&l->lock);
		l->status.last.draining = what;
		pthread_mutex_unlock(&l->lock);
	}
	return rc;
}

int wr_link_look(struct wr_link *l, enum wr_msg_type type, struct wr_msg_look *q,
                 struct wr_msg_result *out, int *fd, char *err)
{
	struct wr_msg m;
	int rc;

	*fd = -1;
	pthread_mutex_lock(&l->io);
	q->seq = ++l->seq;
	wr_msg_put(&m, type, q, sizeof(*q));
	rc = ask(l, &m, out, fd, err);
	pthread_mutex_unlock(&l->io);
	return rc;
}

void wr_link_status(struct wr_link *l, struct wr_link_status *out)
{
	pthread_mutex_lock(&l->lock);
	*out = l->status;
	pthread_mutex_unlock(&l->lock);
}

struct wr_session *wr_session_get(struct wr_link *l)
{
	struct wr_session *s;

	pthread_mutex_lock(&l->lock);
	s = l->session;
	if (s != NULL)
		s->refs++;
	pthread_mutex_unlock(&l->lock);
	return s;
}

void wr_session_put(struct wr_link *l, struct wr_session *s)
{
	bool last;

	if (s == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	last = --s->refs == 0;
	pthread_mutex_unlock(&l->lock);
	if (last)
		wr_session_free(s);
}

void wr_link_set_active(struct wr_link *l, const struct wr_ruleset_files *rs)
{
	struct wr_ruleset_files *copy = NULL, *old;

	if (rs != NULL && (copy = malloc(sizeof(*copy))) != NULL)
		*copy = *rs;
	pthread_mutex_lock(&l->lock);
	old = l->active;
	l->active = copy;
	l->status.synced = copy != NULL && memcmp(copy->meta, l->status.last.meta_sha256, 32) == 0;
	pthread_mutex_unlock(&l->lock);
	free(old);
}

int wr_link_new(const char *run_dir, struct wr_link **out)
{
	struct wr_link *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	if (pipe2(l->wake, O_CLOEXEC) != 0) {
		rc = -errno;
		free(l);
		return rc;
	}
	snprintf(l->run_dir, sizeof(l->run_dir), "%s", run_dir);
	l->fd = -1;
	pthread_mutex_init(&l->io, NULL);
	pthread_mutex_init(&l->lock, NULL);
	snprintf(l->status.error, sizeof(l->status.error), "not yet connected");
	l->status.since_ns = real_ns();
	*out = l;
	return 0;
}

int wr_link_start(struct wr_link *l)
{
	int rc = pthread_create(&l->thread, NULL, run, l);

	l->started = rc == 0;
	return -rc;
}

void wr_link_free(struct wr_link *l)
{
	if (l == NULL)
		return;
	if (l->started) {
		if (write(l->wake[1], "", 1) == 1)
			pthread_join(l->thread, NULL);
	}
	close(l->wake[0]);
	close(l->wake[1]);
	if (l->fd >= 0)
		close(l->fd);
	if (l->session != NULL && --l->session->refs == 0)
		wr_session_free(l->session);
	pthread_mutex_destroy(&l->io);
	pthread_mutex_destroy(&l->lock);
	free(l->active);
	free(l);
}
