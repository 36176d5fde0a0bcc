/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wr_conf_check: the dataplane believes nothing that it reads, the file of its own control
 * included. What passes here is used as index, size and divisor without another look.
 */
#include "abi/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "abi/record.h"
#include "base/base.h"

#define CORES_MAX        1024u
#define MBUFS_MIN        1024u
#define MBUFS_MAX        (1u << 26)
#define CONNECTIONS_MAX  (1u << 27)
#define UPLOADS_MAX      (1u << 25)
#define RING_MAX         (1ull << 32)
#define RECORD_RING_MIN  (8 * WR_RECORD_MAX) /* a burst of blocks must find room */
#define EVENT_RING_MIN   4096u
#define HEADER_BYTES_MAX (1u << 20)
#define TURN_BYTES_MIN   2048u
#define TURN_BYTES_MAX   (1u << 24)
#define STREAM_BYTES_MAX (1u << 24)
#define AF_XDP_MBUFS                                                                               \
	8192u /* per worker: two ports' fill rings and as many again to receive into               \
	       */

struct says {
	char *text;
	uint64_t size;
};

WR_PRINTF(2, 3) static int no(struct says *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->text, s->size, fmt, ap);
	va_end(ap);
	return -EPROTO;
}

static bool ended(const char *s, uint64_t n)
{
	return memchr(s, 0, n) != NULL;
}

/* A name that goes into paths, metrics and messages as it stands. */
static bool is_name(const char *s, uint64_t n)
{
	if (!ended(s, n) || s[0] == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("._-", *s) == NULL)
			return false;
	return true;
}

static bool pow2(uint64_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

/* "0000:3b:00.1": a device that is no driver's name is a PCI address. */
static bool is_pci(const char *device)
{
	return strncmp(device, "net_", 4) != 0;
}

static int check_head(const struct wr_conf *c, uint64_t bytes, struct says *s)
{
	if (bytes < sizeof(c->magic) || c->magic != WR_CONF_MAGIC)
		return no(s, "not a compiled configuration (weir config compile writes one)");
	if (bytes != sizeof(*c) || c->size != sizeof(*c) || c->abi != WR_ABI_VERSION ||
	    c->nreasons != WR_R_COUNT || c->ncauses != WR_C_COUNT)
		return no(s, "compiled by another version of weir: run weir config compile again");
	if (!ended(c->node, sizeof(c->node)) || c->node[0] == '\0')
		return no(s, "node: no name");
	if (!ended(c->region, sizeof(c->region)))
		return no(s, "region: not ended");
	if (!ended(c->run_dir, sizeof(c->run_dir)) || c->run_dir[0] != '/')
		return no(s, "run_dir: not an absolute path");
	/* "/dataplane.sock" must fit a sockaddr_un (108 bytes). */
	if (strlen(c->run_dir) + sizeof("/dataplane.sock") > 108)
		return no(s, "run_dir: too long for a socket");
	if (!is_name(c->file_prefix, sizeof(c->file_prefix)))
		return no(s, "file_prefix: not a name");
	return 0;
}

static int check_port(const struct wr_conf *c, uint32_t link, const char *side,
                      const struct wr_conf_port *p, struct says *s)
{
	const char *name = c->link[link].name;

	if (p->ndevices < 1 || p->ndevices > WR_QUEUES_MAX)
		return no(s, "link %s: the %s port has %u devices (1 to %u)", name, side,
		          p->ndevices, WR_QUEUES_MAX);
	for (uint32_t i = 0; i < p->ndevices; i++) {
		const char *d = p->device[i];

		if (!ended(d, WR_DEVICE_MAX) || d[0] == '\0')
			return no(s, "link %s: device %u of the %s port has no name", name, i,
			          side);
		if (is_pci(d) && (c->shared_cores || c->idle_yield))
			return no(s,
			          "link %s: shared_cores and idle: yield are for labs, %s is a "
			          "real NIC",
			          name, d);
		if (strncmp(d, "net_af_xdp", 10) == 0 && c->no_huge)
			return no(s, "link %s: %s needs hugepages: unset memory.no_huge", name, d);
	}
	return 0;
}

static int check_links(const struct wr_conf *c, struct says *s)
{
	if (c->nlinks < 1 || c->nlinks > WR_LINKS_MAX)
		return no(s, "%u links (1 to %u)", c->nlinks, WR_LINKS_MAX);
	for (uint32_t i = 0; i < c->nlinks; i++) {
		const struct wr_conf_link *l = &c->link[i];

		if (!is_name(l->name, sizeof(l->name)))
			return no(s, "link %u: no name", i);
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(l->name, c->link[k].name) == 0)
				return no(s, "link %s: twice", l->name);
		if (l->on_process_death > WR_DEATH_OPEN || l->on_worker_stall > WR_DEATH_OPEN)
			return no(s, "link %s: on_process_death, on_worker_stall: open or closed",
			          l->name);
		if (l->stall_limit_ns == 0)
			return no(s, "link %s: stall_limit is 0", l->name);
		if (check_port(c, i, "client", &l->client, s) != 0 ||
		    check_port(c, i, "store", &l->store, s) != 0)
			return -EPROTO;
	}
	return 0;
}

static int check_worker(const struct wr_conf *c, uint32_t i, struct says *s)
{
	const struct wr_conf_worker *w = &c->worker[i];

	if (!is_name(w->name, sizeof(w->name)))
		return no(s, "worker %u: no name", i);
	if (w->link >= c->nlinks)
		return no(s, "worker %s: no such link", w->name);
	if (w->core >= CORES_MAX || w->queue >= WR_QUEUES_MAX)
		return no(s, "worker %s: core %u, queue %u are out of range", w->name, w->core,
		          w->queue);
	if (w->core == c->main_core && !c->shared_cores)
		return no(s, "worker %s shares core %u with main: one core each (or shared_cores)",
		          w->name, w->core);
	for (uint32_t k = 0; k < i; k++) {
		const struct wr_conf_worker *o = &c->worker[k];

		if (strcmp(w->name, o->name) == 0)
			return no(s, "worker %s: twice", w->name);
		if (w->core == o->core && !c->shared_cores)
			return no(
			        s,
			        "workers %s and %s share core %u: one core each (or shared_cores)",
			        o->name, w->name, w->core);
		if (w->link == o->link && w->queue == o->queue)
			return no(s, "workers %s and %s share queue %u of link %s", o->name,
			          w->name, w->queue, c->link[w->link].name);
	}
	return 0;
}

static bool uses_af_xdp(const struct wr_conf_port *p)
{
	for (uint32_t i = 0; i < p->ndevices; i++)
		if (strncmp(p->device[i], "net_af_xdp", 10) == 0)
			return true;
	return false;
}

/* The queues of a link are 0 .. workers - 1: a queue that nobody polls swallows its frames. */
static int check_queues(const struct wr_conf *c, uint32_t link, struct says *s)
{
	const struct wr_conf_link *l = &c->link[link];
	uint32_t n = 0, top = 0;

	for (uint32_t i = 0; i < c->nworkers; i++) {
		if (c->worker[i].link != link)
			continue;
		n++;
		top = wr_max_u32(top, c->worker[i].queue);
	}
	if (n == 0)
		return no(s, "link %s: no worker", l->name);
	if (top + 1 != n)
		return no(s, "link %s: %u workers, so their queues are 0 to %u", l->name, n, n - 1);
	if ((l->client.ndevices != 1 && l->client.ndevices != n) ||
	    (l->store.ndevices != 1 && l->store.ndevices != n))
		return no(s, "link %s: %u workers want 1 or %u devices per port, not %u and %u",
		          l->name, n, n, l->client.ndevices, l->store.ndevices);
	if ((uses_af_xdp(&l->client) || uses_af_xdp(&l->store)) && c->mbufs / n < AF_XDP_MBUFS)
		return no(s, "link %s: AF_XDP needs %u mbufs a worker: memory.mbufs >= %u", l->name,
		          AF_XDP_MBUFS, AF_XDP_MBUFS * n);
	return 0;
}

static int check_workers(const struct wr_conf *c, struct says *s)
{
	if (c->nworkers < 1 || c->nworkers > WR_WORKERS_MAX)
		return no(s, "%u workers (1 to %u)", c->nworkers, WR_WORKERS_MAX);
	if (c->main_core >= CORES_MAX)
		return no(s, "cores.main: %u is out of range", c->main_core);
	if (c->ndecoders > WR_DECODERS_MAX)
		return no(s, "%u decoders (0 to %u)", c->ndecoders, WR_DECODERS_MAX);
	for (uint32_t i = 0; i < c->ndecoders; i++)
		if (c->decoder_core[i] >= CORES_MAX)
			return no(s, "cores.decoders: %u is out of range", c->decoder_core[i]);
	for (uint32_t i = 0; i < c->nworkers; i++)
		if (check_worker(c, i, s) != 0)
			return -EPROTO;
	for (uint32_t i = 0; i < c->nlinks; i++)
		if (check_queues(c, i, s) != 0)
			return -EPROTO;
	return 0;
}

static int check_policy(const char *name, const struct wr_policy *p, struct says *s)
{
	bool bad = p->ceiling >= WR_A_COUNT || p->on_overload > WR_DEATH_OPEN ||
	           p->on_records_lost > WR_DEATH_OPEN || p->bundle_expired > 1;

	for (uint32_t i = 0; i < WR_V_COUNT; i++)
		bad |= p->on_verdict[i] >= WR_A_COUNT;
	for (uint32_t i = 0; i < WR_C_COUNT; i++)
		bad |= p->on_cause[i] >= WR_A_COUNT;
	for (uint32_t i = 0; i < WR_R_COUNT; i++)
		bad |= p->on_reason[i] > WR_ON_REASSEMBLE;
	return bad ? no(s, "service %s: a policy has an unknown value", name) : 0;
}

static bool nets_ok(const struct wr_conf_net *net, uint32_t n, uint32_t max)
{
	if (n > max)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (net[i].bits > 128)
			return false;
	return true;
}

static int check_services(const struct wr_conf *c, struct says *s)
{
	if (c->nservices > WR_SERVICES_MAX)
		return no(s, "%u services (0 to %u)", c->nservices, WR_SERVICES_MAX);
	for (uint32_t i = 0; i < c->nservices; i++) {
		const struct wr_conf_service *v = &c->service[i];

		if (!is_name(v->name, sizeof(v->name)))
			return no(s, "service %u: no name", i);
		if (!nets_ok(v->net, v->nnets, WR_SERVICE_NETS) ||
		    !nets_ok(v->trusted_proxy, v->nproxies, WR_PROXIES_MAX))
			return no(
			        s,
			        "service %s: an address list is too long or has a prefix above 128",
			        v->name);
		if (v->nports > WR_SERVICE_PORTS)
			return no(s, "service %s: %u ports (0 to %u)", v->name, v->nports,
			          WR_SERVICE_PORTS);
		for (uint32_t k = 0; k < v->nports; k++)
			if (v->port[k] == 0)
				return no(s, "service %s: port 0", v->name);
		if (v->mode > WR_MODE_OBSERVE || v->proxy > WR_PROXY_ANY)
			return no(s, "service %s: unknown mode or proxy_protocol", v->name);
		if (check_policy(v->name, &v->policy, s) != 0)
			return -EPROTO;
	}
	return 0;
}

/* One row per number: name, value, smallest, largest. */
static int check_numbers(const struct wr_conf *c, struct says *s)
{
	const struct {
		const char *name;
		uint64_t v, min, max;
	} row[] = {
		/* clang-format off */
		{ "cores.idle",              c->idle_yield, 0, 1 },
		{ "cores.shared_cores",      c->shared_cores, 0, 1 },
		{ "memory.no_huge",          c->no_huge, 0, 1 },
		{ "in_memory",               c->in_memory, 0, 1 },
		{ "lab",                     c->lab, 0, 1 },
		{ "memory.mbufs",            c->mbufs, MBUFS_MIN, MBUFS_MAX },
		{ "memory.connections",      c->connections, c->nworkers, CONNECTIONS_MAX },
		{ "memory.uploads",          c->uploads, c->nworkers, UPLOADS_MAX },
		{ "memory.hold_budget",      c->hold_budget_bytes, 1 << 16, UINT64_MAX >> 16 },
		{ "memory.media_budget",     c->media_budget_bytes, 0, UINT64_MAX >> 16 },
		{ "memory.spool",            c->spool_bytes, 0, UINT64_MAX >> 16 },
		{ "memory.record_ring",      c->record_ring_bytes, RECORD_RING_MIN, RING_MAX },
		{ "memory.event_ring",       c->event_ring_bytes, EVENT_RING_MIN, RING_MAX },
		{ "memory.stream_state",     c->stream_state_bytes, 64, STREAM_BYTES_MAX },
		{ "http.header_bytes",       c->header_bytes, 256, HEADER_BYTES_MAX },
		{ "http.headers",            c->headers, 1, 65535 },
		{ "http.expansion_ratio",    c->expansion_ratio, 1, UINT32_MAX },
		{ "http.expansion_time",     c->expansion_time_ns, 0, UINT64_MAX >> 16 },
		{ "http.depth",              c->depth, 1, 64 },
		{ "answer.cors_origins",     c->norigins, 0, WR_ORIGINS_MAX },
		{ "limits.turn",             c->turn_bytes, TURN_BYTES_MIN, TURN_BYTES_MAX },
		{ "limits.drain",            c->drain_bytes, 0, UINT64_MAX >> 16 },
		{ "limits.drain_time",       c->drain_time_ns, 0, UINT64_MAX >> 16 },
		{ "limits.idle_timeout",     c->idle_timeout_ns, 1, UINT64_MAX >> 16 },
		{ "limits.half_open_timeout", c->half_open_timeout_ns, 1, UINT64_MAX >> 16 },
		{ "limits.linger",           c->linger_ns, 0, UINT64_MAX >> 16 },
		/* clang-format on */
	};

	for (uint32_t i = 0; i < WR_COUNT_OF(row); i++)
		if (row[i].v < row[i].min || row[i].v > row[i].max)
			return no(s, "%s: %llu is not between %llu and %llu", row[i].name,
			          (unsigned long long)row[i].v, (unsigned long long)row[i].min,
			          (unsigned long long)row[i].max);
	if (!pow2(c->record_ring_bytes) || !pow2(c->event_ring_bytes))
		return no(s, "memory.record_ring, memory.event_ring: not a power of two");
	if (c->answer_status != 403 && c->answer_status != 422 && c->answer_status != 451)
		return no(s, "answer.status: %u (403, 422 or 451)", c->answer_status);
	for (uint32_t i = 0; i < c->norigins; i++) {
		if (!ended(c->cors_origin[i], sizeof(c->cors_origin[i])))
			return no(s, "answer.cors_origins: not ended");
		/* An origin goes into an answer header: a line end would end that header. */
		for (const char *o = c->cors_origin[i]; *o != '\0'; o++)
			if ((unsigned char)*o < 0x21 || (unsigned char)*o > 0x7e)
				return no(s, "answer.cors_origins: an unprintable byte");
	}
	return 0;
}

int wr_conf_check(const struct wr_conf *c, uint64_t file_size, char *err, uint64_t err_size)
{
	struct says s = { err, err_size };

	if (check_head(c, file_size, &s) != 0 || check_numbers(c, &s) != 0 ||
	    check_links(c, &s) != 0 || check_workers(c, &s) != 0 || check_services(c, &s) != 0)
		return -EPROTO;
	return 0;
}
