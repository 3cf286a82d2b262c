"""The bill's own lines: tiers, standing charge, demand charge and tax, equal to the cent."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.ledger.charges import TariffStay, month_charges
from freehold.ledger.entries import IdleEntry, RequestEntry, energy_money, tax_in
from freehold.ledger.exchange import DatedRate, Rates, convert_lines
from freehold.ledger.money import round_money, round_together
from freehold.ledger.month_lines import charges_ever, in_one_currency
from freehold.ledger.months import month_bounds
from freehold.ledger.statement import write_csv
from freehold.ledger.summary import summarise
from freehold.ledger.tariffs import Interval, Tariff, Tier, flat, monthly_bill

KWH = 3_600_000_000_000
ZONE = "Europe/Berlin"
START, END = month_bounds("2026-11", ZONE)
TAX = Decimal("0.19")
TIERED = Tariff(
    "tiers",
    "EUR",
    ZONE,
    tiers=(
        Tier(Decimal(0), Decimal("0.20")),
        Tier(Decimal(10), Decimal("0.30")),
        Tier(Decimal(100), Decimal("0.15")),
    ),
    fixed_per_month=Decimal("9.90"),
    demand_per_kw=Decimal(5),
    tax_rate=TAX,
)


def priced(
    hour: int, microjoules: int, tariff: Tariff, person: str = ""
) -> RequestEntry | IdleEntry:
    """Return an hour's line as the metering writes it: priced at the first tier, tax in it."""
    first = tariff.tiers[0].price if tariff.tiers else tariff.periods[0].price
    price = first * (1 + tariff.tax_rate)
    money = energy_money(microjoules, price)
    tax = tax_in(money, tariff.tax_rate)
    start, end = START + hour * 3600, START + (hour + 1) * 3600
    if person:
        return RequestEntry(
            f"r{hour}", end, person, "k", "kimi", 100, 0, 50, 3600.0, microjoules, "wall",
            tariff.name, price, money, tax, tariff.currency,
        )  # fmt: skip
    return IdleEntry(
        start, end, microjoules, "wall", tariff.name, price, money, "", tax, tariff.currency
    )


def split(lines: list[RequestEntry | IdleEntry]) -> tuple[list[RequestEntry], list[IdleEntry]]:
    return (
        [line for line in lines if isinstance(line, RequestEntry)],
        [line for line in lines if isinstance(line, IdleEntry)],
    )


def test_the_months_total_is_the_suppliers_bill() -> None:
    """The same energy billed at once by the tariff gives the same money, line by line."""
    lines = [priced(h, KWH * (h % 3), TIERED, "Ada" if h % 2 else "") for h in range(150)]
    requests, idle = split(lines)
    charges = month_charges(requests, idle, [TariffStay(0.0, TIERED)], START, END)
    moments = [
        Interval(
            datetime.fromtimestamp(START + h * 3600, ZoneInfo(ZONE)),
            datetime.fromtimestamp(START + (h + 1) * 3600, ZoneInfo(ZONE)),
            KWH * (h % 3),
        )
        for h in range(150)
    ]
    bill = monthly_bill(TIERED, moments)
    found = summarise(requests, idle, "person", zone=ZONE, charges=charges)
    assert [charge.kind for charge in found.charges] == ["tier", "tier", "fixed", "demand", "tax"]
    by_kind = {charge.kind: charge.money for charge in charges}
    assert by_kind["fixed"] == bill.fixed == Decimal("9.90")
    assert by_kind["demand"] == bill.demand == 10
    assert "10 kWh: 90.0 kWh at 0.30 instead of 0.20" in found.charges[0].name
    assert "100 kWh: 50.0 kWh at 0.15" in found.charges[1].name
    assert found.charges[1].money < 0
    assert found.total.money == round_money(bill.total)
    parts = [row.money for row in found.rows] + [charge.money for charge in found.charges]
    assert sum(parts) == found.total.money
    assert found.charges[-1].name == "Tax"
    assert abs(found.charges[-1].money - bill.tax) <= Decimal("0.01")


def test_a_tariff_that_held_a_part_of_the_month_charges_that_part() -> None:
    middle = START + (END - START) / 4
    new = Tariff(
        "new", "EUR", ZONE, periods=flat(Decimal("0.3")).periods, fixed_per_month=Decimal(20)
    )
    stays = [TariffStay(0.0, TIERED), TariffStay(middle, new), TariffStay(END, TIERED)]
    charges = month_charges([], [priced(1, KWH, TIERED)], stays, START, END)  # type: ignore[list-item]
    fixed = {c.name: c.money for c in charges if c.kind == "fixed"}
    assert list(fixed.values()) == [Decimal("9.90") / 4, Decimal(15)]
    assert all("days)" in name for name in fixed)


def test_a_month_without_energy_and_a_time_without_a_tariff_charge_nothing() -> None:
    assert month_charges([], [], [TariffStay(0.0, TIERED)], START, END) == ()
    line = priced(1, KWH, TIERED)
    for stays in ([], [TariffStay(0.0, None)], [TariffStay(END, TIERED)]):
        assert month_charges([], [line], stays, START, END) == ()  # type: ignore[list-item]


def test_ten_years_of_a_wrong_clock_charge_one_month() -> None:
    line = priced(1, KWH, TIERED)
    assert isinstance(line, IdleEntry)
    stays = [TariffStay(START - 3e8, TIERED), TariffStay(START + 3e8, flat(Decimal(1)))]
    ever = charges_ever([], [line], stays, ZONE, "EUR", Rates())
    assert ever == (Decimal("9.90") + 5) * (1 + TAX)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 719), st.integers(0, 9 * KWH), st.sampled_from(["", "A", "B", "C"])
        ),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(["person", "model", "day", "hour"]),
    st.sampled_from(["own line", "by seat", "by use"]),
)
def test_rows_and_charges_are_the_total_to_the_cent(
    drawn: list[tuple[int, int, str]], by: str, sharing: str
) -> None:
    requests, idle = split([priced(*line[:2], TIERED, line[2]) for line in drawn])
    charges = month_charges(requests, idle, [TariffStay(0.0, TIERED)], START, END)
    found = summarise(requests, idle, by, zone=ZONE, sharing=sharing, charges=charges)  # type: ignore[arg-type]
    exact = sum((line.money for line in (*requests, *idle)), Decimal(0))
    exact += sum((c.money + c.tax for c in charges), Decimal(0))
    parts = [row.money for row in found.rows] + [charge.money for charge in found.charges]
    assert sum(parts) == found.total.money == round_money(exact)
    assert sum(row.microjoules for row in found.rows) == found.total.microjoules
    rows = list(csv.DictReader(io.StringIO(write_csv(requests, idle, charges))))
    assert sum(Decimal(row["money"]) for row in rows) == exact
    net = sum((line.money - line.tax for line in (*requests, *idle)), Decimal(0))
    listed = sum((Decimal(row["money"]) - Decimal(row["tax_in_money"]) for row in rows), Decimal(0))
    assert listed == net + sum((c.money for c in charges), Decimal(0))


@given(st.lists(st.decimals(-(10**6), 10**6, places=10), max_size=40))
def test_amounts_rounded_together_keep_their_sum_and_stay_near(amounts: list[Decimal]) -> None:
    parts = round_together(amounts)
    assert sum(parts, Decimal(0)) == round_money(sum(amounts, Decimal(0)))
    assert all(
        abs(part - amount) < Decimal("0.01") for part, amount in zip(parts, amounts, strict=True)
    )


# --- currencies ------------------------------------------------------------------------------


def day(text: str) -> datetime:
    return datetime.fromisoformat(text)


RATES = Rates(
    (
        DatedRate("EUR", day("2026-11-10").date(), Decimal("1.20")),
        DatedRate("EUR", day("2026-01-01").date(), Decimal("1.00")),
        DatedRate("GBP", day("2026-01-01").date(), Decimal("1.50")),
    )
)


@pytest.mark.parametrize(
    ("source", "target", "on", "factor"),
    [
        ("EUR", "USD", "2026-11-09", "1.00"),
        ("EUR", "USD", "2026-11-10", "1.20"),
        ("EUR", "USD", "2020-01-01", "1.00"),
        ("USD", "GBP", "2026-05-01", "0.6666666666666666666666666667"),
        ("GBP", "EUR", "2026-12-01", "1.25"),
        ("CHF", "CHF", "2026-12-01", "1"),
    ],
)
def test_rates_hold_from_their_day(source: str, target: str, on: str, factor: str) -> None:
    assert RATES.factor(source, target, day(on).date()) == Decimal(factor)


def test_a_missing_rate_is_named_and_counted_one_to_one() -> None:
    assert RATES.factor("CHF", "EUR", day("2026-11-01").date()) is None
    line = priced(1, KWH, flat(Decimal("0.3"), currency="CHF"))
    assert isinstance(line, IdleEntry)
    lines, missing = convert_lines([line], "EUR", RATES, "EUR")
    assert lines == (line,)
    assert missing == {"CHF"}
    month = in_one_currency([], [line], [], (START, END), "EUR", RATES)
    assert month.missing == {"CHF"}


def test_every_line_is_converted_at_the_rate_of_its_day() -> None:
    tariff = flat(Decimal("1.00"), currency="EUR")
    lines = [line for h in (1, 400) if isinstance(line := priced(h, KWH, tariff), IdleEntry)]
    converted, missing = convert_lines(lines, "USD", RATES, "EUR")
    assert [line.money for line in converted] == [Decimal(1), Decimal("1.2")]
    assert not missing
