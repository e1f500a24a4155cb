// SPDX-License-Identifier: GPL-2.0
/*
 * What anonymous memory costs in VMAs, anon_vmas and anon_vma_chains: 200 unrelated processes with
 * 100 touched mappings each, then a parent with 500 and 50 forked children that write a tenth.
 *
 * Prints "phase PHASE DESCRIPTION", "mem PHASE CACHE ACTIVE_OBJECTS OBJECT_SIZE" and, at the end,
 * "done". Needs root, /proc, /sys, slab_nomerge and a machine that does nothing else.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES	200
#define MAPPINGS	100
#define PARENT_MAPPINGS	500
#define CHILDREN	50
#define SETTLE_SECONDS	30

static const char *const caches[] = { "anon_vma", "anon_vma_chain", "vm_area_struct" };

#define NR_CACHES	(sizeof(caches) / sizeof(caches[0]))

struct usage {
	unsigned long objects;
	unsigned long size;
};

/* Children are ready when they wrote a byte to ready, and stay until hold is closed. */
static int ready[2], hold[2];

/* Where the mappings are: one page each, and a page apart. */
static char *area;
static long page;

/*
 * Gaps keep the mappings apart: neighbours would merge, or at least share one anon_vma even if
 * their protection differs.
 */
static void map_and_touch(int mappings)
{
	const size_t length = 2 * page * mappings;

	area = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED || munmap(area, length))
		err(1, "reserving %zu bytes", length);
	for (int i = 0; i < mappings; i++) {
		char *mapping = area + 2 * page * i;

		if (mmap(mapping, page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != mapping)
			err(1, "mapping %d of %d", i + 1, mappings);
		*mapping = 1;
	}
}

static void read_usage(struct usage *usage)
{
	char line[512], name[64];
	unsigned int found = 0;
	FILE *file;

	/* Objects in per-CPU sheaves count as active until they are flushed. */
	for (unsigned int i = 0; i < NR_CACHES; i++) {
		struct stat status;
		char path[128];
		int fd;

		snprintf(path, sizeof(path), "/sys/kernel/slab/%s", caches[i]);
		if (lstat(path, &status))
			err(1, "%s", path);
		if (!S_ISDIR(status.st_mode))
			errx(1, "%s is merged with others, boot with slab_nomerge", caches[i]);
		strcat(path, "/shrink");
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "1", 1) != 1)
			err(1, "%s", path);
		close(fd);
	}

	file = fopen("/proc/slabinfo", "re");
	if (!file)
		err(1, "/proc/slabinfo");
	while (fgets(line, sizeof(line), file)) {
		struct usage row;

		if (sscanf(line, "%63s %lu %*u %lu", name, &row.objects, &row.size) != 3)
			continue;
		for (unsigned int i = 0; i < NR_CACHES; i++) {
			if (!strcmp(name, caches[i])) {
				usage[i] = row;
				found++;
			}
		}
	}
	fclose(file);
	if (found != NR_CACHES)
		errx(1, "/proc/slabinfo lists %u of %zu caches", found, NR_CACHES);
}

/* What was freed goes after RCU grace periods only: wait until the numbers stand still. */
static void report(const char *phase)
{
	struct usage usage[NR_CACHES], before[NR_CACHES];

	read_usage(usage);
	for (int tries = 0; ; tries++) {
		memcpy(before, usage, sizeof(usage));
		usleep(250000);
		read_usage(usage);
		if (!memcmp(before, usage, sizeof(usage)))
			break;
		if (tries == 4 * SETTLE_SECONDS)
			errx(1, "%s: the caches do not settle, something else is running", phase);
	}
	for (unsigned int i = 0; i < NR_CACHES; i++)
		printf("mem %s %s %lu %lu\n", phase, caches[i], usage[i].objects, usage[i].size);
}

/* In a child: ready is its stdout and hold its stdin. */
static void stay(void)
{
	char byte = 0;

	if (write(STDOUT_FILENO, &byte, 1) != 1)
		err(1, "telling that a process is ready");
	if (read(STDIN_FILENO, &byte, 1))
		err(1, "waiting for the end");
}

static void child_died(int signal)
{
	static const char message[] = "workload: a child died\n";

	(void)signal;
	(void)!write(STDERR_FILENO, message, sizeof(message) - 1);
	_exit(EXIT_FAILURE);
}

/* Unrelated processes share nothing: what is only forked starts with copies of our VMAs. */
static void run_child(int number, bool unrelated)
{
	if (dup2(hold[0], STDIN_FILENO) < 0 || dup2(ready[1], STDOUT_FILENO) < 0)
		err(1, "dup2");
	close(hold[1]);
	if (unrelated) {
		execl("/proc/self/exe", "workload", "unrelated", NULL);
		err(1, "/proc/self/exe");
	}
	for (int i = number % 10; i < PARENT_MAPPINGS; i += 10)
		area[2 * page * i] = 2;
	stay();
	_exit(EXIT_SUCCESS);
}

static void start_children(int count, bool unrelated)
{
	if (pipe2(ready, O_CLOEXEC) || pipe2(hold, O_CLOEXEC))
		err(1, "pipe");
	signal(SIGCHLD, child_died);
	for (int i = 0; i < count; i++) {
		const pid_t pid = fork();

		if (pid < 0)
			err(1, "fork of process %d", i + 1);
		if (!pid)
			run_child(i, unrelated);
	}
	close(ready[1]);
	close(hold[0]);
	for (int i = 0; i < count; i++) {
		char byte;

		if (read(ready[0], &byte, 1) != 1)
			err(1, "waiting for process %d", i + 1);
	}
}

static void end_children(void)
{
	int status;

	signal(SIGCHLD, SIG_DFL);
	close(ready[0]);
	close(hold[1]);
	while (wait(&status) > 0) {
		if (status)
			errx(1, "a child ended with status %#x", status);
	}
	if (errno != ECHILD)
		err(1, "wait");
}

int main(int argc, char **argv)
{
	page = sysconf(_SC_PAGESIZE);
	if (argc == 2 && !strcmp(argv[1], "unrelated")) {
		map_and_touch(MAPPINGS);
		stay();
		return EXIT_SUCCESS;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);

	printf("phase before nothing mapped yet\n");
	report("before");
	start_children(PROCESSES, true);
	printf("phase unrelated %d unrelated processes, %d touched mappings each\n",
	       PROCESSES, MAPPINGS);
	report("unrelated");
	end_children();

	map_and_touch(PARENT_MAPPINGS);
	printf("phase parent one process with %d touched mappings\n", PARENT_MAPPINGS);
	report("parent");
	start_children(CHILDREN, false);
	printf("phase forked and %d forked children that wrote to a tenth of them\n", CHILDREN);
	report("forked");
	end_children();
	printf("phase after all children gone\n");
	report("after");
	puts("done");
	return EXIT_SUCCESS;
}
