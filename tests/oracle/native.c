/* SPDX-FileCopyrightText: 2026 vmmkit contributors
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Runs single instructions on the processor this program runs on, in 64-bit, 32-bit and 16-bit
 * protected mode, and tells what they did. A test tool: nothing of it is part of the library.
 *
 * Cases are run by a forked child, so that whatever an instruction does to memory, segment
 * registers or signal state stays there. The child clears the first 4 GiB of its address space,
 * maps one page for code and the windows for data there, writes its own LDT, and then serves
 * batches that lie in shared memory, until its socket is closed. For each case it
 *
 *   1. copies the memory image into the windows, through a second mapping that is always writable,
 *   2. fills the code page with INT3 and places the code,
 *   3. loads segment registers and general registers and enters by IRETQ, which takes CS:RIP,
 *      RFLAGS (TF too) and SS:RSP from the stack at once,
 *   4. comes back in a signal handler on its own stack, which keeps all registers and resumes at
 *      `oracle_leave`: after a fault, a single step, or the INT3 behind the code,
 *   5. copies the windows back.
 *
 * INT3 rather than a jump ends a case since it is the same byte in every mode and leaves the code
 * page with known contents: an instruction may well read it.
 *
 * While the instruction's registers are loaded, FS does not point to thread storage: the handler
 * and everything it calls must do without, so this file is compiled without stack protectors. */

#define _GNU_SOURCE
#include <asm/ldt.h>
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { CS = 1, SS = 2, SEGMENTS = 6, PAGE = 4096, MEMORY = 4 * PAGE };
enum { NOT_ENTERED = 255, INT3 = 0xCC };
enum { USER_CS = 0x33, USER_DS = 0x2B };
enum { RFLAGS_FIXED = 2, RFLAGS_IF = 0x200, RFLAGS_AC = 1 << 18 };
/* Exit status of a child that could not set itself up; native.py has the texts. */
enum { OK, NO_MEMORY, NO_SIGNALS, NO_LDT, NO_XSAVE };
enum { SERVED = 3 }; /* the child's end of the socket */

/* The instruction's registers, in the numbering of the instruction format: rAX, rCX, rDX, rBX,
 * rSP...; ES, CS, SS, DS, FS, GS. Before the run what is loaded, afterwards what was found. */
typedef struct {
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t rflags;
    uint64_t selector[SEGMENTS];
    uint64_t base[2]; /* of FS and GS, loaded when mode is 64 */
} oracle_registers;

/* As in the record of a vCPU; x87 by physical register, `tag` with a bit for each that is full. */
typedef struct {
    uint8_t zmm[32][64];
    uint64_t opmask[8];
    uint64_t mxcsr;
    uint8_t x87[8][16];
    uint64_t control, status, tag;
} oracle_vectors;

typedef struct {
    oracle_registers registers;
    uint64_t mode;   /* 16, 32 or 64 */
    uint64_t linear; /* where the code goes */
    uint64_t length;
    uint64_t vector; /* NOT_ENTERED when the registers could not even be loaded */
    uint64_t error;
    uint64_t cr2;
    uint8_t code[16];
    oracle_vectors vectors;
    uint8_t memory[MEMORY]; /* the windows, one after the other */
} oracle_case;

typedef struct {
    uint64_t address;
    uint64_t size;
    uint64_t writable;
} oracle_window;

typedef struct {
    uint64_t base;
    uint64_t limit; /* as in the descriptor: 20 bits */
    uint64_t flags; /* from bit 0: seg_32bit, contents (2 bits), read_exec_only,
                       limit_in_pages, seg_not_present, useable */
} oracle_descriptor;

typedef struct {
    uint64_t done;   /* cases finished; names the culprit when the child dies */
    uint64_t child;  /* process id, 0 without one */
    uint64_t socket; /* this side's end */
    uint64_t code_page;
    uint64_t windows;
    uint64_t descriptors;
    oracle_window window[8];
    oracle_descriptor descriptor[64];
    oracle_case cases[];
} oracle_batch;

/* What the assembly below works on, at the offsets it uses. */
struct live {
    oracle_registers registers;
    uint64_t host_rsp;
    uint64_t host_base[2];
    uint64_t load_bases;
};
_Static_assert(offsetof(oracle_registers, rip) == 128, "offset used below");
_Static_assert(offsetof(oracle_registers, selector) == 144, "offset used below");
_Static_assert(offsetof(oracle_registers, base) == 192, "offset used below");
_Static_assert(offsetof(struct live, host_rsp) == 208, "offset used below");
_Static_assert(offsetof(struct live, load_bases) == 232, "offset used below");

__attribute__((visibility("hidden"))) struct live oracle_live;
/* XSAVE area in the standard format, loaded before and found after the instruction. */
enum { AREA = 4096, HEADER = 512, USED = 0xE7, SSE = 2 };
enum { YMM_HIGH = 2, OPMASKS = 5, ZMM_HIGH = 6, ZMM_UPPER = 7, COMPONENTS = 8 };
__attribute__((visibility("hidden"), aligned(64))) uint8_t oracle_area[AREA];
static uint8_t found_area[AREA];
static unsigned component[COMPONENTS]; /* offset in the area, 0 for what is not enabled */
__attribute__((visibility("hidden"))) unsigned oracle_components;
static uint8_t signal_stack[1 << 16];
static uint64_t vector, error, cr2;
static int running;

void oracle_enter(void);
void oracle_leave(void);

#define LIVE(offset) "oracle_live+" #offset "(%rip)"
#define LOAD_EACH_GPR \
    LOAD(rax, 0) LOAD(rcx, 8) LOAD(rdx, 16) LOAD(rbx, 24) LOAD(rbp, 40) LOAD(rsi, 48) \
    LOAD(rdi, 56) LOAD(r8, 64) LOAD(r9, 72) LOAD(r10, 80) LOAD(r11, 88) LOAD(r12, 96) \
    LOAD(r13, 104) LOAD(r14, 112) LOAD(r15, 120)
#define LOAD(name, offset) "mov " LIVE(offset) ", %" #name "\n"
#define SAVE(name, offset) "mov %" #name ", " LIVE(offset) "\n"
#define LOAD_SEGMENT(name, offset) "mov " LIVE(offset) ", %eax; mov %eax, %" #name "\n"
#define SAVE_SEGMENT(name, offset) "mov %" #name ", %eax; mov %rax, " LIVE(offset) "\n"

__asm__(".text\n"
        ".globl oracle_enter, oracle_leave\n"
        ".hidden oracle_enter, oracle_leave\n"
        "oracle_enter:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; pushfq\n"
        SAVE(rsp, 208)
        "rdfsbase %rax\n" SAVE(rax, 216)
        "rdgsbase %rax\n" SAVE(rax, 224)
        "mov oracle_components(%rip), %eax; xor %edx, %edx; xrstor64 oracle_area(%rip)\n"
        LOAD_SEGMENT(es, 144) LOAD_SEGMENT(ds, 168) LOAD_SEGMENT(fs, 176) LOAD_SEGMENT(gs, 184)
        "cmpq $0, " LIVE(232) "; je 1f\n"
        LOAD(rax, 192) "wrfsbase %rax\n"
        LOAD(rax, 200) "wrgsbase %rax\n"
        "1: pushq " LIVE(160) "; pushq " LIVE(32) "; pushq " LIVE(136) "; pushq " LIVE(152) "\n"
        "pushq " LIVE(128) "\n"
        LOAD_EACH_GPR
        "iretq\n"
        /* Only the data segment registers are still the instruction's. */
        "oracle_leave:\n"
        SAVE_SEGMENT(es, 144) SAVE_SEGMENT(ds, 168) SAVE_SEGMENT(fs, 176) SAVE_SEGMENT(gs, 184)
        "xor %eax, %eax; mov %eax, %es; mov %eax, %ds; mov %eax, %fs; mov %eax, %gs\n"
        LOAD(rax, 216) "wrfsbase %rax\n"
        LOAD(rax, 224) "wrgsbase %rax\n"
        "fninit; pushq $0x1F80; ldmxcsr (%rsp); pop %rax\n"
        "popfq; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n");

static size_t area_size;

static const int gpr_places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15};

/* A register that `oracle_enter` could not load: the caller's mistake, not the instruction's. */
static int running_host_code(const greg_t *found)
{
    uintptr_t rip = (uintptr_t)found[REG_RIP];

    return rip >= (uintptr_t)oracle_enter && rip < (uintptr_t)oracle_leave;
}

static void on_fault(int number, siginfo_t *unused, void *frame)
{
    greg_t *found = ((ucontext_t *)frame)->uc_mcontext.gregs;

    (void)unused;
    /* AC is the one flag that Linux leaves to a handler as it was. */
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(uint64_t)RFLAGS_AC);
    if (!running) { /* this program's own fault: let it kill us, under its true name */
        signal(number, SIG_DFL);
        return;
    }
    for (int i = 0; i < 16; i++)
        oracle_live.registers.gpr[i] = (uint64_t)found[gpr_places[i]];
    oracle_live.registers.rip = (uint64_t)found[REG_RIP];
    oracle_live.registers.rflags = (uint64_t)found[REG_EFL];
    oracle_live.registers.selector[CS] = (uint64_t)found[REG_CSGSFS] & 0xFFFF;
    oracle_live.registers.selector[SS] = (uint64_t)found[REG_CSGSFS] >> 48;
    memcpy(found_area, ((ucontext_t *)frame)->uc_mcontext.fpregs, area_size);
    vector = running_host_code(found) ? NOT_ENTERED : (uint64_t)found[REG_TRAPNO];
    error = (uint64_t)found[REG_ERR];
    cr2 = vector == 14 ? (uint64_t)found[REG_CR2] : 0;
    found[REG_RIP] = (greg_t)(uintptr_t)oracle_leave;
    found[REG_RSP] = (greg_t)oracle_live.host_rsp;
    found[REG_EFL] = RFLAGS_IF | RFLAGS_FIXED;
    found[REG_CSGSFS] = (greg_t)((uint64_t)USER_DS << 48 | USER_CS);
}

/* As much of the code as the page has room for: the next page is not there. */
static void place_code(const oracle_batch *batch, const oracle_case *one)
{
    size_t room = PAGE - (one->linear & (PAGE - 1));

    memset((void *)(uintptr_t)batch->code_page, INT3, PAGE);
    memcpy((void *)(uintptr_t)one->linear, one->code, one->length < room ? one->length : room);
}

/* Where the components are, and how large the area is that Linux saves. */
static int find_components(void)
{
    unsigned low, high, a, b, c, d;

    __cpuid(1, a, b, c, d);
    if (!(c & bit_OSXSAVE))
        return NO_XSAVE;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    oracle_components = low & USED;
    __cpuid_count(13, 0, a, b, c, d);
    area_size = b < AREA ? b : AREA;
    for (int number = YMM_HIGH; number < COMPONENTS; number++) {
        if (!(oracle_components >> number & 1))
            continue;
        __cpuid_count(13, number, a, b, c, d);
        component[number] = b;
    }
    return OK;
}

/* The part of vector register `number` from byte `from` on, in an area; NULL if not enabled. */
static uint8_t *part_of(uint8_t *area, int number, int from)
{
    if (number < 16 && from == 0)
        return area + 160 + 16 * number;
    if (number < 16 && from == 16)
        return component[YMM_HIGH] ? area + component[YMM_HIGH] + 16 * number : NULL;
    if (number < 16)
        return component[ZMM_HIGH] ? area + component[ZMM_HIGH] + 32 * number : NULL;
    return component[ZMM_UPPER] ? area + component[ZMM_UPPER] + 64 * (number - 16) + from : NULL;
}

static const struct {
    int from, size, component;
} parts[] = {{0, 16, 1}, {16, 16, YMM_HIGH}, {32, 32, ZMM_HIGH}};

static void fill_area(const oracle_vectors *vectors)
{
    unsigned top = (unsigned)vectors->status >> 11 & 7;

    memset(oracle_area, 0, AREA);
    memcpy(oracle_area, &vectors->control, 2);
    memcpy(oracle_area + 2, &vectors->status, 2);
    memcpy(oracle_area + 4, &vectors->tag, 1);
    memcpy(oracle_area + 24, &vectors->mxcsr, 4);
    memcpy(oracle_area + HEADER, &oracle_components, 4);
    for (unsigned i = 0; i < 8; i++)
        memcpy(oracle_area + 32 + 16 * i, vectors->x87[(top + i) & 7], 10);
    if (component[OPMASKS])
        memcpy(oracle_area + component[OPMASKS], vectors->opmask, 64);
    for (int number = 0; number < 32; number++)
        for (int i = 0; i < 3; i++) {
            uint8_t *part = part_of(oracle_area, number, parts[i].from);
            if (part)
                memcpy(part, &vectors->zmm[number][parts[i].from], (size_t)parts[i].size);
        }
}

/* A component whose bit is clear is in its initial state, whatever the area holds. */
static void read_vectors(oracle_vectors *vectors)
{
    unsigned present, top;

    memcpy(&present, found_area + HEADER, 4);
    memset(vectors, 0, sizeof *vectors);
    vectors->control = 0x37F;
    memcpy(&vectors->mxcsr, found_area + 24, 4);
    if (present & 1) {
        memcpy(&vectors->control, found_area, 2);
        memcpy(&vectors->status, found_area + 2, 2);
        memcpy(&vectors->tag, found_area + 4, 1);
        top = (unsigned)vectors->status >> 11 & 7;
        for (unsigned i = 0; i < 8; i++)
            memcpy(vectors->x87[(top + i) & 7], found_area + 32 + 16 * i, 10);
    }
    if (component[OPMASKS] && present >> OPMASKS & 1)
        memcpy(vectors->opmask, found_area + component[OPMASKS], 64);
    for (int number = 0; number < 32; number++)
        for (int i = 0; i < 3; i++) {
            int which = number < 16 ? parts[i].component : ZMM_UPPER;
            uint8_t *part = part_of(found_area, number, parts[i].from);
            if (part && present >> which & 1)
                memcpy(&vectors->zmm[number][parts[i].from], part, (size_t)parts[i].size);
        }
}

static void run_case(const oracle_batch *batch, oracle_case *one, uint8_t *windows)
{
    memcpy(windows, one->memory, MEMORY);
    place_code(batch, one);
    oracle_live.registers = one->registers;
    oracle_live.registers.rflags |= RFLAGS_IF | RFLAGS_FIXED;
    oracle_live.load_bases = one->mode == 64;
    fill_area(&one->vectors);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    running = 1;
    oracle_enter();
    running = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    one->registers = oracle_live.registers;
    one->vector = vector;
    one->error = error;
    one->cr2 = cr2;
    read_vectors(&one->vectors);
    memcpy(one->memory, windows, MEMORY);
}

static int catch_signals(void)
{
    static const int caught[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigset_t others;

    sigfillset(&action.sa_mask);
    sigfillset(&others);
    sigdelset(&others, SIGALRM);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        sigdelset(&others, caught[i]);
        if (sigaction(caught[i], &action, NULL))
            return NO_SIGNALS;
    }
    signal(SIGALRM, SIG_DFL);
    return sigaltstack(&stack, NULL) || sigprocmask(SIG_SETMASK, &others, NULL) ? NO_SIGNALS : OK;
}

/* The first 4 GiB hold nothing but the code page and the windows; returns the windows' alias. */
static uint8_t *map_memory(const oracle_batch *batch)
{
    const int fixed = MAP_FIXED | MAP_POPULATE;
    int file = memfd_create("windows", 0);
    off_t offset = 0;
    uint8_t *alias;

    munmap((void *)0x10000, (1ul << 32) - 0x10000);
    if (file < 0 || ftruncate(file, MEMORY))
        return NULL;
    alias = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (alias == MAP_FAILED ||
        mmap((void *)(uintptr_t)batch->code_page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0) == MAP_FAILED)
        return NULL;
    for (uint64_t i = 0; i < batch->windows; i++) {
        const oracle_window *window = &batch->window[i];
        int rights = PROT_READ | (window->writable ? PROT_WRITE : 0);

        if (mmap((void *)(uintptr_t)window->address, window->size, rights, MAP_SHARED | fixed,
                 file, offset) == MAP_FAILED)
            return NULL;
        offset += (off_t)window->size;
    }
    return alias;
}

static int write_ldt(const oracle_batch *batch)
{
    for (uint64_t i = 0; i < batch->descriptors; i++) {
        const oracle_descriptor *from = &batch->descriptor[i];
        struct user_desc to = {.entry_number = (unsigned)i,
                               .base_addr = (unsigned)from->base,
                               .limit = (unsigned)from->limit,
                               .seg_32bit = from->flags & 1,
                               .contents = from->flags >> 1 & 3,
                               .read_exec_only = from->flags >> 3 & 1,
                               .limit_in_pages = from->flags >> 4 & 1,
                               .seg_not_present = from->flags >> 5 & 1,
                               .useable = from->flags >> 6 & 1};

        if (syscall(SYS_modify_ldt, 0x11, &to, sizeof to))
            return NO_LDT;
    }
    return OK;
}

static void run_batch(oracle_batch *batch, uint64_t count, uint8_t *windows)
{
    alarm(30 + (unsigned)(count / 10000)); /* an instruction that jumps to itself */
    for (uint64_t i = 0; i < count; i++) {
        run_case(batch, &batch->cases[i], windows);
        batch->done = i + 1;
    }
    alarm(0);
}

static int serve(oracle_batch *batch)
{
    uint8_t *windows = map_memory(batch);
    int failure = windows ? catch_signals() : NO_MEMORY;
    uint64_t count;

    if (!failure)
        failure = find_components();
    if (!failure)
        failure = write_ldt(batch);
    if (failure)
        return failure;
    while (recv(SERVED, &count, sizeof count, 0) == sizeof count) {
        run_batch(batch, count, windows);
        send(SERVED, &count, sizeof count, MSG_NOSIGNAL);
    }
    return OK;
}

/* 0, or -1 when there is no child. */
static int start(oracle_batch *batch)
{
    int ends[2];
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return -1;
    child = fork();
    if (!child) {
        dup2(ends[1], SERVED); /* nothing else that this program has open may be held open */
        syscall(SYS_close_range, SERVED + 1, ~0u, 0);
        _exit(serve(batch));
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return -1;
    }
    batch->child = (uint64_t)child;
    batch->socket = (uint64_t)ends[0];
    return 0;
}

/* Shut the socket, which ends the child if nothing else did; returns its wait status. */
static int stop(oracle_batch *batch)
{
    int status = 0;

    shutdown((int)batch->socket, SHUT_RDWR);
    close((int)batch->socket);
    while (waitpid((pid_t)batch->child, &status, 0) < 0 && errno == EINTR)
        continue;
    batch->child = 0;
    return status;
}

/* Room for `count` cases that a child shares; NULL without memory. */
oracle_batch *oracle_allocate(uint64_t count)
{
    void *room = mmap(NULL, sizeof(oracle_batch) + count * sizeof(oracle_case),
                      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return room == MAP_FAILED ? NULL : room;
}

void oracle_free(oracle_batch *batch, uint64_t count)
{
    if (batch->child)
        stop(batch);
    munmap(batch, sizeof(oracle_batch) + count * sizeof(oracle_case));
}

/* Run the first `count` cases; 0, or the wait status of a child that died, or -1 without one. */
int oracle_run(oracle_batch *batch, uint64_t count)
{
    ssize_t got;

    batch->done = 0;
    if (!batch->child && start(batch))
        return -1;
    send((int)batch->socket, &count, sizeof count, MSG_NOSIGNAL);
    while ((got = recv((int)batch->socket, &count, sizeof count, 0)) < 0 && errno == EINTR)
        continue;
    return got == sizeof count ? 0 : stop(batch);
}
