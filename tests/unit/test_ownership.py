"""Own-or-rent arithmetic against the golden figures and its invariants."""

from __future__ import annotations

import csv
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.errors import AppError
from freehold.ledger.ownership import (
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
)

GOLDEN = Path(__file__).parents[1] / "data" / "ledger"


def rows(name: str) -> list[dict[str, str]]:
    with (GOLDEN / name).open(newline="") as file:
        return list(csv.DictReader(file))


def rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


@pytest.mark.parametrize(
    "row", rows("ownership_golden.csv"), ids=lambda r: f"{r['scenario']}-{r['developers']}"
)
def test_golden_scenarios_to_the_cent(row: dict[str, str]) -> None:
    developers = int(row["developers"])
    rent = Decimal(row["seat_usd_per_year"]) * developers
    machine = Machine(
        hardware=Decimal(row["hardware_usd"]),
        host=Decimal(row["host_usd"]),
        energy_per_year=Decimal(row["energy_usd_per_year"]),
    )
    years = break_even_years(machine, rent)
    if row["break_even_years"] == "never":
        assert years is None
    else:
        assert years is not None
        assert rounded(years, 4) == Decimal(row["break_even_years"])
    for life in (3, 5):
        owned = Machine(
            hardware=machine.hardware,
            host=machine.host,
            energy_per_year=machine.energy_per_year,
            life_years=Decimal(life),
        )
        expected = Decimal(row[f"per_developer_month_{life}y_usd"])
        assert rounded(per_developer_month(owned, developers), 2) == expected
        value = net_present_value(owned, rent, Decimal("0.08"), life)
        assert rounded(value, 2) == Decimal(row[f"npv_{life}y_8pct_usd"])


ENERGY = {row["quantity"]: Decimal(row["value"]) for row in rows("energy_golden.csv")}


@pytest.mark.parametrize("life", [3, 4, 5])
@pytest.mark.parametrize(("resale", "label"), [("0", "no_resale"), ("0.4", "resale_40pct")])
def test_developers_needed_to_beat_a_200_dollar_seat(life: int, resale: str, label: str) -> None:
    machine = Machine(
        hardware=Decimal(25000),
        resale_share=Decimal(resale),
        life_years=Decimal(life),
        energy_per_year=Decimal(1080),
    )
    needed = developers_to_beat(machine, Decimal(200))
    assert rounded(needed, 4) == ENERGY[f"developers_to_beat_200_{label}_{life}y"]


@pytest.mark.parametrize("speed", ["511", "6095"])
@pytest.mark.parametrize("use", ["1", "0.25", "0.05"])
@pytest.mark.parametrize(
    ("scales", "label"), [(True, "capital_and_electricity"), (False, "all_fixed")]
)
def test_cost_per_million_tokens(speed: str, use: str, scales: bool, label: str) -> None:
    machine = Machine(hardware=Decimal(25000), life_years=Decimal(3), energy_per_year=Decimal(1080))
    cost = cost_per_million_tokens(machine, Decimal(speed), Decimal(use), energy_scales=scales)
    assert rounded(cost, 4) == ENERGY[f"usd_per_1M_tokens_{label}_{speed}tps_use_{use}"]


def test_own_cost_per_hour() -> None:
    machine = Machine(hardware=Decimal(25000), life_years=Decimal(3), energy_per_year=Decimal(1080))
    assert rounded(machine.cost_per_year / 8760, 6) == ENERGY["own_cost_usd_per_hour_3y"]


money = st.decimals(min_value=1, max_value=10**6, places=2)


@given(capital=money, running=money, rent=money)
def test_lines_cross_at_the_break_even(capital: Decimal, running: Decimal, rent: Decimal) -> None:
    machine = Machine(hardware=capital, energy_per_year=running)
    years = break_even_years(machine, rent)
    points = cumulative_costs(machine, rent, 120)
    paid = [point.month for point in points if point.rent >= point.own]
    if years is None or years * 12 > 120:
        assert not paid
    else:
        assert paid
        assert abs(Decimal(paid[0]) - years * 12) <= 1


@given(capital=money, running=money, rent=money, rate=st.sampled_from(["0", "0.05", "0.2"]))
def test_discounting_never_brings_the_break_even_nearer(
    capital: Decimal, running: Decimal, rent: Decimal, rate: str
) -> None:
    machine = Machine(hardware=capital, energy_per_year=running)
    plain = break_even_years(machine, rent)
    later = discounted_break_even_years(machine, rent, Decimal(rate))
    if plain is None:
        assert later is None
    elif later is not None:
        assert later >= plain - Decimal("1e-9")


@given(st.sampled_from(["straight_line", "declining", "units_of_production"]), st.data())
def test_book_value_falls_from_price_to_resale(method: str, data: st.DataObject) -> None:
    machine = Machine(hardware=Decimal(25000), resale_share=Decimal("0.4"))
    shares = sorted(data.draw(st.lists(st.decimals(0, 1, places=3), min_size=2, max_size=6)))
    values = [
        book_value(machine, method, share * machine.life_years, used_share=share)
        for share in shares
    ]
    assert values == sorted(values, reverse=True)
    assert all(machine.resale - Decimal("0.01") <= value <= machine.capital for value in values)


def test_sensitivities_are_sorted_and_bracket_the_gain() -> None:
    machine = Machine(
        hardware=Decimal(25000), energy_per_year=Decimal(1080), resale_share=Decimal("0.2")
    )
    rent = Seats(5, Decimal(200)).per_year
    bars = sensitivities(machine, rent)
    assert [bar.span for bar in bars] == sorted((bar.span for bar in bars), reverse=True)
    gain = gain_per_year(machine, rent)
    assert all(min(bar.low, bar.high) <= gain <= max(bar.low, bar.high) for bar in bars)


def test_api_use_counts_cached_tokens_apart() -> None:
    use = ApiUse(
        input_tokens=Decimal(10_000_000),
        cached_tokens=Decimal(186_000_000),
        output_tokens=Decimal(4_000_000),
        input_price=Decimal("0.95"),
        cached_price=Decimal("0.16"),
        output_price=Decimal(4),
    )
    assert rounded(use.per_year / 12, 0) == 55  # the study's "heavy agent month" over Kimi K2.6


@pytest.mark.parametrize(
    "machine",
    [
        Machine(hardware=Decimal(-1)),
        Machine(hardware=Decimal("NaN")),
        Machine(hardware=Decimal("1e30")),
        Machine(hardware=Decimal(1), life_years=Decimal(0)),
        Machine(hardware=Decimal(1), resale_share=Decimal(2)),
        Machine(hardware=Decimal(1), energy_per_year=Decimal("Infinity")),
    ],
)
def test_absurd_machines_are_refused_by_name(machine: Machine) -> None:
    with pytest.raises(AppError) as caught:
        check_machine(machine)
    assert caught.value.code == "invalid_request"
    assert caught.value.hint


@pytest.mark.parametrize("seats", [Seats(0, Decimal(200)), Seats(1, Decimal(-5))])
def test_absurd_seats_are_refused(seats: Seats) -> None:
    with pytest.raises(AppError):
        check_seats(seats)
