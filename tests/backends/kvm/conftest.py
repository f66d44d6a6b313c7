# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Skip what needs the kernel's virtual machines where they are of no use, and say why."""

import pytest

from vmmkit.backends.kvm import unusable_reason


def pytest_collection_modifyitems(items):
    reason = unusable_reason()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("kvm"):
            item.add_marker(pytest.mark.skip(reason=reason))
