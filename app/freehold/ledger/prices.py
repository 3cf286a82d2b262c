"""Dated prices of subscriptions, APIs, machines and carbon, bundled and edited by the person."""

from __future__ import annotations

import datetime
import logging
import tomllib
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from freehold.errors import AppError

log = logging.getLogger(__name__)

STALE_AFTER_DAYS = 60


@dataclass(frozen=True, slots=True)
class Dated:
    """A figure with its source and the day it was checked."""

    source: str
    checked_on: datetime.date

    def is_stale(self, today: datetime.date) -> bool:
        """Tell whether the figure is old enough to be shown in amber."""
        return (today - self.checked_on).days > STALE_AFTER_DAYS


@dataclass(frozen=True, slots=True)
class Subscription(Dated):
    """A seat's price a month."""

    name: str
    per_month: Decimal


@dataclass(frozen=True, slots=True)
class ApiPrice(Dated):
    """Prices per million tokens. open_weights: the same model could be owned."""

    model: str
    input: Decimal
    cached: Decimal
    output: Decimal
    open_weights: bool


@dataclass(frozen=True, slots=True)
class ScenarioPrice(Dated):
    """A machine to start a calculation from. serves: (context tokens, people at once)."""

    name: str
    note: str
    hardware: Decimal
    host: Decimal
    watts: int
    energy_per_month: Decimal
    seat_per_month: Decimal
    tokens_per_s: int
    speed_of: str
    serves: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Carbon(Dated):
    """Kilograms of CO2 per kWh of a country's grid."""

    country: str
    kg_per_kwh: Decimal


@dataclass(frozen=True, slots=True)
class Prices:
    """Everything in a price file; `problem` says why the person's own file was not used."""

    subscriptions: tuple[Subscription, ...]
    apis: tuple[ApiPrice, ...]
    scenarios: tuple[ScenarioPrice, ...]
    carbon: tuple[Carbon, ...]
    origin: Path
    problem: AppError | None = None


def load_prices(bundled: Path, own: Path | None = None) -> Prices:
    """Return the person's price file, or the bundled one with the reason it was used instead.

    Raises: AppError `invalid_request` only if the bundled file itself cannot be read.
    """
    if own is None or not own.exists():
        return parse_prices(bundled)
    try:
        return parse_prices(own)
    except AppError as error:
        log.info("own price file not used: %s", error.message)
        prices = parse_prices(bundled)
        return Prices(
            prices.subscriptions, prices.apis, prices.scenarios, prices.carbon, bundled, error
        )


def parse_prices(path: Path) -> Prices:
    """Read one price file.

    Raises: AppError `invalid_request` naming the entry and figure that cannot be.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _refused(path, f"it cannot be read ({error})") from error
    if data.get("schema") != 1:
        raise _refused(path, f"its schema is {data.get('schema')!r}, not 1")

    def entries(kind: str) -> list[_Entry]:
        found = data.get(kind, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise _refused(path, f"[[{kind}]] is not a list of entries")
        return [_Entry(path, kind, index, item) for index, item in enumerate(found, 1)]

    return Prices(
        tuple(
            Subscription(e.text("source"), e.date(), e.text("name"), e.money("per_month"))
            for e in entries("subscription")
        ),
        tuple(
            ApiPrice(
                e.text("source"),
                e.date(),
                e.text("model"),
                e.money("input"),
                e.money("cached"),
                e.money("output"),
                e.flag("open_weights"),
            )
            for e in entries("api")
        ),
        tuple(
            ScenarioPrice(
                e.text("source"),
                e.date(),
                e.text("name"),
                e.text("note"),
                e.money("hardware"),
                e.money("host"),
                e.whole("watts"),
                e.money("energy_per_month"),
                e.money("seat_per_month"),
                e.whole("tokens_per_s"),
                e.text("speed_of"),
                e.pairs("serves"),
            )
            for e in entries("scenario")
        ),
        tuple(
            Carbon(e.text("source"), e.date(), e.text("country"), e.money("kg_per_kwh"))
            for e in entries("carbon")
        ),
        path,
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One table of the file, read field by field with errors that name the place."""

    path: Path
    kind: str
    index: int
    data: dict[str, Any]

    def _bad(self, field: str, why: str) -> AppError:
        return _refused(self.path, f"{field} of [[{self.kind}]] number {self.index} {why}")

    def text(self, field: str) -> str:
        value = self.data.get(field)
        if not isinstance(value, str) or not value.strip():
            raise self._bad(field, "is missing")
        return value

    def money(self, field: str) -> Decimal:
        try:
            value = Decimal(self.text(field))
        except InvalidOperation as error:
            raise self._bad(field, "is not a number") from error
        if not value.is_finite() or not 0 <= value <= Decimal("1e9"):
            raise self._bad(field, f"cannot be {value}")
        return value

    def whole(self, field: str) -> int:
        value = self.data.get(field)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 10**9:
            raise self._bad(field, "is not a whole number from 0")
        return value

    def pairs(self, field: str) -> tuple[tuple[int, int], ...]:
        value = self.data.get(field, [])
        whole = isinstance(value, list) and all(
            isinstance(pair, list)
            and len(pair) == 2
            and all(type(n) is int and 0 < n <= 10**9 for n in pair)
            for pair in value
        )
        if not whole:
            raise self._bad(field, "is not a list of pairs like [[8192, 32]]")
        return tuple((context, people) for context, people in value)

    def flag(self, field: str) -> bool:
        value = self.data.get(field)
        if not isinstance(value, bool):
            raise self._bad(field, "is neither true nor false")
        return value

    def date(self) -> datetime.date:
        value = self.data.get("checked_on")
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            raise self._bad("checked_on", "is not a date")
        return value


def _refused(path: Path, why: str) -> AppError:
    return AppError(
        "invalid_request",
        f"The price file {path.name} was not used: {why}.",
        "Correct it, or delete it to use the prices that come with Freehold.",
        detail={"path": str(path)},
    )
