/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Install and remove. The order is the point: both programs are loaded before anything is attached,
 * the page holds the policy before a program can read it, and a program that is attached already is
 * swapped inside its link, so that no frame meets an interface without one.
 */
#include "xdp/xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "xdp/pins.h"

extern const unsigned char wr_wire_object[];
extern const size_t wr_wire_object_size;

static_assert(WR_WIRE_WORKERS == WR_WORKERS_MAX, "a beat for every worker");
static_assert(offsetof(struct wr_wire_shared, decision) == 0,
              "another version's page can still be asked whether it inspects");

const char *const wr_xdp_side_name[2] = { "client", "store" };

int wr_xdp_fail(char *err, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, WR_XDP_ERR, fmt, ap);
	va_end(ap);
	return error < 0 ? error : -EIO;
}

const char *wr_xdp_root(void)
{
	const char *r = getenv("WEIR_BPFFS");

	return r && *r == '/' ? r : WR_XDP_ROOT;
}

int wr_xdp_path(char *out, const char *link, const char *leaf)
{
	size_t n = strnlen(link, WR_NAME_MAX);

	if (n == 0 || n == WR_NAME_MAX || *link == '.' || strchr(link, '/'))
		return -EINVAL;
	n = (size_t)snprintf(out, PIN_PATH, "%s/%s%s%s", wr_xdp_root(), link, *leaf ? "/" : "",
	                     leaf);
	return n < PIN_PATH ? 0 : -ENAMETOOLONG;
}

static int side_path(char *out, const char *link, enum wr_xdp_side side, const char *leaf)
{
	char part[32];

	snprintf(part, sizeof(part), "%s%s%s", wr_xdp_side_name[side], *leaf ? "/" : "", leaf);
	return wr_xdp_path(out, link, part);
}

static int open_pin(const char *link, const char *leaf, bool ro)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = ro ? BPF_F_RDONLY : 0);
	char path[PIN_PATH];
	int e = wr_xdp_path(path, link, leaf);

	if (e)
		return e;
	e = bpf_obj_get_opts(path, &opts);
	return e < 0 ? -errno : e;
}

void wr_xdp_pins_close(struct wr_pins *p)
{
	int *fd[] = { &p->wire, &p->count, &p->xsks[0], &p->xsks[1] };

	for (size_t i = 0; i < WR_COUNT_OF(fd); i++) {
		if (*fd[i] >= 0)
			close(*fd[i]);
		*fd[i] = -1;
	}
}

static bool fits(int fd, uint32_t type, size_t value_size)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.type == type &&
	       info.value_size == value_size;
}

int wr_xdp_pins_open(const char *link, bool ro, struct wr_pins *p, char *err)
{
	struct wr_wire_shared *w;

	p->wire = open_pin(link, "wire", ro);
	p->count = open_pin(link, "count", ro);
	p->xsks[0] = ro ? -1 : open_pin(link, "client/xsks_map", false);
	p->xsks[1] = ro ? -1 : open_pin(link, "store/xsks_map", false);
	if (p->wire < 0) {
		int e = p->wire;

		wr_xdp_pins_close(p);
		if (e == -ENOENT)
			return wr_xdp_fail(err, e,
			                   "link %s is not installed under %s (weir wire install)",
			                   link, wr_xdp_root());
		return wr_xdp_fail(err, e, "cannot open %s/%s/wire: %s", wr_xdp_root(), link,
		                   strerror(-e));
	}
	if (fits(p->wire, BPF_MAP_TYPE_ARRAY, sizeof(*w)) &&
	    fits(p->count, BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(struct wr_wire_count)) &&
	    (ro || (fits(p->xsks[0], BPF_MAP_TYPE_XSKMAP, 4) &&
	            fits(p->xsks[1], BPF_MAP_TYPE_XSKMAP, 4)))) {
		w = wr_xdp_map_page(p->wire, ro);
		bool same = w && w->abi == WR_WIRE_ABI && w->size == sizeof(*w);

		if (w)
			munmap(w, sizeof(*w));
		if (same)
			return 0;
	}
	wr_xdp_pins_close(p);
	return wr_xdp_fail(err, -EPROTO,
	                   "link %s was installed by another version (weir wire install)", link);
}

/*
 * Who may only look gets a copy: the kernel maps no BPF map through a descriptor that is not
 * writable. Either way it is sizeof(struct wr_wire_shared) of memory that munmap() ends.
 */
void *wr_xdp_map_page(int wire_fd, bool ro)
{
	const size_t n = sizeof(struct wr_wire_shared);
	uint32_t zero = 0;
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
	               ro ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, ro ? -1 : wire_fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (ro && bpf_map_lookup_elem(wire_fd, &zero, p)) {
		munmap(p, n);
		return NULL;
	}
	return p;
}

static int reuse(struct bpf_object *o, const char *name, int fd)
{
	struct bpf_map *m = bpf_object__find_map_by_name(o, name);

	return m ? bpf_map__reuse_fd(m, fd) : -ENOENT;
}

struct bpf_object *wr_xdp_object(const struct wr_pins *p, enum wr_xdp_side side, uint32_t peer,
                                 char *err)
{
	struct wr_wire_port port = { .side = side, .peer = peer };
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "weir");
	struct bpf_object *o = bpf_object__open_mem(wr_wire_object, wr_wire_object_size, &opts);
	struct bpf_map *ro;

	if (!o) {
		wr_xdp_fail(err, -errno, "the embedded XDP object cannot be read: %s",
		            strerror(errno));
		return NULL;
	}
	ro = bpf_object__find_map_by_name(o, ".rodata");
	if (!ro || bpf_map__set_initial_value(ro, &port, sizeof(port)) ||
	    reuse(o, "wire", p->wire) || reuse(o, "count", p->count) ||
	    reuse(o, "xsks_map", p->xsks[side])) {
		wr_xdp_fail(err, -EPROTO, "the embedded XDP object does not fit its maps");
		bpf_object__close(o);
		return NULL;
	}
	return o;
}

uint32_t wr_xdp_link_ifindex(const char *link, enum wr_xdp_side side, uint32_t *prog_id)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[PIN_PATH];
	int fd = side_path(path, link, side, "link") ? -1 : bpf_obj_get(path);

	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.type != BPF_LINK_TYPE_XDP)
		memset(&info, 0, sizeof(info));
	close(fd);
	if (prog_id)
		*prog_id = info.prog_id;
	return info.xdp.ifindex;
}

/* --- install -------------------------------------------------------------------------------------
 */

struct install {
	const struct wr_xdp_conf *c;
	uint32_t ifindex[2];
	struct wr_pins pins;
	bool fresh; /* new maps: nothing there, or another version's */
	struct bpf_object *obj[2];
	bool attached[2]; /* by us, now: to be taken off again when the rest fails */
	char *err;
};

/* weir-control runs as its own user and may look at the page and the counters. */
static void share(const char *path, mode_t mode)
{
	struct group *g = getgrnam("weir");

	if (g && chown(path, (uid_t)-1, g->gr_gid) == 0)
		(void)chmod(path, mode);
}

static int make_folder(const char *path, char *err)
{
	if (mkdir(path, 0750) && errno != EEXIST)
		return wr_xdp_fail(err, -errno, "cannot make %s: %s", path, strerror(errno));
	share(path, 0750);
	return 0;
}

/* The lock that two installs or a remove share; the caller closes it. */
static int lock_root(char *err)
{
	const char *root = wr_xdp_root();
	struct statfs fs;
	int fd, e = make_folder(root, err);

	if (e)
		return e;
	if (statfs(root, &fs) || fs.f_type != BPF_FS_MAGIC)
		return wr_xdp_fail(err, -ENODEV,
		                   "%s is not on a bpf file system (mount -t bpf bpf /sys/fs/bpf)",
		                   root);
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX)) {
		e = wr_xdp_fail(err, -errno, "cannot lock %s: %s", root, strerror(errno));
		if (fd >= 0)
			close(fd);
		return e;
	}
	return fd;
}

static int make_maps(struct install *in)
{
	LIBBPF_OPTS(bpf_map_create_opts, mmapable, .map_flags = BPF_F_MMAPABLE);
	struct wr_pins *p = &in->pins;

	p->wire = bpf_map_create(BPF_MAP_TYPE_ARRAY, "wire", 4, sizeof(struct wr_wire_shared), 1,
	                         &mmapable);
	p->count = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "count", 4,
	                          sizeof(struct wr_wire_count), 2, NULL);
	p->xsks[0] = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "xsks_map", 4, 4, WR_WIRE_QUEUES, NULL);
	p->xsks[1] = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "xsks_map", 4, 4, WR_WIRE_QUEUES, NULL);
	if (p->wire < 0 || p->count < 0 || p->xsks[0] < 0 || p->xsks[1] < 0)
		return wr_xdp_fail(in->err, -errno,
		                   "cannot create BPF maps: %s (needs CAP_BPF and CAP_NET_ADMIN)",
		                   strerror(errno));
	return 0;
}

static int find_or_make_maps(struct install *in)
{
	uint64_t word = 0;
	uint32_t zero = 0;
	int old, e = wr_xdp_pins_open(in->c->link, false, &in->pins, in->err);

	if (e == 0)
		return 0;
	if (e != -ENOENT && e != -EPROTO)
		return e;
	in->fresh = true;
	old = open_pin(in->c->link, "wire", true);
	if (old >= 0) {
		struct bpf_map_info info = { 0 };
		uint32_t len = sizeof(info);
		void *value;

		if (bpf_obj_get_info_by_fd(old, &info, &len) == 0 &&
		    info.value_size >= sizeof(word) &&
		    (value = calloc(1, info.value_size)) != NULL) {
			if (bpf_map_lookup_elem(old, &zero, value) == 0)
				memcpy(&word, value, sizeof(word));
			free(value);
		}
		close(old);
		if (wr_wire_state_of(word) == WR_WIRE_INSPECT)
			return wr_xdp_fail(
			        in->err, -EBUSY,
			        "a dataplane of another version inspects link %s: stop it first",
			        in->c->link);
	}
	return make_maps(in);
}

static int load(struct install *in)
{
	for (int s = 0; s < 2; s++) {
		int e;

		in->obj[s] =
		        wr_xdp_object(&in->pins, (enum wr_xdp_side)s, in->ifindex[!s], in->err);
		if (!in->obj[s])
			return -EPROTO;
		e = bpf_object__load(in->obj[s]);
		if (e)
			return wr_xdp_fail(in->err, e, "the kernel refuses the XDP program: %s",
			                   strerror(-e));
	}
	return 0;
}

static uint8_t by_cause(const struct wr_xdp_conf *c, enum wr_wire_cause why)
{
	return why == WR_WIRE_STALL ? c->on_worker_stall : c->on_process_death;
}

/* The policy as declared now; an unattended link follows it at once, a person's word stays. */
static int write_policy(struct install *in)
{
	struct wr_wire_shared *w = wr_xdp_map_page(in->pins.wire, false);
	__u64 word;

	if (!w)
		return wr_xdp_fail(in->err, -errno, "cannot map the wire's page: %s",
		                   strerror(errno));
	w->on_process_death = in->c->on_process_death;
	w->on_worker_stall = in->c->on_worker_stall;
	w->stall_limit_ns = in->c->stall_limit_ns;
	memcpy(w->ifname, in->c->ifname, sizeof(w->ifname));
	w->abi = WR_WIRE_ABI;
	w->size = sizeof(*w);
	word = wr_wire_decision(w);
	while (wr_wire_state_of(word) != WR_WIRE_INSPECT &&
	       wr_wire_cause_of(word) != WR_WIRE_ADMIN) {
		enum wr_wire_cause why = wr_wire_cause_of(word);
		enum wr_wire_state s =
		        by_cause(in->c, why) == WR_WIRE_OPEN ? WR_WIRE_OPEN : WR_WIRE_CLOSED;

		if (s == wr_wire_state_of(word) ||
		    __atomic_compare_exchange_n(&w->decision, &word, wr_wire_left(word, s, why),
		                                false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			break;
	}
	munmap(w, sizeof(*w));
	return 0;
}

static int pin_one(struct install *in, int fd, const char *leaf)
{
	char path[PIN_PATH];
	int e = wr_xdp_path(path, in->c->link, leaf);

	if (e)
		return wr_xdp_fail(in->err, e, "bad link name %s", in->c->link);
	if (unlink(path) && errno != ENOENT)
		return wr_xdp_fail(in->err, -errno, "cannot replace %s: %s", path, strerror(errno));
	if (bpf_obj_pin(fd, path))
		return wr_xdp_fail(in->err, -errno, "cannot pin %s: %s", path, strerror(errno));
	if (fd == in->pins.wire || fd == in->pins.count)
		share(path, 0640);
	return 0;
}

static int pin_maps(struct install *in)
{
	int e = pin_one(in, in->pins.wire, "wire");

	if (!e)
		e = pin_one(in, in->pins.count, "count");
	if (!e)
		e = pin_one(in, in->pins.xsks[0], "client/xsks_map");
	if (!e)
		e = pin_one(in, in->pins.xsks[1], "store/xsks_map");
	return e;
}

static int attach(struct install *in, enum wr_xdp_side s)
{
	char path[PIN_PATH], leaf[32];
	int link = -1, prog, e = 0;
	uint32_t at = wr_xdp_link_ifindex(in->c->link, s, NULL);

	prog = bpf_program__fd(bpf_object__next_program(in->obj[s], NULL));
	if (side_path(path, in->c->link, s, "link"))
		return -EINVAL;
	if (at == in->ifindex[s]) {
		link = bpf_obj_get(path);
		if (link < 0 || bpf_link_update(link, prog, NULL))
			e = wr_xdp_fail(in->err, -errno, "cannot swap the program of %s: %s",
			                in->c->ifname[s], strerror(errno));
	} else {
		/* The interface was made anew (or the link names another one now). */
		link = bpf_link_create(prog, (int)in->ifindex[s], BPF_XDP, NULL);
		if (link < 0) {
			e = -errno;
			return wr_xdp_fail(in->err, e, "cannot attach to %s: %s%s",
			                   in->c->ifname[s], strerror(-e),
			                   e == -EBUSY ? " (another XDP program sits there: ip "
			                                 "link set dev IF xdp off)"
			                               : "");
		}
		snprintf(leaf, sizeof(leaf), "%s/link", wr_xdp_side_name[s]);
		e = pin_one(in, link, leaf);
		in->attached[s] = !e;
	}
	if (link >= 0)
		close(link);
	return e;
}

/* By name and at once: the kernel leaves the end of an unpinned link to a work queue. */
static void take_off(const char *path)
{
	int fd = bpf_obj_get(path);

	if (fd >= 0) {
		bpf_link_detach(fd);
		close(fd);
	}
	unlink(path);
}

static int install_steps(struct install *in)
{
	char path[PIN_PATH];
	int e;

	for (int s = -1; s < 2; s++) {
		e = wr_xdp_path(path, in->c->link, s < 0 ? "" : wr_xdp_side_name[s]);
		if (e)
			return wr_xdp_fail(in->err, e, "bad link name %s", in->c->link);
		e = make_folder(path, in->err);
		if (e)
			return e;
	}
	e = find_or_make_maps(in);
	if (!e)
		e = load(in);
	if (!e)
		e = write_policy(in);
	if (!e && in->fresh)
		e = pin_maps(in);
	if (!e)
		e = attach(in, WR_XDP_CLIENT);
	if (!e)
		e = attach(in, WR_XDP_STORE);
	for (int s = 0; e && s < 2; s++)
		if (in->attached[s] &&
		    side_path(path, in->c->link, (enum wr_xdp_side)s, "link") == 0)
			take_off(path);
	return e;
}

int wr_xdp_install(const struct wr_xdp_conf *c, char *err)
{
	struct install in = { .c = c, .pins = { -1, -1, { -1, -1 } }, .err = err };
	int lock, e;

	if (c->stall_limit_ns < 1000000 || c->stall_limit_ns > 60000000000ull)
		return wr_xdp_fail(err, -EINVAL, "stall_limit must lie between 1 ms and 60 s");
	for (int s = 0; s < 2; s++) {
		in.ifindex[s] = if_nametoindex(c->ifname[s]);
		if (in.ifindex[s] == 0)
			return wr_xdp_fail(err, -ENODEV, "no interface %s", c->ifname[s]);
	}
	if (in.ifindex[0] == in.ifindex[1])
		return wr_xdp_fail(err, -EINVAL, "both ports of link %s are %s", c->link,
		                   c->ifname[0]);
	lock = lock_root(err);
	if (lock < 0)
		return lock;
	e = install_steps(&in);
	bpf_object__close(in.obj[0]);
	bpf_object__close(in.obj[1]);
	wr_xdp_pins_close(&in.pins);
	close(lock);
	return e;
}

/* --- remove --------------------------------------------------------------------------------------
 */

int wr_xdp_remove(const char *link, bool force, char *err)
{
	static const char *const leaf[] = { "client/link",    "store/link", "client/xsks_map",
		                            "store/xsks_map", "count",      "wire" };
	static const char *const folder[] = { "client", "store", "" };
	char path[PIN_PATH];
	struct wr_xdp *x;
	int lock, e = wr_xdp_path(path, link, "");

	if (e || access(path, F_OK))
		return wr_xdp_fail(err, -ENOENT, "link %s is not installed", link);
	x = force ? NULL : wr_xdp_open(link, err);
	if (x) {
		bool inspects =
		        wr_wire_state_of(wr_wire_decision(wr_xdp_page(x))) == WR_WIRE_INSPECT;

		wr_xdp_close(x);
		if (inspects)
			return wr_xdp_fail(
			        err, -EBUSY,
			        "a dataplane inspects link %s (--force takes it off all the same)",
			        link);
	}
	lock = lock_root(err);
	if (lock < 0)
		return lock;
	for (size_t i = 0; i < WR_COUNT_OF(leaf); i++) {
		int fd;

		if (wr_xdp_path(path, link, leaf[i]))
			continue;
		/* A link that a process still holds would outlive its pin: detach it by name. */
		fd = i < 2 ? bpf_obj_get(path) : -1;
		if (fd >= 0) {
			bpf_link_detach(fd);
			close(fd);
		}
		if (unlink(path) && errno != ENOENT)
			e = wr_xdp_fail(err, -errno, "cannot remove %s: %s", path, strerror(errno));
	}
	for (size_t i = 0; i < WR_COUNT_OF(folder); i++)
		if (wr_xdp_path(path, link, folder[i]) == 0 && rmdir(path) && errno != ENOENT && !e)
			e = wr_xdp_fail(err, -errno, "cannot remove %s: %s", path, strerror(errno));
	close(lock);
	return e;
}
