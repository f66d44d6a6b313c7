# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What an access through a port costs, beside other designs and beside Unicorn.

Run with `pytest benchmarks/bench_memregion.py -o python_files='bench_*.py'`. Every measured
call makes many accesses in a loop of its own. Before each round of a row the floor, a bare call
of the same handler in the same loop, is timed as well. A row's ratio is the median over the rounds
of its time divided by the floor's just before it, so that neither a busy neighbour nor a clock
that changes between rows decides. The table at the end shows these ratios, the figure to hold
beside each, and `ok` or `MISSED`; `extra_info` of the JSON record has them as `ratio`.

The other designs do less: but for the granule table they neither mask nor check results, and
none knows policies, edges or locks. They are here for the shape of their curves.
"""

import gc
from bisect import bisect_right
from random import Random
from statistics import median
from time import perf_counter

import pytest
from intervaltree import IntervalTree
from sortedcontainers import SortedDict

from vmmkit.memregion import RegionMap

BASE, STRIDE, SIZE = 0xC000_0000, 0x2000, 0x1000
HOLE = 0x1000
COUNTS = (10, 1_000, 100_000)
ACCESSES = 5_000
ROUNDS = 40

RESULTS = []


class Summary:
    """Prints the table of ratios when the run is over."""

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("address map: times as ratios to a bare call of the handler")
        for group in dict.fromkeys(result["group"] for result in RESULTS):
            terminalreporter.write_line(group)
            for row in RESULTS:
                if row["group"] == group:
                    terminalreporter.write_line(
                        f"  {row['label']:44}{row['ns']:12.1f} ns {row['ratio']:9.2f}x  "
                        f"{row['hold']:>12}  {row['verdict']}"
                    )


@pytest.fixture(scope="module", autouse=True)
def _summary(request):
    RESULTS.clear()
    request.config.pluginmanager.register(Summary(), "memregion-summary")


def handler(vcpu, address, size):
    return 0x5A


def writer(vcpu, address, size, value):
    pass


def call_bare(addresses):
    vcpu = None
    bare = handler
    for address in addresses:
        bare(vcpu, address, 4)


def call(read, addresses):
    for address in addresses:
        read(address, 4)


def measure(
    benchmark, run, addresses, label, group, hold=None, hold_ns=None, setup=None, rounds=ROUNDS
):
    """Measure one row with its floor in turns, and note it for the summary."""
    floors = []
    operations = len(addresses)

    def before_round():
        if setup is not None:
            setup()
        start = perf_counter()
        call_bare(addresses)
        floors.append((perf_counter() - start) / operations)

    run()
    benchmark.group = group
    benchmark.pedantic(run, setup=before_round, rounds=rounds, warmup_rounds=1)
    times = [seconds / operations for seconds in benchmark.stats.stats.data]
    floors = floors[-len(times) :]
    ratio = median(one / floor for one, floor in zip(times, floors, strict=True))
    fastest, floor = min(times) * 1e9, min(floors) * 1e9
    kept = (hold is None or ratio <= hold) and (hold_ns is None or fastest <= hold_ns)
    notes = {"label": label, "operations": operations, "ratio": ratio, "floor_ns": floor}
    if hold is not None:
        notes["hold"] = hold
    if hold_ns is not None:
        notes["hold_ns"] = hold_ns
    benchmark.extra_info.update(notes)
    note(group, label, fastest, ratio, hold_text(hold, hold_ns), kept)


def hold_text(hold, hold_ns):
    if hold is not None:
        return f"<= {hold:g}x"
    return "" if hold_ns is None else f"<= {hold_ns:g} ns"


def note(group, label, ns, ratio, hold, kept):
    verdict = "" if not hold else "ok" if kept else "MISSED"
    RESULTS.append(
        {"group": group, "label": label, "ns": ns, "ratio": ratio, "hold": hold, "verdict": verdict}
    )


# -- address patterns -----------------------------------------------------------------------------


def addresses_of(pattern, count):
    rng = Random(1)
    width = min(8, count)
    return [
        BASE
        + STRIDE
        * {
            "same": lambda n: 0,
            "alternating": lambda n: n % 2,
            "round robin 8": lambda n: n % width,
            "edge": lambda n: n % width,
            "random": lambda n: rng.randrange(count),
        }[pattern](n)
        + (SIZE - 4 if pattern == "edge" else 0x10)
        for n in range(ACCESSES)
    ]


# -- the designs ----------------------------------------------------------------------------------

MAPS = {}


def region_map(count, **more):
    """Make a map of `count` regions once for all rows that want it."""
    key = (count, *more.items())
    if key not in MAPS:
        mmio = RegionMap()
        with mmio.transaction():
            for number in range(count):
                mmio.add(BASE + STRIDE * number, SIZE, read=handler, write=writer, **more)
        mmio.add_fallback(0, BASE)
        MAPS[key] = mmio
    return MAPS[key]


def bases_of(count):
    return [BASE + STRIDE * number for number in range(count)]


def last_hit(count):
    """The design of FreeBSD bhyve: the range hit last, then a search."""
    bases = bases_of(count)
    vcpu, first, last, found = None, 1, 0, None

    def read(address, size):
        nonlocal first, last, found
        if first <= address <= last:
            return found(vcpu, address, size)
        first = bases[bisect_right(bases, address) - 1]
        last, found = first + SIZE - 1, handler
        return found(vcpu, address, size)

    return read


def plain_bisect(count):
    bases = bases_of(count)
    handlers = [handler] * count
    vcpu = None

    def read(address, size):
        at = bisect_right(bases, address) - 1
        if address - bases[at] < SIZE:
            return handlers[at](vcpu, address, size)
        raise LookupError(address)

    return read


def sorted_dict(count):
    tree = SortedDict((base, (SIZE, handler)) for base in bases_of(count))
    vcpu = None

    def read(address, size):
        base, (length, found) = tree.peekitem(tree.bisect_right(address) - 1)
        if address - base < length:
            return found(vcpu, address, size)
        raise LookupError(address)

    return read


def interval_tree(count):
    tree = IntervalTree.from_tuples((base, base + SIZE, handler) for base in bases_of(count))
    vcpu = None

    def read(address, size):
        for interval in tree.at(address):
            return interval.data(vcpu, address, size)
        raise LookupError(address)

    return read


def granule_table(count):
    """The design this library tried first: one entry for 64 bytes, sizes and results checked.

    It knows no edges here, which would cost it more.
    """
    bases = bases_of(count)
    masks = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFF_FFFF, 8: 0xFFFF_FFFF_FFFF_FFFF}
    vcpu, table = None, {}

    def fill(address):
        base = bases[bisect_right(bases, address) - 1]
        return table.setdefault(address >> 6, (handler, base))

    def read(address, size):
        try:
            found, base = table[address >> 6]
        except KeyError:
            found, base = fill(address)
        mask = masks[size]
        return found(vcpu, address - base, size) & mask

    return read


OTHERS = {
    "granule table, offset": granule_table,
    "last hit, then bisect": last_hit,
    "bisect over lists": plain_bisect,
    "SortedDict alone": sorted_dict,
    "intervaltree": interval_tree,
}
FIGURES = {  # label: how regions are placed, figure to hold, figure at random over 100 000
    "absolute, trusted": ({"absolute": True, "trusted": True}, 4.0, 6.0),
    "absolute": ({"absolute": True}, None, None),
    "offset, trusted": ({"trusted": True}, None, None),
    "offset": ({}, 4.8, None),
}
PATTERNS = ("same", "alternating", "round robin 8", "random", "edge")


def hold_of(label, pattern, count):
    _, hold, far = FIGURES[label]
    if pattern == "edge":
        return 8.0
    if count <= 1_000:
        return hold
    return far if pattern == "random" else None


def group_of(count):
    return f"cached access, {count:,} regions".replace(",", " ")


@pytest.mark.parametrize("count", COUNTS)
def test_floor(benchmark, count):
    addresses = addresses_of("same", count)
    measure(benchmark, lambda: call_bare(addresses), addresses, "bare call", group_of(count))
    benchmark.extra_info["floor"] = True


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("label", FIGURES)
@pytest.mark.parametrize("count", COUNTS)
def test_port(benchmark, count, label, pattern):
    addresses = addresses_of(pattern, count)
    read = region_map(count, **FIGURES[label][0]).port(None).read
    hold = hold_of(label, pattern, count)
    row = f"port, {label}: {pattern}"
    measure(benchmark, lambda: call(read, addresses), addresses, row, group_of(count), hold)


@pytest.mark.parametrize("pattern", ["same", "round robin 8", "random"])
@pytest.mark.parametrize("label", OTHERS)
@pytest.mark.parametrize("count", COUNTS)
def test_other_design(benchmark, count, label, pattern):
    key = (label, count)
    if key not in MAPS:
        MAPS[key] = OTHERS[label](count)
    read, addresses = MAPS[key], addresses_of(pattern, count)
    row = f"{label}: {pattern}"
    measure(benchmark, lambda: call(read, addresses), addresses, row, group_of(count), rounds=10)


def test_round_robin_against_same(benchmark):
    """One figure of two rows: eight devices in turn may cost a tenth more than one."""
    read = region_map(1_000).port(None).read
    same, turns = (addresses_of(pattern, 1_000) for pattern in ("same", "round robin 8"))
    call(read, turns)
    times = []

    def before_round():
        start = perf_counter()
        call(read, same)
        times.append(perf_counter() - start)

    benchmark.group = "relations"
    benchmark.pedantic(lambda: call(read, turns), setup=before_round, rounds=4 * ROUNDS)
    turns_times = benchmark.stats.stats.data
    pairs = zip(turns_times, times[-len(turns_times) :], strict=True)
    relation = median(in_turns / at_one for in_turns, at_one in pairs)
    label = "round robin 8 / same, 1 000 regions"
    benchmark.extra_info.update(label=label, operations=ACCESSES, ratio=relation, hold=1.1)
    fastest = min(turns_times) / ACCESSES * 1e9
    note("relations", label, fastest, relation, "<= 1.1x", relation <= 1.1)


# -- accesses that no table answers ---------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
def test_miss(benchmark, count):
    """Every access the first to its region since the tables were emptied."""
    rng = Random(2)
    port = region_map(count).port(None)
    addresses = [BASE + STRIDE * n + 0x20 for n in rng.sample(range(count), min(count, 500))]
    measure(
        benchmark,
        lambda: call(port.read, addresses),
        addresses,
        f"miss, {count:,} regions".replace(",", " "),
        "uncached access",
        hold_ns=1_000 if count == 1_000 else None,
        setup=port.forget,
    )


def test_sweep(benchmark):
    """Every access to the next register of one region, the first since the tables were emptied."""
    port = region_map(1_000).port(None)
    addresses = [BASE + 4 * n for n in range(SIZE // 4)]
    measure(
        benchmark,
        lambda: call(port.read, addresses),
        addresses,
        "sweep over one region, first time",
        "uncached access",
        setup=port.forget,
    )


@pytest.mark.parametrize("count", COUNTS)
def test_unclaimed(benchmark, count):
    read = region_map(count).port(None).read
    addresses = [HOLE + 4 * (n % 100) for n in range(ACCESSES)]
    row = f"unclaimed, to the fallback, {count:,} regions".replace(",", " ")
    measure(
        benchmark, lambda: call(read, addresses), addresses, row, "uncached access", hold_ns=800
    )


# -- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4, 8, 64])
@pytest.mark.parametrize("way", ["read", "write"])
def test_ram(benchmark, way, size):
    mmio = RegionMap()
    mmio.add_ram(BASE, bytearray(SIZE))
    port = mmio.port(None)
    addresses = addresses_of("same", 1)

    def reads():
        for address in addresses:
            port.read(address, size)

    def writes():
        for address in addresses:
            port.write(address, size, 5)

    run = reads if way == "read" else writes
    measure(benchmark, run, addresses, f"{way} {size} bytes of RAM", "RAM behind a port")


def test_write(benchmark):
    write = region_map(1_000).port(None).write
    addresses = addresses_of("round robin 8", 1_000)

    def run():
        for address in addresses:
            write(address, 4, 5)

    measure(benchmark, run, addresses, "write to a device, offset: round robin 8", "writes")


# -- changes --------------------------------------------------------------------------------------

CHANGES = range(200)


@pytest.mark.parametrize("count", COUNTS)
def test_add_and_remove(benchmark, count):
    mmio = region_map(count)
    middle = BASE + STRIDE * (count // 2) + SIZE

    def run():
        for _ in CHANGES:
            mmio.remove(mmio.add(middle, SIZE, read=handler))

    label = f"add + remove, {count:,} regions".replace(",", " ")
    measure(benchmark, run, CHANGES, label, "changes", rounds=10)


@pytest.mark.parametrize("count", COUNTS)
def test_move(benchmark, count):
    mmio = region_map(count)
    middle = BASE + STRIDE * (count // 2) + SIZE
    region = mmio.add(middle, 0x100, read=handler)

    def run():
        for step in CHANGES:
            region.move(middle + 0x10 * (1 + step % 2))

    label = f"move, {count:,} regions".replace(",", " ")
    measure(benchmark, run, CHANGES, label, "changes", rounds=10)
    region.close()


@pytest.mark.parametrize("count", [1_000, 100_000])
@pytest.mark.parametrize("order", ["ascending", "shuffled"])
def test_batch(benchmark, count, order):
    """All in one transaction; the figure to hold is 0.6 s for 100 000."""
    bases = bases_of(count)
    if order == "shuffled":
        Random(3).shuffle(bases)

    def run():
        mmio = RegionMap()
        with mmio.transaction():
            for base in bases:
                mmio.add(base, SIZE, read=handler)

    measure(
        benchmark,
        run,
        bases,
        f"one transaction of {count:,} adds, {order}".replace(",", " "),
        "changes",
        hold_ns=6_000 if count == 100_000 else None,
        setup=gc.collect,
        rounds=3,
    )


# -- a peer -------------------------------------------------------------------------------------


def test_unicorn(benchmark):
    """Unicorn's own MMIO callback into Python, for a guest's `mov eax, [rbx]` in a loop."""
    unicorn = pytest.importorskip("unicorn")
    x86 = pytest.importorskip("unicorn.x86_const")
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.mem_map(0x1000, 0x1000)
    uc.mem_write(0x1000, bytes.fromhex("8b03ffc975fa"))  # mov eax, [rbx]; dec ecx; jnz
    uc.mmio_map(BASE, SIZE, lambda uc, offset, size, data: 0x5A, None, None, None)
    accesses = range(ACCESSES)

    def run():
        uc.reg_write(x86.UC_X86_REG_RBX, BASE + 0x10)
        uc.reg_write(x86.UC_X86_REG_RCX, ACCESSES)
        uc.emu_start(0x1000, 0x1006)

    measure(benchmark, run, accesses, "Unicorn, MMIO callback, per guest load", "peer", rounds=10)
