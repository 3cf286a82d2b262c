"""CO2: which country's electricity it is, and where its figure comes from."""

from __future__ import annotations

import msgspec
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.state.costs import CostsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.cards import Card, section_title
from freehold.ui.widgets.labels import set_role, text_label
from freehold.wire_costs import Priced


class CarbonView(QWidget):
    """The country whose kilograms per kWh are used, with source and date."""

    def __init__(self, state: CostsState, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.country = ChoiceBox(theme, "Country", self._choose)
        self.source = text_label("", "small", wrap=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-2"])
        column.addWidget(section_title("CO2"))
        card = Card()
        row = QHBoxLayout()
        row.addWidget(text_label("Electricity comes from"))
        row.addWidget(self.country)
        row.addStretch(1)
        card.body.addLayout(row)
        card.body.addWidget(self.source)
        column.addWidget(card)
        state.prices_changed.connect(self._show)
        state.settings_changed.connect(self._show)

    def _show(self) -> None:
        prices, own = self._state.prices, self._state.settings
        if prices is None or own is None:
            return
        self.country.offer([("", "not counted"), *((p.name, p.name) for p in prices.carbon)])
        self.country.show_value(own.country)
        self.country.setEnabled(self._state.is_local)
        found = next((p for p in prices.carbon if p.name == own.country), None)
        self.source.setText(carbon_text(found))
        set_role(self.source, "role", "small")

    def _choose(self, country: str) -> None:
        if self._state.settings is not None:
            wanted = msgspec.structs.replace(self._state.settings, country=country)
            self._state.run(self._state.save_settings(wanted))


def carbon_text(found: Priced | None) -> str:
    """Return a country's figure with source and date."""
    if found is None:
        return (
            "Choose a country to see how much CO2 the month's electricity stands for. Others can be"
            " added to your own price list (Own or rent, Edit prices)."
        )
    return (
        f"{found.figures['kg_per_kwh'].normalize():f} kg per kWh, the yearly mean of the grid"
        f" ({found.source}; checked {found.checked_on})."
    )
