/* SPDX-License-Identifier: BSD-3-Clause */
/* weir cores: the machine beside the configured layout; weir cores plan: a layout with its reasons.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "config/config.h"
#include "sre/sre.h"

static const struct wr_conf *load(struct wr_cli *c, struct wr_config **cfg)
{
	const char *file = c->config ? c->config : "/etc/weir/weir.yaml";
	struct wr_config_report rep = { 0 };

	return wr_config_load(&file, 1, cfg, &rep) == 0 ? wr_config_dataplane(*cfg) : NULL;
}

static void role_of(const struct wr_conf *c, uint32_t cpu, char *out, size_t n)
{
	size_t at = 0;

	out[0] = '\0';
	if (c->main_core == cpu)
		at += (size_t)snprintf(out, n, "main ");
	for (uint32_t i = 0; i < c->nworkers && at < n; i++)
		if (c->worker[i].core == cpu)
			at += (size_t)snprintf(out + at, n - at, "worker %s (link %s queue %u) ",
			                       c->worker[i].name, c->link[c->worker[i].link].name,
			                       c->worker[i].queue);
	for (uint32_t i = 0; i < c->ndecoders && at < n; i++)
		if (c->decoder_core[i] == cpu)
			at += (size_t)snprintf(out + at, n - at, "decoder ");
}

static void print_machine(const struct wr_machine *m, const struct wr_conf *c, bool all)
{
	char a[160], role[160];

	printf("%s, %u socket%s, %u node%s, L2 %llu KiB, L3 %llu MiB, %s\n",
	       m->model[0] ? m->model : "CPU", m->nsockets, m->nsockets == 1 ? "" : "s", m->nnodes,
	       m->nnodes == 1 ? "" : "s", (unsigned long long)(m->l2_bytes >> 10),
	       (unsigned long long)(m->l3_bytes >> 20),
	       m->avx512 ? "AVX-512"
	       : m->avx2 ? "AVX2"
	                 : "no AVX2");
	for (uint32_t i = 0; i < WR_NODES_MAX; i++)
		if (m->node[i].present)
			printf("node %u: cores %s; hugepages %llu MiB, %llu free\n", i,
			       wr_cpus_print(&m->node[i].cpus, a, sizeof(a)),
			       (unsigned long long)(m->node[i].huge_bytes >> 20),
			       (unsigned long long)(m->node[i].huge_free_bytes >> 20));
	printf("isolated %s; ", wr_cpus_print(&m->isolated, a, sizeof(a)));
	printf("nohz_full %s\n", wr_cpus_print(&m->nohz_full, a, sizeof(a)));
	for (uint32_t i = 0; i < m->nnics; i++)
		printf("nic %-12s node %d  %-12s %-10s %u Mbit/s, %u rx queues%s\n", m->nic[i].name,
		       m->nic[i].node, m->nic[i].pci[0] ? m->nic[i].pci : "virtual",
		       m->nic[i].driver, m->nic[i].speed_mbit, m->nic[i].rx_queues,
		       m->nic[i].carrier == 0 ? ", no link" : "");
	printf("\n%4s %6s %4s %4s  %-10s %-8s %10s  %s\n", "CPU", "SOCKET", "CORE", "NODE",
	       "SIBLINGS", "STATE", "IRQS", "ROLE");
	for (uint32_t i = 0; i < m->ncpus; i++) {
		const struct wr_cpu *p = &m->cpu[i];

		role[0] = '\0';
		if (c)
			role_of(c, i, role, sizeof(role));
		if (!all && m->ncpus > 32 && !role[0] && i >= 4)
			continue;
		printf("%4u %6d %4d %4d  %-10s %-8s %10llu  %s\n", i, p->socket, p->core, p->node,
		       wr_cpus_print(&p->siblings, a, sizeof(a)),
		       !p->online                     ? "offline"
		       : wr_cpus_has(&m->isolated, i) ? "isolated"
		                                      : "shared",
		       (unsigned long long)p->irqs, role);
	}
	if (!all && m->ncpus > 32)
		printf("(cores without a role are left out; --all shows them)\n");
}

static json_t *machine_json(const struct wr_machine *m, const struct wr_conf *c)
{
	json_t *cpus = json_array(), *nodes = json_array(), *nics = json_array();
	char a[160], role[160];

	for (uint32_t i = 0; i < m->ncpus; i++) {
		const struct wr_cpu *p = &m->cpu[i];

		role[0] = '\0';
		if (c)
			role_of(c, i, role, sizeof(role));
		json_array_append_new(cpus,
		                      json_pack("{s:i,s:i,s:i,s:i,s:s,s:b,s:b,s:b,s:I,s:s}", "cpu",
		                                (int)i, "socket", p->socket, "core", p->core,
		                                "node", p->node, "siblings",
		                                wr_cpus_print(&p->siblings, a, sizeof(a)), "online",
		                                p->online, "isolated", wr_cpus_has(&m->isolated, i),
		                                "nohz_full", wr_cpus_has(&m->nohz_full, i), "irqs",
		                                (json_int_t)p->irqs, "role", role));
	}
	for (uint32_t i = 0; i < WR_NODES_MAX; i++)
		if (m->node[i].present)
			json_array_append_new(
			        nodes,
			        json_pack("{s:i,s:s,s:I,s:I}", "node", (int)i, "cpus",
			                  wr_cpus_print(&m->node[i].cpus, a, sizeof(a)),
			                  "hugepage_bytes", (json_int_t)m->node[i].huge_bytes,
			                  "hugepage_free_bytes",
			                  (json_int_t)m->node[i].huge_free_bytes));
	for (uint32_t i = 0; i < m->nnics; i++)
		json_array_append_new(
		        nics, json_pack("{s:s,s:s,s:s,s:i,s:i,s:i}", "name", m->nic[i].name, "pci",
		                        m->nic[i].pci, "driver", m->nic[i].driver, "node",
		                        m->nic[i].node, "mbit", (int)m->nic[i].speed_mbit,
		                        "rx_queues", (int)m->nic[i].rx_queues));
	return json_pack("{s:s,s:i,s:o,s:o,s:o}", "model", m->model, "sockets", (int)m->nsockets,
	                 "cpus", cpus, "nodes", nodes, "nics", nics);
}

static int run_cores(struct wr_cli *c, int argc, char **argv)
{
	const char *root = wr_cli_opt(c, &argc, argv, "--sysfs");
	bool all = wr_cli_flag(&argc, argv, "--all");
	struct wr_machine *m = calloc(1, sizeof(*m));
	struct wr_finding f[WR_FINDINGS_MAX];
	struct wr_config *cfg = NULL;
	const struct wr_conf *conf = load(c, &cfg);
	json_t *doc = NULL, *list = json_array();
	uint32_t n;
	int rc = WR_EXIT_OK;

	if (!m || argc != 1) {
		rc = wr_cli_usage_of(c, NULL, "cores");
		goto out;
	}
	wr_machine_read(m, root ? root : "");
	n = conf ? wr_cores_check(m, conf, f) : 0;
	if (c->json)
		doc = machine_json(m, conf);
	else
		print_machine(m, conf, all);
	for (uint32_t i = 0; i < n; i++) {
		rc = f[i].level == WR_FAIL ? WR_EXIT_FAIL : rc == WR_EXIT_OK ? WR_EXIT_NO : rc;
		json_array_append_new(list,
		                      json_pack("{s:s,s:s,s:s}", "level", wr_level_name(f[i].level),
		                                "text", f[i].text, "fix", f[i].fix));
		if (!c->json)
			printf("%s  %s\n      fix: %s\n", f[i].level == WR_FAIL ? "FAIL" : "WARN",
			       f[i].text, f[i].fix);
	}
	if (doc) {
		json_object_set(doc, "findings", list);
		wr_cli_print_json(doc);
	} else if (!conf) {
		printf("no valid configuration (%s): the layout is not shown\n",
		       c->config ? c->config : "/etc/weir/weir.yaml");
	}
out:
	json_decref(doc);
	json_decref(list);
	wr_config_free(cfg);
	free(m);
	return rc;
}

/* "40Gbit", "7.5G", "800Mbit" -> bits per second; 0 = not understood. */
static uint64_t rate(const char *s)
{
	char *end;
	double v = strtod(s, &end), unit;

	switch (*end) {
	case 'T': unit = 1e12; break;
	case 'G': unit = 1e9; break;
	case 'M': unit = 1e6; break;
	default: return 0;
	}
	if (v <= 0 || v > 1e6 ||
	    (end[1] && strcmp(end + 1, "bit") && strcmp(end + 1, "bit/s") &&
	     strcmp(end + 1, "bps")))
		return 0;
	return (uint64_t)(v * unit);
}

/* The median of the case `name` of a weir.bench/1 report, in bits per second. */
static uint64_t measured(const char *file, const char *name)
{
	json_error_t e;
	json_t *doc = json_load_file(file, 0, &e), *k;
	uint64_t out = 0;
	size_t i;

	json_array_foreach(json_object_get(doc, "cases"), i,
	                   k) if (strcmp(wr_cli_str(k, "name"), name) == 0) out =
	        (uint64_t)(1e9 * json_number_value(json_object_get(
	                                 json_object_get(k, "gbit_per_core"), "median")));
	json_decref(doc);
	return out;
}

static int plan_ask(struct wr_cli *c, int *argc, char **argv, struct wr_plan_ask *ask)
{
	const char *traffic = wr_cli_opt(c, argc, argv, "--traffic"),
	           *bench = wr_cli_opt(c, argc, argv, "--bench");
	const char *name = wr_cli_opt(c, argc, argv, "--case"),
	           *per = wr_cli_opt(c, argc, argv, "--per-core");
	const char *digests = wr_cli_opt(c, argc, argv, "--digests"),
	           *decoders = wr_cli_opt(c, argc, argv, "--decoders");
	const char *client = wr_cli_opt(c, argc, argv, "--client"),
	           *store = wr_cli_opt(c, argc, argv, "--store");

	if (!traffic || *argc != 1 || !client != !store ||
	    (digests && strcmp(digests, "all") && strcmp(digests, "sha256")))
		return wr_cli_usage_of(c, "cores", "plan");
	ask->traffic_bits = rate(traffic);
	if (!ask->traffic_bits)
		return wr_cli_fail(c, "--traffic %s: write it as 40Gbit or 800Mbit", traffic);
	ask->all_digests = digests && strcmp(digests, "all") == 0;
	ask->decoders = decoders ? (uint32_t)strtoul(decoders, NULL, 10) : 0;
	snprintf(ask->client, sizeof(ask->client), "%s", client ? client : "");
	snprintf(ask->store, sizeof(ask->store), "%s", store ? store : "");
	if (per && !(ask->per_core_bits = rate(per)))
		return wr_cli_fail(c, "--per-core %s: write it as 6Gbit", per);
	if (bench) {
		ask->per_core_bits = measured(bench, name ? name : "pipeline");
		if (!ask->per_core_bits)
			return wr_cli_fail(c, "%s has no case %s with gbit_per_core.median", bench,
			                   name ? name : "pipeline");
		ask->measured = true;
	}
	return WR_EXIT_OK;
}

static int run_plan(struct wr_cli *c, int argc, char **argv)
{
	const char *root = wr_cli_opt(c, &argc, argv, "--sysfs");
	struct wr_machine *m = calloc(1, sizeof(*m));
	struct wr_plan_ask ask = { 0 };
	struct wr_plan p;
	char err[256];
	int rc = m ? plan_ask(c, &argc, argv, &ask) : WR_EXIT_FAIL, e;

	if (rc == WR_EXIT_OK) {
		wr_machine_read(m, root ? root : "");
		e = wr_cores_plan(m, &ask, &p, err);
		if (e)
			rc = wr_cli_fail(c, "%s", err) == WR_EXIT_FAIL && e == -ENOSPC
			             ? WR_EXIT_NO
			             : WR_EXIT_FAIL;
		else
			wr_plan_yaml(&p, &ask, stdout);
	}
	free(m);
	return rc;
}

const struct wr_cmd wr_cmds_cores[] = {
	{ "cores", "plan",
	  "--traffic 40Gbit [--digests all|sha256] [--bench FILE [--case NAME] | --per-core 6Gbit] "
	  "[--decoders N] "
	  "[--client DEV --store DEV] [--sysfs DIR]",
	  "propose a layout as YAML, with reasons", run_plan },
	{ NULL, "cores", "[--all] [--sysfs DIR]",
	  "the machine's cores beside the configured layout", run_cores },
	{ 0 },
};
