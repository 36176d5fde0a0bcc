/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine on which every check is content; then, one thing at a time, each check must complain,
 * say what to do, and be the only one that changed its mind.
 */
#include "sre/sre.h"

#include "fixture.h"
#include "tap.h"

static struct wr_machine m;
static struct wr_conf conf;
static struct wr_facts facts;
static struct wr_result good[WR_CHECKS_MAX], now[WR_CHECKS_MAX];
static uint32_t n;

#define CPU "/sys/devices/system/cpu/"

static void healthy_files(void)
{
	put(CPU "isolated", "4-7,12-15");
	put(CPU "nohz_full", "4-7,12-15");
	put("/proc/cmdline",
	    "root=/dev/sda1 isolcpus=managed_irq,domain,4-7,12-15 rcu_nocbs=4-7,12-15");
	nic("ens5", "0000:81:00.0", 1, "ice", 100000);
	nic("ens6", "0000:82:00.0", 1, "ice", 100000);
}

static void healthy(void)
{
	memset(&conf, 0, sizeof(conf));
	conf.nlinks = 1;
	strcpy(conf.link[0].name, "a");
	strcpy(conf.link[0].client.device[0], "net_af_xdp0,iface=ens5");
	strcpy(conf.link[0].store.device[0], "net_af_xdp1,iface=ens6");
	conf.main_core = 1;
	conf.nworkers = 2;
	conf.worker[0].core = 5;
	conf.worker[1].core = 6;
	strcpy(conf.worker[0].name, "w0");
	strcpy(conf.worker[1].name, "w1");
	conf.mbufs = 262144;
	conf.connections = 1000000;
	conf.uploads = 100000;
	conf.nservices = 1;
	strcpy(conf.service[0].name, "objects");
	conf.service[0].policy.ceiling = WR_A_BLOCK;
	conf.service[0].policy.on_reason[WR_R_MIDSTREAM] = WR_ON_BLOCK;
	conf.service[0].policy.on_reason[WR_R_OVERLAP_CONFLICT] = WR_ON_BLOCK;

	memset(&facts, 0, sizeof(facts));
	facts.now = 1800000000;
	facts.time_known = facts.time_synced = facts.control_known = true;
	facts.time_error_us = 900;
	facts.frames_received = 1000000;
	facts.frames_foreign = 100;
	facts.nwires = 1;
	facts.wire[0] = (struct wr_wire_fact){ "a", "inspect", "boot", true, 0 };
	facts.nbundles = 1;
	facts.bundle[0] = (struct wr_bundle_fact){ "core", 412, 1799900000, 1800900000 };
	facts.witness_configured = true;
	facts.witness_ts = 1800000000 - 60;
}

static void run(struct wr_result *out)
{
	const struct wr_doctor_in in = { &m, &conf, &facts };

	wr_machine_read(&m, root);
	n = wr_doctor_run(&in, out);
}

static bool complains(const struct wr_result *r)
{
	return r->level == WR_WARN || r->level == WR_FAIL;
}

/* After a change: `id` is at `want` and speaks; every other check says what it said before. */
static void expect(const char *id, enum wr_level want, const char *word)
{
	bool others = true;

	run(now);
	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(now[i].id, id) != 0) {
			if (complains(&now[i]) != complains(&good[i])) {
				printf("# %s: %s, %s\n", now[i].id, wr_level_name(now[i].level),
				       now[i].found);
				others = false;
			}
			continue;
		}
		IS(now[i].level, want, "%s: %s", id, now[i].found);
		OK(strstr(now[i].found, word) || strstr(now[i].fix, word), "%s names \"%s\"", id,
		   word);
		OK(want != WR_WARN && want != WR_FAIL ? true : now[i].fix[0] && now[i].wanted[0],
		   "%s: wanted %s; fix: %s", id, now[i].wanted, now[i].fix);
	}
	OK(others, "%s: no other check changed", id);
	healthy();
}

static void test_good(void)
{
	bool all = true;
	char *text = NULL;
	size_t len;
	FILE *f;

	healthy();
	run(good);
	IS(n, 26, "checks");
	for (uint32_t i = 0; i < n; i++)
		if (good[i].level != WR_OK && strcmp(good[i].id, "iommu.vfio") != 0) {
			printf("# %s: %s | %s\n", good[i].id, good[i].found, good[i].fix);
			all = false;
		}
	OK(all, "every check is content");
	IS(wr_doctor_exit(good, n), 0, "exit 0");
	f = open_memstream(&text, &len);
	wr_doctor_metrics(good, n, f);
	fclose(f);
	OK(strstr(text, "weir_doctor_check_ok{check=\"cpu.isolated\"} 1\n") != NULL,
	   "and the metric says so");
	free(text);
}

static void test_cpu(void)
{
	put(CPU "isolated", "4-5,12-15");
	expect("cpu.isolated", WR_WARN, "isolcpus=managed_irq,domain,5-6");
	put(CPU "isolated", "4-7,12-15");
	put(CPU "nohz_full", "(null)");
	expect("cpu.nohz_full", WR_WARN, "nohz_full=");
}

static void test_rcu(void)
{
	/* Without nohz_full, which implies it, the option itself decides. */
	put(CPU "nohz_full", "(null)");
	put("/proc/cmdline", "root=/dev/sda1 rcu_nocbs=4");
	run(now);
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(now[i].id, "cpu.rcu_nocbs") == 0) {
			IS(now[i].level, WR_WARN, "cpu.rcu_nocbs: %s", now[i].found);
			OK(strstr(now[i].fix, "rcu_nocbs=5-6") != NULL, "fix: %s", now[i].fix);
		}
	IS(wr_doctor_exit(now, n), 1, "warnings are exit 1");
	healthy_files();
}

/* A thread whose name is made to be misread; its CPU is field 39. */
static void thread(char state, int cpu)
{
	char line[256] = "78 (str) ess) ";
	size_t k = strlen(line);

	line[k++] = state;
	for (int f = 4; f < 39; f++)
		k += (size_t)snprintf(line + k, sizeof(line) - k, " %d", f);
	snprintf(line + k, sizeof(line) - k, " %d 0 0 0", cpu);
	put("/proc/77/task/78/stat", "%s", line);
}

static void test_cpu_more(void)
{
	put(CPU "cpu5/cpufreq/scaling_governor", "powersave");
	expect("cpu.governor", WR_WARN, "-c 5");
	put(CPU "cpu5/cpufreq/scaling_governor", "performance");
	put(CPU "cpu6/cpuidle/state2/disable", "0");
	expect("cpu.cstates", WR_WARN, "133 us");
	put(CPU "cpu6/cpuidle/state2/disable", "1");
	conf.main_core = 13;
	expect("cpu.smt_sibling_busy", WR_FAIL, "13");
	put(CPU "isolated", "4-7");
	expect("cpu.smt_sibling_busy", WR_WARN, "13-14");
	put(CPU "isolated", "4-7,12-15");
	put("/proc/77/comm", "stress");
	thread('R', 6);
	expect("cpu.overlap", WR_WARN, "core 6");
	thread('S', 6);
	expect("cpu.overlap", WR_OK, "nobody");
	conf.worker[1].core = 5;
	expect("cpu.overlap", WR_FAIL, "share core 5");
	put("/proc/cpuinfo", "model name\t: Old\nflags\t\t: fpu sse2 ssse3 avx \nx:");
	expect("cpu.simd", WR_WARN, "SSSE3");
	put("/proc/cpuinfo", "model name\t: Older\nflags\t\t: fpu sse2 \nx:");
	expect("cpu.simd", WR_FAIL, "none");
	put("/proc/cpuinfo", "model name\t: Test\nflags\t\t: fpu ssse3 avx2 \nx:");
	put("/proc/irq/24/smp_affinity_list", "0,6");
	expect("irq.affinity", WR_WARN, "nvme0q1");
	put("/proc/irq/24/smp_affinity_list", "0");
	put("/proc/99/comm", "irqbalance");
	expect("irq.irqbalance", WR_WARN, "irqbalance");
	take_away("/proc/99/comm");
}

static void test_memory(void)
{
#define HUGE(node, leaf) "/sys/devices/system/node/node" node "/hugepages/hugepages-2048kB/" leaf
	put("/sys/bus/pci/devices/0000:82:00.0/numa_node", "0");
	expect("numa.port_worker", WR_WARN, "node 0");
	put("/sys/bus/pci/devices/0000:82:00.0/numa_node", "1");
	put(HUGE("1", "nr_hugepages"), "0");
	expect("numa.hugepages", WR_FAIL, "node1/hugepages");
	put(HUGE("1", "nr_hugepages"), "2048");
	put(HUGE("0", "free_hugepages"), "10");
	put(HUGE("1", "free_hugepages"), "10");
	expect("huge.free", WR_FAIL, "40 MiB");
	put("/proc/50/comm", "weir-dataplane");
	expect("huge.free", WR_OK, "8192 MiB");
	take_away("/proc/50/comm");
	put(HUGE("0", "free_hugepages"), "2048");
	put(HUGE("1", "free_hugepages"), "2048");
	put("/dev/hugepages/weirmap_0", "x");
	expect("huge.leaked_rtemap", WR_WARN, "rm /dev/hugepages");
	take_away("/dev/hugepages/weirmap_0");
}

static void test_nic(void)
{
	strcpy(conf.link[0].client.device[0], "0000:81:00.0");
	strcpy(conf.link[0].store.device[0], "0000:82:00.0");
	expect("iommu.vfio", WR_FAIL, "bound to ice");
	strcpy(conf.link[0].client.device[0], "0000:99:00.0");
	expect("iommu.vfio", WR_FAIL, "no device 0000:99");
	point("/sys/bus/pci/devices/0000:81:00.0/driver", "../../drivers/mlx5_core");
	point("/sys/bus/pci/devices/0000:82:00.0/driver", "../../drivers/mlx5_core");
	put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y");
	strcpy(conf.link[0].client.device[0], "0000:81:00.0");
	strcpy(conf.link[0].store.device[0], "0000:82:00.0");
	expect("iommu.vfio", WR_WARN, "no-iommu");
	put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N");
	strcpy(conf.link[0].client.device[0], "0000:81:00.0");
	strcpy(conf.link[0].store.device[0], "0000:82:00.0");
	expect("iommu.vfio", WR_OK, "shares");
	point("/sys/bus/pci/devices/0000:81:00.0/driver", "../../drivers/oldnic");
	expect("nic.driver_fw", WR_WARN, "oldnic");
	healthy_files();
	put("/sys/bus/pci/devices/0000:81:00.0/current_link_width", "8");
	expect("nic.pcie_width", WR_WARN, "x8 at 16.0");
	healthy_files();
	facts.frames_foreign = 500000;
	expect("nic.rss_symmetric", WR_WARN, "50.0 %");
	put("/sys/class/net/ens6/carrier", "0");
	expect("nic.linkup_delay", WR_FAIL, "ens6 has no link");
	put("/sys/class/net/ens6/carrier", "1");
	put("/sys/class/net/ens6/carrier_changes", "400");
	expect("nic.linkup_delay", WR_WARN, "400 times");
	healthy_files();
	nic("ens5np1", "0000:81:00.1", 1, "ice", 100000);
	put("/sys/bus/pci/devices/0000:81:00.0/current_link_width", "8");
	put("/sys/bus/pci/devices/0000:81:00.0/max_link_width", "8");
	strcpy(conf.link[0].store.device[0], "net_af_xdp1,iface=ens5np1");
	expect("nic.dual_port", WR_WARN, "100000 + 100000 Mbit/s over about 128");
	put("/sys/bus/pci/devices/0000:81:00.0/current_link_width", "16");
	put("/sys/bus/pci/devices/0000:81:00.0/max_link_width", "16");
	strcpy(conf.link[0].store.device[0], "net_af_xdp1,iface=ens5np1");
	expect("nic.dual_port", WR_OK, "one card");
	healthy_files();
}

static void test_state(void)
{
	facts.nwires = 0;
	expect("xdp.heartbeat", WR_FAIL, "weir wire install");
	facts.wire[0].installed = false;
	expect("xdp.heartbeat", WR_FAIL, "not installed");
	strcpy(facts.wire[0].state, "open");
	strcpy(facts.wire[0].cause, "stall");
	expect("xdp.heartbeat", WR_FAIL, "link a is open (stall)");
	strcpy(facts.wire[0].state, "closed");
	strcpy(facts.wire[0].cause, "admin");
	expect("xdp.heartbeat", WR_WARN, "weir wire inspect a");
	facts.time_synced = false;
	expect("time.sync", WR_WARN, "not synchronised");
	facts.time_error_us = 2000000;
	expect("time.sync", WR_WARN, "2000 ms");
	facts.bundle[0].created = facts.now - 9 * 86400;
	expect("bundle.age", WR_WARN, "9 days");
	facts.bundle[0].expires = facts.now + 3600;
	expect("bundle.expires", WR_WARN, "within a day");
	facts.bundle[0].expires = facts.now - 1;
	expect("bundle.expires", WR_FAIL, "has expired");
	facts.witness_ts = facts.now - 3600;
	expect("log.witness", WR_WARN, "3600 s");
	conf.link[0].on_process_death = WR_DEATH_OPEN;
	expect("policy.defaults", WR_WARN, "fails open");
	conf.service[0].policy.ceiling = WR_A_FLAG;
	expect("policy.defaults", WR_WARN, "nothing is ever blocked");
	conf.service[0].policy.on_reason[WR_R_MIDSTREAM] = WR_ON_PASS;
	expect("policy.defaults", WR_WARN, "midstream");
	conf.service[0].policy.on_overload = WR_DEATH_OPEN;
	expect("policy.defaults", WR_WARN, "on_overload");
	conf.service[0].policy.on_records_lost = WR_DEATH_OPEN;
	expect("policy.defaults", WR_WARN, "on_records_lost");
	conf.service[0].policy.on_reason[WR_R_OVERLAP_CONFLICT] = WR_ON_PASS;
	expect("policy.defaults", WR_WARN, "overlap_conflict");
	conf.service[0].mode = WR_MODE_OBSERVE;
	expect("policy.defaults", WR_WARN, "observe");
	facts.allow_unsigned = true;
	expect("policy.defaults", WR_FAIL, "allow_unsigned");
}

/* Unknown is not broken: no check fails because it cannot look. */
static void test_unknown(void)
{
	struct wr_doctor_in in = { &m, NULL, &facts };
	bool none = true;
	char *text = NULL;
	size_t len;
	FILE *f;

	memset(&facts, 0, sizeof(facts));
	strcpy(facts.config_error, "no file");
	n = wr_doctor_run(&in, now);
	for (uint32_t i = 0; i < n; i++)
		none &= now[i].level != WR_FAIL;
	OK(none, "nothing known: nothing fails");
	facts.control_known = true;
	n = wr_doctor_run(&in, now);
	IS(wr_doctor_exit(now, n), 2, "control runs without a bundle: exit 2");
	f = open_memstream(&text, &len);
	wr_doctor_metrics(now, n, f);
	fclose(f);
	OK(strstr(text, "{check=\"bundle.age\"} 0\n") != NULL, "and the metric is 0");
	free(text);
}

int main(void)
{
	machine(2, 4);
	healthy_files();
	test_good();
	test_cpu();
	test_rcu();
	test_cpu_more();
	test_memory();
	test_nic();
	test_state();
	test_unknown();
	machine_gone();
	return tap_done();
}
