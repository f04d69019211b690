// SPDX-License-Identifier: Apache-2.0

#pragma once

// Receive queues in use of a kernel interface, or 0 when its driver does not tell.
unsigned interface_receive_queues(const char *name);
