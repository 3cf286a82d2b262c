"""Controls of the Settings page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QSpinBox, QWidget

from freehold.ui.icons import pixmap, set_icon
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import icon_button

FIELD_WIDTH: Final = 240


class ChoiceBox(QComboBox):
    """A list of choices; the wheel scrolls the page, not the value."""

    def __init__(self, theme: Theme, name: str, chosen: Callable[[str], object]) -> None:
        super().__init__()
        self._theme = theme
        theme.changed.connect(self.update)
        self.setAccessibleName(name)
        self.setFixedWidth(FIELD_WIDTH)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.activated.connect(lambda _index: chosen(str(self.currentData())))

    def offer(self, choices: Sequence[tuple[str, str]]) -> None:
        """Replace the choices, (value, text) each, keeping what is chosen."""
        if [(self.itemData(i), self.itemText(i)) for i in range(self.count())] == list(choices):
            return
        chosen = self.currentData()
        with QSignalBlocker(self):
            self.clear()
            for value, text in choices:
                self.addItem(text, value)
        self.show_value(str(chosen))

    def show_value(self, value: str) -> None:
        """Show the choice of a value."""
        self.setCurrentIndex(max(0, self.findData(value)))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        color = self._theme.hex("text-muted" if self.isEnabled() else "text-disabled")
        mark = pixmap("chevron-down", color, 16, self.devicePixelRatioF())
        painter = QPainter(self)
        painter.drawPixmap(self.width() - 26, (self.height() - 16) // 2, mark)
        painter.end()

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class NumberBox(QSpinBox):
    """A whole number, told when the person has finished typing it."""

    def __init__(self, name: str, least: int, most: int, finished: Callable[[int], object]) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setRange(least, most)
        self.setFixedWidth(FIELD_WIDTH // 2)
        self.lineEdit().setTextMargins(9, 0, 9, 0)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.editingFinished.connect(lambda: finished(self.value()))

    def show_value(self, value: int) -> None:
        """Show a number, unless the person is typing one."""
        if not self.hasFocus():
            self.setValue(value)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class CopyField(QWidget):
    """A value to copy into another program; a secret one is shown only when asked."""

    def __init__(
        self, theme: Theme, name: str, copied: Callable[[str], object], *, secret: bool = False
    ) -> None:
        super().__init__()
        self._theme = theme
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SIZES["space-half"])
        self.field = QLineEdit()
        self.field.setReadOnly(True)
        self.field.setAccessibleName(name)
        self.field.setMinimumWidth(FIELD_WIDTH + 40)
        self.field.setFont(theme.mono_font("small"))
        row.addWidget(self.field, 1)
        self.reveal = None
        if secret:
            self.field.setEchoMode(QLineEdit.EchoMode.Password)
            self.reveal = icon_button(theme, "eye", f"Show {name}", self._toggle)
            row.addWidget(self.reveal)
        self.copy = icon_button(theme, "copy", f"Copy {name}", lambda: copied(self.field.text()))
        row.addWidget(self.copy)
        self._name = name
        self.show_value("")

    def show_value(self, text: str) -> None:
        """Show a value; an empty one cannot be copied."""
        self.field.setText(text)
        self.field.setCursorPosition(0)
        self.copy.setEnabled(bool(text))
        if self.reveal is not None:
            self.reveal.setEnabled(bool(text))

    def _toggle(self) -> None:
        if self.reveal is None:
            return
        hidden = self.field.echoMode() == QLineEdit.EchoMode.Password
        mode = QLineEdit.EchoMode
        self.field.setEchoMode(mode.Normal if hidden else mode.Password)
        verb = "Hide" if hidden else "Show"
        set_icon(self.reveal, self._theme, "eye-off" if hidden else "eye")
        self.reveal.setToolTip(f"{verb} {self._name}")
        self.reveal.setAccessibleName(f"{verb} {self._name}")
