# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Runs examples/monitor as a user would, and small guests for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmmkit.backends.kvm import unusable_reason
from vmmkit.insn import available_engines

MONITOR = Path(__file__).parents[2] / "examples" / "monitor"
GUESTS = MONITOR / "guests"
SECONDS = 20

SOFT = [
    pytest.param(("--backend", "soft", "--engine", engine), id=engine)
    for engine in available_engines()
]
KVM = [
    pytest.param(("--backend", "kvm", "--irqchip", chip), id=f"kvm-{chip}", marks=pytest.mark.kvm)
    for chip in ("kernel", "split")
]
BACKENDS = [*SOFT, *KVM]
QUICK = [SOFT[0], KVM[0]]  # where engine and interrupt controllers make no difference

# Real-mode code for --flat 0x1000.
EXIT_7 = "b007 e6f4 f4 ebfd"  # mov al, 7; out F4h, al; hlt, for ever
PRINT = "b041 baf803 ee" + EXIT_7  # mov al, 'A'; mov dx, 3f8h; out dx, al
TURN_OFF = "ba0406 b80020 ef f4 ebfd"  # mov dx, 604h; mov ax, 2000h; out dx, ax
RESET = "baf90c b00f ee f4 ebfd"  # mov dx, cf9h; mov al, 0fh; out dx, al
SPIN = "ebfe"
CHATTER = "b041 baf803 ee ebfd"  # the same, over and over
HALT = "fa f4"
CRASH = "0f011d00200000 0f0b"  # lidt [2000h], which is empty; ud2; in 32-bit mode
# Print what arrives on COM1, as far as q.
ECHO = "bafd03 ec a801 74fb baf803 ec ee 3c71 75ef b005 e6f4 f4ebfd"


def command(*arguments):
    """Return the command line, or skip where it asks for a KVM that is not there."""
    if "kvm" in arguments and (reason := unusable_reason()):
        pytest.skip(reason)
    return [sys.executable, str(MONITOR), *map(str, arguments)]


def monitor(*arguments, typed="", **options):
    """Run to the end; return the finished process."""
    return subprocess.run(
        command(*arguments),
        check=False,
        capture_output=True,
        text=True,
        input=typed,
        timeout=SECONDS,
        env={**os.environ, **options},
    )


def flat(folder, code, mode=16):
    """Write a flat guest; return the arguments that run it."""
    path = folder / "guest.bin"
    path.write_bytes(bytes.fromhex(code))
    return "--flat", f"0x1000,{mode}", path
