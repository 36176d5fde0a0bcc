/* SPDX-License-Identifier: BSD-3-Clause */
/* What `weir wire` shares with other commands. */
#ifndef WR_CLI_WIRE_H
#define WR_CLI_WIRE_H

#include "cli/cli.h"
#include "xdp/xdp.h"

/* State of an installed link as JSON (owned by the caller); NULL: err (WR_XDP_ERR bytes) says why.
 */
json_t *wr_wire_json(const char *link, char *err);

#endif
