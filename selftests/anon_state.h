/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel says about who owns a page.
 *
 * Only a test kernel has the debugfs file behind this. On any other kernel the
 * tests verify their data and their VMA counts all the same.
 *
 * Include kselftest_harness.h first: the macros assert in a test.
 */
#ifndef __ANON_STATE_H__
#define __ANON_STATE_H__

#include <stdbool.h>
#include <sys/types.h>

struct anon_state {
	char vma[16];	/* none, unfaulted, owned, anon_vma */
	char folio[16];	/* none, owned, anon_vma, ksm, file, other */
	int order;
};

bool anon_state_available(void);
int anon_state_query(pid_t pid, const void *addr, struct anon_state *state);
int anon_state_check(void);

#define __ASSERT_STATE(pid, addr, field, expected) do {			\
	struct anon_state __state;					\
									\
	if (anon_state_available()) {					\
		ASSERT_EQ(0, anon_state_query(pid, addr, &__state));	\
		ASSERT_STREQ(expected, __state.field);			\
	}								\
} while (0)

/* Of the calling process. */
#define ASSERT_VMA(addr, expected)	__ASSERT_STATE(0, addr, vma, expected)
#define ASSERT_FOLIO(addr, expected)	__ASSERT_STATE(0, addr, folio, expected)

/* The VMA at @addr and its folio there are in the same state. */
#define ASSERT_STATE(addr, expected) do {				\
	const char *__addr = (addr);					\
	const char *__both = (expected);				\
									\
	ASSERT_VMA(__addr, __both);					\
	ASSERT_FOLIO(__addr, __both);					\
} while (0)

/* No folio of any process contradicts the VMA that maps it. */
#define ASSERT_INVARIANTS() do {					\
	if (anon_state_available())					\
		ASSERT_EQ(0, anon_state_check());			\
} while (0)

#endif /* __ANON_STATE_H__ */
