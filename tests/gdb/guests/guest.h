/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guests of the debugger's tests share. */
#ifndef GUEST_H
#define GUEST_H

#define CONSOLE 0x3f8

/* The top gigabyte of physical addresses below 4 GiB is the top gigabyte of virtual ones. */
#define DEVICE 0xfffffffffeb00000
#define LOCAL_APIC 0xfffffffffee00000

static inline void out(unsigned short port, unsigned char value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void say(const char *text)
{
    while (*text)
        out(CONSOLE, (unsigned char)*text++);
}

#ifdef __x86_64__
/* As what vectors.c catches them. */
struct frame {
    unsigned long rip, cs, rflags, rsp, ss;
};
typedef void handler(struct frame *);

void set_up_vectors(void);
void set_vector(int vector, handler *function);
#endif

#endif
