"""What the quantiser's process is told."""

from __future__ import annotations

from typing import Final

import msgspec

NO_TYPE: Final = -1


class MatrixEntry(msgspec.Struct, frozen=True):
    """Where a tensor's importance lies: `count` float32 values at `offset`.

    divisors: how often each expert (or the one matrix) was used; values are divided by it.
    """

    name: str
    offset: int
    count: int
    divisors: tuple[float, ...]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to make; types are ggml's numbers. dry_run: only tell which types there would be."""

    source: str
    target: str
    file_type: int
    threads: int = 0
    allow_requantise: bool = False
    keep_split: bool = False
    output_type: int = NO_TYPE
    embedding_type: int = NO_TYPE
    overrides: tuple[tuple[str, int], ...] = ()
    matrix_path: str = ""
    matrix: tuple[MatrixEntry, ...] = ()
    dry_run: bool = False
    buffer_bytes: int = 1 << 30
    nice: int = 10
