# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Parts of a platform that contradict each other: the error names both."""

import pytest

from vmmkit.acpi.platform.claims import Ranges
from vmmkit.acpi.platform.isa import Uart
from vmmkit.acpi.platform.pci_host import PciHost
from vmmkit.acpi.platform.power import PowerButton, Reset
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.values import Cpu, Ecam, IoApicRange, MemoryRange, Numa, SmiCommand
from vmmkit.acpi.tables.fadt import RegisterBlock, RegisterBlocks
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.spec import Spec
from vmmkit.errors import AcpiError, PlatformError, VmmkitError


def mem(base, size):
    return {"windows": {"mem": [(base, size)]}}


def io(*ranges):
    return {"windows": {"io": ranges}}


MEMORY = MemoryRange(0, 1 << 20)
SECOND = PciHost({}, ecam=Ecam(0xA000_0000, last_bus=3), name="PCI1", config_ports=False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            mem(0xA000_0000, 0x2000_0000),
            (
                "the ECAM window of segment 0 at 0xb0000000 to 0xbfffffff and a memory window of "
                "PCI0 at 0xa0000000 to 0xbfffffff overlap in memory"
            ),
        ),
        (
            mem(0xC000_0000, 0x3EC0_0001),
            (
                "a memory window of PCI0 at 0xc0000000 to 0xfec00000 and the I/O APIC 0 at "
                "0xfec00000 to 0xfec00fff overlap in memory"
            ),
        ),
        (mem(0xFEE0_0000, 0x10), "PCI0 at 0xfee00000 to 0xfee0000f and the local APICs at"),
        (mem(0xFED0_0200, 0x10), "the timer HPET at 0xfed00000 to 0xfed003ff and a memory window"),
        (
            {"windows": {"mem": [(0xC000_0000, 0x1000), (0xC000_0800, 0x1000)]}},
            "a memory window of PCI0 at 0xc0000800 to 0xc00017ff and a memory window of PCI0 at",
        ),
        (io((0x1000, 0x10), (0x1008, 8)), "an I/O window of PCI0 at 0x1008 to 0x100f and an I/O"),
        (
            io((0, 0x1_0000)),
            (
                "the configuration ports of PCI0 at 0xcf8 to 0xcff and an I/O window of PCI0 at "
                "0x0 to 0xffff overlap in the I/O ports that host bridges let through"
            ),
        ),
        ({"ecam": Ecam(0x1_0000_0000)}, "at 0x100000000 leads beyond 4 GiB, which Linux ignores"),
        ({"ecam": Ecam(0xF000_0000)}, "the ECAM window of segment 0 at 0xf0000000 to 0xffffffff"),
        ({"smi": 0xB2}, "smi is a SmiCommand or None, not 178"),
        ({"reset": 0xCF9}, "reset is a Reset or None, not 3321"),
        ({"numa": 2}, "numa is a Numa or None, not 2"),
        ({"io_apics": 1}, "io_apics is a list of IoApicRange, not 1"),
        ({"io_apics": [(0xFEC0_0000, 0)]}, "io_apics is a list of IoApicRange, not "),
        ({"routing": 5}, "routing is a list of (device, pin, GSI), not 5"),
        ({"tables": [b"SSDT"]}, "tables is a list of tables, not [b'SSDT']; from_bytes makes them"),
        ({"tables": b"SSDT"}, "tables is a list of tables, not b'SSDT'"),
        ({"spec": "6.5"}, "spec is a Spec such as Spec.V6_5, not '6.5'"),
        ({"devices": Uart()}, "devices are a list, not Uart("),
        ({"isa_devices": 5}, "devices are a list, not 5"),
        ({"pci_devices": None}, "devices are a list, not None"),
        ({"devices": [Uart]}, "the class Uart is given; a device is an object of it"),
        ({"devices": [SECOND]}, "at 0xb0000000 and 0xa0000000 have buses of segment 0 in common"),
        ({"routing": [(1, 0, 24)]}, "the routing of PCI0 has GSI 24; the I/O APICs have 0 to 23"),
        ({"routing": [(1, 0, 2)], "pci_devices": ()}, "GSI 2 is edge triggered for TIMR and level"),
        ({"routing": [(1, 0, 4)]}, "GSI 4 is edge triggered for COM1 and level triggered for the"),
        ({"sci": 24}, "the SCI has GSI 24; the I/O APICs have 0 to 23"),
        ({"sci": -1}, "the SCI has GSI -1; the I/O APICs have 0 to 23"),
        ({"sci": "9"}, "the SCI has GSI '9'; the I/O APICs have 0 to 23"),
        ({"sci": 8}, "GSI 8 is edge triggered for RTC and level triggered for the SCI"),
        ({"io_apics": ()}, "the SCI has GSI 9; the I/O APICs have none"),
        ({"pm_base": 0x610}, "is 0x610, not a multiple of 0x80"),
        (
            {"isa_devices": [Uart(0x608)]},
            "COM1 at 0x608 to 0x60f and the register block pm_tmr at 0x608 to 0x60b overlap",
        ),
        ({"smi": SmiCommand(0x604)}, "the SMI command port at 0x604 to 0x604 and the register"),
        ({"s5": 9}, "the sleep type of S5 is 0x9"),
        (
            {"io_apics": [IoApicRange(), IoApicRange(0xFEC1_0000, 23, io_apic_id=1)]},
            "the I/O APICs at 0xfec00000 and 0xfec10000 both have GSI 23",
        ),
        (
            {"io_apics": [IoApicRange(), IoApicRange(0xFEC1_0000, 24)]},
            "the I/O APICs at 0xfec00000 and 0xfec10000 both have id 0",
        ),
        (
            {"io_apics": [IoApicRange(), IoApicRange(0xFEC0_0800, 24, io_apic_id=1)]},
            "the I/O APIC 1 at 0xfec00800 to 0xfec017ff and the I/O APIC 0 at",
        ),
        ({"local_apic": 1 << 32}, "the address of the local APICs is 0x100000000"),
        ({"local_apic": 0xFEC0_0000}, "the I/O APIC 0 at 0xfec00000 to 0xfec00fff and the local"),
        ({"redirected": {16: 20}}, "an ISA interrupt that is redirected is 0x10"),
        ({"redirected": {0: 2, 1: 2}}, "two ISA interrupts are redirected to GSI 2"),
        ({"redirected": {0: -1}}, "the GSI of ISA interrupt 0 is -0x1"),
        ({"redirected": {0: 2, 9: 20}}, "the SCI has GSI 9, but ISA interrupt 9 is redirected"),
        (
            {"reset": Reset(Gas.mem(0xFED0_0010, 8), 1)},
            "the timer HPET at 0xfed00000 to 0xfed003ff and the reset register at 0xfed00010",
        ),
        (
            {"devices": [PciHost({}, name="PCI1", config_ports=False, first_bus=0x80)]},
            "PCI1 at 0x80 to 0xff and PCI0 at 0x0 to 0xff overlap in the buses of segment 0",
        ),
        ({"fadt": {"century": 0x33}}, "FADT: century is 51 for one and 50 for another"),
        ({"fadt": {"smi_cmd": 0xB3}}, "the FADT's smi_cmd follows from another argument"),
        ({"fadt": {"x_pm1a_cnt_blk": 0}}, "the FADT's x_pm1a_cnt_blk follows from another"),
        ({"fadt": {"gpe0_blk_len": 4}}, "the FADT's gpe0_blk_len follows from another"),
        ({"fadt": {"flags": "all"}}, "FADT: flags is 'all', not a number"),
        ({"numa": [MEMORY]}, "numa is a Numa or None, not [MemoryRange("),
        (
            {"numa": Numa([MEMORY], host_bridge=7)},
            "the host bridge is in proximity domain 7, where no processor and no memory is",
        ),
        (
            {"cpus": [Cpu(0), Cpu(3, enabled=False, online_capable=True)], "spec": Spec.V6_2},
            "the processor with APIC id 3 is online capable, which tables can say since ACPI 6.3",
        ),
        ({"cpus": True}, "processors are a number or Cpu objects, not True"),
        ({"windows": {"mem": 5}}, "a memory window is a list of pairs of base and size, not 5"),
        (
            {"redirected": {0: 2, 8: 30}},
            "the redirected ISA interrupt 8 has GSI 30; the I/O APICs have 0 to 23",
        ),
    ],
)
def test_full_hardware(values, message):
    with pytest.raises(PlatformError) as caught:
        q35_like(**values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reset": Reset(Gas.mem(0xFEA0_0200, 8))}, "the reset register at 0xfea00200 to"),
        ({"reset": Reset(Gas.io(0x3F9))}, "COM1 at 0x3f8 to 0x3ff and the reset register at 0x3f9"),
        ({"event_selector": 0xFEA0_0200}, "the event selector at 0xfea00200 to 0xfea00203 and the"),
        ({"devices": [Uart(interrupt=9)]}, "edge triggered for the generic event device and edge"),
        (mem(0xFEA0_0000, 0x1000), "and the reset register at 0xfea00202 to 0xfea00202 overlap"),
        ({"sleep": 0xFEA0_0200}, "sleep is a SleepRegisters or None, not 4271899136"),
        ({"reset": 0xCF9}, "reset is a Reset or None, not 3321"),
        ({"event_selector": None}, "has bits 0x2 of an event selector, and the platform has none"),
    ],
)
def test_reduced_hardware(values, message):
    with pytest.raises(PlatformError) as caught:
        reduced(**values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IoApicRange(1 << 32), "the address of an I/O APIC is 0x100000000"),
        (lambda: Numa(5), "the memory of proximity domains is a list of MemoryRange, not 5"),
        (lambda: Numa([(0, 1 << 30)]), "is a list of MemoryRange, not [(0, 1073741824)]"),
        (lambda: IoApicRange(inputs=0), "an I/O APIC without inputs"),
        (lambda: IoApicRange(inputs=241), "the number of inputs of an I/O APIC is 0xf1"),
        (lambda: IoApicRange(first_gsi=1 << 32), "the first GSI of an I/O APIC is 0x100000000"),
        (lambda: IoApicRange(io_apic_id=256), "the id of an I/O APIC is 0x100"),
    ],
)
def test_values(make, message):
    with pytest.raises(PlatformError) as caught:
        make()
    assert message in str(caught.value)


def test_unknown_option_is_a_mistake_of_the_program():
    with pytest.raises(TypeError, match="cpu_count"):
        q35_like(cpu_count=2)


def test_errors_are_of_the_block():
    with pytest.raises(AcpiError) as caught:
        q35_like(cpus=0)
    assert isinstance(caught.value, VmmkitError)
    assert isinstance(caught.value, ValueError)


def test_ranges_of_any_order():
    ranges = Ranges("space", 100)
    for base, size in ((50, 10), (0, 10), (90, 10), (60, 30), (10, 40)):
        ranges.claim(f"part {base}", base, size)
    for base in range(100):
        with pytest.raises(PlatformError, match="overlap in space"):
            ranges.claim("late", base, 1)
    with pytest.raises(PlatformError, match="the base of late is 0x64"):
        ranges.claim("late", 100, 1)


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        ([5], "is a list of MemoryRange, not [5]"),
        (5, "is a list of MemoryRange, not 5"),
        (
            [MemoryRange(1 << 20, 1 << 20, 1), MemoryRange(0, (1 << 20) + 1)],
            "0x100001 bytes of memory of proximity domain 0 at 0x0 lie over those of domain 1",
        ),
    ],
)
def test_memory_of_proximity_domains(memory, message):
    with pytest.raises(PlatformError) as caught:
        Numa(memory)
    assert message in str(caught.value)


def test_events_that_no_block_has():
    """The second block begins at 20H, so there is none from 10H on; names end at FFH."""
    registers = RegisterBlocks(
        RegisterBlock.io(0x600, 4),
        RegisterBlock.io(0x604, 2),
        gpe0=RegisterBlock.io(0x700, 4),
        gpe1=RegisterBlock.io(0x800, 250),
        gpe1_base=0x20,
    )
    for event in (0, 0xF, 0x20, 0xFF):
        q35_like(power_registers=registers, devices=[PowerButton(gpe=event)])
    for event in (0x10, 0x1F, 0x100, -1):
        with pytest.raises(PlatformError, match=f"event {event} does not exist: there are 240"):
            q35_like(power_registers=registers, devices=[PowerButton(gpe=event)])
