# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Blends, permutes, pairs, comparisons, narrowing, string comparisons and gathers.

All forms are compared with the processor in `test_against_processor`; here each function stands
with a result that can be read, and with what a processor cannot show.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import DATA, MMIO, STATUS, UD, Machine, check_case, check_fault
from vmmkit.insn import Done, Fault, Feature, Read

ONES = (1 << 512) - 1
RAMP = int.from_bytes(bytes(range(64)), "little")
BEFORE = {"zmm0": ONES, "zmm1": RAMP, "zmm2": RAMP ^ int.from_bytes(b"\x80" * 64, "little")}


def words(*numbers):
    return sum((number & 0xFFFF) << 16 * place for place, number in enumerate(numbers))


def dwords(*numbers):
    return sum((number & 0xFFFF_FFFF) << 32 * place for place, number in enumerate(numbers))


def raw(*numbers):
    return int.from_bytes(bytes(numbers), "little")


RAMP_D = [RAMP >> 32 * place & 0xFFFF_FFFF for place in range(16)]
HIGH_D = [number ^ 0x8080_8080 for number in RAMP_D]
UPPER = ONES ^ (1 << 128) - 1

# code, registers before in addition, registers after
CASES = {
    "phaddw": ("660f3801c1", {"zmm0": 0, "zmm1": words(1, 2, 0x7FFF, 1, 5, 6, 7, 8)},
               {"zmm0": words(0, 0, 0, 0, 3, 0x8000, 11, 15)}),
    "phaddsw": ("660f3803c1", {"zmm0": 0, "zmm1": words(1, 2, 0x7FFF, 1, 5, 6, 7, 8)},
                {"zmm0": words(0, 0, 0, 0, 3, 0x7FFF, 11, 15)}),
    "phsubd": ("660f3806c1", {"zmm0": dwords(9, 2, 3, 4), "zmm1": dwords(1, 2, 8, 5)},
               {"zmm0": dwords(7, -1, -1, 3)}),
    "mpsadbw": ("660f3a42c105", {"zmm0": raw(*range(0, 160, 10)), "zmm1": dwords(0, 0x04030201)},
                {"zmm0": words(*(10 * (4 * at + 22) - 10 for at in range(8)))}),
    "phminposuw": ("660f3841c1", {"zmm1": words(9, 8, 3, 7, 3, 9, 9, 9)},
                   {"zmm0": UPPER | words(3, 2)}),
    "insertps": ("660f3a21c1d4", {"zmm0": dwords(1, 2, 3, 4), "zmm1": dwords(5, 6, 7, 8)},
                 {"zmm0": dwords(1, 8, 0, 4)}),
    "pblendvb": ("660f3810ca", {"zmm0": raw(0x80, 0, 0xFF, 0x7F), "zmm1": raw(1, 2, 3, 4),
                                "zmm2": raw(9, 8, 7, 6)}, {"zmm1": raw(9, 2, 7, 4)}),
    "vpblendvb": ("c4e3714cc230", {"zmm3": raw(0x80, 0), "zmm1": raw(1, 2), "zmm2": raw(9, 8)},
                  {"zmm0": raw(9, 2)}),
    "vpermilps": ("c4e37904c11b", {}, {"zmm0": dwords(*reversed(RAMP_D[:4]))}),
    "vpermilpd, variable": ("c4e2710dc3", {"zmm3": 2 | 0 << 64},
                            {"zmm0": RAMP >> 64 & (1 << 64) - 1 | (RAMP & (1 << 64) - 1) << 64}),
    "vperm2i128": ("c4e37546c283", {}, {"zmm0": dwords(*HIGH_D[4:8])}),
    "vpblendmd": ("62f2754964c2", {"k1": 5}, {"zmm0": dwords(HIGH_D[0], RAMP_D[1], HIGH_D[2],
                                                            *RAMP_D[3:])}),
    "vpternlogd": ("62f3754825c296", {}, {"zmm0": ONES ^ RAMP ^ BEFORE["zmm2"]}),
    "valignd": ("62f3754803c20f", {}, {"zmm0": dwords(HIGH_D[15], *RAMP_D[:15])}),
    "vshufi32x4": ("62f3754843c21b", {}, {"zmm0": dwords(*RAMP_D[12:16], *RAMP_D[8:12],
                                                        *HIGH_D[4:8], *HIGH_D[:4])}),
    "vpermi2d": ("62f2754876c2", {"zmm0": dwords(17, 1, *[0] * 14)},
                 {"zmm0": dwords(HIGH_D[1], RAMP_D[1], *[RAMP_D[0]] * 14)}),
    "vpermt2d": ("62f275487ec2", {"zmm0": dwords(*range(100, 116)), "zmm1": dwords(16, 3)},
                 {"zmm0": dwords(HIGH_D[0], 103, *[100] * 14)}),
    "vpcmpud, below": ("62f375481ec201", {}, {"k0": 0xFFFF}),
    "vpcmpd, not less": ("62f375481fc205", {}, {"k0": 0xFFFF}),
    "vptestmd": ("62f2754927c2", {"k1": 0xFF, "zmm2": dwords(1, 1 << 8, 1 << 30)}, {"k0": 0x2}),
    "vptestnmd": ("62f2764927c2", {"k1": 0x7, "zmm2": dwords(1, 1 << 8, 1 << 30)}, {"k0": 0x5}),
    "vpmovdb": ("62f27e4831c8", {}, {"zmm0": raw(*range(0, 64, 4))}),
    "vpmovsdb": ("62f27e4821c8", {"zmm1": dwords(1, 200, -200)}, {"zmm0": raw(1, 127, 128)}),
    "vpmovusdb": ("62f27e4811c8", {"zmm1": dwords(1, 200, -200)}, {"zmm0": raw(1, 200, 255)}),
    "vpmovm2d": ("62f27e4838c1", {"k1": 0x8001}, {"zmm0": dwords(-1, *[0] * 14, -1)}),
    "vpmovb2m": ("62f27e4829c2", {}, {"k0": (1 << 64) - 1}),
    "vpcompressd": ("62f27dc98bc8", {"k1": 0x8002}, {"zmm0": dwords(RAMP_D[1], RAMP_D[15])}),
    "vpexpandd": ("62f27dc989c1", {"k1": 0x8002},
                  {"zmm0": dwords(0, RAMP_D[0], *[0] * 13, RAMP_D[1])}),
}  # fmt: skip


@pytest.mark.parametrize(("code", "before", "after"), CASES.values(), ids=CASES)
def test_registers(engine, code, before, after):
    before, after = BEFORE | before, dict(after)
    if not code.startswith(("62", "c4")):  # nothing above 128 bits changes
        for name in after:
            after[name] |= before[name] & UPPER
    check_case(engine, "long", code, before, after)


@pytest.mark.parametrize(
    ("code", "a", "b", "flags"),
    [("c4e2790ec1", 1 << 31, 1, "ZC"), ("c4e2790ec1", 1 << 31, 1 << 31, "C"),
     ("c4e2790fc1", 1 << 31, 1 << 31, "ZC"), ("c4e2790fc1", 1 << 63, 1 << 127, "Z")],
)  # fmt: skip
def test_signs(engine, code, a, b, flags):
    check_case(engine, "long", code, {"zmm0": a, "zmm1": b, "rflags": STATUS | 2}, {}, flags)


TEXTS = st.binary(max_size=16).map(lambda text: text.replace(b"\0", b"x"))
SMALL = st.lists(st.sampled_from(b"ab"), max_size=16).map(bytes)


def padded(text):
    return int.from_bytes(text.ljust(16, b"\0"), "little")


@given(needle=st.one_of(TEXTS, SMALL), text=st.one_of(TEXTS, SMALL))
def test_substrings_like_python(engine, needle, text):
    """PCMPISTRI, ordered: where a string begins, perhaps to go on behind the 16 bytes."""
    start = {"xmm0": padded(needle), "xmm1": padded(text)}
    machine = Machine(engine, "long", "660f3a63c10c", start)
    assert isinstance(machine.step(), Done)
    found = [at for at in range(16) if (text[at:] if len(text) < 16 else text[at:] + needle)
             .startswith(needle if len(text) < 16 else needle[: 16 - at])]  # fmt: skip
    assert machine.state.rcx == (found[0] if found else 16)
    flags = machine.state.rflags & STATUS
    expected = (1 if found else 0) | (0x800 if found[:1] == [0] else 0)
    expected |= (0x40 if len(text) < 16 else 0) | (0x80 if len(needle) < 16 else 0)
    assert flags == expected


@given(text=TEXTS, chosen=TEXTS, length=st.integers(-20, 20))
def test_sets_like_python(engine, text, chosen, length):
    """PCMPESTRM, any of a set, negated among what counts, as a mask of bytes."""
    count, taken = min(16, abs(length)), chosen.ljust(16, b"\0")
    machine = Machine(
        engine,
        "long",
        "660f3a60c170",
        {"xmm0": padded(taken), "xmm1": padded(text), "rax": length & 0xFFFF_FFFF, "rdx": 16},
    )
    assert isinstance(machine.step(), Done)
    padded_text = text.ljust(16, b"\0")
    expected = bytes(0 if byte in taken[:count] else 0xFF for byte in padded_text)
    assert machine.state.xmm[0] == int.from_bytes(expected, "little")


def test_words_ranges_and_the_last(engine):
    """PCMPESTRI of words in ranges: the highest, and of none the count."""
    low, high = words(ord("a"), ord("z")), words(ord("A"), ord("q"), ord("r"), ord("1"))
    before = {"xmm0": low, "xmm1": high, "rax": 2, "rdx": 4, "rcx": ONES & (1 << 64) - 1}
    machine = Machine(engine, "long", "660f3a61c145", before)
    assert isinstance(machine.step(), Done)
    assert machine.state.rcx == 2
    machine = Machine(engine, "long", "660f3a61c145", before | {"rax": 0})
    machine.step()
    assert machine.state.rcx == 8


GATHER = "c4e26990048b"  # vpgatherdd xmm0, [rbx+4*xmm1], xmm2
SIGN = 1 << 31


def gathering(engine, indices, mask, base=DATA):
    before = {"zmm0": ONES, "zmm1": dwords(*indices), "zmm2": dwords(*mask), "rbx": base}
    machine = Machine(engine, "long", GATHER, before)
    machine.poke(DATA, bytes(range(64)))
    return machine


def test_gather(engine):
    machine = gathering(engine, (3, 0, -1, 1), (SIGN, 0x7FFF_FFFF, 0, SIGN | 5))
    assert isinstance(machine.step(), Done)
    ones = 0xFFFF_FFFF
    assert machine.state.zmm[0] == dwords(0x0F0E0D0C, ones, ones, 0x07060504)
    assert machine.state.zmm[2] == 0


def test_gather_goes_on_after_a_fault(engine):
    """What was loaded is kept and not loaded again."""
    far = (0x6000_0000 - DATA) // 4  # not mapped
    machine = gathering(engine, (1, 2, far, 3), (SIGN, 0, SIGN | 7, SIGN))
    outcome = machine.step()
    assert outcome == Fault(14, 0, 0x6000_0000)
    state = machine.state
    ones = 0xFFFF_FFFF
    assert state.xmm[0] == dwords(0x07060504, ones, ones, ones)
    assert state.zmm[0] >> 128 == ONES >> 128
    assert state.xmm[2] == dwords(0, 0, SIGN | 7, SIGN)
    state.zmm[1] = dwords(0x1000, 0x1000, 0, 3)
    assert isinstance(machine.step(), Done)
    assert state.zmm[0] == dwords(0x07060504, ones, 0x03020100, 0x0F0E0D0C)
    assert state.zmm[2] == 0


def test_gather_from_devices(engine):
    machine = gathering(engine, (1, 0, 2, 1), (SIGN, 0, SIGN, SIGN), MMIO)
    assert machine.step() == Read(MMIO + 4, 4)
    assert machine.step(7) == Read(MMIO + 8, 4)
    assert machine.step(8) == Read(MMIO + 4, 4)
    assert machine.state.zmm[0] == ONES
    assert isinstance(machine.step(9), Done)
    assert machine.state.xmm[0] == dwords(7, -1, 8, 9)


def test_gather_under_an_opmask(engine):
    """EVEX: vpgatherqd ymm0{k1}, [rbx+zmm1]; the opmask is cleared."""
    before = {"zmm0": ONES, "zmm1": 8 | 4 << 64, "rbx": DATA, "k1": 0xFF03}
    machine = Machine(engine, "long", "62f27d4991040b", before)
    machine.poke(DATA, bytes(range(64)))
    assert isinstance(machine.step(), Done)
    assert machine.state.zmm[0] == dwords(0x0B0A0908, 0x07060504, *[-1] * 6)
    assert machine.state.opmask[1] == 0


@pytest.mark.parametrize(
    ("code", "feature"),
    [(GATHER, "AVX2"), ("62f27d4991040b", "AVX512F"), ("62f27d2991040b", "AVX512VL"),
     ("660f3a63c10c", "SSE42"), ("660f3841c1", "SSE41"), ("660f3801c1", "SSSE3"),
     ("c4e37904c11b", "AVX"), ("c4e37506c283", "AVX"), ("c4e37546c283", "AVX2"),
     ("62f2754875c2", "AVX512BW"), ("62f2754838c1", "AVX512F"), ("62f27e4838c1", "AVX512DQ")],
)  # fmt: skip
def test_features(engine, code, feature):
    machine = Machine(engine, "long", code, {"rbx": DATA, "k1": 1})
    machine.state.features &= ~Feature[feature]
    if feature == "AVX512BW":
        machine.poke(0x1000, bytes.fromhex("62f2f5487dc2"))  # vpermt2w zmm0, zmm1, zmm2
    check_fault(machine, UD)
