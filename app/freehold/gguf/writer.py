"""Write GGUF version 3 files: metadata, then tensors one after another.

Metadata values are Python's own: `bool`, `int` (uint32, or uint64 where it does not fit), `float`
(float32), `str`, and lists of one of them; `I32List` where llama.cpp insists on signed numbers.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from freehold.gguf.ggml_types import GgmlType

ALIGNMENT = 32


class I32List(list[int]):
    """A list written as int32 (`tokenizer.ggml.token_type`)."""


Scalar = bool | int | float | str
MetadataValue = Scalar | list[str] | list[int] | list[float] | I32List


@dataclass(frozen=True, slots=True)
class TensorData:
    """A tensor to write: `shape` in ggml's order (row length first), bytes made when needed."""

    name: str
    kind: GgmlType
    shape: tuple[int, ...]
    chunks: Callable[[], Iterator[bytes]]

    @property
    def bytes(self) -> int:
        count = self.kind.row_bytes(self.shape[0])
        for size in self.shape[1:]:
            count *= size
        return count


def write_gguf(
    path: Path, metadata: Mapping[str, MetadataValue], tensors: Iterable[TensorData]
) -> int:
    """Write a file beside `path` and rename it there when complete; return its size in bytes."""
    tensors = list(tensors)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(encode_header(metadata, tensors))
            _pad(file)
            for tensor in tensors:
                written = sum(file.write(chunk) for chunk in tensor.chunks())
                if written != tensor.bytes:
                    raise ValueError(f"{tensor.name}: {written} bytes, not {tensor.bytes}")
                _pad(file)
            size = file.tell()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return size


def encode_header(metadata: Mapping[str, MetadataValue], tensors: list[TensorData]) -> bytes:
    """Return what comes before the tensors' bytes, without padding."""
    pieces = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        pieces += [string(key), encode_value(value)]
    offset = 0
    for tensor in tensors:
        pieces += [
            string(tensor.name),
            struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape),
            struct.pack("<IQ", tensor.kind.number, offset),
        ]
        offset += -(-tensor.bytes // ALIGNMENT) * ALIGNMENT
    return b"".join(pieces)


def string(text: str) -> bytes:
    """Return a string as GGUF stores it: length, then UTF-8."""
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def encode_value(value: MetadataValue) -> bytes:
    """Return a metadata value with its type number in front."""
    if not isinstance(value, list):
        number, data = _scalar(value)
        return struct.pack("<I", number) + data
    if isinstance(value, I32List):
        items = [(5, struct.pack("<i", item)) for item in value]
    else:
        items = [_scalar(item) for item in value]
    numbers = {number for number, _ in items} or {4}
    if len(numbers) > 1:
        raise ValueError("a GGUF array holds one type")
    head = struct.pack("<IIQ", 9, numbers.pop(), len(items))
    return head + b"".join(data for _, data in items)


def _scalar(value: Scalar) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        if value < 0:
            return 11, struct.pack("<q", value)
        return (4, struct.pack("<I", value)) if value < 2**32 else (10, struct.pack("<Q", value))
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    return 8, string(value)


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % ALIGNMENT))
