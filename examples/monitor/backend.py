# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Who executes the guest: KVM, or the software vCPU."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from vmmkit.backends import ThreadedMachine, kvm
from vmmkit.insn import IMPLEMENTATION


def choose(options: Namespace) -> tuple[str, str]:
    """Return the backend's name and why it was chosen."""
    if options.backend != "auto":
        return options.backend, "as asked for"
    if options.engine:
        return "soft", "--engine was asked for"
    reason = kvm.unusable_reason()
    return ("soft", reason) if reason else ("kvm", "/dev/kvm can be used")


def make_machine(
    options: Namespace, stack: ExitStack, ram: list[tuple[int, Any]], **settings: Any
) -> Any:
    """Return a machine with the options' processors; say which."""
    backend, reason = choose(options)
    settings["start"] = datetime.now(UTC).replace(tzinfo=None)  # what the real-time clock shows
    if backend == "kvm":
        print(f"monitor: KVM, irqchip={options.irqchip} ({reason})", file=sys.stderr)
        machine = kvm.KvmMachine(ram, vcpus=options.vcpus, irqchip=options.irqchip, **settings)
        return stack.enter_context(machine)
    engine = options.engine or IMPLEMENTATION
    print(f"monitor: software vCPU, {engine} engine ({reason})", file=sys.stderr)
    return ThreadedMachine(ram, vcpus=options.vcpus, engine=options.engine, **settings)
