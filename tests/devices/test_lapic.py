# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The local APIC rule by rule; sections are named as in SDM volume 3A."""

import pickle

import attrs
import pytest

from devices.apics import (
    APIC_BASE,
    APR,
    CURRENT,
    DFR,
    DIVIDE,
    ENABLE,
    EOI,
    ESR,
    EXTINT_MODE,
    GP,
    ICR,
    ICR_HIGH,
    ID,
    INIT_MODE,
    INITIAL,
    IRR,
    ISR,
    LDR,
    LEVEL,
    LVT_CMCI,
    LVT_ERROR,
    LVT_LINT0,
    LVT_LINT1,
    LVT_PMC,
    LVT_THERMAL,
    LVT_TIMER,
    MASKED,
    NMI_MODE,
    PPR,
    SELF_IPI,
    SMI_MODE,
    SVR,
    TMR,
    TPR,
    TSC_DEADLINE,
    VERSION,
    Cpu,
    Pins,
    enabled_cpu,
    x2apic_cpu,
)
from vmmkit.devices.apic_bus import ApicBus
from vmmkit.devices.lapic import EXTINT, ApicMessage, DeliveryMode, Lapic, LapicSnapshot
from vmmkit.devices.lapic import LocalInterrupt as Source
from vmmkit.errors import DeviceError

SELF = 1 << 18
LVTS = (LVT_CMCI, LVT_TIMER, LVT_THERMAL, LVT_PMC, LVT_LINT0, LVT_LINT1, LVT_ERROR)
SEND_ILLEGAL, RECEIVE_ILLEGAL, ILLEGAL_REGISTER = 0x20, 0x40, 0x80


def fixed(vector, *, level=False):
    return ApicMessage(vector, level=level)


# -- Local APIC State After Power-Up or Reset --------------------------------------------------

POWER_UP = [
    pytest.param(TPR, 0, id="TPR"),
    pytest.param(PPR, 0, id="PPR"),
    pytest.param(APR, 0, id="APR"),
    pytest.param(LDR, 0, id="LDR"),
    pytest.param(DFR, 0xFFFF_FFFF, id="DFR"),
    pytest.param(SVR, 0xFF, id="SVR"),
    pytest.param(ESR, 0, id="ESR"),
    pytest.param(ICR, 0, id="ICR"),
    pytest.param(ICR_HIGH, 0, id="ICR high"),
    pytest.param(INITIAL, 0, id="initial count"),
    pytest.param(CURRENT, 0, id="current count"),
    pytest.param(DIVIDE, 0, id="divide"),
    *[pytest.param(offset, MASKED, id=f"LVT {offset:x}") for offset in LVTS],
    *[pytest.param(first + 0x70, 0, id=f"{first:x}") for first in (ISR, TMR, IRR)],
]


@pytest.mark.parametrize(("offset", "value"), POWER_UP)
def test_first_values(offset, value):
    assert Cpu().get(offset) == value


@pytest.mark.parametrize("again", ["reset", "init_reset"])
@pytest.mark.parametrize(("offset", "value"), POWER_UP)
def test_reset_and_init_bring_the_first_values_back(offset, value, again):
    cpu = enabled_cpu()
    for register in (TPR, LDR, DFR, ICR_HIGH, *LVTS, DIVIDE, INITIAL):
        cpu.set(register, 0x5A5A_5A5A & ~0x700)
    cpu.lapic.accept(fixed(0x41, level=True))
    getattr(cpu.lapic, again)()
    assert cpu.get(offset) == value


@pytest.mark.parametrize(
    ("bsp", "base"), [(True, 0xFEE0_0900), (False, 0xFEE0_0800)], ids=["BSP", "AP"]
)
def test_apic_base_after_reset(bsp, base):
    cpu = Cpu(bsp=bsp)
    assert cpu.lapic.read_msr(APIC_BASE) == base
    assert cpu.lapic.waits_for_sipi is not bsp
    cpu.lapic.write_msr(APIC_BASE, 0xFED0_0C00)
    cpu.lapic.reset()
    assert cpu.lapic.read_msr(APIC_BASE) == base


# -- Local APIC ID, Local APIC Version Register ------------------------------------------------


@pytest.mark.parametrize(
    ("apic_id", "shown"), [(0, 0), (0x12, 0x1200_0000), (0x1_02FE, 0xFE00_0000)]
)
def test_the_page_shows_eight_bits_of_the_id(apic_id, shown):
    cpu = Cpu(apic_id)
    cpu.set(ID, 0x5500_0000)
    assert cpu.get(ID) == shown


@pytest.mark.parametrize("apic_id", [0, 0x12, 0x1_02FE, 0xFFFF_FFFE])
def test_x2apic_shows_the_whole_id(apic_id):
    assert x2apic_cpu(apic_id).rdmsr(ID) == apic_id


@pytest.mark.parametrize(("cmci", "version"), [(True, 0x0106_0014), (False, 0x0105_0014)])
def test_version_counts_the_lvt(cmci, version):
    assert Cpu(cmci=cmci).get(VERSION) == version


# -- Local APIC Register Address Map -----------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "kept"),
    [
        pytest.param(TPR, 0xFF, id="TPR"),
        pytest.param(LDR, 0xFF00_0000, id="LDR"),
        pytest.param(ICR_HIGH, 0xFF00_0000, id="ICR high"),
        pytest.param(SVR, 0x13FF, id="SVR"),
        pytest.param(LVT_CMCI, 0x107FF, id="CMCI"),
        pytest.param(LVT_TIMER, 0x700FF, id="timer"),
        pytest.param(LVT_THERMAL, 0x107FF, id="thermal"),
        pytest.param(LVT_PMC, 0x107FF, id="PMC"),
        pytest.param(LVT_LINT0, 0x1A7FF, id="LINT0"),
        pytest.param(LVT_LINT1, 0x1A7FF, id="LINT1"),
        pytest.param(LVT_ERROR, 0x100FF, id="error"),
        pytest.param(DIVIDE, 0x0B, id="divide"),
        pytest.param(PPR, 0, id="PPR"),
        pytest.param(VERSION, 0x0106_0014, id="version"),
    ],
)
@pytest.mark.parametrize("value", [0, 0x5555_55FF, 0xAAAA_AAAA, 0xFFFF_FFFF])
def test_kept_bits(offset, kept, value):
    cpu = enabled_cpu()
    read_only = kept if offset == VERSION else 0
    cpu.set(offset, value)
    forced = MASKED if offset in LVTS and not cpu.get(SVR) & ENABLE else 0
    wanted = read_only if offset in (VERSION, PPR) else value & kept | forced
    assert cpu.get(offset) == wanted


def test_dfr_reads_ones_below_the_model():
    cpu = Cpu()
    cpu.set(DFR, 0)
    assert cpu.get(DFR) == 0x0FFF_FFFF


@pytest.mark.parametrize(
    ("offset", "size", "value"),
    [
        pytest.param(LVT_TIMER, 1, 0x55, id="first byte"),
        pytest.param(LVT_TIMER + 1, 1, 0x00, id="second byte"),
        pytest.param(LVT_TIMER + 2, 2, 0x0001, id="upper word"),
        pytest.param(LVT_TIMER + 4, 4, 0, id="beside the register"),
        pytest.param(LVT_TIMER, 8, 0x1_0055, id="eight bytes"),
        pytest.param(LVT_TIMER + 12, 8, 0x1_0066 << 32, id="across"),
    ],
)
def test_other_reads_see_the_register_in_its_first_four_bytes(offset, size, value):
    cpu = Cpu()
    cpu.set(LVT_TIMER, 0x55)
    cpu.set(LVT_THERMAL, 0x66)
    assert cpu.lapic.read(None, offset, size) == value


@pytest.mark.parametrize(("offset", "size"), [(TPR, 1), (TPR, 2), (TPR, 8), (TPR + 1, 4)])
def test_other_writes_are_dropped(offset, size):
    cpu = Cpu()
    cpu.lapic.write(None, offset, size, 0x40)
    assert (cpu.get(TPR), cpu.get(ESR)) == (0, 0)


# -- Enabling or Disabling the Local APIC, x2APIC States ---------------------------------------

DISABLED, XAPIC, X2APIC, INVALID = 0x000, 0x800, 0xC00, 0x400
LEGAL = {
    (DISABLED, DISABLED),
    (DISABLED, XAPIC),
    (XAPIC, DISABLED),
    (XAPIC, XAPIC),
    (XAPIC, X2APIC),
    (X2APIC, X2APIC),
    (X2APIC, DISABLED),
}


@pytest.mark.parametrize("after", [DISABLED, XAPIC, X2APIC, INVALID])
@pytest.mark.parametrize("before", [DISABLED, XAPIC, X2APIC])
def test_transitions(before, after):
    cpu = Cpu()
    assert cpu.lapic.write_msr(APIC_BASE, 0xFEE0_0000 | before) is None
    fault = cpu.lapic.write_msr(APIC_BASE, 0xFEE0_0000 | after)
    assert fault is (None if (before, after) in LEGAL else GP)
    assert cpu.lapic.read_msr(APIC_BASE) == 0xFEE0_0000 | (before if fault else after)


@pytest.mark.parametrize(
    ("config", "value"),
    [
        ({}, 0xFEE0_0801),
        ({}, 0xFEE0_0A00),
        ({"address_bits": 36}, 1 << 36 | 0x800),
        ({"address_bits": 36}, 1 << 63 | 0x800),
        ({"x2apic": False}, 0xFEE0_0C00),
    ],
)
def test_reserved_bits_of_apic_base(config, value):
    assert Cpu(**config).lapic.write_msr(APIC_BASE, value) is GP


def test_the_owner_hears_where_the_page_is():
    cpu = Cpu()
    for value in (0xFED0_0800, 0xFED0_0900, 0xFED0_0C00, 0xFED0_0000, 0xFEC0_0800):
        cpu.lapic.write_msr(APIC_BASE, value)
    assert cpu.heard == [("page", 0xFED0_0000), ("page", None), ("page", 0xFEC0_0000)]
    assert cpu.lapic.page == 0xFEC0_0000


@pytest.mark.parametrize("mode", [DISABLED, X2APIC])
def test_without_a_page_it_reads_all_ones(mode):
    cpu = Cpu()
    cpu.lapic.write_msr(APIC_BASE, 0xFEE0_0000 | mode)
    cpu.set(TPR, 0x50)
    assert (cpu.get(TPR), cpu.lapic.cr8) == (0xFFFF_FFFF, 0)


def test_disabling_loses_all_registers_but_not_the_id():
    cpu = enabled_cpu(5)
    cpu.set(TPR, 0x50)
    cpu.lapic.accept(fixed(0x61))
    assert cpu.level
    cpu.lapic.write_msr(APIC_BASE, 0xFEE0_0000)
    assert not cpu.level
    cpu.lapic.write_msr(APIC_BASE, 0xFEE0_0800)
    assert [cpu.get(offset) for offset in (ID, TPR, SVR, IRR + 0x30)] == [5 << 24, 0, 0xFF, 0]


def test_what_x2apic_mode_keeps():
    cpu = enabled_cpu(0x23)
    for offset, value in ((LDR, 0x0400_0000), (ICR_HIGH, 0x0700_0000), (TPR, 0x35)):
        cpu.set(offset, value)
    cpu.set(LVT_ERROR, 0x77)
    cpu.lapic.write_msr(APIC_BASE, 0xFEE0_0C00)
    assert cpu.rdmsr(LDR) == 0x2_0008
    assert cpu.rdmsr(ICR) == 0
    assert [cpu.rdmsr(offset) for offset in (TPR, LVT_ERROR, SVR)] == [0x35, 0x77, 0x1FF]


def test_a_disabled_apic_hears_nothing_and_its_pins_are_intr_and_nmi():
    cpu = enabled_cpu()
    cpu.lapic.write_msr(APIC_BASE, 0xFEE0_0000)
    cpu.heard.clear()
    for mode in DeliveryMode:
        assert not cpu.lapic.accept(ApicMessage(0x40, mode))
    cpu.lapic.raise_local(Source.THERMAL)
    cpu.lapic.lint1(True)
    cpu.lapic.lint1(True)
    cpu.lapic.lint0(True)
    assert cpu.lapic.pending() == EXTINT
    assert cpu.take() == 0x20
    assert cpu.heard == ["nmi", "inta"]


def test_an_init_keeps_x2apic_mode():
    cpu = x2apic_cpu(3)
    cpu.lapic.init_reset()
    assert cpu.lapic.x2apic_mode
    assert cpu.rdmsr(LDR) == 8


# -- x2APIC Register Address Space, Reserved Bit Checking --------------------------------------

READ_ONLY = {ID, VERSION, PPR, LDR, CURRENT, *range(ISR, ESR, 0x10)}
WRITE_ONLY = {EOI, SELF_IPI}
READ_WRITE = {TPR, SVR, ESR, ICR, INITIAL, DIVIDE, *LVTS}


@pytest.mark.parametrize("number", range(0x100))
def test_which_msrs_there_are(number):
    cpu = x2apic_cpu()
    offset = number << 4
    value = 0x40 if offset == SELF_IPI else 0
    assert (cpu.rdmsr(offset) is not GP) == (offset in READ_ONLY | READ_WRITE)
    assert (cpu.wrmsr(offset, value) is None) == (offset in WRITE_ONLY | READ_WRITE)


@pytest.mark.parametrize("msr", [0x1A, 0x1C, 0x7FF, 0x900])
def test_other_msrs_are_faults(msr):
    lapic = x2apic_cpu().lapic
    assert lapic.read_msr(msr) is GP
    assert lapic.write_msr(msr, 0) is GP


def test_the_msrs_are_faults_outside_of_x2apic_mode():
    cpu = Cpu()
    assert (cpu.rdmsr(TPR), cpu.wrmsr(TPR, 0)) == (GP, GP)


@pytest.mark.parametrize(
    ("offset", "good", "bad"),
    [
        pytest.param(TPR, 0xFF, [0x100], id="TPR"),
        pytest.param(EOI, 0, [1], id="EOI"),
        pytest.param(ESR, 0, [1], id="ESR"),
        pytest.param(SVR, 0x11FF, [0x2000, 0x400], id="SVR"),
        pytest.param(LVT_CMCI, 0x117FF, [0x800, 0x2000, 0x8000], id="CMCI"),
        pytest.param(LVT_TIMER, 0x510FF, [0x100, 0x8_0000], id="timer"),
        pytest.param(LVT_LINT0, 0x1F7FF, [0x800, 0x2_0000], id="LINT0"),
        pytest.param(LVT_ERROR, 0x110FF, [0x100, 0x2_0000], id="error"),
        pytest.param(ICR, 0x1234_5678_000C_C8FF & ~(7 << 8), [0x2000, 0x1_0000, 1 << 20], id="ICR"),
        pytest.param(INITIAL, 0xFFFF_FFFF, [], id="initial count"),
        pytest.param(DIVIDE, 0x0B, [4, 0x10], id="divide"),
        pytest.param(SELF_IPI, 0xFF, [0x100], id="self IPI"),
    ],
)
def test_reserved_bits_are_faults(offset, good, bad):
    cpu = x2apic_cpu()
    assert cpu.wrmsr(offset, good) is None
    assert [cpu.wrmsr(offset, value) for value in bad] == [GP] * len(bad)
    if offset != ICR:
        assert cpu.wrmsr(offset, 1 << 32) is GP


def test_without_cmci_the_entry_is_not_there():
    cpu = x2apic_cpu(cmci=False)
    assert cpu.rdmsr(LVT_CMCI) is GP
    page = enabled_cpu(cmci=False)
    assert page.get(LVT_CMCI) == 0
    page.set(ESR, 0)
    assert page.get(ESR) == ILLEGAL_REGISTER


# -- Task and Processor Priorities -------------------------------------------------------------


@pytest.mark.parametrize(
    ("tpr", "in_service", "ppr"),
    [
        (0x00, None, 0x00),
        (0x35, None, 0x35),
        (0x00, 0x47, 0x40),
        (0x35, 0x47, 0x40),
        (0x45, 0x47, 0x45),
        (0x55, 0x47, 0x55),
        (0x4F, 0x3F, 0x4F),
    ],
)
def test_processor_priority(tpr, in_service, ppr):
    cpu = enabled_cpu()
    if in_service is not None:
        cpu.lapic.accept(fixed(in_service))
        assert cpu.take() == in_service
    cpu.set(TPR, tpr)
    assert cpu.get(PPR) == ppr == cpu.lapic.priority


@pytest.mark.parametrize(
    ("tpr", "requested", "in_service", "apr"),
    [
        (0x55, 0x41, 0x31, 0x55),
        (0x55, 0x61, 0x31, 0x60),
        (0x55, 0x41, 0x51, 0x50),
        (0x55, 0x00, 0x00, 0x55),
        (0x00, 0x41, 0x00, 0x40),
    ],
)
def test_arbitration_priority(tpr, requested, in_service, apr):
    cpu = enabled_cpu()
    for vector in filter(None, (in_service,)):
        cpu.lapic.accept(fixed(vector))
        cpu.take()
    cpu.set(TPR, tpr)
    if requested:
        cpu.lapic.accept(fixed(requested))
    assert cpu.get(APR) == apr


@pytest.mark.parametrize(
    ("tpr", "vector", "taken"),
    [(0x30, 0x3F, False), (0x3F, 0x40, True), (0x0F, 0x10, True), (0xF0, 0xFF, False)],
)
def test_a_vector_needs_a_higher_class(tpr, vector, taken):
    cpu = enabled_cpu()
    cpu.set(TPR, tpr)
    cpu.lapic.accept(fixed(vector))
    assert cpu.level is taken
    assert cpu.lapic.pending() == (vector if taken else None)


def test_nesting():
    cpu = enabled_cpu()
    for vector in (0x41, 0x55, 0x53, 0x61):
        cpu.lapic.accept(fixed(vector))
    assert cpu.take() == 0x61
    assert cpu.take() is None
    cpu.set(EOI, 0)
    assert cpu.take() == 0x55
    cpu.lapic.accept(fixed(0x71))
    assert cpu.take() == 0x71
    assert cpu.bits(ISR) == [0x55, 0x71]
    cpu.set(EOI, 0)
    assert cpu.bits(ISR) == [0x55]
    assert cpu.take() is None  # 53H is of the same class
    cpu.set(EOI, 0)
    assert [cpu.take(), cpu.bits(IRR), cpu.bits(ISR)] == [0x53, [0x41], [0x53]]


def test_one_vector_waits_once_in_irr_and_once_in_isr():
    cpu = enabled_cpu()
    for _ in range(3):
        assert cpu.lapic.accept(fixed(0x41))
    assert cpu.take() == 0x41
    for _ in range(3):
        assert cpu.lapic.accept(fixed(0x41))
    assert [cpu.bits(IRR), cpu.bits(ISR)] == [[0x41], [0x41]]


# -- Interaction of Task Priorities between CR8 and APIC ---------------------------------------


def test_cr8_is_the_class_of_tpr():
    cpu = enabled_cpu()
    cpu.set(TPR, 0x5A)
    assert cpu.lapic.cr8 == 5
    assert cpu.lapic.write_cr8(9) is None
    assert cpu.get(TPR) == 0x90
    assert cpu.lapic.write_cr8(0x10) is GP
    cpu.lapic.accept(fixed(0x95))
    assert not cpu.level
    cpu.lapic.write_cr8(8)
    assert cpu.level


def test_the_owner_may_keep_the_task_priority():
    word, thresholds = [0], []
    cpu = enabled_cpu(task_priority=word, threshold=thresholds.append)
    cpu.set(TPR, 0x57)
    assert word == [0x57]
    cpu.lapic.accept(fixed(0x55))
    cpu.lapic.accept(fixed(0x41))
    assert (thresholds, cpu.level, cpu.lapic.held_back) == ([5], False, 5)
    word[0] = 0x40
    cpu.lapic.task_priority_changed()
    assert (thresholds, cpu.level) == ([5, 0], True)
    assert cpu.take() == 0x55  # in service now, and above the one that is left
    assert (thresholds, cpu.level) == ([5, 0], False)
    cpu.set(EOI, 0)
    assert (thresholds, cpu.level) == ([5, 0, 4], False)
    assert cpu.get(TPR) == 0x40
    cpu.lapic.reset()
    assert (word, thresholds) == ([0], [5, 0, 4, 0])


def test_a_snapshot_has_the_owners_task_priority():
    first, second = Cpu(task_priority=[0]), Cpu(task_priority=[0])
    first.lapic.task_priority[0] = 0x57
    second.lapic.restore(first.lapic.snapshot())
    assert second.lapic.task_priority == [0x57]


@pytest.mark.parametrize("cell", [[], [1, 2], 5, None, ["x"]])
def test_task_priorities_that_are_none(cell):
    with pytest.raises(DeviceError):
        Cpu(task_priority=cell)


# -- Spurious Interrupt ------------------------------------------------------------------------


def test_a_task_priority_raised_in_between_gives_the_spurious_vector():
    cpu = enabled_cpu()
    cpu.set(SVR, ENABLE | 0xEF)
    cpu.lapic.accept(fixed(0x41))
    announced = cpu.lapic.pending()
    cpu.set(TPR, 0x40)
    assert cpu.lapic.acknowledge(announced) == 0xEF
    assert [cpu.bits(ISR), cpu.bits(IRR)] == [[], [0x41]]


def test_acknowledge_takes_what_is_highest_now():
    cpu = enabled_cpu()
    cpu.lapic.accept(fixed(0x41))
    announced = cpu.lapic.pending()
    cpu.lapic.accept(fixed(0x91))
    assert cpu.lapic.acknowledge(announced) == 0x91


# -- Local APIC State After It Has Been Software Disabled --------------------------------------


def test_software_disabling():
    cpu = enabled_cpu()
    cpu.set(LVT_THERMAL, 0x45)
    cpu.lapic.accept(fixed(0x41))
    cpu.set(SVR, 0xFF)
    assert cpu.get(LVT_THERMAL) == MASKED | 0x45
    cpu.set(LVT_THERMAL, 0x46)
    assert cpu.get(LVT_THERMAL) == MASKED | 0x46
    assert not cpu.lapic.accept(fixed(0x42))
    assert cpu.take() == 0x41  # what was accepted is still dispensed
    for mode in (DeliveryMode.NMI, DeliveryMode.SMI, DeliveryMode.INIT, DeliveryMode.SIPI):
        assert cpu.lapic.accept(ApicMessage(0, mode))
    assert cpu.heard == ["nmi", "smi", "init"]  # the BSP does not wait for a SIPI


# -- Signaling Interrupt Servicing Completion --------------------------------------------------


@pytest.mark.parametrize(
    ("svr", "level", "broadcast"),
    [
        pytest.param(ENABLE, False, [], id="edge"),
        pytest.param(ENABLE, True, [("eoi", 0x41)], id="level"),
        pytest.param(ENABLE | 0x1000, True, [], id="suppressed"),
    ],
)
def test_eoi_broadcast(svr, level, broadcast):
    cpu = enabled_cpu()
    cpu.set(SVR, svr | 0xFF)
    cpu.lapic.accept(fixed(0x41, level=level))
    assert cpu.bits(TMR) == [0x41] * level
    cpu.take()
    cpu.set(EOI, 0)
    assert cpu.heard == broadcast
    assert cpu.bits(ISR) == []


def test_an_eoi_of_nothing_does_nothing():
    cpu = enabled_cpu()
    cpu.set(EOI, 0)
    assert cpu.heard == []


def test_an_edge_clears_the_trigger_mode():
    cpu = enabled_cpu()
    cpu.lapic.accept(fixed(0x41, level=True))
    cpu.lapic.accept(fixed(0x41))
    assert cpu.bits(TMR) == []


# -- Error Handling ----------------------------------------------------------------------------


def test_errors_are_seen_after_a_write():
    cpu = enabled_cpu()
    assert cpu.get(0x10) == 0
    assert cpu.get(ESR) == 0
    cpu.set(ESR, 0)
    assert cpu.get(ESR) == ILLEGAL_REGISTER
    cpu.set(ESR, 0x1234)
    assert cpu.get(ESR) == 0


@pytest.mark.parametrize("offset", [0x000, 0x010, 0x040, 0x0C0, 0x290, 0x3F0, 0x400, 0xFF0])
def test_illegal_registers(offset):
    for access in (Cpu.get, lambda cpu, where: cpu.set(where, 0)):
        cpu = Cpu()
        access(cpu, offset)
        cpu.set(ESR, 0)
        assert cpu.get(ESR) == ILLEGAL_REGISTER


@pytest.mark.parametrize(
    ("provoke", "error"),
    [
        pytest.param(lambda cpu: cpu.ipi(SELF | 0x0F), SEND_ILLEGAL, id="IPI"),
        pytest.param(lambda cpu: cpu.ipi(SELF | 0x10F), SEND_ILLEGAL, id="lowest priority IPI"),
        pytest.param(lambda cpu: cpu.lapic.accept(fixed(0x0F)), RECEIVE_ILLEGAL, id="message"),
        pytest.param(
            lambda cpu: (cpu.set(LVT_THERMAL, 5), cpu.lapic.raise_local(Source.THERMAL)),
            RECEIVE_ILLEGAL,
            id="LVT",
        ),
        pytest.param(
            lambda cpu: (cpu.set(LVT_LINT0, LEVEL | 5), cpu.lapic.lint0(True)),
            RECEIVE_ILLEGAL,
            id="level",
        ),
    ],
)
def test_illegal_vectors(provoke, error):
    cpu = enabled_cpu()
    provoke(cpu)
    cpu.set(ESR, 0)
    assert cpu.get(ESR) == error
    assert cpu.bits(IRR) == []
    assert not cpu.get(LVT_LINT0) & 0x4000


def test_a_self_ipi_with_an_illegal_vector():
    cpu = x2apic_cpu()
    assert cpu.wrmsr(SELF_IPI, 7) is None
    cpu.wrmsr(ESR, 0)
    assert cpu.rdmsr(ESR) == SEND_ILLEGAL | RECEIVE_ILLEGAL


def test_the_error_interrupt_is_armed_by_writing_esr():
    cpu = enabled_cpu()
    cpu.set(LVT_ERROR, 0xFE)
    cpu.get(0x10)
    assert cpu.take() == 0xFE
    cpu.set(EOI, 0)
    cpu.get(0x10)
    assert cpu.take() is None
    cpu.set(ESR, 0)
    cpu.get(0x10)
    assert cpu.take() == 0xFE


def test_an_error_entry_with_an_illegal_vector_is_one_more_error():
    cpu = enabled_cpu()
    cpu.set(LVT_ERROR, 0x03)
    cpu.get(0x10)
    cpu.set(ESR, 0)
    assert cpu.get(ESR) == ILLEGAL_REGISTER | RECEIVE_ILLEGAL


# -- Local Vector Table ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "offset"),
    [(Source.THERMAL, LVT_THERMAL), (Source.PMC, LVT_PMC), (Source.CMCI, LVT_CMCI)],
)
@pytest.mark.parametrize(
    ("entry", "heard", "vector"),
    [
        pytest.param(0x45, [], 0x45, id="fixed"),
        pytest.param(SMI_MODE, ["smi"], None, id="SMI"),
        pytest.param(NMI_MODE, ["nmi"], None, id="NMI"),
        pytest.param(MASKED | 0x45, [], None, id="masked"),
        pytest.param(EXTINT_MODE, [], None, id="ExtINT has no meaning here"),
        pytest.param(0x300 | 0x45, [], None, id="reserved"),
    ],
)
def test_internal_sources(source, offset, entry, heard, vector):
    cpu = enabled_cpu()
    cpu.set(offset, entry)
    cpu.lapic.raise_local(source)
    assert (cpu.heard, cpu.take()) == (heard, vector)
    masked = entry | MASKED if source is Source.PMC else entry
    assert cpu.get(offset) == masked
    assert cpu.bits(TMR) == []


@pytest.mark.parametrize("source", [Source.TIMER, Source.LINT0, Source.LINT1, Source.ERROR])
def test_sources_that_act_by_themselves(source):
    with pytest.raises(DeviceError, match="no source"):
        Cpu().lapic.raise_local(source)


def test_a_cmci_needs_its_entry():
    with pytest.raises(DeviceError, match="no source"):
        Cpu(cmci=False).lapic.raise_local(Source.CMCI)


@pytest.mark.parametrize(("offset", "pin"), [(LVT_LINT0, "lint0"), (LVT_LINT1, "lint1")])
@pytest.mark.parametrize(
    ("entry", "heard", "vector"),
    [
        pytest.param(0x45, [], 0x45, id="fixed"),
        pytest.param(NMI_MODE, ["nmi"], None, id="NMI"),
        pytest.param(NMI_MODE | LEVEL, ["nmi"], None, id="NMI is an edge always"),
        pytest.param(SMI_MODE, ["smi"], None, id="SMI"),
        pytest.param(INIT_MODE, ["init"], None, id="INIT"),
        pytest.param(EXTINT_MODE, ["inta"], 0x20, id="ExtINT"),
        pytest.param(MASKED | NMI_MODE, [], None, id="masked"),
        pytest.param(MASKED | EXTINT_MODE, [], None, id="masked ExtINT"),
    ],
)
def test_pins(offset, pin, entry, heard, vector):
    cpu = enabled_cpu()
    cpu.set(offset, entry)
    getattr(cpu.lapic, pin)(True)
    getattr(cpu.lapic, pin)(True)
    assert cpu.take() == vector
    assert cpu.heard == heard


def test_an_edge_needs_a_change():
    cpu = enabled_cpu()
    cpu.lapic.lint1(True)
    cpu.set(LVT_LINT1, 0x45)
    assert cpu.take() is None
    cpu.lapic.lint1(False)
    cpu.lapic.lint1(True)
    assert cpu.take() == 0x45


def test_a_level_on_lint0_repeats_after_its_eoi():
    cpu = enabled_cpu()
    cpu.set(LVT_LINT0, LEVEL | 0x45)
    cpu.lapic.lint0(True)
    assert cpu.get(LVT_LINT0) == LEVEL | 0x4045
    assert cpu.take() == 0x45
    assert cpu.take() is None
    cpu.set(EOI, 0)
    assert cpu.take() == 0x45
    cpu.lapic.lint0(False)
    cpu.set(EOI, 0)
    assert (cpu.take(), cpu.get(LVT_LINT0)) == (None, LEVEL | 0x45)


def test_another_eoi_does_not_end_the_level():
    cpu = enabled_cpu()
    cpu.set(LVT_LINT0, LEVEL | 0x45)
    cpu.lapic.lint0(True)
    assert cpu.take() == 0x45
    cpu.lapic.accept(fixed(0x91))
    assert cpu.take() == 0x91
    cpu.set(EOI, 0)
    assert cpu.get(LVT_LINT0) & 0x4000
    assert cpu.bits(IRR) == []


def test_unmasking_an_asserted_level():
    cpu = enabled_cpu()
    cpu.set(LVT_LINT0, MASKED | LEVEL | 0x45)
    cpu.lapic.lint0(True)
    assert not cpu.level
    cpu.set(LVT_LINT0, LEVEL | 0x45)
    assert cpu.take() == 0x45


def test_lint1_takes_edges_only():
    cpu = enabled_cpu()
    cpu.set(LVT_LINT1, LEVEL | 0x45)
    cpu.lapic.lint1(True)
    assert cpu.take() == 0x45
    cpu.set(EOI, 0)
    assert cpu.take() is None


def test_edge_mode_ends_remote_irr():
    cpu = enabled_cpu()
    cpu.set(LVT_LINT0, LEVEL | 0x45)
    cpu.lapic.lint0(True)
    cpu.set(LVT_LINT0, 0x45)
    assert cpu.get(LVT_LINT0) == 0x45


# -- ExtINT ------------------------------------------------------------------------------------


def test_the_mark_is_no_vector():
    assert EXTINT not in range(256)


def test_an_external_interrupt_knows_no_priority():
    cpu = enabled_cpu()
    cpu.set(LVT_LINT0, EXTINT_MODE)
    cpu.set(TPR, 0xFF)
    cpu.lapic.accept(fixed(0xF1))
    cpu.lapic.lint0(True)
    assert cpu.lapic.pending() == EXTINT
    assert cpu.take() == 0x20
    assert cpu.bits(ISR) == []
    cpu.lapic.lint0(False)
    assert not cpu.level


def test_an_external_interrupt_that_went_away():
    cpu = enabled_cpu()
    cpu.set(LVT_LINT0, EXTINT_MODE)
    cpu.lapic.lint0(True)
    cpu.lapic.lint0(False)
    assert cpu.lapic.acknowledge(EXTINT) == 0xFF
    assert cpu.heard == []


def test_an_extint_message_is_taken_once():
    cpu = enabled_cpu()
    cpu.lapic.accept(ApicMessage(0, DeliveryMode.EXTINT))
    assert cpu.take() == 0x20
    assert cpu.take() is None


def test_the_pic_may_drop_its_line_while_it_is_asked():
    def answer():
        lapic.lint0(False)
        return 0x33

    lapic = Lapic(9, lambda: 0, pic_acknowledge=answer, bsp=True)
    lapic.write(None, SVR, 4, 0x1FF)
    lapic.write(None, LVT_LINT0, 4, EXTINT_MODE)
    lapic.lint0(True)
    assert lapic.acknowledge(lapic.pending()) == 0x33
    assert lapic.pending() is None


# -- INIT and SIPI -----------------------------------------------------------------------------


def test_a_start_up_message_is_heard_once():
    cpu = Cpu(1)
    sipi = ApicMessage(0x9A, DeliveryMode.SIPI)
    assert cpu.lapic.waits_for_sipi
    assert cpu.lapic.accept(sipi)
    assert cpu.lapic.accept(sipi)
    assert cpu.heard == [("sipi", 0x9A)]
    assert not cpu.lapic.waits_for_sipi
    cpu.lapic.accept(ApicMessage(0, DeliveryMode.INIT))
    cpu.lapic.accept(sipi)
    assert cpu.heard[1:] == ["init", ("sipi", 0x9A)]


def test_init_on_the_bootstrap_processor_waits_for_nothing():
    cpu = Cpu()
    cpu.lapic.init_reset()
    assert not cpu.lapic.waits_for_sipi


# -- SELF IPI Register -------------------------------------------------------------------------


def test_self_ipi():
    cpu = x2apic_cpu()
    for vector in (0x10, 0x77):
        assert cpu.wrmsr(SELF_IPI, vector) is None
        assert cpu.take() == vector
    for _ in range(2):
        cpu.wrmsr(EOI, 0)
    cpu.wrmsr(SVR, 0xFF)
    cpu.wrmsr(SELF_IPI, 0x78)
    assert cpu.take() is None


# -- The owner's side --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"apic_id": -1},
        {"apic_id": 0xFFFF_FFFF},
        {"apic_id": "0"},
        {"clock": 5},
        {"clock": lambda: 0, "send": 1},
        {"bsp": 1},
        {"x2apic": "no"},
        {"address_bits": 31},
        {"timer_hz": 0},
        {"tsc_hz": 1.5},
    ],
)
def test_wrong_configuration(config):
    with pytest.raises(DeviceError):
        Lapic(**{"apic_id": 0, "clock": lambda: 0, **config})


def busy_cpu():
    """Something in every register."""
    cpu = enabled_cpu(3)
    cpu.now = 100
    for offset, value in (
        (TPR, 0x35),
        (LDR, 0x0200_0000),
        (DFR, 0),
        (LVT_TIMER, 0x2_0040),
        (LVT_LINT0, LEVEL | 0x45),
        (LVT_LINT1, NMI_MODE),
        (LVT_ERROR, 0xFE),
        (DIVIDE, 3),
        (INITIAL, 1000),
    ):
        cpu.set(offset, value)
    cpu.lapic.accept(fixed(0x51, level=True))
    cpu.take()
    cpu.lapic.lint0(True)
    cpu.lapic.accept(fixed(0x61))
    cpu.get(0x10)
    cpu.ipi(0x40, 9)
    return cpu


def test_snapshot_and_restore():
    cpu = busy_cpu()
    saved = pickle.loads(pickle.dumps(cpu.lapic.snapshot()))
    other = Cpu(3)
    other.now = 100
    other.lapic.restore(saved)
    assert other.lapic.snapshot() == saved
    assert other.lapic.registers() == cpu.lapic.registers()
    assert other.level
    for one in (cpu, other):
        one.now = 10**6
        one.lapic.advance()
    assert other.lapic.snapshot() == cpu.lapic.snapshot()


def test_restoring_tells_where_the_page_is():
    cpu = Cpu()
    cpu.lapic.restore(attrs.evolve(cpu.lapic.snapshot(), apic_base=0xFED0_0800))
    assert cpu.heard == [("page", 0xFED0_0000)]


@pytest.mark.parametrize(
    "change",
    [
        {"apic_base": 0xFEE0_0400},
        {"apic_base": 0xFEE0_0001},
        {"tpr": 0x100},
        {"tpr": None},
        {"irr": 1},
        {"isr": 1 << 256},
        {"icr": 1 << 64},
        {"lvt": (MASKED,) * 6},
        {"lvt": (0,) * 7},
        {"lvt": [MASKED] * 7},
        {"lvt": (MASKED | 0x4000,) * 7},
        {"svr": 0x800},
        {"errors": 1},
        {"tsc_deadline": 5},
        {"timer_running": True},
        {"timer_running": True, "initial_count": 5, "timer_first": 6},
        {"timer_origin": -1},
        {"timer_reported": 0.5},
        {"extint": 1},
        {"lines": 4},
    ],
    ids=str,
)
def test_wrong_snapshots(change):
    cpu = Cpu()
    before = cpu.lapic.snapshot()
    with pytest.raises(DeviceError):
        cpu.lapic.restore(attrs.evolve(before, **change))
    assert cpu.lapic.snapshot() == before


def test_restoring_one_apic_sends_nothing():
    """What waits for a processor that is not restored yet must not reach its old state."""
    bus = ApicBus()
    first, second = enabled_cpu(0, bus), Cpu(1, bus)
    pins = Pins(bus)
    pins.program(4, 0x41, 1)
    bus.line(4)(True)
    saved = [first.lapic.snapshot(), second.lapic.snapshot(), pins.ioapic.snapshot()]
    second.set(SVR, 0x1FF)
    pins.ioapic.restore(saved[2])
    first.lapic.restore(saved[0])
    second.lapic.restore(saved[1])
    assert pins.ioapic.snapshot() == saved[2]
    second.set(SVR, 0x1FF)
    assert second.take() == 0x41


def test_a_snapshot_in_a_mode_that_is_missing():
    saved = x2apic_cpu().lapic.snapshot()
    with pytest.raises(DeviceError, match="x2APIC"):
        Cpu(x2apic=False).lapic.restore(saved)
    with pytest.raises(DeviceError, match="no LapicSnapshot"):
        Cpu().lapic.restore(None)


def test_the_default_snapshot_is_a_processor_after_init():
    cpu = Cpu(1)
    cpu.lapic.accept(ApicMessage(0, DeliveryMode.SIPI))
    assert cpu.lapic.snapshot() == LapicSnapshot()


def test_looking_changes_nothing():
    cpu = busy_cpu()
    before = cpu.lapic.snapshot()
    shown = cpu.lapic.registers()
    assert (shown["PPR"], shown["IRR"] >> 0x61 & 1, shown["ICR"]) == (0x50, 1, 9 << 56 | 0x40)
    assert repr(cpu.lapic).startswith("<Lapic 3 xAPIC TPR=35 PPR=50 SVR=1ff IRR=")
    assert cpu.lapic.snapshot() == before


def test_an_exception_out_of_a_callable_leaves_the_rest_done():
    def fail(*_):
        raise RuntimeError("owner")

    heard = []
    lapic = Lapic(1, lambda: 0, interrupt=fail, init=lambda: heard.append("init"), bsp=True)
    lapic.write(None, SVR, 4, 0x1FF)
    with pytest.raises(RuntimeError):
        lapic.accept(fixed(0x41))
    with pytest.raises(RuntimeError):
        lapic.init_reset()
    assert heard == ["init"]
    assert lapic.pending() is None


def test_msr_of_the_deadline_is_zero_outside_of_its_mode():
    cpu = Cpu()
    assert cpu.lapic.write_msr(TSC_DEADLINE, 5) is None
    assert cpu.lapic.read_msr(TSC_DEADLINE) == 0
