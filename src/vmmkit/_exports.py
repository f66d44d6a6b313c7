# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Public names of a package that are imported when they are first asked for.

Who takes one class out of a block waits for the modules behind that class, not for the block. A
package names its exports in a table, module by module, and binds what `exports` makes of it as its
own `__getattr__` and `__dir__` (PEP 562). For type checkers and other readers the same imports
stand beside the table, under `TYPE_CHECKING`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType

__all__ = ["exports"]


class _PublicNamesFirst(ModuleType):
    """A package in which a public name is never hidden by the module of the same name.

    The import system binds `package.serve` to the module once that is loaded, by whomever. Where
    `serve` is also the public name of a function in it, the function is what callers mean.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in self.__dict__.get("__all__", ())):
            super().__setattr__(name, value)


def exports(
    package: str, table: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make the `__getattr__` and the `__dir__` of a package.

    Args:
        package: the package's name, which is loaded and has its `__all__`.
        table: for each module, by its name within the package, the names it exports, separated by
            blanks.

    Returns:
        The two functions. What the first has found is bound in the package, so that it is asked
        once for each name, or a few times where threads ask together: they get the same object.
        It finds the modules of the table themselves, too.
    """
    module = sys.modules[package]
    homes = {name: home for home, names in table.items() for name in names.split()}
    if not homes.keys().isdisjoint(table):
        module.__class__ = _PublicNamesFirst

    def find(name: str) -> object:
        """Import what is asked for."""
        if name in homes:
            found: object = getattr(import_module(f"{package}.{homes[name]}"), name)
        elif name in table:
            found = import_module(f"{package}.{name}")
        else:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=module)
        setattr(module, name, found)
        return found

    def names() -> list[str]:
        """List what is bound and what could be."""
        return sorted({*vars(module), *homes, *table})

    return find, names
