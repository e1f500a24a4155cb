// SPDX-License-Identifier: GPL-2.0
/*
 * Large folios: one owner for all of their pages, or none. Splitting a folio
 * changes nothing about who owns it, splitting its VMA does.
 */
#include "kselftest_harness.h"
#include <fcntl.h>

#include "mm/hugepage_settings.h"
#include "test_area.h"
#include "zram_swap.h"

#define RW		(PROT_READ | PROT_WRITE)
#define SPLIT_DEBUGFS	"/sys/kernel/debug/split_huge_pages"
#define DROP_CACHES	"/proc/sys/vm/drop_caches"
#define SCAN_SLEEP	"khugepaged/scan_sleep_millisecs"
#define MAX_ORDERS	20

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static bool have_swap;

/* Before the first test is forked, so that it lasts until the last one. */
static void __attribute__((constructor)) setup_swap(void)
{
	have_swap = zram_swap_on();
}

/* How many folios of @order are mapped at @nr pages at @addr. */
static int count_folios(char *addr, unsigned long nr, int order)
{
	int orders[MAX_ORDERS] = {};
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	int kpageflags = open("/proc/kpageflags", O_RDONLY);
	int ret;

	ret = gather_folio_orders(addr, bytes(nr), pagemap, kpageflags, orders,
				  MAX_ORDERS);
	close(pagemap);
	close(kpageflags);
	return ret ? -1 : orders[order];
}

/*
 * Split the folios at @nr pages at @addr to @order. One that somebody else
 * holds for a moment is left alone, so ask more than once.
 */
static int split_folios(char *addr, unsigned long nr, int order)
{
	int expected = nr >> order;
	char buf[64];

	snprintf(buf, sizeof(buf), "%d,0x%lx,0x%lx,%d", getpid(),
		 (unsigned long)addr, (unsigned long)addr + bytes(nr), order);
	for (int i = 0; i < 100; i++) {
		write_file(SPLIT_DEBUGFS, buf, strlen(buf) + 1);
		if (count_folios(addr, nr, order) == expected)
			return 0;
		usleep(1000);
		drain_lru_batches();
	}
	return -EAGAIN;
}

/*
 * Split what is mapped in part, as when memory is short, until @expected small
 * folios are mapped at @nr pages at @addr. Returns 0 or -EAGAIN.
 */
static int shrink_folios(char *addr, unsigned long nr, int expected)
{
	for (int i = 0; i < 100; i++) {
		drain_lru_batches();
		write_file(DROP_CACHES, "2", 2);
		if (count_folios(addr, nr, 0) == expected)
			return 0;
		usleep(1000);
	}
	return -EAGAIN;
}

FIXTURE(thp)
{
	struct area area;
	int order;
	/* The middle: about a half, and never on a folio's boundary. */
	unsigned long first, end;
	char *left, *middle, *right;
	size_t middle_len;
};

FIXTURE_VARIANT(thp)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(thp, pmd)
{
	.params = { .folios = AREA_PMD, .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(thp, pmd_upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(thp, pmd_child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(thp, mthp)
{
	.params = { .folios = AREA_MTHP, .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(thp, mthp_upgraded)
{
	.params = { .folios = AREA_MTHP, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(thp, mthp_child)
{
	.params = { .folios = AREA_MTHP, .history = AREA_CHILD },
};

FIXTURE_SETUP(thp)
{
	struct area *area = &self->area;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	ASSERT_EQ(0, area_map(area, &variant->params));
	self->order = sz2ord(area_folio_pages(variant->params.folios), 1);
	self->first = area->nr / 4 + 1;
	self->end = area->nr / 4 * 3 - 1;
	self->left = area->ptr;
	self->middle = area_page(area, self->first);
	self->right = area_page(area, self->end);
	self->middle_len = self->right - self->middle;
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(area_page(area, area->nr - 1), area_vma_state(area));
}

FIXTURE_TEARDOWN(thp)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, area_unmap(&self->area));
}

#define ASSERT_SIDES(seed) do {						\
	unsigned int __seed = (seed);					\
									\
	ASSERT_PAGES(self->left, 0, self->first, __seed);		\
	ASSERT_PAGES(self->right, self->end,				\
		     self->area.nr - self->end, __seed);		\
} while (0)

#define ASSERT_MIDDLE(seed) \
	ASSERT_PAGES(self->middle, self->first, self->end - self->first, seed)

/* The middle was given back: all else is as it was, and there is room for it. */
#define ASSERT_DONTNEED() do {						\
	ASSERT_EQ(1, count_vmas(self->area.ptr, self->area.nr));	\
	ASSERT_STATE(self->left, area_vma_state(&self->area));		\
	ASSERT_STATE(self->right, area_vma_state(&self->area));		\
	ASSERT_SIDES(SEED_AREA);					\
	ASSERT_MIDDLE(SEED_ZERO);					\
	fill_pages(self->middle, self->first, self->end - self->first,	\
		   SEED_A);						\
	ASSERT_STATE(self->middle, area_vma_state(&self->area));	\
	ASSERT_SIDES(SEED_AREA);					\
	ASSERT_MIDDLE(SEED_A);						\
} while (0)

/*
 *	|-----------------------|          |-----------------------|
 *	|      large folio      |    =>    | | | | | | | | | | | | |
 *	|-----------------------|          |-----------------------|
 *	                                    small ones, the same owner
 */
TEST_F(thp, split)
{
	struct area *area = &self->area;

	if (access(SPLIT_DEBUGFS, W_OK))
		SKIP(return, "needs debugfs and root");
	ASSERT_EQ(0, split_folios(area->ptr, area->nr, 0));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	for (unsigned long i = 0; i < area->nr; i += 7)
		ASSERT_STATE(area_page(area, i), area_vma_state(area));
	ASSERT_AREA(area);
	ASSERT_INVARIANTS();

	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	ASSERT_STATE(area->ptr, area_vma_state(area));
}

/*
 *	|-----------------------|          |-----------------------|
 *	|      large folio      |    =>    |     |     |     |     |
 *	|-----------------------|          |-----------------------|
 *	                                    less large, the same owner
 */
TEST_F(thp, split_to_order_2)
{
	struct area *area = &self->area;

	if (access(SPLIT_DEBUGFS, W_OK))
		SKIP(return, "needs debugfs and root");
	ASSERT_EQ(0, split_folios(area->ptr, area->nr, 2));
	for (unsigned long i = 0; i < area->nr; i += 7)
		ASSERT_STATE(area_page(area, i), area_vma_state(area));
	ASSERT_AREA(area);
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, share_with_child());
	ASSERT_STATE(area->ptr, "anon_vma");
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|-----|     |-----------|          |-----|     |-----------|
 *	|     |     |           |    =>    | | | |     | | | | | | |
 *	|-----|     |-----------|          |-----|     |-----------|
 *	   a part of the folio is gone: still one VMA, one owner
 */
TEST_F(thp, dontneed_then_split)
{
	struct area *area = &self->area;

	if (access(SPLIT_DEBUGFS, W_OK))
		SKIP(return, "needs debugfs and root");
	ASSERT_EQ(0, madvise(self->middle, self->middle_len, MADV_DONTNEED));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_STATE(self->left, area_vma_state(area));
	ASSERT_STATE(self->right, area_vma_state(area));
	ASSERT_SIDES(SEED_AREA);
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, split_folios(self->left, self->first, 0));
	ASSERT_EQ(0, split_folios(self->right, area->nr - self->end, 0));
	ASSERT_DONTNEED();
}

/*
 *	|-----|     |-----------|          |-----|     |-----------|
 *	|     |     |           |    =>    | | | |     | | | | | | |
 *	|-----|     |-----------|          |-----|     |-----------|
 *	   a part of the folio is gone: memory that a shrinker gets back
 */
TEST_F(thp, dontneed_then_shrink)
{
	struct area *area = &self->area;
	unsigned long pages = area_folio_pages(variant->params.folios);

	if (access(DROP_CACHES, W_OK))
		SKIP(return, "needs CONFIG_SYSCTL and root");
	/* What a parent maps as well stays mapped as a whole. */
	if (variant->params.history == AREA_CHILD) {
		ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_DONTNEED));
		fill_pages(area->ptr, 0, area->nr, SEED_AREA);
		ASSERT_TRUE(area_has_large_folios(area));
	}
	ASSERT_EQ(0, madvise(self->middle, self->middle_len, MADV_DONTNEED));
	ASSERT_EQ(0, shrink_folios(area->ptr, area->nr, self->first % pages +
				   pages - self->end % pages));
	ASSERT_DONTNEED();
	ASSERT_EQ(0, share_with_child());
	ASSERT_STATE(self->left, "anon_vma");
	ASSERT_STATE(self->right, "anon_vma");
}

/*
 *	|------|-----------|------|
 *	|  rw  |     r     |  rw  |  folios straddle the VMAs ...
 *	|------|-----------|------|
 *	|      |    new    |      |  ... and are written from all sides
 *	|------|-----------|------|
 */
TEST_F(thp, straddle)
{
	struct area *area = &self->area;
	unsigned long nr = self->end - self->first;
	pid_t pid;

	ASSERT_EQ(0, mprotect(self->middle, self->middle_len, PROT_READ));
	ASSERT_EQ(3, count_vmas(area->ptr, area->nr));
	ASSERT_STATE(self->left, "anon_vma");
	ASSERT_STATE(self->middle, "anon_vma");
	ASSERT_STATE(self->right, "anon_vma");
	ASSERT_AREA(area);
	ASSERT_INVARIANTS();

	fill_pages(self->left, 0, self->first, SEED_A);
	fill_pages(self->right, self->end, area->nr - self->end, SEED_A);
	ASSERT_SIDES(SEED_A);
	ASSERT_MIDDLE(SEED_AREA);

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_SIDES(SEED_A);
		ASSERT_MIDDLE(SEED_AREA);
		fill_pages(self->left, 0, self->first, SEED_B);
		ASSERT_PAGES(self->left, 0, self->first, SEED_B);
		ASSERT_MIDDLE(SEED_AREA);
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_SIDES(SEED_A);

	ASSERT_EQ(0, mprotect(self->middle, self->middle_len, RW));
	fill_pages(self->middle, self->first, nr, SEED_B);
	ASSERT_SIDES(SEED_A);
	ASSERT_MIDDLE(SEED_B);
}

/*
 *	|------|-----------|------|          |------|-----------|------|
 *	|  rw  |     r     |  rw  |    =>    |  rw  | | | | | | |  rw  |
 *	|------|-----------|------|          |------|-----------|------|
 *	 a folio in several VMAs is split
 */
TEST_F(thp, straddle_then_split)
{
	struct area *area = &self->area;

	if (access(SPLIT_DEBUGFS, W_OK))
		SKIP(return, "needs debugfs and root");
	ASSERT_EQ(0, mprotect(self->middle, self->middle_len, PROT_READ));
	ASSERT_EQ(0, split_folios(area->ptr, area->nr, 0));
	ASSERT_STATE(self->left, "anon_vma");
	ASSERT_STATE(self->middle, "anon_vma");
	ASSERT_STATE(self->right, "anon_vma");
	ASSERT_AREA(area);
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, munmap(self->middle, self->middle_len));
	fill_pages(self->left, 0, self->first, SEED_A);
	fill_pages(self->right, self->end, area->nr - self->end, SEED_A);
	ASSERT_SIDES(SEED_A);
}

/*
 *	|------|           |------|
 *	|  rw  |           |  rw  |  the folio's middle is unmapped, then all
 *	|------|           |------|  of it is swapped out and in
 */
TEST_F(thp, munmap_then_pageout)
{
	struct area *area = &self->area;

	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	/* MADV_PAGEOUT leaves pages alone that are shared with a parent. */
	if (variant->params.history == AREA_CHILD)
		fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	ASSERT_EQ(0, munmap(self->middle, self->middle_len));
	ASSERT_EQ(2, count_vmas(area->ptr, area->nr));
	ASSERT_STATE(self->left, "anon_vma");
	ASSERT_STATE(self->right, "anon_vma");
	ASSERT_EQ(0, pageout(self->left, self->first));
	ASSERT_EQ(0, pageout(self->right, area->nr - self->end));
	ASSERT_SIDES(SEED_AREA);
	ASSERT_STATE(self->left, "anon_vma");
	ASSERT_INVARIANTS();
	fill_pages(self->left, 0, self->first, SEED_A);
	fill_pages(self->right, self->end, area->nr - self->end, SEED_A);
	ASSERT_SIDES(SEED_A);
}

/* Every size between a page and a PMD that the kernel has for mTHPs. */
FIXTURE(mthp_sizes)
{
	char *reserved;
	unsigned long pages;
	unsigned long orders;
};

FIXTURE_SETUP(mthp_sizes)
{
	SKIP_WITHOUT_FOLIOS(return, AREA_MTHP);
	self->pages = area_folio_pages(AREA_PMD);
	self->reserved = reserve(2 * self->pages);
	ASSERT_NE(NULL, self->reserved);
	/* Two of the largest can be owned. */
	self->orders = thp_supported_orders() & (self->pages - 1) &
		       (MARK_BOUND / psize() - 1);
	ASSERT_NE(0, self->orders);
	set_mthp_orders(0);
}

FIXTURE_TEARDOWN(mthp_sizes)
{
	restore_mthp_orders();
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(self->reserved, bytes(2 * self->pages)));
}

/*
 *	|-------|-------|          |-------|---+---|
 *	| folio | folio |    =>    | folio | fo|lio|
 *	|-------|-------|          |-------|---+---|
 */
TEST_F(mthp_sizes, split_vma)
{
	for (int order = 0; self->orders >> order; order++) {
		unsigned long nr = 2UL << order, first = nr / 4 * 3;
		char *ptr = self->reserved + bytes(self->pages);

		if (!(self->orders & (1UL << order)))
			continue;
		set_mthp_orders(1UL << order);
		ptr = map_anon(ptr, nr, RW);
		ASSERT_NE(NULL, ptr);
		ASSERT_EQ(0, madvise(ptr, bytes(nr), MADV_HUGEPAGE));
		fill_pages(ptr, 0, nr, SEED_A);
		ASSERT_EQ(2, count_folios(ptr, nr, order))
			TH_LOG("order %d", order);
		ASSERT_STATE(ptr, "owned");
		ASSERT_STATE(ptr + bytes(nr - 1), "owned");

		ASSERT_EQ(0, mprotect(ptr + bytes(first), bytes(nr - first),
				      PROT_READ));
		ASSERT_EQ(2, count_vmas(ptr, nr));
		ASSERT_STATE(ptr, "anon_vma");
		ASSERT_STATE(ptr + bytes(nr - 1), "anon_vma");
		ASSERT_PAGES(ptr, 0, nr, SEED_A);
		ASSERT_INVARIANTS();

		ASSERT_EQ(0, share_with_child());
		fill_pages(ptr, 0, first, SEED_B);
		ASSERT_PAGES(ptr, 0, first, SEED_B);
		ASSERT_PAGES(ptr + bytes(first), first, nr - first, SEED_A);
		ASSERT_EQ(0, munmap(ptr, bytes(nr)));
	}
}

/* A PMD's worth of small folios, to be collapsed. */
FIXTURE(collapse)
{
	struct area area;
};

FIXTURE_VARIANT(collapse)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(collapse, marked)
{
	.params = { .folios = AREA_PMD, .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(collapse, upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(collapse, child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

FIXTURE_SETUP(collapse)
{
	struct area *area = &self->area;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	ASSERT_EQ(0, area_map(area, &variant->params));
	ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_DONTNEED));
	ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_NOHUGEPAGE));
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	ASSERT_EQ(area->nr, count_folios(area->ptr, area->nr, 0));
	ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_HUGEPAGE));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, area_vma_state(area));
}

FIXTURE_TEARDOWN(collapse)
{
	restore_mthp_orders();
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, area_unmap(&self->area));
}

/* A page that somebody else holds for a moment makes it fail with EAGAIN. */
static int collapse(const struct area *area)
{
	for (int i = 0; i < 100; i++) {
		if (!madvise(area->ptr, bytes(area->nr), MADV_COLLAPSE))
			return 0;
		if (errno != EAGAIN)
			return -errno;
		usleep(1000);
	}
	return -EAGAIN;
}

/* Have khugepaged collapse to folios of @order. Returns 0 or -EAGAIN. */
static int wake_khugepaged(const struct area *area, int order)
{
	unsigned long sleep = thp_read_num(SCAN_SLEEP);
	int ret = -EAGAIN;

	thp_write_num(SCAN_SLEEP, 10);
	for (int i = 0; i < 1000 && ret; i++) {
		if (count_folios(area->ptr, area->nr, order) == area->nr >> order)
			ret = 0;
		else
			usleep(10 * 1000);
	}
	thp_write_num(SCAN_SLEEP, sleep);
	return ret;
}

/*
 *	|-----------------------|          |-----------------------|
 *	| | | | | | | | | | | | |    =>    |      large folio      |
 *	|-----------------------|          |-----------------------|
 *	                                    of the same owner
 */
TEST_F(collapse, full)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, collapse(area));
	ASSERT_TRUE(area_has_large_folios(area));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_AREA(area);

	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	ASSERT_TRUE(area_has_large_folios(area));
}

#define ASSERT_KHUGEPAGED(order) do {					\
	struct area *__area = &self->area;				\
									\
	ASSERT_EQ(0, wake_khugepaged(__area, order));			\
	ASSERT_EQ(1, count_vmas(__area->ptr, __area->nr));		\
	for (unsigned long i = 0; i < __area->nr; i += 7)		\
		ASSERT_STATE(area_page(__area, i), area_vma_state(__area)); \
	ASSERT_AREA(__area);						\
	ASSERT_INVARIANTS();						\
									\
	ASSERT_EQ(0, share_with_child());				\
	ASSERT_STATE(__area->ptr, "anon_vma");				\
	fill_pages(__area->ptr, 0, __area->nr, SEED_A);			\
	ASSERT_PAGES(__area->ptr, 0, __area->nr, SEED_A);		\
} while (0)

/*
 *	|-----------------------|          |-----------------------|
 *	| | | | | | | | | | | | |    =>    |      large folio      |
 *	|-----------------------|          |-----------------------|
 *	                                    by khugepaged
 */
TEST_F(collapse, khugepaged)
{
	ASSERT_KHUGEPAGED(sz2ord(self->area.nr, 1));
}

/*
 *	|-----------------------|          |-----------------------|
 *	| | | | | | | | | | | | |    =>    |     |     |     |     |
 *	|-----------------------|          |-----------------------|
 *	                                    by khugepaged, less large
 */
TEST_F(collapse, khugepaged_mthp)
{
	unsigned long pages = area_folio_pages(AREA_MTHP);

	set_mthp_orders(pages);
	ASSERT_KHUGEPAGED(sz2ord(pages, 1));
}

/*
 *	|-----------------------|          |-----------------------|
 *	| | |   | | | |   | | | |    =>    |      large folio      |
 *	|-----------------------|          |-----------------------|
 *	     ^ untouched ^                      zeroes there
 */
TEST_F(collapse, sparse)
{
	struct area *area = &self->area;

	for (unsigned long i = 0; i < area->nr; i += 8)
		ASSERT_EQ(0, madvise(area_page(area, i), psize(),
				     MADV_DONTNEED));
	ASSERT_EQ(0, collapse(area));
	ASSERT_TRUE(area_has_large_folios(area));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	for (unsigned long i = 0; i < area->nr; i++)
		ASSERT_PAGES(area_page(area, i), i, 1,
			     i % 8 ? SEED_AREA : SEED_ZERO);
}

/*
 *	|-----------------------|          |-----------------------|
 *	| | | | swapped | | | | |    =>    |      large folio      |
 *	|-----------------------|          |-----------------------|
 */
TEST_F(collapse, swapped)
{
	struct area *area = &self->area;
	unsigned long first = area->nr / 4;

	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	ASSERT_EQ(0, pageout(area_page(area, first), 16));
	ASSERT_EQ(0, collapse(area));
	ASSERT_TRUE(area_has_large_folios(area));
	ASSERT_EQ(0, count_swapped(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_AREA(area);
}

/*
 *	parent and child
 *	|-----------------------|          |-----------------------|
 *	| | | | | | | | | | | | |    =>    |      large folio      |
 *	|-----------------------|          |-----------------------|
 *	      shared by fork                 the child's, then the parent's
 */
TEST_F(collapse, forked)
{
	struct area *area = &self->area;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_EQ(0, collapse(area));
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_AREA(area);
		fill_pages(area->ptr, 0, area->nr, SEED_A);
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_AREA(area);
	ASSERT_EQ(0, collapse(area));
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_AREA(area);
}

/*
 *	|-----------------------|
 *	|    huge zero folio    |  read, then a page written
 *	|-----------------------|
 */
TEST_F(collapse, zero_folio)
{
	struct area *area = &self->area;
	unsigned long middle = area->nr / 2;

	ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_DONTNEED));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_ZERO);
	fill_pages(area_page(area, middle), middle, 1, SEED_A);
	ASSERT_STATE(area_page(area, middle), area_vma_state(area));
	ASSERT_PAGES(area->ptr, 0, middle, SEED_ZERO);
	ASSERT_PAGES(area_page(area, middle), middle, 1, SEED_A);
	ASSERT_PAGES(area_page(area, middle + 1), middle + 1, middle - 1,
		     SEED_ZERO);
}

TEST_HARNESS_MAIN
