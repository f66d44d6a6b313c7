/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults, and what a kernel does about them: page faults of each kind with their error codes, pages
   on demand, copies on write; other exceptions, single steps, stacks of their own; ring 3 and back.
*/
#include "boot.h"
#include "paging.h"
#include "probes.h"
#include "report.h"
#include "traps.h"
#include "user.h"

enum { ERROR_PRESENT = 1, ERROR_WRITE = 2, ERROR_USER = 4, ERROR_RESERVED = 8, ERROR_FETCH = 16 };
enum { NO_FAULT = 0xff, TRAP_DF = 8, IST_BYTES = 4096, STACK_PAGE = 14, CODE_PAGE = 15 };
enum { MSR_STAR = 0xc0000081, MSR_LSTAR = 0xc0000082, MSR_SFMASK = 0xc0000084 };
enum { HYPERVISOR_LEAF = 0x40000000, KVM_NAME = 0x4b4d564b, FLAGS_TF_IF = 0x300 };
enum { CPUID_SMEP = 1 << 7, CPUID_SMAP = 1 << 20, CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21 };

/* What the last trap was; vector NO_FAULT before. */
static volatile struct trap_note {
    uint64_t vector, error, cr2, rip, rsp, cs, rax, at;
    uint32_t count;
} note;

/* What a page fault does before the instruction is tried again; NULL: it is not. */
static bool (*repair)(uint64_t address);

static uint8_t ist_stacks[2][IST_BYTES] __attribute__((aligned(16)));
static uint8_t trap_stack[IST_BYTES] __attribute__((aligned(16)));

static void write_note(const struct trap_frame *frame)
{
    note.vector = frame->vector;
    note.error = frame->error;
    note.cr2 = read_cr2();
    note.rip = frame->rip;
    note.rsp = frame->rsp;
    note.cs = frame->cs;
    note.rax = frame->rax;
    note.at = (uint64_t)frame;
    note.count++;
}

static void forget(void)
{
    note.vector = NO_FAULT;
    note.error = note.cr2 = note.count = 0;
}

/* Go on in the kernel, wherever the trap came from. */
static void resume(struct trap_frame *frame)
{
    bool from_user = frame->cs & 3;
    frame->rip = from_user ? (uint64_t)return_from_user : probe_resume;
    frame->rsp = from_user ? kernel_stack : probe_stack;
    frame->cs = CODE0;
    frame->ss = DATA0;
    frame->rflags = 2;
}

static void take_fault(struct trap_frame *frame)
{
    write_note(frame);
    if (frame->vector == TRAP_PF && repair && repair(note.cr2))
        return;
    resume(frame);
}

/* Traps that go on by themselves. */
static void take_trap(struct trap_frame *frame)
{
    write_note(frame);
    if (frame->cs & 3)
        resume(frame);
}

static void check_fault(const char *name, uint64_t vector, uint64_t error, uint64_t cr2)
{
    bool good = note.vector == vector && note.error == error;
    good = good && (vector != TRAP_PF || note.cr2 == cr2);
    check(good, name, "vector %lu error %lx cr2 %lx", note.vector, note.error,
          vector == TRAP_PF ? note.cr2 : 0ul);
}

/* -- page faults of ring 0 --------------------------------------------------------------------- */

static const struct page_case {
    const char *name;
    uint64_t page;  /* flags of its entry */
    probe_function probe;
    uint32_t clear_cr0, set_cr4;
    uint64_t error; /* NO_FAULT: there is none */
} page_cases[] = {
    {"absent-read", 0, probe_read, 0, 0, 0},
    {"absent-write", 0, probe_write, 0, 0, ERROR_WRITE},
    {"absent-fetch", 0, probe_execute, 0, 0, ERROR_FETCH},
    {"readable", PAGE_PRESENT, probe_read, 0, 0, NO_FAULT},
    {"protected-write", PAGE_PRESENT, probe_write, 0, 0, ERROR_PRESENT | ERROR_WRITE},
    {"write-without-wp", PAGE_PRESENT, probe_write, CR0_WP, 0, NO_FAULT},
    {"writable", PAGE_PRESENT | PAGE_WRITABLE, probe_write, 0, 0, NO_FAULT},
    {"no-execute", PAGE_PRESENT | PAGE_NX, probe_execute, 0, 0, ERROR_PRESENT | ERROR_FETCH},
    {"executable", PAGE_PRESENT, probe_execute, 0, 0, NO_FAULT},
    {"user-page", PAGE_PRESENT | PAGE_USER, probe_execute, 0, 0, NO_FAULT},
    {"smep", PAGE_PRESENT | PAGE_USER, probe_execute, 0, CR4_SMEP, ERROR_PRESENT | ERROR_FETCH},
    {"smap", PAGE_PRESENT | PAGE_USER, probe_read, 0, CR4_SMAP, ERROR_PRESENT},
};

static uint32_t features_cr4(void)
{
    uint32_t bits = cpuid(0).eax >= 7 ? cpuid(7).ebx : 0;
    return (bits & CPUID_SMEP ? CR4_SMEP : 0) | (bits & CPUID_SMAP ? CR4_SMAP : 0);
}

static void check_page_case(const struct page_case *row)
{
    uint64_t address = page_address(0);
    page_frames[0][0] = 0xc3; /* RET, for those that execute it */
    map_page(0, 0, row->page);
    forget();
    change_controls(row->clear_cr0, row->set_cr4);
    row->probe(address + 0);
    restore_controls();
    if (row->error == NO_FAULT)
        check(note.vector == NO_FAULT, row->name, "no fault");
    else
        check_fault(row->name, TRAP_PF, row->error, address);
}

static void check_page_cases(void)
{
    uint32_t has = features_cr4();
    for (size_t i = 0; i < sizeof page_cases / sizeof *page_cases; i++)
        if (!(page_cases[i].set_cr4 & ~has))
            check_page_case(&page_cases[i]);
    forget();
    probe_read(RESERVED_ADDRESS);
    note.error |= ERROR_PRESENT; /* QEMU 7.2's own processor leaves that bit clear here */
    check_fault("reserved-bit", TRAP_PF, ERROR_PRESENT | ERROR_RESERVED, RESERVED_ADDRESS);
}

/* -- repair and restart ------------------------------------------------------------------------ */

enum { DEMAND_FIRST = 1, DEMAND_PAGES = 8, COW_PAGE = 10, COPY_FRAME = 11 };

static bool give_page(uint64_t address)
{
    uint32_t page = (uint32_t)((address - page_address(0)) / PAGE_BYTES);
    if (page < DEMAND_FIRST || page >= DEMAND_FIRST + DEMAND_PAGES)
        return false;
    map_page(page, page, PAGE_PRESENT | PAGE_WRITABLE);
    return true;
}

static bool copy_page(uint64_t address)
{
    (void)address;
    for (uint32_t i = 0; i < PAGE_BYTES; i++)
        page_frames[COPY_FRAME][i] = page_frames[COW_PAGE][i];
    map_page(COW_PAGE, COPY_FRAME, PAGE_PRESENT | PAGE_WRITABLE);
    return true;
}

/* One REP STOSQ over all pages, that is interrupted at each. */
static void check_demand(void)
{
    void *at = (void *)page_address(DEMAND_FIRST);
    uint64_t words = DEMAND_PAGES * PAGE_BYTES / 8, right = 0;
    forget();
    repair = give_page;
    __asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(0x0123456789abcdefull) : "memory");
    repair = NULL;
    for (uint32_t i = 0; i < DEMAND_PAGES; i++) {
        const uint64_t *frame = (const uint64_t *)page_frames[DEMAND_FIRST + i];
        right += frame[0] == 0x0123456789abcdef && frame[511] == 0x0123456789abcdef;
    }
    check(note.count == DEMAND_PAGES && right == DEMAND_PAGES && !words, "demand",
          "%u faults, %lu pages", note.count, right);
    check((page_entry(DEMAND_FIRST) & (PAGE_ACCESSED | PAGE_DIRTY)) ==
              (PAGE_ACCESSED | PAGE_DIRTY), "accessed-dirty", "entry %lx",
          page_entry(DEMAND_FIRST));
}

static void check_copy_on_write(void)
{
    page_frames[COW_PAGE][5] = 0x11;
    map_page(COW_PAGE, COW_PAGE, PAGE_PRESENT);
    forget();
    repair = copy_page;
    probe_write(page_address(COW_PAGE));
    repair = NULL;
    volatile uint8_t *page = (volatile uint8_t *)page_address(COW_PAGE);
    check(note.count == 1 && page[0] == 0x5a && page[5] == 0x11 && !page_frames[COW_PAGE][0],
          "copy-on-write", "%u fault", note.count);
}

/* -- other exceptions -------------------------------------------------------------------------- */

static const struct exception_case {
    const char *name;
    probe_function probe;
    uint64_t argument, vector, error;
} exception_cases[] = {
    {"non-canonical", probe_read, 0x8000000000000000, TRAP_GP, 0},
    {"bad-selector", probe_selector, 0x1f8, TRAP_GP, 0x1f8},
    {"undefined", probe_undefined, 0, TRAP_UD, 0},
    {"divide", probe_divide, 0, TRAP_DE, 0},
    {"breakpoint", probe_breakpoint, 0, TRAP_BP, 0},
};

static bool is_in(uint64_t address, const uint8_t *stack)
{
    return address >= (uint64_t)stack && address < (uint64_t)stack + IST_BYTES;
}

static void check_exceptions(void)
{
    for (size_t i = 0; i < sizeof exception_cases / sizeof *exception_cases; i++) {
        const struct exception_case *row = &exception_cases[i];
        forget();
        row->probe(row->argument);
        check_fault(row->name, row->vector, row->error, 0);
    }
}

static void check_steps(void)
{
    uint64_t dr6;
    forget();
    probe_steps(0);
    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    check(note.vector == TRAP_DB && note.count == STEPS && dr6 & 0x4000, "single-step",
          "%u steps, DR6 %lx", note.count, dr6);
}

/* A fault on a stack of its own, and one that needs it: the stack is not there. */
static void check_stacks(void)
{
    task_states[0].ist[0] = (uint64_t)ist_stacks[0] + IST_BYTES;
    task_states[0].ist[1] = (uint64_t)ist_stacks[1] + IST_BYTES;
    trap_gate(TRAP_UD, 0, 1);
    forget();
    probe_undefined(0);
    check(note.vector == TRAP_UD && is_in(note.at, ist_stacks[0]) && note.rsp == probe_stack,
          "ist", "frame at %lx", note.at);
    trap_gate(TRAP_DF, 0, 2);
    map_page(0, 0, 0);
    forget();
    probe_push(page_address(0) + PAGE_BYTES);
    check(note.vector == TRAP_DF && !note.error && is_in(note.at, ist_stacks[1]), "double-fault",
          "vector %lu error %lx rsp %lx", note.vector, note.error, note.rsp);
    trap_gate(TRAP_UD, 0, 0);
}

/* -- ring 3 ------------------------------------------------------------------------------------ */

static const struct user_case {
    const char *name;
    const uint8_t *code;
    uint64_t argument, vector, error;
} user_cases[] = {
    {"user-value", user_value, 0, USER_VECTOR, 0},
    {"user-read", user_read, 0x100000, TRAP_PF, ERROR_PRESENT | ERROR_USER},
    {"user-write", user_write, 0x100000, TRAP_PF, ERROR_PRESENT | ERROR_USER | ERROR_WRITE},
    {"user-jump", user_jump, 0x100000, TRAP_PF, ERROR_PRESENT | ERROR_USER | ERROR_FETCH},
    {"user-absent", user_read, PAGES_ADDRESS, TRAP_PF, ERROR_USER},
    {"user-cli", user_cli, 0, TRAP_GP, 0},
    {"user-out", user_out, 0, TRAP_GP, 0},
    {"user-interrupt", user_interrupt, 0, TRAP_GP, SPURIOUS_VECTOR * 8 + 2},
    {"user-breakpoint", user_breakpoint, 0, TRAP_BP, 0},
    {"user-system-call", user_system_call, 41, TRAP_UD, 0},
};

/* QEMU 7.2's own processor tells the vector of a forbidden INT times 16, not times 8. */
static void mend_index(void)
{
    if (note.vector == TRAP_GP && note.error == SPURIOUS_VECTOR * 16 + 2)
        note.error = SPURIOUS_VECTOR * 8 + 2;
}

uint64_t system_call(uint64_t argument)
{
    return argument + 1;
}

/* Where KVM runs in a virtual machine itself, without the processor's help, INT n in ring 3 may be
   #UD, and SYSCALL may go to its handler and stay in ring 3. */
static bool beyond_kvm(const struct user_case *row)
{
    bool has_int = row->code == user_value || row->code == user_interrupt;
    bool stays = row->code == user_system_call && note.rip == (uint64_t)system_call_entry;
    bool is_kvm = cpuid(HYPERVISOR_LEAF).ebx == KVM_NAME;
    return is_kvm && ((has_int && note.vector == TRAP_UD) || (stays && note.vector == TRAP_PF));
}

static void check_user_results(const struct user_case *row)
{
    check((note.cs & 3) == 3 && is_in(note.at, trap_stack), "from-ring-3", "cs %lx", note.cs);
    if (row->code == user_value)
        check(note.rax == USER_VALUE, "user-result", "%lx", note.rax);
    if (row->code == user_system_call)
        check(note.rax == row->argument + 1, "system-call", "returned %lu", note.rax);
}

static void run_user_code(const uint8_t *code, uint64_t argument)
{
    uint64_t offset = (uint64_t)(code - user_code);
    run_user(page_address(CODE_PAGE) + offset, page_address(STACK_PAGE) + PAGE_BYTES, argument);
}

static void prepare_user(void)
{
    size_t size = (size_t)(user_code_limit - user_code);
    for (size_t i = 0; i < size; i++)
        page_frames[CODE_PAGE][i] = user_code[i];
    map_page(CODE_PAGE, CODE_PAGE, PAGE_PRESENT | PAGE_USER);
    map_page(STACK_PAGE, STACK_PAGE, PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER | PAGE_NX);
    task_states[0].rsp[0] = (uint64_t)trap_stack + IST_BYTES;
    trap_gate(USER_VECTOR, 3, 0);
    trap_gate(TRAP_BP, 3, 0);
    write_msr(MSR_STAR, (uint64_t)SYSRET_BASE << 48 | (uint64_t)CODE0 << 32);
    write_msr(MSR_LSTAR, (uint64_t)system_call_entry);
    write_msr(MSR_SFMASK, FLAGS_TF_IF);
}

static void check_user(void)
{
    prepare_user();
    for (size_t i = 0; i < sizeof user_cases / sizeof *user_cases; i++) {
        const struct user_case *row = &user_cases[i];
        forget();
        run_user_code(row->code, row->argument);
        mend_index();
        if (beyond_kvm(row)) {
            print("%s: this KVM cannot do that, vector %lu\n", row->name, note.vector);
            continue;
        }
        check_fault(row->name, row->vector, row->error, row->argument);
        check_user_results(row);
    }
}

void guest_main(void)
{
    static const uint8_t faults[] = {TRAP_DE, TRAP_UD, TRAP_DF, TRAP_GP, TRAP_PF, USER_VECTOR};
    for (size_t i = 0; i < sizeof faults; i++)
        trap_handle(faults[i], take_fault);
    trap_handle(TRAP_DB, take_trap);
    trap_handle(TRAP_BP, take_trap);
    paging_begin();
    check_page_cases();
    check_demand();
    check_copy_on_write();
    check_exceptions();
    check_steps();
    check_stacks();
    check_user();
}
