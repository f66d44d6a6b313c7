/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* What ring 3 may and may not, returns to it, priorities of events, what XSAVE keeps, PCIDs. */
#include "kernel.h"

#define IOPL3 0x3000ul
#define CR4_TSD 0x4
#define CR4_PCE 0x100
#define CR4_PCIDE 0x20000

static char order[4];
static unsigned events;

/* A few bytes of code in ring 3. */
#define RUN(frame, code)                                                                           \
    do {                                                                                           \
        for (unsigned byte_ = 0; byte_ < sizeof code; byte_++)                                     \
            user_store[byte_] = code[byte_];                                                       \
        (frame)->rip = (uint64_t)user_store;                                                       \
        run_user(frame);                                                                           \
    } while (0)

static void flags(void)
{
    struct frame frame = task(user_store);
    /* pushf; orl $0x3200, (%rsp); popf; pushf; pop %rax; int $0x80 */
    static const char change[] = "\x9c\x81\x0c\x24\x00\x32\0\0\x9d\x9c\x58\xcd\x80";
    RUN(&frame, change);
    check(frame.vector == SYSTEM_CALL && !(frame.rax & 0x3200), "POPF leaves IF and IOPL");
    frame.rflags |= IOPL3;
    RUN(&frame, "\xfb\x90\xfa\xcd\x80"); /* sti; nop; cli; int $0x80 */
    check(frame.vector == SYSTEM_CALL && !(frame.rflags & FLAG_IF), "STI and CLI by IOPL");
    frame.rflags |= FLAG_IF;
    RUN(&frame, "\xfa\xcd\x80");
    check(frame.vector == SYSTEM_CALL && !(frame.rflags & FLAG_IF), "CLI by IOPL");
    frame.rflags = 2;
    RUN(&frame, "\xf1");
    check(frame.vector == DEBUG && frame.rip == (uint64_t)user_store + 1, "INT1 asks no DPL");
    RUN(&frame, "\xcd\x01");
    check(frame.vector == PROTECTION && frame.error == 8 + 2, "INT n does");
    RUN(&frame, "\xcc");
    check(frame.vector == BREAKPOINT && frame.rip == (uint64_t)user_store + 1, "INT3");
}

static void counters(void)
{
    struct frame frame = task(user_store);
    RUN(&frame, "\x0f\x31\xcd\x80"); /* rdtsc */
    check(frame.vector == SYSTEM_CALL, "RDTSC in ring 3");
    WRITE_CONTROL(4, READ_CONTROL(4) | CR4_TSD);
    RUN(&frame, "\x0f\x31\xcd\x80");
    check(frame.vector == PROTECTION && frame.error == 0, "TSD");
    WRITE_CONTROL(4, READ_CONTROL(4) & ~CR4_TSD);
    RUN(&frame, "\x0f\x33\xcd\x80"); /* rdpmc */
    check(frame.vector == PROTECTION && frame.error == 0, "RDPMC without PCE");
}

static void returns(void)
{
    TRY("push %0; push $0x100; push $2; push %1; push $0; movb $0x80, 7(%%rsp); iretq",
        "i"(DATA3), "i"(CODE3));
    check(seen.vector == PROTECTION && seen.error == 0, "IRET to where nothing can be");
    __asm__ volatile("add $40, %rsp");
    TRY("push %0; push $0x100; push $2; push %1; push $0; iretq", "i"(DATA3), "i"(DATA3));
    check(seen.vector == PROTECTION && seen.error == (DATA3 & ~3), "IRET to data");
    __asm__ volatile("add $40, %rsp");
    TRY("push $0; push $0x100; push $2; push %0; push $0; iretq", "i"(CODE3));
    check(seen.vector == PROTECTION && seen.error == 0, "IRET to ring 3 without a stack");
    __asm__ volatile("add $40, %rsp");
}

static int mark(struct frame *frame)
{
    order[events++ & 3] = frame->vector == NMI ? 'n' : frame->vector == DEBUG ? 'd' : 't';
    __asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
    frame->rflags &= ~(uint64_t)FLAG_TF;
    return 1;
}

/* A trap, an NMI and an interrupt wait at the same place: STI has put the last off. */
static void priorities(void)
{
    handler *before[] = {handlers[NMI], handlers[TIMER_VECTOR], handlers[DEBUG]};
    handlers[NMI] = handlers[TIMER_VECTOR] = handlers[DEBUG] = mark;
    out32(TIMER_PORT, 1);
    out32(TIMER_PORT, 0);
    __asm__ volatile("sti; outb %%al, %0; nop; cli" : : "i"(NMI_PORT) : "memory");
    check(events == 2 && order[0] == 'n' && order[1] == 't', "an NMI before an interrupt");
    events = 0;
    out32(TIMER_PORT, 1);
    out32(TIMER_PORT, 0);
    __asm__ volatile("pushf; orl $0x300, (%%rsp); popf; outb %%al, %0; nop; cli"
                     : : "i"(NMI_PORT) : "memory");
    check(events >= 2, "a trap, an NMI and an interrupt");
    handlers[NMI] = before[0], handlers[TIMER_VECTOR] = before[1], handlers[DEBUG] = before[2];
}

static uint64_t vector(void)
{
    uint64_t value;
    __asm__ volatile("movq %%xmm1, %0" : "=r"(value));
    return value;
}

/* Saves XMM1 by an instruction in `code`, loses it, and restores it. */
#define KEEPS(save, restore, name)                                                                 \
    do {                                                                                           \
        zero(area, sizeof area);                                                                   \
        __asm__ volatile("movq %0, %%xmm1;" save "; pxor %%xmm1, %%xmm1;" restore                   \
                         : : "r"(0x1122334455667788ul), "r"(area), "a"(7), "d"(0) : "memory");      \
        check(vector() == 0x1122334455667788, name);                                               \
    } while (0)

static void state(void)
{
    static uint8_t area[1024] __attribute__((aligned(64)));
    uint32_t kinds = cpuid(13, 1).a;
    KEEPS("xsave (%1)", "xrstor (%1)", "XSAVE");
    check(*(uint64_t *)(area + 512) & 2, "what is in use");
    if (kinds & 1)
        KEEPS("xsaveopt (%1)", "xrstor (%1)", "XSAVEOPT");
    if (kinds & 2) {
        KEEPS("xsavec (%1)", "xrstor (%1)", "XSAVEC");
        check(*(uint64_t *)(area + 520) >> 63, "the compacted format");
    }
    if (kinds & 8)
        KEEPS("xsaves (%1)", "xrstors (%1)", "XSAVES");
    TRY("xrstor (%0)", "r"(area + 8), "d"(0));
    faulted(PROTECTION, 0, "a misaligned area");
    *(uint64_t *)(area + 512) |= 1ul << 60;
    TRY("mov $7, %%eax; xrstor (%0)", "r"(area), "d"(0));
    check(seen.vector == PROTECTION, "a component that there is not");
}

static void contexts(void)
{
    if (!(cpuid(1, 0).c >> 17 & 1))
        return;
    uint64_t tables = READ_CONTROL(3);
    WRITE_CONTROL(4, READ_CONTROL(4) | CR4_PCIDE);
    WRITE_CONTROL(3, tables | 5);
    check(READ_CONTROL(3) == (tables | 5), "a PCID");
    WRITE_CONTROL(3, tables | 6 | 1ul << 63);
    check(READ_CONTROL(3) == (tables | 6), "bit 63 asks for nothing to be kept");
    static const uint64_t descriptor[2] = {5, FAR_AWAY};
    if (cpuid(7, 0).b >> 10 & 1) {
        for (uint64_t type = 0; type < 4; type++)
            __asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"(type) : "memory");
        TRY("invpcid %0, %1", "m"(descriptor), "r"(4ul));
        faulted(PROTECTION, 0, "a type of INVPCID that there is not");
    }
    TRY("mov %0, %%cr0", "r"(READ_CONTROL(0) & ~(uint64_t)CR0_PG));
    faulted(PROTECTION, 0, "PG cleared with PCIDE");
    WRITE_CONTROL(3, tables);
    WRITE_CONTROL(4, READ_CONTROL(4) & ~CR4_PCIDE);
    TRY("mov %0, %%cr3", "r"(tables | 1ul << 63));
    faulted(PROTECTION, 0, "bit 63 without PCIDE");
}

void privileges(void)
{
    flags();
    counters();
    returns();
    priorities();
    state();
    contexts();
}
