// SPDX-License-Identifier: GPL-2.0
/*
 * mremap() gives folios another address and another VMA: whoever owned them
 * before must not be asked where they are.
 */
#include "kselftest_harness.h"
#include <linux/mman.h>

#include "test_area.h"

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(mremap)
{
	struct area area;
	/* Reserved room of twice the size, and a page on both sides. */
	char *dest_reserved;
	unsigned long dest_pages;
	char *dest;
};

FIXTURE_VARIANT(mremap)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(mremap, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(mremap, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(mremap, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(mremap, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(mremap, file_upgraded)
{
	.params = { .file = true, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(mremap, file_child)
{
	.params = { .file = true, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(mremap, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(mremap, mthp_upgraded)
{
	.params = { .folios = AREA_MTHP, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(mremap, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_VARIANT_ADD(mremap, pmd_upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(mremap, pmd_child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

FIXTURE_SETUP(mremap)
{
	struct area *area = &self->area;
	unsigned long before = 1;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	ASSERT_EQ(0, area_map(area, &variant->params));
	ASSERT_VMA(area->ptr, area_vma_state(area));
	if (variant->params.folios != AREA_SMALL)
		before = area_folio_pages(AREA_PMD);
	self->dest_pages = before + 2 * area->nr + 1;
	self->dest_reserved = reserve(self->dest_pages);
	ASSERT_NE(NULL, self->dest_reserved);
	self->dest = self->dest_reserved + bytes(before);
}

FIXTURE_TEARDOWN(mremap)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(self->dest_reserved, bytes(self->dest_pages)));
	ASSERT_EQ(0, area_unmap(&self->area));
}

static void *move(char *from, unsigned long nr, unsigned long new_nr, char *to)
{
	return mremap(from, bytes(nr), bytes(new_nr),
		      MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

/*
 *	|-----------|               |-----------|
 *	|   area    |      <=>      |   dest    |
 *	|-----------|               |-----------|
 */
TEST_F(mremap, move)
{
	struct area *area = &self->area;

	ASSERT_EQ(self->dest, move(area->ptr, area->nr, area->nr, self->dest));
	ASSERT_EQ(0, count_vmas(area->ptr, area->nr));
	ASSERT_EQ(1, count_vmas(self->dest, area->nr));
	ASSERT_PAGES(self->dest, 0, area->nr, SEED_AREA);
	ASSERT_INVARIANTS();

	fill_pages(self->dest, 0, area->nr, SEED_A);
	ASSERT_EQ(area->ptr, move(self->dest, area->nr, area->nr, area->ptr));
	ASSERT_EQ(0, count_vmas(self->dest, area->nr));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	fill_pages(area->ptr, 0, area->nr, SEED_B);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_B);
}

/*
 *	|-----------|               |-----------|
 *	|   area    |       =>      |   dest    |
 *	|-----------|               |-----------|
 *	      v mmap                      v fork
 *	|-----------|               |-----------|
 *	|    new    |               | dest, new | and the child's
 *	|-----------|               |-----------|
 */
TEST_F(mremap, move_then_fork)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;
	pid_t pid;

	ASSERT_EQ(self->dest, move(area->ptr, nr, nr, self->dest));
	ASSERT_EQ(0, area_map_pages(area, 0, nr, RW));
	fill_pages(area->ptr, 0, nr, SEED_A);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
		ASSERT_PAGES(self->dest, 0, nr, SEED_AREA);
		fill_pages(self->dest, 0, nr, SEED_B);
		ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
		ASSERT_PAGES(self->dest, 0, nr, SEED_B);
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
	ASSERT_PAGES(self->dest, 0, nr, SEED_AREA);
}

/*
 *	|-----------|- - - - - -|
 *	|   area    |   grow    |  one VMA
 *	|-----------|- - - - - -|
 */
TEST_F(mremap, grow_in_place)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr, more = nr / 2;
	char *end = area_page(area, nr);

	ASSERT_EQ(0, area_free_room(area));
	ASSERT_EQ(area->ptr, mremap(area->ptr, bytes(nr), bytes(nr + more), 0));
	ASSERT_EQ(1, count_vmas(area->ptr, nr + more));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_AREA(area);
	ASSERT_PAGES(end, nr, more, area_untouched_seed(area));
	fill_pages(end, nr, more, SEED_A);
	ASSERT_STATE(end, area_vma_state(area));
	ASSERT_AREA(area);
	ASSERT_PAGES(end, nr, more, SEED_A);
}

/*
 *	|-----------|---------------|
 *	|   area    |  in the way   |
 *	|-----------|---------------|
 *	                 v
 *	            |-----------|- - - - - -|
 *	  elsewhere |   area    |   grow    |  one VMA
 *	            |-----------|- - - - - -|
 */
TEST_F(mremap, grow_by_moving)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr, more = nr / 2;
	char *new;

	ASSERT_EQ(MAP_FAILED, mremap(area->ptr, bytes(nr), bytes(nr + more), 0));
	ASSERT_EQ(ENOMEM, errno);
	ASSERT_AREA(area);

	ASSERT_EQ(self->dest, move(area->ptr, nr, nr + more, self->dest));
	new = self->dest;
	ASSERT_EQ(1, count_vmas(new, nr + more));
	ASSERT_PAGES(new, 0, nr, SEED_AREA);
	ASSERT_PAGES(new + bytes(nr), nr, more, area_untouched_seed(area));
	ASSERT_INVARIANTS();

	new = mremap(new, bytes(nr + more), bytes(2 * nr + 2), MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, new);
	ASSERT_NE(self->dest, new);
	ASSERT_PAGES(new, 0, nr, SEED_AREA);
	ASSERT_PAGES(new + bytes(nr), nr, more, area_untouched_seed(area));
	fill_pages(new, 0, nr + more, SEED_A);
	ASSERT_PAGES(new, 0, nr + more, SEED_A);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(new, bytes(2 * nr + 2)));
}

/*
 *	|-----------------|          |-----------|     |
 *	|      area       |    =>    |   area    |     |
 *	|-----------------|          |-----------|     |
 */
TEST_F(mremap, shrink)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr / 2 + 1;

	ASSERT_EQ(area->ptr, mremap(area->ptr, bytes(area->nr), bytes(nr), 0));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_PAGES(area->ptr, 0, nr, SEED_AREA);
	ASSERT_INVARIANTS();

	/* And back: what was cut off is gone. */
	ASSERT_EQ(area->ptr, mremap(area->ptr, bytes(nr), bytes(area->nr), 0));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_PAGES(area->ptr, 0, nr, SEED_AREA);
	ASSERT_PAGES(area_page(area, nr), nr, area->nr - nr,
		     area_untouched_seed(area));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|-----------------|          |-----------|
 *	|      area       |    =>    |   dest    |
 *	|-----------------|          |-----------|
 */
TEST_F(mremap, shrink_and_move)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr / 2 + 1;

	ASSERT_EQ(self->dest, move(area->ptr, area->nr, nr, self->dest));
	ASSERT_EQ(0, count_vmas(area->ptr, area->nr));
	ASSERT_EQ(1, count_vmas(self->dest, nr));
	ASSERT_PAGES(self->dest, 0, nr, SEED_AREA);
	fill_pages(self->dest, 0, nr, SEED_A);
	ASSERT_PAGES(self->dest, 0, nr, SEED_A);
}

/*
 *	|-----------|               |-----------|
 *	|   area    |       =>      |   dest    |
 *	|-----------|               |-----------|
 *	| untouched |  stays mapped
 *	|-----------|
 */
TEST_F(mremap, dontunmap)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;

	ASSERT_EQ(self->dest, mremap(area->ptr, bytes(nr), bytes(nr),
				     MREMAP_MAYMOVE | MREMAP_FIXED |
				     MREMAP_DONTUNMAP, self->dest));
	ASSERT_EQ(1, count_vmas(area->ptr, nr));
	ASSERT_EQ(1, count_vmas(self->dest, nr));
	ASSERT_PAGES(self->dest, 0, nr, SEED_AREA);
	ASSERT_PAGES(area->ptr, 0, nr, area_untouched_seed(area));
	ASSERT_INVARIANTS();

	fill_pages(area->ptr, 0, nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
	ASSERT_PAGES(self->dest, 0, nr, SEED_AREA);
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, share_with_child());
	fill_pages(self->dest, 0, nr, SEED_B);
	ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
	ASSERT_PAGES(self->dest, 0, nr, SEED_B);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(self->dest, "anon_vma");
}

/*
 *	                            |-----+-----------+-----|
 *	|-----------|               |     |   other   |     |  touched
 *	|   area    |       =>      |-----+-----------+-----|
 *	|-----------|               |other|   area    |other|
 *	                            |-----+-----------+-----|
 */
TEST_F(mremap, move_over)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr, half = nr / 2;
	char *other = self->dest, *middle = other + bytes(half);

	ASSERT_NE(NULL, map_anon(other, 2 * nr, RW));
	fill_pages(other, 0, 2 * nr, SEED_A);
	ASSERT_EQ(middle, move(area->ptr, nr, nr, middle));
	ASSERT_EQ(0, count_vmas(area->ptr, nr));
	ASSERT_EQ(3, count_vmas(other, 2 * nr));
	ASSERT_VMA(other, "anon_vma");
	ASSERT_PAGES(other, 0, half, SEED_A);
	ASSERT_PAGES(middle, 0, nr, SEED_AREA);
	ASSERT_PAGES(middle + bytes(nr), half + nr, half, SEED_A);
	ASSERT_INVARIANTS();

	fill_pages(middle, 0, nr, SEED_B);
	ASSERT_PAGES(other, 0, half, SEED_A);
	ASSERT_PAGES(middle, 0, nr, SEED_B);
	ASSERT_PAGES(middle + bytes(nr), half + nr, half, SEED_A);
}

/*
 *	|-----------|               |-----------|
 *	|   area    |       =>      |   other   |  touched, and of the same size
 *	|-----------|               |-----------|
 */
TEST_F(mremap, move_over_whole)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;

	ASSERT_NE(NULL, map_anon(self->dest, nr, RW));
	fill_pages(self->dest, 0, nr, SEED_A);
	ASSERT_STATE(self->dest, "owned");
	ASSERT_EQ(self->dest, move(area->ptr, nr, nr, self->dest));
	ASSERT_EQ(0, count_vmas(area->ptr, nr));
	ASSERT_EQ(1, count_vmas(self->dest, nr));
	ASSERT_STATE(self->dest, "anon_vma");
	ASSERT_PAGES(self->dest, 0, nr, SEED_AREA);
	fill_pages(self->dest, 0, nr, SEED_B);
	ASSERT_PAGES(self->dest, 0, nr, SEED_B);
}

/*
 *	|------+------+------|
 *	|      | area |      |
 *	|------+------+------|
 *	        v move            |------|
 *	|------|      |------|    | dest |
 *	|------|      |------|    |------|
 *	        v and back
 *	|--------------------|
 *	|        area        |  one VMA again
 *	|--------------------|
 */
TEST_F(mremap, move_middle)
{
	struct area *area = &self->area;
	unsigned long first = area->nr / 4 + 1;
	unsigned long nr = area->nr / 2 - 2;
	char *middle = area_page(area, first);
	char *right = area_page(area, first + nr);

	ASSERT_EQ(self->dest, move(middle, nr, nr, self->dest));
	ASSERT_EQ(2, count_vmas(area->ptr, area->nr));
	ASSERT_EQ(1, count_vmas(self->dest, nr));
	ASSERT_VMA(area->ptr, "anon_vma");
	ASSERT_VMA(right, "anon_vma");
	ASSERT_VMA(self->dest, "anon_vma");
	ASSERT_PAGES(area->ptr, 0, first, SEED_AREA);
	ASSERT_PAGES(self->dest, first, nr, SEED_AREA);
	ASSERT_PAGES(right, first + nr, area->nr - first - nr, SEED_AREA);
	ASSERT_INVARIANTS();

	fill_pages(self->dest, first, nr, SEED_A);
	ASSERT_EQ(middle, move(self->dest, nr, nr, middle));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_PAGES(area->ptr, 0, first, SEED_AREA);
	ASSERT_PAGES(middle, first, nr, SEED_A);
	ASSERT_PAGES(right, first + nr, area->nr - first - nr, SEED_AREA);
}

/*
 *	|-----------|               |-----------|
 *	|   area    |       =>      |   dest    |
 *	|-----------|               |-----------|
 *	      v mmap                      |
 *	|-----------+- - - - - -|         |
 *	|  left out |    new    |  <------/  move back beside it
 *	|-----------+- - - - - -|
 *
 * Both were touched before they met: two VMAs at most.
 */
TEST_F(mremap, move_beside)
{
	struct area *area = &self->area;
	unsigned long half = area->nr / 2;
	char *right = area_page(area, half);
	int vmas;

	ASSERT_EQ(self->dest, move(right, half, half, self->dest));
	ASSERT_EQ(0, munmap(area->ptr, bytes(half)));
	ASSERT_EQ(0, area_map_pages(area, 0, half, RW));
	fill_pages(area->ptr, 0, half, SEED_A);
	ASSERT_EQ(right, move(self->dest, half, half, right));
	vmas = count_vmas(area->ptr, area->nr);
	ASSERT_GE(vmas, 1);
	ASSERT_LE(vmas, 2);
	ASSERT_PAGES(area->ptr, 0, half, SEED_A);
	ASSERT_PAGES(right, half, half, SEED_AREA);
	ASSERT_INVARIANTS();

	fill_pages(right, half, half, SEED_B);
	ASSERT_PAGES(area->ptr, 0, half, SEED_A);
	ASSERT_PAGES(right, half, half, SEED_B);
}

/*
 *	|-----------|- - - - - -|
 *	|   area    | unfaulted |  two VMAs, the second read-only
 *	|-----------|- - - - - -|
 *	                    v move at once
 *	            |-----------|- - - - - -|
 *	            |   dest    | unfaulted |
 *	            |-----------|- - - - - -|
 */
TEST_F(mremap, move_two_vmas)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr, more = nr / 2;
	char *end = self->dest + bytes(nr);

	ASSERT_EQ(0, area_map_pages(area, nr, more, PROT_READ));
	ASSERT_EQ(self->dest, move(area->ptr, nr + more, nr + more, self->dest));
	ASSERT_EQ(2, count_vmas(self->dest, nr + more));
	ASSERT_EQ(0, count_vmas(area->ptr, nr + more));
	ASSERT_PAGES(self->dest, 0, nr, SEED_AREA);
	ASSERT_PAGES(end, nr, more, area_untouched_seed(area));
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, mprotect(end, bytes(more), RW));
	fill_pages(self->dest, 0, nr + more, SEED_A);
	ASSERT_PAGES(self->dest, 0, nr + more, SEED_A);
}

/* Behind the area a hole, a marked VMA and an upgraded one. 0 or a negative errno. */
static int map_behind_hole(struct area *area)
{
	unsigned long quarter = area->nr / 4;
	unsigned long marked = area->nr + quarter, upgraded = marked + quarter;
	char *addr = area_page(area, upgraded);
	int err;

	err = area_map_pages(area, upgraded, quarter, RW);
	if (err)
		return err;
	fill_pages(addr, upgraded, quarter, SEED_A);
	/* The area stays what it is. */
	if (madvise(area->ptr, bytes(area->nr), MADV_DONTFORK))
		return -errno;
	err = share_with_child();
	if (err)
		return err;
	if (madvise(area->ptr, bytes(area->nr), MADV_DOFORK))
		return -errno;
	fill_pages(addr, upgraded, quarter, SEED_A);

	/* Not like its neighbour at any time: they would be one VMA. */
	addr = area_page(area, marked);
	err = area_map_pages(area, marked, quarter, RW | PROT_EXEC);
	if (err)
		return err;
	fill_pages(addr, marked, quarter, SEED_B);
	if (mprotect(addr, bytes(quarter), PROT_READ))
		return -errno;
	return munmap(area_page(area, area->nr), bytes(quarter)) ? -errno : 0;
}

/* Whether they are at @ptr, each a VMA of its own and with every byte. */
static bool is_behind_hole(char *ptr, unsigned long nr)
{
	unsigned long quarter = nr / 4, first = nr + quarter;
	char *marked = ptr + bytes(first), *upgraded = marked + bytes(quarter);

	return count_vmas(ptr, nr) == 1 &&
	       count_vmas(marked, quarter) == 1 &&
	       count_vmas(upgraded, quarter) == 1 &&
	       find_bad_page(ptr, 0, nr, SEED_AREA) < 0 &&
	       find_bad_page(marked, first, quarter, SEED_B) < 0 &&
	       find_bad_page(upgraded, first + quarter, quarter, SEED_A) < 0;
}

#define ASSERT_BEHIND_HOLE(ptr, area_state, marked_state) do {		\
	unsigned long __nr = self->area.nr;				\
	char *__ptr = (ptr);						\
									\
	ASSERT_TRUE(is_behind_hole(__ptr, __nr));			\
	ASSERT_STATE(__ptr, area_state);				\
	ASSERT_STATE(__ptr + bytes(__nr + __nr / 4), marked_state);	\
	ASSERT_STATE(__ptr + bytes(__nr + __nr / 2), "anon_vma");	\
	ASSERT_INVARIANTS();						\
} while (0)

/*
 *	|----------|      |--------|----------|
 *	| area, rw |      |  r     |    rw    |  the area's history, marked,
 *	|----------|      |--------|----------|  upgraded
 *	                          v move at once, not to another size
 *	|----------|      |--------|----------|
 *	|   dest   |      |  r     |    rw    |
 *	|----------|      |--------|----------|
 */
TEST_F(mremap, move_across_hole)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr, quarter = nr / 4, all = nr + 3 * quarter;
	char *marked = self->dest + bytes(nr + quarter);

	ASSERT_EQ(0, map_behind_hole(area));
	ASSERT_BEHIND_HOLE(area->ptr, area_vma_state(area), "owned");
	ASSERT_EQ(3, count_vmas(area->ptr, all));

	ASSERT_EQ(MAP_FAILED, move(area->ptr, all, all + 1, self->dest));
	ASSERT_EQ(EFAULT, errno);
	ASSERT_EQ(MAP_FAILED, move(area->ptr, all, all - 1, self->dest));
	ASSERT_EQ(EFAULT, errno);
	ASSERT_BEHIND_HOLE(area->ptr, area_vma_state(area), "owned");
	ASSERT_EQ(3, count_vmas(area->ptr, all));

	ASSERT_EQ(self->dest, move(area->ptr, all, all, self->dest));
	ASSERT_EQ(0, count_vmas(area->ptr, all));
	ASSERT_BEHIND_HOLE(self->dest, "anon_vma", "anon_vma");
	/* And in the hole what was reserved. */
	ASSERT_EQ(4, count_vmas(self->dest, all));

	ASSERT_EQ(0, mprotect(marked, bytes(quarter), RW));
	ASSERT_EQ(1, count_vmas(marked, 2 * quarter));
	fill_pages(self->dest, 0, nr, SEED_B);
	fill_pages(marked, nr + quarter, 2 * quarter, SEED_AREA);
	ASSERT_PAGES(self->dest, 0, nr, SEED_B);
	ASSERT_PAGES(marked, nr + quarter, 2 * quarter, SEED_AREA);
}

/*
 *	|----------|      |--------|----------|
 *	| area, rw |      |  r     |    rw    |
 *	|----------|      |--------|----------|
 *	                          v move at once
 *	|- - - - - |      |- - - - |- - - - - |
 *	| untouched|      |        |          |  stay mapped
 *	|- - - - - |      |- - - - |- - - - - |
 *	|----------|      |--------|----------|
 *	|   dest   |      |  r     |    rw    |
 *	|----------|      |--------|----------|
 */
TEST_F(mremap, dontunmap_across_hole)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr, quarter = nr / 4, all = nr + 3 * quarter;
	unsigned int seed = area_untouched_seed(area);
	char *marked = area_page(area, nr + quarter);

	ASSERT_EQ(0, map_behind_hole(area));
	ASSERT_EQ(self->dest, mremap(area->ptr, bytes(all), bytes(all),
				     MREMAP_MAYMOVE | MREMAP_FIXED |
				     MREMAP_DONTUNMAP, self->dest));
	ASSERT_BEHIND_HOLE(self->dest, "anon_vma", "anon_vma");
	ASSERT_EQ(4, count_vmas(self->dest, all));

	ASSERT_EQ(3, count_vmas(area->ptr, all));
	ASSERT_VMA(area->ptr, "unfaulted");
	ASSERT_VMA(marked, "unfaulted");
	ASSERT_VMA(marked + bytes(quarter), "unfaulted");
	ASSERT_PAGES(area->ptr, 0, nr, seed);
	ASSERT_PAGES(marked, nr + quarter, 2 * quarter, seed);

	fill_pages(area->ptr, 0, nr, SEED_B);
	ASSERT_STATE(area->ptr, "owned");
	ASSERT_PAGES(area->ptr, 0, nr, SEED_B);
	ASSERT_BEHIND_HOLE(self->dest, "anon_vma", "anon_vma");
}

/*
 *	|------+-------|          |      |------|          |             |
 *	| A rw | B rwx |    =>    |      | B rw |    =>    |             |
 *	|------+-------|          |      |------|          |             |
 *
 *	|              |          |------|      |          |-------------|
 *	|   nothing    |    =>    | A rw |      |    =>    |     A B     |  one VMA
 *	|              |          |------|      |          |-------------|
 *
 * As on a kernel where their first faults made them share an anon_vma.
 */
TEST(move_neighbours)
{
	const unsigned long nr = 16;
	char *src = reserve(2 * nr), *dest = reserve(2 * nr);

	ASSERT_NE(NULL, src);
	ASSERT_NE(NULL, dest);
	ASSERT_NE(NULL, map_anon(src, nr, RW));
	ASSERT_NE(NULL, map_anon(src + bytes(nr), nr, RW | PROT_EXEC));
	fill_pages(src, 0, 2 * nr, SEED_A);
	ASSERT_EQ(2, count_vmas(src, 2 * nr));
	ASSERT_STATE(src, "owned");
	ASSERT_STATE(src + bytes(nr), "owned");

	ASSERT_EQ(dest, move(src, nr, nr, dest));
	ASSERT_STATE(dest, "anon_vma");
	ASSERT_EQ(0, mprotect(src + bytes(nr), bytes(nr), RW));
	ASSERT_STATE(src + bytes(nr), "owned");
	ASSERT_EQ(dest + bytes(nr), move(src + bytes(nr), nr, nr, dest + bytes(nr)));
	ASSERT_EQ(1, count_vmas(dest, 2 * nr));
	ASSERT_STATE(dest + bytes(nr), "anon_vma");
	ASSERT_PAGES(dest, 0, 2 * nr, SEED_A);

	ASSERT_EQ(0, share_with_child());
	fill_pages(dest, 0, 2 * nr, SEED_B);
	ASSERT_PAGES(dest, 0, 2 * nr, SEED_B);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(dest, bytes(2 * nr)));
}

/* A small VMA grows to more than what is ever marked. */
FIXTURE(mremap_bound)
{
	unsigned long bound;
	char *reserved;
	char *ptr;
};

FIXTURE_SETUP(mremap_bound)
{
	self->bound = mark_bound();
	self->reserved = reserve(2 * self->bound + 8);
	ASSERT_NE(NULL, self->reserved);
	self->ptr = self->reserved + psize();
	ASSERT_NE(NULL, map_anon(self->ptr, 4, RW));
	fill_pages(self->ptr, 0, 4, SEED_A);
	ASSERT_STATE(self->ptr, "owned");
}

FIXTURE_TEARDOWN(mremap_bound)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(self->reserved, bytes(2 * self->bound + 8)));
}

/*
 *	|---|- - - - - - - - - - - - - - - -|
 *	| x |  grow                         |
 *	|---|- - - - - - - - - - - - - - - -|
 */
TEST_F(mremap_bound, grow_in_place)
{
	unsigned long nr = self->bound + 1;

	ASSERT_EQ(0, munmap(self->ptr + bytes(4), bytes(nr)));
	ASSERT_EQ(self->ptr, mremap(self->ptr, bytes(4), bytes(nr), 0));
	ASSERT_EQ(1, count_vmas(self->ptr, nr));
	ASSERT_STATE(self->ptr, "anon_vma");
	ASSERT_PAGES(self->ptr, 0, 4, SEED_A);
	fill_pages(self->ptr + bytes(nr - 1), nr - 1, 1, SEED_B);
	ASSERT_PAGES(self->ptr, 0, 4, SEED_A);
	ASSERT_PAGES(self->ptr + bytes(nr - 2), nr - 2, 1, SEED_ZERO);
	ASSERT_PAGES(self->ptr + bytes(nr - 1), nr - 1, 1, SEED_B);
}

/*
 *	|---|              |---|- - - - - - - - - - - - - - - -|
 *	| x |      =>      | x |  grow                         |
 *	|---|              |---|- - - - - - - - - - - - - - - -|
 */
TEST_F(mremap_bound, grow_by_moving)
{
	unsigned long nr = self->bound + 1;
	char *dest = self->ptr + bytes(self->bound);

	ASSERT_EQ(dest, move(self->ptr, 4, nr, dest));
	ASSERT_EQ(0, count_vmas(self->ptr, 4));
	ASSERT_EQ(1, count_vmas(dest, nr));
	ASSERT_VMA(dest, "anon_vma");
	ASSERT_PAGES(dest, 0, 4, SEED_A);
	fill_pages(dest + bytes(nr - 1), nr - 1, 1, SEED_B);
	ASSERT_STATE(dest + bytes(nr - 1), "anon_vma");
	ASSERT_PAGES(dest, 0, 4, SEED_A);
	ASSERT_PAGES(dest + bytes(nr - 2), nr - 2, 1, SEED_ZERO);
	ASSERT_PAGES(dest + bytes(nr - 1), nr - 1, 1, SEED_B);
}

TEST_HARNESS_MAIN
