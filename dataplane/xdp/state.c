/* SPDX-License-Identifier: BSD-3-Clause */
/* The page of an installed link: who may change the decision, and when. */
#include "xdp/xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "xdp/pins.h"

struct wr_xdp {
	char link[WR_NAME_MAX];
	struct wr_pins pins;
	struct wr_wire_shared *page;
};

const char *wr_wire_state_name(enum wr_wire_state s)
{
	static const char *const name[WR_WIRE_STATES] = { "closed", "open", "inspect" };

	return s < WR_WIRE_STATES ? name[s] : "?";
}

const char *wr_wire_cause_name(enum wr_wire_cause c)
{
	static const char *const name[WR_WIRE_CAUSES] = { "boot",  "death", "stall",
		                                          "admin", "left",  "freed" };

	return c < WR_WIRE_CAUSES ? name[c] : "?";
}

static struct wr_xdp *open_link(const char *link, bool ro, char *err)
{
	struct wr_xdp *x = calloc(1, sizeof(*x));

	if (!x) {
		wr_xdp_fail(err, -ENOMEM, "no memory");
		return NULL;
	}
	if (wr_xdp_pins_open(link, ro, &x->pins, err)) {
		free(x);
		return NULL;
	}
	snprintf(x->link, sizeof(x->link), "%s", link);
	x->page = wr_xdp_map_page(x->pins.wire, ro);
	if (!x->page) {
		wr_xdp_fail(err, -errno, "cannot map the page of link %s: %s", link,
		            strerror(errno));
		wr_xdp_close(x);
		return NULL;
	}
	return x;
}

struct wr_xdp *wr_xdp_open(const char *link, char *err)
{
	return open_link(link, false, err);
}

struct wr_xdp *wr_xdp_open_ro(const char *link, char *err)
{
	return open_link(link, true, err);
}

void wr_xdp_close(struct wr_xdp *x)
{
	if (!x)
		return;
	if (x->page)
		munmap(x->page, sizeof(*x->page));
	wr_xdp_pins_close(&x->pins);
	free(x);
}

struct wr_wire_shared *wr_xdp_page(struct wr_xdp *x)
{
	return x->page;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int wr_xdp_list(char name[][WR_NAME_MAX], int max)
{
	DIR *d = opendir(wr_xdp_root());
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)) != NULL) {
		char path[PIN_PATH];

		/* Other things of other programs may lie under a root that is not Weir's alone. */
		if (*e->d_name == '.' || wr_xdp_path(path, e->d_name, "wire") || access(path, F_OK))
			continue;
		if (n < max)
			snprintf(name[n], WR_NAME_MAX, "%.31s", e->d_name);
		n++;
	}
	if (d)
		closedir(d);
	qsort(name, (size_t)(n < max ? n : max), WR_NAME_MAX, by_name);
	return n;
}

static void add(struct wr_wire_count *to, const struct wr_wire_count *c)
{
	to->socket_frames += c->socket_frames;
	to->socket_bytes += c->socket_bytes;
	to->open_frames += c->open_frames;
	to->open_bytes += c->open_bytes;
	to->closed_frames += c->closed_frames;
	to->closed_bytes += c->closed_bytes;
	to->unserved_frames += c->unserved_frames;
	to->unserved_bytes += c->unserved_bytes;
}

int wr_xdp_port(struct wr_xdp *x, enum wr_xdp_side side, struct wr_xdp_port_info *out)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	char here[IF_NAMESIZE];
	int cpus = libbpf_num_possible_cpus();
	struct wr_wire_count *c;
	uint32_t key = side;

	memset(out, 0, sizeof(*out));
	out->ifindex = wr_xdp_link_ifindex(x->link, side, &out->prog_id);
	if (!if_indextoname(out->ifindex, here) || strcmp(here, x->page->ifname[side]) != 0)
		out->ifindex = 0;
	memcpy(out->ifname, x->page->ifname[side], sizeof(out->ifname));
	if (out->ifindex && bpf_xdp_query((int)out->ifindex, 0, &q) == 0)
		out->generic = q.attach_mode == XDP_ATTACHED_SKB;
	if (cpus <= 0)
		return -EIO;
	c = calloc((size_t)cpus, sizeof(*c));
	if (!c)
		return -ENOMEM;
	if (bpf_map_lookup_elem(x->pins.count, &key, c)) {
		free(c);
		return -EIO;
	}
	for (int i = 0; i < cpus; i++)
		add(&out->count, &c[i]);
	free(c);
	return 0;
}

/* --- the decision
 * --------------------------------------------------------------------------------- */

static bool swap(struct wr_wire_shared *w, uint64_t *word, uint64_t next)
{
	return __atomic_compare_exchange_n(&w->decision, (__u64 *)word, next, false,
	                                   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void leave(struct wr_wire_shared *w, enum wr_wire_state s, enum wr_wire_cause c)
{
	uint64_t word = wr_wire_decision(w);

	while (!swap(w, &word, wr_wire_left(word, s, c)))
		;
	w->changed_ns = now_ns();
	__atomic_fetch_add(s == WR_WIRE_OPEN ? &w->opened : &w->closed, 1, __ATOMIC_RELAXED);
}

static enum wr_wire_state death_state(const struct wr_wire_shared *w)
{
	return w->on_process_death == WR_WIRE_OPEN ? WR_WIRE_OPEN : WR_WIRE_CLOSED;
}

void wr_xdp_admin(struct wr_wire_shared *w, enum wr_wire_state s)
{
	leave(w, s == WR_WIRE_OPEN ? WR_WIRE_OPEN : WR_WIRE_CLOSED, WR_WIRE_ADMIN);
}

void wr_xdp_admin_free(struct wr_wire_shared *w)
{
	if (wr_wire_cause_of(wr_wire_decision(w)) == WR_WIRE_ADMIN &&
	    wr_wire_state_of(wr_wire_decision(w)) != WR_WIRE_INSPECT)
		leave(w, death_state(w), WR_WIRE_FREED);
}

void wr_xdp_leave(struct wr_wire_shared *w)
{
	uint64_t word = wr_wire_decision(w);

	/* A person's word stays; a link that already left has nothing to hand over. */
	while (wr_wire_state_of(word) == WR_WIRE_INSPECT) {
		if (!swap(w, &word, wr_wire_left(word, death_state(w), WR_WIRE_LEFT)))
			continue;
		w->changed_ns = now_ns();
		__atomic_fetch_add(death_state(w) == WR_WIRE_OPEN ? &w->opened : &w->closed, 1,
		                   __ATOMIC_RELAXED);
		break;
	}
	wr_xdp_serve_none(w);
	w->pid = 0;
}

void wr_xdp_serve(struct wr_wire_shared *w, uint32_t queue, const uint8_t *slots, uint32_t n)
{
	WR_ASSERT(queue < WR_WIRE_QUEUES && n <= WR_WIRE_WORKERS);
	memcpy(w->queue[queue].worker, slots, n);
	__atomic_store_n(&w->queue[queue].nworkers, n, __ATOMIC_RELEASE);
	w->pid = (uint32_t)getpid();
}

void wr_xdp_serve_none(struct wr_wire_shared *w)
{
	for (uint32_t q = 0; q < WR_WIRE_QUEUES; q++)
		__atomic_store_n(&w->queue[q].nworkers, 0, __ATOMIC_RELEASE);
}

static uint64_t age(uint64_t beat, uint64_t now)
{
	return beat > now ? 0 : now - beat;
}

uint64_t wr_xdp_oldest_beat_age(const struct wr_wire_shared *w, uint64_t now)
{
	uint64_t oldest = 0;
	bool any = false;

	for (uint32_t q = 0; q < WR_WIRE_QUEUES; q++)
		for (uint32_t i = 0; i < w->queue[q].nworkers && i < WR_WIRE_WORKERS; i++) {
			const struct wr_wire_beat *b =
			        &w->beat[w->queue[q].worker[i] % WR_WIRE_WORKERS];

			any = true;
			oldest = wr_max_u64(
			        oldest, age(__atomic_load_n(&b->beat_ns, __ATOMIC_ACQUIRE), now));
		}
	return any ? oldest : UINT64_MAX;
}

static bool all_acted(const struct wr_wire_shared *w, uint64_t epoch)
{
	for (uint32_t q = 0; q < WR_WIRE_QUEUES; q++)
		for (uint32_t i = 0; i < w->queue[q].nworkers && i < WR_WIRE_WORKERS; i++) {
			const struct wr_wire_beat *b =
			        &w->beat[w->queue[q].worker[i] % WR_WIRE_WORKERS];

			if (__atomic_load_n(&b->epoch, __ATOMIC_ACQUIRE) != epoch)
				return false;
		}
	return true;
}

uint64_t wr_xdp_tick(struct wr_wire_shared *w, uint64_t now, bool ready)
{
	uint64_t word = wr_wire_decision(w), next;

	if (wr_wire_state_of(word) == WR_WIRE_INSPECT)
		return word;
	/* Half the limit: a beat that is only just fresh would trip the first frame. */
	if (wr_xdp_oldest_beat_age(w, now) > w->stall_limit_ns / 2)
		w->good_since_ns = 0;
	else if (w->good_since_ns == 0)
		w->good_since_ns = now;
	if (!ready || wr_wire_cause_of(word) == WR_WIRE_ADMIN || w->good_since_ns == 0)
		return word;
	if (wr_wire_cause_of(word) == WR_WIRE_STALL && now - w->good_since_ns < WR_XDP_REARM_NS)
		return word;
	if (!all_acted(w, wr_wire_epoch_of(word)))
		return word;
	next = wr_wire_word(WR_WIRE_INSPECT, wr_wire_cause_of(word), wr_wire_epoch_of(word));
	if (!swap(w, &word, next))
		return word;
	w->changed_ns = now;
	w->good_since_ns = 0;
	return next;
}

/* --- devices
 * -------------------------------------------------------------------------------------- */

static int iface_of(const struct wr_conf_port *p, char *ifname, const char *side, char *err)
{
	for (uint32_t i = 0; i < p->ndevices && i < WR_QUEUES_MAX; i++) {
		const char *at = strstr(p->device[i], ",iface=");
		char name[IF_NAMESIZE];
		size_t n;

		if (strncmp(p->device[i], "net_af_xdp", 10) != 0)
			return 0;
		if (!at)
			return wr_xdp_fail(err, -EINVAL, "%s device \"%s\" has no iface=", side,
			                   p->device[i]);
		n = strcspn(at + 7, ",");
		if (n == 0 || n >= sizeof(name))
			return wr_xdp_fail(err, -EINVAL, "%s device \"%s\": bad interface name",
			                   side, p->device[i]);
		memcpy(name, at + 7, n);
		name[n] = '\0';
		if (i > 0 && strcmp(name, ifname) != 0)
			return wr_xdp_fail(err, -EINVAL,
			                   "%s devices name two interfaces: %s and %s", side,
			                   ifname, name);
		memcpy(ifname, name, sizeof(name));
	}
	return 1;
}

int wr_xdp_conf_of(const struct wr_conf_link *l, struct wr_xdp_conf *out, char *err)
{
	int c, s;

	memset(out, 0, sizeof(*out));
	c = iface_of(&l->client, out->ifname[0], "client", err);
	if (c < 0)
		return c;
	s = iface_of(&l->store, out->ifname[1], "store", err);
	if (s < 0)
		return s;
	if (c != s)
		return wr_xdp_fail(err, -EINVAL,
		                   "link %s has AF_XDP on one port only: it cannot fail to wire",
		                   l->name);
	if (!c)
		return 0;
	memcpy(out->link, l->name, sizeof(out->link));
	out->on_process_death =
	        l->on_process_death == WR_DEATH_OPEN ? WR_WIRE_OPEN : WR_WIRE_CLOSED;
	out->on_worker_stall = l->on_worker_stall == WR_DEATH_OPEN ? WR_WIRE_OPEN : WR_WIRE_CLOSED;
	out->stall_limit_ns = l->stall_limit_ns;
	return 1;
}

static uint32_t rx_queues(const char *ifname)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq r = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), e;

	if (fd < 0)
		return 0;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", ifname);
	r.ifr_data = (void *)&ch;
	e = ioctl(fd, SIOCETHTOOL, &r);
	close(fd);
	return e ? 0 : ch.combined_count + ch.rx_count; /* 0: the driver does not say */
}

int wr_xdp_check_queues(const struct wr_xdp *x, char *err)
{
	for (int s = 0; s < 2; s++) {
		char name[IF_NAMESIZE];
		uint32_t index = wr_xdp_link_ifindex(x->link, (enum wr_xdp_side)s, NULL), n;

		if (index == 0 || !if_indextoname(index, name))
			return wr_xdp_fail(err, -ENODEV, "the %s interface of link %s is gone",
			                   wr_xdp_side_name[s], x->link);
		n = rx_queues(name);
		for (uint32_t q = 0; q < n; q++)
			if (q >= WR_WIRE_QUEUES || x->page->queue[q].nworkers == 0)
				return wr_xdp_fail(err, -ENOSPC,
				                   "%s has %u receive queues, but nobody serves "
				                   "queue %u: ethtool -L %s",
				                   name, n, q, name);
	}
	return 0;
}
