# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What of two runs must agree."""

__all__ = ["differing"]

FRAME = 48  # bytes of the largest frame
IN_RING0 = "hlt"


def _without_frames(memory, runs):
    """RAM as it would be had neither run pushed anything."""
    kept = bytearray(memory)
    for found in runs:
        start = found["rsp"]
        kept[start : start + FRAME] = bytes(FRAME)
    return bytes(kept)


def _frame(found):
    start = found["rsp"]
    return [
        int.from_bytes(found["memory"][start + at : start + at + 8], "little")
        for at in range(0, FRAME, 8)
    ]


def differing(peer, own, ignored=frozenset()):
    """Pairs of what differs, by name; `ignored` as in `Difference.fields`.

    A run that does not end in a handler is compared by how it ended.
    """
    if "*" in ignored:
        return {}
    if peer[0] != own[0]:
        return {"end": (peer[0], own[0])}
    if own[0] != IN_RING0:
        return {}
    runs = peer[1], own[1]
    names = own[1].keys() - ignored - {"memory"}
    found = {
        name: tuple(hex(run[name]) for run in runs)
        for name in sorted(names)
        if peer[1][name] != own[1][name]
    }
    if "frame" not in ignored and _frame(peer[1]) != _frame(own[1]):
        found["frame"] = tuple([hex(word) for word in _frame(run)] for run in runs)
    images = [_without_frames(run["memory"], runs) for run in runs]
    if images[0] != images[1]:
        places = (at for at, pair in enumerate(zip(*images, strict=True)) if len(set(pair)) > 1)
        found["memory"] = hex(next(places))
    return found
