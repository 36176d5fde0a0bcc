/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of cores, interrupts and instruction sets. */
#include <string.h>

#include "sre/check.h"

#define LATENCY_MAX_US 10u /* an idle state that takes longer to leave than a frame burst lasts */

static bool worker_cpus(const struct wr_doctor_in *in, struct wr_cpus *s, struct wr_result *r)
{
	memset(s, 0, sizeof(*s));
	if (!in->conf) {
		wr_na(r, "no configuration: %s", in->facts->config_error);
		return false;
	}
	for (uint32_t i = 0; i < in->conf->nworkers; i++)
		wr_cpus_add(s, in->conf->worker[i].core);
	return true;
}

static void minus(struct wr_cpus *a, const struct wr_cpus *b)
{
	for (size_t i = 0; i < WR_COUNT_OF(a->w); i++)
		a->w[i] &= ~b->w[i];
}

/* The three kernel settings that keep others off the workers' cores, told by one set each. */
static void check_set(const struct wr_doctor_in *in, struct wr_result *r,
                      const struct wr_cpus *have, const char *option)
{
	struct wr_cpus want;
	char list[128], missing[128];

	if (!worker_cpus(in, &want, r))
		return;
	wr_found(r, "%s", wr_cpus_print(have, list, sizeof(list)));
	snprintf(r->wanted, sizeof(r->wanted), "every worker core: %s",
	         wr_cpus_print(&want, missing, sizeof(missing)));
	wr_cpus_print(&want, list, sizeof(list));
	minus(&want, have);
	if (wr_cpus_count(&want) == 0)
		return;
	if (in->conf->shared_cores)
		wr_fix(r, WR_WARN,
		       "shared_cores is set (a lab); in production: %s%s on the kernel command "
		       "line",
		       option, list);
	else
		wr_fix(r, WR_WARN, "cores %s: add %s%s to the kernel command line and reboot",
		       wr_cpus_print(&want, missing, sizeof(missing)), option, list);
}

void wr_check_isolated(const struct wr_doctor_in *in, struct wr_result *r)
{
	check_set(in, r, &in->m->isolated, "isolcpus=managed_irq,domain,");
}

void wr_check_nohz_full(const struct wr_doctor_in *in, struct wr_result *r)
{
	check_set(in, r, &in->m->nohz_full, "nohz_full=");
}

void wr_check_rcu_nocbs(const struct wr_doctor_in *in, struct wr_result *r)
{
	struct wr_cpus have = in->m->rcu_nocbs;

	/* nohz_full implies it. */
	for (size_t i = 0; i < WR_COUNT_OF(have.w); i++)
		have.w[i] |= in->m->nohz_full.w[i];
	check_set(in, r, &have, "rcu_nocbs=");
}

void wr_check_governor(const struct wr_doctor_in *in, struct wr_result *r)
{
	struct wr_cpus want, bad = { 0 };
	char list[128];
	const char *other = "";

	if (!worker_cpus(in, &want, r))
		return;
	wr_wanted(r, "performance on every worker core, or no frequency control");
	for (uint32_t i = 0; i < in->m->ncpus; i++) {
		const char *g = in->m->cpu[i].governor;

		if (!wr_cpus_has(&want, i) || !*g || strcmp(g, "performance") == 0)
			continue;
		wr_cpus_add(&bad, i);
		other = g;
	}
	wr_found(r, "%s", wr_cpus_count(&bad) ? other : "performance, or no frequency control");
	if (wr_cpus_count(&bad))
		wr_fix(r, WR_WARN, "cores %s: cpupower -c %s frequency-set -g performance",
		       wr_cpus_print(&bad, list, 100), list);
}

void wr_check_cstates(const struct wr_doctor_in *in, struct wr_result *r)
{
	struct wr_cpus want;
	uint32_t worst = 0;

	if (!worker_cpus(in, &want, r))
		return;
	for (uint32_t i = 0; i < in->m->ncpus; i++)
		if (wr_cpus_has(&want, i))
			worst = wr_max_u32(worst, in->m->cpu[i].idle_latency_us);
	wr_found(r, "%u us to leave the deepest idle state", worst);
	snprintf(r->wanted, sizeof(r->wanted), "at most %u us on worker cores", LATENCY_MAX_US);
	if (worst > LATENCY_MAX_US)
		wr_fix(r, WR_WARN,
		       "cpupower idle-set -D %u, or intel_idle.max_cstate=1 / "
		       "processor.max_cstate=1",
		       LATENCY_MAX_US);
}

void wr_check_siblings(const struct wr_doctor_in *in, struct wr_result *r)
{
	struct wr_cpus want, used = { 0 }, loud = { 0 };
	char list[100];

	if (!worker_cpus(in, &want, r))
		return;
	for (uint32_t i = 0; i < in->m->ncpus; i++) {
		bool sibling = false;

		for (uint32_t w = 0; w < in->m->ncpus; w++)
			sibling |= w != i && wr_cpus_has(&want, w) &&
			           wr_cpus_has(&in->m->cpu[w].siblings, i);
		if (!sibling || !in->m->cpu[i].online)
			continue;
		if (wr_cpus_has(&want, i) || i == in->conf->main_core)
			wr_cpus_add(&used, i);
		else if (!wr_cpus_has(&in->m->isolated, i))
			wr_cpus_add(&loud, i);
	}
	wr_wanted(r, "siblings of worker cores offline, or isolated and unused");
	if (wr_cpus_count(&used)) {
		wr_found(r, "siblings %s of worker cores run threads of Weir",
		         wr_cpus_print(&used, list, sizeof(list)));
		wr_fix(r, in->conf->shared_cores ? WR_WARN : WR_FAIL,
		       "one worker per physical core: `weir cores plan` proposes a layout");
	} else if (wr_cpus_count(&loud)) {
		wr_found(r, "the kernel may run anything on siblings %s",
		         wr_cpus_print(&loud, list, sizeof(list)));
		wr_fix(r, WR_WARN,
		       "isolate them too, or: echo 0 > /sys/devices/system/cpu/cpuN/online");
	} else {
		wr_found(r, "no sibling of a worker core is in use");
	}
}

void wr_check_overlap(const struct wr_doctor_in *in, struct wr_result *r)
{
	struct wr_cpus want;
	uint32_t n = 0;
	const struct wr_busy *first = NULL;

	if (!worker_cpus(in, &want, r))
		return;
	wr_wanted(r, "nobody else runs on a worker core");
	for (uint32_t i = 0; i < in->conf->nworkers; i++)
		for (uint32_t j = 0; j < i; j++)
			if (in->conf->worker[i].core == in->conf->worker[j].core) {
				wr_found(r, "workers %s and %s share core %u",
				         in->conf->worker[j].name, in->conf->worker[i].name,
				         in->conf->worker[i].core);
				wr_fix(r, in->conf->shared_cores ? WR_WARN : WR_FAIL,
				       "one core per worker");
				return;
			}
	for (uint32_t i = 0; i < in->m->nbusy; i++)
		if (wr_cpus_has(&want, in->m->busy[i].cpu)) {
			first = first ? first : &in->m->busy[i];
			n++;
		}
	if (n == 0) {
		wr_found(r, "nobody at this moment");
		return;
	}
	wr_found(r, "%u runnable thread%s, first %s (pid %u) on core %u", n, n == 1 ? "" : "s",
	         first->comm, first->pid, first->cpu);
	wr_fix(r, WR_WARN,
	       "keep others off: AllowedCPUs= in drop-ins of system.slice, user.slice and "
	       "init.scope");
}

void wr_check_simd(const struct wr_doctor_in *in, struct wr_result *r)
{
	const struct wr_machine *m = in->m;

	wr_found(r, "%s",
	         m->avx512  ? "AVX-512"
	         : m->avx2  ? "AVX2"
	         : m->ssse3 ? "SSSE3"
	                    : "none of them");
	wr_wanted(r, "AVX2 or AVX-512; SSSE3 at the very least");
	if (!m->ssse3)
		wr_fix(r, WR_FAIL,
		       "the pattern matcher does not run here: use another CPU, or let the VM show "
		       "its flags "
		       "(-cpu host)");
	else if (!m->avx2)
		wr_fix(r, WR_WARN,
		       "digests run several times slower: use another CPU, or let the VM show its "
		       "flags");
}

void wr_check_irq_affinity(const struct wr_doctor_in *in, struct wr_result *r)
{
	struct wr_cpus want;
	uint32_t n = 0;
	const struct wr_irq *first = NULL;

	if (!worker_cpus(in, &want, r))
		return;
	wr_wanted(r, "no device interrupt is bound to a worker core");
	for (uint32_t i = 0; i < in->m->nirqs; i++) {
		const struct wr_irq *q = &in->m->irq[i];
		bool hit = false;

		for (size_t k = 0; k < WR_COUNT_OF(want.w); k++)
			hit |= (q->on.w[k] & want.w[k]) != 0;
		if (hit)
			first = first ? first : q;
		n += hit;
	}
	wr_found(r, "%u interrupt%s may come to worker cores%s%s", n, n == 1 ? "" : "s",
	         n ? ", first " : "", n ? first->name : "");
	if (n)
		wr_fix(r, WR_WARN,
		       "echo <housekeeping cpus> > /proc/irq/%u/smp_affinity_list (all of them: "
		       "irqaffinity= on the kernel command line)",
		       first->number);
}

void wr_check_irqbalance(const struct wr_doctor_in *in, struct wr_result *r)
{
	wr_found(r, "irqbalance %s", in->m->irqbalance ? "runs" : "does not run");
	wr_wanted(r, "not running, or told to leave worker cores alone");
	if (in->m->irqbalance)
		wr_fix(r, WR_WARN,
		       "systemctl disable --now irqbalance, or IRQBALANCE_BANNED_CPULIST=<worker "
		       "cores>");
}
