/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reason - why something did not go the ordinary way. The list is reason.def.
 */
#ifndef WR_ABI_REASON_H
#define WR_ABI_REASON_H

enum wr_reason {
#define WR_REASON(name, def, policy, help) WR_R_##name,
#include "abi/reason.def"
#undef WR_REASON
	WR_R_COUNT
};

enum wr_reason_default { WR_RD_INSPECT, WR_RD_WIRE, WR_RD_DROP, WR_RD_POLICY };

struct wr_reason_info {
	const char *name;   /* lower case, the metric label */
	const char *policy; /* key of weir.yaml's policy, or "none" */
	const char *help;
	enum wr_reason_default def;
};

/* Always valid for r < WR_R_COUNT. */
const struct wr_reason_info *wr_reason_info(enum wr_reason r);

#endif
