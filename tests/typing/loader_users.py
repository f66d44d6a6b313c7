# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Monitors that load images, against the types of `vmmkit.loader`: read by the type checker."""

from vmmkit import loader
from vmmkit.acpi.layout import E820Entry, E820Type
from vmmkit.backends import SoftVcpu


def boot_anything(data: bytes, vcpu: SoftVcpu, ram: bytearray) -> tuple[str, int]:
    """The memory map of ACPI tables fits, and the state of a vCPU."""
    image = loader.read(data)
    boot = image.boot(
        memory=[E820Entry(0, len(ram), E820Type.RAM), (1 << 32, 4096, 1)],
        cmdline="quiet",
        initrd=bytearray(3),
        modules=[b"a", memoryview(b"b"), loader.Module(b"c", "its string")],
        rsdp=0xE_0000,
    )
    boot.write([(0, ram), (1 << 32, memoryview(bytearray(4096)))])
    boot.start(vcpu.state)
    name, gpa, _size = boot.layout[0]
    return name, gpa


def each_function_knows_what_it_returns(data: bytes) -> tuple[int, int, bytes]:
    kernel: loader.BzImage = loader.read_bzimage(data)
    guest: loader.PvhImage = loader.read_pvh(data)
    return kernel.header.init_size, guest.entry, kernel.payload


def what_must_not_fit(boot: loader.Boot) -> None:
    boot.start(object())  # type: ignore[arg-type]
    boot.write([bytearray(3)])  # type: ignore[list-item]
    loader.read("a path")  # type: ignore[arg-type]
