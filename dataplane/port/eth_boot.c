/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/eth.h"

#include <errno.h>
#include <net/if.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/burst.h"

#define RX_DESCS 2048u
#define TX_DESCS 2048u

struct wr_eth {
	char name[2 * WR_NAME_MAX];
	uint32_t ndevices, queues, vdevs;
	uint16_t port[WR_QUEUES_MAX];
	char vdev[WR_QUEUES_MAX][64];
	char ifname[WR_QUEUES_MAX][IF_NAMESIZE]; /* of a virtual device on an interface, else "" */
	int sock;                                /* to ask the kernel about them; -1 = none */
	bool started[WR_QUEUES_MAX];
	struct wr_eth_queue queue[WR_QUEUES_MAX];
};

struct says {
	char *text;
	size_t n;
	const char *name;
};

WR_PRINTF(3, 4) static int fail(const struct says *s, int error, const char *fmt, ...)
{
	int k = snprintf(s->text, s->n, "port %s: ", s->name);
	va_list ap;

	va_start(ap, fmt);
	if (k >= 0 && (size_t)k < s->n)
		vsnprintf(s->text + k, s->n - (size_t)k, fmt, ap);
	va_end(ap);
	return error < 0 ? error : -EIO;
}

/* --- device strings
 * ---------------------------------------------------------------------------------- */

bool wr_eth_is_pci(const char *device)
{
	return strncmp(device, "net_", 4) != 0;
}

bool wr_eth_is_af_xdp(const struct wr_conf_port *p)
{
	for (uint32_t i = 0; i < p->ndevices; i++)
		if (strncmp(p->device[i], "net_af_xdp", 10) == 0)
			return true;
	return false;
}

bool wr_eth_arg(const char *device, const char *key, char *out, size_t n)
{
	size_t klen = strlen(key);

	for (const char *p = strchr(device, ','); p != NULL; p = strchr(p, ',')) {
		p++;
		if (strncmp(p, key, klen) == 0 && p[klen] == '=') {
			size_t len = strcspn(p + klen + 1, ",");

			if (len == 0 || len >= n)
				return false;
			memcpy(out, p + klen + 1, len);
			out[len] = '\0';
			return true;
		}
	}
	return false;
}

static int kernel_mtu(const char *ifname)
{
	struct ifreq r = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), mtu = -1;

	if (fd < 0)
		return -errno;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", ifname);
	mtu = ioctl(fd, SIOCGIFMTU, &r) == 0 ? r.ifr_mtu : -errno;
	close(fd);
	return mtu;
}

int wr_eth_preflight(const struct wr_conf_port *p, const char *name, char *err, size_t n)
{
	struct says s = { err, n, name };

	for (uint32_t i = 0; i < p->ndevices; i++) {
		char ifname[IF_NAMESIZE];
		int mtu;

		if (wr_eth_is_pci(p->device[i]) ||
		    !wr_eth_arg(p->device[i], "iface", ifname, sizeof(ifname)))
			continue;
		mtu = kernel_mtu(ifname);
		if (mtu < 0)
			return fail(
			        &s, mtu,
			        "no interface %s in this network namespace (ip link shows them)",
			        ifname);
		if ((uint32_t)mtu > WR_ETH_MTU_MAX)
			return fail(&s, -EMSGSIZE,
			            "MTU %d of %s is above the receive buffers: ip link set dev %s "
			            "mtu %u",
			            mtu, ifname, ifname,
			            WR_ETH_MTU_MAX < 1500 ? WR_ETH_MTU_MAX : 1500);
	}
	return 0;
}

/* --- AF_XDP: buffers outside the registered area
 * ------------------------------------------------------- */

struct range {
	uintptr_t from, to;
	uint32_t outside;
};

static void first_chunk(struct rte_mempool *mp, void *opaque, struct rte_mempool_memhdr *mem,
                        unsigned int idx)
{
	struct range *r = opaque;

	(void)mp;
	if (idx == 0)
		r->from = (uintptr_t)mem->addr & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
}

static bool lies_outside(const struct rte_mempool *mp, const struct range *r, const void *obj)
{
	uintptr_t from = (uintptr_t)obj - mp->header_size;

	return from < r->from || from + mp->header_size + mp->elt_size + mp->trailer_size > r->to;
}

static void count_outside(struct rte_mempool *mp, void *opaque, void *obj, unsigned int idx)
{
	struct range *r = opaque;

	(void)idx;
	r->outside += lies_outside(mp, r, obj);
}

uint32_t wr_eth_retire(struct rte_mempool *mp)
{
	struct range r = { 0 };
	uint32_t n = 0, retired = 0;
	void **good;

	rte_mempool_mem_iter(mp, first_chunk, &r);
	r.to = r.from +
	       (uintptr_t)mp->populated_size * (mp->header_size + mp->elt_size + mp->trailer_size);
	rte_mempool_obj_iter(mp, count_outside, &r);
	if (r.outside == 0)
		return 0;
	good = calloc(mp->populated_size, sizeof(good[0]));
	if (good == NULL)
		return 0;
	/* Every object comes out once; only those inside go back. */
	for (void *obj; rte_mempool_get(mp, &obj) == 0;) {
		if (lies_outside(mp, &r, obj))
			retired++;
		else
			good[n++] = obj;
	}
	for (uint32_t i = 0; i < n; i++)
		rte_mempool_put(mp, good[i]);
	free(good);
	return retired;
}

/* --- devices
 * -------------------------------------------------------------------------------------------- */

static int find_device(struct wr_eth *e, const char *device, uint16_t *port, const struct says *s)
{
	char name[64], ifname[IF_NAMESIZE] = "?";
	const char *args = strchr(device, ',');
	int rc;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(device, ","), device);
	if (!wr_eth_is_pci(device)) {
		(void)wr_eth_arg(device, "iface", ifname, sizeof(ifname));
		rc = rte_vdev_init(name, args != NULL ? args + 1 : "");
		if (rc == -EEXIST)
			return fail(s, rc, "device %s is named twice", name);
		if (rc != 0)
			return fail(s, rc,
			            "cannot open %s on %s: %s (driver missing, or the interface is "
			            "busy)",
			            name, ifname, strerror(-rc));
		snprintf(e->vdev[e->vdevs++], sizeof(e->vdev[0]), "%s", name);
		(void)wr_eth_arg(device, "iface", e->ifname[e->ndevices], IF_NAMESIZE);
	}
	if (rte_eth_dev_get_port_by_name(name, port) != 0)
		return fail(s, -ENODEV,
		            "no device %s: is it bound to vfio-pci (dpdk-devbind.py -s) and used "
		            "by nobody?",
		            name);
	return 0;
}

/* Both directions of a connection hash alike with this key: its 16-bit words are all the same. */
static void symmetric_rss(const struct rte_eth_dev_info *info, uint16_t queues,
                          struct rte_eth_conf *conf, uint8_t key[64])
{
	uint64_t want = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_NONFRAG_IPV4_TCP |
	                RTE_ETH_RSS_NONFRAG_IPV6_TCP;

	if (queues < 2 || (info->flow_type_rss_offloads & want) == 0 || info->hash_key_size > 64)
		return;
	for (unsigned i = 0; i < 64; i++)
		key[i] = (i & 1) != 0 ? 0x5a : 0x6d;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & want;
	conf->rx_adv_conf.rss_conf.rss_key = key;
	conf->rx_adv_conf.rss_conf.rss_key_len =
	        info->hash_key_size != 0 ? info->hash_key_size : 40;
}

static int configure(uint16_t port, uint16_t queues, struct rte_mempool *const *pool,
                     const struct says *s)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = { 0 };
	uint16_t rxd = RX_DESCS, txd = TX_DESCS, mtu = 0;
	uint8_t key[64];
	int rc, node = rte_eth_dev_socket_id(port);

	rc = rte_eth_dev_info_get(port, &info);
	if (rc != 0)
		return fail(s, rc, "device info: %s", strerror(-rc));
	if (queues > info.max_rx_queues || queues > info.max_tx_queues)
		return fail(s, -EINVAL, "%u workers, but the device has %u rx and %u tx queues",
		            queues, info.max_rx_queues, info.max_tx_queues);
	if (rte_eth_dev_get_mtu(port, &mtu) == 0 && mtu > WR_ETH_MTU_MAX)
		return fail(s, -EMSGSIZE, "MTU %u is above the receive buffers (%u)", mtu,
		            WR_ETH_MTU_MAX);
	symmetric_rss(&info, queues, &conf, key);
	rc = rte_eth_dev_configure(port, queues, queues, &conf);
	if (rc != 0)
		return fail(s, rc, "configure: %s", strerror(-rc));
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rxd, &txd);
	if (rc != 0)
		return fail(s, rc, "descriptors: %s", strerror(-rc));
	for (uint16_t q = 0; q < queues; q++) {
		rc = rte_eth_rx_queue_setup(port, q, rxd, (unsigned)node, NULL, pool[q]);
		if (rc != 0)
			return fail(
			        s, rc,
			        "receive queue %u: %s (is another weir-dataplane or XDP program on "
			        "this interface? ip link shows it; ip link set dev IF xdp off "
			        "takes it "
			        "away)",
			        q, strerror(-rc));
		rc = rte_eth_tx_queue_setup(port, q, txd, (unsigned)node, NULL);
		if (rc != 0)
			return fail(s, rc, "transmit queue %u: %s", q, strerror(-rc));
	}
	return 0;
}

static int start(struct wr_eth *e, uint32_t i, uint16_t queues, struct rte_mempool *const *pool,
                 const struct says *s)
{
	int rc = configure(e->port[i], queues, pool, s);

	if (rc != 0)
		return rc;
	rc = rte_eth_dev_start(e->port[i]);
	if (rc != 0)
		return fail(s, rc, "start: %s", strerror(-rc));
	e->started[i] = true;
	/* Weir has no address: it takes what is for others. Not every driver knows the call. */
	rc = rte_eth_promiscuous_enable(e->port[i]);
	if (rc != 0 && rc != -ENOTSUP)
		return fail(s, rc, "promiscuous mode: %s", strerror(-rc));
	return 0;
}

int wr_eth_new(const struct wr_eth_args *a, struct wr_eth **out, char *err, size_t n)
{
	struct says s = { err, n, a->name };
	const struct wr_conf_port *p = a->port;
	struct wr_eth *e = calloc(1, sizeof(*e));
	uint16_t each = (uint16_t)(p->ndevices == 1 ? a->queues : 1);
	int rc = 0;

	if (e == NULL)
		return fail(&s, -ENOMEM, "no memory");
	e->sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(e->name, sizeof(e->name), "%s", a->name);
	e->queues = a->queues;
	for (uint32_t i = 0; i < p->ndevices && rc == 0; i++) {
		rc = find_device(e, p->device[i], &e->port[i], &s);
		if (rc != 0)
			break;
		e->ndevices++;
		rc = start(e, i, each, a->pool + i * each, &s);
		for (uint16_t q = 0; q < each; q++)
			e->queue[i * each + q] = (struct wr_eth_queue){ e->port[i], q };
	}
	if (rc != 0) {
		wr_eth_free(e);
		return rc;
	}
	*out = e;
	return 0;
}

void wr_eth_free(struct wr_eth *e)
{
	if (e == NULL)
		return;
	for (uint32_t i = 0; i < e->ndevices; i++) {
		if (e->started[i])
			(void)rte_eth_dev_stop(e->port[i]);
		(void)rte_eth_dev_close(e->port[i]);
	}
	for (uint32_t i = 0; i < e->vdevs; i++)
		(void)rte_vdev_uninit(e->vdev[i]);
	if (e->sock >= 0)
		close(e->sock);
	free(e);
}

/* --- what workers and main ask
 * ---------------------------------------------------------------------- */

void wr_eth_port(struct wr_eth *e, uint32_t queue, struct wr_port *out)
{
	WR_ASSERT(queue < e->queues);
	*out = (struct wr_port){ .rx = wr_eth_rx, .tx = wr_eth_tx, .ctx = &e->queue[queue] };
}

uint16_t wr_eth_id(const struct wr_eth *e, uint32_t queue)
{
	return e->port[e->ndevices > 1 && queue < e->ndevices ? queue : 0];
}

/* Drivers on top of a kernel interface say "up" for ever: AF_XDP, for one. So the kernel is asked.
 */
static bool runs(const struct wr_eth *e, uint32_t i)
{
	struct ifreq r = { 0 };

	if (e->ifname[i][0] == '\0' || e->sock < 0)
		return true;
	memcpy(r.ifr_name, e->ifname[i], IF_NAMESIZE);
	return ioctl(e->sock, SIOCGIFFLAGS, &r) == 0 &&
	       (r.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

void wr_eth_stats(const struct wr_eth *e, struct wr_stats_dev *out)
{
	struct rte_eth_stats sum = { 0 };
	bool up = e->ndevices != 0;

	for (uint32_t i = 0; i < e->ndevices; i++) {
		struct rte_eth_stats s;
		struct rte_eth_link link;

		if (rte_eth_stats_get(e->port[i], &s) == 0) {
			sum.ipackets += s.ipackets;
			sum.ibytes += s.ibytes;
			sum.imissed += s.imissed;
			sum.rx_nombuf += s.rx_nombuf;
			sum.ierrors += s.ierrors;
			sum.opackets += s.opackets;
			sum.obytes += s.obytes;
			sum.oerrors += s.oerrors;
		}
		if (rte_eth_link_get_nowait(e->port[i], &link) == 0)
			up &= link.link_status == RTE_ETH_LINK_UP;
		up &= runs(e, i);
	}
	wr_counter_set(&out->rx_packets, sum.ipackets);
	wr_counter_set(&out->rx_bytes, sum.ibytes);
	wr_counter_set(&out->rx_missed, sum.imissed);
	wr_counter_set(&out->rx_nombuf, sum.rx_nombuf);
	wr_counter_set(&out->rx_errors, sum.ierrors);
	wr_counter_set(&out->tx_packets, sum.opackets);
	wr_counter_set(&out->tx_bytes, sum.obytes);
	wr_counter_set(&out->tx_errors, sum.oerrors);
	wr_counter_set(&out->link_up, up);
}
