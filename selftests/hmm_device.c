// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <lib/test_hmm_uapi.h>

#include "hmm_device.h"
#include "test_area.h"

#define TRIES	50

/* Returns a negative errno, or the number of pages in the device's memory. */
int count_in_device(int fd, char *addr, unsigned long nr)
{
	unsigned char prot[nr];
	struct hmm_dmirror_cmd cmd = {
		.addr = (unsigned long)addr,
		.ptr = (unsigned long)prot,
		.npages = nr,
	};
	int count = 0;

	if (ioctl(fd, HMM_DMIRROR_SNAPSHOT, &cmd))
		return -errno;
	for (unsigned long i = 0; i < nr; i++)
		if ((prot[i] & 0xf0) == HMM_DMIRROR_PROT_DEV_PRIVATE_LOCAL)
			count++;
	return count;
}

/* Returns 0 with all pages in the device and their content seen there. */
int move_to_device(int fd, char *addr, unsigned long nr, unsigned int seed)
{
	char *mirror = malloc(bytes(nr));
	struct hmm_dmirror_cmd cmd = {
		.addr = (unsigned long)addr,
		.ptr = (unsigned long)mirror,
		.npages = nr,
	};
	int ret = -ENOMEM;

	/* A page that another CPU's batch holds stays behind. */
	for (int i = 0; mirror && i < TRIES; i++) {
		drain_lru_batches();
		ret = ioctl(fd, HMM_DMIRROR_MIGRATE_TO_DEV, &cmd) ?
			-errno : count_in_device(fd, addr, nr);
		if (ret < 0 || ret == nr)
			break;
	}
	if (ret >= 0)
		ret = ret == nr ? 0 : -EAGAIN;
	if (!ret && find_bad_page(mirror, 0, nr, seed) != -1)
		ret = -EIO;
	free(mirror);
	return ret;
}
