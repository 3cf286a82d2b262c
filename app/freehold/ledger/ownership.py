"""Own or rent: what a machine costs, what it replaces, and whether that pays.

Pure arithmetic on `Decimal`. Yearly figures are flat over the life; savings fall at year ends.
Source of method and golden vectors: break-even = capital / yearly saving; cost per developer and
month = (capital less resale) / life plus running cost; NPV = -capital + sum(saving / (1+r)^k).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from freehold.errors import AppError

MONTHS = Decimal(12)
HOURS_PER_YEAR = Decimal(8760)
MILLION = Decimal(1_000_000)

Depreciation = Literal["straight_line", "declining", "units_of_production"]


@dataclass(frozen=True, slots=True)
class Machine:
    """What is bought and what keeping it costs.

    Units: money in one currency; `resale_share` and `tax_rate` as fractions of the price;
    `energy_per_year` is what the meter or the assumption says it draws, in money.
    """

    hardware: Decimal
    host: Decimal = Decimal(0)
    tax_rate: Decimal = Decimal(0)
    resale_share: Decimal = Decimal(0)
    life_years: Decimal = Decimal(4)
    energy_per_year: Decimal = Decimal(0)
    maintenance_per_year: Decimal = Decimal(0)
    staff_hours_per_month: Decimal = Decimal(0)
    staff_per_hour: Decimal = Decimal(0)

    @property
    def capital(self) -> Decimal:
        """Return what is paid on the first day."""
        return (self.hardware + self.host) * (1 + self.tax_rate)

    @property
    def resale(self) -> Decimal:
        """Return what is got back at the end of its life."""
        return (self.hardware + self.host) * self.resale_share

    @property
    def running_per_year(self) -> Decimal:
        """Return energy, maintenance and staff for one year."""
        staff = self.staff_hours_per_month * self.staff_per_hour * MONTHS
        return self.energy_per_year + self.maintenance_per_year + staff

    @property
    def cost_per_year(self) -> Decimal:
        """Return the straight-line yearly cost of owning."""
        return (self.capital - self.resale) / self.life_years + self.running_per_year


@dataclass(frozen=True, slots=True)
class Seats:
    """A subscription per developer."""

    developers: int
    per_month: Decimal

    @property
    def per_year(self) -> Decimal:
        return self.per_month * MONTHS * self.developers


@dataclass(frozen=True, slots=True)
class ApiUse:
    """The same work bought per token. Units: tokens a month; prices per million tokens."""

    input_tokens: Decimal
    cached_tokens: Decimal
    output_tokens: Decimal
    input_price: Decimal
    cached_price: Decimal
    output_price: Decimal

    @property
    def per_year(self) -> Decimal:
        month = (
            self.input_tokens * self.input_price
            + self.cached_tokens * self.cached_price
            + self.output_tokens * self.output_price
        ) / MILLION
        return month * MONTHS


def check_machine(machine: Machine) -> None:
    """Refuse figures that cannot be.

    Raises: AppError `invalid_request` naming the figure.
    """
    for name, value in (
        ("hardware price", machine.hardware),
        ("host price", machine.host),
        ("energy per year", machine.energy_per_year),
        ("maintenance per year", machine.maintenance_per_year),
        ("staff hours", machine.staff_hours_per_month),
        ("staff rate", machine.staff_per_hour),
        ("tax rate", machine.tax_rate),
    ):
        if not value.is_finite() or value < 0 or value > Decimal("1e12"):
            raise _refused(f"The {name} cannot be {value}.", "Enter a number from 0 upwards.")
    if not machine.life_years.is_finite() or not Decimal("0.1") <= machine.life_years <= 50:
        raise _refused(f"A life of {machine.life_years} years cannot be.", "Enter 0.1 to 50 years.")
    if not Decimal(0) <= machine.resale_share <= 1:
        raise _refused(
            f"A resale share of {machine.resale_share} cannot be.", "Enter 0 to 1 (0 % to 100 %)."
        )


def check_seats(seats: Seats) -> None:
    """Refuse a team or a price that cannot be (AppError `invalid_request`)."""
    if seats.developers < 1 or seats.developers > 100_000:
        raise _refused(f"{seats.developers} developers cannot be.", "Enter 1 or more.")
    if not seats.per_month.is_finite() or not 0 <= seats.per_month <= Decimal("1e6"):
        raise _refused(f"A seat at {seats.per_month} a month cannot be.", "Enter 0 or more.")


def break_even_years(machine: Machine, rent_per_year: Decimal) -> Decimal | None:
    """Return the years until the capital is saved back, or None if it never is."""
    saving = rent_per_year - machine.running_per_year
    return machine.capital / saving if saving > 0 else None


def discounted_break_even_years(
    machine: Machine, rent_per_year: Decimal, discount: Decimal, limit_years: int = 100
) -> Decimal | None:
    """Return the years until discounted savings cover the capital, or None within `limit_years`.

    Savings fall at year ends; within the last year the share of it is taken.
    """
    saving = rent_per_year - machine.running_per_year
    if saving <= 0:
        return None
    left = machine.capital
    for year in range(1, limit_years + 1):
        worth = saving / (1 + discount) ** year
        if worth >= left:
            return Decimal(year - 1) + left / worth
        left -= worth
    return None


def net_present_value(
    machine: Machine, rent_per_year: Decimal, discount: Decimal, years: int, *, resale: bool = False
) -> Decimal:
    """Return the value today of owning rather than renting over `years` whole years."""
    saving = rent_per_year - machine.running_per_year
    value = -machine.capital
    for year in range(1, years + 1):
        value += saving / (1 + discount) ** year
    if resale:
        value += machine.resale / (1 + discount) ** years
    return value


def per_developer_month(machine: Machine, developers: int) -> Decimal:
    """Return the straight-line cost of owning per developer and month."""
    return machine.cost_per_year / MONTHS / developers


def developers_to_beat(machine: Machine, seat_per_month: Decimal) -> Decimal:
    """Return how many seats cost as much as owning (a fraction: round up to whole people)."""
    return machine.cost_per_year / (seat_per_month * MONTHS)


def cost_per_million_tokens(
    machine: Machine, tokens_per_s: Decimal, use_share: Decimal, *, energy_scales: bool
) -> Decimal:
    """Return the cost of a million tokens at a throughput and a share of use (0…1].

    energy_scales: True when the machine rests cheaply (energy follows use), False when it is
    powered around the clock whatever it does.
    """
    hours_needed = MILLION / tokens_per_s / 3600 / use_share
    fixed = (machine.cost_per_year - machine.energy_per_year) / HOURS_PER_YEAR
    energy = machine.energy_per_year / HOURS_PER_YEAR
    return hours_needed * (fixed + (energy * use_share if energy_scales else energy))


def tokens_per_month_to_beat(machine: Machine, price_per_million: Decimal) -> Decimal:
    """Return how many tokens a month cost as much over an API as owning does."""
    return machine.cost_per_year / MONTHS / price_per_million * MILLION


def book_value(
    machine: Machine,
    method: Depreciation,
    after_years: Decimal,
    *,
    used_share: Decimal = Decimal(0),
) -> Decimal:
    """Return what the machine stands at in the books after some years.

    straight_line: falls evenly to the resale value; declining: falls by the same factor each year
    to the resale value (or to a tenth of the price where there is none); units_of_production:
    falls with the share of its life's tokens that were made.
    """
    floor = machine.resale
    loss = machine.capital - floor
    age = min(after_years / machine.life_years, Decimal(1))
    if method == "straight_line":
        return machine.capital - loss * age
    if method == "units_of_production":
        return machine.capital - loss * min(max(used_share, Decimal(0)), Decimal(1))
    last = floor if floor > 0 else machine.capital / 10
    return machine.capital * (last / machine.capital) ** age if machine.capital > 0 else Decimal(0)


@dataclass(frozen=True, slots=True)
class CostPoint:
    """Money spent until a month, owning and renting."""

    month: int
    own: Decimal
    rent: Decimal


def cumulative_costs(machine: Machine, rent_per_year: Decimal, months: int) -> list[CostPoint]:
    """Return the two lines whose crossing is the break-even, one point a month from 0."""
    own_step = machine.running_per_year / MONTHS
    rent_step = rent_per_year / MONTHS
    return [
        CostPoint(month, machine.capital + own_step * month, rent_step * month)
        for month in range(months + 1)
    ]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How the yearly gain of owning moves when one assumption moves."""

    name: str
    low: Decimal
    high: Decimal

    @property
    def span(self) -> Decimal:
        return abs(self.high - self.low)


def gain_per_year(machine: Machine, rent_per_year: Decimal) -> Decimal:
    """Return what owning saves a year after straight-line capital cost; negative when it costs."""
    return rent_per_year - machine.cost_per_year


def sensitivities(
    machine: Machine, rent_per_year: Decimal, swing: Decimal = Decimal("0.3")
) -> list[Sensitivity]:
    """Return the tornado: each assumption moved by ±`swing`, the widest first."""
    down, up = 1 - swing, 1 + swing

    def with_energy(factor: Decimal) -> Machine:
        return replace(machine, energy_per_year=machine.energy_per_year * factor)

    def with_price(factor: Decimal) -> Machine:
        return replace(machine, hardware=machine.hardware * factor)

    def with_life(factor: Decimal) -> Machine:
        return replace(machine, life_years=machine.life_years * factor)

    def with_resale(factor: Decimal) -> Machine:
        return replace(machine, resale_share=min(Decimal(1), machine.resale_share * factor))

    rows = [
        Sensitivity(
            "price of renting",
            gain_per_year(machine, rent_per_year * down),
            gain_per_year(machine, rent_per_year * up),
        )
    ]
    for name, change in (
        ("price of the machine", with_price),
        ("electricity", with_energy),
        ("years it lasts", with_life),
        ("resale value", with_resale),
    ):
        rows.append(
            Sensitivity(
                name,
                gain_per_year(change(down), rent_per_year),
                gain_per_year(change(up), rent_per_year),
            )
        )
    return sorted(rows, key=lambda row: row.span, reverse=True)


def _refused(message: str, hint: str) -> AppError:
    return AppError("invalid_request", message, hint)
