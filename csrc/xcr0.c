/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_xcr0.py. */

enum { XINUSE = 1 };
enum { XCR0_X87 = 1, XCR0_SSE = 2, XCR0_YMM = 4, XCR0_MASKS_AND_ZMM = 0xE0, XCR0_PKRU = 0x200 };

static int execute_xgetbv(context *c)
{
    uint64_t value = c->cpu->xcr0, number = c->cpu->gpr[RCX] & LOW_32;
    if (!(c->cpu->cr4 & CR4_OSXSAVE))
        return fault(c, UD, 0, 0);
    if (number == XINUSE && c->cpu->features & FEATURE_BIT(XSAVEC))
        value &= in_use(c);
    else if (number)
        return fault(c, GP, 0, 0);
    set_edx_eax(c, value);
    return 0;
}

static int is_xcr0(uint64_t features, uint64_t value)
{
    uint64_t supported = XCR0_X87 | XCR0_SSE, zmm = XCR0_MASKS_AND_ZMM;
    if (features & FEATURE_BIT(AVX))
        supported |= XCR0_YMM;
    if (features & FEATURE_BIT(AVX512F))
        supported |= zmm;
    if (features & FEATURE_BIT(PKU))
        supported |= XCR0_PKRU;
    if (value & ~supported || !(value & XCR0_X87))
        return 0;
    if (value & XCR0_YMM && !(value & XCR0_SSE))
        return 0;
    return !(value & zmm) || (value & (zmm | XCR0_YMM)) == (zmm | XCR0_YMM);
}

static int execute_xsetbv(context *c)
{
    uint64_t value = edx_eax(c);
    if (!(c->cpu->cr4 & CR4_OSXSAVE))
        return fault(c, UD, 0, 0);
    TRY(check_cpl0(c));
    if (c->cpu->gpr[RCX] & LOW_32 || !is_xcr0(c->cpu->features, value))
        return fault(c, GP, 0, 0);
    c->cpu->xcr0 = value;
    return 0;
}
