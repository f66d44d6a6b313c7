# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Makes the loader script of a table set from the set's relocations."""

from __future__ import annotations

from collections.abc import Sequence

from vmmkit.acpi._resolve import Member, memory_type, signature_of
from vmmkit.acpi._window import align_up
from vmmkit.acpi.linker import (
    LOADER_FILE,
    RSDP_FILE,
    TABLES_FILE,
    AddChecksum,
    AddPointer,
    Allocate,
    Command,
    LinkerScript,
    WritePointer,
    Zone,
    check_name,
    encode,
)
from vmmkit.acpi.placement import E820Type
from vmmkit.acpi.relocation import Blob, Relocation
from vmmkit.errors import LinkerError

_ADDRESS_SIZE = 8  # of an address that is written back


def script_of(members: Sequence[Member]) -> LinkerScript:
    """Return files and commands for members of which the first is the RSDP.

    Raises:
        LinkerError: a name that is no file's or is taken, or a pointer out of its target.
    """
    rsdp, *others = members
    script = _Script()
    script.put(rsdp, RSDP_FILE)
    # The FACS last, so that the tables lie to each other as `TableSet.place` puts them.
    for member in sorted(others, key=lambda one: memory_type(one.target) == E820Type.NVS):
        script.put(member, TABLES_FILE if signature_of(member.target) else None)
    for member in members:
        script.link(member)
    return script.finish()


class _Script:
    """Files and commands as they are gathered."""

    def __init__(self) -> None:
        self._files: dict[str, bytearray] = {}
        self._alignments: dict[str, int] = {}
        self._places: dict[int, tuple[str, int]] = {}
        self._pointers: list[Command] = []
        self._checksums: list[Command] = []
        self._write_backs: list[Command] = []
        self._written: dict[str, int] = {}

    def put(self, member: Member, file: str | None) -> None:
        """Append a member to a file, or make it one of its own name."""
        target = member.target
        data = target.to_bytes()
        if file is None:
            file = target.name
            self._check_own_file(file, data)
        content = self._files.setdefault(file, bytearray())
        offset = align_up(len(content), target.alignment)
        content.extend(bytes(offset - len(content)))
        content += data
        self._alignments[file] = max(self._alignments.get(file, 1), target.alignment)
        self._places[id(target)] = file, offset
        for sum_ in target.checksums():
            content[offset + sum_.offset] = 0

    def _check_own_file(self, file: str, data: bytes) -> None:
        check_name(file)
        if file in self._files or file in (TABLES_FILE, LOADER_FILE):
            raise LinkerError(f"there is a file {file} already; give the blob another name", file)
        if not data:
            raise LinkerError(f"{file} is empty, and firmware allocates no empty file", file)

    def link(self, member: Member) -> None:
        """Gather what a member's pointers and checksums ask for."""
        name, target, places = member
        file, base = self._places[id(target)]
        for place in places:
            self._add_pointer(name, file, base, len(target.to_bytes()), place)
        self._checksums += [
            AddChecksum(file, base + sum_.offset, base + sum_.start, sum_.length)
            for sum_ in target.checksums()
        ]
        if isinstance(target, Blob) and target.address_file is not None:
            self._write_back(target, target.address_file, file, base)

    def _add_pointer(self, name: str, file: str, base: int, size: int, place: Relocation) -> None:
        target, offset = self._places[id(place.target)]
        value = offset + place.addend
        room = place.offset >= 0 and place.offset + place.size <= size
        if not room or not 0 <= value < min(len(self._files[target]), 1 << 8 * place.size):
            raise LinkerError(
                f"{name}: no pointer of {place.size} bytes at offset {place.offset} to offset "
                f"{value:#x} of {target}",
                name,
                place.offset,
            )
        start = base + place.offset
        self._files[file][start : start + place.size] = value.to_bytes(place.size, "little")
        self._pointers.append(AddPointer(file, target, start, place.size))

    def _write_back(self, blob: Blob, address_file: str, file: str, offset: int) -> None:
        check_name(address_file)
        if address_file in self._files or address_file == LOADER_FILE:
            raise LinkerError(f"{address_file} is a file to read, not one to write", address_file)
        past = blob.address_offset + _ADDRESS_SIZE
        self._written[address_file] = max(self._written.get(address_file, 0), past)
        self._write_backs.append(
            WritePointer(address_file, file, blob.address_offset, offset, _ADDRESS_SIZE)
        )

    def finish(self) -> LinkerScript:
        """Return it all: allocations first, then pointers, then checksums over them."""
        allocations = [
            Allocate(file, alignment, Zone.FSEG if file == RSDP_FILE else Zone.HIGH)
            for file, alignment in self._alignments.items()
        ]
        commands = (*allocations, *self._pointers, *self._checksums, *self._write_backs)
        files = {file: bytes(content) for file, content in self._files.items()}
        files |= {file: bytes(size) for file, size in self._written.items()}
        files[LOADER_FILE] = encode(commands)
        return LinkerScript(files, commands)
