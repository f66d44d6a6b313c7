/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* All that the boot guest checks in 64-bit mode, in order. */
#include "kernel.h"

void run_all(void);

void run_all(void)
{
    subject(READ_CONTROL(4) & CR4_LA57 ? "64-bit mode, 5 levels" : "64-bit mode, 4 levels");
    faults();
    subject("faults");
    paging();
    subject("page faults");
    breakpoints();
    subject("breakpoints");
    interrupts();
    subject("interrupts");
    processor();
    subject("processor");
    privileges();
    subject("privileges");
    descriptors();
    subject("descriptors");
    system_calls();
    subject("system calls");
    tasks();
    subject("tasks");
}
