# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Compiles the guests beside this file: an ELF with symbols for gdb, a flat image for RAM."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from guests.build import FREESTANDING, LINKER, NO_VECTORS, WARNINGS

SOURCES = Path(__file__).parent
HIGHER_HALF, LOWEST_RAM = 0xFFFF_FFFF_8000_0000, 0x20_0000
KERNEL_MODEL = ("-mcmodel=kernel", "-mno-red-zone")


class Kind(NamedTuple):
    """What a guest is built of, and for where."""

    sources: tuple[str, ...]
    base: int = HIGHER_HALF
    bits: int = 64
    flags: tuple[str, ...] = (*KERNEL_MODEL, *NO_VECTORS)


GUESTS = {
    "kernel": Kind(("start64.S", "kernel.c")),
    "address_spaces": Kind(("start64.S", "address_spaces.c")),
    "spin": Kind(("start64.S", "vectors.c", "spin.c")),
    "sse": Kind(("start64.S", "sse.c"), flags=KERNEL_MODEL),
    "traps": Kind(("start64.S", "vectors.c", "traps.c")),
    "real": Kind(("real.S",), 0x7C00, 16),
    "protected": Kind(("start32.S", "protected.c"), 0x1_0000, 32, NO_VECTORS),
    "long": Kind(("start_long.S", "long.c"), 0x2_0000, 64, ("-mno-red-zone", *NO_VECTORS)),
}


class Program(NamedTuple):
    """A guest that has been built."""

    elf: Path
    image: bytes
    symbols: dict[str, int]
    gpa: int
    """Where the image belongs in physical memory."""


def run(*command):
    """Run a program and return its output, without the sanitizer of this process."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run(
        [str(word) for word in command],
        check=True,
        env=environment,
        cwd=SOURCES,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    return done.stdout


def build(folder, name):
    """Build a guest into a folder."""
    kind = GUESTS[name]
    width = "-m64" if kind.bits == 64 else "-m32"
    objects = []
    for source in kind.sources:
        objects.append(Path(folder) / f"{name}-{source}.o")
        flags = (width, "-g", "-O0", "-fno-omit-frame-pointer")
        if source.endswith(".c"):
            flags += (*WARNINGS, *FREESTANDING, *kind.flags)
        run("gcc", *flags, "-c", "-o", objects[-1], source)
    elf, flat = (Path(folder) / f"{name}.{suffix}" for suffix in ("elf", "bin"))
    quiet = ("-z", "noexecstack", "--no-warn-rwx-segments", "-e", "_start")
    place = ("-m", LINKER[kind.bits], f"--defsym=BASE={kind.base:#x}", "-T", "guest.ld")
    run("ld", *quiet, *place, "-o", elf, *objects)
    run("objcopy", "-O", "binary", elf, flat)
    gpa = LOWEST_RAM if kind.base == HIGHER_HALF else kind.base
    return Program(elf, flat.read_bytes(), _symbols(elf), gpa)


def _symbols(elf):
    """Return addresses by name."""
    words = [line.split() for line in run("nm", elf).splitlines()]
    return {name: int(address, 16) for address, _, name in words}
