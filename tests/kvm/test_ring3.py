# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Exceptions out of ring 3, on a virtual machine and on the engines: registers, frame, RAM."""

import pytest

from insn.kernel import HANDLERS
from kvm.nested_differences import DIFFERENCES
from kvm.peer import Peer, ours, ring3
from kvm.ring3_cases import CASES, TRIPLE
from kvm.seen import differing

pytestmark = pytest.mark.kvm


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_exception(engine, case):
    machine = case.apply(ring3(engine, case.mode, case.code))
    peer = Peer(machine).run()
    kind, found = ours(machine)
    if case.vector == TRIPLE:
        assert kind == "shutdown"
    else:
        assert (kind, found["rip"]) == ("hlt", HANDLERS + 16 * case.vector + 1)
    ignored = DIFFERENCES[case.difference].fields if case.difference else frozenset()
    assert differing(peer, (kind, found), ignored) == {}


def test_every_difference_is_met():
    assert {case.difference for case in CASES} - {""} == set(DIFFERENCES)
