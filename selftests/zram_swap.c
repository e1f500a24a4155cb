// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest.h"
#include "mm/vm_util.h"
#include "zram_swap.h"

#define SWAP_SIZE	(128UL << 20)
#define MAX_SWAPS	8

static int zram_id = -1;
static int loop_id, loop_file;
static char loop_path[32];

/* What was swapped to before the loop device. */
static char others[MAX_SWAPS][64];
static int nr_others;

/* Writes to the loop device's file for as long as the device is held. */
static struct {
	pthread_t thread;
	char *page;
	int uffd;
} writer;

/* Returns how many swap devices are in use, and their paths. */
static int list_swaps(char paths[MAX_SWAPS][64])
{
	char line[256];
	int nr = 0;
	FILE *f;

	f = fopen("/proc/swaps", "r");
	if (!f)
		return 0;
	/* The first line is a heading. */
	if (fgets(line, sizeof(line), f))
		while (nr < MAX_SWAPS && fgets(line, sizeof(line), f))
			if (sscanf(line, "%63s", paths[nr]) == 1)
				nr++;
	fclose(f);
	return nr;
}

/* What mkswap(8) does, as far as swapon(2) needs it. */
static int make_swap(const char *path)
{
	struct {
		unsigned int version;
		unsigned int last_page;
		unsigned int nr_badpages;
	} info = { 1, SWAP_SIZE / psize() - 1, 0 };
	char *page;
	int fd, ret;

	page = calloc(1, psize());
	if (!page)
		return -ENOMEM;
	memcpy(page + 1024, &info, sizeof(info));
	memcpy(page + psize() - 10, "SWAPSPACE2", 10);

	fd = open(path, O_WRONLY);
	if (fd < 0) {
		free(page);
		return -errno;
	}
	ret = write(fd, page, psize()) == psize() ? 0 : -EIO;
	if (fsync(fd))
		ret = -errno;
	close(fd);
	free(page);
	return ret;
}

static void zram_swap_off(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/zram%d", zram_id);
	if (swapoff(path))
		ksft_perror("swapoff");
	snprintf(path, sizeof(path), "/sys/block/zram%d/reset", zram_id);
	write_sysfs(path, 1);
}

/*
 * Have swap: the one that is in use, or an idle zram device until the end of
 * the program.
 */
bool zram_swap_on(void)
{
	char paths[MAX_SWAPS][64];
	unsigned long disksize;
	char path[64];

	if (list_swaps(paths))
		return true;

	for (int id = 0; id < 4; id++) {
		snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", id);
		if (access(path, W_OK) || read_sysfs(path, &disksize) || disksize)
			continue;
		if (write_sysfs(path, SWAP_SIZE))
			continue;
		zram_id = id;
		snprintf(path, sizeof(path), "/dev/zram%d", id);
		if (make_swap(path) || swapon(path, 0)) {
			ksft_perror("swapon");
			snprintf(path, sizeof(path), "/sys/block/zram%d/reset",
				 id);
			write_sysfs(path, 1);
			continue;
		}
		atexit(zram_swap_off);
		return true;
	}
	return false;
}

static int swap_all_off(char paths[MAX_SWAPS][64], int nr)
{
	for (int i = 0; i < nr; i++)
		if (swapoff(paths[i]))
			return -errno;
	return 0;
}

static int swap_all_on(char paths[MAX_SWAPS][64], int nr)
{
	int ret = 0;

	for (int i = 0; i < nr; i++)
		if (swapon(paths[i], 0))
			ret = -errno;
	return ret;
}

/* Stop swapping on all devices and start again: everything must come in. */
int cycle_swap(void)
{
	char paths[MAX_SWAPS][64];
	int nr = list_swaps(paths);

	if (!nr)
		return -ENODEV;
	return swap_all_off(paths, nr) ?: swap_all_on(paths, nr);
}

int loop_swap_off(void)
{
	int ret = swapoff(loop_path) ? -errno : 0;

	swap_all_on(others, nr_others);
	return ret;
}

static void loop_swap_end(void)
{
	loop_swap_off();
}

/*
 * Have a loop device for loop_swap_on() until the end of the program, which
 * clears it. Call it after zram_swap_on().
 */
bool loop_swap_make(void)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int control = open("/dev/loop-control", O_RDWR);
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (control < 0 || uffd < 0)
		return false;
	close(uffd);
	loop_id = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	loop_file = memfd_create("loop_swap", 0);
	config.fd = loop_file;
	snprintf(loop_path, sizeof(loop_path), "/dev/loop%d", loop_id);
	if (ftruncate(loop_file, SWAP_SIZE) ||
	    ioctl(open(loop_path, O_RDWR), LOOP_CONFIGURE, &config) ||
	    make_swap(loop_path))
		ksft_perror(loop_path);
	nr_others = list_swaps(others);
	atexit(loop_swap_end);
	return true;
}

/*
 * Swap to the loop device. The others are switched off: whatever the priorities,
 * a CPU goes on with the swap cluster that it has. Returns 0 or a negative errno.
 */
int loop_swap_on(bool stable_writes)
{
	char paths[MAX_SWAPS][64];
	int err = swap_all_off(paths, list_swaps(paths));
	char path[64];

	if (err)
		return err;
	snprintf(path, sizeof(path), "/sys/block/loop%d/queue/stable_writes", loop_id);
	write_sysfs(path, stable_writes);
	return swapon(loop_path, 0) ? -errno : 0;
}

/* Behind the end of the device. */
static void *write_page(void *unused)
{
	if (pwrite(loop_file, writer.page, psize(), SWAP_SIZE) != psize())
		ksft_perror("pwrite");
	return NULL;
}

/*
 * Whatever is swapped out now is under writeback until loop_swap_release(), and
 * what is to be swapped in after that waits for it: a write to the file waits,
 * with the inode locked, for the page to write. Returns 0 or a negative errno.
 */
int loop_swap_hold(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffd_msg msg;

	writer.page = mmap(NULL, psize(), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	writer.uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (writer.page == MAP_FAILED || ioctl(writer.uffd, UFFDIO_API, &api) ||
	    uffd_register(writer.uffd, writer.page, psize(), true, false, false) ||
	    pthread_create(&writer.thread, NULL, write_page, NULL)) {
		writer.page = NULL;
		return -EIO;
	}
	return read(writer.uffd, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -EIO;
}

void loop_swap_release(void)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)writer.page, .len = psize() },
	};

	if (!writer.page)
		return;
	if (ioctl(writer.uffd, UFFDIO_ZEROPAGE, &zero))
		ksft_perror("UFFDIO_ZEROPAGE");
	pthread_join(writer.thread, NULL);
	close(writer.uffd);
	munmap(writer.page, psize());
	writer.page = NULL;
}
