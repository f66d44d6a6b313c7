# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A map under any sequence of operations, against a model with one entry a byte.

The model is as naive as can be: a list of records, and for an access a walk over its bytes.
"""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from memregion.recording import Slots
from vmmkit.errors import (
    AccessAddressError,
    AccessSizeError,
    DeniedError,
    ImmutableRegionError,
    OverlapError,
    RegionRangeError,
    StraddleError,
    TransactionError,
    UnmappedError,
)
from vmmkit.memregion import IMMUTABLE, READ, WRITE, AccessPolicy, RegionMap

BITS = 7
SPACE = 1 << BITS

POLICIES = [
    AccessPolicy(),
    AccessPolicy(max_size=2, too_wide="split"),
    AccessPolicy(max_size=4, too_wide="ones", denied="ones"),
    AccessPolicy(min_size=2, too_narrow="ones"),
    AccessPolicy(min_size=2, max_size=16, aligned=True, misaligned="split"),
    AccessPolicy(aligned=True, misaligned="ones", max_size=4, too_wide="split"),
]
FLAGS = [READ | WRITE, READ, WRITE, READ | WRITE | IMMUTABLE]


class Device:
    """Answers with bytes that depend on where they are, and notes what is written where."""

    def __init__(self, seed):
        self.seed = seed
        self.written = []

    def byte(self, offset):
        return (self.seed * 37 + offset * 11) & 0xFF

    def read(self, vcpu, offset, size):
        return sum(self.byte(offset + n) << 8 * n for n in range(size)) | -1 << 8 * size

    def write(self, vcpu, offset, size, value):
        data = value.to_bytes(size, "little")
        self.written += [(offset + n, data[n]) for n in range(size)]


class Twin:
    """The model of one region."""

    def __init__(self, base, size, flags, policy, device, fallback, enabled):
        self.base, self.size, self.flags, self.policy = base, size, flags, policy
        self.device, self.fallback, self.enabled = device, fallback, enabled

    def covers(self, address):
        return self.enabled and self.base <= address < self.base + self.size

    def state(self):
        return self.base, self.enabled


def verdict(twin, base, address, size, way):
    """Say what becomes of an access to one region: bytes to touch, "ones", or an error."""
    policy, offset = twin.policy, address - base
    word, error = None, None
    if not twin.flags & way:
        word, error = policy.denied, DeniedError
    elif size > policy.max_size:
        word, error = policy.too_wide, AccessSizeError
    elif size < policy.min_size:
        word, error = policy.too_narrow, AccessSizeError
    elif policy.aligned and offset % size:
        word, error = policy.misaligned, DeniedError
    if word == "split":
        word = "whole"
        if policy.aligned and policy.min_size > 1 and offset % policy.min_size:
            word, error = policy.too_narrow, AccessSizeError
    return error if word == "raise" else word or "whole"


class MapMachine(RuleBasedStateMachine):
    regions = Bundle("regions")

    @initialize(straddle=st.sampled_from(["raise", "ones", "split"]))
    def start(self, straddle):
        self.straddle = straddle
        self.mmio = RegionMap(address_bits=BITS, straddle=straddle)
        self.ports = [self.mmio.port(vcpu) for vcpu in range(2)]
        self.slots = Slots()
        self.mmio.subscribe(self.slots)
        self.twins = {}
        self.committed = {}  # the model of what ports see
        self.transactions = []  # (transaction, the twins' states to return to)
        self.seeds = 0

    # -- the model ----------------------------------------------------------------------------

    def overlapping(self, twins):
        """Tell whether two enabled twins of one kind share a byte."""
        for fallback in (False, True):
            ranges = sorted(
                (base, base + twin.size)
                for twin, (base, enabled) in twins.items()
                if enabled and twin.fallback is fallback
            )
            if any(stop > start for (_, stop), (start, _) in itertools.pairwise(ranges)):
                return True
        return False

    def wished(self):
        return {twin: twin.state() for twin in self.twins.values()}

    def apply(self, operation, change, undo):
        """Run one operation on both; outside of transactions it may be refused for overlap."""
        change()
        if not self.transactions and self.overlapping(self.wished()):
            undo()
            with pytest.raises(OverlapError):
                operation()
            return False
        operation()
        if not self.transactions:
            self.committed = self.wished()
        return True

    def owner(self, address):
        for fallback in (False, True):
            for twin, (base, enabled) in self.committed.items():
                if twin.fallback is fallback and enabled and base <= address < base + twin.size:
                    return twin
        return None

    # -- rules --------------------------------------------------------------------------------

    @rule(
        target=regions,
        base=st.integers(0, SPACE),
        size=st.integers(1, 40),
        flags=st.sampled_from(FLAGS),
        policy=st.sampled_from(POLICIES),
        fallback=st.sampled_from([False, False, True]),
        enabled=st.sampled_from([True, True, False]),
    )
    def add(self, base, size, flags, policy, fallback, enabled):
        add = self.mmio.add_fallback if fallback else self.mmio.add
        self.seeds += 1
        device = Device(self.seeds)
        arguments = {"flags": flags, "policy": policy, "enabled": enabled}
        if base + size > SPACE:
            with pytest.raises(RegionRangeError):
                add(base, size, device, **arguments)
            return multiple()
        twin = Twin(base, size, flags, policy, device, fallback, enabled)
        made = []
        key = object()
        placed = self.apply(
            lambda: made.append(add(base, size, device, **arguments)),
            lambda: self.twins.__setitem__(key, twin),
            lambda: self.twins.pop(key),
        )
        if not placed:
            return multiple()
        del self.twins[key]
        self.twins[made[0]] = twin
        return made[0]

    def known(self, region):
        """Skip handles whose making was undone with a transaction."""
        return self.twins.get(region)

    @rule(region=regions, base=st.integers(-4, SPACE))
    def move(self, region, base):
        twin = self.known(region)
        if twin is None:
            return
        if twin.flags & IMMUTABLE:
            with pytest.raises(ImmutableRegionError):
                region.move(base)
            return
        if base < 0 or base + twin.size > SPACE:
            with pytest.raises(RegionRangeError):
                region.move(base)
            return
        old = twin.base
        self.apply(
            lambda: region.move(base),
            lambda: setattr(twin, "base", base),
            lambda: setattr(twin, "base", old),
        )

    @rule(region=regions, enabled=st.booleans())
    def switch(self, region, enabled):
        twin = self.known(region)
        if twin is None:
            return
        if twin.flags & IMMUTABLE and not enabled:
            with pytest.raises(ImmutableRegionError):
                region.disable()
            return
        old = twin.enabled
        self.apply(
            region.enable if enabled else region.disable,
            lambda: setattr(twin, "enabled", enabled),
            lambda: setattr(twin, "enabled", old),
        )

    @rule(region=consumes(regions), close=st.booleans())
    def remove(self, region, close):
        twin = self.known(region)
        if twin is None:
            return
        remove = self.mmio.remove_fallback if twin.fallback else self.mmio.remove
        if twin.flags & IMMUTABLE:
            with pytest.raises(ImmutableRegionError):
                remove(region)
            return
        if close and self.transactions:
            with pytest.raises(TransactionError):
                region.close()
        self.apply(
            region.close if close and not self.transactions else lambda: remove(region),
            lambda: self.twins.pop(region),
            lambda: None,
        )

    @precondition(lambda self: len(self.transactions) < 2)
    @rule()
    def begin(self):
        transaction = self.mmio.transaction()
        states = {region: (twin, twin.state()) for region, twin in self.twins.items()}
        transaction.__enter__()
        self.transactions.append((transaction, states))

    @precondition(lambda self: self.transactions)
    @rule(fail=st.booleans())
    def end(self, fail):
        transaction, states = self.transactions.pop()
        refused = not self.transactions and self.overlapping(self.wished())
        if fail:
            transaction.__exit__(KeyError, KeyError(), None)
        elif refused:
            with pytest.raises(OverlapError):
                transaction.__exit__(None, None, None)
        else:
            transaction.__exit__(None, None, None)
        if fail or refused:
            self.twins = {}
            for region, (twin, (twin.base, twin.enabled)) in states.items():
                self.twins[region] = twin
        if not self.transactions:
            self.committed = self.wished()

    @rule(
        vcpu=st.integers(0, 1),
        address=st.integers(-2, SPACE + 1),
        size=st.sampled_from([1, 2, 4, 8, 16, 3]),
        value=st.integers(0, (1 << 128) - 1),
        write=st.booleans(),
        times=st.integers(1, 2),
    )
    def access(self, vcpu, address, size, value, write, times):
        port = self.ports[vcpu]
        for _ in range(times):
            expected, written = self.predict(address, size, value, WRITE if write else READ)
            before = {twin: len(twin.device.written) for twin in self.committed}
            if isinstance(expected, type):
                with pytest.raises(expected):
                    port.write(address, size, value) if write else port.read(address, size)
            elif write:
                port.write(address, size, value)
            else:
                assert port.read(address, size) == expected
            for twin, length in before.items():
                assert twin.device.written[length:] == written.get(twin, [])

    def predict(self, address, size, value, way):
        """Say what an access returns or raises, and which bytes it writes where."""
        if size == 3:
            return AccessSizeError, {}
        if address < 0 or address + size > SPACE:
            return AccessAddressError, {}
        owners = [self.owner(address + n) for n in range(size)]
        if set(owners) == {None}:
            return UnmappedError, {}
        ones = (1 << 8 * size) - 1
        if len(set(owners)) > 1:
            if self.straddle == "raise":
                return StraddleError, {}
            if self.straddle == "ones":
                return ones, {}
            parts = self.cut(owners, address, size)
        else:
            parts = [(owners[0], address, size)]
        return self.perform(parts, address, value, way)

    def cut(self, owners, address, size):
        """Cut an access into naturally aligned parts with one owner each."""
        parts, at = [], 0
        while at < size:
            width = size
            while (
                width > size - at
                or (address + at) % width
                or any(owner is not owners[at] for owner in owners[at : at + width])
            ):
                width >>= 1
            parts.append((owners[at], address + at, width))
            at += width
        return parts

    def perform(self, parts, origin, value, way):
        result, written = 0, {}
        for twin, address, size in parts:
            base = 0 if twin is None else self.committed[twin][0]
            word = UnmappedError if twin is None else verdict(twin, base, address, size, way)
            if isinstance(word, type):
                return word, {}
            for n in range(size):
                shift = 8 * (address + n - origin)
                offset = address + n - base
                result |= (0xFF if word == "ones" else twin.device.byte(offset)) << shift
                if way == WRITE and word != "ones":
                    written.setdefault(twin, []).append((offset, value >> shift & 0xFF))
        return result, written

    # -- what always holds ----------------------------------------------------------------------

    @invariant()
    def same_regions(self):
        if not hasattr(self, "mmio"):
            return
        self.mmio._check()
        for fallback, shown in ((False, list(self.mmio)), (True, list(self.mmio.fallbacks))):
            expected = sorted(
                (base, twin.size)
                for twin, (base, enabled) in self.committed.items()
                if enabled and twin.fallback is fallback
            )
            assert [(region.base, region.size) for region in shown] == expected
        assert self.slots.slots == {r: (r.base, r.size) for r in self.mmio}
        for address in (0, SPACE // 2, SPACE - 1):
            owner = self.owner(address)
            found = self.mmio.find(address)
            assert (found is None) == (owner is None or owner.fallback)

    def teardown(self):
        while getattr(self, "transactions", []):
            self.transactions.pop()[0].__exit__(KeyError, KeyError(), None)


TestMapMachine = MapMachine.TestCase
TestMapMachine.settings = settings(stateful_step_count=40, deadline=None)
