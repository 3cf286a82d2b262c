"""Tariffs: time of use, tiers, series, charges, and days that are not 24 hours long."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.errors import AppError
from freehold.ledger.money import share_out
from freehold.ledger.tariffs import (
    Interval,
    Period,
    Series,
    Tariff,
    Tier,
    check_tariff,
    energy_cost,
    flat,
    local_day_hours,
    monthly_bill,
    peak_kw,
    price_at,
)

KWH = 3_600_000_000_000
BERLIN = ZoneInfo("Europe/Berlin")

TIME_OF_USE = Tariff(
    "night and day",
    "EUR",
    "Europe/Berlin",
    periods=(
        Period("night", Decimal("0.20"), time(22), time(6)),
        Period("day", Decimal("0.40"), time(6), time(22), days=("workday",)),
        Period("free day", Decimal("0.30"), time(6), time(22), days=("weekend", "holiday")),
    ),
    holidays=frozenset({date(2026, 12, 25)}),
)


def hours(start: datetime, count: int, kw: int = 1) -> list[Interval]:
    return [
        Interval(start + timedelta(hours=i), start + timedelta(hours=i + 1), kw * KWH)
        for i in range(count)
    ]


def test_a_sound_tariff_is_accepted() -> None:
    check_tariff(TIME_OF_USE)
    check_tariff(flat(Decimal("0.1761")))


@pytest.mark.parametrize(
    ("moment", "price"),
    [
        ("2026-11-24T21:59", "0.40"),
        ("2026-11-24T22:00", "0.20"),
        ("2026-11-25T05:59", "0.20"),
        ("2026-11-28T12:00", "0.30"),
        ("2026-12-25T12:00", "0.30"),
    ],
)
def test_time_of_use(moment: str, price: str) -> None:
    assert price_at(TIME_OF_USE, datetime.fromisoformat(moment).replace(tzinfo=BERLIN)) == Decimal(
        price
    )


def test_an_interval_is_cut_at_the_price_change() -> None:
    start = datetime(2026, 11, 24, 21, 0, tzinfo=BERLIN)
    cost = energy_cost(TIME_OF_USE, [Interval(start, start + timedelta(hours=2), 2 * KWH)])
    assert cost == Decimal("0.60")


@pytest.mark.parametrize(
    ("day", "length"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-07-01", 24)]
)
def test_days_with_a_clock_change_sum_right(day: str, length: int) -> None:
    when = date.fromisoformat(day)
    assert local_day_hours("Europe/Berlin", when) == length
    start = datetime.combine(when, time(0), BERLIN).astimezone(UTC)
    bill = monthly_bill(flat(Decimal("0.25"), zone="Europe/Berlin"), hours(start, length))
    assert bill.kwh == length
    assert bill.total == length * Decimal("0.25")


def test_tiers_split_inside_an_interval() -> None:
    tariff = Tariff(
        "tiers",
        "USD",
        "UTC",
        tiers=(Tier(Decimal(0), Decimal("0.1")), Tier(Decimal(5), Decimal(1))),
    )
    check_tariff(tariff)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert energy_cost(tariff, [Interval(start, start + timedelta(hours=1), 8 * KWH)]) == Decimal(
        "3.5"
    )


def test_series_may_be_negative_and_says_where_it_ends() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    tariff = Tariff(
        "spot",
        "EUR",
        "UTC",
        series=Series(
            (start, start + timedelta(hours=1)),
            (Decimal("0.10"), Decimal("-0.05")),
            start + timedelta(hours=2),
        ),
    )
    check_tariff(tariff)
    assert energy_cost(tariff, hours(start, 2)) == Decimal("0.05")
    with pytest.raises(AppError, match="no price for"):
        price_at(tariff, start + timedelta(hours=2))


def test_bill_with_every_charge() -> None:
    tariff = Tariff(
        "all",
        "EUR",
        "UTC",
        periods=(Period("all day", Decimal("0.30")),),
        fixed_per_month=Decimal(10),
        demand_per_kw=Decimal(4),
        tax_rate=Decimal("0.19"),
    )
    start = datetime(2026, 1, 1, tzinfo=UTC)
    used = [*hours(start, 2), *hours(start + timedelta(hours=2), 1, kw=3)]
    bill = monthly_bill(tariff, used)
    assert (bill.kwh, bill.energy, bill.demand) == (5, Decimal("1.50"), 12)
    assert bill.total == (Decimal("1.50") + 10 + 12) * Decimal("1.19")


def test_peak_counts_intervals_that_straddle_an_hour() -> None:
    start = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    assert peak_kw([Interval(start, start + timedelta(hours=1), 2 * KWH)]) == 1


@pytest.mark.parametrize(
    ("tariff", "names"),
    [
        (
            Tariff("hole", "EUR", "UTC", periods=(Period("d", Decimal(1), time(6), time(22)),)),
            "hole",
        ),
        (
            Tariff(
                "twice", "EUR", "UTC", periods=(Period("a", Decimal(1)), Period("b", Decimal(1)))
            ),
            "a and b",
        ),
        (Tariff("none", "EUR", "UTC"), "either"),
        (Tariff("zone", "EUR", "Mars/Base", periods=(Period("a", Decimal(1)),)), "Mars/Base"),
        (flat(Decimal(-1)), "-1"),
        (Tariff("t", "EUR", "UTC", tiers=(Tier(Decimal(5), Decimal(1)),)), "first tier"),
    ],
)
def test_holes_overlaps_and_absurd_figures_are_named(tariff: Tariff, names: str) -> None:
    with pytest.raises(AppError) as caught:
        check_tariff(tariff)
    assert names in caught.value.sentence


weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=12)


@given(cents=st.integers(-(10**9), 10**9), weights=weights)
def test_shares_add_up_to_the_cent(cents: int, weights: list[int]) -> None:
    total = Decimal(cents) / 100
    shares = share_out(total, weights)
    assert sum(shares) == total
    if cents >= 0:
        assert all(share >= 0 for share in shares)
