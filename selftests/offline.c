// SPDX-License-Identifier: GPL-2.0
/*
 * Memory goes offline with owned folios on it, or they leave movable memory as
 * they are pinned: they move, and no owner is the worse for it.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <mm/gup_test.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "nodes.h"
#include "rounds.h"

#define RW		(PROT_READ | PROT_WRITE)

static int nodes[2];
/* What is allocated on the second node comes from here first. */
static int block = -1;
static unsigned long block_pages;

/* Before the first test is forked, so that it lasts. */
static void __attribute__((constructor)) setup_block(void)
{
	if (find_nodes(nodes))
		block = make_movable_block(nodes[1], &block_pages);
}

FIXTURE(offline)
{
	struct area area;
	int pagemap;
};

FIXTURE_VARIANT(offline)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(offline, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(offline, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(offline, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(offline, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(offline, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(offline, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_VARIANT_ADD(offline, pmd_child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

FIXTURE_SETUP(offline)
{
	struct area *area = &self->area;
	unsigned long mask = 1UL << nodes[1];

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (block < 0)
		SKIP(return, "no memory block to go offline");
	ASSERT_EQ(0, syscall(SYS_set_mempolicy, MPOL_PREFERRED, &mask,
			     sizeof(mask) * 8));
	ASSERT_EQ(0, area_map(area, &variant->params));
	/* Nothing is shared with a parent any more. */
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	self->pagemap = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(self->pagemap, 0);
}

FIXTURE_TEARDOWN(offline)
{
	ASSERT_INVARIANTS();
	close(self->pagemap);
	ASSERT_EQ(0, area_unmap(&self->area));
}

static unsigned long count_in_block(const FIXTURE_DATA(offline) * self)
{
	unsigned long count = 0;

	for (unsigned long i = 0; i < self->area.nr; i++)
		count += pagemap_get_pfn(self->pagemap,
					 area_page(&self->area, i)) /
			 block_pages == block;
	return count;
}

/*
 *	block           elsewhere
 *	|--------|      |--------|
 *	|  area  |  =>  |  area  |  as it was
 *	|--------|      |--------|
 */
TEST_F(offline, area)
{
	struct area *area = &self->area;
	unsigned long before = count_in_block(self);
	int err;

	ASSERT_EQ(area->nr, before);
	err = write_block(block, "offline");
	ASSERT_EQ(0, err);
	EXPECT_EQ(0, count_in_block(self));
	EXPECT_EQ(-1, area_find_bad_page(area));
	EXPECT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_EQ(0, write_block(block, "online_movable"));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(area_page(area, area->nr - 1), area_vma_state(area));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/* Not with the mmap_lock held. */
#define PIN_FAST	(PIN_LONGTERM_TEST_FLAG_USE_WRITE | PIN_LONGTERM_TEST_FLAG_USE_FAST)

/*
 *	block           elsewhere
 *	|--------|      |--------|
 *	|  area  |  =>  | pinned |  so that the block can still go offline
 *	|--------|      |--------|
 */
TEST_F(offline, pin)
{
	struct area *area = &self->area;
	int gup = open(GUP_DEBUGFS, O_RDWR);

	if (gup < 0)
		SKIP(return, "needs CONFIG_GUP_TEST, debugfs and root");
	ASSERT_EQ(area->nr, count_in_block(self));
	ASSERT_EQ(0, pin_longterm(gup, area->ptr, area->nr, PIN_FAST));
	ASSERT_EQ(0, count_in_block(self));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(area_page(area, area->nr - 1), area_vma_state(area));
	ASSERT_AREA(area);
	ASSERT_EQ(0, write_block(block, "offline"));
	ASSERT_EQ(0, write_block(block, "online_movable"));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	close(gup);
}

/* The whole VMA is write-locked most of the time. */
static int step_lock(struct rival *rival)
{
	for (int i = 0; i < 64; i++)
		if (madvise(rival->ptr, bytes(rival->nr),
			    i & 1 ? MADV_DOFORK : MADV_DONTFORK))
			return -errno;
	return 0;
}

/*
 *	rival               block           elsewhere
 *	writer of the VMA   |--------|      |--------|
 *	all the time        |  area  |  =>  | pinned |  ten times, refused once at most
 *	                    |--------|      |--------|
 */
TEST_F_TIMEOUT(offline, pin_beside_writer, 120)
{
	struct area *area = &self->area;
	struct rival rival = { .step = step_lock, .ptr = area->ptr, .nr = area->nr };
	int gup = open(GUP_DEBUGFS, O_RDWR);
	int err, refused = 0;

	if (gup < 0)
		SKIP(return, "needs CONFIG_GUP_TEST, debugfs and root");
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, renew_area(area));
		ASSERT_EQ(area->nr, count_in_block(self));
		ASSERT_EQ(0, rival_start(&rival));
		while (!rival_is_done(&rival))
			usleep(100);
		err = pin_longterm(gup, area->ptr, area->nr, PIN_FAST);
		ASSERT_EQ(0, rival_stop(&rival));
		/* The writer's CPU may be gone for longer than migration waits. */
		if (err == -ENOMEM && !refused++)
			continue;
		ASSERT_EQ(0, err);
		ASSERT_EQ(0, count_in_block(self));
		ASSERT_STATE(area->ptr, area_vma_state(area));
		ASSERT_AREA(area);
		ASSERT_EQ(0, ioctl(gup, PIN_LONGTERM_TEST_STOP));
	}
	close(gup);
}

/* Offline and back: what is new since then is in the block again. */
static int step_offline(struct rival *rival)
{
	int err = write_block(block, "offline");

	return err ? err : write_block(block, "online_movable");
}

/*
 *	rival              parent            child
 *	block goes and     |-----------|     |-----------|
 *	comes              |   area    |  => |   area    |
 *	                   |-----------|     |-----------|
 */
TEST_F(offline, fork)
{
	struct rival rival = { .step = step_offline };

	ASSERT_EQ(0, run_rounds(&self->area, round_fork, &rival));
}

/*
 *	rival              |-----------|       |----+-----+----|
 *	block goes and     |   area    |  <=>  | rw |  r  | rw |
 *	comes              |-----------|       |----+-----+----|
 */
TEST_F(offline, split)
{
	struct rival rival = { .step = step_offline };

	ASSERT_EQ(0, run_rounds(&self->area, round_split, &rival));
}

/*
 *	rival              |-----------|       |----|     |----|
 *	block goes and     |   area    |  <=>  |    |     |    |
 *	comes              |-----------|       |----|     |----|
 */
TEST_F(offline, munmap)
{
	struct rival rival = { .step = step_offline };

	ASSERT_EQ(0, run_rounds(&self->area, round_munmap, &rival));
}

/*
 *	rival              |-----------|       |-----------|
 *	block goes and     |   area    |  <=>  |   room    |
 *	comes              |-----------|       |-----------|
 */
TEST_F(offline, mremap)
{
	struct rival rival = { .step = step_offline };

	ASSERT_EQ(0, run_rounds(&self->area, round_mremap, &rival));
}

TEST_HARNESS_MAIN
