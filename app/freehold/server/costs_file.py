"""What the person owns and holds it against, kept in costs.toml."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from pathlib import Path

from babel.numbers import is_currency

from freehold.errors import AppError
from freehold.power.plugs import check_host
from freehold.toml_file import TomlFile
from freehold.wire_costs import CostsSettings, ExchangeRate
from freehold.wire_power import CalibrationResult

MAX_CAPITAL = Decimal("1e9")
MAX_SEATS = 100_000
MAX_RATE = Decimal(1_000_000)
MAX_RATES = 400


class CostsFile(TomlFile[CostsSettings]):
    """The costs settings as they are now, and the file that keeps them."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            CostsSettings,
            check_costs,
            "What you entered in Costs could not be read ({reason}), so it starts empty.",
        )


def check_costs(settings: CostsSettings) -> None:
    """Raise AppError `invalid_request` for a figure that cannot be."""
    if not settings.capital.is_finite() or not 0 <= settings.capital <= MAX_CAPITAL:
        raise AppError(
            "invalid_request",
            f"A machine for {settings.capital} cannot be.",
            "Enter what it cost, from 0 upwards.",
            detail={"param": "capital"},
        )
    if not 1 <= settings.seats <= MAX_SEATS:
        raise AppError(
            "invalid_request",
            f"{settings.seats} subscriptions cannot be.",
            "Enter 1 or more.",
            detail={"param": "seats"},
        )
    if len(settings.rates) > MAX_RATES:
        raise AppError(
            "invalid_request",
            f"More than {MAX_RATES} exchange rates cannot be kept.",
            "Remove the oldest ones.",
            detail={"param": "rates"},
        )
    for rate in settings.rates:
        _check_rate(rate)
    if settings.supply_efficiency and not 0.5 <= settings.supply_efficiency <= 1:
        raise AppError(
            "invalid_request",
            f"A power supply that is {settings.supply_efficiency * 100} % efficient cannot be.",
            "Enter 50 to 100 %, as its label or data sheet says; most are 85 to 94 %.",
            detail={"param": "supply_efficiency"},
        )
    if settings.calibration is not None:
        _check_calibration(settings.calibration)
    if settings.plug is not None and settings.plug.kind != "ipmi":
        check_host(settings.plug.host)


def _check_calibration(found: CalibrationResult) -> None:
    figures = (found.offset_watts, found.factor, found.error_share)
    sane = all(math.isfinite(figure) for figure in figures)
    if not sane or not 0.5 <= found.factor <= 5 or not -100 <= found.offset_watts <= 10_000:
        raise AppError(
            "invalid_request",
            "The calibration's figures cannot be.",
            "Calibrate again.",
            detail={"param": "calibration"},
        )


def _check_rate(rate: ExchangeRate) -> None:
    if not is_currency(rate.currency):
        raise AppError(
            "invalid_request",
            f"The currency {rate.currency[:20]!r} is not known.",
            "Use a code like EUR.",
            detail={"param": "rates"},
        )
    if not rate.dollars.is_finite() or not 0 < rate.dollars <= MAX_RATE:
        raise AppError(
            "invalid_request",
            f"A unit of money for {rate.dollars} dollars cannot be.",
            "Enter what one unit of your currency is worth in dollars, like 1.08.",
            detail={"param": "rates"},
        )
    try:
        datetime.date.fromisoformat(rate.on)
    except ValueError as error:
        raise AppError(
            "invalid_request",
            f"{rate.on[:20]!r} is not a date.",
            "Write the day of the rate like 2026-11-24.",
            detail={"param": "rates"},
        ) from error
