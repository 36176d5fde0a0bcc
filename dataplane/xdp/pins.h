/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pins - where things lie in bpffs, and the embedded object with its maps put in. Private to xdp/.
 */
#ifndef WR_XDP_PINS_H
#define WR_XDP_PINS_H

#include <stdio.h>

#include "xdp/xdp.h"

#define PIN_PATH 256u

struct bpf_object;

/* Maps that a program is loaded with; -1 where not open. */
struct wr_pins {
	int wire, count, xsks[2];
};

extern const char *const wr_xdp_side_name[2];

const char *wr_xdp_root(void);
/* Writes <root>/<link>/<leaf>; -EINVAL for a name that could leave the folder. */
WR_MUST_USE int wr_xdp_path(char *out, const char *link, const char *leaf);
WR_PRINTF(3, 4) int wr_xdp_fail(char *err, int error, const char *fmt, ...);

/* Opens (does not load) the program of one side on these maps. NULL: err says why. */
struct bpf_object *wr_xdp_object(const struct wr_pins *p, enum wr_xdp_side side, uint32_t peer,
                                 char *err);
WR_MUST_USE int wr_xdp_pins_open(const char *link, bool ro, struct wr_pins *p, char *err);
void wr_xdp_pins_close(struct wr_pins *p);
/* Interface that the pinned link sits on; 0 = gone. */
uint32_t wr_xdp_link_ifindex(const char *link, enum wr_xdp_side side, uint32_t *prog_id);
void *wr_xdp_map_page(int wire_fd, bool ro);

#endif
