"""A model in many files, as large ones are published: sound headers, random weights."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from freehold.gguf.ggml_types import Q8_0
from freehold.gguf.writer import MetadataValue, TensorData, write_gguf

ROW = 1024


def write_shards(folder: Path, count: int, *, padding_bytes: int = 100_000) -> list[Path]:
    """Write a set of `count` files of about `padding_bytes` each that the library accepts."""
    rows = max(1, padding_bytes // Q8_0.row_bytes(ROW))
    first: dict[str, MetadataValue] = {
        "general.architecture": "deepseek2",
        "general.name": "Sharded Kimi for tests",
        "deepseek2.block_count": count,
        "deepseek2.context_length": 131_072,
        "deepseek2.expert_count": 384,
        "deepseek2.expert_used_count": 8,
        "split.tensors.count": count,
    }
    paths = []
    for number in range(1, count + 1):
        metadata: dict[str, MetadataValue] = {"split.no": number - 1, "split.count": count}
        if number == 1:
            metadata |= first
        name = f"blk.{number - 1}.attn_output.weight"
        tensor = TensorData(name, Q8_0, (ROW, rows), partial(_noise, number, rows))
        path = folder / f"sharded-Q8_0-{number:05d}-of-{count:05d}.gguf"
        write_gguf(path, metadata, [tensor])
        paths.append(path)
    return paths


def _noise(seed: int, rows: int) -> Iterator[bytes]:
    yield random.Random(seed).randbytes(rows * Q8_0.row_bytes(ROW))
