/* SPDX-FileCopyrightText: 2026 vmmkit contributors
   SPDX-License-Identifier: BSD-2-Clause

   Prints what the guest was started with on COM1, a line for each fact. Addresses that a loader is
   free to choose are not printed, only what lies there. */

#include <stdint.h>

static void out(uint16_t port, uint8_t value)
{
        __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void put(char c)
{
        uint8_t status;

        do
                __asm__ volatile("inb %1, %0" : "=a"(status) : "Nd"((uint16_t)0x3fd));
        while (!(status & 0x20));
        out(0x3f8, c);
}

static void text(const char *string)
{
        while (*string)
                put(*string++);
}

static void hex(uint64_t value)
{
        for (int shift = 60; shift >= 0; shift -= 4)
                put("0123456789abcdef"[value >> shift & 15]);
}

static void number(const char *name, uint64_t value)
{
        text(name);
        put(' ');
        hex(value);
        put('\n');
}

static void range(uint64_t base, uint64_t size, uint32_t type)
{
        text("memory ");
        hex(base);
        put(' ');
        hex(size);
        number("", type);
}

static void string(const char *name, uint32_t address)
{
        text(name);
        text(" '");
        if (address)
                text((const char *)address);
        text("'\n");
}

static void module(uint32_t base, uint64_t size)
{
        uint32_t sum = 0;

        for (uint64_t i = 0; i < size; i++)
                sum = sum * 31 + ((const uint8_t *)base)[i];
        number("module size", size);
        number("module sum", sum);
        number("module in page", base & 4095);
}

#ifdef PVH
static void handed(uint32_t magic, const uint32_t *start)
{
        const uint64_t *wide = (const uint64_t *)(start + 4);
        const uint64_t *modules = (const uint64_t *)(uint32_t)wide[0];
        const uint32_t *map = (const uint32_t *)(uint32_t)wide[3];

        (void)magic; /* EAX means nothing here */
        number("start_info magic", start[0]);
        number("version", start[1]);
        number("flags", start[2]);
        string("command line", (uint32_t)wide[1]);
        for (uint32_t i = 0; i < start[3]; i++)
                module((uint32_t)modules[4 * i], modules[4 * i + 1]);
        for (uint32_t i = 0; i < start[12]; i++, map += 6)
                range(*(const uint64_t *)map, *(const uint64_t *)(map + 2), map[4]);
}
#endif

#ifdef MULTIBOOT
static void handed(uint32_t magic, const uint32_t *start)
{
        const uint32_t *modules = (const uint32_t *)start[6];
        const uint32_t *map = (const uint32_t *)start[12];
        const uint32_t *beyond = (const uint32_t *)(start[12] + start[11]);

        number("magic", magic);
        number("flags", start[0] & 0x4d); /* sizes, command line, modules, map */
        number("lower", start[1]);
        number("upper", start[2]);
        string("command line", start[4]);
        for (uint32_t i = 0; i < start[5]; i++, modules += 4) {
                module(modules[0], modules[1] - modules[0]);
                string("string", modules[2]);
        }
        for (; map < beyond; map += 1 + map[0] / 4)
                range(*(const uint64_t *)(map + 1), *(const uint64_t *)(map + 3), map[5]);
}
#endif

#ifdef MULTIBOOT2
static void tag(const uint32_t *at)
{
        if (at[0] == 1)
                string("command line", (uint32_t)(at + 2));
        if (at[0] == 3) {
                module(at[2], at[3] - at[2]);
                string("string", (uint32_t)(at + 4));
        }
        if (at[0] == 4) {
                number("lower", at[2]);
                number("upper", at[3]);
        }
        for (uint32_t place = 16; at[0] == 6 && place < at[1]; place += at[2]) {
                const uint32_t *one = at + place / 4;

                range(*(const uint64_t *)one, *(const uint64_t *)(one + 2), one[4]);
        }
        if (at[0] == 21)
                number("load base", at[2]);
}

static void handed(uint32_t magic, const uint32_t *start)
{
        const uint32_t *at = start + 2;

        number("magic", magic);
        number("in 8 bytes", (uint32_t)start & 7);
        for (; at[0]; at += (at[1] + 7) / 8 * 2)
                tag(at);
        number("total less last", start[0] - ((uint32_t)at + 8 - (uint32_t)start));
}
#endif

void report(uint32_t cr0, uint32_t cr4, uint32_t eax, uint32_t ebx, uint32_t eflags)
{
        out(0x3fb, 3); /* line control: 8 bits a character */
        number("cr0 PE PG", cr0 & 0x80000001);
        number("cr4", cr4);
        number("eflags VM IF TF", eflags & 0x20300);
        handed(eax, (const uint32_t *)ebx);
}
