"""tariff.toml: a whole tariff, one price, nothing, and everything that can be wrong in it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from freehold.errors import AppError
from freehold.ledger.tariff_file import load_tariff, read_tariff

WHOLE = """
name = "Night and day"
currency = "EUR"
zone = "Europe/Berlin"
holidays = [2026-12-25]
fixed_per_month = "9.90"
tax_rate = "0.19"
[[period]]
name = "night"
price = "0.20"
start = 22:00:00
end = 06:00:00
[[period]]
name = "day"
price = "0.35"
start = 06:00:00
end = 22:00:00
"""


def test_a_whole_tariff(tmp_path: Path) -> None:
    path = tmp_path / "tariff.toml"
    path.write_text(WHOLE)
    tariff = read_tariff(path)
    assert tariff.fixed_per_month == Decimal("9.90")
    assert [period.price for period in tariff.periods] == [Decimal("0.20"), Decimal("0.35")]
    assert len(tariff.holidays) == 1


def test_tiers(tmp_path: Path) -> None:
    path = tmp_path / "tariff.toml"
    path.write_text(
        'name = "T"\ncurrency = "USD"\nzone = "UTC"\n[[tier]]\nfrom_kwh = "0"\nprice = "0.1"\n'
        '[[tier]]\nfrom_kwh = "500"\nprice = "0.2"\n'
    )
    assert read_tariff(path).tiers[1].from_kwh == 500


def test_one_price_or_none(tmp_path: Path) -> None:
    path = tmp_path / "tariff.toml"
    one = load_tariff(path, "0.1761", "USD")
    assert one is not None
    assert one.periods[0].price == Decimal("0.1761")
    assert load_tariff(path, "", "USD") is None
    for bad in ("cheap", "-1"):
        with pytest.raises(AppError):
            load_tariff(path, bad, "USD")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("22:00:00\nend", "21:00:00\nend"), "Two prices"),
        (('"0.20"', "0.20"), "in quotes"),
        (('"0.20"', '"lots"'), "not a number"),
        (("Europe/Berlin", "Mars/Base"), "Mars/Base"),
        (('zone = "Europe/Berlin"', ""), "zone is missing"),
        (("[2026-12-25]", '["xmas"]'), "holidays"),
        (("start = 06:00:00", 'start = "six"'), "times of day"),
        (("[[period]]", "[[period"), "cannot be read"),
        (('name = "day"', 'name = "day"\ndays = ["monday"]'), "days of a period"),
        (('name = "day"', 'name = "day"\nmonths = [13]'), "months of a period"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: tuple[str, str], named: str) -> None:
    path = tmp_path / "tariff.toml"
    path.write_text(WHOLE.replace(*change))
    with pytest.raises(AppError) as caught:
        read_tariff(path)
    assert named in caught.value.message
