# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Who receives which message; sections are named as in SDM volume 3A."""

import pytest

from devices.apics import (
    APIC_BASE,
    DFR,
    ENABLE,
    ICR,
    ICR_HIGH,
    LDR,
    LOGICAL,
    SVR,
    TPR,
    Cpu,
    Pins,
    enabled_cpu,
    x2apic_cpu,
)
from vmmkit.devices.apic_bus import ApicBus
from vmmkit.devices.lapic import ApicMessage, DeliveryMode
from vmmkit.errors import DeviceError

SELF, ALL, OTHERS = 1 << 18, 2 << 18, 3 << 18
LOWEST = 0x100
VECTOR = 0x41


def machine(ids, make=enabled_cpu):
    bus = ApicBus()
    return {apic_id: make(apic_id, bus) for apic_id in ids}


def receivers(cpus):
    return [apic_id for apic_id, cpu in cpus.items() if cpu.take() == VECTOR]


# -- Interrupt Command Register (ICR): shorthands ----------------------------------------------


@pytest.mark.parametrize("make", [enabled_cpu, x2apic_cpu])
@pytest.mark.parametrize(
    ("shorthand", "expected"), [(SELF, [1]), (ALL, [0, 1, 2]), (OTHERS, [0, 2])]
)
def test_shorthands(make, shorthand, expected):
    cpus = machine(range(3), make)
    if make is enabled_cpu:
        cpus[1].ipi(shorthand | VECTOR, 2)
    else:
        cpus[1].wrmsr(ICR, 2 << 32 | shorthand | VECTOR)
    assert receivers(cpus) == expected


def test_the_icr_keeps_what_was_written_and_is_never_busy():
    cpu = enabled_cpu()
    cpu.ipi(SELF | 0xFFF0_D0FF, 0x12)
    assert cpu.get(ICR_HIGH) == 0x1200_0000
    assert cpu.get(ICR) == SELF | 0xC0FF


@pytest.mark.parametrize(
    ("mode", "heard"),
    [
        pytest.param(0x200, ["smi"], id="SMI"),
        pytest.param(0x300, [], id="reserved"),
        pytest.param(0x400, ["nmi"], id="NMI"),
        pytest.param(0x4500, ["init"], id="INIT"),
        pytest.param(0x0500, ["init"], id="INIT, an edge without the level bit"),
        pytest.param(0xC500, ["init"], id="INIT, level assert"),
        pytest.param(0x8500, [], id="INIT level de-assert"),
        pytest.param(0x469A, [], id="SIPI to one that does not wait"),
        pytest.param(0x700, [], id="ExtINT is reserved here"),
        pytest.param(0x8400, ["nmi"], id="level means nothing"),
    ],
)
@pytest.mark.parametrize("make", [enabled_cpu, x2apic_cpu])
def test_delivery_modes(make, mode, heard):
    bus = ApicBus()
    sender, target = make(0, bus), make(1, bus, bsp=True)
    target.heard.clear()
    if make is enabled_cpu:
        sender.ipi(mode, 1)
    else:
        assert sender.wrmsr(ICR, 1 << 32 | mode) is None
    assert (sender.heard, target.heard, target.take()) == ([], heard, None)


def test_an_ipi_is_an_edge():
    cpu = enabled_cpu()
    cpu.ipi(SELF | 0xC000 | VECTOR)
    assert cpu.lapic.registers()["TMR"] == 0


# -- Determining IPI Destination ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("destination", "expected"), [(0, [0]), (1, [1]), (7, [7]), (9, []), (0xFF, [0, 1, 7])]
)
def test_physical(destination, expected):
    cpus = machine([0, 1, 7])
    cpus[0].ipi(VECTOR, destination)
    assert receivers(cpus) == expected


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        (1, [1]),
        (0xFF, [0xFF]),
        (0x100, [0x100]),
        (0x1_0001, [0x1_0001]),
        (2, []),
        (0xFFFF_FFFF, [1, 0xFF, 0x100, 0x1_0001]),
    ],
)
def test_physical_x2apic(destination, expected):
    cpus = machine([1, 0xFF, 0x100, 0x1_0001], x2apic_cpu)
    cpus[1].wrmsr(ICR, destination << 32 | VECTOR)
    assert receivers(cpus) == expected


@pytest.mark.parametrize(
    ("model", "destination", "expected"),
    [
        pytest.param(0xF, 0x01, [0], id="flat, one"),
        pytest.param(0xF, 0x06, [1, 2, 3], id="flat, several"),
        pytest.param(0xF, 0x40, [], id="flat, nobody"),
        pytest.param(0xF, 0xFF, [0, 1, 2, 3, 4], id="flat, all, and who has no bit"),
        pytest.param(0x0, 0x01, [0], id="cluster 0"),
        pytest.param(0x0, 0x13, [3], id="cluster 1"),
        pytest.param(0x0, 0x0F, [0, 1, 2], id="cluster 0, all"),
        pytest.param(0x0, 0xFF, [0, 1, 2, 3, 4], id="cluster, all"),
        pytest.param(0x5, 0x01, [], id="a model that does not exist"),
    ],
)
def test_logical(model, destination, expected):
    cpus = machine(range(5))
    for cpu, logical in zip(cpus.values(), (0x01, 0x02, 0x04, 0x12, 0x00), strict=True):
        cpu.set(LDR, logical << 24)
        cpu.set(DFR, model << 28 | 0x0FFF_FFFF)
    cpus[0].ipi(LOGICAL | VECTOR, destination)
    assert receivers(cpus) == expected


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        (0x0000_0001, [0]),
        (0x0000_8000, [0xF]),
        (0x0001_0003, [0x10, 0x11]),
        (0x0010_0001, [0x100]),
        (0x0000_0002, []),
        (0xFFFF_FFFF, [0, 0xF, 0x10, 0x11, 0x100]),
    ],
)
def test_logical_x2apic(destination, expected):
    cpus = machine([0, 0xF, 0x10, 0x11, 0x100], x2apic_cpu)
    cpus[0].wrmsr(ICR, destination << 32 | LOGICAL | VECTOR)
    assert receivers(cpus) == expected


def test_a_wide_logical_destination_is_nobody_in_xapic_mode():
    bus = ApicBus()
    sender, target = x2apic_cpu(0, bus), enabled_cpu(1, bus)
    target.set(LDR, 0x0100_0000)
    sender.wrmsr(ICR, 0x101 << 32 | LOGICAL | VECTOR)
    assert target.take() is None
    sender.wrmsr(ICR, 0x001 << 32 | LOGICAL | VECTOR)
    assert target.take() == VECTOR


# -- Lowest Priority Delivery Mode -------------------------------------------------------------


@pytest.mark.parametrize(
    ("priorities", "expected"),
    [
        pytest.param([0x50, 0x20, 0x30], [1], id="the lowest"),
        pytest.param([0x20, 0x50, 0x50], [0], id="the first"),
        pytest.param([0x00, 0x00, 0x00], [VECTOR % 3], id="equals share by vector"),
        pytest.param([0x00, 0x70, 0x00], [[0, 2][VECTOR % 2]], id="two equals"),
    ],
)
def test_lowest_priority(priorities, expected):
    cpus = machine(range(3))
    for cpu, priority in zip(cpus.values(), priorities, strict=True):
        cpu.set(TPR, priority)
    cpus[0].ipi(ALL | LOWEST | VECTOR)
    for cpu in cpus.values():
        cpu.set(TPR, 0)
    assert receivers(cpus) == expected


def test_a_processor_in_service_has_its_priority():
    cpus = machine(range(2))
    cpus[VECTOR % 2].lapic.accept(ApicMessage(0x61))
    cpus[VECTOR % 2].take()
    cpus[0].ipi(ALL | LOWEST | VECTOR)
    assert receivers(cpus) == [1 - VECTOR % 2]


@pytest.mark.parametrize(("svr", "expected"), [(0x1FF, 0), (0x3FF, 1)])
def test_focus(svr, expected):
    cpus = machine(range(2))
    for cpu in cpus.values():
        cpu.set(SVR, svr)
    cpus[0].lapic.accept(ApicMessage(VECTOR))
    assert cpus[0].take() == VECTOR
    cpus[0].ipi(ALL | LOWEST | VECTOR)
    irr = [cpu.lapic.registers()["IRR"] != 0 for cpu in cpus.values()]
    assert irr.index(True) == expected


def test_software_disabled_apics_do_not_compete():
    cpus = machine(range(2))
    cpus[VECTOR % 2].set(SVR, 0xFF)
    cpus[0].ipi(ALL | LOWEST | VECTOR)
    assert receivers(cpus) == [1 - VECTOR % 2]
    cpus[1 - VECTOR % 2].set(SVR, 0xFF)
    assert cpus[0].bus.deliver(ApicMessage(VECTOR, DeliveryMode.LOWEST_PRIORITY, 0xFF)) == 0


# -- Message Address Register Format, Message Data Register Format -----------------------------


@pytest.mark.parametrize(
    ("address", "data", "expected"),
    [
        pytest.param(0xFEE0_1000, VECTOR, [1], id="physical"),
        pytest.param(0xFEEF_F000, VECTOR, [0, 1, 2], id="broadcast"),
        pytest.param(0xFEE0_6004, VECTOR, [1, 2], id="logical"),
        pytest.param(0xFEE0_600C, VECTOR, [[1, 2][VECTOR % 2]], id="redirected"),
        pytest.param(0xFEE0_6004, 0x100 | VECTOR, [[1, 2][VECTOR % 2]], id="lowest priority"),
        pytest.param(0xFEE0_1008, VECTOR, [1], id="the hint means nothing to one"),
        pytest.param(0xFEE0_1000, 0xC000 | VECTOR, [1], id="level"),
        pytest.param(0xFEE0_1000, 0x8000 | VECTOR, [], id="level de-asserted"),
        pytest.param(0xFEE0_1000, 0xFFFF_0000 | VECTOR, [1], id="upper half of data"),
        pytest.param(0xFEE0_1000, 0x600 | VECTOR, [], id="start-up is no MSI"),
        pytest.param(0xFEE0_1000, 0x300 | VECTOR, [], id="reserved"),
    ],
)
def test_msi(address, data, expected):
    cpus = machine(range(3))
    for apic_id, cpu in cpus.items():
        cpu.set(LDR, 1 << 24 + apic_id)
    assert cpus[0].bus.msi(address, data) is True
    tmr = [apic_id for apic_id, cpu in cpus.items() if cpu.lapic.registers()["TMR"]]
    assert receivers(cpus) == expected
    assert tmr == (expected if data & 0xC000 == 0xC000 else [])


@pytest.mark.parametrize("address", [0xFED0_0000, 0xFEF0_0000, 0x1_FEE0_0000, 0])
def test_other_addresses_are_memory(address):
    cpus = machine([0])
    assert cpus[0].bus.msi(address, VECTOR) is False
    assert receivers(cpus) == []


def test_msi_nmi():
    cpus = machine([0, 1])
    cpus[0].bus.msi(0xFEE0_1000, 0x400)
    assert (cpus[0].heard, cpus[1].heard) == ([], ["nmi"])


@pytest.mark.parametrize(
    ("extended", "expected"), [(False, [0x34]), (True, [0x1234])], ids=["8 bits", "15 bits"]
)
def test_extended_destinations(extended, expected):
    bus = ApicBus(extended_destinations=extended)
    cpus = {apic_id: x2apic_cpu(apic_id, bus) for apic_id in (0x34, 0x1234)}
    bus.msi(0xFEE3_4000 | 0x12 << 5, VECTOR)
    assert receivers(cpus) == expected


def test_eight_bits_of_ones_are_a_broadcast_in_x2apic_mode_too():
    cpus = machine([0, 0xFF, 0x300], x2apic_cpu)
    cpus[0].bus.msi(0xFEEF_F000, VECTOR)
    assert receivers(cpus) == [0, 0xFF, 0x300]


# -- The owner's side --------------------------------------------------------------------------


def test_a_disabled_apic_receives_nothing():
    cpus = machine(range(2))
    cpus[1].lapic.write_msr(APIC_BASE, 0xFEE0_0000)
    cpus[0].ipi(0x400, 1)
    cpus[0].ipi(ALL | 0x400)
    assert "nmi" not in cpus[1].heard


def test_attach_and_detach():
    bus = ApicBus()
    second, first = enabled_cpu(2, bus), enabled_cpu(1, bus)
    with pytest.raises(DeviceError, match="0x1"):
        Cpu(1, bus)
    bus.detach(first.lapic)
    with pytest.raises(DeviceError, match="not attached"):
        bus.detach(first.lapic)
    assert bus.deliver(ApicMessage(VECTOR, destination=0xFF)) == 1
    assert second.take() == VECTOR


def test_lines_by_gsi():
    bus = ApicBus()
    cpu = enabled_cpu(0, bus)
    low, high = Pins(bus), Pins(bus, gsi_base=24, pins=8)
    low.program(5, 0x45)
    high.program(5, 0x55)
    bus.line(29)(True)
    assert cpu.take() == 0x55
    with pytest.raises(DeviceError, match="GSI 32"):
        bus.line(32)
    with pytest.raises(DeviceError, match="overlap"):
        Pins(bus, gsi_base=31)
    assert repr(bus) == "<ApicBus local APICs 0; GSIs 0-23, 24-31>"


def test_config():
    with pytest.raises(DeviceError):
        ApicBus(extended_destinations=1)
    assert repr(ApicBus()) == "<ApicBus local APICs -; GSIs ->"


def test_an_ipi_reaches_the_page_of_a_processor_beyond_eight_bits():
    """A processor starts in xAPIC mode, whatever its ID."""
    bus = ApicBus()
    bsp, far = x2apic_cpu(0, bus), Cpu(0x1_0100, bus)
    bsp.wrmsr(ICR, 0x1_0100 << 32 | 0x4500)
    bsp.wrmsr(ICR, 0x1_0100 << 32 | 0x4608)
    assert far.heard == ["init", ("sipi", 8)]
    assert far.get(SVR) & ENABLE == 0
