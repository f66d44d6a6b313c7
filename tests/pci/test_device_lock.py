# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A device's own lock: re-entrant, and no interrupt leaves while a thread holds it."""

import threading

import pytest

from vmmkit.backends import ThreadedMachine
from vmmkit.pci import HostBridge, IntxRouting, MemBar, PciDevice, Reg, assign
from vmmkit.pci.testing import Host

SOON = 20  # seconds, after which a thread counts as stuck


class Receiver(PciDevice):
    """A thread of the device's and the vCPUs share its registers."""

    vendor_id, device_id = 0x1234, 0x0400
    intx = "A"
    serialize = True
    regs = MemBar(0, 4096)
    events = Reg(0x00, "w1c")
    doorbell = Reg(0x04, "wo")

    @doorbell.on_write
    def _ring(self, _old, new):
        self.irq().set_level(bool(new))
        self.level_seen_under_lock = self.seen()


def plugged():
    levels = []
    host = Host()
    driver = host.plug(Receiver())
    device = driver.function
    device.interrupts.set_pin = levels.append
    device.seen = lambda: list(levels)
    return device, driver, levels


def test_what_is_raised_under_the_lock_leaves_with_its_release():
    device, _, levels = plugged()
    with device.lock:
        with device.lock:
            device.irq().set_level(True)
        assert levels == []
    assert levels == [True]


def test_what_a_hook_of_a_serialized_device_raises_leaves_when_the_access_is_over():
    device, driver, levels = plugged()
    driver.bar(0).write32(4, 1)
    assert device.level_seen_under_lock == []
    assert levels == [True]


def test_other_threads_are_not_held_back():
    device, _, levels = plugged()
    with device.lock:
        thread = threading.Thread(target=device.irq().set_level, args=(True,))
        thread.start()
        thread.join(SOON)
        assert levels == [True]


def test_an_exception_does_not_keep_interrupts_back():
    device, _, levels = plugged()

    def fail():
        with device.lock:
            device.irq().set_level(True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert levels == [True]
    assert not device.lock.is_mine()


def test_it_is_released_by_its_holder_only():
    device, _, _ = plugged()
    with pytest.raises(RuntimeError, match="does not hold"):
        device.lock.release()
    assert device.lock.acquire()
    thread_got = []
    thread = threading.Thread(target=lambda: thread_got.append(device.lock.acquire(blocking=False)))
    thread.start()
    thread.join(SOON)
    assert thread_got == [False]
    device.lock.release()


@pytest.mark.stress
def test_a_device_thread_that_interrupts_under_the_lock_and_a_vcpu_do_not_wait_for_each_other():
    """The machine's lock is held around accesses, and wanted by the interrupt's way out."""
    machine = ThreadedMachine([(0, bytearray(1 << 20))])
    host = HostBridge(
        machine.mmio,
        machine.pio,
        routing=IntxRouting.swizzled(),
        set_gsi=lambda gsi, level: machine.line(gsi)(level),
    )
    device = Receiver()
    host.bus.attach(device, 3)
    assign(host, mem=[(0xC000_0000, 1 << 20)])
    port = machine.mmio.port(machine.vcpus[0])
    device_has_its_lock, vcpu_has_the_machines = threading.Event(), threading.Event()

    def interrupt():
        with device.lock:
            device_has_its_lock.set()
            vcpu_has_the_machines.wait(SOON)
            device.irq().set_level(True)

    def access():
        device_has_its_lock.wait(SOON)
        with machine.lock:
            vcpu_has_the_machines.set()
            port.read(0xC000_0000, 4)

    threads = [threading.Thread(target=each, daemon=True) for each in (interrupt, access)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert [thread.is_alive() for thread in threads] == [False, False]
