# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
r"""Events: the methods of `\_GPE`, and the generic event device for interrupts.

ACPI Specification, ACPI Event Programming Model; QEMU documentation, "QEMU and ACPI BIOS Generic
Event Device interface", for the event selector.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from vmmkit.acpi.aml.blocks import If
from vmmkit.acpi.aml.field_units import Access
from vmmkit.acpi.aml.fields import Field, Lock, Update
from vmmkit.acpi.aml.named import Device, Method, Name, OperationRegion, RegionSpace, Scope
from vmmkit.acpi.aml.node import Node, Path
from vmmkit.acpi.aml.operators import And, LEqual, Store
from vmmkit.acpi.aml.places import Arg, Local
from vmmkit.acpi.aml.resources import Interrupt, Resources, Sharing, Trigger
from vmmkit.acpi.aml.statements import Notify
from vmmkit.acpi.platform.context import Context, Handler
from vmmkit.errors import PlatformError

__all__ = ["EventDevice", "EventSource", "gpe_scope", "gsi_descriptor"]


@attrs.frozen(kw_only=True)
class EventSource:
    """A device that tells the system something by an interrupt or a general-purpose event.

    Args:
        gsi: the interrupt, for the generic event device.
        gpe: the general-purpose event; one of the two is given.
        select: its bits of the event selector; 0: the interrupt alone says it.
        level: interrupt or event is level triggered.

    Raises:
        PlatformError: both or none of interrupt and event.
    """

    gsi: int | None = None
    gpe: int | None = None
    select: int = 0
    level: bool = False

    def __attrs_post_init__(self) -> None:
        """Check that there is one way."""
        if (self.gsi is None) == (self.gpe is None):
            raise PlatformError(f"{type(self).__name__} has either a gsi or a gpe: {self!r}")

    def notify(self, context: Context, name: str, value: int) -> None:
        """Have a device of this scope notified when the event comes.

        Args:
            context: of the scope.
            name: of the device in it.
            value: what it is notified of.
        """
        statement = Notify(Path(context.path_of(name)), value)
        if self.gsi is not None:
            context.on_event(self.gsi, statement, level=self.level, select=self.select)
        if self.gpe is not None:
            context.on_gpe(self.gpe, statement, level=self.level)


def gpe_scope(context: Context) -> Iterator[Node]:
    r"""Yield the `\_GPE` scope with a method for each event that has a handler."""
    methods = []
    for event, handlers in sorted(context.gpe_handlers.items()):
        kind = "L" if handlers[0].level else "E"
        statements = [node for handler in handlers for node in handler.statements]
        methods.append(Method(f"_{kind}{event:02X}", 0, *statements))
    if methods:
        yield Scope("\\_GPE", *methods)


@attrs.frozen
class EventDevice:
    r"""The generic event device; a contributor to `\_SB` that must come after all others.

    Args:
        selector: address of a register of 4 bytes that says which events an interrupt is about,
            one bit each, and is cleared by reading; `None`: there is no such register.
    """

    selector: int | None = None

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device, if any event has a handler."""
        events = sorted(context.event_handlers.items())
        if not events:
            return
        interrupts = [gsi_descriptor(gsi, level=handlers[0].level) for gsi, handlers in events]
        yield Device(
            "GED",
            Name("_HID", "ACPI0013"),
            Name("_UID", context.unique_id("ACPI0013")),
            Name("_CRS", Resources(*interrupts)),
            *self._register(context),
            Method("_EVT", 1, *[_event(*event) for event in events], serialized=True),
        )

    def _register(self, context: Context) -> Iterator[Node]:
        if self.selector is not None:
            context.claim_memory("the event selector", self.selector, 4)
            yield OperationRegion("ESRG", RegionSpace.SystemMemory, self.selector, 4)
            yield Field("ESRG", Access.DWord, Lock.NoLock, Update.WriteAsZeros, ("ESEL", 32))


def gsi_descriptor(gsi: int, *, level: bool) -> Interrupt:
    """Return the descriptor of an interrupt: an edge, or a level that may be shared."""
    if level:
        return Interrupt(gsi, Trigger.LEVEL, sharing=Sharing.SHARED)
    return Interrupt(gsi, Trigger.EDGE)


def _event(gsi: int, handlers: list[Handler]) -> Node:
    """Return what `_EVT` does for an interrupt; the selector is read once."""
    statements: list[Node] = []
    if any(handler.select for handler in handlers):
        statements.append(Store(Path("ESEL"), Local(0)))
    for handler in handlers:
        if handler.select:
            statements.append(If(And(Local(0), handler.select), *handler.statements))
        else:
            statements += handler.statements
    return If(LEqual(Arg(0), gsi), *statements)
