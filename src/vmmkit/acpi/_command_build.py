# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`python -m vmmkit.acpi build`: the tables of a preset as files."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs

from vmmkit.acpi._output import write_line
from vmmkit.acpi.acpidump import write
from vmmkit.acpi.layout import E820Entry, E820Type, Placement, TableSet
from vmmkit.acpi.platform.assembly import Platform
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.errors import PlatformError

PRESETS: dict[str, Callable[..., Platform]] = {"q35": q35_like, "reduced": reduced}
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_CONVENTIONAL_LAST = 0x9_FFFF
_HIGH = 0x10_0000  # RAM goes on here after video memory and firmware
_LOW_LIMIT = 0x8000_0000  # RAM beyond goes above 4 GiB, out of the way of windows and ECAM
_FOUR_GIB = 1 << 32
_GRAIN = 0x1_0000
_LEAST = 16 << 20


def size(text: str) -> int:
    """Return a number of bytes: 512M, 4G, 0x10000000."""
    matched = re.fullmatch(r"(0[xX][0-9a-fA-F]+|[0-9]+)([KMGT]?)", text)
    if matched is None:
        raise argparse.ArgumentTypeError(f"no size: {text!r}")
    return int(matched[1], 0 if matched[1][:2].lower() == "0x" else 10) * _UNITS[matched[2]]


def number(text: str) -> int:
    """Return an address: decimal, or hexadecimal with 0x."""
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"no address: {text!r}") from None


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "build",
        help="write the tables of a preset",
        description="Write the tables of a preset, placed: each as DIR/NAME.aml, all as one block "
        "in DIR/tables.bin and as text in DIR/acpidump.txt, addresses and memory map in "
        "DIR/summary.txt, and in DIR/fw_cfg the files of a loader script.",
    )
    parser.add_argument("--preset", choices=PRESETS, required=True, help="the kind of machine")
    parser.add_argument(
        "--cpus", type=int, default=1, metavar="N", help="processors (without this, 1)"
    )
    parser.add_argument(
        "--memory",
        type=size,
        default=1 << 30,
        metavar="SIZE",
        help="RAM in bytes, or with K, M, G or T behind it (without this, 1G)",
    )
    parser.add_argument(
        "--base", type=number, metavar="ADDRESS", help="of the tables (else the end of low RAM)"
    )
    parser.add_argument(
        "--rsdp", type=number, metavar="ADDRESS", help="of the RSDP (else before the tables)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="where to write; made if it is not there, and must hold no tables of another machine",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write them, print the summary, and return the exit status."""
    platform = PRESETS[options.preset](cpus=options.cpus)
    tables = platform.table_set()
    placement = _place(platform, tables, options)
    base, block = _block(placement, options).image()
    entries = memory_map(platform, placement, options.memory)
    summary = "\n".join([*_summary(placement, entries), f"tables.bin {base:#x} {len(block):#x}"])
    folder = options.output
    folder.mkdir(parents=True, exist_ok=True)
    files = file_names(placement)
    _refuse_others(folder, files)
    for (_gpa, data, _name), file in zip(placement.pieces, files, strict=True):
        (folder / file).write_bytes(data)
    (folder / "tables.bin").write_bytes(block)
    (folder / "acpidump.txt").write_text(write(placement.pieces), encoding="ascii")
    (folder / "summary.txt").write_text(summary + "\n", encoding="ascii")
    for name, data in tables.linker_script().files.items():
        path = folder / "fw_cfg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    write_line(summary)
    return 0


def _refuse_others(folder: Path, files: Iterable[str]) -> None:
    """Refuse a folder with tables that would stay and be taken for those of this machine.

    Raises:
        PlatformError: there are such.
    """
    others = {file.name for file in folder.glob("*.aml")} - set(files)
    if others:
        raise PlatformError(
            f"{folder} has tables that this machine has not: {', '.join(sorted(others))}; remove "
            "them, or write to another folder"
        )


def low_last(memory: int) -> int:
    """Return the last address of RAM below 4 GiB."""
    return min(memory, _LOW_LIMIT) - 1


def _place(platform: Platform, tables: TableSet, options: argparse.Namespace) -> Placement:
    """Place the tables where they were wanted, or as high as they fit in low RAM."""
    if options.memory < _LEAST:
        raise PlatformError(f"{options.memory} bytes of RAM are fewer than {_LEAST}")
    avoid = [(entry.base, entry.size) for entry in platform.e820()]
    if options.base is not None:
        return tables.place(options.base, rsdp=options.rsdp, avoid=avoid)
    trial = tables.place(_HIGH, rsdp=options.rsdp)
    past = max(piece.last for piece in _block(trial, options).pieces) + 1
    top = low_last(options.memory) + 1
    base = (top - (past - _HIGH)) & -_GRAIN
    return tables.place(base, limit=top, rsdp=options.rsdp, avoid=avoid)


def _block(placement: Placement, options: argparse.Namespace) -> Placement:
    """Return all that lies together: not an RSDP elsewhere."""
    apart = {"RSDP"} if options.rsdp is not None else set()
    pieces = tuple(piece for piece in placement.pieces if piece.name not in apart)
    return attrs.evolve(placement, pieces=pieces)


def file_names(placement: Placement) -> tuple[str, ...]:
    """Return a file for each piece, with the ending that iasl gives tables of every kind."""
    files: dict[str, None] = {}
    for _gpa, _data, name in placement.pieces:
        stem = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()
        choices = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        free = next(choice for choice in choices if f"{choice}.aml" not in files)
        files[f"{free}.aml"] = None
    return tuple(files)


def memory_map(platform: Platform, placement: Placement, memory: int) -> list[E820Entry]:
    """Return the whole memory map of a guest: RAM, tables, and what the preset reserves."""
    taken = sorted([*platform.e820(), *placement.e820])
    ram = [(0, _CONVENTIONAL_LAST), (_HIGH, low_last(memory))]
    if memory > _LOW_LIMIT:
        ram.append((_FOUR_GIB, _FOUR_GIB + memory - _LOW_LIMIT - 1))
    free = itertools.chain.from_iterable(_without(first, last, taken) for first, last in ram)
    return sorted([*taken, *free])


def _without(first: int, last: int, taken: Iterable[E820Entry]) -> Iterator[E820Entry]:
    """Yield the RAM of a range that is not taken."""
    for entry in taken:
        if entry.base <= last and entry.last >= first:
            if entry.base > first:
                yield E820Entry(first, entry.base - first, E820Type.RAM)
            first = entry.last + 1
    if first <= last:
        yield E820Entry(first, last - first + 1, E820Type.RAM)


def _summary(placement: Placement, entries: Iterable[E820Entry]) -> Iterator[str]:
    yield f"rsdp {placement.rsdp:#x}"
    for (gpa, data, name), file in zip(placement.pieces, file_names(placement), strict=True):
        yield f"table {gpa:#x} {len(data):#x} {file} {name}"
    for base, length, kind in entries:
        yield f"e820 {base:#x} {length:#x} {kind.name}"
