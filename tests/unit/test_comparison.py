"""The own-or-rent page's figures for the sum this product starts from, and its bad input."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from freehold.errors import AppError
from freehold.ledger.comparison import own_or_rent
from freehold.wire_costs import OwnOrRent, OwnOrRentAnswer

SEED = OwnOrRent(
    hardware=Decimal(25000),
    energy_per_month=Decimal(90),
    life_years=Decimal(3),
    developers=10,
    tokens_per_s=Decimal(511),
    api_price=Decimal("0.60"),
    use_share=Decimal("0.03"),
)


def test_the_seed_scenario() -> None:
    answer = own_or_rent(SEED)
    assert answer.break_even_years is not None
    assert round(answer.break_even_years, 4) == Decimal("1.0908")
    assert answer.per_developer_month == Decimal("78.44")
    assert answer.outcome == "pays"
    assert "13 months" in answer.verdict
    assert "would cost $24 a month; this machine costs $784" in answer.api_verdict
    assert answer.per_million_tokens[2] == (1, Decimal("0.5841"))
    assert answer.people_served == 25
    assert [line.month for line in answer.lines][:3] == [0, 1, 2]
    assert answer.lines[0].own == 25000
    crossing = next(line.month for line in answer.lines if line.rent >= line.own)
    assert crossing == 14


def test_one_developer_is_told_not_to() -> None:
    answer = own_or_rent(msgspec.structs.replace(SEED, developers=1, seat_per_month=Decimal(20)))
    assert answer.outcome == "never"
    assert answer.break_even_years is None
    assert answer.gain_per_year < 0


def test_the_answer_survives_the_wire() -> None:
    answer = own_or_rent(SEED)
    again = msgspec.json.decode(msgspec.json.encode(answer), type=OwnOrRentAnswer)
    assert again == answer


@pytest.mark.parametrize(
    "change",
    [
        {"developers": 0},
        {"hardware": Decimal(-5)},
        {"life_years": Decimal(0)},
        {"discount": Decimal(-1)},
        {"use_share": Decimal(2)},
        {"tokens_per_s": Decimal("NaN")},
        {"tokens_per_person_s": Decimal(0)},
        {"api_price": Decimal(-1)},
    ],
)
def test_what_cannot_be_is_named(change: dict[str, object]) -> None:
    with pytest.raises(AppError) as caught:
        own_or_rent(msgspec.structs.replace(SEED, **change))
    assert caught.value.code == "invalid_request"
    assert caught.value.hint


def test_without_a_speed_there_is_nothing_per_token() -> None:
    answer = own_or_rent(msgspec.structs.replace(SEED, tokens_per_s=Decimal(0)))
    assert answer.per_million_tokens == ()
    assert answer.people_served is None
    assert answer.api_verdict == ""
