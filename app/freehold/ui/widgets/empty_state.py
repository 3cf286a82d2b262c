"""What a page shows when it has nothing yet: why, and how to begin."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from freehold.ui.icons import pixmap
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.labels import text_label

TEXT_WIDTH: Final = 480


class EmptyState(QWidget):
    """An icon, a heading, a paragraph that teaches, and at most two buttons."""

    def __init__(
        self,
        theme: Theme,
        icon: str,
        title: str,
        text: str,
        buttons: tuple[QPushButton, ...] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme, self._icon = theme, icon
        column = QVBoxLayout(self)
        column.setSpacing(SIZES["space"])
        column.addStretch(2)
        self._mark = QLabel()
        self._mark.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._mark)
        column.addSpacing(SIZES["space"])
        self._heading = text_label(title, "title", wrap=True)
        self._heading.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._heading)
        self._words = text_label(text, "muted", wrap=True)
        self._words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._words.setFixedWidth(TEXT_WIDTH)
        column.addWidget(self._words, 0, Qt.AlignmentFlag.AlignHCenter)
        if buttons:
            column.addSpacing(SIZES["space-2"])
            row = QHBoxLayout()
            row.addStretch()
            for button in buttons:
                row.addWidget(button)
            row.addStretch()
            column.addLayout(row)
        column.addStretch(3)
        theme.changed.connect(self._repaint_mark)
        self._repaint_mark()

    def say(self, title: str, text: str) -> None:
        """Replace the words."""
        self._heading.setText(title)
        self._words.setText(text)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Give the paragraph the height its width needs; a centred label does not ask for it."""
        self._words.ensurePolished()
        self._words.setMinimumHeight(max(0, self._words.heightForWidth(TEXT_WIDTH)))

    def _repaint_mark(self) -> None:
        color = self._theme.hex("accent")
        self._mark.setPixmap(pixmap(self._icon, color, 48, self.devicePixelRatioF()))
