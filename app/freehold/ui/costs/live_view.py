"""Live: what the machine draws, what it makes of it, and what could be saved."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.costs.amounts import level_text, money, watts
from freehold.ui.costs.capacity_view import CapacityView
from freehold.ui.costs.controls import Choices
from freehold.ui.costs.limits_view import LimitsView
from freehold.ui.state.costs import CostsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card
from freehold.ui.widgets.labels import set_role, text_label
from freehold.wire_power import (
    LivePower,
)

NO_ADVICE = (
    "Nothing yet: let the machine rest a while with a model loaded, and enter the price of a"
    " kilowatt-hour under Tariff and meters."
)
SPANS = (("minute", "Minute"), ("hour", "Hour"), ("day", "Day"), ("month", "Month"))


class LiveView(QWidget):
    """Signals: said(text): something was done, confirm it."""

    said = Signal(str)

    def __init__(self, state: CostsState, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state, self._theme = state, theme
        self.power: QWidget | None = None
        self.tokens: QWidget | None = None
        self.figures: dict[str, QLabel] = {}
        self.level = text_label("", "chip")
        self.gap = text_label("", "warning", wrap=True)
        self.gap.hide()
        self.span = Choices("Time span", SPANS)
        self.span.chosen.connect(state.show_span)
        self.pointed = text_label(" ", "small")
        self.png = push_button(theme, "Save as PNG…", self._choose_png, icon="download")
        self.png.setEnabled(False)
        self.advice = text_label("", "body", wrap=True)
        self._lay_out()
        state.live_changed.connect(self._show_live)
        state.curve_changed.connect(self._show_curve)
        state.advice_changed.connect(self._show_advice)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-2"])
        now = Card()
        grid = QGridLayout()
        grid.setHorizontalSpacing(SIZES["space-4"])
        for at, name in enumerate(("Power now", "Tokens", "Energy per token", "Money now")):
            value = text_label("–", "title")
            value.setAccessibleName(name)
            self.figures[name] = value
            grid.addWidget(text_label(name, "small"), 0, at)
            grid.addWidget(value, 1, at)
            grid.setColumnStretch(at, 1)
        now.body.addLayout(grid)
        levels = QHBoxLayout()
        levels.addWidget(self.level)
        levels.addStretch(1)
        now.body.addLayout(levels)
        now.body.addWidget(self.gap)
        column.addWidget(now)
        graph = Card()
        head = QHBoxLayout()
        head.addWidget(self.span, 1)
        head.addWidget(self.png)
        graph.body.addLayout(head)
        self.plots = QVBoxLayout()
        self.plots.setSpacing(0)
        graph.body.addLayout(self.plots)
        graph.body.addWidget(self.pointed)
        self._graph = graph
        column.addWidget(graph)
        tips = Card()
        tips.body.addWidget(text_label("What could be saved", "strong"))
        tips.body.addWidget(self.advice)
        column.addWidget(tips)
        self.capacity = CapacityView(self._state)
        column.addWidget(self.capacity)
        self.limits = LimitsView(self._state, self._theme)
        self.limits.said.connect(self.said)
        column.addWidget(self.limits)

    def add_charts(self, power: QWidget, tokens: QWidget) -> None:
        """Put in the pictures, once they are ready."""
        self.power, self.tokens = power, tokens
        self.plots.addWidget(power)
        self.plots.addWidget(tokens)
        power.pointed.connect(lambda text: self.pointed.setText(text or " "))  # type: ignore[attr-defined]
        self.png.setEnabled(True)
        self._show_curve()

    def _show_live(self) -> None:
        live = self._state.live
        if live is None:
            return
        for name, text in live_texts(live).items():
            self.figures[name].setText(text)
        measured = bool(live.parts)
        self.level.setText(
            level_text(live.level, live.error_share) if measured else "no reading yet"
        )
        weak = live.level == "estimate"
        set_role(self.level, "role", "chip-warning" if weak else "chip-accent")
        gaps = [f"{part.source}: {part.reason}" for part in live.parts if part.watts is None]
        self.gap.setText(f"Not counted now: {', '.join(gaps)}.")
        self.gap.setVisible(bool(gaps))

    def _show_curve(self) -> None:
        curve = self._state.curve
        if curve is not None and self.power is not None and self.tokens is not None:
            self.power.show_curve(curve)  # type: ignore[attr-defined]
            self.tokens.show_curve(curve)  # type: ignore[attr-defined]
            if not curve.points:
                self.pointed.setText(
                    "Nothing has been read yet; a point is added every second. Without a meter none"
                    " comes: see Tariff and meters."
                )
            elif self.pointed.text().startswith("Nothing"):
                self.pointed.setText(" ")

    def _show_advice(self) -> None:
        advice = self._state.advice
        if advice is not None:
            self.advice.setText("\n".join(advice.sentences) or NO_ADVICE)

    def _choose_png(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the picture", "freehold-power.png")
        if path:
            self.save_png(path)

    def save_png(self, path: str) -> None:
        """Write the graph as it is shown to a file."""
        if self._graph.grab().save(path):
            self.said.emit("The picture is saved.")
        else:
            self._state.failed.emit(
                AppError(
                    "no_permission",
                    f"The picture could not be written to {path}.",
                    "Choose another folder and a name ending in .png.",
                )
            )


def live_texts(live: LivePower) -> dict[str, str]:
    """Return the live figures in words."""
    per_token = live.joules_per_token
    hourly = live.money_per_hour
    return {
        "Power now": watts(live.watts),
        "Tokens": f"{live.tokens_per_s:.1f}/s",
        "Energy per token": "–" if per_token is None else f"{per_token:.1f} J",
        "Money now": "–" if hourly is None else f"{money_per_hour(live)}/h",
    }


def money_per_hour(live: LivePower) -> str:
    """Return the money an hour costs now, to a tenth of a cent where it is little."""
    assert live.money_per_hour is not None
    text = money(live.money_per_hour, live.currency)
    if 0 < live.money_per_hour < 1 and live.currency in ("USD", "EUR"):
        return f"{live.money_per_hour * 100:.1f} ¢"
    return text
