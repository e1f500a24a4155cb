// SPDX-License-Identifier: GPL-2.0
/*
 * Memory goes offline with owned folios on it, or they leave movable memory as
 * they are pinned: they move, and no owner is the worse for it.
 */
#include "kselftest_harness.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <mm/gup_test.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "nodes.h"
#include "rounds.h"

#define RW		(PROT_READ | PROT_WRITE)
#define MEMORY		"/sys/devices/system/memory/"
#define GUP_DEBUGFS	"/sys/kernel/debug/gup_test"

/* The block that has been found to go offline and come back as movable. */
static int block = -1;
static unsigned long block_pages;
static int nodes[2];
static pid_t main_pid;

static int write_block(const char *state)
{
	char path[64];
	int fd, ret = 0;

	snprintf(path, sizeof(path), MEMORY "memory%d/state", block);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	if (write(fd, state, strlen(state)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static int compare_blocks(const void *a, const void *b)
{
	return *(const int *)b - *(const int *)a;
}

/* Its memory was of another zone. */
static void restore_block(void)
{
	if (getpid() != main_pid)
		return;
	write_block("offline");
	if (write_block("online_kernel") && write_block("online"))
		ksft_print_msg("memory%d stays offline\n", block);
}

/*
 * Make one block of the second node movable: what is allocated there comes
 * from it first. Before the first test is forked, so that it lasts.
 */
static void __attribute__((constructor)) setup_block(void)
{
	char path[64], buf[32];
	int blocks[1024], nr = 0;
	struct dirent *entry;
	DIR *dir;

	if (!find_nodes(nodes) ||
	    !read_file(MEMORY "block_size_bytes", buf, sizeof(buf)))
		return;
	block_pages = strtoul(buf, NULL, 16) / psize();
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d",
		 nodes[1]);
	dir = opendir(path);
	if (!dir)
		return;
	while (nr < ARRAY_SIZE(blocks) && (entry = readdir(dir)))
		if (sscanf(entry->d_name, "memory%d", &blocks[nr]) == 1)
			nr++;
	closedir(dir);

	qsort(blocks, nr, sizeof(*blocks), compare_blocks);
	for (int i = 0; i < nr && i < 8; i++) {
		block = blocks[i];
		if (write_block("offline"))
			continue;
		if (!write_block("online_movable")) {
			main_pid = getpid();
			atexit(restore_block);
			return;
		}
		write_block("online");
	}
	block = -1;
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
	err = write_block("offline");
	ASSERT_EQ(0, err);
	EXPECT_EQ(0, count_in_block(self));
	EXPECT_EQ(-1, area_find_bad_page(area));
	EXPECT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_EQ(0, write_block("online_movable"));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(area_page(area, area->nr - 1), area_vma_state(area));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/* For long, and not with the mmap_lock held. Returns 0 or a negative errno. */
static int pin(int gup, const struct area *area)
{
	struct pin_longterm_test args = {
		.addr = (unsigned long)area->ptr,
		.size = bytes(area->nr),
		.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE |
			 PIN_LONGTERM_TEST_FLAG_USE_FAST,
	};

	return ioctl(gup, PIN_LONGTERM_TEST_START, &args) ? -errno : 0;
}

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
	ASSERT_EQ(0, pin(gup, area));
	ASSERT_EQ(0, count_in_block(self));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(area_page(area, area->nr - 1), area_vma_state(area));
	ASSERT_AREA(area);
	ASSERT_EQ(0, write_block("offline"));
	ASSERT_EQ(0, write_block("online_movable"));
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
 *	all the time        |  area  |  =>  | pinned |  ten times, without an error
 *	                    |--------|      |--------|
 */
TEST_F_TIMEOUT(offline, pin_beside_writer, 120)
{
	struct area *area = &self->area;
	struct rival rival = { .step = step_lock, .ptr = area->ptr, .nr = area->nr };
	int gup = open(GUP_DEBUGFS, O_RDWR);
	int err;

	if (gup < 0)
		SKIP(return, "needs CONFIG_GUP_TEST, debugfs and root");
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, renew_area(area));
		ASSERT_EQ(area->nr, count_in_block(self));
		ASSERT_EQ(0, rival_start(&rival));
		while (!rival_is_done(&rival))
			usleep(100);
		err = pin(gup, area);
		ASSERT_EQ(0, rival_stop(&rival));
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
	int err = write_block("offline");

	return err ? err : write_block("online_movable");
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
