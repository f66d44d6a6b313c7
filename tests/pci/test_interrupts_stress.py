# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Device threads interrupt while vCPU threads mask, with a switch interval at which races show."""

import sys
import threading
from random import Random

import pytest

from pci.wired import BUS_MASTER, Wired, message

pytestmark = pytest.mark.stress

VECTORS = 4
ROUNDS = 10_000


@pytest.fixture(autouse=True)
def eager_switching():
    """Let threads take turns every microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run(*bodies):
    failures = []

    def guarded(body):
        try:
            body()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=guarded, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


def wired_up():
    wired = Wired(msix=VECTORS, pin="A")
    for number in range(VECTORS):
        wired.entry(number)
    wired.msix()
    return wired


def masker(wired, seed):
    def body():
        rng = Random(seed)
        for _ in range(ROUNDS):
            number = rng.randrange(VECTORS)
            wired.mask(number)
            wired.unmask(number)
            if rng.random() < 0.05:
                wired.msix(function_mask=True)
                wired.msix()
            if rng.random() < 0.05:
                wired.command(0)
                wired.command(BUS_MASTER)

    return body


def test_no_interrupt_is_lost_and_none_invented():
    wired = wired_up()
    asked = [0] * VECTORS
    answered = [0] * VECTORS

    def send(address, data):
        # What every device does: the cause is there before the message is.
        answered[data - 0x40] = asked[data - 0x40]

    wired.interrupts.send = send
    counts = [0] * VECTORS

    def device(number):
        def body():
            for count in range(1, ROUNDS + 1):
                asked[number] = count
                wired.irq(number).pulse()
                counts[number] += 1

        return body

    run(*(device(number) for number in range(VECTORS)), masker(wired, 1))
    for number in range(VECTORS):
        wired.unmask(number)
    wired.msix()
    wired.command(BUS_MASTER)
    assert answered == asked == [ROUNDS] * VECTORS
    assert wired.pending() == 0


def test_messages_of_a_vector_keep_their_order():
    """Each message carries the data of its time; older data never comes after newer."""
    wired = wired_up()
    seen = []
    inside = []

    def send(_address, data):
        inside.append(1)
        assert len(inside) == 1, "two calls at the same time"
        seen.append(data)
        inside.pop()

    wired.interrupts.send = send
    done = threading.Event()

    def guest():
        for data in range(ROUNDS):
            wired.mask(0)
            wired.interrupts.table.write(None, 8, 4, data)
            wired.unmask(0)
        done.set()

    def device():
        while not done.is_set():
            wired.irq(0).pulse()

    wired.interrupts.table.write(None, 8, 4, 0)
    run(guest, device, device)
    assert seen == sorted(seen)


def test_the_pin_ends_as_the_levels_and_alternates():
    wired = Wired(pin="A", msix=VECTORS)
    for number in range(VECTORS):
        wired.entry(number)

    def device(number):
        def body():
            rng = Random(number)
            for _ in range(ROUNDS):
                wired.irq(number).set_level(rng.random() < 0.5)
            wired.irq(number).set_level(number == 2)

        return body

    def guest():
        for _ in range(ROUNDS):
            wired.msix()
            wired.msix(enable=False)
            wired.command(BUS_MASTER | 1 << 10)
            wired.command(BUS_MASTER)

    run(*(device(number) for number in range(VECTORS)), guest)
    assert wired.pin == [place % 2 == 0 for place in range(len(wired.pin))]
    assert (wired.pin[-1], wired.status()) == (True, 8)
    wired.irq(2).set_level(False)
    assert (wired.pin[-1], wired.status()) == (False, 0)
    assert set(wired.sent) <= {message(number) for number in range(VECTORS)}
