"""The power-limit sweep: what each limit costs in energy per token, and which is best."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from freehold.ui.costs.amounts import level_text
from freehold.ui.costs.controls import ShareBar
from freehold.ui.settings.fields import CopyField
from freehold.ui.state.costs import CostsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card
from freehold.ui.widgets.labels import prose, text_label
from freehold.wire_power import LimitState

HEADS = ("Limit", "Tokens a second", "Power", "Energy per token")
MEASURE_S = 60.0


class LimitsView(QWidget):
    """Signals: said(text): something was done, confirm it."""

    said = Signal(str)

    def __init__(self, state: CostsState, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state, self._theme = state, theme
        self.picture: QWidget | None = None
        self.sentence = text_label("", "body", wrap=True)
        self.command = CopyField(theme, "the command for the next limit", self._copy)
        self.measure = push_button(theme, "Measure now, 1 minute", state.measure_limit)
        self.cancel = push_button(theme, "Cancel", state.cancel_limit)
        self.forget = push_button(theme, "Forget the points", state.forget_limits, kind="quiet")
        self.bar = ShareBar("Measuring at this limit")
        self.problem = text_label("", "warning", wrap=True)
        self.level = text_label("", "chip")
        self.table = QWidget()
        self._grid = QGridLayout(self.table)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(SIZES["space-4"])
        self._lay_out()
        state.limits_changed.connect(self._show)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.card = Card()
        head = QHBoxLayout()
        head.addWidget(text_label("The best power limit", "strong"))
        head.addStretch(1)
        head.addWidget(self.level)
        self.card.body.addLayout(head)
        self.explain = text_label(
            "A GPU that may draw less is often hardly slower. Set a limit yourself, then measure a"
            " minute of answers; Freehold never sets one. The next limit worth a point:",
            "small",
            wrap=True,
        )
        self.card.body.addWidget(self.explain)
        self.card.body.addWidget(self.command)
        self.card.body.addWidget(self.sentence)
        self.card.body.addWidget(self.table)
        self.place = QVBoxLayout()
        self.card.body.addLayout(self.place)
        self.card.body.addWidget(self.bar)
        self.card.body.addWidget(self.problem)
        buttons = QHBoxLayout()
        for button in (self.measure, self.cancel, self.forget):
            buttons.addWidget(button)
        buttons.addStretch(1)
        self.card.body.addLayout(buttons)
        column.addWidget(self.card)

    def add_chart(self, picture: QWidget) -> None:
        """Put in the picture, once it is ready."""
        self.picture = picture
        self.place.addWidget(picture)
        self._show()

    def _show(self) -> None:
        found = self._state.limits
        if found is None:
            return
        has_gpu = found.limit_watts is not None
        for part in (self.explain, self.command, self.measure):
            part.setVisible(has_gpu)
        self.measure.setVisible(has_gpu and not found.measuring and self._state.is_local)
        self.cancel.setVisible(found.measuring)
        self.forget.setVisible(bool(found.points) and self._state.is_local)
        self.bar.setVisible(found.measuring)
        self.bar.show_share(1 - found.seconds_left / MEASURE_S)
        self.command.setVisible(bool(found.commands))
        self.command.show_value(found.commands[0] if found.commands else "")
        now = f"Now set to {found.limit_watts} W. " if has_gpu else ""
        self.sentence.setText(now + found.sentence)
        self.sentence.setVisible(bool(self.sentence.text()))
        self.problem.setText(prose(found.problem))
        self.problem.setVisible(bool(found.problem))
        self.level.setText(level_text(found.points[0].level) if found.points else "")
        self.level.setVisible(bool(found.points))
        self._fill(found)
        if self.picture is not None:
            self.picture.setVisible(len(found.points) > 1)
            self.picture.show_points(found)  # type: ignore[attr-defined]

    def _fill(self, found: LimitState) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.table.setVisible(bool(found.points))
        for at, head in enumerate(HEADS if found.points else ()):
            self._grid.addWidget(text_label(head, "small"), 0, at)
        for row, point in enumerate(found.points, 1):
            best = found.best is not None and point == found.best
            texts = (
                f"{point.limit_watts} W" + (", best" if best else ""),
                f"{point.tokens_per_s:.1f}",
                f"{point.watts:.0f} W",
                f"{point.joules_per_token:.2f} J",
            )
            for column, text in enumerate(texts):
                label = text_label(text, "strong" if best else "body")
                self._grid.addWidget(label, row, column, Qt.AlignmentFlag.AlignLeft)
        self._grid.setColumnStretch(len(HEADS), 1)

    def _copy(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self.said.emit("Copied. Run it in a terminal, then measure.")
