/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of memory, NUMA, PCIe and network cards. */
#include <string.h>

#include "sre/check.h"

static bool configured(const struct wr_doctor_in *in, struct wr_result *r)
{
	if (!in->conf)
		wr_na(r, "no configuration: %s", in->facts->config_error);
	return in->conf != NULL;
}

void wr_check_port_worker(const struct wr_doctor_in *in, struct wr_result *r)
{
	if (!configured(in, r))
		return;
	wr_wanted(r, "port, workers and their memory on one node");
	wr_found(r, "nothing crosses nodes");
	for (uint32_t i = 0; i < in->conf->nworkers; i++) {
		const struct wr_conf_worker *w = &in->conf->worker[i];
		const struct wr_conf_link *l = &in->conf->link[w->link];

		for (int s = 0; s < 2; s++) {
			const struct wr_nic *n =
			        wr_machine_nic(in->m, (s ? l->store : l->client).device[0]);
			int node = w->core < WR_CPUS_MAX ? in->m->cpu[w->core].node : -1;

			if (!n || n->node < 0 || node < 0 || n->node == node)
				continue;
			wr_found(r, "worker %s (core %u) is on node %d, %s on node %d", w->name,
			         w->core, node, n->name, n->node);
			wr_fix(r, WR_WARN, "give worker %s a core of node %d: `weir cores plan`",
			       w->name, n->node);
			return;
		}
	}
}

void wr_check_node_hugepages(const struct wr_doctor_in *in, struct wr_result *r)
{
	uint64_t least = UINT64_MAX;

	if (!configured(in, r))
		return;
	if (in->conf->no_huge) {
		wr_na(r, "memory.no_huge: no hugepages are used");
		return;
	}
	wr_wanted(r, "hugepages on every node where a worker runs");
	for (uint32_t i = 0; i < in->conf->nworkers; i++) {
		uint32_t core = in->conf->worker[i].core;
		int node = core < WR_CPUS_MAX ? in->m->cpu[core].node : -1;

		node = node < 0 || node >= (int)WR_NODES_MAX ? 0 : node;
		least = wr_min_u64(least, in->m->node[node].huge_bytes);
		if (in->m->node[node].huge_bytes == 0) {
			wr_found(r, "node %d, where worker %s runs, has none", node,
			         in->conf->worker[i].name);
			wr_fix(r, WR_FAIL,
			       "echo 1024 > "
			       "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/"
			       "nr_hugepages",
			       node);
			return;
		}
	}
	wr_found(r, "at least %llu MiB", (unsigned long long)(least >> 20));
}

/* What boot will ask for; the tables' own sizes are rounded up generously. */
static uint64_t needed_bytes(const struct wr_conf *c)
{
	return (uint64_t)c->mbufs * c->nlinks * 2432 + (uint64_t)c->connections * 320 +
	       (uint64_t)c->uploads * 2048 + c->hold_budget_bytes / 4;
}

void wr_check_huge_free(const struct wr_doctor_in *in, struct wr_result *r)
{
	uint64_t have = 0, need, total = 0;

	if (!configured(in, r))
		return;
	if (in->conf->no_huge) {
		wr_na(r, "memory.no_huge: no hugepages are used");
		return;
	}
	for (uint32_t i = 0; i < WR_NODES_MAX; i++) {
		have += in->m->node[i].huge_free_bytes;
		total += in->m->node[i].huge_bytes;
	}
	need = needed_bytes(in->conf);
	/* A running dataplane holds its pages already. */
	if (in->m->dataplane_runs)
		have = total;
	wr_found(r, "%llu MiB %s", (unsigned long long)(have >> 20),
	         in->m->dataplane_runs ? "in all, the dataplane runs" : "free");
	snprintf(r->wanted, sizeof(r->wanted),
	         "about %llu MiB for the configured buffers and tables",
	         (unsigned long long)(need >> 20));
	if (have < need)
		wr_fix(r, in->m->dataplane_runs ? WR_WARN : WR_FAIL,
		       "sysctl -w vm.nr_hugepages=%llu, or lower memory.mbufs / memory.connections",
		       (unsigned long long)((total + need - have) / (2u << 20) + 1));
}

void wr_check_rtemap(const struct wr_doctor_in *in, struct wr_result *r)
{
	wr_found(r, "%u map files in /dev/hugepages, dataplane %s", in->m->rtemaps,
	         in->m->dataplane_runs ? "runs" : "does not run");
	wr_wanted(r, "none while no dataplane runs");
	if (in->m->rtemaps && !in->m->dataplane_runs)
		wr_fix(r, WR_WARN, "they hold pages nobody uses: rm /dev/hugepages/*map_*");
}

static bool is_pci(const char *device)
{
	return strlen(device) >= 12 && device[4] == ':' && device[7] == ':' && device[10] == '.';
}

/* Drivers that DPDK shares with the kernel: bound to neither vfio nor uio. */
static bool bifurcated(const char *driver)
{
	return strncmp(driver, "mlx", 3) == 0 || strcmp(driver, "mana") == 0;
}

void wr_check_vfio(const struct wr_doctor_in *in, struct wr_result *r)
{
	bool any = false;

	if (!configured(in, r))
		return;
	wr_wanted(r, "PCI ports bound to vfio-pci behind an IOMMU");
	for (uint32_t p = 0; p < 2 * in->conf->nlinks; p++) {
		const struct wr_conf_link *l = &in->conf->link[p / 2];
		const char *dev = (p & 1 ? l->store : l->client).device[0];
		const struct wr_nic *n = wr_machine_nic(in->m, dev);

		if (!is_pci(dev))
			continue;
		any = true;
		if (!n) {
			wr_found(r, "no device %s", dev);
			wr_fix(r, WR_FAIL, "lspci -D | grep -i net shows what there is");
			return;
		}
		if (bifurcated(n->driver))
			continue;
		if (strcmp(n->driver, "vfio-pci") != 0) {
			wr_found(r, "%s is bound to %s", dev, n->driver[0] ? n->driver : "nothing");
			wr_fix(r, WR_FAIL, "dpdk-devbind.py -b vfio-pci %s", dev);
			return;
		}
	}
	if (!any) {
		wr_na(r, "no link has a PCI device");
	} else if (in->m->noiommu || !in->m->iommu) {
		wr_found(r, "%s",
		         in->m->noiommu ? "vfio in no-iommu mode: the card may write anywhere"
		                        : "no IOMMU");
		wr_fix(r, WR_WARN,
		       "switch the IOMMU on in the firmware; intel_iommu=on iommu=pt (or "
		       "amd_iommu=on)");
	} else {
		wr_found(r, "vfio-pci, or a driver that DPDK shares with the kernel");
	}
}

void wr_check_driver(const struct wr_doctor_in *in, struct wr_result *r)
{
	static const char *const good[] = { "vfio-pci", "mlx5_core",  "ice",        "i40e",
		                            "ixgbe",    "iavf",       "ena",        "gve",
		                            "bnxt_en",  "virtio-pci", "virtio_net", "igb",
		                            "igc",      "atlantic",   "mana" };
	const struct wr_nic *n;
	bool any = false;

	if (!configured(in, r))
		return;
	wr_wanted(r, "drivers that the AF_XDP or DPDK port is known to work with");
	wr_found(r, "known drivers");
	WR_EACH_NIC(in, n)
	{
		bool ok = false;

		any = true;
		for (size_t i = 0; i < WR_COUNT_OF(good); i++)
			ok |= strcmp(n->driver, good[i]) == 0;
		if (ok || n->pci[0] == '\0')
			continue;
		wr_found(r, "%s has driver %s", n->name, n->driver[0] ? n->driver : "none");
		wr_fix(r, WR_WARN,
		       "measure before you trust it: scripts/bench, then a day in observe mode");
		return;
	}
	if (!any)
		wr_na(r, "no port of a link is visible here");
}

void wr_check_pcie(const struct wr_doctor_in *in, struct wr_result *r)
{
	const struct wr_nic *n;
	bool any = false;

	if (!configured(in, r))
		return;
	wr_wanted(r, "every card at its full PCIe width and speed");
	WR_EACH_NIC(in, n)
	{
		if (n->width_max == 0)
			continue;
		any = true;
		wr_found(r, "%s: x%u of x%u, %s", n->name, n->width, n->width_max, n->pcie);
		if (n->width < n->width_max || strcmp(n->pcie, n->pcie_max) != 0) {
			wr_found(r, "%s: x%u at %s, the card can do x%u at %s", n->name, n->width,
			         n->pcie, n->width_max, n->pcie_max);
			wr_fix(r, WR_WARN,
			       "put the card into a full slot; check the riser and bifurcation in "
			       "the firmware");
			return;
		}
	}
	if (!any)
		wr_na(r, "no port of a link sits on PCIe");
}

void wr_check_rss(const struct wr_doctor_in *in, struct wr_result *r)
{
	uint64_t all = in->facts->frames_received, foreign = in->facts->frames_foreign;

	if (!configured(in, r))
		return;
	wr_wanted(r,
	          "both directions of a connection reach the same worker (under 1 % handed over)");
	if (in->conf->nworkers < 2) {
		wr_na(r, "one worker: nothing to spread");
		return;
	}
	if (all < 10000) {
		wr_na(r, "too few frames yet to tell");
		return;
	}
	wr_found(r, "%.1f %% of frames were handed to another worker",
	         100.0 * (double)foreign / (double)all);
	if (foreign > all / 100)
		wr_fix(r, WR_WARN,
		       "the NIC's hash is not symmetric: set the symmetric Toeplitz key (ethtool "
		       "-X), or accept "
		       "the cost of handing frames over");
}

void wr_check_link(const struct wr_doctor_in *in, struct wr_result *r)
{
	const struct wr_nic *n;
	bool any = false;

	if (!configured(in, r))
		return;
	wr_wanted(r, "every port up, and not going up and down");
	wr_found(r, "all up");
	WR_EACH_NIC(in, n)
	{
		if (n->carrier < 0)
			continue;
		any = true;
		if (n->carrier == 0) {
			wr_found(r, "%s has no link", n->name);
			wr_fix(r, WR_FAIL,
			       "check the cable and the other end; some cards (E810) take seconds "
			       "after boot");
			return;
		}
		if (n->carrier_changes > 20) {
			wr_found(r, "%s went up or down %u times since boot", n->name,
			         n->carrier_changes);
			wr_fix(r, WR_WARN, "check cable, optics and autonegotiation");
		}
	}
	if (!any)
		wr_na(r, "no port shows its link state here");
}

void wr_check_dual_port(const struct wr_doctor_in *in, struct wr_result *r)
{
	bool any = false;

	if (!configured(in, r))
		return;
	wr_wanted(r, "the two ports of a link on two cards, where a card cannot carry both at full "
	             "speed");
	wr_found(r, "no link has both ports on one card");
	for (uint32_t i = 0; i < in->conf->nlinks; i++) {
		const struct wr_nic *a = wr_machine_nic(in->m, in->conf->link[i].client.device[0]);
		const struct wr_nic *b = wr_machine_nic(in->m, in->conf->link[i].store.device[0]);
		/* Lanes in Gbit/s, rounded down: 16 GT/s gives 15.7 of them per lane. */
		uint64_t gts, lanes;

		if (!a || !b || strlen(a->pci) < 10 || strlen(b->pci) < 10)
			continue;
		any = true;
		if (strncmp(a->pci, b->pci, strcspn(a->pci, ".")) != 0)
			continue;
		gts = 0;
		for (const char *p = a->pcie; *p >= '0' && *p <= '9'; p++)
			gts = gts * 10 + (uint64_t)(*p - '0');
		lanes = gts * (a->width ? a->width : a->width_max);
		wr_found(r, "%s and %s are one card: %u + %u Mbit/s over about %llu Gbit/s of PCIe",
		         a->name, b->name, a->speed_mbit, b->speed_mbit, (unsigned long long)lanes);
		if (lanes == 0 || (uint64_t)a->speed_mbit + b->speed_mbit > lanes * 900)
			wr_fix(r, WR_WARN,
			       "use ports of two cards, or expect drops (imissed) when both "
			       "directions are full");
	}
	if (!any)
		wr_na(r, "no link has two PCI ports");
}
