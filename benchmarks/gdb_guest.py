# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A guest to debug, in a process of its own: `gdb_guest.py ADDRESS ENGINE [SWITCH_INTERVAL]`.

It prints the address that it serves debuggers at, that of the instruction at the beginning of its
inner loop, and how often this is executed between two times that ECX is 1. It runs until its
standard input ends. The guest is flat 32-bit code.
"""

import sys
import threading
from contextlib import suppress

from vmmkit.backends import SoftMachine
from vmmkit.backends.machine_target import MachineTarget
from vmmkit.errors import MachineError
from vmmkit.gdb.serve import serve

RAM = 80 << 20
ENTRY = 0x1000
TURNS = 500  # of the inner loop, between two values of 0 in ECX
# entry: mov ecx, TURNS; inner: inc eax; dec ecx; jnz inner; jmp entry
CODE = b"\xb9" + TURNS.to_bytes(4, "little") + bytes.fromhex("40 49 75 fc eb f5")
INNER = ENTRY + 5
ENDLESS = 1 << 62


def main(address: str, engine: str, interval: str = "") -> None:
    """Serve until there is nobody to serve for."""
    ram = bytearray(RAM)
    ram[ENTRY : ENTRY + len(CODE)] = CODE
    machine = SoftMachine([(0, ram)], engine=engine)
    machine.vcpus[0].state.enter_protected_mode(ENTRY)
    target = MachineTarget(machine)
    seconds = float(interval) if interval else None
    with serve(target, address, wait=True, switch_interval=seconds) as server:
        thread = threading.Thread(target=run, args=(target,), daemon=True)
        thread.start()
        print(server.address, INNER, TURNS, flush=True)
        sys.stdin.read()
    target.end_run()
    thread.join(5)


def run(target: MachineTarget) -> None:
    """Run the guest for as long as it takes."""
    with suppress(MachineError):
        target.run(ENDLESS)


if __name__ == "__main__":
    main(*sys.argv[1:])
