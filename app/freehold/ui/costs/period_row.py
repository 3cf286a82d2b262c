"""One line of the tariff editor: a name, from when to when, on which days, at what price."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import icon_button
from freehold.ui.widgets.labels import text_label
from freehold.wire_costs import DayName, TariffPeriod, TariffTier

DAYS: dict[str, tuple[DayName, ...]] = {
    "every day": ("workday", "weekend", "holiday"),
    "workdays": ("workday",),
    "weekends and holidays": ("weekend", "holiday"),
    "weekends": ("weekend",),
    "holidays": ("holiday",),
    "all but holidays": ("workday", "weekend"),
    "workdays and holidays": ("workday", "holiday"),
}
SUMMER, WINTER = (4, 5, 6, 7, 8, 9), (10, 11, 12, 1, 2, 3)
SEASONS: dict[str, tuple[int, ...]] = {
    "all year": tuple(range(1, 13)),
    "April to September": SUMMER,
    "October to March": tuple(sorted(WINTER)),
}


class PeriodRow(QWidget):
    """Signals: removed: the person wants it gone."""

    removed = Signal()

    def __init__(self, theme: Theme, period: TariffPeriod, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = _field("Name", period.name, 0)
        self.name.setPlaceholderText("Night")
        self.start = _field("From", period.start, 74)
        self.end = _field("To", period.end, 74)
        self.price = _field("Price per kWh", period.price, 92)
        self.price.setPlaceholderText("0.32")
        self._seasons = dict(SEASONS)
        if tuple(sorted(period.months)) not in self._seasons.values():
            self._seasons[f"months {', '.join(map(str, period.months))}"] = period.months
        self.days = ChoiceBox(theme, "Days", lambda _value: None)
        self.days.setFixedWidth(200)
        self.days.offer([(name, name) for name in DAYS])
        self.days.show_value(_key(DAYS, period.days))
        self.season = ChoiceBox(theme, "Season", lambda _value: None)
        self.season.setFixedWidth(200)
        self.season.offer([(name, name) for name in self._seasons])
        self.season.show_value(_key(self._seasons, period.months))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, SIZES["space-half"])
        column.setSpacing(SIZES["space-half"])
        upper, lower = QHBoxLayout(), QHBoxLayout()
        for line in (upper, lower):
            line.setSpacing(SIZES["space"])
            column.addLayout(line)
        upper.addWidget(self.name, 1)
        upper.addWidget(self.start)
        upper.addWidget(text_label("to", "small"))
        upper.addWidget(self.end)
        upper.addWidget(text_label("costs", "small"))
        upper.addWidget(self.price)
        upper.addWidget(icon_button(theme, "trash", "Remove this time", self.removed.emit))
        lower.addWidget(self.days)
        lower.addWidget(self.season)
        lower.addStretch(1)

    @property
    def period(self) -> TariffPeriod:
        """Return what stands in the fields."""
        start, end = self.start.text().strip(), self.end.text().strip()
        return TariffPeriod(
            name=self.name.text().strip() or f"{start} to {end}",
            price=self.price.text().strip().replace(",", "."),
            start=start,
            end=end,
            days=DAYS[str(self.days.currentData())],
            months=self._seasons[str(self.season.currentData())],
        )


class TierRow(QWidget):
    """Signals: removed: the person wants it gone."""

    removed = Signal()

    def __init__(self, theme: Theme, tier: TariffTier, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.from_kwh = _field("From kWh a month", tier.from_kwh, 92)
        self.from_kwh.setPlaceholderText("100")
        self.price = _field("Price per kWh", tier.price, 92)
        self.price.setPlaceholderText("0.32")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SIZES["space"])
        row.addWidget(text_label("From", "small"))
        row.addWidget(self.from_kwh)
        row.addWidget(text_label("kWh a month on, a kWh costs", "small"))
        row.addWidget(self.price)
        row.addWidget(icon_button(theme, "trash", "Remove this tier", self.removed.emit))
        row.addStretch(1)

    @property
    def tier(self) -> TariffTier:
        """Return what stands in the fields."""
        return TariffTier(
            from_kwh=self.from_kwh.text().strip().replace(",", "."),
            price=self.price.text().strip().replace(",", "."),
        )


def _field(name: str, text: str, width: int) -> QLineEdit:
    field = QLineEdit(text)
    field.setAccessibleName(name)
    if width:
        field.setFixedWidth(width)
    return field


def _key(choices: Mapping[str, Collection[object]], value: Collection[object]) -> str:
    return next(name for name, found in choices.items() if set(found) == set(value))
