/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How DPDK's AF_XDP driver is led to our pinned links.
 *
 * The driver opens an object file named by its xdp_prog= argument, loads it, attaches it by netlink
 * and puts its sockets into the map `xsks_map`; when the device is closed it detaches. It calls
 * libbpf for all of that through the dynamic linker, so an executable that defines the same three
 * functions is asked first. Ours answer for paths and interfaces of installed links, and hand
 * everything else on:
 *
 *   bpf_object__open_file  the embedded object on the link's pinned maps, instead of a file
 *   bpf_xdp_attach         a swap of the program inside the pinned link, which is atomic
 *   bpf_xdp_detach         nothing: the link outlives the process
 *
 * They are exported from the executable because libbpf, which it is linked with, defines them as
 * well. wr_xdp_attached() says whether the driver really came this way; boot fails when it did not.
 * threads: the main thread, where ports are started and closed.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "xdp/pins.h"
#include "xdp/xdp.h"

#define PORTS (2 * WR_LINKS_MAX)

static struct {
	char link[WR_NAME_MAX];
	enum wr_xdp_side side;
	uint32_t ifindex;
	bool attached;
} port[PORTS];
static int nports;

/* The driver keeps the address of no path, but the two names in it must lead back to the link. */
static bool parse(const char *path, char *link, enum wr_xdp_side *side)
{
	size_t n = strlen(wr_xdp_root());
	const char *slash;

	if (!path || strncmp(path, wr_xdp_root(), n) != 0 || path[n] != '/')
		return false;
	path += n + 1;
	slash = strchr(path, '/');
	if (!slash || slash == path || (size_t)(slash - path) >= WR_NAME_MAX)
		return false;
	memset(link, 0, WR_NAME_MAX);
	memcpy(link, path, (size_t)(slash - path));
	for (int s = 0; s < 2; s++)
		if (strcmp(slash + 1, wr_xdp_side_name[s]) == 0) {
			*side = (enum wr_xdp_side)s;
			return true;
		}
	return false;
}

static int find(uint32_t ifindex)
{
	for (int i = 0; i < nports; i++)
		if (port[i].ifindex == ifindex)
			return i;
	return -1;
}

static bool learn(const char *link, enum wr_xdp_side side)
{
	uint32_t index = wr_xdp_link_ifindex(link, side, NULL);
	int i = find(index);

	if (index == 0 || (i < 0 && nports == PORTS))
		return false;
	if (i < 0)
		i = nports++;
	memcpy(port[i].link, link, WR_NAME_MAX);
	port[i].side = side;
	port[i].ifindex = index;
	port[i].attached = false;
	return true;
}

/* POSIX lets dlsym() return functions; ISO C does not let them be cast, hence the union. */
#define NEXT(type, name)                                                                           \
	((union {                                                                                  \
		 void *p;                                                                          \
		 type f;                                                                           \
	 }){ .p = dlsym(RTLD_NEXT, name) }                                                         \
	         .f)

__attribute__((visibility("default"))) struct bpf_object *
bpf_object__open_file(const char *path, const struct bpf_object_open_opts *opts)
{
	struct bpf_object *(*next)(const char *, const struct bpf_object_open_opts *);
	struct wr_pins pins;
	struct bpf_object *o;
	enum wr_xdp_side side;
	char link[WR_NAME_MAX], err[WR_XDP_ERR];

	if (!parse(path, link, &side)) {
		next = NEXT(__typeof__(next), "bpf_object__open_file");
		return next(path, opts);
	}
	errno = ENOENT;
	if (wr_xdp_pins_open(link, false, &pins, err) || !learn(link, side))
		return NULL;
	o = wr_xdp_object(&pins, side, wr_xdp_link_ifindex(link, (enum wr_xdp_side) !side, NULL),
	                  err);
	wr_xdp_pins_close(&pins); /* bpf_map__reuse_fd() made its own copies */
	return o;
}

__attribute__((visibility("default"))) int bpf_xdp_attach(int ifindex, int prog_fd, __u32 flags,
                                                          const struct bpf_xdp_attach_opts *opts)
{
	int (*next)(int, int, __u32, const struct bpf_xdp_attach_opts *);
	char path[PIN_PATH], leaf[32];
	int i = find((uint32_t)ifindex), fd, e;

	if (i < 0) {
		next = NEXT(__typeof__(next), "bpf_xdp_attach");
		return next(ifindex, prog_fd, flags, opts);
	}
	if (prog_fd < 0)
		return 0; /* a detach by another name */
	snprintf(leaf, sizeof(leaf), "%s/link", wr_xdp_side_name[port[i].side]);
	e = wr_xdp_path(path, port[i].link, leaf);
	if (e)
		return e;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	e = bpf_link_update(fd, prog_fd, NULL) ? -errno : 0;
	close(fd);
	port[i].attached = e == 0;
	return e;
}

__attribute__((visibility("default"))) int bpf_xdp_detach(int ifindex, __u32 flags,
                                                          const struct bpf_xdp_attach_opts *opts)
{
	int (*next)(int, __u32, const struct bpf_xdp_attach_opts *);

	if (find((uint32_t)ifindex) >= 0)
		return 0;
	next = NEXT(__typeof__(next), "bpf_xdp_detach");
	return next(ifindex, flags, opts);
}

int wr_xdp_devarg(const char *link, enum wr_xdp_side side, const char *dev, char *out, size_t n)
{
	char path[PIN_PATH];
	int e = wr_xdp_path(path, link, wr_xdp_side_name[side]);

	if (e)
		return e;
	if (strstr(dev, "xdp_prog="))
		return -EINVAL;
	return (size_t)snprintf(out, n, "%s,xdp_prog=%s", dev, path) < n ? 0 : -ENAMETOOLONG;
}

int wr_xdp_attached(const char *link, char *err)
{
	for (int s = 0; s < 2; s++) {
		int i = 0;

		while (i < nports && (port[i].side != (enum wr_xdp_side)s || !port[i].attached ||
		                      strcmp(port[i].link, link) != 0))
			i++;
		if (i == nports)
			return wr_xdp_fail(
			        err, -ENOTCONN,
			        "the port driver did not attach through the pinned %s link of %s",
			        wr_xdp_side_name[s], link);
	}
	return 0;
}
