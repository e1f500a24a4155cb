// SPDX-License-Identifier: GPL-2.0
/*
 * What faults, unmapping, splits, moves and forks cost a VMA that shares nothing. Under QEMU's
 * -icount shift=0 the guest's clock counts instructions: one for each nanosecond.
 *
 * Prints "sample OPERATION NANOSECONDS" for every repetition and, at the end, "done".
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SMALL_PAGES	4
#define REPETITIONS	100
#define LARGE_REPETITIONS	10
#define PARENTS		10
#define PARENT_MAPPINGS	500
#define LATER_FORKS	5

static long page;

static long now(void)
{
	struct timespec time;

	if (clock_gettime(CLOCK_MONOTONIC_RAW, &time))
		err(1, "clock_gettime");
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void sample(const char *operation, long start)
{
	printf("sample %s %ld\n", operation, now() - start);
}

/* A VMA that can neither merge with a neighbour nor share its anon_vma. */
static char *map(size_t pages)
{
	char *area = mmap(NULL, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED || munmap(area, page) || munmap(area + (pages + 1) * page, page))
		err(1, "mapping %zu pages", pages);
	area += page;
	/* Small pages only: they are what makes the walk long. */
	if (madvise(area, pages * page, MADV_NOHUGEPAGE) ||
	    mprotect(area, pages * page, PROT_READ | PROT_WRITE))
		err(1, "preparing %zu pages", pages);
	return area;
}

static void touch(char *area, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		*(volatile char *)(area + i * page) = 1;
}

static void split(const char *operation, size_t pages)
{
	char *area = map(pages);
	long start;

	touch(area, pages);
	start = now();
	if (mprotect(area, page, PROT_READ))
		err(1, "mprotect");
	sample(operation, start);
	munmap(area, pages * page);
}

static void move(void)
{
	char *area = map(SMALL_PAGES), *target = map(SMALL_PAGES);
	long start;

	touch(area, SMALL_PAGES);
	munmap(target, SMALL_PAGES * page);
	start = now();
	if (mremap(area, SMALL_PAGES * page, SMALL_PAGES * page, MREMAP_MAYMOVE | MREMAP_FIXED,
		   target) != target)
		err(1, "mremap");
	sample("mremap", start);
	munmap(target, SMALL_PAGES * page);
}

static void touch_and_unmap(void)
{
	char *area = map(SMALL_PAGES);
	long start = now();

	touch(area, 1);
	sample("touch", start);
	touch(area, SMALL_PAGES);
	start = now();
	munmap(area, SMALL_PAGES * page);
	sample("munmap", start);
}

static void fork_and_exit(const char *operation)
{
	const long start = now();
	const pid_t child = fork();
	int status;

	if (!child)
		_exit(0);
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		err(1, "fork");
	sample(operation, start);
}

/* A process of its own: only the first fork of the parent differs. */
static void fork_parent(void)
{
	for (int i = 0; i < PARENT_MAPPINGS; i++)
		touch(map(SMALL_PAGES), 1);
	fork_and_exit("fork-first");
	for (int i = 0; i < LATER_FORKS; i++)
		fork_and_exit("fork-later");
}

int main(int argc, char **argv)
{
	static const int mib[] = { 2, 4, 8, 16, 32 };

	page = sysconf(_SC_PAGESIZE);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "parent")) {
		fork_parent();
		return 0;
	}

	for (int i = 0; i < REPETITIONS; i++) {
		sample("clock", now());
		touch_and_unmap();
		split("split", SMALL_PAGES);
		move();
	}
	for (unsigned int i = 0; i < sizeof(mib) / sizeof(mib[0]); i++) {
		char operation[16];

		snprintf(operation, sizeof(operation), "split-%d", mib[i]);
		for (int n = 0; n < LARGE_REPETITIONS; n++)
			split(operation, ((size_t)mib[i] << 20) / page);
	}
	for (int i = 0; i < PARENTS; i++) {
		int status;
		pid_t parent = fork();

		if (!parent) {
			execl("/proc/self/exe", "cost", "parent", NULL);
			err(1, "/proc/self/exe");
		}
		if (parent < 0 || waitpid(parent, &status, 0) != parent || status)
			errx(1, "the parent of the forks failed");
	}
	puts("done");
	return 0;
}
