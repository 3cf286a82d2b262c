"""The meters that are read, a plug to add, and counters this user may not read."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.costs.amounts import level_text
from freehold.ui.settings.fields import ChoiceBox, CopyField
from freehold.ui.state.costs import CostsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card, KeyValue, rule, section_title
from freehold.ui.widgets.labels import prose, text_label
from freehold.wire_power import (
    Plug,
)

KINDS = (
    ("shelly-2", "Shelly Plus and Pro (Gen2)"),
    ("shelly-1", "Shelly Plug (Gen1)"),
    ("tasmota", "Tasmota"),
)


class MetersView(QWidget):
    """Signals: said(text): something was done, confirm it."""

    said = Signal(str)

    def __init__(self, state: CostsState, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state, self._theme = state, theme
        self.meters = KeyValue()
        self.none = text_label(
            "No meter is read. Figures in energy and money stay empty.", "muted", wrap=True
        )
        self.kind = ChoiceBox(theme, "Kind of plug", lambda _value: None)
        self.kind.setMinimumWidth(140)
        self.kind.offer(KINDS)
        self.host = QLineEdit()
        self.host.setAccessibleName("Address of the plug")
        self.host.setPlaceholderText("192.168.1.40")
        self.use = push_button(theme, "Try and use", self._use, kind="primary")
        self.forget = push_button(theme, "Stop using it", self._forget)
        self.problem = text_label("", "danger", wrap=True)
        self.problem.hide()
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
        part.addWidget(text_label("A smart plug measures everything, at the wall", "strong"))
        part.addWidget(
            text_label(
                "Shelly and Tasmota plugs on your own network, asked once a second. The plug is"
                " tried before it is kept.",
                "small",
                wrap=True,
            )
        )
        row = QHBoxLayout()
        row.addWidget(self.kind)
        row.addWidget(self.host, 1)
        row.addWidget(self.use)
        row.addWidget(self.forget)
        part.addLayout(row)
        part.addWidget(self.problem)
        card.body.addWidget(self.plug_part)
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
        self.forget.setVisible(found.plug is not None)
        if found.plug is not None and not self.host.hasFocus():
            self.kind.show_value(found.plug.kind)
            self.host.setText(found.plug.host)
        self.denied_part.setVisible(bool(found.unreadable))
        self.rule_text.show_value(found.udev_rule)

    def _use(self) -> None:
        plug = Plug(kind=self.kind.currentData(), host=self.host.text().strip())
        self.problem.hide()
        self.use.setEnabled(False)
        self._state.run(self._set(plug), self._refuse)

    def _forget(self) -> None:
        self.host.clear()
        self._state.run(self._set(None), self._refuse)

    async def _set(self, plug: Plug | None) -> None:
        await self._state.set_plug(plug)
        self.use.setEnabled(True)
        self.said.emit("The plug is read now." if plug else "The plug is no longer read.")

    def _refuse(self, error: AppError) -> None:
        self.use.setEnabled(True)
        self.problem.setText(prose(error.sentence))
        self.problem.show()

    def _copy(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self.said.emit("Copied.")
