# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Compiles the C programs beside this file: as guests in several variants, and for the host.

Neither needs a C library's headers or its 32-bit half: guests are freestanding.
"""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).parent
PROGRAMS = ("crc32", "sha256", "heapsort", "formats", "compress", "arithmetic", "vectors")
SHARED = ("start.S", "console.c", "print.c", "runtime.c")

WARNINGS = ("-std=gnu11", "-Wall", "-Wextra")
FREESTANDING = (
    *("-ffreestanding", "-nostdlib", "-fno-pic", "-fno-stack-protector"),
    *("-fcf-protection=none", "-fno-asynchronous-unwind-tables"),
)
NO_VECTORS = ("-mgeneral-regs-only",)
LINKER = {16: "elf_i386", 32: "elf_i386", 64: "elf_x86_64"}


class Variant(NamedTuple):
    """How a guest is compiled."""

    bits: int
    flags: tuple[str, ...] = ("-O2",)
    vectors: int = 0
    """What start.S turns on, and gcc may use: 1 SSE, 2 AVX, 3 AVX-512."""

    def __str__(self):
        vectors = ("", "+sse", "+avx", "+avx512")[self.vectors]
        return f"{self.bits}-bit{''.join(self.flags)}{vectors}"


def run(*command):
    """Run a program and return its output.

    It does without the sanitizer that this process may have been preloaded with.
    """
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    arguments = list(map(str, command))
    pipe = subprocess.PIPE
    done = subprocess.run(
        arguments, check=True, env=environment, cwd=SOURCES, stdout=pipe, text=True
    )
    return done.stdout


def assembled(folder, program, *linker_flags):
    """Assemble a kernel of one file and return its flat binary."""
    obj, elf, flat = (Path(folder) / f"{program}.{suffix}" for suffix in ("o", "elf", "bin"))
    run("gcc", "-m64", "-c", "-o", obj, f"{program}.S")
    flags = ("-z", "noexecstack", "--no-warn-rwx-segments", "-m", "elf_x86_64", "-e", "_start")
    run("ld", *flags, *linker_flags, "-o", elf, obj)
    run("objcopy", "-O", "binary", elf, flat)
    return flat.read_bytes()


class Builder:
    """Guests and host programs in one folder; each is built when it is first asked for."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def native(self, program):
        """Return the path of the host's own program."""
        path = self.folder / program
        if not path.exists():
            run("gcc", *WARNINGS, "-DHOST", "-O1", "-o", path, f"{program}.c", "print.c", "host.c")
        return path

    def image(self, program, variant):
        """Return the flat binary of a guest."""
        path = self.folder / f"{program}-{variant}.bin"
        if not path.exists():
            objects = [self._object(name, variant) for name in (*SHARED, f"{program}.c")]
            elf = path.with_suffix(".elf")
            flags = ("-z", "noexecstack", "--no-warn-rwx-segments", "-e", "_start")
            run("ld", *flags, "-m", LINKER[variant.bits], "-T", "guest.ld", "-o", elf, *objects)
            run("objcopy", "-O", "binary", elf, path)
        return path.read_bytes()

    def _object(self, source, variant):
        path = self.folder / f"{source}-{variant}.o"
        if not path.exists():
            width = ("-m64", "-mno-red-zone") if variant.bits == 64 else (f"-m{variant.bits}",)
            if source.endswith(".S"):
                width = ("-m64" if variant.bits == 64 else "-m32",)
            vectors = (f"-DVECTORS={variant.vectors}",) if variant.vectors else NO_VECTORS
            kind = (*variant.flags, *vectors, f"-DBITS={variant.bits}")
            flags = (*WARNINGS, *FREESTANDING, *width, *kind)
            run("gcc", *flags, "-c", "-o", path, source)
        return path
