"""Money of one currency in another, by rates that carry their day."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from freehold.ledger.entries import MONEY_PLACES, IdleEntry, RequestEntry

DOLLARS = "USD"
Line = TypeVar("Line", RequestEntry, IdleEntry)


@dataclass(frozen=True, slots=True)
class DatedRate:
    """What one unit of a currency is worth in dollars from a day on."""

    currency: str
    on: datetime.date
    dollars: Decimal


@dataclass(frozen=True, slots=True)
class Rates:
    """Dated rates. A moment before the first rate of a currency takes the first."""

    known: tuple[DatedRate, ...] = ()

    def dollars(self, currency: str, day: datetime.date) -> Decimal | None:
        """Return what a unit was worth on a day, None where no rate is known."""
        if currency == DOLLARS:
            return Decimal(1)
        own = sorted((r for r in self.known if r.currency == currency), key=lambda r: r.on)
        if not own:
            return None
        return next((r.dollars for r in reversed(own) if r.on <= day), own[0].dollars)

    def factor(self, source: str, target: str, day: datetime.date) -> Decimal | None:
        """Return what one unit of `source` is in `target`, None where a rate is missing."""
        if source == target:
            return Decimal(1)
        given, wanted = self.dollars(source, day), self.dollars(target, day)
        return None if given is None or wanted is None else given / wanted


def convert_lines(
    lines: Sequence[Line], currency: str, rates: Rates, unnamed: str
) -> tuple[tuple[Line, ...], frozenset[str]]:
    """Return lines with their money in one currency, and the currencies no rate is known for.

    unnamed: the currency of lines that name none. Money without a rate is counted one to one.
    """
    missing: set[str] = set()
    converted: list[Line] = []
    for line in lines:
        source = line.currency or unnamed
        if source == currency or not line.money:
            converted.append(line)
            continue
        at = line.ended_at if isinstance(line, RequestEntry) else line.end_at
        factor = rates.factor(source, currency, utc_day(at))
        if factor is None:
            missing.add(source)
            converted.append(line)
            continue
        converted.append(
            replace(
                line,
                money=(line.money * factor).quantize(MONEY_PLACES),
                tax=(line.tax * factor).quantize(MONEY_PLACES),
                currency=currency,
            )
        )
    return tuple(converted), frozenset(missing)


def utc_day(moment: float) -> datetime.date:
    """Return the day of a Unix time."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).date()
