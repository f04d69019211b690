// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <stdbool.h>
#include <stdio.h>

// `skylane-fwd --check DIR`: prints every fault as `FILE:LINE: field: message`. True without faults.
bool check_directory(const char *directory, bool allow_vdev, FILE *out);
