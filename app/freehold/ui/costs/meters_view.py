"""The meters that are read, one to add at the wall, and counters this user may not read."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.costs.amounts import level_text
from freehold.ui.costs.calibration_view import CalibrationView
from freehold.ui.costs.wall_form import WallForm
from freehold.ui.settings.fields import CopyField
from freehold.ui.state.costs import CostsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.cards import Card, KeyValue, rule, section_title
from freehold.ui.widgets.labels import text_label
from freehold.wire_power import PlugTrial


class MetersView(QWidget):
    """Signals: said(text): something was done, confirm it."""

    said = Signal(str)

    def __init__(self, state: CostsState, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state, self._theme = state, theme
        self.meters = KeyValue()
        self.none = text_label(
            "No meter is read, so energy and money stay empty. Add a smart plug below, or see"
            " whether the graphics driver is installed (freehold doctor says).",
            "muted",
            wrap=True,
        )
        self.form = WallForm(theme)
        self.form.wanted.connect(self._use)
        self.form.dropped.connect(lambda: self._state.run(self._set(None), self._refuse))
        self.calibration = CalibrationView(state, theme)
        self.rule_text = CopyField(theme, "the udev rule", self._copy)
        self._lay_out()
        state.meters_changed.connect(self._show)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-2"])
        column.addWidget(section_title("Meters"))
        card = Card()
        self._place = QVBoxLayout()
        self._place.addWidget(self.meters)
        card.body.addLayout(self._place)
        card.body.addWidget(self.none)
        self.plug_part = QWidget()
        part = QVBoxLayout(self.plug_part)
        part.setContentsMargins(0, 0, 0, 0)
        part.setSpacing(SIZES["space"])
        part.addWidget(rule())
        part.addWidget(self.form)
        card.body.addWidget(self.plug_part)
        card.body.addWidget(self.calibration)
        self.denied_part = QWidget()
        denied = QVBoxLayout(self.denied_part)
        denied.setContentsMargins(0, 0, 0, 0)
        denied.addWidget(rule())
        denied.addWidget(text_label("The processor has counters you may not read", "strong"))
        denied.addWidget(
            text_label(
                "Freehold never asks for root. An administrator can put this line into"
                " /etc/udev/rules.d/60-powercap.rules and restart the machine:",
                "small",
                wrap=True,
            )
        )
        denied.addWidget(self.rule_text)
        card.body.addWidget(self.denied_part)
        self.denied_part.hide()
        column.addWidget(card)

    def _show(self) -> None:
        found = self._state.meters
        if found is None:
            return
        # The list may have grown shorter, and names are rows: begin anew.
        fresh = KeyValue()
        for meter in found.counted:
            fresh.set(meter.source, level_text(meter.level, meter.error_share))
        self._place.replaceWidget(self.meters, fresh)
        self.meters.hide()
        self.meters.deleteLater()
        self.meters = fresh
        self.meters.setVisible(bool(found.counted))
        self.none.setVisible(not found.counted)
        self.plug_part.setVisible(self._state.is_local)
        self.form.show_plug(found.plug)
        self.denied_part.setVisible(bool(found.unreadable))
        self.rule_text.show_value(found.udev_rule)

    def _use(self, wanted: PlugTrial) -> None:
        self._state.run(self._set(wanted), self._refuse)

    async def _set(self, wanted: PlugTrial | None) -> None:
        await self._state.set_plug(wanted)
        self.form.accept()
        self.said.emit("The meter is read now." if wanted else "The meter is no longer read.")

    def _refuse(self, error: AppError) -> None:
        self.form.refuse(error)

    def _copy(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self.said.emit("Copied.")
