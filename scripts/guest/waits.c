// SPDX-License-Identifier: GPL-2.0
/*
 * How long a writer of a VMA takes while others look at its folios: mprotect() of a whole VMA, again
 * and again, alone, while its pages migrate from node to node, while rmap walks visit them, and while
 * they are a huge page that is split and collapsed.
 *
 * Prints "wait LOAD FLOOR_LOG2_NS COUNT" for each bucket and, at the end, "done".
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGES		256
#define HUGE		(2UL << 20)	/* with pages of 4 KiB */
#define SECONDS		10
#define MPOL_MF_MOVE	2
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static char *area;
static long page;
static volatile bool stop;

static long now(void)
{
	struct timespec time;

	if (clock_gettime(CLOCK_MONOTONIC_RAW, &time))
		err(1, "clock_gettime");
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void *migrate(void *unused)
{
	void *pages[PAGES];
	int nodes[PAGES], status[PAGES];
	long moved = 0;

	for (int i = 0; i < PAGES; i++)
		pages[i] = area + i * page;
	for (int node = 0; !stop; node = !node) {
		for (int i = 0; i < PAGES; i++)
			nodes[i] = node;
		if (syscall(SYS_move_pages, 0, PAGES, pages, nodes, status, MPOL_MF_MOVE) < 0)
			err(1, "move_pages");
		for (int i = 0; i < PAGES; i++)
			moved += status[i] == node;
	}
	printf("moved %ld\n", moved);
	return NULL;
}

static void *walk(void *unused)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	int bitmap = open("/sys/kernel/mm/page_idle/bitmap", O_WRONLY);

	if (pagemap < 0 || bitmap < 0)
		err(1, "pagemap or page_idle");
	for (int i = 0; !stop; i = (i + 1) % PAGES) {
		uint64_t entry, bit;

		if (pread(pagemap, &entry, 8, (uintptr_t)(area + i * page) / page * 8) != 8)
			err(1, "pagemap");
		entry &= (1ULL << 55) - 1;
		bit = 1ULL << entry % 64;
		if (pwrite(bitmap, &bit, 8, entry / 64 * 8) != 8)
			err(1, "page_idle");
	}
	return NULL;
}

static long splits(void)
{
	char line[80];
	long count = -1;
	FILE *file = fopen("/proc/vmstat", "r");

	while (file && count < 0 && fgets(line, sizeof(line), file))
		sscanf(line, "thp_split_page %ld", &count);
	if (count < 0)
		err(1, "/proc/vmstat has no thp_split_page");
	fclose(file);
	return count;
}

static void *split(void *unused)
{
	const long before = splits();
	int all = open("/sys/kernel/debug/split_huge_pages", O_WRONLY);

	while (!stop) {
		if (write(all, "1", 1) != 1)
			err(1, "split_huge_pages");
		/* Fails for a page that is being looked at. */
		madvise(area, HUGE, MADV_COLLAPSE);
	}
	close(all);
	if (splits() < before + SECONDS)
		errx(1, "%ld huge pages were split", splits() - before);
	printf("split %ld\n", splits() - before);
	return NULL;
}

static void measure(const char *name, void *(*load)(void *), size_t length)
{
	long buckets[64] = {}, end, start;
	pthread_t thread;
	char *hole;

	/* PROT_NONE on both sides keeps other VMAs away. */
	hole = mmap(NULL, length + 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (hole == MAP_FAILED)
		err(1, "mmap");
	area = (char *)(((uintptr_t)hole + HUGE) & -HUGE);
	if (mprotect(area, length, PROT_READ | PROT_WRITE))
		err(1, "mprotect");
	if (load == split)
		madvise(area, length, MADV_HUGEPAGE);
	memset(area, 1, length);
	stop = false;
	if (load && pthread_create(&thread, NULL, load, NULL))
		err(1, "pthread_create");
	end = now() + SECONDS * 1000000000L;
	for (int prot = PROT_READ; (start = now()) < end; prot ^= PROT_WRITE) {
		if (mprotect(area, length, prot))
			err(1, "mprotect");
		buckets[63 - __builtin_clzl(now() - start)]++;
		usleep(100);
	}
	stop = true;
	if (load)
		pthread_join(thread, NULL);
	munmap(hole, length + 2 * HUGE);
	for (int i = 0; i < 64; i++)
		if (buckets[i])
			printf("wait %s %d %ld\n", name, i, buckets[i]);
}

int main(void)
{
	page = sysconf(_SC_PAGESIZE);
	measure("alone", NULL, PAGES * page);
	measure("migration", migrate, PAGES * page);
	measure("walks", walk, PAGES * page);
	measure("split", split, HUGE);
	puts("done");
	return 0;
}
