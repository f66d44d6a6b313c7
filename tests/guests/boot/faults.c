/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults of 64-bit code, and their error codes. */
#include "kernel.h"

#define NOT_CANONICAL (1ul << 60)

static void addresses(void)
{
    TRY("mov (%0), %%rax", "r"(NOT_CANONICAL));
    faulted(PROTECTION, 0, "an address that is not canonical");
    TRY("push %%rbp; mov %0, %%rbp; mov (%%rbp), %%rax", "r"(NOT_CANONICAL));
    check(seen.vector == STACK && seen.error == 0, "the same on the stack");
    __asm__ volatile("mov %%rsp, %%rax; pop %%rbp" : : : "rax", "memory");
    TRY("jmp *%0", "r"(NOT_CANONICAL));
    faulted(PROTECTION, 0, "a jump to where nothing can be");
    TRY("call *%0", "r"(NOT_CANONICAL));
    faulted(PROTECTION, 0, "a call to where nothing can be");
    TRY("wrmsr", "c"(0xc0000100), "d"(0x10000000));
    faulted(PROTECTION, 0, "a base of FS that is not canonical");
}

static void instructions(void)
{
    TRY("ud2", "r"(0));
    faulted(UNDEFINED, 0, "#UD");
    TRY(".byte 0x0e", "r"(0));
    faulted(UNDEFINED, 0, "PUSH CS in 64-bit mode");
    TRY(".byte 0xf0; nop", "r"(0));
    faulted(UNDEFINED, 0, "LOCK NOP");
    TRY("xor %%eax, %%eax; div %%rax", "r"(0));
    check(seen.vector == DIVIDE, "#DE");
    TRY("int3", "r"(0));
    trapped(BREAKPOINT, "INT3");
    TRY("int $0x55", "r"(0));
    trapped(0x55, "INT n");
    TRY(".fill 15, 1, 0x66; nop", "r"(0));
    faulted(PROTECTION, 0, "16 bytes of instruction");
}

static void selectors(void)
{
    TRY("mov %0, %%ds", "r"(PAST));
    faulted(PROTECTION, PAST, "a selector past the table");
    TRY("mov %0, %%es", "r"(ABSENT));
    faulted(NOT_PRESENT, ABSENT, "a segment that is not present");
    TRY("mov %0, %%ss", "r"(ABSENT));
    faulted(STACK, ABSENT, "a stack that is not present");
    TRY("mov %0, %%ss", "r"(CODE0));
    faulted(PROTECTION, CODE0, "code in SS");
    TRY("mov %0, %%ss", "r"(0));
    went_through("a null SS in 64-bit mode");
    __asm__ volatile("mov %0, %%ss" : : "r"(DATA0));
    TRY("ltr %w0", "r"(TASK));
    faulted(PROTECTION, TASK, "a busy TSS");
    TRY("push %0; push $0; lretq", "i"(DATA0));
    check(seen.vector == PROTECTION && seen.error == DATA0, "a far return to data");
    __asm__ volatile("add $16, %rsp");
    TRY("pushf; orl $0x4000, (%%rsp); popf; iretq", "r"(0));
    check(seen.vector == PROTECTION && seen.error == 0, "IRET with NT");
    __asm__ volatile("pushf; andl $~0x4000, (%rsp); popf");
    set_gate(0x66, 0, 0, 0);
    TRY("int $0x66", "r"(0));
    faulted(NOT_PRESENT, 0x66 * 8 + 2, "a gate that is not present");
}

static void ring3(void)
{
    static const uint8_t privileged[][4] = {
        {0xf4}, {0xfa}, {0xfb}, {0x0f, 0x30}, {0x0f, 0x22, 0xd8}, {0xe4, 0x60}, {0x0f, 0x01, 0x38},
        {0x0f, 0x09}, {0x0f, 0x00, 0xd8}, {0x0f, 0x21, 0xf8}, {0xcd, 0x55}, {0x0f, 0x06},
    };
    for (unsigned number = 0; number < sizeof privileged / 4; number++) {
        struct frame frame = task(user_store);
        for (unsigned byte = 0; byte < 4; byte++)
            user_store[byte] = (char)privileged[number][byte];
        run_user(&frame);
        uint64_t error = privileged[number][0] == 0xcd ? 0x55 * 8 + 2 : 0;
        check(frame.vector == PROTECTION && frame.error == error, "a privileged instruction");
        check(frame.rip == (uint64_t)user_store && frame.cs == CODE3, "where it is");
    }
    WRITE_CONTROL(0, READ_CONTROL(0) | CR0_AM);
    struct frame frame = task(user_misaligned);
    frame.rflags |= FLAG_AC;
    run_user(&frame);
    check(frame.vector == ALIGNMENT && frame.error == 0, "#AC");
    frame.rflags &= ~(uint64_t)FLAG_AC;
    run_user(&frame);
    check(frame.vector == SYSTEM_CALL, "no #AC with AC clear");
}

void faults(void)
{
    addresses();
    instructions();
    selectors();
    ring3();
}
