"""How the model answers in this chat: its instructions and how it chooses words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.state.delay import Delay
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import icon_button, push_button
from freehold.ui.widgets.labels import text_label
from freehold.wire import Chat

SAVE_MS: Final = 600


@dataclass(frozen=True, slots=True)
class Knob:
    """A figure of the sampler: its key, name, limits, default, and what it does.

    `unset` is the text for the lowest value, which means: left to the model or the engine.
    """

    key: str
    name: str
    hint: str
    low: float
    high: float
    step: float
    default: float
    decimals: int = 2
    unset: str = ""


KNOBS: Final = (
    Knob("temperature", "Temperature", "Lower is steadier, higher is freer.", -0.05, 2, 0.05, -0.05,
         unset="model's own"),
    Knob("top_p", "Top-p", "Keep the likeliest words up to this share.", 0.01, 1, 0.01, 0.95),
    Knob("min_p", "Min-p", "Drop words less likely than this part of the best.", 0, 1, 0.01, 0.05),
    Knob("top_k", "Top-k", "Keep this many words; 0 keeps all.", 0, 1000, 1, 40, 0),
    Knob("seed", "Seed", "The same seed gives the same answer.", -1, 2**31 - 1, 1, -1, 0, "random"),
    Knob("max_tokens", "Most tokens", "Where an answer ends at the latest.", 0, 1_000_000, 64, 0, 0,
         "no limit"),
)  # fmt: skip


def changed_only(values: dict[str, float]) -> dict[str, Any]:
    """Return the figures that differ from their default: only those are stored."""
    found: dict[str, Any] = {}
    for knob in KNOBS:
        value = values.get(knob.key, knob.default)
        if abs(value - knob.default) > 1e-9:
            found[knob.key] = round(value, 4) if knob.decimals else int(value)
    return found


class _Figure(QDoubleSpinBox):
    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()  # scrolling the panel must not change figures


class SettingsPanel(QFrame):
    """Slides out at the right.

    Signals: prompt_changed(text), sampling_changed(dict): after a pause in typing; closed.
    """

    prompt_changed = Signal(str)
    sampling_changed = Signal(object)
    closed = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("settingsPanel")
        self.setFixedWidth(320)
        self._filling = False
        self._sampling: dict[str, Any] = {}
        self._dirty: set[str] = set()
        self._timer = Delay(SAVE_MS, self.save_now, self)
        head = QHBoxLayout()
        head.addWidget(text_label("Chat settings", "section"), 1)
        head.addWidget(icon_button(theme, "close", "Close", self.closed.emit))
        inside = QWidget()
        inside.setProperty("page", True)
        column = QVBoxLayout(inside)
        column.setContentsMargins(16, 4, 16, 16)
        column.setSpacing(6)
        column.addWidget(text_label("System prompt", "strong"))
        column.addWidget(
            text_label("Instructions the model reads before the chat.", "small", wrap=True)
        )
        self.prompt = QPlainTextEdit()
        self.prompt.setAccessibleName("System prompt")
        self.prompt.setPlaceholderText("You are a helpful assistant…")
        self.prompt.setFixedHeight(130)
        self.prompt.setTabChangesFocus(True)
        self.prompt.textChanged.connect(lambda: self._touch("prompt"))
        column.addWidget(self.prompt)
        column.addSpacing(12)
        column.addWidget(text_label("Sampling", "strong"))
        self.knobs: dict[str, QDoubleSpinBox] = {}
        for knob in KNOBS:
            column.addSpacing(4)
            column.addLayout(self._row(knob))
            column.addWidget(text_label(knob.hint, "small", wrap=True))
        column.addSpacing(10)
        self.reset_button = push_button(theme, "Reset to defaults", self.reset)
        column.addWidget(self.reset_button)
        column.addStretch()
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 8, 0, 0)
        head.setContentsMargins(16, 0, 8, 0)
        outer.addLayout(head)
        outer.addWidget(area)

    def show_chat(self, chat: Chat) -> None:
        """Show a chat's settings; what is being typed stays."""
        self._filling = True
        if "prompt" not in self._dirty and self.prompt.toPlainText() != chat.system_prompt:
            self.prompt.setPlainText(chat.system_prompt)
        if "sampling" not in self._dirty:
            self._sampling = dict(chat.sampling)
            for knob in KNOBS:
                value = chat.sampling.get(knob.key)
                number = value if isinstance(value, int | float) else knob.default
                self.knobs[knob.key].setValue(number)
        self._filling = False

    def reset(self) -> None:
        """Go back to the defaults."""
        for knob in KNOBS:
            self.knobs[knob.key].setValue(knob.default)

    def save_now(self) -> None:
        """Tell what changed without waiting for the pause."""
        self._timer.stop()
        dirty, self._dirty = self._dirty, set()
        if "prompt" in dirty:
            self.prompt_changed.emit(self.prompt.toPlainText())
        if "sampling" in dirty:
            ours = {knob.key for knob in KNOBS}
            others = {key: value for key, value in self._sampling.items() if key not in ours}
            values = {key: box.value() for key, box in self.knobs.items()}
            self.sampling_changed.emit(others | changed_only(values))

    def _row(self, knob: Knob) -> QHBoxLayout:
        box = _Figure()
        box.setDecimals(knob.decimals)
        box.setRange(knob.low, knob.high)
        box.setSingleStep(knob.step)
        box.setValue(knob.default)
        if knob.unset:
            box.setSpecialValueText(knob.unset)
        box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        box.setFixedWidth(110)
        box.lineEdit().setTextMargins(6, 0, 4, 0)
        box.setAccessibleName(knob.name)
        box.setToolTip(f"{knob.hint} Default: {knob.unset or f'{knob.default:g}'}")
        box.valueChanged.connect(lambda _value: self._touch("sampling"))
        self.knobs[knob.key] = box
        row = QHBoxLayout()
        label = text_label(knob.name)
        label.setBuddy(box)
        row.addWidget(label, 1)
        row.addWidget(box)
        return row

    def _touch(self, what: str) -> None:
        if not self._filling:
            self._dirty.add(what)
            self._timer.start()
