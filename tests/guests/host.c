/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest program as a program of the host: the console is the standard output, the result a file. */
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>

struct result host_result;

void put_character(char character)
{
    putchar(character);
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    host_result.scale = (uint32_t)strtoul(arguments[1], NULL, 0);
    program();
    host_result.finished = 1;
    FILE *file = fopen(arguments[2], "wb");
    if (!file || fwrite(&host_result, sizeof host_result, 1, file) != 1 || fclose(file))
        return 1;
    return 0;
}
