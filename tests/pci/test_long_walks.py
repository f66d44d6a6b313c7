# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The state machines of the other files, for longer: many more walks, and longer ones."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from pci.test_bus_machine import Machine as BusMachine
from pci.test_hotplug_model import SlotMachine
from pci.test_interrupts_model import InterruptsMachine

pytestmark = pytest.mark.slow

LONGER = settings(
    max_examples=600,
    stateful_step_count=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("machine", [BusMachine, SlotMachine, InterruptsMachine])
def test_a_long_walk_ends_where_the_model_says(machine):
    run_state_machine_as_test(machine, settings=LONGER)
