# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How a stub is configured, and what a target can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import attrs

from vmmkit.errors import StubConfigError
from vmmkit.gdb.spec import DEFAULT_PACKET_SIZE
from vmmkit.gdb.target import BreakpointKind

__all__ = ["Capabilities", "MonitorCommand", "StubOptions"]

MonitorCommand = Callable[..., str | None]
"""Called with the selected vCPU and the words after the command; returns text."""

SMALLEST_PACKET: Final = 0x400
LARGEST_PACKET: Final = 0x100_0000
MODES: Final = (None, 16, 32, 64)


def _packet_size(_instance: object, _attribute: object, size: Any) -> None:
    if not isinstance(size, int) or not SMALLEST_PACKET <= size <= LARGEST_PACKET:
        raise StubConfigError(
            f"packet_size is from {SMALLEST_PACKET:#x} to {LARGEST_PACKET:#x} bytes, not {size!r}"
        )


def _one_of(*choices: object) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in choices:
            listed = ", ".join(map(repr, choices))
            raise StubConfigError(f"{attribute.name} is one of {listed}, not {value!r}")

    return check


def _callables(_instance: object, _attribute: object, commands: Any) -> None:
    for name, command in dict(commands).items():
        if not isinstance(name, str) or not name or name.split() != [name] or not callable(command):
            raise StubConfigError(f"commands maps words to functions, not {name!r} to {command!r}")


@attrs.frozen(kw_only=True)
class StubOptions:
    """Settings of a stub.

    Raises:
        StubConfigError: a value out of range or of another kind.
    """

    packet_size: int = attrs.field(default=DEFAULT_PACKET_SIZE, validator=_packet_size)
    """Bytes of payload in one packet, 0x400 to 0x1000000. All registers at once may be more, in the
    reply to `g` only: `G` is refused then, as every packet that is too long."""

    layout: Literal["gdb", "qemu"] = attrs.field(default="gdb", validator=_one_of("gdb", "qemu"))
    """Which registers the debugger sees: all that the target has, in GDB's features; or the 66
    registers of QEMU in its order, for tools that are made for that."""

    mode: Literal[16, 32, 64] | None = attrs.field(default=None, validator=_one_of(*MODES))
    """Bits of the code that the debugger is told it debugs, or `None` to follow the vCPU."""

    mode_switch: Literal["exec", "fixed"] = attrs.field(
        default="exec", validator=_one_of("exec", "fixed")
    )
    """What happens when a vCPU stops in another mode than the debugger knows of: `"exec"` has the
    debugger read the target description again, if it can; `"fixed"` leaves it at `mode`, or at 64
    bits if that is `None`."""

    linear_pc: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    """Whether EIP in 16-bit mode is shown as a linear address, CS base included."""

    read_only: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    """Whether everything that changes the guest is refused: registers, memory, breakpoints, reset,
    kill, reverse execution. The guest can be stopped, stepped and resumed."""

    exec_file: str | None = None
    """Path of the guest's program, in the debugger's view of the file system."""

    run_length: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    """Whether replies are run-length encoded, which is of use on slow lines only."""

    commands: Mapping[str, MonitorCommand] = attrs.field(factory=dict, validator=_callables)
    """More commands for `monitor`, by name."""


# Methods and attributes by which a target shows that it has a Protocol of `target`.
MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "register_writer": ("write_registers",),
    "memory_writer": ("write_memory",),
    "stepper": ("can_step",),
    "per_vcpu": ("stop_vcpu",),
    "reverser": ("reverse_step", "reverse_continue"),
    "resetter": ("reset",),
    "killer": ("kill",),
    "attach_listener": ("debugger_attached", "debugger_detached"),
    "mode_source": ("mode",),
    "thread_describer": ("describe_vcpu",),
    "memory_mapper": ("memory_map", "memory_range"),
    "monitor_source": ("monitor_commands",),
}
REQUIRED: Final = ("vcpus", "read_registers", "read_memory", "stop", "resume")
OF_BREAKPOINTS: Final = ("breakpoint_kinds", "insert_breakpoint", "remove_breakpoint")


def _has(target: object, names: tuple[str, ...]) -> bool:
    found = [getattr(target, name, None) for name in names]
    return all(member is not None and member is not False for member in found)


@attrs.frozen
class Capabilities:
    """Which optional Protocols of `vmmkit.gdb.target` a target has."""

    register_writer: bool = False
    memory_writer: bool = False
    stepper: bool = False
    per_vcpu: bool = False
    reverser: bool = False
    resetter: bool = False
    killer: bool = False
    attach_listener: bool = False
    mode_source: bool = False
    thread_describer: bool = False
    memory_mapper: bool = False
    monitor_source: bool = False
    breakpoints: frozenset[BreakpointKind] = frozenset()

    @classmethod
    def of(cls, target: object) -> Capabilities:
        """Look at a target.

        Raises:
            StubConfigError: it lacks one of the five methods that every target has.
        """
        missing = [name for name in REQUIRED if not callable(getattr(target, name, None))]
        if missing:
            raise StubConfigError(f"{target!r} is no target: it has no {', '.join(missing)}")
        kinds: frozenset[BreakpointKind] = frozenset()
        if _has(target, OF_BREAKPOINTS):
            kinds = frozenset(map(BreakpointKind, getattr(target, OF_BREAKPOINTS[0])))
        return cls(
            **{name: _has(target, names) for name, names in MEMBERS.items()}, breakpoints=kinds
        )
