# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A kernel for several processors (`tests/guests/smp.S`) on machines of either kind."""

import pickle
import platform
import sys

import pytest

from backends.smp import EVERYTHING, Kernel, registers
from guests.build import assembled
from vmmkit.backends import MachineHalted, RunEnded, ThreadedMachine
from vmmkit.insn import available_engines

pytestmark = pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"} or sys.platform != "linux",
    reason="gcc makes ELF programs for x86 on Linux on x86 only",
)

COUNTS = (1, 2, 3, 4)
MODES = pytest.mark.parametrize("x2apic", [False, True], ids=["xapic", "x2apic"])
ENGINES = pytest.mark.parametrize("engine", available_engines())


@pytest.fixture(scope="module")
def image(require_tool, tmp_path_factory):
    for tool in ("gcc", "ld", "objcopy"):
        require_tool(tool)
    folder = tmp_path_factory.mktemp("smp")
    return assembled(folder, "smp", "--section-start=.start=0x8000")


@MODES
@ENGINES
@pytest.mark.parametrize("vcpus", COUNTS)
def test_it_gets_through(image, engine, vcpus, x2apic):
    kernel = Kernel(image, vcpus, x2apic=x2apic, engine=engine)
    assert isinstance(kernel.machine.run(), MachineHalted)
    assert kernel.said == EVERYTHING
    assert all(lapic.x2apic_mode is x2apic for lapic in kernel.machine.lapics)


@MODES
def test_both_engines_and_every_run_leave_the_same_trace(image, x2apic):
    traces = []
    for engine in (*available_engines(), available_engines()[0]):
        kernel = Kernel(image, 3, x2apic=x2apic, engine=engine, quantum=37)
        kernel.machine.run()
        traces.append(kernel.trace())
    assert traces[0][1] == EVERYTHING
    assert all(trace == traces[0] for trace in traces)
    assert len(traces[0][3]) > 100


@pytest.mark.parametrize("step", [1, 7, 61])
def test_how_a_run_is_cut_makes_no_difference(image, step):
    whole, parts = (Kernel(image, 2, quantum=50) for _ in range(2))
    whole.machine.run()
    while not isinstance(parts.machine.run(step), MachineHalted):
        assert parts.machine.time <= whole.machine.time
    assert parts.said == whole.said == EVERYTHING
    assert (parts.machine.time, parts.ram) == (whole.machine.time, whole.ram)
    assert parts.turns == whole.turns
    assert registers(parts.machine) == registers(whole.machine)


@pytest.mark.parametrize("at", [100, 777, 2500, 4000, 6000, 6400])
def test_a_snapshot_goes_on_as_the_original(image, at):
    first, second = (Kernel(image, 3, x2apic=at % 2 == 0) for _ in range(2))
    assert isinstance(first.machine.run(at), RunEnded)
    saved = pickle.loads(pickle.dumps(first.machine.snapshot()))
    second.machine.restore(saved)
    second.ram[:], second.said = first.ram, first.said
    assert second.machine.snapshot() == saved
    first.turns.clear()
    for kernel in (first, second):
        assert isinstance(kernel.machine.run(), MachineHalted)
    assert first.trace() == second.trace()
    assert first.said == EVERYTHING


def test_each_exit_is_a_place_for_a_snapshot(image):
    """A machine that moves to the other engine every few instructions gets through as well."""
    engines = available_engines()
    kernels = [Kernel(image, 2, engine=engine, quantum=50) for engine in engines]
    if len(kernels) < 2:
        kernels.append(Kernel(image, 2, quantum=50))
    whole = Kernel(image, 2, quantum=50)
    whole.machine.run()
    here, there = kernels
    while not isinstance(here.machine.run(97), MachineHalted):
        there.machine.restore(here.machine.snapshot())
        there.ram[:], there.said = here.ram, here.said
        here, there = there, here
    assert (here.said, here.machine.time) == (EVERYTHING, whole.machine.time)
    assert here.ram == whole.ram


@MODES
@pytest.mark.stress
@pytest.mark.parametrize("vcpus", COUNTS)
def test_with_a_thread_for_each_vcpu(image, vcpus, x2apic):
    for _ in range(5):
        kernel = Kernel(image, vcpus, x2apic=x2apic, machine=ThreadedMachine)
        assert isinstance(kernel.machine.run(60), MachineHalted)
        assert kernel.said == EVERYTHING
