# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The image on disk, and where the first processor begins."""

from __future__ import annotations

from argparse import Namespace

from board import Board
from options import UsageError

from vmmkit import loader
from vmmkit.errors import ImageFormatError


def load(options: Namespace, board: Board) -> None:
    """Put the image, and what its boot protocol wants, into RAM; set the first vCPU's registers."""
    data = options.image.read_bytes()
    flat = options.flat
    if not data:
        raise UsageError(f"{options.image}: there is nothing in it")
    try:
        image = loader.flat(data, flat.base, mode=flat.mode) if flat else loader.read(data)
    except ImageFormatError as error:
        hint = "" if flat else " (or say --flat)"
        raise UsageError(f"{options.image}: {error}{hint}") from error
    boot = image.boot(
        memory=board.e820(),
        cmdline=options.append,
        initrd=options.initrd.read_bytes() if options.initrd else b"",
        modules=[path.read_bytes() for path in options.module],
        rsdp=board.placement.rsdp,
    )
    boot.write(board.ram)
    boot.start(board.machine.vcpus[0].state)
