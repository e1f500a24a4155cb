// SPDX-License-Identifier: GPL-2.0
/*
 * Folios in the memory of a device, which no CPU maps: only the entries of the
 * page tables and the mapping of the device's folio tell whose they are. Needs
 * lib/test_hmm.c, whose device migrates what it is told to.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <lib/test_hmm_uapi.h>

#include "hmm_device.h"
#include "test_area.h"

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(device)
{
	struct area area;
	int fd;
};

FIXTURE_VARIANT(device)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(device, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(device, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(device, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(device, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(device, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(device, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_SETUP(device)
{
	struct area *area = &self->area;

	self->fd = -1;
	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	ASSERT_EQ(0, area_map(area, &variant->params));
	/* The device serves the process that opens it: a child, for AREA_CHILD. */
	self->fd = open("/dev/hmm_dmirror0", O_RDWR);
	if (self->fd < 0)
		SKIP(return, "needs CONFIG_TEST_HMM and root");
	/* Copies of its own in place of what a child shares with its parent. */
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	ASSERT_EQ(0, move_to_device(self->fd, area->ptr, area->nr, SEED_AREA));
	ASSERT_VMA(area->ptr, area_vma_state(area));
}

FIXTURE_TEARDOWN(device)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, area_unmap(&self->area));
	if (self->fd >= 0)
		close(self->fd);
}

/* The CPU has all pages again, and their state is @state. */
#define ASSERT_BACK(addr, nr, seed, state) do {				\
	char *__ptr = (addr);						\
	unsigned long __nr = (nr);					\
	const char *__expected = (state);				\
									\
	ASSERT_PAGES(__ptr, 0, __nr, seed);				\
	ASSERT_EQ(0, count_in_device(self->fd, __ptr, __nr));		\
	ASSERT_STATE(__ptr, __expected);				\
	ASSERT_STATE(__ptr + bytes(__nr - 1), __expected);		\
} while (0)

/*
 *	|--------|  device   |--------|   CPU    |--------|
 *	|  area  |    =>     |  area  |    =>    |  area  |  owned all the way
 *	|--------|           |--------|          |--------|
 */
TEST_F(device, there_and_back)
{
	struct area *area = &self->area;

	ASSERT_BACK(area->ptr, area->nr, SEED_AREA, area_vma_state(area));
	for (int i = 0; i < 3; i++) {
		fill_pages(area->ptr, 0, area->nr, SEED_A);
		ASSERT_EQ(0, move_to_device(self->fd, area->ptr, area->nr, SEED_A));
		ASSERT_VMA(area->ptr, area_vma_state(area));
		ASSERT_BACK(area->ptr, area->nr, SEED_A, area_vma_state(area));
	}
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
}

/*
 *	|------------|        |------------|
 *	| in device  |   =>   |    area    |  the driver asks for it, not a fault
 *	|------------|        |------------|
 */
TEST_F(device, migrate_to_system)
{
	struct area *area = &self->area;
	struct hmm_dmirror_cmd cmd = {
		.addr = (unsigned long)area->ptr,
		.npages = area->nr,
	};

	ASSERT_EQ(0, ioctl(self->fd, HMM_DMIRROR_MIGRATE_TO_SYS, &cmd));
	ASSERT_EQ(0, count_in_device(self->fd, area->ptr, area->nr));
	ASSERT_BACK(area->ptr, area->nr, SEED_AREA, area_vma_state(area));
}

/*
 *	|------------|        |------------|  the driver throws out all that it has,
 *	| in device  |   =>   |    area    |  without the mmap_lock, when a file is
 *	|------------|        |------------|  closed
 */
TEST_F(device, evict)
{
	struct area *area = &self->area;
	int fd = open("/dev/hmm_dmirror0", O_RDWR);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, close(fd));
	ASSERT_EQ(0, count_in_device(self->fd, area->ptr, area->nr));
	ASSERT_BACK(area->ptr, area->nr, SEED_AREA, area_vma_state(area));
}

/*
 *	|------------|        |---|     |---|
 *	| in device  |   =>   |   |     |   |
 *	|------------|        |---|     |---|
 */
TEST_F(device, munmap_middle)
{
	struct area *area = &self->area;
	unsigned long quarter = area->nr / 4;
	char *right = area_page(area, area->nr - quarter);

	ASSERT_EQ(0, munmap(area_page(area, quarter), bytes(area->nr - 2 * quarter)));
	ASSERT_PAGES(area->ptr, 0, quarter, SEED_AREA);
	ASSERT_PAGES(right, area->nr - quarter, quarter, SEED_AREA);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(right, "anon_vma");
}

/*
 *	|------------|        |---+-----+---|        |------------|
 *	| in device  |   =>   |   |  r  |   |   =>   |            |
 *	|------------|        |---+-----+---|        |------------|
 */
TEST_F(device, mprotect_middle)
{
	struct area *area = &self->area;
	unsigned long quarter = area->nr / 4;
	char *middle = area_page(area, quarter);

	ASSERT_EQ(0, mprotect(middle, bytes(2 * quarter), PROT_READ));
	ASSERT_INVARIANTS();
	ASSERT_BACK(area->ptr, area->nr, SEED_AREA, "anon_vma");
	ASSERT_EQ(0, mprotect(middle, bytes(2 * quarter), RW));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_EQ(0, move_to_device(self->fd, area->ptr, area->nr, SEED_A));
	ASSERT_BACK(area->ptr, area->nr, SEED_A, "anon_vma");
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
}

/*
 *	|------------|                 |            |------------|
 *	| in device  |        =>       |            | in device  |
 *	|------------|                 |            |------------|
 */
TEST_F(device, mremap)
{
	struct area *area = &self->area;
	char *dest = area_page(area, area->nr);

	ASSERT_EQ(dest, mremap(area->ptr, bytes(area->nr), bytes(area->nr),
			       MREMAP_MAYMOVE | MREMAP_FIXED, dest));
	ASSERT_INVARIANTS();
	ASSERT_BACK(dest, area->nr, SEED_AREA, "anon_vma");
	ASSERT_EQ(1, count_vmas(dest, area->nr));
}

/*
 *	parent |------------|      |------------|  writes
 *	       | in device  |  =>  |------------|
 *	       |------------|      |------------|  child: what was there at the fork
 */
TEST_F(device, fork)
{
	struct area *area = &self->area;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_AREA);
		fill_pages(area->ptr, 0, area->nr, SEED_A);
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_BACK(area->ptr, area->nr, SEED_AREA, "anon_vma");
	fill_pages(area->ptr, 0, area->nr, SEED_B);
	ASSERT_EQ(0, move_to_device(self->fd, area->ptr, area->nr, SEED_B));
	ASSERT_BACK(area->ptr, area->nr, SEED_B, "anon_vma");
}

TEST_HARNESS_MAIN
