"""The person's tariff as they typed it from their bill, kept in tariff.toml."""

from __future__ import annotations

import datetime
import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from freehold.errors import AppError
from freehold.ledger.price_series import read_series
from freehold.ledger.tariffs import ALL_DAYS, Period, Series, Tariff, Tier, check_tariff, flat

SERIES_FILE = "tariff_prices.csv"
EVERY_MONTH = tuple(range(1, 13))


def load_tariff(path: Path, price_per_kwh: str, currency: str) -> Tariff | None:
    """Return the tariff of the file, else a flat one of `price_per_kwh`, else None.

    Raises: AppError `invalid_request` naming what is wrong in the file or the price.
    """
    if path.exists():
        return read_tariff(path)
    if not price_per_kwh:
        return None
    tariff = flat(_decimal(price_per_kwh, "price per kWh"), currency=currency)
    check_tariff(tariff)
    return tariff


def read_tariff(path: Path) -> Tariff:
    """Read and check a tariff file: name, currency, zone, [[period]], [[tier]] or series, charges.

    `series = true` takes the prices of the imported file beside it.

    Raises: AppError `invalid_request` naming the field, the hole or the overlap.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _refused(f"{path.name} cannot be read ({error}).") from error
    series = read_series(path.with_name(SERIES_FILE)) if data.get("series") is True else None
    return parse_tariff(data, series)


def parse_tariff(data: dict[str, Any], series: Series | None = None) -> Tariff:
    """Return the checked tariff that a file's tables say.

    Raises: AppError `invalid_request` naming the field, the hole or the overlap.
    """
    tariff = Tariff(
        name=_text(data, "name"),
        currency=_text(data, "currency"),
        zone=_text(data, "zone"),
        periods=tuple(_period(item) for item in _tables(data, "period")),
        tiers=tuple(
            Tier(_money(item, "from_kwh"), _money(item, "price")) for item in _tables(data, "tier")
        ),
        series=series,
        holidays=frozenset(_days(data.get("holidays", []))),
        fixed_per_month=_money(data, "fixed_per_month", Decimal(0)),
        demand_per_kw=_money(data, "demand_per_kw", Decimal(0)),
        tax_rate=_money(data, "tax_rate", Decimal(0)),
    )
    check_tariff(tariff)
    return tariff


def _period(item: dict[str, Any]) -> Period:
    days = item.get("days", list(ALL_DAYS))
    months = item.get("months", list(EVERY_MONTH))
    if not isinstance(days, list) or not set(days) <= set(ALL_DAYS):
        raise _refused(f"days of a period are among {', '.join(ALL_DAYS)}.")
    if not isinstance(months, list) or not all(m in EVERY_MONTH for m in months):
        raise _refused("months of a period are numbers from 1 to 12.")
    return Period(
        name=_text(item, "name"),
        price=_money(item, "price"),
        start=_time(item.get("start", datetime.time(0))),
        end=_time(item.get("end", datetime.time(0))),
        days=tuple(days),
        months=tuple(months),
    )


def _tables(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = data.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise _refused(f"[[{name}]] is not a list of tables.")
    return found


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise _refused(f"{name} is missing.")
    return value


def _money(data: dict[str, Any], name: str, default: Decimal | None = None) -> Decimal:
    value = data.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise _refused(f'{name} is missing, or not in quotes (write it as "0.1234").')
    return _decimal(value, name)


def _decimal(text: str, name: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise _refused(f"The {name} {text!r} is not a number.") from error


def _time(value: object) -> datetime.time:
    if not isinstance(value, datetime.time):
        raise _refused("start and end of a period are times of day like 06:00:00.")
    return value


def _days(values: object) -> list[datetime.date]:
    if not isinstance(values, list) or not all(type(v) is datetime.date for v in values):
        raise _refused("holidays are dates like 2026-12-25.")
    return values


def _refused(why: str) -> AppError:
    return AppError(
        "invalid_request",
        f"The tariff was not used: {why}",
        "Correct it in Costs, or delete tariff.toml and enter one price.",
    )
