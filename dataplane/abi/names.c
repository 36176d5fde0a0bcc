/* SPDX-License-Identifier: BSD-3-Clause */
#include "abi/reason.h"
#include "abi/stats.h"
#include "abi/verdict.h"
#include "base/base.h"

/* Labels are lower case in metrics; written once here so that no one converts at run time. */
static const struct wr_reason_info reasons[WR_R_COUNT] = {
#define WR_REASON(n, d, p, h) [WR_R_##n] = { #n, #p, h, WR_RD_##d },
#include "abi/reason.def"
#undef WR_REASON
};

static char lower[WR_R_COUNT][40];
static struct wr_reason_info lowered[WR_R_COUNT];

__attribute__((constructor)) static void lower_names(void)
{
	for (unsigned i = 0; i < WR_R_COUNT; i++) {
		const char *s = reasons[i].name;
		unsigned k = 0;

		for (; s[k] != '\0' && k < sizeof(lower[0]) - 1; k++)
			lower[i][k] = (char)(s[k] >= 'A' && s[k] <= 'Z' ? s[k] + 32 : s[k]);
		lowered[i] = reasons[i];
		lowered[i].name = lower[i];
	}
}

const struct wr_reason_info *wr_reason_info(enum wr_reason r)
{
	WR_ASSERT((unsigned)r < WR_R_COUNT);
	return &lowered[r];
}

const char *wr_verdict_name(enum wr_verdict v)
{
	static const char *const name[] = {
#define X(e, s) [WR_V_##e] = s,
		WR_VERDICTS(X)
#undef X
	};
	return (unsigned)v < WR_V_COUNT ? name[v] : "?";
}

const char *wr_action_name(enum wr_action a)
{
	static const char *const name[] = {
#define X(e, s) [WR_A_##e] = s,
		WR_ACTIONS(X)
#undef X
	};
	return (unsigned)a < WR_A_COUNT ? name[a] : "?";
}

static const struct {
	const char *name, *policy, *help;
} causes[] = {
#define X(e, s, p, h) [WR_C_##e] = { s, p, h },
	WR_CAUSES(X)
#undef X
};

const char *wr_cause_name(enum wr_cause c)
{
	return (unsigned)c < WR_C_COUNT ? causes[c].name : "?";
}

const char *wr_cause_policy(enum wr_cause c)
{
	return (unsigned)c < WR_C_COUNT ? causes[c].policy : "?";
}

const char *wr_cause_help(enum wr_cause c)
{
	return (unsigned)c < WR_C_COUNT ? causes[c].help : "?";
}

const char *wr_framing_name(enum wr_framing f)
{
	static const char *const name[WR_FRAMING_COUNT] = {
		[WR_FRAMING_NONE] = "none",
		[WR_FRAMING_LENGTH] = "content-length",
		[WR_FRAMING_CHUNKED] = "chunked",
		[WR_FRAMING_AWS_SIGNED] = "aws-signed",
		[WR_FRAMING_AWS_SIGNED_TRAILER] = "aws-signed-trailer",
		[WR_FRAMING_AWS_UNSIGNED_TRAILER] = "aws-unsigned-trailer",
		[WR_FRAMING_AWS_SIGV4A] = "aws-sigv4a",
		[WR_FRAMING_MULTIPART] = "multipart",
		[WR_FRAMING_RELATED] = "multipart-related",
	};
	return (unsigned)f < WR_FRAMING_COUNT ? name[f] : "?";
}

const char *wr_stage_name(enum wr_stage s)
{
	static const char *const name[WR_STAGE_COUNT] = {
		[WR_STAGE_RX] = "rx",           [WR_STAGE_PKT] = "pkt",
		[WR_STAGE_FLOW] = "flow",       [WR_STAGE_TCP] = "tcp",
		[WR_STAGE_HTTP] = "http",       [WR_STAGE_BODY] = "body",
		[WR_STAGE_SCAN] = "scan",       [WR_STAGE_DIGEST] = "digest",
		[WR_STAGE_VERDICT] = "verdict", [WR_STAGE_HOLD] = "hold",
		[WR_STAGE_TX] = "tx",
	};
	return (unsigned)s < WR_STAGE_COUNT ? name[s] : "?";
}
