# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Commands that a debugger's user gives the stub itself: `monitor` in GDB.

There are those of this module, those of the target, and those of the one who has started the
server; of two with the same name the later in this order is called. All are called alike, with the
selected vCPU and the words that follow, and return text. In non-stop mode that vCPU has to stand.
Read-only mode keeps the stub's own commands from changing the guest; others decide for themselves.
"""

from __future__ import annotations

import inspect
import logging
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from vmmkit.errors import GdbError
from vmmkit.gdb.options import MonitorCommand
from vmmkit.gdb.packets.table import PacketError
from vmmkit.gdb.packets.threads import describe_vcpu
from vmmkit.gdb.register_table import table_of

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub

__all__ = ["execute"]

LOG: Final = logging.getLogger("vmmkit.gdb")
WHILE_RUNNING: Final = {"help", "threads"}
MODES: Final = {"16": 16, "32": 32, "64": 64, "auto": None}


def execute(stub: Stub, line: str) -> str:
    """Return what a command has to say; whatever is wrong with it is said too.

    Args:
        stub: whose command it is.
        line: the command and its words, quoted as in a shell.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        return f"{error}\n"
    name, *arguments = words or ["help"]
    command = _commands(stub).get(name)
    if command is None:
        return f'There is no command "{name}". "monitor help" lists what there is.\n'
    text = _called(stub, name, command, arguments)
    return text if text.endswith("\n") or not text else text + "\n"


def _called(stub: Stub, name: str, command: MonitorCommand, words: list[str]) -> str:
    wrong = _mismatch(command, stub.selected, words)
    if wrong:
        return f"{name}: {wrong}. {_summary(command)}"
    try:
        if name not in WHILE_RUNNING:
            stub.require_stopped(stub.selected)
        return str(command(stub.selected, *words) or "")
    except PacketError as error:
        return f"{name}: {error.message}"
    except GdbError as error:
        return f"{name}: {error}"
    except Exception as error:  # the target's or the user's; debugging goes on
        LOG.warning("the monitor command %r failed", name, exc_info=error)
        return f"{name}: {type(error).__name__}: {error}"


def _mismatch(command: MonitorCommand, vcpu: int, words: list[str]) -> str:
    """Return why a command does not take these words, or nothing."""
    try:
        signature = inspect.signature(command)
    except (TypeError, ValueError):  # a function that does not say; it will complain by itself
        return ""
    try:
        signature.bind(vcpu, *words)
    except TypeError as error:
        return str(error)
    return ""


def _commands(stub: Stub) -> dict[str, MonitorCommand]:
    found: dict[str, MonitorCommand] = {
        name: _bound(stub, command) for name, command in BUILT_IN.items()
    }
    if stub.capabilities.resetter:
        found["reset"] = _bound(stub, _reset)
    if stub.capabilities.monitor_source:
        found.update(stub.target.monitor_commands())
    return found | dict(stub.options.commands)


def _bound(stub: Stub, command: Callable[..., str]) -> MonitorCommand:
    """Leave the stub out of a command's arguments, but not its text out of its help."""
    bound = partial(command, stub)
    bound.__doc__ = command.__doc__
    return bound


def _summary(command: MonitorCommand) -> str:
    return (inspect.getdoc(command) or "").partition("\n")[0]


def _help(stub: Stub, _vcpu: int, name: str | None = None) -> str:
    """List the commands, or tell more about one: help [COMMAND]."""
    commands = _commands(stub)
    if name is not None and name not in commands:
        return f'There is no command "{name}".'
    if name is not None:
        return inspect.getdoc(commands[name]) or "There is no help for it."
    width = max(map(len, commands))
    return "\n".join(f"{name:{width}}  {_summary(commands[name])}" for name in sorted(commands))


def _regs(stub: Stub, vcpu: int) -> str:
    """Show the registers of the selected vCPU."""
    return table_of(stub.registers(vcpu))


def _mode(stub: Stub, _vcpu: int, mode: str | None = None) -> str:
    """Show or set which code the debugger expects: mode [16|32|64|auto].

    With `auto` that is what the processor would decode. What is set holds from the next stop on, if
    the debugger can be told then; if not, it has to be set before the debugger comes.
    """
    if mode is not None and mode not in MODES:
        return f"mode: there are {', '.join(MODES)}, and not {mode!r}"
    if mode is not None:
        stub.mode = MODES[mode]
    wanted, now = stub.describe().mode, stub.description.mode
    if wanted == now:
        return f"{now}-bit"
    return f"{now}-bit; {wanted}-bit {_when(stub)}"


def _when(stub: Stub) -> str:
    if stub.must_switch(stub.selected):
        return "from the next stop on"
    return "when the debugger reads the target description again, which this one does only anew"


def _threads(stub: Stub, vcpu: int) -> str:
    """List the vCPUs; a star marks the selected one."""
    marked = [("*" if other == vcpu else " ", other) for other in stub.vcpus()]
    return "\n".join(f"{mark} {other}: {describe_vcpu(stub, other)}" for mark, other in marked)


def _reset(stub: Stub, _vcpu: int) -> str:
    """Reset the machine."""
    stub.require_writable()
    for other in stub.vcpus():
        stub.require_stopped(other)
    stub.reset_target()
    return 'The machine is reset; "maintenance flush register-cache" has GDB look at it again.'


BUILT_IN: Final[Mapping[str, Callable[..., str]]] = {
    "help": _help,
    "regs": _regs,
    "mode": _mode,
    "threads": _threads,
}
