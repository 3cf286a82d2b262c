"""A page that scrolls, with a heading and one column of readable width."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from freehold.ui.theme import SIZES
from freehold.ui.widgets.labels import text_label


class ScrollPage(QScrollArea):
    """Heading, subtitle, actions at the right, then `column`."""

    def __init__(self, title: str, subtitle: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(title)
        page = QWidget()
        page.setProperty("page", True)
        outer = QHBoxLayout(page)
        outer.setContentsMargins(SIZES["space-4"], SIZES["space-4"], SIZES["space-4"], 0)
        middle = QWidget()
        middle.setMaximumWidth(SIZES["page-width"])
        outer.addStretch(1)
        outer.addWidget(middle, 100)
        outer.addStretch(1)
        self.column = QVBoxLayout(middle)
        self.column.setContentsMargins(0, 0, 0, SIZES["space-4"])
        self.column.setSpacing(SIZES["space-2"])
        head = QHBoxLayout()
        head.setSpacing(SIZES["space"])
        words = QVBoxLayout()
        words.setSpacing(SIZES["space-half"])
        self.title = text_label(title, "title")
        words.addWidget(self.title)
        self.subtitle = text_label(subtitle, "muted", wrap=True)
        self.subtitle.setVisible(bool(subtitle))
        words.addWidget(self.subtitle)
        head.addLayout(words, 1)
        self.head_buttons = QHBoxLayout()
        head.addLayout(self.head_buttons)
        self.column.addLayout(head)
        self.setWidget(page)

    def say(self, subtitle: str) -> None:
        """Replace the subtitle."""
        self.subtitle.setText(subtitle)
        self.subtitle.setVisible(bool(subtitle))
