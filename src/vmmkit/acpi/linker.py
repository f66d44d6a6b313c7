# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Loader scripts: how firmware places tables itself, as QEMU's fw_cfg device hands them over.

A script is the fw_cfg file `etc/table-loader`, commands of 128 bytes that name other files. The
firmware reads files into memory (ALLOCATE), adds their addresses to pointers in them
(ADD_POINTER), makes checksums right (ADD_CHECKSUM), and tells the machine where something went
(WRITE_POINTER). `vmmkit.acpi.layout.TableSet.linker_script` makes one.

Sources: QEMU, hw/acpi/bios-linker-loader.c, which describes the commands; SeaBIOS,
src/fw/romfile_loader.c, and OVMF, OvmfPkg/AcpiPlatformDxe/QemuFwCfgAcpi.c, which carry them out.

What firmware does beyond the commands:

- SeaBIOS subtracts the sum from the checksum byte, OVMF replaces the byte. They agree where the
  byte is zero in the file.
- OVMF installs a copy of each table that an ADD_POINTER leads to, at most 128, and makes RSDP,
  RSDT and XSDT anew. It takes for a table what has a length and a sum like one. A file whose
  pointers all lead to tables is freed after that; a `Blob` therefore has a file of its own, and
  AML should not hold the address of a table.
- OVMF wants a pointer, before the address is added, to be an offset within the file pointed at,
  and no alignment beyond 4096. It allocates below 4 GiB what a pointer of less than 8 bytes leads
  to.
- OVMF 2022.11 was seen to stand still with a WRITE_POINTER to a file that the machine did not let
  it write.
- SeaBIOS aligns to 16 bytes at least, and allocates nothing for an empty file.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import ClassVar, TypeAlias

import attrs

from vmmkit.acpi.arguments import elements, octets
from vmmkit.errors import LinkerError

__all__ = [
    "LOADER_FILE",
    "RSDP_FILE",
    "TABLES_FILE",
    "AddChecksum",
    "AddPointer",
    "Allocate",
    "Command",
    "Linked",
    "LinkerScript",
    "WritePointer",
    "Zone",
    "apply",
    "encode",
    "parse",
]

LOADER_FILE = "etc/table-loader"
RSDP_FILE = "etc/acpi/rsdp"
TABLES_FILE = "etc/acpi/tables"

RECORD_SIZE = 128
NAME_SIZE = 56  # with the zero that ends it
_NUMBER = struct.Struct("<I")
_POINTER_SIZES = (1, 2, 4, 8)
_PADDING = 0  # QEMU fills its script up to whole pages


class Zone(IntEnum):
    """Where firmware is to allocate."""

    HIGH = 1  #: anywhere, in practice below 4 GiB
    FSEG = 2  #: 0xF0000-0xFFFFF, where systems search for the RSDP


def check_name(name: str) -> None:
    """Check the name of a fw_cfg file.

    Raises:
        LinkerError: it is none.
    """
    if not name or len(name) >= NAME_SIZE or not name.isascii() or not name.isprintable():
        raise LinkerError(f"{name!r} is no file name of 1 to {NAME_SIZE - 1} ASCII characters")


def _name_bytes(name: str) -> bytes:
    check_name(name)
    return name.encode()


@attrs.frozen
class Allocate:
    """Allocate memory for a file and read it in; once for each, before any other use of it.

    Args:
        file: name.
        alignment: of the address, a power of two.
        zone: `Zone`.
    """

    file: str
    alignment: int
    zone: int = Zone.HIGH

    NUMBER: ClassVar[int] = 1
    BODY: ClassVar[struct.Struct] = struct.Struct("<56sIB")


@attrs.frozen
class AddPointer:
    """Add the address of one file to a pointer in another.

    Args:
        file: that holds the pointer.
        target: file whose address is added.
        offset: of the pointer, in bytes.
        size: of the pointer: 1, 2, 4 or 8 bytes.
    """

    file: str
    target: str
    offset: int
    size: int

    NUMBER: ClassVar[int] = 2
    BODY: ClassVar[struct.Struct] = struct.Struct("<56s56sIB")


@attrs.frozen
class AddChecksum:
    """Subtract the sum of a range of a file from a byte of it.

    Args:
        file: name.
        offset: of the byte.
        start: of the range.
        length: of the range, in bytes.
    """

    file: str
    offset: int
    start: int
    length: int

    NUMBER: ClassVar[int] = 3
    BODY: ClassVar[struct.Struct] = struct.Struct("<56sIII")


@attrs.frozen
class WritePointer:
    """Write an address back into a writable fw_cfg file, so that the machine learns it.

    Args:
        file: that is written; it is not allocated.
        target: file whose address is written.
        offset: in the file that is written, in bytes.
        target_offset: bytes to add to the address.
        size: of what is written: 1, 2, 4 or 8 bytes.
    """

    file: str
    target: str
    offset: int
    target_offset: int
    size: int

    NUMBER: ClassVar[int] = 4
    BODY: ClassVar[struct.Struct] = struct.Struct("<56s56sIIB")


Command: TypeAlias = Allocate | AddPointer | AddChecksum | WritePointer
_ZONES = frozenset(map(int, Zone))
_KINDS: dict[int, tuple[struct.Struct, Callable[..., Command]]] = {
    kind.NUMBER: (kind.BODY, kind) for kind in (Allocate, AddPointer, AddChecksum, WritePointer)
}


def encode(commands: Iterable[Command]) -> bytes:
    """Return the bytes of a script.

    Raises:
        LinkerError: a name that is too long or not ASCII, or a number that its field cannot hold.
    """
    return b"".join(
        [
            _record(number, command)
            for number, command in enumerate(elements("commands", commands, LinkerError))
        ]
    )


def _record(number: int, command: Command) -> bytes:
    if type(command) not in {kind for _body, kind in _KINDS.values()}:
        raise LinkerError(f"command {number} is none: {command!r:.80}")
    values = attrs.astuple(command, recurse=False)
    fields = [_name_bytes(value) if isinstance(value, str) else value for value in values]
    try:
        record = _NUMBER.pack(command.NUMBER) + command.BODY.pack(*fields)
    except struct.error as error:
        raise LinkerError(f"command {number}, {command}: {error}") from None
    return record.ljust(RECORD_SIZE, b"\0")


def parse(loader: bytes) -> tuple[Command, ...]:
    """Return the commands of a script, without its padding.

    Raises:
        LinkerError: no whole number of records, an unknown command, or a name without an end.
    """
    loader = octets(loader, "a script", error=LinkerError)
    if len(loader) % RECORD_SIZE:
        whole = len(loader) // RECORD_SIZE * RECORD_SIZE
        message = f"a script of {len(loader)} bytes is not made of records of {RECORD_SIZE}"
        raise LinkerError(message, LOADER_FILE, whole)
    found = []
    for offset in range(0, len(loader), RECORD_SIZE):
        (kind,) = _NUMBER.unpack_from(loader, offset)
        if kind != _PADDING:
            found.append(_command(kind, loader, offset))
    return tuple(found)


def _command(number: int, loader: bytes, offset: int) -> Command:
    if number not in _KINDS:
        raise LinkerError(f"unknown command {number:#x} at offset {offset}", LOADER_FILE, offset)
    body, kind = _KINDS[number]
    values = body.unpack_from(loader, offset + _NUMBER.size)
    return kind(*(_name(one, offset) if isinstance(one, bytes) else one for one in values))


def _name(field: bytes, offset: int) -> str:
    name, zero, _rest = field.partition(b"\0")
    if not zero or not name or not name.isascii():
        raise LinkerError(
            f"no file name in the command at offset {offset}: {field!r}", LOADER_FILE, offset
        )
    return name.decode()


@attrs.frozen
class Linked:
    """What carrying out a script gives.

    Attributes:
        addresses: of each file that was allocated.
        contents: of these files, to be in memory there.
        written: contents of the files that the machine gets written back.
    """

    addresses: dict[str, int]
    contents: dict[str, bytes]
    written: dict[str, bytes]

    def pieces(self) -> tuple[tuple[int, bytes, str], ...]:
        """Return `(address, bytes, file)`, by rising address."""
        found = ((self.addresses[name], data, name) for name, data in self.contents.items())
        return tuple(sorted(found))


#: Gives a file an address: name, size in bytes, alignment, zone.
Allocator: TypeAlias = Callable[[str, int, int, int], int]


def apply(files: Mapping[str, bytes], loader: bytes, allocate: Allocator) -> Linked:
    """Carry out a script as firmware does, on copies of the files.

    Args:
        files: contents by name; those that WRITE_POINTER writes to as well.
        loader: the script, made here or by QEMU.
        allocate: called as `allocate(name, size, alignment, zone)`, returns an address.

    Raises:
        LinkerError: a malformed script, a file that is missing or not allocated yet, a place
            outside of its file, an address that does not fit its pointer, or one given by
            `allocate` that is not aligned, taken, or beyond 64 bits.
    """
    machine = _Machine(files, allocate)
    for command in parse(loader):
        machine.carry_out(command)
    machine.check_overlaps()
    return Linked(
        machine.addresses,
        {name: bytes(content) for name, content in machine.contents.items()},
        {name: bytes(content) for name, content in machine.written.items()},
    )


class _Machine:
    """Memory while a script is carried out."""

    def __init__(self, files: Mapping[str, bytes], allocate: Allocator) -> None:
        self.addresses: dict[str, int] = {}
        self.contents: dict[str, bytearray] = {}
        self.written: dict[str, bytearray] = {}
        self._files = files
        self._allocate = allocate
        self._actions: dict[int, Callable[..., None]] = {
            Allocate.NUMBER: self._do_allocate,
            AddPointer.NUMBER: self._do_add_pointer,
            AddChecksum.NUMBER: self._do_add_checksum,
            WritePointer.NUMBER: self._do_write_pointer,
        }

    def carry_out(self, command: Command) -> None:
        self._actions[command.NUMBER](command)

    def _do_allocate(self, command: Allocate) -> None:
        name, alignment = command.file, command.alignment
        content = self._file(name, command)
        if name in self.contents or name in self.written:
            raise LinkerError(f"{command}: the file was used before", name)
        if alignment & (alignment - 1):
            raise LinkerError(f"{command}: the alignment is no power of two", name)
        if command.zone not in _ZONES:
            raise LinkerError(f"{command}: no such zone", name)
        address = self._allocate(name, len(content), alignment, command.zone)
        if address < 0 or address + len(content) > 1 << 64 or address % max(alignment, 1):
            raise LinkerError(f"{command}: {len(content)} bytes cannot be at {address:#x}", name)
        self.addresses[name] = address
        self.contents[name] = bytearray(content)

    def _do_add_pointer(self, command: AddPointer) -> None:
        content, target = self._memory(command.file, command), command.target
        size = len(self._memory(target, command))
        self._check_pointer(command, content)
        place = slice(command.offset, command.offset + command.size)
        offset = int.from_bytes(content[place], "little")
        if offset >= size:
            raise LinkerError(
                f"{command}: the pointer leads to offset {offset:#x} of {size} bytes", command.file
            )
        content[place] = self._fitting(command, self.addresses[target] + offset)

    def _do_add_checksum(self, command: AddChecksum) -> None:
        content = self._memory(command.file, command)
        past = command.start + command.length
        if command.offset >= len(content) or past > len(content):
            raise LinkerError(f"{command}: the file has {len(content)} bytes", command.file)
        total = sum(content[command.start : past])
        content[command.offset] = (content[command.offset] - total) & 0xFF

    def _do_write_pointer(self, command: WritePointer) -> None:
        if command.file in self.contents:
            raise LinkerError(f"{command}: the file to write is in memory", command.file)
        content = self.written.get(command.file)
        if content is None:
            content = bytearray(self._file(command.file, command))
        size = len(self._memory(command.target, command))
        self._check_pointer(command, content)
        if command.target_offset >= size:
            raise LinkerError(f"{command}: the file pointed at has {size} bytes", command.target)
        address = self.addresses[command.target] + command.target_offset
        place = slice(command.offset, command.offset + command.size)
        content[place] = self._fitting(command, address)
        self.written[command.file] = content

    def _file(self, name: str, command: Command) -> bytes:
        if name not in self._files:
            raise LinkerError(f"{command}: there is no file {name}", name)
        return self._files[name]

    def _memory(self, name: str, command: Command) -> bytearray:
        if name not in self.contents:
            raise LinkerError(f"{command}: {name} has not been allocated", name)
        return self.contents[name]

    @staticmethod
    def _check_pointer(command: AddPointer | WritePointer, content: bytearray) -> None:
        if command.size not in _POINTER_SIZES or command.offset + command.size > len(content):
            raise LinkerError(
                f"{command}: no pointer of {command.size} bytes at offset {command.offset} of "
                f"{len(content)}",
                command.file,
                command.offset,
            )

    @staticmethod
    def _fitting(command: AddPointer | WritePointer, address: int) -> bytes:
        if address >> 8 * command.size:
            raise LinkerError(
                f"{command}: a pointer of {command.size} bytes cannot hold {address:#x}",
                command.file,
                command.offset,
            )
        return address.to_bytes(command.size, "little")

    def check_overlaps(self) -> None:
        """Check that no two files were given the same memory."""
        ranges = sorted(
            (self.addresses[name], len(data), name) for name, data in self.contents.items()
        )
        for (base, size, name), (after, _size, other) in itertools.pairwise(ranges):
            if base + size > after:
                raise LinkerError(
                    f"{name} of {size} bytes at {base:#x} lies over {other} at {after:#x}", name
                )


@attrs.frozen
class LinkerScript:
    """The fw_cfg files of a table set, and the commands of the script among them.

    Attributes:
        files: contents by name. Those in `written` are to be writable by the guest.
        commands: what `etc/table-loader` says.
    """

    files: dict[str, bytes]
    commands: tuple[Command, ...]

    @property
    def loader(self) -> bytes:
        """The script."""
        return self.files[LOADER_FILE]

    @property
    def written(self) -> tuple[str, ...]:
        """Names of the files that firmware writes addresses to."""
        names = [one.file for one in self.commands if isinstance(one, WritePointer)]
        return tuple(dict.fromkeys(names))
