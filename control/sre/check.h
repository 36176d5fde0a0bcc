/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check - one line per check of `weir doctor`: id, function. Private to sre/.
 *
 * A check fills found and wanted, and calls wr_fix() when it is not content; without that call its
 * level is ok. It never prints and never reads anything but `in`.
 */
#ifndef WR_SRE_CHECK_H
#define WR_SRE_CHECK_H

#include "sre/sre.h"

#define WR_CHECKS(X)                                                                               \
	X("cpu.isolated", wr_check_isolated)                                                       \
	X("cpu.nohz_full", wr_check_nohz_full)                                                     \
	X("cpu.rcu_nocbs", wr_check_rcu_nocbs)                                                     \
	X("cpu.governor", wr_check_governor)                                                       \
	X("cpu.cstates", wr_check_cstates)                                                         \
	X("cpu.smt_sibling_busy", wr_check_siblings)                                               \
	X("cpu.overlap", wr_check_overlap)                                                         \
	X("cpu.simd", wr_check_simd)                                                               \
	X("irq.affinity", wr_check_irq_affinity)                                                   \
	X("irq.irqbalance", wr_check_irqbalance)                                                   \
	X("numa.port_worker", wr_check_port_worker)                                                \
	X("numa.hugepages", wr_check_node_hugepages)                                               \
	X("huge.free", wr_check_huge_free)                                                         \
	X("huge.leaked_rtemap", wr_check_rtemap)                                                   \
	X("iommu.vfio", wr_check_vfio)                                                             \
	X("nic.driver_fw", wr_check_driver)                                                        \
	X("nic.pcie_width", wr_check_pcie)                                                         \
	X("nic.rss_symmetric", wr_check_rss)                                                       \
	X("nic.linkup_delay", wr_check_link)                                                       \
	X("nic.dual_port", wr_check_dual_port)                                                     \
	X("xdp.heartbeat", wr_check_heartbeat)                                                     \
	X("time.sync", wr_check_time)                                                              \
	X("bundle.age", wr_check_bundle_age)                                                       \
	X("bundle.expires", wr_check_bundle_expires)                                               \
	X("log.witness", wr_check_witness)                                                         \
	X("policy.defaults", wr_check_policy)

typedef void wr_check(const struct wr_doctor_in *in, struct wr_result *r);

#define X(id, fn) wr_check fn;
WR_CHECKS(X)
#undef X

WR_PRINTF(2, 3) void wr_found(struct wr_result *r, const char *fmt, ...);
WR_PRINTF(3, 4) void wr_fix(struct wr_result *r, enum wr_level level, const char *fmt, ...);
WR_PRINTF(2, 3) void wr_na(struct wr_result *r, const char *fmt, ...);
#define wr_wanted(r, text) snprintf((r)->wanted, sizeof((r)->wanted), "%s", text)

/* Both ports of every link whose device this machine has. */
#define WR_EACH_NIC(in, nic)                                                                       \
	for (uint32_t p_ = 0; (in)->conf && p_ < 2 * (in)->conf->nlinks; p_++)                     \
		if (((nic) = wr_machine_nic((in)->m, (p_ & 1 ? &(in)->conf->link[p_ / 2].store     \
		                                             : &(in)->conf->link[p_ / 2].client)   \
		                                             ->device[0])) != NULL)

#endif
