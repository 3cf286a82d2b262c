"""Prices by time from CSV files: forms, units, days that are not 24 hours long, holes, overlaps."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.errors import AppError
from freehold.ledger.price_series import parse_series, read_series, series_text
from freehold.ledger.tariff_file import SERIES_FILE, read_tariff
from freehold.ledger.tariffs import Interval, Tariff, energy_cost, price_at

KWH = 3_600_000_000_000
BERLIN = "Europe/Berlin"


def hourly(day: str, hours: range, zone: str = "") -> str:
    rows = [f"{day} {hour:02}:00{zone},0.{hour + 10}" for hour in hours]
    return "\n".join(["start,price", *rows])


@pytest.mark.parametrize(
    ("heading", "row", "price"),
    [
        ("start,price", "2026-11-24T{:02}:00+00:00,0.25", "0.25"),
        ("Start;Preis (EUR/MWh)", "24.11.2026 {:02}:00;250,0", "0.2500"),
        ("Date\tPrice ct/kWh", "2026-11-24 {:02}:00\t25", "0.25"),
        (
            "MTU (UTC),Day-ahead Price [EUR/MWh]",
            "24/11/2026 {:02}:00 - 24/11/2026 23:00,250",
            "0.250",
        ),
        ("valid_from,valid_to,value_inc_vat,rate", "2026-11-24T{:02}:00Z,x,0.25,0.3", "0.25"),
    ],
)
def test_files_of_suppliers_and_exchanges(heading: str, row: str, price: str) -> None:
    text = "\n".join([heading, *(row.format(hour) for hour in range(5))])
    series = parse_series(text, "UTC")
    assert series.prices == (Decimal(price),) * 5
    assert series.starts[0] == datetime(2026, 11, 24, tzinfo=UTC)
    assert series.ends == datetime(2026, 11, 24, 5, tzinfo=UTC)


def test_a_file_without_heading_and_with_the_newest_first() -> None:
    text = "\ufeff2026-11-24 02:00,0.3\r\n2026-11-24 01:00,0.2\r\n2026-11-24 00:00,-0.1\r\n"
    series = parse_series(text, "UTC")
    assert series.prices == (Decimal("-0.1"), Decimal("0.2"), Decimal("0.3"))
    assert parse_series(text, "UTC", "cents").prices[0] == Decimal("-0.001")


@pytest.mark.parametrize(
    ("day", "local_hours", "hours"),
    [
        ("2026-10-25", [0, 1, 2, 2, *range(3, 24)], 25),
        ("2026-03-29", [0, 1, *range(3, 24)], 23),
    ],
)
def test_days_of_a_clock_change_have_their_hours(
    day: str, local_hours: list[int], hours: int
) -> None:
    text = "\n".join(f"{day} {hour:02}:00,{at}" for at, hour in enumerate(local_hours))
    series = parse_series(text, BERLIN)
    assert len(series.prices) == hours
    assert series.ends - series.starts[0] == timedelta(hours=hours)
    tariff = Tariff("real time", "EUR", BERLIN, series=series)
    intervals = [
        Interval(
            series.starts[0] + timedelta(hours=i), series.starts[0] + timedelta(hours=i + 1), KWH
        )
        for i in range(hours)
    ]
    assert energy_cost(tariff, intervals) == sum(range(hours))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty"),
        ("start,price", "fewer than two"),
        ("start,price\n2026-11-24 00:00,1", "fewer than two"),
        ("a,b\n2026-11-24 00:00,1", "no column"),
        ("2026-11-24 00:00", "one column"),
        ("start,price\n2026-11-24 00:00,1\nnoon,1", "'noon' in line 3"),
        ("start,price\n2026-11-24 00:00,1\n2026-11-24 01:00,dear", "'dear' in line 3"),
        ("start,price\n2026-11-24 00:00,1\n2026-11-24 01:00,nan", "line 3 cannot be"),
        ("start,price\n2026-11-24 00:00,1\n2026-11-24 01:00,5000", "5000 in line 3"),
        ("start,price\n2026-11-24 00:00,1\n2026-11-24 01:00", "Line 3 has too few"),
        # a hole
        (
            hourly("2026-11-24", range(0, 5)) + "\n" + hourly("2026-11-24", range(7, 9))[12:],
            "from 24 Nov 2026 05:00 to 24 Nov 2026 07:00",
        ),
        # one hour twice
        (
            hourly("2026-11-24", range(0, 5)) + "\n2026-11-24 04:00,0.2\n2026-11-24 05:00,0.2",
            "two prices for 24 Nov 2026 04:00",
        ),
        # the spring hour that is not there
        (hourly("2026-03-29", range(0, 5)), "02:00 in line 4 does not exist"),
        # an autumn day whose second hour is missing
        (hourly("2026-10-25", range(0, 24)), "from 25 Oct 2026 02:00 to 25 Oct 2026 03:00"),
        ("start,price\n2026-01-01,1\n2026-01-04,2", "no price from"),
    ],
)
def test_what_is_wrong_is_named(text: str, named: str) -> None:
    with pytest.raises(AppError) as refused:
        parse_series(text, BERLIN)
    assert refused.value.code == "invalid_request"
    assert named in refused.value.message
    assert refused.value.hint


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(AppError, match="Mars"):
        parse_series(hourly("2026-11-24", range(3)), "Mars/Olympus")


def test_a_finer_resolution_from_a_day_on_is_no_hole() -> None:
    """Exchanges went from hours to quarter hours: both in one file are sound."""
    start = datetime(2025, 9, 29, tzinfo=UTC)
    hours = [start + timedelta(hours=i) for i in range(48)]
    quarters = [start + timedelta(hours=48, minutes=15 * i) for i in range(96)]
    text = "\n".join(f"{moment.isoformat()},1" for moment in (*hours, *quarters))
    series = parse_series(text, "UTC")
    assert series.ends == start + timedelta(days=3)
    missing = [m for i, m in enumerate((*hours, *quarters)) if i != 60]
    with pytest.raises(AppError, match=r"02:45 to 01 Oct 2025 03:15|from 01 Oct 2025 03:00"):
        parse_series("\n".join(f"{moment.isoformat()},1" for moment in missing), "UTC")


@given(
    step=st.sampled_from([15, 30, 60]),
    prices=st.lists(st.decimals(-900, 900, places=4), min_size=3, max_size=60),
    hole=st.integers(1, 58),
)
def test_every_series_comes_back_and_every_hole_is_found(
    step: int, prices: list[Decimal], hole: int
) -> None:
    start = datetime(2026, 3, 28, tzinfo=UTC)
    moments = [start + timedelta(minutes=step * i) for i in range(len(prices))]
    rows = [f"{m.isoformat()},{p}" for m, p in zip(moments, prices, strict=True)]
    series = parse_series("\n".join(["start,price", *rows]), "UTC")
    assert series.prices == tuple(prices)
    tariff = Tariff("t", "EUR", BERLIN, series=series)
    for moment, price in zip(moments, prices, strict=True):
        assert price_at(tariff, moment) == price
        assert price_at(tariff, moment + timedelta(minutes=step, seconds=-1)) == price
    if hole < len(rows) - 1 and len(rows) > 4:
        with pytest.raises(AppError, match="no price from"):
            parse_series("\n".join(["start,price", *rows[:hole], *rows[hole + 1 :]]), "UTC")


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(AppError):
        assert parse_series(text, BERLIN).starts


def test_the_kept_file_is_the_same_series(tmp_path: Path) -> None:
    series = parse_series(hourly("2026-11-24", range(24)), BERLIN)
    path = tmp_path / SERIES_FILE
    path.write_text(series_text(series))
    assert read_series(path) == series
    (tmp_path / "tariff.toml").write_text(
        'name = "r"\ncurrency = "EUR"\nzone = "Europe/Berlin"\nseries = true\n'
    )
    assert read_tariff(tmp_path / "tariff.toml").series == series
    with pytest.raises(AppError, match="no price for"):
        price_at(Tariff("r", "EUR", BERLIN, series=series), datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("content", ["", "start\n", "start,p\n1,2", "start,p\nx,y,z\n", "\udcff"])
def test_a_damaged_kept_file_is_said(tmp_path: Path, content: str) -> None:
    path = tmp_path / SERIES_FILE
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(AppError, match="cannot be read"):
        read_series(path)
    with pytest.raises(AppError, match="cannot be read"):
        read_series(tmp_path / "missing.csv")
