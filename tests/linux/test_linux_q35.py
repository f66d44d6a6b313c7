# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Linux on QEMU's q35 with the tables of `vmmkit.acpi.platform.q35_like`.

Each guest takes two to five seconds. Run with `make acpi-linux`.
"""

from __future__ import annotations

import pytest

from linux.boards import PM_BASE, PM_BASE_SCRIPTED, Q35
from linux.boots import Boot
from linux.judgement import Judgement
from vmmkit.acpi.platform.q35 import q35_like

pytestmark = pytest.mark.linux

BOOTS = (
    Boot("poweroff", cpus=2, ending="poweroff", button=True),
    Boot("ECAM by PNP0C02", cpus=4, ending="reboot", hide_e820=True),
    Boot("linked by SeaBIOS", cpus=2, ending="reboot", scripted=True, button=True),
    Boot("many", cpus=16, ending="poweroff", msi=True),
)


@pytest.fixture(scope="module", params=BOOTS, ids=lambda boot: f"{Q35.name} {boot.name}")
def booted(request, boot_linux):
    boot = request.param
    platform = q35_like(cpus=boot.cpus, pm_base=PM_BASE_SCRIPTED if boot.scripted else PM_BASE)
    return boot_linux(boot, Q35, platform)


class TestQ35(Judgement):
    def test_power_management_timer(self, booted):
        base = PM_BASE_SCRIPTED if booted.boot.scripted else PM_BASE
        assert booted.report.lines(f"ACPI: PM-Timer IO Port: {base + 8:#x}")
