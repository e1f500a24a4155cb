// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest.h"
#include "anon_state.h"

#define ANON_STATE_PATH "/sys/kernel/debug/anon_state"

/* Shared with the processes of all tests, so that it is said only once. */
static bool *announced;

static void __attribute__((constructor)) map_announced(void)
{
	announced = mmap(NULL, sizeof(*announced), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (announced == MAP_FAILED)
		ksft_exit_fail_perror("mmap()");
}

bool anon_state_available(void)
{
	if (!access(ANON_STATE_PATH, R_OK | W_OK))
		return true;
	if (!*announced) {
		*announced = true;
		ksft_print_msg("no %s: only data and VMA counts are verified\n",
			       ANON_STATE_PATH);
	}
	return false;
}

static int write_command(int fd, const char *command)
{
	ssize_t len = strlen(command);
	ssize_t ret = write(fd, command, len);

	if (ret < 0)
		return -errno;
	return ret == len ? 0 : -EIO;
}

/* Returns 0, or a negative errno. A @pid of 0 is the calling process. */
int anon_state_query(pid_t pid, const void *addr, struct anon_state *state)
{
	char buf[128];
	ssize_t len;
	int fd, ret;

	fd = open(ANON_STATE_PATH, O_RDWR);
	if (fd < 0)
		return -errno;

	snprintf(buf, sizeof(buf), "%d 0x%lx", pid, (unsigned long)addr);
	ret = write_command(fd, buf);
	if (ret)
		goto out;

	len = pread(fd, buf, sizeof(buf) - 1, 0);
	if (len < 0) {
		ret = -errno;
		goto out;
	}
	buf[len] = '\0';
	if (sscanf(buf, "vma=%15s folio=%15s order=%d",
		   state->vma, state->folio, &state->order) != 3) {
		ksft_print_msg("cannot parse '%s'\n", buf);
		ret = -EPROTO;
	}
out:
	close(fd);
	return ret;
}

/* Returns 0, -EUCLEAN if an invariant is broken, or another negative errno. */
int anon_state_check(void)
{
	int fd, ret;

	fd = open(ANON_STATE_PATH, O_RDWR);
	if (fd < 0)
		return -errno;
	ret = write_command(fd, "check");
	close(fd);
	return ret;
}
