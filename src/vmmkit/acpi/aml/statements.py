# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Statements: what a method tells the guest, waits for, and answers.

ACPI Specification, ASL Operator Reference. Those that hold a list of terms are in `blocks.py`.
"""

from __future__ import annotations

from vmmkit.acpi.aml.node import Expression, Node, Place, Value, operand, place

__all__ = [
    "Acquire",
    "Break",
    "BreakPoint",
    "Continue",
    "Fatal",
    "Noop",
    "Notify",
    "Release",
    "Reset",
    "Return",
    "Signal",
    "Sleep",
    "Stall",
    "Timer",
    "Wait",
]


class Return(Node, opcode="Return"):
    """End the method with a value ("Return (Return from Method Execution)").

    Args:
        value: what the caller gets; zero where none is given.

    Raises:
        AmlValueError: a node that yields no value.
    """

    __slots__ = ()

    def __init__(self, value: Value = 0) -> None:
        """Encode the value."""
        super().__init__(operand(value))


class _Noop(Node, opcode="Noop"):
    __slots__ = ()


class _BreakPoint(Node, opcode="BreakPoint"):
    __slots__ = ()


class _Timer(Expression, opcode="Timer"):
    __slots__ = ()


class _Break(Node, opcode="Break"):
    __slots__ = ()


class _Continue(Node, opcode="Continue"):
    __slots__ = ()


class Fatal(Node, opcode="Fatal"):
    """Report an error after which the guest cannot go on ("Fatal (Fatal Error Check)").

    Args:
        kind: 0 to 255, the platform's own.
        code: 0 to 2**32 - 1, the platform's own.
        argument: a number to report.

    Raises:
        AmlValueError: a number out of range, or a node that yields no value.
    """

    __slots__ = ()

    def __init__(self, kind: int, code: int, argument: Value) -> None:
        """Encode all three."""
        super().__init__(kind, code, operand(argument))


class Notify(Node, opcode="Notify"):
    """Tell the driver of a device that something happened ("Notify (Notify Object of Event)").

    Args:
        device: a name, or what refers to a device, thermal zone or processor.
        value: what happened, such as 0x80 of a power button.

    Raises:
        AmlValueError: no place, or a node that yields no value.
    """

    __slots__ = ()

    def __init__(self, device: Place | str, value: Value) -> None:
        """Encode device and value."""
        super().__init__(place(device), operand(value))


class _Pause(Node):
    """A statement that waits.

    Args:
        duration: how long.

    Raises:
        AmlValueError: a node that yields no value.
    """

    __slots__ = ()

    def __init__(self, duration: Value) -> None:
        """Encode the time."""
        super().__init__(operand(duration))


class Sleep(_Pause, opcode="Sleep"):
    """Wait some milliseconds, while others may run ("Sleep (Milliseconds Sleep)")."""

    __slots__ = ()


class Stall(_Pause, opcode="Stall"):
    """Wait up to 100 microseconds in a busy loop ("Stall (Stall for a Short Time)")."""

    __slots__ = ()


class _Synchronizing(Node):
    """A statement on a mutex or event.

    Args:
        subject: its name, or what refers to it.

    Raises:
        AmlValueError: no place.
    """

    __slots__ = ()

    def __init__(self, subject: Place | str) -> None:
        """Encode the place."""
        super().__init__(place(subject))


class Release(_Synchronizing, opcode="Release"):
    """Give a mutex back ("Release (Release a Mutex Synchronization Object)")."""

    __slots__ = ()


class Signal(_Synchronizing, opcode="Signal"):
    """Let one that waits for an event go on ("Signal (Signal a Synchronization Event)")."""

    __slots__ = ()


class Reset(_Synchronizing, opcode="Reset"):
    """Forget the signals of an event ("Reset (Reset an Event Synchronization Object)")."""

    __slots__ = ()


class Acquire(Expression, opcode="Acquire"):
    """Take a mutex, and yield whether the time ran out ("Acquire (Acquire a Mutex)").

    Args:
        mutex: its name, or what refers to it.
        timeout: milliseconds; 0xFFFF waits for ever.

    Raises:
        AmlValueError: no place, or a time out of range.
    """

    __slots__ = ()

    def __init__(self, mutex: Place | str, timeout: int = 0xFFFF) -> None:
        """Encode mutex and time."""
        super().__init__(place(mutex), timeout)


class Wait(Expression, opcode="Wait"):
    """Wait for an event, and yield whether the time ran out.

    "Wait (Wait for a Synchronization Event)".

    Args:
        event: its name, or what refers to it.
        timeout: milliseconds; 0xFFFF waits for ever.

    Raises:
        AmlValueError: no place, or a node that yields no value.
    """

    __slots__ = ()

    def __init__(self, event: Place | str, timeout: Value = 0xFFFF) -> None:
        """Encode event and time."""
        super().__init__(place(event), operand(timeout))


#: Do nothing ("NoOp Code (No Operation)").
Noop = _Noop()
#: Stop in the guest's AML debugger, if it has one ("BreakPoint (Execution Break Point)").
BreakPoint = _BreakPoint()
#: The time, in units of 100 ns ("Timer (Get 64-Bit Timer Value)").
Timer = _Timer()
#: Leave the innermost `While` ("Break (Break from While)").
Break = _Break()
#: Go on with the next turn of the innermost `While`
#: ("Continue (Continue Innermost Enclosing While)").
Continue = _Continue()
