# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Builds the guests in `boot/`: three stages, each a flat binary at an address of its own."""

from pathlib import Path

from guests.build import FREESTANDING, LINKER, NO_VECTORS, WARNINGS, run

REAL, PROTECTED, KERNEL, TABLES = 0x7C00, 0x1_0000, 0x2_0000, 0x8_0000  # as in boot/layout.h
STAGES = {
    "real": (16, REAL, PROTECTED, ("real.S",)),
    "protected": (
        32,
        PROTECTED,
        KERNEL,
        (
            *("protected_entry.S", "protected.c", "protected_faults.c", "protected_tasks.c"),
            *("protected_paging.c", "protected_user.S", "check.c"),
        ),
    ),
}
SUPPORT = ("kernel_entry.S", "kernel.c", "pages.c", "check.c")
KERNELS = {
    "boot": (
        *("boot.c", "faults.c", "paging.c", "breakpoints.c", "interrupts.c", "tasks.c"),
        *("system_calls.c", "processor.c", "privileges.c", "descriptors.c", "user.S"),
    ),
    "code": ("code.c", "self_modifying.c", "crossing.c", "remapping.c", "user.S"),
}


def stage(folder, name, bits, base, limit, sources):
    """Return the flat binary of a stage."""
    width = "-m64" if bits == 64 else "-m32"
    kind = (*FREESTANDING, *NO_VECTORS, width, "-mno-red-zone", "-O2", "-Iboot")
    flags = (*WARNINGS, "-Werror", *kind)
    objects = []
    for source in sources:
        objects.append(folder / f"{name}-{source}.o")
        run("gcc", *flags, "-c", "-o", objects[-1], f"boot/{source}")
    elf, flat = folder / f"{name}.elf", folder / f"{name}.bin"
    places = (f"--defsym=BASE={base:#x}", f"--defsym=LIMIT={limit:#x}")
    quiet = ("-z", "noexecstack", "--no-warn-rwx-segments", "-e", "_start")
    script = ("-m", LINKER[bits], *places, *quiet, "-T", "boot/boot.ld")
    run("ld", *script, "-o", elf, *objects)
    run("objcopy", "-O", "binary", elf, flat)
    return flat.read_bytes()


def images(folder, kernel="boot"):
    """Return `(address, bytes)` of every stage of a guest."""
    folder = Path(folder)
    last = (64, KERNEL, TABLES, (*SUPPORT, *KERNELS[kernel]))
    stages = STAGES | {kernel: last}
    return [(row[1], stage(folder, name, *row)) for name, row in stages.items()]
