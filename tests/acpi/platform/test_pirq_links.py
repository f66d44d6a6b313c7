# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Interrupt link devices: what a system reads and writes through them, and what they refuse."""

import re

import pytest

from acpi import acpica
from acpi.platform_view import View
from vmmkit.acpi.aml.resources import Irq, Polarity, Resources, Sharing, Trigger, parse_resources
from vmmkit.acpi.platform.isa import Uart
from vmmkit.acpi.platform.pirq_links import PirqLinks
from vmmkit.acpi.platform.q35 import Q35_ISA_DEVICES, q35_like, q35_routing
from vmmkit.devices import pirq_router
from vmmkit.errors import PlatformError

SCOPE = "\\_SB.PCI0.ISA"
LINKS = PirqLinks()
TEMPLATES = 1 + 6 + 9 + 2  # of host bridge, ISA devices, links, timer and reservations


def irq(*interrupts):
    return Irq(interrupts, Trigger.LEVEL, Polarity.ACTIVE_LOW, Sharing.SHARED)


def platform(links=LINKS, **more):
    pic_routing = links.routing(q35_routing(), first_gsi=16) if len(links.registers) == 8 else ()
    values = {"pic_routing": pic_routing, "isa_devices": [*Q35_ISA_DEVICES, links]} | more
    return q35_like(**values)


def test_registers_are_those_of_the_router():
    assert LINKS.registers == pirq_router.REGISTERS
    assert set(LINKS.interrupts) <= pirq_router.ALLOWED_IRQS


def test_devices():
    view = View(platform())
    names = [f"{SCOPE}.LNK{letter}" for letter in "ABCDEFGH"]
    assert view.devices("PNP0C0F") == names
    assert [view.value(f"{name}._UID") for name in names] == list(range(8))
    for name in names:
        assert list(parse_resources(view.value(f"{name}._PRS"))) == [irq(5, 10, 11)]


def test_routing_names_links_for_the_8259s_only():
    routing = [(1, pin, 16 + 2 * pin) for pin in range(4)]
    dsdt = platform(routing=routing, pic_routing=LINKS.routing(routing)).dsdt.to_bytes()
    output = acpica.acpiexec(["execute \\_SB.PCI0._PRT"], dsdt)
    assert re.findall("LNK[A-H]", output) == ["LNKA", "LNKC", "LNKE", "LNKG"]
    output = acpica.acpiexec(["execute \\_PIC 1", "execute \\_SB.PCI0._PRT"], dsdt)
    assert "LNK" not in output
    assert len(q35_routing()) == len(LINKS.routing(q35_routing()))


@pytest.mark.parametrize("registers", [(0x60,), (0x63, 0x61), LINKS.registers])
def test_each_link_has_its_register(registers):
    """The interpreter's configuration space remembers what is written."""
    links = PirqLinks(registers, (3, 5, 15))
    isa = [one for one in Q35_ISA_DEVICES if not isinstance(one, Uart)]
    dsdt = platform(links, isa_devices=[*isa, links]).dsdt.to_bytes()
    chosen = [(3, 5, 15)[number % 3] for number in range(len(registers))]
    commands = []
    for number, interrupt in enumerate(chosen):
        template = " ".join(f"{byte:02X}" for byte in Resources(irq(interrupt)).args[1])
        commands.append(f"execute {SCOPE}.LNK{'ABCDEFGH'[number]}._SRS ({template})")
    commands += [f"execute {SCOPE}.PRQ{'ABCDEFGH'[number]}" for number in range(len(registers))]
    output = acpica.acpiexec(commands, dsdt)
    values = [int(text, 16) for text in re.findall(r"\[Integer\] = ([0-9A-F]{16})", output)]
    assert values[-len(chosen) :] == chosen


def test_current_interrupt_and_none():
    dsdt = platform().dsdt.to_bytes()
    link = f"{SCOPE}.LNKC"
    template = " ".join(f"{byte:02X}" for byte in Resources(irq(11, 5)).args[1])
    output = acpica.acpiexec(
        [
            f"execute {link}._SRS ({template})",
            f"execute {link}._STA",
            f"execute {link}._CRS",
            f"execute {link}._DIS",
            f"execute {link}._STA",
            f"execute {link}._CRS",
        ],
        dsdt,
    )
    states = [int(text, 16) for text in re.findall(r"\[Integer\] = ([0-9A-F]{16})", output)]
    assert (states[0], states[-1]) == (0x0B, 0x09)
    buffers = re.findall(r"0000: +23 ([0-9A-F]{2}) ([0-9A-F]{2}) 18 79", output)
    assert buffers == [("20", "00"), ("00", "00")]  # the least of those offered; none


def test_iasl_has_nothing_to_say():
    acpica.assert_roundtrip(platform().dsdt.to_bytes(), templates=TEMPLATES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PirqLinks(()), "a PIRQ router has 1 to 16 registers"),
        (lambda: PirqLinks(range(0x60, 0x71)), "a PIRQ router has 1 to 16 registers"),
        (lambda: PirqLinks((0x60, 0x60)), "each once"),
        (lambda: PirqLinks(interrupts=()), "and interrupts to choose from"),
        (lambda: PirqLinks((0x100,)), "a register of a PIRQ router is 0x100"),
        (lambda: PirqLinks(interrupts=(16,)), "an interrupt of a PIRQ router is 0x10"),
        (lambda: LINKS.routing([(1, 2, 24)]), "device 1, pin 2 is routed to 24; the lines of"),
        (lambda: LINKS.routing([(1, 2, "LNKA")]), "device 1, pin 2 is routed to LNKA; the"),
        (lambda: platform(PirqLinks(interrupts=(4,))), "GSI 4 is level triggered for the PIRQ"),
    ],
)
def test_errors(make, message):
    with pytest.raises(PlatformError) as caught:
        make()
    assert message in str(caught.value)
