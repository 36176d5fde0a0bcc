/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wire's program run by the kernel (BPF_PROG_TEST_RUN) in a network namespace of its own, with
 * pins in a folder of its own. Sockets are real AF_XDP sockets, only unbound: the map asks for no
 * more.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "xdp/xdp.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif

#define MS    1000000ll
#define LIMIT (100 * MS)
#define FRAME 100u

static char root[128], err[WR_XDP_ERR];
static struct wr_xdp_conf conf = { .link = "t",
	                           .ifname = { "wtc", "wts" },
	                           .on_process_death = WR_WIRE_OPEN,
	                           .on_worker_stall = WR_WIRE_CLOSED,
	                           .stall_limit_ns = LIMIT };
static struct wr_xdp *x;
static struct wr_wire_shared *w;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int sh(const char *cmd)
{
	return system(cmd);
}

static int pin(const char *leaf)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/t/%s", root, leaf);
	return bpf_obj_get(path);
}

static struct bpf_link_info link_info(int side)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = pin(side ? "store/link" : "client/link");

	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len))
		memset(&info, 0, sizeof(info));
	close(fd);
	return info;
}

/* One frame through the program of one side: the XDP action. */
static int frame_on(int side, uint32_t queue, int repeat)
{
	unsigned char data[FRAME] = { 0 };
	struct xdp_md ctx = { .data_end = FRAME, .rx_queue_index = queue };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = FRAME, .ctx_in = &ctx,
	            .ctx_size_in = sizeof(ctx), .repeat = repeat);
	int fd = bpf_prog_get_fd_by_id(link_info(side).prog_id), e;

	ctx.ingress_ifindex = if_nametoindex(conf.ifname[side]);
	e = bpf_prog_test_run_opts(fd, &o);
	close(fd);
	return e ? e : (int)o.retval;
}

static int frame(int side)
{
	return frame_on(side, 0, 1);
}

static int put_socket(int side, uint32_t queue)
{
	int map = pin(side ? "store/xsks_map" : "client/xsks_map");
	int fd = socket(AF_XDP, SOCK_RAW, 0);

	if (fd < 0 || bpf_map_update_elem(map, &queue, &fd, 0))
		printf("# no socket in the map: %s\n", strerror(errno));
	close(map);
	return fd;
}

static struct wr_wire_count count(int side)
{
	struct wr_xdp_port_info p;

	if (wr_xdp_port(x, (enum wr_xdp_side)side, &p))
		memset(&p, 0xff, sizeof(p));
	return p.count;
}

static void beat(uint32_t slot, int64_t age_ns)
{
	wr_wire_beat(w, slot, now_ns() - (uint64_t)age_ns, wr_wire_epoch_of(w->decision));
}

static void set(enum wr_wire_state s, enum wr_wire_cause c, uint64_t epoch)
{
	__atomic_store_n(&w->decision, wr_wire_word(s, c, epoch), __ATOMIC_SEQ_CST);
}

static void arm(void)
{
	set(WR_WIRE_INSPECT, WR_WIRE_BOOT, wr_wire_epoch_of(w->decision));
}

static void serve(uint32_t n)
{
	static const uint8_t slots[] = { 0, 1 };

	wr_xdp_serve(w, 0, slots, n);
}

static int test_look(void)
{
	struct wr_xdp *ro = wr_xdp_open_ro("t", err);
	struct wr_xdp_port_info p;
	int e;

	if (!ro)
		return -1;
	e = wr_xdp_page(ro)->decision != w->decision || wr_xdp_port(ro, WR_XDP_CLIENT, &p) ||
	    strcmp(p.ifname, "wtc") != 0;
	wr_xdp_close(ro);
	return e;
}

static void test_install(void)
{
	struct wr_xdp_port_info p;
	char names[4][WR_NAME_MAX];

	IS(wr_xdp_install(&conf, err), 0, "install: %s", err);
	x = wr_xdp_open("t", err);
	if (!x) {
		OK(0, "open: %s", err);
		exit(tap_done());
	}
	w = wr_xdp_page(x);
	IS(wr_wire_state_of(w->decision), WR_WIRE_OPEN, "a fresh link follows on_process_death");
	IS(wr_wire_cause_of(w->decision), WR_WIRE_BOOT, "and says that nobody has taken it yet");
	IS(wr_xdp_port(x, WR_XDP_STORE, &p), 0, "port info");
	IS(p.ifindex, if_nametoindex("wts"), "the store program sits on its interface");
	OK(!p.generic, "in native mode");
	IS(test_look(), 0, "who may only look sees the same word");
	IS(wr_xdp_list(names, 4), 1, "one link is listed");
	OK(strcmp(names[0], "t") == 0, "by its name");
}

/* Every combination that decides one frame. Worker 1 is fed by queue 0 beside its poller, worker 0.
 */
static const struct row {
	const char *name;
	enum wr_wire_state state;
	int socket;
	int64_t age[2];
	uint8_t death, stall;
	int action;
	enum wr_wire_state then;
	enum wr_wire_cause cause;
	int left; /* the epoch rises */
} row[] = {
	/* clang-format off */
	{ "fresh, socket",          WR_WIRE_INSPECT, 1, { 0, 0 }, 1, 1, XDP_REDIRECT, WR_WIRE_INSPECT, 0, 0 },
	{ "within the limit",       WR_WIRE_INSPECT, 1, { 60 * MS, 0 }, 1, 1, XDP_REDIRECT, WR_WIRE_INSPECT, 0, 0 },
	{ "beat a little ahead",    WR_WIRE_INSPECT, 1, { -20 * MS, 0 }, 1, 1, XDP_REDIRECT, WR_WIRE_INSPECT, 0, 0 },
	{ "poller stale, open",     WR_WIRE_INSPECT, 1, { 101 * MS, 0 }, 0, 1, XDP_REDIRECT, WR_WIRE_OPEN, WR_WIRE_STALL, 1 },
	{ "poller stale, closed",   WR_WIRE_INSPECT, 1, { 101 * MS, 0 }, 1, 0, XDP_DROP, WR_WIRE_CLOSED, WR_WIRE_STALL, 1 },
	{ "fed worker stale, open", WR_WIRE_INSPECT, 1, { 0, 101 * MS }, 0, 1, XDP_REDIRECT, WR_WIRE_OPEN, WR_WIRE_STALL, 1 },
	{ "beat far ahead",         WR_WIRE_INSPECT, 1, { 0, -5000 * MS }, 1, 0, XDP_DROP, WR_WIRE_CLOSED, WR_WIRE_STALL, 1 },
	{ "no socket, open",        WR_WIRE_INSPECT, 0, { 0, 0 }, 1, 0, XDP_REDIRECT, WR_WIRE_OPEN, WR_WIRE_DEATH, 1 },
	{ "no socket, closed",      WR_WIRE_INSPECT, 0, { 0, 0 }, 0, 1, XDP_DROP, WR_WIRE_CLOSED, WR_WIRE_DEATH, 1 },
	{ "dead is not stalled",    WR_WIRE_INSPECT, 0, { 900 * MS, 900 * MS }, 1, 0, XDP_REDIRECT, WR_WIRE_OPEN, WR_WIRE_DEATH, 1 },
	{ "open stays open",        WR_WIRE_OPEN,    1, { 0, 0 }, 0, 0, XDP_REDIRECT, WR_WIRE_OPEN, 0, 0 },
	{ "closed stays closed",    WR_WIRE_CLOSED,  1, { 0, 0 }, 1, 1, XDP_DROP, WR_WIRE_CLOSED, 0, 0 },
	/* clang-format on */
};

static void decide(const struct row *r, int side)
{
	struct wr_wire_count before, after;
	int fd = r->socket ? put_socket(side, 0) : -1, action;
	uint64_t epoch = wr_wire_epoch_of(w->decision);

	serve(2);
	w->on_process_death = r->death;
	w->on_worker_stall = r->stall;
	set(r->state, WR_WIRE_BOOT, epoch);
	before = count(side);
	beat(0, r->age[0]);
	beat(1, r->age[1]);
	action = frame(side);
	after = count(side);

	IS(action, r->action, "%s, port %d: action", r->name, side);
	IS(wr_wire_state_of(w->decision), r->then, "%s: state", r->name);
	IS(wr_wire_cause_of(w->decision), r->cause, "%s: cause", r->name);
	IS(wr_wire_epoch_of(w->decision), epoch + (uint64_t)r->left, "%s: epoch", r->name);
	IS(after.socket_bytes - before.socket_bytes, r->then == WR_WIRE_INSPECT ? FRAME : 0,
	   "%s: bytes to the socket", r->name);
	IS(after.open_bytes - before.open_bytes, r->then == WR_WIRE_OPEN ? FRAME : 0,
	   "%s: bytes unscanned", r->name);
	IS(after.closed_bytes - before.closed_bytes, r->then == WR_WIRE_CLOSED ? FRAME : 0,
	   "%s: bytes dropped", r->name);
	if (fd >= 0)
		close(fd);
}

static void test_decisions(void)
{
	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		decide(&row[i], 0);
		decide(&row[i], 1);
	}
}

static void test_one_word(void)
{
	int c = put_socket(0, 0), s = put_socket(1, 0);

	serve(1);
	w->on_process_death = WR_WIRE_CLOSED;
	arm();
	beat(0, 0);
	IS(frame(1), XDP_REDIRECT, "the store port inspects");
	close(c);
	IS(frame(0), XDP_DROP, "the client port lost its socket");
	beat(0, 0);
	IS(frame(1), XDP_DROP, "one decision: the store port closed with it");
	c = put_socket(0, 0);
	beat(0, 0);
	IS(frame(0), XDP_DROP, "a socket and a beat alone do not bring inspection back");
	close(c);
	close(s);
}

static void test_unserved(void)
{
	int s = put_socket(0, 1);
	uint64_t before = count(0).unserved_bytes;

	arm();
	w->on_process_death = WR_WIRE_OPEN;
	IS(frame_on(0, 1, 1), XDP_DROP, "a queue that nobody serves is no way around");
	IS(count(0).unserved_bytes - before, FRAME, "and it is counted");
	IS(wr_wire_state_of(w->decision), WR_WIRE_INSPECT, "the link goes on inspecting");
	close(s);
	OK(wr_xdp_check_queues(x, err) == -ENOSPC, "two queues, one served: %s", err);
	w->queue[1] = w->queue[0];
	IS(wr_xdp_check_queues(x, err), 0, "both served");
	w->queue[1].nworkers = 0;
}

static void *hammer(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++)
		frame_on(i & 1, 0, 1000);
	return NULL;
}

/* Many frames on two CPUs find the same stale beat: one decision, one epoch. */
static void test_race(void)
{
	pthread_t t[2];
	uint64_t epoch = wr_wire_epoch_of(w->decision), opened = w->opened;
	int c = put_socket(0, 0), s = put_socket(1, 0);

	w->on_worker_stall = WR_WIRE_OPEN;
	beat(0, 500 * MS);
	arm();
	for (int i = 0; i < 2; i++)
		if (pthread_create(&t[i], NULL, hammer, NULL))
			exit(1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	IS(wr_wire_epoch_of(w->decision), epoch + 1, "100,000 frames on two threads: one epoch");
	IS(w->opened, opened + 1, "opened once");
	close(c);
	close(s);
}

static enum wr_wire_state tick(uint64_t t, bool ready)
{
	return wr_wire_state_of(wr_xdp_tick(w, t, ready));
}

static void beats(uint64_t t, uint64_t epoch)
{
	wr_wire_beat(w, 0, t, epoch);
	wr_wire_beat(w, 1, t, epoch);
}

static void test_tick(void)
{
	uint64_t t = 1000 * LIMIT;

	serve(2);
	w->good_since_ns = 0;
	set(WR_WIRE_OPEN, WR_WIRE_DEATH, 40);
	beats(t, 40);
	wr_wire_beat(w, 1, t, 39);
	IS(tick(t, true), WR_WIRE_OPEN, "a worker that missed the epoch");
	wr_wire_beat(w, 1, t - LIMIT, 40);
	IS(tick(t, true), WR_WIRE_OPEN, "a worker that is late");
	beats(t, 40);
	IS(tick(t, false), WR_WIRE_OPEN, "no ruleset mapped");
	IS(tick(t, true), WR_WIRE_INSPECT, "all is well: back to inspection");
	IS(wr_wire_epoch_of(w->decision), 40, "the epoch stays: it counts departures");

	wr_xdp_admin(w, WR_WIRE_CLOSED);
	IS(wr_wire_state_of(w->decision), WR_WIRE_CLOSED, "a person closes the wire");
	beats(t, 41);
	IS(tick(t, true), WR_WIRE_CLOSED, "the dataplane does not overrule");
	w->on_process_death = WR_WIRE_OPEN;
	wr_xdp_admin_free(w);
	IS(wr_wire_state_of(w->decision), WR_WIRE_OPEN, "freed: the declared policy holds");
	beats(t, 42);
	IS(tick(t, true), WR_WIRE_INSPECT, "until the dataplane takes it");

	set(WR_WIRE_OPEN, WR_WIRE_STALL, 42);
	w->good_since_ns = 0;
	IS(tick(t, true), WR_WIRE_OPEN, "after a stall: not at once");
	t += WR_XDP_REARM_NS / 2;
	IS(tick(t, true), WR_WIRE_OPEN, "a second stall ends the good time");
	beats(t, 42);
	IS(tick(t, true), WR_WIRE_OPEN, "it begins anew");
	t += WR_XDP_REARM_NS - 1;
	beats(t, 42);
	IS(tick(t, true), WR_WIRE_OPEN, "so not yet");
	t += 1;
	IS(tick(t, true), WR_WIRE_INSPECT, "a second of good beats");

	w->on_process_death = WR_WIRE_CLOSED;
	wr_xdp_leave(w);
	IS(wr_wire_state_of(w->decision), WR_WIRE_CLOSED, "a clean end hands over to the policy");
	IS(wr_wire_cause_of(w->decision), WR_WIRE_LEFT, "and says so");
	IS(wr_wire_epoch_of(w->decision), 43, "in a new epoch");
	OK(wr_xdp_oldest_beat_age(w, t) == UINT64_MAX, "and serves no queue");
	wr_xdp_admin(w, WR_WIRE_OPEN);
	wr_xdp_leave(w);
	IS(wr_wire_cause_of(w->decision), WR_WIRE_ADMIN, "a person's word outlives the dataplane");
	wr_xdp_admin_free(w);
	IS(tick(t, true), WR_WIRE_CLOSED, "no queue served: no inspection");
}

static void test_again(void)
{
	uint32_t id = link_info(0).id;
	uint64_t word;

	arm();
	word = w->decision;
	conf.on_process_death = WR_WIRE_CLOSED;
	IS(wr_xdp_install(&conf, err), 0, "install over a living link");
	IS(w->decision, word, "the dataplane's inspection goes on");
	IS(link_info(0).id, id, "in the same attachment, which was never off");
	set(WR_WIRE_OPEN, WR_WIRE_DEATH, 50);
	IS(wr_xdp_install(&conf, err), 0, "install over an unattended link");
	IS(w->decision, wr_wire_word(WR_WIRE_CLOSED, WR_WIRE_DEATH, 51),
	   "it follows the new policy");
	set(WR_WIRE_OPEN, WR_WIRE_ADMIN, 51);
	IS(wr_xdp_install(&conf, err), 0, "install over a person's word");
	IS(wr_wire_state_of(w->decision), WR_WIRE_OPEN, "it stays");
}

/* The three libbpf calls of the port driver, as it makes them. */
static void test_driver(void)
{
	char arg[256], path[200];
	struct bpf_object *o;
	uint32_t id = link_info(1).id, queue = 0;
	int prog, s;

	IS(wr_xdp_devarg("t", WR_XDP_STORE, "net_af_xdp1,iface=wts", arg, sizeof(arg)), 0,
	   "devarg");
	snprintf(path, sizeof(path), "%s/t/store", root);
	OK(strstr(arg, path) && access(path, F_OK) == 0, "its path exists, as the driver demands");
	IS(wr_xdp_devarg("t", WR_XDP_STORE, "net_af_xdp1,xdp_prog=x", arg, sizeof(arg)), -EINVAL,
	   "a program of the user's own is refused");
	OK(wr_xdp_attached("t", err) == -ENOTCONN, "nothing attached yet: %s", err);

	o = bpf_object__open_file(path, NULL);
	OK(o != NULL, "the driver opens the embedded object under that path");
	IS(bpf_object__load(o), 0, "loads it");
	prog = bpf_program__fd(bpf_object__next_program(o, NULL));
	IS(bpf_xdp_attach((int)if_nametoindex("wts"), prog, 1, NULL), 0, "attaches it");
	IS(link_info(1).id, id, "which was a swap inside the pinned link");
	OK(wr_xdp_attached("t", err) == -ENOTCONN, "the client side is still missing");

	w->on_worker_stall = WR_WIRE_CLOSED;
	serve(1);
	s = socket(AF_XDP, SOCK_RAW, 0);
	IS(bpf_map_update_elem(bpf_map__fd(bpf_object__find_map_by_name(o, "xsks_map")), &queue, &s,
	                       0),
	   0, "puts its socket into the map it finds by name");
	arm();
	beat(0, 0);
	IS(frame(1), XDP_REDIRECT, "frames reach the socket");
	IS(wr_wire_state_of(w->decision), WR_WIRE_INSPECT, "by inspection");
	IS(bpf_xdp_detach((int)if_nametoindex("wts"), 1, NULL), 0, "detaches");
	bpf_object__close(o);
	close(s);
	IS(link_info(1).id, id, "and the link stays");
	w->on_process_death = WR_WIRE_OPEN;
	IS(frame(1), XDP_REDIRECT, "by policy");
	IS(wr_wire_cause_of(w->decision), WR_WIRE_DEATH, "because the process is gone");
	OK(bpf_object__open_file("/nonexistent.o", NULL) == NULL && errno == ENOENT,
	   "other paths are libbpf's");
	IS(bpf_xdp_detach((int)if_nametoindex("lo"), 0, NULL), 0, "other interfaces too");
}

static void other_version(enum wr_wire_state s)
{
	char path[256], value[64] = { 0 };
	uint64_t word = wr_wire_word(s, WR_WIRE_BOOT, 7);
	uint32_t zero = 0;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "wire", 4, sizeof(value), 1, NULL);

	memcpy(value, &word, sizeof(word));
	bpf_map_update_elem(fd, &zero, value, 0);
	snprintf(path, sizeof(path), "%s/t/wire", root);
	unlink(path);
	if (bpf_obj_pin(fd, path))
		printf("# pin: %s\n", strerror(errno));
	close(fd);
}

static void test_version(void)
{
	wr_xdp_close(x);
	other_version(WR_WIRE_INSPECT);
	OK(wr_xdp_open("t", err) == NULL, "a page of another version is not read: %s", err);
	IS(wr_xdp_install(&conf, err), -EBUSY, "nor replaced under a dataplane: %s", err);
	other_version(WR_WIRE_OPEN);
	IS(wr_xdp_install(&conf, err), 0, "but it is replaced when unattended");
	x = wr_xdp_open("t", err);
	if (!x)
		exit(1);
	w = wr_xdp_page(x);
	IS(wr_wire_state_of(w->decision), WR_WIRE_CLOSED, "with the declared policy");
	IS(frame(0), XDP_DROP, "which the swapped program follows");
}

static void test_remove(void)
{
	struct wr_xdp_conf bad;
	char path[256];

	arm();
	IS(wr_xdp_remove("t", false, err), -EBUSY, "remove refuses while a dataplane inspects: %s",
	   err);
	IS(wr_xdp_remove("t", true, err), 0, "unless forced");
	OK(sh("ip -o link show wtc | grep -q xdp"), "the interface has no program any more");
	snprintf(path, sizeof(path), "%s/t", root);
	OK(access(path, F_OK) != 0, "nothing is left in bpffs");
	IS(wr_xdp_remove("t", true, err), -ENOENT, "a second remove says so");
	wr_xdp_close(x);

	bad = conf;
	snprintf(bad.ifname[1], IF_NAMESIZE, "nosuch");
	IS(wr_xdp_install(&bad, err), -ENODEV, "no such interface: %s", err);
	snprintf(bad.ifname[1], IF_NAMESIZE, "wtc");
	IS(wr_xdp_install(&bad, err), -EINVAL, "the same interface twice: %s", err);
	bad = conf;
	snprintf(bad.link, sizeof(bad.link), "../x");
	IS(wr_xdp_install(&bad, err), -EINVAL, "a name that leaves the folder");
	bad = conf;
	bad.stall_limit_ns = 10;
	IS(wr_xdp_install(&bad, err), -EINVAL, "a limit that every beat misses: %s", err);
}

/* Someone else's program on the store port: the client port must not be left half installed. */
static void test_conflict(void)
{
	char path[256];
	struct bpf_insn pass[] = { { .code = 0xb7, .dst_reg = 0, .imm = XDP_PASS },
		                   { .code = 0x95 } };
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", pass, 2, NULL);
	int link = bpf_link_create(fd, (int)if_nametoindex("wts"), BPF_XDP, NULL);

	IS(wr_xdp_install(&conf, err), -EBUSY, "another program is in the way: %s", err);
	snprintf(path, sizeof(path), "%s/t/client/link", root);
	OK(access(path, F_OK) != 0, "the client port is not half installed");
	bpf_link_detach(link); /* at once: the last close() leaves it to a work queue */
	close(link);
	close(fd);
	IS(wr_xdp_install(&conf, err), 0, "when it is gone, install works");
	sh("ip link del wts1; ip link add wts type veth peer name wts1");
	IS(wr_xdp_install(&conf, err), 0, "an interface that was made anew is taken again");
	IS(link_info(1).xdp.ifindex, if_nametoindex("wts"), "under its new index");
	IS(wr_xdp_remove("t", false, err), 0, "remove of an unattended link");
}

static void test_devices(void)
{
	struct wr_conf_link l = { .name = "a",
		                  .on_process_death = WR_DEATH_OPEN,
		                  .stall_limit_ns = LIMIT };
	struct wr_xdp_conf c;

	l.client.ndevices = l.store.ndevices = 1;
	strcpy(l.client.device[0], "0000:3b:00.0");
	strcpy(l.store.device[0], "0000:3b:00.1");
	IS(wr_xdp_conf_of(&l, &c, err), 0, "PCI ports have no XDP");
	strcpy(l.client.device[0], "net_af_xdp0,iface=wtc,start_queue=0");
	IS(wr_xdp_conf_of(&l, &c, err), -EINVAL, "half a link: %s", err);
	strcpy(l.store.device[0], "net_af_xdp1,iface=wts");
	IS(wr_xdp_conf_of(&l, &c, err), 1, "two AF_XDP ports");
	OK(!strcmp(c.ifname[0], "wtc") && !strcmp(c.ifname[1], "wts") && !strcmp(c.link, "a"),
	   "their names");
	IS(c.on_process_death, WR_WIRE_OPEN, "policy open");
	IS(c.on_worker_stall, WR_WIRE_CLOSED, "policy closed");
	l.store.ndevices = 2;
	strcpy(l.store.device[1], "net_af_xdp2,iface=other,start_queue=1");
	IS(wr_xdp_conf_of(&l, &c, err), -EINVAL, "one port, two interfaces: %s", err);
	strcpy(l.store.device[1], "net_af_xdp2,start_queue=1");
	IS(wr_xdp_conf_of(&l, &c, err), -EINVAL, "no interface: %s", err);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level, (void)fmt, (void)ap;
	return 0;
}

int main(void)
{
	struct statfs fs;

	if (geteuid() != 0 || statfs("/sys/fs/bpf", &fs) || fs.f_type != BPF_FS_MAGIC ||
	    unshare(CLONE_NEWNET)) {
		printf("1..0 # SKIP needs root and bpffs at /sys/fs/bpf\n");
		return 0;
	}
	if (sh("ip link add wtc numrxqueues 2 numtxqueues 2 type veth peer name wtc1 && "
	       "ip link add wts type veth peer name wts1 && ip link set wtc up && ip link set wtc1 "
	       "up && "
	       "ip link set wts up && ip link set wts1 up")) {
		printf("1..0 # SKIP no veth\n");
		return 0;
	}
	libbpf_set_print(quiet);
	snprintf(root, sizeof(root), "/sys/fs/bpf/weir-test-%d", (int)getpid());
	setenv("WEIR_BPFFS", root, 1);
	test_install();
	test_decisions();
	test_one_word();
	test_unserved();
	test_race();
	test_tick();
	test_again();
	test_driver();
	test_version();
	test_remove();
	test_conflict();
	test_devices();
	rmdir(root);
	return tap_done();
}
