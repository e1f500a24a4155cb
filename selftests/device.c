// SPDX-License-Identifier: GPL-2.0
/*
 * Owned folios go to the memory of a device, that of lib/test_hmm.c, and come
 * back by a fault or when the device gives its memory up: to the same owner.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <sys/ioctl.h>

#include <lib/test_hmm_uapi.h>

#include "rounds.h"

#define RW	(PROT_READ | PROT_WRITE)
#define DEVICE	"/dev/hmm_dmirror0"

static int device_cmd(int fd, unsigned long request, char *addr,
		      unsigned long nr, void *buf)
{
	struct hmm_dmirror_cmd cmd = {
		.addr = (unsigned long)addr,
		.ptr = (unsigned long)buf,
		.npages = nr,
	};
	int ret;

	do {
		ret = ioctl(fd, request, &cmd);
	} while (ret && errno == EINTR);
	return ret ? -errno : 0;
}

FIXTURE(device)
{
	struct area area;
	/* The middle: about a half, and never on a folio's boundary. */
	unsigned long first, end;
	char *middle;
	/* What the device has there. */
	char *mirror;
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

FIXTURE_VARIANT_ADD(device, pmd_child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

/* Also pages that somebody else holds for a moment. Returns 0 or -errno. */
static int to_device(FIXTURE_DATA(device) * self)
{
	struct area *area = &self->area;
	int ret;

	for (int i = 0; i < 100; i++) {
		ret = device_cmd(self->fd, HMM_DMIRROR_MIGRATE_TO_DEV,
				 area->ptr, area->nr, self->mirror);
		if (ret != -ENOENT)
			break;
		usleep(1000);
		drain_lru_batches();
	}
	return ret;
}

/* How many pages of the area are in the device's memory, or -errno. */
static int count_on_device(FIXTURE_DATA(device) * self)
{
	unsigned char perms[self->area.nr];
	int ret, count = 0;

	ret = device_cmd(self->fd, HMM_DMIRROR_SNAPSHOT, self->area.ptr,
			 self->area.nr, perms);
	if (ret)
		return ret;
	for (unsigned long i = 0; i < self->area.nr; i++)
		count += (perms[i] & HMM_DMIRROR_PROT_DEV_PRIVATE_REMOTE) ==
			 HMM_DMIRROR_PROT_DEV_PRIVATE_LOCAL;
	return count;
}

FIXTURE_SETUP(device)
{
	struct area *area = &self->area;

	if (access(DEVICE, R_OK | W_OK))
		SKIP(return, "needs CONFIG_TEST_HMM and root");
	ASSERT_EQ(0, area_map(area, &variant->params));
	/* Nothing is shared with a parent any more. */
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	self->first = area->nr / 4 + 1;
	self->end = area->nr / 4 * 3 - 1;
	self->middle = area_page(area, self->first);
	self->mirror = malloc(bytes(area->nr));
	ASSERT_NE(NULL, self->mirror);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_EQ(0, to_device(self));
	ASSERT_PAGES(self->mirror, 0, area->nr, SEED_AREA);
	ASSERT_EQ(area->nr, count_on_device(self));
	ASSERT_VMA(area->ptr, area_vma_state(area));
}

FIXTURE_TEARDOWN(device)
{
	ASSERT_INVARIANTS();
	close(self->fd);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, area_unmap(&self->area));
}

/*
 * Where a huge page has been split, closing test_hmm copies all of its backing
 * page for each small one, over what lies behind: have them back before, which
 * the races cannot.
 */
#define SKIP_SPLIT_ON_DEVICE() do {					\
	if (variant->params.folios == AREA_PMD)				\
		SKIP(return, "test_hmm does not evict split huge pages");	\
} while (0)

#define ASSERT_SPLIT_IS_BACK() do {					\
	if (area_has_large_folios(&self->area))				\
		ASSERT_AREA(&self->area);				\
} while (0)

/* As if it had never been elsewhere. */
#define ASSERT_BACK() do {						\
	struct area *__area = &self->area;				\
									\
	ASSERT_AREA(__area);						\
	ASSERT_EQ(0, count_on_device(self));				\
	ASSERT_EQ(1, count_vmas(__area->ptr, __area->nr));		\
	ASSERT_STATE(__area->ptr, area_vma_state(__area));		\
	ASSERT_STATE(self->middle, area_vma_state(__area));		\
	fill_pages(__area->ptr, 0, __area->nr, SEED_A);			\
	ASSERT_PAGES(__area->ptr, 0, __area->nr, SEED_A);		\
	ASSERT_STATE(__area->ptr, area_vma_state(__area));		\
} while (0)

/*
 *	|-----------|               |-----------|
 *	|  device   |  =fault=>     |   area    |
 *	|-----------|               |-----------|
 */
TEST_F(device, fault)
{
	ASSERT_BACK();
}

/*
 *	|-----------|               |-----------|
 *	|  device   |  =ioctl=>     |   area    |
 *	|-----------|               |-----------|
 */
TEST_F(device, to_system)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, device_cmd(self->fd, HMM_DMIRROR_MIGRATE_TO_SYS, area->ptr,
				area->nr, self->mirror));
	ASSERT_EQ(0, count_on_device(self));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_BACK();
}

/*
 *	|-----------|               |-----------|
 *	|  device   |  =close=>     |   area    |  no fault, no mmap_lock
 *	|-----------|               |-----------|
 */
TEST_F(device, evict)
{
	struct area *area = &self->area;

	close(self->fd);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, count_on_device(self));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(self->middle, area_vma_state(area));
	ASSERT_BACK();
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|  device   |  => |  device   |  both fault
 *	|-----------|     |-----------|
 */
TEST_F(device, fork)
{
	struct area *area = &self->area;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_AREA(area);
		ASSERT_STATE(area->ptr, "anon_vma");
		fill_pages(area->ptr, 0, area->nr, SEED_A);
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
		ASSERT_INVARIANTS();
		_exit(0);
	}
	fill_pages(self->middle, self->first, self->end - self->first,
		   SEED_AREA);
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_EQ(0, count_on_device(self));
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|  device   |  => |  device   |  the device gives its memory up
 *	|-----------|     |-----------|
 */
TEST_F(device, fork_evict)
{
	struct area *area = &self->area;
	int go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(self->fd);
		close(go[1]);
		ASSERT_EQ(0, read(go[0], &c, 1));
		ASSERT_AREA(area);
		ASSERT_STATE(area->ptr, "anon_vma");
		_exit(0);
	}
	/* Not before the child has closed its copy, or that one evicts. */
	close(self->fd);
	close(go[1]);
	ASSERT_EQ(0, wait_child(pid));
	close(go[0]);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, count_on_device(self));
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_AREA(area);
}

/*
 *	|-----------|            |----|     |----|
 *	|  device   |  =munmap=> |    |     |    |  then faults, or is evicted
 *	|-----------|            |----|     |----|
 */
TEST_F(device, munmap)
{
	struct area *area = &self->area;
	unsigned long nr = self->end - self->first;

	ASSERT_EQ(0, munmap(self->middle, bytes(nr)));
	ASSERT_PAGES(area->ptr, 0, self->first, SEED_AREA);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_EQ(0, area_map_pages(area, self->first, nr, RW));
	ASSERT_PAGES(self->middle, self->first, nr, area_untouched_seed(area));
	fill_pages(self->middle, self->first, nr, SEED_AREA);
	ASSERT_SPLIT_IS_BACK();
	close(self->fd);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, count_on_device(self));
	ASSERT_STATE(area_page(area, self->end), "anon_vma");
	ASSERT_AREA(area);
}

/*
 *	|-----------|              |----+-----+----|
 *	|  device   |  =mprotect=> | rw |  r  | rw |
 *	|-----------|              |----+-----+----|
 */
TEST_F(device, split)
{
	struct area *area = &self->area;
	unsigned long nr = self->end - self->first;

	ASSERT_EQ(0, mprotect(self->middle, bytes(nr), PROT_READ));
	ASSERT_EQ(area->nr, count_on_device(self));
	ASSERT_PAGES(self->middle, self->first, nr, SEED_AREA);
	ASSERT_STATE(self->middle, "anon_vma");
	ASSERT_SPLIT_IS_BACK();
	close(self->fd);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_AREA(area);
}

/*
 *	|-----------|            |-----------|
 *	|  device   |  =mremap=> |  device   |
 *	|-----------|            |-----------|
 */
TEST_F(device, move)
{
	struct area *area = &self->area;
	char *dest = area_page(area, area->nr);

	ASSERT_EQ(dest, mremap(area->ptr, bytes(area->nr), bytes(area->nr),
			       MREMAP_MAYMOVE | MREMAP_FIXED, dest));
	ASSERT_PAGES(dest, 0, area->nr, SEED_AREA);
	ASSERT_STATE(dest, "anon_vma");
	fill_pages(dest, 0, area->nr, SEED_A);
	ASSERT_PAGES(dest, 0, area->nr, SEED_A);
}

/*
 *	|-----------|              |----+-----+----|
 *	| exclusive |  =mprotect=> | rw |  r  | rw |  still the process' memory
 *	|-----------|              |----+-----+----|
 */
TEST_F(device, exclusive)
{
	struct area *area = &self->area;

	ASSERT_BACK();
	ASSERT_EQ(0, device_cmd(self->fd, HMM_DMIRROR_EXCLUSIVE, area->ptr,
				area->nr, self->mirror));
	ASSERT_PAGES(self->mirror, 0, area->nr, SEED_A);
	ASSERT_VMA(area->ptr, area_vma_state(area));
	ASSERT_EQ(0, mprotect(self->middle, bytes(self->end - self->first),
			      PROT_READ));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(self->middle, "anon_vma");
}

/* All that there is; whoever faults takes it back. */
static int step_to_device(struct rival *rival)
{
	char *buf = malloc(bytes(rival->nr));
	int ret = device_cmd(rival->fd, HMM_DMIRROR_MIGRATE_TO_DEV, rival->ptr,
			     rival->nr, buf);

	free(buf);
	return ret == -ENOENT || ret == -EINVAL ? 0 : ret;
}

/* And the device gives it back. */
static int step_evict(struct rival *rival)
{
	int err;

	rival->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (rival->fd < 0)
		return -errno;
	err = step_to_device(rival);
	close(rival->fd);
	return err;
}

#define ASSERT_RACE(round, against) do {				\
	struct rival rival = {						\
		.step = (against), .ptr = self->area.ptr,		\
		.nr = self->area.nr, .fd = self->fd,			\
	};								\
									\
	ASSERT_EQ(0, run_rounds(&self->area, round, &rival));		\
	ASSERT_INVARIANTS();						\
	ASSERT_AREA(&self->area);					\
} while (0)

/*
 *	rival              parent            child
 *	device <= area     |-----------|     |-----------|
 *	                   |   area    |  => |   area    |
 *	                   |-----------|     |-----------|
 */
TEST_F(device, race_fork)
{
	SKIP_SPLIT_ON_DEVICE();
	ASSERT_RACE(round_fork, step_to_device);
}

/*
 *	rival              |-----------|       |----+-----+----|
 *	device <= area     |   area    |  <=>  | rw |  r  | rw |
 *	                   |-----------|       |----+-----+----|
 */
TEST_F(device, race_split)
{
	SKIP_SPLIT_ON_DEVICE();
	ASSERT_RACE(round_split, step_to_device);
}

/*
 *	rival              |-----------|       |----|     |----|
 *	device <= area     |   area    |  <=>  |    |     |    |
 *	                   |-----------|       |----|     |----|
 */
TEST_F(device, race_munmap)
{
	SKIP_SPLIT_ON_DEVICE();
	ASSERT_RACE(round_munmap, step_to_device);
}

/*
 *	rival              |-----------|       |-----------|
 *	device <= area     |   area    |  <=>  |   room    |
 *	                   |-----------|       |-----------|
 */
TEST_F(device, race_mremap)
{
	SKIP_SPLIT_ON_DEVICE();
	ASSERT_RACE(round_mremap, step_to_device);
}

/*
 *	rival              |-----------|       |----+-----+----|
 *	device <=> area    |   area    |  <=>  | rw |  r  | rw |
 *	                   |-----------|       |----+-----+----|
 */
TEST_F(device, race_evict_split)
{
	SKIP_SPLIT_ON_DEVICE();
	ASSERT_RACE(round_split, step_evict);
}

/*
 *	rival              |-----------|       |----|     |----|
 *	device <=> area    |   area    |  <=>  |    |     |    |
 *	                   |-----------|       |----|     |----|
 */
TEST_F(device, race_evict_munmap)
{
	SKIP_SPLIT_ON_DEVICE();
	ASSERT_RACE(round_munmap, step_evict);
}

TEST_HARNESS_MAIN
