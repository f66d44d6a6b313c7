# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""All codes of findings: how much they matter, what they say, and what they do to a guest.

What is quoted are messages of Linux 6.1, or of ACPICA where that is said.
"""

from __future__ import annotations

from typing import Final

from vmmkit.acpi.validate._content_rules import CONTENT_RULES
from vmmkit.acpi.validate._machine_rules import MACHINE_RULES
from vmmkit.acpi.validate._table_rules import TABLE_RULES
from vmmkit.acpi.validate.finding import Rule

__all__ = ["RULES", "Rule"]

#: What each code stands for.
RULES: Final[dict[str, Rule]] = {**TABLE_RULES, **MACHINE_RULES, **CONTENT_RULES}
