// SPDX-License-Identifier: GPL-2.0
/*
 * fork() shares the pages of a VMA: before that, the parent's VMA gets an
 * anon_vma, and the child's VMA has one from the start.
 */
#include "kselftest_harness.h"
#include <sys/prctl.h>

#include "test_area.h"

#define EXECED		"ANON_OWNER_EXECED"
#define EXECED_EXIT	42

/* What a child executes: this program, which then ends before anything else. */
static void __attribute__((constructor(101))) end_execed(void)
{
	if (getenv(EXECED))
		_exit(EXECED_EXIT);
}

FIXTURE(fork)
{
	struct area area;
};

FIXTURE_VARIANT(fork)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(fork, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(fork, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(fork, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(fork, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(fork, mthp_upgraded)
{
	.params = { .folios = AREA_MTHP, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(fork, mthp_child)
{
	.params = { .folios = AREA_MTHP, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(fork, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_VARIANT_ADD(fork, pmd_upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(fork, pmd_child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(fork, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(fork, file_upgraded)
{
	.params = { .file = true, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(fork, file_child)
{
	.params = { .file = true, .history = AREA_CHILD },
};

FIXTURE_SETUP(fork)
{
	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	ASSERT_EQ(0, area_map(&self->area, &variant->params));
	ASSERT_STATE(self->area.ptr, area_vma_state(&self->area));
}

FIXTURE_TEARDOWN(fork)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, area_unmap(&self->area));
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	| SEED_AREA |  => | SEED_AREA |  reads only
 *	|-----------|     |-----------|
 */
TEST_F(fork, child_reads)
{
	struct area *area = &self->area;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_VMA(area->ptr, "anon_vma");
		ASSERT_FOLIO(area->ptr, "anon_vma");
		ASSERT_AREA(area);
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_AREA(area);
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|           |     |  SEED_A   |  writes the first half
 *	| SEED_AREA |  => |-----------|
 *	|           |     | SEED_AREA |
 *	|-----------|     |-----------|
 */
TEST_F(fork, child_writes)
{
	struct area *area = &self->area;
	unsigned long half = area->nr / 2;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		fill_pages(area->ptr, 0, half, SEED_A);
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_PAGES(area->ptr, 0, half, SEED_A);
		ASSERT_PAGES(area_page(area, half), half, half, SEED_AREA);
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_AREA(area);
	fill_pages(area->ptr, 0, area->nr, SEED_B);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_B);
	ASSERT_STATE(area->ptr, "anon_vma");
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|  SEED_A   |     |           |
 *	|-----------|  => | SEED_AREA |  reads after the parent has written
 *	| SEED_AREA |     |           |
 *	|-----------|     |-----------|
 */
TEST_F(fork, parent_writes)
{
	struct area *area = &self->area;
	unsigned long half = area->nr / 2;
	int go;
	pid_t pid = fork_held(&go);

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_AREA(area);
		_exit(0);
	}
	fill_pages(area->ptr, 0, half, SEED_A);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, release_child(pid, go));
	ASSERT_PAGES(area->ptr, 0, half, SEED_A);
	ASSERT_PAGES(area_page(area, half), half, half, SEED_AREA);
}

/*
 *	process           child             grandchild
 *	|-----------|     |-----------|     |-----------|
 *	|           |     | SEED_AREA |     |  SEED_B   |
 *	| SEED_AREA |  => |-----------|  => |-----------|
 *	|           |     |  SEED_A   |     |  SEED_A   |
 *	|-----------|     |-----------|     |-----------|
 *	                  exits first       goes on alone
 */
TEST_F(fork, parent_exits_first)
{
	struct area *area = &self->area;
	unsigned long half = area->nr / 2;
	int parent_gone[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	ASSERT_EQ(0, pipe(parent_gone));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		fill_pages(area_page(area, half), half, half, SEED_A);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (pid)
			_exit(0);
		close(parent_gone[1]);
		ASSERT_EQ(0, read(parent_gone[0], &c, 1));
		ASSERT_PAGES(area->ptr, 0, half, SEED_AREA);
		ASSERT_PAGES(area_page(area, half), half, half, SEED_A);
		fill_pages(area->ptr, 0, half, SEED_B);
		ASSERT_PAGES(area->ptr, 0, half, SEED_B);
		ASSERT_PAGES(area_page(area, half), half, half, SEED_A);
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_EQ(0, close(parent_gone[1]));
	ASSERT_EQ(0, wait_child(-1));
	ASSERT_AREA(area);
}

/*
 *	generation    0       1       2       3
 *	           |-----|-------|-------|-------|-----
 *	page 0     |     | own   | own   | own   |
 *	page 1     |     |       | own   | own   |
 *	page 2     |     |       |       | own   |
 *	...
 *
 * Generation n writes pages 0 to n - 1 and sees all others as they were.
 */
TEST_F(fork, generations)
{
	struct area *area = &self->area;
	const unsigned int generations = 6;
	unsigned int depth = 0;
	pid_t pid;

	while (depth < generations) {
		pid = fork();
		ASSERT_GE(pid, 0);
		if (pid) {
			ASSERT_EQ(0, wait_child(pid));
			break;
		}
		depth++;
		fill_pages(area->ptr, 0, depth, SEED_B + depth);
	}
	if (depth)
		ASSERT_PAGES(area->ptr, 0, depth, SEED_B + depth);
	ASSERT_PAGES(area_page(area, depth), depth, area->nr - depth,
		     SEED_AREA);
	ASSERT_STATE(area->ptr, "anon_vma");
	if (depth)
		_exit(0);
}

/*
 *	parent            children, one after the other and all at once
 *	|-----------|     |-----------|
 *	| SEED_AREA |  => | SEED_AREA | x 4, each writes a page of its own
 *	|-----------|     |-----------|
 */
TEST_F(fork, siblings)
{
	struct area *area = &self->area;
	pid_t pids[4];

	for (int i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		ASSERT_GE(pids[i], 0);
		if (!pids[i]) {
			fill_pages(area_page(area, i), i, 1, SEED_A);
			ASSERT_PAGES(area->ptr, 0, i, SEED_AREA);
			ASSERT_PAGES(area_page(area, i), i, 1, SEED_A);
			ASSERT_PAGES(area_page(area, i + 1), i + 1,
				     area->nr - i - 1, SEED_AREA);
			_exit(0);
		}
	}
	for (int i = 0; i < ARRAY_SIZE(pids); i++)
		ASSERT_EQ(0, wait_child(pids[i]));
	ASSERT_AREA(area);
}

/*
 *	parent                     child
 *	|-----------|              |           |
 *	| SEED_AREA | DONTFORK  => |  nothing  |
 *	|-----------|              |           |
 */
TEST_F(fork, dontfork)
{
	struct area *area = &self->area;
	pid_t pid;

	ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_DONTFORK));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_EQ(0, count_vmas(area->ptr, area->nr));
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_AREA(area);
}

/*
 *	parent                       child
 *	|-----------|                |-----------|
 *	| SEED_AREA | WIPEONFORK  => |  zeroes   | then writes
 *	|-----------|                |-----------|
 */
TEST_F(fork, wipeonfork)
{
	struct area *area = &self->area;
	pid_t pid;

	if (variant->params.file) {
		/* Only anonymous memory can be wiped. */
		ASSERT_EQ(-1, madvise(area->ptr, bytes(area->nr),
				      MADV_WIPEONFORK));
		ASSERT_EQ(EINVAL, errno);
		return;
	}
	ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_WIPEONFORK));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_ZERO);
		fill_pages(area->ptr, 0, area->nr, SEED_A);
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_AREA(area);
}

/*
 *	parent and child
 *	|-----------|
 *	|  SEED_A   |  the child writes: one address space, nothing is copied
 *	|-----------|
 *	| SEED_AREA |
 *	|-----------|
 */
TEST_F(fork, vfork)
{
	struct area *area = &self->area;
	unsigned long half = area->nr / 2;
	pid_t pid = vfork();

	if (!pid) {
		fill_pages(area->ptr, 0, half, SEED_A);
		_exit(0);
	}
	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_PAGES(area->ptr, 0, half, SEED_A);
	ASSERT_PAGES(area_page(area, half), half, half, SEED_AREA);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(area_page(area, half), area_vma_state(area));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
}

/*
 *	parent            child
 *	|-----------|     |-----------|          |           |
 *	| SEED_AREA |  => | SEED_AREA |  exec => |  nothing  |
 *	|-----------|     |-----------|          |           |
 */
TEST_F(fork, exec)
{
	struct area *area = &self->area;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_AREA(area);
		ASSERT_EQ(0, setenv(EXECED, "1", 1));
		execl("/proc/self/exe", "execed", NULL);
		_exit(0);
	}
	ASSERT_EQ(EXECED_EXIT, wait_child(pid));
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_AREA(area);
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_INVARIANTS();

	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	| unfaulted |  => | unfaulted |  both write their own data afterwards
 *	|-----------|     |-----------|
 */
TEST_F(fork, unfaulted)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;
	char *ptr = area_page(area, nr);
	pid_t pid;

	ptr = map_anon(ptr + psize(), nr - 1, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, ptr);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		fill_pages(ptr, 0, nr - 1, SEED_A);
		ASSERT_STATE(ptr, "owned");
		ASSERT_PAGES(ptr, 0, nr - 1, SEED_A);
		ASSERT_AREA(area);
		ASSERT_INVARIANTS();
		_exit(0);
	}
	fill_pages(ptr, 0, nr - 1, SEED_B);
	ASSERT_STATE(ptr, "owned");
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_PAGES(ptr, 0, nr - 1, SEED_B);
	ASSERT_AREA(area);
}

TEST_HARNESS_MAIN
