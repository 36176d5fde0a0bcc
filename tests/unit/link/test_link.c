/* SPDX-License-Identifier: BSD-3-Clause */
/* The link against a dataplane that obeys, dies, comes back, and lies. */
#include "fake.h"
#include "tap.h"

#include <time.h>

static struct fake fake;
static char dir[64];

static bool wait_for(struct wr_link *l, bool (*is)(const struct wr_link_status *))
{
	struct timespec pause = { .tv_nsec = 2000000 };
	struct wr_link_status st;

	for (int i = 0; i < 2500; i++) { /* five seconds at most; a loaded machine is slow */
		wr_link_status(l, &st);
		if (is(&st))
			return true;
		nanosleep(&pause, NULL);
	}
	printf("# connected=%d synced=%d error=%s\n", st.connected, st.synced, st.error);
	return false;
}

static bool connected(const struct wr_link_status *s)
{
	return s->connected;
}

static bool gone(const struct wr_link_status *s)
{
	return !s->connected;
}

static bool synced(const struct wr_link_status *s)
{
	return s->connected && s->synced;
}

static bool second(const struct wr_link_status *s)
{
	return s->connects >= 2 && s->synced;
}

static const char *wanted;

static bool says(const struct wr_link_status *s)
{
	return !s->connected && strstr(s->error, wanted) != NULL;
}

/* A shard file as weir-compile leaves it. */
static void shard(struct wr_ruleset_files *rs, const char *bytes, bool lie)
{
	struct wr_shard_ref *ref = &rs->shard[rs->nshards++];
	char hex[65], path[256];
	FILE *f;

	ref->bytes = strlen(bytes);
	crypto_hash_sha256(ref->sha256, (const unsigned char *)bytes, ref->bytes);
	wr_hex_put(ref->sha256, 32, hex);
	snprintf(path, sizeof(path), "%s/%s.shard", dir, hex);
	f = fopen(path, "w");
	fputs(bytes, f);
	if (lie) {
		rewind(f);
		fputc('#', f);
	}
	fclose(f);
}

static struct wr_ruleset_files *ruleset(const char *a, const char *b, bool lie)
{
	struct wr_ruleset_files *rs = calloc(1, sizeof(*rs));

	snprintf(rs->dir, sizeof(rs->dir), "%s", dir);
	shard(rs, a, lie);
	shard(rs, b, false);
	memcpy(rs->meta, rs->shard[1].sha256, 32);
	return rs;
}

static struct wr_link *link_new(void)
{
	struct wr_link *l = NULL;

	WR_ASSERT(wr_link_new(dir, &l) == 0 && wr_link_start(l) == 0);
	return l;
}

static void test_push(struct wr_link *l)
{
	struct wr_ruleset_files *rs = ruleset("patterns", "meta", false);
	struct wr_ruleset_files *more = ruleset("patterns", "meta two", false);
	struct wr_ruleset_files *torn = ruleset("torn file", "meta three", true);
	char err[WR_LINK_ERR] = "";
	uint64_t g1 = 0, g2 = 0;

	IS(wr_link_push(l, rs, &g1, err), 0, "a ruleset is pushed (%s)", err);
	IS(fake.shards, 2, "both shards went over");
	IS(fake.unsealed, 0, "sealed against every change");
	IS(fake.wrong_hash, 0, "with the bytes that their names promise");
	IS(fake.commits, 1, "and were committed");
	IS(wr_link_push(l, more, &g2, err), 0, "a second ruleset");
	IS(fake.shards, 3, "sends only what differs");
	OK(g2 > g1, "generations grow");
	OK(wr_link_push(l, torn, &g1, err) != 0 &&
	           strstr(err, "not the file that was compiled") != NULL,
	   "a file that was changed is not sent: %s", err);
	IS(fake.drops, 1, "and what was staged is dropped");
	IS(fake.commits, 2, "the old ruleset stays");
	atomic_store(&fake.fault, FAULT_STAGE);
	OK(wr_link_push(l, torn, &g1, err) != 0, "torn again");
	free(torn);
	torn = ruleset("patterns", "meta four", false);
	OK(wr_link_push(l, torn, &g1, err) == -EINVAL && strstr(err, "not to our taste") != NULL,
	   "the dataplane's words are passed on: %s", err);
	IS(fake.commits, 2, "nothing is committed");
	atomic_store(&fake.fault, FAULT_EAGAIN);
	IS(wr_link_push(l, torn, &g1, err), 0, "as many generations as fit: it waits for a drain");
	IS(fake.again, 3, "and asks again");
	atomic_store(&fake.fault, FAULT_NONE);
	wr_link_set_active(l, torn);
	free(rs);
	free(more);
	free(torn);
}

static void test_restart(struct wr_link *l)
{
	struct wr_session *old = wr_session_get(l), *now;
	unsigned commits = fake.commits;

	fake_stop(&fake);
	OK(wait_for(l, gone), "the dataplane's death is seen");
	OK(old != NULL && old->records[0].ring->magic == WR_RING_MAGIC,
	   "its rings stay readable: the last records are still there");
	fake_start(&fake, 2, FAULT_NONE);
	OK(wait_for(l, second), "a new dataplane is found and gets the active ruleset");
	OK(fake.commits > commits, "by a push of its own");
	now = wr_session_get(l);
	OK(now != old && now->boot_id == 2, "its rings are new ones");
	wr_session_put(l, now);
	wr_session_put(l, old);
}

static void test_same_life(struct wr_link *l)
{
	struct wr_session *a = wr_session_get(l), *b;
	struct wr_link_status st;
	uint64_t before;

	wr_link_status(l, &st);
	before = st.connects;
	atomic_store(&fake.fault, FAULT_SEQ);
	wanted = "does not fit";
	OK(wait_for(l, says), "an answer to another question closes the connection");
	atomic_store(&fake.fault, FAULT_NONE);
	OK(wait_for(l, synced), "which is made again");
	wr_link_status(l, &st);
	OK(st.connects > before, "anew");
	b = wr_session_get(l);
	OK(a == b, "the same life of the dataplane: the same rings, no record twice");
	wr_session_put(l, a);
	wr_session_put(l, b);
}

static void test_lies(void)
{
	static const struct {
		enum fault fault;
		const char *want;
	} row[] = {
		{ FAULT_ABI, "install one version of both" },
		{ FAULT_SEALS, "not sealed against shrinking" },
		{ FAULT_FDS, "brings 2 areas" },
		{ FAULT_RING, "is not a ring" },
		{ FAULT_STATS, "another build" },
		{ FAULT_BUSY, "another weir-control is connected" },
		{ FAULT_SHORT, "does not fit" },
	};

	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		struct wr_link *l;

		fake_start(&fake, 10 + i, row[i].fault);
		l = link_new();
		wanted = row[i].want;
		OK(wait_for(l, says), "refused: %s", row[i].want);
		OK(wr_session_get(l) == NULL, "and nothing of it is mapped");
		wr_link_free(l);
		fake_stop(&fake);
	}
}

int main(void)
{
	struct wr_link_status st;
	struct wr_link *l;
	char cmd[128];

	WR_ASSERT(sodium_init() >= 0);
	snprintf(dir, sizeof(dir), "/tmp/weir-link-%d", (int)getpid());
	mkdir(dir, 0700);
	snprintf(fake.dir, sizeof(fake.dir), "%s", dir);
	l = link_new();
	wanted = "no weir-dataplane at";
	OK(wait_for(l, says), "without a dataplane it says so");
	fake_start(&fake, 1, FAULT_NONE);
	OK(wait_for(l, connected), "and finds it when it comes");
	test_push(l);
	test_restart(l);
	test_same_life(l);
	wr_link_status(l, &st);
	OK(st.last.ready == 1, "status is asked for");
	wr_link_free(l);
	fake_stop(&fake);
	test_lies();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# cannot remove %s\n", dir);
	return tap_done();
}
