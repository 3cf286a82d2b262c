"""The price file: every bundled entry is sound; a damaged own file never hides the bundled one."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from freehold.errors import AppError
from freehold.ledger.ownership import Machine, Seats
from freehold.ledger.prices import load_prices, parse_prices
from freehold.ledger.verdict import api_verdict, describe_years, seats_verdict
from freehold.paths import resources

BUNDLED = resources() / "prices.toml"


def test_the_bundled_file_begins_with_the_sum_this_product_starts_from() -> None:
    prices = parse_prices(BUNDLED)
    first = prices.scenarios[0]
    assert (first.hardware, first.watts, first.energy_per_month) == (25000, 700, 90)
    assert first.watts * Decimal(730) / 1000 == 511
    assert len(prices.scenarios) == 5
    names = {api.model for api in prices.apis}
    assert {"Kimi K2.6", "gpt-oss-120b", "DeepSeek V4 Pro"} <= names


def test_old_figures_are_told_from_fresh_ones() -> None:
    prices = parse_prices(BUNDLED)
    fresh = prices.subscriptions[0]
    assert not fresh.is_stale(fresh.checked_on + datetime.timedelta(days=60))
    assert fresh.is_stale(fresh.checked_on + datetime.timedelta(days=61))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("not toml [", "cannot be read"),
        ("schema = 9", "schema"),
        ('schema = 1\n[[subscription]]\nname = "X"\nper_month = "-3"', "source"),
        (
            'schema = 1\n[[subscription]]\nname = "X"\nper_month = "-3"\nsource = "s"\n'
            "checked_on = 2026-01-01",
            "cannot be -3",
        ),
        (
            'schema = 1\n[[subscription]]\nname = "X"\nper_month = "NaN"\nsource = "s"\n'
            "checked_on = 2026-01-01",
            "cannot be NaN",
        ),
        ("schema = 1\nsubscription = 4", "not a list"),
        ('schema = 1\n[[carbon]]\ncountry = "X"\nkg_per_kwh = "1"\nsource = "s"', "checked_on"),
    ],
)
def test_a_damaged_file_is_named_and_the_bundled_one_used(
    tmp_path: Path, text: str, named: str
) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(text)
    with pytest.raises(AppError, match=named):
        parse_prices(own)
    prices = load_prices(BUNDLED, own)
    assert prices.origin == BUNDLED
    assert prices.problem is not None
    assert named in prices.problem.message
    assert prices.subscriptions


def test_binary_rubbish_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_bytes(b"\xff\xfe\x00" * 100)
    assert load_prices(BUNDLED, own).problem is not None


def test_verdicts_say_it_both_ways() -> None:
    machine = Machine(hardware=Decimal(25000), energy_per_year=Decimal(1080), life_years=Decimal(3))
    pays = seats_verdict(machine, Seats(10, Decimal(200)))
    assert pays.outcome == "pays"
    assert "pays back in 13 months" in pays.sentence
    late = seats_verdict(machine, Seats(1, Decimal(200)))
    assert late.outcome == "pays late"
    assert "18.9 years" in late.sentence
    never = seats_verdict(machine, Seats(1, Decimal(20)))
    assert never.outcome == "never"
    assert "Do not buy" in never.sentence
    api = api_verdict(machine, Decimal("0.03"), Decimal(14))
    assert api.outcome == "never"
    assert "would cost $14 a month; this machine costs $784" in api.sentence


def test_spans_read_as_people_say_them() -> None:
    assert describe_years(Decimal("1.0908")) == "13 months"
    assert describe_years(Decimal("2.2894")) == "2.3 years"
