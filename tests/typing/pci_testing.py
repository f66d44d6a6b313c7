# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The test host as somebody uses it: read by the type checker, never run.

A line that must be refused carries the refusal's code; the checker fails on an ignore that
nothing needs, so what must not fit is checked as firmly as what must.
"""

from typing import assert_type

from vmmkit.devices.edu import Edu
from vmmkit.pci.function import Function
from vmmkit.pci.ports import RootPort
from vmmkit.pci.testing import BarWindow, Driver, Host, MsixVectors, dump


def drive(host: Host) -> None:
    driver = host.plug(Edu())
    assert_type(driver, Driver[Edu])
    assert_type(driver.function.liveness, int)
    assert_type(driver.bar(0), BarWindow)
    assert_type(driver.bar(0).read32(4), int)
    driver.enable(bus_master=False)
    driver.enable(dma=True)  # type: ignore[call-arg]
    driver.function = Edu()  # type: ignore[misc]
    assert_type(driver.take_interrupts(), list[int | None])
    assert_type(driver.capability(0x11), int | None)


def behind(host: Host) -> None:
    port = host.plug(RootPort())
    host.plug(Edu(), behind=port)
    host.plug(Edu(), behind=port.function)
    host.plug(Edu(), behind=host.plug(Edu()))  # type: ignore[arg-type]
    for driver in host.drivers():
        assert_type(driver.function, Function)
        host.unplug(driver)
    host.unplug(port)


def masks(driver: Driver[Edu]) -> None:
    msix = driver.enable_msix(4)
    assert_type(msix, MsixVectors)
    msix.mask(0)
    assert_type(msix.pending(0), bool)


def pictures(host: Host) -> str:
    return host.tree() + host.to_svg() + host.lspci() + dump(host, host.bridge)
