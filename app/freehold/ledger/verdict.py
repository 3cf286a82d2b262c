"""The answer in one sentence, both ways: when owning pays, and when it does not."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from freehold.ledger.ownership import Machine, Seats, break_even_years, per_developer_month

Outcome = Literal["pays", "pays late", "never"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether owning pays against a subscription, and the sentence that says so."""

    outcome: Outcome
    sentence: str


def seats_verdict(machine: Machine, seats: Seats) -> Verdict:
    """Compare owning with seats over the machine's life."""
    years = break_even_years(machine, seats.per_year)
    people = f"{seats.developers} developer{'s' if seats.developers != 1 else ''}"
    own = per_developer_month(machine, seats.developers)
    if years is None:
        return Verdict(
            "never",
            f"Do not buy it for this: with {people} it never pays back, because running it costs "
            f"${machine.running_per_year / 12:,.0f} a month and the seats "
            f"${seats.per_year / 12:,.0f}.",
        )
    when = describe_years(years)
    if years <= machine.life_years:
        return Verdict(
            "pays",
            f"With {people} this pays back in {when}; over {machine.life_years.normalize():f} "
            f"years each costs ${own:,.0f} a month instead of ${seats.per_month:,.0f}.",
        )
    return Verdict(
        "pays late",
        f"It does not pay within its life: with {people} it would take {when}, and over "
        f"{machine.life_years.normalize():f} years each costs ${own:,.0f} a month instead of "
        f"${seats.per_month:,.0f}.",
    )


def api_verdict(machine: Machine, use_share: Decimal, api_per_month: Decimal) -> Verdict:
    """Compare owning with the same open model over an API at the present use."""
    own = machine.cost_per_year / 12
    share = f"{use_share * 100:.0f} %"
    if api_per_month < own:
        return Verdict(
            "never",
            f"At your {share} use the same model over an API would cost ${api_per_month:,.0f} a "
            f"month; this machine costs ${own:,.0f}.",
        )
    return Verdict(
        "pays",
        f"At your {share} use this machine costs ${own:,.0f} a month; the same model over an API "
        f"would cost ${api_per_month:,.0f}.",
    )


def describe_years(years: Decimal) -> str:
    """Return a span as people say it: `13 months`, `2.3 years`."""
    if years < 2:
        months = max(1, round(years * 12))
        return f"{months} month{'s' if months != 1 else ''}"
    return f"{years:.1f} years"
