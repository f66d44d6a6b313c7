/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts the second processor, each with page tables of its own; both count under a lock, and send
   each other interrupts. "increments=N" in the command line: how far each counts. */
#include "smp.h"

#include "acpi_tables.h"
#include "apic.h"
#include "boot.h"
#include "report.h"
#include "traps.h"

enum { FIRST, SECOND, START_PAGE = 0x8000, WAKE_VECTOR = 0x41, REPLY_VECTOR = 0x42 };
enum { PATIENCE = 3000000, DELAY = 200, INCREMENTS = 30000, STACK_BYTES = 8192, DEPTH = 5 };

extern uint8_t ap_start[], ap_start_values[];
extern uint32_t ap_start_size;
extern uint64_t page_root[];

volatile struct progress progress[PROCESSORS];
volatile uint64_t shared_counter;
static volatile uint8_t counter_lock;
volatile uint64_t private_pages[PROCESSORS][512] __attribute__((aligned(4096)));
static uint64_t roots[PROCESSORS][512] __attribute__((aligned(4096)));
static uint64_t tables[PROCESSORS][3][512] __attribute__((aligned(4096)));
static uint8_t second_stack[STACK_BYTES] __attribute__((aligned(16)));
static volatile uint32_t increments;
static volatile bool may_count;

/* Page tables that differ in the page at PRIVATE_ADDRESS; return what goes to CR3. */
static uint64_t make_tables(uint32_t processor)
{
    const uint64_t flags = PAGE_PRESENT | PAGE_WRITABLE;
    uint64_t(*own)[512] = tables[processor];
    roots[processor][0] = page_root[0];
    roots[processor][PRIVATE_ADDRESS >> 39 & 511] = (uint64_t)own[0] | flags;
    own[0][0] = (uint64_t)own[1] | flags;
    own[1][0] = (uint64_t)own[2] | flags;
    own[2][0] = (uint64_t)private_pages[processor] | flags;
    private_pages[processor][0] = 0x1000 + processor;
    return (uint64_t)roots[processor];
}

static bool await_stage(uint32_t processor, enum stage stage)
{
    for (uint32_t i = 0; i < PATIENCE && progress[processor].stage < stage; i++)
        wait_cycle();
    return progress[processor].stage >= stage;
}

static bool await_interrupts(uint32_t processor, uint32_t count)
{
    for (uint32_t i = 0; i < PATIENCE && progress[processor].interrupts < count; i++)
        wait_cycle();
    return progress[processor].interrupts == count;
}

static void look_around(uint32_t processor)
{
    volatile struct progress *own = &progress[processor];
    own->apic_id = apic_id();
    own->time_stamp = time_stamp();
    own->private_word = *(volatile uint64_t *)PRIVATE_ADDRESS;
}

void count_one(void)
{
    while (__atomic_exchange_n(&counter_lock, 1, __ATOMIC_ACQUIRE))
        while (counter_lock)
            pause();
    shared_counter = shared_counter + 1;
    __atomic_store_n(&counter_lock, 0, __ATOMIC_RELEASE);
}

static void count(uint32_t processor)
{
    volatile struct progress *own = &progress[processor];
    own->stage = STAGE_COUNTING;
    while (own->increments < increments) {
        count_one();
        own->increments = own->increments + 1;
    }
    own->stage = STAGE_COUNTED;
}

static void take_wake(struct trap_frame *frame)
{
    (void)frame;
    progress[SECOND].interrupts = progress[SECOND].interrupts + 1;
    apic_end_of_interrupt();
    apic_send(progress[FIRST].apic_id, APIC_ASSERT | REPLY_VECTOR);
}

static void take_reply(struct trap_frame *frame)
{
    (void)frame;
    progress[FIRST].interrupts = progress[FIRST].interrupts + 1;
    apic_end_of_interrupt();
}

/* The second processor: counts, then halts until the first one's messages. */
static void second_main(void)
{
    traps_load(SECOND);
    apic_begin();
    look_around(SECOND);
    progress[SECOND].stage = STAGE_STARTED;
    while (!may_count)
        wait_cycle();
    count(SECOND);
    outer(SECOND, DEPTH);
    progress[SECOND].stage = STAGE_HALTED;
    while (progress[SECOND].interrupts < 2)
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    progress[SECOND].stage = STAGE_WOKEN;
}

static void prepare_start_page(void)
{
    uint32_t values[] = {(uint32_t)make_tables(SECOND),
                         (uint32_t)(uintptr_t)(second_stack + STACK_BYTES),
                         (uint32_t)(uintptr_t)second_main};
    volatile uint8_t *page = (volatile uint8_t *)START_PAGE;
    for (uint32_t i = 0; i < ap_start_size; i++)
        page[i] = ap_start[i];
    volatile uint32_t *place = (volatile uint32_t *)(page + (ap_start_values - ap_start));
    for (uint32_t i = 0; i < 3; i++)
        place[i] = values[i];
}

static void delay(void)
{
    for (uint32_t i = 0; i < DELAY && progress[SECOND].stage < STAGE_STARTED; i++)
        wait_cycle();
}

/* INIT, then two start-up messages. A processor that runs ignores the second one. */
static bool start_second(uint32_t destination)
{
    bool sent = apic_send(destination, APIC_ASSERT | APIC_INIT);
    delay();
    for (uint32_t i = 0; i < 2; i++) {
        sent = apic_send(destination, APIC_ASSERT | APIC_STARTUP | START_PAGE >> 12) && sent;
        delay();
    }
    return sent;
}

/* APIC ID of the first enabled processor that is not this one; false without. */
static bool find_second(uint32_t *found)
{
    for (const uint8_t *at = NULL; (at = madt_next(MADT_LAPIC, at));)
        if (load32(at + 4) & MADT_ENABLED && at[3] != apic_id()) {
            *found = at[3];
            return true;
        }
    return false;
}

static void check_start(uint32_t destination)
{
    volatile struct progress *first = &progress[FIRST], *second = &progress[SECOND];
    check(second->apic_id == destination && first->apic_id != destination, "apic-ids", "%u and %u",
          first->apic_id, second->apic_id);
    check(first->private_word == 0x1000 && second->private_word == 0x1001, "private-pages",
          "%lx and %lx at %lx", first->private_word, second->private_word, PRIVATE_ADDRESS);
    check(second->time_stamp && first->time_stamp <= time_stamp(), "time-stamps", "go on");
}

static void check_counting(void)
{
    may_count = true;
    count(FIRST);
    bool both = await_stage(SECOND, STAGE_COUNTED);
    check(both && shared_counter == 2ul * increments, "counter", "%lu of %lu", shared_counter,
          2ul * increments);
    uint64_t sum = outer(FIRST, DEPTH);
    check(sum == DEPTH * (DEPTH + 1) / 2, "calls", "outer returned %lu", sum);
}

/* Two rounds: the second processor sleeps, is woken by a message, and answers it. */
static void check_messages(uint32_t destination)
{
    bool halted = await_stage(SECOND, STAGE_HALTED);
    check(halted, "halt", "stage %u", progress[SECOND].stage);
    enable_interrupts();
    for (uint32_t round = 1; round <= 2; round++) {
        bool sent = apic_send(destination, APIC_ASSERT | WAKE_VECTOR);
        check(sent && await_interrupts(SECOND, round), "message", "%u reached the second", round);
        check(await_interrupts(FIRST, round), "reply", "%u reached the first", round);
    }
    bool woken = await_stage(SECOND, STAGE_WOKEN);
    check(woken, "wake", "stage %u", progress[SECOND].stage);
}

void guest_main(void)
{
    uint32_t destination = 0;
    increments = (uint32_t)command_number("increments", INCREMENTS);
    apic_begin();
    if (!check(find_second(&destination), "processors", "this one has APIC ID %u", apic_id()))
        return;
    trap_handle(WAKE_VECTOR, take_wake);
    trap_handle(REPLY_VECTOR, take_reply);
    write_cr3(make_tables(FIRST));
    look_around(FIRST);
    prepare_start_page();
    bool sent = start_second(destination);
    if (!check(sent && await_stage(SECOND, STAGE_STARTED), "start", "APIC ID %u", destination))
        return;
    check_start(destination);
    check_counting();
    check_messages(destination);
}
