"""How the Costs page words money, energy and months."""

from __future__ import annotations

from decimal import Decimal

from freehold.ui.costs.amounts import energy, level_text, money, small_money
from freehold.ui.costs.charts import axis_money
from freehold.ui.costs.month_view import month_beside


def test_money_and_energy_in_words() -> None:
    assert money(Decimal("1234.5")) == "$1,234.50"
    assert money(Decimal("-11.5"), "EUR") == "-€11.50"
    assert money(Decimal("25000"), cents=False) == "$25,000"
    assert small_money(Decimal("0.0001")) == "0.01 ¢"
    assert small_money(Decimal("0.00000001")) == "< 0.01 ¢"
    assert small_money(Decimal("0.0041"), "GBP") == "£0.0041"
    assert energy(1440) == "0.4 Wh"
    assert energy(36) == "0.010 Wh"
    assert energy(Decimal(7_200_000)) == "2.0 kWh"
    assert level_text("estimate", 0.5) == "estimate ± 50 %"
    assert [axis_money(v) for v in (-16000.0, 250.0, 61500.0)] == ["-$16 k", "$250", "$61.5 k"]


def test_months_go_over_years() -> None:
    assert month_beside("2026-12", 1) == "2027-01"
    assert month_beside("2026-01", -1) == "2025-12"
