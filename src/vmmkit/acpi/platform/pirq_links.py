# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Interrupt link devices: how a system chooses the ISA interrupts of a PIRQ router's lines.

ACPI Specification, _PRT (PCI Routing Table) and Device Configuration. The registers are those of
`vmmkit.devices.pirq_router`: a byte a line, with the ISA interrupt in bits 0 to 3, or bit 7 set
where it has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

import attrs

from vmmkit.acpi.aml.blocks import If
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.create_field import CreateWordField
from vmmkit.acpi.aml.data import EisaId
from vmmkit.acpi.aml.field_units import Access, Offset
from vmmkit.acpi.aml.fields import Field, Lock, Update
from vmmkit.acpi.aml.named import Device, Method, Name, OperationRegion, RegionSpace
from vmmkit.acpi.aml.node import Node, Path
from vmmkit.acpi.aml.operators import And, FindSetRightBit, LNot, Or, ShiftLeft, Subtract
from vmmkit.acpi.aml.places import Arg, Local
from vmmkit.acpi.aml.resources import Irq, Polarity, Resources, Sharing, Trigger
from vmmkit.acpi.aml.statements import Return
from vmmkit.acpi.platform.claims import ISA_INTERRUPTS
from vmmkit.acpi.platform.context import Context
from vmmkit.acpi.platform.values import Route, number, routes
from vmmkit.errors import PlatformError

__all__ = ["PirqLinks"]

_REGISTERS: Final = (0x60, 0x61, 0x62, 0x63, 0x68, 0x69, 0x6A, 0x6B)
_INTERRUPTS: Final = (5, 10, 11)
_LETTERS: Final = "ABCDEFGHIJKLMNOP"
_DISABLED: Final = 0x80
_INTERRUPT: Final = 0x0F
_MASK_OFFSET: Final = 1  # of the 16 interrupts in an IRQ descriptor, one bit each
_ON, _OFF = 0x0B, 0x09  # _STA: present, functioning, and enabled or not


def _numbers(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(values) if isinstance(values, Iterable) else (values,)


@attrs.frozen
class PirqLinks:
    r"""The links LNKA, LNKB, ... of a PIRQ router; a contributor to the scope of the LPC bridge.

    A routing names them in place of interrupts. On a chip set whose lines have a GSI each as well,
    that is the one for the 8259s::

        links = PirqLinks()
        q35_like(
            pic_routing=links.routing(q35_routing()), isa_devices=[*Q35_ISA_DEVICES, links]
        )

    Args:
        registers: offsets in the configuration space of the LPC bridge, PIRQA first, 1 to 16.
        interrupts: ISA interrupts that a system can choose from; no edge triggered device can
            have them.

    Raises:
        PlatformError: no or too many registers, one twice or out of range, or no interrupts.
    """

    registers: tuple[int, ...] = attrs.field(default=_REGISTERS, converter=_numbers)
    interrupts: tuple[int, ...] = attrs.field(default=_INTERRUPTS, converter=_numbers)

    def __attrs_post_init__(self) -> None:
        """Check the numbers."""
        for register in self.registers:
            number("a register of a PIRQ router", register, 0x100)
        for interrupt in self.interrupts:
            number("an interrupt of a PIRQ router", interrupt, ISA_INTERRUPTS)
        count = len(self.registers)
        if not 1 <= count == len(set(self.registers)) <= len(_LETTERS) or not self.interrupts:
            raise PlatformError(
                f"a PIRQ router has 1 to {len(_LETTERS)} registers, each once, and interrupts to "
                f"choose from: {self!r}"
            )

    def routing(
        self, routing: Iterable[Route], first_gsi: int = 16, scope: str = "\\_SB.PCI0.ISA"
    ) -> tuple[Route, ...]:
        """Return a routing with links in place of GSIs.

        Args:
            routing: `(device, pin, gsi)`.
            first_gsi: what stands for PIRQA there; PIRQB is the next one, and so on.
            scope: of the LPC bridge.

        Raises:
            PlatformError: a GSI that is no line of the router.
        """
        found: list[Route] = []
        for device, pin, gsi in routes(routing):
            line = -1 if isinstance(gsi, str) else gsi - first_gsi
            if not 0 <= line < len(self.registers):
                raise PlatformError(
                    f"device {device}, pin {pin} is routed to {gsi}; the lines of the PIRQ router "
                    f"are {first_gsi} to {first_gsi + len(self.registers) - 1}"
                )
            found.append((device, pin, f"{scope}.LNK{_LETTERS[line]}"))
        return tuple(found)

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield registers, a method and the links; claim the interrupts."""
        for interrupt in sorted(set(self.interrupts)):
            gsi = context.gsi_of(interrupt)
            context.claim_interrupt("the PIRQ router", gsi, level=True, active_low=True)
        first, last = min(self.registers), max(self.registers)
        yield OperationRegion("PIRQ", RegionSpace.PciConfig, first, last + 1 - first)
        yield Field("PIRQ", Access.Byte, Lock.NoLock, Update.Preserve, *self._units(first))
        yield _current()
        for letter in _LETTERS[: len(self.registers)]:
            yield self._link(context, letter)

    def _units(self, first: int) -> Iterator[tuple[str, int] | Offset]:
        placed = sorted(zip(self.registers, _LETTERS, strict=False))
        for (before, _), (register, letter) in pairwise([(first - 1, ""), *placed]):
            if register != before + 1:
                yield Offset(register - first)
            yield f"PRQ{letter}", 8

    def _link(self, context: Context, letter: str) -> Node:
        register, mask, place = Path(f"PRQ{letter}"), Path("IRQW"), Local(0)
        return Device(
            f"LNK{letter}",
            Name("_HID", EisaId("PNP0C0F")),
            Name("_UID", context.unique_id("PNP0C0F")),
            Name("_PRS", Resources(_descriptor(self.interrupts))),
            Method("_STA", 0, If(And(register, _DISABLED), Return(_OFF)), Return(_ON)),
            Method("_DIS", 0, Or(register, _DISABLED, register)),
            Method("_CRS", 0, Return(Call("PIRC", register))),
            Method(
                "_SRS",
                1,
                CreateWordField(Arg(0), _MASK_OFFSET, "IRQW"),
                FindSetRightBit(mask, place),
                If(place, Subtract(place, 1, register)),
                serialized=True,
            ),
        )


def _descriptor(interrupts: Iterable[int]) -> Irq:
    return Irq(tuple(interrupts), Trigger.LEVEL, Polarity.ACTIVE_LOW, Sharing.SHARED)


def _current() -> Node:
    """Return the method that makes `_CRS` of what a register holds."""
    mask, template = Path("IRQW"), Path("IRQB")
    return Method(
        "PIRC",
        1,
        Name("IRQB", Resources(_descriptor(()))),
        CreateWordField(template, _MASK_OFFSET, "IRQW"),
        If(LNot(And(Arg(0), _DISABLED)), ShiftLeft(1, And(Arg(0), _INTERRUPT), mask)),
        Return(template),
        serialized=True,
    )
