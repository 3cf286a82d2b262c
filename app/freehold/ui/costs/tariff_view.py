"""The price of a kilowatt-hour: one price, or prices by time of day."""

from __future__ import annotations

import datetime
from decimal import Decimal, InvalidOperation

import msgspec
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.costs.controls import Choices
from freehold.ui.costs.period_row import PeriodRow
from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.state.costs import CostsState
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card, section_title
from freehold.ui.widgets.labels import prose, text_label
from freehold.wire_costs import TariffPeriod, TariffPlan

CURRENCIES = ("USD", "EUR", "GBP", "CHF", "JPY", "CAD", "AUD", "SEK", "NOK", "DKK", "PLN", "INR")
BEGIN = (
    TariffPeriod(name="Night", price="", start="22:00", end="06:00"),
    TariffPeriod(name="Day", price="", start="06:00", end="22:00"),
)


class TariffView(QWidget):
    """Signals: said(text): something was done, confirm it."""

    said = Signal(str)

    def __init__(
        self,
        state: CostsState,
        settings: SettingsState,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._state, self._settings, self._theme = state, settings, theme
        self.rows: list[PeriodRow] = []
        self._kept: TariffPlan | None = None
        self.kind = Choices("Kind of price", (("price", "One price"), ("plan", "By time of day")))
        self.kind.chosen.connect(self._show_kind)
        self.now = text_label("", "muted", wrap=True)
        self.price = QLineEdit()
        self.price.setAccessibleName("Price per kWh")
        self.price.setPlaceholderText("0.32")
        self.price.setFixedWidth(120)
        self.currency = ChoiceBox(theme, "Currency", lambda _value: self._show_rate())
        self.currency.setFixedWidth(110)
        self.currency.offer([(code, code) for code in CURRENCIES])
        self.rate = QLineEdit()
        self.rate.setAccessibleName("US dollars for one unit")
        self.rate.setPlaceholderText("1.08")
        self.rate.setFixedWidth(90)
        self.name, self.zone = QLineEdit(), QLineEdit()
        self.fixed, self.tax = QLineEdit(), QLineEdit()
        self.add = push_button(theme, "Add a time", lambda: self._add_row(), icon="plus")
        self.save = push_button(theme, "Save", self._save, kind="primary")
        self.problem = text_label("", "danger", wrap=True)
        self.problem.hide()
        self._lay_out()
        state.tariff_changed.connect(self._show)
        state.settings_changed.connect(self._show_rate)
        settings.changed.connect(self._show)
        settings.failed.connect(self._on_settings_failed)
        self._show()

    # --- layout --------------------------------------------------------------------------

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-2"])
        column.addWidget(section_title("Price of electricity"))
        card = Card()
        card.body.addWidget(self.now)
        card.body.addWidget(self.kind)
        self.simple = QWidget()
        row = QHBoxLayout(self.simple)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(text_label("A kilowatt-hour costs"))
        row.addWidget(self.price)
        row.addStretch(1)
        card.body.addWidget(self.simple)
        card.body.addWidget(self._plan_part())
        money = QHBoxLayout()
        money.addWidget(text_label("Currency"))
        money.addWidget(self.currency)
        self.rate_part = QWidget()
        rate = QHBoxLayout(self.rate_part)
        rate.setContentsMargins(SIZES["space"], 0, 0, 0)
        self.rate_name = text_label("")
        rate.addWidget(self.rate_name)
        rate.addWidget(self.rate)
        rate.addWidget(text_label("US dollars"))
        self.rate_age = text_label("", "small")
        rate.addWidget(self.rate_age)
        money.addWidget(self.rate_part)
        money.addStretch(1)
        card.body.addLayout(money)
        card.body.addWidget(self.problem)
        buttons = QHBoxLayout()
        buttons.addWidget(self.save)
        buttons.addStretch(1)
        card.body.addLayout(buttons)
        column.addWidget(card)

    def _plan_part(self) -> QWidget:
        self.plan_part = QWidget()
        column = QVBoxLayout(self.plan_part)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space"])
        grid = QGridLayout()
        grid.setHorizontalSpacing(SIZES["space-2"])
        for at, (title, field, example) in enumerate(
            (
                ("Name on the bill", self.name, "City power, day and night"),
                ("Time zone", self.zone, "Europe/Berlin"),
                ("Standing charge a month", self.fixed, "0"),
                ("Tax on everything, %", self.tax, "0"),
            )
        ):
            field.setAccessibleName(title)
            field.setPlaceholderText(example)
            grid.addWidget(text_label(title, "small"), 2 * (at // 2), at % 2)
            grid.addWidget(field, 2 * (at // 2) + 1, at % 2)
        column.addLayout(grid)
        self.period_column = QVBoxLayout()
        self.period_column.setSpacing(SIZES["space-half"])
        column.addLayout(self.period_column)
        line = QHBoxLayout()
        line.addWidget(self.add)
        line.addStretch(1)
        column.addLayout(line)
        return self.plan_part

    # --- showing -------------------------------------------------------------------------

    def _show(self) -> None:
        state = self._state.tariff
        values = self._settings.values
        _offer_also(self.currency, values.currency)
        if not self.price.hasFocus():
            self.price.setText(values.price_per_kwh)
        self.currency.show_value(values.currency)
        for part in (self.save, self.add):
            part.setVisible(self._state.is_local)
        if state is None:
            self._show_kind("price")
            return
        price = state.price_now
        said = (
            "No price is set yet, so energy is counted and money is not."
            if price is None
            else f"Now {price.normalize():f} {state.currency} per kWh, tax included."
        )
        self.now.setText(f"{said} {prose(state.problem)}".strip())
        if state.plan is not None:
            _offer_also(self.currency, state.plan.currency)
            self.currency.show_value(state.plan.currency)
            if state.plan != self._kept:
                self._kept = state.plan
                self._show_plan(state.plan)
        self._show_rate()
        kind = "plan" if state.plan is not None else "price"
        self.kind.choose(kind)
        self._show_kind(kind)

    def _show_rate(self) -> None:
        """Ask for an exchange rate where electricity is not paid in dollars, as prices are."""
        code, own = str(self.currency.currentData()), self._state.settings
        self.rate_part.setVisible(code != "USD")
        self.rate_name.setText(f"One {code} is")
        if own is not None and own.rate_on and not self.rate.hasFocus():
            self.rate.setText(f"{own.dollars_per_unit.normalize():f}")
            self.rate_age.setText(f"as of {own.rate_on}")

    def _show_kind(self, kind: str) -> None:
        self.simple.setVisible(kind == "price")
        self.plan_part.setVisible(kind == "plan")
        if kind == "plan" and not self.rows:
            zone = self._state.tariff.zone if self._state.tariff else "UTC"
            self._show_plan(TariffPlan(name="", currency="USD", zone=zone, periods=BEGIN))

    def _show_plan(self, plan: TariffPlan) -> None:
        self.name.setText(plan.name)
        self.zone.setText(plan.zone)
        self.fixed.setText(plan.fixed_per_month)
        self.tax.setText(_percent(plan.tax_rate))
        for row in list(self.rows):
            self._remove(row)
        for period in plan.periods:
            self._add_row(period)

    def _add_row(self, period: TariffPeriod | None = None) -> None:
        row = PeriodRow(self._theme, period or TariffPeriod(name="", price=""))
        row.removed.connect(lambda: self._remove(row))
        self.rows.append(row)
        self.period_column.addWidget(row)

    def _remove(self, row: PeriodRow) -> None:
        self.rows.remove(row)
        self.period_column.removeWidget(row)
        row.hide()
        row.deleteLater()

    # --- saving --------------------------------------------------------------------------

    def plan(self) -> TariffPlan:
        """Return the tariff as it stands in the fields."""
        kept = self._kept
        return TariffPlan(
            name=self.name.text().strip() or "My tariff",
            currency=str(self.currency.currentData()),
            zone=self.zone.text().strip() or "UTC",
            periods=tuple(row.period for row in self.rows),
            holidays=kept.holidays if kept else (),
            demand_per_kw=kept.demand_per_kw if kept else "0",
            fixed_per_month=self.fixed.text().strip() or "0",
            tax_rate=_share(self.tax.text()),
        )

    def _save(self) -> None:
        self.problem.hide()
        self._state.run(self._store(), self._refuse)

    async def _store_rate(self) -> None:
        own = self._state.settings
        text = self.rate.text().strip().replace(",", ".")
        if own is None or self.currency.currentData() == "USD" or not text:
            return
        try:
            rate = Decimal(text)
        except InvalidOperation as error:
            raise AppError(
                "invalid_request", f"The rate {text!r} is not a number.", "Write it like 1.08."
            ) from error
        if rate != own.dollars_per_unit or not own.rate_on:
            today = datetime.date.today().isoformat()
            wanted = msgspec.structs.replace(own, dollars_per_unit=rate, rate_on=today)
            await self._state.save_settings(wanted)

    async def _store(self) -> None:
        await self._store_rate()
        if self.kind.key == "plan":
            await self._state.save_tariff(self.plan())
            self.said.emit("The tariff is saved.")
            return
        if self._kept is not None:
            await self._state.save_tariff(None)
            self._kept = None
        price = self.price.text().strip().replace(",", ".")
        self._settings.change(price_per_kwh=price, currency=str(self.currency.currentData()))
        self.said.emit("The price is saved.")

    def _on_settings_failed(self, names: tuple[str, ...], error: AppError) -> None:
        if "price_per_kwh" in names or "currency" in names:
            self._refuse(error)

    def _refuse(self, error: AppError) -> None:
        self.problem.setText(prose(error.sentence))
        self.problem.show()


def _offer_also(box: QComboBox, code: str) -> None:
    if box.findData(code) < 0:
        box.addItem(code, code)


def _percent(share: str) -> str:
    try:
        return f"{(Decimal(share) * 100).normalize():f}"
    except InvalidOperation:
        return share


def _share(percent: str) -> str:
    """Return a share of one; what is no number is left for the server to name."""
    text = percent.strip().replace(",", ".") or "0"
    try:
        return f"{Decimal(text) / 100:f}"
    except InvalidOperation:
        return text
