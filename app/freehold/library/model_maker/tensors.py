"""Tensors of random weights, scaled so that activations neither vanish nor explode."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from freehold.gguf.ggml_types import F32, GgmlType
from freehold.gguf.writer import TensorData
from freehold.library.model_maker.blocks import Floats, random_chunks


@dataclass(frozen=True, slots=True)
class TensorMaker:
    """Makes tensors from one seed; the same seed and name give the same bytes."""

    seed: int

    def matrix(
        self,
        name: str,
        kind: GgmlType,
        columns: int,
        *rows: int,
        gain: float = 1.0,
        spread: float | None = None,
        row_gain: Floats | None = None,
    ) -> TensorData:
        """Return a matrix (or a stack of them) that keeps its input's size, times `gain`.

        spread: the weights' deviation, instead of the one that follows from the input's width.
        """
        deviation = gain / math.sqrt(columns) if spread is None else spread

        def chunks() -> Iterator[bytes]:
            return random_chunks(
                name, kind, (columns, *rows), deviation, seed=self.seed, row_gain=row_gain
            )

        return TensorData(name, kind, (columns, *rows), chunks)

    def vector(self, name: str, size: int, *, spread: float = 0.02) -> TensorData:
        """Return a small random vector, as biases are."""

        def chunks() -> Iterator[bytes]:
            return random_chunks(name, F32, (size,), spread, seed=self.seed)

        return TensorData(name, F32, (size,), chunks)

    def ones(self, name: str, size: int) -> TensorData:
        """Return a vector of ones, as norms begin."""
        return TensorData(name, F32, (size,), lambda: iter([np.ones(size, np.float32).tobytes()]))
