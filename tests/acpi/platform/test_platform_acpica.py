# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ACPICA on whole platforms: every table taken apart and compiled again, every object evaluated."""

import uuid

import pytest

from acpi import acpica
from acpi.platform_view import View
from vmmkit.acpi.platform.generation_id import GenerationId, generation_id_blob
from vmmkit.acpi.platform.isa import Ps2Keyboard, Ps2Mouse, Uart
from vmmkit.acpi.platform.pci_host import PciHost
from vmmkit.acpi.platform.power import PowerButton
from vmmkit.acpi.platform.q35 import Q35_ISA_DEVICES, q35_like
from vmmkit.acpi.platform.qemu import FwCfg, Pvpanic
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.tpm import Tpm
from vmmkit.acpi.platform.values import Cpu, Ecam, MemoryRange, Numa
from vmmkit.acpi.platform.virtio_mmio import VirtioMmio
from vmmkit.acpi.relocation import Blob

ROUTING = [(device, pin, 16 + (device + pin) % 8) for device in range(32) for pin in range(4)]


def everything():
    second = PciHost(
        {"mem": [(0x9000_0000, 0x1000_0000), (1 << 40, 1 << 30)]},
        ecam=Ecam(0xA000_0000, segment=1),
        name="PCI1",
        config_ports=False,
        hot_added=True,
        proximity_domain=1,
    )
    return q35_like(
        cpus=[Cpu(0), Cpu(1), Cpu(300, enabled=False), Cpu(1000, proximity_domain=1)],
        numa=Numa(
            [MemoryRange(0, 1 << 31), MemoryRange(1 << 32, 1 << 30, 1)], [[10, 20], [20, 10]]
        ),
        isa_devices=[
            *(device for device in Q35_ISA_DEVICES if not isinstance(device, Uart)),
            *(Uart(console=True), Uart(0x2F8, 3, debug=True)),
            *(Ps2Keyboard(), Ps2Mouse(), Pvpanic()),
        ],
        devices=[
            second,
            FwCfg(),
            Tpm(log=Blob(bytes(4096), "etc/tpm/log")),
            GenerationId(generation_id_blob(uuid.UUID(int=1)), gpe=5),
            PowerButton(gsi=10),
        ],
    )


def small():
    return reduced(
        cpus=3,
        windows={"io": [(0, 0x1_0000)], "mem": [(0xC000_0000, 0x2000_0000)]},
        routing=ROUTING,
        ecam=Ecam(0xE000_0000),
        devices=[Uart(0x3F8, 13), *(VirtioMmio(0xFEB0_0000 + 512 * n, n) for n in (10, 11, 12))],
    )


PLATFORMS = {
    "q35": lambda: q35_like(cpus=2),
    "everything": everything,
    "reduced": reduced,
    "small": small,
}


@pytest.fixture(scope="module", params=PLATFORMS)
def view(request):
    return View(PLATFORMS[request.param]())


def test_tables_come_back_from_iasl(view):
    templates = sum(path.endswith("._CRS") for path in view.paths)
    for name, data in view.bytes.items():
        if not name.startswith("etc/"):
            acpica.assert_roundtrip(data, templates=templates if name == "DSDT" else 0)


def test_objects_evaluate(view):
    commands = ["predefined", "test predefined", "integrity"]
    output = acpica.acpiexec(commands, view.bytes["DSDT"])
    predefined = [path for path in view.paths if path.rsplit("\\", 1)[-1].split(".")[-1][0] == "_"]
    for path in predefined:
        assert path in output or path.split(".")[-1][:2] in {"_E", "_L"}
    for device in {path.removesuffix("._CRS") for path in view.paths if path.endswith("._CRS")}:
        resources = acpica.evaluate(view.bytes["DSDT"], f"{device}._CRS")
        assert resources == view.value(f"{device}._CRS")
