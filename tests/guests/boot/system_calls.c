/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* SYSCALL, SYSENTER, SWAPGS, the bases of FS and GS, and 32-bit code in ring 3. */
#include "kernel.h"

#define STAR 0xc0000081
#define LSTAR 0xc0000082
#define SFMASK 0xc0000084
#define FS_BASE 0xc0000100
#define GS_BASE 0xc0000101
#define KERNEL_GS_BASE 0xc0000102
#define FLAG_DF 0x400ul

/* What GS leads to in SYSCALL's entry. */
static volatile struct {
    uint64_t stack, task_stack;
} processor_area;

static void by_syscall(void)
{
    write_msr(STAR, (uint64_t)CODE3_32 << 48 | (uint64_t)CODE0 << 32);
    write_msr(LSTAR, (uint64_t)syscall_entry);
    write_msr(SFMASK, FLAG_IF | FLAG_DF | FLAG_TF);
    struct frame frame = task(user_syscall);
    processor_area.stack = (uint64_t)(&frame + 1);
    write_msr(KERNEL_GS_BASE, (uint64_t)&processor_area);
    TRY("cli", "r"(0)); /* nothing comes before the stack is the task's */
    run_user(&frame);
    check(frame.vector == UNDEFINED, "SYSCALL without SCE");
    write_msr(EFER, read_msr(EFER) | EFER_SCE);
    frame.rflags |= FLAG_DF | FLAG_CF;
    run_user(&frame);
    check(frame.vector == SYSCALL_VECTOR && frame.rax == 7, "SYSCALL");
    check(frame.rsp == (uint64_t)user_stack && frame.rflags & FLAG_DF, "RSP and RFLAGS");
    frame.rax = 40;
    run_user_sysret(&frame);
    check(frame.vector == SYSTEM_CALL && frame.rax == 42, "SYSRET");
    check(frame.cs == CODE3 && frame.ss == DATA3 && frame.rflags & FLAG_DF, "flags and segments");
    frame = task(user_syscall);
    run_user(&frame);
    run_user(&frame); /* by IRET, from the same frame */
    check(frame.vector == SYSTEM_CALL && frame.rax == 9, "IRET out of SYSCALL");
}

static void by_sysenter(void)
{
    write_msr(0x174, CODE0);
    write_msr(0x175, KERNEL_STACK);
    write_msr(0x176, (uint64_t)sysenter_entry);
    struct frame frame = task(user_sysenter);
    run_user(&frame);
    check(frame.vector == SYSENTER_VECTOR && frame.rsp == (uint64_t)user_stack, "SYSENTER");
    frame.rax = 37;
    run_user_sysexit(&frame);
    check(frame.vector == SYSTEM_CALL && frame.rax == 42, "SYSEXIT");
    check(frame.cs == CODE3 && frame.ss == DATA3_SYSEXIT, "the segments of SYSEXIT");
    write_msr(0x174, 0);
    frame = task(user_sysenter);
    run_user(&frame);
    check(frame.vector == PROTECTION && frame.error == 0, "SYSENTER without CS");
}

static void narrow(void)
{
    struct frame frame = task(user_narrow);
    frame.cs = CODE3_32;
    frame.rax = 1ul << 32 | 5;
    run_user(&frame);
    check(frame.vector == SYSTEM_CALL && frame.rax == 6, "32-bit code in ring 3");
    check(frame.cs == CODE3_32 && frame.rsp == (uint64_t)user_stack - 4, "its stack");
    run_user(&frame);
    check(frame.vector == SYSTEM_CALL && frame.cs == CODE3, "a jump to 64-bit code");
    check(frame.rbx == 0x123456789a, "64-bit code");
}

/* To 32-bit code by SYSRET and SYSEXIT, and what Intel's processors do of its system calls. */
static void narrow_returns(void)
{
    struct frame frame = task(user_narrow);
    frame.rax = 9;
    run_user_sysret_narrow(&frame);
    check(frame.vector == SYSTEM_CALL && frame.rax == 10, "SYSRET to 32-bit code");
    check(frame.cs == CODE3_32 && frame.ss == DATA3, "the segments of SYSRET");
    write_msr(0x174, CODE0);
    frame = task(user_narrow);
    frame.rax = 19;
    run_user_sysexit_narrow(&frame);
    check(frame.vector == SYSTEM_CALL && frame.rax == 20, "SYSEXIT to 32-bit code");
    check(frame.cs == CODE3_32 && frame.ss == DATA3, "the segments of SYSEXIT");
    user_store[0] = 0x0f, user_store[1] = 0x05;
    frame.rip = (uint64_t)user_store;
    run_user(&frame);
    check(frame.vector == UNDEFINED && frame.cs == CODE3_32, "SYSCALL in 32-bit code");
    user_store[1] = 0x34;
    frame.rcx = 0x1234, frame.rdx = 0x5678;
    run_user(&frame);
    check(frame.vector == SYSENTER_VECTOR && frame.rsp == 0x1234, "SYSENTER in 32-bit code");
    check(frame.rip == 0x5678, "what it has left in EDX");
    write_msr(0x174, 0);
}

static void bases(void)
{
    uint64_t value;
    static uint64_t words[2] = {0x1111, 0x2222};
    write_msr(FS_BASE, (uint64_t)&words[0]);
    write_msr(GS_BASE, (uint64_t)&words[1]);
    __asm__ volatile("mov %%fs:0, %0" : "=r"(value));
    check(value == 0x1111, "FS");
    __asm__ volatile("swapgs");
    check(read_msr(KERNEL_GS_BASE) == (uint64_t)&words[1], "SWAPGS, one way");
    __asm__ volatile("swapgs; mov %%gs:0, %0" : "=r"(value));
    check(value == 0x2222, "and back");
    TRY("rdfsbase %%rax", "r"(0));
    faulted(UNDEFINED, 0, "RDFSBASE without its bit");
    struct frame frame = task(user_segments);
    run_user(&frame);
    check(frame.vector == UNDEFINED, "the same in ring 3");
    if (!(cpuid(7, 0).b & 1))
        return;
    WRITE_CONTROL(4, READ_CONTROL(4) | CR4_FSGSBASE);
    frame.rbx = (uint64_t)user_stack - 16;
    frame.rcx = (uint64_t)user_stack - 8;
    run_user(&frame);
    check(frame.vector == SYSTEM_CALL && frame.rax == 0x33 && frame.rdx == frame.rbx, "WRFSBASE");
    check(read_msr(FS_BASE) == frame.rbx && read_msr(GS_BASE) == frame.rcx, "bases that ring 3 set");
    __asm__ volatile("mov %0, %%fs" : : "r"(0));
    check(read_msr(GS_BASE) == frame.rcx, "a null FS leaves GS");
    frame = task(user_store);
    user_store[0] = 0x0f, user_store[1] = 0x01, user_store[2] = (char)0xf8;
    run_user(&frame);
    check(frame.vector == PROTECTION, "SWAPGS in ring 3");
}

void system_calls(void)
{
    by_syscall();
    by_sysenter();
    narrow();
    narrow_returns();
    bases();
}
