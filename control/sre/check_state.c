/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of the wire, the clock, the bundles and the policy. */
#include <string.h>

#include "abi/reason.h"
#include "sre/check.h"

#define DAY            86400
#define BUNDLE_OLD     (7 * DAY)
#define TIME_ERROR_MAX 1000000u /* microseconds; a verdict's time is evidence */
#define WITNESS_OLD    600

static bool uses_af_xdp(const struct wr_conf *c)
{
	for (uint32_t i = 0; i < c->nlinks; i++)
		if (strncmp(c->link[i].client.device[0], "net_af_xdp", 10) == 0)
			return true;
	return false;
}

void wr_check_heartbeat(const struct wr_doctor_in *in, struct wr_result *r)
{
	const struct wr_facts *f = in->facts;

	wr_wanted(r, "every AF_XDP link installed, inspecting, every heartbeat fresh");
	if (f->nwires == 0 && (!in->conf || !uses_af_xdp(in->conf))) {
		wr_na(r, "no AF_XDP link: the kernel cannot fail this wire open or closed; see "
		         "docs/operate/fail-to-wire.md");
		return;
	}
	if (f->nwires == 0) {
		wr_found(r, "links are configured, none is installed");
		wr_fix(r, WR_FAIL, "weir wire install");
		return;
	}
	wr_found(r, "%u link%s inspecting", f->nwires, f->nwires == 1 ? "" : "s");
	for (uint32_t i = 0; i < f->nwires; i++) {
		const struct wr_wire_fact *w = &f->wire[i];

		if (!w->installed) {
			wr_found(r, "link %s is not installed", w->link);
			wr_fix(r, WR_FAIL, "weir wire install %s", w->link);
			return;
		}
		if (strcmp(w->state, "inspect") == 0)
			continue;
		wr_found(r, "link %s is %s (%s)", w->link, w->state, w->cause);
		if (strcmp(w->cause, "admin") == 0)
			wr_fix(r, WR_WARN,
			       "somebody said so; when the work is done: weir wire inspect %s",
			       w->link);
		else
			wr_fix(r, WR_FAIL, "%s: systemctl status weir-dataplane",
			       w->beat_age_ms == UINT64_MAX
			               ? "no dataplane serves it"
			               : "the dataplane has not taken it back");
		return;
	}
}

void wr_check_time(const struct wr_doctor_in *in, struct wr_result *r)
{
	const struct wr_facts *f = in->facts;

	wr_wanted(r, "a synchronised clock, error under a second: records are evidence");
	if (!f->time_known) {
		wr_na(r, "the kernel does not say");
		return;
	}
	wr_found(r, "%s, error up to %llu ms", f->time_synced ? "synchronised" : "not synchronised",
	         (unsigned long long)(f->time_error_us / 1000));
	if (!f->time_synced || f->time_error_us > TIME_ERROR_MAX)
		wr_fix(r, WR_WARN, "run chrony or systemd-timesyncd: timedatectl set-ntp true");
}

static bool bundles(const struct wr_doctor_in *in, struct wr_result *r)
{
	if (!in->facts->control_known)
		wr_na(r, "weir-control does not answer");
	else if (in->facts->nbundles == 0)
		wr_na(r, "no bundle is loaded");
	else
		return true;
	return false;
}

void wr_check_bundle_age(const struct wr_doctor_in *in, struct wr_result *r)
{
	const struct wr_facts *f = in->facts;
	int64_t oldest = 0;

	wr_wanted(r, "a bundle of the last seven days");
	if (f->control_known && f->nbundles == 0) {
		wr_found(r, "no bundle is loaded: on_process_death holds on every link");
		wr_fix(r, WR_FAIL, "weir bundle load DIR");
		return;
	}
	if (!bundles(in, r))
		return;
	for (uint32_t i = 0; i < f->nbundles; i++) {
		int64_t age = f->bundle[i].created ? f->now - f->bundle[i].created : 0;

		oldest = age > oldest ? age : oldest;
		if (age > BUNDLE_OLD)
			wr_fix(r, WR_WARN,
			       "%s version %u is %lld days old: ask its owners, or check the push",
			       f->bundle[i].name, f->bundle[i].version, (long long)(age / DAY));
	}
	wr_found(r, "oldest made %lld days ago", (long long)(oldest / DAY));
}

void wr_check_bundle_expires(const struct wr_doctor_in *in, struct wr_result *r)
{
	const struct wr_facts *f = in->facts;

	wr_wanted(r, "no bundle expires within a day");
	if (!bundles(in, r))
		return;
	wr_found(r, "none does");
	for (uint32_t i = 0; i < f->nbundles; i++) {
		int64_t left = f->bundle[i].expires - f->now;

		if (f->bundle[i].expires == 0 || left > DAY)
			continue;
		wr_found(r,
		         left <= 0 ? "%s version %u has expired"
		                   : "%s version %u expires within a day",
		         f->bundle[i].name, f->bundle[i].version);
		wr_fix(r, left <= 0 ? WR_FAIL : WR_WARN,
		       "ship a new version; policy bundle_expired says what happens until then");
		if (left <= 0)
			return;
	}
}

void wr_check_witness(const struct wr_doctor_in *in, struct wr_result *r)
{
	const struct wr_facts *f = in->facts;

	wr_wanted(r,
	          "records witnessed within the last ten minutes, where a witness is configured");
	if (!f->witness_configured) {
		wr_na(r, "no witness is configured: records are kept on this host alone");
		return;
	}
	wr_found(r, "last witnessed %lld s ago", (long long)(f->now - f->witness_ts));
	if (f->now - f->witness_ts > WITNESS_OLD)
		wr_fix(r, WR_WARN, "check the witness and the way to it");
}

static const char *weak(const struct wr_conf *c, const struct wr_policy *p)
{
	(void)c;
	if (p->ceiling < WR_A_BLOCK)
		return "match is below block: nothing is ever blocked";
	if (p->on_reason[WR_R_MIDSTREAM] == WR_ON_PASS)
		return "midstream connections pass unscanned";
	if (p->on_overload == WR_DEATH_OPEN)
		return "on_overload is open: a flood makes a way around";
	if (p->on_records_lost == WR_DEATH_OPEN)
		return "on_records_lost is open: verdicts may leave no record";
	if (p->on_reason[WR_R_OVERLAP_CONFLICT] == WR_ON_PASS)
		return "overlap_conflict passes: the store may read other bytes than were scanned";
	return NULL;
}

void wr_check_policy(const struct wr_doctor_in *in, struct wr_result *r)
{
	const struct wr_conf *c = in->conf;

	if (!c) {
		wr_na(r, "no configuration: %s", in->facts->config_error);
		return;
	}
	wr_wanted(r, "policies no weaker than those of `weir config init`, or weaker on purpose");
	wr_found(r, "none is weaker");
	for (uint32_t i = 0; i < c->nlinks; i++)
		if (c->link[i].on_process_death == WR_DEATH_OPEN ||
		    c->link[i].on_worker_stall == WR_DEATH_OPEN) {
			wr_found(r, "link %s fails open: uploads pass unscanned while Weir is away",
			         c->link[i].name);
			wr_fix(r, WR_WARN,
			       "on purpose? then alarm on weir_unscanned_bytes_total; else say "
			       "closed");
		}
	for (uint32_t i = 0; i < c->nservices; i++) {
		const struct wr_conf_service *s = &c->service[i];
		const char *why = weak(c, &s->policy);

		if (s->mode == WR_MODE_OBSERVE)
			why = "observe mode: nothing is blocked";
		if (!why)
			continue;
		wr_found(r, "service %s: %s", s->name, why);
		wr_fix(r, WR_WARN,
		       "`weir config diff` against a fresh `weir config init` shows every "
		       "difference");
	}
	if (in->facts->allow_unsigned) {
		wr_found(r, "trust.allow_unsigned: anybody who reaches control can load rules");
		wr_fix(r, c->lab || c->shared_cores ? WR_WARN : WR_FAIL,
		       "set trust.allow_unsigned to false and name keys");
	}
}
