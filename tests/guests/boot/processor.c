/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID, MSRs, the time-stamp counter, control registers, XCR0. */
#include "kernel.h"

#define TSC 0x10
#define APIC_BASE 0x1b
#define UNKNOWN_MSR 0x12345678
#define STORE_TABLE "\x0f\x01\x03\xcd\x80" /* sgdt (%rbx); int $80 */

static uint64_t tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static void identification(void)
{
    struct leaf leaf = cpuid(0, 0);
    check(leaf.a >= 7 && leaf.b && leaf.c && leaf.d, "a vendor and leaf 7");
    check(cpuid(1, 0).d & 1, "an x87 unit");
    check(!(cpuid(1, 0).c >> 27 & 1), "OSXSAVE is clear");
    check(cpuid(0x80000001, 0).d >> 29 & 1, "long mode");
    leaf = cpuid(0x80000008, 0);
    check((leaf.a & 0xff) >= 36 && (leaf.a >> 8 & 0xff) >= 48, "widths of addresses");
}

static void registers(void)
{
    TRY("rdmsr", "c"(UNKNOWN_MSR));
    faulted(PROTECTION, 0, "RDMSR of an unknown MSR");
    TRY("wrmsr", "c"(UNKNOWN_MSR), "d"(0));
    faulted(PROTECTION, 0, "WRMSR of an unknown MSR");
    check(read_msr(APIC_BASE) >> 11 & 1, "an MSR of the owner's file");
    write_msr(0xc0000103, 5);
    uint32_t number, low, high;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(number));
    check(number == 5, "RDTSCP brings TSC_AUX");
    uint64_t before = tsc(), between = tsc(), after = tsc();
    check(before < between && between < after, "time goes on");
    write_msr(TSC, 1ul << 40);
    uint64_t later = tsc();
    check(later >= 1ul << 40 && later < (1ul << 40) + 100, "time can be set");
    TRY("mov %0, %%cr4", "r"(1ul << 31));
    faulted(PROTECTION, 0, "a reserved bit of CR4");
    TRY("mov %0, %%cr0", "r"(READ_CONTROL(0) & ~1ul));
    faulted(PROTECTION, 0, "PE cleared under paging");
    TRY("mov %0, %%cr4", "r"(READ_CONTROL(4) & ~(uint64_t)CR4_PAE));
    faulted(PROTECTION, 0, "PAE cleared in 64-bit mode");
    TRY("mov %0, %%cr4", "r"(READ_CONTROL(4) ^ CR4_LA57));
    faulted(PROTECTION, 0, "another number of levels in 64-bit mode");
    TRY("mov %0, %%cr3", "r"(READ_CONTROL(3) | 1ul << 60));
    faulted(PROTECTION, 0, "a reserved bit of CR3");
    TRY("mov %0, %%cr8", "r"(16ul));
    faulted(PROTECTION, 0, "a priority of 16");
}

static void extended_state(void)
{
    TRY("xgetbv", "c"(0));
    faulted(UNDEFINED, 0, "XGETBV without OSXSAVE");
    WRITE_CONTROL(4, READ_CONTROL(4) | CR4_OSXSAVE);
    check(cpuid(1, 0).c >> 27 & 1, "OSXSAVE shows");
    struct leaf leaf = cpuid(13, 0);
    TRY("xor %%eax, %%eax; xsetbv", "c"(0), "d"(0));
    check(seen.vector == PROTECTION, "XCR0 without x87");
    TRY("mov $5, %%eax; xsetbv", "c"(0), "d"(0));
    check(seen.vector == PROTECTION, "XCR0 with AVX and without SSE");
    TRY("mov $7, %%eax; xsetbv", "c"(1), "d"(0));
    check(seen.vector == PROTECTION, "XCR1");
    __asm__ volatile("xsetbv" : : "a"(leaf.a & 7), "d"(0), "c"(0));
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    check(low == (leaf.a & 7) && !high && (low & 3) == 3, "XCR0");
    check(cpuid(13, 0).b == (low & 4 ? 832 : 576), "the size of its area");
}

/* What ring 3 may not, once its bit of CR4 is set. */
static void user_mode(void)
{
    struct frame frame = task(user_store);
    for (unsigned byte = 0; byte < sizeof STORE_TABLE; byte++)
        user_store[byte] = STORE_TABLE[byte];
    frame.rbx = (uint64_t)user_stack - 64;
    run_user(&frame);
    check(frame.vector == SYSTEM_CALL, "SGDT in ring 3");
    if (!(cpuid(7, 0).c >> 2 & 1))
        return;
    WRITE_CONTROL(4, READ_CONTROL(4) | CR4_UMIP);
    frame.rip = (uint64_t)user_store;
    run_user(&frame);
    check(frame.vector == PROTECTION && frame.error == 0, "UMIP");
    WRITE_CONTROL(4, READ_CONTROL(4) & ~CR4_UMIP);
}

static void unit(void)
{
    static uint8_t area[512] __attribute__((aligned(16)));
    WRITE_CONTROL(0, READ_CONTROL(0) | CR0_TS);
    TRY("movups %%xmm0, %%xmm1", "r"(0));
    faulted(NO_DEVICE, 0, "SSE with TS");
    TRY("fxsave (%0)", "r"(area));
    faulted(NO_DEVICE, 0, "FXSAVE with TS");
    __asm__ volatile("clts; fninit; fxsave (%0)" : : "r"(area) : "memory");
    check(*(uint16_t *)area == 0x37f && *(uint32_t *)(area + 24) == 0x1f80, "initial control words");
    TRY("fxsave (%0)", "r"(area + 8));
    faulted(PROTECTION, 0, "a misaligned area");
    TRY("ldmxcsr (%0)", "r"(area + 508));
    went_through("MXCSR");
    *(uint32_t *)area = 0x10000;
    TRY("ldmxcsr (%0)", "r"(area));
    faulted(PROTECTION, 0, "a reserved bit of MXCSR");
    *(uint32_t *)area = 0x1f80;
    __asm__ volatile("ldmxcsr (%0)" : : "r"(area));
}

void processor(void)
{
    identification();
    registers();
    extended_state();
    user_mode();
    unit();
}
