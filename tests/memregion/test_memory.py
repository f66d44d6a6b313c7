# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Regions backed by a buffer."""

import array
import mmap

import pytest

from vmmkit.errors import DeniedError, RegionConfigError, RegionRangeError
from vmmkit.memregion import IMMUTABLE, READ, WRITE, RegionMap


@pytest.fixture
def mmio():
    return RegionMap()


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("address", [0x1000, 0x1001, 0x10C0])
def test_ram_reads_what_was_written(mmio, size, address):
    memory = bytearray(256)
    mmio.add_ram(0x1000, memory)
    port = mmio.port(None)
    data = bytes(range(1, size + 1))
    port.write(address, size, int.from_bytes(data, "little"))
    assert memory[address - 0x1000 :][:size] == data
    assert port.read(address, size) == int.from_bytes(data, "little")


@pytest.mark.parametrize(
    "buffer",
    [bytearray(64), memoryview(bytearray(64)), mmap.mmap(-1, 64), array.array("I", [0] * 16)],
)
def test_any_writable_buffer_is_ram(mmio, buffer):
    region = mmio.add_ram(0, buffer, name="ram")
    assert (region.size, region.kind, region.flags) == (64, "ram", READ | WRITE)
    mmio.port(None).write(4, 4, 0x01020304)
    assert bytes(memoryview(buffer).cast("B")[4:8]) == b"\4\3\2\1"
    assert region.buffer.nbytes == 64
    region.buffer.release()


@pytest.mark.parametrize("buffer", [b"read only", 64, "text", None, memoryview(bytearray(64))[::2]])
def test_what_is_no_ram(mmio, buffer):
    with pytest.raises(RegionConfigError):
        mmio.add_ram(0, buffer)


def test_ram_of_no_size(mmio):
    with pytest.raises(RegionRangeError):
        mmio.add_ram(0, bytearray())


def test_read_only_ram(mmio):
    mmio.add_ram(0, bytearray(16), flags=READ)
    with pytest.raises(DeniedError):
        mmio.port(None).write(0, 4, 1)


def test_rom_ignores_writes(mmio):
    region = mmio.add_rom(0xF000, b"\x55\xaa" * 8, flags=IMMUTABLE)
    assert (region.kind, region.flags) == ("rom", READ | IMMUTABLE)
    port = mmio.port(None)
    for _ in range(2):
        port.write(0xF000, 4, 0)
        assert port.read(0xF000, 4) == 0xAA55AA55


def test_rom_may_refuse_writes(mmio):
    mmio.add_rom(0, b"\x55\xaa" * 8, on_write="raise", name="bios")
    with pytest.raises(DeniedError, match="bios"):
        mmio.port(None).write(0, 4, 0)


def test_rom_may_be_a_flash_chip(mmio):
    memory, commands = bytearray(16), []

    def write(vcpu, offset, size, value):
        commands.append((offset, value))
        memory[offset] = value & 0xFF

    region = mmio.add_rom(0x100, memory, on_write=write)
    assert region.flags == READ | WRITE
    port = mmio.port(None)
    port.write(0x103, 1, 0x90)
    assert commands == [(3, 0x90)]
    assert port.read(0x103, 1) == 0x90


@pytest.mark.parametrize("on_write", ["drop", None, 5])
def test_rom_with_an_unknown_word(mmio, on_write):
    with pytest.raises(RegionConfigError):
        mmio.add_rom(0, b"rom", on_write=on_write)
    assert len(mmio) == 0
