/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_decode_prefix.py. */

typedef struct {
    int map; /* -1 for one that is not in the table */
    uint16_t rex;
    uint8_t prefix;
    uint8_t vvvv;
    uint8_t length;
    uint8_t mask;
} vector_prefix;

/* Rows of the opcode map that REX2 may not stand before, as bits, by map. */
static const uint16_t rex2_refused[2] = {1 << 0x4 | 1 << 0x7 | 1 << 0xA | 1 << 0xE,
                                         1 << 0x3 | 1 << 0x8};

static unsigned prefix_registers(unsigned inverted, int mode)
{
    return mode == 64 ? ~inverted >> 5 & 7 : 0;
}

static vector_prefix vex2(unsigned first, int mode)
{
    vector_prefix found = {VMMKIT_MAP_VEX_0F, 0, 0, 0, 0, 0};
    found.rex = mode == 64 && !(first & 0x80) ? VMMKIT_REX_R : 0;
    found.prefix = first & 3;
    found.vvvv = ~first >> 3 & 15;
    found.length = first >> 2 & 1;
    return found;
}

static vector_prefix vex3(unsigned first, unsigned second, int mode)
{
    static const int8_t maps[4] = {-1, VMMKIT_MAP_VEX_0F, VMMKIT_MAP_VEX_0F38, VMMKIT_MAP_VEX_0F3A};
    vector_prefix found = {-1, 0, 0, 0, 0, 0};
    found.map = (first & 31) < 4 ? maps[first & 3] : -1;
    found.rex = (uint16_t)(prefix_registers(first, mode) | (second & 0x80 ? VMMKIT_REX_W : 0));
    found.prefix = second & 3;
    found.vvvv = ~second >> 3 & 15;
    found.length = second >> 2 & 1;
    return found;
}

static vector_prefix evex(unsigned first, unsigned second, unsigned third, int mode)
{
    static const int8_t maps[8] = {
        -1, VMMKIT_MAP_EVEX_0F,   VMMKIT_MAP_EVEX_0F38, VMMKIT_MAP_EVEX_0F3A,
        -1, VMMKIT_MAP_EVEX_MAP5, VMMKIT_MAP_EVEX_MAP6, -1,
    };
    vector_prefix found = {-1, 0, 0, 0, 0, 0};
    if (!(first & 8) && second & 4)
        found.map = maps[first & 7];
    found.rex = (uint16_t)(prefix_registers(first, mode) | (second & 0x80 ? VMMKIT_REX_W : 0));
    if (mode == 64 && !(first & 0x10))
        found.rex |= VMMKIT_REX_R4;
    found.prefix = second & 3;
    found.vvvv = (uint8_t)((~second >> 3 & 15) | (third & 8 ? 0 : 16));
    found.mask = (uint8_t)((third & 7) | (third & 0x80 ? VMMKIT_MASK_Z : 0) |
                           (third & 0x10 ? VMMKIT_MASK_B : 0));
    found.length = third >> 5 & 3;
    return found;
}
