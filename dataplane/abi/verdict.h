/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verdict - the words of a verdict: what was found, why it may be unsure, what is done.
 *
 * The order of actions is the order of strictness. Names are the ones of weir.verdict/1.
 */
#ifndef WR_ABI_VERDICT_H
#define WR_ABI_VERDICT_H

#define WR_VERDICTS(X)                                                                             \
	X(CLEAN, "clean")                                                                          \
	X(MATCH, "match")                                                                          \
	X(SUSPECT, "suspect")                                                                      \
	X(INCOMPLETE, "incomplete")                                                                \
	X(ERROR, "error")                                                                          \
	X(SKIPPED, "skipped")

#define WR_ACTIONS(X)                                                                              \
	X(PASS, "pass")                                                                            \
	X(FLAG, "flag")                                                                            \
	X(BLOCK, "block")

/* Causes of incomplete, error, skipped and suspect; X(enum, label, policy key, help). */
#define WR_CAUSES(X)                                                                               \
	X(NONE, "", "none", "")                                                                    \
	X(GAP, "gap", "incomplete", "bytes passed that Weir did not see")                          \
	X(LIMIT, "limit", "incomplete", "a named limit was reached")                               \
	X(BUDGET, "budget", "incomplete", "memory or decoders for this upload ran out")            \
	X(DECODER_BUDGET, "decoder_budget", "incomplete", "no content decoder was free")           \
	X(EXPANSION, "expansion", "incomplete", "decoded data beyond the expansion budget")        \
	X(ENCRYPTED, "encrypted", "incomplete", "the content is encrypted")                        \
	X(UNDECODABLE, "undecodable", "incomplete", "the coding is unknown or broken")             \
	X(LATE, "late", "incomplete", "the verdict came after its deadline")                       \
	X(DECODER_LATE, "decoder_late", "incomplete", "the image decoder did not answer in time")  \
	X(ELSEWHERE, "elsewhere", "incomplete", "parts of the object did not pass this Weir")      \
	X(PART_ORDER, "part_order", "incomplete", "parts came too far out of order to be joined")  \
	X(PROTOCOL, "protocol", "incomplete", "an upload protocol that is recognised only")        \
	X(ABORTED, "aborted", "incomplete", "the client or the store ended the upload early")      \
	X(MIDSTREAM, "midstream", "midstream", "the connection began before Weir did")             \
	X(FRAMING, "framing", "framing", "the framing is ambiguous or refused")                    \
	X(EARLY_RESPONSE, "early_response", "incomplete", "the store answered before the end")     \
	X(TYPE_MISMATCH, "type_mismatch", "suspect", "declared and sniffed type differ")           \
	X(POLYGLOT, "polyglot", "suspect", "the object is valid as two formats")                   \
	X(TRAILING_DATA, "trailing_data", "suspect", "bytes behind the end of the format")         \
	X(MALFORMED, "malformed", "suspect",                                                       \
	  "a picture whose structure does not hold or ends early")                                 \
	X(PROVENANCE, "provenance", "suspect", "the object declares that AI made it")              \
	X(ENGINE, "engine", "error", "an engine failed")                                           \
	X(OBJECT_BAD, "object_bad", "match", "an earlier part of this object was bad")

enum wr_verdict {
#define X(e, s) WR_V_##e,
	WR_VERDICTS(X)
#undef X
	        WR_V_COUNT
};

enum wr_action {
#define X(e, s) WR_A_##e,
	WR_ACTIONS(X)
#undef X
	        WR_A_COUNT
};

enum wr_cause {
#define X(e, s, p, h) WR_C_##e,
	WR_CAUSES(X)
#undef X
	        WR_C_COUNT
};

/* Labels as in records and metrics; valid for values below the count. */
const char *wr_verdict_name(enum wr_verdict v);
const char *wr_action_name(enum wr_action a);
const char *wr_cause_name(enum wr_cause c);
const char *wr_cause_policy(enum wr_cause c);
const char *wr_cause_help(enum wr_cause c);

#endif
