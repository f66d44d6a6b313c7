/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot.h"

#include "report.h"
#include "traps.h"

extern uint32_t start_information;
_Noreturn void start(void);

const struct start_information *boot_information(void)
{
    return (const struct start_information *)(uintptr_t)start_information;
}

const char *command_line(void)
{
    uintptr_t at = (uintptr_t)boot_information()->command_line;
    return at ? (const char *)at : "";
}

/* Return what follows `word` where it begins a word of the command line, else NULL. */
static const char *after_word(const char *word)
{
    const char *at = command_line();
    while (*at) {
        size_t i = 0;
        while (word[i] && at[i] == word[i])
            i++;
        if (!word[i])
            return at + i;
        while (*at && *at != ' ')
            at++;
        while (*at == ' ')
            at++;
    }
    return NULL;
}

bool command_word(const char *word)
{
    const char *rest = after_word(word);
    return rest && (*rest == 0 || *rest == ' ');
}

uint64_t command_number(const char *name, uint64_t otherwise)
{
    const char *at = after_word(name);
    if (!at || *at++ != '=')
        return otherwise;
    uint64_t value = 0;
    while (*at >= '0' && *at <= '9')
        value = 10 * value + (uint64_t)(*at++ - '0');
    return value;
}

_Noreturn void start(void)
{
    report_begin();
    traps_begin();
    traps_load(0);
    guest_main();
    finish();
}
