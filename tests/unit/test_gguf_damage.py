"""Damaged headers: every one refused with a reason, quickly, in little memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from doubles.damaged_gguf import Tensor, build, damaged, raw_key, raw_list
from doubles.models import tiny_llama
from freehold.gguf.description import describe
from freehold.gguf.faults import InvalidGgufError
from freehold.gguf.header import read_header
from freehold.gguf.shards import read_model
from freehold.gguf.source import open_file

CASES = dict(damaged())
LONGEST_S = 0.1
MOST_BYTES = 200 << 20


class Memory:
    """A source in memory that may claim a size it does not have."""

    name = "memory.gguf"

    def __init__(self, data: bytes, size_bytes: int | None = None) -> None:
        self.data = data
        self.size_bytes = len(data) if size_bytes is None else size_bytes
        self.read_bytes = 0

    def read(self, offset: int, count: int) -> bytes:
        assert offset >= 0
        assert 0 <= count <= 8 << 20
        assert offset + count <= self.size_bytes
        self.read_bytes += count
        return self.data[offset : offset + count]


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 300


def test_the_undamaged_file_is_read() -> None:
    header = read_header(Memory(build()))
    assert header.text("general.name") == "damaged"
    (tensor,) = header.tensors
    assert tensor.shape == (32, 4)
    assert tensor.offset + tensor.bytes == header.file_bytes


@pytest.mark.parametrize("case", CASES)
def test_refused(case: str) -> None:
    best_s = LONGEST_S
    for _ in range(3):  # the machine may be busy with something else
        started = time.process_time()
        with pytest.raises(InvalidGgufError) as caught:
            read_header(Memory(CASES[case]))
        best_s = min(best_s, time.process_time() - started)
        if best_s < LONGEST_S:
            break
    assert best_s < LONGEST_S
    error = caught.value
    assert error.code == "invalid_model"
    assert error.message.startswith("memory.gguf cannot be used as a model: ")
    assert error.hint
    assert len(error.message) < 400
    assert error.message.isprintable()


def test_memory_stays_small() -> None:
    tracemalloc.start()
    try:
        for data in CASES.values():
            with pytest.raises(InvalidGgufError):
                read_header(Memory(data))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < MOST_BYTES / 4


@pytest.mark.parametrize("item", [0, 4, 8, 12])
def test_a_file_of_a_terabyte_that_claims_to_be_all_list(item: int) -> None:
    """The size is real (a sparse file), so counts pass the first check."""
    claim = raw_key(b"k", 9, raw_list(item, 2**36))
    source = Memory(build(raw_metadata=[claim]), size_bytes=1 << 40)
    started = time.process_time()
    with pytest.raises(InvalidGgufError):
        read_header(source)
    assert time.process_time() - started < LONGEST_S
    assert source.read_bytes < 16 << 20


def test_texts_that_together_are_too_long() -> None:
    text = (1 << 20).to_bytes(8, "little") + b"x" * (1 << 20)
    keys = [raw_key(b"k%d" % n, 8, text) for n in range(40)]
    with pytest.raises(InvalidGgufError, match="more text than any model"):
        read_header(Memory(build(raw_metadata=keys)))


def test_a_long_text_is_left_in_the_file() -> None:
    text = (3 << 20).to_bytes(8, "little") + b"x" * (3 << 20)
    source = Memory(build(raw_metadata=[raw_key(b"k", 8, text)]))
    value = read_header(source).metadata["k"]
    assert not isinstance(value, str)
    assert source.read_bytes < 1 << 20


SOUND = build(tensors=[Tensor(b"a", (256, 2), 12), Tensor(b"b", (32,), offset=288)])


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(SOUND) - 513), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_any_bytes_changed(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SOUND)
    for at, value in changes:
        data[at] = value
    _read_or_refuse(bytes(data))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
@example(b"")
def test_any_bytes_after_the_start(rest: bytes) -> None:
    _read_or_refuse(b"GGUF\x03\0\0\0" + rest)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(SOUND) - 9),
    st.integers(0, 2**64 - 1) | st.sampled_from([2**63, 2**64 - 1, 2**32]),
)
def test_any_number_overwritten(at: int, value: int) -> None:
    _read_or_refuse(SOUND[:at] + value.to_bytes(8, "little") + SOUND[at + 8 :])


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_real_model_with_changed_bytes(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    data = bytearray(tiny_llama().read_bytes())
    for at, value in changes:
        data[at] = value
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    try:
        describe(read_model(path))
    except InvalidGgufError:  # any other error fails the test
        return


def _read_or_refuse(data: bytes) -> None:
    try:
        header = read_header(Memory(data))
    except InvalidGgufError:  # any other error fails the test
        return
    end = header.data_offset
    for tensor in header.tensors:
        assert tensor.offset >= end
        end = tensor.offset + tensor.bytes
    assert end <= header.file_bytes or not header.tensors


def test_reading_a_file_on_disk_matches_reading_memory(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(SOUND)
    with open_file(tmp_path / "m.gguf") as source:
        assert read_header(source) == read_header(Memory(SOUND))
