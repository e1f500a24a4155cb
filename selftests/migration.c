// SPDX-License-Identifier: GPL-2.0
/*
 * Migration gives a VMA another folio in place of one that it owns. The VMA
 * owns that one as well: nothing becomes shared by moving to another node.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "nodes.h"
#include "test_area.h"

#define RW	(PROT_READ | PROT_WRITE)

static int bind_to_node(char *addr, unsigned long nr, int node)
{
	unsigned long mask = 1UL << node;

	return syscall(SYS_mbind, addr, bytes(nr), MPOL_BIND, &mask,
		       sizeof(mask) * 8, MPOL_MF_MOVE | MPOL_MF_STRICT);
}

FIXTURE(migration)
{
	struct area area;
	int nodes[2];
};

FIXTURE_VARIANT(migration)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(migration, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(migration, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(migration, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(migration, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(migration, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(migration, mthp_child)
{
	.params = { .folios = AREA_MTHP, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(migration, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_VARIANT_ADD(migration, pmd_upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(migration, pmd_child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

FIXTURE_SETUP(migration)
{
	struct area *area = &self->area;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (!find_nodes(self->nodes))
		SKIP(return, "needs CONFIG_NUMA_MIGRATION and two NUMA nodes");
	ASSERT_EQ(0, area_map(area, &variant->params));
	/* MPOL_MF_MOVE leaves pages alone that are shared with a parent. */
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	ASSERT_STATE(area->ptr, area_vma_state(area));
}

FIXTURE_TEARDOWN(migration)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, area_unmap(&self->area));
}

/*
 *	node 0         node 1         node 0
 *	|--------|     |--------|     |--------|
 *	|  area  |  => |  area  |  => |  area  |  owned all the way
 *	|--------|     |--------|     |--------|
 */
TEST_F(migration, move_pages)
{
	struct area *area = &self->area;

	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, move_to_node(area->ptr, area->nr, self->nodes[i & 1]));
		ASSERT_STATE(area->ptr, area_vma_state(area));
		ASSERT_STATE(area_page(area, area->nr - 1),
			     area_vma_state(area));
		ASSERT_PAGES(area->ptr, 0, area->nr, i ? SEED_A : SEED_AREA);
		fill_pages(area->ptr, 0, area->nr, SEED_A);
	}
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	/* A child has copied its parent's; mTHPs may be split on the way. */
	if (variant->params.folios == AREA_PMD &&
	    variant->params.history != AREA_CHILD)
		ASSERT_TRUE(area_has_large_folios(area));
}

/*
 *	|--------------------|
 *	|  area, MPOL_BIND   |  the policy of the whole VMA: no split
 *	|--------------------|
 */
TEST_F(migration, mbind_whole)
{
	struct area *area = &self->area;

	for (int i = 0; i < 2; i++) {
		int node = self->nodes[i];

		ASSERT_EQ(0, bind_to_node(area->ptr, area->nr, node));
		ASSERT_EQ(area->nr, count_on_node(area->ptr, area->nr, node));
		ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
		ASSERT_STATE(area->ptr, area_vma_state(area));
		ASSERT_AREA(area);
	}
}

/*
 *	|------+-----------+------|
 *	|      | MPOL_BIND |      |  a policy of its own for a part: a split
 *	|------+-----------+------|
 */
TEST_F(migration, mbind_middle)
{
	struct area *area = &self->area;
	unsigned long first = area->nr / 4, nr = area->nr / 2;
	char *middle = area_page(area, first);

	for (int i = 0; i < 2; i++) {
		int node = self->nodes[i];

		ASSERT_EQ(0, bind_to_node(middle, nr, node));
		ASSERT_EQ(nr, count_on_node(middle, nr, node));
		ASSERT_EQ(3, count_vmas(area->ptr, area->nr));
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_STATE(middle, "anon_vma");
		ASSERT_AREA(area);
		ASSERT_INVARIANTS();
	}
}

/*
 *	node 0         node 1         both of parent and child
 *	|--------|     |--------|     |--------|
 *	|  area  |  => |  area  |  => |  area  |
 *	|--------|     |--------|     |--------|
 */
TEST_F(migration, move_then_fork)
{
	struct area *area = &self->area;
	pid_t pid;

	ASSERT_EQ(0, move_to_node(area->ptr, area->nr, self->nodes[1]));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_AREA(area);
		fill_pages(area->ptr, 0, area->nr, SEED_A);
		ASSERT_EQ(0, move_to_node(area->ptr, area->nr, self->nodes[0]));
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_AREA(area);
	ASSERT_EQ(0, move_to_node(area->ptr, area->nr, self->nodes[0]));
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, "anon_vma");
}

/*
 *	|-----------|           |----+-----+----|
 *	|   area    |  split => | rw |  r  | rw |  each part to another node
 *	|-----------|           |----+-----+----|
 */
TEST_F(migration, split_then_move)
{
	struct area *area = &self->area;
	unsigned long first = area->nr / 4 + 1;
	unsigned long end = area->nr / 4 * 3 - 1;
	char *middle = area_page(area, first);

	ASSERT_EQ(0, mprotect(middle, bytes(end - first), PROT_READ));
	ASSERT_EQ(3, count_vmas(area->ptr, area->nr));
	/* A folio in two VMAs goes where the last of them sent it. */
	ASSERT_EQ(0, move_to_node(area->ptr, 1, self->nodes[1]));
	ASSERT_EQ(0, move_to_node(middle, end - first, self->nodes[0]));
	ASSERT_EQ(0, move_to_node(area_page(area, end), area->nr - end,
				  self->nodes[1]));
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(middle, "anon_vma");
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, mprotect(middle, bytes(end - first), RW));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|-----------|               |-----------|
 *	|   area    |  mremap =>    |   dest    |  then to another node
 *	|-----------|               |-----------|
 */
TEST_F(migration, mremap_then_move)
{
	struct area *area = &self->area;
	char *dest = area_page(area, area->nr);

	ASSERT_EQ(dest, mremap(area->ptr, bytes(area->nr), bytes(area->nr),
			       MREMAP_MAYMOVE | MREMAP_FIXED, dest));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, move_to_node(dest, area->nr, self->nodes[i]));
		ASSERT_PAGES(dest, 0, area->nr, SEED_AREA);
	}
}

/*
 * Many VMAs with a page here and there:
 *
 *	|----------|  |----------|  |----------|
 *	| x      x |  | x      x |  | x      x |  ...
 *	|----------|  |----------|  |----------|
 *
 * Compaction takes pages from the start of a zone and puts them at its end. A
 * fresh kernel may have put ours there already, so other pages must go first.
 */
#define NR_VMAS		64UL
#define VMA_PAGES	64UL
#define KEEP_EVERY	16UL
#define KEPT_PAGES	(NR_VMAS * VMA_PAGES / KEEP_EVERY)
#define MIN_FILLER	(64UL << 20)
#define MAX_FILLER	(1024UL << 20)

FIXTURE(compaction)
{
	char *reserved;
	int pagemap;
	unsigned long pfns[KEPT_PAGES];
};

FIXTURE_SETUP(compaction)
{
	if (access("/proc/sys/vm/compact_memory", W_OK))
		SKIP(return, "needs CONFIG_COMPACTION and root");
	self->pagemap = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(self->pagemap, 0);
	self->reserved = reserve(NR_VMAS * (VMA_PAGES + 1));
	ASSERT_NE(NULL, self->reserved);
}

FIXTURE_TEARDOWN(compaction)
{
	ASSERT_INVARIANTS();
	close(self->pagemap);
	ASSERT_EQ(0, munmap(self->reserved, bytes(NR_VMAS * (VMA_PAGES + 1))));
}

static char *vma_of(const FIXTURE_DATA(compaction) * self, unsigned long kept)
{
	unsigned long vma = kept / (VMA_PAGES / KEEP_EVERY);

	return self->reserved + bytes(vma * (VMA_PAGES + 1));
}

static unsigned long index_of(unsigned long kept)
{
	return kept % (VMA_PAGES / KEEP_EVERY) * KEEP_EVERY;
}

static char *page_of(const FIXTURE_DATA(compaction) * self, unsigned long kept)
{
	return vma_of(self, kept) + bytes(index_of(kept));
}

static unsigned long count_moved(const FIXTURE_DATA(compaction) * self)
{
	unsigned long moved = 0;

	for (unsigned long i = 0; i < KEPT_PAGES; i++)
		if (self->pfns[i] != pagemap_get_pfn(self->pagemap,
						     page_of(self, i)))
			moved++;
	return moved;
}

/* Returns false when there is no memory for the filler. */
static bool fill_and_compact(FIXTURE_DATA(compaction) * self, size_t filler_len)
{
	char *filler = reserve(filler_len / psize());

	if (!filler || !map_anon(filler, filler_len / psize(), RW))
		return false;
	madvise(filler, filler_len, MADV_HUGEPAGE);
	if (madvise(filler, filler_len, MADV_POPULATE_WRITE)) {
		munmap(filler, filler_len);
		return false;
	}

	for (unsigned long i = 0; i < KEPT_PAGES; i++) {
		if (!index_of(i)) {
			map_anon(vma_of(self, i), VMA_PAGES, RW);
			fill_pages(vma_of(self, i), 0, VMA_PAGES, SEED_A);
		}
		madvise(page_of(self, i) + psize(), bytes(KEEP_EVERY - 1),
			MADV_DONTNEED);
		self->pfns[i] = pagemap_get_pfn(self->pagemap, page_of(self, i));
	}
	munmap(filler, filler_len);
	write_num("/proc/sys/vm/compact_memory", 1);
	return true;
}

/*
 *	page frames of a zone
 *	|---+---+---+---+- ... -+---|          |- - - - ... -+---+---+---|
 *	| x |   | x |   |       | x |    =>    |             | x | x | x |
 *	|---+---+---+---+- ... -+---|          |- - - - ... -+---+---+---|
 */
TEST_F_TIMEOUT(compaction, owned, 120)
{
	unsigned long moved = 0;

	for (size_t len = MIN_FILLER; len <= MAX_FILLER && !moved; len *= 2) {
		if (!fill_and_compact(self, len))
			break;
		moved = count_moved(self);
		TH_LOG("%zu MiB: %lu of %lu pages moved", len >> 20, moved,
		       KEPT_PAGES);
	}
	ASSERT_GT(moved, 0);

	for (unsigned long i = 0; i < KEPT_PAGES; i++) {
		ASSERT_EQ(1, count_vmas(vma_of(self, i), VMA_PAGES));
		ASSERT_PAGES(page_of(self, i), index_of(i), 1, SEED_A);
		ASSERT_STATE(page_of(self, i), "owned");
	}
}

TEST_HARNESS_MAIN
