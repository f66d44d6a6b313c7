# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Judges table sets by their bytes: what tools and guests pass over in silence."""

from vmmkit.acpi.validate.codes import RULES
from vmmkit.acpi.validate.finding import Finding, Rule, Severity
from vmmkit.acpi.validate.validator import Machine, validate

__all__ = ["validate", "Machine", "Finding", "Severity", "RULES", "Rule"]
