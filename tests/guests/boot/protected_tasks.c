/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Ring 3: stack switches, call gate, ports, SYSENTER; and virtual-8086 mode. */
#include "protected.h"

extern uint16_t v86_table[];

static struct frame task(const char *entry)
{
    struct frame frame = {
        .gs = DATA3, .fs = DATA3, .es = DATA3, .ds = DATA3, .eip = (uint32_t)entry,
        .cs = CODE3, .eflags = 2, .esp = (uint32_t)user_stack, .ss = DATA3,
    };
    return frame;
}

static int stopped(const struct frame *frame, uint32_t vector, uint32_t error)
{
    return frame->vector == vector && frame->error == error;
}

static void system_calls(void)
{
    struct frame frame = task(user_call);
    for (uint32_t number = 1; number <= 3; number++) {
        run_user(&frame);
        check(stopped(&frame, SYSTEM_CALL, 0) && frame.eax == number, "a system call");
    }
    check(frame.cs == CODE3 && frame.ss == DATA3 && frame.ds == DATA3, "segments of ring 3");
    check(frame.esp == (uint32_t)user_stack - 4, "the stack of ring 3");
}

static void refusals(void)
{
    struct frame frame = task(user_halt);
    run_user(&frame);
    check(stopped(&frame, PROTECTION, 0) && frame.eip == (uint32_t)user_halt, "CLI in ring 3");
    frame.eip++;
    run_user(&frame);
    check(stopped(&frame, PROTECTION, 0), "HLT in ring 3");
    frame = task(user_ports);
    run_user(&frame);
    check(stopped(&frame, PROTECTION, 0) && (frame.eax & 0xff) == 0x5a, "ports by the map");
    frame = task(user_interrupt);
    run_user(&frame);
    check(stopped(&frame, PROTECTION, TIMER_VECTOR * 8 + 2), "INT n to a gate of ring 0");
    frame = task(user_inner_gate);
    run_user(&frame);
    check(stopped(&frame, INVALID_TSS, DATA0), "a stack in the TSS that is of another ring");
    check(frame.eip == (uint32_t)user_inner_gate, "#TS at its instruction");
    frame = task(user_gate);
    run_user(&frame);
    check(stopped(&frame, SYSTEM_CALL, 0) && frame.eax == 42, "a call gate copies arguments");
    check(frame.edx == CODE0 && frame.ecx == DATA0, "a call gate leads to ring 0");
    check(frame.esp == (uint32_t)user_stack, "a far return drops arguments on both stacks");
}

static void preemption(void)
{
    struct frame frame = task(user_loop);
    frame.eflags |= FLAG_IF;
    out32(TIMER_PORT, 150);
    for (int turn = 0; turn < 4; turn++) {
        uint32_t before = frame.ecx;
        run_user(&frame);
        check(stopped(&frame, TIMER_VECTOR, 0) && frame.ecx > before, "preemption");
    }
    out32(TIMER_PORT, 0);
    frame.eflags = FLAG_TF | 2;
    frame.eip = (uint32_t)user_loop;
    run_user(&frame);
    check(frame.vector == DEBUG && frame.eip == (uint32_t)user_loop + 1, "single step in ring 3");
}

static void sysenter(void)
{
    write_msr(0x174, CODE0);
    write_msr(0x175, PROTECTED_STACK);
    write_msr(0x176, (uint32_t)sysenter_entry);
    struct frame frame = task(user_sysenter);
    run_user(&frame);
    check(stopped(&frame, SYSENTER_VECTOR, 0) && frame.esp == (uint32_t)user_stack, "SYSENTER");
    frame.eax = 37;
    run_user_sysexit(&frame);
    check(stopped(&frame, SYSTEM_CALL, 0) && frame.eax == 42, "SYSEXIT");
    check(frame.cs == CODE3 && frame.ss == DATA3, "SYSEXIT loads flat segments of ring 3");
}

static struct frame v86_task(const char *entry, uint32_t privilege)
{
    struct frame frame = task(0);
    frame.cs = (uint32_t)entry >> 4;
    frame.ss = (uint32_t)user_start >> 4;
    frame.esp = (uint32_t)(user_stack - user_start);
    frame.eflags = FLAG_VM | 2 | privilege << 12;
    frame.v86_gs = 0x1234;
    return frame;
}

static uint16_t *v86_stack(const struct frame *frame)
{
    return (uint16_t *)((frame->ss << 4) + (frame->esp & 0xffff));
}

/* Does what INT and IRET do in real-address mode, with a table of one entry. */
static void reflect(struct frame *frame)
{
    const uint8_t *code = (const uint8_t *)((frame->cs << 4) + frame->eip);
    if (code[0] == 0xcd) {
        frame->esp -= 6;
        uint16_t *stack = v86_stack(frame);
        stack[0] = (uint16_t)(frame->eip + 2);
        stack[1] = (uint16_t)frame->cs;
        stack[2] = (uint16_t)frame->eflags;
        frame->eip = v86_table[0];
    } else if (code[0] == 0xcf) {
        uint16_t *stack = v86_stack(frame);
        frame->eip = stack[0];
        frame->cs = stack[1];
        frame->esp += 6;
    } else if (code[0] == 0x9c) { /* PUSHF */
        frame->esp -= 2;
        *v86_stack(frame) = (uint16_t)frame->eflags;
        frame->eip++;
    }
}

static void virtual_8086(void)
{
    struct frame frame = v86_task(v86_code, 0);
    uint8_t stops[8];
    int count = 0;
    do {
        run_user(&frame);
        check(stopped(&frame, PROTECTION, 0) && frame.eflags & FLAG_VM, "a privileged instruction");
        stops[count] = *(uint8_t *)((frame.cs << 4) + frame.eip);
        reflect(&frame);
    } while (stops[count++] != 0xf4 && count < 8);
    check(count == 4 && stops[0] == 0xcd && stops[1] == 0xcf, "INT, IRET");
    check(stops[2] == 0x9c && stops[3] == 0xf4, "PUSHF, HLT");
    check((frame.eax & 0xffff) == 0x1235, "an interrupt that was reflected");
    check(frame.v86_ds == (uint32_t)v86_code >> 4 && frame.v86_es == SPARE >> 4, "its segments");
    check(frame.v86_gs == 0x1234, "its GS");
    check(!(frame.gs | frame.fs | frame.es | frame.ds), "segments in ring 0");
    check(*(volatile uint16_t *)(SPARE + 0x10) == 0xbeef, "its memory");
    check(*(volatile uint32_t *)(SPARE + 0x20) == 0x12351235, "STOS");
    check((frame.edi & 0xffff) == 0x26, "where it has come to");
    frame = v86_task(v86_interrupts, 3);
    run_user(&frame);
    check(stopped(&frame, SYSTEM_CALL, 0) && frame.eflags & FLAG_VM, "INT n with IOPL 3");
    run_user(&frame);
    check(stopped(&frame, BREAKPOINT, 0), "INT3");
    run_user(&frame);
    check(stopped(&frame, PROTECTION, 0), "HLT");
}

void tasks(void)
{
    system_calls();
    refusals();
    preemption();
    sysenter();
    virtual_8086();
}
