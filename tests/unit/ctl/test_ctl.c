/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"
#include "tap.h"

static struct peer p;
static char dir[64], err[400];

static int push(uint8_t name, uint64_t generation, char *text)
{
	int fd = peer_shard(name), rc = peer_ask(&p, WR_MSG_SHARD, name, 0, fd, text);

	close(fd);
	return rc != 0 ? rc : peer_ask(&p, WR_MSG_STAGE, name, generation, -1, text);
}

static int result(void)
{
	struct wr_msg_result r;
	struct wr_msg m;

	if (peer_recv(p.fd, &m, NULL) != sizeof(m))
		return PEER_NOTHING;
	return wr_msg_get(&m, WR_MSG_RESULT, &r, sizeof(r)) != 0 ? -EPROTO : r.error;
}

static void sockets(void)
{
	static struct peer other;
	struct wr_msg_welcome w;
	struct wr_msg m;
	int fd;

	OK(peer_start(&other, dir, err, sizeof(err)) == NULL && strstr(err, "in use") != NULL,
	   "a second dataplane is refused: %s", err);
	OK(peer_hello(&p, &w), "control is welcomed, with five descriptors");
	OK(w.workers == 2 && w.boot_id == 77 && w.ruleset_generation == 0,
	   "and told what there is");
	fd = peer_connect(&p);
	wr_ctl_poll(p.ctl, 0);
	{
		struct wr_msg_result r = { 0 };

		OK(peer_recv(fd, &m, NULL) == sizeof(m) &&
		           wr_msg_get(&m, WR_MSG_RESULT, &r, sizeof(r)) == 0 && r.error == -EBUSY,
		   "a second control is told: %s", r.text);
	}
	IS(peer_recv(fd, &m, NULL), 0, "and hung up on");
	close(fd);
	IS(peer_ask(&p, WR_MSG_HAVE, 9, 0, -1, NULL), -ENOENT, "the first one is still served");
	OK(peer_hello(&p, &w), "after it has gone another is welcomed");
}

static void stale(void)
{
	static struct peer q;
	char d[80], path[120];
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(d, sizeof(d), "%s/stale", dir);
	snprintf(path, sizeof(path), "%s/dataplane.sock", d);
	OK(mkdir(d, 0700) == 0, "a folder");
	memcpy(sa.sun_path, path, strlen(path) + 1);
	OK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "a socket file in it");
	close(fd);
	OK(peer_start(&q, d, err, sizeof(err)) != NULL, "that its owner left behind is replaced");
	peer_stop(&q);
	OK(access(path, F_OK) != 0, "a clean end takes the socket away");
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	OK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 1) == 0,
	   "a live listener");
	OK(peer_start(&q, d, err, sizeof(err)) == NULL && strstr(err, "listens") != NULL,
	   "is respected: %s", err);
	OK(access(path, F_OK) == 0, "and its socket left alone");
	close(fd);
}

static void rulesets(void)
{
	struct wr_msg_welcome w;
	char text[200];

	IS(peer_ask(&p, WR_MSG_SHARD, 1, 0, -1, text), -EBADF, "a shard without descriptor: %s",
	   text);
	IS(peer_ask(&p, WR_MSG_STAGE, 1, 1, -1, text), -ENOENT, "a stage without shard: %s", text);
	IS(peer_ask(&p, WR_MSG_COMMIT, 1, 1, -1, text), -ENOENT, "a commit without stage: %s",
	   text);
	IS(push(1, 1, text), 0, "shard and stage");
	IS(p.worker[0]->staged + p.worker[1]->staged, 2, "every worker has scratch");
	IS(peer_ask(&p, WR_MSG_HAVE, 1, 0, -1, NULL), 0, "have");
	IS(peer_ask(&p, WR_MSG_COMMIT, 1, 2, -1, text), -ENOENT, "another generation: %s", text);
	IS(peer_ask(&p, WR_MSG_COMMIT, 1, 1, -1, NULL), PEER_NOTHING,
	   "a commit waits for the workers");
	IS(peer_ask(&p, WR_MSG_COMMIT, 1, 1, -1, text), -EBUSY, "a second one meanwhile: %s", text);
	(void)wr_worker_turn(p.worker[0], 1, 1);
	wr_ctl_poll(p.ctl, 0);
	IS(result(), PEER_NOTHING, "one of two is not enough");
	(void)wr_worker_turn(p.worker[1], 1, 1);
	wr_ctl_poll(p.ctl, 0);
	IS(result(), 0, "then it is done");
	IS(wr_ctl_generation(p.ctl), 1, "generation 1 is in force");
	IS(push(1, 1, text), -EINVAL, "a generation that does not grow: %s", text);
	OK(peer_hello(&p, &w) && w.ruleset_generation == 1 && w.meta_sha256[31] == 1,
	   "a new control is told what is in force");
	fake_stage_error = -ENOMEM;
	IS(push(2, 2, text), -ENOMEM, "no scratch: %s", text);
	fake_stage_error = 0;
	IS(fake_rulesets, 1, "nothing of it is left");
	IS(push(2, 2, text), 0, "staged");
	IS(fake_rulesets, 2, "two are alive");
	IS(peer_ask(&p, WR_MSG_DROP, 2, 2, -1, NULL), 0, "dropped");
	IS(fake_rulesets, 1, "and gone");
	IS(peer_ask(&p, WR_MSG_HAVE, 2, 0, -1, NULL), -ENOENT, "its shard too");
	IS(push(2, 3, text), 0, "staged again");
	OK(peer_hello(&p, &w), "control goes and comes");
	IS(fake_rulesets, 1, "what it had only staged is gone");
}

static void commit(uint8_t name, uint64_t generation)
{
	char text[200];

	IS(push(name, generation, text), 0, "generation %llu staged",
	   (unsigned long long)generation);
	(void)peer_ask(&p, WR_MSG_COMMIT, name, generation, -1, NULL);
	peer_turn(&p);
	wr_ctl_poll(p.ctl, 0);
	IS(result(), 0, "and in force");
}

static void draining(void)
{
	struct wr_ruleset *old[WR_RULESETS_MAX + 2];
	char text[200];
	uint32_t n = 0;

	/* Every one keeps an upload open when the next takes over. */
	for (uint8_t g = 10; g < 10 + WR_RULESETS_MAX; g++) {
		commit(g, g);
		old[n] = fake_last;
		old[n++]->open = 1;
	}
	IS(fake_rulesets, WR_RULESETS_MAX, "as many generations as can be are mapped");
	IS(push(30, 30, text), -EAGAIN, "one more waits: %s", text);
	OK(strstr(text, "waiting for drain") != NULL, "and says so");
	IS(peer_ask(&p, WR_MSG_HAVE, 30, 0, -1, NULL), 0, "its shard is kept meanwhile");
	old[2]->open = 0;
	wr_ctl_poll(p.ctl, 0);
	IS(fake_rulesets, WR_RULESETS_MAX - 1, "the last upload of one ends: it goes");
	IS(peer_ask(&p, WR_MSG_HAVE, 30, 0, -1, NULL), 0, "but no shard of the push under way");
	IS(peer_ask(&p, WR_MSG_STAGE, 30, 30, -1, text), 0, "now there is room %s", text);
	(void)peer_ask(&p, WR_MSG_COMMIT, 30, 30, -1, NULL);
	peer_turn(&p);
	wr_ctl_poll(p.ctl, 0);
	IS(result(), 0, "in force");
	for (uint32_t i = 0; i < n; i++)
		if (i != 2)
			old[i]->open = 0;
	/* A worker that has not turned may still open uploads on what it knows. */
	p.worker[1]->stuck = true;
	p.worker[1]->seen = 17;
	wr_ctl_poll(p.ctl, 0);
	OK(fake_rulesets > 1, "nothing goes while a worker has not seen the new one");
	p.worker[1]->stuck = false;
	peer_turn(&p);
	wr_ctl_poll(p.ctl, 0);
	IS(fake_rulesets, 1, "then all drained ones go");
}

static void lies(void)
{
	static const struct {
		const char *what;
		uint32_t type, len;
		size_t bytes;
	} row[] = {
		/* clang-format off */
		{ "a type that is none",    99, 56, 256 },
		{ "type 0",                 0, 0, 256 },
		{ "an answer",              WR_MSG_WELCOME, sizeof(struct wr_msg_welcome), 256 },
		{ "a body too short",       WR_MSG_STAGE, sizeof(struct wr_msg_shard) - 1, 256 },
		{ "a body too long",        WR_MSG_STAGE, sizeof(struct wr_msg_shard) + 1, 256 },
		{ "a length beyond",        WR_MSG_STATUS, 0xffffffff, 256 },
		{ "a short datagram",       WR_MSG_STATUS, sizeof(struct wr_msg_simple), 255 },
		{ "a long datagram",        WR_MSG_STATUS, sizeof(struct wr_msg_simple), 257 },
		{ "one byte",               WR_MSG_STATUS, sizeof(struct wr_msg_simple), 1 },
		/* clang-format on */
	};
	struct wr_msg_welcome w;
	struct wr_msg m;

	for (unsigned i = 0; i < WR_COUNT_OF(row); i++) {
		uint8_t b[300] = { 0 };

		OK(peer_hello(&p, &w), "welcome");
		memcpy(b, &row[i].type, 4);
		memcpy(b + 4, &row[i].len, 4);
		(void)peer_send(p.fd, b, row[i].bytes, 0 /* and a descriptor that nobody wants */);
		wr_ctl_poll(p.ctl, 0);
		IS(peer_recv(p.fd, &m, NULL), 0, "%s ends the connection", row[i].what);
	}
	close(p.fd);
	p.fd = peer_connect(&p);
	wr_ctl_poll(p.ctl, 0);
	IS(peer_ask(&p, WR_MSG_STAGE, 1, 1, -1, NULL), PEER_NOTHING,
	   "before HELLO nothing is heard");
	IS(peer_recv(p.fd, &m, NULL), 0, "but hung up on");
	close(p.fd);
	p.fd = peer_connect(&p);
	wr_ctl_poll(p.ctl, 0);
	peer_hello_msg(&m, 5);
	m.body[4]++; /* the ABI */
	(void)peer_send(p.fd, &m, sizeof(m), -1);
	wr_ctl_poll(p.ctl, 0);
	IS(result(), -EPROTONOSUPPORT, "another version is told so");
}

static void the_rest(void)
{
	struct wr_msg_simple s = { .seq = 900 };
	struct wr_msg_status st = { 0 };
	struct wr_msg_welcome w;
	struct wr_msg m;

	OK(peer_hello(&p, &w), "welcome");
	wr_counter_set(&p.head.dev[0][1].link_up, 1);
	wr_msg_put(&m, WR_MSG_STATUS, &s, sizeof(s));
	(void)peer_send(p.fd, &m, sizeof(m), -1);
	wr_ctl_poll(p.ctl, 0);
	OK(peer_recv(p.fd, &m, NULL) == sizeof(m) &&
	           wr_msg_get(&m, WR_MSG_STATUS_REPLY, &st, sizeof(st)) == 0 && st.seq == 900,
	   "status");
	OK(st.ready == 1 && st.generation == 30 && st.generations == 1 && st.rx_ok == 1,
	   "says all");
	s.what = 1;
	wr_msg_put(&m, WR_MSG_DRAIN, &s, sizeof(s));
	(void)peer_send(p.fd, &m, sizeof(m), -1);
	wr_ctl_poll(p.ctl, 0);
	IS(result(), 0, "drain");
	OK(p.worker[0]->drained && p.worker[1]->drained && wr_ctl_draining(p.ctl),
	   "reaches everyone");
	s.what = 0;
	wr_msg_put(&m, WR_MSG_DRAIN, &s, sizeof(s));
	(void)peer_send(p.fd, &m, sizeof(m), -1);
	wr_ctl_poll(p.ctl, 0);
	IS(result(), 0, "and its end");
	OK(!p.worker[0]->drained && !p.worker[1]->drained && !wr_ctl_draining(p.ctl),
	   "reaches everyone too");
}

/* --- questions and traces */

static struct {
	int opened, closed, frames, room;
} file;

static int file_open(void *ctx, int fd, struct wr_trace_file **out)
{
	(void)ctx;
	file.opened++;
	*out = (struct wr_trace_file *)(uintptr_t)(fd + 1);
	return 0;
}

static int file_frame(void *ctx, struct wr_trace_file *f, uint32_t worker,
                      const struct wr_trace_frame *frame)
{
	(void)ctx;
	(void)f;
	(void)worker;
	(void)frame;
	if (file.room == 0)
		return -1;
	file.room--;
	file.frames++;
	return 0;
}

static void file_close(void *ctx, struct wr_trace_file *f)
{
	(void)ctx;
	file.closed++;
	close((int)(uintptr_t)f - 1);
}

static void peer_tracer(struct wr_ctl_args *a)
{
	a->trace_open = file_open;
	a->trace_frame = file_frame;
	a->trace_close = file_close;
}

static void send_look(uint32_t type, struct wr_msg_look q)
{
	struct wr_msg m;

	q.seq = ++p.seq;
	wr_msg_put(&m, type, &q, sizeof(q));
	(void)peer_send(p.fd, &m, sizeof(m), -1);
}

/* The answer, and whether a descriptor came with it. */
static int got(struct wr_msg_result *r, int *nfds)
{
	struct wr_msg m;

	memset(r, 0, sizeof(*r));
	*nfds = 0;
	for (int i = 0; i < 3; i++) {
		wr_ctl_poll(p.ctl, 0);
		if (peer_recv(p.fd, &m, nfds) == sizeof(m))
			return wr_msg_get(&m, WR_MSG_RESULT, r, sizeof(*r)) == 0 ? r->error
			                                                         : -EPROTO;
	}
	return PEER_NOTHING;
}

static void questions(void)
{
	struct wr_msg_result r;
	struct wr_msg_welcome w;
	int nfds;

	OK(peer_hello(&p, &w), "welcome");
	p.worker[0]->rows = 20;
	p.worker[1]->rows = 3;
	send_look(WR_MSG_QUERY, (struct wr_msg_look){ .what = WR_LOOK_FLOWS });
	OK(got(&r, &nfds) == 0 && r.value == 23 && nfds == 1, "flows of all workers: %d rows",
	   (int)r.value);
	send_look(WR_MSG_QUERY, (struct wr_msg_look){ .what = WR_LOOK_HOLDS, .limit = 10 });
	OK(got(&r, &nfds) == 0 && r.value == 10 && nfds == 1, "no more than asked for");
	OK(p.worker[0]->what == WR_LOOK_HOLDS, "the question is put as it came");
	send_look(WR_MSG_QUERY, (struct wr_msg_look){ .what = WR_LOOK_WHATS });
	IS(got(&r, &nfds), -EINVAL, "a question that is none");
	p.worker[0]->stuck = true;
	p.worker[0]->asked = p.worker[0]->answered = false;
	send_look(WR_MSG_QUERY, (struct wr_msg_look){ .what = WR_LOOK_FLOWS });
	IS(got(&r, &nfds), PEER_NOTHING, "a worker that does not turn is waited for");
	send_look(WR_MSG_QUERY, (struct wr_msg_look){ .what = WR_LOOK_FLOWS });
	IS(got(&r, &nfds), -EBUSY, "a second question meanwhile: %s", r.text);
	for (int i = 0; i < 3000 && got(&r, &nfds) == PEER_NOTHING; i++)
		usleep(1000);
	OK(r.value == 3 && nfds == 1 && strstr(r.text, "does not turn") != NULL,
	   "then left out, and named: %s", r.text);
	p.worker[0]->stuck = false;
}

static void traces(void)
{
	struct wr_msg_look start = { .what = WR_TRACE_START, .limit = 5, .seconds = 60 };
	struct wr_msg_look state = { .what = WR_TRACE_STATE };
	struct wr_msg_result r;
	int nfds;

	file.room = 100;
	send_look(WR_MSG_TRACE, state);
	IS(got(&r, &nfds), -ENOENT, "no trace yet");
	start.limit = WR_TRACE_PACKETS_MAX + 1;
	send_look(WR_MSG_TRACE, start);
	IS(got(&r, &nfds), -EINVAL, "more frames than may be");
	start.limit = 5;
	start.seconds = WR_TRACE_SECONDS_MAX + 1;
	send_look(WR_MSG_TRACE, start);
	IS(got(&r, &nfds), -EINVAL, "a longer time than may be");
	start.seconds = 60;
	send_look(WR_MSG_TRACE, start);
	IS(got(&r, &nfds), 0, "a trace");
	OK(p.worker[0]->tracing && p.worker[1]->tracing && !p.worker[0]->whole,
	   "at every worker, headers only");
	send_look(WR_MSG_TRACE, start);
	IS(got(&r, &nfds), -EBUSY, "one at a time: %s", r.text);
	p.worker[0]->frames = 3;
	send_look(WR_MSG_TRACE, state);
	IS(got(&r, &nfds), -EAGAIN, "running");
	p.worker[1]->frames = 9;
	wr_ctl_poll(p.ctl, 0);
	IS(file.frames, 5, "five frames, no more");
	OK(!p.worker[0]->tracing && !p.worker[1]->tracing && file.closed == 1, "then it is over");
	send_look(WR_MSG_TRACE, state);
	OK(got(&r, &nfds) == 0 && r.value == 5 && nfds == 1, "its file comes");
	send_look(WR_MSG_TRACE, state);
	IS(got(&r, &nfds), -ENOENT, "once");
	start.payload = 1;
	p.worker[0]->frames = p.worker[1]->frames = 0;
	send_look(WR_MSG_TRACE, start);
	OK(got(&r, &nfds) == 0 && p.worker[1]->whole, "with payload when asked");
	send_look(WR_MSG_TRACE, (struct wr_msg_look){ .what = WR_TRACE_STOP });
	OK(got(&r, &nfds) == 0 && !p.worker[0]->tracing, "stopped by hand");
	file.room = 1;
	p.worker[0]->frames = 4;
	send_look(WR_MSG_TRACE, start);
	OK(got(&r, &nfds) == 0, "where the file cannot grow");
	wr_ctl_poll(p.ctl, 0);
	OK(!p.worker[0]->tracing, "the trace ends");
	p.worker[0]->frames = 0;
	send_look(WR_MSG_TRACE, start);
	OK(got(&r, &nfds) == 0 && p.worker[0]->tracing, "one that nobody fetched makes room");
}

int main(void)
{
	snprintf(dir, sizeof(dir), "/tmp/weir-ctl-%d", (int)getpid());
	OK(peer_start(&p, dir, err, sizeof(err)) != NULL, "a dataplane's socket %s", err);
	sockets();
	stale();
	rulesets();
	draining();
	lies();
	the_rest();
	questions();
	traces();
	peer_stop(&p);
	OK(file.opened == 4 && file.closed == 4, "every trace was closed");
	IS(fake_rulesets, 0, "the end frees every ruleset");
	{
		char rm[100];

		snprintf(rm, sizeof(rm), "rm -rf %s", dir);
		OK(system(rm) == 0, "clean");
	}
	return tap_done();
}
