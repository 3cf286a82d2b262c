"""Advice with figures: what resting costs, what unloading saves, when power is cheapest."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from freehold.ledger.money import round_money
from freehold.ledger.tariffs import Series, Tariff
from freehold.power.readings import Level
from freehold.power.rest import RestPower
from freehold.wire_power import Advice, PricedHours

HOURS_PER_MONTH: Final = Decimal(730)
TINY_MONEY: Final = Decimal("0.0001")
BEST_HOURS: Final = 4


def give_advice(
    rest: RestPower,
    level: Level,
    price: Decimal | None,
    currency: str,
    tariff: Tariff | None,
    now: float,
) -> Advice:
    """Return what could be saved. price: of a kWh now, tax in it, None where none is known."""
    loaded, empty = rest.loaded_watts, rest.empty_watts
    idle = loaded if loaded is not None else empty
    hourly = per_hour(idle, price)
    monthly = None if hourly is None else round_money(hourly * HOURS_PER_MONTH)
    saves = None
    if loaded is not None and empty is not None and price is not None:
        watts = Decimal(str(round(max(0.0, loaded - empty), 1)))
        saves = round_money(watts / 1000 * price * HOURS_PER_MONTH)
    hours = priced_hours(tariff, now) if tariff is not None else ()
    return Advice(
        sentences=(
            *_rest_sentences(loaded, empty, monthly, saves, currency, blind=level == "estimate"),
            *_hour_sentences(hours, currency, by_date=tariff is not None and bool(tariff.series)),
        ),
        level=level,
        currency=currency,
        idle_loaded_watts=loaded,
        idle_empty_watts=empty,
        idle_per_month=monthly,
        unloading_saves_per_month=saves,
        hours=hours,
    )


def per_hour(watts: float | None, price: Decimal | None) -> Decimal | None:
    """Return what power costs in an hour, None where either is not known."""
    if watts is None or price is None:
        return None
    return round_money(Decimal(str(round(watts, 3))) / 1000 * price, TINY_MONEY)


def priced_hours(tariff: Tariff, now: float) -> tuple[PricedHours, ...]:
    """Return prices by time, the cheapest first; nothing where there is only one.

    Of a tariff by time of day, this month's; of imported prices, those still to come today and
    tomorrow, the best hours and the worst.
    """
    if tariff.series is not None:
        return _series_hours(tariff, tariff.series, now)
    month = datetime.datetime.fromtimestamp(now, ZoneInfo(tariff.zone)).month
    found = [p for p in tariff.periods if month in p.months and "workday" in p.days]
    if len({p.price for p in found}) < 2:
        return ()
    return tuple(
        PricedHours(
            days=_days(p.days),
            start=f"{p.start:%H:%M}",
            end=f"{p.end:%H:%M}",
            price=p.price * (1 + tariff.tax_rate),
        )
        for p in sorted(found, key=lambda p: p.price)
    )


def _series_hours(tariff: Tariff, series: Series, now: float) -> tuple[PricedHours, ...]:
    zone, after = ZoneInfo(tariff.zone), now + 36 * 3600
    ends = (*series.starts[1:], series.ends)
    coming = [
        (price, start.astimezone(zone), end.astimezone(zone))
        for start, end, price in zip(series.starts, ends, series.prices, strict=True)
        if end.timestamp() > now and start.timestamp() < after
    ]
    if len({price for price, *_ in coming}) < 2:
        return ()
    ordered = sorted(coming, key=lambda entry: (entry[0], entry[1]))
    shown = ordered if len(ordered) <= 2 * BEST_HOURS else [*ordered[:BEST_HOURS], ordered[-1]]
    return tuple(
        PricedHours(
            days=f"{start:%A}",
            start=f"{start:%H:%M}",
            end=f"{end:%H:%M}",
            price=price * (1 + tariff.tax_rate),
        )
        for price, start, end in shown
    )


def _days(days: Sequence[str]) -> str:
    return "every day" if len(days) == 3 else " and ".join(f"{day}s" for day in days)


def _rest_sentences(
    loaded: float | None,
    empty: float | None,
    monthly: Decimal | None,
    saves: Decimal | None,
    currency: str,
    *,
    blind: bool,
) -> tuple[str, ...]:
    if loaded is None and empty is None:
        return ("The machine has not rested long enough yet to say what resting costs.",)
    watts = loaded if loaded is not None else empty
    state = "with a model loaded" if loaded is not None else "without a model"
    cost = f", {monthly} {currency} a month" if monthly is not None else ""
    first = f"At rest {state} it draws {watts:.0f} W{cost}."
    if blind:
        return (first, "No meter sees what a loaded model draws; an estimate cannot tell.")
    if loaded is None:
        return (first,)
    if empty is None:
        return (first, "It has not rested without a model since the server started.")
    if loaded - empty < 1:
        return (first, "Unloading the model would save next to nothing.")
    worth = f", {saves} {currency} a month if it were always so" if saves is not None else ""
    return (first, f"Unloading the model saves {loaded - empty:.0f} W{worth}.")


def _hour_sentences(
    hours: Sequence[PricedHours], currency: str, *, by_date: bool
) -> tuple[str, ...]:
    if not hours:
        return ()
    best, worst = hours[0], hours[-1]
    if by_date:
        return (
            f"Power is cheapest on {best.days} from {best.start} to {best.end} "
            f"({best.price.normalize():f} {currency} per kWh) and dearest on {worst.days} from "
            f"{worst.start} to {worst.end} ({worst.price.normalize():f}).",
        )
    return (
        f"Power is cheapest from {best.start} to {best.end} ({best.price} {currency} per kWh) and "
        f"dearest from {worst.start} to {worst.end} ({worst.price}).",
    )
