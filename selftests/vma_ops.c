// SPDX-License-Identifier: GPL-2.0
/*
 * Splitting, merging and growing a VMA: its folios follow, and it merges
 * wherever it would without an owner.
 */
#include "kselftest_harness.h"
#include <linux/mempolicy.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "test_area.h"

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(vma_ops)
{
	struct area area;
	/* The middle: about a half, and never on a folio's boundary. */
	unsigned long first, end;
	char *left, *middle, *right;
	size_t middle_len;
};

FIXTURE_VARIANT(vma_ops)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(vma_ops, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(vma_ops, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(vma_ops, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(vma_ops, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(vma_ops, file_upgraded)
{
	.params = { .file = true, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(vma_ops, file_child)
{
	.params = { .file = true, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(vma_ops, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(vma_ops, mthp_upgraded)
{
	.params = { .folios = AREA_MTHP, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(vma_ops, mthp_child)
{
	.params = { .folios = AREA_MTHP, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(vma_ops, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_VARIANT_ADD(vma_ops, pmd_upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(vma_ops, pmd_child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

FIXTURE_SETUP(vma_ops)
{
	struct area *area = &self->area;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	ASSERT_EQ(0, area_map(area, &variant->params));
	ASSERT_VMA(area->ptr, area_vma_state(area));
	self->first = area->nr / 4 + 1;
	self->end = area->nr / 4 * 3 - 1;
	self->left = area->ptr;
	self->middle = area_page(area, self->first);
	self->right = area_page(area, self->end);
	self->middle_len = self->right - self->middle;
}

FIXTURE_TEARDOWN(vma_ops)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, area_unmap(&self->area));
}

/* The pages on both sides of the middle, the middle, and the whole area. */
#define ASSERT_SIDES(seed) do {						\
	unsigned int __seed = (seed);					\
									\
	ASSERT_PAGES(self->left, 0, self->first, __seed);		\
	ASSERT_PAGES(self->right, self->end,				\
		     self->area.nr - self->end, __seed);		\
} while (0)

#define ASSERT_MIDDLE(seed) \
	ASSERT_PAGES(self->middle, self->first, self->end - self->first, seed)

#define ASSERT_VMAS(expected) \
	ASSERT_EQ(expected, count_vmas(self->left, self->area.nr))

/*
 *	|--------------------|
 *	|        area        |
 *	|--------------------|
 *	          v munmap
 *	|------|      |------|
 *	|      |      |      |
 *	|------|      |------|
 *	          v mmap
 *	|------+------+------|
 *	|      | new  |      |  one VMA, unless inherited from a parent
 *	|------+------+------|
 */
TEST_F(vma_ops, munmap_middle)
{
	struct area *area = &self->area;
	unsigned long nr = self->end - self->first;

	ASSERT_EQ(0, munmap(self->middle, self->middle_len));
	ASSERT_VMAS(2);
	ASSERT_VMA(self->left, "anon_vma");
	ASSERT_VMA(self->right, "anon_vma");
	ASSERT_SIDES(SEED_AREA);
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, area_map_pages(area, self->first, nr, RW));
	ASSERT_VMAS(variant->params.history == AREA_CHILD ? 3 : 1);
	ASSERT_MIDDLE(area_untouched_seed(area));
	fill_pages(self->middle, self->first, nr, SEED_A);
	ASSERT_MIDDLE(SEED_A);
	ASSERT_SIDES(SEED_AREA);
}

/*
 *	|--------------------|          |--------------------|
 *	|        area        |          |        area        |
 *	|--------------------|    =>    |--------------------|
 *	 munmap |------------|          |------------| munmap
 */
TEST_F(vma_ops, munmap_ends)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, munmap(self->left, self->middle - self->left));
	ASSERT_VMAS(1);
	ASSERT_MIDDLE(SEED_AREA);
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, munmap(self->right, bytes(area->nr - self->end)));
	ASSERT_VMAS(1);
	ASSERT_MIDDLE(SEED_AREA);
	fill_pages(self->middle, self->first, self->end - self->first, SEED_A);
	ASSERT_MIDDLE(SEED_A);
}

/*
 *	|------+------+------|          |--------------------|
 *	|  rw  |  r   |  rw  |    =>    |         rw         |
 *	|------+------+------|          |--------------------|
 */
TEST_F(vma_ops, mprotect_middle)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, mprotect(self->middle, self->middle_len, PROT_READ));
	ASSERT_VMAS(3);
	ASSERT_VMA(self->left, "anon_vma");
	ASSERT_VMA(self->middle, "anon_vma");
	ASSERT_VMA(self->right, "anon_vma");
	ASSERT_AREA(area);
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, mprotect(self->middle, self->middle_len, RW));
	ASSERT_VMAS(1);
	ASSERT_AREA(area);
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|--------------------|
 *	|         r          |  no split: the VMA stays what it was
 *	|--------------------|
 */
TEST_F(vma_ops, mprotect_whole)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, mprotect(area->ptr, bytes(area->nr), PROT_READ));
	ASSERT_VMAS(1);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_AREA(area);

	ASSERT_EQ(0, mprotect(area->ptr, bytes(area->nr), RW));
	ASSERT_VMAS(1);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|------+----------+------|          |--------------------|
 *	|      | DONTDUMP |      |    =>    |       DODUMP       |
 *	|------+----------+------|          |--------------------|
 */
TEST_F(vma_ops, madvise_middle)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, madvise(self->middle, self->middle_len, MADV_DONTDUMP));
	ASSERT_VMAS(3);
	ASSERT_VMA(self->left, "anon_vma");
	ASSERT_VMA(self->middle, "anon_vma");
	ASSERT_VMA(self->right, "anon_vma");
	ASSERT_AREA(area);
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_DODUMP));
	ASSERT_VMAS(1);
	ASSERT_AREA(area);
}

/*
 *	|--------------------|
 *	|      DONTDUMP      |  no split: the VMA stays what it was
 *	|--------------------|
 */
TEST_F(vma_ops, madvise_whole)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_DONTDUMP));
	ASSERT_VMAS(1);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_AREA(area);
}

/*
 *	|------+--------+------|          |--------------------|
 *	|      | locked |      |    =>    |      unlocked      |
 *	|------+--------+------|          |--------------------|
 */
TEST_F(vma_ops, mlock_middle)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, mlock(self->middle, self->middle_len));
	ASSERT_VMAS(3);
	ASSERT_VMA(self->middle, "anon_vma");
	ASSERT_AREA(area);
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, munlock(self->middle, self->middle_len));
	ASSERT_VMAS(1);
	ASSERT_AREA(area);
}

/*
 *	|------+---------------+------|
 *	| area | zeroes / file | area |  one VMA
 *	|------+---------------+------|
 */
TEST_F(vma_ops, dontneed_middle)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, madvise(self->middle, self->middle_len, MADV_DONTNEED));
	ASSERT_VMAS(1);
	ASSERT_VMA(self->middle, area_vma_state(area));
	ASSERT_SIDES(SEED_AREA);
	ASSERT_MIDDLE(area_untouched_seed(area));
	ASSERT_INVARIANTS();

	fill_pages(self->middle, self->first, self->end - self->first, SEED_A);
	ASSERT_STATE(self->middle, area_vma_state(area));
	ASSERT_SIDES(SEED_AREA);
	ASSERT_MIDDLE(SEED_A);
}

/*
 *	|---+---+---+---+---+---+---|
 *	| x |   | x |   | x |   | x |  every second page is a copy, the others
 *	|---+---+---+---+---+---+---|  are the file's or not there at all
 *	              v mprotect
 *	|-------------+-------------|
 *	|     rw      |      r      |
 *	|-------------+-------------|
 */
TEST_F(vma_ops, split_sparse)
{
	struct area *area = &self->area;
	unsigned int seed = area_untouched_seed(area);

	for (unsigned long i = 1; i < area->nr; i += 2)
		ASSERT_EQ(0, madvise(area_page(area, i), psize(),
				     MADV_DONTNEED));
	if (variant->params.file)
		ASSERT_PAGES(area_page(area, 1), 1, 1, seed);

	ASSERT_EQ(0, mprotect(self->right, bytes(area->nr - self->end),
			      PROT_READ));
	ASSERT_VMAS(2);
	ASSERT_INVARIANTS();
	for (unsigned long i = 0; i < area->nr; i++)
		ASSERT_PAGES(area_page(area, i), i, 1, i & 1 ? seed : SEED_AREA);

	fill_pages(self->left, 0, self->end, SEED_A);
	ASSERT_PAGES(self->left, 0, self->end, SEED_A);
	ASSERT_STATE(area_page(area, 1), "anon_vma");
}

/*
 *	|------+-----------+------|
 *	| area | read-only | area |  anonymous memory over the middle
 *	|------+-----------+------|
 */
TEST_F(vma_ops, map_over_middle)
{
	struct area *area = &self->area;
	unsigned long nr = self->end - self->first;

	ASSERT_NE(NULL, map_anon(self->middle, nr, PROT_READ));
	ASSERT_VMAS(3);
	ASSERT_VMA(self->left, "anon_vma");
	ASSERT_VMA(self->right, "anon_vma");
	ASSERT_SIDES(SEED_AREA);
	ASSERT_MIDDLE(SEED_ZERO);

	fill_pages(self->left, 0, self->first, SEED_A);
	fill_pages(self->right, self->end, area->nr - self->end, SEED_A);
	ASSERT_SIDES(SEED_A);
	ASSERT_MIDDLE(SEED_ZERO);
}

/*
 *	|--------------------|- - - - - -|
 *	|        area        |    new    |  one VMA, unless inherited
 *	|--------------------|- - - - - -|
 */
TEST_F(vma_ops, expand_forward)
{
	struct area *area = &self->area;
	unsigned long half = area->nr / 2;
	char *new = area_page(area, area->nr);
	bool child = variant->params.history == AREA_CHILD;

	ASSERT_EQ(0, area_map_pages(area, area->nr, half, RW));
	ASSERT_EQ(child ? 2 : 1, count_vmas(area->ptr, area->nr + half));
	ASSERT_AREA(area);
	ASSERT_PAGES(new, area->nr, half, area_untouched_seed(area));
	fill_pages(new, area->nr, half, SEED_A);
	ASSERT_STATE(new, child ? "owned" : area_vma_state(area));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_PAGES(new, area->nr, half, SEED_A);
	ASSERT_AREA(area);
}

/*
 *	|- - - - - -|--------------------|
 *	|    new    |        area        |  one VMA, unless inherited
 *	|- - - - - -|--------------------|
 */
TEST_F(vma_ops, expand_backward)
{
	struct area *area = &self->area;
	unsigned long half = area->nr / 2;
	char *new = area_page(area, -half);
	bool child = variant->params.history == AREA_CHILD;

	ASSERT_EQ(0, area_map_pages(area, -half, half, RW));
	ASSERT_EQ(child ? 2 : 1, count_vmas(new, area->nr + half));
	ASSERT_AREA(area);
	ASSERT_PAGES(new, -half, half, area_untouched_seed(area));
	fill_pages(new, -half, half, SEED_A);
	ASSERT_STATE(new, child ? "owned" : area_vma_state(area));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_PAGES(new, -half, half, SEED_A);
	ASSERT_AREA(area);
}

/*
 *	|--------------------|-----------|
 *	|      area, rw      | new, rwx  |  both touched
 *	|--------------------|-----------|
 *	                  v mprotect
 *	|--------------------------------|
 *	|               rw               |  one VMA, unless inherited
 *	|--------------------------------|
 */
TEST_F(vma_ops, merge_with_next)
{
	struct area *area = &self->area;
	unsigned long half = area->nr / 2;
	char *new = area_page(area, area->nr);
	int vmas = variant->params.history == AREA_CHILD ? 2 : 1;

	ASSERT_EQ(0, area_map_pages(area, area->nr, half, RW | PROT_EXEC));
	fill_pages(new, area->nr, half, SEED_A);
	ASSERT_EQ(2, count_vmas(area->ptr, area->nr + half));
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, mprotect(new, bytes(half), RW));
	ASSERT_EQ(vmas, count_vmas(area->ptr, area->nr + half));
	if (vmas == 1)
		ASSERT_STATE(new, "anon_vma");
	ASSERT_STATE(area->ptr, vmas == 1 ? "anon_vma" : area_vma_state(area));
	ASSERT_AREA(area);
	ASSERT_PAGES(new, area->nr, half, SEED_A);
	fill_pages(area->ptr, 0, area->nr + half, SEED_B);
	ASSERT_PAGES(area->ptr, 0, area->nr + half, SEED_B);
}

/*
 *	|-----------|--------------------|
 *	| new, rwx  |      area, rw      |  both touched
 *	|-----------|--------------------|
 *	                  v mprotect
 *	|--------------------------------|
 *	|               rw               |  one VMA, unless inherited
 *	|--------------------------------|
 */
TEST_F(vma_ops, merge_with_prev)
{
	struct area *area = &self->area;
	unsigned long half = area->nr / 2;
	char *new = area_page(area, -half);
	int vmas = variant->params.history == AREA_CHILD ? 2 : 1;

	ASSERT_EQ(0, area_map_pages(area, -half, half, RW | PROT_EXEC));
	fill_pages(new, -half, half, SEED_A);
	ASSERT_EQ(2, count_vmas(new, area->nr + half));
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, mprotect(new, bytes(half), RW));
	ASSERT_EQ(vmas, count_vmas(new, area->nr + half));
	if (vmas == 1)
		ASSERT_STATE(new, "anon_vma");
	ASSERT_STATE(area->ptr, vmas == 1 ? "anon_vma" : area_vma_state(area));
	ASSERT_AREA(area);
	ASSERT_PAGES(new, -half, half, SEED_A);
	fill_pages(new, -half, area->nr + half, SEED_B);
	ASSERT_PAGES(new, -half, area->nr + half, SEED_B);
}

/*
 *	|--------------------|     |-----------|
 *	|        area        |     |    new    |  touched before they met
 *	|--------------------|     |-----------|
 *	                        v mmap
 *	|--------------------+-----+-----------|
 *	|        area        | gap |    new    |  at most two VMAs
 *	|--------------------+-----+-----------|
 */
TEST_F(vma_ops, fill_gap)
{
	struct area *area = &self->area;
	unsigned long quarter = area->nr / 4;
	unsigned long first = area->nr + quarter;
	char *gap = area_page(area, area->nr);
	char *new = area_page(area, first);
	int vmas;

	ASSERT_EQ(0, area_map_pages(area, first, quarter, RW));
	fill_pages(new, first, quarter, SEED_A);
	ASSERT_EQ(0, area_map_pages(area, area->nr, quarter, RW));
	vmas = count_vmas(area->ptr, area->nr + 2 * quarter);
	ASSERT_GE(vmas, 1);
	ASSERT_LE(vmas, 2);
	ASSERT_INVARIANTS();

	ASSERT_AREA(area);
	ASSERT_PAGES(gap, area->nr, quarter, area_untouched_seed(area));
	ASSERT_PAGES(new, first, quarter, SEED_A);
	fill_pages(gap, area->nr, quarter, SEED_B);
	ASSERT_AREA(area);
	ASSERT_PAGES(gap, area->nr, quarter, SEED_B);
	ASSERT_PAGES(new, first, quarter, SEED_A);
}

/*
 * Three neighbours, each in one of these states when the middle one becomes like
 * the other two:
 *
 *	|---------|---------|---------|
 *	|  prev   | middle  |  next   |
 *	|---------|---------|---------|
 */
enum neighbour {
	UNFAULTED,
	MARKED,		/* touched */
	UPGRADED,	/* touched, then shared with a child that is gone */
	INHERITED,	/* touched by the parent */
	NR_NEIGHBOURS,
};

/* How it does. */
enum way {
	MPROTECT,
	MMAP,		/* a new one fills the gap that it leaves */
	MREMAP,		/* it has been away */
	NR_WAYS,
};

/* The VMAs that a kernel without owners leaves, as recorded: [middle][prev][next] */
static const int base_vmas[NR_NEIGHBOURS][NR_NEIGHBOURS][NR_NEIGHBOURS] = {
	[UNFAULTED] = {
		{ 1, 1, 1, 2 },
		{ 1, 2, 2, 2 },
		{ 1, 2, 2, 2 },
		{ 2, 2, 2, 3 },
	},
	[MARKED] = {
		{ 1, 1, 1, 2 },
		{ 1, 1, 2, 2 },
		{ 1, 1, 2, 2 },
		{ 2, 2, 2, 3 },
	},
	[UPGRADED] = {
		{ 1, 1, 1, 2 },
		{ 1, 1, 1, 2 },
		{ 1, 1, 1, 2 },
		{ 2, 2, 2, 3 },
	},
	[INHERITED] = {
		{ 3, 3, 3, 3 },
		{ 3, 3, 3, 3 },
		{ 3, 3, 3, 3 },
		{ 3, 3, 3, 3 },
	},
};

/* Four of them: the three, and a page beside them where the middle one goes. */
#define NR_NEIGHBOUR_PAGES	3UL

/* Within an area, which is nothing but room and a file. */
FIXTURE(merge_matrix)
{
	struct area area;
};

FIXTURE_VARIANT(merge_matrix)
{
	struct area_params params;
	enum neighbour middle;
};

FIXTURE_VARIANT_ADD(merge_matrix, unfaulted)
{
	.middle = UNFAULTED,
};

FIXTURE_VARIANT_ADD(merge_matrix, marked)
{
	.middle = MARKED,
};

FIXTURE_VARIANT_ADD(merge_matrix, upgraded)
{
	.middle = UPGRADED,
};

FIXTURE_VARIANT_ADD(merge_matrix, inherited)
{
	.middle = INHERITED,
};

FIXTURE_VARIANT_ADD(merge_matrix, file_unfaulted)
{
	.params = { .file = true },
	.middle = UNFAULTED,
};

FIXTURE_VARIANT_ADD(merge_matrix, file_marked)
{
	.params = { .file = true },
	.middle = MARKED,
};

FIXTURE_VARIANT_ADD(merge_matrix, file_upgraded)
{
	.params = { .file = true },
	.middle = UPGRADED,
};

FIXTURE_VARIANT_ADD(merge_matrix, file_inherited)
{
	.params = { .file = true },
	.middle = INHERITED,
};

FIXTURE_SETUP(merge_matrix)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, area_map(area, &variant->params));
	ASSERT_LE(4 * NR_NEIGHBOUR_PAGES + 2, area->nr);
	ASSERT_NE(NULL, map_anon(area->ptr, area->nr, PROT_NONE));
}

FIXTURE_TEARDOWN(merge_matrix)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, area_unmap(&self->area));
}

static char *neighbour(const struct area *area, int i)
{
	return area_page(area, i * NR_NEIGHBOUR_PAGES);
}

static int map_neighbour(struct area *area, int i, int prot)
{
	return area_map_pages(area, i * NR_NEIGHBOUR_PAGES, NR_NEIGHBOUR_PAGES, prot);
}

/* Returns 0 or a negative errno. */
static int let_merge(struct area *area, enum way way)
{
	size_t len = bytes(NR_NEIGHBOUR_PAGES);
	char *middle = neighbour(area, 1), *away = neighbour(area, 3) + psize();

	if (way == MMAP)
		return munmap(middle, len) ? -errno : map_neighbour(area, 1, RW);
	if (way == MPROTECT)
		return mprotect(middle, len, RW) ? -errno : 0;
	if (mremap(middle, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, away) != away ||
	    mprotect(away, len, RW) ||
	    mremap(away, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, middle) != middle)
		return -errno;
	return 0;
}

/* What neighbours @first to @last are once they are one VMA. */
static const char *merged_state(const enum neighbour states[3], int first,
				int last, enum way way)
{
	/* Which of them grows. The others' folios change their owner. */
	int target = first == 1 ? last : first;
	int faulted = 0;

	for (int i = first; i <= last; i++)
		faulted += states[i] != UNFAULTED;
	if (!faulted)
		return "unfaulted";
	if (faulted > 1 || states[target] != MARKED || (target == 1 && way == MREMAP))
		return "anon_vma";
	return "owned";
}

/* Returns the number of VMAs, negative if one is not what it should be. */
static int count_merged(const struct area *area, const enum neighbour states[3],
			enum way way)
{
	struct anon_state state;
	int vmas = 0;

	for (int first = 0, last; first < 3; first = last + 1, vmas++) {
		last = first;
		while (last < 2 && count_vmas(neighbour(area, last), 2 * NR_NEIGHBOUR_PAGES) == 1)
			last++;
		if (!anon_state_available())
			continue;
		if (anon_state_query(0, neighbour(area, first), &state))
			return -EPROTO;
		if (strcmp(state.vma, merged_state(states, first, last, way))) {
			ksft_print_msg("%d to %d: %s\n", first, last, state.vma);
			return -EUCLEAN;
		}
	}
	return vmas;
}

/* Returns the number of VMAs after the merge, negative if something is wrong. */
static int merge_neighbours(struct area *area, enum neighbour states[3], enum way way)
{
	const unsigned long nr = NR_NEIGHBOUR_PAGES;
	int vmas, err;

	for (int i = 0; i < 3; i++) {
		err = map_neighbour(area, i, i == 1 ? RW | PROT_EXEC : RW);
		if (err)
			return err;
	}

	/* The oldest first: who is touched later may share with them. */
	for (enum neighbour state = INHERITED; state > UNFAULTED; state--) {
		for (int i = 0; i < 3; i++)
			if (states[i] == state)
				fill_pages(neighbour(area, i), i * nr, nr, SEED_A);
		if (state == INHERITED) {
			pid_t pid = fork();

			if (pid < 0)
				return -errno;
			if (pid)
				_exit(wait_child(pid));
		}
		if (state == UPGRADED && share_with_child())
			return -EAGAIN;
	}

	err = let_merge(area, way);
	if (err)
		return err;
	if (way == MMAP)
		states[1] = UNFAULTED;
	vmas = count_merged(area, states, way);
	for (int i = 0; i < 3; i++)
		if (find_bad_page(neighbour(area, i), i * nr, nr,
				  states[i] ? SEED_A : area_untouched_seed(area)) >= 0)
			return -EIO;
	fill_pages(area->ptr, 0, 3 * nr, SEED_B);
	if (find_bad_page(area->ptr, 0, 3 * nr, SEED_B) >= 0)
		return -EIO;
	if (anon_state_available() && anon_state_check())
		return -EUCLEAN;
	return vmas;
}

/* Returns how many pairs of neighbours do not merge with @middle as they should. */
static int count_bad_merges(struct area *area, enum neighbour middle, enum way way)
{
	/* A new one inherits nothing. */
	enum neighbour was = middle == INHERITED && way == MMAP ? UNFAULTED : middle;
	int bad = 0;

	for (enum neighbour prev = 0; prev < NR_NEIGHBOURS; prev++) {
		for (enum neighbour next = 0; next < NR_NEIGHBOURS; next++) {
			enum neighbour states[] = { prev, middle, next };
			int max = base_vmas[was][prev][next], min = 1;
			pid_t pid = fork();
			int ret;

			/* Who has inherited something merges with nobody. */
			if (was == INHERITED || prev == INHERITED || next == INHERITED)
				min = max;
			if (!pid) {
				ret = merge_neighbours(area, states, way);
				_exit(ret < 0 ? 100 - ret : ret);
			}
			ret = wait_child(pid);
			if (ret >= min && ret <= max)
				continue;
			ksft_print_msg("prev %d, next %d: %d VMAs, not %d to %d\n", prev,
				       next, ret, min, max);
			bad++;
		}
	}
	return bad;
}

#define ASSERT_MERGES(way) \
	ASSERT_EQ(0, count_bad_merges(&self->area, variant->middle, way))

/*
 *	|--------+--------+--------|
 *	|   rw   |  rwx   |   rw   |
 *	|--------+--------+--------|
 *	             v mprotect
 *	|--------------------------|
 *	|            rw            |  one VMA, or as many as on the base
 *	|--------------------------|
 */
TEST_F(merge_matrix, mprotect)
{
	ASSERT_MERGES(MPROTECT);
}

/*
 *	|--------+--------+--------|          |--------|        |--------|
 *	|   rw   |  rwx   |   rw   |  munmap  |   rw   |        |   rw   |
 *	|--------+--------+--------|          |--------|        |--------|
 *	                                                   v mmap
 *	                                      |--------------------------|
 *	                                      |            rw            |
 *	                                      |--------------------------|
 */
TEST_F(merge_matrix, mmap)
{
	ASSERT_MERGES(MMAP);
}

/*
 *	|--------+--------+--------|      |--------|        |--------|    |--------|
 *	|   rw   |  rwx   |   rw   |  =>  |   rw   |        |   rw   |    |   rw   |
 *	|--------+--------+--------|      |--------|        |--------|    |--------|
 *	                                               v mremap back          |
 *	                                  |--------------------------|        |
 *	                                  |            rw            |  <-----/
 *	                                  |--------------------------|
 */
TEST_F(merge_matrix, mremap)
{
	ASSERT_MERGES(MREMAP);
}

/* Two that their first faults would have made share an anon_vma. */
FIXTURE(neighbours)
{
	char *ptr;
};

#define NEIGHBOUR	16UL

static int set_mergeable(char *ptr, bool on)
{
	return madvise(ptr, bytes(2 * NEIGHBOUR), on ? MADV_MERGEABLE : MADV_UNMERGEABLE);
}

static int set_merge_any(char *ptr, bool on)
{
	return prctl(PR_SET_MEMORY_MERGE, on, 0, 0, 0);
}

static int set_dontdump(char *ptr, bool on)
{
	return madvise(ptr + bytes(NEIGHBOUR), bytes(NEIGHBOUR),
		       on ? MADV_DONTDUMP : MADV_DODUMP);
}

static int set_dontdump_parts(char *ptr, bool on)
{
	return madvise(ptr + bytes(NEIGHBOUR / 2), bytes(NEIGHBOUR),
		       on ? MADV_DONTDUMP : MADV_DODUMP);
}

static int set_policy(char *ptr, bool on)
{
	if (access("/sys/devices/system/node", F_OK)) {
		errno = EINVAL;
		return -1;
	}
	return syscall(SYS_mbind, ptr + bytes(NEIGHBOUR), bytes(NEIGHBOUR),
		       on ? MPOL_LOCAL : MPOL_DEFAULT, NULL, 0, 0);
}

FIXTURE_VARIANT(neighbours)
{
	int (*set)(char *ptr, bool on);
};

FIXTURE_VARIANT_ADD(neighbours, mergeable)
{
	.set = set_mergeable,
};

FIXTURE_VARIANT_ADD(neighbours, merge_any)
{
	.set = set_merge_any,
};

FIXTURE_VARIANT_ADD(neighbours, dontdump)
{
	.set = set_dontdump,
};

FIXTURE_VARIANT_ADD(neighbours, dontdump_parts)
{
	.set = set_dontdump_parts,
};

FIXTURE_VARIANT_ADD(neighbours, policy)
{
	.set = set_policy,
};

FIXTURE_SETUP(neighbours)
{
	self->ptr = reserve(2 * NEIGHBOUR);
	ASSERT_NE(NULL, self->ptr);
	ASSERT_NE(NULL, map_anon(self->ptr, NEIGHBOUR, RW));
	ASSERT_NE(NULL, map_anon(self->ptr + bytes(NEIGHBOUR), NEIGHBOUR, RW | PROT_EXEC));
	fill_pages(self->ptr, 0, 2 * NEIGHBOUR, SEED_A);
	ASSERT_EQ(2, count_vmas(self->ptr, 2 * NEIGHBOUR));
	ASSERT_STATE(self->ptr, "owned");
	ASSERT_STATE(self->ptr + bytes(NEIGHBOUR), "owned");
}

FIXTURE_TEARDOWN(neighbours)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(self->ptr, bytes(2 * NEIGHBOUR)));
}

/*
 *	|------+-------|          |------+-------|          |-------------|
 *	|  rw  |  rwx  |    =>    |  rw  |  rwx  |    =>    |     rw      |
 *	|------+-------|          |------+-------|          |-------------|
 *	     marked            upgraded, as one or part       one VMA again
 *	                       differs in more than access
 */
TEST_F(neighbours, differ_when_upgraded)
{
	char *second = self->ptr + bytes(NEIGHBOUR);

	if (variant->set(self->ptr, true)) {
		ASSERT_EQ(EINVAL, errno);
		SKIP(return, "needs CONFIG_KSM or CONFIG_NUMA");
	}
	ASSERT_EQ(0, share_with_child());
	ASSERT_STATE(self->ptr, "anon_vma");
	ASSERT_STATE(second, "anon_vma");
	ASSERT_PAGES(self->ptr, 0, 2 * NEIGHBOUR, SEED_A);

	ASSERT_EQ(0, variant->set(self->ptr, false));
	ASSERT_EQ(0, mprotect(second, bytes(NEIGHBOUR), RW));
	ASSERT_EQ(1, count_vmas(self->ptr, 2 * NEIGHBOUR));
	ASSERT_PAGES(self->ptr, 0, 2 * NEIGHBOUR, SEED_A);

	ASSERT_EQ(0, share_with_child());
	fill_pages(self->ptr, 0, 2 * NEIGHBOUR, SEED_B);
	ASSERT_PAGES(self->ptr, 0, 2 * NEIGHBOUR, SEED_B);
}

/*
 *	|--------+--------+--------|          |--------+--------+--------|
 *	|   rw   |  rwx   |   rw   |    =>    |   rw        rw  |   rw   |
 *	|        |        |no dump |          |                 |no dump |
 *	|--------+--------+--------|          |--------+--------+--------|
 *	anon_vma   marked   anon_vma          the middle has shared with the first
 */
TEST(neighbour_that_does_not_differ)
{
	const unsigned long large = mark_bound() + 1;
	const unsigned long nr = 2 * large + NEIGHBOUR;
	char *first = reserve(nr), *second, *third;

	ASSERT_NE(NULL, first);
	second = first + bytes(large);
	third = second + bytes(NEIGHBOUR);
	ASSERT_NE(NULL, map_anon(first, large, RW));
	ASSERT_NE(NULL, map_anon(second, NEIGHBOUR, RW | PROT_EXEC));
	ASSERT_NE(NULL, map_anon(third, large, RW));
	ASSERT_EQ(0, madvise(third, bytes(large), MADV_DONTDUMP));
	fill_pages(first, 0, 1, SEED_A);
	fill_pages(second, 1, NEIGHBOUR, SEED_A);
	fill_pages(third, 2, 1, SEED_A);
	ASSERT_EQ(3, count_vmas(first, nr));
	ASSERT_STATE(second, "owned");

	ASSERT_EQ(0, share_with_child());
	ASSERT_STATE(second, "anon_vma");
	ASSERT_EQ(0, mprotect(second, bytes(NEIGHBOUR), RW));
	ASSERT_EQ(2, count_vmas(first, nr));
	ASSERT_PAGES(first, 0, 1, SEED_A);
	ASSERT_PAGES(second, 1, NEIGHBOUR, SEED_A);
	ASSERT_PAGES(third, 2, 1, SEED_A);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(first, bytes(nr)));
}

/* The @i-th neighbour, marked by a touch before it has @prot, so that none merges with it. */
static int map_touched(char *first, unsigned long i, int prot)
{
	char *ptr = first + i * bytes(NEIGHBOUR);

	if (!map_anon(ptr, NEIGHBOUR, RW))
		return -1;
	fill_pages(ptr, i * NEIGHBOUR, NEIGHBOUR, SEED_A);
	return mprotect(ptr, bytes(NEIGHBOUR), prot);
}

/* Upgrade the VMA at @ptr, of @prot. */
static int split_and_merge(char *ptr, int prot)
{
	return mprotect(ptr, bytes(1), PROT_READ) ?: mprotect(ptr, bytes(1), prot);
}

/*
 *	|-------+-------+-------|      |---------------+-------|      |-----------------------|
 *	|   r   |  rx   |  rw   |  =>  |       r       |  rw   |  =>  |          rw           |
 *	|-------+-------+-------|      |---------------+-------|      |-----------------------|
 *	 marked  marked  anon_vma       shares with the third              one VMA
 */
TEST(merge_beside_upgraded)
{
	char *first = reserve(3 * NEIGHBOUR);
	char *second = first + bytes(NEIGHBOUR), *third = second + bytes(NEIGHBOUR);

	ASSERT_NE(NULL, first);
	ASSERT_EQ(0, map_touched(first, 0, PROT_READ));
	ASSERT_EQ(0, map_touched(first, 1, PROT_READ | PROT_EXEC));
	ASSERT_EQ(0, map_touched(first, 2, RW));
	ASSERT_EQ(3, count_vmas(first, 3 * NEIGHBOUR));
	ASSERT_STATE(first, "owned");
	ASSERT_STATE(second, "owned");
	ASSERT_STATE(third, "owned");

	ASSERT_EQ(0, split_and_merge(third, RW));
	ASSERT_STATE(third, "anon_vma");
	ASSERT_STATE(first, "owned");
	ASSERT_STATE(second, "owned");

	ASSERT_EQ(0, mprotect(second, bytes(NEIGHBOUR), PROT_READ));
	ASSERT_EQ(2, count_vmas(first, 3 * NEIGHBOUR));
	ASSERT_STATE(first, "anon_vma");
	ASSERT_EQ(0, mprotect(first, bytes(2 * NEIGHBOUR), RW));
	ASSERT_EQ(1, count_vmas(first, 3 * NEIGHBOUR));
	ASSERT_PAGES(first, 0, 3 * NEIGHBOUR, SEED_A);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(first, bytes(3 * NEIGHBOUR)));
}

/*
 *	|-----+-----+-----+-----+-----|      |-----+-----------------+-----|
 *	| rwx |  r  | rx  |  r  | rw  |  =>  | rwx |        r        | rw  |
 *	|     |     |     |     | dd  |      |     |                 | dd  |
 *	|-----+-----+-----+-----+-----|      |-----+-----------------+-----|
 *	anon_vma   marked    anon_vma       shares with the first, not with
 *	                                    the last, which has no dump
 */
TEST(merge_between_upgraded)
{
	char *first = reserve(5 * NEIGHBOUR);
	char *ptr = first + bytes(NEIGHBOUR), *last = first + 4 * bytes(NEIGHBOUR);

	ASSERT_NE(NULL, first);
	ASSERT_EQ(0, map_touched(first, 0, RW | PROT_EXEC));
	ASSERT_EQ(0, map_touched(first, 1, PROT_READ));
	ASSERT_EQ(0, map_touched(first, 2, PROT_READ | PROT_EXEC));
	ASSERT_EQ(0, map_touched(first, 3, PROT_READ));
	ASSERT_NE(NULL, map_anon(last, NEIGHBOUR, RW));
	ASSERT_EQ(0, madvise(last, bytes(NEIGHBOUR), MADV_DONTDUMP));
	fill_pages(last, 4 * NEIGHBOUR, NEIGHBOUR, SEED_A);
	for (int i = 0; i < 5; i++)
		ASSERT_STATE(first + i * bytes(NEIGHBOUR), "owned");

	ASSERT_EQ(0, split_and_merge(first, RW | PROT_EXEC));
	ASSERT_STATE(first, "anon_vma");
	ASSERT_EQ(0, split_and_merge(last, RW));
	ASSERT_STATE(last, "anon_vma");
	ASSERT_EQ(5, count_vmas(first, 5 * NEIGHBOUR));
	for (int i = 1; i < 4; i++)
		ASSERT_STATE(first + i * bytes(NEIGHBOUR), "owned");

	ASSERT_EQ(0, mprotect(ptr + bytes(NEIGHBOUR), bytes(NEIGHBOUR), PROT_READ));
	ASSERT_EQ(3, count_vmas(first, 5 * NEIGHBOUR));
	ASSERT_STATE(ptr, "anon_vma");
	ASSERT_EQ(0, mprotect(ptr, bytes(3 * NEIGHBOUR), RW | PROT_EXEC));
	ASSERT_EQ(2, count_vmas(first, 5 * NEIGHBOUR));
	ASSERT_PAGES(first, 0, 5 * NEIGHBOUR, SEED_A);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(first, bytes(5 * NEIGHBOUR)));
}

/* The largest VMA that a first touch marks, and what is beyond it. */
FIXTURE(bound)
{
	unsigned long nr;
	char *reserved;
	char *ptr;
};

FIXTURE_SETUP(bound)
{
	const unsigned long min = (2UL << 20) / psize();

	self->nr = mark_bound();
	TH_LOG("%lu pages", self->nr);
	ASSERT_GE(self->nr, min);
	self->reserved = reserve(self->nr + 3);
	ASSERT_NE(NULL, self->reserved);
	self->ptr = self->reserved + psize();
}

FIXTURE_TEARDOWN(bound)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(self->reserved, bytes(self->nr + 3)));
}

/* Touch the first, one in the middle and the last of @nr pages. */
static void touch_ends(char *ptr, unsigned long nr, unsigned int seed)
{
	fill_pages(ptr, 0, 1, seed);
	fill_pages(ptr + bytes(nr / 2), nr / 2, 1, seed);
	fill_pages(ptr + bytes(nr - 1), nr - 1, 1, seed);
}

#define ASSERT_ENDS(ptr, nr, seed) \
	ASSERT_TRUE(ends_are(ptr, nr, seed))

static bool ends_are(char *ptr, unsigned long nr, unsigned int seed)
{
	return find_bad_page(ptr, 0, 1, seed) < 0 &&
	       find_bad_page(ptr + bytes(1), 1, 1, SEED_ZERO) < 0 &&
	       find_bad_page(ptr + bytes(nr / 2), nr / 2, 1, seed) < 0 &&
	       find_bad_page(ptr + bytes(nr - 1), nr - 1, 1, seed) < 0;
}

/*
 *	|----------------|-----------------|
 *	|       r        |       rw        |  as large as can be, every page written
 *	|----------------|-----------------|
 */
TEST_F(bound, at_bound)
{
	unsigned long half = self->nr / 2;

	ASSERT_NE(NULL, map_anon(self->ptr, self->nr, RW));
	fill_pages(self->ptr, 0, self->nr, SEED_A);
	ASSERT_STATE(self->ptr, "owned");
	ASSERT_STATE(self->ptr + bytes(self->nr - 1), "owned");
	ASSERT_EQ(0, mprotect(self->ptr, bytes(half), PROT_READ));
	ASSERT_STATE(self->ptr, "anon_vma");
	ASSERT_STATE(self->ptr + bytes(self->nr - 1), "anon_vma");
	ASSERT_PAGES(self->ptr, 0, self->nr, SEED_A);
	fill_pages(self->ptr + bytes(half), half, self->nr - half, SEED_B);
	ASSERT_PAGES(self->ptr, 0, half, SEED_A);
	ASSERT_PAGES(self->ptr + bytes(half), half, self->nr - half, SEED_B);
}

/*
 *	|---------------------------------|---|
 *	| x              x                  x |  a page more
 *	|---------------------------------|---|
 */
TEST_F(bound, past_bound)
{
	ASSERT_NE(NULL, map_anon(self->ptr, self->nr + 1, RW));
	touch_ends(self->ptr, self->nr + 1, SEED_A);
	ASSERT_STATE(self->ptr, "anon_vma");
	ASSERT_ENDS(self->ptr, self->nr + 1, SEED_A);
}

/*
 *	|---------------------------------|- -|
 *	| x              x              x |   |  grows by a page
 *	|---------------------------------|- -|
 */
TEST_F(bound, grow_past_bound)
{
	ASSERT_NE(NULL, map_anon(self->ptr, self->nr, RW));
	touch_ends(self->ptr, self->nr, SEED_A);
	ASSERT_STATE(self->ptr, "owned");
	ASSERT_NE(NULL, map_anon(self->ptr + bytes(self->nr), 1, RW));
	ASSERT_EQ(1, count_vmas(self->ptr, self->nr + 1));
	ASSERT_STATE(self->ptr, "anon_vma");
	ASSERT_ENDS(self->ptr, self->nr, SEED_A);
	fill_pages(self->ptr + bytes(self->nr), self->nr, 1, SEED_B);
	ASSERT_PAGES(self->ptr + bytes(self->nr), self->nr, 1, SEED_B);
	ASSERT_ENDS(self->ptr, self->nr, SEED_A);
}

/* A heap of our own: the one that we have is shared with our parent. */
FIXTURE(brk)
{
	unsigned long bound;
	unsigned long room;
	char *reserved;
	char *heap;
};

static long set_brk(char *addr)
{
	return syscall(SYS_brk, addr) == (long)addr ? 0 : -ENOMEM;
}

FIXTURE_SETUP(brk)
{
	unsigned long guard = 16;

	self->bound = mark_bound();
	self->room = self->bound + 64;
	self->reserved = reserve(self->room + 2 * guard);
	ASSERT_NE(NULL, self->reserved);
	self->heap = self->reserved + bytes(guard);
	ASSERT_EQ(0, munmap(self->heap, bytes(self->room)));
	if (prctl(PR_SET_MM, PR_SET_MM_BRK, self->heap, 0, 0) && errno == EPERM)
		SKIP(return, "needs CAP_SYS_RESOURCE");
	ASSERT_EQ(0, prctl(PR_SET_MM, PR_SET_MM_START_BRK, self->heap, 0, 0));
}

FIXTURE_TEARDOWN(brk)
{
	ASSERT_INVARIANTS();
}

/*
 *	|------|- - - - -|- - - - - - - - -|
 *	| heap |  grow   |  grow           |  one VMA, touched on the way
 *	|------|- - - - -|- - - - - - - - -|
 *	              shrink |
 */
TEST_F(brk, grow_and_shrink)
{
	const unsigned long step = 8;
	char *heap = self->heap;

	for (unsigned long nr = step; nr <= 4 * step; nr += step) {
		ASSERT_EQ(0, set_brk(heap + bytes(nr)));
		ASSERT_EQ(1, count_vmas(heap, nr));
		ASSERT_PAGES(heap + bytes(nr - step), nr - step, step,
			     SEED_ZERO);
		fill_pages(heap + bytes(nr - step), nr - step, step, SEED_A);
		ASSERT_STATE(heap, "owned");
		ASSERT_STATE(heap + bytes(nr - 1), "owned");
		ASSERT_PAGES(heap, 0, nr, SEED_A);
	}
	ASSERT_EQ(0, set_brk(heap + bytes(step)));
	ASSERT_EQ(1, count_vmas(heap, 4 * step));
	ASSERT_PAGES(heap, 0, step, SEED_A);
	ASSERT_EQ(0, set_brk(heap + bytes(2 * step)));
	ASSERT_EQ(1, count_vmas(heap, 4 * step));
	ASSERT_PAGES(heap, 0, step, SEED_A);
	ASSERT_PAGES(heap + bytes(step), step, step, SEED_ZERO);
}

/*
 *	|------|- - - - - - - - - - - - - -|
 *	| heap |    grow past the bound    |  one VMA
 *	|------|- - - - - - - - - - - - - -|
 */
TEST_F(brk, grow_past_bound)
{
	char *end = self->heap + bytes(self->bound);

	ASSERT_EQ(0, set_brk(self->heap + bytes(8)));
	fill_pages(self->heap, 0, 8, SEED_A);
	ASSERT_STATE(self->heap, "owned");
	ASSERT_EQ(0, set_brk(end + bytes(1)));
	ASSERT_EQ(1, count_vmas(self->heap, self->room));
	ASSERT_STATE(self->heap, "anon_vma");
	fill_pages(end, self->bound, 1, SEED_A);
	ASSERT_STATE(end, "anon_vma");
	ASSERT_PAGES(self->heap, 0, 8, SEED_A);
	ASSERT_PAGES(end, self->bound, 1, SEED_A);
}

/*
 *	           |------|------|
 *	           | heap | heap |  forked, then grown by parent and child
 *	           |------|------|
 */
TEST_F(brk, fork)
{
	char *heap = self->heap;
	pid_t pid;

	ASSERT_EQ(0, set_brk(heap + bytes(8)));
	fill_pages(heap, 0, 8, SEED_A);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_EQ(0, set_brk(heap + bytes(16)));
		fill_pages(heap + bytes(8), 8, 8, SEED_B);
		ASSERT_PAGES(heap, 0, 8, SEED_A);
		ASSERT_PAGES(heap + bytes(8), 8, 8, SEED_B);
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_EQ(0, set_brk(heap + bytes(16)));
	ASSERT_EQ(1, count_vmas(heap, 16));
	ASSERT_PAGES(heap, 0, 8, SEED_A);
	ASSERT_PAGES(heap + bytes(8), 8, 8, SEED_ZERO);
}

/* A stack of our own, which grows down into a hole. Stacks are never marked. */
FIXTURE(stack)
{
	unsigned long bound;
	unsigned long room;
	char *reserved;
	char *top;
};

FIXTURE_SETUP(stack)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	self->bound = mark_bound();
	self->room = self->bound + 64;
	self->reserved = reserve(self->room + 2);
	ASSERT_NE(NULL, self->reserved);
	self->top = self->reserved + bytes(self->room + 1);
	ASSERT_EQ(0, munmap(self->reserved + psize(), bytes(self->room)));
	if (setrlimit(RLIMIT_STACK, &limit))
		SKIP(return, "needs CAP_SYS_RESOURCE");
	ASSERT_NE(MAP_FAILED, mmap(self->top - bytes(2), bytes(2), RW,
				   MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS |
				   MAP_GROWSDOWN, -1, 0));
	fill_pages(self->top - bytes(2), -2, 2, SEED_A);
	ASSERT_STATE(self->top - 1, "anon_vma");
}

FIXTURE_TEARDOWN(stack)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(self->reserved, bytes(self->room + 2)));
}

/*
 *	|- - - - - - -|- - - - - - -|-------|
 *	|    grow     |    grow     | stack |  one VMA
 *	|- - - - - - -|- - - - - - -|-------|
 */
TEST_F(stack, grow)
{
	for (long page = -3; page > -16; page--) {
		fill_pages(self->top + page * (long)psize(), page, 1, SEED_A);
		ASSERT_STATE(self->top + page * (long)psize(), "anon_vma");
	}
	ASSERT_EQ(1, count_vmas(self->top - bytes(15), 15));
	ASSERT_PAGES(self->top - bytes(15), -15, 15, SEED_A);
}

/*
 *	|- - - - - - - - - - - - - -|-------|
 *	|    grow past the bound    | stack |  one VMA
 *	|- - - - - - - - - - - - - -|-------|
 */
TEST_F(stack, grow_past_bound)
{
	char *low = self->top - bytes(self->bound + 1);

	fill_pages(low, 0, 1, SEED_B);
	ASSERT_EQ(1, count_vmas(low, self->bound + 1));
	ASSERT_STATE(low, "anon_vma");
	ASSERT_STATE(self->top - 1, "anon_vma");
	ASSERT_PAGES(low, 0, 1, SEED_B);
	ASSERT_PAGES(self->top - bytes(2), -2, 2, SEED_A);
}

/*
 *	parent                    child
 *	|- - - - -|-------|       |- - - - -|-------|
 *	|  grow   | stack |  =>   |  grow   | stack |  each on its own
 *	|- - - - -|-------|       |- - - - -|-------|
 */
TEST_F(stack, fork)
{
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	fill_pages(self->top - bytes(8), -8, 6, pid ? SEED_A : SEED_B);
	ASSERT_EQ(1, count_vmas(self->top - bytes(8), 8));
	ASSERT_STATE(self->top - 1, "anon_vma");
	ASSERT_STATE(self->top - bytes(8), "anon_vma");
	if (pid)
		ASSERT_EQ(0, wait_child(pid));
	ASSERT_PAGES(self->top - bytes(8), -8, 6, pid ? SEED_A : SEED_B);
	ASSERT_PAGES(self->top - bytes(2), -2, 2, SEED_A);
	if (!pid)
		_exit(0);
}

TEST_HARNESS_MAIN
