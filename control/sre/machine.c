/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads sysfs and procfs, or a capture of them. Every file is small; none is trusted to be there.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sre/sre.h"

#define PATH 512u

WR_PRINTF(4, 5) static long slurp(const char *root, char *out, size_t n, const char *fmt, ...)
{
	char path[PATH];
	va_list ap;
	size_t k = (size_t)snprintf(path, sizeof(path), "%s", root);
	FILE *f;
	size_t got;

	out[0] = '\0';
	if (k >= sizeof(path))
		return -1;
	va_start(ap, fmt);
	vsnprintf(path + k, sizeof(path) - k, fmt, ap);
	va_end(ap);
	f = fopen(path, "re");
	if (!f)
		return -1;
	got = fread(out, 1, n - 1, f);
	fclose(f);
	out[got] = '\0';
	while (got > 0 && isspace((unsigned char)out[got - 1]))
		out[--got] = '\0';
	return (long)got;
}

/* The number in a file, or `otherwise`. Some drivers answer reads of a down interface with an
 * error. */
WR_PRINTF(3, 4) static long long number(const char *root, long long otherwise, const char *fmt, ...)
{
	char path[PATH], text[64];
	va_list ap;
	char *end;
	long long v;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	if (slurp(root, text, sizeof(text), "%s", path) <= 0)
		return otherwise;
	v = strtoll(text, &end, 10);
	return end == text ? otherwise : v;
}

static void basename_of_link(const char *root, char *out, size_t n, const char *path)
{
	char full[PATH], to[PATH];
	ssize_t k;
	char *slash;

	out[0] = '\0';
	snprintf(full, sizeof(full), "%s%s", root, path);
	k = readlink(full, to, sizeof(to) - 1);
	if (k <= 0)
		return;
	to[k] = '\0';
	slash = strrchr(to, '/');
	snprintf(out, n, "%.*s", (int)n - 1, slash ? slash + 1 : to);
}

uint32_t wr_cpus_count(const struct wr_cpus *s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < WR_COUNT_OF(s->w); i++)
		n += (uint32_t)__builtin_popcountll(s->w[i]);
	return n;
}

void wr_cpus_parse(struct wr_cpus *s, const char *list)
{
	memset(s, 0, sizeof(*s));
	while (*list) {
		char *end;
		unsigned long a, b;

		/* isolcpus= may begin with flags: "managed_irq,domain,2-5". */
		if (!isdigit((unsigned char)*list)) {
			list += strcspn(list, ",");
			list += *list == ',';
			continue;
		}
		a = b = strtoul(list, &end, 10);
		if (*end == '-')
			b = strtoul(end + 1, &end, 10);
		for (; a <= b && a < WR_CPUS_MAX; a++)
			wr_cpus_add(s, (uint32_t)a);
		list = end + strcspn(end, ",");
		list += *list == ',';
	}
}

const char *wr_cpus_print(const struct wr_cpus *s, char *out, size_t n)
{
	size_t at = 0;

	snprintf(out, n, "none");
	for (uint32_t i = 0; i < WR_CPUS_MAX && at < n; i++) {
		uint32_t j = i;

		if (!wr_cpus_has(s, i))
			continue;
		while (wr_cpus_has(s, j + 1))
			j++;
		at += (size_t)snprintf(out + at, n - at, j > i ? "%s%u-%u" : "%s%u", at ? "," : "",
		                       i, j);
		i = j;
	}
	return out;
}

static void read_cpu(struct wr_machine *m, const char *root, uint32_t i)
{
	struct wr_cpu *c = &m->cpu[i];
	char text[256];

	c->socket = (int)number(root, -1,
	                        "/sys/devices/system/cpu/cpu%u/topology/physical_package_id", i);
	c->core = (int)number(root, -1, "/sys/devices/system/cpu/cpu%u/topology/core_id", i);
	c->node = -1;
	if (slurp(root, text, sizeof(text),
	          "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", i) > 0)
		wr_cpus_parse(&c->siblings, text);
	wr_cpus_add(&c->siblings, i);
	slurp(root, c->governor, sizeof(c->governor),
	      "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor", i);
	for (int s = 0; s < 16; s++) {
		long long latency = number(
		        root, -1, "/sys/devices/system/cpu/cpu%u/cpuidle/state%d/latency", i, s);

		if (latency < 0)
			break;
		if (!number(root, 0, "/sys/devices/system/cpu/cpu%u/cpuidle/state%d/disable", i,
		            s) &&
		    latency > c->idle_latency_us)
			c->idle_latency_us = (uint32_t)latency;
	}
	if (c->socket + 1 > (int)m->nsockets)
		m->nsockets = (uint32_t)c->socket + 1;
}

static void read_cpus(struct wr_machine *m, const char *root)
{
	struct wr_cpus present, online;
	char text[4096];

	wr_cpus_parse(&present,
	              slurp(root, text, sizeof(text), "/sys/devices/system/cpu/present") > 0 ? text
	                                                                                     : "0");
	wr_cpus_parse(&online, slurp(root, text, sizeof(text), "/sys/devices/system/cpu/online") > 0
	                               ? text
	                               : "0");
	slurp(root, text, sizeof(text), "/sys/devices/system/cpu/isolated");
	wr_cpus_parse(&m->isolated, text);
	slurp(root, text, sizeof(text), "/sys/devices/system/cpu/nohz_full");
	wr_cpus_parse(&m->nohz_full, text[0] == '(' ? "" : text);
	for (uint32_t i = 0; i < WR_CPUS_MAX; i++) {
		if (!wr_cpus_has(&present, i))
			continue;
		m->ncpus = i + 1;
		m->cpu[i].online = wr_cpus_has(&online, i);
		read_cpu(m, root, i);
	}
	for (int k = 0; k < 8; k++) {
		long long level =
		        number(root, 0, "/sys/devices/system/cpu/cpu0/cache/index%d/level", k);
		uint64_t kib = (uint64_t)number(
		        root, 0, "/sys/devices/system/cpu/cpu0/cache/index%d/size", k);

		if (level == 2)
			m->l2_bytes = kib << 10;
		if (level == 3)
			m->l3_bytes = kib << 10;
	}
}

static void read_nodes(struct wr_machine *m, const char *root)
{
	static const struct {
		const char *name;
		uint64_t bytes;
	} page[] = { { "2048kB", 2ull << 20 }, { "1048576kB", 1ull << 30 } };
	char text[4096];

	for (uint32_t i = 0; i < WR_NODES_MAX; i++) {
		struct wr_node *n = &m->node[i];

		if (slurp(root, text, sizeof(text), "/sys/devices/system/node/node%u/cpulist", i) <
		    0)
			continue;
		n->present = true;
		m->nnodes++;
		wr_cpus_parse(&n->cpus, text);
		for (uint32_t c = 0; c < m->ncpus; c++)
			if (wr_cpus_has(&n->cpus, c))
				m->cpu[c].node = (int)i;
		for (size_t p = 0; p < WR_COUNT_OF(page); p++) {
			n->huge_bytes +=
			        page[p].bytes *
			        (uint64_t)number(root, 0,
			                         "/sys/devices/system/node/node%u/hugepages/"
			                         "hugepages-%s/nr_hugepages",
			                         i, page[p].name);
			n->huge_free_bytes +=
			        page[p].bytes *
			        (uint64_t)number(root, 0,
			                         "/sys/devices/system/node/node%u/hugepages/"
			                         "hugepages-%s/free_hugepages",
			                         i, page[p].name);
		}
	}
}

/* dir: "/sys/class/net/X/device" or "/sys/bus/pci/devices/ADDR". */
static void read_pci(struct wr_nic *n, const char *root, const char *dir)
{
	char path[PATH];

	n->node = (int)number(root, -1, "%s/numa_node", dir);
	n->width = (uint32_t)number(root, 0, "%s/current_link_width", dir);
	n->width_max = (uint32_t)number(root, 0, "%s/max_link_width", dir);
	slurp(root, n->pcie, sizeof(n->pcie), "%s/current_link_speed", dir);
	slurp(root, n->pcie_max, sizeof(n->pcie_max), "%s/max_link_speed", dir);
	snprintf(path, sizeof(path), "%s/driver", dir);
	basename_of_link(root, n->driver, sizeof(n->driver), path);
}

static bool is_pci(const char *s)
{
	return strlen(s) >= 12 && s[4] == ':' && s[7] == ':' && s[10] == '.';
}

/* The card behind a device; virtio and the like hang one level below their PCI function. */
static void pci_of(const char *root, char *out, size_t n, const char *path)
{
	char full[PATH], real[PATH_MAX];
	const char *part = NULL;

	out[0] = '\0';
	snprintf(full, sizeof(full), "%s%s", root, path);
	if (!realpath(full, real))
		return;
	for (char *p = real; (p = strchr(p, '/')) != NULL;)
		if (is_pci(++p))
			part = p;
	if (part)
		snprintf(out, n, "%.*s", (int)strcspn(part, "/"), part);
}

static DIR *open_dir(const char *root, const char *path)
{
	char full[PATH];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return opendir(full);
}

static void read_netdevs(struct wr_machine *m, const char *root)
{
	DIR *d = open_dir(root, "/sys/class/net");
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL && m->nnics < WR_NICS_MAX) {
		struct wr_nic *n = &m->nic[m->nnics];
		char path[PATH];
		long long speed;

		if (e->d_name[0] == '.' || strcmp(e->d_name, "lo") == 0)
			continue;
		memset(n, 0, sizeof(*n));
		snprintf(n->name, sizeof(n->name), "%.63s", e->d_name);
		snprintf(path, sizeof(path), "/sys/class/net/%.63s/device", e->d_name);
		read_pci(n, root, path);
		pci_of(root, n->pci, sizeof(n->pci), path);
		speed = number(root, 0, "/sys/class/net/%.63s/speed", e->d_name);
		n->speed_mbit = speed > 0 ? (uint32_t)speed : 0;
		n->carrier = (int)number(root, -1, "/sys/class/net/%.63s/carrier", e->d_name);
		n->carrier_changes = (uint32_t)number(
		        root, 0, "/sys/class/net/%.63s/carrier_changes", e->d_name);
		for (;; n->rx_queues++) {
			char full[PATH];

			snprintf(full, sizeof(full), "%s/sys/class/net/%.63s/queues/rx-%u", root,
			         e->d_name, n->rx_queues);
			if (access(full, F_OK))
				break;
		}
		m->nnics++;
	}
	if (d)
		closedir(d);
}

/* Network controllers that no kernel network driver holds: what DPDK took. */
static void read_bound(struct wr_machine *m, const char *root)
{
	DIR *d = open_dir(root, "/sys/bus/pci/devices");
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL && m->nnics < WR_NICS_MAX) {
		struct wr_nic *n = &m->nic[m->nnics];
		char path[PATH], class[16];
		bool known = false;

		if (e->d_name[0] == '.')
			continue;
		slurp(root, class, sizeof(class), "/sys/bus/pci/devices/%.31s/class", e->d_name);
		for (uint32_t i = 0; i < m->nnics; i++)
			known |= strcmp(m->nic[i].pci, e->d_name) == 0;
		if (known || strncmp(class, "0x02", 4) != 0)
			continue;
		memset(n, 0, sizeof(*n));
		snprintf(n->name, sizeof(n->name), "%.31s", e->d_name);
		snprintf(n->pci, sizeof(n->pci), "%.31s", e->d_name);
		n->carrier = -1;
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.31s", e->d_name);
		read_pci(n, root, path);
		m->nnics++;
	}
	if (d)
		closedir(d);
}

static void parse_interrupt(struct wr_machine *m, const char *root, char *line)
{
	char *p, *end, list[512];
	unsigned long number = strtoul(line, &end, 10);
	uint32_t cpu = 0;
	struct wr_irq *q;

	if (end == line || *end != ':')
		return; /* NMI, LOC and the like are no device's */
	for (p = end + 1; cpu < m->ncpus; cpu++) {
		unsigned long long n = strtoull(p, &end, 10);

		if (end == p)
			break;
		m->cpu[cpu].irqs += n;
		p = end;
	}
	if (m->nirqs == WR_COUNT_OF(m->irq))
		return;
	q = &m->irq[m->nirqs];
	if (slurp(root, list, sizeof(list), "/proc/irq/%lu/effective_affinity_list", number) <= 0 &&
	    slurp(root, list, sizeof(list), "/proc/irq/%lu/smp_affinity_list", number) <= 0)
		return;
	q->number = (uint32_t)number;
	wr_cpus_parse(&q->on, list);
	p += strspn(p, " \t");
	snprintf(q->name, sizeof(q->name), "%.47s", strrchr(p, ' ') ? strrchr(p, ' ') + 1 : p);
	m->nirqs++;
}

static void read_interrupts(struct wr_machine *m, const char *root)
{
	size_t room = 4u << 20;
	char *text = malloc(room), *line, *save = NULL;

	if (text && slurp(root, text, room, "/proc/interrupts") > 0)
		for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			parse_interrupt(m, root, line + strspn(line, " "));
	free(text);
}

static void read_cpuinfo(struct wr_machine *m, const char *root)
{
	static char text[16384];
	char *flags, *model, *eol;

	if (slurp(root, text, sizeof(text), "/proc/cpuinfo") <= 0)
		return;
	model = strstr(text, "model name");
	if (model && (model = strchr(model, ':')) != NULL)
		snprintf(m->model, sizeof(m->model), "%.*s", (int)strcspn(model + 2, "\n"),
		         model + 2);
	flags = strstr(text, "\nflags");
	if (!flags)
		return;
	eol = strchr(flags + 1, '\n');
	if (eol)
		*eol = ' ';
	if (eol)
		eol[1] = '\0';
	m->ssse3 = strstr(flags, " ssse3 ") != NULL;
	m->avx2 = strstr(flags, " avx2 ") != NULL;
	m->avx512 = strstr(flags, " avx512bw ") != NULL && strstr(flags, " avx512f ") != NULL;
}

static void note_thread(struct wr_machine *m, const char *root, unsigned long pid, const char *tid)
{
	char text[1024], *p;
	char state;
	long long cpu = -1;
	struct wr_busy *b = &m->busy[m->nbusy];

	if (slurp(root, text, sizeof(text), "/proc/%lu/task/%.20s/stat", pid, tid) <= 0)
		return;
	p = strrchr(text, ')');
	if (!p || p[1] != ' ')
		return;
	state = p[2];
	*p = '\0';
	p += 2;
	/* Field 39 is the CPU; state is field 3. */
	for (int f = 3; f < 39 && p; f++) {
		p = strchr(p, ' ');
		p += p != NULL;
	}
	if (p)
		cpu = atoll(p);
	if (state != 'R' || cpu < 0 || m->nbusy == WR_COUNT_OF(m->busy))
		return;
	b->cpu = (uint32_t)cpu;
	b->pid = (uint32_t)pid;
	p = strchr(text, '(');
	snprintf(b->comm, sizeof(b->comm), "%.19s", p ? p + 1 : "?");
	m->nbusy++;
}

static void read_processes(struct wr_machine *m, const char *root)
{
	DIR *d = open_dir(root, "/proc");
	struct dirent *e, *t;

	while (d && (e = readdir(d)) != NULL) {
		char path[PATH], comm[32];
		unsigned long pid = strtoul(e->d_name, NULL, 10);
		DIR *tasks;

		if (pid == 0 || slurp(root, comm, sizeof(comm), "/proc/%lu/comm", pid) <= 0)
			continue;
		m->irqbalance |= strcmp(comm, "irqbalance") == 0;
		if (strncmp(comm, "weir-dataplane", 14) == 0) {
			m->dataplane_runs = true;
			continue; /* its threads are where they should be */
		}
		snprintf(path, sizeof(path), "/proc/%lu/task", pid);
		tasks = pid == (unsigned long)getpid() ? NULL : open_dir(root, path);
		while (tasks && (t = readdir(tasks)) != NULL)
			if (t->d_name[0] != '.')
				note_thread(m, root, pid, t->d_name);
		if (tasks)
			closedir(tasks);
	}
	if (d)
		closedir(d);
}

static void read_kernel(struct wr_machine *m, const char *root)
{
	char text[64], *p;
	DIR *d;
	struct dirent *e;

	slurp(root, m->cmdline, sizeof(m->cmdline), "/proc/cmdline");
	p = strstr(m->cmdline, "rcu_nocbs=");
	if (p) {
		char list[512];

		snprintf(list, sizeof(list), "%.*s", (int)strcspn(p + 10, " "), p + 10);
		wr_cpus_parse(&m->rcu_nocbs, list);
		if (strcmp(list, "all") == 0)
			memset(&m->rcu_nocbs, 0xff, sizeof(m->rcu_nocbs));
	}
	d = open_dir(root, "/sys/kernel/iommu_groups");
	while (d && (e = readdir(d)) != NULL)
		m->iommu |= e->d_name[0] != '.';
	if (d)
		closedir(d);
	m->noiommu = slurp(root, text, sizeof(text),
	                   "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode") > 0 &&
	             text[0] == 'Y';
	d = open_dir(root, "/dev/hugepages");
	while (d && (e = readdir(d)) != NULL) {
		p = strstr(e->d_name, "map_");
		m->rtemaps += p && p > e->d_name && isdigit((unsigned char)p[4]);
	}
	if (d)
		closedir(d);
}

void wr_machine_read(struct wr_machine *m, const char *root)
{
	memset(m, 0, sizeof(*m));
	read_cpus(m, root);
	read_nodes(m, root);
	read_netdevs(m, root);
	read_bound(m, root);
	read_interrupts(m, root);
	read_cpuinfo(m, root);
	read_kernel(m, root);
	read_processes(m, root);
}

const struct wr_nic *wr_machine_nic(const struct wr_machine *m, const char *device)
{
	const char *iface = strstr(device, ",iface=");
	size_t n = iface ? strcspn(iface + 7, ",") : strcspn(device, ",");
	const char *name = iface ? iface + 7 : device;

	for (uint32_t i = 0; i < m->nnics; i++)
		if ((strlen(m->nic[i].name) == n && memcmp(m->nic[i].name, name, n) == 0) ||
		    (strlen(m->nic[i].pci) == n && n > 0 && memcmp(m->nic[i].pci, name, n) == 0))
			return &m->nic[i];
	return NULL;
}
