"""What a kilowatt-hour costs, by the tariff on the person's bill.

Pure functions over frozen values. Consumption comes as energy per interval with aware start
times; prices are looked up in the tariff's own time zone, so days of 23 and 25 hours sum right.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from freehold.errors import AppError

MICROJOULES_PER_KWH = Decimal(3_600_000_000_000)
DayKind = Literal["workday", "weekend", "holiday"]
ALL_DAYS: tuple[DayKind, ...] = ("workday", "weekend", "holiday")


@dataclass(frozen=True, slots=True)
class Period:
    """A price per kWh from one time of day to another, on some days of some months.

    `start` == `end` means the whole day; `end` before `start` crosses midnight.
    """

    name: str
    price: Decimal
    start: time = time(0)
    end: time = time(0)
    days: tuple[DayKind, ...] = ALL_DAYS
    months: tuple[int, ...] = tuple(range(1, 13))

    def covers(self, minute: int, kind: DayKind, month: int) -> bool:
        """Tell whether the period holds at a minute of a day (0…1439)."""
        if kind not in self.days or month not in self.months:
            return False
        first = self.start.hour * 60 + self.start.minute
        last = self.end.hour * 60 + self.end.minute
        if first == last:
            return True
        if first < last:
            return first <= minute < last
        return minute >= first or minute < last


@dataclass(frozen=True, slots=True)
class Tier:
    """A price that holds from a monthly consumption on."""

    from_kwh: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Series:
    """Real-time prices: `prices[i]` holds from `starts[i]` (aware, ascending) to the next start."""

    starts: tuple[datetime, ...]
    prices: tuple[Decimal, ...]
    ends: datetime


@dataclass(frozen=True, slots=True)
class Tariff:
    """A supplier's prices. Exactly one of `periods`, `tiers` and `series` says the energy price.

    fixed_per_month: standing charge; demand_per_kw: charge on the month's highest hourly power;
    tax_rate: added to everything; currency: ISO 4217.
    """

    name: str
    currency: str
    zone: str
    periods: tuple[Period, ...] = ()
    tiers: tuple[Tier, ...] = ()
    series: Series | None = None
    holidays: frozenset[date] = field(default_factory=frozenset)
    fixed_per_month: Decimal = Decimal(0)
    demand_per_kw: Decimal = Decimal(0)
    tax_rate: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Interval:
    """Energy used between two moments, in whole microjoules."""

    start: datetime
    end: datetime
    microjoules: int


@dataclass(frozen=True, slots=True)
class Bill:
    """A month's money, unrounded, before and with tax."""

    kwh: Decimal
    energy: Decimal
    fixed: Decimal
    demand: Decimal
    tax: Decimal

    @property
    def total(self) -> Decimal:
        return self.energy + self.fixed + self.demand + self.tax


def flat(price: Decimal, *, currency: str = "USD", zone: str = "UTC") -> Tariff:
    """Return a tariff with one price at all times."""
    return Tariff("flat", currency, zone, periods=(Period("all day", price),))


def check_tariff(tariff: Tariff) -> None:
    """Refuse a tariff that has holes, overlaps or absurd figures.

    Raises: AppError `invalid_request` naming the day, time and periods concerned.
    """
    _zone(tariff)
    kinds = [bool(tariff.periods), bool(tariff.tiers), tariff.series is not None]
    if sum(kinds) != 1:
        raise _refused(
            "A tariff needs either periods, tiers or a price series.", "Choose one of the three."
        )
    charges = (tariff.fixed_per_month, tariff.demand_per_kw, tariff.tax_rate)
    if any(not charge.is_finite() or charge < 0 for charge in charges):
        raise _refused("A fixed charge, demand charge or tax is negative.", "Enter 0 or more.")
    if tariff.periods:
        _check_periods(tariff.periods)
    if tariff.tiers:
        _check_tiers(tariff.tiers)
    if tariff.series is not None:
        _check_series(tariff.series)


def _check_periods(periods: Sequence[Period]) -> None:
    for period in periods:
        _check_price(period.price, period.name)
    for month in range(1, 13):
        for kind in ALL_DAYS:
            for minute in range(1440):
                found = [p.name for p in periods if p.covers(minute, kind, month)]
                if len(found) != 1:
                    moment = f"{kind}s in month {month} at {minute // 60:02}:{minute % 60:02}"
                    if not found:
                        raise _refused(f"No price is given for {moment}.", "Fill the hole.")
                    raise _refused(
                        f"Two prices are given for {moment}: {' and '.join(found[:2])}.",
                        "Make the periods meet without overlapping.",
                    )


def _check_tiers(tiers: Sequence[Tier]) -> None:
    if tiers[0].from_kwh != 0:
        raise _refused("The first tier does not start at 0 kWh.", "Let it start at 0.")
    for lower, upper in itertools.pairwise(tiers):
        if upper.from_kwh <= lower.from_kwh:
            raise _refused(
                f"The tier from {upper.from_kwh} kWh does not follow the one from "
                f"{lower.from_kwh} kWh.",
                "Order the tiers by consumption.",
            )
    for tier in tiers:
        _check_price(tier.price, f"tier from {tier.from_kwh} kWh")


def _check_series(series: Series) -> None:
    if len(series.starts) != len(series.prices) or not series.starts:
        raise _refused("The price series is empty or uneven.", "Give one price for each time.")
    moments = (*series.starts, series.ends)
    for earlier, later in itertools.pairwise(moments):
        if later <= earlier:
            raise _refused(
                f"The price series goes back in time at {later.isoformat()}.",
                "Sort it and remove doubles.",
            )
    for price in series.prices:
        # Real-time prices may be negative; a contract's own prices may not.
        if not price.is_finite() or abs(price) > 1000:
            raise _refused(f"The price {price} of the series cannot be.", "Check its unit.")


def _check_price(price: Decimal, name: str) -> None:
    if not price.is_finite() or not 0 <= price <= 1000:
        raise _refused(f"The price {price} of {name} cannot be.", "Enter a price per kWh.")


def price_at(tariff: Tariff, moment: datetime, month_kwh: Decimal = Decimal(0)) -> Decimal:
    """Return the price per kWh at an aware moment, without tax.

    month_kwh: what the month has used before, which decides the tier.
    Raises: AppError `invalid_request` where a real-time series has no price for the moment.
    """
    if tariff.series is not None:
        return _series_price(tariff.series, moment)
    if tariff.tiers:
        index = bisect_right([tier.from_kwh for tier in tariff.tiers], month_kwh) - 1
        return tariff.tiers[max(index, 0)].price
    local = moment.astimezone(_zone(tariff))
    kind = day_kind(tariff, local.date())
    minute = local.hour * 60 + local.minute
    for period in tariff.periods:
        if period.covers(minute, kind, local.month):
            return period.price
    raise _refused(
        f"The tariff {tariff.name} has no price for {local:%A %H:%M}.", "Fill the hole in it."
    )


def day_kind(tariff: Tariff, day: date) -> DayKind:
    """Return what kind of day it is for the tariff."""
    if day in tariff.holidays:
        return "holiday"
    return "weekend" if day.weekday() >= 5 else "workday"


def energy_cost(
    tariff: Tariff, intervals: Sequence[Interval], month_kwh: Decimal = Decimal(0)
) -> Decimal:
    """Return the energy cost of intervals in time order, without fixed charges and tax.

    An interval across a price change is cut there, its energy spread evenly over its time.
    """
    cost = Decimal(0)
    used = month_kwh
    for interval in intervals:
        for piece in _cut(tariff, interval):
            kwh = piece.microjoules / MICROJOULES_PER_KWH
            cost += (
                _tiered(tariff, used, kwh) if tariff.tiers else kwh * price_at(tariff, piece.start)
            )
            used += kwh
    return cost


def monthly_bill(tariff: Tariff, intervals: Sequence[Interval]) -> Bill:
    """Return the bill of one calendar month's intervals, in time order.

    For intervals priced by one tariff; a month of the ledger, in which the tariff may have
    changed, is summed by `summary` and `charges`.
    """
    kwh = sum((i.microjoules for i in intervals), 0) / MICROJOULES_PER_KWH
    energy = energy_cost(tariff, intervals)
    demand = tariff.demand_per_kw * peak_kw(intervals) if tariff.demand_per_kw else Decimal(0)
    net = energy + tariff.fixed_per_month + demand
    return Bill(kwh, energy, tariff.fixed_per_month, demand, net * tariff.tax_rate)


def peak_kw(intervals: Sequence[Interval]) -> Decimal:
    """Return the highest mean power of any clock hour (UTC), in kW."""
    hours: dict[int, Decimal] = {}
    for interval in intervals:
        start, end = interval.start.timestamp(), interval.end.timestamp()
        length = Decimal(str(end - start))
        hour = int(start // 3600)
        while hour * 3600 < end:
            overlap = min(end, (hour + 1) * 3600) - max(start, hour * 3600)
            share = Decimal(str(overlap)) / length
            hours[hour] = hours.get(hour, Decimal(0)) + interval.microjoules * share
            hour += 1
    return max(hours.values(), default=Decimal(0)) / MICROJOULES_PER_KWH


def local_day_hours(zone: str, day: date) -> Decimal:
    """Return how many hours a local day has: 24, or 23 and 25 where the clock changes."""
    tz = ZoneInfo(zone)
    start = datetime.combine(day, time(0), tz)
    end = datetime.combine(day + timedelta(days=1), time(0), tz)
    return Decimal(str(end.timestamp() - start.timestamp())) / 3600


def _cut(tariff: Tariff, interval: Interval) -> list[Interval]:
    """Cut an interval where the price can change: at quarter hours, or at the series' steps."""
    if tariff.tiers or interval.end.timestamp() <= interval.start.timestamp():
        return [interval]
    edges = [interval.start]
    step = 900
    moment = (int(interval.start.timestamp()) // step + 1) * step
    while moment < interval.end.timestamp():
        edges.append(datetime.fromtimestamp(moment, interval.start.tzinfo))
        moment += step
    if len(edges) == 1:
        return [interval]
    edges.append(interval.end)
    total = interval.end.timestamp() - interval.start.timestamp()
    pieces: list[Interval] = []
    told = 0
    for start, end in itertools.pairwise(edges):
        share = (end.timestamp() - interval.start.timestamp()) / total
        until = interval.microjoules if end is interval.end else round(interval.microjoules * share)
        pieces.append(Interval(start, end, until - told))
        told = until
    return pieces


def _tiered(tariff: Tariff, used: Decimal, kwh: Decimal) -> Decimal:
    """Return the cost of `kwh` on top of `used`, split where a tier begins."""
    cost = Decimal(0)
    position, left = used, kwh
    bounds = [tier.from_kwh for tier in tariff.tiers[1:]]
    while left > 0:
        index = max(bisect_right([t.from_kwh for t in tariff.tiers], position) - 1, 0)
        room = bounds[index] - position if index < len(bounds) else left
        part = min(left, room)
        cost += part * tariff.tiers[index].price
        position += part
        left -= part
    return cost


def _series_price(series: Series, moment: datetime) -> Decimal:
    if moment < series.starts[0] or moment >= series.ends:
        raise _refused(
            f"The price series has no price for {moment.isoformat()}.",
            "Import prices that cover it.",
        )
    return series.prices[bisect_right(series.starts, moment) - 1]


def _zone(tariff: Tariff) -> ZoneInfo:
    try:
        return ZoneInfo(tariff.zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise _refused(
            f"The time zone {tariff.zone!r} is not known.", "Use a name like Europe/Berlin."
        ) from error


def _refused(message: str, hint: str) -> AppError:
    return AppError("invalid_request", message, hint)
