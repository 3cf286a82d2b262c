"""A tariff as the API carries it, to and from the one that prices energy and its file."""

from __future__ import annotations

import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import tomli_w
from babel.numbers import is_currency

from freehold.errors import AppError
from freehold.ledger.tariff_file import parse_tariff
from freehold.ledger.tariffs import Series, Tariff, flat
from freehold.wire_costs import TariffPeriod, TariffPlan, TariffTier

MAX_ENTRIES = 200


def check_plan(plan: TariffPlan, series: Series | None = None) -> Tariff:
    """Return the tariff a plan means; `series` are the imported prices, if it is to use them.

    Raises: AppError `invalid_request` naming the figure, the hole or the overlap.
    """
    if not is_currency(plan.currency):
        raise _refused(f"The currency {plan.currency!r} is not known.", "Use a code like EUR.")
    if max(len(plan.periods), len(plan.tiers), len(plan.holidays)) > MAX_ENTRIES:
        raise _refused("That is too long for a tariff.", f"Use at most {MAX_ENTRIES} entries.")
    if plan.series and series is None:
        raise _refused("No prices have been imported yet.", "Import a CSV file of prices first.")
    return parse_tariff(_tables(plan), series if plan.series else None)


def check_charges(plan: TariffPlan) -> Tariff:
    """Return a tariff that charges as a plan does by the month; prices by time play no part.

    Raises: AppError `invalid_request`.
    """
    if plan.tiers:
        return check_plan(plan)
    whole_day = plan_of(flat(Decimal(0))).periods
    return check_plan(msgspec.structs.replace(plan, periods=whole_day, series=False))


def plan_text(plan: TariffPlan) -> str:
    """Return a plan as tariff.toml."""
    return tomli_w.dumps(_tables(plan))


def plan_of(tariff: Tariff) -> TariffPlan:
    """Return a tariff as the API carries it."""
    return TariffPlan(
        name=tariff.name,
        currency=tariff.currency,
        zone=tariff.zone,
        periods=tuple(
            TariffPeriod(
                name=p.name,
                price=str(p.price),
                start=f"{p.start:%H:%M}",
                end=f"{p.end:%H:%M}",
                days=p.days,
                months=p.months,
            )
            for p in tariff.periods
        ),
        tiers=tuple(TariffTier(from_kwh=str(t.from_kwh), price=str(t.price)) for t in tariff.tiers),
        series=tariff.series is not None,
        holidays=tuple(sorted(day.isoformat() for day in tariff.holidays)),
        fixed_per_month=str(tariff.fixed_per_month),
        demand_per_kw=str(tariff.demand_per_kw),
        tax_rate=str(tariff.tax_rate),
    )


def _tables(plan: TariffPlan) -> dict[str, Any]:
    tables: dict[str, Any] = {
        "name": plan.name,
        "currency": plan.currency,
        "zone": plan.zone,
        "fixed_per_month": _number(plan.fixed_per_month, "fixed charge"),
        "demand_per_kw": _number(plan.demand_per_kw, "demand charge"),
        "tax_rate": _number(plan.tax_rate, "tax"),
        "holidays": [_day(text) for text in plan.holidays],
    }
    if plan.periods:
        tables["period"] = [
            {
                "name": p.name,
                "price": _number(p.price, f"price of {p.name}"),
                "start": _time(p.start),
                "end": _time(p.end),
                "days": list(p.days),
                "months": list(p.months),
            }
            for p in plan.periods
        ]
    if plan.series:
        tables["series"] = True
    if plan.tiers:
        tables["tier"] = [
            {"from_kwh": _number(t.from_kwh, "start of a tier"), "price": _number(t.price, "price")}
            for t in plan.tiers
        ]
    return tables


def _number(text: str, name: str) -> str:
    """Return a number as typed, a decimal comma made a point."""
    plain = text.strip().replace(",", ".")
    try:
        Decimal(plain)
    except InvalidOperation as error:
        raise _refused(f"The {name} {text!r} is not a number.", "Write it like 0.32.") from error
    return plain


def _time(text: str) -> datetime.time:
    try:
        return datetime.time.fromisoformat("00:00" if text.strip() == "24:00" else text.strip())
    except ValueError as error:
        raise _refused(f"{text!r} is not a time of day.", "Write it like 06:30.") from error


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text.strip())
    except ValueError as error:
        raise _refused(f"{text!r} is not a date.", "Write holidays like 2026-12-25.") from error


def _refused(message: str, hint: str) -> AppError:
    return AppError("invalid_request", message, hint)
