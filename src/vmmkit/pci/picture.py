# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Pictures of what is plugged into a host bridge: a text tree and an SVG drawing.

Both show functions by bus, with their BARs, the windows of bridges, and how interrupts leave. The
drawing shows the windows and BARs a second time, in order of their addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vmmkit.pci._picture_svg import draw
from vmmkit.pci._topology import (
    ShownBar,
    ShownBus,
    ShownFunction,
    look_at,
    range_text,
    size_text,
)

if TYPE_CHECKING:
    from vmmkit.pci.bus import Bus
    from vmmkit.pci.host_bridge import HostBridge

__all__ = ["to_svg", "tree"]


def to_svg(host: HostBridge) -> str:
    """Return an SVG drawing of all that is below a host bridge.

    The left part is the topology, the right part who has which addresses. The drawing has a
    background of its own, and looks the same wherever it is put.
    """
    return draw(look_at(host))


def tree(host: HostBridge, bus: Bus | None = None) -> str:
    """Return a text with a line for each function, BAR and bridge window, as `lspci -t` indents.

    Args:
        host: what to show.
        bus: one of its buses, to show that and what is behind it only.
    """
    shown = look_at(host, bus)
    head = [f"{shown.name}: {shown.summary}"] if bus is None else []
    return "\n".join([*head, *_bus_lines(shown.bus)])


def _bus_lines(bus: ShownBus) -> Iterator[str]:
    number = f"{bus.number:02x}" if bus.reachable else "not reachable"
    yield f"-[{number}]"
    for function in bus.functions:
        is_last = function is bus.functions[-1]
        first, *more = _function_lines(function)
        yield ("  \\-" if is_last else "  +-") + first
        stem = "    " if is_last else "  | "
        yield from (stem + line for line in more)


def _function_lines(function: ShownFunction) -> Iterator[str]:
    details = [function.power, function.interrupts]
    if function.behind is not None:
        details.append(f"bridge to {function.behind.number:02x}-{function.subordinate:02x}")
    shown = ", ".join(detail for detail in details if detail)
    yield f"{function.place}  {function.ids}  {function.name}{shown and f'  ({shown})'}"
    for window in function.windows:
        span = range_text(window.first, window.last, ports=window.space == "io")
        yield f"      window {window.space:4}  {span}"
    yield from (_bar_line(bar) for bar in function.bars)
    if function.behind is not None:
        yield from _bus_lines(function.behind)


def _bar_line(bar: ShownBar) -> str:
    kind = " ".join((bar.kind, *bar.notes))
    place = ""
    if bar.base is not None:
        place = range_text(bar.base, bar.base + bar.size - 1, ports=bar.kind == "io") + "  "
    return f"      {bar.name}  {kind}  {size_text(bar.size)}  {place}{bar.state}"
