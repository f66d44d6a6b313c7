# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The PCI transport rule by rule; sections are named as in virtio 1.2."""

import re
import subprocess

import pytest

from devices.virtio.driver import (
    ACKNOWLEDGE,
    COMMON,
    DRIVER,
    DRIVER_OK,
    EVENT_IDX,
    FAILED,
    FEATURES_OK,
    INDIRECT,
    NEEDS_RESET,
    NO_VECTOR,
    PACKED,
    RING_RESET,
    VERSION_1,
    Board,
    Driver,
)
from vmmkit.devices.virtio.console import VirtioConsole
from vmmkit.devices.virtio.rng import VirtioRng
from vmmkit.devices.virtio.spec import Feature
from vmmkit.errors import DeviceError
from vmmkit.pci.config import ResetKind
from vmmkit.pci.describe import reference
from vmmkit.pci.dump import dump

ACCESS_PLATFORM, NOTIFICATION_DATA, IN_ORDER = 1 << 33, 1 << 38, 1 << 35
ALL_OK = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK


def rng(**options):
    return VirtioRng(lambda size: b"\xa5" * size, **options)


def started(device=None, *, interrupts="msix", **driver):
    board = Board(device or rng())
    return Driver(board, **driver).start(interrupts=interrupts)


def broken(driver, index=0):
    """Have the device meet a buffer that is no RAM."""
    driver.offer(index, [], [(0xDEAD_0000_0000, 4)])


# -- PCI Device Discovery, PCI Device Layout -----------------------------------------------------


def test_ids():
    board = Board(rng())
    assert [board.config_read(at, size) for at, size in ((0, 2), (2, 2), (8, 1), (0x2E, 2))] == [
        0x1AF4,
        0x1044,
        1,
        0x1100,
    ]
    assert board.config_read(0x09, 2) == 0xFF00
    assert board.config_read(0x3D, 1) == 1


def test_capabilities():
    board = Board(rng())
    found = {board.config_read(at + 3, 1): at for at, id_ in board.capabilities() if id_ == 9}
    assert sorted(found) == [1, 2, 3, 4, 5]
    lengths = {kind: board.config_read(at + 2, 1) for kind, at in found.items()}
    assert lengths == {1: 16, 2: 20, 3: 16, 4: 16, 5: 20}
    for kind in (1, 2, 3, 4):
        offset, length = (board.config_read(found[kind] + at, 4) for at in (8, 12))
        assert board.config_read(found[kind] + 4, 1) == 4
        assert length > 0
        assert offset + length <= 0x4000
    assert board.config_read(0x10 + 16, 4) & 0xF == 0xC  # 64 bits, prefetchable


def test_first_values():
    driver = Driver(Board(rng()))
    values = {field: driver.get(field) for field in COMMON}
    assert values == dict.fromkeys(COMMON, 0) | {
        "device_feature": driver.get("device_feature"),
        "config_msix_vector": NO_VECTOR,
        "num_queues": 1,
        "queue_size": 64,
        "queue_msix_vector": NO_VECTOR,
    }


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_common_configuration_reads_alike_in_any_width(width):
    driver = started()
    port = driver.port

    def dump(size):
        parts = [port.read(driver.common + at, size) for at in range(0, 0x38, size)]
        return b"".join(part.to_bytes(size, "little") for part in parts)

    assert dump(width) == dump(1)


# -- Feature Bits --------------------------------------------------------------------------------


def test_offered_features():
    offered = Driver(Board(rng())).offered()
    assert offered == VERSION_1 | INDIRECT | EVENT_IDX | PACKED | RING_RESET
    assert not offered & (ACCESS_PLATFORM | NOTIFICATION_DATA | IN_ORDER)


def test_features_beyond_64_read_as_zero():
    driver = Driver(Board(rng()))
    for select in (2, 3, 0xFFFF_FFFF):
        driver.set("device_feature_select", select)
        assert driver.get("device_feature") == 0


def test_features_can_be_left_out():
    device = rng(without=int(Feature.RING_PACKED | Feature.EVENT_IDX | Feature.VERSION_1))
    assert Driver(Board(device)).offered() == VERSION_1 | INDIRECT | RING_RESET


@pytest.mark.parametrize(
    ("platform", "accepted", "agrees"),
    [
        ("none", VERSION_1, True),
        ("none", 0, False),
        ("none", VERSION_1 | ACCESS_PLATFORM, False),
        ("none", VERSION_1 | 1, False),
        ("none", VERSION_1 | IN_ORDER, False),
        ("offered", VERSION_1, True),
        ("offered", VERSION_1 | ACCESS_PLATFORM, True),
        ("demanded", VERSION_1, False),
        ("demanded", VERSION_1 | ACCESS_PLATFORM, True),
    ],
)
def test_features_ok_is_refused_unless_both_sides_agree(platform, accepted, agrees):
    driver = Driver(Board(rng(access_platform=platform)))
    driver.set("device_status", ACKNOWLEDGE | DRIVER)
    driver.accept(accepted)
    driver.set("device_status", ACKNOWLEDGE | DRIVER | FEATURES_OK)
    assert bool(driver.get("device_status") & FEATURES_OK) == agrees


def test_features_are_fixed_by_features_ok():
    driver = started()
    before = driver.board.device.negotiated
    driver.accept(0)
    assert driver.board.device.negotiated == before
    driver.set("driver_feature_select", 1)
    assert driver.get("driver_feature") == before >> 32


# -- Device Status Field -------------------------------------------------------------------------


def test_status_bits_are_only_added():
    driver = Driver(Board(rng()))
    driver.set("device_status", ACKNOWLEDGE)
    driver.set("device_status", DRIVER)
    assert driver.get("device_status") == ACKNOWLEDGE | DRIVER
    driver.set("device_status", FAILED | NEEDS_RESET | 0x30)
    assert driver.get("device_status") == ACKNOWLEDGE | DRIVER | FAILED
    driver.set("device_status", 0)
    assert driver.get("device_status") == 0


def test_there_is_no_driver_ok_without_features_ok():
    driver = Driver(Board(rng()))
    driver.set("device_status", ALL_OK & ~FEATURES_OK)
    assert driver.get("device_status") == ACKNOWLEDGE | DRIVER


def test_nothing_is_served_before_driver_ok_and_then_everything():
    driver = Driver(Board(rng()))
    driver.negotiate()
    ring = driver.set_up_queue(0)
    driver.offer(0, [], [driver.buffer(4)], "early")
    assert ring.collect() == []
    driver.set("device_status", ALL_OK)
    assert ring.collect() == [("early", 4)]


def test_reset_forgets_what_the_driver_did():
    driver = started()
    driver.request(0, [], [4])
    driver.set("device_status", 0)
    again = Driver(Board(rng()))
    assert {field: driver.get(field) for field in COMMON} == {
        field: again.get(field) for field in COMMON
    }
    assert driver.start().request(0, [], [4]) == [b"\xa5" * 4]


@pytest.mark.parametrize("kind", ResetKind)
def test_resets_of_the_function_reset_the_device(kind):
    driver = started()
    driver.board.device.reset(kind)
    driver.board.enumerate()
    driver.find_structures()
    assert driver.get("device_status") == 0
    assert driver.get("num_queues") == 1
    assert driver.start().request(0, [], [4]) == [b"\xa5" * 4]


@pytest.mark.parametrize("interrupts", ["msix", "intx"])
def test_a_broken_ring_needs_a_reset_and_says_so(interrupts):
    driver = started(interrupts=interrupts)
    broken(driver)
    assert driver.get("device_status") == ALL_OK | NEEDS_RESET
    assert driver.interrupts() == ([0] if interrupts == "msix" else ["config"])
    assert "0xdead00000000" in driver.board.device.fault
    ring = driver.rings[0]
    driver.offer(0, [], [driver.buffer(4)])
    driver.notify(0)
    assert ring.collect() == []
    assert driver.interrupts() == []
    driver.start(interrupts=interrupts)
    assert driver.request(0, [], [4]) == [b"\xa5" * 4]
    assert driver.board.device.fault is None


# -- Common configuration structure layout: queues -----------------------------------------------


def test_a_queue_that_does_not_exist_has_size_zero():
    driver = Driver(Board(rng()))
    for index in (1, 7, 0xFFFF):
        driver.set("queue_select", index)
        assert driver.get("queue_size") == 0
        driver.set("queue_size", 8)
        driver.set("queue_desc", 0x1000)
        driver.set("queue_msix_vector", 0)
        driver.set("queue_enable", 1)
        driver.set("queue_reset", 1)
        assert [driver.get(f) for f in ("queue_size", "queue_enable", "queue_reset")] == [0, 0, 0]
        assert driver.get("queue_desc") == 0


def test_queues_have_registers_of_their_own():
    driver = Driver(Board(VirtioConsole(lambda data: None)))
    for index in (0, 1):
        driver.set("queue_select", index)
        driver.set("queue_size", 16 << index)
        driver.set("queue_desc", 0x1_2345_6000 + index)
        driver.set("queue_driver", 0x2_2345_6000 + index)
        driver.set("queue_device", 0x3_2345_6000 + index)
    for index in (0, 1):
        driver.set("queue_select", index)
        fields = ("queue_size", "queue_desc", "queue_driver", "queue_device", "queue_notify_off")
        assert [driver.get(field) for field in fields] == [
            16 << index,
            0x1_2345_6000 + index,
            0x2_2345_6000 + index,
            0x3_2345_6000 + index,
            index,
        ]


def test_an_enabled_queue_does_not_change():
    driver = started()
    before = [driver.get(field) for field in ("queue_size", "queue_desc", "queue_device")]
    driver.set("queue_size", 2)
    driver.set("queue_desc", 0)
    driver.set("queue_device", 0)
    driver.set("queue_enable", 0)
    assert [driver.get(f) for f in ("queue_size", "queue_desc", "queue_device")] == before
    assert driver.get("queue_enable") == 1
    assert driver.request(0, [], [4]) == [b"\xa5" * 4]


def test_a_queue_is_not_enabled_before_features_ok():
    driver = Driver(Board(rng()))
    driver.set("queue_enable", 1)
    assert driver.get("queue_enable") == 0


@pytest.mark.parametrize("size", [0, 3, 48, 65, 128, 0xFFFF])
def test_a_split_queue_of_a_wrong_size_needs_a_reset(size):
    driver = Driver(Board(rng()))
    driver.negotiate()
    driver.set("queue_size", size)
    driver.set("queue_enable", 1)
    assert driver.get("queue_enable") == 0
    assert driver.get("device_status") & NEEDS_RESET


@pytest.mark.parametrize("sizes", [(8,) * 5, (8, 7), (0,), (0x1_0000,), (-8,)])
def test_queues_that_no_driver_could_use_are_refused(sizes):
    class Odd(VirtioRng):
        queue_sizes = sizes

    with pytest.raises(DeviceError, match="Odd"):
        Odd()


# -- Virtqueue Reset -----------------------------------------------------------------------------


def test_virtqueue_reset_leaves_the_other_queue_alone():
    printed = bytearray()
    driver = Driver(Board(VirtioConsole(printed.extend)), features=RING_RESET).start(size=8)
    driver.request(1, [b"one"])
    driver.set("queue_select", 0)
    driver.set("queue_reset", 1)
    fields = ("queue_reset", "queue_enable", "queue_size", "queue_desc", "queue_msix_vector")
    assert [driver.get(field) for field in fields] == [0, 0, 256, 0, NO_VECTOR]
    driver.request(1, [b"two"])
    driver.set_up_queue(0, 4)
    driver.offer(0, [], [driver.buffer(8)], "in")
    assert driver.board.device.receive(b"hello") == 5
    assert driver.rings[0].collect() == [("in", 5)]
    assert printed == b"onetwo"


def test_virtqueue_reset_does_nothing_unless_negotiated():
    driver = started()
    driver.set("queue_reset", 1)
    assert [driver.get("queue_reset"), driver.get("queue_enable")] == [0, 1]


# -- Notifications -------------------------------------------------------------------------------


def test_notifications_of_no_queue_are_dropped():
    driver = started()
    for at in range(1, 8):
        driver.port.write(driver.notify_base + 4 * at, 2, at)
        driver.port.write(driver.notify_base + 2 * at, 1, at)
    assert driver.get("device_status") == ALL_OK


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_notification_may_have_any_width(width):
    driver = started()
    driver.rings[0].add([], [driver.buffer(4)])
    driver.port.write(driver.notify_base, width, 0)
    assert len(driver.rings[0].collect()) == 1


def test_nothing_is_served_while_bus_mastering_is_off():
    driver = started()
    driver.board.config_write(4, 2, 0x0002)
    driver.offer(0, [], [driver.buffer(4)], "x")
    assert driver.rings[0].collect() == []
    assert driver.get("device_status") == ALL_OK
    driver.board.config_write(4, 2, 0x0006)
    driver.notify(0)
    assert driver.rings[0].collect() == [("x", 4)]


def test_deferred_notifications_wait_for_service():
    driver = started()
    device, woken = driver.board.device, []
    device.deferred = lambda: woken.append(1)
    driver.offer(0, [], [driver.buffer(4)], "x")
    assert (driver.rings[0].collect(), woken) == ([], [1])
    assert device.service()
    assert driver.rings[0].collect() == [("x", 4)]
    assert not device.service()


# -- MSI-X Vector Configuration, ISR status capability -------------------------------------------


def test_vectors_that_do_not_exist_read_back_as_none():
    driver = started()
    for field in ("config_msix_vector", "queue_msix_vector"):
        for vector, back in ((2, 2), (3, NO_VECTOR), (0x7FFF, NO_VECTOR), (NO_VECTOR, NO_VECTOR)):
            driver.set(field, vector)
            assert driver.get(field) == back


def test_a_queue_without_a_vector_does_not_interrupt():
    driver = started()
    driver.set("queue_msix_vector", NO_VECTOR)
    driver.request(0, [], [4])
    assert driver.interrupts() == []


def test_two_queues_may_share_a_vector():
    driver = Driver(Board(VirtioConsole(lambda data: None))).start()
    for index in (0, 1):
        driver.set("queue_select", index)
        driver.set("queue_msix_vector", 1)
    driver.request(1, [b"x"])
    driver.offer(0, [], [driver.buffer(1)])
    driver.board.device.receive(b"y")
    assert driver.interrupts() == [1, 1]


def test_a_masked_vector_pends():
    driver = started()
    driver.mask(1, True)
    driver.request(0, [], [4])
    driver.request(0, [], [4])
    assert driver.interrupts() == []
    driver.mask(1, False)
    assert driver.interrupts() == [1]


def test_a_vector_that_pends_is_forgotten_by_a_reset():
    """Virtio 1.2 "Device Reset": no notifications once the status reads as 0."""
    driver = started()
    driver.mask(1, True)
    driver.request(0, [], [4])
    driver.set("device_status", 0)
    driver.mask(1, False)
    assert driver.interrupts() == []


def test_reading_the_isr_status_clears_it_and_lowers_the_pin():
    driver = started(interrupts="intx")
    driver.request(0, [], [4])
    assert driver.board.levels == [True]
    assert driver.port.read(driver.isr, 1) == 1
    assert driver.board.levels == [True, False]
    assert driver.port.read(driver.isr, 1) == 0


def test_interrupt_disable_gates_the_pin():
    driver = started(interrupts="intx")
    driver.board.config_write(4, 2, 0x0406)
    driver.request(0, [], [4])
    assert not driver.board.level
    assert driver.board.config_read(6, 2) & 8
    driver.board.config_write(4, 2, 0x0006)
    assert driver.interrupts() == ["queue"]


def test_reset_lowers_the_pin():
    driver = started(interrupts="intx")
    driver.request(0, [], [4])
    driver.set("device_status", 0)
    assert not driver.board.level


def test_with_msix_only_configuration_changes_show_in_the_isr_status():
    driver = started()
    driver.request(0, [], [4])
    assert driver.port.read(driver.isr, 1) == 0
    broken(driver)
    assert driver.port.read(driver.isr, 1) == 2


# -- PCI configuration access capability ---------------------------------------------------------


def through_window(driver, offset, size, value=None):
    board, at = driver.board, driver.window
    board.config_write(at + 4, 1, 4)
    board.config_write(at + 8, 4, offset)
    board.config_write(at + 12, 4, size)
    if value is None:
        return board.config_read(at + 16, size)
    board.config_write(at + 16, size, value)
    return None


def test_the_window_shows_the_bar():
    driver = Driver(Board(rng()))
    assert through_window(driver, 0x18, 2) == 64
    assert through_window(driver, 0x14, 1) == 0
    through_window(driver, 0x14, 1, ACKNOWLEDGE)
    assert through_window(driver, 0x14, 1) == ACKNOWLEDGE
    through_window(driver, 0x20, 4, 0x1234_5000)
    assert driver.get("queue_desc") == 0x1234_5000


def test_a_device_can_be_driven_through_the_window_alone():
    driver = started()
    driver.rings[0].add([], [driver.buffer(4)], "x")
    through_window(driver, 0x3000, 2, 0)
    assert driver.rings[0].collect() == [("x", 4)]


@pytest.mark.parametrize(
    ("bar", "offset", "size"),
    [(0, 0, 4), (5, 0, 4), (4, 0x4000, 4), (4, 0xFFFF_FFFC, 4), (4, 2, 4), (4, 0, 3), (4, 0, 0)],
)
def test_a_window_to_nowhere_reads_as_ones(bar, offset, size):
    driver = Driver(Board(rng()))
    board, at = driver.board, driver.window
    for place, width, value in ((4, 1, bar), (8, 4, offset), (12, 4, size)):
        board.config_write(at + place, width, value)
    assert board.config_read(at + 16, 4) == 0xFFFF_FFFF
    board.config_write(at + 16, 4, 1)
    assert driver.get("device_status") == 0


# -- what comes with PciDevice -------------------------------------------------------------------


def test_a_trace_names_registers():
    driver = Driver(Board(rng(name="rng0")))
    lines = []
    driver.board.device.trace(lambda access: lines.append(str(access)))
    driver.set("queue_select", 0)
    driver.set("queue_desc", 0x5000)
    assert lines == [
        "rng0: write 2 @ registers+0x16 queue_select = 0x0",
        "rng0: write 4 @ registers+0x20 queue_desc = 0x5000",
        "rng0: write 4 @ registers+0x24 queue_desc = 0x0",
    ]


def test_the_reference_tells_of_registers():
    assert "queue_notify_off" in reference(VirtioConsole)
    assert "emerg_wr" in reference(VirtioConsole)
    assert "emerg_wr" not in reference(VirtioRng)


def test_lspci_finds_the_structures(tmp_path, require_tool):
    board = Board(rng())
    path = tmp_path / "dump"
    path.write_text(dump({board.bdf: board.device.config}))
    command = [require_tool("lspci"), "-F", path, "-vvv", "-nn"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "[1af4:1044] (rev 01)" in text
    found = dict(
        re.findall(r"Vendor Specific Information: VirtIO: (\w+)\s+(BAR=\d+ \S+ \S+)", text)
    )
    assert found["CommonCfg"] == "BAR=4 offset=00000000 size=0000003c"
    assert found["Notify"] == "BAR=4 offset=00003000 size=00000010"
    assert sorted(found) == ["CommonCfg", "DeviceCfg", "ISR", "Notify"]
    assert "MSI-X: Enable- Count=3" in text
