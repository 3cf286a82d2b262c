"""What a page shows when it has nothing yet: why, and how to begin."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from freehold.ui.icons import pixmap
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.labels import text_label


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
        heading = text_label(title, "title", wrap=True)
        heading.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(heading)
        words = text_label(text, "muted", wrap=True)
        words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        words.setFixedWidth(480)
        column.addWidget(words, 0, Qt.AlignmentFlag.AlignHCenter)
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

    def _repaint_mark(self) -> None:
        color = self._theme.hex("accent")
        self._mark.setPixmap(pixmap(self._icon, color, 48, self.devicePixelRatioF()))
