/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors, gates, task states and stacks that look like some, and what the owner asks for. */
#include "fuzz.h"

enum { LONG = 1 << 10, DESCRIPTORS = 16 };

static const uint16_t selectors[] = {0,    3,    8,    0xB,  0x10, 0x13, 0x18, 0x1B, 0x20, 0x23,
                                     0x28, 0x2B, 0x30, 0x38, 0x3B, 0x40, 0x43, 0x48, 0x4B, 0x50,
                                     0x60, 0x63, 0x70, 0xC,  0xF,  0x17, 0x7C, 0xFFF8};
static const uint8_t vectors[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 0x30, 0x80};
static const uint8_t gate_kinds[] = {0xE, 0xE, 0xF, 6, 7, 5, 0xC, 4, 0, 0x1E};
static const uint64_t offsets[] = {0x1000, 0x4000, 0x4060, 0x40D0, 0xFFFF,
                                   0x9000, 0x10000, 1ull << 31, 1ull << 47, UINT64_MAX};
static const uint8_t rights[] = {0x9A, 0x9B, 0x9E, 0xFA, 0xFB, 0xFE, 0xBA, 0x92, 0x93, 0xF2, 0xF3,
                                 0x96, 0x12, 0x1A, 0x82, 0x89, 0x8B, 0x81, 0x83, 0x8C, 0xEC, 0x84,
                                 0xE4, 0x85, 0xE5, 0x0C, 0x8E, 0};
static const uint64_t stacks[] = {0x7000, 0x6800, 0x6200, 0x7FF8, 0x8004, 0x9000, 2,
                                  0x50008, 0,      1ull << 47, UINT64_MAX};

static patch *new_patch(input *in, uint64_t *state)
{
    size_t place = in->patch_count ? 1 + below(state, in->patch_count) : 1;
    patch *made = &in->patches[place < MAX_PATCHES ? place : 1];
    if (place >= in->patch_count)
        in->patch_count = place + 1 < MAX_PATCHES ? place + 1 : MAX_PATCHES;
    return made;
}

/* Where RAM already has a patch, that one is changed; else a new or another one says it. */
static void put(input *in, uint64_t *state, uint64_t gpa, uint64_t value, unsigned size)
{
    patch *made;
    for (size_t i = 1; i < in->patch_count; i++) {
        patch *found = &in->patches[i];
        if (gpa - found->gpa < found->size && found->size - (gpa - found->gpa) >= size) {
            memcpy(found->bytes + (gpa - found->gpa), &value, size);
            return;
        }
    }
    made = new_patch(in, state);
    made->gpa = gpa;
    made->size = size;
    memcpy(made->bytes, &value, size);
}

static int is_long(const input *in)
{
    return (in->cpu.efer & LONG) != 0;
}

void change_gate(input *in, const corpus *from, uint64_t *state)
{
    unsigned size = is_long(in) ? 16 : 8;
    uint64_t place = in->cpu.idtr_base + PICK(vectors, state) * size, offset = PICK(offsets, state);
    uint64_t present = below(state, 8) != 0, gate = offset & 0xFFFF;
    (void)from;
    gate |= (uint64_t)PICK(selectors, state) << 16 | offset >> 16 << 48 | present << 47;
    gate |= (uint64_t)PICK(gate_kinds, state) << 40 | (uint64_t)below(state, 4) << 45;
    gate |= (uint64_t)(below(state, 2) ? 0 : below(state, 8)) << 32;
    put(in, state, place, gate, 8);
    if (size == 16)
        put(in, state, place + 8, offset >> 32, 8);
}

/* A base below 64 KiB, or for a gate an offset. */
void change_descriptor(input *in, const corpus *from, uint64_t *state)
{
    uint64_t table = below(state, 8) ? in->cpu.gdtr_base : in->cpu.segment[4 * LDTR + BASE];
    uint64_t place = table + 8 * (1 + below(state, DESCRIPTORS - 1)), found = PICK(rights, state) << 8;
    uint64_t high = below(state, 3) ? PICK(offsets, state) >> 32 : below(state, 32) << 8;
    (void)from;
    found |= (uint64_t)below(state, 2) << 23 | below(state, 4) << 21 | (below(state, 2) ? 0xF0000 : 0);
    if (!(found & 0x1000) && below(state, 2))
        found = (found & 0xFF00) | below(state, 32); /* a gate and its parameters */
    found = found << 32 | (uint64_t)PICK(selectors, state) << 16;
    found |= below(state, 2) ? 0xFFFF : PICK(offsets, state) & 0xFFFF;
    put(in, state, place, found, 8);
    if (is_long(in) && below(state, 2))
        put(in, state, place + 8, high, 8);
}

void change_task(input *in, const corpus *from, uint64_t *state)
{
    static const uint16_t limits[] = {0x67, 0x2B, 0x2F, 0x68, 0x80, 0x87, 3, 7, 0};
    uint64_t *words = &in->cpu.segment[4 * TR];
    (void)from;
    switch (below(state, 5)) {
    case 0:
        words[LIMIT] = PICK(limits, state);
        return;
    case 1:
        words[ATTRIBUTES] = PICK(rights, state);
        return;
    case 2: /* ring 0's, or of an IST, or of an outer ring */
        put(in, state, words[BASE] + 4 * below(state, 25), PICK(stacks, state), 8);
        return;
    case 3:
        put(in, state, words[BASE] + 8 + 8 * below(state, 3), PICK(selectors, state), 2);
        return;
    default: /* permissions and redirections */
        put(in, state, words[BASE] + 102, below(state, 2) ? 0x68 : PICK(offsets, state) & 0xFFFF, 2);
    }
}

/* What IRET and RET find on the stack. */
void change_frame(input *in, const corpus *from, uint64_t *state)
{
    unsigned size = 2u << below(state, 3);
    uint64_t top = in->cpu.gpr[RSP], flags = random_word(state) & random_word(state) & 0x3F7FD7;
    uint64_t values[5] = {PICK(offsets, state), PICK(selectors, state), flags,
                          PICK(stacks, state), PICK(selectors, state)};
    (void)from;
    for (unsigned i = 0; i < 5; i++)
        if (below(state, 8))
            put(in, state, top + size * i, values[i], size);
}

void change_entry_point(input *in, const corpus *from, uint64_t *state)
{
    static const size_t words[] = {
        WORD(star),         WORD(lstar),        WORD(cstar),         WORD(sfmask),
        WORD(kernel_gs_base), WORD(sysenter_cs), WORD(sysenter_esp), WORD(sysenter_eip),
        WORD(gdtr_base),    WORD(gdtr_limit),   WORD(idtr_base),     WORD(idtr_limit),
        WORD(xcr0),         WORD(dr),           WORD(dr) + 7,        WORD(mxcsr),
        WORD(x87_control),  WORD(x87_status),   WORD(x87_tag),       WORD(opmask) + 1,
    };
    static const uint32_t msrs[] = {0x10, 0x174, 0x176, 0x277, 0xC0000080, 0xC0000081,
                                    0xC0000082, 0xC0000084, 0xC0000100, 0xC0000102, 0xC0000103};
    uint64_t value = below(state, 2) ? PICK(offsets, state) : random_word(state);
    (void)from;
    if (below(state, 4) == 0)
        in->cpu.gpr[RCX] = PICK(msrs, state);
    else if (below(state, 4) == 0)
        in->cpu.star = (uint64_t)PICK(selectors, state) << 48 | (uint64_t)PICK(selectors, state) << 32;
    else
        ((uint64_t *)&in->cpu)[PICK(words, state)] = value >> (below(state, 2) ? below(state, 64) : 0);
}

/* Breakpoints of the owner, and what belongs to them. */
void change_breakpoints(input *in, const corpus *from, uint64_t *state)
{
    uint64_t places[] = {in->cpu.rip, in->cpu.gpr[RSP] - 8, in->cpu.gpr[below(state, 16)], 0};
    size_t slot = below(state, 4);
    uint64_t first = PICK(places, state) + below(state, 9) - 4;
    (void)from;
    in->cpu.debug_control = below(state, 8);
    in->cpu.debug_count = below(state, 5);
    in->cpu.debug_kind[slot] = below(state, 16);
    in->cpu.debug_first[slot] = first;
    in->cpu.debug_last[slot] = below(state, 4) ? first + below(state, 9) : UINT64_MAX;
}

static event request(uint64_t *state)
{
    static const uint16_t types[] = {
        VMMKIT_TYPE_INTERRUPT, VMMKIT_TYPE_NMI, VMMKIT_TYPE_EXCEPTION, VMMKIT_TYPE_EXCEPTION,
        VMMKIT_TYPE_SOFTWARE_INTERRUPT, VMMKIT_TYPE_ICEBP, VMMKIT_TYPE_SOFTWARE_EXCEPTION,
    };
    uint64_t vector = below(state, 4) ? PICK(vectors, state) : below(state, 256), bits;
    switch (below(state, 8)) {
    case 0:
        return (event){SET, 1 + vector, WORD(interrupt_request)};
    case 1:
        return (event){SET, 1, WORD(nmi_pending)};
    case 2:
        return (event){SET, 1, WORD(window_request)};
    case 3:
        return (event){SET, 1, WORD(refused)};
    case 4:
        return (event){SET, 1, WORD(kick)};
    case 5:
        return (event){SET, random_word(state), WORD(event_error)};
    default:
        bits = VMMKIT_EVENT_VALID | (below(state, 2) ? VMMKIT_EVENT_ERROR : 0);
        bits |= below(state, 4) ? 0 : VMMKIT_EVENT_RESUME;
        return (event){SET, bits | PICK(types, state) | vector, WORD(event)};
    }
}

/* Before any of the calls. */
void make_request(input *in, const corpus *from, uint64_t *state)
{
    size_t place = below(state, in->event_count + 1);
    (void)from;
    if (in->event_count == MAX_EVENTS)
        in->event_count--;
    place = place > in->event_count ? in->event_count : place;
    memmove(in->events + place + 1, in->events + place,
            (in->event_count - place) * sizeof *in->events);
    in->events[place] = request(state);
    in->event_count++;
}
