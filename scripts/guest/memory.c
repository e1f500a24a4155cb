// SPDX-License-Identifier: GPL-2.0
/*
 * What anonymous memory costs in VMAs, anon_vmas and anon_vma_chains: 200 unrelated processes with
 * 100 touched mappings each, then a parent with 500 and 50 forked children that write a tenth.
 *
 *   memory                            once
 *   memory repeat N                   N times
 *   memory decay N ROUNDS             what is left after reclaim, migration, compaction, KSM, fork
 *   memory programs N MS              each of /debian/programs, stopped after so many ms of CPU time
 *
 * Prints "phase PHASE DESCRIPTION", "mem PHASE CACHE ACTIVE_OBJECTS OBJECT_SIZE" and, at the end,
 * "done". Needs root, /proc, /sys, slab_nomerge and a machine that does nothing else.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

static void put(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s", path);
	close(fd);
}

static long get(const char *path, const char *key)
{
	char line[256];
	long value = -1;
	FILE *file = fopen(path, "re");

	if (!file)
		err(1, "%s", path);
	while (value < 0 && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, strlen(key)))
			value = atol(line + strlen(key));
	}
	fclose(file);
	if (value < 0)
		errx(1, "%s has no %s", path, key);
	return value;
}

/* The folder of the cgroup that we are in. */
static const char *cgroup(void)
{
	static char folder[160];
	char name[128];
	FILE *file = fopen("/proc/self/cgroup", "re");

	if (!file || fscanf(file, "0::%127s", name) != 1)
		err(1, "/proc/self/cgroup");
	fclose(file);
	snprintf(folder, sizeof(folder), "/sys/fs/cgroup%s", name);
	return folder;
}

/* What the decay asks of each process: use all memory, offer it to KSM, or fork. */
static void asked(int signal)
{
	const char byte = 0;

	if (signal == SIGUSR1) {
		for (int i = 0; i < MAPPINGS; i++)
			area[2 * page * i]++;
	} else if (signal == SIGUSR2) {
		for (int i = 0; i < MAPPINGS; i++) {
			if (madvise(area + 2 * page * i, page, MADV_MERGEABLE))
				err(1, "MADV_MERGEABLE");
		}
	} else {
		const pid_t pid = fork();

		if (!pid)
			_exit(EXIT_SUCCESS);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			err(1, "fork");
	}
	if (write(STDOUT_FILENO, &byte, 1) != 1)
		err(1, "telling that it is done");
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

static pid_t children[PROCESSES];

static void await(int count)
{
	for (int i = 0; i < count; i++) {
		char byte;

		if (read(ready[0], &byte, 1) != 1)
			err(1, "waiting for process %d", i + 1);
	}
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
		children[i] = pid;
	}
	close(ready[1]);
	close(hold[0]);
	await(count);
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

static void ask(int signal, int every)
{
	int count = 0;

	for (int i = 0; i < PROCESSES; i += every, count++)
		kill(children[i], signal);
	await(count);
}

static void phase(const char *name, const char *what)
{
	printf("phase %s %s\n", name, what);
	report(name);
}

static void workload(void)
{
	char what[80];

	phase("before", "nothing mapped yet");
	start_children(PROCESSES, true);
	snprintf(what, sizeof(what), "%d unrelated processes, %d touched mappings each",
		 PROCESSES, MAPPINGS);
	phase("unrelated", what);
	end_children();

	map_and_touch(PARENT_MAPPINGS);
	snprintf(what, sizeof(what), "one process with %d touched mappings", PARENT_MAPPINGS);
	phase("parent", what);
	start_children(CHILDREN, false);
	snprintf(what, sizeof(what), "and %d forked children that wrote to a tenth of them",
		 CHILDREN);
	phase("forked", what);
	end_children();
	phase("after", "all children gone");
	munmap(area, 2 * page * PARENT_MAPPINGS);
}

static long swapped_pages(void)
{
	static const char meminfo[] = "/proc/meminfo";

	return (get(meminfo, "SwapTotal:") - get(meminfo, "SwapFree:") -
		get(meminfo, "SwapCached:")) * 1024 / page;
}

/* Most of it to zram, by the LRU, and back. */
static void swap_out_and_in(int round)
{
	const int wanted = PROCESSES * MAPPINGS / 2;
	char path[256], stat[256];

	snprintf(path, sizeof(path), "%s/memory.reclaim", cgroup());
	snprintf(stat, sizeof(stat), "%s/memory.stat", cgroup());
	for (int tries = 0; swapped_pages() < wanted; tries++) {
		const int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd < 0 || tries == 200)
			err(1, "only %ld pages are in the swap after %s, round %d; KiB inactive %ld, active %ld, unevictable %ld, swap cache %ld",
			    swapped_pages(), path, round, get(stat, "inactive_anon ") / 1024,
			    get(stat, "active_anon ") / 1024, get(stat, "unevictable ") / 1024,
			    get(stat, "swapcached ") / 1024);
		(void)!write(fd, "64M", 3);	/* -EAGAIN: not all of it */
		close(fd);
		usleep(10000);
	}
	if (!round)
		phase("reclaimed", "swapped out to zram");
	ask(SIGUSR1, 1);
	if (!round)
		phase("swapped-in", "used again");
}

static void migrate_all(unsigned long from, unsigned long to)
{
	long left = 0;

	for (int i = 0; i < PROCESSES; i++) {
		const long rc = syscall(SYS_migrate_pages, children[i], 8 * sizeof(from) + 1,
					&from, &to);

		if (rc < 0)
			err(1, "migrate_pages");
		left += rc;
	}
	if (left > PROCESSES * MAPPINGS / 20)
		errx(1, "%ld pages were not migrated", left);
}

static void decay(int rounds)
{
	static const char scans[] = "/sys/kernel/mm/ksm/full_scans";
	char what[80];
	long before;

	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	phase("before", "nothing mapped yet");
	start_children(PROCESSES, true);
	snprintf(what, sizeof(what), "%d unrelated processes, %d touched mappings each",
		 PROCESSES, MAPPINGS);
	phase("unrelated", what);
	for (int round = 0; round < rounds; round++) {
		swap_out_and_in(round);
		migrate_all(1, 2);
		migrate_all(2, 1);
		if (!round)
			phase("migrated", "all pages migrated to the other node and back");
		put("/proc/sys/vm/compact_memory", "1");
		if (!round)
			phase("compacted", "memory compacted");
	}
	snprintf(what, sizeof(what), "all of this %d times", rounds);
	phase("rounds", what);

	ask(SIGUSR2, 4);
	put("/sys/kernel/mm/ksm/pages_to_scan", "100000");
	put("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	put("/sys/kernel/mm/ksm/run", "1");
	for (before = get(scans, ""); get(scans, "") < before + 4; )
		usleep(1000);
	put("/sys/kernel/mm/ksm/run", "0");
	if (get("/sys/kernel/mm/ksm/pages_sharing", "") < PROCESSES / 4 * MAPPINGS / 2)
		errx(1, "KSM has merged next to nothing");
	phase("ksm", "a quarter of the processes has all of its memory merged by KSM");
	ask(SIGHUP, 1);
	phase("each-forked", "each process has forked once, the children are gone");
	end_children();
	/* KSM keeps the anon_vmas of what it merged until it looks again. */
	put("/sys/kernel/mm/ksm/run", "2");
	put("/sys/kernel/mm/ksm/run", "0");
}

/*
 * The CPU time says when to stop, as it counts the program's own instructions. A program that only
 * waits is stopped after a minute.
 */
static void program(const char *name, long milliseconds)
{
	char script[300], title[200] = "", path[300];
	int status;
	FILE *file;
	pid_t pid;

	snprintf(script, sizeof(script), "/debian/programs/%s", name);
	file = fopen(script, "re");
	if (!file || fscanf(file, "# %199[^\n]", title) != 1)
		err(1, "%s", script);
	fclose(file);
#define GROUP(file) (snprintf(path, sizeof(path), "%s/program/" file, cgroup()), path)
	if (mkdir(GROUP(""), 0755))
		err(1, "%s", path);
	pid = fork();
	if (!pid) {
		put(GROUP("cgroup.procs"), "0");
		/* What it prints is not the measurement's. */
		if (chroot("/debian") || chdir("/tmp") || !freopen("/dev/null", "w", stdout))
			err(1, "/debian");
		execl("/bin/sh", "sh", script + strlen("/debian"), NULL);
		err(1, "/bin/sh");
	}
	for (int tries = 0; tries < 6000 &&
	     get(GROUP("cpu.stat"), "usage_usec ") < 1000 * milliseconds; tries++) {
		usleep(10000);
		if (waitpid(pid, &status, WNOHANG) == pid)
			errx(1, "%s ended too early, with status %#x", name, status);
	}
	put(GROUP("cgroup.freeze"), "1");
	while (!get(GROUP("cgroup.events"), "frozen "))
		usleep(10000);
	phase(name, title);
	put(GROUP("cgroup.kill"), "1");
	while (get(GROUP("cgroup.events"), "populated "))
		usleep(10000);
	waitpid(pid, NULL, 0);
	if (rmdir(GROUP("")))
		err(1, "%s", path);
}

static void mount_debian(void)
{
	if (mount("proc", "/debian/proc", "proc", 0, NULL) ||
	    mount("/dev", "/debian/dev", NULL, MS_BIND, NULL))
		err(1, "/debian");
}

static void programs(long milliseconds)
{
	struct dirent **entries;
	const int count = scandir("/debian/programs", &entries, NULL, alphasort);

	if (count < 3)
		errx(1, "/debian/programs has no program");
	phase("before", "no program yet");
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.')
			program(entries[i]->d_name, milliseconds);
	}
}

int main(int argc, char **argv)
{
	int times;

	page = sysconf(_SC_PAGESIZE);
	if (argc == 2 && !strcmp(argv[1], "unrelated")) {
		const struct sigaction action = { .sa_handler = asked, .sa_flags = SA_RESTART };

		signal(SIGCHLD, SIG_DFL);
		if (sigaction(SIGUSR1, &action, NULL) || sigaction(SIGUSR2, &action, NULL) ||
		    sigaction(SIGHUP, &action, NULL))
			err(1, "sigaction");
		map_and_touch(MAPPINGS);
		stay();
		return EXIT_SUCCESS;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);

	times = argc > 2 ? atoi(argv[2]) : 1;
	if (argc == 4 && !strcmp(argv[1], "programs"))
		mount_debian();
	for (int i = 0; i < times; i++) {
		if (argc == 4 && !strcmp(argv[1], "decay"))
			decay(atoi(argv[3]));
		else if (argc == 4)
			programs(atol(argv[3]));
		else
			workload();
	}
	puts("done");
	return EXIT_SUCCESS;
}
