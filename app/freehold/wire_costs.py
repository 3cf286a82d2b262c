"""Values of the costs part of Freehold's API. Money is Decimal and travels as text."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec


class Value(msgspec.Struct, frozen=True):
    """A frozen value of the API."""


class OwnOrRent(Value, frozen=True, kw_only=True):
    """A question: this machine, these people, this subscription and these tokens.

    Money in dollars; `resale_share`, `use_share` and `discount` are fractions.
    api_*: the same open model over an API, prices per million tokens, at this machine's use.
    """

    hardware: Decimal
    host: Decimal = Decimal(0)
    tax_rate: Decimal = Decimal(0)
    resale_share: Decimal = Decimal(0)
    life_years: Decimal = Decimal(4)
    energy_per_month: Decimal = Decimal(0)
    maintenance_per_year: Decimal = Decimal(0)
    staff_hours_per_month: Decimal = Decimal(0)
    staff_per_hour: Decimal = Decimal(0)
    developers: int = 1
    seat_per_month: Decimal = Decimal(200)
    discount: Decimal = Decimal("0.08")
    tokens_per_s: Decimal = Decimal(0)
    use_share: Decimal = Decimal("0.05")
    api_price: Decimal = Decimal(0)
    tokens_per_person_s: Decimal = Decimal(20)


class CostLine(Value, frozen=True, kw_only=True):
    """Money spent until a month, owning and renting."""

    month: int
    own: Decimal
    rent: Decimal


class Swing(Value, frozen=True, kw_only=True):
    """One bar of the tornado: the yearly gain when an assumption moves by ± 30 %."""

    name: str
    low: Decimal
    high: Decimal


class OwnOrRentAnswer(Value, frozen=True, kw_only=True):
    """The figures, all calculated; None means never."""

    break_even_years: Decimal | None
    discounted_break_even_years: Decimal | None
    per_developer_month: Decimal
    net_present_value: Decimal
    developers_to_beat: Decimal | None
    outcome: Literal["pays", "pays late", "never"]
    verdict: str
    api_verdict: str
    per_million_tokens: tuple[tuple[Decimal, Decimal], ...]
    tokens_per_month_to_beat_api: Decimal | None
    people_served: int | None
    gain_per_year: Decimal
    lines: tuple[CostLine, ...]
    swings: tuple[Swing, ...]


class Priced(Value, frozen=True, kw_only=True):
    """A dated price. `figures` are named amounts, `stale` is True past 60 days."""

    name: str
    figures: dict[str, Decimal]
    note: str
    source: str
    checked_on: str
    stale: bool


class PriceList(Value, frozen=True, kw_only=True):
    """All prices; `problem` says why the person's own file was not used."""

    subscriptions: tuple[Priced, ...]
    apis: tuple[Priced, ...]
    scenarios: tuple[Priced, ...]
    carbon: tuple[Priced, ...]
    problem: str = ""


class CostRow(Value, frozen=True, kw_only=True):
    """A group's sums. Rows add up to the total to the cent and the microjoule."""

    name: str
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    energy_joules: Decimal
    money: Decimal


class CostSummary(Value, frozen=True, kw_only=True):
    """The ledger rolled up over a month. levels: the meter levels its energy comes from."""

    month: str
    by: str
    currency: str
    rows: tuple[CostRow, ...]
    total: CostRow
    levels: tuple[str, ...]


class Payback(Value, frozen=True, kw_only=True):
    """What owning has brought so far, from the real ledger.

    elsewhere: what these tokens would have cost; paid: capital and energy so far;
    pays_off_on: the date at the present rate, "" if never or not yet known.
    """

    tokens: int
    elsewhere: Decimal
    elsewhere_name: str
    paid_energy: Decimal
    capital: Decimal
    share: Decimal | None
    pays_off_on: str
    since: str
    sentence: str
