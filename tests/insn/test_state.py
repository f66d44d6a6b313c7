# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`CpuState`: names, ranges, the state after reset, the ways into a mode; and guest RAM."""

import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import GPR
from vmmkit.errors import EngineError, GuestMemoryError, StateError
from vmmkit.insn import WORD as NUMBERS
from vmmkit.insn import Cpu, CpuState, Done, Fault, Segment, decode

WORDS = (
    *(*GPR, "rip", "rflags", "gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit"),
    *("cr0", "cr2", "cr3", "cr4", "efer", "pkru", "interrupt_shadow", "retired"),
)
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")
WORD = st.integers(0, (1 << 64) - 1)


def test_after_reset():
    """SDM vol. 3A, "Processor State After Reset"."""
    state = CpuState()
    assert (state.rip, state.rflags, state.cr0) == (0xFFF0, 2, 0x6000_0010)
    assert state.cs == Segment(0xF000, 0xFFFF_0000, 0xFFFF, 0x9B)
    for name in ("es", "ss", "ds", "fs", "gs"):
        assert getattr(state, name) == Segment(0, 0, 0xFFFF, 0x93)
    assert (state.gdtr_limit, state.idtr_limit) == (0xFFFF, 0xFFFF)
    assert (state.ldtr.limit, state.tr.limit) == (0xFFFF, 0xFFFF)
    assert not any(getattr(state, name) for name in (*GPR, "cr2", "cr3", "cr4", "efer"))


def test_the_reset_vector_is_16_bytes_below_4_gib(engine):
    rom = bytearray(0x1_0000)
    rom[0xFFF0:0xFFF3] = bytes.fromhex("e90d00")
    cpu = Cpu([(0xFFFF_0000, bytes(rom))], engine=engine)
    assert cpu.step() == Done(0x0, 0)


def test_reset_undoes_everything():
    state, fresh = CpuState(), CpuState()
    for name in WORDS:
        setattr(state, name, 0x1234)
    for name in SEGMENTS:
        setattr(state, name, (1, 2, 3, 4))
    state.reset()
    assert state.record == fresh.record


def test_reset_leaves_what_kind_of_processor_it_is():
    state = CpuState()
    state.features, state.maxphyaddr = 0x5, 36
    state.reset()
    assert (state.features, state.maxphyaddr) == (0x5, 36)


@given(value=WORD, name=st.sampled_from(WORDS))
def test_words_hold_what_is_stored_and_nothing_else_moves(value, name):
    state, before = CpuState(), CpuState()
    setattr(state, name, value)
    assert getattr(state, name) == value
    for other in WORDS:
        assert other == name or getattr(state, other) == getattr(before, other)
    for other in SEGMENTS:
        assert getattr(state, other) == getattr(before, other)


SELECTOR, LIMIT = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)


@given(values=st.tuples(SELECTOR, WORD, LIMIT, WORD), name=st.sampled_from(SEGMENTS))
def test_segments_hold_what_is_stored_and_nothing_else_moves(values, name):
    state, before = CpuState(), CpuState()
    setattr(state, name, values)
    assert getattr(state, name) == Segment(*values)
    for other in SEGMENTS:
        assert other == name or getattr(state, other) == getattr(before, other)
    for other in WORDS:
        assert getattr(state, other) == getattr(before, other)


@pytest.mark.parametrize("value", [-1, 1 << 64, "1", None, 1.5])
@pytest.mark.parametrize("name", ["rax", "rip", "cr3", "efer"])
def test_bad_values_name_the_register_and_change_nothing(name, value):
    state, before = CpuState(), CpuState()
    with pytest.raises(StateError, match=name):
        setattr(state, name, value)
    assert state.record == before.record


@pytest.mark.parametrize("place", range(4))
def test_bad_segments_change_nothing(place):
    state, before = CpuState(), CpuState()
    values = [1, 2, 3, 4]
    values[place] = -1
    with pytest.raises(StateError, match="ds"):
        state.ds = tuple(values)
    assert state.record == before.record


def test_gpr_is_a_view_by_number():
    state = CpuState()
    for number, name in enumerate(GPR):
        setattr(state, name, number + 100)
    assert state.gpr.tolist() == list(range(100, 116))
    state.gpr[3] = 7
    assert state.rbx == 7


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError):
        CpuState().eax = 1


def test_repr_shows_where_it_is():
    state = CpuState()
    state.rip = 0xABC
    assert "0xabc" in repr(state)


@pytest.mark.parametrize("selector", [0, 0x1234])
def test_enter_real_mode(engine, selector):
    memory = bytearray(0x2_0000)
    memory[(selector << 4) + 0x100 : (selector << 4) + 0x103] = bytes.fromhex("b83412")
    cpu = Cpu([(0, memory)], engine=engine)
    cpu.state.enter_protected_mode(0)
    cpu.state.rbx = 5
    cpu.state.enter_real_mode(0x100, selector)
    assert cpu.step() == Done(0x103, 0)
    assert (cpu.state.rax, cpu.state.rbx, cpu.state.cr0 & 1) == (0x1234, 5, 0)
    assert cpu.state.ss == Segment(selector, selector << 4, 0xFFFF, 0x93)


def test_enter_protected_mode(engine):
    memory = bytearray(0x1000)
    memory[:5] = bytes.fromhex("b878563412")
    cpu = Cpu([(0, memory)], engine=engine)
    cpu.state.enter_protected_mode(0)
    assert cpu.step() == Done(5, 0)
    assert cpu.state.rax == 0x1234_5678
    assert cpu.state.ds.limit == 0xFFFF_FFFF


def test_enter_long_mode(engine):
    memory = bytearray(0x4000)
    for table, value in ((0, 0x1003), (0x1000, 0x2003), (0x2000, 0x83)):
        memory[table : table + 8] = value.to_bytes(8, "little")
    memory[0x3000:0x300A] = bytes.fromhex("48b81122334455667788")
    cpu = Cpu([(0, memory)], engine=engine)
    cpu.state.enter_long_mode(0x3000, 0)
    assert cpu.step() == Done(0x300A, 0)
    assert cpu.state.rax == 0x8877_6655_4433_2211
    assert cpu.state.cr4 & 0x20
    cpu.state.rip = 1 << 47
    assert cpu.step() == Fault(13, 0, 0)


PAGE = bytearray(4096)

BAD_RAM = [
    ([(0, bytearray(4096)), (0, bytearray(4096))], "overlap"),
    ([(0, bytearray(8192)), (4096, bytearray(4096))], "0x1000"),
    ([(4096, bytearray(4096)), (0, bytearray(8192))], "overlap"),
    ([(1, PAGE)], "multiple"),
    ([(-4096, PAGE)], "-4096"),
    ([(1 << 52, PAGE)], "52 bits"),
    ([((1 << 52) - 4096, bytearray(8192))], "52 bits"),
    ([(0, bytearray(0))], "0x0 bytes"),
    ([(0, bytearray(4095))], "0xfff"),
    ([(0, bytearray(4097))], "whole pages"),
    ([(0, "x" * 4096)], "buffer"),
    ([(0, None)], "buffer"),
    ([(0, memoryview(bytearray(8192))[::2])], "buffer"),
    ([("0", PAGE)], "'0'"),
    ([(0.0, PAGE)], "0.0"),
    ([(None, PAGE)], "None"),
]


@pytest.mark.parametrize(("ram", "words"), BAD_RAM)
def test_bad_ram(engine, ram, words):
    with pytest.raises(GuestMemoryError, match=words):
        Cpu(ram, engine=engine)


@pytest.mark.parametrize(
    "buffer",
    [bytearray(4096), memoryview(bytearray(4096)), array.array("I", [0] * 1024)],
    ids=["bytearray", "memoryview", "array"],
)
def test_any_writable_buffer_is_ram(engine, buffer):
    view = memoryview(buffer).cast("B")
    view[:2] = bytes.fromhex("8907")
    cpu = Cpu([((1 << 52) - 4096, bytearray(4096)), (0, buffer)], engine=engine)
    cpu.state.enter_real_mode(0)
    cpu.state.rbx, cpu.state.rax = 0x100, 0x55AA
    assert cpu.step() == Done(2, 0)
    assert view[0x100:0x102] == b"\xaa\x55"


def test_ram_stays_pinned_while_the_cpu_lives(engine):
    buffer = bytearray(4096)
    cpu = Cpu([(0, buffer)], engine=engine)
    with pytest.raises(BufferError):
        buffer.append(0)
    del cpu


@pytest.mark.parametrize(
    "call", [lambda: Cpu(engine="fast"), lambda: decode(b"\x90", 64, engine="x")]
)
def test_unknown_engines(call):
    with pytest.raises(EngineError, match="no engine"):
        call()


def test_a_cpu_says_which_engine_it_has(engine):
    assert Cpu(engine=engine).engine == engine


def test_states_are_independent(engine):
    first, second = Cpu(engine=engine), Cpu(engine=engine)
    first.state.rax = 5
    assert second.state.rax == 0


def test_equal_states():
    first, second = CpuState(), CpuState()
    second.words[NUMBERS["limit"]] = 5
    second.words[NUMBERS["kick"]] = 1
    assert first == second == first.copy()
    second.rax = 1
    assert first != second
    assert first != bytes(first.record)


def test_a_state_has_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(CpuState())
