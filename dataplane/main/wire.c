/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "main/main.h"

/* Every worker of a link may own a connection that arrives on any queue, so each queue waits for
 * all. */
static void serve_queues(struct wr_boot *b, uint32_t link)
{
	uint8_t slot[WR_WIRE_WORKERS];
	uint32_t n = wr_main_peers(b->conf, link);

	for (uint32_t i = 0; i < n; i++)
		slot[i] = (uint8_t)i;
	for (uint32_t q = 0; q < n; q++)
		wr_xdp_serve(b->wire[link], q, slot, n);
}

static int lead(struct wr_boot *b, uint32_t link, const char *name, char *err)
{
	const struct wr_conf_link *l = &b->conf->link[link];

	for (uint32_t side = 0; side < 2; side++) {
		struct wr_conf_port *p = &b->wired[link][side];

		*p = side == 0 ? l->client : l->store;
		for (uint32_t i = 0; i < p->ndevices; i++) {
			char dev[WR_DEVICE_MAX];
			int rc;

			memcpy(dev, p->device[i], sizeof(dev));
			rc = wr_xdp_devarg(name, (enum wr_xdp_side)side, dev, p->device[i],
			                   WR_DEVICE_MAX);
			if (rc != 0) {
				snprintf(err, WR_ERR, "link %s: device \"%s\" %s", name, dev,
				         rc == -EINVAL ? "must not name an xdp_prog of its own"
				                       : "is too long for the wire's path");
				return rc;
			}
		}
	}
	return 0;
}

#define PF_EXITING 0x4ul /* in /proc/PID/stat: it is on its way out */

enum other { OTHER_GONE, OTHER_DYING, OTHER_LIVES };

/* A number may have been given to another program since, so the name is compared too. */
static enum other look_at(uint32_t pid)
{
	char path[48], line[256] = "", state = 'R';
	unsigned long flags = 0;
	const char *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return OTHER_GONE;
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	fclose(f);
	end = strrchr(line, ')');
	if (end == NULL || strstr(line, "(weir-dataplane)") == NULL ||
	    sscanf(end, ") %c %*d %*d %*d %*d %*d %lu", &state, &flags) != 2)
		return OTHER_GONE;
	return state == 'Z' || state == 'X' || (flags & PF_EXITING) != 0 ? OTHER_DYING
	                                                                 : OTHER_LIVES;
}

#define LOOK_NS 10000000 /* between two looks */
#define LOOKS   500      /* five seconds for one that dies: it gives back a lot of memory */
#define ALIVE   20       /* of these, for one that has not noticed its end yet */

/*
 * The link's page names the process that inspects. If it lives, taking the link would end
 * inspection of every open connection there, and then fail on the sockets. One that was killed a
 * moment ago still has its sockets, but will not for long: it is waited for.
 */
static bool held_by_another(const struct wr_wire_shared *w)
{
	uint32_t pid = __atomic_load_n(&w->pid, __ATOMIC_RELAXED);
	enum other o = OTHER_LIVES;

	if (pid == 0 || pid == (uint32_t)getpid())
		return false;
	for (int i = 0; i < LOOKS && (o == OTHER_DYING || i < ALIVE); i++) {
		o = look_at(pid);
		if (o == OTHER_GONE)
			return false;
		(void)nanosleep(&(struct timespec){ 0, LOOK_NS }, NULL);
	}
	return true;
}

static int wire_of(struct wr_boot *b, uint32_t link, char *err)
{
	const struct wr_conf_link *l = &b->conf->link[link];
	struct wr_xdp_conf c;
	int rc = wr_xdp_conf_of(l, &c, err);

	if (rc <= 0)
		return rc;
	rc = wr_xdp_install(&c, err);
	if (rc == 0) {
		b->xdp[link] = wr_xdp_open(c.link, err);
		rc = b->xdp[link] != NULL ? 0 : -EIO;
	}
	/* A lab may run where the kernel has no bpffs; it then has no policy for its own death. But
	 * an interface that somebody else has would not give us its frames either. */
	if (rc != 0 && rc != -EBUSY && b->conf->lab) {
		fprintf(stderr, "weir-dataplane: no fail to wire: %s\n", err);
		return 0;
	}
	if (rc != 0)
		return rc;
	b->wire[link] = wr_xdp_page(b->xdp[link]);
	if (held_by_another(b->wire[link])) {
		snprintf(err, WR_ERR, "link %s is in use: weir-dataplane, process %u, inspects it",
		         c.link, b->wire[link]->pid);
		b->wire[link] = NULL;
		return -EBUSY;
	}
	/* What a predecessor that was killed left behind: its queues, and perhaps INSPECT. */
	wr_xdp_leave(b->wire[link]);
	serve_queues(b, link);
	return lead(b, link, c.link, err);
}

int wr_main_wire(struct wr_boot *b, char *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < b->conf->nlinks && rc == 0; i++)
		rc = wire_of(b, i, err);
	return rc;
}

int wr_main_wire_check(struct wr_boot *b, char *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < b->conf->nlinks && rc == 0; i++) {
		if (b->wire[i] == NULL)
			continue;
		rc = wr_xdp_attached(b->conf->link[i].name, err);
		if (rc == 0)
			rc = wr_xdp_check_queues(b->xdp[i], err);
	}
	return rc;
}

void wr_main_wire_tick(struct wr_boot *b, uint64_t now_ns, bool ready)
{
	for (uint32_t i = 0; i < b->conf->nlinks; i++)
		if (b->wire[i] != NULL)
			wr_counter_set(&b->share.head->wire_state[i],
			               wr_wire_state_of(wr_xdp_tick(b->wire[i], now_ns, ready)));
}

void wr_main_wire_leave(struct wr_boot *b)
{
	for (uint32_t i = 0; i < b->conf->nlinks; i++)
		if (b->wire[i] != NULL)
			wr_xdp_leave(b->wire[i]);
}

void wr_main_wire_close(struct wr_boot *b)
{
	for (uint32_t i = 0; i < b->conf->nlinks; i++) {
		wr_xdp_close(b->xdp[i]);
		b->xdp[i] = NULL;
		b->wire[i] = NULL;
	}
}
