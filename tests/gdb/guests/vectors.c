/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The interrupt descriptor table. */
#include "guest.h"

static struct gate {
    unsigned short offset_15_0, selector, attributes, offset_31_16;
    unsigned offset_63_32, reserved;
} idt[256];

void set_vector(int vector, handler *function)
{
    unsigned long offset = (unsigned long)function;
    idt[vector] = (struct gate){
        (unsigned short)offset, 8, 0x8e00, (unsigned short)(offset >> 16),
        (unsigned)(offset >> 32), 0,
    };
}

void set_up_vectors(void)
{
    struct __attribute__((packed)) {
        unsigned short limit;
        void *base;
    } pointer = { sizeof(idt) - 1, idt };
    __asm__ volatile("lidt %0" : : "m"(pointer));
}
