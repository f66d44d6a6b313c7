/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_events.py. */

#define DR6_FIXED 0xFFFF0FF0u
#define DR7_ENABLES 0xFFu
#define DR6_BREAKPOINTS 15u

static inline int is_contributory(uint64_t vector)
{
    return vector == DE || (vector >= TS && vector <= GP) || vector == 21;
}

static inline int is_page_fault(uint64_t vector)
{
    return vector == PAGE_FAULT || vector == 20;
}

static inline int has_error_code(uint64_t vector)
{
    return vector == DOUBLE_FAULT || (vector >= TS && vector <= PAGE_FAULT) ||
           vector == ALIGNMENT || vector == 21 || vector == 29 || vector == 30;
}

static inline int watches(const context *c)
{
    return (c->cpu->dr[7] & DR7_ENABLES) != 0;
}

static inline int may_interrupt(const vmmkit_cpu *cpu)
{
    return cpu->rflags & IF && !cpu->interrupt_shadow;
}

static void raise_exception(context *c, uint64_t vector, uint64_t error, uint64_t address,
                            uint64_t bits)
{
    vmmkit_cpu *cpu = c->cpu;
    if (vector == PAGE_FAULT)
        cpu->cr2 = address;
    if (vector == DB) {
        cpu->dr[6] = (cpu->dr[6] & ~(uint64_t)DR6_BREAKPOINTS) | DR6_FIXED | address;
        cpu->dr[7] &= ~(uint64_t)DR7_GD;
    }
    cpu->event = VMMKIT_EVENT_VALID | VMMKIT_TYPE_EXCEPTION | bits | vector;
    if (has_error_code(vector))
        cpu->event |= VMMKIT_EVENT_ERROR;
    cpu->event_error = error;
}

static void raise_fault(context *c)
{
    raise_exception(c, c->cpu->exit_address, c->cpu->exit_size, c->cpu->exit_value,
                    VMMKIT_EVENT_RESUME);
}

static void after_instruction(context *c, int complete)
{
    vmmkit_cpu *cpu = c->cpu;
    if (c->shadow == SHADOW_MOV_SS)
        c->debug &= ~(uint64_t)DR6_BS;
    cpu->debug_pending |= c->debug;
    if (!complete)
        cpu->rflags |= RF;
    else if (!c->keeps_rf)
        cpu->rflags &= ~(uint64_t)RF;
}

static unsigned breakpoints_here(context *c)
{
    if (!watches(c) || c->cpu->rflags & RF)
        return 0;
    return code_breakpoints(c, linear_rip(c));
}

static inline int holds_interrupts(const vmmkit_cpu *cpu)
{
    return (cpu->debug_control & VMMKIT_DEBUG_HOLD) != 0;
}

/* The external interrupt, or what else, that waits, unless it is held. */
static inline uint64_t unless_held(const vmmkit_cpu *cpu, const uint64_t *waiting)
{
    return holds_interrupts(cpu) ? 0 : ATOMIC_LOAD(waiting);
}

static int code_stop(context *c)
{
    begin_mode(c);
    return stops_at(c, linear_rip(c)) ? report_hit(c) : 0;
}

static int before_instruction(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    int after_stack_load = cpu->interrupt_shadow == SHADOW_MOV_SS;
    uint64_t request = unless_held(cpu, &cpu->interrupt_request), bits;
    begin_mode(c);
    if (cpu->debug_pending && !after_stack_load) {
        raise_exception(c, DB, 0, cpu->debug_pending | breakpoints_here(c), 0);
        cpu->debug_pending = 0;
    } else if (unless_held(cpu, &cpu->nmi_pending) && !cpu->nmi_blocked && !after_stack_load) {
        ATOMIC_STORE(&cpu->nmi_pending, 0);
        cpu->event = VMMKIT_EVENT_VALID | VMMKIT_TYPE_NMI | NMI;
    } else if (request && may_interrupt(cpu)) {
        cpu->event = VMMKIT_EVENT_VALID | VMMKIT_TYPE_INTERRUPT | ((request - 1) & 0xFF);
        ATOMIC_STORE(&cpu->interrupt_request, 0);
    } else if (unless_held(cpu, &cpu->window_request) && may_interrupt(cpu)) {
        ATOMIC_STORE(&cpu->window_request, 0);
        return VMMKIT_EXIT_INTERRUPT_WINDOW;
    } else if (code_stop(c)) {
        return VMMKIT_EXIT_DEBUG;
    } else if (!after_stack_load) {
        bits = breakpoints_here(c);
        if (bits)
            raise_exception(c, DB, 0, bits, 0);
    }
    return 0;
}

static inline int is_software(uint64_t event)
{
    uint64_t type = event & VMMKIT_EVENT_TYPE;
    return type == VMMKIT_TYPE_SOFTWARE_INTERRUPT || type == VMMKIT_TYPE_SOFTWARE_EXCEPTION;
}

static inline void block_nmis(vmmkit_cpu *cpu, uint64_t event)
{
    if ((event & VMMKIT_EVENT_TYPE) == VMMKIT_TYPE_NMI)
        cpu->nmi_blocked = 1;
}

static int combine(context *c, uint64_t first)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t vector = first & 0xFF, second = cpu->exit_address;
    block_nmis(cpu, first);
    if (!is_software(first))
        add_external(c);
    raise_fault(c);
    if (!is_contributory(second) && !is_page_fault(second))
        return VMMKIT_EXIT_DONE;
    if ((first & VMMKIT_EVENT_TYPE) != VMMKIT_TYPE_EXCEPTION)
        return 0;
    if (vector == DOUBLE_FAULT) {
        cpu->event = first;
        cpu->event_error = 0;
        return VMMKIT_EXIT_TRIPLE_FAULT;
    }
    if (is_page_fault(vector) || (is_contributory(vector) && is_contributory(second)))
        raise_exception(c, DOUBLE_FAULT, 0, 0, 0);
    return 0;
}

static int deliver_event(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t event = cpu->event;
    delivery what;
    begin_mode(c);
    c->debug = 0;
    c->shadow = 0;
    c->watched = 0;
    what.vector = event & 0xFF;
    what.rip = cpu->rip;
    what.flags = cpu->rflags | (event & VMMKIT_EVENT_RESUME ? RF : 0);
    what.error = cpu->event_error;
    what.has_error = (event & VMMKIT_EVENT_ERROR) != 0;
    what.software = is_software(event);
    TRY(transferred(c, deliver(c, &what)));
    cpu->rip = c->next_rip;
    cpu->interrupt_shadow = 0;
    block_nmis(cpu, event);
    return 0;
}

static void forget_phase(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    cpu->log_count = cpu->page_count = cpu->block_answer = 0;
    cpu->code_length = cpu->code_given = 0;
}

static int continue_delivery(context *c)
{
    int kind = 0;
    c->code_length = 0;
    while (!kind) {
        uint64_t event = c->cpu->event;
        c->ordinal = c->pages = 0;
        c->pages_known = c->cpu->page_count;
        kind = deliver_event(c);
        if (kind && kind != VMMKIT_EXIT_FAULT)
            return kind;
        if (kind) {
            kind = combine(c, event);
        } else {
            c->cpu->event = 0;
            kind = VMMKIT_EXIT_DONE;
        }
        forget_phase(c);
    }
    if (kind == VMMKIT_EXIT_DONE) {
        c->cpu->retired++;
        c->cpu->debug_control &= ~(uint64_t)VMMKIT_DEBUG_SKIP;
    }
    return kind;
}

static int begin_delivery(context *c)
{
    forget_phase(c);
    return continue_delivery(c);
}

static inline int needs_attention(const context *c)
{
    const vmmkit_cpu *cpu = c->cpu;
    uint64_t waiting = ATOMIC_LOAD(&cpu->nmi_pending) | ATOMIC_LOAD(&cpu->interrupt_request) |
                       ATOMIC_LOAD(&cpu->window_request);
    return cpu->debug_pending || (waiting && !holds_interrupts(cpu)) || watches(c);
}

static inline int wakes(const context *c)
{
    const vmmkit_cpu *cpu = c->cpu;
    int nmi = unless_held(cpu, &cpu->nmi_pending) && !cpu->nmi_blocked;
    return cpu->debug_pending || nmi ||
           (unless_held(cpu, &cpu->interrupt_request) && may_interrupt(cpu));
}
