"""The Costs page's bill: tiers, prices from a file, charges, exchange rates and CO2."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest_asyncio

from doubles.client import FakeClient
from doubles.ledger_month import month_of_lines
from doubles.waiting import until
from freehold.ui.costs.page import CostsPage
from freehold.ui.costs.rate_form import kept_text
from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import Theme
from freehold.wire_costs import ExchangeRate, TariffPlan, TariffTier

PLAN = TariffPlan(
    name="City tiers",
    currency="EUR",
    zone="UTC",
    tiers=(TariffTier(from_kwh="0", price="0.20"), TariffTier(from_kwh="10", price="0.30")),
    holidays=("2026-12-25", "2026-12-26"),
    fixed_per_month="9.90",
    demand_per_kw="4",
    tax_rate="0.19",
)


@pytest_asyncio.fixture
async def page(session: Session, theme: Theme) -> AsyncIterator[CostsPage]:
    page = CostsPage(session, SettingsState(session, session), theme)
    page.resize(1000, 900)
    page.show()
    await until(lambda: page.state.advice is not None, timeout_s=30)
    page.show_part("tariff")
    yield page
    page.close()
    page.deleteLater()


def pick(box: ChoiceBox, value: str) -> None:
    index = box.findData(value)
    assert index >= 0
    box.setCurrentIndex(index)
    box.activated.emit(index)


async def test_tiers_and_charges_are_entered_and_come_back(
    page: CostsPage, workstation: FakeClient
) -> None:
    form = page.tariff.form
    page.tariff.kind.buttons["tiers"].click()
    pick(page.tariff.currency, "EUR")
    for field, text in (
        (form.name, "City tiers"), (form.zone, "UTC"), (form.fixed, "9,90"), (form.demand, "4"),
        (form.tax, "19"), (form.holidays, "2026-12-25; 2026-12-26"),
    ):  # fmt: skip
        field.setText(text)
    for row, (start, price) in zip(form.tiers, (("0", "0,20"), ("10", "0.30")), strict=True):
        row.from_kwh.setText(start)
        row.price.setText(price)
    page.tariff.save.click()
    await until(lambda: workstation.costs.plan == PLAN)
    await until(lambda: "Now 0.238 EUR" in page.tariff.now.text())
    assert page.tariff.plan() == PLAN


async def test_the_month_shows_the_bills_own_lines(
    page: CostsPage, workstation: FakeClient
) -> None:
    costs = workstation.costs
    costs.requests, costs.idle = month_of_lines()
    costs.plan, costs.currency = PLAN, "EUR"
    page.show_part("month")
    page.state.refresh()
    table = page.month.table
    await until(lambda: table.rowCount() == 10)
    names = [table.item(row, 0).text() for row in range(10)]
    assert names[5].startswith("Above 10 kWh: ")
    assert names[6] == "Standing charge"
    assert names[7].startswith("Demand charge, 0.")
    assert names[8:] == ["Tax", "Total"]
    cents = [round(float(table.item(row, 6).text()[1:]) * 100) for row in range(10)]
    assert sum(cents[:-1]) == cents[-1] > 0
    assert table.columnSpan(6, 0) == 6
    page.month.earlier.click()
    await until(page.month.empty.isVisible)
    assert "Every answer adds a line here" in page.month.empty.text()


async def test_prices_come_from_a_file_and_a_hole_is_said(
    page: CostsPage, workstation: FakeClient, tmp_path: Path
) -> None:
    said: list[str] = []
    page.said.connect(said.append)
    page.tariff.kind.buttons["series"].click()
    form = page.tariff.form
    assert form.series_part.isVisible()
    assert not form.add.isVisible()
    assert "No prices have been imported" in form.series.text()
    rows = [f"24.11.2026 {hour:02}:00;{hour},5" for hour in range(24)]
    broken, whole = tmp_path / "hole.csv", tmp_path / "prices.csv"
    broken.write_text("\n".join(["Start;ct/kWh", *rows[:5], *rows[6:]]))
    whole.write_text("\n".join(["Start;ct/kWh", *rows]))
    form.zone.setText("UTC")
    page.tariff.import_file(str(broken))
    await until(page.tariff.problem.isVisible)
    assert "no price from 24 Nov 2026 05:00 to 24 Nov 2026 06:00" in page.tariff.problem.text()
    page.tariff.import_file(str(whole))
    await until(lambda: said == ["prices.csv is imported. Save to use it."])
    assert not page.tariff.problem.isVisible()
    assert "24 prices from" in form.series.text()
    assert "0.005 to 0.235" in form.series.text()
    page.tariff.save.click()
    await until(lambda: workstation.costs.plan is not None and workstation.costs.plan.series)
    await until(lambda: "Now 0.095" in page.tariff.now.text())


async def test_a_file_that_is_none_is_refused_in_words(page: CostsPage, tmp_path: Path) -> None:
    page.tariff.import_file(str(tmp_path / "nowhere.csv"))
    await until(page.tariff.problem.isVisible)
    assert "nowhere.csv could not be read" in page.tariff.problem.text()
    big = tmp_path / "big.csv"
    big.write_bytes(b"x" * 8_000_001)
    page.tariff.import_file(str(big))
    await until(lambda: "larger than 8 MB" in page.tariff.problem.text())


async def test_a_country_shows_its_co2_with_source_and_date(
    page: CostsPage, workstation: FakeClient
) -> None:
    workstation.costs.requests, workstation.costs.idle = month_of_lines()
    assert "Choose a country" in page.carbon.source.text()
    pick(page.carbon.country, "Germany")
    await until(lambda: workstation.costs.stored.country == "Germany")
    await until(lambda: "0.38 kg per kWh" in page.carbon.source.text())
    assert "Carbon Footprint Ltd, October 2025, October 2025" not in page.carbon.source.text()
    page.show_part("month")
    await until(page.month.notes.isVisible)
    assert "kg CO2, calculated (Germany" in page.month.notes.text()


def test_kept_rates_are_told() -> None:
    rates = [
        ExchangeRate(currency="EUR", on=f"2026-0{m}-01", dollars=Decimal(m)) for m in range(1, 7)
    ]
    assert kept_text(rates, "EUR").startswith("Kept: 2 older, 3 from 2026-03-01")
    assert "counted as 1 dollar" in kept_text([], "EUR")
