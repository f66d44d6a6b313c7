/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest about code checks, in order. */
#include "code.h"

void run_all(void);

void run_all(void)
{
    WRITE_CONTROL(4, READ_CONTROL(4) | CR4_OSFXSR);
    map(HERE, FIRST_FRAME | P | W);
    map(NEXT, SECOND_FRAME | P | W);
    self_modifying();
    subject("code that writes code");
    crossing();
    subject("code across pages");
    remapping();
    subject("code whose pages change");
}
