"""What another currency is worth in dollars, as prices are; every rate carries its day."""

from __future__ import annotations

import datetime
from decimal import Decimal, InvalidOperation

import msgspec
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.theme import SIZES
from freehold.ui.widgets.labels import text_label
from freehold.wire_costs import CostsSettings, ExchangeRate


class RateForm(QWidget):
    """One rate to enter and those that are kept; hidden where money is in dollars."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._currency = "USD"
        self.rate, self.day = QLineEdit(), QLineEdit()
        self.rate.setAccessibleName("US dollars for one unit")
        self.rate.setPlaceholderText("1.08")
        self.rate.setFixedWidth(90)
        self.day.setAccessibleName("Day of the exchange rate")
        self.day.setPlaceholderText("2026-11-24")
        self.day.setFixedWidth(120)
        self.name = text_label("")
        self.kept = text_label("", "small", wrap=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-half"])
        row = QHBoxLayout()
        row.addWidget(self.name)
        row.addWidget(self.rate)
        row.addWidget(text_label("US dollars from"))
        row.addWidget(self.day)
        row.addWidget(text_label("on"))
        row.addStretch(1)
        column.addLayout(row)
        column.addWidget(self.kept)

    def show_rates(self, currency: str, settings: CostsSettings | None) -> None:
        """Show the newest rate of a currency and how many others are kept."""
        self._currency = currency
        self.setVisible(currency != "USD")
        self.name.setText(f"One {currency} is")
        known = rates_of(settings, currency)
        if known and not self.rate.hasFocus():
            self.rate.setText(f"{known[-1].dollars.normalize():f}")
        if not self.day.hasFocus():
            self.day.setText(known[-1].on if known else datetime.date.today().isoformat())
        self.kept.setText(kept_text(known, currency))

    def wanted(self, settings: CostsSettings) -> CostsSettings | None:
        """Return the settings with the entered rate, None if nothing new was entered.

        Raises: AppError `invalid_request` for what is no number.
        """
        text = self.rate.text().strip().replace(",", ".")
        if self._currency == "USD" or not text:
            return None
        try:
            dollars = Decimal(text)
        except InvalidOperation as error:
            raise AppError(
                "invalid_request", f"The rate {text!r} is not a number.", "Write it like 1.08."
            ) from error
        day = self.day.text().strip() or datetime.date.today().isoformat()
        entered = ExchangeRate(currency=self._currency, on=day, dollars=dollars)
        if entered in settings.rates:
            return None
        others = [r for r in settings.rates if (r.currency, r.on) != (self._currency, day)]
        return msgspec.structs.replace(settings, rates=(*others, entered))


def rates_of(settings: CostsSettings | None, currency: str) -> list[ExchangeRate]:
    """Return a currency's rates, the newest last."""
    known = settings.rates if settings is not None else ()
    return sorted((rate for rate in known if rate.currency == currency), key=lambda r: r.on)


def kept_text(known: list[ExchangeRate], currency: str) -> str:
    """Return which rates are kept."""
    if not known:
        return f"Until a rate is entered, 1 {currency} is counted as 1 dollar."
    words = ", ".join(f"{rate.dollars.normalize():f} from {rate.on}" for rate in known[-4:])
    more = f"{len(known) - 4} older, " if len(known) > 4 else ""
    return f"Kept: {more}{words}. Money is counted at the rate of its day."
