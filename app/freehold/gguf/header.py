"""The header of a GGUF: metadata and the list of tensors, read without trusting a single number.

Whatever the file claims, reading it takes bounded time and memory and never reads outside it.
The rules are those of llama.cpp's own reader (`ggml/src/gguf.cpp`), so that what passes here is
not refused there, and what would crash there does not pass here.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from freehold.gguf.faults import CONVERT_AGAIN, InvalidGgufError, quoted
from freehold.gguf.ggml_types import BY_NUMBER, REMOVED, GgmlType
from freehold.gguf.source import Cursor, Source
from freehold.gguf.values import KEY_BYTES, TYPE_NAMES, Value, ValueReader
from freehold.units import format_bytes

VERSIONS: Final = (2, 3)
DEFAULT_ALIGNMENT: Final = 32
LARGEST_ALIGNMENT: Final = 1 << 20
MOST_KEYS: Final = 65_536
MOST_TENSORS: Final = 65_536
MOST_DIMENSIONS: Final = 4
NAME_BYTES: Final = 63  # GGML_MAX_NAME without its NUL
LEAST_KEY_BYTES: Final = 13
LEAST_TENSOR_BYTES: Final = 32
LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor: `shape` in ggml's order (row length first), `offset` from the file's start."""

    name: str
    shape: tuple[int, ...]
    kind: GgmlType
    offset: int
    bytes: int

    @property
    def parameters(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a file says about itself, checked.

    data_offset: where the tensors' bytes begin; `file_bytes`: the size of the whole file.
    """

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    data_offset: int
    file_bytes: int

    def text(self, key: str) -> str | None:
        """Return a text value, or None where there is none of that type."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def whole(self, key: str) -> int | None:
        """Return an integer value, or None where there is none of that type."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_header(source: Source, *, complete: bool = True) -> GgufHeader:
    """Read and check the header.

    complete: whether every tensor's bytes must lie inside the file; False for a file of which
        only the beginning was fetched, when `source.size_bytes` is still the whole size.
    Raises: InvalidGgufError with the reason.
    """
    cursor = Cursor(source)
    version = _check_start(cursor, source)
    values = ValueReader(cursor, source.name)
    tensor_count = values.number("<Q", "the number of tensors")
    key_count = values.number("<Q", "the number of metadata keys")
    _check_count(source, cursor, key_count, MOST_KEYS, LEAST_KEY_BYTES, "metadata keys")
    _check_count(source, cursor, tensor_count, MOST_TENSORS, LEAST_TENSOR_BYTES, "tensors")
    metadata = _read_metadata(source, values, key_count)
    alignment = _alignment(source, metadata)
    claims = [_read_tensor(source, values) for _ in range(tensor_count)]
    data_offset = -(-cursor.offset // alignment) * alignment
    tensors = _place(source, claims, alignment, data_offset, complete=complete)
    return GgufHeader(
        version, metadata, tensors, alignment, data_offset, file_bytes=source.size_bytes
    )


def _check_start(cursor: Cursor, source: Source) -> int:
    if source.size_bytes == 0:
        raise InvalidGgufError(source.name, "the file is empty")
    magic = source.read(0, min(4, source.size_bytes))
    if magic != b"GGUF":
        if magic.strip(b"\0") == b"" and source.size_bytes > 4:
            reason = "it begins with zeros; its download did not finish"
        else:
            reason = f"it is not a GGUF file (it begins with {quoted(magic)}, not “GGUF”)"
        raise InvalidGgufError(
            source.name, reason, "Choose a file in GGUF format; its name ends .gguf."
        )
    cursor.skip(4, "the first bytes")
    version = struct.unpack("<I", cursor.take(4, "the version"))[0]
    if version not in VERSIONS:
        if version and version & 0xFFFF == 0:
            reason = "it was written for big-endian machines"
        else:
            reason = f"it has GGUF version {version:,}; Freehold reads versions 2 and 3"
        raise InvalidGgufError(source.name, reason, CONVERT_AGAIN)
    return int(version)


def _check_count(
    source: Source, cursor: Cursor, count: int, most: int, least_bytes: int, what: str
) -> None:
    if count > most:
        raise InvalidGgufError(source.name, f"it claims {count:,} {what}, more than any model has")
    if count * least_bytes > cursor.remaining_bytes:
        raise InvalidGgufError(
            source.name,
            f"it claims {count:,} {what}, but the file ends before them; it is incomplete",
        )


def _read_metadata(source: Source, values: ValueReader, count: int) -> dict[str, Value]:
    metadata: dict[str, Value] = {}
    for index in range(count):
        key = values.text(f"metadata key {index + 1}", KEY_BYTES)
        if not key:
            raise InvalidGgufError(source.name, f"metadata key {index + 1} has no name")
        if key in metadata:
            raise InvalidGgufError(source.name, f"the metadata key {quoted(key)} is there twice")
        metadata[key] = values.value(values.number("<I", f"the type of {quoted(key)}"), key)
    return metadata


def _alignment(source: Source, metadata: Mapping[str, Value]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidGgufError(source.name, "its alignment is not a whole number")
    if not 0 < value <= LARGEST_ALIGNMENT or value & (value - 1):
        raise InvalidGgufError(source.name, f"its alignment {value:,} is not a power of two")
    return value


@dataclass(frozen=True, slots=True)
class _Claim:
    """A tensor as the file describes it; offset counts from the start of the tensors' bytes."""

    name: str
    shape: tuple[int, ...]
    kind: GgmlType
    offset: int
    bytes: int


def _read_tensor(source: Source, values: ValueReader) -> _Claim:
    name = values.text("a tensor's name", KEY_BYTES)
    shown = f"tensor {quoted(name)}"
    if not name or len(name.encode()) > NAME_BYTES:
        raise InvalidGgufError(source.name, f"{shown} has a name of {len(name.encode()):,} bytes")
    count = values.number("<I", shown)
    if not 1 <= count <= MOST_DIMENSIONS:
        raise InvalidGgufError(source.name, f"{shown} has {count:,} dimensions")
    shape = tuple(values.number("<Q", shown) for _ in range(count))
    if not all(shape):
        raise InvalidGgufError(source.name, f"{shown} has a dimension of 0")
    parameters = math.prod(shape)
    if parameters > LARGEST:
        raise InvalidGgufError(source.name, f"{shown} has more values than fit in memory addresses")
    kind = _type(source, values.number("<I", shown), shown)
    try:
        size = kind.row_bytes(shape[0]) * (parameters // shape[0])
    except ValueError as error:
        raise InvalidGgufError(source.name, f"{shown}: {error}") from error
    if size > LARGEST:
        raise InvalidGgufError(source.name, f"{shown} is larger than fits in memory addresses")
    return _Claim(name, shape, kind, values.number("<Q", shown), size)


def _type(source: Source, number: int, shown: str) -> GgmlType:
    kind = BY_NUMBER.get(number)
    if kind is None:
        old = REMOVED.get(number)
        if old:
            reason = f"{shown} has the type {old}, which llama.cpp no longer reads"
            raise InvalidGgufError(source.name, reason, CONVERT_AGAIN)
        raise InvalidGgufError(
            source.name,
            f"{shown} has the type {number:,}, which this version of Freehold does not know",
            "Update Freehold, or choose another quantisation of the model.",
        )
    return kind


def _place(
    source: Source, claims: list[_Claim], alignment: int, data_offset: int, *, complete: bool
) -> tuple[TensorInfo, ...]:
    """Check names and offsets: one tensor after the other, padded, all inside the file."""
    names: set[str] = set()
    expected = 0
    tensors = []
    for claim in claims:
        shown = f"tensor {quoted(claim.name)}"
        if claim.name in names:
            raise InvalidGgufError(source.name, f"{shown} is there twice")
        names.add(claim.name)
        if claim.offset != expected:
            reason = "overlaps another" if claim.offset < expected else "does not follow the last"
            raise InvalidGgufError(
                source.name, f"{shown} {reason} (offset {claim.offset:,}, not {expected:,})"
            )
        expected += -(-claim.bytes // alignment) * alignment
        if data_offset + expected > LARGEST:
            raise InvalidGgufError(source.name, "its tensors are larger than any file")
        start = data_offset + claim.offset
        tensors.append(TensorInfo(claim.name, claim.shape, claim.kind, start, claim.bytes))
    if complete and tensors:
        needed = tensors[-1].offset + tensors[-1].bytes
        if needed > source.size_bytes:
            raise InvalidGgufError(
                source.name,
                f"it is incomplete: {format_bytes(source.size_bytes)}"
                f" of {format_bytes(needed)} are there",
            )
    return tuple(tensors)


def type_name(number: int) -> str:
    """Return how a metadata type is called in lists shown to people."""
    return TYPE_NAMES.get(number, str(number))
