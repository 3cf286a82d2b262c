"""What a month's bill holds beside the energy itself: tiers, standing charge, demand charge, tax.

They belong to nobody's request, so they are never written into the ledger's lines: they follow
from the lines of a month and the tariffs that held in it, which the ledger keeps with their times.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from freehold.ledger.entries import MONEY_PLACES, IdleEntry, RequestEntry
from freehold.ledger.tariffs import MICROJOULES_PER_KWH, Interval, Tariff, peak_kw

ChargeKind = Literal["tier", "fixed", "demand", "tax"]


@dataclass(frozen=True, slots=True)
class TariffStay:
    """A tariff that holds from a Unix time until the next stay; None where none does."""

    from_at: float
    tariff: Tariff | None


@dataclass(frozen=True, slots=True)
class Charge:
    """A line of the bill, without tax and unrounded; `tax` is what the tariff adds to it."""

    kind: ChargeKind
    name: str
    money: Decimal
    tax: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class _Part:
    """The part of a month that one tariff held in."""

    start_at: float
    end_at: float
    tariff: Tariff
    share: Decimal


def month_charges(
    requests: Sequence[RequestEntry],
    idle: Sequence[IdleEntry],
    stays: Sequence[TariffStay],
    start_at: float,
    end_at: float,
) -> tuple[Charge, ...]:
    """Return the charges of a month that runs from one Unix time to another.

    Standing and demand charges are monthly: a tariff that held for a part of the month charges
    that part of them. Requests are priced at the first tier; what higher tiers add, or take, is a
    charge of its own, so that nobody pays more for asking late in the month. A month in which
    nothing was metered has no charges.
    """
    if not requests and not idle:
        return ()
    parts = _parts(stays, start_at, end_at)
    charges: list[Charge] = []
    for part in parts:
        suffix = "" if len(parts) == 1 else f", {part.tariff.name} {_days(part)}"
        own_requests = [r for r in requests if part.start_at <= r.ended_at < part.end_at]
        own_idle = [i for i in idle if part.start_at <= i.end_at < part.end_at]
        charges += _tiers(part, own_requests, own_idle, suffix)
        if part.tariff.fixed_per_month:
            money = part.tariff.fixed_per_month * part.share
            charges.append(_charge("fixed", f"Standing charge{suffix}", money, part.tariff))
        if part.tariff.demand_per_kw and (own_requests or own_idle):
            kilowatts = peak_kw(intervals(own_requests, own_idle))
            money = part.tariff.demand_per_kw * kilowatts * part.share
            name = f"Demand charge, {kilowatts:.3f} kW in the highest hour{suffix}"
            charges.append(_charge("demand", name, money, part.tariff))
    return tuple(charges)


def intervals(requests: Sequence[RequestEntry], idle: Sequence[IdleEntry]) -> list[Interval]:
    """Return the stretches that lines tell of, each with its energy."""
    spans = [(r.ended_at - max(r.duration_s, 1.0), r.ended_at, r.microjoules) for r in requests]
    spans += [(min(i.start_at, i.end_at - 0.001), i.end_at, i.microjoules) for i in idle]
    return [Interval(_moment(start), _moment(end), energy) for start, end, energy in sorted(spans)]


def _parts(stays: Sequence[TariffStay], start_at: float, end_at: float) -> list[_Part]:
    ordered = sorted(stays, key=lambda stay: stay.from_at)
    ends = [*(stay.from_at for stay in ordered), float("inf")][1:]
    found: list[_Part] = []
    whole = Decimal(repr(end_at)) - Decimal(repr(start_at))
    for stay, until in zip(ordered, ends, strict=True):
        start, end = max(start_at, stay.from_at), min(end_at, until)
        if stay.tariff is not None and start < end:
            share = (Decimal(repr(end)) - Decimal(repr(start))) / whole
            found.append(_Part(start, end, stay.tariff, share))
    return found


def _tiers(
    part: _Part, requests: Sequence[RequestEntry], idle: Sequence[IdleEntry], suffix: str
) -> list[Charge]:
    tiers = part.tariff.tiers
    if len(tiers) < 2:
        return []
    microjoules = sum(r.microjoules for r in requests) + sum(i.microjoules for i in idle)
    kwh = Decimal(microjoules) / MICROJOULES_PER_KWH
    ends = [*(tier.from_kwh for tier in tiers[2:]), None]
    charges: list[Charge] = []
    for tier, end in zip(tiers[1:], ends, strict=True):
        inside = min(kwh, end) - tier.from_kwh if end is not None else kwh - tier.from_kwh
        if inside > 0:
            name = f"Above {tier.from_kwh.normalize():f} kWh: {inside:.1f} kWh at {tier.price}"
            money = inside * (tier.price - tiers[0].price)
            charges.append(
                _charge("tier", f"{name} instead of {tiers[0].price}{suffix}", money, part.tariff)
            )
    return charges


def _charge(kind: ChargeKind, name: str, money: Decimal, tariff: Tariff) -> Charge:
    net = money.quantize(MONEY_PLACES)
    tax = (money * tariff.tax_rate).quantize(MONEY_PLACES)
    return Charge(kind, name, net, tax, tariff.currency)


def _days(part: _Part) -> str:
    days = (part.end_at - part.start_at) / 86_400
    return f"({days:.1f} days)"


def _moment(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)
