/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest says, on COM1, and how it ends.

   Each check is a line, "ok NAME detail" or "FAIL NAME detail"; the last line is "PASS" or "FAIL",
   and 0 or 1 goes out to port F4h, which ends the machine. */
#pragma once

#include "machine.h"

/* Set up COM1: 115200 bit/s, 8 data bits, no parity, polled. */
void report_begin(void);

/* Print: %s, %c, %u, %d, %x, with l before u, d and x for 64 bits, and zeros to a width: %08x. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Note and print a check. Returns `good`. */
bool check(bool good, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Print PASS if no check failed, else FAIL; end. */
_Noreturn void finish(void);

/* "PASS" or "FAIL", as things stand: for guests that end otherwise. */
const char *verdict(void);
