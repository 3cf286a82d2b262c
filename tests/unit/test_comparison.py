"""The own-or-rent page's figures for the sum this product starts from, and its bad input."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.errors import AppError
from freehold.ledger.comparison import SECONDS_PER_MONTH, api_use, machine_of, own_or_rent
from freehold.ledger.prices import parse_prices
from freehold.paths import resources
from freehold.wire_costs import OwnOrRent, OwnOrRentAnswer

SEED = OwnOrRent(
    hardware=Decimal(25000),
    energy_per_month=Decimal(90),
    life_years=Decimal(3),
    developers=10,
    tokens_per_s=Decimal(511),
    api_input=Decimal("0.15"),
    api_cached=Decimal("0.075"),
    api_output=Decimal("0.60"),
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
        {"api_input": Decimal(-1)},
        {"api_cached": Decimal("NaN")},
        {"api_output": Decimal("1e30")},
        {"read_per_written": Decimal(-1)},
        {"cached_share": Decimal("1.01")},
        {"seat_per_month": Decimal("1e9")},
        {"resale_share": Decimal(-1)},
        {"energy_per_month": Decimal("Infinity")},
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


# 200 M tokens of a heavy agent: 10 M read anew, 186 M from the cache, 4 M written.
AGENT_MONTH = {
    "Claude Opus 4.8": 243, "GPT-5.6 Sol": 263, "Kimi K3": 146, "Claude Sonnet 5": 146,
    "Gemini 3.1 Pro": 105, "GPT-5.6 Terra": 105, "Kimi K2.6": 55, "gpt-oss-120b": 18,
    "DeepSeek V4 Pro": 9,
}  # fmt: skip


@pytest.mark.parametrize("model", AGENT_MONTH)
def test_each_kind_of_token_has_its_own_price(model: str) -> None:
    """The month published for these price lists, counted from the bundled prices."""
    prices = parse_prices(resources() / "prices.toml")
    api = next(api for api in prices.apis if api.model == model)
    question = msgspec.structs.replace(
        SEED,
        api_input=api.input,
        api_cached=api.cached,
        api_output=api.output,
        tokens_per_s=Decimal(4_000_000) / SECONDS_PER_MONTH,
        use_share=Decimal(1),
        read_per_written=Decimal(49),
        cached_share=Decimal(186) / Decimal(196),
    )
    month = own_or_rent(question).api_month
    assert month is not None
    assert abs(month.input_tokens - 10_000_000) <= 1
    assert abs(month.cached_tokens - 186_000_000) <= 1
    assert abs(month.output_tokens - 4_000_000) <= 1
    by_hand = 10 * api.input + 186 * api.cached + 4 * api.output
    assert abs(month.money - by_hand) < Decimal("0.01")
    assert abs(month.money - AGENT_MONTH[model]) <= 1


money = st.decimals(0, 100, places=3)


@given(money, money, money, st.decimals(0, 100, places=2), st.decimals(0, 1, places=3))
def test_the_api_costs_what_its_tokens_cost(
    read: Decimal, cached: Decimal, written: Decimal, ratio: Decimal, share: Decimal
) -> None:
    question = msgspec.structs.replace(
        SEED, api_input=read, api_cached=cached, api_output=written, read_per_written=ratio,
        cached_share=share,
    )  # fmt: skip
    answer = own_or_rent(question)
    use = api_use(question)
    if use is None:
        assert answer.api_month is None
        assert answer.tokens_per_month_to_beat_api is None
        return
    assert use.input_tokens + use.cached_tokens == use.output_tokens * ratio
    at_most = max(read, cached, written) * (1 + ratio) * use.output_tokens / 1_000_000
    assert use.per_year / 12 <= at_most + Decimal("0.001")
    beats = answer.tokens_per_month_to_beat_api
    if beats is not None:
        factor = beats / use.output_tokens
        assert abs(use.per_year / 12 * factor - machine_of(question).cost_per_year / 12) < 1


def test_the_books_fall_by_three_ways() -> None:
    books = own_or_rent(msgspec.structs.replace(SEED, resale_share=Decimal("0.2"))).books
    assert [book.year for book in books] == [1, 2, 3]
    assert books[-1].straight == books[-1].declining == 5000
    assert books[0].straight == Decimal("18333.33")
    assert books[0].declining < books[0].straight
    assert books[0].units == Decimal(25000) - round(Decimal(20000) * Decimal("0.03") / 3, 2)
