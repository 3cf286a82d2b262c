"""The Costs page: what has been paid back, whether owning pays, the month, now, and the tariff."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices, QHideEvent, QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from freehold.ui.costs.carbon_view import CarbonView
from freehold.ui.costs.controls import Choices
from freehold.ui.costs.live_view import LiveView
from freehold.ui.costs.meters_view import MetersView
from freehold.ui.costs.month_view import MonthView
from freehold.ui.costs.own_or_rent import OwnOrRentView
from freehold.ui.costs.payback_card import PaybackCard
from freehold.ui.costs.tariff_view import TariffView
from freehold.ui.state.costs import CostsState
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.tasks import spawn
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.scroll_page import ScrollPage

PARTS = (
    ("own", "Own or rent"),
    ("month", "This month"),
    ("live", "Live"),
    ("tariff", "Tariff and meters"),
)
CHARTS = "freehold.ui.costs.charts"


class CostsPage(ScrollPage):
    """Signals: said(text): something was done, confirm it."""

    said = Signal(str)

    def __init__(
        self,
        session: Session,
        settings: SettingsState,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(
            "Costs",
            "What your models draw and cost, and whether owning them pays. Every figure says"
            " whether it is measured, calculated or estimated.",
            parent,
        )
        self._session, self._theme = session, theme
        self.state = CostsState(session, self)
        self.payback = PaybackCard(self.state, theme)
        self.parts = Choices("Parts of the page", PARTS)
        self.parts.chosen.connect(self.show_part)
        self.own = OwnOrRentView(self.state, theme)
        self.month = MonthView(self.state, theme)
        self.live = LiveView(self.state, theme)
        self.tariff = TariffView(self.state, settings, theme)
        self.meters = MetersView(self.state, theme)
        self.carbon = CarbonView(self.state, theme)
        self._views = {
            "own": self.own,
            "month": self.month,
            "live": self.live,
            "tariff": self._joined(self.tariff, self.meters, self.carbon),
        }
        self.column.addWidget(self.payback)
        self.column.addWidget(self.parts)
        for view in self._views.values():
            self.column.addWidget(view)
        self.column.addStretch(1)
        self.show_part("own")
        for view in (self.month, self.live, self.tariff, self.meters):
            view.said.connect(self.said)
        self.state.failed.connect(session.show_error)
        self.state.prices_copied.connect(self._open_prices)
        session.connected.connect(self._refresh)
        spawn(self, self._add_charts(), name="load charts")

    def _joined(self, *views: QWidget) -> QWidget:
        joined = QWidget()
        column = QVBoxLayout(joined)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-2"])
        for view in views:
            column.addWidget(view)
        return joined

    def show_part(self, key: str) -> None:
        """Show one part below the payback."""
        self.parts.choose(key)
        for name, view in self._views.items():
            view.setVisible(name == key)
        self._watch()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._refresh()
        self._watch()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.state.watch(False)

    def _refresh(self) -> None:
        if self.isVisible() and self._session.is_connected:
            self.state.refresh()
            self._watch()

    def _watch(self) -> None:
        """Read power only while somebody can see it."""
        visible = self.isVisible() and self.parts.key == "live"
        self.state.watch(visible and self._session.is_connected)

    async def _add_charts(self) -> None:
        # The plotting library takes half a second to load, too long for the window's thread.
        charts = await asyncio.to_thread(importlib.import_module, CHARTS)
        self.own.add_charts(charts.CostLines(self._theme), charts.Tornado(self._theme))
        self.live.add_charts(charts.PowerChart(self._theme), charts.TokensChart(self._theme))
        self.live.limits.add_chart(charts.LimitChart(self._theme))

    def _open_prices(self, path: str) -> None:
        self.said.emit(f"Your own price list: {Path(path).name}. It is read again here.")
        QDesktopServices.openUrl(QUrl.fromLocalFile(path))
