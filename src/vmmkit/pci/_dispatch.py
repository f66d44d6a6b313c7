# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Guest accesses to the registers of one BAR of one device, at the price of two dict probes.

What an access does is decided when its size and offset are first seen, and is kept as an entry in a
table: which register, which masks, which bound method. The usual access, to the whole of one
register, is done by the functions below themselves; anything else (several registers, parts of
them, reads that change something) is a compiled function in the entry.

Tracing empties the tables and goes into the entries made from then on. So there is not even a test
for it on the way of an access that is not traced.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from vmmkit.pci._layout import BarLayout, FieldHook, Part, Register
from vmmkit.pci.trace import RegisterAccess, TraceSink

__all__ = ["RegisterDispatch", "TABLE_LIMIT", "Unclaimed", "constant"]

#: Entries that one table keeps; a sweep of a guest over all offsets does not fill the memory.
TABLE_LIMIT: Final = 16384

ReadBar = Callable[[Any, int, int], int]
WriteBar = Callable[[Any, int, int, int], object]
#: What answers where no register is.
Unclaimed = tuple[ReadBar, WriteBar]

ReadStep = Callable[[Any], int]
WriteStep = Callable[[Any, int], object]
WriteHook = Callable[[int, int], object]
#: The key of a plain register; else a bound hook and the mask of its result; else a whole plan.
ReadEntry = tuple[str | None, Callable[[], int] | None, int, ReadStep | None]
#: Bits kept, bits taken over, bits cleared by ones.
Masks = tuple[int, int, int]
#: Key, masks (`None`: every bit is stored), bound hook; or, with no key, a plan in the last place.
WriteEntry = tuple[str | None, Masks | None, Callable[..., object] | None]


def constant(byte: int) -> Unclaimed:
    """Make handlers that read as `byte` everywhere and drop writes."""

    def read(_vcpu: object, _offset: int, size: int, /) -> int:
        return int.from_bytes(bytes((byte,)) * size, "little")

    def write(_vcpu: object, _offset: int, _size: int, _value: int, /) -> None:
        """Drop the value."""

    return read, write


def _drop(_vcpu: object, _value: int, /) -> None:
    """Take no notice of a write."""


class RegisterDispatch:
    """The way from a BAR's accesses to a device's values and hooks.

    Args:
        layout: the BAR's registers.
        device: whose methods the hooks are.
        values: the device's registers by name; always the same dict.
        unclaimed: what answers where no register is.

    Attributes:
        read: `read(vcpu, offset, size)`.
        write: `write(vcpu, offset, size, value)`.
    """

    __slots__ = (
        "read",
        "write",
        "_layout",
        "_device",
        "_values",
        "_unclaimed",
        "_reads",
        "_writes",
        "_sink",
    )

    def __init__(
        self, layout: BarLayout, device: Any, values: dict[str, int], unclaimed: Unclaimed
    ) -> None:
        """Start with empty tables."""
        self._layout = layout
        self._device = device
        self._values = values
        self._unclaimed = unclaimed
        self._reads: dict[int, dict[int, ReadEntry]] = {}
        self._writes: dict[int, dict[int, WriteEntry]] = {}
        self._sink: TraceSink | None = None
        self.read = self._bind_read()
        self.write = self._bind_write()

    def trace(self, sink: TraceSink | None) -> None:
        """Tell `sink` of each access from now on, or nobody."""
        # First the sink, then the tables: who makes an entry meanwhile looks at the sink again. The
        # lists are made in one step, while vCPUs may add tables.
        self._sink = sink
        for reads in list(self._reads.values()):
            reads.clear()
        for writes in list(self._writes.values()):
            writes.clear()

    # -- hits ------------------------------------------------------------------------------------

    def _bind_read(self) -> ReadBar:
        table, values, fill = self._reads, self._values, self._fill_read

        def read(vcpu: object, offset: int, size: int, /) -> int:
            try:
                key, hook, mask, plan = table[size][offset]
            except KeyError:
                key, hook, mask, plan = fill(offset, size)
            if key is not None:
                return values[key]
            if hook is not None:
                value = hook()
                try:
                    return value & mask
                except TypeError as error:
                    raise _no_integer(hook, value) from error
            return plan(vcpu)  # type: ignore[misc]

        return read

    def _bind_write(self) -> WriteBar:
        table, values, fill = self._writes, self._values, self._fill_write

        def write(vcpu: object, offset: int, size: int, value: int, /) -> None:
            try:
                key, masks, hook = table[size][offset]
            except KeyError:
                key, masks, hook = fill(offset, size)
            if key is None:
                hook(vcpu, value)  # type: ignore[misc]
                return
            if masks is not None:
                keep, take, w1c = masks
                old = values[key]
                value = (old & keep | value & take) & ~(value & w1c)
            elif hook is not None:
                old = values[key]
            values[key] = value
            if hook is not None:
                hook(old, value)

        return write

    # -- misses ----------------------------------------------------------------------------------

    def _fill_read(self, offset: int, size: int) -> ReadEntry:
        sink = self._sink
        parts = tuple(self._layout.parts(offset, size))
        entry = self._read_entry(parts, offset, size)
        if sink is not None:
            plan = self._traced_read(sink, entry, self._record(parts, offset, size))
            entry = None, None, 0, plan
        cell = self._reads.setdefault(size, {})
        if len(cell) >= TABLE_LIMIT:
            cell.clear()
        cell[offset] = entry
        if self._sink is not sink:
            cell.clear()
        return entry

    def _fill_write(self, offset: int, size: int) -> WriteEntry:
        sink = self._sink
        parts = tuple(self._layout.parts(offset, size))
        entry = self._write_entry(parts, offset, size)
        if sink is not None:
            plan = self._traced_write(sink, entry, self._record(parts, offset, size))
            entry = None, None, plan
        cell = self._writes.setdefault(size, {})
        if len(cell) >= TABLE_LIMIT:
            cell.clear()
        cell[offset] = entry
        if self._sink is not sink:
            cell.clear()
        return entry

    # -- reads -----------------------------------------------------------------------------------

    def _read_entry(self, parts: tuple[Part, ...], offset: int, size: int) -> ReadEntry:
        register = parts[0].register
        if register is not None and _whole(register, offset, size):
            if register.plain:
                return register.name, None, 0, None
            if register.on_read is not None and not register.rc and not register.fixed:
                return None, self._read_hook(register), register.visible, None
        steps = [self._read_step(part, offset, size) for part in parts]
        if len(steps) == 1:
            return None, None, 0, steps[0]
        return None, None, 0, lambda vcpu: sum(step(vcpu) for step in steps)

    def _read_step(self, part: Part, offset: int, size: int) -> ReadStep:
        up = 8 * part.first
        bits = (1 << 8 * part.size) - 1
        register = part.register
        if register is None:
            unclaimed, at, count = self._unclaimed[0], offset + part.first, part.size
            return lambda vcpu: (unclaimed(vcpu, at, count) & bits) << up
        if not _accepted(register, offset, size):
            refused = int.from_bytes(bytes((register.refused,)) * part.size, "little") << up
            return lambda _vcpu: refused
        down = 8 * (offset + part.first - register.offset)
        source = self._source(register, bits << down)
        return lambda _vcpu: (source() >> down & bits) << up

    def _source(self, register: Register, lanes: int) -> Callable[[], int]:
        """Make a function that reads a register as a guest sees it, through these lanes."""
        values, name = self._values, register.name
        visible, fixed, cleared = register.visible, register.fixed, register.rc & lanes
        hook = None if register.on_read is None else self._read_hook(register)

        def source() -> int:
            value = (values[name] & visible if hook is None else _answer(hook, visible)) | fixed
            if cleared:
                values[name] &= ~cleared
            return value

        return source

    def _read_hook(self, register: Register) -> Callable[[], int]:
        hook: Callable[..., int] = getattr(self._device, register.on_read or "")
        return hook if register.index is None else partial(hook, register.index)

    # -- writes ----------------------------------------------------------------------------------

    def _write_entry(self, parts: tuple[Part, ...], offset: int, size: int) -> WriteEntry:
        register = parts[0].register
        if register is not None and _whole(register, offset, size):
            hook = self._write_hook(register, register.mask)
            if hook is None and not register.take and not register.w1c:
                return None, None, _drop
            return register.name, _masks(register), hook
        steps = [self._write_step(part, offset, size) for part in parts]

        def plan(vcpu: object, value: int) -> None:
            for step in steps:
                step(vcpu, value)

        return None, None, steps[0] if len(steps) == 1 else plan

    def _write_step(self, part: Part, offset: int, size: int) -> WriteStep:
        down = 8 * part.first
        bits = (1 << 8 * part.size) - 1
        register = part.register
        if register is None:
            unclaimed, at, count = self._unclaimed[1], offset + part.first, part.size
            return lambda vcpu, value: unclaimed(vcpu, at, count, value >> down & bits)
        if not _accepted(register, offset, size):
            return _drop
        up = 8 * (offset + part.first - register.offset)
        store = self._store(register, bits << up)
        return lambda _vcpu, value: store((value >> down & bits) << up)

    def _store(self, register: Register, lanes: int) -> Callable[[int], None]:
        """Make a function that takes a value for some lanes of a register."""
        values, name = self._values, register.name
        keep, take, w1c = register.keep | ~lanes, register.take & lanes, register.w1c & lanes
        hook = self._write_hook(register, lanes)

        def store(value: int) -> None:
            old = values[name]
            new = (old & keep | value & take) & ~(value & w1c)
            values[name] = new
            if hook is not None:
                hook(old, new)

        return store

    def _write_hook(self, register: Register, lanes: int) -> WriteHook | None:
        """Bind the hook of a register, and those of its fields that have a bit in `lanes`."""
        hooks: list[WriteHook] = []
        if register.on_write is not None:
            hooks.append(self._bound(register.on_write, register.index))
        hooks.extend(
            _narrowed(self._bound(field.method, register.index), field)
            for field in register.on_field_write
            if field.mask << field.first & lanes
        )
        if len(hooks) <= 1:
            return hooks[0] if hooks else None

        def call_all(old: int, new: int) -> None:
            for hook in hooks:
                hook(old, new)

        return call_all

    def _bound(self, method: str, index: int | None) -> WriteHook:
        hook: Callable[..., object] = getattr(self._device, method)
        return hook if index is None else partial(hook, index)

    # -- tracing ---------------------------------------------------------------------------------

    def _record(
        self, parts: tuple[Part, ...], offset: int, size: int
    ) -> Callable[[bool, int], RegisterAccess]:
        names = tuple(part.register.name for part in parts if part.register is not None)
        name, bar = self._device.name, self._layout.bar.name

        def record(is_write: bool, value: int) -> RegisterAccess:
            return RegisterAccess(name, bar, offset, size, is_write, value, names)

        return record

    def _traced_read(
        self, sink: TraceSink, entry: ReadEntry, record: Callable[[bool, int], RegisterAccess]
    ) -> ReadStep:
        key, hook, mask, plan = entry
        values = self._values

        def read(vcpu: object) -> int:
            if key is not None:
                value = values[key]
            elif hook is not None:
                value = _answer(hook, mask)
            else:
                value = plan(vcpu)  # type: ignore[misc]
            sink(record(False, value))
            return value

        return read

    def _traced_write(
        self, sink: TraceSink, entry: WriteEntry, record: Callable[[bool, int], RegisterAccess]
    ) -> WriteStep:
        key, masks, hook = entry
        keep, take, w1c = masks or (0, -1, 0)
        values = self._values

        def write(vcpu: object, value: int) -> None:
            sink(record(True, value))
            if key is None:
                hook(vcpu, value)  # type: ignore[misc]
                return
            old = values[key]
            new = values[key] = (old & keep | value & take) & ~(value & w1c)
            if hook is not None:
                hook(old, new)

        return write


def _whole(register: Register, offset: int, size: int) -> bool:
    """Whether an access is that of one register, and one it takes."""
    exact = register.offset == offset and register.size == size
    return exact and _accepted(register, offset, size)


def _masks(register: Register) -> Masks | None:
    if register.take == register.mask and not register.keep and not register.w1c:
        return None
    return register.keep, register.take, register.w1c


def _accepted(register: Register, offset: int, size: int) -> bool:
    widths = register.widths
    return widths is None or (size in widths and offset % size == 0)


def _narrowed(hook: WriteHook, field: FieldHook) -> WriteHook:
    """Call a field's hook with the values of the field."""
    first, mask = field.first, field.mask
    return lambda old, new: hook(old >> first & mask, new >> first & mask)


def _answer(hook: Callable[[], int], mask: int) -> int:
    """Call a read hook, and refuse what is no integer."""
    value = hook()
    try:
        return value & mask
    except TypeError as error:
        raise _no_integer(hook, value) from error


def _no_integer(hook: Callable[[], int], value: object) -> TypeError:
    """Make the error of a read hook that forgot its `return`."""
    method = hook.func if isinstance(hook, partial) else hook
    return TypeError(f"{method.__qualname__} returned {value!r}, which is no integer")
