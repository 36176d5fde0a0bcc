/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine of 2 sockets, 128 cores, SMT and 2 NICs: what is read, what is planned, what is
 * refused. */
#include "sre/sre.h"

#include "fixture.h"
#include "tap.h"

static struct wr_machine m;
static struct wr_plan p;
static struct wr_conf conf;
static char err[256];

static void test_sets(void)
{
	struct wr_cpus s;
	char out[64], tiny[6];

	wr_cpus_parse(&s, "0-3,8,10-11");
	IS(wr_cpus_count(&s), 7, "a list");
	OK(strcmp(wr_cpus_print(&s, out, sizeof(out)), "0-3,8,10-11") == 0, "and back: %s", out);
	wr_cpus_parse(&s, "managed_irq,domain,2-5");
	OK(strcmp(wr_cpus_print(&s, out, sizeof(out)), "2-5") == 0,
	   "isolcpus flags are no numbers: %s", out);
	wr_cpus_parse(&s, "");
	OK(strcmp(wr_cpus_print(&s, out, sizeof(out)), "none") == 0, "the empty set");
	wr_cpus_parse(&s, "5-2,1022-99999,x");
	IS(wr_cpus_count(&s), 2, "nonsense and the end of the range");
	wr_cpus_parse(&s, "1,3,5,7,9,11");
	wr_cpus_print(&s, tiny, sizeof(tiny));
	OK(strlen(tiny) < sizeof(tiny), "a short buffer is not overrun");
}

static void test_read(void)
{
	const struct wr_nic *n;

	IS(m.ncpus, 256, "logical CPUs");
	IS(m.nsockets, 2, "sockets");
	IS(m.nnodes, 2, "nodes");
	IS(m.cpu[64].node, 1, "CPU 64 is on node 1");
	IS(m.cpu[192].socket, 1, "so is its sibling 192");
	OK(wr_cpus_has(&m.cpu[64].siblings, 192), "which it knows");
	IS(m.cpu[3].idle_latency_us, 2, "a disabled idle state does not count");
	IS(m.l3_bytes, 96u << 20, "third-level cache");
	OK(m.avx512 && m.avx2 && m.ssse3, "instruction sets");
	IS(m.cpu[0].irqs, 9000, "interrupts of devices, not NMIs");
	IS(m.nirqs, 1, "one of them");
	OK(m.iommu && !m.noiommu, "an IOMMU");
	IS(m.node[1].huge_bytes, 4ull << 30, "hugepages of node 1");
	n = wr_machine_nic(&m, "0000:81:00.0");
	OK(n && n->node == 1 && n->speed_mbit == 100000 && n->width == 16,
	   "a NIC by its PCI address");
	OK(wr_machine_nic(&m, "net_af_xdp0,iface=ens3,start_queue=0") != NULL,
	   "one by its interface");
	OK(wr_machine_nic(&m, "net_af_xdp0,iface=ens33") == NULL, "not by a part of its name");
	n = wr_machine_nic(&m, "0000:c1:00.0");
	OK(n && strcmp(n->driver, "vfio-pci") == 0, "one that DPDK holds");
}

static int plan(uint64_t gbit, uint64_t per_core, const char *client, const char *store)
{
	struct wr_plan_ask ask = { .traffic_bits = gbit * 1000000000u,
		                   .per_core_bits = per_core * 1000000000u };

	snprintf(ask.client, sizeof(ask.client), "%s", client);
	snprintf(ask.store, sizeof(ask.store), "%s", store);
	return wr_cores_plan(&m, &ask, &p, err);
}

static void test_plan(void)
{
	struct wr_plan_ask ask = { .traffic_bits = 40000000000ull };
	bool local = true, first = true, unique = true;
	char text[256], *yaml = NULL;
	size_t n;
	FILE *f;

	IS(plan(40, 0, "", ""), 0, "40 Gbit/s");
	IS(p.nworkers, 8, "at 70 %% of 8 Gbit/s a core: 8 workers");
	IS(p.node, 1, "on the node of the two fast NICs");
	OK(strcmp(p.client, "0000:81:00.0") == 0 && strcmp(p.store, "0000:82:00.0") == 0,
	   "which it names");
	for (uint32_t i = 0; i < p.nworkers; i++) {
		local &= m.cpu[p.worker[i]].node == 1;
		first &= p.worker[i] < 128;
		for (uint32_t j = 0; j < i; j++)
			unique &= p.worker[i] != p.worker[j] &&
			          !wr_cpus_has(&m.cpu[p.worker[i]].siblings, p.worker[j]);
		unique &= p.worker[i] != p.main && !wr_cpus_has(&p.control, p.worker[i]);
	}
	OK(local, "all of them on that node");
	OK(first && unique, "one per physical core, none with main or control");
	OK(strcmp(wr_cpus_print(&p.idle_siblings, text, sizeof(text)), "194-201") == 0,
	   "siblings idle: %s", text);
	OK(strcmp(wr_cpus_print(&p.isolate, text, sizeof(text)), "66-73,194-201") == 0,
	   "isolated: %s", text);
	IS(p.ndecoders, 2, "decoders");
	OK(p.decoder[0] > p.worker[7], "apart from the workers");
	f = open_memstream(&yaml, &n);
	wr_plan_yaml(&p, &ask, f);
	fclose(f);
	OK(strstr(yaml, "{ name: w7, core: 73, link: a, queue: 7 }") != NULL, "as YAML");
	OK(strstr(yaml, "isolcpus=managed_irq,domain,66-73,194-201") != NULL,
	   "with the kernel command line");
	free(yaml);

	IS(plan(40, 4, "", ""), 0, "a measured, slower core");
	IS(p.nworkers, 15, "takes more of them");
	IS(plan(10, 8, "ens3", "ens4"), 0, "other ports on request");
	IS(p.node, 0, "take the other node");
	IS(plan(1000, 8, "", ""), -ENOSPC, "too much: %s", err);
	IS(plan(0, 8, "", ""), -EINVAL, "no figure: %s", err);
	IS(plan(1, 8, "nosuch", "ens3"), -EINVAL, "no such port: %s", err);
	IS(plan(1, 8, "ens3", "ens3"), -EINVAL, "one port twice: %s", err);
	IS(plan(40, 8, "ens3", "0000:82:00.0"), 0, "ports on two nodes");
	OK(strstr(p.reason[0], "crosses sockets") != NULL, "are said to be bad: %s", p.reason[0]);
}

/* What is wrong with a layout, and that a good one has nothing. */
static void configure(void)
{
	memset(&conf, 0, sizeof(conf));
	conf.nlinks = 1;
	strcpy(conf.link[0].client.device[0], "0000:81:00.0");
	strcpy(conf.link[0].store.device[0], "0000:82:00.0");
	conf.main_core = 65;
	conf.nworkers = 2;
	conf.worker[0].core = 66;
	conf.worker[1].core = 67;
	strcpy(conf.worker[0].name, "w0");
	strcpy(conf.worker[1].name, "w1");
	conf.ndecoders = 1;
	conf.decoder_core[0] = 70;
}

static enum wr_level worst(const char *what, const char *text)
{
	struct wr_finding f[WR_FINDINGS_MAX];
	uint32_t n = wr_cores_check(&m, &conf, f);
	enum wr_level l = WR_OK;

	for (uint32_t i = 0; i < n; i++) {
		l = f[i].level > l ? f[i].level : l;
		if (text && strstr(f[i].text, text) && f[i].fix[0])
			text = NULL;
		printf("# %s: %s: %s | %s\n", what, wr_level_name(f[i].level), f[i].text, f[i].fix);
	}
	OK(text == NULL, "%s: named, with a fix", what);
	return l;
}

static void test_check(void)
{
	put("/sys/devices/system/cpu/isolated", "66-73,194-201");
	wr_machine_read(&m, root);
	configure();
	IS(worst("good", NULL), WR_OK, "a good layout");
	conf.worker[1].core = 66;
	IS(worst("two on one", "share core 66"), WR_FAIL, "two workers on one core");
	configure();
	conf.worker[1].core = 194;
	IS(worst("siblings", "siblings of one physical core"), WR_FAIL, "two workers on siblings");
	configure();
	conf.decoder_core[0] = 66;
	IS(worst("decoder", "decoder 0 share core 66"), WR_FAIL, "a decoder on a worker's core");
	configure();
	conf.main_core = 195;
	IS(worst("main", "worker w1 (core 67) and main"), WR_WARN, "main on a sibling");
	configure();
	conf.worker[0].core = 300;
	IS(worst("absent", "does not have online"), WR_FAIL, "a core that is not there");
	configure();
	conf.worker[0].core = 5;
	IS(worst("remote", "crosses sockets"), WR_WARN, "a worker on the other node");
	configure();
	conf.worker[0].core = 90;
	IS(worst("loud", "not isolated"), WR_WARN, "a core that is not isolated");
	configure();
	conf.shared_cores = 1;
	IS(worst("lab", "shared_cores is for labs"), WR_FAIL, "shared_cores with a physical NIC");
}

int main(void)
{
	test_sets();
	machine(2, 64);
	nic("ens3", "0000:21:00.0", 0, "ixgbe", 10000);
	nic("ens4", "0000:21:00.1", 0, "ixgbe", 10000);
	nic("ens5f0", "0000:81:00.0", 1, "ice", 100000);
	nic("ens6f0", "0000:82:00.0", 1, "ice", 100000);
	nic("-", "0000:c1:00.0", 1, "vfio-pci", 0);
	wr_machine_read(&m, root);
	test_read();
	test_plan();
	test_check();
	machine_gone();
	return tap_done();
}
