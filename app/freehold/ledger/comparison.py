"""One question, every figure of the own-or-rent page."""

from __future__ import annotations

import math
from decimal import Decimal

from freehold.errors import AppError
from freehold.ledger.money import round_money
from freehold.ledger.ownership import (
    MILLION,
    ApiUse,
    Machine,
    Seats,
    book_value,
    break_even_years,
    check_machine,
    check_seats,
    cost_per_million_tokens,
    cumulative_costs,
    developers_to_beat,
    discounted_break_even_years,
    gain_per_year,
    net_present_value,
    per_developer_month,
    sensitivities,
    tokens_per_month_to_beat,
)
from freehold.ledger.verdict import api_verdict, seats_verdict
from freehold.wire_costs import (
    ApiMonth,
    BookValue,
    CostLine,
    OwnOrRent,
    OwnOrRentAnswer,
    Swing,
)

USE_SHARES = (Decimal("0.05"), Decimal("0.25"), Decimal(1))
SECONDS_PER_MONTH = Decimal(730 * 3600)
LONGEST_LINE_MONTHS = 120
BOOK_YEARS = 5


def own_or_rent(question: OwnOrRent) -> OwnOrRentAnswer:
    """Answer the question.

    Raises: AppError `invalid_request` naming the figure that cannot be.
    """
    machine = machine_of(question)
    seats = Seats(question.developers, question.seat_per_month)
    check_machine(machine)
    check_seats(seats)
    _check_rest(question)
    rent = seats.per_year
    verdict = seats_verdict(machine, seats)
    years = max(1, int(machine.life_years))
    months = min(LONGEST_LINE_MONTHS, max(36, years * 12 + 12))
    return OwnOrRentAnswer(
        break_even_years=break_even_years(machine, rent),
        discounted_break_even_years=discounted_break_even_years(machine, rent, question.discount),
        per_developer_month=round_money(per_developer_month(machine, question.developers)),
        net_present_value=round_money(
            net_present_value(machine, rent, question.discount, years, resale=True)
        ),
        developers_to_beat=developers_to_beat(machine, question.seat_per_month)
        if question.seat_per_month > 0
        else None,
        outcome=verdict.outcome,
        verdict=verdict.sentence,
        api_verdict=_api_sentence(machine, question),
        per_million_tokens=_per_million(machine, question),
        tokens_per_month_to_beat_api=_tokens_to_beat(machine, question),
        people_served=int(question.tokens_per_s / question.tokens_per_person_s)
        if question.tokens_per_s > 0
        else None,
        gain_per_year=round_money(gain_per_year(machine, rent)),
        lines=tuple(
            CostLine(month=p.month, own=round_money(p.own), rent=round_money(p.rent))
            for p in cumulative_costs(machine, rent, months)
        ),
        swings=tuple(
            Swing(name=s.name, low=round_money(s.low), high=round_money(s.high))
            for s in sensitivities(machine, rent)
        ),
        api_month=_api_month(question),
        books=_books(machine, question),
    )


def machine_of(question: OwnOrRent) -> Machine:
    """Return the machine a question is about."""
    return Machine(
        hardware=question.hardware,
        host=question.host,
        tax_rate=question.tax_rate,
        resale_share=question.resale_share,
        life_years=question.life_years,
        energy_per_year=question.energy_per_month * 12,
        maintenance_per_year=question.maintenance_per_year,
        staff_hours_per_month=question.staff_hours_per_month,
        staff_per_hour=question.staff_per_hour,
    )


def _check_rest(question: OwnOrRent) -> None:
    shares = {
        "discount": question.discount,
        "share of use": question.use_share,
        "share of cached tokens": question.cached_share,
    }
    for name, value in shares.items():
        if not value.is_finite() or not 0 <= value <= 1:
            raise AppError("invalid_request", f"A {name} of {value} cannot be.", "Enter 0 to 1.")
    amounts = {
        "speed": question.tokens_per_s,
        "API price for tokens read": question.api_input,
        "API price for cached tokens": question.api_cached,
        "API price for tokens written": question.api_output,
        "number of tokens read for one written": question.read_per_written,
        "speed per person": question.tokens_per_person_s,
    }
    for name, value in amounts.items():
        if not value.is_finite() or not 0 <= value <= Decimal("1e9"):
            raise AppError("invalid_request", f"A {name} of {value} cannot be.", "Enter 0 or more.")
    if question.tokens_per_person_s == 0:
        raise AppError(
            "invalid_request", "A speed per person of 0 cannot be.", "Enter tokens a second."
        )


def _per_million(machine: Machine, question: OwnOrRent) -> tuple[tuple[Decimal, Decimal], ...]:
    if question.tokens_per_s <= 0:
        return ()
    return tuple(
        (
            share,
            round_money(
                cost_per_million_tokens(machine, question.tokens_per_s, share, energy_scales=True),
                Decimal("0.0001"),
            ),
        )
        for share in USE_SHARES
    )


def api_use(question: OwnOrRent) -> ApiUse | None:
    """Return a month of the asked use over an API; None without a speed or without prices.

    Every token written comes with some read, a share of them from the cache: each kind at its
    own price.
    """
    prices = (question.api_input, question.api_cached, question.api_output)
    if question.tokens_per_s <= 0 or not any(prices):
        return None
    written = question.tokens_per_s * question.use_share * SECONDS_PER_MONTH
    read = written * question.read_per_written
    cached = read * question.cached_share
    return ApiUse(read - cached, cached, written, *prices)


def _api_month(question: OwnOrRent) -> ApiMonth | None:
    use = api_use(question)
    if use is None:
        return None
    return ApiMonth(
        input_tokens=int(use.input_tokens),
        cached_tokens=int(use.cached_tokens),
        output_tokens=int(use.output_tokens),
        money=round_money(use.per_year / 12),
    )


def _api_sentence(machine: Machine, question: OwnOrRent) -> str:
    use = api_use(question)
    if use is None:
        return ""
    return api_verdict(machine, question.use_share, use.per_year / 12).sentence


def _tokens_to_beat(machine: Machine, question: OwnOrRent) -> Decimal | None:
    """Return the tokens written in a month from which owning costs less, those read with them."""
    use = api_use(question)
    if use is None or use.output_tokens <= 0 or use.per_year <= 0:
        return None
    per_million = use.per_year / 12 / use.output_tokens * MILLION
    return tokens_per_month_to_beat(machine, per_million)


def _books(machine: Machine, question: OwnOrRent) -> tuple[BookValue, ...]:
    years = min(BOOK_YEARS, max(1, math.ceil(machine.life_years)))
    found = []
    for year in range(1, years + 1):
        age = Decimal(year)
        used = min(age / machine.life_years, Decimal(1)) * question.use_share
        found.append(
            BookValue(
                year=year,
                straight=round_money(book_value(machine, "straight_line", age)),
                declining=round_money(book_value(machine, "declining", age)),
                units=round_money(book_value(machine, "units_of_production", age, used_share=used)),
            )
        )
    return tuple(found)
