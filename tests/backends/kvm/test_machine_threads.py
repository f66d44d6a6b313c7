# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A kernel for several processors (`tests/guests/smp.S`) on `KvmMachine`, one thread a vCPU."""

import mmap
import threading
from functools import partial

import pytest

from backends.kvm.machines import (
    BOTH_CHIPS,
    LONG,
    ends_at_delivery,
    guest_of,
    machine_of,
    start_others,
)
from backends.kvm.test_machine import FLAG, HLT, SLEEP, STOP, await_dword, dword_at
from backends.smp import COUNTS, ENABLE, EVERYTHING, RAM_SIZE, Kernel, apic, dword
from guests.build import assembled
from vmmkit.backends import RunEnded

HANDLED = 0x3_E000


@pytest.fixture(params=BOTH_CHIPS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def image(require_tool, tmp_path_factory):
    for tool in ("gcc", "ld", "objcopy"):
        require_tool(tool)
    folder = tmp_path_factory.mktemp("smp")
    return assembled(folder, "smp", "--section-start=.start=0x8000")


# What the kernel gets through where interrupts are over when they are delivered. There a CR8 that
# is lowered lets interrupts through some instructions later.
NESTED = "CIBNS1PTVAL"


class KvmKernel(Kernel):
    """The kernel, which ends its machine's run with its last letter."""

    def __init__(self, image, vcpus, kind, **options):
        ram = mmap.mmap(-1, RAM_SIZE)
        self.expected = NESTED if ends_at_delivery() else EVERYTHING
        super().__init__(image, vcpus, machine=partial(machine_of, kind), ram=ram, **options)

    @property
    def through(self):
        """Whether it has come to its end."""
        return self.said.startswith(self.expected)

    def _say(self, vcpu, offset, size, value):
        super()._say(vcpu, offset, size, value)
        if self.said == self.expected or (self.said[-1] == "!" and not self.through):
            self.machine.stop()  # once: one that came late would end the next run


@pytest.mark.parametrize("x2apic", [False, True], ids=["xapic", "x2apic"])
@pytest.mark.parametrize("vcpus", [1, 2, 4])
def test_it_gets_through(image, kind, vcpus, x2apic):
    kernel = KvmKernel(image, vcpus, kind, x2apic=x2apic)
    with kernel.machine as machine:
        assert isinstance(machine.run(LONG), RunEnded)
        assert kernel.through, kernel.said


def test_it_gets_through_again_after_a_reset(image, kind):
    kernel = KvmKernel(image, 2, kind)
    fresh = bytes(kernel.ram)
    with kernel.machine as machine:
        for _ in range(3):
            assert isinstance(machine.run(LONG), RunEnded)
            assert kernel.through, kernel.said
            machine.reset()
            kernel.ram[:], kernel.said = fresh, ""
            machine.vcpus[0].state.enter_real_mode(0, 0x800)


def test_it_gets_through_in_many_pieces(image, kind):
    """Runs that end at any time lose nothing."""
    kernel = KvmKernel(image, 2, kind)
    with kernel.machine as machine:
        for _ in range(2000):
            machine.run(0.002)
            if kernel.through:
                break
        assert kernel.through, kernel.said


def test_handlers_run_one_at_a_time(kind):
    """Each of three vCPUs accesses a device that would notice another one in it."""
    access = "b9" + dword(200) + "e790" + "49" + "75fb" + "f0ff05" + dword(FLAG)
    inside, worst = [], []

    def write(*_access):
        inside.append(1)
        worst.append(len(inside))
        inside.pop()

    code = start_others(1, 2) + access + await_dword(FLAG, 3) + STOP + HLT
    with guest_of(kind, code, access + SLEEP, access + SLEEP) as guest:
        guest.machine.pio.add(0x90, 4, write=write, name="device")
        guest.runs_to_its_end()
        assert (len(worst), max(worst)) == (600, 1)


def test_a_slow_handler_is_waited_for(kind):
    """The run ends when it has ended, not before."""
    begun, end = threading.Event(), threading.Event()

    def write(*_access):
        begun.set()
        end.wait(LONG)

    with guest_of(kind, "e790" + SLEEP) as guest:
        guest.machine.pio.add(0x90, 4, write=write, name="slow")
        outcomes = []
        owner = threading.Thread(target=lambda: outcomes.append(guest.machine.run(0.01)))
        owner.start()
        assert begun.wait(LONG)
        owner.join(0.3)
        assert owner.is_alive()
        end.set()
        owner.join(LONG)
        assert isinstance(outcomes[0], RunEnded)


def test_a_device_with_a_time_of_its_own(kind):
    """It interrupts when its time has come, as often as the guest asks for it."""

    class Alarm:
        def __init__(self, machine):
            self.machine, self.line, self.when = machine, machine.line(20), None

        def write(self, _vcpu, _offset, _size, value):
            self.when = self.machine.time + value

        def deadline(self):
            return self.when

        def advance(self):
            if self.when is not None and self.when <= self.machine.time:
                self.when = None
                self.line(True)
                self.line(False)

    ask = "b8" + dword(1_000_000) + "e790"
    once = ask + "fb" + await_dword(COUNTS + 4 * 0x55, 1) + ask + await_dword(COUNTS + 4 * 0x55, 2)
    select, window = "c70500 00c0fe", "c70510 00c0fe"
    pin = select + dword(0x10 + 40) + window + dword(0x55)
    with guest_of(kind, ENABLE + pin + once + STOP + HLT) as guest:
        alarm = guest.machine.timed(Alarm(guest.machine))
        guest.machine.pio.add(0x90, 4, alarm, name="alarm")
        guest.runs_to_its_end()
        assert guest.machine.time >= 2_000_000


def test_messages_to_all_at_once_from_many_threads(kind):
    """Nothing is lost between vCPUs that sleep, wake and leave for their owner."""
    other = ENABLE + "f0ff05" + dword(FLAG) + "fbf4ebfc"
    handler = "f0ff05" + dword(HANDLED) + apic(0xB0, 0) + "cf"
    code = start_others(1, 2) + await_dword(FLAG, 2) + "fb" + await_dword(HANDLED, 200) + STOP + HLT
    with guest_of(kind, code, other, other) as guest:
        guest.poke(0x4000 + 32 * 0x41, bytes.fromhex(handler))
        over = []

        def send(destination):
            while not over:
                guest.machine.msi(0xFEE0_0000 | destination << 12, 0x41)

        senders = [threading.Thread(target=send, args=(n,)) for n in (1, 2)]
        for sender in senders:
            sender.start()
        try:
            guest.runs_to_its_end()
        finally:
            over.append(True)
            for sender in senders:
                sender.join(LONG)
        assert dword_at(guest, HANDLED) >= 200
