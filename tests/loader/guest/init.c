/* SPDX-FileCopyrightText: 2026 vmmkit contributors
   SPDX-License-Identifier: BSD-2-Clause

   The only program of an initial RAM disk: says that it runs, and restarts the machine. */

enum { WRITE = 1, REBOOT = 169 };

static long call(long number, long first, long second, long third)
{
        long result;

        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(number), "D"(first), "S"(second), "d"(third)
                         : "rcx", "r11", "memory");
        return result;
}

void _start(void)
{
        static const char words[] = "init of the initial RAM disk\n";

        call(WRITE, 1, (long)words, sizeof(words) - 1);
        /* LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART */
        call(REBOOT, 0xfee1deadL, 672274793L, 0x01234567L);
        for (;;)
                ;
}
