# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""States and snapshots: by name, exact, versioned, and refused as a whole."""

import pickle

import attrs
import pytest

from pci.devices import Machine, make_class
from vmmkit.errors import PciSnapshotError
from vmmkit.pci.bars import MemBar
from vmmkit.pci.capabilities.msi import Msi
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.device import PciDevice
from vmmkit.pci.function import Function
from vmmkit.pci.registers import Reg, RegArray
from vmmkit.pci.state import State


class Counter(PciDevice):
    """A bit of everything that snapshots hold."""

    vendor_id, device_id = 0x1234, 1
    intx = "A"
    msi = Msi(vectors=2)
    version = 2
    regs = MemBar(0, 4096)
    vram = MemBar(2, 4096, ram=True)
    cache = MemBar(3, 4096, ram=True, keep=False)
    control = Reg(0, reset=1)
    go = control.field(31)
    ring = RegArray(0x10, 3, size=8)
    bell = Reg(0x80, "wo")
    backlog = State([[1], bytearray(b"ab")])
    name_of_owner = State("")

    restored = 0

    @bell.on_write
    def _ring(self, old, new):
        self.irq().pulse()

    def on_restore(self):
        self.restored += 1


def busy():
    """Return a machine whose device has something in every place, and a message that waits."""
    machine = Machine(Counter())
    machine.enable_msi(0x40)
    machine.config(machine.device.config.msi.offset + 16, 4, 1)  # mask vector 0
    machine.write(0, 0x8000_0055)
    machine.write(0x18, 0x1122_3344_5566_7788, 8)
    machine.write(0x80, 1)
    machine.device.backlog[0].append(2)
    machine.device.name_of_owner = "me"
    machine.device.vram.buffer[:4] = b"vram"
    machine.device.cache.buffer[:4] = b"mine"
    return machine


def test_snapshot_holds_what_is_declared():
    snapshot = busy().device.snapshot()
    assert (snapshot.device, snapshot.version) == ("Counter", 2)
    assert snapshot.values == {
        "control": 0x8000_0055,
        "ring": (0, 0x1122_3344_5566_7788, 0),
        "bell": 1,
        "backlog": [[1, 2], bytearray(b"ab")],
        "name_of_owner": "me",
    }
    assert (snapshot.memory[2][:4], 3 in snapshot.memory) == (b"vram", False)


def test_snapshot_shares_nothing_and_pickles():
    machine = busy()
    snapshot = machine.device.snapshot()
    machine.device.backlog[0].append(3)
    machine.device.ring[0] = 5
    assert snapshot.values["backlog"][0] == [1, 2]
    copy = pickle.loads(pickle.dumps(snapshot))
    assert copy == snapshot
    machine.device.restore(snapshot)
    machine.device.backlog[0].append(4)
    assert snapshot.values["backlog"][0] == [1, 2]


def test_restore_into_another_machine_brings_the_pending_interrupt():
    source, target = busy(), Machine(Counter())
    target.device.restore(pickle.loads(pickle.dumps(source.device.snapshot())))
    assert target.device.snapshot() == source.device.snapshot()
    assert (target.read(0), target.device.go, target.device.restored) == (0x8000_0055, 1, 1)
    assert (target.device.regs.address, target.sent()) == (Machine.base, [])
    target.config(target.device.config.msi.offset + 16, 4, 0)
    assert target.sent() == [0x40]
    assert bytes(target.device.vram.buffer[:4]) == b"vram"
    assert bytes(target.device.cache.buffer[:4]) == bytes(4)


def test_restore_of_the_whole_host():
    source, target = busy(), Machine(Counter())
    target.host.restore(source.host.snapshot())
    assert target.device.snapshot() == source.device.snapshot()


def test_restore_reaches_registers_that_were_accessed_before():
    machine = Machine(Counter())
    machine.read(0)
    machine.read(0x18, 8)
    first = machine.device.snapshot()
    machine.write(0, 9)
    machine.write(0x18, 9, 8)
    row = machine.device.ring
    machine.device.restore(first)
    assert (machine.read(0), machine.read(0x18, 8), row[1]) == (1, 0, 0)


def values(**changed):
    return lambda one: attrs.evolve(one, values={**one.values, **changed})


def without(name):
    kept = lambda one: {key: one.values[key] for key in one.values if key != name}  # noqa: E731
    return lambda one: attrs.evolve(one, values=kept(one))


# what is changed in a good snapshot, and what the message names
WRONG = [
    (lambda one: attrs.evolve(one, device="Other"), "Other"),
    (lambda one: attrs.evolve(one, version=3), "version 3"),
    (lambda one: attrs.evolve(one, version=1), "no migrate"),
    (values(extra=1), "extra"),
    (without("control"), "control"),
    (without("backlog"), "backlog"),
    (values(control=1 << 32), "'control'"),
    (values(control=-1), "'control'"),
    (values(control="5"), "'control'"),
    (values(ring=(1, 2)), "'ring'"),
    (values(ring=5), "'ring'"),
    (values(ring=(1, 2, 1 << 64)), r"'ring\[2\]'"),
    (lambda one: attrs.evolve(one, memory={2: bytes(5)}), "memory"),
    (lambda one: attrs.evolve(one, config=None), "ConfigSnapshot"),
    (lambda one: attrs.evolve(one, config=attrs.evolve(one.config, layout="")), "layout"),
    (lambda one: attrs.evolve(one, interrupts=None), "InterruptsSnapshot"),
    (
        lambda one: attrs.evolve(one, interrupts=attrs.evolve(one.interrupts, high=(7,))),
        "vectors",
    ),
    (lambda one: attrs.evolve(one, values=None), "values"),
    (lambda one: attrs.evolve(one, values=[1, "x"]), "values"),
    (lambda one: attrs.evolve(one, version="2"), "version '2'"),
    (lambda one: attrs.evolve(one, version=1, values=None), "values"),
    (lambda one: attrs.evolve(one, memory=None), "memory"),
    (lambda one: attrs.evolve(one, memory={2: "x" * 4096}), "memory"),
    *(
        (
            lambda one, wrong=wrong: attrs.evolve(
                one, interrupts=attrs.evolve(one.interrupts, pulsed=wrong)
            ),
            "vectors",
        )
        for wrong in (None, 1, ([1],), ("0",))
    ),
    (lambda _one: None, "FunctionSnapshot"),
    (
        lambda _one: Function(ConfigSpace.type0(vendor_id=1, device_id=1, class_code=0)).snapshot(),
        "without declarations",
    ),
]


@pytest.mark.parametrize(("change", "named"), WRONG)
def test_refused_snapshot_changes_nothing(change, named):
    machine = busy()
    good = machine.device.snapshot()
    machine.device.reset()
    before = machine.device.snapshot()
    with pytest.raises(PciSnapshotError, match=named):
        machine.device.restore(change(good))
    assert machine.device.snapshot() == before
    assert machine.device.restored == 0


def test_plain_function_snapshot_is_refused():
    device = Counter()
    plain = Function.snapshot(device)
    with pytest.raises(PciSnapshotError, match="without declarations"):
        device.restore(plain)


class Migrated(Counter):
    """Version 3 has a wider ring, and `control` became `command`."""

    version = 3
    control = None
    go = None
    command = Reg(0, reset=1)
    ring = RegArray(0x10, 4, size=8)

    @classmethod
    def migrate(cls, version, values):
        if version < 2:
            return super().migrate(version, values)
        values["command"] = values.pop("control")
        values["ring"] = (*values["ring"], 0)
        values["backlog"].append("migrated")
        return values


def test_migration_from_an_older_version():
    old = attrs.evolve(busy().device.snapshot(), device="Migrated")
    kept = pickle.dumps(old)
    device = Migrated()
    device.restore(old)
    assert (device.command, list(device.ring)) == (0x8000_0055, [0, 0x1122_3344_5566_7788, 0, 0])
    assert device.backlog[-1] == "migrated"
    assert pickle.dumps(old) == kept


def test_migration_may_refuse():
    old = attrs.evolve(busy().device.snapshot(), device="Migrated", version=1)
    with pytest.raises(PciSnapshotError, match="version 1"):
        Migrated().restore(old)


@pytest.mark.parametrize("initial", [0, 1.5, None, b"x", "x", (1, [2]), {"a": {1}}, bytearray(3)])
def test_states_are_copied_for_each_device(initial):
    made = make_class(kept=State(initial))
    one, other = made(), made()
    assert one.kept == other.kept == initial
    assert not isinstance(initial, bytearray | dict) or one.kept is not other.kept
    one.kept = "mine"
    assert (one.kept, other.kept, made.kept.initial) == ("mine", initial, initial)
