"""The price of a kilowatt-hour: one price, by time of day, by the month's use, or from a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.costs.controls import Choices
from freehold.ui.costs.plan_form import PlanForm, kind_of
from freehold.ui.costs.rate_form import RateForm
from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.state.costs import CostsState
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card, section_title
from freehold.ui.widgets.labels import prose, text_label
from freehold.wire_costs import SeriesImport, TariffPlan

CURRENCIES = ("USD", "EUR", "GBP", "CHF", "JPY", "CAD", "AUD", "SEK", "NOK", "DKK", "PLN", "INR")
KINDS = (
    ("price", "One price"),
    ("plan", "By time of day"),
    ("tiers", "By the month's use"),
    ("series", "From a file"),
)
MAX_FILE_BYTES = 8_000_000


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
        self._kept: TariffPlan | None = None
        self.kind = Choices("Kind of price", KINDS)
        self.kind.chosen.connect(self._show_kind)
        self.now = text_label("", "muted", wrap=True)
        self.price = QLineEdit()
        self.price.setAccessibleName("Price per kWh")
        self.price.setPlaceholderText("0.32")
        self.price.setFixedWidth(120)
        self.currency = ChoiceBox(theme, "Currency", lambda _value: self._show_rate())
        self.currency.setFixedWidth(110)
        self.currency.offer([(code, code) for code in CURRENCIES])
        self.rates = RateForm()
        self.form = PlanForm(theme)
        self.form.file_chosen.connect(self.import_file)
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
        card.body.addWidget(self.form)
        money = QHBoxLayout()
        money.addWidget(text_label("Currency"))
        money.addWidget(self.currency)
        money.addStretch(1)
        card.body.addLayout(money)
        card.body.addWidget(self.rates)
        card.body.addWidget(self.problem)
        buttons = QHBoxLayout()
        buttons.addWidget(self.save)
        buttons.addStretch(1)
        card.body.addLayout(buttons)
        column.addWidget(card)

    # --- showing -------------------------------------------------------------------------

    def _show(self) -> None:
        state = self._state.tariff
        values = self._settings.values
        _offer_also(self.currency, values.currency)
        if not self.price.hasFocus():
            self.price.setText(values.price_per_kwh)
        self.currency.show_value(values.currency)
        for part in (self.save, self.form.add, self.form.pick):
            part.setEnabled(self._state.is_local)
        if state is None:
            self._show_kind("price")
            return
        price = state.price_now
        said = (
            "No price is set yet, so energy is counted and money is not. Take the price from your"
            " electricity bill."
            if price is None
            else f"Now {price.normalize():f} {state.currency} per kWh, tax included."
        )
        self.now.setText(f"{said} {prose(state.problem)}".strip())
        if state.plan is not None:
            _offer_also(self.currency, state.plan.currency)
            self.currency.show_value(state.plan.currency)
            if state.plan != self._kept:
                self._kept = state.plan
                self.form.show_plan(state.plan)
        self.form.show_series(state.series, state.currency)
        self._show_rate()
        kind = kind_of(state.plan) if state.plan is not None else "price"
        if state.plan is not None or self.kind.key == "price":
            self.kind.choose(kind)
        self._show_kind(self.kind.key)

    def _show_rate(self) -> None:
        """Ask for an exchange rate where electricity is not paid in dollars, as prices are."""
        self.rates.show_rates(str(self.currency.currentData()), self._state.settings)

    def _show_kind(self, kind: str) -> None:
        self.simple.setVisible(kind == "price")
        self.form.setVisible(kind != "price")
        if kind != "price":
            self.form.show_kind(kind, self._state.tariff.zone if self._state.tariff else "UTC")

    # --- saving --------------------------------------------------------------------------

    def plan(self) -> TariffPlan:
        """Return the tariff as it stands in the fields."""
        return self.form.plan(str(self.currency.currentData()))

    def _save(self) -> None:
        self.problem.hide()
        self._state.run(self._store(), self._refuse)

    async def _store(self) -> None:
        if self._state.settings is not None:
            wanted = self.rates.wanted(self._state.settings)
            if wanted is not None:
                await self._state.save_settings(wanted)
        if self.kind.key != "price":
            await self._state.save_tariff(self.plan())
            self.said.emit("The tariff is saved.")
            return
        if self._kept is not None:
            await self._state.save_tariff(None)
            self._kept = None
        price = self.price.text().strip().replace(",", ".")
        self._settings.change(price_per_kwh=price, currency=str(self.currency.currentData()))
        self.said.emit("The price is saved.")

    def import_file(self, path: str) -> None:
        """Import the prices of a CSV file on the window's machine."""
        self.problem.hide()
        self._state.run(self._import(Path(path)), self._refuse)

    async def _import(self, path: Path) -> None:
        wanted = SeriesImport(
            text=await asyncio.to_thread(read_text, path),
            zone=self.form.zone.text().strip() or "UTC",
            unit=self.form.unit.currentData(),
        )
        await self._state.import_prices(wanted)
        self.said.emit(f"{path.name} is imported. Save to use it.")

    def _on_settings_failed(self, names: tuple[str, ...], error: AppError) -> None:
        if "price_per_kwh" in names or "currency" in names:
            self._refuse(error)

    def _refuse(self, error: AppError) -> None:
        self.problem.setText(prose(error.sentence))
        self.problem.show()


def read_text(path: Path) -> str:
    """Return a file's text.

    Raises: AppError `no_permission`, or `payload_too_large` for what is no list of prices.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise AppError(
            "no_permission",
            f"{path.name} could not be read: {error.strerror}.",
            "Choose a file that you may read.",
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise AppError(
            "payload_too_large",
            f"{path.name} is larger than 8 MB.",
            "Choose a file with the prices of a year or less.",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _offer_also(box: QComboBox, code: str) -> None:
    if box.findData(code) < 0:
        box.addItem(code, code)
