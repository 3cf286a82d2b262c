"""The side bar: where to go, by mouse or Ctrl and a digit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.icons import set_icon
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.labels import set_role, text_label


@dataclass(frozen=True, slots=True)
class Place:
    """A page the side bar leads to."""

    key: str
    title: str
    icon: str
    below: bool = False


PLACES: Final = (
    Place("chats", "Chats", "chats"),
    Place("documents", "Documents", "documents"),
    Place("models", "Models", "models"),
    Place("machine", "Machine", "machine"),
    Place("costs", "Costs", "costs"),
    Place("settings", "Settings", "settings", below=True),
    Place("help", "Help", "help", below=True),
)
WIDE: Final = 176
NARROW: Final = 64


class SideBar(QFrame):
    """Signals: chosen(key): the person wants that page."""

    chosen = Signal(str)

    def __init__(self, theme: Theme, app_icon: QIcon, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sideBar")
        self.setAccessibleName("Pages")
        column = QVBoxLayout(self)
        column.setContentsMargins(12, SIZES["space-2"], 12, SIZES["space-2"])
        column.setSpacing(SIZES["space-half"])
        self._word = text_label("Freehold", "section")
        mark = QLabel()
        mark.setPixmap(app_icon.pixmap(QSize(28, 28), self.devicePixelRatioF()))
        mark.setFixedSize(28, 28)
        brand = QHBoxLayout()
        brand.setContentsMargins(6, 0, 0, 0)
        brand.setSpacing(10)
        brand.addWidget(mark)
        brand.addWidget(self._word, 1)
        column.addLayout(brand)
        column.addSpacing(SIZES["space-2"])
        self._buttons: dict[str, QToolButton] = {}
        lower = next(place for place in PLACES if place.below)
        for number, place in enumerate(PLACES, start=1):
            if place is lower:
                column.addStretch(1)
            column.addWidget(self._make_button(theme, place, number))
        self.narrow = False
        self.setFixedWidth(WIDE)

    def _make_button(self, theme: Theme, place: Place, number: int) -> QToolButton:
        button = QToolButton()
        button.setText(f"  {place.title}")
        button.setCheckable(True)
        button.setToolTip(f"{place.title} (Ctrl+{number})")
        button.setAccessibleName(place.title)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        button.setFixedHeight(40)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setCursor(Qt.CursorShape.PointingHandCursor)
        set_icon(button, theme, place.icon, "text-muted", "selected-text")
        button.clicked.connect(lambda _checked=False: self.chosen.emit(place.key))
        self._buttons[place.key] = button
        return button

    def show_chosen(self, key: str) -> None:
        """Mark the page that is shown."""
        # No QButtonGroup: in one, Tab would reach a single button.
        for name, button in self._buttons.items():
            button.setChecked(name == key)

    def button(self, key: str) -> QToolButton:
        """Return the button of a page."""
        return self._buttons[key]

    def set_narrow(self, narrow: bool) -> None:
        """Show icons alone where the window is narrow."""
        if narrow == self.narrow:
            return
        self.narrow = narrow
        style = Qt.ToolButtonStyle
        for button in self._buttons.values():
            set_role(button, "narrow", narrow)
            button.setToolButtonStyle(
                style.ToolButtonIconOnly if narrow else style.ToolButtonTextBesideIcon
            )
        self._word.setVisible(not narrow)
        self.setFixedWidth(NARROW if narrow else WIDE)
