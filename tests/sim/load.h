/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load - a ruleset for tests without a control plane: runs weir-compile, maps what it wrote.
 */
#ifndef WR_SIM_LOAD_H
#define WR_SIM_LOAD_H

#include "ruleset/ruleset.h"

/* 0, or -1 and a line in err. The ruleset lives until the process ends. */
int sim_load_as(const char *compiler, const char *bundle, uint64_t generation,
                struct wr_ruleset **out, char *err, size_t n);
int sim_load(const char *compiler, const char *bundle, struct wr_ruleset **out, char *err,
             size_t n);

#endif
