# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Linux on QEMU's microvm with the tables of `vmmkit.acpi.platform.reduced`.

Nothing on this machine but the tables says where the PCI bus is, and its firmware gives no BAR an
address: what the guest finds and assigns, it does by `_CRS`, MCFG and `_PRT`.
"""

from __future__ import annotations

import pytest

from linux.boards import IO_APICS, MICROVM, VIRTIO_MMIO, VIRTIO_MMIO_GSI
from linux.boots import Boot
from linux.judgement import Judgement
from vmmkit.acpi.platform.isa import Rtc, Uart
from vmmkit.acpi.platform.qemu import FwCfg
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.values import Ecam, IoApicRange
from vmmkit.acpi.platform.virtio_mmio import VirtioMmio

pytestmark = pytest.mark.linux

BOOTS = (
    Boot("poweroff", cpus=2, ending="poweroff", button=True),
    Boot("reboot", cpus=4, ending="reboot"),
)


@pytest.fixture(scope="module", params=BOOTS, ids=lambda boot: f"{MICROVM.name} {boot.name}")
def booted(request, boot_linux):
    boot = request.param
    platform = reduced(
        cpus=boot.cpus,
        windows={"io": MICROVM.io_windows, "mem": MICROVM.windows},
        routing=MICROVM.routing(),
        ecam=Ecam(MICROVM.ecam),
        devices=[Uart(), Rtc(), FwCfg(), VirtioMmio(VIRTIO_MMIO, VIRTIO_MMIO_GSI)],
        io_apics=[IoApicRange(*one) for one in IO_APICS],
    )
    return boot_linux(boot, MICROVM, platform)


class TestReduced(Judgement):
    def test_hardware_reduced_mode(self, booted):
        """No fixed hardware: no PIC, no FACS, no interrupt of the kernel's named "acpi"."""
        assert "FACS" not in booted.report.tables
        assert not booted.report.lines("PM-Timer")
        assert [one for one in booted.report.interrupts().values() if one.actions == "acpi"] == []

    def test_firmware_configuration(self, booted):
        """The driver found the device's ports in the namespace, and the device behind them."""
        assert int(booted.report["fw_cfg"]) & 1

    def test_virtio_mmio(self, booted):
        """The driver of the transport found the device's registers in the namespace."""
        assert "LNRO0005:00" in booted.report.virtio
