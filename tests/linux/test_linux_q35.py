# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Linux on QEMU's q35 with the tables of `vmmkit.acpi.platform.q35_like`.

Each guest takes two to five seconds. Run with `make acpi-linux`.
"""

from __future__ import annotations

import pytest

from linux.boards import PM_BASE, PM_BASE_SCRIPTED, Q35, RAM
from linux.boots import Boot
from linux.judgement import Judgement
from vmmkit.acpi.platform.assembly import Platform
from vmmkit.acpi.platform.isa import Uart
from vmmkit.acpi.platform.pirq_links import PirqLinks
from vmmkit.acpi.platform.q35 import Q35_ISA_DEVICES, q35_like, q35_routing
from vmmkit.acpi.platform.values import Cpu, MemoryRange, Numa

pytestmark = pytest.mark.linux

BOOTS = (
    Boot("poweroff", cpus=2, ending="poweroff", button=True),
    Boot("ECAM by PNP0C02", cpus=4, ending="reboot", hide_e820=True),
    Boot("linked by SeaBIOS", cpus=2, ending="reboot", scripted=True, button=True),
    Boot("linked by OVMF", cpus=2, ending="poweroff", scripted=True, uefi=True, button=True),
    Boot("PIC by link devices", cpus=1, ending="poweroff", pic=True),
    Boot("12 processors, MSI", cpus=12, ending="poweroff", msi=True),
    Boot("2 nodes, SPCR", cpus=4, ending="poweroff", nodes=2),
)


def q35_platform(boot: Boot) -> Platform:
    """Return the preset, told what QEMU and its firmware make of this boot."""
    pm_base = PM_BASE_SCRIPTED if boot.scripted else PM_BASE
    if boot.pic:
        links = PirqLinks()
        pic_routing = links.routing(q35_routing())
        isa = [*Q35_ISA_DEVICES, links]
        return q35_like(pm_base=pm_base, pic_routing=pic_routing, isa_devices=isa)
    if boot.nodes == 1:
        return q35_like(cpus=boot.cpus, pm_base=pm_base)
    each, ram = boot.cpus // boot.nodes, (RAM << 20) // boot.nodes
    cpus = [Cpu(number, proximity_domain=number // each) for number in range(boot.cpus)]
    memory = [MemoryRange(node * ram, ram, node) for node in range(boot.nodes)]
    others = [device for device in Q35_ISA_DEVICES if not isinstance(device, Uart)]
    return q35_like(
        cpus=cpus,
        numa=Numa(memory, ((10, 21), (21, 10))),
        isa_devices=[*others, Uart(console=True)],
        pm_base=pm_base,
    )


@pytest.fixture(scope="module", params=BOOTS, ids=lambda boot: f"{Q35.name} {boot.name}")
def booted(request, boot_linux):
    return boot_linux(request.param, Q35, q35_platform(request.param))


class TestQ35(Judgement):
    def test_power_management_timer(self, booted):
        base = PM_BASE_SCRIPTED if booted.boot.scripted else PM_BASE
        assert booted.report.lines(f"ACPI: PM-Timer IO Port: {base + 8:#x}")

    def test_nodes(self, booted):
        """Processors and distances by SRAT and SLIT; without them all is one node."""
        cpus = booted.boot.cpus
        wanted = {
            1: f"node0 0-{cpus - 1} 10" if cpus > 1 else "node0 0 10",
            2: "node0 0-1 10 21\nnode1 2-3 21 10",
        }
        assert booted.report["nodes"] == wanted[booted.boot.nodes]

    def test_node_of_the_root_bus(self, booted):
        assert booted.report["root_bus_node"] == ("0" if booted.boot.nodes > 1 else "-1")

    def test_console_of_spcr(self, booted):
        console = booted.report.lines("SPCR: console: uart,io,0x3f8,115200")
        assert bool(console) == ("SPCR" in booted.report.tables) == (booted.boot.nodes > 1)
