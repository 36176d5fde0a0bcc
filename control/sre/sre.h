/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sre - the machine as Weir needs it, the core layout it should have, and what is wrong with it.
 *
 * takes    a root folder ("" or a capture with sys/ and proc/ in it), the compiled configuration,
 * facts gives    struct wr_machine, a layout with its reasons, one result per doctor check owns
 * nothing; everything is filled into what the caller brings threads  any limits   WR_CPUS_MAX
 * logical CPUs, WR_NODES_MAX NUMA nodes, WR_NICS_MAX interfaces fails    reading never fails as a
 * whole: a file that is not there is a value that is not known see      docs/operate/cores.md,
 * docs/operate/doctor.md, tests/unit/sre
 */
#ifndef WR_SRE_SRE_H
#define WR_SRE_SRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "abi/conf.h"
#include "base/base.h"

#define WR_CPUS_MAX  1024u
#define WR_NODES_MAX 16u
#define WR_NICS_MAX  64u

struct wr_cpus {
	uint64_t w[WR_CPUS_MAX / 64];
};

static inline bool wr_cpus_has(const struct wr_cpus *s, uint32_t cpu)
{
	return cpu < WR_CPUS_MAX && (s->w[cpu / 64] >> (cpu % 64) & 1);
}

static inline void wr_cpus_add(struct wr_cpus *s, uint32_t cpu)
{
	if (cpu < WR_CPUS_MAX)
		s->w[cpu / 64] |= 1ull << (cpu % 64);
}

uint32_t wr_cpus_count(const struct wr_cpus *s);
/* The kernel's list format, "0-3,8"; what cannot be read is left out. */
void wr_cpus_parse(struct wr_cpus *s, const char *list);
/* The same back; "none" for the empty set. Returns out. */
const char *wr_cpus_print(const struct wr_cpus *s, char *out, size_t n);

struct wr_cpu {
	bool online;
	int socket, core, node;   /* core: unique within its socket; -1 = not known */
	struct wr_cpus siblings;  /* itself included */
	char governor[24];        /* "" = no frequency control */
	uint32_t idle_latency_us; /* of the slowest idle state that is not disabled */
	uint64_t irqs;            /* device interrupts handled since boot */
};

struct wr_node {
	bool present;
	struct wr_cpus cpus;
	uint64_t huge_bytes, huge_free_bytes; /* all page sizes */
};

struct wr_nic {
	char name[64]; /* interface, or PCI address where no kernel driver holds it */
	char pci[32], driver[32];
	int node; /* -1 = not known or virtual */
	uint32_t speed_mbit, rx_queues;
	uint32_t width, width_max;   /* PCIe lanes */
	char pcie[24], pcie_max[24]; /* "16.0 GT/s PCIe" */
	int carrier;                 /* -1 = not known */
	uint32_t carrier_changes;
};

struct wr_irq {
	uint32_t number;
	struct wr_cpus on;
	char name[48];
};

struct wr_machine {
	uint32_t ncpus, nnodes, nsockets, nnics, nirqs; /* ncpus: highest number + 1 */
	struct wr_cpu cpu[WR_CPUS_MAX];
	struct wr_node node[WR_NODES_MAX];
	struct wr_nic nic[WR_NICS_MAX];
	struct wr_irq irq[512];
	struct wr_cpus isolated, nohz_full, rcu_nocbs;
	uint64_t l2_bytes, l3_bytes; /* of CPU 0; L3 as shared by its group */
	char model[80], cmdline[2048];
	bool ssse3, avx2, avx512, iommu, noiommu, irqbalance, dataplane_runs;
	uint32_t rtemaps; /* files DPDK left in the hugepage folder */
	/* Threads of other programs found running on a CPU, by /proc; sampled once. */
	struct wr_busy {
		uint32_t cpu, pid;
		char comm[20];
	} busy[256];
	uint32_t nbusy;
};

void wr_machine_read(struct wr_machine *m, const char *root);
/* The NIC that a device of weir.yaml means (PCI address, or ...,iface=NAME); NULL = not found. */
const struct wr_nic *wr_machine_nic(const struct wr_machine *m, const char *device);

/* --- layout
 * ---------------------------------------------------------------------------------------- */

enum wr_level { WR_OK, WR_WARN, WR_FAIL, WR_NA };

struct wr_finding {
	enum wr_level level;
	char text[200], fix[240];
};

#define WR_FINDINGS_MAX 64u

/* What is wrong with the configured cores on this machine; returns how many findings. */
uint32_t wr_cores_check(const struct wr_machine *m, const struct wr_conf *c,
                        struct wr_finding *out);

struct wr_plan_ask {
	uint64_t traffic_bits;  /* per second, both ports, uploads */
	uint64_t per_core_bits; /* measured; 0 = the default of the digest set */
	bool all_digests;
	bool measured;              /* per_core_bits comes from a bench report */
	char client[64], store[64]; /* interface or PCI address; "" = choose */
	uint32_t decoders;
};

struct wr_plan {
	uint32_t main, nworkers, worker[WR_WORKERS_MAX], ndecoders, decoder[WR_DECODERS_MAX];
	uint64_t per_core_bits;
	struct wr_cpus control, idle_siblings, isolate;
	int node;
	char client[64], store[64];
	uint32_t nreasons;
	char reason[16][200];
};

#define WR_PLAN_DEFAULT_SHA256 8000000000ull /* bits per second and core: docs/operate/cores.md */
#define WR_PLAN_DEFAULT_ALL    7500000000ull
#define WR_PLAN_LOAD           70u /* per cent of a core's capacity that a plan uses */

/* 0, or -ENOSPC / -EINVAL with one line in err (at least 240 bytes) that says what would do. */
WR_MUST_USE int wr_cores_plan(const struct wr_machine *m, const struct wr_plan_ask *ask,
                              struct wr_plan *out, char *err);
void wr_plan_yaml(const struct wr_plan *p, const struct wr_plan_ask *ask, FILE *f);

/* --- doctor
 * ---------------------------------------------------------------------------------------- */

#define WR_CHECK_TEXT 240u

struct wr_result {
	const char *id;
	enum wr_level level;
	char found[WR_CHECK_TEXT], wanted[WR_CHECK_TEXT], fix[WR_CHECK_TEXT];
};

struct wr_wire_fact {
	char link[WR_NAME_MAX], state[16], cause[16];
	bool installed;
	uint64_t beat_age_ms; /* UINT64_MAX = nobody serves it */
};

struct wr_bundle_fact {
	char name[64];
	uint32_t version;
	int64_t created, expires; /* seconds since 1970; 0 = not known */
};

/* What does not come from sysfs. Zeroed = nothing is known, which is no failure by itself. */
struct wr_facts {
	int64_t now;
	bool time_known, time_synced, control_known, allow_unsigned, witness_configured;
	uint64_t time_error_us;
	uint32_t nwires, nbundles;
	struct wr_wire_fact wire[WR_LINKS_MAX];
	struct wr_bundle_fact bundle[16];
	uint64_t frames_received, frames_foreign; /* of all workers, since start */
	int64_t witness_ts;
	char config_error[200]; /* why there is no configuration */
};

#define WR_CHECKS_MAX 32u

struct wr_doctor_in {
	const struct wr_machine *m;
	const struct wr_conf *conf; /* NULL: checks that need it are `na` */
	const struct wr_facts *facts;
};

/* Runs every check; returns how many results. */
uint32_t wr_doctor_run(const struct wr_doctor_in *in, struct wr_result *out);
/* Worst level as the exit code of `weir doctor`: 0, 1, 2. */
int wr_doctor_exit(const struct wr_result *r, uint32_t n);
/* weir_doctor_check_ok{check="..."} lines: 1 ok or not applicable, 0 warn or fail. */
void wr_doctor_metrics(const struct wr_result *r, uint32_t n, FILE *f);
/* The clock: fills time_* of facts from the kernel. */
void wr_facts_time(struct wr_facts *f);

/* facts.c: what only a live system has; the checks themselves need neither XDP nor JSON. */
struct json_t;
struct wr_stats;
/* The AF_XDP links of conf as they are pinned here. */
void wr_facts_wire(struct wr_facts *f, const struct wr_conf *conf);
/* active: what control says is in force ("bundles": [...]), or null. Control is known then. */
void wr_facts_bundles(struct wr_facts *f, const struct json_t *active);
/* Adds one worker's counters. */
void wr_facts_frames(struct wr_facts *f, const struct wr_stats *s);

const char *wr_level_name(enum wr_level l);

#endif
