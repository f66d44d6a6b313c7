# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Building blocks for x86 virtual machine monitors.

Take the blocks you need; none of them imports another:

* `vmmkit.memregion`: the guest-physical and port address map,
* `vmmkit.insn`: the instruction decoder and emulator,
* `vmmkit.devices`: device models written against the public API,
* `vmmkit.backends`: processors that speak the protocols.
"""

from typing import Final

__all__ = ["__version__"]

__version__: Final = "0.1.0"
