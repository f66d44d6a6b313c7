# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Registers through a debugger's eyes."""

import random
import struct

import pytest

from vmmkit.backends import SoftMachine, SoftVcpu
from vmmkit.backends.machine_target import MachineTarget
from vmmkit.backends.vcpu_target import VcpuTarget
from vmmkit.errors import TargetError
from vmmkit.gdb.description import describe
from vmmkit.gdb.registers import AVX512, REGISTERS
from vmmkit.insn import Feature, Segment


def target_of(mode="long"):
    ram = bytearray(1 << 20)
    vcpu = SoftVcpu([(0, ram)], engine="pure")
    state = vcpu.state
    if mode == "long":
        state.enter_long_mode(0x1000, 0x8000)
    elif mode == "protected":
        state.enter_protected_mode(0x1000)
    else:
        state.enter_real_mode(0x1000)
    return ram, vcpu, VcpuTarget([vcpu], ram=[(0, ram)])


def test_every_register_of_the_table_is_there():
    machine = SoftMachine([(0, bytearray(4096))], engine="pure")
    machine.vcpus[0].state.features |= Feature.AVX | Feature.AVX512F
    names = set(MachineTarget(machine).read_registers(0))
    assert names == {register.name for register in REGISTERS} - {"linear_pc"}


def test_features_decide_about_vector_registers():
    _, vcpu, target = target_of()
    vcpu.state.features &= ~(Feature.AVX | Feature.AVX512F)
    names = set(target.read_registers(0))
    assert not names & {"ymm0h", "k0", "zmm0h"}
    vcpu.state.features |= Feature.AVX
    assert "ymm15h" in set(target.read_registers(0))
    assert not {row.name for row in REGISTERS if row.feature == AVX512} & set(
        target.read_registers(0)
    )


def test_what_is_written_is_read():
    machine = SoftMachine([(0, bytearray(4096))], engine="pure")
    vcpu = machine.vcpus[0]
    vcpu.state.enter_protected_mode(0x1000)
    vcpu.state.features |= Feature.AVX | Feature.AVX512F
    target = MachineTarget(machine)
    fixed = {"linear_pc", "cpl", "apic_base", "cr0", "efer", "eflags", "fstat", "ftag", "cr8"}
    fixed |= {"cs", "ss", "ds", "es", "fs", "gs", "ldtr", "tr"}
    narrow = {"fctrl": 16, "fiseg": 16, "foseg": 16, "fop": 11, "mxcsr": 16}
    values = {}
    for number, register in enumerate(REGISTERS):
        if register.name not in fixed:
            bits = narrow.get(register.name, register.bits)
            values[register.name] = (0x0123_4567_89AB_CDEF * (number + 3)) % (1 << bits)
    target.write_registers(0, values)
    found = target.read_registers(0)
    assert {name: found[name] for name in values} == values


def test_x87_registers_turn_with_the_top_of_the_stack():
    _, vcpu, target = target_of()
    state = vcpu.state
    state.x87_status, state.x87_tag = 5 << 11, 0b1110_0000
    for number in range(8):
        state.x87[number] = 0x3FFF_8000_0000_0000_0000 + number
    found = target.read_registers(0)
    assert [found[f"st{n}"] & 7 for n in range(8)] == [5, 6, 7, 0, 1, 2, 3, 4]
    assert found["ftag"] == 0b00_00_00_11_11_11_11_11
    target.write_registers(0, {"st1": 0x4000_8000_0000_0000_0000, "ftag": 0xFFFF})
    assert state.x87[6] == 0x4000_8000_0000_0000_0000
    assert state.x87_tag == 0


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        (0x3FFF_8000_0000_0000_0000, 0),
        (0, 1),
        (1 << 79, 1),
        (0x7FFF_8000_0000_0000_0000, 2),
        (1, 2),
        (0x3FFF_0000_0000_0000_0001, 2),
    ],
)
def test_tags_tell_what_a_register_holds(value, tag):
    _, vcpu, target = target_of()
    vcpu.state.x87_tag = 1
    vcpu.state.x87[0] = value
    assert target.read_registers(0)["ftag"] & 3 == tag


@pytest.mark.parametrize(
    "values",
    [
        {"rax": 1, "rip": 1 << 64},
        {"rax": 1, "xmm0": 1 << 128},
        {"rax": 1, "fctrl": 1 << 16},
        {"rax": 1, "cr8": 16},
        {"rax": 1, "cpl": 3},
        {"rax": 1, "nonsense": 0},
        {"rax": 1, "cs": 0x1_0000},
        {"rax": 1, "ds": 0x18},
    ],
)
def test_a_refused_value_changes_nothing(values):
    _, vcpu, target = target_of()
    before = vcpu.state.copy()
    with pytest.raises(TargetError):
        target.write_registers(0, values)
    assert vcpu.state == before


def test_everything_may_be_written_back():
    _, vcpu, target = target_of()
    before = vcpu.state.copy()
    target.write_registers(0, dict(target.read_registers(0)))
    assert vcpu.state == before


def test_a_selector_in_real_mode_brings_its_base():
    _, vcpu, target = target_of("real")
    target.write_registers(0, {"ds": 0x1234, "es": 0x2000, "es_base": 0x77})
    assert vcpu.state.ds.base == 0x12340
    assert vcpu.state.es == Segment(0x2000, 0x77, 0xFFFF, 0x93)


def test_a_selector_in_protected_mode_brings_its_descriptor():
    ram, vcpu, target = target_of("protected")
    struct.pack_into("<3Q", ram, 0x608, 0x00CF_9B00_0000_FFFF, 0, 0x1240_9234_5678_0FFF)
    vcpu.state.gdtr_base, vcpu.state.gdtr_limit = 0x600, 31
    target.write_registers(0, {"ds": 0x18, "fs": 0})
    assert vcpu.state.ds == Segment(0x18, 0x1234_5678, 0xFFF, 0x4093)
    assert vcpu.state.fs == Segment(0, 0, 0, 1 << 16)
    target.write_registers(0, {"ds": 0x08})
    assert vcpu.state.ds == Segment(0x08, 0, 0xFFFF_FFFF, 0xC09B)


def test_an_instruction_in_flight_keeps_its_registers():
    ram, vcpu, target = target_of("protected")
    ram[0x1000:0x1002] = bytes.fromhex("0f32")  # rdmsr
    vcpu.state.rcx = 0x1234
    target.run(0)
    assert vcpu.awaits_answer
    assert target.read_registers(0)["rip"] == 0x1000
    with pytest.raises(TargetError, match="owner"):
        target.write_registers(0, {"rip": 0x2000})


@pytest.mark.parametrize(
    ("mode", "bits", "words"),
    [
        ("long", 64, "vCPU 0 [64-bit, CPL 0]"),
        ("protected", 32, "vCPU 0 [32-bit, CPL 0]"),
        ("real", 16, "vCPU 0 [16-bit, CPL 0]"),
    ],
)
def test_mode_and_description(mode, bits, words):
    _, _, target = target_of(mode)
    assert target.mode(0) == bits
    assert target.describe_vcpu(0) == words


def test_descriptions_tell_who_waits():
    machine = SoftMachine([(0, bytearray(4096))], vcpus=2, engine="pure")
    machine.vcpus[0].state.halted = 1
    target = MachineTarget(machine)
    assert target.describe_vcpu(0).endswith("halted]")
    assert target.describe_vcpu(1).endswith("waits for SIPI]")


def test_the_mapping_counts_what_it_has():
    found = target_of()[2].read_registers(0)
    assert len(found) == len(list(found))
    with pytest.raises(KeyError):
        found["apic_base"]


@pytest.mark.parametrize("features", [Feature(0), Feature.AVX, Feature.AVX | Feature.AVX512F])
@pytest.mark.parametrize("mode", [16, 32, 64])
@pytest.mark.parametrize("top", [0, 3])
def test_many_at_once_are_the_same_as_one_by_one(features, mode, top):
    machine = SoftMachine([(0, bytearray(4096))], engine="pure")
    state = machine.vcpus[0].state
    state.take_record(random.Random(top).randbytes(len(state.record)))
    state.features = features
    state.x87_status, state.x87_tag = top << 11, 0b1010_0101
    values = MachineTarget(machine).read_registers(0)
    description = describe(mode, "gdb", values)
    one_by_one = [description.value(r.number, values) for r in description.registers]
    assert description.pack(values) == b"".join(one_by_one)
    whole = describe(mode, "gdb", {register.name for register in REGISTERS})
    assert (b"xx" in whole.pack(values)) == (features != Feature.AVX | Feature.AVX512F)


def test_the_top_of_the_x87_stack_is_written_before_the_stack():
    _, vcpu, target = target_of()
    vcpu.state.x87_status = 7 << 11
    wanted = {f"st{n}": 0x3FFF_8000_0000_0000_0000 + n for n in range(8)} | {"fstat": 3 << 11}
    target.write_registers(0, wanted)
    found = target.read_registers(0)
    assert {name: found[name] for name in wanted} == wanted
    assert vcpu.state.x87[3] == wanted["st0"]


@pytest.mark.parametrize("name", ["fop", "mxcsr"])
def test_bits_that_are_reserved_are_refused(name):
    _, _, target = target_of()
    before = target.read_registers(0)[name]
    with pytest.raises(TargetError):
        target.write_registers(0, {name: 0x1_0000 if name == "mxcsr" else 0x800})
    assert target.read_registers(0)[name] == before


def test_reserved_flags_are_what_they_are():
    _, _, target = target_of()
    target.write_registers(0, {"eflags": 0xFFFF_FFFF & ~(1 << 17)})
    assert target.read_registers(0)["eflags"] == 0x3D_7FD7
    target.write_registers(0, {"eflags": 0})
    assert target.read_registers(0)["eflags"] == 2


def test_another_rip_ends_a_halt():
    _, vcpu, target = target_of()
    vcpu.state.halted = True
    target.write_registers(0, {"rip": 0x1000, "rax": 5})
    assert vcpu.state.halted
    target.write_registers(0, {"rip": 0x2000})
    assert not vcpu.state.halted


def test_loaded_descriptors_are_accessed_and_tasks_busy():
    ram, vcpu, target = target_of("protected")
    struct.pack_into("<3Q", ram, 0x600, 0, 0x00CF_9200_0000_FFFF, 0x0000_8900_2000_0067)
    vcpu.state.gdtr_base, vcpu.state.gdtr_limit = 0x600, 23
    target.write_registers(0, {"es": 0x08, "tr": 0x10})
    assert vcpu.state.es.attributes == 0xC093
    assert vcpu.state.tr == Segment(0x10, 0x2000, 0x67, 0x8B)
    assert ram[0x60D] == 0x92  # and nothing is written
