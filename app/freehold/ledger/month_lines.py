"""A month of the ledger made ready to be summed: one currency, and the bill's charges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from freehold.ledger.charges import Charge, TariffStay, month_charges
from freehold.ledger.entries import MONEY_PLACES, IdleEntry, RequestEntry
from freehold.ledger.exchange import Rates, convert_lines, utc_day
from freehold.ledger.months import month_bounds, month_of


@dataclass(frozen=True, slots=True)
class MonthLines:
    """Lines and charges in one currency. missing: currencies that no rate is known for."""

    requests: tuple[RequestEntry, ...]
    idle: tuple[IdleEntry, ...]
    charges: tuple[Charge, ...]
    missing: frozenset[str]


def in_one_currency(
    requests: Sequence[RequestEntry],
    idle: Sequence[IdleEntry],
    stays: Sequence[TariffStay],
    bounds: tuple[float, float],
    currency: str,
    rates: Rates,
) -> MonthLines:
    """Return a month's lines and charges with all money in one currency."""
    charges = month_charges(requests, idle, stays, *bounds)
    paid, lost = convert_lines(requests, currency, rates, currency)
    rested, also_lost = convert_lines(idle, currency, rates, currency)
    converted, charges_lost = _convert_charges(charges, bounds[1], currency, rates)
    return MonthLines(paid, rested, converted, lost | also_lost | charges_lost)


def charges_ever(
    requests: Sequence[RequestEntry],
    idle: Sequence[IdleEntry],
    stays: Sequence[TariffStay],
    zone: str,
    currency: str,
    rates: Rates,
) -> Decimal:
    """Return all charges of all months in which something was metered, tax included."""
    if not any(stay.tariff is not None for stay in stays):
        return Decimal(0)
    months: dict[str, tuple[list[RequestEntry], list[IdleEntry]]] = defaultdict(lambda: ([], []))
    for request in requests:
        months[month_of(request.ended_at, zone)][0].append(request)
    for interval in idle:
        months[month_of(interval.end_at, zone)][1].append(interval)
    total = Decimal(0)
    for month, (some_requests, some_idle) in months.items():
        bounds = month_bounds(month, zone)
        charges = month_charges(some_requests, some_idle, stays, *bounds)
        converted, _ = _convert_charges(charges, bounds[1], currency, rates)
        total += sum((c.money + c.tax for c in converted), Decimal(0))
    return total


def _convert_charges(
    charges: Iterable[Charge], at: float, currency: str, rates: Rates
) -> tuple[tuple[Charge, ...], frozenset[str]]:
    converted: list[Charge] = []
    missing: set[str] = set()
    for charge in charges:
        factor = rates.factor(charge.currency, currency, utc_day(at))
        if factor is None:
            missing.add(charge.currency)
            factor = Decimal(1)
        converted.append(
            replace(
                charge,
                money=(charge.money * factor).quantize(MONEY_PLACES),
                tax=(charge.tax * factor).quantize(MONEY_PLACES),
                currency=currency,
            )
        )
    return tuple(converted), frozenset(missing)
