"""Payback so far: what the tokens really made would have cost elsewhere, against what was paid."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from freehold.ledger.entries import IdleEntry, RequestEntry
from freehold.ledger.money import round_money
from freehold.ledger.ownership import MILLION
from freehold.ledger.prices import ApiPrice
from freehold.wire_costs import Payback

# Less than this says nothing about a rate.
MIN_DAYS_FOR_A_RATE = 7
MAX_YEARS_AHEAD = 100
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What owning is held against: an API's price, or seats at a price a month."""

    name: str
    api: ApiPrice | None = None
    seats_per_month: Decimal = Decimal(0)


def elsewhere_cost(
    requests: Sequence[RequestEntry], elsewhere: Elsewhere, months: Decimal
) -> Decimal:
    """Return what the same tokens, or the same time, would have cost elsewhere."""
    if elsewhere.api is None:
        return elsewhere.seats_per_month * months
    api = elsewhere.api
    cost = Decimal(0)
    for entry in requests:
        fresh = entry.prompt_tokens - entry.cached_tokens
        cost += (
            fresh * api.input
            + entry.cached_tokens * api.cached
            + entry.completion_tokens * api.output
        )
    return cost / MILLION


def payback(
    requests: Sequence[RequestEntry],
    idle: Sequence[IdleEntry],
    capital: Decimal,
    elsewhere: Elsewhere,
    now_at: float,
    charges: Decimal = Decimal(0),
) -> Payback:
    """Return the share of the capital that has come back, and when all of it will have.

    All money is in dollars; `charges` are standing and demand charges, tiers and their tax.

    What comes back is what elsewhere would have cost less the energy paid; it can be negative,
    and then the sentence says so.
    """
    starts = [e.ended_at for e in requests] + [i.start_at for i in idle]
    since = min(starts, default=now_at)
    days = Decimal(str(max(0.0, now_at - since))) / SECONDS_PER_DAY
    months = days / Decimal("30.4375")
    would = elsewhere_cost(requests, elsewhere, months)
    energy = sum((e.money for e in requests), Decimal(0)) + sum((i.money for i in idle), Decimal(0))
    energy += charges
    saved = would - energy
    share = saved / capital if capital > 0 else None
    date = _pays_off(saved, capital, days, now_at)
    tokens = sum(e.prompt_tokens + e.completion_tokens for e in requests)
    return Payback(
        tokens=tokens,
        elsewhere=round_money(would),
        elsewhere_name=elsewhere.name,
        paid_energy=round_money(energy),
        capital=capital,
        share=share,
        pays_off_on=date.isoformat() if date else "",
        since=_day(since).isoformat() if starts else "",
        sentence=_sentence(tokens, would, energy, share, date, elsewhere.name, days),
    )


def _pays_off(
    saved: Decimal, capital: Decimal, days: Decimal, now_at: float
) -> datetime.date | None:
    if saved <= 0 or days < MIN_DAYS_FOR_A_RATE:
        return None
    if saved >= capital:
        return _day(now_at)
    left_days = (capital - saved) / (saved / days)
    if left_days > MAX_YEARS_AHEAD * 365:
        return None
    return _day(now_at + float(left_days) * SECONDS_PER_DAY)


def _day(moment: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).date()


def _sentence(
    tokens: int,
    would: Decimal,
    energy: Decimal,
    share: Decimal | None,
    date: datetime.date | None,
    name: str,
    days: Decimal,
) -> str:
    if tokens == 0:
        return (
            "Nothing has been answered yet, so nothing has been paid back. Ask a model in Chats: "
            "every answer counts here."
        )
    if would <= energy:
        return (
            f"So far it costs: {name} would have charged ${would:,.2f} for this, and the "
            f"electricity alone was ${energy:,.2f}."
        )
    if share is None:
        return (
            f"So far ${would - energy:,.2f} saved against {name}; the machine's price is not set."
        )
    if share >= 1:
        return f"Paid back: ${would - energy:,.2f} saved against {name}, all it cost and more."
    percent = f"{share * 100:.1f} %"
    if days < MIN_DAYS_FOR_A_RATE:
        return f"{percent} paid back against {name}; after a week there is a date."
    if date is None:
        return f"{percent} paid back against {name}; at this rate not within a lifetime."
    return f"{percent} paid back against {name}; at this rate paid off in {date:%B %Y}."
