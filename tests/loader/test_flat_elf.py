# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Flat binaries and ELF programs: what is loaded, and the state they start in."""

import copy
import pickle
import re
import struct
import subprocess

import pytest

from loader.images import FLAGS, MIB, elf, pvh_note, ram_for, run
from system_tools import require
from vmmkit import loader
from vmmkit.errors import ImageFormatError, ImagePlacementError
from vmmkit.insn import CpuState

PROGRAM = """
        .globl _start
_start: mov     $value, %ebx
        mov     (%ebx), %ecx
        mov     zeros, %edx
        hlt
        .data
value:  .long   0x12345678
        .bss
zeros:  .space  0x3000
"""


@pytest.mark.parametrize(
    ("mode", "base", "rip", "selector"),
    [
        (16, 0x7C00, 0x7C01, 0),
        (16, 0x2_0000, 1, 0x2000),
        (32, MIB, MIB + 1, 0x10),
        (64, MIB, MIB + 1, 0x10),
        (64, 5 << 30, (5 << 30) + 1, 0x10),
    ],
)
def test_flat(mode, base, rip, selector):
    image = loader.flat(b"\xf4", base, mode=mode)
    boot = image.boot(memory=[(0, MIB, 1), (MIB, 5 << 30, 1)])
    ram = [(0, bytearray(2 * MIB)), (5 << 30, bytearray(4096))]
    _, vcpu = run(boot, ram)
    assert (image.kind, vcpu.state.rip, vcpu.state.cs.selector) == ("flat", rip, selector)
    assert vcpu.state.mode == mode


def test_flat_moves_with_its_entry():
    boot = loader.flat(b"\xcc\xf4", 0x1000, entry=0x1001).boot(memory=[(0, MIB, 1)], at=0x2000)
    _, vcpu = run(boot, [(0, bytearray(MIB))])
    assert vcpu.state.rip == 0x2002


@pytest.mark.parametrize(
    ("data", "entry", "mode"),
    [(b"", 0, 32), (b"\xf4", 0, 31), (b"\xf4", MIB, 16), (b"\xf4", 1 << 32, 32), (b"\xf4", -1, 64)],
)
def test_flat_that_cannot_be(data, entry, mode):
    with pytest.raises(ImageFormatError, match=f"mode {mode}"):
        loader.flat(data, 0, entry, mode)


@pytest.mark.parametrize("bits", [32, 64])
def test_program_of_a_compiler(bits, tmp_path):
    source, path = tmp_path / "program.S", tmp_path / "program"
    source.write_text(PROGRAM)
    flags = (f"-m{bits}", *FLAGS, "-Wl,-Ttext=0x200000", "-Wl,-z,separate-code", "-o", path)
    subprocess.run([require("gcc"), *flags, source], check=True, timeout=60)
    image = loader.read(path.read_bytes())
    memory, ram = ram_for(8 * MIB)
    ram[0][1][:] = b"\xa5" * (8 * MIB)  # what is zero must have been cleared
    boot = image.boot(memory=memory)
    _, vcpu = run(boot, ram)
    assert (image.kind, vcpu.state.mode) == ("elf", bits)
    assert (vcpu.state.rcx, vcpu.state.rdx) == (0x12345678, 0)
    assert segments_of(boot) == by_readelf(path)


def segments_of(boot):
    return {(one.gpa, one.size) for one in boot.layout if one.name.startswith("segment")}


def by_readelf(path):
    """Return physical address and memory size of what readelf says is loaded."""
    command = [require("readelf"), "--program-headers", "--wide", path]
    text = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
    rows = re.findall(r"LOAD +0x\w+ 0x\w+ 0x(\w+) 0x\w+ 0x(\w+)", text)
    return {(int(gpa, 16), int(size, 16)) for gpa, size in rows}


@pytest.mark.parametrize("bits", [32, 64])
def test_state_at_the_first_instruction(bits):
    """Nothing of what a vCPU did before shows."""
    boot = loader.read(elf(bits=bits)).boot(memory=[(0, 4 * MIB, 1)])
    state = CpuState()
    for number in range(16):
        state.gpr[number] = 0x1111
    state.rflags, state.cr4, state.efer, state.cr0 = 0x302, 0x1000, 0x801, 0x8005_0033
    boot.start(state)
    long = bits == 64
    assert list(state.gpr) == [0] * 16
    assert (state.rip, state.rflags) == (MIB, 2)
    assert state.cr0 == (0x8000_0011 if long else 0x11)
    assert (state.cr4, state.efer) == ((0x20, 0x500) if long else (0, 0))
    assert state.cs == (0x10, 0, 0xFFFF_FFFF, 0xA09B if long else 0xC09B)
    for segment in (state.ds, state.es, state.ss, state.fs, state.gs):
        assert segment == (0x18, 0, 0xFFFF_FFFF, 0xC093)
    assert (state.tr, state.idtr_limit) == ((0, 0, 0x67, 0x8B), 0)
    assert (state.gdtr_base, state.gdtr_limit) == (boot.startup.gdt, 0x1F)


def test_segments_can_be_loaded_anew_from_the_table():
    """A far return and a move to DS with the selectors of the start."""
    code = bytes.fromhex("bc002010006a10680d001000cb668cd88ed8f4")
    boot = loader.read(elf(code, bits=32)).boot(memory=[(0, 4 * MIB, 1)])
    _, vcpu = run(boot, [(0, bytearray(4 * MIB))])
    assert (vcpu.state.cs.attributes, vcpu.state.ds.attributes) == (0xC09B, 0xC093)


def test_identity_map_has_the_first_4_gib_and_what_is_loaded():
    at = 600 << 30  # another page-directory-pointer table
    boot = loader.flat(b"\xf4", at, mode=64).boot(memory=[(0, MIB, 1), (at, MIB, 1)])
    ram = [(0, bytearray(MIB)), (at, bytearray(MIB))]
    _, vcpu = run(boot, ram)
    for gva in (0, MIB, (4 << 30) - 1, at, at + 0x3FFF_FFFF):
        assert vcpu.translate(gva).gpa == gva
    assert getattr(vcpu.translate(5 << 30), "gpa", None) is None


def test_position_independent_program_goes_where_it_is_told():
    image = loader.read(elf(kind=3, at=0x1000, memsz=64))
    boot = image.boot(memory=[(0, 4 * MIB, 1)], at=2 * MIB)
    assert boot.startup.entry == 2 * MIB
    with pytest.raises(ImagePlacementError, match="position-independent"):
        loader.read(elf()).boot(memory=[(0, 4 * MIB, 1)], at=2 * MIB)


def test_entry_is_translated_as_segments_are():
    data = bytearray(elf(bits=64))
    struct.pack_into("<Q", data, 64 + 16, 0xFFFF_FFFF_8010_0000)  # p_vaddr
    struct.pack_into("<Q", data, 24, 0xFFFF_FFFF_8010_0000)  # e_entry
    assert loader.read(data).entry == MIB


@pytest.mark.parametrize("given", [{"cmdline": "x"}, {"initrd": b"x"}, {"modules": [b"x"]}])
def test_what_a_program_is_not_told(given):
    for image in (loader.read(elf()), loader.flat(b"\xf4", MIB)):
        with pytest.raises(ImagePlacementError, match=next(iter(given))):
            image.boot(memory=[(0, 4 * MIB, 1)], **given)


def test_pvh_note_decides_unless_told_otherwise():
    data = elf(notes=struct.pack("<3I4s8s", 4, 8, 5, b"GNU\0", bytes(8)) + pvh_note(size=8))
    assert (loader.read(data).kind, loader.read_elf(data).kind) == ("pvh", "elf")
    with pytest.raises(ImageFormatError, match="no note"):
        loader.read_pvh(elf())


def test_ram_in_several_buffers():
    boot = loader.flat(bytes(range(100)), 0x1000, mode=16).boot(memory=[(0, MIB, 1)])
    ram = [(0x1020, bytearray(100)), (0, bytearray(0x1020))]
    boot.write(ram)
    assert ram[1][1][0x1000:] + ram[0][1] == bytes(range(100)) + bytes(32)


@pytest.mark.parametrize(
    ("ram", "gpa"),
    [
        pytest.param([], 0x1000, id="none"),
        pytest.param([(0, bytearray(0x1010))], 0x1010, id="too short"),
        pytest.param([(0x1001, bytearray(0x1000))], 0x1000, id="beside it"),
        pytest.param([(0, bytes(0x2000))], 0, id="read-only"),
    ],
)
def test_ram_that_does_not_take_it(ram, gpa):
    boot = loader.flat(b"\xf4" * 100, 0x1000, mode=16).boot(memory=[(0, MIB, 1)])
    before = copy.deepcopy(ram)
    with pytest.raises(ImagePlacementError) as raised:
        boot.write(ram)
    assert (raised.value.gpa, ram) == (gpa, before)


def test_errors_pickle():
    for error in (ImageFormatError("text", 3), ImagePlacementError("text", None, 5, "GDT")):
        twin = pickle.loads(pickle.dumps(error))
        assert (str(twin), vars(twin)) == (str(error), vars(error))


def test_representations_show_no_contents():
    image = loader.flat(b"\xf4" * 10_000, MIB)
    boot = image.boot(memory=[(0, 4 * MIB, 1)])
    assert len(repr(image)) + len(repr(boot)) + len(repr(loader.read(elf(b"\xf4" * 9999)))) < 2000
