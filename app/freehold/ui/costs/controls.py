"""Controls of the Costs page: a slider with its field, a row of choices, a card with a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Literal

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QWheelEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.icons import pixmap
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.labels import set_role, text_label

FIELD_WIDTH = 116
Tone = Literal["good", "plain", "bad"]


class _Slider(QSlider):
    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class _Field(QDoubleSpinBox):
    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class AmountRow(QWidget):
    """A name, a slider and a field for the same amount; the field may go beyond the slider.

    Signals: changed: the amount is another now.
    """

    changed = Signal()

    def __init__(
        self,
        name: str,
        least: float,
        most: float,
        step: float,
        *,
        highest: float | None = None,
        prefix: str = "",
        suffix: str = "",
        decimals: int = 0,
    ) -> None:
        super().__init__()
        self._least, self._step = least, step
        self.field = _Field()
        self.field.setDecimals(decimals)
        self.field.setRange(least, highest if highest is not None else most)
        self.field.setSingleStep(step)
        self.field.setPrefix(prefix)
        self.field.setSuffix(suffix)
        self.field.setGroupSeparatorShown(True)
        self.field.setFixedWidth(FIELD_WIDTH)
        self.field.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.field.lineEdit().setTextMargins(0, 0, 8, 0)
        self.field.setAccessibleName(name)
        self.field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.slider = _Slider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, round((most - least) / step))
        self.slider.setAccessibleName(f"{name}, slider")
        self.slider.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.slider.valueChanged.connect(self._from_slider)
        self.field.valueChanged.connect(self._from_field)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        label = text_label(name, "small")
        label.setBuddy(self.field)
        column.addWidget(label)
        row = QHBoxLayout()
        row.setSpacing(SIZES["space"] + 4)
        row.addWidget(self.slider, 1)
        row.addWidget(self.field)
        column.addLayout(row)

    @property
    def amount(self) -> Decimal:
        """Return the amount."""
        return Decimal(f"{self.field.value():.{self.field.decimals()}f}")

    def set_amount(self, amount: Decimal | float) -> None:
        """Show an amount without telling that it changed."""
        with QSignalBlocker(self.field), QSignalBlocker(self.slider):
            self.field.setValue(float(amount))
            self.slider.setValue(round((float(amount) - self._least) / self._step))

    def _from_slider(self, place: int) -> None:
        with QSignalBlocker(self.field):
            self.field.setValue(self._least + place * self._step)
        self.changed.emit()

    def _from_field(self, amount: float) -> None:
        with QSignalBlocker(self.slider):
            self.slider.setValue(round((amount - self._least) / self._step))
        self.changed.emit()


class Choices(QWidget):
    """A row of buttons of which one is down.

    Signals: chosen(key): the person pressed another one.
    """

    chosen = Signal(str)

    def __init__(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.setAccessibleName(name)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        for key, text in choices:
            button = QToolButton()
            button.setText(text)
            button.setCheckable(True)
            button.setProperty("choice", True)
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setAccessibleName(text)
            # Wide enough for the bold text it has when it is down.
            bold = QFont(button.font())
            bold.setWeight(QFont.Weight.DemiBold)
            button.setMinimumWidth(QFontMetrics(bold).horizontalAdvance(text) + 36)
            button.clicked.connect(self._teller(key))
            self._group.addButton(button)
            self.buttons[key] = button
            row.addWidget(button)
        row.addStretch(1)
        self.buttons[choices[0][0]].setChecked(True)

    def _teller(self, key: str) -> Callable[[], None]:
        return lambda: self.chosen.emit(key)

    def choose(self, key: str) -> None:
        """Press a button without telling."""
        self.buttons[key].setChecked(True)

    @property
    def key(self) -> str:
        """Return which button is down."""
        return next(key for key, button in self.buttons.items() if button.isChecked())


class VerdictCard(QFrame):
    """The answer in one large sentence; "no" is as well made as "yes"."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icon, self._tint = "info", "info"
        self.setProperty("verdict", "plain")
        row = QHBoxLayout(self)
        row.setContentsMargins(
            SIZES["space-3"], SIZES["space-2"], SIZES["space-3"], SIZES["space-2"]
        )
        row.setSpacing(SIZES["space-2"])
        self._mark = QLabel()
        row.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(SIZES["space-half"])
        self.sentence = text_label("", "section", wrap=True)
        self.also = text_label("", "muted", wrap=True)
        words.addWidget(self.sentence)
        words.addWidget(self.also)
        row.addLayout(words, 1)
        theme.changed.connect(self._repaint)
        self._repaint()

    def say(self, tone: Tone, sentence: str, also: str = "") -> None:
        """Show a verdict; `also` is the second sentence."""
        self._icon = {"good": "check", "plain": "info", "bad": "info"}[tone]
        self._tint = {"good": "success", "plain": "info", "bad": "warning"}[tone]
        set_role(self, "verdict", tone)
        self.sentence.setText(sentence)
        self.also.setText(also)
        self.also.setVisible(bool(also))
        self._repaint()

    def _repaint(self) -> None:
        mark = pixmap(self._icon, self._theme.hex(self._tint), 24, self.devicePixelRatioF())
        self._mark.setPixmap(mark)


class ShareBar(QFrame):
    """How much of something has been reached; beyond all of it the bar is full."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("share", True)
        self.setAccessibleName(name)
        self.setFixedHeight(12)
        self._fill = QFrame(self)
        self._fill.setProperty("fill", True)
        self._share = 0.0

    def show_share(self, share: float) -> None:
        """Show a share; below nothing the bar is empty."""
        self._share = min(max(share, 0.0), 1.0)
        self.setAccessibleDescription(f"{share * 100:.1f} %")
        self._place()

    def resizeEvent(self, event: object) -> None:
        self._place()

    def _place(self) -> None:
        width = round(self.width() * self._share)
        self._fill.setGeometry(0, 0, max(width, 12) if self._share > 0 else 0, self.height())
