// SPDX-License-Identifier: GPL-2.0
/*
 * KSM finds the VMAs of a merged page through their anon_vmas: a VMA that it
 * may scan has one, and gives up what it owns for it.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "test_area.h"
#include "zram_swap.h"

#define RW	(PROT_READ | PROT_WRITE)
#define KSM	"/sys/kernel/mm/ksm/"

static bool have_ksm, have_swap;
static unsigned long run, sleep_millisecs, pages_to_scan;
static bool had_advisor;
static pid_t main_pid;

/* While an advisor is on, it alone says how many pages to scan. */
static void set_advisor(bool on)
{
	const char *mode = on ? "scan-time" : "none";

	write_file(KSM "advisor_mode", mode, strlen(mode) + 1);
}

static bool advisor_is_on(void)
{
	char modes[64] = {};

	return read_file(KSM "advisor_mode", modes, sizeof(modes)) &&
		strstr(modes, "[scan-time]");
}

static void set_scan(unsigned long millisecs, unsigned long pages)
{
	set_advisor(false);
	write_num(KSM "sleep_millisecs", millisecs);
	write_num(KSM "pages_to_scan", pages);
}

static void restore_ksm(void)
{
	if (getpid() != main_pid)
		return;
	write_num(KSM "run", 2);
	write_num(KSM "run", run);
	set_scan(sleep_millisecs, pages_to_scan);
	set_advisor(had_advisor);
}

/* Before the first test is forked, so that it lasts until the last one. */
static void __attribute__((constructor)) setup_ksm(void)
{
	have_ksm = !access(KSM "run", W_OK);
	if (!have_ksm)
		return;
	main_pid = getpid();
	run = read_num(KSM "run");
	sleep_millisecs = read_num(KSM "sleep_millisecs");
	pages_to_scan = read_num(KSM "pages_to_scan");
	had_advisor = advisor_is_on();
	set_scan(0, 1000);
	atexit(restore_ksm);
	have_swap = zram_swap_on();
}

/* Two VMAs with the same contents, the first as the variant says. */
FIXTURE(ksm)
{
	struct area area, twin;
	struct area_params twin_params;
	int pagemap;
};

FIXTURE_VARIANT(ksm)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(ksm, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(ksm, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(ksm, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(ksm, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(ksm, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(ksm, mthp_child)
{
	.params = { .folios = AREA_MTHP, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(ksm, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_SETUP(ksm)
{
	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (!have_ksm)
		SKIP(return, "needs CONFIG_KSM and root");
	ASSERT_EQ(0, ksm_stop());
	ASSERT_EQ(0, area_map(&self->area, &variant->params));
	self->twin_params.folios = variant->params.folios;
	ASSERT_EQ(0, area_map(&self->twin, &self->twin_params));
	ASSERT_STATE(self->area.ptr, area_vma_state(&self->area));
	ASSERT_STATE(self->twin.ptr, "owned");
	self->pagemap = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(self->pagemap, 0);
}

FIXTURE_TEARDOWN(ksm)
{
	set_scan(0, 1000);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, ksm_stop());
	ASSERT_INVARIANTS();
	close(self->pagemap);
	ASSERT_EQ(0, area_unmap(&self->twin));
	ASSERT_EQ(0, area_unmap(&self->area));
}

/* Scan until @pages of the process are merged. Returns 0 or -EAGAIN. */
static int scan_until_merged(unsigned long pages)
{
	int ret = -EAGAIN;

	write_num(KSM "run", 1);
	for (int i = 0; i < 5000 && ret; i++) {
		if (ksm_get_self_merging_pages() == pages)
			ret = 0;
		else
			usleep(1000);
	}
	write_num(KSM "run", 0);
	if (ret)
		ksft_print_msg("%ld pages of %lu are merged\n",
			       ksm_get_self_merging_pages(), pages);
	return ret;
}

/* Make it mergeable: whatever it was, it has an anon_vma now. */
#define ASSERT_MERGEABLE(which) do {					\
	const struct area *__area = (which);				\
									\
	ASSERT_EQ(0, madvise(__area->ptr, bytes(__area->nr),		\
			     MADV_MERGEABLE));				\
	ASSERT_EQ(1, count_vmas(__area->ptr, __area->nr));		\
	ASSERT_STATE(__area->ptr, "anon_vma");				\
} while (0)

/* Every page of the first area is the same as that of the twin. */
#define ASSERT_MERGED() do {						\
	ASSERT_MERGEABLE(&self->area);					\
	ASSERT_MERGEABLE(&self->twin);					\
	ASSERT_EQ(0, scan_until_merged(2 * self->area.nr));		\
	ASSERT_EQ(self->area.nr, count_shared(&self->area, &self->twin,	\
					      self->pagemap));		\
	ASSERT_FOLIO(self->area.ptr, "ksm");				\
	ASSERT_FOLIO(self->twin.ptr, "ksm");				\
	ASSERT_INVARIANTS();						\
} while (0)

static unsigned long count_shared(const struct area *a, const struct area *b,
				  int pagemap)
{
	unsigned long shared = 0;

	for (unsigned long i = 0; i < a->nr; i++) {
		unsigned long pfn = pagemap_get_pfn(pagemap, area_page(a, i));

		if (pfn != -1UL &&
		    pfn == pagemap_get_pfn(pagemap, area_page(b, i)))
			shared++;
	}
	return shared;
}

/* Scan until each page of @a is that of @b. Returns 0 or -EAGAIN. */
static int scan_until_shared(const struct area *a, const struct area *b, int pagemap)
{
	int ret = -EAGAIN;

	write_num(KSM "run", 1);
	for (int i = 0; i < 5000 && ret; i++) {
		if (count_shared(a, b, pagemap) == a->nr)
			ret = 0;
		else
			usleep(1000);
	}
	write_num(KSM "run", 0);
	return ret;
}

/*
 *	|-----------|          |-----------|
 *	|   area    |          |   twin    |
 *	|-----------|          |-----------|
 *	      \________   _________/
 *	               KSM                    then written to
 */
TEST_F(ksm, break_by_write)
{
	struct area *area = &self->area, *twin = &self->twin;
	unsigned long half = area->nr / 2;

	ASSERT_MERGED();
	ASSERT_AREA(area);
	ASSERT_AREA(twin);

	fill_pages(area->ptr, 0, half, SEED_A);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_FOLIO(twin->ptr, "ksm");
	ASSERT_EQ(half, count_shared(area, twin, self->pagemap));
	ASSERT_PAGES(area->ptr, 0, half, SEED_A);
	ASSERT_PAGES(area_page(area, half), half, half, SEED_AREA);
	ASSERT_AREA(twin);

	fill_pages(twin->ptr, 0, twin->nr, SEED_B);
	ASSERT_EQ(0, count_shared(area, twin, self->pagemap));
	ASSERT_STATE(twin->ptr, "anon_vma");
	ASSERT_PAGES(area->ptr, 0, half, SEED_A);
	ASSERT_PAGES(area_page(area, half), half, half, SEED_AREA);
	ASSERT_PAGES(twin->ptr, 0, twin->nr, SEED_B);
}

/*
 *	|-----------|          |-----------|
 *	|   area    |          |   twin    |
 *	|-----------|          |-----------|
 *	      \________   _________/
 *	               KSM                    at the advisor's pace, and again
 */
TEST_F(ksm, advisor)
{
	struct area *area = &self->area, *twin = &self->twin;

	set_advisor(true);
	ASSERT_TRUE(advisor_is_on());
	ASSERT_MERGED();
	set_scan(0, 1000);
	ASSERT_FALSE(advisor_is_on());
	ASSERT_AREA(area);
	ASSERT_AREA(twin);

	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_EQ(0, count_shared(area, twin, self->pagemap));
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_AREA(twin);
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	ASSERT_EQ(0, scan_until_shared(area, twin, self->pagemap));
	ASSERT_FOLIO(area->ptr, "ksm");
	ASSERT_AREA(area);
	ASSERT_AREA(twin);
}

/*
 *	|-----------|          |-----------|
 *	|   area    |          |   twin    |
 *	|-----------|          |-----------|
 *	      \________   _________/
 *	               KSM                    then MADV_UNMERGEABLE
 */
TEST_F(ksm, unmerge)
{
	struct area *area = &self->area, *twin = &self->twin;

	ASSERT_MERGED();
	ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_UNMERGEABLE));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_EQ(0, count_shared(area, twin, self->pagemap));
	ASSERT_AREA(area);
	ASSERT_AREA(twin);

	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	ASSERT_AREA(twin);
}

/*
 *	|-----------|          |-----------|
 *	|   area    |          |   twin    |
 *	|-----------|          |-----------|
 *	      \________   _________/
 *	               KSM                    then prctl(..., 0)
 */
TEST_F(ksm, prctl)
{
	struct area *area = &self->area, *twin = &self->twin;
	char *new = area_page(area, area->nr + 1);

	ASSERT_EQ(0, prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0));
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(twin->ptr, "anon_vma");
	ASSERT_INVARIANTS();

	/* A VMA that is born mergeable never owns anything. */
	ASSERT_NE(NULL, map_anon(new, 1, RW));
	fill_pages(new, 0, 1, SEED_B);
	ASSERT_STATE(new, "anon_vma");

	/* Other pages of the process may be merged as well. */
	ASSERT_EQ(0, scan_until_shared(area, twin, self->pagemap));
	ASSERT_FOLIO(area->ptr, "ksm");
	ASSERT_AREA(area);
	ASSERT_AREA(twin);

	ASSERT_EQ(0, prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0));
	ASSERT_EQ(0, count_shared(area, twin, self->pagemap));
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_AREA(area);
	ASSERT_AREA(twin);
	ASSERT_PAGES(new, 0, 1, SEED_B);
}

/*
 *	|-----------|
 *	| unfaulted |  MADV_MERGEABLE, then touched
 *	|-----------|
 */
TEST_F(ksm, unfaulted)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr - 1;
	char *new = area_page(area, area->nr + 1);

	ASSERT_NE(NULL, map_anon(new, nr, RW));
	ASSERT_EQ(0, madvise(new, bytes(nr), MADV_MERGEABLE));
	ASSERT_VMA(new, "unfaulted");
	fill_pages(new, 0, nr, SEED_A);
	ASSERT_STATE(new, "anon_vma");
	ASSERT_PAGES(new, 0, nr, SEED_A);
	ASSERT_AREA(area);
}

/*
 *	parent                              child
 *	|-----------|      |-----------|    |-----------|
 *	|   area    |      |   twin    |    | area, twin|  writes
 *	|-----------|      |-----------|    |-----------|
 *	      \________   _________/______________/
 *	               KSM
 */
TEST_F(ksm, merge_then_fork)
{
	struct area *area = &self->area, *twin = &self->twin;
	pid_t pid;

	ASSERT_MERGED();
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_AREA(area);
		ASSERT_AREA(twin);
		fill_pages(area->ptr, 0, area->nr, SEED_A);
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
		ASSERT_AREA(twin);
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_AREA(area);
	ASSERT_AREA(twin);
	fill_pages(twin->ptr, 0, twin->nr, SEED_B);
	ASSERT_AREA(area);
	ASSERT_PAGES(twin->ptr, 0, twin->nr, SEED_B);
}

/*
 *	process                child
 *	|-----------|          |-----------|
 *	|   area    |          |    own    |  exits while they are merged
 *	|-----------|          |-----------|
 *	      \________   _________/
 *	               KSM
 */
TEST_F(ksm, one_side_exits)
{
	struct area *area = &self->area, own;
	int ready[2], go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(go[1]);
		ASSERT_EQ(0, area_map(&own, &self->twin_params));
		ASSERT_STATE(own.ptr, "owned");
		ASSERT_MERGEABLE(&own);
		close(ready[1]);
		ASSERT_EQ(0, read(go[0], &c, 1));
		ASSERT_AREA(&own);
		ASSERT_FOLIO(own.ptr, "ksm");
		_exit(0);
	}
	close(ready[1]);
	ASSERT_EQ(0, read(ready[0], &c, 1));
	ASSERT_MERGEABLE(area);
	ASSERT_EQ(0, scan_until_merged(area->nr));
	ASSERT_FOLIO(area->ptr, "ksm");
	ASSERT_AREA(area);
	close(go[1]);
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_AREA(area);
	ASSERT_INVARIANTS();
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|----+------+----|     |-----------|
 *	| rw |  r   | rw |     |   twin    |
 *	|----+------+----|     |-----------|
 *	      \________   _________/
 *	               KSM
 */
TEST_F(ksm, merge_then_split)
{
	struct area *area = &self->area, *twin = &self->twin;
	unsigned long first = area->nr / 4 + 1;
	unsigned long nr = area->nr / 2 - 2;
	char *middle = area_page(area, first);

	ASSERT_MERGED();
	ASSERT_EQ(0, mprotect(middle, bytes(nr), PROT_READ));
	ASSERT_EQ(3, count_vmas(area->ptr, area->nr));
	ASSERT_AREA(area);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(middle, bytes(nr)));
	ASSERT_AREA(twin);
	fill_pages(area->ptr, 0, first, SEED_A);
	ASSERT_PAGES(area->ptr, 0, first, SEED_A);
	ASSERT_PAGES(area_page(area, first + nr), first + nr,
		     area->nr - first - nr, SEED_AREA);
	ASSERT_AREA(twin);
}

/*
 *	|-----------|          |-----------|
 *	|   dest    |          |   twin    |
 *	|-----------|          |-----------|
 *	      \________   _________/
 *	               KSM                    moved while merged
 */
TEST_F(ksm, merge_then_mremap)
{
	struct area *area = &self->area, *twin = &self->twin;
	char *dest = area_page(area, area->nr);

	ASSERT_MERGED();
	ASSERT_EQ(dest, mremap(area->ptr, bytes(area->nr), bytes(area->nr),
			       MREMAP_MAYMOVE | MREMAP_FIXED, dest));
	/* They were unmerged, their new place is scanned anew. */
	ASSERT_PAGES(dest, 0, area->nr, SEED_AREA);
	ASSERT_AREA(twin);
	fill_pages(dest, 0, area->nr, SEED_A);
	ASSERT_PAGES(dest, 0, area->nr, SEED_A);
	ASSERT_AREA(twin);
}

/*
 *	              |-----------|
 *	              |   twin    |  swapped out and in after the other
 *	              |-----------|  one is gone
 *	  __   _________/
 *	    KSM
 */
TEST_F(ksm, merge_then_pageout)
{
	struct area *area = &self->area, *twin = &self->twin;

	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	/* MADV_PAGEOUT leaves pages alone that are shared with a parent. */
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	ASSERT_MERGED();
	ASSERT_EQ(0, munmap(area->ptr, bytes(area->nr)));
	ASSERT_EQ(0, pageout(twin->ptr, twin->nr));
	ASSERT_AREA(twin);
	ASSERT_STATE(twin->ptr, "anon_vma");
	fill_pages(twin->ptr, 0, twin->nr, SEED_A);
	ASSERT_PAGES(twin->ptr, 0, twin->nr, SEED_A);
}

/* A memory cgroup of our own, to have all of its memory reclaimed. */
FIXTURE(ksm_swap)
{
	struct area area, twin;
	struct area_params params;
	char mount[32];
	char group[64];
	int pagemap;
};

static int write_group_file(const char *dir, const char *name, const char *value)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	ret = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

FIXTURE_SETUP(ksm_swap)
{
	if (!have_ksm)
		SKIP(return, "needs CONFIG_KSM and root");
	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");

	snprintf(self->mount, sizeof(self->mount), "/tmp/anon_owner.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->mount));
	if (mount("none", self->mount, "cgroup2", 0, NULL) ||
	    write_group_file(self->mount, "cgroup.subtree_control", "+memory")) {
		umount(self->mount);
		rmdir(self->mount);
		SKIP(return, "needs CONFIG_MEMCG and no cgroup1 memory controller");
	}
	snprintf(self->group, sizeof(self->group), "%s/anon_owner.%d",
		 self->mount, getpid());
	ASSERT_EQ(0, mkdir(self->group, 0700));
	ASSERT_EQ(0, write_group_file(self->group, "cgroup.procs", "0"));

	ASSERT_EQ(0, ksm_stop());
	ASSERT_EQ(0, area_map(&self->area, &self->params));
	ASSERT_EQ(0, area_map(&self->twin, &self->params));
	ASSERT_STATE(self->area.ptr, "owned");
	ASSERT_STATE(self->twin.ptr, "owned");
	self->pagemap = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(self->pagemap, 0);
}

FIXTURE_TEARDOWN(ksm_swap)
{
	ASSERT_INVARIANTS();
	close(self->pagemap);
	EXPECT_EQ(0, write_group_file(self->mount, "cgroup.procs", "0"));
	EXPECT_EQ(0, rmdir(self->group));
	EXPECT_EQ(0, umount(self->mount));
	EXPECT_EQ(0, rmdir(self->mount));
}

/* Returns 0 when all of both areas is swapped out, or -EAGAIN. */
static int reclaim_group(const char *group, const struct area *area,
			 const struct area *twin)
{
	for (int i = 0; i < 100; i++) {
		drain_lru_batches();
		/* What two VMAs have used of late would become active. */
		write_file("/proc/self/clear_refs", "1", 2);
		/* It fails when there is less to be had. */
		write_group_file(group, "memory.reclaim", "64M");
		if (count_swapped(area->ptr, area->nr) == area->nr &&
		    count_swapped(twin->ptr, twin->nr) == twin->nr)
			return 0;
		usleep(1000);
	}
	return -EAGAIN;
}

/*
 *	|-----------|          |-----------|
 *	|   area    |          |   twin    |
 *	|-----------|          |-----------|
 *	      \________   _________/
 *	               KSM                    swapped out while merged
 *
 * Two VMAs with nothing in common have the same swap entries: who faults
 * second finds the folio of the first one in the swap cache.
 */
TEST_F(ksm_swap, read_both)
{
	struct area *area = &self->area, *twin = &self->twin;

	ASSERT_MERGED();
	ASSERT_EQ(0, reclaim_group(self->group, area, twin));
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_AREA(twin);
	ASSERT_STATE(twin->ptr, "anon_vma");
	ASSERT_INVARIANTS();

	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_AREA(twin);
	fill_pages(twin->ptr, 0, twin->nr, SEED_B);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(twin->ptr, 0, twin->nr, SEED_B);
}

/*
 *	|-----------|          |-----------|
 *	|   area    |          |   twin    |
 *	|-----------|          |-----------|
 *	                  __________/
 *	               KSM                    swapped out, one comes in as a copy
 */
TEST_F(ksm_swap, write_one)
{
	struct area *area = &self->area, *twin = &self->twin;

	ASSERT_MERGED();
	ASSERT_EQ(0, reclaim_group(self->group, area, twin));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_AREA(twin);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, ksm_stop());
	ASSERT_AREA(twin);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|-----------|          |-----------|
 *	|   area    |          |   twin    |
 *	|-----------|          |-----------|
 *	      \________   _________/
 *	               KSM                    swapped out, then swapoff
 */
TEST_F(ksm_swap, swapoff)
{
	struct area *area = &self->area, *twin = &self->twin;

	ASSERT_MERGED();
	ASSERT_EQ(0, reclaim_group(self->group, area, twin));
	ASSERT_EQ(0, cycle_swap());
	ASSERT_EQ(0, count_swapped(area->ptr, area->nr));
	ASSERT_EQ(0, count_swapped(twin->ptr, twin->nr));
	ASSERT_AREA(area);
	ASSERT_AREA(twin);
	ASSERT_INVARIANTS();
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_AREA(twin);
}

TEST_HARNESS_MAIN
