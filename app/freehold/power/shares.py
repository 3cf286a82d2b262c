"""Whole numbers divided without a rest."""

from __future__ import annotations

from collections.abc import Sequence


def share_out_units(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole number (cents, microjoules) by whole weights; the parts sum to it exactly.

    Largest remainder: every part is rounded down, what is left goes one each to the largest
    remainders, earlier ones first. Weights that are all zero mean equal parts.

    Raises: ValueError if `total` or a weight is negative, or there are no weights.
    """
    if not weights:
        raise ValueError("nobody to share with")
    if total < 0 or min(weights) < 0:
        raise ValueError("a negative number cannot be shared out")
    scale = sum(weights)
    if scale == 0:
        weights = [1] * len(weights)
        scale = len(weights)
    parts = [total * weight // scale for weight in weights]
    remainders = [total * weight % scale for weight in weights]
    missing = total - sum(parts)
    for index in sorted(range(len(parts)), key=lambda i: (-remainders[i], i))[:missing]:
        parts[index] += 1
    return parts
