// SPDX-License-Identifier: Apache-2.0

#pragma once

// Ends the run where the condition is false, also where NDEBUG is set.
#define MUST(condition) \
	do { \
		if (!(condition)) \
			__builtin_trap(); \
	} while (0)
