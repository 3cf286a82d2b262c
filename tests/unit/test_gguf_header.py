"""Reading sound files: values of every type, versions, long lists left in the file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles.damaged_gguf import PLAIN, Tensor, build, raw_key, raw_list
from doubles.models import tiny_model
from freehold.gguf.ggml_types import BY_NUMBER, F32, Q4_K, GgmlType
from freehold.gguf.header import read_header
from freehold.gguf.source import open_file
from freehold.gguf.values import LongList, LongText, read_long_list, read_long_text
from freehold.gguf.writer import I32List, TensorData, write_gguf


class Memory:
    name = "memory.gguf"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size_bytes = len(data)

    def read(self, offset: int, count: int) -> bytes:
        return self.data[offset : offset + count]


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions(version: int) -> None:
    assert read_header(Memory(build(version=version))).version == version


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (0, b"\xff", 255),
        (1, b"\xff", -1),
        (2, b"\xff\xff", 65_535),
        (3, b"\xff\xff", -1),
        (4, b"\xff" * 4, 2**32 - 1),
        (5, b"\xff" * 4, -1),
        (6, struct.pack("<f", 0.5), 0.5),
        (7, b"\x01", True),
        (8, b"\x03" + bytes(7) + "é!".encode(), "é!"),
        (10, b"\xff" * 8, 2**64 - 1),
        (11, b"\xff" * 8, -1),
        (12, struct.pack("<d", -2.5), -2.5),
        (9, raw_list(5, 2, struct.pack("<ii", -1, 2)), (-1, 2)),
        (9, raw_list(8, 0), ()),
    ],
)
def test_values(kind: int, data: bytes, expected: object) -> None:
    header = read_header(Memory(build(raw_metadata=[raw_key(b"k", kind, data)])))
    assert header.metadata["k"] == expected
    assert type(header.metadata["k"]) is type(expected)


def test_typed_access() -> None:
    header = read_header(Memory(build(metadata=PLAIN | {"flag": True, "count": 7})))
    assert header.whole("count") == 7
    assert header.whole("flag") is None
    assert header.whole("general.name") is None
    assert header.text("count") is None


@given(st.lists(st.text(max_size=20), min_size=1, max_size=9), st.integers(1025, 1100))
def test_long_lists_of_texts(some: list[str], count: int) -> None:
    texts, first = [some[n % len(some)] for n in range(count)], count - 1000
    source = Memory(build(metadata=PLAIN | {"words": texts}))
    value = read_header(source).metadata["words"]
    assert isinstance(value, LongList)
    assert value.count == len(texts)
    assert read_long_list(source, value) == texts
    assert read_long_list(source, value, first, 10) == texts[first : first + 10]


def test_long_lists_of_numbers() -> None:
    numbers = I32List(range(-5000, 5000))
    source = Memory(build(metadata=PLAIN | {"numbers": numbers}))
    value = read_header(source).metadata["numbers"]
    assert isinstance(value, LongList)
    assert read_long_list(source, value) == list(numbers)
    assert read_long_list(source, value, 9_999, 5) == [4999]


def test_long_texts() -> None:
    text = "wörter " * 200_000
    source = Memory(build(metadata=PLAIN | {"long": text}))
    value = read_header(source).metadata["long"]
    assert isinstance(value, LongText)
    assert read_long_text(source, value) == text


def test_a_file_that_was_only_begun_can_be_read() -> None:
    whole = build()
    header_only = Memory(whole[:-512])
    header_only.size_bytes = len(whole)
    assert read_header(header_only, complete=False) == read_header(Memory(whole))
    short = Memory(whole[:-512])
    assert read_header(short, complete=False).tensors == read_header(Memory(whole)).tensors


def test_what_the_writer_writes_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    size = write_gguf(
        path,
        {"general.architecture": "llama", "big": 2**40, "minus": -3, "list": [1.5, 2.5]},
        [
            TensorData("a.weight", F32, (3, 2), lambda: iter([bytes(24)])),
            TensorData("b.weight", Q4_K, (512, 2), lambda: iter([b"\1" * 288, b"\2" * 288])),
        ],
    )
    with open_file(path) as source:
        header = read_header(source)
        b = header.tensors[1]
        assert source.read(b.offset, b.bytes) == b"\1" * 288 + b"\2" * 288
    assert size == path.stat().st_size
    assert header.metadata["big"] == 2**40
    assert header.metadata["minus"] == -3
    assert [(t.name, t.shape, t.kind, t.parameters) for t in header.tensors] == [
        ("a.weight", (3, 2), F32, 6),
        ("b.weight", (512, 2), Q4_K, 1024),
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_the_writer_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="24"):
        write_gguf(
            tmp_path / "m.gguf", {}, [TensorData("a", F32, (3, 2), lambda: iter([bytes(20)]))]
        )
    assert list(tmp_path.iterdir()) == []


def test_every_known_type_is_placed() -> None:
    tensors, offset = [], 0
    for number, kind in BY_NUMBER.items():
        tensors.append(Tensor(f"t{number}".encode(), (kind.block_values, 3), number, offset))
        offset += -(-kind.block_bytes * 3 // 32) * 32
    header = read_header(Memory(build(tensors=tensors, data_bytes=offset)))
    assert [tensor.kind for tensor in header.tensors] == list(BY_NUMBER.values())


@given(st.sampled_from(list(BY_NUMBER.values())), st.integers(1, 10_000))
def test_row_bytes(kind: GgmlType, values: int) -> None:
    if values % kind.block_values:
        with pytest.raises(ValueError, match=kind.name):
            kind.row_bytes(values)
    else:
        assert kind.row_bytes(values) * 8 == pytest.approx(values * kind.bits_per_weight)


def test_the_upstream_reader_agrees() -> None:
    """gguf-py reads the same file to the same tensors."""
    from gguf import GGUFReader

    with open_file(tiny_model()) as source:
        ours = read_header(source)
    theirs = GGUFReader(tiny_model())
    assert [(t.name, t.n_bytes, t.data_offset) for t in theirs.tensors] == [
        (t.name, t.bytes, t.offset) for t in ours.tensors
    ]
    assert [tuple(int(n) for n in t.shape) for t in theirs.tensors] == [
        t.shape for t in ours.tensors
    ]
    keys = {key for key in theirs.fields if not key.startswith("GGUF.")}
    assert keys == set(ours.metadata)
