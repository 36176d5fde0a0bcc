/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any sequence of datagrams on the control socket. The law: whatever was said, the next control is
 * welcomed and served, at most WR_RULESETS_MAX rulesets are mapped, and no descriptor stays open.
 * Input, a script: each step one byte of what to do, then what it needs.
 *   0-9: that message with the next bytes as its body, right length   10: raw bytes, wrong sizes
 *   11: hang up and connect again, with HELLO   12: the workers turn   13: uploads begin or end
 *   14: a worker sticks or comes loose   15: TRACE   16: connections and frames there are   with
 * bit 7: a shard's descriptor comes along
 */
#include <dirent.h>

#include "../../unit/ctl/peer.h"

static struct peer p;
static char dir[64];

/* A trace's file that takes whatever comes. */
static int trace_open(void *ctx, int fd, struct wr_trace_file **out)
{
	(void)ctx;
	*out = (struct wr_trace_file *)(uintptr_t)(fd + 1);
	return 0;
}

static int trace_frame(void *ctx, struct wr_trace_file *f, uint32_t worker,
                       const struct wr_trace_frame *frame)
{
	(void)ctx;
	(void)f;
	return worker < 2 && frame != NULL ? 0 : -1;
}

static void trace_close(void *ctx, struct wr_trace_file *f)
{
	(void)ctx;
	close((int)(uintptr_t)f - 1);
}

static void peer_tracer(struct wr_ctl_args *a)
{
	a->trace_open = trace_open;
	a->trace_frame = trace_frame;
	a->trace_close = trace_close;
}

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (d == NULL)
		return 0;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void remove_dir(void)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/dataplane.lock", dir);
	(void)unlink(path);
	(void)rmdir(dir);
}

struct script {
	const uint8_t *p, *end;
};

static uint8_t next(struct script *s)
{
	return s->p < s->end ? *s->p++ : 0;
}

static uint32_t body_bytes(uint32_t type)
{
	switch (type) {
	case WR_MSG_HELLO: return sizeof(struct wr_msg_hello);
	case WR_MSG_HAVE:
	case WR_MSG_SHARD:
	case WR_MSG_STAGE:
	case WR_MSG_COMMIT:
	case WR_MSG_DROP: return sizeof(struct wr_msg_shard);
	case WR_MSG_QUERY:
	case WR_MSG_TRACE: return sizeof(struct wr_msg_look);
	default: return sizeof(struct wr_msg_simple);
	}
}

static void say(struct script *s, uint8_t what)
{
	static const uint8_t type[] = { WR_MSG_HELLO,  WR_MSG_HAVE,  WR_MSG_SHARD,  WR_MSG_STAGE,
		                        WR_MSG_COMMIT, WR_MSG_DROP,  WR_MSG_STATUS, WR_MSG_DRAIN,
		                        WR_MSG_WIRE,   WR_MSG_QUERY, WR_MSG_TRACE };
	struct wr_msg m = { 0 };
	uint8_t name = next(s);
	int fd = (what & 0x80) != 0 ? peer_shard(name & 15) : -1;

	what &= 0x7f;
	m.type = type[what];
	m.len = body_bytes(m.type);
	if (m.len == sizeof(struct wr_msg_shard)) {
		struct wr_msg_shard sh = { .seq = 1, .bytes = 64, .generation = next(s) };

		memset(sh.sha256, name & 15, sizeof(sh.sha256));
		memcpy(m.body, &sh, sizeof(sh));
	} else if (m.len == sizeof(struct wr_msg_look)) {
		struct wr_msg_look q = { .what = next(s) & 3, .limit = next(s), .seconds = 1 };

		q.payload = name & 1;
		memcpy(m.body, &q, sizeof(q));
	} else if (what == 0) {
		peer_hello_msg(&m, 1);
		m.body[name % 24] ^= next(s) & 1;
	}
	(void)peer_send(p.fd, &m, sizeof(m), fd);
	if (fd >= 0)
		close(fd);
}

static void raw(struct script *s)
{
	uint8_t b[512] = { 0 };
	size_t n = next(s) + (size_t)256 * (next(s) & 1);

	for (size_t i = 0; i < n && i < 24; i++)
		b[i] = next(s);
	(void)peer_send(p.fd, b, n, (n & 1) != 0 ? 0 : -1);
}

static void step(struct script *s)
{
	uint8_t what = next(s);
	struct wr_msg_welcome w;

	switch (what & 0x7f) {
	case 10: raw(s); break;
	case 11: WR_ASSERT(peer_hello(&p, &w)); break;
	case 12: peer_turn(&p); break;
	case 13:
		/* Only a ruleset in force gets uploads; one that is staged has none. */
		if (fake_last != NULL && fake_last->generation == wr_ctl_generation(p.ctl))
			fake_last->open = next(s) & 1;
		break;
	case 14: p.worker[next(s) & 1]->stuck = (next(s) & 1) != 0; break;
	case 15: say(s, (uint8_t)((what & 0x80) | 10)); break;
	case 16:
		p.worker[0]->rows = next(s);
		p.worker[1]->frames = next(s);
		break;
	default:
		if ((what & 0x7f) < 10)
			say(s, what);
	}
	wr_ctl_poll(p.ctl, 0);
	for (struct wr_msg m; p.fd >= 0 && peer_recv(p.fd, &m, NULL) > 0;)
		WR_ASSERT(m.type == WR_MSG_RESULT || m.type == WR_MSG_WELCOME ||
		          m.type == WR_MSG_STATUS_REPLY);
	WR_ASSERT(fake_rulesets <= (int)WR_RULESETS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct script s = { data, data + n };
	struct wr_msg_welcome w;
	char err[400];
	int fds;

	if (dir[0] == '\0') {
		snprintf(dir, sizeof(dir), "/tmp/weir-fuzz-ctl-%d", (int)getpid());
		atexit(remove_dir);
	}
	fds = open_fds();
	WR_ASSERT(peer_start(&p, dir, err, sizeof(err)) != NULL);
	WR_ASSERT(peer_hello(&p, &w));
	for (int i = 0; i < 200 && s.p < s.end; i++)
		step(&s);
	/* Whatever happened: loosen, end all uploads, and serve the next one. */
	p.worker[0]->stuck = p.worker[1]->stuck = false;
	WR_ASSERT(peer_hello(&p, &w));
	WR_ASSERT(peer_ask(&p, WR_MSG_HAVE, 200, 0, -1, NULL) == -ENOENT);
	fake_end_uploads();
	peer_turn(&p);
	wr_ctl_poll(p.ctl, 0);
	WR_ASSERT(fake_rulesets <= 1);
	peer_stop(&p);
	WR_ASSERT(fake_rulesets == 0);
	WR_ASSERT(open_fds() == fds);
	return 0;
}
