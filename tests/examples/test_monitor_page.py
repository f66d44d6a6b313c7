# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The page that assembles a monitor, on KVM: the same but for the line that it names."""

import doctest
from pathlib import Path

import pytest

from vmmkit.backends.kvm import unusable_reason

PAGE = Path(__file__).parents[2] / "docs" / "monitor.md"
LINE = "from vmmkit.backends import ThreadedMachine as Machine"
DIFFERENCES = {
    LINE: "from vmmkit.backends import KvmMachine as Machine",
}
ENDS = "## To see what it does"  # by a picture of the ports, which are fewer with KVM

pytestmark = pytest.mark.kvm


def test_the_steps_run_on_kvm():
    if reason := unusable_reason():
        pytest.skip(reason)
    text = PAGE.read_text().partition(ENDS)[0].replace("```", "")
    for soft, kvm in DIFFERENCES.items():
        assert soft in text
        text = text.replace(soft, kvm)
    test = doctest.DocTestParser().get_doctest(text, {}, "monitor.md", str(PAGE), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    try:
        assert runner.run(test, clear_globs=False).failed == 0
    finally:
        if "machine" in test.globs:
            test.globs["machine"].close()
