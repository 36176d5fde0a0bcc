/* SPDX-License-Identifier: BSD-3-Clause */
/* Core layouts: what is wrong with one, and what a good one would be. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sre/sre.h"

struct findings {
	struct wr_finding *f;
	uint32_t n;
};

WR_PRINTF(4, 5)
static void find(struct findings *to, enum wr_level l, const char *fix, const char *fmt, ...)
{
	struct wr_finding *f;
	va_list ap;

	if (to->n == WR_FINDINGS_MAX)
		return;
	f = &to->f[to->n++];
	f->level = l;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	snprintf(f->fix, sizeof(f->fix), "%s", fix);
}

static bool physical(const struct wr_machine *m, const struct wr_conf_link *l)
{
	const struct wr_nic *n = wr_machine_nic(m, l->client.device[0]);

	return n && n->pci[0];
}

/* Every thread Weir places on a core by name, in one list. */
struct placed {
	char what[WR_NAME_MAX + 16];
	uint32_t core;
	bool worker;
};

static uint32_t place(const struct wr_conf *c, struct placed *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->nworkers; i++, n++) {
		snprintf(p[n].what, sizeof(p[n].what), "worker %s", c->worker[i].name);
		p[n].core = c->worker[i].core;
		p[n].worker = true;
	}
	snprintf(p[n].what, sizeof(p[n].what), "main");
	p[n].worker = false;
	p[n++].core = c->main_core;
	for (uint32_t i = 0; i < c->ndecoders; i++, n++) {
		snprintf(p[n].what, sizeof(p[n].what), "decoder %u", i);
		p[n].core = c->decoder_core[i];
		p[n].worker = false;
	}
	return n;
}

static void check_pair(struct findings *to, const struct wr_machine *m, const struct wr_conf *c,
                       const struct placed *a, const struct placed *b)
{
	enum wr_level same = c->shared_cores ? WR_WARN : WR_FAIL;

	if (!a->worker && !b->worker)
		return;
	if (a->core == b->core)
		find(to, same,
		     "give each worker a core of its own (`weir cores plan` proposes a layout)",
		     "%s and %s share core %u: each waits while the other runs", a->what, b->what,
		     a->core);
	else if (a->core < WR_CPUS_MAX && wr_cpus_has(&m->cpu[a->core].siblings, b->core))
		find(to, a->worker && b->worker ? WR_FAIL : WR_WARN,
		     "use one thread of each physical core and leave its sibling idle",
		     "%s (core %u) and %s (core %u) are siblings of one physical core", a->what,
		     a->core, b->what, b->core);
}

static void check_worker(struct findings *to, const struct wr_machine *m, const struct wr_conf *c,
                         uint32_t i)
{
	const struct wr_conf_worker *w = &c->worker[i];
	const struct wr_conf_link *l = &c->link[w->link];
	int node = m->cpu[w->core].node;
	char fix[240];

	for (int s = 0; s < 2; s++) {
		const struct wr_nic *n = wr_machine_nic(m, (s ? l->store : l->client).device[0]);

		if (!n || n->node < 0 || node < 0 || n->node == node)
			continue;
		snprintf(fix, sizeof(fix), "move worker %s to a core of node %d, where %s sits",
		         w->name, n->node, n->name);
		find(to, WR_WARN, fix,
		     "worker %s runs on node %d, %s sits on node %d: every frame crosses sockets",
		     w->name, node, n->name, n->node);
	}
	if (!physical(m, l))
		return;
	if (w->core == 0)
		find(to, WR_WARN, "leave CPU 0 to the kernel and to control",
		     "worker %s runs on CPU 0, where the kernel does its own work", w->name);
	if (!wr_cpus_has(&m->isolated, w->core))
		find(to, WR_WARN, "isolcpus=managed_irq,domain,... on the kernel command line",
		     "worker %s runs on core %u, which is not isolated", w->name, w->core);
}

uint32_t wr_cores_check(const struct wr_machine *m, const struct wr_conf *c, struct wr_finding *out)
{
	struct placed p[WR_WORKERS_MAX + WR_DECODERS_MAX + 1];
	struct findings to = { .f = out };
	uint32_t n = place(c, p);

	for (uint32_t i = 0; i < n; i++)
		if (p[i].core >= m->ncpus || !m->cpu[p[i].core].online)
			find(&to, WR_FAIL, "name a core that `weir cores` shows as online",
			     "%s is configured for core %u, which this machine does not have "
			     "online",
			     p[i].what, p[i].core);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = i + 1; j < n; j++)
			check_pair(&to, m, c, &p[i], &p[j]);
	for (uint32_t i = 0; i < c->nworkers; i++)
		if (c->worker[i].core < m->ncpus && c->worker[i].link < c->nlinks)
			check_worker(&to, m, c, i);
	if (c->shared_cores)
		for (uint32_t i = 0; i < c->nlinks; i++)
			if (physical(m, &c->link[i]))
				find(&to, WR_FAIL, "set cores.shared_cores to false",
				     "shared_cores is for labs, but link %s has a physical NIC",
				     c->link[i].name);
	return to.n;
}

/* --- plan
 * ------------------------------------------------------------------------------------------ */

WR_PRINTF(2, 3) static void because(struct wr_plan *p, const char *fmt, ...)
{
	va_list ap;

	if (p->nreasons == WR_COUNT_OF(p->reason))
		return;
	va_start(ap, fmt);
	vsnprintf(p->reason[p->nreasons++], sizeof(p->reason[0]), fmt, ap);
	va_end(ap);
}

static int refuse(char *err, int e, const char *text)
{
	snprintf(err, 240, "%s", text);
	return e;
}

static bool plausible(const struct wr_nic *n)
{
	return n->pci[0] != '\0';
}

/* The two fastest NICs that share a node; the first such pair when several do. */
static bool choose_nics(const struct wr_machine *m, const struct wr_nic **a,
                        const struct wr_nic **b)
{
	uint32_t best = 0;

	*a = NULL;
	for (uint32_t i = 0; i < m->nnics; i++)
		for (uint32_t j = i + 1; j < m->nnics; j++) {
			const struct wr_nic *x = &m->nic[i], *y = &m->nic[j];
			uint32_t speed = wr_min_u32(x->speed_mbit, y->speed_mbit) + 1;

			if (!plausible(x) || !plausible(y) || x->node != y->node || speed <= best)
				continue;
			best = speed;
			*a = strcmp(x->name, y->name) < 0 ? x : y;
			*b = *a == x ? y : x;
		}
	return *a != NULL;
}

static int find_nics(const struct wr_machine *m, const struct wr_plan_ask *ask, struct wr_plan *p,
                     char *err)
{
	const struct wr_nic *a = NULL, *b = NULL;

	if (ask->client[0] && ask->store[0]) {
		a = wr_machine_nic(m, ask->client);
		b = wr_machine_nic(m, ask->store);
		if (!a || !b)
			return refuse(
			        err, -EINVAL,
			        "no such interface: `weir cores` lists what this machine has");
		if (a == b)
			return refuse(err, -EINVAL, "both ports are the same interface");
	} else if (!choose_nics(m, &a, &b)) {
		return refuse(err, -EINVAL,
		              "no two NICs on one NUMA node: name them with --client and --store");
	}
	snprintf(p->client, sizeof(p->client), "%s", a->pci[0] ? a->pci : a->name);
	snprintf(p->store, sizeof(p->store), "%s", b->pci[0] ? b->pci : b->name);
	p->node = a->node >= 0 ? a->node : 0;
	if (a->node != b->node)
		because(p,
		        "the ports sit on nodes %d and %d: half of the traffic crosses sockets "
		        "whatever cores "
		        "are chosen; move a card if you can",
		        a->node, b->node);
	else
		because(p, "both ports sit on node %d, so everything that touches frames does too",
		        p->node);
	if (a->speed_mbit && ask->traffic_bits > (uint64_t)a->speed_mbit * 1000000u)
		because(p, "beware: %s runs at %u Mbit/s, less than the traffic asked for", a->name,
		        a->speed_mbit);
	return 0;
}

/* First threads of the physical cores of a node, lowest number first. */
static uint32_t physical_cores(const struct wr_machine *m, int node, uint32_t *out, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->ncpus && n < max; i++) {
		bool first = m->cpu[i].online && (m->cpu[i].node == node || m->cpu[i].node < 0);

		for (uint32_t j = 0; j < i && first; j++)
			first = !(m->cpu[j].online && wr_cpus_has(&m->cpu[i].siblings, j));
		if (first)
			out[n++] = i;
	}
	return n;
}

static void choose_decoders(const struct wr_machine *m, const struct wr_plan_ask *ask,
                            struct wr_plan *p, const uint32_t *core, uint32_t from, uint32_t ncores)
{
	uint32_t want = ask->decoders ? ask->decoders : (p->nworkers + 3) / 4, other[WR_CPUS_MAX],
	         n = 0;

	want = wr_min_u32(want, WR_DECODERS_MAX);
	for (; from < ncores && p->ndecoders < want; from++)
		p->decoder[p->ndecoders++] = core[from];
	if (p->ndecoders == want) {
		because(p,
		        "%u decoder%s on free cores of the same node: bodies reach them through "
		        "memory of that node",
		        p->ndecoders, p->ndecoders == 1 ? "" : "s");
		return;
	}
	for (int node = 0; node < (int)WR_NODES_MAX && p->ndecoders < want; node++) {
		if (node == p->node || !m->node[node].present)
			continue;
		n = physical_cores(m, node, other, WR_CPUS_MAX);
		/* The first core of every socket stays with the kernel. */
		for (uint32_t i = 1; i < n && p->ndecoders < want; i++)
			p->decoder[p->ndecoders++] = other[i];
	}
	if (p->ndecoders > 0)
		because(p,
		        "decoders partly on another node: the workers need node %d for themselves; "
		        "decoding is "
		        "slow enough that the distance does not show",
		        p->node);
	else
		because(p, "no core left for decoders: they share the housekeeping core and will "
		           "be late "
		           "(incomplete:decoder_late)");
	if (p->ndecoders == 0) {
		p->decoder[0] = p->main;
		p->ndecoders = 1;
	}
}

int wr_cores_plan(const struct wr_machine *m, const struct wr_plan_ask *ask, struct wr_plan *p,
                  char *err)
{
	uint32_t core[WR_CPUS_MAX], n, want, spare;
	char text[512];
	int e;

	memset(p, 0, sizeof(*p));
	if (ask->traffic_bits == 0)
		return refuse(err, -EINVAL, "say how much traffic: --traffic 40Gbit");
	e = find_nics(m, ask, p, err);
	if (e)
		return e;
	p->per_core_bits = ask->per_core_bits ? ask->per_core_bits
	                   : ask->all_digests ? WR_PLAN_DEFAULT_ALL
	                                      : WR_PLAN_DEFAULT_SHA256;
	want = (uint32_t)((ask->traffic_bits * 100 + p->per_core_bits * WR_PLAN_LOAD - 1) /
	                  (p->per_core_bits * WR_PLAN_LOAD));
	n = physical_cores(m, p->node, core, WR_CPUS_MAX);
	spare = n > 2 ? 2 : 1; /* main and the kernel's own; on a small machine they share */
	if (want > WR_WORKERS_MAX || n < want + spare) {
		snprintf(err, 240,
		         "%u workers and %u housekeeping core%s needed, node %d has %u physical "
		         "cores: about %llu "
		         "Gbit/s fit; split the traffic over a second link on another node or a "
		         "second machine",
		         want, spare, spare == 1 ? "" : "s", p->node, n,
		         (unsigned long long)(n > spare ? (n - spare) * p->per_core_bits *
		                                                  WR_PLAN_LOAD / 100
		                                        : 0) /
		                 1000000000u);
		return -ENOSPC;
	}
	wr_cpus_add(&p->control, core[0]);
	p->main = core[spare - 1];
	because(p, "CPU %u stays with the kernel, its interrupts and weir-control", core[0]);
	if (spare == 2)
		because(p,
		        "main on core %u: it answers control and watches the wire, and must not "
		        "wait",
		        p->main);
	for (uint32_t i = 0; i < want; i++)
		p->worker[p->nworkers++] = core[spare + i];
	because(p, "%u worker%s: %.1f Gbit/s at %u %% of %.1f Gbit/s per core (%s)", want,
	        want == 1 ? "" : "s", (double)ask->traffic_bits / 1e9, WR_PLAN_LOAD,
	        (double)p->per_core_bits / 1e9,
	        ask->measured ? "from the bench report"
	                      : "an assumption: measure with scripts/bench --json FILE");
	for (uint32_t i = 0; i < want; i++)
		for (uint32_t j = 0; j < m->ncpus; j++) {
			if (j != p->worker[i] && wr_cpus_has(&m->cpu[p->worker[i]].siblings, j))
				wr_cpus_add(&p->idle_siblings, j);
			if (wr_cpus_has(&m->cpu[p->worker[i]].siblings, j))
				wr_cpus_add(&p->isolate, j);
		}
	if (wr_cpus_count(&p->idle_siblings))
		because(p,
		        "one worker per physical core; siblings %s stay idle, they would halve its "
		        "speed",
		        wr_cpus_print(&p->idle_siblings, text, 120));
	choose_decoders(m, ask, p, core, spare + want, n);
	return 0;
}

void wr_plan_yaml(const struct wr_plan *p, const struct wr_plan_ask *ask, FILE *f)
{
	char list[512];

	fprintf(f, "# Proposed for %.1f Gbit/s of uploads%s.\n", (double)ask->traffic_bits / 1e9,
	        ask->all_digests ? ", all digests" : "");
	for (uint32_t i = 0; i < p->nreasons; i++)
		fprintf(f, "# - %s\n", p->reason[i]);
	wr_cpus_print(&p->isolate, list, sizeof(list));
	fprintf(f,
	        "# Kernel command line: isolcpus=managed_irq,domain,%s nohz_full=%s rcu_nocbs=%s\n",
	        list, list, list);
	fprintf(f,
	        "links:\n  - name: a\n    client: { device: \"%s\" }\n    store:  { device: \"%s\" "
	        "}\n",
	        p->client, p->store);
	fprintf(f, "cores:\n  main: %u\n  control: \"%s\"\n  workers:\n", p->main,
	        wr_cpus_print(&p->control, list, sizeof(list)));
	for (uint32_t i = 0; i < p->nworkers; i++)
		fprintf(f, "    - { name: w%u, core: %u, link: a, queue: %u }\n", i, p->worker[i],
		        i);
	fprintf(f, "  decoders: [");
	for (uint32_t i = 0; i < p->ndecoders; i++)
		fprintf(f, "%s %u", i ? "," : "", p->decoder[i]);
	fprintf(f, " ]\n  idle: spin\n  shared_cores: false\n");
}
