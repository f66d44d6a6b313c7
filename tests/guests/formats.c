/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Formatted output through the UART, and into a buffer; scale: how many numbers. */
#include "guest.h"

static const int64_t numbers[] = {
    42, -999, 0, 1, -1, 9, 10, 65535, 65536, 2147483647, -2147483648ll, 4294967295ll,
    1000000007ll * 998244353ll, 9223372036854775807ll, -9223372036854775807ll - 1,
};

#define COUNT (sizeof numbers / sizeof *numbers)

static void show(int64_t number)
{
    char line[72];
    int32_t half = (int32_t)number;
    int length = format(line, sizeof line, "%d|%8d|%-8d|%08d|%u|%x|%3c", half, half, half, half,
                        (unsigned)half, (unsigned)half, '!');
    put_result((uint32_t)length);
    put_result((uint8_t)line[length < 71 ? length / 2 : 35]);
    print("%s\n%llx|%20lld|%020llu|%-20llX|\n", line, (unsigned long long)number,
          (long long)number, (unsigned long long)number, (unsigned long long)number);
}

void program(void)
{
    char few[8];
    for (uint32_t place = 0; place < RESULT->scale; place++)
        show((int64_t)((uint64_t)numbers[place % COUNT] + place / COUNT));
    print("[%10s][%-10s][%.2s][%*s][%*s][%c%c] 100%%\n", "right", "left", "cut", 6, "star", -6,
          "minus", 'o', 'k');
    put_result((uint32_t)format(few, sizeof few, "%s", "longer than the buffer"));
    print("%s\n", few);
}
