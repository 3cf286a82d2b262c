"""Random weights written directly as quantised blocks, with a chosen standard deviation.

Quantising random numbers would give the same kind of blocks, only slower.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from freehold.gguf.ggml_types import F16, F32, Q4_0, Q4_K, Q6_K, Q8_0, GgmlType

CHUNK_VALUES = 1 << 22

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def random_chunks(
    name: str,
    kind: GgmlType,
    shape: tuple[int, ...],
    deviation: float,
    *,
    seed: int,
    row_gain: Floats | None = None,
    mean: float = 0.0,
) -> Iterator[bytes]:
    """Yield a tensor's bytes: normal-ish values around `mean`, the same for the same seed and name.

    row_gain: a factor for each row (shape[1] of them); only for quantised types.
    """
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    row_values = shape[0]
    rows = int(np.prod(shape[1:], dtype=np.int64)) if len(shape) > 1 else 1
    step = max(1, CHUNK_VALUES // row_values)
    for start in range(0, rows, step):
        count = min(step, rows - start)
        if kind in (F32, F16):
            values = generator.normal(mean, deviation, (count, row_values))
            yield values.astype(np.float32 if kind is F32 else np.float16).tobytes()
            continue
        blocks = row_values // kind.block_values
        gain = np.ones(count, np.float32) if row_gain is None else row_gain[start : start + count]
        scales = np.repeat(gain.astype(np.float32) * deviation, blocks)
        yield _PACKERS[kind.number](generator, scales).tobytes()


def _q8_0(generator: np.random.Generator, deviation: Floats) -> Bytes:
    """d (f16), then 32 int8; uniform values of ±127 deviate by 73.3."""
    count = len(deviation)
    quants = generator.integers(-127, 128, (count, 32), dtype=np.int8)
    return _join(_half(deviation / 73.3), quants.view(np.uint8))


def _q4_0(generator: np.random.Generator, deviation: Floats) -> Bytes:
    """d (f16), then 32 nibbles less 8; the sign of d is random, so that the mean is 0."""
    count = len(deviation)
    sign = generator.choice(np.array([-1.0, 1.0], np.float32), count)
    return _join(_half(deviation * sign / 4.64), _random_bytes(generator, count, 16))


def _q4_k(generator: np.random.Generator, deviation: Floats) -> Bytes:
    """d, dmin (f16), 8 six-bit scales and mins in 12 bytes, 256 nibbles.

    A value is d·scale·q - dmin·min; with min = scale and dmin = 7.5 d its mean is 0.
    """
    count = len(deviation)
    scale = generator.integers(24, 64, (count, 8), dtype=np.uint8)
    low, high = scale[:, :4], scale[:, 4:]
    upper = (high >> 4) << 6
    packed = np.concatenate([low | upper, low | upper, (high & 15) | ((high & 15) << 4)], axis=1)
    d = deviation / (4.61 * 45.0)
    return _join(_half(d), _half(7.5 * d), packed, _random_bytes(generator, count, 128))


def _q6_k(generator: np.random.Generator, deviation: Floats) -> Bytes:
    """128 bytes of low bits, 64 of high bits, 16 int8 scales, d (f16); scales of either sign."""
    count = len(deviation)
    size = generator.integers(40, 120, (count, 16), dtype=np.int8)
    sign = generator.choice(np.array([-1, 1], np.int8), (count, 16))
    scales = (size * sign).view(np.uint8)
    d = _half(deviation / (18.5 * 83.0))
    return _join(_random_bytes(generator, count, 192), scales, d)


def _random_bytes(generator: np.random.Generator, count: int, width: int) -> Bytes:
    return np.frombuffer(generator.bytes(count * width), np.uint8).reshape(count, width)


def _half(values: Floats) -> Bytes:
    return values.astype(np.float16).view(np.uint8).reshape(-1, 2)


def _join(*parts: Bytes) -> Bytes:
    return np.concatenate(parts, axis=1)


_PACKERS = {Q8_0.number: _q8_0, Q4_0.number: _q4_0, Q4_K.number: _q4_k, Q6_K.number: _q6_k}
