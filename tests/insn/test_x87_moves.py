# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Loads, stores, exchanges and comparisons of the x87 unit.

Numbers are held against Python's own: fractions for what a number is, `struct` for the formats.
"""

import math
import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import AC, ALIGNMENT, CODE, CR0_AM, DATA, MMIO, Machine, check_fault
from vmmkit.insn import Done, Write

IE, DE, OE, UE, PE, SF, C0, C1, C2, C3 = 1, 2, 8, 16, 32, 64, 0x100, 0x200, 0x400, 0x4000
ES = 0x8080
NE = 1 << 5
MASKED = 0x37F
ONE, TWO = 0x3FFF << 64 | 1 << 63, 0x4000 << 64 | 1 << 63
MINUS = 0x8000 << 64
INFINITY = 0x7FFF << 64 | 1 << 63
QUIET, SIGNALING = INFINITY | 1 << 62, INFINITY | 1
INDEFINITE = MINUS | QUIET
DENORMAL, UNNORMAL = 1, 1 << 64
FROM_TOP = "db7b10"  # fstp tbyte [rbx+10h]


def machine(engine, code, stack=(), control=MASKED, mode="long", **registers):
    """A machine whose x87 stack has `stack`, ST(0) first."""
    made = Machine(engine, mode, code, {"rbx": DATA, "x87_control": control, **registers})
    top = -len(stack) & 7
    made.state.x87_tag = 0
    made.state.x87_status |= top << 11
    for number, value in enumerate(stack):
        made.state.x87[top + number & 7] = value
        made.state.x87_tag |= 1 << (top + number & 7)
    made.state.cr0 |= NE
    return made


def stack_of(state):
    """ST(0) to ST(7), `None` for what is empty."""
    top = state.x87_status >> 11 & 7
    places = [top + number & 7 for number in range(8)]
    return [state.x87[place] if state.x87_tag >> place & 1 else None for place in places]


def flags_of(state):
    """The status word without the top of the stack."""
    return state.x87_status & ~0x3800


def number_of(value):
    """An 80-bit number as a fraction."""
    exponent = max(value >> 64 & 0x7FFF, 1) - 16383 - 63
    magnitude = Fraction(value & (1 << 64) - 1) * Fraction(2) ** exponent
    return -magnitude if value >> 79 else magnitude


LOADS = {
    "fld m32": ("d903", 4, 0x3F80_0000, ONE, 0),
    "fld m32, denormal": ("d903", 4, 1, (16383 - 149) << 64 | 1 << 63, DE),
    "fld m32, signaling": ("d903", 4, 0x7F80_0001, QUIET | 1 << 40, IE),
    "fld m32, infinity": ("d903", 4, 0xFF80_0000, MINUS | INFINITY, 0),
    "fld m64": ("dd03", 8, 0xC000 << 48, MINUS | TWO, 0),
    "fld m64, quiet": ("dd03", 8, 0x7FF8 << 48 | 1, QUIET | 1 << 11, 0),
    "fld m80, signaling": ("db2b", 10, SIGNALING, SIGNALING, 0),
    "fld m80, unnormal": ("db2b", 10, UNNORMAL, UNNORMAL, 0),
    "fild m16": ("df03", 2, 0x8000, MINUS | (16383 + 15) << 64 | 1 << 63, 0),
    "fild m32": ("db03", 4, 2, TWO, 0),
    "fild m64": ("df2b", 8, (1 << 64) - 1, MINUS | ONE, 0),
    "fild m64, zero": ("df2b", 8, 0, 0, 0),
    "fbld": ("df23", 10, 0x8000 << 64 | 0x12, MINUS | 0x4002 << 64 | 0xC << 60, 0),
    "fld1": ("d9e8", 0, 0, ONE, 0),
    "fldz": ("d9ee", 0, 0, 0, 0),
}


@pytest.mark.parametrize(("code", "size", "memory", "value", "flags"), LOADS.values(), ids=LOADS)
def test_loads(engine, code, size, memory, value, flags):
    one = machine(engine, code)
    one.poke(DATA, memory, size)
    assert isinstance(one.step(), Done)
    assert stack_of(one.state) == [value, *[None] * 7]
    assert flags_of(one.state) == flags


@pytest.mark.parametrize(
    ("code", "nearest", "down", "up"),
    [
        ("d9e9", 0xAFE, 0xAFE, 0xAFF),
        ("d9ea", 0x0BC, 0x0BB, 0x0BC),
        ("d9eb", 0x235, 0x234, 0x235),
        ("d9ec", 0x799, 0x798, 0x799),
        ("d9ed", 0x9AC, 0x9AB, 0x9AC),
    ],
)
def test_constants_are_rounded(engine, code, nearest, down, up):
    for mode, low in enumerate((nearest, down, up, down)):
        one = machine(engine, code, control=MASKED | mode << 10)
        one.step()
        assert stack_of(one.state)[0] & 0xFFF == low
        assert flags_of(one.state) == 0


# Code, what ST(0) is, rounding control, size, what is stored, flags.
STORES = {
    "fst m32": ("d913", ONE, 0, 4, 0x3F80_0000, 0),
    "fst m32, rounded up": ("d913", ONE | 0xFF << 32 | 1 << 39, 0, 4, 0x3F80_0001, PE | C1),
    "fst m32, rounded down": ("d913", ONE | 1, 0, 4, 0x3F80_0000, PE),
    "fst m32, upwards": ("d913", ONE | 1, 2, 4, 0x3F80_0001, PE | C1),
    "fst m32, overflow": ("d913", 0x5000 << 64 | 1 << 63, 0, 4, 0x7F80_0000, OE | PE | C1),
    "fst m32, overflow cut": ("d913", 0x5000 << 64 | 1 << 63, 3, 4, 0x7F7F_FFFF, OE | PE),
    "fst m32, underflow": ("d913", 0x2000 << 64 | 1 << 63, 0, 4, 0, UE | PE),
    "fst m32, exact denormal": ("d913", (16383 - 149) << 64 | 1 << 63, 0, 4, 1, 0),
    "fst m32, denormal": ("d913", DENORMAL, 2, 4, 1, UE | PE | C1),
    "fst m32, signaling": ("d913", SIGNALING, 0, 4, 0x7FC0_0000, IE),
    "fst m32, unnormal": ("d913", UNNORMAL, 0, 4, 0xFFC0_0000, IE),
    "fst m64": ("dd13", MINUS | TWO, 0, 8, 0xC000 << 48, 0),
    "fst m64, minus zero": ("dd13", MINUS, 0, 8, 1 << 63, 0),
    "fstp m80": ("db3b", SIGNALING, 0, 10, SIGNALING, 0),
    "fist m16": ("df13", MINUS | TWO, 0, 2, 0xFFFE, 0),
    "fist m16, half to even": ("df13", (ONE | 1 << 62) - (1 << 64), 0, 2, 1, PE | C1),
    "fist m16, too large": ("df13", (16383 + 15) << 64 | 1 << 63, 0, 2, 0x8000, IE),
    "fist m16, smallest": ("df13", MINUS | (16383 + 15) << 64 | 1 << 63, 0, 2, 0x8000, 0),
    "fist m32, nan": ("db13", QUIET, 0, 4, 1 << 31, IE),
    "fistp m64": ("df3b", 0x403D << 64 | 3 << 62, 0, 8, 3 << 61, 0),
    "fisttp m32": ("db0b", ONE | 0xFF << 52, 0, 4, 1, PE),
    "fbstp": ("df33", MINUS | 0x4002 << 64 | 0xC << 60, 0, 10, 0x8000 << 64 | 0x12, 0),
    "fbstp, infinity": ("df33", INFINITY, 0, 10, 0xFFFF_C000 << 48, IE),
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "value", "rounding", "size", "memory", "flags"), STORES.values(), ids=STORES
)
def test_stores(engine, code, value, rounding, size, memory, flags):
    one = machine(engine, code, [value], MASKED | rounding << 10)
    assert isinstance(one.step(), Done)
    assert one.peek(DATA, size) == memory
    assert flags_of(one.state) == flags
    pops = code[2:] in {"3b", "0b", "33"}
    assert stack_of(one.state) == [None if pops else value, *[None] * 7]


# Code, ST(0) on, and what the stack is then.
STACKS = {
    "fld st1": ("d9c1", [ONE, TWO], [TWO, ONE, TWO]),
    "fst st2": ("ddd2", [ONE, TWO], [ONE, TWO, ONE]),
    "fstp st1": ("ddd9", [ONE, TWO], [ONE]),
    "fxch st1": ("d9c9", [ONE, TWO], [TWO, ONE]),
    "fchs": ("d9e0", [SIGNALING], [MINUS | SIGNALING]),
    "fabs": ("d9e1", [MINUS | UNNORMAL], [UNNORMAL]),
    "ffree st1": ("ddc1", [ONE, TWO], [ONE, None]),
    "ffreep st1": ("dfc1", [ONE, TWO, ONE], [None, ONE]),
    "fincstp": ("d9f7", [ONE, TWO], [TWO, *[None] * 6, ONE]),
    "fdecstp": ("d9f6", [ONE], [None, ONE]),
    "fld of nothing": ("d9c1", [ONE], [INDEFINITE, ONE]),
    "fst of nothing": ("ddd1", [], [None, INDEFINITE]),
    "fstpnce of nothing": ("d9d9", [], []),
    "fxch with nothing": ("d9c9", [ONE], [INDEFINITE, ONE]),
    "fchs of nothing": ("d9e0", [], [INDEFINITE]),
    "fld onto a full stack": ("d9e8", [TWO] * 8, [INDEFINITE, *[TWO] * 7]),
}


@pytest.mark.parametrize(("name", "row"), STACKS.items(), ids=STACKS)
def test_stack(engine, name, row):
    code, before, after = row
    one = machine(engine, code, before)
    assert isinstance(one.step(), Done)
    assert stack_of(one.state) == (after + [None] * 8)[:8]
    fault = "nothing" in name and "fstpnce" not in name
    expected = IE | SF if fault else IE | SF | C1 if "full" in name else 0
    assert flags_of(one.state) == expected


@pytest.mark.parametrize(
    ("code", "stack", "control", "flags", "kept"),
    [
        ("d9e8", [TWO] * 8, 0x37E, IE | SF | C1 | ES, True),
        ("d91b", [], 0x37E, IE | SF | ES, True),
        ("d91b", [0x5000 << 64 | 1 << 63], 0x377, OE | ES, True),
        ("d91b", [0x2000 << 64 | 1 << 63], 0x36F, UE | ES, True),
        ("d91b", [ONE | 1], 0x35F, PE | ES, False),
        ("df1b", [INFINITY], 0x37E, IE | ES, True),
        ("d9c9", [ONE], 0x37E, IE | SF | ES, True),
        ("d8d9", [QUIET, ONE], 0x37E, IE | ES, True),
    ],
)
def test_exceptions_that_are_not_masked(engine, code, stack, control, flags, kept):
    """The instruction completes, the next one that waits raises #MF."""
    one = machine(engine, code + "d9d0", stack, control)
    one.poke(DATA, b"\x55" * 4)
    assert isinstance(one.step(), Done)
    assert flags_of(one.state) == flags
    assert (stack_of(one.state)[: len(stack)] == stack) == kept
    assert (one.peek(DATA, 4) == 0x5555_5555) == kept
    check_fault(one, 16)


def test_pending_exceptions_without_numeric_error(engine):
    """As if IGNNE# were asserted."""
    one = machine(engine, "d9d0", control=0x37E, x87_status=0x8081)
    one.state.cr0 &= ~NE
    assert isinstance(one.step(), Done)


NOTHING = C0 | C2 | C3
COMPARISONS = {
    "less": (ONE, TWO, C0, 0),
    "equal": (ONE, ONE, C3, 0),
    "greater": (MINUS | ONE, MINUS | TWO, 0, 0),
    "zeros": (0, MINUS, C3, 0),
    "signs": (MINUS | INFINITY, INFINITY, C0, 0),
    "denormal": (DENORMAL, 0, 0, DE),
    "quiet": (QUIET, ONE, NOTHING, IE),
    "signaling": (SIGNALING, DENORMAL, NOTHING, IE),
    "unnormal": (ONE, UNNORMAL, NOTHING, IE),
}


@pytest.mark.parametrize(("name", "row"), COMPARISONS.items(), ids=COMPARISONS)
@pytest.mark.parametrize("code", ["d8d1", "d8d9", "ded9", "dde1", "dde9", "dae9"])
def test_comparisons(engine, code, name, row):
    a, b, codes, flags = row
    if code in {"dde1", "dde9", "dae9"} and name == "quiet":
        flags = 0
    one = machine(engine, code, [a, b])
    assert isinstance(one.step(), Done)
    assert flags_of(one.state) == codes | flags
    pops = {"d8d9": 1, "dde9": 1, "ded9": 2, "dae9": 2}.get(code, 0)
    assert stack_of(one.state) == ([a, b][pops:] + [None] * 8)[:8]


@pytest.mark.parametrize(("code", "pops"), [("dbf1", 0), ("dff1", 1), ("dbe9", 0), ("dfe9", 1)])
@pytest.mark.parametrize(
    ("a", "b", "flags"), [(ONE, TWO, 1), (ONE, ONE, 0x40), (TWO, ONE, 0), (SIGNALING, ONE, 0x45)]
)
def test_comparisons_into_flags(engine, code, pops, a, b, flags):
    one = machine(engine, code, [a, b], rflags=0x8D7)
    assert isinstance(one.step(), Done)
    assert one.state.rflags & 0x8D5 == flags
    assert stack_of(one.state) == ([a, b][pops:] + [None] * 8)[:8]


@pytest.mark.parametrize(
    ("code", "size", "number", "codes"),
    [("d813", 4, 0x3F80_0000, C3), ("dc13", 8, 0x4000 << 48, C0), ("da13", 4, 1, C3),
     ("de13", 2, 0xFFFF, 0), ("d9e4", 1, 0, 0)],
)  # fmt: skip
def test_comparisons_with_memory(engine, code, size, number, codes):
    one = machine(engine, code, [ONE])
    one.poke(DATA, number, size)
    assert isinstance(one.step(), Done)
    assert flags_of(one.state) == codes


@pytest.mark.parametrize(
    ("value", "codes"),
    [(ONE, C2), (MINUS | ONE, C2 | C1), (0, C3), (INFINITY, C2 | C0), (QUIET, C0),
     (SIGNALING, C0), (DENORMAL, C3 | C2), (UNNORMAL, 0)],
)  # fmt: skip
def test_fxam(engine, value, codes):
    one = machine(engine, "d9e5", [value])
    one.step()
    assert flags_of(one.state) == codes
    one.state.x87_tag, one.state.rip = 0, CODE
    one.step()
    assert flags_of(one.state) == C3 | C0 | codes & C1


@pytest.mark.parametrize(
    ("code", "flag"), [("dac1", 1), ("dac9", 0x40), ("dad1", 0x41), ("dad9", 4)]
)
def test_fcmov(engine, code, flag):
    for escape, value in (("da", flag), ("db", 0)):
        for rflags in (flag, flag & -flag, 0):
            one = machine(engine, escape + code[2:], [ONE, TWO], rflags=rflags | 2)
            one.step()
            moved = bool(rflags) == bool(value)
            assert stack_of(one.state)[0] == (TWO if moved else ONE)


@pytest.mark.parametrize(("code", "size"), [("d913", 4), ("dd13", 8), ("db3b", 10), ("df13", 2)])
def test_alignment(engine, code, size):
    one = machine(engine, code, [ONE], rbx=DATA + 1, rflags=AC | 2).ring3()
    one.state.cr0 |= CR0_AM
    check_fault(one, ALIGNMENT)
    one.state.rbx = DATA
    assert isinstance(one.step(), Done)


def test_device(engine):
    one = machine(engine, "db3b", [MINUS | TWO], rbx=MMIO)
    assert one.step() == Write(MMIO, 8, 1 << 63)
    assert one.step() == Write(MMIO + 8, 2, 0xC000)
    assert flags_of(one.state) == 0
    assert stack_of(one.state)[0] == MINUS | TWO
    assert isinstance(one.step(), Done)
    assert stack_of(one.state)[0] is None


def test_pointers(engine):
    """Those of the last instruction that is no control instruction."""
    one = machine(engine, "d94304d9e8d93b")
    for _ in range(3):
        one.step()
    state = one.state
    assert (state.x87_ip, state.x87_opcode) == (CODE + 3, 0x1E8)
    assert (state.x87_cs, state.x87_dp, state.x87_ds) == (8, DATA + 4, 16)


ENVIRONMENT = {"x87_status": 0x3800 | C3, "x87_opcode": 0x5A5}
IP, DP = 0x1_2345, 0x5_6789


@pytest.mark.parametrize(
    ("mode", "code", "words"),
    [
        ("long", "d933", (0xFFFF_037F, 0xFFFF_7800, 0xFFFF_3FFF, IP, 0x05A5_0008, DP, 0xFFFF_0010)),
        ("pm32", "66d933", (0x037F, 0x7800, 0x3FFF, IP & 0xFFFF, 8, DP & 0xFFFF, 0x10)),
        ("real", "d937", (0x037F, 0x7800, 0x3FFF, 0x23C5, 0x15A5, 0x6889, 0x5000)),
        ("real", "66d937", (0xFFFF_037F, 0xFFFF_7800, 0xFFFF_3FFF, 0xFFFF_23C5, 0x15A5,
                            0xFFFF_6889, 0x5000)),
    ],
)  # fmt: skip
def test_environment(engine, mode, code, words):
    one = machine(engine, code, [ONE], mode=mode)
    state, size = one.state, 2 if max(words) < 1 << 16 else 4
    state.x87_status, state.x87_opcode = 0x3800 | C3, 0x5A5
    state.x87_ip, state.x87_cs, state.x87_dp, state.x87_ds = IP, 8, DP, 16
    state.x87_control = 0x340
    assert isinstance(one.step(), Done)
    assert state.x87_control == MASKED
    stored = [one.peek(DATA + size * place, size) for place in range(7)]
    assert stored == [words[0] & ~0x3F, *words[1:]]
    before = stack_of(state)
    one.poke(CODE, bytes.fromhex(code[:-2] + f"{int(code[-2:], 16) & ~0x10:02x}"))  # FLDENV
    state.rip = CODE
    state.x87_status = state.x87_tag = state.x87_ip = state.x87_opcode = 0
    assert isinstance(one.step(), Done)
    assert (state.x87_control, state.x87_status) == (0x340, 0x7800)
    assert stack_of(state) == before
    linear = mode == "real"
    mask = 0xFFFF if mode == "pm32" else 0xFFFF_FFFF
    assert state.x87_ip == (IP + 0x80 * linear) & mask
    assert state.x87_opcode == (0 if mode == "pm32" else 0x5A5)


@pytest.mark.parametrize("mode", ["long", "pm32", "real"])
def test_save_and_restore(engine, mode):
    base = "37" if mode == "real" else "33"
    one = machine(
        engine, "dd" + base + "dd" + f"{int(base, 16) & ~0x10:02x}", [ONE, QUIET, 0], mode=mode
    )
    state = one.state
    state.x87_status |= C1
    before = stack_of(state), state.x87_status, list(state.x87)
    assert isinstance(one.step(), Done)
    assert (state.x87_control, state.x87_status, state.x87_tag) == (MASKED, 0, 0)
    for number in range(8):
        state.x87[number] = 0
    assert isinstance(one.step(), Done)
    assert (stack_of(state), state.x87_status, list(state.x87)) == before


EXPONENTS = st.one_of(
    st.integers(1, 0x7FFE),
    st.sampled_from([16383 + power for power in (0, 15, 31, 62, 127, -127, -149, 1023, -1074)]),
    st.integers(16383 - 160, 16383 + 130),
)
NUMBERS = st.builds(
    lambda sign, exponent, low: sign << 79 | exponent << 64 | 1 << 63 | low,
    st.integers(0, 1),
    EXPONENTS,
    st.one_of(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 25) - 1).map(lambda n: n << 38)),
)


def integer_near(number, mode):
    """A fraction rounded as a control word has it."""
    return (round, math.floor, math.ceil, math.trunc)[mode](number)


@given(value=NUMBERS, mode=st.integers(0, 3), size=st.sampled_from([2, 4, 8]))
def test_integers_like_fractions(engine, value, mode, size):
    one = machine(engine, {2: "df1b", 4: "db1b", 8: "df3b"}[size], [value], MASKED | mode << 10)
    one.step()
    number = number_of(value)
    expected = integer_near(number, mode)
    limit = 1 << 8 * size - 1
    if not -limit <= expected < limit:
        assert (one.peek(DATA, size), flags_of(one.state)) == (limit, IE)
        return
    assert one.peek(DATA, size) == expected % (2 * limit)
    inexact = PE if expected != number else 0
    assert flags_of(one.state) == inexact | (C1 if abs(expected) > abs(number) else 0)


@given(value=NUMBERS, size=st.sampled_from([4, 8]), mode=st.integers(0, 3))
def test_reals_lie_beside_the_number(engine, value, size, mode):
    """The stored number is the nearest, or the neighbour on the side that is asked for."""
    one = machine(engine, "d91b" if size == 4 else "dd1b", [value], MASKED | mode << 10)
    one.step()
    stored = one.peek(DATA, size)
    number, magnitude = number_of(value), stored & (1 << 8 * size - 1) - 1
    top = 0x7F80_0000 if size == 4 else 0x7FF << 52

    def real(bits):
        if bits >= top:  # where the next number would be
            return Fraction(2) ** (128 if size == 4 else 1024)
        return Fraction(
            struct.unpack("<f" if size == 4 else "<d", bits.to_bytes(size, "little"))[0]
        )

    exact, found = abs(number), real(magnitude)
    assert stored >> 8 * size - 1 == value >> 79
    upwards = mode == (1 if number < 0 else 2)
    if magnitude == top:
        assert exact > real(top - 1)
    elif mode == 0:
        gap = real(magnitude + 1) - found
        assert abs(found - exact) <= gap / 2
    elif found < exact:
        assert not upwards
        assert magnitude == top - 1 or exact < real(magnitude + 1)
    elif found > exact:
        assert mode == 0 or upwards
        assert real(magnitude - 1) < exact
    status = flags_of(one.state)
    overflow = exact >= real(top) or magnitude == top
    assert bool(status & PE) == (found != exact or overflow)
    assert bool(status & C1) == (found > exact or magnitude == top)
    assert bool(status & OE) == overflow


@given(number=st.integers(0, (1 << 64) - 1), size=st.sampled_from([4, 8]))
def test_loaded_reals_come_back(engine, number, size):
    number &= (1 << 8 * size) - 1
    one = machine(engine, ("d903" + "d95b10") if size == 4 else ("dd03" + "dd5b10"))
    one.poke(DATA, number, size)
    one.step()
    value, status = stack_of(one.state)[0], flags_of(one.state)
    one.step()
    unpacked = struct.unpack("<f" if size == 4 else "<d", number.to_bytes(size, "little"))[0]
    if math.isfinite(unpacked):
        assert number_of(value) == Fraction(unpacked)
        assert one.peek(DATA + 16, size) == number
    quiet = one.peek(DATA + 16, size)
    assert quiet == number or status == IE


@given(number=st.integers(-(10**18) + 1, 10**18 - 1))
def test_decimals_like_strings(engine, number):
    one = machine(engine, "df23df7310")
    raw = int(str(abs(number)), 16) | (number < 0) << 79
    one.poke(DATA, raw, 10)
    one.step()
    assert number_of(stack_of(one.state)[0]) == number
    one.step()
    assert one.peek(DATA + 16, 10) == raw
