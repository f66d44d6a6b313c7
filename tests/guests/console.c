/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The UART at port 3F8h. */
#include "guest.h"

#define UART 0x3f8
#define LINE_STATUS 0x3fd
#define TRANSMITTER_EMPTY 0x20

static inline uint8_t in(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void put_character(char character)
{
    while (!(in(LINE_STATUS) & TRANSMITTER_EMPTY))
        ;
    __asm__ volatile("outb %0, %1" : : "a"(character), "Nd"((uint16_t)UART));
}
