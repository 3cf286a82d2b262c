"""Values of the costs part of Freehold's API. Money is Decimal and travels as text."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from freehold.wire_power import CalibrationResult, Plug


class Value(msgspec.Struct, frozen=True):
    """A frozen value of the API."""


class OwnOrRent(Value, frozen=True, kw_only=True):
    """A question: this machine, these people, this subscription and these tokens.

    Money in dollars; `resale_share`, `use_share` and `discount` are fractions.
    api_*: the same open model over an API, prices per million tokens, at this machine's use.
    read_per_written: tokens read for each one written; `cached_share` of them come from the cache.
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
    api_input: Decimal = Decimal(0)
    api_cached: Decimal = Decimal(0)
    api_output: Decimal = Decimal(0)
    read_per_written: Decimal = Decimal(0)
    cached_share: Decimal = Decimal(0)
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


class BookValue(Value, frozen=True, kw_only=True):
    """What the machine stands at in the books after a year, by three ways of writing it off.

    units: by the tokens made, at the asked share of use against use around the clock.
    """

    year: int
    straight: Decimal
    declining: Decimal
    units: Decimal


class ApiMonth(Value, frozen=True, kw_only=True):
    """A month of the asked use over an API: tokens, and what they cost at their own prices."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    money: Decimal


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
    api_month: ApiMonth | None = None
    books: tuple[BookValue, ...] = ()


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


class ChargeLine(Value, frozen=True, kw_only=True):
    """A line of the bill that belongs to nobody: a tier, standing or demand charge, tax."""

    kind: Literal["tier", "fixed", "demand", "tax"]
    name: str
    money: Decimal


class CostSummary(Value, frozen=True, kw_only=True):
    """The ledger rolled up over a month. levels: the meter levels its energy comes from.

    The money of rows is without tax; rows and charges add up to the total to the cent.
    carbon_kg: calculated from the energy, None where no country is chosen; `carbon_source` says
    where its figure comes from. note: what the sum leaves out or counts otherwise, "" for nothing.
    """

    month: str
    by: str
    currency: str
    rows: tuple[CostRow, ...]
    total: CostRow
    levels: tuple[str, ...]
    charges: tuple[ChargeLine, ...] = ()
    carbon_kg: Decimal | None = None
    carbon_source: str = ""
    note: str = ""


class Payback(Value, frozen=True, kw_only=True):
    """What owning has brought so far, from the real ledger.

    elsewhere: what these tokens would have cost; paid: capital and energy so far;
    pays_off_on: the date at the present rate, "" if never or not yet known. rate_note: how
    electricity paid in another currency was turned into dollars.
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
    rate_note: str = ""


# --- what the person set ---------------------------------------------------------------------

Standby = Literal["own line", "by seat", "by use"]
By = Literal["person", "model", "day", "hour"]
DayName = Literal["workday", "weekend", "holiday"]


class ExchangeRate(Value, frozen=True, kw_only=True):
    """What one unit of a currency is worth in dollars from a day on (ISO date)."""

    currency: str
    on: str
    dollars: Decimal


class CostsSettings(Value, frozen=True, kw_only=True):
    """What the person owns and holds it against; stored in costs.toml by the server.

    capital: what was paid for the machine, in dollars as the prices are. elsewhere: an API or
    subscription of the price list, "" for the first open model; seats: how many subscriptions.
    rates: what other currencies are worth, each from its day on. supply_efficiency: of the power
    supply, 0.5 to 1, used where nothing measures at the wall; 0 for not used. calibration: what
    was fitted beside a plug, used instead of it.
    """

    capital: Decimal = Decimal(0)
    elsewhere: str = ""
    seats: int = 1
    standby: Standby = "own line"
    country: str = ""
    rates: tuple[ExchangeRate, ...] = ()
    plug: Plug | None = None
    supply_efficiency: Decimal = Decimal(0)
    calibration: CalibrationResult | None = None


class TariffPeriod(Value, frozen=True, kw_only=True):
    """A price per kWh from one time of day ("06:00") to another; equal times mean all day."""

    name: str
    price: str
    start: str = "00:00"
    end: str = "00:00"
    days: tuple[DayName, ...] = ("workday", "weekend", "holiday")
    months: tuple[int, ...] = tuple(range(1, 13))


class TariffTier(Value, frozen=True, kw_only=True):
    """A price that holds from a monthly consumption on."""

    from_kwh: str
    price: str


class TariffPlan(Value, frozen=True, kw_only=True):
    """A supplier's prices: periods, tiers, or the imported series. Holidays are ISO dates."""

    name: str
    currency: str
    zone: str
    periods: tuple[TariffPeriod, ...] = ()
    tiers: tuple[TariffTier, ...] = ()
    series: bool = False
    holidays: tuple[str, ...] = ()
    fixed_per_month: str = "0"
    demand_per_kw: str = "0"
    tax_rate: str = "0"


PriceUnit = Literal["auto", "kWh", "MWh", "cents"]


class SeriesImport(Value, frozen=True, kw_only=True):
    """A CSV file of prices by time; times without an offset are local times of `zone`."""

    text: str
    zone: str
    unit: PriceUnit = "auto"


class SeriesState(Value, frozen=True, kw_only=True):
    """The imported prices per kWh, without tax. Times are Unix seconds."""

    start_at: float
    end_at: float
    count: int
    step_minutes: int
    lowest: Decimal
    highest: Decimal
    mean: Decimal


class TariffState(Value, frozen=True, kw_only=True):
    """The tariff in force. source: "none", one "price" of the settings, or a "plan".

    price_now: per kWh with tax, None where none is known; `problem` says why a tariff that was
    given is not used.
    """

    source: Literal["none", "price", "plan"]
    currency: str
    zone: str
    price_now: Decimal | None = None
    plan: TariffPlan | None = None
    series: SeriesState | None = None
    problem: str = ""
