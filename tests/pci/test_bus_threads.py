# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Several vCPUs at once: no deadlock, and no mapping that outlives its BAR."""

from __future__ import annotations

import sys
import threading
from random import Random

import pytest

from pci.machine import ECAM, Machine
from vmmkit.errors import OverlapError
from vmmkit.pci.bars import IoBar, MemBar
from vmmkit.pci.capabilities.express import PciExpress
from vmmkit.pci.spec import PortType

BASES = [0xC000_0000 + at * 0x1000 for at in range(8)]
ROUNDS = 1500
PATIENCE = 120  # seconds; far more than it takes

pytestmark = pytest.mark.stress


@pytest.fixture(autouse=True)
def _switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def run_all(*bodies):
    """Run each in a thread of its own; fail if one raises or does not end."""
    errors = []

    def guarded(body):
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(body,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not [thread for thread in threads if thread.is_alive()], "a deadlock"
    assert not errors, errors


def machine_of(count):
    machine = Machine()
    devices = []
    for at in range(count):
        where = {}

        def read(_vcpu, _offset, _size, where=where):
            return where["device"].devfn >> 3

        devices.append(
            machine.plug(
                at + 1,
                MemBar(0, 0x1000, read=read),
                MemBar(1, 0x1000, ram=True),
                IoBar(2, 16, read=read),
                capabilities=[PciExpress(port_type=PortType.ENDPOINT, flr=True)],
            )
        )
        where["device"] = devices[at]
        machine.write(devices[at], 4, 2, 7)
    return machine, devices


def test_vcpus_access_bars_while_others_move_them():
    machine, devices = machine_of(4)

    def mover(seed):
        random, port = Random(seed), machine.mmio.port(f"mover {seed}")

        def body():
            for _ in range(ROUNDS):
                config = ECAM + (random.choice(devices).bdf << 12)
                kind = random.randrange(8)
                if kind < 5:
                    port.write(config + 0x10 + 4 * random.randrange(2), 4, random.choice(BASES))
                elif kind < 7:
                    port.write(config + 4, 2, random.choice([0, 2, 7, 7, 7]))
                else:
                    port.write(config + 0x18, 4, random.choice([0x1000, 0x1010, 0x1020]))

        return body

    def reader(seed):
        random, port, ports = Random(seed), machine.mmio.port(seed), machine.pio.port(seed)
        names = {one.devfn >> 3 for one in devices}

        def body():
            for _ in range(ROUNDS * 2):
                # A device answers with its number, RAM with zeros, nobody with ones.
                assert port.read(random.choice(BASES), 1) in names | {0, 0xFF}
                assert ports.read(random.choice([0x1000, 0x1010]), 1) in names | {0xFF}
                assert port.read(ECAM + (random.choice(devices).bdf << 12), 2) == 0x1234

        return body

    run_all(mover(1), mover(2), reader(3), reader(4))
    machine.check()
    for device in devices:
        machine.write(device, 4, 2, 0)
    machine.check()
    assert {machine.memory.read(base, 4) for base in BASES} == {0xFFFF_FFFF}
    balance = {}
    for event in machine.told:
        key = event[1], event[2]
        if event[0] in ("mapped", "unmapped"):
            balance[key] = balance.get(key, 0) + (1 if event[0] == "mapped" else -1)
    assert set(balance.values()) <= {0}


def test_the_owner_changes_the_map_meanwhile():
    machine, devices = machine_of(3)

    def guest():
        random = Random(5)
        for _ in range(ROUNDS):
            device = random.choice(devices)
            machine.write(device, 0x10 + 4 * random.randrange(2), 4, random.choice(BASES))
            machine.memory.read(random.choice(BASES), 4)

    def owner():
        random = Random(6)
        for _ in range(ROUNDS):
            try:
                region = machine.mmio.add_ram(random.choice(BASES), bytearray(0x1000), name="ram")
            except OverlapError:
                continue
            machine.mmio.remove(region)

    def plugger():
        for _ in range(ROUNDS // 4):
            machine.host.bus.detach(devices[0])
            machine.host.bus.attach(devices[0], 1)

    run_all(guest, owner, plugger)
    machine.check()
    assert not machine.host._decoder.stale
    assert not machine.host.notices.waiting


def test_resets_and_snapshots_meanwhile():
    machine, devices = machine_of(3)
    machine.write(devices[0], 0x10, 4, BASES[0])
    snapshot = machine.host.snapshot()
    express = devices[1].config.offset_of(PciExpress) + 8

    def guest():
        random = Random(7)
        for _ in range(ROUNDS):
            machine.write(random.choice(devices), 4, 2, 7)
            machine.write(random.choice(devices), 0x10, 4, random.choice(BASES))
            machine.write(devices[1], express, 2, 0x8000)

    def owner():
        for at in range(ROUNDS // 4):
            if at % 2:
                machine.host.restore(snapshot)
            else:
                machine.host.reset()

    run_all(guest, owner)
    machine.check()


def test_cf8_latches_are_not_torn():
    machine, devices = machine_of(2)
    lock = threading.Lock()

    def vcpu(device):
        ports = machine.pio.port(device)

        def body():
            for _ in range(ROUNDS):
                with lock:  # as a guest does
                    ports.write(0xCF8, 4, 1 << 31 | device.bdf << 8 | 0x3C)
                    ports.write(0xCFC, 1, device.devfn)
                with lock:
                    ports.write(0xCF8, 4, 1 << 31 | device.bdf << 8 | 0x3C)
                    assert ports.read(0xCFC, 1) == device.devfn

        return body

    run_all(*(vcpu(device) for device in devices))
