"""A strip over the page that says what happened and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from freehold.ui.icons import pixmap
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import icon_button, push_button
from freehold.ui.widgets.labels import prose, text_label

Level = Literal["info", "warning", "error"]
TOKENS: Final = {"info": "info", "warning": "warning", "error": "danger"}


class Banner(QFrame):
    """One notice, with an action and a way to dismiss it.

    Signals: dismissed: the person closed it.
    """

    dismissed = Signal()

    def __init__(
        self,
        theme: Theme,
        level: Level,
        title: str,
        text: str,
        *,
        action: tuple[str, Callable[[], object]] | None = None,
        dismissable: bool = True,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        title, text = prose(title), prose(text)
        self._theme, self._level = theme, level
        self.setProperty("banner", level)
        self.setAccessibleName(f"{level}: {title}")
        self.setAccessibleDescription(text)
        row = QHBoxLayout(self)
        row.setContentsMargins(SIZES["space-3"], 10, SIZES["space-2"], 10)
        row.setSpacing(12)
        self._mark = QLabel()
        row.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(2)
        self.title = text_label(title, wrap=True)
        self.title.setObjectName("bannerTitle")
        self.text = text_label(text, wrap=True)
        self.text.setVisible(bool(text))
        words.addWidget(self.title)
        words.addWidget(self.text)
        row.addLayout(words, 1)
        self.action = None
        if action is not None:
            self.action = push_button(theme, action[0], action[1])
            row.addWidget(self.action, 0, Qt.AlignmentFlag.AlignVCenter)
        if dismissable:
            row.addWidget(icon_button(theme, "close", "Dismiss", self._dismiss))
        theme.changed.connect(self._repaint_mark)
        self._repaint_mark()

    def say(self, title: str, text: str) -> None:
        """Replace the words."""
        title, text = prose(title), prose(text)
        self.title.setText(title)
        self.text.setText(text)
        self.text.setVisible(bool(text))
        self.setAccessibleName(f"{self._level}: {title}")
        self.setAccessibleDescription(text)

    def _dismiss(self) -> None:
        self.hide()
        self.dismissed.emit()

    def _repaint_mark(self) -> None:
        color = self._theme.hex(TOKENS[self._level])
        self._mark.setPixmap(pixmap(self._level, color, 20, self.devicePixelRatioF()))


class BannerStack(QWidget):
    """The banners above the pages, newest first; equal ones are shown once."""

    MOST: Final = 3

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._by_key: dict[str, Banner] = {}

    def put(
        self,
        key: str,
        level: Level,
        title: str,
        text: str,
        *,
        action: tuple[str, Callable[[], object]] | None = None,
        dismissable: bool = True,
    ) -> Banner:
        """Show a banner, or change the one with the same key."""
        if key in self._by_key:
            self._by_key[key].say(title, text)
            return self._by_key[key]
        banner = Banner(
            self._theme, level, title, text, action=action, dismissable=dismissable, parent=self
        )
        banner.dismissed.connect(lambda: self.take(key))
        self._by_key[key] = banner
        self._column.insertWidget(0, banner)
        for old in [k for k in self._by_key if k != key][: -self.MOST + 1 or None]:
            if len(self._by_key) > self.MOST:
                self.take(old)
        return banner

    def take(self, key: str) -> None:
        """Remove a banner, if it is there."""
        banner = self._by_key.pop(key, None)
        if banner is not None:
            self._column.removeWidget(banner)
            banner.hide()
            banner.deleteLater()

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys of the banners shown, oldest first."""
        return tuple(self._by_key)
