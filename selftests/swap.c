// SPDX-License-Identifier: GPL-2.0
/*
 * Swapping out and in: a folio that comes back belongs to the VMA that maps
 * it then, whoever owned it when it was written out.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <sys/uio.h>

#include "test_area.h"
#include "zram_swap.h"

#define RW	(PROT_READ | PROT_WRITE)

static bool have_swap;

/* Before the first test is forked, so that it lasts until the last one. */
static void __attribute__((constructor)) setup_swap(void)
{
	have_swap = zram_swap_on();
}

FIXTURE(swap)
{
	struct area area;
	unsigned long first, end;
};

FIXTURE_VARIANT(swap)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(swap, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(swap, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(swap, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(swap, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(swap, file_child)
{
	.params = { .file = true, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(swap, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(swap, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_SETUP(swap)
{
	struct area *area = &self->area;

	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	ASSERT_EQ(0, area_map(area, &variant->params));
	/* MADV_PAGEOUT leaves pages alone that are shared with a parent. */
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	self->first = area->nr / 4 + 1;
	self->end = area->nr / 4 * 3 - 1;
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_VMA(area->ptr, area_vma_state(area));
	ASSERT_FOLIO(area->ptr, "none");
}

FIXTURE_TEARDOWN(swap)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, area_unmap(&self->area));
}

/*
 *	|-----------|          |-----------|          |-----------|
 *	|  swapped  |  =read>  |  present  |  =out>   |  swapped  |  ...
 *	|-----------|          |-----------|          |-----------|
 */
TEST_F(swap, read_in)
{
	struct area *area = &self->area;

	ASSERT_AREA(area);
	ASSERT_EQ(0, count_swapped(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(area_page(area, area->nr - 1), area_vma_state(area));

	/* Once more while nothing has been written. */
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, area_vma_state(area));

	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|-----------|           |-----+-----+-----|
 *	|  swapped  |  =write>  | out | new | out |
 *	|-----------|           |-----+-----+-----|
 */
TEST_F(swap, write_in)
{
	struct area *area = &self->area;
	unsigned long nr = self->end - self->first;
	char *middle = area_page(area, self->first);

	fill_pages(middle, self->first, nr, SEED_A);
	ASSERT_STATE(middle, area_vma_state(area));
	ASSERT_INVARIANTS();
	ASSERT_PAGES(area->ptr, 0, self->first, SEED_AREA);
	ASSERT_PAGES(middle, self->first, nr, SEED_A);
	ASSERT_PAGES(area_page(area, self->end), self->end,
		     area->nr - self->end, SEED_AREA);
	ASSERT_STATE(area->ptr, area_vma_state(area));
}

/*
 *	|-----------|              |-----------|
 *	|  swapped  |  =swapoff>   |  present  |
 *	|-----------|              |-----------|
 */
TEST_F(swap, swapoff)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, cycle_swap());
	ASSERT_EQ(0, count_swapped(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(area_page(area, area->nr - 1), area_vma_state(area));
	ASSERT_AREA(area);
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|  swapped  |  => |  swapped  |  reads, exits; then the parent reads
 *	|-----------|     |-----------|
 */
TEST_F(swap, fork_child_first)
{
	struct area *area = &self->area;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_AREA(area);
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_INVARIANTS();
		fill_pages(area->ptr, 0, self->first, SEED_A);
		ASSERT_PAGES(area->ptr, 0, self->first, SEED_A);
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_VMA(area->ptr, "anon_vma");
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, "anon_vma");
	fill_pages(area->ptr, 0, area->nr, SEED_B);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_B);
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|  swapped  |  => |  swapped  |  reads after the parent has written
 *	|-----------|     |-----------|
 */
TEST_F(swap, fork_parent_first)
{
	struct area *area = &self->area;
	int go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(go[1]);
		ASSERT_EQ(0, read(go[0], &c, 1));
		ASSERT_AREA(area);
		ASSERT_STATE(area->ptr, "anon_vma");
		_exit(0);
	}
	fill_pages(area->ptr, 0, self->end, SEED_A);
	ASSERT_INVARIANTS();
	close(go[1]);
	ASSERT_EQ(0, wait_child(pid));
	close(go[0]);
	ASSERT_PAGES(area->ptr, 0, self->end, SEED_A);
	ASSERT_PAGES(area_page(area, self->end), self->end,
		     area->nr - self->end, SEED_AREA);
}

/*
 *	|-----------|              |----+-----+----|
 *	|  swapped  |  =mprotect>  | rw |  r  | rw |  swapped in three VMAs
 *	|-----------|              |----+-----+----|
 */
TEST_F(swap, split)
{
	struct area *area = &self->area;
	char *middle = area_page(area, self->first);
	unsigned long nr = self->end - self->first;

	ASSERT_EQ(0, mprotect(middle, bytes(nr), PROT_READ));
	ASSERT_EQ(3, count_vmas(area->ptr, area->nr));
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(middle, "anon_vma");
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, mprotect(middle, bytes(nr), RW));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|-----------|            |----|     |----|
 *	|  swapped  |  =munmap>  | out|     | out|  then mapped anew
 *	|-----------|            |----|     |----|
 */
TEST_F(swap, munmap)
{
	struct area *area = &self->area;
	char *middle = area_page(area, self->first);
	unsigned long nr = self->end - self->first;

	ASSERT_EQ(0, munmap(middle, bytes(nr)));
	ASSERT_EQ(0, area_map_pages(area, self->first, nr, RW));
	ASSERT_PAGES(middle, self->first, nr, area_untouched_seed(area));
	fill_pages(middle, self->first, nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, self->first, SEED_AREA);
	ASSERT_PAGES(middle, self->first, nr, SEED_A);
	ASSERT_PAGES(area_page(area, self->end), self->end,
		     area->nr - self->end, SEED_AREA);
}

/*
 *	|-----------|                           |-----------|
 *	|  swapped  |          =mremap>         |  swapped  |
 *	|-----------|                           |-----------|
 */
TEST_F(swap, move)
{
	struct area *area = &self->area;
	char *dest = area_page(area, area->nr);

	ASSERT_EQ(dest, mremap(area->ptr, bytes(area->nr), bytes(area->nr),
			       MREMAP_MAYMOVE | MREMAP_FIXED, dest));
	ASSERT_PAGES(dest, 0, area->nr, SEED_AREA);
	ASSERT_INVARIANTS();
	fill_pages(dest, 0, area->nr, SEED_A);
	ASSERT_EQ(0, pageout(dest, area->nr));
	ASSERT_PAGES(dest, 0, area->nr, SEED_A);
}

/*
 *	|-----------|           |------+---------|
 *	|  swapped  |  =read>   | page | swapped |  then out again
 *	|-----------|           |------+---------|
 */
TEST_F(swap, one_page)
{
	struct area *area = &self->area;
	char *page = area_page(area, self->first);

	ASSERT_PAGES(page, self->first, 1, SEED_AREA);
	ASSERT_STATE(page, area_vma_state(area));
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_AREA(area);
}

/*
 * Pages that a pipe holds are unmapped by reclaim and stay in the swap cache,
 * with the owner's name on them. Whoever faults next finds them there.
 */
FIXTURE(swap_cache)
{
	struct area area;
	int pipe[2];
	int pagemap;
	unsigned long pfns[16];
};

FIXTURE_VARIANT(swap_cache)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(swap_cache, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(swap_cache, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(swap_cache, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(swap_cache, file)
{
	.params = { .file = true },
};

FIXTURE_SETUP(swap_cache)
{
	struct area *area = &self->area;
	struct iovec iov;

	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	ASSERT_EQ(0, area_map(area, &variant->params));
	ASSERT_GE(ARRAY_SIZE(self->pfns), area->nr);
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);

	self->pagemap = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(self->pagemap, 0);
	for (int i = 0; i < area->nr; i++)
		self->pfns[i] = pagemap_get_pfn(self->pagemap,
						area_page(area, i));

	ASSERT_EQ(0, pipe(self->pipe));
	iov.iov_base = area->ptr;
	iov.iov_len = bytes(area->nr);
	ASSERT_EQ(iov.iov_len, vmsplice(self->pipe[1], &iov, 1, 0));
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
}

FIXTURE_TEARDOWN(swap_cache)
{
	ASSERT_INVARIANTS();
	close(self->pipe[0]);
	close(self->pipe[1]);
	close(self->pagemap);
	ASSERT_EQ(0, area_unmap(&self->area));
}

/* Page @page of the area came out of the swap cache to @addr. */
#define ASSERT_CACHED(addr, page) \
	ASSERT_EQ(self->pfns[page], pagemap_get_pfn(self->pagemap, addr))

/* The number of the first page that the pipe does not give back, or -1. */
static long find_bad_page_in_pipe(int fd, unsigned long nr)
{
	char *buf = malloc(psize());
	long bad = -1;

	for (unsigned long i = 0; i < nr && bad < 0; i++)
		if (!buf || read(fd, buf, psize()) != psize() ||
		    find_bad_page(buf, i, 1, SEED_AREA) >= 0)
			bad = i;
	free(buf);
	return bad;
}

/* The pipe still holds what was put into it. */
#define ASSERT_PIPE(nr) \
	ASSERT_EQ(-1, find_bad_page_in_pipe(self->pipe[0], nr))

/*
 *	|--------------|            |-----------|
 *	|  swap cache  |  =read>    |   area    |  the same VMA
 *	|--------------|            |-----------|
 */
TEST_F(swap_cache, same_vma)
{
	struct area *area = &self->area;

	ASSERT_AREA(area);
	ASSERT_CACHED(area->ptr, 0);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_PIPE(area->nr);
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|--------------|              |-----------|-----------|
 *	|  swap cache  |  =mprotect>  |    rw     |     r     |
 *	|--------------|              |-----------|-----------|
 */
TEST_F(swap_cache, split)
{
	struct area *area = &self->area;
	unsigned long half = area->nr / 2;
	char *right = area_page(area, half);

	ASSERT_EQ(0, mprotect(right, bytes(half), PROT_READ));
	ASSERT_AREA(area);
	ASSERT_CACHED(area->ptr, 0);
	ASSERT_CACHED(right, half);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(right, "anon_vma");
	ASSERT_PIPE(area->nr);
	fill_pages(area->ptr, 0, half, SEED_A);
	ASSERT_PAGES(area->ptr, 0, half, SEED_A);
	ASSERT_PAGES(right, half, half, SEED_AREA);
}

/*
 *	|--------------|            |-----|      |-----|
 *	|  swap cache  |  =munmap>  |     |      |     |
 *	|--------------|            |-----|      |-----|
 *	                               v mmap, touch
 *	                            |-----+------+-----|
 *	                            |     | new  |     |
 *	                            |-----+------+-----|
 */
TEST_F(swap_cache, munmap)
{
	struct area *area = &self->area;
	unsigned long quarter = area->nr / 4;
	char *middle = area_page(area, quarter);
	char *right = area_page(area, 3 * quarter);

	ASSERT_EQ(0, munmap(middle, bytes(2 * quarter)));
	ASSERT_EQ(0, area_map_pages(area, quarter, 2 * quarter, RW));
	ASSERT_PAGES(middle, quarter, 2 * quarter, area_untouched_seed(area));
	fill_pages(middle, quarter, 2 * quarter, SEED_A);
	ASSERT_PAGES(area->ptr, 0, quarter, SEED_AREA);
	ASSERT_CACHED(area->ptr, 0);
	ASSERT_PAGES(middle, quarter, 2 * quarter, SEED_A);
	ASSERT_PAGES(right, 3 * quarter, quarter, SEED_AREA);
	ASSERT_CACHED(right, 3 * quarter);
	ASSERT_PIPE(area->nr);
}

/*
 *	|--------------|            |     |           |-----------|
 *	|  swap cache  |  =mremap>  |     |           |   dest    |
 *	|--------------|            |     |           |-----------|
 *	                               v mmap, touch
 *	                            |-----|
 *	                            | new |  may be the owner's memory again
 *	                            |-----|
 */
TEST_F(swap_cache, owner_freed)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;
	char *dest = area_page(area, nr);
	char *others[64];

	ASSERT_EQ(dest, mremap(area->ptr, bytes(nr), bytes(nr),
			       MREMAP_MAYMOVE | MREMAP_FIXED, dest));
	ASSERT_EQ(0, area_map_pages(area, 0, nr, RW));
	fill_pages(area->ptr, 0, nr, SEED_A);

	/* Separated by their protection, each is a VMA of its own. */
	for (int i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = mmap(NULL, psize(), i & 1 ? RW : RW | PROT_EXEC,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(MAP_FAILED, others[i]);
		fill_pages(others[i], i, 1, SEED_B);
	}

	ASSERT_PAGES(dest, 0, nr, SEED_AREA);
	ASSERT_CACHED(dest, 0);
	ASSERT_CACHED(dest + bytes(nr - 1), nr - 1);
	ASSERT_INVARIANTS();
	ASSERT_PIPE(nr);

	fill_pages(dest, 0, nr, SEED_A);
	ASSERT_PAGES(dest, 0, nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
	for (int i = 0; i < ARRAY_SIZE(others); i++) {
		ASSERT_PAGES(others[i], i, 1, SEED_B);
		munmap(others[i], psize());
	}
}

/*
 *	parent               child
 *	|--------------|     |--------------|
 *	|  swap cache  |  => |  swap cache  |  reads, then the parent unmaps
 *	|--------------|     |--------------|  and the child goes on
 */
TEST_F(swap_cache, fork)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr, half = nr / 2;
	int child_done[2], parent_done[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(child_done));
	ASSERT_EQ(0, pipe(parent_done));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(parent_done[1]);
		ASSERT_PAGES(area->ptr, 0, half, SEED_AREA);
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_INVARIANTS();
		close(child_done[1]);
		ASSERT_EQ(0, read(parent_done[0], &c, 1));
		ASSERT_AREA(area);
		ASSERT_STATE(area_page(area, nr - 1), "anon_vma");
		ASSERT_INVARIANTS();
		fill_pages(area->ptr, 0, nr, SEED_B);
		ASSERT_PAGES(area->ptr, 0, nr, SEED_B);
		_exit(0);
	}
	close(child_done[1]);
	ASSERT_EQ(0, read(child_done[0], &c, 1));
	ASSERT_AREA(area);
	ASSERT_CACHED(area->ptr, 0);
	ASSERT_CACHED(area_page(area, nr - 1), nr - 1);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_EQ(0, munmap(area->ptr, bytes(nr)));
	ASSERT_EQ(0, area_map_pages(area, 0, nr, RW));
	fill_pages(area->ptr, 0, nr, SEED_A);
	close(parent_done[1]);
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
	ASSERT_PIPE(nr);
}

/*
 *	|--------------|-----------|
 *	|  swap cache  | new, rwx  |  touched
 *	|--------------|-----------|
 *	             v mprotect
 *	|--------------------------|
 *	|            rw            |  one VMA, unless inherited
 *	|--------------------------|
 */
TEST_F(swap_cache, merge)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;
	char *new = area_page(area, nr);

	ASSERT_EQ(0, area_map_pages(area, nr, nr, RW | PROT_EXEC));
	fill_pages(new, nr, nr, SEED_A);
	ASSERT_EQ(0, mprotect(new, bytes(nr), RW));
	ASSERT_EQ(variant->params.history == AREA_CHILD ? 2 : 1,
		  count_vmas(area->ptr, 2 * nr));
	ASSERT_AREA(area);
	ASSERT_CACHED(area->ptr, 0);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_PIPE(nr);
	fill_pages(area->ptr, 0, 2 * nr, SEED_B);
	ASSERT_PAGES(area->ptr, 0, 2 * nr, SEED_B);
}

/*
 *	|--------------|             |-----------|
 *	|  swap cache  |  =swapoff>  |   area    |
 *	|--------------|             |-----------|
 */
TEST_F(swap_cache, swapoff)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, cycle_swap());
	ASSERT_EQ(0, count_swapped(area->ptr, area->nr));
	ASSERT_CACHED(area->ptr, 0);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_AREA(area);
	ASSERT_PIPE(area->nr);
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

TEST_HARNESS_MAIN
