# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`DecodeCache`: what is kept, under what key, how much, and by how many threads."""

import mmap
from concurrent.futures import ThreadPoolExecutor

import pytest

from vmmkit.errors import DecodeError, EngineError
from vmmkit.insn import DecodeCache, decode

LOAD = bytes.fromhex("8b03")


def test_a_hit_is_the_object_of_the_miss(engine):
    cache = DecodeCache(engine=engine)
    first = cache.decode(LOAD, 64)
    assert first == decode(LOAD, 64, engine=engine)
    assert cache.decode(bytes(bytearray(LOAD)), 64) is first
    assert len(cache) == 1
    assert cache.engine == engine


def test_the_key_is_all_bytes_that_count_and_the_mode():
    cache = DecodeCache()
    windows = [LOAD, LOAD + b"\x90", LOAD + b"\x91", LOAD + bytes(13)]
    kept = [cache.decode(code, mode) for code in windows for mode in (16, 32, 64)]
    assert len({id(insn) for insn in kept}) == len(cache) == 12
    assert cache.decode(LOAD + bytes(100), 64) is kept[-1]  # past 15 bytes nothing counts
    assert len(cache) == 12


def test_changing_buffers_are_no_keys(tmp_path):
    """A view that hashed before its memory changed must not bring up the old instruction."""
    path = tmp_path / "ram"
    path.write_bytes(LOAD)
    with path.open("r+b") as file:
        ram = mmap.mmap(file.fileno(), len(LOAD))
        view = memoryview(mmap.mmap(file.fileno(), len(LOAD), access=mmap.ACCESS_READ))
    assert hash(view) == hash(LOAD)
    cache = DecodeCache()
    load = cache.decode(view, 64)
    ram[0] = 0x89
    store = cache.decode(view, 64)
    assert (load.opcode, store.opcode) == (0x8B, 0x89)
    assert cache.decode(bytearray(ram), 64) is cache.decode(bytes(ram), 64) is store
    assert cache.decode(LOAD, 64) is load
    assert len(cache) == 2


@pytest.mark.parametrize("capacity", [1, 2, 7])
def test_never_more_than_capacity(capacity):
    cache = DecodeCache(capacity)
    for number in range(20):
        for mode in (32, 64):
            insn = cache.decode(bytes([0xB8, number, 0, 0, 0]), mode)
            assert (insn.immediate, insn.mode) == (number, mode)
            assert len(cache) <= capacity
    cache.clear()
    assert len(cache) == 0


@pytest.mark.parametrize("code", [b"", b"\xf0\x90", b"\x66" * 15], ids=["none", "LOCK", "long"])
def test_failures_are_raised_each_time_and_not_kept(code):
    cache = DecodeCache()
    messages = set()
    for attempt in (cache.decode, decode, cache.decode):
        with pytest.raises(DecodeError) as caught:
            attempt(code, 64)
        messages.add(str(caught.value))
    assert len(messages) == 1
    assert len(cache) == 0


@pytest.mark.parametrize(
    ("code", "mode", "error"),
    [(LOAD, 63, ValueError), (LOAD, [64], ValueError), ("no", 64, TypeError), (5, 64, TypeError)],
)
def test_mistakes_are_those_of_decode(code, mode, error):
    cache = DecodeCache()
    cache.decode(LOAD, 64)
    texts = set()
    for attempt in (cache.decode, decode):
        with pytest.raises(error) as caught:
            attempt(code, mode)
        texts.add(str(caught.value))
    assert len(texts) == 1


@pytest.mark.parametrize("capacity", [0, -1, 1.5, "many", None])
def test_a_capacity_below_one_is_refused(capacity):
    with pytest.raises(ValueError, match="keeps 1 instruction or more"):
        DecodeCache(capacity)


def test_an_unknown_engine_is_refused():
    with pytest.raises(EngineError, match="no engine"):
        DecodeCache(engine="x86")


@pytest.mark.stress
def test_threads_share_a_cache():
    cache = DecodeCache(16)
    codes = [bytes([0xB8, number, 0, 0, 0]) for number in range(40)]

    def use(_):
        for _ in range(50):
            for number, code in enumerate(codes):
                assert cache.decode(code, 64).immediate == number
                assert len(cache) <= 16
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(8)))
