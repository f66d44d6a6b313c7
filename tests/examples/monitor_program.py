# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Runs examples/monitor as a user would, and small guests for it."""

import json
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

ENGINE, *OTHER_ENGINES = available_engines()


def soft(engine, *marks):
    """Return the options that run the guest on an engine, as a parameter of tests."""
    return pytest.param(("--backend", "soft", "--engine", engine), id=engine, marks=marks)


def kvm(irqchip, *marks):
    """Return the options that run it on KVM."""
    options = ("--backend", "kvm", "--irqchip", irqchip)
    return pytest.param(options, id=f"kvm-{irqchip}", marks=(pytest.mark.kvm, *marks))


# The usual run leaves out the slow ones: each test is a process or two.
SOFT = [soft(ENGINE), *(soft(engine, pytest.mark.slow) for engine in OTHER_ENGINES)]
KVM = [kvm("kernel"), kvm("split", pytest.mark.slow)]
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


#: Runs the monitor once for each list of arguments on standard input, one after the other.
IN_ONE_PROCESS = """
import contextlib, io, json, runpy, sys
program, found = sys.argv[1], []
for arguments in json.load(sys.stdin):
    sys.argv = [program, *arguments]
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            runpy.run_path(program, run_name="__main__")
        except SystemExit as end:
            found.append((end.code, output.getvalue(), errors.getvalue()))
json.dump(found, sys.stdout)
"""


def monitors(lines):
    """Run it with each list of arguments; return status, output and errors of each."""
    given = [list(map(str, arguments)) for arguments in lines]
    done = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, str(MONITOR)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        input=json.dumps(given),
        timeout=SECONDS,
    )
    return json.loads(done.stdout)
