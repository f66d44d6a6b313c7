/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The LDT, a call gate of 64 bits, and questions about descriptors. */
#include "kernel.h"

#define IN_LDT 4
#define FLAT_DATA 0x00cf93000000fffful

extern uint64_t gdt[16];
extern char gate_entry[], user_gate[];
static uint64_t ldt[2];

static uint64_t system_segment(uint64_t base, uint64_t limit, uint64_t attributes)
{
    return limit | (base & 0xffffff) << 16 | attributes << 40 | (base >> 24 & 0xff) << 56;
}

static void local_table(void)
{
    ldt[0] = FLAT_DATA;
    gdt[LOCAL / 8] = system_segment((uint64_t)ldt, sizeof ldt - 1, 0x02);
    gdt[LOCAL / 8 + 1] = (uint64_t)ldt >> 32;
    TRY("lldt %w0", "r"(LOCAL));
    faulted(NOT_PRESENT, LOCAL, "an LDT that is not present");
    gdt[LOCAL / 8] |= 1ul << 47;
    TRY("mov %0, %%ds", "r"(IN_LDT));
    faulted(PROTECTION, IN_LDT, "a selector of no LDT");
    uint64_t selector;
    __asm__ volatile("lldt %w1; sldt %0" : "=r"(selector) : "r"(LOCAL));
    check((selector & 0xffff) == LOCAL, "SLDT");
    TRY("mov %0, %%ds", "r"(IN_LDT));
    went_through("a segment of the LDT");
    TRY("mov %0, %%ds", "r"(IN_LDT + 16));
    faulted(PROTECTION, IN_LDT + 16, "past the LDT");
    TRY("mov %0, %%ds", "r"(IN_LDT + 8));
    faulted(PROTECTION, IN_LDT + 8, "an empty entry");
    __asm__ volatile("mov %0, %%ds; lldt %w1" : : "r"(DATA0), "r"(0));
}

/* Through the gate to ring 0 and back, from ring 0 and from ring 3. */
static void call_gate(void)
{
    static struct {
        uint32_t offset;
        uint16_t selector;
    } __attribute__((packed)) pointer = {0, GATE | 3};
    uint64_t target = (uint64_t)gate_entry, cs, ss, before;
    gdt[GATE / 8] = (target & 0xffff) | CODE0 << 16 | 0xec00ul << 32 | target >> 16 << 48;
    gdt[GATE / 8 + 1] = target >> 32;
    __asm__ volatile("mov %%ss, %k0" : "=r"(before));
    __asm__ volatile("lcall *%2" : "=a"(cs), "=c"(ss) : "m"(pointer) : "memory");
    check(cs == CODE0 && ss == before, "a call gate within ring 0");
    struct frame frame = task(user_gate);
    uint16_t *copy = (uint16_t *)user_store;
    copy[0] = copy[1] = 0, copy[2] = GATE | 3;
    frame.rbx = (uint64_t)copy;
    run_user(&frame);
    check(frame.vector == SYSTEM_CALL && frame.rax == CODE0 && frame.rcx == 0, "and from ring 3");
    check(frame.cs == CODE3 && frame.ss == DATA3 && frame.rsp == (uint64_t)user_stack, "and back");
    gdt[GATE / 8] &= ~(1ul << 47);
    frame.rip = (uint64_t)user_gate;
    run_user(&frame);
    check(frame.vector == NOT_PRESENT && frame.error == GATE, "a gate that is not present");
    gdt[GATE / 8] = (gdt[GATE / 8] | 1ul << 47) & ~(3ul << 45);
    frame.rip = (uint64_t)user_gate;
    run_user(&frame);
    check(frame.vector == PROTECTION && frame.error == GATE, "a gate of ring 0");
    gdt[GATE / 8 + 1] |= 1ul << 40;
    TRY("lcall *%0", "m"(pointer));
    check(seen.vector == PROTECTION && seen.error == GATE, "a gate with a type in its upper half");
}

static int lar(uint32_t selector, uint32_t *rights)
{
    uint8_t found;
    __asm__("lar %2, %1; setz %0" : "=q"(found), "=r"(*rights) : "r"(selector));
    return found;
}

static int verified(uint32_t selector, int write)
{
    uint8_t yes;
    if (write)
        __asm__("verw %w1; setz %0" : "=q"(yes) : "r"(selector));
    else
        __asm__("verr %w1; setz %0" : "=q"(yes) : "r"(selector));
    return yes;
}

static void questions(void)
{
    uint32_t rights, limit;
    check(lar(CODE0, &rights) && (rights & 0xff00) == 0x9b00, "LAR of code");
    check(lar(TASK, &rights) && (rights & 0xff00) == 0x8b00, "LAR of the TSS");
    check(!lar(PAST, &rights) && !lar(0, &rights), "LAR of nothing");
    __asm__("lsl %1, %0" : "=r"(limit) : "r"(TASK));
    check(limit == 103, "LSL of the TSS");
    __asm__("lsl %1, %0" : "=r"(limit) : "r"(DATA0));
    check(limit == 0xffffffff, "LSL of pages");
    check(verified(DATA0, 0) && verified(DATA0, 1) && verified(CODE0, 0), "VERR and VERW");
    check(!verified(CODE0, 1) && !verified(TASK, 0) && !verified(PAST, 1), "and what is refused");
}

void descriptors(void)
{
    local_table();
    call_gate();
    questions();
}
