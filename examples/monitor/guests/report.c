/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "report.h"

#include <stdarg.h>

enum { COM1 = 0x3f8, EXIT_PORT = 0xf4 };
enum { DATA, INTERRUPT_ENABLE, FIFO_CONTROL, LINE_CONTROL, MODEM_CONTROL, LINE_STATUS };
enum { DIVISOR_LATCH = 0x80, EIGHT_BITS = 3, FIFO_ON = 7, DTR_RTS = 3, TRANSMIT_EMPTY = 0x20 };
enum { PATIENCE = 100000 };

static uint32_t failures;

void report_begin(void)
{
    static const uint8_t steps[][2] = {
        {INTERRUPT_ENABLE, 0}, {LINE_CONTROL, DIVISOR_LATCH}, {DATA, 1},
        {INTERRUPT_ENABLE, 0}, {LINE_CONTROL, EIGHT_BITS},    {FIFO_CONTROL, FIFO_ON},
        {MODEM_CONTROL, DTR_RTS},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        out8(COM1 + steps[i][0], steps[i][1]);
}

static void print_character(char character)
{
    for (uint32_t i = 0; i < PATIENCE && !(in8(COM1 + LINE_STATUS) & TRANSMIT_EMPTY); i++)
        wait_cycle();
    out8(COM1, (uint8_t)character);
}

static void print_text(const char *text)
{
    while (*text)
        print_character(*text++);
}

static void print_number(uint64_t value, uint32_t base, uint32_t width)
{
    char digits[20];
    uint32_t count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    for (; width > count; width--)
        print_character('0');
    while (count)
        print_character(digits[--count]);
}

static void print_signed(int64_t value)
{
    if (value < 0)
        print_character('-');
    print_number(value < 0 ? -(uint64_t)value : (uint64_t)value, 10, 0);
}

/* Print what a conversion behind '%' asks for; return where the format goes on. */
static const char *print_conversion(const char *format, va_list *arguments)
{
    uint32_t width = 0;
    bool is_long = false;
    for (; *format >= '0' && *format <= '9'; format++)
        width = 10 * width + (uint32_t)(*format - '0');
    for (; *format == 'l'; format++)
        is_long = true;
    switch (*format) {
    case 's': print_text(va_arg(*arguments, const char *)); break;
    case 'c': print_character((char)va_arg(*arguments, int)); break;
    case 'd': print_signed(is_long ? va_arg(*arguments, long) : va_arg(*arguments, int)); break;
    default: {
        uint64_t value = is_long ? va_arg(*arguments, unsigned long) : va_arg(*arguments, unsigned);
        print_number(value, *format == 'x' ? 16 : 10, width);
    }
    }
    return format + 1;
}

static void print_list(const char *format, va_list *arguments)
{
    while (*format) {
        if (*format == '%')
            format = print_conversion(format + 1, arguments);
        else
            print_character(*format++);
    }
}

void print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_list(format, &arguments);
    va_end(arguments);
}

bool check(bool good, const char *name, const char *format, ...)
{
    va_list arguments;
    failures += !good;
    print("%s %s ", good ? "ok" : "FAIL", name);
    va_start(arguments, format);
    print_list(format, &arguments);
    va_end(arguments);
    print("\n");
    return good;
}

const char *verdict(void)
{
    return failures ? "FAIL" : "PASS";
}

_Noreturn void finish(void)
{
    disable_interrupts();
    print("%s\n", verdict());
    out8(EXIT_PORT, failures != 0);
    for (;;)
        __asm__ volatile("hlt");
}
