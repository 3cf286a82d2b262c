"""The lines of the ledger: what each request used and what the machine drew while it waited."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from freehold.power.readings import Level


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """One request, finished, stopped or failed: it keeps what it used.

    ended_at: Unix seconds (UTC); `price_per_kwh` and `tariff` are what was applied then; `money`
    is not rounded and has the tariff's tax in it, `tax` of it. `energy` figures carry the level
    of the meter they come from. Lines of older versions name no currency and no tax.
    """

    request_id: str
    ended_at: float
    person: str
    key_name: str
    model_ref: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    duration_s: float
    microjoules: int
    level: Level
    tariff: str
    price_per_kwh: Decimal
    money: Decimal
    tax: Decimal = Decimal(0)
    currency: str = ""


@dataclass(frozen=True, slots=True)
class IdleEntry:
    """What the machine drew with nothing to do, from one Unix time to another."""

    start_at: float
    end_at: float
    microjoules: int
    level: Level
    tariff: str
    price_per_kwh: Decimal
    money: Decimal
    loaded: str = ""
    tax: Decimal = Decimal(0)
    currency: str = ""


MONEY_PLACES = Decimal("0.0000000001")


def energy_money(microjoules: int, price_per_kwh: Decimal) -> Decimal:
    """Return what an amount of energy costs, to ten decimal places."""
    return (microjoules * price_per_kwh / Decimal(3_600_000_000_000)).quantize(MONEY_PLACES)


def tax_in(money: Decimal, tax_rate: Decimal) -> Decimal:
    """Return the part of an amount that is tax, to ten decimal places."""
    return (money * tax_rate / (1 + tax_rate)).quantize(MONEY_PLACES)
