# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""bzImage: a Linux kernel, started by the 64-bit boot protocol.

Documentation/arch/x86/boot.rst ("The Linux/x86 Boot Protocol") and zero-page.rst of the kernel's
sources.
"""

from __future__ import annotations

import struct
from typing import ClassVar, Final, NamedTuple

from attrs import field, frozen

from vmmkit.errors import ImageFormatError, ImagePlacementError
from vmmkit.loader._image import Handover, Image, unpack
from vmmkit.loader._memory import IDENTITY_SPACE, PAGE, MemoryRange
from vmmkit.loader._plan import LAST_32, Plan
from vmmkit.loader._startup import Startup, long_mode

__all__ = ["BzImage", "SetupHeader", "is_bzimage", "read_image"]

SECTOR: Final = 512
HEADER_AT: Final = 0x1F1
HEADER_LAST: Final = 0x28F  # what the zero page has room for
MAGIC_AT: Final = 0x202
HEADER_SIZE_AT: Final = 0x201  # the displacement of the jump over the header
MAGIC: Final = b"HdrS"
BOOT_FLAG: Final = 0xAA55
FIRST_64: Final = 0x20C  # protocol 2.12: xloadflags
WITH_RSDP: Final = 0x20E  # protocol 2.14: acpi_rsdp_addr
LOADED_HIGH: Final = 1  # loadflags
KERNEL_64: Final = 1  # xloadflags: XLF_KERNEL_64
ABOVE_4G: Final = 2  # XLF_CAN_BE_LOADED_ABOVE_4G
ENTRY_64: Final = 0x200  # bytes from the load address
UNDEFINED_LOADER: Final = 0xFF  # type_of_loader
NORMAL_VIDEO: Final = 0xFFFF
E820_IN_ZERO_PAGE: Final = 128
E820: Final = struct.Struct("<2QI")
SETUP_DATA: Final = struct.Struct("<Q2I")
SETUP_E820_EXT: Final = 1
NAME_LIMIT: Final = 256  # bytes of a kernel's own version string that are looked at

# Name, offset in the file and format of the fields that decide something here.
FIELDS: Final = {
    "setup_sects": (0x1F1, "B"),
    "syssize": (0x1F4, "I"),
    "boot_flag": (0x1FE, "H"),
    "version": (0x206, "H"),
    "kernel_version": (0x20E, "H"),
    "loadflags": (0x211, "B"),
    "initrd_addr_max": (0x22C, "I"),
    "kernel_alignment": (0x230, "I"),
    "relocatable_kernel": (0x234, "B"),
    "xloadflags": (0x236, "H"),
    "cmdline_size": (0x238, "I"),
    "payload_offset": (0x248, "I"),
    "payload_length": (0x24C, "I"),
    "pref_address": (0x258, "Q"),
    "init_size": (0x260, "I"),
}


class SetupHeader(NamedTuple):
    """The fields of the setup header that a loader goes by, under the names of boot.rst."""

    setup_sects: int
    syssize: int
    boot_flag: int
    version: int
    kernel_version: int
    loadflags: int
    initrd_addr_max: int
    kernel_alignment: int
    relocatable_kernel: int
    xloadflags: int
    cmdline_size: int
    payload_offset: int
    payload_length: int
    pref_address: int
    init_size: int


def is_bzimage(data: bytes) -> bool:
    """Tell whether a file has the setup header of a Linux kernel."""
    return data[MAGIC_AT : MAGIC_AT + 4] == MAGIC


def read_image(data: bytes) -> BzImage:
    """Read a kernel.

    Raises:
        ImageFormatError: no kernel, one without 64-bit entry, or a truncated one.
    """
    if not is_bzimage(data):
        raise ImageFormatError("no setup header of a Linux kernel", MAGIC_AT)
    header = SetupHeader(
        *(unpack(struct.Struct(f"<{f}"), data, at, name)[0] for name, (at, f) in FIELDS.items())
    )
    _check(header)
    beyond = MAGIC_AT + data[HEADER_SIZE_AT]
    if not FIELDS["init_size"][0] + 4 <= beyond <= HEADER_LAST + 1:
        raise ImageFormatError(f"a setup header that ends at {beyond:#x}", HEADER_SIZE_AT)
    # 0 sectors mean 4; the boot sector comes before them.
    code = data[((header.setup_sects or 4) + 1) * SECTOR :]
    _check_code(header, code)
    return BzImage(header, data[HEADER_AT:beyond], code, _own_version(data, header))


def _check(header: SetupHeader) -> None:
    if header.boot_flag != BOOT_FLAG or header.version < FIRST_64:
        raise ImageFormatError(
            f"boot protocol {header.version >> 8}.{header.version & 0xFF:02} has no 64-bit entry",
            FIELDS["version"][0],
        )
    if not header.loadflags & LOADED_HIGH or not header.xloadflags & KERNEL_64:
        raise ImageFormatError("a kernel without 64-bit entry", FIELDS["xloadflags"][0])
    alignment = header.kernel_alignment
    if alignment < PAGE or alignment & alignment - 1:
        raise ImageFormatError(f"kernel_alignment {alignment:#x}", FIELDS["kernel_alignment"][0])


def _check_code(header: SetupHeader, code: bytes) -> None:
    # syssize counts paragraphs, rounded up.
    if len(code) <= ENTRY_64 or header.syssize * 16 > len(code) + 15:
        raise ImageFormatError(f"{len(code)} bytes of {header.syssize * 16} are there: truncated")
    if header.payload_offset + header.payload_length > len(code):
        raise ImageFormatError("the compressed kernel leaves the file", header.payload_offset)


def _own_version(data: bytes, header: SetupHeader) -> str:
    if not header.kernel_version:
        return ""
    start = header.kernel_version + SECTOR
    return data[start : start + NAME_LIMIT].partition(b"\0")[0].decode("ascii", "replace")


@frozen
class BzImage(Image):
    """A Linux kernel with 64-bit entry: started in 64-bit mode with RSI at its zero page."""

    kind: ClassVar[str] = "bzimage"
    header: SetupHeader
    setup: bytes = field(repr=False)
    """The setup header as it is in the file, from 1F1h on."""
    code: bytes = field(repr=False)
    """What is loaded: all after the real-mode part."""
    version: str
    """What the kernel says of itself, or an empty string."""

    @property
    def payload(self) -> bytes:
        """The compressed kernel."""
        start = self.header.payload_offset
        return self.code[start : start + self.header.payload_length]

    @property
    def extent(self) -> int:
        """Bytes from the load address that the kernel wants before it reads the memory map."""
        return max(self.header.init_size, len(self.code))

    def _place(self, plan: Plan, handover: Handover) -> Startup:
        handover.refuse("bzImage", "modules")
        limit = self.header.cmdline_size
        if len(handover.cmdline) > limit:
            message = f"this kernel takes {limit} bytes"
            raise ImagePlacementError(message, None, len(handover.cmdline), "command line")
        base = self._base(plan, handover.at)
        plan.claim("kernel", base, self.extent)
        plan.fill(base, self.code)
        initrd = self._place_initrd(plan, handover.initrd)
        cmdline = plan.place("command line", handover.cmdline + b"\0", 1)
        fields = (*initrd, cmdline, handover.rsdp)
        zero_page = plan.place("zero page", self._zero_page(plan, *fields), PAGE)
        return long_mode(plan, base + ENTRY_64, rsi=zero_page)

    @property
    def _last(self) -> int:
        """The highest address that kernel and initial RAM disk may take."""
        return IDENTITY_SPACE - 1 if self.header.xloadflags & ABOVE_4G else LAST_32

    def _base(self, plan: Plan, at: int | None) -> int:
        """Return where to load: where told, where the kernel prefers, or the first fit above.

        Below pref_address even a relocatable kernel moves itself up to it.
        """
        header = self.header
        if at is not None:
            movable = header.relocatable_kernel and not at % header.kernel_alignment
            if at != header.pref_address and (not movable or at < header.pref_address):
                message = f"this kernel prefers {header.pref_address:#x} and cannot be loaded there"
                raise ImagePlacementError(message, at, self.extent, "kernel")
            return self._within_reach(at)
        if not header.relocatable_kernel:
            return self._within_reach(header.pref_address)
        where = plan.lowest(self.extent, header.kernel_alignment, header.pref_address, self._last)
        return header.pref_address if where is None else where

    def _within_reach(self, base: int) -> int:
        if base + self.extent - 1 > self._last:
            message = "this kernel cannot be loaded above 4 GiB"
            raise ImagePlacementError(message, base, self.extent, "kernel")
        return base

    def _place_initrd(self, plan: Plan, initrd: bytes) -> tuple[int, int]:
        """Return address and size of the initial RAM disk, as high as the kernel allows."""
        if not initrd:
            return 0, 0
        limit = self.header.initrd_addr_max
        if self._last > LAST_32 and plan.highest(len(initrd), PAGE, 1 << 20, limit) is None:
            limit = self._last
        return plan.place_high("initrd", initrd, limit), len(initrd)

    def _zero_page(
        self, plan: Plan, initrd: int, initrd_size: int, cmdline: int, rsdp: int
    ) -> bytes:
        page = bytearray(PAGE)
        page[HEADER_AT : HEADER_AT + len(self.setup)] = self.setup
        first, more = plan.memory[:E820_IN_ZERO_PAGE], plan.memory[E820_IN_ZERO_PAGE:]
        fields = [
            (0x070, "<Q", rsdp if self.header.version >= WITH_RSDP else 0),
            (0x0C0, "<I", initrd >> 32),  # ext_ramdisk_image
            (0x0C4, "<I", initrd_size >> 32),
            (0x1E8, "<B", len(first)),  # e820_entries
            (0x1FA, "<H", NORMAL_VIDEO),
            (0x210, "<B", UNDEFINED_LOADER),
            (0x218, "<I", initrd & LAST_32),  # ramdisk_image
            (0x21C, "<I", initrd_size & LAST_32),
            (0x228, "<I", cmdline),
            (0x250, "<Q", _place_more(plan, more)),  # setup_data
        ]
        for offset, form, value in fields:
            struct.pack_into(form, page, offset, value)
        table = b"".join(E820.pack(*one) for one in first)
        page[0x2D0 : 0x2D0 + len(table)] = table
        return bytes(page)


def _place_more(plan: Plan, memory: tuple[MemoryRange, ...]) -> int:
    """Place the ranges that the zero page has no room for; return the address of the list."""
    if not memory:
        return 0
    table = b"".join(E820.pack(*one) for one in memory)
    return plan.place("memory map", SETUP_DATA.pack(0, SETUP_E820_EXT, len(table)) + table, 8)
