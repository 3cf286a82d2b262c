"""Read an importance matrix: which values of each tensor matter most, as llama.cpp measured it.

Two formats are in use: GGUF, and the older binary one. Counts and lengths are not trusted.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Final

from freehold.engine.quantise_job import MatrixEntry
from freehold.errors import AppError
from freehold.gguf.faults import InvalidGgufError
from freehold.gguf.ggml_types import F32
from freehold.gguf.header import TensorInfo, read_header
from freehold.gguf.source import FileSource, open_file

SUMS: Final = ".in_sum2"
COUNTS: Final = ".counts"
MOST_ENTRIES: Final = 65_536
MOST_VALUES: Final = 1 << 28
LONGEST_NAME: Final = 512


def read_matrix(path: Path) -> tuple[MatrixEntry, ...]:
    """Return where the values of each tensor lie in the file.

    Raises: AppError `not_found`, `no_permission`, or `invalid_request` with the reason.
    """
    with open_file(path) as source:
        try:
            if source.read(0, 4) == b"GGUF":
                return _read_gguf(source)
            return _read_binary(source)
        except InvalidGgufError as error:
            raise _wrong(path, error.reason) from error
        except struct.error as error:
            raise _wrong(path, "it ends in the middle") from error


def _read_gguf(source: FileSource) -> tuple[MatrixEntry, ...]:
    header = read_header(source)
    by_name = {tensor.name: tensor for tensor in header.tensors}
    entries = []
    for name, sums in by_name.items():
        if not name.endswith(SUMS):
            continue
        stem = name.removesuffix(SUMS)
        counts = by_name.get(stem + COUNTS)
        if counts is None or sums.kind != F32 or counts.kind != F32:
            raise _wrong(source.path, f"{stem} lacks its counts")
        divisors = _floats(source, counts)
        if sums.parameters % len(divisors) or sums.parameters > MOST_VALUES:
            raise _wrong(source.path, f"{stem} has {sums.parameters:,} values")
        rounded = tuple(float(math.floor(count + 0.5)) for count in divisors)
        entries.append(MatrixEntry(stem, sums.offset, sums.parameters, rounded))
    if not entries:
        raise _wrong(source.path, "it is a GGUF file, but holds no importance values")
    return tuple(entries)


def _floats(source: FileSource, tensor: TensorInfo) -> tuple[float, ...]:
    if tensor.parameters > 1 << 16:
        raise _wrong(source.path, f"{tensor.name} has {tensor.parameters:,} values")
    values = struct.unpack(f"<{tensor.parameters}f", source.read(tensor.offset, tensor.bytes))
    if not all(math.isfinite(value) and value >= 0 for value in values):
        raise _wrong(source.path, f"{tensor.name} holds values that are no counts")
    return values


def _read_binary(source: FileSource) -> tuple[MatrixEntry, ...]:
    count = _whole(source, 0)
    if not 1 <= count <= MOST_ENTRIES:
        raise _wrong(source.path, "it is no importance matrix")
    at, entries = 4, []
    for _ in range(count):
        length = _whole(source, at)
        if not 1 <= length <= LONGEST_NAME:
            raise _wrong(source.path, "it is no importance matrix")
        name = source.read(at + 4, length).decode("utf-8", "replace")
        at += 4 + length
        calls, values = _whole(source, at), _whole(source, at + 4)
        at += 8
        if not 1 <= values <= MOST_VALUES or at + values * 4 > source.size_bytes:
            raise _wrong(source.path, f"it ends in the values of {name[:60]}")
        entries.append(MatrixEntry(name, at, values, (float(max(1, calls)),)))
        at += values * 4
    return tuple(entries)


def _whole(source: FileSource, offset: int) -> int:
    return int(struct.unpack("<i", source.read(offset, 4))[0])


def _wrong(path: Path, reason: str) -> AppError:
    return AppError(
        "invalid_request",
        f"{path.name} cannot be used as an importance matrix: {reason}.",
        "Choose the imatrix file that belongs to this model, or go on without one.",
        detail={"path": str(path)},
    )
