"""Exact money: Decimal amounts, rounding to the cent, and shares that add up."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

from freehold.power.shares import share_out_units

CENT = Decimal("0.01")


def round_money(amount: Decimal, step: Decimal = CENT) -> Decimal:
    """Return `amount` rounded half up to a multiple of `step`."""
    return (amount / step).quantize(Decimal(1), rounding=ROUND_HALF_UP) * step


def round_together(amounts: Sequence[Decimal], step: Decimal = CENT) -> list[Decimal]:
    """Return amounts as multiples of `step` whose sum is their exact sum, rounded.

    Largest remainder: every amount is rounded down, and the steps that are missing go one each to
    the largest remainders, earlier ones first. So each is less than a step from its exact value;
    amounts may be negative.
    """
    floors = [(amount / step).to_integral_value(ROUND_FLOOR) for amount in amounts]
    total = (sum(amounts, Decimal(0)) / step).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    missing = int(total - sum(floors, Decimal(0)))
    remainders = [amount / step - floor for amount, floor in zip(amounts, floors, strict=True)]
    for index in sorted(range(len(floors)), key=lambda i: (-remainders[i], i))[:missing]:
        floors[index] += 1
    return [floor * step for floor in floors]


def share_out(total: Decimal, weights: Sequence[int], step: Decimal = CENT) -> list[Decimal]:
    """Divide `total` by whole `weights` into multiples of `step` whose sum is exactly `total`.

    Raises: ValueError if there is nobody to share with, a weight is negative, or `total` is not
    a multiple of `step`.
    """
    units = total / step
    if units != units.to_integral_value():
        raise ValueError(f"{total} is not a multiple of {step}")
    counts = share_out_units(abs(int(units)), weights)
    sign = -1 if units < 0 else 1
    return [sign * count * step for count in counts]
