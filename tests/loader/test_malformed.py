# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Malformed images: an error of the loader's, and no memory by sizes that they claim."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.images import MIB, bzimage, elf, multiboot, multiboot2, pvh_note
from vmmkit import loader
from vmmkit.errors import ImageFormatError, LoaderError

VALID = (
    elf(),
    elf(bits=32, memsz=0x3000),
    elf(notes=pvh_note()),
    elf(bits=32, notes=pvh_note()),
    multiboot(),
    multiboot2((1, 0, struct.pack("<2I", 1, 6)), (4, 0, bytes(4))),
    bzimage(),
)
INTERESTING = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)
BYTES = st.lists(st.tuples(st.integers(0, 2000), INTERESTING), max_size=6)
WORDS = st.lists(
    st.tuples(st.integers(0, 300), st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**16 - 1])),
    max_size=2,
)


def test_valid_ones_are():
    memory = [(0, 64 * MIB, 1)]
    kinds = [loader.read(one).kind for one in VALID]
    assert kinds == ["elf", "elf", "pvh", "pvh", "multiboot", "multiboot2", "bzimage"]
    assert all(loader.read(one).boot(memory=memory).pieces for one in VALID)


@settings(max_examples=600)
@given(st.sampled_from(VALID), BYTES, WORDS, st.integers(0, 3000), st.booleans())
def test_mutated(valid, changes, words, length, short):
    data = bytearray(valid)
    for at, value in changes:
        data[at % len(data)] = value
    for at, value in words:
        if 4 * at + 4 <= len(data):
            struct.pack_into("<I", data, 4 * at, value)
    data = data[:length] if short else data
    for reader in (
        *(loader.read, loader.read_elf, loader.read_pvh, loader.read_multiboot),
        *(loader.read_multiboot2, loader.read_bzimage),
    ):
        try:
            boot = reader(data).boot(memory=[(0, 64 * MIB, 1), (1 << 32, MIB, 1)])
        except LoaderError:
            continue
        for gpa, content in boot.pieces:
            assert gpa + len(content) <= (1 << 32) + MIB


def patched(data, at, form, value):
    data = bytearray(data)
    struct.pack_into("<" + form, data, at, value)
    return data


ROW = 64  # where the program header of an ELF file of 64 bits is
HUGE = 1 << 62

CASES = {
    "no format": (b"nothing of the kind" * 9, "no format"),
    "nothing": (b"", "no format"),
    "ELF, the magic only": (b"\x7fELF", "are no ELF"),
    "ELF, big-endian": (patched(elf(), 5, "B", 2), "little-endian"),
    "ELF of ARM": (patched(elf(), 18, "H", 183), "machine 183"),
    "ELF of another class": (patched(elf(), 18, "H", 3), "64 bits for 80386"),
    "ELF object": (patched(elf(), 16, "H", 1), "type 1"),
    "ELF without program headers": (patched(elf(), 56, "H", 0), "0 program headers"),
    "ELF with headers elsewhere": (patched(elf(), 56, "H", 0xFFFF), "65535 program headers"),
    "ELF headers of another size": (patched(elf(), 54, "H", 32), "of 32 bytes"),
    "ELF headers beyond the file": (patched(elf(), 32, "Q", HUGE), "program header 0"),
    "ELF segment beyond the file": (patched(elf(), ROW + 8, "Q", 500), "ends beyond"),
    "ELF segment, huge in the file": (patched(elf(), ROW + 32, "Q", HUGE), "claim more"),
    "ELF segment, less memory than file": (patched(elf(b"1234"), ROW + 40, "Q", 2), "segment at"),
    "ELF segment, in the file only": (patched(elf(), ROW + 40, "Q", 0), "segment at"),
    "ELF segment of 32 bits beyond 4 GiB": (elf(bits=32, at=0xFFFF_F000, memsz=8192), "segment at"),
    "ELF segment beyond the address space": (patched(elf(), ROW + 24, "Q", HUGE), "segment at"),
    "ELF with nothing to load": (patched(elf(), ROW, "I", 6), "nothing to be loaded"),
    "ELF entry elsewhere": (elf(entry=5), "entry 0x5"),
    "ELF notes of more than the file": (
        patched(elf(notes=pvh_note()), ROW + 56 + 32, "Q", HUGE),
        "claim more",
    ),
    "PVH entry of 3 bytes": (elf(notes=pvh_note(size=3) + b"\0"), "no 32-bit address"),
    "PVH entry beyond 4 GiB": (elf(notes=pvh_note(1 << 40, size=8)), "no 32-bit address"),
    "PVH entry elsewhere": (elf(notes=pvh_note(16)), "entry 0x10"),
    "PVH note beyond its segment": (elf(notes=pvh_note()[:-2]), "note of 4 bytes"),
    "Multiboot with demands": (multiboot(flags=1 << 16 | 8), "demand"),
    "Multiboot without addresses": (multiboot(flags=0), "gives no addresses"),
    "Multiboot cut": (multiboot()[:16], "Multiboot addresses"),
    "Multiboot loads before the file": (
        multiboot(addresses=(MIB + 64, MIB, 0, 0, MIB)),
        "contradict",
    ),
    "Multiboot loads beyond the file": (
        multiboot(addresses=(MIB, MIB, 2 * MIB, 0, MIB)),
        "contradict",
    ),
    "Multiboot ends before it starts": (
        multiboot(addresses=(MIB, MIB, MIB - 4, 0, MIB)),
        "contradict",
    ),
    "Multiboot loads beyond 4 GiB": (
        multiboot(addresses=((1 << 32) - 16, (1 << 32) - 16, 0, 0, (1 << 32) - 16)),
        "contradict",
    ),
    "Multiboot entry elsewhere": (multiboot(addresses=(MIB, MIB, 0, 0, 7)), "entry 0x7"),
    "Multiboot2 loaded below 0": (b"\0" * 16 + multiboot2(at=8, load=0xFFFF_FFFF), "contradict"),
    "Multiboot2 without entry": (patched(multiboot2(), 16 + 24, "H", 6), "without an entry"),
    "Multiboot2 for MIPS": (multiboot2(architecture=4), "architecture 4"),
    "Multiboot2 demands VBE": (multiboot2((1, 0, struct.pack("<I", 7))), r"tags \[7\]"),
    "Multiboot2 demands a console": (multiboot2((4, 0, struct.pack("<I", 1))), "console"),
    "Multiboot2 demands the unknown": (multiboot2((99, 0, b"")), "tag 99"),
    "Multiboot2 with a tag too long": (patched(multiboot2(), 16 + 4, "I", 1 << 31), "leaves"),
    "Multiboot2 with a tag of no size": (patched(multiboot2(), 16 + 4, "I", 0), "leaves"),
    "Linux of protocol 2.11": (bzimage(version=0x20B), "2.11 has no 64-bit entry"),
    "Linux of 32 bits": (bzimage(xloadflags=0), "without 64-bit entry"),
    "Linux loaded low": (bzimage(loadflags=0), "without 64-bit entry"),
    "Linux cut in its header": (bzimage()[:0x230], "kernel_alignment"),
    "Linux cut": (bzimage()[:0x500], "truncated"),
    "Linux of more than there is": (bzimage(syssize=1 << 31), "truncated"),
    "Linux without setup header's end": (patched(bzimage(), 0x201, "B", 0), "ends at 0x202"),
    "Linux with a header too long": (patched(bzimage(), 0x201, "B", 255), "ends at 0x301"),
    "Linux aligned to 3": (bzimage(kernel_alignment=3), "kernel_alignment 0x3"),
    "Linux aligned to nothing": (bzimage(kernel_alignment=0), "kernel_alignment 0x0"),
    "Linux with its payload elsewhere": (bzimage(payload_length=HUGE >> 32), "leaves the file"),
}


@pytest.mark.parametrize("name", CASES)
def test_malformed(name):
    data, message = CASES[name]
    with pytest.raises(ImageFormatError, match=message):
        loader.read(data)


@pytest.mark.parametrize(
    ("reader", "what"),
    [
        (loader.read_elf, "ELF file"),
        (loader.read_pvh, "ELF file"),
        (loader.read_multiboot, "no Multiboot header"),
        (loader.read_multiboot2, "no Multiboot2 header"),
        (loader.read_bzimage, "no setup header"),
    ],
)
def test_another_format(reader, what):
    with pytest.raises(ImageFormatError, match=what):
        reader(bytes(100))


def test_overlapping_segments():
    data = bytearray(elf(notes=bytes(16)))
    second = 64 + 56
    data[second : second + 56] = struct.pack("<2I6Q", 1, 7, 0, MIB, MIB, 1, 1, 1)
    with pytest.raises(ImageFormatError, match="overlap"):
        loader.read(data)


def test_cleared_memory_costs_nothing_before_it_is_written():
    boot = loader.read(elf(at=16 * MIB, memsz=1 << 40)).boot(memory=[(0, 1 << 42, 1)])
    assert len({id(data) for _, data in boot.pieces}) < 20
