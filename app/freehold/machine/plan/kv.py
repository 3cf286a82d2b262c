"""Bytes of the KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from freehold.gguf.ggml_types import BY_NUMBER, GgmlType

# llama.cpp rounds the number of cells up to this.
CELL_PADDING: Final = 256

_BY_NAME: Final = {kind.name.lower(): kind for kind in BY_NUMBER.values()}
KV_TYPES: Final = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")


@dataclass(frozen=True, slots=True)
class KvShape:
    """What one token leaves in one layer's cache: values in its K row and in its V row.

    With multi-head latent attention the V row is part of the K row, so `v_values` is 0.
    """

    k_values: int
    v_values: int


def kv_type(name: str) -> GgmlType:
    """Return the tensor type a KV type's name means.

    Raises: KeyError for a name that is none of `KV_TYPES`.
    """
    if name not in KV_TYPES:
        raise KeyError(name)
    return _BY_NAME[name]


def kv_bytes(shape: KvShape, cells: int, k: GgmlType, v: GgmlType) -> int:
    """Return the bytes one layer's KV cache of `cells` tokens takes.

    Units: cells in tokens, all sequences together; result in bytes, without allocator padding.
    Raises: ValueError if a row is not a whole number of blocks of its type.
    Source: GGUF keys `*.attention.{head_count_kv,key_length,value_length}`; row size as
        ggml_row_size.
    """
    return cells * (k.row_bytes(shape.k_values) + v.row_bytes(shape.v_values))


def padded_cells(context_tokens: int) -> int:
    """Return the cells llama.cpp makes for a context."""
    return -(-context_tokens // CELL_PADDING) * CELL_PADDING
