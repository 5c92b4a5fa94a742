// SPDX-License-Identifier: Apache-2.0
// The service manager is told how the daemon fares: sd_notify(3)'s datagram, which is a stable interface of its own.
#pragma once

// "READY=1", "STOPPING=1" …; nothing happens where nobody wants to know (no NOTIFY_SOCKET).
void notify_service(const char *state);
