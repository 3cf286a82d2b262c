"""Exact money: Decimal amounts, rounding to the cent, and shares that add up."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def round_money(amount: Decimal, step: Decimal = CENT) -> Decimal:
    """Return `amount` rounded half up to a multiple of `step`."""
    return (amount / step).quantize(Decimal(1), rounding=ROUND_HALF_UP) * step


def share_out(
    total: Decimal, weights: Sequence[Decimal | int], step: Decimal = CENT
) -> list[Decimal]:
    """Divide `total` by `weights` into multiples of `step` whose sum is exactly `total`.

    Largest remainder: every share is rounded down, and the steps left over go to the largest
    remainders, earlier ones first. With no positive weight the shares are equal.

    Raises: ValueError if there is nobody to share with, a weight is negative, or `total` is not
    a multiple of `step`.
    """
    if not weights:
        raise ValueError("nobody to share with")
    if any(weight < 0 for weight in weights):
        raise ValueError("a weight is negative")
    units = total / step
    if units != units.to_integral_value():
        raise ValueError(f"{total} is not a multiple of {step}")
    counts = share_out_units(abs(int(units)), weights)
    sign = -1 if units < 0 else 1
    return [sign * count * step for count in counts]


def share_out_units(total: int, weights: Sequence[Decimal | int]) -> list[int]:
    """Divide a whole number (cents, microjoules) by weights; the parts sum to it exactly.

    Units: whatever `total` counts. Weights must not be negative; all zero means equal shares.
    """
    scale = sum(weights)
    if scale == 0:
        weights = [1] * len(weights)
        scale = len(weights)
    floors: list[int] = []
    remainders: list[tuple[Decimal, int]] = []
    for index, weight in enumerate(weights):
        exact = Decimal(total) * Decimal(weight) / Decimal(scale)
        floor = int(exact)
        floors.append(floor)
        remainders.append((exact - floor, -index))
    missing = total - sum(floors)
    for _, negative_index in sorted(remainders, reverse=True)[:missing]:
        floors[-negative_index] += 1
    return floors
