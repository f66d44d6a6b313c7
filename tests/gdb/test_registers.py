# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The table of registers, and what follows from it for each mode and layout."""

import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmmkit.errors import RegisterLayoutError
from vmmkit.gdb import registers
from vmmkit.gdb.description import LAYOUTS, MODES, REQUIRES, describe
from vmmkit.gdb.register_types import FLAGS, definitions
from vmmkit.gdb.registers import (
    AVX,
    AVX512,
    CORE,
    FEATURES,
    PKEYS,
    READ_ONLY,
    REGISTERS,
    SEGMENTS,
    SSE,
    SYSTEM,
    linear_pc,
)

NAMES = [register.name for register in REGISTERS]
BITS = {register.name: register.bits for register in REGISTERS}
WHOLE = [(mode, layout) for mode in MODES for layout in LAYOUTS]
COUNT_64 = {CORE: 40, SSE: 17, AVX: 16, AVX512: 72, SEGMENTS: 2, PKEYS: 1, SYSTEM: 54}
COUNT_32 = {CORE: 32, SSE: 9, AVX: 8, AVX512: 16, SEGMENTS: 0, PKEYS: 1, SYSTEM: 56}


def some_values(seed=0):
    source = random.Random(seed)
    return {name: source.getrandbits(bits) for name, bits in BITS.items()}


def counted(description):
    return {f: sum(r.feature == f for r in description.registers) for f in FEATURES}


def test_names_are_unique_and_widths_whole_bytes():
    assert len(set(NAMES)) == len(NAMES)
    assert all(register.bits % 8 == 0 for register in REGISTERS)
    assert {register.group for register in REGISTERS} == {"general", "float", "vector", "system"}
    assert set(NAMES) >= READ_ONLY


def test_features_lie_side_by_side_in_order():
    order = [FEATURES.index(register.feature) for register in REGISTERS]
    assert order == sorted(order)
    assert set(order) == set(range(len(FEATURES)))


def test_every_system_register_is_in_the_documentation():
    text = registers.__doc__
    for register in REGISTERS:
        if register.feature == SYSTEM:
            stem = re.sub(r"^(..|ldtr)_(limit|attr)$", r"..._\2", register.name)
            stem = re.sub(r"^dr[0-3]$", "dr0", stem)
            assert f"`{stem}`" in text, register.name


@pytest.mark.parametrize("name", FLAGS)
def test_fields_of_flags_neither_overlap_nor_leave_their_register(name):
    root = ET.fromstring("".join(definitions(name)))
    places = [(int(f.get("start")), int(f.get("end"))) for f in root]
    assert len({f.get("name") for f in root}) == len(places)
    assert all(a[1] < b[0] for a, b in pairwise(places))
    assert places[-1][1] < 8 * int(root.get("size"))
    widths = {r.bits // 8 for r in REGISTERS if r.xml_type == name}
    assert widths == {int(root.get("size"))}


@pytest.mark.parametrize(("mode", "layout"), WHOLE)
def test_numbers_and_offsets_are_consecutive(mode, layout):
    description = describe(mode, layout, NAMES)
    offset = 0
    for number, register in enumerate(description.registers):
        assert (register.number, register.offset) == (number, offset)
        assert description.number_of(register.source) == number
        offset += register.size
    assert description.size == offset
    assert len({register.name for register in description.registers}) == number + 1


@pytest.mark.parametrize(("mode", "layout"), WHOLE)
def test_xml_has_the_registers_in_the_order_of_their_numbers(mode, layout):
    description = describe(mode, layout, NAMES)
    root = ET.fromstring(description.xml)
    shown = [(r.get("name"), r.get("bitsize"), r.get("type")) for r in root.iter("reg")]
    assert shown == [(r.name, str(r.bits), r.xml_type) for r in description.registers]


@pytest.mark.parametrize(("mode", "layout"), WHOLE)
def test_xml_needs_no_escape_in_a_packet(mode, layout):
    assert not set(describe(mode, layout, NAMES).xml) & set(b"#$}*")


def test_what_each_mode_has():
    assert counted(describe(64, "gdb", NAMES)) == COUNT_64
    assert counted(describe(32, "gdb", NAMES)) == counted(describe(16, "gdb", NAMES)) == COUNT_32


def test_32_bit_registers_are_halves_of_the_target_s():
    description = describe(32, "gdb", NAMES)
    eight = [(r.name, r.source, r.bits) for r in description.registers[:9]]
    assert eight[0] == ("eax", "rax", 32)
    assert [name for name, _, _ in eight] == [
        *("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip")
    ]
    assert description.value(0, {"rax": 0x1122_3344_5566_7788}) == b"88776655"


def test_qemu_layout():
    description = describe(16, "qemu", ())
    assert description is describe(64, "qemu", NAMES, linear_pc=True)
    assert (description.mode, len(description.registers), description.size) == (64, 66, 608)
    assert description.pack({}) == b"xx" * 608


@pytest.mark.parametrize("gone", [r.name for r in REGISTERS if r.feature not in {CORE, SYSTEM}])
def test_a_feature_is_there_only_whole(gone):
    (feature,) = {r.feature for r in REGISTERS if r.name == gone}
    shown = counted(describe(64, "gdb", set(NAMES) - {gone}))
    assert shown[feature] == 0
    for later, earlier in REQUIRES.items():
        assert shown[later] == 0 or shown[earlier]
    assert shown[SYSTEM] == COUNT_64[SYSTEM]


def test_system_registers_are_there_one_by_one():
    description = describe(64, "gdb", ["cr0", "cs_base", "nonsense"])
    assert [r.name for r in description.registers if r.feature == SYSTEM] == [
        *("cr0", "cs_base", "linear_pc"),
    ]
    assert counted(description)[CORE] == 40


def test_32_bit_features_do_not_need_the_registers_of_64_bit_code():
    eight = {n for n in NAMES if not re.fullmatch(r"([xyz]mm|r)([89]|[123]\d)h?", n)}
    assert describe(32, "gdb", eight) is not describe(32, "gdb", NAMES)
    assert describe(32, "gdb", eight).xml == describe(32, "gdb", NAMES).xml
    assert counted(describe(64, "gdb", eight))[SSE] == 0


def test_descriptions_are_made_once():
    assert describe(64, "gdb", NAMES) is describe(64, "gdb", reversed_names())
    assert describe(64, "gdb", NAMES) is not describe(32, "gdb", NAMES)


def reversed_names():
    return [*reversed(NAMES), "another"]


@pytest.mark.parametrize(
    ("mode", "layout"), [(8, "gdb"), (64, "bochs"), (0, "qemu"), ("64", "gdb")]
)
def test_unknown_modes_and_layouts(mode, layout):
    with pytest.raises(RegisterLayoutError):
        describe(mode, layout, NAMES)


def test_numbers_go_by_the_target_s_names():
    assert describe(32, "gdb", NAMES).number_of("rip") == 8
    assert describe(32, "gdb", NAMES).number_of("eip") is None
    assert describe(32, "gdb", NAMES).number_of("r8") is None


@settings(max_examples=40)
@given(
    place=st.sampled_from(WHOLE),
    seed=st.integers(0, 1 << 32),
    missing=st.one_of(st.just(set()), st.sets(st.sampled_from(NAMES))),
    linear=st.booleans(),
)
def test_pack_and_unpack_are_inverse(place, seed, missing, linear):
    mode, layout = place
    values = {name: value for name, value in some_values(seed).items() if name not in missing}
    if linear:
        values |= {"cs_base": 0xFFFF_0000, "rip": seed & 0xFFFF, "cs_attr": 0x9B}
    description = describe(mode, layout, NAMES, linear_pc=linear)
    text = description.pack(values)
    assert len(text) == 2 * description.size
    assert description.unpack(text, values) == {}
    shown = description.unpack(text, {"cs_base": values["cs_base"]} if linear else {})
    for register in description.registers:
        if register.source in {"linear_pc", "cs_base"} or register.source not in values:
            continue
        assert shown.get(register.source, 0) == values[register.source] % (1 << register.bits)


@settings(max_examples=20)
@given(st.sampled_from(WHOLE), st.integers(0, 1 << 32), st.sets(st.sampled_from(NAMES)))
def test_p_is_a_slice_of_g(place, seed, missing):
    values = {name: value for name, value in some_values(seed).items() if name not in missing}
    description = describe(*place, NAMES)
    whole = description.pack(values)
    for number, register in enumerate(description.registers):
        start = 2 * register.offset
        part = description.value(number, values)
        assert part == whole[start : start + 2 * register.size]
        assert (description.integer(number, values) is None) == part.startswith(b"x")


def test_values_wider_than_their_register_are_cut():
    description = describe(64, "gdb", NAMES)
    wide = dict.fromkeys(NAMES, (1 << 300) - 1)
    text = description.pack(wide | {"rip": -1})
    assert set(text[: 2 * description.registers[-1].offset]) == {ord("f")}


class Lazy(Mapping):
    """Registers that a target reads only when it is asked for them."""

    def __getitem__(self, name):
        return BITS[name]

    def __iter__(self):
        return iter(BITS)

    def __len__(self):
        return len(BITS)


def test_a_mapping_may_compute_its_values():
    description = describe(64, "gdb", NAMES)
    assert description.pack(Lazy()) == description.pack(BITS)
    assert description.unpack(description.pack(BITS), Lazy()) == {}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1],
        lambda text: text[:-2],
        lambda text: text + b"00",
        lambda text: b"",
        lambda text: b"x" + text[1:],
        lambda text: b"xx" + text[2:],
        lambda text: b" 1" + text[2:],
        lambda text: b"0x" + text[2:],
        lambda text: b"+1" + text[2:],
        lambda text: b"\xff\xff" + text[2:],
    ],
)
def test_unpack_is_strict(spoil):
    description = describe(64, "gdb", NAMES)
    with pytest.raises(RegisterLayoutError):
        description.unpack(spoil(description.pack(some_values())), {})


@pytest.mark.parametrize("text", [b"", b"0", b"00", b"00" * 9, b"xx" * 8, b"0" * 15 + b"g"])
def test_parse_value_is_strict(text):
    with pytest.raises(RegisterLayoutError):
        describe(64, "gdb", NAMES).parse_value(0, text, {})


def test_parse_value_takes_the_lowest_byte_first_and_either_case():
    description = describe(64, "gdb", NAMES)
    assert description.parse_value(0, b"EFcdAB8967452301", {}) == ("rax", 0x0123_4567_89AB_CDEF)


def test_unpack_returns_only_what_changed():
    description, values = describe(32, "gdb", NAMES), some_values()
    values["rax"] = 0x1111_2222_3333_4444
    text = description.pack(values)
    ecx = slice(8, 16)
    assert description.unpack(text[: ecx.start] + b"78563412" + text[ecx.stop :], values) == {
        "rcx": 0x1234_5678
    }


def test_zeros_for_what_is_not_there_change_nothing():
    description = describe(64, "gdb", NAMES)
    assert description.unpack(b"00" * description.size, {"rax": 5}) == {"rax": 0}


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ({"cs_base": 0xFFFF_0000, "rip": 0xFFF0}, 0xFFFF_FFF0),
        ({"cs_base": 0x7C00, "rip": 0x10}, 0x7C10),
        ({"cs_base": 0xFFFF_FFF0, "rip": 0x20}, 0x10),
        ({"cs_base": 0, "rip": 0xFFFF_8000_0000_0000, "efer": 0x500, "cs_attr": 0xA09B},
         0xFFFF_8000_0000_0000),
        ({"cs_base": 8, "rip": 0xFFFF_8000_0000_0000, "efer": 0x500, "cs_attr": 0xA09B},
         0xFFFF_8000_0000_0000),
        ({"cs_base": 8, "rip": 1, "efer": 0x500, "cs_attr": 0xC09B}, 9),
    ],
)  # fmt: skip
def test_linear_pc(values, address):
    assert linear_pc(values) == address
    for mode in MODES:
        description = describe(mode, "gdb", NAMES)
        number = description.number_of("linear_pc")
        assert description.integer(number, values) == address


def test_eip_may_be_linear_in_16_bit_code():
    values = {"cs_base": 0xFFFF_0000, "rip": 0xFFF0}
    description = describe(16, "gdb", NAMES, linear_pc=True)
    eip = description.number_of("rip")
    assert description.value(eip, values) == b"f0ffffff"
    assert description.parse_value(eip, b"34ffffff", values) == ("rip", 0xFF34)
    with pytest.raises(RegisterLayoutError, match="outside"):
        description.parse_value(eip, b"34120000", values)
    changed = description.pack(values).replace(b"f0ffffff", b"00ffffff", 1)
    assert description.unpack(changed, values) == {"rip": 0xFF00}


@pytest.mark.parametrize("mode", [32, 64])
def test_a_linear_eip_is_for_16_bit_code(mode):
    assert describe(mode, "gdb", NAMES, linear_pc=True) is describe(mode, "gdb", NAMES)


def test_a_linear_eip_needs_the_base_of_cs():
    names = set(NAMES) - {"cs_base"}
    assert describe(16, "gdb", names, linear_pc=True) is describe(16, "gdb", names)
    assert "linear_pc" not in {r.name for r in describe(16, "gdb", names).registers}
