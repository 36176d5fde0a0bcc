/* SPDX-License-Identifier: BSD-3-Clause */
/* From a checked tree to the structures, and the checks that concern more than one key. */
#include "config/schema.h"

#include <errno.h>
#include <string.h>

struct build {
	struct wr_config_report *rep;
	struct wr_conf *dp;
	struct wr_control_conf *ctl;
	bool pci; /* some device is a NIC for certain */
	bool af_xdp;
};

static const char *text(const struct wr_node *map, const char *key)
{
	const struct wr_node *n = wr_node_get(map, key);

	return n != NULL && n->kind == WR_NODE_SCALAR ? n->value : "";
}

/* dst is zero before; lengths were checked by the schema. */
static void copy(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src);

	WR_ASSERT(n < size);
	memcpy(dst, src, n);
}

#define COPY(dst, map, key) copy((dst), sizeof(dst), text((map), (key)))

/* path: the schema's, for the grammar of the number. */
static uint64_t number(const struct wr_node *map, const char *key, const char *path)
{
	uint64_t v = 0;
	int rc = wr_value_u64(wr_row_find(path), text(map, key), &v);

	WR_ASSERT(rc == 0);
	return v;
}

static bool truth(const struct wr_node *map, const char *key)
{
	return strcmp(text(map, key), "true") == 0;
}

static void build_port(struct build *b, const struct wr_node *n, struct wr_conf_port *out)
{
	const struct wr_node *one = wr_node_get(n, "device"), *many = wr_node_get(n, "devices");

	if ((one == NULL) == (many == NULL)) {
		wr_config_say(b->rep, n, "write either 'device' or 'devices' for %s", n->key);
		return;
	}
	for (const struct wr_node *d = one != NULL ? one : many->child; d != NULL;
	     d = one != NULL ? NULL : d->next) {
		b->pci |= wr_device_is_pci(d->value);
		b->af_xdp |= strncmp(d->value, "net_af_xdp", 10) == 0;
		copy(out->device[out->ndevices++], WR_DEVICE_MAX, d->value);
	}
}

static void check_devices(struct build *b, const struct wr_node *links)
{
	const char *seen[WR_LINKS_MAX * 2 * WR_QUEUES_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < b->dp->nlinks * 2; i++) {
		const struct wr_conf_link *l = &b->dp->link[i / 2];
		const struct wr_conf_port *p = i % 2 != 0 ? &l->store : &l->client;

		for (unsigned d = 0; d < p->ndevices; d++) {
			for (unsigned k = 0; k < n; k++)
				if (strcmp(seen[k], p->device[d]) == 0)
					wr_config_say(b->rep, links, "device '%s' is used twice",
					              seen[k]);
			seen[n++] = p->device[d];
		}
	}
}

static void build_links(struct build *b, const struct wr_node *links)
{
	struct wr_conf *c = b->dp;

	for (const struct wr_node *n = links->child; n != NULL; n = n->next) {
		struct wr_conf_link *l = &c->link[c->nlinks++];

		COPY(l->name, n, "name");
		for (unsigned i = 0; i + 1 < c->nlinks; i++)
			if (strcmp(c->link[i].name, l->name) == 0)
				wr_config_say(b->rep, n, "a second link named '%s'", l->name);
		build_port(b, wr_node_get(n, "client"), &l->client);
		build_port(b, wr_node_get(n, "store"), &l->store);
		l->on_process_death = (uint8_t)(strcmp(text(n, "on_process_death"), "open") == 0);
		l->on_worker_stall = (uint8_t)(strcmp(text(n, "on_worker_stall"), "open") == 0);
		l->stall_limit_ns = number(n, "stall_limit", "links[].stall_limit");
	}
	check_devices(b, links);
}

/* The queues of a link are 0 .. n-1, each on one worker, and devices = [..] has one per queue. */
static void check_queues(struct build *b, const struct wr_node *workers)
{
	const struct wr_conf *c = b->dp;

	for (unsigned l = 0; l < c->nlinks; l++) {
		const struct wr_conf_port *port[2] = { &c->link[l].client, &c->link[l].store };
		unsigned n = 0, seen = 0;

		for (unsigned w = 0; w < c->nworkers; w++) {
			if (c->worker[w].link != l)
				continue;
			if ((seen >> c->worker[w].queue & 1) != 0)
				wr_config_say(b->rep, workers,
				              "two workers on queue %u of link '%s'",
				              c->worker[w].queue, c->link[l].name);
			seen |= 1u << c->worker[w].queue;
			n++;
		}
		if (n == 0)
			wr_config_say(b->rep, workers, "no worker serves link '%s'",
			              c->link[l].name);
		else if (seen != (n >= 32 ? ~0u : (1u << n) - 1))
			wr_config_say(b->rep, workers,
			              "the queues of link '%s' must be 0 to %u, one per worker",
			              c->link[l].name, n - 1);
		for (unsigned p = 0; p < 2; p++)
			if (port[p]->ndevices > 1 && port[p]->ndevices != n)
				wr_config_say(b->rep, workers,
				              "link '%s' has %u %s devices but %u workers",
				              c->link[l].name, port[p]->ndevices,
				              p == 0 ? "client" : "store", n);
	}
}

static void claim(struct build *b, const struct wr_node *at, uint64_t used[16], uint32_t core,
                  const char *who)
{
	if ((used[core / 64] >> core % 64 & 1) != 0 && !b->dp->shared_cores)
		wr_config_say(b->rep, at,
		              "core %u of %s is already taken; give each thread its own core "
		              "(labs: cores.shared_cores: true)",
		              core, who);
	used[core / 64] |= 1ull << core % 64;
}

static void build_cores(struct build *b, const struct wr_node *cores)
{
	const struct wr_node *workers = wr_node_get(cores, "workers");
	uint64_t used[16] = { 0 }, control[16];
	struct wr_conf *c = b->dp;

	c->main_core = (uint32_t)number(cores, "main", "cores.main");
	c->idle_yield = (uint8_t)(strcmp(text(cores, "idle"), "yield") == 0);
	c->shared_cores = truth(cores, "shared_cores");
	COPY(b->ctl->control_cpus, cores, "control");
	claim(b, wr_node_get(cores, "main"), used, c->main_core, "cores.main");
	for (const struct wr_node *n = workers->child; n != NULL; n = n->next) {
		struct wr_conf_worker *w = &c->worker[c->nworkers++];
		uint32_t l = 0;

		COPY(w->name, n, "name");
		w->core = (uint32_t)number(n, "core", "cores.workers[].core");
		w->queue = (uint32_t)number(n, "queue", "cores.workers[].queue");
		while (l < c->nlinks && strcmp(c->link[l].name, text(n, "link")) != 0)
			l++;
		if (l == c->nlinks)
			wr_config_say(b->rep, n,
			              "worker '%s' serves link '%s', which is not in links",
			              w->name, text(n, "link"));
		w->link = l;
		for (unsigned i = 0; i + 1 < c->nworkers; i++)
			if (strcmp(c->worker[i].name, w->name) == 0)
				wr_config_say(b->rep, n, "a second worker named '%s'", w->name);
		claim(b, n, used, w->core, w->name);
	}
	for (const struct wr_node *n = wr_node_get(cores, "decoders")->child; n != NULL;
	     n = n->next) {
		uint64_t v = 0;
		int rc = wr_value_u64(wr_row_find("cores.decoders[]"), n->value, &v);

		WR_ASSERT(rc == 0);
		claim(b, n, used, (uint32_t)v, "a decoder");
		c->decoder_core[c->ndecoders++] = (uint32_t)v;
	}
	if (wr_value_cpus(b->ctl->control_cpus, control) == 0 && !c->shared_cores)
		for (unsigned i = 0; i < c->nworkers; i++)
			if ((control[c->worker[i].core / 64] >> c->worker[i].core % 64 & 1) != 0)
				wr_config_say(
				        b->rep, wr_node_get(cores, "control"),
				        "core %u belongs to worker %s; give weir-control another",
				        c->worker[i].core, c->worker[i].name);
	check_queues(b, workers);
}

static void build_memory(struct build *b, const struct wr_node *m)
{
	struct wr_conf *c = b->dp;

	c->no_huge = !truth(m, "hugepages");
	c->in_memory = truth(m, "in_memory");
	c->mbufs = (uint32_t)number(m, "mbufs", "memory.mbufs");
	c->connections = (uint32_t)number(m, "connections", "memory.connections");
	c->uploads = (uint32_t)number(m, "uploads", "memory.uploads");
	c->hold_budget_bytes = number(m, "hold_budget", "memory.hold_budget");
	c->media_budget_bytes = number(m, "media_budget", "memory.media_budget");
	c->spool_bytes = number(m, "spool", "memory.spool");
	c->record_ring_bytes = number(m, "record_ring", "memory.record_ring");
	c->event_ring_bytes = number(m, "event_ring", "memory.event_ring");
	c->stream_state_bytes = (uint32_t)number(m, "stream_state", "memory.stream_state");
	if ((c->record_ring_bytes & (c->record_ring_bytes - 1)) != 0)
		wr_config_say(b->rep, wr_node_get(m, "record_ring"),
		              "record_ring must be a power of two");
	if ((c->event_ring_bytes & (c->event_ring_bytes - 1)) != 0)
		wr_config_say(b->rep, wr_node_get(m, "event_ring"),
		              "event_ring must be a power of two");
	if (c->no_huge && (b->pci || b->af_xdp))
		wr_config_say(b->rep, wr_node_get(m, "hugepages"),
		              "hugepages: false works with net_af_packet only; reserve hugepages "
		              "(scripts/setup) for PCI devices and net_af_xdp");
}

static uint32_t nets(const struct wr_node *n, struct wr_conf_net *out)
{
	uint32_t k = 0;

	for (const struct wr_node *c = n->child; c != NULL; c = c->next) {
		int rc = wr_value_net(c->value, &out[k]);

		WR_ASSERT(rc == 0);
		/* A prefix of zero bits is `any`: the dataplane reads 0 nets as that. */
		k++;
	}
	return k;
}

static void build_services(struct build *b, const struct wr_node *services,
                           const struct wr_node *policy)
{
	struct wr_conf *c = b->dp;

	for (const struct wr_node *n = services->child; n != NULL; n = n->next) {
		struct wr_conf_service *s = &c->service[c->nservices++];
		const struct wr_row *proxy = wr_row_find("services[].proxy_protocol");

		COPY(s->name, n, "name");
		for (unsigned i = 0; i + 1 < c->nservices; i++)
			if (strcmp(c->service[i].name, s->name) == 0)
				wr_config_say(b->rep, n, "a second service named '%s'", s->name);
		s->nnets = nets(wr_node_get(n, "address"), s->net);
		for (const struct wr_node *p = wr_node_get(n, "port")->child; p != NULL;
		     p = p->next) {
			uint16_t port = 0;

			for (const char *d = p->value; *d != '\0'; d++)
				port = (uint16_t)(port * 10 + (*d - '0'));
			s->port[s->nports++] = port;
		}
		s->mode = (uint8_t)(strcmp(text(n, "mode"), "observe") == 0);
		s->proxy = (uint8_t)wr_word_index(proxy->words, text(n, "proxy_protocol"));
		s->nproxies = nets(wr_node_get(n, "trusted_proxies"), s->trusted_proxy);
		wr_policy_resolve(policy, wr_node_get(n, "policy"), &s->policy);
	}
}

static void build_limits(struct wr_conf *c, const struct wr_node *root)
{
	const struct wr_node *http = wr_node_get(root, "http"), *l = wr_node_get(root, "limits");
	const struct wr_node *a = wr_node_get(root, "answer");

	c->header_bytes = (uint32_t)number(http, "header_bytes", "http.header_bytes");
	c->headers = (uint32_t)number(http, "headers", "http.headers");
	c->expansion_ratio = (uint32_t)number(http, "expansion_ratio", "http.expansion_ratio");
	c->expansion_time_ns = number(http, "expansion_time", "http.expansion_time");
	c->depth = (uint32_t)number(http, "depth", "http.depth");
	c->turn_bytes = number(l, "turn", "limits.turn");
	c->drain_bytes = number(l, "drain", "limits.drain");
	c->drain_time_ns = number(l, "drain_time", "limits.drain_time");
	c->idle_timeout_ns = number(l, "idle_timeout", "limits.idle_timeout");
	c->half_open_timeout_ns = number(l, "half_open_timeout", "limits.half_open_timeout");
	c->linger_ns = number(l, "linger", "limits.linger");
	for (const char *d = text(a, "status"); *d != '\0'; d++)
		c->answer_status = c->answer_status * 10 + (uint32_t)(*d - '0');
	for (const struct wr_node *n = wr_node_get(a, "cors_origins")->child; n != NULL;
	     n = n->next)
		copy(c->cors_origin[c->norigins++], sizeof(c->cors_origin[0]), n->value);
}

/* A file named in weir.yaml is relative to weir.yaml, wherever the process stands. */
static void place(struct build *b, const struct wr_node *at, const char *file, char *out,
                  size_t size)
{
	const char *slash = at->file != NULL ? strrchr(at->file, '/') : NULL;
	int n = 0;

	if (file[0] == '\0')
		return;
	if (file[0] == '/' || slash == NULL)
		n = snprintf(out, size, "%s", file);
	else
		n = snprintf(out, size, "%.*s/%s", (int)(slash - at->file), at->file, file);
	if (n >= (int)size)
		wr_config_say(b->rep, at, "the path of '%.60s' is longer than %zu bytes", file,
		              size - 1);
}

static void build_trust(struct build *b, const struct wr_node *trust)
{
	struct wr_control_conf *c = b->ctl;

	c->allow_unsigned = truth(trust, "allow_unsigned");
	for (const struct wr_node *n = wr_node_get(trust, "bundles")->child; n != NULL;
	     n = n->next) {
		struct wr_trust_bundle *t = &c->bundle[c->nbundles++];

		copy(t->name, sizeof(t->name), n->key);
		t->threshold = (unsigned)number(n, "threshold", "trust.bundles.*.threshold");
		for (const struct wr_node *k = wr_node_get(n, "keys")->child; k != NULL;
		     k = k->next) {
			struct wr_trust_key *key = &t->key[t->nkeys++];

			place(b, k, text(k, "file"), key->file, sizeof(key->file));
			for (const struct wr_node *m = wr_node_get(k, "may")->child; m != NULL;
			     m = m->next)
				copy(key->may[key->nmay++], sizeof(key->may[0]), m->value);
		}
		if (t->threshold > t->nkeys)
			wr_config_say(b->rep, n, "threshold %u needs as many keys; there are %u",
			              t->threshold, t->nkeys);
	}
}

static void build_breaker(struct wr_control_conf *c, const struct wr_node *breaker)
{
	c->breaker.blocks = (uint32_t)number(breaker, "blocks", "breaker.blocks");
	c->breaker.factor = (uint32_t)number(breaker, "factor", "breaker.factor");
	c->breaker.floor = (uint32_t)number(breaker, "floor", "breaker.floor");
	c->breaker.learn_minutes =
	        (uint32_t)(number(breaker, "learn", "breaker.learn") / 60000000000ull);
}

static void build_control(struct build *b, const struct wr_node *root)
{
	const struct wr_node *api = wr_node_get(root, "api"), *push = wr_node_get(api, "push");
	const struct wr_node *rec = wr_node_get(root, "records"), *run = wr_node_get(root, "run");
	struct wr_control_conf *c = b->ctl;

	COPY(c->api_socket, api, "socket");
	COPY(c->api_group, api, "group");
	COPY(c->api_metrics, api, "metrics");
	COPY(c->push_listen, push, "listen");
	place(b, push, text(push, "cert"), c->push_cert, sizeof(c->push_cert));
	place(b, push, text(push, "key"), c->push_key, sizeof(c->push_key));
	place(b, push, text(push, "client_ca"), c->push_client_ca, sizeof(c->push_client_ca));
	if (c->push_listen[0] != '\0' &&
	    (c->push_cert[0] == '\0' || c->push_key[0] == '\0' || c->push_client_ca[0] == '\0'))
		wr_config_say(b->rep, push, "push.listen needs cert, key and client_ca");
	COPY(c->records_path, rec, "path");
	c->records_rotate_bytes = number(rec, "rotate", "records.rotate");
	c->records_keep = (uint32_t)number(rec, "keep", "records.keep");
	c->records_fsync = (enum wr_fsync)wr_word_index("never|second|record", text(rec, "fsync"));
	COPY(c->state_dir, run, "state");
	COPY(b->dp->run_dir, run, "dir");
	COPY(b->dp->file_prefix, run, "file_prefix");
}

static void lab_rules(struct build *b, const struct wr_node *root)
{
	const struct wr_node *cores = wr_node_get(root, "cores");
	const struct {
		bool set;
		const struct wr_node *at;
		const char *key;
	} rule[] = {
		{ b->dp->shared_cores, wr_node_get(cores, "shared_cores"),
		  "cores.shared_cores: true" },
		{ b->dp->idle_yield, wr_node_get(cores, "idle"), "cores.idle: yield" },
		{ b->ctl->allow_unsigned, wr_node_get(wr_node_get(root, "trust"), "allow_unsigned"),
		  "trust.allow_unsigned: true" },
	};

	for (size_t i = 0; i < WR_COUNT_OF(rule); i++) {
		if (!rule[i].set)
			continue;
		b->dp->lab = 1;
		if (b->pci)
			wr_config_say(
			        b->rep, rule[i].at,
			        "%s is for labs only and refused with a PCI device; remove it",
			        rule[i].key);
	}
}

int wr_config_build(const struct wr_node *root, struct wr_conf *dp, struct wr_control_conf *ctl,
                    struct wr_config_report *rep)
{
	struct build b = { .rep = rep, .dp = dp, .ctl = ctl };
	unsigned before = rep->n;

	dp->magic = WR_CONF_MAGIC;
	dp->abi = WR_ABI_VERSION;
	dp->size = sizeof(*dp);
	dp->nreasons = WR_R_COUNT;
	dp->ncauses = WR_C_COUNT;
	COPY(dp->node, root, "node");
	COPY(dp->region, root, "region");
	build_links(&b, wr_node_get(root, "links"));
	build_cores(&b, wr_node_get(root, "cores"));
	build_memory(&b, wr_node_get(root, "memory"));
	build_services(&b, wr_node_get(root, "services"), wr_node_get(root, "policy"));
	build_limits(dp, root);
	build_trust(&b, wr_node_get(root, "trust"));
	build_breaker(ctl, wr_node_get(root, "breaker"));
	build_control(&b, root);
	lab_rules(&b, root);
	return rep->n == before ? 0 : -EINVAL;
}
