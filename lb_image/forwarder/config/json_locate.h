// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "json_node.h"

// Line (from 1) at which the value of `node` begins in the text of its file. The text has passed the
// parser, so the scan only has to find its way, not to judge. For a member that is
// missing: the line of the enclosing value.
unsigned json_locate(const struct json_node *node);
