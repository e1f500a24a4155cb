// SPDX-License-Identifier: GPL-2.0
/*
 * What operations on anonymous memory cost, for 1 to 10000 VMAs in a process and 1 to 8192 touched
 * pages in a VMA. Needs QEMU's -icount shift=0 and one CPU: the CPU's counter then counts
 * instructions, of user space and kernel together.
 *
 * Prints "op NAME: AXIS X OPERATIONS INSTRUCTIONS" for each repetition and, at the end, "done".
 * With "quick": fewer repetitions and sizes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define RESULTS_FD	100
#define SMALL_PAGES	4
#define HUGE		(2UL << 20)
#define SAMPLES		64

/* Shared by the process that prints and the one that measures. */
static struct results {
	long stamp, samples;
	struct sample {
		char name[32];
		long x, operations, instructions;
	} sample[SAMPLES];
} *results;

/* What is measured: so many VMAs of so many pages. */
static long page, vmas, pages, axis_x;
static char *area;

static long now(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	long count;

	asm volatile("isb; mrs %0, cntvct_el0" : "=r"(count) :: "memory");
	return count;
#endif
}

static void record_at(const char *name, long x, long operations, long instructions)
{
	struct sample *sample = &results->sample[results->samples];

	if (results->samples++ == SAMPLES)
		errx(1, "more than %d samples", SAMPLES);
	strncpy(sample->name, name, sizeof(sample->name) - 1);
	sample->x = x;
	sample->operations = operations;
	sample->instructions = instructions;
}

static void record(const char *name, long operations, long instructions)
{
	record_at(name, axis_x, operations, instructions);
}

static void put(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s", path);
	close(fd);
}

static long get(const char *path)
{
	long value;
	FILE *file = fopen(path, "re");

	if (!file || fscanf(file, "%ld", &value) != 1)
		err(1, "%s", path);
	fclose(file);
	return value;
}

/* The pages that a line of /proc/self/smaps_rollup has. */
static long rollup(const char *key)
{
	char line[256];
	long kib = -1;
	FILE *file = fopen("/proc/self/smaps_rollup", "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, strlen(key)))
			kib = atol(line + strlen(key));
	}
	if (kib < 0)
		errx(1, "/proc/self/smaps_rollup has no %s", key);
	fclose(file);
	return kib * 1024 / page;
}

/* A hole for the VMAs: neither they nor their anon_vmas can merge with what is around. */
static char *reserve(size_t length)
{
	char *hole = mmap(NULL, length + 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (hole == MAP_FAILED || munmap(hole, length + 2 * HUGE))
		err(1, "reserving %zu bytes", length);
	return (char *)(((unsigned long)hole + 2 * HUGE - 1) & -HUGE);
}

static void map_at(char *address, size_t length)
{
	if (mmap(address, length, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != address)
		err(1, "mapping %zu bytes", length);
}

static char *vma(long i)
{
	return area + i * (pages + 1) * page;
}

static void map_all(void)
{
	area = reserve(vmas * (pages + 1) * page);
	for (long i = 0; i < vmas; i++)
		map_at(vma(i), pages * page);
}

static void touch(long first, long end)
{
	for (long i = 0; i < vmas; i++) {
		for (long n = first; n < end; n++)
			*(volatile long *)(vma(i) + n * page) = i * pages + n + 1;
	}
}

static void map_and_touch(void)
{
	map_all();
	touch(0, pages);
}

static void unmap_all(const char *name)
{
	const long start = now();

	for (long i = 0; i < vmas; i++)
		munmap(vma(i), pages * page);
	record(name, vmas, now() - start);
}

static void protect_all(long first, long count, int protection)
{
	for (long i = 0; i < vmas; i++) {
		if (mprotect(vma(i) + first * page, count * page, protection))
			err(1, "mprotect");
	}
}

static void protect(const char *name, long first, long count, int protection)
{
	const long start = now();

	protect_all(first, count, protection);
	record(name, vmas, now() - start);
}

static void advise(const char *name, int advice, long operations)
{
	const long start = now();

	for (long i = 0; i < vmas; i++) {
		if (madvise(vma(i), pages * page, advice))
			err(1, "%s", name);
	}
	record(name, operations, now() - start);
}

static void seq_life(void)
{
	long start = now();

	map_all();
	record("mmap", vmas, now() - start);
	start = now();
	touch(0, 1);
	record("first touch", vmas, now() - start);
	if (pages > 1) {
		start = now();
		touch(1, 2);
		record("second touch", vmas, now() - start);
		touch(2, pages);
	}
	unmap_all("munmap");
}

static void seq_split(void)
{
	map_and_touch();
	protect("mprotect split, first", 0, 1, PROT_READ);
	protect("mprotect split, later", pages - 1, 1, PROT_READ);
	protect("merge back", 0, 1, PROT_READ | PROT_WRITE);
	protect("split again", 0, 1, PROT_READ);
	unmap_all("munmap of three parts");
}

/* Two neighbours become one: the base made them share an anon_vma at the second's first touch. */
static void seq_merge(void)
{
	map_all();
	protect_all(0, pages / 2, PROT_READ | PROT_WRITE | PROT_EXEC);
	touch(0, pages);
	protect("merge, first", 0, pages / 2, PROT_READ | PROT_WRITE);
}

static void move_all(const char *name)
{
	char *target = reserve(vmas * (pages + 1) * page);
	const long start = now();

	for (long i = 0; i < vmas; i++) {
		if (mremap(vma(i), pages * page, pages * page, MREMAP_MAYMOVE | MREMAP_FIXED,
			   target + (vma(i) - area)) == MAP_FAILED)
			err(1, "mremap");
	}
	record(name, vmas, now() - start);
	area = target;
}

static void seq_move(void)
{
	map_and_touch();
	move_all("mremap move, first");
	move_all("mremap move, later");
}

static void nothing(void)
{
}

static void write_tenth(void)
{
	for (long i = 0; i < vmas; i += 10)
		*(volatile long *)vma(i) = -1;
}

static void write_tenth_timed(void)
{
	const long start = now();

	write_tenth();
	record("CoW fault after fork", (vmas + 9) / 10, now() - start);
}

static void exec_nothing(void)
{
	execl("/proc/self/exe", "ops", "nothing", NULL);
	_exit(1);
}

/* The child has the same SCHED_FIFO priority: it runs when the parent waits, not before. */
static void fork_once(const char *name, const char *exit_name, void (*child)(void))
{
	const long start = now();
	const pid_t pid = fork();
	long forked;
	int status;

	if (!pid) {
		results->stamp = now();
		child();
		results->stamp = now();
		_exit(0);
	}
	forked = now();
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		err(1, "fork");
	if (exit_name) {
		record(exit_name, 1, now() - results->stamp);
		record(name, 1, forked - start);
	} else {
		record(name, 1, now() - start);
	}
	if (results->stamp < forked)
		errx(1, "the child ran before its parent went on");
}

static void seq_fork(void)
{
	map_and_touch();
	fork_once("fork, first", "exit of first child", nothing);
	fork_once("fork, later", "exit of later child", nothing);
	fork_once("fork+write 10 %+exit, later", NULL, write_tenth_timed);
	fork_once("fork+exec+exit, later", NULL, exec_nothing);
}

static void seq_fork_exec(void)
{
	map_and_touch();
	fork_once("fork+exec+exit, first", NULL, exec_nothing);
}

static void seq_fork_write(void)
{
	map_and_touch();
	fork_once("fork+write 10 %+exit, first", NULL, write_tenth);
}

/* The process that prints takes the time when it has been reaped. */
static void seq_exit(void)
{
	map_and_touch();
	results->stamp = now();
	_exit(0);
}

static void chain(long depth)
{
	const long start = now();
	const pid_t pid = fork();
	int status;

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		for (long i = depth % 10; i < vmas; i += 10)
			*(volatile long *)vma(i) = -1;
		if (depth < axis_x)
			chain(depth + 1);
		_exit(0);
	}
	if (!(depth & (depth - 1)))
		record_at("fork in a chain", depth, 1, now() - start);
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "a fork in the chain failed");
}

/* Each one writes a tenth and forks the next. */
static void seq_chain(void)
{
	vmas = 100;
	map_and_touch();
	chain(1);
}

static void swap_in(const char *name, long least)
{
	const long swapped = rollup("Swap:");
	long start;

	if (swapped < least)
		errx(1, "only %ld of %ld pages were swapped out", swapped, vmas * pages);
	start = now();
	touch(0, pages);
	record(name, swapped, now() - start);
}

static void seq_swap(void)
{
	map_and_touch();
	advise("MADV_PAGEOUT", MADV_PAGEOUT, vmas * pages);
	swap_in("swap in", vmas * pages);
}

/* Reclaim by the LRU in a cgroup of its own, as under pressure. */
static void seq_reclaim(void)
{
	static const char group[] = "/sys/fs/cgroup/ops-reclaim";
	char path[64], bytes[24];
	long start, before, after;
	int fd;

	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir(group, 0755);
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	put(path, "0");
	map_and_touch();
	snprintf(path, sizeof(path), "%s/memory.reclaim", group);
	snprintf(bytes, sizeof(bytes), "%ld", vmas * pages * page);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	before = rollup("Swap:");
	start = now();
	/* -EAGAIN: less than asked for; what was reclaimed is counted. */
	(void)!write(fd, bytes, strlen(bytes));
	start = now() - start;
	after = rollup("Swap:");
	if (after <= before)
		errx(1, "%s reclaims nothing", path);
	record("reclaim to swap", after - before, start);
	swap_in("swap in after reclaim", 1);
}

static void migrate_to(const char *name, int node)
{
	const long count = vmas * pages;
	void **addresses = malloc(count * sizeof(*addresses));
	int *nodes = malloc(count * sizeof(*nodes)), *status = malloc(count * sizeof(*status));
	long start, moved = 0;

	for (long i = 0; i < count; i++) {
		addresses[i] = vma(i / pages) + i % pages * page;
		nodes[i] = node;
		status[i] = -1;
	}
	start = now();
	if (syscall(SYS_move_pages, 0, count, addresses, nodes, status, 2) < 0)
		err(1, "move_pages");
	start = now() - start;
	for (long i = 0; i < count; i++)
		moved += status[i] == node;
	if (moved != count)
		errx(1, "only %ld of %ld pages were migrated", moved, count);
	record(name, count, start);
	free(addresses);
	free(nodes);
	free(status);
}

static void seq_migrate(void)
{
	map_and_touch();
	migrate_to("migration", 1);
	migrate_to("migration back", 0);
}

static clockid_t clock_of_ksmd(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	clockid_t clock;

	while ((entry = readdir(proc))) {
		char path[300], name[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (!fgets(name, sizeof(name), file))
			name[0] = 0;
		fclose(file);
		if (!strcmp(name, "ksmd\n") && !clock_getcpuclockid(atoi(entry->d_name), &clock)) {
			closedir(proc);
			return clock;
		}
	}
	errx(1, "ksmd does not run");
}

static long cpu_time(clockid_t clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time))
		err(1, "clock_gettime");
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

/* Each page twice, so that half of them go. */
static void seq_ksm(void)
{
	const clockid_t ksmd = clock_of_ksmd();
	const long count = vmas * pages / 2;
	long start;

	map_all();
	for (long i = 0; i < 2 * count; i++)
		*(volatile long *)(vma(i / pages) + i % pages * page) = i % count + 1;
	advise("MADV_MERGEABLE", MADV_MERGEABLE, vmas);
	put("/sys/kernel/mm/ksm/pages_to_scan", "100000");
	put("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	start = cpu_time(ksmd);
	put("/sys/kernel/mm/ksm/run", "1");
	for (int tries = 0; get("/sys/kernel/mm/ksm/pages_sharing") < count; tries++) {
		if (tries == 5000)
			errx(1, "KSM does not merge");
		usleep(1000);
	}
	record("KSM scan and merge", 2 * count, cpu_time(ksmd) - start);
	put("/sys/kernel/mm/ksm/run", "2");
	put("/sys/kernel/mm/ksm/run", "0");
}

static char *thp(long i)
{
	return area + i * 2 * HUGE;
}

static void fault_thps(const char *name)
{
	long start;

	area = reserve(vmas * 2 * HUGE);
	for (long i = 0; i < vmas; i++) {
		map_at(thp(i), HUGE);
		if (madvise(thp(i), HUGE, MADV_HUGEPAGE))
			err(1, "MADV_HUGEPAGE");
	}
	start = now();
	for (long i = 0; i < vmas; i++)
		*(volatile long *)thp(i) = i + 1;
	if (name)
		record(name, vmas, now() - start);
	if (rollup("AnonHugePages:") < vmas * (long)HUGE / page)
		errx(1, "no THPs");
}

static void seq_thp(void)
{
	char range[64];
	long start;

	fault_thps("THP fault");
	start = now();
	/* One by one: it stops at the first hole. */
	for (long i = 0; i < vmas; i++) {
		snprintf(range, sizeof(range), "%d,0x%lx,0x%lx", getpid(), (long)thp(i),
			 (long)thp(i) + HUGE);
		put("/sys/kernel/debug/split_huge_pages", range);
	}
	record("THP split", vmas, now() - start);
	if (rollup("AnonHugePages:"))
		errx(1, "a THP was not split");
}

static void seq_thp_vma(void)
{
	long start;

	fault_thps(NULL);
	start = now();
	for (long i = 0; i < vmas; i++) {
		if (mprotect(thp(i), page, PROT_READ))
			err(1, "mprotect");
	}
	record("mprotect split of a THP", vmas, now() - start);
}

static pthread_barrier_t barrier;

static void *fault_thread(void *number)
{
	char *slot;

	pthread_barrier_wait(&barrier);
	slot = vma((long)number);
	for (long n = 0; n < vmas; n++) {
		map_at(slot, pages * page);
		for (long i = 0; i < pages; i++)
			*(volatile char *)(slot + i * page) = 1;
		munmap(slot, pages * page);
	}
	return NULL;
}

/* Each thread maps, touches and unmaps, over and over. */
static void seq_threads(void)
{
	pthread_t threads[64];
	long start;

	vmas = 50;
	pages = 16;
	pthread_barrier_init(&barrier, NULL, axis_x + 1);
	for (long i = 0; i < axis_x; i++) {
		if (pthread_create(&threads[i], NULL, fault_thread, (void *)i))
			errx(1, "pthread_create");
	}
	/* Not before their stacks are mapped, which would take the hole. */
	area = reserve(axis_x * (pages + 1) * page);
	start = now();
	pthread_barrier_wait(&barrier);
	for (long i = 0; i < axis_x; i++)
		pthread_join(threads[i], NULL);
	record("fault in a threaded program", axis_x * vmas * pages, now() - start);
}

#define TRACING	"/sys/kernel/tracing/"
#ifdef __x86_64__
#define TRACE_CLOCK	"x86-tsc"
#define TRACE_UNIT	1
#else
#define TRACE_CLOCK	"local"
#define TRACE_UNIT	1e9	/* printed in seconds */
#endif

static void trace(const char *on)
{
	put(TRACING "events/mmap_lock/mmap_lock_acquire_returned/enable", on);
	put(TRACING "events/mmap_lock/mmap_lock_released/enable", on);
}

/* The longest time for which we have an mmap_lock for write, as its tracepoints see it. */
static void hold(const char *name, void (*operation)(void))
{
	char line[512], me[24], held[32] = "", lock[32];
	double taken = 0, longest = 0;
	FILE *file;

	snprintf(me, sizeof(me), "-%d ", getpid());
	put(TRACING "trace_clock", TRACE_CLOCK);
	trace("1");
	operation();
	trace("0");
	file = fopen(TRACING "trace", "re");
	while (file && fgets(line, sizeof(line), file)) {
		char *event = strstr(line, ": mmap_lock_");
		const char *mm = strstr(line, " mm=");

		if (!event || !mm || !strstr(line, me) || !strstr(mm, "write=true"))
			continue;
		sscanf(mm, " mm=%31s", lock);
		while (event > line && event[-1] != ' ')
			event--;
		/* Fork has the child's lock inside the parent's. */
		if (strstr(event, "acquire_returned") && !*held) {
			taken = atof(event);
			strcpy(held, lock);
		} else if (strstr(event, "released") && !strcmp(held, lock)) {
			if (atof(event) - taken > longest)
				longest = atof(event) - taken;
			*held = 0;
		}
	}
	if (!longest)
		errx(1, "the trace has no mmap_lock that was held for write");
	fclose(file);
	put(TRACING "trace", "");
	record(name, 1, longest * TRACE_UNIT + 0.5);
}

static void hold_split(void)
{
	protect_all(0, 1, PROT_READ);
}

static void hold_split_later(void)
{
	protect_all(pages - 1, 1, PROT_READ);
}

static void hold_move(void)
{
	char *target = reserve(pages * page);

	if (mremap(area, pages * page, pages * page, MREMAP_MAYMOVE | MREMAP_FIXED, target) ==
	    MAP_FAILED)
		err(1, "mremap");
	area = target;
}

static void hold_fork(void)
{
	const pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		err(1, "fork");
}

static void hold_mergeable(void)
{
	if (madvise(area, pages * page, MADV_MERGEABLE))
		err(1, "MADV_MERGEABLE");
}

static void seq_hold_split(void)
{
	map_and_touch();
	hold("lock held: split, first", hold_split);
	hold("lock held: split, later", hold_split_later);
}

static void seq_hold_move(void)
{
	map_and_touch();
	hold("lock held: mremap, first", hold_move);
	hold("lock held: mremap, later", hold_move);
}

static void seq_hold_fork(void)
{
	map_and_touch();
	hold("lock held: fork, first", hold_fork);
	hold("lock held: fork, later", hold_fork);
}

static void merge_parts(void)
{
	if (mprotect(area + pages * page, pages * page, PROT_READ | PROT_WRITE))
		err(1, "mprotect");
}

/* The second of so many neighbours becomes like the others, and all are one. */
static void hold_merge(const char *name, long parts)
{
	area = reserve(parts * pages * page);
	map_at(area, parts * pages * page);
	if (mprotect(area + pages * page, pages * page, PROT_READ | PROT_WRITE | PROT_EXEC))
		err(1, "mprotect");
	for (long i = 0; i < parts * pages; i++)
		*(volatile long *)(area + i * page) = i + 1;
	hold(name, merge_parts);
}

static void seq_hold_merge(void)
{
	hold_merge("lock held: merge of two", 2);
	hold_merge("lock held: merge of three", 3);
}

static void seq_hold_mergeable(void)
{
	map_and_touch();
	hold("lock held: MERGEABLE", hold_mergeable);
}

enum axis { VMAS, PAGES, DEPTH, THREADS, THPS };

static const char *const axes[] = { "VMAs", "pages", "depth", "threads", "THPs" };

#define ON_BOTH	(1 << VMAS | 1 << PAGES)
#define ON_PAGES	(1 << PAGES)

static const struct {
	const char *name;
	void (*run)(void);
	bool sleeps;		/* lets others run: no SCHED_FIFO */
	int on;			/* bits of enum axis */
	int least;		/* pages */
} sequences[] = {
	{ "life", seq_life, false, ON_BOTH, 1 },
	{ "split", seq_split, false, ON_BOTH, 4 },
	{ "merge", seq_merge, false, ON_BOTH, 4 },
	{ "move", seq_move, false, ON_BOTH, 1 },
	{ "fork", seq_fork, false, ON_BOTH, 1 },
	{ "fork-exec", seq_fork_exec, false, ON_BOTH, 1 },
	{ "fork-write", seq_fork_write, false, ON_BOTH, 1 },
	{ "exit", seq_exit, false, ON_BOTH, 1 },
	{ "swap", seq_swap, false, ON_BOTH, 1 },
	{ "migrate", seq_migrate, false, ON_BOTH, 1 },
	{ "ksm", seq_ksm, true, ON_BOTH, 4 },
	{ "chain", seq_chain, false, 1 << DEPTH, 1 },
	{ "thp", seq_thp, false, 1 << THPS, 1 },
	{ "thp-vma", seq_thp_vma, false, 1 << THPS, 1 },
	{ "threads", seq_threads, true, 1 << THREADS, 1 },
	{ "hold-split", seq_hold_split, false, ON_PAGES, 1024 },
	{ "hold-move", seq_hold_move, false, ON_PAGES, 1024 },
	{ "hold-merge", seq_hold_merge, false, ON_PAGES, 1024 },
	{ "hold-fork", seq_hold_fork, false, ON_BOTH, 1024 },
	{ "hold-mergeable", seq_hold_mergeable, false, ON_PAGES, 1024 },
	/* The last one: from here on memory is charged to cgroups. */
	{ "reclaim", seq_reclaim, false, ON_BOTH, 16 },
};

#define NR_SEQUENCES	(sizeof(sequences) / sizeof(sequences[0]))

static void map_results(void)
{
	results = mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, RESULTS_FD, 0);
	if (results == MAP_FAILED)
		err(1, "mapping the results");
}

/* In a new program: nothing is inherited, and every run has the same addresses. */
static bool run_once(unsigned int number, enum axis axis, long x)
{
	char arguments[3][24];
	int status;
	pid_t pid;

	memset(results, 0, sizeof(*results));
	snprintf(arguments[0], 24, "%u", number);
	snprintf(arguments[1], 24, "%d", axis);
	snprintf(arguments[2], 24, "%ld", x);
	pid = fork();
	if (!pid) {
		personality(ADDR_NO_RANDOMIZE);
		execl("/proc/self/exe", "ops", arguments[0], arguments[1], arguments[2], NULL);
		err(1, "/proc/self/exe");
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		err(1, "fork");
	if (sequences[number].run == seq_exit)
		record_at("exit", x, 1, now() - results->stamp);
	if (status)
		warnx("%s with %ld %s ends with status %#x", sequences[number].name, x,
		      axes[axis], status);
	return !status;
}

static bool measure(unsigned int number, enum axis axis, long x, int repetitions)
{
	/* The first one is for the caches of the slab allocator. */
	for (int i = -1; i < repetitions; i++) {
		if (!run_once(number, axis, x))
			return false;
		for (long n = 0; i >= 0 && n < results->samples; n++) {
			const struct sample *sample = &results->sample[n];

			printf("op %s: %s %ld %ld %ld\n", sample->name, axes[axis], sample->x,
			       sample->operations, sample->instructions);
		}
		/* RCU frees what was unmapped. */
		usleep(50000);
	}
	return true;
}

/* One count for each instruction, or nothing here means anything. */
static void check_clock(void)
{
	const long loops = 1000000, start = now();
	long count = loops, passed;

#ifdef __x86_64__
	asm volatile("1: dec %0; jnz 1b" : "+r"(count));
#else
	asm volatile("1: subs %0, %0, #1; b.ne 1b" : "+r"(count) :: "cc");
#endif
	passed = now() - start;
	if (passed < 2 * loops || passed > 3 * loops)
		errx(1, "the counter went on by %ld in %ld instructions: boot with ICOUNT=1",
		     passed, 2 * loops);
}

int main(int argc, char **argv)
{
	static const struct {
		enum axis axis;
		long x;
		int repetitions, quick;
	} points[] = {
		{ VMAS, 1, 20, 5 }, { VMAS, 10, 10, 3 }, { VMAS, 100, 10, 3 },
		{ VMAS, 1000, 5, 2 }, { VMAS, 10000, 3, 0 },
		{ PAGES, 1, 20, 3 }, { PAGES, 4, 20, 3 }, { PAGES, 16, 10, 3 },
		{ PAGES, 64, 10, 0 }, { PAGES, 256, 10, 2 }, { PAGES, 1024, 5, 0 },
		{ PAGES, 4096, 5, 3 }, { PAGES, 8192, 5, 2 },
		{ DEPTH, 64, 5, 2 }, { THPS, 1, 10, 3 }, { THPS, 10, 5, 0 },
		{ THPS, 100, 3, 0 }, { THREADS, 1, 10, 3 }, { THREADS, 4, 10, 0 },
		{ THREADS, 16, 5, 2 }, { THREADS, 64, 3, 0 },
	};
	const bool quick = argc == 2 && !strcmp(argv[1], "quick");
	bool ok = true;

	page = sysconf(_SC_PAGESIZE);
	if (argc == 2 && !strcmp(argv[1], "nothing"))
		_exit(0);
	if (argc == 4) {
		const unsigned int number = atoi(argv[1]);
		const enum axis axis = atoi(argv[2]);

		axis_x = atol(argv[3]);
		vmas = axis == PAGES ? 1 : axis_x;
		pages = axis == PAGES ? axis_x : SMALL_PAGES;
		map_results();
		if (!sequences[number].sleeps &&
		    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 }))
			err(1, "SCHED_FIFO");
		sequences[number].run();
		_exit(0);
	}

	check_clock();
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (dup2(memfd_create("results", 0), RESULTS_FD) < 0 ||
	    ftruncate(RESULTS_FD, sizeof(*results)))
		err(1, "memfd_create");
	map_results();
	for (unsigned int s = 0; s < NR_SEQUENCES; s++) {
		for (unsigned int p = 0; p < sizeof(points) / sizeof(points[0]); p++) {
			const long x = points[p].x;
			const int repetitions = quick ? points[p].quick : points[p].repetitions;

			if (!(sequences[s].on & 1 << points[p].axis) || !repetitions)
				continue;
			if (points[p].axis == PAGES && x < sequences[s].least)
				continue;
			ok &= measure(s, points[p].axis, x, repetitions);
		}
	}
	if (ok)
		puts("done");
	return !ok;
}
