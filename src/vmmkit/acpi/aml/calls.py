# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Calls of control methods.

ACPI Specification, AML Grammar Definition, "Term Objects Encoding" (MethodInvocation).
"""

from __future__ import annotations

from typing import ClassVar

from vmmkit.acpi.aml.encoding import shown
from vmmkit.acpi.aml.node import Path, Place, Value, encode_list, operand, path
from vmmkit.errors import AmlValueError

__all__ = ["Call"]


class Call(Place):
    """A call of a method: its name and as many arguments as it takes.

    Nothing in the bytes says how many those are; a reader has to know the method. Without
    arguments it is no different from the name alone.

    Args:
        name: of the method.
        arguments: up to 7 values.

    Raises:
        AmlValueError: no legal name, more than 7 arguments, or one that yields no value.
    """

    __slots__ = ()

    MAX_ARGUMENTS: ClassVar[int] = 7

    def __init__(self, name: str | Path, *arguments: Value) -> None:
        """Encode name and arguments; `args` is the name and a tuple of the others."""
        if len(arguments) > self.MAX_ARGUMENTS:
            raise AmlValueError(f"a method takes up to 7 arguments, not {len(arguments)}")
        nodes = tuple([operand(argument) for argument in arguments])
        named = path(name)
        if not named.encoded[-1]:
            raise AmlValueError(f"{shown(named.text)} does not name a method")
        self.args = (named, nodes)
        self.encoded, self.relocations = encode_list((named, *nodes))
