# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Which way an interrupt leaves, what holds it, and what lets it go."""

import pickle
from itertools import product

import attrs
import pytest

from pci.wired import BUS_MASTER, DISABLE_INTX, Wired, address_of, message
from vmmkit.errors import ConfigSpaceError, PciSnapshotError, TopologyError
from vmmkit.pci._outbox import Outbox
from vmmkit.pci.config import ResetKind
from vmmkit.pci.interrupts import Interrupts, InterruptsSnapshot

CAPABILITIES = {"msix": {"msix": 4}, "msi": {"msi": 4}}


def ask(irq, how):
    if how == "pulse":
        irq.pulse()
    else:
        irq.set_level(True)


def ready(mode, **more):
    """A function in this mode whose messages can leave, message `n` for vector `n`."""
    wired = Wired(**CAPABILITIES.get(mode, {}), **more)
    if mode == "msix":
        for number in range(4):
            wired.entry(number)
        wired.msix()
    elif mode == "msi":
        wired.msi(granted=4, address=0x1_FEE0_1000, data=0x4560)
    return wired


def expected(mode, number):
    return message(number) if mode == "msix" else (0x1_FEE0_1000, 0x4560 + number)


class Gate:
    """One thing that holds messages, and how a guest closes and opens it."""

    def __init__(self, name, modes, close, open_):
        self.name, self.modes, self.close, self.open = name, modes, close, open_


GATES = [
    Gate("bus master", ("msix", "msi"), lambda w: w.command(0), lambda w: w.command(BUS_MASTER)),
    Gate("D-state", ("msix", "msi"), lambda w: w.power(3), lambda w: w.power(0)),
    Gate("vector mask", ("msix",), lambda w: w.mask(1), lambda w: w.unmask(1)),
    Gate("vector mask", ("msi",), lambda w: w.msi_mask(0b10), lambda w: w.msi_mask(0)),
    Gate(
        "function mask",
        ("msix",),
        lambda w: w.msix(function_mask=True),
        lambda w: w.msix(function_mask=False),
    ),
]
COMBINATIONS = [
    pytest.param(mode, how, closed, id=f"{mode}-{how}-{'+'.join(g.name for g in closed) or 'open'}")
    for mode in ("msix", "msi")
    for how in ("pulse", "level")
    for gates in [[gate for gate in GATES if mode in gate.modes]]
    for choice in product((False, True), repeat=len(gates))
    for closed in [[gate for gate, chosen in zip(gates, choice, strict=True) if chosen]]
]


@pytest.mark.parametrize(("mode", "how", "closed"), COMBINATIONS)
def test_a_message_leaves_when_the_last_gate_opens_and_only_once(mode, how, closed):
    wired = ready(mode, pin="A")
    for gate in closed:
        gate.close(wired)
    irq = wired.irq(1)
    for _ in range(3):
        ask(irq, how)
    times = 3 if how == "pulse" and not closed else 1
    for gate in closed:
        assert (wired.sent, irq.pending) == ([], True)
        gate.open(wired)
    assert wired.take() == [expected(mode, 1)] * times
    assert (irq.pending, wired.pin, wired.status()) == (False, [], 0)
    for gate in closed:
        gate.close(wired)
        gate.open(wired)
    assert wired.sent == []


@pytest.mark.parametrize(("mode", "how", "closed"), COMBINATIONS)
def test_pending_bits_tell_what_waits(mode, how, closed):
    wired = ready(mode)
    for gate in closed:
        gate.close(wired)
    ask(wired.irq(1), how)
    seen = wired.pending() if mode == "msix" else wired.config.msi.pending
    assert seen == (0b10 if closed else 0)


@pytest.mark.parametrize(
    ("mode", "how", "closed"), [case for case in COMBINATIONS if case.values[2]]
)
def test_a_level_that_falls_takes_its_message_back_and_a_pulse_stays(mode, how, closed):
    wired = ready(mode)
    for gate in closed:
        gate.close(wired)
    ask(wired.irq(1), how)
    wired.irq(1).set_level(False)
    seen = wired.pending() if mode == "msix" else wired.config.msi.pending
    assert seen == (0b10 if how == "pulse" else 0)
    for gate in closed:
        gate.open(wired)
    assert len(wired.sent) == (how == "pulse")


INTX = list(product((False, True), (False, True), (0, 3), ("pulse", "level")))


@pytest.mark.parametrize(("bus_master", "disabled", "state", "how"), INTX)
def test_intx(bus_master, disabled, state, how):
    wired = Wired(pin="A", bus_master=False)
    wired.command(BUS_MASTER * bus_master | DISABLE_INTX * disabled)
    wired.power(state)
    ask(wired.irq(), how)
    shown = not disabled and state == 0  # a wire needs no bus mastering
    assert wired.pin == ([True, False] if how == "pulse" else [True]) * shown
    assert bool(wired.status()) == (how == "level")
    wired.irq().set_level(False)
    assert (wired.status(), wired.pin[-1:]) == (0, [False] * shown)
    assert not wired.irq().pending


@pytest.mark.parametrize("mode", ["msix", "msi"])
@pytest.mark.parametrize("how", ["pulse", "level"])
def test_without_a_pin_all_waits_for_messages_to_be_enabled(mode, how):
    wired = Wired(**CAPABILITIES[mode])
    assert wired.interrupts.mode == "none"
    ask(wired.irq(1), how)
    if mode == "msix":
        wired.entry(1)
        wired.msix()
    else:
        wired.msi(granted=4)
    assert wired.take() == [expected(mode, 1)]


def test_without_pin_and_messages_nothing_leaves():
    wired = Wired()
    wired.irq().pulse()
    wired.irq().set_level(True)
    assert (wired.interrupts.mode, wired.sent, wired.pin, wired.status()) == ("none", [], [], 0)


def test_a_level_that_is_high_leaves_anew_in_each_mode():
    wired = Wired(pin="A", msix=2, msi=1)
    wired.irq().set_level(True)
    assert (wired.pin, wired.interrupts.mode) == ([True], "intx")
    wired.msi()
    assert (wired.take(), wired.pin) == ([(0x1_FEE0_1000, 0x4560)], [True, False])
    wired.entry(0)
    wired.msix()
    assert (wired.take(), wired.interrupts.mode) == ([message(0)], "msix")  # goes before MSI
    wired.msix(enable=False)
    assert wired.take() == [(0x1_FEE0_1000, 0x4560)]
    wired.msi(enable=False)
    assert (wired.sent, wired.pin) == ([], [True, False, True])


def test_a_pulse_that_waits_survives_disabling():
    wired = ready("msix", pin="A")
    wired.mask(1)
    wired.irq(1).pulse()
    wired.msix(enable=False)
    wired.unmask(1)
    assert (wired.sent, wired.pin) == ([], [])
    wired.msix()
    assert wired.take() == [message(1)]


def test_the_pin_is_high_while_any_vector_is():
    wired = Wired(pin="A", msix=3)
    wired.irq(0).set_level(True)
    wired.irq(2).set_level(True)
    wired.irq(1).pulse()
    wired.irq(0).set_level(False)
    assert wired.pin == [True]
    wired.irq(2).set_level(False)
    assert wired.pin == [True, False]


def test_interrupt_status_tells_of_a_pin_that_is_disabled():
    wired = Wired(pin="A")
    wired.command(DISABLE_INTX)
    wired.irq().set_level(True)
    assert (wired.status(), wired.pin) == (8, [])
    wired.command(0)
    wired.command(DISABLE_INTX)
    assert (wired.status(), wired.pin) == (8, [True, False])


def test_writes_to_status_leave_the_interrupt_bit():
    wired = Wired(pin="A")
    wired.irq().set_level(True)
    wired.write(0x06, 2, 0xFFFF)
    assert (wired.status(), wired.pin) == (8, [True])


def test_waiting_vectors_leave_in_order():
    wired = ready("msix")
    wired.command(0)
    for number in (3, 1, 2, 1):
        wired.irq(number).pulse()
    wired.command(BUS_MASTER)
    assert wired.take() == [message(1), message(2), message(3)]


# -- known from elsewhere ----------------------------------------------------------------------


def test_masked_interrupts_are_not_lost():
    """bhyve drops them, and its pending bit array reads zero."""
    wired = ready("msix")
    wired.mask(2)
    wired.irq(2).pulse()
    assert (wired.sent, wired.pending()) == ([], 0b100)
    wired.unmask(2)
    assert (wired.take(), wired.pending()) == ([message(2)], 0)


def test_the_upper_half_of_the_address_counts():
    """bhyve ignores it, for MSI and MSI-X."""
    wired = ready("msix")
    wired.irq(3).pulse()
    assert wired.take()[0][0] >> 32 == 3
    wired = ready("msi")
    wired.irq(0).pulse()
    assert wired.take()[0][0] >> 32 == 1


def test_msi_is_masked_by_vector():
    """bhyve has no mask bits."""
    wired = ready("msi")
    wired.msi_mask(0b0101)
    for number in range(4):
        wired.irq(number).pulse()
    assert [data & 3 for _, data in wired.take()] == [1, 3]


def test_bus_master_gates_messages():
    """In bhyve and most others it gates nothing."""
    wired = ready("msi")
    wired.command(0)
    wired.irq(0).pulse()
    assert wired.sent == []


def test_msix_fires_only_if_enabled_unmasked_and_not_function_masked():
    """What bhyve checks; it sends nothing where MSI is enabled as well."""
    wired = ready("msix")
    wired.irq(0).pulse()
    assert wired.take() == [message(0)]
    wired.msix(function_mask=True)
    wired.irq(0).pulse()
    wired.msix(enable=False, function_mask=True)
    wired.irq(0).pulse()
    assert wired.sent == []


def test_intx_blocked_is_looked_at_again_on_every_change():
    """bhyve's pin states: idle, asserted, pending."""
    wired = Wired(pin="A", msi=1)
    wired.irq().set_level(True)
    for blocked, opened in (
        (lambda: wired.command(DISABLE_INTX), lambda: wired.command(0)),
        (wired.msi, lambda: wired.msi(enable=False)),
        (lambda: wired.power(3), lambda: wired.power(0)),
    ):
        wired.pin.clear()
        blocked()
        assert wired.pin == [False]
        opened()
        assert wired.pin == [False, True]


def test_bring_up_with_the_vector_masked_does_not_hang():
    """A driver masks all, asks the device for a first interrupt, then unmasks."""
    wired = Wired(msix=4)
    wired.msix(function_mask=True)
    for number in range(4):
        wired.entry(number, masked=True)
    wired.irq(0).pulse()
    wired.msix()
    assert wired.sent == []
    wired.unmask(0)
    assert wired.take() == [message(0)]


@pytest.mark.parametrize("pin", [None, "A", "D"])
def test_without_a_pin_there_is_no_intx(pin):
    wired = Wired(pin=pin)
    wired.irq().set_level(True)
    assert (wired.interrupts.mode, wired.pin) == (("intx", [True]) if pin else ("none", []))


# -- vectors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capabilities", "vectors"),
    [
        ({}, 1),
        ({"msi": 1}, 1),
        ({"msi": 32}, 32),
        ({"msix": 2048}, 2048),
        ({"msix": 2, "msi": 8}, 8),
    ],
)
def test_vectors(capabilities, vectors):
    interrupts = Wired(**capabilities).interrupts
    assert interrupts.vectors == vectors
    assert interrupts.vector(vectors - 1) is interrupts.vector(vectors - 1)
    for wrong in (vectors, -1):
        with pytest.raises(
            ConfigSpaceError, match=f"no vector {wrong}: the function has {vectors}"
        ):
            interrupts.vector(wrong)


def test_no_such_pin():
    with pytest.raises(TopologyError, match="interrupt pin"):
        Wired(pin="E")


def test_more_msi_vectors_than_table_entries_share_entries():
    wired = Wired(msix=2, msi=8)
    wired.entry(1)
    wired.msix()
    wired.irq(5).pulse()
    assert wired.take() == [message(1)]
    wired.mask(1)
    wired.irq(7).pulse()
    wired.irq(3).pulse()
    assert wired.pending() == 0b10
    wired.unmask(1)
    assert wired.take() == [message(1)]


# -- callbacks ---------------------------------------------------------------------------------


def test_the_sink_may_call_back():
    wired = ready("msix")
    seen = []

    def send(address, data):
        seen.append(("enter", data))
        if data < 0x42:
            wired.irq(data - 0x40 + 1).pulse()
        seen.append(("leave", data))

    wired.interrupts.send = send
    wired.irq(0).pulse()
    # A message asked for from inside leaves when the sink has returned.
    assert seen == [(what, data) for data in (0x40, 0x41, 0x42) for what in ("enter", "leave")]


def test_a_sink_that_fails_keeps_nothing_from_leaving():
    wired = ready("msix")
    wired.command(0)
    for number in range(3):
        wired.irq(number).pulse()
    seen = []

    def send(_address, data):
        seen.append(data)
        if data == 0x40:
            raise OSError("full")

    wired.interrupts.send = send
    with pytest.raises(OSError, match="full"):
        wired.command(BUS_MASTER)
    assert seen == [0x40, 0x41, 0x42]
    wired.irq(1).pulse()
    assert seen == [0x40, 0x41, 0x42, 0x41]


def test_a_pin_that_is_wired_elsewhere_leaves_its_line():
    wired = Wired(pin="A")
    wired.irq().set_level(True)
    other = []
    wired.interrupts.set_pin = other.append
    assert (wired.pin, other) == ([True, False], [True])
    wired.interrupts.disconnect()
    assert other == [True, False]
    wired.irq().set_level(False)
    wired.irq().pulse()
    assert other == [True, False]
    wired.irq().set_level(True)
    wired.interrupts.set_pin = wired.pin.append
    assert wired.pin == [True, False, True]


def test_disconnected_functions_send_nothing():
    wired = ready("msix")
    wired.interrupts.disconnect()
    wired.irq(0).pulse()
    assert wired.sent == []


# -- routes ------------------------------------------------------------------------------------


def with_routes(wired):
    heard = []

    def changed(vector):
        heard.append((vector, wired.irq(vector).message))

    wired.interrupts.on_route_change = changed
    return heard


def test_message_is_what_a_pulse_would_send():
    wired = ready("msix")
    assert wired.irq(2).message == message(2)
    wired.mask(2)
    assert (wired.irq(2).message, wired.irq(1).message) == (None, message(1))
    wired.command(0)
    assert wired.irq(1).message is None
    assert Wired(pin="A").irq().message is None


def test_routes_of_msix_change_with_the_entry():
    wired = ready("msix")
    heard = with_routes(wired)
    wired.mask(1)
    wired.mask(1)
    wired.entry(1, masked=True, data=0x99)
    wired.unmask(1)
    assert heard == [(1, None), (1, (address_of(1), 0x99))]


def test_routes_of_all_vectors_change_with_a_gate():
    wired = ready("msix")
    heard = with_routes(wired)
    wired.msix(function_mask=True)
    assert heard == [(number, None) for number in range(4)]
    heard.clear()
    wired.command(0)
    wired.msix()
    assert heard == []
    wired.command(BUS_MASTER)
    assert heard == [(number, message(number)) for number in range(4)]


def test_routes_of_msi_change_with_the_vectors_granted():
    wired = ready("msi")
    heard = with_routes(wired)
    wired.msi(granted=2)
    assert dict(heard)[2] == (0x1_FEE0_1000, 0x4560)
    assert dict(heard)[3] == (0x1_FEE0_1000, 0x4561)
    heard.clear()
    wired.reset()
    assert heard == [(number, None) for number in range(4)]


def test_nobody_is_told_of_routes_any_more():
    wired = ready("msix")
    heard = with_routes(wired)
    wired.interrupts.on_route_change = None
    wired.mask(0)
    assert (heard, wired.interrupts.on_route_change) == ([], None)


# -- reset and snapshots -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ResetKind)
def test_reset(kind):
    wired = ready("msix", pin="A")
    wired.mask(1)
    wired.irq(0).set_level(True)
    wired.irq(1).pulse()
    wired.take()
    wired.reset(kind)
    assert (wired.pending(), wired.irq(0).level, wired.interrupts.mode) == (0, False, "intx")
    assert [wired.interrupts.table.masked(number) for number in range(4)] == [1] * 4
    wired.command(BUS_MASTER)
    wired.msix()
    assert wired.sent == []


def test_reset_lowers_the_pin():
    wired = Wired(pin="A")
    wired.irq().set_level(True)
    wired.reset()
    assert (wired.pin, wired.status()) == ([True, False], 0)


def restored(wired, **more):
    other = Wired(pin="A", **more)
    other.config.restore(wired.config.snapshot())
    other.interrupts.restore(pickle.loads(pickle.dumps(wired.interrupts.snapshot())))
    return other


@pytest.mark.parametrize("mode", ["msix", "msi"])
def test_restore_with_pending_messages(mode):
    wired = ready(mode, pin="A")
    wired.irq(0).set_level(True)
    wired.command(0)
    wired.irq(1).pulse()
    wired.irq(2).set_level(True)
    wired.irq(3).set_level(True)
    other = restored(wired, **CAPABILITIES[mode])
    assert (other.sent, other.pin) == ([], [])
    assert [other.irq(n).level for n in range(4)] == [True, False, True, True]
    other.irq(3).set_level(False)
    other.command(BUS_MASTER)
    assert other.take() == [expected(mode, 1), expected(mode, 2)]
    assert other.interrupts.snapshot().high == (0, 2)


def test_restore_drives_the_pin():
    wired = Wired(pin="A")
    wired.irq().set_level(True)
    other = restored(wired)
    assert (other.pin, other.status()) == ([True], 8)
    other.interrupts.restore(Wired(pin="A").interrupts.snapshot())
    assert (other.pin, other.status()) == ([True, False], 0)


def snapshots_of_others():
    good = ready("msix").interrupts.snapshot()
    return {
        "no snapshot": None,
        "another table": attrs.evolve(good, table=good.table[4:]),
        "a table with bits that no entry has": attrs.evolve(good, table=(1, *good.table[1:])),
        "another vector": attrs.evolve(good, high=(4,)),
        "another mode": attrs.evolve(good, mode="pin"),
    }


@pytest.mark.parametrize("name", snapshots_of_others())
def test_snapshots_of_something_else(name):
    interrupts = ready("msix").interrupts
    before = interrupts.snapshot()
    with pytest.raises(PciSnapshotError):
        interrupts.restore(snapshots_of_others()[name])
    assert interrupts.snapshot() == before


def test_a_table_for_a_function_without_one():
    with pytest.raises(PciSnapshotError, match="table"):
        ready("msi").interrupts.restore(ready("msix").interrupts.snapshot())


def test_a_config_space_rewound_by_itself_shows_what_pends_now():
    wired = ready("msi")
    wired.msi_mask(0b10)
    before = wired.config.snapshot()
    wired.irq(1).pulse()
    wired.config.restore(before)
    assert wired.config.msi.pending == 0
    wired.interrupts.config_changed()
    assert wired.config.msi.pending == 0b10


class Late(Outbox):
    """An outbox into which another thread puts a call just before the token is given back."""

    __slots__ = ("late",)

    def _make_calls(self):
        result = super()._make_calls()
        if self.late:
            self.put((self.late.pop(), ()))
            self.deliver()  # the other thread finds the token taken, and goes
        return result


def test_a_call_put_in_at_the_last_moment_is_made():
    made = []
    outbox = Late()
    outbox.late = [lambda: made.append("late")]
    outbox.put((made.append, ("first",)))
    outbox.deliver()
    assert made == ["first", "late"]


def test_repr():
    wired = ready("msix")
    wired.mask(1)
    wired.irq(1).set_level(True)
    assert repr(wired.irq(1)) == "<Irq 1 msix high pending>"
    assert repr(wired.interrupts) == "<Interrupts msix high [1] pending [1]>"
    assert repr(wired.irq(0)) == "<Irq 0 msix>"


def test_a_snapshot_taken_before_the_write_was_looked_at():
    """The config space says MSI-X, the interrupts do not know it yet: nothing is lost."""
    wired = Wired(pin="A", msix=4)
    wired.entry(0)
    wired.irq(0).set_level(True)
    wired.config.write(wired.config.msix.offset + 2, 2, 0x8000)
    other = restored(wired, msix=4)
    assert (other.take(), other.pin, other.interrupts.mode) == ([message(0)], [], "msix")
    assert isinstance(wired.interrupts.snapshot(), InterruptsSnapshot)
    assert isinstance(other.interrupts, Interrupts)


@pytest.mark.parametrize("mode", CAPABILITIES)
@pytest.mark.parametrize("how", ["pulse", "level"])
def test_what_pends_can_be_withdrawn(mode, how):
    wired = ready(mode)
    wired.command(0)
    ask(wired.interrupts.vector(1), how)
    assert wired.interrupts.vector(1).pending
    wired.interrupts.withdraw()
    assert not wired.interrupts.vector(1).pending
    wired.command(BUS_MASTER)
    assert wired.sent == []
    ask(wired.interrupts.vector(1), how)
    assert wired.sent == [expected(mode, 1)]
