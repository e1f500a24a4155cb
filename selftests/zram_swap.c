// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>
#include <unistd.h>

#include "kselftest.h"
#include "mm/vm_util.h"
#include "zram_swap.h"

#define ZRAM_SIZE	(128UL << 20)
#define MAX_SWAPS	8

static int zram_id = -1;

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
	} info = { 1, ZRAM_SIZE / psize() - 1, 0 };
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
		if (write_sysfs(path, ZRAM_SIZE))
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

/* Stop swapping on all devices and start again: everything must come in. */
int cycle_swap(void)
{
	char paths[MAX_SWAPS][64];
	int nr = list_swaps(paths);
	int ret = nr ? 0 : -ENODEV;

	for (int i = 0; i < nr; i++)
		if (swapoff(paths[i]))
			return -errno;
	for (int i = 0; i < nr; i++)
		if (swapon(paths[i], 0))
			ret = -errno;
	return ret;
}
