"""The sizes of the network, and how its parts are named for llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of one Kimi-like network; attention sizes are per head.

    Kimi K2 itself: 61 layers, width 7168, 64 heads, q rank 1536, kv rank 512, rope 64, nope 128,
    value 128, 384 experts of width 2048, 8 of them per token and one shared, scale 2.827.
    """

    vocabulary: int = 4096
    layers: int = 5
    width: int = 192
    heads: int = 4
    q_rank: int = 96
    kv_rank: int = 96
    rope: int = 32
    nope: int = 32
    value: int = 64
    dense_width: int = 512
    experts: int = 16
    experts_used: int = 2
    expert_width: int = 64
    expert_scale: float = 1.5
    context_tokens: int = 4096
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-6

    @property
    def key(self) -> int:
        return self.nope + self.rope


SHAPES: Final = {
    "starter": Shape(),
    # For an accelerator: what the issue that asked for this model suggested.
    "large": Shape(
        layers=8, width=256, heads=8, q_rank=128, kv_rank=96, dense_width=768,
        experts=32, experts_used=4, expert_width=96, expert_scale=2.0,
    ),
}  # fmt: skip
