# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A running guest that moves between a vCPU in software and one in KVM, both ways."""

import random
import threading

import pytest

from backends.kvm.pairs import CR4_OSXSAVE, SECONDS, image, kvm_vcpu, soft_vcpu, start
from vmmkit.errors import StepError
from vmmkit.insn import BudgetSpent, Done, Feature, PortIn, PortOut, Segment

pytestmark = pytest.mark.kvm

TURNS = 60
DATA = 0x5000
END_PORT = 0x21
IOPL_3 = 3 << 12
USER_CODE = Segment(0x33, 0, 0xFFFF_FFFF, 0xA0FB)
USER_DATA = Segment(0x2B, 0, 0xFFFF_FFFF, 0xC0F3)

# A congruential generator whose numbers go out by port 20h, are mixed with what port 22h answers,
# and pass through vector registers on their way; at last a write to port 21h.
BODIES = {
    "16": (
        "6669c00d661900 66055ff36e3c 66a30050 f30f6f0e0050 f30f7f0e1050"
        "66a11050 66e720 6689c3 66e522 6631d8"
    ),
    "32": (
        "69c00d661900 055ff36e3c a300500000 f30f6f0d00500000 f30f7f0d10500000"
        "a110500000 e720 89c3 e522 31d8"
    ),
    "64": (
        "4869c00d661900 48055ff36e3c 4889042500500000 f30f6f0c2500500000 f30f7f0c2510500000"
        "488b042510500000 e720 4889c3 e522 4831d8"
    ),
    # The same, and xmm2 ^= xmm1; st0 = [DATA + 20h], and back to DATA + 30h.
    "user": (
        "4869c00d661900 48055ff36e3c 4889042500500000 f30f6f0c2500500000 660fefd1"
        "f30f7f142510500000 db2c2500500000 db3c2530500000 488b042510500000 e720 4889c3 e522 4831d8"
    ),
    # The same with the upper halves of YMM registers.
    "avx": (
        "4869c00d661900 48055ff36e3c 4889042500500000 4889042518500000 c5fe6f0c2500500000"
        "c5edefd1 c5fe7f142520500000 488b042538500000 e720 4889c3 e522 4831d8"
    ),
}


def program(body):
    """Loop the body, then tell the end for ever."""
    code = bytes.fromhex(body)
    again = bytes([0xE2, 256 - len(code) - 2])
    return code + again + bytes([0xE6, END_PORT, 0xEB, 0xFC])


def set_up(state, name):
    start(state, int(name) if name.isdigit() else 64)
    state.rcx = TURNS
    state.x87_control, state.x87_tag = 0x37F, 0  # as after FNINIT
    if not name.isdigit():
        state.rflags |= IOPL_3
        state.cs = USER_CODE
        for each in ("ss", "ds", "es", "fs", "gs"):
            setattr(state, each, USER_DATA)
    if name == "avx":
        state.cr4 |= CR4_OSXSAVE
        state.xcr0 = 7


class Journal:
    """What a guest has put out; answers its reads by how much that is."""

    def __init__(self):
        self.out, self.ended = [], False

    def serve(self, vcpu, outcome):
        """Do an access, and complete the instruction."""
        if isinstance(outcome, PortOut):
            self.ended = self.ended or outcome.port == END_PORT
            if not self.ended:
                self.out.append(outcome.value)
        elif isinstance(outcome, PortIn):
            vcpu.complete(len(self.out) * 0x01010101)
        else:
            assert isinstance(outcome, BudgetSpent | Done)
            return
        assert isinstance(vcpu.step(), Done)


def result(vcpu, ram, journal):
    state = vcpu.state
    return (
        journal.out,
        state.gpr.tolist(),
        [state.ymm[number] for number in range(16)],
        bytes(ram[DATA : DATA + 0x100]),
    )


def alone(vcpu, ram):
    journal = Journal()
    while not journal.ended:
        journal.serve(vcpu, vcpu.run())
    return result(vcpu, ram, journal)


def pick(vcpu, name):
    if name == "avx" and not vcpu.cpuid.features & Feature.AVX:
        pytest.skip("this processor has no AVX")


@pytest.mark.parametrize("name", BODIES)
def test_both_alone_come_to_the_same_result(name):
    ram = image(program(BODIES[name]))
    with kvm_vcpu(ram) as (vcpu, pages, _):
        pick(vcpu, name)
        set_up(vcpu.state, name)
        soft = soft_vcpu(ram, vcpu.cpuid)
        set_up(soft.state, name)
        found = alone(vcpu, pages)
        assert len(found[0]) == TURNS
        assert found == alone(soft, ram)


def by_steps(vcpu, journal, dice):
    """Go on for some exits, and then some single steps."""
    for _ in range(dice.randrange(4)):
        if not journal.ended:
            journal.serve(vcpu, vcpu.run())
    in_ring_3 = vcpu.state.cs.selector & 3  # of which not every host does single steps
    for _ in range(0 if in_ring_3 else dice.randrange(6)):
        if not journal.ended:
            journal.serve(vcpu, vcpu.run(1))


def by_kicks(vcpu, journal, dice):
    """Go on until a kick, some time."""
    timer = threading.Timer(dice.random() / 2000, vcpu.kick)
    timer.start()
    outcome = None
    while not (isinstance(outcome, BudgetSpent) or journal.ended):
        outcome = vcpu.run()
        journal.serve(vcpu, outcome)
    timer.join(SECONDS)


@pytest.mark.parametrize("manner", [by_steps, by_kicks])
@pytest.mark.parametrize("name", BODIES)
def test_a_guest_that_moves_comes_to_the_result_of_one_that_stays(name, manner):
    ram = image(program(BODIES[name]))
    with kvm_vcpu(ram) as (vcpu, pages, _):
        pick(vcpu, name)
        still = soft_vcpu(ram, vcpu.cpuid)
        set_up(still.state, name)
        wanted = alone(still, ram)
        soft = soft_vcpu(pages, vcpu.cpuid)
        set_up(soft.state, name)
        dice, journal, moves = random.Random(name), Journal(), 0
        here, there = soft, vcpu
        while not journal.ended:
            manner(here, journal, dice)
            there.state.take_record(here.state.record)
            here, there, moves = there, here, moves + 1
        assert moves > 5 or manner is by_kicks
        assert result(here, pages, journal) == wanted


def test_no_state_moves_in_the_middle_of_an_instruction():
    ram = image(program(BODIES["64"]))
    with kvm_vcpu(ram) as (vcpu, pages, _):
        soft = soft_vcpu(pages, vcpu.cpuid)
        set_up(soft.state, "64")
        assert isinstance(soft.run(), PortOut)
        vcpu.state.take_record(soft.state.record)
        with pytest.raises(StepError, match="in flight"):
            vcpu.run()
        soft.step()
        vcpu.state.take_record(soft.state.record)
        assert isinstance(vcpu.run(), PortIn)
        soft.state.take_record(vcpu.state.record)
        with pytest.raises(StepError):
            soft.run()
        vcpu.complete(0)
        vcpu.step()
        soft.state.take_record(vcpu.state.record)
        assert isinstance(soft.run(), PortOut)
