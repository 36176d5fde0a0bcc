/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fixture - writes the sysfs and procfs of a machine nobody here has, into a folder.
 *
 * Numbering is that of common servers: first threads of socket 0, of socket 1, then all second
 * threads.
 */
#ifndef WR_TESTS_SRE_FIXTURE_H
#define WR_TESTS_SRE_FIXTURE_H

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void make_parents(char *path)
{
	for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
}

/* put("/sys/...", "text %d", n) */
__attribute__((format(printf, 2, 3))) static void put(const char *path, const char *fmt, ...)
{
	char full[512];
	va_list ap;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	f = fopen(full, "w");
	if (!f) {
		make_parents(full);
		f = fopen(full, "w");
	}
	if (!f) {
		fprintf(stderr, "%s: %s\n", full, strerror(errno));
		exit(1);
	}
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	fputc('\n', f);
	fclose(f);
}

static void point(const char *path, const char *to)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	make_parents(full);
	unlink(full);
	if (symlink(to, full))
		exit(1);
}

__attribute__((unused)) static void take_away(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	unlink(full);
}

__attribute__((format(printf, 3, 4))) static const char *at(char *out, size_t n, const char *fmt,
                                                            ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out, n, fmt, ap);
	va_end(ap);
	return out;
}

static void nic(const char *name, const char *pci, int node, const char *driver, int mbit)
{
	char p[256];

#define NET(leaf) at(p, sizeof(p), "/sys/class/net/%s/" leaf, name)
#define PCI(leaf) at(p, sizeof(p), "/sys/bus/pci/devices/%s/" leaf, pci)
	put(PCI("numa_node"), "%d", node);
	put(PCI("class"), "0x020000");
	put(PCI("current_link_width"), "16");
	put(PCI("max_link_width"), "16");
	put(PCI("current_link_speed"), "16.0 GT/s PCIe");
	put(PCI("max_link_speed"), "16.0 GT/s PCIe");
	point(PCI("driver"), at((char[128]){ 0 }, 128, "../../drivers/%s", driver));
	if (strcmp(driver, "vfio-pci") == 0)
		return;
	put(NET("speed"), "%d", mbit);
	put(NET("carrier"), "1");
	put(NET("carrier_changes"), "2");
	put(NET("queues/rx-0/rps_cpus"), "0");
	put(NET("queues/rx-1/rps_cpus"), "0");
	point(NET("device"), at((char[128]){ 0 }, 128, "../../../bus/pci/devices/%s", pci));
#undef NET
#undef PCI
}

/* sockets x cores x 2 threads, one node per socket. */
static void machine(int sockets, int cores)
{
	int n = sockets * cores;
	char p[256];

	/* Thousands of small files: memory, where there is some. */
	snprintf(root, sizeof(root), "%s/weir-sre-XXXXXX",
	         access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(root))
		exit(1);
	put("/sys/devices/system/cpu/present", "0-%d", 2 * n - 1);
	put("/sys/devices/system/cpu/online", "0-%d", 2 * n - 1);
	put("/sys/devices/system/cpu/isolated", "%s", "");
	put("/sys/devices/system/cpu/nohz_full", "(null)");
	for (int c = 0; c < 2 * n; c++) {
		int core = c % n;

#define CPU(leaf) at(p, sizeof(p), "/sys/devices/system/cpu/cpu%d/" leaf, c)
		put(CPU("topology/physical_package_id"), "%d", core / cores);
		put(CPU("topology/core_id"), "%d", core % cores);
		put(CPU("topology/thread_siblings_list"), "%d,%d", core, core + n);
		put(CPU("cpufreq/scaling_governor"), "performance");
		put(CPU("cpuidle/state0/latency"), "0");
		put(CPU("cpuidle/state0/disable"), "0");
		put(CPU("cpuidle/state1/latency"), "2");
		put(CPU("cpuidle/state1/disable"), "0");
		put(CPU("cpuidle/state2/latency"), "133");
		put(CPU("cpuidle/state2/disable"), "1");
#undef CPU
	}
	put("/sys/devices/system/cpu/cpu0/cache/index2/level", "2");
	put("/sys/devices/system/cpu/cpu0/cache/index2/size", "2048K");
	put("/sys/devices/system/cpu/cpu0/cache/index3/level", "3");
	put("/sys/devices/system/cpu/cpu0/cache/index3/size", "98304K");
	for (int s = 0; s < sockets; s++) {
#define NODE(leaf) at(p, sizeof(p), "/sys/devices/system/node/node%d/" leaf, s)
		put(NODE("cpulist"), "%d-%d,%d-%d", s * cores, s * cores + cores - 1, n + s * cores,
		    n + s * cores + cores - 1);
		put(NODE("hugepages/hugepages-2048kB/nr_hugepages"), "2048");
		put(NODE("hugepages/hugepages-2048kB/free_hugepages"), "2048");
#undef NODE
	}
	put("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1");
	put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Test CPU\nflags\t\t: fpu sse2 ssse3 "
	                     "avx avx2 bmi2 avx512f "
	                     "avx512bw \nbugs\t\t:");
	put("/proc/interrupts", "           CPU0       CPU1\n 24:       9000          0  PCI-MSI "
	                        "512000-edge      nvme0q1\n"
	                        "NMI:          0          0   Non-maskable interrupts");
	put("/proc/irq/24/smp_affinity_list", "0");
	put("/sys/kernel/iommu_groups/7/type", "DMA");
}

static int rm(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static void machine_gone(void)
{
	nftw(root, rm, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
