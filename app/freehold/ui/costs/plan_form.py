"""The editor of a tariff: its times, its tiers or its imported prices, and its charges."""

from __future__ import annotations

import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from freehold.ui.costs.period_row import PeriodRow, TierRow
from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import text_label
from freehold.wire_costs import SeriesState, TariffPeriod, TariffPlan, TariffTier

BEGIN_PERIODS = (
    TariffPeriod(name="Night", price="", start="22:00", end="06:00"),
    TariffPeriod(name="Day", price="", start="06:00", end="22:00"),
)
BEGIN_TIERS = (TariffTier(from_kwh="0", price=""), TariffTier(from_kwh="100", price=""))
UNITS = (
    ("auto", "as the heading says"),
    ("kWh", "per kWh"),
    ("MWh", "per MWh"),
    ("cents", "cents per kWh"),
)


class PlanForm(QWidget):
    """Signals: file_chosen(path): a CSV file of prices was picked."""

    file_chosen = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._kept: TariffPlan | None = None
        self.kind = ""
        self.rows: list[PeriodRow] = []
        self.tiers: list[TierRow] = []
        self.name, self.zone = QLineEdit(), QLineEdit()
        self.fixed, self.demand, self.tax = QLineEdit(), QLineEdit(), QLineEdit()
        self.holidays = QLineEdit()
        self.add = push_button(theme, "Add a time", self._add_line, icon="plus")
        self.unit = ChoiceBox(theme, "Prices in the file are", lambda _value: None)
        self.unit.setFixedWidth(190)
        self.unit.offer(UNITS)
        self.pick = push_button(theme, "Choose a CSV file…", self._choose, icon="file")
        self.series = text_label("", "small", wrap=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space"])
        column.addLayout(self._fields())
        self.explain = text_label("", "small", wrap=True)
        column.addWidget(self.explain)
        self.lines = QVBoxLayout()
        self.lines.setSpacing(SIZES["space-half"])
        column.addLayout(self.lines)
        self.series_part = self._series_fields()
        column.addWidget(self.series_part)
        line = QHBoxLayout()
        line.addWidget(self.add)
        line.addStretch(1)
        column.addLayout(line)

    def _fields(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(SIZES["space-2"])
        for at, (title, field, example) in enumerate(
            (
                ("Name on the bill", self.name, "City power, day and night"),
                ("Time zone", self.zone, "Europe/Berlin"),
                ("Tax on everything, %", self.tax, "0"),
                ("Standing charge a month", self.fixed, "0"),
                ("Demand charge, per kW of the highest hour", self.demand, "0"),
                ("Holidays", self.holidays, "2026-12-25, 2026-12-26"),
            )
        ):
            field.setAccessibleName(title)
            field.setPlaceholderText(example)
            grid.addWidget(text_label(title, "small"), 2 * (at // 3), at % 3)
            grid.addWidget(field, 2 * (at // 3) + 1, at % 3)
            grid.setColumnStretch(at % 3, 1)
        return grid

    def _series_fields(self) -> QWidget:
        part = QWidget()
        column = QVBoxLayout(part)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-half"])
        row = QHBoxLayout()
        row.addWidget(self.pick)
        row.addSpacing(SIZES["space"])
        row.addWidget(text_label("Prices are", "small"))
        row.addWidget(self.unit)
        row.addStretch(1)
        column.addLayout(row)
        column.addWidget(self.series)
        return part

    # --- showing -------------------------------------------------------------------------

    def show_kind(self, kind: str, zone: str) -> None:
        """Show the editor of times ("plan"), of tiers, or of imported prices ("series")."""
        if kind == self.kind:
            return
        self.kind = kind
        if not self.zone.text():
            self.zone.setText(zone)
        self._clear()
        kept = self._kept
        if kind == "plan":
            for period in kept.periods if kept and kept.periods else BEGIN_PERIODS:
                self._add_period(period)
        if kind == "tiers":
            for tier in kept.tiers if kept and kept.tiers else BEGIN_TIERS:
                self._add_tier(tier)
        self.add.setText("Add a tier" if kind == "tiers" else "Add a time")
        self.add.setVisible(kind != "series")
        self.series_part.setVisible(kind == "series")
        self.explain.setText(
            {
                "tiers": "Prices that rise or fall with the month's use. Answers are priced at the"
                " first; what the others add is a line of its own in the month.",
                "series": "Hourly or quarter-hourly prices from your supplier or the exchange: a"
                " time and a price in each row. Holes and overlaps are named and refused.",
            }.get(kind, "")
        )
        self.explain.setVisible(bool(self.explain.text()))

    def show_plan(self, plan: TariffPlan) -> None:
        """Show a stored tariff."""
        self._kept = plan
        self.name.setText(plan.name)
        self.zone.setText(plan.zone)
        self.fixed.setText(plan.fixed_per_month)
        self.demand.setText(plan.demand_per_kw)
        self.tax.setText(percent_text(plan.tax_rate))
        self.holidays.setText(", ".join(plan.holidays))
        self.kind = ""
        self.show_kind(kind_of(plan), plan.zone)

    def show_series(self, found: SeriesState | None, currency: str) -> None:
        """Say which prices are there."""
        self.series.setText(
            "No prices have been imported yet." if found is None else series_text(found, currency)
        )

    # --- lines ---------------------------------------------------------------------------

    def _clear(self) -> None:
        for line in (*self.rows, *self.tiers):
            self.lines.removeWidget(line)
            line.hide()
            line.deleteLater()
        self.rows, self.tiers = [], []

    def _add_line(self) -> None:
        if self.kind == "tiers":
            self._add_tier(TariffTier(from_kwh="", price=""))
        else:
            self._add_period(TariffPeriod(name="", price=""))

    def _add_period(self, period: TariffPeriod) -> None:
        row = PeriodRow(self._theme, period)
        row.removed.connect(lambda: self._remove(row))
        self.rows.append(row)
        self.lines.addWidget(row)

    def _add_tier(self, tier: TariffTier) -> None:
        row = TierRow(self._theme, tier)
        row.removed.connect(lambda: self._remove(row))
        self.tiers.append(row)
        self.lines.addWidget(row)

    def _remove(self, row: PeriodRow | TierRow) -> None:
        if isinstance(row, PeriodRow):
            self.rows.remove(row)
        else:
            self.tiers.remove(row)
        self.lines.removeWidget(row)
        row.hide()
        row.deleteLater()

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Prices by time", "", "CSV (*.csv *.txt);;All (*)"
        )
        if path:
            self.file_chosen.emit(str(Path(path)))

    # --- reading -------------------------------------------------------------------------

    def plan(self, currency: str) -> TariffPlan:
        """Return the tariff as it stands in the fields."""
        days = [day.strip() for day in self.holidays.text().replace(";", ",").split(",")]
        return TariffPlan(
            name=self.name.text().strip() or "My tariff",
            currency=currency,
            zone=self.zone.text().strip() or "UTC",
            periods=tuple(row.period for row in self.rows),
            tiers=tuple(row.tier for row in self.tiers),
            series=self.kind == "series",
            holidays=tuple(day for day in days if day),
            demand_per_kw=self.demand.text().strip() or "0",
            fixed_per_month=self.fixed.text().strip() or "0",
            tax_rate=share_text(self.tax.text()),
        )


def kind_of(plan: TariffPlan) -> str:
    """Return which editor a tariff needs."""
    return "series" if plan.series else "tiers" if plan.tiers else "plan"


def series_text(found: SeriesState, currency: str) -> str:
    """Return what imported prices look like, in one sentence."""
    start, end = (
        datetime.datetime.fromtimestamp(at).astimezone() for at in (found.start_at, found.end_at)
    )
    return (
        f"{found.count:,} prices from {start:%d %b %Y %H:%M} to {end:%d %b %Y %H:%M}, one for every"
        f" {found.step_minutes} minutes: {found.lowest.normalize():f} to"
        f" {found.highest.normalize():f}, on average {found.mean.normalize():f} {currency} per kWh"
        " before tax."
    )


def percent_text(share: str) -> str:
    """Return a share of one in percent; what is no number is left as it is."""
    try:
        return f"{(Decimal(share) * 100).normalize():f}"
    except InvalidOperation:
        return share


def share_text(percent: str) -> str:
    """Return a share of one; what is no number is left for the server to name."""
    text = percent.strip().replace(",", ".") or "0"
    try:
        return f"{Decimal(text) / 100:f}"
    except InvalidOperation:
        return text
